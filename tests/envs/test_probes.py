"""The probes' documented answers are right: played, not derived."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlsuite_envs.kernel import make_kernel
from rlsuite_envs.registration import KERNELS
from rlsuite_envs.vector import TensorVectorEnv

PROBES = [entry.id for entry in KERNELS if "/Probe" in entry.id]
VARIANTS: list[tuple[str, dict[str, Any]]] = [(id, {}) for id in PROBES] + [
    ("rlsuite/ProbeDiscrete-v0", {"start": 5}),
    ("rlsuite/ProbeBox-v0", {"low": -1.0, "high": 3.0}),
]


def play(id: str, kwargs: dict[str, Any], *, random: bool, gamma: float = 0.9, num: int = 2000) -> tuple[Any, ...]:
    """First observations, discounted and plain returns of one episode of num copies."""
    env: Any = gym.make_vec(id, num_envs=num, device="cpu", **kwargs)
    obs, info = env.reset(seed=0)
    env.action_space.seed(0)
    first, discounted, plain, running = obs, torch.zeros(num), torch.zeros(num), torch.ones(num)
    for t in range(env.max_episode_steps):
        action = env.kernel.optimal_action(obs, info.get("action_mask"))
        obs, reward, terminated, truncated, info = env.step(env.action_space.sample() if random else action)
        discounted += running * gamma**t * reward
        plain += running * reward
        running *= ~(terminated | truncated)
        # What lies behind a time limit is worth what it would have paid.
        cut = (truncated & ~terminated).float()
        if cut.any():
            discounted += cut * gamma ** (t + 1) * env.kernel.true_value(info["final_obs"], gamma)
    assert not running.any()
    return env.kernel, first, discounted, plain


@pytest.mark.parametrize(("id", "kwargs"), VARIANTS)
def test_the_best_actions_earn_the_optimal_return_and_the_true_value(id: str, kwargs: dict[str, Any]) -> None:
    kernel, first, discounted, plain = play(id, kwargs, random=False)
    value = kernel.true_value(first, 0.9)
    assert value.shape == (2000,)
    torch.testing.assert_close(discounted, value, atol=1e-5, rtol=0)
    error = 5 * plain.std().item() / 2000**0.5
    assert plain.mean().item() == pytest.approx(kernel.optimal_return, abs=error + 1e-5)


@pytest.mark.parametrize(("id", "kwargs"), VARIANTS)
def test_random_actions_earn_the_random_return_and_never_more_than_the_best(id: str, kwargs: dict[str, Any]) -> None:
    kernel, first, discounted, plain = play(id, kwargs, random=True)
    assert plain.mean().item() == pytest.approx(kernel.random_return, abs=5 * plain.std().item() / 2000**0.5 + 1e-5)
    assert (discounted <= kernel.true_value(first, 0.9) + 1e-5).all()


def test_truncation_probe_tells_apart_an_end_and_a_time_limit() -> None:
    env: Any = gym.make_vec("rlsuite/ProbeTruncation-v0", num_envs=200, device="cpu")
    obs, _ = env.reset(seed=0)
    _, _, terminated, truncated, info = env.step(torch.zeros(200, dtype=torch.int64))
    assert torch.equal(terminated, obs[:, 0] > 0)
    assert truncated.all()
    assert torch.equal(info["final_obs"], obs)
    assert 50 < terminated.sum() < 150
    # One more step from the observation -1 pays 1 for ever: its value solves v = 1 + gamma v.
    values = env.kernel.true_value(torch.tensor([[-1.0]]), 0.75)
    assert values.item() == pytest.approx(1 + 0.75 * values.item())


def test_mask_probe_allows_two_of_four_actions_in_all_ways() -> None:
    env: Any = gym.make_vec("rlsuite/ProbeMask-v0", num_envs=600)
    _, info = env.reset(seed=0)
    assert info["action_mask"].dtype == bool
    assert (info["action_mask"].sum(1) == 2).all()
    assert len(np.unique(info["action_mask"], axis=0)) == 6
    np.testing.assert_array_equal(info["action_mask"], env.action_masks())
    *_, after = env.step(np.zeros(600, np.int64))
    assert (after["final_info"]["action_mask"] == info["action_mask"]).all()
    assert not (after["action_mask"] == info["action_mask"]).all()


def test_dict_probe_shows_its_parts() -> None:
    obs, _ = gym.make("rlsuite/ProbeDict-v0").reset(seed=0)
    assert {name: part.shape for name, part in obs.items()} == {"clutter": (2,), "more": (1, 2), "sign": (1,)}
    assert abs(obs["sign"][0]) == 1


def test_the_best_masked_action_needs_the_mask() -> None:
    kernel: Any = make_kernel("rlsuite_envs.probes.action_spaces:ProbeMask")
    with pytest.raises(ValueError, match="action_mask"):
        kernel.optimal_action(torch.zeros(3, 1))


def test_multi_discrete_actions_are_judged_by_component() -> None:
    env = TensorVectorEnv(3, kernel="rlsuite_envs.probes.action_spaces:ProbeMultiDiscrete", device="cpu")
    env.reset(seed=0)
    state = type(env.state)(torch.tensor([[1.0, -1.0]] * 3), torch.zeros(3, dtype=torch.int64))
    env.set_state(state)
    _, reward, *_ = env.step([[2, 0], [1, 0], [1, 1]])
    assert reward.tolist() == [1.0, 0.5, 0.0]
