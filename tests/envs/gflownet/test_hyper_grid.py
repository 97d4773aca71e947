"""The hypergrid: closed forms of its reward's sum, cells on the very edge of the bands, both borders."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import rlsuite_envs
from rlsuite_envs.gflownet.hyper_grid import HyperGrid, HyperGridParams

assert rlsuite_envs


def grid(**constants: Any) -> HyperGrid:
    return HyperGrid(HyperGridParams(**constants), dtype=torch.float64)


def reward(cell: tuple[int, ...], height: int, r: tuple[float, float, float]) -> float:
    """The formula, in fractions."""
    far = [abs(Fraction(i, height - 1) - Fraction(1, 2)) for i in cell]
    outer = all(x > Fraction(1, 4) for x in far)
    band = all(Fraction(3, 10) < x < Fraction(2, 5) for x in far)
    return r[0] + r[1] * outer + r[2] * band


@pytest.mark.parametrize("height", [2, 3, 8, 11, 16, 21, 31, 32])
def test_rewards_are_those_of_the_formula_in_fractions(height: int) -> None:
    kernel = grid(height=height)
    cells = kernel.enumerate_states()
    expected = [reward(tuple(cell), height, (0.1, 0.5, 2.0)) for cell in cells.tolist()]
    assert kernel.log_reward(cells).exp().tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("height", "bands"), [(16, {2, 13}), (11, set()), (8, {1, 6})])
def test_cells_on_the_edge_of_a_band_are_outside(height: int, bands: set[int]) -> None:
    """With 5 | H - 1 a cell lies exactly on 3/10 or 2/5; floating-point numbers add a mode there."""
    kernel = grid(dims=1, height=height)
    cells = kernel.enumerate_states()
    rewards = kernel.log_reward(cells).exp()
    assert {int(c) for c, r in zip(cells[:, 0], rewards, strict=True) if r > 2} == bands


@pytest.mark.parametrize(("dims", "height", "r0"), [(1, 8, 0.1), (2, 8, 0.1), (2, 16, 1e-3), (3, 8, 0.01), (4, 8, 0.1)])
def test_the_partition_is_the_closed_form(dims: int, height: int, r0: float) -> None:
    """Z = R0 H^D + R1 a^D + R2 b^D with a outer and b band cells along an axis."""
    far = [abs(2 * i - (height - 1)) for i in range(height)]
    outer = sum(2 * x > height - 1 for x in far)
    band = sum(6 * (height - 1) < 10 * x < 8 * (height - 1) for x in far)
    z = r0 * height**dims + 0.5 * outer**dims + 2.0 * band**dims
    kernel = grid(dims=dims, height=height, r0=r0)
    assert float(kernel.true_log_partition().exp()) == pytest.approx(z, rel=1e-12)
    assert float(kernel.true_distribution().sum()) == pytest.approx(1.0, rel=1e-12)


def test_both_borders_have_the_published_sums() -> None:
    """8 x 8, R0 = 0.1: 22.4 where every cell can be finished, 21.8 where borders end."""
    assert float(grid().true_log_partition().exp()) == pytest.approx(22.4)
    ends = grid(border="ends")
    assert float(ends.true_log_partition().exp()) == pytest.approx(21.8)
    # (H - 1)^D inside, and D (H - 1)^(D - 1) on the borders
    assert len(grid(dims=3, height=5, border="ends").enumerate_states()) == 4**3 + 3 * 4**2


@pytest.mark.parametrize("border", ["masked", "ends"])
def test_the_way_back_is_the_way_there(border: str) -> None:
    """Every edge forwards is one backwards, and no others; all cells and only these are reached from the source."""
    kernel = grid(dims=3, height=4, border=border)
    cells = kernel.enumerate_states()
    assert kernel.state_index(cells).tolist() == list(range(len(cells)))
    forward, backward = set(), set()
    for action in range(kernel.num_moves):
        which = torch.full((len(cells),), action)
        to = kernel.move_mask(cells)[:, action]
        children = kernel.move(cells[to], which[to])
        assert (kernel.length(children) == kernel.length(cells[to]) + 1).all()
        forward |= {(tuple(p), tuple(c)) for p, c in zip(cells[to].tolist(), children.tolist(), strict=True)}
        back = kernel.backward_mask(cells)[:, action]
        parents = kernel.unmove(cells[back], which[back])
        backward |= {(tuple(p), tuple(c)) for p, c in zip(parents.tolist(), cells[back].tolist(), strict=True)}
    assert forward == backward
    assert {child for _, child in forward} | {(0, 0, 0)} == {tuple(cell) for cell in cells.tolist()}
    assert not kernel.backward_mask(kernel.source[None]).any()
    assert kernel.backward_mask(cells[1:]).any(1).all() and kernel.forward_mask(cells).any(1).all()
    assert int(kernel.length(cells).max()) == kernel.max_length


def test_playing_pays_the_reward_where_it_stops_and_nothing_elsewhere() -> None:
    envs: Any = gym.make_vec("rlsuite/HyperGrid-v0", num_envs=64)
    obs, info = envs.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(40):
        before = np.array(obs)
        actions = np.array([rng.choice(np.flatnonzero(row)) for row in np.array(info["action_mask"])])
        obs, rewards, terminated, truncated, info = envs.step(actions)
        assert not np.array(truncated).any()
        assert np.array_equal(np.array(terminated), actions == 2)
        expected = [
            reward(tuple(cell), 8, (0.1, 0.5, 2.0)) if a == 2 else 0.0 for cell, a in zip(before, actions, strict=True)
        ]
        assert np.allclose(np.array(rewards), expected)


def test_what_is_not_allowed_changes_nothing_and_the_episode_is_cut() -> None:
    env = gym.make("rlsuite/HyperGrid-v0")
    env.reset(seed=0)
    for step in range(16):
        obs, paid, terminated, truncated, info = env.step(0)
        assert obs.tolist() == [min(step + 1, 7), 0] and paid == 0 and not terminated
        assert info["action_mask"].tolist() == [int(step < 6), 1, 1]
    assert truncated


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"dims": 0}, "dims=0"),
        ({"height": 1}, "height=1"),
        ({"r0": 0.0}, "r0=0.0"),
        ({"r1": -1.0}, "r1"),
        ({"border": "x"}, "border"),
    ],
)
def test_bad_constants_are_named(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make("rlsuite/HyperGrid-v0", **constants)


def test_a_grid_too_large_to_list_says_so() -> None:
    with pytest.raises(ValueError, match="sample it instead"):
        grid(dims=8, height=8).true_log_partition()


def test_cells_of_another_dtype_or_device_stay_what_they_are() -> None:
    kernel = HyperGrid()
    cells = kernel.enumerate_states()
    moved = kernel.move(cells[:3], torch.zeros(3, dtype=torch.int64))
    assert moved.dtype == torch.int64 and kernel.log_reward(cells).dtype == torch.float32
    assert list(itertools.chain.from_iterable(cells[:1].tolist())) == [0, 0]
