"""Which policy to train next with which weights: PGMORL's prediction of gains (Xu et al., ICML 2020).

Training policy p with weights w for a while changes objective j by a gain that is modelled as a hyperbolic function of
w_j alone,

    gain_j(w_j) = A (e^(a (w_j - b)) - 1) / (e^(a (w_j - b)) + 1) + c = A tanh(a (w_j - b) / 2) + c,    A >= 0,

fitted for each policy and objective to the gains seen so far from policies of similar returns, near ones weighing more.
Pairs of policy and weights are then chosen greedily: each next one is that whose predicted returns, added to the front
and to the predictions chosen before, maximise hypervolume - alpha * sparsity. The policies come from performance
buffers: the directions from the reference point are divided into bins, and each bin keeps its farthest vectors. The
method is defined for two and three objectives.

As in the authors' release: the model, the ranges of a and b, the soft-L1 loss, neighbours within 10 per cent of every
objective with a Gaussian weight of width 3 per cent, both doubled until four different weights are seen; with two
objectives candidate weights at even angles within 45 degrees of those trained last; buffers by angle with two
objectives, by the nearest of a grid of directions with three.

Ours, for where the release would fail or depend on units: gains are fitted in units of the largest (the release bounds
A and c by 500 and puts the knee of the loss at 20, whatever the objectives' units); the fit starts from the data; an
objective near zero is compared in proportion to its largest size among the records (dividing by itself, no neighbour is
ever found); the widening stops when all records are in; with three objectives candidates are spread instead of drawn at
random; copies enter a buffer once; returns are measured from a reference point that need not be the origin.

Letters: R records, P policies, C candidates, W weights, n vectors of the front, m objectives. All are maximised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import moocore
import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from rlsuite.multi_objective.archive import distinct, nadir_reference, nondominated
from rlsuite.multi_objective.points import Array, check_count, check_points, check_reference
from rlsuite.multi_objective.weights import check_weights, weight_grid

__all__ = [
    "Experience",
    "GainModel",
    "Guided",
    "candidate_weights",
    "fit_gains",
    "guided_pairs",
    "performance_buffers",
    "predict_gain",
    "select_guided",
]

Indices = npt.NDArray[np.int64]

_NEIGHBOURS, _WIDTH = 0.1, 0.03
_DIFFERENT = 4  # weights that a fit needs: as many as the model has parameters
_SAME_WEIGHT = 1e-3
_STEEP = (0.1, 20.0)
_SHIFT = 5.0
_KNEE = 0.1
_MOST_WIDENINGS = 40


def _two_or_three(num_objectives: int) -> None:
    if num_objectives not in (2, 3):
        raise ValueError(
            f"there are {num_objectives} objectives; prediction-guided selection takes 2 or 3; use C-MORL for others."
        )


@dataclass(frozen=True)
class Experience:
    """Gains seen so far: one record each time that a policy was trained with some weights.

    Attributes:
        before: [R, m], the policy's returns before.
        weights: [R, m], what it was trained with.
        gains: [R, m], its returns after it, less those before.
    """

    before: Array
    weights: Array
    gains: Array

    @staticmethod
    def empty(num_objectives: int) -> Experience:
        """No record yet."""
        _two_or_three(num_objectives)
        none = np.zeros((0, num_objectives))
        return Experience(none, none, none)

    def __post_init__(self) -> None:
        m = check_points(self.before, name="before", empty=True).shape[1]
        check_points(self.gains, m, name="gains", empty=True)
        if not len(self.before) == len(self.weights) == len(self.gains):
            raise ValueError(
                f"{len(self.before)} returns, {len(self.weights)} weights and {len(self.gains)} gains; give one of "
                "each per record."
            )
        if len(self.weights):
            check_weights(self.weights, m)

    def __len__(self) -> int:
        return len(self.before)

    def add(self, before: Any, weights: Any, after: Any) -> Experience:
        """With further records.

        Args:
            before: [k, m], returns before.
            weights: [k, m], trained with.
            after: [k, m], returns after.

        Raises:
            ValueError: bad returns or weights, or different numbers of them.
        """
        m = self.before.shape[1]
        first, last = check_points(before, m, name="before"), check_points(after, m, name="after")
        rows = np.atleast_2d(check_weights(weights, m))
        if not len(first) == len(rows) == len(last):
            raise ValueError(
                f"{len(first)} returns before, {len(rows)} weights and {len(last)} returns after; give as many."
            )
        return Experience(
            np.concatenate([self.before, first]),
            np.concatenate([self.weights, rows]),
            np.concatenate([self.gains, last - first]),
        )


@dataclass(frozen=True)
class GainModel:
    """The gains of one policy as functions of the weights.

    Attributes:
        parameters: [m, 4], A, a, b and c of each objective; A and c in its unit.
        neighbours: how many records it was fitted to.
    """

    parameters: Array
    neighbours: int

    def __call__(self, weights: Any) -> Array:
        """Predicted gains [W, m] under weights [W, m], or [m] under [m].

        Raises:
            ValueError: bad weights.
        """
        rows = check_weights(weights, len(self.parameters))
        height, steep, shift, level = self.parameters.T
        found: Array = height * np.tanh(steep * (rows - shift) / 2) + level
        return found


def fit_gains(point: Any, experience: Experience) -> GainModel:
    """The model of the gains of a policy with these returns.

    Args:
        point: [m], its returns.
        experience: what was seen so far, at least one record.

    Returns:
        The model; with records of fewer than four different weights it is one of many that fit.

    Raises:
        ValueError: bad returns, or no record.
    """
    m = experience.before.shape[1]
    here = check_points([point], m, name="point")[0]
    if not len(experience):
        raise ValueError("no gain has been recorded; train every policy once (the warm-up) before predicting.")
    size = np.maximum(np.abs(here), 1e-3 * np.maximum(np.abs(experience.before).max(0), np.abs(here)))
    apart = np.abs(experience.before - here) / np.where(size > 0, size, 1.0)
    reach, width = _NEIGHBOURS, _WIDTH
    near = np.all(apart < reach, axis=1)
    for _ in range(_MOST_WIDENINGS):
        if near.all() or _different(experience.weights[near]) >= _DIFFERENT:
            break
        reach, width = 2 * reach, 2 * width
        near = np.all(apart < reach, axis=1)
    else:
        near[:] = True
    trust = np.exp(-0.5 * (np.linalg.norm(apart[near], axis=1) / width) ** 2)
    rows, gains = experience.weights[near], experience.gains[near]
    return GainModel(np.array([_fit(rows[:, j], gains[:, j], trust) for j in range(m)]), int(near.sum()))


def _different(weights: Array) -> int:
    """How many weights differ, counted up to four."""
    kept: list[Array] = []
    for row in weights:
        if all(np.linalg.norm(row - other) >= 1e-5 for other in kept):
            kept.append(row)
            if len(kept) == _DIFFERENT:
                break
    return len(kept)


def _fit(weight: Array, gain: Array, trust: Array) -> Array:
    """[4]: A, a, b, c of one objective."""
    unit = float(np.abs(gain).max())
    if unit == 0.0:
        return np.array([0.0, 1.0, 0.5, 0.0])
    y = gain / unit
    span = max(float(np.ptp(y)), 1e-6)

    def residual(p: Array) -> Array:
        found: Array = (p[0] * np.tanh(p[1] * (weight - p[2]) / 2) + p[3] - y) * trust
        return found

    def jacobian(p: Array) -> Array:
        bend = np.tanh(p[1] * (weight - p[2]) / 2)
        slope = p[0] * (1 - bend**2) / 2
        return np.stack([bend, slope * (weight - p[2]), -slope * p[1], np.ones_like(weight)], axis=1) * trust[:, None]

    start = [span / 2, 4.0, float(np.average(weight, weights=trust)), float(np.average(y, weights=trust))]
    low, high = [0.0, _STEEP[0], -_SHIFT, -2.0], [span, _STEEP[1], _SHIFT, 2.0]
    found: Array = least_squares(
        residual, start, jacobian, (low, high), "trf", 1e-6, 1e-6, 1e-6, loss="soft_l1", f_scale=_KNEE, max_nfev=100
    ).x
    return found * [unit, 1, 1, unit]


def predict_gain(point: Any, weights: Any, experience: Experience) -> Array:
    """How much each objective of a policy is expected to gain from training with some weights.

    Args:
        point: [m], the policy's returns.
        weights: [W, m], or one weight, [m].
        experience: what was seen so far.

    Returns:
        [W, m] or [m], in the objectives' units.

    Raises:
        ValueError: bad returns or weights, or no record.
    """
    return fit_gains(point, experience)(weights)


def candidate_weights(last: Any, num: int = 7, *, tried: Any = None, divisions: int = 8) -> Array:
    """Weights that a policy may be trained with next, around those that it was trained with last.

    Two objectives: `num` directions at even angles within 45 degrees of the last, without those that have a negative
    entry. Three: the last weights, then those of a grid within 45 degrees, each the farthest from the ones before.

    Args:
        last: [m], m = 2 or 3.
        num: how many at most, at least 2.
        tried: [t, m], weights that this policy was trained with before, left out; or None.
        divisions: of the grid, for three objectives (the release: 2 / the step of the warm-up's grid).

    Returns:
        [W, m], 0 <= W <= num.

    Raises:
        ValueError: bad weights or numbers, or neither two nor three objectives.
    """
    m = np.shape(last)[-1] if np.ndim(last) == 1 else 0
    _two_or_three(m)
    centre = check_weights(last, m, name="last")
    check_count(num, "num", 2)
    before = np.zeros((0, m))
    if tried is not None and len(tried):
        before = np.atleast_2d(check_weights(tried, m, name="tried"))
    if m == 2:
        angles = math.atan2(centre[1], centre[0]) + np.linspace(-math.pi / 4, math.pi / 4, num)
        directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        directions = np.maximum(directions[(directions >= -1e-7).all(1)], 0.0)
        return _untried(directions / directions.sum(1, keepdims=True), before)
    grid = weight_grid(3, divisions)
    cosine = grid @ centre / np.linalg.norm(grid, axis=1) / np.linalg.norm(centre)
    grid = grid[(cosine > math.cos(math.pi / 4)) & (np.linalg.norm(grid - centre, axis=1) >= _SAME_WEIGHT)]
    spread = [centre]
    rest = _untried(grid, before)
    while len(spread) < num and len(rest):
        gap = np.min([((rest - w) ** 2).sum(1) for w in spread], axis=0)
        best = int(np.argmax(np.round(gap, 12)))  # of equally far ones the first
        spread.append(rest[best])
        rest = np.delete(rest, best, axis=0)
    return _untried(np.array(spread), before)


def _untried(weights: Array, tried: Array) -> Array:
    if not len(tried):
        return weights
    apart = np.linalg.norm(weights[:, None] - tried, axis=-1).min(1)
    return weights[apart >= _SAME_WEIGHT]


@dataclass(frozen=True)
class Guided:
    """Pairs of policy and weights to be trained next.

    Attributes:
        policies: [k], indices of the policies.
        weights: [k, m], what to train each with.
        predicted: [k, m], the returns expected of each.
        scores: [k], hypervolume - alpha * sparsity of the front with the predictions up to this one.
    """

    policies: Indices
    weights: Array
    predicted: Array
    scores: Array


def guided_pairs(
    policies: Any,
    weights: Any,
    predicted: Any,
    front: Any,
    count: int,
    *,
    reference: Any,
    alpha: float,
) -> Guided:
    """Up to `count` candidates, greedily the best for the front that they are predicted to give.

    Args:
        policies: [C], the policy of each candidate.
        weights: [C, m], its weights.
        predicted: [C, m], the returns expected of it.
        front: [n, m], the front so far; n = 0 is allowed.
        count: how many, at least 1; fewer are returned where there are fewer candidates.
        reference: [m], of the hypervolume; vectors not above it add none.
        alpha: at least 0, how much sparsity costs; hypervolume has the unit of the product of the objectives, sparsity
            that of their squares, so it depends on the task (the release: 1, and 1e6 for its hopper of three
            objectives).

    Returns:
        The pairs in the order of choice; ties to the smaller index of candidates.

    Raises:
        ValueError: bad vectors, weights, or numbers, different numbers of them, or neither two nor three objectives.
    """
    points = check_points(predicted, name="predicted", empty=True)
    m = points.shape[1]
    _two_or_three(m)
    check_count(count, "count")
    if not 0 <= alpha < math.inf:
        raise ValueError(f"alpha is {alpha!r}; it must be a finite number of at least 0.")
    low = check_reference(reference, m)
    rows = np.zeros((0, m)) if not len(points) else np.atleast_2d(check_weights(weights, m))
    owners = np.asarray(policies, np.int64).reshape(-1)
    if not len(points) == len(rows) == len(owners):
        raise ValueError(
            f"{len(owners)} policies, {len(rows)} weights and {len(points)} predictions; give as many of each."
        )
    virtual = check_points(front, m, name="front", empty=True)
    virtual = virtual[nondominated(virtual, tolerance=0.0)]
    free = np.ones(len(points), bool)
    chosen, scores = [], []
    for _ in range(min(int(count), len(points))):
        score = _scores(points, free, virtual, low, float(alpha))
        best = int(np.argmax(score))
        chosen.append(best)
        scores.append(score[best])
        free[best] = False
        virtual = _joined(virtual, points[best])
    picked = np.array(chosen, np.int64)
    return Guided(owners[picked], rows[picked], points[picked], np.array(scores, np.float64))


def _scores(points: Array, free: npt.NDArray[np.bool_], front: Array, reference: Array, alpha: float) -> Array:
    """[C]: hypervolume - alpha * sparsity with each candidate added; -inf for those chosen before."""
    score = np.full(len(points), -np.inf)
    if len(front):
        inside = np.any([(front[i] >= points).all(1) for i in range(len(front))], axis=0)
        score[free & inside] = _score(front, reference, alpha)
    else:
        inside = np.zeros(len(points), bool)
    for i in np.flatnonzero(free & ~inside):
        score[i] = _score(_joined(front, points[i]), reference, alpha)
    return score


def _score(front: Array, reference: Array, alpha: float) -> float:
    """Of mutually nondominated vectors; the public functions' checks would take most of the time here."""
    gaps = np.diff(np.sort(front, axis=0), axis=0)
    sparse = float((gaps**2).sum()) / len(gaps) if len(gaps) else 0.0
    return float(moocore.hypervolume(front, ref=reference, maximise=True)) - alpha * sparse


def _joined(front: Array, point: Array) -> Array:
    """The front with a vector, without what is then dominated."""
    if len(front) and (front >= point).all(1).any():
        return front
    return np.concatenate([front[~(point >= front).all(1)], point[None]])


def select_guided(
    points: Any,
    last: Any,
    front: Any,
    experience: Experience,
    count: int,
    *,
    reference: Any,
    alpha: float = 1.0,
    num_weights: int = 7,
    tried: Sequence[Any] | None = None,
    divisions: int = 8,
) -> Guided:
    """Predict every policy's gains under its candidate weights, and choose the pairs to be trained next.

    Args:
        points: [P, m], the returns of the policies in the population (see `performance_buffers`).
        last: [P, m], the weights that each was trained with last.
        front: [n, m], the front so far.
        experience: what was seen so far.
        count: how many pairs.
        reference: [m], of the hypervolume.
        alpha: how much sparsity costs; see `guided_pairs`.
        num_weights: candidates per policy; see `candidate_weights`.
        tried: P arrays [t, m], what each policy has been trained with; or None.
        divisions: see `candidate_weights`.

    Returns:
        The pairs in the order of choice; fewer than `count` where the candidates run out.

    Raises:
        ValueError: bad vectors, weights or numbers, different numbers of them, no record, or neither two nor three
            objectives.
    """
    found = check_points(points)
    _two_or_three(found.shape[1])
    centres = np.atleast_2d(check_weights(last, found.shape[1], name="last"))
    if len(centres) != len(found) or (tried is not None and len(tried) != len(found)):
        counts = f"{len(centres)} last weights{'' if tried is None else f' and {len(tried)} lists of tried ones'}"
        raise ValueError(f"{len(found)} policies, {counts}; give as many of each.")
    owners: list[int] = []
    rows, predictions = [np.zeros((0, found.shape[1]))], [np.zeros((0, found.shape[1]))]
    for i, point in enumerate(found):
        done = None if tried is None else tried[i]
        weights = candidate_weights(centres[i], num_weights, tried=done, divisions=divisions)
        if len(weights):
            owners += [i] * len(weights)
            rows.append(weights)
            predictions.append(point + predict_gain(point, weights, experience))
    return guided_pairs(
        owners, np.concatenate(rows), np.concatenate(predictions), front, count, reference=reference, alpha=alpha
    )


def performance_buffers(points: Any, reference: Any = None, *, bins: int, size: int = 2) -> Indices:
    """The population: of each direction from the reference point, the vectors that lie farthest along it.

    Two objectives: `bins` equal angles between the axes. Three: the C(bins + 1, 2) directions of a grid with bins - 1
    divisions, each vector belonging to the one of the smallest angle. Dominated vectors may stay: they keep directions
    alive in which the front has nothing yet.

    Args:
        points: [n, m], m = 2 or 3; n = 0 is allowed.
        reference: [m]; vectors that are not above it in every objective are left out, as in the release (with the
            origin there); None for `rlsuite.multi_objective.nadir_reference`, which leaves out none.
        bins: at least 2 (the release: 100 for two objectives, 20 for three).
        size: vectors per bin, at least 1.

    Returns:
        [k], by bin, then by falling distance, then by index.

    Raises:
        ValueError: bad vectors, reference point or numbers, or neither two nor three objectives.
    """
    found = check_points(points, empty=True)
    m = found.shape[1]
    _two_or_three(m)
    check_count(bins, "bins", 2)
    check_count(size, "size")
    kept = distinct(found)
    if not len(kept):
        return kept
    low = nadir_reference(found) if reference is None else check_reference(reference, m)
    kept = kept[(found[kept] > low).all(1)]
    beyond = found[kept] - low
    length = np.linalg.norm(beyond, axis=1)
    if m == 2:
        place = np.minimum(np.arctan2(beyond[:, 0], beyond[:, 1]) // (math.pi / 2 / bins), bins - 1)
    else:
        grid = weight_grid(3, bins - 1)
        place = (beyond @ (grid / np.linalg.norm(grid, axis=1, keepdims=True)).T).argmax(1)
    chosen: list[int] = []
    for k in np.unique(place):
        here = np.flatnonzero(place == k)
        chosen += kept[here[np.argsort(-length[here], kind="stable")[:size]]].tolist()
    return np.array(chosen, np.int64)
