"""Weights of objectives: points of the simplex, w >= 0 with sum 1, as complete grids, corners, or evenly spread.

A grid is generated from integers and divided last. Adding a step to a float until the sum equals 1 loses weights: with
three objectives and a step of 0.1 it is known to find 62 of the 66, which changes any average over the grid.

Letters: m objectives, W weights.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np

from rlsuite.multi_objective.points import Array, as_numbers, check_count

__all__ = ["check_weights", "default_divisions", "spread_weights", "unit_weights", "weight_grid"]

LARGEST_GRID = 2_000_000
"""Most weights of a grid."""
SUM_TOLERANCE = 1e-6
"""How far a sum of weights may lie from 1; float32 weights of any usual number of objectives are within it."""
_CANDIDATES = 16_384
_MOST = _CANDIDATES // 16


def _check_objectives(num_objectives: int) -> None:
    check_count(num_objectives, "num_objectives", 2, " (with one objective there is nothing to weigh)")


def weight_grid(num_objectives: int, divisions: int) -> Array:
    """All weights whose entries are whole multiples of 1 / divisions.

    Args:
        num_objectives: m, at least 2.
        divisions: H, at least 1: the steps from 0 to 1.

    Returns:
        [C(H + m - 1, m - 1), m] in lexicographic order, from (0, ..., 0, 1) to (1, 0, ..., 0); the sum of each row's
        entries rounds to 1 within one unit in the last place.

    Raises:
        ValueError: m or H out of range, or a grid of more than `LARGEST_GRID` weights.
    """
    _check_objectives(num_objectives)
    check_count(divisions, "divisions", 1, " (100 is a step of 0.01)")
    size = math.comb(int(divisions) + int(num_objectives) - 1, int(num_objectives) - 1)
    if size > LARGEST_GRID:
        raise ValueError(
            f"a grid of {divisions} divisions for {num_objectives} objectives has {size:,} weights, above "
            f"{LARGEST_GRID:,}; take fewer divisions, or spread_weights({num_objectives}, n, seed)."
        )
    places = range(int(divisions) + int(num_objectives) - 1)  # stars and bars: m - 1 bars among H stars
    chosen = np.fromiter(combinations(places, int(num_objectives) - 1), np.dtype((np.int64, num_objectives - 1)), size)
    bars = np.pad(chosen, ((0, 0), (1, 1)), constant_values=((0, 0), (-1, len(places))))
    grid: Array = (np.diff(bars, axis=1) - 1) / float(divisions)
    return grid


def default_divisions(num_objectives: int) -> int:
    """The divisions of the grid over which an expected utility is usually averaged.

    2 objectives: 100 (101 weights); 3 and 4: 10 (66, 286); 5 or more: 2 (15 for 5, 21 for 6, 45 for 9). C-MORL's runs
    use these steps for its two- and three-objective MuJoCo tasks and its tasks of six and nine.

    Raises:
        ValueError: fewer than 2 objectives.
    """
    _check_objectives(num_objectives)
    return 100 if num_objectives == 2 else 10 if num_objectives <= 4 else 2


def unit_weights(num_objectives: int) -> Array:
    """One weight per objective, all of it on that objective: [m, m].

    Raises:
        ValueError: fewer than 2 objectives.
    """
    _check_objectives(num_objectives)
    return np.eye(num_objectives)


def spread_weights(num_objectives: int, n: int, seed: int = 0) -> Array:
    """Weights spread evenly over the simplex, the m unit weights first.

    With two objectives they are equally spaced. With more, each next one is that of many uniform candidates (drawn with
    `seed`) which lies farthest from those before: no candidate is then farther from the chosen than twice the least
    radius that n weights could reach (Gonzalez, 1985), and the first k are well spread for every k.

    Args:
        num_objectives: m, at least 2.
        n: how many, at least m, so that each objective has its own end.
        seed: of the candidates; the same seed gives the same weights.

    Returns:
        [n, m]; for two objectives sorted by the second, else in the order of choice.

    Raises:
        ValueError: m, n or seed out of range.
    """
    _check_objectives(num_objectives)
    check_count(n, "n", num_objectives, f" for {num_objectives} objectives (one end for each)")
    if n > _MOST:
        raise ValueError(f"n is {n!r}; at most {_MOST:,} weights are spread; take weight_grid for more.")
    check_count(seed, "seed", 0)
    if num_objectives == 2:
        return weight_grid(2, int(n) - 1)[::-1].copy()
    draws = np.random.default_rng(int(seed)).dirichlet(np.ones(num_objectives), _CANDIDATES)
    candidates = np.concatenate([np.eye(num_objectives), draws])
    chosen = list(range(num_objectives))
    nearest = np.min([((candidates - candidates[i]) ** 2).sum(1) for i in chosen], axis=0)
    while len(chosen) < n:
        chosen.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, ((candidates - candidates[chosen[-1]]) ** 2).sum(1))
    found: Array = candidates[chosen]
    return found / found.sum(1, keepdims=True)


def check_weights(weights: Any, num_objectives: int, *, name: str = "weights") -> Array:
    """Weights as a float64 copy, not rescaled.

    Args:
        weights: [m], or a batch [W, m]; each at least 0, with sum 1 within 1e-6.
        num_objectives: m.
        name: of the weights, in messages.

    Returns:
        Of the shape given.

    Raises:
        ValueError: a wrong length, NaN, infinity, a negative number, or a sum that is not 1; the message names the
            place and what to do.
    """
    found = as_numbers(weights, name)
    if found.ndim not in (1, 2) or found.shape[-1] != num_objectives or not found.size:
        count = found.shape[-1] if found.ndim in (1, 2) else f"shape {found.shape}"
        raise ValueError(
            f"{name} has {count} numbers for {num_objectives} objectives; give {num_objectives} numbers of at least 0 "
            f"that sum to 1, such as ({', '.join([f'{1 / num_objectives:.6g}'] * num_objectives)}), or rows of them."
        )
    rows = np.atleast_2d(found)
    for wrong, must in ((~np.isfinite(rows), "be a finite number"), (rows < 0, "be at least 0")):
        if wrong.any():
            row, column = (int(i) for i in np.argwhere(wrong)[0])
            place = f"{name}[{column}]" if found.ndim == 1 else f"{name}[{row}, {column}]"
            remedy = " (an objective to be avoided is one with its sign changed)" if "least" in must else ""
            raise ValueError(f"{place} is {rows[row, column]}; the weight of objective {column} must {must}{remedy}.")
    total = rows.sum(1)
    off = np.abs(total - 1) > SUM_TOLERANCE
    if off.any():
        row = int(np.argmax(off))
        place = name if found.ndim == 1 else f"{name}[{row}]"
        remedy = "make at least one positive"
        if 0 < total[row] < np.inf:
            remedy = f"divide by the sum: ({', '.join(f'{w:.6g}' for w in rows[row] / total[row])})"
        raise ValueError(f"{place} sums to {total[row]:.9g}, not to 1; {remedy}.")
    return found
