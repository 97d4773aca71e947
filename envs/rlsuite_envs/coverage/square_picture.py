"""Pictures of a square and what a sensor has covered of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlsuite_envs.drawing import Canvas, figure, figure_array

__all__ = ["draw_path", "draw_square"]


def draw_square(covered: np.ndarray, place: Sequence[float], radius: float, percent: float) -> np.ndarray:
    """The covered cells [C, C] (x first) and the sensor over them, [H, W, 3] uint8."""
    side = 1 / len(covered)
    canvas = Canvas(400, 400, (-0.03, 1.03), (-0.03, 1.03))
    for i, column in enumerate(covered):
        # One rectangle per run of covered cells.
        edges = np.flatnonzero(np.diff(np.concatenate([[0], column.astype(np.int8), [0]])))
        for low, high in edges.reshape(-1, 2):
            canvas.rect(i * side, low * side, (i + 1) * side, high * side, "#a6cee3")
    canvas.rect(0, 0, 1, 1, None, outline="black")
    x, y = place
    canvas.disc(x, y, radius, None, outline="#1f78b4")
    canvas.disc(x, y, 0.012, "#e31a1c")
    canvas.text(0.02, 0.97, f"{percent:.1f} % covered", size=14)
    return canvas.array()


def draw_path(covered: np.ndarray, path: np.ndarray, value: np.ndarray, modular: np.ndarray) -> np.ndarray:
    """An episode: covered cells [T + 1, C, C], places [T + 1, 2], F(S) and modular sum in percent [T + 1]."""
    when = covered.sum(0).astype(float)  # how many states had it covered
    first = np.where(when > 0, len(covered) - when, np.nan)
    drawn, axes = figure(1, 2, width=10.0, height=4.6)
    square, curve = axes[0]
    seen = square.imshow(first.T, origin="lower", extent=(0, 1, 0, 1), cmap="viridis", vmin=0)
    drawn.colorbar(seen, ax=square, label="first covered at step", shrink=0.8)
    square.plot(*path.T, color="white", lw=1.2)
    square.plot(*path[0], "o", color="#e31a1c", ms=6)
    square.set(aspect="equal", xlim=(0, 1), ylim=(0, 1), xlabel="x", ylabel="y", title="path from the dot")
    curve.plot(value)
    curve.set(xlabel="step", ylabel="F(S), area covered [% of the square]", ylim=(0, None))
    curve.set_title(f"F(S) = {value[-1]:.1f} %; modular sum {modular[-1]:.0f} %")
    return figure_array(drawn)
