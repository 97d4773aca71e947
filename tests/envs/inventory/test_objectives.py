"""Inventory rewards as vectors: their parts add up to the one number, by hand and over whole episodes."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from rlsuite_envs.inventory.networks.scenarios import PROFIT_PARTS, SCENARIOS
from rlsuite_envs.inventory.networks.supply_network import SupplyNetwork
from rlsuite_envs.inventory.networks.topology import Link, Node, Topology
from rlsuite_envs.inventory.plants.lot_sizing import LotSizing
from rlsuite_envs.inventory.plants.lot_sizing_instances import INSTANCES
from rlsuite_envs.inventory.plants.lot_sizing_params import COST_PARTS
from rlsuite_envs.kernel import Kernel, make_kernel, tree_items

torch.set_num_threads(1)

COSTLY = Topology(
    (
        Node("shop", 40, 0.3, operating=0.2),
        Node("mill", 60, 0.1, capacity=50, product_yield=0.5, operating=0.7),
        Node("raw"),
        Node("town"),
        Node("web"),
    ),
    (
        Link("mill", "shop", 2, 1.5, holding=0.05, fixed_cost=3.0),
        Link("raw", "mill", 1, 0.4, holding=0.02, fixed_cost=2.0),
        Link("raw", "shop", 0, 0.9),
        Link("shop", "town", price=4.0, shortage=0.6),
        Link("shop", "web", price=3.0, shortage=0.2),
    ),
)
"""Every kind of part: two prices, yields, fixed costs, raw material that goes straight to the shop."""

NETWORKS: list[dict[str, Any]] = [
    {"scenario": "divergent-shock-goodwill-backlog"},
    {"scenario": "serial-seasonal-lost", "alpha": 0.95},
    {"topology": COSTLY, "alpha": 0.9, "reward": "relative"},
    {"topology": COSTLY, "backlog": False, "action": "orders"},
]
PLANTS: list[dict[str, Any]] = [
    {"preset": "20x10", "reward_scale": 0.01},
    {"seasons": ((20, 0.2), (20, 0.6)), "holding_costs": tuple(0.01 * k for k in range(15)), "mask": "all"},
]
KINDS: list[tuple[Any, dict[str, Any], tuple[str, ...]]] = [
    *((SupplyNetwork, constants, PROFIT_PARTS) for constants in NETWORKS),
    *((LotSizing, constants, COST_PARTS) for constants in PLANTS),
]


def episode(kernel: Kernel[Any, Any, Any], periods: int = 30, num: int = 8) -> tuple[list[Any], Tensor]:
    """States and rewards [T, B] or [T, B, K] of random actions, the same for the same seed."""
    rng = torch.Generator().manual_seed(5)
    space: Any = kernel.action_space
    space.seed(3)
    state, states, rewards = kernel.initial_state(num, rng), [], []
    for _ in range(periods):
        action = torch.as_tensor(np.stack([space.sample() for _ in range(num)]))
        state, reward, _ = kernel.advance(state, action, kernel.sample_exogenous(state, rng))
        states.append(state)
        rewards.append(reward)
    return states, torch.stack(rewards)


@pytest.mark.parametrize(("kind", "constants", "parts"), KINDS)
def test_all_parts_add_up_to_the_one_number(kind: Any, constants: dict[str, Any], parts: tuple[str, ...]) -> None:
    single = make_kernel(kind, dtype="float64", **constants)
    apart = make_kernel(kind, dtype="float64", objectives=parts, **constants)
    states, whole = episode(single)
    same, split = episode(apart)
    assert split.shape == (*whole.shape, len(parts)) and apart.reward_dim == len(parts)
    torch.testing.assert_close(split.sum(2), whole, rtol=1e-12, atol=1e-12 * whole.abs().max().item())
    for ours, theirs in zip(states, same, strict=True):  # what is paid apart changes nothing else
        pairs = zip(tree_items(ours, "s").items(), tree_items(theirs, "s").items(), strict=True)
        assert all(torch.equal(value, other) for (_, value), (_, other) in pairs)
    assert apart.objective_names == parts and single.objective_names == ()
    assert all(apart.reward_space.contains(row) for row in split.flatten(0, 1).numpy())
    # Any choice of parts, in any order, and any sums of them, are those of the whole list.
    for names in [parts[::-1][:2], (parts[0],), ("+".join(parts[1:]), parts[0])]:
        _, some = episode(make_kernel(kind, dtype="float64", objectives=names, **constants))
        for k, name in enumerate(names):
            expected = sum(split[..., parts.index(part)] for part in name.split("+"))
            torch.testing.assert_close(some[..., k], expected, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize(("kind", "constants", "parts"), KINDS)
def test_without_objectives_the_reward_is_one_number(kind: Any, constants: dict[str, Any], parts: Any) -> None:
    rewards = [episode(make_kernel(kind, **constants, **more))[1] for more in ({}, {"objectives": None})]
    rewards.append(episode(make_kernel(kind, **constants, objectives=[]))[1])
    assert all(torch.equal(reward, rewards[0]) and reward.ndim == 2 for reward in rewards)
    kernel = make_kernel(kind, **constants)
    assert kernel.reward_dim is None and kernel.reward_space is None


def test_every_scenario_and_instance_splits() -> None:
    for kind, names, parts in ((SupplyNetwork, SCENARIOS, PROFIT_PARTS), (LotSizing, INSTANCES, COST_PARTS)):
        for name in names:
            where: dict[str, Any] = {kind.preset_argument: name, "dtype": "float64"}
            whole = episode(make_kernel(kind, **where), 5)[1]
            split = episode(make_kernel(kind, objectives=parts, **where), 5)[1]
            torch.testing.assert_close(split.sum(2), whole, rtol=1e-11, atol=1e-9)


def test_the_parts_of_a_network_by_hand() -> None:
    kernel = make_kernel(
        SupplyNetwork, topology=COSTLY, action="orders", objectives=PROFIT_PARTS, alpha=0.5, dtype="float64"
    )
    state = kernel.initial_state(1, torch.Generator())
    for t in range(2):
        # The mill ships 10 of 2 x 10 units of its stock; 5 come to the shop at once, 30 are under way to the mill.
        action = torch.tensor([[10.0, 30.0, 5.0]] if t == 0 else [[0.0, 0.0, 0.0]])
        demand = torch.tensor([[25.0, 24.0]] if t == 0 else [[1.0, 0.0]], dtype=torch.float64)
        state, reward, _ = kernel.advance(state, action, demand)
        found = dict(zip(PROFIT_PARTS, (reward[0] / 0.5**t).tolist(), strict=True))
        if t == 0:
            assert state.stock.tolist() == [[40.0, 0.0]] and state.unmet.tolist() == [[0.0, 4.0]]
            assert found == pytest.approx(
                {
                    "revenue": 25 * 4 + 20 * 3,
                    "material": -(30 * 0.4 + 5 * 0.9),
                    "operating": -(10 * 0.7 / 0.5 + 45 * 0.2),
                    "ordering": -(3 + 2),
                    "holding": -(10 * 0.05 + 30 * 0.02 + 40 * 0.1),
                    "shortage": -4 * 0.2,
                }
            )
        else:
            assert found["revenue"] == found["material"] == found["ordering"] == 0
            assert found["shortage"] == pytest.approx(-(1 * 0.6 + 4 * 0.2))
            assert found["holding"] == pytest.approx(-(10 * 0.05 + (40 + 30) * 0.1))


def test_the_parts_of_a_plant_are_the_costs_of_its_info() -> None:
    kernel = make_kernel(LotSizing, objectives=("holding", "setup", "lost_sales"), dtype="float64", reward_scale=0.1)
    states, rewards = episode(kernel)
    for state, reward in zip(states, rewards, strict=True):
        costs = kernel.info(state)
        expected = torch.stack([costs[f"{name}_cost"] for name in ("holding", "setup", "lost_sales")], 1)
        torch.testing.assert_close(reward, -0.1 * expected, rtol=1e-12, atol=1e-12)


def test_service_against_cost() -> None:
    """More orders, more service, more cost; and scenarios and instances stay a choice."""
    env: Any = gym.make_vec("rlsuite/SupplyNetwork-service-cost-v0", 16, scenario="serial-stationary-backlog")
    assert env.objective_names == ("shortage", "material+operating+ordering+holding") and env.reward_dim == 2
    assert env.kernel.params.topology == "serial" and (env.reward_space.high == 0).all()
    totals = []
    for level in (-1.0, -0.3, 0.1, 1.0):
        env.reset(seed=0)
        actions = np.full(env.action_space.shape, level, np.float32)
        totals.append(sum(env.step(actions)[1].mean(0) for _ in range(29)))
    gains = np.diff(np.array(totals), axis=0)
    assert (gains[:, 0] >= 0).all() and gains[0, 0] > 10 and (gains[:, 1] < 0).all()
    plant: Any = gym.make("rlsuite/LotSizing-service-cost-v0", preset="20x10")
    plant.reset(seed=0)
    _, reward, *_ = plant.step(np.zeros(10, np.int64))
    assert reward.shape == (2,) and plant.unwrapped.objective_names == ("lost_sales", "setup+holding")
    assert plant.unwrapped.kernel.num_items == 20


@pytest.mark.parametrize(("kind", "parts"), [(SupplyNetwork, PROFIT_PARTS), (LotSizing, COST_PARTS)])
@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        (("holdings",), "'holdings' is no part of the reward; did you mean 'holding'"),
        (("holding", "service"), "'service' is no part of the reward; known: "),
        (("holding", "holding"), "'holding' is given twice"),
        (("holding+holding",), "'holding' is given twice"),
        (("holding+",), "'' is no part"),
        ("holding", "objectives='holding' must be a tuple of names, such as .*; known: "),
        ((1, 2), r"objectives=\(1, 2\) must be a tuple of names"),
    ],
)
def test_unknown_objectives_are_refused_with_the_list(kind: Any, parts: Any, objectives: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"{kind.__name__}: objectives=.*") as caught:
        make_kernel(kind, objectives=objectives)
    assert caught.match(message)
    assert ", ".join(parts) in str(caught.value)


def test_gradients_reach_the_objectives_of_a_network() -> None:
    kernel = make_kernel(SupplyNetwork, topology=COSTLY, objectives=PROFIT_PARTS, dtype="float64")
    action = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    state = kernel.initial_state(4, torch.Generator())
    _, reward, _ = kernel.advance(state, action, torch.full((4, 2), 30.0, dtype=torch.float64))
    (slope,) = torch.autograd.grad(reward[:, 1].sum(), action)
    assert torch.isfinite(slope).all() and (slope[:, 2] < 0).all()
