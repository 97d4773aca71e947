"""Attacks: the budget is never exceeded, linear scores have closed forms, and certificates survive them."""

from __future__ import annotations

import math

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3 import DQN, TD3
from stable_baselines3 import PPO as SB3PPO
from stable_baselines3 import SAC as SB3SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch import nn

from rlsuite import PPO, SAC
from rlsuite.core.rng import ATTACK, NOISE, own_seed
from rlsuite.sb3 import as_policy
from rlsuite.smoothing.certificates import certify_ladder
from rlsuite.smoothing.episodes import smoothed_returns
from rlsuite.smoothing.noise import GaussianNoise, noise_seed
from rlsuite.smoothing.smoothed import FrameContext, SmoothedPolicy
from rlsuite.smoothing.tightness import (
    ActionAttack,
    ActionAttackConfig,
    ScoreAttack,
    ScoreAttackConfig,
    project,
)
from rlsuite.smoothing.victims import actions_of, scores_of

CARTPOLE = "rlsuite/CartPole-v1"


def context(frame, older=None, first=True):
    count = len(frame)
    older = frame.new_zeros((count, 0, *frame.shape[1:])) if older is None else older
    return FrameContext(older, torch.full((count,), first), None)


def full(frame, budget):
    return torch.full((len(frame),), budget, dtype=torch.float64)


class Linear:
    """Scores W o + b of [M, ...] observations, flattened."""

    def __init__(self, weight, bias):
        self.weight, self.bias = torch.as_tensor(weight).float(), torch.as_tensor(bias).float()

    def __call__(self, obs):
        return obs.flatten(1) @ self.weight.T + self.bias


class GreedyPolicy:
    """Acts by the highest of given scores."""

    def __init__(self, scores):
        self.scores = scores

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return self.scores(torch.as_tensor(observation)).argmax(1).numpy(), state


# --- Budget -----------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    budget=st.floats(0, 3),
    step_size=st.floats(0.005, 2),
    sigma=st.sampled_from([0.0, 0.3]),
    frames=st.integers(1, 3),
    continuous=st.booleans(),
)
def test_the_budget_of_an_episode_is_never_exceeded(seed, budget, step_size, sigma, frames, continuous):
    """Over 12 steps of changing observations, through the smoothed policy that keeps the account."""
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * frames, 8), nn.Tanh(), nn.Linear(8, 3))
    for parameter in net.parameters():
        parameter.data = 2 * torch.randn(parameter.shape, generator=generator)
    if continuous:
        settings = ActionAttackConfig(budget, sigma, step_size=step_size, steps=5, noise_draws=4, penalty=0.0)
        attack = ActionAttack(net, settings)
    else:
        attack = ScoreAttack(net, ScoreAttackConfig(budget, sigma, step_size=step_size, noise_draws=4))
    parts = []

    def spy(frame, context, remaining):
        parts.append(attack(frame, context, remaining))
        return parts[-1]

    spy.budget = budget
    policy = SmoothedPolicy(GreedyPolicy(net), sigma, frames=frames, attack=spy)
    state = None
    for t in range(12):
        frame = torch.randn((5, 3), generator=generator).numpy()
        _, state = policy.predict(frame, state, np.full(5, t == 0))
    spent = torch.stack(parts).double().square().sum((0, 2)).sqrt()
    assert (spent <= budget * (1 + 1e-6)).all()
    left = state.remaining
    np.testing.assert_allclose(left.square() + spent.square(), budget**2, atol=1e-5 * max(budget, 1e-3) ** 2)


def test_projection():
    part = torch.randn((100, 2, 3), generator=torch.Generator().manual_seed(0))
    inside = project(part, full(part, 1.0))
    norms = inside.double().flatten(1).norm(dim=1)
    assert (norms <= 1.0).all() and (norms.max() > 1 - 1e-5)
    small = part.flatten(1).norm(dim=1) < 0.99
    assert torch.equal(inside[small], part[small])
    assert (project(part, full(part, 0.0)) == 0).all()


# --- Discrete actions -------------------------------------------------------------------------------------------------


def test_the_smallest_sufficient_step_is_found():
    """Two linear scores: the boundary is gap / ||w_0 - w_1|| away, in that direction."""
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(2, 4)), rng.normal(size=2)
    scores, step = Linear(weight, bias), 0.01
    frame = torch.as_tensor(rng.normal(size=(200, 4)), dtype=torch.float32)
    values = scores(frame)
    normal = torch.as_tensor(weight[0] - weight[1]).float()
    distance = (values[:, 0] - values[:, 1]).abs() / normal.norm()
    budget = 0.8
    part = ScoreAttack(scores, ScoreAttackConfig(budget, step_size=step))(frame, context(frame), full(frame, budget))
    norm = part.norm(dim=1)
    flipped = scores(frame + part).argmax(1) != values.argmax(1)
    within = distance < budget - 2 * step
    assert 20 < int(within.sum()) < 200
    assert flipped[within].all() and (norm[within] >= distance[within] - 1e-5).all()
    assert (norm[within] <= distance[within] + step + 1e-5).all()
    assert not flipped[distance > budget].any() and (norm[distance > budget] == 0).all()
    cosine = (part[within] * normal).sum(1).abs() / (norm[within] * normal.norm())
    assert (cosine > 1 - 1e-5).all()


def test_the_target_with_the_lowest_clean_score_is_taken():
    """Scores 2 (now), 1 (along +x), 0 (along -x), -5 (out of reach); q_gap leaves out the near ones."""
    scores = Linear([[0.0], [10.0], [-10.0], [0.0]], [2.0, 1.0, 0.0, -5.0])
    frame = torch.zeros((1, 1))

    def chosen(budget, q_gap):
        attack = ScoreAttack(scores, ScoreAttackConfig(budget, q_gap=q_gap))
        part = attack(frame, context(frame), full(frame, budget))
        return int(scores(frame + part).argmax(1)), float(part.norm())

    assert chosen(0.5, 0.0)[0] == 2  # both 1 and 2 are in reach; 2 is worse
    assert chosen(0.15, 0.0)[0] == 1  # 2 needs 0.2
    assert chosen(0.15, 1.5) == (0, 0.0)  # 1 is too near the best, 2 too far away
    assert chosen(0.5, 1.5)[0] == 2
    assert chosen(0.5, 3.0) == (0, 0.0)


def test_only_the_newest_frame_is_attacked_and_a_first_frame_counts_for_all_its_copies():
    scores = Linear([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]], [0.9, 0.0])
    frame, older = torch.zeros((1, 1)), torch.full((1, 2, 1), 0.2)
    attack = ScoreAttack(scores, ScoreAttackConfig(1.0, step_size=0.01))
    in_stack = attack(frame, context(frame, older, first=False), full(frame, 1.0))
    first = attack(frame, context(frame, older, first=True), full(frame, 1.0))
    assert float(in_stack) == pytest.approx(0.5, abs=0.02)  # 0.2 + 0.2 + e > 0.9
    assert float(first) == pytest.approx(0.3, abs=0.02)  # 3 e > 0.9
    blind = ScoreAttack(Linear([[0.0, 0.0, 0.0], [1.0, 1.0, 0.0]], [0.9, 0.0]), ScoreAttackConfig(1.0))
    assert float(blind(frame, context(frame, older, first=False), full(frame, 1.0))) == 0  # no gradient, no spending


def test_smoothed_scores_are_attacked_where_they_are_smoothed():
    """A step function has no gradient, its Gaussian mean has one; the attack averages over its draws."""

    def steep(obs):
        return torch.cat((torch.sigmoid(400 * obs), torch.full_like(obs, 0.3)), 1)

    frame = torch.full((1, 1), 0.3)
    plain = ScoreAttack(steep, ScoreAttackConfig(2.0))(frame, context(frame), full(frame, 2.0))
    config = ScoreAttackConfig(2.0, sigma=0.5, noise_draws=512)
    smooth = ScoreAttack(steep, config)(frame, context(frame), full(frame, 2.0))
    assert float(plain) == 0
    # E[1{x + e + d > 0}] = 0.3 at x + e = sigma * Phi^-1(0.3) = -0.262.
    assert float(smooth) == pytest.approx(-0.562, abs=0.06)


def test_what_is_left_after_rounding_is_not_spent_step_by_step():
    """The net is asked no more once the budget is gone but for the hair that projection keeps."""
    asked = []

    def scores(obs):
        asked.append(len(obs))
        return Linear([[0.0], [1.0]], [0.6, 0.0])(obs)

    attack = ScoreAttack(scores, ScoreAttackConfig(0.5, step_size=0.1))
    policy = SmoothedPolicy(GreedyPolicy(Linear([[0.0], [1.0]], [0.6, 0.0])), 0.0, attack=attack)
    frame = np.full((4, 1), 0.100001, np.float32)
    _, state = policy.predict(frame)
    assert asked and (state.remaining < 2e-3 * 0.5).all() and (state.remaining > 0).all()
    asked.clear()
    policy.predict(frame, state)
    assert not asked


def test_finished_environments_are_left_alone():
    scores = Linear([[0.0], [10.0]], [1.0, 0.0])
    frame = torch.zeros((3, 1))
    remaining = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    part = ScoreAttack(scores, ScoreAttackConfig(1.0))(frame, context(frame), remaining)
    assert (part[:, 0] != 0).tolist() == [True, False, True]


def test_the_certificate_is_below_every_attacked_return():
    """A CartPole controller that is good under noise, its certificate, and its returns under attack."""
    scores = Linear([[0.0, 0.0, 0.0, 0.0], [0.3, 0.8, 3.0, 1.5]], [0.0, 0.0])
    sigma, kwargs = 0.2, {"max_episode_steps": 200}
    policy = GreedyPolicy(scores)
    clean = smoothed_returns(policy, CARTPOLE, sigma=sigma, episodes=3000, env_kwargs=kwargs)
    budgets = [0.2, 0.5, 1.0]
    certificate = certify_ladder(clean.returns, budgets, sigma, ladder=200)
    assert clean.returns.mean() > 150 and certificate.value[0] > 50
    means = []
    for budget, value in zip(budgets, certificate.value, strict=True):
        attack = ScoreAttack(scores, ScoreAttackConfig(budget, sigma, step_size=0.05, noise_draws=16))
        run = smoothed_returns(policy, CARTPOLE, sigma=sigma, episodes=300, env_kwargs=kwargs, attack=attack, seed=1)
        assert value <= run.returns.mean() + 4 * run.returns.std() / math.sqrt(300)
        assert (run.spent <= budget * (1 + 1e-6)).all()
        means.append(run.returns.mean())
    assert means[-1] < clean.returns.mean() - 10  # and the attack does harm


# --- Continuous actions -----------------------------------------------------------------------------------------------


def test_a_linear_action_is_pushed_along_its_gradient():
    actions = Linear([[3.0, 4.0]], [0.0])
    frame = torch.zeros((50, 2))
    config = ActionAttackConfig(0.5, penalty=0.0)
    up = ActionAttack(actions, config, harm=lambda frame, action: -action[:, 0])
    part = up(frame, context(frame), full(frame, 0.5))
    np.testing.assert_allclose(part, np.tile([0.3, 0.4], (50, 1)), atol=0.02)
    away = ActionAttack(actions, config)(frame, context(frame), full(frame, 0.5))
    np.testing.assert_allclose(actions(away).abs(), 2.5, atol=0.02)
    dear = ActionAttack(actions, ActionAttackConfig(0.5, penalty=1e6), harm=lambda frame, action: -action[:, 0])
    assert (dear(frame, context(frame), full(frame, 0.5)) == 0).all()


# --- Insides of models ------------------------------------------------------------------------------------------------


def _gradient_is_right(function, obs, atol):
    obs = torch.as_tensor(obs, dtype=torch.float32)[:3].requires_grad_()
    weight = torch.arange(1.0, 1 + function(obs).shape[1])
    (grad,) = torch.autograd.grad((function(obs) * weight).sum(), obs)
    step = 1e-3
    for i in range(obs.shape[1]):
        e = torch.zeros_like(obs)
        e[:, i] = step
        with torch.no_grad():
            slope = ((function(obs + e) - function(obs - e)) * weight).sum(1) / (2 * step)
        np.testing.assert_allclose(grad[:, i], slope, atol=atol)


def test_scores_of_our_ppo():
    model = PPO(CARTPOLE, num_envs=4, n_steps=32, normalize_obs=True, device="cpu").learn(512)
    obs = np.random.default_rng(0).normal(0, 0.3, (200, 4)).astype(np.float32)
    function = scores_of(model)
    np.testing.assert_array_equal(function(torch.as_tensor(obs)).argmax(1), model.predict(obs, deterministic=True)[0])
    _gradient_is_right(function, obs, 2e-3)
    stacked = np.stack([obs[:, :2], obs[:, 2:]], 1)  # [M, 2, 2]: flattened as the agent would
    assert torch.equal(function(torch.as_tensor(stacked)), function(torch.as_tensor(obs)))


def test_scores_of_stable_baselines_models():
    obs = np.random.default_rng(1).normal(0, 0.3, (200, 4)).astype(np.float32)
    dqn = DQN("MlpPolicy", "CartPole-v1", seed=0, device="cpu")
    ppo = SB3PPO("MlpPolicy", "CartPole-v1", seed=0, device="cpu")
    venv = VecNormalize(DummyVecEnv([lambda: gym.make("CartPole-v1")]))
    normalised = SB3PPO("MlpPolicy", venv, n_steps=64, batch_size=64, seed=0, device="cpu").learn(64)
    for model in (dqn, ppo, normalised):
        function, policy = scores_of(model), as_policy(model)
        found = function(torch.as_tensor(obs)).argmax(1)
        np.testing.assert_array_equal(found, policy.predict(obs, deterministic=True)[0])
        _gradient_is_right(function, obs, 2e-3)


def test_actions_of_models():
    obs = np.random.default_rng(2).normal(0, 0.5, (50, 3)).astype(np.float32)
    models = [
        PPO("rlsuite/Pendulum-v1", num_envs=2, n_steps=32, device="cpu"),
        SAC("rlsuite/Pendulum-v1", device="cpu"),
        SB3PPO("MlpPolicy", "Pendulum-v1", seed=0, device="cpu"),
        SB3SAC("MlpPolicy", "Pendulum-v1", seed=0, device="cpu", buffer_size=10),
        TD3("MlpPolicy", "Pendulum-v1", seed=0, device="cpu", buffer_size=10),
    ]
    for model in models:
        function = actions_of(model)
        with torch.no_grad():
            mean = function(torch.as_tensor(obs)).clamp(-2, 2)
        np.testing.assert_allclose(mean, model.predict(obs, deterministic=True)[0], atol=1e-5)
        _gradient_is_right(function, obs, 1e-2)
        with pytest.raises(TypeError, match="no scores"):
            scores_of(model)


@pytest.mark.parametrize(
    ("words", "kwargs"),
    [
        ("budget", {"budget": -1.0}),
        ("budget", {"budget": math.nan}),
        ("sigma", {"budget": 1.0, "sigma": -0.1}),
        ("step_size", {"budget": 1.0, "step_size": 0.0}),
        ("noise_draws", {"budget": 1.0, "noise_draws": 0}),
    ],
)
def test_bad_constants(words, kwargs):
    for kind in (ScoreAttackConfig, ActionAttackConfig):
        with pytest.raises(ValueError, match=words):
            kind(**kwargs)


def test_an_attack_never_holds_the_noise_to_come():
    """Whatever the seeds, near ones above all: it would be outside of what a certificate speaks of."""
    streams = {own_seed(seed, stream) for seed in range(50) for stream in (NOISE, ATTACK)}
    assert len(streams) == 100
    frame = torch.zeros(8, 4)
    for seed in range(3):
        attack = ScoreAttack(Linear(np.eye(2, 4), np.zeros(2)), ScoreAttackConfig(1.0, 0.5, seed=seed, noise_draws=8))
        attack(frame, context(frame), full(frame, 1.0))
        for other in range(5):
            noise = GaussianNoise(0.5, noise_seed(other)).add(frame)
            assert not torch.allclose(attack._draws.noise, noise)
