"""HDPO against closed forms, on the probe, and through the machinery that every algorithm shares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor
from torch.nn.functional import softplus

import rlsuite
from rlsuite.inventory.pathwise.hdpo import HDPO, HDPOConfig
from rlsuite.inventory.pathwise.simulation import LongRun, long_run_cost
from rlsuite_envs.inventory.stores.stores import SingleStore
from rlsuite_envs.kernel import make_kernel

SMALL: dict[str, Any] = {"num_envs": 64, "n_steps": 10, "device": "cpu", "dev_scenarios": 64, "dev_every": 3}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights(model: HDPO) -> Tensor:
    return model.learner.flat.data


@pytest.mark.parametrize(("lead_time", "penalty"), [(1, 4), (4, 9)])
def test_base_stock_level_is_the_quantile_of_demand_over_the_lead_time(lead_time: int, penalty: int) -> None:
    model = HDPO(
        f"rlsuite/SingleStore-L{lead_time}-p{penalty}-v0",
        network="base_stock",
        num_envs=512,
        n_steps=30,
        env_kwargs={"actions": "orders"},
        device="cpu",
        learning_rate="cosine:0.1:1e-3",
    )
    model.learn(512 * 30 * 200, log_interval=None)
    (parameter,) = model.policy.parameters()
    level = 5 * float(softplus(parameter))
    spread = 1.6 * (lead_time + 1) ** 0.5
    z = norm.ppf(penalty / (penalty + 1))
    assert level == pytest.approx(5 * (lead_time + 1) + z * spread, abs=0.15)
    # The cost of an order-up-to level is known for every level, which leaves simulation's noise out.
    z = (level - 5 * (lead_time + 1)) / spread
    cost = spread * ((1 + penalty) * (norm.pdf(z) + z * norm.cdf(z)) - penalty * z)
    optimum = spread * (1 + penalty) * norm.pdf(norm.ppf(penalty / (penalty + 1)))
    assert optimum <= cost < 1.001 * optimum


@pytest.mark.slow
def test_lost_sales_within_two_percent_of_the_optimum() -> None:
    model = HDPO("rlsuite/LostSales-L4-p4-v0", num_envs=512, seed=1, device="cpu")
    model.learn(512 * 50 * 800, log_interval=None)
    kernel: Any = make_kernel("rlsuite_envs.inventory.stores.stores:LostSales", preset="L4-p4")
    act = lambda rows: model.brain.act(rows, None, True)  # noqa: E731
    result = long_run_cost(kernel, act, scenarios=4096, periods=1000, warm_up=100)
    assert 4.729 - 3 * result.standard_error < result.mean < 1.02 * 4.729


def test_probe() -> None:
    model = HDPO("rlsuite/ProbeBox-v0", num_envs=64, n_steps=1, device="cpu", dev_periods=1, dev_warm_up=0)
    model.learn(64 * 300, log_interval=None)
    kernel: Any = model.venv.kernel  # type: ignore[attr-defined]
    gained = -model.learner.best_cost
    assert gained > kernel.random_return + 0.95 * (kernel.optimal_return - kernel.random_return)


def test_same_seed_same_weights() -> None:
    runs = [HDPO("rlsuite/LostSales-v0", **SMALL, seed=seed).learn(64 * 10 * 4) for seed in (3, 3, 4)]
    assert torch.equal(weights(runs[0]), weights(runs[1]))
    assert not torch.equal(weights(runs[0]), weights(runs[2]))


@pytest.mark.parametrize(
    ("env_id", "options"),
    [
        ("rlsuite/LostSales-L2-p9-v0", {"restart": 1.0}),
        ("rlsuite/LostSales-L2-p9-v0", {"scenarios": 128}),
        ("rlsuite/ManyStores-3-v0", {"restart": 0.25, "lookahead": 3}),
    ],
)
def test_resumed_training_equals_uninterrupted(tmp_path: Any, env_id: str, options: dict[str, Any]) -> None:
    whole = HDPO(env_id, **SMALL, **options, seed=2)
    update = 64 * (10 + options.get("lookahead", 0))
    saved: list[Any] = []

    def save(agent: Any) -> None:
        if agent.n_updates == 4:
            saved.append(agent.save(tmp_path / "half"))

    whole.learn(8 * update, on_update=save)
    resumed = rlsuite.load(tmp_path / "half", env=env_id, device="cpu")
    assert isinstance(resumed, HDPO) and resumed.n_updates == 4
    resumed.learn(4 * update, reset_num_timesteps=False)
    for name, value in whole.learner.state_dict().items():
        assert torch.equal(value, resumed.learner.state_dict()[name]), name
    assert resumed.num_timesteps == whole.num_timesteps


@pytest.mark.parametrize("actions", ["scaled", "orders"])
def test_a_checkpoint_predicts_without_its_environment(tmp_path: Any, actions: str) -> None:
    model = HDPO("rlsuite/LostSales-v0", **SMALL, env_kwargs={"actions": actions}).learn(64 * 10 * 4)
    model.save(tmp_path / "model")
    loaded = rlsuite.load(tmp_path / "model", device="cpu")
    obs = np.random.default_rng(0).random((5, model.obs_size), np.float32)
    action, _ = model.predict(obs)
    np.testing.assert_array_equal(loaded.predict(obs)[0], action)
    orders = action if actions == "orders" else (action + 1) * 5
    np.testing.assert_allclose(orders, orders.round(), atol=1e-5)  # Poisson demand: whole units


def test_export_orders_what_predict_orders(tmp_path: Any) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = HDPO("rlsuite/ManyStores-3-v0", **SMALL)
    path = model.export(tmp_path / "policy")  # which compares with predict, and raises where they differ
    assert runtime.InferenceSession(str(path)).get_outputs()[0].name == "action"


def test_callbacks_see_every_period_and_can_stop() -> None:
    calls = []

    def count(local: dict[str, Any], _: dict[str, Any]) -> bool:
        calls.append(local["rewards"].mean())
        return len(calls) < 25

    model = HDPO("rlsuite/LostSales-v0", **SMALL).learn(64 * 10 * 9, callback=count)
    assert len(calls) == 25 and max(calls) < 0
    assert model.num_timesteps == 25 * 64 and model.n_updates == 2


def test_training_lowers_the_cost_and_patience_ends_it() -> None:
    kernel = make_kernel(SingleStore, preset="L1-p9")
    model = HDPO(
        "rlsuite/SingleStore-L1-p9-v0",
        num_envs=64,
        n_steps=20,
        device="cpu",
        patience=2,
        dev_every=5,
        dev_scenarios=256,
    )
    act = lambda rows: model.policy(rows)  # noqa: E731
    before = long_run_cost(kernel, act, scenarios=256, periods=50, warm_up=50).mean
    model.learn(64 * 20 * 1000, log_interval=None)
    after = long_run_cost(kernel, act, scenarios=256, periods=50, warm_up=50).mean
    assert after < 0.8 * before and after < 1.15 * 3.971
    assert model.n_updates < 1000 and model.learner.exhausted


def test_another_problem_forgets_what_was_best() -> None:
    model = HDPO("rlsuite/LostSales-L4-p4-v0", **SMALL).learn(64 * 10 * 3)
    assert np.isfinite(float(model.learner.best_cost))
    model.set_env("rlsuite/LostSales-L4-p9-v0")
    assert np.isinf(float(model.learner.best_cost))


@pytest.mark.parametrize(
    ("env", "env_kwargs", "message"),
    [
        ("CartPole-v1", {}, "SyncVectorEnv has none; give the id of an environment of rlsuite"),
        ("rlsuite/CartPole-v1", {}, "needs actions that vary smoothly"),
        ("rlsuite/LotSizing-v0", {}, "needs actions that vary smoothly"),
        ("rlsuite/LostSales-v0", {"integer_orders": True}, "no gradient passes from actions"),
    ],
)
def test_environments_without_gradients_are_refused(env: str, env_kwargs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HDPO(env, num_envs=2, env_kwargs=env_kwargs, device="cpu")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n_steps", 0),
        ("lookahead", -1),
        ("restart", 0.0),
        ("learning_rate", "linear:-1"),
        ("average", 1.0),
        ("dev_warm_up", 100),
        ("dev_scenarios", 1),
        ("patience", -1),
    ],
)
def test_bad_values_are_named(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        HDPOConfig(**{field: value})


def test_bad_combinations_are_named() -> None:
    with pytest.raises(ValueError, match="scenarios=100 must be 0 or a multiple of num_envs=64"):
        HDPO("rlsuite/LostSales-v0", num_envs=64, scenarios=100)
    with pytest.raises(ValueError, match="network 'vanila' is unknown: did you mean 'vanilla'"):
        HDPO("rlsuite/LostSales-v0", network="vanila")
    with pytest.raises(ValueError, match="HDPO makes its network for a problem"):
        space = gym.spaces.Box(0, 1, (2,), np.float32)
        HDPO(None, spaces=(space, space)).predict(np.zeros(2, np.float32))


@pytest.mark.parametrize("name", ["scenarios", "periods", "warm_up"])
def test_too_short_a_simulation_is_refused(name: str) -> None:
    kernel = make_kernel(SingleStore, preset="L1-p9")
    with pytest.raises(ValueError, match=f"{name}=-1 must be at least"):
        long_run_cost(kernel, lambda rows: rows[:, :1], **{name: -1})


def test_long_run_cost_of_a_base_stock_policy() -> None:
    kernel = make_kernel(SingleStore, preset="L4-p9", actions="orders", observation="raw")
    level = 25 + norm.ppf(0.9) * 1.6 * 5**0.5

    def cost_of(level: float) -> LongRun:
        def act(rows: Tensor) -> Tensor:
            return (level - rows.sum(1, keepdim=True)).clamp_min(0)

        return long_run_cost(kernel, act, periods=100, warm_up=20)

    runs = [cost_of(level), cost_of(level + 1)]
    assert abs(runs[0].mean - 6.279) < 4 * runs[0].standard_error < 0.1
    # Common random numbers: the difference is far more certain than the two means.
    paired = runs[1].paths - runs[0].paths
    assert float(paired.std()) / len(paired) ** 0.5 < 0.7 * runs[0].standard_error


def test_episodes_that_end_on_a_date_are_simulated_whole() -> None:
    env = "rlsuite/SupplyNetwork-serial-stationary-backlog-v0"
    with pytest.raises(ValueError, match=r"ends after 30 periods.*n_steps=30, lookahead=0, restart=1"):
        HDPO(env, num_envs=8)
    whole = {"n_steps": 30, "restart": 1.0, "dev_periods": 30, "dev_warm_up": 0}
    with pytest.raises(ValueError, match="lookahead=5"):
        HDPO(env, num_envs=8, lookahead=5, **whole)
    assert HDPO(env, num_envs=8, dev_scenarios=8, **whole).learn(240).num_timesteps == 240


def test_a_network_learns_more_than_the_newsvendor_earns() -> None:
    """Newsvendor with the true mean earns 832.8 a run of 30 periods here (published), perfect information 1023.9."""
    model = HDPO(
        "rlsuite/SupplyNetwork-serial-stationary-backlog-v0",
        num_envs=64,
        seed=0,
        n_steps=30,
        restart=1.0,
        dev_periods=30,
        dev_warm_up=0,
        dev_scenarios=512,
        hidden=(32, 32),
        learning_rate="cosine:1e-2:1e-4",
    ).learn(64 * 30 * 250)
    profit = -30 * float(model.learner.best_cost)
    assert 870 < profit < 1023.9
