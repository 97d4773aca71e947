"""OR-Gym's serial inventory problem, equal to release 0.5.0 step for step, and its bookkeeping.

`orgym_record.json` holds episodes of the release's class, which needs the old `gym` package: running this file
with the path of its `inventory_management.py` loads the class alone, beside stand-ins for `gym`, and writes
the record anew.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite_envs.inventory.networks.orgym import SerialInventory, SerialInventoryParams
from rlsuite_envs.kernel import make_kernel, tree_map

RECORD = Path(__file__).with_name("orgym_record.json")
RNG = torch.Generator()
SEED = 7
CASES: dict[str, dict[str, Any]] = {
    "backlog": {},
    "lost": {"backlog": False},
    "short": {
        "I0": [10, 40],
        "r": [1, 0.5, 0.25],
        "k": [1, 0.5, 0.1],
        "h": [0.3, 0.2],
        "c": [30, 25],
        "L": [0, 2],
    },
    "one": {
        "I0": [35],
        "r": [1.5, 1.0],
        "k": [0.4, 0.2],
        "h": [0.1],
        "c": [50],
        "L": [4],
        "alpha": 1.0,
        "periods": 12,
    },
    "undiscounted lost": {"backlog": False, "alpha": 1.0, "L": [1, 1, 1]},
}
NAMES = {
    "I0": "start_stock",
    "r": "order_cost",
    "k": "shortage",
    "h": "holding",
    "c": "capacity",
    "L": "lead_times",
    "periods": "horizon",
}


def orders(t: int, capacity: Any) -> np.ndarray:
    """Whole orders of period t, [E]: none, some, and as much as the capacity allows."""
    units = [(29 * (t + 1) * (e + 2)) % 131 * ((t + e) % 5 > 0) for e in range(len(capacity))]
    return np.minimum(units, np.asarray(capacity)).astype(int)


def kernel_of(case: str) -> SerialInventory:
    """Ours with a case's constants, float64, in OR-Gym's units."""
    constants: dict[str, Any] = {"observation": "raw", "action": "orders", "dtype": "float64"}
    for name, value in CASES[case].items():
        constants[NAMES.get(name, name)] = tuple(value) if isinstance(value, list) else value
    return make_kernel(SerialInventory, **constants)


def step(kernel: SerialInventory, state: Any, order: Any, demand: float) -> tuple[Any, float]:
    action = torch.tensor(np.asarray(order, dtype=np.float64))[None]
    state, reward, terminated = kernel.advance(state, action, torch.tensor([demand], dtype=torch.float64))
    assert not terminated.item()
    return state, reward.item()


@pytest.mark.parametrize("case", CASES)
def test_episodes_are_or_gyms(case: str) -> None:
    recorded = json.loads(RECORD.read_text())["cases"][case]
    kernel = kernel_of(case)
    state = kernel.initial_state(1, RNG)
    assert kernel.max_episode_steps == len(recorded["reward"])
    for t, demand in enumerate(recorded["demand"]):
        np.testing.assert_array_equal(kernel.observe(state)[0], recorded["obs"][t])
        state, reward = step(kernel, state, orders(t, kernel.params.capacity), demand)
        assert reward == pytest.approx(recorded["reward"][t], abs=1e-9)
    np.testing.assert_array_equal(kernel.observe(state)[0], recorded["obs"][-1])
    assert kernel.info(state)["profit"].item() == pytest.approx(sum(recorded["reward"]), abs=1e-8)
    if kernel.params.backlog:
        np.testing.assert_allclose(state.waiting[0], recorded["last_backlog"], atol=1e-9)


def test_a_step_by_hand() -> None:
    kernel = kernel_of("backlog")
    state, reward = step(kernel, kernel.initial_state(1, RNG), [95, 60, 80], 110)
    # 100 sold, 10 wait. Stage 1 ships 95 of its 100, stage 2 ships 60 of 200, raw material comes as ordered.
    assert state.stock.tolist() == [[0, 5, 140]]
    assert state.waiting.tolist() == [[10, 0, 0, 0]]
    trade = 2 * 100 + (1.5 - 1.5) * 95 + (1.0 - 1.0) * 60 + (0.75 - 0.75) * 80 - 0.5 * 80
    assert reward == pytest.approx(trade - 0.1 * 10 - 0.1 * 5 - 0.05 * 140, abs=1e-12)
    # Stage 1 ships 5 of 30 ordered: 25 wait. Profit is discounted.
    state, reward = step(kernel, state, [30, 0, 7], 0)
    assert state.pipeline.sum() == 95 + 60 + 80 + 5 + 7
    assert state.waiting.tolist() == [[10, 25, 0, 0]]
    assert reward == pytest.approx(0.97 * (-0.5 * 7 - 0.1 * 10 - 0.075 * 25 - 0.05 * 140), abs=1e-12)
    # They are ordered again, with whatever is ordered now, until there is stock to ship.
    state, _ = step(kernel, state, [10, 20, 0], 0)
    assert state.waiting.tolist() == [[10, 35, 0, 0]]


@pytest.mark.parametrize("preset", ["backlog", "lost"])
def test_goods_are_conserved(preset: str) -> None:
    kernel = make_kernel(SerialInventory, preset=preset, dtype="float64")
    rng = torch.Generator().manual_seed(0)
    state = kernel.initial_state(40, rng)
    bought = torch.zeros(40, dtype=torch.float64)
    before = state.stock.sum(1)
    for _ in range(30):
        action = 2 * torch.rand(40, 3, generator=rng, dtype=torch.float64) - 1
        wanted = kernel.orders(action)[:, -1] + state.waiting[:, -1]
        bought += wanted.clamp_max(80.0)
        state, *_ = kernel.advance(state, action, kernel.sample_exogenous(state, rng))
        assert min(x.min() for x in (state.stock, state.pipeline, state.waiting, state.unmet)) >= 0
    after = state.stock.sum(1) + state.pipeline.sum(1)
    torch.testing.assert_close(after - before, bought - state.sold, rtol=0, atol=1e-9)


def test_orders_are_whole_within_capacity_and_relative_to_demand() -> None:
    kernel = make_kernel(SerialInventory)
    units = [kernel.orders(torch.full((1, 3), a))[0].tolist() for a in (-2.0, -1.0, -0.52, 0.0, 0.5, 1.0)]
    assert units == [[0] * 3, [0] * 3, [9] * 3, [20] * 3, [50] * 3, [80] * 3]
    assert make_kernel(SerialInventory, capacity=(30.0, 25.5, 80.0)).orders(torch.ones(1, 3)).tolist() == [[30, 25, 80]]


def test_fixed_demand_comes_period_by_period() -> None:
    series = tuple(float(t) for t in range(30))
    kernel = make_kernel(SerialInventory, fixed_demand=series)
    state = kernel.initial_state(2, RNG)
    for t in range(30):
        demand = kernel.sample_exogenous(state, RNG)
        assert demand.tolist() == [t, t]
        state, *_ = kernel.advance(state, torch.zeros(2, 3), demand)


def test_pictures() -> None:
    kernel = make_kernel(SerialInventory)
    state = kernel.initial_state(1, RNG)
    states = [state]
    for t in range(6):
        state, *_ = kernel.advance(state, torch.full((1, 3), 0.1 * t), torch.tensor([20.0 + t]))
        states.append(state)
    picture = kernel.render_episode(
        tree_map(lambda *parts: torch.cat(parts), *states), torch.zeros(6, 3), torch.arange(6.0)
    )
    for image in (kernel.render(states[0]), kernel.render(states[-1]), picture):
        assert image.dtype == np.uint8
        assert image.std() > 5


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"horizon": 0}, "horizon=0"),
        ({"start_stock": ()}, r"start_stock=\(\)"),
        ({"lead_times": (3, -5, 10)}, r"lead_times\[1\]=-5 must be a finite number of at least 0"),
        ({"lead_times": (3, 5.5, 10)}, r"lead_times\[1\]=5\.5 must be an integer"),
        ({"lead_times": (3, 5)}, r"lead_times=\(3, 5\) must be a tuple of 3 numbers"),
        ({"capacity": (100.0, 0.0, 80.0)}, r"capacity\[1\]=0\.0 must be a finite number above 0"),
        ({"holding": (0.1, float("nan"), 0.1)}, r"holding\[1\]=nan"),
        ({"order_cost": (1.0, 1.0, 1.0)}, "order_cost=.* must be a tuple of 4 numbers"),
        ({"alpha": 2.0}, r"alpha=2\.0"),
        ({"fixed_demand": (1.0, 2.0)}, "fixed_demand=.* at least 30 numbers"),
        ({"backlog": "yes"}, "backlog='yes' must be True or False"),
    ],
)
def test_bad_constants_are_refused(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make("rlsuite/SerialInventory-v0", **constants)


@settings(max_examples=40, deadline=None)
@given(
    lead_times=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    backlog=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_chains_of_any_length_never_oversell(lead_times: list[int], backlog: bool, seed: int) -> None:
    size = len(lead_times)
    params = SerialInventoryParams(
        horizon=8,
        start_stock=(15.0,) * size,
        order_cost=(1.0,) * (size + 1),
        shortage=(0.1,) * (size + 1),
        holding=(0.1,) * size,
        capacity=(33.0,) * size,
        lead_times=tuple(lead_times),
        backlog=backlog,
    )
    kernel = SerialInventory(params, dtype=torch.float64)
    rng = torch.Generator().manual_seed(seed)
    state = kernel.initial_state(5, rng)
    for _ in range(8):
        action = 3 * torch.rand(5, size, generator=rng, dtype=torch.float64) - 1
        before = state
        state, *_ = kernel.advance(state, action, kernel.sample_exogenous(state, rng))
        assert state.stock.min() >= 0
        assert kernel.observe(state).shape == (5, *kernel.observation_space.shape)
        shipped = state.pipeline.sum(1) + state.stock.sum(1) + state.sold
        assert (shipped - (before.pipeline.sum(1) + before.stock.sum(1) + before.sold) <= 33).all()


def _record(path: str) -> dict[str, Any]:
    """Episodes of OR-Gym's class, loaded from its file."""
    old_gym: Any = types.ModuleType("gym")
    old_gym.Env, old_gym.spaces = object, types.SimpleNamespace(Box=lambda **_: None)
    package, utils = types.ModuleType("or_gym"), types.ModuleType("or_gym.utils")
    vars(utils)["assign_env_config"] = lambda env, given: env.__dict__.update(given)
    sys.modules.update({"gym": old_gym, "or_gym": package, "or_gym.utils": utils})
    vars(np)["Inf"] = np.inf
    spec = importlib.util.spec_from_file_location("inventory_management", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cases = {}
    for name, constants in CASES.items():
        env = module.InvManagementMasterEnv(seed_int=SEED, **constants)
        obs, rewards = [env.reset()], []
        for t in range(env.num_periods):
            state, reward, *_ = env.step(orders(t, env.supply_capacity))
            obs.append(state)
            rewards.append(float(f"{reward:.15g}"))
        cases[name] = {
            "demand": env.D.tolist(),
            "reward": rewards,
            "obs": [[int(x) for x in row] for row in obs],
            "last_backlog": env.B[env.num_periods - 1].tolist(),
        }
    return cases


if __name__ == "__main__":
    head = {"package": "or-gym", "version": "0.5.0", "licence": "MIT", "seed": SEED}
    text = json.dumps({**head, "cases": _record(sys.argv[1])}, separators=(",", ":"))
    RECORD.write_text(text.replace('},"', '},\n"') + "\n")
