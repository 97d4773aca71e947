"""Results pages: findings first, at most 1,500 words a page, and nobody ahead by a longer training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rlsuite_zoo
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.report.curves import Curve, draw
from rlsuite_zoo.report.differences import budgets_apart, tally
from rlsuite_zoo.report.paged import MOST_WORDS, table_verdicts, write_paged

RESULTS = sorted((Path(rlsuite_zoo.__file__).parent / "results").glob("*.md"))


@pytest.mark.parametrize("page", RESULTS, ids=lambda page: page.stem)
def test_committed_pages_are_short_and_open_with_findings(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(text.split()) <= MOST_WORDS
    lines = [line for line in text.splitlines() if line]
    assert lines[0].startswith("# ") and (lines[1].startswith("- ") or "detail" in page.stem)
    for link in text.split("](")[1:]:
        assert "://" in link or (page.parent / link.partition(")")[0]).exists()


def test_detail_leaves_a_page_that_is_too_long_and_nothing_is_lost(tmp_path: Path) -> None:
    long = "\n\n".join(" ".join([f"w{i}"] * 600) for i in range(5))
    text = f"# T\n\nabout\n\n## Short\n\na b\n\n## Long\n\n{long}\n\n## Other\n\nc"
    (tmp_path / "t-detail-9.md").write_text("of an earlier page")
    pages = write_paged(tmp_path / "t.md", text, ["found"], detail=("Long", "Other"))
    assert [page.name for page in pages] == ["t.md", "t-detail.md", "t-detail-2.md", "t-detail-3.md"]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(page.name for page in pages)
    main, *detail = (page.read_text() for page in pages)
    assert main.startswith(
        "# T\n\n- found\n\nabout\n\n## Short\n\na b\n\n## Other\n\nc\n\n## Detail\n\nLong: [t-detail]"
    )
    assert [sum(page.split().count(f"w{i}") for page in detail) for i in range(5)] == [600] * 5
    assert all(len(page.split()) <= MOST_WORDS for page in detail)
    with pytest.raises(UsageError, match=r"t.md would have 3\d\d\d words"):
        write_paged(tmp_path / "t.md", text, [])


def test_runs_of_unlike_budgets_are_not_compared() -> None:
    assert budgets_apart([800_000, 802_816], [24_000]) == "not compared: 801,408 steps against 24,000"
    assert budgets_apart([1_000_000], [1_090_000]) == ""
    table = (
        "| | env | v |\n|---|---|---|\n| A minus B | e | ahead |\n| A minus B | f | +1: behind |\n| A minus C | e | – |"
    )
    assert table_verdicts(table, 2) == [("A minus B", "ahead"), ("A minus B", "behind")]
    assert tally(table_verdicts(table, 2)) == ["A minus B: ahead in 1, behind in 1 of 2 environments."]


def test_the_axis_is_the_learners_not_their_beginnings() -> None:
    steps = np.linspace(0, 1000, 200)
    learners = [
        Curve(name, steps, (level - 30_000 * np.exp(-steps / 10))[None]) for name, level in (("a", -500), ("b", -900))
    ]
    short = Curve("short", steps / 40, np.full((1, 200), -28_000.0))
    axis = draw({"env": [*learners, short]}, "m", 0.0, "").axes[0]
    assert -1000 < axis.get_ylim()[0] < -900 and -500 < axis.get_ylim()[1] < -400
    (note,) = (text.get_text() for text in axis.texts)
    assert note == "outside: begins at -30.9k; short ends at -28k"
    flat = draw({"env": [Curve("a", steps, steps[None])]}, "m", 0.0, "").axes[0]
    assert not flat.texts and flat.get_ylim()[0] < 10
