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

import numpy as np

from rlsuite.core.statistics import Interval, bootstrap_interval
from rlsuite_zoo.errors import UsageError, unknown
from rlsuite_zoo.files import write_text
from rlsuite_zoo.options import PageOptions
from rlsuite_zoo.pages.rows import (
    Cells,
    Row,
    Rows,
    commit_of,
    csv_of_rows,
    has_curve,
    kept_rows,
    rows_of,
    trained,
)
from rlsuite_zoo.pages.rules import RuleReturns, play_rules, rule_rows, tables_beside_rules
from rlsuite_zoo.pages.suite import Entry, Suite, load_suite
from rlsuite_zoo.provenance import portable
from rlsuite_zoo.report.curves import plot_runs
from rlsuite_zoo.report.differences import budgets_apart, paired, tally, welch
from rlsuite_zoo.report.paged import write_paged
from rlsuite_zoo.runs.evaluation import own_evaluation
from rlsuite_zoo.runs.folder import RunFolder, RunSpec
from rlsuite_zoo.runs.launch import RunFailed, launch_missing
from rlsuite_zoo.runs.recipe import parse_count, parse_seeds
from rlsuite_zoo.runs.spec import make_spec, safe_name


@dataclass(frozen=True)
class Trained:
    """A suite's runs, those asked for and finished."""

    suite: Suite
    environments: list[str]
    seeds: list[int]
    steps: int
    """Environment steps of a run that has no budget of its own."""
    root: Path
    cells: Cells
    failure: RunFailed | None
    """Failure of some of the runs; to be raised once the page of the others is written."""

    def budget(self, env: str, name: str) -> int | None:
        """Environment steps of an entry's runs; None if the suite has no such entry or environment."""
        entry = self.suite.entry(env, name)
        return None if entry is None else entry.budget(env, self.steps)


def trained_suite(name: str, options: PageOptions) -> Trained:
    """Train what is missing of a suite (unless `report_only`).

    Raises:
        UsageError: bad options, or nothing to report. RunFailed: all runs failed.
    """
    suite = load_suite(name)
    numbers = parse_seeds(options.seeds) if options.seeds else suite.seeds
    total = parse_count(options.steps, "--steps") if options.steps else suite.steps
    environments = [env.strip() for env in options.only.split(",")] if options.only else suite.environments
    for env in environments:
        if env not in suite.environments:
            raise unknown(f"environment of the suite {name}", env, suite.environments)
    root = Path(options.runs) / name / f"{total}-steps"
    failure: RunFailed | None = None
    if not options.report_only:
        todo = [f for f in _prepare(suite, environments, numbers, total, root) if not f.finished]
        failure = launch_missing(todo, options.jobs, root)
    cells = finished_runs(suite, environments, numbers, root)
    if options.report_only:  # else _prepare has looked
        for (env, name), group in cells.items():
            entry = suite.entry(env, name)
            assert entry is not None  # the cells are those of its entries
            for folder in group:
                check_same(folder, _spec(suite, env, entry, folder.spec().seed, total))
    if not any(cells.values()):
        if failure is not None:
            raise failure
        raise UsageError(f"no finished run in {root} to report; leave --report-only out to train them")
    return Trained(suite, environments, numbers, total, root, cells, failure)


def make_results(options: PageOptions) -> None:
    """Train what is missing (unless `report_only`), then write `<out>/<suite>.md` and its pictures.

    The page is written from what finished even when some runs failed.

    With `keep`, rows of `<out>/<suite>.csv` whose run is not in `runs` stay in the tables.

    Raises:
        UsageError: bad options, or nothing to report. RunFailed: some runs failed.
    """
    found = trained_suite(options.page, options)
    write_page(found, Path(options.out), keep=options.keep)
    if found.failure is not None:
        raise found.failure


def _folder(root: Path, env: str, entry: Entry, seed: int) -> RunFolder:
    return RunFolder(root / safe_name(env) / f"{safe_name(entry.algo)}-{entry.recipe_on(env)}" / f"seed{seed}")


def _prepare(suite: Suite, environments: list[str], seeds: list[int], steps: int, root: Path) -> list[RunFolder]:
    """All run folders, seed by seed, so that an interrupted suite has comparable entries."""
    folders = []
    for seed in seeds:
        for env in environments:
            for entry in suite.on(env):
                if not entry.seeds_of([seed]):
                    continue
                folder, spec = _folder(root, env, entry, seed), _spec(suite, env, entry, seed, steps)
                if folder.config.exists():
                    check_same(folder, spec)
                else:
                    RunFolder.create(folder.path, spec)
                folders.append(folder)
    return folders


def _spec(suite: Suite, env: str, entry: Entry, seed: int, steps: int) -> RunSpec:
    return make_spec(
        entry.algo,
        env,
        seed=seed,
        steps=str(entry.budget(env, steps)),
        recipe=entry.recipe_on(env),
        eval_episodes=suite.eval_episodes,
    )


def check_same(folder: RunFolder, wanted: RunSpec) -> None:
    """Raise if a run was made with other settings than its suite has now; settings it does not know are its defaults.

    Raises:
        UsageError: names the first setting that differs, and the remedy.
    """
    made = folder.spec()
    pairs = [(name, getattr(made, name), getattr(wanted, name)) for name in ("steps", "num_envs", "env_kwargs")]
    pairs += [(name, made.config[name], value) for name, value in wanted.config.items() if name in made.config]
    for name, old, new in pairs:
        if json.dumps(old) != json.dumps(new):
            raise UsageError(
                f"{folder.path} was made with {name} {old}, its recipe or suite now has {new}; move it away, or give "
                "another --runs"
            )


def finished_runs(suite: Suite, environments: list[str], seeds: list[int], root: Path) -> Cells:
    """The finished runs of every cell of the tables."""
    return {
        (env, entry.name): [f for f in (_folder(root, env, entry, seed) for seed in seeds) if f.finished]
        for env in environments
        for entry in suite.on(env)
    }


DETAIL = ("Beside simple rules", "Under attack", "Returns", "Mass and friction", "Under forces")
"""Sections that leave a page which is too long, in this order."""


def write_page(
    found: Trained, out: Path, more: Sequence[str] = (), *, keep: bool = False, findings: Sequence[str] = ()
) -> None:
    """The page and one picture of learning curves; rules play first, their returns are kept with the runs.

    Args:
        found: the runs.
        out: folder of the page.
        more: further parts, which come before the curves.
        keep: let rows of the former table stay whose runs are not among `found`.
        findings: text below the title; without, who is ahead.
    """
    out.mkdir(parents=True, exist_ok=True)
    suite, environments, cells = found.suite, found.environments, found.cells
    rows, table = rows_of(cells), out / f"{suite.name}.csv"
    kept = kept_rows(table, rows, found.budget) if keep else {}
    every = {key: sorted([*rows.get(key, []), *kept.get(key, [])], key=lambda r: r.seed) for key in rows | kept}
    rows = {key: every[key] for key in rows}  # those of the environments on the page
    first = {(f.spec().env, f.spec().seed): f.spec() for group in cells.values() for f in group}
    played = play_rules(suite.rules, [first[key] for key in sorted(first)], found.root / "rules")
    parts = [
        f"# {suite.title}",
        suite.about,
        provenance([f for group in cells.values() for f in group], found.steps),
    ]
    if shown := [row for key, group in kept.items() if key in rows for row in group]:
        parts[-1] += "\n" + _of_kept(shown)
    parts += ["## Returns", _note_evaluated(suite, cells)]
    parts += [_returns(found, env, rows, played) for env in environments]
    if suite.rules:
        by_entry = {
            env: {e.name: group for e in suite.on(env) if (group := cells[env, e.name])} for env in environments
        }
        parts += ["## Beside simple rules", *tables_beside_rules(suite.rules, by_entry, played, trained)]
    if suite.compare:
        text, ahead = _differences(suite, environments, rows)
        parts += ["## Who is ahead", *text]
        findings = findings or tally(ahead)[:3]
    parts += more
    picture = out / f"{suite.name}.png"
    paths = [str(folder.path) for folders in cells.values() for folder in folders if has_curve(folder)]
    entries = {str(folder.path): entry for (_, entry), folders in cells.items() for folder in folders}
    if paths:
        plot_runs(paths, picture, quiet=True, labels=entries)
        parts += ["## Learning curves", f"![learning curves]({picture.name})"]
    write_text(table, csv_of_rows(every))
    page = out / f"{suite.name}.md"
    write_paged(page, "\n\n".join(parts), findings, detail=DETAIL)
    print(f"wrote {page} and {picture}")


def _of_kept(kept: list[Row]) -> str:
    commits = ", ".join(sorted({row.commit for row in kept} - {""})) or "not noted"
    return (
        f"- {len(kept)} further runs are rows kept from this page's earlier table (commit: {commits}); their folders "
        "were not at hand, and no curves of them are drawn."
    )


def _differences(suite: Suite, environments: list[str], rows: Rows) -> tuple[list[str], list[tuple[str, str]]]:
    """For each pair to compare, the difference of the mean returns over seeds with its 95 % interval; and verdicts."""
    how = "Student's 95 % interval over seeds, paired (the same episodes)" if suite.paired else "Welch's 95 % interval"
    note = (
        f"Difference of the mean returns over seeds, trained policy with {how} and the end of training with Welch's; "
        "ahead or behind only where the interval leaves 0 out; runs of unlike numbers of steps are not compared."
    )
    verdicts = []
    lines = [
        "| | environment | trained policy | verdict | training, last tenth | verdict |",
        "|---|---|---:|---|---:|---|",
    ]
    for first, second in suite.compare:
        for env in environments:
            groups = [rows.get((env, name), []) for name in (first, second)]
            if not all(groups):
                continue
            if suite.paired:
                one, other = ({row.seed: row.evaluated for row in group} for group in groups)
                evaluated = paired([one[seed] - other[seed] for seed in one if seed in other])
            else:
                evaluated = welch(*([row.evaluated for row in group] for group in groups))
            training = welch(*([row.training for row in group] for group in groups))
            if apart := budgets_apart(*([row.steps for row in group] for group in groups)):
                evaluated, training = (evaluated[0], apart), (training[0], apart)
            else:
                verdicts.append((f"{first} minus {second}", evaluated[1]))
            lines.append(f"| {' | '.join([f'{first} minus {second}', env, *evaluated, *training])} |")
    return [note, "\n".join(lines)], verdicts


def provenance(folders: list[RunFolder], steps: int) -> str:
    """What produced the runs, as a list: commands, steps, seeds, versions, commit and dates."""
    seeds = sorted({folder.spec().seed for folder in folders})
    commands = sorted({portable(shlex.split((f.path / "command.txt").read_text(encoding="utf-8"))) for f in folders})
    where = [json.loads((f.path / "versions.json").read_text(encoding="utf-8")) for f in folders]
    found = [", ".join(f"{k} {v}" for k, v in versions.items() if k != "platform") for versions in where]
    commits = {commit for f in folders if (commit := commit_of(f))}
    budgets = " or ".join(f"{n:,}" for n in sorted({f.spec().steps for f in folders} or {steps}, reverse=True))
    dates = {record["date"][:10] for f in folders if (record := own_evaluation(f))}
    lines = [
        f"- Command: {' ; '.join(f'`{command}`' for command in commands)}",
        f"- {budgets} environment steps per run; seeds {', '.join(map(str, seeds))}; {len(folders)} runs",
        f"- Versions: {' ; '.join(sorted(set(found)))}",
        f"- Commit: {', '.join(sorted(commits)) or 'of an installed release'}",
        f"- Date: {' to '.join(sorted(dates)[:: max(1, len(dates) - 1)])}",
        "- Numbers are the mean over seeds, its 95 % bootstrap interval (too narrow with few seeds: it covers some "
        "85 % with five, 50 % with two), and the number of seeds.",
    ]
    return "\n".join(lines)


def _note_evaluated(suite: Suite, cells: Cells) -> str:
    records = [r for group in cells.values() for f in group if (r := own_evaluation(f))]
    episodes = max((record["episodes"] for record in records), default=0)
    training = "the mean return of training episodes, actions sampled, in the last tenth of the steps"
    plain = "simple rules, with intervals over episodes, and published numbers" if suite.rules else "published numbers"
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


def _returns(found: Trained, env: str, rows: Rows, played: RuleReturns) -> str:
    """Our entries, the rules and the published numbers of one environment, in one table."""
    suite = found.suite
    lines = [f"### {env}", "", "| | trained policy | training, last tenth | source |", "|---|---:|---:|---|"]
    for entry in suite.on(env):
        group = rows[env, entry.name]
        if not group:
            continue
        evaluated, training = _cell([row.evaluated for row in group]), _cell([row.training for row in group])
        budget = f", {entry.budget(env, found.steps):,} steps" if entry.steps else ""
        budget += ", actions sampled" * any(f.spec().eval_stochastic for f in found.cells[env, entry.name])
        lines.append(
            f"| **{entry.name}** | {evaluated} | {training} | `{entry.algo}`, recipe `{entry.recipe_on(env)}`{budget} |"
        )
    lines += rule_rows(suite.rules, env, played)
    lines += [
        f"| {row['what']} | {row['value']} | {row.get('training', '')} | {row['source']} |"
        for row in suite.published.get(env, [])
    ]
    return "\n".join(lines)
