"""A step before the first reset, or after `close`, is refused, whoever steps the simulation."""

from __future__ import annotations

import copy
import pickle

import gymnasium as gym
import pytest
from gymnasium.error import ResetNeeded

from rlsuite_envs.make import make_vector_env
from rlsuite_envs.mujoco_ids import MUJOCO_IDS

MO = ["rlsuite/mo-hopper-2obj-v5", "rlsuite/mo-reacher-v5"]
POOLED = [*(f"rlsuite/{id}" for id in MUJOCO_IDS), *MO, "rlsuite/AntCoverage-v0", "rlsuite/AntObstacles-v0"]
IDS = [*POOLED, "rlsuite/CartPole-v1", "rlsuite/LostSales-L4-p4-v0", "rlsuite/WindyPoint-v0"]


def refuses(env):
    with pytest.raises(ResetNeeded):
        env.step(env.action_space.sample())
    env.reset(seed=0)
    env.step(env.action_space.sample())
    env.close()
    with pytest.raises(ResetNeeded):
        env.step(env.action_space.sample())
    env.reset(seed=0)
    env.step(env.action_space.sample())
    env.close()


@pytest.mark.parametrize("id", IDS)
def test_single_environments_refuse(id):
    if gym.spec(id).entry_point is not None:
        refuses(gym.make(id).unwrapped)


@pytest.mark.parametrize("id", IDS)
def test_vector_environments_refuse(id):
    env = make_vector_env(id, 2)
    with pytest.raises(ResetNeeded):
        env.step(env.action_space.sample())
    env.reset(seed=0)
    env.step(env.action_space.sample())
    env.close()
    with pytest.raises(ResetNeeded):
        env.step(env.action_space.sample())


def test_single_tasks_are_gymnasiums_and_survive_copying():
    ours, theirs = gym.make("rlsuite/Hopper-v5"), gym.make("Hopper-v5")
    assert isinstance(ours.unwrapped, type(theirs.unwrapped))
    assert pickle.loads(pickle.dumps(ours)).reset(seed=3)[0].tolist() == theirs.reset(seed=3)[0].tolist()
    assert copy.deepcopy(ours).reset(seed=3)[0].tolist() == theirs.reset(seed=3)[0].tolist()
