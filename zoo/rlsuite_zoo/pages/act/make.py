"""`rlsuite results act`: harmful, helpful and steering messages for CartPole victims, beside random and no messages.

An adversary is evolved per objective and seed, then judged by fresh victims that no generation saw. Runs are kept and
found again, in the middle too: a stopped command goes on.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime
import io
from pathlib import Path
from typing import Any

import torch

from rlsuite.adversarial.cheap_talk.act import ACT, ACTConfig
from rlsuite.adversarial.cheap_talk.control import control_returns
from rlsuite.adversarial.cheap_talk.victims import VICTIMS, Victims, derived_seeds
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.files import read_csv, write_text
from rlsuite_zoo.options import PageOptions
from rlsuite_zoo.pages.act.page import write_page
from rlsuite_zoo.pages.act.runs import ActRun, Task
from rlsuite_zoo.runs import kept
from rlsuite_zoo.runs.cells import run_cells
from rlsuite_zoo.runs.launch import cores
from rlsuite_zoo.runs.recipe import parse_count, parse_names, parse_seeds

SEEDS = "0"
TEST_SEED = 5_000_000
TEST_VICTIMS = 64
RANDOM_NETWORKS = 16
SAVE_EVERY = 5

CPU_MESSAGES: dict[str, Any] = {
    "population": 64,
    "end_only": False,
    "message_dim": 8,
    "message_hidden": (8,),
    "sigma": 0.4,
    "sigma_limit": 0.1,
    "sigma_decay": 0.99,
    "learning_rate": 0.1,
    "learning_rate_decay": 0.99,
    "beta1": 0.9,
}
"""What 64 candidates can find: eight words instead of two, and a network of a hundred numbers instead of thousands."""
STEERING: dict[str, Any] = {
    "population": 64,
    "num_seeds": 1,
    "episodes": 32,
    "message_dim": 8,
    "message_hidden": (),
    "steering_hidden": (),
    "sigma": 0.5,
    "sigma_limit": 0.1,
    "sigma_decay": 0.98,
    "learning_rate": 0.2,
    "learning_rate_decay": 0.98,
    "beta1": 0.9,
}
"""Settings of a steering adversary for a CPU, f and g linear:
with the experiments' g of 1,512 numbers nothing was learnt in 40 generations."""
SHORT = dataclasses.replace(VICTIMS["CartPole"], n_updates=8)
TASKS = (
    Task("harm", "harmful", ACTConfig(objective="harm", **CPU_MESSAGES), SHORT, 40),
    Task("help", "helpful", ACTConfig(objective="help", **CPU_MESSAGES), SHORT, 40),
    Task("control", "steering", ACTConfig(objective="control", **STEERING), SHORT, 60),
)


def make_results(options: PageOptions) -> None:
    """Evolve what is missing, then write `<out>/act.md`, `.csv` and `.png`.

    `steps` is a number of generations here.

    Raises:
        UsageError: bad options, or nothing to report.
    """
    numbers, root = parse_seeds(options.seeds or SEEDS), Path(options.runs) / "act"
    tasks = parse_names(options.only, {task.key: task for task in TASKS}, "objective of the suite act")
    if options.steps:
        tasks = [dataclasses.replace(task, generations=parse_count(options.steps, "--steps")) for task in tasks]
    everything = [
        ActRun(root / task.key / f"{task.generations}-generations" / f"seed{seed}", task, seed)
        for seed in numbers
        for task in tasks
    ]
    for run in everything:
        run.check()
    if not options.report_only:
        todo = [run for run in everything if not run.finished]
        print(f"{len(todo)} runs to do in {root}")
        for run in todo:
            run.prepare()
        run_cells(evolve, todo, options.jobs or cores(), lambda run: f"{run.task.key}, seed {run.seed}")
    finished = [run for run in everything if run.finished]
    if not finished:
        raise UsageError(f"no finished run in {root} to report; leave --report-only out to train them")
    write_page(finished, Path(options.out))


def evolve(run: ActRun) -> None:
    """Evolve the adversary of a folder from where it is, then judge it."""
    task = run.task
    if run.checkpoint.exists():
        act = ACT.load(run.checkpoint, device="cpu")
    else:
        act = ACT("CartPole", task.config, victim=task.victim, seed=run.seed, device="cpu")
    rows: list[dict[str, Any]] = list(read_csv(run.progress))[: act.generation]

    def keep(model: ACT) -> None:
        rows.append({"generation": model.generation, **model.metrics})
        if model.generation % SAVE_EVERY == 0 or model.generation == task.generations:
            text = io.StringIO()
            writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            write_text(run.progress, text.getvalue())
            model.save(run.checkpoint)

    if act.generation < task.generations:
        act.learn(task.generations - act.generation, log_interval=None, on_update=keep)
    key = kept.key_of(run)
    kept.write(run, key, judge(act))


def judge(act: ACT) -> dict[str, Any]:
    """Returns of fresh victims under an adversary's messages and under others, as lists [victims][updates]."""
    seeds = range(TEST_SEED, TEST_SEED + TEST_VICTIMS)
    each = TEST_VICTIMS // RANDOM_NETWORKS  # victims of a random network; all together the seeds of the others
    random = [
        act.evaluate(seeds[i * each : (i + 1) * each], "random", message_seed=i)[:, 0] for i in range(RANDOM_NETWORKS)
    ]
    evolved = act.es.mean[None]
    victims = Victims(act.speech.talking(evolved), act.victim, seeds)
    record: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "victims_per_second": act.metrics["time/victims_per_second"],
        "evolved": victims.train()[:, 0].T.tolist(),
        "none": act.evaluate(seeds, "none")[:, 0].T.tolist(),
        "random": torch.cat(random, dim=1).T.tolist(),
    }
    if act.config.controls:
        speak, starts = act.speech.steering(evolved), [derived_seeds(seed, 1, count=1)[0] for seed in seeds]
        for name, mislead in (("steered", False), ("misled", True)):
            found = control_returns(victims, speak, starts, act.config.episodes, mislead=mislead)
            record[name] = found[0].tolist()
        # A vector of zeros says nothing, before and after training: where the victim goes by itself.
        record["left_alone"] = act.judge(torch.zeros_like(evolved), seeds)[0][0].tolist()
    return record
