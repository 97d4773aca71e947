"""Checks of constants, for the `__post_init__` of Params: each names the field, its value and the range."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

__all__ = [
    "check_choice",
    "check_finite",
    "check_flag",
    "check_integer",
    "check_non_negative",
    "check_ordered",
    "check_positive",
    "check_probability",
]


def check_finite(params: Any, *names: str) -> None:
    """Raise ValueError unless these fields are finite numbers."""
    for name in names:
        value = getattr(params, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{name}={value!r} must be a finite number.")


def check_positive(params: Any, *names: str) -> None:
    """Raise ValueError unless these fields are finite numbers above 0."""
    check_finite(params, *names)
    for name in names:
        if getattr(params, name) <= 0:
            raise ValueError(f"{name}={getattr(params, name)!r} must be above 0.")


def check_non_negative(params: Any, *names: str) -> None:
    """Raise ValueError unless these fields are finite numbers of at least 0."""
    check_finite(params, *names)
    for name in names:
        if getattr(params, name) < 0:
            raise ValueError(f"{name}={getattr(params, name)!r} must be at least 0.")


def check_probability(params: Any, *names: str) -> None:
    """Raise ValueError unless these fields are numbers in [0, 1]."""
    check_finite(params, *names)
    for name in names:
        if not 0 <= getattr(params, name) <= 1:
            raise ValueError(f"{name}={getattr(params, name)!r} must lie in [0, 1].")


def check_ordered(params: Any, low: str, high: str) -> None:
    """Raise ValueError unless the two fields are finite and the first is not above the second."""
    check_finite(params, low, high)
    if getattr(params, low) > getattr(params, high):
        raise ValueError(f"{low}={getattr(params, low)!r} must not exceed {high}={getattr(params, high)!r}.")


def check_integer(params: Any, name: str, low: int, high: int | None = None) -> None:
    """Raise ValueError unless the field is an integer in low..high (None: no upper end)."""
    value = getattr(params, name)
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        allowed = f"an integer of at least {low}" if high is None else f"an integer in {low}..{high}"
        raise ValueError(f"{name}={value!r} must be {allowed}.")


def check_choice(params: Any, name: str, choices: Collection[Any]) -> None:
    """Raise ValueError unless the field is one of the choices."""
    value = getattr(params, name)
    if value not in choices:
        raise ValueError(f"{name}={value!r} must be one of {', '.join(repr(c) for c in choices)}.")


def check_flag(params: Any, *names: str) -> None:
    """Raise ValueError unless these fields are True or False."""
    for name in names:
        if not isinstance(getattr(params, name), bool):
            raise ValueError(f"{name}={getattr(params, name)!r} must be True or False.")
