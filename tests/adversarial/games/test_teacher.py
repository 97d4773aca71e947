"""The temperature's teacher: divergences against integrals, its two constraints, and its rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from scipy.optimize import approx_fprime, brentq

from rlsuite.adversarial.games.teacher import GammaTeacher, _Divergence, _Problem, gamma_kl, gamma_log_prob


@pytest.mark.parametrize(("p", "q"), [(50.0, 1.0), (43.0, 50.0), (2.5, 2.5), (0.7, 3.0)])
def test_divergence_by_integration(p, q):
    rate = 10.0
    left, right = stats.gamma(p, scale=1 / rate), stats.gamma(q, scale=1 / rate)
    integral, _ = integrate.quad(
        lambda x: left.pdf(x) * (left.logpdf(x) - right.logpdf(x)), 0, left.ppf(1 - 1e-14), limit=500
    )
    assert gamma_kl(p, q) == pytest.approx(integral, abs=1e-6)


def test_density_is_scipys():
    x = np.array([1e-3, 0.05, 0.2])
    np.testing.assert_allclose(gamma_log_prob(x, 50.0, 1000.0), stats.gamma(50, scale=1e-3).logpdf(x))


def test_derivatives_by_differences():
    rng = np.random.default_rng(0)
    alpha, value = rng.gamma(20, 1e-3, 30), rng.normal(5, 2, 30)
    for function in (_Problem(alpha, value, 20.0, 1000.0), _Divergence(17.0)):
        x = np.array([18.0])
        np.testing.assert_allclose(function.slope(x), approx_fprime(x, function.value, 1e-6), rtol=1e-3)
        bend = approx_fprime(x, lambda y, f=function: f.slope(y)[0], 1e-6)
        np.testing.assert_allclose(function.bend(x, [1.0])[0], bend, rtol=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31),
    st.floats(-5, 25),
    st.floats(-100, 100),
    st.floats(0.01, 1.0),
    st.floats(1.0, 60.0),
)
def test_constraints_hold_at_every_step(seed, level, slope, max_kl, concentration):
    rng = np.random.default_rng(seed)
    teacher = GammaTeacher(concentration=concentration, performance=10.0, max_kl=max_kl, seed=seed)
    for _ in range(4):
        before, reached = teacher.concentration, teacher.reached
        alphas = teacher.sample(30)
        returns = level + slope * alphas + rng.normal(size=30)
        lesson = teacher.update(alphas, returns)
        assert lesson.kl_step <= max_kl
        assert gamma_kl(teacher.concentration, 1.0) <= gamma_kl(before, 1.0) + 1e-9
        if returns.mean() < 10.0:  # at the distribution itself all importance weights are 1
            assert teacher.concentration == before
            assert lesson.outcome == ("skipped" if reached else "frozen")
        else:
            assert teacher.reached and lesson.performance >= 10.0


def test_an_easy_task_is_cooled_as_fast_as_the_trust_region_allows():
    teacher = GammaTeacher(performance=10.0)
    lesson = teacher.update(teacher.sample(30), np.full(30, 50.0))
    furthest = brentq(lambda k: gamma_kl(k, 50.0) - 0.5, 10.0, 50.0)
    assert furthest <= teacher.concentration <= furthest + 0.5
    assert lesson.outcome == "moved" and lesson.kl_step == pytest.approx(0.5, abs=0.05)
    for _ in range(40):
        teacher.update(teacher.sample(200), np.full(200, 1000.0))
    assert teacher.concentration == pytest.approx(1.0, abs=0.01)
    assert teacher.mean == pytest.approx(0.001, abs=1e-5)


def test_performance_stops_the_cooling():
    """Returns that fall with the temperature allow only the part of the way on which their mean is xi."""
    teacher = GammaTeacher(performance=10.0, max_kl=5.0)
    alphas = stats.gamma(50, scale=1e-3).ppf((np.arange(400) + 0.5) / 400)  # p_old, without noise
    returns = 200.0 * alphas + 1.0  # mean 11 at 0.05, 10 at 0.045
    lesson = teacher.update(alphas, returns)
    assert lesson.performance == pytest.approx(10.0, abs=0.02)
    assert teacher.mean == pytest.approx(0.045, abs=5e-4)


def test_once_reached_a_failure_is_skipped():
    teacher = GammaTeacher(performance=10.0)
    assert teacher.update(teacher.sample(30), np.zeros(30)).outcome == "frozen"
    assert teacher.update(teacher.sample(30), np.full(30, 20.0)).outcome == "moved"
    assert teacher.update(teacher.sample(30), np.zeros(30)).outcome == "skipped"


def test_episodes_are_gathered_and_forgotten():
    teacher = GammaTeacher(performance=1.0, samples=30)
    lessons = [teacher.observe(teacher.sample(5), np.full(5, 9.0)) for _ in range(12)]
    assert [lesson is not None for lesson in lessons] == 2 * ([False] * 5 + [True])


def test_state_goes_on_to_the_same_numbers():
    teacher, copy = GammaTeacher(performance=5.0, seed=1), GammaTeacher(performance=5.0, seed=2)
    teacher.observe(teacher.sample(40), np.full(40, 9.0))
    teacher.observe(teacher.sample(7), np.arange(7.0))
    copy.load_state_dict(teacher.state_dict())
    for both in (teacher, copy):
        both.observe(both.sample(25), np.linspace(0, 20, 25))
    assert copy.concentration == teacher.concentration and copy.reached
    np.testing.assert_array_equal(copy.sample(5), teacher.sample(5))


@pytest.mark.parametrize(
    "change",
    [{"concentration": 0.0}, {"rate": -1.0}, {"max_kl": 0.0}, {"performance": np.nan}, {"samples": 0}],
)
def test_bad_settings_are_named(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        GammaTeacher(**{"performance": 1.0, **change})


@pytest.mark.parametrize(
    ("alphas", "returns"), [([0.1], [1.0, 2.0]), ([], []), ([0.1], [np.nan]), ([-0.1], [1.0]), ([0.0], [1.0])]
)
def test_bad_episodes_are_refused(alphas, returns):
    with pytest.raises(ValueError, match="update needs temperatures > 0"):
        GammaTeacher(performance=1.0).update(alphas, returns)
