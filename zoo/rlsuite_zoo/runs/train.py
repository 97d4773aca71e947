"""Run one run folder: fresh or resumed, to its end."""

from __future__ import annotations

import time
import traceback
from pathlib import Path
from typing import Any

import torch

from rlsuite_zoo.errors import Interrupted, UsageError, place_of
from rlsuite_zoo.files import write_json
from rlsuite_zoo.provenance import versions
from rlsuite_zoo.runs.evaluation import evaluation_record, other_mode
from rlsuite_zoo.runs.folder import RunFolder, RunSpec
from rlsuite_zoo.runs.lease import lease
from rlsuite_zoo.runs.logs import make_logger
from rlsuite_zoo.runs.models import Model, evaluate_policy, make_model
from rlsuite_zoo.runs.record import Progress, Recorder
from rlsuite_zoo.runs.schema import RunFolderError, read_json
from rlsuite_zoo.runs.stopping import Stop, stop_on_signal


def run(folder: RunFolder, *, threads: int = 0, progress: Progress | None = None) -> None:
    """Train the run of this folder from its last checkpoint (or the start) to its steps, then evaluate it.

    Killed at any moment, another call goes on from the last checkpoint; progress.csv keeps exactly the rows
    up to it.

    Args:
        folder: made by `RunFolder.create`.
        threads: of the environment's engine; 0 for all cores.
        progress: told about every status.

    Raises:
        InUse: another process runs it. Interrupted: asked to stop; a checkpoint is written.
        Exception: whatever the training raised; status.json names it and the last checkpoint is left as it
            was.
    """
    torch.set_num_threads(1)  # the agents choose their own number while they learn
    made: list[Model] = []
    with lease(folder.path):
        spec = folder.spec()
        if folder.last.exists():
            _note_versions(folder)
        try:
            with stop_on_signal(stop := Stop()):
                _run(folder, spec, threads, progress, stop, made)
        finally:
            for model in made:
                model.close()


def _run(
    folder: RunFolder, spec: RunSpec, threads: int, progress: Progress | None, stop: Stop, made: list[Model]
) -> None:
    """`run` while signals are handled; `made` takes the model, for the caller to close."""
    recorder: Recorder | None = None
    try:
        checkpoint = folder.last if folder.last.exists() else None
        try:
            model = make_model(spec, threads=threads, checkpoint=checkpoint)
        except UsageError as error:
            if checkpoint is None:
                raise
            raise RunFolderError(f"{folder.config}: {error}") from error  # it was legal when the run began
        made.append(model)
        start = model.num_timesteps
        logger, table = make_logger(folder, start)
        policy = model.policy()
        recorder = Recorder(
            folder,
            spec,
            model.save,
            lambda: evaluate_policy(policy, spec, spec.eval_episodes, deterministic=not spec.eval_stochastic),
            start,
            table,
            stop,
            progress,
        )
        stop.waits = True
        recorder.evaluate_if_due()
        recorder.report()
        model.train(spec.steps, logger, recorder)
        recorder.end(model.num_timesteps)
        stop.waits = False  # the trained model is on the disk; what follows can be done again
        if stop.requested:
            raise Interrupted
        logger.close()
        evaluation = _final_evaluation(folder, spec, policy, table.latest.get("rollout/ep_rew_mean"))
        stop.ending = True
        recorder.report("finished", evaluation=evaluation)
    except (Interrupted, KeyboardInterrupt):
        stop.ending = True
        _report_stop(folder, spec, recorder, "interrupted", "stopped by the user")
        raise
    except BaseException as error:
        stop.ending = True
        with folder.log.open("a", encoding="utf-8", errors="backslashreplace") as log:
            traceback.print_exception(error, file=log)
        _report_stop(folder, spec, recorder, "failed", f"{type(error).__name__}: {error}{place_of(error)}")
        raise


def _report_stop(folder: RunFolder, spec: RunSpec, recorder: Recorder | None, state: str, error: str) -> None:
    last = str(folder.last) if folder.last.exists() else None
    if recorder is not None:
        recorder.report(state, error=error, checkpoint=last)
    else:
        folder.write_status(state=state, steps=0, total=spec.steps, error=error, checkpoint=last)


def _final_evaluation(folder: RunFolder, spec: RunSpec, policy: Any, training: float | None) -> float | None:
    """The mean return of the trained model, or None without episodes; `training` is that of the last training ones."""
    if not spec.eval_episodes:
        return None
    begin = time.perf_counter()
    mode = not spec.eval_stochastic
    result = evaluate_policy(policy, spec, spec.eval_episodes, deterministic=mode)
    record = evaluation_record(result, folder.last, deterministic=mode, seed=None)
    if other := other_mode(policy, spec, result, training, deterministic=mode, seed=None):
        record["other_mode"] = other
    write_json(folder.evaluation, {**record, "seconds": round(time.perf_counter() - begin, 2)})
    return result.interval.estimate


def _note_versions(folder: RunFolder) -> None:
    """Say so when a resumed run goes on with other packages, since equality of bits ends there."""
    path = folder.path / "versions.json"
    try:
        before = read_json(path)
    except FileNotFoundError:
        raise RunFolderError(f"{path} cannot be read (it is missing); restore it or train again") from None
    changed = [f"{k} {before.get(k)} -> {v}" for k, v in versions().items() if before.get(k) != v]
    if changed:
        print(f"note: {folder.path} was begun with other versions and goes on, not bit for bit: " + "; ".join(changed))


def checkpoint_hint(folder: RunFolder) -> str:
    """Hint with the path of a stopped run's last good model, and how to go on."""
    last: Path = folder.last
    if not last.exists():
        return f"no checkpoint yet; start again with: rlsuite train --resume {folder.path}"
    return f"last checkpoint: {last}; go on with: rlsuite train --resume {folder.path}"
