"""Values of settings against the types that their dataclass declares, in one place for every configuration.

What is meant without doubt is taken: 32.0 for 32, NumPy's scalars, a list or "64,64" or 64 for a tuple of layers. All
else is a ValueError that names class, field, value and remedy, before anything is built.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

LARGEST = 10**9
"""The largest whole number that a setting may be (seeds apart): beyond it nothing ends, or fits into a memory."""

LAST_SEED = 2**63 - 1
"""The largest seed."""

ACTIVATIONS = ("tanh", "relu", "elu", "gelu")
WORDS: dict[str, tuple[str, ...]] = dict.fromkeys(("activation", "critic_activation"), ACTIVATIONS)
WORDS["backend"] = ("auto", "torch", "numpy")


def whole_number(name: str, value: Any, *, least: int | None = None, most: int | None = None) -> int:
    """`value` as an int: integers of any kind, and floats without a fraction such as 1e6.

    Raises:
        ValueError: something else (True and False are no numbers), or below `least` or above `most`.
    """
    integral = isinstance(value, int | np.integer) and not isinstance(value, bool)
    integral |= isinstance(value, float | np.floating) and float(value).is_integer()
    number = int(value) if integral else None
    if number is None or (least is not None and number < least) or (most is not None and number > most):
        bounds = [f"at least {least}"] if least is not None else []
        bounds += [f"at most {most:,}"] if most is not None else []
        raise ValueError(
            f"{name} is {show(value)}; it must be a whole number{' of ' * bool(bounds)}{' and '.join(bounds)}"
        )
    return number


def show(value: Any) -> str:
    """`repr`, shortened to what fits into a message."""
    try:
        text = repr(value)
    except Exception as error:  # a stranger's repr, or an integer too long to print
        text = f"a {type(value).__name__} that cannot be shown ({type(error).__name__})"
    return text if len(text) <= 120 else f"{text[:117]}..."


def check_types(config: Any) -> None:
    """Put every field of the (frozen) dataclass `config` into its declared type, or refuse it.

    Raises:
        ValueError: a value that is not of the field's type, NaN or infinite; names class, field, value and remedy.
    """
    for name, hint in _hints(config.__class__).items():
        where, value = f"{type(config).__name__}.{name}", getattr(config, name)
        taken = _take(where, value, hint)
        if name in WORDS and taken is not None and taken not in WORDS[name]:
            raise ValueError(f"{where} is {show(value)}; it must be one of {', '.join(map(repr, WORDS[name]))}")
        object.__setattr__(config, name, taken)


@cache
def _hints(config_class: type[Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(config_class)
    return {field.name: hints[field.name] for field in dataclasses.fields(config_class) if field.init}


def _take(where: str, value: Any, hint: Any) -> Any:
    """`value` as the declared type `hint` has it."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _take_one_of(where, value, parts)
    if origin is tuple:
        return _take_tuple(where, value, parts)
    if hint is bool and not isinstance(value, bool):
        raise ValueError(f"{where} is {show(value)}; it must be True or False")
    if hint is str and not isinstance(value, str):
        raise ValueError(f"{where} is {show(value)}; it must be a word in quotes")
    if hint is int:
        return _take_int(where, value)
    if hint is float:
        return _take_float(where, value)
    return value


def _take_one_of(where: str, value: Any, parts: tuple[Any, ...]) -> Any:
    if value is None and type(None) in parts:
        return None
    if isinstance(value, str) and str in parts:
        return value
    others = [part for part in parts if part not in (type(None), str)]
    if callable(value) and str in parts and float in parts:
        raise ValueError(
            f"{where} is a function, which no checkpoint can hold; write a number or a schedule by name: "
            '"linear:3e-4", "linear:3e-4:1e-5" or "cosine:3e-4:1e-5"'
        )
    try:
        return _take(where, value, others[0] if others else str)
    except ValueError as error:
        or_else = [*(["a word"] if str in parts and others else []), *(["None"] if type(None) in parts else [])]
        raise ValueError(" or ".join([str(error), *or_else])) from None


def _take_int(where: str, value: Any) -> int:
    if where.endswith(".seed"):
        return whole_number(where, value, least=0, most=LAST_SEED)
    number = whole_number(where, value)
    if abs(number) > LARGEST:
        size = f"numbers alone would fill {4 * number / 2**30:,.0f} GiB" if abs(number) < 10**30 else "nothing can"
        raise ValueError(f"{where} is {show(number)}: so many {size}; it must be at most {LARGEST:,}")
    return number


def _take_float(where: str, value: Any) -> float:
    try:
        finite = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        finite = False
    if not finite:
        raise ValueError(f"{where} is {show(value)}; it must be a finite number")
    return typing.cast(float, value)


def _take_tuple(where: str, value: Any, parts: tuple[Any, ...]) -> tuple[Any, ...]:
    if isinstance(value, Mapping):
        value = _one_architecture(where, value)
    if isinstance(value, str):
        words = [word.strip() for word in value.strip("()[] ").split(",")]
        value = words if parts[0] is str else [_number(word) for word in words if word]
    elif isinstance(value, int | float):
        value = (value,)
    if not isinstance(value, list | tuple | np.ndarray):
        raise ValueError(f"{where} is {show(value)}; it must be a tuple such as {_example(parts)}")
    if len(parts) == 2 and parts[1] is Ellipsis:
        items = tuple(_take(f"{where}[{i}]", item, parts[0]) for i, item in enumerate(value))
        if parts[0] is int and any(item < 1 for item in items):
            raise ValueError(f"{where} is {show(value)}; every size in it must be at least 1, as in (64, 64)")
        return items
    if len(value) != len(parts):
        raise ValueError(f"{where} is {show(value)}; it must have {len(parts)} entries, as {_example(parts)}")
    return tuple(_take(f"{where}[{i}]", item, part) for i, (item, part) in enumerate(zip(value, parts, strict=True)))


def _example(parts: tuple[Any, ...]) -> str:
    return {int: "(64, 64)", float: "(0.7, 1.3)"}.get(parts[0], '("a", "b")')


def _number(word: str) -> Any:
    try:
        return float(word)
    except ValueError:
        return word  # refused, and named, as an entry


def _one_architecture(where: str, value: Mapping[Any, Any]) -> Any:
    """Stable-Baselines3's dict(pi=[...], vf=[...]) where both are equal: actor and critic are built alike here."""
    sizes = list(value.values())
    if set(map(str, value)) - {"pi", "vf", "qf"} or not sizes or any(show(size) != show(sizes[0]) for size in sizes):
        raise ValueError(
            f"{where} is {show(value)}; actor and critic have equal sizes here (separate sizes are not supported): "
            f"give one tuple, such as {_example((int,))}"
        )
    return sizes[0]
