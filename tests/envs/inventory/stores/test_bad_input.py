"""Bad constants and actions of HDPO's kernels end in an error that names them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlsuite_envs  # noqa: F401 (registers)
from rlsuite_envs.inventory.stores.serial import SerialSystemParams
from rlsuite_envs.inventory.stores.stores import LostSalesParams, SingleStoreParams
from rlsuite_envs.inventory.stores.transshipment import TransshipmentParams
from rlsuite_envs.inventory.stores.warehouse import ManyStoresParams
from rlsuite_envs.inventory.stores.warehouses import ManyWarehousesParams

NAN, INF = float("nan"), float("inf")
TWO: dict[str, Any] = {
    "means": (4.0, 6.0),
    "sds": (1.0, 1.0),
    "holdings": (1.0, 0.5),
    "penalties": (4.0, 9.0),
}
LINKED: dict[str, Any] = {**TWO, "lead_times": ((1, 2), (1, 2))}


@pytest.mark.parametrize(
    ("params", "kwargs", "message"),
    [
        (SingleStoreParams, {"lead_time": 0}, r"lead_time=0 must be an integer of at least 1"),
        (SingleStoreParams, {"lead_time": -2}, r"lead_time=-2 must be"),
        (SingleStoreParams, {"lead_time": 2.5}, r"lead_time=2.5 must be an integer"),
        (SingleStoreParams, {"holding": -1.0}, r"holding=-1.0 must be at least 0"),
        (SingleStoreParams, {"penalty": NAN}, r"penalty=nan must be a finite number"),
        (SingleStoreParams, {"mean": 0.0}, r"mean=0.0 must be above 0"),
        (SingleStoreParams, {"sd": -0.1}, r"sd=-0.1 must be at least 0"),
        (SingleStoreParams, {"horizon": 0}, r"horizon=0 must be an integer of at least 1"),
        (
            SingleStoreParams,
            {"distribution": "gamma"},
            r"distribution='gamma' must be one of 'normal', 'poisson'",
        ),
        (SingleStoreParams, {"actions": "units"}, r"actions='units' must be one of 'scaled', 'orders'"),
        (SingleStoreParams, {"observation": "log"}, r"observation='log' must be one of"),
        (SingleStoreParams, {"max_order": 0}, r"max_order=0 must be above 0"),
        (SingleStoreParams, {"initial_slots": 0}, r"initial_slots=0 must be"),
        (LostSalesParams, {"profit": 1}, r"profit=1 must be True or False"),
        (LostSalesParams, {"integer_orders": "yes"}, r"integer_orders='yes' must be True or False"),
        (
            SerialSystemParams,
            {"lead_times": ()},
            r"lead_times=\(\) must be a sequence of at least one number",
        ),
        (SerialSystemParams, {"lead_times": (4, 0, 4, 2)}, r"lead_times=.*: 0 is not allowed.*of at least 1"),
        (SerialSystemParams, {"lead_times": (4, 1.5, 4, 2)}, r"1.5 is not allowed.*integers"),
        (
            SerialSystemParams,
            {"holdings": (1.0, 0.5)},
            r"holdings=\(1.0, 0.5\) must be a sequence of 4 numbers",
        ),
        (SerialSystemParams, {"holdings": (1.0, 0.5, -0.2, 0.1)}, r"-0.2 is not allowed"),
        (SerialSystemParams, {"horizon": -5}, r"horizon=-5"),
        (ManyStoresParams, {"means": ()}, r"means=\(\) must be a sequence of at least one number"),
        (ManyStoresParams, {"means": (4.0, 0.0)}, r"0.0 is not allowed.*above 0"),
        (ManyStoresParams, {"means": 5.0}, r"means=5.0 must be a sequence"),
        (ManyStoresParams, {"sds": (1.0,)}, r"sds=\(1.0,\) must be a sequence of 10 numbers"),
        (ManyStoresParams, {**TWO, "penalties": (4.0, NAN)}, r"penalties=\(4.0, nan\): nan is not allowed"),
        (ManyStoresParams, {**TWO, "holdings": (-1.0, 1.0)}, r"-1.0 is not allowed"),
        (ManyStoresParams, {**TWO, "lead_times": (0, 2)}, r"lead_times=\(0, 2\): 0 is not allowed"),
        (ManyStoresParams, {"warehouse_lead_time": 0}, r"warehouse_lead_time=0 must be"),
        (ManyStoresParams, {"warehouse_holding": -0.3}, r"warehouse_holding=-0.3 must be at least 0"),
        (
            ManyStoresParams,
            {"correlation": 1.0},
            r"correlation=1.0 must lie in \(-0.111111, 1\) for 10 stores",
        ),
        (ManyStoresParams, {"correlation": NAN}, r"correlation=nan must be a finite number"),
        (ManyStoresParams, {"clip": False}, r"clip=False: returns need backlog"),
        (ManyStoresParams, {"lost": None}, r"lost=None must be True or False"),
        (
            ManyWarehousesParams,
            {"lead_times": ((1, 2),)},
            r"lead_times=.*one row of 2 entries.*the 10 stores",
        ),
        (ManyWarehousesParams, {**LINKED, "lead_times": ((1, 2), (1,))}, r"one row of 2 entries"),
        (ManyWarehousesParams, {**LINKED, "lead_times": ((1, 2), (1, 0))}, r"0 is not allowed.*at least 1"),
        (ManyWarehousesParams, {**LINKED, "warehouse_lead_times": ()}, r"warehouse_lead_times=\(\) must be"),
        (
            ManyWarehousesParams,
            {**LINKED, "edge_costs": (1.0,)},
            r"edge_costs=\(1.0,\) must be a sequence of 2",
        ),
        (ManyWarehousesParams, {**LINKED, "edge_costs": (1.0, -1.0)}, r"-1.0 is not allowed"),
        (
            ManyWarehousesParams,
            {**LINKED, "links": ((True, True), (False, False))},
            r"links=.*store 2 has no warehouse",
        ),
        (ManyWarehousesParams, {**LINKED, "links": ((1, 0), (1, 1))}, r"links=.*True or False"),
        (TransshipmentParams, {"lead_times": (2, 2)}, r"lead_times=\(2, 2\) must be a sequence of 5 numbers"),
        (TransshipmentParams, {"warehouse_lead_time": -3}, r"warehouse_lead_time=-3 must be"),
    ],
)
def test_constants(params: Any, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        params(**kwargs)


@given(st.one_of(st.integers(max_value=0), st.floats(), st.none(), st.text(max_size=3), st.booleans()))
def test_no_lead_time_below_one_or_of_another_kind_is_taken(value: Any) -> None:
    for params, name, given_value in (
        (SingleStoreParams, "lead_time", value),
        (ManyStoresParams, "lead_times", (value,) * 10),
        (SerialSystemParams, "lead_times", (2, value, 1, 1)),
    ):
        with pytest.raises(ValueError, match=name):
            params(**{name: given_value})


def test_lists_and_arrays_become_tuples() -> None:
    params = ManyStoresParams(**{name: list(value) for name, value in TWO.items()}, lead_times=np.array([1, 2]))
    assert params == ManyStoresParams(**TWO, lead_times=(1, 2))
    assert hash(params) == hash(ManyStoresParams(**TWO, lead_times=(1, 2)))


@pytest.mark.parametrize("id", ["SingleStore-v0", "ManyStores-3-v0", "SerialSystem-L2-p4-v0"])
def test_actions(id: str) -> None:
    env: Any = gym.make(f"rlsuite/{id}")
    env.reset(seed=0)
    with pytest.raises(ValueError, match="is not finite"):
        env.unwrapped.step(np.full(env.action_space.shape, np.nan, np.float32))
    with pytest.raises(ValueError, match="has shape"):
        env.unwrapped.step(np.zeros(17, np.float32))


def test_constants_through_gymnasium() -> None:
    with pytest.raises(ValueError, match=r"lead_time=0"):
        gym.make("rlsuite/LostSales-v0", lead_time=0)
    with pytest.raises(ValueError, match=r"'L9-p9' is unknown to LostSales; did you mean"):
        gym.make_vec("rlsuite/LostSales-v0", preset="L9-p9")
    env: Any = gym.make("rlsuite/LostSales-L2-p4-v0", horizon=3)
    env.reset(seed=0)
    ends = [env.step(env.action_space.sample())[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]
