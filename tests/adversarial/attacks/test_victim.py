"""Victims of every kind: what the networks are said to do is what `predict` does, with gradients and normalisers."""

from __future__ import annotations

import numpy as np
import pytest
import stable_baselines3 as sb3
import torch
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from rlsuite import BPO, PPO, QARL, SAC
from rlsuite.adversarial.attacks.actions import ActionAttack
from rlsuite.adversarial.attacks.attacked import AttackedPolicy, Perturber
from rlsuite.adversarial.attacks.budget import Budget
from rlsuite.adversarial.attacks.gradient import GradientAttack
from rlsuite.adversarial.attacks.victim import Victim, _answer_there, as_victim, measured_unit
from rlsuite.core.brain import PolicyOutput
from rlsuite.core.evaluate import evaluate
from rlsuite.sb3 import as_policy

SMALL = {"seed": 1, "device": "cpu"}


def normalised(env: str) -> VecNormalize:
    venv = VecNormalize(make_vec_env(env, 2, seed=0))
    venv.reset()
    rng = np.random.default_rng(0)
    for _ in range(50):  # statistics that are not those of the start
        venv.step(np.array([venv.action_space.sample() for _ in range(2)]))
        venv.obs_rms.update(rng.normal(1.0, 2.0, size=(4, *venv.observation_space.shape)))
    return venv


def ours(kind: str):
    if kind == "ppo":
        return PPO("CartPole-v1", n_steps=64, batch_size=64, normalize_obs=True, **SMALL).learn(128)
    if kind == "bpo":
        return BPO("Pendulum-v1", n_steps=64, batch_size=64, normalize_obs=True, **SMALL).learn(128)
    if kind == "sac":
        return SAC("Pendulum-v1", learning_starts=10, batch_size=16, net_arch=(16,), **SMALL).learn(30)
    return QARL("InvertedPendulum-v5", num_envs=2, net_arch=(16,), **SMALL)


def theirs(kind: str):
    if kind == "dqn":
        return sb3.DQN("MlpPolicy", normalised("CartPole-v1"), policy_kwargs={"net_arch": [16]}, **SMALL)
    if kind == "ppo-discrete":
        return sb3.PPO("MlpPolicy", normalised("CartPole-v1"), n_steps=8, batch_size=8, **SMALL)
    if kind == "ppo-box":
        return sb3.PPO("MlpPolicy", normalised("Pendulum-v1"), n_steps=8, batch_size=8, **SMALL)
    if kind == "a2c":
        return sb3.A2C("MlpPolicy", "Pendulum-v1", **SMALL)
    cls = {"sac": sb3.SAC, "td3": sb3.TD3, "ddpg": sb3.DDPG}[kind]
    return cls("MlpPolicy", normalised("Pendulum-v1"), policy_kwargs={"net_arch": [16]}, buffer_size=100, **SMALL)


def check(victim: Victim) -> None:
    """PolicyOutput are the modes of predict; gradients are those of finite differences; attacks raise no objection."""
    space = victim.observation_space
    obs = torch.randn((5, victim.obs_size), generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 0.3
    raw = obs.numpy().astype(space.dtype)
    predicted, _ = victim.model.predict(raw, deterministic=True)
    heads = victim.heads(torch.as_tensor(raw, dtype=torch.float64))
    if victim.discrete:
        assert np.array_equal(heads.mean.argmax(1).numpy(), predicted)
    else:
        low, high = victim.action_space.low, victim.action_space.high
        assert np.allclose(np.clip(heads.action.detach().numpy(), low, high), predicted, atol=1e-5)
    point = obs.clone().requires_grad_(True)
    gradient = torch.autograd.grad(victim.heads(point).mean.sum(), point)[0]
    assert bool((gradient.abs() > 0).any())
    step = torch.zeros_like(obs)
    step[:, 0] = 1e-2
    with torch.no_grad():
        slope = (victim.heads(obs + step).mean - victim.heads(obs - step).mean).sum(1) / 2e-2
    assert torch.allclose(slope.double(), gradient[:, 0], rtol=0.05, atol=2e-3)
    for kind in (
        "fgsm",
        "pgd",
        "mad",
        *(["q"] if victim.q_value else []),
        *(["critic"] if victim.value else []),
    ):
        seen = Perturber(GradientAttack(kind), victim, Budget(0.3))(raw)
        assert np.isfinite(seen).all() and not np.array_equal(seen, raw), kind
        assert np.abs((seen.astype(float) - raw) / victim.unit.numpy()).max() <= 0.3 + 1e-6


@pytest.mark.parametrize("kind", ["ppo", "bpo", "sac", "qarl"])
def test_our_agents(kind: str) -> None:
    victim = as_victim(ours(kind))
    assert victim.unit_name == ("normalised" if kind in ("ppo", "bpo") else "raw")
    check(victim)


@pytest.mark.parametrize("kind", ["dqn", "ppo-discrete", "ppo-box", "a2c", "sac", "td3", "ddpg"])
def test_stable_baselines_agents(kind: str) -> None:
    model = theirs(kind)
    victim = as_victim(model)
    assert victim.name.startswith("SB3 ") and (victim.unit_name == "normalised") == (kind != "a2c")
    if kind != "a2c":
        std = np.sqrt(model.get_vec_normalize_env().obs_rms.var + 1e-8)
        assert np.allclose(victim.unit.numpy(), std)
    check(victim)
    before = {k: v.clone() for k, v in model.policy.state_dict().items()}
    env = "CartPole-v1" if victim.discrete else "Pendulum-v1"
    evaluate(AttackedPolicy(victim, GradientAttack("pgd", 3), Budget(0.2)), env, episodes=2)
    assert all(torch.equal(v, before[k]) for k, v in model.policy.state_dict().items())
    assert np.array_equal(
        as_victim(as_policy(model)).unit.numpy(), victim.unit.numpy()
    )  # the adapter is the same victim


def test_values_are_the_critics() -> None:
    agent = ours("sac")
    victim = as_victim(agent)
    obs = torch.randn((4, 3), generator=torch.Generator().manual_seed(0))
    inside = torch.tensor([[0.5], [-0.5], [0.0], [1.0]])
    exact = agent.learner.critic(obs, inside).min(0).values
    assert torch.allclose(victim.q_value(obs.double(), 2.0 * inside.double()), exact)  # Pendulum's box is +-2
    model = theirs("td3")
    found = as_victim(model, unit="raw")
    scaled = torch.as_tensor(model.get_vec_normalize_env().normalize_obs(obs.numpy())).float()
    twin = torch.cat(model.critic(scaled, inside), 1).min(1).values
    assert torch.allclose(found.q_value(obs, 2.0 * inside), twin, atol=1e-5)


@pytest.mark.parametrize("kind", ["ours", "sac", "td3", "ddpg"])
def test_values_take_actions_of_any_precision(kind: str) -> None:
    """Attacks on actions search in float64."""
    victim = as_victim(ours("sac") if kind == "ours" else theirs(kind))
    obs = torch.randn((4, 3), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    action = torch.tensor([[1.5], [-0.5], [0.0], [2.0]], dtype=torch.float64)
    assert torch.allclose(victim.q_value(obs, action), victim.q_value(obs, action.float()), atol=1e-6)
    policy = AttackedPolicy(victim, action_attack=ActionAttack("action-q", 0.3))
    assert policy.predict(obs.numpy().astype(np.float32), deterministic=True)[0].shape == (4, 1)


@pytest.mark.parametrize("kind", ["sac", "ppo"])
def test_deviations_under_gsde_are_the_actions_own(kind: str) -> None:
    """[N, A], those of many draws of the exploration matrix; what the model holds is left alone."""
    how = {"use_sde": True, "seed": 1, "device": "cpu"}
    arch = {"net_arch": [16], "log_std_init": -1.0}
    if kind == "sac":
        model = sb3.SAC("MlpPolicy", "Pendulum-v1", buffer_size=100, policy_kwargs=arch, **how)
    else:
        arch |= {"squash_output": True, "full_std": False}
        model = sb3.PPO("MlpPolicy", "Pendulum-v1", n_steps=8, batch_size=8, policy_kwargs=arch, **how)
    victim = as_victim(model)
    obs = torch.randn((3, 3), generator=torch.Generator().manual_seed(0))
    heads = victim.heads(obs)
    assert heads.std.shape == (3, 1)
    assert [float(x) for x in heads.box] == [-2.0, 2.0]
    if kind == "sac":
        assert not hasattr(model.actor.action_dist, "distribution")
    draws = []
    for _ in range(2000):
        (model.actor if kind == "sac" else model.policy).reset_noise()
        draws.append(torch.as_tensor(model.predict(obs.numpy(), deterministic=False)[0]))
    inner = (torch.stack(draws) / 2).clamp(-1 + 1e-6, 1 - 1e-6).atanh()
    assert torch.allclose(inner.std(0), heads.std.detach(), rtol=0.1)
    check(victim)


def test_answers_come_on_the_device_of_the_observations() -> None:
    """Functions on the CPU asked from another device; torch's "meta" device holds no numbers but knows where it is."""
    victim = as_victim(ours("sac"))
    box = torch.full((1,), -2.0), torch.full((1,), 2.0)
    numbers = torch.ones(2, 1)
    victim.heads = lambda obs: PolicyOutput(numbers, numbers, numbers, box)
    victim.value = lambda obs: numbers[:, 0]
    victim.q_value = lambda obs, action: numbers[:, 0]
    _answer_there(victim)
    there = torch.ones(2, 3, device="meta")
    heads = victim.heads(there)
    found = (
        heads.mean,
        heads.std,
        heads.action,
        *heads.box,
        victim.value(there),
        victim.q_value(there, numbers),
    )
    assert all(x.device.type == "meta" for x in found)


def test_units_of_an_environment_with_an_argument_called_env() -> None:
    kwargs = {"env": "rlsuite/Pendulum-v1"}
    model = PPO("rlsuite/CheapTalk-v0", env_kwargs=kwargs, n_steps=8, batch_size=8, **SMALL)
    unit = measured_unit(model, "rlsuite/CheapTalk-v0", steps=20, num_envs=2, env_kwargs=kwargs)
    assert len(unit) == model.obs_size and bool((unit > 0).all())
