"""The reaching tasks: Reacher and Pusher. See `task` for the conventions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import mujoco
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from rlsuite_envs.mujoco.task import ALL, Array, Bound, Outcome, Rows, Task, squared_sum

__all__ = ["Pusher", "Reacher"]


def _norm(vector: Array) -> Array:
    """Lengths of the rows; vecdot is the dot product that `np.linalg.norm` takes of one vector."""
    return np.sqrt(np.vecdot(vector, vector))


@dataclass(frozen=True)
class _Arm(Task):
    """What the two arms share: named bodies whose distances are rewarded."""

    derived: ClassVar[tuple[str, ...]] = ("xpos",)
    bodies: ClassVar[tuple[str, ...]]
    min_sizes: ClassVar[tuple[int, int]]  # (nq, nv) that the observation reads

    @override
    def check_model(self, model: mujoco.MjModel) -> None:
        names = {model.body(i).name for i in range(model.nbody)}
        missing = [name for name in self.bodies if name not in names]
        if missing or model.nq < self.min_sizes[0] or model.nv < self.min_sizes[1]:
            raise ValueError(
                f"{type(self).__name__} needs a model with the bodies {', '.join(self.bodies)} and at least "
                f"nq, nv = {self.min_sizes}; {self.xml_file!r} has nq={model.nq}, nv={model.nv} and lacks "
                f"{', '.join(missing) or 'no body'}."
            )

    @staticmethod
    def _body(b: Bound, name: str, rows: Rows) -> Array:
        """Position of the named body, [n, 3]."""
        return b.xpos[rows, b.model.body(name).id]


@dataclass(frozen=True)
class Reacher(_Arm):
    """Reacher-v5: move the fingertip of a two-joint arm to a random target; never terminates."""

    max_episode_steps: ClassVar[int] = 50
    bodies: ClassVar[tuple[str, ...]] = ("fingertip", "target")
    min_sizes: ClassVar[tuple[int, int]] = (4, 4)

    xml_file: str = "reacher.xml"
    frame_skip: int = 2
    reward_dist_weight: float = 1.0
    reward_control_weight: float = 1.0

    @override
    def obs_size(self, model: mujoco.MjModel) -> int:
        return model.nq + 6

    @override
    def observe(self, b: Bound, rows: Rows, out: Array) -> None:
        # cos and sin of a contiguous array: NumPy's strided loops may round differently
        angles = np.ascontiguousarray(b.qpos[rows, :2])
        end = b.qpos.shape[1] + 2
        out[:, 0:2] = np.cos(angles)
        out[:, 2:4] = np.sin(angles)
        out[:, 4:end] = b.qpos[rows, 2:]
        out[:, end : end + 2] = b.qvel[rows, :2]
        out[:, end + 2 :] = (self._body(b, "fingertip", rows) - self._body(b, "target", rows))[:, :2]

    @override
    def draw(self, rng: np.random.Generator, qpos: Array, qvel: Array) -> tuple[Array, Array]:
        position = rng.uniform(low=-0.1, high=0.1, size=len(qpos)) + qpos
        while True:
            goal = rng.uniform(low=-0.2, high=0.2, size=2)
            if np.linalg.norm(goal) < 0.2:
                break
        position[-2:] = goal
        velocity = qvel + rng.uniform(low=-0.005, high=0.005, size=len(qvel))
        velocity[-2:] = 0
        return position, velocity

    @override
    def outcome(self, b: Bound, before: Array, after: Array, action: NDArray[Any], dt: float) -> Outcome:
        distance = _norm(self._body(b, "fingertip", ALL) - self._body(b, "target", ALL))
        reward_dist = -distance * self.reward_dist_weight
        reward_ctrl = -squared_sum(action) * self.reward_control_weight
        info = {"reward_dist": reward_dist, "reward_ctrl": reward_ctrl}
        return Outcome(reward_dist + reward_ctrl, np.zeros(len(distance), np.bool_), info)


@dataclass(frozen=True)
class Pusher(_Arm):
    """Pusher-v5: push a cylinder with a seven-joint arm to a goal; never terminates."""

    max_episode_steps: ClassVar[int] = 100
    bodies: ClassVar[tuple[str, ...]] = ("tips_arm", "object", "goal")
    min_sizes: ClassVar[tuple[int, int]] = (11, 11)

    xml_file: str = "pusher_v5.xml"
    frame_skip: int = 5
    reward_near_weight: float = 0.5
    reward_dist_weight: float = 1.0
    reward_control_weight: float = 0.1

    @override
    def obs_size(self, model: mujoco.MjModel) -> int:
        return 23

    @override
    def observe(self, b: Bound, rows: Rows, out: Array) -> None:
        out[:, 0:7] = b.qpos[rows, :7]
        out[:, 7:14] = b.qvel[rows, :7]
        for i, name in enumerate(self.bodies):
            out[:, 14 + 3 * i : 17 + 3 * i] = self._body(b, name, rows)

    @override
    def draw(self, rng: np.random.Generator, qpos: Array, qvel: Array) -> tuple[Array, Array]:
        position, goal = qpos.copy(), np.zeros(2)
        while True:
            x = rng.uniform(low=-0.3, high=0, size=1)
            cylinder = np.concatenate([x, rng.uniform(low=-0.2, high=0.2, size=1)])
            if np.linalg.norm(cylinder - goal) > 0.17:
                break
        position[-4:-2] = cylinder
        position[-2:] = goal
        velocity = qvel + rng.uniform(low=-0.005, high=0.005, size=len(qvel))
        velocity[-4:] = 0
        return position, velocity

    @override
    def outcome(self, b: Bound, before: Array, after: Array, action: NDArray[Any], dt: float) -> Outcome:
        tip, thing, goal = (self._body(b, name, ALL) for name in self.bodies)
        reward_near = -_norm(thing - tip) * self.reward_near_weight
        reward_dist = -_norm(thing - goal) * self.reward_dist_weight
        reward_ctrl = -squared_sum(action) * self.reward_control_weight
        info = {"reward_dist": reward_dist, "reward_ctrl": reward_ctrl, "reward_near": reward_near}
        return Outcome(reward_dist + reward_ctrl + reward_near, np.zeros(len(thing), np.bool_), info)
