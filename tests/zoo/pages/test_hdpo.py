"""The HDPO page: a tiny run end to end, and its arithmetic against hand and SciPy."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from rlsuite_envs.inventory.optimal.optimal import Optimum
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.options import PageOptions
from rlsuite_zoo.pages.hdpo import make as results_hdpo
from rlsuite_zoo.pages.hdpo import page as results_hdpo_page
from rlsuite_zoo.pages.hdpo.page import Group, Row, Trial

LOST, BACKLOG = "rlsuite/LostSales-L1-p4-v0", "rlsuite/SingleStore-L1-p4-v0"


def trial(costs: list[float], paths: Any, errors: float = 0.1) -> Trial:
    return Trial([], np.array(costs), np.full(len(costs), errors), np.asarray(paths, np.float32), 1.0)


def options(tmp_path: Path, **changed: Any) -> PageOptions:
    given: dict[str, Any] = {
        "page": "hdpo",
        "seeds": "",
        "steps": "1",
        "jobs": 1,
        "only": BACKLOG,
        "report_only": False,
    }
    return PageOptions(**{**given, "runs": str(tmp_path / "runs"), "out": str(tmp_path / "out"), **changed})


def test_a_page_from_nothing_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(results_hdpo, "TEST", {"scenarios": 64, "periods": 20, "warm_up": 20})
    results_hdpo.make_results(options(tmp_path))
    page = (tmp_path / "out" / "hdpo.md").read_text(encoding="utf-8")
    assert "| L1-p4 | base_stock |" in page and "0.1 %" in page
    assert (tmp_path / "out" / "hdpo.png").stat().st_size > 5000
    record = json.loads(next((tmp_path / "runs").rglob("test.json")).read_text(encoding="utf-8"))
    csv = (tmp_path / "out" / "hdpo.csv").read_text(encoding="utf-8").splitlines()
    assert len(csv) == 2 and csv[1].startswith(f"{BACKLOG},base_stock,0,25600,{record['cost']:.6g},")
    # One update from a level of 3 mean demands: the exact reference makes a few paths enough to see the gap.
    assert 3.167 < record["cost"] < 6 and record["standard_error"] < 0.2
    capsys.readouterr()
    results_hdpo.make_results(options(tmp_path))
    assert capsys.readouterr().out.startswith("0 runs to do")
    results_hdpo.make_results(options(tmp_path, report_only=True))


def test_nothing_to_report_and_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no finished run"):
        results_hdpo.make_results(options(tmp_path, report_only=True))
    with pytest.raises(UsageError, match="lost"):
        results_hdpo.make_results(options(tmp_path, only="lots"))


def test_groups_hold_the_instances_of_the_goals() -> None:
    count = {group.name: len(group.ids) for group in results_hdpo.GROUPS}
    assert count == {
        "backlog": 24,
        "lost": 16,
        "chain": 4,
        "transshipment": 24,
        "stores": 6,
        "warehouses": 1,
    }
    assert {f.name for f in dataclasses.fields(Group)} >= {"learned", "classical", "goal"}
    chosen = results_hdpo.choose(f"chain,{LOST}")
    assert [ids if len(ids) == 1 else len(ids) for ids in chosen.values()] == [[LOST], 4]


def test_optima_are_per_store() -> None:
    found, stores = results_hdpo.known_optimum("rlsuite/Transshipment-5-L2-p4-corr0-v0")
    assert found is not None and stores == 5 and found.cost / 5 == pytest.approx(4.591, abs=1e-3)
    assert results_hdpo.known_optimum("rlsuite/ManyStores-3-v0") == (None, 3)


@pytest.mark.parametrize("id", [BACKLOG, "rlsuite/SerialSystem-L4-p9-v0"])
def test_the_reference_policy_costs_the_optimum(id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_hdpo, "TEST", {"scenarios": 512, "periods": 200, "warm_up": 100})
    reference = results_hdpo.optimal_run(id)
    assert reference is not None
    best, run = reference
    assert abs(run.mean - best.cost) < 4 * run.standard_error < 0.03 * best.cost
    assert results_hdpo.optimal_run(LOST) is None


def test_gap_and_saving() -> None:
    ours = trial([2.0, 2.2], [[1.0, 2.0, 3.0], [1.2, 2.2, 3.2]])
    rule = trial([2.5], [[1.5, 2.4, 3.6]])
    row = Row(LOST, "L1-p4", "vanilla", ours, 2.0, "base_stock", rule)
    interval = stats.ttest_1samp([2.0, 2.2], 0).confidence_interval(0.95)
    assert row.gap == pytest.approx((5.0, 50 * (interval.high - interval.low) / 2))
    single = Row(LOST, "L1-p4", "vanilla", trial([2.0], [[1.0, 2.0, 3.0]]), None, "base_stock", rule)
    assert single.gap is None
    difference = np.array([0.5, 0.4, 0.6])
    expected = (100 * difference.mean() / 2.5, 100 * 1.96 * difference.std(ddof=1) / 3**0.5 / 2.5)
    assert single.saving == pytest.approx(expected, rel=1e-4)


def test_rows_take_the_best_rule_and_leave_out_what_was_not_run() -> None:
    group = Group("lost", "Lost", "LostSales", ("vanilla",), ("base_stock", "capped_base_stock"), 0.5)
    other = "rlsuite/LostSales-L2-p4-v0"
    runs = {
        (LOST, "vanilla"): trial([4.05], [[4.0, 4.1]]),
        (LOST, "base_stock"): trial([4.16], [[4.1, 4.2]]),
        (LOST, "capped_base_stock"): trial([4.07], [[4.0, 4.1]]),
        (other, "base_stock"): trial([4.6], [[4.6, 4.6]]),
    }
    optima = {LOST: (Optimum(4.041, ()), 1), other: (Optimum(4.395, ()), 1)}
    (row,) = results_hdpo_page.rows_of(group, [LOST, other], runs, optima)
    assert row.classical == "capped_base_stock" and row.gap is not None
    assert row.gap[0] == pytest.approx(100 * (4.05 / 4.041 - 1))
    (text,) = results_hdpo_page.summary({group: [row]})
    assert "1 of 1 within 0.5 %" in text and "better than the best rule in 0 of 1" in text
    assert results_hdpo_page.csv_text({}) == "environment,policy,seed,steps,cost,standard_error,minutes\n"
