"""Lot sizing: steps by hand, returns of simple rules, the instances, random starts, bad input."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.stats import chisquare
from torch import Tensor

from rlsuite_envs.inventory.plants.lot_sizing import LotSizing, LotSizingParams, LotSizingState
from rlsuite_envs.inventory.plants.lot_sizing_instances import INSTANCES
from rlsuite_envs.kernel import make_kernel, tree_items, tree_map

torch.set_num_threads(1)
NAMES = sorted(INSTANCES)

SMALL: dict[str, Any] = {
    "production": ((12, 0), (5, 30)),
    "setup_costs": ((20, 16), (15, 18)),
    "setup_losses": ((2, 3), (1, 1)),
    "lost_sales_costs": (0.1, 1.1),
    "capacity": 40,
    "initial_inventory": (10, 4),
    "initial_setups": (1, 0),
    "start": "stored",
}


def small(**changes: Any) -> LotSizing:
    return make_kernel(LotSizing, dtype="float64", **{**SMALL, **changes})


def tensor(*values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def step(kernel: LotSizing, state: Any, action: tuple[int, ...], demand: tuple[float, ...]) -> Any:
    """One step of one row: post-decision state, its reward, next state, its reward."""
    post, first = kernel.post_decision(state, torch.tensor([action]))
    after, second, terminated = kernel.transition(post, tensor(demand))
    assert second is not None and not terminated.any()
    return post, first.item(), after, second.item()


def start(kernel: LotSizing) -> LotSizingState:
    return kernel.initial_state(1, torch.Generator().manual_seed(0))


def test_change_overs_lost_sales_overflow_and_restart_by_hand() -> None:
    kernel = small()
    state = start(kernel)
    assert state.inventory.tolist() == [[10, 4]] and state.setups.tolist() == [[1, 0]]
    # Machine 1 goes on with item 1 (+12); machine 2 starts item 2 for 18 and loses 1 of 30.
    post, setup, state, rest = step(kernel, state, (1, 2), (3, 50))
    assert post.inventory.tolist() == [[22, 33]] and post.setups.tolist() == [[1, 2]]
    assert setup == -18
    # 33 - 50 < 0: 17 units of item 2 are lost; 19 of item 1 are held.
    assert state.inventory.tolist() == [[19, 0]] and state.lost.tolist() == [[0, 17]]
    assert rest == pytest.approx(-(17 * 1.1 + 19 * 0.01))
    # Both go on; item 2 is above its capacity before demand, but not after.
    post, setup, state, rest = step(kernel, state, (1, 2), (0, 8))
    assert post.inventory.tolist() == [[31, 30]] and setup == 0
    assert state.inventory.tolist() == [[31, 22]] and rest == pytest.approx(-0.53)
    # Item 1: 31 + 12 - 1 = 42 is cut to 40; item 2: 22 + 30 - 12 = 40 just fits, though 52 did not.
    post, setup, state, rest = step(kernel, state, (1, 2), (1, 12))
    assert post.inventory.tolist() == [[43, 52]]
    assert state.inventory.tolist() == [[40, 40]] and rest == pytest.approx(-0.8)
    # Machine 1 idles and forgets; machine 2 changes to item 1 for 15, making 5 - 1.
    post, setup, state, rest = step(kernel, state, (0, 1), (10, 10))
    assert post.inventory.tolist() == [[44, 40]] and post.setups.tolist() == [[0, 1]] and setup == -15
    assert state.inventory.tolist() == [[34, 30]] and rest == pytest.approx(-0.64)
    # The restart of machine 1 on the same item costs 20 and loses 2; both machines make item 1.
    post, setup, state, rest = step(kernel, state, (1, 1), (30, 0))
    assert post.inventory.tolist() == [[49, 30]] and setup == -20
    assert state.inventory.tolist() == [[19, 30]] and rest == pytest.approx(-0.49)
    # Machine 1 is told to make what it cannot: 16 and a loss of 3, which counts as demand that is not met.
    empty = dataclasses.replace(state, inventory=tensor([0, 0]))
    post, setup, state, rest = step(kernel, empty, (2, 1), (0, 2))
    assert post.inventory.tolist() == [[5, -3]] and setup == -16
    assert state.inventory.tolist() == [[5, 0]] and state.lost.tolist() == [[0, 5]]
    assert rest == pytest.approx(-(5 * 1.1 + 0.05))


def test_info_by_hand() -> None:
    kernel = small()
    *_, state, _ = step(kernel, start(kernel), (1, 2), (3, 50))
    info = {name: value.item() for name, value in kernel.info(state).items()}
    assert info == pytest.approx(
        {
            "setup_cost": 18,
            "lost_sales_cost": 18.7,
            "holding_cost": 0.19,
            "fill_rate": 1 - 17 / 53,
            "busy_machines": 2,
        }
    )
    assert kernel.info(start(kernel))["fill_rate"].item() == 1.0


def test_observations_by_hand() -> None:
    kernel = small()
    state = start(kernel)
    assert kernel.observe(state)[0].tolist() == pytest.approx([0.25, 0.1, 0, 1, 0, 1, 0, 0])
    post, *_ = step(kernel, state, (0, 2), (0, 0))
    assert kernel.observe_post(post)[0].tolist() == pytest.approx([0.25, 0.825, 1, 0, 0, 0, 0, 1])
    raw = small(observe="inventory")
    assert raw.observe(state).tolist() == [[10, 4]]
    assert raw.observe_post(post).tolist() == [[10, 33]]
    for seen in (kernel, raw):
        assert seen.observation_space.contains(seen.observe_post(post)[0].numpy())
    observed = raw.observe(state)
    observed += 1  # a caller's own copy
    assert state.inventory.tolist() == [[10, 4]]


def test_masks() -> None:
    kernel = small()
    mask = kernel.action_mask(start(kernel))
    assert mask is not None and mask.tolist() == [[True, True, False, True, True, True]]
    assert small(mask="all").action_mask(start(kernel)) is None


def test_reward_scale() -> None:
    rewards = []
    for scale in (1.0, 0.01):
        kernel = small(reward_scale=scale)
        _, first, _, second = step(kernel, start(kernel), (2, 2), (3, 50))
        rewards.append((first, second))
    assert rewards[1] == pytest.approx((0.01 * rewards[0][0], 0.01 * rewards[0][1]))


@given(st.lists(st.integers(0, 15), min_size=5, max_size=5), st.integers(0, 2**20))
@settings(max_examples=40, deadline=None)
def test_units_are_conserved_and_costs_add_up(action: list[int], seed: int) -> None:
    kernel = make_kernel(LotSizing, dtype="float64")
    rng = torch.Generator().manual_seed(seed)
    state = kernel.initial_state(3, rng)
    p = kernel.params
    decision = torch.tensor([action] * 3)
    before = {name: value.clone() for name, value in tree_items(state, "state").items()}
    noise = kernel.sample_exogenous(state, rng)
    after, reward, _ = kernel.advance(state, decision, noise)
    for name, value in tree_items(state, "state").items():
        assert torch.equal(value, before[name])
    made, paid = np.zeros((3, 15)), np.zeros(3)
    for row in range(3):
        for machine, item in enumerate(action):
            if item:
                changed = int(state.setups[row, machine]) != item
                made[row, item - 1] += p.production[machine][item - 1] - changed * p.setup_losses[machine][item - 1]
                paid[row] += changed * p.setup_costs[machine][item - 1]
    discarded = state.inventory.numpy() + made - noise.numpy() + after.lost.numpy() - after.inventory.numpy()
    assert (discarded >= 0).all() and (discarded[after.inventory.numpy() < 100] == 0).all()
    assert not ((after.lost > 0) & (after.inventory > 0)).any()
    info = kernel.info(after)
    np.testing.assert_allclose(info["setup_cost"], paid)
    np.testing.assert_allclose(reward, -(info["setup_cost"] + info["lost_sales_cost"] + info["holding_cost"]))
    decision += 1  # the state has its own copy of the decision
    assert after.setups.tolist() == [action] * 3


# ----------------------------------------------------------------------------------------- simple rules
Rule = Callable[[LotSizingState, torch.Generator], Tensor]


def idle(kernel: LotSizing) -> Rule:
    return lambda state, rng: torch.zeros_like(state.setups)


def keep(kernel: LotSizing) -> Rule:
    return lambda state, rng: state.setups


def uniform(kernel: LotSizing) -> Rule:
    return lambda state, rng: torch.randint(kernel.num_items + 1, state.setups.shape, generator=rng)


def static(kernel: LotSizing) -> Rule:
    """One item per machine, by the largest lost-sales cost times min(8, P)."""
    p = kernel.params
    value = np.array(p.lost_sales_costs) * np.minimum(p.production, 8)
    _, items = linear_sum_assignment(value, maximize=True)
    return lambda state, rng: torch.tensor(items + 1).expand(len(state.setups), -1)


def greedy(kernel: LotSizing) -> Rule:
    """Machine by machine: keep the item unless it has more than 40 units (or the machine idles); then change to the
    item with less than 12 in stock, less than 20 planned and P > 8 of the largest 8 ls min(P - L, 8) - C, if above 0.
    """
    p = kernel.params
    production, losses, costs = (torch.tensor(t) for t in (p.production, p.setup_losses, p.setup_costs))
    gains = 8 * torch.tensor(p.lost_sales_costs) * (production - losses).clamp(max=8) - costs

    def act(state: LotSizingState, rng: torch.Generator) -> Tensor:
        stock = torch.nn.functional.pad(state.inventory, (1, 0), value=math.inf)
        planned, action = stock.clone(), state.setups.clone()
        for machine in range(kernel.num_machines):
            now = state.setups[:, machine : machine + 1]
            free = stock.gather(1, now) > 40
            open_items = (stock[:, 1:] < 12) & (planned[:, 1:] < 20) & (production[machine] > 8)
            best, item = gains[machine].where(open_items, torch.tensor(-math.inf)).max(1, keepdim=True)
            change = free & (best > 0)
            chosen = torch.where(change, item + 1, now)
            made = production[machine][chosen - 1] - losses[machine][chosen - 1] * change
            planned.scatter_add_(1, chosen, made.to(planned))
            action[:, machine : machine + 1] = chosen
        return action

    return act


def returns(kernel: LotSizing, rule: Rule, episodes: int) -> Tensor:
    rng = torch.Generator().manual_seed(11)
    state = kernel.initial_state(episodes, rng)
    total = torch.zeros(episodes)
    for _ in range(kernel.max_episode_steps):
        state, reward, _ = kernel.advance(state, rule(state, rng), kernel.sample_exogenous(state, rng))
        total += reward
    return total


BASELINES = {
    "15x5": (-5655, -4495, -12773, -2126, -1692),
    "20x10": (-7528, -5455, -22255, -1922, -2100),
    "25x10": (-12418, -9573, -27884, -5322, -3193),
    "25x15": (-10925, -7476, -33875, -2525, -2684),
}


@pytest.mark.parametrize("name", NAMES)
def test_simple_rules_earn_what_is_reported(name: str) -> None:
    kernel = make_kernel(LotSizing, preset=name)
    episodes = 300
    for rule, reported in zip((idle, keep, uniform, static), BASELINES[name], strict=False):
        total = returns(kernel, rule(kernel), episodes)
        # The reported means are over 100 episodes of their own: four standard errors of the difference.
        error = total.std().item() * math.sqrt(1 / 100 + 1 / episodes)
        assert total.mean().item() == pytest.approx(reported, abs=4 * error), rule.__name__


@pytest.mark.parametrize("name", NAMES)
def test_the_greedy_rule_earns_what_is_reported(name: str) -> None:
    # The rule is known in words only; this reading of it is within 1 % on three instances, 3.5 % on 25x10.
    kernel = make_kernel(LotSizing, preset=name)
    total = returns(kernel, greedy(kernel), 200)
    assert total.mean().item() == pytest.approx(BASELINES[name][4], rel=0.045 if name == "25x10" else 0.02)


# ------------------------------------------------------------------------------------------- instances
@pytest.mark.parametrize("name", NAMES)
def test_instances_lie_in_their_generators_ranges(name: str) -> None:
    instance = INSTANCES[name]
    items, machines = map(int, name.split("x"))
    tables = [np.array(t) for t in (instance.production, instance.setup_costs, instance.setup_losses)]
    # Range, and the share of entries at its lower end (four standard deviations of that share).
    for table, low, high, share in zip(tables, (0, 15, 1), (40, 30, 3), (0.4, 0.2, 0.7), strict=True):
        assert table.shape == (machines, items)
        assert table.min() == low and table.max() <= high
        error = math.sqrt(share * (1 - share) / table.size)
        assert (table == low).mean() == pytest.approx(share, abs=4 * error)
    assert set(instance.lost_sales_costs) == {0.1, 1.1} and len(instance.lost_sales_costs) == items
    assert len(instance.initial_inventory) == items and set(instance.initial_inventory) <= set(range(51))
    assert len(instance.initial_setups) == machines
    assert set(instance.initial_setups) <= set(range(items + 1))
    kernel = make_kernel(LotSizing, preset=name)
    assert kernel.action_space.nvec.tolist() == [items + 1] * machines
    assert kernel.observation_space.shape == (items + machines * (items + 1),)
    assert kernel.max_episode_steps == 100


def test_some_numbers_of_each_instance() -> None:
    a, b, c, d = (INSTANCES[name] for name in ("15x5", "20x10", "25x10", "25x15"))
    assert a.production[2][5] == 40 and a.setup_costs[4][13] == 22 and a.setup_losses[3][1] == 3
    assert a.initial_setups == (0, 0, 0, 0, 9) and a.lost_sales_costs[4] == 1.1 and a.lost_sales_costs[5] == 0.1
    assert b.production[9][17] == 37 and b.setup_costs[0][19] == 15 and b.initial_inventory[10] == 50
    assert c.production[9][24] == 34 and c.setup_costs[8][23] == 15 and c.initial_setups[2] == 23
    assert d.production[14][9] == 28 and d.setup_losses[13][24] == 2 and d.lost_sales_costs[23] == 1.1


def test_random_starts_are_uniform() -> None:
    kernel = make_kernel(LotSizing)
    state = kernel.initial_state(20_000, torch.Generator().manual_seed(1))
    stock = state.inventory.numpy().astype(int)
    assert chisquare(np.bincount(stock.ravel(), minlength=100)).pvalue > 0.001
    for machine, row in enumerate(kernel.params.production):
        counts = np.bincount(state.setups[:, machine].numpy(), minlength=16)
        possible = np.flatnonzero(np.insert(row, 0, 0))
        assert counts[possible].sum() == 20_000
        assert chisquare(counts[possible]).pvalue > 0.001


def test_stored_starts_are_the_instances() -> None:
    kernel = make_kernel(LotSizing, preset="20x10", start="stored")
    state = kernel.initial_state(2, torch.Generator())
    assert state.inventory.tolist() == [list(INSTANCES["20x10"].initial_inventory)] * 2
    assert state.setups.tolist() == [list(INSTANCES["20x10"].initial_setups)] * 2


# ------------------------------------------------------------------------------------------ bad input
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"production": ()}, r"production=\(\) must be a table"),
        ({"production": ((1, 2), (3,))}, r"production=.*one row per machine"),
        ({"production": ((1, -2), (3, 4))}, r"production=.*at least 0"),
        ({"production": ((1, 2), (0, 0))}, r"production\[1\]=\(0, 0\).*make an item"),
        ({"setup_costs": ((1, 2),)}, r"setup_costs=.*\(2, 2\)"),
        ({"setup_losses": ((1, math.nan), (0, 0))}, r"setup_losses=.*finite"),
        ({"setup_losses": "abc"}, r"setup_losses='abc' must be a table"),
        ({"lost_sales_costs": (0.1,)}, r"lost_sales_costs=.*2 numbers"),
        ({"lost_sales_costs": (0.1, -1.0)}, r"lost_sales_costs=.*at least 0"),
        ({"holding_costs": (0.1,)}, r"holding_costs=.*2 numbers"),
        ({"holding_costs": math.inf}, r"holding_costs=.*finite"),
        ({"holding_costs": -0.1}, r"holding_costs=-0.1 must be at least 0"),
        ({"capacity": 0}, r"capacity=0 must be an integer of at least 1"),
        ({"capacity": 2.5}, r"capacity=2.5 must be an integer"),
        ({"horizon": 0}, r"horizon=0 must be an integer of at least 1"),
        ({"reward_scale": 0.0}, r"reward_scale=0.0 must be above 0"),
        ({"start": "empty"}, r"start='empty' must be one of 'random', 'stored'"),
        ({"observe": "nothing"}, r"observe='nothing' must be one of"),
        ({"mask": "none"}, r"mask='none' must be one of"),
        ({"zero": "stop"}, r"zero='stop' must be one of"),
        ({"initial_inventory": (1, 41)}, r"initial_inventory=.*0..40"),
        ({"initial_setups": (3, 0)}, r"initial_setups=.*0..2"),
        ({"initial_setups": (1.5, 0)}, r"initial_setups=.*integers"),
        ({"demand": "gamma"}, r"demand='gamma' must be one of 'binomial'"),
        ({"demand_parameters": (20,)}, r"demand_parameters=\(20,\) must be \(trials, probability\)"),
        ({"demand_parameters": (20, 1.4)}, r"probability=1.4 must lie in \[0, 1\]"),
        ({"demand_parameters": (2.5, 0.4)}, r"trials=2.5 must be a whole number"),
        ({"demand_parameters": ((1, 2, 3), 0.4)}, r"trials has 3 entries but must have 2"),
        ({"demand_parameters": (20, math.nan)}, r"probability=nan must be a number"),
        ({"demand": "normal", "demand_parameters": (-1, 2)}, r"mean=-1 must be a number in \[0, 10000\]"),
        ({"demand": "uniform", "demand_parameters": (5, 2)}, r"lowest=5 must not exceed highest=2"),
        ({"demand": "pmf", "demand_parameters": ((1, 1), (1, 2))}, r"demands=\(1, 1\).*different"),
        ({"demand": "pmf", "demand_parameters": ((0, 1), (0, 0))}, r"weights=\(0, 0\) must not all be 0"),
        ({"demand": "pmf", "demand_parameters": ((0, 1), (1,))}, r"weights=\(1,\) must be 2 numbers"),
        ({"demand": "pmf", "demand_parameters": ((0, 1), ((1, 2),))}, r"weights has 1 rows"),
    ],
)
def test_impossible_constants(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LotSizingParams(**{**SMALL, **change})


def test_lists_and_arrays_are_taken() -> None:
    plain = LotSizingParams(**SMALL)
    changed = {**SMALL, "production": np.array(SMALL["production"]), "setup_costs": [[20, 16], [15, 18]]}
    assert LotSizingParams(**changed) == plain
    assert hash(LotSizingParams(**changed)) == hash(plain)


# ------------------------------------------------------------------------------------------- pictures
def test_pictures() -> None:
    kernel = small(horizon=5)
    rng = torch.Generator().manual_seed(0)
    state, states, actions, rewards = start(kernel), [start(kernel)], [], []
    for _ in range(5):
        action = torch.randint(3, (1, 2), generator=rng)
        state, reward, _ = kernel.advance(state, action, kernel.sample_exogenous(state, rng))
        states.append(state)
        actions.append(action)
        rewards.append(reward)
    frame = kernel.render(states[3])
    assert frame.dtype == np.uint8 and frame.ndim == 3 and frame.std() > 10
    whole: Any = tree_map(lambda *rows: torch.cat(rows), *states)
    picture = kernel.render_episode(whole, torch.cat(actions), torch.cat(rewards))
    assert picture.dtype == np.uint8 and picture.shape[2] == 3 and picture.std() > 10


@pytest.mark.parametrize("name", NAMES)
def test_zero_may_mean_to_go_on(name: str) -> None:
    """It is the same as naming what the machine is set up for; a machine without a set-up idles on."""
    named, going_on = make_kernel(LotSizing, preset=name), make_kernel(LotSizing, preset=name, zero="keep")
    rng = torch.Generator().manual_seed(1)
    state = named.initial_state(64, rng)
    setups = state.setups * (torch.rand(state.setups.shape, generator=rng) < 0.8)
    state = dataclasses.replace(state, setups=setups)
    action = torch.randint(named.num_items + 1, setups.shape, generator=rng)
    action *= torch.rand(setups.shape, generator=rng) < 0.5
    post, reward = going_on.post_decision(state, action)
    expected, expected_reward = named.post_decision(state, torch.where(action == 0, setups, action))
    for (key, value), (_, other) in zip(
        tree_items(post, "post").items(), tree_items(expected, "post").items(), strict=True
    ):
        assert torch.equal(value, other), key
    assert torch.equal(reward, expected_reward)
    assert ((setups == 0) & (action == 0) & (post.setups == 0)).any()
    assert going_on.action_space == named.action_space


# Plants of one's own ------------------------------------------------------------------------------------------------

OWN: dict[str, Any] = {
    "production": ((5, 6, 0), (0, 4, 3)),
    "setup_costs": 20,
    "setup_losses": 1.0,
    "lost_sales_costs": 1.5,
    "dtype": "float64",
}


def own(**constants: Any) -> LotSizing:
    return make_kernel("rlsuite_envs.inventory.plants.lot_sizing:LotSizing", **{**OWN, **constants})


def demands(kernel: LotSizing, periods: int, num: int = 1, seed: int = 0) -> Tensor:
    """Demand of idle plants, [periods, num, I]."""
    rng = torch.Generator().manual_seed(seed)
    state, seen = kernel.initial_state(num, rng), []
    for _ in range(periods):
        noise = kernel.sample_exogenous(state, rng)
        state, _, _ = kernel.advance(state, torch.zeros((num, 2), dtype=torch.int64), noise)
        seen.append(state.demand)
    return torch.stack(seen)


def test_an_own_plant_needs_no_start_and_takes_numbers_for_tables() -> None:
    kernel = own()
    p = kernel.params
    assert p.setup_costs == ((20, 20, 20), (20, 20, 20)) and p.setup_losses[1] == (1.0, 1.0, 1.0)
    assert p.lost_sales_costs == (1.5, 1.5, 1.5)
    assert p.initial_inventory is None and p.initial_setups is None
    stored = own(start="stored", initial_inventory=[1, 2, 3], initial_setups=[3, 0])
    state = stored.initial_state(2, torch.Generator())
    assert state.inventory.tolist() == [[1, 2, 3]] * 2 and state.setups.tolist() == [[3, 0]] * 2
    assert LotSizing(LotSizingParams(start="stored")).initial_state(1, torch.Generator()).setups.tolist() == [
        [0, 0, 0, 0, 9]
    ]


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"start": "stored"}, "initial_inventory must be given for start='stored'"),
        ({"production": ((1, 2), (3, 4)), "setup_costs": ((1, 2, 3), (1, 2, 3))}, r"setup_costs=.*\(2, 2\) numbers"),
        ({"capacity": (10, 20)}, "capacity=.*sequence of 3 numbers"),
        ({"seasons": ((20, 0.4), (20, 1.4))}, r"seasons\[1\]=\(20, 1.4\): .*probability=1.4 must lie in"),
        ({"history": ((1, 2, 3), (1, 2))}, r"history\[1\]=\(1, 2\) must be 3 whole numbers"),
        ({"history": ((1, 2, 3),), "demand_correlation": 0.5}, "leave demand_correlation out"),
        ({"demand_correlation": 1.5}, r"demand_correlation=1.5 must lie in \[0, 1\]"),
        ({"seasons": 4}, "seasons=4 must be a row per period"),
    ],
)
def test_errors_of_own_plants_are_about_what_was_given(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        own(**constants)


@pytest.mark.parametrize("name", ["setup_costs", "setup_losses", "lost_sales_costs"])
def test_what_an_own_plant_lacks_is_named_without_the_default_plants_values(name: str) -> None:
    with pytest.raises(ValueError, match=f"LotSizing: {name} must be given with a production of your own") as caught:
        make_kernel(LotSizing, **{key: value for key, value in OWN.items() if key != name})
    assert "25, 19" not in str(caught.value)


def test_seasons_repeat_and_are_seen() -> None:
    kernel = own(demand="uniform", seasons=((3, 3), ((5, 6, 7), (5, 6, 7)), (0, 0)))
    assert demands(kernel, 7)[:, 0].tolist() == [[3] * 3, [5, 6, 7], [0] * 3] * 2 + [[3] * 3]
    np.testing.assert_allclose(kernel.demand_table[0], [1 / 3, 0, 0, 1 / 3, 0, 1 / 3, 0, 0])
    state = kernel.initial_state(1, torch.Generator())
    for place in (0, 1, 2, 0):
        seen = kernel.observe(state)[0, -2:].tolist()
        assert seen == pytest.approx([math.sin(place * math.tau / 3), math.cos(place * math.tau / 3)], abs=1e-6)
        noise = kernel.sample_exogenous(state, torch.Generator())
        state, _, _ = kernel.advance(state, torch.zeros((1, 2), dtype=torch.int64), noise)
    starts = own(demand="uniform", seasons=((3, 3), (5, 5)), random_phase=True)
    first = demands(starts, 2, num=400)
    assert sorted(first[0, :, 0].unique().tolist()) == [3, 5]
    assert (first.sum(0) == 8).all()


def test_a_history_is_demand_itself() -> None:
    rows = ((1, 0, 2), (4, 4, 4), (0, 9, 1), (2, 2, 2))
    kernel = own(history=rows)
    assert demands(kernel, 6)[:, 0].tolist() == [list(row) for row in (*rows, *rows[:2])]
    np.testing.assert_array_equal(kernel.demand_table[2], [0, 0.25, 0.5, 0, 0.25, 0, 0, 0, 0, 0])


def test_correlated_items_keep_their_distributions() -> None:
    alike = demands(own(demand_correlation=1.0), 5, num=50)
    assert (alike == alike[..., :1]).all() and alike.std() > 1
    kernel = own(demand_correlation=0.6, demand="pmf", demand_parameters=((0, 2, 3), ((1, 1, 2), (0, 1, 3), (5, 0, 0))))
    drawn = demands(kernel, 4, num=10_000).flatten(0, 1).long()
    for item, weights in enumerate(((1, 0, 1, 2), (0, 0, 1, 3))):
        found = torch.bincount(drawn[:, item], minlength=4).numpy()
        assert chisquare(found[found > 0], np.array([w for w in weights if w]) / sum(weights) * 40_000).pvalue > 0.001
    assert (drawn[:, 2] == 0).all()
    assert 0.3 < np.corrcoef(drawn[:, :2].T.numpy())[0, 1] < 0.6
    assert abs(np.corrcoef(demands(own(), 4, num=5000).flatten(0, 1)[:, :2].T)[0, 1]) < 0.03


def test_items_have_capacities_of_their_own() -> None:
    kernel = own(capacity=[4, 10, 100], demand="uniform", demand_parameters=(1, 1))
    state = kernel.initial_state(300, torch.Generator().manual_seed(0))
    assert state.inventory.amax(0).tolist() == [3, 9, 99]
    full = dataclasses.replace(state, inventory=tensor([3, 9, 50]).expand(300, 3), setups=torch.tensor([[1, 2]] * 300))
    after, _, _ = kernel.advance(full, torch.tensor([[1, 2]] * 300), tensor([1, 1, 1]).expand(300, 3))
    assert after.inventory[0].tolist() == [4, 10, 49]
    assert kernel.observe(after)[0, :3].tolist() == pytest.approx([1, 1, 0.49])


def test_seasonal_plants_step_in_their_spaces_and_resume() -> None:
    env: Any = gym.make_vec("rlsuite/LotSizing-v0", num_envs=3, seasons=((20, 0.2), (20, 0.6)), random_phase=True)
    obs, _ = env.reset(seed=0)
    assert env.observation_space.contains(obs)
    saved = env.state_dict()
    first = env.step(np.zeros((3, 5), np.int64))
    env.load_state_dict(saved)
    np.testing.assert_array_equal(env.step(np.zeros((3, 5), np.int64))[0], first[0])
