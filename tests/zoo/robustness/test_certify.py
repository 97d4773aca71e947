"""`rlsuite certify`: batches that are kept, certificates computed anew from them, terms on the page, bad input."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlsuite.smoothing.certificates import certify_dkw, certify_success
from rlsuite_zoo.report.numbers import rounded_down
from rlsuite_zoo.robustness.certify import _below, _score

ENV, RUN = "rlsuite/CartPole-v1", "runs/ppo/rlsuite-CartPole-v1/a"
SMALL = ("--episodes", "300", "--sigma", "0.1,0.2", "--budgets", "0:0.2:0.1", "--jobs", "1")


def test_certificates_come_from_kept_episodes(rlsuite: Any, trained: Any) -> None:
    trained(ENV, seeds=1)
    ran = rlsuite("certify", RUN, *SMALL)
    assert ran.code == 0, ran.err
    assert "2 to play" in ran.out
    out = Path(RUN) / "certify"
    first, second = json.loads((out / "certify.json").read_text())["certificates"]
    kept = np.array(json.loads((Path(RUN) / "seed0/certify/sigma0.1.json").read_text())["returns"])
    assert len(kept) == 300 and (first["sigma"], second["sigma"]) == (0.1, 0.2)
    exact = certify_dkw(kept, [0, 0.1, 0.2], 0.1, minimum=0.0)
    assert first["value"] == pytest.approx(exact.value.tolist()) and first["clean"] == pytest.approx(kept.mean())
    assert first["value"] == sorted(first["value"], reverse=True) and first["value"][0] < kept.mean()
    rows = list(csv.DictReader((out / "certify.csv").read_text().splitlines()))
    assert len(rows) == 6 and all(float(row["alpha"]) == 0.05 and row["episodes"] == "300" for row in rows)
    page = (out / "certify.html").read_text()
    for word in ("N = 300", "alpha = 0.05", "one fresh draw", "data:image/png;base64,"):
        assert word in page
    # Another method plays nothing.
    again = rlsuite("certify", RUN, *SMALL, "--method", "success", "--above", "15")
    assert again.code == 0 and "0 to play" in again.out
    value = json.loads((out / "certify.json").read_text())["certificates"][0]["value"]
    assert value == pytest.approx(certify_success(kept > 15, [0, 0.1, 0.2], 0.1).value.tolist())


def test_attacked_returns_stand_beside(rlsuite: Any, trained: Any) -> None:
    trained(ENV, seeds=1)
    ran = rlsuite("certify", RUN, *SMALL, "--attacked", "8")
    assert ran.code == 0, ran.err
    assert "6 to play" in ran.out
    found = json.loads((Path(RUN) / "certify/certify.json").read_text())["certificates"][0]
    assert set(found["attacked"]) == {"0.1", "0.2"} and found["attacked"]["0.1"]["n"] == 8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--sigma", "0"), "sigma"),
        (("--budgets=-1,0",), "budgets"),
        (("--episodes", "3"), "too few"),
        (("--method", "dwk"), "did you mean 'dkw'"),
        (("--method", "ladder"), "ladder"),
        (("--alpha", "2"), "alpha"),
        (("--q", "0.5"), "q"),
        (("--attacked", "-1"), "--attacked is -1"),
        (("--report-only",), "nothing was played"),
        (("--method", "expectation"), "maximum"),
    ],
)
def test_bad_input(rlsuite: Any, trained: Any, words: tuple[str, ...], message: str) -> None:
    trained(ENV, seeds=1)
    ran = rlsuite("certify", RUN, *words)
    assert ran.code == 2 and message in ran.err, ran.err
    assert not (Path(RUN) / "seed0/certify").exists()


def test_a_minimum_that_is_none(rlsuite: Any, trained: Any) -> None:
    """Returns below the stated minimum void the proof: refused, and the episodes stay for another try."""
    trained(ENV, seeds=1)
    words = ("certify", RUN, *SMALL)
    bad = rlsuite(*words, "--minimum", "400")
    assert bad.code == 2 and "400" in bad.err
    good = rlsuite(*words)
    assert good.code == 0 and "0 to play" in good.out


def test_attacked_scores_are_those_of_the_certificate() -> None:
    returns = np.arange(100.0)
    found = _score(returns, "percentile", 0.0, 0.9)
    assert found.estimate == 89 and 80 <= found.low < 89 < found.high <= 96
    none = _score(np.zeros(50), "success", 0.0, 0.5)  # nothing but failures is no proof of probability 0
    assert none.estimate == none.low == 0 and none.high == pytest.approx(1 - 0.025 ** (1 / 50))
    assert not _below(none, 1e-9) and _below(none, 0.2)
    constant = _score(np.full(20, 3.0), "ladder", 0.0, 0.5)
    assert not _below(constant, 3.1)
    assert (rounded_down(199.96, 1), rounded_down(0.99996, 4), rounded_down(-0.01, 1)) == (
        "199.9",
        "0.9999",
        "-0.1",
    )
