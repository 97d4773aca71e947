"""The gradient step in numpy: the same weights as autograd's, whatever is trained, clamped or clipped."""

from __future__ import annotations

import pytest
import torch

from rlsuite.core.buffers import ReplayBatch
from rlsuite.off_policy import soft_learner
from rlsuite.off_policy.networks import Actor, SplitActor, TwinCritic
from rlsuite.off_policy.sac import SAC, SACConfig
from rlsuite.off_policy.soft_kernel import supports
from rlsuite.off_policy.soft_learner import SoftLearner, StepSizes

OBS, ACTION, N = 5, 2, 32


def learner(actor, *, monkeypatch=None, clip=None, ent_coef="auto_0.3", **config) -> SoftLearner:
    """By hand, or with `monkeypatch` by autograd; the same first weights."""
    torch.manual_seed(0)
    settings = SACConfig(**{"net_arch": (16, 12), **config})
    parts = actor(OBS, ACTION, settings), *(TwinCritic(OBS, ACTION, settings) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        if monkeypatch is not None:
            patch.setattr(soft_learner, "supports", lambda *networks: False)
        return SoftLearner(*parts, ent_coef=ent_coef, target_entropy=-2.0, tau=0.1, max_grad_norm=clip)


def batch(seed: int) -> ReplayBatch:
    draws = torch.Generator().manual_seed(seed)
    obs, next_obs = torch.randn(2, N, OBS, generator=draws)
    action = torch.rand(N, ACTION, generator=draws) * 2 - 1
    reward, over = torch.randn(N, generator=draws), torch.rand(N, generator=draws) < 0.3
    return ReplayBatch(obs, action, reward, next_obs, over, torch.full((N,), 0.97))


@pytest.mark.parametrize("actor", [Actor, SplitActor])
@pytest.mark.parametrize(
    "case",
    [
        {},
        {"clip": 0.05},
        {"ent_coef": 0.5},
        {"alpha": True},
        {"log_std": 40.0},
        {"log_std": -40.0},
        {"net_arch": ()},
        {"net_arch": (7,)},
    ],
    ids=str,
)
def test_by_hand_equals_autograd(actor, case, monkeypatch):
    case = dict(case)
    alpha = torch.rand(N, generator=torch.Generator().manual_seed(9)) if case.pop("alpha", False) else None
    shift = case.pop("log_std", None)
    pair = [learner(actor, monkeypatch=patch, **case) for patch in (None, monkeypatch)]
    assert pair[0].kernel is not None and pair[1].kernel is None
    for one in pair:
        if shift is not None:  # far outside the range that the log-std is clamped to
            last = one.actor.net[-1] if actor is Actor else one.actor.log_std[-1]
            last.bias.data[-ACTION:] += shift
    draws = [torch.Generator().manual_seed(1) for _ in pair]
    for step in range(6):
        metrics = [
            one.gradient_step(batch(step), rng, StepSizes(1e-3, 2e-3, 3e-3), alpha=alpha, train_actor=step > 0)
            for one, rng in zip(pair, draws, strict=True)
        ]
        assert metrics[0].keys() == metrics[1].keys()
        for name, value in metrics[1].items():
            assert float(metrics[0][name]) == pytest.approx(float(value), rel=1e-4, abs=1e-5), name
    assert torch.equal(*(rng.get_state() for rng in draws))
    for name in ("actor", "critic", "target", "alpha"):
        torch.testing.assert_close(pair[0].flat[name].data, pair[1].flat[name].data, rtol=1e-4, atol=2e-5)


def test_other_networks_stay_with_autograd():
    config = SACConfig(net_arch=(4,), activation="tanh")
    assert not supports(Actor(OBS, ACTION, config), TwinCritic(OBS, ACTION, config))
    assert SAC("Pendulum-v1", activation="tanh", device="cpu").learner.kernel is None
    assert SAC("Pendulum-v1", device="cpu").learner.kernel is not None
