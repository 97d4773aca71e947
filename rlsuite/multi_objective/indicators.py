"""Indicators of a set of policies' returns: how much of the objective space it covers, and how well it serves weights.

Two rules hold for all of them. Every objective is maximised; and neither the order of the vectors, nor copies, nor
vectors that another one dominates change any number (`rlsuite.multi_objective.nondominated` says what counts as a
copy). A number is comparable with another only under the same reference point, discount, limit of episodes, number of
episodes and weights, so `front_indicators` carries these with the numbers, and they are printed together.

What an unusual set gives: one vector has sparsity 0, which says nothing (a note says so); an objective in which all
vectors are equal is kept as it is (a note names it); vectors that are not above the reference point in every objective
add no hypervolume (a note counts them), and if that leaves none, it is an error unless a zero is asked for.

Sources: hypervolume and IGD+ by moocore; its approximation along directions, Deng and Zhang (2019); IGD+, Ishibuchi et
al. (2015); R2, Hansen and Jaszkiewicz (1998), Brockhoff et al. (2012); sparsity, Xu et al. (2020); expected utility and
maximum utility loss, Zintgraf et al. (2015).

Letters: n vectors, m objectives, W weights, r vectors of a reference front.
"""

from __future__ import annotations

import dataclasses
import io
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import moocore
import numpy as np

from rlsuite.multi_objective.archive import TOLERANCE, nadir_reference, nondominated, utilities
from rlsuite.multi_objective.points import Array, check_count, check_points, check_reference, constant_objectives
from rlsuite.multi_objective.weights import check_weights, default_divisions, weight_grid

__all__ = [
    "Indicators",
    "Volume",
    "cardinality",
    "expected_utility",
    "front_indicators",
    "hypervolume",
    "igd_plus",
    "maximum_utility_loss",
    "r2",
    "sparsity",
]

_PART = 16_384
_REPEATS = 8
_SAMPLES = 262_144
_CHILD = """
import io, signal, sys
if hasattr(signal, "setitimer"):
    signal.setitimer(signal.ITIMER_REAL, float(sys.argv[1]))  # ends with its time even if its parent was killed
import moocore, numpy
data = io.BytesIO(sys.stdin.buffer.read())
points, reference = (numpy.load(data, allow_pickle=False) for _ in range(2))
print(repr(float(moocore.hypervolume(points, ref=reference, maximise=True))))
"""


@dataclass(frozen=True)
class Volume:
    """A hypervolume and how it was found.

    Attributes:
        value: in the product of the objectives' units.
        kind: "exact" or "approximate".
        error: of an approximate value, relative to it: half a 95 % interval, estimated; 0 for an exact one.
        method: how it was computed, in words.
        counted: vectors that are not dominated and lie above the reference point in every objective.
        total: all vectors given.
    """

    value: float
    kind: Literal["exact", "approximate"]
    error: float
    method: str
    counted: int
    total: int

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.value:.6g} ({self.kind}{f', ± {self.error:.1%}' if self.kind == 'approximate' else ''})"


def hypervolume(
    points: Any,
    reference: Any,
    *,
    exact: bool | None = None,
    time_limit: float | None = None,
    allow_zero: bool = False,
) -> Volume:
    """The volume of what a set dominates above a reference point: the measure of the union of boxes [reference, p].

    Exact values take time that grows like n^(m - 2): milliseconds up to five objectives, seconds for 1,000 vectors in
    six or 60 in nine, minutes for 200 in nine or 60 in twelve. The approximation averages over 262,144 directions in
    well below a second, with errors of some 0.1 per cent, up to about 1 with nine objectives; objectives are scaled
    first, so that units do not matter. Its error is estimated from plain Monte Carlo of as many directions, which is
    usually the worse of the two.

    Args:
        points: [n, m], n >= 1.
        reference: [m], below what the objectives can be worth; values against other reference points are incomparable.
        exact: True or False; None for exact up to six objectives, up to 60 vectors in at most nine, or up to 10 vectors
            in any number, and approximate otherwise (vectors that count: see `Volume.counted`).
        time_limit: seconds. Where the value would be approximate because of its size, or `exact` is True, the exact one
            is first tried for this long, in a process of its own that is then ended.
        allow_zero: return 0 where no vector lies above the reference point in every objective.

    Returns:
        The value with its kind and error.

    Raises:
        ValueError: bad points or reference point, or none of the points above it (without `allow_zero`).
        TimeoutError: `exact` is True and the time limit is too short.
    """
    found = check_points(points)
    low = check_reference(reference, found.shape[1])
    if time_limit is not None and not 0 < time_limit < float("inf"):
        raise ValueError(f"time_limit is {time_limit!r}; it must be a number of seconds above 0, or None.")
    kept = found[nondominated(found, tolerance=0.0)]
    kept = kept[(kept > low).all(1)]
    n, m = kept.shape
    if not n:
        if not allow_zero:
            raise ValueError(_nothing_above(found, low))
        return Volume(0.0, "exact", 0.0, "no vector above the reference point", 0, len(found))
    small = m <= 6 or (n <= 60 and m <= 9) or n <= 10
    late = ""
    if m == 1 or (exact is not False and (small if exact is None else time_limit is None)):
        return Volume(_exact(kept, low), "exact", 0.0, "moocore", n, len(found))
    if exact is not False and time_limit is not None:
        value = _exact_within(kept, low, time_limit)
        if value is not None:
            return Volume(value, "exact", 0.0, "moocore", n, len(found))
        if exact:
            raise TimeoutError(
                f"the exact hypervolume of {n} vectors of {m} objectives took longer than time_limit={time_limit:g} s; "
                "allow more time, or pass exact=None to take the approximate one then."
            )
        late = f" (the exact value took longer than {time_limit:g} s)"
    value, error = _approximate(kept, low)
    return Volume(value, "approximate", error, f"moocore, {_SAMPLES:,} directions{late}", n, len(found))


def _nothing_above(points: Array, reference: Array) -> str:
    best = points.max(0)
    where = [f"objective {j} is at most {best[j]:.9g} and the reference {reference[j]:.9g}"
             for j in np.flatnonzero(best <= reference)]  # fmt: skip
    lower = ", ".join(f"{value:.6g}" for value in nadir_reference(points))
    given = ", ".join(f"{value:.9g}" for value in reference)
    return (
        f"reference ({given}): none of the {len(points)} vectors lies above it in every objective"
        f"{': ' if where else ''}{'; '.join(where)}, so there is no hypervolume. Give a reference point below what the "
        f"objectives can be worth, such as ({lower}); or pass allow_zero=True to count it as 0."
    )


def _exact(points: Array, reference: Array) -> float:
    return float(moocore.hypervolume(points, ref=reference, maximise=True))


def _exact_within(points: Array, reference: Array, limit: float) -> float | None:
    """The exact value, or None if it takes longer; in another process, as the computation cannot be interrupted."""
    data = io.BytesIO()
    for array in (points, reference):
        np.save(data, array)
    command = [sys.executable, "-P", "-c", _CHILD, str(limit)]
    try:
        done = subprocess.run(command, input=data.getvalue(), capture_output=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode == -getattr(signal, "SIGALRM", 0) != 0:  # its own alarm was first
        return None
    if done.returncode:
        words = done.stderr.decode(errors="replace")[-500:]
        raise RuntimeError(
            f"the process for the exact hypervolume ended with {done.returncode}; pass exact=False instead. {words}"
        )
    return float(done.stdout)


def _approximate(points: Array, reference: Array) -> tuple[float, float]:
    """The value, and its relative error."""
    scale = points.max(0) - reference
    unit = np.ascontiguousarray((points - reference) / scale)
    origin = np.zeros(points.shape[1])
    value = float(moocore.hv_approx(unit, ref=origin, maximise=True, nsamples=_SAMPLES))
    share = _SAMPLES // _REPEATS
    draws = [
        moocore.hv_approx(unit, ref=origin, maximise=True, nsamples=share, seed=seed, method="DZ2019-MC")
        for seed in range(_REPEATS)
    ]
    half = 2.365 * np.std(draws, ddof=1) / np.sqrt(_REPEATS)  # Student's t, 7 degrees of freedom
    error = max(float(half), abs(value - float(np.mean(draws)))) / value
    return value * float(np.prod(scale)), error


def expected_utility(points: Any, weights: Any) -> float:
    """The mean over weights of the best weighted sum: what the set max policy is worth to a user drawn from them.

    It cannot see vectors that are best for no weight, such as all but the ends of a concave front.

    Args:
        points: [n, m], n >= 1.
        weights: [W, m], usually a grid (`rlsuite.multi_objective.weight_grid`); or one weight, [m].

    Returns:
        Their mean of max_p w.p, in the unit of the weighted sum.

    Raises:
        ValueError: bad points or weights.
    """
    return float(_best(check_points(points), weights).mean())


def _best(points: Array, weights: Any) -> Array:
    """[W]: the best weighted sums."""
    rows = np.atleast_2d(check_weights(weights, points.shape[1]))
    return np.concatenate([utilities(points, part).max(-1) for part in _parts(rows)])


def _parts(rows: Array) -> Iterator[Array]:
    """Some weights at a time: [W, n] of a large grid may not fit."""
    for start in range(0, len(rows), _PART):
        yield rows[start : start + _PART]


def sparsity(points: Any) -> float:
    """PGMORL's sparsity: the mean squared gap between neighbours in each objective, summed over objectives.

    1 / (n - 1) times the sum over objectives j and neighbours i of (p_j(i + 1) - p_j(i))^2 along the sorted values of
    j; 0 for one vector. Copies and dominated vectors are left out first, as copies would shrink it at will.

    Never judge a set by it alone: a single vector, or a tight cluster, has the best value there is; it has the units of
    the objectives, so one objective can decide it; and it grows when a front becomes wider.

    Args:
        points: [n, m], n >= 1.

    Returns:
        At least 0; smaller is denser.

    Raises:
        ValueError: bad points.
    """
    found = check_points(points)
    kept = np.sort(found[nondominated(found)], axis=0)
    return float((np.diff(kept, axis=0) ** 2).sum() / (len(kept) - 1)) if len(kept) > 1 else 0.0


def cardinality(points: Any) -> int:
    """How many distinct vectors are not dominated.

    Args:
        points: [n, m], n >= 1.

    Raises:
        ValueError: bad points.
    """
    return len(nondominated(check_points(points)))


def igd_plus(points: Any, front: Any) -> float:
    """IGD+: the mean over a reference front of the shortest distance by which a vector of the set falls short.

    The mean over r of the front of min_p ||max(r - p, 0)||. Unlike IGD it never prefers a dominated set.

    Args:
        points: [n, m], n >= 1.
        front: [r, m], the vectors to be reached; dominated ones are left out.

    Returns:
        At least 0; 0 where every vector of the front is reached.

    Raises:
        ValueError: bad points or front.
    """
    found = check_points(points)
    return float(moocore.igd_plus(found, ref=_front(front, found.shape[1]), maximise=True))


def _front(front: Any, num_objectives: int) -> Array:
    reached = check_points(front, num_objectives, name="front")
    return reached[nondominated(reached)]


def r2(points: Any, weights: Any, ideal: Any) -> float:
    """R2 with Tchebycheff utilities: the mean over weights of min_p max_j w_j |ideal_j - p_j|; lower is better.

    The sum is divided by the number of weights (some code divides by the weight matrix's Frobenius norm instead).

    Args:
        points: [n, m], n >= 1.
        weights: [W, m], or one weight, [m].
        ideal: [m], at least the best value of each objective; values against other ideals are incomparable.

    Returns:
        At least 0.

    Raises:
        ValueError: bad points or weights, or an ideal that some vector exceeds.
    """
    found = check_points(points)
    rows = np.atleast_2d(check_weights(weights, found.shape[1]))
    high = check_reference(ideal, found.shape[1], name="ideal")
    best = found.max(0)
    if (best > high).any():
        j = int(np.argmax(best > high))
        raise ValueError(
            f"ideal[{j}] is {high[j]:.9g}, below the best {best[j]:.9g} of objective {j}; its distance would count "
            f"against the best: give at least ({', '.join(f'{v:.9g}' for v in np.maximum(best, high))})."
        )
    short = high - found[nondominated(found, tolerance=0.0)]
    values = []
    for part in _parts(rows):
        worst = part[:, None, 0] * short[:, 0]
        for j in range(1, found.shape[1]):
            np.maximum(worst, part[:, None, j] * short[:, j], out=worst)
        values.append(worst.min(1))
    return float(np.concatenate(values).mean())


def maximum_utility_loss(points: Any, front: Any, weights: Any) -> float:
    """The most that any weight loses by the set instead of a reference front.

    The maximum over w of (max_r w.r - max_p w.p). Negative where the set is better than the front for every weight: the
    front was not the true one.

    Args:
        points: [n, m], n >= 1.
        front: [r, m].
        weights: [W, m], or one weight, [m].

    Returns:
        In the unit of the weighted sum.

    Raises:
        ValueError: bad points, front or weights.
    """
    found = check_points(points)
    return float((_best(_front(front, found.shape[1]), weights) - _best(found, weights)).max())


@dataclass(frozen=True)
class Indicators:
    """The numbers of one set, with all that they depend on.

    Attributes:
        hypervolume: see `hypervolume`; higher is better.
        hypervolume_kind: "exact" or "approximate".
        hypervolume_error: relative, of an approximate value; 0 for an exact one.
        hypervolume_method: in words.
        expected_utility: see `expected_utility`; higher is better.
        sparsity: see `sparsity`, and why not to judge by it alone.
        cardinality: distinct vectors that are not dominated.
        igd_plus: distance to the reference front, lower is better; None without one.
        r2: see `r2`, lower is better; None without a reference front.
        maximum_utility_loss: lower is better; None without a reference front.
        reference: [m], of the hypervolume.
        gamma: the discount of the returns; 1 for none.
        episode_limit: the most steps of an episode, or None.
        episodes: behind each vector.
        deterministic: whether the policies acted by their mode.
        weights: over which expected utility, R2 and the loss are taken, in words.
        ideal: [m], of R2: the best of front and set; None without a reference front.
        front: vectors of the reference front, or None.
        notes: what to know when reading the numbers.
    """

    hypervolume: float
    hypervolume_kind: Literal["exact", "approximate"]
    hypervolume_error: float
    hypervolume_method: str
    expected_utility: float
    sparsity: float
    cardinality: int
    igd_plus: float | None
    r2: float | None
    maximum_utility_loss: float | None
    reference: tuple[float, ...]
    gamma: float
    episode_limit: int | None
    episodes: int
    deterministic: bool
    weights: str
    ideal: tuple[float, ...] | None
    front: int | None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """All fields as numbers, words, lists and None, for JSON."""
        fields = dataclasses.asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}

    @property
    def conditions(self) -> str:
        """What every number depends on, in words."""
        limit = "no limit of steps" if self.episode_limit is None else f"at most {self.episode_limit:,} steps"
        how = "deterministic" if self.deterministic else "sampled"
        episodes = f"{self.episodes:,} episode{'s' if self.episodes > 1 else ''} each"
        return f"gamma {self.gamma:g}, {episodes}, {limit}, {how} actions"

    def rows(self) -> list[tuple[str, str, str]]:
        """A table: name, value, and what the value depends on; indicators that need a front only where there is one."""

        def point(values: tuple[float, ...]) -> str:
            return f"({', '.join(f'{value:.6g}' for value in values)})"

        error = f" ± {self.hypervolume_error:.2%}" if self.hypervolume_kind == "approximate" else ""
        volume = f"{self.hypervolume_kind}{error}, reference {point(self.reference)}"
        table: list[tuple[str, float | None, str]] = [
            ("hypervolume", self.hypervolume, volume),
            ("expected utility", self.expected_utility, self.weights),
            ("sparsity", self.sparsity, "not to be judged by alone"),
            ("cardinality", self.cardinality, "distinct, not dominated"),
            ("IGD+", self.igd_plus, f"front of {self.front}"),
            ("R2", self.r2, f"{self.weights}, ideal {point(self.ideal or ())}"),
            ("maximum utility loss", self.maximum_utility_loss, f"{self.weights}, front of {self.front}"),
        ]
        return [
            (name, f"{value:.6g}", f"{what}; {self.conditions}") for name, value, what in table if value is not None
        ]

    def __str__(self) -> str:
        rows = self.rows()
        name_width, value_width = (max(len(row[i]) for row in rows) for i in range(2))
        lines = [f"{name:<{name_width}}  {value:>{value_width}}  {what}" for name, value, what in rows]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def front_indicators(
    points: Any,
    reference: Any,
    *,
    gamma: float,
    episode_limit: int | None,
    episodes: int,
    deterministic: bool = True,
    weights: Any = None,
    front: Any = None,
    exact: bool | None = None,
    time_limit: float | None = None,
    allow_zero: bool = False,
) -> Indicators:
    """All indicators of a set of policies' returns.

    Args:
        points: [n, m], the measured returns, n >= 1, m >= 2.
        reference: [m], of the hypervolume.
        gamma: their discount, in [0, 1].
        episode_limit: the most steps of an episode, or None.
        episodes: played for each vector.
        deterministic: whether the policies acted by their mode.
        weights: [W, m]; or a number of divisions of a grid; None for `rlsuite.multi_objective.default_divisions`.
        front: [r, m], a reference front under the same discount, for IGD+, R2 and the utility loss; or None.
        exact: see `hypervolume`.
        time_limit: see `hypervolume`.
        allow_zero: see `hypervolume`.

    Returns:
        The numbers and what they depend on.

    Raises:
        ValueError: bad points, reference point, weights, front or conditions; a single objective; a reference point
            that no vector exceeds (without `allow_zero`).
        TimeoutError: see `hypervolume`.
    """
    found = check_points(points)
    m = found.shape[1]
    if m < 2:
        raise ValueError("points have one objective; a front needs two or more (a scalar return is its own indicator).")
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma is {gamma!r}; it must lie in [0, 1], the discount that the returns have.")
    check_count(episodes, "episodes")
    if episode_limit is not None:
        check_count(episode_limit, "episode_limit", 1, ", or None")
    if weights is None or isinstance(weights, int | np.integer):
        divisions = default_divisions(m) if weights is None else int(weights)
        grid = weight_grid(m, divisions)
        label = f"{len(grid):,} weights, grid of step 1/{divisions}"
    else:
        grid = np.atleast_2d(check_weights(weights, m))
        label = f"{len(grid):,} weights given"
    volume = hypervolume(found, reference, exact=exact, time_limit=time_limit, allow_zero=allow_zero)
    reached = None if front is None else _front(front, m)
    ideal = None if reached is None else np.maximum(reached.max(0), found.max(0))
    return Indicators(
        hypervolume=volume.value,
        hypervolume_kind=volume.kind,
        hypervolume_error=volume.error,
        hypervolume_method=volume.method,
        expected_utility=expected_utility(found, grid),
        sparsity=sparsity(found),
        cardinality=cardinality(found),
        igd_plus=None if reached is None else igd_plus(found, reached),
        r2=None if ideal is None else r2(found, grid, ideal),
        maximum_utility_loss=None if reached is None else maximum_utility_loss(found, reached, grid),
        reference=tuple(check_reference(reference, m).tolist()),
        gamma=float(gamma),
        episode_limit=episode_limit,
        episodes=int(episodes),
        deterministic=bool(deterministic),
        weights=label,
        ideal=None if ideal is None else tuple(ideal.tolist()),
        front=None if reached is None else len(reached),
        notes=tuple(_notes(found, check_reference(reference, m), volume, reached)),
    )


def _notes(points: Array, reference: Array, volume: Volume, front: Array | None) -> list[str]:
    kept = points[nondominated(points)]
    notes = []
    if len(kept) < len(points):
        notes.append(f"{len(points) - len(kept)} of {len(points)} vectors are copies or dominated and left out")
    below = int((~(kept > reference).all(1)).sum())
    if below:
        notes.append(f"{below} of {len(kept)} vectors do not lie above the reference point and add no hypervolume")
    if len(kept) == 1:
        notes.append("a single vector: its sparsity of 0 says nothing")
    notes += [f"objective {j} is {points[0, j]:g} in every vector" for j in constant_objectives(points)]
    if volume.kind == "approximate" or "longer" in volume.method:
        notes.append(f"hypervolume: {volume.method}")
    if front is not None:
        low = kept - TOLERANCE * np.abs(kept)
        reached = np.array([(front >= vector).all(1).any() for vector in low])
        if not reached.all():
            notes.append(
                f"{int((~reached).sum())} of {len(kept)} vectors exceed the reference front: it is not the true "
                "one, or noise helped"
            )
    return notes
