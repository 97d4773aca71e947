"""Smoothed policies: noise per frame, the tight examples of the lemma, and episodes as one batch."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from scipy.stats import norm
from stable_baselines3 import PPO as SB3PPO
from stable_baselines3.common.evaluation import evaluate_policy

from rlsuite import PPO, SAC
from rlsuite.core.evaluate import evaluate
from rlsuite.smoothing.certificates import certify_success
from rlsuite.smoothing.episodes import smoothed_returns
from rlsuite.smoothing.smoothed import SmoothedPolicy
from rlsuite_envs.kernel import Kernel
from rlsuite_envs.make import make_vector_env
from rlsuite_envs.vector import TensorVectorEnv

CARTPOLE = "rlsuite/CartPole-v1"


@dataclass(frozen=True)
class RecallParams:
    horizon: int = 4


@dataclass(frozen=True)
class RecallState:
    time: torch.Tensor


class Recall(Kernel):
    """Shows 0 for T steps; the last action, 0 or 1, is the return."""

    params_class = RecallParams

    @property
    def observation_space(self):
        return spaces.Box(-np.inf, np.inf, (1,), np.float32)

    @property
    def action_space(self):
        return spaces.Discrete(2)

    def initial_state(self, num, rng):
        return RecallState(torch.zeros(num, dtype=torch.int64))

    def post_decision(self, state, action):
        after = RecallState(state.time + 1)
        return after, torch.where(after.time == self.params.horizon, action, 0).float()

    def transition(self, post_state, noise):
        return post_state, None, torch.zeros_like(post_state.time, dtype=torch.bool)

    def observe(self, state):
        return torch.zeros((len(state.time), 1))


def recall(num_envs, horizon):
    return TensorVectorEnv(num_envs, kernel=Recall(RecallParams(horizon)))


class FirstBelow:
    """1 iff the first noisy observation was at most c: remembers it in its state."""

    def __init__(self, c):
        self.c = c

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        x = observation[:, 0]
        state = x if state is None else np.where(episode_start, x, state)
        return (state <= self.c).astype(np.int64), state


class SumBelow(FirstBelow):
    """1 iff the sum of the noisy observations so far is at most c."""

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        x = observation[:, 0].astype(np.float64)
        state = x if state is None else np.where(episode_start, 0.0, state) + x
        return (state <= self.c).astype(np.int64), state


class Shift:
    """Adds a perturbation of norm `step` to every observation as long as the budget lasts."""

    def __init__(self, budget, step):
        self.budget, self.step = budget, step

    def __call__(self, frame, context, remaining):
        part = torch.minimum(remaining, torch.full_like(remaining, self.step)).to(frame.dtype) * (1 - 1e-7)
        part = part / frame[0].numel() ** 0.5
        return part.reshape(-1, *[1] * (frame.ndim - 1)).expand_as(frame)


class Recorder:
    """A policy that keeps what it was shown."""

    def __init__(self, action=0):
        self.seen, self.starts = [], []

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        self.seen.append(np.array(observation))
        self.starts.append(np.array(episode_start))
        return np.zeros(len(observation), np.int64), state


# --- The lemma, where it is tight -------------------------------------------------------------------------------------

N = 100_000
ERROR = 4 * 0.5 / np.sqrt(N)


@pytest.mark.parametrize("budget", [0.0, 0.1, 0.3])
def test_first_observation_below(budget):
    """Reward 1 iff x_1 <= c, attacked by B in step 1: equality in (A1)."""
    sigma, c = 0.2, 0.15
    run = smoothed_returns(FirstBelow(c), recall(N, 3), sigma=sigma, episodes=N, attack=Shift(budget, budget))
    assert run.returns.mean() == pytest.approx(norm.cdf(norm.ppf(norm.cdf(c / sigma)) - budget / sigma), abs=ERROR)
    np.testing.assert_allclose(run.spent, budget, atol=1e-6)
    assert (run.lengths == 3).all()


@pytest.mark.parametrize("budget", [0.0, 0.2, 0.5])
def test_sum_of_observations_below(budget):
    """Reward 1 iff sum x_t <= c, attacked by B / sqrt(T) in every step: equality in (A1)."""
    sigma, c, steps = 0.2, 0.3, 4
    attack = Shift(budget, budget / np.sqrt(steps))
    run = smoothed_returns(SumBelow(c), recall(N, steps), sigma=sigma, episodes=N, attack=attack)
    clean = norm.cdf(c / (sigma * np.sqrt(steps)))
    assert run.returns.mean() == pytest.approx(norm.cdf(norm.ppf(clean) - budget / sigma), abs=ERROR)
    np.testing.assert_allclose(run.spent, budget, atol=1e-6)


def test_the_certificate_is_below_the_attacked_success_and_near_it():
    sigma, budgets = 0.2, [0.1, 0.2, 0.4]
    clean = smoothed_returns(SumBelow(0.3), recall(N, 4), sigma=sigma, episodes=N, seed=1)
    certificate = certify_success(clean.returns, budgets, sigma, alpha=1e-6)
    for budget, value in zip(budgets, certificate.value, strict=True):
        attack = Shift(budget, budget / 2)
        attacked = smoothed_returns(SumBelow(0.3), recall(N, 4), sigma=sigma, episodes=N, seed=2, attack=attack)
        assert value < attacked.returns.mean() + ERROR
        assert attacked.returns.mean() - value < 0.02


class MeanBelow:
    """1 iff the mean of the frames in the stack is at most c."""

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return (observation.reshape(len(observation), -1).mean(1) <= 0.2).astype(np.int64), state


class FreshNoise(SmoothedPolicy):
    """The mistake: every copy in the stack gets its own draw."""

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        frame, _ = self._newest(observation)
        copies = self.noise.add(frame.repeat_interleave(5, 1))
        return self.policy.predict(copies.numpy(), None, episode_start, deterministic)


def test_one_draw_per_frame_keeps_the_certificate_and_one_per_copy_breaks_it():
    """The counterexample with k = 5 copies of one frame, sigma 0.2, B = 0.1, in numbers."""
    sigma, budget, zeros = 0.2, 0.1, np.zeros((N, 1), np.float32)

    def rate(policy, shift):
        return policy.predict(zeros + np.float32(shift))[0].mean()

    fresh = FreshNoise(MeanBelow(), sigma, frames=5)
    assert rate(fresh, 0.0) == pytest.approx(0.98733, abs=ERROR)
    claimed = norm.cdf(norm.ppf(0.98733) - budget / sigma)
    assert claimed == pytest.approx(0.95872, abs=5e-5)
    assert rate(fresh, budget) == pytest.approx(0.86822, abs=ERROR)  # far below what would be certified
    ours = SmoothedPolicy(MeanBelow(), sigma, frames=5)
    clean, attacked = rate(ours, 0.0), rate(ours, budget)
    assert clean == pytest.approx(norm.cdf(1.0), abs=ERROR)
    assert attacked == pytest.approx(norm.cdf(norm.ppf(clean) - budget / sigma), abs=2 * ERROR)


# --- Noise ------------------------------------------------------------------------------------------------------------


def test_a_noisy_frame_stays_in_the_stack_and_the_first_fills_it():
    recorder = Recorder()
    policy = SmoothedPolicy(recorder, 0.5, frames=3)
    state, frames = None, np.arange(8.0, dtype=np.float32).reshape(4, 2, 1)
    starts = np.array([[True, True], [False, False], [False, True], [False, False]])
    for frame, start in zip(frames, starts, strict=True):
        _, state = policy.predict(frame, state, start)
    first, second, third, fourth = recorder.seen
    assert first.shape == (2, 3, 1)
    for row in (0, 1):  # at a start the first noisy frame is repeated
        assert (first[row] == first[row, 0]).all() and abs(first[row, 0, 0] - frames[0, row, 0]) < 3
        np.testing.assert_array_equal(second[row, :2], first[row, 1:])
    np.testing.assert_array_equal(third[0, :2], second[0, 1:])
    assert (third[1] == third[1, 0]).all() and third[1, 0] != second[1, 2]
    np.testing.assert_array_equal(fourth[:, :2], third[:, 1:])
    np.testing.assert_array_equal(np.array(recorder.starts), starts)


def test_environments_that_stack_themselves_are_reduced_to_their_newest_frame():
    single, flat, whole = Recorder(), Recorder(), Recorder()
    frames = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    policies = [
        SmoothedPolicy(single, 0.3, frames=2),
        SmoothedPolicy(flat, 0.3, frames=2, stacked=True),
        SmoothedPolicy(whole, 0.3, frames=2, stacked=True),
    ]
    states = [None, None, None]
    for t, frame in enumerate(frames):
        stack = np.stack([frames[max(t - 1, 0)], frame], axis=1)
        for i, shown in enumerate((frame, stack.reshape(2, 6), stack)):
            _, states[i] = policies[i].predict(shown, states[i], np.full(2, t == 0))
    np.testing.assert_array_equal(np.array(single.seen), np.array(flat.seen))
    np.testing.assert_array_equal(np.array(single.seen), np.array(whole.seen))


def test_noise_has_the_declared_deviation():
    recorder = Recorder()
    SmoothedPolicy(recorder, 0.7).predict(np.full((50_000, 4), 3.0, np.float32))
    noise = recorder.seen[0] - 3.0
    assert noise.std() == pytest.approx(0.7, rel=0.01) and abs(noise.mean()) < 0.01
    assert np.abs(np.corrcoef(noise.T) - np.eye(4)).max() < 0.02


def test_images_are_scaled_before_noise():
    recorder = Recorder()
    SmoothedPolicy(recorder, 0.01).predict(np.full((2, 1, 84, 84), 51, np.uint8))
    assert recorder.seen[0].dtype == np.float32 and recorder.seen[0].mean() == pytest.approx(0.2, abs=1e-3)


# --- Episodes ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def agent():
    return PPO(CARTPOLE, num_envs=8, n_steps=32, batch_size=64, device="cpu").learn(2_000)


@pytest.mark.parametrize("count", [7, 30])
def test_without_noise_it_is_the_plain_evaluation(agent, count):
    """30 episodes in `count` environments: the same returns and lengths, bit for bit (in another order)."""
    plain = evaluate(agent, make_vector_env(CARTPOLE, count), episodes=30, seed=5)
    ours = smoothed_returns(agent, make_vector_env(CARTPOLE, count), sigma=0.0, episodes=30, seed=5)
    assert sorted(plain.returns) == sorted(ours.returns) and len(set(ours.returns)) > 3
    assert sorted(plain.lengths) == sorted(ours.lengths)
    assert (ours.spent == 0).all()


def test_equal_seeds_give_equal_returns(agent):
    for deterministic in (True, False):
        runs = [
            smoothed_returns(agent, CARTPOLE, sigma=0.3, episodes=50, seed=s, deterministic=deterministic).returns
            for s in (0, 0, 1)
        ]
        np.testing.assert_array_equal(runs[0], runs[1])
        assert (runs[0] != runs[2]).any()


def test_the_agents_own_randomness_is_left_alone(agent):
    before, torch_before = agent.generator.get_state(), torch.random.get_rng_state()
    smoothed_returns(agent, CARTPOLE, sigma=0.3, episodes=5, deterministic=False)
    assert torch.equal(agent.generator.get_state(), before)
    assert torch.equal(torch.random.get_rng_state(), torch_before)


class Counted(gym.Env):
    """Row i always plays episodes of i + 1 steps and pays 10 i + how many were played before."""

    observation_space = spaces.Box(-1, 1, (1,))
    action_space = spaces.Discrete(2)

    def __init__(self, i):
        self.i, self.played, self.t = i, -1, 0

    def reset(self, *, seed=None, options=None):
        self.played, self.t = self.played + 1, 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.t += 1
        done = self.t == self.i + 1
        return np.zeros(1, np.float32), float(10 * self.i + self.played) * done, done, False, {}


def test_every_environment_plays_its_share_in_order():
    venv = SyncVectorEnv([lambda i=i: Counted(i) for i in range(3)], autoreset_mode=AutoresetMode.SAME_STEP)
    run = smoothed_returns(Recorder(), venv, sigma=0.1, episodes=7)
    assert run.returns.tolist() == [0, 1, 10, 11, 20, 21, 22]
    assert run.lengths.tolist() == [1, 1, 2, 2, 3, 3, 3]


def test_a_budget_is_per_episode():
    """The second episode of a row may spend it again, and a row that is through spends nothing more."""
    venv = SyncVectorEnv([lambda i=i: Counted(i) for i in range(3)], autoreset_mode=AutoresetMode.SAME_STEP)
    run = smoothed_returns(Recorder(), venv, sigma=0.1, episodes=7, attack=Shift(0.5, 0.4))
    np.testing.assert_allclose(run.spent, [0.4, 0.4, 0.5, 0.5, 0.5, 0.5, 0.5], atol=1e-6)


class Greedy(Shift):
    def __call__(self, frame, context, remaining):
        return torch.full_like(frame, 0.4)


def test_an_attack_beyond_its_budget_is_refused():
    with pytest.raises(ValueError, match=r"spends 0\.4 .* which has 0\.3 left"):
        smoothed_returns(Recorder(), recall(2, 3), sigma=0.1, episodes=2, attack=Greedy(0.5, 0.0))


def test_stable_baselines_models_can_be_smoothed():
    model = SB3PPO("MlpPolicy", "CartPole-v1", n_steps=64, seed=0, device="cpu")
    run = smoothed_returns(model, CARTPOLE, sigma=0.2, episodes=20)
    assert run.returns.shape == (20,) and (run.returns >= 8).all()
    policy = SmoothedPolicy(model, 0.2)
    one, _ = policy.predict(np.zeros(4, np.float32), deterministic=True)
    assert np.shape(one) == () and np.shape(policy.predict(np.zeros((1, 4), np.float32))[0]) == (1,)
    mean, _ = evaluate_policy(policy, model.get_env(), n_eval_episodes=3)
    assert mean >= 8


def test_core_evaluation_takes_a_smoothed_policy(agent):
    first, again = (evaluate(SmoothedPolicy(agent, 0.4), CARTPOLE, episodes=10, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.returns, again.returns)


class BadEnv(Counted):
    def step(self, action):
        obs, _, *rest = super().step(action)
        return (obs, np.nan, *rest)


def test_bad_input(agent):
    with pytest.raises(ValueError, match="sigma=-1"):
        SmoothedPolicy(agent, -1.0)
    with pytest.raises(ValueError, match="frames=0"):
        SmoothedPolicy(agent, 0.1, frames=0)
    with pytest.raises(TypeError, match="predict"):
        SmoothedPolicy(object(), 0.1)
    with pytest.raises(ValueError, match="budget is nan"):
        SmoothedPolicy(agent, 0.1, attack=Shift(np.nan, 0.1))
    with pytest.raises(ValueError, match="episodes=0"):
        smoothed_returns(agent, CARTPOLE, sigma=0.1, episodes=0)
    with pytest.raises(ValueError, match="does not fit"):
        SmoothedPolicy(agent, 0.1).predict(np.zeros((2, 5), np.float32))
    with pytest.raises(ValueError, match="first axis must be 3"):
        SmoothedPolicy(Recorder(), 0.1, frames=3, stacked=True).predict(np.zeros((2, 4, 5), np.float32))
    with pytest.raises(ValueError, match="3 equal parts"):
        SmoothedPolicy(Recorder(), 0.1, frames=3, stacked=True).predict(np.zeros((2, 5), np.float32))
    discrete = Recorder()
    discrete.observation_space = spaces.Discrete(3)
    with pytest.raises(ValueError, match="needs Box"):
        SmoothedPolicy(discrete, 0.1)
    stacked = SmoothedPolicy(Recorder(), 0.1, frames=3)
    with pytest.raises(ValueError, match="state is None"):
        stacked.predict(np.zeros((2, 4), np.float32), None, np.array([True, False]))
    _, state = stacked.predict(np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match="of 2 environments, the observation of 3"):
        stacked.predict(np.zeros((3, 4), np.float32), state)
    with pytest.raises(ValueError, match="SAME_STEP"):
        smoothed_returns(agent, gym.make_vec("CartPole-v1", 2), sigma=0.1, episodes=2)
    with pytest.raises(ValueError, match="num_envs"):
        smoothed_returns(Recorder(), recall(2, 3), sigma=0.1, episodes=2, num_envs=3)
    venv = SyncVectorEnv([lambda: BadEnv(0)], autoreset_mode=AutoresetMode.SAME_STEP)
    with pytest.raises(FloatingPointError, match="reward is nan at step 1 in environment 0"):
        smoothed_returns(Recorder(), venv, sigma=0.1, episodes=1)


def test_mujocos_pool_and_its_float64_observations():
    agent = PPO("InvertedPendulum-v5", n_steps=64, device="cpu")
    assert agent.observation_space.dtype == np.float64
    plain = evaluate(agent, make_vector_env("InvertedPendulum-v5", 4), episodes=8, seed=2)
    ours = smoothed_returns(agent, make_vector_env("InvertedPendulum-v5", 4), sigma=0.0, episodes=8, seed=2)
    assert sorted(plain.returns) == sorted(ours.returns)
    noisy = smoothed_returns(agent, "InvertedPendulum-v5", sigma=0.5, episodes=8, seed=2, attack=Shift(0.3, 0.1))
    assert sorted(noisy.returns) != sorted(ours.returns) and (noisy.spent <= 0.3).all()


def test_sampled_evaluation_repeats_and_leaves_the_agent_alone(agent):
    smoothed, before = SmoothedPolicy(agent, 0.2), agent.generator.get_state()
    runs = [evaluate(smoothed, CARTPOLE, episodes=6, seed=3, deterministic=False).returns for _ in range(2)]
    np.testing.assert_array_equal(*runs)
    assert torch.equal(agent.generator.get_state(), before)


def test_layouts_that_would_be_scrambled_are_refused():
    seen = Recorder()
    seen.observation_space = spaces.Box(-9, 9, (2, 2, 4))  # four frames of 2 x 2 behind each other, the stack last
    with pytest.raises(ValueError, match="move its stack axis"):
        SmoothedPolicy(seen, 0.0, frames=4).predict(np.zeros((3, 2, 2), np.float32))
    seen.observation_space = spaces.Box(-9, 9, (5,))
    with pytest.raises(ValueError, match="not 2 equal frames"):
        SmoothedPolicy(seen, 0.0, frames=2)
    seen.observation_space = spaces.Box(0, 255, (3,), np.uint8)
    with pytest.raises(ValueError, match="uint8"):
        SmoothedPolicy(seen, 0.0)


def test_the_protagonist_of_a_game_is_smoothed():
    game = SAC(None, spaces=(spaces.Box(-np.inf, np.inf, (4,)), spaces.Box(-1, 1, (2,))), device="cpu")
    found = smoothed_returns(game, "rlsuite/WindyPoint-v0", sigma=0.1, episodes=3, env_kwargs={"horizon": 5})
    assert found.lengths.max() <= 5 and (found.returns > 0).all()
