"""Every id passes both environment checkers, and importing stays light."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env

import rlsuite_envs
from rlsuite_envs import LinearReward
from rlsuite_envs.registration import KERNELS
from rlsuite_envs.vector import TensorVectorEnv

IDS = [entry.id for entry in KERNELS]


def paid_in_numbers(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """The environment, its objectives summed up: both checkers want one number."""
    dim = env.unwrapped.reward_dim
    return env if dim is None else LinearReward(env, np.ones(dim))


@pytest.mark.parametrize("id", IDS)
def test_gymnasiums_checker(id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")  # the checker opens every render mode, windows too
    with warnings.catch_warnings():
        # Spaces as in Gymnasium, whose checker would rather see torques in [-1, 1] and bounded velocities.
        warnings.filterwarnings("ignore", message=".*probably too (low|high).*")
        warnings.filterwarnings("ignore", message=".*[Ss]ymmetric and normalized.*")
        warnings.filterwarnings("ignore", message=".*different from the unwrapped version.*")
        check_env(paid_in_numbers(gym.make(id).unwrapped))


@pytest.mark.parametrize("id", IDS)
def test_stable_baselines3s_checker(id: str) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*symmetric and normalized.*")
        warnings.filterwarnings("ignore", message=".*image.*")
        sb3_check_env(paid_in_numbers(gym.make(id)), warn=True, skip_render_check=True)


@pytest.mark.parametrize("id", IDS)
def test_wrapped_environments_step_in_their_spaces(id: str) -> None:
    env = gym.make(id)  # with Gymnasium's passive checker, whose warnings are errors here
    obs, _ = env.reset(seed=0)
    rewards = env.unwrapped.reward_space if env.unwrapped.reward_dim else None
    for _ in range(30):
        assert env.observation_space.contains(obs)
        obs, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        assert rewards is None or rewards.contains(reward)
        if terminated or truncated:
            assert env.observation_space.contains(obs)
            obs, _ = env.reset()


@pytest.mark.parametrize("id", IDS)
def test_vector_observations_lie_in_their_space(id: str) -> None:
    env = gym.make_vec(id, num_envs=33)
    obs, _ = env.reset(seed=0)
    for _ in range(30):
        assert env.observation_space.contains(obs)
        obs, reward, *_ = env.step(env.action_space.sample())
        assert reward.shape == (33,) if env.reward_dim is None else all(map(env.reward_space.contains, reward))


def test_masks_reach_the_single_environment_as_gymnasium_samples_them() -> None:
    env = gym.make("rlsuite/ProbeMask-v0")
    for seed in range(20):
        _, info = env.reset(seed=seed)
        action = env.action_space.sample(mask=info["action_mask"])
        np.testing.assert_array_equal(info["action_mask"], env.get_wrapper_attr("action_masks")())
        _, reward, *_ = env.step(action)
        assert float(reward) >= 0  # forbidden actions cost 10


def test_importing_is_light_and_registers_once() -> None:
    code = (
        "import json, sys, warnings; warnings.simplefilter('error'); import rlsuite_envs, gymnasium; "
        "rlsuite_envs.register_envs(); "
        "heavy = {'torch', 'mujoco', 'rlsuite', 'pygame', 'stable_baselines3'} & set(sys.modules); "
        "print(json.dumps([sorted(heavy), rlsuite_envs.list_envs(), list(gymnasium.registry)]))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy, listed, registry = json.loads(output)
    assert heavy == []
    assert {id for id, _ in listed} == {id for id in registry if id.startswith("rlsuite/")}
    assert all(line and "\n" not in line for _, line in listed)


def test_an_id_can_name_its_module_and_needs_no_import() -> None:
    code = "import gymnasium; print(gymnasium.make('rlsuite_envs:rlsuite/CartPole-v1').reset(seed=0)[0].shape)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "(4,)"


@pytest.mark.parametrize("entry", KERNELS, ids=IDS)
def test_the_table_agrees_with_the_kernels(entry: Any) -> None:
    env: Any = gym.make_vec(entry.id, num_envs=2)
    assert isinstance(env, TensorVectorEnv)
    assert env.kernel.max_episode_steps == env.max_episode_steps
    assert entry.max_episode_steps == (None if hasattr(env.kernel.params, "horizon") else env.max_episode_steps)
    assert entry.id.startswith(f"rlsuite/{type(env.kernel).__name__}-")
    assert entry.objectives == env.reward_dim == (env.reward_space.shape[0] if env.reward_space else None)
    assert len(env.objective_names) == (entry.objectives or 0)
    assert type(env.kernel).__doc__


def test_registering_keeps_what_is_there() -> None:
    before = dict(gym.registry)
    rlsuite_envs.register_envs()
    assert dict(gym.registry) == before


def test_pictures_need_no_screen() -> None:
    make = "gym.make('rlsuite/Acrobot-v1', render_mode='rgb_array')"
    code = f"import gymnasium as gym, rlsuite_envs; env = {make}; env.reset(seed=0); print(env.render().shape)"
    screens = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    screenless = {key: value for key, value in os.environ.items() if key not in screens}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=screenless)
    assert run.stdout.strip().endswith("(500, 500, 3)")


def test_a_window_can_be_opened_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = gym.make("rlsuite/CartPole-v1", render_mode="human")
    env.reset(seed=0)
    env.step(1)
    assert env.render() is None
    env.close()
    env.close()


def test_rewards_of_a_single_environment_are_floats() -> None:
    env = gym.make("rlsuite/Pendulum-v1")
    env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step(np.zeros(1, np.float32))
    assert type(reward) is float
    assert (type(terminated), type(truncated), info) == (bool, bool, {})


def test_torch_actions_are_taken_by_the_single_environment() -> None:
    env = gym.make("rlsuite/Pendulum-v1").unwrapped
    env.reset(seed=0)
    left, *_ = env.step(torch.tensor([0.5]))
    env.reset(seed=0)
    right, *_ = env.step(np.array([0.5], np.float32))
    np.testing.assert_array_equal(left, right)


def ends_by_itself(id: str) -> None:
    env = gym.make(id)
    for seed in range(5):
        env.reset(seed=seed)
        assert any(env.step(env.action_space.sample())[2:4] == (True, False) for _ in range(100))


@pytest.mark.parametrize("entry", [e for e in KERNELS if e.max_episode_steps is None], ids=lambda e: e.id)
def test_horizons_truncate_in_both_shells(entry: Any) -> None:
    limit = gym.make_vec(entry.id, num_envs=1).kernel.horizon
    if limit is None:
        return ends_by_itself(entry.id)
    assert limit >= 1
    short: dict[str, Any] = {"horizon": 2}
    env, single = (
        gym.make_vec(entry.id, num_envs=3, max_episode_steps=-1, **short),
        gym.make(entry.id, **short),
    )
    env.reset(seed=0)
    single.reset(seed=0)
    for step in (1, 2):
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        assert (truncated == (step == 2)).all()
        _, _, ended, cut, _ = single.step(single.action_space.sample())
        assert cut == (step == 2) or ended
        if terminated.any() or ended:
            break
