"""The protocol carries what later families need: noise apart, two players, reward vectors, infos, presets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.classic.cartpole import CartPole
from rlsuite_envs.kernel import Kernel, make_kernel
from rlsuite_envs.single import TensorEnv
from rlsuite_envs.vector import TensorVectorEnv


@dataclass(frozen=True)
class StoreParams:
    price: float = 2.0


@dataclass(frozen=True)
class Stock:
    level: Tensor
    sold: Tensor


class Store(Kernel[Stock, Stock, Tensor]):
    """Orders fill a stock that an adversary takes from and random demand empties; rewards (cost, sales)."""

    params_class = StoreParams
    presets: ClassVar = {"dear": StoreParams(price=10.0)}
    params: StoreParams

    @property
    def observation_space(self) -> spaces.Discrete:
        return spaces.Discrete(100)

    @property
    def action_space(self) -> spaces.Tuple:
        return spaces.Tuple((spaces.Discrete(5), spaces.Box(0, 1, (1,), np.float32)))

    @property
    def reward_dim(self) -> int:
        return 2

    def initial_state(self, num: int, rng: torch.Generator) -> Stock:
        level = torch.randint(20, 40, (num,), generator=rng, device=self.device)
        return Stock(level, torch.zeros_like(level))

    def post_decision(self, state: Stock, action: tuple[Tensor, Tensor]) -> tuple[Stock, Tensor]:
        order, theft = action
        cost = torch.stack((-order.to(self.dtype), torch.zeros_like(order, dtype=self.dtype)), -1)
        return Stock(state.level + order - theft[:, 0].round().long(), state.sold), cost

    def sample_exogenous(self, state: Stock, rng: torch.Generator) -> Tensor:
        return torch.randint(0, 9, state.level.shape, generator=rng, device=self.device)

    def transition(self, post_state: Stock, noise: Tensor | None) -> tuple[Stock, Tensor, Tensor]:
        assert noise is not None
        sold = torch.minimum(noise, post_state.level)
        income = torch.stack((torch.zeros_like(sold), sold), -1).to(self.dtype) * self.params.price
        level = post_state.level - sold
        return Stock(level, sold), income, level <= 0

    def observe(self, state: Stock) -> Tensor:
        return state.level.clone()

    def info(self, state: Stock) -> dict[str, Tensor]:
        return {"sold": state.sold.clone()}


def test_kernels_of_several_objectives_say_so_through_both_shells() -> None:
    shells: list[Any] = [TensorEnv(kernel=Store), TensorVectorEnv(3, kernel=Store)]
    for shell in (*shells, TensorEnv(kernel=Store, dtype="float64")):
        kind = np.float64 if shell.kernel.dtype == torch.float64 else np.float32
        assert (shell.reward_dim, shell.reward_space) == (2, spaces.Box(-np.inf, np.inf, (2,), kind))
        assert shell.objective_names == ("objective 0", "objective 1")
        with pytest.raises(NotImplementedError, match="Store has no front"):
            shell.pareto_front(0.9)
    for shell in (TensorEnv(kernel=CartPole), TensorVectorEnv(3, kernel=CartPole)):
        assert shell.reward_dim is getattr(shell, "reward_space", None) is None
        assert shell.objective_names == ()
    assert not Store.knows_front()
    shells[0].reset(seed=0)
    reward = shells[0].step((2, [0.0]))[1]
    assert shells[0].reward_space.contains(reward)
    shells[1].reset(seed=0)
    rewards = shells[1].step(shells[1].action_space.sample())[1]
    assert rewards.shape == (3, 2)
    assert all(map(shells[1].reward_space.contains, rewards))


def test_two_players_reward_vectors_and_infos_pass_through_the_vector_shell() -> None:
    env = TensorVectorEnv(50, kernel=Store, device="cpu", output="numpy", preset="dear", max_episode_steps=12)
    obs, info = env.reset(seed=0)
    np.testing.assert_array_equal(info["sold"], np.zeros(50))
    ends = 0
    for _ in range(40):
        orders, thefts = env.action_space.sample()
        after, reward, terminated, truncated, info = env.step((orders, thefts))
        done = terminated | truncated
        last = np.where(done, info["final_obs"], after) if done.any() else after
        sold = np.where(done, info["final_info"]["sold"], info["sold"]) if done.any() else info["sold"]
        np.testing.assert_array_equal(reward, np.stack((-orders, 10.0 * sold), -1))
        np.testing.assert_array_equal(last, obs + orders - thefts[:, 0].round() - sold)
        assert (info["sold"][done] == 0).all()
        obs, ends = after, ends + done.sum()
    assert ends > 50


def test_noise_is_the_seeds_and_can_be_replayed() -> None:
    kernel = make_kernel(Store)
    rng = torch.Generator().manual_seed(0)
    state = kernel.initial_state(30, rng)
    noise = kernel.sample_exogenous(state, rng)
    action = torch.full((30,), 3), torch.ones(30, 1)
    post, caused = kernel.post_decision(state, action)
    after, befallen, terminated = kernel.transition(post, noise)
    whole = kernel.advance(state, action, noise)
    assert caused is not None
    assert torch.equal(whole[0].level, after.level)
    assert torch.equal(whole[1], caused + befallen)
    assert torch.equal(whole[2], terminated)
    # Another order under the same demand: with enough stock the levels differ by exactly the difference.
    other, _, _ = kernel.advance(state, (torch.full((30,), 4), torch.ones(30, 1)), noise)
    assert torch.equal(other.level - after.level, torch.ones(30, dtype=torch.int64))


def test_vector_and_single_draw_the_same_noise() -> None:
    vector, single = TensorVectorEnv(1, kernel=Store, max_episode_steps=-1), TensorEnv(kernel=Store)
    obs, _ = vector.reset(seed=4)
    first, _ = single.reset(seed=4)
    assert first == obs[0]
    assert single.observation_space.contains(first)
    for _ in range(60):
        orders, thefts = vector.action_space.sample()
        obs, reward, terminated, _, info = vector.step((orders, thefts))
        one, rewards, ended, _, single_info = single.step((orders[0], thefts[0]))
        np.testing.assert_array_equal(rewards, reward[0])
        assert ended == terminated[0]
        if ended:
            one, single_info = single.reset()
        assert one == obs[0]
        assert single_info["sold"] == info["sold"][0]


def test_resume_is_exact_with_noise() -> None:
    env = TensorVectorEnv(8, kernel=Store, output="numpy", max_episode_steps=7)
    env.reset(seed=0)
    actions = [env.action_space.sample() for _ in range(40)]
    for action in actions[:11]:
        env.step(action)
    saved = env.state_dict()
    expected = [env.step(action)[:2] for action in actions[11:]]
    env.load_state_dict(saved)
    for action, (obs, reward) in zip(actions[11:], expected, strict=True):
        again = env.step(action)
        np.testing.assert_array_equal(again[0], obs)
        np.testing.assert_array_equal(again[1], reward)


def test_presets_and_single_constants_combine() -> None:
    assert make_kernel(Store, preset="dear").params.price == 10
    assert make_kernel(Store, preset="dear", price=3.0).params.price == 3
    with pytest.raises(ValueError, match=r"preset='cheap' is unknown to Store; known: dear"):
        make_kernel(Store, preset="cheap")


def test_wrappers_of_gymnasium_accept_the_vector_environment() -> None:
    env: Any = gym.make_vec("rlsuite/CartPole-v1", num_envs=4)
    env = gym.wrappers.vector.RecordEpisodeStatistics(env)
    env.reset(seed=0)
    returns: list[float] = []
    for _ in range(200):
        _, _, terminated, truncated, info = env.step(env.action_space.sample())
        if "episode" in info:
            ended = info["_episode"]
            np.testing.assert_array_equal(ended, terminated | truncated)
            np.testing.assert_array_equal(info["episode"]["r"][ended], info["episode"]["l"][ended])
            returns.extend(info["episode"]["r"][ended])
    assert len(returns) > 10  # CartPole pays 1 per step: return and length agree
