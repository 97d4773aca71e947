"""Densities of grids and the Gaussian process behind them, against closed forms and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import gamma, kv

from rlsuite_envs.coverage import gaussian_process
from rlsuite_envs.coverage.densities import density
from rlsuite_envs.coverage.gaussian_process import condition, grid_points, matern52, sample_field


def test_bimodal_density_is_the_logistic_of_the_product() -> None:
    weights = density("bimodal", 30, 30).reshape(30, 30)
    high, low = 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(1))
    assert weights[0, 0] == weights[-1, -1] == pytest.approx(high)
    assert weights[0, -1] == weights[-1, 0] == pytest.approx(low)
    assert weights.mean() == pytest.approx(0.5)  # logistic(z) + logistic(-z) = 1


@pytest.mark.parametrize("name", ["gp", "gorilla"])
def test_ten_instances_differ_and_are_positive(name: str) -> None:
    maps = np.stack([density(name, 30, 30, i) for i in range(10)])
    assert maps.min() > 0
    apart = np.abs(maps[:, None] - maps[None]).max(-1)
    assert (apart[~np.eye(10, dtype=bool)] > 0.1).all()
    again = density(name, 30, 30, 3)
    np.testing.assert_array_equal(again, maps[3])
    again[:] = 0
    np.testing.assert_array_equal(density(name, 30, 30, 3), maps[3])  # the cache hands out copies


def test_gorilla_density_has_two_clusters() -> None:
    for instance in range(10):
        weights = density("gorilla", 30, 30, instance).reshape(30, 30)
        lower_left, upper_right = weights[15:, :15], weights[:15, 15:]
        assert weights.max() == lower_left.max() > upper_right.max() > 0.4
        assert weights[0, 0] < 0.3 * weights.max()
        assert weights[-1, -1] < 0.3 * weights.max()


def test_matern_equals_its_bessel_form() -> None:
    distance = np.linspace(0.01, 4.0, 50)
    z = np.sqrt(5.0) * distance / 0.7
    bessel = 1.3 * 2 ** (1 - 2.5) / gamma(2.5) * z**2.5 * kv(2.5, z)
    np.testing.assert_allclose(
        matern52(np.zeros((1, 1)), distance[:, None], 0.7, 1.3)[0], bessel, rtol=1e-10, atol=1e-14
    )
    assert matern52(np.ones((1, 2)), np.ones((1, 2)))[0, 0] == pytest.approx(math.log(2))


def test_conditioning_equals_the_block_of_the_inverse_joint_precision() -> None:
    rng = np.random.default_rng(0)
    points, observed = rng.uniform(0, 4, (6, 2)), rng.uniform(0, 4, (3, 2))
    everything = np.concatenate((points, observed))
    joint = matern52(everything, everything)
    joint[6:, 6:] += 0.1 * np.eye(3)
    precision = np.linalg.inv(joint)
    np.testing.assert_allclose(condition(points, observed, 0.1), np.linalg.inv(precision[:6, :6]), atol=1e-10)
    np.testing.assert_array_equal(condition(points, observed[:0], 0.1), joint[:6, :6])


def test_draws_have_the_posterior_covariance(monkeypatch: pytest.MonkeyPatch) -> None:
    place = np.array([[1.0, 1.5]])
    monkeypatch.setattr(gaussian_process, "random_points", lambda num, rng: place)
    rng = np.random.default_rng(1)
    draws = np.stack([sample_field(1, 4, rng) for _ in range(5000)])
    expected = condition(grid_points(1, 4), place, 1e-3)
    # The standard error of a covariance of 5000 draws is below 0.01 here; the prior's would be 0.69.
    np.testing.assert_allclose(np.cov(draws.T, bias=True), expected, atol=0.03)
    np.testing.assert_allclose(draws.mean(0), 0.0, atol=0.03)
    assert expected.max() < 0.3
