"""A warehouse that keeps nothing: everything that arrives is divided among the stores at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from rlsuite_envs.checks import MOST, check_integer
from rlsuite_envs.inventory.stores.instances import published_stores
from rlsuite_envs.inventory.stores.ordering import check_row
from rlsuite_envs.inventory.stores.pipeline import share_all
from rlsuite_envs.inventory.stores.warehouse import NetworkKernel, NetworkParams, Sourcing

__all__ = ["Transshipment", "TransshipmentParams"]

_FIVE = published_stores(5)


@dataclass(frozen=True)
class TransshipmentParams(NetworkParams):
    """Constants; the defaults are HDPO's 5 stores with lead time 2, penalty 4 and correlation 0.5."""

    means: tuple[float, ...] = _FIVE.means
    """Mean of the normal demand, units per period, > 0."""
    sds: tuple[float, ...] = _FIVE.sds
    """Standard deviation of the normal demand, units, >= 0."""
    clip: bool = False
    """Negative demand becomes 0; else it stays, as returns (published)."""
    holdings: tuple[float, ...] = (1.0,) * 5
    """Cost of a unit left at a store at the end of a period, >= 0."""
    penalties: tuple[float, ...] = (4.0,) * 5
    """Cost of a unit short at a store at the end of a period, >= 0."""
    lost: bool = False
    """Unserved demand is lost; else it is owed (published)."""
    initial_slots: int = 2
    """On hand and pipeline slots of each store filled at the start, >= 1; at least the longest lead time's are."""
    lead_times: tuple[int, ...] = (2,) * 5
    """Periods from the warehouse to each store, >= 1."""
    warehouse_lead_time: int = 3
    """Periods from the outside supplier to the warehouse, >= 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_row(self, "lead_times", len(self.means), low=1, whole=True)
        check_integer(self, "warehouse_lead_time", 1, MOST)

    def sourcing(self) -> Sourcing:
        """One warehouse for all; it never holds anything that could cost."""
        leads = tuple((lead,) for lead in self.lead_times)
        return Sourcing(leads, (self.warehouse_lead_time,), (0.0,), (0.0,))


def _instance(num_stores: int, lead_time: int, penalty: int, correlation: float) -> TransshipmentParams:
    stores = published_stores(num_stores)
    return TransshipmentParams(
        means=stores.means,
        sds=stores.sds,
        correlation=correlation,
        holdings=(1.0,) * num_stores,
        penalties=(float(penalty),) * num_stores,
        lead_times=(lead_time,) * num_stores,
    )


class Transshipment(NetworkKernel):
    """Order for K stores through a point that divides what arrives and keeps nothing.

    ## Description
    The warehouse orders from a supplier that never runs out; what arrives there is shipped to the stores in the same
    period, all of it. A period:

    1. the warehouse's order and the division are chosen at once from the state at the start of the period. Store k
       gets on hand * a_k / sum(a), where a are the stores' orders; if nobody orders, in proportion to mean demand;
    2. shipments enter the slots of the stores' lead times;
    3. demand takes from each store: cost h_k (x0 - d)^+ + p_k (d - x0)^+; what is short is owed;
    4. everything on its way moves one slot down.

    Demand is not clipped: customers may return goods. An order of period t can serve the demand of t + L_w + L_s, so
    the system's position covers L_w + L_s + 1 demands. If stores could also send back what they have, the optimum
    would be closed-form, which is a lower bound here: (h + p) phi(z) sqrt(L_w s^2 + (L_s + 1) (sum of sds)^2), with
    s^2 the variance of total demand. HDPO's holding cost of the warehouse (0.5) never applies, and is left out.

    ## Action Space
    `Box(-1, 1, (K + 1,))` float32, the stores' orders, then the warehouse's: -1 is nothing, 1 is `max_order` mean
    demands of the store (of all stores); 0 everywhere orders the mean demand by default and divides in proportion to
    it. Of the stores' orders only the proportions matter. With `actions="orders"`: units >= 0. Values outside are
    clipped.

    ## Observation Space
    `Box(K * S + S',)` float32: of each store, then of the warehouse, the stock on hand and what arrives in 1, 2, ...
    periods, in mean demands of the store (of all stores); `observation="raw"`: in units.

    ## Rewards
    Minus the stores' costs of the period, summed; all after the decision. Published costs are divided by K: see
    `cost_per_store` in `info`.

    ## Starting State
    The first max(initial_slots, longest L_k) slots of each store uniform in [0, its mean demand]; the warehouse is
    empty.

    ## Episode End
    Termination: never. Truncation: `horizon` periods, 100 by default; the problem itself goes on for ever.

    ## Arguments
    The fields of `TransshipmentParams`. Presets "5-L2-p4-corr0.5" etc.: 3, 5 or 10 of HDPO's stores, lead time 2 or 6,
    penalty 4 or 9, correlation 0 or 0.5.

    `info` has cost, cost_per_store [B], demand, short, on_hand, position [B, K], warehouse_on_hand and
    warehouse_position [B, 1].

    Source: Alvo, Russo, Kanoria, Lee, arXiv 2306.11246 (HDPO), transshipment with backlogged demand; A. Federgruen,
    P. Zipkin, "Approximations of dynamic, multilocation production and inventory problems", Management Science 30(1),
    1984, for the bound.

    ## Version History
    v0: first.
    """

    params_class = TransshipmentParams
    params: TransshipmentParams
    presets: ClassVar[Mapping[str, Any]] = {
        f"{k}-L{lead}-p{p}-corr{corr:g}": _instance(k, lead, p, corr)
        for k in (3, 5, 10)
        for lead in (2, 6)
        for p in (4, 9)
        for corr in (0.0, 0.5)
    }

    def share(self, wanted: Tensor, on_hand: Tensor) -> Tensor:
        """Everything on hand, divided: [B, K, 1]."""
        return share_all(wanted, on_hand, (self._means / self._means.sum()).unsqueeze(-1))
