"""Policies that plan with linear programmes: rolling horizons on mean demand or on samples, and perfect information.

| name | plans for | knows |
|---|---|---|
| `DeterministicProgramme` | mean demand | the forecast |
| `StochasticProgramme` | sampled demand paths, one first decision for all of them | the forecast |
| `oracle` | the demand that will come | everything |

The first two plan anew every period, from the state as it is, and carry out the first orders alone.

The oracle without goodwill is exact: no policy earns more on the same demand. With goodwill demand answers to service,
and no linear programme is exact: `oracle` then repeats plan and replay, and returns the best replay it met. That is a
policy's true profit and a good one, but no bound; `bound` is. (Its argument: sentiment never exceeds that of perfect
service, and demand grows with sentiment; so every policy sells at most what it could sell to that demand, and pays for
shortages at least nothing.)

Sources: the rolling programmes and the fixed point are gym-invmgmt's (Barati & Hu, arXiv 2605.11355: DLP, MSSP and
Oracle); what differs: they look to the end of the episode, all sampled periods are random (its MSSP: three), samples
are stratified, and the programme is HiGHS's.

Shapes: B environments, S paths, T periods of an episode, H of a plan, E links, M markets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlsuite.core.rng import NOISE, own_seed
from rlsuite.inventory.classical.forecasts import Informed, Memory, MovingAverage
from rlsuite.inventory.classical.network_sites import NetworkSites
from rlsuite.inventory.classical.play import Noise, Played, play, quantile_demand
from rlsuite.inventory.classical.policy import ClassicalPolicy
from rlsuite.inventory.programmes.programme import Programme
from rlsuite_envs.inventory.networks.supply_network import SupplyNetwork

__all__ = ["DeterministicProgramme", "Oracle", "PlannedOrders", "StochasticProgramme", "bound", "oracle"]

ROUNDS = 8
"""Largest number of iterations of plan and replay of the oracle with goodwill, from each of its two starts."""


class RollingProgramme(ClassicalPolicy):
    """Plan to the end (or a horizon), carry out the first period, plan anew.

    Args:
        env: a supply network.
        forecast: "informed" or "moving".
        horizon: periods to plan for; None for the rest of the episode.
    """

    sites: NetworkSites
    paths = 1

    def __init__(self, env: Any, forecast: str = "informed", horizon: int | None = None) -> None:
        super().__init__(env)
        if not isinstance(self.sites, NetworkSites):
            raise TypeError(f"{type(self).__name__} plans supply networks, not {type(self.sites.kernel).__name__}.")
        if forecast not in ("informed", "moving"):
            raise ValueError(f"forecast={forecast!r} must be 'informed' or 'moving'.")
        if horizon is not None and (isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1):
            raise ValueError(f"horizon={horizon!r} must be an integer of at least 1, or None.")
        self.forecast = Informed(self.sites) if forecast == "informed" else MovingAverage(self.sites)
        self.informed = forecast == "informed"
        self.horizon = horizon
        self._programmes: dict[int, Programme] = {}

    def begin(self, num: int) -> Memory:
        """Memory of the forecast at the start of num episodes."""
        return self.forecast.begin(num)

    def programme(self, periods: int) -> Programme:
        """The programme for so many periods, built once."""
        if periods not in self._programmes:
            self._programmes[periods] = Programme(self.sites.kernel, periods, self.paths)
        return self._programmes[periods]

    def decide(self, state: Any, memory: Memory) -> tuple[Tensor, Memory]:
        """Solve one programme per environment and give the orders of its first period."""
        memory = self.forecast.see(memory, state)
        total = self.sites.kernel.params.horizon
        means = self.forecast.path(memory, state, min(total, self.horizon or total)).numpy(force=True)
        parts = (x.numpy(force=True) for x in (state.t, state.stock, state.pipeline, state.unmet))
        orders = []
        for mean, period, stock, pipeline, unmet in zip(means, *parts, strict=True):
            left = total - int(period)
            if left < 1:  # asked after the end: nothing can come of an order
                orders.append(np.zeros(self.sites.kernel.net.num_orders))
                continue
            mean = mean[: min(left, self.horizon or left)]
            plan = self.programme(len(mean)).solve(stock, pipeline, unmet, self._demand(mean, int(period)))
            orders.append(plan.orders[0])
        return torch.as_tensor(np.stack(orders)).to(state.stock), memory

    def _demand(self, mean: np.ndarray, period: int) -> np.ndarray:
        """Demand paths [S, H, M] to plan for."""
        return mean[None]


class DeterministicProgramme(RollingProgramme):
    """Plan for mean demand."""


class StochasticProgramme(RollingProgramme):
    """Plan for sampled demand paths: the first orders are good on average over them.

    Two stages: beyond the first period every path is planned as if known. The samples of a period of the episode are
    the same in every call (a policy has no chance of its own), stratified over the paths: each period, every path gets
    one of S equal slices of the distribution.

    Args:
        env: a supply network.
        forecast: "informed" (which knows the distribution, too) or "moving" (taken as the mean of Poisson demand).
        paths: S, sampled demand paths.
        horizon: periods to plan for; None for the rest of the episode.
        random_periods: periods that are sampled; the later ones are their mean, rounded. None for all.
        seed: of the samples.
    """

    def __init__(
        self,
        env: Any,
        forecast: str = "informed",
        paths: int = 10,
        horizon: int | None = None,
        random_periods: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(env, forecast, horizon)
        for name, value in (("paths", paths), ("random_periods", random_periods)):
            least = int(name == "paths")
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise ValueError(f"{name}={value!r} must be an integer of at least {least}.")
        self.paths = paths
        self.random_periods = random_periods
        self.seed = seed

    def _demand(self, mean: np.ndarray, period: int) -> np.ndarray:
        rng = np.random.default_rng(own_seed(self.seed, NOISE, 1 + period))
        shape = (self.paths, *mean.shape)
        slices = rng.permuted(np.broadcast_to(np.arange(self.paths)[:, None, None], shape), axis=0)
        quantiles = (slices + rng.random(shape)) / self.paths
        params = self.sites.kernel.params
        if not self.informed:
            params = replace(params, distribution="poisson", noise_scale=1.0, fixed_demand=None)
        demand = quantile_demand(params, np.broadcast_to(mean, shape), quantiles)
        if self.random_periods is not None:
            demand[:, self.random_periods :] = np.round(mean[self.random_periods :])
        return demand


class PlannedOrders(ClassicalPolicy):
    """Orders fixed in advance for each of B episodes.

    Args:
        env: a supply network.
        orders: [B, T, E] units.
    """

    def __init__(self, env: Any, orders: np.ndarray) -> None:
        super().__init__(env)
        self.orders = torch.as_tensor(orders).to(self.sites.prior)

    def decide(self, state: Any, memory: Memory) -> tuple[Tensor, Memory]:
        """The planned orders of the current period."""
        rows = torch.arange(len(state.t), device=state.t.device)
        return self.orders[rows, state.t.clamp_max(self.orders.shape[1] - 1)], memory


@dataclass(frozen=True)
class Oracle:
    """Result of planning with perfect information about demand."""

    played: Played
    """The best replay of each episode."""
    orders: np.ndarray
    """Orders [S, T, E] of the best replay, units."""
    bound: np.ndarray
    """Profit [S] that no policy exceeds on the same noise."""
    exact: bool
    """Whether the replay attains the bound: True without goodwill."""


def oracle(kernel: SupplyNetwork, noise: Noise, episodes: int) -> Oracle:
    """Plan with the demand that will come; with goodwill, to a fixed point of plan and replay.

    Args:
        kernel: a supply network with `action="orders"`.
        noise: from `draw_noise`.
        episodes: S, its rows.

    Raises:
        ValueError: scaled actions or rewards, which cannot say every order, or not in money; a vector of objectives.
    """
    params = kernel.params
    if params.action != "orders" or params.reward != "money" or params.objectives:
        raise ValueError("the oracle needs a kernel with action='orders', reward='money' and no objectives.")
    content = _content_demand(kernel, noise, episodes)
    programme = Programme(kernel, params.horizon)
    best, orders = _replays(kernel, programme, noise, content)
    if not params.goodwill:
        return Oracle(best, orders, _plans(kernel, programme, content)[1], exact=True)
    idle = play(kernel, PlannedOrders(kernel, np.zeros_like(orders)), noise, episodes)
    for start in (best.noise, idle.noise):
        demand = start.numpy(force=True)
        for _ in range(ROUNDS):
            found, plan = _replays(kernel, programme, noise, demand)
            best, orders = _better(best, orders, found, plan)
            fresh = found.noise.numpy(force=True)
            if np.array_equal(fresh, demand):
                break
            demand = fresh
    return Oracle(best, orders, bound(kernel, noise, episodes), exact=False)


def bound(kernel: SupplyNetwork, noise: Noise, episodes: int) -> np.ndarray:
    """Profit [S] that no policy exceeds on this noise; exact without goodwill.

    With goodwill it needs demand that grows with its mean at the same quantile: noise_scale at most 1, or no Poisson.

    Raises:
        ValueError: demand of which that is not known.
    """
    params = kernel.params
    if params.goodwill and params.noise_scale > 1 and params.distribution == "poisson":
        raise ValueError(f"noise_scale={params.noise_scale:g}: no bound is known with goodwill; use at most 1.")
    content = _content_demand(kernel, noise, episodes)
    programme = Programme(kernel, params.horizon, shortage=not params.goodwill)
    return _plans(kernel, programme, content)[1]


def _content_demand(kernel: SupplyNetwork, noise: Noise, episodes: int) -> np.ndarray:
    """Demand [S, T, M] of customers who never met a shortage."""
    sites = NetworkSites(kernel)
    state, came = kernel.initial_state(episodes, torch.Generator(kernel.device)), []
    for t in range(kernel.params.horizon):
        came.append(noise(state, t))
        state = replace(state, t=state.t + 1, sentiment=sites.sentiment(state))
    return torch.stack(came, dim=1).numpy(force=True)


def _plans(kernel: SupplyNetwork, programme: Programme, demand: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orders [S, T, E] and values [S] of the best plans for these demands [S, T, M]."""
    state = kernel.initial_state(1, torch.Generator(kernel.device))
    stock, pipeline, unmet = (x[0].numpy(force=True) for x in (state.stock, state.pipeline, state.unmet))
    plans = [programme.solve(stock, pipeline, unmet, path[None]) for path in demand]
    return np.stack([plan.orders for plan in plans]), np.array([plan.value for plan in plans])


def _replays(
    kernel: SupplyNetwork, programme: Programme, noise: Noise, demand: np.ndarray
) -> tuple[Played, np.ndarray]:
    orders, _ = _plans(kernel, programme, demand)
    return play(kernel, PlannedOrders(kernel, orders), noise, len(demand)), orders


def _better(best: Played, orders: np.ndarray, found: Played, plan: np.ndarray) -> tuple[Played, np.ndarray]:
    """Combine two replays into the better one of each episode."""
    better = found.rewards > best.rewards

    def choose(new: Tensor, old: Tensor) -> Tensor:
        return torch.where(better.view(-1, *[1] * (old.ndim - 1)), new, old)

    merged = Played(
        choose(found.rewards, best.rewards),
        choose(found.per_period, best.per_period),
        {name: choose(found.info[name], value) for name, value in best.info.items()},
        best.seconds,
        choose(found.noise, best.noise),
        choose(found.actions, best.actions),
    )
    return merged, np.where(better.numpy(force=True)[:, None, None], plan, orders)
