"""Several warehouses that supply the same stores, at different costs and lead times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rlsuite_envs.inventory.stores.instances import published_stores
from rlsuite_envs.inventory.stores.ordering import check_row
from rlsuite_envs.inventory.stores.warehouse import NetworkKernel, NetworkParams, Sourcing

__all__ = ["ManyWarehouses", "ManyWarehousesParams"]


def _lead_times(num_stores: int) -> tuple[tuple[int, ...], ...]:
    """[K][2]: 5 or 6 periods from the first warehouse, 1 or 2 from the second."""
    rng = np.random.RandomState(41)
    slow, quick = rng.randint(5, 7, num_stores).tolist(), rng.randint(1, 3, num_stores).tolist()
    return tuple(zip(slow, quick, strict=True))


@dataclass(frozen=True)
class ManyWarehousesParams(NetworkParams):
    """Constants of W warehouses with K stores; the defaults are two warehouses with HDPO's 10 stores."""

    max_order: float = 4.0
    """Largest order of the scaled actions, > 0, in mean demands / W: with 4 each of two warehouses could carry twice
    the demand, and action -0.5 orders the mean demand altogether."""
    lead_times: tuple[tuple[int, ...], ...] = _lead_times(10)
    """[K][W] periods from each warehouse to each store, >= 1."""
    warehouse_lead_times: tuple[int, ...] = (3, 3)
    """Periods from the outside supplier to each warehouse, >= 1."""
    warehouse_holdings: tuple[float, ...] = (0.3, 0.4)
    """Cost of a unit left at each warehouse at the end of a period, >= 0."""
    edge_costs: tuple[float, ...] = (0.5, 1.5)
    """Cost of each unit that a store gets from each warehouse, >= 0."""
    links: tuple[tuple[bool, ...], ...] = ()
    """[K][W] whether a warehouse supplies a store; empty for all. Orders without a link are ignored."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_row(self, "warehouse_lead_times", low=1, whole=True)
        num_warehouses = len(self.warehouse_lead_times)
        for name in ("warehouse_holdings", "edge_costs"):
            check_row(self, name, num_warehouses)
        self._check_matrix("lead_times", num_warehouses, int, "integers of at least 1")
        if not isinstance(self.links, tuple | list):
            raise ValueError(
                f"links={self.links!r} must have one row of True and False per store, or be empty for all."
            )
        if len(self.links):
            self._check_matrix("links", num_warehouses, bool, "True or False")
            for k, row in enumerate(self.links):
                if not any(row):
                    raise ValueError(f"links={self.links!r}: store {k + 1} has no warehouse; give it one at least.")

    def _check_matrix(self, name: str, num_warehouses: int, kind: type, allowed: str) -> None:
        """Check a field [K][W], and keep it as tuples."""
        value = getattr(self, name)
        rows = value.tolist() if isinstance(value, np.ndarray) else value
        shaped = isinstance(rows, tuple | list) and len(rows) == len(self.means)
        if not shaped or any(not isinstance(row, tuple | list) or len(row) != num_warehouses for row in rows):
            raise ValueError(
                f"{name}={value!r} must have one row of {num_warehouses} entries (one per warehouse) for each of the "
                f"{len(self.means)} stores."
            )
        for entry in (entry for row in rows for entry in row):
            fits = type(entry) is kind
            if not fits or (kind is int and entry < 1):
                raise ValueError(f"{name}={value!r}: {entry!r} is not allowed; its entries must be {allowed}.")
        object.__setattr__(self, name, tuple(tuple(row) for row in rows))

    def sourcing(self) -> Sourcing:
        """Links, lead times and costs between warehouses and stores, from the fields."""
        return Sourcing(
            self.lead_times,
            self.warehouse_lead_times,
            self.warehouse_holdings,
            self.edge_costs,
            self.links or None,
        )


class ManyWarehouses(NetworkKernel):
    """Order for W warehouses and K stores, each store from whichever warehouse it likes.

    ## Description
    As `ManyStores`, with the same order of events, except that a store orders from every warehouse it is linked to,
    each with a lead time and a cost per unit of its own. Each warehouse cuts the orders it cannot fill in proportion,
    on its own.

    ## Action Space
    `Box(-1, 1, (K * W + W,))` float32: store 1's orders from warehouses 1 .. W, store 2's, ..., then the warehouses'
    own. -1 orders nothing, 1 orders `max_order` / W mean demands. With `actions="orders"`: units >= 0. Values outside
    are clipped.

    ## Observation Space
    `Box(K * S + W * S',)` float32: of each store, then of each warehouse, the stock on hand and what arrives in 1, 2,
    ... periods, in mean demands of the store (of all stores); `observation="raw"`: in units.

    ## Rewards
    Minus the cost of the period, summed over the locations: the warehouses' left-overs and the shipments with the
    decision, then the stores' costs. Published costs are divided by K: see `cost_per_store` in `info`.

    ## Starting State
    The first max(initial_slots, longest lead time) slots of each store uniform in [0, its mean demand]; the warehouses
    are empty.

    ## Episode End
    Termination: never. Truncation: `horizon` periods, 100 by default; the problem itself goes on for ever.

    ## Arguments
    The fields of `ManyWarehousesParams`. Preset "2x10" (the default): HDPO's 10 stores with lost demand and two
    warehouses with holding costs 0.3 and 0.4, shipping costs 0.5 and 1.5, lead times 3. Which warehouse has the short
    lead times to the stores (1 or 2 periods) and which the long ones (5 or 6) is our reading: the cheap one is slow.

    `info` has cost, cost_per_store [B], demand, short, on_hand, position [B, K], warehouse_on_hand and
    warehouse_position [B, W].

    Source: Alvo, Russo, Kanoria, Lee, arXiv 2306.11246 (HDPO), many warehouses with lost demand.

    ## Version History
    v0: first.
    """

    params_class = ManyWarehousesParams
    params: ManyWarehousesParams
    presets: ClassVar[Mapping[str, Any]] = {
        "2x10": ManyWarehousesParams(**{**vars(published_stores(10)), "lead_times": _lead_times(10)})
    }
