"""How a run is asked to stop: by signals, and by the end of the process that started it.

Imports nothing heavy: a worker watches its parent before it loads anything else.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

__all__ = ["Stop", "end_with_parent", "end_with_stdin", "handled_signals", "stop_on_signal"]

GRACE_SECONDS = 300.0
"""Time that a worker without a parent has for its update and its checkpoint before it is ended, s."""


class Stop:
    """Whether a run was asked to stop, and whether it stops at once or between updates."""

    def __init__(self) -> None:
        self.requested = False
        self.waits = False
        """Whether the run looks at `requested` by itself (between updates); a signal ends any other phase at once."""
        self.ending = False
        """Whether the run writes down how it ended; nothing stops that any more."""


def handled_signals() -> list[int]:
    """Signals that ask to stop: Ctrl-C, SIGTERM, and a hang-up unless it is ignored (`nohup`)."""
    found = [signal.SIGINT, signal.SIGTERM]
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        found.append(signal.SIGHUP)
    return [int(number) for number in found]


@contextmanager
def stop_on_signal(stop: Stop) -> Iterator[None]:
    """Ctrl-C, SIGTERM and a hang-up let the update end and a checkpoint be written; a second one stops at once.

    Raises:
        KeyboardInterrupt: in the thread that runs, at the second one, or at the first where `stop.waits` is False.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.ending:
            return
        if stop.requested or not stop.waits:
            stop.requested = True
            raise KeyboardInterrupt
        stop.requested = True
        say("stopping after this update, with a checkpoint (again: stop at once)")

    with signals_to(handle):
        yield


@contextmanager
def signals_to(handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle `handled_signals` so, and as before afterwards."""
    before: dict[int, Any] = {number: signal.signal(number, handle) for number in handled_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def say(text: str) -> None:
    """A line on stderr from within a signal's handler; a terminal that was closed takes none."""
    with suppress(OSError):
        os.write(2, f"\n{text}\n".encode())


def end_with_stdin() -> None:
    """Stop this process when its standard input ends, as a pipe from a parent does however the parent ends.

    Works in every phase, import included, because a thread of its own waits. The program itself finds stdin empty.
    """
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    def wait() -> None:
        while os.read(lifeline, 1):
            pass

    _stop_after(wait)


def end_with_parent() -> None:
    """Stop this process, started by `multiprocessing`, when its parent ends."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        _stop_after(parent.join)


def _stop_after(wait: Callable[[], object]) -> None:
    def watch() -> None:
        wait()
        os.kill(os.getpid(), signal.SIGTERM)  # as if asked to stop: a run writes its checkpoint
        time.sleep(GRACE_SECONDS)
        os._exit(130)

    threading.Thread(target=watch, daemon=True, name="parent watch").start()
