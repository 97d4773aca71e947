"""Weights of the cells of a grid: the densities that coverage tasks reward; NumPy, cached.

Instance i of a random density is drawn from NumPy's generator seeded with [number of the density, i], so that
the same ten maps (0..9) come out everywhere.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from rlsuite_envs.coverage.gaussian_process import sample_field

__all__ = ["DENSITIES", "density"]

DENSITIES = ("constant", "bimodal", "gp", "gorilla")
"""Names of the densities; the place of a name is the first half of its instances' seeds."""


def density(name: str, rows: int, cols: int, instance: int = 0) -> np.ndarray:
    """Weights [rows * cols] float64, >= 0; a new array.

    - "constant": 1.
    - "bimodal": 1 / (1 + exp(-x y)), x down the rows and y along the columns, both from -1 to 1.
    - "gp": a draw of a Gaussian process (Matern-5/2, length scale 1 = ten cells, variance ln 2, value 0 at
      one random point), plus 3. A draw below -3 is lifted by its minimum instead (the release then adds
      the negative minimum, which makes weights negative: not repeated).
    - "gorilla": a stand-in for the nest densities of Kagwene sanctuary, which are not public: two Gaussian
      clusters on a floor of 0.05, the larger of height 1 in the lower left, the other of height 0.5 to 0.9 in the
      upper right, with centres, widths (8 to 18 % of the grid) and heights drawn per instance.

    Args:
        name: one of `DENSITIES`.
        rows: of the grid.
        cols: of the grid.
        instance: which draw; "constant" and "bimodal" have one only.
    """
    return _density(name, rows, cols, instance).copy()


@lru_cache(maxsize=64)
def _density(name: str, rows: int, cols: int, instance: int) -> np.ndarray:
    if name == "constant":
        return np.ones(rows * cols)
    if name == "bimodal":
        x, y = np.linspace(-1.0, 1.0, rows)[:, None], np.linspace(-1.0, 1.0, cols)[None, :]
        return (1.0 / (1.0 + np.exp(-x * y))).ravel()
    rng = np.random.default_rng([DENSITIES.index(name), instance])
    if name == "gp":
        field = sample_field(rows, cols, rng)
        return field + 3.0 if field.min() >= -3.0 else field - field.min()
    return _two_clusters(rows, cols, rng)


def _two_clusters(rows: int, cols: int, rng: np.random.Generator) -> np.ndarray:
    row, col = np.linspace(0.0, 1.0, rows)[:, None], np.linspace(0.0, 1.0, cols)[None, :]
    weights = np.full((rows, cols), 0.05)
    heights = (1.0, rng.uniform(0.5, 0.9))
    for height, (r, c) in zip(heights, ((0.7, 0.3), (0.3, 0.7)), strict=True):
        r, c = r + rng.uniform(-0.15, 0.15), c + rng.uniform(-0.15, 0.15)
        down, along = rng.uniform(0.08, 0.18, 2)
        weights += height * np.exp(-0.5 * (((row - r) / down) ** 2 + ((col - c) / along) ** 2))
    return weights.ravel()
