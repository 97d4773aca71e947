"""Evaluation: whole episodes of a policy on raw rewards, with a bootstrap interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv

from rlsuite.core.statistics import Interval, bootstrap_interval


class Predictor(Protocol):
    """Stable-Baselines3's predict."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """Actions [B, ...] and the recurrent state."""


@dataclass(frozen=True)
class Evaluation:
    """Undiscounted returns [E] and lengths [E] of E episodes, and the 95 % bootstrap interval of the mean return."""

    returns: np.ndarray
    lengths: np.ndarray
    interval: Interval

    @property
    def episodes(self) -> int:
        """E."""
        return len(self.returns)


def evaluate(
    policy: Predictor,
    env: str | gym.Env[Any, Any] | VectorEnv[Any, Any, Any],
    *,
    episodes: int,
    seed: int = 0,
    deterministic: bool = True,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Play `episodes` whole episodes.

    Each environment plays a share fixed in advance, so short episodes are not counted more often than long ones.

    Args:
        policy: anything with Stable-Baselines3's predict; a model's normalisers stay frozen.
        env: id, environment, or vector environment (SAME_STEP autoreset).
        episodes: E, at least 1.
        seed: of the environments' first reset.
        deterministic: the policy's mode, or samples.
        progress: called with the number of finished episodes whenever it changes.

    Raises:
        ValueError: `episodes` below 1, or a vector environment that does not reset in the same step.
        FloatingPointError: NaN or infinite rewards; names step and environment.
    """
    if episodes < 1:
        raise ValueError(f"episodes is {episodes}; evaluate at least 1")
    venv, own = _vector(env, episodes)
    try:
        returns, lengths = _play(policy, venv, episodes, seed, deterministic, progress)
    finally:
        if own:
            venv.close()
    return Evaluation(returns, lengths, bootstrap_interval(returns))


def _vector(env: Any, episodes: int) -> tuple[VectorEnv[Any, Any, Any], bool]:
    """A SAME_STEP vector env of `env`, and whether it was made here."""
    if isinstance(env, str):
        from rlsuite_envs.make import make_vector_env

        return make_vector_env(env, min(episodes, 10)), True
    if isinstance(env, gym.Env):
        return gym.vector.SyncVectorEnv([lambda: env], autoreset_mode=AutoresetMode.SAME_STEP), False
    if env.metadata.get("autoreset_mode") != AutoresetMode.SAME_STEP:
        raise ValueError(f"evaluation needs AutoresetMode.SAME_STEP, not {env.metadata.get('autoreset_mode')}")
    return env, False


def _numpy(value: Any) -> Any:
    return value.cpu().numpy() if isinstance(value, torch.Tensor) else value


def _play(
    policy: Predictor,
    venv: VectorEnv[Any, Any, Any],
    episodes: int,
    seed: int,
    deterministic: bool,
    progress: Callable[[int], None] | None,
) -> tuple[np.ndarray, np.ndarray]:
    count = venv.num_envs
    share = np.array([(episodes + i) // count for i in range(count)])  # sums to `episodes`
    played, total, length = np.zeros(count, np.int64), np.zeros(count), np.zeros(count, np.int64)
    returns: list[float] = []
    lengths: list[int] = []
    obs, _ = venv.reset(seed=seed)
    state, start, step = None, np.ones(count, bool), 0
    while len(returns) < episodes:
        action, state = policy.predict(obs, state=state, episode_start=start, deterministic=deterministic)
        if getattr(venv, "output", "numpy") == "torch":
            action = torch.as_tensor(action, device=venv.device)  # type: ignore[attr-defined]
        obs, reward, terminated, truncated, _ = venv.step(action)
        reward, start = _numpy(reward), _numpy(terminated) | _numpy(truncated)
        if not np.isfinite(reward).all():
            bad = int(np.flatnonzero(~np.isfinite(reward))[0])
            raise FloatingPointError(f"reward is {reward[bad]} at step {step} of the evaluation in environment {bad}")
        total += reward
        length += 1
        step += 1
        for i in np.flatnonzero(start & (played < share)):
            returns.append(float(total[i]))
            lengths.append(int(length[i]))
        if start.any():
            played[start] += 1
            total[start], length[start] = 0.0, 0
            if progress is not None:
                progress(len(returns))
    return np.array(returns[:episodes]), np.array(lengths[:episodes])
