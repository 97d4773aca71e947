"""Between Gymnasium's spaces and a kernel's tensors: actions in (checked), observations out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

__all__ = ["action_reader", "mask_size", "to_numpy", "to_row"]


def action_reader(
    space: spaces.Space[Any], num_envs: int, *, device: torch.device, dtype: torch.dtype, validate: bool
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

    Returns:
        The function; it raises ValueError naming the action, its value and the remedy.

    Raises:
        ValueError: a space that is none of Box, Discrete, MultiDiscrete, MultiBinary, Tuple, Dict.
    """
    if isinstance(space, spaces.Tuple):
        parts = [action_reader(s, num_envs, device=device, dtype=dtype, validate=validate) for s in space.spaces]
        return lambda action: tuple(read(part) for read, part in zip(parts, action, strict=True))
    if isinstance(space, spaces.Dict):
        named = {
            key: action_reader(s, num_envs, device=device, dtype=dtype, validate=validate)
            for key, s in space.spaces.items()
        }
        return lambda action: {key: read(action[key]) for key, read in named.items()}
    check: Callable[[Tensor], None]
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        kept = {torch.float32, dtype}
        wanted, check = torch.float32, _check_finite
    elif isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary | spaces.Box):
        kept = {torch.int64}
        wanted, check = torch.int64, _range_check(space)
    else:
        raise ValueError(
            f"Action space {space} is not supported; use Box, Discrete, MultiDiscrete, MultiBinary, "
            "or Tuple or Dict of these."
        )
    shape = (num_envs, *(space.shape or ()))

    def read(action: Any) -> Tensor:
        if isinstance(action, np.ndarray) and not action.flags.writeable:
            action = action.copy()  # torch warns about memory it could not write to
        tensor = torch.as_tensor(action, device=device)
        if tensor.shape != shape:
            raise ValueError(
                f"action has shape {tuple(tensor.shape)} but must have {shape}: one action of {space} for "
                f"each of the {num_envs} environments."
            )
        if tensor.dtype not in kept:
            if wanted == torch.int64 and tensor.is_floating_point():
                raise ValueError(f"action has dtype {tensor.dtype} but {space} takes integers; cast it, e.g. to int64.")
            tensor = tensor.to(wanted)
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


def _check_finite(action: Tensor) -> None:
    # aminmax carries NaN through: one pass over the batch instead of isfinite, all and a temporary mask.
    low, high = (bound.item() for bound in torch.aminmax(action.detach()))
    if not (-np.inf < low and high < np.inf):
        row = _first((~torch.isfinite(action)).reshape(action.shape[0], -1).any(1))
        raise ValueError(
            f"action[{row}]={action[row].tolist()} is not finite; check the policy's output (often a "
            "diverged network or an unnormalised observation)."
        )


def _range_check(space: Any) -> Callable[[Tensor], None]:
    """A check that every integer lies in the space's range."""
    if isinstance(space, spaces.Discrete):
        first, last = int(space.start), int(space.start + space.n - 1)

        def check_discrete(action: Tensor) -> None:
            smallest, largest = (bound.item() for bound in torch.aminmax(action))
            if smallest < first or largest > last:
                row = _first((action < first) | (action > last))
                raise ValueError(f"action[{row}]={action[row].item()} is outside {space}: use {first}..{last}.")

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
                f"action[{row}]={action[row].tolist()} is outside {space}: each component must lie in "
                f"{lowest.tolist()}..{highest.tolist()}."
            )

    return check


def _first(wrong: Tensor) -> int:
    """The first row [B] bool that is true."""
    return int(wrong.nonzero()[0].item())


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
