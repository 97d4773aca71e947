"""mo-gymnasium's wrappers take our environments, and a learner of one number their weighted sum."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from rlsuite import PPO
from rlsuite_envs import LinearRewardVector, make_vector_env

wrappers = pytest.importorskip("mo_gymnasium.wrappers")
IDS = ("DeepSeaTreasure", "ResourceGathering", "FourRoom", "FruitTree", "Minecart")


@pytest.mark.parametrize("name", IDS)
def test_their_wrappers(name: str) -> None:
    plain = gym.make(f"rlsuite/{name}-v0")
    count = plain.unwrapped.reward_dim  # type: ignore[attr-defined]
    recorded: Any = wrappers.MORecordEpisodeStatistics(gym.make(f"rlsuite/{name}-v0"), gamma=0.9)
    weights = np.linspace(0.1, 1, count)
    weighed: Any = wrappers.LinearReward(gym.make(f"rlsuite/{name}-v0"), weight=weights)
    normed: Any = wrappers.MONormalizeReward(gym.make(f"rlsuite/{name}-v0"), idx=0)
    for env in (plain, recorded, weighed, normed):
        env.reset(seed=0)
    total, discounted = np.zeros(count), np.zeros(count)
    plain.action_space.seed(0)
    for step in range(300):
        action = plain.action_space.sample()
        reward: Any
        _, reward, terminated, truncated, _ = plain.step(action)
        total, discounted = total + reward, discounted + 0.9**step * reward
        assert weighed.step(action)[1] == pytest.approx(reward @ weights, abs=1e-6)
        np.testing.assert_allclose(normed.step(action)[1][1:], reward[1:], atol=1e-7)
        *_, info = recorded.step(action)
        if terminated or truncated:
            break
    if "episode" in info:
        np.testing.assert_allclose(info["episode"]["r"], total, atol=1e-4)
        np.testing.assert_allclose(info["episode"]["dr"], discounted, atol=1e-4)
    assert "episode" in info or name == "Minecart"


def test_a_learner_of_one_number_hurries_to_the_nearest_treasure_where_time_is_all_that_counts() -> None:
    venv = LinearRewardVector(make_vector_env("rlsuite/DeepSeaTreasure-concave-v0", 16), (0.0, 1.0))
    model = PPO(venv, n_steps=64, batch_size=256, seed=0, device="cpu").learn(6_000)
    env = gym.make("rlsuite/DeepSeaTreasure-concave-v0")
    obs, _ = env.reset(seed=0)
    _, reward, *_ = env.step(model.predict(obs, deterministic=True)[0])
    np.testing.assert_array_equal(reward, [1, -1])
