"""The three-dimensional walkers with many objectives. See `objectives` for the two families of rewards.

Speeds v, w are in m/s along x and y, a is the action, u the controls; s is the bonus for being healthy, in v5 less the
cost of contact forces.

| task | objectives of "mo-gymnasium" | objectives of "pgmorl" | its end |
|---|---|---|---|
| ant, 3 | v + s; w + s; -|a|^2 + s | none | |
| ant, 2 | v + c; w + c with c = s - 0.5 |a|^2 | v + c; w + c with c = 1 - 0.5 |a|^2 | never |
| humanoid | v + s; -|u|^2 + s | 1.25 v + 3; 6 - 4 |u|^2 | z outside [1, 2] |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import mujoco
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from rlsuite_envs.mujoco.legs import Ant, Humanoid
from rlsuite_envs.mujoco.objectives import ManyObjectives, Rewards, rewards_of, survival, unweighted_cost
from rlsuite_envs.mujoco.task import Array, Bound, Outcome, squared_sum

__all__ = ["MOAnt", "MOAntV4", "MOHumanoid", "MOHumanoidV4"]

Info = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class MOAnt(Ant, ManyObjectives):
    """mo-ant-v5: walk along x, walk along y, and spend little.

    Attributes:
        cost_objective: whether the control cost is the third objective; else it is part of the two others.
    """

    drawn_as: ClassVar[str] = "Ant-v5"

    cost_objective: bool = True

    @property
    @override
    def objective_names(self) -> tuple[str, ...]:
        return ("x_velocity", "y_velocity", "control")[: 2 + self.cost_objective]

    @override
    def check_pgmorl(self) -> None:
        if self.cost_objective:
            raise ValueError(
                "rewards='pgmorl' knows the ant with two objectives only; use mo-ant-2obj-v5 (or cost_objective=False)."
            )

    @override
    def outcome(self, b: Bound, before: Array, after: Array, action: NDArray[Any], dt: float) -> Outcome:
        return self.vector_outcome(b, action, super().outcome(b, before, after, action, dt))

    @override
    def mo_gymnasium(self, b: Bound, action: NDArray[Any], info: Info) -> Rewards:
        speeds, cost = (info["x_velocity"], info["y_velocity"]), info["reward_ctrl"]
        others = survival(self, info), info["reward_contact"]
        if self.cost_objective:
            energy = unweighted_cost(cost, self.ctrl_cost_weight, action)
            return rewards_of(*speeds, energy, everywhere=others)
        return rewards_of(*speeds, everywhere=(cost, *others))

    @override
    def pgmorl(self, b: Bound, action: NDArray[Any], info: Info) -> tuple[Rewards, NDArray[np.bool_]]:
        others = 1.0 - 0.5 * squared_sum(action)
        reward = rewards_of(info["x_velocity"] + others, info["y_velocity"] + others)
        state = np.concatenate([b.qpos, b.qvel], axis=1)
        return reward, ~np.isfinite(state).all(axis=1)


@dataclass(frozen=True)
class MOAntV4(MOAnt):
    """mo-ant-v4: as v5 without contact forces, and with the bonus for health in the step of the fall, too."""

    v4: ClassVar[bool] = True

    contact_cost_weight: float = 0.0
    include_cfrc_ext_in_observation: bool = False


@dataclass(frozen=True)
class MOHumanoid(Humanoid, ManyObjectives):
    """mo-humanoid-v5: walk right, and spend little."""

    drawn_as: ClassVar[str] = "Humanoid-v5"
    pgmorl_steps: ClassVar[int] = 1000

    @property
    @override
    def objective_names(self) -> tuple[str, ...]:
        return ("x_velocity", "control")

    @override
    def outcome(self, b: Bound, before: Array, after: Array, action: NDArray[Any], dt: float) -> Outcome:
        return self.vector_outcome(b, action, super().outcome(b, before, after, action, dt))

    @override
    def mo_gymnasium(self, b: Bound, action: NDArray[Any], info: Info) -> Rewards:
        cost = info["reward_ctrl"]
        energy = 10 * cost if self.v4 else unweighted_cost(cost, self.ctrl_cost_weight, b.ctrl)
        return rewards_of(info["x_velocity"], energy, everywhere=(survival(self, info), info["reward_contact"]))

    @override
    def pgmorl(self, b: Bound, action: NDArray[Any], info: Info) -> tuple[Rewards, NDArray[np.bool_]]:
        reward = rewards_of(1.25 * info["x_velocity"] + 3.0, 3.0 - 4.0 * squared_sum(b.ctrl) + 3.0)
        z = b.qpos[:, 2]
        return reward, (z < 1.0) | (z > 2.0)


@dataclass(frozen=True)
class MOHumanoidV4(MOHumanoid):
    """mo-humanoid-v4: as v5 without contact cost, and with the bonus for health in the step of the fall, too.

    The observation has the world body and the forces on the root, which are always zero.
    """

    v4: ClassVar[bool] = True

    contact_cost_weight: float = 0.0

    @override
    def _parts(self, b: Bound) -> list[Array]:
        n = len(b.qpos)
        hidden = 2 * int(self.exclude_current_positions_from_observation)
        shown = (
            (self.include_cinert_in_observation, b.cinert),
            (self.include_cvel_in_observation, b.cvel),
            (self.include_qfrc_actuator_in_observation, b.qfrc_actuator),
            (self.include_cfrc_ext_in_observation, b.cfrc_ext),
        )
        return [b.qpos[:, hidden:], b.qvel, *(part.reshape(n, -1) for there, part in shown if there)]

    @override
    def obs_size(self, model: mujoco.MjModel) -> int:
        size = super().obs_size(model)  # without the world body, and without the forces on the root
        world = 10 * self.include_cinert_in_observation + 6 * self.include_cvel_in_observation
        root = 6 * self.include_qfrc_actuator_in_observation
        return size + world + root + 6 * self.include_cfrc_ext_in_observation
