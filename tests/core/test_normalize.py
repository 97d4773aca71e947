"""Running statistics against NumPy over all data, against Gymnasium's wrapper, and under bad input."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import NormalizeReward
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite.core.normalize import ReturnNorm, RunningNorm


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=8),
    shape=st.sampled_from([(), (3,), (2, 2)]),
    seed=st.integers(0, 2**31),
    offset=st.sampled_from([0.0, 5.0, 1e6]),
)
def test_equals_numpy_over_everything(sizes, shape, seed, offset):
    rng = np.random.default_rng(seed)
    batches = [offset + rng.normal(size=(n, *shape)) for n in sizes]
    norm = RunningNorm(shape)
    for batch in batches:
        norm.update(torch.from_numpy(batch))
    everything = np.concatenate(batches)
    assert norm.count == len(everything)
    if norm.count == 0:
        assert bool((norm.mean == 0).all()) and bool((norm.var == 1).all())
        return
    np.testing.assert_allclose(norm.mean.numpy(), everything.mean(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(norm.var.numpy(), everything.var(0), rtol=1e-8, atol=1e-12 * (1 + offset))
    x = torch.from_numpy(offset + rng.normal(size=(4, *shape)))
    expected = np.clip((x.numpy() - everything.mean(0)) / np.sqrt(everything.var(0) + 1e-8), -10, 10)
    if norm.count > 2:
        np.testing.assert_allclose(norm.normalize(x).numpy(), expected, rtol=1e-4, atol=1e-4)


def test_any_dtype_in_float32_out():
    norm = RunningNorm((2,), clip=1.5)
    data = torch.tensor([[0, 10], [2, 30], [4, 20]])
    norm.update(data)
    for dtype in (torch.int64, torch.uint8, torch.float32, torch.float64):
        out = norm.normalize(data.to(dtype))
        assert out.dtype == torch.float32
        root = 1.5**0.5
        torch.testing.assert_close(out, torch.tensor([[-root, -root], [0, root], [root, 0]]))
    assert float(norm.normalize(torch.tensor([100.0, 0.0]))[0]) == 1.5
    before = data.clone()
    norm.normalize(data)
    assert torch.equal(before, data)


def test_constant_dimension_is_zero_not_noise():
    norm = RunningNorm((1,))
    for _ in range(100):
        norm.update(torch.full((16, 1), 0.1, dtype=torch.float64))
    assert norm.normalize(torch.full((1, 1), 0.1, dtype=torch.float64)).abs().item() < 1e-6


def test_identity_before_data_and_frozen():
    norm = RunningNorm((2,))
    x = torch.tensor([[3.0, -20.0]])
    torch.testing.assert_close(norm.normalize(x), torch.tensor([[3.0, -10.0]]))
    norm.frozen = True
    norm.update(x)
    assert norm.count == 0
    norm.frozen = False
    norm.update(x)
    assert norm.count == 1 and torch.equal(norm.mean, x[0].double())


def test_gradient_flows_to_observations():
    """Attacks on observations differentiate through the normaliser; the clip has gradient 0."""
    norm = RunningNorm((1,))
    norm.update(torch.tensor([[0.0], [4.0]]))  # mean 2, std 2
    x = torch.tensor([[1.0], [100.0]], requires_grad=True)
    norm.normalize(x).sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([[0.5], [0.0]]))


def test_updates_made_in_inference_mode_serve_training():
    norm = RunningNorm((1,))
    with torch.inference_mode():
        norm.update(torch.tensor([[0.0], [4.0]]))
    x = torch.tensor([[1.0]], requires_grad=True)
    norm.normalize(x).sum().backward()
    assert x.grad is not None


def test_state_continues_bit_for_bit():
    rng = np.random.default_rng(0)
    data = [torch.from_numpy(rng.normal(size=(5, 3))) for _ in range(6)]
    whole, first, second = RunningNorm((3,)), RunningNorm((3,)), RunningNorm((3,))
    for batch in data:
        whole.update(batch)
    for batch in data[:3]:
        first.update(batch)
    state = first.state_dict()
    first.update(data[3])  # the state is a copy
    second.load_state_dict(state)
    for batch in data[3:]:
        second.update(batch)
    assert torch.equal(whole.mean, second.mean) and torch.equal(whole.var, second.var)
    assert torch.equal(whole.normalize(data[0]), second.normalize(data[0]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_bad_observation_is_located_and_not_learnt(bad):
    norm = RunningNorm((3,))
    norm.update(torch.randn(8, 3))
    before = norm.state_dict()
    batch = torch.zeros(4, 3)
    batch[2, 1] = bad
    with pytest.raises(FloatingPointError, match=r"\[2, 1\]"):
        norm.update(batch)
    assert all(torch.equal(before[k], v) for k, v in norm.state_dict().items())


def test_bad_arguments_and_states():
    for kwargs in ({"clip": 0.0}, {"clip": -1.0}, {"epsilon": -1.0}, {"clip": float("nan")}):
        with pytest.raises(ValueError, match="clip"):
            RunningNorm((1,), **kwargs)
    norm = RunningNorm((2,))
    with pytest.raises(ValueError, match=r"\(2,\) cannot take a batch of \(4, 3\)"):
        norm.update(torch.zeros(4, 3))
    good = norm.state_dict()
    for change in (
        {"mean": torch.zeros(3)},
        {"mean": torch.full((2,), torch.nan)},
        {"m2": torch.tensor([-1.0, 0.0])},
        {"count": torch.tensor(-1)},
        {"count": torch.zeros(2)},
    ):
        with pytest.raises(ValueError, match="use another checkpoint"):
            norm.load_state_dict(good | change)
    with pytest.raises(ValueError, match="'m2' must be"):
        norm.load_state_dict({"mean": good["mean"], "count": good["count"]})


# Rewards ------------------------------------------------------------------------------------------------


def discounted(reward, done, gamma):
    """All running returns [T, B], one environment and step at a time."""
    returns = np.zeros(reward.shape)
    for b in range(reward.shape[1]):
        current = 0.0
        for t in range(len(reward)):
            current = gamma * current + reward[t, b]
            returns[t, b] = current
            if done[t, b]:
                current = 0.0
    return returns


@pytest.mark.parametrize("kind", ["torch", "numpy", "device path"])
@pytest.mark.parametrize("seed, gamma", [(0, 0.9), (1, 1.0), (2, 0.0)])
def test_scale_is_the_std_of_all_returns_so_far(seed, gamma, kind):
    rng = np.random.default_rng(seed)
    reward, done = 3 + 5 * rng.normal(size=(60, 4)), rng.random((60, 4)) < 0.1
    returns = discounted(reward, done, gamma)
    norm = ReturnNorm(4, gamma=gamma)
    for t in range(60):
        r, d = reward[t].astype(np.float32), done[t]
        if kind == "numpy":
            out = norm(r, d)
            assert isinstance(out, np.ndarray) and out.dtype == np.float32
        else:
            call = norm if kind == "torch" else norm._call_torch
            out = call(torch.from_numpy(r), torch.from_numpy(d))
            assert out.dtype == torch.float32
        expected = np.clip(r / np.sqrt(returns[: t + 1].var() + 1e-8), -10, 10)
        np.testing.assert_allclose(np.asarray(out), expected, rtol=2e-5)


class Walk(gym.Env):
    """Rewards from the environment's own generator; cut at random."""

    observation_space = gym.spaces.Box(-1, 1, (1,))
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        cut = self.np_random.random() < 0.05
        return np.zeros(1, np.float32), self.np_random.normal(1.0, 2.0), False, cut, {}


def test_equals_gymnasium_under_same_step():
    """Gymnasium 1.4 is right for truncated episodes; at a termination it drops the return before its last reward.

    It starts from an invented sample of weight 1e-4, which 4,000 real ones outweigh.
    """
    make = [Walk for _ in range(4)]
    plain = SyncVectorEnv(make, autoreset_mode=AutoresetMode.SAME_STEP)
    wrapped = NormalizeReward(SyncVectorEnv(make, autoreset_mode=AutoresetMode.SAME_STEP), gamma=0.9)
    plain.reset(seed=5)
    wrapped.reset(seed=5)
    norm, action = ReturnNorm(4, gamma=0.9), np.zeros(4, np.int64)
    for _ in range(1000):
        _, reward, terminated, truncated, _ = plain.step(action)
        _, theirs, *_ = wrapped.step(action)
        ours = norm(reward, terminated | truncated)
    np.testing.assert_allclose(ours, np.clip(theirs, -10, 10), rtol=1e-4)
    assert norm.var == pytest.approx(float(wrapped.return_rms.var), rel=1e-4)


def test_return_norm_does_not_subtract_or_learn_when_frozen():
    norm = ReturnNorm(2, gamma=0.5)
    no = torch.zeros(2, dtype=torch.bool)
    for r in (1.0, 2.0, 3.0):
        norm(torch.tensor([r, -r]), no)
    norm.frozen = True
    before, reward = norm.state_dict(), torch.tensor([0.0, 0.5])
    out = norm(reward, no)
    torch.testing.assert_close(out, reward / norm.var**0.5)
    assert all(torch.equal(before[k], v) for k, v in norm.state_dict().items())


def test_return_norm_state_continues_bit_for_bit():
    rng = np.random.default_rng(3)
    reward = torch.from_numpy(rng.normal(size=(20, 3)).astype(np.float32))
    done = torch.from_numpy(rng.random((20, 3)) < 0.2)
    whole, half, rest = (ReturnNorm(3, gamma=0.99) for _ in range(3))
    expected = [whole(r, d) for r, d in zip(reward, done, strict=True)]
    for t in range(10):
        half(reward[t], done[t])
    rest.load_state_dict(half.state_dict())
    assert all(torch.equal(rest(reward[t], done[t]), expected[t]) for t in range(10, 20))


def test_return_norm_resize_keeps_the_scale():
    norm, other = ReturnNorm(3, gamma=0.9), ReturnNorm(5, gamma=0.9)
    for _ in range(5):
        norm(torch.randn(3), torch.zeros(3, dtype=torch.bool))
    other.load_state_dict(norm.state_dict())
    variance = norm.var
    norm.resize(5)
    assert norm.var == other.var == variance
    a, b = torch.ones(5), torch.zeros(5, dtype=torch.bool)
    assert torch.equal(norm(a, b), other(a, b))


def test_bad_rewards_and_arguments():
    norm = ReturnNorm(3, gamma=0.9)
    no = torch.zeros(3, dtype=torch.bool)
    norm(torch.ones(3), no)
    before = norm.state_dict()
    with pytest.raises(FloatingPointError, match="environment 1 is nan"):
        norm(torch.tensor([0.0, torch.nan, 0.0]), no)
    with pytest.raises(ValueError, match="3 environments"):
        norm(torch.ones(4), no)
    with pytest.raises(ValueError, match=r"\(3, 1\)"):
        norm(torch.ones(3, 1), no)
    assert all(torch.equal(before[k], v) for k, v in norm.state_dict().items())
    for kwargs in ({"gamma": 1.1}, {"gamma": 0.9, "clip": 0.0}, {"gamma": float("nan")}):
        with pytest.raises(ValueError, match="ReturnNorm needs"):
            ReturnNorm(2, **kwargs)
    with pytest.raises(ValueError, match="num_envs=0"):
        ReturnNorm(0, gamma=0.9)
    for change in (
        {"stats": torch.tensor([0.0, -1.0])},
        {"stats": torch.zeros(3)},
        {"return": torch.zeros(1, 1)},
    ):
        with pytest.raises(ValueError, match="another checkpoint"):
            norm.load_state_dict(before | change)
