"""One policy of a set, chosen by weights, where a command plays one: `show`, `benchmark inventory`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rlsuite as suite
from rlsuite_envs.make import make_single_env
from rlsuite_zoo.files import read_csv

TREASURE, SUPPLY = "rlsuite/DeepSeaTreasure-concave-v0", "rlsuite/SupplyNetwork-service-cost-v0"
QUICK: dict[str, Any] = {"n_steps": 32, "n_epochs": 3, "net_arch": (8,), "eval_episodes": 1, "device": "cpu", "seed": 0}


@pytest.fixture(scope="module")
def treasures(tmp_path_factory: Any) -> Path:
    """A set with two different policies at least."""
    options = QUICK | {"num_envs": 12, "learning_rate": 1e-2, "eval_interval": 2, "reference": (0.0, -101.0)}
    model = suite.CMORL(TREASURE, **options).learn(6_000, log_interval=None)
    assert len(model.front) > 1
    file: Path = tmp_path_factory.mktemp("set") / "set.zip"
    model.save(file)
    return file


def played(model: Any, weights: tuple[float, ...]) -> np.ndarray:
    """Return of the first episode that `show` draws."""
    env = make_single_env(TREASURE)
    obs, _ = env.reset(seed=0)
    total, over = np.zeros(2), False
    while not over:
        action, _ = model.predict(obs, deterministic=True, weights=weights)
        obs, reward, terminated, truncated, _ = env.step(action)
        total += np.asarray(reward)
        over = terminated or truncated
    return total


def test_show_draws_the_policy_for_the_weights(rlsuite: Any, treasures: Path) -> None:
    model = suite.load(treasures, device="cpu")
    returns = set()
    for weights in ((1.0, 0.0), (0.0, 1.0)):
        ran = rlsuite("show", "--policy", str(treasures), "--weights", ",".join(map(str, weights)), "--out", "a.png")
        assert ran.code == 0, ran.err
        expected = np.array2string(played(model, weights), precision=2, suppress_small=True)
        assert f"return {expected}" in ran.out and f"for weights {weights[0]:g}, {weights[1]:g}" in ran.out
        returns.add(expected)
    assert len(returns) == 2 and Path("a.png").stat().st_size > 1_000
    ran = rlsuite("show", "--policy", str(treasures), "--out", "a.png")
    assert ran.code == 0 and "for equal weights" in ran.out


@pytest.mark.parametrize(
    ("weights", "message"),
    [("1", "has 1 numbers, but"), ("0.2,0.3,0.5", "2 objectives"), ("0.5,0.6", "sum 1"), ("-0.5,1.5", "not negative")],
)
def test_weights_that_do_not_fit_are_one_line(rlsuite: Any, treasures: Path, weights: str, message: str) -> None:
    ran = rlsuite("show", "--policy", str(treasures), f"--weights={weights}")
    assert ran.code == 2 and message in ran.err and len(ran.err.strip().splitlines()) == 1


def test_weights_where_there_is_no_set_are_refused(rlsuite: Any) -> None:
    ran = rlsuite("show", "rlsuite/CartPole-v1", "--weights", "0.5,0.5")
    assert ran.code == 2 and "--policy RUN" in ran.err
    suite.PPO("rlsuite/CartPole-v1", num_envs=2, n_steps=8, batch_size=16, device="cpu").save("one.zip")
    ran = rlsuite("show", "--policy", "one.zip", "--weights", "0.5,0.5")
    assert ran.code == 2 and "is one policy" in ran.err


def test_a_sets_policy_meets_the_classical_rules_on_the_same_demands(rlsuite: Any) -> None:
    model = suite.CMORL(SUPPLY, num_envs=6, divisions=1, archive_size=4, **QUICK)
    model.learn(400, log_interval=None).save("set.zip")
    common = ["benchmark", "inventory", "--quick", "--policies", "newsvendor", "--jobs", "1", "--agents", "set.zip"]
    profits = {}
    for words, label in (
        ([], "for equal weights"),
        (["--weights", "1,0"], "for 1,0"),
        (["--weights", "0,1"], "for 0,1"),
    ):
        ran = rlsuite(*common, *words, "--out", "out")
        assert ran.code == 0, ran.err
        rows = [row for row in read_csv(Path("out/inventory.csv")) if label in row["policy"]]
        assert [row["scenario"] for row in rows] == ["divergent-m5-backlog"]
        profits[label] = rows[0]
    assert json.dumps(profits["for 1,0"]) != json.dumps(profits["for equal weights"])
    ran = rlsuite(*common, "--weights", "0.5,0.2,0.3")
    assert ran.code == 2 and "2 objectives" in ran.err
