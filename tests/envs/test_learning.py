"""PPO from the core does better than random play in every environment; the long ones are marked slow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rlsuite import algorithm
from rlsuite.core.evaluate import evaluate
from rlsuite_envs.make import make_vector_env
from rlsuite_envs.registration import KERNELS
from rlsuite_zoo.runs.random_policy import RandomPolicy

EPISODES = 64
MOST_STEPS = 150_000
FAMILIES = ("inventory", "cheap_talk", "coverage", "mazes")
HARD = "mazes.arms.billiard:Billiard"  # Curling's dynamics; PPO needs more than MOST_STEPS to hit a hole on purpose
OURS = [e for e in KERNELS if e.kernel.partition(".")[0] in FAMILIES and e.kernel != HARD]
IDS = list({e.kernel: e.id for e in reversed(OURS)}.values())[::-1]  # one of every kernel
DENSE: dict[str, dict[str, Any]] = {
    "rlsuite/HardMaze-v0": {"reward": "dense"},
    "rlsuite/ImageHardMaze-v0": {
        "reward": "dense",
        "size": 21,
        "frames": 2,
    },  # as many numbers as an MLP bears
    "rlsuite/FastsimMaze-v0": {"reward": "dense"},
    "rlsuite/CollectBall-v0": {"reward": "dense"},
    "rlsuite/RedundantArm-v0": {"reward": "dense"},
    "rlsuite/Point2D-v0": {"reward": "dense", "areas": ((0.6, 0.6, 0.3),)},
    "rlsuite/Curling-v0": {"reward": "dense"},
}
"""Their own rewards are too sparse (or none) for such a learner by design; the same dynamics, with a denser one."""


LONG = {
    f"rlsuite/{name}-v0"
    for name in (
        "CarRacing",
        "CollectBall",
        "Curling",
        "FastsimMaze",
        "GPDesign",
        "GridCoverage",
        "GridMaze",
        "ImageHardMaze",
        "ItemCollection",
        "LotSizing",
        "PathPlanning",
        "SupplyNetwork",
        "TanhPendulum",
    )
}
"""Those that take longest: 6 to 70 seconds each."""
CASES = [pytest.param(id, marks=pytest.mark.slow) if id in LONG else id for id in IDS]


@pytest.mark.filterwarnings("ignore:observations have .* pixels")  # ImageHardMaze through a multi-layer perceptron
@pytest.mark.parametrize("id", CASES)
def test_ppo_beats_random_play(id: str) -> None:
    constants = DENSE.get(id, {})
    env = make_vector_env(id, 64, env_kwargs=constants)
    random = evaluate(RandomPolicy(env, 0), env, episodes=EPISODES, seed=1).returns
    agent = algorithm("ppo")(
        id,
        num_envs=64,
        n_steps=32,
        batch_size=256,
        learning_rate=1e-3,
        normalize_obs=True,
        normalize_reward=True,
        env_kwargs=constants,
        seed=0,
    )
    ahead = False
    while not ahead and agent.num_timesteps < MOST_STEPS:
        agent.learn(24_000, reset_num_timesteps=False, log_interval=None)
        trained = evaluate(agent, env, episodes=EPISODES, seed=1, deterministic=False).returns
        error = np.sqrt((random.var() + trained.var()) / EPISODES)
        ahead = bool(trained.mean() > random.mean() + 3 * error)
    assert ahead, (random.mean(), trained.mean(), error)
