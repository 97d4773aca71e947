"""Quantal response equilibria: the definition, scalar roots, linear programming, and the limits of temperature."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, linprog
from scipy.special import expit, softmax, xlogy

from rlsuite.adversarial.games.matrix_games import quantal_response, worst_case

PAYOFFS = st.integers(0, 2**31).map(lambda seed: np.random.default_rng(seed).normal(size=(4, 3)))


def objective(payoff, mu, nu, alpha, beta):
    return mu @ payoff @ nu - beta * xlogy(mu, mu).sum() + alpha * xlogy(nu, nu).sum()


def nash_value(payoff):
    """The value of the game by linear programming: max v subject to A' mu >= v."""
    m, n = payoff.shape
    result = linprog(
        np.append(np.zeros(m), -1.0),
        A_ub=np.hstack([-payoff.T, np.ones((n, 1))]),
        b_ub=np.zeros(n),
        A_eq=np.append(np.ones(m), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, 1)] * m + [(None, None)],
    )
    return -result.fun


@pytest.mark.parametrize(("alpha", "beta"), [(0.01, 0.3), (1.0, 1.0), (50.0, 0.02), (1e-3, 1e-2)])
def test_matching_pennies_mixes_half_and_half(alpha, beta):
    mu, nu = quantal_response([[1, -1], [-1, 1]], alpha, beta)
    np.testing.assert_allclose([mu, nu], 0.5, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(PAYOFFS, st.floats(0.05, 5), st.floats(0.05, 5), st.integers(0, 2**31))
def test_it_is_a_saddle_point(payoff, alpha, beta, seed):
    mu, nu = quantal_response(payoff, alpha, beta)
    at = objective(payoff, mu, nu, alpha, beta)
    rng = np.random.default_rng(seed)
    for other_mu, other_nu in zip(rng.dirichlet(np.ones(4), 20), rng.dirichlet(np.ones(3), 20), strict=True):
        for step in (1.0, 0.1, 1e-3):  # far away and close by
            assert objective(payoff, mu + step * (other_mu - mu), nu, alpha, beta) <= at + 1e-9
            assert objective(payoff, mu, nu + step * (other_nu - nu), alpha, beta) >= at - 1e-9


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-2, 2), min_size=4, max_size=4), st.floats(0.05, 3), st.floats(0.05, 3))
def test_two_by_two_games_by_a_scalar_root(entries, alpha, beta):
    payoff = np.array(entries).reshape(2, 2)

    def response(p):  # the protagonist's answer to the adversary's answer to (p, 1 - p), less p
        loss = np.array([p, 1 - p]) @ payoff
        q = expit((loss[1] - loss[0]) / alpha)
        gain = payoff @ np.array([q, 1 - q])
        return expit((gain[0] - gain[1]) / beta) - p

    mu, _ = quantal_response(payoff, alpha, beta)
    assert mu[0] == pytest.approx(brentq(response, 0.0, 1.0, xtol=1e-13), abs=1e-7)


def test_a_hot_adversary_is_uniform():
    payoff = np.random.default_rng(3).normal(size=(5, 4))
    mu, nu = quantal_response(payoff, np.inf, 0.2)
    np.testing.assert_array_equal(nu, 0.25)
    np.testing.assert_allclose(mu, softmax(payoff.mean(1) / 0.2))
    close, hot = quantal_response(payoff, 1e6, 0.2)
    np.testing.assert_allclose(hot, 0.25, atol=1e-6)
    np.testing.assert_allclose(close, mu, atol=1e-5)


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("seed", range(8))
def test_the_worst_case_rises_to_the_nash_value_as_the_adversary_cools(seed, size):
    """In 2 x 2 games step by step; larger ones may give up a little on the way."""
    payoff = np.random.default_rng(seed).normal(size=(size, size))
    value, beta = nash_value(payoff), 0.01
    worst = [worst_case(payoff, quantal_response(payoff, alpha, beta)[0]) for alpha in (100, 3, 1, 0.3, 0.1, 0.01)]
    assert worst[-1] == pytest.approx(value, abs=0.03)
    assert worst[-1] >= worst[0] - beta * np.log(size)  # what the protagonist pays for its own entropy
    assert max(worst) <= value + 1e-9  # nobody is guaranteed more than the value
    if size == 2:
        assert all(later >= earlier - beta * np.log(2) for earlier, later in pairwise(worst))


@pytest.mark.parametrize(
    ("payoff", "alpha", "beta", "message"),
    [
        ([[1.0, np.nan]], 1, 1, "finite matrix"),
        ([1.0, 2.0], 1, 1, "finite matrix"),
        ([[1.0]], 0, 1, "alpha=0"),
        ([[1.0]], 1, -1, "beta=-1"),
        ([[1.0]], 1, np.inf, "beta=inf"),
    ],
)
def test_bad_games_are_refused(payoff, alpha, beta, message):
    with pytest.raises(ValueError, match=message):
        quantal_response(payoff, alpha, beta)
