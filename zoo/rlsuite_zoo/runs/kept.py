"""What a long computation found, kept in a file of its own, and the one rule that says when it is stale.

A computation is a frozen dataclass with a `path`, its `settings` (all that decides the outcome) and the `checkpoints`
it reads. Its file holds these with the outcome; what is found there is used again where settings and contents of the
checkpoints are still the same, and computed anew where anything differs. A copied folder stays valid, a retrained model
does not.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, TypeVar

from rlsuite_zoo.files import write_json
from rlsuite_zoo.runs.cells import run_cells
from rlsuite_zoo.runs.launch import cores
from rlsuite_zoo.runs.lease import lease

__all__ = ["Kept", "key_of", "plain", "play_missing", "read", "write"]


class Kept(Protocol):
    """A computation whose outcome is kept."""

    @property
    def path(self) -> Path:
        """File of the outcome."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything but the checkpoints that decides the outcome, and a number "format", raised with the code."""

    @property
    def checkpoints(self) -> Sequence[Path]:
        """Files of the models it reads."""


KeptT = TypeVar("KeptT", bound=Kept)


def plain(values: Mapping[str, Any], *without: str) -> dict[str, Any]:
    """Values as JSON gives them back (tuples are lists), but for the names in `without`."""
    found: dict[str, Any] = json.loads(json.dumps({k: v for k, v in values.items() if k not in without}))
    return found


def key_of(computation: Kept) -> dict[str, Any]:
    """Key of an outcome: the settings, and a digest of every checkpoint as it now is."""
    return {
        "settings": plain(computation.settings),
        "checkpoints": [_digest(file) for file in computation.checkpoints],
    }


def read(computation: Kept) -> dict[str, Any] | None:
    """The outcome, or None if there is none, or one of other settings or other models."""
    try:
        record = json.loads(computation.path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if not isinstance(record, dict) or record.pop("key", None) != key_of(computation):
        return None
    return record


def write(computation: Kept, key: dict[str, Any], outcome: Mapping[str, Any]) -> None:
    """Keep an outcome.

    Args:
        computation: whose.
        key: `key_of(computation)`, taken before its checkpoints were read, so that a model that was replaced meanwhile
            does not pass for the one that was played.
        outcome: plain data, without a name "key".
    """
    computation.path.parent.mkdir(parents=True, exist_ok=True)
    write_json(computation.path, {"key": key, **outcome})


def play_missing(
    computations: Sequence[KeptT],
    play: Callable[[KeptT], object],
    *,
    jobs: int | None,
    name: Callable[[KeptT], str],
    what: str,
    unfinished: Callable[[KeptT], object] = lambda computation: read(computation) is None,
    urgency: Callable[[KeptT], Any] | None = None,
) -> None:
    """Play those that are not kept yet, side by side, and say how many there are.

    Args:
        computations: all that are wanted.
        play: plays one and keeps it; can be pickled.
        jobs: processes; None for one per core.
        name: of one, for the progress bar.
        what: plural noun, for the line that is printed.
        unfinished: whether something of one is missing.
        urgency: sort key; the smallest starts first.

    Raises:
        InUse: another process plays into the same folder. Interrupted: stopped by the user.
    """
    todo = [computation for computation in computations if unfinished(computation)]
    print(f"{len(computations) - len(todo)} of {len(computations)} {what} are there; {len(todo)} to play")
    with ExitStack() as leases:
        for folder in dict.fromkeys(computation.path.parent for computation in todo):
            folder.mkdir(parents=True, exist_ok=True)
            leases.enter_context(lease(folder))
        run_cells(play, todo if urgency is None else sorted(todo, key=urgency), jobs or cores(), name)


def _digest(file: Path) -> str | None:
    """Digest of a checkpoint's contents; None where it is missing."""
    try:
        about = file.stat()
    except FileNotFoundError:
        return None
    return _digest_of(str(file), about.st_size, about.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _digest_of(file: str, size: int, changed: int) -> str:
    """SHA-256 of a file's contents; size and time of change only tell the cache whether it is the same file."""
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
