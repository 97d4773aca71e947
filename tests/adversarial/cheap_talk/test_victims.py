"""Victims trained at once: equal to victims trained alone, to autograd, and blind to what they do not hear."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite.adversarial.cheap_talk import victims as module
from rlsuite.adversarial.cheap_talk.victim_ppo import Samples, VictimConfig, VictimNet, victim_loss
from rlsuite.adversarial.cheap_talk.victims import VICTIMS, RunningScale, Victims, derived_seeds
from rlsuite_envs.cheap_talk.messages import random_weights
from rlsuite_envs.cheap_talk.wrapper import CheapTalk

SMALL = {
    "CartPole": VictimConfig(n_steps=32, n_updates=3, n_epochs=4),
    "Pendulum": VictimConfig(n_steps=32, n_updates=3, n_epochs=4, learning_rate=0.02, gamma=0.95, stagger=True),
    "Reacher": VictimConfig(hidden=16, activation="relu", n_steps=24, n_updates=3, n_epochs=4, num_envs=5),
}


def talk_of(preset, weights=None, **constants):
    """The preset's environment with given networks, or with other constants."""
    params = dataclasses.replace(CheapTalk.presets[preset], **constants)
    return CheapTalk(params, network=weights)


def networks(preset, count):
    """Random weights of so many networks."""
    dim = {"CartPole": 4, "Pendulum": 3, "Reacher": 10}[preset]
    return random_weights(dim, networks=count, seed=4)


@pytest.mark.parametrize("gaussian", [False, True])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_gradient_is_autograds(gaussian, activation):
    rng = torch.Generator().manual_seed(1)
    config = VictimConfig(hidden=9, activation=activation, ent_coef=0.03)
    net = VictimNet([torch.Generator().manual_seed(s) for s in (0, 1)], 2, 5, 3, gaussian=gaussian, config=config)
    net.flat.add_(0.1 * torch.randn(net.flat.shape, generator=rng))
    if net.log_std is not None:
        net.log_std[1, 0], net.log_std[2, 1] = 2.5, -10.5  # beyond the range: no gradient there
        net.log_std[2, 1] = 2.2
    draw = lambda *shape: torch.randn(shape, generator=rng)  # noqa: E731
    obs = draw(4, 50, 5)
    noise = draw(4, 3, 50) if gaussian else torch.rand((4, 50), generator=rng)
    heads = net.heads(obs)
    action, log_prob = net.act(heads, noise)
    if not gaussian:
        action = torch.nn.functional.one_hot(action, 3).mT.float()
    batch = Samples(
        obs,
        action,
        log_prob + 0.3 * draw(4, 50),
        heads[:, 0] + 0.3 * draw(4, 50),
        draw(4, 50),
        heads[:, 0] + draw(4, 50),
    )
    flat = net.flat.clone().requires_grad_()
    loss = victim_loss(net, flat, batch)
    (expected,) = torch.autograd.grad(loss.sum(), flat)
    net.gradient(batch)
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(net.grad, expected, rtol=1e-4, atol=2e-6)


def test_a_step_is_that_of_clipped_adam_per_learner():
    config = VictimConfig(hidden=4)
    net = VictimNet([torch.Generator().manual_seed(s) for s in (0, 1)], 1, 3, 2, gaussian=False, config=config)
    start = net.flat.clone()
    alone = [torch.nn.Parameter(row.clone()) for row in start]
    adams = [torch.optim.Adam([p], lr=config.learning_rate, eps=1e-5) for p in alone]
    rng = torch.Generator().manual_seed(0)
    for scale in (10.0, 1e-3, 1.0):
        gradient = scale * torch.randn(net.flat.shape, generator=rng) * torch.tensor([[1.0], [1e-3]])
        net.grad.copy_(gradient)
        net.step()
        for p, adam, row in zip(alone, adams, gradient, strict=True):
            p.grad = row.clone()
            torch.nn.utils.clip_grad_norm_([p], config.max_grad_norm)
            adam.step()
    torch.testing.assert_close(net.flat, torch.stack([p.detach() for p in alone]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("preset", list(SMALL))
def test_a_batch_of_three_is_three_single_runs(preset):
    weights, config = networks(preset, 3), SMALL[preset]
    together = Victims(talk_of(preset, weights), config, [7])
    returns = together.train()
    for p in range(3):
        alone = Victims(talk_of(preset, tuple(w[p : p + 1] for w in weights)), config, [7])
        torch.testing.assert_close(alone.train()[:, 0], returns[:, p], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(alone.net.flat[0], together.net.flat[p], rtol=0, atol=1e-5)
        torch.testing.assert_close(alone.scale.mean[0], together.scale.mean[p], rtol=0, atol=1e-5)


def test_seeds_in_a_batch_are_runs_with_that_seed(monkeypatch):
    weights, config = networks("CartPole", 2), SMALL["CartPole"]
    together = Victims(talk_of("CartPole", weights), config, [3, 11, 8])
    returns = together.train()
    alone = Victims(talk_of("CartPole", tuple(w[1:] for w in weights)), config, [11])
    torch.testing.assert_close(alone.train()[:, 0, 0], returns[:, 1, 1], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(alone.net.flat[0], together.net.flat[4], rtol=0, atol=1e-5)
    monkeypatch.setattr(module, "CACHE_FLOATS", 1)  # one learner after the other: the same steps
    apart = Victims(talk_of("CartPole", weights), config, [3, 11, 8])
    torch.testing.assert_close(apart.train(), returns, rtol=1e-5, atol=1e-5)
    assert apart.net.steps == together.net.steps == config.n_updates * config.n_epochs


def test_victims_of_one_seed_start_alike_and_share_their_chances():
    victims = Victims(talk_of("Pendulum", networks("Pendulum", 3)), SMALL["Pendulum"], [0, 1])
    flat = victims.net.flat.view(3, 2, -1)
    assert torch.equal(flat[0], flat[1]) and torch.equal(flat[0], flat[2])
    assert not torch.equal(flat[0, 0], flat[0, 1])
    theta, elapsed = victims._state.theta.view(3, 2, -1), victims._elapsed.view(3, 2, -1)
    assert torch.equal(theta[0], theta[2]) and not torch.equal(theta[0, 0], theta[0, 1])
    assert torch.equal(elapsed[0], elapsed[1]) and len(elapsed[0].unique()) > 4
    noise = victims._noise().view(32, 3, 2, 1, -1)
    assert torch.equal(noise[:, 0], noise[:, 1]) and not torch.equal(noise[:, 0, 0], noise[:, 0, 1])
    same = tuple(w[:1].repeat(2, *(1,) * (w.ndim - 1)) for w in networks("Pendulum", 1))
    twins = Victims(talk_of("Pendulum", same), SMALL["Pendulum"], [5])
    returns = twins.train()
    torch.testing.assert_close(returns[:, 0], returns[:, 1], rtol=1e-5, atol=0)
    torch.testing.assert_close(twins.net.flat[0], twins.net.flat[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("preset", ["CartPole", "Pendulum"])
def test_a_message_of_zero_is_no_message(preset):
    config = SMALL[preset]
    zero = Victims(talk_of(preset, message="constant"), config, [0, 1])
    plain = Victims(talk_of(preset, message="none"), config, [0, 1])
    observed = plain.net.weights[0].shape[-1]
    for mine, theirs in zip(plain.net.weights, zero.net.weights, strict=True):
        mine.copy_(theirs[..., :observed] if mine is plain.net.weights[0] else theirs)
    before = zero.net.weights[0].clone()
    assert before[..., observed:].abs().min() > 0
    torch.testing.assert_close(zero.train(), plain.train(), rtol=1e-5, atol=0)
    assert torch.equal(zero.net.weights[0][..., observed:], before[..., observed:])
    torch.testing.assert_close(zero.net.weights[0][..., :observed], plain.net.weights[0], rtol=0, atol=1e-5)
    assert not torch.equal(plain.net.weights[0], before[..., :observed])


def test_who_ignores_messages_lives_the_same_life():
    victims = Victims(talk_of("CartPole", networks("CartPole", 3)), SMALL["CartPole"], [2])
    victims.net.weights[0][..., 4:] = 0
    victims._collect()
    seen, numbers = victims._seen, victims._numbers
    for other in (1, 2):
        assert torch.equal(seen[0, ..., :4], seen[other, ..., :4])
        assert torch.equal(numbers[:, 0], numbers[:, other])
        assert torch.equal(victims._acted[0], victims._acted[other])
        assert not torch.equal(seen[0, ..., 4:], seen[other, ..., 4:])


def test_time_limits_bootstrap_and_rewards_of_one_make_exact_values():
    config = dataclasses.replace(SMALL["CartPole"], gamma=0.9)
    victims = Victims(talk_of("CartPole", horizon=5), config, [0])  # no pole falls within five steps
    victims.net.weights[4][:, 0], victims.net.weights[5][:, 0] = 0.0, 10.0  # V = 1 / (1 - gamma)
    victims._collect()
    assert victims._done[1].any() and not victims._done[0].any()
    torch.testing.assert_close(victims._targets().return_, torch.full((1, 31 * 4), 10.0))


def test_targets_are_the_recursion_written_out():
    config = SMALL["CartPole"]
    victims = Victims(talk_of("CartPole", networks("CartPole", 2), horizon=13), config, [0])
    victims._collect()
    terminated, truncated = victims._done.double().numpy()
    assert terminated.any() and truncated.any()
    _, value, reward = victims._numbers.double().numpy()
    final = victims.net.heads(victims._last.flatten(1, 2))[:, 0].view(value.shape).double().numpy()
    expected = np.zeros_like(value)[:, :-1]
    later = np.zeros_like(value[:, 0])
    for t in range(config.n_steps - 2, -1, -1):
        ahead = np.where(truncated[:, t] == 1, final[:, t], value[:, t + 1]) * (1 - terminated[:, t])
        delta = reward[:, t] + config.gamma * ahead - value[:, t]
        over = np.maximum(terminated[:, t], truncated[:, t])
        later = expected[:, t] = delta + config.gamma * config.gae_lambda * (1 - over) * later
    batch = victims._targets()
    np.testing.assert_allclose(batch.return_, (expected + value[:, :-1]).reshape(2, -1), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(batch.advantage.mean(1), 0, atol=1e-6)
    np.testing.assert_allclose(batch.advantage.std(1, correction=0), 1, rtol=1e-5)
    expected = expected.reshape(2, -1)
    normal = (expected - expected.mean(1, keepdims=True)) / expected.std(1, keepdims=True)
    np.testing.assert_allclose(batch.advantage, normal, rtol=1e-3, atol=1e-4)


def test_returns_are_rewards_per_ended_episode():
    victims = Victims(talk_of("CartPole", networks("CartPole", 2)), SMALL["CartPole"], [0, 1])
    returns = victims.update().flatten()
    ended = victims._done.any(0).flatten(1).sum(1)
    assert (ended > 0).all()
    torch.testing.assert_close(returns, 32 * 4 / ended.float())
    endless = Victims(talk_of("CartPole"), dataclasses.replace(SMALL["CartPole"], n_steps=3), [0])
    assert float(endless.update()) == 12.0  # no episode ended: counted as one


def test_running_scale_is_the_mean_and_variance_of_all():
    rng = torch.Generator().manual_seed(0)
    data = 3 * torch.randn((3, 40, 6, 2), generator=rng) + torch.tensor([5.0, -1.0])
    scale = RunningScale(3, 2, "cpu")
    for row in data.unbind(1):
        scale.update(row)
    everything = data.flatten(1, 2)
    torch.testing.assert_close(scale.mean[:, 0], everything.mean(1), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(scale.var[:, 0], everything.var(1, correction=0), rtol=1e-3, atol=1e-3)
    scaled = scale(everything)
    torch.testing.assert_close(scaled.mean(1), torch.zeros(3, 2), rtol=0, atol=1e-3)


def test_the_first_observation_is_as_it_is_and_later_ones_are_scaled():
    victims = Victims(talk_of("CartPole", networks("CartPole", 2)), SMALL["CartPole"], [0])
    raw = victims._obs.clone()
    assert raw[..., :4].abs().max() <= 0.05
    victims._collect()
    assert torch.equal(victims._seen[:, 0], raw)
    assert victims._seen[:, 20:].std() > 0.3
    assert victims.scale.count == pytest.approx(32 * 4 + 1e-4)


def test_cartpole_is_learnt():
    config = dataclasses.replace(VICTIMS["CartPole"], n_updates=12)
    returns = Victims(talk_of("CartPole", message="none"), config, range(6)).train()[:, 0]
    assert returns[0].max() < 40 and returns[-1].mean() > 90


def test_equal_seeds_give_equal_bits():
    first, second = (
        Victims(talk_of("Reacher", networks("Reacher", 2)), SMALL["Reacher"], [1]).train() for _ in range(2)
    )
    assert torch.equal(first, second)
    assert derived_seeds(3, 4, count=3)[:2] == derived_seeds(3, 4, count=2)
    assert derived_seeds(3, 4, count=2) != derived_seeds(3, 5, count=2)
    assert all(0 <= seed < 2**63 for seed in derived_seeds(0, 0, count=100))


def test_greedy_actions_are_the_likeliest():
    victims = Victims(talk_of("CartPole", networks("CartPole", 2)), SMALL["CartPole"], [0])
    victims.train()
    obs = victims._look(victims._state)
    action = victims.act(obs)
    logits = victims.net.heads(victims.scale(obs))[:, 1:]
    assert torch.equal(action, (logits[:, 1] > logits[:, 0]).long())


def test_a_diverged_victim_is_named():
    config = dataclasses.replace(SMALL["CartPole"], learning_rate=1e30)
    victims = Victims(talk_of("CartPole", networks("CartPole", 2)), config, [0])
    with pytest.raises(FloatingPointError, match="network 0 and seed number 0"):
        victims.train()


@settings(max_examples=40)
@given(
    st.sampled_from(["hidden", "num_envs", "n_steps", "n_updates", "n_epochs"]),
    st.one_of(
        st.integers(max_value=0),
        st.floats().filter(lambda x: not (x >= 1 and x.is_integer())),  # 16.0 is taken for 16
        st.booleans(),
        st.text(max_size=3),
        st.none(),
    ),
)
def test_counts_must_be_positive_integers(field, value):
    with pytest.raises(ValueError, match=field):
        VictimConfig(**{field: value})


@pytest.mark.parametrize(
    "values",
    [
        {"n_steps": 1},
        {"gamma": 1.5},
        {"gae_lambda": -0.1},
        {"clip_range": 0.0},
        {"learning_rate": 0.0},
        {"activation": "gelu"},
        {"max_grad_norm": 0.0},
        {"ent_coef": -1.0},
    ],
)
def test_numbers_must_be_in_their_range(values):
    with pytest.raises(ValueError, match=next(iter(values))):
        VictimConfig(**values)


def test_environments_that_do_not_fit_are_refused():
    params = dataclasses.replace(CheapTalk.presets["CartPole"], horizon=None)
    noisy = CheapTalk(dataclasses.replace(params, env="rlsuite/LostSales-L4-p4-v0"))
    with pytest.raises(ValueError, match="draws noise"):
        Victims(noisy, VictimConfig(), [0])
    for seeds in ([], [3, -1]):
        with pytest.raises(ValueError, match="seeds="):
            Victims(talk_of("CartPole"), VictimConfig(), seeds)
