"""Schedules of scalars over a run: learning rate, clip range, exploration.

A schedule is a function of the remaining progress, 1 at the start of a run and 0 at its end
(Stable-Baselines3's convention), so it needs no step count. In configs and on the command line it is a number
or a short text:

    3e-4                  constant
    "linear:3e-4"         from 3e-4 to 0
    "linear:3e-4:1e-5"    from 3e-4 to 1e-5
    "cosine:3e-4:1e-5"    half a cosine from 3e-4 to 1e-5

Schedules are frozen dataclasses, not closures: they compare, print back to their text, and survive pickling.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Constant", "Cosine", "Linear", "Rates", "Schedule", "parse_schedule"]

Schedule = float | str
"""What a config field may hold: a number, or a text such as "linear:3e-4" (see the module docstring)."""

_REMEDY = 'write a number such as 3e-4, "linear:3e-4", "linear:3e-4:1e-5" or "cosine:3e-4:1e-5"'


@dataclass(frozen=True)
class Constant:
    """A schedule of one constant value."""

    value: float

    def __call__(self, progress_remaining: float) -> float:
        """The value, whatever the progress."""
        return self.value

    def __str__(self) -> str:
        return repr(self.value)


@dataclass(frozen=True)
class Linear:
    """A straight line from `start` to `end`."""

    start: float
    end: float = 0.0

    def __call__(self, progress_remaining: float) -> float:
        """The value at `progress_remaining` (1 at the start, 0 at the end; clamped)."""
        p = min(max(progress_remaining, 0.0), 1.0)
        return self.start * p + self.end * (1.0 - p)

    def __str__(self) -> str:
        return f"linear:{self.start!r}:{self.end!r}"


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from `start` to `end`: flat at both ends.

    Source: Loshchilov and Hutter, "SGDR", ICLR 2017, eq. 5, without restarts.
    """

    start: float
    end: float = 0.0

    def __call__(self, progress_remaining: float) -> float:
        """The value at `progress_remaining` (1 at the start, 0 at the end; clamped)."""
        p = min(max(progress_remaining, 0.0), 1.0)
        return self.end + (self.start - self.end) * 0.5 * (1.0 - math.cos(math.pi * p))

    def __str__(self) -> str:
        return f"cosine:{self.start!r}:{self.end!r}"


_KINDS: dict[str, type[Linear] | type[Cosine]] = {"linear": Linear, "cosine": Cosine}


def parse_schedule(value: Schedule | Callable[[float], float]) -> Callable[[float], float]:
    """Turn a config value into a function of the remaining progress.

    Args:
        value: A number, a text (see the module docstring), or a callable, which is returned as it is.

    Returns:
        A callable from progress_remaining (1 at the start, 0 at the end) to the value.

    Raises:
        ValueError: If the text is unknown or malformed, or a number is negative, infinite or NaN.
    """
    if callable(value):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"schedule {value!r} is a {type(value).__name__}; {_REMEDY}.")
    if not isinstance(value, str):
        return Constant(_number(value, value))
    parts = [part.strip() for part in value.split(":")]
    if len(parts) == 1:
        return Constant(_number(parts[0], value))
    if parts[0] not in _KINDS or len(parts) > 3:
        raise ValueError(f"schedule {value!r} is not known; {_REMEDY}.")
    return _KINDS[parts[0]](*(_number(part, value) for part in parts[1:]))


class Rates:
    """Several schedules of one configuration, read at the same time.

    Args:
        config: has them as fields.
        names: of the fields.

    Raises:
        ValueError: a field that is no schedule.
    """

    def __init__(self, config: Any, *names: str) -> None:
        self.schedules = {name: parse_schedule(getattr(config, name)) for name in names}

    def at(self, progress_remaining: float) -> dict[str, Any]:
        """Values (floats) of the schedules by name, at `progress_remaining` (1 at the start, 0 at the end)."""
        return {name: schedule(progress_remaining) for name, schedule in self.schedules.items()}


def _number(part: float | str, whole: Schedule) -> float:
    try:
        x = float(part)
    except (ValueError, OverflowError):
        raise ValueError(f"schedule {whole!r}: {part!r} is not a number; {_REMEDY}.") from None
    if not math.isfinite(x) or x < 0:
        raise ValueError(f"schedule {whole!r}: {part!r} must be finite and >= 0; {_REMEDY}.")
    return x
