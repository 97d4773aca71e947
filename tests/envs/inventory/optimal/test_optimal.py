"""Exact optima against published and computed values, brute force, and simulation of the kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, expon, gamma, norm, poisson, randint, uniform

from rlsuite_envs.inventory.optimal.optimal import (
    base_stock,
    newsvendor,
    optimal_cost,
    optimum,
    reorder_point,
    serial_system,
    transshipment_bound,
)
from rlsuite_envs.inventory.optimal.optimal_dp import (
    FiniteProblem,
    best_capped_base_stock,
    lost_sales,
    lost_sales_policy,
    solve_average,
)
from rlsuite_envs.inventory.optimal.optimal_simulation import simulate_base_stock, simulate_cost
from rlsuite_envs.inventory.plants.lot_sizing import LotSizing
from rlsuite_envs.inventory.stores.serial import SerialSystem, SerialSystemParams
from rlsuite_envs.inventory.stores.stores import LostSales, LostSalesParams, SingleStore, SingleStoreParams
from rlsuite_envs.inventory.stores.transshipment import Transshipment, TransshipmentParams
from rlsuite_envs.inventory.stores.warehouse import ManyStores
from rlsuite_envs.kernel import make_kernel

torch.set_num_threads(1)
PENALTIES = (4, 9, 19, 39)


# ------------------------------------------------------------------------------------------ newsvendor
def test_newsvendor_of_the_textbook() -> None:
    found = newsvendor(norm(50, 8), 0.18, 0.70)
    assert found.levels[0] == pytest.approx(56.604, abs=5e-4)
    assert found.cost == pytest.approx(1.9976, abs=5e-5)


def test_newsvendor_of_uniform_and_exponential_demand_by_hand() -> None:
    # Uniform on [0, 10], h 1, p 3: Q = 7.5, cost = (Q^2 h + (10 - Q)^2 p) / 20.
    found = newsvendor(uniform(0, 10), 1.0, 3.0)
    assert found.levels[0] == pytest.approx(7.5) and found.cost == pytest.approx((56.25 + 18.75) / 20)
    # Exponential with mean m: Q = m log((p + h) / h), and the cost is h Q.
    found = newsvendor(expon(scale=4), 1.0, 3.0)
    assert found.levels[0] == pytest.approx(4 * math.log(4)) and found.cost == pytest.approx(4 * math.log(4))


@given(
    st.sampled_from([poisson(3.3), poisson(20), binom(20, 0.4), randint(2, 9)]),
    st.floats(0.05, 5),
    st.floats(0.05, 50),
)
@settings(max_examples=60, deadline=None)
def test_newsvendor_of_counts_by_trying_every_level(demand: Any, holding: float, penalty: float) -> None:
    counts = np.arange(150)
    left = counts[:, None] - counts[None, :]
    costs = np.where(left > 0, holding * left, -penalty * left) @ demand.pmf(counts)
    found = newsvendor(demand, holding, penalty)
    assert found.cost == pytest.approx(costs.min(), rel=1e-9, abs=1e-9)
    assert costs[int(found.levels[0])] == pytest.approx(costs.min(), rel=1e-9, abs=1e-9)


# ------------------------------------------------------------------------------------------ base stock
BACKLOG = {
    1: (3.167, 3.971, 4.667, 5.290),
    4: (5.008, 6.279, 7.380, 8.364),
    7: (6.335, 7.942, 9.335, 10.580),
    10: (7.428, 9.313, 10.946, 12.406),
    15: (8.959, 11.232, 13.201, 14.962),
    20: (10.264, 12.868, 15.124, 17.141),
}


@pytest.mark.parametrize("lead_time", BACKLOG)
def test_base_stock_of_normal_demand(lead_time: int) -> None:
    for penalty, cost in zip(PENALTIES, BACKLOG[lead_time], strict=True):
        found = base_stock(norm(5, 1.6), lead_time, 1.0, penalty)
        assert found.cost == pytest.approx(cost, abs=6e-4)
        z = norm.ppf(penalty / (penalty + 1))
        assert found.levels[0] == pytest.approx(5 * (lead_time + 1) + z * 1.6 * math.sqrt(lead_time + 1))


@pytest.mark.parametrize(
    ("lead_time", "levels", "costs"),
    [
        (1, (13, 14, 15, 17), (4.612, 5.869, 7.070, 8.108)),
        (4, (29, 32, 33, 35), (7.170, 9.151, 10.873, 12.401)),
    ],
)
def test_base_stock_of_poisson_demand(lead_time: int, levels: tuple[int, ...], costs: tuple[float, ...]) -> None:
    for penalty, level, cost in zip(PENALTIES, levels, costs, strict=True):
        found = base_stock(poisson(5), lead_time, 1.0, penalty)
        assert found.levels == (level,) and found.cost == pytest.approx(cost, abs=6e-4)


def test_sums_on_the_lattice_agree_with_known_sums() -> None:
    # Binomials and gammas of equal p or scale add up to their like.
    found, known = base_stock(binom(7, 0.3), 3, 1.0, 6.0), newsvendor(binom(28, 0.3), 1.0, 6.0)
    assert found.levels == known.levels and found.cost == pytest.approx(known.cost, rel=1e-9)
    found, known = base_stock(gamma(2, scale=1.5), 3, 1.0, 6.0), newsvendor(gamma(8, scale=1.5), 1.0, 6.0)
    assert found.levels[0] == pytest.approx(known.levels[0], abs=0.03)
    assert found.cost == pytest.approx(known.cost, rel=1e-4)


# --------------------------------------------------------------------------------------------- (s, S)
@pytest.mark.parametrize(
    ("mean", "levels", "cost"),
    [(10, (6, 40), 35.0216), (15, (10, 49), 42.6978), (20, (14, 62), 49.1730), (25, (19, 56), 54.2622)],
)
def test_reorder_points_of_zheng_and_federgruen(mean: int, levels: tuple[int, int], cost: float) -> None:
    found = reorder_point(poisson(mean), 64, 1, 9)
    assert found.levels == levels and found.cost == pytest.approx(cost, abs=6e-5)


@pytest.mark.parametrize(("fixed_cost", "lead_time"), [(0.0, 0), (3.0, 0), (8.0, 0), (8.0, 2), (30.0, 1)])
def test_reorder_points_are_optimal_among_all_policies(fixed_cost: float, lead_time: int) -> None:
    """Value iteration over order-up-to decisions from every inventory position."""
    most, low, high = 12, -14, 34
    positions = np.arange(low, high + 1)
    chances = poisson.pmf(np.arange(most + 1), 2.0)
    chances /= chances.sum()
    ahead = np.ones(1)
    for _ in range(lead_time + 1):
        ahead = np.convolve(ahead, chances)
    left = positions[:, None] - np.arange(len(ahead))
    mean_cost = np.where(left > 0, left, -4.0 * left) @ ahead
    size = len(positions)
    transitions, rewards = np.zeros((size, size, size)), np.full((size, size), -np.inf)
    for a, target in enumerate(positions):
        transitions[a, :, a] = 1.0
        if target - most < low:
            continue
        transitions[a, :, a] = 0.0
        for d, chance in enumerate(chances):
            transitions[a, :, a - d] += chance
        below = positions <= target
        rewards[a, below] = -(mean_cost[a] + fixed_cost * (positions[below] < target))
    gain, _ = solve_average(FiniteProblem(transitions, rewards), 1e-6)
    found = reorder_point(poisson(2.0), fixed_cost, 1.0, 4.0, lead_time)
    # Demand above 12 (probability 1e-6 per period) is left out here.
    assert found.cost == pytest.approx(-gain, abs=5e-5)
    if fixed_cost == 0:
        plain = base_stock(poisson(2.0), lead_time, 1.0, 4.0)
        assert found.levels == (plain.levels[0] - 1, plain.levels[0])
        assert found.cost == pytest.approx(plain.cost)


# -------------------------------------------------------------------------------------------- serial
SERIAL = {
    4: ((30.7, 46.6, 69.8, 79.8), 8.753),
    9: ((32.4, 49.0, 72.8, 83.2), 10.734),
    19: ((33.8, 51.0, 75.3, 85.9), 12.420),
    39: ((35.0, 52.7, 77.4, 88.3), 13.910),
}


@pytest.mark.parametrize("penalty", PENALTIES)
def test_clark_and_scarf_of_four_stages(penalty: int) -> None:
    levels, cost = SERIAL[penalty]
    found = optimum(SerialSystemParams(penalty=float(penalty)))
    assert found.levels == pytest.approx(levels, abs=0.07)
    assert found.cost == pytest.approx(cost, abs=1.5e-3)


def test_clark_and_scarf_of_the_textbook() -> None:
    args: Any = (norm(5, 1), (1, 1, 2), (7, 4, 2), 37.12)
    found = serial_system(*args, convention="continuous", charge_transit=True)
    assert found.levels == pytest.approx((6.51, 12.01, 22.70), abs=0.03)
    assert found.cost == pytest.approx(47.65, rel=5e-4)
    found = serial_system(*args, charge_transit=True)
    assert found.levels == pytest.approx((12.10, 17.34, 27.86), abs=0.03)
    assert found.cost == pytest.approx(51.19, rel=5e-4)


def test_one_stage_in_a_row_is_one_store() -> None:
    for demand in (poisson(5), norm(5, 1.0)):
        row, store = serial_system(demand, (4,), (1.0,), 9.0), base_stock(demand, 4, 1.0, 9.0)
        assert row.levels == pytest.approx(store.levels, abs=0.02)
        assert row.cost == pytest.approx(store.cost, rel=1e-4)


def test_a_stage_that_costs_no_less_than_the_store_is_refused() -> None:
    with pytest.raises(ValueError, match=r"holdings=\(1.0, 1.0\) must fall"):
        serial_system(norm(5, 2), (1, 1), (1.0, 1.0), 9.0)


def test_units_on_their_way_cost_what_the_stage_above_charges() -> None:
    args: Any = (poisson(3), (2, 1), (1.0, 0.25), 9.0)
    with_transit, without = serial_system(*args, charge_transit=True), serial_system(*args)
    assert with_transit.cost - without.cost == pytest.approx(0.25 * 3 * 2)
    assert with_transit.levels == without.levels


# -------------------------------------------------------------------------------------- transshipment
@pytest.mark.parametrize(
    ("stores", "correlation", "costs"),
    [
        (5, "0", (4.591, 5.756, 6.665, 8.357)),
        (5, "0.5", (5.296, 6.640, 7.169, 8.989)),
        (3, "0.5", (5.754, 7.214, 7.717, 9.675)),
        (10, "0.5", (5.536, 6.940, 7.546, 9.461)),
    ],
)
def test_bounds_of_the_transshipment_instances(stores: int, correlation: str, costs: tuple[float, ...]) -> None:
    names = [f"{stores}-L{lead}-p{p}-corr{correlation}" for lead in (2, 6) for p in (4, 9)]
    for name, cost in zip(names, costs, strict=True):
        found = optimum(Transshipment.presets[name])
        assert not found.exact and found.cost / stores == pytest.approx(cost, abs=6e-4)


def test_one_store_behind_a_point_is_one_store_with_a_longer_lead_time() -> None:
    bound = transshipment_bound([5.0], [[2.56]], 2, 3, 1.0, 9.0)
    assert bound.cost == pytest.approx(base_stock(norm(5, 1.6), 5, 1.0, 9.0).cost)
    assert bound.levels == pytest.approx(base_stock(norm(5, 1.6), 5, 1.0, 9.0).levels)


# ----------------------------------------------------------------------------------------- lost sales
LOST = {
    (1, 4): (4.041, 4.162, 12, 4.065, 12, 6),
    (1, 9): (5.438, 5.546, 13, 5.480, 14, 6),
    (1, 19): (6.676, 6.725, 15, 6.686, 15, 8),
    (1, 39): (7.836, 7.859, 16, 7.839, 16, 9),
    (2, 4): (4.395, 4.639, 16, 4.406, 17, 5),
    (2, 9): (6.094, 6.318, 19, 6.120, 19, 6),
    (2, 19): (7.664, 7.843, 21, 7.722, 21, 7),
    (2, 39): (9.106, 9.190, 22, 9.132, 22, 8),
    (3, 4): (4.599, 4.974, 20, 4.630, 21, 5),
    (3, 9): (6.531, 6.863, 23, 6.616, 24, 6),
    (3, 19): (8.363, 8.603, 26, 8.398, 26, 6),
    (3, 39): (10.039, 10.214, 28, 10.081, 28, 7),
    (4, 4): (4.729, 5.197, 25, 4.797, 26, 5),
    (4, 9): (6.836, 7.269, 28, 6.908, 29, 5),
    (4, 19): (8.887, 9.228, 31, 8.949, 31, 6),
    (4, 39): (10.795, 11.057, 33, 10.889, 34, 6),
}
"""Optimum, base-stock cost and level, capped cost, level and cap; policies were simulated to within 0.005."""


@pytest.mark.parametrize("instance", LOST)
def test_lost_sales_optima(instance: tuple[int, int]) -> None:
    lead_time, penalty = instance
    assert lost_sales(poisson(5), lead_time, 1.0, penalty) == pytest.approx(LOST[instance][0], abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("penalty", PENALTIES)
def test_lost_sales_of_base_stock_with_a_long_lead_time(penalty: int) -> None:
    _, base, level, *_ = LOST[4, penalty]
    assert lost_sales_policy(poisson(5), 4, 1.0, penalty, level) == pytest.approx(base, abs=6e-3)


@pytest.mark.parametrize("instance", LOST)
def test_lost_sales_of_simple_policies(instance: tuple[int, int]) -> None:
    lead_time, penalty = instance
    optimal, base, level, capped, capped_level, cap = LOST[instance]
    demand = poisson(5)
    cost = lost_sales_policy(demand, lead_time, 1.0, penalty, capped_level, cap)
    assert cost == pytest.approx(capped, abs=6e-3) and cost > optimal
    if lead_time < 4:
        cost = lost_sales_policy(demand, lead_time, 1.0, penalty, level)
        assert cost == pytest.approx(base, abs=6e-3)
        around = [lost_sales_policy(demand, lead_time, 1.0, penalty, level + i) for i in (-1, 1)]
        assert min(around) > cost


@pytest.mark.parametrize("instance", [(1, 4), (1, 39), (2, 9), (3, 39), (4, 9)])
def test_best_capped_base_stock(instance: tuple[int, int]) -> None:
    lead_time, penalty = instance
    *_, capped, level, cap = LOST[instance]
    found = best_capped_base_stock(poisson(5), lead_time, 1.0, penalty)
    assert found[1:] == (level, cap) and found[0] == pytest.approx(capped, abs=6e-3)


@given(st.floats(0.5, 3.0), st.integers(1, 2), st.floats(1.0, 30.0))
@settings(max_examples=15, deadline=None)
def test_lost_sales_cost_no_more_than_backlog_and_no_less_than_the_shortest_lead_time(
    mean: float, lead_time: int, penalty: float
) -> None:
    demand = poisson(mean)
    cost = lost_sales(demand, lead_time, 1.0, penalty)
    assert cost <= base_stock(demand, lead_time, 1.0, penalty).cost + 1e-4
    assert cost >= newsvendor(demand, 1.0, penalty).cost - 1e-4
    assert cost <= penalty * mean + 1e-4  # never ordering


# ------------------------------------------------------------------------------------------ simulation
def test_simulation_agrees_with_the_optima() -> None:
    kernel: Any = make_kernel(SingleStore, preset="L4-p9", actions="orders")
    found = optimum(kernel)
    simulated = simulate_base_stock(kernel, [found.levels[0] - 3, found.levels[0], found.levels[0] + 3])
    costs = list(simulated.values())
    assert costs[1].cost == pytest.approx(found.cost, abs=4 * costs[1].error)
    assert min(costs[0].cost, costs[2].cost) > costs[1].cost + 4 * costs[1].error
    lost: Any = make_kernel(LostSales, preset="L2-p4", actions="orders")
    simulated = simulate_base_stock(lost, range(13, 20))
    best = min(simulated, key=lambda level: simulated[level].cost)
    assert best == 16
    assert simulated[16].cost == pytest.approx(
        lost_sales_policy(poisson(5), 2, 1.0, 4.0, 16), abs=4 * simulated[16].error
    )
    capped = simulate_base_stock(lost, [17], cap=5)[17]
    assert capped.cost == pytest.approx(LOST[2, 4][3], abs=4 * capped.error)


def test_no_echelon_level_nearby_is_better_in_simulation() -> None:
    kernel: Any = make_kernel(SerialSystem, lead_times=(1, 2), holdings=(1.0, 0.4), actions="orders")
    found = optimum(kernel)
    costs = {}
    for shift in ((0.0, 0.0), (2.0, 2.0), (-2.0, 0.0), (0.0, -3.0), (2.0, 0.0)):
        levels = torch.tensor(found.levels, dtype=torch.float32) + torch.tensor(shift)

        def policy(state: Any, levels: Any = levels) -> torch.Tensor:
            return (levels - state.inventory.sum(-1).cumsum(1)).clamp_min(0)

        costs[shift] = simulate_cost(kernel, policy, copies=2048)
    here = costs[0.0, 0.0]
    assert here.cost == pytest.approx(found.cost, abs=4 * here.error)
    assert all(other.cost > here.cost - 4 * here.error for other in costs.values())


# -------------------------------------------------------------------------------------------- dispatch
def test_optimal_costs_of_kernels() -> None:
    assert optimal_cost(make_kernel(LostSales, preset="L3-p9")) == pytest.approx(6.531, abs=1e-3)
    profit = LostSalesParams(lead_time=3, penalty=9.0, profit=True)
    assert optimal_cost(profit) == pytest.approx(6.531 - 45, abs=1e-3)
    assert optimal_cost(SingleStoreParams(distribution="poisson", lead_time=1)) == pytest.approx(5.869, abs=1e-3)
    # Clipping demand at 0 changes the optimum of N(5, 1.6) by less than 0.1 %.
    assert optimal_cost(SingleStoreParams()) == pytest.approx(6.279, rel=1e-3)


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (LotSizing(), r"LotSizing: no optimum is known"),
        (ManyStores(), r"ManyStores: no optimum is known"),
        (LostSalesParams(distribution="normal"), r"distribution='normal'.*poisson"),
        (LostSalesParams(lead_time=7), r"lead_time=7 makes a table"),
        (SingleStoreParams(sd=0.0), r"sd=0.0 must be a finite number above 0"),
        (SingleStoreParams(holding=0.0), r"holding.*=\(?0.0"),
        (TransshipmentParams(lost=True, clip=True), r"lost=True"),
        (TransshipmentParams(clip=True), r"clip=True"),
        (TransshipmentParams(penalties=(4.0, 4.0, 4.0, 4.0, 5.0)), r"penalties=.*alike"),
        (TransshipmentParams(lead_times=(1, 2, 2, 2, 2)), r"lead_times=.*alike"),
    ],
)
def test_what_is_not_known_is_said(problem: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        optimal_cost(problem)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: newsvendor(norm(5, 1), 0.0, 1.0), r"holding=0.0 must be a finite number above 0"),
        (lambda: newsvendor(5.0, 1.0, 1.0), r"demand=5.0 must be a frozen distribution"),
        (lambda: base_stock(norm(5, 1), -1, 1.0, 1.0), r"lead_time=-1 must be an integer of at least 0"),
        (lambda: base_stock(norm(5, 1), 1, 1.0, math.nan), r"penalty=nan"),
        (lambda: reorder_point(norm(5, 1), 1.0, 1.0, 1.0), r"demand must be discrete"),
        (lambda: reorder_point(poisson(5), -1.0, 1.0, 1.0), r"fixed_cost=-1.0"),
        (lambda: serial_system(norm(5, 1), (1, 2), (1.0,), 9.0), r"holdings=\(1.0,\) must have one entry"),
        (lambda: serial_system(norm(5, 1), (1,), (1.0,), 9.0, convention="x"), r"convention='x' must be"),
        (lambda: lost_sales(norm(5, 1), 1, 1.0, 9.0), r"demand must be a discrete"),
        (lambda: lost_sales(poisson(5), 0, 1.0, 9.0), r"lead_time=0 must be an integer of at least 1"),
        (lambda: lost_sales_policy(poisson(5), 1, 1.0, 9.0, -1), r"level=-1 must be"),
        (lambda: lost_sales_policy(poisson(5), 1, 1.0, 9.0, 5, -2), r"cap=-2 must be"),
        (lambda: simulate_base_stock(SingleStore(), [3]), r"actions='scaled'"),
        (lambda: simulate_cost(SingleStore(), lambda state: None, copies=1), r"copies=1 must be"),
    ],
)
def test_bad_arguments(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
