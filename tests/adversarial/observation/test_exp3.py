"""EXP3: a distribution at all times, regret within its bound, unbiased estimates, and a set of policies as one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite.adversarial.observation.exp3 import Exp3, NonDominatedSet, learning_rate


def regret(bandit: Exp3, payoff: np.ndarray) -> float:
    """Average regret against the best single arm on payoff [T, K] in [0, 1]."""
    earned = 0.0
    for row in payoff:
        k = bandit.draw()
        earned += row[k]
        bandit.update(k, float(row[k]))
    return float(payoff.sum(0).max() - earned) / len(payoff)


@pytest.mark.parametrize("estimate", ["loss", "gain"])
@pytest.mark.parametrize("case", ["stationary", "switching", "adversarial"])
def test_average_regret_is_within_the_bound(estimate: str, case: str) -> None:
    """2 sqrt(K ln K / T) for rewards in [0, 1], also when the best arm changes or tends to trap leaders."""
    T, K = 4000, 4
    rng = np.random.default_rng(0)
    payoff = (rng.random((T, K)) < 0.4).astype(float)
    if case == "stationary":
        payoff[:, 2] = rng.random(T) < 0.7
    elif case == "switching":
        payoff[: T // 2, 1] = rng.random(T // 2) < 0.9
        payoff[T // 2 :, 1] = rng.random(T - T // 2) < 0.3
    else:
        payoff = np.stack([(np.arange(T) % K == k).astype(float) for k in range(K)], axis=1)
    eta = learning_rate(K, T)
    mean = np.mean([regret(Exp3(K, eta, low=0, high=1, estimate=estimate, seed=s), payoff) for s in range(5)])
    assert mean <= 2 * math.sqrt(K * math.log(K) / T)


def test_weights_concentrate_on_the_best_arm() -> None:
    bandit = Exp3(3, 0.05, low=-10, high=10)
    rng = np.random.default_rng(1)
    for _ in range(3000):
        k = bandit.draw()
        bandit.update(k, rng.normal([-5.0, 6.0, 0.0][k], 1.0))
    assert bandit.weights[1] > 0.9


@given(
    returns=st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60),
    estimate=st.sampled_from(["loss", "gain"]),
    eta=st.floats(1e-3, 50),
)
@settings(max_examples=60, deadline=None)
def test_weights_stay_a_distribution(returns: list[float], estimate: str, eta: float) -> None:
    """Whatever is earned: no overflow, no NaN, sums to 1."""
    bandit = Exp3(3, eta, low=-100, high=100, estimate=estimate)
    for value in returns:
        bandit.update(bandit.draw(), value)
        weights = bandit.weights
        assert np.isfinite(weights).all() and weights.min() >= 0 and weights.sum() == pytest.approx(1)


def test_the_loss_estimate_is_unbiased() -> None:
    """E over the draw of the log-weight's change is eta times the (negative) loss of every arm: enumerated."""
    losses = np.array([0.1, 0.7, 0.4])
    start = np.log([0.2, 0.5, 0.3])
    change = np.zeros(3)
    for k in range(3):
        bandit = Exp3(3, 0.3, low=0, high=1)
        bandit.log_weights = start.copy()
        bandit.update(k, 1 - losses[k])
        moved = bandit.log_weights - start
        moved -= moved[(k + 1) % 3]  # the normalisation shifts all alike
        change += np.exp(start[k]) * moved
    # each arm's expected own change, relative to arms that were not drawn
    assert np.allclose(change, -0.3 * losses)


def test_a_set_of_policies_plays_as_one_and_goes_on_after_saving() -> None:
    class Constant:
        def __init__(self, value: float) -> None:
            self.value = value

        def predict(self, observation, state=None, episode_start=None, deterministic=True):
            return np.full(len(observation), self.value), state

    policies = [Constant(v) for v in (0.1, 0.9, 0.5)]
    chosen = NonDominatedSet(policies, Exp3(3, 0.2, low=0, high=1, seed=3))
    for _ in range(200):
        chosen.end_episode(float(chosen.predict(np.zeros((1, 2)))[0][0]))
    assert chosen.bandit.weights.argmax() == 1
    other = Exp3(3, 0.2, low=0, high=1)
    other.load_state_dict(chosen.bandit.state_dict())
    assert [other.draw() for _ in range(20)] == [chosen.bandit.draw() for _ in range(20)]


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"num_policies": 0}, "num_policies"),
        ({"eta": 0.0}, "eta"),
        ({"eta": float("nan")}, "eta"),
        ({"low": 1.0}, "low"),
        ({"high": float("inf")}, "high"),
        ({"estimate": "x"}, "estimate"),
        ({"gamma": -1.0}, "gamma"),
    ],
)
def test_bad_input(values, match) -> None:
    with pytest.raises(ValueError, match=match):
        Exp3(**({"num_policies": 2, "eta": 0.1, "low": 0.0, "high": 1.0} | values))
    bandit = Exp3(2, 0.1, low=0, high=1)
    with pytest.raises(ValueError, match="NaN"):
        bandit.update(0, float("nan"))
    with pytest.raises(ValueError, match="3 policies"):
        bandit.load_state_dict(Exp3(3, 0.1, low=0, high=1).state_dict())
    with pytest.raises(ValueError, match="fit"):
        NonDominatedSet([], bandit)
