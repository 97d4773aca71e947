"""Constants of the supply networks, and gym-invmgmt's scenarios as named sets of them.

Names are `<topology>-<demand>[-goodwill]-<backlog|lost>`: topology "serial" or "divergent"; demand "stationary",
"seasonal" (trend and season), "shock" (trend, season and shock) or "m5" (a series of Walmart sales, without noise).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rlsuite_envs.checks import (
    check_choice,
    check_finite,
    check_flag,
    check_integer,
    check_non_negative,
    check_positive,
    check_probability,
)
from rlsuite_envs.inventory.networks.topology import TOPOLOGIES, Topology
from rlsuite_envs.inventory.objectives import check_objectives

__all__ = ["M5_SERIES", "PROFIT_PARTS", "SCENARIOS", "SupplyNetworkParams"]

_M5_SALES = (
    2,
    3,
    4,
    0,
    0,
    1,
    0,
    2,
    1,
    1,
    5,
    3,
    1,
    0,
    0,
    2,
    7,
    2,
    2,
    13,
    8,
    11,
    50,
    60,
    54,
    51,
    39,
    50,
    48,
    61,
)
M5_SERIES = tuple(20.0 * units / (sum(_M5_SALES) / len(_M5_SALES)) for units in _M5_SALES)
"""30 days of one Walmart product's sales, scaled to a mean of 20 units per day."""
PROFIT_PARTS = ("revenue", "material", "operating", "ordering", "holding", "shortage")
"""The parts of a period's profit, all but the first of them costs."""


@dataclass(frozen=True)
class SupplyNetworkParams:
    """Constants; the defaults are gym-invmgmt's `MultiEchelon-v0`."""

    topology: Topology | str = "divergent"
    """The network, or the name of one: "serial", "divergent", "assembly", "diamond", "tree", "w"."""
    horizon: int = 30
    """Periods T per episode, >= 1."""
    backlog: bool = True
    """Unmet demand waits (True) or is lost (False); it costs the market link's `shortage` either way."""
    alpha: float = 1.0
    """Discount of profit per period inside the reward, in (0, 1]."""
    base_mean: float = 20.0
    """Mean demand of a market, units per period, > 0."""
    link_means: bool = True
    """A market link's own `mean` replaces `base_mean`. gym-invmgmt 0.2.1 ignores the means of its files: False."""
    distribution: str = "poisson"
    """Distribution of demand with mean mu: "poisson", "normal" (variance mu) or "uniform" (0 to 2 mu)."""
    noise_scale: float = 1.0
    """Factor on demand's deviation from its mean, >= 0; 0 makes demand deterministic."""
    trend: bool = False
    """Mean demand grows linearly, times 1 + trend_slope t."""
    trend_slope: float = 0.05
    """Growth per period, as a share of the first mean."""
    seasonal: bool = False
    """Mean demand swings, times 1 + seasonal_amplitude sin(2 pi t / seasonal_period)."""
    seasonal_amplitude: float = 0.5
    """Size of the swing, in [0, 1]."""
    seasonal_period: float = 30.0
    """Length of a season in periods, > 0."""
    shock: bool = False
    """Mean demand is multiplied by shock_factor from period shock_time on."""
    shock_time: int = 15
    """First period of the shock, >= 0."""
    shock_factor: float = 2.0
    """Factor on mean demand during the shock, >= 0."""
    goodwill: bool = False
    """Demand follows the customers' sentiment, which unmet demand lowers."""
    goodwill_growth: float = 1.01
    """Factor on sentiment after a period without unmet demand, >= 1."""
    goodwill_decay: float = 0.9
    """Factor on sentiment after a period with unmet demand, in [0, 1]."""
    goodwill_floor: float = 0.2
    """Least sentiment, > 0."""
    goodwill_cap: float = 2.0
    """Greatest sentiment, >= goodwill_floor."""
    external_series: tuple[float, ...] | None = None
    """Mean demand of each period instead of base_mean; its last value goes on. Effects and noise still apply."""
    fixed_demand: tuple[tuple[float, ...], ...] | None = None
    """Demand itself [M][>= T], of each market; no effects, no noise, but sentiment where goodwill is on."""
    observation: str = "scaled"
    """ "scaled" to numbers of order one, or "raw": gym-invmgmt's vector in units."""
    action: str = "relative"
    """ "relative" to mean demand, in [-1, 1], or "orders" in units."""
    reward: str = "money"
    """ "money": profit, as published; "relative": profit over the nominal revenue of a period, of order one."""
    order_reach: float = 4.0
    """Order of the relative action 1, in units of the link's share of mean demand, > 1."""
    objectives: tuple[str, ...] | None = ()
    """Empty or None: the reward is one number. Else a vector, of an objective for each entry: "revenue", "material",
    "operating", "ordering" (fixed cost), "holding", "shortage", or several joined by "+", as in ("shortage",
    "material+operating+ordering+holding"). What is not named is not paid."""

    def __post_init__(self) -> None:
        if isinstance(self.topology, str):
            check_choice(self, "topology", TOPOLOGIES)
        elif not isinstance(self.topology, Topology):
            raise ValueError(f"topology={self.topology!r} must be a Topology or one of {', '.join(TOPOLOGIES)}.")
        check_integer(self, "horizon", 1, 100_000)  # demand is tabulated by period
        check_integer(self, "shock_time", 0)
        check_flag(self, "backlog", "link_means", "trend", "seasonal", "shock", "goodwill")
        check_positive(self, "alpha", "base_mean", "seasonal_period", "goodwill_floor")
        check_non_negative(self, "noise_scale", "shock_factor")
        check_finite(self, "trend_slope", "goodwill_growth", "goodwill_cap", "order_reach")
        check_probability(self, "alpha", "seasonal_amplitude", "goodwill_decay")
        check_choice(self, "distribution", ("poisson", "normal", "uniform"))
        check_choice(self, "observation", ("scaled", "raw"))
        check_choice(self, "action", ("relative", "orders"))
        check_choice(self, "reward", ("money", "relative"))
        check_objectives(self, PROFIT_PARTS)
        if self.goodwill_growth < 1:
            raise ValueError(f"goodwill_growth={self.goodwill_growth!r} must be at least 1.")
        if self.goodwill_cap < self.goodwill_floor:
            raise ValueError(
                f"goodwill_cap={self.goodwill_cap!r} must be at least goodwill_floor={self.goodwill_floor!r}."
            )
        if self.order_reach <= 1:
            raise ValueError(f"order_reach={self.order_reach!r} must be above 1.")
        self._check_series()

    def _check_series(self) -> None:
        if self.external_series is not None:
            _check_numbers("external_series", self.external_series, 1)
            if not any(self.external_series):
                raise ValueError("external_series is all 0: nobody ever buys; give some period a demand.")
        if self.fixed_demand is not None:
            markets = len(self.graph.market_links)
            if not isinstance(self.fixed_demand, tuple) or len(self.fixed_demand) != markets:
                raise ValueError(
                    f"fixed_demand={self.fixed_demand!r} must be a tuple of {markets} series, one per market link."
                )
            for market, series in enumerate(self.fixed_demand):
                _check_numbers(f"fixed_demand[{market}]", series, self.horizon)

    @property
    def graph(self) -> Topology:
        """The network."""
        return TOPOLOGIES[self.topology] if isinstance(self.topology, str) else self.topology

    @property
    def nominal_demand(self) -> tuple[float, ...]:
        """Mean demand of each market link [M] before effects, units per period, > 0: the yardstick of scaling."""
        if self.fixed_demand is not None:
            return tuple(sum(series) / len(series) or 1.0 for series in self.fixed_demand)
        if self.external_series is not None:
            return (sum(self.external_series) / len(self.external_series),) * len(self.graph.market_links)
        return tuple(
            link.mean if self.link_means and link.mean is not None else self.base_mean
            for link in self.graph.market_links
        )

    @property
    def reward_scale(self) -> float:
        """Factor from profit to reward."""
        if self.reward == "money":
            return 1.0
        pairs = zip(self.graph.market_links, self.nominal_demand, strict=True)
        return 1.0 / (sum(link.price * demand for link, demand in pairs) or 1.0)

    def base_demand(self, t: int) -> tuple[float, ...]:
        """Mean demand of each market link [M] in period t, before sentiment; demand itself where it is fixed."""
        if self.fixed_demand is not None:
            return tuple(series[min(t, len(series) - 1)] for series in self.fixed_demand)
        factor = 1.0
        if self.trend:
            factor *= 1 + self.trend_slope * t
        if self.seasonal:
            factor *= 1 + self.seasonal_amplitude * math.sin(2 * math.pi / self.seasonal_period * t)
        if self.shock and t >= self.shock_time:
            factor *= self.shock_factor
        if self.external_series is None:
            return tuple(mean * factor for mean in self.nominal_demand)
        return (self.external_series[min(t, len(self.external_series) - 1)] * factor,) * len(self.graph.market_links)


def _check_numbers(name: str, values: Any, least: int) -> None:
    """Raise ValueError unless values is a tuple of at least so many finite numbers >= 0."""
    if not isinstance(values, tuple) or len(values) < least:
        size = f"of length {len(values)}" if isinstance(values, tuple) else repr(values)
        raise ValueError(f"{name} is {size} but must be a tuple of at least {least} numbers.")
    for t, value in enumerate(values):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value < 0:
            raise ValueError(f"{name}[{t}]={value!r} must be a finite number of at least 0.")


def _scenarios() -> dict[str, SupplyNetworkParams]:
    """gym-invmgmt's 22 core scenarios, its 4 multi-agent rows, and its other networks."""
    made: dict[str, SupplyNetworkParams] = {}
    effects: dict[str, dict[str, bool]] = {
        "seasonal": {"trend": True, "seasonal": True},
        "shock": {"trend": True, "seasonal": True, "shock": True},
    }
    for topology in ("divergent", "serial"):
        base = SupplyNetworkParams(topology=topology)
        for demand, flags in effects.items():
            regime = replace(base, **flags)  # type: ignore[arg-type]
            for goodwill in (False, True):
                name = f"{topology}-{demand}{'-goodwill' if goodwill else ''}"
                made[f"{name}-backlog"] = replace(regime, goodwill=goodwill)
                made[f"{name}-lost"] = replace(regime, goodwill=goodwill, backlog=False)
            made[f"{topology}-{demand}-marl"] = regime
        made[f"{topology}-stationary-backlog"] = base
        made[f"{topology}-stationary-lost"] = replace(base, backlog=False)
        made[f"{topology}-m5-backlog"] = replace(base, external_series=M5_SERIES, noise_scale=0.0)
    others = {name: SupplyNetworkParams(topology=name) for name in ("assembly", "diamond", "tree", "w")}
    return {**made, **others}


SCENARIOS: Mapping[str, SupplyNetworkParams] = _scenarios()
"""Constants by the scenario's name. "-marl" rows equal the backlog rows: the flag changes nothing in the release."""
