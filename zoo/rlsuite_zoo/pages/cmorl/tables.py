"""What the page of C-MORL is made of: numbers, front and hypervolume over time of every run, as three tables.

Run folders are big and do not last; the tables hold all that the page and its pictures show. Letters: C policies of a
set, K objectives.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from rlsuite.multi_objective import front_indicators, nondominated
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.files import read_csv, write_text
from rlsuite_zoo.multi_objective.sets import FrontMeasure, read_measured, read_set, true_front
from rlsuite_zoo.pages.rows import commit_of
from rlsuite_zoo.runs.folder import RunFolder
from rlsuite_zoo.runs.schema import read_json

__all__ = ["Run", "read_run", "read_tables", "write_tables"]

CURVE_POINTS = 60
"""Most points of a run's curve that are kept."""
ON_THE_FRONT = 1e-6
"""Distance, relative to the objective's size, within which a policy attains a point of the true front."""


@dataclass(frozen=True)
class Run:
    """The numbers of a run; NaN where there is none."""

    environment: str
    entry: str
    seed: int
    budget: int
    """Environment steps asked for."""
    steps: int
    """And taken, up to one update more."""
    measuring_steps: int
    """And those of the measurements that selected."""
    minutes: float
    """Wall-clock time of training."""
    hypervolume: float
    """Of the set, by the returns that selected it."""
    utility: float
    """Expected utility over the usual grid of weights, likewise."""
    first_hypervolume: float
    """As `hypervolume`, when stage 1 ended."""
    fresh_hypervolume: float
    """Of the set, by episodes that selected none of it."""
    fresh_utility: float
    fresh_error: float
    """Relative error of `fresh_hypervolume`; 0 for an exact one."""
    policies: int
    """Of the set."""
    attained: int
    """Points of the true front that the set attains; -1 where the front is not known."""
    conditions: str
    """What the fresh numbers depend on, in words."""
    versions: str
    commit: str
    front: np.ndarray
    """Fresh mean returns [C, K] of the policies that no other one dominates."""
    curve: np.ndarray
    """Steps, minutes and hypervolume [*, 3] over training."""

    @property
    def key(self) -> tuple[str, str, int]:
        """Environment, entry and seed."""
        return self.environment, self.entry, self.seed


ARRAYS = ("front", "curve")
NUMBERS = tuple(field for field in fields(Run) if field.name not in ARRAYS)


def read_run(folder: RunFolder, entry: str, measure: FrontMeasure) -> Run | None:
    """The numbers of a finished run; None if its set was not played again.

    Raises:
        UsageError: its recipe gives no reference point, so that hypervolumes of seeds could not be compared.
    """
    fresh = read_measured(measure)
    if fresh is None:
        return None
    one = read_set(folder, entry)
    reference = one.spec.config.get("reference")
    if reference is None:
        raise UsageError(f"{folder.path} has no reference point of its recipe; give it one, reference=[...]")
    common: dict[str, Any] = {"gamma": one.gamma, "episode_limit": one.task.limit, "allow_zero": True}
    chosen = front_indicators(one.selected, reference, episodes=one.episodes, deterministic=True, **common)
    episodes = fresh.discounted.shape[1]
    found = front_indicators(fresh.points, reference, episodes=episodes, deterministic=fresh.deterministic, **common)
    curve, first = _curve(folder)
    return Run(
        environment=one.spec.env,
        entry=entry,
        seed=one.spec.seed,
        budget=one.spec.steps,
        steps=one.steps,
        measuring_steps=one.measuring_steps,
        minutes=float(folder.status().get("wall_s", np.nan)) / 60,
        hypervolume=chosen.hypervolume,
        utility=chosen.expected_utility,
        first_hypervolume=first,
        fresh_hypervolume=found.hypervolume,
        fresh_utility=found.expected_utility,
        fresh_error=found.hypervolume_error,
        policies=len(one.selected),
        attained=_attained(one.spec, fresh.points, one.gamma),
        conditions=found.conditions,
        versions=_versions(folder),
        commit=commit_of(folder),
        front=fresh.points[nondominated(fresh.points)],
        curve=curve,
    )


def _attained(spec: Any, points: np.ndarray, gamma: float) -> int:
    """Points of the environment's true front that are among `points` [C, K]; -1 where it knows none."""
    try:
        known = true_front(spec, gamma)
    except UsageError:
        return -1
    gaps = np.abs(points[:, None] - known).max(2)
    return int((gaps.min(0) <= ON_THE_FRONT * np.maximum(1.0, np.abs(known).max(1))).sum())


def _curve(folder: RunFolder) -> tuple[np.ndarray, float]:
    """Steps, minutes and hypervolume [*, 3] over training, and the hypervolume at the end of stage 1."""
    rows = [row for row in read_csv(folder.progress) if row.get("train/hypervolume")]
    if not rows:
        return np.zeros((0, 3)), float("nan")
    columns = ("steps", "wall_s", "train/hypervolume")
    found = np.array([[float(row[name]) for name in columns] for row in rows])
    found[:, 1] /= 60
    first = [i for i, row in enumerate(rows) if float(row.get("train/stage") or 1) == 1]
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), CURVE_POINTS)).astype(int))
    return found[chosen], float(found[first[-1], 2]) if first else float("nan")


def _versions(folder: RunFolder) -> str:
    found = read_json(folder.path / "versions.json")
    return ", ".join(f"{name} {found[name]}" for name in found if name != "platform")


def read_tables(out: Path, name: str, wanted: Callable[[str, str], int | None]) -> list[Run]:
    """The runs of tables that an earlier page was made of.

    Args:
        out: folder of the page.
        name: of the tables: `<name>.csv`, `<name>-fronts.csv`, `<name>-curves.csv`.
        wanted: environment steps by environment and entry; None for one that the page has no more. A run that was
            asked for more or fewer is left out.
    """
    arrays: dict[str, dict[tuple[str, str, int], list[list[float]]]] = {}
    for array in ARRAYS:
        found = arrays.setdefault(array, {})
        for row in read_csv(out / f"{name}-{array}s.csv"):
            key = row["environment"], row["entry"], int(row["seed"])
            found.setdefault(key, []).append([float(x) for x in row["values"].split()])
    runs = []
    for row in read_csv(out / f"{name}.csv"):
        if wanted(row["environment"], row["entry"]) != int(row["budget"]):
            continue
        kinds: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "str": str}
        values = {field.name: kinds[str(field.type)](row[field.name]) for field in NUMBERS}
        key = values["environment"], values["entry"], values["seed"]
        front, curve = (np.array(arrays[array].get(key, [])) for array in ARRAYS)
        runs.append(Run(**values, front=front, curve=curve.reshape(-1, 3)))
    return runs


def write_tables(out: Path, name: str, runs: Sequence[Run]) -> None:
    """The three tables."""
    lines = [[_text(getattr(run, field.name)) for field in NUMBERS] for run in runs]
    write_text(out / f"{name}.csv", _csv([field.name for field in NUMBERS], lines))
    for array in ARRAYS:
        rows = [[*map(str, run.key), " ".join(f"{x:.7g}" for x in row)] for run in runs for row in getattr(run, array)]
        write_text(out / f"{name}-{array}s.csv", _csv(["environment", "entry", "seed", "values"], rows))


def _text(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows([header, *rows])
    return file.getvalue()
