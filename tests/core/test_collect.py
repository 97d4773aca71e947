"""Collection on environments whose every number is known."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rlsuite.core.collect import EpisodeStats, Runner, collect
from rlsuite.core.normalize import ReturnNorm, RunningNorm
from rlsuite.core.vector import Stepper

CPU = torch.device("cpu")


class Counter(gym.Env):
    """Observation = step number + 100 * episode; reward = step number; ends at `length`, terminated or truncated."""

    observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float64)
    action_space = spaces.Discrete(2)

    def __init__(self, length=3, terminates=True, bad=None):
        self.length, self.terminates, self.bad, self.episode = length, terminates, bad, -1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.episode = 0, self.episode + 1
        return self._obs(), {}

    def _obs(self):
        return np.array([self.t + 100.0 * self.episode])

    def step(self, action):
        self.t += 1
        end = self.t == self.length
        reward = np.nan if self.bad == self.t else float(self.t)
        return self._obs(), reward, end and self.terminates, end and not self.terminates, {}


class Identity:
    """A back end whose value is the observation itself."""

    def sample(self, obs, mask, generator):
        return torch.zeros(len(obs), dtype=torch.int64)

    def log_prob(self, obs, action, mask):
        return -obs[:, 0]

    def values(self, obs):
        return obs[:, 0].clone()


def runner(*makers, obs_norm=None, return_norm=None):
    venv = SyncVectorEnv(list(makers), autoreset_mode=AutoresetMode.SAME_STEP)
    return Runner.start(Stepper(venv, CPU), 0, obs_norm, return_norm)


def test_rollout_of_counters():
    """Two environments, one terminating after 3 steps, one truncated after 2: every field by hand."""
    run = runner(lambda: Counter(3, True), lambda: Counter(2, False))
    rollout = collect(Identity(), run, 5, torch.Generator())
    np.testing.assert_array_equal(rollout.obs[..., 0].numpy().T, [[0, 1, 2, 100, 101], [0, 1, 100, 101, 200]])
    np.testing.assert_array_equal(rollout.reward.numpy().T, [[1, 2, 3, 1, 2], [1, 2, 1, 2, 1]])
    np.testing.assert_array_equal(rollout.terminated.numpy().T, [[0, 0, 1, 0, 0], [0] * 5])
    np.testing.assert_array_equal(rollout.truncated.numpy().T, [[0] * 5, [0, 1, 0, 1, 0]])
    np.testing.assert_array_equal(rollout.value.numpy(), rollout.obs[..., 0].numpy())
    np.testing.assert_array_equal(rollout.log_prob.numpy(), -rollout.obs[..., 0].numpy())
    # the true last observation where time ran out (2, then 102), the next step's elsewhere
    np.testing.assert_array_equal(rollout.next_value.numpy().T[1], [1, 2, 101, 102, 201])
    np.testing.assert_array_equal(rollout.next_value.numpy().T[0][[0, 1, 3, 4]], [1, 2, 101, 102])
    assert list(run.stats.recent_returns) == [3.0, 6.0, 3.0]  # in the order in which they ended
    assert list(run.stats.recent_lengths) == [2, 3, 2]


def test_second_rollout_goes_on():
    run = runner(lambda: Counter(10))
    first = collect(Identity(), run, 3, torch.Generator())
    second = collect(Identity(), run, 3, torch.Generator())
    assert first.obs.flatten().tolist() == [0, 1, 2]
    assert second.obs.flatten().tolist() == [3, 4, 5]
    assert first.next_value[-1].item() == 3


def test_observations_are_normalised_by_what_was_seen():
    norm = RunningNorm((1,), device=CPU)
    run = runner(lambda: Counter(100), obs_norm=norm)
    rollout = collect(Identity(), run, 20, torch.Generator())
    seen = np.arange(11.0)  # statistics at step 10 hold the first observation and ten more
    assert rollout.obs[10].item() == pytest.approx((10 - seen.mean()) / seen.std(), rel=0.05)


def test_rewards_are_scaled_not_shifted():
    run = runner(lambda: Counter(100), return_norm=ReturnNorm(1, gamma=0.9, device=CPU))
    rollout = collect(Identity(), run, 20, torch.Generator())
    assert (rollout.reward > 0).all()
    assert list(run.stats.returns) == [sum(range(1, 21))]  # statistics stay in raw reward


def test_bad_reward_is_named():
    with pytest.raises(FloatingPointError, match=r"^reward is nan at step 2 in environment 1"):
        collect(Identity(), runner(lambda: Counter(9), lambda: Counter(9, bad=2)), 4, torch.Generator())


def test_stopping_callback_ends_collection():
    seen = []
    stop_at_three = lambda step: seen.append(step) or len(seen) < 3  # noqa: E731
    assert collect(Identity(), runner(lambda: Counter(9)), 8, torch.Generator(), stop_at_three) is None
    assert len(seen) == 3


def test_only_same_step_reset_is_accepted():
    venv = SyncVectorEnv([Counter])
    with pytest.raises(ValueError, match="SAME_STEP"):
        Stepper(venv, CPU)


def test_episode_statistics_survive_a_round_trip():
    stats = EpisodeStats(2)
    for _ in range(3):
        stats.add(np.array([1.0, 2.0]), np.array([False, True]))
    copy = EpisodeStats(2)
    copy.load_state_dict(stats.state_dict())
    assert list(copy.recent_returns) == [2.0, 2.0, 2.0]
    assert copy.returns.tolist() == [3.0, 0.0] and copy.lengths.tolist() == [3, 0] and copy.episodes == 3
