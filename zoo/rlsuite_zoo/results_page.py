"""`rlsuite results SUITE`: train a suite, then write its page of tables and curves.

A suite (`suites/<name>.yaml`) is environments times entries (algorithm and recipe) times seeds. Runs live in
`<runs>/<suite>/...` and are found again: finished ones are kept, others go on from their checkpoint.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlsuite.core.statistics import Interval, bootstrap_interval
from rlsuite_zoo.commands import make_spec, read_evaluation, safe_name
from rlsuite_zoo.differences import paired, welch
from rlsuite_zoo.errors import UsageError, unknown
from rlsuite_zoo.launch import RunFailed, launch
from rlsuite_zoo.plot import plot_runs, read_curve
from rlsuite_zoo.recipe import parse_count, parse_seeds
from rlsuite_zoo.results_rules import RuleReturns, play_rules, rule_rows, tables_beside_rules
from rlsuite_zoo.run_folder import RunFolder, RunSpec, portable, read_csv, write_text
from rlsuite_zoo.suite import Entry, Suite, load_suite

Cells = dict[tuple[str, str], list[RunFolder]]
"""Finished runs by environment and entry."""


@dataclass(frozen=True)
class Trained:
    """A suite's runs, those asked for and finished."""

    suite: Suite
    environments: list[str]
    seeds: list[int]
    steps: int
    """Of a run that has no budget of its own."""
    root: Path
    cells: Cells
    failure: RunFailed | None
    """Of some of the runs; to be raised once the page of the others is written."""


def trained_suite(
    name: str, *, seeds: str, steps: str, jobs: int | None, only: str, report_only: bool, runs: str
) -> Trained:
    """Train what is missing of a suite (unless `report_only`).

    Raises:
        UsageError: bad options, or nothing to report. RunFailed: all runs failed.
    """
    suite = load_suite(name)
    numbers = parse_seeds(seeds) if seeds else suite.seeds
    total = parse_count(steps, "--steps") if steps else suite.steps
    environments = [env.strip() for env in only.split(",")] if only else suite.environments
    for env in environments:
        if env not in suite.environments:
            raise unknown(f"environment of the suite {name}", env, suite.environments)
    root = Path(runs) / name / f"{total}-steps"
    failure: RunFailed | None = None
    if not report_only:
        todo = [f for f in _prepare(suite, environments, numbers, total, root) if not f.finished]
        print(f"{len(todo)} runs to do in {root}")
        try:
            if todo:
                launch(todo, jobs)
        except RunFailed as error:
            failure = error
    cells = finished_runs(suite, environments, numbers, root)
    if not any(cells.values()):
        if failure is not None:
            raise failure
        raise UsageError(f"no finished run in {root} to report; leave --report-only out to train them")
    return Trained(suite, environments, numbers, total, root, cells, failure)


def make_results(
    name: str, *, seeds: str, steps: str, jobs: int | None, only: str, report_only: bool, runs: str, out: str
) -> None:
    """Train what is missing (unless `report_only`), then write `<out>/<suite>.md` and its pictures.

    The page is written from what finished even when some runs failed.

    Raises:
        UsageError: bad options, or nothing to report. RunFailed: some runs failed.
    """
    found = trained_suite(
        name, seeds=seeds, steps=steps, jobs=jobs, only=only, report_only=report_only, runs=runs
    )
    write_page(found.suite, found.environments, found.cells, found.steps, found.root, Path(out))
    if found.failure is not None:
        raise found.failure


def _folder(root: Path, env: str, entry: Entry, seed: int) -> RunFolder:
    return RunFolder(
        root / safe_name(env) / f"{safe_name(entry.algo)}-{entry.recipe_on(env)}" / f"seed{seed}"
    )


def _prepare(
    suite: Suite, environments: list[str], seeds: list[int], steps: int, root: Path
) -> list[RunFolder]:
    """All run folders, seed by seed, so that an interrupted suite has comparable entries."""
    folders = []
    for seed in seeds:
        for env in environments:
            for entry in suite.entries:
                if not entry.seeds_of([seed]):
                    continue
                folder = _folder(root, env, entry, seed)
                if not folder.config.exists():
                    spec: RunSpec = make_spec(
                        entry.algo, env, seed=seed, steps=str(entry.budget(env, steps)), recipe=entry.recipe_on(env),
                        eval_episodes=suite.eval_episodes,
                    )  # fmt: skip
                    RunFolder.create(folder.path, spec)
                folders.append(folder)
    return folders


def finished_runs(suite: Suite, environments: list[str], seeds: list[int], root: Path) -> Cells:
    """The finished runs of every cell of the tables."""
    return {
        (env, entry.name): [f for f in (_folder(root, env, entry, seed) for seed in seeds) if f.finished]
        for env in environments
        for entry in suite.entries
    }


def write_page(
    suite: Suite,
    environments: list[str],
    cells: Cells,
    steps: int,
    root: Path,
    out: Path,
    more: Sequence[str] = (),
) -> None:
    """The page and one picture of learning curves; rules play first, their returns are kept in `root`.

    `more` are further parts, which come before the curves.
    """
    out.mkdir(parents=True, exist_ok=True)
    first = {(f.spec().env, f.spec().seed): f.spec() for group in cells.values() for f in group}
    played = play_rules(suite.rules, [first[key] for key in sorted(first)], root / "rules")
    parts = [
        f"# {suite.title}",
        suite.about,
        provenance([f for group in cells.values() for f in group], steps),
    ]
    parts += ["## Returns", _note_evaluated(suite, cells)]
    parts += [_returns(suite, env, cells, played) for env in environments]
    if suite.rules:
        by_entry = {
            env: {e.name: found for e in suite.entries if (found := cells[env, e.name])}
            for env in environments
        }
        parts += ["## Beside simple rules", *tables_beside_rules(suite.rules, by_entry, played, trained)]
    if suite.compare:
        parts += ["## Who is ahead", *_differences(suite, environments, cells)]
    parts += more
    picture = out / f"{suite.name}.png"
    paths = [str(folder.path) for folders in cells.values() for folder in folders if _has_curve(folder)]
    groups = {folders[0].spec().group: entry for (_, entry), folders in cells.items() if folders}
    if paths:
        plot_runs(paths, picture, quiet=True, labels=groups)
        parts += ["## Learning curves", f"![learning curves]({picture.name})"]
    write_text(out / f"{suite.name}.csv", _every_run(environments, cells))
    page = out / f"{suite.name}.md"
    write_text(page, "\n\n".join(parts) + "\n")
    print(f"wrote {page} and {picture}")


def _differences(suite: Suite, environments: list[str], cells: Cells) -> list[str]:
    """For each pair to compare, the difference of the mean returns over seeds with its 95 % interval."""
    how = (
        "Student's 95 % interval over seeds, paired (the same episodes)"
        if suite.paired
        else "Welch's 95 % interval"
    )
    note = (
        f"Difference of the mean returns over seeds, trained policy with {how} and the end of training with Welch's; "
        "ahead or behind only where the interval leaves 0 out."
    )
    lines = [
        "| | environment | trained policy | verdict | training, last tenth | verdict |",
        "|---|---|---:|---|---:|---|",
    ]
    for first, second in suite.compare:
        for env in environments:
            row = [f"{first} minus {second}", env]
            groups = [cells[env, name] for name in (first, second)]
            if not all(groups):
                continue
            for value in (_evaluated, trained):
                if suite.paired and value is _evaluated:
                    one, other = ({f.spec().seed: _evaluated(f) for f in group} for group in groups)
                    row += paired([one[seed] - other[seed] for seed in one if seed in other])
                else:
                    row += welch(*([value(folder) for folder in group] for group in groups))
            lines.append(f"| {' | '.join(row)} |")
    return [note, "\n".join(lines)]


def _every_run(environments: list[str], cells: Cells) -> str:
    """One CSV line a run, so that others can compute their own statistics."""
    lines = ["environment,entry,seed,steps,evaluated_return,training_return_last_tenth"]
    for (env, name), folders in cells.items():
        for folder in folders if env in environments else []:
            spec = folder.spec()
            numbers = f"{spec.seed},{folder.status()['steps']},{_evaluated(folder):.2f},{trained(folder):.2f}"
            lines.append(f"{env},{name},{numbers}")
    return "\n".join(lines) + "\n"


def provenance(folders: list[RunFolder], steps: int) -> str:
    """What produced the runs, as a list: commands, steps, seeds, versions, commit and dates."""
    seeds = sorted({folder.spec().seed for folder in folders})
    commands = sorted(
        {portable(shlex.split((f.path / "command.txt").read_text(encoding="utf-8"))) for f in folders}
    )
    where = [json.loads((f.path / "versions.json").read_text(encoding="utf-8")) for f in folders]
    found = [", ".join(f"{k} {v}" for k, v in versions.items() if k != "platform") for versions in where]
    commits = {git["commit"][:12] + " (changed)" * git["dirty"] for f in folders if (git := _git(f))}
    budgets = " or ".join(
        f"{n:,}" for n in sorted({f.spec().steps for f in folders} or {steps}, reverse=True)
    )
    dates = {record["date"][:10] for f in folders if (record := read_evaluation(f))}
    lines = [
        f"- Command: {' ; '.join(f'`{command}`' for command in commands)}",
        f"- {budgets} environment steps per run; seeds {', '.join(map(str, seeds))}; {len(folders)} runs",
        f"- Versions: {' ; '.join(sorted(set(found)))}",
        f"- Commit: {', '.join(sorted(commits)) or 'of an installed release'}",
        f"- Date: {' to '.join(sorted(dates)[:: max(1, len(dates) - 1)])}",
        "- Numbers are the mean over seeds, its 95 % bootstrap interval, and the number of seeds.",
    ]
    return "\n".join(lines)


def _git(folder: RunFolder) -> dict[str, Any]:
    path = folder.path / "git.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def _evaluated(folder: RunFolder) -> float:
    record = read_evaluation(folder)
    return float("nan") if record is None else float(record["mean"])


def trained(folder: RunFolder) -> float:
    """Mean training return of the last tenth of the steps; NaN if no episode ended."""
    if not _has_curve(folder):
        return float("nan")
    steps, values = read_curve(folder, "rollout/ep_rew_mean")
    return float(values[steps >= 0.9 * steps[-1]].mean())


def _has_curve(folder: RunFolder) -> bool:
    """Whether an episode ended during the run; in a very short one perhaps none did."""
    return any(row.get("rollout/ep_rew_mean") for row in read_csv(folder.progress))


def _note_evaluated(suite: Suite, cells: Cells) -> str:
    records = [r for group in cells.values() for f in group if (r := read_evaluation(f))]
    episodes = max((record["episodes"] for record in records), default=0)
    training = "the mean return of training episodes, actions sampled, in the last tenth of the steps"
    plain = (
        "simple rules, with intervals over episodes, and published numbers"
        if suite.rules
        else "published numbers"
    )
    how = "the mode of the policy"
    if any(not record["deterministic"] for record in records):
        how += " (by samples where the row says so)"
    return (
        f"Each seed: mean undiscounted, unscaled return over {episodes} episodes of the "
        f"last model, acting by {how}, with frozen normalisers; and {training}. Rows in plain type are {plain}."
    )


def _cell(values: list[float]) -> str:
    known = np.array([v for v in values if np.isfinite(v)])
    if not len(known):
        return "–"
    digits = 0 if abs(known).max() >= 100 else 1
    if len(known) == 1:
        return f"{known[0]:,.{digits}f} (1)"
    interval: Interval = bootstrap_interval(known)
    mean, low, high = (f"{x:,.{digits}f}" for x in (interval.estimate, interval.low, interval.high))
    return f"{mean} [{low}, {high}] ({len(known)})"


def _returns(suite: Suite, env: str, cells: Cells, played: RuleReturns) -> str:
    """Our entries, the rules and the published numbers of one environment, in one table."""
    lines = [f"### {env}", "", "| | trained policy | training, last tenth | source |", "|---|---:|---:|---|"]
    for entry in suite.entries:
        folders = cells[env, entry.name]
        if not folders:
            continue
        evaluated, training = (
            _cell([value(folder) for folder in folders]) for value in (_evaluated, trained)
        )
        spec = folders[0].spec()
        budget = f", {spec.steps:,} steps" if entry.steps else ""
        budget += ", actions sampled" if spec.eval_stochastic else ""
        lines.append(
            f"| **{entry.name}** | {evaluated} | {training} | `{entry.algo}`, recipe `{entry.recipe_on(env)}`{budget} |"
        )
    lines += rule_rows(suite.rules, env, played)
    lines += [
        f"| {row['what']} | {row['value']} | {row.get('training', '')} | {row['source']} |"
        for row in suite.published.get(env, [])
    ]
    return "\n".join(lines)
