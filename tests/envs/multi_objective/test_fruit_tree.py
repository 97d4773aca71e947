"""The fruit tree equals mo-gymnasium's, leaf by leaf, and every leaf is on its front."""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium as gym
import moocore
import numpy as np
import pytest
import torch

from rlsuite_envs.kernel import make_kernel
from rlsuite_envs.multi_objective.fruit_tree import FruitTree, TreeState

mo_gymnasium = pytest.importorskip("mo_gymnasium")
pytestmark = pytest.mark.filterwarnings("ignore:.*precision lowered by casting:UserWarning")  # of its Boxes


@pytest.mark.parametrize("depth", [5, 6, 7])
def test_every_way_down_equals_mo_gymnasiums(depth: int) -> None:
    ours: Any = gym.make_vec("rlsuite/FruitTree-v0", num_envs=2**depth, depth=depth)
    theirs: Any = mo_gymnasium.make("fruit-tree-v0", depth=depth).unwrapped
    assert ours.single_observation_space == theirs.observation_space
    assert ours.reward_space == theirs.reward_space
    ways = np.array(list(itertools.product((0, 1), repeat=depth)))
    first, _ = ours.reset(seed=0)
    steps = []
    for row in range(depth):
        obs, reward, terminated, truncated, info = ours.step(ways[:, row])
        last = info["final_obs"] if terminated.any() else obs
        assert not truncated.any()
        steps.append((last, reward, terminated))
    for i, way in enumerate(ways):
        np.testing.assert_array_equal(first[i], theirs.reset()[0])
        for (seen, paid, ended), action in zip(steps, way, strict=True):
            obs, reward, terminated, _, _ = theirs.step(action)
            np.testing.assert_array_equal(seen[i], obs)
            np.testing.assert_array_equal(paid[i], reward)
            assert ended[i] == terminated
    assert seen.dtype == obs.dtype and paid.dtype == reward.dtype


def test_a_fruit_is_eaten_once() -> None:
    kernel = make_kernel(FruitTree, preset="depth5")
    leaves = TreeState(torch.arange(31, 63))
    after, reward, terminated = kernel.advance(leaves, torch.ones(32, dtype=torch.int64))
    assert torch.equal(after.node, leaves.node) and not reward.any() and terminated.all()


@pytest.mark.parametrize("depth", [5, 6, 7])
@pytest.mark.parametrize("gamma", [1.0, 0.99, 0.5])
def test_every_fruit_is_on_the_front(depth: int, gamma: float) -> None:
    kernel = make_kernel(FruitTree, depth=depth)
    front = kernel.pareto_front(gamma)
    expected = kernel.fruits[np.lexsort(kernel.fruits.T[::-1])] * gamma ** (depth - 1)
    np.testing.assert_allclose(front, expected, rtol=1e-12)
    assert front.shape == (2**depth, 6)


def test_numbers_of_the_tree_of_depth_6() -> None:
    env: Any = gym.make("rlsuite/FruitTree-v0").unwrapped
    plain, discounted = env.pareto_front(1.0), env.pareto_front(0.99)

    def volume(front: np.ndarray, reference: float) -> Any:
        return moocore.hypervolume(front, ref=[reference] * 6, maximise=True)

    assert volume(plain, 0) == pytest.approx(12575.873297, abs=5e-7)
    assert volume(discounted, 0) == pytest.approx(9302.378173, abs=5e-7)
    assert volume(discounted, -1) == pytest.approx(46034.801698, abs=5e-7)
    halves = [w for w in itertools.product((0, 1, 2), repeat=6) if sum(w) == 2]
    assert np.mean((np.array(halves) / 2 @ discounted.T).max(1)) == pytest.approx(6.756108, abs=5e-7)
    columns = np.sort(discounted, axis=0)
    assert (np.diff(columns, axis=0) ** 2).sum() / 63 == pytest.approx(0.268636, abs=5e-7)
    np.testing.assert_array_equal(env.pareto_front(0), np.zeros((1, 6)))


def test_one_hot_observations() -> None:
    kernel = make_kernel(FruitTree, observation="one-hot")
    np.testing.assert_array_equal(kernel.observe(TreeState(torch.arange(127))), np.eye(127))
    assert kernel.observation_space.shape == (127,)


@pytest.mark.parametrize("depth", [4, 8, 6.0, "6"])
def test_bad_depths(depth: Any) -> None:
    with pytest.raises(ValueError, match=r"depth=.* must be one of 5, 6, 7"):
        gym.make("rlsuite/FruitTree-v0", depth=depth)
