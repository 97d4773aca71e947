"""What `rlsuite results act` evolves, and the folder in which it stays."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlsuite.adversarial.cheap_talk.act import ACTConfig
from rlsuite.adversarial.cheap_talk.victim_ppo import VictimConfig
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.files import read_csv, write_json
from rlsuite_zoo.provenance import command as command_line
from rlsuite_zoo.provenance import git_state, versions
from rlsuite_zoo.runs import kept

__all__ = ["ActRun", "Task"]


@dataclass(frozen=True)
class Task:
    """One objective."""

    key: str
    title: str
    config: ACTConfig
    victim: VictimConfig
    generations: int


class ActRun:
    """The folder of one adversary: its task, its generations, its checkpoint and (at `path`, kept) its test."""

    def __init__(self, folder: Path, task: Task, seed: int) -> None:
        self.folder = folder
        self.task = task
        self.seed = seed
        self.checkpoint = folder / "act.zip"
        self.progress = folder / "progress.csv"
        self.origin = folder / "origin.json"
        self.path = folder / "tested.json"
        self.checkpoints = [self.checkpoint]

    def prepare(self) -> None:
        """Make the folder, and note which command of which version is at work."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.origin.exists():
            command = shlex.join(command_line())
            about = {"command": command, "versions": versions(), "git": git_state(), "setting": self.settings}
            write_json(self.origin, about)

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the seed that decides the outcome, as JSON gives it back."""
        task = self.task
        return kept.plain(
            {"config": asdict(task.config), "victim": asdict(task.victim), "generations": task.generations}
        )

    def check(self) -> None:
        """Raise where the folder holds a run with other settings.

        Raises:
            UsageError: it does.
        """
        if self.origin.exists() and json.loads(self.origin.read_text(encoding="utf-8")).get("setting") != self.settings:
            raise UsageError(f"{self.folder} holds a run with other settings; move it away, or give another --runs")

    @property
    def finished(self) -> bool:
        """Whether it was evolved and judged."""
        return kept.read(self) is not None

    def record(self) -> dict[str, Any]:
        """The test: returns of fresh victims, and where the numbers come from."""
        found = kept.read(self)
        assert found is not None  # asked of finished runs
        return json.loads(self.origin.read_text(encoding="utf-8")) | found

    def curve(self, name: str) -> np.ndarray:
        """One metric by generation, [G]."""
        return np.array([float(row[name]) for row in read_csv(self.progress)])
