"""The pool's own promises: resume, partial resets, perturbations, bad input, registration."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from rlsuite_envs.mujoco import TASKS, MujocoPool, SimulationDiverged
from rlsuite_envs.mujoco.single import ResetFirst
from rlsuite_envs.mujoco_ids import MUJOCO_IDS, register_mujoco

register_mujoco()


def actions(pool: MujocoPool, steps: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    low, high = pool.action_space.low, pool.action_space.high
    return rng.uniform(low, high, (steps, *low.shape)).astype(np.float32)


def assert_same_step(left: tuple[Any, ...], right: tuple[Any, ...]) -> None:
    for a, b in zip(left[:4], right[:4], strict=True):
        np.testing.assert_array_equal(a, b)
    assert left[4].keys() == right[4].keys()
    for name in left[4].keys() - {"final_info"}:
        np.testing.assert_array_equal(left[4][name], right[4][name], err_msg=name)


@pytest.mark.parametrize("id", TASKS)
def test_resume_continues_to_the_same_bits(id: str) -> None:
    pool = MujocoPool(id, 3, max_episode_steps=40)
    pool.reset(seed=5)
    pool.set_external_force([pool.model.body(1).name], np.full((3, 1, 3), 0.5))
    pool.set_scales(mass=[0.9, 1.0, 1.1], friction=[1.0, 0.8, 1.2])
    plan = actions(pool, 130)
    for action in plan[:50]:
        pool.step(action)
    saved = pool.state_dict()
    assert all(isinstance(value, np.ndarray) for value in saved.values())
    after = [pool.step(action) for action in plan[50:]]

    fresh = MujocoPool(id, 3, max_episode_steps=40, num_threads=2)
    fresh.load_state_dict(saved)
    for action, expected in zip(plan[50:], after, strict=True):
        assert_same_step(fresh.step(action), expected)
    # and back in time, in the same pool
    pool.load_state_dict(saved)
    assert_same_step(pool.step(plan[50]), after[0])


def test_resume_forgets_perturbations_that_were_not_saved() -> None:
    pool = MujocoPool("Hopper-v5", 2)
    pool.reset(seed=0)
    saved = pool.state_dict()
    action = actions(pool, 1)[0]
    expected = pool.step(action)
    pool.set_scales(mass=[2.0, 3.0], friction=[0.1, 0.1])
    pool.set_external_force("torso", np.full((2, 1, 3), 9.0))
    pool.step(action)
    pool.load_state_dict(saved)
    assert_same_step(pool.step(action), expected)


def test_saved_state_of_another_size_is_refused() -> None:
    small, large = MujocoPool("Hopper-v5", 2), MujocoPool("Hopper-v5", 3)
    small.reset(seed=0)
    with pytest.raises(ValueError, match="'physics'"):
        large.load_state_dict(small.state_dict())
    broken = small.state_dict()
    del broken["generators"]
    with pytest.raises(ValueError, match="nothing for 'generators'"):
        small.load_state_dict(broken)
    with pytest.raises(RuntimeError, match="reset"):
        large.state_dict()


@pytest.mark.parametrize("id", ["Hopper-v5", "Humanoid-v5"])
def test_reset_mask_restarts_only_the_masked(id: str) -> None:
    pool, twin = MujocoPool(id, 4), MujocoPool(id, 4)
    for each in (pool, twin):
        each.reset(seed=3)
    plan = actions(pool, 6)
    for action in plan[:5]:
        last = pool.step(action)[0]
        twin.step(action)
    mask = np.array([False, True, False, True])
    obs, info = pool.reset(options={"reset_mask": mask})
    np.testing.assert_array_equal(obs[~mask], last[~mask])
    assert (obs[mask] != last[mask]).any()
    np.testing.assert_array_equal(info["_x_position"], mask)
    stepped, untouched = pool.step(plan[5])[0], twin.step(plan[5])[0]
    np.testing.assert_array_equal(stepped[~mask], untouched[~mask])


def test_seed_sequences_and_repeated_resets() -> None:
    pool = MujocoPool("Walker2d-v5", 3)
    first, _ = pool.reset(seed=[11, 5, 11])
    np.testing.assert_array_equal(first[0], first[2])
    again, _ = pool.reset()
    assert (again != first).any(axis=1).all()
    reseeded, _ = pool.reset(seed=[None, 5, None])
    np.testing.assert_array_equal(reseeded[1], first[1])
    with pytest.raises(ValueError, match="2 seeds for 3"):
        pool.reset(seed=[1, 2])


def test_returned_arrays_are_the_callers() -> None:
    pool, twin = MujocoPool("Hopper-v5", 2), MujocoPool("Hopper-v5", 2)
    results = [each.reset(seed=1) for each in (pool, twin)]
    plan = actions(pool, 60)
    for action in plan:
        results[0] = pool.step(action)
        expected = twin.step(action)
        assert_same_step(results[0], expected)
        results[0][0][:] = np.nan
        results[0][4]["x_position"][:] = np.nan
        results[0][1][:] = np.nan


def test_a_force_pushes_the_named_body_until_removed() -> None:
    pool = MujocoPool("HalfCheetah-v5", 2)
    pool.reset(seed=0)
    still = np.zeros((2, 6), np.float32)
    force = np.zeros((2, 1, 3))
    force[1, 0, 0] = 300.0
    pool.set_external_force("torso", force)
    for _ in range(30):
        info = pool.step(still)[4]
    assert info["x_velocity"][1] > info["x_velocity"][0] + 1.0
    pool.set_external_force("torso", None)
    speed = [pool.step(still)[4]["x_velocity"][1] for _ in range(60)]
    assert speed[-1] < speed[0]


def test_heavier_means_slower() -> None:
    pool = MujocoPool("InvertedPendulum-v5", 2, max_episode_steps=1000)
    pool.set_scales(mass={"cart": [1.0, 8.0]})
    pool.reset(seed=[4, 4])
    pool.step(np.ones((2, 1), np.float32))
    speed = pool.state_dict()["obs"][:, 2]
    assert 0 < speed[1] < speed[0]


BAD_PERTURBATIONS: list[tuple[str, dict[str, Any], str]] = [
    ("set_external_force", {"body_names": "torsoo", "force": np.zeros((2, 1, 3))}, "torso"),
    ("set_external_force", {"body_names": ["torso"], "force": np.zeros((2, 3))}, "shape"),
    ("set_external_force", {"body_names": ["torso", "torso"], "force": np.zeros((2, 2, 3))}, "twice"),
    ("set_external_force", {"body_names": "torso", "force": np.full((2, 1, 3), np.nan)}, "NaN"),
    ("set_scales", {"mass": [1.0, 0.0]}, "positive"),
    ("set_scales", {"mass": [1.0, 2.0, 3.0]}, "shape"),
    ("set_scales", {"friction": [1.0, -1.0]}, "positive"),
    ("set_scales", {"mass": {"fot": [1.0, 1.0]}}, "foot"),
]


@pytest.mark.parametrize(("method", "arguments", "message"), BAD_PERTURBATIONS)
def test_bad_perturbations_are_refused(method: str, arguments: dict[str, Any], message: str) -> None:
    pool = MujocoPool("Hopper-v5", 2)
    pool.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        getattr(pool, method)(**arguments)


BAD_ARGUMENTS: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("Hoper-v5", {}, ValueError, "Hopper-v5"),
    ("CartPole-v1", {}, ValueError, "no task"),
    ("Hopper-v5", {"num_envs": 0}, ValueError, "num_envs=0"),
    ("Hopper-v5", {"num_threads": -1}, ValueError, "num_threads=-1"),
    ("Hopper-v5", {"max_episode_steps": 0}, ValueError, "max_episode_steps=0"),
    ("Hopper-v5", {"render_mode": "human"}, ValueError, "rgb_array"),
    ("Hopper-v5", {"healthy_z_rang": (0, 1)}, TypeError, "healthy_z_range"),
    ("Hopper-v5", {"healthy_z_range": (1.0, 0.5)}, ValueError, "healthy_z_range"),
    ("Hopper-v5", {"healthy_z_range": 0.7}, ValueError, "pair"),
    ("Hopper-v5", {"frame_skip": 0}, ValueError, "frame_skip=0"),
    ("Hopper-v5", {"reset_noise_scale": -0.1}, ValueError, "reset_noise_scale"),
    ("Hopper-v5", {"ctrl_cost_weight": float("nan")}, ValueError, "ctrl_cost_weight"),
    ("Hopper-v5", {"terminate_when_unhealthy": "no"}, ValueError, "terminate_when_unhealthy"),
    ("Hopper-v5", {"xml_file": "/nowhere/hopper.xml"}, OSError, "/nowhere/hopper.xml"),
    ("Ant-v5", {"main_body": "torsoo"}, ValueError, "torso"),
    ("Ant-v5", {"main_body": 99}, ValueError, "torso"),
    ("Pusher-v5", {"xml_file": "reacher.xml"}, ValueError, "tips_arm"),
    ("InvertedDoublePendulum-v5", {"xml_file": "hopper.xml"}, ValueError, "3 joints"),
]


@pytest.mark.parametrize(("id", "arguments", "error", "message"), BAD_ARGUMENTS)
def test_bad_arguments_are_refused(id: str, arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        MujocoPool(id, **arguments)


def test_bad_actions_are_refused() -> None:
    pool = MujocoPool("Hopper-v5", 2)
    with pytest.raises(gym.error.ResetNeeded):
        pool.step(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="full reset"):
        pool.reset(options={"reset_mask": np.array([True, False])})
    pool.reset(seed=0)
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        pool.step(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="environment 1 is not finite"):
        pool.step(np.array([[0, 0, 0], [0, np.nan, 0]]))
    with pytest.raises(ValueError, match="reset_mask"):
        pool.reset(options={"reset_mask": np.array([True])})


def test_a_diverged_simulation_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo logs its warnings into the working directory
    pool = MujocoPool("HalfCheetah-v5", 3)
    pool.reset(seed=0)
    still = np.zeros((3, 6), np.float32)
    pool.step(still)
    force = np.zeros((3, 1, 3))
    force[2] = 1e13
    pool.set_external_force("torso", force)
    with pytest.raises(SimulationDiverged, match=r"environment 2 became unstable at step [23] of the pool"):
        for _ in range(3):
            pool.step(still)
    # a reset without the force heals it
    pool.set_external_force("torso", None)
    obs, _ = pool.reset(seed=0)
    assert np.isfinite(pool.step(still)[0]).all() and np.isfinite(obs).all()


def test_registered_ids_give_the_pool_and_gymnasiums_own_class_which_wants_a_reset() -> None:
    assert set(MUJOCO_IDS) == set(TASKS)
    pool = gym.make_vec("rlsuite/Ant-v5", num_envs=2, healthy_z_range=(0.3, 0.9), num_threads=1)
    assert isinstance(pool.unwrapped, MujocoPool)
    assert pool.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert pool.unwrapped.task.healthy_z_range == (0.3, 0.9)  # type: ignore[attr-defined]
    single, own = gym.make("rlsuite/Ant-v5"), gym.make("Ant-v5")
    assert type(single.unwrapped).__bases__ == (ResetFirst, type(own.unwrapped))
    assert single.spec is not None and single.spec.max_episode_steps == 1000
    for id in MUJOCO_IDS:
        assert TASKS[id].max_episode_steps == gym.spec(id).max_episode_steps


def test_episode_statistics_wrapper_sees_whole_episodes() -> None:
    pool = MujocoPool("Hopper-v5", 2, max_episode_steps=15)
    env = gym.wrappers.vector.RecordEpisodeStatistics(pool)
    env.reset(seed=0)
    total = np.zeros(2)
    lengths = np.zeros(2, int)
    seen = 0
    for action in actions(pool, 60):
        _, reward, terminated, truncated, info = env.step(action)
        total += reward
        lengths += 1
        done = terminated | truncated
        if done.any():
            np.testing.assert_allclose(info["episode"]["r"][done], total[done])
            np.testing.assert_array_equal(info["episode"]["l"][done], lengths[done])
            total[done], lengths[done] = 0, 0
            seen += int(done.sum())
    assert seen >= 8


def test_rendering_draws_or_says_how_to() -> None:
    script = (
        "from rlsuite_envs.mujoco import MujocoPool\n"
        "pool = MujocoPool('Hopper-v5', 2, render_mode='rgb_array', width=64, height=48)\n"
        "pool.reset(seed=0)\n"
        "try:\n    (frame,) = pool.render()\n    print('drawn', frame.shape, frame.std() > 0)\n"
        "except RuntimeError as error:\n    print('refused', 'MUJOCO_GL=egl' in str(error))\n"
        "pool.close()\n"
    )
    # a process of its own: an OpenGL failure can take the interpreter with it
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "drawn (48, 64, 3) True" in done.stdout or "refused True" in done.stdout, done.stderr
    assert MujocoPool("Hopper-v5", 1).render() is None
