"""Intervals: bootstrap over episodes or seeds, for the mean, the median and the interquartile mean.

What is resampled decides what the interval is about. Episodes of one trained policy: how well that policy
does. Means of several seeds: how well the algorithm does; episodes must not be pooled over seeds for that,
since the seed is the larger source of variation. A matrix resamples within each row (stratified), for runs on
several tasks.

Source: Efron 1979 (percentile bootstrap); Agarwal et al., "Deep RL at the edge of the statistical precipice",
NeurIPS 2021, arXiv:2108.13264 (interquartile mean, stratified bootstrap).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Interval", "bootstrap_interval", "iqm"]

_CHUNK = 4_000_000
"""Resampled numbers held at a time; bounds the memory for any number of episodes."""


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
    """Interquartile mean: the mean of the values without the lowest and highest floor(n/4).

    Raises:
        ValueError: If there are no values, or NaN or infinity among them.
    """
    return float(_iqm(_checked(values).reshape(1, -1))[0])


def bootstrap_interval(
    values: npt.ArrayLike,
    *,
    level: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
    statistic: str = "mean",
) -> Interval:
    """Percentile bootstrap interval of a statistic.

    Args:
        values: [n], or [strata, n] for the stratified bootstrap: each row is resampled by itself, and the
            statistic is taken over all rows together.
        level: Coverage in (0, 1).
        num_resamples: At least 1.
        seed: Of the resampling; equal input gives equal output.
        statistic: "mean", "median" or "iqm".

    Returns:
        The interval. With a single value per row there is nothing to resample: low = estimate = high, which
        says nothing about precision; report `n` with it. Fewer than about 10 values make it somewhat too
        narrow.

    Raises:
        ValueError: If there are no values, NaN or infinity among them, or an argument is out of range.
    """
    data = np.atleast_2d(_checked(values))
    if data.ndim != 2:
        raise ValueError(f"values have shape {np.shape(values)}; give [n] or [strata, n].")
    if not 0 < level < 1 or num_resamples < 1:
        raise ValueError(
            f"level must lie in (0, 1) and num_resamples be >= 1; got level={level}, num_resamples={num_resamples}."
        )
    if statistic not in _STATISTICS:
        raise ValueError(f"statistic {statistic!r} is unknown; choose one of {', '.join(_STATISTICS)}.")
    compute = _STATISTICS[statistic]
    rng = np.random.default_rng(seed)
    strata, n = data.shape
    resampled = np.empty(num_resamples)
    chunk = max(1, _CHUNK // data.size)
    for start in range(0, num_resamples, chunk):
        size = min(chunk, num_resamples - start)
        index = rng.integers(0, n, size=(size, strata, n))
        samples = data[np.arange(strata)[:, None], index].reshape(size, -1)
        resampled[start : start + size] = compute(samples)
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(compute(data.reshape(1, -1))[0]), float(low), float(high), int(data.size))


def _checked(values: npt.ArrayLike) -> np.ndarray:
    data = np.asarray(values, np.float64)
    if data.size == 0:
        raise ValueError("values are empty; give at least one number.")
    if not np.isfinite(data).all():
        raise ValueError("values contain NaN or infinity; find the run that made them.")
    return data


def _mean(samples: np.ndarray) -> np.ndarray:
    return np.asarray(samples.mean(axis=1))


def _median(samples: np.ndarray) -> np.ndarray:
    return np.asarray(np.median(samples, axis=1))


def _iqm(samples: np.ndarray) -> np.ndarray:
    n = samples.shape[1]
    cut = n // 4
    return np.asarray(np.sort(samples, axis=1)[:, cut : n - cut].mean(axis=1))


_STATISTICS = {"mean": _mean, "median": _median, "iqm": _iqm}
