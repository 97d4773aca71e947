"""Impossible supply networks and constants are refused, with a message that names them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite_envs.inventory.networks.scenarios import SupplyNetworkParams
from rlsuite_envs.inventory.networks.topology import TOPOLOGIES, Link, Node, Topology

GOOD_NODES = (Node("market"), Node("shop", 10), Node("depot", 10), Node("raw"))
GOOD_LINKS = (Link("shop", "market", price=2.0), Link("depot", "shop", 1, 1.0), Link("raw", "depot", 2, 0.5))


def changed(nodes: dict[str, Node] | None = None, links: dict[int, Link] | None = None) -> Topology:
    """The good network with some nodes and links replaced."""
    return Topology(
        tuple((nodes or {}).get(str(node.id), node) for node in GOOD_NODES),
        tuple((links or {}).get(number, link) for number, link in enumerate(GOOD_LINKS)),
    )


def test_the_good_network_is_good() -> None:
    graph = changed()
    assert graph.markets == {"market"}
    assert graph.raw == {"raw"}
    assert [node.id for node in graph.stock_nodes] == ["depot", "shop"]
    assert graph.echelon() == {"market": 0, "shop": 1, "depot": 2, "raw": 3}
    assert hash(SupplyNetworkParams(topology=graph)) == hash(SupplyNetworkParams(topology=changed()))


@pytest.mark.parametrize(
    ("nodes", "links", "message"),
    [
        ({}, {1: Link("depot", "shop", -1)}, r"'depot' -> 'shop': lead_time=-1 .*at least 0"),
        ({}, {1: Link("depot", "shop", 1.5)}, r"lead_time=1\.5 must be an integer"),  # type: ignore[arg-type]
        ({}, {1: Link("depot", "shop")}, r"lead_time=None must be an integer"),
        ({}, {0: Link("shop", "market", 2)}, r"'shop' -> 'market': lead_time=2 must be None"),
        ({}, {1: Link("depo", "shop", 1)}, r"unknown node 'depo'; known: \['market', 'shop'"),
        ({}, {2: Link("depot", "shop", 1)}, r"'depot' -> 'shop' is given more than once"),
        ({}, {2: Link("raw", "depot", 2, price=float("nan"))}, r"price=nan must be a finite number"),
        ({}, {2: Link("raw", "depot", 2, fixed_cost=-1.0)}, r"fixed_cost=-1\.0 .*at least 0"),
        ({}, {2: Link("raw", "depot", 2, shortage=1.0)}, r"shortage and mean are for links into a market"),
        ({}, {0: Link("shop", "market", mean=0.0)}, r"mean=0\.0 must be a finite number above 0"),
        ({}, {0: Link("shop", "market", holding=0.1)}, r"holding and fixed_cost must be 0"),
        ({}, {0: Link("raw", "market")}, r"Node 'shop': a market has neither stock"),
        ({"shop": Node("shop")}, {}, r"Node 'shop': stock=None"),
        ({"shop": Node("shop", -1)}, {}, r"Node 'shop': stock=-1 .*at least 0"),
        ({"shop": Node("shop", 1, float("inf"))}, {}, r"holding=inf"),
        ({"depot": Node("depot", 1, capacity=0)}, {}, r"Node 'depot': capacity=0 .*above 0"),
        ({"depot": Node("depot", 1, product_yield=0.0)}, {}, r"product_yield=0\.0 .*above 0"),
        ({"raw": Node("raw", 100)}, {}, r"Node 'raw': raw material, which is unlimited"),
        ({"market": Node("market", 5)}, {}, r"Node 'market': a market has neither stock"),
        ({"raw": Node("depot")}, {}, r"Node id='depot' is given 2 times"),
        ({"raw": Node(True)}, {}, r"Node id=True must be an integer or a string"),
    ],
)
def test_bad_networks_are_refused(nodes: dict[str, Node], links: dict[int, Link], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        changed(nodes, links)


def test_cycles_are_named() -> None:
    nodes = (*GOOD_NODES, Node("east", 1), Node("west", 1))
    cycle = (Link("depot", "east", 1), Link("east", "west", 1), Link("west", "depot", 1))
    with pytest.raises(ValueError, match=r"cycle (depot -> east -> west -> depot|east .* -> east|west .* -> west)"):
        Topology(nodes, GOOD_LINKS + cycle)
    with pytest.raises(ValueError, match="cycle shop -> shop"):
        Topology(GOOD_NODES, (*GOOD_LINKS, Link("shop", "shop", 1)))


def test_networks_without_market_or_with_lonely_nodes_are_refused() -> None:
    with pytest.raises(ValueError, match="has no market"):
        Topology((), ())
    with pytest.raises(ValueError, match="Node 'spare' has no link"):
        Topology((*GOOD_NODES, Node("spare", 1)), GOOD_LINKS)
    with pytest.raises(ValueError, match="must be supplied from a node with stock"):
        Topology((Node(0), Node(1)), (Link(1, 0),))
    with pytest.raises(ValueError, match="must be a tuple of Node objects"):
        Topology([Node(0)], ())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"horizon": 0}, "horizon=0 must be an integer of at least 1"),
        ({"horizon": 30.0}, r"horizon=30\.0"),
        ({"alpha": 1.5}, r"alpha=1\.5 must lie in \[0, 1\]"),
        ({"alpha": 0.0}, r"alpha=0\.0 must be above 0"),
        ({"base_mean": float("nan")}, "base_mean=nan"),
        ({"noise_scale": -1.0}, r"noise_scale=-1\.0"),
        ({"topology": "star"}, "topology='star' must be one of 'serial'"),
        ({"topology": 3}, "topology=3 must be a Topology"),
        ({"observation": "RAW"}, "observation='RAW' must be one of"),
        ({"action": "units"}, "action='units' must be one of"),
        ({"reward": "points"}, "reward='points' must be one of"),
        ({"distribution": "gamma"}, "distribution='gamma'"),
        ({"goodwill": 1}, "goodwill=1 must be True or False"),
        ({"goodwill_floor": 3.0}, r"goodwill_cap=2\.0 must be at least goodwill_floor=3\.0"),
        ({"goodwill_growth": 0.5}, r"goodwill_growth=0\.5 must be at least 1"),
        ({"order_reach": 1.0}, r"order_reach=1\.0 must be above 1"),
        ({"external_series": ()}, "external_series is of length 0"),
        ({"external_series": (1.0, float("inf"))}, r"external_series\[1\]=inf"),
        ({"external_series": (0.0, 0.0)}, "external_series is all 0"),
        ({"external_series": 1.0}, r"external_series is 1\.0 but must be a tuple"),
        ({"fixed_demand": ((1.0,),)}, r"fixed_demand\[0\] is of length 1 .*at least 30"),
        ({"fixed_demand": ()}, "must be a tuple of 1 series, one per market link"),
        ({"shock_time": -1}, "shock_time=-1"),
    ],
)
def test_bad_constants_are_refused(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make("rlsuite/SupplyNetwork-v0", **constants)


def test_bad_actions_are_refused() -> None:
    env = gym.make("rlsuite/SupplyNetwork-serial-stationary-lost-v0", disable_env_checker=True)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="is not finite"):
        env.step(np.array([0.0, np.nan, 0.0], np.float32))
    with pytest.raises(ValueError, match="has shape"):
        env.step(np.zeros(2, np.float32))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12, unique=True))
def test_arbitrary_links_make_a_network_or_a_named_error(ends: list[tuple[int, int]]) -> None:
    used = sorted({end for pair in ends for end in pair})
    targets, sources = {t for _, t in ends}, {s for s, _ in ends}
    nodes = tuple(Node(id, 10.0 if id in targets and id in sources else None) for id in used)
    links = tuple(Link(s, t, 1 if t in sources else None) for s, t in ends)
    try:
        graph = Topology(nodes, links)
    except ValueError as error:
        assert any(word in str(error) for word in ("cycle", "no market", "node with stock"))
        return
    depth = graph.echelon()
    assert all(depth[s] > depth[t] for s, t in ends)
    flows = graph.nominal_flows([1.0] * len(graph.market_links))
    outside = sum(flows[id] for id in graph.raw)
    assert outside == pytest.approx(len(graph.market_links))  # yields of 1: what is sold is what is bought


def test_nominal_flows_of_the_divergent_network() -> None:
    flows = TOPOLOGIES["divergent"].nominal_flows([20.0])
    thirds = 10 / 3
    expected = {1: 20, 2: 10, 3: 10, 4: thirds + 5, 5: thirds, 6: thirds + 5}
    assert {id: flows[id] for id in expected} == pytest.approx(expected)
