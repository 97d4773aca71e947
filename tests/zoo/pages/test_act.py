"""`results_act` and `bench.act`: what they train, keep, go on with and say."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlsuite.adversarial.cheap_talk.act import ACT
from rlsuite_zoo.bench import act as bench
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.files import read_csv
from rlsuite_zoo.options import PageOptions
from rlsuite_zoo.pages.act import make as results_act
from rlsuite_zoo.pages.act.make import ActRun, evolve, make_results
from rlsuite_zoo.pages.act.page import victims_table


@pytest.fixture
def small(monkeypatch: Any, tmp_path: Path) -> dict[str, Any]:
    """The options of a page whose trainings take a fraction of a second each."""
    tasks = [
        dataclasses.replace(
            task,
            config=dataclasses.replace(task.config, population=2, episodes=2),
            victim=dataclasses.replace(task.victim, hidden=8, n_steps=32, n_updates=2, n_epochs=2),
        )
        for task in results_act.TASKS
    ]
    monkeypatch.setattr(results_act, "TASKS", tuple(tasks))
    monkeypatch.setattr(results_act, "TEST_VICTIMS", 4)
    monkeypatch.setattr(results_act, "RANDOM_NETWORKS", 2)
    common = {"page": "act", "seeds": "0-1", "steps": "2", "jobs": 1, "only": "", "report_only": False}
    return {**common, "runs": str(tmp_path / "runs"), "out": str(tmp_path / "out")}


def test_the_page_and_its_runs_are_kept(small: dict[str, Any], capsys: Any) -> None:
    make_results(PageOptions(**small))
    assert "6 runs to do" in capsys.readouterr().out
    out = Path(small["out"])
    page = (out / "act.md").read_text()
    assert all(f"| {kind} |" in page for kind in ("harmful", "helpful", "steering", "random", "none"))
    assert "## Where victims go" in page and (out / "act.png").stat().st_size > 5000
    rows = list(csv.DictReader((out / "act.csv").read_text().splitlines()))
    assert [(row["objective"], row["seed"]) for row in rows] == [
        (task, seed) for seed in "01" for task in ("harm", "help", "control")
    ]
    folder = Path(small["runs"]) / "act" / "help" / "2-generations" / "seed1"
    record = json.loads((folder / "tested.json").read_text())
    assert np.shape(record["evolved"]) == np.shape(record["none"]) == np.shape(record["random"]) == (4, 2)
    assert float(rows[4]["mean_return"]) == pytest.approx(np.mean(record["evolved"]), abs=1e-3)
    assert ACT.load(folder / "act.zip").generation == 2
    make_results(PageOptions(**small))
    assert "0 runs to do" in capsys.readouterr().out


def test_one_objective_alone_makes_a_page(small: dict[str, Any]) -> None:
    make_results(PageOptions(**{**small, "only": "help", "seeds": "3"}))
    page = (Path(small["out"]) / "act.md").read_text()
    assert "harmful" not in page.split("## What victims learn")[1] and "Where victims go" not in page


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(
    small: dict[str, Any], monkeypatch: Any, tmp_path: Path
) -> None:
    task = dataclasses.replace(results_act.TASKS[0], generations=4)
    monkeypatch.setattr(results_act, "SAVE_EVERY", 2)
    whole, stopped = ActRun(tmp_path / "whole", task, 0), ActRun(tmp_path / "stopped", task, 0)
    whole.prepare()
    stopped.prepare()
    evolve(whole)
    generation = ACT._generation

    def breaks(self: ACT) -> dict[str, float]:
        if self.generation == 3:
            raise KeyboardInterrupt
        return generation(self)

    monkeypatch.setattr(ACT, "_generation", breaks)
    with pytest.raises(KeyboardInterrupt):
        evolve(stopped)
    assert not stopped.finished and len(read_csv(stopped.progress)) == 2
    monkeypatch.setattr(ACT, "_generation", generation)
    evolve(stopped)
    assert stopped.record()["evolved"] == whole.record()["evolved"]
    assert stopped.curve("generation").tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(stopped.curve("act/fitness_mean"), whole.curve("act/fitness_mean"))


def test_bad_options_are_named(small: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="'harm'"):
        make_results(PageOptions(**{**small, "only": "harmm"}))
    with pytest.raises(UsageError, match="no finished run"):
        make_results(PageOptions(**{**small, "report_only": True}))


def test_verdicts_compare_with_random_messages() -> None:
    rng = np.random.default_rng(0)
    victim = rng.normal(0, 20, (20, 1))  # what a victim's own chance makes of it, the same under all words
    kinds = {
        "harmful": np.concatenate([victim + 50, victim + 54]),
        "random": victim + 55 + rng.normal(0, 1, (20, 1)),
    }
    harmful, random = victims_table(kinds).splitlines()[2:4]
    assert harmful.endswith("| behind |") and "| 2 × 20 |" in harmful and random.endswith("|  |")
    assert "| -3 [" in harmful  # paired: unpaired intervals of such victims would hide it


def test_runs_of_other_settings_are_not_taken_for_these(small: dict[str, Any], monkeypatch: Any) -> None:
    make_results(PageOptions(**{**small, "only": "help", "seeds": "0"}))
    other = [
        dataclasses.replace(task, config=dataclasses.replace(task.config, message_dim=3)) for task in results_act.TASKS
    ]
    monkeypatch.setattr(results_act, "TASKS", tuple(other))
    with pytest.raises(UsageError, match="other settings"):
        make_results(PageOptions(**{**small, "only": "help", "seeds": "0", "report_only": True}))


def test_the_bench_reports_its_ratios(tmp_path: Path) -> None:
    result = bench.main(victims=3, updates=1, alone=1, repeats=1, out=tmp_path)
    medians = result["medians"]
    assert set(medians) == {bench.BATCHED, bench.ALONE, bench.AGENT} and min(medians.values()) > 0
    assert result["ratios"][f"at once / {bench.ALONE}"] == medians[bench.BATCHED] / medians[bench.ALONE]
    assert "trainings/CPU s" in (tmp_path / "act_speed.md").read_text()
    with pytest.raises(UsageError, match="alone=2"):
        bench.main(victims=1)
    with pytest.raises(UsageError, match="CartPole"):
        bench.main(env="Cartpole")
