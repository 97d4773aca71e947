"""HDPO's inventory kernels: steps by hand, conservation of goods, what an order can serve, published instances."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rlsuite_envs.inventory.stores.instances import published_stores
from rlsuite_envs.inventory.stores.pipeline import advance, place, serve, share_all, share_out, slot_masks
from rlsuite_envs.inventory.stores.serial import SerialState, SerialSystem
from rlsuite_envs.inventory.stores.stores import LostSales, SingleStore, StoreState
from rlsuite_envs.inventory.stores.traced_store import TracedStore
from rlsuite_envs.inventory.stores.transshipment import Transshipment
from rlsuite_envs.inventory.stores.warehouse import ManyStores, NetworkState
from rlsuite_envs.inventory.stores.warehouses import ManyWarehouses
from rlsuite_envs.kernel import make_kernel, tree_items, tree_map

KERNELS: list[Any] = [SingleStore, LostSales, SerialSystem, ManyStores, ManyWarehouses, Transshipment]


def rows(*values: Any) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def raw(kernel: Any, **params: Any) -> Any:
    """A float64 kernel whose actions are units."""
    return make_kernel(kernel, dtype="float64", actions="orders", **params)


def step(kernel: Any, state: Any, action: Tensor, demand: Tensor) -> tuple[Any, float, float]:
    post, caused = kernel.post_decision(state, action)
    after, befallen, terminated = kernel.transition(post, demand)
    assert not terminated.any()
    return after, 0.0 if caused is None else caused.item(), befallen.item()


def store(inventory: Tensor) -> StoreState:
    zeros = torch.zeros(1, dtype=torch.float64)
    return StoreState(inventory, zeros, zeros, zeros)


def network(stores: Tensor, warehouses: Tensor) -> NetworkState:
    zeros = torch.zeros(stores.shape[:2], dtype=torch.float64)
    return NetworkState(stores, warehouses, zeros, zeros, zeros[:, 0])


def two_stores(kernel: Any, **params: Any) -> Any:
    """Two stores, lead times 1 and 2, the first with h 1, p 4, the second with h 0.5, p 9."""
    given_params = {
        "means": (4.0, 6.0),
        "sds": (1.0, 1.0),
        "holdings": (1.0, 0.5),
        "penalties": (4.0, 9.0),
        "lead_times": (1, 2),
        **params,
    }
    return raw(kernel, **given_params)


# --- Steps by hand


def test_a_store_with_backlog() -> None:
    kernel = raw(SingleStore, lead_time=2, initial_slots=1, penalty=9.0)
    post, reward = kernel.post_decision(store(rows(4, 3, 0)), rows(6.5))
    assert reward is None
    torch.testing.assert_close(post.inventory, rows(4, 3, 6.5))
    state, _, reward = step(kernel, store(rows(4, 3, 0)), rows(6.5), rows(5))
    assert reward == -9.0
    torch.testing.assert_close(state.inventory, rows(2, 6.5, 0))  # 4 - 5 + 3
    state, _, reward = step(kernel, state, rows(0), rows(0.5))
    assert reward == -1.5
    torch.testing.assert_close(state.inventory, rows(8, 0, 0))
    info = kernel.info(state)
    assert (info["cost"].item(), info["demand"].item(), info["short"].item()) == (1.5, 0.5, 0.0)
    assert (info["on_hand"].item(), info["position"].item()) == (8.0, 8.0)


def test_a_store_with_lost_sales_and_its_profit() -> None:
    start, demand = store(rows(4, 3, 0)), rows(7)
    kernel = raw(LostSales, lead_time=2, initial_slots=1, penalty=9.0)
    state, _, reward = step(kernel, start, rows(6.4), demand)
    assert reward == -27.0
    torch.testing.assert_close(state.inventory, rows(3, 6.4, 0))  # 0 + 3
    rounded, _, _ = step(raw(LostSales, lead_time=2, initial_slots=1, integer_orders=True), start, rows(6.4), demand)
    assert rounded.inventory[0, 1].item() == 6.0
    kernel = raw(LostSales, lead_time=2, initial_slots=1, penalty=9.0, profit=True)
    assert step(kernel, start, rows(0), demand)[2] == 9.0 * 4
    assert step(kernel, start, rows(0), rows(1))[2] == 9.0 * 1 - 1.0 * 3


def test_a_chain() -> None:
    kernel = raw(SerialSystem, lead_times=(1, 2), holdings=(1.0, 0.5), penalty=4.0, initial_slots=1, mean=5.0, sd=1.0)
    start = SerialState(torch.tensor([[[3.0, 1.0, 0.0], [5.0, 2.0, 0.0]]], dtype=torch.float64), *([rows(0)[:, 0]] * 3))
    # The store wants 8 of the warehouse's 5; all leave, nothing is left to pay for.
    torch.testing.assert_close(kernel.orders(start, rows(8, 7)), rows(5, 7))
    state, caused, befallen = step(kernel, start, rows(8, 7), rows(4))
    assert (caused, befallen) == (0.0, -4.0)
    # The order of 5 (lead time 1) and what was on its way arrive: 3 - 4 + 1 + 5.
    torch.testing.assert_close(state.inventory, rows([5, 0, 0], [2, 7, 0]))
    state, caused, befallen = step(kernel, state, rows(0.5, 0), rows(3))
    assert (caused, befallen) == (-0.5 * 1.5, -2.0)
    torch.testing.assert_close(state.inventory, rows([2.5, 0, 0], [8.5, 0, 0]))
    assert state.cost.item() == 2.75


def test_a_warehouse_that_cannot_fill_all_orders_cuts_them_in_proportion() -> None:
    kernel = two_stores(ManyStores, warehouse_lead_time=2, warehouse_holding=0.3, initial_slots=1)
    start = network(rows([3, 1, 0], [2, 0, 0]), rows([6, 2, 0]))
    torch.testing.assert_close(kernel.orders(start, rows(3, 9, 5)), rows(1.5, 4.5, 5))
    state, caused, befallen = step(kernel, start, rows(3, 9, 5), rows(1, 4))
    assert caused == 0.0
    assert befallen == -(1.0 * 2 + 9.0 * 2)
    torch.testing.assert_close(state.stores, rows([4.5, 0, 0], [0, 4.5, 0]))  # 3 - 1 + 1 + 1.5; lost: 0
    torch.testing.assert_close(state.warehouses, rows([2, 5, 0]))
    assert kernel.info(state)["cost_per_store"].item() == 10.0
    # Enough on hand: orders are kept, and what is left costs.
    state, caused, _ = step(kernel, start, rows(2, 1, 0), rows(0, 0))
    assert caused == pytest.approx(-0.3 * 3)
    torch.testing.assert_close(state.warehouses, rows([5, 0, 0]))


def test_backlog_behind_a_warehouse() -> None:
    kernel = two_stores(ManyStores, lost=False, warehouse_lead_time=1, initial_slots=1)
    start = network(rows([3, 1, 0], [2, 0, 0]), rows([6, 0]))
    state, _, befallen = step(kernel, start, rows(0, 0, 0), rows(7, 4))
    assert befallen == -(4.0 * 4 + 9.0 * 2)
    torch.testing.assert_close(state.stores, rows([-3, 0, 0], [-2, 0, 0]))


def test_two_warehouses() -> None:
    kernel = two_stores(
        ManyWarehouses,
        lead_times=((2, 1), (2, 2)),
        warehouse_lead_times=(1, 3),
        warehouse_holdings=(0.3, 0.4),
        edge_costs=(0.5, 1.5),
        links=((True, True), (True, False)),
        initial_slots=1,
    )
    start = network(rows([0, 0, 0], [0, 0, 0]), rows([6, 0, 0, 0], [10, 0, 0, 0]))
    # Store 1 wants 3 and 4, store 2 wants 9 and (over a link that is not there) 50.
    action = rows(3, 4, 9, 50, 1, 2)
    torch.testing.assert_close(kernel.orders(start, action), rows(1.5, 4, 4.5, 0, 1, 2))
    state, caused, befallen = step(kernel, start, action, rows(1, 0))
    assert caused == pytest.approx(-(0.5 * 6 + 1.5 * 4 + 0.3 * 0 + 0.4 * 6))
    assert befallen == -4.0
    torch.testing.assert_close(state.stores, rows([4, 1.5, 0], [0, 4.5, 0]))
    torch.testing.assert_close(state.warehouses, rows([1, 0, 0, 0], [6, 0, 2, 0]))


def test_transshipment_ships_everything() -> None:
    kernel = two_stores(Transshipment, lead_times=(1, 1), warehouse_lead_time=2, initial_slots=1)
    start = network(rows([3, 0], [2, 0]), rows([10, 4, 0]))
    torch.testing.assert_close(kernel.orders(start, rows(1, 3, 7)), rows(2.5, 7.5, 7))
    state, caused, befallen = step(kernel, start, rows(1, 3, 7), rows(-1, 4))
    assert caused == 0.0
    assert befallen == -(1.0 * 4 + 9.0 * 2)  # a return of 1 unit, and 2 units owed
    torch.testing.assert_close(state.stores, rows([6.5, 0], [5.5, 0]))
    torch.testing.assert_close(state.warehouses, rows([4, 7, 0]))
    # Nobody wants anything: in proportion to the means 4 and 6.
    torch.testing.assert_close(kernel.orders(start, rows(0, 0, 0)), rows(4, 6, 0))


def test_scaled_actions_are_mean_demands() -> None:
    kernel = two_stores(ManyStores)
    kernel = type(kernel)(dataclasses.replace(kernel.params, actions="scaled"), dtype=torch.float64)
    torch.testing.assert_close(kernel.wanted(rows(0, 0, 0)), rows(4, 6, 10))
    torch.testing.assert_close(kernel.wanted(rows(-1, 1, 7)), rows(0, 12, 20))
    observation = kernel.observe(network(rows([4, 2, 0], [6, 0, 0]), rows([5, 0, 20, 0])))
    torch.testing.assert_close(observation, torch.tensor([[1, 0.5, 0, 1, 0, 0, 0.5, 0, 2, 0]]))


# --- Pure functions


def test_pipeline_functions() -> None:
    mask = slot_masks(torch.tensor([1, 3]), 4)
    assert mask.tolist() == [[False, True, False, False], [False, False, False, True]]
    placed = place(torch.ones(1, 2, 4), torch.tensor([[5.0, 6.0]]), mask.float())
    torch.testing.assert_close(placed, torch.tensor([[[1.0, 6, 1, 1], [1, 1, 1, 7]]]))
    moved = advance(placed, torch.tensor([[-1.0, 2.0]]))
    torch.testing.assert_close(moved, torch.tensor([[[5.0, 1, 1, 0], [3, 1, 7, 0]]]))
    left, over, short = serve(torch.tensor([3.0, -1.0]), torch.tensor([1.0, 2.0]), lost=False)
    assert (left.tolist(), over.tolist(), short.tolist()) == ([2, -3], [2, 0], [0, 3])


amounts = st.one_of(st.just(0.0), st.floats(1e-6, 1e6))


@given(st.lists(amounts, min_size=1, max_size=6), amounts)
def test_shares(wanted: list[float], available: float) -> None:
    column = torch.tensor(wanted, dtype=torch.float64).unsqueeze(-1).requires_grad_()
    stock = torch.tensor([available], dtype=torch.float64, requires_grad=True)
    part = share_out(column, stock)
    assert (part >= 0).all() and (part <= column * (1 + 1e-12)).all()
    assert part.sum().item() == pytest.approx(min(sum(wanted), available), rel=1e-9)
    everything = share_all(column, stock, torch.full_like(column, 1 / len(wanted)).detach())
    assert everything.sum().item() == pytest.approx(available, rel=1e-9)
    (part.sum() + everything.sum()).backward()
    assert column.grad is not None and stock.grad is not None
    assert torch.isfinite(column.grad).all() and torch.isfinite(stock.grad).all()


# --- Properties of every kernel


def goods(state: Any) -> Tensor:
    """Everything that a state holds or is owed, [B]."""
    tensors = [getattr(state, name) for name in ("inventory", "stores", "warehouses") if hasattr(state, name)]
    return torch.stack([tensor.flatten(1).sum(1) for tensor in tensors]).sum(0)


@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_goods_are_conserved(kernel: Any, seed: int) -> None:
    made = make_kernel(kernel, dtype="float64")
    rng = torch.Generator().manual_seed(seed)
    state: Any = made.initial_state(7, rng)
    lost = isinstance(made, LostSales) or getattr(made.params, "lost", False)
    upper = getattr(made, "num_warehouses", 1)
    for _ in range(25):
        action = torch.rand(7, *made.action_space.shape, generator=rng, dtype=torch.float64) * 3 - 1.5
        demand = made.sample_exogenous(state, rng)
        bought = made.orders(state, action)[:, -upper:].sum(1)
        after, reward, _ = made.advance(state, action, demand)
        served = demand.sum(1) - (after.short.reshape(7, -1).sum(1) if lost else 0.0)
        torch.testing.assert_close(goods(after), goods(state) + bought - served)
        torch.testing.assert_close(after.cost, -reward)
        if lost:
            assert (made.slots(after) >= 0).all()
        if hasattr(after, "warehouses"):
            assert (after.warehouses >= 0).all()
        elif isinstance(made, SerialSystem):
            assert (after.inventory[:, 1:] >= 0).all()
        state = after


@pytest.mark.parametrize("lead_time", [1, 2, 5])
def test_an_order_serves_the_demand_one_lead_time_later_and_no_earlier(lead_time: int) -> None:
    kernel = raw(SingleStore, lead_time=lead_time, initial_slots=1)
    state, costs = store(torch.zeros(1, lead_time + 1, dtype=torch.float64)), []
    for t in range(lead_time + 2):
        order = rows(100) if t == 0 else rows(0)
        demand = rows(1)
        state, _, reward = step(kernel, state, order, demand)
        costs.append(-reward)
    # Backlog grows until period L, the L + 1st, whose demand the order can serve.
    expected = [9.0 * (t + 1) for t in range(lead_time)] + [100.0 - (lead_time + 1), 100.0 - (lead_time + 2)]
    assert costs == expected


@pytest.mark.parametrize("kernel", KERNELS)
def test_functions_leave_their_arguments_alone(kernel: Any) -> None:
    made = make_kernel(kernel)
    rng = torch.Generator().manual_seed(1)
    state: Any = made.initial_state(5, rng)
    action = torch.rand(5, *made.action_space.shape, generator=rng)
    kept = {name: tensor.clone() for name, tensor in tree_items(state, "s").items()}
    noise = made.sample_exogenous(state, rng)
    before = noise.clone()
    made.advance(state, action, noise)
    made.info(state)
    made.observe(state).fill_(7.0)
    for name, tensor in tree_items(state, "s").items():
        torch.testing.assert_close(tensor, kept[name], rtol=0, atol=0)
    torch.testing.assert_close(noise, before, rtol=0, atol=0)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_post_decision_observation_lies_in_the_space_and_shows_the_orders(kernel: Any) -> None:
    made = make_kernel(kernel)
    rng = torch.Generator().manual_seed(1)
    state: Any = made.initial_state(5, rng)
    post, _ = made.post_decision(state, torch.ones(5, *made.action_space.shape))
    seen = made.observe_post(post)
    assert made.observation_space.contains(seen[0].numpy())
    assert (seen != made.observe(state)).any(1).all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_start_states_are_as_described(kernel: Any) -> None:
    made = make_kernel(kernel, observation="raw", dtype="float64")
    state: Any = made.initial_state(20_000, torch.Generator().manual_seed(0))
    if hasattr(state, "warehouses"):
        stores, means = state.stores, torch.tensor(made.params.means)
        filled = max(made.params.initial_slots, max(np.ravel(made.params.lead_times)))
        assert not state.warehouses.any()
    else:
        stores = state.inventory if state.inventory.ndim == 3 else state.inventory.unsqueeze(1)
        means, filled = torch.tensor([made.params.mean]), 4
        assert not stores[:, 1:].any()
        stores = stores[:, :1]
    assert not stores[..., filled:].any()
    started = stores[..., :filled]
    assert (started >= 0).all() and (started <= means[:, None]).all()
    torch.testing.assert_close(started.mean(0), (means[:, None] / 2).expand(-1, filled).double(), rtol=0.02, atol=0)


@pytest.mark.parametrize("kernel", [*KERNELS, TracedStore])
def test_pictures(kernel: Any) -> None:
    made = make_kernel(kernel)
    rng = torch.Generator().manual_seed(1)
    state: Any = made.initial_state(1, rng)
    states, actions, rewards = [state], [], []
    for _ in range(12):
        actions.append(torch.rand(1, *made.action_space.shape, generator=rng) * 2 - 1)
        state, reward, _ = made.advance(state, actions[-1], made.sample_exogenous(state, rng))
        states.append(state)
        rewards.append(reward)
    episode = tree_map(lambda *parts: torch.cat(parts), *states)
    pictures = [made.render(state), made.render_episode(episode, torch.cat(actions), torch.cat(rewards))]
    for picture in pictures:
        assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
        assert len(np.unique(picture.astype(int) @ np.array([1, 256, 65536]))) > 20  # colours
    assert (made.render(state) != made.render(states[0])).any()


# --- Demand


def test_correlated_demand_has_the_moments_asked_for() -> None:
    kernel = make_kernel(Transshipment, preset="5-L2-p4-corr0.5", dtype="float64")
    state = kernel.initial_state(200_000, torch.Generator().manual_seed(0))
    demand = kernel.sample_exogenous(state, torch.Generator().manual_seed(1))
    sds = np.array(kernel.params.sds)
    np.testing.assert_allclose(demand.mean(0), kernel.params.means, rtol=0.01)
    correlation = np.full((5, 5), 0.5) + 0.5 * np.eye(5)
    np.testing.assert_allclose(np.cov(demand.numpy().T), correlation * np.outer(sds, sds), rtol=0.03)
    assert (demand < 0).any()


def test_poisson_and_clipped_demand() -> None:
    for kernel, variance in ((LostSales, 5.0), (SingleStore, 1.6**2)):
        made: Any = make_kernel(kernel)
        state = made.initial_state(200_000, torch.Generator().manual_seed(0))
        demand = made.sample_exogenous(state, torch.Generator().manual_seed(1))
        assert demand.shape == (200_000, 1)
        assert (demand >= 0).all()
        assert demand.mean().item() == pytest.approx(5.0, rel=0.01)
        assert demand.var().item() == pytest.approx(variance, rel=0.02)
    wide: Any = make_kernel(SingleStore, sd=10.0)
    assert (wide.sample_exogenous(state, torch.Generator().manual_seed(1)) == 0).float().mean() > 0.2


def test_the_same_demand_can_be_replayed_on_other_decisions() -> None:
    kernel: Any = make_kernel(ManyStores)
    state = kernel.initial_state(3, torch.Generator().manual_seed(0))
    noise = kernel.sample_exogenous(state, torch.Generator().manual_seed(1))
    zeros = torch.zeros(3, *kernel.action_space.shape)
    for action in (zeros, zeros + 1):
        torch.testing.assert_close(kernel.advance(state, action, noise)[0].demand, noise)


# --- Published instances


def test_the_published_stores() -> None:
    stores = published_stores(10)
    assert stores.means == (3.743, 4.75, 4.555, 3.801, 6.852, 3.425, 2.598, 7.266, 5.902, 4.933)
    assert stores.sds == (1.765, 2.124, 1.622, 1.405, 1.714, 1.59, 0.879, 2.701, 2.127, 2.391)
    for k in (3, 5):
        assert published_stores(k).means == stores.means[:k]
        assert published_stores(k).sds == stores.sds[:k]
    many = published_stores(50)
    assert set(many.lead_times) == {2, 3}
    assert min(many.holdings) >= 0.7 and max(many.holdings) <= 1.3
    assert min(many.penalties) >= 6.3 and max(many.penalties) <= 11.7


def test_presets_are_the_instances_they_name() -> None:
    params = SingleStore.presets["L15-p19"]
    assert (params.lead_time, params.penalty, params.mean, params.sd) == (15, 19.0, 5.0, 1.6)
    params = LostSales.presets["L2-p39"]
    assert (params.lead_time, params.penalty, params.distribution) == (2, 39.0, "poisson")
    params = SerialSystem.presets["L4-p9"]
    assert (params.lead_times, params.holdings) == ((4, 3, 4, 2), (1.0, 0.5, 0.2, 0.1))
    assert len(ManyStores.presets["50"].means) == 50
    params = Transshipment.presets["10-L6-p9-corr0"]
    assert (params.lead_times, params.penalties, params.correlation) == ((6,) * 10, (9.0,) * 10, 0.0)
