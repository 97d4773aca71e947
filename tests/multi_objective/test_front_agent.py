"""Measuring a set of policies afresh: all members at once give what each of them gives alone."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
import pytest

from rlsuite import CMORL, evaluate
from rlsuite_envs.make import make_vector_env

CONVEX = "rlsuite/DeepSeaTreasure-v0"
SMALL: dict[str, Any] = {"num_envs": 12, "n_steps": 32, "batch_size": 64, "eval_episodes": 1, "eval_interval": 2}


@pytest.fixture(scope="module")
def trained() -> CMORL:
    return CMORL(CONVEX, **SMALL, net_arch=(8,), learning_rate=1e-2, seed=0).learn(8_000)


def test_all_members_at_once_return_what_each_returns_alone(trained: CMORL) -> None:
    found = trained.measure_members(episodes=2, gamma=0.9, seed=3)
    members = trained.members()
    assert len(members) > 1 and found.discounted.shape == (len(members), 2, 2)
    for member, returns, lengths in zip(members, found.undiscounted, found.lengths, strict=True):
        alone = evaluate(member, CONVEX, episodes=2, weights=(0.5, 0.5))  # the task has no chance
        np.testing.assert_array_equal(returns, alone.objectives)
        np.testing.assert_array_equal(lengths, alone.lengths)
    # time costs 1 a step: its discounted sum is that of the discounts
    np.testing.assert_allclose(found.discounted[..., 1], -(1 - 0.9**found.lengths) / (1 - 0.9), rtol=1e-12)
    with closing(make_vector_env(CONVEX, len(members))) as venv:  # two rounds of one episode, not one of two
        again = trained.measure_members(episodes=2, gamma=0.9, seed=3, venv=venv)
    np.testing.assert_array_equal(again.discounted, found.discounted)


def test_sampled_actions_repeat_with_their_seed(trained: CMORL) -> None:
    first, again, other = (
        trained.measure_members(episodes=3, gamma=1.0, seed=seed, deterministic=False).discounted for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_what_cannot_be_measured_is_named(trained: CMORL) -> None:
    with pytest.raises(ValueError, match="no policies yet"):
        CMORL(CONVEX, **SMALL).measure_members(episodes=1, gamma=1.0)
    with pytest.raises(ValueError, match="episodes is 0"):
        trained.measure_members(episodes=0, gamma=1.0)
    odd = make_vector_env(CONVEX, len(trained.members()) + 1)
    with closing(odd) as venv, pytest.raises(ValueError, match="give a multiple"):
        trained.measure_members(episodes=1, gamma=1.0, venv=venv)
