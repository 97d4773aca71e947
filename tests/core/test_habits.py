"""What a constructor takes and refuses: Stable-Baselines3's words, seeds, sizes, pictures, objectives."""

from __future__ import annotations

import re

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env
from torch import nn

from rlsuite import PPO, SAC
from rlsuite.core.evaluate import evaluate
from rlsuite.core.spaces import flatten_obs
from rlsuite.core.vec_env import SAME_STEP_ENV, as_vec_env
from rlsuite_envs.classic.cartpole import CartPole
from rlsuite_envs.single import TensorEnv
from rlsuite_envs.vector import TensorVectorEnv

SPACES = (spaces.Box(-1, 1, (3,)), spaces.Discrete(2))


def bare(**options):
    return PPO(None, spaces=SPACES, device="cpu", **options)


def test_stable_baselines3s_words_are_taken():
    env = gym.make("CartPole-v1")
    layers = {"net_arch": {"pi": [32], "vf": [32]}, "activation_fn": nn.ReLU, "ortho_init": False, "log_std_init": -1.0}
    for model in (
        PPO("MlpPolicy", "CartPole-v1", policy_kwargs=layers, use_sde=False, sde_sample_freq=-1, device="cpu"),
        PPO("MultiInputPolicy", env, policy_kwargs=layers, _init_setup_model=True, device="cpu"),
        PPO(policy="MlpPolicy", env=env, policy_kwargs=layers, device="cpu"),
        PPO("MlpPolicy", env=env, policy_kwargs=layers, device="cpu"),
        PPO(env="CartPole-v1", policy_kwargs=layers, device="cpu"),
    ):
        config = model.config
        assert (config.net_arch, config.activation, config.ortho_init, config.log_std_init) == (
            (32,),
            "relu",
            False,
            -1,
        )
        assert model.observation_space.shape == (4,)
    assert SAC("MlpPolicy", "Pendulum-v1", train_freq=(2, "step"), action_noise=None).config.train_freq == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": "CnnPolicy"}, "no policy 'CnnPolicy'.*there are no convolutions.*net_arch"),
        (
            {"policy_kwargs": {"features_extractor_class": 1}},
            r"'features_extractor_class'.*activation_fn \(the field act",
        ),
        ({"policy_kwargs": {"activation_fn": nn.SiLU}}, "activation_fn is SiLU; the field activation takes 'tanh'"),
        ({"policy_kwargs": {"net_arch": {"pi": [8], "vf": [9]}}}, "separate sizes are not supported"),
        ({"policy_kwargs": [64]}, r"policy_kwargs is \[64\]"),
        ({"policy_kwargs": {"net_arch": [8]}, "net_arch": 8}, "net_arch is given twice"),
        ({"use_sde": True}, "use_sde=True: state-dependent exploration is not supported"),
        ({"_init_setup_model": False}, "always set up"),
        ({"learning_rate": lambda left: 3e-4 * left}, "learning_rate is a function.*linear:3e-4"),
        ({"env_kwargs": {"table": np.eye(3)}}, r"env_kwargs\['table'\] is a ndarray.*lists instead of arrays"),
        ({"env_kwargs": {"f": [abs]}}, r"env_kwargs\['f'\]\[0\] is a builtin_function_or_method"),
        ({"env_kwargs": 3}, "env_kwargs is 3; it must be a dict"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"seed": 2**70}, "seed is 1180591620717411303424"),
        ({"seed": "x"}, "seed is 'x'"),
        ({"num_envs": 10**9}, "num_envs is 1000000000; it must be a whole number of at least 1 and at most 10,000,000"),
        ({"num_envs": 2.5}, "num_envs is 2.5"),
        ({"device": 3.5}, "device 3.5 cannot be used"),
        ({"verbose": "loud"}, "verbose is 'loud'"),
        ({"tensorboard_log": 3}, "tensorboard_log is 3"),
        ({"spaces": (1, 2)}, r"spaces is \(1, 2\)"),
        ({"net_arch": (10**7,)}, r"PPOConfig.net_arch=\(10000000,\)\) would take about .* GiB"),
        (
            {"n_steps": 10**9},
            "a rollout or minibatch of 1,000,000,000 observations of 3 numbers would take about 14.9 GiB",
        ),
    ],
)
def test_the_rest_is_refused_with_its_equivalent(options, message, monkeypatch):
    monkeypatch.setattr("rlsuite.core.memory.memory_bytes", lambda device: 8 * 2**30)
    with pytest.raises(ValueError, match=message):
        PPO(None, device=options.pop("device", "cpu"), spaces=options.pop("spaces", SPACES), **options)


def test_a_huge_replay_buffer_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setattr("rlsuite.core.memory.memory_bytes", lambda device: 8 * 2**30)
    with pytest.raises(ValueError, match=r"the replay buffer \(SACConfig.buffer_size\) would take about 33.5 GiB"):
        SAC("Pendulum-v1", buffer_size=10**9, device="cpu")


def test_seeds():
    assert bare(seed=None).seed != bare(seed=None).seed
    model = bare(seed=None)
    again = bare(seed=model.seed)
    assert all(torch.equal(a, b) for a, b in zip(model.policy.parameters(), again.policy.parameters(), strict=True))
    assert bare(seed=np.int64(7)).seed == 7 and type(bare(seed=np.int64(7)).seed) is int


def test_learn_names_the_callback_that_evaluates():
    with pytest.raises(TypeError, match=r"no argument 'eval_env'.*EvalCallback"):
        PPO("CartPole-v1", device="cpu").learn(64, eval_env="CartPole-v1")
    with pytest.raises(TypeError, match="two values for env"):
        PPO("CartPole-v1", env="CartPole-v1")


def test_remedies_for_another_autoreset_work():
    id, num_envs = "CartPole-v1", 2  # the names in the advice
    for use in (lambda e: PPO(e, device="cpu"), as_vec_env, lambda e: evaluate(bare(), e, episodes=2)):
        with pytest.raises(ValueError, match=re.escape(SAME_STEP_ENV)):
            use(gym.make_vec(id, num_envs))
    env = eval(SAME_STEP_ENV)
    assert PPO(env, device="cpu").num_envs == as_vec_env(env).num_envs == num_envs
    assert evaluate(PPO(env, device="cpu"), env, episodes=2).episodes == 2


class TwoGoals(gym.Env):
    observation_space, action_space = spaces.Box(-1, 1, (3,)), spaces.Discrete(2)
    reward_space = spaces.Box(-1, 1, (2,))

    def reset(self, *, seed=None, options=None):
        return np.zeros(3, np.float32), {}

    def step(self, action):
        return np.zeros(3, np.float32), np.array([1.0, 3.0]), True, False, {}


def test_several_objectives_are_refused_by_their_number_and_one_is_learned_from():
    several = pytest.raises(ValueError, match=r"vector of 2 objectives.*LinearReward\(env, weights\)")
    with several:
        PPO(TwoGoals(), device="cpu")
    with several:
        evaluate(bare(), gym.wrappers.TimeLimit(TwoGoals(), 5), episodes=1)
    with several:
        PPO(gym.vector.SyncVectorEnv([TwoGoals], autoreset_mode=gym.vector.AutoresetMode.SAME_STEP), device="cpu")
    one = gym.wrappers.TransformReward(TwoGoals(), lambda reward: float(np.array([1, 0.5]) @ reward))
    assert PPO(one, n_steps=64, device="cpu").learn(64).ep_info_buffer[0] == {"r": 2.5, "l": 1}


class TwoPoles(CartPole):
    @property
    def reward_dim(self):
        return 2


def test_a_kernel_of_several_objectives_is_refused():
    for use in (lambda env: PPO(env, device="cpu"), lambda env: evaluate(bare(), env, episodes=1)):
        for env in (TensorVectorEnv(2, kernel=TwoPoles()), TensorEnv(kernel=TwoPoles())):
            with pytest.raises(ValueError, match="vector of 2 objectives"):
                use(env)


@pytest.mark.parametrize("id", ["rlsuite/ProbePolicy-v0", "rlsuite/ProbeMask-v0", "rlsuite/CartPole-v1", "CartPole-v1"])
def test_stable_baselines3s_helper_makes_ids_with_and_without_pictures(id):
    env = make_vec_env(id, 1)
    env.reset()
    assert env.step([env.action_space.sample()])[1].shape == (1,)
    env.close()
    with pytest.raises(TypeError, match="does not draw itself; leave it out"):
        gym.make("rlsuite/ProbePolicy-v0", render_mode="rgb_array")


class Bright(gym.Env):
    """A picture whose one half is bright: which one is the right action; 20 steps."""

    observation_space = spaces.Box(0, 255, (12, 12, 3), np.uint8)
    action_space = spaces.Discrete(2)

    def _obs(self):
        self.side = int(self.np_random.integers(2))
        picture = self.np_random.integers(60, 120, (12, 12, 3), dtype=np.uint8)
        picture[:, 6 * self.side : 6 * self.side + 6] += 60
        return picture

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 20
        return self._obs(), {}

    def step(self, action):
        reward, self.left = float(action == self.side), self.left - 1
        return self._obs(), reward, False, self.left == 0, {}


def test_pictures_are_scaled_everywhere_and_the_missing_convolutions_are_named(tmp_path):
    with pytest.warns(UserWarning, match=r"432 pixels.*no convolutional networks yet"):
        model = PPO(Bright(), n_steps=128, device="cpu", seed=0)
    model.learn(4096)
    picture = Bright.observation_space.sample()
    rows = flatten_obs(model.observation_space, picture[None], torch.device("cpu"))
    np.testing.assert_array_equal(rows.numpy(), picture.reshape(1, -1).astype(np.float32) / 255)
    assert float(model.runner.obs.max()) <= 1
    both = spaces.Dict(eye=Bright.observation_space, ram=spaces.Box(0, 255, (2,), np.uint8))
    row = flatten_obs(both, {"eye": picture[None], "ram": np.array([[7, 255]], np.uint8)}, torch.device("cpu"))
    assert row[0, -2:].tolist() == [7, 255] and torch.equal(row[:, :-2], rows)
    scaled = picture.astype(np.float32) / 255  # a float picture is one that somebody has scaled
    np.testing.assert_array_equal(
        model.predict(picture, deterministic=True)[0], model.predict(scaled, deterministic=True)[0]
    )
    assert evaluate(model, Bright(), episodes=3).returns.tolist() == [20, 20, 20]
