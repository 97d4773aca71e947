"""One writer at a time for a folder, across processes and machines that share a disk.

The writer keeps `lease.json` in the folder: who it is, and a time of change that a thread renews. Another process on
the same machine sees at once whether that writer lives; one on another machine takes it for dead after `STALE_SECONDS`.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.files import write_text
from rlsuite_zoo.provenance import command

__all__ = ["HEARTBEAT_SECONDS", "STALE_SECONDS", "InUse", "check_free", "lease"]

HEARTBEAT_SECONDS = 30.0
STALE_SECONDS = 600.0
"""Time without a sign of life after which a writer on another machine counts as dead, s."""
_WRITING_SECONDS = 10.0
"""A lease that cannot be read is being written if it is younger than this."""
_mine: dict[Path, str] = {}
"""Tokens of the leases that this process holds."""


class InUse(UsageError):
    """Another process writes into the folder; the message says which, and what can be done."""


@contextmanager
def lease(folder: Path, file: str = "lease.json") -> Iterator[None]:
    """Be the folder's only writer meanwhile; inside another lease of this process on it, nothing more happens.

    Args:
        folder: exists.
        file: name of the lease in the folder; leases of different names do not exclude one another.

    Raises:
        InUse: another process is. OSError: the folder cannot be written to.
    """
    path = folder.resolve() / file
    if path in _mine:
        yield
        return
    token = _acquire(path)
    _mine[path] = token
    done = threading.Event()
    threading.Thread(target=_beat, args=(path, done), daemon=True, name="lease").start()
    try:
        yield
    finally:
        done.set()
        del _mine[path]
        if (_read(path) or {}).get("token") == token:
            path.unlink(missing_ok=True)


def check_free(folder: Path, file: str = "lease.json") -> None:
    """Raise if another process writes into the folder.

    Raises:
        InUse: it does.
    """
    path = folder.resolve() / file
    if path not in _mine and _lives(path):
        raise InUse(_who(path))


def _acquire(path: Path) -> str:
    """Write the lease; its token."""
    token = uuid.uuid4().hex
    text = json.dumps(
        {
            "host": platform.node(),
            "pid": os.getpid(),
            "started": _started(os.getpid()),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
            "command": shlex.join(command()),
            "token": token,
        }
    )
    with _alone(path.parent):
        try:
            with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644), "w", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            if _lives(path):
                raise InUse(_who(path)) from None
            write_text(path, text)
    return token


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let no other process of this machine take over a dead writer's lease at the same moment."""
    try:
        import fcntl
    except ImportError:  # Windows: two that take over within the same millisecond are not told apart
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a network disk without such locks; creation is exclusive there, too
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _lives(path: Path) -> bool:
    """Whether the writer that a lease names is still there."""
    try:
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return False
    held = _read(path)
    if held is None:
        return age < _WRITING_SECONDS
    if held.get("host") != platform.node() or os.name == "nt":
        return age < STALE_SECONDS
    pid = held.get("pid")
    if not isinstance(pid, int) or pid < 1:
        return age < STALE_SECONDS
    return _exists(pid) and _started(pid) == held.get("started")


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True


def _started(pid: int) -> str | None:
    """Start time, which differs from that of a later process with the same number; "dead" for a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None  # no Linux: the number has to do
    return "dead" if fields[0] in "ZX" else fields[19]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return held if isinstance(held, dict) else None


def _who(path: Path) -> str:
    held = _read(path) or {}
    who = f"process {held.get('pid')} on {held.get('host')} since {held.get('since')} ({held.get('command')})"
    free = (
        "" if held.get("host") == platform.node() else f", {STALE_SECONDS / 60:.0f} minutes after its last sign of life"
    )
    return (
        f"{path.parent} is in use by {who}; wait until it ends{free}, or stop it (if you know that nobody uses the "
        f"folder, delete {path})"
    )


def _beat(path: Path, done: threading.Event) -> None:
    while not done.wait(HEARTBEAT_SECONDS):
        try:
            os.utime(path)
        except OSError:
            return  # deleted by a user who knows better
