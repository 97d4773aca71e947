"""`rlsuite front`: numbers of its files against other libraries and against one another; bad input in one line."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import pytest
from PIL import Image

import rlsuite as suite
from rlsuite.core.statistics import Interval
from rlsuite.multi_objective import nadir_reference
from rlsuite_envs.make import make_single_env
from rlsuite_zoo.cli import main
from rlsuite_zoo.multi_objective.comparison import compare, number, told
from rlsuite_zoo.multi_objective.pictures import draw, staircase
from rlsuite_zoo.multi_objective.sets import Task, TrainedSet
from rlsuite_zoo.runs.folder import RunFolder

ENV = "rlsuite/DeepSeaTreasure-v0"
RUN = "runs/cmorl/rlsuite-DeepSeaTreasure-v0/a"
SMALL = (
    "n_steps=32",
    "n_epochs=3",
    "batch_size=96",
    "net_arch=[8]",
    "learning_rate=1e-2",
    "eval_episodes=1",
    "eval_interval=2",
)
NAMES = ("treasure", "time")


@pytest.fixture(scope="session")
def sets(tmp_path_factory: Any) -> Path:
    """The folder `runs` with two hardly trained seeds of C-MORL."""
    out = tmp_path_factory.mktemp("sets") / "runs"
    options = ("--steps", "4000", "--num-envs", "12", "--name", "a", "--eval-episodes", "0", "--out", str(out))
    for seed in "01":  # one by one they run in this process
        assert main(["train", "cmorl", ENV, *SMALL, *options, "--seeds", seed]) == 0
    return out


@pytest.fixture
def runs(sets: Path, rlsuite: Any) -> None:
    """A copy of them in the empty folder that `rlsuite` works in."""
    shutil.copytree(sets, Path("runs"), copy_function=shutil.copy2)


def table(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text().splitlines()))


def points(rows: list[dict[str, str]], kind: str = "discounted") -> np.ndarray:
    return np.array([[float(row[f"{name} {kind}"]) for name in NAMES] for row in rows])


@pytest.mark.usefixtures("runs")
def test_indicators_are_those_of_the_files_points_and_seeds_are_never_pooled(rlsuite: Any) -> None:
    ran = rlsuite("front", RUN, "--episodes", "2", "--jobs", "1", "--reference", "-1,-200", "--true-front")
    assert ran.code == 0, ran.err
    assert "2 to play" in ran.out and "at most" in ran.out and "gamma 0.99, 2 episodes each" in ran.out
    assert "reference point (-1, -200), as given" in ran.out and "exact" in ran.out
    rows = table(f"{RUN}/front/front.csv")
    data = json.loads(Path(RUN, "front/front.json").read_text())["environments"][0]
    front = make_single_env(ENV).unwrapped.pareto_front(0.99)
    np.testing.assert_allclose(data["true_front"], front, rtol=1e-12)
    whole = moocore.hypervolume(front, ref=[-1.0, -200.0], maximise=True)
    assert f"true front: {len(front)} points; its hypervolume is {number(whole)} (exact)" in ran.out
    volumes = []
    for seed in ("0", "1"):
        mine = points([row for row in rows if row["seed"] == seed])
        volume = moocore.hypervolume(mine, ref=[-1.0, -200.0], maximise=True)
        found = data["runs"][f"{RUN}/seed{seed}"]["measured"]
        assert found["hypervolume"] == pytest.approx(volume, rel=1e-12) and found["hypervolume_kind"] == "exact"
        assert found["igd_plus"] == pytest.approx(moocore.igd_plus(mine, ref=front, maximise=True), rel=1e-9)
        assert (found["gamma"], found["episodes"], found["deterministic"]) == (0.99, 2, True)
        kept = moocore.filter_dominated(mine, maximise=True)
        assert found["cardinality"] == len(kept)
        marked = [row for row in rows if row["seed"] == seed and row["not_dominated"] == "1"]
        assert len(marked) == len(kept)
        volumes.append(volume)
    (group,) = data["groups"].values()
    assert group["measured"]["hypervolume"]["mean"] == pytest.approx(np.mean(volumes))
    # Student's interval of two values: t(0.975, 1) = 12.7062
    half = 12.7062047 * np.std(volumes, ddof=1) / np.sqrt(2)
    assert group["measured"]["hypervolume"]["high"] == pytest.approx(np.mean(volumes) + half, rel=1e-6)
    assert group["measured"]["hypervolume"]["n"] == 2


@pytest.mark.usefixtures("runs")
def test_the_csv_is_what_the_members_return_and_what_selected_them(rlsuite: Any) -> None:
    assert rlsuite("front", f"{RUN}/seed0", "--episodes", "1", "--jobs", "1", "--gamma", "0.9").code == 0
    rows = table(f"{RUN}/seed0/front/front.csv")
    model: Any = suite.load(f"{RUN}/seed0/checkpoints/last.zip")
    np.testing.assert_array_equal(points(rows, "selected"), model.front)
    assert [int(row["policy"]) for row in rows] == model.archive["origin"][:, 0].tolist()
    for row, member in zip(rows, model.members(), strict=True):
        alone = suite.evaluate(member, ENV, episodes=1, weights=(0.5, 0.5))
        np.testing.assert_allclose(alone.objectives[0], [float(row[f"{n} undiscounted"]) for n in NAMES])
        steps = int(alone.lengths[0])  # the sea has no chance; time costs 1 a step, the treasure comes with the last
        assert float(row["time discounted"]) == pytest.approx(-(1 - 0.9**steps) / 0.1)
        treasure = float(row["treasure undiscounted"]) * 0.9 ** (steps - 1)
        assert float(row["treasure discounted"]) == pytest.approx(treasure)
        assert float(row["time spread"]) == 0.0


@pytest.mark.usefixtures("runs")
def test_the_member_that_plays_is_the_best_of_those_selected(rlsuite: Any) -> None:
    ran = rlsuite("front", RUN, "--episodes", "1", "--jobs", "1", "--weights", "0.3,0.7")
    assert ran.code == 0 and "for weights 0.3, 0.7 plays" in ran.out
    rows = table(f"{RUN}/front/front.csv")
    found = json.loads(Path(RUN, "front/front.json").read_text())["environments"][0]["runs"]
    for seed in ("0", "1"):
        mine = [row for row in rows if row["seed"] == seed]
        best = int(np.argmax(points(mine, "selected") @ [0.3, 0.7]))
        player = found[f"{RUN}/seed{seed}"]["for_weights"]
        assert player["policy"] == int(mine[best]["policy"])
        np.testing.assert_allclose([x["mean"] for x in player["objectives"]], points(mine)[best])
        assert player["utility"]["mean"] == pytest.approx(points(mine)[best] @ [0.3, 0.7])
        model: Any = suite.load(f"{RUN}/seed{seed}/checkpoints/last.zip")
        assert int(model.archive["origin"][model.select((0.3, 0.7)), 0]) == player["policy"]


@pytest.mark.usefixtures("runs")
def test_what_was_measured_is_kept_until_settings_or_set_change(rlsuite: Any) -> None:
    words = ("front", RUN, "--episodes", "1", "--jobs", "1")
    assert "0 of 2 fronts are there; 2 to play" in rlsuite(*words).out
    assert "2 of 2 fronts are there; 0 to play" in rlsuite(*words).out
    assert "2 to play" in rlsuite(*words, "--seed", "1").out
    assert "0 to play" in rlsuite(*words).out
    last = Path(RUN, "seed0/checkpoints/last.zip")
    shutil.copy(Path(RUN, "seed1/checkpoints/last.zip"), last)
    assert "1 to play" in rlsuite(*words).out
    ran = rlsuite("front", RUN, "--no-measured", "--out", "old")
    assert ran.code == 0 and "to play" not in ran.out and "measured:" not in ran.out
    rows = table("old/front.csv")
    np.testing.assert_array_equal(points(rows), points(rows, "selected"))


@pytest.mark.usefixtures("runs")
def test_the_page_needs_no_network_and_the_picture_is_one(rlsuite: Any) -> None:
    ran = rlsuite("front", f"{RUN}/seed0", f"{RUN}/seed1", "--no-measured", "--weights", "0.5,0.5")
    assert ran.code == 0 and f"wrote {Path(RUN, 'front/front.html').resolve()}" in ran.out.replace("\n", "")
    page = Path(RUN, "front/front.html").read_text()
    assert "data:image/png;base64," in page and not re.search(r"https?://|<script", page)
    assert "hypervolume" in page and "treasure" in page and "Policies of" in page
    with Image.open(f"{RUN}/front/front.png") as picture:
        assert picture.size[0] > 500 and len(set(picture.convert("L").getdata())) > 10


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize("command", ["attack", "certify", "robustness", "benchmark robustness"])
def test_commands_for_one_policy_say_so(rlsuite: Any, command: str) -> None:
    words = ("--runs", RUN) if command.startswith("benchmark") else (RUN,)
    ran = rlsuite(*command.split(), *words)
    assert ran.code == 2 and "`rlsuite front` compares them" in ran.err and ran.err.count("\n") == 1, ran.err
    assert f"`rlsuite {command}`" in ran.err


@pytest.mark.usefixtures("runs")
def test_training_shows_each_objective(rlsuite: Any) -> None:
    last = [row for row in table(f"{RUN}/seed0/progress.csv") if row["rollout/ep_rew_mean_0"]][-1]
    means = [float(last[f"rollout/ep_rew_mean_{k}"]) for k in range(2)]
    assert RunFolder(f"{RUN}/seed0").status()["ep_rew_means"] == means
    ran = rlsuite("train", "--resume", f"{RUN}/seed0", "--steps", "6000", "--jobs", "1")
    assert ran.code == 0 and "rlsuite front" in ran.out, ran.err
    means = RunFolder(f"{RUN}/seed0").status()["ep_rew_means"]
    assert f"{means[0]:,.1f}, {means[1]:,.1f}" in ran.out
    ran = rlsuite("plot", RUN)
    assert ran.code == 2 and "--metric rollout/ep_rew_mean_0 (to rollout/ep_rew_mean_1;" in ran.err
    assert f"rlsuite front {RUN}/seed0" in ran.err
    assert rlsuite("plot", RUN, "--metric", "rollout/ep_rew_mean_1", "--out", "time.png").code == 0


@pytest.mark.parametrize("count", [2, 3, 5])
def test_pictures_for_any_number_of_objectives(count: int, tmp_path: Path, make_run: Callable[..., Any]) -> None:
    """Two groups, one of two seeds, and a true front; an objective that is the same everywhere is drawn, too."""
    rng = np.random.default_rng(0)
    task = Task(tuple(f"a long name of objective {k}" for k in range(count)), None)
    sets = []
    for i, group in enumerate(("one", "one", "two")):
        folder = make_run(f"{i}", [(100, 1.0)], algo="cmorl", env=ENV, seed=i)
        points = rng.dirichlet(np.ones(count), 6) * 100
        points[:, -1] = 3.0 if count == 5 else points[:, -1]
        origin = np.stack([np.arange(6), *np.full((3, 6), -1)], 1)
        sets.append(TrainedSet(folder, folder.spec(), group, task, points, points, points, origin, 1.0, 2, None, 9, 9))
    weights = (1.0,) + (0.0,) * (count - 1)
    true = np.eye(count) * 100 + 1
    found = compare(sets, {}, gamma=1.0, reference=None, true=true, weights=weights)
    assert [row.interval("hypervolume").n for row in found.rows] == [2, 1]  # type: ignore[union-attr]
    assert [p.index for p in found.players] == [int(one.selected[:, 0].argmax()) for one in sets]
    np.testing.assert_allclose(
        found.reference, nadir_reference(np.concatenate([one.selected for one in sets])), rtol=1e-12
    )
    draw(found, tmp_path / "front.png")
    with Image.open(tmp_path / "front.png") as picture:
        assert picture.size[0] > 900 and picture.convert("L").histogram()[0] > 100


@pytest.mark.usefixtures("runs")
def test_returns_of_different_discounts_are_not_compared(rlsuite: Any) -> None:
    last = Path(RUN, "seed1/checkpoints/last.zip")
    suite.load(last, eval_gamma=0.5).save(last)
    ran = rlsuite("front", RUN, "--no-measured")
    assert ran.code == 2 and "seed1 by 0.5" in ran.err and "give --gamma" in ran.err
    ran = rlsuite("front", RUN, "--gamma", "1", "--episodes", "1", "--jobs", "1")
    assert ran.code == 0 and "as selected: left out" in ran.out and "gamma 1, 1 episode each" in ran.out
    data = json.loads(Path(RUN, "front/front.json").read_text())["environments"][0]
    (group,) = data["groups"].values()
    assert list(group) == ["measured"] and data["reference_of"].startswith("the worst of all policies")


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(704.217, -2092.7, 3501.1, 2), "704 [-2,093, 3,501]"),
        (Interval(0.51234, 0.50123, 0.52346, 5), "0.5123 [0.5012, 0.5235]"),
        (Interval(3.0, 3.0, 3.0, 2), "3"),
        (Interval(1.23456e9, 1.2e9, 1.3e9, 3), "1.2346e+09 [1.2000e+09, 1.3000e+09]"),
        (None, "–"),
    ],
)
def test_numbers_have_the_digits_that_their_interval_allows(interval: Interval | None, text: str) -> None:
    assert told(interval) == text


def test_the_edge_of_what_is_attained() -> None:
    edge = staircase(np.array([[2.0, 1.0], [1.0, 3.0], [1.0, 1.0]]), (0.0, -1.0))
    assert edge.tolist() == [[0.0, 3.0], [1.0, 3.0], [1.0, 1.0], [2.0, 1.0], [2.0, -1.0]]


MISTAKES: dict[str, tuple[tuple[str, ...], str]] = {
    "weights too many": ((RUN, "--weights", "0.2,0.3,0.5"), "2 objectives (treasure, time); give one for each"),
    "weights of another sum": ((RUN, "--weights", "0.2,0.3"), "with sum 1"),
    "reference too short": ((RUN, "--reference", "1"), "--reference has 1 number, but"),
    "no reference": ((RUN, "--reference", "a,b"), "--reference=-100,-100"),
    "reference above all": ((RUN, "--no-measured", "--reference", "900,0"), "give a lower one, such as --reference="),
    "no folder": (("nowhere",), "nowhere is no folder"),
    "no run": (("runs/empty",), "no run in runs/empty"),
    "nothing": ((), "give run folders"),
    "episodes": ((RUN, "--episodes", "0"), "--episodes is 0"),
    "gamma": ((RUN, "--gamma", "1.5"), "--gamma is 1.5"),
    "gamma of what selected": ((RUN, "--gamma", "0.5", "--no-measured"), "leave --no-measured out"),
    "option": ((RUN, "--weigths", "1,0"), "did you mean --weights?"),
}


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(("words", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_one_line(rlsuite: Any, words: tuple[str, ...], message: str) -> None:
    Path("runs/empty").mkdir()
    ran = rlsuite("front", *words)
    assert ran.code == 2 and ran.out == "", ran
    assert message in ran.err and ran.err.startswith("rlsuite: ") and ran.err.count("\n") == 1, ran.err
    assert not list(Path("runs").rglob("front"))


def test_runs_without_a_set_say_so(rlsuite: Any, make_run: Callable[..., Any]) -> None:
    folder = make_run("one", [(100, 1.0)])
    ran = rlsuite("front", str(folder.path))
    assert ran.code == 2 and "has no checkpoint yet; train it with --resume" in ran.err
    folder.last.write_bytes(b"x")
    ran = rlsuite("front", str(folder.path))
    assert ran.code == 2 and "ppo, which learns one objective" in ran.err and "rlsuite train cmorl ENV" in ran.err
    folder = make_run("none", [(100, 1.0)], algo="cmorl", env=ENV)
    suite.CMORL(ENV, num_envs=6).save(folder.last)
    ran = rlsuite("front", str(folder.path))
    assert ran.code == 2 and "its set is empty; train on: rlsuite train --resume" in ran.err
