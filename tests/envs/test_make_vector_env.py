"""The chooser of engines, and EnvPool behind the same contract."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from rlsuite_envs.envpool_adapter import EnvPoolVectorEnv
from rlsuite_envs.make import make_vector_env
from rlsuite_envs.mujoco import MujocoPool


@pytest.mark.parametrize("id", ["HalfCheetah-v5", "rlsuite/HalfCheetah-v5"])
def test_mujoco_tasks_go_to_the_pool(id: str) -> None:
    env = make_vector_env(id, 2, num_threads=1, env_kwargs={"forward_reward_weight": 2.0})
    assert isinstance(env, MujocoPool)
    assert env.task.forward_reward_weight == 2.0  # type: ignore[attr-defined]


def test_kernels_go_to_the_kernel_shell() -> None:
    env = make_vector_env("rlsuite/CartPole-v1", 5, device="cpu")
    assert type(env.unwrapped).__module__ == "rlsuite_envs.vector"
    obs, _ = env.reset(seed=0)
    assert tuple(obs.shape) == (5, 4)


@pytest.mark.parametrize("engine", ["auto", "sync", "async"])
def test_everything_else_goes_to_gymnasium(engine: Any) -> None:
    env = make_vector_env("CartPole-v1", 2, vectorization=engine)
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    env.reset(seed=0)
    for _ in range(200):
        _, _, terminated, truncated, info = env.step(np.ones(2, np.int64))
        if (terminated | truncated).any():
            assert "final_obs" in info
            break
    else:
        pytest.fail("CartPole never ended")
    env.close()


def test_sync_and_pool_are_the_same_environment() -> None:
    pool, sync = make_vector_env("Hopper-v5", 3), make_vector_env("Hopper-v5", 3, vectorization="sync")
    np.testing.assert_array_equal(pool.reset(seed=9)[0], sync.reset(seed=9)[0])
    rng = np.random.default_rng(0)
    for _ in range(120):
        action = rng.uniform(-1, 1, (3, 3)).astype(np.float32)
        left, right = pool.step(action), sync.step(action)
        for a, b in zip(left[:4], right[:4], strict=True):
            np.testing.assert_array_equal(a, b)
        assert ("final_obs" in left[4]) == ("final_obs" in right[4])


BAD: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    (("HalfCheeta-v5", 2), {}, "HalfCheetah-v5"),
    (("CartPoole-v1", 2), {}, "CartPole-v1"),
    (("nonsense", 2), {}, "gymnasium.registry"),
    (("Hopper-v5", 0), {}, "num_envs=0"),
    (("Hopper-v5", 2.5), {}, "num_envs=2.5"),
    (("Hopper-v5", 2), {"vectorization": "fast"}, "must be one of auto"),
    (("CartPole-v1", 2), {"vectorization": "pool"}, "no pool engine"),
    (("Hopper-v5", 2), {"vectorization": "kernel"}, "no kernel engine"),
]


@pytest.mark.parametrize(("arguments", "options", "message"), BAD)
def test_bad_requests_are_refused(arguments: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_vector_env(*arguments, **options)


def test_choosing_does_not_import_mujoco() -> None:
    script = "import sys, rlsuite_envs.make; print('mujoco' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_envpool_missing_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "envpool", None)
    with pytest.raises(ImportError, match=r"rlsuite\[bench\]"):
        make_vector_env("Hopper-v5", 2, vectorization="envpool")


def test_envpool_resets_in_the_same_step_and_keeps_the_last_observation() -> None:
    pytest.importorskip("envpool")
    env = make_vector_env("Hopper-v5", 4, num_threads=1, vectorization="envpool")
    assert isinstance(env, EnvPoolVectorEnv)
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert env.single_observation_space == gym.make("Hopper-v5").observation_space
    first, _ = env.reset(seed=3)
    rng = np.random.default_rng(0)
    elapsed, ended = np.zeros(4, int), 0
    for _ in range(150):
        obs, _, terminated, truncated, info = env.step(rng.uniform(-1, 1, (4, 3)))
        elapsed += 1
        np.testing.assert_array_equal(info["elapsed_step"], elapsed)
        done = terminated | truncated
        for i in np.flatnonzero(done):
            ended += 1
            assert info["_final_obs"][i]
            angle, height = info["final_obs"][i, 1], info["final_obs"][i, 0]
            assert abs(angle) >= 0.2 or height <= 0.7  # the last state is the fallen one
            assert abs(obs[i, 0] - 1.25) < 0.01 and abs(obs[i, 1]) < 0.01  # the next one stands
        elapsed[done] = 0
    assert ended > 10
    again, _ = env.reset(seed=3)
    np.testing.assert_array_equal(first, again)
    env.close()
    with pytest.raises(ValueError, match="Hopper-v5"):
        EnvPoolVectorEnv("Hoper-v5", 2)
