"""Weighted sums of objectives, for one environment and for many."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlsuite import PPO, evaluate
from rlsuite.core.vector import check_one_reward, count_objectives
from rlsuite_envs import LinearReward, LinearRewardVector, ManyObjectivesVectorEnv, make_vector_env
from rlsuite_envs.classic.cartpole import CartPole
from rlsuite_envs.vector import TensorVectorEnv

HOPPER = "rlsuite/mo-hopper-v5"


class TwoPoles(CartPole):
    """CartPole that pays (1, 3)."""

    @property
    def reward_dim(self) -> int:
        return 2

    def transition(self, post_state: Any, noise: Any) -> tuple[Any, Any, Any]:
        state, _, terminated = super().transition(post_state, noise)
        reward = torch.ones_like(terminated, dtype=self.dtype)
        return state, torch.stack([reward, 3 * reward], 1), terminated

    def post_decision(self, state: Any, action: Any) -> tuple[Any, None]:
        return super().post_decision(state, action)[0], None


def test_a_single_environment_pays_the_weighted_sum() -> None:
    env, plain = LinearReward(gym.make(HOPPER), [1.0, 0.5, 0.25]), gym.make(HOPPER)
    np.testing.assert_array_equal(env.reset(seed=1)[0], plain.reset(seed=1)[0])
    env.action_space.seed(0)
    for _ in range(15):
        action = env.action_space.sample()
        obs, reward, terminated, _, info = env.step(action)
        expected, vector, other_terminated, *_ = plain.step(action)
        np.testing.assert_array_equal(obs, expected)
        np.testing.assert_array_equal(info["vector_reward"], vector)
        assert type(reward) is float and terminated == other_terminated
        assert reward == pytest.approx(vector[0] + 0.5 * vector[1] + 0.25 * vector[2])  # type: ignore[index]
    np.testing.assert_array_equal(env.weights, [1, 0.5, 0.25])


def test_the_single_environment_can_be_made_again() -> None:
    env = LinearReward(gym.make(HOPPER), (1, 0, 1e-3))
    again = gym.make(env.spec)  # type: ignore[arg-type]
    assert isinstance(again, LinearReward)
    np.testing.assert_array_equal(again.weights, env.weights)
    assert pickle.loads(pickle.dumps(env)).reset(seed=2)[0].tolist() == env.reset(seed=2)[0].tolist()


def test_a_vector_environment_pays_the_weighted_sums() -> None:
    weights = np.array([0.3, 0.7])
    env = LinearRewardVector(make_vector_env("mo-hopper-2obj-v5", 3), weights)
    plain = make_vector_env("mo-hopper-2obj-v5", 3)
    np.testing.assert_array_equal(env.reset(seed=1)[0], plain.reset(seed=1)[0])
    env.action_space.seed(0)
    ended = 0
    for _ in range(60):
        action = env.action_space.sample()
        obs, reward, terminated, truncated, info = env.step(action)
        expected, vector, *rest, other_info = plain.step(action)
        np.testing.assert_array_equal(obs, expected)
        np.testing.assert_array_equal((terminated, truncated), rest)
        np.testing.assert_allclose(reward, np.asarray(vector, float) @ weights, rtol=1e-12)
        np.testing.assert_array_equal(info["vector_reward"], vector)
        assert info["_vector_reward"].all() and reward.shape == (3,)
        assert info.keys() == other_info.keys() | {"vector_reward", "_vector_reward"}
        ended += int(terminated.sum())
    assert ended


def test_torch_rewards_stay_torch() -> None:
    env = LinearRewardVector(TensorVectorEnv(4, kernel=TwoPoles()), [2, 1])
    env.reset(seed=0)
    _, reward, *_, info = env.step(torch.zeros(4, dtype=torch.int64))
    assert isinstance(reward, torch.Tensor) and reward.dtype == torch.float32
    assert reward.tolist() == [5.0] * 4
    assert info["vector_reward"].shape == (4, 2) and bool(info["_vector_reward"].all())


def test_the_environments_other_attributes_show_through_but_its_objectives() -> None:
    env = LinearRewardVector(make_vector_env("mo-swimmer-v5", 2), [1, 0.1])
    assert env.max_episode_steps == 1000 and env.metadata == env.env.metadata
    assert (env.reward_space, env.reward_dim, env.objective_names) == (None, None, None)
    env.reset(seed=0)
    action = np.full((2, 2), 0.5, np.float32)
    env.step(action)
    twins = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]
    other = LinearRewardVector(make_vector_env("mo-swimmer-v5", 2), [1, 0.1])
    other.load_state_dict(env.state_dict())
    expected = env.step(action)
    for twin in (*twins, other):
        np.testing.assert_array_equal(twin.step(action)[1], expected[1])
    with pytest.raises(AttributeError, match="no_such"):
        env.no_such  # noqa: B018


def test_algorithms_for_one_objective_take_what_they_refused() -> None:
    pool = make_vector_env("mo-swimmer-v5", 2)
    with pytest.raises(ValueError, match=r"vector of 2 objectives.*LinearRewardVector\(venv, weights\)"):
        check_one_reward(pool)
    venv = LinearRewardVector(pool, [1, 1e-4])
    assert count_objectives(venv) is None
    check_one_reward(venv)
    model = PPO(venv, n_steps=32, batch_size=32, n_epochs=1, seed=0, device="cpu").learn(64)
    single = gym.make("rlsuite/mo-swimmer-v5", max_episode_steps=20)
    with pytest.raises(ValueError, match=r"vector of 2 objectives.*LinearReward\(env, weights\)"):
        evaluate(model, single, episodes=1)
    assert evaluate(model, LinearReward(single, [1, 1e-4]), episodes=1).episodes == 1


BAD: list[tuple[Any, type[Exception], str]] = [
    ([1.0, 2.0], ValueError, "length 2, but the environment has 3 objectives"),
    ([1.0, -0.5, 0.0], ValueError, "allow_negative=True"),
    ([0.0, 0.0, 0.0], ValueError, "makes every reward 0"),
    ([1.0, np.nan, 0.0], ValueError, "must be finite"),
    ([1.0, np.inf, 0.0], ValueError, "must be finite"),
    ([[1.0, 0.0, 0.0]], ValueError, r"shape \(1, 3\)"),
    (1.0, ValueError, r"shape \(\)"),
    ([], ValueError, r"shape \(0,\)"),
    ("speed", TypeError, "must be K numbers"),
    ([1.0, [2.0], 3.0], TypeError, "must be K numbers"),
    (None, ValueError, r"shape \(\)"),
]


@pytest.mark.parametrize(("weights", "error", "message"), BAD)
def test_bad_weights_are_refused(weights: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LinearReward(gym.make(HOPPER), weights)
    with pytest.raises(error, match=message):
        LinearRewardVector(make_vector_env("mo-hopper-v5", 2), weights)


def test_negative_weights_can_be_allowed_by_name() -> None:
    env = LinearRewardVector(make_vector_env("mo-hopper-v5", 2), [1, 0, -1], allow_negative=True)
    env.reset(seed=0)
    _, reward, *_, info = env.step(np.zeros((2, 3), np.float32))
    vector = info["vector_reward"].astype(float)
    np.testing.assert_allclose(reward, vector[:, 0] - vector[:, 2])
    assert LinearReward(gym.make(HOPPER), [1, 0, -1], allow_negative=True).weights[2] == -1


def test_scalar_environments_are_refused_at_their_first_step() -> None:
    env = LinearReward(gym.make("Pendulum-v1"), [1, 1])
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"shape \(\) at each step, but there are 2 weights"):
        env.step(np.zeros(1, np.float32))
    venv = LinearRewardVector(make_vector_env("Hopper-v5", 2), [1, 1])
    venv.reset(seed=0)
    with pytest.raises(ValueError, match=r"shape \(\) at each step, but there are 2 weights"):
        venv.step(np.zeros((2, 3), np.float32))
    with pytest.raises(TypeError, match="VectorEnv"):
        LinearRewardVector(gym.make("Pendulum-v1"), [1])  # type: ignore[arg-type]


def test_single_environments_made_scalar_fit_the_vector_of_either_kind() -> None:
    def make() -> gym.Env[Any, Any]:
        return LinearReward(gym.make("rlsuite/mo-swimmer-v5"), [1, 0.5])

    ours = ManyObjectivesVectorEnv([make, make])
    theirs = gym.vector.SyncVectorEnv([make, make], autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)
    both = LinearRewardVector(make_vector_env("mo-swimmer-v5", 2), [1, 0.5])
    action = np.full((2, 2), -0.5, np.float32)
    paid = []
    for env in (ours, theirs, both):
        env.reset(seed=3)
        paid.append(env.step(action)[1])
    np.testing.assert_array_equal(paid[0], paid[1])
    np.testing.assert_allclose(paid[0], paid[2])
