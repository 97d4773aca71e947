"""Gaussian-process design: rank-one gains against determinants taken from nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from rlsuite_envs.coverage.design import GPDesign
from rlsuite_envs.coverage.gaussian_process import condition, matern52
from rlsuite_envs.kernel import make_kernel


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def walk(kernel: GPDesign, actions: torch.Tensor) -> tuple[np.ndarray, np.ndarray, Any]:
    """Nodes [T + 1, B], rewards [T, B] and the last state of walks with actions [T, B]."""
    state = kernel.initial_state(actions.shape[1], torch.Generator().manual_seed(0))
    nodes, rewards = [state.node], []
    for action in actions:
        state, reward, _ = kernel.advance(state, action)
        nodes.append(state.node)
        rewards.append(reward)
    return torch.stack(nodes).numpy(), torch.stack(rewards).numpy(), state


def logdet(covariance: np.ndarray, nodes: np.ndarray, noise_std: float) -> float:
    among = covariance[np.ix_(nodes, nodes)]
    return 0.5 * np.linalg.slogdet(np.eye(len(nodes)) + among / noise_std**2)[1]


@pytest.mark.parametrize(("noise_std", "horizon"), [(1e-3, 39), (0.3, 39), (1e-3, 5), (0.05, 50)])
def test_information_equals_the_log_determinant(noise_std: float, horizon: int) -> None:
    kernel = make_kernel(GPDesign, noise_std=noise_std, horizon=horizon, dtype="float64")
    actions = torch.randint(0, 5, (horizon, 12), generator=torch.Generator().manual_seed(1))
    nodes, rewards, state = walk(kernel, actions)
    covariance = kernel.params.covariance
    assert (rewards >= 0).all()
    for row in range(12):
        for t in (1, horizon // 2, horizon):
            expected = logdet(covariance, nodes[: t + 1, row], noise_std)
            start = logdet(covariance, nodes[:1, row], noise_std)
            assert rewards[:t, row].sum() == pytest.approx(expected - start, rel=1e-9)
        assert state.value[row].item() == pytest.approx(logdet(covariance, nodes[:, row], noise_std), rel=1e-9)
        alone = sum(logdet(covariance, nodes[[t], row], noise_std) for t in range(horizon + 1))
        assert state.modular[row].item() == pytest.approx(alone, rel=1e-12)


def test_carried_factor_is_the_cholesky_factor() -> None:
    kernel = make_kernel(GPDesign, noise_std=0.1, horizon=17, dtype="float64")
    nodes, _, state = walk(kernel, torch.randint(0, 5, (17, 2), generator=torch.Generator().manual_seed(2)))
    factor = torch.zeros(18, 18, dtype=torch.float64)
    for left, inverse in zip(state.seen.below, state.seen.inverse, strict=True):
        rows, low = left.shape[1:]
        factor[low : low + rows, :low] = left[0]
        factor[low : low + rows, low : low + rows] = torch.linalg.inv(inverse[0])
    among = kernel.params.covariance[np.ix_(nodes[:, 0], nodes[:, 0])]
    np.testing.assert_allclose(factor, np.linalg.cholesky(np.eye(18) + among / 0.01), atol=1e-9)


def test_revisits_are_worth_half_the_log_of_2_and_less() -> None:
    kernel = make_kernel(GPDesign, dtype="float64")
    _, rewards, _ = walk(kernel, torch.zeros(39, 1, dtype=torch.int64))
    # n measurements of variance s^2 leave 1/(1/v + n/s^2): the next tells 1/2 ln(1 + 1/n), up to s^2/v.
    expected = [0.5 * math.log1p(1 / n) for n in range(1, 40)]
    np.testing.assert_allclose(rewards[:, 0], expected, rtol=1e-4)
    assert rewards[0, 0] == pytest.approx(0.3466, abs=1e-4)


def test_released_constant_mixes_bits_with_nats() -> None:
    right, released = (make_kernel(GPDesign, constant=c, dtype="float64") for c in ("nats", "released"))
    actions = torch.randint(0, 5, (39, 4), generator=torch.Generator().manual_seed(3))
    nodes, rewards, _ = walk(right, actions)
    _, others, state = walk(released, actions)
    np.testing.assert_allclose(others - rewards, 9.965784 - 6.907755, atol=1e-5)
    among = right.params.covariance[np.ix_(nodes[:, 0], nodes[:, 0])] + 1e-6 * np.eye(40)
    expected = 0.5 * np.linalg.slogdet(among)[1] + 9.965784284662087 * 40
    assert state.value[0].item() == pytest.approx(expected, rel=1e-9)
    _, stays, _ = walk(released, torch.zeros(1, 1, dtype=torch.int64))
    assert stays.item() == pytest.approx(3.40, abs=0.01)


def test_single_precision_kernels_compute_gains_in_double() -> None:
    actions = torch.randint(0, 5, (39, 8), generator=torch.Generator().manual_seed(4))
    _, double, _ = walk(make_kernel(GPDesign, dtype="float64"), actions)
    _, single, _ = walk(make_kernel(GPDesign), actions)
    np.testing.assert_allclose(single, double, rtol=1e-6, atol=1e-7)


def test_nothing_is_counted_after_the_horizon() -> None:
    kernel = make_kernel(GPDesign, horizon=3)
    _, rewards, state = walk(kernel, torch.ones(6, 2, dtype=torch.int64))
    assert (rewards[:3] > 0).all()
    assert (rewards[3:] == 0).all()
    assert torch.isfinite(state.value).all()


def test_earlier_measurements_shape_the_covariance() -> None:
    plain = make_kernel(GPDesign, observed=0, rows=1, cols=3, start=0).params.covariance
    grid = np.array([[1.0, 1.0], [1.0, 1.1], [1.0, 1.2]])
    np.testing.assert_allclose(plain, matern52(grid, grid), atol=1e-14)
    ten = np.stack([make_kernel(GPDesign, instance=i).params.covariance.diagonal() for i in range(10)])
    assert (ten <= math.log(2) + 1e-12).all()
    assert (ten > 0).all()
    assert all(np.abs(ten[i] - ten[j]).max() > 1e-3 for i in range(10) for j in range(i))


def test_own_graph_with_own_points() -> None:
    points = ((0.0, 0.0), (3.0, 0.0), (0.0, 1.0))
    moves = ((1, 2), (1, 2), (0, 2))
    kernel = make_kernel(
        GPDesign, rows=1, cols=3, start=0, motion=moves, points=points, observed=0, horizon=2, dtype="float64"
    )
    nodes, _, state = walk(kernel, torch.tensor([[0], [1]]))
    assert nodes[:, 0].tolist() == [0, 1, 2]
    covariance = condition(np.array(points), np.zeros((0, 2)), 1e-6)
    expected = 0.5 * np.linalg.slogdet(np.eye(3) + covariance / 1e-6)[1]
    assert state.value.item() == pytest.approx(expected, rel=1e-12)


def test_observation_counts_the_measurements() -> None:
    kernel = make_kernel(GPDesign, rows=2, cols=2, start=0, horizon=4)
    _, _, state = walk(kernel, torch.tensor([[1], [0], [0]]))
    torch.testing.assert_close(kernel.observe(state)[0], torch.tensor([0.0, 1.0, 0.25, 1.0, 3.0, 0.0, 0.0]))


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"noise_std": 0.0}, "noise_std=0.0"),
        ({"noise_std": 1e-9}, "noise_std=1e-09 must be at least 1e-6"),
        ({"length_scale": -1.0}, "length_scale=-1.0"),
        ({"variance": float("nan")}, "variance=nan"),
        ({"observed": -1}, "observed=-1"),
        ({"instance": 1.5}, "instance=1.5"),
        ({"constant": "bits"}, "constant='bits'"),
        ({"points": ((0.0, 0.0),)}, "points must be a tuple of 900"),
        ({"rows": 1, "cols": 1, "start": 0, "points": ((0.0, float("inf")),)}, r"points\[0\]="),
        ({"horizon": 0}, "horizon=0"),
    ],
)
def test_impossible_constants_are_refused(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_kernel(GPDesign, **constants)
