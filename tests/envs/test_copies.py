"""Copies and pickles of environments go on as the original does, on their own."""

from __future__ import annotations

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest

from rlsuite_envs.make import make_vector_env
from rlsuite_envs.mujoco.two_player import ForcedPool

VECTORS = {
    "kernel": lambda: make_vector_env("rlsuite/Pendulum-v1", 3),
    "integers": lambda: make_vector_env("rlsuite/LotSizing-15x5-v0", 2),
    "pool": lambda: make_vector_env("Hopper-v5", 3, env_kwargs={"reset_noise_scale": 0.1}),
    "coverage": lambda: make_vector_env("rlsuite/AntCoverage-v0", 2),
    "obstacles": lambda: make_vector_env("rlsuite/AntObstacles-v0", 2),
    "forces": lambda: ForcedPool("InvertedPendulum-v5", 2),
}


@pytest.mark.parametrize(
    "way", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))], ids=["deepcopy", "pickle"]
)
@pytest.mark.parametrize("kind", VECTORS)
def test_a_copied_vector_goes_on_alike_and_alone(kind, way):
    env = VECTORS[kind]()
    env.action_space.seed(0)
    env.reset(seed=1)
    env.step(env.action_space.sample())
    twin, action = way(env), env.action_space.sample()
    for _ in range(3):
        theirs = twin.step(action)
    for _ in range(3):
        ours = env.step(action)
    for mine, other in zip(ours[:4], theirs[:4], strict=True):
        assert np.array_equal(np.asarray(mine), np.asarray(other))
    env.close()
    twin.step(action)
    twin.close()


def test_a_copied_kernel_goes_on_alike():
    env = gym.make("rlsuite/Pendulum-v1")
    env.reset(seed=1)
    twin = pickle.loads(pickle.dumps(env))
    for _ in range(3):
        assert np.array_equal(env.step([0.5])[0], twin.step([0.5])[0])
