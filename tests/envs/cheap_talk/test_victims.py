"""The victims' environments against steps worked out by hand, and the adversary's goal rewards."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from scipy import stats

from rlsuite.adversarial.cheap_talk.victims import VICTIMS, Victims
from rlsuite_envs.cheap_talk.goals import goal_reward, sample_goal
from rlsuite_envs.cheap_talk.pendulum import TanhPendulum, TanhPendulumParams, TanhPendulumState
from rlsuite_envs.cheap_talk.reacher import TwoLinkReacher, TwoLinkReacherState, hand
from rlsuite_envs.cheap_talk.wrapper import CheapTalk, CheapTalkState
from rlsuite_envs.classic.cartpole import CartPoleState

torch.set_num_threads(1)
ATANH_HALF = 0.5493061443340549  # tanh of it is one half


def f64(*values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_a_pendulum_step_by_hand() -> None:
    kernel = TanhPendulum(dtype=torch.float64)
    state = TanhPendulumState(f64(math.pi / 6, math.pi, 0.0), f64(2.0, -1.0, 0.0))
    after, reward, terminated = kernel.advance(state, f64([ATANH_HALF], [0.0], [100.0]))
    # angle + 0.05 old velocity; acceleration 14.7 sin(angle) + 3 tanh(u): 7.35 + 1.5; 0; 3 tanh(4)
    expected = [math.pi / 6 + 0.1, math.pi - 0.05, 0.0]
    np.testing.assert_allclose(after.theta.numpy(), expected, rtol=0, atol=1e-14)
    np.testing.assert_allclose(after.theta_dot, [2.4425, -1.0, 0.15 * math.tanh(4)], rtol=0, atol=1e-14)
    # of the angle after the step
    np.testing.assert_allclose(reward, [(math.cos(expected[0]) + 1) / 2, (1 - math.cos(0.05)) / 2, 1.0], atol=1e-14)
    assert not terminated.any()
    np.testing.assert_allclose(kernel.observe(after)[1], [-math.cos(0.05), math.sin(0.05), -1], atol=1e-6)


def test_steps_of_the_release() -> None:
    rod = TanhPendulumState(f64(0.3), f64(-0.5))
    _, reward, _ = TanhPendulum(dtype=torch.float64).advance(rod, f64([0.7]))
    assert reward.item() == pytest.approx(0.98121260, abs=5e-9)
    arm = TwoLinkReacherState(f64([0.2, -1.1]), f64([0.5, 0.1]), f64([1.0, 0.4]))
    after, reward, terminated = TwoLinkReacher(dtype=torch.float64).advance(arm, f64([0.3, -2.0]))
    np.testing.assert_allclose(hand(after.angles)[0], [1.43139779, -0.63922296], rtol=0, atol=5e-9)
    assert reward.item() == pytest.approx(-2.28030062, abs=5e-9)
    assert not terminated.item()


def test_first_episodes_of_pendulum_and_reacher_start_at_random_times() -> None:
    for preset, staggers in (("CartPole", False), ("Pendulum", True), ("Reacher", True)):
        config = dataclasses.replace(VICTIMS[preset], num_envs=64)
        elapsed = Victims(CheapTalk(CheapTalk.presets[preset]), config, [0])._elapsed
        assert (elapsed.min() < 20) and (elapsed.max() > 180) if staggers else not elapsed.any()


def test_the_pendulum_has_no_speed_limit_and_its_constants_act() -> None:
    kernel = TanhPendulum(TanhPendulumParams(g=0.0, dt=1.0, max_acceleration=2.0), dtype=torch.float64)
    state = TanhPendulumState(f64(0.0), f64(50.0))
    after, _, _ = kernel.advance(state, f64([ATANH_HALF]))
    assert (after.theta.item(), after.theta_dot.item()) == pytest.approx((50.0, 51.0))


def test_a_reacher_step_by_hand() -> None:
    kernel = TwoLinkReacher(dtype=torch.float64)
    state = TwoLinkReacherState(
        f64([0.0, math.pi / 2], [0.0, 0.0]), f64([1.0, -2.0], [0.0, 0.0]), f64([0.0, 0.0], [2.0, 0.2])
    )
    after, reward, terminated = kernel.advance(state, f64([ATANH_HALF, -ATANH_HALF], [0.0, 0.0]))
    np.testing.assert_allclose(after.angles.numpy(), [[0.1, math.pi / 2 - 0.2], [0.0, 0.0]], rtol=0, atol=1e-14)
    np.testing.assert_allclose(after.velocities.numpy(), [[0.95, -1.85], [0.0, 0.0]], rtol=0, atol=1e-14)
    # hands at (cos 0.1 + sin 0.2, sin 0.1 + cos 0.2) and (2, 0) after the step; torques cost 0.25 each
    far = (math.cos(0.1) + math.sin(0.2)) ** 2 + (math.sin(0.1) + math.cos(0.2)) ** 2
    np.testing.assert_allclose(reward, [-far - 0.5, -0.04], rtol=0, atol=1e-14)
    assert terminated.tolist() == [False, True]
    seen = kernel.observe(state)[0].tolist()
    assert seen == pytest.approx([1, 0, 0, 1, 1, -2, 0, 0, -1, -1], abs=1e-6)
    assert kernel.info(state)["success"].tolist() == [False, True]


def test_the_hand_reaches_as_far_as_its_links() -> None:
    angles = f64([0.0, 0.0], [math.pi / 2, 0.0], [0.0, math.pi], [0.0, math.pi / 2])
    np.testing.assert_allclose(hand(angles), [[2, 0], [1, 1], [0, 0], [1, 1]], rtol=0, atol=1e-14)


def test_start_states_have_the_stated_distributions() -> None:
    rng = torch.Generator().manual_seed(0)
    reacher = TwoLinkReacher(dtype=torch.float64).initial_state(4000, rng)
    radius = reacher.goal.norm(dim=-1).numpy()
    assert stats.kstest(radius**2 / 4, "uniform").pvalue > 0.01
    direction = torch.atan2(reacher.goal[:, 1], reacher.goal[:, 0]).numpy()
    assert stats.kstest((direction + np.pi) / (2 * np.pi), "uniform").pvalue > 0.01
    pendulum = TanhPendulum(dtype=torch.float64).initial_state(4000, rng)
    assert stats.kstest((pendulum.theta.numpy() + np.pi) / (2 * np.pi), "uniform").pvalue > 0.01
    assert stats.kstest((pendulum.theta_dot.numpy() + 1) / 2, "uniform").pvalue > 0.01


def test_goal_rewards() -> None:
    zeros = f64(0.0, 0.0, 0.0)
    cart = CartPoleState(f64(1.0, 0.5, -2.0), zeros, zeros, zeros)
    np.testing.assert_allclose(goal_reward(cart, f64(1.0, -0.5, 2.0)), np.exp([0, -1.0, -16.0]))
    rod = TanhPendulumState(f64(0.0, math.pi / 2, 1.0), zeros)
    goals = f64(2 * math.pi, -math.pi / 2, 1.0)
    np.testing.assert_allclose(goal_reward(rod, goals), np.exp([0.0, -4.0, 0.0]), atol=1e-12)
    arm = TwoLinkReacherState(f64([0, 0], [0, math.pi]), f64([0, 0], [0, 0]), f64([0, 0], [0, 0]))
    np.testing.assert_allclose(goal_reward(arm, f64([2, 0], [1, 1])), np.exp([0.0, -2.0]), atol=1e-12)
    talked = CheapTalkState(rod, torch.zeros(3, dtype=torch.int64))
    assert torch.equal(goal_reward(talked, goals), goal_reward(rod, goals))
    with pytest.raises(TypeError, match="not dict"):
        goal_reward({}, goals)


def test_goals_of_equal_cosine_differ() -> None:
    """The released pendulum's goal reward, with the cosine in both coordinates, could not tell them apart."""
    rod = TanhPendulumState(f64(0.7, 0.7), f64(0.0, 0.0))
    right, wrong = goal_reward(rod, f64(0.7, -0.7)).tolist()
    assert right == pytest.approx(1.0)
    assert wrong == pytest.approx(math.exp(-4 * math.sin(0.7) ** 2))


def test_goals_are_drawn_for_each_state() -> None:
    rng = torch.Generator().manual_seed(0)
    cart = CartPoleState(*[torch.zeros(500)] * 4)
    assert 2.2 < sample_goal(cart, rng).abs().max() <= 2.4
    rod = TanhPendulumState(*[torch.zeros(500)] * 2)
    assert 0 <= sample_goal(rod, rng).min() < 0.1 < 6.1 < sample_goal(rod, rng).max() < 2 * math.pi
    arm = TwoLinkReacherState(*[torch.zeros(500, 2)] * 3)
    assert sample_goal(arm, rng).shape == (500, 2)
    assert sample_goal(arm, rng).norm(dim=-1).max() <= 2
    with pytest.raises(TypeError, match="not int"):
        sample_goal(3, rng)


@pytest.mark.parametrize(
    ("id", "kwargs", "message"),
    [
        ("TanhPendulum", {"dt": 0.0}, "dt=0.0 must be above 0"),
        ("TanhPendulum", {"horizon": 0}, "horizon=0 must be an integer"),
        ("TanhPendulum", {"angle_init": -1.0}, "angle_init=-1.0 must be at least 0"),
        ("TwoLinkReacher", {"goal_radius": float("nan")}, "goal_radius=nan must be a finite"),
        ("TwoLinkReacher", {"damping": -0.5}, "damping=-0.5 must be at least 0"),
    ],
)
def test_bad_constants(id: str, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make(f"rlsuite/{id}-v0", **kwargs)


@pytest.mark.parametrize("id", ["TanhPendulum", "TwoLinkReacher", "CheapTalk-Reacher"])
def test_episodes_can_be_drawn(id: str) -> None:
    env: Any = gym.make_vec(f"rlsuite/{id}-v0", num_envs=1, output="torch")
    env.reset(seed=0)
    kernel = env.kernel
    states = kernel.initial_state(21, torch.Generator().manual_seed(0))
    actions = torch.zeros((20, *env.single_action_space.shape))
    picture = kernel.render_episode(states, actions, torch.zeros(20))
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.std() > 5
