"""From what a user gives to a kernel's constants: plain values in, errors that name environment and field out."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import spaces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rlsuite_envs.kernel import Kernel

__all__ = ["check_types", "named_errors", "plain", "try_out"]

_WORDS = {float: "a number", int: "an integer", str: "a string", bool: "True or False", tuple: "a tuple"}


def plain(value: Any) -> Any:
    """NumPy's numbers as Python's, and lists as tuples, all the way down: what a Params dataclass can hold."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list):
        return tuple(plain(part) for part in value)
    return value


@contextmanager
def named_errors(owner: str, given: Mapping[str, Any], origin: str) -> Iterator[None]:
    """Errors while an environment is made say of which, and from which constants.

    Args:
        owner: the kernel's name.
        given: the constants that the user chose, by name.
        origin: where the others come from, e.g. "preset='5x5'".

    Raises:
        ValueError, TypeError: as inside, with the names in front; ValueError for other errors that the constants can
            cause (numbers too large, memory), where there are any.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{owner}: {error}{_whose(str(error), given, origin)}") from error
    except (ArithmeticError, LookupError, MemoryError, RuntimeError, AttributeError, AssertionError) as error:
        if not given:
            raise
        first = str(error).strip().split("\n")[0][:200]
        raise ValueError(
            f"{owner} cannot be made with {_listed(given)} ({type(error).__name__}{': ' if first else ''}{first}); use "
            "values of a usual size and kind, as in the documentation of its Params."
        ) from error


def _whose(message: str, given: Mapping[str, Any], origin: str) -> str:
    """What to add to a message that is not about a constant of the user's."""
    if not given or any(name in message.split("=")[0].split("[")[0] for name in given):
        return ""
    return f" You gave {_listed(given)}; what you did not give is of {origin}: give what belongs together."


def _listed(given: Mapping[str, Any]) -> str:
    def short(value: Any) -> str:
        text = repr(value)
        return text if len(text) <= 60 else f"{text[:57]}..."

    return ", ".join(f"{name}={short(value)}" for name, value in given.items())


def check_types(constants: Any, names: Iterable[str]) -> None:
    """Raise ValueError where a constant is of another kind than its annotation: what its own checks let pass."""
    params_class: Any = type(constants)
    for name in names:
        value, accepted = getattr(constants, name), _kinds(params_class)[name]
        if not any(_is_a(value, kind) for kind in accepted):
            words = " or ".join(_WORDS.get(kind, "None" if kind is type(None) else kind.__name__) for kind in accepted)
            raise ValueError(f"{name}={value!r} must be {words}.")


def _is_a(value: Any, kind: type) -> bool:
    if kind is object:
        return True
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is tuple:
        return isinstance(value, tuple | Mapping)
    return isinstance(value, kind)


@cache
def _kinds(params_class: type) -> dict[str, tuple[type, ...]]:
    """Classes that the value of each field may have; object for any."""
    hints = typing.get_type_hints(params_class)
    return {field.name: _classes(hints[field.name]) for field in dataclasses.fields(params_class)}


def _classes(hint: Any) -> tuple[type, ...]:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return tuple(kind for part in typing.get_args(hint) for kind in _classes(part))
    kind = typing.get_origin(hint) or hint
    return (kind,) if isinstance(kind, type) and kind is not Any else (object,)


@torch.no_grad()
def try_out(kernel: Kernel[Any, Any, Any]) -> None:
    """Start one episode and take three steps of it, at both ends of the actions, on a random stream of its own.

    Raises:
        ValueError: an observation or a reward that is not finite; and whatever the kernel raises.
    """
    rng = torch.Generator(kernel.device).manual_seed(0)
    state = kernel.initial_state(1, rng)
    _check_finite("the first observation", kernel.observe(state))
    space = kernel.action_space
    for step, last in enumerate((False, True, False)):
        action = _end_of(space, kernel.device, last=last)
        state, reward, _ = kernel.advance(state, action, kernel.sample_exogenous(state, rng))
        _check_finite(f"the reward of step {step}", reward)
        _check_finite(f"the observation after step {step}", kernel.observe(state))


def _check_finite(what: str, value: Any) -> None:
    for part in value.values() if isinstance(value, dict) else (value,):
        if not torch.isfinite(part).all():
            raise ValueError(f"{what} is not finite with these constants; use values of a usual size.")


def _end_of(space: spaces.Space[Any], device: torch.device, *, last: bool) -> Any:
    """The first or the last action of a space, [1, ...]; infinite bounds count as 1."""
    if isinstance(space, spaces.Tuple):
        return tuple(_end_of(part, device, last=last) for part in space.spaces)
    if isinstance(space, spaces.Dict):
        return {key: _end_of(part, device, last=last) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Box):
        end = np.nan_to_num(space.high if last else space.low, posinf=1.0, neginf=-1.0)
        return torch.as_tensor(end.astype(space.dtype), device=device).unsqueeze(0)
    first: Any = getattr(space, "start", 0)
    count: Any = getattr(space, "nvec", getattr(space, "n", 2)) if not isinstance(space, spaces.MultiBinary) else 2
    end = np.broadcast_to(first + (count - 1 if last else 0), (1, *(space.shape or ())))
    return torch.as_tensor(end.astype(np.int64), device=device)
