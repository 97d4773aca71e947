"""A suite's runs as rows of numbers: what the tables of a results page are made of, and what its CSV holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rlsuite_zoo.files import read_csv
from rlsuite_zoo.report.curves import read_curve
from rlsuite_zoo.runs.evaluation import own_evaluation
from rlsuite_zoo.runs.folder import RunFolder

__all__ = ["Cells", "Row", "Rows", "commit_of", "csv_of_rows", "has_curve", "kept_rows", "rows_of", "trained"]

Cells = dict[tuple[str, str], list[RunFolder]]
"""Finished runs by environment and entry."""
HEADER = "environment,entry,seed,steps,evaluated_return,training_return_last_tenth,commit"


@dataclass(frozen=True)
class Row:
    """Result of a run."""

    seed: int
    steps: int
    """Environment steps the run has taken."""
    evaluated: float
    """Mean return of the trained policy."""
    training: float
    """Mean training return of the last tenth of the steps; NaN if no episode ended."""
    commit: str
    """First twelve digits of the code's commit; "" for an installed release or an older table."""


Rows = dict[tuple[str, str], list[Row]]
"""Rows of the runs by environment and entry."""


def rows_of(cells: Cells) -> Rows:
    """The rows of finished runs."""
    return {key: [_row(folder) for folder in folders] for key, folders in cells.items()}


def kept_rows(path: Path, rows: Rows, budget: Callable[[str, str], int | None]) -> Rows:
    """Rows of the table at `path` whose run is not among `rows`.

    Args:
        path: of the table.
        rows: those at hand.
        budget: environment steps by environment and entry; None for one that the suite has no more. A row of fewer
            steps, or of over a tenth more, is of another budget and is left out.
    """
    kept: Rows = {}
    for line in read_csv(path):
        key, seed, steps = (line["environment"], line["entry"]), int(line["seed"]), int(line["steps"])
        wanted = budget(*key)
        here = {row.seed for row in rows.get(key, [])}
        if wanted is not None and wanted <= steps <= 1.1 * wanted and seed not in here:
            numbers = float(line["evaluated_return"]), float(line["training_return_last_tenth"])
            kept.setdefault(key, []).append(Row(seed, steps, *numbers, line.get("commit", "")))
    return kept


def csv_of_rows(rows: Mapping[tuple[str, str], list[Row]]) -> str:
    """One line a run, so that others can compute their own statistics."""
    lines = [HEADER]
    for (env, name), group in rows.items():
        for row in sorted(group, key=lambda row: row.seed):
            lines.append(f"{env},{name},{row.seed},{row.steps},{row.evaluated:.2f},{row.training:.2f},{row.commit}")
    return "\n".join(lines) + "\n"


def _row(folder: RunFolder) -> Row:
    record = own_evaluation(folder)
    return Row(
        seed=folder.spec().seed,
        steps=int(folder.status()["steps"]),
        evaluated=float("nan") if record is None else float(record["mean"]),
        training=trained(folder),
        commit=commit_of(folder),
    )


def commit_of(folder: RunFolder) -> str:
    """Twelve digits of the code's commit, and whether it was changed; "" of an installed release."""
    path = folder.path / "git.json"
    git = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return git["commit"][:12] + " (changed)" * git["dirty"] if git else ""


def trained(folder: RunFolder) -> float:
    """Mean training return of the last tenth of the steps; NaN if no episode ended."""
    if not has_curve(folder):
        return float("nan")
    steps, values = read_curve(folder, "rollout/ep_rew_mean")
    return float(values[steps >= 0.9 * steps[-1]].mean())


def has_curve(folder: RunFolder) -> bool:
    """Whether an episode ended during the run; in a very short one perhaps none did."""
    return any(row.get("rollout/ep_rew_mean") for row in read_csv(folder.progress))
