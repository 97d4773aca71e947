"""Kept computations: what is found again, and what is played anew."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from rlsuite_zoo.runs import kept


@dataclass(frozen=True)
class Sum:
    """A computation for the test."""

    folder: Path
    numbers: tuple[int, ...]
    format: int = 1

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return self.folder / "sum.json"

    @property
    def settings(self) -> dict[str, Any]:
        """What decides it."""
        return kept.plain(asdict(self), "folder")

    @property
    def checkpoints(self) -> list[Path]:
        """A model it reads."""
        return [self.folder / "model.zip"]


@pytest.fixture
def cell(tmp_path: Path) -> Sum:
    (tmp_path / "model.zip").write_bytes(b"weights")
    return Sum(tmp_path, (1, 2))


def play(cell: Sum) -> None:
    kept.write(cell, kept.key_of(cell), {"sum": sum(cell.numbers)})


def test_what_was_played_is_found_again(cell: Sum) -> None:
    assert kept.read(cell) is None
    play(cell)
    assert kept.read(cell) == {"sum": 3}


def test_other_settings_or_another_format_are_played_anew(cell: Sum) -> None:
    play(cell)
    assert kept.read(Sum(cell.folder, (1, 3))) is None
    assert kept.read(Sum(cell.folder, (1, 2), format=2)) is None


def test_another_model_is_played_anew_and_the_same_one_written_again_is_not(cell: Sum) -> None:
    play(cell)
    model = cell.folder / "model.zip"
    model.write_bytes(b"weights")
    os.utime(model, (1, 1))
    assert kept.read(cell) == {"sum": 3}
    model.write_bytes(b"Weights")
    os.utime(model, (1, 2))
    assert kept.read(cell) is None


def test_a_copied_folder_stays_valid(cell: Sum, tmp_path: Path) -> None:
    play(cell)
    copy = tmp_path / "copy"
    shutil.copytree(cell.folder, copy, ignore=shutil.ignore_patterns("copy"))
    assert kept.read(Sum(copy, (1, 2))) == {"sum": 3}


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"sum": 3}', '{"key": 1, "sum": 3}'])
def test_a_damaged_file_is_played_anew(cell: Sum, text: str) -> None:
    cell.path.write_text(text)
    assert kept.read(cell) is None


def test_a_model_that_was_replaced_while_it_was_played_does_not_count(cell: Sum) -> None:
    key = kept.key_of(cell)
    (cell.folder / "model.zip").write_bytes(b"another, longer")
    kept.write(cell, key, {"sum": 3})
    assert kept.read(cell) is None


def test_only_what_is_missing_is_played(cell: Sum, capsys: pytest.CaptureFixture[str]) -> None:
    cells = [cell, Sum(cell.folder, (5,))]
    play(cells[0])
    kept.play_missing(cells, play, jobs=1, name=lambda c: str(c.numbers), what="sums")
    assert "1 of 2 sums are there; 1 to play" in capsys.readouterr().out
    assert json.loads(cell.path.read_text())["sum"] == 5  # both cells of the test have one file
