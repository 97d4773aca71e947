"""Any environments that pay a vector of objectives, as one vector environment.

By mo-gymnasium's convention such an environment has a `reward_space`, a Box of shape (K,), and `step` returns a reward
[K]. Gymnasium's own vector environments expect numbers; this one stacks what comes.

Letters: B environments, K objectives.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import concatenate, iterate
from numpy.typing import NDArray

__all__ = ["ManyObjectivesVectorEnv", "mentions_objectives", "reward_space_of"]

_TRANSPARENT = ("gymnasium.", "mo_gymnasium.", "rlsuite_envs.")


class ManyObjectivesVectorEnv(SyncVectorEnv[Any, Any]):
    """B single environments, stepped one after the other in this process; autoreset SAME_STEP, rewards [B, K].

    Seeds, spaces, infos, `final_obs` and `final_info` are those of Gymnasium's `SyncVectorEnv` in the same mode: seed s
    gives s + i to environment i. `make_vector_env` chooses it where an id needs it; for an environment object it is
    `ManyObjectivesVectorEnv([lambda: env])`.

    Args:
        env_fns: B functions that make one environment each. Their spaces must be equal. Gymnasium's checker, which
            wants scalar rewards, should be off: `gym.make(id, disable_env_checker=True)`.

    Attributes:
        reward_space: Box [K] of one environment's reward vector; None where a wrapper hides it.
        reward_dim: K; None as above.
        objective_names: names of the objectives, if the environments have such an attribute; else None.

    Raises:
        ValueError: no environment.
    """

    def __init__(self, env_fns: Sequence[Callable[[], gym.Env[Any, Any]]]) -> None:
        if not env_fns:
            raise ValueError("env_fns is empty; give at least one function that makes an environment.")
        super().__init__(env_fns, autoreset_mode=AutoresetMode.SAME_STEP)
        self.reward_space = reward_space_of(self.envs[0])
        self.reward_dim = None if self.reward_space is None else self.reward_space.shape[0]
        self.objective_names: tuple[str, ...] | None = getattr(self.envs[0].unwrapped, "objective_names", None)

    def step(self, actions: Any) -> tuple[Any, NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Step all environments; ended ones restart at once.

        Args:
            actions: [B, *action_shape], an element of `action_space`.

        Returns:
            obs [B, *obs_shape] (or a dict or tuple of such), reward [B, K] in the environments' dtype (float64 for
            integers), terminated [B], truncated [B], info. Where an episode ended, obs is the first of the next one,
            and info["final_obs"] and info["final_info"] hold the last ones.

        Raises:
            ValueError: an environment pays a reward of another shape than the others, or than its `reward_space`.
        """
        rewards: list[NDArray[Any]] = []
        terminated, truncated = np.zeros(self.num_envs, np.bool_), np.zeros(self.num_envs, np.bool_)
        infos: dict[str, Any] = {}
        for i, (env, action) in enumerate(zip(self.envs, iterate(self.action_space, actions), strict=True)):
            self._env_obs[i], reward, terminated[i], truncated[i], info = env.step(action)
            rewards.append(np.array(reward))  # a copy: the environment may write into the same array again
            if terminated[i] or truncated[i]:
                infos = self._add_info(infos, {"final_obs": self._env_obs[i], "final_info": info}, i)
                self._env_obs[i], info = env.reset()
            infos = self._add_info(infos, info, i)
        self._check_shapes(rewards)
        self._observations = concatenate(self.single_observation_space, self._env_obs, self._observations)
        reward = np.stack(rewards)
        reward = reward if reward.dtype.kind == "f" else reward.astype(np.float64)
        return copy.deepcopy(self._observations), reward, terminated, truncated, infos

    def _check_shapes(self, rewards: list[NDArray[Any]]) -> None:
        wanted = rewards[0].shape if self.reward_dim is None else (self.reward_dim,)
        for i, reward in enumerate(rewards):
            if reward.shape != wanted:
                source = "environment 0 pays" if self.reward_dim is None else "reward_space says"
                raise ValueError(
                    f"environment {i} pays a reward of shape {reward.shape} where {source} {wanted}; let step return "
                    "one number for each objective, always, and reward_space be a Box of that shape."
                )


def reward_space_of(env: gym.Env[Any, Any]) -> Box | None:
    """The Box [K] of the reward vectors that an environment pays; None for numbers, or where it cannot be told.

    The outermost layer that has a `reward_space` decides; what makes numbers of them, or may do so unseen (a reward
    wrapper, or a wrapper of unknown origin without that attribute), leaves it open.
    """
    layer: Any = env
    while True:
        space = getattr(layer, "reward_space", None)
        if space is not None:
            return space if isinstance(space, Box) and len(space.shape) == 1 else None
        if layer is layer.unwrapped:
            return None
        known = type(layer).__module__.startswith(_TRANSPARENT) and type(layer).__name__ != "LinearReward"
        if isinstance(layer, gym.RewardWrapper) or not known:
            return None
        layer = layer.env


def mentions_objectives(env: gym.Env[Any, Any]) -> bool:
    """Whether any layer of an environment has a `reward_space`, so that it may pay vectors."""
    return env.has_wrapper_attr("reward_space") and env.get_wrapper_attr("reward_space") is not None
