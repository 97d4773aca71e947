"""The rolling plan of a plant is optimal where demand is known, by enumeration through the kernel."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from rlsuite.inventory.plant_plan import PlannedPlant
from rlsuite_envs.inventory.lot_sizing import LotSizing, LotSizingParams, LotSizingState

PERIODS = 4


def plant(seed: int) -> LotSizing:
    """One machine, two items (or two and two), demand that is always the same."""
    rng = np.random.default_rng(seed)
    machines = 1 + seed % 2
    shape = (machines, 2)
    return LotSizing(
        LotSizingParams(
            production=tuple(map(tuple, rng.integers(4, 20, shape).tolist())),
            setup_costs=tuple(map(tuple, rng.integers(1, 12, shape).tolist())),
            setup_losses=tuple(map(tuple, rng.integers(0, 3, shape).tolist())),
            lost_sales_costs=(1.1, 0.6),
            initial_inventory=(0.0, 0.0),
            initial_setups=(1,) * machines,
            demand="pmf",
            demand_parameters=((3,), (1.0,)),
            horizon=PERIODS,
        ),
        dtype=torch.float64,
    )


def cost(kernel: LotSizing, state: LotSizingState, plan: np.ndarray) -> float:
    """What a plan [T, M] costs in the plant itself."""
    total = 0.0
    for action in plan:
        demand = torch.full((1, 2), 3.0, dtype=torch.float64)
        state, reward, _ = kernel.advance(state, torch.tensor(action)[None], demand)
        total -= float(reward[0])
    return total


@pytest.mark.parametrize("seed", range(6))
def test_plans_are_as_cheap_as_the_best_of_all(seed: int) -> None:
    kernel = plant(seed)
    rng = torch.Generator().manual_seed(seed)
    start = kernel.initial_state(1, rng)
    stock = torch.randint(0, 8, (1, 2), generator=rng).double()
    start = LotSizingState(stock, start.setups, start.demand, start.lost, start.setup_cost)
    planner = PlannedPlant(kernel, horizon=PERIODS, replan=1, gap=0.0, time_limit=30.0)
    planned = planner.plan(stock[0].numpy(), start.setups[0].numpy())
    per_period = list(itertools.product(range(3), repeat=kernel.num_machines))
    best = min(cost(kernel, start, np.array(plan)) for plan in itertools.product(per_period, repeat=PERIODS))
    assert cost(kernel, start, planned) == pytest.approx(best, abs=1e-3)


def test_plans_are_carried_out_for_replan_periods() -> None:
    kernel = plant(1)
    planner = PlannedPlant(kernel, horizon=4, replan=2)
    made: list[int] = []
    original = planner.plan
    planner.plan = lambda *args: (made.append(1), original(*args))[1]  # type: ignore[method-assign]
    obs = kernel.observe(kernel.initial_state(3, torch.Generator().manual_seed(0))).numpy()
    memory = None
    for _ in range(4):
        action, memory = planner.predict(obs, memory)
        assert action.shape == (3, 2)
    assert len(made) == 3 * 2
    _, memory = planner.predict(obs, memory, episode_start=np.array([True, True, False]))
    assert len(made) == 6 + 3  # two start anew, one had used its plan up


def test_bad_values() -> None:
    kernel = plant(0)
    with pytest.raises(ValueError, match="replan=5"):
        PlannedPlant(kernel, horizon=4, replan=5)
    with pytest.raises(ValueError, match="time_limit"):
        PlannedPlant(kernel, time_limit=0)
