"""The deceptive maze: step order by hand-computed steps, its published numbers, and that it can be solved."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite_envs.kernel import make_kernel, tree_items, tree_map
from rlsuite_envs.mazes.robots.hard_maze import HardMaze, HardMazeState
from rlsuite_envs.mazes.robots.hard_maze_maps import distance_to_walls

ROOM = ((0, 0, 100, 0), (100, 0, 100, 100), (100, 100, 0, 100), (0, 100, 0, 0))
IDS = ["rlsuite/HardMaze-v0", "rlsuite/HardMaze-Medium-v0", "rlsuite/HardMaze-Textbook-v0"]


def room(**constants: Any) -> HardMaze:
    """An empty square room of side 100, in double precision."""
    defaults: dict[str, Any] = {"walls": ROOM, "start": (50, 50), "goal": (90, 50), "dtype": torch.float64}
    return make_kernel(HardMaze, **{**defaults, **constants})


def start(kernel: HardMaze, num: int = 1, **fields: float) -> HardMazeState:
    state = kernel.initial_state(num, torch.Generator())
    parts = {name: torch.full((num,), value, dtype=kernel.dtype) for name, value in fields.items()}
    return dataclasses.replace(state, **parts)


def act(*action: float) -> torch.Tensor:
    return torch.tensor([action], dtype=torch.float64)


# --- Steps
# ----------------------------------------------------------------------------------------------------


def test_two_steps_by_hand_with_velocities() -> None:
    kernel = make_kernel(HardMaze, dtype="float64")
    state, reward, terminated = kernel.advance(start(kernel), act(1, 1))
    assert (state.spin.item(), state.speed.item()) == (0.2, 0.2)  # 3 is wanted, 0.2 is allowed
    assert (state.x.item(), state.y.item()) == pytest.approx((36.2, 184.0), abs=1e-12)  # heading was 0
    assert state.heading.item() == pytest.approx(0.2)
    assert (reward.item(), terminated.item()) == (0.0, False)
    state, *_ = kernel.advance(state, act(0, 0.1))
    # Wanted spin 0: back to 0. Wanted speed 6 * (0.55 - 0.5) = 0.3: from 0.2, less than 0.2 away.
    assert (state.spin.item(), state.speed.item()) == pytest.approx((0.0, 0.3))
    turned = math.radians(0.2)
    assert state.x.item() == pytest.approx(36.2 + 0.3 * math.cos(turned), abs=1e-12)
    assert state.y.item() == pytest.approx(184.0 + 0.3 * math.sin(turned), abs=1e-12)
    assert state.t.item() == 2


def test_two_steps_by_hand_with_accelerations() -> None:
    kernel = make_kernel(HardMaze, preset="hard_textbook", dtype="float64")
    state, *_ = kernel.advance(start(kernel), act(-1, 1))
    assert (state.spin.item(), state.speed.item()) == (-0.5, 0.5)
    assert (state.x.item(), state.y.item(), state.heading.item()) == pytest.approx((36.5, 184.0, 359.5))
    for _ in range(9):
        state, *_ = kernel.advance(state, act(1, -1))
    assert (state.spin.item(), state.speed.item()) == (3.0, -3.0)  # -0.5 + 9 / 2, limited


def test_the_action_spaces_mean_the_same() -> None:
    states = []
    for action, value in (("scaled", -0.4), ("raw01", 0.3), ("network", -0.2)):
        kernel = room(action=action, motion="acceleration")
        state, *_ = kernel.advance(start(kernel), act(value, value))
        states.append(state)
        clipped, *_ = kernel.advance(start(kernel), act(99, -99))
        assert (clipped.spin.item(), clipped.speed.item()) == (0.5, -0.5)
    assert [s.speed.item() for s in states] == pytest.approx([-0.2] * 3)


def test_a_collision_keeps_speed_and_turns_on() -> None:
    kernel = room()
    before = start(kernel, x=90.5, speed=3.0, spin=1.0)  # the wall at x = 100 allows x <= 92
    after, *_ = kernel.advance(before, act(1 / 3, 1))
    assert (after.x.item(), after.y.item()) == (90.5, 50.0)
    assert (after.speed.item(), after.collisions.item()) == (3.0, 1)
    assert after.heading.item() == pytest.approx(1.0)
    again, *_ = kernel.advance(after, act(1 / 3, 1))
    assert again.collisions.item() == 2


def test_touching_is_no_collision() -> None:
    kernel = room()
    after, *_ = kernel.advance(start(kernel, x=89.0, speed=3.0), act(0, 1))
    assert (after.x.item(), after.collisions.item()) == (92.0, 0)  # exactly 8 away
    after, *_ = kernel.advance(start(kernel, x=89.0 + 2**-20, speed=3.0), act(0, 1))
    assert (after.x.item(), after.collisions.item()) == (89.0 + 2**-20, 1)


@pytest.mark.parametrize(
    ("heading", "spin", "after"),
    [(358.0, 2.0, 360.0), (359.0, 2.0, 1.0), (360.0, 1.0, 1.0), (1.0, -2.0, 359.0)],
)
def test_the_heading_is_wrapped_once_and_360_stays(heading: float, spin: float, after: float) -> None:
    kernel = room()
    state, *_ = kernel.advance(start(kernel, heading=heading, spin=spin), act(spin / 3, 0))
    assert state.heading.item() == after


def test_a_fragile_robot_stops_for_good() -> None:
    kernel = room(fragile=True)
    crashed, *_ = kernel.advance(start(kernel, x=90.5, speed=3.0, spin=1.0), act(1 / 3, 1))
    assert crashed.collisions.item() == 1
    state = crashed
    for _ in range(5):
        state, *_ = kernel.advance(state, act(1, -1))
    assert (state.x.item(), state.y.item(), state.heading.item()) == (90.5, 50.0, crashed.heading.item())
    assert (state.collisions.item(), state.speed.item()) == (1, 0.0)


# --- Sensors
# ----------------------------------------------------------------------------------------------------


def test_observations_by_hand() -> None:
    kernel = room()
    obs = kernel.observe(start(kernel, x=30.0, y=40.0))[0]  # the goal is at (90, 50): in front
    diagonal = 40 * math.sqrt(2)
    wanted = [1, 0.4, diagonal / 100, 0.7, 60 * math.sqrt(2) / 100, 0.6, 0.3, 1, 0, 0, 0]
    assert obs.tolist() == pytest.approx(wanted, abs=1e-6)
    obs = kernel.observe(start(kernel, x=30.0, y=40.0, heading=90.0))[0]
    wanted = [1, 0.7, 60 * math.sqrt(2) / 100, 0.6, 30 * math.sqrt(2) / 100, 0.3, 0.4, 0, 0, 0, 1]
    assert obs.tolist() == pytest.approx(wanted, abs=1e-6)
    # The textbook: no bias, units, and the goal turned by +heading, so that right and left are exchanged.
    obs = room(observation="textbook").observe(start(kernel, x=30.0, y=40.0, heading=90.0))[0]
    assert obs.tolist() == pytest.approx([100 * w for w in wanted[1:7]] + [0, 1, 0, 0], abs=1e-4)


@pytest.mark.parametrize(
    ("bearing", "index"), [(0, 0), (45, 1), (44, 0), (134, 1), (135, 2), (225, 3), (314, 3), (315, 0)]
)
def test_quadrants_own_their_first_edge(bearing: float, index: int) -> None:
    kernel = room(start=(50, 50), goal=(60, 50))
    # The goal is at +x from (50, 50); turning the robot by -bearing puts it at that relative angle.
    obs = kernel.observe(start(kernel, heading=float(-bearing % 360)))[0]
    assert obs[7:].tolist() == [float(i == index) for i in range(4)]


# --- Rewards and ends
# ----------------------------------------------------------------------------------------------------


def test_the_terminal_reward_comes_in_the_last_of_400_steps() -> None:
    env = gym.make("rlsuite/HardMaze-v0")
    env.reset(seed=0)
    for step in range(1, 401):
        _, reward, terminated, truncated, info = env.step(np.zeros(2, np.float32))
        assert (terminated, truncated) == (step == 400, step == 400)
        assert reward == (0.0 if step < 400 else pytest.approx(-164.076, abs=1e-3))  # it never moved
    assert info["distance"] == pytest.approx(math.dist((36, 184), (31, 20)), abs=1e-3)
    assert (info["success"], info["collisions"]) == (False, 0)
    np.testing.assert_allclose(info["behaviour"], [36, 184])


def test_dense_rewards_sum_to_the_distance_gained() -> None:
    kernel = make_kernel(HardMaze, reward="dense", dtype="float64")
    state, total = start(kernel, 20), 0.0
    rng = torch.Generator().manual_seed(0)
    for _ in range(60):
        state, reward, _ = kernel.advance(state, torch.rand(20, 2, generator=rng, dtype=torch.float64) * 2 - 0.5)
        total = total + reward
    distance = kernel.info(state)["distance"]
    torch.testing.assert_close(total, math.dist((36, 184), (31, 20)) - distance)


@pytest.mark.parametrize("terminate", [False, True])
def test_the_goal_is_rewarded_once_and_may_end_the_episode(terminate: bool) -> None:
    kernel = room(reward="success", terminate_at_goal=terminate)
    state = start(kernel, x=82.0, speed=3.0)  # the goal is at 90, its radius 5
    state, reward, terminated = kernel.advance(state, act(0, 1))
    assert (reward.item(), terminated.item(), state.reached.item()) == (
        0.0,
        False,
        False,
    )  # 5 away: not closer
    state, reward, terminated = kernel.advance(state, act(0, 1))
    assert (reward.item(), terminated.item(), state.reached.item()) == (1.0, terminate, True)
    state, reward, _ = kernel.advance(state, act(0, -1))
    assert (reward.item(), state.reached.item()) == (0.0, True)


def test_an_early_end_pays_the_terminal_reward() -> None:
    kernel = room(terminate_at_goal=True)
    _, reward, terminated = kernel.advance(start(kernel, x=84.0, speed=3.0), act(0, 1))
    assert (reward.item(), terminated.item()) == (-3.0, True)


# --- Numbers and batches
# ----------------------------------------------------------------------------------------------------


def test_single_and_double_precision_agree() -> None:
    rng = torch.Generator().manual_seed(1)
    single, double = (make_kernel(HardMaze, dtype=dtype) for dtype in ("float32", "float64"))
    a, b = start(single, 200), start(double, 200)
    action = torch.zeros(200, 2)
    for _ in range(400):
        action = 0.9 * action + 0.4 * torch.randn(200, 2, generator=rng)
        a, b = single.advance(a, action)[0], double.advance(b, action.double())[0]
    same = a.collisions == b.collisions  # where a rounding decides a collision, the paths part
    assert same.float().mean() > 0.9
    gap = torch.hypot(a.x.double() - b.x, a.y.double() - b.y)[same]
    assert gap.quantile(0.9) < 1e-3


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), preset=st.sampled_from(["hard", "hard_textbook", "medium"]))
def test_invariants_of_random_driving(seed: int, preset: str) -> None:
    kernel = make_kernel(HardMaze, preset=preset)
    rng = torch.Generator().manual_seed(seed)
    state = kernel.initial_state(16, rng)
    for _ in range(40):
        before = state
        kept = tree_map(torch.clone, state)
        action = torch.randn(16, 2, generator=rng) * 3 + torch.tensor([0.0, 2.0])
        state, _, _ = kernel.advance(state, action)
        obs = kernel.observe(state)
        for name, tensor in tree_items(kept, "state").items():
            assert torch.equal(tensor, tree_items(before, "state")[name])
        assert ((obs >= 0) & (obs <= 1)).all()
        assert torch.equal(obs[:, 7:].sum(1), torch.ones(16))
        assert state.speed.abs().max() <= 3 and state.spin.abs().max() <= 3
        assert ((state.heading >= 0) & (state.heading <= 360)).all()
        stopped = state.collisions > before.collisions
        assert torch.equal(state.x[stopped], before.x[stopped])
        points = torch.stack((state.x, state.y), 1).double().numpy()
        assert distance_to_walls(points, kernel.params.walls).min() > 8 - 1e-4


@pytest.mark.parametrize("id", IDS)
def test_ids_and_pictures(id: str) -> None:
    env: Any = gym.make(id, render_mode="rgb_array")
    env.reset(seed=0)
    env.step(env.action_space.sample())
    frame = env.render()
    assert frame.dtype == np.uint8
    assert frame.ndim == 3 and frame.std() > 5
    kernel = env.unwrapped.kernel
    state, states, rewards = start(kernel), [start(kernel)], []
    for _ in range(5):
        state, reward, _ = kernel.advance(state, act(1, 1).float())
        states.append(state)
        rewards.append(reward)
    episode = tree_map(lambda *parts: torch.cat(parts), *states)
    picture = kernel.render_episode(episode, act(1, 1).float().expand(5, 2), torch.cat(rewards))
    assert picture.dtype == np.uint8 and picture.std() > 5
