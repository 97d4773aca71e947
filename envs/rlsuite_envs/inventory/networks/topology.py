"""Supply networks as data: nodes, links, and the checks that they make sense.

Goods flow from raw material (nodes that nobody supplies: unlimited) through stock nodes to markets (nodes that
supply nobody: demand). A link into a market sells; every other link can be ordered on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rlsuite_envs.checks import MOST

__all__ = ["TOPOLOGIES", "Link", "Node", "NodeId", "Topology"]

NodeId = int | str


@dataclass(frozen=True)
class Node:
    """A place of a network. Markets and raw material have an id only."""

    id: NodeId
    """Name of the node: an integer or a string, unique."""
    stock: float | None = None
    """Units on hand at the start, >= 0; None for markets and raw material, which hold no stock."""
    holding: float = 0.0
    """Holding cost h per unit and period, >= 0."""
    capacity: float | None = None
    """Units a factory can ship per period, C > 0; None: no limit."""
    product_yield: float = 1.0
    """Units shipped per unit of stock used up, v > 0; only sales to a market take one for one."""
    operating: float = 0.0
    """Operating cost o per unit of stock used up, >= 0 (a unit shipped costs o / v)."""


@dataclass(frozen=True)
class Link:
    """Goods may flow from source to target."""

    source: NodeId
    """Id of the supplier."""
    target: NodeId
    """Id of the customer."""
    lead_time: int | None = None
    """Periods until an order arrives, >= 0 (0: in the same period); None for a link into a market."""
    price: float = 0.0
    """Price per unit p, >= 0; between two stock nodes it changes hands inside the network."""
    holding: float = 0.0
    """Holding cost g per unit under way and period, >= 0."""
    fixed_cost: float = 0.0
    """Cost K of an order above zero, >= 0."""
    shortage: float = 0.0
    """Cost b per unit of unmet demand and period, >= 0; of a link into a market."""
    mean: float | None = None
    """Mean demand of this market, units per period, > 0; None: the scenario's."""


@dataclass(frozen=True)
class Topology:
    """A directed acyclic network.

    Args:
        nodes: the places.
        links: who may supply whom; their order is the order of actions, and of priority at a scarce supplier.

    Raises:
        ValueError: an unknown node, a cycle (named), no market, a bad lead time, stock, capacity or cost, ...
    """

    nodes: tuple[Node, ...]
    """All places; their order matters to pictures only."""
    links: tuple[Link, ...]
    """All links, those into markets among them."""

    def __post_init__(self) -> None:
        for name, kind in (("nodes", Node), ("links", Link)):
            value = getattr(self, name)
            if not isinstance(value, tuple) or not all(isinstance(part, kind) for part in value):
                raise ValueError(f"{name}={value!r} must be a tuple of {kind.__name__} objects.")
        self._check_ids()
        _check_acyclic(self.links)
        if not self.market_links:
            raise ValueError(
                "The network has no market: add a node without stock and a link into it from a stock node."
            )
        for node in self.nodes:
            self._check_node(node)
        for link in self.links:
            self._check_link(link)

    # --- Roles

    @cached_property
    def by_id(self) -> Mapping[NodeId, Node]:
        """The nodes by their id."""
        return {node.id: node for node in self.nodes}

    @cached_property
    def markets(self) -> frozenset[NodeId]:
        """Ids of nodes that supply nobody."""
        return frozenset(self.by_id) - {link.source for link in self.links}

    @cached_property
    def raw(self) -> frozenset[NodeId]:
        """Ids of nodes that nobody supplies: unlimited raw material."""
        return frozenset(self.by_id) - {link.target for link in self.links}

    @cached_property
    def stock_nodes(self) -> tuple[Node, ...]:
        """The nodes between, in the order of their ids: N of them."""
        inner = [node for node in self.nodes if node.id not in self.markets | self.raw]
        return tuple(sorted(inner, key=lambda node: (isinstance(node.id, str), node.id)))

    @cached_property
    def order_links(self) -> tuple[Link, ...]:
        """The links one can order on, in order: E of them."""
        return tuple(link for link in self.links if link.target not in self.markets)

    @cached_property
    def market_links(self) -> tuple[Link, ...]:
        """The links that sell, in order: M of them."""
        return tuple(link for link in self.links if link.target in self.markets)

    @cached_property
    def index(self) -> Mapping[NodeId, int]:
        """Index of each stock node in `stock_nodes`, by its id."""
        return {node.id: i for i, node in enumerate(self.stock_nodes)}

    def nominal_flows(self, demands: Iterable[float]) -> dict[NodeId, float]:
        """Units per period each stock node must ship to meet these demands, suppliers sharing evenly.

        Args:
            demands: of each market link, units per period.
        """
        flow = dict.fromkeys(self.by_id, 0.0)
        for link, demand in zip(self.market_links, demands, strict=True):
            flow[link.source] += demand
        for target in self._downstream_first():
            incoming = [link for link in self.order_links if link.target == target]
            for link in incoming:
                flow[link.source] += flow[target] / self.by_id[target].product_yield / len(incoming)
        return flow

    def echelon(self) -> dict[NodeId, int]:
        """Links on the longest way from each node to a market (markets: 0)."""
        depth = dict.fromkeys(self.by_id, 0)
        for node in self._downstream_first():
            for link in self.links:
                if link.target == node:
                    depth[link.source] = max(depth[link.source], depth[node] + 1)
        return depth

    def _downstream_first(self) -> list[NodeId]:
        """All ids, every customer before its suppliers."""
        waiting = {id: sum(link.source == id for link in self.links) for id in self.by_id}
        ready, order = [id for id, count in waiting.items() if not count], []
        while ready:
            order.append(ready.pop())
            for link in self.links:
                if link.target == order[-1]:
                    waiting[link.source] -= 1
                    if not waiting[link.source]:
                        ready.append(link.source)
        return order

    # --- Checks

    def _check_ids(self) -> None:
        ids = [node.id for node in self.nodes]
        for id in ids:
            if isinstance(id, bool) or not isinstance(id, int | str):
                raise ValueError(f"Node id={id!r} must be an integer or a string.")
            if ids.count(id) > 1:
                raise ValueError(f"Node id={id!r} is given {ids.count(id)} times; ids must be unique.")
        ends = [(link.source, link.target) for link in self.links]
        for source, target in ends:
            for end in (source, target):
                if end not in ids:
                    raise ValueError(f"Link {source!r} -> {target!r}: unknown node {end!r}; known: {ids}.")
            if ends.count((source, target)) > 1:
                raise ValueError(f"Link {source!r} -> {target!r} is given more than once; merge the links.")
        for id in ids:
            if not any(id in pair for pair in ends):
                raise ValueError(f"Node {id!r} has no link; add one or leave the node out.")

    def _check_node(self, node: Node) -> None:
        where = f"Node {node.id!r}: "
        if node.id in self.markets | self.raw:
            kind = "a market" if node.id in self.markets else "raw material, which is unlimited,"
            if node.stock is not None or node.capacity is not None:
                raise ValueError(
                    f"{where}{kind} has neither stock nor capacity, but stock={node.stock!r}, "
                    f"capacity={node.capacity!r}; leave them out or add "
                    f"{'a customer' if node.id in self.markets else 'a supplier'}."
                )
            return
        if node.stock is None:
            raise ValueError(f"{where}stock=None, but a node with supplier and customer needs a number >= 0.")
        for name in ("stock", "holding", "operating"):
            _check_number(where, name, getattr(node, name))
        _check_number(where, "product_yield", node.product_yield, positive=True)
        if node.capacity is not None:
            _check_number(where, "capacity", node.capacity, positive=True)

    def _check_link(self, link: Link) -> None:
        where = f"Link {link.source!r} -> {link.target!r}: "
        for name in ("price", "holding", "fixed_cost", "shortage"):
            _check_number(where, name, getattr(link, name))
        if link.target in self.markets:
            if link.source in self.raw:
                raise ValueError(f"{where}a market must be supplied from a node with stock, not raw material.")
            if link.lead_time is not None:
                raise ValueError(f"{where}lead_time={link.lead_time!r} must be None: its target is a market.")
            if link.holding or link.fixed_cost:
                raise ValueError(f"{where}holding and fixed_cost must be 0: its target is a market.")
            if link.mean is not None:
                _check_number(where, "mean", link.mean, positive=True)
            return
        if isinstance(link.lead_time, bool) or not isinstance(link.lead_time, int) or not 0 <= link.lead_time <= MOST:
            raise ValueError(f"{where}lead_time={link.lead_time!r} must be an integer of at least 0, at most {MOST}.")
        if link.shortage or link.mean is not None:
            raise ValueError(f"{where}shortage and mean are for links into a market; {link.target!r} is none.")


def _check_number(where: str, name: str, value: Any, *, positive: bool = False) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or value < 0 or (positive and value == 0):
        raise ValueError(
            f"{where}{name}={value!r} must be a finite number {'above 0' if positive else 'of at least 0'}."
        )


def _check_acyclic(links: tuple[Link, ...]) -> None:
    """Raise ValueError naming a cycle, if there is one: walk from node to node until one comes twice."""
    customers: dict[NodeId, list[NodeId]] = {}
    for link in links:
        customers.setdefault(link.source, []).append(link.target)
    # Nodes without customers are on no cycle; nor are, one after the other, their suppliers.
    while leaves := {t for targets in customers.values() for t in targets} - customers.keys():
        customers = {s: [t for t in targets if t not in leaves] for s, targets in customers.items()}
        customers = {s: targets for s, targets in customers.items() if targets}
    if not customers:
        return
    path = [next(iter(customers))]
    while path.count(path[-1]) == 1:
        path.append(customers[path[-1]][0])
    cycle = path[path.index(path[-1]) :]
    raise ValueError(
        f"The network has the cycle {' -> '.join(map(str, cycle))}; goods must flow one way, remove one link."
    )


def _orders(*rows: tuple[int, int, int, float, float]) -> tuple[Link, ...]:
    """Links from (source, target, lead time, price, pipeline holding)."""
    return tuple(Link(s, t, lead, price=p, holding=g) for s, t, lead, p, g in rows)


def _factory(id: int, stock: float, capacity: float, operating: float, holding: float) -> Node:
    return Node(id, stock, holding, capacity=capacity, operating=operating)


def _market(source: int, target: int, price: float, shortage: float, mean: float | None = None) -> Link:
    return Link(source, target, price=price, shortage=shortage, mean=mean)


TOPOLOGIES: Mapping[str, Topology] = {
    "serial": Topology(
        (Node(0), Node(1, 100, 0.03), Node(2, 100, 0.02), _factory(3, 200, 100, 0.01, 0.01), Node(4)),
        (_market(1, 0, 2.0, 0.1), *_orders((2, 1, 4, 1.5, 0.01), (3, 2, 4, 1.0, 0.005), (4, 3, 0, 0.5, 0.0))),
    ),
    "divergent": Topology(
        (
            *(Node(0), Node(1, 100, 0.03), Node(2, 110, 0.02), Node(3, 80, 0.015)),
            _factory(4, 400, 90, 0.010, 0.012),
            _factory(5, 350, 90, 0.015, 0.013),
            _factory(6, 380, 80, 0.012, 0.011),
            *(Node(7), Node(8)),
        ),
        (
            _market(1, 0, 2.0, 0.1),
            *_orders((2, 1, 5, 1.5, 0.010), (3, 1, 3, 1.6, 0.015)),
            *_orders((4, 2, 8, 1.0, 0.008), (4, 3, 10, 0.8, 0.006), (5, 2, 9, 0.7, 0.005)),
            *_orders((6, 2, 11, 0.75, 0.007), (6, 3, 12, 0.8, 0.004)),
            *_orders((7, 4, 0, 0.15, 0.0), (7, 5, 1, 0.05, 0.005)),
            *_orders((8, 5, 2, 0.07, 0.002), (8, 6, 0, 0.20, 0.0)),
        ),
    ),
    "assembly": Topology(
        (
            *(Node(0), Node(1, 120, 0.03), _factory(2, 200, 70, 0.02, 0.015)),
            *(_factory(3, 300, 80, 0.008, 0.010), _factory(4, 250, 60, 0.005, 0.008), Node(5), Node(6)),
        ),
        (
            _market(1, 0, 3.0, 0.2, 20),
            *_orders((2, 1, 2, 2.0, 0.010), (3, 2, 3, 1.0, 0.008), (4, 2, 6, 0.7, 0.005)),
            *_orders((5, 3, 1, 0.3, 0.002), (6, 4, 2, 0.2, 0.001)),
        ),
    ),
    "diamond": Topology(
        (
            *(Node(0), Node(1, 150, 0.025), _factory(2, 300, 80, 0.012, 0.010)),
            *(_factory(3, 250, 60, 0.008, 0.008), Node(4)),
        ),
        (
            _market(1, 0, 2.5, 0.15, 25),
            *_orders((2, 1, 3, 1.2, 0.012), (3, 1, 7, 0.8, 0.006)),
            *_orders((4, 2, 1, 0.3, 0.002), (4, 3, 2, 0.2, 0.001)),
        ),
    ),
    "tree": Topology(
        (
            *(Node(0), Node(1), Node(8), Node(3, 80, 0.030), Node(4, 60, 0.035), Node(2, 70, 0.032)),
            *(Node(6, 200, 0.015), _factory(5, 400, 100, 0.012, 0.010), Node(7)),
        ),
        (
            *(_market(3, 0, 2.5, 0.15, 15), _market(4, 1, 2.5, 0.12, 20), _market(2, 8, 2.5, 0.10, 10)),
            *_orders((6, 3, 2, 1.5, 0.008), (6, 4, 3, 1.5, 0.010), (6, 2, 4, 1.5, 0.012)),
            *_orders((5, 6, 5, 0.8, 0.006), (7, 5, 1, 0.2, 0.001)),
        ),
    ),
    "w": Topology(
        (
            *(Node(0), Node(8), Node(1, 100, 0.030), Node(2, 80, 0.025), Node(3, 250, 0.015)),
            *(_factory(4, 300, 80, 0.020, 0.012), _factory(5, 200, 50, 0.010, 0.008), Node(6), Node(7)),
        ),
        (
            *(_market(1, 0, 2.5, 0.15, 25), _market(2, 8, 2.0, 0.10, 12)),
            *_orders((3, 1, 3, 1.5, 0.010), (3, 2, 4, 1.3, 0.008)),
            *_orders((4, 3, 5, 0.9, 0.006), (5, 3, 7, 0.6, 0.004)),
            *_orders((6, 4, 1, 0.3, 0.002), (7, 5, 0, 0.2, 0.000)),
        ),
    ),
}
"""gym-invmgmt's networks: raw material has the highest ids, the market is 0."""
