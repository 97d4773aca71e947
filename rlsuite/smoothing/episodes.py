"""Thousands of episodes of a smoothed policy as one batch.

Every environment plays a number of episodes fixed in advance, N for N by default where the environment is a kernel, and
waits, masked, when it is through. Shapes: B environments, N episodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv

from rlsuite.core.agent import Agent
from rlsuite.core.evaluate import Predictor, mask_argument, own_draws
from rlsuite.core.rng import EPISODES, env_seed
from rlsuite.core.two_player import AGENT, Versus
from rlsuite.core.vec_env import env_action, to_numpy
from rlsuite.smoothing.smoothed import Attack, SmoothedPolicy

__all__ = ["SmoothedReturns", "smoothed_returns"]


@dataclass(frozen=True)
class SmoothedReturns:
    """N whole episodes of a smoothed policy; the episodes of one environment are adjacent, in their order."""

    returns: np.ndarray
    """Undiscounted returns [N] float64, reward units."""
    lengths: np.ndarray
    """Lengths [N] int64, steps."""
    spent: np.ndarray
    """Total L2 norm of the attack over each episode, [N] float64; 0 without one."""
    sigma: float
    """Standard deviation of the noise, observation units."""


def smoothed_returns(
    policy: Predictor,
    env: str | VectorEnv[Any, Any, Any],
    *,
    sigma: float,
    episodes: int,
    seed: int = 0,
    frames: int = 1,
    stacked: bool = False,
    attack: Attack | None = None,
    deterministic: bool = True,
    num_envs: int | None = None,
    env_kwargs: dict[str, Any] | None = None,
) -> SmoothedReturns:
    """Play whole episodes of the smoothed policy, the number per environment fixed in advance.

    Taking the first N episodes to finish would favour short ones, and no certificate would hold.

    Args:
        policy: the base policy; see `SmoothedPolicy`, also for frames and stacked.
        env: id, or SAME_STEP vector environment (clean: without noise wrappers); only one made here is closed.
        sigma: standard deviation of the noise, at least 0, in observation units.
        episodes: N, at least 1.
        seed: of the environments, the noise and the base policy's samples: equal seeds give equal returns.
        frames: k.
        stacked: whether the environment stacks frames itself.
        attack: adversary, or None for the clean episodes that certificates need. It may draw from a generator of its
            own: make a new one for equal returns.
        deterministic: the base policy's mode (the paper's), or samples.
        num_envs: copies when env is an id; None takes N for rlsuite's kernels, else at most 64.
        env_kwargs: of the environment, when env is an id.

    Raises:
        ValueError: a value out of range, or a vector environment that does not reset in the same step.
        FloatingPointError: NaN or infinity in an observation or reward; names step and environment.
    """
    if isinstance(episodes, bool) or not isinstance(episodes, (int, np.integer)) or episodes < 1:
        raise ValueError(f"episodes={episodes!r} must be an integer of at least 1.")
    smoothed = SmoothedPolicy(policy, sigma, frames=frames, stacked=stacked, seed=seed, attack=attack)
    if not isinstance(env, str):
        if num_envs is not None or env_kwargs is not None:
            raise ValueError("num_envs and env_kwargs are for an id; the vector environment given has its own.")
        return _play(smoothed, env, int(episodes), seed, deterministic)
    from rlsuite_envs.make import make_vector_env

    if num_envs is None:
        num_envs = int(episodes) if "kernel" in _kwargs(env) else min(int(episodes), 64)
    # one thread of physics where the arithmetic has one: such batches run side by side
    threads = 1 if isinstance(policy, Agent) and policy.small_network() else 0
    venv = make_vector_env(env, num_envs, num_threads=threads, env_kwargs=env_kwargs)
    if isinstance(venv.single_action_space, gym.spaces.Tuple):
        venv = Versus(venv, AGENT)  # of a game the protagonist is certified, the other player at rest
    try:
        return _play(smoothed, venv, int(episodes), seed, deterministic)
    finally:
        venv.close()


def _kwargs(id: str) -> dict[str, Any]:
    spec = gym.registry.get(id)
    return {} if spec is None else spec.kwargs


@contextmanager
def _threads(policy: Any) -> Iterator[None]:
    """One arithmetic thread for small networks, as in training: two are slower by far where the machine is busy."""
    threads = torch.get_num_threads()
    if isinstance(policy, Agent) and policy.small_network():
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _play(
    smoothed: SmoothedPolicy, venv: VectorEnv[Any, Any, Any], episodes: int, seed: int, deterministic: bool
) -> SmoothedReturns:
    if venv.metadata.get("autoreset_mode") != AutoresetMode.SAME_STEP:
        raise ValueError(
            f"the vector environment resets in mode {venv.metadata.get('autoreset_mode')}; it must be "
            "AutoresetMode.SAME_STEP (rlsuite_envs.make.make_vector_env makes such ones)."
        )
    with own_draws(smoothed.policy, seed), _threads(smoothed.policy):
        return _episodes(smoothed, venv, episodes, seed, deterministic)


def _episodes(
    smoothed: SmoothedPolicy, venv: VectorEnv[Any, Any, Any], episodes: int, seed: int, deterministic: bool
) -> SmoothedReturns:
    count = venv.num_envs
    share = np.array([(episodes + i) // count for i in range(count)])  # sums to N
    slot = np.cumsum(share) - share  # where an environment's next episode is written
    end = slot + share
    total, length, spent = np.zeros(count), np.zeros(count, np.int64), np.zeros(count)
    result = SmoothedReturns(np.zeros(episodes), np.zeros(episodes, np.int64), np.zeros(episodes), smoothed.sigma)
    obs, info = venv.reset(seed=env_seed(seed, EPISODES))
    state: Any = None
    playing, start = share > 0, np.ones(count, bool)
    step = 0
    while playing.any():
        obs = to_numpy(obs)
        _check("observation", obs, step)
        if state is not None and not playing.all():
            state = state.stop(~playing)
        action, state = smoothed.predict(
            obs,
            state=state,
            episode_start=start,
            deterministic=deterministic,
            **mask_argument(smoothed, info),
        )
        obs, reward, terminated, truncated, info = venv.step(env_action(venv, action))
        reward, done = to_numpy(reward), to_numpy(terminated) | to_numpy(truncated)
        step += 1
        _check("reward", reward, step)
        total += reward
        length += 1
        start = done
        if not done.any():
            continue
        rows = np.flatnonzero(done & playing)
        if smoothed.attack is not None:
            budget = smoothed.attack.budget
            spent = np.sqrt(np.maximum(budget**2 - state.remaining.numpy() ** 2, 0.0))
        at = slot[rows]
        result.returns[at], result.lengths[at], result.spent[at] = total[rows], length[rows], spent[rows]
        slot[rows] += 1
        total[done], length[done] = 0.0, 0
        playing = slot < end
        start = done & playing
    return result


def _check(what: str, value: np.ndarray, step: int) -> None:
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        b, *place = np.argwhere(~np.isfinite(value))[0].tolist()
        raise FloatingPointError(
            f"{what} is {value[(b, *place)]} at step {step} in environment {b}; look at that environment."
        )
