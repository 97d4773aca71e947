"""The dynamic programme over sets equals enumerating every policy, and pruning equals its definition."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite_envs.multi_objective.fronts import Choice, check_gamma, exact_front, nondominated


def by_definition(points: np.ndarray) -> list[tuple[float, ...]]:
    distinct = set(map(tuple, points))
    return sorted(p for p in distinct if not any(q != p and all(np.array(q) >= p) for q in distinct))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 4), st.integers(0, 30), st.integers(0, 10**6))
def test_nondominated_by_definition(objectives: int, count: int, seed: int) -> None:
    points = np.random.default_rng(seed).integers(-3, 3, (count, objectives)).astype(float)
    found = nondominated(points)
    assert found.dtype == np.float64
    assert list(map(tuple, found)) == by_definition(points)


def test_rounding_makes_no_points() -> None:
    points = np.array([[0.1 + 0.2, 1.0], [0.3, 1.0], [0.3 + 1e-15, 1 - 1e-15], [0.2, 1 + 1e-15], [0.5, 0.5]])
    np.testing.assert_allclose(nondominated(points), [[0.3, 1.0], [0.5, 0.5]])
    assert len(nondominated(points[:, ::-1])) == 2


def tree(depth: int, rng: np.random.Generator) -> Any:
    """A random decision tree: two actions per state, each with two outcomes of equal probability."""
    if depth == 0:
        return None
    return [(rng.integers(-2, 3, 2).astype(float), [tree(depth - 1, rng), tree(depth - 1, rng)]) for _ in range(2)]


def policies(node: Any) -> list[np.ndarray]:
    """Returns of all deterministic policies of a tree, where what follows is discounted by 0.8."""
    if node is None:
        return [np.zeros(2)]
    return [
        reward + 0.8 * (0.5 * left + 0.5 * right)
        for reward, outcomes in node
        for left, right in itertools.product(*map(policies, outcomes))
    ]


@pytest.mark.parametrize("seed", range(5))
def test_chance_is_averaged_over_every_combination_of_plans(seed: int) -> None:
    root = tree(3, np.random.default_rng(seed))

    def choices(path: tuple[int, ...]) -> list[Choice[tuple[int, ...]]]:
        node = root
        for part in range(0, len(path), 2):
            node = node[path[part]][1][path[part + 1]]
        return [
            (reward, [(0.4, (*path, action, i)) for i in range(2)] if len(path) < 4 else ())
            for action, (reward, _) in enumerate(node)
        ]

    np.testing.assert_allclose(exact_front((), choices, 2), nondominated(np.array(policies(root))), atol=1e-12)


def test_loops_end_and_what_never_ends_does_not_count() -> None:
    def circle(state: int) -> list[Choice[int]]:  # around a ring of 5, or out of it at 3
        around: Choice[int] = (np.array([0.0, -1.0]), ((1.0, (state + 1) % 5),))
        return [around, (np.array([2.0, -1.0]), ())] if state == 3 else [around]

    np.testing.assert_array_equal(exact_front(0, circle, 2), [[2.0, -4.0]])
    assert exact_front(0, lambda state: [(np.ones(2), ((0.5, 1 - state),))], 2).shape == (0, 2)


@pytest.mark.parametrize("gamma", [-0.1, 1.1, float("nan"), "high", None, True])
def test_bad_discount_factors(gamma: Any) -> None:
    with pytest.raises(ValueError, match=r"gamma=.* must be a number in \[0, 1\]"):
        check_gamma(gamma)
