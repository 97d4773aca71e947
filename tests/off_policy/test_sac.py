"""SAC: its formulas by hand, the batched critics against two networks, probes, determinism and resume."""

from __future__ import annotations

import math

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import nn

from rlsuite.core.buffers import ReplayBatch
from rlsuite.core.evaluate import evaluate
from rlsuite.off_policy.sac import SAC, SACConfig, TwinCritic
from rlsuite.off_policy.soft_learner import actor_loss, alpha_loss, critic_loss, first_alpha, td_target

SMALL = {"net_arch": (32, 32), "batch_size": 64, "learning_starts": 64, "device": "cpu", "seed": 1}


def test_twin_critic_equals_two_networks():
    torch.manual_seed(0)
    twin = TwinCritic(3, 2, SACConfig(net_arch=(8, 5)))
    obs, action = torch.randn(7, 3), torch.randn(7, 2)
    values = twin(obs, action)
    for i in range(2):
        x = torch.cat([obs, action], 1)
        for layer, (weight, bias) in enumerate(zip(twin.weights, twin.biases, strict=True)):
            x = nn.functional.linear(x, weight[i].T, bias[i, 0])
            x = torch.relu(x) if layer < 2 else x
        torch.testing.assert_close(values[i], x[:, 0], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(values[0], values[1])


def test_frozen_critic_gives_gradient_to_the_action_only():
    twin = TwinCritic(3, 2, SACConfig(net_arch=(8,)))
    action = torch.randn(4, 2, requires_grad=True)
    twin(torch.randn(4, 3), action, frozen=True).sum().backward()
    assert action.grad.abs().sum() > 0
    assert all(p.grad is None for p in twin.parameters())


def test_formulas_by_hand():
    batch = ReplayBatch(
        torch.zeros(2, 1),
        torch.zeros(2, 1),
        torch.tensor([1.0, 2.0]),
        torch.zeros(2, 1),
        torch.tensor([False, True]),
        torch.tensor([0.9, 0.9]),
    )
    assert td_target(batch, torch.tensor([10.0, 10.0])).tolist() == [10.0, 2.0]
    q = torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    assert critic_loss(q, torch.tensor([1.0, 1.0])).item() == pytest.approx(0.5 * ((0 + 1) / 2 + (4 + 1) / 2))
    value = actor_loss(q, torch.tensor([0.5, -1.0]), torch.tensor(0.2))
    assert value.item() == pytest.approx(((0.1 - 1.0) + (-0.2 - 0.0)) / 2)


@pytest.mark.parametrize(("log_prob", "direction"), [(3.0, 1), (-9.0, -1)])
def test_temperature_moves_towards_the_target_entropy(log_prob, direction):
    """Entropy below the target (-log_prob < target) must raise alpha, above it must lower alpha."""
    log_alpha = torch.zeros(1, requires_grad=True)
    alpha_loss(log_alpha, torch.full((5,), log_prob), target_entropy=2.0).backward()
    assert math.copysign(1, -float(log_alpha.grad)) == direction


def test_target_critics_average():
    model = SAC("Pendulum-v1", **SMALL, tau=0.25).learn(70)
    before, critic = model.learner.flat["target"].data.clone(), model.learner.flat["critic"].data
    model._gradient_step(1e-3)
    torch.testing.assert_close(model.learner.flat["target"].data, 0.75 * before + 0.25 * critic)


def test_actions_are_scaled_to_the_box():
    model = SAC(
        None,
        spaces=(spaces.Box(-1, 1, (3,)), spaces.Box(np.float32([-2, 0]), np.float32([2, 10]))),
        device="cpu",
    )
    scaled = model.to_box(torch.tensor([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]]))
    assert scaled.tolist() == [[-2, 0], [0, 5], [2, 10]]
    action, _ = model.predict(np.zeros((50, 3), np.float32))
    assert model.action_space.contains(action[0]) and action[:, 1].max() > 5


def test_random_actions_before_learning_starts():
    model = SAC("Pendulum-v1", **{**SMALL, "learning_starts": 500}).learn(400)
    assert model.n_updates == 0
    actions = model.buffer.action[: len(model.buffer)].flatten()
    assert -1 <= float(actions.min()) < -0.9 and 0.9 < float(actions.max()) <= 1
    assert float(actions.mean()) == pytest.approx(0, abs=0.15)


@pytest.mark.parametrize(("steps", "expected"), [(1, 36), (-1, 36 * 2)])
def test_gradient_steps(steps, expected):
    model = SAC("Pendulum-v1", num_envs=2, **{**SMALL, "learning_starts": 128}, gradient_steps=steps).learn(200)
    assert model.n_updates == expected


def test_solves_the_box_probe():
    model = SAC("rlsuite/ProbeBox-v0", num_envs=4, **{**SMALL, "gamma": 0.5}, learning_rate=3e-3).learn(6_000)
    kernel = model.venv.kernel
    mean = evaluate(model, "rlsuite/ProbeBox-v0", episodes=20).interval.estimate
    assert mean > kernel.random_return + 0.9 * (kernel.optimal_return - kernel.random_return)


def test_same_seed_same_weights():
    runs = [SAC("Pendulum-v1", **{**SMALL, "seed": seed}).learn(150) for seed in (1, 1, 2)]
    assert torch.equal(runs[0].learner.flat["actor"].data, runs[1].learner.flat["actor"].data)
    assert not torch.equal(runs[0].learner.flat["actor"].data, runs[2].learner.flat["actor"].data)


@pytest.mark.parametrize("env_id", ["rlsuite/Pendulum-v1", "HalfCheetah-v5"])
def test_resumed_training_equals_uninterrupted(tmp_path, env_id):
    saved = []

    def save(agent):
        if not saved:
            agent.save(tmp_path / "half")
            saved.append(agent.num_timesteps)

    whole = SAC(env_id, num_envs=4, **SMALL, n_step=3)
    whole.learn(2000, on_update=save)
    resumed = SAC.load(tmp_path / "half", env=env_id, device="cpu")
    resumed.learn(2000 - saved[0], reset_num_timesteps=False)
    for name in ("actor", "critic", "target", "alpha"):
        assert torch.equal(resumed.learner.flat[name].data, whole.learner.flat[name].data), name
    assert torch.equal(resumed.buffer.obs, whole.buffer.obs)


def test_temperature_settings():
    assert first_alpha("auto") == (1.0, True)
    assert first_alpha("auto_0.1") == (0.1, True)
    assert first_alpha(0.3) == (0.3, False)
    fixed = SAC("Pendulum-v1", **SMALL, ent_coef=0.3).learn(80)
    assert float(fixed.learner.temperature["log_alpha"].detach().exp()) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tau", 0.0),
        ("buffer_size", 0),
        ("ent_coef", "often"),
        ("ent_coef", -1.0),
        ("target_entropy", "low"),
        ("n_step", 0),
    ],
)
def test_bad_values_are_named(field, value):
    with pytest.raises(ValueError, match=field):
        SACConfig(**{field: value})


def test_discrete_actions_are_refused():
    with pytest.raises(ValueError, match="SAC needs a bounded Box"):
        SAC("CartPole-v1", device="cpu")


@pytest.mark.slow
def test_learns_pendulum():
    model = SAC("Pendulum-v1", seed=0, device="cpu", learning_rate=1e-3, net_arch=(64, 64)).learn(8_000)
    assert evaluate(model, "Pendulum-v1", episodes=20, seed=3).interval.estimate > -250


def test_environments_may_reuse_the_memory_of_what_they_show():
    made = [lambda: gym.make("Pendulum-v1")] * 2
    reusing = SyncVectorEnv(made, autoreset_mode=AutoresetMode.SAME_STEP, copy=False)
    model = SAC(reusing, **SMALL).learn(100)
    stored = len(model.buffer) // 2
    assert not torch.equal(model.buffer.obs[:stored], model.buffer.next_obs[:stored])
