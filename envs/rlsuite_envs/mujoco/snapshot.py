"""Random generators as arrays, so that a pool's state is a flat dictionary of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["pack_generators", "remade", "unpack_generators"]

_LOW = (1 << 64) - 1


def pack_generators(generators: Sequence[np.random.Generator]) -> NDArray[np.uint64]:
    """The states of PCG64 generators (what Gymnasium's `np_random` is) as an array [B, 6]."""
    rows = np.empty((len(generators), 6), np.uint64)
    for row, generator in zip(rows, generators, strict=True):
        state = generator.bit_generator.state
        value, increment = state["state"]["state"], state["state"]["inc"]
        row[:4] = value >> 64, value & _LOW, increment >> 64, increment & _LOW
        row[4:] = state["has_uint32"], state["uinteger"]
    return rows


def unpack_generators(rows: NDArray[np.uint64]) -> list[np.random.Generator]:
    """The generators whose states `pack_generators` returned."""
    generators = []
    for row in rows:
        high, low, inc_high, inc_low, has_uint32, uinteger = (int(x) for x in row)
        bits = np.random.PCG64()
        bits.state = {
            "bit_generator": "PCG64",
            "state": {"state": high << 64 | low, "inc": inc_high << 64 | inc_low},
            "has_uint32": has_uint32,
            "uinteger": uinteger,
        }
        generators.append(np.random.Generator(bits))
    return generators


def remade(cls: type[Any], args: tuple[Any, ...], kwargs: dict[str, Any], state: Mapping[str, Any] | None) -> Any:
    """A pool made with the same arguments, in the given state; None where there was no reset yet."""
    pool = cls(*args, **kwargs)
    if state is not None:
        pool.load_state_dict(state)
    return pool
