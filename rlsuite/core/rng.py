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
    "EPISODES",
    "EVALUATION",
    "MEASURE",
    "MOVED",
    "NOISE",
    "OPPONENT",
    "RESETS",
    "TEACHER",
    "env_seed",
    "own_seed",
    "pack_rng",
    "unpack_rng",
]

EVALUATION, NOISE, ATTACK, ACTIONS, OPPONENT, TEACHER, RESETS, EPISODES, MEASURE, MOVED = *range(1, 10), 16
"""Streams of `own_seed`: sampled actions in an evaluation, a smoothed policy's noise, an attack's draws on it, an
agent's actions and minibatches, its opponent's, a curriculum's, the environments of a training, those of an evaluation,
those in which a learner measures its own policies, and (from there on, one per part) generators that have moved to
another kind of device."""
_ENV_SEEDS = 2**31 - 2**20


def own_seed(seed: int, *streams: int) -> int:
    """Seed of a further generator, independent of one seeded with `seed`.

    Two generators of one seed draw the same numbers, and torch's on a CPU keep the low 32 bits of a seed alone: adding
    2^32 to it changes nothing.

    Args:
        seed: of the whole, at least 0.
        streams: each at least 1, a number for each use; further ones count the uses of a kind.
    """
    for stream in streams:
        seed = int(np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return seed


def env_seed(seed: int, *streams: int) -> int:
    """The number to give to `reset(seed=...)` of a vector environment in a run seeded with `seed`.

    Gymnasium's vector environments seed environment i with the number given plus i. Given the run's own seed, runs 0
    and 1 of 16 environments would share 15 of their 16 streams, and so would a training and its evaluation.

    Args:
        seed: of the run, at least 0.
        streams: as in `own_seed`.

    Returns:
        At least 0. It and a million more fit into 31 bits, the seeds that every simulator takes.
    """
    return own_seed(seed, *streams) % _ENV_SEEDS


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
