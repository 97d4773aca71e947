"""Advantages and n-step returns against hand computations, identities, loops and Stable-Baselines3."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.buffers import RolloutBuffer

from rlsuite.core.returns import _reverse_scan_doubling, gae, n_step_return, reverse_scan


def flags(seed, shape, p=0.2):
    """Random terminated and truncated, never both."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, size=shape, p=[1 - 2 * p, p, p])
    return torch.from_numpy(kind == 1), torch.from_numpy(kind == 2)


def column(*values, dtype=torch.float32):
    return torch.tensor(values, dtype=dtype)[:, None]


def test_hand_computed():
    # Step 0: delta = 1 + .5*4 - 2 = 1. Step 1, truncated: delta = 2 + .5*6 - 4 = 1, trace cut.
    # Step 2 terminated: delta = 3 - 8 = -5. Step 3 is the end of the rollout: delta = 4 + .5*2 - 1 = 4.
    advantage, return_ = gae(
        column(1, 2, 3, 4),
        column(2, 4, 8, 1),
        column(4, 6, 100, 2),
        column(0, 0, 1, 0, dtype=torch.bool),
        column(0, 1, 1, 0, dtype=torch.bool),
        gamma=0.5,
        gae_lambda=0.5,
    )
    assert advantage.squeeze(1).tolist() == [1 + 0.25 * 1, 1, -5, 4]
    assert return_.squeeze(1).tolist() == [3.25, 5, 3, 5]


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.integers(1, 70),
    envs=st.integers(1, 5),
    gamma=st.sampled_from([0.5, 0.9, 0.98]),
    gae_lambda=st.floats(0, 1),
)
def test_truncation_identity(seed, steps, envs, gamma, gae_lambda):
    """Reward 1 for ever is worth V = 1/(1-gamma), wherever time limits fall: all advantages are 0."""
    shape = (steps, envs)
    terminated, truncated = torch.zeros(shape, dtype=torch.bool), flags(seed, shape, 0.3)[1]
    value = torch.full(shape, 1 / (1 - gamma))
    advantage, return_ = gae(torch.ones(shape), value, value, terminated, truncated, gamma=gamma, gae_lambda=gae_lambda)
    torch.testing.assert_close(advantage, torch.zeros(shape), atol=2e-4, rtol=0)
    torch.testing.assert_close(return_, value, atol=2e-4, rtol=0)
    if truncated.any():  # the trap: a time limit taken for a terminal state
        merged, _ = gae(torch.ones(shape), value, value, truncated, truncated, gamma=gamma, gae_lambda=gae_lambda)
        torch.testing.assert_close(merged[truncated], (1 - value)[truncated])


def test_limits_of_lambda():
    torch.manual_seed(0)
    reward, value, next_value = torch.randn(3, 40, 3)
    terminated, truncated = flags(0, (40, 3), 0.05)
    done = terminated | truncated
    delta, _ = gae(reward, value, next_value, terminated, done, gamma=0.9, gae_lambda=0.0)
    torch.testing.assert_close(delta, reward + 0.9 * next_value * ~terminated - value)
    # Without episode ends and with consistent values, lambda = 1 gives discounted sums of rewards.
    next_value = torch.cat([value[1:], torch.zeros(1, 3)])
    none = torch.zeros_like(done)
    _, return_ = gae(reward, value, next_value, none, none, gamma=0.9, gae_lambda=1.0)
    sums = scipy.signal.lfilter([1], [1, -0.9], reward.numpy()[::-1].astype(float), axis=0)[::-1]
    np.testing.assert_allclose(return_.numpy(), sums, atol=1e-5)


def test_against_stable_baselines3():
    """SB3 merges both ends and adds gamma V(final) to a truncated step's reward: same numbers."""
    steps, envs, gamma, gae_lambda = 128, 4, 0.97, 0.9
    rng = np.random.default_rng(1)
    reward, value = rng.normal(size=(2, steps, envs)).astype(np.float32)
    final = rng.normal(size=(steps, envs)).astype(np.float32)
    last = rng.normal(size=envs).astype(np.float32)
    terminated, truncated = (x.numpy() for x in flags(2, (steps, envs), 0.05))
    done = terminated | truncated
    box = spaces.Box(-1, 1, (1,))
    buffer = RolloutBuffer(steps, box, box, "cpu", gae_lambda, gamma, envs)
    start = np.ones(envs)
    for t in range(steps):
        paid = reward[t] + gamma * final[t] * truncated[t]
        zeros = np.zeros((envs, 1))
        buffer.add(zeros, zeros, paid, start, torch.from_numpy(value[t]), torch.zeros(envs))
        start = done[t].astype(float)
    buffer.compute_returns_and_advantage(torch.from_numpy(last), done[-1])
    next_value = np.concatenate([value[1:], last[None]])
    next_value[truncated] = final[truncated]
    tensors = [torch.from_numpy(x) for x in (reward, value, next_value, terminated, done)]
    advantage, return_ = gae(*tensors, gamma=gamma, gae_lambda=gae_lambda)
    np.testing.assert_allclose(advantage.numpy(), buffer.advantages, atol=1e-5)
    np.testing.assert_allclose(return_.numpy(), buffer.returns, atol=1e-5)


def test_terminal_next_value_does_not_matter():
    ones, end = torch.ones(3, 2), torch.ones(3, 2, dtype=torch.bool)
    first = gae(ones, ones, ones * 1e30, end, end, gamma=1.0, gae_lambda=1.0)[0]
    assert torch.equal(first, torch.zeros(3, 2))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(0, 100), envs=st.integers(1, 4))
def test_device_scan_equals_row_scan(seed, steps, envs):
    """Both ways of solving the recursion, against a loop in Python's own doubles."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(steps, envs, generator=generator)
    decay = torch.rand(steps, envs, generator=generator) * (torch.rand(steps, envs, generator=generator) > 0.2)
    expected, last = np.zeros((steps, envs)), np.zeros(envs)
    for t in reversed(range(steps)):
        last = x[t].double().numpy() + decay[t].double().numpy() * last
        expected[t] = last
    np.testing.assert_allclose(reverse_scan(x, decay).numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(_reverse_scan_doubling(x, decay).numpy(), expected, atol=1e-5)


def test_inputs_unchanged_and_no_gradient():
    tensors = [torch.randn(5, 2, requires_grad=True) for _ in range(3)]
    terminated, truncated = flags(0, (5, 2))
    before = [x.detach().clone() for x in tensors]
    advantage, return_ = gae(*tensors, terminated, terminated | truncated, gamma=0.9, gae_lambda=0.9)
    assert all(torch.equal(a, b) for a, b in zip(before, tensors, strict=True))
    assert not advantage.requires_grad and not return_.requires_grad
    assert advantage.dtype == return_.dtype == torch.float32


@pytest.mark.parametrize("gamma, gae_lambda", [(1.1, 0.9), (-0.1, 0.9), (0.9, 2), (float("nan"), 0.9)])
def test_bad_factors(gamma, gae_lambda):
    x, f = torch.zeros(2, 2), torch.zeros(2, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"(gamma|gae_lambda) must lie in \[0, 1\], got"):
        gae(x, x, x, f, f, gamma=gamma, gae_lambda=gae_lambda)


def test_bad_shapes_are_printed():
    x, f = torch.zeros(4, 2), torch.zeros(4, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"value \(4, 1\)"):
        gae(x, x[:, :1], x, f, f, gamma=0.9, gae_lambda=0.9)
    with pytest.raises(ValueError, match=r"\[T, B\]"):
        gae(x[0], x[0], x[0], f[0], f[0], gamma=0.9, gae_lambda=0.9)
    with pytest.raises(ValueError, match="n_step_return"):
        n_step_return(x, f, f[:1], gamma=0.9)


def test_n_step_by_hand():
    reward = torch.tensor([[1.0, 1, 1], [2, 2, 2], [4, 4, 4]])
    terminated = torch.tensor([[0, 0, 0], [0, 1, 0], [0, 0, 0]], dtype=torch.bool)
    done = terminated | torch.tensor([[0, 0, 1], [0, 0, 0], [0, 0, 0]], dtype=torch.bool)
    return_, discount, ended, last = n_step_return(reward, terminated, done, gamma=0.5)
    assert return_.tolist() == [1 + 1 + 1, 2, 1]
    assert discount.tolist() == [0.125, 0.25, 0.5]
    assert ended.tolist() == [False, True, False]
    assert last.tolist() == [2, 1, 0]
