"""Matrix games with bounded rationality: the exact counterpart of what QARL approximates.

Two players choose mixed strategies mu [M] (protagonist, maximises) and nu [N] (adversary, minimises) of a payoff
matrix A [M, N]; each is paid for its entropy at its own temperature (Reddi et al. 2023, arXiv:2311.01642):

    max_mu min_nu  mu' A nu + beta H(mu) - alpha H(nu)

The saddle point is the logit quantal response equilibrium

    mu = softmax(A nu / beta),   nu = softmax(-A' mu / alpha)

alpha -> infinity leaves a uniformly random adversary, alpha -> 0 a rational one, and both -> 0 a Nash equilibrium. The
inner minimum is known in closed form, so that one smooth, strictly concave function of mu remains:

    g(mu) = -alpha log sum_j exp(-(A' mu)_j / alpha) + beta H(mu)

Newton's method on the simplex finds its maximum, with alpha lowered step by step towards its value.

Source: McKelvey and Palfrey 1995, "Quantal response equilibria for normal form games" (one common temperature there).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax, logsumexp, softmax

__all__ = ["quantal_response", "worst_case"]

Vector = NDArray[np.float64]
_TOLERANCE = 1e-8
_SMALLEST = 1e-250
"""Probabilities are kept above: their logarithms stay finite."""


def quantal_response(payoff: ArrayLike, alpha: float, beta: float) -> tuple[Vector, Vector]:
    """The logit quantal response equilibrium of a zero-sum matrix game.

    Args:
        payoff: A [M, N], what the protagonist (rows) gets from the adversary (columns).
        alpha: the adversary's temperature in payoff units, > 0; infinity for a uniformly random one.
        beta: the protagonist's temperature in payoff units, > 0.

    Returns:
        mu [M] and nu [N], probabilities.

    Raises:
        ValueError: a payoff that is no finite matrix, or a temperature out of range.
        ArithmeticError: no solution to 1e-8: the temperatures are too small beside the payoffs for float64.
    """
    matrix = np.asarray(payoff, np.float64)
    if matrix.ndim != 2 or matrix.size == 0 or not np.isfinite(matrix).all():
        raise ValueError(f"payoff must be a finite matrix [M, N], got shape {matrix.shape}: {payoff!r}")
    if not (alpha > 0 and 0 < beta < math.inf):
        raise ValueError(f"temperatures must be positive (beta finite), got alpha={alpha}, beta={beta}")
    m, n = matrix.shape
    if math.isinf(alpha):
        nu = np.full(n, 1.0 / n)
        return softmax(matrix @ nu / beta), nu
    mu = np.full(m, 1.0 / m)
    spread = float(np.ptp(matrix))
    warm = max(alpha, spread)
    while True:
        mu = _maximise(matrix, mu, warm, beta)
        if warm <= alpha:
            break
        warm = max(alpha, warm / 4.0)
    nu = softmax(-matrix.T @ mu / alpha)
    residual = float(np.abs(mu - softmax(matrix @ nu / beta)).max())
    if residual > _TOLERANCE:
        raise ArithmeticError(
            f"no equilibrium to {_TOLERANCE:g} at alpha={alpha:g}, beta={beta:g} (residual {residual:.1e}); raise the "
            f"temperatures: the payoffs spread over {spread:g}"
        )
    return mu, nu


def worst_case(payoff: ArrayLike, mu: ArrayLike) -> float:
    """What mu [M] is paid by the adversary's best response: min over columns of mu' A."""
    return float((np.asarray(mu, np.float64) @ np.asarray(payoff, np.float64)).min())


def _value(matrix: Vector, mu: Vector, alpha: float, beta: float) -> float:
    """g(mu); see the module."""
    return float(-alpha * logsumexp(-matrix.T @ mu / alpha) - beta * (mu @ np.log(mu)))


def _maximise(matrix: Vector, mu: Vector, alpha: float, beta: float) -> Vector:
    """The maximum of g over the simplex by damped Newton steps from the inner point mu [M]."""
    m = len(mu)
    system = np.zeros((m + 1, m + 1))
    system[m, :m] = system[:m, m] = 1.0
    for _ in range(500):
        nu = softmax(-matrix.T @ mu / alpha)
        gradient = matrix @ nu - beta * (np.log(mu) + 1.0)
        mean = matrix @ nu
        curvature = (matrix * nu) @ matrix.T - np.outer(mean, mean)
        # In units of mu, d = mu x: the entries may lie a hundred powers of ten apart.
        system[:m, :m] = -mu[:, None] * curvature * mu / alpha - np.diag(beta * mu)
        system[m, :m] = system[:m, m] = mu
        relative = np.linalg.lstsq(system, np.append(-mu * gradient, 0.0), rcond=None)[0][:m]
        gain = float((mu * gradient) @ relative)
        if np.abs(relative).max() < 1e-12:
            break
        step = min(1.0, 0.9 / max(1e-300, float((-relative).max())))
        before = _value(matrix, mu, alpha, beta)
        while step > 1e-12:
            trial = np.maximum(mu * (1.0 + step * relative), _SMALLEST)
            trial /= trial.sum()
            if _value(matrix, trial, alpha, beta) >= before + 1e-4 * step * gain - 1e-15 * abs(before):
                break
            step *= 0.5
        else:
            break
        mu = trial
    # One exact response: the tails, which a Newton step moves by a factor of ten only, become exact.
    response: Vector = np.exp(log_softmax(matrix @ softmax(-matrix.T @ mu / alpha) / beta))
    return response if np.abs(response - mu).max() < 1e-9 else mu
