"""Evaluations as records."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from rlsuite.core.evaluate import Evaluation
from rlsuite_zoo.run_folder import versions


def evaluation_record(
    result: Evaluation, checkpoint: Path, *, deterministic: bool, seed: int | None
) -> dict[str, Any]:
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
