"""Mazes of square cells in pictures: what the kernels' `render` and `render_episode` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rlsuite_envs.drawing import Canvas, figure, figure_array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["WALL", "drifting", "episode_figure", "figure_array", "maze_canvas"]

WALL = "#59636e"
"""Colour of walls."""


def maze_canvas(
    rows: tuple[str, ...], side: float = 1.0, colors: dict[str, str] | None = None, pixels: int = 480
) -> Canvas:
    """A canvas around the origin with the map's cells drawn.

    Args:
        rows: the map.
        side: of a cell, in world units.
        colors: of the cells by their symbol; others stay white. None draws walls ("1").
        pixels: of the longer side.
    """
    height, width = len(rows), len(rows[0])
    scale = pixels / max(height, width)
    half_x, half_y = width * side / 2, height * side / 2
    canvas = Canvas(round(width * scale), round(height * scale), (-half_x, half_x), (-half_y, half_y))
    for i, row in enumerate(rows):
        for j, symbol in enumerate(row):
            color = ({"1": WALL} if colors is None else colors).get(symbol)
            if color is not None:
                x, y = j * side - half_x, half_y - i * side
                canvas.rect(x, y, x + side, y - side, color)
    return canvas


def drifting(path: np.ndarray) -> np.ndarray:
    """A path [T + 1, 2] between centres of unit cells, moved across them in time, so that returns show."""
    return path + np.linspace(-0.25, 0.25, len(path))[:, None]


def episode_figure(
    rows: tuple[str, ...],
    side: float,
    path: np.ndarray,
    goals: np.ndarray,
    rewards: np.ndarray,
    colors: dict[str, str] | None = None,
    unit: str | None = None,
) -> tuple[Figure, Any, Any]:
    """A figure with the path in the maze, coloured by time, and the rewards over time.

    Args:
        rows: the map.
        side: of a cell.
        path: positions [T + 1, 2] in world units.
        goals: [N, 2].
        rewards: [T].
        colors: as in `maze_canvas`.
        unit: of the coordinates; None where they are cells, which then go without numbers.

    Returns:
        The figure, the axes of the maze, and empty axes over the same time for a curve of the caller's.
    """
    from matplotlib.collections import LineCollection

    half_x, half_y = len(rows[0]) * side / 2, len(rows) * side / 2
    drawn, axes = figure(1, 2, width=10.5, height=4.8, width_ratios=(1.3, 1.0))
    maze = axes[0, 0]
    picture = maze_canvas(rows, side, colors, pixels=960).array()
    maze.imshow(picture, extent=(-half_x, half_x, -half_y, half_y), interpolation="nearest")
    pieces = LineCollection(list(np.stack((path[:-1], path[1:]), 1)), cmap="viridis", linewidths=2.0, zorder=3)
    pieces.set_array(np.arange(len(path) - 1))
    maze.add_collection(pieces)
    drawn.colorbar(pieces, ax=maze, label="step", shrink=0.8)
    maze.plot(*path[0], "o", color="#2ca02c", markersize=9, zorder=4, label="start")
    maze.plot(*path[-1], "s", color="black", markersize=7, zorder=4, label="end")
    maze.plot(goals[:, 0], goals[:, 1], "*", color="#d62728", markersize=14, zorder=5, label="goal")
    maze.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3, frameon=False)
    maze.set_aspect("equal")
    if unit is None:
        maze.set(xticks=[], yticks=[])
        maze.spines[["left", "bottom"]].set_visible(False)
    else:
        maze.set(xlabel=f"x, {unit}", ylabel=f"y, {unit}")
    box = axes[0, 1].get_subplotspec()
    axes[0, 1].remove()
    lines = box.subgridspec(2, 1)
    upper, lower = drawn.add_subplot(lines[0]), drawn.add_subplot(lines[1])
    for ax in (upper, lower):
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_xlim(0, max(1, len(rewards)))
    lower.plot(np.concatenate(([0.0], np.cumsum(rewards))), color="#ff7f0e")
    lower.set(xlabel="step", ylabel="return so far")
    return drawn, maze, upper
