"""`rlsuite attack`: what it plays, keeps, goes on with and says; bad input before any simulation."""

from __future__ import annotations

import csv
import html.parser
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.robustness.attack_cells import best_of
from rlsuite_zoo.runs.recipe import parse_grid

RUN = "runs/ppo/rlsuite-CartPole-v1/a"
ENV = "rlsuite/CartPole-v1"


class Tags(html.parser.HTMLParser):
    """Names, attributes and text of a page; what a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


def test_cells_are_kept_reported_and_not_played_twice(rlsuite: Any, trained: Any) -> None:
    trained(ENV, seeds=1)
    words = (
        "attack",
        RUN,
        "--attacks",
        "random,pgd,swap",
        "--eps",
        "0:1:0.5",
        "--episodes",
        "3",
        "--jobs",
        "1",
    )
    first = rlsuite(*words)
    assert first.code == 0, first.err
    assert "4 to play" in first.out and "strongest attack" in first.out
    folder = Path(RUN) / "attacks"
    data = json.loads((folder / "attacks.json").read_text())
    assert set(data["returns"]) == {"random", "pgd", "swap"}
    assert set(data["returns"]["pgd"]) == {"0", "0.5", "1"}
    cell = json.loads((Path(RUN) / "seed0/attacks/linf-auto-3-episodes-seed0-effort1/pgd.json").read_text())
    assert data["returns"]["pgd"]["1"]["mean"] == pytest.approx(np.mean(cell["budgets"]["1"]["returns"]))
    assert cell["budgets"]["1"]["largest"] <= 1 + 1e-6 and cell["unit"] == "measured"
    rows = list(csv.DictReader((folder / "attacks.csv").read_text().splitlines()))
    assert len(rows) == 9 and {row["eps"] for row in rows} == {"0", "0.5", "1"}
    clean = {row["attack"]: row["mean_return"] for row in rows if row["eps"] == "0"}
    assert len(set(clean.values())) == 1  # all attacks meet the same episodes
    again = rlsuite(*words)
    assert "0 to play" in again.out
    more = rlsuite(*words[:-4], "--episodes", "3", "--jobs", "1", "--eps", "0:1:0.25")
    assert more.code == 0 and "3 to play" in more.out  # the clean cell is there; the others miss two budgets each
    assert json.loads((folder / "attacks.json").read_text())["returns"]["pgd"].keys() == {
        "0",
        "0.25",
        "0.5",
        "0.75",
        "1",
    }


def test_the_page_needs_no_network(rlsuite: Any, trained: Any) -> None:
    trained(ENV)
    ran = rlsuite("attack", RUN, "--attacks", "observations", "--eps", "0,0.5", "--quick", "--jobs", "1")
    assert ran.code == 0, ran.err
    text = (Path(RUN) / "attacks/attacks.html").read_text()
    page = Tags()
    page.feed(text)
    assert page.links and all(link.startswith("data:image/png;base64,") for link in page.links)
    assert not {"script", "link", "iframe"} & set(page.tags)
    for word in ("random", "pgd", "sa-rl", "robust", "strongest", "2 runs", "rlsuite attack", "torch 2"):
        assert (word in text) == (word != "robust"), word  # robust-sarsa needs Box actions
    assert "/tmp" not in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--attacks", "pdg"), "did you mean 'pgd'"),
        (("--attacks", "robust-sarsa"), "needs Box actions"),
        (("--eps", "-0.1,0.2"), "eps is -0.1"),
        (("--eps", "0:x:1"), "--eps is '0:x:1'"),
        (("--norm", "l1"), "norm"),
        (("--episodes", "0"), "--episodes is 0"),
        (("--effort", "0"), "--effort is 0"),
        (("--unit", "cm"), "--unit is"),
        (("--jobs", "0"), "--jobs is 0"),
        (("--report-only",), "nothing was played"),
    ],
)
def test_bad_input(rlsuite: Any, trained: Any, words: tuple[str, ...], message: str) -> None:
    trained(ENV, seeds=1)
    ran = rlsuite("attack", RUN, *words)
    assert ran.code == 2 and message in ran.err, ran.err
    assert not (Path(RUN) / "seed0/attacks").exists()


def test_a_run_that_is_none(rlsuite: Any) -> None:
    ran = rlsuite("attack", "nowhere")
    assert ran.code == 2 and "nowhere is no folder" in ran.err


def test_grids() -> None:
    assert parse_grid("0:0.3:0.1", "x") == [0, 0.1, 0.2, 0.3]
    assert parse_grid("0.5,1", "x") == [0.5, 1]
    for bad in ("", "0:1:0", "0:1:-1", "1,0", "0,0", "a", "0:inf:1", "nan"):
        with pytest.raises(UsageError, match="increasing"):
            parse_grid(bad, "x")


def test_a_set_of_policies_has_its_best_members_return(rlsuite: Any) -> None:
    small = ("n_policies=2", "n_updates=1", "n_steps=32", "batch_size=32", "net_arch=[8]")
    ran = rlsuite(
        "train",
        "protected",
        "InvertedPendulum-v5",
        *small,
        "--num-envs",
        "4",
        "--steps",
        "1000",
        "--name",
        "x",
    )
    assert ran.code == 0, ran.err
    run = "runs/protected/InvertedPendulum-v5/x/seed0"
    ran = rlsuite("attack", run, "--attacks", "random,critic", "--eps", "0.3", "--episodes", "4", "--jobs", "1")
    assert ran.code == 0, ran.err
    assert "6 to play" in ran.out  # two members, each without attack and under two
    rows = list(csv.DictReader(Path(run, "attacks/attacks.csv").read_text().splitlines()))
    for attack in ("random", "critic"):
        where = Path(run, "attacks/linf-auto-4-episodes-seed0-effort1")
        files = [where / f"member{i}/{attack}.json" for i in range(2)]
        returns = [json.loads(file.read_text())["budgets"]["0.3"]["returns"] for file in files]
        first, second = (values[0] + values[2] for values in returns)  # chosen by these, judged by the others
        hand = np.mean(returns[0 if first >= second else 1][1::2])
        shown = [float(row["mean_return"]) for row in rows if (row["attack"], row["eps"]) == (attack, "0.3")]
        assert shown == [pytest.approx(hand, abs=1e-3)], attack


def test_a_probability_ends_at_one(rlsuite: Any, trained: Any) -> None:
    trained(ENV, seeds=1)
    ran = rlsuite("attack", RUN, "--attacks", "random,swap", "--eps", "0.5,2", "--episodes", "2", "--jobs", "1")
    assert ran.code == 0, ran.err
    assert "swap has no budget above 1; left out: [2.0]" in ran.out
    data = json.loads((Path(RUN) / "attacks/attacks.json").read_text())
    assert data["returns"]["random"]["2"]["mean"] > 0 and data["returns"]["swap"]["2"] is None


def test_the_best_member_is_judged_by_other_episodes() -> None:
    lucky, sound = np.array([9.0, 0.0, 9.0, 0.0]), np.array([5.0, 6.0, 5.0, 6.0])
    np.testing.assert_array_equal(best_of([lucky, sound]), [0.0, 0.0])
    np.testing.assert_array_equal(best_of([sound]), sound)  # a single policy: all of its episodes
    assert best_of([sound, None]) is None and best_of([None]) is None  # a set played in part
