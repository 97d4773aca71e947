"""Schedules: ends, shapes, text round trips, pickling, bad input."""

from __future__ import annotations

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlsuite.core.schedules import Constant, Cosine, Linear, parse_schedule

positive = st.floats(0, 1e6, allow_nan=False)


@pytest.mark.parametrize("value", [3e-4, "3e-4", 0, " 0.5 ", 7])
def test_constant(value):
    schedule = parse_schedule(value)
    assert schedule(1.0) == schedule(0.3) == schedule(0.0) == float(value)


def test_linear_and_cosine_by_hand():
    assert [parse_schedule("linear:4")(p) for p in (1, 0.5, 0.25, 0)] == [4, 2, 1, 0]
    assert parse_schedule("linear:3e-4:1e-5")(0.0) == 1e-5
    cosine = parse_schedule("cosine:4:2")
    assert cosine(1.0) == pytest.approx(4) and cosine(0.0) == pytest.approx(2) and cosine(0.5) == pytest.approx(3)
    assert cosine(0.75) == pytest.approx(3 + math.cos(math.pi / 4))
    # Flat at both ends, unlike the line.
    assert 4 - cosine(0.99) < 1e-3 < 4 - parse_schedule("linear:4:2")(0.99)


@given(start=positive, end=positive, progress=st.floats(-1, 2), kind=st.sampled_from(["linear", "cosine"]))
def test_stays_between_ends_and_prints_back(start, end, progress, kind):
    schedule = parse_schedule(f"{kind}:{start!r}:{end!r}")
    slack = 1e-9 * max(start, end)
    assert min(start, end) - slack <= schedule(progress) <= max(start, end) + slack
    assert parse_schedule(str(schedule)) == schedule
    assert pickle.loads(pickle.dumps(schedule)) == schedule


def test_objects_pass_through():
    for schedule in (Constant(1.0), Linear(1.0, 0.5), Cosine(1.0)):
        assert parse_schedule(schedule) is schedule
    assert parse_schedule(str(Constant(3e-4))) == Constant(3e-4)


@pytest.mark.parametrize(
    "value",
    [
        *("linear", "linear:", "linear:a", "line:3e-4", "cosine:1:2:3", "", "-1", "inf", "3e-4;import os"),
        *(-1, "linear:1:-1", "linear:nan", math.nan, 10**400, True, None, [1]),
    ],
)
def test_bad(value):
    with pytest.raises(ValueError, match=r"schedule .*write a number such as"):
        parse_schedule(value)


@given(text=st.text(max_size=30))
def test_any_text_gives_a_schedule_or_a_value_error(text):
    try:
        schedule = parse_schedule(text)
    except ValueError as error:
        assert repr(text) in str(error)
    else:
        assert math.isfinite(schedule(0.5))
