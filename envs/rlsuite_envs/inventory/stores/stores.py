"""One store that orders from a supplier with endless stock: unserved demand waits, or is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from rlsuite_envs.checks import MOST, check_choice, check_flag, check_integer, check_non_negative, check_positive
from rlsuite_envs.inventory.stores.demand import NormalDemand, PoissonDemand
from rlsuite_envs.inventory.stores.ordering import OrderingKernel, OrderingParams
from rlsuite_envs.inventory.stores.pipeline import advance, place, serve, slot_masks

__all__ = ["LostSales", "LostSalesParams", "SingleStore", "SingleStoreParams", "StoreState"]


@dataclass(frozen=True)
class SingleStoreParams(OrderingParams):
    """Constants of one store with backlog; the defaults are HDPO's lead time 4, penalty 9."""

    distribution: str = "normal"
    """Distribution of demand: "normal" (negative draws become 0) or "poisson"; independent between periods."""
    mean: float = 5.0
    """Mean demand, units per period, > 0 (of the normal before clipping)."""
    sd: float = 1.6
    """Standard deviation of the normal demand, units, >= 0; Poisson demand ignores it."""
    holding: float = 1.0
    """Cost h of a unit left over at the end of a period, >= 0."""
    penalty: float = 9.0
    """Cost p of a unit short at the end of a period, >= 0."""
    lead_time: int = 4
    """Periods L from order to arrival, >= 1."""
    initial_slots: int = 4
    """On hand and pipeline slots filled at the start, >= 1; at least L are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "distribution", ("normal", "poisson"))
        check_positive(self, "mean")
        check_non_negative(self, "sd", "holding", "penalty")
        check_integer(self, "lead_time", 1, MOST)
        check_integer(self, "initial_slots", 1, MOST)


@dataclass(frozen=True)
class LostSalesParams(SingleStoreParams):
    """Constants of one store with lost sales; the defaults are HDPO's lead time 4, penalty 9."""

    distribution: str = "poisson"
    """Distribution of demand: "poisson", or "normal" (negative draws become 0); independent between periods."""
    integer_orders: bool = False
    """Round orders to whole units, as in HDPO's tests with Poisson demand; gradients do not pass through that."""
    profit: bool = False
    """The reward is p * sales - h * left over, with p the price, instead of -(p * lost + h * left over)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flag(self, "integer_orders", "profit")


@dataclass(frozen=True)
class StoreState:
    """A store; S = max(initial_slots, L + 1)."""

    inventory: Tensor
    """[B, S] units: on hand (negative: owed), then arriving in 1, 2, ... periods."""
    demand: Tensor
    """[B] units of the last period's demand; 0 at the start."""
    short: Tensor
    """[B] units of demand unserved at the end of the last period: lost in it, or owed."""
    cost: Tensor
    """[B] cost (minus the reward) of the last period."""


class SingleStore(OrderingKernel[StoreState]):
    """Order for one store whose customers wait when it runs out.

    ## Description
    A store orders q units each period; they arrive L periods later, from a supplier that never runs out. A period:

    1. the order is chosen from the state at the start of the period, before its demand, and enters slot L;
    2. demand d takes from the stock on hand x0: cost h (x0 - d)^+ + p (d - x0)^+; what is short is owed;
    3. everything on its way moves one slot down, and slot 1 joins the stock.

    So an order of period t can serve the demand of t + L, and the inventory position (stock and pipeline, after
    ordering) covers L + 1 demands. An optimal policy orders up to S* = 5 (L + 1) + z 1.6 sqrt(L + 1), where z is
    the p / (p + h) quantile of the standard normal, at a cost of (h + p) phi(z) 1.6 sqrt(L + 1) per period.

    ## Action Space
    `Box(-1, 1, (1,))` float32: -1 orders nothing, 0 half of and 1 all of `max_order` mean demands (0 is the mean
    demand itself by default). With `actions="orders"`: `Box(0, 1000 mean, (1,))`, units. Fractions can be ordered.
    Values outside are clipped.

    ## Observation Space
    `Box(S,)` float32: stock on hand, then the units arriving in 1 .. S - 1 periods, in mean demands (`observation=
    "raw"`: in units). Before the decision the slot of the new order is empty; in the post-decision state it is not.

    ## Rewards
    -(h (x0 - d)^+ + p (d - x0)^+) per period, all of it after the decision. Published costs are per period and
    store, without discount, after a warm-up (HDPO: the last 2000 of 5000 periods).

    ## Starting State
    max(initial_slots, L) slots, each uniform in [0, mean demand].

    ## Episode End
    Termination: never. Truncation: `horizon` periods, 100 by default; the problem itself goes on for ever.

    ## Arguments
    The fields of `SingleStoreParams`. Presets "L4-p9" etc.: L in 1, 4, 7, 10, 15, 20 and p in 4, 9, 19, 39.

    `info` has cost, demand, short, on_hand and position (stock and pipeline) [B].

    Source: Alvo, Russo, Kanoria, Lee, arXiv 2306.11246 (HDPO), one store with backlogged demand.

    ## Version History
    v0: first.
    """

    params_class = SingleStoreParams
    params: SingleStoreParams
    presets: ClassVar[Mapping[str, Any]] = {
        f"L{lead}-p{penalty}": SingleStoreParams(lead_time=lead, penalty=float(penalty))
        for lead in (1, 4, 7, 10, 15, 20)
        for penalty in (4, 9, 19, 39)
    }
    lost: ClassVar[bool] = False

    def __init__(self, params: SingleStoreParams | None = None, **kwargs: Any) -> None:
        super().__init__(params, **kwargs)
        p = self.params
        self._filled = max(p.initial_slots, p.lead_time)
        num_slots = max(p.initial_slots, p.lead_time + 1)
        self._slot = slot_masks(torch.tensor(p.lead_time, device=self.device), num_slots).to(self.dtype)
        self.order_units = self._numbers([p.mean])
        self.stock_units = self.order_units.repeat(num_slots)
        sds = self._numbers([p.sd])
        normal = NormalDemand(self.order_units, sds, clip=True)
        self.demand = normal if p.distribution == "normal" else PoissonDemand(self.order_units)
        if self.lost:
            self.lowest_observation = 0.0

    def initial_state(self, num: int, rng: torch.Generator) -> StoreState:
        """Some stock, some on its way."""
        draws = torch.rand((num, self._filled), generator=rng, device=self.device, dtype=self.dtype)
        inventory = torch.nn.functional.pad(draws * self.params.mean, (0, len(self._slot) - self._filled))
        zeros = torch.zeros(num, device=self.device, dtype=self.dtype)
        return StoreState(inventory, zeros, zeros, zeros)

    def orders(self, state: StoreState, action: Tensor) -> Tensor:
        """The order, [B, 1] units."""
        return self.wanted(action)

    def post_decision(self, state: StoreState, action: Tensor) -> tuple[StoreState, None]:
        """The order is on its way; ordering itself costs nothing."""
        inventory = place(state.inventory, self.orders(state, action)[:, 0], self._slot)
        return StoreState(inventory, state.demand, state.short, state.cost), None

    def transition(self, post_state: StoreState, noise: Tensor | None) -> tuple[StoreState, Tensor, Tensor]:
        """Demand [B, 1] comes, then the pipeline moves."""
        assert noise is not None, "The noise of a store is its demand; see sample_exogenous."
        demand = noise[:, 0]
        left, over, short = serve(post_state.inventory[:, 0], demand, lost=self.lost)
        cost = self._cost(demand, over, short)
        state = StoreState(advance(post_state.inventory, left), demand, short, cost)
        return state, -cost, torch.zeros_like(cost, dtype=torch.bool)

    def _cost(self, demand: Tensor, over: Tensor, short: Tensor) -> Tensor:
        """Cost [B] of a period."""
        return self.params.holding * over + self.params.penalty * short

    def slots(self, state: StoreState) -> Tensor:
        """Stock and pipeline, [B, S]."""
        return state.inventory

    def info(self, state: StoreState) -> dict[str, Tensor]:
        """Quantities of the last period, and the stock now."""
        on_hand = state.inventory[:, 0].clamp_min(0)
        position = state.inventory.sum(1)
        return {
            "cost": state.cost,
            "demand": state.demand,
            "short": state.short,
            "on_hand": on_hand,
            "position": position,
        }

    def stock_by_place(self, state: StoreState) -> Mapping[str, Tensor]:
        """The store."""
        return {"store": state.inventory}

    def order_names(self) -> tuple[str, ...]:
        """One order."""
        return ("store",)

    def place_units(self) -> Mapping[str, float]:
        """The mean demand."""
        return {"store": self.params.mean}


class LostSales(SingleStore):
    """Order for one store whose customers leave when it runs out.

    ## Description
    As `SingleStore`, with the same order of events, except that unserved demand is lost: the stock after demand is
    (x0 - d)^+. No simple policy is optimal; base-stock levels, better ones with a cap on the order, and above all
    dynamic programming (Zipkin's instances: the presets) are there to compare with.

    ## Action Space
    As `SingleStore`; `integer_orders` rounds them.

    ## Observation Space
    As `SingleStore`; never negative.

    ## Rewards
    -(h (x0 - d)^+ + p (d - x0)^+) per period; with `profit` p min(x0, d) - h (x0 - d)^+, whose best policies are the
    same as those for the penalty p (the two differ by p d, which no decision changes).

    ## Starting State
    max(initial_slots, L) slots, each uniform in [0, mean demand].

    ## Episode End
    Termination: never. Truncation: `horizon` periods, 100 by default; the problem itself goes on for ever.

    ## Arguments
    The fields of `LostSalesParams`. Presets "L4-p9" etc.: L in 1 .. 4 and p in 4, 9, 19, 39, demand Poisson(5).

    Source: Alvo, Russo, Kanoria, Lee, arXiv 2306.11246 (HDPO), one store with lost demand; the instances are those
    of P. Zipkin, "Old and new methods for lost-sales inventory systems", Operations Research 56(5), 2008.

    ## Version History
    v0: first.
    """

    params_class = LostSalesParams
    params: LostSalesParams
    presets: ClassVar[Mapping[str, Any]] = {
        f"L{lead}-p{penalty}": LostSalesParams(lead_time=lead, penalty=float(penalty))
        for lead in (1, 2, 3, 4)
        for penalty in (4, 9, 19, 39)
    }
    lost: ClassVar[bool] = True

    def orders(self, state: StoreState, action: Tensor) -> Tensor:
        """The order, [B, 1] units, rounded where asked."""
        wanted = self.wanted(action)
        return wanted.round() if self.params.integer_orders else wanted

    def _cost(self, demand: Tensor, over: Tensor, short: Tensor) -> Tensor:
        """Cost [B] of a period, or minus its profit."""
        if self.params.profit:
            return self.params.holding * over - self.params.penalty * (demand - short)
        return super()._cost(demand, over, short)
