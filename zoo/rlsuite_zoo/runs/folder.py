"""The folder of one run (algorithm, environment, seed): all that repeats, resumes and reports it.

| file | holds |
|---|---|
| config.yaml | `RunSpec`: what was asked for, with every setting resolved |
| versions.json, git.json, command.txt | where it ran: packages, platform, commit, command line |
| progress.csv | the learning curve: steps, wall_s, and what the algorithm logs (`rollout/ep_rew_mean`, ...) |
| events.out.tfevents.* | the same for TensorBoard |
| checkpoints/last.zip, best.zip | the model, replaced atomically; best by the evaluations during training |
| evaluations.csv | evaluations during training (`--eval-every`) |
| evaluation.json | the evaluation of the trained model |
| status.json | state (running, finished, failed, interrupted), steps, speed, error |
| log.txt | what the worker printed |
| lease.json | who writes here now; no other process may (`lease.py`) |
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.files import write_json, write_text
from rlsuite_zoo.imports import check_named, import_allowed
from rlsuite_zoo.provenance import command, git_state, versions
from rlsuite_zoo.runs.lease import lease
from rlsuite_zoo.runs.recipe import parse_yaml
from rlsuite_zoo.runs.schema import SPEC, STATUS, RunFolderError, check_fields, read_json, read_small

LONGEST_LABEL = 40
"""Most characters of the settings in a folder's name."""


@dataclass(frozen=True)
class RunSpec:
    """One run, complete: two folders with equal specs hold equal runs."""

    algo: str
    """Name of the algorithm, such as "bpo" or "sb3:ppo"."""
    env: str
    """Gymnasium id of the environment."""
    seed: int
    steps: int
    """Environment steps to train for; the algorithm finishes the rollout it is in."""
    num_envs: int
    recipe: str = "default"
    device: str = "auto"
    config: dict[str, Any] = field(default_factory=dict)
    """Every hyper-parameter."""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    checkpoint_every: int = 100_000
    """Environment steps between checkpoints."""
    eval_every: int = 0
    """Environment steps between evaluations; 0 for none."""
    eval_episodes: int = 20
    """Episodes of the evaluation at the end, and of those during training; 0 for none."""
    eval_stochastic: bool = False
    """Whether evaluations sample the actions instead of taking the distribution's mode."""
    label: str = ""
    """Settings that differ from the recipe's, for plots: "ent_coef=0.01"."""

    @property
    def group(self) -> str:
        """A short name of the settings, for curves; `groups.group_names` tells runs apart."""
        recipe = "" if self.recipe == "default" else self.recipe
        return " ".join(part for part in (self.algo, recipe, _short(self.label)) if part)


class RunFolder:
    """Paths and small files of one run."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.progress = self.path / "progress.csv"
        self.evaluations = self.path / "evaluations.csv"
        self.evaluation = self.path / "evaluation.json"
        self.status_file = self.path / "status.json"
        self.log = self.path / "log.txt"
        self.last = self.path / "checkpoints" / "last.zip"
        self.best = self.path / "checkpoints" / "best.zip"

    @classmethod
    def create(cls, path: Path, spec: RunSpec) -> RunFolder:
        """Make the folder and its description.

        Raises:
            UsageError: there is a run already, or another process makes one now.
        """
        folder = cls(path)
        folder.check_new()
        folder.last.parent.mkdir(parents=True, exist_ok=True)
        with lease(path):
            folder.check_new()  # another process may have been faster
            write_json(path / "versions.json", versions())
            git = git_state()
            if git:
                write_json(path / "git.json", git)
            write_text(path / "command.txt", shlex.join(command()) + "\n")
            folder.write_status(state="created", steps=0, total=spec.steps)
            folder.write_spec(spec)  # last: a folder with a config.yaml is complete
        return folder

    def check_new(self) -> None:
        """Raise if there is a run already.

        Raises:
            UsageError: names the ways out.
        """
        if self.config.exists():
            path = self.path
            raise UsageError(f"{path} holds a run already; choose another --name, or go on with --resume {path}")

    def spec(self, *, plays: bool = True) -> RunSpec:
        """The run's description.

        Args:
            plays: whether its environment may be made; False reads a run without the module of its id.

        Raises:
            RunFolderError: no run folder, or a config.yaml that no rlsuite wrote; names file, field and value.
            UsageError: an environment of a module that the user has not named (see `rlsuite_zoo.imports`).
        """
        try:
            data = parse_yaml(read_small(self.config), str(self.config))
        except FileNotFoundError:
            raise RunFolderError(f"{self.path} is no run folder: it has no config.yaml") from None
        except RunFolderError:
            raise
        except UsageError as error:
            raise RunFolderError(str(error)) from error
        known = {f.name for f in fields(RunSpec)}
        if not isinstance(data, dict) or not {"algo", "env", "seed", "steps", "num_envs"} <= set(data) <= known:
            raise RunFolderError(f"{self.config} does not describe a run; its keys must be {', '.join(sorted(known))}")
        check_fields(self.config, data, SPEC)
        spec = RunSpec(**data)
        if plays:
            check_named(spec.env, self.config)
            import_allowed()
        return spec

    def write_spec(self, spec: RunSpec) -> None:
        """Write config.yaml."""
        plain = json.loads(json.dumps(asdict(spec)))  # tuples become lists: the safe loader knows no tuples
        write_text(self.config, yaml.safe_dump(plain, sort_keys=False))

    def status(self) -> dict[str, Any]:
        """Content of status.json; an empty dict when there is none yet.

        Raises:
            RunFolderError: it is not what rlsuite writes.
        """
        try:
            status = read_json(self.status_file)
        except FileNotFoundError:
            return {}
        check_fields(self.status_file, status, STATUS)
        return status

    def write_status(self, **values: Any) -> None:
        """Replace status.json."""
        write_json(self.status_file, {**values, "pid": os.getpid()})

    @property
    def finished(self) -> bool:
        """Whether the run has taken all its steps."""
        return self.status().get("state") == "finished"


def find_runs(paths: list[str]) -> list[RunFolder]:
    """The run folders at or below each path, in order.

    Raises:
        UsageError: a path that does not exist or holds no run.
    """
    found: dict[Path, RunFolder] = {}
    for path in paths:
        if not Path(path).is_dir():
            raise UsageError(f"{path} is no folder; a run folder holds a config.yaml (see `rlsuite train`)")
        here = sorted(Path(path).rglob("config.yaml"), key=_natural)
        here = [config for config in here if (config.parent / "status.json").exists()]
        if not here:
            raise UsageError(
                f"no run in {path}: neither it nor a folder below it holds a config.yaml of `rlsuite train`"
            )
        found |= {config.parent: RunFolder(config.parent) for config in here}
    return list(found.values())


def find_trained(paths: list[str]) -> list[RunFolder]:
    """`find_runs`, all of which have a checkpoint.

    Raises:
        UsageError: see `find_runs`; a run without a checkpoint.
    """
    folders = find_runs(paths)
    for folder in folders:
        if not folder.last.exists():
            raise UsageError(f"{folder.path} has no checkpoint yet; train it with --resume {folder.path}")
    return folders


def _short(label: str) -> str:
    """The label, or its first setting, how many more there are, and four digits that tell it from others."""
    if len(label) <= LONGEST_LABEL:
        return label
    first, *others = re.split(r" (?=[A-Za-z_][\w.]*=)", label)  # a list's spaces part no settings
    first = first if len(first) <= LONGEST_LABEL - 10 else first[: LONGEST_LABEL - 13] + "..."
    return f"{first}{f' +{len(others)}' if others else ''} #{hashlib.sha256(label.encode()).hexdigest()[:4]}"


def _natural(path: Path) -> list[Any]:
    """Sort seed10 after seed9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]
