"""`rlsuite results cmorl` on a small suite: stages, fresh episodes, the authors' numbers, rows whose runs are gone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlsuite_zoo.files import read_csv
from rlsuite_zoo.pages import suite_page
from rlsuite_zoo.pages.cmorl import make
from rlsuite_zoo.pages.cmorl.tables import read_tables
from rlsuite_zoo.pages.suite import Entry, Suite, load_suite

TREASURE, TREE = "rlsuite/DeepSeaTreasure-concave-v0", "rlsuite/FruitTree-v0"
PUBLISHED = {"what": "somebody", "hypervolume": "900 910 905", "utility": "1.5", "source": "a log"}


@pytest.fixture
def small(monkeypatch: Any) -> None:
    suite = Suite(
        name="cmorl",
        title="Sets",
        about="Two stages.",
        steps=4_000,
        seeds=[0, 1],
        environments=[TREASURE, TREE],
        entries=[
            Entry("C-MORL", "cmorl", environments=[TREASURE]),
            Entry("stage 1 alone", "cmorl", "init", environments=[TREASURE]),
            Entry("C-MORL", "cmorl", environments=[TREE], seeds="0"),
        ],
        published={TREASURE: [PUBLISHED]},
        compare=[["C-MORL", "stage 1 alone"]],
        eval_episodes=2,
    )
    monkeypatch.setattr(suite_page, "load_suite", lambda name: suite)
    monkeypatch.setattr(make, "EPISODES", 2)


def test_the_suite_counts_real_steps_and_gives_every_set_a_reference_point() -> None:
    suite = load_suite("cmorl")
    for env, steps in (("mo-hopper-2d-v4", 12_000_000), ("mo-ant-v4", 16_000_000)):
        entry = suite.entry(env, "C-MORL")
        assert entry is not None and entry.budget(env, suite.steps) == steps
        assert len(entry.seeds_of(suite.seeds)) >= 5 and len(suite.published[env][0]["hypervolume"].split()) == 5
    for env in suite.environments:
        names = [entry.name for entry in suite.on(env)]
        assert names and len(set(names)) == len(names)
        for entry in suite.on(env):
            spec = suite_page._spec(suite, env, entry, 0, suite.steps)
            assert spec.config["reference"] is not None


def test_sets_are_trained_played_again_and_compared(rlsuite: Any, small: None) -> None:
    ran = rlsuite("results", "cmorl", "--jobs", "1")
    assert ran.code == 0, ran.err
    page = Path("results/cmorl.md").read_text()
    for word in ("### rlsuite/FruitTree-v0", "stage 1 alone", "points of the true front", "somebody (a log)", "Welch"):
        assert word in page, word
    rows = read_csv(Path("results/cmorl.csv"))
    assert len(rows) == 5 and {row["seed"] for row in rows if row["environment"] == TREE} == {"0"}
    for row in rows:
        assert int(row["measuring_steps"]) > 0 and 0 <= int(row["attained"]) <= int(row["policies"])
        # the tasks are deterministic: fresh episodes are the old ones
        assert float(row["fresh_hypervolume"]) == pytest.approx(float(row["hypervolume"]))
        if row["entry"] == "stage 1 alone":
            assert float(row["first_hypervolume"]) == pytest.approx(float(row["hypervolume"]))
    for picture in ("cmorl.png", "cmorl-fronts.png"):
        assert Path("results", picture).stat().st_size > 5_000

    runs = read_tables(Path("results"), "cmorl", lambda env, name: 4_000)
    assert [run.front.shape[1] for run in runs] == [2, 2, 2, 2, 6]
    assert all(run.curve.shape[1] == 3 and np.all(np.diff(run.curve[:, 2]) >= 0) for run in runs)
    assert not read_tables(Path("results"), "cmorl", lambda env, name: 50_000)

    shutil.rmtree(next(Path("runs").glob("results/cmorl/*/rlsuite-FruitTree-v0")))
    ran = rlsuite("results", "cmorl", "--only", TREASURE, "--keep", "--report-only")
    assert ran.code == 0, ran.err
    again = Path("results/cmorl.md").read_text()
    assert again == page and read_csv(Path("results/cmorl.csv")) == rows
    ran = rlsuite("results", "cmorl", "--only", TREASURE, "--report-only")
    assert ran.code == 0 and "FruitTree" not in Path("results/cmorl.md").read_text()
