"""ATLA: PPO without an adversary, noise, turns that leave the other side alone, exact resume, an enumerable game."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

import rlsuite
from rlsuite import ATLA, PPO
from rlsuite.adversarial.attacks.attacked import AttackedPolicy, AttackedVectorEnv, Perturber
from rlsuite.adversarial.attacks.budget import Budget
from rlsuite.adversarial.attacks.uniform import RandomAttack
from rlsuite.adversarial.attacks.victim import as_victim
from rlsuite.adversarial.games import sides
from rlsuite.adversarial.observation.atla import ATLAConfig
from rlsuite.core.evaluate import evaluate
from rlsuite_envs.make import make_vector_env

SMALL = {
    "num_envs": 4,
    "n_steps": 32,
    "batch_size": 64,
    "n_epochs": 2,
    "net_arch": (16,),
    "device": "cpu",
    "seed": 3,
    "normalize_obs": True,
    "normalize_reward": True,
}


@pytest.mark.parametrize("settings", [{"adversary": "none"}, {"adversary": "random", "eps": 0.0}])
def test_without_an_attack_it_is_ppo_to_the_bit(settings) -> None:
    ppo = PPO("Hopper-v5", **SMALL).learn(1500)
    atla = ATLA("Hopper-v5", **settings, **SMALL).learn(1500)
    assert torch.equal(ppo.parts.flat.data, atla.parts.flat.data)
    assert torch.equal(ppo.obs_norm.mean, atla.obs_norm.mean)
    assert list(ppo.runner.stats.recent_returns) == list(atla.runner.stats.recent_returns)


def watch_phases(monkeypatch) -> list:
    """A list that grows with what each phase changed: weights, and normalisers' counts."""
    log, phase = [], sides.phase

    def watched(agent, *arguments):
        both = agent.parts, agent.adversary
        before = [(parts.flat.data.clone(), parts.obs_norm.count) for parts in both]
        result = phase(agent, *arguments)
        changed = [not torch.equal(data, parts.flat.data) for (data, _), parts in zip(before, both, strict=True)]
        log.append((changed, [parts.obs_norm.count > count for (_, count), parts in zip(before, both, strict=True)]))
        return result

    monkeypatch.setattr(sides, "phase", watched)
    return log


@pytest.mark.parametrize("attack", ["sa-rl", "pa-ad"])
def test_turns_leave_the_other_side_alone(attack: str, monkeypatch) -> None:
    log = watch_phases(monkeypatch)
    model = ATLA("Hopper-v5", n_pro_updates=2, attack=attack, eps=0.2, **SMALL).learn(700)
    mine, theirs = ([True, False], [True, False]), ([False, True], [False, True])
    assert log == 2 * [mine, mine, theirs]
    assert 0 < model.perturber.largest <= 0.2 + 1e-6
    assert model.num_timesteps == 6 * 4 * 32


@pytest.mark.parametrize("settings", [{"attack": "sa-rl"}, {"attack": "pa-ad", "norm": "l2"}, {"adversary": "random"}])
def test_resume_is_exact(tmp_path, settings) -> None:
    whole = ATLA("Hopper-v5", attack_ratio=0.5, **settings, **SMALL).learn(1000)
    half = ATLA("Hopper-v5", attack_ratio=0.5, **settings, **SMALL).learn(500)
    half.save(tmp_path / "half.zip")
    rest = rlsuite.load(tmp_path / "half.zip", env="Hopper-v5", device="cpu")
    rest.learn(whole.num_timesteps - rest.num_timesteps, reset_num_timesteps=False)
    for part, state in whole.get_parameters().items():
        for name, value in state.items():
            assert torch.equal(value, rest.get_parameters()[part][name]), (part, name)


class Coin(gym.Env):
    """One step: x = -1 or 1; the agent is paid for telling which, and shown x moved by at most eps < 1."""

    observation_space = spaces.Box(-3, 3, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = self.np_random.choice([-1.0, 1.0])
        return np.array([self.x], np.float32), {}

    def step(self, action):
        reward = 1.0 if (self.x > 0) == (int(action) == 1) else -1.0
        return np.array([self.x], np.float32), reward, True, False, {}


def test_it_learns_what_no_attack_can_hide() -> None:
    """With eps = 0.6 the two observations stay apart: the agent under attack still reaches the optimum of 1."""
    gym.register("test/Coin-v0", Coin)
    model = ATLA(
        "test/Coin-v0",
        num_envs=8,
        n_steps=16,
        batch_size=64,
        n_epochs=6,
        learning_rate=1e-2,
        gamma=0.0,
        eps=0.6,
        net_arch=(16,),
        device="cpu",
        seed=0,
    ).learn(6_000)
    attacked = AttackedPolicy(as_victim(model, unit="raw"), model.attack(), Budget(0.6))
    assert evaluate(model, "test/Coin-v0", episodes=50).returns.mean() == 1.0
    assert evaluate(attacked, "test/Coin-v0", episodes=50).returns.mean() > 0.9


def test_vector_environments_under_attack_show_last_observations_attacked() -> None:
    model = PPO("CartPole-v1", n_steps=8, batch_size=8, device="cpu")
    perturber = Perturber(RandomAttack(surface=True), as_victim(model), Budget(0.1))
    env = AttackedVectorEnv(make_vector_env("CartPole-v1", 3), perturber)
    plain = make_vector_env("CartPole-v1", 3)
    shown, _ = env.reset(seed=4)
    true, _ = plain.reset(seed=4)
    ended = 0
    for _ in range(60):
        assert np.allclose(np.abs(shown - true), 0.1, atol=1e-5)
        shown, reward, terminated, truncated, info = env.step(np.ones(3, int))
        true, real, over, cut, other = plain.step(np.ones(3, int))
        assert np.array_equal(reward, real) and np.array_equal(terminated, over) and np.array_equal(truncated, cut)
        for i in np.flatnonzero(terminated):
            ended += 1
            assert np.allclose(np.abs(info["final_obs"][i] - other["final_obs"][i]), 0.1, atol=1e-5)
    assert ended > 3
    env.close(), plain.close()


@pytest.mark.parametrize(
    "values",
    [
        {"eps": -0.1},
        {"norm": "l1"},
        {"attack": "pgd"},
        {"adversary": "x"},
        {"attack_ratio": 2.0},
        {"n_adv_updates": 0},
    ],
)
def test_bad_settings(values) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        ATLAConfig(**values)


def test_spaces_that_cannot_be_attacked() -> None:
    with pytest.raises(ValueError, match="cannot be attacked"):
        ATLA("FrozenLake-v1", n_steps=8, batch_size=8, device="cpu")


def test_objectives_are_refused_before_an_attack_hides_them() -> None:
    for kind in (rlsuite.ATLA, rlsuite.PROTECTED):
        with pytest.raises(ValueError, match="vector of 2 objectives"):
            kind("rlsuite/mo-halfcheetah-v5", num_envs=2, device="cpu")
