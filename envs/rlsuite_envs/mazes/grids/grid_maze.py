"""A maze of cells with a goal: random layouts, and the shortest path known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlsuite_envs.checks import check_choice, check_integer, check_probability
from rlsuite_envs.mazes.grids.generation import GENERATORS, maze_pool
from rlsuite_envs.mazes.grids.grid_world import FORWARD, GridState, GridWorld, GridWorldParams
from rlsuite_envs.mazes.grids.key_door import KeyDoor, KeyDoorParams
from rlsuite_envs.mazes.grids.shortest_path import distance_fields
from rlsuite_envs.mazes.map_format import check_border, check_reachable, read_map, start_and_goal_cells

__all__ = ["GridMaze", "GridMazeParams", "KeyDoor", "KeyDoorParams"]


@dataclass(frozen=True)
class GridMazeParams(GridWorldParams):
    """Constants."""

    maze_map: Any = None
    """Map of 1, 0, "r", "g", "c" (see `map_format`); None draws a pool of mazes from the next five."""
    size: int = 7
    """Rows and columns of drawn mazes, odd, 5..31, walls included."""
    generator: str = "dfs"
    """"dfs", "wilson" or "kruskal", see `generation`."""
    loops: float = 0.0
    """Probability with which each wall left between two rooms is opened as well, in [0, 1]; 0 for none."""
    num_layouts: int = 16
    """Mazes in the pool, of which each episode takes one at random, 1..4096."""
    layout_seed: int = 0
    """Seed of the pool."""
    placement: str = "random"
    """In drawn mazes: "random" (start and goal in two different free cells) or "corners" (opposite ones)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer(self, "size", 5, 31)
        if self.size % 2 == 0:
            raise ValueError(f"size={self.size!r} must be odd: rooms lie on odd rows and columns.")
        check_choice(self, "generator", GENERATORS)
        check_choice(self, "placement", ("random", "corners"))
        check_probability(self, "loops")
        check_integer(self, "num_layouts", 1, 4096)
        check_integer(self, "layout_seed", 0)
        if self.maze_map is not None:
            rows = read_map(self.maze_map)
            check_border(rows)
            check_reachable(rows, *start_and_goal_cells(rows))
            object.__setattr__(self, "maze_map", rows)


class GridMaze(GridWorld[GridState]):
    """Find the goal of a grid maze.

    ## Description
    An agent moves between the free cells of a grid. Mazes are drawn when the environment is made (a pool of
    `num_layouts`, from `layout_seed`), or given as a map. Each episode takes one of the pool at random.

    ## Action Space
    `actions="moves"`: `Discrete(4)`: 0 left, 1 down, 2 right, 3 up; a wall stops the move.
    `actions="minigrid"`: `Discrete(7)`: 0 turn left, 1 turn right, 2 forward, 3 to 6 without effect here.

    ## Observation Space
    `observation="planes"`: `Box(-1, 1, (P * H * W + 6,))` float32: planes of H x W cells, one after the other:
    walls; the agent (four planes, one per direction it looks in, for MiniGrid's actions); the goal. Then four
    numbers, 1 where a wall is left of, below, right of, above the agent, and how many rows and columns the goal
    lies further down and right, divided by H and W.
    `observation="coordinates"`: `Box(-1, 1, (4,))` float32: row and column of agent and goal, each from -1 to
    1 (and two numbers, down and right, for where the agent looks, with MiniGrid's actions); walls are unseen.
    `observation="symbolic"`: `Box(0, 255, (W, H, 3))` uint8: MiniGrid's (object, colour, state) of every cell
    [x, y].
    `observation="egocentric"`: `Box(0, 255, (7, 7, 3))` uint8: the same of the cells ahead of the agent, which
    looks up from [3, 6]; what walls hide is 0. The agent also turns with "moves": to where it last meant to go.

    ## Rewards
    1 - 0.9 t / horizon at the goal, t counting the steps; else 0.

    ## Starting State
    A goal and another cell to start in, both uniform among those allowed; any direction.

    ## Episode End
    Termination: at the goal. Truncation: `horizon` steps, 4 H W by default (as in MiniGrid).

    ## Info
    `success` [B] bool; `distance` [B], moves to the goal on a shortest path; `behaviour` [B, 2], row and column.

    ## Arguments
    The fields of `GridMazeParams`. Presets: 5x5, 7x7, 9x9, 13x13, 21x21.

    Source: in the manner of MiniGrid (Chevalier-Boisvert et al. 2023, arXiv 2306.13831), whose views,
    actions and rewards these are.
    """

    params_class = GridMazeParams
    params: GridMazeParams

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        p = self.params
        if p.maze_map is None:
            key = (p.num_layouts, p.size, p.generator, p.loops, p.layout_seed, p.placement)
            walls, starts, goals, distances = _drawn(*key)
        else:
            walls = np.array([[[symbol == "1" for symbol in row] for row in p.maze_map]])
            width = walls.shape[2]
            starts, goals = (
                torch.tensor([[i * width + j for i, j in cells]]) for cells in start_and_goal_cells(p.maze_map)
            )
            distances = _distances(walls, goals)
        self._lay_out(walls, 4 * walls.shape[1] * walls.shape[2])
        self.starts = starts.to(self.device)
        self.goals = goals.to(self.device)
        # distances[number[layout, goal], cell]: a field for every cell that may be the goal.
        self.distances = distances.flatten(0, 1).to(self.device)
        self._number = torch.zeros(self.walls.shape, dtype=torch.int64)
        order = torch.arange(goals.numel()).reshape(goals.shape)
        self._number.scatter_(1, goals.clamp_min(0), order)
        self._number = self._number.to(self.device)

    def _pick(self, cells: Tensor, rng: torch.Generator, but: Tensor | None = None) -> Tensor:
        """One of each row's cells [B, N], uniformly, leaving out -1 and the cell [B] `but`."""
        allowed = cells >= 0 if but is None else (cells >= 0) & (cells != but[:, None])
        keys = torch.rand(cells.shape, generator=rng, device=self.device)
        return cells.gather(1, torch.where(allowed, keys, -1.0).argmax(1, keepdim=True))[:, 0]

    def initial_state(self, num: int, rng: torch.Generator) -> GridState:
        """A layout, a goal, and a start elsewhere."""
        layout = torch.randint(self.layouts, (num,), generator=rng, device=self.device)
        goal = self._pick(self.goals[layout], rng)
        cell = self._pick(self.starts[layout], rng, but=goal)
        direction = torch.randint(4, (num,), generator=rng, device=self.device)
        return GridState(cell, direction, goal, layout, torch.zeros_like(cell))

    def _act(self, state: GridState, action: Tensor, direction: Tensor, target: Tensor) -> GridState:
        stays = self.walls[state.layout, target]
        if self.params.actions == "minigrid":
            stays = stays | (action != FORWARD)
        cell = torch.where(stays, state.cell, target)
        return GridState(cell, direction, state.goal, state.layout, state.t + 1)

    def _distance(self, state: GridState) -> Tensor:
        return self.distances[self._number[state.layout, state.goal], state.cell].long()


def _distances(walls: np.ndarray, goals: Tensor) -> Tensor:
    """Moves from every cell to every goal, [N, G, H * W] int16; goals [N, G], -1 for none."""
    num, count = goals.shape
    repeated = torch.from_numpy(walls).repeat_interleave(count, dim=0)
    return distance_fields(repeated, goals.clamp_min(0).flatten()).reshape(num, count, -1)


@cache
def _drawn(
    num: int, size: int, generator: str, loops: float, seed: int, placement: str
) -> tuple[np.ndarray, Tensor, Tensor, Tensor]:
    """Walls [N, H, W], start and goal cells [N, S], [N, G] (padded by -1) and distances of a pool.

    Kept, since a program makes the same environment many times; nobody writes into it.
    """
    walls = maze_pool(num, size, size, generator=generator, loops=loops, seed=seed)
    if placement == "corners":
        starts = torch.full((num, 1), size + 1)
        goals = torch.full((num, 1), (size - 2) * size + size - 2)
        return walls, starts, goals, _distances(walls, goals)
    free = [np.flatnonzero(~maze) for maze in walls]
    cells = torch.full((num, max(map(len, free))), -1)
    for row, found in zip(cells, free, strict=True):
        row[: len(found)] = torch.from_numpy(found)
    return walls, cells, cells, _distances(walls, cells)


GridMaze.presets = {
    "5x5": GridMazeParams(size=5),
    "7x7": GridMazeParams(),
    "9x9": GridMazeParams(size=9),
    "13x13": GridMazeParams(size=13),
    "21x21": GridMazeParams(size=21),
}
