"""Supply networks repeat gym-invmgmt 0.2.1 step for step, on all its scenarios; its published profits come out.

`supply_network_record.json` holds what the package did (so that machines without it check, too): per scenario
the demands, each period's reward and sums of the observation, and the key figures. Seeds and orders are the
functions below. Run this file to write it anew.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm

from rlsuite_envs.inventory.networks.scenarios import SCENARIOS, SupplyNetworkParams
from rlsuite_envs.inventory.networks.supply_network import SupplyNetwork, SupplyNetworkState
from rlsuite_envs.inventory.networks.topology import Node
from rlsuite_envs.kernel import make_kernel

RECORD = Path(__file__).with_name("supply_network_record.json")
SEED = 42
RNG = torch.Generator()
FILES = {"tree": "distribution_tree", "w": "w_network"}
ANCHOR_SEEDS = (42, 123, 456, 789, 1011, 2022, 3033, 4044, 5055, 6066)


def orders(t: int, num: int) -> np.ndarray:
    """Orders of period t, [num] units: quarters between 0 and 60, now and then none or a great many."""
    units = np.array([(37 * (t + 1) * (e + 2)) % 241 / 4 for e in range(num)])
    units[(np.arange(num) + t) % 9 == 4] = 0.0
    units[(np.arange(num) + t) % 17 == 3] = 700.5
    return units


def package(params: SupplyNetworkParams) -> Any:
    """gym-invmgmt's environment with the same constants."""
    import gym_invmgmt

    config: dict[str, Any] = {
        "effects": [name for name in ("trend", "seasonal", "shock") if getattr(params, name)],
        "base_mu": params.base_mean,
        "use_goodwill": params.goodwill,
        "noise_scale": params.noise_scale,
    }
    if params.external_series is not None:
        config["external_series"] = list(params.external_series)
    name = str(params.topology)
    if name in ("serial", "divergent"):
        where: dict[str, Any] = {"scenario": "network" if name == "divergent" else name}
    else:
        folder = Path(gym_invmgmt.__file__).parent / "topologies"
        where = {"scenario": "custom", "config_path": str(folder / f"{FILES.get(name, name)}.yaml")}
    return gym_invmgmt.CoreEnv(**where, demand_config=config, backlog=params.backlog, alpha=params.alpha)


def weights(size: int) -> np.ndarray:
    """What a recorded sum weighs the entries of an observation with: no two errors cancel by accident."""
    return np.sqrt(np.arange(1, size + 1))


def record(scenario: str) -> dict[str, Any]:
    """The package's episode in a scenario."""
    import gym_invmgmt.utils as utils

    env = package(SCENARIOS[scenario])
    obs, _ = env.reset(seed=SEED)
    sums, rewards, ends = [float(obs @ weights(obs.size))], [], []
    for t in range(env.num_periods):
        obs, reward, terminated, truncated, _ = env.step(orders(t, env.action_space.shape[0]))
        sums.append(float(obs @ weights(obs.size)))
        rewards.append(reward)
        ends.append([terminated, truncated])
    kpis = utils.compute_kpis(env)
    kpis["bullwhip_ratio"] = utils.compute_bullwhip(env)["bullwhip_ratio"]
    return {
        "high": float(env.action_space.high[0]),
        "demand": env.D.tolist(),
        "reward": rewards,
        "obs_sum": sums,
        "last_obs": obs.tolist(),
        "ends": [any(end[0] for end in ends), [end[1] for end in ends].index(True)],
        "kpis": kpis,
    }


def raw_kernel(scenario: str, **constants: Any) -> SupplyNetwork:
    """Ours, float64, with the package's observations and actions."""
    constants = {"observation": "raw", "action": "orders", "dtype": "float64", **constants}
    return make_kernel(SupplyNetwork, scenario=scenario, **constants)


def observe_exactly(kernel: SupplyNetwork, state: SupplyNetworkState) -> np.ndarray:
    """The raw observation [size] before rounding to float32."""
    last = torch.stack((state.t.to(torch.float64), state.sentiment), dim=1)
    exact = torch.cat((state.demand, state.unmet, state.stock, state.pipeline, last), dim=1)
    torch.testing.assert_close(kernel.observe(state), exact.to(torch.float32), rtol=0, atol=0)
    return exact[0].numpy()


def assert_figures_agree(kernel: SupplyNetwork, state: SupplyNetworkState, kpis: dict[str, float]) -> None:
    info = {name: value.item() for name, value in kernel.info(state).items()}
    pairs = {
        "profit": "total_profit",
        "fill_rate": "fill_rate",
        "average_inventory": "avg_inventory",
        "inventory_turns": "inventory_turns",
        "unmet": "total_backlog",
        "sentiment": "final_sentiment",
        "bullwhip_cv": "bullwhip_ratio",
    }
    for ours, theirs in pairs.items():
        assert info[ours] == pytest.approx(kpis[theirs], rel=1e-7, abs=1e-9), ours


def assert_agrees(scenario: str, recorded: dict[str, Any]) -> None:
    kernel = raw_kernel(scenario)
    state = kernel.initial_state(1, RNG)
    assert kernel.action_space.high[0] == pytest.approx(recorded["high"])
    for t, demand in enumerate(recorded["demand"]):
        exact = observe_exactly(kernel, state)
        assert float(exact @ weights(exact.size)) == pytest.approx(recorded["obs_sum"][t], rel=1e-12, abs=1e-8)
        action = torch.tensor(orders(t, kernel.net.num_orders))[None]
        state, reward, terminated = kernel.advance(state, action, torch.tensor([demand], dtype=torch.float64))
        assert reward.item() == pytest.approx(recorded["reward"][t], abs=1e-9)
        assert not terminated.item()
    np.testing.assert_allclose(observe_exactly(kernel, state), recorded["last_obs"], rtol=0, atol=1e-9)
    assert recorded["ends"] == [False, kernel.max_episode_steps - 1]  # truncated in the last period, as here
    assert_figures_agree(kernel, state, recorded["kpis"])
    unmet = float(np.sum(recorded["demand"])) - recorded["kpis"]["total_sold"]
    if kernel.params.backlog:
        assert kernel.info(state)["unmet"].item() == pytest.approx(unmet, abs=1e-8)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_agrees_with_the_record(scenario: str) -> None:
    assert_agrees(scenario, json.loads(RECORD.read_text())["scenarios"][scenario])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_agrees_with_the_package(scenario: str) -> None:
    pytest.importorskip("gym_invmgmt")
    assert_agrees(scenario, record(scenario))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_mean_demand_is_the_packages(scenario: str) -> None:
    pytest.importorskip("gym_invmgmt")
    env = package(SCENARIOS[scenario])
    env.reset(seed=SEED)
    kernel = raw_kernel(scenario, link_means=False)  # the package ignores the means of its files
    state = kernel.initial_state(1, RNG)
    for t in range(30):
        mean = kernel.mean_demand(state)
        env.step(orders(t, kernel.net.num_orders))
        np.testing.assert_allclose(mean, np.full(mean.shape, env.demand_engine.get_current_mu(t)), rtol=1e-12)
        action = torch.tensor(orders(t, kernel.net.num_orders))[None]
        state, *_ = kernel.advance(state, action, torch.tensor(env.D[t])[None])


def test_constants_and_units_of_the_networks_are_the_packages() -> None:
    pytest.importorskip("gym_invmgmt")
    for name in ("serial", "divergent", "assembly", "diamond", "tree", "w"):
        params = SupplyNetworkParams(topology=name)
        ours, theirs = params.graph, package(params).network
        assert [(link.source, link.target) for link in ours.order_links] == theirs.reorder_links
        assert [(link.source, link.target) for link in ours.market_links] == theirs.retail_links
        assert [node.id for node in ours.stock_nodes] == list(theirs.main_nodes)
        assert sorted(ours.raw) == sorted(theirs.rawmat)


# --- Published profits of simple policies: sheet of gym-invmgmt's results, ten seeds, serial network


def position(kernel: SupplyNetwork, state: SupplyNetworkState, number: int, node: Node) -> np.ndarray:
    """On hand plus under way to a node less the demand that waits there, [B]."""
    graph = kernel.params.graph
    units = state.stock[:, number].clone()
    for slot, link in enumerate(kernel.net.slot_link.tolist()):
        if graph.order_links[link].target == node.id:
            units += state.pipeline[:, slot]
    if kernel.params.backlog and any(link.source == node.id for link in graph.market_links):
        units -= state.unmet[:, 0]
    return np.asarray(units)


def newsvendor(kernel: SupplyNetwork, state: SupplyNetworkState, number: int, node: Node) -> np.ndarray:
    """Units to order at a node [B]: up to the newsvendor's fractile of demand over lead time and review."""
    graph = kernel.params.graph
    incoming = [link for link in graph.order_links if link.target == node.id]
    outgoing = [link for link in graph.links if link.source == node.id]
    if outgoing[0] in graph.market_links:
        short = outgoing[0].shortage
    else:
        short = max(max(link.price for link in outgoing) - min(link.price for link in incoming), 0.5)
    mean = 20.0 * (1 + max(link.lead_time or 0 for link in incoming))
    target = mean + norm.ppf(short / (short + node.holding)) * math.sqrt(mean)
    return np.maximum(0.0, target - position(kernel, state, number, node))


def order_point(kernel: SupplyNetwork, state: SupplyNetworkState, number: int, node: Node) -> np.ndarray:
    """Units to order at a node [B] by the (s, S) rule: at s or below, up to S."""
    incoming = [link for link in kernel.params.graph.order_links if link.target == node.id]
    mean = 20.0 * (1 + max(link.lead_time or 0 for link in incoming))
    low = mean + norm.ppf(0.95) * math.sqrt(mean)
    fixed = 10 * (node.holding if node.capacity is None else node.operating)
    now = position(kernel, state, number, node)
    return np.where(now <= low, low + math.sqrt(2 * 20.0 * fixed / node.holding) - now, 0.0)


@pytest.mark.parametrize(
    ("scenario", "policy", "profit", "fill"),
    [
        ("serial-stationary-backlog", newsvendor, 832.83, 0.9114),
        ("serial-stationary-lost", newsvendor, 856.94, None),
        ("divergent-stationary-backlog", newsvendor, 757.14, None),
        ("serial-stationary-backlog", order_point, 865.08, None),
        ("serial-stationary-lost", order_point, 864.10, None),
    ],
)
def test_policies_earn_their_published_profit(scenario: str, policy: Any, profit: float, fill: float | None) -> None:
    kernel = raw_kernel(scenario)
    links, nodes = kernel.params.graph.order_links, kernel.params.graph.stock_nodes
    # The package draws one Poisson number per period from NumPy's default generator with the episode's seed.
    paths = np.stack([np.random.default_rng(seed).poisson(20.0, 30) for seed in ANCHOR_SEEDS]).astype(float)
    state = kernel.initial_state(len(paths), RNG)
    for t in range(30):
        action = np.zeros((len(paths), len(links)))
        for number, node in enumerate(nodes):
            units = policy(kernel, state, number, node)
            shares = {
                e: 1 / (1 + x.price + 0.1 * (x.lead_time or 0)) for e, x in enumerate(links) if x.target == node.id
            }
            for e, share in shares.items():
                action[:, e] = units * share / sum(shares.values())
        state, *_ = kernel.advance(state, torch.tensor(action), torch.tensor(paths[:, t : t + 1]))
    info = kernel.info(state)
    assert info["profit"].mean().item() == pytest.approx(profit, abs=0.012)  # published to two decimals
    if fill is not None:
        assert info["fill_rate"].mean().item() == pytest.approx(fill, abs=5.1e-5)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return float(f"{value:.15g}") if isinstance(value, float) and not isinstance(value, bool) else value


if __name__ == "__main__":
    import gym_invmgmt

    head = {"package": "gym-invmgmt", "version": gym_invmgmt.__version__, "licence": "MIT", "seed": SEED}
    text = json.dumps(
        {**head, "scenarios": {name: _rounded(record(name)) for name in SCENARIOS}}, separators=(",", ":")
    )
    RECORD.write_text(text.replace('},"', '},\n"') + "\n")
