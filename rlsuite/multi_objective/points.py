"""Checks of objective vectors and reference points: every number finite, every error with its row and objective.

Letters: n vectors, m objectives. Every objective is maximised; costs are given with a minus sign.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "check_count", "check_points", "check_reference", "constant_objectives"]

Array = npt.NDArray[np.float64]

LARGEST = 1e30
"""Largest size of an objective: products of ten of them are still numbers."""


def check_count(value: Any, name: str, least: int = 1, remedy: str = "") -> int:
    """A whole number of at least `least`, as an int, or a ValueError that calls it `name`."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is {value!r}; it must be a whole number of at least {least}{remedy}.")
    return int(value)


def as_numbers(values: Any, name: str) -> Array:
    """A float64 copy of `values`, or a ValueError that calls them `name`."""
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is no array of numbers ({error}); give a list of numbers or a numpy array.") from None


def check_points(points: Any, num_objectives: int | None = None, *, name: str = "points", empty: bool = False) -> Array:
    """Objective vectors as a float64 copy.

    Args:
        points: [n, m], one row per policy.
        num_objectives: m, where it is known.
        name: of the vectors, in messages.
        empty: whether n = 0 is allowed.

    Returns:
        [n, m].

    Raises:
        ValueError: no matrix of finite numbers, another m, or no row; the message names row and objective.
    """
    found = as_numbers(points, name)
    if found.ndim != 2 or found.shape[1] == 0:
        hint = "; a single vector is one row: [vector]" if found.ndim == 1 else ""
        raise ValueError(f"{name} has shape {found.shape}; it must be [n, m], a row of m objectives per policy{hint}.")
    if num_objectives is not None and found.shape[1] != num_objectives:
        raise ValueError(
            f"{name} has {found.shape[1]} objectives, not {num_objectives}; give one column per objective."
        )
    if not len(found) and not empty:
        raise ValueError(f"{name} holds no vector; give at least one.")
    wrong = ~(np.abs(found) <= LARGEST)  # NaN, too
    if wrong.any():
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"{name}[{row}, {column}] is {found[row, column]}: objective {column} of row {row} must be a finite "
            f"number, at most {LARGEST:g} in size; evaluate that policy again, or leave its row out."
        )
    return found


def check_reference(reference: Any, num_objectives: int, *, name: str = "reference") -> Array:
    """A reference point as a float64 copy, [m].

    Raises:
        ValueError: another length than m, or a number that is not finite.
    """
    found = as_numbers(reference, name)
    if found.shape != (num_objectives,):
        raise ValueError(
            f"{name} has shape {found.shape} for {num_objectives} objectives; give {num_objectives} numbers, each "
            "below what its objective can be worth."
        )
    wrong = ~(np.abs(found) <= LARGEST)
    if wrong.any():
        column = int(np.argmax(wrong))
        raise ValueError(
            f"{name}[{column}] is {found[column]}; give a finite number for objective {column}, at most {LARGEST:g} "
            "in size."
        )
    return found


def constant_objectives(points: Any) -> list[int]:
    """The objectives that have the same value in all of two or more vectors; they order nothing.

    Args:
        points: [n, m].

    Raises:
        ValueError: `points` are refused by `check_points`.
    """
    found = check_points(points)
    return [] if len(found) < 2 else [int(j) for j in np.flatnonzero(np.ptp(found, axis=0) == 0)]
