"""What a rule expects demand to be: the truth, a moving average, or Holt's exponential smoothing.

A forecast is a pure function of a memory, which `see` moves on by one period, and answers for every place the mean and
the variance of the demand of this and the following periods.

Sources: Barati & Hu, gym-invmgmt, arXiv 2605.11355 (the blind moving average and its prior); Holt 1957. A place faces
the sum of the markets it serves; the release knows one mean for all, which on its one-market networks is the same.

Shapes: B environments, N places, M markets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rlsuite.inventory.classical.sites import Sites

__all__ = ["Forecast", "Holt", "Informed", "MovingAverage"]

Memory = tuple[Tensor, ...]

WINDOW = 5
"""Periods over which the moving average is taken."""
LEVEL_RATE, TREND_RATE, ERROR_RATE = 0.3, 0.1, 0.1
"""Smoothing rates in (0, 1] of Holt's method: level alpha, trend beta, and mean squared error."""


class Forecast(ABC):
    """A forecast of demand.

    Args:
        sites: the problem.
    """

    def __init__(self, sites: Sites) -> None:
        self.sites = sites

    def begin(self, num: int) -> Memory:
        """Memory of num episodes that start, each entry [num, ...]."""
        return ()

    def see(self, memory: Memory, state: Any) -> Memory:
        """Take in the start of a period; at the very first there is no demand yet."""
        return memory

    @abstractmethod
    def outlook(self, memory: Memory, state: Any, periods: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Mean and variance [B, N] of each place's demand in this and the next periods, `periods` [N] in all."""

    @abstractmethod
    def path(self, memory: Memory, state: Any, periods: int) -> Tensor:
        """Mean demand of the markets in this and the next periods, [B, periods, M]."""


class Informed(Forecast):
    """The true mean and variance of demand, its future trend, season and shock included."""

    def outlook(self, memory: Memory, state: Any, periods: Sequence[int]) -> tuple[Tensor, Tensor]:
        """True mean and variance [B, N] of each place's demand, from the sites."""
        return self.sites.outlook(state, periods)

    def path(self, memory: Memory, state: Any, periods: int) -> Tensor:
        """True mean demand [B, periods, M] of the markets, from the sites."""
        return self.sites.path(state, periods)


class MovingAverage(Forecast):
    """Mean demand of the last five periods, taken to go on; its spread from the same periods.

    Before any demand is seen: the guess `sites.prior`. With fewer than three periods, variance = mean, as Poisson's.
    """

    def begin(self, num: int) -> Memory:
        """Memory without demand: window [num, 5, M], and -1 periods so far [num]."""
        prior = self.sites.prior
        return prior.new_zeros(num, WINDOW, len(prior)), prior.new_full((num,), -1.0)

    def see(self, memory: Memory, state: Any) -> Memory:
        """Append the newest demand to the window [B, 5, M], in last place."""
        window, seen = memory
        moved = torch.cat((window[:, 1:], self.sites.demand(state)[:, None]), dim=1)
        return torch.where((seen >= 0)[:, None, None], moved, window), seen + 1

    def outlook(self, memory: Memory, state: Any, periods: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Means and variances [B, N], summed over the markets that a place serves."""
        window, mean, count = memory[0], *self._mean(memory)
        inside = (torch.arange(WINDOW, device=window.device) >= WINDOW - count)[:, :, None]
        squares = ((window - mean[:, None]).square() * inside).sum(1)
        variance = torch.where(count >= 3, squares / (count - 1).clamp_min(1), mean).clamp_min(1.0)
        return _by_place(self.sites, mean, variance, periods)

    def _mean(self, memory: Memory) -> tuple[Tensor, Tensor]:
        """Mean demand per period over the window [B, M], and the number of periods in it [B, 1]."""
        window, seen = memory
        count = seen.clamp(0, WINDOW)[:, None]
        return torch.where(count > 0, window.sum(1) / count.clamp_min(1), self.sites.prior), count

    def path(self, memory: Memory, state: Any, periods: int) -> Tensor:
        """The mean demand of the window in every period, [B, periods, M]."""
        return self._mean(memory)[0][:, None].expand(-1, periods, -1)


class Holt(Forecast):
    """Level and trend by exponential smoothing; the forecast is level + trend for all periods ahead.

    Args:
        sites: the problem.
        informed: take the true variance instead of the smoothed squared errors.
    """

    def __init__(self, sites: Sites, informed: bool = False) -> None:
        super().__init__(sites)
        self.informed = informed

    def begin(self, num: int) -> Memory:
        """Memory without demand: level, trend, squared error [num, M] 0, and -1 periods so far [num]."""
        zeros = self.sites.prior.new_zeros(num, len(self.sites.prior))
        return zeros, zeros, zeros, zeros[:, 0] - 1

    def see(self, memory: Memory, state: Any) -> Memory:
        """Update level, trend and error with the last demand; the first sets the level, its square the error."""
        level, trend, error, seen = memory
        demand, forecast = self.sites.demand(state), level + trend
        new_level = LEVEL_RATE * demand + (1 - LEVEL_RATE) * forecast
        new_trend = TREND_RATE * (new_level - level) + (1 - TREND_RATE) * trend
        new_error = error + ERROR_RATE * ((demand - forecast).square() - error)
        none, first = (seen < 0)[:, None], (seen == 0)[:, None]
        level = torch.where(none, level, torch.where(first, demand, new_level))
        trend = torch.where(none | first, trend, new_trend)
        error = torch.where(none, error, torch.where(first, demand, new_error))
        return level, trend, error, seen + 1

    def outlook(self, memory: Memory, state: Any, periods: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Means and variances [B, N]; before the first demand from the prior guess, as for the moving average."""
        _, _, error, seen = memory
        mean = self._mean(memory)
        variance = torch.where((seen <= 0)[:, None], self.sites.prior, error).clamp_min(1.0)
        mean, variance = _by_place(self.sites, mean, variance, periods)
        if self.informed:
            variance = self.sites.outlook(state, periods)[1]
        return mean, variance

    def _mean(self, memory: Memory) -> Tensor:
        """Forecast of mean demand in the next period, level + trend, [B, M]."""
        level, trend, _, seen = memory
        return torch.where((seen <= 0)[:, None], self.sites.prior, (level + trend).clamp_min(0.0))

    def path(self, memory: Memory, state: Any, periods: int) -> Tensor:
        """Level + trend in every period, [B, periods, M]."""
        return self._mean(memory)[:, None].expand(-1, periods, -1)


def _by_place(sites: Sites, mean: Tensor, variance: Tensor, periods: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Sum values per market and period [B, M] over each place's markets and periods, [B, N]."""
    count = torch.tensor(periods, dtype=mean.dtype, device=mean.device)
    return mean @ sites.serves.mT * count, variance @ sites.serves.mT * count
