"""A population is P networks: every row computes, learns and normalises as one network alone does."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite.core.actions import action_spec
from rlsuite.core.networks import ActorCritic, FlatParameters
from rlsuite.core.normalize import ReturnNorm, RunningNorm
from rlsuite.core.optim import FlatAdam
from rlsuite.core.population import Population, StackedAdam, join_rows, split_rows, unflatten
from rlsuite.core.population_actor import PopulationActor
from rlsuite.core.stacked_kernel import StackedKernel
from rlsuite.core.stacked_norm import StackedNorm, StackedReturnNorm, single_norm
from rlsuite.core.types import HeadGrads

BOX = gym.spaces.Box(-1.0, 1.0, (3,))
CHOICE = gym.spaces.Discrete(4)
P, N, O, K = 3, 20, 5, 2  # noqa: E741


def population(space: Any = BOX, activation: str = "tanh", net_arch: tuple[int, ...] = (8, 6)) -> Population:
    torch.manual_seed(0)
    spec = action_spec(space)
    networks = [ActorCritic(O, spec, net_arch=net_arch, activation=activation, objectives=K) for _ in range(P)]
    made = Population(networks[0], P)
    for row, network in zip(made.data, networks, strict=True):
        row.copy_(FlatParameters(network).data)
    if "log_std" in made.parameters:
        made.parameters["log_std"].data.uniform_(-0.5, 0.5)
    return made


def sample(space: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    obs = torch.randn(P, N, O)
    if isinstance(space, gym.spaces.Box):
        return obs, torch.randn(P, N, 3), None
    mask = torch.rand(P, N, 4) < 0.7
    mask[..., 0] = True
    return obs, torch.zeros(P, N, dtype=torch.int64), mask


@pytest.mark.parametrize("space", [BOX, CHOICE])
@pytest.mark.parametrize("net_arch", [(8, 6), ()])
def test_every_row_computes_what_its_member_alone_does(space: Any, net_arch: tuple[int, ...]) -> None:
    made = population(space, net_arch=net_arch)
    obs, action, mask = sample(space)
    heads = made.heads(obs, action, mask)
    kernel = StackedKernel(made)
    by_hand = kernel.heads(obs.numpy(), action.numpy(), None if mask is None else mask.numpy())
    for p in range(P):
        alone = made.member(p).heads(obs[p], action[p], None if mask is None else mask[p])
        for name in ("log_prob", "entropy", "value"):
            expected = getattr(alone, name)
            assert torch.allclose(getattr(heads, name)[p], expected, atol=1e-5), name
            mine = torch.from_numpy(getattr(by_hand, name)[p])
            assert torch.allclose(mine.expand_as(expected), expected, atol=1e-5), name


@pytest.mark.parametrize("space", [BOX, CHOICE])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_kernels_gradient_is_autograds(space: Any, activation: str) -> None:
    made = population(space, activation)
    obs, action, mask = sample(space)
    kernel = StackedKernel(made)
    kernel.heads(obs.numpy(), action.numpy(), None if mask is None else mask.numpy())
    grads = HeadGrads(
        np.random.default_rng(0).normal(size=(P, N)).astype(np.float32), -0.01, np.ones((P, N, K), np.float32)
    )
    kernel.backward(grads)
    mine = made.grad.clone()
    heads = made.heads(obs, action, mask)
    loss = (
        (heads.log_prob * torch.from_numpy(grads.log_prob)).sum()
        + heads.value.sum()
        + grads.entropy * heads.entropy.sum()
    )
    made.backward(loss)
    assert float(made.grad.abs().max()) > 0.1
    assert torch.allclose(mine, made.grad, atol=2e-4)


def test_adam_steps_each_row_as_one_network_alone_with_its_own_clipping() -> None:
    made = population()
    alone = [FlatParameters(made.member(p)) for p in range(P)]
    adams = [FlatAdam(flat) for flat in alone]
    stacked = StackedAdam(made)
    rates = torch.tensor([[1e-2], [1e-3], [0.0]])
    for i in range(3):
        made.grad.copy_(torch.randn_like(made.grad) * torch.tensor([[10.0], [0.001], [1.0]]))
        for flat, row in zip(alone, made.grad, strict=True):
            flat.grad.copy_(row)
        norms = stacked.step(rates, 0.5)
        for p, adam in enumerate(adams):
            assert float(adam.step(float(rates[p]), 0.5)) == pytest.approx(float(norms[p]), rel=1e-5), i
    for p, flat in enumerate(alone):
        assert torch.allclose(made.data[p], flat.data, atol=1e-6)


def test_a_restored_optimiser_goes_on_to_the_bit() -> None:
    made = population()
    first = StackedAdam(made)
    rates = torch.full((P, 1), 1e-3)
    made.grad.normal_()
    first.step(rates, None)
    saved, weights = first.state_dict(), made.state_dict()
    gradient = torch.randn_like(made.grad)
    made.grad.copy_(gradient)
    first.step(rates, None)
    after = made.data.clone()
    made.load_state_dict(weights)
    second = StackedAdam(made)
    second.load_state_dict(saved)
    made.grad.copy_(gradient)
    second.step(rates, None)
    assert torch.equal(made.data, after)
    made.grad[1, 0] = float("nan")
    with pytest.raises(FloatingPointError, match="gradient's norm"):
        second.step(rates, None)
    assert torch.equal(made.data, after)
    with pytest.raises(ValueError, match="mean"):
        second.load_state_dict({**saved, "mean": saved["mean"][:2]})


@given(steps=st.integers(1, 4), policies=st.integers(1, 4), each=st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_rows_are_split_by_policy_and_joined_again(steps: int, policies: int, each: int) -> None:
    b = policies * each
    time, env = torch.meshgrid(torch.arange(steps), torch.arange(b), indexing="ij")
    rows = torch.stack([time, env], 2).flatten(0, 1)
    blocks = split_rows(rows, policies, b)
    assert blocks.shape == (policies, steps * each, 2)
    for p in range(policies):
        assert (blocks[p, :, 1] // each == p).all()
    assert torch.equal(join_rows(blocks, policies, b), rows)


@pytest.mark.parametrize("kernel", [True, False])
def test_the_actor_acts_for_every_block(kernel: bool) -> None:
    made = population()
    actor = PopulationActor(made, 2 * P, StackedKernel(made) if kernel else None)
    obs = torch.randn(2 * P, O)
    modes = actor.act(obs, None, None)
    rollout = torch.randn(4 * 2 * P, O)
    values = actor.values(rollout).unflatten(0, (4, 2 * P))
    for b in range(2 * P):
        member = made.member(b // 2)
        assert torch.allclose(modes[b], member.distribution(obs[b : b + 1]).mode()[0], atol=1e-6)
        expected = member.values(rollout.unflatten(0, (4, 2 * P))[:, b])
        assert torch.allclose(values[:, b], expected, atol=1e-5)
    draws = torch.stack([actor.sample(obs, None, torch.Generator().manual_seed(i)) for i in range(400)])
    std = draws.std(0).view(P, 2, -1).mean(1)
    assert torch.allclose(std, made.parameters["log_std"].detach().exp(), atol=0.15)


def test_normalisers_are_those_of_each_block_alone() -> None:
    stacked, alone = StackedNorm(P, O), [RunningNorm((O,)) for _ in range(P)]
    rewards, single = (
        StackedReturnNorm(P, 2 * P, K, gamma=0.9),
        [[ReturnNorm(2, gamma=0.9) for _ in range(K)] for _ in range(P)],
    )
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        obs = torch.randn(2 * P, O, generator=generator, dtype=torch.float64) * 3 + 1
        stacked.update(obs)
        seen = stacked.normalize(obs)
        reward = torch.randn(2 * P, K, generator=generator) * torch.tensor([1.0, 50.0])
        done = torch.rand(2 * P, generator=generator) < 0.3
        scaled = rewards(reward, done)
        for p in range(P):
            rows = slice(2 * p, 2 * p + 2)
            alone[p].update(obs[rows])
            assert torch.allclose(seen[rows], alone[p].normalize(obs[rows]), atol=1e-5)
            for k in range(K):
                assert torch.allclose(
                    scaled[rows, k], torch.as_tensor(single[p][k](reward[rows, k], done[rows])), atol=1e-5
                )
    row = {name: value[1] for name, value in stacked.state_dict().items()}
    taken = single_norm(row, "cpu")
    assert taken.frozen and torch.allclose(taken.mean, alone[1].mean) and taken.count == alone[1].count
    again = StackedReturnNorm(1, 2, K, gamma=0.9)
    again.load_state_dict(rewards.state_dict())
    assert torch.equal(again.scale, rewards.scale) and torch.equal(again._return, rewards._return)
    with pytest.raises(ValueError, match="impossible"):
        stacked.load_state_dict({**stacked.state_dict(), "m2": -torch.ones(P, O, dtype=torch.float64)})


def test_a_member_is_a_network_of_its_own() -> None:
    made = population()
    member = unflatten(made.template, made.data[1])
    before = made.data.clone()
    with torch.no_grad():
        for parameter in member.parameters():
            parameter.add_(1.0)
    assert torch.equal(made.data, before)
    with pytest.raises(ValueError, match="parameters have shape"):
        made.load_state_dict({"parameters": torch.zeros(2, 3)})
