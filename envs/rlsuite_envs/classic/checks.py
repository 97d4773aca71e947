"""Checks of constants, for the `__post_init__` of Params."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["check_finite", "check_ordered", "check_positive"]


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


def check_ordered(params: Any, low: str, high: str) -> None:
    """Raise ValueError unless the two fields are finite and the first is not above the second."""
    check_finite(params, low, high)
    if getattr(params, low) > getattr(params, high):
        raise ValueError(f"{low}={getattr(params, low)!r} must not exceed {high}={getattr(params, high)!r}.")
