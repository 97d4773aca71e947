"""Pictures of a plant: machines and stock at one moment, and a whole run. NumPy in, pictures out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rlsuite_envs.drawing import Canvas, figure, figure_array

__all__ = ["draw_plant", "draw_run"]

IDLE, MISSED = "#eeeeee", "#d62728"
COSTS = (
    ("lost_sales_cost", "lost sales", MISSED),
    ("setup_cost", "set-ups", "#ff9f1c"),
    ("holding_cost", "holding", "#2a9d8f"),
)


def _colors(num_items: int) -> list[tuple[int, int, int]]:
    """A colour for idle (0) and for each item: hues far apart for neighbours."""
    import colorsys

    hues = [(0.61803 * item) % 1.0 for item in range(num_items)]
    shades = [(0.55, 0.85), (0.35, 0.95), (0.75, 0.7)]
    colors = [colorsys.hsv_to_rgb(hue, *shades[item % 3]) for item, hue in enumerate(hues)]
    return [(238, 238, 238)] + [(round(255 * r), round(255 * g), round(255 * b)) for r, g, b in colors]


def draw_plant(
    stock: np.ndarray, setups: np.ndarray, lost: np.ndarray, capacity: float, costs: Mapping[str, float]
) -> np.ndarray:
    """Machines above, stock of every item below (red: units of the last demand that were missing).

    Args:
        stock: [I] units.
        setups: [M] item of each machine, 0 idle.
        lost: [I] units.
        capacity: units.
        costs: of the last period, by the names in COSTS.
    """
    items, machines = len(stock), len(setups)
    colors = _colors(items)
    canvas = Canvas(640, 400, (-0.04 * items, 1.02 * items), (-0.45, 1.75))
    title = "   ".join(f"{label} {costs[name]:.1f}" for name, label, _ in COSTS)
    canvas.text(0, 1.66, f"costs of the last period:  {title}", "black", 14)
    width = items / machines
    for machine, item in enumerate(setups):
        left = machine * width
        canvas.rect(left + 0.04 * width, 1.2, left + 0.96 * width, 1.5, colors[item], "gray")
        canvas.text(left + width / 2, 1.35, str(item) if item else "idle", "black", 13, anchor="mm")
        canvas.text(left + width / 2, 1.55, f"m{machine + 1}", "gray", 11, anchor="mm")
    canvas.line([(0, 1), (items, 1)], "#bbbbbb", 1)
    canvas.text(0, 1.06, f"stock (line: capacity {capacity:g})", "gray", 11)
    for item in range(items):
        level, missed = stock[item] / capacity, min(lost[item] / capacity, 0.2)
        canvas.rect(item + 0.1, 0, item + 0.9, level, colors[item + 1])
        if missed > 0:
            canvas.rect(item + 0.1, 0, item + 0.9, -missed, MISSED)
        canvas.text(item + 0.5, -0.27, str(item + 1), "black", 12, anchor="mm")
    canvas.line([(0, 0), (items, 0)], "black", 1)
    canvas.text(0, -0.39, "item (red: demand lost in the last period)", "gray", 11)
    return canvas.array()


def draw_run(
    stock: np.ndarray, setups: np.ndarray, lost: np.ndarray, capacity: float, costs: Mapping[str, Any]
) -> np.ndarray:
    """What the machines made, the stock of every item, and costs, over T periods.

    Args:
        stock: [T + 1, I] units.
        setups: [T, M] item each machine made, 0 idle.
        lost: [T, I] units of demand lost.
        capacity: units.
        costs: the names in COSTS -> [T].
    """
    periods, machines = setups.shape
    heights = (0.28 * machines + 1.2, 0.2 * stock.shape[1] + 1.0, 2.6)
    drawn, axes = figure(3, 1, width=11.0, height=sum(heights), height_ratios=heights)
    chart, heat, money = axes[:, 0]
    _draw_gantt(chart, setups, stock.shape[1])
    _draw_stock(drawn, heat, stock, lost, capacity)
    below = np.zeros(periods)
    for name, label, color in COSTS:
        money.bar(range(periods), costs[name], 1.0, bottom=below, color=color, label=label)
        below = below + costs[name]
    money.set_title(f"Costs: {below.sum():.0f} in all", loc="left")
    money.set_ylabel("cost per period")
    money.set_xlabel("period")
    shares = [f"{label}: {costs[name].sum():.0f}" for name, label, _ in COSTS]
    money.legend(shares, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, frameon=False, fontsize=9)
    for ax in (chart, heat, money):
        ax.set_xlim(-0.5, periods + 0.5)
    return figure_array(drawn)


def _draw_gantt(ax: Any, setups: np.ndarray, items: int) -> None:
    """A bar for each stretch in which a machine made the same item."""
    periods, machines = setups.shape
    colors = np.array(_colors(items)) / 255
    for machine in range(machines):
        made = setups[:, machine]
        starts = np.flatnonzero(np.append(True, made[1:] != made[:-1]))
        for first, end in zip(starts, np.append(starts[1:], periods), strict=True):
            item = int(made[first])
            ax.barh(machine, end - first, 0.85, first - 0.5, color=colors[item], edgecolor="white", linewidth=0.5)
            if end - first >= 2 and item:
                ink = "black" if colors[item] @ (0.3, 0.6, 0.1) > 0.45 else "white"
                middle = (first + end - 1) / 2
                ax.text(middle, machine, str(item), ha="center", va="center", fontsize=7, color=ink)
    ax.set_ylim(machines - 0.5, -0.5)
    ax.set_yticks(range(machines), [str(m + 1) for m in range(machines)], fontsize=8)
    ax.set_ylabel("machine")
    ax.set_title("Item each machine made (grey: idle)", loc="left")


def _draw_stock(drawn: Any, ax: Any, stock: np.ndarray, lost: np.ndarray, capacity: float) -> None:
    """Stock as shades, lost demand as red marks."""
    shades = ax.imshow(stock.T, aspect="auto", cmap="Blues", vmin=0, vmax=capacity, interpolation="nearest")
    period, item = np.nonzero(lost)
    ax.scatter(period + 1, item, s=1.5 * lost[period, item], color=MISSED, marker="s", linewidths=0)
    ax.set_ylim(stock.shape[1] - 0.5, -0.5)
    ax.set_yticks(range(stock.shape[1]), [str(i + 1) for i in range(stock.shape[1])], fontsize=7)
    ax.set_ylabel("item")
    missed = f"{100 * (lost > 0).mean():.0f} % of all items and periods"
    ax.set_title(f"Stock at the start of each period (red: demand lost before it, in {missed})", loc="left")
    bar = drawn.colorbar(shades, ax=ax, pad=0.01, fraction=0.03)
    bar.set_label("units")
