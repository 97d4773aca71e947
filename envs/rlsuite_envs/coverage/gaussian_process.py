"""Gaussian processes on a grid of points: Matern covariance, conditioning, draws; NumPy, float64."""

from __future__ import annotations

import math

import numpy as np

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


def sample_field(
    points: np.ndarray, rng: np.random.Generator, *, length_scale: float = 1.0, variance: float = LN2
) -> np.ndarray:
    """A draw [n] of the process at points, given the value 0 at one random point of [0, 10]^2.

    The posterior mean is 0, as all observed values are.
    """
    covariance = condition(points, random_points(1, rng), 1e-3, length_scale, variance)
    # The jitter keeps the factorisation of a smooth covariance definite, and is far below what a map shows.
    root = np.linalg.cholesky(covariance + 1e-8 * np.eye(len(points)))
    return root @ rng.standard_normal(len(points))
