"""Demand of one and of several periods on a lattice, where sums are convolutions; for the exact solvers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.signal import fftconvolve
from scipy.stats import rv_discrete

__all__ = ["TAIL", "Lattice", "check_above_zero", "check_lead_times", "is_discrete"]

TAIL = 1e-13
"""Probability beyond each end of the lattice of one period's demand."""


@dataclass(frozen=True)
class Lattice:
    """Demand on the points step * (first, first + 1, ...)."""

    probabilities: np.ndarray
    """Probabilities of the points; they add up to 1."""
    first: int
    """Index of the first point."""
    step: float
    """Distance of the points, units."""

    @staticmethod
    def of(demand: Any, step: float | None = None, clip: bool = False) -> Lattice:
        """One period's demand; continuous demand is rounded to the lattice."""
        discrete = is_discrete(demand)
        step = 1.0 if discrete else step or float(demand.std()) / 100
        low, high = float(demand.ppf(TAIL)), float(demand.isf(TAIL))
        first, last = math.floor(low / step), math.ceil(high / step)
        upper = (np.arange(first, last + 1) + (0.0 if discrete else 0.5)) * step
        probabilities = np.diff(demand.cdf(upper), prepend=0.0)
        if clip and first < 0:
            probabilities = np.append(probabilities[: 1 - first].sum(), probabilities[1 - first :])
            first = 0
        return Lattice(probabilities / probabilities.sum(), first, step)

    @property
    def last(self) -> int:
        """Index of the last point."""
        return self.first + len(self.probabilities) - 1

    @property
    def mean(self) -> float:
        """Mean demand, units."""
        return float(self.probabilities @ self.points())

    def at(self, index: int) -> float:
        """Probability of the point."""
        inside = self.first <= index <= self.last
        return float(self.probabilities[index - self.first]) if inside else 0.0

    def quantile(self, probability: float) -> float:
        """Smallest demand that is exceeded with probability 1 - p at most."""
        return float(self.points()[np.searchsorted(self.probabilities.cumsum(), probability)])

    def points(self) -> np.ndarray:
        """Demands of the points, units, in ascending order."""
        return (self.first + np.arange(len(self.probabilities))) * self.step

    def over(self, periods: int) -> Lattice:
        """The sum over periods (0: nothing)."""
        total = np.ones(1)
        for _ in range(periods):
            total = np.maximum(fftconvolve(total, self.probabilities), 0.0)
        return Lattice(total / total.sum(), self.first * periods, self.step)

    def mean_cost(self, position: float, holding: float, penalty: float) -> float:
        """E[h (position - D)^+ + p (D - position)^+]."""
        left = position - self.points()
        return float(self.probabilities @ np.where(left > 0, holding * left, -penalty * left))

    def convolve(self, values: np.ndarray) -> np.ndarray:
        """E[values(y - D)] for the lattice's y from the `last`-th on, given values on consecutive points."""
        # Where demand may be negative, y - D may lie above the points: the last value is continued upwards.
        values = np.append(values, np.full(max(-self.first, 0), values[-1]))
        found = fftconvolve(values, self.probabilities, mode="valid")
        return found[: len(found) - max(self.first, 0)]


def is_discrete(demand: Any) -> bool:
    """Whether a distribution is one of counts."""
    if not hasattr(demand, "dist"):
        raise ValueError(f"demand={demand!r} must be a frozen distribution of scipy.stats, e.g. poisson(5).")
    return isinstance(demand.dist, rv_discrete)


def check_above_zero(**costs: float) -> None:
    """Raise ValueError unless these named numbers are finite and above 0."""
    for name, value in costs.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name}={value!r} must be a finite number above 0.")


def check_lead_times(*lead_times: int) -> None:
    """Raise ValueError unless these are integers of at least 0."""
    for lead_time in lead_times:
        if not isinstance(lead_time, int) or lead_time < 0:
            raise ValueError(f"lead_time={lead_time!r} must be an integer of at least 0.")
