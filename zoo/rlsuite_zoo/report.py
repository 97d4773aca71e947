"""Evaluations as records; numbers, intervals and provenance as reports show them."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np

from rlsuite.core.evaluate import Evaluation
from rlsuite.core.statistics import Interval
from rlsuite_zoo.run_folder import COMMAND, git_state, portable, versions


def evaluation_record(result: Evaluation, checkpoint: Path, *, deterministic: bool, seed: int | None) -> dict[str, Any]:
    """What evaluation.json holds.

    Args:
        result: returns [E] and lengths [E] of E episodes, undiscounted and unscaled.
        checkpoint: the model evaluated.
        deterministic: the distribution's mode instead of samples.
        seed: of the episodes; None for the run's own.
    """
    interval = result.interval
    return {
        "episodes": len(result.returns),
        "mean": float(interval.estimate),
        "low": float(interval.low),
        "high": float(interval.high),
        "interval": "95 % bootstrap over episodes",
        "deterministic": deterministic,
        "seed": seed,
        "checkpoint": checkpoint.name,
        "returns": [float(x) for x in result.returns],
        "lengths": [int(x) for x in result.lengths],
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions(),
    }


def provenance_of() -> dict[str, str]:
    """What makes a page now: command, date, versions and commit."""
    return {
        "command": portable(COMMAND),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": ", ".join(f"{k} {v}" for k, v in versions().items()),
        "commit": str(git_state().get("commit", "of an installed release"))[:12],
    }


def rounded_down(value: float, digits: int) -> str:
    """A lower bound as text that promises no more than it."""
    return f"{np.floor(value * 10**digits) / 10**digits:,.{digits}f}"


def numbers_of(interval: Interval | None) -> dict[str, float] | None:
    """An interval as JSON."""
    if interval is None:
        return None
    return {"mean": interval.estimate, "low": interval.low, "high": interval.high, "n": interval.n}


def cell_text(interval: Interval | None) -> str:
    """Estimate and interval, for tables."""
    if interval is None:
        return "–"
    digits = 0 if abs(interval.estimate) >= 100 else 1
    mean, low, high = (f"{x:,.{digits}f}" for x in (interval.estimate, interval.low, interval.high))
    return f"{mean} [{low}, {high}]"
