"""Bootstrap intervals against SciPy, interquartile mean against SciPy, coverage, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from rlsuite.core import statistics
from rlsuite.core.statistics import Interval, bootstrap_interval, iqm

STATISTICS = {
    "mean": lambda x, axis: x.mean(axis),
    "median": lambda x, axis: np.median(x, axis),
    "iqm": lambda x, axis: scipy.stats.trim_mean(x, 0.25, axis),
}
numbers = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30)


@given(values=numbers)
def test_iqm_is_scipys_trimmed_mean(values):
    assert iqm(values) == pytest.approx(scipy.stats.trim_mean(np.array(values), 0.25), rel=1e-9, abs=1e-6)


def test_iqm_by_hand():
    assert iqm([0, 1, 2, 1000]) == 1.5
    assert iqm([[3]]) == 3


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("level", [0.95, 0.5])
def test_interval_equals_scipy(statistic, level):
    """Two independent sets of 20,000 resamples: ends agree within a few percent of the width."""
    values = np.random.default_rng(0).gamma(2.0, size=40)
    ours = bootstrap_interval(values, level=level, num_resamples=20_000, statistic=statistic)
    theirs = scipy.stats.bootstrap(
        (values,),
        STATISTICS[statistic],
        confidence_level=level,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(1),
        vectorized=True,
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.estimate == pytest.approx(STATISTICS[statistic](values, 0))
    assert ours.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.05 * width)
    assert ours.n == 40


def test_stratified_resamples_within_rows():
    """Rows that do not vary leave nothing to resample, however much they differ from each other."""
    flat = np.repeat([[0.0], [100.0], [7.0]], 5, axis=1)
    for statistic in STATISTICS:
        interval = bootstrap_interval(flat, statistic=statistic)
        assert interval.low == interval.high == interval.estimate
    assert bootstrap_interval(flat).n == 15
    pooled = bootstrap_interval(flat.ravel())
    assert pooled.high - pooled.low > 30


def test_stratified_width_is_the_textbook_one():
    """The mean over S strata of n values has variance (mean of the rows' variances) / (S n)."""
    rng = np.random.default_rng(2)
    values = rng.normal(size=(5, 200)) * np.arange(1, 6)[:, None] + 50 * np.arange(5)[:, None]
    interval = bootstrap_interval(values)
    half = 1.96 * np.sqrt(values.var(1).mean() / values.size)
    assert interval.high - interval.low == pytest.approx(2 * half, rel=0.05)


def test_coverage():
    """Of 300 intervals from 30 normal values about 95 % hold the true mean (percentile: slightly fewer)."""
    rng = np.random.default_rng(3)
    hits = 0
    for seed in range(300):
        interval = bootstrap_interval(rng.normal(size=30), num_resamples=500, seed=seed)
        hits += interval.low <= 0 <= interval.high
    assert 0.90 <= hits / 300 <= 0.98


@given(values=numbers, statistic=st.sampled_from(list(STATISTICS)))
def test_interval_is_within_the_data_and_repeats(values, statistic):
    interval = bootstrap_interval(values, num_resamples=50, statistic=statistic)
    slack = 1e-9 * max(1.0, np.abs(values).max())
    for x in (interval.estimate, interval.low, interval.high):
        assert min(values) - slack <= x <= max(values) + slack
    assert interval.low <= interval.high
    assert interval == bootstrap_interval(values, num_resamples=50, statistic=statistic)


def test_memory_is_bounded_without_changing_the_answer(monkeypatch):
    values = np.random.default_rng(4).normal(size=50)
    whole = bootstrap_interval(values)
    monkeypatch.setattr(statistics, "_CHUNK", 1000)
    chunked = bootstrap_interval(values)
    assert chunked.low == pytest.approx(whole.low, abs=0.02) and chunked.high == pytest.approx(whole.high, abs=0.02)


def test_single_value_and_text():
    assert bootstrap_interval([5.0]) == Interval(5.0, 5.0, 5.0, 1)
    assert str(Interval(1.26, -0.5, 3.0, 4)) == "1.3 [-0.5, 3.0]"


@pytest.mark.parametrize("values", [[], [[]], [1.0, float("nan")], [float("inf")], np.zeros((2, 2, 2))])
def test_bad_values(values):
    with pytest.raises(ValueError, match=r"values (are empty|contain NaN|have shape)"):
        bootstrap_interval(values)


@pytest.mark.parametrize(
    "kwargs",
    [{"level": 0.0}, {"level": 1.0}, {"level": float("nan")}, {"num_resamples": 0}, {"statistic": "mode"}],
)
def test_bad_arguments(kwargs):
    with pytest.raises(ValueError, match=r"level must lie|statistic 'mode' is unknown; choose one of mean"):
        bootstrap_interval([1.0, 2.0], **kwargs)


def test_iqm_refuses_nothing_and_nan():
    for values in ([], [1.0, float("nan")]):
        with pytest.raises(ValueError, match="values"):
            iqm(values)
