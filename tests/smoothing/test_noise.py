"""The wrappers: noise before stacking, last observations included, seeds, resume, and agents that train in them."""

from __future__ import annotations

import copy

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import FrameStackObservation
from stable_baselines3 import DQN

from rlsuite import PPO, SAC
from rlsuite.core.vec_env import as_vec_env, to_numpy
from rlsuite.smoothing.noise import (
    GaussianNoise,
    NoisyObservation,
    NoisyVectorObservation,
    StackVectorObservation,
)
from rlsuite_envs.make import make_vector_env

CARTPOLE = "rlsuite/CartPole-v1"


class Counter(gym.Env):
    """Shows 10 times the episode plus the step; ends after three steps."""

    observation_space = spaces.Box(0, 255, (2,), np.float32)
    action_space = spaces.Discrete(2)
    episode = -1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.t = self.episode + 1, 0
        return self._obs(), {}

    def step(self, action):
        self.t += 1
        return self._obs(), 1.0, self.t == 3, False, {}

    def _obs(self):
        return np.full(2, 10 * self.episode + self.t, np.float32)


def counters(num_envs):
    return SyncVectorEnv([Counter] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)


def final_rows(info):
    """Last observations [B, ...], NaN where the episode goes on."""
    done, final = to_numpy(info["_final_obs"]), to_numpy(info["final_obs"])
    rows = np.full((len(done), *np.shape(final[np.flatnonzero(done)[0]])), np.nan)
    rows[done] = np.stack([np.asarray(row) for row in final[done]])
    return rows


def roll(venv, steps, seed=0):
    """Observations, dones and last observations of `steps` steps of action 0."""
    obs, _ = venv.reset(seed=seed)
    seen, finals = [to_numpy(obs).copy()], {}
    for t in range(steps):
        obs, _, terminated, truncated, info = venv.step(np.zeros(venv.num_envs, np.int64))
        seen.append(to_numpy(obs).copy())
        if np.any(to_numpy(terminated) | to_numpy(truncated)):
            finals[t + 1] = final_rows(info)
    return np.array(seen), finals


@pytest.mark.filterwarnings("ignore:.*WARN.*:UserWarning")  # it is a wrapper, and its box is infinite
def test_single_wrapper_passes_gymnasiums_checker():
    env = NoisyObservation(gym.make("CartPole-v1"), sigma=0.2)
    assert env.observation_space == spaces.Box(-np.inf, np.inf, (4,), np.float32)
    check_env(env, skip_render_check=True)


def test_stacks_carry_one_draw_per_frame():
    env = FrameStackObservation(NoisyObservation(Counter(), sigma=0.3), 3, padding_type="reset")
    first, _ = env.reset(seed=0)
    second = env.step(0)[0]
    assert (first == first[0]).all() and (first != 0).all()
    np.testing.assert_array_equal(second[:2], first[1:])


def test_vector_stack_is_gymnasiums_single_one():
    """Without noise, row by row, last observations included."""
    seen, finals = roll(StackVectorObservation(counters(2), 3), 7)
    env = FrameStackObservation(Counter(), 3, padding_type="reset")
    expected, _ = env.reset()
    np.testing.assert_array_equal(seen[0][1], expected)
    for t in range(1, 8):
        expected, _, terminated, _, _ = env.step(0)
        if terminated:
            np.testing.assert_array_equal(finals[t][1], expected)
            expected, _ = env.reset()
        np.testing.assert_array_equal(seen[t][1], expected)
    assert set(finals) == {3, 6}


@pytest.mark.parametrize("output", ["torch", "numpy"])
def test_vector_noise_is_on_every_observation_and_the_environment_is_unchanged(output):
    def make():
        return gym.make_vec(CARTPOLE, num_envs=64, device="cpu", output=output)

    plain, plain_finals = roll(make(), 40)
    noisy, noisy_finals = roll(NoisyVectorObservation(make(), 0.1), 40)
    noise = noisy - plain
    assert noise.std() == pytest.approx(0.1, rel=0.05) and (noise != 0).mean() > 0.999
    assert set(plain_finals) == set(noisy_finals) and plain_finals
    for t, final in plain_finals.items():
        assert (np.isnan(final) == np.isnan(noisy_finals[t])).all()
    off = np.concatenate([(noisy_finals[t] - final).ravel() for t, final in plain_finals.items()])
    off = off[np.isfinite(off)]
    assert len(off) > 100 and np.std(off) == pytest.approx(0.1, rel=0.2) and (off != 0).all()
    stacked, finals = roll(StackVectorObservation(NoisyVectorObservation(make(), 0.1), 4), 40)
    np.testing.assert_array_equal(stacked[:, :, -1], noisy)
    for t in finals:
        np.testing.assert_array_equal(finals[t][:, -1], noisy_finals[t])  # NaN in the same rows


def test_seeds():
    a, b, c = (roll(NoisyVectorObservation(counters(3), 0.2), 5, seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a != c).all()


def test_images_become_numbers_in_the_unit_interval():
    class Image(Counter):
        observation_space = spaces.Box(0, 255, (1, 8, 8), np.uint8)

        def _obs(self):
            return np.full((1, 8, 8), 51, np.uint8)

    obs, _ = NoisyObservation(Image(), sigma=0.01).reset(seed=0)
    assert obs.dtype == np.float32 and obs.mean() == pytest.approx(0.2, abs=0.005) and obs.std() > 0.005
    venv = SyncVectorEnv([Image] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    stacked, _ = StackVectorObservation(NoisyVectorObservation(venv, 0.01), 4).reset(seed=0)
    assert stacked.shape == (2, 4, 1, 8, 8) and stacked.mean() == pytest.approx(0.2, abs=0.005)


def noisy_stack(num_envs, sigma=0.2, frames=3):
    return StackVectorObservation(NoisyVectorObservation(make_vector_env(CARTPOLE, num_envs), sigma), frames)


def test_ppo_trains_under_noise_and_resumes_exactly(tmp_path):
    def model():
        return PPO(noisy_stack(4), n_steps=32, batch_size=64, device="cpu")

    whole = model().learn(512, log_interval=None)
    half = model().learn(256, log_interval=None)
    half.save(tmp_path / "half.zip")
    resumed = PPO.load(tmp_path / "half.zip", env=noisy_stack(4), device="cpu")
    resumed.learn(256, log_interval=None, reset_num_timesteps=False)
    for name, tensor in whole.get_parameters()["policy"].items():
        assert torch.equal(tensor, resumed.get_parameters()["policy"][name]), name
    assert whole.observation_space.shape == (3, 4)


def test_stacks_belong_to_who_gets_them():
    env = StackVectorObservation(make_vector_env("rlsuite/CartPole-v1", 2), 2)
    first, _ = env.reset(seed=0)
    kept = first.clone()
    first[:] = 7
    second = env.step(torch.zeros(2, dtype=torch.int64))[0]
    assert torch.equal(second[:, 0], kept[:, 1])


def test_sac_and_stable_baselines_dqn_train_under_noise():
    venv = NoisyVectorObservation(make_vector_env("rlsuite/Pendulum-v1", 2), 0.1)
    assert SAC(venv, learning_starts=20, batch_size=8, device="cpu").learn(60, log_interval=None).num_timesteps >= 60
    model = DQN("MlpPolicy", as_vec_env(noisy_stack(2)), learning_starts=20, batch_size=8, device="cpu").learn(60)
    stored = model.replay_buffer.observations[:20]
    assert stored.dtype == np.float32 and stored.shape[-2:] == (3, 4)
    np.testing.assert_array_equal(stored[0, 0, 0], stored[0, 0, 1])  # the first frame fills the stack


def test_bad_input():
    for sigma in (-0.1, np.nan, np.inf, "0.1"):
        with pytest.raises(ValueError, match="sigma"):
            GaussianNoise(sigma)
    with pytest.raises(ValueError, match="needs a Box"):
        NoisyObservation(gym.make("FrozenLake-v1"), 0.1)
    with pytest.raises(ValueError, match="SAME_STEP"):
        NoisyVectorObservation(gym.make_vec("CartPole-v1", 2), 0.1)
    with pytest.raises(ValueError, match="frames=0"):
        StackVectorObservation(counters(1), 0)
    venv = NoisyVectorObservation(make_vector_env(CARTPOLE, 2), 0.1)
    venv.reset(seed=0)
    with pytest.raises(ValueError, match="reset_mask"):
        venv.reset(options={"reset_mask": np.array([True, False])})


@pytest.mark.parametrize("wrap", [lambda v: NoisyVectorObservation(v, 0.1), lambda v: StackVectorObservation(v, 2)])
def test_a_copy_has_a_state_of_its_own(wrap):
    env = wrap(make_vector_env("rlsuite/CartPole-v1", 2))
    env.reset(seed=1)
    twin = copy.deepcopy(env)
    before = {name: value.copy() for name, value in env.state_dict().items()}
    assert all(np.array_equal(twin.state_dict()[name], value) for name, value in before.items())
    twin.reset(seed=7)
    assert any(not np.array_equal(twin.state_dict()[name], value) for name, value in before.items())
    assert all(np.array_equal(env.state_dict()[name], value) for name, value in before.items())
    twin.load_state_dict(before)
    assert all(np.array_equal(twin.state_dict()[name], value) for name, value in before.items())
    assert not hasattr(wrap(make_vector_env("CartPole-v1", 2)), "state_dict")
