"""Generator states survive a checkpoint; states of another kind are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite import ATLA, PPO, QARL, RARL
from rlsuite.core.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from rlsuite.core.rng import (
    ACTIONS,
    ATTACK,
    EVALUATION,
    MOVED,
    NOISE,
    OPPONENT,
    own_seed,
    pack_rng,
    unpack_rng,
)

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


@given(seed=st.integers(0, 2**40))
@settings(max_examples=50, deadline=None)
def test_further_seeds_draw_other_numbers(seed):
    """By their draws: a generator's state also stores the seed, of which torch's on a CPU uses the low half alone."""
    seeds = [
        seed,
        *(own_seed(seed, stream) for stream in (EVALUATION, NOISE, ATTACK, ACTIONS, OPPONENT, MOVED)),
    ]
    draws = {tuple(torch.randn(3, generator=torch.Generator().manual_seed(s)).tolist()) for s in seeds}
    assert len(draws) == len(seeds)


SMALL = {"num_envs": 2, "device": "cpu", "seed": 4}


def draws_of(*generators):
    return [tuple(torch.randn(4, generator=rng).tolist()) for rng in generators]


def test_nobody_draws_what_another_draws():
    """Players, their environment and their adversaries: as many streams as there are."""
    qarl, rarl = QARL("InvertedPendulum-v5", **SMALL), RARL("InvertedPendulum-v5", **SMALL)
    atla = ATLA("InvertedPendulum-v5", **SMALL)
    for mine, theirs in (
        (qarl.players[0].generator, qarl.players[1].generator),
        (rarl.generator, rarl.adversary_generator),
        (atla.generator, atla.ground.generator),
    ):
        assert len(set(draws_of(mine, theirs))) == 2
    ppo = PPO("rlsuite/CartPole-v1", **SMALL)
    ppo.start_runner()
    kernel = torch.Generator().manual_seed(ppo.venv._rng.initial_seed())
    assert len(set(draws_of(torch.Generator().manual_seed(ppo.generator.initial_seed()), kernel))) == 2


def test_generators_that_move_to_another_device_stay_apart(tmp_path):
    path = tmp_path / "model.zip"
    QARL("InvertedPendulum-v5", **SMALL).save(path)
    saved = load_checkpoint(path)
    save_checkpoint(path, meta={**saved.meta, "device": "cuda"}, tensors=saved.tensors)
    moved = QARL.load(path, device="cpu")
    assert len(set(draws_of(*(player.generator for player in moved.players)))) == 2
