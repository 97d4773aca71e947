"""Intervals: bootstrap over episodes or seeds, the mean and the interquartile mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval [low, high], from n values."""

    estimate: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.estimate:.1f} [{self.low:.1f}, {self.high:.1f}]"


def iqm(values: npt.ArrayLike) -> float:
    """Interquartile mean: the mean of the middle half (Agarwal et al. 2021, arXiv:2108.13264)."""
    return float(_iqm(np.sort(np.asarray(values, np.float64).reshape(1, -1), axis=1))[0])


def _iqm(ordered: np.ndarray) -> np.ndarray:
    cut = ordered.shape[1] // 4
    middle: np.ndarray = ordered[:, cut : ordered.shape[1] - cut].mean(axis=1)
    return middle


def _statistic(samples: np.ndarray, statistic: str) -> np.ndarray:
    """The statistic of each row of samples [R, n]."""
    if statistic == "mean":
        result: np.ndarray = samples.mean(axis=1)
        return result
    if statistic == "median":
        return np.median(samples, axis=1)
    if statistic == "iqm":
        return _iqm(np.sort(samples, axis=1))
    raise ValueError(f"statistic {statistic!r} is unknown; choose 'mean', 'median' or 'iqm'")


def bootstrap_interval(
    values: npt.ArrayLike, *, level: float = 0.95, num_resamples: int = 10_000, seed: int = 0, statistic: str = "mean"
) -> Interval:
    """Percentile bootstrap of a statistic.

    Args:
        values: [n], or [seeds, episodes] for the stratified bootstrap (episodes are resampled within each seed).
        level: in (0, 1).
        num_resamples: at least 1.
        seed: of the resampling.
        statistic: "mean", "median" or "iqm".

    Returns:
        The interval; with one value, the value itself on both sides.

    Raises:
        ValueError: no values, NaN among them, or arguments out of range.

    Source: Efron 1979; stratified as in Agarwal et al. 2021.
    """
    data = np.atleast_2d(np.asarray(values, np.float64))
    if data.size == 0 or data.ndim != 2:
        raise ValueError(f"values have shape {np.shape(values)}; give at least one number, [n] or [seeds, episodes]")
    if not np.isfinite(data).all():
        raise ValueError("values contain NaN or infinity; find the run that made them")
    if not 0 < level < 1 or num_resamples < 1:
        raise ValueError(f"level is {level}, num_resamples {num_resamples}; they must lie in (0, 1) and be at least 1")
    rng = np.random.default_rng(seed)
    strata, n = data.shape
    index = rng.integers(0, n, size=(num_resamples, strata, n))
    samples = np.take_along_axis(data[None], index, axis=2).reshape(num_resamples, -1)
    low, high = np.quantile(_statistic(samples, statistic), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(_statistic(data.reshape(1, -1), statistic)[0]), float(low), float(high), int(data.size))
