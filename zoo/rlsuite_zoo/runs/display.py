"""Progress of several runs: bars on a terminal, a line now and then in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

LINE_SECONDS = 30.0
WIDE = 160


def out_console() -> Console:
    """Console for tables: as wide as the terminal, wider into a pipe, since nobody greps cut lines."""
    return Console(width=None if sys.stdout.isatty() else WIDE, soft_wrap=True)


def returns_text(means: Sequence[float]) -> str:
    """Mean returns of several objectives, the first three of them."""
    return ", ".join([*(f"{mean:,.1f}" for mean in means[:3]), *["..."] * (len(means) > 3)])


class Display:
    """Use as a context; call `update(name, status)` with the content of status.json."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.bars: Progress | None = None
        if self.console.is_terminal:
            self.bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=28),
                TaskProgressColumn(),
                TextColumn("{task.fields[steps]}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=self.console,
            )
        self.tasks: dict[str, TaskID] = {}
        self.said: dict[str, tuple[float, str]] = {}

    def __enter__(self) -> Self:
        if self.bars is not None:
            self.bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.bars is not None:
            with suppress(OSError):
                self.bars.stop()

    def update(self, name: str, status: dict[str, Any]) -> None:
        """Show one run's status."""
        steps, total = int(status.get("steps", 0)), int(status.get("total", 1))
        note = self._note(status)
        if self.bars is None:
            self._line(name, status.get("state", "running"), f"{steps:,}/{total:,} steps {note}")
            return
        if name not in self.tasks:
            self.tasks[name] = self.bars.add_task(name, total=total, steps="", note="")
        self.bars.update(self.tasks[name], completed=min(steps, total), total=total, steps=f"{steps:,}", note=note)

    def _note(self, status: dict[str, Any]) -> str:
        words = []
        if status.get("ep_rew_mean") is not None:
            words.append(f"return {status['ep_rew_mean']:,.1f}")
        if status.get("ep_rew_means"):
            words.append(f"returns {returns_text(status['ep_rew_means'])}")
        if status.get("state") == "running" and status.get("steps_per_s"):
            words.append(f"{status['steps_per_s']:,.0f} steps/s")
        if status.get("evaluation") is not None:
            words.append(f"evaluated {status['evaluation']:,.1f}")
        if status.get("state") in ("failed", "interrupted"):
            words.append(str(status["state"]))
        return " ".join(words)

    def _line(self, name: str, state: str, text: str) -> None:
        said_at, said_state = self.said.get(name, (float("-inf"), ""))
        if state == said_state and time.monotonic() - said_at < LINE_SECONDS:
            return
        if state != said_state and said_state in ("finished", "failed"):
            return
        self.said[name] = (time.monotonic(), state)
        # A run goes on when its terminal was closed (`disown`); its progress is in the run folder, too.
        with suppress(OSError):
            self.console.print(f"{name} {state} {text}", highlight=False, soft_wrap=True)
