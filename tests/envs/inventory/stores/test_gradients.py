"""Gradients of the differentiable inventory kernels, against finite differences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from rlsuite_envs.inventory.stores.serial import SerialSystem
from rlsuite_envs.inventory.stores.stores import LostSales, SingleStore
from rlsuite_envs.inventory.stores.transshipment import Transshipment
from rlsuite_envs.inventory.stores.warehouse import ManyStores
from rlsuite_envs.inventory.stores.warehouses import ManyWarehouses
from rlsuite_envs.kernel import make_kernel, tree_items, tree_map

PERIODS = 6
SMALL = {
    "means": (4.0, 6.0, 3.0),
    "sds": (1.0, 2.0, 1.0),
    "holdings": (1.0, 0.7, 0.9),
    "penalties": (4.0, 9.0, 5.0),
}
SETTINGS: list[tuple[Any, dict[str, Any]]] = [
    (SingleStore, {"lead_time": 2}),
    (SingleStore, {"lead_time": 1, "distribution": "poisson"}),
    (LostSales, {"lead_time": 3, "distribution": "normal"}),
    (LostSales, {"lead_time": 1, "profit": True}),
    (SerialSystem, {"lead_times": (1, 2, 1), "holdings": (1.0, 0.5, 0.2)}),
    (ManyStores, {**SMALL, "lead_times": (1, 2, 3), "warehouse_lead_time": 1}),
    (ManyStores, {**SMALL, "lead_times": (1, 2, 1), "warehouse_lead_time": 2, "lost": False}),
    (ManyWarehouses, {**SMALL, "lead_times": ((1, 2), (2, 1), (1, 3)), "warehouse_lead_times": (1, 2)}),
    (Transshipment, {**SMALL, "lead_times": (1, 2, 1), "warehouse_lead_time": 1}),
]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def setting(kernel: Any, params: dict[str, Any], actions: str) -> tuple[Any, Any, list[Tensor], Tensor]:
    """A kernel, a state with stock everywhere, the demands of some periods and actions that suit them."""
    made = make_kernel(kernel, dtype="float64", actions=actions, **params)
    rng = torch.Generator().manual_seed(3)
    state: Any = made.initial_state(2, rng)
    # Stock everywhere, so that no location sits on the kink at nothing on hand.
    state = tree_map(lambda x: x + torch.rand(x.shape, generator=rng, dtype=x.dtype) * 5, state)
    demands = [made.sample_exogenous(state, rng) for _ in range(PERIODS)]
    action = torch.rand(PERIODS, 2, *made.action_space.shape, generator=rng, dtype=torch.float64)
    action = (action * 2 - 1) * 0.95 if actions == "scaled" else (action + 0.1) * made.order_units
    return made, state, demands, action


@pytest.mark.parametrize(("kernel", "params"), SETTINGS)
@pytest.mark.parametrize("actions", ["orders", "scaled"])
def test_the_cost_of_a_rollout_by_actions_and_start(kernel: Any, params: dict[str, Any], actions: str) -> None:
    made, start, demands, action = setting(kernel, params, actions)
    stocks = [name for name in ("inventory", "stores", "warehouses") if hasattr(start, name)]

    def cost(action: Tensor, *stock: Tensor) -> Tensor:
        state = type(start)(**{**vars(start), **dict(zip(stocks, stock, strict=True))})
        total = torch.zeros(2, dtype=torch.float64)
        for t, demand in enumerate(demands):
            state, reward, _ = made.advance(state, action[t], demand)
            total = total - reward
        return total

    inputs = [action.requires_grad_(), *(getattr(start, name).detach().requires_grad_() for name in stocks)]
    assert torch.autograd.gradcheck(cost, inputs, eps=1e-6, atol=1e-6)
    first, *_ = torch.autograd.grad(cost(*inputs).sum(), inputs)
    assert first[0].abs().sum() > 0  # the first orders still matter in the end


@pytest.mark.parametrize(("kernel", "params"), SETTINGS)
def test_gradients_stay_finite_where_everything_is_empty(kernel: Any, params: dict[str, Any]) -> None:
    made, start, demands, action = setting(kernel, params, "orders")
    state = tree_map(torch.zeros_like, start)
    action = torch.zeros_like(action).requires_grad_()
    total = torch.zeros(())
    for t, demand in enumerate(demands):
        state, reward, _ = made.advance(state, action[t], demand)
        total = total + reward.sum() + made.observe(state).sum()
    (gradient,) = torch.autograd.grad(total, action)
    assert torch.isfinite(gradient).all()


def test_rounded_orders_have_no_gradient() -> None:
    made, state, demands, action = setting(LostSales, {"integer_orders": True, "lead_time": 1}, "orders")
    action.requires_grad_()
    state, _, _ = made.advance(state, action[0], demands[0])
    _, reward, _ = made.advance(state, action[1], demands[1])
    (gradient,) = torch.autograd.grad(reward.sum(), action)
    assert not gradient.any()


def test_gradients_of_a_float32_vector_rollout_match_float64() -> None:
    gradients = []
    for dtype in ("float32", "float64"):
        made: Any = make_kernel(ManyStores, dtype=dtype, preset="5")
        reference: Any = make_kernel(ManyStores, dtype="float64", preset="5")
        rng = torch.Generator().manual_seed(0)
        state = reference.initial_state(16, rng)
        demands = [reference.sample_exogenous(state, rng) for _ in range(10)]
        number = getattr(torch, dtype)
        state = tree_map(lambda x: x.to(number), state)  # noqa: B023
        assert {t.dtype for t in tree_items(state, "s").values()} == {number}
        action = torch.full((16, 6), 0.3, dtype=number, requires_grad=True)
        total = torch.zeros((), dtype=number)
        for demand in demands:
            state, reward, _ = made.advance(state, action, demand.to(number))
            total = total + reward.sum()
        gradients.append(torch.autograd.grad(total, action)[0].double())
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-3)
