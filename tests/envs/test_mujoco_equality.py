"""The pool against its oracle, Gymnasium's own environments: equal bit for bit, resets and infos included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import pytest

from rlsuite_envs.mujoco import TASKS, MujocoPool

ASSETS = Path(gym.__file__).parent / "envs" / "mujoco" / "assets"


def assert_info(pooled: dict[str, Any], single: dict[str, Any], i: int) -> None:
    for name, value in single.items():
        if name == "TimeLimit.truncated":
            continue
        assert pooled["_" + name][i], name
        np.testing.assert_array_equal(pooled[name][i], value, err_msg=name)


def assert_equal_rollout(
    id: str,
    *,
    num_envs: int = 2,
    steps: int = 1000,
    seed: int = 7,
    max_episode_steps: int = 170,
    dtype: type = np.float32,
    num_threads: int = 1,
    action_scale: float = 1.0,
    prepare: Any = None,
    **kwargs: Any,
) -> MujocoPool:
    """Step pool and single environments with the same actions; `prepare(pool, envs)` may perturb both.

    What `prepare` returns is called as `after_reset(i, env)` after every reset of a single environment.
    """
    pool = MujocoPool(id, num_envs, num_threads=num_threads, max_episode_steps=max_episode_steps, **kwargs)
    envs = [gym.make(id, max_episode_steps=max_episode_steps, **kwargs) for _ in range(num_envs)]
    assert pool.single_observation_space == envs[0].observation_space
    assert pool.single_action_space == envs[0].action_space
    after_reset = prepare(pool, envs) if prepare else None
    obs, info = pool.reset(seed=seed)
    for i, env in enumerate(envs):
        expected, expected_info = env.reset(seed=seed + i)
        np.testing.assert_array_equal(obs[i], expected)
        assert_info(info, expected_info, i)
        if after_reset:
            after_reset(i, env)
    rng = np.random.default_rng(seed)
    ended = 0
    for t in range(steps):
        drawn = rng.uniform(pool.action_space.low, pool.action_space.high) * action_scale
        action = drawn.astype(dtype)
        obs, reward, terminated, truncated, info = pool.step(action)
        for i, env in enumerate(envs):
            single_obs, single_reward, single_terminated, single_truncated, single_info = env.step(action[i])
            assert (terminated[i], truncated[i]) == (single_terminated, single_truncated), t
            assert reward[i] == single_reward, t
            if not (single_terminated or single_truncated):
                np.testing.assert_array_equal(obs[i], single_obs)
                assert_info(info, single_info, i)
                assert not info.get("_final_obs", np.zeros(num_envs, bool))[i]
                continue
            ended += 1
            assert info["_final_obs"][i] and info["_final_info"][i]
            np.testing.assert_array_equal(info["final_obs"][i], single_obs)
            assert_info(info["final_info"], single_info, i)
            next_obs, next_info = env.reset()
            if after_reset:
                after_reset(i, env)
            np.testing.assert_array_equal(obs[i], next_obs)
            assert_info(info, next_info, i)
            for name in single_info.keys() - next_info.keys() - {"TimeLimit.truncated"}:
                assert not info["_" + name][i]
    assert ended >= num_envs * (steps // max_episode_steps)
    for env in envs:
        env.close()
    return pool


@pytest.mark.parametrize("id", TASKS)
def test_pool_equals_gymnasium(id: str) -> None:
    assert_equal_rollout(id)


@pytest.mark.slow
@pytest.mark.parametrize("id", TASKS)
def test_pool_equals_gymnasium_for_thousands_of_steps(id: str) -> None:
    limit = gym.spec(id).max_episode_steps
    assert limit is not None
    for scale, threads in ((1.0, 2), (0.3, 3)):
        assert_equal_rollout(
            id,
            num_envs=5,
            steps=4000,
            seed=100,
            max_episode_steps=limit,
            num_threads=threads,
            action_scale=scale,
        )


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("HalfCheetah-v5", {"exclude_current_positions_from_observation": False, "forward_reward_weight": 2.0}),
    ("HalfCheetah-v5", {"frame_skip": 2, "reset_noise_scale": 0.3, "ctrl_cost_weight": 0.7}),
    ("Hopper-v5", {"healthy_z_range": (0.9, 1.3), "healthy_angle_range": (-0.1, 0.3), "frame_skip": 7}),
    ("Hopper-v5", {"terminate_when_unhealthy": False, "healthy_reward": 0.5, "healthy_state_range": (-5, 5)}),
    ("Walker2d-v5", {"exclude_current_positions_from_observation": False, "xml_file": "walker2d.xml"}),
    ("Swimmer-v5", {"exclude_current_positions_from_observation": False, "ctrl_cost_weight": 0.1}),
    ("Ant-v5", {"include_cfrc_ext_in_observation": False, "main_body": "aux_1", "frame_skip": 3}),
    ("Ant-v5", {"contact_force_range": (0.5, 20.0), "exclude_current_positions_from_observation": False}),
    ("Humanoid-v5", {"include_cinert_in_observation": False, "include_qfrc_actuator_in_observation": False}),
    (
        "Humanoid-v5",
        {"include_cvel_in_observation": False, "contact_cost_range": (0.1, 0.2), "frame_skip": 1},
    ),
    ("HumanoidStandup-v5", {"include_cfrc_ext_in_observation": False, "impact_cost_weight": 1e-3}),
    ("InvertedPendulum-v5", {"reset_noise_scale": 0.1, "frame_skip": 1}),
    ("InvertedDoublePendulum-v5", {"healthy_reward": 3.0, "reset_noise_scale": 0.02}),
    ("Reacher-v5", {"reward_dist_weight": 3.0, "reward_control_weight": 0.5}),
    ("Pusher-v5", {"reward_near_weight": 2.0, "frame_skip": 2}),
]


@pytest.mark.parametrize(("id", "kwargs"), VARIANTS)
def test_gymnasium_arguments_mean_the_same(id: str, kwargs: dict[str, Any]) -> None:
    assert_equal_rollout(id, num_envs=1, steps=250, max_episode_steps=60, **kwargs)


def test_double_precision_actions_cost_what_they_cost_in_gymnasium() -> None:
    assert_equal_rollout("HalfCheetah-v5", num_envs=1, steps=100, max_episode_steps=40, dtype=np.float64)


@pytest.mark.parametrize(
    ("id", "asset", "change"),
    [
        ("Hopper-v5", "hopper.xml", ('timestep="0.002"', 'timestep="0.003"')),
        ("HalfCheetah-v5", "half_cheetah.xml", ('gravity="0 0 -9.81"', 'gravity="0 0 -3.7"')),
        ("Ant-v5", "ant.xml", ('integrator="RK4"', 'integrator="Euler"')),
        ("Ant-v5", "ant.xml", ('integrator="RK4"', 'integrator="implicitfast"')),
        ("Humanoid-v5", "humanoid.xml", ('solver="PGS"', 'solver="Newton"')),
    ],
)
def test_own_xml_file(id: str, asset: str, change: tuple[str, str], tmp_path: Path) -> None:
    text = (ASSETS / asset).read_text()
    assert change[0] in text
    own = tmp_path / "own.xml"
    own.write_text(text.replace(*change))
    assert_equal_rollout(id, num_envs=1, steps=200, max_episode_steps=80, xml_file=str(own))


@pytest.mark.parametrize("id", ["Hopper-v5", "Ant-v5", "Humanoid-v5"])
def test_number_of_threads_and_of_environments_changes_no_bit(id: str) -> None:
    pools = [MujocoPool(id, n, num_threads=threads) for n, threads in ((7, 1), (7, 4), (3, 2))]
    rng = np.random.default_rng(0)
    observations = [pool.reset(seed=1)[0][:3] for pool in pools]
    for _ in range(150):
        for other in observations[1:]:
            np.testing.assert_array_equal(observations[0], other)
        action = rng.uniform(pools[0].action_space.low, pools[0].action_space.high).astype(np.float32)
        observations = [pool.step(action[: pool.num_envs])[0][:3] for pool in pools]


FORCE_BODIES = {"Hopper-v5": ["torso", "foot"], "Ant-v5": ["torso"], "Humanoid-v5": ["pelvis", "torso"]}


@pytest.mark.parametrize("id", FORCE_BODIES)
@pytest.mark.parametrize("width", [3, 6])
def test_external_force_equals_xfrc_applied(id: str, width: int) -> None:
    bodies = FORCE_BODIES[id]
    force = np.random.default_rng(5).normal(size=(2, len(bodies), width)) * 20

    def prepare(pool: MujocoPool, envs: list[gym.Env]) -> Any:
        pool.set_external_force(bodies, force)

        def push(i: int, env: Any) -> None:
            for k, name in enumerate(bodies):
                env.unwrapped.data.body(name).xfrc_applied[:width] = force[i, k]

        return push

    assert_equal_rollout(id, steps=150, max_episode_steps=60, prepare=prepare)


def scaled(mass: np.ndarray | None, friction: np.ndarray | None) -> Any:
    """Scale the pool, and edit the models of Gymnasium's environments the same way."""

    def prepare(pool: MujocoPool, envs: list[Any]) -> None:
        pool.set_scales(mass=mass, friction=friction)
        for i, env in enumerate(envs):
            model, data = env.unwrapped.model, env.unwrapped.data
            if mass is not None:
                model.body_mass[:] *= mass[i]
                model.body_inertia[:] *= mass[i] if mass.ndim == 1 else mass[i][:, None]
                mujoco.mj_setConst(model, data)
            if friction is not None:
                model.geom_friction[:] *= friction[i]

    return prepare


@pytest.mark.parametrize("id", ["HalfCheetah-v5", "Hopper-v5", "Ant-v5", "Humanoid-v5"])
def test_scales_equal_an_edited_model(id: str) -> None:
    prepare = scaled(np.array([0.6, 1.7]), np.array([1.5, 0.4]))
    assert_equal_rollout(id, steps=150, max_episode_steps=60, prepare=prepare)


def test_scales_per_body_equal_an_edited_model() -> None:
    mass = np.random.default_rng(0).uniform(0.5, 2.0, (2, 5))  # Hopper: world and four bodies
    assert_equal_rollout("Hopper-v5", steps=150, max_episode_steps=60, prepare=scaled(mass, None))


@pytest.mark.parametrize("id", ["HalfCheetah-v5", "Hopper-v5", "Ant-v5", "Humanoid-v5"])
def test_no_force_and_unit_scales_change_no_bit(id: str) -> None:
    def prepare(pool: MujocoPool, envs: list[Any]) -> None:
        pool.set_scales(mass=np.ones(2), friction=np.ones(2))
        pool.set_external_force([pool.model.body(1).name], np.zeros((2, 1, 3)))

    assert_equal_rollout(id, steps=150, max_episode_steps=60, prepare=prepare)
