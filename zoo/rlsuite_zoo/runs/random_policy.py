"""The policy that everything must beat: uniform over the action space, or over the actions allowed."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from rlsuite.core.actions import action_spec

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
        """Actions [B, ...] (or one, for a single environment), whatever is observed.

        The mask is [B, A'] or [A'] bool, as `Kernel.action_mask` has it.
        """
        if action_masks is None or not isinstance(
            self._one, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary
        ):
            return self._space.sample(), None
        mask = np.asarray(action_masks, dtype=bool)
        actions = self._allowed(mask if self._vector else mask[None])
        return (actions if self._vector else actions[0]), None

    def _allowed(self, mask: NDArray[np.bool_]) -> NDArray[Any]:
        """One allowed action [B, ...] of each row of the mask [B, A'], in the space's shape and dtype."""
        spec = action_spec(self._one)
        scores = np.where(mask, self._rng.random(mask.shape), -1.0)
        parts = np.split(scores, np.cumsum(spec.choices)[:-1], axis=1)
        chosen = np.stack([part.argmax(1) for part in parts], axis=1)
        return (chosen.reshape(-1, *spec.shape) + spec.start).astype(spec.dtype)
