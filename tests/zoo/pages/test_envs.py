"""`rlsuite results envs`: what it trains, keeps and says."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rlsuite_zoo.pages.envs import Row, environments


def test_the_page_and_its_runs_are_kept(rlsuite: Callable[..., Any]) -> None:
    words = ("results", "envs", "--only", "rlsuite/CartPole-v1", "--steps", "4096")
    assert rlsuite(*words).code == 0
    page = Path("results/envs.md").read_text()
    assert "CartPole-v1" in page
    assert Path("results/envs.png").stat().st_size > 1000
    (row,) = csv.DictReader(Path("results/envs.csv").read_text().splitlines())
    runs = Path("runs/results/envs/4096-steps/rlsuite-CartPole-v1")
    returns = json.loads((runs / "random.json").read_text())["returns"]
    assert len(returns) == 100
    assert float(row["random_mean"]) == round(float(np.mean(returns)), 6) < 40
    again = rlsuite(*words)
    assert again.code == 0
    assert "0 runs to do" in again.out


def test_unknown_environments_are_named(rlsuite: Callable[..., Any]) -> None:
    ran = rlsuite("results", "envs", "--only", "clasic")
    assert ran.code == 2
    assert "'classic'" in ran.err
    ran = rlsuite("results", "envs", "--only", "classic", "--report-only")
    assert ran.code == 2
    assert "no finished run" in ran.err


def test_families_and_ids_can_be_chosen() -> None:
    assert list(environments("classic")) == ["classic"]
    assert environments("rlsuite/Pendulum-v1") == {"classic": ["rlsuite/Pendulum-v1"]}
    assert not any(id.startswith("rlsuite/Probe") for ids in environments("").values() for id in ids)


def test_verdicts_leave_doubt_where_there_is_some() -> None:
    rng = np.random.default_rng(0)
    low, high = rng.normal(0, 1, 100), rng.normal(1, 1, 100)
    constant = np.full(100, 5.0)
    assert Row("x", low, high, high).verdict == "better"
    assert Row("x", high, low, low).verdict == "worse"
    assert Row("x", low, rng.normal(0, 1, 100), low).verdict == "no difference shown"
    assert Row("x", constant, constant, constant).verdict == "no difference shown"
    assert Row("x", low, constant, constant).verdict == "better"
