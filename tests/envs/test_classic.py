"""Classic control repeats Gymnasium's environments step for step."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlsuite_envs.classic.acrobot import Acrobot
from rlsuite_envs.classic.cartpole import CartPole
from rlsuite_envs.classic.mountain_car import MountainCar, MountainCarContinuous
from rlsuite_envs.classic.pendulum import Pendulum
from rlsuite_envs.kernel import tree_items
from rlsuite_envs.single import TensorEnv

ORIGINALS: dict[Any, str] = {
    CartPole: "CartPole-v1",
    Acrobot: "Acrobot-v1",
    MountainCar: "MountainCar-v0",
    MountainCarContinuous: "MountainCarContinuous-v0",
    Pendulum: "Pendulum-v1",
}
# Gymnasium keeps its state in float64, but rounds that of MountainCarContinuous to float32 in every step.
DTYPES = {kind: torch.float32 if kind is MountainCarContinuous else torch.float64 for kind in ORIGINALS}
NUM_STATES: dict[Any, int] = {CartPole: 4, Acrobot: 4, MountainCar: 2, MountainCarContinuous: 2, Pendulum: 2}


def to_gymnasium(kind: Any, state: Any, row: int = 0) -> np.ndarray:
    """A row of our state as Gymnasium's `state` array."""
    columns = [column[row].item() for column in tree_items(state, "state").values()][: NUM_STATES[kind]]
    return np.array(columns, dtype=np.float32 if DTYPES[kind] == torch.float32 else np.float64)


def policy(kind: type, env: TensorEnv, episode: int) -> Any:
    """Random actions; the mountain cars also swing up, or they would never arrive."""
    if issubclass(kind, MountainCar | MountainCarContinuous) and episode % 2:
        right = env.state.velocity.item() >= 0
        return np.int64(2 * right) if kind is MountainCar else np.array([2.0 * right - 1], np.float32)
    return env.action_space.sample()


@pytest.mark.parametrize("kind", ORIGINALS)
def test_episodes_equal_gymnasiums(kind: Any) -> None:
    ours = TensorEnv(kernel=kind(dtype=DTYPES[kind]))
    theirs: Any = gym.make(ORIGINALS[kind]).unwrapped
    ends = steps = 0
    for episode in range(6 if kind in (Acrobot, Pendulum) else 16):
        ours.reset(seed=episode)
        theirs.reset(seed=episode)
        theirs.state = to_gymnasium(kind, ours.state)
        ours.action_space.seed(episode)
        for _ in range(300):
            action = policy(kind, ours, episode)
            obs, reward, terminated, _, _ = ours.step(action)
            their_obs, their_reward, their_terminated, _, _ = theirs.step(action)
            np.testing.assert_allclose(to_gymnasium(kind, ours.state), theirs.state, rtol=0, atol=1e-12)
            np.testing.assert_allclose(obs, their_obs, rtol=0, atol=1e-7)
            # float32 rewards near 100 are off by rounding; Pendulum's torque is float32 on both sides.
            assert reward == pytest.approx(their_reward, abs=1e-5 if DTYPES[kind] == torch.float32 else 1e-9)
            assert terminated == their_terminated
            steps += 1
            if terminated:
                ends += 1
                break
    assert steps > 300
    if kind in (CartPole, MountainCar, MountainCarContinuous):
        assert ends >= 8  # the comparison has seen terminations, too


@pytest.mark.parametrize("kind", ORIGINALS)
def test_single_steps_from_many_states_equal_gymnasiums(kind: Any) -> None:
    kernel = kind(dtype=DTYPES[kind])
    rng = np.random.default_rng(0)
    num = 300
    space = kernel.observation_space
    # All of the state space, velocities and walls included: episodes see little of it.
    high = {
        CartPole: [2.6, 4.0, 0.25, 4.0],
        Acrobot: [np.pi, np.pi, 4 * np.pi, 9 * np.pi],
        Pendulum: [9.0, 8.0],
    }.get(kind)
    spread = rng.uniform(-1, 1, (num, NUM_STATES[kind]))
    states = spread * high if high else rng.uniform(space.low, space.high, (num, 2))
    if high is None:
        states[: num // 4, 0] = -1.2 + 1e-3 * np.abs(spread[: num // 4, 0])  # near the left wall
    if DTYPES[kind] == torch.float32:
        states = states.astype(np.float32)
    columns = [torch.tensor(states[:, i], dtype=kernel.dtype) for i in range(states.shape[1])]
    fields = kernel.initial_state(num, torch.Generator())
    extra = [torch.zeros(num, dtype=kernel.dtype)] * (len(tree_items(fields, "")) - len(columns))
    batched = gym.vector.utils.batch_space(kernel.action_space, num)
    batched.seed(0)
    actions = batched.sample()
    if actions.ndim == 2:
        actions *= 1.5  # outside the box: both clip
    next_state, reward, terminated = kernel.advance(type(fields)(*columns, *extra), torch.as_tensor(actions))
    theirs: Any = gym.make(ORIGINALS[kind]).unwrapped
    theirs.reset()
    for row in range(num):
        theirs.state = states[row]
        theirs.steps_beyond_terminated = None
        _, their_reward, their_terminated, _, _ = theirs.step(actions[row])
        # Gymnasium's clipped throttle is a double, ours a float32: one rounding of MountainCarContinuous
        # differs.
        atol = 1e-8 if DTYPES[kind] == torch.float32 else 1e-12
        np.testing.assert_allclose(to_gymnasium(kind, next_state, row), theirs.state, rtol=1e-13, atol=atol)
        tolerance = 1e-5 if DTYPES[kind] == torch.float32 else 1e-6 if kind is Pendulum else 1e-12
        assert reward[row].item() == pytest.approx(their_reward, abs=tolerance)
        assert terminated[row].item() == their_terminated
    if kind is not Pendulum:
        assert terminated.any()
        assert not terminated.all()


@pytest.mark.parametrize("kind", ORIGINALS)
def test_spaces_limits_and_thresholds_are_gymnasiums(kind: Any) -> None:
    ours = gym.make(f"rlsuite/{kind.__name__}-v1")
    theirs = gym.make(ORIGINALS[kind])
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.spec is not None
    assert theirs.spec is not None
    assert ours.spec.max_episode_steps == theirs.spec.max_episode_steps == kind().max_episode_steps
    assert ours.spec.reward_threshold == theirs.spec.reward_threshold


def test_cartpole_with_sutton_bartos_reward_equals_gymnasiums() -> None:
    ours = TensorEnv(kernel=CartPole, dtype="float64", sutton_barto_reward=True)
    theirs: Any = gym.make("CartPole-v1", sutton_barto_reward=True).unwrapped
    ours.reset(seed=0)
    theirs.reset(seed=0)
    theirs.state = to_gymnasium(CartPole, ours.state)
    rewards = []
    for _ in range(50):
        _, reward, terminated, _, _ = ours.step(1)
        _, their_reward, their_terminated, _, _ = theirs.step(1)
        assert (reward, terminated) == (their_reward, their_terminated)
        rewards.append(reward)
        if terminated:
            break
    assert rewards[-1] == -1
    assert not any(rewards[:-1])


@pytest.mark.parametrize("kind", ORIGINALS)
def test_start_states_have_gymnasiums_distribution(kind: Any) -> None:
    draws = kind(dtype=torch.float64).initial_state(20_000, torch.Generator().manual_seed(0))
    columns = list(tree_items(draws, "").values())[: NUM_STATES[kind]]
    low, high = {
        CartPole: ([-0.05] * 4, [0.05] * 4),
        Acrobot: ([-0.1] * 4, [0.1] * 4),
        MountainCar: ([-0.6, 0], [-0.4, 0]),
        MountainCarContinuous: ([-0.6, 0], [-0.4, 0]),
        Pendulum: ([-np.pi, -1], [np.pi, 1]),
    }[kind]
    for column, lowest, highest in zip(columns, low, high, strict=True):
        assert lowest <= column.min()
        assert column.max() <= highest
        # Mean and spread of a uniform distribution, each within five standard errors.
        width = highest - lowest
        assert column.mean().item() == pytest.approx(
            (lowest + highest) / 2, abs=5 * width / 12**0.5 / 20_000**0.5 + 1e-12
        )
        assert column.std().item() == pytest.approx(width / 12**0.5, rel=0.03, abs=1e-12)


@pytest.mark.parametrize("kind", ORIGINALS)
def test_pictures_are_gymnasiums(kind: Any) -> None:
    ours = gym.make(f"rlsuite/{kind.__name__}-v1", render_mode="rgb_array")
    theirs = gym.make(ORIGINALS[kind], render_mode="rgb_array")
    ours.reset(seed=0)
    theirs.reset(seed=0)
    theirs.unwrapped.state = to_gymnasium(kind, ours.unwrapped.state)  # type: ignore[attr-defined]
    ours.action_space.seed(0)
    for _ in range(5):
        action = ours.action_space.sample()
        ours.step(action)
        theirs.step(action)
    picture = ours.render()
    assert isinstance(picture, np.ndarray)
    assert picture.dtype == np.uint8
    assert picture.std() > 0
    np.testing.assert_array_equal(picture, theirs.render())
    theirs.close()


def test_vector_pictures_show_each_environment() -> None:
    env = gym.make_vec("rlsuite/CartPole-v1", num_envs=3, render_mode="rgb_array", init_low=-0.2, init_high=0.2)
    env.reset(seed=0)
    pictures = env.render()
    assert pictures is not None
    assert len(pictures) == 3
    assert not np.array_equal(pictures[0], pictures[1])


def test_gradients_of_pendulum_are_right() -> None:
    kernel = Pendulum(dtype=torch.float64)
    state = kernel.initial_state(5, torch.Generator().manual_seed(0))

    def outcome(theta: torch.Tensor, theta_dot: torch.Tensor, action: torch.Tensor) -> tuple[torch.Tensor, ...]:
        next_state, reward, _ = kernel.advance(type(state)(theta, theta_dot, state.torque), action)
        return next_state.theta, next_state.theta_dot, reward

    inputs = (state.theta, state.theta_dot, torch.linspace(-1.5, 1.5, 5, dtype=torch.float64)[:, None])
    assert torch.autograd.gradcheck(outcome, [x.requires_grad_() for x in inputs])
