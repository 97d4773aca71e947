"""What a pool checks of its arguments and of its simulations."""

from __future__ import annotations

import os
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from rlsuite_envs.action_arrays import as_numbers, check_kind

__all__ = [
    "SimulationDiverged",
    "check_count",
    "discrete_action",
    "finite_action",
    "mask_ids",
    "raise_if_diverged",
    "usable_cpus",
]

# MuJoCo resets a simulation that raises one of these, which would corrupt an episode unnoticed
_FATAL_WARNINGS = [
    int(mujoco.mjtWarning.mjWARN_BADQPOS),
    int(mujoco.mjtWarning.mjWARN_BADQVEL),
    int(mujoco.mjtWarning.mjWARN_BADQACC),
    int(mujoco.mjtWarning.mjWARN_BADCTRL),
]


_LARGEST = np.finfo(np.float32).max


class SimulationDiverged(FloatingPointError):
    """The physics of an environment became unstable: NaN, infinity or a huge number in its state."""


def raise_if_diverged(id: str, warning: NDArray[np.int32], elapsed: NDArray[np.int64], steps: int) -> None:
    """Name the first environment whose physics MuJoCo had to reset, and clear the counters.

    Args:
        id: the task, for the message.
        warning: MuJoCo's warning counters [B, kinds, (last info, number)]; other kinds are not fatal.
        elapsed: steps of each episode before this one [B].
        steps: steps of the pool before this one.

    Raises:
        SimulationDiverged: if there is such an environment.
    """
    bad = np.flatnonzero(warning[:, _FATAL_WARNINGS, 1].any(axis=1))
    warning[:] = 0
    if bad.size:
        raise SimulationDiverged(
            f"{id}: the simulation of environment {bad[0]} became unstable at step {steps + 1} of the pool, "
            f"step {elapsed[bad[0]] + 1} of its episode ({bad.size} of {len(elapsed)} environments). Reset "
            "the pool; if it happens again, bound the actions or forces, or lower the timestep of the XML."
        )


def finite_action(id: str, action: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """The action as a finite floating array of the shape [B, A] (or [A]), in its own precision.

    Raises:
        ValueError: another shape, booleans, NaN or infinity, naming the environment.
        TypeError: no array of numbers.
    """
    wanted = f"floating-point numbers of shape {shape}"
    action = as_numbers(id, action, wanted)
    if action.dtype.kind != "f":
        check_kind(id, action.dtype, action.dtype.kind, wanted, integers=False)
        action = action.astype(np.float64)
    if action.shape != shape:
        raise ValueError(f"{id}: actions must have shape {shape}, got {action.shape}.")
    # NaN fails the comparison; a number beyond float32, the action space's type, would make an infinite control cost.
    if not np.abs(action).max() <= _LARGEST:
        rows = np.atleast_2d(action)
        bad = int(np.flatnonzero(~(np.abs(rows) <= _LARGEST).all(axis=1))[0])
        raise ValueError(f"{id}: the action of environment {bad} is not finite: {rows[bad]}.")
    return action


def discrete_action(id: str, action: Any, shape: tuple[int, ...], count: int) -> NDArray[np.int64]:
    """The action as integers 0..count - 1 of the shape [B] (or []).

    Raises:
        ValueError: another shape, no integers, or one out of range, naming the environment; TypeError: no numbers.
    """
    wanted = f"integers of shape {shape} in 0..{count - 1}"
    action = as_numbers(id, action, wanted)
    check_kind(id, action.dtype, action.dtype.kind, wanted, integers=True)
    if action.shape != shape:
        raise ValueError(f"{id}: actions must have shape {shape}, got {action.shape}.")
    rows = np.atleast_1d(action)
    bad = np.flatnonzero((rows < 0) | (rows >= count))
    if bad.size:
        raise ValueError(f"{id}: the action of environment {bad[0]} is {rows[bad[0]]}; use 0..{count - 1}.")
    return action.astype(np.int64)


def check_count(name: str, value: Any, least: int) -> None:
    """Raise ValueError unless value is an integer of at least `least`."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name}={value!r} must be an integer of at least {least}.")


def mask_ids(mask: Any, num_envs: int) -> NDArray[np.int32]:
    """The sorted ids of a boolean mask [B] in which some entry is True."""
    mask = np.asarray(mask)
    if mask.dtype != np.bool_ or mask.shape != (num_envs,) or not mask.any():
        raise ValueError(f"options['reset_mask'] must be a bool array of shape ({num_envs},) with some True.")
    return np.flatnonzero(mask).astype(np.int32)


def usable_cpus() -> int:
    """How many CPUs this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
