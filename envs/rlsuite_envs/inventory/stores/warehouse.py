"""Warehouses that supply stores: the network kernel, and the setting with one warehouse."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from rlsuite_envs.checks import MOST, check_finite, check_flag, check_integer, check_non_negative
from rlsuite_envs.inventory.stores.demand import NormalDemand, equal_correlation_factor
from rlsuite_envs.inventory.stores.instances import published_stores
from rlsuite_envs.inventory.stores.ordering import OrderingKernel, OrderingParams, check_row
from rlsuite_envs.inventory.stores.pipeline import advance, place, serve, share_out, slot_masks

__all__ = ["ManyStores", "ManyStoresParams", "NetworkKernel", "NetworkParams", "NetworkState", "Sourcing"]

_TEN = published_stores(10)


@dataclass(frozen=True)
class Sourcing:
    """How W warehouses supply K stores."""

    lead_times: tuple[tuple[int, ...], ...]
    """[K][W] periods from a warehouse to a store."""
    warehouse_lead_times: tuple[int, ...]
    """[W] periods from the outside supplier."""
    warehouse_holdings: tuple[float, ...]
    """[W] cost of a unit left at the end of a period."""
    edge_costs: tuple[float, ...]
    """[W] cost of a unit ordered by a store."""
    links: tuple[tuple[bool, ...], ...] | None = None
    """[K][W] whether a warehouse supplies a store; None for all."""


@dataclass(frozen=True)
class NetworkParams(OrderingParams):
    """Constants of K stores, independent of their supply; sequences have one entry per store."""

    means: tuple[float, ...] = _TEN.means
    """Mean of the normal demand (before negative draws become 0), units per period, > 0."""
    sds: tuple[float, ...] = _TEN.sds
    """Standard deviation of the normal demand, units, >= 0."""
    correlation: float = 0.5
    """Correlation of any two stores' demands in a period, in (-1/(K-1), 1); periods are independent."""
    clip: bool = True
    """Negative demand becomes 0; else it stays, as returns."""
    holdings: tuple[float, ...] = _TEN.holdings
    """Cost of a unit left at a store at the end of a period, >= 0."""
    penalties: tuple[float, ...] = _TEN.penalties
    """Cost of a unit short at a store at the end of a period, >= 0."""
    lost: bool = True
    """Unserved demand is lost; else it is owed."""
    initial_slots: int = 3
    """On hand and pipeline slots of each store filled at the start, >= 1; at least the longest lead time's are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_row(self, "means", strict=True)
        for name in ("sds", "holdings", "penalties"):
            check_row(self, name, len(self.means))
        check_finite(self, "correlation")
        lowest = -1 / max(len(self.means) - 1, 1)
        if not lowest < self.correlation < 1:
            raise ValueError(
                f"correlation={self.correlation!r} must lie in ({lowest:g}, 1) for {len(self.means)} stores."
            )
        check_flag(self, "clip", "lost")
        if self.lost and not self.clip:
            raise ValueError("clip=False: returns need backlog; set clip=True or lost=False.")
        check_integer(self, "initial_slots", 1, MOST)

    @abstractmethod
    def sourcing(self) -> Sourcing:
        """Who supplies the stores, and how."""


@dataclass(frozen=True)
class NetworkState:
    """K stores and W warehouses; S and S' are the longest lead times + 1 (S at least initial_slots)."""

    stores: Tensor
    """[B, K, S] units: on hand (negative: owed), then arriving in 1, 2, ... periods."""
    warehouses: Tensor
    """[B, W, S'] units: on hand, then arriving in 1, 2, ... periods."""
    demand: Tensor
    """[B, K] units of the last period's demand; 0 at the start."""
    short: Tensor
    """[B, K] units of demand unserved at the end of the last period: lost in it, or owed."""
    cost: Tensor
    """[B] cost of the last period; in the post-decision state what the warehouses have caused of this one's."""


class NetworkKernel(OrderingKernel[NetworkState]):
    """W warehouses supply K stores; the settings below say which and how. A = K * W + W orders."""

    params: NetworkParams

    def __init__(self, params: Any = None, **kwargs: Any) -> None:
        super().__init__(params, **kwargs)
        p, sourcing = self.params, self.params.sourcing()
        self.num_stores = len(p.means)
        self.num_warehouses = len(sourcing.warehouse_lead_times)
        longest = max(max(row) for row in sourcing.lead_times)
        self._filled = max(p.initial_slots, longest)
        self._num_slots = max(p.initial_slots, longest + 1)
        leads = torch.tensor(sourcing.lead_times, device=self.device)
        self._slots = slot_masks(leads, self._num_slots).to(self.dtype)
        upper = torch.tensor(sourcing.warehouse_lead_times, device=self.device)
        self._upper_slots = slot_masks(upper, max(sourcing.warehouse_lead_times) + 1).to(self.dtype)
        self._links = None if sourcing.links is None else self._numbers(sourcing.links)
        self._means = self._numbers(p.means)
        self._holdings = self._numbers(p.holdings)
        self._penalties = self._numbers(p.penalties)
        self._upper_holdings = self._numbers(sourcing.warehouse_holdings)
        # Most settings have no such costs; the step then skips them.
        self._edge_costs = self._numbers(sourcing.edge_costs) if any(sourcing.edge_costs) else None
        total = self._means.sum()
        from_each = (self._means / self.num_warehouses).repeat_interleave(self.num_warehouses)
        self.order_units = torch.cat((from_each, (total / self.num_warehouses).repeat(self.num_warehouses)))
        upper_units = total.repeat(self.num_warehouses * self._upper_slots.shape[1])
        self.stock_units = torch.cat((self._means.repeat_interleave(self._num_slots), upper_units))
        sds = self._numbers(p.sds)
        factor = equal_correlation_factor(sds, p.correlation) if p.correlation else sds
        self.demand = NormalDemand(self._means, factor, p.clip)
        if p.lost:
            self.lowest_observation = 0.0

    def initial_state(self, num: int, rng: torch.Generator) -> NetworkState:
        """Some stock at the stores, or on its way there; the warehouses are empty."""
        shape = (num, self.num_stores, self._filled)
        draws = torch.rand(shape, generator=rng, device=self.device, dtype=self.dtype)
        filled = draws * self._means.unsqueeze(-1)
        stores = torch.nn.functional.pad(filled, (0, self._num_slots - self._filled))
        zeros = filled.new_zeros(num, self.num_stores)
        warehouses = filled.new_zeros(num, *self._upper_slots.shape)
        return NetworkState(stores, warehouses, zeros, zeros, zeros[:, 0])

    def share(self, wanted: Tensor, on_hand: Tensor) -> Tensor:
        """Shipments [B, K, W] from what stores want [B, K, W] and warehouses have [B, W]."""
        return share_out(wanted, on_hand)

    def _shipments(self, state: NetworkState, action: Tensor) -> tuple[Tensor, Tensor]:
        """Shipments to the stores [B, K, W], and the warehouses' own orders [B, W]."""
        wanted = self.wanted(action)
        for_stores, own = wanted[:, : -self.num_warehouses], wanted[:, -self.num_warehouses :]
        for_stores = for_stores.unflatten(1, (self.num_stores, self.num_warehouses))
        if self._links is not None:
            for_stores = for_stores * self._links
        return self.share(for_stores, state.warehouses[..., 0]), own

    def orders(self, state: NetworkState, action: Tensor) -> Tensor:
        """Shipments store by store, and the warehouses' own orders: [B, K * W + W] units."""
        shipped, own = self._shipments(state, action)
        return torch.cat((shipped.flatten(1), own), dim=1)

    def post_decision(self, state: NetworkState, action: Tensor) -> tuple[NetworkState, Tensor]:
        """Goods leave the warehouses, whose left-overs cost, as do orders of dear links."""
        shipped, own = self._shipments(state, action)
        sent = shipped.sum(1)
        # Shares add up to what there is but for rounding, which must not leave a negative stock behind.
        remaining = (state.warehouses[..., 0] - sent).clamp_min(0)
        stores = state.stores
        for w in range(self.num_warehouses):
            stores = place(stores, shipped[..., w], self._slots[:, w])
        upper = torch.cat((remaining.unsqueeze(-1), state.warehouses[..., 1:]), dim=-1)
        cost = (remaining * self._upper_holdings).sum(1)
        if self._edge_costs is not None:
            cost = cost + (sent * self._edge_costs).sum(1)
        post = NetworkState(stores, place(upper, own, self._upper_slots), state.demand, state.short, cost)
        return post, -cost

    def transition(self, post_state: NetworkState, noise: Tensor | None) -> tuple[NetworkState, Tensor, Tensor]:
        """Demand [B, K] comes to the stores, then all pipelines move."""
        assert noise is not None, "The noise of a network is its demand; see sample_exogenous."
        left, over, short = serve(post_state.stores[..., 0], noise, lost=self.params.lost)
        cost = over @ self._holdings + short @ self._penalties
        warehouses = advance(post_state.warehouses, post_state.warehouses[..., 0])
        stores = advance(post_state.stores, left)
        state = NetworkState(stores, warehouses, noise, short, post_state.cost + cost)
        return state, -cost, torch.zeros_like(cost, dtype=torch.bool)

    def slots(self, state: NetworkState) -> Tensor:
        """Stock and pipelines of the stores, then of the warehouses, [B, K * S + W * S']."""
        return torch.cat((state.stores.flatten(1), state.warehouses.flatten(1)), dim=1)

    def info(self, state: NetworkState) -> dict[str, Tensor]:
        """Quantities of the last period, and the stock now."""
        return {
            "cost": state.cost,
            "cost_per_store": state.cost / self.num_stores,
            "demand": state.demand,
            "short": state.short,
            "on_hand": state.stores[..., 0].clamp_min(0),
            "position": state.stores.sum(-1),
            "warehouse_on_hand": state.warehouses[..., 0],
            "warehouse_position": state.warehouses.sum(-1),
        }

    def _warehouse_names(self) -> list[str]:
        many = self.num_warehouses > 1
        return [f"warehouse {w + 1}" if many else "warehouse" for w in range(self.num_warehouses)]

    def stock_by_place(self, state: NetworkState) -> Mapping[str, Tensor]:
        """The stores, then the warehouses."""
        stores = {f"store {k + 1}": state.stores[:, k] for k in range(self.num_stores)}
        return stores | dict(zip(self._warehouse_names(), state.warehouses.unbind(1), strict=True))

    def order_names(self) -> tuple[str, ...]:
        """Each store's orders, then the warehouses' own."""
        sources = [f" from {w + 1}" if self.num_warehouses > 1 else "" for w in range(self.num_warehouses)]
        names = [f"store {k + 1}{source}" for k in range(self.num_stores) for source in sources]
        return (*names, *self._warehouse_names())

    def place_units(self) -> Mapping[str, float]:
        """Mean demand of the stores; of all of them for the warehouses."""
        stores = {f"store {k + 1}": mean for k, mean in enumerate(self.params.means)}
        return stores | dict.fromkeys(self._warehouse_names(), sum(self.params.means))


@dataclass(frozen=True)
class ManyStoresParams(NetworkParams):
    """Constants of one warehouse with K stores; the defaults are HDPO's 10 stores."""

    lead_times: tuple[int, ...] = _TEN.lead_times
    """Periods from the warehouse to each store, >= 1."""
    warehouse_lead_time: int = 3
    """Periods from the outside supplier to the warehouse, >= 1."""
    warehouse_holding: float = 0.3
    """Cost of a unit left at the warehouse at the end of a period, >= 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_row(self, "lead_times", len(self.means), low=1, whole=True)
        check_integer(self, "warehouse_lead_time", 1, MOST)
        check_non_negative(self, "warehouse_holding")

    def sourcing(self) -> Sourcing:
        """One warehouse for all."""
        leads = tuple((lead,) for lead in self.lead_times)
        return Sourcing(leads, (self.warehouse_lead_time,), (self.warehouse_holding,), (0.0,))


class ManyStores(NetworkKernel):
    """Order for one warehouse and the K stores it supplies.

    ## Description
    Stores serve customers and order from the warehouse, which orders from a supplier that never runs out. A period:

    1. all orders are chosen at once from the state at the start of the period. Where the stores together want more
       than the warehouse has on hand then, each gets the same fraction of its order, min(1, on hand / sum), and the
       rest is dropped (the proportional scaling of HDPO's symmetry-aware and graph networks);
    2. shipments leave the warehouse and enter the slots of the stores' lead times; what is left costs;
    3. demand takes from each store: cost h_k (x0 - d)^+ + p_k (d - x0)^+; what is short is lost (or owed);
    4. everything on its way moves one slot down.

    Units on their way cost nothing. A store order of period t can serve the demand of t + L_k.

    ## Action Space
    `Box(-1, 1, (K + 1,))` float32, the stores' orders, then the warehouse's: -1 orders nothing, 1 orders `max_order`
    mean demands of the store (of all stores); 0 is the mean demand itself by default. With `actions="orders"`: units,
    in `Box(0, 1000 means, (K + 1,))`. Values outside are clipped.

    ## Observation Space
    `Box(K * S + S',)` float32: of each store, then of the warehouse, the stock on hand and what arrives in 1, 2, ...
    periods, in mean demands of the store (of all stores); `observation="raw"`: in units.

    ## Rewards
    Minus the cost of the period, summed over the locations: the warehouse's with the decision, then the stores'.
    Published costs are divided by K: see `cost_per_store` in `info`.

    ## Starting State
    The first max(initial_slots, longest L_k) slots of each store uniform in [0, its mean demand]; the warehouse is
    empty.

    ## Episode End
    Termination: never. Truncation: `horizon` periods, 100 by default; the problem itself goes on for ever.

    ## Arguments
    The fields of `ManyStoresParams`. Presets "3", "5", "10", "20", "30", "50": HDPO's stores, lost demand.

    `info` has cost, cost_per_store [B], demand, short, on_hand, position [B, K], warehouse_on_hand and
    warehouse_position [B, 1].

    Source: Alvo, Russo, Kanoria, Lee, arXiv 2306.11246 (HDPO), one warehouse with lost demand.

    ## Version History
    v0: first.
    """

    params_class = ManyStoresParams
    params: ManyStoresParams
    presets: ClassVar[Mapping[str, Any]] = {
        str(k): ManyStoresParams(**vars(published_stores(k))) for k in (3, 5, 10, 20, 30, 50)
    }
