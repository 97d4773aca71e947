"""Exact Pareto fronts of small decision problems, by dynamic programming over sets of vectors.

Where the value of a state is a number, one step back is V(s) = max_a r(s, a) + sum_s' w(s, a, s') V(s'). With K
objectives a state has a set of vectors instead, one for each compromise that can still be reached, and::

    V(s) = nondominated( union_a  r(s, a) + sum_s' w(s, a, s') v_s',  every choice of v_s' in V(s') )

with weights w = probability times gamma^(steps until s'). The sets start empty and grow until nothing changes, so that
only what comes to an end counts. Each vector belongs to one deterministic policy, which may remember what it has
chosen (its next action may depend on the vector it is after). Policies that draw lots between these are left out: they
fill the space between the vectors, and none of them dominates a vector of the convex hull.

Letters: K objectives, n vectors. More of each objective is better.

Source: D. J. White, Multi-objective infinite-horizon discounted Markov decision processes, Journal of Mathematical
Analysis and Applications 89, 1982.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

__all__ = ["Choice", "check_gamma", "exact_front", "nondominated"]

S = TypeVar("S", bound=Hashable)
Choice = tuple[np.ndarray, Sequence[tuple[float, S]]]
"""What an action gives: its expected reward [K], discounted to now, and the states (w, s') that may follow; nothing
follows where the episode ends."""
TOLERANCE = 1e-12
"""Difference, relative to the largest number, below which two numbers are equal: the same return, summed up in another
order, must not count as another point."""


def check_gamma(gamma: float) -> float:
    """The discount factor as a float.

    Raises:
        ValueError: not a number in [0, 1].
    """
    number = isinstance(gamma, int | float | np.floating | np.integer) and not isinstance(gamma, bool)
    if not number or not 0 <= gamma <= 1:
        raise ValueError(f"gamma={gamma!r} must be a number in [0, 1].")
    return float(gamma)


def nondominated(points: np.ndarray) -> np.ndarray:
    """The vectors that no other one equals or betters in every objective, each once, sorted lexicographically.

    Args:
        points: [n, K].

    Returns:
        [m, K] float64. Of vectors that differ by rounding only, one remains.
    """
    points = np.asarray(points, np.float64)
    if len(points) < 2:
        return points
    points = points[_undominated(points)]
    points = points[np.lexsort(points.T[::-1])]
    # What is left dominates by rounding only, which takes two numbers that are nearly equal, but not quite.
    slack = TOLERANCE * max(1.0, float(np.abs(points).max()))
    gaps = np.diff(np.sort(points, axis=0), axis=0)
    if not ((gaps > 0) & (gaps <= slack)).any():
        return points
    as_good = np.ones((len(points), len(points)), bool)  # [i, j]: point i is as good as point j in every objective
    for column in points.T:
        as_good &= column[:, None] >= column[None] - slack
    better = as_good & ~as_good.T
    first_of_equals = np.triu(as_good & as_good.T, 1)
    return points[~(better | first_of_equals).any(0)]


def _undominated(points: np.ndarray) -> np.ndarray:
    """Mask [n] of the points that none dominates, and of equal ones of the first."""
    import moocore  # on demand: the package takes a moment to import

    mask: np.ndarray = moocore.is_nondominated(np.ascontiguousarray(points), maximise=True, keep_weakly=False)
    return mask


def exact_front(start: S, choices: Callable[[S], Iterable[Choice[S]]], objectives: int) -> np.ndarray:
    """The non-dominated return vectors that deterministic policies reach from a state.

    Args:
        start: the state.
        choices: the actions of a state, see `Choice`. The states reached must be finitely many, and no endless loop may
            gain in an objective.
        objectives: K.

    Returns:
        [n, K] float64, sorted lexicographically; n = 0 where no policy comes to an end.
    """
    order, actions, before = _explore(start, choices)
    fronts: dict[S, np.ndarray] = {state: np.empty((0, objectives)) for state in order}
    queue, queued = deque(order), set(order)
    while queue:
        state = queue.popleft()
        queued.discard(state)
        found = [_returns(choice, fronts) for choice in actions[state]]
        former = fronts[state]
        front = nondominated(np.concatenate([former, *found]))
        if _same(former, front):
            continue
        fronts[state] = front
        for earlier in before[state]:
            if earlier not in queued:
                queued.add(earlier)
                queue.append(earlier)
    return fronts[start]


def _explore(
    start: S, choices: Callable[[S], Iterable[Choice[S]]]
) -> tuple[list[S], dict[S, list[Choice[S]]], dict[S, list[S]]]:
    """All states, successors before predecessors as far as there are no loops; their actions; their predecessors."""
    order: list[S] = []
    actions: dict[S, list[Choice[S]]] = {start: list(choices(start))}
    before: dict[S, list[S]] = {start: []}
    stack: list[tuple[S, Any]] = [(start, _successors(actions[start]))]
    while stack:
        state, rest = stack[-1]
        following = next(rest, None)
        if following is None:
            order.append(state)
            stack.pop()
            continue
        if following not in actions:
            actions[following] = list(choices(following))
            before[following] = []
            stack.append((following, _successors(actions[following])))
        before[following].append(state)
    return order, actions, before


def _successors(actions: list[Choice[S]]) -> Any:
    return iter(dict.fromkeys(state for _, outcomes in actions for _, state in outcomes))


def _returns(choice: Choice[S], fronts: dict[S, np.ndarray]) -> np.ndarray:
    """Every return [n, K] of one action: its reward, and any vector of each state that may follow."""
    reward, outcomes = choice
    sums = np.asarray(reward, np.float64)[None]
    for weight, state in outcomes:
        sums = (sums[:, None] + weight * fronts[state][None]).reshape(-1, sums.shape[1])
        if len(outcomes) > 1:
            sums = nondominated(sums)
    return sums


def _same(former: np.ndarray, front: np.ndarray) -> bool:
    return former.shape == front.shape and np.allclose(former, front, rtol=TOLERANCE, atol=TOLERANCE)
