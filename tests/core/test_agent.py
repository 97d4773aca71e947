"""The surface that Stable-Baselines3's users know, on its own callbacks, logger and evaluation; and checkpoints."""

from __future__ import annotations

import copy
import json
import pickle
import zipfile

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback, StopTrainingOnMaxEpisodes
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import configure
from stable_baselines3.common.monitor import Monitor

import rlsuite
from rlsuite import BPO, PPO, SAC
from rlsuite.core.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from rlsuite.sb3 import as_vec_env
from rlsuite_envs.mujoco.two_player import ForcedPool

QUICK = {
    PPO: {"n_steps": 32, "n_epochs": 2, "num_envs": 2},
    BPO: {"n_steps": 32, "n_epochs": 2, "num_envs": 2, "net_arch": (16,)},
    SAC: {"net_arch": (16,), "batch_size": 16, "learning_starts": 20, "num_envs": 2},
}
ALL = pytest.mark.parametrize("algorithm", [PPO, BPO, SAC])


def make(algorithm, env="Pendulum-v1", **options):
    return algorithm(env, device="cpu", **QUICK[algorithm], **options)


@ALL
def test_stable_baselines3_evaluates_our_models(algorithm):
    model = make(algorithm)
    mean, std = evaluate_policy(model, Monitor(gym.make("Pendulum-v1")), n_eval_episodes=2)
    assert -2000 < mean < 0 and std >= 0


@ALL
def test_stable_baselines3_callbacks_and_logger(algorithm, tmp_path):
    model = make(algorithm)
    model.set_logger(configure(str(tmp_path), ["csv", "json"]))
    eval_env = as_vec_env(rlsuite.core.vector.make_env("Pendulum-v1", 2, torch.device("cpu")))
    callbacks = [
        EvalCallback(
            eval_env,
            n_eval_episodes=2,
            eval_freq=60,
            log_path=str(tmp_path),
            best_model_save_path=str(tmp_path),
            verbose=0,
        ),
        CheckpointCallback(save_freq=50, save_path=str(tmp_path / "ckpt"), name_prefix="m"),
    ]
    model.learn(256, callback=callbacks)
    model.logger.close()
    evaluations = np.load(tmp_path / "evaluations.npz")
    assert evaluations["timesteps"].tolist() == [120, 240] and evaluations["results"].shape == (2, 2)
    saved = sorted(p.name for p in (tmp_path / "ckpt").iterdir())
    assert saved == ["m_100_steps.zip", "m_200_steps.zip"]
    assert rlsuite.load(tmp_path / "best_model").num_timesteps in (120, 240)
    assert algorithm.load(tmp_path / "ckpt" / "m_100_steps").num_timesteps == 100
    assert (tmp_path / "progress.csv").read_text().count("\n") >= 2
    eval_env.close()


def test_callback_stops_training():
    model = make(PPO, "CartPole-v1").learn(10_000, callback=StopTrainingOnMaxEpisodes(max_episodes=4))
    assert model.num_timesteps < 1000
    seen = []
    make(PPO, "CartPole-v1").learn(256, callback=lambda locals_, globals_: seen.append(locals_["dones"].shape) or True)
    assert seen == [(2,)] * 128


def test_log_has_stable_baselines3s_names(tmp_path):
    model = make(PPO, "CartPole-v1")
    model.set_logger(configure(str(tmp_path), ["json"]))
    model.learn(512)
    model.logger.close()
    last = json.loads((tmp_path / "progress.json").read_text().splitlines()[-1])
    names = {
        "rollout/ep_rew_mean",
        "time/fps",
        "train/approx_kl",
        "train/clip_fraction",
        "train/entropy_loss",
    }
    names |= {
        "train/explained_variance",
        "train/loss",
        "train/policy_gradient_loss",
        "train/value_loss",
        "train/n_updates",
    }
    assert names <= set(last)
    assert last["time/total_timesteps"] == 512 and last["train/n_updates"] == 16


@ALL
def test_predict_single_and_batch(algorithm):
    model = make(algorithm)
    one, state = model.predict(np.zeros(3, np.float32), deterministic=True)
    many, _ = model.predict(np.zeros((4, 3), np.float32), deterministic=True)
    assert one.shape == (1,) and many.shape == (4, 1) and state is None
    assert model.action_space.contains(one)
    np.testing.assert_allclose(many, np.tile(one, (4, 1)), atol=1e-6)
    with pytest.raises(ValueError, match=r"shape \(5,\) does not fit"):
        model.predict(np.zeros(5))
    with pytest.raises(ValueError, match="NaN or infinite"):
        model.predict(np.array([np.nan, 0, 0], np.float32))


def test_predict_respects_masks():
    model = PPO(None, spaces=(spaces.Box(-1, 1, (2,)), spaces.Discrete(4)), device="cpu")
    masks = np.zeros((200, 4), bool)
    masks[:, [1, 3]] = True
    actions, _ = model.predict(np.zeros((200, 2), np.float32), action_masks=masks)
    assert set(actions.tolist()) == {1, 3}


@pytest.mark.parametrize(
    "action_space",
    [
        spaces.Discrete(3, start=2),
        spaces.MultiDiscrete([2, 3]),
        spaces.MultiBinary(3),
        spaces.Box(-2, 5, (2, 2)),
    ],
)
@pytest.mark.parametrize(
    "observation_space",
    [
        spaces.Box(-1, 1, (2, 3)),
        spaces.Discrete(4),
        spaces.Dict(a=spaces.Box(-1, 1, (2,)), b=spaces.Discrete(3)),
        spaces.Tuple([spaces.Box(-1, 1, (2,)), spaces.MultiBinary(2)]),
    ],
)
def test_every_space_trains_and_survives_saving(observation_space, action_space, tmp_path):
    class Noise(gym.Env):
        def __init__(self):
            self.observation_space, self.action_space = observation_space, action_space

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.observation_space.seed(seed)
            return self.observation_space.sample(), {}

        def step(self, action):
            assert self.action_space.contains(action), action
            return self.observation_space.sample(), 1.0, bool(self.np_random.random() < 0.2), False, {}

    if not isinstance(observation_space, spaces.Tuple):
        check_env(Noise(), warn=False)
    model = PPO(Noise(), n_steps=64, n_epochs=1, seed=0, device="cpu").learn(128)
    model.save(tmp_path / "model")
    copy = rlsuite.load(tmp_path / "model")
    obs = observation_space.sample()
    np.testing.assert_array_equal(model.predict(obs, deterministic=True)[0], copy.predict(obs, deterministic=True)[0])
    assert copy.observation_space == observation_space and copy.action_space == action_space


@ALL
def test_save_and_load_give_equal_models(algorithm, tmp_path):
    options = {} if algorithm is SAC else {"normalize_obs": True, "normalize_reward": True}
    model = make(algorithm, **options).learn(128)
    model.save(tmp_path / "model.zip")
    copy = algorithm.load(tmp_path / "model", device="cpu")
    assert copy.config == model.config and copy.num_timesteps == model.num_timesteps
    for part, tensors in model.get_parameters().items():
        for name, tensor in tensors.items():
            assert torch.equal(tensor, copy.get_parameters()[part][name]), (part, name)
    obs = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
    np.testing.assert_array_equal(model.predict(obs, deterministic=True)[0], copy.predict(obs, deterministic=True)[0])
    np.testing.assert_array_equal(model.predict(obs)[0], copy.predict(obs)[0])  # the generators too
    with pytest.raises(ValueError, match="has no environment"):
        copy.learn(10)


def test_normalisers_are_frozen_outside_training():
    model = make(PPO, normalize_obs=True).learn(128)
    count = float(model.obs_norm.count)
    model.predict(np.ones((50, 3), np.float32))
    evaluate_policy(model, Monitor(gym.make("Pendulum-v1")), n_eval_episodes=1)
    assert float(model.obs_norm.count) == count


def test_set_env_checks_spaces():
    model = make(PPO)
    model.set_env("Pendulum-v1")
    with pytest.raises(ValueError, match="observation space of the environment"):
        model.set_env("CartPole-v1")


def test_parameters_round_trip():
    model, other = make(PPO, seed=0), make(PPO, seed=1)
    other.set_parameters(model.get_parameters())
    assert torch.equal(model.parts.flat.data, other.parts.flat.data)
    with pytest.raises(ValueError, match="unknown parts"):
        other.set_parameters({"brain": {}})


def test_bad_arguments_name_the_remedy():
    with pytest.raises(ValueError, match=r"no field 'n_step'.*'n_steps'"):
        PPO("CartPole-v1", n_step=5)
    with pytest.raises(ValueError, match="CartPole"):
        PPO("CartPol-v1")
    with pytest.raises(ValueError, match=r"device 'warp' cannot be used"):
        PPO("CartPole-v1", device="warp")
    with pytest.raises(TypeError, match="must be a PPOConfig"):
        PPO("CartPole-v1", SAC.config_class())
    with pytest.raises(TypeError, match="env must be an id"):
        PPO(42)
    with pytest.raises(ValueError, match="total_timesteps is 0"):
        make(PPO).learn(0)
    with pytest.raises(ValueError, match=r"algorithm 'ppp' is unknown.*'ppo'"):
        rlsuite.algorithm("ppp")
    with pytest.raises(AttributeError, match="no attribute 'DQN'"):
        rlsuite.DQN  # noqa: B018


def test_checkpoints_of_other_models_are_refused(tmp_path):
    make(PPO).save(tmp_path / "ppo")
    with pytest.raises(CheckpointError, match="holds a PPO model, not SAC"):
        SAC.load(tmp_path / "ppo")
    with pytest.raises(ValueError, match="space of the environment"):
        PPO.load(tmp_path / "ppo", env="CartPole-v1")
    from stable_baselines3 import PPO as Baseline

    Baseline("MlpPolicy", "CartPole-v1", device="cpu").save(tmp_path / "theirs.zip")
    with pytest.raises(CheckpointError):
        rlsuite.load(tmp_path / "theirs.zip")
    with zipfile.ZipFile(tmp_path / "foreign.zip", "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(CheckpointError):
        PPO.load(tmp_path / "foreign.zip")


def test_failed_save_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    model = make(PPO)
    model.save(tmp_path / "model")
    before = (tmp_path / "model.zip").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    model.learn(128)
    with pytest.raises(CheckpointError, match="No space left"):
        model.save(tmp_path / "model")
    monkeypatch.undo()
    assert (tmp_path / "model.zip").read_bytes() == before
    assert PPO.load(tmp_path / "model").num_timesteps == 0
    assert [p.name for p in tmp_path.iterdir()] == ["model.zip"]


def test_thread_count_is_restored():
    torch.set_num_threads(2)
    seen = []
    make(PPO).learn(64, on_update=lambda _: seen.append(torch.get_num_threads()))
    assert seen == [1] and torch.get_num_threads() == 2
    torch.set_num_threads(1)


@ALL
def test_a_model_from_a_gpu_loads_on_a_cpu(algorithm, tmp_path):
    """Weights are kept; generators of another kind start anew from seed and steps, and so do episodes."""
    model = make(algorithm, "rlsuite/Pendulum-v1").learn(64)
    model.save(tmp_path / "here")
    saved = load_checkpoint(tmp_path / "here")
    assert saved.meta["device"] == "cpu"
    foreign = torch.zeros(16, dtype=torch.uint8)  # what a CUDA generator's state looks like
    tensors = {
        name: foreign if name in ("generator/state", "env/rng") else value for name, value in saved.tensors.items()
    }
    assert sum(value is foreign for value in tensors.values()) == 2
    path = save_checkpoint(tmp_path / "there", meta={**saved.meta, "device": "cuda"}, tensors=tensors)
    loaded = algorithm.load(path, env="rlsuite/Pendulum-v1", device="cpu")
    obs = np.stack([model.observation_space.sample() for _ in range(8)])
    np.testing.assert_array_equal(loaded.predict(obs, deterministic=True)[0], model.predict(obs, deterministic=True)[0])
    assert loaded.num_timesteps == model.num_timesteps
    again = algorithm.load(path, env="rlsuite/Pendulum-v1", device="cpu")
    loaded.learn(64, reset_num_timesteps=False)
    again.learn(64, reset_num_timesteps=False)
    np.testing.assert_array_equal(loaded.predict(obs)[0], again.predict(obs)[0])
    same = save_checkpoint(tmp_path / "torn", meta=saved.meta, tensors=tensors)  # claims to be from this device
    with pytest.raises(CheckpointError, match="random state"):
        algorithm.load(same, device="cpu")


@pytest.mark.parametrize("way", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
@pytest.mark.parametrize("algorithm, env", [(PPO, "rlsuite/CartPole-v1"), (SAC, "rlsuite/Pendulum-v1")])
def test_a_copied_model_learns_alike_and_alone(algorithm, env, way):
    def weights(model):
        return torch.cat([x.flatten().clone() for x in model.policy.state_dict().values()])

    model = make(algorithm, env).learn(64)
    twin, before = way(model), weights(model)
    twin.learn(64, reset_num_timesteps=False)
    assert torch.equal(weights(model), before) and not torch.equal(weights(twin), before)
    model.learn(64, reset_num_timesteps=False)
    assert torch.equal(weights(model), weights(twin))


def test_a_copied_model_has_a_copy_of_its_environment():
    model = PPO(rlsuite.core.vector.make_env("rlsuite/CartPole-v1", 2, torch.device("cpu")), n_steps=32, batch_size=32)
    twin = copy.deepcopy(model.learn(64))
    assert twin.venv is not model.venv and twin.learn(64, reset_num_timesteps=False).num_timesteps == 128
    game = rlsuite.RARL(ForcedPool("InvertedPendulum-v5", 2), n_steps=32, batch_size=32)
    with pytest.raises(TypeError, match="a RARL in an environment object cannot be copied; make it with an"):
        copy.deepcopy(game)
