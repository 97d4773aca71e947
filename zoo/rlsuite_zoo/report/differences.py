"""Differences of two policies with their 95 % intervals, and what they say; for the results pages."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

import numpy as np
from scipy import stats

__all__ = ["budgets_apart", "margin", "paired", "student", "tally", "welch"]


def margin(values: np.ndarray) -> float:
    """Half of Student's interval of the mean of values [N >= 2]."""
    return float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)


def student(values: np.ndarray) -> float:
    """`margin`, and 0 for a single value."""
    return margin(values) if len(values) > 1 else 0.0


def paired(gaps: Sequence[float] | np.ndarray, digits: int = 0) -> tuple[str, str]:
    """The mean of differences, one per seed, with Student's interval, and the verdict."""
    values = np.asarray(gaps, dtype=float)
    if len(values) < 2:
        return "–", "too few seeds"
    mean, half = float(values.mean()), margin(values)
    return _told(mean, mean - half, mean + half, digits)


def welch(first: Sequence[float], second: Sequence[float]) -> tuple[str, str]:
    """The difference of two means with Welch's interval, and the verdict; values that are not finite are left out."""
    first, second = ([value for value in group if np.isfinite(value)] for group in (first, second))
    if min(len(first), len(second)) < 2:
        return "–", "too few seeds"
    difference = float(np.mean(first) - np.mean(second))
    if np.ptp(first) == np.ptp(second) == 0:  # deterministic outcomes: nothing to estimate
        return _told(difference, difference, difference, 0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Precision loss", category=RuntimeWarning)  # one side is constant
        interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    return _told(difference, interval.low, interval.high, 0)


def _told(mean: float, low: float, high: float, digits: int) -> tuple[str, str]:
    verdict = "ahead" if low > 0 else "behind" if high < 0 else "no difference shown"
    return f"{mean:+,.{digits}f} [{low:+,.{digits}f}, {high:+,.{digits}f}]", verdict


def tally(verdicts: Iterable[tuple[str, str]]) -> list[str]:
    """One sentence for each pair that was compared: on how many environments the first is ahead, or behind.

    Args:
        verdicts: pair and verdict of every environment, in the order of the page.
    """
    found: dict[str, list[str]] = {}
    for pair, verdict in verdicts:
        found.setdefault(pair, []).append(verdict)
    lines = []
    for pair, each in found.items():
        counts = {verdict: each.count(verdict) for verdict in dict.fromkeys(each)}
        text = ", ".join(f"{verdict} in {count}" for verdict, count in counts.items())
        lines.append(f"{pair}: {text} of {len(each)} environments.")
    return lines


def budgets_apart(first: Sequence[int], second: Sequence[int]) -> str:
    """The verdict on runs of unlike budgets, which nobody is ahead in; "" where they are within a tenth.

    Args:
        first: environment steps of the runs of one side, at least one.
        second: of the other.
    """
    one, other = float(np.median(first)), float(np.median(second))
    if max(one, other) <= 1.1 * min(one, other):
        return ""
    return f"not compared: {one:,.0f} steps against {other:,.0f}"
