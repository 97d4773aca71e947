"""A game of two players as its first one's environment, the other at rest: for pictures and films of a protagonist."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

__all__ = ["AtRest", "one_player"]


class AtRest(gym.ActionWrapper[Any, Any, Any]):
    """Takes the agent's action and adds the adversary's nothing (0, or the nearest its box has).

    Args:
        env: its actions are `Tuple((agent, adversary))`, the adversary's a Box.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        assert isinstance(env.action_space, spaces.Tuple)  # asked by one_player
        self.action_space, other = env.action_space.spaces
        assert isinstance(other, spaces.Box)
        self.nothing = np.clip(np.zeros(other.shape, other.dtype), other.low, other.high)

    def action(self, action: Any) -> Any:
        """The pair."""
        return action, self.nothing


def one_player(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """The environment itself, or `AtRest` where its action is a pair."""
    return AtRest(env) if isinstance(env.action_space, spaces.Tuple) and len(env.action_space) == 2 else env
