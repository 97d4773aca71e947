"""Distributions against torch.distributions, against enumeration, and against their own samples."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributions as oracle

from rlsuite.core.actions import action_spec
from rlsuite.core.distributions import (
    Bernoulli,
    Categorical,
    DiagGaussian,
    MultiCategorical,
    SquashedGaussian,
    distribution,
)

NVEC = (2, 4, 1, 3)
DRAWS = 40_000


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64)


def masks(shape, seed, nvec=None):
    """Random masks with at least one allowed choice in every (component of a) row."""
    mask = torch.rand(shape, generator=rng(seed)) < 0.5
    start = 0
    for n in nvec or (shape[-1],):
        pick = torch.randint(n, (*shape[:-1], 1), generator=rng(seed + 1))
        mask[..., start : start + n].scatter_(-1, pick, True)
        start += n
    return mask


def close(a, b, tol=1e-9):
    torch.testing.assert_close(a, b.to(a.dtype), atol=tol, rtol=tol)


# Oracles ------------------------------------------------------------------------------------------------


def test_categorical_equals_torch():
    logits, others = randn(5, 3, 7), randn(5, 3, 7, seed=1)
    ours, theirs = Categorical(logits), oracle.Categorical(logits=logits)
    action = theirs.sample()
    close(ours.log_prob(action), theirs.log_prob(action))
    close(ours.entropy(), theirs.entropy())
    close(
        ours.kl_divergence(Categorical(others)),
        oracle.kl_divergence(theirs, oracle.Categorical(logits=others)),
    )
    close(ours.mode(), theirs.mode)


def test_bernoulli_equals_torch():
    logits, others = 3 * randn(5, 4), 3 * randn(5, 4, seed=1)
    ours, theirs = Bernoulli(logits), oracle.Bernoulli(logits=logits)
    action = theirs.sample()
    close(ours.log_prob(action), theirs.log_prob(action).sum(-1))
    close(ours.log_prob(action.long()), theirs.log_prob(action).sum(-1))
    close(ours.entropy(), theirs.entropy().sum(-1))
    kl = oracle.kl_divergence(theirs, oracle.Bernoulli(logits=others)).sum(-1)
    close(ours.kl_divergence(Bernoulli(others)), kl)
    close(ours.mode(), (theirs.probs > 0.5).long())


@pytest.mark.parametrize("std_shape", [(3,), (5, 3)])
def test_gaussian_equals_torch(std_shape):
    mean, log_std, mean2, log_std2 = (
        randn(5, 3),
        randn(*std_shape, seed=1),
        randn(5, 3, seed=2),
        randn(3, seed=3),
    )
    ours = DiagGaussian(mean, log_std)
    theirs = oracle.Independent(oracle.Normal(mean, log_std.exp().expand(5, 3)), 1)
    other = oracle.Independent(oracle.Normal(mean2, log_std2.exp().expand(5, 3)), 1)
    action = theirs.sample()
    close(ours.log_prob(action), theirs.log_prob(action))
    close(ours.entropy(), theirs.entropy())
    close(ours.kl_divergence(DiagGaussian(mean2, log_std2)), oracle.kl_divergence(theirs, other))
    assert torch.equal(ours.mode(), mean)


def test_squashed_gaussian_equals_torch():
    mean, log_std = randn(50, 3), 0.3 * randn(50, 3, seed=1)
    ours = SquashedGaussian(mean, log_std)
    base = oracle.Independent(oracle.Normal(mean, log_std.exp()), 1)
    theirs = oracle.TransformedDistribution(base, oracle.TanhTransform())
    action, log_prob = ours.sample_with_log_prob(rng())
    assert bool((action.abs() < 1).all())
    close(log_prob, theirs.log_prob(action), 1e-6)
    close(ours.log_prob(action), theirs.log_prob(action), 1e-6)
    close(ours.mode(), torch.tanh(mean))
    with pytest.raises(NotImplementedError, match="-log_prob"):
        ours.entropy()


def test_squashed_density_integrates_to_one():
    grid = torch.linspace(-1 + 1e-6, 1 - 1e-6, 200_001, dtype=torch.float64)[:, None]
    density = SquashedGaussian(torch.tensor([0.5]).double(), torch.tensor([-0.7]).double()).log_prob(grid).exp()
    assert torch.trapezoid(density, grid[:, 0]).item() == pytest.approx(1, abs=1e-4)


def test_squashed_is_finite_far_out():
    """log(1 - tanh(x)^2) taken literally is -inf beyond x = 9 in float32; the stable form is not."""
    mean = torch.tensor([[30.0, -30.0]], requires_grad=True)
    action, log_prob = SquashedGaussian(mean, torch.zeros(2)).sample_with_log_prob(rng())
    (log_prob.sum() + action.sum()).backward()
    assert torch.isfinite(log_prob).all() and torch.isfinite(mean.grad).all()
    assert torch.isfinite(SquashedGaussian(mean, torch.zeros(2)).log_prob(torch.ones(1, 2))).all()


# Enumeration --------------------------------------------------------------------------------------------


def test_masked_categorical_by_enumeration():
    logits, mask = randn(20, 6), masks((20, 6), 3)
    ours = Categorical(logits, mask, validate=True)
    for row in range(20):
        allowed = torch.arange(6)[mask[row]]
        p = torch.zeros(6, dtype=torch.float64)
        p[allowed] = logits[row, allowed].exp() / logits[row, allowed].exp().sum()
        close(ours.log_probs[row].exp(), p)
        close(ours.entropy()[row], -(p[allowed] * p[allowed].log()).sum())
        assert int(ours.mode()[row]) == int(p.argmax())


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("nvec", [NVEC, (3, 3), (5,)])
def test_multi_categorical_by_enumeration(nvec, masked):
    logits = randn(4, sum(nvec))
    mask = masks((4, sum(nvec)), 5, nvec) if masked else None
    ours = MultiCategorical(logits, nvec, mask, validate=True)
    joint = torch.tensor(list(itertools.product(*(range(n) for n in nvec))))
    log_p = torch.stack([ours.log_prob(action.expand(4, -1)) for action in joint])  # [choices, 4]
    close(log_p.exp().sum(0), torch.ones(4))
    close(ours.entropy(), -(log_p.exp() * log_p).sum(0))
    assert torch.equal(ours.mode(), joint[log_p.argmax(0)])
    # Each component is torch's own categorical over its slice of the logits.
    start, expected = 0, torch.zeros(len(joint), 4, dtype=torch.float64)
    for k, n in enumerate(nvec):
        part = logits[:, start : start + n]
        if mask is not None:
            part = part.masked_fill(~mask[:, start : start + n], -torch.inf)
        expected += part.log_softmax(-1)[:, joint[:, k]].T
        start += n
    close(log_p.exp(), expected.exp())


def test_kl_of_multi_categorical_by_enumeration():
    first, second = (
        MultiCategorical(randn(3, sum(NVEC)), NVEC),
        MultiCategorical(randn(3, sum(NVEC), seed=1), NVEC),
    )
    joint = torch.tensor(list(itertools.product(*(range(n) for n in NVEC))))
    p = torch.stack([first.log_prob(action.expand(3, -1)) for action in joint])
    q = torch.stack([second.log_prob(action.expand(3, -1)) for action in joint])
    close(first.kl_divergence(second), (p.exp() * (p - q)).sum(0))


def test_masked_bernoulli_by_enumeration():
    logits = randn(3)
    free, zero, one = [True, True], [True, False], [False, True]
    ours = Bernoulli(logits, torch.tensor(free + zero + one), validate=True)
    joint = torch.tensor(list(itertools.product((0, 1), repeat=3)))
    p = ours.log_prob(joint).exp()
    close(p.sum(), torch.ones(()))
    assert float(p[(joint[:, 1] == 1) | (joint[:, 2] == 0)].max()) == 0
    close(ours.entropy(), -(p[p > 0] * p[p > 0].log()).sum())
    fixed = Bernoulli(logits, torch.tensor(zero + one + zero), validate=True)
    assert fixed.sample(rng()).tolist() == [0, 1, 0] == fixed.mode().tolist()
    assert float(fixed.log_prob(torch.tensor([0.0, 1.0, 0.0]))) == 0 == float(fixed.entropy())
    other = Bernoulli(-logits, torch.tensor(free + zero + one))
    close(ours.kl_divergence(other), Bernoulli(logits[:1]).kl_divergence(Bernoulli(-logits[:1])))


# Samples ------------------------------------------------------------------------------------------------


def test_frequencies_of_samples():
    """Each frequency within five standard errors of its probability; forbidden choices never."""
    mask = torch.tensor([True, True, False, True, True])
    ours = Categorical(randn(5).float().expand(DRAWS, 5), mask.expand(DRAWS, 5))
    p = ours.log_probs[0].exp()
    frequency = torch.bincount(ours.sample(rng(1)), minlength=5) / DRAWS
    assert bool(((frequency - p).abs() <= 5 * (p * (1 - p) / DRAWS).sqrt()).all())
    assert frequency[2] == 0
    logits = randn(4).float()
    bits = Bernoulli(logits.expand(DRAWS, 4)).sample(rng(2)).float().mean(0)
    q = logits.sigmoid()
    assert bool(((bits - q).abs() <= 5 * (q * (1 - q) / DRAWS).sqrt()).all())
    draws = DiagGaussian(torch.tensor([1.0, -2.0]).expand(DRAWS, 2), torch.tensor([0.5, -1.0])).sample(rng(3))
    std = torch.tensor([0.5, -1.0]).exp()
    assert bool(((draws.mean(0) - torch.tensor([1.0, -2.0])).abs() < 5 * std / DRAWS**0.5).all())
    torch.testing.assert_close(draws.std(0), std, rtol=0.03, atol=0)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.sampled_from([0.1, 1.0, 100.0, 1e6]))
def test_masked_samples_are_allowed_and_finite(seed, scale):
    logits = (scale * randn(8, sum(NVEC), seed=seed)).float()
    mask = masks((8, sum(NVEC)), seed, NVEC)
    ours = MultiCategorical(logits, NVEC, mask)
    action, log_prob = ours.sample_with_log_prob(rng(seed))
    start = 0
    for k, n in enumerate(NVEC):
        assert bool(mask[:, start : start + n].gather(1, action[:, k : k + 1]).all())
        start += n
    assert torch.isfinite(log_prob).all() and torch.isfinite(ours.entropy()).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Categorical(randn(6, 4)),
        lambda: MultiCategorical(randn(6, sum(NVEC)), NVEC),
        lambda: Bernoulli(randn(6, 4)),
        lambda: DiagGaussian(randn(6, 4), randn(4)),
        lambda: SquashedGaussian(randn(6, 4), 0.3 * randn(4)),
    ],
)
def test_one_interface(make):
    """Same generator, same action; both ways of sampling agree; shapes are the batch's."""
    ours = make()
    action, log_prob = ours.sample_with_log_prob(rng(4))
    assert torch.equal(action, ours.sample(rng(4)))
    close(log_prob, ours.log_prob(action), 1e-6)
    assert log_prob.shape == (6,) and ours.mode().shape == action.shape
    assert not torch.equal(ours.sample(rng(5)), action)


def test_gradients():
    """Gaussian samples are reparameterised; a masked entropy has a finite gradient, zero at forbidden logits."""
    mean, log_std = torch.zeros(4, 2, requires_grad=True), torch.zeros(2, requires_grad=True)
    noise = torch.randn(4, 2, generator=rng(0))
    DiagGaussian(mean, log_std).sample(rng(0)).sum().backward()
    close(mean.grad, torch.ones(4, 2))
    close(log_std.grad, noise.sum(0), 1e-6)
    logits = torch.randn(3, 4, requires_grad=True)
    mask = torch.tensor([True, False, True, False]).expand(3, 4)
    ours = Categorical(logits, mask)
    (ours.entropy() + ours.log_prob(torch.zeros(3).long())).sum().backward()
    assert torch.isfinite(logits.grad).all() and bool((logits.grad[:, [1, 3]] == 0).all())
    # Both policies call the action impossible: the ratio is a number, not NaN.
    assert torch.isfinite((ours.log_prob(torch.ones(3).long()) - ours.log_prob(torch.ones(3).long())).exp()).all()


def test_many_forbidden_choices_at_once():
    """A stale action may be forbidden in every component: impossible, but the ratio of two policies is a number."""
    mask = torch.tensor([True, False]).repeat(50).expand(2, 100)
    ours = MultiCategorical(torch.randn(2, 100, generator=rng()), (2,) * 50, mask)
    log_prob = ours.log_prob(torch.ones(2, 50).long())
    assert torch.isfinite(log_prob).all() and bool((log_prob.exp() == 0).all())
    bits = Bernoulli(torch.zeros(2, 50), mask).log_prob(torch.ones(2, 50))
    assert torch.isfinite(bits).all() and bool((bits.exp() == 0).all())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_masks(dtype):
    ours = Categorical(torch.randn(3, 4).to(dtype), torch.tensor([True, False, True, False]).expand(3, 4))
    assert torch.isfinite(ours.entropy()).all() and bool((ours.log_probs.exp()[:, [1, 3]] == 0).all())


def test_padding_made_in_inference_mode_serves_training():
    nvec = (2, 9, 3)  # used nowhere else: the first use makes the cached index
    with torch.inference_mode():
        MultiCategorical(torch.zeros(1, 14), nvec)
    logits = torch.zeros(1, 14, requires_grad=True)
    MultiCategorical(logits, nvec).log_prob(torch.zeros(1, 3).long()).sum().backward()
    assert logits.grad is not None


# Bad input ----------------------------------------------------------------------------------------------


def test_validate_names_the_fault():
    logits, none = torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"forbids every choice of row \[0\]"):
        Categorical(logits, none, validate=True)
    with pytest.raises(ValueError, match=r"component 1 in row \[1\]"):
        mask = torch.tensor([[True, False, True], [True, True, False]])
        MultiCategorical(logits, (2, 1), mask, validate=True)
    with pytest.raises(ValueError, match="must be bool"):
        Categorical(logits, torch.ones(2, 3), validate=True)
    with pytest.raises(ValueError, match=r"shape \(2, 6\)"):
        Bernoulli(logits, none[:, :2], validate=True)
    with pytest.raises(ValueError, match=r"every choice of bit \[0, 0\]"):
        Bernoulli(logits, torch.zeros(2, 6, dtype=torch.bool), validate=True)
    bad = logits.clone()
    bad[1, 2] = float("nan")
    for make in (Categorical, Bernoulli, lambda x, **kw: DiagGaussian(x, torch.zeros(3), **kw)):
        with pytest.raises(ValueError, match=r"NaN or infinity \(first at \[1, 2\]\)"):
            make(bad, validate=True)
    with pytest.raises(ValueError, match="log_std"):
        SquashedGaussian(logits, torch.full((3,), torch.inf), validate=True)
    with pytest.raises(ValueError, match="needs 4"):
        MultiCategorical(logits, (2, 2))


def test_distribution_of_spec():
    from gymnasium import spaces

    box, choice = action_spec(spaces.Box(-1, 1, (3,))), action_spec(spaces.Discrete(3))
    params = torch.zeros(2, 3)
    assert isinstance(distribution(box, params, torch.zeros(3)), DiagGaussian)
    assert isinstance(distribution(choice, params), Categorical)
    multi, bits = action_spec(spaces.MultiDiscrete([2, 1])), action_spec(spaces.MultiBinary(3))
    assert isinstance(distribution(multi, params), MultiCategorical)
    assert isinstance(distribution(bits, params), Bernoulli)
    with pytest.raises(ValueError, match="needs log_std"):
        distribution(box, params)
    with pytest.raises(ValueError, match="no mask"):
        distribution(box, params, torch.zeros(3), torch.ones(2, 3).bool())
    with pytest.raises(ValueError, match="log_std is for Box"):
        distribution(choice, params, torch.zeros(3))
