"""`rlsuite results subpo`: what it trains, keeps and says, and its planners."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rlsuite_envs.coverage.set_functions import brute_force_trajectory, coverage_function
from rlsuite_envs.make import make_vector_env
from rlsuite_zoo.pages.subpo import make
from rlsuite_zoo.pages.subpo.planners import GreedyPolicy, beam_search
from rlsuite_zoo.pages.subpo.tasks import TASKS, play

TINY = next(task for task in TASKS if task.tiny)


@pytest.fixture
def _two_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    two = make.ENTRIES[::4]
    for module in ("make", "page", "tasks"):
        monkeypatch.setattr(f"rlsuite_zoo.pages.subpo.{module}.ENTRIES", two)


@pytest.mark.usefixtures("_two_entries")
def test_the_page_and_its_runs_are_kept(rlsuite: Callable[..., Any]) -> None:
    words = ("results", "subpo", "--only", "tiny", "--steps", "3584", "--seeds", "3")
    ran = rlsuite(*words)
    assert ran.code == 0, ran.err
    page = Path("results/subpo.md").read_text()
    assert "**SubPO-M**" in page and "brute force" in page and "too few seeds" in page
    assert Path("results/subpo.png").stat().st_size > 1000
    assert Path("results/subpo-paths-tiny.png").stat().st_size > 1000
    rows = list(csv.DictReader(Path("results/subpo.csv").read_text().splitlines()))
    by_method = {row["method"]: float(row["normalised"]) for row in rows}
    assert by_method["brute force"] == 1.0
    assert all(value <= 1.0 + 1e-6 for value in by_method.values())
    assert by_method["random"] < by_method["greedy, one step"]
    run = Path("runs/results/subpo/tiny/3584-steps/modular/seed3")
    # What the run is worth is F, not the modular reward that it learned from.
    worth = json.loads((run / "set_values.json").read_text())["sampled"]
    assert worth == pytest.approx(float(next(r["set_value"] for r in rows if r["method"] == "ModPO")), rel=1e-5)
    assert json.loads((run / "evaluation.json").read_text())["mean"] > worth
    again = rlsuite(*words)
    assert again.code == 0 and "0 runs to do" in again.out


def test_unknown_tasks_are_named(rlsuite: Callable[..., Any]) -> None:
    ran = rlsuite("results", "subpo", "--only", "item")
    assert ran.code == 2 and "'items'" in ran.err
    ran = rlsuite("results", "subpo", "--only", "tiny", "--report-only")
    assert ran.code == 2 and "no finished run" in ran.err


def test_beam_search_is_a_walk_and_wide_enough_it_is_brute_force() -> None:
    constants = {"rows": 3, "cols": 3, "start": 4, "horizon": 4, "density": "gp", "instance": 2}
    kernel: Any = make_vector_env("rlsuite/GridCoverage-v0", 1, env_kwargs=constants).kernel
    p = kernel.params
    function = coverage_function(p.footprints, p.cell_weights.tolist())
    _, best = brute_force_trajectory(p.moves, p.start, p.horizon, function)
    for width in (1, 5**4):
        nodes = beam_search(kernel, width).node.tolist()
        assert len(nodes) == 5 and nodes[0] == 4
        assert all(b in p.moves[a] for a, b in itertools.pairwise(nodes))
        value = function(nodes)
        assert value == pytest.approx(float(beam_search(kernel, width).value[-1]), rel=1e-5)
    assert value == pytest.approx(best, rel=1e-5)


def test_played_values_are_those_of_the_states_shown() -> None:
    for task in TASKS:
        values, states = play(lambda env: GreedyPolicy(env, 0), task, 1, "state_time", 3)
        assert values[0] == pytest.approx(float(states.value[-1]), rel=1e-5)
        gains = states.value[1:] - states.value[:-1]
        assert bool((gains >= 0).all()) and len(gains) == make_horizon(task)


def make_horizon(task: Any) -> int:
    env: Any = make_vector_env(task.env, 1, env_kwargs=task.kwargs(1))
    return int(env.kernel.params.horizon)


def test_greedy_takes_the_largest_gain() -> None:
    env: Any = make_vector_env(TINY.env, 16, device="cpu", env_kwargs=TINY.kwargs(0))
    policy = GreedyPolicy(env, 0)
    obs, _ = env.reset(seed=0)
    for _ in range(3):
        gains = env.kernel.gains(env.state)
        action = torch.as_tensor(policy.predict(obs)[0])
        assert torch.equal(gains.gather(1, action.unsqueeze(1)).squeeze(1), gains.amax(1))
        obs, *_ = env.step(action)
