"""`rlsuite results forces` on a small suite: opponents, new adversaries, maps; nothing is played twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rlsuite as rl
from rlsuite_zoo.pages import suite_page
from rlsuite_zoo.pages.forces import make as results_forces
from rlsuite_zoo.pages.forces.page import against
from rlsuite_zoo.pages.suite import Entry, Suite, load_suite
from rlsuite_zoo.runs.folder import find_runs

ENVS = ["InvertedPendulum-v5", "rlsuite/WindyPoint-v0"]


@pytest.fixture
def small(monkeypatch: Any) -> None:
    suite = Suite(
        name="forces",
        title="Forces",
        about="Two protagonists.",
        steps=600,
        seeds=[0],
        environments=ENVS,
        entries=[
            Entry("SAC", "qarl", "fast-none", {ENVS[1]: "none"}),
            Entry("QARL", "qarl", "fast", {ENVS[1]: "default"}),
        ],
        published={},
        compare=[["QARL", "SAC"]],
        eval_episodes=2,
    )
    monkeypatch.setattr(suite_page, "load_suite", lambda name: suite)
    monkeypatch.setattr(results_forces, "SCALES", (0.5, 1.0))
    monkeypatch.setattr(results_forces, "EPISODES", 3)
    monkeypatch.setattr(results_forces, "ADVERSARY_STEPS", 2048)


def test_the_suite_is_what_the_papers_compare() -> None:
    suite = load_suite("forces")
    assert {"HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "rlsuite/WindyPoint-v0"} == set(suite.environments)
    assert len(suite.seeds) >= 5 and [entry.name for entry in suite.entries] == ["SAC", "RARL", "QARL"]
    for entry in suite.entries:  # as many steps of the protagonist's own for all
        assert entry.budget("Hopper-v5", suite.steps) == suite.steps // (2 if entry.name == "SAC" else 1)
        cheetah = 100_000 if entry.name == "SAC" else 200_000
        assert entry.budget("HalfCheetah-v5", suite.steps) == cheetah


def test_protagonists_meet_opponents_and_other_bodies(rlsuite: Any, small: None) -> None:
    ran = rlsuite("results", "forces", "--jobs", "1")
    assert ran.code == 0, ran.err
    assert "0 of 4 protagonists' trials are there; 4 to play" in ran.out
    page = Path("results/forces.md").read_text()
    for word in (
        "| | nobody |",
        "a new adversary |",
        "another run's adversary |",
        "## The claim",
        "QARL minus SAC",
        "### InvertedPendulum-v5, other",
    ):
        assert word in page, word
    assert "WindyPoint-v0, other bodies" not in page  # a point has no torso
    folders = find_runs(["runs/results/forces/600-steps/InvertedPendulum-v5/qarl-fast"])
    records = [json.loads((folder.path / "forces.json").read_text())["returns"] for folder in folders]
    assert set(records[0]) == {
        "none",
        "random",
        "steps",
        "random steps",
        "known",
        "new adversary 0",
        "new adversary 1",
    }
    hand = np.mean([min(np.mean(r["new adversary 0"]), np.mean(r["new adversary 1"])) for r in records])
    table = page[page.index("## Under forces") :]
    row = next(line for line in table.splitlines() if line.startswith("| **QARL** |"))
    assert f"| {hand:,.1f} [" in row
    for name in ("forces-worst.png", "forces-map-InvertedPendulum-v5.png", "forces-temperature.png"):
        assert Path("results", name).stat().st_size > 5000 and f"({name})" in page
    assert len(Path("results/forces-trials.csv").read_text().splitlines()) == 1 + 4 * 7
    (alone,) = find_runs(["runs/results/forces/600-steps/InvertedPendulum-v5/qarl-fast-none"])
    returns = json.loads((alone.path / "forces.json").read_text())["returns"]
    assert "known" not in returns and "rival 0" in returns  # it meets the adversary of the other run
    again = rlsuite("results", "forces")
    assert "0 runs to do" in again.out and "4 of 4 protagonists' trials are there; 0 to play" in again.out
    model = rl.load(folders[0].last, device="cpu")
    model.num_timesteps += 1
    model.save(folders[0].last)  # as if trained again: who has met its adversary meets it again
    assert "2 of 4 protagonists' trials are there; 2 to play" in rlsuite("results", "forces", "--jobs", "1").out


def test_the_strongest_new_adversary_counts() -> None:
    returns = {
        "none": np.array([9.0]),
        "new adversary 0": np.array([3.0, 5.0]),
        "new adversary 1": np.array([2.0, 3.0]),
    }
    assert against(returns, "new adversary") == 2.5 and against(returns, "none") == 9.0
    assert against(returns, "known") is None and against(returns, "known", "none") == 9.0
    assert against({**returns, "known": np.array([1.0])}, "known", "new adversary") == 1.0


def test_an_unknown_environment_is_named(rlsuite: Any) -> None:
    ran = rlsuite("results", "forces", "--only", "Hoper-v5")
    assert ran.code == 2 and "Hopper-v5" in ran.err
