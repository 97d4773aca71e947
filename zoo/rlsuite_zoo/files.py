"""Small files, written so that a reader or a crash never meets half of one."""

from __future__ import annotations

import csv
import json
import os
import uuid
from pathlib import Path
from typing import Any

__all__ = ["read_csv", "write_bytes", "write_json", "write_text"]


def write_text(path: Path, text: str) -> None:
    """Write a small file so that a reader or a crash never meets half of it.

    A name in it that the locale could not decode is written with the bytes it has on the disk.
    """
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes so that a reader or a crash never meets half of them."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, data: Any) -> None:
    """Write JSON atomically."""
    write_text(path, json.dumps(data, indent=1) + "\n")


def read_csv(path: Path) -> list[dict[str, str]]:
    """The whole rows of a CSV file; a last line torn by a crash is left out."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        text = file.read()
    complete = text[: text.rfind("\n") + 1]
    return list(csv.DictReader(complete.splitlines()))
