"""Registration of the family's environments; imports neither torch nor MuJoCo."""

from __future__ import annotations

import gymnasium as gym

__all__ = ["TWO_PLAYER", "register_two_player"]

TWO_PLAYER: tuple[tuple[str, str, str], ...] = (
    (
        "rlsuite/WindyPoint-v0",
        "rlsuite_envs.two_player.windy_point:WindyPoint",
        "Push a mass to a goal through an adversary's wind (two players).",
    ),
    (
        "rlsuite/ProbeSaddle-v0",
        "rlsuite_envs.probes.saddle:ProbeSaddle",
        "Probe: find the saddle point of a game of one step (two players).",
    ),
)
"""Id, kernel and one-line description of each game. Its action is a pair, unknown to one-player checkers."""


def register_two_player() -> None:
    """Register the games: `make` gives one, `make_vec` many."""
    for id, kernel, _ in TWO_PLAYER:
        if id not in gym.registry:
            gym.register(
                id=id,
                entry_point="rlsuite_envs.single:TensorEnv",
                vector_entry_point="rlsuite_envs.vector:TensorVectorEnv",
                kwargs={"kernel": kernel},
            )
