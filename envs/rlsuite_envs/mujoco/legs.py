"""The three-dimensional walkers: Ant, Humanoid and HumanoidStandup. See `task` for the conventions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import mujoco
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from rlsuite_envs.mujoco.task import Array, Bound, Outcome, Rows, Task, squared_sum

__all__ = ["Ant", "Humanoid", "HumanoidStandup"]

_FREE_JOINT_DOFS = 6  # the root's own forces are not actuated, so the observation leaves them out


def _origin_info(b: Bound, rows: Rows) -> dict[str, NDArray[Any]]:
    """Position of the root, and its distance from the origin."""
    xy = b.qpos[rows, 0:2].copy()
    return {
        "x_position": xy[:, 0],
        "y_position": xy[:, 1],
        "distance_from_origin": np.sqrt(np.vecdot(xy, xy)),
    }


@dataclass(frozen=True)
class Ant(Task):
    """Ant-v5: walk right on four legs, gently, without tipping over."""

    derived: ClassVar[tuple[str, ...]] = ("xpos", "cfrc_ext")

    xml_file: str = "ant.xml"
    frame_skip: int = 5
    forward_reward_weight: float = 1.0
    ctrl_cost_weight: float = 0.5
    contact_cost_weight: float = 5e-4
    healthy_reward: float = 1.0
    main_body: int | str = 1
    terminate_when_unhealthy: bool = True
    healthy_z_range: tuple[float, float] = (0.2, 1.0)
    contact_force_range: tuple[float, float] = (-1.0, 1.0)
    reset_noise_scale: float = 0.1
    exclude_current_positions_from_observation: bool = True
    include_cfrc_ext_in_observation: bool = True

    @override
    def check_model(self, model: mujoco.MjModel) -> None:
        try:
            model.body(self.main_body)
        except (KeyError, IndexError) as error:
            names = ", ".join(model.body(i).name for i in range(model.nbody))
            raise ValueError(f"main_body={self.main_body!r} is no body of {self.xml_file!r}: {names}.") from error

    @override
    def obs_size(self, model: mujoco.MjModel) -> int:
        forces = 6 * (model.nbody - 1) * int(self.include_cfrc_ext_in_observation)
        return model.nq + model.nv - 2 * int(self.exclude_current_positions_from_observation) + forces

    @override
    def observe(self, b: Bound, rows: Rows, out: Array) -> None:
        hidden = 2 * int(self.exclude_current_positions_from_observation)
        split, end = b.qpos.shape[1] - hidden, b.qpos.shape[1] - hidden + b.qvel.shape[1]
        out[:, :split] = b.qpos[rows, hidden:]
        out[:, split:end] = b.qvel[rows]
        if self.include_cfrc_ext_in_observation:
            forces = b.cfrc_ext.reshape(len(b.cfrc_ext), -1)[rows, 6:]
            np.clip(forces, *self.contact_force_range, out=out[:, end:])

    @override
    def draw(self, rng: np.random.Generator, qpos: Array, qvel: Array) -> tuple[Array, Array]:
        scale = self.reset_noise_scale
        position = qpos + rng.uniform(low=-scale, high=scale, size=len(qpos))
        return position, qvel + scale * rng.standard_normal(len(qvel))

    @override
    def position(self, b: Bound, rows: Rows) -> Array:
        return b.xpos[rows, b.model.body(self.main_body).id, :2].copy()

    @override
    def outcome(self, b: Bound, before: Array, after: Array, action: NDArray[Any], dt: float) -> Outcome:
        velocity = (after - before) / dt
        low, high = self.healthy_z_range
        healthy = np.isfinite(b.qpos).all(axis=1) & np.isfinite(b.qvel).all(axis=1)
        healthy &= (low <= b.qpos[:, 2]) & (b.qpos[:, 2] <= high)
        forward = velocity[:, 0] * self.forward_reward_weight
        survive = healthy * self.healthy_reward
        ctrl_cost = self.ctrl_cost_weight * squared_sum(action)
        contact_cost = self.contact_cost_weight * squared_sum(np.clip(b.cfrc_ext, *self.contact_force_range))
        info = {
            **_origin_info(b, slice(None)),
            "x_velocity": velocity[:, 0],
            "y_velocity": velocity[:, 1],
            "reward_forward": forward,
            "reward_ctrl": -ctrl_cost,
            "reward_contact": -contact_cost,
            "reward_survive": survive,
        }
        reward = forward + survive - (ctrl_cost + contact_cost)
        return Outcome(reward, ~healthy & self.terminate_when_unhealthy, info)

    @override
    def reset_info(self, b: Bound, rows: Rows) -> dict[str, NDArray[Any]]:
        return _origin_info(b, rows)


@dataclass(frozen=True)
class _HumanoidBody(Task):
    """What the two humanoid tasks share: the observation, the reset noise and the tendon entries of info."""

    derived: ClassVar[tuple[str, ...]] = (
        "xipos",
        "cinert",
        "cvel",
        "qfrc_actuator",
        "cfrc_ext",
        "ten_length",
        "ten_velocity",
    )

    ctrl_cost_weight: float
    reset_noise_scale: float
    exclude_current_positions_from_observation: bool
    include_cinert_in_observation: bool
    include_cvel_in_observation: bool
    include_qfrc_actuator_in_observation: bool
    include_cfrc_ext_in_observation: bool

    def _parts(self, b: Bound) -> list[Array]:
        """The parts of the observation in their order, each [B, width]; the world body is left out."""
        n = len(b.qpos)
        hidden = 2 * int(self.exclude_current_positions_from_observation)
        parts = [b.qpos[:, hidden:], b.qvel]
        if self.include_cinert_in_observation:
            parts.append(b.cinert.reshape(n, -1)[:, 10:])
        if self.include_cvel_in_observation:
            parts.append(b.cvel.reshape(n, -1)[:, 6:])
        if self.include_qfrc_actuator_in_observation:
            parts.append(b.qfrc_actuator[:, _FREE_JOINT_DOFS:])
        if self.include_cfrc_ext_in_observation:
            parts.append(b.cfrc_ext.reshape(n, -1)[:, 6:])
        return parts

    @override
    def obs_size(self, model: mujoco.MjModel) -> int:
        bodies, size = model.nbody - 1, model.nq + model.nv
        size -= 2 * int(self.exclude_current_positions_from_observation)
        size += 10 * bodies * int(self.include_cinert_in_observation)
        size += 6 * bodies * int(self.include_cvel_in_observation)
        size += (model.nv - _FREE_JOINT_DOFS) * int(self.include_qfrc_actuator_in_observation)
        return size + 6 * bodies * int(self.include_cfrc_ext_in_observation)

    @override
    def observe(self, b: Bound, rows: Rows, out: Array) -> None:
        start = 0
        for part in self._parts(b):
            out[:, start : start + part.shape[1]] = part[rows]
            start += part.shape[1]

    @override
    def draw(self, rng: np.random.Generator, qpos: Array, qvel: Array) -> tuple[Array, Array]:
        scale = self.reset_noise_scale
        position = qpos + rng.uniform(low=-scale, high=scale, size=len(qpos))
        return position, qvel + rng.uniform(low=-scale, high=scale, size=len(qvel))

    @staticmethod
    def _tendons(b: Bound, rows: Rows) -> dict[str, NDArray[Any]]:
        return {"tendon_length": b.ten_length[rows].copy(), "tendon_velocity": b.ten_velocity[rows].copy()}


@dataclass(frozen=True)
class Humanoid(_HumanoidBody):
    """Humanoid-v5: walk right on two legs without falling."""

    xml_file: str = "humanoid.xml"
    frame_skip: int = 5
    forward_reward_weight: float = 1.25
    ctrl_cost_weight: float = 0.1
    contact_cost_weight: float = 5e-7
    contact_cost_range: tuple[float, float] = (-math.inf, 10.0)
    healthy_reward: float = 5.0
    terminate_when_unhealthy: bool = True
    healthy_z_range: tuple[float, float] = (1.0, 2.0)
    reset_noise_scale: float = 1e-2
    exclude_current_positions_from_observation: bool = True
    include_cinert_in_observation: bool = True
    include_cvel_in_observation: bool = True
    include_qfrc_actuator_in_observation: bool = True
    include_cfrc_ext_in_observation: bool = True

    @override
    def position(self, b: Bound, rows: Rows) -> Array:
        xipos = b.xipos[rows]
        mass = b.body_mass if len(b.body_mass) == 1 else b.body_mass[rows]
        weighted = np.einsum("nb,nbj->nj", np.broadcast_to(mass, xipos.shape[:2]), xipos)
        return (weighted / mass.sum(axis=1)[:, None])[:, :2]

    @override
    def outcome(self, b: Bound, before: Array, after: Array, action: NDArray[Any], dt: float) -> Outcome:
        velocity = (after - before) / dt
        low, high = self.healthy_z_range
        healthy = (low < b.qpos[:, 2]) & (b.qpos[:, 2] < high)
        forward = self.forward_reward_weight * velocity[:, 0]
        survive = healthy * self.healthy_reward
        ctrl_cost = self.ctrl_cost_weight * squared_sum(b.ctrl)
        contact_cost = np.clip(self.contact_cost_weight * squared_sum(b.cfrc_ext), *self.contact_cost_range)
        info = {
            **self.reset_info(b, slice(None)),
            "x_velocity": velocity[:, 0],
            "y_velocity": velocity[:, 1],
            "reward_survive": survive,
            "reward_forward": forward,
            "reward_ctrl": -ctrl_cost,
            "reward_contact": -contact_cost,
        }
        reward = forward + survive - (ctrl_cost + contact_cost)
        return Outcome(reward, ~healthy & self.terminate_when_unhealthy, info)

    @override
    def reset_info(self, b: Bound, rows: Rows) -> dict[str, NDArray[Any]]:
        return {**_origin_info(b, rows), **self._tendons(b, rows)}


@dataclass(frozen=True)
class HumanoidStandup(_HumanoidBody):
    """HumanoidStandup-v5: get up from lying on the floor; never terminates."""

    xml_file: str = "humanoidstandup.xml"
    frame_skip: int = 5
    uph_cost_weight: float = 1.0  # Gymnasium accepts this weight too, and does not use it
    ctrl_cost_weight: float = 0.1
    impact_cost_weight: float = 0.5e-6
    impact_cost_range: tuple[float, float] = (-math.inf, 10.0)
    reset_noise_scale: float = 1e-2
    exclude_current_positions_from_observation: bool = True
    include_cinert_in_observation: bool = True
    include_cvel_in_observation: bool = True
    include_qfrc_actuator_in_observation: bool = True
    include_cfrc_ext_in_observation: bool = True

    @override
    def outcome(self, b: Bound, before: Array, after: Array, action: NDArray[Any], dt: float) -> Outcome:
        up = (b.qpos[:, 2] - 0) / b.model.opt.timestep
        ctrl_cost = self.ctrl_cost_weight * squared_sum(b.ctrl)
        impact_cost = np.clip(self.impact_cost_weight * squared_sum(b.cfrc_ext), *self.impact_cost_range)
        info = {
            **self.reset_info(b, slice(None)),
            "reward_linup": up,
            "reward_quadctrl": -ctrl_cost,
            "reward_impact": -impact_cost,
        }
        return Outcome(up - ctrl_cost - impact_cost + 1, np.zeros(len(up), np.bool_), info)

    @override
    def reset_info(self, b: Bound, rows: Rows) -> dict[str, NDArray[Any]]:
        return {
            "x_position": b.qpos[rows, 0].copy(),
            "y_position": b.qpos[rows, 1].copy(),
            "z_distance_from_origin": b.qpos[rows, 2] - b.model.qpos0[2],
            **self._tendons(b, rows),
        }
