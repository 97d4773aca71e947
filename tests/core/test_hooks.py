"""Stable-Baselines3's callbacks on our models see and do what they see and do on its own."""

from __future__ import annotations

import json
from copy import deepcopy

import gymnasium as gym
import numpy as np
import pytest
import stable_baselines3
from stable_baselines3.common import callbacks as sb3
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import DummyVecEnv

from rlsuite import PPO, SAC
from rlsuite.sb3 import as_vec_env

QUICK = {
    PPO: {"n_steps": 32, "n_epochs": 1, "batch_size": 32},
    SAC: {"net_arch": (16,), "batch_size": 16, "learning_starts": 20},
}
pytestmark = pytest.mark.filterwarnings("ignore:rich is experimental")  # tqdm's word on its own progress bar
BOTH = pytest.mark.parametrize("algorithm", [PPO, SAC])


class Walk(gym.Env):
    """Observation: steps so far (at most 4); reward 1 + the env's number; ends or is cut after `length` steps."""

    def __init__(self, number=0, length=3, cut=False):
        self.observation_space, self.action_space = gym.spaces.Box(0, 9, (1,)), gym.spaces.Box(-1, 1, (1,))
        self.number, self.length, self.cut, self.steps = number, length, cut, 0

    def _obs(self):
        return np.array([self.steps], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._obs(), {}

    def step(self, action):
        self.steps += 1
        over = self.steps == self.length
        info = {"is_success": self.number == 1} if over else {}
        return self._obs(), 1.0 + self.number, over and not self.cut, over and self.cut, info


def walks():
    lengths = {"length": (3, 4), "cut": (False, True)}
    makers = [lambda i=i: Walk(i, lengths["length"][i], lengths["cut"][i]) for i in range(2)]
    return gym.vector.SyncVectorEnv(makers, autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)


def make(algorithm, env=None, **options):
    return algorithm(walks() if env is None else env, device="cpu", seed=0, **QUICK[algorithm], **options)


class Watch(sb3.BaseCallback):
    """Keeps what it is shown at every step."""

    def __init__(self):
        super().__init__()
        self.seen, self.ended = [], 0

    def _on_step(self):
        keys = ("infos", "rewards", "dones", "new_obs", "actions")
        self.seen.append({key: deepcopy(self.locals[key]) for key in keys})  # SB3's PPO changes rewards afterwards
        return True

    def _on_training_end(self):
        self.ended += 1


@BOTH
def test_infos_are_one_dict_per_environment_with_the_episode_that_ended(algorithm):
    watch = Watch()
    model = make(algorithm)
    model.learn(64, callback=watch)
    theirs = Watch()
    own = {PPO: {"n_steps": 32, "batch_size": 32, "n_epochs": 1}, SAC: {"learning_starts": 1000}}[algorithm]
    baseline = getattr(stable_baselines3, algorithm.__name__)("MlpPolicy", as_vec_env(walks()), device="cpu", **own)
    baseline.learn(64, callback=theirs)
    assert len(watch.seen) == len(theirs.seen) == 32
    for mine, other in zip(watch.seen, theirs.seen, strict=True):
        assert len(mine["infos"]) == 2 and mine["actions"].shape == (2, 1)
        np.testing.assert_array_equal(mine["new_obs"], other["new_obs"])
        np.testing.assert_array_equal(mine["rewards"], other["rewards"])
        np.testing.assert_array_equal(mine["dones"], other["dones"])
        for a, b in zip(mine["infos"], other["infos"], strict=True):
            assert a.keys() == b.keys()
            assert a.get("TimeLimit.truncated") == b.get("TimeLimit.truncated")
            np.testing.assert_array_equal(a.get("terminal_observation", 0), b.get("terminal_observation", 0))
            assert [a.get("episode", {}).get(x) for x in "rl"] == [b.get("episode", {}).get(x) for x in "rl"]
    assert watch.seen[3]["infos"][1]["episode"]["r"] == 8 and watch.seen[3]["infos"][1]["TimeLimit.truncated"]
    assert [e["r"] for e in model.ep_info_buffer] == [e["r"] for e in baseline.ep_info_buffer]
    assert list(model.ep_success_buffer) == list(baseline.ep_success_buffer)
    assert len(model.ep_success_buffer) == 18 and sum(model.ep_success_buffer) == 8


def test_episodes_go_on_over_two_calls_of_learn():
    """The second call begins in the middle of episodes: their returns count from their own first step."""
    model = make(PPO).learn(64)  # 32 steps: episodes of 3 and 4 steps are 2 and 0 steps old
    watch = Watch()
    model.learn(64, callback=watch, reset_num_timesteps=False)
    assert watch.seen[0]["infos"][0]["episode"]["r"] == 3 and "episode" not in watch.seen[0]["infos"][1]


@BOTH
def test_names_that_callbacks_read(algorithm):
    model = make(algorithm)
    seen = {}

    def look(local, _):
        seen.update(local, left=local["self"]._current_progress_remaining)
        return True

    model.learn(64, callback=look, tb_log_name="mine")
    assert model._total_timesteps == 64 and model.n_envs == 2 and seen["self"] is model and seen["left"] == 0
    assert seen["tb_log_name"] == "mine" and seen["total_timesteps"] == 64
    assert model.learning_rate == 3e-4 == model.lr_schedule(1.0) and model.gamma == 0.99
    assert model.batch_size == model.config.batch_size and model.get_env() is model.get_env()
    with pytest.raises(AttributeError, match=r"gamma cannot be set to 0.5.*load\(path, env=\.\.\., gamma="):
        model.gamma = 0.5


@BOTH
def test_every_callback_of_stable_baselines3(algorithm, tmp_path):
    model = make(algorithm)
    model.set_logger(configure(str(tmp_path), ["json"]))
    counted = []
    evaluation = sb3.EvalCallback(
        DummyVecEnv([Walk]),
        n_eval_episodes=2,
        eval_freq=8,
        log_path=str(tmp_path),
        callback_on_new_best=sb3.StopTrainingOnRewardThreshold(1e9),
        callback_after_eval=sb3.StopTrainingOnNoModelImprovement(1),
        warn=False,
        verbose=0,
    )
    kept = sb3.CheckpointCallback(10, str(tmp_path), save_replay_buffer=True, save_vecnormalize=True)
    each = sb3.EveryNTimesteps(16, sb3.ConvertCallback(lambda *_: counted.append(model.num_timesteps) or True))
    many = [[evaluation, sb3.LogEveryNTimesteps(20)], kept, sb3.CallbackList([each]), lambda *_: True]
    model.learn(256, callback=many, log_interval=None, progress_bar=True)
    model.logger.close()
    assert model.num_timesteps == 48  # three evaluations alike: the first is the best, two do not improve
    assert counted == [16, 32, 48] and evaluation.evaluations_timesteps == [16, 32, 48]
    saved = {path.name for path in tmp_path.glob("rl_model_*")}
    buffers = {f"rl_model_replay_buffer_{n}_steps.pkl.zip" for n in (20, 40)} if algorithm is SAC else set()
    assert saved == buffers | {f"rl_model_{n}_steps.zip" for n in (20, 40)}
    lines = [json.loads(line) for line in (tmp_path / "progress.json").read_text().splitlines()]
    logged = [line["time/total_timesteps"] for line in lines if "time/fps" in line]
    assert logged == [20, 40] and lines[-1]["eval/mean_reward"] == 3
    assert [line["rollout/ep_len_mean"] for line in lines if "time/fps" in line] == [3.4, 38 / 11]
    assert [line["rollout/success_rate"] for line in lines if "time/fps" in line] == [0.4, 5 / 11]


def test_training_stops_at_a_reward_or_a_number_of_episodes():
    stop = sb3.EvalCallback(
        Walk(), eval_freq=5, verbose=0, warn=False, callback_on_new_best=sb3.StopTrainingOnRewardThreshold(2.5)
    )
    assert make(SAC).learn(256, callback=stop).num_timesteps == 10
    assert make(SAC).learn(256, callback=sb3.StopTrainingOnMaxEpisodes(2)).num_timesteps == 16


def test_a_replay_buffer_alone_comes_back(tmp_path):
    model, other = make(SAC).learn(20), make(SAC)
    model.save_replay_buffer(tmp_path / "buffer.pkl")
    other.load_replay_buffer(tmp_path / "buffer.pkl")
    assert other.replay_buffer.filled == 10
    with pytest.raises(ValueError, match="replay buffer"):
        SAC(Walk(), device="cpu", **QUICK[SAC]).load_replay_buffer(tmp_path / "buffer.pkl")


class Broken(sb3.BaseCallback):
    def __init__(self, where):
        super().__init__()
        self.where = where

    def _fail(self):
        raise RuntimeError("cannot start")

    def _init_callback(self):
        if self.where == "init":
            self._fail()

    def _on_training_start(self):
        if self.where == "start":
            self._fail()

    def _on_step(self):
        if self.where == "step":
            self._fail()
        return True


@pytest.mark.parametrize(("where", "ended"), [("init", 0), ("start", 1), ("step", 1)])
@pytest.mark.parametrize("progress_bar", [False, True])
def test_the_callbacks_own_error_is_shown_and_what_was_started_is_ended(where, ended, progress_bar):
    watch = Watch()
    with pytest.raises(RuntimeError, match="cannot start"):
        make(PPO).learn(64, callback=[watch, Broken(where)], progress_bar=progress_bar)
    assert watch.ended == ended


def test_what_is_no_callback_is_named():
    for wrong, message in ((Watch, r"give an instance: Watch\("), (3, "callback is 3"), (["x"], "callback is 'x'")):
        with pytest.raises(TypeError, match=message):
            make(PPO).learn(64, callback=wrong)
    for name, value in (("total_timesteps", 2.5), ("total_timesteps", float("nan")), ("log_interval", 0)):
        with pytest.raises(ValueError, match=f"{name} is {value}; it must be a whole number"):
            make(PPO).learn(**{"total_timesteps": 64, name: value})
    assert make(PPO).learn(1e2).num_timesteps == 128
