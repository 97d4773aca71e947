"""`rlsuite benchmark robustness`: victims by attacks, cells shared with `rlsuite attack`, bad input refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

OUT = Path("results/robustness-benchmark")


def test_victims_by_attacks(rlsuite: Any, trained: Any) -> None:
    trained("rlsuite/CartPole-v1")
    words = (
        "benchmark",
        "robustness",
        "--runs",
        "runs",
        "--attacks",
        "random,pgd",
        "--eps",
        "0.5",
        "--jobs",
        "1",
    )
    ran = rlsuite(*words, "--episodes", "3")
    assert ran.code == 0, ran.err
    assert "6 to play" in ran.out and "1 victims, 2 attacks" in ran.out
    (victim,) = json.loads(OUT.with_suffix(".json").read_text())["victims"]
    assert victim["victim"].startswith("ppo ") and len(victim["runs"]) == 2 and victim["eps"] == 0.5
    rows = list(csv.DictReader(OUT.with_suffix(".csv").read_text().splitlines()))
    means = {(r["run"], r["attack"]): float(r["mean_return"]) for r in rows}
    pgd = [value for (_, attack), value in means.items() if attack == "pgd"]
    assert victim["returns"]["pgd"]["mean"] == pytest.approx(np.mean(pgd), abs=1e-3)
    worst = {run: min(means[run, a] for a in ("random", "pgd")) for run in victim["runs"]}
    assert worst[victim["median_run"]] == min(worst.values())  # of two, the lower one
    page = OUT.with_suffix(".html").read_text()
    assert "data:image/png;base64," in page and "strongest" in page
    assert OUT.with_suffix(".png").stat().st_size > 5000
    assert "0 to play" in rlsuite(*words, "--episodes", "3").out
    # The same cells serve `rlsuite attack`.
    one = rlsuite("attack", "runs", "--attacks", "random,pgd", "--eps", "0.5", "--episodes", "3", "--jobs", "1")
    assert one.code == 0 and "0 to play" in one.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no victims"),
        (("--runs", "nowhere"), "is no folder"),
        (("--runs", "runs", "--eps", "0"), "above 0"),
        (("--runs", "runs", "--eps", "-1"), "eps is -1"),
        (("--runs", "runs", "--attacks", "q"), "q_value"),
        (("--runs", "runs", "--report-only"), "nothing was played"),
        (("--runs", "runs", "--norm", "l3"), "norm"),
    ],
)
def test_bad_input(rlsuite: Any, trained: Any, words: tuple[str, ...], message: str) -> None:
    trained("rlsuite/CartPole-v1", seeds=1)
    ran = rlsuite("benchmark", "robustness", *words)
    assert ran.code == 2 and message in ran.err, ran.err
