"""Plans by linear programme: published oracle profits, brute force, the newsvendor's quantile, bounds that hold."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite.core.evaluate import evaluate
from rlsuite.inventory.classical.play import draw_noise, play
from rlsuite.inventory.classical.policies import EchelonNewsvendor, EconomicOrder, Newsvendor
from rlsuite.inventory.programmes.planning import (
    DeterministicProgramme,
    PlannedOrders,
    StochasticProgramme,
    bound,
    oracle,
)
from rlsuite.inventory.programmes.programme import Programme
from rlsuite_envs.inventory.networks.supply_network import SupplyNetwork
from rlsuite_envs.inventory.networks.topology import Link, Node, Topology
from rlsuite_envs.kernel import make_kernel

SEEDS = (42, 123, 456, 789, 1011, 2022, 3033, 4044, 5055, 6066)


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network(scenario: str = "serial-stationary-backlog", **constants: Any) -> SupplyNetwork:
    constants = {"action": "orders", "dtype": "float64", **constants}
    return make_kernel(SupplyNetwork, scenario=scenario, **constants)


def given_demand(demand: np.ndarray) -> Any:
    """Noise that is this demand [S, T, M]."""
    tensor = torch.as_tensor(demand, dtype=torch.float64)
    return lambda state, t: tensor[:, t]


# --- The oracle


@pytest.mark.parametrize(
    ("scenario", "profit"),
    [
        ("serial-stationary-backlog", 1023.9),
        ("serial-stationary-lost", 1023.8),
        ("divergent-stationary-backlog", 845.7),
        ("divergent-shock-backlog", 2454.0),
    ],
)
def test_the_oracle_earns_its_published_profit(scenario: str, profit: float) -> None:
    kernel = network(scenario)
    means = [kernel.params.base_demand(t)[0] for t in range(30)]
    paths = [[[float(rng.poisson(mean))] for mean in means] for rng in map(np.random.default_rng, SEEDS)]
    found = oracle(kernel, given_demand(np.array(paths)), len(SEEDS))
    assert found.bound.mean() == pytest.approx(profit, abs=0.051)
    np.testing.assert_allclose(found.played.rewards.numpy(), found.bound, rtol=1e-9)  # carried out as planned
    assert found.exact


def tiny(**changes: Any) -> SupplyNetwork:
    """Raw material -> factory (yield 2) -> shop -> market, lead times 0 and 1, three periods."""
    nodes = (Node(0), Node(1, 1, 0.3), Node(2, 2, 0.1, capacity=3, product_yield=2.0, operating=0.2), Node(3))
    links = (
        Link(1, 0, price=3.0, shortage=changes.pop("shortage", 0.7)),
        Link(2, 1, lead_time=1, price=1.0, holding=0.05, fixed_cost=changes.pop("fixed", 0.0)),
        Link(3, 2, lead_time=0, price=0.4),
    )
    return network("serial-stationary-backlog", topology=Topology(nodes, links), horizon=3, **changes)


@pytest.mark.parametrize("changes", [{}, {"backlog": False}, {"alpha": 0.8}, {"fixed": 1.5}, {"shortage": 0.0}])
@pytest.mark.parametrize("demand", [(1.0, 3.0, 2.0), (4.0, 0.0, 3.0)])
def test_the_oracle_is_the_best_of_all_orders(changes: dict[str, Any], demand: tuple[float, ...]) -> None:
    kernel, wanted = tiny(**changes), np.reshape(demand, (1, 3, 1))
    # Half units of raw material make whole ones of goods. Nothing ordered from the factory in the last period, and
    # no raw material in the last two, can be sold: the rest is all that could be best.
    goods, raw = np.arange(0.0, 5.0), np.arange(0.0, 3.5, 0.5)
    orders = np.array(list(itertools.product(goods, goods, raw)))
    orders = np.stack((orders[:, [0, 2]], orders[:, [1, 1]] * [1, 0], 0 * orders[:, :2]), axis=1)
    noise = given_demand(wanted.repeat(len(orders), 0))
    best = play(kernel, PlannedOrders(kernel, orders), noise, len(orders)).rewards.max().item()
    found = oracle(kernel, given_demand(wanted), 1)
    assert found.bound[0] == pytest.approx(best, abs=1e-6)
    assert found.played.rewards[0].item() == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize(
    "scenario",
    [
        "serial-shock-goodwill-backlog",
        "divergent-seasonal-goodwill-lost",
        "divergent-stationary-lost",
        "tree",
        "w",
    ],
)
def test_nobody_beats_the_bound(scenario: str) -> None:
    kernel, episodes = network(scenario), 6
    noise = draw_noise(kernel, episodes, 4)
    found = oracle(kernel, noise, episodes)
    rng = np.random.default_rng(1)
    policies = [
        Newsvendor(kernel),
        Newsvendor(kernel, "holt"),
        EchelonNewsvendor(kernel),
        EconomicOrder(kernel, "moving"),
        DeterministicProgramme(kernel),
        *(PlannedOrders(kernel, rng.gamma(1.0, 20.0, found.orders.shape)) for _ in range(20)),
    ]
    for policy in policies:
        profit = play(kernel, policy, noise, episodes).rewards.numpy()
        assert (profit <= found.bound + 1e-6).all(), policy
    oracles = found.played.rewards.numpy()
    assert (oracles <= found.bound + 1e-6).all()
    if kernel.params.goodwill:
        assert not found.exact
        assert oracles.mean() > play(kernel, policies[0], noise, episodes).rewards.mean().item()
        # The replay is the policy's true profit.
        again = play(kernel, PlannedOrders(kernel, found.orders), noise, episodes)
        np.testing.assert_allclose(again.rewards.numpy(), oracles, rtol=1e-9)
    else:
        np.testing.assert_allclose(oracles, found.bound, rtol=1e-9)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    backlog=st.booleans(),
    goodwill=st.booleans(),
    alpha=st.sampled_from([1.0, 0.9]),
)
def test_random_orders_never_beat_the_bound(seed: int, backlog: bool, goodwill: bool, alpha: float) -> None:
    kernel = network(backlog=backlog, goodwill=goodwill, alpha=alpha, horizon=8)
    noise = draw_noise(kernel, 5, seed)
    orders = np.random.default_rng(seed).gamma(0.7, 30.0, (5, 8, 3))
    profit = play(kernel, PlannedOrders(kernel, orders), noise, 5).rewards.numpy()
    assert (profit <= bound(kernel, noise, 5) + 1e-6).all()


# --- Rolling programmes


@pytest.mark.parametrize("policy", [DeterministicProgramme, StochasticProgramme])
def test_without_noise_planning_again_and_again_is_perfect_information(policy: Any) -> None:
    kernel = network("divergent-m5-backlog")
    noise = draw_noise(kernel, 1, 0)
    options = {"paths": 3} if policy is StochasticProgramme else {}
    profit = play(kernel, policy(kernel, **options), noise, 1).rewards.item()
    assert profit == pytest.approx(oracle(kernel, noise, 1).bound[0], rel=1e-6)


@pytest.mark.parametrize("cost", [0.3, 1.0, 1.8])
def test_one_period_of_samples_is_the_newsvendors_quantile(cost: float) -> None:
    nodes = (Node(0), Node(1, 0, 0.5), Node(2))
    links = (Link(1, 0, price=2.0, shortage=0.25), Link(2, 1, lead_time=0, price=cost))
    kernel = network(topology=Topology(nodes, links), horizon=1)
    demand = np.random.default_rng(3).poisson(20.0, 101).astype(float)
    plan = Programme(kernel, 1, 101).solve(np.zeros(1), np.zeros(0), np.zeros(1), demand[:, None, None])
    # Short: price + shortage - cost per unit; left over: cost + holding.
    ratio = (2.25 - cost) / (2.25 - cost + cost + 0.5)
    assert plan.orders[0, 0] == pytest.approx(np.quantile(demand, ratio, method="inverted_cdf"))


def test_samples_beat_the_mean_and_both_beat_rules_where_demand_is_uncertain() -> None:
    kernel, episodes = network("serial-stationary-lost"), 6
    noise = draw_noise(kernel, episodes, 8)
    profit = {
        name: play(kernel, policy, noise, episodes).rewards.mean().item()
        for name, policy in {
            "samples": StochasticProgramme(kernel),
            "mean": DeterministicProgramme(kernel),
            "rule": Newsvendor(kernel),
        }.items()
    }
    assert profit["samples"] > profit["mean"] > profit["rule"]
    ideal = oracle(kernel, noise, episodes).bound.mean()
    assert profit["samples"] > 0.93 * ideal  # published for the whole benchmark: 95 %


def test_plans_are_functions_of_what_is_observed() -> None:
    kernel = make_kernel(SupplyNetwork, scenario="serial-seasonal-backlog")
    policy, rng = StochasticProgramme(kernel, "moving", paths=3), torch.Generator().manual_seed(1)
    state, memory, kept = kernel.initial_state(2, rng), policy.begin(2), None
    for _ in range(7):
        action, memory = policy.act(state, memory)
        predicted, kept = policy.predict(kernel.observe(state).numpy(), kept)
        np.testing.assert_allclose(predicted, action.numpy(), atol=1e-3)
        state, _, _ = kernel.advance(state, action, kernel.sample_exogenous(state, rng))
    result = evaluate(policy, "rlsuite/SupplyNetwork-serial-seasonal-backlog-v0", episodes=2, seed=0)
    assert np.isfinite(result.returns).all()


def test_samples_are_stratified_and_the_same_every_time() -> None:
    kernel = network(distribution="uniform")
    policy = StochasticProgramme(kernel, paths=5, random_periods=2)
    mean = np.full((4, 1), 20.0)
    demand = policy._demand(mean, 3)
    np.testing.assert_array_equal(demand, StochasticProgramme(kernel, paths=5, random_periods=2)._demand(mean, 3))
    assert demand.shape == (5, 4, 1)
    np.testing.assert_array_equal(np.sort(demand[:, 0, 0] // 8.0), np.arange(5.0))  # uniform on [0, 40]: fifths of it
    np.testing.assert_array_equal(demand[:, 2:], 20.0)


# --- Common random numbers


def test_demands_are_the_same_for_every_policy_without_goodwill() -> None:
    kernel = network("divergent-shock-lost")
    played = [
        play(kernel, policy, draw_noise(kernel, 50, 9), 50)
        for policy in (Newsvendor(kernel), EconomicOrder(kernel, "moving"))
    ]
    torch.testing.assert_close(played[0].noise, played[1].noise, rtol=0, atol=0)
    means = torch.tensor([kernel.params.base_demand(t)[0] for t in range(30)])
    z = (played[0].noise[..., 0].mean(0) - means) / (means / 50).sqrt()
    assert z.abs().max() < 4 and 0.5 < z.std() < 1.5


def test_with_goodwill_content_customers_ask_for_no_less() -> None:
    kernel = network("serial-seasonal-goodwill-lost")
    few, many = (
        play(kernel, PlannedOrders(kernel, np.full((40, 30, 3), units)), draw_noise(kernel, 40, 2), 40)
        for units in (0.0, 60.0)
    )
    assert (many.info["sentiment"] >= few.info["sentiment"]).all()
    assert (many.noise >= few.noise).all() and (many.noise > few.noise).any()


# --- Bad input


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (
            lambda: DeterministicProgramme("rlsuite/LostSales-v0"),
            TypeError,
            "plans supply networks, not LostSales",
        ),
        (lambda: DeterministicProgramme(network(), "holt"), ValueError, "forecast='holt' must be"),
        (lambda: DeterministicProgramme(network(), horizon=0), ValueError, "horizon=0 must be"),
        (lambda: StochasticProgramme(network(), paths=0), ValueError, "paths=0 must be"),
        (lambda: StochasticProgramme(network(), random_periods=-1), ValueError, "random_periods=-1"),
        (
            lambda: oracle(network(action="relative"), given_demand(np.zeros((1, 30, 1))), 1),
            ValueError,
            "orders",
        ),
        (
            lambda: bound(network(goodwill=True, noise_scale=2.0), given_demand(np.zeros((1, 30, 1))), 1),
            ValueError,
            "noise_scale=2: no bound is known",
        ),
    ],
)
def test_mistakes_are_named(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()


def test_sampled_demands_are_not_drawn_as_the_real_ones(monkeypatch):
    """NumPy's generator of [seed, 0] is that of the seed alone, which draws the demands that come."""
    states = []
    original = np.random.default_rng

    def watched(seed):
        rng = original(seed)
        states.append(rng.bit_generator.state["state"]["state"])
        return rng

    programme = StochasticProgramme(network(), paths=2, seed=5)
    monkeypatch.setattr(np.random, "default_rng", watched)
    for period in range(3):
        programme._demand(np.ones((4, 1)), period)
    assert len(states) == len(set(states)) == 3
    assert original(5).bit_generator.state["state"]["state"] not in states
