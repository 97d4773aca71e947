"""Registration of the family's environments that are no kernels; imports neither torch nor MuJoCo."""

from __future__ import annotations

import gymnasium as gym

__all__ = ["ANT_MAZES", "register_ant_maze"]

ANT_MAZES: tuple[tuple[str, str], ...] = (
    ("rlsuite/AntObstacles-v0", "Walk as MuJoCo's ant around walls to a far corner (sparse reward)."),
)
"""Ids of the ant mazes, each with a one-line description."""


def register_ant_maze() -> None:
    """Register `rlsuite/AntObstacles-v0`: a MujocoEnv alone, the pool when asked for a vector."""
    for id, _ in ANT_MAZES:
        if id not in gym.registry:
            gym.register(
                id=id,
                entry_point="rlsuite_envs.mazes.ant.ant_maze:AntObstacles",
                vector_entry_point="rlsuite_envs.mazes.ant.ant_maze:AntObstaclesPool",
            )
