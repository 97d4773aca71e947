"""Maps of the deceptive maze: their published numbers, that they can be solved, and refusal of bad ones."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from rlsuite_envs.kernel import make_kernel
from rlsuite_envs.mazes.robots.hard_maze import HardMaze, HardMazeParams, HardMazeState
from rlsuite_envs.mazes.robots.hard_maze_maps import HARD, MEDIUM, TEXTBOOK, distance_to_walls

ROOM = ((0, 0, 100, 0), (100, 0, 100, 100), (100, 100, 0, 100), (0, 100, 0, 0))


def start(kernel: HardMaze, num: int = 1) -> HardMazeState:
    return kernel.initial_state(num, torch.Generator())


def act(*action: float) -> torch.Tensor:
    return torch.tensor([action], dtype=torch.float64)


def path_through(
    walls: Any, origin: tuple[float, float], goal: tuple[float, float], near: float, clearance: float
) -> tuple[float, np.ndarray]:
    """Length and points of the shortest path on a grid of 1 unit with 32 directions; the disc's centre keeps
    `clearance` from the walls. At most about 1 % longer than the true shortest path, up to the grid's rounding."""
    ends = np.array(walls, float).reshape(-1, 2)
    width, height = np.ceil(ends.max(0)).astype(int) + 1
    points = np.stack(np.meshgrid(np.arange(width), np.arange(height), indexing="ij"), -1).reshape(-1, 2)
    free = (distance_to_walls(points.astype(float), walls) >= clearance).reshape(width, height)
    index = np.arange(width * height).reshape(width, height)
    rows, columns, weights = [], [], []
    for dx in range(-3, 4):
        for dy in range(-3, 4):
            if math.gcd(dx, dy) != 1:
                continue
            there = np.zeros_like(free)
            i, j = np.nonzero(free)
            inside = (i + dx >= 0) & (i + dx < width) & (j + dy >= 0) & (j + dy < height)
            there[i[inside], j[inside]] = free[i[inside] + dx, j[inside] + dy]
            i, j = np.nonzero(there)
            rows.append(index[i, j])
            columns.append(index[i + dx, j + dy])
            weights.append(np.full(len(i), math.hypot(dx, dy)))
    size = width * height
    graph = coo_matrix((np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), (size, size))
    first = int(index[round(origin[0]), round(origin[1])])
    lengths, previous = dijkstra(graph.tocsr(), indices=first, return_predecessors=True)
    lengths[np.linalg.norm(points - np.array(goal), axis=1) > near] = np.inf
    node = int(lengths.argmin())
    total, path = float(lengths[node]), []
    while node >= 0:
        path.append(points[node])
        node = int(previous[node])
    return total, np.array(path[::-1], float)


@pytest.mark.parametrize(
    ("walls", "origin", "goal", "length"),
    [
        (HARD, (36, 184), (31, 20), 456),
        (TEXTBOOK, (36, 184), (31, 20), 456),
        (MEDIUM, (30, 22), (270, 100), 265),
    ],
)
def test_shortest_paths(walls: Any, origin: Any, goal: Any, length: float) -> None:
    found, _ = path_through(walls, origin, goal, 5.0, 8.0)
    assert found == pytest.approx(length, rel=0.02)


def drive(kernel: HardMaze, path: np.ndarray) -> list[HardMazeState]:
    """Follow a path: steer towards the point about 16 units ahead, slowly where it is far to the side."""
    state, states = start(kernel), []
    for _ in range(kernel.max_episode_steps):
        here = np.array([state.x.item(), state.y.item()])
        nearest = int(np.linalg.norm(path - here, axis=1).argmin())
        ahead = np.nonzero(np.linalg.norm(path[nearest:] - here, axis=1) > 16)[0]
        target = path[nearest + ahead[0]] if len(ahead) else path[-1]
        bearing = math.degrees(math.atan2(target[1] - here[1], target[0] - here[0])) - state.heading.item()
        error = (bearing + 180) % 360 - 180
        spin = np.clip(math.copysign(math.sqrt(0.3 * abs(error)), error), -3, 3)  # can be braked in time
        speed = 2.6 if abs(error) < 25 else 0.6
        state, *_ = kernel.advance(state, act(spin / 3, speed / 3))
        states.append(state)
        if state.reached.item():
            break
    return states


@pytest.mark.parametrize("preset", ["hard", "medium"])
def test_a_driver_who_knows_the_way_arrives(preset: str) -> None:
    kernel = make_kernel(HardMaze, preset=preset, dtype="float64", terminate_at_goal=True)
    p = kernel.params
    _, path = path_through(p.walls, p.start, p.goal, 2.0, 11.0)
    states = drive(kernel, path)
    assert states[-1].reached.item()
    assert len(states) < 400
    assert kernel.info(states[-1])["distance"].item() < 5


def test_the_straight_way_is_a_trap() -> None:
    kernel = make_kernel(HardMaze, dtype="float64")
    assert kernel.info(start(kernel))["distance"].item() == pytest.approx(164.1, abs=0.05)
    states = drive(kernel, np.linspace((36, 184), (31, 20), 165))
    assert not states[-1].reached.item()
    assert 60 < kernel.info(states[-1])["distance"].item() < 115
    assert states[-1].collisions.item() > 100


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"walls": ()}, r"walls=\(\) is an empty map"),
        ({"walls": ((0, 0, 1),)}, r"walls has shape \(1, 3\)"),
        ({"walls": "maze"}, r"walls='maze' must be rows of four numbers"),
        ({"walls": ((0, 0, 1, math.inf),)}, r"walls\[0\].*must be finite"),
        ({"walls": ((0, 0, 1, 1), (2, 2, 2, 2))}, r"walls\[1\].*has length 0"),
        ({"start": (5, 184)}, r"start=\(5.0, 184.0\) is .* from the nearest wall"),
        ({"start": (30, 22)}, r"start=\(30.0, 22.0\) lies within success_radius=5"),
        ({"start": 3}, r"start=3 must be two numbers"),
        ({"goal": (math.nan, 3)}, r"goal=.*must be finite"),
        ({"goal": (400, 20)}, r"goal=\(400.0, 20.0\) cannot be reached from start=\(36.0, 184.0\)"),
        ({"goal": (3.5, 20), "success_radius": 2.0}, r"goal=\(3.5, 20.0\) cannot be reached"),
        ({"robot_radius": 19.0, "start": (35, 175)}, r"cannot be reached"),
        ({"robot_radius": 0.0}, r"robot_radius=0.0 must be above 0"),
        ({"start_heading": 361.0}, r"start_heading=361.0 must lie in \[0, 360\]"),
        ({"horizon": 0}, r"horizon=0 must be an integer of at least 1"),
        ({"motion": "fast"}, r"motion='fast' must be one of"),
        ({"reward": "shaped"}, r"reward='shaped' must be one of"),
        ({"action": "raw"}, r"action='raw' must be one of"),
        ({"observation": "image"}, r"observation='image' must be one of"),
        ({"fragile": 1}, r"fragile=1 must be True or False"),
        ({"sensor_range": math.nan}, r"sensor_range=nan must be a finite number"),
    ],
)
def test_bad_constants(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make("rlsuite/HardMaze-v0", **constants)


def test_walls_may_be_an_array() -> None:
    assert HardMazeParams(walls=np.array(HARD)) == HardMazeParams()
    kernel = make_kernel(HardMaze, walls=[list(wall) for wall in HARD])
    assert isinstance(hash(kernel.params), int)


@settings(max_examples=25, deadline=None)
@given(gap=st.floats(5.0, 30.0))
def test_a_gap_is_passed_exactly_where_the_disc_fits(gap: float) -> None:
    walls = (*ROOM, (50, 0, 50, 50 - gap / 2), (50, 50 + gap / 2, 50, 100))
    build = {"walls": walls, "start": (20, 50), "goal": (80, 50)}
    if gap >= 16:
        HardMazeParams(**build)
    elif gap < 14:  # in between the grid may be too kind, as documented
        with pytest.raises(ValueError, match="cannot be reached"):
            HardMazeParams(**build)
