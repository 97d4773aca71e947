"""The SA regulariser: its value and gradient against closed forms and autograd, and what it does to a policy."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

import rlsuite
from rlsuite import ATLA, PPO, PROTECTED
from rlsuite.adversarial.games.sides import Side
from rlsuite.adversarial.observation import atla
from rlsuite.adversarial.observation.smoothness import Smoothness, divergence
from rlsuite.core import on_policy
from rlsuite.core.distributions import action_spec
from rlsuite.core.types import PolicyBatch
from rlsuite.policy_gradient.ppo import PPOConfig, ppo_loss, ppo_loss_grad

SMALL: dict[str, Any] = {
    "num_envs": 2,
    "n_steps": 32,
    "normalize_obs": True,
    "seed": 4,
    "device": "cpu",
    "sa_steps": 2,
}
BOX, DISCRETE = spaces.Box(-1, 1, (3,), np.float32), spaces.Discrete(4)


def make_parts(backend: str, space: spaces.Space[Any], **settings: Any) -> on_policy.Parts:
    torch.manual_seed(3)
    config = PPOConfig(backend=backend, batch_size=8, n_steps=8, **settings)
    side = Side(5, action_spec(space), torch.device("cpu"), 1)
    parts = on_policy.build(side, config, partial(ppo_loss, config=config), partial(ppo_loss_grad, config=config))
    with torch.no_grad():  # a policy that depends on the state, with unequal deviations
        parts.flat.data.mul_(1.0).add_(0.2 * torch.randn(len(parts.flat.data)))
    return parts


def make_batch(space: spaces.Space[Any], n: int = 8) -> PolicyBatch:
    draw = torch.Generator().manual_seed(5)
    action = torch.randn(n, 3, generator=draw) if isinstance(space, spaces.Box) else torch.arange(n) % 4
    rows = [torch.randn(n, generator=draw) for _ in range(4)]
    return PolicyBatch(torch.randn(n, 5, generator=draw), action, *rows, mask=None)


def regularizer(parts: on_policy.Parts, **settings: Any) -> Smoothness:
    values: dict[str, Any] = {"eps": 0.3, "coef": 0.7, "steps": 4, **settings}
    return Smoothness(parts, generator=torch.Generator().manual_seed(1), **values)


@pytest.mark.parametrize("space", [BOX, DISCRETE])
def test_the_divergence_is_twice_torchs_kl(space: spaces.Space[Any]) -> None:
    out, near = torch.randn(6, 4), torch.randn(6, 4)
    std = torch.rand(4) + 0.5 if space is BOX else None
    if std is None:
        one, other = (torch.distributions.Categorical(logits=x) for x in (out, near))
        kl = torch.distributions.kl_divergence(one, other)
    else:
        one, other = (torch.distributions.Normal(x, std) for x in (out, near))
        kl = torch.distributions.kl_divergence(one, other).sum(1)
    torch.testing.assert_close(divergence(out, near, std), 2 * kl)


@pytest.mark.parametrize("space", [BOX, DISCRETE])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_both_back_ends_add_the_same_gradient(space: spaces.Space[Any], activation: str) -> None:
    found = []
    for backend in ("torch", "numpy"):
        parts = make_parts(backend, space, activation=activation)
        batch = parts.backend.prepare(make_batch(space))
        parts.backend.gradient(batch, 0.2)
        before = parts.flat.grad.clone()
        metrics = regularizer(parts)(batch)
        found.append((before, parts.flat.grad.clone(), float(metrics["smoothness"])))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-5)
    before, after, value = found[0]
    assert value > 0.01 and (after - before).abs().max() > 0.01


def test_the_deviation_and_the_critic_are_left_alone() -> None:
    for backend in ("torch", "numpy"):
        parts = make_parts(backend, BOX)
        batch = parts.backend.prepare(make_batch(BOX))
        parts.backend.gradient(batch, 0.2)
        policy = parts.policy
        assert policy.log_std is not None and policy.log_std.grad is not None
        untouched = [
            policy.log_std.grad,
            *(p.grad for p in (*policy.critic.parameters(), *policy.value.parameters())),
        ]
        kept = [grad.clone() for grad in untouched if grad is not None]
        regularizer(parts)(batch)
        for grad, before in zip(untouched, kept, strict=True):
            assert torch.equal(grad, before)


@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_a_linear_policy_is_pushed_to_the_corner(backend: str) -> None:
    """One action, mu = w.s: the largest D is (eps |w|_1 / sigma)^2, at a corner, and its gradient is known, too."""
    config = PPOConfig(backend=backend, batch_size=8, n_steps=8, net_arch=())
    space = spaces.Box(-1, 1, (1,), np.float32)
    side = Side(5, action_spec(space), torch.device("cpu"), 1)
    parts = on_policy.build(side, config, partial(ppo_loss, config=config), partial(ppo_loss_grad, config=config))
    weight = torch.tensor([[1.0, -2.0, 0.5, 3.0, -1.0]])
    (linear,) = (m for m in parts.policy.actor.modules() if isinstance(m, torch.nn.Linear))
    with torch.no_grad():
        linear.weight.copy_(weight)
        assert parts.policy.log_std is not None
        parts.policy.log_std.fill_(0.3)
    batch = parts.backend.prepare(make_batch(space)) if backend == "torch" else make_batch(space).numpy()
    parts.flat.zero_grad()
    value = regularizer(parts, eps=0.2, coef=0.5, steps=100)(batch)["smoothness"]  # steps that begin the wrong way
    sigma2 = np.exp(0.6)
    assert float(value) == pytest.approx((0.2 * 7.5) ** 2 / sigma2, rel=0.03)  # end one short of the corner
    assert linear.weight.grad is not None  # d/dw (eps |w|_1)^2 = 2 eps^2 |w|_1 sign(w)
    np.testing.assert_allclose(linear.weight.grad, 0.5 * 2 * 0.04 * 7.5 / sigma2 * weight.sign(), rtol=0.03)


def test_no_room_is_no_loss() -> None:
    parts = make_parts("numpy", BOX)
    batch = parts.backend.prepare(make_batch(BOX))
    parts.backend.gradient(batch, 0.2)
    before = parts.flat.grad.clone()
    assert regularizer(parts, eps=0.0)(batch)["smoothness"] < 1e-10
    np.testing.assert_allclose(parts.flat.grad, before, atol=1e-6)


def test_without_weight_it_is_ppo_and_with_it_the_policy_is_smoother() -> None:
    common: dict[str, Any] = {"num_envs": 4, "n_steps": 64, "normalize_obs": True, "seed": 2, "device": "cpu"}
    steps = 4 * 64 * 8
    plain = PPO("InvertedPendulum-v5", **common).learn(steps)
    same = ATLA("InvertedPendulum-v5", adversary="none", sa_coef=0.0, **common).learn(steps)
    assert torch.equal(plain.parts.flat.data, same.parts.flat.data)
    smooth = ATLA(
        "InvertedPendulum-v5", adversary="none", eps=0.3, sa_coef=3.0, sa_steps=3, sa_warmup=0.0, **common
    ).learn(steps)
    obs = torch.randn(256, 4, generator=torch.Generator().manual_seed(0))
    reach = []
    for model in (plain, smooth):
        near = obs + 0.3 * torch.randn(obs.shape, generator=torch.Generator().manual_seed(1)).sign()
        with torch.no_grad():
            std = model.policy.log_std.exp()
            reach.append(float(divergence(model.policy.actor(obs), model.policy.actor(near), std).mean()))
    assert reach[1] < 0.5 * reach[0]


def test_the_box_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes: list[float] = []

    class Noted(Smoothness):
        def __init__(self, parts: on_policy.Parts, **settings: Any) -> None:
            boxes.append(settings["eps"])
            super().__init__(parts, **settings)

    monkeypatch.setattr(atla, "Smoothness", Noted)
    ATLA("InvertedPendulum-v5", adversary="none", eps=0.2, sa_coef=1.0, sa_warmup=0.5, **SMALL).learn(64 * 8)
    np.testing.assert_allclose(boxes, [0.0, 0.05, 0.1, 0.15, 0.2, 0.2, 0.2, 0.2])


@pytest.mark.parametrize("algorithm", [ATLA, PROTECTED])
def test_resume_is_exact(tmp_path: Path, algorithm: Any) -> None:
    settings = {**SMALL, "eps": 0.2, "sa_coef": 1.0, "sa_warmup": 0.0}
    settings |= {"n_policies": 2, "n_updates": 3} if algorithm is PROTECTED else {}
    whole = algorithm("InvertedPendulum-v5", **settings).learn(64 * 12)
    half = algorithm("InvertedPendulum-v5", **settings).learn(64 * 4)
    half.save(tmp_path / "half.zip")
    rest = rlsuite.load(tmp_path / "half.zip", env="InvertedPendulum-v5", device="cpu")
    rest.learn(whole.num_timesteps - rest.num_timesteps, reset_num_timesteps=False)
    assert torch.equal(rest.parts.flat.data, whole.parts.flat.data)


def test_only_boxes() -> None:
    with pytest.raises(ValueError, match=r"sa_coef is 0\.1 with norm 'l2'.*linf"):
        ATLA("InvertedPendulum-v5", norm="l2", sa_coef=0.1)
    with pytest.raises(ValueError, match="sa_coef"):
        ATLA("InvertedPendulum-v5", sa_coef=-1.0)
