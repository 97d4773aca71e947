"""The reacher with four targets. See `objectives` for the conventions.

| task | objectives |
|---|---|
| reacher | 1 - 4 d_k for k = 1..4, with d_k the distance in m between fingertip and target k before the step |

MO-Gymnasium's documentation has squared distances; its code does not, and it measures before the step, not after it.
This is the code's. The Gymnasium model of the arm gets four targets in place of one, on the axes, 0.14 m from the base.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import mujoco
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from typing_extensions import override

from rlsuite_envs.mujoco.model import load_model
from rlsuite_envs.mujoco.objectives import ManyObjectives, Rewards, rewards_of
from rlsuite_envs.mujoco.task import Array, Bound, Outcome, Rows
from rlsuite_envs.mujoco.validate import discrete_action

__all__ = ["MOReacher", "MOReacherV4"]

_TARGETS = ("target1", "target2", "target3", "target4")
_GOALS = (0.14, 0.0, -0.14, 0.0, 0.0, 0.14, 0.0, -0.14)  # x, y of each target, m
_TORQUES = np.array([(first, second) for first in (-1.0, 0.0, 1.0) for second in (-1.0, 0.0, 1.0)])
_START = (0.0, 3.1415 / 2)  # rad, of the two joints; MO-Gymnasium's pi has four decimals


def _four_targets(spec: mujoco.MjSpec) -> None:
    """Put four targets in the place of the model's one, alike but for their names."""
    one = spec.body("target")
    if one is None:
        raise ValueError("MOReacher needs a model with a body named 'target', in whose place it puts four.")
    spec.copy_during_attach = True
    for name in _TARGETS:
        spec.worldbody.add_frame().attach_body(one, "", name.removeprefix("target"))
    spec.delete(one)


@dataclass(frozen=True)
class MOReacher(ManyObjectives):
    """mo-reacher-v5: hold the fingertip of a two-joint arm near four targets; never terminates.

    Nine actions: each joint gets a torque of -1, 0 or 1; action 3 i + j gives i - 1 to the first, j - 1 to the second.
    """

    max_episode_steps: ClassVar[int] = 50
    derived: ClassVar[tuple[str, ...]] = ("xpos",)
    drawn_as: ClassVar[str] = "Reacher-v5"

    xml_file: str = "reacher.xml"
    frame_skip: int = 2

    @property
    @override
    def objective_names(self) -> tuple[str, ...]:
        return _TARGETS

    @property
    @override
    def reward_space(self) -> spaces.Box:
        return spaces.Box(-1.0, 1.0, (len(_TARGETS),), np.float32)

    @override
    def check_pgmorl(self) -> None:
        raise ValueError("rewards='pgmorl' has no reacher; leave it out.")

    @override
    def load(self, *, contact_forces: bool = False) -> mujoco.MjModel:
        return load_model(self.xml_file, contact_forces=contact_forces, edit=_four_targets)

    @override
    def check_model(self, model: mujoco.MjModel) -> None:
        if (model.nq, model.nv, model.nu) != (10, 10, 2) or mujoco.mj_name2id(model, 1, "fingertip") < 0:
            raise ValueError(
                f"MOReacher needs an arm with two joints and motors, a body named 'fingertip', and a target with two "
                f"joints; {self.xml_file!r} has nq={model.nq}, nv={model.nv}, nu={model.nu} with four targets."
            )

    @override
    def action_space(self, model: mujoco.MjModel) -> spaces.Discrete:
        return spaces.Discrete(len(_TORQUES))

    @override
    def controls(self, owner: str, action: Any, shape: tuple[int, ...]) -> NDArray[Any]:
        return _TORQUES[discrete_action(owner, action, shape[:-1], len(_TORQUES))]

    @override
    def obs_size(self, model: mujoco.MjModel) -> int:
        return 6

    @override
    def observe(self, b: Bound, rows: Rows, out: Array) -> None:
        # cos and sin of a contiguous array: NumPy's strided loops may round differently
        angles = np.ascontiguousarray(b.qpos[rows, :2])
        out[:, 0:2] = np.cos(angles)
        out[:, 2:4] = np.sin(angles)
        out[:, 4:6] = b.qvel[rows, :2] * 0.1

    @override
    def draw(self, rng: np.random.Generator, qpos: Array, qvel: Array) -> tuple[Array, Array]:
        position = rng.uniform(low=-0.1, high=0.1, size=len(qpos)) + qpos
        position[:2] = _START
        position[-len(_GOALS) :] = _GOALS
        velocity = qvel + rng.uniform(low=-0.005, high=0.005, size=len(qvel))
        velocity[-2 if self.v4 else -len(_GOALS) :] = 0
        return position, velocity

    @override
    def position(self, b: Bound, rows: Rows) -> Array:
        tip = b.xpos[rows, b.model.body("fingertip").id, :2]
        return np.concatenate([tip - b.xpos[rows, b.model.body(name).id, :2] for name in _TARGETS], axis=1)

    @override
    def outcome(self, b: Bound, before: Array, after: Array, action: NDArray[Any], dt: float) -> Outcome:
        distances = np.sqrt(np.vecdot(between := before.reshape(len(before), -1, 2), between))
        reward = rewards_of(*(1 - 4 * distances.T))
        return Outcome(reward, np.zeros(len(reward), np.bool_), {})

    @override
    def mo_gymnasium(self, b: Bound, action: NDArray[Any], info: dict[str, NDArray[Any]]) -> Rewards:
        raise NotImplementedError  # `outcome` pays for the positions before the step

    @override
    def pgmorl(
        self, b: Bound, action: NDArray[Any], info: dict[str, NDArray[Any]]
    ) -> tuple[Rewards, NDArray[np.bool_]]:
        raise NotImplementedError  # refused at construction


@dataclass(frozen=True)
class MOReacherV4(MOReacher):
    """mo-reacher-v4: as v5, but three of the targets drift, as only the last one starts at rest."""

    v4: ClassVar[bool] = True
