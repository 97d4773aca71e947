"""The planar runners: HalfCheetah, Hopper, Walker2d and Swimmer. See `task` for the conventions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from rlsuite_envs.mujoco.task import Array, Bound, Outcome, Rows, Task, squared_sum

__all__ = ["HalfCheetah", "Hopper", "Swimmer", "Walker2d"]

_MAX_OBSERVED_SPEED = 10.0  # Hopper and Walker2d clip the velocities they observe


@dataclass(frozen=True)
class _Runner(Task):
    """Arguments and functions that the planar runners share."""

    forward_reward_weight: float
    ctrl_cost_weight: float
    reset_noise_scale: float
    exclude_current_positions_from_observation: bool

    def _hidden(self) -> int:
        """How many leading positions the observation leaves out."""
        return int(self.exclude_current_positions_from_observation)

    @override
    def obs_size(self, model: mujoco.MjModel) -> int:
        return model.nq + model.nv - self._hidden()

    @override
    def observe(self, b: Bound, rows: Rows, out: Array) -> None:
        hidden = self._hidden()
        split = b.qpos.shape[1] - hidden
        out[:, :split] = b.qpos[rows, hidden:]
        out[:, split:] = b.qvel[rows]

    @override
    def draw(self, rng: np.random.Generator, qpos: Array, qvel: Array) -> tuple[Array, Array]:
        scale = self.reset_noise_scale
        position = qpos + rng.uniform(low=-scale, high=scale, size=len(qpos))
        return position, qvel + rng.uniform(low=-scale, high=scale, size=len(qvel))

    @override
    def position(self, b: Bound, rows: Rows) -> Array:
        return b.qpos[rows, 0:1].copy()

    @override
    def reset_info(self, b: Bound, rows: Rows) -> dict[str, NDArray[Any]]:
        return {"x_position": b.qpos[rows, 0].copy()}


@dataclass(frozen=True)
class HalfCheetah(_Runner):
    """HalfCheetah-v5: run right; never terminates."""

    xml_file: str = "half_cheetah.xml"
    frame_skip: int = 5
    forward_reward_weight: float = 1.0
    ctrl_cost_weight: float = 0.1
    reset_noise_scale: float = 0.1
    exclude_current_positions_from_observation: bool = True

    @override
    def draw(self, rng: np.random.Generator, qpos: Array, qvel: Array) -> tuple[Array, Array]:
        scale = self.reset_noise_scale
        position = qpos + rng.uniform(low=-scale, high=scale, size=len(qpos))
        return position, qvel + scale * rng.standard_normal(len(qvel))

    @override
    def outcome(self, b: Bound, before: Array, after: Array, action: NDArray[Any], dt: float) -> Outcome:
        velocity = (after[:, 0] - before[:, 0]) / dt
        forward = self.forward_reward_weight * velocity
        cost = self.ctrl_cost_weight * squared_sum(action)
        info = {
            "x_position": after[:, 0],
            "x_velocity": velocity,
            "reward_forward": forward,
            "reward_ctrl": -cost,
        }
        return Outcome(forward - cost, np.zeros(len(forward), np.bool_), info)


@dataclass(frozen=True)
class Swimmer(_Runner):
    """Swimmer-v5: swim right through a viscous fluid; never terminates."""

    xml_file: str = "swimmer.xml"
    frame_skip: int = 4
    forward_reward_weight: float = 1.0
    ctrl_cost_weight: float = 1e-4
    reset_noise_scale: float = 0.1
    exclude_current_positions_from_observation: bool = True

    @override
    def _hidden(self) -> int:
        return 2 * int(self.exclude_current_positions_from_observation)

    @override
    def position(self, b: Bound, rows: Rows) -> Array:
        return b.qpos[rows, 0:2].copy()

    @override
    def outcome(self, b: Bound, before: Array, after: Array, action: NDArray[Any], dt: float) -> Outcome:
        velocity = (after - before) / dt
        forward = self.forward_reward_weight * velocity[:, 0]
        cost = self.ctrl_cost_weight * squared_sum(action)
        info = {
            "x_position": after[:, 0],
            "y_position": after[:, 1],
            "distance_from_origin": np.sqrt(np.vecdot(after, after)),
            "x_velocity": velocity[:, 0],
            "y_velocity": velocity[:, 1],
            "reward_forward": forward,
            "reward_ctrl": -cost,
        }
        return Outcome(forward - cost, np.zeros(len(forward), np.bool_), info)

    @override
    def reset_info(self, b: Bound, rows: Rows) -> dict[str, NDArray[Any]]:
        xy = b.qpos[rows, 0:2].copy()
        return {
            "x_position": xy[:, 0],
            "y_position": xy[:, 1],
            "distance_from_origin": np.sqrt(np.vecdot(xy, xy)),
        }


@dataclass(frozen=True)
class _Biped(_Runner):
    """Hopper and Walker2d: clipped velocities, and an episode that ends with the fall."""

    healthy_reward: float
    terminate_when_unhealthy: bool
    healthy_z_range: tuple[float, float]
    healthy_angle_range: tuple[float, float]

    @override
    def observe(self, b: Bound, rows: Rows, out: Array) -> None:
        super().observe(b, rows, out)
        velocity = out[:, out.shape[1] - b.qvel.shape[1] :]
        np.maximum(velocity, -_MAX_OBSERVED_SPEED, out=velocity)
        np.minimum(velocity, _MAX_OBSERVED_SPEED, out=velocity)

    def healthy(self, b: Bound) -> NDArray[np.bool_]:
        """Whether the torso is at a healthy height and angle, [B]."""
        (z_low, z_high), (angle_low, angle_high) = self.healthy_z_range, self.healthy_angle_range
        z, angle = b.qpos[:, 1], b.qpos[:, 2]
        return (z_low < z) & (z < z_high) & (angle_low < angle) & (angle < angle_high)

    @override
    def outcome(self, b: Bound, before: Array, after: Array, action: NDArray[Any], dt: float) -> Outcome:
        velocity = (after[:, 0] - before[:, 0]) / dt
        healthy = self.healthy(b)
        forward = self.forward_reward_weight * velocity
        survive = healthy * self.healthy_reward
        cost = self.ctrl_cost_weight * squared_sum(action)
        info = {
            "x_position": after[:, 0],
            "z_distance_from_origin": b.qpos[:, 1] - b.model.qpos0[1],
            "x_velocity": velocity,
            "reward_forward": forward,
            "reward_ctrl": -cost,
            "reward_survive": survive,
        }
        return Outcome(forward + survive - cost, ~healthy & self.terminate_when_unhealthy, info)

    @override
    def reset_info(self, b: Bound, rows: Rows) -> dict[str, NDArray[Any]]:
        height = b.qpos[rows, 1] - b.model.qpos0[1]
        return {"x_position": b.qpos[rows, 0].copy(), "z_distance_from_origin": height}


@dataclass(frozen=True)
class Hopper(_Biped):
    """Hopper-v5: hop right without falling."""

    xml_file: str = "hopper.xml"
    frame_skip: int = 4
    forward_reward_weight: float = 1.0
    ctrl_cost_weight: float = 1e-3
    healthy_reward: float = 1.0
    terminate_when_unhealthy: bool = True
    healthy_state_range: tuple[float, float] = (-100.0, 100.0)
    healthy_z_range: tuple[float, float] = (0.7, math.inf)
    healthy_angle_range: tuple[float, float] = (-0.2, 0.2)
    reset_noise_scale: float = 5e-3
    exclude_current_positions_from_observation: bool = True

    @override
    def healthy(self, b: Bound) -> NDArray[np.bool_]:
        low, high = self.healthy_state_range
        inside = ((low < b.qvel) & (b.qvel < high)).all(axis=1)
        inside &= ((low < b.qpos[:, 2:]) & (b.qpos[:, 2:] < high)).all(axis=1)
        return inside & super().healthy(b)


@dataclass(frozen=True)
class Walker2d(_Biped):
    """Walker2d-v5: walk right without falling."""

    xml_file: str = "walker2d_v5.xml"
    frame_skip: int = 4
    forward_reward_weight: float = 1.0
    ctrl_cost_weight: float = 1e-3
    healthy_reward: float = 1.0
    terminate_when_unhealthy: bool = True
    healthy_z_range: tuple[float, float] = (0.8, 2.0)
    healthy_angle_range: tuple[float, float] = (-1.0, 1.0)
    reset_noise_scale: float = 5e-3
    exclude_current_positions_from_observation: bool = True
