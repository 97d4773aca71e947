"""Matrix games with bounded rationality: the exact counterpart of what QARL approximates.

Two players choose mixed strategies mu [M] (protagonist, maximises) and nu [N] (adversary, minimises) of a payoff
matrix A [M, N]; each is paid for its entropy at its own temperature (Reddi et al. 2023, arXiv:2311.01642):

    max_mu min_nu  mu' A nu + beta H(mu) - alpha H(nu)

The saddle point is the logit quantal response equilibrium

    mu = softmax(A nu / beta),   nu = softmax(-A' mu / alpha)

alpha -> infinity leaves a uniformly random adversary, alpha -> 0 a rational one, and both -> 0 a Nash equilibrium. It
is found as the root of one player's logits, theta = A nu(softmax(theta)) / beta, by damped Newton steps. Their Jacobian

    I + A Cov(nu) A' Cov(mu) / (alpha beta)

is never singular (a product of two positive semidefinite matrices has no negative eigenvalue), so that every step makes
the residual smaller. The temperatures are lowered to their values by and by, since from afar steps are short.

Source: McKelvey and Palfrey 1995, "Quantal response equilibria for normal form games" (one common temperature there).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

__all__ = ["quantal_response", "worst_case"]

Vector = NDArray[np.float64]
_TOLERANCE = 1e-8


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
        ArithmeticError: no solution to 1e-8: the temperatures are too small relative to the payoffs for float64.
    """
    matrix = np.asarray(payoff, np.float64)
    if matrix.ndim != 2 or matrix.size == 0 or not np.isfinite(matrix).all():
        raise ValueError(f"payoff must be a finite matrix [M, N], got shape {matrix.shape}: {payoff!r}")
    if not (alpha > 0 and 0 < beta < math.inf):
        raise ValueError(f"temperatures must be positive (beta finite), got alpha={alpha}, beta={beta}")
    if math.isinf(alpha):
        nu = np.full(matrix.shape[1], 1.0 / matrix.shape[1])
        return softmax(matrix @ nu / beta), nu
    warm, ratio = max(1.0, float(np.ptp(matrix)) / min(alpha, beta)), 2.0
    theta, _ = _solve(matrix, np.zeros(len(matrix)), alpha * warm, beta * warm)
    while warm > 1.0 and ratio > 1.0 + 1e-4:
        cooling = min(ratio, warm)
        guess, solved = _solve(matrix, theta * cooling, alpha * warm / cooling, beta * warm / cooling)
        if solved:
            theta, warm, ratio = guess, warm / cooling, min(2.0, ratio**1.5)
        else:
            ratio **= 0.5  # back to the last solution, and a smaller stride
    mu = softmax(theta)
    nu = softmax(-matrix.T @ mu / alpha)
    residual = float(np.abs(mu - softmax(matrix @ nu / beta)).max())
    if not residual <= _TOLERANCE:
        raise ArithmeticError(
            f"no equilibrium to {_TOLERANCE:g} at alpha={alpha:g}, beta={beta:g} (residual {residual:.1e}); raise the "
            f"temperatures: the payoffs spread over {np.ptp(matrix):g}"
        )
    return mu, nu


def worst_case(payoff: ArrayLike, mu: ArrayLike) -> float:
    """Expected payoff of mu [M] against the adversary's best response: min over columns of mu' A."""
    return float((np.asarray(mu, np.float64) @ np.asarray(payoff, np.float64)).min())


def _solve(matrix: Vector, theta: Vector, alpha: float, beta: float) -> tuple[Vector, bool]:
    """The protagonist's logits [M] at equilibrium, from a guess, and whether it was found."""

    def residual(theta: Vector) -> tuple[Vector, Vector, Vector]:
        mu = softmax(theta)
        nu = softmax(-matrix.T @ mu / alpha)
        return theta - matrix @ nu / beta, mu, nu

    error, mu, nu = residual(theta)
    for _ in range(60):
        size = float(np.linalg.norm(error))
        if size < 1e-12 * (1.0 + float(np.abs(theta).max())):
            return theta, True
        inner = (matrix * nu) @ matrix.T - np.outer(matrix @ nu, matrix @ nu)
        jacobian = np.eye(len(theta)) + inner @ (np.diag(mu) - np.outer(mu, mu)) / (alpha * beta)
        direction, step = np.linalg.solve(jacobian, error), 1.0
        while step > 1e-10:
            trial = theta - step * direction
            found = residual(trial)
            if np.linalg.norm(found[0]) < (1.0 - 0.1 * step) * size:
                break
            step *= 0.5
        else:
            break  # rounding is all that is left, or a plateau
        theta, (error, mu, nu) = trial, found
    return theta, float(np.abs(error).max()) < 1e-9
