"""The planar runners with many objectives. See `objectives` for the two families of rewards.

Speeds are in m/s along x, heights in m above the initial one, a is the action; s is the bonus for being healthy.

| task | objectives of "mo-gymnasium" | objectives of "pgmorl" | its end |
|---|---|---|---|
| halfcheetah | v; -|a|^2 (v4: -0.1 |a|^2) | min(v, 4) + 1; 5 - |a|^2 | pitch of 50 degrees |
| hopper, 3 | v + s; 10 dz + s; -|a|^2 + s | 1.5 v + 1; 12 dz + 1; 5 - |a|^2 | z of 0.4, an angle of 90 degrees |
| hopper, 2 | v + c; 10 dz + c with c = s - 0.001 |a|^2 | 1.5 v + c; 12 dz + c with c = 1 - 0.0002 |a|^2 | as above |
| walker2d | v + s; -|a|^2 + s | v + 1; 5 - |a|^2 | z outside (0.8, 2), pitch of 1 rad |
| swimmer | v; -|a|^2 | v; 0.3 - 0.15 |a|^2 | never |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from rlsuite_envs.mujoco.locomotion import HalfCheetah, Hopper, Swimmer, Walker2d
from rlsuite_envs.mujoco.objectives import ManyObjectives, Rewards, rewards_of, survival, unweighted_cost
from rlsuite_envs.mujoco.task import Array, Bound, Outcome, squared_sum

__all__ = [
    "MOHalfCheetah",
    "MOHalfCheetahV4",
    "MOHopper",
    "MOHopperV4",
    "MOSwimmer",
    "MOSwimmerV4",
    "MOWalker2d",
    "MOWalker2dV4",
]

Info = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class MOHalfCheetah(HalfCheetah, ManyObjectives):
    """mo-halfcheetah-v5: run right, and spend little."""

    drawn_as: ClassVar[str] = "HalfCheetah-v5"

    @property
    @override
    def objective_names(self) -> tuple[str, ...]:
        return ("x_velocity", "control")

    @override
    def outcome(self, b: Bound, before: Array, after: Array, action: NDArray[Any], dt: float) -> Outcome:
        return self.vector_outcome(b, action, super().outcome(b, before, after, action, dt))

    @override
    def mo_gymnasium(self, b: Bound, action: NDArray[Any], info: Info) -> Rewards:
        if self.v4:
            return rewards_of(info["reward_forward"], info["reward_ctrl"])
        return rewards_of(info["x_velocity"], unweighted_cost(info["reward_ctrl"], self.ctrl_cost_weight, action))

    @override
    def pgmorl(self, b: Bound, action: NDArray[Any], info: Info) -> tuple[Rewards, NDArray[np.bool_]]:
        reward = rewards_of(np.minimum(4.0, info["x_velocity"]) + 1.0, 4.0 - squared_sum(action) + 1.0)
        return reward, ~(np.abs(b.qpos[:, 2]) < np.deg2rad(50))


@dataclass(frozen=True)
class MOHalfCheetahV4(MOHalfCheetah):
    """mo-halfcheetah-v4: as v5, with the weighted control cost."""

    v4: ClassVar[bool] = True


@dataclass(frozen=True)
class MOHopper(Hopper, ManyObjectives):
    """mo-hopper-v5: hop right, hop high, and spend little.

    Attributes:
        cost_objective: whether the control cost is the third objective; else it is part of the two others.
    """

    drawn_as: ClassVar[str] = "Hopper-v5"

    cost_objective: bool = True

    @property
    @override
    def objective_names(self) -> tuple[str, ...]:
        return ("x_velocity", "height", "control")[: 2 + self.cost_objective]

    @override
    def outcome(self, b: Bound, before: Array, after: Array, action: NDArray[Any], dt: float) -> Outcome:
        return self.vector_outcome(b, action, super().outcome(b, before, after, action, dt))

    @override
    def mo_gymnasium(self, b: Bound, action: NDArray[Any], info: Info) -> Rewards:
        moves = info["x_velocity"], 10 * info["z_distance_from_origin"]
        survive, cost = survival(self, info), info["reward_ctrl"]
        if not self.cost_objective:
            return rewards_of(*moves, everywhere=(cost, survive))
        energy = -squared_sum(action) if self.v4 else unweighted_cost(cost, self.ctrl_cost_weight, action)
        return rewards_of(*moves, energy, everywhere=(survive,))

    @override
    def pgmorl(self, b: Bound, action: NDArray[Any], info: Info) -> tuple[Rewards, NDArray[np.bool_]]:
        run, jump = 1.5 * info["x_velocity"], 12.0 * info["z_distance_from_origin"]
        if self.cost_objective:
            reward = rewards_of(run + 1.0, jump + 1.0, 4.0 - squared_sum(action) + 1.0)
        else:
            others = 1.0 - 2e-4 * squared_sum(action)
            reward = rewards_of(run + others, jump + others)
        standing = (b.qpos[:, 1] > 0.4) & (np.abs(b.qpos[:, 2:6]) < np.deg2rad(90)).all(axis=1)
        return reward, ~standing


@dataclass(frozen=True)
class MOHopperV4(MOHopper):
    """mo-hopper-v4: as v5, with the bonus for health in the step of the fall, too."""

    v4: ClassVar[bool] = True


@dataclass(frozen=True)
class MOWalker2d(Walker2d, ManyObjectives):
    """mo-walker2d-v5: walk right, and spend little."""

    drawn_as: ClassVar[str] = "Walker2d-v5"

    @property
    @override
    def objective_names(self) -> tuple[str, ...]:
        return ("x_velocity", "control")

    @override
    def outcome(self, b: Bound, before: Array, after: Array, action: NDArray[Any], dt: float) -> Outcome:
        return self.vector_outcome(b, action, super().outcome(b, before, after, action, dt))

    @override
    def mo_gymnasium(self, b: Bound, action: NDArray[Any], info: Info) -> Rewards:
        weighted = info["reward_ctrl"]
        energy = -squared_sum(action) if self.v4 else unweighted_cost(weighted, self.ctrl_cost_weight, action)
        return rewards_of(info["x_velocity"], energy, everywhere=(survival(self, info),))

    @override
    def pgmorl(self, b: Bound, action: NDArray[Any], info: Info) -> tuple[Rewards, NDArray[np.bool_]]:
        reward = rewards_of(info["x_velocity"] + 1.0, 4.0 - squared_sum(action) + 1.0)
        z, angle = b.qpos[:, 1], b.qpos[:, 2]
        return reward, ~((z > 0.8) & (z < 2.0) & (angle > -1.0) & (angle < 1.0))


@dataclass(frozen=True)
class MOWalker2dV4(MOWalker2d):
    """mo-walker2d-v4: as v5, with unequal feet, and the bonus for health in the step of the fall, too."""

    v4: ClassVar[bool] = True

    xml_file: str = "walker2d.xml"


@dataclass(frozen=True)
class MOSwimmer(Swimmer, ManyObjectives):
    """mo-swimmer-v5: swim right, and spend little."""

    drawn_as: ClassVar[str] = "Swimmer-v5"

    @property
    @override
    def objective_names(self) -> tuple[str, ...]:
        return ("x_velocity", "control")

    @override
    def outcome(self, b: Bound, before: Array, after: Array, action: NDArray[Any], dt: float) -> Outcome:
        return self.vector_outcome(b, action, super().outcome(b, before, after, action, dt))

    @override
    def mo_gymnasium(self, b: Bound, action: NDArray[Any], info: Info) -> Rewards:
        weighted = info["reward_ctrl"]
        energy = -squared_sum(action) if self.v4 else unweighted_cost(weighted, self.ctrl_cost_weight, action)
        return rewards_of(info["x_velocity"], energy)

    @override
    def pgmorl(self, b: Bound, action: NDArray[Any], info: Info) -> tuple[Rewards, NDArray[np.bool_]]:
        reward = rewards_of(info["x_velocity"], 0.3 - 0.15 * squared_sum(action))
        return reward, np.zeros(len(reward), np.bool_)


@dataclass(frozen=True)
class MOSwimmerV4(MOSwimmer):
    """mo-swimmer-v4: as v5."""

    v4: ClassVar[bool] = True
