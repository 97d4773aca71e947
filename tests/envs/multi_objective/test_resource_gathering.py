"""Resource gathering equals mo-gymnasium's, strikes included, and its fronts the exact ones."""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlsuite_envs.kernel import make_kernel
from rlsuite_envs.multi_objective.resource_gathering import GatheringState, ResourceGathering

mo_gymnasium = pytest.importorskip("mo_gymnasium")
pytestmark = pytest.mark.filterwarnings("ignore:.*precision lowered by casting:UserWarning")  # of its Boxes


class Fixed:
    """A random stream of one number."""

    def __init__(self, number: float) -> None:
        self.number = number

    def random(self) -> float:
        return self.number


ALL = list(itertools.product(range(25), (0, 1), (0, 1), range(4)))


def every_state() -> tuple[GatheringState, torch.Tensor]:
    cell, gold, diamond, action = torch.tensor(ALL).T
    return GatheringState(cell, gold.bool(), diamond.bool()), action


@pytest.mark.parametrize("number", [0.05, 0.0999, 0.1, 0.7])
def test_every_state_and_action_equals_mo_gymnasiums(number: float) -> None:
    kernel = make_kernel(ResourceGathering, dtype="float64")
    theirs: Any = mo_gymnasium.make("resource-gathering-v0").unwrapped
    np.testing.assert_array_equal(
        kernel.observe(kernel.initial_state(1, torch.Generator()))[0], theirs.reset(seed=0)[0]
    )
    theirs.np_random = Fixed(number)
    state, action = every_state()
    after, reward, terminated = kernel.advance(state, action, torch.full((len(ALL),), number, dtype=torch.float64))
    seen = kernel.observe(after).numpy()
    for row, (cell, gold, diamond, one) in enumerate(ALL):
        theirs.current_pos = np.array(divmod(cell, 5), np.int32)
        theirs.has_gold, theirs.has_gem = gold, diamond
        obs, paid, ended, _, _ = theirs.step(one)
        np.testing.assert_array_equal(seen[row], obs)
        np.testing.assert_array_equal(reward[row].numpy(), paid)
        assert bool(terminated[row]) == ended
    assert kernel.observation_space == theirs.observation_space
    assert make_kernel(ResourceGathering).reward_space == theirs.reward_space
    assert seen.dtype == obs.dtype


def test_strikes_are_as_frequent_as_said() -> None:
    env = gym.make_vec("rlsuite/ResourceGathering-v0", num_envs=20_000)
    env.reset(seed=0)
    struck = 0
    for action in (0, 0, 0):
        _, reward, *_ = env.step(np.full(20_000, action))
        struck += int((reward[:, 0] == -1).sum())
    assert abs(struck - 2000) < 4 * (20_000 * 0.1 * 0.9) ** 0.5


def test_the_move_is_before_the_strike() -> None:
    kernel = make_kernel(ResourceGathering)
    state, action = every_state()
    post, reward = kernel.post_decision(state, action)
    after, befallen, _ = kernel.transition(post, torch.zeros(len(ALL)))
    assert torch.equal(kernel.observe_post(post), kernel.observe(after))
    assert (reward[:, 0] == 0).all() and (befallen[:, 1:] == 0).all()
    with pytest.raises(ValueError, match="needs the noise"):
        kernel.transition(post, None)


def test_known_fronts() -> None:
    env: Any = gym.make("rlsuite/ResourceGathering-v0").unwrapped
    np.testing.assert_array_equal(env.pareto_front(1.0), [[0, 1, 1]])
    gamma = 0.99
    exact = [(0, 0, gamma**9), (0, gamma**17, gamma**17), (0, gamma**11, 0)]
    np.testing.assert_allclose(env.pareto_front(gamma), exact, rtol=1e-12)


def best(kernel: ResourceGathering, weights: np.ndarray, gamma: float) -> float:
    """The best weighted return, by value iteration over the kernel's own steps."""
    state, action = every_state()
    size = (len(ALL) // 4, 4)
    value = np.zeros(size[0])
    outcomes = []
    for noise, chance in ((0.0, kernel.params.attack_probability), (0.99, 1 - kernel.params.attack_probability)):
        after, reward, terminated = kernel.advance(state, action, torch.full((len(ALL),), noise))
        index = after.cell * 4 + after.gold * 2 + after.diamond
        outcomes.append((chance, reward.numpy() @ weights, index.numpy(), ~terminated.numpy()))
    for _ in range(200):
        value = sum(p * (r + gamma * on * value[i]) for p, r, i, on in outcomes).reshape(size).max(1)
    return float(value[22 * 4])


@pytest.mark.parametrize("gamma", [0.99, 0.9, 0.7])
def test_for_every_weight_the_front_has_what_value_iteration_finds(gamma: float) -> None:
    kernel = make_kernel(ResourceGathering, dtype="float64")
    front = kernel.pareto_front(gamma)
    for weights in np.random.default_rng(0).dirichlet((0.3, 1, 1), 40):
        assert (front @ weights).max() == pytest.approx(best(kernel, weights, gamma), rel=1e-9, abs=1e-12)


def test_one_hot_observations() -> None:
    kernel = make_kernel(ResourceGathering, observation="one-hot")
    state, _ = every_state()
    seen = kernel.observe(state).numpy()
    assert all(map(kernel.observation_space.contains, seen))
    np.testing.assert_array_equal(seen[:, :25], np.eye(25)[state.cell])
    np.testing.assert_array_equal(seen[:, 25:], np.stack((state.gold, state.diamond), 1))


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"attack_probability": 1.5}, r"attack_probability=1.5 must lie in \[0, 1\]"),
        ({"observation": "planes"}, r"observation='planes' must be one of"),
    ],
)
def test_bad_constants(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make("rlsuite/ResourceGathering-v0", **constants)
