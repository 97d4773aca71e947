"""Many runs on the cores of this machine: one process per run, `jobs` at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rlsuite_zoo.errors import Interrupted
from rlsuite_zoo.runs.display import Display
from rlsuite_zoo.runs.folder import RunFolder
from rlsuite_zoo.runs.lease import check_free
from rlsuite_zoo.runs.stopping import say, signals_to
from rlsuite_zoo.runs.train import checkpoint_hint, run
from rlsuite_zoo.runs.worker import IN_USE

POLL_SECONDS = 0.3
ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class RunFailed(Exception):
    """At least one run failed; the message names each with its error and its last checkpoint."""


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def launch(folders: list[RunFolder], jobs: int | None = None) -> None:
    """Run every folder to its end; the others go on when one fails.

    One run alone stays in this process. Each of several has its own, with one arithmetic thread and its share
    of the cores for the environment's engine, so that runs at the same time do not fight over cores.

    Args:
        folders: fresh, interrupted or failed runs.
        jobs: at a time; None for one per core.

    Raises:
        InUse: another process runs one of them; none was begun. RunFailed: some failed. Interrupted: stopped by the
            user; checkpoints are written.
    """
    for folder in folders:
        check_free(folder.path)
    jobs = max(1, min(jobs or cores(), len(folders)))
    threads = max(1, cores() // jobs)
    with Display() as display:
        if len(folders) == 1:
            name = _names(folders)[0]
            run(folders[0], threads=threads, progress=lambda status: display.update(name, status))
            return
        _run_processes(folders, jobs, threads, display)


def launch_missing(folders: list[RunFolder], jobs: int | None, root: Path) -> RunFailed | None:
    """Say how many runs there are to do, and do them; a failure is returned, to be raised when the others are reported.

    Raises:
        Interrupted: stopped by the user.
    """
    print(f"{len(folders)} runs to do in {root}")
    try:
        if folders:
            launch(folders, jobs)
    except RunFailed as error:
        return error
    return None


def _names(folders: list[RunFolder]) -> list[str]:
    specs = [folder.spec() for folder in folders]
    return [f"{spec.group} {spec.env} seed {spec.seed}" for spec in specs]


def _run_processes(folders: list[RunFolder], jobs: int, threads: int, display: Display) -> None:
    waiting = list(zip(_names(folders), folders, strict=True))
    active: dict[str, tuple[RunFolder, subprocess.Popen[bytes]]] = {}
    failures: list[str] = []
    with _forwarded_signals(active) as stop:
        while waiting or active:
            while waiting and len(active) < jobs and not stop:
                name, folder = waiting.pop(0)
                active[name] = (folder, _start(folder, threads))
            if stop:
                waiting.clear()
            time.sleep(POLL_SECONDS)
            for name, (folder, process) in list(active.items()):
                code = process.poll()
                if code is None:
                    display.update(name, folder.status())
                    continue
                del active[name]
                assert process.stdin is not None  # a pipe, see _start
                process.stdin.close()
                failures += _outcome(name, folder, code, display, stopped=bool(stop))
    if failures:
        raise RunFailed("\n".join(failures))
    if stop:
        raise Interrupted


def _start(folder: RunFolder, threads: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **dict.fromkeys(ONE_THREAD, "1")}
    with folder.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "rlsuite_zoo.runs.worker", str(folder.path), str(threads), "stdin"],
            stdin=subprocess.PIPE,  # nothing is written: it ends with this process, and the worker with it
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches it once, from here, not twice
        )


def _outcome(name: str, folder: RunFolder, code: int, display: Display, *, stopped: bool) -> list[str]:
    """Report a process that ended; the failure as a list of at most one line."""
    status = folder.status()
    if code == IN_USE:
        return [f"{name} was not run: another process began it (see {folder.log})"]
    if code not in (0, 130) and status.get("state") not in ("failed", "interrupted"):
        # Killed from outside (out of memory, kill -9), or stopped before it could say so itself.
        how = ("interrupted", "stopped by the user") if stopped else ("failed", f"the process ended with code {code}")
        status = {**status, "state": how[0], "error": how[1]}
        folder.write_status(**status)
    display.update(name, status)
    if code in (0, 130) or (stopped and status["state"] == "interrupted"):
        return []
    return [f"{name} failed: {status.get('error')} (see {folder.log}); {checkpoint_hint(folder)}"]


@contextmanager
def _forwarded_signals(active: dict[str, tuple[RunFolder, subprocess.Popen[bytes]]]) -> Iterator[list[int]]:
    """Pass Ctrl-C, SIGTERM and a hang-up on to the workers; yields a list that is no longer empty once stopping."""
    stop: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        stop.append(number)
        for _, process in active.values():
            process.send_signal(number)
        if len(stop) == 1:
            say("stopping: every run writes a checkpoint first (again: stop at once)")

    with signals_to(handle):
        yield stop
