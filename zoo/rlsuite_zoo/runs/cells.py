"""Independent pieces of a long computation, side by side in processes, with progress; what is done stays done.

The caller's function plays one cell and keeps its outcome in a file of its own, so that a stopped computation goes on
where it was.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from rlsuite_zoo.errors import Interrupted
from rlsuite_zoo.runs.launch import ONE_THREAD
from rlsuite_zoo.runs.stopping import end_with_parent

__all__ = ["run_cells"]

LINE_SECONDS = 30.0
Cell = TypeVar("Cell")


def run_cells(play: Callable[[Cell], object], cells: Sequence[Cell], jobs: int, name: Callable[[Cell], str]) -> None:
    """Play cells, `jobs` at a time; each is on the disk when it is done.

    Args:
        play: plays one cell on one torch thread and keeps it; can be pickled, like the cells.
        cells: in the order in which they start.
        jobs: processes; one plays here.
        name: of a cell, for the progress bar.

    Raises:
        Interrupted: stopped by the user.
    """
    if not cells:
        return
    with _Progress(len(cells)) as progress:
        if min(jobs, len(cells)) == 1:
            for cell in cells:
                progress.step(name(cell), _timed(play, cell))
            return
        before = {variable: os.environ.get(variable) for variable in ONE_THREAD}
        os.environ.update(dict.fromkeys(ONE_THREAD, "1"))  # the workers' arithmetic; read when they start
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(min(jobs, len(cells)), mp_context=context, initializer=_begin_worker)
        try:
            futures: dict[Future[float], Cell] = {pool.submit(_timed, play, cell): cell for cell in cells}
            for future in as_completed(futures):
                progress.step(name(futures[future]), future.result())
        except KeyboardInterrupt as error:
            print("stopping once the cells now played are done; the same command goes on with the others")
            raise Interrupted from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            for variable, value in before.items():
                if value is None:
                    os.environ.pop(variable, None)
                else:
                    os.environ[variable] = value


def _timed(play: Callable[[Cell], object], cell: Cell) -> float:
    """Seconds that a cell took."""
    torch.set_num_threads(1)  # two are slower with small networks, and the other cores have cells of their own
    begun = time.perf_counter()
    play(cell)
    return time.perf_counter() - begun


def _begin_worker() -> None:
    """In a worker: Ctrl-C reaches every process of the terminal, the parent alone answers it; no parent, no work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


class _Progress:
    """A bar on a terminal, a line now and then elsewhere."""

    def __init__(self, total: int) -> None:
        self.console = Console(stderr=True)
        self.total = total
        self.done = 0
        self.said = 0.0
        columns = (TextColumn("{task.description}"), BarColumn(28), MofNCompleteColumn())
        self.bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=self.console)
        self.task = self.bar.add_task("cells", total=total)

    def __enter__(self) -> _Progress:
        if self.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.bar.stop()

    def step(self, name: str, seconds: float) -> None:
        """One more is done."""
        self.done += 1
        self.bar.update(self.task, advance=1, description=name)
        due = time.monotonic() - self.said > LINE_SECONDS or self.done == self.total
        if not self.console.is_terminal and due:
            self.said = time.monotonic()
            self.console.print(f"{self.done}/{self.total} cells, last {name} ({seconds:.1f} s)", highlight=False)
