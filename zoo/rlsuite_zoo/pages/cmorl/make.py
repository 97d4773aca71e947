"""`rlsuite results cmorl`: train the suite `cmorl`, play its sets again, write the page from three tables.

Every set is played again on episodes that selected none of its policies (`rlsuite front` keeps these in `RUN/front/`).
The page and its pictures are made of the tables alone, so that with `--keep` rows stay whose runs are gone.
"""

from __future__ import annotations

from pathlib import Path

from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.multi_objective.sets import FrontMeasure, play_front
from rlsuite_zoo.options import PageOptions
from rlsuite_zoo.pages.cmorl.page import write_cmorl
from rlsuite_zoo.pages.cmorl.tables import Run, read_run, read_tables, write_tables
from rlsuite_zoo.pages.suite_page import trained_suite
from rlsuite_zoo.runs import kept
from rlsuite_zoo.runs.folder import RunFolder

__all__ = ["EPISODES", "make_results"]

EPISODES = 20
"""Fresh episodes of each policy."""


def make_results(options: PageOptions) -> None:
    """Train and play what is missing, then write `<out>/cmorl.md`, its tables and pictures.

    Raises:
        UsageError: bad options, or nothing to report. RunFailed: some runs failed. Interrupted: stopped by the user.
    """
    found = trained_suite("cmorl", options)
    measures = {
        (str(folder.path), entry): _measure(folder) for (_, entry), group in found.cells.items() for folder in group
    }
    if not options.report_only:
        kept.play_missing([*measures.values()], play_front, jobs=options.jobs, name=_run_name, what="sets")
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    runs = [run for (path, entry), measure in measures.items() if (run := read_run(RunFolder(path), entry, measure))]
    if not runs:
        raise UsageError("no set was played again; leave --report-only out")
    if len(runs) < len(measures):
        print(f"left out of the tables: {len(measures) - len(runs)} sets that were not played again")
    everything = _joined(runs, read_tables(out, "cmorl", found.budget) if options.keep else [])
    write_tables(out, "cmorl", everything)
    write_cmorl(found, everything, out)
    if found.failure is not None:
        raise found.failure


def _joined(runs: list[Run], older: list[Run]) -> list[Run]:
    """All runs in one order; where a run is in both, that of `runs`."""
    every = {run.key: run for run in [*older, *runs]}
    return [every[key] for key in sorted(every)]


def _measure(folder: RunFolder) -> FrontMeasure:
    spec = folder.spec()
    return FrontMeasure(str(folder.path), EPISODES, float(spec.config["eval_gamma"]), 0, not spec.eval_stochastic)


def _run_name(measure: FrontMeasure) -> str:
    return f"{Path(measure.run).parent.name}/{Path(measure.run).name}"
