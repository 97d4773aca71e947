"""The hand-written back end against autograd: heads, gradients, whole updates."""

from functools import partial

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite.core.backends import NumpyBackend, TorchBackend, make_backend
from rlsuite.core.distributions import action_spec
from rlsuite.core.mlp_kernel import MlpKernel
from rlsuite.core.networks import ActorCritic, FlatParameters
from rlsuite.core.optim import FlatAdam
from rlsuite.core.types import HeadGrads, PolicyBatch
from rlsuite.policy_gradient.ppo import PPOConfig, ppo_loss, ppo_loss_grad

BOX, DISCRETE = spaces.Box(-1, 1, (3,)), spaces.Discrete(4)


def twin(space, *, arch=(16, 8), activation="tanh", median=None, seed=0, obs_size=5):
    """Two equal policies with their flat parameters."""
    pair = []
    for _ in range(2):
        torch.manual_seed(seed)
        policy = ActorCritic(obs_size, action_spec(space), net_arch=arch, activation=activation, median=median)
        pair.append((policy, FlatParameters(policy)))
    return pair


def samples(space, n, *, masked=False, seed=0, obs_size=5):
    rng = np.random.default_rng(seed)
    obs = torch.from_numpy(rng.standard_normal((n, obs_size)).astype(np.float32))
    mask = None
    if isinstance(space, spaces.Box):
        action = torch.from_numpy(rng.standard_normal((n, 3)).astype(np.float32))
    else:
        action = torch.from_numpy(rng.integers(0, 4, n))
        if masked:
            allowed = rng.random((n, 4)) < 0.6
            allowed[np.arange(n), action.numpy()] = True
            mask = torch.from_numpy(allowed)
    return obs, action, mask


def relative_error(mine, reference):
    return float((mine - reference).abs().max() / reference.abs().max().clamp(min=1e-6))


@pytest.mark.parametrize("median", [None, "stacked", "separate"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize(("space", "masked"), [(BOX, False), (DISCRETE, False), (DISCRETE, True)])
@pytest.mark.parametrize("arch", [(16,), (16, 8, 12)])
def test_heads_and_gradients_equal_autograd(space, masked, activation, median, arch):
    (policy, flat), (other, other_flat) = twin(space, arch=arch, activation=activation, median=median)
    obs, action, mask = samples(space, 33, masked=masked)
    rng = np.random.default_rng(1)
    weights = [rng.standard_normal(33).astype(np.float32) for _ in range(3)]
    heads = policy.heads(obs, action, mask)
    total = (heads.log_prob * torch.from_numpy(weights[0])).sum() + (heads.value * torch.from_numpy(weights[1])).sum()
    total = total - 0.3 * heads.entropy.expand(33).sum()
    if median is not None:
        total = total + (heads.median * torch.from_numpy(weights[2])).sum()
    total.backward()

    kernel = MlpKernel(other, other_flat)
    mine = kernel.heads(obs.numpy(), action.numpy(), None if mask is None else mask.numpy())
    np.testing.assert_allclose(mine.log_prob, heads.log_prob.detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mine.value, heads.value.detach().numpy(), rtol=1e-4, atol=1e-5)
    entropy = np.broadcast_to(mine.entropy, 33)
    np.testing.assert_allclose(entropy, heads.entropy.detach().expand(33).numpy(), rtol=1e-4, atol=1e-5)
    kernel.backward(HeadGrads(weights[0], -0.3, weights[1], None if median is None else weights[2]))
    for name, part in flat.slices.items():
        assert relative_error(other_flat.grad[part], flat.grad[part]) < 1e-5, name


@pytest.mark.parametrize(
    "overrides",
    [{}, {"normalize_advantage": False}, {"ent_coef": 0.01}, {"clip_range_vf": 0.1}, {"vf_coef": 2.0}],
)
@pytest.mark.parametrize("space", [BOX, DISCRETE])
def test_ppo_gradient_equals_autograd(space, overrides):
    config = PPOConfig(**overrides)
    (policy, flat), (other, other_flat) = twin(space)
    obs, action, _ = samples(space, 64)
    rng = np.random.default_rng(2)
    with torch.no_grad():
        log_prob = policy.heads(obs, action).log_prob
    noise = lambda scale: torch.from_numpy((scale * rng.standard_normal(64)).astype(np.float32))  # noqa: E731
    batch = PolicyBatch(obs, action, log_prob + noise(0.3), noise(1.0), noise(2.0), noise(1.0))
    torch_metrics = TorchBackend(policy, flat, partial(ppo_loss, config=config)).gradient(batch, 0.2)
    numpy = NumpyBackend(other, other_flat, partial(ppo_loss_grad, config=config))
    numpy_metrics = numpy.gradient(numpy.prepare(batch), 0.2)
    assert relative_error(other_flat.grad, flat.grad) < 1e-5
    assert set(torch_metrics) == set(numpy_metrics)
    for name, value in torch_metrics.items():
        assert float(numpy_metrics[name]) == pytest.approx(float(value), rel=1e-4, abs=1e-6), name


def test_ten_updates_equal_torch():
    config = PPOConfig()
    (policy, flat), (other, other_flat) = twin(BOX)
    start = flat.data.clone()
    obs, action, _ = samples(BOX, 64)
    batch = PolicyBatch(obs, action, torch.full((64,), -4.0), torch.zeros(64), torch.randn(64), torch.randn(64))
    reference = torch.optim.Adam(policy.parameters(), lr=3e-4, eps=1e-5)
    mine, numpy = (
        FlatAdam(other_flat, numpy=True),
        NumpyBackend(other, other_flat, partial(ppo_loss_grad, config=config)),
    )
    for _ in range(10):
        loss, _ = ppo_loss(policy.heads(obs, action), batch, 0.2, config=config)
        flat.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(policy.parameters(), 0.5)
        reference.step()
        numpy.gradient(numpy.prepare(batch), 0.2)
        assert mine.step(3e-4, 0.5) == pytest.approx(float(norm), rel=1e-4)
    assert float((flat.data - start).abs().max()) > 1e-3  # both moved
    assert float((flat.data - other_flat.data).abs().max()) < 1e-5


@pytest.mark.parametrize("numpy", [True, False])
def test_flat_adam_equals_torch(numpy):
    torch.manual_seed(0)
    net, copy = torch.nn.Linear(4, 3), torch.nn.Linear(4, 3)
    copy.load_state_dict(net.state_dict())
    flat = FlatParameters(copy)
    reference, mine = torch.optim.Adam(net.parameters(), lr=1e-2, eps=1e-5), FlatAdam(flat, numpy=numpy)
    for i in range(20):
        gradients = [torch.randn_like(p) * 10 ** (i % 5 - 2) for p in net.parameters()]
        for p, q, g in zip(net.parameters(), copy.parameters(), gradients, strict=True):
            p.grad = g.clone()
            q.grad.copy_(g)
        norm = torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        reference.step()
        assert float(mine.step(1e-2, 1.0)) == pytest.approx(float(norm), rel=1e-5)
    for p, q in zip(net.parameters(), copy.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)


def test_sampling_follows_the_policy():
    (policy, flat), _ = twin(DISCRETE)
    backend = NumpyBackend(policy, flat, lambda *_: (None, {}))
    obs = torch.randn(1, 5).expand(20_000, 5)
    mask = torch.tensor([True, False, True, True]).expand(20_000, 4)
    action = backend.sample(obs, mask, torch.Generator().manual_seed(0))
    shares = np.bincount(action.numpy(), minlength=4) / 20_000
    expected = policy.distribution(obs[:1], mask[:1]).log_prob
    probabilities = [0.0 if i == 1 else float(expected(torch.tensor([i])).detach().exp()) for i in range(4)]
    np.testing.assert_allclose(shares, probabilities, atol=0.02)
    assert shares[1] == 0


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 70), width=st.integers(1, 20), seed=st.integers(0, 100))
def test_values_and_log_probs_of_any_shape(n, width, seed):
    (policy, flat), _ = twin(BOX, arch=(width,), seed=seed)
    obs, action, _ = samples(BOX, n, seed=seed)
    backend, reference = (
        NumpyBackend(policy, flat, lambda *_: (None, {})),
        TorchBackend(policy, flat, lambda *_: None),
    )
    torch.testing.assert_close(backend.values(obs), reference.values(obs), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        backend.log_prob(obs, action, None), reference.log_prob(obs, action, None), rtol=1e-4, atol=1e-5
    )


def test_choice_of_back_end():
    (policy, flat), _ = twin(BOX)
    choose = partial(make_backend, policy=policy, flat=flat, loss=ppo_loss, loss_grad=ppo_loss_grad)
    assert choose("auto", batch_size=64).name == "numpy"
    assert choose("auto", batch_size=64, compile=True).name == "torch"
    assert choose("auto", batch_size=10**6).name == "torch"
    assert choose("torch", batch_size=64).name == "torch"
    with pytest.raises(ValueError, match="backend 'jax' is unknown"):
        choose("jax", batch_size=64)
    binary = ActorCritic(5, action_spec(spaces.MultiBinary(3)))
    with pytest.raises(ValueError, match="numpy back end does not cover bernoulli"):
        make_backend("numpy", binary, FlatParameters(binary), ppo_loss, ppo_loss_grad, batch_size=64)
