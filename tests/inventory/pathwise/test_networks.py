"""The policies' structure: what they may ship, what they must treat alike, and the rules they are named after."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from scipy.stats import norm
from torch import Tensor

import rlsuite_envs  # noqa: F401  # registers the environments
from rlsuite.inventory.pathwise.layout import Layout, OrderPolicy, describe
from rlsuite.inventory.pathwise.networks import POLICIES, make_policy
from rlsuite.inventory.pathwise.parametric import set_levels
from rlsuite.inventory.pathwise.simulation import long_run_cost
from rlsuite_envs.inventory.stores.serial import SerialSystem
from rlsuite_envs.inventory.stores.stores import LostSales, SingleStore
from rlsuite_envs.inventory.stores.traced_store import TracedStore
from rlsuite_envs.inventory.stores.transshipment import Transshipment
from rlsuite_envs.inventory.stores.warehouse import ManyStores
from rlsuite_envs.inventory.stores.warehouses import ManyWarehouses
from rlsuite_envs.kernel import make_kernel

ALIKE: dict[str, Any] = {
    "means": (5.0,) * 3,
    "sds": (2.0,) * 3,
    "holdings": (1.0,) * 3,
    "penalties": (9.0,) * 3,
}
LINKS = ((True, False), (True, True), (False, True))
PROBLEMS: dict[str, tuple[Any, dict[str, Any]]] = {
    "store": (SingleStore, {"lead_time": 2}),
    "poisson": (LostSales, {"lead_time": 1}),
    "chain": (SerialSystem, {"preset": "L2-p9"}),
    "stores": (ManyStores, {"preset": "5"}),
    "warehouses": (ManyWarehouses, {**ALIKE, "lead_times": ((1, 4), (2, 1), (3, 3)), "links": LINKS}),
    "transshipment": (Transshipment, {"preset": "3-L2-p4-corr0"}),
}
FITTING = [
    (name, policy)
    for name, (kind, params) in PROBLEMS.items()
    for policy in POLICIES
    if describe(make_kernel(kind, **params)).kind in POLICIES[policy].kinds
]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def setting(name: str, **params: Any) -> tuple[Any, Layout, Any]:
    """A kernel, its layout, and states with stock everywhere, some of it nought."""
    kind, constants = PROBLEMS[name]
    kernel: Any = make_kernel(kind, **constants, **params)
    rng = torch.Generator().manual_seed(1)
    state = kernel.initial_state(64, rng)
    stocks = [f for f in ("inventory", "stores", "warehouses") if hasattr(state, f)]
    filled = {f: (torch.rand(getattr(state, f).shape, generator=rng) * 12 - 2).clamp_min(0) for f in stocks}
    return kernel, describe(kernel), type(state)(**{**vars(state), **filled})


def set_level(parameter: Any, values: Any) -> None:
    """Give softplus(parameter) these values."""
    wanted = torch.as_tensor(values, dtype=torch.float32)
    parameter.data = torch.log(torch.expm1(wanted)).reshape(parameter.shape)


@pytest.mark.parametrize("actions", ["orders", "scaled"])
@pytest.mark.parametrize(("name", "policy"), FITTING)
def test_orders_are_feasible_and_carried_out(name: str, policy: str, actions: str) -> None:
    kernel, layout, state = setting(name, actions=actions, max_order=40.0)
    network = make_policy(policy, layout)
    rows = kernel.observe(state)
    orders = network.orders(rows)
    assert orders.shape == (64, len(layout.order_units)) and bool((orders >= 0).all())
    carried = kernel.orders(state, network(rows))
    shares = policy == "graph" or (policy == "vanilla" and name not in ("store", "poisson"))
    if name == "transshipment" or not shares:
        # The kernel cuts, or divides; what comes from outside nobody limits.
        assert torch.allclose(carried[:, -1], orders[:, -1], rtol=1e-4, atol=1e-3)
        return
    # Shares of the suppliers' stock need no cutting.
    assert torch.allclose(carried, orders, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("name", "policy"), FITTING)
def test_every_parameter_gets_a_gradient(name: str, policy: str) -> None:
    kernel, layout, state = setting(name)
    network = make_policy(policy, layout)
    network.orders(kernel.observe(state)).square().sum().backward()
    for part, parameter in network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), part
        linked = part not in ("cap", "share") or name == "transshipment"
        assert bool(parameter.grad.any()) or not linked, part


@pytest.mark.parametrize(("name", "policy"), FITTING)
@pytest.mark.parametrize("size", [1e-20, 1e-30])
def test_gradients_survive_a_trace_of_stock(name: str, policy: str, size: float) -> None:
    """Shipping everything again and again leaves such remainders; their reciprocals squared are infinite."""
    kernel, layout, state = setting(name, actions="orders")
    stocks = [f for f in ("inventory", "stores", "warehouses") if hasattr(state, f)]
    state = type(state)(**{**vars(state), **{f: getattr(state, f) * 0 + size for f in stocks}})
    network = make_policy(policy, layout)
    total = torch.zeros(())
    for _ in range(3):
        state, reward, _ = kernel.advance(state, network(kernel.observe(state)), torch.ones(64, layout_demands(kernel)))
        total = total - reward.sum()
    total.backward()
    for part, parameter in network.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), part


def layout_demands(kernel: Any) -> int:
    return int(getattr(kernel, "num_stores", 1))


@pytest.mark.parametrize("name", PROBLEMS)
def test_layout_survives_the_checkpoint(name: str) -> None:
    _, layout, _ = setting(name)
    assert Layout.from_tensor(layout.to_tensor()) == layout
    broken = torch.tensor(list(b'{"kind": "store", "nonsense": 1}'), dtype=torch.uint8)
    with pytest.raises(ValueError, match="layout"):
        Layout.from_tensor(broken)


@pytest.mark.parametrize(("name", "policy"), [f for f in FITTING if "stock" in f[1]])
def test_rules_do_not_depend_on_how_stock_is_observed(name: str, policy: str) -> None:
    orders = []
    for observation in ("raw", "scaled"):
        kernel, layout, state = setting(name, observation=observation)
        orders.append(make_policy(policy, layout).orders(kernel.observe(state)))
    assert torch.allclose(orders[0], orders[1], atol=1e-4)


def test_base_stock_of_a_store_by_hand() -> None:
    _, layout, _ = setting("store", observation="raw")
    policy: Any = make_policy("capped_base_stock", layout)
    set_levels(policy, (17,))
    set_level(policy.cap, [6 / 5])
    rows = torch.tensor([[3.0, 4.0, 8.0, 0.0], [9.0, 9.0, 0.0, 0.0], [-2.0, 1.0, 0.0, 0.0]])
    assert torch.allclose(policy.orders(rows), torch.tensor([[2.0], [0.0], [6.0]]), atol=1e-5)


def test_dual_index_by_hand() -> None:
    """Store 1: warehouse 1 only (lead time 1). Store 2: warehouse 2 (lead time 1) is quicker than 1 (2)."""
    _, layout, _ = setting("warehouses", observation="raw")
    policy: Any = make_policy("base_stock", layout)
    set_level(policy.level, torch.tensor([[10, 99], [24, 12], [99, 20]]) / 5)
    set_level(policy.upper_level, torch.tensor([20, 30]) / 7.5)
    stores = torch.tensor([[4.0, 1, 0, 0, 0], [2.0, 3, 9, 0, 0], [1.0, 2, 3, 4, 0]])
    warehouses = torch.tensor([[6.0, 5, 0, 0], [2.0, 0, 0, 0]])
    rows = torch.cat((stores.flatten(), warehouses.flatten()))[None]
    orders = policy.orders(rows)[0]
    # Store 2 wants 12 - (2 + 3) = 7 quickly; then 24 - (14 + 7) = 3 slowly. Warehouse 1 ships 5 + 3 > 6, keeps 5.
    expected = torch.tensor([5.0, 0, 3, 7, 0, 10, 15, 30])
    assert torch.allclose(orders, expected, atol=1e-4)


def test_echelon_levels_are_sums_from_the_store_up() -> None:
    _, layout, _ = setting("chain", observation="raw")
    policy: Any = make_policy("echelon_stock", layout)
    set_levels(policy, (20, 35, 55, 65))
    stock = torch.zeros(1, *layout_shape(layout))
    stock[0, :, 0] = torch.tensor([18.0, 12, 30, 1])
    orders = policy.orders(stock.flatten(1))
    assert torch.allclose(orders, torch.tensor([[2.0, 5, 0, 4]]), atol=1e-4)


def layout_shape(layout: Layout) -> tuple[int, int]:
    return layout.places, layout.slots[0]


def test_transshipment_rule_meets_the_published_bound() -> None:
    kernel: Any = make_kernel(Transshipment, preset="3-L2-p4-corr0.5", actions="orders")
    layout = describe(kernel)
    policy: Any = make_policy("base_stock", layout)
    p = kernel.params
    means, sds = torch.tensor(p.means), torch.tensor(p.sds)
    variance = 0.5 * (sds**2).sum() + 0.5 * sds.sum() ** 2
    top = means.sum() * 6 + norm.ppf(0.8) * (3 * variance + 3 * sds.sum() ** 2).sqrt()
    set_level(policy.level, torch.full((3, 1), 3.0))
    set_level(policy.upper_level, [float(top / means.sum())])
    result = long_run_cost(kernel, policy, scenarios=1024, periods=300, warm_up=50)
    assert result.mean / 3 == pytest.approx(5.754, rel=0.01)


def test_the_graph_treats_like_stores_alike() -> None:
    kernel = make_kernel(ManyStores, **ALIKE, lead_times=(2, 2, 2))
    layout = describe(kernel)
    network = make_policy("graph", layout)
    rows = torch.rand(16, layout.num_inputs)
    slots = layout.slots[0]
    order = [2, 0, 1]
    moved = rows.clone()
    moved[:, : 3 * slots] = rows[:, : 3 * slots].unflatten(1, (3, slots))[:, order].flatten(1)
    orders, after = network.orders(rows), network.orders(moved)
    assert torch.allclose(after[:, :3], orders[:, order], atol=1e-5)
    assert torch.allclose(after[:, 3], orders[:, 3], atol=1e-5)


def test_stores_of_the_symmetric_network_share_their_weights() -> None:
    sizes = []
    for preset in ("3", "50"):
        network: Any = make_policy("symmetric", describe(make_kernel(ManyStores, preset=preset)))
        sizes.append(sum(p.numel() for p in network.store.parameters()))
    assert sizes[0] == sizes[1]


def test_whole_units_are_ordered_at_work() -> None:
    kernel, layout, state = setting("poisson", actions="scaled")
    assert layout.whole and not setting("store")[1].whole
    network = make_policy("vanilla", layout)
    action = network(kernel.observe(state), whole=True)
    orders = kernel.orders(state, action)
    assert torch.allclose(orders, network.orders(kernel.observe(state)).round(), atol=1e-4)


@pytest.mark.parametrize("actions", ["orders", "scaled"])
def test_traces_take_the_vanilla_network_only(actions: str) -> None:
    layout = describe(make_kernel(TracedStore, actions=actions))
    network: OrderPolicy = make_policy("auto", layout)
    action: Tensor = network(torch.rand(4, layout.num_inputs))
    assert bool((action >= (0 if actions == "orders" else -1)).all())
    with pytest.raises(ValueError, match="network='base_stock' is not made for this problem"):
        make_policy("base_stock", layout)


def test_misfits_are_named() -> None:
    layout = describe(make_kernel(SerialSystem))
    with pytest.raises(
        ValueError, match=r"is not made for this problem \(a chain\); use vanilla or graph or echelon_stock"
    ):
        make_policy("symmetric", layout)
    with pytest.raises(ValueError, match="did you mean 'graph'"):
        make_policy("grph", layout)


@pytest.mark.parametrize(
    ("name", "policy", "levels", "message"),
    [
        ("chain", "echelon_stock", (20, 10, 30, 40), "must be 4 growing numbers above 0"),
        ("store", "base_stock", (-1,), "must be 1 growing numbers above 0"),
        ("stores", "base_stock", (1,), "BaseStock for a network has no levels that can be set"),
        ("chain", "vanilla", (1,), "VanillaNetwork for a chain has no levels"),
    ],
)
def test_levels_that_cannot_be_set_are_refused(name: str, policy: str, levels: Any, message: str) -> None:
    _, layout, _ = setting(name)
    with pytest.raises(ValueError, match=message):
        set_levels(make_policy(policy, layout), levels)
