"""The command line in this process, with what it printed."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from rlsuite_zoo.cli import main
from rlsuite_zoo.runs.display import Display
from rlsuite_zoo.runs.folder import RunFolder, RunSpec
from rlsuite_zoo.runs.train import run

torch.set_num_threads(1)


@dataclass(frozen=True)
class Ran:
    """One command's exit code and output."""

    code: int
    out: str
    err: str


Command = Callable[..., Ran]


@pytest.fixture
def rlsuite(capsys: Any, tmp_path: Path, monkeypatch: Any) -> Command:
    """Call `rlsuite(*words)` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RLSUITE_DEBUG", raising=False)

    def call(*words: str) -> Ran:
        capsys.readouterr()
        code = main(list(words))
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return call


def fake_run(path: Path, curve: list[tuple[int, float]], **spec: Any) -> RunFolder:
    """A finished run whose learning curve is `curve`."""
    values = {"algo": "ppo", "env": "CartPole-v1", "seed": 0, "steps": curve[-1][0], "num_envs": 1} | spec
    folder = RunFolder.create(path, RunSpec(**values))
    rows = [f"{steps},{steps / 1000},{value}" for steps, value in curve]
    folder.progress.write_text("\n".join(["steps,wall_s,rollout/ep_rew_mean", *rows]) + "\n")
    folder.write_status(state="finished", steps=curve[-1][0], total=curve[-1][0], wall_s=1.0, steps_per_s=1000)
    return folder


def run_here(folders: list[RunFolder], jobs: int, threads: int, display: Display) -> None:
    """For `rlsuite_zoo.runs.launch._run_processes`: importing torch takes longer than training such runs."""
    for folder in folders:
        run(folder, threads=1, progress=lambda status: None)


@pytest.fixture
def in_this_process(monkeypatch: Any) -> None:
    """Several runs train in this process, one by one; tests of `runs` start processes."""
    monkeypatch.setattr("rlsuite_zoo.runs.launch._run_processes", run_here)


@pytest.fixture(scope="session")
def small_runs(tmp_path_factory: Any) -> Callable[[str], Path]:
    """`small_runs(env)`: the folder `runs` with two hardly trained seeds of PPO in `runs/ppo/<env>/a`, made once."""
    made: dict[str, Path] = {}

    def make(env: str) -> Path:
        if env not in made:
            made[env] = tmp_path_factory.mktemp("small") / "runs"
            settings = ("n_steps=32", "batch_size=64", "n_epochs=2", "net_arch=[16]", "--steps", "1024")
            options = (
                "--num-envs",
                "4",
                "--seeds",
                "0-1",
                "--name",
                "a",
                "--jobs",
                "1",
                "--eval-episodes",
                "0",
            )
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("rlsuite_zoo.runs.launch._run_processes", run_here)
                assert main(["train", "ppo", env, *settings, *options, "--out", str(made[env])]) == 0
        return made[env]

    return make


@pytest.fixture
def trained(small_runs: Callable[[str], Path], rlsuite: Command) -> Callable[..., None]:
    """`trained(env, seeds=2)` copies such runs into the empty folder that `rlsuite` works in."""

    def copy(env: str, seeds: int = 2) -> None:
        shutil.copytree(small_runs(env), Path("runs"), copy_function=shutil.copy2)
        for seed in range(seeds, 2):
            shutil.rmtree(next(Path("runs").rglob(f"seed{seed}")))

    return copy


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunFolder]:
    """`make_run(name, curve, **spec)` makes a finished run below the test's folder."""
    return lambda name, curve, **spec: fake_run(tmp_path / name, curve, **spec)
