"""Grids of several objectives: values by hand, exact fronts, both shells, masks and objectives in `info`."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlsuite.multi_objective import nondominated
from rlsuite_envs.gflownet.hyper_grid import COMBINATIONS, HyperGrid, HyperGridParams
from rlsuite_envs.gflownet.surfaces import SURFACES


def grid(*names: str, **constants: Any) -> HyperGrid:
    given = {"height": 32, "border": "ends", "objectives": names} | constants
    return HyperGrid(HyperGridParams(**given), dtype=torch.float64)


def test_surfaces_at_points_by_hand() -> None:
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    at = {name: float(f(zero, zero)) for name, f in SURFACES.items()}
    assert at["beale"] == pytest.approx((1.5**2 + 2.25**2 + 2.625**2) / 38.8)
    # x = 2.5, y = 7.5
    bowl = (7.5 - 5.1 * 6.25 / (4 * math.pi**2) + 12.5 / math.pi - 6) ** 2
    assert at["branin"] == pytest.approx(1 - (bowl + 10 * (1 - 1 / (8 * math.pi)) * math.cos(2.5) + 10) / 308.13)
    top, bottom = 2300 / 8 + 1900 / 4 + 2092 / 2 + 60, 100 / 8 + 500 / 4 + 2 + 20
    assert at["currin"] == pytest.approx((1 - math.exp(-1)) * top / bottom / 13.77)
    wave = sum(i * math.cos(i) for i in range(1, 6))
    assert at["shubert"] == pytest.approx((wave**2 + 186.8) / 397)
    assert float(SURFACES["beale"](one, one)) == pytest.approx((1.5**2 + 2.25**2 + 2.625**2) / 38.8)
    shubert = SURFACES["shubert"]
    a, b = torch.rand(2, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(shubert(a, b), shubert(b, a))


def test_there_are_1023_objects_and_the_known_fronts() -> None:
    """Of branin and currin 36 cells are not dominated, of currin and beale those from (0, 0) to (7, 0)."""
    kernel = grid("branin", "currin")
    cells = kernel.enumerate_states()
    assert len(cells) == 1023 == 31**2 + 2 * 31
    assert len(kernel.pareto_front(1.0)) == 36
    other = grid("currin", "beale")
    best = nondominated(other.objectives(cells).numpy())
    assert sorted(map(tuple, cells[torch.as_tensor(best)].tolist())) == [(i, 0) for i in range(8)]
    assert float(other.objectives(cells)[:, 0].max()) == pytest.approx(1.001525, abs=1e-6)
    assert cells[other.objectives(cells)[:, 0].argmax()].tolist() == [7, 0]


def test_a_discount_pays_for_short_ways() -> None:
    kernel = grid("branin", "currin")
    cells = kernel.enumerate_states()
    worth = kernel.objectives(cells).numpy() * 0.9 ** cells.sum(1, keepdim=True).numpy()
    front = kernel.pareto_front(0.9)
    expected = worth[nondominated(worth)]
    assert np.allclose(np.sort(front, 0), np.sort(expected, 0))


def test_all_eleven_are_registered_and_pay_where_they_stop() -> None:
    assert len(COMBINATIONS) == 11
    for names in COMBINATIONS:
        env: Any = gym.make(f"rlsuite/HyperGrid-{'-'.join(names)}-v0")
        assert env.unwrapped.reward_space.shape == (len(names),) and env.unwrapped.objective_names == names
        _, info = env.reset(seed=0)
        obs, reward, terminated, _, info = env.step(1)
        assert np.all(reward == 0) and not terminated and obs.tolist() == [0, 1]
        before = info["objectives"]
        obs, reward, terminated, _, info = env.step(2)
        assert terminated and np.allclose(reward, before) and np.allclose(info["objectives"], before)
        a, b = torch.tensor([-1.0]), torch.tensor([2 / 31 - 1])
        assert np.allclose(reward, [float(SURFACES[name](a, b)) for name in names], atol=1e-6)


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"objectives": ("branin", "rastrigin")}, "'rastrigin' is none of"),
        ({"objectives": ("branin",)}, "two or more"),
        ({"objectives": ("branin", "branin")}, "different"),
        ({"objectives": ("branin", "beale"), "dims": 3}, "dims=3"),
    ],
)
def test_bad_objectives_are_named(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HyperGridParams(**constants)


def test_a_vector_is_no_reward() -> None:
    kernel = grid("branin", "currin")
    with pytest.raises(NotImplementedError, match="no single reward"):
        kernel.true_log_partition()
    assert grid(objectives=()).pareto_front.__doc__ and not grid(objectives=()).reward_dim
    with pytest.raises(NotImplementedError, match="no front"):
        grid(objectives=()).pareto_front(1.0)
