"""`rlsuite results attacks` on a small suite: every victim's cells, published columns, the order of attacks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlsuite_zoo.pages import attacks as results_attacks
from rlsuite_zoo.pages import suite_page
from rlsuite_zoo.pages.suite import Entry, Suite, load_suite
from rlsuite_zoo.report.differences import paired
from rlsuite_zoo.robustness.benchmark import STANDARD_EPS
from rlsuite_zoo.runs.folder import find_runs


@pytest.fixture
def small(monkeypatch: Any) -> None:
    rows = [{"what": "PPO, published", "value": "500", "pgd": "123 ± 4", "strongest": "99", "source": "nowhere"}]
    suite = Suite(
        name="attacks",
        title="Attacks",
        about="Two victims.",
        steps=512,
        seeds=[0, 1],
        environments=["CartPole-v1"],
        entries=[Entry("PPO", "ppo"), Entry("ATLA", "atla", seeds="0")],
        published={"CartPole-v1": rows},
        eval_episodes=2,
    )
    monkeypatch.setattr(suite_page, "load_suite", lambda name: suite)
    monkeypatch.setattr(results_attacks, "STANDARD_EPS", {"CartPole-v1": 0.5})
    monkeypatch.setattr(results_attacks, "PLAYED", "random,pgd,sa-rl")
    monkeypatch.setattr(results_attacks, "EPISODES", 3)
    monkeypatch.setattr(results_attacks, "EFFORT", 0.004)


def test_the_suite_has_the_papers_tasks_and_budgets() -> None:
    suite = load_suite("attacks")
    assert {env: STANDARD_EPS[env] for env in suite.environments} == {
        "Hopper-v5": 0.075,
        "Walker2d-v5": 0.05,
        "HalfCheetah-v5": 0.15,
    }
    for env in suite.environments:
        published = {row["what"]: row for row in suite.published[env]}
        assert {"PPO, published", "ATLA-PPO, published", "PROTECTED, published"} <= set(published)
    for name, steps in (("PPO", 1_000_000), ("ATLA-PPO", 2_000_000)):  # the same number of the policy's own
        (entry,) = (entry for entry in suite.entries if entry.name == name)
        assert entry.budget("Hopper-v5", suite.steps) == steps


def test_victims_are_trained_attacked_and_reported(rlsuite: Any, small: None) -> None:
    ran = rlsuite("results", "attacks", "--jobs", "1")
    assert ran.code == 0, ran.err
    assert "3 runs to do" in ran.out and "12 to play" in ran.out
    page = Path("results/attacks.md").read_text()
    assert "| | **PPO** | **ATLA** | PPO, published |" in page
    lines = {line.split(" | ")[0].strip("| "): line for line in page.splitlines() if line.startswith("| ")}
    assert lines["natural"].endswith("| 500 |") and lines["pgd"].endswith("| 123 ± 4 |")
    assert lines["*strongest*"].endswith("| 99 |")
    runs = [str(f.path) for f in find_runs(["runs/results/attacks/512-steps/CartPole-v1/ppo-default"])]

    def mean(run: str, attack: str) -> float:
        kept = Path(run, "attacks/linf-auto-3-episodes-seed0-effort0.004")
        record = json.loads((kept / f"{attack}.json").read_text())
        (outcome,) = record["budgets"].values()
        return float(np.mean(outcome["returns"]))

    gaps = [mean(run, "random") - mean(run, "pgd") for run in runs]
    assert f"| PPO | CartPole-v1 | {paired(gaps)[0]}: " in page
    assert Path("results/attacks-left.png").stat().st_size > 5000
    assert len(Path("results/attacks-cells.csv").read_text().splitlines()) == 1 + 12
    again = rlsuite("results", "attacks")
    assert "0 runs to do" in again.out and "0 to play" in again.out
    table, cells = (Path(f"results/attacks{part}.csv").read_text() for part in ("", "-cells"))
    shutil.rmtree(runs[0])  # its rows can stay, in the same tables
    assert rlsuite("results", "attacks", "--report-only", "--keep").code == 0
    assert Path("results/attacks.csv").read_text() == table
    assert sorted(Path("results/attacks-cells.csv").read_text().splitlines()) == sorted(cells.splitlines())
    kept = Path("results/attacks.md").read_text()
    begin, end = "### CartPole-v1, eps", "## Learning curves"
    assert kept[kept.index(begin) : kept.index(end)] == page[page.index(begin) : page.index(end)]
