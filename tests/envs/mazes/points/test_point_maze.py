"""Point mazes against recorded and live MuJoCo, and against the rules of Gymnasium-Robotics."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from rlsuite_envs.kernel import make_kernel
from rlsuite_envs.mazes.points.point_layouts import HORIZONS, LAYOUTS
from rlsuite_envs.mazes.points.point_maze import GoalDraws, PointMaze, PointMazeState
from rlsuite_envs.vector import TensorVectorEnv

MASS = 4.188790204786391
"""kg, as MuJoCo computes it from radius 0.1 m and density 1000 kg/m^3."""
RECORDED = json.loads((Path(__file__).parent / "point_maze_mujoco.json").read_text())


def ball(x: float, y: float, vx: float = 0.0, vy: float = 0.0, goal: tuple[float, float] = (9.0, 9.0)) -> Any:
    numbers = [torch.tensor([n], dtype=torch.float64) for n in (x, y, vx, vy, *goal)]
    return PointMazeState(*numbers, success=torch.tensor([False]))


def push(x: float, y: float) -> torch.Tensor:
    return torch.tensor([[x, y]], dtype=torch.float64)


def place(state: PointMazeState) -> list[float]:
    return [state.x.item(), state.y.item(), state.vx.item(), state.vy.item()]


# --- Motion


@pytest.mark.parametrize("rollout", RECORDED["rollouts"], ids=lambda r: r["preset"])
def test_rollouts_are_mujocos_at_walls_too(rollout: dict[str, Any]) -> None:
    """Recorded with MuJoCo 3.17.0 and Gymnasium-Robotics 1.4.2, float64; pushes against walls among them."""
    kernel = make_kernel(PointMaze, preset=rollout["preset"], dtype="float64")
    state = ball(*rollout["start"], goal=tuple(rollout["goal"]))
    assert sum(n > 0 for n in rollout["contacts"]) > 10
    for action, expected, expected_reward in zip(
        rollout["actions"], rollout["observations"], rollout["rewards"], strict=True
    ):
        state, reward, terminated = kernel.advance(state, push(*action))
        np.testing.assert_allclose(place(state), expected, rtol=0, atol=1e-9)
        assert reward.item() == pytest.approx(expected_reward, abs=1e-9)
        assert not terminated.item()


def test_free_motion_by_formula() -> None:
    """v' = v + h (100 u - v) / (m + h), x' = x + h v', after cutting v to 5 m/s."""
    kernel = make_kernel(PointMaze, preset="Open", dtype="float64")
    state = ball(0.1, -0.2, 5.2, -1.0)
    after, _, _ = kernel.advance(state, push(0.3, 2.0))  # the second is cut to 1
    vx = 5.0 + 0.01 * (30.0 - 5.0) / (MASS + 0.01)
    vy = -1.0 + 0.01 * (100.0 + 1.0) / (MASS + 0.01)
    assert place(after) == pytest.approx([0.1 + 0.01 * vx, -0.2 + 0.01 * vy, vx, vy], abs=1e-12)


def test_a_pressed_ball_rests_where_the_soft_wall_bears_the_force() -> None:
    """100 N = D k d p with D = m d / (1 - d), d the impedance at p below the margin (p > 0.5 mm here)."""
    kernel = make_kernel(PointMaze, dtype="float64")
    state = ball(0.0, 1.0)
    for _ in range(400):
        state, _, _ = kernel.advance(state, push(0.0, 1.0))

    def missing(p: float) -> float:
        d = 0.9 + 0.05 * (1 - 2 * (1 - p / 0.001) ** 2)
        return MASS * d / (1 - d) * d * p / (0.95 * 0.02) ** 2 - 100.0

    depth = brentq(missing, 0.0005, 0.001)
    assert place(state) == pytest.approx([0.0, 1.4 - 0.004 + depth, 0.0, 0.0], abs=1e-7)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["UMaze", "Medium", "Large"]), st.integers(0, 10**6), st.integers(1, 40))
def test_the_ball_never_enters_a_wall(preset: str, seed: int, hold: int) -> None:
    kernel = make_kernel(PointMaze, preset=preset)
    rng = torch.Generator().manual_seed(seed)
    state = kernel.initial_state(16, rng)
    rows, half_width, half_height = kernel.params.maze_map, kernel.half_width, kernel.half_height
    for t in range(120):
        if t % hold == 0:
            action = torch.rand((16, 2), generator=rng) * 6 - 3
        state, _, _ = kernel.advance(state, action)
    for x, y in zip(state.x.tolist(), state.y.tolist(), strict=True):
        for dx, dy in ((0.04, 0), (-0.04, 0), (0, 0.04), (0, -0.04)):
            assert rows[math.floor(half_height - y - dy)][math.floor(x + dx + half_width)] != "1"


def test_mirrored_mazes_mirror_the_motion() -> None:
    rows = LAYOUTS["Large"]
    kernels = [
        make_kernel(PointMaze, maze_map=layout, dtype="float64")
        for layout in (rows, [row[::-1] for row in rows], rows[::-1])
    ]
    state = kernels[0].initial_state(50, torch.Generator().manual_seed(0))
    states = [state, *(_mirrored(state, *signs) for signs in ((-1, 1), (1, -1)))]
    action = torch.rand(50, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1
    for _ in range(80):
        states = [
            kernel.advance(s, action * torch.tensor(signs))[0]
            for kernel, s, signs in zip(kernels, states, ((1, 1), (-1, 1), (1, -1)), strict=True)
        ]
    for mirrored, signs in zip(states[1:], ((-1, 1), (1, -1)), strict=True):
        torch.testing.assert_close(_mirrored(mirrored, *signs).x, states[0].x, rtol=0, atol=1e-8)
        torch.testing.assert_close(_mirrored(mirrored, *signs).y, states[0].y, rtol=0, atol=1e-8)


def test_gradients_reach_back_through_walls() -> None:
    kernel = make_kernel(PointMaze, preset="UMazeDense", dtype="float64")
    # Two balls against walls, one of them at a corner, and one in the open.
    x, y, vx = (
        torch.tensor(n, dtype=torch.float64) for n in ([0.0, 1.395, -1.0], [1.395, -1.39, 1.0], [1.0, 2.0, 1.0])
    )
    zeros = torch.zeros(3, dtype=torch.float64)
    start = PointMazeState(x, y, vx, zeros, zeros - 1, zeros + 1, zeros > 0)

    def total(actions: torch.Tensor) -> torch.Tensor:
        state, rewards = start, []
        for action in actions:
            state, reward, _ = kernel.advance(state, action)
            rewards.append(reward)
        return torch.stack(rewards).sum()

    actions = torch.tensor([[[0.5, 0.4], [0.3, -0.5], [0.7, 0.1]]] * 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(total, actions.requires_grad_())


def _mirrored(s: PointMazeState, x: int, y: int) -> PointMazeState:
    return PointMazeState(s.x * x, s.y * y, s.vx * x, s.vy * y, s.goal_x * x, s.goal_y * y, s.success)


# --- Goals, starts, rewards, ends


def test_cells_lie_where_the_format_says() -> None:
    """Cell (i, j) of an H x W map: x = j + 1/2 - W/2, y = H/2 - i - 1/2."""
    kernel = make_kernel(PointMaze, preset="Large_Diverse_G", position_noise_range=0.0)
    s = kernel.initial_state(500, torch.Generator().manual_seed(0))
    assert set(zip(s.x.tolist(), s.y.tolist(), strict=True)) == {(-4.5, 3.0)}
    goals = {(1, 6), (3, 5), (3, 10), (5, 2), (7, 4), (7, 6), (7, 9)}
    expected = {(j + 0.5 - 6.0, 4.5 - i - 0.5) for i, j in goals}
    assert set(zip(s.goal_x.tolist(), s.goal_y.tolist(), strict=True)) == expected


def test_starts_are_drawn_as_by_the_packages_loop() -> None:
    kernel = make_kernel(PointMaze)
    num = 20_000
    s = kernel.initial_state(num, torch.Generator().manual_seed(0))
    assert not s.vx.any() and not s.vy.any()
    cells = [(-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]
    found = np.zeros((7, 7))
    goal = torch.stack((s.goal_x, s.goal_y), 1)
    start = torch.stack((s.x, s.y), 1)
    centres = torch.tensor(cells).float()
    goal_cell, start_cell = (torch.cdist(p, centres).argmin(1) for p in (goal, start))
    for points, cell in ((goal, goal_cell), (start, start_cell)):
        noise = points - centres[cell]
        assert 0.249 < noise.abs().max() <= 0.2501
        assert abs(noise.mean().item()) < 0.005 and noise.var().item() == pytest.approx(0.25**2 / 3, rel=0.03)
    for pair in zip(goal_cell.tolist(), start_cell.tolist(), strict=True):
        found[pair] += 1
    # Noise never makes the goal's own cell far enough, nor another cell too near: 42 pairs, all alike.
    assert (np.diag(found) == 0).all()
    expected = num / 42
    others = found[~np.eye(7, dtype=bool)]
    assert (np.abs(others - expected) < 5 * np.sqrt(expected)).all()


def test_rewards_by_distance() -> None:
    sparse = make_kernel(PointMaze, preset="Open", dtype="float64")
    dense = make_kernel(PointMaze, preset="OpenDense", dtype="float64")
    for distance, reached in ((0.4499, True), (0.4501, False), (2.0, False)):
        state = ball(0.0, 0.0, goal=(distance, 0.0))
        after, reward, terminated = sparse.advance(state, push(0.0, 0.0))
        assert (reward.item(), terminated.item()) == (float(reached), False)
        assert sparse.info(after)["success"].item() == reached
        assert sparse.info(after)["distance"].item() == pytest.approx(distance)
        assert dense.advance(state, push(0.0, 0.0))[1].item() == pytest.approx(math.exp(-distance))
        achieved, desired = torch.zeros(3, 2), torch.tensor([distance, 0.0]).expand(3, 2)
        assert sparse.goal_reward(achieved, desired).tolist() == [float(reached)] * 3
        assert dense.goal_reward(achieved, desired).tolist() == pytest.approx([math.exp(-distance)] * 3)


def test_an_episodic_task_ends_at_the_goal() -> None:
    kernel = make_kernel(PointMaze, preset="Open", continuing_task=False, dtype="float64")
    for goal, ends in (((0.1, 0.0), True), ((1.0, 0.0), False)):
        _, reward, terminated = kernel.advance(ball(0.0, 0.0, goal=goal), push(0.0, 0.0))
        assert (reward.item(), terminated.item()) == (float(ends), ends)


def test_a_reached_goal_moves_after_its_reward() -> None:
    kernel = make_kernel(PointMaze, preset="Open_Diverse_GR", reset_target=True, dtype="float64")
    start, still = ball(0.0, 0.0, goal=(0.2, 0.1)), push(0.0, 0.0)
    post, reward = kernel.post_decision(start, still)
    assert reward.item() == 1.0
    near, far, farther = (0.1, 0.3), (0.5, 0.0), (1.2, 0.3)
    candidates = torch.tensor([[near, far, farther]], dtype=torch.float64)
    after, more, terminated = kernel.transition(post, GoalDraws(candidates[..., 0], candidates[..., 1]))
    assert more is None and not terminated.item()
    assert (after.goal_x.item(), after.goal_y.item()) == far
    assert kernel.info(after)["success"].item()
    after, _, _ = kernel.transition(
        kernel.post_decision(ball(0.0, 0.0, goal=(1.0, 0.0)), still)[0],
        GoalDraws(candidates[..., 0], candidates[..., 1]),
    )
    assert (after.goal_x.item(), after.goal_y.item()) == (1.0, 0.0)


def test_new_goals_in_the_vector_environment() -> None:
    env = TensorVectorEnv(64, kernel=make_kernel(PointMaze, preset="OpenDense", reset_target=True))
    env.reset(seed=0)
    moved = 0
    for _ in range(250):
        old, s = env.state, env.state
        aim = torch.stack((s.goal_x - s.x - 0.3 * s.vx, s.goal_y - s.y - 0.3 * s.vy), 1)
        _, _, _, _, info = env.step(aim)
        new = env.state
        changed = (new.goal_x != old.goal_x) | (new.goal_y != old.goal_y)
        assert torch.equal(changed, info["success"])
        assert (info["distance"][changed] > 0.45).all()
        moved += int(changed.sum())
    assert moved > 64


# --- Observations and ids


def test_observations() -> None:
    state = ball(1.0, -0.5, 2.5, -5.0, goal=(-3.0, 1.5))
    vector = make_kernel(PointMaze, preset="Large", dtype="float64").observe(state)
    assert vector.dtype == torch.float32
    np.testing.assert_allclose(vector[0], [1 / 6, -0.5 / 4.5, 0.5, -1.0, -0.5, 1.5 / 4.5], rtol=1e-6)
    raw = make_kernel(PointMaze, preset="Large", observation="dict", dtype="float64")
    seen = {key: value[0].tolist() for key, value in raw.observe(state).items()}
    assert seen == {
        "observation": [1.0, -0.5, 2.5, -5.0],
        "achieved_goal": [1.0, -0.5],
        "desired_goal": [-3.0, 1.5],
    }
    assert raw.observation_space.contains({k: np.array(v, np.float32) for k, v in seen.items()})
    assert raw.info(state)["behaviour"].tolist() == [[1.0, -0.5]]


def test_presets_have_the_packages_time_limits() -> None:
    assert HORIZONS == {"UMaze": 300, "Open": 300, "Medium": 600, "Large": 800}
    for name, params in PointMaze.presets.items():
        assert params.horizon == HORIZONS[name.removesuffix("Dense").split("_")[0]]
        assert (params.reward_type == "dense") == name.endswith("Dense")


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"reward_type": "dens"}, "reward_type='dens' must be one of 'sparse', 'dense'"),
        ({"observation": "goal"}, "observation='goal'"),
        ({"horizon": 0}, "horizon=0"),
        ({"continuing_task": 1}, "continuing_task=1 must be True or False"),
        ({"maze_size_scaling": 0.1}, "maze_size_scaling=0.1 must be at least 0.2"),
        ({"maze_size_scaling": math.inf}, "maze_size_scaling=inf"),
        ({"position_noise_range": 0.41}, r"position_noise_range=0.41 must lie in \[0, 0.4\]"),
        ({"position_noise_range": -0.1}, "position_noise_range=-0.1"),
        ({"position_noise_range": math.nan}, "position_noise_range=nan"),
        ({"maze_map": []}, "maze_map=.* is empty"),
        ({"maze_map": ["1111", "1001", "1011"]}, "open border: row 2, column 1"),
        ({"maze_map": ["11111", "1r1g1", "11111"]}, "goal in row 1, column 3 cannot be reached"),
        ({"maze_map": ["111", "1c1", "111"]}, "may also be the goal"),
        ({"maze_map": ["111", "111"]}, "no free cell"),
    ],
)
def test_bad_constants(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_kernel(PointMaze, **constants)


# --- The package itself, where it is installed


def _package() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package = pytest.importorskip("gymnasium_robotics")
        import gymnasium as gym

        gym.register_envs(package)
    return gym


def test_layouts_are_the_packages() -> None:
    _package()
    from gymnasium_robotics.envs.maze import maps

    base = {"UMaze": "U_MAZE", "Open": "OPEN", "Medium": "MEDIUM_MAZE", "Large": "LARGE_MAZE"}
    for name, rows in LAYOUTS.items():
        first, _, rest = name.partition("_")
        theirs = getattr(maps, base[first] + (f"_{rest.upper()}" if rest else ""))
        assert rows == tuple("".join(map(str, row)) for row in theirs)


@pytest.mark.parametrize("name", ["UMaze", "Medium", "Large_Diverse_GR"])
def test_steps_are_the_packages_live(name: str) -> None:
    gym = _package()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = gym.make(f"PointMaze_{name}Dense-v3").unwrapped
    kernel = make_kernel(PointMaze, preset=f"{name}Dense", dtype="float64")
    rng = np.random.default_rng(0)
    for episode in range(4):
        obs, _ = env.reset(seed=episode)
        for t in range(150):
            if t % 20 == 0:
                action = rng.uniform(-1, 1, 2)
            state = ball(*obs["observation"], goal=tuple(obs["desired_goal"]))
            obs, reward, _, _, info = env.step(action)
            state, ours, _ = kernel.advance(state, push(*action))
            # MuJoCo's own solver stops at a tolerance of 1e-8.
            np.testing.assert_allclose(place(state), obs["observation"], rtol=0, atol=1e-6)
            assert ours.item() == pytest.approx(reward, abs=1e-6)
            assert state.success.item() == info["success"]
