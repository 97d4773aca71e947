"""AntObstacles: walls where they should be, single equal to pool, rewards at the end."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from rlsuite_envs.make import make_vector_env
from rlsuite_envs.mazes.ant.ant_maze import AntObstacles, AntObstaclesPool
from rlsuite_envs.mazes.ant.ant_maze_model import draw_episode, model_xml
from rlsuite_envs.mazes.registration import register_ant_maze

register_ant_maze()
ID = "rlsuite/AntObstacles-v0"


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(model_xml())


@pytest.mark.parametrize(
    ("start", "direction", "distance"),
    [
        ((-20, 20), (1, 0), 4.5),  # wall x = -15, half a metre thick to each side
        ((-20, 3.01), (1, 0), 4.5),
        ((-20, 36.9), (1, 0), 4.5),
        ((-10, -20), (0, 1), 4.5),  # wall y = -15
        ((-15.9, -20), (0, 1), 4.5),
        ((9.4, -10), (0, -1), 4.5),
        ((20, -29.9), (-1, 0), 9.5),  # wall x = 10
        ((20, -0.1), (-1, 0), 9.5),
        ((-15, 38), (0, -1), 1.0),  # the ends
        ((-20, -15), (1, 0), 4.0),
        ((20, 1.5), (-1, 0), -1),  # between the ends of x = 10 and x = -15
    ],
)
def test_rays_meet_the_walls(model: Any, start: Any, direction: Any, distance: float) -> None:
    data = mujoco.MjData(model)
    data.qpos[:3] = (30.0, 30.0, 5.0)  # the ant out of the way
    mujoco.mj_forward(model, data)
    geom = np.array([-1], np.int32)
    found = mujoco.mj_ray(
        model, data, np.array([*start, 1.0]), np.array([*direction, 0.0], np.float64), None, 1, -1, geom
    )
    assert found == pytest.approx(distance, abs=1e-9)
    assert geom[0] == -1 or model.geom(geom[0]).name.startswith("wall_")


def test_the_ant_is_gymnasiums(model: Any) -> None:
    original = gym.make("Ant-v5").unwrapped.model  # type: ignore[attr-defined]
    ant = slice(1, original.nbody)
    np.testing.assert_array_equal(model.body_mass[ant], original.body_mass[ant])
    np.testing.assert_array_equal(model.jnt_range, original.jnt_range)
    np.testing.assert_array_equal(model.actuator_gear, original.actuator_gear)
    np.testing.assert_array_equal(model.qpos0[2:], original.qpos0[2:])
    np.testing.assert_array_equal(model.qpos0[:2], [-25, -25])
    assert (model.opt.timestep, model.opt.integrator) == (0.005, original.opt.integrator)


def test_walls_stop_the_ant() -> None:
    env = AntObstacles()
    env.reset(seed=0)
    qpos, qvel = env.init_qpos.copy(), np.zeros(14)
    qpos[:2], qvel[0] = (-18.0, 20.0), 8.0
    env.set_state(qpos, qvel)
    xs = [env.step(np.zeros(8, np.float32))[4]["x_position"] for _ in range(120)]
    assert max(xs) > -17.5  # it slid
    assert max(xs) < -15.5


def test_single_and_pool_agree_bit_for_bit() -> None:
    single: Any = gym.make(ID, horizon=40, reward="dense")
    pool: Any = gym.make_vec(ID, 3, vectorization_mode="vector_entry_point", horizon=40, reward="dense")
    obs, info = single.reset(seed=5)
    all_obs, all_info = pool.reset(seed=3)
    np.testing.assert_array_equal(obs, all_obs[2])
    np.testing.assert_array_equal(info["behaviour"], all_info["behaviour"][2])
    rng = np.random.default_rng(0)
    for _ in range(90):
        action = rng.uniform(-1.2, 1.2, (3, 8)).astype(np.float32)
        obs, reward, terminated, truncated, info = single.step(action[2])
        all_obs, rewards, ends, limits, all_info = pool.step(action)
        assert (reward, terminated, truncated) == (rewards[2], ends[2], limits[2])
        last = all_info["final_info"] if truncated else all_info
        for name, value in info.items():
            np.testing.assert_array_equal(value, last[name][2])
        if truncated:
            np.testing.assert_array_equal(obs, all_info["final_obs"][2])
            obs, info = single.reset()
        np.testing.assert_array_equal(obs, all_obs[2])


def test_observations_and_rewards_by_hand() -> None:
    env = AntObstacles(horizon=2)
    env.reset(seed=0)
    qpos = env.init_qpos.copy()
    qpos[:2] = (34.0, -25.0)
    env.set_state(qpos, np.zeros(14))
    _, reward, terminated, truncated, _ = env.step(np.zeros(8, np.float32))
    assert (reward, terminated, truncated) == (0.0, False, False)
    obs, reward, terminated, truncated, info = env.step(np.zeros(8, np.float32))
    assert (terminated, truncated) == (False, True)
    x, y = env.data.qpos[:2]
    distance = np.hypot(x - 35, y + 25)
    assert 0.9 < distance < 1.1
    assert reward == pytest.approx((3 - distance) / 3)
    np.testing.assert_allclose(obs[:2], [(x - 5) / 70, (y - 5) / 70])
    np.testing.assert_array_equal(obs[2:15], env.data.qpos[2:])
    np.testing.assert_array_equal(obs[15:], env.data.qvel)
    assert (info["area"], info["success"]) == (0, True)
    np.testing.assert_array_equal(info["behaviour"], obs[:2])


def test_the_pool_pays_at_the_end() -> None:
    pool = AntObstaclesPool(2, areas=((-25.0, -25.0, 3.0),), horizon=3)
    pool.reset(seed=0)
    for step in range(6):
        _, reward, _, truncated, info = pool.step(np.zeros((2, 8), np.float32))
        assert truncated.all() == (step % 3 == 2)
        paid = (3 - info["final_info"]["distance"]) / 3 if truncated.all() else np.zeros(2)
        np.testing.assert_allclose(reward, paid)


@pytest.mark.filterwarnings("ignore:.*probably too (low|high)")
def test_both_checkers() -> None:
    check_env(gym.make(ID).unwrapped, skip_render_check=True)
    sb3_check_env(gym.make(ID, horizon=50), skip_render_check=True)


def test_one_constructor_for_vectors() -> None:
    env = make_vector_env(ID, 2, env_kwargs={"horizon": 10})
    assert isinstance(env, AntObstaclesPool)
    copy = pickle.loads(pickle.dumps(AntObstacles(horizon=7)))
    assert copy.params.horizon == 7


def test_pictures_need_no_opengl() -> None:
    env: Any = gym.make(ID, render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().shape == (480, 480, 3)
    pool = AntObstaclesPool(2, render_mode="rgb_array")
    pool.reset(seed=0)
    frames = pool.render()
    assert frames is not None
    np.testing.assert_array_equal(frames[0], env.render())
    path = np.stack((np.linspace(-25, 30, 41), np.linspace(-25, -5, 41)), 1)
    assert draw_episode(path, np.zeros(40), env.unwrapped.params.areas).dtype == np.uint8


def test_registration_is_light() -> None:
    code = (
        "import sys; from rlsuite_envs.mazes.registration import register_ant_maze; register_ant_maze(); "
        "print({'torch', 'mujoco'} & set(sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "set()"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"areas": ()}, "areas"),
        ({"areas": ((50.0, 0.0, 1.0),)}, r"areas\[0\].*-30.0, 40.0"),
        ({"reward": "speed"}, "reward='speed'"),
        ({"horizon": 0}, "horizon=0"),
    ],
)
def test_impossible_constants_are_refused(bad: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AntObstacles(**bad)
    with pytest.raises(ValueError, match=message):
        AntObstaclesPool(2, **bad)


def test_other_devices_are_refused() -> None:
    with pytest.raises(ValueError, match="device='cuda'"):
        AntObstaclesPool(2, device="cuda")
    with pytest.raises(ValueError, match="render_mode='human'"):
        AntObstaclesPool(2, render_mode="human")
