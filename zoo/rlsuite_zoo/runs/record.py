"""What happens to a run between two updates: progress, checkpoints, evaluations, and stopping when asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlsuite.core.evaluate import Evaluation
from rlsuite_zoo.errors import Interrupted
from rlsuite_zoo.runs.folder import RunFolder, RunSpec
from rlsuite_zoo.runs.logs import ProgressCSV, Table
from rlsuite_zoo.runs.stopping import Stop

STATUS_SECONDS = 0.5
Progress = Callable[[dict[str, Any]], None]
"""Callback that receives the content of status.json."""


class Recorder:
    """The hook between updates, the only moment at which a checkpoint continues to the same bits.

    Args:
        folder: where to write.
        spec: how often.
        save: writes a checkpoint to the path given, atomically.
        evaluate: evaluates the model as it is.
        start: steps done before (a resumed run).
        table: the run's progress.csv.
        stop: looked at after every update.
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
        stop: Stop,
        progress: Progress | None = None,
    ) -> None:
        self.folder = folder
        self.spec = spec
        self.save = save
        self.evaluate = evaluate
        self.table = table
        self.progress = progress
        self.steps = self.saved_at = self.start = start
        self.evaluations = Table(folder.evaluations, start)
        self.evaluated_at = int(self.evaluations.rows[-1]["steps"]) if self.evaluations.rows else 0
        self.best = max((float(row["mean"]) for row in self.evaluations.rows), default=float("-inf"))
        self.begun = time.perf_counter()
        self.status_at = 0.0
        self.stop = stop

    def __call__(self, steps: int) -> None:
        """One update ended at `steps` environment steps.

        Raises:
            Interrupted: a stop was requested; the checkpoint is written.
        """
        self.steps = steps
        every = self.spec.checkpoint_every
        stop = self.stop.requested
        if stop or steps // every > self.saved_at // every:
            self.checkpoint()
        if stop:
            raise Interrupted
        self.evaluate_if_due()
        self.report()

    def checkpoint(self) -> None:
        """Write last.zip, unless it holds this step."""
        if self.saved_at != self.steps or not self.folder.last.exists():
            self.save(self.folder.last)
            self.saved_at = self.steps

    def end(self, steps: int) -> None:
        """The training ended at `steps`: write last.zip, and evaluate if evaluations were asked for."""
        self.steps = steps
        self.checkpoint()
        if self.evaluated_at != steps and not self.stop.requested:
            self._evaluate()

    def evaluate_if_due(self) -> None:
        """Evaluate at every multiple of `eval_every`; after a resume too, should the run have died before."""
        every = self.spec.eval_every
        if every and self.steps // every > self.evaluated_at // every:
            self._evaluate()

    def _evaluate(self) -> None:
        if not self.spec.eval_every or not self.spec.eval_episodes:
            return
        result = self.evaluate()
        self.evaluated_at = self.steps
        interval = result.interval
        if not self.evaluations.rows or interval.estimate > self.best:
            # In this order a run that is killed in between goes on at or after this step, where it is evaluated again:
            # best.zip is never of a step that the resumed run has yet to reach, nor older than the row that praises it.
            self.best = interval.estimate
            self.checkpoint()
            self.save(self.folder.best)
        self.evaluations.add(
            {
                "steps": self.steps,
                "mean": interval.estimate,
                "low": interval.low,
                "high": interval.high,
                "episodes": len(result.returns),
            }
        )

    def _objectives(self) -> dict[str, list[float]]:
        """Of several objectives, the mean training return of each, over all policies that are trained."""
        latest, means = self.table.latest, list[float]()
        while (value := latest.get(f"rollout/ep_rew_mean_{len(means)}")) is not None:
            means.append(value)
        return {"ep_rew_means": means} if means else {}

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
            **self._objectives(),
            **more,
        }
        self.folder.write_status(**status)
        if self.progress is not None:
            self.progress(status)
