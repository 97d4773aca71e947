"""Evaluations as records; numbers, intervals and provenance as reports show them."""

from __future__ import annotations

import numpy as np

from rlsuite.core.statistics import Interval


def rounded_down(value: float, digits: int) -> str:
    """A lower bound as text that promises no more than it."""
    return f"{np.floor(value * 10**digits) / 10**digits:,.{digits}f}"


def numbers_of(interval: Interval | None) -> dict[str, float] | None:
    """An interval as JSON."""
    if interval is None:
        return None
    return {"mean": interval.estimate, "low": interval.low, "high": interval.high, "n": interval.n}


def cell_text(interval: Interval | None) -> str:
    """Estimate and interval, for tables."""
    if interval is None:
        return "–"
    digits = 0 if abs(interval.estimate) >= 100 else 1
    mean, low, high = (f"{x:,.{digits}f}" for x in (interval.estimate, interval.low, interval.high))
    return f"{mean} [{low}, {high}]"
