"""What happens to a run between two updates: progress, checkpoints, evaluations, and stopping when asked."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from rlsuite.core.evaluate import Evaluation
from rlsuite_zoo.errors import Interrupted
from rlsuite_zoo.runs.folder import RunFolder, RunSpec
from rlsuite_zoo.runs.logs import ProgressCSV, Table

STATUS_SECONDS = 0.5
Progress = Callable[[dict[str, Any]], None]
"""Called with the content of status.json."""


class Recorder:
    """The hook between updates, the only moment at which a checkpoint continues to the same bits.

    Args:
        folder: where to write.
        spec: how often.
        save: writes a checkpoint to the path given, atomically.
        evaluate: evaluates the model as it is.
        start: steps done before (a resumed run).
        table: the run's progress.csv.
        progress: told about every status.
    """

    def __init__(
        self,
        folder: RunFolder,
        spec: RunSpec,
        save: Callable[[Path], None],
        evaluate: Callable[[], Evaluation],
        start: int,
        table: ProgressCSV,
        progress: Progress | None = None,
    ) -> None:
        self.folder, self.spec, self.save, self.evaluate = folder, spec, save, evaluate
        self.table, self.progress = table, progress
        self.steps = self.saved_at = self.start = start
        self.evaluations = Table(folder.evaluations, start)
        self.evaluated_at = int(self.evaluations.rows[-1]["steps"]) if self.evaluations.rows else 0
        self.best = max((float(row["mean"]) for row in self.evaluations.rows), default=float("-inf"))
        self.begun, self.status_at = time.perf_counter(), 0.0
        self.parent = os.getppid()
        self.stop_requested = False

    def __call__(self, steps: int) -> None:
        """One update ended at `steps` environment steps.

        Raises:
            Interrupted: a stop was requested; the checkpoint is written.
        """
        self.steps = steps
        # A worker whose launcher was killed would train on unseen, so it stops like one that was asked to.
        stop = self.stop_requested or os.getppid() != self.parent
        if stop or steps // self.spec.checkpoint_every > self.saved_at // self.spec.checkpoint_every:
            self.checkpoint()
        if stop:
            raise Interrupted
        self.evaluate_if_due()
        self.report()

    def checkpoint(self) -> None:
        """Write last.zip."""
        self.save(self.folder.last)
        self.saved_at = self.steps

    def evaluate_if_due(self) -> None:
        """Evaluate at every multiple of `eval_every`; after a resume too, should the run have died before."""
        every = self.spec.eval_every
        if not every or self.steps // every <= self.evaluated_at // every:
            return
        result = self.evaluate()
        self.evaluated_at = self.steps
        interval = result.interval
        self.evaluations.add(
            {
                "steps": self.steps,
                "mean": interval.estimate,
                "low": interval.low,
                "high": interval.high,
                "episodes": len(result.returns),
            }
        )
        if interval.estimate > self.best:
            self.best = interval.estimate
            self.save(self.folder.best)

    def report(self, state: str = "running", **more: Any) -> None:
        """Write status.json, at most twice a second while running."""
        now = time.perf_counter()
        if state == "running" and now - self.status_at < STATUS_SECONDS:
            return
        self.status_at = now
        status = {
            "state": state,
            "steps": self.steps,
            "total": self.spec.steps,
            "steps_per_s": round((self.steps - self.start) / max(now - self.begun, 1e-9), 1),
            "wall_s": round(self.table.wall_s, 1),
            "ep_rew_mean": self.table.latest.get("rollout/ep_rew_mean"),
            **more,
        }
        self.folder.write_status(**status)
        if self.progress is not None:
            self.progress(status)


@contextmanager
def stop_on_signal(recorder: Recorder) -> Iterator[None]:
    """Ctrl-C and SIGTERM let the update end and a checkpoint be written; a second one stops at once."""

    def handle(number: int, frame: FrameType | None) -> None:
        if recorder.stop_requested:
            raise KeyboardInterrupt
        recorder.stop_requested = True
        os.write(2, b"\nstopping after this update, with a checkpoint (again: stop at once)\n")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
