"""Where a result comes from: command line, packages, machine, commit."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["command", "git_state", "machine", "portable", "provenance_of", "running", "versions"]

PACKAGES = ("rlsuite", "torch", "gymnasium", "mujoco", "numpy", "stable_baselines3", "scipy", "safetensors")
LIBRARIES = (
    *("rlsuite", "torch", "numpy", "gymnasium", "mujoco", "stable-baselines3"),
    *("sbx-rl", "jax", "envpool", "gym-invmgmt", "gymnasium-robotics"),
)
"""Packages whose versions a benchmark names."""
_COMMAND: ContextVar[tuple[str, ...]] = ContextVar("command", default=("rlsuite",))


def command() -> list[str]:
    """The command line that is being carried out, from its first word "rlsuite" on."""
    return list(_COMMAND.get())


@contextmanager
def running(words: Sequence[str]) -> Iterator[None]:
    """Take `words`, without the program's name, for this process's command line."""
    token = _COMMAND.set(("rlsuite", *words))
    try:
        yield
    finally:
        _COMMAND.reset(token)


def portable(words: Sequence[str]) -> str:
    """A command without the options that name folders and cores of one machine, or that only write a page again.

    Of another interpreter (--python) the name stays.
    """
    words = [Path(w).name if i and words[i - 1] == "--python" else w for i, w in enumerate(words)]
    places = [i for i, word in enumerate(words) if word in ("--out", "--runs", "--cells", "--jobs")]
    dropped = {i + offset for i in places for offset in (0, 1)}
    return shlex.join(w for i, w in enumerate(words) if i not in dropped and w != "--report-only")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a result, and the platform."""
    about = {"python": sys.version.split()[0], "platform": platform.platform(), "machine": platform.machine()}
    return about | _versions_of(PACKAGES)


def git_state() -> dict[str, Any]:
    """Commit and cleanliness of the checkout that this code runs from; {} when it is installed otherwise."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()

    try:
        if not git("ls-files", "--error-unmatch", Path(__file__).name):
            return {}
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return {}  # no git, or no checkout: versions.json still names the release


def provenance_of() -> dict[str, str]:
    """Provenance of a page made now: command, date, versions and commit."""
    return {
        "command": portable(command()),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": ", ".join(f"{k} {v}" for k, v in versions().items()),
        "commit": str(git_state().get("commit", "of an installed release"))[:12],
    }


def machine() -> dict[str, Any]:
    """Processor, cores, versions and date, so that a number can be judged later."""
    return {
        "command": portable(command()),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
        "versions": _versions_of(LIBRARIES),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
    }


def _versions_of(packages: Sequence[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
