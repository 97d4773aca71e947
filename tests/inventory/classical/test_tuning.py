"""`tune` finds known numbers, and says honestly what they cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rlsuite.inventory.classical.play import draw_noise, play
from rlsuite.inventory.classical.policies import BaseStock, CappedBaseStock, Newsvendor, OrderPoint
from rlsuite.inventory.classical.tuning import _Simulation, tune
from rlsuite_envs.inventory.networks.supply_network import SupplyNetwork
from rlsuite_envs.inventory.optimal.optimal import optimum
from rlsuite_envs.inventory.stores.stores import LostSales, SingleStore
from rlsuite_envs.kernel import make_kernel


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_grid_finds_the_best_capped_base_stock() -> None:
    kernel = make_kernel(LostSales, preset="L4-p9", dtype="float64", actions="orders")
    found = tune(CappedBaseStock, kernel, grid=[range(27, 32), range(4, 8)], episodes=100, periods=700, warm_up=100)
    assert found.evaluations == 20
    assert found.policy.numbers.tolist() == [[29.0], [5.0]]  # published: best of all
    assert found.held_out == pytest.approx(6.908, rel=0.015)


def test_nelder_mead_finds_the_optimal_level() -> None:
    kernel = make_kernel(SingleStore, preset="L1-p19", dtype="float64", actions="orders")
    best = optimum(kernel)
    found = tune(BaseStock, kernel, episodes=400, periods=100, warm_up=10, evaluations=40)
    assert found.policy.numbers.item() == pytest.approx(best.levels[0], abs=0.15)
    assert found.cost <= found.start_cost
    assert found.held_out == pytest.approx(best.cost, rel=0.03)


@pytest.mark.parametrize(
    "scenario",
    ["serial-stationary-backlog", pytest.param("divergent-shock-goodwill-lost", marks=pytest.mark.slow)],
)
def test_tuning_pays_on_fresh_demands_too(scenario: str) -> None:
    kernel = make_kernel(SupplyNetwork, scenario=scenario, dtype="float64", action="orders")
    found = tune(Newsvendor, kernel, episodes=40, evaluations=60)
    assert found.evaluations <= 70
    assert found.cost <= found.start_cost
    untuned = play(kernel, Newsvendor(kernel), draw_noise(kernel, 200, 5), 200).rewards.mean()
    tuned = play(kernel, found.policy, draw_noise(kernel, 200, 5), 200).rewards.mean()
    assert tuned > untuned + 20
    assert -found.held_out * 30 == pytest.approx(tuned.item(), rel=0.1)
    again = tune(Newsvendor, kernel, episodes=40, evaluations=60)
    torch.testing.assert_close(again.policy.numbers, found.policy.numbers, rtol=0, atol=0)


@pytest.mark.parametrize("scenario", ["serial-seasonal-lost", "serial-seasonal-goodwill-lost"])
def test_sets_side_by_side_cost_what_each_costs_alone(scenario: str) -> None:
    kernel = make_kernel(SupplyNetwork, scenario=scenario, dtype="float64", action="orders")
    policy = OrderPoint(kernel)
    numbers = np.random.default_rng(0).uniform(10, 200, (5, 6))
    together = _Simulation(kernel, policy, 12, 3, 30, 0).costs(numbers)
    alone = [
        -play(kernel, policy.with_numbers(row), draw_noise(kernel, 12, 3), 12).rewards.mean().item() / 30
        for row in numbers
    ]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"grid": [range(3)]}, "grid has 1 sequences but must have 3.*node 1"),
        ({"episodes": 0}, "episodes=0"),
        ({"warm_up": 30}, r"warm_up=30 must lie in \[0, 30\)"),
    ],
)
def test_mistakes_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tune(BaseStock, "rlsuite/SupplyNetwork-serial-stationary-backlog-v0", **options)


def test_tuning_needs_one_number() -> None:
    with pytest.raises(ValueError, match=r"objectives=\('shortage', .*tune needs one number"):
        tune(BaseStock, "rlsuite/SupplyNetwork-service-cost-v0")
