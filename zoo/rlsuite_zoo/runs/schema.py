"""What the small files of a run folder may hold: they may be old, edited by hand, damaged, or a stranger's.

Every error is a `RunFolderError` that names file, field and value.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rlsuite_zoo.errors import UsageError

__all__ = ["RunFolderError", "check_fields", "read_csv_rows", "read_json", "read_numbers", "read_small"]

MAX_BYTES = 4 * 2**20
"""Largest config.yaml or JSON file."""
LARGEST = 10**15
STATES = ("created", "running", "finished", "failed", "interrupted")


class RunFolderError(UsageError, ValueError):
    """A file of a run folder is not what rlsuite writes; the message names file, field and value."""


def read_small(path: Path) -> str:
    """The text of a small file.

    Raises:
        RunFolderError: not UTF-8, too large or not readable. FileNotFoundError: there is none.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RunFolderError(f"{path} has {path.stat().st_size:,} bytes; rlsuite writes at most {MAX_BYTES:,}")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise RunFolderError(f"{path} cannot be read ({error}); restore it from a copy") from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object.

    Raises:
        RunFolderError: it holds something else. FileNotFoundError: there is none.
    """
    text = read_small(path)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RunFolderError(f"{path} is damaged ({error}); restore it from a copy, or delete it") from error
    if not isinstance(data, dict):
        raise RunFolderError(f"{path} holds {_short(data)}, not an object; restore it from a copy, or delete it")
    return data


def read_numbers(path: Path, rows: list[dict[str, str]], needed: str = "steps") -> list[dict[str, str]]:
    """The rows of a CSV file, once every cell is known to be empty or a number, and `needed` to be there.

    Raises:
        RunFolderError: names row and column.
    """
    for number, row in enumerate(rows, start=2):
        for column, cell in row.items():
            value: Any = cell
            try:
                if value or column == needed:
                    float(value)
            except (TypeError, ValueError):
                raise RunFolderError(f"{path}, line {number}: {column} is {_short(value)}, not a number") from None
        if needed not in row:
            raise RunFolderError(f"{path} has no column {needed!r}")
    return rows


Rule = tuple[Callable[[Any], bool], str]
"""A test of a value, and what the value must be."""


def whole(low: int, high: int = LARGEST) -> Rule:
    """Integers in [low, high]."""
    return (
        lambda x: isinstance(x, int) and not isinstance(x, bool) and low <= x <= high,
        f"a whole number in [{low:,}, {high:,}]",
    )


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(x) for key, x in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float)


BASELINE_NAMES = ("sb3:ppo", "sb3:a2c", "sb3:sac", "sb3:td3", "sb3:ddpg", "sb3:dqn")
"""Stable-Baselines3's algorithms."""


def _known_algorithm(name: Any) -> bool:
    import rlsuite

    return isinstance(name, str) and (name in rlsuite.ALGORITHMS or name in BASELINE_NAMES)


ALGORITHM: Rule = (_known_algorithm, "an algorithm of `rlsuite list algorithms`")
TEXT: Rule = (lambda x: isinstance(x, str), "text")
FLAG: Rule = (lambda x: isinstance(x, bool), "true or false")
NUMBER: Rule = (lambda x: isinstance(x, int | float) and not isinstance(x, bool), "a number")
SETTINGS: Rule = (lambda x: isinstance(x, dict) and _is_plain(x), "a mapping of names to plain values")
NUMBERS: Rule = (lambda x: isinstance(x, list) and all(map(NUMBER[0], x)), "a list of numbers")
STATE: Rule = (lambda x: x in STATES if isinstance(x, str) else False, f"one of {', '.join(STATES)}")


def optional(rule: Rule) -> Rule:
    """Null, or what the rule allows."""
    return lambda x: x is None or rule[0](x), f"{rule[1]} or null"


SPEC: dict[str, Rule] = {
    "algo": ALGORITHM,
    "env": TEXT,
    "seed": whole(0, 2**63 - 1),
    "steps": whole(1),
    "num_envs": whole(1, 10**7),
    "recipe": TEXT,
    "device": TEXT,
    "config": SETTINGS,
    "env_kwargs": SETTINGS,
    "checkpoint_every": whole(1),
    "eval_every": whole(0),
    "eval_episodes": whole(0, 10**9),
    "eval_stochastic": FLAG,
    "label": TEXT,
}
"""Fields of config.yaml."""
STATUS: dict[str, Rule] = {
    "state": STATE,
    "steps": whole(0),
    "total": whole(0),
    "steps_per_s": NUMBER,
    "wall_s": NUMBER,
    "ep_rew_mean": optional(NUMBER),
    "ep_rew_means": NUMBERS,
    "evaluation": optional(NUMBER),
    "error": optional(TEXT),
    "checkpoint": optional(TEXT),
    "pid": whole(0),
}
"""Fields of status.json; further ones are allowed."""
EVALUATION: dict[str, Rule] = {
    "episodes": whole(1),
    **dict.fromkeys(("mean", "low", "high"), NUMBER),
    "deterministic": FLAG,
    "seed": optional(whole(0, 2**64)),
    "checkpoint": TEXT,
    "returns": NUMBERS,
    "lengths": NUMBERS,
}
"""Fields of evaluation.json; further ones are allowed."""


def check_fields(
    path: Path, data: Mapping[str, Any], rules: Mapping[str, Rule], *, needed: tuple[str, ...] = ()
) -> None:
    """Raise unless every field that has a rule follows it, and the needed ones are there.

    Raises:
        RunFolderError: names file, field and value.
    """
    for name in needed:
        if name not in data:
            raise RunFolderError(f"{path} lacks {name!r}; restore the file from a copy")
    for name, value in data.items():
        if name in rules and not rules[name][0](value):
            raise RunFolderError(f"{path}: {name} is {_short(value)}; it must be {rules[name][1]}")


def read_csv_rows(path: Path) -> list[dict[str, str]]:
    """Whole rows of a CSV file of numbers led by `steps`; none where there is no file.

    Raises:
        RunFolderError: not such a file.
    """
    from rlsuite_zoo.files import read_csv

    try:
        rows = read_csv(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunFolderError(f"{path} cannot be read ({error}); restore it from a copy, or delete it") from error
    return read_numbers(path, rows)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
