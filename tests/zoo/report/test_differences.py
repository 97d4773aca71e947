"""Intervals of differences are SciPy's, and verdicts leave doubt where there is some."""

import numpy as np
from scipy import stats

from rlsuite_zoo.report.differences import paired, welch


def test_verdicts_are_welchs() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(100, 10, 5).tolist(), rng.normal(50, 30, 5).tolist()
    low, high = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    text, verdict = welch(first, second)
    assert verdict == "ahead" and text.endswith(f"[{low:+,.0f}, {high:+,.0f}]")
    assert welch(second, first)[1] == "behind"
    assert welch(first, [*first])[1] == "no difference shown"
    assert welch([1.0, float("nan")], first) == ("–", "too few seeds")


def test_paired_verdicts_are_students() -> None:
    gaps = [1.0, 2.0, 3.0]
    interval = stats.ttest_1samp(gaps, 0.0).confidence_interval(0.95)
    assert paired(gaps, 3) == (
        f"+2.000 [{interval.low:+.3f}, {interval.high:+.3f}]",
        "no difference shown",
    )
    assert paired(np.array([1.0, 1.1, 0.9]), 3) == ("+1.000 [+0.752, +1.248]", "ahead")
    assert paired([-1.0, -1.1, -0.9])[1] == "behind"
    assert paired([4.0]) == paired([]) == ("–", "too few seeds")
