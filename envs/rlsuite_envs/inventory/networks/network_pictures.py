"""Pictures of supply networks: one period as a map, one episode as curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rlsuite_envs.drawing import Canvas, figure, figure_array
from rlsuite_envs.inventory.networks.network_matrices import NetworkMatrices
from rlsuite_envs.inventory.networks.topology import NodeId, Topology

__all__ = ["draw_episode", "draw_network"]

WIDTH, HEIGHT = 760, 440
BOX = 0.15
STOCK, WAY, SHORT, EDGE = "#3b7dd8", "#e8963a", "#c8372d", "#c8ccd2"
CURVES = (*(f"C{i}" for i in range(10)), "black", "#bbbb00", "#00aa88")


def _places(graph: Topology) -> dict[NodeId, tuple[float, float]]:
    """Coordinates of each node: raw material left, markets right, y in 0..1, customers level with suppliers."""
    depth = graph.echelon()
    deepest = max(depth.values())
    places: dict[NodeId, tuple[float, float]] = {}

    def height(id: NodeId) -> float:
        above = [places[link.source][1] for link in graph.links if link.target == id]
        return sum(above) / len(above) if above else 0.0

    for column in range(deepest + 1):
        ids = sorted((id for id in depth if deepest - depth[id] == column), key=lambda id: (isinstance(id, str), id))
        ids.sort(key=lambda id: -height(id))
        for row, id in enumerate(ids):
            places[id] = (column / deepest, 1.0 - (row + 0.5) / len(ids))
    return places


def draw_network(
    graph: Topology,
    net: NetworkMatrices,
    *,
    stock: Sequence[float],
    pipeline: Sequence[float],
    demand: Sequence[float],
    unmet: Sequence[float],
    title: str,
) -> np.ndarray:
    """The network in one period: stock as bars, goods under way as the links' widths.

    Args:
        graph: the network.
        net: its matrices, for the scales.
        stock: units at each stock node [N].
        pipeline: units in each slot [P].
        demand: of each market [M], in the last period.
        unmet: of it, or of all demand so far [M].
        title: one line.
    """
    places = _places(graph)
    canvas = Canvas(WIDTH, HEIGHT, (-0.14, 1.14), (-0.08, 1.16))
    for link in graph.market_links:
        canvas.line([places[link.source], places[link.target]], EDGE, 2)
    _draw_links(canvas, graph, net, places, pipeline)
    full = (2.0 * net.stock_scale).tolist()
    for id, place in places.items():
        if id in graph.index:
            number = graph.index[id]
            _draw_stock(canvas, place, id, stock[number], min(1.0, stock[number] / full[number]))
        else:
            _draw_end(canvas, place, id, raw=id in graph.raw)
    for number, link in enumerate(graph.market_links):
        _draw_market(canvas, places[link.target], demand[number], unmet[number])
    canvas.text(-0.12, 1.11, title, "black", 16)
    canvas.text(1.12, 1.11, "blue: stock    orange: under way    (units)", "#555555", 13, anchor="rm")
    return canvas.array()


def _draw_links(
    canvas: Canvas,
    graph: Topology,
    net: NetworkMatrices,
    places: dict[NodeId, tuple[float, float]],
    pipeline: Sequence[float],
) -> None:
    under_way, nominal = [0.0] * net.num_orders, [1e-9] * net.num_orders
    slots = zip(net.slot_link.tolist(), pipeline, net.pipeline_scale.tolist(), strict=True)
    for number, units, scale in slots:
        under_way[number] += units
        nominal[number] += scale
    labels = []
    for number, link in enumerate(graph.order_links):
        (x0, y0), (x1, y1) = places[link.source], places[link.target]
        canvas.line([(x0, y0), (x1, y1)], EDGE, 2)
        if not link.lead_time:
            continue
        if under_way[number] > 0:
            canvas.line([(x0, y0), (x1, y1)], WAY, 1 + 5 * min(1.0, under_way[number] / nominal[number] / 2))
        # Labels of links that cross would meet in the middle.
        rank = sum(other.source == link.source for other in graph.order_links[:number])
        share = 0.34 + 0.2 * (rank % 2)
        labels.append((x0 + share * (x1 - x0), y0 + share * (y1 - y0), f"{under_way[number]:.0f}"))
    for x, y, text in labels:
        half = 0.010 + 0.006 * len(text)
        canvas.rect(x - half, y - 0.025, x + half, y + 0.025, "white")
        canvas.text(x, y, text, "#8a4b00", 13, anchor="mm")


def _draw_stock(canvas: Canvas, place: tuple[float, float], id: NodeId, units: float, filled: float) -> None:
    x, y = place
    left, right, low, high = x - 0.035, x + 0.035, y - BOX / 2, y + BOX / 2
    canvas.rect(left, low, right, high, "white")
    if filled > 0:
        canvas.rect(left, low, right, low + filled * (high - low), STOCK)
    canvas.rect(left, low, right, high, None, outline="#333333")
    canvas.text(x, high + 0.03, f"node {id}", "#333333", 13, anchor="mm")
    canvas.text(x, low - 0.03, f"{units:.0f}", STOCK, 14, anchor="mm")


def _draw_end(canvas: Canvas, place: tuple[float, float], id: NodeId, *, raw: bool) -> None:
    x, y = place
    canvas.disc(x, y, 0.024, "#9aa1ab" if raw else "#5aa469", outline="#333333")
    canvas.text(x, y + 0.085, f"{'raw' if raw else 'market'} {id}", "#333333", 13, anchor="mm")


def _draw_market(canvas: Canvas, place: tuple[float, float], demand: float, unmet: float) -> None:
    x, y = place
    canvas.text(x, y - 0.08, f"demand {demand:.0f}", "#333333", 13, anchor="mm")
    if unmet > 0:
        canvas.text(x, y - 0.13, f"unmet {unmet:.0f}", SHORT, 13, anchor="mm")


def draw_episode(
    graph: Topology,
    *,
    stock: np.ndarray,
    orders: np.ndarray,
    demand: np.ndarray,
    sold: np.ndarray,
    unmet: np.ndarray,
    profit: np.ndarray,
    backlog: bool,
    headline: str,
) -> np.ndarray:
    """Stock, orders, markets and profit over the periods of an episode.

    Args:
        graph: the network.
        stock: [T + 1, N] units.
        orders: [T, E] units.
        demand: of all markets, [T].
        sold: to all markets, [T].
        unmet: of all markets, [T].
        profit: of each period, [T].
        backlog: whether unmet demand waits.
        headline: one line.
    """
    drawn, axes = figure(2, 2, width=11.0, height=6.8)
    periods = np.arange(1, len(profit) + 1)
    panel = axes[0, 0]
    for number, node in enumerate(graph.stock_nodes):
        panel.plot(stock[:, number], label=f"node {node.id}", color=CURVES[number % len(CURVES)])
    _finish(panel, "Stock on hand", "units", columns=2)
    panel = axes[0, 1]
    names = [f"{link.source} to {link.target}" for link in graph.order_links]
    if len(names) <= 6:
        for number, name in enumerate(names):
            panel.step(periods, orders[:, number], where="mid", label=name, color=CURVES[number], lw=1.2)
        _finish(panel, "Orders", "units per period", columns=6, room=0.12 * (1 + (len(names) - 1) // 6))
    else:  # nobody could follow one of so many lines
        image = panel.imshow(orders.T, aspect="auto", cmap="Blues", extent=(0.5, len(periods) + 0.5, len(names), 0))
        panel.set_yticks(np.arange(len(names)) + 0.5, names, fontsize=7)
        panel.set(title="Orders", xlabel="period", ylabel="supplier to customer")
        drawn.colorbar(image, ax=panel, label="units per period")
    panel = axes[1, 0]
    panel.bar(periods, sold, color="#9fc5e8", label="sold")
    panel.plot(periods, demand, "k.-", lw=1, label="demand")
    panel.plot(periods, unmet, color=SHORT, label="waiting demand" if backlog else "lost demand")
    _finish(panel, "Markets", "units per period")
    panel = axes[1, 1]
    panel.plot(np.concatenate(([0.0], np.cumsum(profit))), color="#2e7d32", label="profit so far")
    panel.bar(periods, profit, color="#a5d6a7", label="of the period")
    panel.axhline(0, color="black", lw=0.8)
    _finish(panel, "Profit", "money")
    drawn.suptitle(headline)
    return figure_array(drawn)


def _finish(panel: Any, title: str, unit: str, columns: int = 1, room: float = 0.15) -> None:
    panel.set(title=title, ylabel=unit, xlabel="period")
    low, high = panel.get_ylim()
    panel.set_ylim(low, high + room * (high - low))
    panel.legend(fontsize=7, ncols=columns, frameon=False, loc="upper left" if columns > 2 else "best")
