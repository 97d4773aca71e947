"""Classical ordering policies behind Stable-Baselines3's `predict`, for every inventory kernel `sites_of` knows.

| class | order of a place | numbers |
|---|---|---|
| `BaseStock` | up to S | S per place |
| `CappedBaseStock` | up to S, at most r | S, r per place |
| `OrderPoint` | at or below s: up to S | s, S - s per place |
| `EchelonBaseStock` | echelon stock up to S | S per place |
| `Newsvendor` | up to mean + z sd of the demand over lead time + 1 periods | z per place |
| `EchelonNewsvendor` | echelon stock up to the same over the lead times down to the market | z per place |
| `EconomicOrder` | (s, S) with s = mean + z sd, S - s = sqrt(2 mean K / h) | z, factor on S - s per place |

The first four have fixed numbers and suit steady demand. The others follow a forecast: "informed" of the true means,
future ones included; blind, a "moving" average of five periods; or "holt" (exponential smoothing). Left alone they are
gym-invmgmt's heuristics (its Newsvendor, EchelonApprox, (s, S) and ExpSmoothing). `rlsuite.inventory.tune` finds the
numbers by simulation.

`rlsuite.inventory.classical.policy` says how they work behind `predict`; those that plan with linear programmes are in
`rlsuite.inventory.programmes.planning`. Numbers may be [N], or [B, N] to try another set in every environment.

Position = on hand + on the way - owed. A place with several suppliers splits its order (`Sites.split`).

Sources: Barati & Hu, gym-invmgmt, arXiv 2605.11355; Clark & Scarf, Management Science 6(4), 1960; Xin, Operations
Research 69(1), 2021 (capped base stock).

Shapes: B environments, N places, E links, M markets, P numbers.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor

from rlsuite.inventory.classical.forecasts import Forecast, Holt, Informed, Memory, MovingAverage
from rlsuite.inventory.classical.policy import ClassicalPolicy, TunablePolicy, fractile

__all__ = [
    "BaseStock",
    "CappedBaseStock",
    "ClassicalPolicy",
    "EchelonBaseStock",
    "EchelonNewsvendor",
    "EconomicOrder",
    "Newsvendor",
    "OrderPoint",
]

FORECASTS = ("informed", "moving", "holt")
TIE = 1e-9
"""Tolerance for rounding when a position is compared with a reorder point, units."""
SERVICE = 0.95
"""Default probability of no shortage that reorder points aim at, in (0, 1)."""


class BaseStock(TunablePolicy):
    """Order up to S: max(0, S - position).

    Args:
        env: the problem.
        levels: S per place, or one for all; None: the newsvendor's for nominal demand.
    """

    rows = ("levels",)

    def __init__(self, env: Any, levels: Any = None) -> None:
        super().__init__(env)
        mean, sd = self._nominal()
        start = mean + fractile(self.sites.shortage, self.sites.holding) * sd
        self._set((levels,), start.clamp_min(0.0)[None], sd[None])

    def decide(self, state: Any, memory: Memory) -> tuple[Tensor, Memory]:
        """Up to the levels."""
        units = (self._row(0) - self.sites.position(state)).clamp_min(0.0)
        return self.sites.order_by_link(units), memory


class CappedBaseStock(TunablePolicy):
    """Order up to S, but at most r a period: min(r, max(0, S - position)).

    Args:
        env: the problem.
        levels: S per place; None as in `BaseStock`.
        caps: r per place; None for twice the mean demand.
    """

    rows = ("levels", "caps")

    def __init__(self, env: Any, levels: Any = None, caps: Any = None) -> None:
        super().__init__(env)
        plain = BaseStock(env)
        rate = self._nominal()[0] / torch.tensor([lead + 1 for lead in self.sites.lead]).to(self.sites.prior)
        start = torch.stack((plain.numbers[0], 2.0 * rate))
        self._set((levels, caps), start, torch.stack((plain.step[0], 0.5 * rate)))

    def decide(self, state: Any, memory: Memory) -> tuple[Tensor, Memory]:
        """Up to the levels, within the caps."""
        units = (self._row(0) - self.sites.position(state)).clamp_min(0.0)
        return self.sites.order_by_link(torch.minimum(units, self._row(1))), memory


class OrderPoint(TunablePolicy):
    """(s, S): when the position is at or below s, order up to S.

    Args:
        env: the problem.
        points: s per place; None: mean + 1.645 sd of nominal demand over lead time + 1 periods.
        gaps: S - s per place; None: sqrt(2 mean K / h).
    """

    rows = ("points", "gaps")

    def __init__(self, env: Any, points: Any = None, gaps: Any = None) -> None:
        super().__init__(env)
        mean, sd = self._nominal()
        rate = mean / torch.tensor([lead + 1 for lead in self.sites.lead]).to(mean)
        lots = (2.0 * rate * self.sites.fixed_cost / self.sites.holding.clamp_min(1e-9)).sqrt()
        start = torch.stack((mean + float(norm.ppf(SERVICE)) * sd, lots))
        self._set((points, gaps), start, torch.stack((sd, rate)))

    def decide(self, state: Any, memory: Memory) -> tuple[Tensor, Memory]:
        """Order up to S where the position is at or below s, else nothing."""
        position, point = self.sites.position(state), self._row(0)
        units = torch.where(position <= point, point + self._row(1) - position, 0.0)
        return self.sites.order_by_link(units), memory


class EchelonBaseStock(TunablePolicy):
    """Order the echelon position (a place's and that of all it supplies) up to S; optimal for Clark and Scarf's chain.

    Args:
        env: the problem.
        levels: S per place; None: the echelon newsvendor's for nominal demand.
    """

    rows = ("levels",)

    def __init__(self, env: Any, levels: Any = None) -> None:
        super().__init__(env)
        rate = self._nominal()[0] / torch.tensor([lead + 1 for lead in self.sites.lead]).to(self.sites.prior)
        periods = [a + b + 1 for a, b in zip(self.sites.lead, self.sites.lead_below, strict=True)]
        mean = rate * torch.tensor(periods).to(rate)
        sd = mean.sqrt().clamp_min(1.0)
        start = mean + fractile(self.sites.shortage, self.sites.echelon_holding) * sd
        self._set((levels,), start.clamp_min(0.0)[None], sd[None])

    def decide(self, state: Any, memory: Memory) -> tuple[Tensor, Memory]:
        """Up to the levels."""
        echelon = self.sites.position(state) @ self.sites.below.mT
        return self.sites.order_by_link((self._row(0) - echelon).clamp_min(0.0)), memory


class ForecastPolicy(TunablePolicy):
    """A rule that follows a forecast.

    Args:
        env: the problem.
        forecast: "informed", "moving" or "holt".

    Raises:
        ValueError: an unknown forecast, or one that needs demand where it is not observed.
    """

    least = -np.inf

    def __init__(self, env: Any, forecast: str = "informed") -> None:
        super().__init__(env)
        if forecast not in FORECASTS:
            raise ValueError(f"forecast={forecast!r} must be one of {', '.join(map(repr, FORECASTS))}.")
        if forecast != "informed" and not hasattr(self.sites.kernel, "mean_demand"):
            raise ValueError(
                f"forecast={forecast!r}: {type(self.sites.kernel).__name__} does not observe demand; use 'informed'."
            )
        kinds: dict[str, type[Forecast]] = {"informed": Informed, "moving": MovingAverage, "holt": Holt}
        self.forecast = kinds[forecast](self.sites)

    def begin(self, num: int) -> Memory:
        """Memory of the forecast at the start of num episodes."""
        return self.forecast.begin(num)

    def decide(self, state: Any, memory: Memory) -> tuple[Tensor, Memory]:
        """Update the forecast and order from it."""
        memory = self.forecast.see(memory, state)
        return self.sites.order_by_link(self._units(state, memory)), memory

    @abstractmethod
    def _units(self, state: Any, memory: Memory) -> Tensor:
        """Orders of the places [B, N]."""


class Newsvendor(ForecastPolicy):
    """Order up to mean + z sd of the forecast over lead time + 1 periods; gym-invmgmt's Newsvendor and ExpSmoothing.

    Args:
        env: the problem.
        forecast: "informed", "moving" or "holt".
        factors: z per place; None: the normal quantile of b / (b + h), b the shortage cost (upstream: what a unit sold
            on earns, at least 0.5).
    """

    rows = ("factors",)

    def __init__(self, env: Any, forecast: str = "informed", factors: Any = None) -> None:
        super().__init__(env, forecast)
        start = self._factors()
        self._set((factors,), start[None], torch.full_like(start, 0.5)[None])

    def _factors(self) -> Tensor:
        return fractile(self.sites.shortage, self.sites.holding)

    def _periods(self) -> list[int]:
        return [lead + 1 for lead in self.sites.lead]

    def _position(self, state: Any) -> Tensor:
        return self.sites.position(state)

    def _units(self, state: Any, memory: Memory) -> Tensor:
        mean, variance = self.forecast.outlook(memory, state, self._periods())
        target = (mean + self._row(0) * variance.sqrt()).clamp_min(0.0)
        return (target - self._position(state)).clamp_min(0.0)


class EchelonNewsvendor(Newsvendor):
    """The newsvendor's rule on echelon positions, over a place's lead time and those down to the market, + 1 periods.

    gym-invmgmt's EchelonApprox. z is the quantile of b / (b + e), e the echelon holding cost.
    """

    def _factors(self) -> Tensor:
        return fractile(self.sites.shortage, self.sites.echelon_holding)

    def _periods(self) -> list[int]:
        return [a + b + 1 for a, b in zip(self.sites.lead, self.sites.lead_below, strict=True)]

    def _position(self, state: Any) -> Tensor:
        return self.sites.position(state) @ self.sites.below.mT


class EconomicOrder(ForecastPolicy):
    """(s, S) from a forecast: s = mean + z sd over lead time + 1 periods, S - s the economic order quantity.

    Orders at s and below, as Zheng and Federgruen do; in gym-invmgmt rounding decides at s itself, which its lots make
    common.

    Args:
        env: the problem.
        forecast: "informed", "moving" or "holt".
        factors: z per place; None for 1.645 (95 % of periods without shortage).
        lots: factor on the economic order quantity sqrt(2 mean K / h) per place; None for 1.
    """

    rows = ("factors", "lots")

    def __init__(self, env: Any, forecast: str = "informed", factors: Any = None, lots: Any = None) -> None:
        super().__init__(env, forecast)
        ones = torch.ones_like(self.sites.holding)
        start = torch.stack((float(norm.ppf(SERVICE)) * ones, ones))
        self._set((factors, lots), start, torch.stack((0.5 * ones, 0.5 * ones)))

    def _units(self, state: Any, memory: Memory) -> Tensor:
        sites = self.sites
        mean, variance = self.forecast.outlook(memory, state, [lead + 1 for lead in sites.lead])
        rate, _ = self.forecast.outlook(memory, state, [1] * len(sites.lead))
        # Without holding costs the quantity has no bound: order for the lead time.
        lot = torch.where(sites.holding > 0, (2 * rate * sites.fixed_cost / sites.holding.clamp_min(1e-9)).sqrt(), mean)
        point, position = mean + self._row(0) * variance.sqrt(), sites.position(state)
        # Lots as large as a period's demand bring the position to s itself: a tie that rounding must not decide.
        return torch.where(position < point + TIE, point + self._row(1).clamp_min(0) * lot - position, 0.0)
