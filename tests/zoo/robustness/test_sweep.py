"""`rlsuite robustness`: maps that are kept, averaged over seeds and reported; bad input before any simulation."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.runs.groups import group_names

RUN = "runs/ppo/InvertedPendulum-v5/a"
GRID = ("--force", "0,5", "--mass", "0.5:1.5:0.5", "--friction", "0.5,1", "--episodes", "2", "--jobs", "1")


ENV = "InvertedPendulum-v5"


def test_maps_are_kept_and_averaged_over_seeds(rlsuite: Any, trained: Any) -> None:
    trained(ENV)
    ran = rlsuite("robustness", RUN, *GRID)
    assert ran.code == 0, ran.err
    assert "2 to play" in ran.out and "worst cell" in ran.out
    data = json.loads(Path("results/robustness.json").read_text())
    (group,) = data["groups"].values()
    files = [file for k in (0, 1) for file in Path(RUN, f"seed{k}/robustness").iterdir()]
    kept = [json.loads(file.read_text()) for file in files]
    assert len(kept) == 2
    maps = [np.array(record["returns"]) for record in kept]
    assert maps[0].shape == (3, 2, 2)
    assert group["nominal"]["mean"] == pytest.approx(np.mean([m[1, 1].mean() for m in maps]))
    assert group["worst cell"]["mean"] == pytest.approx(np.mean([m.mean(-1).min() for m in maps]))
    assert group["worst cell"]["mean"] <= group["mean of the map"]["mean"] and group["nominal"]["runs"] == 2
    (pushes,) = data["pushed"].values()
    assert set(pushes) == {"random", "steps", "random steps"}
    assert pushes["steps"]["5"] == pytest.approx(np.mean([np.mean(r["pushed"]["steps"][1]) for r in kept]))
    assert len({pushes[kind]["0"] for kind in pushes}) == 1  # without force they are all the plain task
    rows = list(csv.DictReader(Path("results/robustness.csv").read_text().splitlines()))
    assert len(rows) == 12 and {row["body"] for row in rows} == {"pole"}
    page = Path("results/robustness.html").read_text()
    assert "data:image/png;base64," in page and "http" not in page.replace("http-equiv", "")
    assert "0 to play" in rlsuite("robustness", RUN, *GRID).out
    assert "2 to play" in rlsuite("robustness", RUN, "--quick", "--jobs", "1").out  # another grid,
    assert "0 to play" in rlsuite("robustness", RUN, *GRID).out  # which leaves the first one's maps


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--body", "pol"), "did you mean 'pole'"),
        (("--mass", "0,1"), "mass scales"),
        (("--friction", "x"), "--friction"),
        (("--force=-1,2",), "--force begins"),
        (("--episodes", "0"), "episodes is 0"),
        (("--jobs", "0"), "--jobs"),
        (("--report-only",), "no map was played"),
    ],
)
def test_bad_input(rlsuite: Any, trained: Any, words: tuple[str, ...], message: str) -> None:
    trained(ENV)
    ran = rlsuite("robustness", RUN, *words)
    assert ran.code == 2 and message in ran.err, ran.err


def test_tasks_without_masses(rlsuite: Any, trained: Any) -> None:
    trained("rlsuite/CartPole-v1")
    ran = rlsuite("robustness", "runs")
    assert ran.code == 2 and "MuJoCo tasks" in ran.err


def test_runs_that_differ_in_more_than_the_seed_have_names_of_their_own(make_run: Any) -> None:
    curve = [(1, 0.0)]
    runs = [make_run(f"a{seed}", curve, seed=seed, steps=1000) for seed in (0, 1)]
    longer, wider = make_run("b", curve, steps=5000), make_run("c", curve, steps=1000, num_envs=64)
    assert len(set(group_names(runs))) == 1
    first, same, other = group_names([*runs, longer])
    assert first == same and first.endswith("1,000 steps") and other.endswith("5,000 steps")
    first, same, other = group_names([*runs, wider])
    assert first == same != other
    with pytest.raises(UsageError, match="are the same run"):
        group_names([*runs, make_run("d", curve, seed=1, steps=1000)])


def test_the_same_run_twice_is_refused_before_anything_is_played(rlsuite: Any, trained: Any) -> None:
    trained(ENV, seeds=1)
    shutil.copytree(f"{RUN}/seed0", "runs/copy/seed0")
    ran = rlsuite("robustness", RUN, "runs/copy", *GRID)
    assert ran.code == 2 and "are the same run" in ran.err and "to play" not in ran.out
