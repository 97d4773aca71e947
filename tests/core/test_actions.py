"""Action spaces: every sampled action is one of the space's, unsupported spaces are named."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite.core.distributions import action_spec, distribution

SPACES = [
    spaces.Discrete(4),
    spaces.Discrete(3, start=-1),
    spaces.MultiDiscrete([3, 2, 5]),
    spaces.MultiDiscrete([3, 2], start=[10, -4]),
    spaces.MultiDiscrete([[3, 2], [1, 4]]),
    spaces.MultiBinary(4),
    spaces.MultiBinary([2, 3]),
    spaces.Box(-1, 1, (3,)),
    spaces.Box(-1, 1, (2, 3), dtype=np.float64),
    spaces.Box(np.array([-1.0, -np.inf, 0.1]), np.array([1.0, 0.5, np.inf]), dtype=np.float64),
    spaces.Box(-np.inf, np.inf, (2,)),
    spaces.Box(-0.1, 0.1, (2,), dtype=np.float16),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_sampled_actions_belong_to_the_space(space):
    spec = action_spec(space)
    generator = torch.Generator().manual_seed(0)
    params = 3 * torch.randn(200, spec.num_params, generator=generator)
    log_std = None if spec.discrete else torch.ones(spec.num_params)
    action = distribution(spec, params, log_std).sample(generator)
    assert action.shape == (200, *spec.action_shape)
    assert action.dtype == spec.action_dtype
    env_action = spec.to_env(action)
    assert env_action.shape == (200, *space.shape)
    batched = gym.vector.utils.batch_space(space, 200)
    assert batched.shape == env_action.shape
    for row in env_action.numpy():
        assert space.contains(row.astype(space.dtype)[()])
    if isinstance(space, spaces.Box):
        assert env_action.numpy().dtype == space.dtype
    # Without a batch axis too.
    assert spec.to_env(action[0]).shape == space.shape


def test_clips_to_the_bounds_and_only_there():
    spec = action_spec(SPACES[9])
    action = torch.tensor([[-3.0, -300.0, -3.0], [0.25, 3.0, 300.0]])
    assert spec.to_env(action).tolist() == [[-1.0, -300.0, 0.1], [0.25, 0.5, 300.0]]


def test_actions_survive_unchanged():
    """`to_env` does not write into the action that is stored for learning."""
    for space in SPACES:
        spec = action_spec(space)
        action = torch.full((2, *spec.action_shape), 1, dtype=spec.action_dtype)
        spec.to_env(action)
        assert bool((action == 1).all())


def test_constants_made_in_inference_mode_serve_training():
    spec = action_spec(spaces.Box(-1, 1, (2,)))
    with torch.inference_mode():
        spec.to_env(torch.zeros(1, 2))
    action = torch.zeros(1, 2, requires_grad=True)
    spec.to_env(action).sum().backward()
    assert action.grad is not None


@settings(max_examples=25, deadline=None)
@given(
    nvec=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    start=st.integers(-5, 5),
    seed=st.integers(0, 99),
)
def test_random_multi_discrete(nvec, start, seed):
    space = spaces.MultiDiscrete(nvec, start=[start] * len(nvec))
    spec = action_spec(space)
    generator = torch.Generator().manual_seed(seed)
    action = distribution(spec, torch.zeros(20, spec.num_params)).sample(generator)
    assert all(space.contains(row) for row in spec.to_env(action).numpy())


@pytest.mark.parametrize(
    "space",
    [
        spaces.Dict({"a": spaces.Discrete(2)}),
        spaces.Tuple([spaces.Discrete(2)]),
        spaces.Box(0, 255, (3,), dtype=np.uint8),
        spaces.Text(3),
        spaces.Sequence(spaces.Discrete(2)),
        None,
        "Discrete(2)",
    ],
    ids=str,
)
def test_unsupported(space):
    with pytest.raises(ValueError, match="not supported; use Discrete, MultiDiscrete, MultiBinary, or Box"):
        action_spec(space)


def test_empty_box():
    with pytest.raises(ValueError, match="at least one action dim"):
        action_spec(spaces.Box(-1, 1, (2, 0)))
