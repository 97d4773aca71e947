"""A supply network as index and incidence tensors: what a batched step needs of it, computed once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rlsuite_envs.inventory.networks.topology import Link, Topology

__all__ = ["NetworkMatrices", "relative_orders"]


def relative_orders(action: Tensor, share: Tensor, reach: float) -> Tensor:
    """Units [B, E] of actions [B, E]: -1 nothing, 0 the share [E] of mean demand, 1 reach times it."""
    action = action.clamp(-1.0, 1.0)
    return share * (1.0 + action + (reach - 2.0) * action.relu())


class NetworkMatrices:
    """Tensors of a topology with N stock nodes, E order links, M market links and P pipeline slots.

    Args:
        graph: the network.
        demands: nominal demand of each market link, units per period; sets the scales only.
        device: where the tensors live.
        dtype: of the floating-point ones.
    """

    num_nodes: int
    """Number of stock nodes N."""
    num_orders: int
    """Number of order links E."""
    num_markets: int
    """Number of market links M."""
    num_slots: int
    """Number of pipeline slots P, the sum of the lead times."""

    def __init__(self, graph: Topology, demands: Sequence[float], device: torch.device, dtype: torch.dtype) -> None:
        self._device = device
        self._dtype = dtype
        self.num_nodes = len(graph.stock_nodes)
        self.num_orders = len(graph.order_links)
        self.num_markets = len(graph.market_links)
        self._nodes(graph)
        self._order_links(graph)
        self._market_links(graph)
        self._pipeline(graph.order_links)
        self._scales(graph, demands)

    def fill(self, order: Tensor, stock: Tensor) -> Tensor:
        """Units [B, E] of the orders [B, E] that the suppliers can fill from stock [B, N].

        A supplier's links are served in order, each from what the ones before leave.
        """
        goods = torch.minimum(stock * self.product_yield, self.capacity)
        available = goods.index_select(1, self.supplier) + self.unlimited
        return _promise(order, available, self.promised_before, self.promise_rounds)

    def sell(self, wanted: Tensor, stock: Tensor) -> Tensor:
        """Units [B, M] of the demand [B, M] that the retailers can meet from stock [B, N]."""
        return _promise(wanted, stock.index_select(1, self.retailer), self.sold_before, self.sale_rounds)

    def _floats(self, values: Sequence[float]) -> Tensor:
        return torch.tensor([float(v) for v in values], dtype=self._dtype, device=self._device)

    def _indices(self, values: Sequence[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=self._device)

    def _incidence(self, columns: Sequence[int | None], values: Sequence[float]) -> Tensor:
        """[links, N] with values at the links' nodes; a row of zeros for None."""
        matrix = torch.zeros(len(columns), self.num_nodes, dtype=self._dtype, device=self._device)
        for row, (column, value) in enumerate(zip(columns, values, strict=True)):
            if column is not None:
                matrix[row, column] = value
        return matrix

    def _nodes(self, graph: Topology) -> None:
        nodes = graph.stock_nodes
        self.start_stock = self._floats([n.stock or 0.0 for n in nodes])
        self.product_yield = self._floats([n.product_yield for n in nodes])
        self.capacity = self._floats([torch.inf if n.capacity is None else n.capacity for n in nodes])
        sells = {link.source for link in graph.market_links}
        # What a retailer's stock costs depends on demand: it is paid after it, the others' before.
        self.retail_holding = self._floats([n.holding if n.id in sells else 0.0 for n in nodes])
        self.upstream_holding = self._floats([0.0 if n.id in sells else n.holding for n in nodes])

    def _order_links(self, graph: Topology) -> None:
        links, index = graph.order_links, graph.index
        suppliers = [index.get(link.source) for link in links]
        sources = [graph.by_id[link.source] for link in links]
        self.supplier = self._indices([0 if s is None else s for s in suppliers])
        self.unlimited = self._floats([torch.inf if s is None else 0.0 for s in suppliers])
        self.used = self._incidence(suppliers, [1.0 / n.product_yield for n in sources])
        self.received = self._incidence([index[link.target] for link in links], [1.0] * len(links))
        self.promised_before, self.promise_rounds = self._before(suppliers)
        # Between two stock nodes the price is paid and earned; what remains is what leaves the network.
        self.order_cost = self._floats(
            [
                link.price if supplier is None else node.operating / node.product_yield
                for link, supplier, node in zip(links, suppliers, sources, strict=True)
            ]
        )
        # The two apart: raw material bought, and what it costs to make and ship a unit.
        self.material_cost = self._floats(
            [link.price if s is None else 0.0 for link, s in zip(links, suppliers, strict=True)]
        )
        self.operating_cost = self.order_cost - self.material_cost
        self.fixed_cost = self._floats([link.fixed_cost for link in links])
        self.has_fixed_cost = any(link.fixed_cost for link in links)

    def _market_links(self, graph: Topology) -> None:
        links = graph.market_links
        retailers = [graph.index[link.source] for link in links]
        nodes = [graph.by_id[link.source] for link in links]
        self.retailer = self._indices(retailers)
        self.sold_from = self._incidence(retailers, [1.0] * len(links))
        self.sold_before, self.sale_rounds = self._before(retailers)
        self.shortage = self._floats([link.shortage for link in links])
        self.price = self._floats([link.price for link in links])
        self.sale_cost = self._floats([n.operating / n.product_yield for n in nodes])
        self.margin = self._floats(
            [link.price - n.operating / n.product_yield for link, n in zip(links, nodes, strict=True)]
        )

    def _before(self, suppliers: Sequence[int | None]) -> tuple[Tensor, int]:
        """Which links [before, after] of a supplier come before which, and how many do at most."""
        size = len(suppliers)
        matrix = torch.zeros(size, size, dtype=self._dtype, device=self._device)
        for after, supplier in enumerate(suppliers):
            for before in range(after):
                if supplier is not None and suppliers[before] == supplier:
                    matrix[before, after] = 1.0
        return matrix, int(matrix.sum(0).max().item())

    def _pipeline(self, links: Sequence[Link]) -> None:
        """Positions, in [pipeline, filled orders], of what arrives now and of the pipeline that remains."""
        times = [link.lead_time or 0 for link in links]
        self.num_slots = sum(times)
        arriving, staying, start = [], [], 0
        for number, time in enumerate(times):
            new = self.num_slots + number
            arriving.append(start if time else new)
            staying += [*range(start + 1, start + time), new] if time else []
            start += time
        self.arriving = self._indices(arriving)
        self.staying = self._indices(staying)
        self.slot_link = self._indices([e for e, time in enumerate(times) for _ in range(time)])
        self.pipeline_holding = self._floats([link.holding for link in links])[self.slot_link]

    def _scales(self, graph: Topology, demands: Sequence[float]) -> None:
        """Nominal orders, and what stock and goods under way are divided by to be of order one."""
        flows = graph.nominal_flows(demands)
        links, yields = graph.order_links, {n.id: n.product_yield for n in graph.nodes}
        count = {link.target: sum(other.target == link.target for other in links) for link in links}
        share = [flows[link.target] / yields[link.target] / count[link.target] for link in links]
        self.order_scale = self._floats(share)
        self.pipeline_scale = self.order_scale[self.slot_link]
        longest = {n.id: max(link.lead_time or 0 for link in links if link.target == n.id) for n in graph.stock_nodes}
        self.stock_scale = self._floats(
            [max(n.stock or 0.0, flows[n.id] * (1 + longest[n.id])) for n in graph.stock_nodes]
        )


def _promise(wanted: Tensor, available: Tensor, before: Tensor, rounds: int) -> Tensor:
    """Serve wanted [B, L] from available [B, L], links in order; after r rounds the first r + 1 are right."""
    served = torch.minimum(wanted, available)
    for _ in range(rounds):
        served = torch.minimum(wanted, (available - served @ before).clamp_min(0.0))
    return served
