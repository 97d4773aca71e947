"""`results smoothing`: what it trains, keeps, measures and says."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from rlsuite_envs.make import make_vector_env
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.options import PageOptions
from rlsuite_zoo.pages.smoothing import make as results_smoothing
from rlsuite_zoo.pages.smoothing.tasks import TASKS, Cell, EnergyShaping, Sizes
from rlsuite_zoo.runs import kept

SMALL = {"n_steps": 64, "batch_size": 64, "n_epochs": 2}


@pytest.fixture
def _tiny(monkeypatch, tmp_path):
    tasks = [
        replace(
            task,
            sigmas=(0.0, 0.3),
            budgets=(0.3, 1.0),
            thresholds=task.thresholds[:2],
            limit=20,
            num_envs=4,
            config=SMALL,
        )
        for task in TASKS[1:]
    ]
    monkeypatch.setattr(results_smoothing, "TASKS", tuple(tasks))
    monkeypatch.setattr(results_smoothing, "SIZES", Sizes(choosing=20, certifying=60, attacking=20, noise_draws=4))
    monkeypatch.chdir(tmp_path)


def make(**options):
    defaults = {
        "page": "smoothing",
        "seeds": "0,1",
        "steps": "512",
        "jobs": 1,
        "only": "",
        "report_only": False,
        "runs": "runs",
        "out": "out",
    }
    results_smoothing.make_results(PageOptions(**{**defaults, **options}))


@pytest.mark.usefixtures("_tiny")
def test_the_page_and_its_runs_are_kept(capsys, tmp_path):
    make()
    page = (tmp_path / "out/smoothing.md").read_text()
    assert "CartPole, five frames" in page and "Mountain car" in page and "no noise" in page
    assert "Of 4 points with a certificate and an attack" in page
    assert (tmp_path / "out/smoothing.png").stat().st_size > 1000
    rows = list(csv.DictReader((tmp_path / "out/smoothing.csv").read_text().splitlines()))
    assert len(rows) == 2 * 2 * 2
    for row in rows:
        if row["certified"]:
            assert float(row["certified"]) <= float(row["clean"]) + 1e-9
            assert float(row["certified"]) <= float(row["attacked"]) + 3 * float(row["standard_error"])
        else:
            assert row["sigma"] == "0"
    cell = json.loads((tmp_path / "runs/smoothing/cartpole-5/512-steps/sigma0.3/result.json").read_text())
    assert len(cell["clean"]) == 60 and set(cell["choosing"]) == {"0", "1"}
    assert all(point["most_spent"] <= point["budget"] * (1 + 1e-6) for point in cell["attacked"])
    capsys.readouterr()
    make()
    said = capsys.readouterr().out
    assert "0 models to train" in said and "4 of 4 cells are there; 0 to play" in said and "wrote" in said
    make(seeds="0", only="cartpole-5")
    assert "0 of 2 cells are there; 2 to play" in capsys.readouterr().out  # other seeds are another measurement


@pytest.mark.usefixtures("_tiny")
def test_mistakes(monkeypatch):
    with pytest.raises(UsageError, match="'cartpole-5'"):
        make(only="cartpole-4")
    with pytest.raises(UsageError, match="nothing measured"):
        make(report_only=True)
    monkeypatch.setattr(results_smoothing, "SIZES", Sizes(certifying=5))
    with pytest.raises(UsageError, match="too few"):  # before anything is trained
        make()


def test_a_violated_certificate_would_be_reported(tmp_path):
    line = results_smoothing.Line(
        Cell(TASKS[0], 0.2, tmp_path),
        np.ones(3),
        np.array([0.0, 0.5, 1.0]),
        np.array([150.0, 100.0, 50.0]),
        [{"budget": 0.5, "mean": 90.0, "standard_error": 1.0}, {"budget": 1.0, "mean": 49.0, "standard_error": 1.0}],
    )
    assert line.at(0.5) == 100.0 and line.violations() == [0.5]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.key)
def test_the_attacks_budgets_are_on_the_certificates_grid(task):
    assert set(task.budgets) <= set(task.grid) and task.grid[0] == 0 and (np.diff(task.grid) > 0).all()


def test_the_shaped_reward_telescopes():
    """Over an episode it adds the growth of the energy, whatever the actions, and begins anew after a restart."""
    kwargs = {"max_episode_steps": 20}
    plain = make_vector_env("rlsuite/MountainCarContinuous-v1", 5, env_kwargs=kwargs)
    shaped = EnergyShaping(make_vector_env("rlsuite/MountainCarContinuous-v1", 5, env_kwargs=kwargs))
    (first, _), _ = plain.reset(seed=3), shaped.reset(seed=3)
    actions = torch.rand((40, 5, 1), generator=torch.Generator().manual_seed(0)) * 2 - 1
    extra = torch.zeros(2, 5)
    energies = [shaped._energies(first)]
    for t, action in enumerate(actions):
        obs, reward, _, _, info = plain.step(action)
        extra[t // 20] += shaped.step(action)[1] - reward
        if (t + 1) % 20 == 0:
            energies += [shaped._energies(info["final_obs"]), shaped._energies(obs)]
    growth = torch.stack([energies[1] - energies[0], energies[3] - energies[2]])
    assert growth.abs().max() > 1e-5
    np.testing.assert_allclose(extra, EnergyShaping.SCALE * growth, rtol=1e-3, atol=0.02)


@pytest.mark.usefixtures("_tiny")
def test_measurements_of_another_task_are_not_shown(monkeypatch, tmp_path):
    make(only="cartpole-5")
    other = replace(results_smoothing.TASKS[0], budgets=(0.3, 0.9))
    monkeypatch.setattr(results_smoothing, "TASKS", (other,))
    with pytest.raises(UsageError, match="nothing measured"):
        make(report_only=True)


@pytest.mark.usefixtures("_tiny")
def test_nothing_but_failures_is_no_violation(tmp_path):
    cell = Cell(replace(TASKS[2], budgets=(4.0,)), 0.4, tmp_path)
    cell.folder.mkdir(exist_ok=True)
    point = {"budget": 4.0, "threshold": 1.0, "mean": 0.0, "standard_error": 0.0}
    kept.write(cell, kept.key_of(cell), {"clean": [1.0] * 10_000, "attacked": [point], "seed": 0})
    line = results_smoothing.read_line(cell, 0.05)
    assert line.at(4.0) > 0 and line.violations() == []
