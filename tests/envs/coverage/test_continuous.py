"""Coverage of the unit square: against brute force over all cells, and the properties of coverage."""

from __future__ import annotations

import itertools
import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite_envs.coverage.bits import interval, popcount, unpack
from rlsuite_envs.coverage.continuous import ContinuousCoverage, ContinuousCoverageParams

torch.set_num_threads(1)


def kernel(**params: Any) -> ContinuousCoverage:
    return ContinuousCoverage(ContinuousCoverageParams(**params), dtype=torch.float64)


def union(places: np.ndarray, radius: float, cells: int) -> np.ndarray:
    """Cells whose centre is within the radius of any of the places, by looking at every cell."""
    centre = (np.arange(cells) + 0.5) / cells
    x, y = np.meshgrid(centre, centre, indexing="ij")
    seen = np.zeros((cells, cells), dtype=bool)
    for px, py in places:
        seen |= np.hypot(x - px, y - py) <= radius
    return seen


def walk(k: ContinuousCoverage, actions: torch.Tensor, num: int = 3) -> tuple[list[Any], torch.Tensor]:
    """States [T + 1] and rewards [T, B] of actions [T, B, 2]."""
    states = [k.initial_state(num, torch.Generator().manual_seed(0))]
    rewards = []
    for action in actions:
        state, reward, terminated = k.advance(states[-1], action)
        assert not terminated.any()
        states.append(state)
        rewards.append(reward)
    return states, torch.stack(rewards)


@pytest.mark.parametrize("dynamics", ["point", "double_integrator"])
@pytest.mark.parametrize(("radius", "cells"), [(0.1, 50), (0.013, 20), (0.37, 8), (1.0, 6), (0.04, 1), (0.11, 130)])
def test_the_covered_set_is_the_union_of_the_discs(dynamics: str, radius: float, cells: int) -> None:
    k = kernel(dynamics=dynamics, radius=radius, cells=cells, map_cells=1, start=None)
    actions = 3 * torch.randn(40, 3, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    states, rewards = walk(k, actions)
    for b in range(3):
        places = np.array([state.position[b].numpy() for state in states])
        assert places.min() >= 0
        assert places.max() <= 1
        np.testing.assert_array_equal(k.grid(states[-1])[b].numpy(), union(places, radius, cells))
        value = [union(places[: i + 1], radius, cells).mean() * 100 for i in range(41)]
        np.testing.assert_allclose(rewards[:, b], np.diff(value), atol=1e-9)
        np.testing.assert_allclose([k.info(s)["set_value"][b].item() for s in states], value, atol=1e-9)
        modular = sum(union(place[None], radius, cells).mean() * 100 for place in places)
        assert k.info(states[-1])["modular_value"][b].item() == pytest.approx(modular)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), early=st.integers(1, 15), late=st.integers(0, 15))
def test_gains_are_not_negative_and_shrink_with_the_history(seed: int, early: int, late: int) -> None:
    k = kernel(radius=0.2, cells=20, map_cells=4)
    rng = torch.Generator().manual_seed(seed)
    actions = 2 * torch.rand(early + late, 3, 2, generator=rng, dtype=torch.float64) - 1
    states, rewards = walk(k, actions)
    assert (rewards >= 0).all()
    place = torch.rand(3, 2, generator=rng, dtype=torch.float64)
    gains = [k._visit(state, place, state.velocity)[1] for state in states]
    assert all((after <= before).all() for before, after in itertools.pairwise(gains))
    total = rewards.sum(0) + k.info(states[0])["set_value"]
    torch.testing.assert_close(total, k.info(states[-1])["set_value"])


def test_the_value_does_not_depend_on_the_order_of_visits() -> None:
    k = kernel(radius=0.15, start=(0.0, 0.0))
    places = torch.rand(12, 1, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    areas = []
    for order in (range(12), reversed(range(12)), [5, 3, 1, 0, 2, 4, 11, 10, 9, 8, 7, 6]):
        state = k.initial_state(1, torch.Generator())
        for i in order:
            state, _ = k._visit(state, places[i], state.velocity)
        areas.append(state.area.item())
    assert len(set(areas)) == 1


def test_motion_by_hand() -> None:
    k = kernel(start=(0.5, 0.95))
    state = k.initial_state(1, torch.Generator())
    state, _, _ = k.advance(state, torch.tensor([[0.5, 1.0]], dtype=torch.float64))
    np.testing.assert_allclose(state.position, [[0.525, 1.0]], atol=1e-12)
    np.testing.assert_allclose(state.velocity, [[0.25, 0.5]], atol=1e-12)  # it arrives exactly
    state, _, _ = k.advance(state, torch.tensor([[-7.0, 1.0]], dtype=torch.float64))
    np.testing.assert_allclose(state.position, [[0.475, 1.0]], atol=1e-12)
    np.testing.assert_allclose(state.velocity, [[-0.5, 0.0]], atol=1e-12)
    k = kernel(start=(0.5, 0.5), dynamics="double_integrator")
    state = k.initial_state(1, torch.Generator())
    for place, speed in ((0.51, 0.2), (0.54, 0.4), (0.585, 0.5), (0.635, 0.5)):
        state, _, _ = k.advance(state, torch.tensor([[1.0, -0.0]], dtype=torch.float64))
        np.testing.assert_allclose(state.position, [[place, 0.5]], atol=1e-12)
        np.testing.assert_allclose(state.velocity, [[speed, 0.0]], atol=1e-12)


def test_a_disc_in_the_open_covers_its_area_and_standing_still_earns_nothing() -> None:
    k = kernel(cells=400, radius=0.2, map_cells=10)
    state = k.initial_state(1, torch.Generator())
    assert k.info(state)["set_value"].item() == pytest.approx(100 * math.pi * 0.2**2, rel=1e-3)
    _, reward, _ = k.advance(state, torch.zeros(1, 2, dtype=torch.float64))
    assert reward.item() == 0
    _, reward, _ = kernel(reward="modular").advance(
        kernel().initial_state(1, torch.Generator()), torch.zeros(1, 2, dtype=torch.float64)
    )
    assert reward.item() == pytest.approx(100 * math.pi * 0.1**2, rel=0.03)


def test_the_coarse_map_is_the_mean_of_the_fine_one() -> None:
    k = kernel(dynamics="double_integrator")
    actions = torch.randn(60, 3, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    state = walk(k, actions)[0][-1]
    obs = k.observe(state)
    fine = k.grid(state).reshape(3, 10, 5, 10, 5).double().mean((2, 4)).reshape(3, 100)
    torch.testing.assert_close(obs[:, 5:].double(), fine)
    torch.testing.assert_close(obs[:, :2].double(), 2 * state.position - 1)
    torch.testing.assert_close(obs[:, 4], torch.full((3,), 0.4))


@settings(max_examples=30, deadline=None)
@given(
    cells=st.sampled_from([1, 12, 61, 62, 63, 64, 128]),
    parts=st.integers(1, 128),
    radius=st.floats(0.01, 1.0),
    x=st.floats(0, 1),
    y=st.floats(0, 1),
)
def test_maps_of_any_size_count_every_cell_once(cells: int, parts: int, radius: float, x: float, y: float) -> None:
    parts = next(p for p in range(min(parts, cells), 0, -1) if cells % p == 0)
    k = kernel(cells=cells, map_cells=parts, radius=radius, start=(x, y), max_speed=2.0)
    state = k.initial_state(1, torch.Generator())
    for push in ([1.0, 0.3], [-0.7, -1.0]):
        state = k.advance(state, torch.tensor([push], dtype=torch.float64))[0]
    fine, f = k.grid(state)[0], cells // parts
    assert state.area.item() == fine.sum().item()
    wanted = fine.reshape(parts, f, parts, f).sum((1, 3)).flatten()
    assert torch.equal(state.fields[0].long(), wanted)


def test_bits_against_python() -> None:
    rng = np.random.default_rng(0)
    start, stop = rng.integers(0, 131, 300), rng.integers(0, 131, 300)
    words = interval(torch.tensor(start), torch.tensor(stop), 3)
    wanted = [[low <= i < high for i in range(130)] for low, high in zip(start, stop, strict=True)]
    assert unpack(words, 130).tolist() == wanted
    assert popcount(words).sum(-1).tolist() == [max(0, high - low) for low, high in zip(start, stop, strict=True)]
    mixed = rng.integers(0, 2**62, 1000)
    assert popcount(torch.tensor(mixed)).tolist() == [int(word).bit_count() for word in mixed]


def test_histories_are_observed_latest_first() -> None:
    k = kernel(observation="history", horizon=5)
    actions = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    states, _ = walk(k, actions)
    obs = k.observe(states[-1])
    assert obs.shape == (3, 3 + 12)
    trail = torch.stack([s.position for s in states[::-1]], dim=1).flatten(1).float()
    torch.testing.assert_close(obs[:, 3:9], trail)
    assert (obs[:, 9:] == -1).all()


def test_greedy_beats_wandering() -> None:
    k = kernel()
    rng = torch.Generator().manual_seed(0)
    state = wanderer = k.initial_state(4, rng)
    for _ in range(100):
        state = k.advance(state, k.greedy_action(state).double())[0]
        wanderer = k.advance(wanderer, 2 * torch.rand(4, 2, generator=rng, dtype=torch.float64) - 1)[0]
    greedy, random = (k.info(s)["set_value"].mean().item() for s in (state, wanderer))
    assert greedy > 55
    assert greedy > 1.5 * random


@pytest.mark.parametrize("id", ["ContinuousCoverage", "ContinuousCoverage-double_integrator"])
def test_single_and_vector_agree(id: str) -> None:
    env, twin = gym.make(f"rlsuite/{id}-v0"), gym.make_vec(f"rlsuite/{id}-v0", num_envs=1)
    obs, _ = env.reset(seed=3)
    np.testing.assert_array_equal(twin.reset(seed=3)[0][0], obs)
    env.action_space.seed(0)
    for _ in range(99):
        action = env.action_space.sample()
        obs, reward, *_, info = env.step(action)
        obs2, reward2, *_, info2 = twin.step(action[None])
        assert env.observation_space.contains(obs)
        np.testing.assert_array_equal(obs2[0], obs)
        assert (reward2[0], info2["set_value"][0]) == (reward, info["set_value"])
    assert env.step(action)[3]
    assert twin.step(action[None])[3][0]


def test_pictures() -> None:
    env: Any = gym.make("rlsuite/ContinuousCoverage-v0", render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().shape == (400, 400, 3)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"horizon": 0}, "horizon=0 must be an integer of at least 1"),
        ({"radius": 0.0}, "radius=0.0 must be above 0"),
        ({"radius": 1.5}, r"radius=1.5 must lie in \(0, 1\]"),
        ({"radius": float("nan")}, "radius=nan"),
        ({"cells": 0}, "cells=0"),
        ({"cells": 2000}, r"cells=2000 must be an integer in 1..1000"),
        ({"map_cells": 7}, "map_cells=7 must divide cells=50"),
        ({"dynamics": "car"}, "dynamics='car' must be one of"),
        ({"observation": "all"}, "observation='all' must be one of"),
        ({"reward": "additive"}, "reward='additive' must be one of"),
        ({"start": (0.5, 1.5)}, r"start=\(0.5, 1.5\) must be two numbers in \[0, 1\]"),
        ({"start": 0.5}, r"start=0.5 must be two numbers"),
        ({"dt": -0.1}, "dt=-0.1 must be above 0"),
    ],
)
def test_bad_constants(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make("rlsuite/ContinuousCoverage-v0", **kwargs)
