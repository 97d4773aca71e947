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
    """The folder of one adversary: its task, its generations, its checkpoint and its test."""

    def __init__(self, path: Path, task: Task, seed: int) -> None:
        self.path, self.task, self.seed = path, task, seed
        self.checkpoint, self.progress = path / "act.zip", path / "progress.csv"
        self.origin, self.tested = path / "origin.json", path / "tested.json"

    def prepare(self) -> None:
        """Make the folder, and note which command of which version is at work."""
        self.path.mkdir(parents=True, exist_ok=True)
        if not self.origin.exists():
            command = shlex.join(command_line())
            about = {"command": command, "versions": versions(), "git": git_state(), "setting": self.setting}
            write_json(self.origin, about)

    @property
    def setting(self) -> dict[str, Any]:
        """Everything that decides the outcome beside the seed, as JSON gives it back."""
        task = self.task
        parts = {
            "config": asdict(task.config),
            "victim": asdict(task.victim),
            "generations": task.generations,
        }
        found: dict[str, Any] = json.loads(json.dumps(parts))
        return found

    def check(self) -> None:
        """Raise where the folder holds a run with other settings.

        Raises:
            UsageError: it does.
        """
        if self.origin.exists() and json.loads(self.origin.read_text(encoding="utf-8")).get("setting") != self.setting:
            raise UsageError(f"{self.path} holds a run with other settings; move it away, or give another --runs")

    @property
    def finished(self) -> bool:
        """Whether it was evolved and judged."""
        return self.tested.exists()

    def record(self) -> dict[str, Any]:
        """The test: returns of fresh victims, and where the numbers come from."""
        both = (json.loads(file.read_text(encoding="utf-8")) for file in (self.origin, self.tested))
        return {name: value for part in both for name, value in part.items()}

    def curve(self, name: str) -> np.ndarray:
        """One metric by generation, [G]."""
        return np.array([float(row[name]) for row in read_csv(self.progress)])
