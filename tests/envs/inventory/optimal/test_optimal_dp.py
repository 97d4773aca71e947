"""Finite problems: against enumerating every policy, and as exact oracles of kernels small enough to tabulate."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson
from torch import Tensor

from rlsuite_envs.inventory.optimal.optimal_dp import (
    FiniteProblem,
    lost_sales,
    solve_average,
    solve_finite,
    tabulate,
)
from rlsuite_envs.inventory.optimal.optimal_simulation import simulate_cost
from rlsuite_envs.inventory.plants.lot_sizing import LotSizing, LotSizingState
from rlsuite_envs.inventory.stores.stores import LostSales, StoreState
from rlsuite_envs.kernel import make_kernel

torch.set_num_threads(1)


def random_problem(seed: int, states: int = 3, actions: int = 2) -> FiniteProblem:
    rng = np.random.default_rng(seed)
    return FiniteProblem(rng.dirichlet(np.ones(states), (actions, states)), rng.normal(size=(actions, states)))


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_best_mean_reward_is_that_of_the_best_policy(seed: int) -> None:
    problem = random_problem(seed)
    gains = {}
    for policy in itertools.product(range(2), repeat=3):
        chain = problem.transitions[list(policy), range(3)]
        # The stationary distribution: left null vector of P - 1, adding up to 1.
        system = np.vstack((chain.T - np.eye(3), np.ones(3)))
        weights = np.linalg.lstsq(system, np.array([0, 0, 0, 1.0]), rcond=None)[0]
        gains[policy] = weights @ problem.rewards[list(policy), range(3)]
    gain, actions = solve_average(problem, 1e-9)
    assert gain == pytest.approx(max(gains.values()), abs=1e-8)
    assert gains[tuple(actions.tolist())] == pytest.approx(gain, abs=1e-8)


@given(st.integers(0, 10_000), st.sampled_from([1.0, 0.9]))
@settings(max_examples=20, deadline=None)
def test_best_values_are_those_of_the_best_plan(seed: int, discount: float) -> None:
    problem, horizon = random_problem(seed, states=2), 3
    best = np.full(2, -np.inf)
    for plan in itertools.product(itertools.product(range(2), repeat=2), repeat=horizon):
        value = np.zeros(2)
        for policy in reversed(plan):
            chain = problem.transitions[list(policy), range(2)]
            value = problem.rewards[list(policy), range(2)] + discount * chain @ value
        best = np.maximum(best, value)
    values, actions = solve_finite(problem, horizon, discount)
    np.testing.assert_allclose(values[0], best)
    assert actions.shape == (horizon, 2) and not values[horizon].any()


def test_cycles_settle() -> None:
    # Two states that alternate, with rewards 0 and 2.
    problem = FiniteProblem(np.array([[[0, 1.0], [1, 0]]]), np.array([[0.0, 2.0]]))
    assert solve_average(problem)[0] == pytest.approx(1.0, abs=1e-5)


# ------------------------------------------------------------------------------- a store with lost sales
def test_a_tabulated_store_costs_what_the_recurrence_says() -> None:
    """Lead time 1: the kernel's own steps, solved as a finite problem, against the table of lost sales."""
    kernel = make_kernel(
        LostSales,
        mean=2.0,
        lead_time=1,
        penalty=9.0,
        initial_slots=1,
        actions="orders",
        dtype="float64",
    )
    most = 14
    stock = torch.arange(most + 1, dtype=torch.float64)
    zeros = torch.zeros(most + 1, dtype=torch.float64)
    states = StoreState(torch.stack((stock, zeros), 1), zeros, zeros, zeros)
    demand = torch.arange(25, dtype=torch.float64)[:, None]
    chances = torch.tensor(poisson.pmf(np.arange(25), 2.0))
    problem = tabulate(
        kernel,
        states,
        stock[:, None],
        demand,
        chances / chances.sum(),
        key=lambda state: state.inventory[:, :1],
        allowed=stock[:, None] + stock[None, :] <= most,
    )
    gain, actions = solve_average(problem, 1e-7)
    assert -gain == pytest.approx(lost_sales(poisson(2.0), 1, 1.0, 9.0, tolerance=1e-7), abs=1e-5)
    # Orders fall with the stock, by no more than the stock rises.
    assert (np.diff(actions) <= 0).all() and (np.diff(actions) >= -1).all()


# ------------------------------------------------------------------------------------ a tiny plant
CAPACITY = 5
TINY: dict[str, Any] = {
    "production": ((3, 4),),
    "setup_costs": ((2.0, 1.5),),
    "setup_losses": ((1, 1),),
    "lost_sales_costs": (1.1, 0.7),
    "holding_costs": 0.05,
    "capacity": CAPACITY,
    "demand": "pmf",
    "demand_parameters": ((0, 1, 2), (0.3, 0.4, 0.3)),
    "initial_inventory": (3, 0),
    "initial_setups": (0,),
    "dtype": "float64",
}


def key(state: LotSizingState) -> Tensor:
    return torch.cat((state.inventory, state.setups.to(state.inventory)), dim=1)


def index(state: LotSizingState) -> Tensor:
    """Row of the state in `tiny_problem`."""
    digits = key(state).long()
    return (digits[:, 0] * (CAPACITY + 1) + digits[:, 1]) * 3 + digits[:, 2]


@pytest.fixture(scope="module")
def tiny() -> tuple[LotSizing, FiniteProblem]:
    kernel = make_kernel(LotSizing, **TINY)
    rows = torch.tensor(list(itertools.product(range(CAPACITY + 1), range(CAPACITY + 1), range(3))))
    stock, zeros = rows[:, :2].double(), torch.zeros(len(rows), 2, dtype=torch.float64)
    states = LotSizingState(stock, rows[:, 2:], zeros, zeros, zeros[:, 0])
    demands = torch.cartesian_prod(torch.arange(3), torch.arange(3)).double()
    chances = torch.tensor([0.3, 0.4, 0.3], dtype=torch.float64)
    weights = (chances[:, None] * chances).flatten()
    return kernel, tabulate(kernel, states, torch.arange(3)[:, None], demands, weights, key)


def test_tabulated_steps_by_hand(tiny: tuple[LotSizing, FiniteProblem]) -> None:
    _, problem = tiny
    # Stock (1, 0), idle; make item 1: 2 - 1 more for 2.0. From (3, 0) demand 0..2 each leaves (3 - d, 0).
    start = (1 * 6 + 0) * 3
    expected = {(left * 6 + 0) * 3 + 1: chance for left, chance in ((3, 0.3), (2, 0.4), (1, 0.3))}
    row = problem.transitions[1, start]
    assert {int(i): pytest.approx(row[i]) for i in row.nonzero()[0]} == expected
    assert problem.rewards[1, start] == pytest.approx(-(2.0 + 0.7 * 1.0 + 0.05 * 2.0))
    assert (problem.transitions.sum(2) == pytest.approx(1.0)) and problem.transitions.shape == (3, 108, 108)


def by_table(actions: np.ndarray) -> Any:
    table = torch.tensor(actions)
    return lambda state: table[index(state)][:, None]


def test_the_optimal_policy_costs_its_value_and_nothing_is_better(
    tiny: tuple[LotSizing, FiniteProblem],
) -> None:
    kernel, problem = tiny
    gain, actions = solve_average(problem)
    best = simulate_cost(kernel, by_table(actions), copies=1000, periods=300)
    assert best.cost == pytest.approx(-gain, abs=4 * best.error)
    rng = torch.Generator().manual_seed(3)
    rules: dict[str, Any] = {
        "idle": lambda state: torch.zeros_like(state.setups),
        "keep": lambda state: state.setups,
        "random": lambda state: torch.randint(3, state.setups.shape, generator=rng),
        "item 1": lambda state: torch.ones_like(state.setups),
        "item 2": lambda state: torch.full_like(state.setups, 2),
        "emptier": lambda state: 1 + (state.inventory[:, 1:] < state.inventory[:, :1]).long(),
    }
    random = np.random.default_rng(0)
    for i in range(8):
        # Random tables, and the best one with a few random entries.
        table = (
            random.integers(3, size=108)
            if i < 4
            else np.where(random.random(108) < 0.15, random.integers(3, size=108), actions)
        )
        rules[f"table {i}"] = by_table(table)
    for name, rule in rules.items():
        other = simulate_cost(kernel, rule, copies=500, periods=150)
        assert other.cost > -gain - 4 * other.error, name
    assert simulate_cost(kernel, rules["random"], copies=200).cost > -1.3 * gain


def test_an_episodes_value_is_reached_and_not_passed(tiny: tuple[LotSizing, FiniteProblem]) -> None:
    _, problem = tiny
    kernel = make_kernel(LotSizing, **TINY, start="stored", horizon=20)
    values, plan = solve_finite(problem, 20)
    plans = torch.tensor(plan)
    rng = torch.Generator().manual_seed(5)
    totals = {}
    for name in ("plan", "first step's rule"):
        state = kernel.initial_state(4000, rng)
        start = int(index(state)[0])
        total = torch.zeros(4000, dtype=torch.float64)
        for t in range(20):
            action = plans[t if name == "plan" else 0][index(state)][:, None]
            state, reward, _ = kernel.advance(state, action, kernel.sample_exogenous(state, rng))
            total += reward
        totals[name] = total
    error = totals["plan"].std().item() / 4000**0.5
    assert totals["plan"].mean().item() == pytest.approx(values[0, start], abs=4 * error)
    assert totals["first step's rule"].mean().item() < values[0, start] + 4 * error


# ---------------------------------------------------------------------------------------------- bad input
def test_problems_that_are_none() -> None:
    even = np.full((1, 2, 2), 0.5)
    with pytest.raises(ValueError, match=r"shape \(1, 2, 2\) and rewards \(1, 3\)"):
        FiniteProblem(even, np.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"a row adds up to 2"):
        FiniteProblem(2 * even, np.zeros((1, 2)))
    with pytest.raises(ValueError, match=r"every state needs an action"):
        FiniteProblem(even, np.array([[0.0, -np.inf]]))
    with pytest.raises(ValueError, match=r"a process that ends"):
        solve_average(FiniteProblem(0.5 * even, np.zeros((1, 2))))
    with pytest.raises(ValueError, match=r"is every state reachable"):
        solve_average(FiniteProblem(np.eye(2)[None], np.array([[0.0, 1.0]])))
    with pytest.raises(ValueError, match=r"horizon=0"):
        solve_finite(FiniteProblem(even, np.zeros((1, 2))), 0)
    with pytest.raises(ValueError, match=r"discount=1.5"):
        solve_finite(FiniteProblem(even, np.zeros((1, 2))), 3, 1.5)


def test_states_that_cannot_be_tabulated() -> None:
    kernel = make_kernel(LotSizing, **TINY)
    state = kernel.initial_state(1, torch.Generator().manual_seed(0))
    demand, sure = torch.zeros(1, 2, dtype=torch.float64), torch.ones(1)
    with pytest.raises(ValueError, match=r"Action \[1\] leads out of the given states"):
        tabulate(kernel, state, torch.tensor([[1]]), demand, sure, lambda s: s.inventory)
    twice = LotSizingState(*(x.repeat(2, *[1] * (x.ndim - 1)) for x in vars(state).values()))
    with pytest.raises(ValueError, match=r"key tells only 1 of 2 states apart"):
        tabulate(kernel, twice, torch.tensor([[0]]), demand, sure, key)
