"""The self-paced teacher of QARL: a Gamma distribution over the adversary's temperature that cools where it may.

    min_w KL(p_w || p_target)   s.t.   E_{alpha ~ p_w}[J(alpha)] >= xi,   KL(p_w || p_old) <= epsilon

J(alpha) is the protagonist's discounted return of an episode against an adversary of temperature alpha; its mean under
p_w is estimated from episodes of p_old by importance weights. The rate of the Gamma distribution is fixed, so that the
search has one dimension, the concentration k, and everything is known in closed form:

    KL(k || q) = (k - q) psi(k) - log Gamma(k) + log Gamma(q),   d KL / dk = (k - q) psi'(k)
    d log p_k(alpha) / dk = log(rate alpha) - psi(k)

The rules of the release (`teachers/self_paced_gamma_teacher_fixed_beta.py` of AryamanReddi99/quantal-adversarial-rl):
SciPy's trust-constr with gtol 1e-4 and xtol 1e-6; while the estimated performance of the current distribution is below
xi nothing moves; a solution without success counts only if it satisfies the constraints and improves; the lower bound
of the concentration holds only while KL(current || target) > 0.01. What differs: the constraints are asked of every
solution, second derivatives are given, and a failure of the solver is no file on the disk but "kept" in the metrics.

Source: Klink et al. 2021, "A probabilistic interpretation of self-paced learning", JMLR 22; Reddi et al. 2023.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import Bounds, NonlinearConstraint, minimize
from scipy.special import digamma, gammaln, polygamma

from rlsuite.core.rng import pack_rng, unpack_rng

__all__ = ["GammaTeacher", "Lesson", "gamma_kl", "gamma_log_prob"]

_G_TOL, _X_TOL = 1e-4, 1e-6
_SMALLEST = 1e-12
"""Temperatures below are raised to it: their logarithms stay finite."""


def gamma_log_prob(alpha: NDArray[np.float64], concentration: float, rate: float) -> NDArray[np.float64]:
    """Log-density [N] of Gamma(concentration, rate) at alpha [N] > 0."""
    log_prob: NDArray[np.float64] = (
        concentration * np.log(rate) + (concentration - 1) * np.log(alpha) - rate * alpha - gammaln(concentration)
    )
    return log_prob


def gamma_kl(p: float, q: float) -> float:
    """KL(Gamma(p, rate) || Gamma(q, rate)) in nats, for one common rate."""
    return float((p - q) * digamma(p) - gammaln(p) + gammaln(q))


@dataclass(frozen=True)
class Lesson:
    """Outcome of one update of the teacher."""

    outcome: str
    """"frozen" (xi never reached yet), "skipped" (below xi), "kept" (no acceptable solution) or "moved"."""
    performance: float
    """Importance-weighted mean return under the new distribution, discounted reward units."""
    kl_step: float
    """KL(new || old), nats; at most epsilon."""
    kl_target: float
    """KL(new || target), nats."""


class GammaTeacher:
    """A Gamma distribution over temperatures and the episodes that judge it.

    Args:
        concentration: of the first distribution, > 0.
        target_concentration: of the last, > 0.
        rate: of both, > 0; the mean is concentration / rate.
        performance: xi, discounted return that the protagonist must keep.
        max_kl: epsilon, nats, > 0.
        samples: episodes per update, at least 1.
        lowest: bound of the concentration, > 0.
        stop_kl: the bound holds only while KL(current || target) exceeds it.
        seed: of the sampled temperatures.

    Attributes:
        concentration: of the current distribution.
        reached: whether xi was ever reached.

    Raises:
        ValueError: an argument out of range.
    """

    def __init__(
        self,
        *,
        concentration: float = 50.0,
        target_concentration: float = 1.0,
        rate: float = 1000.0,
        performance: float,
        max_kl: float = 0.5,
        samples: int = 30,
        lowest: float = 1e-8,
        stop_kl: float = 0.01,
        seed: int = 0,
    ) -> None:
        numbers = {"concentration": concentration, "target_concentration": target_concentration, "rate": rate}
        for name, value in (numbers | {"max_kl": max_kl, "samples": samples, "lowest": lowest}).items():
            if not 0 < value < np.inf:
                raise ValueError(f"GammaTeacher: {name} is {value!r}; it must be a positive finite number")
        if not np.isfinite(performance):
            raise ValueError(f"GammaTeacher: performance is {performance!r}; give the return to be kept")
        self.concentration = float(concentration)
        self.target = float(target_concentration)
        self.rate = float(rate)
        self.performance = float(performance)
        self.max_kl = float(max_kl)
        self.samples = int(samples)
        self.lowest = lowest
        self.stop_kl = stop_kl
        self.reached = False
        self.rng = np.random.default_rng(seed)
        self._alphas: list[float] = []
        self._returns: list[float] = []

    @property
    def mean(self) -> float:
        """Mean temperature of the current distribution."""
        return self.concentration / self.rate

    def sample(self, num: int) -> NDArray[np.float64]:
        """Temperatures [num] of as many episodes."""
        return np.maximum(self.rng.gamma(self.concentration, 1.0 / self.rate, num), _SMALLEST)

    def observe(self, alphas: ArrayLike, returns: ArrayLike) -> Lesson | None:
        """Remember episodes; with enough of them, update the distribution and forget them.

        Args:
            alphas: their temperatures [N], drawn from the current distribution.
            returns: the protagonist's discounted returns [N].
        """
        self._alphas += np.asarray(alphas, np.float64).tolist()
        self._returns += np.asarray(returns, np.float64).tolist()
        if len(self._alphas) < self.samples:
            return None
        lesson = self.update(self._alphas, self._returns)
        self._alphas = []
        self._returns = []
        return lesson

    def update(self, alphas: ArrayLike, returns: ArrayLike) -> Lesson:
        """One move towards the target, from episodes of the current distribution; arguments as `observe`.

        Raises:
            ValueError: not two equally long vectors of finite numbers, temperatures above 0.
        """
        alpha, value = np.asarray(alphas, np.float64), np.asarray(returns, np.float64)
        good = alpha.shape == value.shape and alpha.ndim == 1 and alpha.size > 0
        if not good or not (np.isfinite(value).all() and np.isfinite(alpha).all() and (alpha > 0).all()):
            raise ValueError(f"update needs temperatures > 0 and returns of one shape [N], got {alphas!r}, {returns!r}")
        old = self.concentration
        problem = _Problem(alpha, value, old, self.rate)
        if problem.performance(old) < self.performance:
            outcome = "skipped" if self.reached else "frozen"
        else:
            self.reached = True
            found = self._solve(problem)
            outcome = "kept" if found is None else "moved"
            self.concentration = old if found is None else found
        new = self.concentration
        return Lesson(outcome, problem.performance(new), gamma_kl(new, old), gamma_kl(new, self.target))

    def _solve(self, problem: _Problem) -> float | None:
        """The concentration that SciPy finds, or None when it is not to be taken."""
        old, target = self.concentration, self.target
        bounded = gamma_kl(old, target) > self.stop_kl
        bounds = Bounds(self.lowest, np.inf, keep_feasible=True) if bounded else None
        start = max(old, self.lowest) if bounded else old
        near = _Divergence(old)
        constraints = [
            NonlinearConstraint(near.value, -np.inf, self.max_kl, near.slope, near.bend, keep_feasible=True),
            NonlinearConstraint(
                problem.value, self.performance, np.inf, problem.slope, problem.bend, keep_feasible=True
            ),
        ]
        goal = _Divergence(target)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of singular Jacobians: at the start KL(start || old) has slope 0
                result = minimize(
                    goal.value,
                    np.array([start]),
                    method="trust-constr",
                    jac=goal.slope,
                    hess=goal.bend,
                    bounds=bounds,
                    constraints=constraints,
                    options={"gtol": _G_TOL, "xtol": _X_TOL},
                )
        except ValueError:  # SciPy refuses a start on the very edge of a constraint that must stay satisfied
            return None
        found = float(result.x[0])
        holds = (
            np.isfinite(found)
            and (self.lowest if bounded else 0.0) < found
            and gamma_kl(found, old) <= self.max_kl
            and problem.performance(found) >= self.performance
        )
        # Near the target SciPy's own tolerance can end farther from it than it began: that is no move.
        return found if holds and gamma_kl(found, target) <= gamma_kl(old, target) else None

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The distribution, the remembered episodes and the generator."""
        return {
            "concentration": torch.tensor(self.concentration, dtype=torch.float64),
            "reached": torch.tensor(self.reached),
            "alphas": torch.tensor(self._alphas, dtype=torch.float64),
            "returns": torch.tensor(self._returns, dtype=torch.float64),
            "rng": pack_rng(self.rng),
        }

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Restore what `state_dict` gave.

        Raises:
            ValueError: impossible numbers.
        """
        concentration, alphas, returns = float(state["concentration"]), state["alphas"], state["returns"]
        if not 0 < concentration < np.inf or alphas.shape != returns.shape:
            raise ValueError(f"the saved teacher is impossible (concentration {concentration}); use another checkpoint")
        self.concentration = concentration
        self.reached = bool(state["reached"])
        self._alphas = alphas.tolist()
        self._returns = returns.tolist()
        unpack_rng(self.rng, state["rng"])


class _Divergence:
    """KL(. || q) as SciPy wants it: value, slope [1] and curvature [1, 1] of a vector [1]."""

    def __init__(self, q: float) -> None:
        self.q = q

    def value(self, x: Any) -> float:
        return gamma_kl(float(x[0]), self.q)

    def slope(self, x: Any) -> NDArray[np.float64]:
        return np.array([(x[0] - self.q) * polygamma(1, x[0])])

    def bend(self, x: Any, weight: Any = (1.0,)) -> NDArray[np.float64]:
        return np.array([[weight[0] * (polygamma(1, x[0]) + (x[0] - self.q) * polygamma(2, x[0]))]])


class _Problem:
    """The importance-weighted mean return as a function of the concentration."""

    def __init__(self, alpha: NDArray[np.float64], value: NDArray[np.float64], old: float, rate: float) -> None:
        self.alpha = alpha
        self.returns = value
        self.rate = rate
        self.log_old = gamma_log_prob(alpha, old, rate)
        self.log_scaled = np.log(rate * alpha)

    def _weighted(self, k: float) -> NDArray[np.float64]:
        """Return times importance weight, [N]."""
        return np.exp(gamma_log_prob(self.alpha, k, self.rate) - self.log_old) * self.returns

    def performance(self, k: float) -> float:
        return float(self._weighted(k).mean())

    def value(self, x: Any) -> float:
        return self.performance(float(x[0]))

    def slope(self, x: Any) -> NDArray[np.float64]:
        score = self.log_scaled - digamma(x[0])
        return np.array([(self._weighted(float(x[0])) * score).mean()])

    def bend(self, x: Any, weight: Any) -> NDArray[np.float64]:
        score = self.log_scaled - digamma(x[0])
        return np.array([[weight[0] * (self._weighted(float(x[0])) * (score**2 - polygamma(1, x[0]))).mean()]])
