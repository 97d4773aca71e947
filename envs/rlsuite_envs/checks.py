"""Checks of constants, for the `__post_init__` of Params: each names the field, its value and the range."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Any

__all__ = [
    "MOST",
    "check_choice",
    "check_finite",
    "check_flag",
    "check_integer",
    "check_non_negative",
    "check_ordered",
    "check_positive",
    "check_probability",
]


MOST = 10_000
"""Largest number of things that are computed or kept one by one: slots, layers, maps, substeps."""
_LARGEST = sys.float_info.max


def check_finite(params: Any, *names: str) -> None:
    """Raise ValueError unless these fields are finite numbers."""
    for name in names:
        value = getattr(params, name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not -_LARGEST <= value <= _LARGEST:
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
    """Raise ValueError unless the field is an integer in low..high (None: what 64 bits hold)."""
    value = getattr(params, name)
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < low or value > (2**63 - 1 if high is None else high):
        allowed = f"an integer in {low}..{high}"
        if high is None or high >= MOST:
            allowed = f"an integer of at least {low}{' that fits 64 bits' if high is None else f', at most {high}'}"
        raise ValueError(f"{name}={value!r} must be {allowed}.")


def check_choice(params: Any, name: str, choices: Collection[Any]) -> None:
    """Raise ValueError unless the field is one of the choices."""
    value = getattr(params, name)
    # Compared with choices of its own type only: True is not 1, and an array has no truth value.
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise ValueError(f"{name}={value!r} must be one of {', '.join(repr(c) for c in choices)}.")


def check_flag(params: Any, *names: str) -> None:
    """Raise ValueError unless these fields are True or False."""
    for name in names:
        if not isinstance(getattr(params, name), bool):
            raise ValueError(f"{name}={getattr(params, name)!r} must be True or False.")
