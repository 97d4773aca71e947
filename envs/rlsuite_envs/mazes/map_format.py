"""Maps of mazes as text or arrays: read, checked, and brought to one form.

A map is a multi-line string, a list of strings, a list of lists or a 2-D array of `1` (wall), `0` (free), and
the letters of its environment: "r" (an episode may start here), "g" (the goal may lie here), "c" (both). Row 0
is the upper row. The one form is a tuple of strings, which hashes, so that it can be a constant.

Source: the map format of Gymnasium-Robotics' maze environments.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

__all__ = ["Cell", "check_border", "check_reachable", "distances_from", "read_map", "start_and_goal_cells"]

Cell = tuple[int, int]
"""(row, column), counted from the upper left corner."""


def read_map(maze_map: Any, *, symbols: str = "01rgc", name: str = "maze_map") -> tuple[str, ...]:
    """The map as a tuple of equally long strings.

    Args:
        maze_map: multi-line string (indentation is cut away), or rows of strings or of single symbols.
        symbols: what a cell may be.
        name: of the constant, for messages.

    Raises:
        ValueError: no map at all, rows of different lengths, or an unknown symbol; names its place.
    """
    if isinstance(maze_map, str):
        maze_map = [line.strip() for line in maze_map.strip().splitlines()]
    if not hasattr(maze_map, "__iter__"):
        raise ValueError(f"{name}={maze_map!r} must be a string or a list of rows.")
    rows = tuple(_read_row(row, i, name) for i, row in enumerate(maze_map))
    if not rows or not rows[0]:
        raise ValueError(f"{name}={maze_map!r} is empty; it needs at least one row with one cell.")
    for i, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise ValueError(
                f"{name} is ragged: row {i} ({''.join(row)!r}) has {len(row)} cells but row 0 has {len(rows[0])}."
            )
        for j, symbol in enumerate(row):
            if len(symbol) != 1 or symbol not in symbols:
                raise ValueError(
                    f"{name} has {symbol!r} in row {i}, column {j}; allowed are {', '.join(map(repr, symbols))}."
                )
    return tuple("".join(row) for row in rows)


def _read_row(row: Any, i: int, name: str) -> list[str]:
    if not hasattr(row, "__iter__"):
        raise ValueError(f"{name}: row {i} is {row!r} but must be a string or a list of cells.")
    return [str(symbol) for symbol in row]


def cells_of(rows: Sequence[str], symbols: str) -> list[Cell]:
    """The cells with one of these symbols, row by row."""
    return [(i, j) for i, row in enumerate(rows) for j, symbol in enumerate(row) if symbol in symbols]


def check_border(rows: Sequence[str], *, name: str = "maze_map") -> None:
    """Raise ValueError unless the outermost cells are all walls."""
    last_row, last_column = len(rows) - 1, len(rows[0]) - 1
    for i, j in cells_of(rows, "0rgc"):
        if i in (0, last_row) or j in (0, last_column):
            raise ValueError(
                f"{name} has an open border: row {i}, column {j} is {rows[i][j]!r}; surround the maze by walls (1)."
            )


def start_and_goal_cells(rows: Sequence[str], *, name: str = "maze_map") -> tuple[tuple[Cell, ...], tuple[Cell, ...]]:
    """Where episodes may start and where goals may lie.

    Without letters every free cell is both; where one kind of letter is missing (and there is no "c"), every
    "0" takes its place.

    Raises:
        ValueError: no free cell, no cell for one of the two, or a goal whose only start is itself.
    """
    free, both = cells_of(rows, "0"), cells_of(rows, "c")
    starts, goals = cells_of(rows, "r"), cells_of(rows, "g")
    if not (free or both or starts or goals):
        raise ValueError(f"{name} has no free cell; open some with 0.")
    if not (both or starts or goals):
        both = free
    elif not (both or starts):
        starts = free
    elif not (both or goals):
        goals = free
    starts, goals = starts + both, goals + both
    for kind, cells, letter in (("start", starts, "r"), ("goal", goals, "g")):
        if not cells:
            raise ValueError(f"{name} has no cell for the {kind}; mark one with {letter!r}, or leave some 0.")
    if len(set(starts)) == 1 and starts[0] in goals:
        i, j = starts[0]
        raise ValueError(
            f"{name}: the only start, row {i}, column {j}, may also be the goal; mark another start with 'r'."
        )
    return tuple(starts), tuple(goals)


def check_reachable(
    rows: Sequence[str],
    starts: Sequence[Cell],
    goals: Sequence[Cell],
    *,
    walls: str = "1",
    name: str = "maze_map",
) -> None:
    """Raise ValueError unless every goal can be reached from every start through shared sides of free cells."""
    # Ways can be walked back, so that one search does: all starts and all goals lie in one piece.
    distance = distances_from(rows, starts[0], walls=walls)
    for kind, cells in (("start", starts), ("goal", goals)):
        for i, j in cells:
            if (i, j) not in distance:
                r, c = starts[0]
                raise ValueError(
                    f"{name}: the {kind} in row {i}, column {j} cannot be reached from the start in row {r}, "
                    f"column {c}; open a way, or take it out of the starts and goals with letters 'r', 'g'."
                )


def distances_from(rows: Sequence[str], start: Cell, *, walls: str = "1") -> dict[Cell, int]:
    """Steps from start to every cell that can be reached, moving up, down, left and right."""
    distance, queue = {start: 0}, deque([start])
    while queue:
        i, j = queue.popleft()
        for cell in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            inside = 0 <= cell[0] < len(rows) and 0 <= cell[1] < len(rows[0])
            if inside and cell not in distance and rows[cell[0]][cell[1]] not in walls:
                distance[cell] = distance[i, j] + 1
                queue.append(cell)
    return distance
