"""Coverage with the Ant: the ground against a slow scalar count, one environment against the pool."""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rlsuite_envs.coverage.ant import AntCoverageEnv, AntCoverageVectorEnv
from rlsuite_envs.coverage.ant_map import AntCoverageParams, CoverageMap
from rlsuite_envs.coverage.registration import register_ant_coverage

register_ant_coverage()
ID = "rlsuite/AntCoverage-v0"


def blocks(path: np.ndarray, half: float, cells: int, block: int) -> list[int]:
    """Number of covered cells after each place, one cell at a time."""
    covered: set[tuple[int, int]] = set()
    counts = []
    for x, y in path:
        i, j = int(np.floor((x + half) / (2 * half / cells))), int(np.floor((y + half) / (2 * half / cells)))
        if 0 <= i < cells and 0 <= j < cells:
            for di in range(block):
                for dj in range(block):
                    if i + di < cells and j + dj < cells:
                        covered.add((i + di, j + dj))
        counts.append(len(covered))
    return counts


@pytest.mark.parametrize(("half", "cells", "block"), [(20.0, 100, 5), (3.0, 7, 3), (1.0, 4, 1), (2.0, 2, 2)])
def test_the_ground_is_counted_right(half: float, cells: int, block: int) -> None:
    params = AntCoverageParams(half_side=half, cells=cells, block=block, map_cells=1)
    ground, rng = CoverageMap(params, 3), np.random.default_rng(0)
    paths = np.cumsum(rng.normal(scale=half / 8, size=(3, 120, 2)), axis=1)  # they leave the square, too
    assert (np.abs(paths) > half).any()
    gains = np.stack([ground.visit(np.arange(3), paths[:, t]) for t in range(120)], axis=1)
    for b in range(3):
        counts = np.array(blocks(paths[b], half, cells, block)) / 10
        np.testing.assert_allclose(np.cumsum(gains[b]), counts, atol=1e-9)
        assert ground.value[b] == pytest.approx(counts[-1])
        assert ground.covered[b].sum() / 10 == pytest.approx(counts[-1])
    assert (gains >= 0).all()


def test_gains_shrink_with_the_history() -> None:
    rng = np.random.default_rng(1)
    params = AntCoverageParams(half_side=2.0, cells=10, map_cells=5)
    for _ in range(50):
        places, place = rng.uniform(-2, 2, (8, 1, 2)), rng.uniform(-2, 2, (1, 2))
        early, late = CoverageMap(params, 1), CoverageMap(params, 1)
        for t, where in enumerate(places):
            late.visit(np.zeros(1, np.intp), where)
            if t < 4:
                early.visit(np.zeros(1, np.intp), where)
        row = np.zeros(1, np.intp)
        assert early.visit(row, place) >= late.visit(row, place)


def test_blocks_at_the_borders() -> None:
    ground = CoverageMap(AntCoverageParams(), 6)
    places = np.array([[-20, -20], [19.99, 19.99], [20, 0], [-20.01, 0], [0, -25], [-20, 19.5]])
    gains = ground.visit(np.arange(6), places)
    np.testing.assert_allclose(gains, [2.5, 0.1, 0.0, 0.0, 0.0, 1.0])
    assert ground.covered[0, :5, :5].all()
    assert ground.covered[1, 99, 99]
    assert ground.outside(places).tolist() == [False, False, False, True, True, False]
    assert not ground.covered[3].any()  # a negative index does not count from the other side


def test_the_coarse_map() -> None:
    params = AntCoverageParams()
    ground = CoverageMap(params, 1)
    ground.visit(np.zeros(1, np.intp), np.array([[0.0, 0.0]]))
    seen = ground.observe(np.full((1, 29), 10.0))[0]
    assert seen[:2].tolist() == [0.5, 0.5]
    assert (seen[2:29] == 10).all()
    fields = seen[29:].reshape(10, 10)
    assert fields[5, 5] == 0.25
    assert fields.sum() == 0.25


@pytest.mark.parametrize("unhealthy", [False, True])
@pytest.mark.parametrize("reward", ["marginal", "modular"])
def test_environments_of_the_vector_are_the_single_one(unhealthy: bool, reward: str) -> None:
    kwargs: dict[str, Any] = {"half_side": 0.6, "reward": reward, "terminate_when_unhealthy": unhealthy}
    vector = gym.make_vec(ID, num_envs=3, max_episode_steps=60, **kwargs)
    singles = [gym.make(ID, max_episode_steps=60, **kwargs) for _ in range(3)]
    seen, info = vector.reset(seed=7)
    for i, env in enumerate(singles):
        obs, first = env.reset(seed=7 + i)
        np.testing.assert_array_equal(seen[i], obs)
        assert {name: info[name][i] for name in first} == first
    vector.action_space.seed(0)
    kinds: set[str] = set()
    for _ in range(150):
        actions = vector.action_space.sample()
        seen, rewards, terminated, truncated, info = vector.step(actions)
        for i, env in enumerate(singles):
            obs, earned, ended, cut, last = env.step(actions[i])
            assert (earned, ended, cut) == (rewards[i], terminated[i], truncated[i])
            now = info
            if ended or cut:
                kinds |= {"left" if ended else "cut"}
                np.testing.assert_array_equal(info["final_obs"][i], obs)
                assert info["_final_obs"][i]
                now = info["final_info"]
            else:
                assert "_final_obs" not in info or not info["_final_obs"][i]
            assert {name: now[name][i] for name in last} == last
            if ended or cut:
                obs, _ = env.reset()
            np.testing.assert_array_equal(seen[i], obs)
    assert "left" in kinds


def test_rewards_of_an_episode_sum_to_the_value_gained() -> None:
    env = gym.make(ID, observation="raw")
    obs, info = env.reset(seed=0)
    env.action_space.seed(0)
    total, path, modular, first = 0.0, [obs[:2]], 0.0, info["set_value"]
    for _ in range(120):
        obs, reward, *_, info = env.step(env.action_space.sample())
        assert float(reward) >= 0
        total, path = total + float(reward), [*path, obs[:2]]
        modular += info["set_value"]
    assert first == 2.5
    assert info["set_value"] == pytest.approx(total + first)
    assert info["set_value"] == pytest.approx(blocks(np.array(path), 20.0, 100, 5)[-1] / 10)
    assert info["modular_value"] == pytest.approx(modular)
    assert obs.shape == (29,)


def test_the_body_is_gymnasiums_ant() -> None:
    ours, ant = (
        gym.make(ID, observation="raw"),
        gym.make(
            "Ant-v5",
            exclude_current_positions_from_observation=False,
            include_cfrc_ext_in_observation=False,
            terminate_when_unhealthy=False,
        ),
    )
    a, _ = ours.reset(seed=1)
    b, _ = ant.reset(seed=1)
    for _ in range(30):
        np.testing.assert_array_equal(a, b)
        action = ours.action_space.sample()
        a, b = ours.step(action)[0], ant.step(action)[0]


def test_a_saved_vector_goes_on_to_the_same_bits() -> None:
    one, other = (AntCoverageVectorEnv(2, half_side=0.5, max_episode_steps=40) for _ in range(2))
    actions = np.random.default_rng(0).uniform(-1, 1, (60, 2, 8)).astype(np.float32)
    one.reset(seed=0)
    for action in actions[:25]:
        one.step(action)
    saved = one.state_dict()
    other.load_state_dict(saved)
    for action in actions[25:]:
        for left, right in zip(one.step(action)[:4], other.step(action)[:4], strict=True):
            np.testing.assert_array_equal(left, right)
    with pytest.raises(ValueError, match=r"nothing for 'map.covered'"):
        other.load_state_dict({name: v for name, v in saved.items() if name != "map.covered"})


def test_some_rows_can_be_reset() -> None:
    vector = AntCoverageVectorEnv(3)
    vector.reset(seed=0)
    for _ in range(30):
        _, _, _, _, info = vector.step(vector.action_space.sample())
    before = info["set_value"]
    assert (before > 2.5).all()
    _, info = vector.reset(options={"reset_mask": np.array([False, True, False])})
    assert info["set_value"].tolist() == [before[0], 2.5, before[2]]


@pytest.mark.filterwarnings("ignore:.*probably too (low|high).*")
def test_the_checker_and_pickles() -> None:
    env = gym.make(ID)
    check_env(env.unwrapped, skip_render_check=True)
    copy = pickle.loads(pickle.dumps(AntCoverageEnv(cells=50, observation="state")))
    assert copy.coverage_params == AntCoverageParams(cells=50, observation="state")
    assert copy.reset(seed=0)[0].shape == (29,)


def test_pictures() -> None:
    env: Any = gym.make(ID).unwrapped
    env.reset(seed=0)
    for _ in range(5):
        env.step(env.action_space.sample())
    picture = env.render_episode()
    assert picture.dtype == np.uint8
    assert picture.std() > 5


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"half_side": 0.0}, "half_side=0.0 must be above 0"),
        ({"cells": 0}, r"cells=0 must be an integer of at least 1, at most 10000"),
        ({"block": 101}, r"block=101 must be an integer in 1..100"),
        ({"map_cells": 7}, "map_cells=7 must divide cells=100"),
        ({"reward": "sum"}, "reward='sum' must be one of"),
        ({"observation": "all"}, "observation='all' must be one of"),
        ({"terminate_when_unhealthy": 1}, "terminate_when_unhealthy=1 must be True or False"),
        ({"include_cfrc_ext_in_observation": True}, "AntCoverage fixes it; choose observation="),
    ],
)
def test_bad_constants(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make_vec(ID, num_envs=2, **kwargs)
    with pytest.raises(ValueError, match=message):
        gym.make(ID, **kwargs)


def test_bad_numbers_of_environments_and_steps() -> None:
    with pytest.raises(ValueError, match="num_envs=0"):
        gym.make_vec(ID, num_envs=0)
    with pytest.raises(ValueError, match="max_episode_steps=0"):
        AntCoverageVectorEnv(1, max_episode_steps=0)
