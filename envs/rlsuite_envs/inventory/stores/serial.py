"""A chain of stages, each ordering from the next one up: Clark and Scarf's serial system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from rlsuite_envs.checks import MOST, check_integer, check_non_negative, check_positive
from rlsuite_envs.inventory.stores.demand import NormalDemand
from rlsuite_envs.inventory.stores.ordering import OrderingKernel, OrderingParams, check_row
from rlsuite_envs.inventory.stores.pipeline import advance, place, serve, slot_masks

__all__ = ["SerialState", "SerialSystem", "SerialSystemParams"]


@dataclass(frozen=True)
class SerialSystemParams(OrderingParams):
    """Constants; the defaults are HDPO's four stages with store lead time 4 and penalty 9."""

    mean: float = 5.0
    """Mean of the normal demand before negative draws become 0, units per period, > 0."""
    sd: float = 2.0
    """Standard deviation of the normal demand before clipping, >= 0."""
    penalty: float = 9.0
    """Cost p of a unit owed to customers at the end of a period, >= 0."""
    lead_times: tuple[int, ...] = (4, 3, 4, 2)
    """Periods from order to arrival of the N stages, each >= 1: store first, then upwards."""
    holdings: tuple[float, ...] = (1.0, 0.5, 0.2, 0.1)
    """Cost of a unit on hand at the end of a period, per stage, >= 0; units on their way cost nothing."""
    initial_slots: int = 4
    """On hand and pipeline slots of the store filled at the start, >= 1; at least its lead time's are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "mean")
        check_non_negative(self, "sd", "penalty")
        check_row(self, "lead_times", low=1, whole=True)
        check_row(self, "holdings", len(self.lead_times))
        check_integer(self, "initial_slots", 1, MOST)


@dataclass(frozen=True)
class SerialState:
    """A chain of N stages; S = max(initial_slots, longest lead time + 1)."""

    inventory: Tensor
    """[B, N, S] units, store first: on hand (at the store negative: owed), then arriving in 1, 2, ... periods."""
    demand: Tensor
    """[B] units of the last period's demand; 0 at the start."""
    short: Tensor
    """[B] units owed to customers at the end of the last period."""
    cost: Tensor
    """[B] cost of the last period; in the post-decision state what the upper stages have caused of this one's."""


class SerialSystem(OrderingKernel[SerialState]):
    """Order at every stage of a chain: store, warehouse, and further echelons above it.

    ## Description
    Stage 1 (the store) serves customers and orders from stage 2, that from stage 3, and so on; stage N orders from
    a supplier that never runs out. A period:

    1. all orders are chosen at once from the state at the start of the period; each is cut to what the next stage
       up has on hand then (the rest is dropped), leaves there, and enters the slot of its own lead time;
    2. what the upper stages have left is charged with their holding costs;
    3. demand takes from the store: cost h (x0 - d)^+ + p (d - x0)^+; what is short is owed;
    4. everything on its way moves one slot down.

    Units on their way cost nothing. Echelon base-stock policies are optimal (Clark and Scarf); for the default
    (L 4, 3, 4, 2 and p = 9) the levels, from the store up, are 32.4, 49.0, 72.8, 83.2 and the cost 10.734.

    ## Action Space
    `Box(-1, 1, (N,))` float32, store first: -1 orders nothing, 1 orders `max_order` mean demands (0 is the mean
    demand itself by default). With `actions="orders"`: `Box(0, 1000 mean, (N,))`, units. Values outside are clipped.

    ## Observation Space
    `Box(N * S,)` float32: of each stage, store first, the stock on hand and what arrives in 1 .. S - 1 periods, in
    mean demands (`observation="raw"`: in units).

    ## Rewards
    Minus the cost of the period: holding of the upper stages (with the decision), then the store's. Published costs
    are per period, without discount, after a warm-up.

    ## Starting State
    The store's first max(initial_slots, L) slots uniform in [0, mean demand] each; the upper stages are empty.

    ## Episode End
    Termination: never. Truncation: `horizon` periods, 100 by default; the problem itself goes on for ever.

    ## Arguments
    The fields of `SerialSystemParams`. Presets "L4-p9" etc.: store lead time 1 .. 4, p in 4, 9, 19, 39.

    `info` has cost, demand, short [B], on_hand and position (with what is on its way) [B, N].

    Source: Alvo, Russo, Kanoria, Lee, arXiv 2306.11246 (HDPO), serial system; A. Clark, H. Scarf, "Optimal policies
    for a multi-echelon inventory problem", Management Science 6(4), 1960.

    ## Version History
    v0: first.
    """

    params_class = SerialSystemParams
    params: SerialSystemParams
    presets: ClassVar[Mapping[str, Any]] = {
        f"L{lead}-p{penalty}": SerialSystemParams(lead_times=(lead, 3, 4, 2), penalty=float(penalty))
        for lead in (1, 2, 3, 4)
        for penalty in (4, 9, 19, 39)
    }

    def __init__(self, params: SerialSystemParams | None = None, **kwargs: Any) -> None:
        super().__init__(params, **kwargs)
        p = self.params
        self.num_stages = len(p.lead_times)
        self._filled = max(p.initial_slots, p.lead_times[0])
        self._num_slots = max(p.initial_slots, max(p.lead_times) + 1)
        leads = torch.tensor(p.lead_times, device=self.device)
        self._slots = slot_masks(leads, self._num_slots).to(self.dtype)
        self._upper_holdings = self._numbers(p.holdings[1:])
        self.order_units = self._numbers([p.mean] * self.num_stages)
        self.stock_units = self.order_units.repeat_interleave(self._num_slots)
        self.demand = NormalDemand(self._numbers([p.mean]), self._numbers([p.sd]), clip=True)

    def initial_state(self, num: int, rng: torch.Generator) -> SerialState:
        """Some stock at the store, or on its way there."""
        draws = torch.rand((num, 1, self._filled), generator=rng, device=self.device, dtype=self.dtype)
        empty = (0, self._num_slots - self._filled, 0, self.num_stages - 1)
        inventory = torch.nn.functional.pad(draws * self.params.mean, empty)
        zeros = torch.zeros(num, device=self.device, dtype=self.dtype)
        return SerialState(inventory, zeros, zeros, zeros)

    def orders(self, state: SerialState, action: Tensor) -> Tensor:
        """The orders, [B, N] units, each at most what the next stage up has on hand."""
        wanted = self.wanted(action)
        below = torch.minimum(wanted[:, :-1], state.inventory[:, 1:, 0].clamp_min(0))
        return torch.cat((below, wanted[:, -1:]), dim=1)

    def post_decision(self, state: SerialState, action: Tensor) -> tuple[SerialState, Tensor]:
        """Goods leave the upper stages, whose left-overs cost."""
        orders = self.orders(state, action)
        remaining = state.inventory[:, 1:, 0] - orders[:, :-1]
        on_hand = torch.cat((state.inventory[:, :1, 0], remaining), dim=1)
        inventory = torch.cat((on_hand.unsqueeze(-1), state.inventory[..., 1:]), dim=-1)
        cost = (remaining * self._upper_holdings).sum(1)
        return SerialState(place(inventory, orders, self._slots), state.demand, state.short, cost), -cost

    def transition(self, post_state: SerialState, noise: Tensor | None) -> tuple[SerialState, Tensor, Tensor]:
        """Demand [B, 1] comes to the store, then the pipelines move."""
        assert noise is not None, "The noise of a chain is its demand; see sample_exogenous."
        demand = noise[:, 0]
        left, over, short = serve(post_state.inventory[:, 0, 0], demand, lost=False)
        cost = self.params.holdings[0] * over + self.params.penalty * short
        after = torch.cat((left.unsqueeze(1), post_state.inventory[:, 1:, 0]), dim=1)
        state = SerialState(advance(post_state.inventory, after), demand, short, post_state.cost + cost)
        return state, -cost, torch.zeros_like(cost, dtype=torch.bool)

    def slots(self, state: SerialState) -> Tensor:
        """Stock and pipelines, [B, N * S]."""
        return state.inventory.flatten(1)

    def info(self, state: SerialState) -> dict[str, Tensor]:
        """Quantities of the last period, and the stock now."""
        return {
            "cost": state.cost,
            "demand": state.demand,
            "short": state.short,
            "on_hand": state.inventory[..., 0].clamp_min(0),
            "position": state.inventory.sum(-1),
        }

    def stock_by_place(self, state: SerialState) -> Mapping[str, Tensor]:
        """The stages, store first."""
        return dict(zip(self.order_names(), state.inventory.unbind(1), strict=True))

    def order_names(self) -> tuple[str, ...]:
        """Store, warehouse, echelon 3, ..."""
        return ("store", "warehouse", *(f"echelon {k}" for k in range(3, self.num_stages + 1)))[: self.num_stages]

    def place_units(self) -> Mapping[str, float]:
        """The mean demand, at every stage."""
        return dict.fromkeys(self.order_names(), self.params.mean)
