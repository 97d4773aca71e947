"""SERENE's hard maze: payoffs, ways, and that both areas can be driven to."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlsuite_envs.kernel import make_kernel, tree_items, tree_map
from rlsuite_envs.mazes.robots.fastsim_map import blocked_pixels, path_lengths
from rlsuite_envs.mazes.robots.fastsim_maze import FastsimMaze, FastsimMazeState

NOTHING = torch.zeros(1, 2, dtype=torch.float64)


def maze(**constants: Any) -> FastsimMaze:
    return make_kernel(FastsimMaze, **{"dtype": torch.float64, **constants})


def put(kernel: FastsimMaze, x: float, y: float, degrees: float = 0.0, t: int = 0) -> FastsimMazeState:
    state = kernel.initial_state(1, torch.Generator())
    here = [torch.tensor([value], dtype=kernel.dtype) for value in (x, y, math.radians(degrees))]
    robot = replace(state.robot, x=here[0], y=here[1], heading=here[2], t=torch.tensor([t]))
    return FastsimMazeState(robot, torch.stack(here[:2], 1))


def test_the_payoff_is_paid_at_the_end_only() -> None:
    kernel = maze()
    for t, wanted in ((0, 0.0), (1998, 0.0), (1999, 0.6)):
        _, reward, ended = kernel.advance(put(kernel, 60, 80, t=t), NOTHING)
        assert (reward.item(), ended.item()) == (pytest.approx(wanted), t == 1999)
    for x, y, wanted in ((100, 200, 1.0), (130, 200, 0.4), (300, 500, 0.0)):
        _, reward, _ = kernel.advance(put(kernel, x, y, t=1999), NOTHING)
        assert reward.item() == pytest.approx(wanted)
    info = kernel.info(put(kernel, 100, 210))
    assert (info["area"].item(), info["success"].item(), info["distance"].item()) == (
        1,
        True,
        pytest.approx(10),
    )
    assert info["behaviour"].tolist() == [[pytest.approx(1 / 6), pytest.approx(0.35)]]
    assert kernel.info(put(kernel, 300, 500))["area"].item() == -1


def test_the_release_pays_for_the_position_before_the_last_move() -> None:
    drive = torch.ones(1, 2, dtype=torch.float64)
    _, now, _ = maze().advance(put(maze(), 60, 60, t=1999), drive)
    _, before, _ = maze(lagged=True).advance(put(maze(), 60, 60, t=1999), drive)
    assert (now.item(), before.item()) == (pytest.approx(1 - 4 / 50), 1.0)


def test_the_action_spaces_mean_the_same() -> None:
    scaled, raw = maze(), maze(action="raw")
    one = scaled.advance(put(scaled, 60, 450), torch.tensor([[0.5, -0.25]]))[0]
    other = raw.advance(put(raw, 60, 450), torch.tensor([[2.0, -1.0]]))[0]
    assert one.robot.x.item() == other.robot.x.item()
    most = raw.advance(put(raw, 60, 450), torch.tensor([[50.0, 50.0]]))[0]
    assert most.robot.x.item() == pytest.approx(64)


def test_observations_by_hand() -> None:
    scaled, raw = maze(), maze(observation="raw")
    state = put(scaled, 40, 561, 180)  # 40 - 6 to the left wall's pixel 2, at x = 6; 561 is a pixel's middle
    lasers = raw.observe(state)[0, :3]
    assert lasers[1].item() == pytest.approx(34, abs=1e-4)
    assert (lasers <= 100).all()
    torch.testing.assert_close(scaled.observe(state)[0, :3], lasers / 100)
    stopped = scaled.advance(put(scaled, 40, 580.6, 60), NOTHING)[0]
    assert scaled.observe(stopped)[0, 3:].tolist() == [0.0, 1.0]


def follow(kernel: FastsimMaze, goal: tuple[float, float]) -> tuple[float, float, list[FastsimMazeState]]:
    """Drive down the table of ways to a goal that a margin of two pixels keeps from the walls."""
    p = kernel.params
    blocked = blocked_pixels(p.wall(), 5)
    target = np.zeros_like(blocked)
    target[p.pixel(goal)] = True
    ways = path_lengths(blocked, target)
    way = [p.pixel(p.start)]
    while ways[way[-1]] > 0:
        row, column = way[-1]
        near = [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        way.append(min(near, key=lambda place: ways[place]))
    points = np.array(way)[:, ::-1] * p.unit
    state, states, total = kernel.initial_state(1, torch.Generator()), [], 0.0
    for _ in range(p.horizon):
        robot = state.robot
        here = np.array([robot.x.item(), robot.y.item()])
        nearest = int(np.linalg.norm(points - here, axis=1).argmin())
        aim = points[min(nearest + 4, len(points) - 1)]
        off = math.remainder(math.atan2(aim[1] - here[1], aim[0] - here[0]) - robot.heading.item(), 2 * math.pi)
        forward, turn = max(0.0, math.cos(off)) * (np.linalg.norm(aim - here) > 2), np.clip(2 * off, -1, 1)
        wheels = np.clip([forward - turn, forward + turn], -1, 1)
        state, reward, _ = kernel.advance(state, torch.tensor(wheels[None]))
        states.append(state)
        total += reward.item()
    return total, float(ways[p.pixel(p.start)]) * p.unit, states


@pytest.mark.parametrize(("number", "length"), [(0, 3 * 456), (1, 280)])
def test_both_areas_can_be_driven_to(number: int, length: float) -> None:
    kernel = maze(horizon=900)
    x, y, _ = kernel.params.goals[number]
    total, way, states = follow(kernel, (x, y))
    assert total > 0.9
    info = kernel.info(states[-1])
    assert info["success"].item() and info["area"].item() == number
    # The hard maze's shortest path is 456 of its units, and this map is three times as large.
    assert way == pytest.approx(length, rel=0.15)


def test_dense_rewards_sum_to_the_way_gained() -> None:
    kernel = maze(reward="dense", goals=((60, 60, 50),), horizon=700)
    total, way, _ = follow(kernel, (60.0, 60.0))
    assert total == pytest.approx(way / 50, rel=0.1)  # the driver keeps a larger margin than the robot must
    assert not kernel.transition(put(kernel, 60, 60, t=700), None)[2].item()


def test_no_robot_ever_touches_a_wall() -> None:
    kernel = make_kernel(FastsimMaze)
    blocked = kernel.params.blocked()
    rng = torch.Generator().manual_seed(0)
    state = kernel.initial_state(64, rng)
    for _ in range(300):
        kept = tree_map(torch.clone, state)
        before = state
        state, _, _ = kernel.advance(state, torch.randn(64, 2, generator=rng) + 0.4)
        for name, tensor in tree_items(kept, "state").items():
            assert torch.equal(tensor, tree_items(before, "state")[name])
        row = np.floor(state.robot.y.numpy() / 3 + 0.5).astype(int)
        column = np.floor(state.robot.x.numpy() / 3 + 0.5).astype(int)
        assert not blocked[row, column].any()
        obs = kernel.observe(state)
        assert ((obs >= 0) & (obs <= 1)).all()
        # A pressed bumper is a collision; one from behind presses none.
        hit = state.robot.collisions > before.robot.collisions
        assert not ((state.robot.left | state.robot.right) & ~hit).any()
    assert state.robot.collisions.max() > 20


def test_ids_end_after_2000_steps_and_draw_themselves() -> None:
    env: Any = gym.make("rlsuite/FastsimMaze-v0", render_mode="rgb_array", horizon=5)
    env.reset(seed=0)
    ends = [env.step(env.action_space.sample())[2:4] for _ in range(5)]
    assert ends == [(False, False)] * 4 + [(True, True)]
    assert env.render().std() > 5
    kernel = make_kernel(FastsimMaze)
    assert kernel.max_episode_steps == 2000
    states = [kernel.initial_state(1, torch.Generator())]
    for _ in range(4):
        states.append(kernel.advance(states[-1], torch.ones(1, 2))[0])
    episode = tree_map(lambda *parts: torch.cat(parts), *states)
    assert kernel.render_episode(episode, torch.ones(4, 2), torch.zeros(4)).std() > 5
    dense: Any = gym.make_vec("rlsuite/FastsimMaze-Dense-v0", num_envs=2)
    assert dense.kernel.params.reward == "dense"


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"goals": ()}, r"goals has shape"),
        ({"goals": ((60, 60),)}, r"goals has shape \(1, 2\)"),
        ({"goals": ((60, 60, -1),)}, r"goals=.*radii above 0"),
        ({"goals": "home"}, r"goals='home' must be rows of three"),
        ({"goals": ((700, 60, 5),)}, r"point \(700.0, 60.0\) lies outside the world"),
        ({"goals": ((60, 60, 50), (177, 300, 5))}, r"goals\[1\]=\(177.0, 300.0\) cannot be reached"),
        ({"strokes": ((0, 100, 200, 100, 4),)}, r"goals\[0\].*cannot be reached from start=\(60.0, 450.0\)"),
        ({"reward": "sparse"}, r"reward='sparse' must be one of 'terminal', 'dense'"),
        ({"lagged": 1}, r"lagged=1 must be True or False"),
    ],
)
def test_bad_constants(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make("rlsuite/FastsimMaze-v0", **constants)
