"""What to settle before any episode is played: how many are needed, and what budget an attack per step amounts to."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from rlsuite.smoothing.survival import check_alpha, dkw_deviation

__all__ = ["Method", "check_episodes", "episodes_needed", "total_budget"]

Method = Literal["success", "ladder", "dkw", "percentile", "expectation"]


def total_budget(epsilon: float, steps: int, *, norm: Literal["l2", "linf"] = "l2", observation_dim: int = 1) -> float:
    """The total budget B that contains an attack bounded by epsilon in every step.

    eps sqrt(T) for a bound of the L2 norm, eps sqrt(d T) for the maximum norm of d numbers.

    Raises:
        ValueError: a negative epsilon, or no steps or numbers.
    """
    if not 0 <= epsilon < math.inf or steps < 1 or observation_dim < 1 or norm not in ("l2", "linf"):
        raise ValueError(
            f"epsilon={epsilon!r} must be at least 0, steps={steps!r} and observation_dim={observation_dim!r} at "
            f"least 1, norm={norm!r} 'l2' or 'linf'."
        )
    return epsilon * math.sqrt(steps * (observation_dim if norm == "linf" else 1))


def episodes_needed(
    method: Method, *, alpha: float = 0.05, thresholds: int = 1, level: float = 0.5, constant: float = 1.0
) -> int:
    """The fewest episodes with which the method can say anything useful, were every one of them a success.

    Useful: a lower bound above `level` for the probability of a sure success ("success"; "ladder", for each of the
    rungs; "dkw"); more than the minimum for the `level`-quantile without attack ("percentile", the number of budgets
    being `thresholds`); a sampling error below 1 - level of the range ("expectation").

    Raises:
        ValueError: an unknown method, or a number out of range.
    """
    check_alpha(alpha)
    if not 0 < level < 1 or thresholds < 1:
        raise ValueError(f"level={level!r} must lie in (0, 1) and thresholds={thresholds!r} be at least 1.")
    if method in ("success", "ladder"):
        return math.floor(math.log(alpha / thresholds) / math.log(level)) + 1
    if method == "percentile":
        return math.floor(math.log(alpha / thresholds) / math.log1p(-level)) + 1
    if method == "dkw":
        return math.floor((dkw_deviation(1, alpha, constant) / (1 - level)) ** 2) + 1
    if method == "expectation":
        return math.floor(math.log(1 / alpha) / (2 * (1 - level) ** 2)) + 1
    raise ValueError(f"method={method!r} must be success, ladder, dkw, percentile or expectation.")


def check_episodes(
    episodes: int,
    method: Method,
    *,
    alpha: float = 0.05,
    thresholds: int = 1,
    level: float = 0.5,
    constant: float = 1.0,
) -> None:
    """Refuse a number of episodes that cannot certify anything, before they are simulated.

    Args:
        episodes: N.
        method: of the certificate.
        alpha: failure probability.
        thresholds: rungs of the ladder above the first, or budgets of a percentile.
        level: what a lower bound must be able to exceed; see `episodes_needed`.
        constant: of DKW.

    Raises:
        ValueError: too few episodes (says how many are needed), or a number out of range.
    """
    if isinstance(episodes, bool) or not isinstance(episodes, (int, np.integer)) or episodes < 1:
        raise ValueError(f"episodes={episodes!r} must be an integer of at least 1.")
    needed = episodes_needed(method, alpha=alpha, thresholds=thresholds, level=level, constant=constant)
    if episodes < needed:
        raise ValueError(
            f"episodes={episodes} are too few for a {method} certificate with alpha={alpha:g}"
            f"{f' over {thresholds} thresholds' if thresholds > 1 else ''}: even if all went well, nothing above "
            f"level {level:g} could be certified. Take {needed} at least (the paper takes 10,000), or a larger alpha."
        )
