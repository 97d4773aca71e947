"""Evaluations of runs as records: what evaluation.json holds."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

from rlsuite.core.evaluate import Evaluation
from rlsuite_zoo.provenance import versions
from rlsuite_zoo.runs.folder import RunFolder

__all__ = ["evaluation_record", "read_evaluation"]


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


def read_evaluation(folder: RunFolder) -> dict[str, Any] | None:
    """evaluation.json, or None."""
    if not folder.evaluation.exists():
        return None
    record: dict[str, Any] = json.loads(folder.evaluation.read_text(encoding="utf-8"))
    return record
