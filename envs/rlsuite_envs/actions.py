"""Between Gymnasium's spaces and a kernel's tensors: actions in (checked), observations out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.action_arrays import as_numbers, check_kind, shown

__all__ = ["action_reader", "batch_of_one", "mask_size", "to_numpy", "to_row"]


def action_reader(
    space: spaces.Space[Any],
    num_envs: int,
    *,
    device: torch.device,
    dtype: torch.dtype,
    validate: bool,
    owner: str = "environment",
) -> Callable[[Any], Any]:
    """A function from a batch of actions to the kernel's tensors.

    Actions are arrays, tensors or lists, nested for Tuple and Dict spaces.

    Args:
        space: action space of one environment.
        num_envs: B, the leading length every leaf must have.
        device: where the tensors go.
        dtype: the kernel's floating-point type; a float64 kernel leaves float32 actions as they are.
        validate: look at the values: non-finite Box actions and integers outside their range raise. It reads
            values back from the device, so that the shells switch it off on a GPU.
        owner: the environment's name, with which messages begin.

    Returns:
        The function; it raises ValueError (TypeError for what is no array of numbers) naming the environment, the
        action, its value and the remedy. Booleans are numbers for MultiBinary spaces only.

    Raises:
        ValueError: a space that is none of Box, Discrete, MultiDiscrete, MultiBinary, Tuple, Dict.
    """

    def reader_of(part: spaces.Space[Any], name: Any) -> Callable[[Any], Any]:
        return action_reader(
            part, num_envs, device=device, dtype=dtype, validate=validate, owner=f"{owner}, part {name!r}"
        )

    if isinstance(space, spaces.Tuple):
        return _tuple_reader(owner, space, [reader_of(part, i) for i, part in enumerate(space.spaces)])
    if isinstance(space, spaces.Dict):
        return _dict_reader(owner, space, {key: reader_of(part, key) for key, part in space.spaces.items()})
    return _leaf_reader(space, num_envs, device=device, dtype=dtype, validate=validate, owner=owner)


def _leaf_reader(
    space: spaces.Space[Any], num_envs: int, *, device: torch.device, dtype: torch.dtype, validate: bool, owner: str
) -> Callable[[Any], Tensor]:
    """`action_reader` of a space that is no Tuple or Dict."""
    check: Callable[[Tensor], None]
    integers, flags = True, isinstance(space, spaces.MultiBinary)
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        kept, integers = {torch.float32, dtype}, False
        wanted, check = torch.float32, _finite_check(owner)
    elif isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary | spaces.Box):
        kept = {torch.int64}
        wanted, check = torch.int64, _range_check(owner, space)
    else:
        raise ValueError(
            f"Action space {space} is not supported; use Box, Discrete, MultiDiscrete, MultiBinary, "
            "or Tuple or Dict of these."
        )
    shape = (num_envs, *(space.shape or ()))

    def read(action: Any) -> Tensor:
        tensor = action if isinstance(action, Tensor) else _as_tensor(owner, action, space)
        if tensor.layout != torch.strided:
            raise TypeError(f"{owner}: action is a {tensor.layout} tensor; give a dense one.")
        if tensor.shape != shape:
            raise ValueError(
                f"{owner}: action has shape {tuple(tensor.shape)} but must have {shape}: one action of {space} for "
                f"each of the {num_envs} environments."
            )
        if tensor.dtype not in kept:
            if tensor.dtype.is_complex:
                raise TypeError(f"{owner}: action has dtype {tensor.dtype}; give {space}.")
            kind = "b" if tensor.dtype == torch.bool else "f" if tensor.is_floating_point() else "i"
            check_kind(owner, tensor.dtype, kind, space, integers=integers, flags=flags)
            tensor = tensor.to(wanted)
        if tensor.device != device:
            tensor = tensor.to(device)
        if validate:
            check(tensor)
        return tensor

    return read


def mask_size(space: spaces.Space[Any]) -> int | None:
    """Entries of an action mask (see `Kernel.action_mask`); None for spaces whose actions cannot be masked."""
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return int(space.nvec.sum())
    return 2 * int(np.prod(space.shape)) if isinstance(space, spaces.MultiBinary) else None


def _tuple_reader(owner: str, space: spaces.Tuple, readers: list[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """The reader of a pair of actions, or of more."""

    def read(action: Any) -> tuple[Any, ...]:
        if not isinstance(action, tuple | list) or len(action) != len(readers):
            raise ValueError(
                f"{owner}: action={shown(action)} must be a tuple of {len(readers)} parts, one per part of {space}."
            )
        return tuple(reader(part) for reader, part in zip(readers, action, strict=True))

    return read


def _dict_reader(owner: str, space: spaces.Dict, readers: dict[str, Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """The reader of named actions."""

    def read(action: Any) -> dict[str, Any]:
        if not isinstance(action, Mapping) or set(action) != set(readers):
            raise ValueError(f"{owner}: action={shown(action)} must be a dict with the keys of {space}.")
        return {key: reader(action[key]) for key, reader in readers.items()}

    return read


def _as_tensor(owner: str, action: Any, space: spaces.Space[Any]) -> Tensor:
    """Arrays, lists, numbers and lists of tensors as a tensor on the CPU."""
    if isinstance(action, list | tuple) and action and all(isinstance(part, Tensor) for part in action):
        try:
            return torch.stack(tuple(action))
        except RuntimeError as error:
            raise ValueError(f"{owner}: action={shown(action)} mixes shapes or devices; give {space}.") from error
    array = as_numbers(owner, action, space)
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)
    elif not array.flags.writeable or array.dtype.itemsize > 8:
        # torch warns about memory it could not write to, and has no long doubles
        array = array.astype(np.float64) if array.dtype.itemsize > 8 else array.copy()
    return torch.from_numpy(array) if array.ndim else torch.tensor(array.item())


def _finite_check(owner: str) -> Callable[[Tensor], None]:
    """A check that every number is finite."""

    def check(action: Tensor) -> None:
        # aminmax carries NaN through: one pass over the batch instead of isfinite, all and a temporary mask.
        low, high = (bound.item() for bound in torch.aminmax(action.detach()))
        if not (-np.inf < low and high < np.inf):
            row = _first((~torch.isfinite(action)).reshape(action.shape[0], -1).any(1))
            raise ValueError(
                f"{owner}: action[{row}]={action[row].tolist()} is not finite; check the policy's output (often a "
                "diverged network or an unnormalised observation)."
            )

    return check


def _range_check(owner: str, space: Any) -> Callable[[Tensor], None]:
    """A check that every integer lies in the space's range."""
    if isinstance(space, spaces.Discrete):
        first, last = int(space.start), int(space.start + space.n - 1)

        def check_discrete(action: Tensor) -> None:
            smallest, largest = (bound.item() for bound in torch.aminmax(action))
            if smallest < first or largest > last:
                row = _first((action < first) | (action > last))
                raise ValueError(
                    f"{owner}: action[{row}]={action[row].item()} is outside {space}: use {first}..{last}."
                )

        return check_discrete
    if isinstance(space, spaces.MultiDiscrete):
        low, high = torch.as_tensor(space.start), torch.as_tensor(space.start + space.nvec - 1)
    elif isinstance(space, spaces.MultiBinary):
        low, high = torch.zeros(space.shape, dtype=torch.int64), torch.ones(space.shape, dtype=torch.int64)
    else:
        low, high = torch.as_tensor(space.low).long(), torch.as_tensor(space.high).long()
    bounds: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def check(action: Tensor) -> None:
        if action.device not in bounds:
            bounds[action.device] = low.to(action.device), high.to(action.device)
        lowest, highest = bounds[action.device]
        wrong = (action < lowest) | (action > highest)
        if wrong.any():
            row = _first(wrong.reshape(wrong.shape[0], -1).any(1))
            raise ValueError(
                f"{owner}: action[{row}]={action[row].tolist()} is outside {space}: each component must lie in "
                f"{lowest.tolist()}..{highest.tolist()}."
            )

    return check


def _first(wrong: Tensor) -> int:
    """The first row [B] bool that is true."""
    return int(wrong.nonzero()[0].item())


def batch_of_one(owner: str, space: spaces.Space[Any], action: Any) -> Any:
    """An action of one environment as the batch [1, ...] that `action_reader` reads."""
    if isinstance(space, spaces.Tuple) and isinstance(action, tuple | list) and len(action) == len(space.spaces):
        return tuple(
            batch_of_one(f"{owner}, part {i}", part, one)
            for i, (part, one) in enumerate(zip(space.spaces, action, strict=True))
        )
    if isinstance(space, spaces.Dict) and isinstance(action, Mapping) and set(action) == set(space.spaces):
        return {key: batch_of_one(f"{owner}, part {key!r}", part, action[key]) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple | spaces.Dict):
        return action  # the reader says what is wrong with it
    return action[None] if isinstance(action, Tensor) else as_numbers(owner, action, space)[None]


def to_numpy(value: Any) -> Any:
    """Tensors of a tensor, dict or tuple as NumPy arrays (views, on the CPU)."""
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, dict):
        return {key: to_numpy(part) for key, part in value.items()}
    return tuple(to_numpy(part) for part in value)


def to_row(value: Any) -> Any:
    """The first row of every tensor as a NumPy array, a scalar where nothing is left of the shape."""
    if isinstance(value, Tensor):
        return value[0].detach().cpu().numpy()[()]
    if isinstance(value, dict):
        return {key: to_row(part) for key, part in value.items()}
    return tuple(to_row(part) for part in value)
