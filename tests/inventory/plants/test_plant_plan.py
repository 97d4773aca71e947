"""The rolling plan of a plant: optimal among its schedules by enumeration through the kernel, and priced exactly."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from rlsuite.inventory.plants.plant_plan import PlannedPlant
from rlsuite.inventory.plants.plant_rules import GreedyPlant, PlantRule
from rlsuite_envs.inventory.plants.lot_sizing import LotSizing, LotSizingParams, LotSizingState

PERIODS = 4


class FinitePlan(PlannedPlant):
    """A plan that ends with its blocks: nothing counts after them."""

    def _worth(self) -> np.ndarray:
        return np.zeros((self.items, self.machines + 1, self.kernel.params.capacity + 1))


def plant(seed: int, **kwargs: Any) -> LotSizing:
    """One machine, two items (or two and two), demand that is always the same."""
    rng = np.random.default_rng(seed)
    machines = 1 + seed % 2
    shape = (machines, 2)
    fields: dict[str, Any] = {
        "production": tuple(map(tuple, rng.integers(4, 20, shape).tolist())),
        "setup_costs": tuple(map(tuple, rng.integers(1, 12, shape).tolist())),
        "setup_losses": tuple(map(tuple, rng.integers(0, 3, shape).tolist())),
        "lost_sales_costs": (1.1, 0.6),
        "initial_inventory": (0.0, 0.0),
        "initial_setups": (1,) * machines,
        "demand": "pmf",
        "demand_parameters": ((3,), (1.0,)),
        "horizon": PERIODS,
    }
    return LotSizing(LotSizingParams(**{**fields, **kwargs}), dtype=torch.float64)


def start_of(kernel: LotSizing, seed: int, high: int = 8) -> LotSizingState:
    """Little stock and random set-ups."""
    rng = torch.Generator().manual_seed(seed)
    start = kernel.initial_state(1, rng)
    stock = torch.randint(0, high, (1, kernel.num_items), generator=rng).double()
    return LotSizingState(stock, start.setups, start.demand, start.lost, start.setup_cost)


def costs(kernel: LotSizing, start: LotSizingState, plans: np.ndarray) -> np.ndarray:
    """What plans [N, T, M] cost in the plant itself, [N]."""
    num = len(plans)
    state = LotSizingState(*(x.repeat_interleave(num, 0) for x in vars(start).values()))
    total, demand = np.zeros(num), torch.full((num, 2), 3.0, dtype=torch.float64)
    for t in range(PERIODS):
        state, reward, _ = kernel.advance(state, torch.tensor(plans[:, t]), demand)
        total -= reward.numpy()
    return total


def one_run_each(machines: int) -> np.ndarray:
    """All plans [N, T, M] in which an item is made in one run on one machine, or never."""
    spans = itertools.combinations(range(PERIODS + 1), 2)
    runs = [None, *((m, *span) for span in spans for m in range(machines))]
    plans = []
    for choice in itertools.product(runs, repeat=2):
        layers = np.zeros((2, PERIODS, machines), dtype=np.int64)
        for item, run in enumerate(choice):
            if run is not None:
                layers[item, run[1] : run[2], run[0]] = item + 1
        if not (layers > 0).all(0).any():
            plans.append(layers.sum(0))
    return np.stack(plans)


@pytest.mark.parametrize("seed", range(8))
def test_plans_are_as_cheap_as_the_best_of_all(seed: int) -> None:
    kernel = plant(seed)
    start = start_of(kernel, seed)
    planner = FinitePlan(kernel, blocks=(1,) * PERIODS, discount=1 - 1e-6, gap=0.0, time_limit=30.0)
    stock, setups = start.inventory[0].numpy(), start.setups[0].numpy()
    schedules = planner.schedules(stock, setups)
    value = schedules.cost[planner.choose(schedules)].sum()
    best = costs(kernel, start, one_run_each(kernel.num_machines)).min()
    assert value == pytest.approx(best, abs=1e-3)
    # Carried out, machines with nothing to do go on: that costs holding at most, and may save lost sales.
    assert costs(kernel, start, planner.plan(stock, setups)[None])[0] <= best + 0.01 * 20 * PERIODS**2


@pytest.mark.parametrize("seed", range(4))
def test_plans_where_holding_is_free_lose_to_no_other_plan(seed: int) -> None:
    """Among all plans whatever: with stock for some periods, one run per item is enough."""
    kernel = plant(seed, holding_costs=0.0)
    start = start_of(kernel, seed)
    planner = FinitePlan(kernel, blocks=(1,) * PERIODS, discount=1 - 1e-6, gap=0.0, time_limit=30.0)
    planned = planner.plan(start.inventory[0].numpy(), start.setups[0].numpy())
    actions = list(itertools.product(range(3), repeat=kernel.num_machines))
    plans = np.array(list(itertools.product(actions, repeat=PERIODS)))
    best = costs(kernel, start, plans).min()
    assert costs(kernel, start, planned[None])[0] == pytest.approx(best, abs=1e-3)


def test_schedules_cost_what_random_demand_makes_them_cost() -> None:
    discount, num = 0.9, 20_000
    kernel = plant(
        0,
        production=((9.0, 0.0),),
        initial_setups=(1,),
        capacity=12,
        demand="poisson",
        demand_parameters=(4.0,),
        lost_sales_costs=(2.0, 0.0),
        holding_costs=(0.1, 0.0),
    )
    planner = FinitePlan(kernel, blocks=(1, 2, 1), discount=discount)
    start = LotSizingState(
        torch.full((num, 2), 5.0, dtype=torch.float64),
        torch.zeros((num, 1), dtype=torch.int64),
        *[torch.zeros((num, 2), dtype=torch.float64)] * 2,
        torch.zeros(num, dtype=torch.float64),
    )
    schedules = planner.schedules(np.array([5.0, 5.0]), np.array([0]))
    checked = 0
    for c, item, used in zip(schedules.cost, schedules.item, schedules.used, strict=True):
        if item == 0:
            rng, state, total = torch.Generator().manual_seed(0), start, torch.zeros(num).double()
            for t, makes in enumerate(np.repeat(used[0], planner.blocks)):
                action = torch.full((num, 1), int(makes))
                state, reward, _ = kernel.advance(state, action, kernel.sample_exogenous(state, rng))
                total -= discount**t * reward
            error = float(total.std()) / num**0.5
            assert abs(float(total.mean()) - c) < 4 * error
            checked += 1
    assert checked >= 4


def test_plans_keep_to_blocks_and_never_lose_to_keeping() -> None:
    planner = PlannedPlant("rlsuite/LotSizing-15x5-v0", blocks=(1, 2, 3))
    hurried = PlannedPlant("rlsuite/LotSizing-15x5-v0", blocks=(1, 2, 3), time_limit=1e-9)
    rng = np.random.default_rng(0)
    gains = []
    for _ in range(10):
        stock = rng.integers(0, 60, planner.items).astype(float)
        setups = np.array([rng.choice(np.flatnonzero(row > 0)) + 1 for row in planner.production])
        plan = planner.plan(stock, setups)
        assert plan.shape == (6, planner.machines)
        assert (plan[1] == plan[2]).all() and (plan[3] == plan[4]).all() and (plan[4] == plan[5]).all()
        schedules = planner.schedules(stock, setups)
        keeping = schedules.cost[schedules.keeping()].sum()
        for rule in (planner, hurried):
            chosen = rule.choose(schedules)
            assert (np.sort(schedules.item[chosen]) == np.arange(planner.items)).all()
            assert schedules.used[chosen].sum(0).max() <= 1
            gains.append(keeping - schedules.cost[chosen].sum())
    assert min(gains) >= 0 and max(gains) > 10


def test_machines_are_worth_nothing_where_there_are_enough_and_much_where_one_is_short() -> None:
    tables = {name: ((value,) * 2,) * 3 for name, value in (("production", 9.0), ("setup_losses", 0.0))}
    many = plant(0, **tables, setup_costs=((1.0, 1.0),) * 3, initial_setups=(1, 1, 1))
    assert PlannedPlant(many).prices == pytest.approx(0.0, abs=1e-9)
    scarce = plant(0, production=((3.0, 3.0),), setup_costs=((1e6, 1e6),), setup_losses=((0.0, 0.0),))
    assert PlannedPlant(scarce, discount=0.9).prices[0] == 0.0  # no change-over ever pays
    free = plant(0, production=((3.0, 3.0),), setup_costs=((0.0, 0.0),), setup_losses=((0.0, 0.0),))
    # The machine makes what one item sells; the other, at 0.6 a unit, bids for it.
    assert PlannedPlant(free).prices[0] == pytest.approx(0.6 * 3, abs=0.1)


def test_planning_beats_the_greedy_rule() -> None:
    kernel = LotSizing(LotSizing.presets["15x5"])

    def returns(rule: PlantRule) -> np.ndarray:
        rng = torch.Generator().manual_seed(5)
        state, total, memory = kernel.initial_state(3, rng), np.zeros(3), None
        for _ in range(40):
            action, memory = rule.predict(kernel.observe(state).numpy(), memory)
            state, reward, _ = kernel.advance(state, torch.tensor(action), kernel.sample_exogenous(state, rng))
            total += reward.numpy()
        return total

    assert (returns(PlannedPlant(kernel)) > returns(GreedyPlant(kernel))).all()


def test_plans_are_carried_out_for_replan_periods() -> None:
    kernel = plant(1)
    planner = PlannedPlant(kernel, blocks=(1, 1, 2), replan=2)
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
    action, _ = planner.predict(obs[0])
    assert action.shape == (2,)
    stock, setups = planner.read(obs)
    assert (planner.decide(stock, setups)[0] == action).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"blocks": (1, 0)}, r"blocks=\(1, 0\)"),
        ({"blocks": ()}, "blocks"),
        ({"blocks": (1, 2), "replan": 4}, "replan=4"),
        ({"discount": 1.0}, "discount=1.0"),
        ({"time_limit": 0.0}, "time_limit=0.0"),
        ({"gap": 1.0}, "gap=1.0"),
    ],
)
def test_bad_values(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PlannedPlant(plant(0), **wrong)
