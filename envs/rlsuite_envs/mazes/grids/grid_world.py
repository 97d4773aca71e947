"""What the grid worlds share: moves or MiniGrid's actions, four ways to observe, rewards and pictures."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import check_choice, check_flag, check_integer
from rlsuite_envs.kernel import Kernel
from rlsuite_envs.mazes.grids.grid_views import CLOSED, EMPTY, GOAL, KEY, LOCKED, OPEN, WALL, GridViews

__all__ = ["GridState", "GridWorld", "GridWorldParams"]

TURN_LEFT, TURN_RIGHT, FORWARD, PICK_UP, DROP, TOGGLE, DONE = range(7)
"""MiniGrid's actions."""
COLORS = {
    WALL: "#59636e",
    GOAL: "#8bd48b",
    KEY: "#e0b000",
    OPEN: "#fff3c4",
    CLOSED: "#d9a441",
    LOCKED: "#d08a3a",
}


@dataclass(frozen=True)
class GridWorldParams:
    """Constants that grid worlds share."""

    actions: str = "moves"
    """"moves" (left, down, right, up) or "minigrid" (turn, go forward, pick up, drop, toggle, done)."""
    observation: str = "planes"
    """"planes", "coordinates", "symbolic" or "egocentric"; see the kernel."""
    view_size: int = 7
    """Cells seen ahead and across in the egocentric view, odd, 3..9."""
    see_through_walls: bool = False
    """Whether walls and closed doors hide nothing in the egocentric view."""
    horizon: int | None = None
    """Steps after which an episode is truncated; None takes the kernel's own."""

    def __post_init__(self) -> None:
        check_choice(self, "actions", ("moves", "minigrid"))
        check_choice(self, "observation", ("planes", "coordinates", "symbolic", "egocentric"))
        check_choice(self, "view_size", (3, 5, 7, 9))
        check_flag(self, "see_through_walls")
        if self.horizon is not None:
            check_integer(self, "horizon", 1)


@dataclass(frozen=True)
class GridState:
    """An agent in a grid world; all fields [B] int64. A cell is its row * columns + its column."""

    cell: Tensor
    """Cell of the agent."""
    direction: Tensor
    """Direction in which the agent looks: 0 right, 1 down, 2 left, 3 up."""
    goal: Tensor
    """Cell of the goal."""
    layout: Tensor
    """Number of the layout of walls."""
    t: Tensor
    """Steps so far."""


StateT = TypeVar("StateT", bound=GridState)


class GridWorld(Kernel[StateT, StateT, None]):
    """Base of the grid worlds.

    A subclass calls `_lay_out` in its constructor, moves the agent in `_act`, and lists its objects in
    `_objects`.
    """

    params: Any
    render_fps = 8
    object_planes: ClassVar[tuple[str, ...]] = ("goal",)
    """Names of the planes after those of walls and agent."""

    def _lay_out(self, walls: np.ndarray, horizon: int) -> None:
        """Take over the walls [N, H, W] bool of N layouts, and the time limit."""
        self.layouts, self.height, self.width = walls.shape
        self.walls = torch.from_numpy(walls.reshape(self.layouts, -1)).to(self.device)
        self.codes = torch.where(self.walls, WALL, EMPTY).to(torch.uint8)
        self.wall_planes = self.walls.to(torch.float32)
        self._horizon = self.params.horizon or horizon
        p = self.params
        self.views = GridViews(self.height, self.width, p.view_size, p.see_through_walls, self.device)
        self.strides = torch.tensor([1, self.width, -1, -self.width], device=self.device)
        self._direction_of_move = torch.tensor([2, 1, 0, 3], device=self.device)
        self._turn = torch.tensor([3, 1, 0, 0, 0, 0, 0], device=self.device)

    # --- To be defined by a subclass

    @abstractmethod
    def _act(self, state: StateT, action: Tensor, direction: Tensor, target: Tensor) -> StateT:
        """The state with the agent, looking in direction, having acted on the cell before it, target."""

    def _objects(self, state: StateT) -> list[tuple[Tensor, Tensor | int, Tensor | None]]:
        """The objects as (cell [B], code [B] or one for all, present [B] bool or None for always)."""
        return [(state.goal, GOAL, None)]

    def _held(self, state: StateT) -> Tensor:
        """Code [B] of what the agent carries, EMPTY for nothing."""
        return torch.full_like(state.cell, EMPTY)

    # --- Spaces

    @property
    def action_space(self) -> spaces.Discrete:
        """Four moves, or MiniGrid's seven actions."""
        return spaces.Discrete(4 if self.params.actions == "moves" else 7)

    @property
    def observation_space(self) -> spaces.Box:
        """See the kernel's description."""
        kind, v = self.params.observation, self.params.view_size
        if kind == "symbolic":
            return spaces.Box(0, 255, (self.width, self.height, 3), np.uint8)
        if kind == "egocentric":
            return spaces.Box(0, 255, (v, v, 3), np.uint8)
        turns = 1 if self.params.actions == "moves" else 4
        if kind == "planes":
            planes = 1 + turns + len(self.object_planes)
            return spaces.Box(-1.0, 1.0, (planes * self.height * self.width + 6,), np.float32)
        numbers = 2 + 2 * len(self.object_planes) + self._extra_coordinates + (turns > 1) * 2
        return spaces.Box(-1.0, 1.0, (numbers,), np.float32)

    _extra_coordinates = 0

    @property
    def max_episode_steps(self) -> int:
        """Steps after which an episode is truncated: `horizon`, or the kernel's own limit."""
        return self._horizon

    # --- Steps

    def post_decision(self, state: StateT, action: Tensor) -> tuple[StateT, Tensor]:
        """The next state and its reward: nothing here is random."""
        if self.params.actions == "moves":
            direction = self._direction_of_move[action]
        else:
            direction = (state.direction + self._turn[action]) % 4
        after = self._act(state, action, direction, state.cell + self.strides[direction])
        reward = 1.0 - (0.9 / self._horizon) * after.t.to(self.dtype)
        return after, reward * (after.cell == after.goal)

    def transition(self, post_state: StateT, noise: None) -> tuple[StateT, None, Tensor]:
        """The state itself, and whether the agent is at the goal."""
        return post_state, None, post_state.cell == post_state.goal

    # --- Observations

    def observe(self, state: StateT) -> Tensor:
        """See the kernel's description."""
        kind = self.params.observation
        if kind == "planes":
            return self._planes(state)
        if kind == "coordinates":
            return torch.stack(self._coordinates(state), dim=1).to(torch.float32)
        grid = self._grid(state)
        if kind == "symbolic":
            return self.views.whole(grid, state.cell, state.direction)
        return self.views.ahead(grid, state.cell, state.direction, self._held(state))

    def observe_post(self, post_state: StateT) -> Tensor:
        """Observation of the post-decision state, which is the next state: that of `observe`."""
        return self.observe(post_state)

    def _grid(self, state: StateT) -> Tensor:
        """Codes [B, H * W] of the cells, without the agent."""
        grid = self.codes[state.layout]
        for cell, code, present in self._objects(state):
            place = cell.clamp_min(0)[:, None]
            codes = torch.full_like(place, code) if isinstance(code, int) else code[:, None]
            codes = codes.to(torch.uint8)
            if present is not None:
                codes = torch.where(present[:, None], codes, grid.gather(1, place))
            grid = grid.scatter(1, place, codes)
        return grid

    def _planes(self, state: StateT) -> Tensor:
        """One-hot planes, one after the other, and what lies next to the agent."""
        cells, turns = self.height * self.width, 1 if self.params.actions == "moves" else 4
        agent = cells + state.cell if turns == 1 else cells * (1 + state.direction) + state.cell
        places, values = [agent], [torch.ones_like(agent)]
        for number, (cell, code, present) in enumerate(self._objects(state)):
            places.append((1 + turns + number) * cells + cell.clamp_min(0))
            values.append(self._plane_value(code, present, cell))
        ends = (1 + turns + len(self.object_planes)) * cells
        planes = torch.zeros(len(agent), ends + 6, device=self.device, dtype=torch.float32)
        planes[:, :cells] = self.wall_planes[state.layout]
        planes.scatter_(1, torch.stack(places, 1), torch.stack(values, 1).to(torch.float32))
        around = state.cell[:, None] + self.strides[self._direction_of_move]
        planes[:, ends : ends + 4] = self._wall_at(state, around)
        (row, column), (goal_row, goal_column) = map(self._row_and_column, (state.cell, state.goal))
        planes[:, ends + 4] = (goal_row - row) / self.height
        planes[:, ends + 5] = (goal_column - column) / self.width
        return planes

    def _wall_at(self, state: StateT, cells: Tensor) -> Tensor:
        """Whether there are walls or closed doors at the cells [B, N], bool."""
        return self.walls[state.layout[:, None], cells]

    def _plane_value(self, code: Tensor | int, present: Tensor | None, cell: Tensor) -> Tensor:
        """Value [B] of an object in its plane: 1; for a door 0 open, 1/2 closed, 1 locked; 0 where it is gone."""
        if isinstance(code, Tensor):
            return (code - OPEN) / 2
        return torch.ones_like(cell) if present is None else present

    def _coordinates(self, state: StateT) -> list[Tensor]:
        """Numbers [B] in [-1, 1]: row and column of agent and objects, and where it looks to."""
        numbers = [*self._scaled(state.cell)]
        for cell, _, present in self._objects(state):
            numbers += self._scaled(cell if present is None else torch.where(present, cell, state.cell))
        if self.params.actions == "minigrid":
            across, along = state.direction % 2 == 0, state.direction < 2
            sign = along.to(torch.float32) * 2 - 1
            numbers += [sign * ~across, sign * across]
        return numbers

    def _scaled(self, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Row and column of cells, in [-1, 1]."""
        row, column = self._row_and_column(cell)
        return row * (2.0 / (self.height - 1)) - 1.0, column * (2.0 / (self.width - 1)) - 1.0

    def _row_and_column(self, cell: Tensor) -> tuple[Tensor, Tensor]:
        return torch.div(cell, self.width, rounding_mode="floor"), cell % self.width

    # --- Info and pictures

    def _distance(self, state: StateT) -> Tensor:
        """Moves to the goal [B] int64 on a shortest way."""
        raise NotImplementedError

    def info(self, state: StateT) -> dict[str, Tensor]:
        """Success, distance on a shortest way, and the place as behaviour descriptor."""
        place = torch.stack(self._row_and_column(state.cell), dim=1).to(self.dtype)
        return {
            "success": state.cell == state.goal,
            "distance": self._distance(state),
            "behaviour": place,
        }

    def _rows(self, grid: Tensor) -> tuple[str, ...]:
        """One grid [H * W] of codes as text, a symbol per code."""
        digits = "".join(map(str, grid.tolist()))
        return tuple(digits[i * self.width : (i + 1) * self.width] for i in range(self.height))

    def _centres(self, cell: Tensor) -> np.ndarray:
        """World coordinates [..., 2] of cells, for pictures."""
        row, column = (part.cpu().numpy() for part in self._row_and_column(cell))
        return np.stack((column + 0.5 - self.width / 2, self.height / 2 - row - 0.5), axis=-1)

    def _labels(self, grid: Tensor) -> list[tuple[float, float, str]]:
        """(x, y, name) of the key and the door in one grid [H * W] of codes."""
        names = {KEY: "key", OPEN: "open", CLOSED: "door", LOCKED: "locked"}
        found = (grid >= KEY).nonzero()[:, 0]
        places = self._centres(found)
        return [(x, y, names[code]) for (x, y), code in zip(places, grid[found].tolist(), strict=True)]

    def render(self, state_row: StateT) -> np.ndarray:
        """The grid from above; the agent is a red wedge."""
        from rlsuite_envs.mazes.pictures import maze_canvas

        colors = {str(code): color for code, color in COLORS.items()}
        grid = self._grid(state_row)[0]
        canvas = maze_canvas(self._rows(grid), 1.0, colors)
        for x, y, name in self._labels(grid):
            canvas.text(x, y, name, anchor="mm")
        x, y = self._centres(state_row.cell)[0]
        angle = -np.pi / 2 * state_row.direction.item() + np.array([0.0, 2.5, -2.5])
        canvas.polygon(np.stack((x + 0.42 * np.cos(angle), y + 0.42 * np.sin(angle)), -1), "#d62728")
        if self._held(state_row).item() == KEY:
            canvas.disc(x, y, 0.12, COLORS[KEY], outline="black")
        return canvas.array()

    def render_episode(self, states: StateT, actions: Tensor, rewards: Tensor) -> np.ndarray:
        """The way through the grid, coloured by time, and the distance to the goal and the return over time."""
        from rlsuite_envs.mazes.pictures import drifting, episode_figure, figure_array

        colors = {str(code): color for code, color in COLORS.items()}
        grid = self._grid(states)[0]
        rows = self._rows(grid)
        goal = self._centres(states.goal[:1])
        drawn, maze, curve = episode_figure(
            rows, 1.0, drifting(self._centres(states.cell)), goal, rewards.cpu().numpy(), colors
        )
        for x, y, name in self._labels(grid):
            maze.text(x, y, name, ha="center", va="center")
        curve.step(range(len(states.t)), self._distance(states).cpu().numpy(), where="post", color="#1f77b4")
        curve.set_ylabel("moves to the goal, at least")
        return figure_array(drawn)
