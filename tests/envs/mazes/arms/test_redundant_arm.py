"""The redundant arm: its integration in closed form, legality against brute force, rewards by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite_envs.kernel import tree_map
from rlsuite_envs.mazes.arms.redundant_arm import RedundantArm, RedundantArmParams, RedundantArmState

BARS = ((0.49, 0.0, 0.51, 0.2), (0.49, 0.8, 0.51, 1.0), (0.0, 0.49, 0.2, 0.51), (0.8, 0.49, 1.0, 0.51))


@pytest.fixture
def arm() -> RedundantArm:
    return RedundantArm(dtype=torch.float64)


def points_of(angles: Any) -> np.ndarray:
    """Joints [N + 1, 2] by complex numbers."""
    turns = np.exp(1j * (np.pi / 2 + np.cumsum(angles)))
    z = 0.5 + 0.5j + np.concatenate(([0], np.cumsum(turns) / len(turns)))
    return np.stack((z.real, z.imag), 1)


def posed(arm: RedundantArm, angles: Any, speeds: Any = 0.0, t: int = 0) -> RedundantArmState:
    """A state of one row."""
    angles = torch.as_tensor(np.asarray(angles), dtype=arm.dtype)[None]
    effector = torch.as_tensor(points_of(angles[0].numpy())[-1], dtype=arm.dtype)[None]
    speeds = torch.as_tensor(speeds, dtype=arm.dtype).expand(angles.shape).clone()
    return RedundantArmState(angles, speeds, effector, torch.zeros(1, dtype=torch.bool), torch.tensor([t]))


def is_legal(points: np.ndarray) -> bool:
    """The rules one after the other, joint by joint and pair by pair."""
    for x, y in points:
        if not (0 <= x < 1 and 0 <= y < 1):
            return False
        if any(x0 < x < x1 and y0 < y < y1 for x0, y0, x1, y1 in BARS):
            return False
    link = 1 / (len(points) - 1)
    for i in range(len(points)):
        for j in range(i):
            if abs(points[i, 0] - points[j, 0]) + abs(points[i, 1] - points[j, 1]) < 0.95 * link:
                return False
    return True


def test_the_arm_starts_as_a_spiral(arm: RedundantArm) -> None:
    state = arm.initial_state(2, torch.Generator())
    np.testing.assert_allclose(state.angles[1], np.linspace(np.pi / 5, np.pi / 20, 20), rtol=1e-12)
    x, y = arm.joints(state.angles)
    np.testing.assert_allclose(torch.stack((x, y), -1)[:, 1], points_of(state.angles[1].numpy()), atol=1e-12)
    np.testing.assert_allclose(state.effector[1], points_of(state.angles[1].numpy())[-1], atol=1e-12)
    assert arm.legal(x, y).all()
    np.testing.assert_allclose(arm.observe(state)[0], np.linspace(0.2, 0.05, 20), rtol=1e-6)


@pytest.mark.parametrize("torque", [0.3, -1.0])
def test_a_constant_torque_in_closed_form(arm: RedundantArm, torque: float) -> None:
    """v_k = k a dt / 2, so that angle_k = angle_0 + a dt^2 k^2 / 4 + a dt^2 k / 4."""
    action = torch.zeros(1, 20, dtype=torch.float64)
    action[0, 4] = torque
    state = start = arm.initial_state(1, torch.Generator())
    for step in range(1, 31):
        state, reward, terminated = arm.advance(state, action)
        assert not terminated
        assert reward == 0
        k = 2 * step
        moved = torque * 1e-4 * (k * k + k) / 4
        np.testing.assert_allclose(state.angles[0] - start.angles[0], np.eye(20)[4] * moved, atol=1e-12)
        assert state.speeds[0, 4].item() == pytest.approx(k * torque * 0.005, rel=1e-9)


def test_torques_are_clipped(arm: RedundantArm) -> None:
    state = arm.initial_state(1, torch.Generator())
    torque = torch.linspace(-3, 3, 20, dtype=torch.float64)[None]
    found, limited = arm.advance(state, torque)[0], arm.advance(state, torque.clamp(-1, 1))[0]
    torch.testing.assert_close(found.angles, limited.angles, rtol=0, atol=0)


def test_legality_is_that_of_the_rules(arm: RedundantArm) -> None:
    rng = np.random.default_rng(0)
    smooth = np.concatenate([rng.normal(0, scale, (300, 20)) for scale in (0.1, 0.2, 0.4)])
    angles = smooth + rng.uniform(-0.5, 0.5, (900, 1))
    x, y = arm.joints(torch.from_numpy(angles))
    expected = np.array([is_legal(points_of(row)) for row in angles])
    assert 100 < expected.sum() < 800  # both kinds
    np.testing.assert_array_equal(arm.legal(x, y).numpy(), expected)


@pytest.mark.parametrize(
    "angles",
    [
        [np.pi / 4] + [0.0] * 19,  # out over a corner
        [0.0] * 20,  # into the upper bar
        [np.pi / 4] + [0.0] * 4 + [2 * np.pi / 5] * 5 + [0.0] * 10,  # round and onto itself
    ],
    ids=["border", "bar", "itself"],
)
def test_illegal_poses(arm: RedundantArm, angles: Any) -> None:
    assert not is_legal(points_of(angles))
    assert not arm.legal(*arm.joints(torch.tensor([angles], dtype=torch.float64)))


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), force=st.floats(0.1, 1.0))
def test_episodes_end_with_the_first_illegal_move(seed: int, force: float) -> None:
    kernel, rng = RedundantArm(dtype=torch.float64), np.random.default_rng(seed)
    state = kernel.initial_state(1, torch.Generator())
    torque = rng.uniform(-force, force, 20)
    angles, speeds = state.angles[0].numpy().copy(), np.zeros(20)
    for _ in range(100):
        legal = True
        for _ in range(2):
            moved = angles + speeds * 0.01 + torque / 2 * 0.01**2
            way = np.linalg.norm(points_of(moved)[-1] - points_of(angles)[-1])
            if not (is_legal(points_of(moved)) and way / 2 + speeds[-1] <= 1.0):
                legal = False
                break
            angles, speeds = moved, (moved - angles) / 0.01
        state, _, terminated = kernel.advance(state, torch.from_numpy(torque)[None])
        np.testing.assert_allclose(state.angles[0], angles, atol=1e-10)
        assert terminated.item() == (not legal)
        if not legal:
            return


def test_a_fast_last_joint_is_illegal() -> None:
    kernel = RedundantArm(RedundantArmParams(max_speed=0.25), dtype=torch.float64)
    state, torque = kernel.initial_state(1, torch.Generator()), torch.zeros(1, 20)
    torque[0, -1] = 1.0
    for step in range(1, 60):
        state, _, terminated = kernel.advance(state, torque)
        # The speed before sub-step k is (k - 1) 0.005: it is 0.25 before the 51st, the first of step 26.
        assert terminated.item() == (step == 26)
        if terminated:
            np.testing.assert_allclose(state.speeds[0, -1], 0.25)
            return


@pytest.mark.parametrize("by_time", [True, False])
def test_the_end_is_paid_by_the_distance_to_the_spot(by_time: bool) -> None:
    """Move the spots instead of the arm: it starts, and stays, at 30 % of the radius from the second one."""
    start = RedundantArm(dtype=torch.float64).initial_state(1, torch.Generator()).effector[0]
    x, y = start.tolist()
    params = RedundantArmParams(areas=((0.9, 0.1, 0.05), (x + 0.015, y, 0.05)), horizon=3)
    kernel = RedundantArm(params, dtype=torch.float64)
    state = kernel.initial_state(1, torch.Generator())
    still = torch.zeros(1, 20, dtype=torch.float64)
    if not by_time:
        state = replace(state, speeds=torch.full_like(state.speeds, 90.0))  # one step later it is a knot
    rewards, ends = [], []
    for _ in range(3 if by_time else 1):
        state, reward, terminated = kernel.advance(state, still)
        rewards.append(reward.item())
        ends.append(terminated.item())
    assert rewards == pytest.approx([0.0] * (len(rewards) - 1) + [0.7])
    assert ends == [False] * 3 if by_time else [True]
    info = kernel.info(state)
    assert (info["area"].item(), info["success"].item(), info["stopped"].item()) == (1, True, not by_time)
    np.testing.assert_allclose(info["behaviour"][0], start)


def test_dense_rewards_add_up_to_the_way_to_the_nearest_spot() -> None:
    kernel = RedundantArm(RedundantArmParams(reward="dense"), dtype=torch.float64)
    spots = np.array(kernel.params.areas)
    state, total = kernel.initial_state(1, torch.Generator()), 0.0
    first = np.linalg.norm(state.effector[0].numpy() - spots[:, :2], axis=1).min()
    torque = torch.full((1, 20), -0.3, dtype=torch.float64)
    for _ in range(50):
        state, reward, terminated = kernel.advance(state, torque)
        assert not terminated
        total += reward.item()
    last = np.linalg.norm(state.effector[0].numpy() - spots[:, :2], axis=1).min()
    assert abs(first - last) > 0.01
    assert total == pytest.approx(first - last, abs=1e-9)


@pytest.mark.parametrize("num_links", [20, 50, 100])
def test_longer_chains_start_legally(num_links: int) -> None:
    kernel = RedundantArm(RedundantArmParams(num_links=num_links), dtype=torch.float64)
    state = kernel.initial_state(1, torch.Generator())
    assert kernel.legal(*kernel.joints(state.angles)).all()
    assert not kernel.advance(state, torch.zeros(1, num_links))[2]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"num_links": 19}, "num_links=19.*at least 20"),
        ({"substeps": 0}, "substeps=0"),
        ({"dt": 0.0}, "dt=0.0"),
        ({"max_speed": math.inf}, "max_speed=inf"),
        ({"areas": []}, r"areas=\[\]"),
        ({"areas": [(0.5, 1.5, 0.1)]}, r"areas\[0\].*0.0, 1.0"),
        ({"reward": "none"}, "reward='none'"),
        ({"horizon": 0}, "horizon=0"),
    ],
)
def test_impossible_constants_are_refused(bad: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RedundantArmParams(**bad)


def test_pictures() -> None:
    env: Any = gym.make("rlsuite/RedundantArm-v0", render_mode="rgb_array")
    env.reset(seed=0)
    env.action_space.seed(0)
    states, actions, rewards, over = [env.unwrapped.state], [], [], False
    while not over:
        action = env.action_space.sample()
        _, reward, terminated, truncated, _ = env.step(action)
        states.append(env.unwrapped.state)
        actions.append(torch.from_numpy(action))
        rewards.append(float(reward))
        over = terminated or truncated
    assert env.render().shape == (480, 480, 3)
    stacked = tree_map(lambda *rows: torch.cat(rows), *states)
    picture = env.unwrapped.kernel.render_episode(stacked, torch.stack(actions), torch.tensor(rewards))
    assert picture.dtype == np.uint8
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10
