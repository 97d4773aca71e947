"""`rlsuite bench fronts`: one table of ours and theirs; interpreters that lie, fail or are none."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlsuite_envs.make import make_vector_env
from rlsuite_zoo.bench import fronts
from rlsuite_zoo.provenance import portable

QUICK = {"C-MORL": {"num_envs": 6, "n_steps": 16, "divisions": 1, "eval_episodes": 1, "archive_size": 20}}


@pytest.fixture(autouse=True)
def small(monkeypatch: Any) -> None:
    task = fronts.Task("fruit-tree-v0", "rlsuite/FruitTree-depth5-v0", 0.99, (-1.0,) * 6, QUICK, ("GPI-LS",))
    monkeypatch.setattr(fronts, "TASKS", {"fruit-tree-v0": task})
    monkeypatch.setattr(fronts, "_ours", fronts.measure)  # in this process, where the small task is known


def interpreter(path: Path, answer: str, code: int = 0) -> str:
    """A program that imports everything, and answers every request alike."""
    path.write_text(f"#!/bin/sh\n[ \"$1\" = -c ] && exit 0\ncat <<'END'\nchatter\n{answer}\nEND\nexit {code}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_ours_and_theirs_share_a_table_and_are_judged_alike(tmp_path: Path, capsys: Any) -> None:
    points = [[2.0] * 6, [1.0] * 6, [0.5, 3.0, 0.5, 0.5, 0.5, 0.5]]
    answer = json.dumps({"seconds": 10.0, "evaluating": 6.0, "steps": 400, "points": points})
    python = interpreter(tmp_path / "python", answer)
    found = fronts.main(steps="300", python=python, episodes=1, out=tmp_path)
    ours, theirs = found["rows"]
    assert [ours["name"], theirs["name"]] == ["C-MORL (rlsuite)", "GPI-LS (morl-baselines)"]
    # above -1: a cube of 3, and of the flat one what sticks out of it, 4 - 3 long and 1.5 wide in five directions
    assert theirs["hypervolume"] == pytest.approx(3**6 + 1.5**5) and theirs["policies"] == 2
    assert (theirs["steps_per_s"], theirs["training_steps_per_s"]) == (40.0, 100.0)
    assert ours["steps"] >= 300 and ours["steps_per_s"] < ours["training_steps_per_s"]
    leaves = np.array(make_vector_env("rlsuite/FruitTree-depth5-v0", 1).pareto_front(0.99))  # type: ignore[attr-defined]
    assert (
        0
        < ours["hypervolume"]
        <= fronts.front_indicators(
            leaves, ours["reference"], gamma=0.99, episode_limit=None, episodes=1, deterministic=True
        ).hypervolume
    )
    times, volumes = np.array(ours["curve"]).T
    assert np.all(np.diff(times) > 0) and np.all(np.diff(volumes) >= 0)
    written = json.loads((tmp_path / "fronts.json").read_text())
    assert (
        written["rows"][1]["hypervolume"] == theirs["hypervolume"] and "GPI-LS" in (tmp_path / "fronts.md").read_text()
    )
    assert str(tmp_path) not in portable(["rlsuite", "bench", "fronts", "--python", python, "--out", str(tmp_path)])
    assert "morl-baselines was not measured" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [("{}", 0, "seconds"), ("nonsense", 0, "no result"), ("Traceback", 3, "exit code 3"), ("[1, 2]", 0, "no result")],
)
def test_a_process_that_fails_is_named(tmp_path: Path, answer: str, code: int, message: str) -> None:
    with pytest.raises(RuntimeError, match=rf"GPI-LS on fruit-tree-v0 .*{message}"):
        fronts.main(steps="100", python=interpreter(tmp_path / "python", answer, code), episodes=1)


def test_without_an_interpreter_the_remedy_is_told(rlsuite: Any) -> None:
    ran = rlsuite("bench", "fronts", "--steps", "100", "--episodes", "1")
    assert ran.code == 0 and "--python PATH" in ran.out, ran.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--tasks", "mo-hoper"), "task"),
        (("--steps", "none"), "--steps"),
        (("--theirs", "PPO"), "algorithm of morl-baselines"),
        (("--episodes", "0"), "--episodes is 0"),
        (("--python", "/no/such/python"), "cannot be started"),
        (("--python", "/bin/false"), "no morl-baselines"),
    ],
)
def test_bad_options_are_one_line(rlsuite: Any, words: tuple[str, ...], message: str) -> None:
    ran = rlsuite("bench", "fronts", *words)
    assert ran.code == 2 and message in ran.err and len(ran.err.strip().splitlines()) == 1
