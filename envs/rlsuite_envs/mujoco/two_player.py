"""MuJoCo tasks with a second player who pushes: the games of robust adversarial reinforcement learning.

The adversary's action [B, D] is a Cartesian force in world axes, in newtons, on named bodies of the robot: for planar
robots (x, z) of each body, else (x, y, z). Both players act at once; the reward is the protagonist's.

    game = ForcedPool("Hopper-v5", num_envs=16, adv_fraction=0.25)
    obs, info = game.reset(seed=0)
    obs, reward, terminated, truncated, info = game.step((action, force))

Three traps of the published implementations are closed: the force is clipped to its box before it is written, it is
written anew at every step, and nothing of it is left in a new episode.

Source: Pinto et al. 2017, arXiv:1703.02702, and their release lerrel/gym-adv (`gym/envs/adversarial/mujoco`), whose
bodies, axes and largest forces `PUSHES` has, for the bodies of Gymnasium's v5 models: of several variants in the
release the paper's (HalfCheetah: torso and feet, Hopper: foot, Walker2d: both feet). For the ant the paper speaks of
the feet, the release of the torso; the torso is taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from rlsuite_envs.action_arrays import shown
from rlsuite_envs.mujoco.pool import MujocoPool
from rlsuite_envs.mujoco.validate import finite_action

__all__ = ["PUSHES", "ForcedPool", "Push"]


@dataclass(frozen=True)
class Push:
    """Bodies, axes and largest force of an adversary's pushes."""

    bodies: tuple[str, ...]
    """Names of the pushed bodies in the model."""
    axes: str
    """World axes of the forces, out of "xyz" in this order."""
    max_force: float = 5.0
    """Largest force along an axis, N."""


PUSHES: Mapping[str, Push] = {
    "Ant-v5": Push(("torso",), "xyz"),
    "HalfCheetah-v5": Push(("torso", "bfoot", "ffoot"), "xz"),
    "Hopper-v5": Push(("foot",), "xz"),
    "Humanoid-v5": Push(("torso",), "xyz", 10.0),
    "InvertedDoublePendulum-v5": Push(("pole2",), "xz"),
    "InvertedPendulum-v5": Push(("pole",), "xz"),
    "Reacher-v5": Push(("body0",), "xy"),
    "Swimmer-v5": Push(("torso",), "xyz"),
    "Walker2d-v5": Push(("foot", "foot_left"), "xz"),
}
"""The adversary of each task; see the module for the source."""


class ForcedPool(VectorEnv[Any, Any, Any]):
    """A MuJoCo pool whose action is a pair: the robot's controls and the adversary's forces.

    With forces of 0 (or None in their place) it is the plain pool, bit for bit.

    Args:
        env: a task's id, or a pool.
        num_envs: B, when `env` is an id.
        bodies: names of the pushed bodies; None takes those of `PUSHES`.
        axes: world axes of the forces, such as "xz"; None as above ("xyz" for tasks without an entry).
        max_force: largest force along an axis, N, at least 0; None as above (5 N).
        adv_fraction: share of `max_force` the adversary has, in [0, 1]; the release trains with 0.25.
        **kwargs: the pool's further arguments, when `env` is an id.

    Raises:
        ValueError: a task without an adversary when `bodies` is None, an unknown body, axes that are no part of
            "xyz", or a number out of range; always before anything is simulated.
    """

    def __init__(
        self,
        env: str | MujocoPool,
        num_envs: int = 1,
        *,
        bodies: str | Sequence[str] | None = None,
        axes: str | None = None,
        max_force: float | None = None,
        adv_fraction: float = 1.0,
        **kwargs: Any,
    ) -> None:
        id = env if isinstance(env, str) else env.id
        known = PUSHES.get(id.removeprefix("rlsuite/"))
        if bodies is None and known is None:
            raise ValueError(
                f"{id} has no adversary of its own ({', '.join(PUSHES)} have); name the bodies it pushes: bodies=(...)."
            )
        self.bodies = ((bodies,) if isinstance(bodies, str) else tuple(bodies)) if bodies else known.bodies  # type: ignore[union-attr]
        self.axes = axes or (known.axes if known else "xyz")
        force = (known.max_force if known else 5.0) if max_force is None else max_force
        if not self.axes or list(self.axes) != [axis for axis in "xyz" if axis in self.axes]:
            raise ValueError(f"axes={axes!r} must be some of 'xyz' in this order, such as 'xz'.")
        _check_share("max_force", force, math.inf)
        _check_share("adv_fraction", adv_fraction, 1.0)
        self.pool = MujocoPool(env, num_envs, **kwargs) if isinstance(env, str) else env
        self._ids = self.pool.perturbation.body_ids(self.bodies)
        self._axes = ["xyz".index(axis) for axis in self.axes]
        self.max_force = float(force) * float(adv_fraction)
        self.id = self.pool.id
        self.spec = self.pool.spec
        self.num_envs = self.pool.num_envs
        self.metadata = self.pool.metadata
        self.render_mode = self.pool.render_mode
        self.objective_names = self.pool.objective_names
        self.reward_space = self.pool.reward_space
        self.reward_dim = self.pool.reward_dim
        size = len(self.bodies) * len(self.axes)
        forces = spaces.Box(-self.max_force, self.max_force, (size,), np.float32)
        self.single_observation_space = self.pool.single_observation_space
        self.observation_space = self.pool.observation_space
        self.single_action_space = spaces.Tuple((self.pool.single_action_space, forces))
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._force = np.zeros((self.num_envs, len(self.bodies), 3))

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start new episodes as the pool does, without any force left from before."""
        obs, info = self.pool.reset(seed=seed, options=options)
        self.pool.perturbation.push(self._ids, None)
        return obs, info

    def step(
        self, actions: tuple[NDArray[Any], NDArray[Any] | None]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Advance every environment with both players' actions.

        Args:
            actions: controls [B, A], and forces [B, D] in N, body after body, clipped to the box; None pushes nobody.

        Returns:
            As the pool's; the reward [B] is the protagonist's.

        Raises:
            ValueError: not a pair, or one of them of another shape or not finite.
        """
        if not isinstance(actions, tuple | list) or len(actions) != 2:
            raise ValueError(
                f"{self.id} has two players: an action is a pair (controls, forces), got {shown(actions)}."
            )
        control, forces = actions
        # Before the forces are set: what is refused must change nothing.
        control = finite_action(self.id, control, self.pool.action_space.shape or ())
        if forces is None:
            self.pool.perturbation.push(self._ids, None)
        else:
            shape = (self.num_envs, len(self.bodies) * len(self.axes))
            given = finite_action(f"{self.id} (adversary)", forces, shape)
            clipped = np.clip(given, -self.max_force, self.max_force)
            self._force[:, :, self._axes] = clipped.reshape(self.num_envs, len(self.bodies), len(self.axes))
            self.pool.perturbation.push(self._ids, self._force)
        obs, reward, terminated, truncated, info = self.pool.step(control)
        done = terminated | truncated
        if done.any():
            self.pool.perturbation.release(np.flatnonzero(done))
        return obs, reward, terminated, truncated, info

    def applied_force(self) -> NDArray[np.float64]:
        """Forces [B, n, 3] in N that now act on the n named bodies."""
        return self.pool.perturbation.applied(self._ids)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """State of the pool; forces belong to a step, not to the state."""
        return self.pool.state_dict()

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore the state of the pool."""
        self.pool.load_state_dict(state)
        self.pool.perturbation.push(self._ids, None)

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """The pool's picture."""
        return self.pool.render()

    def close_extras(self, **kwargs: Any) -> None:
        """Close the pool."""
        self.pool.close(**kwargs)


def _check_share(name: str, value: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most or math.isinf(value):
        raise ValueError(f"{name}={value!r} must be a finite number in [0, {most:g}].")
