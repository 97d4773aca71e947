"""Gaussian processes on a grid of points: Matern covariance, conditioning, draws; NumPy, float64."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.linalg import solve_triangular

__all__ = ["condition", "grid_points", "matern52", "random_points", "sample_field"]

LN2 = math.log(2.0)
"""Variance of the process, the start value of the release's library."""


def grid_points(rows: int, cols: int) -> np.ndarray:
    """Coordinates 1 + 0.1 (row, col) of the nodes, [N, 2]."""
    row, col = np.divmod(np.arange(rows * cols), cols)
    return 1.0 + 0.1 * np.stack((row, col), axis=1)


def random_points(num: int, rng: np.random.Generator) -> np.ndarray:
    """Points uniform in [0, 10]^2, [num, 2]."""
    return rng.uniform(0.0, 10.0, (num, 2))


def matern52(x: np.ndarray, y: np.ndarray, length_scale: float = 1.0, variance: float = LN2) -> np.ndarray:
    """Matern-5/2 covariance of points x [n, d] and y [m, d], [n, m].

    variance (1 + z + z^2 / 3) exp(-z) with z = sqrt(5) |x - y| / length_scale.
    """
    square = ((x[:, None, :] - y[None, :, :]) ** 2).sum(-1)
    z = np.sqrt(5.0 * square) / length_scale
    return variance * (1.0 + z + z * z / 3.0) * np.exp(-z)


def condition(
    points: np.ndarray, observed: np.ndarray, noise: float, length_scale: float = 1.0, variance: float = LN2
) -> np.ndarray:
    """Posterior covariance at points [n, d] given values at observed [m, d] with noise variance `noise`, [n, n]."""
    prior = matern52(points, points, length_scale, variance)
    if not len(observed):
        return prior
    cross = matern52(points, observed, length_scale, variance)
    among = matern52(observed, observed, length_scale, variance) + noise * np.eye(len(observed))
    posterior = prior - cross @ np.linalg.solve(among, cross.T)
    return 0.5 * (posterior + posterior.T)


@lru_cache(maxsize=4)
def _prior_root(rows: int, cols: int) -> np.ndarray:
    points = grid_points(rows, cols)
    # The jitter keeps the factorisation of a smooth covariance definite, and is far below what a map shows.
    return np.linalg.cholesky(matern52(points, points) + 1e-8 * np.eye(len(points)))


def sample_field(rows: int, cols: int, rng: np.random.Generator, *, noise: float = 1e-3) -> np.ndarray:
    """A draw [rows * cols] of the process on a grid, given the value 0 at one random point of [0, 10]^2.

    A draw of the prior is corrected by what it misses there (Matheron's rule), so that all draws share one
    factorisation.

    Args:
        rows: of the grid.
        cols: of the grid.
        rng: what draws.
        noise: variance of the measurement of that value.
    """
    root = _prior_root(rows, cols)
    normal = rng.standard_normal(len(root))
    place = random_points(1, rng)
    cross = matern52(grid_points(rows, cols), place)[:, 0]
    weights = solve_triangular(root, cross, lower=True)
    spread = math.sqrt(max(LN2 - weights @ weights, 0.0))
    there = weights @ normal + spread * rng.standard_normal() + math.sqrt(noise) * rng.standard_normal()
    return root @ normal - cross * (there / (LN2 + noise))
