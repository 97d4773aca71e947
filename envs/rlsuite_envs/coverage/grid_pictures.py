"""Pictures of walks on grids: a frame of one state, and a whole episode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rlsuite_envs.drawing import Canvas, figure, figure_array
from rlsuite_envs.kernel import tree_map

__all__ = ["Layers", "episode", "frame"]

WALL, SEEN, AGENT = "#404040", (31, 119, 180), "#d62728"
GROUPS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22")


@dataclass(frozen=True)
class Layers:
    """What to draw of a set of visited nodes."""

    weights: np.ndarray
    """Weight of each cell [N]; all 0 for a plain map."""
    covered: np.ndarray
    """Which cells were seen, [N] bool."""
    items: np.ndarray | None = None
    """Group of each cell's item, -1 for none, [N]."""
    taken: np.ndarray | None = None
    """Which items were collected, [N] bool."""
    label: str = "weight"
    """Label of the weights' colour scale."""


def _shades(layers: Layers) -> np.ndarray:
    """Weights scaled to [0, 1], [N]."""
    low, high = layers.weights.min(), layers.weights.max()
    return (layers.weights - low) / (high - low) if high > low else np.zeros(len(layers.weights))


def frame(kernel: Any, state_row: Any) -> np.ndarray:
    """The map with the agent, uint8 [height, width, 3]: darker cells weigh more, blue ones were seen."""
    p, layers = kernel.params, kernel.layers(state_row)
    scale = 480 / max(p.rows, p.cols)
    canvas = Canvas(round(p.cols * scale), round(p.rows * scale), (0, p.cols), (-p.rows, 0))
    closed = {row * p.cols + col for row, col in p.walls}
    for node, shade in enumerate(_shades(layers)):
        row, col = divmod(node, p.cols)
        grey = np.full(3, 245 - 150 * shade)
        color = 0.45 * grey + 0.55 * np.array(SEEN) if layers.covered[node] else grey
        fill = WALL if node in closed else tuple(int(c) for c in color)
        canvas.rect(col, -row, col + 1, -row - 1, fill, outline="white" if scale > 12 else None)
        if layers.items is not None and layers.items[node] >= 0:
            _item(canvas, col + 0.5, -row - 0.5, GROUPS[layers.items[node] % len(GROUPS)], layers.taken[node])
    row, col = divmod(int(state_row.node[0]), p.cols)
    canvas.disc(col + 0.5, -row - 0.5, 0.38, AGENT, outline="white")
    return canvas.array()


def _item(canvas: Canvas, x: float, y: float, color: str, taken: bool) -> None:
    canvas.disc(x, y, 0.3, None if taken else color, outline=color)


def episode(kernel: Any, states: Any) -> np.ndarray:
    """The path coloured by time over what it covered, and F(S) with the modular sum, uint8 [height, width, 3]."""
    p = kernel.params
    layers = kernel.layers(tree_map(lambda x: x[-1:], states))
    drawn, axes = figure(1, 2, width=11.0, height=4.8, width_ratios=[1.25, 1.0])
    _map(drawn, axes[0, 0], p, layers)
    _path(drawn, axes[0, 0], p, states.node.cpu().numpy())
    _curves(axes[0, 1], kernel, states)
    return figure_array(drawn)


def _map(drawn: Any, ax: Any, p: Any, layers: Layers) -> None:
    from matplotlib.colors import ListedColormap

    shape = (p.rows, p.cols)
    plain = np.ptp(layers.weights) == 0
    image = ax.imshow(layers.weights.reshape(shape), cmap="Greys", vmin=0 if plain else None, alpha=0.8)
    if plain:
        image.set_clim(0, 1)
    else:
        drawn.colorbar(image, ax=ax, label=layers.label, shrink=0.7, location="left")
    covered = np.ma.masked_equal(layers.covered.reshape(shape).astype(float), 0.0)
    ax.imshow(covered, cmap=ListedColormap(["#1f77b4"]), alpha=0.3, vmin=0, vmax=1)
    walls = np.zeros(shape)
    for row, col in p.walls:
        walls[row, col] = 1.0
    ax.imshow(np.ma.masked_equal(walls, 0.0), cmap=ListedColormap([WALL]), vmin=0, vmax=1)
    if layers.items is not None and layers.taken is not None:
        for group in range(layers.items.max() + 1):
            nodes = np.flatnonzero(layers.items == group)
            color, taken = GROUPS[group % len(GROUPS)], layers.taken[nodes]
            ax.scatter(*_xy(nodes[~taken], p), c=color, s=35, marker="s", label=f"group {group}")
            ax.scatter(*_xy(nodes[taken], p), s=70, marker="s", facecolors="none", edgecolors=color, linewidths=2)
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.28), ncol=6, fontsize=7, title="open: collected")
    ax.set(xlabel="column", ylabel="row")


def _xy(nodes: np.ndarray, p: Any) -> tuple[np.ndarray, np.ndarray]:
    rows, cols = np.divmod(nodes, p.cols)
    return cols, rows


def _path(drawn: Any, ax: Any, p: Any, nodes: np.ndarray) -> None:
    from matplotlib.collections import LineCollection

    points = np.stack(_xy(nodes, p), axis=1).astype(float)
    # Cells passed several times show all passes: each is moved a little to the side.
    points += 0.18 * np.stack((np.sin(np.arange(len(points))), np.cos(np.arange(len(points)))), axis=1)
    lines = LineCollection(list(np.stack((points[:-1], points[1:]), axis=1)), cmap="autumn", linewidths=1.8)
    lines.set_array(np.arange(len(points) - 1))
    ax.add_collection(lines)
    ax.plot(*points[0], "o", color="black", markersize=6)
    ax.plot(*points[-1], "X", color=AGENT, markersize=8, markeredgecolor="white")
    ax.set_title("path: o start, x end", fontsize=10)
    drawn.colorbar(lines, ax=ax, label="move", shrink=0.7)


def _curves(ax: Any, kernel: Any, states: Any) -> None:
    value, modular = states.value.cpu().numpy(), states.modular.cpu().numpy()
    moves = np.arange(len(value))
    ax.plot(moves, modular, color="0.6", linestyle="--", label="modular sum (each visit alone)")
    ax.plot(moves, value, color="#1f77b4", linewidth=2, label="F(S)")
    ax.annotate(f"{value[-1]:.4g}", (moves[-1], value[-1]), textcoords="offset points", xytext=(-4, 6), ha="right")
    ax.set(xlabel="move", ylabel=str(kernel.value_label), title=f"{type(kernel).__name__}: value of the path")
    ax.set_ylim(bottom=0)
    ax.legend(loc="upper left", fontsize=8)
    ax.grid(alpha=0.3)
