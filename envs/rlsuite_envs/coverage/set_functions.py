"""Submodular set functions of nodes, written out plainly, with greedy and exhaustive search: for small problems.

The kernels of this folder carry their set along and never call these; here F takes all the nodes visited and
starts from nothing each time. Use them to check a kernel, to find the optimum of a tiny problem, or to see
what greedy selection reaches: at least 1 - 1/e of the best set of k nodes (Nemhauser, Wolsey, Fisher 1978).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from rlsuite_envs.coverage.graphs import Graph

__all__ = [
    "SetFunction",
    "best_set",
    "brute_force_trajectory",
    "coverage_function",
    "greedy_set",
    "greedy_trajectory",
    "information_function",
    "item_function",
    "marginal_gains",
    "modular_function",
]

SetFunction = Callable[[Sequence[int]], float]
"""F: the value of visits, given as node numbers; F of none is 0."""

LIMIT = 5_000_000
"""Most candidates that an exhaustive search looks at."""


def coverage_function(footprints: Graph, weights: Sequence[float]) -> SetFunction:
    """F(S) = weight of the union of the footprints."""

    def value(nodes: Sequence[int]) -> float:
        return float(sum(weights[cell] for cell in {cell for node in nodes for cell in footprints[node]}))

    return value


def item_function(items: Sequence[int], needed: Sequence[int], footprints: Graph | None = None) -> SetFunction:
    """F(S) = sum over groups g of min(items of g in the union of the footprints, needed[g]).

    Args:
        items: group of each cell's item, -1 for none.
        needed: of each group, how many count.
        footprints: cells whose items a node collects; None for its own.
    """

    def value(nodes: Sequence[int]) -> float:
        cells = {cell for node in nodes for cell in (footprints[node] if footprints else (node,))}
        found = [sum(items[cell] == group for cell in cells) for group in range(len(needed))]
        return float(sum(min(have, want) for have, want in zip(found, needed, strict=True)))

    return value


def information_function(covariance: np.ndarray, noise_std: float) -> SetFunction:
    """F(S) = 1/2 logdet(I + K_S / noise_std^2) in nats; repeated nodes are repeated measurements."""

    def value(nodes: Sequence[int]) -> float:
        chosen = covariance[np.ix_(nodes, nodes)] / noise_std**2
        return float(0.5 * np.linalg.slogdet(np.eye(len(nodes)) + chosen)[1])

    return value


def modular_function(function: SetFunction) -> SetFunction:
    """The sum of the function of each visit alone."""
    return lambda nodes: sum(function([node]) for node in nodes)


def marginal_gains(function: SetFunction, nodes: Sequence[int]) -> list[float]:
    """Gain of each visit given those before it; the gains sum to the function's value."""
    values = [function(nodes[:k]) for k in range(len(nodes) + 1)]
    return [after - before for before, after in itertools.pairwise(values)]


def greedy_set(function: SetFunction, ground: Sequence[int], size: int) -> tuple[list[int], float]:
    """The set that takes the node of the largest gain, size times (the first of equals), and its value."""
    chosen: list[int] = []
    for _ in range(min(size, len(ground))):
        chosen.append(max((n for n in ground if n not in chosen), key=lambda n: function([*chosen, n])))
    return chosen, function(chosen)


def best_set(function: SetFunction, ground: Sequence[int], size: int) -> tuple[list[int], float]:
    """A best set of size nodes, and its value, by trying all.

    Raises:
        ValueError: too many sets.
    """
    size = min(size, len(ground))
    _check_size(math.comb(len(ground), size), f"sets of size={size} out of {len(ground)} nodes")
    best = max(itertools.combinations(ground, size), key=function)
    return list(best), function(best)


def greedy_trajectory(moves: Graph, start: int, horizon: int, function: SetFunction) -> tuple[list[int], float]:
    """The walk that moves to the successor of the largest gain (the first of equals), and its value.

    Args:
        moves: motion graph.
        start: where the walk starts; it counts.
        horizon: moves.
        function: F of the nodes visited.
    """
    nodes = [start]
    for _ in range(horizon):
        nodes.append(max(moves[nodes[-1]], key=lambda node: function([*nodes, node])))
    return nodes, function(nodes)


def brute_force_trajectory(moves: Graph, start: int, horizon: int, function: SetFunction) -> tuple[list[int], float]:
    """A best walk of horizon moves, and its value, by trying all: for tiny graphs.

    Args:
        moves: motion graph.
        start: where the walk starts; it counts.
        horizon: moves.
        function: F of the nodes visited.

    Raises:
        ValueError: too many walks.
    """
    count = dict.fromkeys(range(len(moves)), 1)
    for _ in range(horizon):
        count = {node: sum(count[successor] for successor in set(row)) for node, row in enumerate(moves)}
    _check_size(count[start], f"walks of horizon={horizon} moves")

    def extend(nodes: list[int]) -> tuple[float, list[int]]:
        if len(nodes) > horizon:
            return function(nodes), nodes
        return max(extend([*nodes, node]) for node in sorted(set(moves[nodes[-1]])))

    value, nodes = extend([start])
    return nodes, value


def _check_size(count: int, what: str) -> None:
    if count > LIMIT:
        raise ValueError(f"There are {count} {what}, more than {LIMIT}: use a smaller problem, or greedy search.")
