"""Four rooms with shapes of three kinds to collect on the way to a goal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import check_choice
from rlsuite_envs.drawing import Canvas
from rlsuite_envs.kernel import Kernel
from rlsuite_envs.mazes.map_format import cells_of, check_reachable, distances_from, read_map
from rlsuite_envs.multi_objective.fronts import Choice, check_gamma, exact_front
from rlsuite_envs.multi_objective.grids import grid_canvas, moved_cells, one_hot, row_and_column
from rlsuite_envs.multi_objective.pictures import episode_picture

__all__ = ["FourRoom", "FourRoomParams", "RoomState"]

MOVES = ((0, -1), (-1, 0), (0, 1), (1, 0))
"""(rows, columns) of left, up, right, down."""
KINDS = "123"
"""Symbols of the shapes: square, triangle, circle."""
COLORS = ("#1f5fd0", "#1a8f3c", "#d62728")
MOST_SHAPES = 40
"""Most shapes of a map."""
MOST_PLANNED = 14
"""Most shapes of a map whose front is computed: the sets of collected ones are 2 to that power."""
ROOMS = (
    "1....2X.....G",
    "......X......",
    "......1......",
    ".............",
    "......X......",
    "2....3X......",
    "XX3.XXXXX.1XX",
    "......X2....3",
    "......X......",
    ".............",
    "......2......",
    "......X......",
    "_.....X3....1",
)


@dataclass(frozen=True)
class FourRoomParams:
    """Constants; the default is mo-gymnasium's map."""

    maze_map: Any = ROOMS
    """Rows of . (free), X (wall), _ (start; uniform among several), G (the goal, one) and shapes 1, 2, 3."""
    observation: str = "position"
    """"position" or "one-hot"; see the kernel."""

    def __post_init__(self) -> None:
        check_choice(self, "observation", ("position", "one-hot"))
        rows = read_map(self.maze_map, symbols=".X_G" + KINDS)
        starts, goals = cells_of(rows, "_"), cells_of(rows, "G")
        if not starts or len(goals) != 1:
            raise ValueError(
                f"maze_map has {len(starts)} starts (_) and {len(goals)} goals (G); it needs at least one _ and one G."
            )
        shapes = len(cells_of(rows, KINDS))
        if shapes > MOST_SHAPES or len(rows) * len(rows[0]) > 4096:
            raise ValueError(
                f"maze_map has {shapes} shapes and {len(rows) * len(rows[0])} cells; at most {MOST_SHAPES} and 4096."
            )
        for start in starts:
            check_reachable(rows, [start], goals, walls="X")
        object.__setattr__(self, "maze_map", rows)


@dataclass(frozen=True)
class RoomState:
    """Place, and what is collected."""

    cell: Tensor
    """Cell of the agent, row * columns + column, [B] int64."""
    collected: Tensor
    """Which shapes it has, [B, N] bool, numbered column by column from the left, in each from the top."""


class FourRoom(Kernel[RoomState, RoomState, None]):
    """Four rooms: collect squares, triangles and circles on the way to the goal.

    ## Description
    Shapes of three kinds lie in four rooms. Walking over one collects it, once. With a discount factor below 1 the
    order of collecting matters, and what to leave behind. Everything but the start (where there are several) is
    deterministic.

    ## Action Space
    `Discrete(4)`: 0 left, 1 up, 2 right, 3 down. A step into a wall or out of the map stays.

    ## Observation Space
    `observation="position"`: `Box` (2 + N,) int32: row, column, and for each of the N shapes (12) whether it was
    collected. "one-hot": `Box(0, 1, (rows * columns + N,))` float32: the cell one-hot, and the same.

    ## Rewards
    [3]: 1 for a square, 1 for a triangle, 1 for a circle collected in this step, else 0; the goal pays 1 of each.

    ## Starting State
    The cell _ (lower left), with nothing.

    ## Episode End
    Termination: the goal is reached. Truncation: 200 steps.

    ## Arguments
    The fields of `FourRoomParams`.

    Source: Barreto et al. 2017, Successor features for transfer in reinforcement learning (arXiv 1606.05312), made
    discrete. Equal to mo-gymnasium's `four-room-v0`, step for step.
    """

    params_class = FourRoomParams
    params: FourRoomParams
    render_fps = 8

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        rows = self.rows = self.params.maze_map
        self.height, self.width = len(rows), len(rows[0])
        self.shapes = sorted(cells_of(rows, KINDS), key=lambda cell: cell[::-1])
        """(row, column) of each shape."""
        self.kinds = [KINDS.index(rows[i][j]) for i, j in self.shapes]
        """Kind 0..2 of each shape."""
        blocked = set(cells_of(rows, "X"))
        self._moved = moved_cells(self.height, self.width, blocked, MOVES).to(self.device)
        goal_row, goal_column = cells_of(rows, "G")[0]
        self._goal = goal_row * self.width + goal_column
        starts = [i * self.width + j for i, j in sorted(cells_of(rows, "_"), key=lambda cell: cell[::-1])]
        self._starts = torch.tensor(starts, device=self.device)
        cells = torch.zeros(self.height * self.width, len(self.shapes), dtype=torch.bool)
        worth = torch.zeros(len(self.shapes), 3, dtype=dtype)
        for number, ((i, j), kind) in enumerate(zip(self.shapes, self.kinds, strict=True)):
            cells[i * self.width + j, number] = True
            worth[number, kind] = 1.0
        self._shape_in_cell = cells.to(self.device)
        self._worth = worth.to(self.device)

    @property
    def observation_space(self) -> spaces.Box:
        """See the class."""
        if self.params.observation == "position":
            return spaces.Box(0, max(self.height, self.width), (2 + len(self.shapes),), np.int32)
        return spaces.Box(0.0, 1.0, (self.height * self.width + len(self.shapes),), np.float32)

    @property
    def action_space(self) -> spaces.Discrete:
        """Left, up, right, down."""
        return spaces.Discrete(4)

    @property
    def max_episode_steps(self) -> int:
        """200 steps."""
        return 200

    @property
    def reward_dim(self) -> int:
        """Three objectives."""
        return 3

    @property
    def reward_space(self) -> spaces.Box:
        """From 0 to 1 each."""
        return spaces.Box(0.0, 1.0, (3,), dtype=self._reward_dtype)

    @property
    def objective_names(self) -> tuple[str, str, str]:
        """The kinds of shapes."""
        return "squares", "triangles", "circles"

    def initial_state(self, num: int, rng: torch.Generator) -> RoomState:
        """At a start, with nothing."""
        start = torch.randint(len(self._starts), (num,), generator=rng, device=self.device)
        return RoomState(self._starts[start], torch.zeros(num, len(self.shapes), dtype=torch.bool, device=self.device))

    def post_decision(self, state: RoomState, action: Tensor) -> tuple[RoomState, Tensor]:
        """The next state and its reward [B, 3]: nothing here is random."""
        cell = self._moved[state.cell, action]
        new = self._shape_in_cell[cell] & ~state.collected
        reward = new.to(self.dtype) @ self._worth + (cell == self._goal)[:, None].to(self.dtype)
        return RoomState(cell, state.collected | new), reward

    def transition(self, post_state: RoomState, noise: None) -> tuple[RoomState, None, Tensor]:
        """The state itself, and whether it is at the goal."""
        return post_state, None, post_state.cell == self._goal

    def observe(self, state: RoomState) -> Tensor:
        """See the class."""
        if self.params.observation == "one-hot":
            return torch.cat((one_hot(state.cell, self.height * self.width), state.collected.float()), -1)
        return torch.cat((row_and_column(state.cell, self.width), state.collected), -1).to(torch.int32)

    def observe_post(self, post_state: RoomState) -> Tensor:
        """Observation of the post-decision state, which is the next state."""
        return self.observe(post_state)

    def pareto_front(self, gamma: float) -> np.ndarray:
        """The exact Pareto front of the discounted returns, over all policies that reach the goal.

        What remains to be planned is the order of the shapes: between two of them a shortest way is best, and what lies
        on one is collected in passing. With gamma = 1 the front is one point, everything; with 0.99 it has 240, and
        takes about a second. It knows of no time limit; on the default map, with gamma from 0.7 to 0.9999, none of its
        ways takes more than 100 steps.

        Args:
            gamma: discount factor in [0, 1].

        Returns:
            [n, 3] float64 (squares, triangles, circles), sorted lexicographically.

        Raises:
            ValueError: gamma out of range.
            NotImplementedError: a map with several starts (whose front depends on which is drawn) or more than 14
                shapes.
        """
        gamma = check_gamma(gamma)
        count = len(self.shapes)
        if len(self._starts) > 1 or count > MOST_PLANNED:
            raise NotImplementedError(
                f"the front of a map with {len(self._starts)} starts and {count} shapes is not computed; use one start "
                f"and at most {MOST_PLANNED} shapes."
            )
        goal, start = divmod(self._goal, self.width), divmod(int(self._starts[0].item()), self.width)
        walled = list(self.rows)
        walled[goal[0]] = walled[goal[0]][: goal[1]] + "X" + walled[goal[0]][goal[1] + 1 :]
        places = [*self.shapes, start]
        # No way leads through the goal, where the episode ends; to it, any does.
        between = [distances_from(walled, place, walls="X") for place in places]
        to_goal = [distances_from(self.rows, place, walls="X")[goal] for place in places]
        gain = np.eye(3)[self.kinds].reshape(count, 3)
        on_the_way = [[self._between(between, here, shape) for shape in range(count)] for here in range(count + 1)]

        def choices(state: tuple[int, int]) -> list[Choice[tuple[int, int]]]:
            here, done = state  # a place, and the set of collected shapes as bits
            found: list[Choice[tuple[int, int]]] = [(np.full(3, gamma ** (to_goal[here] - 1)), ())]
            for shape in range(count):
                steps = between[here].get(self.shapes[shape])
                passes = on_the_way[here][shape] & ~done
                if steps is not None and not done >> shape & 1 and not passes:
                    follows = ((gamma**steps, (shape, done | 1 << shape)),)
                    found.append((gamma ** (steps - 1) * gain[shape], follows))
            return found

        return exact_front((count, 0), choices, 3)

    def _between(self, ways: list[dict[tuple[int, int], int]], here: int, there: int) -> int:
        """The shapes that lie on a shortest way from a place to a shape, as bits: collecting them costs nothing."""
        found, whole = 0, ways[here].get(self.shapes[there])
        for shape, cell in enumerate(self.shapes):
            if whole is not None and shape not in (here, there) and cell in ways[here]:
                found |= (ways[here][cell] + ways[shape][self.shapes[there]] == whole) << shape
        return found

    def render(self, state_row: RoomState) -> np.ndarray:
        """The rooms; the agent is a grey disc, what it has collected is gone."""
        canvas = grid_canvas(self.height, self.width, "white", pixels=520)
        for i in range(self.height):
            for j in range(self.width):
                symbol = self.rows[i][j]
                color = {"X": "#59636e", "G": "#8bd48b", "_": "#fff3c4"}.get(symbol, "white")
                canvas.rect(j, -i, j + 1, -i - 1, color, outline="#e3e6ea" if symbol != "X" else None)
                if symbol in "G_":
                    canvas.text(j + 0.5, -i - 0.5, "goal" if symbol == "G" else "start", size=13, anchor="mm")
        for (i, j), kind, gone in zip(self.shapes, self.kinds, state_row.collected[0].tolist(), strict=True):
            if not gone:
                _draw_shape(canvas, kind, j + 0.5, -i - 0.5)
        i, j = divmod(int(state_row.cell.item()), self.width)
        canvas.disc(j + 0.5, -i - 0.5, 0.3, "#7d7d7d", outline="black")
        return canvas.array()

    def render_episode(self, states: RoomState, actions: Tensor, rewards: Tensor) -> np.ndarray:
        """The way, coloured by time, and the returns so far."""
        last = self.render(RoomState(states.cell[-1:], states.collected[-1:]))
        way = (row_and_column(states.cell, self.width).flip(-1).to(torch.float64) + 0.5).cpu().numpy()
        return episode_picture(last, (self.width, self.height), way, rewards.cpu().numpy(), self.objective_names)


def _draw_shape(canvas: Canvas, kind: int, x: float, y: float) -> None:
    if kind == 0:
        canvas.rect(x - 0.33, y - 0.33, x + 0.33, y + 0.33, COLORS[0])
    elif kind == 1:
        angle = math.pi / 2 + np.arange(3) * 2 * math.pi / 3
        canvas.polygon(np.stack((x + 0.42 * np.cos(angle), y - 0.08 + 0.42 * np.sin(angle)), -1), COLORS[1])
    else:
        canvas.disc(x, y, 0.35, COLORS[2])
