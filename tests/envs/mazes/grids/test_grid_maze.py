"""Grid mazes and key-and-door rooms against networkx, searches of their own states, and MiniGrid."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite_envs.kernel import make_kernel, tree_map
from rlsuite_envs.mazes.grids.generation import GENERATORS, maze_pool
from rlsuite_envs.mazes.grids.grid_maze import GridMaze, KeyDoor
from rlsuite_envs.mazes.grids.grid_views import CLOSED, LOCKED, OPEN
from rlsuite_envs.mazes.grids.grid_world import GridState
from rlsuite_envs.mazes.grids.key_door import KeyDoorState
from rlsuite_envs.mazes.grids.shortest_path import distance_fields
from rlsuite_envs.vector import TensorVectorEnv

LEFT, DOWN, RIGHT, UP = range(4)
MINIGRID_FIXTURE = Path(__file__).parent / "minigrid_doorkey.json"


def graph_of(walls: np.ndarray) -> nx.Graph:
    graph = nx.grid_2d_graph(*walls.shape)
    graph.remove_nodes_from([tuple(cell) for cell in np.argwhere(walls)])
    return graph


# --- Generation and shortest paths


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(GENERATORS),
    st.sampled_from([3, 5, 9, 13]),
    st.sampled_from([3, 7, 11]),
    st.integers(0, 99),
)
def test_perfect_mazes_are_trees(generator: str, height: int, width: int, seed: int) -> None:
    (walls,) = maze_pool(1, height, width, generator=generator, seed=seed)
    graph = graph_of(walls)
    assert nx.is_tree(graph)
    assert walls[[0, -1], :].all() and walls[:, [0, -1]].all()
    assert not walls[1::2, 1::2].any() and walls[::2, ::2].all()


@pytest.mark.parametrize("generator", GENERATORS)
def test_loops_only_open_walls(generator: str) -> None:
    perfect, loopy = (maze_pool(5, 11, 11, generator=generator, loops=p, seed=1) for p in (0.0, 0.3))
    assert (loopy <= perfect).all() and loopy.sum() < perfect.sum()
    assert not maze_pool(1, 7, 7, generator=generator, loops=1.0)[0][1:-1, 1:-1][::2].any()


def test_larger_pools_begin_with_the_smaller_ones_layouts() -> None:
    small, large = maze_pool(3, 9, 9, seed=4), maze_pool(6, 9, 9, seed=4)
    assert (large[:3] == small).all()
    assert len({maze.tobytes() for maze in large}) == 6
    assert (maze_pool(3, 9, 9, seed=5) != small).any()


def test_wilson_draws_every_perfect_maze_equally_often() -> None:
    """A grid of 2 x 3 rooms has 15 spanning trees (Kirchhoff)."""
    counts: dict[bytes, int] = {}
    for maze in maze_pool(3000, 5, 7, generator="wilson", seed=0):
        counts[maze.tobytes()] = counts.get(maze.tobytes(), 0) + 1
    assert len(counts) == 15
    chi_square = sum((n - 200) ** 2 / 200 for n in counts.values())
    assert chi_square < 36.1  # 99.9 % of chi^2 with 14 degrees of freedom


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10**6))
def test_distance_fields_are_networkxs(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    walls = rng.random((4, height, width)) < 0.3
    targets = rng.integers(height * width, size=4)
    found = distance_fields(torch.from_numpy(walls), torch.from_numpy(targets)).numpy()
    for maze, target, field in zip(walls, targets, found, strict=True):
        expected = np.full((height, width), -1)
        cell = divmod(int(target), width)
        if not maze[cell]:
            for (i, j), steps in nx.single_source_shortest_path_length(graph_of(maze), cell).items():
                expected[i, j] = steps
        assert (field == expected).all()


# --- GridMaze


@pytest.mark.parametrize("constants", [{}, {"loops": 0.4, "size": 7}, {"placement": "corners", "num_layouts": 3}])
def test_distance_in_info_is_networkxs(constants: dict[str, Any]) -> None:
    kernel = make_kernel(GridMaze, **constants)
    state = kernel.initial_state(40, torch.Generator().manual_seed(0))
    distances = kernel.info(state)["distance"].tolist()
    for layout, cell, goal, distance in zip(
        state.layout.tolist(), state.cell.tolist(), state.goal.tolist(), distances, strict=True
    ):
        graph = graph_of(kernel.walls[layout].reshape(kernel.height, kernel.width).numpy())
        start, end = divmod(cell, kernel.width), divmod(goal, kernel.width)
        assert nx.shortest_path_length(graph, start, end) == distance > 0


def test_following_the_distance_reaches_the_goal_in_that_many_moves() -> None:
    kernel = make_kernel(GridMaze, dtype="float64")
    state = kernel.initial_state(64, torch.Generator().manual_seed(1))
    expected = kernel.info(state)["distance"]
    reached = torch.zeros(64, dtype=torch.int64)
    returns = torch.zeros(64, dtype=torch.float64)
    for step in range(1, int(expected.max()) + 1):
        options = [kernel.advance(state, torch.full((64,), a)) for a in range(4)]
        best = torch.stack([kernel.info(after)["distance"] for after, _, _ in options]).argmin(0)
        state, reward, terminated = kernel.advance(state, best)
        running = reached == 0
        returns += reward * running
        reached = torch.where(running & terminated, step, reached)
    assert torch.equal(reached, expected)
    torch.testing.assert_close(returns, 1 - 0.9 * expected.double() / 196)


def test_moves_and_walls_by_hand() -> None:
    env = TensorVectorEnv(1, kernel=make_kernel(GridMaze, maze_map="11111\n1r001\n110g1\n11111"))
    env.reset(seed=0)
    rewards = []
    for action, cell in ((UP, 6), (DOWN, 6), (LEFT, 6), (RIGHT, 7), (RIGHT, 8)):
        _, reward, terminated, _, _ = env.step(torch.tensor([action]))
        assert (env.state.cell.item(), terminated.item()) == (cell, False)
        rewards.append(reward.item())
    _, reward, terminated, _, info = env.step(torch.tensor([DOWN]))
    assert rewards == [0.0] * 5 and terminated.item()
    assert reward.item() == pytest.approx(1 - 0.9 * 6 / 80)
    assert info["final_info"]["success"].item() and info["final_info"]["behaviour"].tolist() == [[2.0, 3.0]]


def test_starts_and_goals_are_uniform_and_differ() -> None:
    kernel = make_kernel(GridMaze, maze_map=["11111", "1r0c1", "1c0g1", "11111"])
    state = kernel.initial_state(6000, torch.Generator().manual_seed(0))
    pairs: dict[tuple[int, int], int] = {}
    for pair in zip(state.cell.tolist(), state.goal.tolist(), strict=True):
        pairs[pair] = pairs.get(pair, 0) + 1
    assert {goal for _, goal in pairs} == {8, 11, 13} and {cell for cell, _ in pairs} == {6, 8, 11}
    assert all(cell != goal for cell, goal in pairs)
    # Goals are uniform; starts are uniform among the two or three that are left.
    for (cell, goal), count in pairs.items():
        p = 1 / 3 * (1 / 3 if goal == 13 else 1 / 2)
        assert abs(count - 6000 * p) < 5 * (6000 * p * (1 - p)) ** 0.5, (cell, goal)


def test_planes_and_coordinates_by_hand() -> None:
    maze_map = ["11111", "1r001", "110g1", "11111"]
    for actions, turns in (("moves", 1), ("minigrid", 4)):
        kernel = make_kernel(GridMaze, maze_map=maze_map, actions=actions)
        state = GridState(*(torch.tensor([n]) for n in (7, 1, 13, 0, 0)))  # in the middle above, looking down
        numbers = kernel.observe(state)[0]
        planes = numbers[:-6].reshape(2 + turns, 4, 5)
        np.testing.assert_allclose(numbers[-6:], [0, 0, 0, 1, 1 / 4, 1 / 5])
        assert planes[0].tolist() == [[float(symbol == "1") for symbol in row] for row in maze_map]
        agent = planes[1 if turns == 1 else 2]
        assert agent[1, 2] == 1 and planes[1 : 1 + turns].sum() == 1
        assert planes[-1, 2, 3] == 1 and planes[-1].sum() == 1
    kernel = make_kernel(GridMaze, maze_map=maze_map, observation="coordinates")
    np.testing.assert_allclose(kernel.observe(state)[0], [-1 / 3, 0.0, 1 / 3, 0.5], atol=1e-6)
    kernel = make_kernel(GridMaze, maze_map=maze_map, observation="coordinates", actions="minigrid")
    np.testing.assert_allclose(kernel.observe(state)[0, 4:], [1.0, 0.0])


@pytest.mark.parametrize("observation", ["planes", "coordinates", "symbolic", "egocentric"])
@pytest.mark.parametrize("actions", ["moves", "minigrid"])
@pytest.mark.parametrize("kind", [GridMaze, KeyDoor])
def test_observations_lie_in_their_space(kind: Any, actions: str, observation: str) -> None:
    kernel = make_kernel(kind, size=7, actions=actions, observation=observation, view_size=5)
    env = TensorVectorEnv(8, kernel=kernel, output="numpy")
    obs, _ = env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(40):
        assert all(kernel.observation_space.contains(row) for row in obs)
        obs, *_ = env.step(env.action_space.sample())


def test_views_hide_what_walls_hide() -> None:
    maze_map = ["1111111", "1r00001", "1111101", "1g00001", "1111111"]
    state = GridState(*(torch.tensor([n]) for n in (8, 0, 22, 0, 0)))  # upper left, looking right
    views = [
        make_kernel(GridMaze, maze_map=maze_map, observation="egocentric", see_through_walls=see).observe(state)[0]
        for see in (False, True)
    ]
    corridor = views[0][3, 1:7, 0].tolist()  # ahead of the agent, from the end to where it stands
    assert corridor == [2, 1, 1, 1, 1, 1]
    assert (views[0][:, :, 0] == 8).sum() == 0 and (views[1][:, :, 0] == 8).sum() == 1
    assert views[1][5, 6].tolist() == [8, 1, 0]  # two cells to the right of the agent
    seen = views[0][:, :, 0] > 0
    assert torch.equal(views[0][seen], views[1][seen])


# --- KeyDoor


def least_moves(kernel: KeyDoor, state: KeyDoorState) -> int:
    """By breadth-first search over agent, key and door."""
    start = tree_map(lambda x: x.repeat(4), state)
    queue, seen = deque([(state, 0)]), {(state.cell.item(), state.key.item(), state.door_code.item())}
    while queue:
        state, steps = queue.popleft()
        after, _, terminated = kernel.advance(tree_map(lambda x: x.repeat(4), state), torch.arange(4))
        if terminated.any():
            return steps + 1
        for row in range(4):
            one = tree_map(lambda x, row=row: x[row : row + 1], after)
            key = (one.cell.item(), one.key.item(), one.door_code.item())
            if key not in seen:
                seen.add(key)
                queue.append((one, steps + 1))
    raise AssertionError(f"no way from {start}")


def test_distance_by_key_and_door_is_what_search_finds() -> None:
    kernel = make_kernel(KeyDoor, size=6)
    rng = torch.Generator().manual_seed(0)
    for number in range(12):
        state = kernel.initial_state(1, rng)
        for _ in range(5 * number):
            state, _, terminated = kernel.advance(state, torch.randint(4, (1,), generator=rng))
            if terminated:
                state = kernel.initial_state(1, rng)
        assert kernel.info(state)["distance"].item() == least_moves(kernel, state)


@settings(max_examples=20, deadline=None)
@given(st.integers(5, 12), st.integers(0, 10**6))
def test_rooms_are_as_described(size: int, seed: int) -> None:
    kernel = make_kernel(KeyDoor, size=size)
    s = kernel.initial_state(200, torch.Generator().manual_seed(seed))
    wall = s.layout + 2
    assert (wall >= 2).all() and (wall <= size - 3).all()
    assert (s.door % size == wall).all()
    rows = [cell // size for cell in (s.door, s.cell, s.key)]
    assert all((row >= 1).all() and (row <= size - 2).all() for row in rows) and (rows[0] <= size - 3).all()
    for cell in (s.cell, s.key):
        assert (cell % size >= 1).all() and (cell % size < wall).all()
    assert (s.cell != s.key).all() and (s.door_code == LOCKED).all()


def test_starts_of_rooms_are_uniform() -> None:
    kernel = make_kernel(KeyDoor, size=5)
    s = kernel.initial_state(12000, torch.Generator().manual_seed(0))
    triples = torch.stack((s.cell // 5, s.key // 5, s.door // 5), 1)
    _, counts = triples.unique(dim=0, return_counts=True)
    assert len(counts) == 3 * 2 * 2
    assert ((counts - 1000.0).abs() < 5 * (1000 * 11 / 12) ** 0.5).all()


def test_the_door_needs_the_key() -> None:
    kernel = make_kernel(KeyDoor, size=5)
    start = KeyDoorState(*(torch.tensor([n]) for n in (6, 0, 18, 0, 0, 11, 7, LOCKED)))
    (blocked, _, _) = kernel.advance(start, torch.tensor([RIGHT]))
    assert (blocked.cell.item(), blocked.door_code.item()) == (6, LOCKED)
    state, moves, walls = start, [], []
    for action in (DOWN, UP, RIGHT, RIGHT, DOWN):
        moves.append(kernel.info(state)["distance"].item())
        walls.append(kernel.observe(state)[0, -6:-2].tolist())
        state, reward, terminated = kernel.advance(state, torch.tensor([action]))
    assert moves == [6, 5, 4, 3, 2]
    # Left, below, right, above; the open door is no wall.
    assert walls == [[1, 0, 1, 1], [1, 0, 1, 0], [1, 0, 1, 1], [0, 1, 0, 1], [0, 0, 1, 1]]
    info = kernel.info(state)
    assert info["has_key"].item() and info["door_open"].item() and not terminated.item()
    _, reward, terminated = kernel.advance(state, torch.tensor([DOWN]))
    assert terminated.item() and reward.item() == pytest.approx(1 - 0.9 * 6 / 250)


def _door_key_state(numbers: dict[str, int]) -> KeyDoorState:
    return KeyDoorState(**{name: torch.tensor([number]) for name, number in numbers.items()})


def test_steps_views_and_rewards_are_minigrids() -> None:
    """Recorded with MiniGrid 3.2.0's DoorKeyEnv: random actions, more than half of them useful."""
    for episode in json.loads(MINIGRID_FIXTURE.read_text()):
        size = episode["size"]
        ego, whole = (
            make_kernel(KeyDoor, size=size, actions="minigrid", observation=name, dtype="float64")
            for name in ("egocentric", "symbolic")
        )
        state = _door_key_state(episode["start"])
        for step in episode["steps"]:
            state, reward, terminated = ego.advance(state, torch.tensor([step["action"]]))
            assert (round(reward.item(), 9), terminated.item()) == (step["reward"], step["terminated"])
            view = ego.observe(state)[0]
            shown = (view[..., 0] + 16 * view[..., 2]).flatten().tolist()
            assert bytes(shown).hex() == step["view"]
        grid = whole.observe(state)[0]
        shown = (grid[..., 0] + 16 * grid[..., 2]).flatten().tolist()
        assert bytes(shown).hex() == episode["grid"]


def test_steps_and_views_are_minigrids_live() -> None:
    pytest.importorskip("minigrid")
    from minigrid.envs.doorkey import DoorKeyEnv

    env = DoorKeyEnv(size=7)
    kernel = make_kernel(KeyDoor, size=7, actions="minigrid", observation="egocentric", dtype="float64")
    rng = np.random.default_rng(0)
    for episode in range(5):
        obs, _ = env.reset(seed=episode)
        state = _minigrid_state(env)
        for _ in range(200):
            assert (kernel.observe(state)[0].numpy() == obs["image"]).all()
            action = int(rng.choice(6, p=[0.15, 0.15, 0.4, 0.1, 0.05, 0.15]))
            obs, reward, terminated, _, _ = env.step(action)
            state, ours, ended = kernel.advance(state, torch.tensor([action]))
            assert (ours.item(), ended.item()) == (pytest.approx(reward), terminated)
            if terminated:
                break


def _minigrid_state(env: Any) -> KeyDoorState:
    size, key, door = env.width, -1, (0, 0, 0)
    for x in range(size):
        for y in range(size):
            thing = env.grid.get(x, y)
            if thing is not None and thing.type == "key":
                key = y * size + x
            if thing is not None and thing.type == "door":
                door = (x, y * size + x, OPEN if thing.is_open else LOCKED if thing.is_locked else CLOSED)
    column, place, code = door
    x, y = env.agent_pos
    return _door_key_state(
        {
            "cell": int(y * size + x),
            "direction": int(env.agent_dir),
            "goal": (size - 2) * size + size - 2,
            "layout": column - 2,
            "t": env.step_count,
            "key": key,
            "door": place,
            "door_code": code,
        }
    )


# --- Bad constants


@pytest.mark.parametrize(
    ("kind", "constants", "message"),
    [
        (GridMaze, {"size": 8}, "size=8 must be odd"),
        (GridMaze, {"size": 3}, r"size=3 must be an integer in 5\.\.31"),
        (GridMaze, {"generator": "prim"}, "generator='prim' must be one of 'dfs', 'wilson', 'kruskal'"),
        (GridMaze, {"loops": -0.1}, r"loops=-0.1 must lie in \[0, 1\]"),
        (GridMaze, {"num_layouts": 0}, "num_layouts=0"),
        (GridMaze, {"placement": "edges"}, "placement='edges'"),
        (GridMaze, {"actions": "jump"}, "actions='jump' must be one of 'moves', 'minigrid'"),
        (GridMaze, {"observation": "pixels"}, "observation='pixels'"),
        (GridMaze, {"view_size": 4}, "view_size=4 must be one of 3, 5, 7, 9"),
        (GridMaze, {"horizon": 0}, "horizon=0"),
        (GridMaze, {"see_through_walls": 1}, "see_through_walls=1"),
        (GridMaze, {"maze_map": ["1111", "1r11", "11g1", "1111"]}, "cannot be reached"),
        (GridMaze, {"maze_map": ["101", "1c1", "111"]}, "open border|may also be the goal"),
        (GridMaze, {"maze_map": []}, "empty"),
        (KeyDoor, {"size": 4}, r"size=4 must be an integer in 5\.\.32"),
        (KeyDoor, {"horizon": -5}, "horizon=-5"),
    ],
)
def test_bad_constants(kind: Any, constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_kernel(kind, **constants)
