"""The ids of the family that are no kernels; imports neither torch nor MuJoCo."""

from __future__ import annotations

import gymnasium as gym

__all__ = ["ANT_COVERAGE", "register_ant_coverage"]

ANT_COVERAGE: tuple[tuple[str, str, str], ...] = (
    ("rlsuite/AntCoverage-v0", "marginal", "Cover a square with MuJoCo's Ant, paid for new ground."),
    ("rlsuite/AntCoverage-modular-v0", "modular", "The same, paid for all ground covered so far, each step."),
)
"""Id, reward and one-line description (for `rlsuite list`) of each ant coverage task."""


def register_ant_coverage() -> None:
    """Register the ids with Gymnasium, skipping those that are already there."""
    for id, reward, _ in ANT_COVERAGE:
        if id not in gym.registry:
            gym.register(
                id=id,
                entry_point="rlsuite_envs.coverage.ant:AntCoverageEnv",
                vector_entry_point="rlsuite_envs.coverage.ant:AntCoverageVectorEnv",
                max_episode_steps=400,
                kwargs={"reward": reward},
            )
