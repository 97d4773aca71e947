"""Every kernel's F is the set function it should be: monotone, submodular, order-free, and optimal where we look.

The oracles are plain functions of explicit sets (`set_functions`), whose own values are checked by hand here.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite_envs.coverage.design import DesignParams, GPDesign
from rlsuite_envs.coverage.grid_coverage import CoverageParams, GridCoverage
from rlsuite_envs.coverage.item_collection import ItemCollection, ItemParams
from rlsuite_envs.coverage.path_planning import PathParams, PathPlanning
from rlsuite_envs.coverage.set_functions import (
    SetFunction,
    best_set,
    brute_force_trajectory,
    coverage_function,
    greedy_set,
    greedy_trajectory,
    information_function,
    item_function,
    marginal_gains,
    modular_function,
)
from rlsuite_envs.coverage.two_rooms import TwoRooms, TwoRoomsParams

SMALL: dict[str, Any] = {"rows": 4, "cols": 4, "start": 5, "horizon": 6}
PARAMS: dict[str, Any] = {
    "coverage": CoverageParams(**SMALL),
    "large": CoverageParams(**SMALL, footprint="large", density="gp"),
    "disc": CoverageParams(**SMALL, footprint="disc", density="bimodal", walls=((0, 1), (2, 2))),
    "rooms": TwoRoomsParams(horizon=6),
    "items": ItemParams(**SMALL, group_sizes=(5, 4, 3), needed=(2, 3, 1)),
    "items from afar": ItemParams(
        **SMALL, group_sizes=(5, 4, 3), needed=(2, 3, 1), sensing=CoverageParams(**SMALL).footprints
    ),
    "design": DesignParams(**SMALL),
    "noisy design": DesignParams(**SMALL, noise_std=0.5, observed=0),
    "path": PathParams(**SMALL, instances=1),
}
KINDS: dict[type, Any] = {
    CoverageParams: GridCoverage,
    TwoRoomsParams: TwoRooms,
    ItemParams: ItemCollection,
    DesignParams: GPDesign,
    PathParams: PathPlanning,
}
KERNELS = {name: KINDS[type(p)](p, dtype=torch.float64) for name, p in PARAMS.items()}


def set_function(params: Any) -> SetFunction:
    """F as a plain function of the nodes."""
    if isinstance(params, ItemParams):
        return item_function(params.item_map.tolist(), params.needed, params.footprints)
    if isinstance(params, DesignParams):
        return information_function(params.covariance, params.noise_std)
    return coverage_function(params.footprints, params.cell_weights.tolist())


FUNCTIONS = {name: set_function(p) for name, p in PARAMS.items()}
OPEN = {name: [n for n in range(p.nodes) if divmod(n, p.cols) not in p.walls] for name, p in PARAMS.items()}
cases = pytest.mark.parametrize("name", PARAMS)
fast = settings(max_examples=25, deadline=None, derandomize=True)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


def collect(kernel: Any, nodes: list[int]) -> tuple[Any, float, float]:
    """The kernel's set after visits to nodes, its value, and the smallest gain on the way."""
    seen = kernel.empty_set(1, torch.Generator().manual_seed(0))
    value, least = 0.0, math.inf
    for t, node in enumerate(nodes):
        seen, gain = kernel.include(seen, torch.tensor([node]), torch.tensor([t]))
        value, least = value + gain.item(), min(least, gain.item())
    return seen, value, least


@cases
@fast
@given(data=st.data())
def test_kernels_sum_to_the_set_function_in_any_order(name: str, data: st.DataObject) -> None:
    kernel, function = KERNELS[name], FUNCTIONS[name]
    nodes = data.draw(st.lists(st.sampled_from(OPEN[name]), min_size=1, max_size=7))
    _, value, least = collect(kernel, nodes)
    assert least >= 0  # monotone
    assert value == pytest.approx(function(nodes), rel=1e-9, abs=1e-9)
    _, shuffled, _ = collect(kernel, data.draw(st.permutations(nodes)))
    assert shuffled == pytest.approx(value, rel=1e-9, abs=1e-9)


@cases
@fast
@given(data=st.data())
def test_kernels_gains_diminish(name: str, data: st.DataObject) -> None:
    kernel = KERNELS[name]
    node = st.sampled_from(OPEN[name])
    small = data.draw(st.lists(node, max_size=3))
    large = data.draw(st.permutations([*small, *data.draw(st.lists(node, max_size=3))]))
    extra = data.draw(node)
    gains = [
        kernel.gain(collect(kernel, nodes)[0], torch.tensor([extra]), torch.tensor([len(nodes)])).item()
        for nodes in (small, large)
    ]
    assert gains[0] >= gains[1] - 1e-9
    assert gains[1] >= 0


@cases
@fast
@given(actions=st.lists(st.integers(0, 4), min_size=6, max_size=6))
def test_rewards_are_the_marginal_gains_of_the_walk(name: str, actions: list[int]) -> None:
    kernel, function = KERNELS[name], FUNCTIONS[name]
    state = kernel.initial_state(1, torch.Generator().manual_seed(0))
    nodes, rewards = [state.node.item()], []
    for action in actions:
        state, reward, _ = kernel.advance(state, torch.tensor([action]))
        nodes.append(state.node.item())
        rewards.append(reward.item())
    expected = marginal_gains(function, nodes)
    np.testing.assert_allclose(rewards, expected[1:], rtol=1e-8, atol=1e-8)
    info = kernel.info(state)
    assert sum(rewards) == pytest.approx(function(nodes) - function(nodes[:1]), rel=1e-9, abs=1e-9)
    assert info["set_value"].item() == pytest.approx(function(nodes), rel=1e-9)
    if name != "items from afar":  # a node's items are counted without the groups' limits there, as in the release
        assert info["modular_value"].item() == pytest.approx(modular_function(function)(nodes), rel=1e-9)
    assert info["modular_value"].item() >= info["set_value"].item() - 1e-9


@cases
def test_best_of_all_rollouts_equals_brute_force(name: str) -> None:
    kernel, function, p = KERNELS[name], FUNCTIONS[name], PARAMS[name]
    steps = 5
    sequences = torch.tensor(list(itertools.product(range(5), repeat=steps)))
    state = kernel.initial_state(len(sequences), torch.Generator().manual_seed(0))
    total = torch.zeros(len(sequences), dtype=torch.float64)
    for action in sequences.T:
        state, reward, _ = kernel.advance(state, action)
        total += reward
    nodes, optimum = brute_force_trajectory(p.moves, p.start, steps, function)
    assert state.value.max().item() == pytest.approx(optimum, rel=1e-9)
    assert (total + function([p.start])).max().item() == pytest.approx(optimum, rel=1e-9)
    assert len(nodes) == steps + 1
    assert all(after in p.moves[before] for before, after in itertools.pairwise(nodes))
    assert function(nodes) == optimum
    assert greedy_trajectory(p.moves, p.start, steps, function)[1] <= optimum + 1e-9


@cases
@pytest.mark.parametrize("size", [2, 3])
def test_greedy_selection_keeps_its_guarantee(name: str, size: int) -> None:
    function = FUNCTIONS[name]
    ground = OPEN[name][:16]
    chosen, value = greedy_set(function, ground, size)
    best, optimum = best_set(function, ground, size)
    assert len(set(chosen)) == len(set(best)) == size
    assert (1 - 1 / math.e) * optimum <= value <= optimum + 1e-9


def test_greedy_selection_can_miss_the_optimum() -> None:
    # The middle footprint is the heaviest, but the outer two cover everything.
    footprints = ((0, 1, 2), (1, 2, 3, 4), (3, 4, 5))
    function = coverage_function(footprints, [1.0] * 6)
    assert greedy_set(function, range(3), 2)[1] == 5
    assert best_set(function, range(3), 2) == ([0, 2], 6.0)


def test_greedy_walks_can_miss_the_optimum() -> None:
    moves = ((0, 1, 2), (1,), (3,), (3,))
    function = coverage_function(((), (0,), (), (1, 2)), [1.0, 1.0, 1.0])
    assert greedy_trajectory(moves, 0, 2, function) == ([0, 1, 1], 1.0)
    assert brute_force_trajectory(moves, 0, 2, function) == ([0, 2, 3], 2.0)


def test_set_functions_by_hand() -> None:
    cover = coverage_function(((0, 1), (1, 2)), [1.0, 2.0, 4.0])
    assert [cover([]), cover([0]), cover([0, 1]), cover([1, 1])] == [0, 3, 7, 6]
    items = item_function([0, 0, 1, -1], (1, 1))
    assert [items([]), items([0, 1]), items([0, 2, 3])] == [0, 1, 2]
    information = information_function(np.array([[2.0, 0.0], [0.0, 1.0]]), 1.0)
    assert information([]) == 0
    assert information([0, 1]) == pytest.approx(0.5 * math.log(3 * 2))
    assert information([0, 0]) == pytest.approx(0.5 * math.log(5))
    assert modular_function(cover)([0, 0, 1]) == 12
    assert marginal_gains(cover, [0, 1, 1]) == [3, 4, 0]


def test_exhaustive_searches_refuse_what_would_take_forever() -> None:
    p = CoverageParams()
    function = coverage_function(p.footprints, p.cell_weights.tolist())
    with pytest.raises(ValueError, match="walks of horizon=79"):
        brute_force_trajectory(p.moves, p.start, 79, function)
    with pytest.raises(ValueError, match="sets of size=10"):
        best_set(function, range(900), 10)


def test_path_planning_shows_what_is_left_of_the_episodes_map() -> None:
    kernel = PathPlanning(PathParams(**SMALL, instances=7), dtype=torch.float64)
    state = kernel.initial_state(500, torch.Generator().manual_seed(0))
    assert set(state.seen.instance.tolist()) == set(range(7))
    for action in (1, 2, 4):
        before = kernel.observe(state)[:, 3:].double().sum(1) * kernel.maps.max()
        state, reward, _ = kernel.advance(state, torch.full((500,), action))
        after = kernel.observe(state)[:, 3:].double().sum(1) * kernel.maps.max()
        torch.testing.assert_close(reward, before - after, rtol=1e-5, atol=1e-5)
    for row in (0, 1, 2):
        params = CoverageParams(**SMALL, density="gp", instance=int(state.seen.instance[row]))
        own = GridCoverage(params, dtype=torch.float64)
        single = own.initial_state(1, torch.Generator())
        for action in (1, 2, 4):
            single, _, _ = own.advance(single, torch.tensor([action]))
        torch.testing.assert_close(single.value[0], state.value[row])
        torch.testing.assert_close(single.modular[0], state.modular[row])
