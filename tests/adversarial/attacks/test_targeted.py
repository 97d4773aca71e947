"""Attacks with an aim: the intention is reached where the budget allows, unrolled gradients are the true ones."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import stable_baselines3 as sb3
import torch
from gymnasium import spaces

from rlsuite import PPO
from rlsuite.adversarial.attacks.attacked import AttackedPolicy, Perturber
from rlsuite.adversarial.attacks.budget import Budget
from rlsuite.adversarial.attacks.gradient import policy_divergence
from rlsuite.adversarial.attacks.targeted import (
    RATAttack,
    RATConfig,
    TargetedAttack,
    _Learner,
    check_intention,
)
from rlsuite.adversarial.attacks.victim import Victim, as_victim
from rlsuite.core.brain import PolicyOutput

STD = 0.5


class Follow:
    """Pendulum: torque = slope . observation."""

    observation_space = gym.make("Pendulum-v1").observation_space
    action_space = gym.make("Pendulum-v1").action_space

    def __init__(self, *slope: float) -> None:
        self.slope = torch.tensor(slope, dtype=torch.float64)

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.clip(np.asarray(observation) @ self.slope.numpy()[:, None], -2, 2).astype(np.float32), state


def victim(*slope: float) -> Victim:
    found = as_victim(Follow(*slope), unit=np.ones(3))
    slopes = found.model.slope

    def heads(s):
        mean = s @ slopes[:, None]
        return PolicyOutput(mean, torch.full_like(mean, STD), mean)

    found.heads = heads
    found.q_value = lambda s, a: -(a.squeeze(1) - s @ slopes).square()
    return found


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_aim_is_reached_where_the_budget_allows_and_approached_elsewhere(norm: str) -> None:
    """Linear victim and intention: the gap is shrunk by eps times the dual norm of the slope, down to 0."""
    mine, wanted = victim(0.3, -0.5, 1.0), victim(0.0, 0.0, 0.2)
    obs = torch.randn((20, 3), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    radius = torch.full((20,), 0.2, dtype=torch.float64)
    delta = TargetedAttack(wanted, steps=60)(obs, mine, radius, norm, torch.Generator())
    gap = (mine.heads(obs).mean - wanted.heads(obs).mean).squeeze(1)
    left = (mine.heads(obs + delta).mean - wanted.heads(obs).mean).squeeze(1).abs()
    slope = mine.model.slope
    power = 0.2 * (slope.abs().sum() if norm == "linf" else slope.norm())
    assert torch.allclose(left, (gap.abs() - power).clamp_min(0), atol=0.03)


def test_rat_learns_to_imitate(tmp_path) -> None:
    """The victim pushes with the velocity, the intention against it; within its budget RAT turns the victim round."""
    mine, wanted = victim(0.0, 0.0, 0.05), victim(0.0, 0.0, -0.05)
    config = RATConfig(
        steps=4000,
        net_arch=(32,),
        learning_rate=1e-2,
        inner_every=200,
        outer_every=800,
        batch_size=128,
        horizon=200,
    )
    eps = Budget(8.0)
    attack = RATAttack.fit(mine, wanted, "Pendulum-v1", eps, config)
    rng = np.random.default_rng(0)
    angle = rng.uniform(-np.pi, np.pi, 200)
    obs = np.stack([np.cos(angle), np.sin(angle), rng.uniform(-5, 5, 200)], 1).astype(np.float32)
    aim = wanted.model.predict(obs)[0]
    plain = np.abs(mine.model.predict(obs)[0] - aim).mean()
    turned = np.abs(AttackedPolicy(mine, attack, eps).predict(obs, deterministic=True)[0] - aim).mean()
    assert turned < 0.4 * plain
    again = RATAttack.fit(mine, wanted, "Pendulum-v1", eps, config)
    assert all(torch.equal(a, b) for a, b in zip(attack.net.parameters(), again.net.parameters(), strict=True))


def test_the_outer_gradient_is_that_of_the_unrolled_step() -> None:
    """Against central differences in one weight: J(alpha - lr grad L(w)) really changes by what `_outer` follows."""
    mine, wanted = victim(0.3, -0.5, 1.0), victim(0.0, 0.1, -0.2)
    learner = _Learner(mine, wanted, Budget(0.5), RATConfig(net_arch=(8,), learning_rate=0.5), seed=1)
    learner.attack.net.double(), learner.weight.double()
    obs = torch.randn((16, 3), generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def unrolled() -> torch.Tensor:
        parameters = dict(learner.attack.net.named_parameters())
        rows = (obs - learner.attack.centre) / mine.unit
        weights = 1 + learner.weight(rows).squeeze(1).tanh()

        def shown(values):
            alpha = torch.func.functional_call(learner.attack.net, values, (rows,)).tanh() * 0.5
            return obs + alpha

        mean = shown(parameters) @ mine.model.slope - obs @ wanted.model.slope
        loss = (weights * 0.5 * mean.square() / STD**2).mean()
        grads = torch.autograd.grad(loss, list(parameters.values()), create_graph=True)
        ahead = {k: v - 0.5 * g for (k, v), g in zip(parameters.items(), grads, strict=True)}
        return (shown(ahead) @ mine.model.slope - obs @ wanted.model.slope).square().mean()

    bias = learner.weight[-1].bias
    with torch.no_grad():
        bias += 1e-4
    high = unrolled().item()
    with torch.no_grad():
        bias -= 2e-4
    low = unrolled().item()
    with torch.no_grad():
        bias += 1e-4
    before = bias.detach().clone()
    learner.weight_adam = torch.optim.SGD(learner.weight.parameters(), lr=1.0)
    learner.attack.bounded = lambda o, unit, parameters=None: (  # in float64, so that differences can be seen
        torch.func.functional_call(
            learner.attack.net,
            parameters or dict(learner.attack.net.named_parameters()),
            ((o - learner.attack.centre) / unit,),
        ).tanh()
    )
    learner._weights = lambda o: 1 + learner.weight((o - learner.attack.centre) / mine.unit).squeeze(1).tanh()
    learner._outer(obs)
    assert (before - bias).item() == pytest.approx((high - low) / 2e-4, rel=1e-3)


def test_bad_input() -> None:
    mine, other = victim(0.0, 0.0, 1.0), victim(0.0, 0.0, 1.0)
    other.action_space = spaces.Box(-1, 1, (2,), np.float32)
    with pytest.raises(ValueError, match="action_space"):
        Perturber(TargetedAttack(other), mine, Budget(0.1))
    with pytest.raises(ValueError, match="budget per step"):
        RATAttack.fit(mine, mine, "Pendulum-v1", Budget(0.1, scope="episode"))
    blind = victim(0.0, 0.0, 1.0)
    blind.q_value = None
    with pytest.raises(ValueError, match="q_value"):
        RATAttack.fit(mine, blind, "Pendulum-v1", Budget(0.1))
    with pytest.raises(ValueError, match=r"ratio=0\.5"):
        RATAttack.fit(mine, mine, "Pendulum-v1", Budget(0.1, ratio=0.5))
    two, three = victim(0.0, 0.0, 1.0), victim(0.0, 0.0, 1.0)
    two.action_space, three.action_space = spaces.Discrete(2), spaces.Discrete(3)
    with pytest.raises(ValueError, match=r"Discrete\(3\)"):
        check_intention(two, three)
    check_intention(two, two)
    with pytest.raises(ValueError, match="horizon"):
        RATConfig(horizon=0)


def test_squashed_and_plain_gaussians_are_compared_by_their_actions() -> None:
    """Their numbers mean different things; of one kind and box, the KL divergence is exact."""
    mean, std = torch.tensor([[0.4], [-1.0]]), torch.full((2, 1), 0.5)
    box, other = ((torch.full((1,), -x), torch.full((1,), x)) for x in (2.0, 1.0))
    plain = PolicyOutput(mean, std, mean)
    squashed, narrow = PolicyOutput(mean, std, 2 * mean.tanh(), box), PolicyOutput(mean, std, mean.tanh(), other)
    for one, two in ((plain, squashed), (squashed, plain), (squashed, narrow)):
        apart = 0.5 * (one.action - two.action).square().sum(1)
        assert torch.equal(policy_divergence(one, two), apart)
    moved = PolicyOutput(mean + 0.3, std, 2 * (mean + 0.3).tanh(), tuple(x.clone() for x in box))
    assert torch.allclose(policy_divergence(squashed, moved), torch.full((2,), 0.5 * (0.3 / 0.5) ** 2))


def test_the_intentions_critic_judges_what_the_environment_executes() -> None:
    """A victim that asks for more than the box: the critic sees the box's edge, and nothing beyond."""
    mine, wanted = victim(0.0, 0.0, 50.0), victim(0.0, 0.0, -0.2)
    judged = []
    wanted.q_value = lambda s, a: judged.append(a.detach()) or -a.squeeze(1).square()
    learner = _Learner(mine, wanted, Budget(0.5), RATConfig(net_arch=(8,)), seed=1)
    learner._outer(torch.randn((16, 3), generator=torch.Generator().manual_seed(2), dtype=torch.float64))
    assert judged[0].abs().max() == 2.0


@pytest.mark.parametrize("kind", ["ours", "sb3"])
def test_fits_repeat_and_leave_the_policies_generators_alone(kind: str) -> None:
    how = {"n_steps": 16, "batch_size": 16, "device": "cpu"}
    if kind == "ours":
        models = [PPO("Pendulum-v1", num_envs=2, seed=seed, **how) for seed in (0, 1)]
    else:
        models = [sb3.PPO("MlpPolicy", "Pendulum-v1", seed=seed, **how) for seed in (0, 1)]
    mine, wanted = (as_victim(model) for model in models)
    config = RATConfig(steps=200, num_envs=2, net_arch=(8,), inner_every=50, horizon=50, weighted=False)

    def states() -> list[torch.Tensor]:
        own = [model.generator.get_state() for model in models] if kind == "ours" else []
        return [*own, torch.get_rng_state()]

    before = states()
    fits = [RATAttack.fit(mine, wanted, "Pendulum-v1", Budget(0.3), config, seed=seed) for seed in (5, 5, 6)]
    assert all(torch.equal(a, b) for a, b in zip(states(), before, strict=True))
    one, two, three = (torch.cat([p.flatten() for p in fit.net.parameters()]) for fit in fits)
    assert torch.equal(one, two) and not torch.equal(one, three)
