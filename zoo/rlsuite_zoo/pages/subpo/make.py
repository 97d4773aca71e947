"""`rlsuite results subpo`: SubPO and ModPO beside planners and random play where rewards are submodular.

Runs are kept and found again, as those of the other pages.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.options import PageOptions
from rlsuite_zoo.pages.subpo.page import write_page
from rlsuite_zoo.pages.subpo.tasks import ENTRIES, TASKS, Entry, Results, Task
from rlsuite_zoo.runs.folder import RunFolder
from rlsuite_zoo.runs.launch import RunFailed, launch_missing
from rlsuite_zoo.runs.recipe import parse_count, parse_names, parse_seeds
from rlsuite_zoo.runs.spec import make_spec

SEEDS = "0-9"


def make_results(options: PageOptions) -> None:
    """Train what is missing, then write `<out>/subpo.md`, `.csv` and pictures.

    Raises:
        UsageError: bad options, or nothing to report. RunFailed: some runs failed (the page has the others).
    """
    numbers, root = parse_seeds(options.seeds or SEEDS), Path(options.runs) / "subpo"
    tasks = parse_names(options.only, {task.key: task for task in TASKS}, "task of the suite subpo")
    if options.steps:
        tasks = [replace(task, steps=parse_count(options.steps, "--steps")) for task in tasks]
    folders = {
        (task.key, entry.name): [_folder(root, task, entry, seed) for seed in numbers]
        for task in tasks
        for entry in ENTRIES
    }
    failure: RunFailed | None = None
    if not options.report_only:
        todo = _prepare(tasks, numbers, root)
        failure = launch_missing(todo, options.jobs, root)
    finished = {cell: [folder for folder in group if folder.finished] for cell, group in folders.items()}
    if any(finished.values()):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        write_page(Results(tasks, numbers, root, finished), Path(options.out))
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
