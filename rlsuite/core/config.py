"""Frozen configuration dataclasses: overrides by name, and JSON for checkpoints."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any, TypeVar

from rlsuite.core.schedules import parse_schedule
from rlsuite.core.settings import check_types, show, whole_number

__all__ = [
    "check_choices",
    "check_range",
    "check_rollout",
    "check_schedule",
    "check_types",
    "config_from_json",
    "make_config",
    "nearest",
    "whole_number",
]

ConfigT = TypeVar("ConfigT")


def nearest(name: str, known: list[str]) -> str:
    """A hint naming the known words nearest to `name`, for error messages."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else f"known are {', '.join(sorted(known))}"


def make_config(config_class: type[ConfigT], config: ConfigT | None, overrides: dict[str, Any]) -> ConfigT:
    """`config` (or the defaults) with `overrides` replaced.

    Raises:
        TypeError: config of another class.
        ValueError: an override that is no field; the message names the nearest ones.
    """
    if config is None:
        config = config_class()
    if not isinstance(config, config_class):
        raise TypeError(f"config must be a {config_class.__name__}, not {type(config).__name__}")
    known = [field.name for field in dataclasses.fields(config_class)]  # type: ignore[arg-type]
    for name in overrides:
        if name not in known:
            raise ValueError(f"{config_class.__name__} has no field {name!r}: {nearest(name, known)}")
    return dataclasses.replace(config, **overrides)  # type: ignore[type-var]


def config_from_json(config_class: type[ConfigT], data: dict[str, Any]) -> ConfigT:
    """A configuration from the JSON of a checkpoint; lists become tuples, as the dataclasses hold them.

    Raises:
        ValueError: a key that is no field of the class.
    """
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    return make_config(config_class, None, values)


def check_range(config: Any, **ranges: tuple[float, float]) -> None:
    """Raise unless each named field of `config` lies in its closed range [low, high]; None is skipped.

    Raises:
        ValueError: names the field, its value and the range.
    """
    for name, (low, high) in ranges.items():
        value = getattr(config, name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(
                f"{type(config).__name__}.{name} is {show(value)}; it must be a number in [{low:g}, {high:g}]"
            )


def check_choices(config: Any, **choices: tuple[str, ...]) -> None:
    """Raise unless each named field of `config` is one of its words.

    Raises:
        ValueError: names the field, its value and the words.
    """
    for name, known in choices.items():
        value = getattr(config, name)
        if value not in known:
            words = ", ".join(map(repr, known))
            raise ValueError(f"{type(config).__name__}.{name} is {show(value)}; it must be one of {words}")


def check_schedule(config: Any, *names: str, most: float = float("inf")) -> None:
    """Raise unless each named field of `config` is a number or schedule that starts in (0, most].

    Raises:
        ValueError: names the field, its value and the remedy.
    """
    for name in names:
        value, owner = getattr(config, name), type(config).__name__
        try:
            start = parse_schedule(value)(1.0)
        except ValueError as error:
            raise ValueError(f"{owner}.{name}: {error}") from error
        if not 0 < start <= most:
            raise ValueError(f"{owner}.{name} is {show(value)}; it must start in (0, {most:g}]")


def check_rollout(config: Any, num_envs: int) -> None:
    """Raise if a minibatch is larger than a rollout of `num_envs` environments; other configurations are skipped.

    Raises:
        ValueError: names batch_size, n_steps and num_envs.
    """
    steps, size = getattr(config, "n_steps", None), getattr(config, "batch_size", None)
    if steps is not None and size is not None and size > steps * num_envs:
        raise ValueError(
            f"batch_size={size} is larger than the rollout of n_steps*num_envs = {steps}*{num_envs} = "
            f"{steps * num_envs} samples; lower batch_size or raise n_steps"
        )
