"""Generator states survive a checkpoint; states of another kind are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rlsuite.core.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from rlsuite.core.rng import pack_rng, unpack_rng

BIT_GENERATORS = [np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64]


@pytest.mark.parametrize("kind", BIT_GENERATORS)
def test_numpy_round_trip(tmp_path, kind):
    rng = np.random.Generator(kind(3))
    rng.random(5)
    rng.integers(0, 10, dtype=np.int32)  # leaves half a word behind, which is part of the state
    path = save_checkpoint(tmp_path / "rng", meta={}, tensors={"rng": pack_rng(rng)})
    expected = (rng.random(4), rng.normal(size=4), rng.integers(0, 2**31, 5, dtype=np.int32))
    other = np.random.Generator(kind(99))
    unpack_rng(other, load_checkpoint(path).tensors["rng"])
    got = (other.random(4), other.normal(size=4), other.integers(0, 2**31, 5, dtype=np.int32))
    assert all(np.array_equal(a, b) for a, b in zip(expected, got, strict=True))


def test_torch_round_trip(tmp_path):
    rng = torch.Generator().manual_seed(3)
    torch.randn(5, generator=rng)
    path = save_checkpoint(tmp_path / "rng", meta={}, tensors={"rng": pack_rng(rng)})
    expected = torch.randn(20, generator=rng)
    other = torch.Generator()
    unpack_rng(other, load_checkpoint(path).tensors["rng"])
    assert torch.equal(torch.randn(20, generator=other), expected)


def test_bad_states_are_refused_and_change_nothing():
    rng = np.random.default_rng(0)
    before = pack_rng(rng)
    for state in (
        torch.zeros(0, dtype=torch.uint8),
        torch.zeros(9, dtype=torch.uint8),
        pack_rng(np.random.Generator(np.random.MT19937(0))),
        torch.tensor(list(b"[]"), dtype=torch.uint8),
        torch.tensor(list(b'{"bit_generator": "PCG64"}'), dtype=torch.uint8),
        torch.Generator().get_state(),
    ):
        with pytest.raises(CheckpointError, match="random state does not fit"):
            unpack_rng(rng, state)
        assert torch.equal(pack_rng(rng), before)
    with pytest.raises(CheckpointError, match="random state does not fit"):
        unpack_rng(torch.Generator(), before)
