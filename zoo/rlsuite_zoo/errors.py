"""Mistakes of the user, as one line with a remedy."""

from __future__ import annotations

import errno
import os
import site
import sysconfig
import traceback
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from rlsuite.core.config import nearest


class UsageError(Exception):
    """The command cannot be carried out as it was given; the message says what to change. Exit code 2."""


class NotKept(Exception):
    """A result was printed, but a file that should hold it cannot be written."""


class Interrupted(Exception):
    """The run was asked to stop and has saved a checkpoint first."""


def unknown(kind: str, name: str, known: Iterable[str], hint: str = "") -> UsageError:
    """The error for a name that does not exist: names the nearest one that does.

    Args:
        kind: what `name` was meant to be, such as "algorithm".
        name: as given.
        known: the names that exist.
        hint: where the names are listed, for kinds with too many to print.
    """
    words = nearest(name, sorted(known))
    if hint and words.startswith("known are"):
        words = hint
    return UsageError(f"unknown {kind} {name!r}: {words}")


def place_of(error: BaseException) -> str:
    """Where in the user's own code an error was raised: " (my_env.py, line 17, in step)"; "" where it was not.

    The user's code is what rlsuite called and is neither its own, nor Python's, nor an installed package's.
    """
    frames = traceback.extract_tb(error.__traceback__, limit=-200)  # the innermost of an endless recursion
    ours = [str(Path(found.origin).parent) for name in PACKAGES if (found := find_spec(name)) and found.origin]
    first = next((i for i, frame in enumerate(frames) if _below(frame.filename, ours)), len(frames))
    others = [*ours, *site.getsitepackages(), site.getusersitepackages(), *_PYTHON]
    own = [frame for frame in frames[first:] if not _below(frame.filename, others)]
    if not own and error.__cause__ is not None:
        return place_of(error.__cause__)
    return f" ({own[-1].filename}, line {own[-1].lineno}, in {own[-1].name})" if own else ""


def remedy_of(error: OSError) -> str:
    """Remedy for an error of the disk: "; ..." or ""."""
    remedies = {
        errno.ENAMETOOLONG: "a name is too long for the disk: choose a shorter --name or --out",
        errno.ENOTDIR: "a part of the path is a file: choose another --out",
        errno.EEXIST: "a part of the path is a file: choose another --out",
        errno.EISDIR: "this is a folder: name a file",
        errno.ENOSPC: "make room on the disk, then go on (rlsuite train --resume for a run)",
        errno.EDQUOT: "make room in your quota, then go on (rlsuite train --resume for a run)",
        errno.EROFS: "it cannot be written: choose another place (--out), or copy the folder to one that can",
        errno.EACCES: "it cannot be written: choose another place (--out), or change its permissions",
        errno.EPERM: "it cannot be written: choose another place (--out), or change its permissions",
    }
    remedy = remedies.get(error.errno or 0)
    return f"; {remedy}" if remedy else ""


PACKAGES = ("rlsuite", "rlsuite_envs", "rlsuite_zoo")
_PYTHON = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]


def _below(file: str, folders: Iterable[str]) -> bool:
    """Whether a file is in one of the folders, or no file at all ("<string>")."""
    return file.startswith(("<", *(f"{folder}{os.sep}" for folder in folders)))
