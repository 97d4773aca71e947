"""Rewards of inventory problems as vectors: which of a reward's named parts each objective sums up.

A problem's reward is a sum of parts (holding cost, shortage cost, revenue, ...). Its constant `objectives` names those
that are paid apart, each a part or several joined by "+": ("shortage", "material+holding") is service against cost.
A part that is not named is not paid at all; without `objectives` the reward is the sum of all parts, one number.

Letters: K objectives.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

__all__ = ["check_objectives", "objective_weights", "objectives_space"]


def check_objectives(params: Any, parts: Sequence[str]) -> None:
    """Check the field `objectives` of constants; None there becomes ().

    Args:
        params: constants with a field `objectives`.
        parts: the names that exist.

    Raises:
        ValueError: no tuple of names, a name that does not exist, or one that is given twice.
    """
    value = params.objectives
    if value is None:
        object.__setattr__(params, "objectives", ())
        return
    known = f'known: {", ".join(parts)}; join several to one objective with "+"'
    if not isinstance(value, tuple) or not all(isinstance(name, str) for name in value):
        example = f"({parts[0]!r}, {parts[-1]!r})"
        raise ValueError(
            f"objectives={value!r} must be a tuple of names, such as {example} or, on a command line, "
            f"[{parts[0]},{parts[-1]}]; {known}."
        )
    seen: set[str] = set()
    for part in (part for name in value for part in name.split("+")):
        if part not in parts:
            close = difflib.get_close_matches(part, parts, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise ValueError(f"objectives={value!r}: {part!r} is no part of the reward; {hint}{known}.")
        if part in seen:
            raise ValueError(f"objectives={value!r}: {part!r} is given twice; each belongs to one objective; {known}.")
        seen.add(part)


def objective_weights(objectives: Sequence[str], part: str) -> np.ndarray:
    """Which objectives [K] sum a part: 1.0 there, 0.0 elsewhere."""
    return np.array([float(part in name.split("+")) for name in objectives])


def objectives_space(objectives: Sequence[str], earned: Collection[str], dtype: Any) -> spaces.Box:
    """The Box [K] of the reward vectors: costs are at most 0, what is earned is at least 0.

    Args:
        objectives: the K names.
        earned: parts that are not costs.
        dtype: of the rewards.
    """
    gains = [[part in earned for part in name.split("+")] for name in objectives]
    low = np.array([0.0 if all(kinds) else -np.inf for kinds in gains], dtype)
    high = np.array([np.inf if any(kinds) else 0.0 for kinds in gains], dtype)
    return spaces.Box(low, high, dtype=dtype)
