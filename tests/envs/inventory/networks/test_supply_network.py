"""Supply networks: hand-computed steps, conservation, discount, goodwill, demand, pictures."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from rlsuite_envs.inventory.networks.scenarios import M5_SERIES, SCENARIOS, SupplyNetworkParams
from rlsuite_envs.inventory.networks.supply_network import SupplyNetwork, SupplyNetworkState
from rlsuite_envs.inventory.networks.topology import Link, Node, Topology
from rlsuite_envs.kernel import make_kernel, tree_map

RNG = torch.Generator()


def network(scenario: str = "serial-stationary-backlog", **constants: Any) -> SupplyNetwork:
    """A float64 kernel that takes orders in units."""
    return make_kernel(SupplyNetwork, scenario=scenario, dtype="float64", **{"action": "orders", **constants})


def step(
    kernel: SupplyNetwork, state: SupplyNetworkState, orders: list[float], *demand: float
) -> tuple[SupplyNetworkState, float]:
    """One step of one environment."""
    action, noise = torch.tensor([orders], dtype=torch.float64), torch.tensor([demand], dtype=torch.float64)
    state, reward, terminated = kernel.advance(state, action, noise)
    assert not terminated.item()
    return state, reward.item()


def test_a_step_of_the_serial_network_by_hand() -> None:
    kernel = network()
    state, reward = step(kernel, kernel.initial_state(1, RNG), [30.0, 50.0, 70.0], 25.0)
    # Node 1 sells 25 of 100; node 2 ships 30 of 100; node 3 ships 50 of 200 and gets 70 of raw material at once.
    assert state.stock.tolist() == [[75.0, 70.0, 220.0]]
    assert state.pipeline.tolist() == [[0, 0, 0, 30.0, 0, 0, 0, 50.0]]
    sales, raw, operating = 2.0 * 25, 0.5 * 70, 0.01 * 50
    holding = 0.03 * 75 + 0.02 * 70 + 0.01 * 220 + 0.01 * 30 + 0.005 * 50
    assert reward == pytest.approx(sales - raw - operating - holding, abs=1e-12)
    # 90 customers more than stock wait, and cost 0.1 each; node 2 can ship no more than its 70.
    state, reward = step(kernel, state, [100.0, 120.0, 0.0], 165.0)
    assert state.stock.tolist() == [[0.0, 0.0, 120.0]]
    assert state.unmet.tolist() == [[90.0]]
    assert state.pipeline.tolist() == [[0, 0, 30.0, 70.0, 0, 0, 50.0, 100.0]]  # the factory makes 100, not 120
    holding = 0.01 * 120 + 0.01 * 100 + 0.005 * 150
    assert reward == pytest.approx(2.0 * 75 - 0.01 * 100 - holding - 0.1 * 90, abs=1e-12)


def test_goods_arrive_after_the_lead_time_and_can_be_sold_at_once() -> None:
    kernel = network()
    state = kernel.initial_state(1, RNG)
    state, _ = step(kernel, state, [20.0, 0.0, 0.0], 100.0)
    for _ in range(3):
        assert state.stock[0, 0] == 0
        state, _ = step(kernel, state, [0.0, 0.0, 0.0], 0.0)
    state, _ = step(kernel, state, [0.0, 0.0, 0.0], 15.0)  # the fifth period: ordered in the first, lead time 4
    assert state.stock[0, 0] == 5
    assert state.unmet[0, 0] == 0


@pytest.mark.parametrize("backlog", [True, False])
def test_waiting_demand_comes_back_only_with_backlog(backlog: bool) -> None:
    kernel = network(backlog=backlog)
    state, _ = step(kernel, kernel.initial_state(1, RNG), [50.0, 0.0, 0.0], 130.0)
    assert state.unmet.item() == 30
    for _ in range(3):
        state, _ = step(kernel, state, [0.0, 0.0, 0.0], 0.0)
        assert state.unmet.item() == (30 if backlog else 0)
    state, _ = step(kernel, state, [0.0, 0.0, 0.0], 10.0)
    assert (state.unmet.item(), state.stock[0, 0].item()) == (0, 10 if backlog else 40)
    # Each period's unmet demand is counted, also in the four it waited for the goods.
    assert kernel.info(state)["unfulfilled"].item() == (120 if backlog else 30)


def test_links_of_one_supplier_are_served_in_order() -> None:
    kernel = network("divergent-stationary-backlog")
    names = [(link.source, link.target) for link in kernel.params.graph.order_links]
    orders = [0.0] * 11
    orders[names.index((4, 2))], orders[names.index((4, 3))] = 70.0, 50.0  # factory 4: capacity 90
    orders[names.index((6, 2))], orders[names.index((6, 3))] = 100.0, 5.0  # factory 6: capacity 80
    state, _ = step(kernel, kernel.initial_state(1, RNG), orders, 20.0)
    filled = dict(zip(names, _newest(kernel, state), strict=True))
    assert filled[4, 2] == 70
    assert filled[4, 3] == 20
    assert filled[6, 2] == 80
    assert filled[6, 3] == 0
    assert state.stock[0, 3:].tolist() == [310, 350, 300]


def _newest(kernel: SupplyNetwork, state: SupplyNetworkState) -> list[float]:
    """What each link was last filled with (0 for lead time 0)."""
    newest = [0.0] * kernel.net.num_orders
    for slot, link in enumerate(kernel.net.slot_link.tolist()):
        newest[link] = state.pipeline[0, slot].item()  # the last slot of a link wins
    return newest


def test_yield_uses_up_more_stock_than_it_ships() -> None:
    graph = Topology(
        (
            Node("m"),
            Node("shop", 0),
            Node("mill", 100, capacity=60, product_yield=0.5, operating=0.1),
            Node("raw"),
        ),
        (
            Link("shop", "m", price=3.0),
            Link("mill", "shop", 1, price=2.0, fixed_cost=4.0),
            Link("raw", "mill", 0, price=0.25),
        ),
    )
    kernel = network(topology=graph)
    start = kernel.initial_state(1, RNG)
    state, reward = step(kernel, start, [20.0, 8.0], 0.0)
    assert state.stock.tolist() == [[100 - 20 / 0.5 + 8, 0.0]]  # ids in order: mill, shop
    assert reward == pytest.approx(-0.25 * 8 - 0.1 / 0.5 * 20 - 4.0, abs=1e-12)
    state, _ = step(kernel, start, [1000.0, 0.0], 0.0)
    assert state.stock.tolist() == [[0.0, 0.0]]  # 50 = 0.5 * 100 shipped, less than the capacity of 60


def test_alpha_discounts_profit_by_period() -> None:
    full, half = network(), network(alpha=0.5)
    left, right = full.initial_state(1, RNG), half.initial_state(1, RNG)
    total = 0.0
    for t in range(5):
        left, reward = step(full, left, [20.0, 10.0, 30.0], 19.0 + t)
        right, discounted = step(half, right, [20.0, 10.0, 30.0], 19.0 + t)
        assert discounted == pytest.approx(0.5**t * reward, rel=1e-12)
        total += discounted
    assert half.info(right)["profit"].item() == pytest.approx(total, rel=1e-12)


def test_relative_rewards_are_shares_of_nominal_revenue() -> None:
    money, shares = network("tree"), network("tree", reward="relative")
    orders = [10.0] * 5
    left, profit = step(money, money.initial_state(1, RNG), orders, 12.0, 100.0, 9.0)
    right, share = step(shares, shares.initial_state(1, RNG), orders, 12.0, 100.0, 9.0)
    assert share == pytest.approx(profit / (2.5 * (15 + 20 + 10)), rel=1e-12)
    assert left.totals.profit.item() == right.totals.profit.item() == pytest.approx(profit, rel=1e-12)


def test_goodwill_follows_unmet_demand_one_period_later() -> None:
    kernel = network(goodwill=True)
    state = kernel.initial_state(1, RNG)
    assert kernel.mean_demand(state).item() == 20
    state, _ = step(kernel, state, [0.0, 0.0, 0.0], 150.0)
    assert state.sentiment.item() == 1  # the first period moves nothing
    for periods in range(1, 25):
        assert kernel.mean_demand(state).item() == pytest.approx(20 * max(0.2, 0.9**periods), rel=1e-12)
        state, _ = step(kernel, state, [0.0, 0.0, 0.0], 1.0)
    assert state.sentiment.item() == 0.2
    content = kernel.initial_state(1, RNG)
    for periods in range(30):
        assert kernel.mean_demand(content).item() == pytest.approx(20 * 1.01 ** max(0, periods), rel=1e-12)
        content, _ = step(kernel, content, [20.0, 20.0, 20.0], 1.0)


def test_demand_follows_trend_season_and_shock() -> None:
    params = SCENARIOS["serial-shock-backlog"]
    means = np.array([params.base_demand(t)[0] for t in range(30)])
    t = np.arange(30)
    expected = 20 * (1 + 0.05 * t) * (1 + 0.5 * np.sin(2 * np.pi * t / 30)) * np.where(t >= 15, 2, 1)
    np.testing.assert_allclose(means, expected, rtol=1e-12)
    calm = SCENARIOS["serial-seasonal-backlog"]
    without = np.array([calm.base_demand(i)[0] for i in range(30)])
    np.testing.assert_allclose(without, expected / np.where(t >= 15, 2, 1), rtol=1e-12)


def test_the_m5_series_has_mean_20_and_no_noise() -> None:
    assert sum(M5_SERIES) / len(M5_SERIES) == pytest.approx(20, rel=1e-12)
    kernel = network("serial-m5-backlog")
    state = kernel.initial_state(3, RNG)
    for t in range(30):
        demand = kernel.sample_exogenous(state, RNG)
        np.testing.assert_allclose(demand, [[M5_SERIES[t]]] * 3, rtol=1e-12)
        state, *_ = kernel.advance(state, torch.zeros(3, 3, dtype=torch.float64), demand)


def test_fixed_demand_is_exact_and_scaled_by_sentiment() -> None:
    series = tuple(float(i % 7) for i in range(30))
    kernel = network(fixed_demand=(series,), goodwill=True, trend=True)
    state = kernel.initial_state(1, RNG)
    state, _ = step(kernel, state, [0.0, 0.0, 0.0], 101.0)
    assert kernel.sample_exogenous(state, RNG).item() == pytest.approx(0.9 * series[1])


@pytest.mark.parametrize(
    ("distribution", "scale", "variance"),
    [("poisson", 1.0, 20.0), ("poisson", 0.5, 5.0), ("normal", 1.0, 20.0), ("uniform", 1.0, 400 / 3)],
)
def test_demand_has_its_mean_and_variance(distribution: str, scale: float, variance: float) -> None:
    kernel = network(distribution=distribution, noise_scale=scale)
    num = 200_000
    draws = kernel.sample_exogenous(kernel.initial_state(num, RNG), torch.Generator().manual_seed(0))
    assert draws.shape == (num, 1)
    assert draws.min() >= 0
    assert draws.mean().item() == pytest.approx(20, abs=5 * (variance / num) ** 0.5)  # five standard errors
    assert draws.var().item() == pytest.approx(variance, rel=0.03)


def test_noise_scale_floors_demand_at_zero() -> None:
    kernel = network(base_mean=1.0, noise_scale=3.0)
    draws = kernel.sample_exogenous(kernel.initial_state(5000, RNG), torch.Generator().manual_seed(0))
    # max(0, 1 + 3 (n - 1)) for n = 0, 1, 2, ...
    assert set(draws.unique().tolist()) <= {0.0, *(1.0 + 3.0 * k for k in range(12))}
    assert draws.min() == 0


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_goods_are_conserved(scenario: str) -> None:
    kernel = network(scenario)
    rng = torch.Generator().manual_seed(1)
    state = kernel.initial_state(50, rng)
    raw = torch.isinf(kernel.net.unlimited)
    before, bought = _goods(state), torch.zeros(50, dtype=torch.float64)
    for _ in range(30):
        action = 80 * torch.rand(50, kernel.net.num_orders, generator=rng, dtype=torch.float64)
        state, *_ = kernel.advance(state, action, kernel.sample_exogenous(state, rng))
        bought += action[:, raw].sum(1)  # raw material is unlimited: filled in full
        assert state.stock.min() >= 0
        assert state.pipeline.min() >= 0
    # All yields are 1: stock and pipeline grew by what was bought outside less what was sold.
    torch.testing.assert_close(_goods(state) - before, bought - state.totals.sold, rtol=0, atol=1e-8)


def _goods(state: SupplyNetworkState) -> Tensor:
    return state.stock.sum(1) + state.pipeline.sum(1)


def test_relative_orders_run_from_nothing_over_the_share_to_the_reach() -> None:
    kernel = make_kernel(SupplyNetwork, dtype="float64")
    shares = kernel.orders(torch.zeros(1, 11))[0]
    names = {(link.source, link.target): i for i, link in enumerate(kernel.params.graph.order_links)}
    assert shares[names[2, 1]] == shares[names[3, 1]] == 10  # two suppliers share the demand of 20
    assert shares[names[4, 2]].item() == pytest.approx(10 / 3)
    torch.testing.assert_close(kernel.orders(torch.full((1, 11), -1.0))[0], 0 * shares)
    torch.testing.assert_close(kernel.orders(torch.full((1, 11), -0.5))[0], 0.5 * shares)
    torch.testing.assert_close(kernel.orders(torch.full((1, 11), 0.5))[0], 2.5 * shares)
    torch.testing.assert_close(kernel.orders(torch.full((1, 11), 7.0))[0], 4 * shares)


def test_scaled_observations_are_of_order_one() -> None:
    for scenario in SCENARIOS:
        kernel = make_kernel(SupplyNetwork, scenario=scenario)
        rng = torch.Generator().manual_seed(0)
        state = kernel.initial_state(64, rng)
        sizes = []
        for _ in range(30):
            action = torch.zeros(64, kernel.net.num_orders)  # each link's share of the demand
            state, *_ = kernel.advance(state, action, kernel.sample_exogenous(state, rng))
            sizes.append(kernel.observe(state).abs().mean(0))
        assert torch.stack(sizes).mean(0).max() < 40  # waiting demand under a shock that nobody answers
        assert torch.stack(sizes).mean() < 2


def test_post_decision_knows_everything_but_demand() -> None:
    kernel = network("divergent-shock-goodwill-backlog", observation="raw")
    state = kernel.initial_state(4, RNG)
    action = torch.full((4, 11), 9.0, dtype=torch.float64)
    state, *_ = kernel.advance(state, action, torch.full((4, 1), 130.0, dtype=torch.float64))
    post, reward = kernel.post_decision(state, action)
    nothing, sold = kernel.transition(post, torch.zeros(4, 1, dtype=torch.float64))[:2]
    assert kernel.observe_post(post).shape == kernel.observe(state).shape
    torch.testing.assert_close(nothing.pipeline, post.pipeline)
    assert post.sentiment[0] == pytest.approx(0.9)
    whole = kernel.advance(state, action, torch.zeros(4, 1, dtype=torch.float64))[1]
    torch.testing.assert_close(whole, reward + sold)


def test_profit_is_differentiable_in_the_orders() -> None:
    kernel = network("divergent-stationary-backlog")
    demand = torch.tensor([[[19.0], [23.0]], [[31.0], [12.0]], [[55.0], [60.0]]], dtype=torch.float64)

    def profit(orders: Tensor) -> Tensor:
        state = kernel.initial_state(2, RNG)
        for t in range(3):
            state, *_ = kernel.advance(state, orders[t], demand[t])
        return state.totals.profit

    orders = 5 + 40 * torch.rand(3, 2, 11, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert torch.autograd.gradcheck(profit, orders.requires_grad_())


@pytest.mark.parametrize("scenario", ["divergent-shock-goodwill-lost", "tree"])
def test_pictures_show_state_and_episode(scenario: str) -> None:
    kernel = make_kernel(SupplyNetwork, scenario=scenario)
    rng = torch.Generator().manual_seed(0)
    state = kernel.initial_state(1, rng)
    states, actions, rewards, frames = [state], [], [], [kernel.render(state)]
    for _ in range(5):
        action = torch.rand(1, kernel.net.num_orders, generator=rng) * 2 - 1
        state, reward, _ = kernel.advance(state, action, kernel.sample_exogenous(state, rng))
        states.append(state)
        actions.append(action)
        rewards.append(reward)
        frames.append(kernel.render(state))
    picture = kernel.render_episode(
        tree_map(lambda *parts: torch.cat(parts), *states), torch.cat(actions), torch.cat(rewards)
    )
    for image in (*frames, picture):
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.std() > 5
    assert not np.array_equal(frames[0], frames[-1])


def test_ids_and_scenario_names_make_the_same_environment() -> None:
    by_id: Any = gym.make("rlsuite/SupplyNetwork-serial-shock-lost-v0").unwrapped
    by_name: Any = gym.make("rlsuite/SupplyNetwork-v0", scenario="serial-shock-lost").unwrapped
    assert by_id.kernel.params == by_name.kernel.params == SCENARIOS["serial-shock-lost"]
    assert gym.make("rlsuite/SupplyNetwork-v0").unwrapped.kernel.params == SupplyNetworkParams()  # type: ignore
    with pytest.raises(ValueError, match=r"scenario='serial-shok'.*serial-shock"):
        gym.make("rlsuite/SupplyNetwork-v0", scenario="serial-shok")
