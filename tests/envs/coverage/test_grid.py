"""Walks on grids and other graphs: mechanics, footprints and values computed by hand."""

from __future__ import annotations

import itertools
import random
from typing import Any

import gymnasium as gym
import pytest
import torch

from rlsuite_envs.coverage.design import GPDesign
from rlsuite_envs.coverage.graphs import (
    block_footprints,
    disc_footprints,
    distances,
    grid_moves,
    read_layout,
    twice,
)
from rlsuite_envs.coverage.grid import GraphWalk, WalkState
from rlsuite_envs.coverage.grid_coverage import CoverageParams, GridCoverage
from rlsuite_envs.coverage.item_collection import ItemCollection
from rlsuite_envs.coverage.path_planning import PathPlanning
from rlsuite_envs.coverage.set_functions import coverage_function, item_function
from rlsuite_envs.coverage.two_rooms import TwoRooms
from rlsuite_envs.kernel import make_kernel, tree_items, tree_map

STAY, RIGHT, DOWN, LEFT, UP = range(5)
KERNELS = [GridCoverage, TwoRooms, ItemCollection, GPDesign, PathPlanning]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def play(kernel: GraphWalk, actions: list[int]) -> tuple[WalkState, list[float]]:
    """The last state and the rewards of one environment that takes these actions."""
    state = kernel.initial_state(1, rng())
    rewards = []
    for action in actions:
        state, reward, terminated = kernel.advance(state, torch.tensor([action]))
        rewards.append(reward.item())
        assert not terminated.any()
    return state, rewards


def test_walk_in_the_upper_left_corner_by_hand() -> None:
    kernel = GridCoverage(CoverageParams(rows=3, cols=3, start=0, horizon=9))
    # 2 x 2 blocks: 4 cells at the start, a column of two more; the block of column 2 is clipped to cells seen.
    state, rewards = play(kernel, [UP, RIGHT, RIGHT, DOWN, DOWN, STAY, LEFT, UP])
    assert rewards == [0, 2, 0, 1, 0, 0, 1, 0]
    assert state.node.item() == 4
    assert state.value.item() == 8
    assert state.modular.item() == 4 + 4 + 4 + 2 + 2 + 1 + 1 + 2 + 4
    assert kernel.info(state)["place"].tolist() == [[1, 1]]


@pytest.mark.parametrize(("preset", "most"), [(None, 4 + 2 * 79), ("large", 9 + 3 * 79)])
def test_constant_coverage_reaches_its_bound(preset: str | None, most: int) -> None:
    kernel = make_kernel(GridCoverage, preset=preset)
    # Lanes further apart than a footprint is wide: nothing is seen twice.
    state, rewards = play(kernel, [RIGHT] * 20 + [DOWN] * 25 + [LEFT] * 20 + [UP] * 14)
    assert state.value.item() == most
    assert set(rewards) == {2.0 if preset is None else 3.0}


def test_modular_rewards_pay_what_was_seen_again() -> None:
    kernel = make_kernel(GridCoverage, reward="modular")
    state, rewards = play(kernel, [STAY] * 10)
    assert rewards == [4.0] * 10
    assert state.value.item() == 4
    assert state.modular.item() == 44


def test_grid_moves_and_footprints_by_hand() -> None:
    # 0 1 2
    # 3 # 5
    walls = ((1, 1),)
    moves = grid_moves(2, 3, walls)
    assert moves[0] == (0, 1, 3, 0, 0)
    assert moves[1] == (1, 2, 1, 0, 1)
    assert moves[5] == (5, 5, 5, 5, 2)
    blocks = block_footprints(2, 3, walls)
    assert blocks == ((0, 1, 3), (1, 2, 5), (2, 5), (3,), (), (5,))
    assert twice(blocks)[0] == (0, 1, 2, 3, 5)
    open_blocks = twice(block_footprints(5, 5))
    assert open_blocks[6] == (6, 7, 8, 11, 12, 13, 16, 17, 18)  # 3 x 3
    assert open_blocks[24] == (24,)


def test_discs_are_cut_by_walls() -> None:
    assert disc_footprints(5, 5, radius=1.0)[12] == (7, 11, 12, 13, 17)
    assert len(disc_footprints(9, 9, radius=2.0)[40]) == 13
    assert len(disc_footprints(9, 9, radius=1.5)[40]) == 9
    assert disc_footprints(1, 5, ((0, 2),), radius=3.0)[1] == (0, 1)


def test_two_rooms_have_the_buildings_geometry() -> None:
    kernel = TwoRooms()
    p = kernel.params
    far = distances(p.moves, p.start)
    reached = [d for d in far if d < float("inf")]
    assert (len(reached), max(reached)) == (68, 11)
    assert p.nodes - len(p.walls) == 68
    assert divmod(p.start, p.cols) == (2, 6)
    assert all(r in (2, 3) for r, c in (divmod(n, 14) for n in range(98) if far[n] < 99) if 4 <= c < 10)
    # In the corridor's lower row the walls cut the lower half of the footprint, at its end the whole block is open.
    assert p.footprints[3 * 14 + 4] == (46, 47)
    assert p.footprints[3 * 14 + 9] == (51, 52, 66)
    assert p.footprints[10] == (10, 11, 24, 25)
    state, rewards = play(kernel, [RIGHT, DOWN, DOWN])
    assert rewards == [2.0, 0.0, 0.0]
    assert kernel.info(state)["place"].tolist() == [[3, 7]]


def test_random_actions_replace_the_agents() -> None:
    kernel = make_kernel(GridCoverage, slip=0.5, start=465)  # node (15, 15), where every move is legal
    state = kernel.initial_state(40_000, rng())
    noise = kernel.sample_exogenous(state, rng(1))
    after, reward, _ = kernel.advance(state, torch.full((40_000,), RIGHT), noise)
    counts = torch.bincount(after.node - 465 + 30, minlength=61)[[30, 31, 60, 29, 0]] / 40_000
    torch.testing.assert_close(counts, torch.tensor([0.1, 0.6, 0.1, 0.1, 0.1]), atol=0.01, rtol=0)
    assert set(reward[after.node == 466].tolist()) == {2.0}
    again, *_ = kernel.advance(state, torch.full((40_000,), RIGHT), noise)
    assert torch.equal(after.node, again.node)
    with pytest.raises(ValueError, match=r"slip=0\.5"):
        kernel.advance(state, torch.full((40_000,), RIGHT))
    assert make_kernel(GridCoverage).sample_exogenous(state, rng()) is None


def test_any_directed_graphs_of_motion_and_sensing() -> None:
    ring = tuple(((k + 1) % 6, k) for k in range(6))  # one way round, or stay
    ring = (*ring[:3], (4,), *ring[4:])  # node 3 has one way out only: its action 1 stays
    sensing: tuple[tuple[int, ...], ...] = ((0,), (), (0, 1, 2), (3,), (5,), (5,))
    kernel = GridCoverage(
        CoverageParams(
            rows=1,
            cols=6,
            start=0,
            horizon=8,
            motion=ring,
            sensing=sensing,
            weights=(1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
        )
    )
    assert kernel.action_space.n == 2
    state, rewards = play(kernel, [0, 0, 0, 1, 0, 0])
    assert rewards == [0, 6, 8, 0, 32, 0]
    assert state.node.item() == 5
    assert state.value.item() == 1 + 46


def test_nodes_that_sense_nothing_mark_nothing() -> None:
    graphs: dict[str, Any] = {"motion": ((1, 2), (2, 0), (0, 1)), "sensing": ((), (0,), (2,))}
    env: Any = gym.make("rlsuite/GridCoverage-v0", rows=1, cols=3, start=0, horizon=3, **graphs)
    obs, info = env.reset(seed=0)
    assert (obs[3:].tolist(), info["set_value"]) == ([0, 0, 0], 0)
    obs, reward, _, _, info = env.step(0)
    assert (obs[3:].tolist(), reward, info["set_value"]) == ([1, 0, 0], 1, 1)


@pytest.mark.parametrize("kind", [GridCoverage, PathPlanning, ItemCollection])
@pytest.mark.parametrize("seed", range(4))
def test_any_sensing_graph_pays_what_the_set_function_says(kind: Any, seed: int) -> None:
    draw = random.Random(seed)
    sensing = tuple(tuple(draw.sample(range(12), draw.choice((0, 0, 1, 3)))) for _ in range(12))
    own = {"items": (*(draw.randrange(-1, 2) for _ in range(10)), 0, 1), "needed": (1, 1)}
    constants = {"rows": 3, "cols": 4, "start": 5, "horizon": 20, "sensing": sensing}
    kernel = make_kernel(kind, dtype="float64", **constants, **(own if kind is ItemCollection else {}))
    state, nodes = kernel.initial_state(1, rng(seed)), [5]
    if kind is ItemCollection:
        function = item_function(own["items"], own["needed"], sensing)
    else:
        weights = kernel.maps[state.seen.instance[0]] if kind is PathPlanning else kernel.params.cell_weights
        function = coverage_function(sensing, weights.tolist())
    for _ in range(20):
        state, reward, _ = kernel.advance(state, torch.tensor([draw.randrange(5)]))
        nodes.append(int(state.node))
        assert state.value.item() == pytest.approx(function(nodes), abs=1e-12)
        assert reward.item() == pytest.approx(function(nodes) - function(nodes[:-1]), abs=1e-12)


def test_observations_by_mode() -> None:
    actions = [RIGHT, DOWN]
    kernel = GridCoverage(CoverageParams(rows=3, cols=5, start=0, horizon=4))
    obs = kernel.observe(play(kernel, actions)[0])[0]
    seen = [1, 1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 0, 0]
    torch.testing.assert_close(obs, torch.tensor([0.5, 0.25, 0.5, *map(float, seen)]))
    timed = make_kernel(kernel.__class__, rows=3, cols=5, start=0, horizon=4, observation="state_time")
    torch.testing.assert_close(timed.observe(play(timed, actions)[0])[0], torch.tensor([0.5, 0.25, 0.5]))
    tracked = make_kernel(kernel.__class__, rows=3, cols=5, start=0, horizon=4, observation="history")
    expected = [0.5, 0.5, 0.25, 0.0, 0.25, 0.0, 0.0, -1.0, -1.0, -1.0, -1.0]
    torch.testing.assert_close(tracked.observe(play(tracked, actions)[0])[0], torch.tensor(expected))
    assert tracked.observation_space.shape == (11,)


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("mode", ["covered", "state_time", "history"])
def test_observations_lie_in_their_space_even_after_the_horizon(kind: Any, mode: str) -> None:
    kernel = make_kernel(kind, horizon=6, observation=mode, slip=0.2)
    state, random = kernel.initial_state(16, rng()), rng(1)
    space = kernel.observation_space
    for _ in range(9):
        action = torch.randint(0, 5, (16,), generator=random)
        post, _ = kernel.post_decision(state, action)
        state, _, _ = kernel.transition(post, kernel.sample_exogenous(state, random))
        for obs in (kernel.observe(state), kernel.observe_post(post)):
            assert all(space.contains(row) for row in obs.numpy())


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("slip", [0.0, 0.3])
def test_functions_leave_their_arguments_alone_and_futures_can_branch(kind: Any, slip: float) -> None:
    kernel = make_kernel(kind, slip=slip, observation="history", dtype="float64")
    state = kernel.initial_state(32, rng())
    for step in range(5):
        action = torch.randint(0, 5, (32,), generator=rng(step))
        noise = kernel.sample_exogenous(state, rng(step))
        before = tree_map(torch.clone, state)
        first, reward, _ = kernel.advance(state, action, noise)
        kernel.advance(state, 4 - action, noise)  # another future must not disturb the first
        again, repeated, _ = kernel.advance(state, action, noise)
        for (name, a), b in zip(tree_items(first, "s").items(), tree_items(again, "s").values(), strict=True):
            assert torch.equal(a, b), name
        for (name, a), b in zip(tree_items(state, "s").items(), tree_items(before, "s").values(), strict=True):
            assert torch.equal(a, b), name
        assert torch.equal(reward, repeated)
        state = first


@pytest.mark.parametrize("kind", KERNELS)
def test_gains_foretell_the_rewards_and_greedy_takes_the_largest(kind: Any) -> None:
    kernel = make_kernel(kind, dtype="float64")
    state = kernel.initial_state(8, rng())
    for step in range(6):
        gains = kernel.gains(state)
        action = kernel.greedy_action(state, rng(step))
        after, reward, _ = kernel.advance(state, action)
        torch.testing.assert_close(reward, gains.amax(1))
        for other in range(5):
            _, other_reward, _ = kernel.advance(state, torch.full((8,), other))
            torch.testing.assert_close(other_reward, gains[:, other])
        state = after


def test_layouts_from_text() -> None:
    found = read_layout(
        """
        S.#
        ..#
        """
    )
    assert found == {"rows": 2, "cols": 3, "walls": ((0, 2), (1, 2)), "start": 0}
    kernel = make_kernel(GridCoverage, **found, horizon=3)
    assert play(kernel, [RIGHT])[0].value.item() == 4
    assert "start" not in read_layout("..")


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "empty"), ("..\n.", "row 1 has 1"), (".x", "row 0 is '.x'"), ("SS", "2 starts")],
)
def test_bad_layouts_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_layout(text)


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"rows": 0}, "rows=0"),
        ({"cols": -3}, "cols=-3"),
        ({"rows": 5, "cols": 5}, r"start=34 must be an integer in 0\.\.24"),
        ({"horizon": 0}, "horizon=0"),
        ({"slip": 1.5}, "slip=1.5"),
        ({"slip": float("nan")}, "slip=nan"),
        ({"observation": "map"}, "observation='map'"),
        ({"reward": "total"}, "reward='total'"),
        ({"walls": ((1, 4),)}, "start=34 is the wall"),
        ({"walls": ((30, 0),)}, r"walls has \(30, 0\)"),
        ({"walls": 4}, "walls="),
        ({"rows": 1, "cols": 1, "start": 0, "walls": ((0, 0),)}, "covers all"),
        ({"footprint": "huge"}, "footprint='huge'"),
        ({"radius": -1.0}, "radius=-1.0"),
        ({"density": "flat"}, "density='flat'"),
        ({"instance": -1}, "instance=-1"),
        ({"weights": (1.0,)}, "weights has size 1"),
        ({"rows": 1, "cols": 2, "start": 0, "weights": (1.0, -1.0)}, r"weights\[1\]=-1.0"),
        ({"rows": 1, "cols": 2, "start": 0, "weights": (0.0, 0.0)}, "weights are all 0"),
        ({"rows": 1, "cols": 2, "start": 0, "motion": ((1,), (2,))}, r"motion\[1\]=\(2,\)"),
        ({"rows": 1, "cols": 2, "start": 0, "motion": ((1,), ())}, r"motion\[1\]=\(\)"),
        ({"rows": 1, "cols": 2, "start": 0, "motion": ((1,),)}, "motion has size 1"),
        (
            {"rows": 1, "cols": 2, "start": 0, "sensing": ((1, 1), ())},
            r"sensing\[0\]=\(1, 1\) names a node twice",
        ),
    ],
)
def test_impossible_constants_are_refused(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_kernel(GridCoverage, **constants)


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"instances": 0}, "instances=0"),
        ({"density": "bimodal"}, "density='bimodal'"),
        ({"instance": 2}, "instance=2"),
    ],
)
def test_impossible_maps_are_refused(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_kernel(PathPlanning, **constants)


@pytest.mark.parametrize("kind", KERNELS)
def test_pictures_of_frames_and_episodes(kind: Any) -> None:
    kernel = make_kernel(kind, horizon=5)
    states = [kernel.initial_state(1, rng())]
    for _ in range(5):
        states.append(kernel.advance(states[-1], torch.tensor([RIGHT]))[0])
    frames = [kernel.render(state) for state in states]
    assert frames[0].ndim == 3
    assert all((a != b).any() for a, b in itertools.pairwise(frames))
    stacked = tree_map(lambda *fields: torch.cat(fields), *states)
    picture = kernel.render_episode(stacked, torch.ones(5, dtype=torch.int64), torch.zeros(5))
    assert picture.shape[2] == 3
    assert picture.std() > 10
