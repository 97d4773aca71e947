"""Four-room equals mo-gymnasium's, and its front that of planning single moves."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlsuite_envs.kernel import make_kernel
from rlsuite_envs.multi_objective.four_room import ROOMS, FourRoom, RoomState
from rlsuite_envs.multi_objective.fronts import Choice, exact_front

mo_gymnasium = pytest.importorskip("mo_gymnasium")
pytestmark = pytest.mark.filterwarnings("ignore:.*precision lowered by casting:UserWarning")  # of its Boxes


def test_every_cell_and_action_equals_mo_gymnasiums() -> None:
    kernel = make_kernel(FourRoom)
    theirs: Any = mo_gymnasium.make("four-room-v0").unwrapped
    first, _ = theirs.reset(seed=0)
    np.testing.assert_array_equal(kernel.observe(kernel.initial_state(1, torch.Generator()))[0], first)
    rng = np.random.default_rng(0)
    cells = [i * 13 + j for i in range(13) for j in range(13) if theirs.maze[i, j] not in ("X", "G")]
    cell = torch.tensor(cells).repeat_interleave(12)
    collected = torch.as_tensor(rng.random((len(cell), 12)) < 0.5)
    for number, place in enumerate(kernel.shapes):  # where one stands, one has collected
        collected[cell == place[0] * 13 + place[1], number] = True
    action = torch.arange(4).repeat(3 * len(cells))
    after, reward, terminated = kernel.advance(RoomState(cell, collected), action)
    seen = kernel.observe(after).numpy()
    for row in range(len(cell)):
        theirs.state = (divmod(int(cell[row]), 13), tuple(map(int, collected[row])))
        obs, paid, ended, _, _ = theirs.step(int(action[row]))
        np.testing.assert_array_equal(seen[row], obs)
        np.testing.assert_array_equal(reward[row].numpy(), paid)
        assert bool(terminated[row]) == ended
    assert terminated.sum() and (reward.sum(-1) == 1).sum() > 20
    assert seen.dtype == obs.dtype
    assert kernel.observation_space == theirs.observation_space
    assert kernel.reward_space == theirs.reward_space


def test_whole_episodes_equal_mo_gymnasiums() -> None:
    ours, theirs = gym.make("rlsuite/FourRoom-v0"), mo_gymnasium.make("four-room-v0")
    rng = np.random.default_rng(1)
    for seed in range(3):
        np.testing.assert_array_equal(ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0])
        ended = False
        while not ended:
            action = int(rng.choice(4, p=(0.15, 0.35, 0.35, 0.15)))
            mine, other = ours.step(action), theirs.step(action)
            for a, b in zip(mine[:4], other[:4], strict=True):
                np.testing.assert_array_equal(a, b)  # type: ignore[arg-type]
            ended = bool(mine[2] or mine[3])


SMALL = ("_.1.X", "..2X.", "3..1.", ".X..G")


@pytest.mark.parametrize("gamma", [1.0, 0.95, 0.7, 0.0])
def test_the_front_is_that_of_single_moves(gamma: float) -> None:
    kernel = make_kernel(FourRoom, maze_map=SMALL)

    def choices(state: tuple[int, ...]) -> list[Choice[tuple[int, ...]]]:
        cell, *collected = state
        rows = RoomState(torch.full((4,), cell), torch.tensor([collected] * 4, dtype=torch.bool))
        after, reward, terminated = kernel.advance(rows, torch.arange(4))
        ends = [(int(c), *map(int, s)) for c, s in zip(after.cell, after.collected, strict=True)]
        return [
            (reward[i].double().numpy(), () if terminated[i] else ((gamma, ends[i]),))
            for i in range(4)
            if terminated[i] or ends[i] != state
        ]

    expected = exact_front((0, *[0] * 4), choices, 3)
    np.testing.assert_allclose(kernel.pareto_front(gamma), expected, rtol=1e-12, atol=1e-12)


def test_the_front_of_the_default_map() -> None:
    env: Any = gym.make("rlsuite/FourRoom-v0").unwrapped
    front = env.pareto_front(0.99)
    assert front.shape == (240, 3)
    np.testing.assert_array_equal(front, front[np.lexsort(front.T[::-1])])
    np.testing.assert_allclose(front.max(0), [3.63705981, 3.95982046, 3.95982046], atol=1e-8)


def test_for_every_weight_the_front_has_what_value_iteration_finds() -> None:
    rows = [row.replace("2" if i < 6 else "3", ".").replace("1", "." if i == 6 else "1") for i, row in enumerate(ROOMS)]
    kernel = make_kernel(FourRoom, maze_map=tuple(rows))
    assert len(kernel.shapes) == 6
    front = kernel.pareto_front(0.97)
    for weights in np.random.default_rng(0).dirichlet((1, 1, 1), 5):
        assert (front @ weights).max() == pytest.approx(best(kernel, weights, 0.97), rel=1e-9)


def best(kernel: FourRoom, weights: np.ndarray, gamma: float) -> float:
    """The best weighted return, by value iteration over all cells and sets of collected shapes."""
    cells, count = 169, len(kernel.shapes)
    sets = 2**count
    bits = torch.tensor([[s >> i & 1 for i in range(count)] for s in range(sets)], dtype=torch.bool)
    pays, leads, goes_on = [], [], []
    for action in range(4):
        state = RoomState(torch.arange(cells).repeat_interleave(sets), bits.repeat(cells, 1))
        after, reward, terminated = kernel.advance(state, torch.full((cells * sets,), action))
        number = (after.collected.double() @ (2.0 ** torch.arange(count).double())).long()
        pays.append((reward.double() @ torch.as_tensor(weights)).numpy())
        leads.append((after.cell * sets + number).numpy())
        goes_on.append(gamma * ~terminated.numpy())
    value = np.zeros(cells * sets)
    for _ in range(110):
        value = np.maximum.reduce([p + on * value[i] for p, i, on in zip(pays, leads, goes_on, strict=True)])
    return float(value[12 * 13 * sets])


def test_one_hot_observations() -> None:
    kernel = make_kernel(FourRoom, observation="one-hot")
    collected = torch.rand(169, 12, generator=torch.Generator().manual_seed(0)) < 0.5
    seen = kernel.observe(RoomState(torch.arange(169), collected)).numpy()
    np.testing.assert_array_equal(seen, np.concatenate((np.eye(169), collected), 1))


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"maze_map": ("_.", ".")}, "maze_map is ragged"),
        ({"maze_map": ("_.", "..")}, r"1 starts \(_\) and 0 goals \(G\); it needs"),
        ({"maze_map": ("_XG",)}, "cannot be reached from the start"),
        ({"maze_map": ("_4G",)}, "maze_map has '4' in row 0, column 1"),
        ({"maze_map": ("_" + "1" * 41 + "G",)}, "maze_map has 41 shapes"),
        ({"observation": "planes"}, r"observation='planes' must be one of"),
    ],
)
def test_bad_constants(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make("rlsuite/FourRoom-v0", **constants)


def test_fronts_that_are_not_computed_say_why() -> None:
    for rows in (("_G_",), ("_" + "1" * 15 + "G",)):
        with pytest.raises(NotImplementedError, match=r"use one start and at most 14 shapes"):
            make_kernel(FourRoom, maze_map=rows).pareto_front(0.9)


def test_maps_without_shapes() -> None:
    np.testing.assert_allclose(make_kernel(FourRoom, maze_map=("_..G",)).pareto_front(0.5), [[0.25] * 3])
