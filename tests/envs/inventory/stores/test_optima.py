"""Simulated costs of classical policies against their exact or published values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from rlsuite_envs.inventory.stores.serial import SerialSystem
from rlsuite_envs.inventory.stores.stores import LostSales, SingleStore
from rlsuite_envs.inventory.stores.transshipment import Transshipment
from rlsuite_envs.kernel import make_kernel


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def mean_cost(
    kernel: Any, policy: Callable[[Any], Tensor], *, copies: int = 4096, warm_up: int = 60, periods: int = 120
) -> float:
    """Mean cost per period of a policy (state -> orders), after a warm-up."""
    rng = torch.Generator().manual_seed(7)
    state = kernel.initial_state(copies, rng)
    total = 0.0
    for t in range(warm_up + periods):
        state, reward, _ = kernel.advance(state, policy(state), kernel.sample_exogenous(state, rng))
        total -= reward.mean().item() if t >= warm_up else 0.0
    return total / periods


def base_stock(level: float, cap: float = math.inf) -> Callable[[Any], Tensor]:
    return lambda state: (level - state.inventory.sum(1, keepdim=True)).clamp(0, cap)


# 4096 copies x 120 periods leave a standard error of about 0.2 % here.
@pytest.mark.parametrize(
    ("lead_time", "penalty", "optimum"),
    [(1, 4, 3.167), (1, 39, 5.290), (4, 9, 6.279), (7, 19, 9.335), (20, 4, 10.264)],
)
def test_backlog_costs_what_the_formula_says(lead_time: int, penalty: int, optimum: float) -> None:
    kernel = make_kernel(SingleStore, preset=f"L{lead_time}-p{penalty}", actions="orders")
    z = norm.ppf(penalty / (penalty + 1))
    spread = 1.6 * math.sqrt(lead_time + 1)
    level = 5 * (lead_time + 1) + z * spread
    assert mean_cost(kernel, base_stock(level)) == pytest.approx(optimum, rel=0.01)
    # A level that covers L periods instead of L + 1 is far from optimal.
    short_sighted = 5 * lead_time + z * 1.6 * math.sqrt(lead_time)
    assert mean_cost(kernel, base_stock(short_sighted), periods=20) > 1.25 * optimum


@pytest.mark.parametrize(("lead_time", "penalty", "level", "optimum"), [(1, 9, 14, 5.869), (4, 19, 33, 10.873)])
def test_poisson_backlog(lead_time: int, penalty: int, level: int, optimum: float) -> None:
    kernel = make_kernel(
        SingleStore, distribution="poisson", lead_time=lead_time, penalty=float(penalty), actions="orders"
    )
    assert mean_cost(kernel, base_stock(level)) == pytest.approx(optimum, rel=0.01)


@pytest.mark.parametrize(
    ("lead_time", "penalty", "level", "cap", "cost", "optimum"),
    [
        (1, 4, 12, math.inf, 4.162, 4.041),
        (1, 4, 12, 6, 4.065, 4.041),
        (2, 39, 22, 8, 9.132, 9.106),
        (4, 9, 28, math.inf, 7.269, 6.836),
        (4, 9, 29, 5, 6.908, 6.836),
    ],
)
def test_lost_sales(lead_time: int, penalty: int, level: int, cap: float, cost: float, optimum: float) -> None:
    kernel = make_kernel(LostSales, preset=f"L{lead_time}-p{penalty}", actions="orders")
    simulated = mean_cost(kernel, base_stock(level, cap), periods=200)
    assert simulated == pytest.approx(cost, rel=0.006)
    assert simulated > optimum * 0.999


def test_profit_differs_from_cost_by_the_value_of_demand() -> None:
    costs = [
        mean_cost(make_kernel(LostSales, actions="orders", profit=profit), base_stock(28)) for profit in (False, True)
    ]
    assert costs[0] - costs[1] == pytest.approx(9 * 5, rel=0.002)


SERIAL = [
    (4, (30.7, 46.6, 69.8, 79.8), 8.753),
    (9, (32.4, 49.0, 72.8, 83.2), 10.734),
    (19, (33.8, 51.0, 75.3, 85.9), 12.420),
    (39, (35.0, 52.7, 77.4, 88.3), 13.910),
]


@pytest.mark.parametrize(("penalty", "levels", "optimum"), SERIAL)
def test_echelon_base_stock(penalty: int, levels: tuple[float, ...], optimum: float) -> None:
    kernel = make_kernel(SerialSystem, preset=f"L4-p{penalty}", actions="orders")

    def policy(state: Any) -> Tensor:
        return (torch.tensor(levels) - state.inventory.sum(-1).cumsum(1)).clamp_min(0)

    assert mean_cost(kernel, policy, periods=400) == pytest.approx(optimum, rel=0.005)


TRANSSHIPMENT = [
    ("5-L2-p4-corr0", 4.591),
    ("5-L2-p9-corr0.5", 6.640),
    ("3-L6-p4-corr0.5", 7.717),
    ("10-L2-p9-corr0.5", 6.940),
]


@pytest.mark.parametrize(("preset", "bound"), TRANSSHIPMENT)
def test_base_stock_with_equal_fractiles_meets_the_bound(preset: str, bound: float) -> None:
    kernel = make_kernel(Transshipment, preset=preset, actions="orders", dtype="float64")
    p = kernel.params
    mean, sd = torch.tensor(p.means, dtype=torch.float64), torch.tensor(p.sds, dtype=torch.float64)
    upper, lower = p.warehouse_lead_time, p.lead_times[0]
    variance = (1 - p.correlation) * (sd**2).sum() + p.correlation * sd.sum() ** 2
    spread = torch.sqrt(upper * variance + (lower + 1) * sd.sum() ** 2)
    level = mean.sum() * (upper + lower + 1) + norm.ppf(p.penalties[0] / (p.penalties[0] + 1)) * spread

    def policy(state: Any) -> Tensor:
        positions, arrived = state.stores.sum(-1), state.warehouses[..., 0]
        surplus = positions.sum(1, keepdim=True) + arrived - mean.sum() * (lower + 1)
        shares = mean * (lower + 1) + surplus * sd / sd.sum() - positions
        order = level - positions.sum(1) - state.warehouses.sum((1, 2))
        return torch.cat((shares, order.unsqueeze(1)), dim=1).clamp_min(0)

    cost = mean_cost(kernel, policy, copies=2048, periods=300) / kernel.num_stores
    assert cost == pytest.approx(bound, rel=0.005)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lead_time", "penalty", "level", "cap", "cost"),
    [
        (3, 4, 21, 5, 4.630),
        (3, 39, 28, 7, 10.081),
        (4, 4, 26, 5, 4.797),
        (4, 39, 34, 6, 10.889),
        (4, 19, 31, 99, 9.228),
    ],
)
def test_lost_sales_closely(lead_time: int, penalty: int, level: int, cap: float, cost: float) -> None:
    kernel = make_kernel(LostSales, preset=f"L{lead_time}-p{penalty}", actions="orders")
    simulated = mean_cost(kernel, base_stock(level, cap), copies=16384, periods=400)
    assert simulated == pytest.approx(cost, rel=0.002)


@pytest.mark.slow
def test_learning_along_the_path_finds_a_base_stock_level() -> None:
    kernel: Any = make_kernel(SingleStore, preset="L4-p9", actions="orders")
    level = torch.tensor(20.0, requires_grad=True)
    optimiser = torch.optim.Adam([level], lr=0.3)
    for seed in range(150):
        rng = torch.Generator().manual_seed(seed)
        state = kernel.initial_state(512, rng)
        total = torch.zeros(())
        for t in range(40):
            order = (level - state.inventory.sum(1, keepdim=True)).clamp_min(0)
            state, reward, _ = kernel.advance(state, order, kernel.sample_exogenous(state, rng))
            total = total - (reward.mean() if t >= 15 else 0.0)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    assert level.item() == pytest.approx(25 + 1.2816 * 1.6 * math.sqrt(5), abs=0.3)
