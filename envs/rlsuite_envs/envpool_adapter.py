"""EnvPool's environments behind this package's contract: a `VectorEnv` that resets in the same step.

EnvPool (Weng et al., 2022) starts a finished episode only at the next step and ignores that step's action, so
the true last observation and the first one of the next episode arrive in different steps. This adapter resets
the finished environments at once, by their ids, and puts the true last observations into `info["final_obs"]`.

EnvPool is optional. Its MuJoCo tasks follow Gymnasium's definitions, but are not equal to them bit for bit.
"""

from __future__ import annotations

import difflib
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

__all__ = ["EnvPoolVectorEnv"]

_BOOKKEEPING = ("env_id", "players")


class EnvPoolVectorEnv(VectorEnv[NDArray[Any], NDArray[Any], NDArray[Any]]):
    """B environments of EnvPool with SAME_STEP autoreset.

    Args:
        id: EnvPool's id, which for its MuJoCo tasks is Gymnasium's ("HalfCheetah-v5").
        num_envs: number of environments B.
        num_threads: EnvPool's threads.
        **kwargs: EnvPool's configuration of the task, such as `max_episode_steps`.

    Raises:
        ImportError: if envpool is not installed.
        ValueError: an id that EnvPool does not have (naming the nearest), or observations that are no array.
    """

    def __init__(self, id: str, num_envs: int, *, num_threads: int = 1, **kwargs: Any) -> None:
        envpool = _import_envpool()
        known = envpool.list_all_envs()
        if id not in known:
            close = difflib.get_close_matches(id, known, n=3)
            hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else "list_all_envs() has them all."
            raise ValueError(f"EnvPool has no environment {id!r}. {hint}")
        self.id = id
        self.num_envs = num_envs
        self.num_threads = num_threads
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self._kwargs = kwargs
        self._pool = self._make(0)
        self._ready = False
        self.single_observation_space = self._pool.single_observation_space
        self.single_action_space = self._pool.single_action_space
        self.observation_space = self._pool.observation_space
        self.action_space = self._pool.action_space
        if not hasattr(self.single_observation_space, "dtype") or self.single_observation_space.dtype is None:
            self._pool.close()
            raise ValueError(f"{id!r} has observations that are no array; the adapter takes arrays only.")

    def _make(self, seed: int | list[int]) -> Any:
        size = {"num_envs": self.num_envs, "num_threads": self.num_threads}
        return _import_envpool().make(self.id, env_type="gymnasium", seed=seed, **size, **self._kwargs)

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start new episodes everywhere.

        Args:
            seed: EnvPool takes seeds only when it is made, so a seed makes it anew; None continues.
            options: ignored.
        """
        if seed is not None:
            self._pool.close()
            self._pool = self._make(seed)
        obs, info = self._pool.reset()
        self._ready = True
        return obs, self._entries(info)

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Advance all environments by one step, and start the next episodes where one ended."""
        if not self._ready:
            raise gym.error.ResetNeeded("Call reset() before step().")
        actions = np.asarray(actions, dtype=self.single_action_space.dtype)
        obs, reward, terminated, truncated, info = self._pool.step(actions)
        entries = self._entries(info)
        done = terminated | truncated
        if done.any():
            ids = np.flatnonzero(done).astype(np.int32)
            final_obs = obs.copy()
            first, _ = self._pool.reset(ids)
            obs = obs.copy()
            obs[ids] = first
            final = {"final_obs": final_obs, "_final_obs": done, "final_info": entries, "_final_info": done}
            entries = {**entries, **final}
        return obs, reward, terminated, truncated, entries

    @staticmethod
    def _entries(info: dict[str, Any]) -> dict[str, Any]:
        """EnvPool's info without its bookkeeping."""
        return {name: value for name, value in info.items() if name not in _BOOKKEEPING}

    def close_extras(self, **kwargs: Any) -> None:
        """Stop EnvPool's threads."""
        self._ready = False
        self._pool.close()


def _import_envpool() -> Any:
    """The envpool package, or an ImportError with the remedy."""
    try:
        import envpool
    except ImportError as error:
        raise ImportError(
            "EnvPool is not installed. Install it by `pip install 'rlsuite[bench]'`, or use another vectorization."
        ) from error
    return envpool
