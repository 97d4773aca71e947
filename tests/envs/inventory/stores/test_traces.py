"""The store whose demand is read from given series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import rlsuite_envs  # noqa: F401 (registers)
from rlsuite_envs.inventory.stores.traced_store import TracedStore, TracedStoreParams, stand_in_traces
from rlsuite_envs.kernel import make_kernel

SERIES = np.arange(1.0, 25.0).reshape(2, 12)
"""Demands 1 .. 12 and 13 .. 24."""
SMALL: dict[str, Any] = {
    "traces": SERIES,
    "history": 3,
    "horizon": 5,
    "lead_time_low": 1,
    "lead_time_high": 2,
}


def small(**params: Any) -> Any:
    return make_kernel(TracedStore, dtype="float64", **{**SMALL, **params})


def test_demand_follows_the_series_and_past_demand_is_seen() -> None:
    kernel = small(observation="raw")
    rng = torch.Generator().manual_seed(0)
    state = kernel.initial_state(64, rng)
    assert set(state.series.tolist()) == {0, 1}
    assert set(state.period.tolist()) == {3, 4, 5, 6, 7}
    assert set(state.lead_time.tolist()) == {1, 2}
    first = state.series * 12 + state.period + 1  # the demand of period k is k + 1, plus 12 in the second series
    for t in range(5):
        past = torch.stack([first + t - 3, first + t - 2, first + t - 1], dim=1)
        torch.testing.assert_close(kernel.observe(state)[:, 3:6], past.float())
        demand = kernel.sample_exogenous(state, rng)
        torch.testing.assert_close(demand[:, 0], (first + t).double())
        state, _, _ = kernel.advance(state, torch.zeros(64, 1), demand)


def test_one_step_by_hand() -> None:
    kernel = small(random_start=False, actions="orders", penalty_low=10.0, penalty_high=10.0, holding=0.5)
    state = kernel.initial_state(40, torch.Generator().manual_seed(0))
    assert set(state.period.tolist()) == {3}
    row = int(((state.series == 0) & (state.lead_time == 1)).nonzero()[0])
    noise = kernel.sample_exogenous(state, torch.Generator())
    state, reward, _ = kernel.advance(state, torch.full((40, 1), 11.0, dtype=torch.float64), noise)
    assert reward[row].item() == 0.0  # nothing to sell
    assert state.inventory[row].tolist() == [11.0, 0.0, 0.0]
    noise = kernel.sample_exogenous(state, torch.Generator())
    state, reward, _ = kernel.advance(state, torch.zeros(40, 1, dtype=torch.float64), noise)
    assert reward[row].item() == 10.0 * 5 - 0.5 * 6
    assert state.inventory[row].tolist() == [6.0, 0.0, 0.0]
    late = int(((state.series == 0) & (state.lead_time == 2)).nonzero()[0])
    assert (reward[late].item(), state.inventory[late].tolist()) == (0.0, [11.0, 0.0, 0.0])


def test_scaled_actions_are_past_demands() -> None:
    kernel = small(random_start=False, max_order=2.0)
    state = kernel.initial_state(8, torch.Generator().manual_seed(0))
    expected = torch.where(state.series == 0, 2.0, 14.0).double()  # means of 1 .. 3 and of 13 .. 15
    torch.testing.assert_close(kernel.orders(state, torch.zeros(8, 1))[:, 0], expected)
    torch.testing.assert_close(kernel.orders(state, torch.ones(8, 1))[:, 0], 2 * expected)


def test_a_file_gives_the_same_as_the_numbers(tmp_path: Path) -> None:
    np.save(tmp_path / "sales.npy", SERIES)
    states = []
    for traces in (SERIES, SERIES.tolist(), str(tmp_path / "sales.npy")):
        env: Any = gym.make_vec("rlsuite/TracedStore-v0", num_envs=4, device="cpu", **{**SMALL, "traces": traces})
        env.reset(seed=0)
        states.append(env.step(torch.zeros(4, 1))[0])
    torch.testing.assert_close(states[0], states[1])
    torch.testing.assert_close(states[0], states[2])


def test_gradients_pass() -> None:
    kernel = small(random_start=False, actions="orders")
    start = kernel.initial_state(6, torch.Generator().manual_seed(0))

    def reward(actions: torch.Tensor) -> torch.Tensor:
        state, total = start, torch.zeros(6, dtype=torch.float64)
        for action in actions:
            state, gained, _ = kernel.advance(state, action, kernel.sample_exogenous(state, torch.Generator()))
            total = total + gained
        return total

    actions = torch.linspace(1.3, 9.7, 24, dtype=torch.float64).reshape(4, 6, 1).requires_grad_()
    assert torch.autograd.gradcheck(reward, (actions,))


def test_the_stand_in_is_fixed_and_sensible() -> None:
    traces = np.array(stand_in_traces())
    assert traces.shape == (32, 156)
    assert (traces >= 0).all() and (traces == traces.round()).all()
    assert hash(TracedStoreParams()) == hash(TracedStoreParams())


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"traces": ((1.0, 2.0), (1.0,))}, r"traces must be numbers, with all series of the same length"),
        ({"traces": (1.0, 2.0)}, r"traces have shape \(2,\) but must be \[series, periods\]"),
        ({"traces": (("a", "b"),)}, r"traces must be numbers"),
        ({"traces": "nowhere.npy"}, r"traces='nowhere.npy' is not a file"),
        ({"traces": ((1.0,) * 70, (1.0,) * 69 + (-2.0,))}, r"traces\[1\]\[69\]=-2.0 must be a finite number"),
        ({"traces": ((float("nan"),) * 70,)}, r"traces\[0\]\[0\]=nan must be"),
        ({"traces": ((0.0,) * 70,)}, r"traces hold no demand at all"),
        ({"traces": ((1.0,) * 65,)}, r"65 periods but history=16 and horizon=50 need at least 66"),
        ({"horizon": 0}, r"horizon=0"),
        ({"history": 0}, r"history=0 must be"),
        ({"lead_time_low": 0}, r"lead_time_low=0"),
        ({"lead_time_low": 7}, r"lead_time_low=7 must not exceed lead_time_high=6"),
        ({"penalty_low": -1.0}, r"penalty_low=-1.0"),
        ({"profit": 0.5}, r"profit=0.5 must be True or False"),
    ],
)
def test_bad_constants(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TracedStoreParams(**kwargs)


def test_a_file_that_is_no_array(tmp_path: Path) -> None:
    path = tmp_path / "sales.npy"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="must be numbers"):
        TracedStoreParams(traces=str(path))
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="must be numbers"):
        TracedStoreParams(traces=str(path))
