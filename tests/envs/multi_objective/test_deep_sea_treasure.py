"""Deep-sea treasure equals mo-gymnasium's, and its fronts the published ones."""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium as gym
import moocore
import numpy as np
import pytest
import torch

import rlsuite_envs  # noqa: F401 (registers)
from rlsuite_envs.kernel import make_kernel
from rlsuite_envs.multi_objective.deep_sea_treasure import DeepSeaTreasure, SeaState

mo_gymnasium = pytest.importorskip("mo_gymnasium")
pytestmark = pytest.mark.filterwarnings("ignore:.*precision lowered by casting:UserWarning")  # of its Boxes
CONVEX = [
    *((0.7, -1), (8.2, -3), (11.5, -5), (14, -7), (15.1, -8)),
    *((16.1, -9), (19.6, -13), (20.3, -14), (22.4, -17), (23.7, -19)),
]
CONCAVE = [(1, -1), (2, -3), (3, -5), (5, -7), (8, -8), (16, -9), (24, -13), (50, -14), (74, -17), (124, -19)]
FRONTS = {"convex": CONVEX, "concave": CONCAVE, "mirrored": CONCAVE}
THEIRS = {
    "convex": "deep-sea-treasure-v0",
    "concave": "deep-sea-treasure-concave-v0",
    "mirrored": "deep-sea-treasure-mirrored-v0",
}


@pytest.mark.parametrize("preset", THEIRS)
def test_every_state_and_action_equals_mo_gymnasiums(preset: str) -> None:
    kernel: DeepSeaTreasure = make_kernel(DeepSeaTreasure, preset=preset)
    theirs: Any = mo_gymnasium.make(THEIRS[preset]).unwrapped
    first, _ = theirs.reset(seed=0)
    start = kernel.initial_state(1, torch.Generator())
    np.testing.assert_array_equal(kernel.observe(start)[0], first)
    places = list(np.argwhere(theirs.sea_map == 0))
    cells = torch.tensor([i * kernel.width + j for i, j in places]).repeat_interleave(4)
    actions = torch.arange(4).repeat(len(places))
    after, reward, terminated = kernel.advance(SeaState(cells), actions)
    seen = kernel.observe(after).numpy()
    for row, (place, action) in enumerate(itertools.product(places, range(4))):
        theirs.current_state = place.astype(np.int32)
        obs, paid, ended, _, _ = theirs.step(action)
        np.testing.assert_array_equal(seen[row], obs)
        np.testing.assert_array_equal(reward[row].numpy(), paid)
        assert bool(terminated[row]) == ended
    assert seen.dtype == obs.dtype
    assert reward.numpy().dtype == paid.dtype
    if preset != "mirrored":
        assert kernel.observation_space == theirs.observation_space
    assert kernel.reward_space == theirs.reward_space


def test_time_limit_and_shells() -> None:
    env = gym.make("rlsuite/DeepSeaTreasure-concave-v0")
    env.reset(seed=0)
    for step in range(1, 101):
        _, reward, terminated, truncated, _ = env.step(0)
        assert (terminated, truncated) == (False, step == 100)
        np.testing.assert_array_equal(reward, np.array([0, -1], np.float32))
    _, reward, terminated, *_ = (env.reset(), env.step(1))[1]
    assert terminated
    assert isinstance(reward, np.ndarray) and reward.dtype == np.float32
    np.testing.assert_array_equal(reward, [1, -1])
    assert env.unwrapped.reward_space.shape == (2,)  # type: ignore[attr-defined]
    assert env.unwrapped.objective_names == ("treasure", "time")  # type: ignore[attr-defined]
    assert mo_gymnasium.make("deep-sea-treasure-v0").spec.max_episode_steps == 100


@pytest.mark.parametrize("preset", FRONTS)
def test_undiscounted_fronts_are_the_published_ones(preset: str) -> None:
    front = make_kernel(DeepSeaTreasure, preset=preset).pareto_front(1.0)
    assert front.dtype == np.float64
    np.testing.assert_array_equal(front, sorted(FRONTS[preset]))


@pytest.mark.parametrize(
    ("preset", "reference", "gamma", "volume"),
    [
        ("convex", (0, -25), 1.0, 401.8),
        ("convex", (0, -50), 1.0, 994.3),
        ("concave", (0, -25), 1.0, 1155.0),
        ("concave", (0, -50), 1.0, 4255.0),
        ("mirrored", (0, -50), 1.0, 4255.0),
        ("convex", (0, -25), 0.99, 360.400946),
        ("concave", (0, -25), 0.99, 1101.384430),
    ],
)
def test_hypervolumes(preset: str, reference: tuple[float, float], gamma: float, volume: float) -> None:
    front = make_kernel(DeepSeaTreasure, preset=preset).pareto_front(gamma)
    assert len(front) == 10
    tolerance = 1e-9 if gamma == 1 else 1e-6 / volume
    assert moocore.hypervolume(front, ref=reference, maximise=True) == pytest.approx(volume, rel=tolerance)


@pytest.mark.parametrize("preset", FRONTS)
@pytest.mark.parametrize("gamma", [0.99, 0.95, 0.9, 0.5, 0.0])
def test_discounted_fronts(preset: str, gamma: float) -> None:
    front = make_kernel(DeepSeaTreasure, preset=preset).pareto_front(gamma)
    times = [sum(gamma**t for t in range(-n)) for _, n in FRONTS[preset]]
    all_ten = np.array([(v * gamma ** (-n - 1), -t) for (v, n), t in zip(FRONTS[preset], times, strict=True)])
    kept = [p for p in all_ten if not any((q >= p).all() and (q > p).any() for q in all_ten)]
    np.testing.assert_allclose(front, sorted(map(tuple, np.unique(kept, axis=0))), rtol=1e-12, atol=1e-12)
    if preset == "convex":
        assert len(front) == {0.99: 10, 0.95: 6, 0.9: 3}.get(gamma, len(front))


def test_fronts_are_reached_from_both_shells_and_weights_find_the_ends_of_the_concave_one() -> None:
    single: Any = gym.make("rlsuite/DeepSeaTreasure-concave-v0").unwrapped
    many: Any = gym.make_vec("rlsuite/DeepSeaTreasure-concave-v0", num_envs=2)
    front = single.pareto_front(gamma=1.0)
    np.testing.assert_array_equal(front, many.pareto_front(1.0))
    weights = np.stack([np.linspace(0, 1, 101), 1 - np.linspace(0, 1, 101)], 1)
    assert set((weights @ front.T).argmax(1)) == {0, 9}
    with pytest.raises(ValueError, match="gamma=2"):
        single.pareto_front(2)


def test_other_observations() -> None:
    for preset, largest in (("convex", (10, 10)), ("mirrored", (10, 19))):
        scaled = make_kernel(DeepSeaTreasure, preset=preset, observation="scaled")
        state = SeaState(torch.arange(scaled.height * scaled.width))
        places = make_kernel(DeepSeaTreasure, preset=preset).observe(state).numpy()
        np.testing.assert_allclose(scaled.observe(state).numpy(), places / np.array(largest), rtol=1e-6)
    theirs = mo_gymnasium.make("deep-sea-treasure-v0", float_state=True)
    ours = gym.make("rlsuite/DeepSeaTreasure-v0", observation="scaled")
    assert ours.observation_space == theirs.observation_space
    theirs.reset(), ours.reset()
    for action in (3, 3, 1, 3, 1, 0):
        np.testing.assert_allclose(ours.step(action)[0], theirs.step(action)[0], rtol=1e-6)
    hot = make_kernel(DeepSeaTreasure, observation="one-hot")
    np.testing.assert_array_equal(hot.observe(SeaState(torch.arange(121))), np.eye(121))


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"sea_map": ((0, 1), (0,))}, r"sea_map=.* rows of numbers, all of one length"),
        ({"sea_map": ((0.0, float("nan")),)}, r"sea_map\[0\]\[1\]=nan must be a finite number"),
        ({"sea_map": ((0.0, -10.0, 5.0),)}, r"start=\(0, 0\): no treasure of sea_map can be reached"),
        ({"start": (1, 0)}, r"start=\(1, 0\) must be the row and the column of a cell of water"),
        ({"start": (0, 11)}, r"start=\(0, 11\) must be"),
        ({"observation": "pixels"}, r"observation='pixels' must be one of"),
        ({"preset": "concav"}, r"preset='concav' is unknown.*did you mean 'concave'"),
    ],
)
def test_bad_constants(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make("rlsuite/DeepSeaTreasure-v0", **constants)
