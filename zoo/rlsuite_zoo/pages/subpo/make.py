"""`rlsuite results subpo`: SubPO and ModPO beside planners and random play where rewards are submodular.

Runs are kept and found again, as those of the other pages.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from rlsuite_zoo.errors import UsageError, unknown
from rlsuite_zoo.pages.subpo.page import write_page
from rlsuite_zoo.pages.subpo.tasks import ENTRIES, TASKS, Entry, Results, Task
from rlsuite_zoo.runs.folder import RunFolder
from rlsuite_zoo.runs.launch import RunFailed, launch
from rlsuite_zoo.runs.recipe import parse_count, parse_seeds
from rlsuite_zoo.runs.spec import make_spec

SEEDS = "0-9"


def chosen_tasks(only: str) -> list[Task]:
    """All tasks, or those named.

    Raises:
        UsageError: an unknown one; names the nearest.
    """
    by_key = {task.key: task for task in TASKS}
    keys = [word.strip() for word in only.split(",") if word.strip()] or list(by_key)
    for key in keys:
        if key not in by_key:
            raise unknown("task of the suite subpo", key, by_key)
    return [by_key[key] for key in keys]


def make_results(
    *, seeds: str, steps: str, jobs: int | None, only: str, report_only: bool, runs: str, out: str
) -> None:
    """Train what is missing, then write `<out>/subpo.md`, `.csv` and pictures.

    Raises:
        UsageError: bad options, or nothing to report. RunFailed: some runs failed (the page has the others).
    """
    numbers, root = parse_seeds(seeds or SEEDS), Path(runs) / "subpo"
    tasks = chosen_tasks(only)
    if steps:
        tasks = [replace(task, steps=parse_count(steps, "--steps")) for task in tasks]
    folders = {
        (task.key, entry.name): [_folder(root, task, entry, seed) for seed in numbers]
        for task in tasks
        for entry in ENTRIES
    }
    failure: RunFailed | None = None
    if not report_only:
        todo = _prepare(tasks, numbers, root)
        print(f"{len(todo)} runs to do in {root}")
        try:
            if todo:
                launch(todo, jobs)
        except RunFailed as error:
            failure = error
    finished = {cell: [folder for folder in group if folder.finished] for cell, group in folders.items()}
    if any(finished.values()):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        write_page(Results(tasks, numbers, root, finished), Path(out))
        torch.set_num_threads(threads)
    elif failure is None:
        raise UsageError(f"no finished run in {root} to report; leave --report-only out to train them")
    if failure is not None:
        raise failure


def _folder(root: Path, task: Task, entry: Entry, seed: int) -> RunFolder:
    return RunFolder(root / task.key / f"{task.steps}-steps" / entry.recipe / f"seed{seed}")


def _prepare(tasks: list[Task], seeds: list[int], root: Path) -> list[RunFolder]:
    """The runs to do, seed by seed, so that an interrupted suite has comparable entries."""
    todo = []
    for seed in seeds:
        for task in tasks:
            for entry in ENTRIES:
                folder = _folder(root, task, entry, seed)
                if not folder.config.exists():
                    spec = make_spec(
                        "subpo",
                        task.env,
                        seed=seed,
                        steps=str(task.steps),
                        recipe=entry.recipe,
                        num_envs=task.num_envs,
                        device="cpu",
                    )
                    kwargs = {**spec.env_kwargs, **task.kwargs(seed)}
                    RunFolder.create(folder.path, replace(spec, env_kwargs=kwargs))
                if not folder.finished:
                    todo.append(folder)
    return todo
