"""The policy that everything must beat: uniform over the action space, or over the actions allowed."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

__all__ = ["RandomPolicy"]


class RandomPolicy:
    """Uniform actions for one environment or a vector of them; Stable-Baselines3's `predict`.

    Args:
        env: whose actions to sample.
        seed: of the samples.
    """

    def __init__(self, env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any], seed: int) -> None:
        self._one = env.single_action_space if isinstance(env, VectorEnv) else env.action_space
        self._vector = isinstance(env, VectorEnv)
        self._space = env.action_space
        self._space.seed(seed)
        self._rng = np.random.default_rng(seed)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[Any, None]:
        """Actions [B, ...] (or one, for a single environment), whatever is observed; the mask is [B, A'] or [A']."""
        if action_masks is None or not isinstance(self._one, spaces.Discrete | spaces.MultiDiscrete):
            return self._space.sample(), None
        mask = np.asarray(action_masks, dtype=bool)
        actions = self._allowed(mask if self._vector else mask[None])
        return (actions if self._vector else actions[0]), None

    def _allowed(self, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        """One allowed action [B] or [B, M] of each row of the mask [B, A']."""
        scores = np.where(mask, self._rng.random(mask.shape), -1.0)
        if isinstance(self._one, spaces.Discrete):
            return scores.argmax(1) + int(self._one.start)
        assert isinstance(self._one, spaces.MultiDiscrete)
        parts = np.split(scores, np.cumsum(self._one.nvec)[:-1], axis=1)
        return np.stack([part.argmax(1) for part in parts], axis=1) + self._one.start
