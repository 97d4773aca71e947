"""Whole episodes of a policy on given randomness: the same demands for every policy, and what they came to.

Common random numbers make differences between policies sharp. Where demand does not depend on what a policy does, a
seed fixes the demands themselves. Where it does (goodwill), it fixes their quantiles: a policy that keeps customers
content faces more demand than one that does not, period by period, and never less.

Shapes: S episodes, T periods, M markets, E links.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from rlsuite.core.rng import NOISE, own_seed
from rlsuite_envs.inventory.networks.supply_network import SupplyNetwork, SupplyNetworkState

__all__ = ["Actor", "Played", "Predicted", "draw_noise", "play"]

Noise = Callable[[Any, int], Tensor]
"""Function (state, period) -> noise of the step; the same arguments give the same numbers."""


class Actor(Protocol):
    """Interface of a policy for `play`; `ClassicalPolicy` has it, `Predicted` gives it to anything with `predict`."""

    def begin(self, num: int) -> Any:
        """Memory at the start of num episodes."""

    def act(self, state: Any, memory: Any) -> tuple[Tensor, Any]:
        """Actions [S, E], and the updated memory."""


class Predicted:
    """A model with `predict` as an actor: it sees the kernel's observations.

    Args:
        model: an agent, or anything with Stable-Baselines3's `predict`.
        kernel: whose observations and actions it knows.
    """

    def __init__(self, model: Any, kernel: Any) -> None:
        self.model = model
        self.kernel = kernel

    def begin(self, num: int) -> Any:
        """Memory of num episodes that start: no recurrent state, and start flags [num], all True."""
        return None, np.ones(num, dtype=bool)

    def act(self, state: Any, memory: Any) -> tuple[Tensor, Any]:
        """The model's deterministic actions [S, E], and its recurrent state."""
        recurrent, start = memory
        obs = self.kernel.observe(state).numpy(force=True)
        action, recurrent = self.model.predict(obs, state=recurrent, episode_start=start, deterministic=True)
        actions = torch.as_tensor(np.asarray(action), device=self.kernel.device)
        return actions, (recurrent, np.zeros_like(start))


@dataclass(frozen=True)
class Played:
    """S episodes of a policy."""

    rewards: Tensor
    """Sum of rewards [S] of each episode."""
    per_period: Tensor
    """Rewards [S, T] per period."""
    info: dict[str, Tensor]
    """The kernel's key figures at the end of each episode, name -> [S, ...]."""
    seconds: float
    """Decision time per period and episode: the policy alone, without the simulator."""
    noise: Tensor
    """Noise [S, T, ...] of each step; for supply networks the demands, units."""
    actions: Tensor
    """Actions [S, T, E] of each step, in the kernel's units."""


@torch.no_grad()
def play(
    kernel: Any,
    policy: Actor,
    noise: Noise,
    episodes: int,
    *,
    seed: int = 0,
    periods: int | None = None,
    state: Any = None,
) -> Played:
    """Play episodes of a policy, all at once.

    Args:
        kernel: the problem.
        policy: who decides.
        noise: from `draw_noise`, or any function of (state, period); its S rows are the episodes.
        episodes: S.
        seed: of the start states.
        periods: T; None for the kernel's horizon.
        state: start states instead of drawn ones.
    """
    if state is None:
        state = kernel.initial_state(episodes, torch.Generator(kernel.device).manual_seed(seed))
    memory, spent, came, rewards, actions = policy.begin(episodes), 0.0, [], [], []
    length = kernel.max_episode_steps if periods is None else periods
    for t in range(length):
        started = time.perf_counter()
        action, memory = policy.act(state, memory)
        spent += time.perf_counter() - started
        drawn = noise(state, t)
        state, reward, _ = kernel.advance(state, action, drawn)
        came.append(drawn)
        rewards.append(reward)
        actions.append(action)
    per_period = torch.stack(rewards, dim=1)
    return Played(
        per_period.sum(1),
        per_period,
        kernel.info(state),
        spent / (length * episodes),
        torch.stack(came, dim=1),
        torch.stack(actions, dim=1),
    )


def draw_noise(kernel: Any, episodes: int, seed: int, periods: int | None = None) -> Noise:
    """Randomness of S episodes, the same for every policy.

    Supply networks: quantiles [T, S, M] of demand, turned into demand by the mean in the state. Other kernels: their
    own noise, drawn once; it must not depend on the state.

    Args:
        kernel: the problem.
        episodes: S.
        seed: of all that is random.
        periods: T; None for the kernel's horizon.
    """
    length = kernel.max_episode_steps if periods is None else periods
    if isinstance(kernel, SupplyNetwork):
        quantiles = np.random.default_rng(seed).random((length, episodes, kernel.net.num_markets))
        return lambda state, t: demand_at(kernel, state, quantiles[t])
    rng = torch.Generator(kernel.device).manual_seed(own_seed(seed, NOISE))  # not the start states'
    state = kernel.initial_state(episodes, torch.Generator(kernel.device).manual_seed(seed))
    drawn = [kernel.sample_exogenous(state, rng) for _ in range(length)]
    return lambda state, t: drawn[t]


def demand_at(kernel: SupplyNetwork, state: SupplyNetworkState, quantiles: np.ndarray) -> Tensor:
    """This period's demand [S, M] at its quantiles [S, M]: the kernel's distribution, inverted."""
    p, mean = kernel.params, kernel.mean_demand(state).numpy(force=True)
    return torch.as_tensor(quantile_demand(p, mean, quantiles), dtype=kernel.dtype, device=kernel.device)


def quantile_demand(params: Any, mean: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Demand of these means at these quantiles, arrays of one shape."""
    if params.fixed_demand is not None or params.noise_scale == 0:
        return mean
    if params.distribution == "poisson":
        draw = np.where(mean > 0, stats.poisson.ppf(quantiles, np.maximum(mean, 1e-12)), 0.0)
    elif params.distribution == "normal":
        draw = mean + np.sqrt(np.maximum(mean, 0.1)) * stats.norm.ppf(quantiles)
    else:
        draw = 2.0 * mean * quantiles
    return np.maximum(mean + params.noise_scale * (draw - mean), 0.0)
