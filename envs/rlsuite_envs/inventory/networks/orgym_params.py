"""Constants of OR-Gym's serial inventory problem."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rlsuite_envs.checks import (
    MOST,
    check_choice,
    check_finite,
    check_flag,
    check_integer,
    check_positive,
    check_probability,
)
from rlsuite_envs.inventory.networks.topology import Link, Node, Topology

__all__ = ["SerialInventoryParams"]


@dataclass(frozen=True)
class SerialInventoryParams:
    """Constants of m stages, retailer first; the defaults are OR-Gym's InvManagement-v0."""

    horizon: int = 30
    """Periods T per episode, >= 1."""
    start_stock: tuple[float, ...] = (100.0, 100.0, 200.0)
    """I0 [m - 1]: units at the start, >= 0; the last stage has unlimited raw material."""
    price: float = 2.0
    """p: price of a unit to customers, >= 0."""
    order_cost: tuple[float, ...] = (1.5, 1.0, 0.75, 0.5)
    """r [m]: cost of a unit to each stage, >= 0 (to the last: of raw material)."""
    shortage: tuple[float, ...] = (0.1, 0.075, 0.05, 0.025)
    """k [m]: cost per unit of demand or orders a stage leaves unfilled in a period, >= 0."""
    holding: tuple[float, ...] = (0.15, 0.1, 0.05)
    """h [m - 1]: cost per unit on hand at the end of a period, >= 0; goods under way cost nothing."""
    capacity: tuple[float, ...] = (100.0, 90.0, 80.0)
    """c [m - 1]: most units the supplier of each stage can ship per period, > 0."""
    lead_times: tuple[int, ...] = (3, 5, 10)
    """L [m - 1]: periods until an order of each stage arrives, >= 0."""
    backlog: bool = True
    """Unmet demand and unfilled orders wait (InvManagement-v0) or are lost (v1)."""
    mean_demand: float = 20.0
    """Mean of the Poisson demand, units per period, > 0."""
    fixed_demand: tuple[float, ...] | None = None
    """Demand of each period [>= T] instead, units."""
    alpha: float = 0.97
    """Discount of profit per period inside the reward, in (0, 1]."""
    observation: str = "scaled"
    """ "scaled" (Markov, order one), or "raw": OR-Gym's vector, in units."""
    action: str = "relative"
    """ "relative" to mean demand, in [-1, 1], or "orders" in units."""
    order_reach: float = 4.0
    """Order of the relative action 1, in units of mean demand, > 1; never above the capacity."""

    def __post_init__(self) -> None:
        check_integer(self, "horizon", 1)
        check_flag(self, "backlog")
        check_positive(self, "mean_demand", "alpha")
        check_probability(self, "alpha")
        check_finite(self, "order_reach", "price")
        check_choice(self, "observation", ("scaled", "raw"))
        check_choice(self, "action", ("relative", "orders"))
        if self.order_reach <= 1:
            raise ValueError(f"order_reach={self.order_reach!r} must be above 1.")
        if self.price < 0:
            raise ValueError(f"price={self.price!r} must be at least 0.")
        if not isinstance(self.start_stock, tuple) or not self.start_stock:
            raise ValueError(f"start_stock={self.start_stock!r} must be a tuple of at least one number.")
        stages = len(self.start_stock)
        for name, size in (
            ("start_stock", 0),
            ("order_cost", 1),
            ("shortage", 1),
            ("holding", 0),
            ("capacity", 0),
        ):
            _check_numbers(name, getattr(self, name), stages + size, above_zero=name == "capacity")
        _check_numbers("lead_times", self.lead_times, stages)
        for stage, time in enumerate(self.lead_times):
            if not isinstance(time, int) or time > MOST:
                raise ValueError(f"lead_times[{stage}]={time!r} must be an integer of at least 0, at most {MOST}.")
        if self.fixed_demand is not None:
            _check_numbers("fixed_demand", self.fixed_demand, self.horizon, more=True)

    @property
    def graph(self) -> Topology:
        """The stages as a network: market 0, stage i as node i + 1."""
        nodes = [Node(i + 1, units, self.holding[i]) for i, units in enumerate(self.start_stock)]
        links = [Link(i + 2, i + 1, time, self.order_cost[i]) for i, time in enumerate(self.lead_times)]
        market = Link(1, 0, price=self.price, shortage=self.shortage[0])
        return Topology((Node(0), *nodes, Node(len(nodes) + 1)), (market, *links))


def _check_numbers(name: str, values: Any, size: int, *, above_zero: bool = False, more: bool = False) -> None:
    """Raise ValueError unless values is a tuple of that many (or more) finite numbers >= 0 (or > 0)."""
    if not isinstance(values, tuple) or len(values) < size or (len(values) > size and not more):
        raise ValueError(
            f"{name}={values!r} must be a tuple of {'at least ' if more else ''}{size} numbers "
            f"({'one per period' if more else 'stages as in start_stock'})."
        )
    for place, value in enumerate(values):
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not number or value < 0 or (above_zero and value == 0):
            least = "above 0" if above_zero else "of at least 0"
            raise ValueError(f"{name}[{place}]={value!r} must be a finite number {least}.")
