"""The replay buffer against brute force over recorded histories, and against Stable-Baselines3's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.buffers import NStepReplayBuffer

from rlsuite.core.buffers import ReplayBuffer

GAMMA = 0.9


def history(steps, envs, seed, end=0.25):
    """A list of transitions whose observations name them: obs = 1000 b + t, true next obs = obs + 0.5."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, size=(steps, envs), p=[1 - 2 * end, end, end])
    rows = []
    for t in range(steps):
        obs = 1000.0 * np.arange(envs)[:, None] + t
        action = np.stack([np.arange(envs), np.full(envs, t)], 1).astype(float)
        rows.append((obs, obs + 0.5, action, rng.normal(size=envs), kind[t] == 1, kind[t] == 2))
    return rows


def make(capacity, envs, **kwargs):
    return ReplayBuffer(capacity, envs, (1,), (2,), gamma=GAMMA, **kwargs)


def fill(buffer, rows):
    for row in rows:
        buffer.add(*(torch.from_numpy(np.asarray(x)) for x in row))


def expected(rows, t, b, n):
    """Follow one environment's history from step t for at most n steps: return, discount, next obs, terminated."""
    total, discount = 0.0, 1.0
    for row in rows[t : t + n]:
        _, next_obs, _, reward, terminated, truncated = row
        total += discount * reward[b]
        discount *= GAMMA
        if terminated[b] or truncated[b]:
            break
    return total, discount, next_obs[b, 0], terminated[b]


@settings(max_examples=60, deadline=None)
@given(
    steps=st.integers(1, 40),
    envs=st.integers(1, 3),
    rows=st.integers(1, 12),
    n_step=st.integers(1, 6),
    seed=st.integers(0, 2**31),
    end=st.sampled_from([0.0, 0.05, 0.25, 0.5]),
)
def test_equals_brute_force(steps, envs, rows, n_step, seed, end):
    """Whatever the episode pattern, fill level and write position: every sample follows the recorded history."""
    record = history(steps, envs, seed, end)
    buffer = make(rows * envs + envs - 1, envs, n_step=n_step)
    fill(buffer, record)
    kept = min(steps, rows)
    assert len(buffer) == kept * envs
    batch = buffer.sample(200, torch.Generator().manual_seed(seed))
    for i in range(200):
        b, t = divmod(int(batch.obs[i, 0]), 1000)
        assert batch.action[i].tolist() == [b, t]
        assert steps - kept <= t < steps
        total, discount, next_obs, terminated = expected(record, t, b, n_step)
        assert float(batch.reward[i]) == pytest.approx(total, abs=1e-5)
        assert float(batch.discount[i]) == pytest.approx(discount, rel=1e-6)
        assert float(batch.next_obs[i, 0]) == next_obs
        assert bool(batch.terminated[i]) == terminated


def test_samples_are_uniform():
    """Every stored transition within five standard errors of its share, in a ring that has wrapped."""
    buffer = make(20, 2)
    fill(buffer, history(27, 2, 0))
    draws = 50_000
    obs = buffer.sample(draws, torch.Generator().manual_seed(1)).obs[:, 0]
    values, counts = obs.unique(return_counts=True)
    assert values.tolist() == [1000.0 * b + t for b in range(2) for t in range(17, 27)]
    assert float((counts / draws - 1 / 20).abs().max()) < 5 * (1 / 20 * 19 / 20 / draws) ** 0.5


@pytest.mark.parametrize("steps", [13, 57])
def test_equals_stable_baselines3_n_step(steps):
    """SB3's buffer on the same data and the same indices; its `dones` is our `terminated`."""
    n_step, rows = 3, 20
    box = spaces.Box(-np.inf, np.inf, (1,), np.float64)
    theirs = NStepReplayBuffer(rows, box, spaces.Box(-np.inf, np.inf, (2,)), "cpu", 1, n_steps=n_step, gamma=GAMMA)
    ours = make(rows, 1, n_step=n_step, obs_dtype=torch.float64)
    record = history(steps, 1, 5)
    fill(ours, record)
    for obs, next_obs, action, reward, terminated, truncated in record:
        infos = [{"TimeLimit.truncated": bool(truncated[0])}]
        theirs.add(obs, next_obs, action, reward, terminated | truncated, infos)
    index = np.arange(min(steps, rows))
    want = theirs._get_samples(index)
    reward, discount, terminated, last = ours._windows(torch.from_numpy(index))
    np.testing.assert_allclose(reward, want.rewards[:, 0], atol=1e-6)
    assert torch.equal(ours.next_obs.flatten(0, 1)[last], want.next_observations)
    assert torch.equal(terminated.float(), want.dones[:, 0])
    # Where the value matters SB3's discount must be ours.
    alive = ~terminated
    np.testing.assert_allclose(discount[alive], want.discounts[:, 0][alive], rtol=1e-6)


def test_numpy_input_dtypes_and_shapes():
    buffer = ReplayBuffer(8, 2, (2, 3), (), obs_dtype=torch.uint8, action_dtype=torch.int64)
    obs = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    buffer.add(obs, obs + 1, np.array([3, 4]), np.ones(2), np.array([True, False]), np.zeros(2, bool))
    batch = buffer.sample(50)
    assert batch.obs.shape == (50, 2, 3) and batch.obs.dtype == torch.uint8
    assert batch.action.shape == (50,) and batch.action.dtype == torch.int64
    assert batch.reward.dtype == batch.discount.dtype == torch.float32 and batch.terminated.dtype == torch.bool
    assert torch.equal(batch.next_obs, batch.obs + 1)
    assert torch.equal(batch.terminated, batch.action == 3)


@pytest.mark.parametrize("steps", [4, 10, 23])
def test_state_continues_bit_for_bit(steps):
    record = history(steps + 9, 2, 7)
    whole, resumed = make(20, 2, n_step=3), make(20, 2, n_step=3)
    fill(whole, record[:steps])
    resumed.load_state_dict({name: x.clone() for name, x in whole.state_dict().items()})
    fill(whole, record[steps:])
    fill(resumed, record[steps:])
    a, b = (x.sample(64, torch.Generator().manual_seed(0)) for x in (whole, resumed))
    assert all(torch.equal(getattr(a, name), getattr(b, name)) for name in vars(a))


def test_sample_is_a_copy():
    buffer = make(4, 1)
    fill(buffer, history(4, 1, 0))
    batch = buffer.sample(8, torch.Generator().manual_seed(0))
    before = batch.obs.clone()
    fill(buffer, history(9, 1, 1))
    assert torch.equal(batch.obs, before)


def test_bad_input():
    for kwargs in ({"capacity": 1}, {"num_envs": 0}, {"n_step": 0}, {"gamma": 1.5}, {"gamma": float("nan")}):
        arguments = {"capacity": 8, "num_envs": 2, "obs_shape": (1,), "action_shape": (2,)} | kwargs
        with pytest.raises(ValueError, match="ReplayBuffer needs"):
            ReplayBuffer(**arguments)
    buffer = make(8, 2)
    with pytest.raises(ValueError, match="the replay buffer is empty"):
        buffer.sample(4)
    row = list(history(1, 2, 0)[0])
    with pytest.raises(ValueError, match=r"reward must have shape \(2,\), got \(2, 1\)"):
        buffer.add(*row[:3], row[3][:, None], *row[4:])
    with pytest.raises(ValueError, match=r"obs must have shape \(2, 1\), got \(1,\)"):
        buffer.add(row[0][0], *row[1:])  # would broadcast to every environment
    assert len(buffer) == 0
    fill(buffer, [row])
    with pytest.raises(ValueError, match="batch_size must be >= 1, got 0"):
        buffer.sample(0)


def test_bad_states():
    full, wider, larger = make(8, 2), make(9, 3), make(20, 2)
    fill(full, history(7, 2, 0))
    state = full.state_dict()
    with pytest.raises(ValueError, match=r"lacks \['reward'\]"):
        make(8, 2).load_state_dict({k: v for k, v in state.items() if k != "reward"})
    for other in (wider, larger, make(2, 2)):
        with pytest.raises(ValueError, match="use the same"):
            other.load_state_dict(state)
        assert len(other) == 0
    for change in ({"head": torch.tensor(99)}, {"filled": torch.tensor(-1)}, {"head": torch.tensor(-1)}):
        with pytest.raises(ValueError, match="does not fit"):
            make(8, 2).load_state_dict(state | change)
    with pytest.raises(ValueError, match="'action' has shape"):
        make(8, 2).load_state_dict(state | {"action": torch.zeros(4, 2, 5)})
