"""Mistakes of the user, as one line with a remedy."""

from __future__ import annotations

from collections.abc import Iterable

from rlsuite.core.config import nearest


class UsageError(Exception):
    """The command cannot be carried out as it was given; the message says what to change. Exit code 2."""


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
