"""Adapters to Stable-Baselines3, judged by SB3 itself: its own DummyVecEnv, evaluate_policy and learners."""

import io
import zipfile
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from rlsuite import evaluate
from rlsuite.sb3 import as_model, as_policy, as_vec_env, load_parameters

torch.set_num_threads(1)


def make_vector(env_id: str, num_envs: int, mode: AutoresetMode = AutoresetMode.SAME_STEP, **kwargs: Any) -> Any:
    vector_kwargs = {"autoreset_mode": mode}
    return gym.make_vec(env_id, num_envs, vectorization_mode="sync", vector_kwargs=vector_kwargs, **kwargs)


class TorchVector(gym.vector.VectorEnv):
    """Counts to a limit; torch in and out, final observations as one batch, as our kernels do."""

    metadata: ClassVar = {"autoreset_mode": AutoresetMode.SAME_STEP}
    output, device, render_mode = "torch", "cpu", None

    def __init__(self, num_envs: int, limit: int, truncate: bool) -> None:
        self.num_envs, self.limit, self.truncate = num_envs, limit, truncate
        self.single_observation_space = gym.spaces.Box(0, 100, (1,), np.float32)
        self.single_action_space = gym.spaces.Discrete(2)
        self.count = torch.zeros(num_envs, 1)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        self.seed_seen = seed
        self.count = torch.arange(self.num_envs, dtype=torch.float32)[:, None]
        return self.count, {}

    def step(self, action: Any) -> Any:
        assert isinstance(action, torch.Tensor)
        self.count += 1
        done = self.count[:, 0] >= self.limit
        info = {"final_obs": self.count.clone(), "_final_obs": done} if done.any() else {}
        reward = self.count[:, 0].clone()
        self.count[done] = 0
        never = torch.zeros_like(done)
        return self.count, reward, never if self.truncate else done, done if self.truncate else never, info


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "Acrobot-v1"])
def test_vec_env_equals_sb3s_own_step_for_step(env_id: str) -> None:
    kwargs = {"max_episode_steps": 12}
    ours = as_vec_env(make_vector(env_id, 3, **kwargs))
    theirs = make_vec_env(env_id, 3, env_kwargs=kwargs)
    assert isinstance(ours, VecEnv)
    ours.seed(7), theirs.seed(7)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    rng, ended = np.random.default_rng(0), 0
    for _ in range(60):
        action = np.stack([ours.action_space.sample() for _ in range(3)])
        if isinstance(ours.action_space, gym.spaces.Discrete):
            action = rng.integers(ours.action_space.n, size=3)
        obs, reward, done, infos = ours.step(action)
        obs2, reward2, done2, infos2 = theirs.step(action)
        np.testing.assert_array_equal(obs, obs2)
        np.testing.assert_array_equal(reward, reward2)
        assert reward.dtype == reward2.dtype == np.float32
        np.testing.assert_array_equal(done, done2)
        for i in np.flatnonzero(done):
            ended += 1
            np.testing.assert_array_equal(infos[i]["terminal_observation"], infos2[i]["terminal_observation"])
            assert infos[i]["TimeLimit.truncated"] == infos2[i]["TimeLimit.truncated"]
            assert infos[i]["episode"]["l"] == infos2[i]["episode"]["l"]
            assert infos[i]["episode"]["r"] == pytest.approx(infos2[i]["episode"]["r"], abs=1e-5)
    assert ended >= 9
    ours.close(), theirs.close()


@pytest.mark.parametrize("truncate", [False, True])
def test_torch_vector_env_batched_final_observations(truncate: bool) -> None:
    env = as_vec_env(TorchVector(4, limit=6, truncate=truncate))
    env.seed(11)
    first = env.reset()
    assert env.vector_env.seed_seen == 11  # one seed: Gymnasium counts up itself
    for step in range(1, 7):
        obs, reward, done, infos = env.step(np.zeros(4, dtype=np.int64))
        assert isinstance(obs, np.ndarray)
        for i in np.flatnonzero(done):
            assert step == 6 - i
            assert infos[i]["terminal_observation"].tolist() == [6.0] and obs[i] == 0
            assert infos[i]["TimeLimit.truncated"] is truncate
            assert infos[i]["episode"]["l"] == step and infos[i]["episode"]["r"] == sum(range(i + 1, 7))
            assert reward[i] == 6
    np.testing.assert_array_equal(first[:, 0], [0, 1, 2, 3])  # what was handed out does not change later


def test_per_environment_infos_and_attributes() -> None:
    env = as_vec_env(make_vector("HalfCheetah-v5", 2, max_episode_steps=3))
    env.reset()
    for step in range(3):
        infos = env.step(np.zeros((2, 6)))[3]
        assert all(isinstance(info["x_position"], float | np.floating) for info in infos), step
    assert infos[0]["terminal_observation"].shape == (17,)
    assert env.get_attr("spec")[1].id == "HalfCheetah-v5"
    assert env.has_attr("dt") and not env.has_attr("no_such_thing")
    assert env.env_method("get_wrapper_attr", "dt", indices=[0]) == [0.05]
    env.close()


def test_rejects_other_modes_and_other_things() -> None:
    with pytest.raises(ValueError, match="SAME_STEP"):
        as_vec_env(make_vector("CartPole-v1", 2, AutoresetMode.NEXT_STEP))
    with pytest.raises(TypeError, match="make_vec"):
        as_vec_env(gym.make("CartPole-v1"))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="predict"):
        as_model(object())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="predict"):
        as_policy(object())  # type: ignore[arg-type]


def test_sb3_learns_evaluates_and_calls_back_on_our_vector_env() -> None:
    model = PPO("MlpPolicy", as_vec_env(make_vector("CartPole-v1", 4)), n_steps=32, batch_size=32, n_epochs=2, seed=0)
    callback = EvalCallback(Monitor(gym.make("CartPole-v1")), n_eval_episodes=2, eval_freq=16, verbose=0)
    model.learn(256, callback=callback)  # warnings are errors here: none may be raised
    assert len(model.ep_info_buffer or ()) > 0 and np.isfinite(callback.last_mean_reward)
    rewards, lengths = evaluate_policy(
        model, as_vec_env(make_vector("CartPole-v1", 2)), n_eval_episodes=4, return_episode_rewards=True
    )
    assert rewards == lengths  # CartPole pays one per step


def test_normalised_baseline_as_a_policy_on_raw_observations() -> None:
    venv = VecNormalize(DummyVecEnv([lambda: gym.make("Pendulum-v1")]), clip_obs=5.0)
    model = PPO("MlpPolicy", venv, n_steps=64, batch_size=32, n_epochs=1, seed=0).learn(128)
    raw = np.array([[0.3, -0.9, 4.0]], dtype=np.float32)
    ours, _ = as_policy(model).predict(raw, deterministic=True)
    theirs, _ = model.predict(venv.normalize_obs(raw), deterministic=True)
    np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(ours, model.predict(raw, deterministic=True)[0])
    np.testing.assert_array_equal(as_policy(model).predict(torch.as_tensor(raw), deterministic=True)[0], ours)


class Left:
    """A policy of ours in the smallest form: always action 1."""

    observation_space = gym.make("CartPole-v1").observation_space
    action_space = gym.spaces.Discrete(2)

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> Any:
        return np.ones(len(observation), dtype=np.int64), state


def test_agent_where_sb3_wants_a_policy() -> None:
    model = as_model(Left())
    mean, _ = evaluate_policy(model, as_vec_env(make_vector("CartPole-v1", 2)), n_eval_episodes=4)
    assert 5 < mean < 15  # pushing one way drops the pole in about ten steps
    assert model._predict(torch.zeros(3, 4)).tolist() == [1, 1, 1]


@pytest.mark.parametrize("algorithm", [PPO, SAC])
def test_parameters_from_a_zip_without_unpickling(algorithm: Any, tmp_path: Any) -> None:
    def model(seed: int) -> Any:
        return algorithm("MlpPolicy", "Pendulum-v1", seed=seed, policy_kwargs={"net_arch": [8]}, device="cpu")

    first, second = model(0), model(1)
    first.save(tmp_path / "a.zip")
    load_parameters(tmp_path / "a.zip", second)
    obs = np.array([[1.0, 0.0, 0.5]], dtype=np.float32)
    np.testing.assert_array_equal(first.predict(obs, deterministic=True)[0], second.predict(obs, deterministic=True)[0])
    other = algorithm("MlpPolicy", "Pendulum-v1", policy_kwargs={"net_arch": [9]}, device="cpu")
    with pytest.raises(ValueError, match=r"a\.zip does not fit"):
        load_parameters(tmp_path / "a.zip", other)


class Bomb:
    """Unpickling this writes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


def test_malicious_and_broken_zips_are_refused_without_side_effects(tmp_path: Any) -> None:
    model = PPO("MlpPolicy", "CartPole-v1", device="cpu")
    evidence = tmp_path / "ran"
    buffer = io.BytesIO()
    torch.save({"policy": Bomb(str(evidence))}, buffer)
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("policy.pth", buffer.getvalue())
    (tmp_path / "text.zip").write_text("not a zip")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("data", "{}")
    for name in ("bad.zip", "text.zip", "empty.zip", "missing.zip"):
        with pytest.raises(ValueError, match=name.replace(".", r"\.")):
            load_parameters(tmp_path / name, model)
    assert not evidence.exists()


@pytest.mark.parametrize("device", [None, "cpu"])
def test_action_masks_for_sb3_contrib(device: str | None) -> None:
    env = as_vec_env(gym.make_vec("rlsuite/ProbeMask-v0", num_envs=3, device=device))
    env.reset()
    masks = np.stack(env.env_method("action_masks"))
    assert masks.shape == (3, 4) and masks.dtype == bool and masks.sum() == 6
    np.testing.assert_array_equal(env.env_method("action_masks", indices=[2]), masks[2:])
    free = as_vec_env(gym.make_vec("rlsuite/CartPole-v1", num_envs=1, device=device))
    free.reset()
    np.testing.assert_array_equal(free.env_method("action_masks"), [[True, True]])


@pytest.mark.parametrize("env_id", ["rlsuite/ProbeMask-v0", "rlsuite/CartPole-v1"])
def test_maskable_ppo_trains(env_id: str) -> None:
    maskable = pytest.importorskip("sb3_contrib").MaskablePPO
    settings = {"n_steps": 16, "batch_size": 16, "n_epochs": 1, "device": "cpu"}
    vector = as_vec_env(gym.make_vec(env_id, num_envs=3))
    copies = as_vec_env(make_vector(env_id, 2))  # Gymnasium's own vector of single environments
    for env in (vector, copies, gym.make(env_id)):
        model = maskable("MlpPolicy", env, **settings).learn(64)
        assert model.num_timesteps >= 64
    if "Mask" in env_id:  # forbidden actions cost 10
        assert evaluate(model, env_id, episodes=20, deterministic=False).returns.min() >= 0


def test_only_answers_with_a_row_per_environment_are_split() -> None:
    env = as_vec_env(gym.make_vec("rlsuite/CartPole-v1", num_envs=3))
    answers = {"rows": np.arange(6).reshape(3, 2), "word": "x", "other": np.ones(2)}
    env.vector_env.answer = answers.__getitem__
    assert [row.tolist() for row in env.env_method("answer", "rows", indices=[0, 2])] == [[0, 1], [4, 5]]
    assert env.env_method("answer", "word") == ["x"] * 3
    assert [row.tolist() for row in env.env_method("answer", "other")] == [[1.0, 1.0]] * 3


class Broken(gym.Env[Any, Any]):
    """Ten steps; the third gives the `bad` part."""

    observation_space = gym.spaces.Box(-1, 1, (2,))
    action_space = gym.spaces.Box(-1, 1, (1,))

    def __init__(self, bad: str) -> None:
        self.bad, self.t = bad, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        self.t += 1
        now = self.t == 3
        obs = np.array([0.0, np.nan if now and "observation" in self.bad else 0.0], np.float32)
        return obs, np.inf if now and self.bad == "reward" else 1.0, False, now and self.bad == "last observation", {}


@pytest.mark.parametrize("bad", ["observation", "last observation", "reward"])
def test_the_first_bad_number_is_named(bad: str) -> None:
    value = "inf" if bad == "reward" else "nan"
    makers = [lambda: Broken("nothing"), lambda: Broken(bad)]
    env = as_vec_env(gym.vector.SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP))
    with pytest.raises(FloatingPointError, match=f"^{bad} is {value} at step 3 in environment 1"):
        PPO("MlpPolicy", env, n_steps=16, batch_size=16, device="cpu").learn(64)
