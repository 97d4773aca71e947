"""A run killed anywhere and resumed leaves the files of an undisturbed one, but for times."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

import rlsuite as library
from rlsuite_zoo.files import read_csv
from rlsuite_zoo.runs import train as training
from rlsuite_zoo.runs.folder import RunFolder, RunSpec
from rlsuite_zoo.runs.logs import Table
from rlsuite_zoo.runs.models import AgentModel, resumes_exactly

CONFIG = {"n_steps": 32, "batch_size": 64, "n_epochs": 1, "net_arch": [8], "learning_rate": 0.01}
SPEC = RunSpec("ppo", "rlsuite/CartPole-v1", 1, 1024, 4, config=CONFIG, eval_episodes=2, eval_every=256)
TIMES = {"wall_s", "time/fps", "time/time_elapsed"}


class Killed(BaseException):
    """Stands for kill -9: what is on the disk then is all that is left."""


def rows(path: Path) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k not in TIMES} for row in read_csv(path)]


def points(folder: RunFolder) -> list[tuple[int, str]]:
    """Step and tag of every point in the event files, as often as it is there."""
    events = [e for path in sorted(folder.path.glob("events*")) for e in EventFileLoader(str(path)).Load()]
    return sorted((event.step, value.tag) for event in events for value in event.summary.value)


def models(folder: RunFolder) -> dict[str, Any]:
    return {path.name: library.load(path, device="cpu") for path in (folder.last, folder.best)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: Any) -> RunFolder:
    folder = RunFolder.create(tmp_path_factory.mktemp("undisturbed") / "run", SPEC)
    training.run(folder)
    assert [int(row["steps"]) for row in read_csv(folder.evaluations)] == [256, 512, 768, 1024]
    assert [int(float(row["time/iterations"])) for row in read_csv(folder.progress)] == [*range(1, 9)]
    return folder


@pytest.mark.parametrize("every", [256, 10_000])
@pytest.mark.parametrize("kill", ["before best", "after best", "after the row", "in last", "last evaluation"])
def test_killed_and_resumed(tmp_path: Path, undisturbed: RunFolder, monkeypatch: Any, kill: str, every: int) -> None:
    save, add, evaluate = AgentModel.save, Table.add, training._final_evaluation
    folder = RunFolder.create(tmp_path / "run", RunSpec(**{**vars(SPEC), "checkpoint_every": every}))
    killed: list[int] = []

    def once(steps: int) -> None:
        if not killed and steps >= 512:
            killed.append(steps)
            raise Killed

    def saving(self: AgentModel, path: Path) -> None:
        if path == folder.best and kill == "before best":
            once(self.num_timesteps)
        if path == folder.last and kill == "in last":
            once(self.num_timesteps)
        save(self, path)
        if path == folder.best and kill == "after best":
            once(self.num_timesteps)

    def adding(self: Table, row: Any) -> None:
        add(self, row)
        if self.path == folder.evaluations and kill == "after the row":
            once(int(row["steps"]))

    def evaluating(*args: Any) -> Any:
        if kill == "last evaluation":
            once(1024)
        return evaluate(*args)

    monkeypatch.setattr(AgentModel, "save", saving)
    monkeypatch.setattr(Table, "add", adding)
    monkeypatch.setattr(training, "_final_evaluation", evaluating)
    monkeypatch.setattr(training, "_report_stop", lambda *_: None)
    with pytest.raises(Killed):
        training.run(folder)
    training.run(folder)
    assert killed and rows(folder.progress) == rows(undisturbed.progress)
    assert rows(folder.evaluations) == rows(undisturbed.evaluations)
    assert points(folder) == points(undisturbed) and len(set(points(folder))) == len(points(folder))
    for name, model in models(folder).items():
        other = models(undisturbed)[name]
        assert model.num_timesteps == other.num_timesteps, name
        ours, theirs = model.get_parameters(), other.get_parameters()
        assert all(torch.equal(ours[p][k], v) for p, state in theirs.items() for k, v in state.items()), name
    status, expected = folder.status(), undisturbed.status()
    assert {k: status[k] for k in ("state", "steps", "ep_rew_mean", "evaluation")} == {
        k: expected[k] for k in ("state", "steps", "ep_rew_mean", "evaluation")
    }
    one, two = (json.loads(run.evaluation.read_text())["returns"] for run in (folder, undisturbed))
    assert one == two


def test_ids_that_resume_in_fresh_episodes_say_so(rlsuite: Any) -> None:
    small = ("n_steps=32", "batch_size=32", "net_arch=[8]", "--num-envs", "2", "--eval-episodes", "0", "--name", "a")
    for env, note in (("CartPole-v1", True), ("rlsuite/CartPole-v1", False)):
        assert rlsuite("train", "ppo", env, *small, "--steps", "64").code == 0
        ran = rlsuite("train", "--resume", f"runs/ppo/{env.replace('/', '-')}/a/seed0", "--steps", "128")
        assert ran.code == 0 and ("goes on in fresh episodes, not bit for bit" in ran.out) is note, ran
    assert [resumes_exactly(env) for env in ("Hopper-v5", "rlsuite/Hopper-v5", "Acrobot-v1", "no-such:Id-v0")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(("every", "steps"), [(256, [256, 512, 768, 1024]), (300, [384, 640, 1024]), (5000, [1024])])
@pytest.mark.parametrize("algo", ["ppo", "sb3:ppo"])
def test_evaluations_come_when_due_and_at_the_end(rlsuite: Any, algo: str, every: int, steps: list[int]) -> None:
    settings = ("n_steps=128", "batch_size=64", "n_epochs=1", "--num-envs", "1", "--steps", "1024")
    words = ("--eval-every", str(every), "--eval-episodes", "2", "--name", "a")
    ran = rlsuite("train", algo, "CartPole-v1", *settings, *words)
    assert ran.code == 0, ran.err
    folder = RunFolder(f"runs/{algo.replace(':', '-')}/CartPole-v1/a/seed0")
    assert [int(row["steps"]) for row in read_csv(folder.evaluations)] == steps and folder.best.exists()
    assert rlsuite("evaluate", str(folder.path), "--checkpoint", "best", "--episodes", "2").code == 0


def test_no_evaluation_episodes_are_no_evaluations(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", RunSpec(**{**vars(SPEC), "eval_episodes": 0}))
    training.run(folder)
    assert folder.finished and not folder.evaluations.exists() and not folder.best.exists()
