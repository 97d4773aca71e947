"""Evaluation against Stable-Baselines3's, without bias towards short episodes, and with bad numbers located."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from rlsuite import PPO
from rlsuite.core.evaluate import evaluate
from rlsuite.core.rng import EPISODES, env_seed
from rlsuite.core.vec_env import env_action

SAME_STEP = AutoresetMode.SAME_STEP


class Lean:
    """CartPole: push towards the side the pole falls to; a fixed, stateless policy."""

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return (np.asarray(observation)[:, 2] > 0).astype(np.int64), state


class Episode(gym.Env):
    """Ends after `length` steps, the number of which it also pays; can pay or show a bad number."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,))
    action_space = spaces.Box(-1, 1, (1,))

    def __init__(self, length=3, bad_reward=None, bad_obs=None, truncates=False):
        self.length, self.bad_reward, self.bad_obs, self.truncates = length, bad_reward, bad_obs, truncates
        self.closed = False

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.t += 1
        obs = np.array([0.0, np.nan if self.t == self.bad_obs else 0.0], np.float32)
        reward = np.inf if self.t == self.bad_reward else 1.0
        end = self.t == self.length
        return obs, reward, end and not self.truncates, end and self.truncates, {}

    def close(self):
        self.closed = True


class Constant:
    """The same action for everything; remembers what it was asked."""

    def __init__(self, action=0.0):
        self.action, self.calls = action, []

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        count = len(episode_start)
        self.calls.append((observation, state, episode_start.copy(), deterministic))
        return np.full((count, 1), self.action, np.float32), len(self.calls)


def vector(*lengths, **kwargs):
    return SyncVectorEnv([lambda n=n: Episode(n, **kwargs) for n in lengths], autoreset_mode=SAME_STEP)


@pytest.mark.parametrize("episodes, num_envs", [(5, 1), (10, 3), (2, 4)])
def test_equals_stable_baselines3(episodes, num_envs):
    def make():
        return gym.make("CartPole-v1")

    theirs_env = VecMonitor(DummyVecEnv([make] * num_envs))
    theirs_env.seed(env_seed(7, EPISODES))
    returns, lengths = evaluate_policy(Lean(), theirs_env, episodes, return_episode_rewards=True)
    ours_env = SyncVectorEnv([make] * num_envs, autoreset_mode=SAME_STEP)
    ours = evaluate(Lean(), ours_env, episodes=episodes, seed=7)
    assert ours.returns.tolist() == returns and ours.lengths.tolist() == lengths
    assert ours.episodes == episodes == ours.interval.n
    assert ours.interval.estimate == pytest.approx(np.mean(returns))
    assert ours.interval.low <= ours.interval.estimate <= ours.interval.high


def test_short_episodes_are_not_favoured():
    """One environment ends after 2 steps, one after 50: half of the episodes come from each."""
    result = evaluate(Constant(), vector(2, 50), episodes=10)
    assert sorted(result.returns) == [2] * 5 + [50] * 5
    assert result.lengths.tolist() == result.returns.tolist()
    assert np.array_equal(result.envs == 1, result.returns == 50)
    # A remainder goes to the last environments, never beyond one episode.
    result = evaluate(Constant(), vector(2, 3, 5), episodes=5)
    assert sorted(result.lengths) == [2, 3, 3, 5, 5]


def test_what_the_policy_is_told():
    policy = Constant()
    evaluate(policy, vector(2, 3, truncates=True), episodes=2, deterministic=False)
    starts = [call[2].tolist() for call in policy.calls]
    assert starts == [[True, True], [False, False], [True, False]]
    assert [call[1] for call in policy.calls] == [None, 1, 2]  # its state comes back to it
    assert all(isinstance(call[0], np.ndarray) and call[3] is False for call in policy.calls)


def test_samples_come_from_the_seed_and_leave_the_generators_alone():
    model = PPO("CartPole-v1", n_steps=8, batch_size=8, seed=0, device="cpu")
    own, shared = model.generator.get_state(), torch.get_rng_state()
    one, two, three = (
        evaluate(model, "CartPole-v1", episodes=5, seed=seed, deterministic=False).returns for seed in (3, 3, 4)
    )
    assert np.array_equal(one, two) and not np.array_equal(one, three)
    assert torch.equal(model.generator.get_state(), own) and torch.equal(torch.get_rng_state(), shared)
    with pytest.raises(ValueError, match="shape"):
        evaluate(model, "Pendulum-v1", episodes=1, deterministic=False)
    assert torch.equal(model.generator.get_state(), own)  # after an error, too


def test_ids_and_single_environments():
    by_id = evaluate(Lean(), "CartPole-v1", episodes=4, seed=3)
    assert by_id.episodes == 4 and by_id.returns.min() > 10
    assert np.array_equal(by_id.returns, evaluate(Lean(), "CartPole-v1", episodes=4, seed=3).returns)
    env = Episode(4)
    assert evaluate(Constant(), env, episodes=3).returns.tolist() == [4, 4, 4]
    assert not env.closed  # the caller's


def test_progress_counts_up():
    seen = []
    evaluate(Constant(), vector(2, 3), episodes=4, progress=seen.append)
    assert seen == sorted(set(seen)) and seen[-1] == 4


class TorchVector(VectorEnv):
    """Tensors in and out, as the kernels' shell; episodes of 3 steps."""

    metadata = {"autoreset_mode": SAME_STEP}  # noqa: RUF012
    output, device, num_envs = "torch", torch.device("cpu"), 2
    single_observation_space = spaces.Dict({"a": spaces.Box(-1, 1, (2,))})
    single_action_space = spaces.Box(-1, 1, (1,))

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return {"a": torch.zeros(2, 2)}, {}

    def step(self, action):
        assert isinstance(action, torch.Tensor) and action.shape == (2, 1)
        self.t += 1
        end = torch.full((2,), self.t % 3 == 0)
        return {"a": torch.zeros(2, 2)}, torch.full((2,), 2.0), end, torch.zeros(2, dtype=torch.bool), {}


def test_tensor_environments():
    policy = Constant()
    result = evaluate(policy, TorchVector(), episodes=4)
    assert result.returns.tolist() == [6, 6, 6, 6]
    assert isinstance(policy.calls[0][0]["a"], np.ndarray)


def test_bad_numbers_are_located():
    with pytest.raises(FloatingPointError, match="reward is inf at step 2 of the evaluation in environment 0"):
        evaluate(Constant(), vector(3, 3, bad_reward=2), episodes=2)
    with pytest.raises(FloatingPointError, match=r"observation is nan at step 1 .*environment 0 \(index \[1\]\)"):
        evaluate(Constant(), vector(3, 3, bad_obs=1), episodes=2)
    with pytest.raises(FloatingPointError, match="action is nan at step 1 of the evaluation in environment 0"):
        evaluate(Constant(np.nan), vector(3), episodes=1)


def test_bad_arguments():
    with pytest.raises(ValueError, match="episodes is 0"):
        evaluate(Constant(), vector(3), episodes=0)
    with pytest.raises(ValueError, match=r"resets in mode .*NEXT_STEP.*needs AutoresetMode\.SAME_STEP"):
        evaluate(Constant(), SyncVectorEnv([Episode]), episodes=1)
    with pytest.raises(TypeError, match="must be an id"):
        evaluate(Constant(), 3, episodes=1)
    with pytest.raises((ValueError, gym.error.Error), match="NoSuchTask"):
        evaluate(Constant(), "NoSuchTask-v0", episodes=1)


def test_masks_reach_policies_that_ask_for_them() -> None:
    env = gym.make_vec("rlsuite/ProbeMask-v0", num_envs=4)
    seen = []

    class Masked:
        def predict(
            self,
            observation: Any,
            state: Any = None,
            episode_start: Any = None,
            deterministic: bool = False,
            action_masks: Any = None,
        ) -> tuple[np.ndarray, None]:
            assert action_masks.dtype == bool
            seen.append(action_masks)
            return action_masks.argmax(1), None  # the first allowed action

    result = evaluate(Masked(), env, episodes=40)
    assert len(seen) >= 10
    assert (result.returns >= 0).all()  # forbidden actions cost 10


@pytest.mark.parametrize(("output", "kind"), [("torch", torch.Tensor), ("numpy", np.ndarray)])
@pytest.mark.parametrize("action", [[0, 1], np.array([0, 1]), torch.tensor([0, 1])])
def test_actions_reach_an_environment_in_its_own_kind(output: str, kind: type, action: Any) -> None:
    venv = gym.make_vec("rlsuite/CartPole-v1", num_envs=2, output=output)
    sent = env_action(venv, action)
    assert isinstance(sent, kind) and [int(x) for x in sent] == [0, 1]
    venv.reset(seed=0)
    assert len(venv.step(sent)[1]) == 2
