"""Certificates: what a smoothed policy is guaranteed to reach, whatever an adversary does to its observations.

Threat model: at every step the adversary adds e_t to the newest frame before the noise of that frame is drawn, with
sqrt(sum_t ||e_t||^2) <= B over the whole episode. It may know the policy, the true state and the past. Noise is
N(0, sigma^2 I), one draw per frame (`rlsuite.smoothing.smoothed`). N clean smoothed episodes give, with probability 1 -
alpha and for all budgets at once,

| function | lower bound of | from |
|---|---|---|
| `certify_success` | the success probability | Clopper-Pearson, then (A1) |
| `certify_ladder` | the mean return | Clopper-Pearson per rung, Bonferroni, then (A2); best for few integer returns |
| `certify_dkw` | the mean return | the whole distribution function (DKW), then (A2); needs no ladder |
| `certify_percentile` | a quantile of the return | an order statistic at the shifted level |
| `certify_expectation` | the mean return | Hoeffding and a Lipschitz constant (CROP's GRe); linear in B, looser |

(A1) and (A2) are in `survival`. Sources: arXiv 2106.11420 (smoothing), arXiv 2106.09292 (CROP), arXiv 2406.18062 (the
percentile of S-DQN).
What differs: the released script of S-DQN lowers q by the sampling error first and by the attack afterwards, and takes
the empirical quantile there. That lets the error of a 2 % quantile pass for that of a median, and certifies too much
far out (for the median of 1,000 normal returns 13 % of simulations are wrong at B = 2 sigma, 26 % at 3 sigma, not 5 %).
Here the level is shifted first, and the sampling error taken at the shifted level, exactly (binomial) or by DKW.

Shapes: N episodes, G budgets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri
from scipy.stats import binom

from rlsuite.smoothing.sample_size import check_episodes
from rlsuite.smoothing.survival import (
    SurvivalBound,
    check_alpha,
    check_returns,
    check_sigma,
    dkw_bound,
    dkw_deviation,
    integer_ladder,
    ladder_bound,
    success_bound,
)

__all__ = [
    "Certificate",
    "certify_dkw",
    "certify_expectation",
    "certify_ladder",
    "certify_percentile",
    "certify_success",
    "success_radius",
]

LIPSCHITZ_CROP = math.sqrt(2 / math.pi)
"""CROP's constant of the Gaussian-smoothed mean, per unit of range and sigma."""
LIPSCHITZ_TIGHT = 1 / math.sqrt(2 * math.pi)
"""Tight constant, half of CROP's: the largest slope of 2 Phi(x/2) - 1, the total variation that (A1) allows."""

ASSUMPTIONS = (
    "the episodes are independent, of the smoothed policy without attack, none of them trained or chose it, and their "
    "number was fixed in advance",
    "method, thresholds and budgets were settled before the returns were seen; of several certificates from the same "
    "episodes each is wrong with probability alpha by itself",
    "each frame gets one fresh draw of N(0, sigma^2 I) before frames are stacked, never one draw per copy",
    "the adversary adds to frames only, before their noise is drawn, with total L2 norm at most the budget",
    "with probability 1 - alpha over the episodes the values hold for all listed budgets at once",
)


@dataclass(frozen=True, eq=False)
class Certificate:
    """A guarantee per attack budget, with everything needed to judge it."""

    method: str
    """Name of the estimator."""
    quantity: str
    """Name of the quantity that is bounded from below."""
    budget: np.ndarray
    """B [G], total L2 norm of an episode's attack, observation units."""
    value: np.ndarray
    """Certified lower bounds [G], in the units of the return (or a probability)."""
    sigma: float
    """Standard deviation of the noise, observation units."""
    episodes: int
    """N, number of episodes."""
    alpha: float
    """Probability that the certificate is wrong."""
    clean: float
    """Estimate of the quantity without attack, in the units of `value`: no guarantee, for comparison."""
    minimum: float
    """The known least possible value, certified without any episode."""
    assumptions: tuple[str, ...]
    """Assumptions of the guarantee, in words."""
    details: dict[str, float | int | str] = field(default_factory=dict)
    """Further numbers of the method, by name."""
    bound: SurvivalBound | None = field(default=None, repr=False)
    """Survival bound estimated from the episodes, for `bound.radius`; None where the method has none."""

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, ready for JSON; a value that is not finite (nothing certified) becomes None."""
        plain = ("method", "quantity", "sigma", "episodes", "alpha", "clean")
        return {name: getattr(self, name) for name in plain} | {
            "budget": self.budget.tolist(),
            "value": [_finite(x) for x in self.value.tolist()],
            "minimum": _finite(self.minimum),
            "assumptions": list(self.assumptions),
            "details": dict(self.details),
        }

    def __str__(self) -> str:
        head = (
            f"{self.quantity}, certified by {self.method}: {self.episodes:,} episodes, sigma {self.sigma:g}, "
            f"wrong with probability {self.alpha:g} at most; without attack about {self.clean:.4g}"
        )
        rows = [f"{b:10.4g}  {v:12.6g}" for b, v in zip(self.budget, self.value, strict=True)]
        notes = [f"- {line}" for line in self.assumptions]
        return "\n".join([head, "    budget  at least", *rows, "if", *notes])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _budgets(budgets: npt.ArrayLike, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Budgets [G] and B / sigma [G], checked."""
    check_sigma(sigma)
    grid = np.atleast_1d(np.asarray(budgets, np.float64))
    if grid.ndim != 1 or not grid.size or not np.isfinite(grid).all() or (grid < 0).any():
        raise ValueError(f"budgets {grid.tolist()} must be finite numbers of at least 0, one or a list of them.")
    return grid, grid / sigma


def certify_success(
    successes: npt.ArrayLike, budgets: npt.ArrayLike, sigma: float, *, alpha: float = 0.05
) -> Certificate:
    """Success probability under attack: Phi(Phi^-1(p_lo) - B / sigma), p_lo by Clopper-Pearson.

    Args:
        successes: [N], 0 or 1 per clean smoothed episode.
        budgets: B, one or [G], at least 0, observation units.
        sigma: noise of the episodes, > 0.
        alpha: failure probability in (0, 1).

    Raises:
        ValueError: bad input, or too few episodes.
    """
    grid, ratio = _budgets(budgets, sigma)
    bound = success_bound(successes, alpha)
    outcome = np.asarray(successes, np.float64)
    check_episodes(len(outcome), "success", alpha=alpha)
    return Certificate(
        "Clopper-Pearson",
        "success probability",
        grid,
        bound.expectation(ratio),
        float(sigma),
        len(outcome),
        alpha,
        float(outcome.mean()),
        0.0,
        ASSUMPTIONS,
        {"p_lower": float(bound.p_lower[0])},
        bound,
    )


def certify_ladder(
    returns: npt.ArrayLike,
    budgets: npt.ArrayLike,
    sigma: float,
    *,
    ladder: npt.ArrayLike | int,
    alpha: float = 0.05,
) -> Certificate:
    """Mean return under attack by a ladder of thresholds with Bonferroni's correction (A2).

    Args:
        returns: [N], of clean smoothed episodes.
        budgets: B, one or [G], at least 0, observation units.
        sigma: noise of the episodes, > 0.
        ladder: v_0 < v_1 < ... < v_n, fixed before the episodes were played, v_0 the least possible return; an
            integer T means 0, 1, ..., T.
        alpha: failure probability of all thresholds together, in (0, 1).

    Raises:
        ValueError: bad input, a return below v_0, or too few episodes.
    """
    grid, ratio = _budgets(budgets, sigma)
    whole = isinstance(ladder, int | np.integer)
    rungs = integer_ladder(int(ladder)) if whole else np.asarray(ladder, np.float64)  # type: ignore[arg-type]
    bound = ladder_bound(returns, rungs, alpha)
    values = np.asarray(returns, np.float64)
    check_episodes(len(values), "ladder", alpha=alpha, thresholds=len(rungs) - 1)
    assumed = f"no return is below {rungs[0]:g}, and the ladder was fixed before the returns were seen"
    return Certificate(
        "ladder, Bonferroni",
        "mean return",
        grid,
        bound.expectation(ratio),
        float(sigma),
        len(values),
        alpha,
        float(values.mean()),
        bound.minimum,
        (*ASSUMPTIONS, assumed),
        {"thresholds": len(rungs) - 1},
        bound,
    )


def certify_dkw(
    returns: npt.ArrayLike,
    budgets: npt.ArrayLike,
    sigma: float,
    *,
    minimum: float,
    alpha: float = 0.05,
    constant: float = 1.0,
) -> Certificate:
    """Mean return under attack from the whole empirical distribution (A2 at every return seen).

    Args:
        returns: [N], of clean smoothed episodes.
        budgets: B, one or [G], at least 0, observation units.
        sigma: noise of the episodes, > 0.
        minimum: the least possible return; the released scripts assume 0.
        alpha: failure probability in (0, 1).
        constant: 1 for the one-sided inequality (enough here), 2 for the released scripts' two-sided one.

    Raises:
        ValueError: bad input, a return below minimum, or too few episodes.
    """
    grid, ratio = _budgets(budgets, sigma)
    bound = dkw_bound(returns, minimum, alpha, constant=constant)
    values = np.asarray(returns, np.float64)
    check_episodes(len(values), "dkw", alpha=alpha, constant=constant)
    details: dict[str, float | int | str] = {
        "constant": constant,
        "deviation": dkw_deviation(len(values), alpha, constant),
    }
    return Certificate(
        "DKW",
        "mean return",
        grid,
        bound.expectation(ratio),
        float(sigma),
        len(values),
        alpha,
        float(values.mean()),
        bound.minimum,
        (*ASSUMPTIONS, f"no return is below {minimum:g}"),
        details,
        bound,
    )


def certify_percentile(
    returns: npt.ArrayLike,
    budgets: npt.ArrayLike,
    sigma: float,
    *,
    q: float = 0.5,
    minimum: float = -math.inf,
    alpha: float = 0.05,
    interval: Literal["binomial", "dkw"] = "binomial",
) -> Certificate:
    """The q-quantile of the return under attack.

    By (A1) it is at least the clean quantile at level l = Phi(Phi^-1(q) - B / sigma), which an order statistic R_(r)
    bounds from below: r is the largest with P(Binomial(N, l) < r) < alpha / G, or ceil(N (l - d)) by DKW (wider, but
    for all budgets at once without dividing alpha).

    Args:
        returns: [N], of clean smoothed episodes.
        budgets: B, one or [G], at least 0, observation units.
        sigma: noise of the episodes, > 0.
        q: in (0, 1); 0.5 is the median.
        minimum: the least possible return, certified where the episodes say nothing.
        alpha: failure probability in (0, 1).
        interval: "binomial" (exact) or "dkw" (alpha <= 1/2).

    Raises:
        ValueError: bad input, or too few episodes.
    """
    if not 0 < q < 1:
        raise ValueError(f"q={q!r} must lie in (0, 1).")
    if interval not in ("binomial", "dkw"):
        raise ValueError(f"interval={interval!r} must be 'binomial' or 'dkw'.")
    grid, ratio = _budgets(budgets, sigma)
    check_alpha(alpha)
    values = np.sort(check_returns(returns, minimum))
    n, level = len(values), ndtr(ndtri(q) - ratio)
    if interval == "binomial":
        check_episodes(n, "percentile", alpha=alpha, thresholds=len(grid), level=q)
        rank = binom.ppf(alpha / len(grid), n, level).astype(np.int64)
    else:
        check_episodes(n, "dkw", alpha=alpha, level=1 - q)  # a deviation below q, else no rank is above 0
        rank = np.maximum(np.ceil(n * (level - dkw_deviation(n, alpha))), 0).astype(np.int64)
    value = np.where(rank > 0, values[np.maximum(rank, 1) - 1], minimum)
    assumed = (f"no return is below {minimum:g}",) if math.isfinite(minimum) else ()
    clean = float(np.quantile(values, q, method="inverted_cdf"))
    return Certificate(
        f"order statistic ({interval})",
        f"{q:g}-quantile of the return",
        grid,
        value,
        float(sigma),
        n,
        alpha,
        clean,
        minimum,
        (*ASSUMPTIONS, *assumed),
        {"q": q},
    )


def certify_expectation(
    returns: npt.ArrayLike,
    budgets: npt.ArrayLike,
    sigma: float,
    *,
    minimum: float,
    maximum: float,
    alpha: float = 0.05,
    lipschitz: float = LIPSCHITZ_CROP,
) -> Certificate:
    """CROP's expectation bound (GRe): mean - Hoeffding's term - lipschitz (J_max - J_min) B / sigma.

    CROP's budget is per step; `total_budget(eps, H)` is the B to give here.

    Args:
        returns: [N], of clean smoothed episodes.
        budgets: B, one or [G], at least 0, observation units.
        sigma: noise of the episodes, > 0.
        minimum: J_min, least possible return; nothing lower is reported.
        maximum: J_max, largest possible return.
        alpha: failure probability in (0, 1).
        lipschitz: CROP's sqrt(2 / pi) by default; half of it, `LIPSCHITZ_TIGHT`, holds as well.

    Raises:
        ValueError: bad input, a return outside [minimum, maximum], a constant below the tight one, or too few
            episodes.
    """
    grid, ratio = _budgets(budgets, sigma)
    numeric = all(isinstance(x, int | float | np.number) for x in (minimum, maximum))
    if not numeric or not -math.inf < minimum < maximum < math.inf:
        raise ValueError(f"minimum={minimum!r} must be below maximum={maximum!r}, both finite.")
    if not LIPSCHITZ_TIGHT <= lipschitz < math.inf:
        raise ValueError(f"lipschitz={lipschitz!r} is below 1/sqrt(2 pi), the least that holds.")
    check_alpha(alpha)
    values = check_returns(returns, minimum)
    if values.max() > maximum:
        raise ValueError(f"a return is {values.max():g}, above the known maximum {maximum:g}.")
    check_episodes(len(values), "expectation", alpha=alpha)
    reach = maximum - minimum
    error = reach * math.sqrt(math.log(1 / alpha) / (2 * len(values)))
    value = np.maximum(values.mean() - error - lipschitz * reach * ratio, minimum)
    details: dict[str, float | int | str] = {"maximum": maximum, "lipschitz": lipschitz, "hoeffding": error}
    return Certificate(
        "CROP GRe (Hoeffding, Lipschitz)",
        "mean return",
        grid,
        value,
        float(sigma),
        len(values),
        alpha,
        float(values.mean()),
        minimum,
        (*ASSUMPTIONS, f"returns lie in [{minimum:g}, {maximum:g}]"),
        details,
    )


def success_radius(p_lower: float, sigma: float, *, q: float = 0.5) -> float | None:
    """The largest budget for which a success probability stays at q or above: sigma (Phi^-1(p_lo) - Phi^-1(q)).

    Returns:
        B in observation units, or None where p_lower is below q already. `SurvivalBound.radius` is the same for a
        mean return.

    Raises:
        ValueError: p_lower outside [0, 1), q outside (0, 1), or sigma not positive.
    """
    check_sigma(sigma)
    if not 0 <= p_lower < 1 or not 0 < q < 1:
        raise ValueError(f"p_lower={p_lower!r} must lie in [0, 1) and q={q!r} in (0, 1).")
    return None if p_lower < q else float(sigma * (ndtri(p_lower) - ndtri(q)))
