"""MuJoCo tasks with many objectives: equal to mo-gymnasium's bit for bit; PGMORL's definitions by hand."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

from rlsuite_envs.mujoco import MujocoPool
from rlsuite_envs.mujoco.mo_single import ManyObjectivesEnv
from rlsuite_envs.mujoco.tasks import MO_TASKS
from rlsuite_envs.mujoco.two_player import ForcedPool
from rlsuite_envs.mujoco_ids import MO_MUJOCO_IDS

# What v4 reports of the position is the body's, before the last integration stage; one convention holds here: v5's.
OTHER_INFO = {"x_position", "y_position", "distance_from_origin"}


def theirs(id: str, **kwargs: Any) -> gym.Env[Any, Any]:
    mo_gymnasium = pytest.importorskip("mo_gymnasium")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*out of date.*")
        return mo_gymnasium.make(id, **kwargs)


def assert_like_mo_gymnasium(id: str, steps: int, limit: int, num_envs: int = 2, **kwargs: Any) -> None:
    pool = MujocoPool(id, num_envs, num_threads=1, max_episode_steps=limit, **kwargs)
    envs: list[Any] = [theirs(id, max_episode_steps=limit, **kwargs) for _ in range(num_envs)]
    assert pool.single_observation_space == envs[0].observation_space
    assert pool.single_action_space == envs[0].action_space
    assert pool.reward_space == envs[0].unwrapped.reward_space
    assert pool.reward_dim == envs[0].unwrapped.reward_dim == len(pool.objective_names)
    obs, _ = pool.reset(seed=11)
    for i, env in enumerate(envs):
        np.testing.assert_array_equal(obs[i], env.reset(seed=11 + i)[0])
    pool.action_space.seed(1)
    ended = 0
    for t in range(steps):
        action = pool.action_space.sample()
        obs, reward, terminated, truncated, info = pool.step(action)
        assert reward.dtype == np.float32 and reward.shape == (num_envs, pool.reward_dim)
        for i, env in enumerate(envs):
            single_obs, single_reward, single_terminated, single_truncated, single_info = env.step(action[i])
            assert (terminated[i], truncated[i]) == (single_terminated, single_truncated), t
            np.testing.assert_array_equal(reward[i], single_reward, err_msg=f"step {t}")
            if single_terminated or single_truncated:
                ended += 1
                np.testing.assert_array_equal(info["final_obs"][i], single_obs)
                single_obs, _ = env.reset()
            else:
                for name in single_info.keys() & info.keys() - (OTHER_INFO if "v4" in id else set()):
                    np.testing.assert_array_equal(info[name][i], single_info[name], err_msg=name)
            np.testing.assert_array_equal(obs[i], single_obs)
    assert ended >= num_envs * (steps // limit)


@pytest.mark.parametrize("id", MO_MUJOCO_IDS)
def test_the_pool_equals_mo_gymnasium(id: str) -> None:
    assert_like_mo_gymnasium(id, steps=110, limit=50)


@pytest.mark.slow
@pytest.mark.parametrize("id", MO_MUJOCO_IDS)
def test_the_pool_equals_mo_gymnasium_for_thousands_of_steps(id: str) -> None:
    assert_like_mo_gymnasium(id, steps=2500, limit=MO_TASKS[id].max_episode_steps, num_envs=3)


@pytest.mark.parametrize(
    ("id", "kwargs"),
    [
        ("mo-hopper-v5", {"terminate_when_unhealthy": False, "healthy_reward": 0.5, "ctrl_cost_weight": 0.25}),
        ("mo-walker2d-v4", {"terminate_when_unhealthy": False, "healthy_reward": 2.0}),
        ("mo-ant-2obj-v5", {"cost_objective": True, "contact_cost_weight": 0.5, "healthy_z_range": (0.4, 0.8)}),
        ("mo-ant-2d-v4", {"exclude_current_positions_from_observation": False, "ctrl_cost_weight": 0.25}),
        ("mo-humanoid-v4", {"exclude_current_positions_from_observation": False, "healthy_reward": 3.0}),
        ("mo-humanoid-v5", {"include_cvel_in_observation": False, "contact_cost_weight": 1e-3}),
        ("mo-halfcheetah-v4", {"forward_reward_weight": 2.0, "ctrl_cost_weight": 0.5}),
    ],
)
def test_arguments_mean_the_same(id: str, kwargs: dict[str, Any]) -> None:
    assert_like_mo_gymnasium(id, steps=60, limit=45, num_envs=1, **kwargs)


NOT_PGMORLS = ("mo-ant-v4", "mo-ant-v5", "mo-reacher-v4", "mo-reacher-v5")


@pytest.mark.parametrize(
    ("id", "given"),
    [(id, {}) for id in MO_MUJOCO_IDS] + [(id, {"rewards": "pgmorl"}) for id in MO_MUJOCO_IDS if id not in NOT_PGMORLS],
)
def test_one_simulation_is_the_pool_of_one(id: str, given: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*out of date.*")  # of any id that has a newer version
        pool: Any = gym.make_vec(f"rlsuite/{id}", num_envs=1, max_episode_steps=20, **given)
        env: Any = gym.make(f"rlsuite/{id}", max_episode_steps=20, **given)
    assert isinstance(pool, MujocoPool)
    single = env.unwrapped
    assert (single.objective_names, single.reward_dim) == (pool.objective_names, pool.reward_dim)
    assert single.reward_space == pool.reward_space
    assert env.observation_space == pool.single_observation_space
    obs, info = pool.reset(seed=3)
    first, first_info = env.reset(seed=3)
    np.testing.assert_array_equal(obs[0], first)
    assert first_info.keys() == {name for name in info if not name.startswith("_")}
    pool.action_space.seed(3)
    for _ in range(45):
        action = pool.action_space.sample()
        obs, reward, terminated, truncated, info = pool.step(action)
        one, one_reward, one_terminated, one_truncated, one_info = env.step(action[0])
        assert single.reward_space.contains(one_reward)
        np.testing.assert_array_equal(reward[0], one_reward)
        assert (terminated[0], truncated[0]) == (one_terminated, one_truncated)
        seen = info["final_info"] if one_terminated or one_truncated else info
        for name, value in one_info.items():
            if name != "TimeLimit.truncated":
                np.testing.assert_array_equal(seen[name][0], value)
        if one_terminated or one_truncated:
            np.testing.assert_array_equal(info["final_obs"][0], one)
            one, _ = env.reset()
        np.testing.assert_array_equal(obs[0], one)


@pytest.mark.parametrize(
    ("id", "scalar", "weights"),
    [
        ("mo-hopper-2obj-v5", "Hopper-v5", (1, 0)),
        ("mo-halfcheetah-v5", "HalfCheetah-v5", (1, 0.1)),
        ("mo-halfcheetah-v4", "HalfCheetah-v5", (1, 1)),
        ("mo-ant-2obj-v5", "Ant-v5", (1, 0)),
        ("mo-swimmer-v5", "Swimmer-v5", (1, 1e-4)),
        ("mo-swimmer-v4", "Swimmer-v5", (1, 1e-4)),
    ],
)
def test_a_linear_weight_gives_the_scalar_task(id: str, scalar: str, weights: tuple[float, float]) -> None:
    pool, plain = MujocoPool(id, 3, max_episode_steps=40), MujocoPool(scalar, 3, max_episode_steps=40)
    np.testing.assert_array_equal(pool.reset(seed=0)[0], plain.reset(seed=0)[0])
    pool.action_space.seed(0)
    for _ in range(100):
        action = pool.action_space.sample()
        obs, reward, terminated, *_ = pool.step(action)
        plain_obs, plain_reward, plain_terminated, *_ = plain.step(action)
        np.testing.assert_array_equal(obs, plain_obs)
        np.testing.assert_array_equal(terminated, plain_terminated)
        np.testing.assert_allclose(reward @ np.array(weights), plain_reward, rtol=0, atol=1e-6)


def step_from(env: Any, change: dict[int, float], action: Any) -> tuple[Any, bool, float, Any]:
    """Reset, put some coordinates elsewhere, step; returns reward, end, x velocity and the positions after the step."""
    env.reset(seed=0)
    task = env.unwrapped
    qpos = task.data.qpos.copy()
    for index, value in change.items():
        qpos[index] = value
    task.set_state(qpos, np.zeros(task.model.nv))
    task._position = task.task.position(task._bound, slice(None))
    _, reward, terminated, _, info = env.step(np.asarray(action, np.float32))
    return reward, terminated, info.get("x_velocity", np.nan), task.data.qpos.copy()


def test_pgmorls_halfcheetah() -> None:
    env = gym.make("rlsuite/mo-halfcheetah-v5", rewards="pgmorl")
    reward, ended, v, _ = step_from(env, {}, [0.5, 0, 0, 0, 0, -3])  # clipped to -1
    np.testing.assert_allclose(reward, [v + 1, 5 - 1.25], atol=1e-6)
    assert not ended and v < 4
    env.reset(seed=0)
    env.unwrapped.set_state(env.unwrapped.init_qpos, np.array([9.0, *np.zeros(8)]))
    _, reward, _, _, info = env.step(np.zeros(6, np.float32))
    assert info["x_velocity"] > 4
    np.testing.assert_allclose(reward, [5, 5])
    for pitch, over in ((np.deg2rad(49), False), (np.deg2rad(-52), True)):
        *_, qpos = step_from(env, {1: 3.0, 2: pitch}, np.zeros(6))
        assert step_from(env, {1: 3.0, 2: pitch}, np.zeros(6))[1] == (abs(qpos[2]) >= np.deg2rad(50)) == over


def test_pgmorls_hopper_with_two_and_three_objectives() -> None:
    action, squares = [1.0, -0.5, 0.25], 1.3125
    two, three = (gym.make(f"rlsuite/mo-hopper-{name}", rewards="pgmorl") for name in ("2obj-v5", "v5"))
    reward, ended, v, qpos = step_from(two, {}, action)
    jump = 12 * (qpos[1] - 1.25)
    np.testing.assert_allclose(reward, [1.5 * v + 1 - 2e-4 * squares, jump + 1 - 2e-4 * squares], atol=1e-6)
    reward, _, v, _ = step_from(three, {}, action)
    np.testing.assert_allclose(reward, [1.5 * v + 1, jump + 1, 5 - squares], atol=1e-6)
    assert not ended
    assert not step_from(three, {2: 0.9}, np.zeros(3))[1]  # fallen for Gymnasium, not yet for PGMORL
    assert step_from(three, {1: 3.0, 2: 1.6}, np.zeros(3))[1]
    assert step_from(three, {1: 0.3}, np.zeros(3))[1]


def test_pgmorls_other_robots() -> None:
    action = np.array([1.0, -0.5, 0.5, 0, 0, 0])  # squares sum to 1.5
    walker = gym.make("rlsuite/mo-walker2d-v5", rewards="pgmorl")
    reward, ended, v, _ = step_from(walker, {}, action)
    np.testing.assert_allclose(reward, [v + 1, 3.5], atol=1e-6)
    assert not ended and step_from(walker, {2: 1.2}, action)[1] and step_from(walker, {1: 2.5}, action)[1]
    swimmer = gym.make("rlsuite/mo-swimmer-v5", rewards="pgmorl")
    reward, ended, v, _ = step_from(swimmer, {}, [1.0, -0.5])
    np.testing.assert_allclose(reward, [v, 0.3 - 0.15 * 1.25], atol=1e-6)
    ant: Any = gym.make("rlsuite/mo-ant-2d-v4", rewards="pgmorl")
    assert ant.observation_space.shape == (27,)
    reward, ended, v, _ = step_from(ant, {2: 3.0}, [1.0, -0.5, 0.5, 0, 0, 0, 0, 0])  # far above what Gymnasium allows
    ant.unwrapped.reset(seed=0)
    np.testing.assert_allclose(reward[0], v + 0.25, atol=1e-6)
    assert not ended and len(reward) == 2
    humanoid = gym.make("rlsuite/mo-humanoid-v5", rewards="pgmorl")
    action = np.array([0.4, -0.2, *np.zeros(15)])  # squares sum to 0.2
    reward, ended, v, _ = step_from(humanoid, {}, action)
    np.testing.assert_allclose(reward, [1.25 * v + 3, 6 - 0.8], atol=1e-6)
    assert not ended and step_from(humanoid, {2: 0.9}, action)[1]


@pytest.mark.parametrize(("id", "limit"), [("mo-swimmer-v5", 500), ("mo-ant-2obj-v5", 500), ("mo-humanoid-v5", 1000)])
def test_pgmorls_time_limit_is_part_of_the_task(id: str, limit: int) -> None:
    assert MujocoPool(id, rewards="pgmorl").max_episode_steps == limit
    assert MujocoPool(id, rewards="pgmorl", max_episode_steps=7).max_episode_steps == 7
    assert MujocoPool(id, rewards="pgmorl", max_episode_steps=2000).max_episode_steps == limit
    assert gym.make_vec(f"rlsuite/{id}", 1, rewards="pgmorl").max_episode_steps == limit  # type: ignore[attr-defined]
    assert MujocoPool(id).max_episode_steps == 1000


def test_pgmorls_time_limit_ends_the_single_environment() -> None:
    env = gym.make("rlsuite/mo-swimmer-v5", rewards="pgmorl", frame_skip=1)
    env.reset(seed=0)
    ends = [env.step(np.zeros(2, np.float32))[3] for _ in range(500)]
    assert ends.index(True) == 499


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("mo-hopper-v5", {"rewards": "morl"}, "rewards='morl' must be one of 'mo-gymnasium', 'pgmorl'"),
    ("mo-hopper-v5", {"cost_objective": 2}, "cost_objective=2 must be True or False"),
    ("mo-ant-v5", {"rewards": "pgmorl"}, "mo-ant-2obj-v5"),
    ("mo-reacher-v5", {"rewards": "pgmorl"}, "no reacher"),
    ("mo-hopper-v5", {"rewards": "pgmorl", "healthy_reward": 2.0}, "healthy_reward=2.0 has no effect"),
    ("mo-swimmer-v5", {"rewards": "pgmorl", "ctrl_cost_weight": 1.0}, "ctrl_cost_weight=1.0 has no effect"),
    ("mo-reacher-v5", {"xml_file": "hopper.xml"}, "a body named 'target'"),
    ("mo-hoper-v5", {}, "Did you mean 'mo-hopper-v5'"),
]


@pytest.mark.parametrize(("id", "kwargs", "message"), BAD)
def test_bad_arguments_are_refused(id: str, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MujocoPool(id, 2, **kwargs)


def test_a_weight_of_zero_leaves_the_cost_as_it_is() -> None:
    pool = MujocoPool("mo-halfcheetah-v5", 1, ctrl_cost_weight=0.0)
    pool.reset(seed=0)
    reward = pool.step(np.full((1, 6), 0.5, np.float32))[1]
    np.testing.assert_allclose(reward[0, 1], -1.5)


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        ([0, 9], ValueError, "environment 1 is 9; use 0..8"),
        ([-1, 0], ValueError, "environment 0 is -1"),
        ([0.5, 1.0], ValueError, "takes integers"),
        ([0], ValueError, "shape"),
        ([[0, 1]], ValueError, "shape"),
        (["a", "b"], TypeError, "numbers"),
    ],
)
def test_bad_actions_of_the_reacher_are_refused(action: Any, error: type[Exception], message: str) -> None:
    pool = MujocoPool("mo-reacher-v5", 2)
    pool.reset(seed=0)
    with pytest.raises(error, match=message):
        pool.step(np.asarray(action))
    env: Any = gym.make("rlsuite/mo-reacher-v5").unwrapped
    env.reset(seed=0)
    for bad in (9, -1, 0.5, [0, 1]):
        with pytest.raises(ValueError, match="mo-reacher-v5"):
            env.step(bad)


def test_the_tables_agree() -> None:
    assert set(MO_TASKS) == set(MO_MUJOCO_IDS)
    for id in MO_MUJOCO_IDS:
        assert gym.spec(f"rlsuite/{id}").max_episode_steps == MO_TASKS[id].max_episode_steps
        assert id not in gym.registry or "mo_gymnasium" in str(gym.registry[id].entry_point)


@pytest.mark.parametrize("id", ["mo-hopper-2obj-v5", "mo-humanoid-v4", "mo-reacher-v5"])
def test_a_single_environment_keeps_gymnasiums_rules(id: str) -> None:
    env: Any = ManyObjectivesEnv(id)
    with pytest.raises(ResetNeeded):
        env.step(env.action_space.sample())

    class First(gym.RewardWrapper):  # Gymnasium's checker wants a number
        def reward(self, reward: Any) -> float:
            return float(reward[0])

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*different from the unwrapped version.*")
        warnings.filterwarnings("ignore", message=".*probably too (low|high).*")
        warnings.filterwarnings("ignore", message=".*symmetric and normalized.*")
        check_env(First(env), skip_render_check=True)
    for twin in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):
        np.testing.assert_array_equal(twin.reset(seed=4)[0], env.reset(seed=4)[0])
    env.close()
    with pytest.raises(ResetNeeded):
        env.step(env.action_space.sample())


@pytest.mark.parametrize("id", ["mo-ant-v5", "mo-reacher-v4"])
def test_a_pool_is_resumed_and_copied_to_the_bit(id: str) -> None:
    pool = MujocoPool(id, 2, num_threads=1, max_episode_steps=7)
    with pytest.raises(ResetNeeded):
        pool.step(pool.action_space.sample())
    pool.reset(seed=0)
    pool.action_space.seed(0)
    for _ in range(5):
        pool.step(pool.action_space.sample())
    resumed = MujocoPool(id, 2, num_threads=2, max_episode_steps=7)
    resumed.load_state_dict(pool.state_dict())
    twins = [resumed, copy.deepcopy(pool), pickle.loads(pickle.dumps(pool))]
    for _ in range(10):
        action = pool.action_space.sample()
        expected = pool.step(action)
        for twin in twins:
            for left, right in zip(expected[:4], twin.step(action)[:4], strict=True):
                np.testing.assert_array_equal(left, right)


def test_a_game_tells_its_objectives() -> None:
    game = ForcedPool("mo-hopper-2obj-v5", 2, bodies="foot", axes="xz")
    game.reset(seed=0)
    assert game.reward_dim == 2 and game.objective_names == ("x_velocity", "height")
    assert game.step((np.zeros((2, 3), np.float32), None))[1].shape == (2, 2)


def test_scalar_pools_have_no_objectives() -> None:
    pool = MujocoPool("Hopper-v5", 2)
    assert (pool.objective_names, pool.reward_space, pool.reward_dim) == (None, None, None)
    with pytest.raises(ValueError, match="one objective"):
        gym.make("rlsuite/mo-hopper-v5", task="Hopper-v5")
