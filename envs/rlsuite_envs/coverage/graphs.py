"""Directed graphs on grids: where an agent may move, and what it senses from a cell; plain tuples.

A graph is a tuple with one entry per node, the tuple of that node's successors. Nodes are numbered
row * cols + col. Any other directed graph of the same form can take the place of these.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = [
    "ACTIONS",
    "Graph",
    "block_footprints",
    "check_graph",
    "check_walls",
    "disc_footprints",
    "distances",
    "grid_moves",
    "padded",
    "read_layout",
    "twice",
]

Graph = tuple[tuple[int, ...], ...]

ACTIONS = ("stay", "right", "down", "left", "up")
"""Names of the actions on a grid, in order; down is towards larger rows."""

_STEPS = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))


def _open(rows: int, cols: int, walls: frozenset[tuple[int, int]], row: int, col: int) -> bool:
    return 0 <= row < rows and 0 <= col < cols and (row, col) not in walls


def grid_moves(rows: int, cols: int, walls: tuple[tuple[int, int], ...] = ()) -> Graph:
    """Motion graph of a grid: successors under stay, right, down, left, up; an illegal move stays."""
    closed = frozenset(walls)
    return tuple(
        tuple(
            (row + dr) * cols + col + dc if _open(rows, cols, closed, row + dr, col + dc) else row * cols + col
            for dr, dc in _STEPS
        )
        for row in range(rows)
        for col in range(cols)
    )


def block_footprints(rows: int, cols: int, walls: tuple[tuple[int, int], ...] = ()) -> Graph:
    """Sensing graph of the small disc: the 2 x 2 block whose upper left cell is the node's.

    Cells beyond the border and walls are left out; a wall senses nothing.
    """
    closed = frozenset(walls)
    return tuple(
        tuple(
            (row + dr) * cols + col + dc
            for dr in (0, 1)
            for dc in (0, 1)
            if _open(rows, cols, closed, row + dr, col + dc) and (row, col) not in closed
        )
        for row in range(rows)
        for col in range(cols)
    )


def twice(footprints: Graph) -> Graph:
    """The cells seen from any cell of the footprint: 3 x 3 blocks for 2 x 2 blocks."""
    return tuple(tuple(sorted({far for near in cells for far in footprints[near]})) for cells in footprints)


def disc_footprints(rows: int, cols: int, walls: tuple[tuple[int, int], ...] = (), *, radius: float = 1.0) -> Graph:
    """Sensing graph of a disc around the node's cell: centres within radius (in cells).

    Walls cut it: a cell belongs to it if steps between open neighbours inside the disc lead there.
    """
    closed = frozenset(walls)
    reach = radius * radius + 1e-9

    def disc(row: int, col: int) -> tuple[int, ...]:
        found = {(row, col)} - closed
        frontier = list(found)
        while frontier:
            r, c = frontier.pop()
            for dr, dc in _STEPS[1:]:
                cell = (r + dr, c + dc)
                near = (cell[0] - row) ** 2 + (cell[1] - col) ** 2 <= reach
                if near and cell not in found and _open(rows, cols, closed, *cell):
                    found.add(cell)
                    frontier.append(cell)
        return tuple(sorted(r * cols + c for r, c in found))

    return tuple(disc(row, col) for row in range(rows) for col in range(cols))


def padded(graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    """Successors as an array [N, K] int64 and which of them are real [N, K] bool; K is the largest number.

    Missing ones repeat the first, so that every index is valid and a write through all of them is that of the real
    ones; a node without successors names node 0 throughout, and must be masked.
    """
    width = max(1, *(len(row) for row in graph)) if graph else 1
    index = np.array([[*row, *[row[0] if row else 0] * (width - len(row))] for row in graph], dtype=np.int64)
    real = np.array([[k < len(row) for k in range(width)] for row in graph], dtype=bool)
    return index, real


def read_layout(text: str) -> dict[str, Any]:
    """Constants `rows`, `cols`, `walls` and `start` from a map: `#` wall, `.` open, `S` start (open).

    Returns:
        Keyword arguments for any kernel of the family; `start` only where the map has an S.

    Raises:
        ValueError: an empty or ragged map, an unknown character, or several starts.
    """
    lines = [line.strip() for line in text.strip().splitlines()]
    if not lines or not lines[0]:
        raise ValueError(f"layout={text!r} is empty; give rows of '#', '.' and 'S'.")
    for number, line in enumerate(lines):
        if len(line) != len(lines[0]):
            raise ValueError(f"layout row {number} has {len(line)} cells but row 0 has {len(lines[0])}.")
        if set(line) - set("#.S"):
            raise ValueError(f"layout row {number} is {line!r}; use '#' wall, '.' open, 'S' start only.")
    cells = [(r, c, mark) for r, line in enumerate(lines) for c, mark in enumerate(line)]
    starts = [r * len(lines[0]) + c for r, c, mark in cells if mark == "S"]
    if len(starts) > 1:
        raise ValueError(f"layout has {len(starts)} starts 'S'; mark at most one.")
    walls = tuple((r, c) for r, c, mark in cells if mark == "#")
    found: dict[str, Any] = {"rows": len(lines), "cols": len(lines[0]), "walls": walls}
    return {**found, "start": starts[0]} if starts else found


def check_graph(name: str, graph: Any, nodes: int, *, least: int, distinct: bool = False) -> None:
    """Raise ValueError unless graph has one tuple of node numbers for each node, with at least `least`.

    Args:
        name: what the error calls it.
        graph: the graph.
        nodes: N, its number of nodes.
        least: smallest number of successors.
        distinct: whether a node may name a successor once only.
    """
    if not isinstance(graph, tuple) or len(graph) != nodes:
        size = len(graph) if isinstance(graph, tuple | list) else type(graph).__name__
        raise ValueError(f"{name} has size {size} but must be a tuple of {nodes} (rows * cols) tuples of nodes.")
    for node, row in enumerate(graph):
        valid = isinstance(row, tuple) and len(row) >= least
        if not valid or any(not isinstance(k, int) or isinstance(k, bool) or not 0 <= k < nodes for k in row):
            raise ValueError(
                f"{name}[{node}]={row!r} must be a tuple of at least {least} node numbers in 0..{nodes - 1}."
            )
        if distinct and len(set(row)) < len(row):
            raise ValueError(f"{name}[{node}]={row!r} names a node twice; name each once.")


def check_walls(params: Any) -> None:
    """Raise ValueError unless `walls` are cells of the grid and leave `start` open."""
    walls = params.walls
    if not isinstance(walls, tuple):
        raise ValueError(f"walls={walls!r} must be a tuple of (row, col) cells.")
    for cell in walls:
        pair = isinstance(cell, tuple) and len(cell) == 2 and all(isinstance(x, int) for x in cell)
        if not pair or not (0 <= cell[0] < params.rows and 0 <= cell[1] < params.cols):
            raise ValueError(
                f"walls has {cell!r} but each must be (row, col) with row in 0..{params.rows - 1} and col in "
                f"0..{params.cols - 1}."
            )
    if len(set(walls)) == params.rows * params.cols:
        raise ValueError(f"walls covers all {params.rows} x {params.cols} cells; leave some open.")
    if divmod(params.start, params.cols) in walls:
        raise ValueError(f"start={params.start!r} is the wall {divmod(params.start, params.cols)}; use an open cell.")


def distances(graph: Graph, start: int) -> list[float]:
    """Fewest moves from start to each node, infinity where no path leads."""
    found = [math.inf] * len(graph)
    found[start] = 0
    frontier = [start]
    for node in frontier:  # grows while we walk over it: breadth first
        for successor in graph[node]:
            if math.isinf(found[successor]):
                found[successor] = found[node] + 1
                frontier.append(successor)
    return found
