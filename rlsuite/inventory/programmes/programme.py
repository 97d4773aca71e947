"""Planning a supply network as a linear programme over H periods and S demand paths, solved by SciPy's HiGHS.

Per path and period h the variables are orders x [E] (filled ones: what cannot be filled is not ordered), stock at the
end I [N], sales y [M] and unmet demand u [M], all >= 0. Orders of the first period are one decision for all paths
(two stages: after it, each path plans knowing its own demand). With the kernel's order of events:

    balance   I_h - I_{h-1} - sum_in x_{h-L} + sum_out x_h / v + sum y_h = goods already under way
    supply    sum_out x_h / v <= I_{h-1}            (goods that arrive now are not passed on)
    capacity  sum_out x_h <= C
    demand    u_h + y_h - (u_{h-1} with backlog) = d_h

Objective: mean over the paths of sum alpha^h (margin y - shortage u - holding I - cost of x, goods under way included).
With one path that holds the true demand, no policy earns more: whatever a policy ships and sells obeys these lines.

Fixed costs of orders make it a mixed-integer programme (x <= bound z, z in {0, 1}).

The matrix depends on H, S and the network only; it is built once, and a solve changes the right-hand sides. Raw
material that could reach no market before the end is left out: it only costs. (Other late orders stay: goods on the way
may be cheaper to hold than goods in stock.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from rlsuite_envs.inventory.networks.supply_network import SupplyNetwork
from rlsuite_envs.inventory.networks.topology import NodeId, Topology

__all__ = ["Plan", "Programme", "ProgrammeFailed"]

INTEGER_SECONDS = 20.0
"""Time limit of a programme with fixed costs; the best plan found by then is taken."""


class ProgrammeFailed(RuntimeError):
    """HiGHS found no plan; the message has its reason."""


@dataclass(frozen=True)
class Plan:
    """Solution of a programme."""

    orders: np.ndarray
    """Orders [H, E] on the first path, units; the first row is common to all paths."""
    value: float
    """Mean profit over the H periods, without what goods under way at the start cost."""


class Programme:
    """The linear programme of a network for H periods and S paths.

    Args:
        kernel: the network.
        periods: H >= 1.
        paths: S >= 1.
        shortage: charge unmet demand; without, the value bounds profit where demand could have been less, too.
    """

    def __init__(self, kernel: SupplyNetwork, periods: int, paths: int = 1, *, shortage: bool = True) -> None:
        self.kernel = kernel
        self.periods = periods
        self.paths = paths
        self._graph: Topology = kernel.params.graph
        self._links = self._graph.order_links
        self._markets = self._graph.market_links
        self._sizes = (len(self._links), len(self._graph.stock_nodes), len(self._markets))
        self._shortage = shortage
        self._columns()
        self._rows()
        self._costs()
        self._arrivals()

    # --- Columns: number of the variable, -1 where there is none

    def _columns(self) -> None:
        num_links, num_nodes, num_markets = self._sizes
        useful = self._useful()
        count = 0

        def number(shape: tuple[int, ...], wanted: np.ndarray | None = None) -> np.ndarray:
            nonlocal count
            mask = np.ones(shape, bool) if wanted is None else np.broadcast_to(wanted, shape)
            numbers = np.full(shape, -1)
            numbers[mask] = count + np.arange(mask.sum())
            count += int(mask.sum())
            return numbers

        first = number((num_links,), useful[0])
        parts = []
        for _ in range(self.paths):
            later = number((self.periods - 1, num_links), useful[1:])
            orders = np.concatenate((first[None], later))
            parts.append(
                (
                    orders,
                    number((self.periods, num_nodes)),
                    number((self.periods, num_markets)),
                    number((self.periods, num_markets)),
                )
            )
        self._x, self._stock, self._sold, self._unmet = (np.stack(x) for x in zip(*parts, strict=True))
        self._set_up = np.full_like(self._x, -1)
        if self.kernel.net.has_fixed_cost:
            existing = np.unique(self._x[self._x >= 0])
            table = np.full(count, -1)
            table[existing] = count + np.arange(len(existing))
            self._set_up = np.where(self._x >= 0, table[self._x], -1)
            count += len(existing)
        self._count = count

    def _useful(self) -> np.ndarray:
        """Which orders can matter, [H, E] bool: not those of raw material that reaches no market by the end."""
        distance = {node.id: _nearest_market(self._graph, node.id) for node in self._graph.stock_nodes}
        need = np.array([(x.lead_time or 0) + distance[x.target] for x in self._links])
        raw = np.array([x.source in self._graph.raw for x in self._links])
        return (np.arange(self.periods)[:, None] + need < self.periods) | ~raw

    # --- Rows

    def _rows(self) -> None:
        self._entries: list[tuple[int, int, float]] = []
        self._low: list[float] = []
        self._high: list[float] = []
        shape = (self.paths, self.periods)
        self._balance = np.zeros((*shape, self._sizes[1]), int)
        self._demand = np.zeros((*shape, self._sizes[2]), int)
        self._supply: list[tuple[int, int]] = []
        for s in range(self.paths):
            for h in range(self.periods):
                self._balance_rows(s, h)
                self._demand_rows(s, h)
                if s == 0 or h > 0:
                    self._supply_rows(s, h)
        if self.kernel.net.has_fixed_cost:
            self._set_up_rows()
        rows, columns, values = (np.array(x) for x in zip(*self._entries, strict=True))
        matrix = coo_array((values.astype(float), (rows, columns)), shape=(len(self._low), self._count))
        self._matrix = matrix.tocsc()
        del self._entries

    def _row(self, terms: list[tuple[int, float]], low: float, high: float) -> int:
        """A new row; terms of variables that do not exist fall away."""
        row = len(self._low)
        self._entries += [(row, int(column), value) for column, value in terms if column >= 0]
        self._low.append(low)
        self._high.append(high)
        return row

    def _balance_rows(self, s: int, h: int) -> None:
        for n, node in enumerate(self._graph.stock_nodes):
            terms = [(self._stock[s, h, n], 1.0)]
            if h:
                terms.append((self._stock[s, h - 1, n], -1.0))
            for e, link in enumerate(self._links):
                if link.target == node.id and h >= (link.lead_time or 0):
                    terms.append((self._x[s, h - (link.lead_time or 0), e], -1.0))
                if link.source == node.id:
                    terms.append((self._x[s, h, e], 1.0 / node.product_yield))
            terms += [(self._sold[s, h, m], 1.0) for m, x in enumerate(self._markets) if x.source == node.id]
            self._balance[s, h, n] = self._row(terms, 0.0, 0.0)

    def _demand_rows(self, s: int, h: int) -> None:
        for m in range(self._sizes[2]):
            terms = [(self._unmet[s, h, m], 1.0), (self._sold[s, h, m], 1.0)]
            if h and self.kernel.params.backlog:
                terms.append((self._unmet[s, h - 1, m], -1.0))
            self._demand[s, h, m] = self._row(terms, 0.0, 0.0)

    def _supply_rows(self, s: int, h: int) -> None:
        for n, node in enumerate(self._graph.stock_nodes):
            out = [self._x[s, h, e] for e, link in enumerate(self._links) if link.source == node.id]
            if not out:
                continue
            terms = [(column, 1.0 / node.product_yield) for column in out]
            if h:
                terms.append((self._stock[s, h - 1, n], -1.0))
            row = self._row(terms, -np.inf, 0.0)
            if h == 0:
                self._supply.append((row, n))
            if node.capacity is not None:
                self._row([(column, 1.0) for column in out], -np.inf, node.capacity)

    def _set_up_rows(self) -> None:
        most = 10.0 * self.kernel.max_order
        pairs = np.unique(np.stack((self._x[self._x >= 0], self._set_up[self._x >= 0])), axis=1)
        for x, z in pairs.T:
            self._row([(x, 1.0), (z, -most)], -np.inf, 0.0)

    # --- Objective, to be minimised

    def _costs(self) -> None:
        net, p = self.kernel.net, self.kernel.params
        discount = p.alpha ** np.arange(self.periods)
        later = np.concatenate(([0.0], discount.cumsum()))
        cost, share = np.zeros(self._count), 1.0 / self.paths
        order = net.order_cost.numpy(force=True).astype(float)
        holding = (net.retail_holding + net.upstream_holding).numpy(force=True).astype(float)
        short = net.shortage.numpy(force=True) * float(self._shortage)
        margin = net.margin.numpy(force=True).astype(float)
        start = np.arange(self.periods)[:, None]
        leads = np.array([x.lead_time or 0 for x in self._links])
        under_way = later[np.minimum(start + leads, self.periods)] - later[start]
        each = discount[:, None] * order + under_way * np.array([x.holding for x in self._links])
        fixed = discount[:, None] * net.fixed_cost.numpy(force=True)

        def add(columns: np.ndarray, values: Any) -> None:
            there = columns >= 0
            np.add.at(cost, columns[there], np.broadcast_to(values, columns.shape)[there] * share)

        add(self._x, each)
        add(self._set_up, fixed)
        add(self._stock, discount[:, None] * holding)
        add(self._sold, -discount[:, None] * margin)
        add(self._unmet, discount[:, None] * short)
        self._cost = cost
        upper = np.full(self._count, np.inf)
        upper[self._set_up[self._set_up >= 0]] = 1.0
        self._bounds = Bounds(np.zeros(self._count), upper)
        self._integer = np.zeros(self._count)
        self._integer[self._set_up[self._set_up >= 0]] = 1

    def _arrivals(self) -> None:
        """Find the balance rows of the first path where slots of goods under way arrive, within the horizon."""
        targets = []
        for link in self._links:
            node = self._graph.index[link.target]
            targets += [(h, node) for h in range(link.lead_time or 0)]
        self._arrival = [(slot, h, n) for slot, (h, n) in enumerate(targets) if h < self.periods]

    def solve(self, stock: np.ndarray, pipeline: np.ndarray, unmet: np.ndarray, demand: np.ndarray) -> Plan:
        """Solve for the best plan from the given state.

        Args:
            stock: [N] on hand.
            pipeline: [P] under way, as in the kernel's state.
            unmet: [M] demand that waits; of no effect where sales are lost.
            demand: [S, H, M].

        Raises:
            ProgrammeFailed: HiGHS gave up.
        """
        low, high = np.array(self._low), np.array(self._high)
        given = np.zeros((self.periods, self._sizes[1]))
        given[0] += stock
        for slot, h, n in self._arrival:
            given[h, n] += pipeline[slot]
        wanted = np.array(demand, dtype=float)
        if self.kernel.params.backlog:
            wanted[:, 0] += unmet
        for rows, values in (
            (self._balance, np.broadcast_to(given, self._balance.shape)),
            (self._demand, wanted),
        ):
            low[rows.ravel()] = high[rows.ravel()] = np.ravel(values)
        for row, n in self._supply:
            high[row] = stock[n]
        options = {"time_limit": INTEGER_SECONDS, "mip_rel_gap": 1e-4} if self._integer.any() else {}
        found = milp(
            self._cost,
            integrality=self._integer if self._integer.any() else None,
            bounds=self._bounds,
            constraints=LinearConstraint(self._matrix, low, high),
            options=options,
        )
        if found.x is None:
            raise ProgrammeFailed(f"no plan for {self.periods} periods and {self.paths} paths: {found.message}")
        orders = np.where(self._x[0] >= 0, found.x[self._x[0]], 0.0)
        return Plan(np.maximum(orders, 0.0), -float(found.fun))


def _nearest_market(graph: Topology, id: NodeId) -> int:
    """Periods on the quickest path from a node to one that sells; 0 if it sells itself."""
    if any(link.source == id for link in graph.market_links):
        return 0
    outgoing = [link for link in graph.order_links if link.source == id]
    return min((link.lead_time or 0) + _nearest_market(graph, link.target) for link in outgoing)
