"""Random mazes, drawn on the host when an environment is made.

Rooms lie on the odd rows and columns of a grid; walls between neighbouring rooms are opened until there is
exactly one way between any two rooms (a perfect maze: connected, no cycles). With `loops`, further walls open.

- "dfs": a random walk that backs up when it is stuck; long corridors.
- "wilson": loop-erased random walks; every perfect maze is equally likely.
- "kruskal": walls in random order, opened where they separate; short dead ends.

Layout i of a pool depends on (seed, i) alone, so that a larger pool begins with the smaller one's layouts.

Source: D. B. Wilson, Generating random spanning trees more quickly than the cover time, STOC 1996, for
"wilson"; the other two are common knowledge.
"""

from __future__ import annotations

import numpy as np

__all__ = ["GENERATORS", "maze_pool", "random_maze"]

GENERATORS = ("dfs", "wilson", "kruskal")

Room = tuple[int, int]
Passage = tuple[Room, Room]


def maze_pool(
    num: int, height: int, width: int, *, generator: str = "dfs", loops: float = 0.0, seed: int = 0
) -> np.ndarray:
    """Walls [num, height, width] bool of num random mazes.

    Args:
        num: of mazes.
        height: rows, odd, at least 3.
        width: columns, odd, at least 3.
        generator: one of `GENERATORS`.
        loops: probability with which each wall that a perfect maze leaves between two rooms is opened as well.
        seed: of the pool.
    """
    return np.stack(
        [
            random_maze(height, width, np.random.default_rng([seed, i]), generator=generator, loops=loops)
            for i in range(num)
        ]
    )


def random_maze(
    height: int, width: int, rng: np.random.Generator, *, generator: str = "dfs", loops: float = 0.0
) -> np.ndarray:
    """Walls [height, width] bool of one random maze; see `maze_pool`."""
    rows, columns = height // 2, width // 2
    passages = {"dfs": _dfs, "wilson": _wilson, "kruskal": _kruskal}[generator](rows, columns, rng)
    if loops > 0:
        kept = {frozenset(passage) for passage in passages}
        closed = [passage for passage in _between(rows, columns) if frozenset(passage) not in kept]
        passages += [passage for passage, u in zip(closed, rng.random(len(closed)), strict=True) if u < loops]
    walls = np.ones((height, width), dtype=bool)
    walls[1 : 2 * rows : 2, 1 : 2 * columns : 2] = False
    for (i, j), (k, m) in passages:
        walls[i + k + 1, j + m + 1] = False
    return walls


def _neighbours(room: Room, rows: int, columns: int) -> list[Room]:
    i, j = room
    around = ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1))
    return [(k, m) for k, m in around if 0 <= k < rows and 0 <= m < columns]


def _between(rows: int, columns: int) -> list[Passage]:
    """All pairs of neighbouring rooms."""
    down = [((i, j), (i + 1, j)) for i in range(rows - 1) for j in range(columns)]
    return down + [((i, j), (i, j + 1)) for i in range(rows) for j in range(columns - 1)]


def _dfs(rows: int, columns: int, rng: np.random.Generator) -> list[Passage]:
    stack = [(int(rng.integers(rows)), int(rng.integers(columns)))]
    seen, passages = set(stack), []
    while stack:
        unseen = [room for room in _neighbours(stack[-1], rows, columns) if room not in seen]
        if not unseen:
            stack.pop()
            continue
        room = unseen[rng.integers(len(unseen))]
        passages.append((stack[-1], room))
        seen.add(room)
        stack.append(room)
    return passages


def _wilson(rows: int, columns: int, rng: np.random.Generator) -> list[Passage]:
    rooms = [(i, j) for i in range(rows) for j in range(columns)]
    tree = {rooms[rng.integers(len(rooms))]}
    passages: list[Passage] = []
    for start in rooms:
        # The last exit taken from each room is the loop-erased walk.
        room, exits = start, {}
        while room not in tree:
            around = _neighbours(room, rows, columns)
            exits[room] = around[rng.integers(len(around))]
            room = exits[room]
        room = start
        while room not in tree:
            tree.add(room)
            passages.append((room, exits[room]))
            room = exits[room]
    return passages


def _kruskal(rows: int, columns: int, rng: np.random.Generator) -> list[Passage]:
    parent = {(i, j): (i, j) for i in range(rows) for j in range(columns)}

    def root(room: Room) -> Room:
        while parent[room] != room:
            parent[room] = parent[parent[room]]
            room = parent[room]
        return room

    passages, candidates = [], _between(rows, columns)
    for number in rng.permutation(len(candidates)):
        a, b = candidates[number]
        if root(a) != root(b):
            parent[root(a)] = root(b)
            passages.append((a, b))
    return passages
