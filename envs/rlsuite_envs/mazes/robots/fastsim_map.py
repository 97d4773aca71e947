"""Bitmaps of Fastsim worlds: from strokes or text, with the pixels where a robot fits and the ways between them."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

__all__ = [
    "HARD_STROKES",
    "Stroke",
    "as_rows",
    "as_strokes",
    "blocked_pixels",
    "draw_map",
    "path_lengths",
    "regions",
]

Stroke = tuple[float, float, float, float, float]

HARD_STROKES: tuple[Stroke, ...] = (
    (-3.0, 44.5, 61.0, 49.5, 6.0),
    (59.0, 48.0, 59.0, 151.0, 5.0),
    (58.5, 102.0, 157.0, 157.0, 4.5),
    (75.5, 195.5, 106.5, 159.5, 5.0),
    (4.5, 75.5, 36.5, 116.5, 5.5),
    (195.5, 143.0, 89.0, 87.0, 4.5),
    (62.0, 48.0, 130.5, 27.5, 6.0),
)
"""The hard maze's walls as strokes (x1, y1, x2, y2, thickness) in pixels of a 200 x 200 bitmap. They were fitted to
the published bitmap and repeat 97 % of it (intersection over union)."""


def as_strokes(strokes: Any) -> tuple[Stroke, ...]:
    """Strokes as nested tuples, from any array of rows (x1, y1, x2, y2, thickness); none is allowed.

    Raises:
        ValueError: another shape, numbers that are not finite, or a thickness that is not above 0.
    """
    try:
        array = np.asarray(strokes, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"strokes={strokes!r} must be rows of five numbers (x1, y1, x2, y2, thickness).") from error
    if array.size == 0:
        return ()
    if array.ndim != 2 or array.shape[1] != 5:
        raise ValueError(f"strokes has shape {array.shape} but must be rows of five (x1, y1, x2, y2, thickness).")
    for row, stroke in enumerate(array.tolist()):
        if not all(map(math.isfinite, stroke)) or stroke[4] <= 0:
            raise ValueError(f"strokes[{row}]={tuple(stroke)} must be finite, with a thickness above 0.")
    return tuple((a, b, c, d, e) for a, b, c, d, e in array.tolist())


def as_rows(bitmap: Any) -> tuple[str, ...]:
    """A bitmap as rows of "#" (wall) and "." (free), from such rows or an array that is non-zero at walls.

    Raises:
        ValueError: not a square, another character, or no free pixel.
    """
    if isinstance(bitmap, str):
        rows = tuple(bitmap.split())
    elif isinstance(bitmap, np.ndarray):
        rows = tuple("".join("#" if pixel else "." for pixel in row) for row in bitmap)
    elif isinstance(bitmap, list | tuple):
        rows = tuple(bitmap)
    else:
        raise ValueError(f"bitmap={bitmap!r} must be rows of '#' and '.', or an array that is non-zero at walls.")
    for number, row in enumerate(rows):
        if not isinstance(row, str) or set(row) - {"#", "."}:
            raise ValueError(f"bitmap[{number}]={row!r} must be a text of '#' (wall) and '.' (free) only.")
        if len(row) != len(rows):
            raise ValueError(
                f"bitmap[{number}] has {len(row)} pixels but the map has {len(rows)} rows; it must be square."
            )
    if rows and not any("." in row for row in rows):
        raise ValueError("bitmap has no free pixel ('.'); the map is empty.")
    return rows


@lru_cache(maxsize=64)
def draw_map(strokes: tuple[Stroke, ...], bitmap: tuple[str, ...], pixels: int, border: int) -> np.ndarray:
    """The world [pixels, pixels] bool, row by y and column by x, True where there is a wall. Do not change it.

    A stroke covers the pixels whose centre, the point (column, row), is within half its thickness.
    """
    if bitmap:
        return np.array([[pixel == "#" for pixel in row] for row in bitmap])
    wall = np.ones((pixels, pixels), bool)
    wall[border : pixels - border, border : pixels - border] = False
    x, y = np.meshgrid(np.arange(pixels), np.arange(pixels))
    for x1, y1, x2, y2, thickness in strokes:
        dx, dy = x2 - x1, y2 - y1
        along = ((x - x1) * dx + (y - y1) * dy) / max(dx * dx + dy * dy, 1e-12)
        along = np.clip(along, 0.0, 1.0)
        wall |= np.hypot(x - x1 - along * dx, y - y1 - along * dy) <= thickness / 2
    return wall


def blocked_pixels(wall: np.ndarray, radius: int) -> np.ndarray:
    """Where a robot cannot be: pixels with a wall (or the outside) within radius pixels, [P, P] bool."""
    from scipy.ndimage import binary_dilation

    offset = np.arange(-radius, radius + 1)
    disc = offset[:, None] ** 2 + offset**2 <= radius**2
    return binary_dilation(wall, disc, border_value=1)


def regions(blocked: np.ndarray) -> np.ndarray:
    """Number of the connected free region of each pixel, [P, P]; 0 where blocked."""
    from scipy.ndimage import label

    return np.asarray(label(~blocked, structure=np.ones((3, 3)))[0])


def path_lengths(blocked: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Length in pixels of the shortest way from each pixel to the targets, with straight and diagonal steps.

    Args:
        blocked: [P, P] bool.
        targets: [P, P] bool, at least one of them not blocked.

    Returns:
        [P, P]; 0 at targets, infinite where blocked or cut off.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import dijkstra

    size = len(blocked)
    index = np.arange(size * size).reshape(size, size)
    free = ~blocked
    ends, weights = [], []
    for dx, dy in ((1, 0), (0, 1), (1, 1), (1, -1)):
        here = (slice(max(0, -dy), size - max(0, dy)), slice(0, size - dx))
        there = (slice(max(0, dy), size - max(0, -dy)), slice(dx, size))
        both = free[here] & free[there]
        ends.append(np.stack((index[here][both], index[there][both])))
        weights.append(np.full(int(both.sum()), math.hypot(dx, dy)))
    rows, columns = np.concatenate(ends, 1)
    graph = coo_matrix((np.concatenate(weights), (rows, columns)), (size * size, size * size)).tocsr()
    sources = index[targets & free]
    return dijkstra(graph, directed=False, indices=sources, min_only=True).reshape(size, size)
