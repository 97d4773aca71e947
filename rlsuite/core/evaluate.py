"""Evaluation: whole episodes of a policy on raw rewards, with a bootstrap interval.

Each environment plays a number of episodes fixed in advance. Taking instead the first E episodes that finish
in a vector environment would favour short ones, which for most tasks are the bad ones (and for some the good
ones).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv

from rlsuite.core.actions import action_spec
from rlsuite.core.guard import check_mask, check_tree, forbidding
from rlsuite.core.rng import EPISODES, EVALUATION, env_seed, own_seed
from rlsuite.core.statistics import Interval, bootstrap_interval
from rlsuite.core.vec_env import SAME_STEP_ENV, env_action
from rlsuite.core.vector import check_one_reward, count_objectives, make_env

__all__ = ["Evaluation", "Predictor", "evaluate", "mask_argument", "own_draws"]
DURING = " of the evaluation"


class Predictor(Protocol):
    """Stable-Baselines3's predict: rlsuite's agents, its models, anything else with that method."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """Actions [B, ...] and the recurrent state."""


@dataclass(frozen=True)
class Evaluation:
    """Undiscounted returns [E] and lengths [E] of E episodes, with a 95 % interval of the mean return."""

    returns: np.ndarray
    """Undiscounted returns [E] float64, raw reward units, in the order of finishing."""
    lengths: np.ndarray
    """Episode lengths [E] int64, steps."""
    interval: Interval
    """95 % confidence interval of the mean return over episodes of this one policy, raw reward units."""
    envs: np.ndarray
    """Index [E] int64 of the environment that played each episode, 0..B-1."""
    objectives: np.ndarray | None = None
    """With K objectives: their undiscounted returns [E, K] float64, of which `returns` are the weighted sums."""
    weights: tuple[float, ...] = ()
    """And the weights [K]; empty with one objective."""

    @property
    def episodes(self) -> int:
        """E, number of episodes."""
        return len(self.returns)


def evaluate(
    policy: Predictor,
    env: str | gym.Env[Any, Any] | VectorEnv[Any, Any, Any],
    *,
    episodes: int,
    seed: int = 0,
    deterministic: bool = True,
    progress: Callable[[int], None] | None = None,
    weights: Sequence[float] | np.ndarray | None = None,
) -> Evaluation:
    """Play `episodes` whole episodes.

    Args:
        policy: Anything with Stable-Baselines3's predict; it gets NumPy observations. A model's normalisers
            stay frozen. Action masks go to policies whose predict takes `action_masks`.
        env: Id, environment, or vector environment (SAME_STEP autoreset). Only one made here from an id is
            closed.
        episodes: E >= 1.
        seed: Of the environments and of sampled actions: the same model gives the same returns, and what it draws
            in training afterwards does not change. A model trained with the same seed has not met these episodes.
        deterministic: The policy's mode, or samples.
        progress: Called with the number of finished episodes whenever it grows.
        weights: [K], of an environment's K objectives: returns are then weights . objectives. A policy that has a
            `preferring(weights)` plays as that says.

    Returns:
        Returns, lengths and the interval.

    Raises:
        ValueError: If `episodes` is below 1, a vector environment does not reset in the same step, or its rewards are
            vectors without `weights` for them (or the other way round).
        TypeError: If env is none of the above.
        FloatingPointError: If an observation, action or reward is NaN or infinite; names step and
            environment.
    """
    if episodes < 1:
        raise ValueError(f"episodes is {episodes}; evaluate at least 1.")
    venv, own = _vector(env, episodes, weights)
    if weights is not None:
        policy = getattr(policy, "preferring", lambda weights: policy)(weights)
    try:
        with own_draws(policy, seed):
            returns, lengths, envs = _play(policy, venv, episodes, seed, deterministic, progress)
    finally:
        if own:
            venv.close()
    if weights is None:
        return Evaluation(returns, lengths, bootstrap_interval(returns), envs)
    utility = returns @ np.asarray(weights, np.float64)
    given = tuple(float(w) for w in weights)
    return Evaluation(utility, lengths, bootstrap_interval(utility), envs, returns, given)


@contextmanager
def own_draws(policy: Any, seed: int) -> Iterator[None]:
    """Let a policy's samples come from `seed`, then put its generators back, its own and torch's global one.

    Its own are `generators` where it has several (a policy around a policy), else `generator`.
    """
    # Not the seed itself: an environment may draw from a generator of the same kind, and would draw the same.
    first = own_seed(seed, EVALUATION)
    mine = getattr(policy, "generators", None) or [getattr(policy, "generator", None)]
    before = [(rng, rng.get_state()) for rng in mine if isinstance(rng, torch.Generator)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(first)
        try:
            for i, (rng, _) in enumerate(before):
                rng.manual_seed(first if i == 0 else own_seed(first, i))
            yield
        finally:
            for rng, state in before:
                rng.set_state(state)


def _check_weights(env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any], weights: Any) -> None:
    if weights is None:
        check_one_reward(env, "give evaluate(..., weights=...), or wrap it in rlsuite_envs.LinearReward(env, weights)")
        return
    count, given = count_objectives(env), np.asarray(weights, np.float64)
    if given.shape != (count,) or not np.isfinite(given).all():
        paid = "one number" if count is None else f"{count} objectives"
        raise ValueError(f"weights={weights!r} do not fit an environment that pays {paid}; give one for each objective")


def _vector(env: Any, episodes: int, weights: Any) -> tuple[VectorEnv[Any, Any, Any], bool]:
    """A SAME_STEP vector env of `env`, and whether it was made here."""
    if isinstance(env, str):
        from rlsuite_envs.make import make_vector_env

        venv = make_vector_env(env, min(episodes, 10))
        _check_weights(venv, weights)
        return venv, True
    if isinstance(env, gym.Env):
        _check_weights(env, weights)
        return make_env(env, 1, torch.device("cpu")), False
    if not isinstance(env, VectorEnv):
        raise TypeError(f"env must be an id, a gymnasium.Env or a VectorEnv, not {type(env).__name__}.")
    _check_weights(env, weights)
    mode = env.metadata.get("autoreset_mode")
    if mode != AutoresetMode.SAME_STEP:
        raise ValueError(
            f"the vector environment resets in mode {mode}; evaluation needs AutoresetMode.SAME_STEP ({SAME_STEP_ENV})."
        )
    return env, False


def mask_argument(policy: Predictor, info: dict[str, Any]) -> dict[str, np.ndarray]:
    """{"action_masks": allowed actions [B, A'] bool} where the environment tells them and the policy asks for them."""
    mask = info.get("action_mask")
    if mask is None or "action_masks" not in inspect.signature(policy.predict).parameters:
        return {}
    array = np.asarray(_numpy(mask))
    return {"action_masks": array.astype(bool) if array.dtype.kind in "iu" else array}


def _check_mask(venv: VectorEnv[Any, Any, Any], info: dict[str, Any], step: int) -> None:
    """Raise if the environments' mask does not fit their actions, or allows none in an environment."""
    if info.get("action_mask") is None:
        return
    spec = action_spec(venv.single_action_space)
    where = f"the environments' action mask at step {step}{DURING}"
    empty = forbidding(check_mask(_numpy(info["action_mask"]), spec, venv.num_envs, "cpu", where), spec)
    if bool(empty.any()):
        raise ValueError(
            f"the action mask of environment {int(empty.nonzero()[0])} at step {step}{DURING} allows no action, or "
            "none for a component of it; let the episode terminate there, or allow a no-op"
        )


def _numpy(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.cpu().numpy()
    if isinstance(value, dict):
        return {key: _numpy(part) for key, part in value.items()}
    return value


def _play(
    policy: Predictor,
    venv: VectorEnv[Any, Any, Any],
    episodes: int,
    seed: int,
    deterministic: bool,
    progress: Callable[[int], None] | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count = venv.num_envs
    share = np.array([(episodes + i) // count for i in range(count)])  # sums to `episodes`
    played, length = np.zeros(count, np.int64), np.zeros(count, np.int64)
    objectives = count_objectives(venv)
    total = np.zeros(count if objectives is None else (count, objectives))
    returns: list[Any] = []
    lengths: list[int] = []
    envs: list[int] = []
    obs, info = venv.reset(seed=env_seed(seed, EPISODES))
    obs = _numpy(obs)
    state, start, step = None, np.ones(count, bool), 0
    check_tree("observation", obs, step, DURING)
    while len(returns) < episodes:
        _check_mask(venv, info, step)
        action, state = policy.predict(
            obs, state=state, episode_start=start, deterministic=deterministic, **mask_argument(policy, info)
        )
        check_tree("action", action, step + 1, DURING)
        obs, reward, terminated, truncated, info = venv.step(env_action(venv, action))
        obs, reward, start = _numpy(obs), _numpy(reward), _numpy(terminated) | _numpy(truncated)
        step += 1
        check_tree("reward", reward, step, DURING)
        check_tree("observation", obs, step, DURING)
        total += reward
        length += 1
        if not start.any():
            continue
        counted = np.flatnonzero(start & (played < share))
        returns.extend(total[counted].tolist())
        lengths.extend(length[counted].tolist())
        envs.extend(counted.tolist())
        played += start
        total[start], length[start] = 0.0, 0
        if progress is not None and len(counted):
            progress(len(returns))
    return np.array(returns), np.array(lengths), np.array(envs)
