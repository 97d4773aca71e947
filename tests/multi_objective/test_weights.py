"""Grids, corners, even spreads and refusals of weights."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlsuite.multi_objective.weights import (
    check_weights,
    default_divisions,
    spread_weights,
    unit_weights,
    weight_grid,
)


@pytest.mark.parametrize(("m", "divisions", "size"), [(2, 100, 101), (3, 10, 66), (4, 10, 286), (6, 2, 21), (9, 2, 45)])
def test_grids_have_the_known_sizes(m, divisions, size):
    grid = weight_grid(m, divisions)
    assert grid.shape == (size, m) and grid.dtype == np.float64
    assert default_divisions(m) == divisions


@given(st.integers(2, 5), st.integers(1, 8))
def test_a_grid_holds_every_multiple_once_and_in_order(m, divisions):
    every = [k for k in product(range(divisions + 1), repeat=m) if sum(k) == divisions]  # product is lexicographic
    np.testing.assert_array_equal(weight_grid(m, divisions), np.array(every) / divisions)


@given(st.integers(2, 9), st.integers(1, 12))
def test_rows_sum_to_one_within_one_unit_in_the_last_place(m, divisions):
    if math.comb(divisions + m - 1, m - 1) <= 20_000:
        assert all(abs(math.fsum(row) - 1) <= np.spacing(1.0) for row in weight_grid(m, divisions))


def test_unit_weights():
    np.testing.assert_array_equal(unit_weights(3), [[1, 0, 0], [0, 1, 0], [0, 0, 1]])


@pytest.mark.parametrize(("m", "n"), [(3, 3), (3, 15), (4, 40), (9, 30)])
def test_spread_weights_are_weights_with_the_ends_first_and_no_cluster(m, n):
    weights = spread_weights(m, n, seed=3)
    check_weights(weights, m)
    np.testing.assert_array_equal(weights[:m], np.eye(m))
    np.testing.assert_array_equal(weights, spread_weights(m, n, seed=3))
    np.testing.assert_array_equal(weights[: n - 1] if n > m else weights, spread_weights(m, max(n - 1, m), seed=3))
    if n > m:
        assert not np.array_equal(weights, spread_weights(m, n, seed=4))
        # farthest-point: what is still uncovered is no farther than any two chosen are apart
        others = np.random.default_rng(0).dirichlet(np.ones(m), 500)
        apart = np.linalg.norm(weights[:, None] - weights, axis=-1)[~np.eye(n, dtype=bool)].min()
        uncovered = np.linalg.norm(others[:, None] - weights, axis=-1).min(1)
        assert uncovered.max() <= 1.3 * apart  # the others are no candidates: some slack


def test_two_objectives_are_equally_spaced():
    np.testing.assert_allclose(spread_weights(2, 5, seed=9), [[1, 0], [0.75, 0.25], [0.5, 0.5], [0.25, 0.75], [0, 1]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: weight_grid(1, 4), r"num_objectives is 1;.*at least 2"),
        (lambda: weight_grid(2.0, 4), r"num_objectives is 2\.0"),
        (lambda: weight_grid(True, 4), "num_objectives is True"),
        (lambda: weight_grid(3, 0), "divisions is 0; .*at least 1"),
        (lambda: weight_grid(3, 1.5), r"divisions is 1\.5"),
        (lambda: weight_grid(9, 100), r"has 352,025,629,371 weights.*spread_weights\(9, n, seed\)"),
        (lambda: unit_weights(0), "num_objectives is 0"),
        (lambda: default_divisions(1), "num_objectives is 1"),
        (lambda: spread_weights(4, 3), "n is 3; .* at least 4 for 4 objectives"),
        (lambda: spread_weights(4, 5_000), "n is 5000; at most 1,024 .* weight_grid"),
        (lambda: spread_weights(4, 8, seed=-1), "seed is -1"),
        (lambda: check_weights((0.3, 0.3, 0.4), 2), r"weights has 3 numbers for 2 objectives.*\(0\.5, 0\.5\)"),
        (lambda: check_weights(0.5, 2), r"shape \(\)"),
        (lambda: check_weights([], 2), "0 numbers for 2"),
        (lambda: check_weights("ab", 2), "no array of numbers"),
        (lambda: check_weights([[0.5, 0.5], [1]], 2), "no array of numbers"),
        (lambda: check_weights((1.2, -0.2), 2), r"weights\[1\] is -0\.2; .*objective 1 must be at least 0"),
        (lambda: check_weights([[1, 0], [np.nan, 1]], 2), r"weights\[1, 0\] is nan; .*finite"),
        (lambda: check_weights((np.inf, 0), 2), r"weights\[0\] is inf"),
        (lambda: check_weights((3, 1), 2), r"sums to 4, not to 1; divide by the sum: \(0\.75, 0\.25\)"),
        (lambda: check_weights((0, 0), 2), "sums to 0, not to 1; make at least one positive"),
        (lambda: check_weights([[1, 0], [0.5, 0.51]], 2, name="w"), r"w\[1\] sums to 1\.01"),
    ],
)
def test_refusals_name_the_value_and_a_remedy(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_weights_are_returned_as_given():
    given_ = np.array([0.1, 0.9], np.float32)  # does not sum to 1 in float64
    np.testing.assert_array_equal(check_weights(given_, 2), given_.astype(np.float64))
    assert check_weights([(0.25, 0.75)], 2).shape == (1, 2)
