"""One number from a vector of objectives: the weighted sum, for a single environment or for a vector of them.

With weights w [K] the reward is w . r for the reward vector r [K]. Then every algorithm for one objective can be used;
which compromises a weighted sum can find at all is another matter: only those on the convex hull of the Pareto front.

Weights need not sum to 1: (1, 0.1) is speed less a tenth of the control cost. A negative weight would reward the
opposite of an objective, which is more often a mistake than a wish, so that it must be allowed by name.

Letters: B environments, K objectives.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv, VectorRewardWrapper
from numpy.typing import ArrayLike, NDArray

from rlsuite_envs.multi_objective.single_to_vector import reward_space_of

__all__ = ["LinearReward", "LinearRewardVector"]


class LinearReward(gym.RewardWrapper[Any, Any], RecordConstructorArgs):
    """A single environment whose reward is the weighted sum of its objectives.

    The vector stays in info["vector_reward"] [K].

    Args:
        env: an environment that pays a reward vector [K].
        weights: w [K], finite, not all 0.
        allow_negative: whether weights may be negative.

    Raises:
        ValueError: weights of another length than the environment's `reward_space`, negative, all 0 or not finite.
        TypeError: no numbers, or no environment.
    """

    def __init__(self, env: gym.Env[Any, Any], weights: ArrayLike, *, allow_negative: bool = False) -> None:
        RecordConstructorArgs.__init__(self, weights=weights, allow_negative=allow_negative)
        gym.RewardWrapper.__init__(self, env)
        space = reward_space_of(env)
        self._weights = checked_weights(weights, None if space is None else space.shape[0], allow_negative)

    @property
    def weights(self) -> NDArray[np.float64]:
        """The weights w [K], a copy."""
        return self._weights.copy()

    def reward(self, reward: Any) -> float:
        """The weighted sum w . r of a reward vector r [K].

        Raises:
            ValueError: a reward of another shape.
        """
        reward = np.asarray(reward)
        _check_length(reward.shape, self._weights.shape)
        return float(reward @ self._weights)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take one step; the reward is a number, and info["vector_reward"] the objectives [K]."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        return obs, self.reward(reward), terminated, truncated, {**info, "vector_reward": np.array(reward)}


class LinearRewardVector(VectorRewardWrapper):
    """A vector environment whose reward [B] is the weighted sum of its objectives [B, K].

    The vectors stay in info["vector_reward"] [B, K], all of the step just taken, also where an episode ended. NumPy
    environments give float64, torch environments their own dtype on their own device. Further attributes and methods
    (`state_dict`, `action_masks`, ...) are the environment's.

    Args:
        env: a vector environment that pays reward vectors [B, K].
        weights: w [K], finite, not all 0.
        allow_negative: whether weights may be negative.

    Raises:
        ValueError: weights of another length than the environment's `reward_space`, negative, all 0 or not finite.
        TypeError: no numbers, or no vector environment.
    """

    reward_space = None
    reward_dim = None
    objective_names = None

    def __init__(self, env: VectorEnv[Any, Any, Any], weights: ArrayLike, *, allow_negative: bool = False) -> None:
        super().__init__(env)
        shape = getattr(getattr(env, "reward_space", None), "shape", None)
        self._weights = checked_weights(weights, shape[-1] if shape else None, allow_negative)
        self._tensor: Any = None

    @property
    def weights(self) -> NDArray[np.float64]:
        """The weights w [K], a copy."""
        return self._weights.copy()

    def rewards(self, reward: Any) -> Any:
        """The weighted sums [B] of reward vectors [B, K], arrays or tensors.

        Raises:
            ValueError: rewards of another shape.
        """
        _check_length(tuple(reward.shape[1:]), self._weights.shape)
        if isinstance(reward, np.ndarray):
            return reward @ self._weights
        if self._tensor is None or (self._tensor.dtype, self._tensor.device) != (reward.dtype, reward.device):
            self._tensor = reward.new_tensor(self._weights)
        return reward @ self._tensor

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step all environments; the reward [B] is the weighted sum, info["vector_reward"] [B, K] its objectives."""
        obs, reward, terminated, truncated, info = self.env.step(actions)
        everywhere = terminated | True
        return (
            obs,
            self.rewards(reward),
            terminated,
            truncated,
            {**info, "vector_reward": reward, "_vector_reward": everywhere},
        )

    def __getattr__(self, name: str) -> Any:
        """An attribute or method of the environment."""
        if name.startswith("_") or name == "env":
            raise AttributeError(name)
        return getattr(self.env, name)


def checked_weights(weights: ArrayLike, count: int | None, allow_negative: bool = False) -> NDArray[np.float64]:
    """The weights as an array [K] of their own.

    Args:
        weights: K numbers.
        count: K, or None where it is not known.
        allow_negative: whether they may be negative.

    Raises:
        ValueError: another length than K, negative, all 0 or not finite.
        TypeError: no numbers.
    """
    try:
        found = np.array(weights, np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"weights={weights!r} must be K numbers, one for each objective.") from error
    if found.ndim != 1 or not found.size:
        raise ValueError(f"weights={weights!r} has shape {found.shape} but must have (K,), one for each objective.")
    if count is not None and len(found) != count:
        raise ValueError(f"weights={weights!r} has length {len(found)}, but the environment has {count} objectives.")
    if not np.isfinite(found).all():
        raise ValueError(f"weights={weights!r} must be finite.")
    if not allow_negative and (found < 0).any():
        raise ValueError(
            f"weights={weights!r} rewards the opposite of an objective; make it 0 or more, or say allow_negative=True."
        )
    if not found.any():
        raise ValueError(f"weights={weights!r} makes every reward 0; give at least one objective a weight.")
    return found


def _check_length(shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if shape != wanted:
        raise ValueError(
            f"the environment pays a reward of shape {shape} at each step, but there are {wanted[0]} weights; give one "
            "weight for each objective (an environment with one objective needs no weights)."
        )
