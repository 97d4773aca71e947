"""The demo is sized by time."""

from rlsuite_zoo.demo import steps_in


def test_the_slowest_run_decides_within_bounds() -> None:
    assert steps_in(100.0, [6_000.0, 5_000.0]) == 500_000
    assert steps_in(100.0, [10.0]) == 100_000
    assert steps_in(100.0, [1e6]) == 3_000_000
