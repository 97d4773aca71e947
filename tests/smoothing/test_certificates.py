"""Certificates against SciPy, closed forms, exact enumeration and coverage by simulation."""

from __future__ import annotations

import itertools
import json
import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom, binomtest, norm

from rlsuite.smoothing.certificates import (
    LIPSCHITZ_TIGHT,
    certify_dkw,
    certify_expectation,
    certify_ladder,
    certify_percentile,
    certify_success,
    success_radius,
)
from rlsuite.smoothing.sample_size import check_episodes, episodes_needed, total_budget
from rlsuite.smoothing.survival import (
    SurvivalBound,
    clopper_pearson_lower,
    dkw_bound,
    dkw_deviation,
    ladder_bound,
    shifted_probability,
)

BUDGETS = np.array([0.0, 0.05, 0.1, 0.2, 0.4, 0.8])


# --- (A1) and Clopper-Pearson -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 7, 50])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 200])
def test_clopper_pearson_is_scipys(n, alpha):
    lower = clopper_pearson_lower(np.arange(n + 1), n, alpha)
    for k in range(n + 1):
        exact = binomtest(k, n, alternative="greater").proportion_ci(1 - alpha, method="exact").low
        assert lower[k] == pytest.approx(exact, abs=1e-12)
    assert lower[0] == 0 and lower[n] == pytest.approx(alpha ** (1 / n), rel=1e-12)
    assert lower[n] < 1


@pytest.mark.parametrize("p", [0.02, 0.3, 0.77, 0.999])
def test_clopper_pearson_is_wrong_with_probability_alpha_at_most(p):
    """By enumeration of all counts, not by simulation."""
    n, alpha = 40, 0.05
    lower = clopper_pearson_lower(np.arange(n + 1), n, alpha)
    assert binom.pmf(np.arange(n + 1), n, p)[lower > p].sum() <= alpha


def test_shifted_probability_is_the_neyman_pearson_bound():
    """The best test between N(0, s^2) and N(B, s^2) of size p: reward 1 iff x <= c."""
    sigma, budget = 0.2, 0.13
    for p in (0.01, 0.5, 0.9, 0.999):
        c = norm.ppf(p, 0, sigma)
        assert shifted_probability(p, budget / sigma) == pytest.approx(norm.cdf(c, budget, sigma), rel=1e-12)
    assert shifted_probability(0.0, 3.0) == 0
    assert shifted_probability(0.7, 0.0) == pytest.approx(0.7, abs=1e-15)


def test_an_empirical_one_is_refused():
    with pytest.raises(ValueError, match="outside"):
        shifted_probability(1.0, 1.0)
    everything = certify_success(np.ones(100), BUDGETS, 0.2)
    assert (everything.value < 1).all()
    assert everything.value[0] == pytest.approx(0.05 ** (1 / 100))


# --- Mean returns -----------------------------------------------------------------------------------------------------


def test_dkw_deviations_of_the_sheet():
    assert dkw_deviation(10_000, 0.05) == pytest.approx(0.012239, abs=5e-7)
    assert dkw_deviation(10_000, 0.05, 2) == pytest.approx(0.013581, abs=5e-7)


def test_a_ladder_of_one_rung_is_the_success_probability():
    outcome = (np.random.default_rng(0).random(500) < 0.8).astype(float)
    ladder = certify_ladder(outcome, BUDGETS, 0.2, ladder=[0, 1])
    np.testing.assert_array_equal(ladder.value, certify_success(outcome, BUDGETS, 0.2).value)


def test_ladder_by_hand():
    """Returns 0, 2, 2, 5 on the rungs 0, 1, 3, 5: 3, 1 and 1 of 4 reach them."""
    bound = ladder_bound([0, 2, 2, 5], [0, 1, 3, 5], alpha=0.3)
    lower = [binomtest(k, 4, alternative="greater").proportion_ci(0.9).low for k in (3, 1, 1)]
    np.testing.assert_allclose(bound.p_lower, lower, atol=1e-12)
    assert bound.expectation(0.0) == pytest.approx(1 * lower[0] + 2 * lower[1] + 2 * lower[2])
    shifted = norm.cdf(norm.ppf(lower) - 0.5)
    assert bound.expectation(0.5) == pytest.approx(shifted @ [1, 2, 2])


def test_dkw_by_hand():
    """Returns -3, -1, -1, 4 from a minimum of -5; survival 1, 3/4, 1/4 at -3, -1, 4."""
    bound = dkw_bound([-1, 4, -3, -1], -5, alpha=0.4)
    d = math.sqrt(math.log(2.5) / 8)
    np.testing.assert_allclose(bound.p_lower, [1 - d, 0.75 - d, max(0.25 - d, 0)])
    assert bound.expectation(0.0) == pytest.approx(-5 + 2 * (1 - d) + 2 * (0.75 - d))


def test_the_minimum_moves_with_the_returns():
    returns = np.random.default_rng(1).normal(50, 10, 400).clip(0)
    plain = certify_dkw(returns, BUDGETS, 0.2, minimum=0)
    moved = certify_dkw(returns - 100, BUDGETS, 0.2, minimum=-100)
    np.testing.assert_allclose(moved.value, plain.value - 100, atol=1e-10)


CERTIFIERS = {
    "ladder": partial(certify_ladder, ladder=20),
    "dkw": partial(certify_dkw, minimum=0),
    "dkw, two-sided": partial(certify_dkw, minimum=0, constant=2),
    "expectation": partial(certify_expectation, minimum=0, maximum=20),
    "expectation, tight": partial(certify_expectation, minimum=0, maximum=20, lipschitz=LIPSCHITZ_TIGHT),
}


@settings(max_examples=60, deadline=None)
@given(
    returns=arrays(np.int64, st.integers(12, 60), elements=st.integers(0, 20)),
    name=st.sampled_from(list(CERTIFIERS)),
)
def test_below_the_mean_and_falling_with_the_budget(returns, name):
    certificate = CERTIFIERS[name](returns, BUDGETS, 0.2)
    assert certificate.value[0] <= returns.mean() + 1e-12
    assert (np.diff(certificate.value) <= 1e-12).all()
    assert (certificate.value >= -1e-12).all()
    scaled = CERTIFIERS[name](returns, 10 * BUDGETS, 2.0)
    np.testing.assert_allclose(scaled.value, certificate.value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CERTIFIERS)
def test_coverage_under_the_worst_attack(name):
    """R = rung(x), x ~ N(0, 1), attacked by a shift of -B: the attacked mean is known, (A1) is tight for all rungs."""
    rng, sigma, n, alpha, trials = np.random.default_rng(2), 1.0, 60, 0.3, 1500
    edges = norm.ppf(np.arange(1, 21) / 21)  # 21 equally likely returns 0..20
    budgets = np.array([0.0, 0.7, 1.5])
    truth = norm.sf(edges[None] + budgets[:, None]).sum(1)  # mean return under each attack, sum of P(R >= v)
    wrong = 0
    for _ in range(trials):
        returns = np.searchsorted(edges, rng.normal(size=n))
        wrong += bool((CERTIFIERS[name](returns, budgets, sigma, alpha=alpha).value > truth).any())
    assert wrong / trials <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / trials)


def test_the_certificate_approaches_the_attacked_mean():
    """It is not only below the truth but near it, where the attack is tight and N is large."""
    x = np.random.default_rng(3).normal(size=200_000)
    edges = norm.ppf(np.arange(1, 21) / 21)
    returns, ratio = np.searchsorted(edges, x), np.array([0.0, 0.5, 1.0])
    truth = norm.sf(edges[None] + ratio[:, None]).sum(1)
    for certify in (CERTIFIERS["ladder"], CERTIFIERS["dkw"]):
        value = certify(returns, ratio, 1.0).value
        assert (value < truth).all() and (truth - value < 0.25).all()


# --- Quantiles --------------------------------------------------------------------------------------------------------


def _quantile_failures(quantile, trials=1500, n=1000, budget=2.0):
    """How often a bound of the median of x ~ N(0, 1) shifted by -budget is above the truth, -budget."""
    rng = np.random.default_rng(4)
    return np.mean([quantile(np.sort(rng.normal(size=n))) > -budget for _ in range(trials)])


@pytest.mark.parametrize("interval", ["binomial", "dkw"])
def test_percentile_coverage_far_out(interval):
    failures = _quantile_failures(lambda x: certify_percentile(x, 2.0, 1.0, interval=interval).value[0])
    assert failures <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1500)


def test_the_released_order_of_the_percentile_certifies_too_much():
    """Why we differ: sampling error first, attack second, is wrong far more often than alpha = 5 %."""
    level = norm.cdf(norm.ppf(0.5 - math.sqrt(math.log(20) / 2000)) - 2.0)
    assert _quantile_failures(lambda x: x[math.ceil(level * len(x)) - 1]) > 0.1


def test_percentile_is_the_binomial_order_statistic():
    returns = np.arange(100.0)
    certificate = certify_percentile(returns, [0.0], 1.0, alpha=0.05)
    rank = int(certificate.value[0]) + 1
    # The rank-th smallest is above the median with probability P(Binomial(100, 1/2) < rank).
    assert binom.cdf(rank - 1, 100, 0.5) < 0.05 <= binom.cdf(rank, 100, 0.5)


def test_percentile_falls_to_the_minimum():
    returns = np.random.default_rng(5).normal(size=200)
    far = certify_percentile(returns, [0, 1, 30], 1.0, minimum=-50)
    assert far.value[2] == -50 and (np.diff(far.value) <= 0).all()
    assert certify_percentile(returns, [30], 1.0).to_dict()["value"] == [None]


# --- Radii ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("q", [0.5, 0.7])
def test_bisection_finds_the_closed_form(q):
    bound = SurvivalBound(0.0, np.ones(1), np.array([0.9]))
    radius = bound.radius(q, 0.2)
    assert radius == pytest.approx(success_radius(0.9, 0.2, q=q), rel=1e-9)
    assert radius == pytest.approx(0.2 * (norm.ppf(0.9) - norm.ppf(q)), rel=1e-9)


def test_radius_of_a_mean_return():
    returns = np.random.default_rng(6).integers(100, 201, 1000)
    bound = certify_ladder(returns, 0.0, 0.2, ladder=200).bound
    radius = bound.radius(100.0, 0.2)
    assert bound.expectation(radius / 0.2) >= 100 > bound.expectation(radius / 0.2 * (1 + 1e-9))
    assert bound.radius(0.0, 0.2) == math.inf
    assert bound.radius(199.0, 0.2) is None and success_radius(0.4, 0.2) is None


# --- Planning, reporting, bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "kwargs"),
    [
        ("success", {}),
        ("success", {"level": 0.99}),
        ("ladder", {"thresholds": 200}),
        ("ladder", {"alpha": 1e-6}),
    ],
)
def test_needed_episodes_are_the_fewest(method, kwargs):
    n, level = episodes_needed(method, **kwargs), kwargs.get("level", 0.5)
    alpha = kwargs.get("alpha", 0.05) / kwargs.get("thresholds", 1)
    assert clopper_pearson_lower(n, n, alpha) > level >= clopper_pearson_lower(n - 1, n - 1, alpha)
    check_episodes(n, method, **kwargs)
    with pytest.raises(ValueError, match=f"Take {n} at least"):
        check_episodes(n - 1, method, **kwargs)


def test_needed_episodes_of_the_other_methods():
    n = episodes_needed("dkw")
    assert 1 - dkw_deviation(n, 0.05) > 0.5 >= 1 - dkw_deviation(n - 1, 0.05)
    n = episodes_needed("percentile", level=0.1)
    assert np.isfinite(certify_percentile(np.arange(float(n)), 0.0, 1.0, q=0.1).value).all()
    with pytest.raises(ValueError, match="too few"):
        certify_percentile(np.arange(float(n - 1)), 0.0, 1.0, q=0.1)
    assert episodes_needed("expectation") == math.floor(2 * math.log(20)) + 1


def test_total_budget():
    assert total_budget(0.1, 2500) == pytest.approx(5.0)
    assert total_budget(0.1, 100, norm="linf", observation_dim=4) == pytest.approx(2.0)
    with pytest.raises(ValueError, match="epsilon"):
        total_budget(-1.0, 10)


def test_expectation_bound_of_crop():
    returns = np.random.default_rng(7).integers(0, 11, 1000)
    value = certify_expectation(returns, [0.1], 0.2, minimum=0, maximum=10).value[0]
    slack = 10 * math.sqrt(math.log(20) / 2000)
    assert value == pytest.approx(returns.mean() - slack - 10 * math.sqrt(2 / math.pi) * 0.5)


def test_certificates_can_be_written_and_printed():
    certificate = certify_ladder(np.full(100, 150), BUDGETS, 0.2, ladder=200)
    data = json.loads(json.dumps(certificate.to_dict(), allow_nan=False))
    assert data["budget"] == BUDGETS.tolist() and data["value"] == certificate.value.tolist()
    assert (data["episodes"], data["alpha"], data["sigma"]) == (100, 0.05, 0.2)
    text = str(certificate)
    assert "100 episodes" in text and "ladder was fixed" in text and f"{certificate.value[1]:.6g}" in text


RETURNS = np.full(100, 5.0)
MISTAKES = {
    "sigma": lambda: certify_dkw(RETURNS, 0.1, 0.0, minimum=0),
    "sigma=nan": lambda: certify_dkw(RETURNS, 0.1, math.nan, minimum=0),
    "budgets": lambda: certify_success(np.ones(100), [-0.1], 0.2),
    "budgets [": lambda: certify_success(np.ones(100), [math.nan], 0.2),
    "alpha": lambda: certify_ladder(RETURNS, 0.1, 0.2, ladder=10, alpha=0.0),
    "alpha=1": lambda: certify_percentile(RETURNS, 0.1, 0.2, alpha=1.0),
    "ladder": lambda: certify_ladder(RETURNS, 0.1, 0.2, ladder=[0, 2, 2]),
    "ladder of shape": lambda: certify_ladder(RETURNS, 0.1, 0.2, ladder=[0.0]),
    "episode 3 is nan": lambda: certify_dkw(np.where(np.arange(9) == 3, np.nan, 1.0), 0.1, 0.2, minimum=0),
    "shape": lambda: certify_dkw([], 0.1, 0.2, minimum=0),
    "below the known minimum": lambda: certify_dkw(RETURNS - 6, 0.1, 0.2, minimum=0),
    "below the known minimum 6": lambda: certify_ladder(RETURNS, 0.1, 0.2, ladder=[6, 7]),
    "minimum=-inf": lambda: certify_dkw(RETURNS, 0.1, 0.2, minimum=-math.inf),
    "constant": lambda: certify_dkw(RETURNS, 0.1, 0.2, minimum=0, alpha=0.6),
    "successes hold -1": lambda: certify_success(np.full(100, -1), 0.1, 0.2),
    "above the known maximum": lambda: certify_expectation(RETURNS, 0.1, 0.2, minimum=0, maximum=4),
    "lipschitz": lambda: certify_expectation(RETURNS, 0.1, 0.2, minimum=0, maximum=9, lipschitz=0.1),
    "q=1.5": lambda: certify_percentile(RETURNS, 0.1, 0.2, q=1.5),
    "interval": lambda: certify_percentile(RETURNS, 0.1, 0.2, interval="t"),
    "too few": lambda: certify_ladder(RETURNS[:5], 0.1, 0.2, ladder=200),
    "episodes=0": lambda: check_episodes(0, "dkw"),
    "method": lambda: check_episodes(10, "guess"),
    "successes [5] must": lambda: clopper_pearson_lower([5], 4, 0.05),
    "p_lower": lambda: success_radius(1.0, 0.2),
    "value=nan": lambda: SurvivalBound(0.0, np.ones(1), np.array([0.9])).radius(math.nan, 0.2),
    "ratio": lambda: shifted_probability(0.5, -1.0),
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_are_named(words):
    with pytest.raises(ValueError) as error:
        MISTAKES[words]()
    assert words in str(error.value)


@settings(max_examples=60, deadline=None)
@given(
    bad=st.sampled_from([np.nan, np.inf, -np.inf]),
    where=st.integers(0, 39),
    name=st.sampled_from(list(CERTIFIERS)),
)
def test_a_return_that_is_no_number_is_never_certified(bad, where, name):
    returns = np.full(40, 10.0)
    returns[where] = bad
    with pytest.raises(ValueError, match=f"episode {where} is"):
        CERTIFIERS[name](returns, BUDGETS, 0.2)


@settings(max_examples=60, deadline=None)
@given(
    rungs=st.lists(st.one_of(st.floats(-1e100, 1e100), st.sampled_from([math.nan, math.inf, -math.inf])), max_size=6)
)
def test_only_increasing_ladders_are_taken(rungs):
    good = len(rungs) > 1 and all(map(math.isfinite, rungs)) and all(a < b for a, b in itertools.pairwise(rungs))
    returns = np.full(40, rungs[0] if good else 0.0)
    if good:
        assert certify_ladder(returns, 0.1, 0.2, ladder=rungs).value[0] == rungs[0]  # nothing above v_0 was reached
        return
    with pytest.raises(ValueError, match="ladder"):
        certify_ladder(returns, 0.1, 0.2, ladder=rungs)


@settings(max_examples=60, deadline=None)
@given(
    sigma=st.one_of(st.floats(max_value=0), st.just(math.nan), st.just(math.inf)),
    budget=st.one_of(st.floats(max_value=-1e-300), st.just(math.nan), st.just(math.inf)),
    alpha=st.one_of(st.floats(max_value=0), st.floats(min_value=1), st.just(math.nan)),
    name=st.sampled_from(list(CERTIFIERS)),
)
def test_bad_constants_are_never_taken(sigma, budget, alpha, name):
    returns = np.full(40, 10.0)
    with pytest.raises(ValueError, match="sigma"):
        CERTIFIERS[name](returns, 0.1, sigma)
    with pytest.raises(ValueError, match="budgets"):
        CERTIFIERS[name](returns, budget, 0.2)
    with pytest.raises(ValueError, match="alpha"):
        CERTIFIERS[name](returns, 0.1, 0.2, alpha=alpha)
