"""Actions as arrays of numbers of the right kind and shape; imports neither torch nor MuJoCo."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_numbers", "check_kind", "shown"]


def as_numbers(owner: str, action: Any, space: Any) -> NDArray[Any]:
    """The action as an array of integers, booleans or floating-point numbers.

    Args:
        owner: the environment, for the message.
        action: what `step` was given: array, list, number, CPU tensor, ...
        space: what it should be an element (or a batch) of, for the message.

    Raises:
        TypeError: no numbers (strings, None, objects, complex numbers) or a ragged list.
    """
    try:
        array = np.asarray(action)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists, tensors that are elsewhere or need gradients
        raise TypeError(f"{owner}: action={shown(action)} is no array of numbers ({error}); give {space}.") from error
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{owner}: action={shown(action)} holds no numbers (dtype {array.dtype}); give {space}.")
    return array


def check_kind(owner: str, dtype: Any, kind: str, space: Any, *, integers: bool, flags: bool = False) -> None:
    """Raise unless a dtype fits a space.

    Args:
        owner: the environment, for the message.
        dtype: NumPy's or torch's, for the message.
        kind: NumPy's letter: f, i, u or b.
        space: for the message.
        integers: whether the space's elements are integers.
        flags: whether they may be booleans.

    Raises:
        ValueError: floating-point numbers for a space of integers, or booleans for one of more than flags.
    """
    if integers and kind == "f":
        raise ValueError(f"{owner}: action has dtype {dtype} but {space} takes integers; cast it, e.g. to int64.")
    if kind == "b" and not flags:
        wanted = "int64" if integers else "float32"
        raise ValueError(f"{owner}: action has dtype {dtype} but {space} takes numbers; cast it, e.g. to {wanted}.")


def shown(value: Any) -> str:
    """The value in a message, cut to a line."""
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 80 else f"{text[:77]}..."
