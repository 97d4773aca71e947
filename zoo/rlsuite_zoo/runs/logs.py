"""Log formats that survive a restart: Stable-Baselines3's own start their file anew.

A resumed run keeps exactly the rows up to its checkpoint, because the steps after it are taken again.
"""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import KVWriter, Logger, TensorBoardOutputFormat
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter

from rlsuite_zoo.files import write_bytes, write_text
from rlsuite_zoo.runs.folder import RunFolder
from rlsuite_zoo.runs.schema import read_csv_rows

COUNTERS = ("time/iterations", "time/episodes")
"""Columns that go on counting where a resumed run's last row ended."""


class Table:
    """A CSV file that grows row by row, whose header may grow too."""

    def __init__(self, path: Path, up_to_steps: int) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = [dict(r) for r in read_csv_rows(path) if float(r["steps"]) <= up_to_steps]
        self.columns: list[str] = list(dict.fromkeys(key for row in self.rows for key in row))
        self._rewrite()

    def add(self, row: Mapping[str, Any]) -> None:
        """Append one row; a new column makes the file be written again, with empty cells above."""
        self.rows.append(dict(row))
        new = [key for key in row if key not in self.columns]
        if new:
            self.columns += new
            self._rewrite()
            return
        with self.path.open("a", newline="", encoding="utf-8") as file:
            file.write(self._line(row))  # one write, so that a kill cannot tear it

    def _line(self, row: Mapping[str, Any]) -> str:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerow([row.get(key, "") for key in self.columns])
        return buffer.getvalue()

    def _rewrite(self) -> None:
        if self.rows:
            header = {key: key for key in self.columns}
            write_text(self.path, "".join(self._line(row) for row in [header, *self.rows]))
        elif self.path.exists():
            os.remove(self.path)  # left by a run that was killed before its first checkpoint


class ProgressCSV(KVWriter):
    """SB3 log format: progress.csv, led by `steps` and `wall_s` (seconds of training, restarts included)."""

    def __init__(self, folder: RunFolder, up_to_steps: int) -> None:
        self.table = Table(folder.progress, up_to_steps)
        self.wall_before = float(self.table.rows[-1]["wall_s"]) if self.table.rows else 0.0
        self.started = time.perf_counter()
        last = self.table.rows[-1] if self.table.rows else {}
        self.latest: dict[str, float] = {k: float(v) for k, v in last.items() if v and k not in ("steps", "wall_s")}
        # A learner counts from 1 whenever it starts.
        self.counted = {key: self.latest.get(key, 0.0) for key in COUNTERS}

    @property
    def wall_s(self) -> float:
        """Seconds of training so far."""
        return self.wall_before + time.perf_counter() - self.started

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Append the scalars of one dump; a second dump at the same step adds nothing."""
        values = {
            key: float(value) + self.counted.get(key, 0.0)
            for key, value in sorted(key_values.items())
            if isinstance(value, int | float | np.number)
        }
        self.latest |= values
        if self.table.rows and float(self.table.rows[-1]["steps"]) >= step:
            return
        self.table.add({"steps": step, "wall_s": round(self.wall_s, 3), **values})

    def close(self) -> None:
        """Nothing is kept open."""


class ResumableTensorBoard(TensorBoardOutputFormat):
    """SB3's TensorBoard format, without the points after the checkpoint, which a resumed run takes again."""

    def __init__(self, folder: Path, up_to_steps: int) -> None:
        for path in sorted(folder.glob("events.out.tfevents.*")):
            _cut_events(path, up_to_steps)
        self.writer = SummaryWriter(log_dir=str(folder))
        self._is_closed = False


def _cut_events(path: Path, up_to_steps: int) -> None:
    """Keep the points of an event file up to a step, and drop a last one that a kill tore."""
    if up_to_steps == 0:
        path.unlink()  # left by a run that was killed before its first checkpoint
        return
    found = [Event.FromString(raw) for raw in RawEventFileLoader(str(path)).Load()]
    kept = io.BytesIO()
    writer = RecordWriter(kept)
    for event in found:
        if event.step <= up_to_steps:
            writer.write(event.SerializeToString())
    write_bytes(path, kept.getvalue())


def make_logger(folder: RunFolder, up_to_steps: int) -> tuple[Logger, ProgressCSV]:
    """A Stable-Baselines3 logger into a run folder, and its CSV part."""
    table = ProgressCSV(folder, up_to_steps)
    formats: list[KVWriter] = [table]
    try:
        str(folder.path).encode()
    except UnicodeEncodeError:
        print("note: no TensorBoard events are written: the run folder's name cannot be spelt in UTF-8")
    else:
        formats.append(ResumableTensorBoard(folder.path, up_to_steps))
    return Logger(str(folder.path), formats), table
