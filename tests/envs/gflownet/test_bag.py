"""Bags: their number, their rewards counted by hand, and the way back."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations_with_replacement
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlsuite.gflownet import graph_of, terminating_distribution, total_variation, uniform_backward_flows
from rlsuite_envs.gflownet.bag import Bag, BagParams


def test_the_published_bag_is_enumerable() -> None:
    """27,132 = C(19, 6) full bags, of which 6,468 have seven equal letters and 3,234 exactly seven; 812 modes."""
    kernel = Bag(dtype=torch.float64)
    bags = kernel.enumerate_states()
    full = bags[kernel.stop_mask(bags)]
    assert len(bags) == math.comb(20, 7) and len(full) == math.comb(19, 6) == 27_132
    rewards = kernel.log_reward(full).exp().round(decimals=6)
    assert Counter(rewards.tolist()) == {0.01: 27_132 - 6_468, 10.0: 6_468 - 812, 30.0: 812}
    assert int((full.max(1).values == 7).sum()) == 3_234
    z = 0.01 * (27_132 - 6_468) + 10 * (6_468 - 812) + 30 * 812
    assert float(kernel.true_log_partition().exp()) == pytest.approx(z, rel=1e-12)
    assert kernel.state_index(bags[::97]).tolist() == list(range(0, len(bags), 97))


def test_modes_are_every_fourth_filler_of_the_alphabet() -> None:
    kernel = Bag(BagParams(letters=4, size=5, group=3))
    for letter in range(4):
        others = [i for i in range(4) if i != letter]
        for place, filler in enumerate(combinations_with_replacement(others, 2)):
            counts = Counter([letter] * 3 + list(filler))
            bag = torch.tensor([[counts[i] for i in range(4)]])
            assert bool(kernel.modes(bag)) == (place % 4 == 0), (letter, filler)
    assert not kernel.modes(torch.tensor([[4, 1, 0, 0], [3, 0, 0, 0]])).any()


def test_the_uniform_way_back_samples_the_target() -> None:
    kernel = Bag(BagParams(letters=4, size=5, group=3), dtype=torch.float64)
    graph = graph_of(kernel)
    log_flow, log_prob = uniform_backward_flows(graph, kernel.log_reward(graph.states))
    assert float(log_flow[0]) == pytest.approx(float(kernel.true_log_partition()), abs=1e-12)
    assert total_variation(terminating_distribution(graph, log_prob), kernel.true_distribution()) < 1e-12
    children = graph.child[graph.forward[:, :-1]]
    assert set(children.tolist()) == set(range(1, len(graph.states)))


def test_an_episode_fills_the_bag_and_is_paid() -> None:
    env = gym.make("rlsuite/Bag-v0")
    _, info = env.reset(seed=0)
    for step in range(13):
        assert info["action_mask"].tolist() == [1] * 7 + [0]
        obs, reward, terminated, truncated, info = env.step(2)
        assert obs.tolist() == [0, 0, step + 1, 0, 0, 0, 0] and reward == 0 and not terminated and not truncated
    assert info["action_mask"].tolist() == [0] * 7 + [1]
    obs, reward, terminated, truncated, info = env.step(7)
    assert reward == pytest.approx(10.0) and terminated and not truncated


def test_masked_ppo_learns_it_unchanged() -> None:
    from rlsuite import PPO

    options: dict[str, Any] = {"num_envs": 16, "n_steps": 32, "batch_size": 64, "learning_rate": 3e-3, "seed": 0}
    model = PPO("rlsuite/Bag-small-v0", normalize_reward=True, device="cpu", **options)
    model.learn(6_000, log_interval=None)
    assert model.runner is not None
    assert np.mean(model.runner.stats.recent_returns) > 20  # the mean over all bags is 10


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"group": 6}, "group=6"),
        ({"letters": 1}, "letters=1"),
        ({"base": 0.0}, "base"),
        ({"letters": 12, "size": 29, "group": 15}, "fillers"),
    ],
)
def test_bad_constants_are_named(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make("rlsuite/Bag-v0", **constants)
