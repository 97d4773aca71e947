"""The archive of objective vectors: which policies are kept, which are extended, and which one plays for a weight.

Functions of arrays alone; the policies lie elsewhere, in the same order, and are picked by the indices returned here.
Every rule is deterministic: ties go to the smaller index, so an older member outlives a newer one that equals it.

Crowding (Deb et al., 2002: NSGA-II) gives both ends of every objective an infinite distance. With five objectives or
more that can be most of a small archive, and the choice among them is then almost arbitrary; hypervolume contributions
have no such ties and are the rule that "auto" takes there. An objective in which all vectors are equal would divide by
zero; it is left out.

Letters: n vectors, m objectives, W weights. Every objective is maximised.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import moocore
import numpy as np
import numpy.typing as npt
from scipy import stats

from rlsuite.multi_objective.points import Array, check_count, check_points, check_reference
from rlsuite.multi_objective.weights import check_weights

__all__ = [
    "Rule",
    "Selection",
    "crowding_distance",
    "ends",
    "hypervolume_contributions",
    "nadir_reference",
    "nondominated",
    "select_sparse",
    "smp",
    "truncate",
    "utilities",
]

Rule = Literal["auto", "crowding", "contribution"]
Indices = npt.NDArray[np.int64]

TOLERANCE = 1e-9
"""Relative difference in every objective up to which two vectors count as the same."""
_DIRECTIONS = 1_024
_BLOCK = 256  # directions at a time: what is compared then stays in the cache


def nondominated(points: Any, *, tolerance: float = TOLERANCE) -> Indices:
    """Indices of the vectors that no other one dominates, each value once.

    Vectors whose objectives all differ by at most `tolerance` of the larger magnitude count as the same; the one of the
    smallest index stands for them. Of what is left, a vector goes if another is at least as good everywhere and better
    somewhere. Members of an archive that are put before new vectors therefore stay unless they are dominated, and the
    hypervolume never decreases.

    Args:
        points: [n, m]; n = 0 is allowed.
        tolerance: relative, in [0, 1).

    Returns:
        [k], ascending.

    Raises:
        ValueError: bad points, or a tolerance out of range.
    """
    found = check_points(points, empty=True)
    kept = distinct(found, tolerance)
    if len(kept) < 2:
        return kept
    return kept[moocore.is_nondominated(found[kept], maximise=True)]


def distinct(points: Array, tolerance: float = TOLERANCE) -> Indices:
    """The first index of each group of vectors [n, m] that are equal up to a relative tolerance, ascending."""
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance is {tolerance!r}; it must lie in [0, 1), such as {TOLERANCE}.")
    kept = np.empty(len(points), np.int64)
    count = 0
    for i, point in enumerate(points):
        if not _same(point, points[kept[:count]], tolerance).any():
            kept[count] = i
            count += 1
    return kept[:count]


def _same(point: Array, others: Array, tolerance: float) -> npt.NDArray[np.bool_]:
    """[k]: which of others [k, m] equal point [m]."""
    bound = tolerance * np.maximum(np.abs(point), np.abs(others))
    return np.all(np.abs(point - others) <= bound, axis=1)


def _order(points: Array, objective: int) -> Indices:
    """Indices by ascending objective; equal values by the objectives after it in turn, then by descending index."""
    m = points.shape[1]
    keys = [points[:, (objective + k) % m] for k in range(m)]
    return np.lexsort((-np.arange(len(points)), *reversed(keys)))


def ends(points: Any) -> Indices:
    """Indices of the best vector in each objective, each once, in the order of the objectives.

    Of several that are equally good in objective j, the best in objective j + 1 (then j + 2, ..., in turn) is the end;
    of equal vectors the one of the smallest index.

    Args:
        points: [n, m], n >= 1.

    Returns:
        [e], 1 <= e <= m.

    Raises:
        ValueError: bad points.
    """
    return _ends(check_points(points))


def _ends(points: Array) -> Indices:
    best = [int(_order(points, j)[-1]) for j in range(points.shape[1])]
    return np.array(list(dict.fromkeys(best)), np.int64)


def crowding_distance(points: Any) -> Array:
    """How far apart the neighbours of each vector are: NSGA-II's crowding distance.

    The sum over objectives of (next value - previous value) / (largest - smallest) along the sorted objective; infinite
    for both ends of each objective. Equal values are ordered by the other objectives, so that the distances do not
    depend on the order of distinct vectors. An objective that is constant adds nothing and has no ends, except that
    one vector, or vectors that are all equal, are infinite. `np.isinf(distance).sum()` says how many are tied at the
    top: up to 2 m, so that with many objectives little is left to rank.

    Args:
        points: [n, m], n >= 1; usually without dominated vectors.

    Returns:
        [n], each at least 0.

    Raises:
        ValueError: bad points.
    """
    return _crowding(check_points(points))


def _crowding(points: Array) -> Array:
    span = np.ptp(points, axis=0)
    varied = np.flatnonzero(span > 0)
    distance = np.full(len(points), 0.0 if len(varied) else np.inf)
    for j in varied:
        order = _order(points, int(j))
        values = points[order, j]
        distance[order[1:-1]] += (values[2:] - values[:-2]) / span[j]
        distance[order[[0, -1]]] = np.inf
    return distance


def nadir_reference(points: Any) -> Array:
    """A reference point just below all vectors: in each objective the worst value less a tenth of its range.

    With the worst values themselves the contribution of each end would be zero. Where an objective is constant, 1 is
    subtracted. It depends on the vectors, so hypervolumes against it must not be compared between sets.

    Args:
        points: [n, m], n >= 1.

    Returns:
        [m].

    Raises:
        ValueError: bad points.
    """
    found = check_points(points)
    span = np.ptp(found, axis=0)
    below: Array = found.min(0) - np.where(span > 0, 0.1 * span, 1.0)
    return below


def hypervolume_contributions(points: Any, reference: Any = None, *, exact: bool | None = None) -> Array:
    """The hypervolume that would be lost without each vector.

    Zero for a vector that is dominated, equals one of a smaller index, or is not above the reference point in every
    objective; such vectors change no other's contribution.

    Args:
        points: [n, m], n >= 1.
        reference: [m], or None for `nadir_reference`.
        exact: True for exact values, whose time grows like n^(m - 1) with five objectives or more; False for an average
            over 1,024 fixed directions, the same each time (typically 2 per cent off with five or six objectives, 10 to
            30 with nine; meant for ranking); None for exact ones up to four objectives, or up to 20 vectors in at most
            nine.

    Returns:
        [n], each at least 0, in the product of the objectives' units.

    Raises:
        ValueError: bad points or reference point.
    """
    found = check_points(points)
    low = nadir_reference(found) if reference is None else check_reference(reference, found.shape[1])
    counted = nondominated(found, tolerance=0.0)
    counted = counted[(found[counted] > low).all(1)]
    volumes = np.zeros(len(found))
    if len(counted):
        volumes[counted] = _contributions(found[counted], low, exact)
    return volumes


def _is_exact(n: int, m: int, exact: bool | None) -> bool:
    return exact if exact is not None else m <= 4 or (m <= 9 and n <= 20)


def _contributions(points: Array, reference: Array, exact: bool | None) -> Array:
    """Of vectors that are mutually nondominated and above the reference point."""
    if _is_exact(len(points), points.shape[1], exact):
        lost: Array = moocore.hv_contributions(points, ref=reference, maximise=True)
        return np.maximum(lost, 0.0)
    return _Lengths(points, reference).volumes()


@lru_cache(maxsize=8)
def _directions(m: int) -> Array:
    """[D, m]: directions of the positive orthant, of length 1, evenly spread (a scrambled Sobol sequence)."""
    uniform = stats.qmc.Sobol(m, seed=0).random(_DIRECTIONS)
    normal = np.abs(stats.norm.ppf(np.clip(uniform, 1e-12, 1 - 1e-12))) + 1e-12
    unit: Array = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    return unit


class _Lengths:
    """Contributions in polar coordinates, kept up to date while vectors are removed one by one.

    What only p dominates is the set of all x below p, above the reference point, and not below another vector q. Seen
    from p it is star-shaped: along direction w it ends where p - t w falls below the reference point in some objective
    or below q in all of them. Its volume is the surface of the unit sphere's orthant, over m, times the mean of t^m.
    """

    def __init__(self, points: Array, reference: Array) -> None:
        n, m = points.shape
        scale = points.max(0) - reference  # directions are even where all objectives have one scale
        self.points = (points - reference) / scale
        self.inverse = (1 / _directions(m).T).astype(np.float32)  # [m, D]
        self.alive = np.ones(n, bool)
        self.unit = float(np.prod(scale)) * 2 * (math.pi ** (m / 2)) / math.gamma(m / 2) / 2**m / m
        self.length = np.empty((n, _DIRECTIONS))
        self.until = np.empty((n, _DIRECTIONS), np.int64)  # the vector that ends it; -1 the reference point
        every = np.arange(_DIRECTIONS)
        for i in range(n):
            self._measure(i, every)

    def _measure(self, i: int, which: Indices) -> None:
        others = np.flatnonzero(self.alive)
        others = others[others != i]
        gaps = (self.points[i] - self.points[others]).astype(np.float32)  # single precision: twice as fast
        for start in range(0, len(which), _BLOCK):
            block = which[start : start + _BLOCK]
            inverse = self.inverse[:, block]
            length = (self.points[i, :, None] * inverse).min(0)
            until = np.full(len(block), -1)
            if len(others):
                reach = gaps[:, 0, None] * inverse[0]
                product = np.empty_like(reach)
                for j in range(1, len(inverse)):
                    np.multiply(gaps[:, j, None], inverse[j], out=product)
                    np.maximum(reach, product, out=reach)
                nearest = reach.argmin(0)
                shorter = reach[nearest, np.arange(len(block))]
                until = np.where(shorter < length, others[nearest], until)
                length = np.minimum(length, shorter)
            self.length[i, block] = length
            self.until[i, block] = until

    def volumes(self) -> Array:
        """[n]; those of removed vectors mean nothing."""
        found: Array = self.unit * (self.length ** self.points.shape[1]).mean(1)
        return found

    def remove(self, i: int) -> None:
        """Take vector i away; only the directions that ended at it are measured again."""
        self.alive[i] = False
        for k in np.flatnonzero(self.alive):
            which = np.flatnonzero(self.until[k] == i)
            if len(which):
                self._measure(int(k), which)


@dataclass(frozen=True)
class Selection:
    """Vectors chosen from an archive.

    Attributes:
        indices: [k], the best first.
        scores: [k], their crowding distances, or contributions in the product of the objectives' units.
        rule: "crowding" or "contribution".
        infinite: how many of all n vectors tie at an infinite crowding distance; where it exceeds k, the choice among
            them is by index alone.
    """

    indices: Indices
    scores: Array
    rule: str
    infinite: int


def _rule(rule: str, num_objectives: int) -> str:
    if rule not in get_args(Rule):
        raise ValueError(f"rule is {rule!r}; it must be 'auto', 'crowding' or 'contribution'.")
    if rule == "auto":
        return "contribution" if num_objectives >= 5 else "crowding"
    return rule


def select_sparse(
    points: Any, n: int, *, rule: Rule = "crowding", skip: Any = None, reference: Any = None
) -> Selection:
    """Up to n vectors of the least covered parts of a front, to be extended next.

    Args:
        points: [n, m], n >= 1; usually without dominated vectors.
        n: how many, at least 1; fewer are returned where fewer are left.
        rule: of the score: "crowding" (the largest `crowding_distance`), "contribution" (the largest
            `hypervolume_contributions`), or "auto": contribution with five objectives or more.
        skip: [s, m], vectors that were selected before; those that equal one within a relative 1e-9 are passed over.
            They still count in the scores of the others.
        reference: [m], for contributions; None for `nadir_reference`.

    Returns:
        The selection, the best first; ties by the smaller index.

    Raises:
        ValueError: bad points, rule, number or reference point.
    """
    found = check_points(points)
    check_count(n, "n")
    chosen_rule = _rule(rule, found.shape[1])
    crowding = _crowding(found)
    scores = crowding if chosen_rule == "crowding" else hypervolume_contributions(found, reference)
    left = np.arange(len(found))
    if skip is not None and len(skip):
        before = check_points(skip, found.shape[1], name="skip")
        left = left[[not _same(point, before, TOLERANCE).any() for point in found]]
    chosen = left[np.argsort(-scores[left], kind="stable")[:n]]
    return Selection(chosen, scores[chosen], chosen_rule, int(np.isinf(crowding).sum()))


def truncate(
    points: Any, capacity: int, *, rule: Rule = "auto", reference: Any = None, at_once: bool = False
) -> Indices:
    """Indices of the at most `capacity` vectors to keep.

    The `ends` are kept first (all that fit, in the order of the objectives). Of the others the one of the least score
    is removed, the scores are computed anew, and so on: removing the lowest scores at once would empty a dense region
    altogether, as its members count only because of each other.

    Args:
        points: [n, m]; usually without dominated vectors; n = 0 is allowed.
        capacity: at least 1.
        rule: "crowding", "contribution", or "auto": contribution with five objectives or more.
        reference: [m], for contributions; None for `nadir_reference` of all n vectors.
        at_once: remove all by the first scores, as published releases do.

    Returns:
        [min(n, capacity)], ascending. Where scores tie, the larger index is removed.

    Raises:
        ValueError: bad points, capacity, rule or reference point.
    """
    found = check_points(points, empty=True)
    check_count(capacity, "capacity")
    chosen_rule = _rule(rule, found.shape[1])
    alive = np.ones(len(found), bool)
    if len(found) <= capacity:
        return np.arange(len(found))
    kept = _ends(found)[:capacity]
    if chosen_rule == "crowding":
        scores = _crowding_anew(found, alive)
    else:
        low = nadir_reference(found) if reference is None else check_reference(reference, found.shape[1])
        scores = _contributions_anew(found, alive, low)
    score = next(scores)
    while alive.sum() > capacity:
        removable = np.where(alive, score, np.inf)
        removable[kept] = np.inf
        least = removable.min()
        free = alive.copy()
        free[kept] = False
        alive[np.flatnonzero(free & (removable == least))[-1]] = False
        if not at_once:
            score = next(scores)
    return np.flatnonzero(alive)


def _crowding_anew(points: Array, alive: npt.NDArray[np.bool_]) -> Iterator[Array]:
    while True:
        score = np.full(len(points), np.inf)
        score[alive] = _crowding(points[alive])
        yield score


def _contributions_anew(points: Array, alive: npt.NDArray[np.bool_], reference: Array) -> Iterator[Array]:
    """Contributions of those alive; vectors that add no hypervolume have zero, and all of them go first."""
    counted = nondominated(points, tolerance=0.0)
    counted = counted[(points[counted] > reference).all(1)]
    exact = not len(counted) or _is_exact(len(counted), points.shape[1], None)
    lengths = None if exact else _Lengths(points[counted], reference)
    while True:
        score = np.zeros(len(points))
        if lengths is not None:
            for k in np.flatnonzero(lengths.alive & ~alive[counted]):
                lengths.remove(int(k))
            score[counted] = lengths.volumes()
        elif alive[counted].any():
            here = counted[alive[counted]]
            score[here] = _contributions(points[here], reference, True)
        yield score


def utilities(points: Any, weights: Any) -> Array:
    """Weighted sums of the objectives.

    Args:
        points: [n, m], n >= 1.
        weights: [m], or a batch [W, m].

    Returns:
        [n], or [W, n]; the same bits for a weight alone and in a batch.

    Raises:
        ValueError: bad points or weights.
    """
    found = check_points(points)
    rows = check_weights(weights, found.shape[1])
    total = np.zeros((*rows.shape[:-1], len(found)))
    for j in range(found.shape[1]):  # in a fixed order: a matrix product may round differently in a batch
        total += rows[..., j, None] * found[:, j]
    return total


def smp(points: Any, weights: Any) -> Any:
    """The set max policy: which member of the set plays for a weight.

    Args:
        points: [n, m], the members' measured returns.
        weights: [m], or a batch [W, m].

    Returns:
        The index of the largest weighted sum, an int for one weight, [W] for a batch; ties to the smaller index.

    Raises:
        ValueError: bad points or weights.
    """
    best = utilities(points, weights).argmax(-1)
    return int(best) if best.ndim == 0 else best
