"""`rlsuite benchmark inventory`: what it plays, keeps, resumes and says; an oracle that is beaten is an error."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlsuite.inventory.classical.play import draw_noise, play
from rlsuite.inventory.classical.policies import Newsvendor
from rlsuite_envs.inventory.networks.scenarios import SCENARIOS
from rlsuite_zoo.inventory.cells import (
    FIGURES,
    POLICIES,
    SCENARIO_GROUPS,
    Cell,
    benchmark_kernel,
    find_agents,
    play_cell,
)
from rlsuite_zoo.inventory.page import BrokenBenchmark, beaten, check_bounds, ranking

Command = Callable[..., Any]

SMALL = ("--scenarios", "serial-stationary-backlog,serial-shock-goodwill-lost", "--quick", "--jobs", "1")
CELLS = Path("runs/benchmark/inventory")


def test_the_groups_are_the_published_ones() -> None:
    assert {name: len(found) for name, found in SCENARIO_GROUPS.items()} == {
        "core": 22,
        "marl": 4,
        "networks": 4,
        "all": len(SCENARIOS),
    }


def test_cells_are_kept_reported_and_not_played_twice(rlsuite: Command) -> None:
    words = ("benchmark", "inventory", *SMALL, "--policies", "newsvendor,mean,base-stock-tuned,hdpo")
    first = rlsuite(*words)
    assert first.code == 0, first.err
    assert "10 to play" in first.out  # two scenarios, four policies and the oracle
    page = Path("results/inventory.md").read_text()
    assert page.index("| oracle |") < page.index("| mean |") < page.index("| newsvendor |")
    assert page.splitlines()[2].startswith("- `") and "[inventory.csv](inventory.csv)" in page and "no bound" in page
    assert Path("results/inventory.png").stat().st_size > 5000
    rows = list(csv.DictReader(Path("results/inventory.csv").read_text().splitlines()))
    assert len(rows) == 10
    record = json.loads((CELLS / "serial-stationary-backlog/newsvendor.json").read_text())
    (row,) = [r for r in rows if (r["scenario"], r["policy"]) == ("serial-stationary-backlog", "newsvendor")]
    assert float(row["profit"]) == pytest.approx(np.mean(record["profit"]), rel=1e-5)
    assert float(row["profit_low"]) < float(row["profit"]) < float(row["profit_high"])
    kernel = benchmark_kernel("serial-stationary-backlog")
    played = play(kernel, Newsvendor(kernel), draw_noise(kernel, 4, 0), 4)
    np.testing.assert_allclose(record["profit"], played.rewards.numpy(), rtol=1e-12)

    times = {path: path.stat().st_mtime_ns for path in CELLS.rglob("*.json")}
    (CELLS / "serial-stationary-backlog/mean.json").unlink()
    (CELLS / "serial-shock-goodwill-lost/mean.json").write_text("{ torn")
    again = rlsuite(*words)
    assert "8 of 10 cells in runs/benchmark/inventory are there" in again.out
    kept = [path for path in times if path.name != "mean.json"]
    assert all(path.stat().st_mtime_ns == times[path] for path in kept)
    assert (CELLS / "serial-stationary-backlog/mean.json").exists()
    other = rlsuite(*words, "--seed", "1")  # other demands: nothing fits any more
    assert "0 of 10 cells in runs/benchmark/inventory are there" in other.out


@pytest.mark.slow
def test_two_workers_play_the_same_as_one(rlsuite: Command) -> None:
    words = ("benchmark", "inventory", *SMALL[:3], "--policies", "newsvendor,holt,samples")
    assert rlsuite(*words, "--jobs", "1").code == 0
    assert rlsuite(*words, "--jobs", "1", "--cells", "others").code == 0
    for path in CELLS.rglob("*.json"):
        one, two = (
            json.loads(path.read_text()),
            json.loads((Path("others") / path.relative_to(CELLS)).read_text()),
        )
        assert one["profit"] == two["profit"]


def test_learned_policies_become_rows(rlsuite: Command) -> None:
    env = "rlsuite/SupplyNetwork-serial-stationary-backlog-v0"
    words = ("--num-envs", "8", "--steps", "512", "--eval-episodes", "0", "--device", "cpu")
    assert rlsuite("train", "ppo", env, "n_steps=32", "--seeds", "0", "--name", "a", *words).code == 0
    run = Path("runs/ppo/rlsuite-SupplyNetwork-serial-stationary-backlog-v0/a")
    (agent,) = find_agents([str(run)])
    assert (agent.scenario, agent.topology) == ("serial-stationary-backlog", "serial")
    ran = rlsuite("benchmark", "inventory", *SMALL, "--policies", "newsvendor", "--agents", str(run))
    assert ran.code == 0, ran.err
    rows = list(csv.DictReader(Path("results/inventory.csv").read_text().splitlines()))
    mine = [row for row in rows if row["policy"].startswith("ppo")]
    assert {row["scenario"] for row in mine} == {"serial-stationary-backlog", "serial-shock-goodwill-lost"}
    assert float(mine[0]["to_best"]) < 0  # a few hundred steps beat no newsvendor
    # The checkpoint alone says as much.
    (same,) = find_agents([str(run / "seed0/checkpoints/last.zip")])
    assert same.scenario == agent.scenario
    profit = play_cell(Cell(agent.scenario, "x", 4, 0, 20, 4, checkpoints=(same.path,)))["profit"]
    record = next(path for path in (CELLS / "serial-stationary-backlog").glob("ppo*.json"))
    assert json.loads(record.read_text())["profit"] == profit
    # A run on another network has nothing to play here.
    ran = rlsuite("benchmark", "inventory", "--scenarios", "divergent", "--quick", "--agents", str(run))
    assert ran.code == 2
    assert "trained on serial" in ran.err


def cells(oracle: list[float], rule: list[float], exact: bool = True) -> dict[tuple[str, str], dict[str, Any]]:
    """Two policies in one scenario; the bound is 100."""
    figures = {name: [1.0, 1.0] for name in FIGURES}
    more = {"seconds": 0.001, "policy": "", **figures}
    return {
        ("s", "oracle"): {"profit": oracle, "bound": [100.0, 100.0], "exact": exact, **more},
        ("s", "rule"): {"profit": rule, **more},
    }


def test_a_beaten_oracle_is_an_error_and_goodwills_is_counted() -> None:
    check_bounds(cells([100.0, 100.0], [99.0, 100.0 + 1e-7]))
    with pytest.raises(BrokenBenchmark, match=r"rule earned 101\.0000 in episode 1 of s"):
        check_bounds(cells([100.0, 100.0], [99.0, 101.0]))
    loose = cells([80.0, 90.0], [85.0, 70.0], exact=False)
    check_bounds(loose)
    assert beaten(loose, "s") == (1, 2)


def test_the_ranking_is_by_profit_and_paired() -> None:
    lines = ranking(cells([100.0, 100.0], [60.0, 80.0]), ["s"], ["rule", "oracle"])
    assert [line.name for line in lines] == ["oracle", "rule"]
    assert lines[1].share == pytest.approx(0.7)
    assert lines[1].wins == 1
    assert (lines[0].to_best.estimate, lines[0].to_best.low, lines[0].to_best.high) == (30.0, 20.0, 40.0)


def test_every_policy_has_a_word() -> None:
    assert all(text and not text.endswith(".") for text, _ in POLICIES.values())


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("inventori",), "did you mean 'benchmark inventory'"),
        (("inventory", "--scenarios", "serial-stationary"), "did you mean 'serial-stationary-lost'"),
        (("inventory", "--scenarios", ","), "--scenarios names none"),
        (("inventory", "--policies", "newsvendr"), "did you mean 'newsvendor'"),
        (("inventory", "--agents", "nowhere"), "nowhere is no folder"),
        (("inventory", "--agents", "nowhere.zip"), "nowhere.zip has no checkpoint"),
        (("inventory", "--episodes", "-1"), "--episodes is -1"),
        (("inventory", "--jobs", "0"), "--jobs is 0"),
        (("inventory", "--report-only"), "no cell in runs/benchmark/inventory"),
    ],
)
def test_mistakes_are_one_line(rlsuite: Command, words: tuple[str, ...], text: str) -> None:
    ran = rlsuite("benchmark", *words)
    assert ran.code == 2
    assert text in ran.err
    assert ran.err.count("\n") == 1
