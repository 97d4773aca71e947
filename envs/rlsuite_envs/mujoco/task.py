"""What a MuJoCo task adds to the physics, over a whole batch: observation, reward, end and reset noise.

A task is a frozen dataclass whose fields are the keyword arguments of Gymnasium's class of the same name, and
a few pure functions of the arrays bound to the simulations (`Bound`). Letters: B environments, n selected
rows, O observation entries, A action entries, K coordinates of the tracked position.

Every expression keeps Gymnasium's order of operations and its dtypes (a float32 action gives a float32
control cost there, and here), because the results are promised to be equal bit for bit, not merely close.

Source: the v5 environments of Gymnasium (Towers et al., 2024), whose documentation defines each reward.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from typing import Any, ClassVar, NamedTuple

import mujoco
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rlsuite_envs.mujoco.model import load_model
from rlsuite_envs.mujoco.validate import finite_action

__all__ = ["ALL", "Array", "Bound", "Outcome", "Rows", "Task", "squared_sum"]

Array = NDArray[np.float64]
Rows = slice | NDArray[np.int32]
ALL = slice(None)


def _empty() -> Array:
    return np.empty((0, 0))


@dataclasses.dataclass
class Bound:
    """Live arrays over the simulations of a pool; the first axis is the environment.

    `qpos`, `qvel` and `ctrl` are the state after the step. The others are what MuJoCo last computed, which
    after a step is the state before the last integration stage, as in Gymnasium; those that the task does not
    name in `Task.derived` stay empty.

    Attributes:
        model: the compiled model (of environment 0 where masses are scaled).
        qpos: positions [B, nq].
        qvel: velocities [B, nv].
        ctrl: controls of the last step [B, nu].
        body_mass: masses in kg [B, nbody], or [1, nbody] while all environments share them.
        xpos: body positions in m [B, nbody, 3].
        xipos: body centres of mass in m [B, nbody, 3].
        site_xpos: site positions in m [B, nsite, 3].
        cinert: inertias about the centre of mass of the tree [B, nbody, 10].
        cvel: spatial velocities [B, nbody, 6].
        qfrc_actuator: actuator forces in joint coordinates [B, nv].
        qfrc_constraint: constraint forces in joint coordinates [B, nv].
        cfrc_ext: external spatial forces on the bodies [B, nbody, 6]; zero until the first step of an
            episode.
        ten_length: tendon lengths [B, ntendon].
        ten_velocity: tendon velocities [B, ntendon].
    """

    model: mujoco.MjModel
    qpos: Array
    qvel: Array
    ctrl: Array
    body_mass: Array
    xpos: Array = dataclasses.field(default_factory=_empty)
    xipos: Array = dataclasses.field(default_factory=_empty)
    site_xpos: Array = dataclasses.field(default_factory=_empty)
    cinert: Array = dataclasses.field(default_factory=_empty)
    cvel: Array = dataclasses.field(default_factory=_empty)
    qfrc_actuator: Array = dataclasses.field(default_factory=_empty)
    qfrc_constraint: Array = dataclasses.field(default_factory=_empty)
    cfrc_ext: Array = dataclasses.field(default_factory=_empty)
    ten_length: Array = dataclasses.field(default_factory=_empty)
    ten_velocity: Array = dataclasses.field(default_factory=_empty)


class Outcome(NamedTuple):
    """Outcome of one step: reward [B] (or [B, K]), terminated [B], and Gymnasium's info entries as arrays [B, ...]."""

    reward: NDArray[Any]
    terminated: NDArray[np.bool_]
    info: dict[str, NDArray[Any]]


def squared_sum(x: NDArray[Any]) -> NDArray[Any]:
    """Sum of squares of each row, [B, ...] -> [B], added up in the order of `np.sum(np.square(row))`."""
    return np.square(x).reshape(len(x), -1).sum(axis=1)


@dataclasses.dataclass(frozen=True)
class Task(abc.ABC):
    """Base of the tasks: the shared arguments, their validation, and the functions a pool calls.

    Attributes:
        xml_file: MuJoCo model; a bare name is looked up among Gymnasium's assets, a path (starting with `.`,
            `/` or `~`) is used as it is.
        frame_skip: physics steps per environment step, at least 1.
    """

    max_episode_steps: ClassVar[int] = 1000
    derived: ClassVar[tuple[str, ...]] = ()
    drawn_as: ClassVar[str] = ""  # Gymnasium's id whose camera films the task; empty for the task's own

    xml_file: str
    frame_skip: int

    def __post_init__(self) -> None:
        """Refuse arguments that could only fail later or silently.

        Raises:
            ValueError: naming the argument, its value and what it should be.
        """
        for field in dataclasses.fields(self):
            value, name = getattr(self, field.name), field.name
            problem = _problem(name, value, str(field.type))
            if problem:
                raise ValueError(f"{type(self).__name__}: {name}={value!r} must be {problem}.")

    @property
    def horizon(self) -> int | None:
        """A time limit that is part of the task, in steps; None where there is none."""
        return None

    @property
    def objective_names(self) -> tuple[str, ...] | None:
        """The names of the K objectives; None for a scalar reward."""
        return None

    @property
    def reward_space(self) -> spaces.Box | None:
        """Space of the reward vector [K]; None for a scalar reward."""
        names = self.objective_names
        return None if names is None else spaces.Box(-np.inf, np.inf, (len(names),), np.float32)

    def load(self, *, contact_forces: bool = False) -> mujoco.MjModel:
        """Compile the model; see `load_model`."""
        return load_model(self.xml_file, contact_forces=contact_forces)

    def action_space(self, model: mujoco.MjModel) -> spaces.Space[Any]:
        """Space of one environment's action: the range of the controls."""
        low, high = model.actuator_ctrlrange.astype(np.float32).T
        return spaces.Box(low, high, dtype=np.float32)

    def controls(self, owner: str, action: Any, shape: tuple[int, ...]) -> NDArray[Any]:
        """The controls of the shape [B, A] (or [A]) that an action stands for, checked.

        Raises:
            ValueError: an action of another shape, not finite or out of range, naming its owner; TypeError: no numbers.
        """
        return finite_action(owner, action, shape)

    def check_model(self, model: mujoco.MjModel) -> None:  # noqa: B027 - most tasks need nothing of the model
        """Raise ValueError if the model lacks what the task reads (a body, a site, enough joints)."""

    @abc.abstractmethod
    def obs_size(self, model: mujoco.MjModel) -> int:
        """Number of observation entries O."""

    @abc.abstractmethod
    def observe(self, b: Bound, rows: Rows, out: Array) -> None:
        """Write the observations of the rows into out [n, O]."""

    @abc.abstractmethod
    def draw(self, rng: np.random.Generator, qpos: Array, qvel: Array) -> tuple[Array, Array]:
        """Draw the initial (qpos [nq], qvel [nv]) of an episode, in Gymnasium's order, around those given."""

    def position(self, b: Bound, rows: Rows) -> Array:
        """The position [n, K] whose change over a step is rewarded, as a copy; nothing by default."""
        return np.empty((len(b.qpos[rows]), 0))

    @abc.abstractmethod
    def outcome(self, b: Bound, before: Array, after: Array, action: NDArray[Any], dt: float) -> Outcome:
        """Reward and end of a step that moved `position` from before [B, K] to after [B, K] in dt seconds."""

    def reset_info(self, b: Bound, rows: Rows) -> dict[str, NDArray[Any]]:
        """Gymnasium's info entries of a reset as arrays [n, ...]."""
        return {}


def _problem(name: str, value: Any, annotation: str) -> str:
    """What a bad argument should have been, or an empty string for a good one."""
    if name == "frame_skip":
        good = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 1
        return "" if good else "an integer of at least 1"
    if annotation == "bool":
        return "" if isinstance(value, (bool, np.bool_)) else "True or False"
    if annotation == "str":
        return "" if isinstance(value, str) and value else "the name or path of a MuJoCo XML file"
    if annotation == "float":
        number = isinstance(value, (int, float, np.number)) and math.isfinite(value)
        if name == "reset_noise_scale":
            return "" if number and value >= 0 else "a finite number of at least 0"
        return "" if number else "a finite number"
    if name.endswith("_range"):
        try:
            low, high = (float(x) for x in value)
        except (TypeError, ValueError):
            return "a pair (low, high)"
        return "" if low <= high else "a pair with low <= high"
    return ""
