"""Pictures of robots in mazes: one frame for films, and one figure that tells an episode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rlsuite_envs.drawing import Canvas, figure, figure_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "GOAL",
    "PATH",
    "RAY",
    "ROBOT",
    "WALL",
    "draw_path",
    "draw_robot",
    "draw_wall_pixels",
    "maze_canvas",
    "path_figure",
]

WALL = "#333333"
GOAL = "#2ca02c"
ROBOT = "#1f77b4"
RAY = "#e8a33d"
PATH = "viridis"


def maze_canvas(x_range: tuple[float, float], y_range: tuple[float, float], longest: int = 480) -> Canvas:
    """A canvas of a piece of the world, y downwards as in the sources' pictures."""
    width, height = x_range[1] - x_range[0], y_range[1] - y_range[0]
    scale = longest / max(width, height)
    return Canvas(round(width * scale), round(height * scale), x_range, (y_range[1], y_range[0]))


def draw_robot(
    canvas: Canvas, x: float, y: float, angle: float, radius: float, rays: Iterable[tuple[float, float]]
) -> None:
    """The robot as a disc with its heading, and its rays.

    Args:
        canvas: where to draw.
        x: position.
        y: position.
        angle: heading, radians.
        radius: of the disc.
        rays: (angle, length) of each, radians relative to the heading.
    """
    for offset, length in rays:
        end = (x + length * np.cos(angle + offset), y + length * np.sin(angle + offset))
        canvas.line([(x, y), end], RAY, 1.0)
    canvas.disc(x, y, radius, ROBOT)
    canvas.line([(x, y), (x + radius * np.cos(angle), y + radius * np.sin(angle))], "white", 2.0)


def draw_wall_pixels(canvas: Canvas, wall: np.ndarray, unit: float) -> None:
    """The walls of a bitmap [P, P] (rows are y) whose pixel k is centred at k * unit."""
    for row, line in enumerate(wall):
        edges = np.flatnonzero(np.diff(np.concatenate(([0], line.astype(np.int8), [0]))))
        for first, last in edges.reshape(-1, 2):
            x0, x1 = (first - 0.5) * unit, (last - 0.5) * unit
            canvas.rect(x0, (row - 0.5) * unit, x1, (row + 0.5) * unit, WALL)


def draw_path(ax: Axes, x: np.ndarray, y: np.ndarray, marks: Sequence[Any] = ()) -> Any:
    """A path [T+1] coloured by time, with its start, its end and further marks.

    Args:
        ax: where to draw.
        x: [T+1].
        y: [T+1].
        marks: (x, y, marker, colour, label) of further points.

    Returns:
        What `Figure.colorbar` takes.
    """
    ax.plot(x, y, color="0.75", linewidth=0.8, zorder=2)
    steps = ax.scatter(x, y, c=np.arange(len(x)), cmap=PATH, s=6, zorder=3)
    ax.plot(x[0], y[0], "o", color="white", markeredgecolor="black", markersize=8, label="start", zorder=4)
    ax.plot(x[-1], y[-1], "s", color="tomato", markeredgecolor="black", markersize=7, label="end", zorder=4)
    for mark_x, mark_y, marker, color, label in marks:
        ax.plot(mark_x, mark_y, marker, color=color, linestyle="none", label=label, zorder=5)
    return steps


def path_figure(
    draw_map: Callable[[Axes], object],
    extent: tuple[tuple[float, float], tuple[float, float]],
    x: np.ndarray,
    y: np.ndarray,
    marks: Sequence[Any],
    curve: np.ndarray,
    label: str,
    title: str,
) -> np.ndarray:
    """A figure of an episode: the path in the map, and to its right a curve over time.

    Args:
        draw_map: draws the walls.
        extent: ranges of x and y.
        x: [T+1].
        y: [T+1].
        marks: as `draw_path` takes them.
        curve: [T+1].
        label: of the curve's axis.
        title: of the curve.

    Returns:
        The picture, [H, W, 3] uint8.
    """
    drawn, axes = figure(1, 2, width=11.0, height=5.2, width_ratios=[1.3, 1.0])
    ax, curve_ax = axes[0]
    draw_map(ax)
    steps = draw_path(ax, x, y, marks)
    ax.set(xlim=extent[0], ylim=(extent[1][1], extent[1][0]), xlabel="x (map units)", ylabel="y (map units)")
    ax.set_aspect("equal")
    ax.set_title("Path", fontsize=10)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=5, frameon=False, fontsize=9)
    drawn.colorbar(steps, ax=ax, label="step", shrink=0.8)
    curve_ax.plot(curve, color=ROBOT)
    curve_ax.set(xlabel="step", ylabel=label, ylim=(0, max(1.05 * float(curve.max()), 1.0)))
    curve_ax.set_title(title, fontsize=10)
    return figure_array(drawn)
