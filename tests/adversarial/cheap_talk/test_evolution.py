"""OpenES against closed forms, SciPy's ranks and torch's Adam; resume; bad input."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from rlsuite.adversarial.cheap_talk.evolution import (
    OpenES,
    OpenESConfig,
    antithetic,
    centred_ranks,
    es_gradient,
    standardised,
)


def quadratic(x):
    """-x'Ax/2 + b'x + 7 for x [P, 3], and its gradient at m."""
    matrix = torch.tensor([[2.0, 0.3, 0.0], [0.3, 1.0, -0.2], [0.0, -0.2, 0.5]], dtype=x.dtype)
    slope = torch.tensor([1.0, -2.0, 0.5], dtype=x.dtype)
    return -0.5 * torch.einsum("pi,ij,pj->p", x, matrix, x) + x @ slope + 7, lambda m: slope - matrix @ m


def test_gradient_of_a_quadratic_is_its_closed_form():
    generator = torch.Generator().manual_seed(0)
    noise = antithetic(400_000, 3, generator).double()
    mean, sigma = torch.tensor([0.4, -1.0, 2.0], dtype=torch.float64), 0.3
    fitness, gradient = quadratic(mean + sigma * noise)
    estimate = es_gradient(noise, fitness, sigma)
    # Antithetic pairs cancel the constant and the curvature: what is left is the sampled covariance times the slope.
    exact = noise.T @ noise / len(noise) @ gradient(mean)
    torch.testing.assert_close(estimate, exact, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(estimate, gradient(mean), rtol=0, atol=0.02)


def test_even_functions_have_no_gradient():
    noise = antithetic(64, 5, torch.Generator().manual_seed(1)).double()
    assert torch.equal(noise[:32], -noise[32:])
    even = noise.square().sum(1) ** 2 + noise[:, 0].cos() + 1e4
    assert es_gradient(noise, even, 0.1).abs().max() < 1e-8 * 1e4
    odd = noise[:, 0] ** 3
    assert torch.allclose(es_gradient(noise, even + odd, 0.1), es_gradient(noise, odd, 0.1), atol=1e-6)


@pytest.mark.parametrize("ranks", [False, True])
def test_finds_the_optimum(ranks):
    config = OpenESConfig(sigma=0.1, learning_rate=0.05, learning_rate_decay=0.99, ranks=ranks)
    es = OpenES(3, 64, config)
    for _ in range(300):
        es.tell(quadratic(es.ask())[0])
    _, gradient = quadratic(torch.zeros(1, 3))
    assert gradient(es.mean).norm() < 0.1  # 2.3 at the start


def test_scale_and_shift_of_the_fitness_do_not_matter():
    means = []
    for scale, shift in ((1.0, 0.0), (1e3, -50.0)):
        es = OpenES(3, 32, seed=3)
        for _ in range(5):
            es.tell(scale * quadratic(es.ask())[0] + shift)
        means.append(es.mean.clone())
    torch.testing.assert_close(means[0], means[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.1, -3e7])
def test_equal_fitness_moves_nothing(value):
    es = OpenES(4, 8)
    es.ask()
    metrics = es.tell(torch.full((8,), value))
    assert metrics["gradient_norm"] == 0 and torch.equal(es.mean, torch.zeros(4))


@given(st.lists(st.sampled_from([-2.0, 0.0, 0.5, 3.0]), min_size=2, max_size=30))
def test_ranks_are_scipys(values):
    ranks = centred_ranks(torch.tensor(values)).double().numpy()
    expected = (rankdata(values) - 1) / (len(values) - 1) - 0.5
    assert abs(ranks - expected).max() < 1e-6


def test_standardised_has_mean_zero_and_unit_population_deviation():
    shaped = standardised(torch.tensor([3.0, -1.0, 4.0, 10.0], dtype=torch.float64))
    assert abs(float(shaped.mean())) < 1e-12 and math.isclose(float(shaped.std(correction=0)), 1.0)


def test_steps_are_those_of_torchs_adam():
    config = OpenESConfig(ranks=True, learning_rate=0.02, learning_rate_decay=1.0)
    es = OpenES(5, 16, config, seed=2)
    parameter = torch.nn.Parameter(torch.zeros(5))
    adam = torch.optim.Adam([parameter], lr=0.02, betas=(0.99, 0.999), eps=1e-8)
    for _ in range(20):
        sigma, candidates = es.sigma, es.ask()
        noise, fitness = (candidates - es.mean) / sigma, (candidates - 0.3).square().sum(1).neg()
        parameter.grad = -es_gradient(noise, standardised(centred_ranks(fitness)), sigma)
        adam.step()
        es.tell(fitness)
    torch.testing.assert_close(es.mean, parameter.detach(), rtol=1e-4, atol=1e-6)


def test_decay_stops_at_the_floor():
    es = OpenES(
        1,
        2,
        OpenESConfig(sigma_decay=0.5, sigma_limit=0.015, learning_rate_decay=0.1, learning_rate_limit=0.0015),
    )
    seen = []
    for generation in range(4):
        es.ask()
        seen.append(es.tell(torch.tensor([0.0, 1.0])))
        assert es.generation == generation + 1
    assert [m["sigma"] for m in seen] == pytest.approx([0.04, 0.02, 0.015, 0.015])
    assert [m["learning_rate"] for m in seen] == pytest.approx([0.01, 0.0015, 0.0015, 0.0015])


def test_resumed_is_uninterrupted():
    def step(es):
        es.tell(quadratic(es.ask())[0])

    whole, part, resumed = OpenES(3, 8, seed=5), OpenES(3, 8, seed=5), OpenES(3, 8, seed=9)
    for _ in range(6):
        step(whole)
    for _ in range(3):
        step(part)
    resumed.load_state_dict(part.state_dict())
    for _ in range(3):
        step(resumed)
    assert torch.equal(whole.mean, resumed.mean) and whole.generation == resumed.generation
    assert torch.equal(whole.ask(), resumed.ask())


@pytest.mark.parametrize("population", [0, 1, 3, 7, True, 4.0, "8"])
def test_population_must_be_even(population):
    with pytest.raises(ValueError, match=r"population=.*even"):
        OpenES(3, population)


@given(
    st.sampled_from(["sigma", "sigma_limit", "learning_rate", "eps"]),
    st.one_of(st.floats(max_value=0.0), st.just(math.nan), st.none().map(lambda _: "0.1"), st.booleans()),
)
def test_numbers_must_be_positive(field, value):
    with pytest.raises(ValueError, match=field):
        OpenESConfig(**{field: value})


@pytest.mark.parametrize(
    "values", [{"sigma_decay": 1.1}, {"beta1": 1.0}, {"beta2": -0.1}, {"learning_rate_decay": 0.0}]
)
def test_factors_must_be_in_their_range(values):
    with pytest.raises(ValueError, match=next(iter(values))):
        OpenESConfig(**values)


def test_tell_refuses_what_it_cannot_use():
    es = OpenES(3, 4)
    with pytest.raises(ValueError, match="ask"):
        es.tell(torch.zeros(4))
    es.ask()
    with pytest.raises(ValueError, match=r"\[4\]"):
        es.tell(torch.zeros(5))
    with pytest.raises(FloatingPointError, match="candidate 2"):
        es.tell(torch.tensor([0.0, 1.0, math.nan, 1.0]))
    es.tell(torch.arange(4.0))
    with pytest.raises(ValueError, match="ask"):
        es.tell(torch.arange(4.0))


def test_a_damaged_state_is_refused():
    es = OpenES(3, 4)
    for damage in ({"mean": torch.zeros(4)}, {"first_moment": torch.full((3,), math.nan)}):
        with pytest.raises(ValueError, match=next(iter(damage))):
            es.load_state_dict({**es.state_dict(), **damage})
    state = es.state_dict()
    del state["generation"]
    with pytest.raises(ValueError, match="generation"):
        es.load_state_dict(state)
