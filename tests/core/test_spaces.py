"""Flat observations against Gymnasium's own flattening, and spaces through JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite.core.spaces import add_batch_axis, flatten_obs, obs_size, space_from_json, space_to_json
from rlsuite.core.vector import _stack

SIMPLE = st.one_of(
    st.builds(
        lambda shape: spaces.Box(-1.0, 2.0, tuple(shape), np.float64),
        st.lists(st.integers(1, 3), min_size=1, max_size=3),
    ),
    st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 5), st.integers(-2, 3)),
    st.builds(lambda nvec: spaces.MultiDiscrete(nvec), st.lists(st.integers(1, 4), min_size=1, max_size=3)),
    st.builds(spaces.MultiBinary, st.integers(1, 4)),
)
ANY = st.one_of(
    SIMPLE,
    st.builds(spaces.Dict, st.dictionaries(st.sampled_from("abcd"), SIMPLE, min_size=1, max_size=3)),
    st.builds(spaces.Tuple, st.lists(SIMPLE, min_size=1, max_size=3)),
)


@settings(max_examples=60, deadline=None)
@given(space=ANY, batch=st.integers(1, 4), seed=st.integers(0, 99))
def test_flattening_equals_gymnasiums(space, batch, seed):
    space.seed(seed)
    samples = [space.sample() for _ in range(batch)]
    rows = flatten_obs(space, _stack(samples), torch.device("cpu"))
    expected = np.stack([spaces.flatten(space, sample) for sample in samples])
    assert rows.shape == (batch, obs_size(space)) == expected.shape
    np.testing.assert_allclose(rows.numpy(), expected, rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(space=ANY)
def test_json_round_trip(space):
    assert space_from_json(json.loads(json.dumps(space_to_json(space)))) == space


def test_infinite_bounds_survive_json():
    space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    assert space_from_json(json.loads(json.dumps(space_to_json(space)))) == space


@settings(max_examples=30, deadline=None)
@given(space=SIMPLE)
def test_batch_axis(space):
    one = space.sample()
    assert add_batch_axis(space, one)[1]
    batched, single = add_batch_axis(space, _stack([one, one]))
    assert not single and len(batched) == 2


def test_bad_shapes_and_spaces_are_named():
    box = spaces.Box(-1, 1, (3,))
    with pytest.raises(ValueError, match=r"shape \(4,\) does not fit"):
        add_batch_axis(box, np.zeros(4))
    with pytest.raises(ValueError, match="is not supported"):
        obs_size(spaces.Text(5))
    with pytest.raises(ValueError, match="unknown space type 'Graph'"):
        space_from_json({"type": "Graph"})
