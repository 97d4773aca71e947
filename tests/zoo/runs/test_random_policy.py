"""Random play is uniform over what is allowed."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from rlsuite_zoo.runs.random_policy import RandomPolicy


def test_only_allowed_actions_and_all_of_them() -> None:
    env: Any = gym.make_vec("rlsuite/ProbeMask-v0", num_envs=500)
    obs, _ = env.reset(seed=0)
    policy = RandomPolicy(env, 0)
    masks = env.action_masks()
    counts = np.zeros(masks.shape)
    for _ in range(60):
        action, _ = policy.predict(obs, action_masks=masks)
        assert masks[np.arange(500), action].all()
        counts[np.arange(500), action] += 1
    expected = masks / masks.sum(1, keepdims=True)
    np.testing.assert_allclose(counts.sum(0) / counts.sum(), expected.mean(0), atol=0.02)


@pytest.mark.parametrize("id", ["rlsuite/ProbeMultiDiscrete-v0", "rlsuite/Pendulum-v1", "rlsuite/ProbeMask-v0"])
def test_one_environment_gets_one_action(id: str) -> None:
    env = gym.make(id)
    obs, info = env.reset(seed=0)
    action, _ = RandomPolicy(env, 1).predict(obs, action_masks=info.get("action_mask"))
    assert env.action_space.contains(action)
    again, _ = RandomPolicy(env, 1).predict(obs, action_masks=info.get("action_mask"))
    np.testing.assert_array_equal(action, again)


@pytest.mark.parametrize(
    ("space", "mask", "allowed"),
    [
        (spaces.Discrete(3, start=4, dtype=np.int32), [0, 1, 0], 5),
        (spaces.MultiDiscrete([2, 3], dtype=np.int8, start=[0, 1]), [0, 1, 0, 0, 1], [1, 3]),
        (spaces.MultiBinary(2), [1, 0, 0, 1], [0, 1]),
    ],
    ids=str,
)
def test_masks_of_every_kind_in_the_dtype_of_the_space(space, mask, allowed) -> None:
    env = gym.Env()
    env.action_space = space
    action, _ = RandomPolicy(env, 0).predict(None, action_masks=np.array(mask, bool))
    assert space.contains(action) and action.tolist() == allowed and action.dtype == space.dtype
