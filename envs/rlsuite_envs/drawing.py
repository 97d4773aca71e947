"""Pictures for people: a canvas in world coordinates for single frames, and figures for whole episodes.

Frames are drawn with Pillow (a few milliseconds each, for videos), figures with matplotlib without its global
state. Both are imported only when something is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Canvas", "figure", "figure_array"]

SUPERSAMPLING = 2
"""Frames are drawn twice as large and reduced, which smooths their edges."""


class Canvas:
    """A picture of a piece of the plane, y upwards.

    Args:
        width: in pixels.
        height: in pixels.
        x_range: world coordinates of the left and the right edge.
        y_range: world coordinates of the lower and the upper edge.
        background: colour; like every colour here, whatever Pillow understands ("#1f77b4", "tomato", (r, g, b)).
    """

    def __init__(
        self,
        width: int,
        height: int,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
        background: Any = "white",
    ) -> None:
        from PIL import Image, ImageDraw

        self.size = (width, height)
        self._image = Image.new("RGB", (width * SUPERSAMPLING, height * SUPERSAMPLING), background)
        self._draw = ImageDraw.Draw(self._image)
        self._left = x_range[0]
        self._top = y_range[1]
        self._x_scale = width * SUPERSAMPLING / (x_range[1] - x_range[0])
        self._y_scale = height * SUPERSAMPLING / (y_range[1] - y_range[0])

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return (float(x) - self._left) * self._x_scale, (self._top - float(y)) * self._y_scale

    def disc(self, x: float, y: float, r: float, color: Any, outline: Any = None) -> None:
        """A filled disc of radius r (world units) around (x, y); color None for its outline only."""
        (cx, cy), rx, ry = self._at(x, y), abs(r * self._x_scale), abs(r * self._y_scale)
        self._draw.ellipse((cx - rx, cy - ry, cx + rx, cy + ry), fill=color, outline=outline, width=SUPERSAMPLING)

    def line(self, points: Any, color: Any, width: float = 2.0) -> None:
        """A line through points [N, 2]; the width is in pixels."""
        pixels = [self._at(x, y) for x, y in points]
        self._draw.line(pixels, fill=color, width=max(1, round(width * SUPERSAMPLING)), joint="curve")

    def rect(self, x0: float, y0: float, x1: float, y1: float, color: Any, outline: Any = None) -> None:
        """A filled rectangle with these opposite corners; color None for its outline only."""
        (ax, ay), (bx, by) = self._at(x0, y0), self._at(x1, y1)
        box = (min(ax, bx), min(ay, by), max(ax, bx), max(ay, by))
        self._draw.rectangle(box, fill=color, outline=outline, width=SUPERSAMPLING)

    def polygon(self, points: Any, color: Any, outline: Any = None) -> None:
        """A filled polygon with corners [N, 2]."""
        self._draw.polygon([self._at(x, y) for x, y in points], fill=color, outline=outline)

    def text(self, x: float, y: float, s: str, color: Any = "black", size: float = 14.0, anchor: str = "lm") -> None:
        """Text at (x, y), size in pixels; anchor as in Pillow ("lm": left, middle; "mm"; "rt"; ...)."""
        from PIL import ImageFont

        font = ImageFont.load_default(size=size * SUPERSAMPLING)
        self._draw.text(self._at(x, y), s, fill=color, font=font, anchor=anchor)

    def array(self) -> np.ndarray:
        """The picture, [height, width, 3] uint8."""
        return np.asarray(self._image.reduce(SUPERSAMPLING), dtype=np.uint8)


def figure(
    rows: int = 1,
    cols: int = 1,
    *,
    width: float = 8.0,
    height: float = 5.0,
    width_ratios: Sequence[float] | None = None,
    height_ratios: Sequence[float] | None = None,
) -> tuple[Figure, np.ndarray]:
    """A matplotlib figure with its axes [rows, cols]; sizes in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(width, height), layout="constrained", dpi=100)
    FigureCanvasAgg(drawn)
    axes = drawn.subplots(rows, cols, squeeze=False, width_ratios=width_ratios, height_ratios=height_ratios)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
    return drawn, axes


def figure_array(drawn: Figure) -> np.ndarray:
    """The picture of a figure, [height, width, 3] uint8."""
    canvas: Any = drawn.canvas
    canvas.draw()
    return np.asarray(canvas.buffer_rgba(), dtype=np.uint8)[..., :3].copy()
