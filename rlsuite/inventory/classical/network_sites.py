"""What classical rules know of gym-invmgmt's supply networks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rlsuite.inventory.classical.sites import LEAST_ECHELON_HOLDING, VIRTUAL_ORDERS, Sites
from rlsuite_envs.inventory.networks.key_figures import Totals
from rlsuite_envs.inventory.networks.supply_network import SupplyNetwork, SupplyNetworkState
from rlsuite_envs.inventory.networks.topology import Link, Node, NodeId, Topology

__all__ = ["NetworkSites"]

LEAST_MARGIN = 0.5
"""Cost of a unit short at a place that sells to no market is at least this (gym-invmgmt's heuristics)."""


class NetworkSites(Sites):
    """gym-invmgmt's supply networks. Places: the stock nodes, by id."""

    kernel: SupplyNetwork

    def __init__(self, kernel: SupplyNetwork) -> None:
        super().__init__(kernel)
        graph, self._net = kernel.params.graph, kernel.net
        nodes, ids = graph.stock_nodes, [node.id for node in graph.stock_nodes]
        incoming = {id: [link for link in graph.order_links if link.target == id] for id in ids}
        self.names = tuple(f"node {id}" for id in ids)
        self.lead = [max(link.lead_time or 0 for link in incoming[id]) for id in ids]
        self.lead_below = [_lead_to_market(graph, id) for id in ids]
        self.holding = self._floats([node.holding for node in nodes])
        below = [
            sum(graph.by_id[link.target].holding for link in graph.links if link.source == node.id) for node in nodes
        ]
        gaps = [max(LEAST_ECHELON_HOLDING, node.holding - lower) for node, lower in zip(nodes, below, strict=True)]
        self.echelon_holding = self._floats(gaps)
        self.shortage = self._floats([_shortage(graph, id, incoming[id]) for id in ids])
        self.fixed_cost = self._floats([_fixed_cost(node, incoming[node.id]) for node in nodes])
        reached = {id: _reached(graph, id) for id in ids}
        self.below = self._floats([[float(other in reached[id]) for other in ids] for id in ids])
        markets = [link.source for link in graph.market_links]
        self.serves = self._floats([[float(source in reached[id]) for source in markets] for id in ids])
        self.split = self._floats([_shares(graph.order_links, id) for id in ids])
        retailers = [graph.by_id[id] for id in dict.fromkeys(markets)]
        start = sum(node.stock or 0.0 for node in retailers) / len(retailers)
        guess = start / (max(link.lead_time or 0 for link in graph.order_links) + 1)
        self.prior = self._floats([guess or 20.0] * len(markets))
        self._receives = self._floats([[float(link.target == id) for id in ids] for link in graph.order_links])
        self._owes = self._floats([[float(source == id) for id in ids] for source in markets])
        self._tables()

    def _tables(self) -> None:
        """Cumulative mean and variance of demand per place over periods, [T', N], before sentiment."""
        p, longest = self.kernel.params, max(x + y for x, y in zip(self.lead, self.lead_below, strict=True))
        # As in the release, demand is known beyond the horizon, too: trends go on.
        mean = self._floats([p.base_demand(t) for t in range(p.horizon + longest + 2)])
        self._means = mean
        variance = {"poisson": mean, "normal": mean, "uniform": mean.square() / 3}[p.distribution]
        variance = variance * (0.0 if p.fixed_demand is not None else p.noise_scale**2)
        zero = mean.new_zeros(1, len(self.names))
        self._mean_until = torch.cat((zero, (mean @ self.serves.mT).cumsum(0)))
        self._variance_until = torch.cat((zero, (variance @ self.serves.mT).cumsum(0)))

    def read(self, obs: Tensor) -> SupplyNetworkState:
        """State behind observations [B, O], whose entries are demand, unmet, stock, pipeline, period, sentiment."""
        net, obs = self._net, obs.to(self.kernel.dtype)
        if self.kernel.params.observation == "scaled":
            obs = obs / self.kernel.observation_scale
        sizes = (net.num_markets, net.num_markets, net.num_nodes, net.num_slots, 1, 1)
        demand, unmet, stock, pipeline, t, sentiment = obs.split(sizes, dim=1)
        totals = Totals.none(obs.new_zeros(len(obs)), obs.new_zeros(len(obs), net.num_orders))
        period = t[:, 0].round().to(torch.int64)
        return SupplyNetworkState(period, stock, pipeline, demand, unmet, sentiment[:, 0], totals)

    def position(self, state: SupplyNetworkState) -> Tensor:
        """Inventory position [B, N] in units; unmet demand is subtracted where it is backlogged."""
        under_way = state.pipeline @ self._receives[self._net.slot_link]
        have = state.stock + under_way
        return have - state.unmet @ self._owes if self.kernel.params.backlog else have

    def demand(self, state: SupplyNetworkState) -> Tensor:
        """Last demand [B, M] of the market links, units."""
        return state.demand

    def sentiment(self, state: SupplyNetworkState) -> Tensor:
        """Factor [B] on this period's demand; it is updated before the demand is drawn, so it is known."""
        if not self.kernel.params.goodwill:
            return state.sentiment
        idle = self.action(state.stock.new_zeros(len(state.stock), self._net.num_orders))
        return self.kernel.post_decision(state, idle)[0].sentiment

    def outlook(self, state: SupplyNetworkState, periods: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Mean and variance [B, N] of demand from the scenario's own means; sentiment is assumed constant."""
        last = torch.tensor(periods, device=state.t.device) + state.t[:, None]
        last = last.clamp_max(len(self._mean_until) - 1)
        factor = self.sentiment(state)[:, None]
        power = factor.square() if self.kernel.params.distribution == "uniform" else factor
        mean = self._mean_until.gather(0, last) - self._mean_until[state.t]
        variance = self._variance_until.gather(0, last) - self._variance_until[state.t]
        return mean * factor, variance * power

    def path(self, state: SupplyNetworkState, periods: int) -> Tensor:
        """Mean demand [B, periods, M] from the scenario's own means; sentiment is assumed constant."""
        ahead = (state.t[:, None] + torch.arange(periods, device=state.t.device)).clamp_max(len(self._means) - 1)
        return self._means[ahead] * self.sentiment(state)[:, None, None]

    def action(self, orders: Tensor) -> Tensor:
        """Action whose orders these are: the inverse of the kernel's `orders`."""
        p = self.kernel.params
        if p.action == "orders":
            return orders.clamp(0.0, self.kernel.max_order)
        above = orders / self._net.order_scale.clamp_min(1e-12) - 1.0
        return torch.where(above > 0, above / (p.order_reach - 1.0), above).clamp(-1.0, 1.0)


def _shortage(graph: Topology, id: NodeId, incoming: Sequence[Link]) -> float:
    """Cost of a unit short at a node: its markets' shortage cost, else the margin of a unit sold on."""
    to_markets = [link.shortage for link in graph.market_links if link.source == id]
    if to_markets:
        return max(to_markets)
    sold = max(link.price for link in graph.links if link.source == id)
    return max(sold - min(link.price for link in incoming), LEAST_MARGIN)


def _fixed_cost(node: Node, incoming: Sequence[Link]) -> float:
    charged = sum(link.fixed_cost for link in incoming) / len(incoming)
    return charged or VIRTUAL_ORDERS * (node.holding if node.capacity is None else node.operating)


def _shares(links: Sequence[Link], id: NodeId) -> list[float]:
    """Share of each link in the orders of a node, summing to 1; cheap and near suppliers get more."""
    scores = [1.0 / (1.0 + x.price + 0.1 * (x.lead_time or 0)) if x.target == id else 0.0 for x in links]
    return [score / sum(scores) for score in scores]


def _reached(graph: Topology, id: NodeId) -> set[NodeId]:
    """The ids of the node and of all nodes that its goods can reach."""
    found, ahead = {id}, [id]
    while ahead:
        source = ahead.pop()
        new = {link.target for link in graph.links if link.source == source} - found
        found |= new
        ahead += new
    return found


def _lead_to_market(graph: Topology, id: NodeId) -> int:
    """Periods on the slowest path from a node to one that sells; 0 if it sells itself."""
    if any(link.source == id for link in graph.market_links):
        return 0
    outgoing = [link for link in graph.order_links if link.source == id]
    return max((link.lead_time or 0) + _lead_to_market(graph, link.target) for link in outgoing)
