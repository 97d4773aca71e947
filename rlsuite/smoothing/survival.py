"""What N independent episodes say about P(R >= v), and what is left of that under attack.

A return R is at least its known minimum v_0, and E[R] is the area under its survival function. A lower bound of P(R >=
v_i) for thresholds v_0 < v_1 < ... < v_n, all at once with probability 1 - alpha, therefore bounds the mean, and since
the adaptive Neyman-Pearson lemma of policy smoothing,

    P~(R >= v) >= Phi(Phi^-1(P(R >= v)) - B / sigma)                                                        (A1)

(P~ under any adaptive attack of total L2 norm B, sigma the noise), bounds each probability under attack, also the mean
under attack:

    E~[R] >= v_0 + sum_i (v_i - v_{i-1}) Phi(Phi^-1(p_i) - B / sigma),   p_i <= P(R >= v_i)                 (A2)

Everything depends on B and sigma through their ratio alone. float64 throughout.

Source: Kumar, Levine and Feizi, "Policy smoothing for provably robust reinforcement learning", ICLR 2022 (arXiv
2106.11420); one-sided Clopper and Pearson 1934; Massart 1990 for the constant of the DKW inequality.

Shapes: N episodes, n thresholds, G budgets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri
from scipy.stats import beta

__all__ = [
    "SurvivalBound",
    "check_alpha",
    "check_returns",
    "check_sigma",
    "clopper_pearson_lower",
    "dkw_bound",
    "dkw_deviation",
    "integer_ladder",
    "ladder_bound",
    "shifted_probability",
    "success_bound",
]

_BISECTIONS = 200


def check_alpha(alpha: float) -> None:
    """Raise unless the failure probability lies in (0, 1)."""
    if not isinstance(alpha, int | float | np.number) or not 0 < alpha < 1:
        raise ValueError(f"alpha={alpha!r} must lie in (0, 1): the probability that the certificate is wrong.")


def check_sigma(sigma: float) -> None:
    """Raise unless the noise is positive: without noise nothing can be certified."""
    if not isinstance(sigma, int | float | np.number) or not 0 < sigma < math.inf:
        raise ValueError(
            f"sigma={sigma!r} must be positive and finite: the noise's standard deviation, in observation units."
        )


def check_returns(returns: npt.ArrayLike, minimum: float) -> np.ndarray:
    """Returns [N] as float64.

    Raises:
        ValueError: none, of another shape, not finite, or below the known minimum.
    """
    if not isinstance(minimum, int | float | np.number):
        raise ValueError(f"minimum={minimum!r} must be a number: the least possible return.")
    values = np.asarray(returns, np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"returns have shape {values.shape}; give one number per episode, [N].")
    if not np.isfinite(values).all():
        i = int(np.argmin(np.isfinite(values)))
        raise ValueError(f"the return of episode {i} is {values[i]}; look at the environment or the policy.")
    if values.min() < minimum:
        i = int(values.argmin())
        raise ValueError(
            f"the return of episode {i} is {values[i]:g}, below the known minimum {minimum:g}; "
            "give the smallest return that the task allows."
        )
    return values


def shifted_probability(p_lower: npt.ArrayLike, ratio: npt.ArrayLike) -> np.ndarray:
    """Phi(Phi^-1(p) - B / sigma), the least probability under attack (A1).

    Args:
        p_lower: lower bounds p [...] of the probability without attack, in [0, 1). 0 stays 0.
        ratio: B / sigma, at least 0, broadcast against p_lower.

    Raises:
        ValueError: p outside [0, 1) or a negative ratio. An empirical 1 is not a lower bound of a probability, and
            would survive every attack: give `clopper_pearson_lower` of it.
    """
    p, shift = np.asarray(p_lower, np.float64), np.asarray(ratio, np.float64)
    if not ((p >= 0) & (p < 1)).all():
        raise ValueError(f"p_lower has values outside [0, 1), such as {p[~((p >= 0) & (p < 1))].flat[0]}.")
    if not (shift >= 0).all():
        raise ValueError(f"ratio has values below 0, such as {shift[~(shift >= 0)].flat[0]}; it is B / sigma.")
    return ndtr(ndtri(p) - shift)


def clopper_pearson_lower(successes: npt.ArrayLike, episodes: int, alpha: float) -> np.ndarray:
    """Exact one-sided lower bounds of success probabilities at level 1 - alpha.

    0 where nothing succeeded; alpha^(1/N), below 1, where everything did.

    Args:
        successes: k [...], integers in [0, N].
        episodes: N, at least 1.
        alpha: probability that the bound is above the truth, in (0, 1).

    Raises:
        ValueError: a value out of range.
    """
    check_alpha(alpha)
    k = np.asarray(successes)
    if episodes < 1 or (k.size and not ((k >= 0) & (k <= episodes) & (k == np.floor(k))).all()):
        raise ValueError(f"successes {k.tolist()} must be integers between 0 and episodes={episodes!r} >= 1.")
    # The beta distribution has no parameter 0; the answer is known there.
    return np.where(k == 0, 0.0, beta.ppf(alpha, np.maximum(k, 1), episodes - k + 1))


def dkw_deviation(episodes: int, alpha: float, constant: float = 1.0) -> float:
    """sqrt(log(constant / alpha) / (2 N)): what an empirical distribution function may be off, one-sided.

    constant 1 is Massart's one-sided inequality, which holds for alpha <= 1/2; 2 is the two-sided constant.

    Raises:
        ValueError: alpha outside (0, 1), a constant below 1, or so large an alpha that the inequality says nothing.
    """
    check_alpha(alpha)
    if not 1 <= constant < math.inf or alpha > constant / 2:
        raise ValueError(
            f"constant={constant!r} with alpha={alpha!r}: the inequality needs constant >= 1 and alpha <= "
            "constant / 2; use 1 (one-sided) or 2."
        )
    return math.sqrt(math.log(constant / alpha) / (2 * episodes))


def integer_ladder(maximum: int, minimum: int = 0) -> np.ndarray:
    """minimum, minimum + 1, ..., maximum: the ladder of integer returns, such as 0..200 in the paper's CartPole."""
    if minimum >= maximum:
        raise ValueError(f"maximum={maximum!r} must be above minimum={minimum!r}.")
    return np.arange(minimum, maximum + 1, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class SurvivalBound:
    """P(R >= thresholds[i]) >= p_lower[i] for all i at once, and R >= minimum for certain."""

    minimum: float
    """v_0, the least possible return, return units."""
    thresholds: np.ndarray
    """Thresholds v_1 < ... < v_n of the return, [n], return units."""
    p_lower: np.ndarray
    """Lower bounds [n] of P(R >= thresholds), in [0, 1)."""

    def expectation(self, ratio: npt.ArrayLike) -> np.ndarray:
        """Lower bound [...] of the mean return under attack, for ratios B / sigma [...] (A2)."""
        ratio = np.asarray(ratio, np.float64)
        gaps = np.diff(self.thresholds, prepend=self.minimum)
        return self.minimum + shifted_probability(self.p_lower, ratio[..., None]) @ gaps

    def radius(self, value: float, sigma: float) -> float | None:
        """The largest budget B for which the mean return stays certified at `value` or above, by bisection.

        Returns:
            B in observation units; infinity where value is at most the minimum; None where not even the policy
            without attack is certified to reach value. For successes, "mean" is the success probability.
        """
        check_sigma(sigma)
        if not math.isfinite(value):
            raise ValueError(f"value={value!r} must be finite.")
        if value <= self.minimum:
            return math.inf
        if self.expectation(0.0) < value:
            return None
        low, high = 0.0, 1.0
        while self.expectation(high) >= value:
            low, high = high, 2 * high
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            if middle in (low, high):
                break
            low, high = (middle, high) if self.expectation(middle) >= value else (low, middle)
        return sigma * low


def success_bound(successes: npt.ArrayLike, alpha: float) -> SurvivalBound:
    """The bound of a success probability: Clopper-Pearson on outcomes [N] of 0 and 1.

    Raises:
        ValueError: other outcomes than 0 and 1 (map a game's -1 and 1 yourself), or a bad alpha.
    """
    outcome = check_returns(np.asarray(successes, np.float64), -math.inf)
    if not np.isin(outcome, (0.0, 1.0)).all():
        other = outcome[~np.isin(outcome, (0.0, 1.0))][0]
        raise ValueError(f"successes hold {other:g}; give 0 or 1 (or False, True) per episode.")
    p_lower = clopper_pearson_lower(outcome.sum()[None], len(outcome), alpha)
    return SurvivalBound(0.0, np.ones(1), p_lower)


def ladder_bound(returns: npt.ArrayLike, ladder: npt.ArrayLike, alpha: float) -> SurvivalBound:
    """Clopper-Pearson for each rung above the first, with Bonferroni's alpha / n.

    Args:
        returns: [N].
        ladder: v_0 < v_1 < ... < v_n, chosen before looking at the returns; v_0 is the least possible return.
        alpha: failure probability of all rungs together.

    Raises:
        ValueError: fewer than two rungs, a ladder that does not increase or is not finite, a return below v_0.
    """
    check_alpha(alpha)
    rungs = np.asarray(ladder, np.float64)
    if rungs.ndim != 1 or len(rungs) < 2 or not np.isfinite(rungs).all() or not (np.diff(rungs) > 0).all():
        raise ValueError(
            f"ladder of shape {rungs.shape} must be at least two finite numbers that strictly increase, "
            "beginning with the least possible return."
        )
    values = np.sort(check_returns(returns, rungs[0]))
    reached = len(values) - np.searchsorted(values, rungs[1:], side="left")
    p_lower = clopper_pearson_lower(reached, len(values), alpha / (len(rungs) - 1))
    return SurvivalBound(float(rungs[0]), rungs[1:], p_lower)


def dkw_bound(returns: npt.ArrayLike, minimum: float, alpha: float, *, constant: float = 1.0) -> SurvivalBound:
    """The whole empirical survival function, lowered by the DKW deviation: no ladder is needed.

    Args:
        returns: [N].
        minimum: the least possible return, where the area begins (0 where returns cannot be negative).
        alpha: failure probability.
        constant: see `dkw_deviation`.

    Raises:
        ValueError: a return below minimum, a minimum that is not finite, or bad constants.
    """
    values = np.sort(check_returns(returns, minimum))
    if not math.isfinite(minimum):
        raise ValueError(f"minimum={minimum!r} must be finite: the smallest return that the task allows.")
    deviation = dkw_deviation(len(values), alpha, constant)
    thresholds = np.unique(values)
    thresholds = thresholds[thresholds > minimum]
    survival = 1 - np.searchsorted(values, thresholds, side="left") / len(values)
    return SurvivalBound(float(minimum), thresholds, np.maximum(survival - deviation, 0.0))
