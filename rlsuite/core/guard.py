"""What an environment may hand over: finite numbers that float32 can square, and masks that allow something.

A step that breaks this is refused before anybody acts on it or learns from it, and the message names what it was, the
environment and the step. Steps are counted per environment from when the model took the environment on; step 0 is the
first reset. Letters: B environments, A' entries of a mask.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlsuite.core.actions import ActionSpec

__all__ = [
    "FINITE",
    "LARGEST",
    "LARGEST_NORMALIZED",
    "check_mask",
    "check_numbers",
    "check_peaks",
    "check_rows",
    "check_tree",
    "forbidding",
    "peak",
]

LARGEST = 1e18
"""Largest absolute observation or reward: squares, and sums of a batch of them, still fit into float32."""
LARGEST_NORMALIZED = 1e150
"""Largest absolute reward where it is normalised first, which is done in float64."""
FINITE = float(np.finfo(np.float32).max)
"""Largest absolute value of numbers that need only fit into float32."""

_DIVERGED = "the policy has diverged: lower learning_rate, or normalise (normalize_obs, normalize_reward)"


def check_numbers(what: str, values: Tensor, step: int, largest: float = LARGEST, *, of: str = "environment") -> None:
    """Raise if any of values [B, ...] is NaN, infinite or too large; one pass over them, and a host sync.

    Args:
        what: "observation", "reward", ...; begins the message.
        values: any real dtype.
        step: for the message.
        largest: allowed absolute value.
        of: what the leading axis counts.

    Raises:
        FloatingPointError: names `what`, the value, the environment and the step.
    """
    flat = values.reshape(-1)
    if flat.dtype not in (torch.float32, torch.float64):
        flat = flat.double()
    # NaN and infinity reach the sum, and so does a number whose square exceeds the bound's: true only if all are fine
    if torch.dot(flat, flat).item() < largest * largest:
        return
    wrong = ~(values.abs() <= largest)
    if bool(wrong.any()):
        b, *place = wrong.nonzero()[0].tolist()
        raise _bad(what, values[(b, *place)].item(), b, step, place, largest, of)


def _bad(
    what: str, value: float, b: int, step: int | str, place: list[int], largest: float, of: str
) -> FloatingPointError:
    entry = f" (index {place})" if place else ""
    if np.isfinite(value):
        return FloatingPointError(
            f"{what} of {of} {b} at step {step} is {value}{entry}: too large for float32 arithmetic; "
            f"scale it to at most {largest:g} in absolute value"
        )
    remedy = _DIVERGED if what.endswith("action") else f"look at that {of}'s dynamics"
    return FloatingPointError(f"{what} is {value} at step {step} in {of} {b}{entry}; {remedy}")


def peak(values: Tensor) -> Tensor:
    """Largest absolute value [B] of values [B, ...], NaN where there is one; no host sync."""
    return values.reshape(len(values), -1).abs().amax(1)


def check_tree(
    what: str, value: Any, step: int, during: str = "", *, env: int | None = None, largest: float | None = None
) -> None:
    """`check_numbers` for observations, rewards and actions as environments give them; float entries must be finite.

    Args:
        what: as there.
        value: array or tensor [B, ...], or a dict or tuple of such.
        step: as there.
        during: " of the evaluation", say, after the step's number.
        env: the environment, where value is of it alone and has no leading axis.
        largest: allowed absolute value; None is any finite one.

    Raises:
        FloatingPointError: names `what`, the value, the environment and the step.
    """
    if isinstance(value, dict | tuple):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            check_tree(f"{what} {key!r}", part, step, during, env=env, largest=largest)
        return
    array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.kind != "f":
        return
    fine = np.isfinite(array) if largest is None else np.abs(array) <= largest
    if fine.all():
        return
    array, fine = (array, fine) if env is None else (array[None], np.asarray(fine)[None])
    b, *place = np.argwhere(~fine)[0].tolist()
    number = array[(b, *place)].item()
    raise _bad(what, number, b if env is None else env, f"{step}{during}", place, largest or FINITE, "environment")


def check_peaks(what: str, peaks: Tensor, step: int, largest: float) -> None:
    """`check_numbers` where only the `peak` [B] of each environment's values is known; a host sync.

    Raises:
        FloatingPointError: as there.
    """
    wrong = ~(peaks <= largest)
    if bool(wrong.any()):
        b = int(wrong.nonzero()[0])
        raise _bad(what, peaks[b].item(), b, step, [], largest, "environment")


def check_rows(rows: Tensor) -> None:
    """Raise if observation rows [B, O] given to `predict` hold a number that a network cannot take; a host sync.

    Raises:
        ValueError: names the row, the entry and the value.
    """
    wrong = ~(rows.abs() <= LARGEST)
    if bool(wrong.any()):
        b, entry = wrong.nonzero()[0].tolist()
        value = rows[b, entry].item()
        fault = "numbers too large for float32 arithmetic" if np.isfinite(value) else "NaN or infinite numbers"
        raise ValueError(
            f"the observation given to predict has {fault}: {value} in row {b}, entry {entry} (flattened); look at the "
            f"environment, or keep its observations within {LARGEST:g}"
        )


def check_mask(mask: Any, spec: ActionSpec, rows: int, device: torch.device | str, where: str) -> Tensor:
    """An action mask as a bool tensor [B, A'] on `device`; its values are not looked at (see `forbidding`).

    Args:
        mask: array or tensor [B, A'] of bool or of integers 0 and 1; A' is n for Discrete, the sum of nvec for
            MultiDiscrete (components one after the other), 2 n for MultiBinary (may it be 0, may it be 1, per bit).
        spec: the action space.
        rows: B.
        device: where the mask goes.
        where: whose mask, and when; begins the message.

    Raises:
        ValueError: another shape or dtype, or an action space that takes no mask.
    """
    if not spec.discrete:
        raise ValueError(f"{where}: Box actions take no action mask; leave it out")
    array = mask if isinstance(mask, Tensor) else np.asarray(mask)
    kind = str(array.dtype).removeprefix("torch.")
    if tuple(array.shape) != (rows, spec.mask_size) or not kind.startswith(("bool", "int", "uint")):
        raise ValueError(
            f"{where}: an action mask of {spec.kind} actions must be bool of shape {(rows, spec.mask_size)} "
            f"(True = allowed), not {kind} of shape {tuple(array.shape)}"
        )
    tensor = torch.as_tensor(array, device=device)
    if tensor.dtype != torch.bool:
        if tensor.device.type == "cpu" and bool(((tensor != 0) & (tensor != 1)).any()):
            raise ValueError(f"{where}: an action mask of integers must hold 0 and 1 only; give bool")
        tensor = tensor.bool()
    return tensor


def forbidding(mask: Tensor, spec: ActionSpec) -> Tensor:
    """Rows [B] of mask [B, A'] that leave nothing to choose for some component of the action; no host sync."""
    choices = spec.choices
    if len(set(choices)) == 1:
        return ~mask.view(len(mask), len(choices), choices[0]).any(2).all(1)
    return ~torch.stack([part.any(1) for part in mask.split(list(choices), dim=1)], dim=1).all(1)
