"""Observations of any supported space as flat float rows, and spaces as JSON for checkpoints."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces

Json = dict[str, Any]
SUPPORTED = "supported are Box, Discrete, MultiDiscrete, MultiBinary, Dict and Tuple"


def obs_size(space: gym.Space[Any]) -> int:
    """Numbers O in a flattened observation: Discrete and MultiDiscrete one-hot, Dict and Tuple the sum.

    Raises:
        ValueError: the space (or a part of it) has no fixed flat form; the message names what is supported.
    """
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        return int(np.prod(space.shape))
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return int(np.sum(space.nvec))
    if isinstance(space, spaces.Dict):
        return sum(obs_size(part) for part in space.spaces.values())
    if isinstance(space, spaces.Tuple):
        return sum(obs_size(part) for part in space.spaces)
    raise ValueError(
        f"observation space {space} is not supported; use Box, Discrete, MultiDiscrete, MultiBinary, "
        "or a Dict or Tuple of these (gymnasium.wrappers.FlattenObservation turns others into Box)"
    )


def is_picture(space: gym.Space[Any]) -> bool:
    """Whether the space is one of pictures, or of stacks of them: uint8 from 0 to 255 with three axes or more."""
    return (
        isinstance(space, spaces.Box)
        and space.dtype == np.uint8
        and len(space.shape) >= 3
        and bool(space.low.max() == 0 and space.high.min() == 255)
    )


def picture_pixels(space: gym.Space[Any]) -> int:
    """Numbers in an observation that are pixels of pictures, through Dict and Tuple."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        parts = space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces
        return sum(picture_pixels(part) for part in parts)
    return obs_size(space) if is_picture(space) else 0


def flatten_obs(space: gym.Space[Any], obs: Any, device: torch.device) -> torch.Tensor:
    """A batch of observations [B, ...] as rows [B, O], as exact as they came until they are normalised.

    Rows are float64 where a part is float64 or an integer wider than 16 bits, else float32 (or float16). Pixels of
    pictures (see `is_picture`) are divided by 255; pictures given as floats count as divided already.
    """
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        rows = torch.as_tensor(obs, device=device)
        if rows.dim() != 2:
            rows = rows.flatten(1) if rows.dim() > 2 else rows[:, None]
        if rows.is_floating_point():
            return rows
        if is_picture(space):
            return rows.float() / 255.0
        return rows.float() if rows.element_size() <= 2 else rows.double()
    if isinstance(space, spaces.Discrete):
        index = torch.as_tensor(obs, device=device).long().reshape(-1) - int(space.start)
        return torch.nn.functional.one_hot(index, int(space.n)).float()
    if isinstance(space, spaces.MultiDiscrete):
        index = torch.as_tensor(obs, device=device).long()
        start = torch.as_tensor(space.start, device=device).long()
        columns = (index - start).flatten(1).unbind(1)  # flatten, not len(): ONNX export keeps B free
        sizes = np.asarray(space.nvec).reshape(-1)
        hot = [torch.nn.functional.one_hot(column, int(n)) for column, n in zip(columns, sizes, strict=True)]
        return torch.cat(hot, dim=1).float()
    if isinstance(space, spaces.Dict):
        parts = [flatten_obs(part, obs[key], device) for key, part in space.spaces.items()]
        return torch.cat(parts, dim=1)  # in the widest of their dtypes
    if isinstance(space, spaces.Tuple):
        parts = [flatten_obs(part, value, device) for part, value in zip(space.spaces, obs, strict=True)]
        return torch.cat(parts, dim=1)  # in the widest of their dtypes
    raise ValueError(f"observation space {space} is not supported (see rlsuite.core.spaces.obs_size)")


def add_batch_axis(space: gym.Space[Any], obs: Any) -> tuple[Any, bool]:
    """`obs` with a leading batch axis, and whether it had none (a single observation).

    Raises:
        ValueError: the shape fits neither one observation nor a batch of them.
    """
    if isinstance(space, spaces.Dict):
        pairs = {key: add_batch_axis(part, obs[key]) for key, part in space.spaces.items()}
        return {key: pair[0] for key, pair in pairs.items()}, any(pair[1] for pair in pairs.values())
    if isinstance(space, spaces.Tuple):
        rows = [add_batch_axis(part, value) for part, value in zip(space.spaces, obs, strict=True)]
        return tuple(row[0] for row in rows), any(row[1] for row in rows)
    array = obs if isinstance(obs, torch.Tensor) else np.asarray(obs)
    shape = space.shape or ()
    if tuple(array.shape) == tuple(shape):
        return array[None], True
    if tuple(array.shape[1:]) == tuple(shape):
        return array, False
    raise ValueError(
        f"observation of shape {tuple(array.shape)} does not fit the space {space}: "
        f"give {tuple(shape)} for one or (B, {', '.join(map(str, shape))}) for a batch"
    )


def space_to_json(space: gym.Space[Any]) -> Json:
    """A description of the space that `space_from_json` turns back into an equal one."""
    if isinstance(space, spaces.Box):
        return {
            "type": "Box",
            "low": [str(x) for x in space.low.reshape(-1)],  # str keeps inf, which JSON has not
            "high": [str(x) for x in space.high.reshape(-1)],
            "shape": list(space.shape),
            "dtype": str(space.dtype),
        }
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n), "start": int(space.start), "dtype": str(space.dtype)}
    if isinstance(space, spaces.MultiDiscrete):
        return {
            "type": "MultiDiscrete",
            "nvec": space.nvec.tolist(),
            "start": np.asarray(space.start).tolist(),
            "dtype": str(space.dtype),
        }
    if isinstance(space, spaces.MultiBinary):
        return {"type": "MultiBinary", "n": space.n if isinstance(space.n, int) else list(space.shape)}
    if isinstance(space, spaces.Dict):
        parts = [[key, space_to_json(part)] for key, part in space.spaces.items()]
        return {"type": "Dict", "spaces": parts}
    if isinstance(space, spaces.Tuple):
        return {"type": "Tuple", "spaces": [space_to_json(part) for part in space.spaces]}
    raise ValueError(f"space {space} cannot be written to a checkpoint; {SUPPORTED}")


def _integer(data: Json) -> Any:
    """The dtype of a Discrete or MultiDiscrete; checkpoints of version 0.1 do not name it."""
    return np.dtype(data.get("dtype", "int64")).type


def space_from_json(data: Json) -> gym.Space[Any]:
    """The space that `space_to_json` described.

    Raises:
        ValueError: unknown type.
    """
    kind = data.get("type")
    if kind == "Box":
        dtype = np.dtype(data["dtype"])
        cast = float if np.issubdtype(dtype, np.floating) else int
        low, high = (
            np.array([cast(x) for x in data[side]], dtype=dtype).reshape(data["shape"]) for side in ("low", "high")
        )
        return spaces.Box(low, high, dtype=dtype.type)
    if kind == "Discrete":
        return spaces.Discrete(data["n"], start=data["start"], dtype=_integer(data))
    if kind == "MultiDiscrete":
        return spaces.MultiDiscrete(np.array(data["nvec"]), start=np.array(data["start"]), dtype=_integer(data))
    if kind == "MultiBinary":
        return spaces.MultiBinary(data["n"])
    if kind == "Dict":
        return spaces.Dict([(key, space_from_json(part)) for key, part in data["spaces"]])
    if kind == "Tuple":
        return spaces.Tuple([space_from_json(part) for part in data["spaces"]])
    raise ValueError(f"unknown space type {kind!r} in a checkpoint; {SUPPORTED}")
