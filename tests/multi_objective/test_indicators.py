"""Indicators: published and hand-made fronts, brute force, invariances, refusals."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rlsuite.multi_objective import indicators
from rlsuite.multi_objective.archive import smp
from rlsuite.multi_objective.indicators import (
    cardinality,
    expected_utility,
    front_indicators,
    hypervolume,
    igd_plus,
    maximum_utility_loss,
    r2,
    sparsity,
)
from rlsuite.multi_objective.weights import weight_grid

SMALL = st.integers(2, 3).flatmap(
    lambda m: arrays(np.float64, st.tuples(st.integers(1, 7), st.just(m)), elements=st.integers(-3, 3))
)
GRID = weight_grid(2, 100)
PLAYED = {"gamma": 1.0, "episode_limit": 100, "episodes": 1}


def test_deep_sea_treasure(fronts):
    close = {"rel": 1e-9}
    assert float(hypervolume(fronts.convex, (0, -25))) == pytest.approx(401.8, **close)
    assert float(hypervolume(fronts.convex, (0, -50))) == pytest.approx(994.3, **close)
    assert float(hypervolume(fronts.concave, (0, -25))) == pytest.approx(1155, **close)
    assert float(hypervolume(fronts.concave, (0, -50))) == pytest.approx(4255, **close)
    ends = fronts.concave[[0, -1]]
    assert float(hypervolume(ends, (0, -25))) == pytest.approx(762, **close)
    # (20.3, -14) lies between its neighbours, where a linear method may miss it
    assert float(hypervolume(np.delete(fronts.convex, 7, axis=0), (0, -25))) == pytest.approx(399.7, **close)
    for front, value in ((fronts.convex, 360.400946), (fronts.concave, 1101.384430)):
        assert float(hypervolume(fronts.discounted(front, 0.99), (0, -25))) == pytest.approx(value, abs=6e-7)
    # expected utility cannot tell the concave front from its ends
    assert expected_utility(fronts.concave, GRID) == expected_utility(ends, GRID) == pytest.approx(53.7279, abs=5e-5)
    assert maximum_utility_loss(ends, fronts.concave, GRID) == 0
    assert [cardinality(fronts.discounted(fronts.convex, gamma)) for gamma in (0.99, 0.95, 0.9)] == [10, 6, 3]


@pytest.mark.filterwarnings("ignore")  # the oracle's own
def test_fruit_tree():
    fruits = np.array(pytest.importorskip("mo_gymnasium.envs.fruit_tree.fruit_tree").FRUITS["6"])
    zero = np.zeros(6)
    assert float(hypervolume(fruits, zero)) == pytest.approx(12575.873297, abs=6e-7)
    assert float(hypervolume(fruits * 0.99**5, zero)) == pytest.approx(9302.378173, abs=6e-7)
    assert float(hypervolume(fruits * 0.99**5, zero - 1)) == pytest.approx(46034.801698, abs=6e-7)
    assert expected_utility(fruits * 0.99**5, weight_grid(6, 2)) == pytest.approx(6.756108, abs=6e-7)
    assert sparsity(fruits * 0.99**5) == pytest.approx(0.268636, abs=6e-7)
    assert cardinality(fruits) == 64


@given(SMALL, st.integers(-4, 2))
def test_hypervolume_is_inclusion_and_exclusion(fronts, points, low):
    reference = np.full(points.shape[1], float(low))
    found = hypervolume(points, reference, allow_zero=True)
    assert found.value == pytest.approx(fronts.volume(points, reference), rel=1e-12, abs=1e-12)
    assert (found.kind, found.error, found.total) == ("exact", 0.0, len(points))


@given(SMALL, st.randoms(use_true_random=False))
def test_order_copies_and_dominated_vectors_change_nothing(points, random):
    m = points.shape[1]
    more = np.concatenate([points, points[:2], points[:3] - np.arange(m)])
    more = more[random.sample(range(len(more)), len(more))]
    front, weights, low = np.eye(m) * 4, weight_grid(m, 4), np.full(m, -4.0)
    for function in (
        lambda p: float(hypervolume(p, low)),
        lambda p: expected_utility(p, weights),
        sparsity,
        cardinality,
        lambda p: igd_plus(p, front),
        lambda p: r2(p, weights, np.full(m, 3.0)),
        lambda p: maximum_utility_loss(p, front, weights),
    ):
        assert function(more) == pytest.approx(function(points), rel=1e-12, abs=1e-12)


@given(SMALL, SMALL)
def test_a_better_set_is_never_measured_as_worse(points, better):
    m = points.shape[1]
    both = np.concatenate([points, np.resize(better, (2, m))])
    front, weights, low = np.eye(m) * 4, weight_grid(m, 4), np.full(m, -4.0)
    slack = 1e-12
    assert float(hypervolume(both, low)) >= float(hypervolume(points, low)) - slack
    assert expected_utility(both, weights) >= expected_utility(points, weights)
    assert igd_plus(both, front) <= igd_plus(points, front) + slack
    assert r2(both, weights, np.full(m, 3.0)) <= r2(points, weights, np.full(m, 3.0))
    assert maximum_utility_loss(both, front, weights) <= maximum_utility_loss(points, front, weights)


@given(SMALL)
def test_definitions_by_loops(points):
    m = points.shape[1]
    weights, front, ideal = weight_grid(m, 3), np.eye(m) * 4, np.full(m, 3.5)
    assert expected_utility(points, weights) == pytest.approx(
        sum(points[smp(points, w)] @ w for w in weights) / len(weights), abs=1e-12
    )
    assert r2(points, weights, ideal) == pytest.approx(
        sum(min(max(w * (ideal - p)) for p in points) for w in weights) / len(weights), abs=1e-12
    )
    assert igd_plus(points, front) == pytest.approx(
        sum(min(np.linalg.norm(np.maximum(r - p, 0)) for p in points) for r in front) / m, abs=1e-12
    )
    assert maximum_utility_loss(points, front, weights) == pytest.approx(
        max(max(front @ w) - max(points @ w) for w in weights), abs=1e-12
    )


def test_sparsity_by_hand():
    assert sparsity([[0, 4], [1, 2], [3, 0]]) == pytest.approx((1 + 4 + 4 + 4) / 2)
    assert sparsity([[0, 4], [1, 2], [3, 0], [3, 0], [0, 0]]) == pytest.approx((1 + 4 + 4 + 4) / 2)
    assert sparsity([[1, 2]]) == 0


def test_r2_by_hand():
    # from (2, 2): (1, 0) is short of 1 in the first objective, (0, 1) of 2 in the second, (1/2, 1/2) of max(1/2, 1)
    assert r2([[1, 0]], [[1, 0], [0, 1], [0.5, 0.5]], (2, 2)) == pytest.approx((1 + 2 + 1) / 3)
    assert r2([[1, 0]], (0.5, 0.5), (2, 2)) == 1


def test_large_grids_are_taken_in_parts(fronts, monkeypatch):
    whole = expected_utility(fronts.convex, GRID), r2(fronts.convex, GRID, (24, 0))
    monkeypatch.setattr(indicators, "_PART", 7)
    assert (expected_utility(fronts.convex, GRID), r2(fronts.convex, GRID, (24, 0))) == whole


@pytest.mark.parametrize(("m", "n"), [(3, 30), (6, 50), (7, 40), (9, 30)])
def test_approximate_volumes_are_within_their_error_whatever_the_units(fronts, m, n):
    points = fronts.sphere(n, m, seed=n) * 10.0 ** np.arange(m) - 5
    exact = hypervolume(points, np.full(m, -5.0), exact=True)
    near = hypervolume(points, np.full(m, -5.0), exact=False)
    assert (exact.kind, near.kind) == ("exact", "approximate") and 0 < near.error < 0.03
    assert abs(near.value - exact.value) <= near.error * near.value
    assert near == hypervolume(points, np.full(m, -5.0), exact=False)
    assert str(near).endswith("%)") and "approximate" in str(near) and str(exact).endswith("(exact)")


def test_which_sizes_are_exact(fronts, monkeypatch):
    monkeypatch.setattr(indicators, "_exact", lambda points, reference: 1.0)
    monkeypatch.setattr(indicators, "_approximate", lambda points, reference: (2.0, 0.1))
    sizes = [(6, 300), (7, 60), (7, 61), (9, 60), (10, 11), (10, 10), (30, 10)]
    kinds = [hypervolume(fronts.sphere(n, m, 0), np.zeros(m)).kind for m, n in sizes]
    assert kinds == [*["exact"] * 2, "approximate", "exact", "approximate", "exact", "exact"]
    assert hypervolume([[1.0], [2.0]], [0.0], exact=False).kind == "exact"  # one objective is a difference


def test_a_time_limit_tries_the_exact_value_elsewhere_and_falls_back(fronts):
    points = fronts.sphere(61, 7, seed=0)
    tried = hypervolume(points, np.zeros(7), time_limit=60)
    assert tried.kind == "exact" and tried.value == hypervolume(points, np.zeros(7), exact=True).value
    hard = fronts.sphere(200, 9, seed=0)  # minutes
    near = hypervolume(hard, np.zeros(9), time_limit=0.7)
    assert near.kind == "approximate" and "the exact value took longer than 0.7 s" in near.method
    with pytest.raises(TimeoutError, match=r"200 vectors of 9 objectives took longer than time_limit=0\.7 s; allow"):
        hypervolume(hard, np.zeros(9), exact=True, time_limit=0.7)


def test_a_failing_process_is_named(fronts, monkeypatch):
    monkeypatch.setattr(indicators, "_CHILD", "raise SystemExit('no memory')")
    with pytest.raises(RuntimeError, match=r"ended with 1; pass exact=False instead\. no memory"):
        hypervolume(fronts.sphere(61, 7, seed=0), np.zeros(7), time_limit=60)


def test_a_reference_point_above_every_vector(fronts):
    with pytest.raises(ValueError, match=r"reference \(200, -25\).*objective 0 is at most 124 and the reference 200"):
        hypervolume(fronts.concave, (200, -25))
    with pytest.raises(ValueError, match=r"reference \(60, -10\): none of the 10 vectors .*objective, so there"):
        hypervolume(fronts.concave, (60, -10))  # below the best of each, above every vector
    with pytest.raises(ValueError, match="allow_zero=True"):
        front_indicators(fronts.concave, (200, -25), **PLAYED)
    none = hypervolume(fronts.concave, (200, -25), allow_zero=True)
    assert (none.value, none.counted, none.method) == (0.0, 0, "no vector above the reference point")
    assert "10 of 10 vectors do not lie above" in str(
        front_indicators(fronts.concave, (200, -25), allow_zero=True, **PLAYED)
    )


def test_measure_carries_what_the_numbers_depend_on(fronts):
    found = front_indicators(fronts.concave[[0, 3, 3, 9]], (0, -18), front=fronts.concave, **PLAYED)
    assert found.hypervolume == hypervolume(fronts.concave[[0, 3]], (0, -18)).value
    assert found.cardinality == 3 and found.front == 10 and found.ideal == (124, -1)
    assert (found.weights, found.reference) == ("101 weights, grid of step 1/100", (0, -18))
    text = str(found)
    for row in text.splitlines()[:7]:
        assert "gamma 1, 1 episode each, at most 100 steps, deterministic actions" in row
    assert "exact, reference (0, -18)" in text.splitlines()[0]
    assert found.notes == (
        "1 of 4 vectors are copies or dominated and left out",
        "1 of 3 vectors do not lie above the reference point and add no hypervolume",
    )
    again = json.loads(json.dumps(found.as_dict()))
    assert again["reference"] == [0, -18] and again["igd_plus"] == found.igd_plus
    assert set(again) == {field.name for field in dataclasses.fields(found)}


def test_measure_without_a_front_and_of_odd_sets():
    found = front_indicators(
        [[1, 2]], (0, 0), gamma=0.99, episode_limit=None, episodes=5, deterministic=False, weights=4
    )
    assert found.igd_plus is found.r2 is found.maximum_utility_loss is found.ideal is None
    assert [row[0] for row in found.rows()] == ["hypervolume", "expected utility", "sparsity", "cardinality"]
    assert found.conditions == "gamma 0.99, 5 episodes each, no limit of steps, sampled actions"
    assert found.weights == "5 weights, grid of step 1/4" and "a single vector" in found.notes[0]
    flat = front_indicators([[1, 2, 7], [2, 1, 7]], (0, 0, 0), weights=[(1, 0, 0)], **PLAYED)
    assert flat.notes == ("objective 2 is 7 in every vector",) and flat.weights == "1 weights given"
    beyond = front_indicators([[3, 3]], (0, 0), front=[[1, 2], [2, 1]], **PLAYED)
    assert beyond.maximum_utility_loss < 0 and "1 of 1 vectors exceed" in beyond.notes[-1] and beyond.r2 == 0


@settings(max_examples=30)
@given(SMALL, st.sampled_from([np.nan, np.inf, -np.inf]), st.data())
def test_a_number_that_is_none_is_named_everywhere(points, bad, data):
    row, column = (data.draw(st.integers(0, size - 1)) for size in points.shape)
    m = points.shape[1]
    points = points.copy()
    points[row, column] = bad
    weights, front = weight_grid(m, 2), np.eye(m)
    for call in (
        lambda: hypervolume(points, np.full(m, -9)),
        lambda: expected_utility(points, weights),
        lambda: sparsity(points),
        lambda: cardinality(points),
        lambda: igd_plus(points, front),
        lambda: r2(points, weights, np.full(m, 9)),
        lambda: maximum_utility_loss(points, front, weights),
        lambda: front_indicators(points, np.full(m, -9), **PLAYED),
    ):
        with pytest.raises(ValueError, match=rf"points\[{row}, {column}\] is {bad}: objective {column} of row {row}"):
            call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hypervolume([[1, 2]], (0,)), r"reference has shape \(1,\) for 2 objectives; give 2 numbers"),
        (lambda: hypervolume([[1, 2]], 0), r"reference has shape \(\)"),
        (lambda: hypervolume([[1, 2]], (0, 0), time_limit=0), "time_limit is 0; .* seconds above 0"),
        (lambda: hypervolume([], (0, 0)), r"shape \(0,\)"),
        (lambda: expected_utility([[1, 2]], [[0.5, 0.4]]), r"weights\[0\] sums to 0\.9"),
        (lambda: igd_plus([[1, 2]], [[1, 2, 3]]), "front has 3 objectives, not 2"),
        (lambda: igd_plus([[1, 2]], [[1, np.nan]]), r"front\[0, 1\] is nan"),
        (lambda: r2([[1, 2]], (0.5, 0.5), (5, 1)), r"ideal\[1\] is 1, below the best 2 of objective 1.*\(5, 2\)"),
        (lambda: r2([[1, 2]], (0.5, 0.5), (5, np.inf)), r"ideal\[1\] is inf"),
        (lambda: front_indicators([[1], [2]], (0,), **PLAYED), "one objective"),
        (lambda: front_indicators([[1, 2]], (0, 0), **{**PLAYED, "gamma": 1.1}), r"gamma is 1\.1"),
        (lambda: front_indicators([[1, 2]], (0, 0), **{**PLAYED, "gamma": np.nan}), "gamma is nan"),
        (lambda: front_indicators([[1, 2]], (0, 0), **{**PLAYED, "episodes": 0}), "episodes is 0"),
        (lambda: front_indicators([[1, 2]], (0, 0), **{**PLAYED, "episode_limit": 0}), "episode_limit is 0"),
        (lambda: front_indicators([[1, 2]], (0, 0), weights=0, **PLAYED), "divisions is 0"),
    ],
)
def test_refusals_name_the_value_and_a_remedy(call, message):
    with pytest.raises(ValueError, match=message):
        call()
