"""The balancing tasks: InvertedPendulum and InvertedDoublePendulum. See `task` for the conventions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import mujoco
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from rlsuite_envs.mujoco.task import Array, Bound, Outcome, Rows, Task

__all__ = ["InvertedDoublePendulum", "InvertedPendulum"]

_MAX_ANGLE = 0.2  # rad: a pole leaning further ends the episode of InvertedPendulum
_MIN_TIP_HEIGHT = 1.0  # m: a lower tip ends the episode of InvertedDoublePendulum
_CLIP = 10.0  # InvertedDoublePendulum clips the velocities and the constraint force it observes


def _squared(x: Array) -> Array:
    """Squares as Gymnasium's `scalar ** 2` rounds them, which is not always as `array ** 2` does."""
    return np.float_power(x, 2.0)


@dataclass(frozen=True)
class InvertedPendulum(Task):
    """InvertedPendulum-v5: keep one pole upright on a cart."""

    xml_file: str = "inverted_pendulum.xml"
    frame_skip: int = 2
    reset_noise_scale: float = 0.01

    @override
    def obs_size(self, model: mujoco.MjModel) -> int:
        return model.nq + model.nv

    @override
    def observe(self, b: Bound, rows: Rows, out: Array) -> None:
        split = b.qpos.shape[1]
        out[:, :split] = b.qpos[rows]
        out[:, split:] = b.qvel[rows]

    @override
    def draw(self, rng: np.random.Generator, qpos: Array, qvel: Array) -> tuple[Array, Array]:
        scale = self.reset_noise_scale
        position = qpos + rng.uniform(low=-scale, high=scale, size=len(qpos))
        return position, qvel + rng.uniform(low=-scale, high=scale, size=len(qvel))

    @override
    def outcome(self, b: Bound, before: Array, after: Array, action: NDArray[Any], dt: float) -> Outcome:
        finite = np.isfinite(b.qpos).all(axis=1) & np.isfinite(b.qvel).all(axis=1)
        terminated = ~finite | (np.abs(b.qpos[:, 1]) > _MAX_ANGLE)
        reward = (~terminated).astype(np.float64)
        return Outcome(reward, terminated, {"reward_survive": reward.copy()})


@dataclass(frozen=True)
class InvertedDoublePendulum(Task):
    """InvertedDoublePendulum-v5: keep a pole on top of a pole upright on a cart."""

    derived: ClassVar[tuple[str, ...]] = ("site_xpos", "qfrc_constraint")

    xml_file: str = "inverted_double_pendulum.xml"
    frame_skip: int = 5
    healthy_reward: float = 10.0
    reset_noise_scale: float = 0.1

    @override
    def check_model(self, model: mujoco.MjModel) -> None:
        if (model.nq, model.nv) != (3, 3) or model.nsite < 1:
            raise ValueError(
                f"InvertedDoublePendulum needs 3 joints and a site at the tip; {self.xml_file!r} has "
                f"nq={model.nq}, nv={model.nv}, {model.nsite} sites."
            )

    @override
    def obs_size(self, model: mujoco.MjModel) -> int:
        return 9

    @override
    def observe(self, b: Bound, rows: Rows, out: Array) -> None:
        # sin and cos of a contiguous array: NumPy's strided loops may round differently
        angles = np.ascontiguousarray(b.qpos[rows, 1:])
        out[:, 0] = b.qpos[rows, 0]
        out[:, 1:3] = np.sin(angles)
        out[:, 3:5] = np.cos(angles)
        out[:, 5:8] = np.clip(b.qvel[rows], -_CLIP, _CLIP)
        out[:, 8] = np.clip(b.qfrc_constraint[rows, 0], -_CLIP, _CLIP)

    @override
    def draw(self, rng: np.random.Generator, qpos: Array, qvel: Array) -> tuple[Array, Array]:
        scale = self.reset_noise_scale
        position = qpos + rng.uniform(low=-scale, high=scale, size=len(qpos))
        return position, qvel + rng.standard_normal(len(qvel)) * scale

    @override
    def outcome(self, b: Bound, before: Array, after: Array, action: NDArray[Any], dt: float) -> Outcome:
        x, y = b.site_xpos[:, 0, 0], b.site_xpos[:, 0, 2]
        terminated = y <= _MIN_TIP_HEIGHT
        distance_penalty = 0.01 * _squared(x) + _squared(y - 2)
        velocity_penalty = 1e-3 * _squared(b.qvel[:, 1]) + 5e-3 * _squared(b.qvel[:, 2])
        survive = self.healthy_reward * (~terminated)
        info = {
            "reward_survive": survive,
            "distance_penalty": -distance_penalty,
            "velocity_penalty": -velocity_penalty,
        }
        return Outcome(survive - distance_penalty - velocity_penalty, terminated, info)
