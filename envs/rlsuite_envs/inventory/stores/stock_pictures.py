"""Pictures of stock: bars for one moment, curves for an episode. NumPy in, pictures out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from rlsuite_envs.drawing import Canvas, figure, figure_array

__all__ = ["draw_history", "draw_stock"]

ON_HAND, ON_ITS_WAY, OWED = "#1f77b4", "#a6c8e8", "#d62728"
RANGE = (-3.0, 8.0)
MANY = 4
"""More places or orders of one kind than this are added up in the curves."""


def draw_stock(places: Mapping[str, np.ndarray], units: Mapping[str, float], cost: float) -> np.ndarray:
    """Bars for each place: on hand dark (red: owed), arriving in 1, 2, ... periods light; in mean demands.

    Args:
        places: name -> slots [S], units.
        units: name -> mean demand of the place.
        cost: of the last period.
    """
    width = len(places)
    canvas = Canvas(640, 400, (-0.06 * width, 1.02 * width), (RANGE[0] - 1.2, RANGE[1] + 1.2))
    for level in range(int(RANGE[0]), int(RANGE[1]) + 1):
        canvas.line([(0, level), (width, level)], "black" if level == 0 else "#e8e8e8", 1)
        canvas.text(-0.01 * width, level, str(level), "gray", 11, anchor="rm")
    for place, (name, slots) in enumerate(places.items()):
        bar = 0.9 / len(slots)
        for k, amount in enumerate(slots / units[name]):
            color = ON_ITS_WAY if k else (ON_HAND if amount >= 0 else OWED)
            left = place + 0.05 + k * bar
            end = float(np.clip(amount, *RANGE))
            if amount:
                canvas.rect(left, 0, left + 0.85 * bar, end, color)
            if amount != end and width <= MANY:
                canvas.text(left + 0.4 * bar, end, f"{amount:.1f}", "black", 11, anchor="mb" if end > 0 else "mt")
        if width <= 16 or place % 5 == 0:
            short = name if width <= 6 else name.replace("store ", "s").replace("warehouse", "w")
            canvas.text(place + 0.5, RANGE[0] - 0.6, short, "black", 13, anchor="mm")
    title = f"in mean demands: on hand, arriving in 1, 2, ... periods, owed      cost of the period {cost:.2f}"
    canvas.text(0.0, RANGE[1] + 0.75, title, "black", 13)
    return canvas.array()


def draw_history(
    places: Mapping[str, np.ndarray], orders: Mapping[str, np.ndarray], demand: np.ndarray, cost: np.ndarray
) -> np.ndarray:
    """An episode in three panels: stock (on hand and on its way), orders and demand, cost.

    Args:
        places: name -> slots [T + 1, S], units, at the start of each period.
        orders: name -> [T] units.
        demand: [T, K] units.
        cost: [T].
    """
    drawn, axes = figure(3, 1, width=9.0, height=8.0)
    stock_axes, order_axes, cost_axes = axes[:, 0]
    for i, (name, slots) in enumerate(_gathered(places).items()):
        stock_axes.plot(slots[:, 0], color=f"C{i}", label=f"{name}: on hand")
        stock_axes.plot(slots[:, 1:].sum(1), color=f"C{i}", ls=":", label=f"{name}: on its way")
    stock_axes.axhline(0, color="gray", lw=0.5)
    stock_axes.set_ylabel("units")
    stock_axes.set_title("Stock (below 0: owed to customers)", loc="left")
    for i, (name, amount) in enumerate(_gathered(orders).items()):
        order_axes.step(range(len(amount)), amount, where="mid", color=f"C{i}", label=f"order: {name}")
    total = demand.sum(1)
    order_axes.plot(total, "k.", ms=4, label="demand" + (", all stores" if demand.shape[1] > 1 else ""))
    order_axes.set_ylabel("units per period")
    order_axes.set_title("Orders as carried out, and demand", loc="left")
    cost_axes.bar(range(len(cost)), cost, color="#cccccc", label="cost of the period")
    mean = np.cumsum(cost) / np.arange(1, len(cost) + 1)
    cost_axes.plot(mean, color="C3", label=f"mean so far ({mean[-1]:.2f} at the end)")
    cost_axes.set_ylabel("cost")
    cost_axes.set_xlabel("period")
    cost_axes.set_title("Cost", loc="left")
    for ax in axes[:, 0]:
        ax.set_xlim(-0.5, len(cost) + 0.5)
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    return figure_array(drawn)


def _gathered(series: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The series, with those of more than MANY stores added up."""
    if sum(name.startswith("store ") for name in series) <= MANY:
        return dict(series)
    gathered: dict[str, Any] = {}
    for name, value in series.items():
        kind = re.sub(r"^store \d+", "all stores", name)  # "store 3 from 1" becomes "all stores from 1"
        gathered[kind] = gathered.get(kind, 0.0) + value
    return gathered
