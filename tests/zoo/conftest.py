"""The command line in this process, with what it printed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from rlsuite_zoo.cli import main
from rlsuite_zoo.run_folder import RunFolder, RunSpec

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
    folder.write_status(
        state="finished", steps=curve[-1][0], total=curve[-1][0], wall_s=1.0, steps_per_s=1000
    )
    return folder


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunFolder]:
    """`make_run(name, curve, **spec)` makes a finished run below the test's folder."""
    return lambda name, curve, **spec: fake_run(tmp_path / name, curve, **spec)
