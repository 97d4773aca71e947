"""Random generators: seeds that keep them apart, and their states as tensors, so that a checkpoint can hold them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlsuite.core.checkpoint import CheckpointError

__all__ = [
    "ACTIONS",
    "ATTACK",
    "EVALUATION",
    "MOVED",
    "NOISE",
    "OPPONENT",
    "TEACHER",
    "own_seed",
    "pack_rng",
    "unpack_rng",
]

EVALUATION, NOISE, ATTACK, ACTIONS, OPPONENT, TEACHER, MOVED = 1, 2, 3, 4, 5, 6, 16
"""Streams of `own_seed`: sampled actions in an evaluation, a smoothed policy's noise, an attack's draws on it, an
agent's actions and minibatches, its opponent's, a curriculum's, and (from there on, one per part) generators that have
moved to another kind of device."""


def own_seed(seed: int, stream: int) -> int:
    """The seed of a further generator beside one that was seeded with `seed`.

    Two generators of one seed draw the same numbers, and torch's on a CPU keep the low 32 bits of a seed alone: adding
    2^32 to it changes nothing.

    Args:
        seed: of the whole, at least 0.
        stream: at least 1, a number for each use.
    """
    return int(np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def pack_rng(generator: torch.Generator | np.random.Generator) -> Tensor:
    """The state of a generator as a uint8 tensor, for a checkpoint."""
    if isinstance(generator, torch.Generator):
        return generator.get_state().clone()
    text = json.dumps(generator.bit_generator.state, default=lambda x: {"__array__": x.tolist()})
    return torch.from_numpy(np.frombuffer(text.encode(), np.uint8).copy())


def unpack_rng(generator: torch.Generator | np.random.Generator, state: Tensor) -> None:
    """Set a generator, in place, to the state that `pack_rng` gave for one of the same kind.

    Raises:
        CheckpointError: If the state is damaged or of another kind of generator.
    """
    try:
        if isinstance(generator, torch.Generator):
            generator.set_state(state.to("cpu", torch.uint8).contiguous())
            return
        text = bytes(state.to("cpu", torch.uint8).numpy())
        decoded = json.loads(text, object_hook=_restore_array)
        generator.bit_generator.state = decoded
    except (
        ValueError,
        TypeError,
        KeyError,
        RuntimeError,
        RecursionError,
        OverflowError,
        AttributeError,
    ) as error:
        raise CheckpointError(
            f"random state does not fit a {type(generator).__module__}.{type(generator).__name__} ({error}); "
            "restore it on the kind of device and generator it was saved from."
        ) from error


def _restore_array(item: dict[str, Any]) -> Any:
    return np.array(item["__array__"], dtype=np.uint64) if set(item) == {"__array__"} else item
