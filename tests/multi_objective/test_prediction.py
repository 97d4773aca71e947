"""Prediction-guided selection: recovered curves, greedy choice against brute force, candidates, buffers, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite.multi_objective.indicators import hypervolume, sparsity
from rlsuite.multi_objective.prediction import (
    Experience,
    candidate_weights,
    fit_gains,
    guided_pairs,
    performance_buffers,
    predict_gain,
    select_guided,
)
from rlsuite.multi_objective.weights import check_weights, weight_grid

SEEDS = st.integers(0, 10_000)


def curve(weights, parameters):
    """The hyperbolic model as it is written: A (e^x - 1) / (e^x + 1) + c with x = a (w - b)."""
    height, steep, shift, level = np.transpose(parameters)
    power = np.exp(steep * (weights - shift))
    return height * (power - 1) / (power + 1) + level


def seen(point, weights, parameters):
    return Experience(np.tile(np.asarray(point, float), (len(weights), 1)), weights, curve(weights, parameters))


@pytest.mark.parametrize("unit", [1e-4, 1.0, 1e5])
@pytest.mark.parametrize("point", [(5, 3), (-5, 300), (0, 1), (0, 0)])
def test_known_curves_are_recovered_whatever_the_units(unit, point):
    parameters = np.array([(2 * unit, 9, 0.4, unit), (0.5 * unit, 14, 0.6, -unit)])
    experience = seen(point, weight_grid(2, 20), parameters)
    model = fit_gains(point, experience)
    np.testing.assert_allclose(model.parameters, parameters, rtol=1e-3)
    assert model.neighbours == 21
    between = weight_grid(2, 33)
    np.testing.assert_allclose(predict_gain(point, between, experience), curve(between, parameters), atol=1e-4 * unit)
    np.testing.assert_array_equal(predict_gain(point, (0.3, 0.7), experience), model([(0.3, 0.7)])[0])


def test_three_objectives_and_an_outlier():
    parameters = np.array([(2, 9, 0.4, 1), (1, 6, 0.3, 0), (0.5, 14, 0.5, -1)])
    weights = weight_grid(3, 6)
    clean = seen((1, 2, 3), weights, parameters)
    gains = clean.gains.copy()
    gains[11] += 15  # a lucky evaluation
    spoilt = predict_gain((1, 2, 3), weights, Experience(clean.before, clean.weights, gains))
    assert np.abs(spoilt - clean.gains).max() < 1.0
    assert np.median(np.abs(spoilt - clean.gains)) < 0.2


def test_near_policies_count_and_far_ones_do_not():
    weights = weight_grid(2, 10)
    near, far = np.array([(2, 9, 0.4, 1), (2, 9, 0.4, 1)]), np.array([(9, 1, 0.4, -3), (5, 2, 0.4, 4)])
    experience = seen((100, 50), weights, near)
    others = seen((150, 50), weights, far)
    both = experience.add(others.before, others.weights, others.before + others.gains)
    assert len(both) == 22
    np.testing.assert_array_equal(predict_gain((100, 50), weights, both), predict_gain((100, 50), weights, experience))
    model = fit_gains((125, 50), both)  # none within a tenth: the circle widens until it holds both
    assert model.neighbours == 22
    few = Experience(both.before[9:13], both.weights[9:13], both.gains[9:13])  # two records here, two there
    assert fit_gains((100, 50), few).neighbours == 4


def test_odd_records():
    one = Experience.empty(2).add([[1, 2]], [[0.5, 0.5]], [[2, 2]])
    np.testing.assert_allclose(predict_gain((1, 2), (0.5, 0.5), one), [1, 0], atol=1e-4)
    far = Experience(np.array([[1.0, 2.0]]), np.array([[0.5, 0.5]]), np.array([[3.0, -1.0]]))
    np.testing.assert_allclose(predict_gain((1e9, -1e9), (0.5, 0.5), far), [3, -1], rtol=1e-3)


def test_a_gain_never_falls_with_its_own_weight():
    rng = np.random.default_rng(0)
    for _ in range(10):
        experience = Experience(np.ones((9, 2)), rng.dirichlet((1, 1), 9), rng.normal(size=(9, 2)))
        gains = predict_gain((1, 1), weight_grid(2, 10), experience)
        assert (np.diff(gains[:, 0]) >= 0).all() and (np.diff(gains[:, 1]) <= 0).all()


def test_candidates_of_two_objectives_by_hand():
    around = candidate_weights((0.5, 0.5), 5)
    tangents = np.tan(np.pi / 4 + np.linspace(-1, 1, 5) * np.pi / 4)[:4]
    np.testing.assert_allclose(around[:4, 1] / around[:4, 0], tangents, atol=1e-12)
    np.testing.assert_allclose(around[4], [0, 1], atol=1e-12)
    at_end = candidate_weights((1, 0), 7)
    assert len(at_end) == 4 and (at_end >= 0).all()
    np.testing.assert_array_equal(candidate_weights((1, 0), 7, tried=[(1, 0)]), at_end[1:])
    assert candidate_weights((1, 0), 7, tried=at_end).shape == (0, 2)
    assert len(check_weights(around, 2)) == 5


@given(SEEDS)
@settings(max_examples=30)
def test_candidates_of_three_objectives_are_near_and_new(seed):
    last = np.random.default_rng(seed).dirichlet((1, 1, 1))
    found = candidate_weights(last, 6)
    check_weights(found, 3)
    np.testing.assert_array_equal(found[0], last)
    assert len(found) <= 6
    for w in found[1:]:
        assert w @ last / np.linalg.norm(w) / np.linalg.norm(last) >= np.cos(np.pi / 4)
        np.testing.assert_allclose(w * 8, np.round(w * 8), atol=1e-12)
    again = candidate_weights(last, 6, tried=found[:2])
    assert len(again) and not any((np.linalg.norm(again - w, axis=1) < 1e-3).any() for w in found[:2])


@given(SEEDS, st.integers(2, 3), st.sampled_from([0.0, 0.3, 50.0]), st.integers(0, 4))
@settings(max_examples=40)
def test_pairs_are_greedily_the_best(seed, m, alpha, n):
    rng = np.random.default_rng(seed)
    front, predicted = rng.integers(0, 5, (n, m)).astype(float), rng.integers(0, 6, (7, m)).astype(float)
    weights, low = rng.dirichlet(np.ones(m), 7), np.full(m, 0.5)
    found = guided_pairs(np.arange(7) // 2, weights, predicted, front, 4, reference=low, alpha=alpha)
    chosen, now = [], front
    for _ in range(4):
        values = [
            -np.inf
            if i in chosen
            else float(hypervolume(both := np.concatenate([now, predicted[[i]]]), low, allow_zero=True))
            - alpha * sparsity(both)
            for i in range(7)
        ]
        best = next(i for i, v in enumerate(values) if v >= max(values) - 1e-9)
        assert found.scores[len(chosen)] == pytest.approx(max(values), abs=1e-9)
        chosen.append(best)
        now = np.concatenate([now, predicted[[best]]])
    np.testing.assert_array_equal(found.policies, np.array(chosen) // 2)
    np.testing.assert_array_equal(found.weights, weights[chosen])
    np.testing.assert_array_equal(found.predicted, predicted[chosen])


def test_the_whole_step_goes_where_the_gains_are():
    weights = weight_grid(2, 20)
    points = np.array([(10.0, 1.0), (1.0, 10.0)])
    rising, flat = np.array([(4, 9, 0.5, 4)] * 2), np.array([(0.1, 9, 0.5, 0)] * 2)
    first, second = seen(points[0], weights, rising), seen(points[1], weights, flat)
    experience = first.add(second.before, second.weights, second.before + second.gains)
    found = select_guided(points, [(0.5, 0.5)] * 2, points, experience, 3, reference=(0, 0), alpha=0.0)
    assert found.policies[0] == 0 and len(found.policies) == 3
    np.testing.assert_allclose(found.predicted[0], points[0] + curve(found.weights[0], rising), rtol=1e-3)
    few = select_guided(points, [(1, 0), (1, 0)], points, experience, 50, reference=(0, 0), tried=[[(1, 0)], []])
    assert len(few.policies) == 7
    none = select_guided(points[:1], [(1, 0)], points, experience, 3, reference=(0, 0), num_weights=2, tried=[weights])
    assert none.policies.shape == (0,) and none.weights.shape == (0, 2)


def test_buffers_of_two_objectives_by_hand():
    angles = np.deg2rad([10, 20, 15, 40, 80, 85, 5])
    lengths = np.array([5, 3, 4, 1, 2, 1.9, 1])
    points = lengths[:, None] * np.stack([np.sin(angles), np.cos(angles)], axis=1)
    np.testing.assert_array_equal(performance_buffers(points, (0, 0), bins=3, size=2), [0, 2, 3, 4, 5])
    np.testing.assert_array_equal(performance_buffers(points - 7, (-7, -7), bins=3, size=1), [0, 3, 4])
    np.testing.assert_array_equal(performance_buffers([[1, 1], [1, 1], [-1, 5], [5, 0]], (0, 0), bins=2), [0])
    assert set(performance_buffers([[-1, -5], [-2, -1]], bins=2)) == {0, 1}
    assert performance_buffers([[-1, -5]], (0, 0), bins=2).shape == (0,)
    assert performance_buffers(np.zeros((0, 2)), bins=2).shape == (0,)


@given(SEEDS, st.integers(2, 3), st.integers(2, 6), st.integers(1, 3))
@settings(max_examples=40)
def test_buffers_keep_the_farthest_of_each_direction(seed, m, bins, size):
    points = np.abs(np.random.default_rng(seed).normal(size=(30, m)))
    kept = performance_buffers(points, np.zeros(m), bins=bins, size=size)
    assert len(set(kept)) == len(kept)
    assert int(np.argmax(np.linalg.norm(points, axis=1))) in kept
    again = performance_buffers(points[kept], np.zeros(m), bins=bins, size=size)
    np.testing.assert_array_equal(again, np.arange(len(kept)))
    assert len(kept) <= size * (bins if m == 2 else bins * (bins + 1) // 2)
    order = np.random.default_rng(seed).permutation(30)
    np.testing.assert_array_equal(order[performance_buffers(points[order], np.zeros(m), bins=bins, size=size)], kept)


RECORD = Experience(np.array([[1.0, 2.0]]), np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]]))
ROW = np.array([[1.0, 2.0]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Experience.empty(4), "there are 4 objectives; .* takes 2 or 3; use C-MORL"),
        (lambda: Experience(ROW, np.zeros((0, 2)), ROW), "1 returns, 0 weights and 1 gains"),
        (lambda: RECORD.add([[1, 2]], [[0.5, 0.5]] * 2, [[1, 2]]), "1 returns before, 2 weights and 1 returns after"),
        (lambda: RECORD.add([[1, np.nan]], [[0.5, 0.5]], [[1, 2]]), r"before\[0, 1\] is nan"),
        (lambda: RECORD.add([[1, 2]], [[0.5, 0.6]], [[1, 2]]), r"sums to 1\.1"),
        (lambda: fit_gains((1, 2), Experience.empty(2)), "no gain has been recorded; .*warm-up"),
        (lambda: fit_gains((1, 2, 3), RECORD), "point has 3 objectives, not 2"),
        (lambda: predict_gain((1, 2), (0.5, 0.2), RECORD), r"sums to 0\.7"),
        (lambda: candidate_weights((0.25,) * 4), "there are 4 objectives"),
        (lambda: candidate_weights((0.5, 0.5), 1), "num is 1"),
        (lambda: candidate_weights((0.5, 0.4)), r"last sums to 0\.9"),
        (lambda: candidate_weights((0.5, 0.5), tried=[(1, 1)]), r"tried\[0\] sums to 2"),
        (lambda: guided_pairs([0], [(1, 0)], ROW, ROW, 0, reference=(0, 0), alpha=1), "count is 0"),
        (lambda: guided_pairs([0], [(1, 0)], ROW, ROW, 1, reference=(0, 0), alpha=-1), "alpha is -1"),
        (lambda: guided_pairs([0, 1], [(1, 0)], ROW, ROW, 1, reference=(0, 0), alpha=1), "2 policies, 1 weights and 1"),
        (lambda: guided_pairs([0], [(1, 0)], ROW, ROW, 1, reference=(0,), alpha=1), r"reference has shape \(1,\)"),
        (lambda: select_guided(ROW, [(1, 0)] * 2, ROW, RECORD, 1, reference=(0, 0)), "1 policies, 2 last weights"),
        (lambda: select_guided(ROW, [(1, 0)], ROW, RECORD, 1, reference=(0, 0), tried=[]), "and 0 lists of tried"),
        (lambda: performance_buffers(np.ones((2, 5)), bins=3), "there are 5 objectives"),
        (lambda: performance_buffers(ROW, bins=1), "bins is 1"),
        (lambda: performance_buffers(ROW, bins=3, size=0), "size is 0"),
    ],
)
def test_refusals_name_the_value_and_a_remedy(call, message):
    with pytest.raises(ValueError, match=message):
        call()
