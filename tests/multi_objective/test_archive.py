"""The archive's functions: dominance, crowding, contributions, selection, truncation, the set max policy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rlsuite.multi_objective import archive
from rlsuite.multi_objective.archive import (
    crowding_distance,
    ends,
    hypervolume_contributions,
    nadir_reference,
    nondominated,
    select_sparse,
    smp,
    truncate,
    utilities,
)
from rlsuite.multi_objective.weights import weight_grid

SMALL = st.integers(1, 4).flatmap(
    lambda m: arrays(np.float64, st.tuples(st.integers(1, 7), st.just(m)), elements=st.integers(-3, 3))
)
SEEDS = st.integers(0, 10_000)


@given(SMALL)
def test_nondominated_is_what_the_definition_says(fronts, points):
    kept = nondominated(points)
    expected = [
        i
        for i, p in enumerate(points)
        if not any(fronts.dominates(q, p) for q in points) and not any(np.array_equal(q, p) for q in points[:i])
    ]
    np.testing.assert_array_equal(kept, expected)
    np.testing.assert_array_equal(nondominated(points[kept]), np.arange(len(kept)))


@given(SMALL, st.randoms(use_true_random=False))
def test_the_order_of_the_vectors_does_not_matter(points, random):
    order = list(range(len(points)))
    random.shuffle(order)
    for function in (nondominated, ends):
        before, after = points[function(points)], points[order][function(points[order])]
        np.testing.assert_array_equal(np.unique(before, axis=0), np.unique(after, axis=0))
    distinct = points[nondominated(points)]
    order = np.argsort(np.argsort(order[: len(distinct)]))
    np.testing.assert_array_equal(crowding_distance(distinct)[order], crowding_distance(distinct[order]))


def test_vectors_equal_up_to_rounding_count_once_and_the_first_stays():
    points = np.array([[1.0, 2.0], [1.0 + 1e-12, 2.0], [0.5, 3.0], [1.0, 2.0], [0.5, 3.0 - 1e-12]])
    np.testing.assert_array_equal(nondominated(points), [0, 2])
    np.testing.assert_array_equal(nondominated(points, tolerance=0.0), [1, 2])
    np.testing.assert_array_equal(nondominated([[0.0, 1.0], [1e-300, 1.0]]), [1])  # relative: 0 equals 0 alone
    assert nondominated(np.zeros((0, 3))).shape == (0,)


@given(SEEDS, st.integers(2, 3))
def test_growing_never_loses_hypervolume_or_an_end(fronts, seed, m):
    rng = np.random.default_rng(seed)
    kept, before, best = np.zeros((0, m)), 0.0, np.full(m, -np.inf)
    for _ in range(4):
        new = rng.integers(0, 6, (2, m)) + rng.choice([0, 1e-12], (2, m))
        kept = np.concatenate([kept, new])
        kept = kept[nondominated(kept)]
        after = fronts.volume(kept, -np.ones(m))
        assert after >= before * (1 - 1e-12)  # the volume's own rounding
        assert (kept.max(0) >= best).all()
        before, best = after, kept.max(0)


def test_crowding_by_hand():
    points = [[0, 4], [1, 2], [2, 1], [4, 0]]
    np.testing.assert_allclose(crowding_distance(points), [np.inf, 5 / 4, 5 / 4, np.inf])
    np.testing.assert_array_equal(crowding_distance([[1, 2]]), [np.inf])
    np.testing.assert_array_equal(crowding_distance([[1, 2], [1, 2]]), [np.inf, np.inf])


@given(SEEDS, st.integers(0, 2))
def test_a_constant_objective_changes_no_crowding(seed, place):
    points = np.random.default_rng(seed).normal(size=(6, 2))
    flat = np.insert(points, place, 7.0, axis=1)
    np.testing.assert_array_equal(crowding_distance(flat), crowding_distance(points))


@given(SMALL)
def test_crowding_does_not_depend_on_units(points):
    scaled = points * 2.0 ** np.arange(points.shape[1]) - 8  # exact in binary
    np.testing.assert_array_equal(crowding_distance(points), crowding_distance(scaled))


def test_ends_prefer_the_vector_that_is_good_elsewhere():
    np.testing.assert_array_equal(ends([[3, 0, 0], [3, 1, 0], [0, 2, 2], [0, 2, 2]]), [1, 2])
    np.testing.assert_array_equal(ends([[0, 0]]), [0])


@given(SMALL.filter(lambda p: p.shape[1] > 1))
def test_contributions_are_what_is_lost(fronts, points):
    reference = np.full(points.shape[1], -2.0)
    kept = nondominated(points)
    lost = hypervolume_contributions(points, reference)
    assert (np.delete(lost, kept) == 0).all()
    whole = fronts.volume(points[kept], reference)
    for k, i in enumerate(kept):
        assert lost[i] == pytest.approx(whole - fronts.volume(points[np.delete(kept, k)], reference), abs=1e-9)


@pytest.mark.parametrize(("m", "n"), [(2, 30), (3, 60), (5, 60), (9, 20)])
def test_sampled_contributions_rank_as_the_exact_ones(fronts, m, n):
    points = fronts.sphere(n, m, seed=m) * 10.0 ** np.arange(m)  # whatever the units
    low = np.zeros(m) - 0.1
    exact, sampled = (hypervolume_contributions(points, low, exact=e) for e in (True, False))
    ranks = [np.argsort(np.argsort(v)) for v in (exact, sampled)]
    assert np.corrcoef(*ranks)[0, 1] > 0.94
    assert np.median(np.abs(sampled / exact - 1)) < (0.05 if m <= 5 else 0.5)
    np.testing.assert_array_equal(sampled, hypervolume_contributions(points, low, exact=False))


def test_sampled_contributions_after_removals_are_those_of_the_rest(fronts):
    points = fronts.sphere(25, 5, seed=1)
    kept = np.setdiff1d(np.arange(25), others := [i for i in range(25) if i not in ends(points)][:10])
    lengths = archive._Lengths(points, np.zeros(5))
    for i in others:
        lengths.remove(i)
    np.testing.assert_array_equal(lengths.volumes()[kept], archive._Lengths(points[kept], np.zeros(5)).volumes())


@pytest.mark.parametrize("rule", ["crowding", "contribution"])
@given(seed=SEEDS, m=st.integers(2, 5))
@settings(max_examples=25)
def test_truncation_keeps_ends_is_idempotent_and_ignores_order(fronts, rule, seed, m):
    points = fronts.sphere(24, m, seed)
    capacity = 2 * m + 2
    kept = truncate(points, capacity, rule=rule)
    assert len(kept) == capacity and (np.diff(kept) > 0).all()
    assert set(ends(points)) <= set(kept)
    np.testing.assert_array_equal(points[kept].max(0), points.max(0))
    np.testing.assert_array_equal(truncate(points[kept], capacity, rule=rule), np.arange(capacity))
    order = np.random.default_rng(seed).permutation(24)
    assert set(order[truncate(points[order], capacity, rule=rule)]) == set(kept)
    assert len(truncate(points, capacity, rule=rule, at_once=True)) == capacity


def test_truncation_by_hand():
    points = np.array([[0, 10], [1, 9], [1.5, 8.5], [5, 5], [10, 0]])
    np.testing.assert_array_equal(truncate(points, 4), [0, 2, 3, 4])  # 1 is the most crowded
    np.testing.assert_array_equal(truncate(points, 3), [0, 3, 4])
    np.testing.assert_array_equal(truncate(points, 1), [4])  # fewer than ends: in the order of the objectives
    np.testing.assert_array_equal(truncate(points, 5), np.arange(5))
    np.testing.assert_array_equal(truncate(np.zeros((0, 2)), 5), [])
    grid = np.array([[0, 4], [1, 3], [2, 2], [3, 1], [4, 0]])
    np.testing.assert_array_equal(truncate(grid, 4), [0, 1, 2, 4])  # all alike: the larger index goes
    np.testing.assert_array_equal(truncate(grid, 4, rule="contribution"), [0, 1, 2, 4])


def test_at_once_empties_a_region_and_one_by_one_does_not():
    line = np.stack([np.arange(11), 10 - np.arange(11)], axis=1)  # all scores tie: at once, the larger indices go
    np.testing.assert_array_equal(truncate(line, 6, at_once=True), [0, 1, 2, 3, 4, 10])
    assert np.diff(truncate(line, 6)).max() <= 3


def test_contributions_below_the_reference_point_go_first():
    points = np.array([[0, 10], [2, 8], [5, 5], [5.5, 4.8], [10, 0]])
    np.testing.assert_array_equal(truncate(points, 4, rule="contribution", reference=(4, 0)), [0, 2, 3, 4])


def test_auto_is_contribution_from_five_objectives(fronts):
    four, five = fronts.sphere(30, 4, 0), fronts.sphere(30, 5, 0)
    np.testing.assert_array_equal(truncate(four, 20), truncate(four, 20, rule="crowding"))
    np.testing.assert_array_equal(truncate(five, 20), truncate(five, 20, rule="contribution"))
    assert select_sparse(five, 3, rule="auto").rule == "contribution"
    assert select_sparse(four, 3, rule="auto").rule == "crowding"


def test_selection_by_hand():
    points = np.array([[0, 10], [1, 9], [4, 6], [10, 0]])
    chosen = select_sparse(points, 3)
    np.testing.assert_array_equal(chosen.indices, [0, 3, 2])
    np.testing.assert_allclose(chosen.scores, [np.inf, np.inf, 1.8])
    assert (chosen.rule, chosen.infinite) == ("crowding", 2)
    again = select_sparse(points, 3, skip=points[chosen.indices] * (1 + 1e-12))
    np.testing.assert_array_equal(again.indices, [1])
    assert select_sparse(points, 3, skip=points).indices.shape == (0,)
    np.testing.assert_array_equal(select_sparse(points, 9, skip=[]).indices, [0, 3, 2, 1])
    largest = select_sparse(points, 1, rule="contribution", reference=(-1, -1))
    np.testing.assert_array_equal(largest.indices, [2])
    np.testing.assert_allclose(largest.scores, [18])  # (4 - 1) (6 - 0)


def test_with_nine_objectives_crowding_ties_nearly_everywhere_and_says_so(fronts):
    chosen = select_sparse(fronts.sphere(20, 9, 0), 6)
    assert chosen.infinite > 6 and np.isinf(chosen.scores).all()
    assert (np.diff(chosen.indices) > 0).all()


def test_set_max_policy_plays_only_the_ends_of_a_concave_front(fronts):
    weights = weight_grid(2, 100)
    played = smp(fronts.concave, weights)
    assert set(played) == {0, 9}
    assert len(set(smp(fronts.convex, weight_grid(2, 1000)))) >= 9
    np.testing.assert_array_equal([smp(fronts.concave, w) for w in weights], played)
    assert isinstance(smp(fronts.concave, (0.3, 0.7)), int)


@given(SEEDS, st.integers(1, 6))
def test_set_max_policy_is_the_first_largest_utility(seed, m):
    rng = np.random.default_rng(seed)
    points, weights = rng.integers(0, 3, (8, m)), rng.dirichlet(np.ones(m), 5)
    gains = utilities(points, weights)
    np.testing.assert_allclose(gains, weights @ points.T, atol=1e-12)
    np.testing.assert_array_equal(smp(points, weights), [np.flatnonzero(g == g.max())[0] for g in gains])
    np.testing.assert_array_equal(utilities(points, weights[2]), gains[2])


def test_nadir_reference_is_below_every_vector():
    np.testing.assert_allclose(nadir_reference([[0, 5], [10, 5]]), [-1, 4])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nondominated([[1, 2], [np.nan, 3]]), r"points\[1, 0\] is nan: objective 0 of row 1"),
        (lambda: nondominated([[1, np.inf]]), r"points\[0, 1\] is inf"),
        (lambda: nondominated([[1, 1e31]]), r"points\[0, 1\] is 1e\+31.*at most 1e\+30"),
        (lambda: nondominated([1, 2]), r"shape \(2,\).*one row: \[vector\]"),
        (lambda: nondominated(np.zeros((3, 0))), r"shape \(3, 0\)"),
        (lambda: nondominated([[1, 2]], tolerance=-1), "tolerance is -1"),
        (lambda: crowding_distance(np.zeros((0, 2))), "points holds no vector"),
        (lambda: crowding_distance("front"), "no array of numbers"),
        (lambda: hypervolume_contributions([[1, 2]], (0, 0, 0)), r"reference has shape \(3,\) for 2 objectives"),
        (lambda: hypervolume_contributions([[1, 2]], (0, np.nan)), r"reference\[1\] is nan"),
        (lambda: select_sparse([[1, 2]], 0), "n is 0"),
        (lambda: select_sparse([[1, 2]], 1, rule="best"), "rule is 'best'; .*'auto', 'crowding' or 'contribution'"),
        (lambda: select_sparse([[1, 2]], 1, skip=[[1, 2, 3]]), "skip has 3 objectives, not 2"),
        (lambda: truncate([[1, 2]], 1.5), r"capacity is 1\.5"),
        (lambda: truncate([[1, 2]], 1, rule="x"), "rule is 'x'"),
        (lambda: smp([[1, 2]], (0.5, 0.6)), r"sums to 1\.1"),
    ],
)
def test_refusals_name_the_value_and_a_remedy(call, message):
    with pytest.raises(ValueError, match=message):
        call()
