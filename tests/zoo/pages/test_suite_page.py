"""The results page from a tiny suite."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rlsuite.core.rng import EPISODES, env_seed
from rlsuite_envs.make import make_vector_env
from rlsuite_zoo.pages import suite_page
from rlsuite_zoo.pages.registry import PAGES, Page
from rlsuite_zoo.pages.rows import HEADER, Row, kept_rows
from rlsuite_zoo.pages.suite import Entry, Suite, load_suite
from rlsuite_zoo.report.differences import paired
from rlsuite_zoo.runs.folder import find_runs
from rlsuite_zoo.runs.models import EVAL_SEED


def test_suites_say_what_the_project_promises() -> None:
    suite = load_suite("bpo")
    assert suite.environments == ["Hopper-v5", "HalfCheetah-v5", "Walker2d-v5", "Swimmer-v5"]
    assert (suite.steps, suite.seeds) == (1_000_000, [0, 1, 2, 3, 4])
    assert {(entry.algo, entry.recipe) for entry in suite.entries} == {
        (algo, recipe) for algo in ("bpo", "ppo") for recipe in ("default", "raw")
    }
    assert set(suite.published) == set(suite.environments)
    assert all({"what", "value", "source"} == set(row) for rows in suite.published.values() for row in rows)
    sac = load_suite("sac")
    assert (sac.steps, sac.seeds) == (200_000, [0, 1, 2]) and "sb3:sac" in {entry.algo for entry in sac.entries}


@pytest.fixture
def tiny(monkeypatch: Any) -> None:
    suite = Suite(
        name="tiny",
        title="A tiny suite",
        about="Two baselines.",
        steps=256,
        seeds=[0],
        environments=["CartPole-v1"],
        entries=[Entry("One", "sb3:a2c"), Entry("Two", "ppo")],
        published={"CartPole-v1": [{"what": "solved", "value": "475", "source": "Gymnasium"}]},
        compare=[["One", "Two"]],
    )
    monkeypatch.setitem(PAGES, "tiny", Page("two baselines", keeps=True))
    monkeypatch.setattr(suite_page, "load_suite", lambda name: suite)


def test_a_suite_trains_once_and_reports(rlsuite: Any, tiny: None) -> None:
    ran = rlsuite("results", "tiny", "--steps", "512", "--jobs", "1")
    assert ran.code == 0, ran.err
    page = Path("results/tiny.md").read_text()
    for word in (
        "# A tiny suite",
        "| **One** |",
        "| **Two** |",
        "(1)",
        "512 environment steps",
        "torch",
        "| 475 |",
        "seeds 0",
        "One minus Two",
        "too few seeds",
    ):
        assert word in page, word
    assert "--jobs" not in page  # the command is one that holds on any machine
    rows = Path("results/tiny.csv").read_text().splitlines()
    assert len(rows) == 3 and rows[1].startswith("CartPole-v1,One,0,")
    assert Path("results/tiny.png").stat().st_size > 10_000
    before = {folder.path: folder.last.stat().st_mtime_ns for folder in find_runs(["runs/results"])}
    assert len(before) == 2
    assert "0 runs to do" in rlsuite("results", "tiny", "--steps", "512").out
    assert before == {folder.path: folder.last.stat().st_mtime_ns for folder in find_runs(["runs/results"])}


def test_rows_of_runs_that_are_gone_can_stay(rlsuite: Any, tiny: None) -> None:
    assert rlsuite("results", "tiny", "--seeds", "0-1", "--steps", "512", "--jobs", "1").code == 0
    page, table = Path("results/tiny.md").read_text(), Path("results/tiny.csv").read_text()
    (gone,) = find_runs(["runs/results/tiny/512-steps/CartPole-v1/ppo-default/seed1"])
    shutil.rmtree(gone.path)
    again = ("results", "tiny", "--seeds", "0-1", "--steps", "512", "--report-only")
    assert rlsuite(*again, "--keep").code == 0
    assert Path("results/tiny.csv").read_text() == table
    kept = Path("results/tiny.md").read_text()
    after = slice(page.index("## Returns"), None)
    assert kept[kept.index("## Returns") :] == page[after]
    assert "1 further runs are rows kept" in kept and "further runs" not in page
    assert rlsuite(*again).code == 0
    assert len(Path("results/tiny.csv").read_text().splitlines()) == len(table.splitlines()) - 1


def test_rows_of_other_budgets_go_and_those_of_other_environments_stay(tmp_path: Path) -> None:
    table = tmp_path / "x.csv"
    row = "{},One,{},{},1.0,2.0,abc"
    lines = [("A", 0, 1000), ("A", 1, 1050), ("A", 2, 900), ("A", 3, 2000), ("B", 0, 1000), ("C", 0, 1000)]
    text = "\n".join([HEADER, *(row.format(*line) for line in lines)]) + "\n"
    table.write_text(text)
    here = {("A", "One"): [Row(0, 1000, 5.0, 6.0, "new")]}
    kept = kept_rows(table, here, lambda env, name: 1000 if env in "AB" else None)
    assert {key: [row.seed for row in rows] for key, rows in kept.items()} == {
        ("A", "One"): [1],
        ("B", "One"): [0],
    }


def test_an_evaluation_of_another_kind_is_not_averaged(rlsuite: Any, tiny: None) -> None:
    command = ("results", "tiny", "--steps", "512", "--jobs", "1")
    assert rlsuite(*command).code == 0
    (folder,) = find_runs(["runs/results/tiny/512-steps/CartPole-v1/ppo-default"])
    own = folder.evaluation.read_text()
    for words, named in (
        ("--episodes 3", "episodes is 3, not 20"),
        ("--stochastic", "deterministic is False, not True"),
    ):
        assert rlsuite("evaluate", str(folder.path), *words.split()).code == 0
        ran = rlsuite(*command, "--report-only")
        assert ran.code == 2 and named in ran.err and "rlsuite evaluate" in ran.err
    assert rlsuite("evaluate", str(folder.path), "--episodes", "20").code == 0
    assert rlsuite(*command, "--report-only").code == 0
    assert json.loads(own)["returns"] == json.loads(folder.evaluation.read_text())["returns"]


def test_a_run_of_other_settings_is_not_taken_for_this_one(rlsuite: Any, tiny: None) -> None:
    command = ("results", "tiny", "--steps", "512", "--jobs", "1")
    assert rlsuite(*command).code == 0
    (folder,) = find_runs(["runs/results/tiny/512-steps/CartPole-v1/ppo-default"])
    text = folder.config.read_text()
    assert "gamma: 0.98" in text
    folder.config.write_text(text.replace("gamma: 0.98", "gamma: 0.9"))
    for words in (command, (*command, "--report-only")):
        ran = rlsuite(*words)
        assert ran.code == 2 and "made with gamma 0.9, its recipe or suite now has 0.98" in ran.err


def test_a_page_with_more_than_tables_keeps_nothing(rlsuite: Any) -> None:
    ran = rlsuite("results", "forces", "--report-only", "--keep")
    assert ran.code == 2 and "--keep" in ran.err and "forces" in ran.err


def test_rules_play_the_learners_episodes(rlsuite: Any, monkeypatch: Any) -> None:
    env = "rlsuite/LotSizing-15x5-v0"
    suite = Suite(
        name="plants",
        title="Plants",
        about="A learner and two rules.",
        steps=256,
        seeds=[0, 1],
        environments=[env],
        entries=[Entry("PPO", "ppo", "plants"), Entry("PDPPO", "pdppo", steps={"all": "128"})],
        published={},
        compare=[["PDPPO", "PPO"]],
        rules=["idle", "keep"],
        eval_episodes=20,
        paired=True,
    )
    monkeypatch.setitem(PAGES, "plants", Page("a learner and two rules"))
    monkeypatch.setattr(suite_page, "load_suite", lambda name: suite)
    ran = rlsuite("results", "plants", "--jobs", "1")
    assert ran.code == 0, ran.err
    page = Path("results/plants.md").read_text()
    assert "## Beside simple rules" in page and "| keep the first set-ups |" in page
    assert "same episodes" in page and "recipe `default`, 128 steps" in page
    root = Path("runs/results/plants/256-steps")
    (folder,) = (f for f in find_runs([str(root)]) if "ppo-plants/seed1" in str(f.path).replace("\\", "/"))
    record = json.loads(folder.evaluation.read_text())
    idle = json.loads((root / "rules/rlsuite-LotSizing-15x5-v0/idle/seed1.json").read_text())["returns"]
    # A plant that stands still meets the demands the learner met: by hand, on the evaluation's environments.
    venv: Any = make_vector_env(env, 10)
    venv.reset(seed=env_seed(folder.spec().seed + EVAL_SEED, EPISODES))
    still, by_hand = torch.zeros((10, 5), dtype=torch.int64), np.zeros((2, 10))
    for step in range(200):
        by_hand[step // 100] += venv.step(still)[1].numpy()
    np.testing.assert_allclose(idle, by_hand.ravel(), rtol=1e-6)
    assert len(record["returns"]) == 20
    seeds = [f for f in find_runs([str(root)]) if "ppo-plants" in str(f.path)]
    gaps = []
    for f in seeds:
        played = root / f"rules/rlsuite-LotSizing-15x5-v0/idle/seed{f.spec().seed}.json"
        gaps.append(
            np.mean(json.loads(f.evaluation.read_text())["returns"])
            - np.mean(json.loads(played.read_text())["returns"])
        )
    assert f"| PPO | {paired(gaps)[0]} " in page


def test_cells_are_mean_interval_and_count() -> None:
    assert suite_page._cell([]) == suite_page._cell([float("nan")]) == "–"
    assert suite_page._cell([12.34]) == "12.3 (1)"
    cell = suite_page._cell([100.0, 200.0, 300.0])
    assert cell.startswith("200 [1") and cell.endswith("] (3)")
