"""Evaluations of runs as records: what evaluation.json holds."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from rlsuite.core.evaluate import Evaluation
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.provenance import versions
from rlsuite_zoo.runs.folder import RunFolder, RunSpec
from rlsuite_zoo.runs.models import evaluate_policy
from rlsuite_zoo.runs.schema import EVALUATION, check_fields, read_json

__all__ = ["evaluation_record", "mode_hint", "other_mode", "own_evaluation", "read_evaluation"]

OTHER_EPISODES = 10
"""Episodes of the other way to act (mode or sampled), where that is compared."""
FEWEST_EPISODES = 5
"""Fewest episodes whose intervals can tell two returns apart; over fewer they are too narrow."""


def evaluation_record(result: Evaluation, checkpoint: Path, *, deterministic: bool, seed: int | None) -> dict[str, Any]:
    """Content of evaluation.json.

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
        **({} if result.objectives is None else {"objectives": result.objectives.tolist(), "weights": result.weights}),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions(),
    }


def read_evaluation(folder: RunFolder) -> dict[str, Any] | None:
    """evaluation.json, or None.

    Raises:
        RunFolderError: it is not what rlsuite writes; names file, field and value.
    """
    try:
        record = read_json(folder.evaluation)
    except FileNotFoundError:
        return None
    check_fields(folder.evaluation, record, EVALUATION, needed=("episodes", "mean", "low", "high"))
    return record


def own_evaluation(folder: RunFolder) -> dict[str, Any] | None:
    """evaluation.json as the run itself writes it at its end, which alone may be averaged with other seeds'.

    Raises:
        UsageError: `rlsuite evaluate` has replaced it by one of another checkpoint, seed, mode or number of episodes.
    """
    record, spec = read_evaluation(folder), folder.spec()
    if record is None:
        return None
    wanted = {
        "checkpoint": folder.last.name,
        "seed": None,
        "deterministic": not spec.eval_stochastic,
        "episodes": spec.eval_episodes,
    }
    for name, value in wanted.items():
        if record.get(name, value) != value:
            raise UsageError(
                f"{folder.evaluation} is not the run's own evaluation: {name} is {record[name]!r}, not {value!r}; "
                f"write it again with: rlsuite evaluate {folder.path} --episodes {spec.eval_episodes}"
            )
    return record


def other_mode(
    policy: Any, spec: RunSpec, result: Evaluation, training: float | None, *, deterministic: bool, seed: int | None
) -> dict[str, Any] | None:
    """The return of the other way to act (samples for the mode, or the mode), where it is clearly another.

    It is played only where the training return gives a reason: it lies outside the evaluation's interval.

    Args:
        policy: that was evaluated.
        spec: of its run.
        result: of the evaluation.
        training: mean return of the last training episodes; None without one.
        deterministic: whether the evaluation took the distribution's mode.
        seed: of the evaluation; None for the run's own.

    Returns:
        mean, low, high, episodes and deterministic of the other way; None where the two 95 % intervals meet.
    """
    mine = result.interval
    few = min(len(result.returns), OTHER_EPISODES) < FEWEST_EPISODES
    if few or training is None or mine.low <= training <= mine.high:
        return None
    options = {} if seed is None else {"seed": seed}
    episodes = min(len(result.returns), OTHER_EPISODES)
    found = evaluate_policy(policy, spec, episodes, deterministic=not deterministic, **options).interval
    if found.low <= mine.high and mine.low <= found.high:
        return None
    numbers = {"mean": float(found.estimate), "low": float(found.low), "high": float(found.high)}
    return {**numbers, "episodes": episodes, "deterministic": not deterministic}


def mode_hint(record: dict[str, Any]) -> str | None:
    """One line on an evaluation whose other way to act is clearly better or worse; None on others."""
    other = record.get("other_mode")
    if not other:
        return None
    ways = {True: "the distribution's mode", False: "sampled actions"}
    better = not other["deterministic"] and other["mean"] > record["mean"]
    hint = "; `rlsuite evaluate --stochastic` judges by these" if better else ""
    return (
        f"{ways[record['deterministic']]}: return {record['mean']:,.1f}, {ways[other['deterministic']]}: "
        f"{other['mean']:,.1f} [{other['low']:,.1f}, {other['high']:,.1f}] in {other['episodes']} episodes{hint}"
    )
