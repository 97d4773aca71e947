"""What the commands `train` and `evaluate` do, once the command line is read."""

from __future__ import annotations

import datetime
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.table import Table

import rlsuite_zoo.runs.train as training
from rlsuite_zoo.errors import Interrupted, NotKept, UsageError, remedy_of, unknown
from rlsuite_zoo.files import write_json
from rlsuite_zoo.options import EvaluateOptions, TrainOptions
from rlsuite_zoo.runs.display import out_console, returns_text
from rlsuite_zoo.runs.evaluation import evaluation_record, mode_hint, other_mode, read_evaluation
from rlsuite_zoo.runs.folder import RunFolder, RunSpec, find_runs
from rlsuite_zoo.runs.launch import launch
from rlsuite_zoo.runs.lease import check_free, lease
from rlsuite_zoo.runs.models import (
    evaluate_policy,
    load_policy,
    resumes_exactly,
)
from rlsuite_zoo.runs.recipe import parse_count, parse_seeds, parse_weights
from rlsuite_zoo.runs.spec import check_jobs, make_spec, safe_name


def train(options: TrainOptions) -> None:
    """Make the run folders and run them, or go on with some.

    Raises:
        UsageError: bad input. RunFailed, Interrupted: see `launch`.
    """
    algo, env = options.algo, options.env
    if options.resume:
        if algo or env or options.settings:
            raise UsageError("--resume goes on with the run as it is; leave algorithm, environment and settings out")
        resume(options.resume, steps=options.steps, jobs=options.jobs)
        return
    if not algo or not env:
        raise UsageError("give an algorithm and an environment: rlsuite train bpo Hopper-v5 (or --resume RUN)")
    spec = make_spec(
        algo,
        env,
        options.settings,
        steps=options.steps,
        num_envs=options.num_envs,
        device=options.device,
        recipe=options.recipe,
        checkpoint_every=options.checkpoint_every,
        eval_every=options.eval_every,
        eval_episodes=options.eval_episodes,
        eval_stochastic=options.eval_stochastic,
    )
    numbers, name = parse_seeds(options.seeds), options.name
    check_jobs(options.jobs)
    if name and not re.fullmatch(r"[\w.+=-]+", name):
        raise UsageError(f"--name is {name!r}; use letters, digits and . _ + = -")
    above = Path(options.out) / safe_name(algo) / safe_name(env)
    parent = above / name if name else _new_folder(above)
    for seed in numbers:
        RunFolder(parent / f"seed{seed}").check_new()
    folders = [RunFolder.create(parent / f"seed{seed}", replace(spec, seed=seed)) for seed in numbers]
    run_and_report(folders, options.jobs, parent)


def _new_folder(above: Path) -> Path:
    """Make a folder named after the time that no other process has made."""
    name = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    for suffix in ("", *(f"-{number}" for number in range(2, 10_000))):
        folder = above / f"{name}{suffix}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise UsageError(f"{above} holds too many runs of {name}; give a --name")


def resume(path: str, *, steps: str = "", jobs: int | None = None) -> None:
    """Go on with the runs in a folder that are not finished, or that `steps` makes longer.

    Raises:
        UsageError: no run there, another process runs one, or fewer steps than are done.
    """
    check_jobs(jobs)
    folders = find_runs([path])
    for folder in folders:
        check_free(folder.path)  # before anything is changed
    todo = []
    for folder in folders:
        spec = folder.spec()
        if steps:
            total = parse_count(steps, "--steps")
            if total < int(folder.status().get("steps", 0)):
                raise UsageError(f"{folder.path} has done more than {total} steps already; give a larger --steps")
            if total != spec.steps:
                with lease(folder.path):
                    folder.write_spec(replace(spec, steps=total))
                todo.append(folder)
                continue
        if not folder.finished:
            todo.append(folder)
    for folder in todo:
        if folder.last.exists() and (note := _inexact(folder.spec())):
            print(f"note: {folder.path}: {note}")
    if not todo:
        print(f"all {len(folders)} runs in {path} are finished; --steps makes them longer")
        return
    run_and_report(todo, jobs, Path(path))


def _inexact(spec: RunSpec) -> str:
    """Why a resumed run does not go on bit for bit; "" where it does."""
    if spec.algo.startswith("sb3:"):
        return "a Stable-Baselines3 baseline goes on approximately, not bit for bit"
    if not resumes_exactly(spec.env):
        return f"{spec.env} cannot be put back where it was; the run goes on in fresh episodes, not bit for bit"
    return ""


def run_and_report(folders: list[RunFolder], jobs: int | None, parent: Path) -> None:
    """Run the folders, then print what came out; a single run's failure names its last checkpoint."""
    try:
        launch(folders, jobs)
    except Interrupted:
        print(f"stopped; go on with: rlsuite train --resume {parent}", file=sys.stderr)
        raise
    except Exception:
        folder = folders[0]
        if len(folders) == 1 and folder.log.exists():  # launch names logs and checkpoints of several
            print(f"{folder.path} failed; the traceback is in {folder.log}", file=sys.stderr)
            print(training.checkpoint_hint(folder), file=sys.stderr)
        raise
    finally:
        if any(folder.status().get("steps") for folder in folders):
            show_runs(folders)


def show_runs(folders: list[RunFolder]) -> None:
    """A table of runs: state, steps, speed and return; and where they are."""
    table = Table(box=None, pad_edge=False)
    for column in ("run", "state", "steps", "steps/s", "training return", "evaluated", "episodes"):
        table.add_column(column, justify="left" if column in ("run", "state") else "right", no_wrap=True)
    top = Path(os.path.commonpath([folder.path.parent for folder in folders]))
    for folder in folders:
        status, record = folder.status(), read_evaluation(folder)
        mean, means = status.get("ep_rew_mean"), status.get("ep_rew_means")
        table.add_row(
            str(folder.path.relative_to(top)),
            str(status.get("state")),
            f"{status.get('steps', 0):,}",
            f"{status.get('steps_per_s', 0):,.0f}",
            returns_text(means) if means else "" if mean is None else f"{mean:,.1f}",
            f"{record['mean']:,.1f} [{record['low']:,.1f}, {record['high']:,.1f}]" if record else "",
            str(record["episodes"]) if record else "",
        )
    out_console().print(table)
    print(f"in {top}")
    for folder in folders:
        if (record := read_evaluation(folder)) and (hint := mode_hint(record)):
            print(f"note: {folder.path.relative_to(top)}: {hint}")
    if any(folder.status().get("ep_rew_means") for folder in folders):
        print(
            "note: training returns are those of the objectives, over all policies; evaluated is the policy for equal "
            f"weights. What each policy returns: rlsuite front {top}"
        )


def evaluate(options: EvaluateOptions) -> None:
    """Evaluate each run in a folder, print the returns, write evaluation.json, and a video of the first.

    Raises:
        UsageError: no run, no checkpoint, no episodes. NotKept: printed, but evaluation.json could not be written.
    """
    if options.episodes < 1:
        raise UsageError(f"--episodes is {options.episodes}; it must be at least 1")
    if options.checkpoint not in ("last", "best"):
        raise unknown("checkpoint", options.checkpoint, ["last", "best"])
    if options.render:
        from rlsuite_zoo.episodes.video import check_video

        check_video(Path(options.render))
    folders, lost = find_runs([options.run]), list[str]()
    for folder in folders:
        spec = folder.spec()
        file = folder.last if options.checkpoint == "last" else folder.best
        policy = load_policy(folder, file)
        mode = not (options.stochastic or spec.eval_stochastic)
        chosen: dict[str, Any] = {} if options.seed is None else {"seed": options.seed}
        if options.weights:
            chosen["weights"] = parse_weights(options.weights)
        result = evaluate_policy(policy, spec, options.episodes, deterministic=mode, **chosen)
        record = evaluation_record(result, file, deterministic=mode, seed=options.seed)
        if other := other_mode(
            policy, spec, result, folder.status().get("ep_rew_mean"), deterministic=mode, seed=options.seed
        ):
            record["other_mode"] = other
        try:
            write_json(folder.evaluation, record)
        except OSError as error:  # somebody else's run, perhaps: the result is printed all the same
            lost.append(f"{folder.evaluation}: {error.strerror or error}{remedy_of(error)}")
        interval = result.interval
        print(
            f"{folder.path}: return {interval.estimate:,.2f}, "
            f"95 % interval [{interval.low:,.2f}, {interval.high:,.2f}] over {len(result.returns)} episodes "
            f"({spec.algo} on {spec.env}, {file.name})"
        )
        if result.objectives is not None:
            means = ", ".join(f"{mean:,.2f}" for mean in result.objectives.mean(0))
            print(f"  objectives {means} (undiscounted), weighed by {', '.join(f'{w:g}' for w in result.weights)}")
        if hint := mode_hint(record):
            print(f"note: {folder.path}: {hint}")
        if options.render and folder is folders[0]:
            from rlsuite_zoo.episodes.video import write_video

            line, _ = write_video(
                policy,
                spec,
                Path(options.render),
                episodes=options.episodes,
                deterministic=mode,
                seed=options.seed,
                weights=result.weights,
            )
            print(f"{line}: the first of these episodes of {folder.path} ({file.name})")
    if lost:
        raise NotKept("the results above could not be kept: " + "\n".join(lost))
