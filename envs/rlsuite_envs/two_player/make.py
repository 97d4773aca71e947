"""One question, one answer: the two-player game that an environment is, or can be made into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gymnasium import spaces
from gymnasium.vector import VectorEnv

__all__ = ["as_game"]


def as_game(
    env: VectorEnv[Any, Any, Any],
    *,
    bodies: str | Sequence[str] | None = None,
    max_force: float | None = None,
) -> VectorEnv[Any, Any, Any]:
    """The game of a vector environment: actions `spaces.Tuple((agent, adversary))`, reward the agent's.

    Args:
        env: a game already (returned as it is), or a MuJoCo pool, which gets an adversary that pushes.
        bodies: of a pool only; see `ForcedPool`.
        max_force: of a pool only, N; see `ForcedPool`.

    Raises:
        ValueError: neither of the two, forces for an environment that is no pool, or what `ForcedPool` refuses.
    """
    space = env.single_action_space
    if isinstance(space, spaces.Tuple) and len(space.spaces) == 2:
        if bodies is not None or max_force is not None:
            raise ValueError(
                f"bodies={bodies!r} and max_force={max_force!r} are for MuJoCo tasks; this game's adversary has "
                f"actions of its own, {space.spaces[1]}: set them by its arguments."
            )
        return env
    from rlsuite_envs.mujoco import MujocoPool
    from rlsuite_envs.mujoco.two_player import ForcedPool

    if not isinstance(env, MujocoPool):
        raise ValueError(
            f"{getattr(getattr(env, 'spec', None), 'id', None) or type(env).__name__} has no second player: use a "
            "MuJoCo task (its adversary pushes the robot), 'rlsuite/WindyPoint-v0', or any vector environment whose "
            "action space is Tuple((agent, adversary))."
        )
    return ForcedPool(env, bodies=bodies, max_force=max_force)
