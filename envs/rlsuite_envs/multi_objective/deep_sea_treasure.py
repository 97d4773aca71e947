"""A submarine that weighs the worth of a treasure against the time until it is reached."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import check_choice
from rlsuite_envs.kernel import Kernel
from rlsuite_envs.multi_objective.fronts import Choice, check_gamma, exact_front
from rlsuite_envs.multi_objective.grids import UP_DOWN_LEFT_RIGHT, grid_canvas, moved_cells, one_hot, row_and_column
from rlsuite_envs.multi_objective.pictures import episode_picture

__all__ = ["DeepSeaTreasure", "DeepSeaTreasureParams", "SeaState"]

ROCK = -10.0
"""Value of a cell of rock, as in mo-gymnasium's maps; any negative number is taken."""
FLOORS = (1, 2, 3, 4, 4, 4, 7, 7, 9, 10)
"""Rows of the treasures in columns 0, 1, ...; all below them is rock."""
CONVEX = (0.7, 8.2, 11.5, 14.0, 15.1, 16.1, 19.6, 20.3, 22.4, 23.7)
"""Treasures of Yang et al."""
CONCAVE = (1.0, 2.0, 3.0, 5.0, 8.0, 16.0, 24.0, 50.0, 74.0, 124.0)
"""Treasures of Vamplew et al."""
LARGEST = 4_096
"""Most cells of a map."""


def _sea(treasures: tuple[float, ...], left: tuple[int, ...], right: int) -> tuple[tuple[float, ...], ...]:
    """A map of 11 rows: columns of rock that begins in the rows left, those with a treasure, right columns of water."""
    columns = [[0.0 if row < floor else ROCK for row in range(11)] for floor in left]
    for floor, treasure in zip(FLOORS, treasures, strict=True):
        columns.append([0.0] * floor + [treasure] + [ROCK] * (10 - floor))
    columns += [[0.0] * 11] * right
    return tuple(tuple(column[row] for column in columns) for row in range(11))


@dataclass(frozen=True)
class DeepSeaTreasureParams:
    """Constants; the defaults are the map with a (weakly) convex front."""

    sea_map: tuple[tuple[float, ...], ...] = _sea(CONVEX, (), 1)
    """Rows of cells: 0 water, above 0 a treasure of that value, below 0 rock."""
    start: tuple[int, int] = (0, 0)
    """Row and column at the start: water from which a treasure can be reached."""
    observation: str = "position"
    """"position", "scaled" or "one-hot"; see the kernel."""

    def __post_init__(self) -> None:
        check_choice(self, "observation", ("position", "scaled", "one-hot"))
        rows = _checked_map(self.sea_map)
        object.__setattr__(self, "sea_map", rows)
        if not _is_cell(self.start, len(rows), len(rows[0])) or rows[self.start[0]][self.start[1]] != 0:
            raise ValueError(f"start={self.start!r} must be the row and the column of a cell of water (0) of the map.")
        if not _reaches_treasure(rows, self.start):
            raise ValueError(f"start={self.start!r}: no treasure of sea_map can be reached from there; open a way.")


def _checked_map(given: Any) -> tuple[tuple[float, ...], ...]:
    def number(cell: Any) -> bool:
        return isinstance(cell, int | float) and not isinstance(cell, bool) and abs(cell) <= 1e30

    rows = tuple(tuple(row) if isinstance(row, tuple | list) else () for row in given) if _listed(given) else ()
    if not rows or not rows[0] or any(len(row) != len(rows[0]) for row in rows):
        raise ValueError(f"sea_map={given!r} must be rows of numbers, all of one length.")
    if len(rows) * len(rows[0]) > LARGEST:
        raise ValueError(f"sea_map has {len(rows) * len(rows[0])} cells: at most {LARGEST}.")
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            if not number(cell):
                raise ValueError(f"sea_map[{i}][{j}]={cell!r} must be a finite number.")
    return tuple(tuple(float(cell) for cell in row) for row in rows)


def _listed(given: Any) -> bool:
    return isinstance(given, tuple | list)


def _is_cell(place: Any, height: int, width: int) -> bool:
    if not _listed(place) or len(place) != 2 or not all(type(part) is int for part in place):
        return False
    return 0 <= place[0] < height and 0 <= place[1] < width


def _reaches_treasure(rows: tuple[tuple[float, ...], ...], start: tuple[int, int]) -> bool:
    seen, queue = {tuple(start)}, deque([tuple(start)])
    while queue:
        i, j = queue.popleft()
        if rows[i][j] > 0:
            return True
        for down, right in UP_DOWN_LEFT_RIGHT:
            cell = i + down, j + right
            inside = 0 <= cell[0] < len(rows) and 0 <= cell[1] < len(rows[0])
            if inside and cell not in seen and rows[cell[0]][cell[1]] >= 0:
                seen.add(cell)
                queue.append(cell)
    return False


@dataclass(frozen=True)
class SeaState:
    """Place of the submarine."""

    cell: Tensor
    """Index of its cell, row * columns + column, [B] int64."""


class DeepSeaTreasure(Kernel[SeaState, SeaState, None]):
    """Deep-sea treasure: the farther a treasure, the more it is worth, and each step costs time.

    ## Description
    A submarine starts at the surface. Treasures lie at the bottom of the sea, the more valuable the deeper and the
    farther away. Everything is deterministic. The compromises are known exactly, one per treasure, which makes this the
    first test of a method that looks for all of them. On the concave and the mirrored map a weighted sum of the two
    objectives is best at the first or the last treasure, whatever the weights: methods that only weigh find 2 of 10.

    ## Action Space
    `Discrete(4)`: 0 up, 1 down, 2 left, 3 right. A step out of the map, or into rock, stays.

    ## Observation Space
    `observation="position"`: `Box` (2,) int32, row and column. "scaled": `Box(0, 1, (2,))` float32, row and column
    divided by the largest. "one-hot": `Box(0, 1, (rows * columns,))` float32, the cell.
    mo-gymnasium's `float_state=True` is "scaled"; on the mirrored map it divides columns by 10 and so leaves its own
    box, ours does not.

    ## Rewards
    [2]: the value of the treasure reached, else 0; -1. In this order (some texts have the other).

    ## Starting State
    The cell `start`.

    ## Episode End
    Termination: a treasure is reached. Truncation: 100 steps.

    ## Arguments
    The fields of `DeepSeaTreasureParams`. Presets: "convex" (the default), "concave", and "mirrored" (the concave map
    with a second, empty slope to the left of the start).

    Sources: Vamplew et al. 2011, Empirical evaluation methods for multiobjective reinforcement learning algorithms
    (concave map); Yang et al. 2019, arXiv 1908.08342 (convex map); Felten et al. 2022 (mirrored map). Equal to
    mo-gymnasium's `deep-sea-treasure-v0` and its variants, step for step.
    """

    params_class = DeepSeaTreasureParams
    params: DeepSeaTreasureParams
    render_fps = 4

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        sea = np.array(self.params.sea_map)
        self.height, self.width = sea.shape
        rock = {(int(i), int(j)) for i, j in np.argwhere(sea < 0)}
        self.treasure = torch.tensor(np.maximum(sea, 0.0).reshape(-1), dtype=dtype, device=self.device)
        """Value [cells] of the treasure in each cell, 0 for none."""
        self._moved = moved_cells(self.height, self.width, rock, UP_DOWN_LEFT_RIGHT).to(self.device)
        self._start = self.params.start[0] * self.width + self.params.start[1]
        self._largest = torch.tensor([max(1, self.height - 1), max(1, self.width - 1)], device=self.device)

    @property
    def observation_space(self) -> spaces.Box:
        """See the class."""
        kind = self.params.observation
        if kind == "position":
            return spaces.Box(0, max(self.height, self.width), (2,), np.int32)
        return spaces.Box(0.0, 1.0, (2,) if kind == "scaled" else (self.height * self.width,), np.float32)

    @property
    def action_space(self) -> spaces.Discrete:
        """Up, down, left, right."""
        return spaces.Discrete(4)

    @property
    def max_episode_steps(self) -> int:
        """100 steps."""
        return 100

    @property
    def reward_dim(self) -> int:
        """Two objectives."""
        return 2

    @property
    def reward_space(self) -> spaces.Box:
        """From (0, -1) to (the largest treasure, -1)."""
        kind = self._reward_dtype
        low, high = np.array([0.0, -1.0], kind), np.array([self.treasure.max().item(), -1.0], kind)
        return spaces.Box(low, high, dtype=kind)

    @property
    def objective_names(self) -> tuple[str, str]:
        """Treasure and time."""
        return "treasure", "time"

    def initial_state(self, num: int, rng: torch.Generator) -> SeaState:
        """All at the start."""
        return SeaState(torch.full((num,), self._start, device=self.device))

    def post_decision(self, state: SeaState, action: Tensor) -> tuple[SeaState, Tensor]:
        """The next state and its reward [B, 2]: nothing here is random."""
        cell = self._moved[state.cell, action]
        treasure = self.treasure[cell]
        return SeaState(cell), torch.stack((treasure, torch.full_like(treasure, -1.0)), -1)

    def transition(self, post_state: SeaState, noise: None) -> tuple[SeaState, None, Tensor]:
        """The state itself, and whether it is at a treasure."""
        return post_state, None, self.treasure[post_state.cell] > 0

    def observe(self, state: SeaState) -> Tensor:
        """See the class."""
        if self.params.observation == "one-hot":
            return one_hot(state.cell, self.height * self.width)
        place = row_and_column(state.cell, self.width)
        return place.to(torch.int32) if self.params.observation == "position" else (place / self._largest).float()

    def observe_post(self, post_state: SeaState) -> Tensor:
        """Observation of the post-decision state, which is the next state."""
        return self.observe(post_state)

    def pareto_front(self, gamma: float) -> np.ndarray:
        """The exact Pareto front of the discounted returns, over all policies that reach a treasure.

        A treasure of value v at the shortest distance of n steps gives (v gamma^(n - 1), -(1 + ... + gamma^(n - 1))).
        Discounting makes far treasures worth less: with gamma = 0.95 only 6 of the 10 of the convex map are left.

        Args:
            gamma: discount factor in [0, 1].

        Returns:
            [n, 2] float64 (treasure, time), sorted by treasure.

        Raises:
            ValueError: gamma out of range.
        """
        gamma = check_gamma(gamma)
        moved, treasure = self._moved.tolist(), [max(0.0, v) for row in self.params.sea_map for v in row]

        def choices(cell: int) -> list[Choice[int]]:
            return [
                (np.array([treasure[after], -1.0]), () if treasure[after] else ((gamma, after),))
                for after in set(moved[cell])
            ]

        return exact_front(self._start, choices, 2)

    def render(self, state_row: SeaState) -> np.ndarray:
        """The sea with its treasures and their values; the submarine is yellow."""
        side = min(50.0, 1200 / max(self.height, self.width))
        canvas = grid_canvas(self.height, self.width, "#7cc4e8", round(side * max(self.height, self.width)))
        for i, row in enumerate(self.params.sea_map):
            shade = i / max(1, self.height - 1)
            water = tuple(round(a + (b - a) * shade) for a, b in zip((150, 210, 240), (30, 80, 140), strict=True))
            canvas.rect(0, -i, self.width, -i - 1, water)
            for j, value in enumerate(row):
                if value < 0:
                    canvas.rect(j, -i, j + 1, -i - 1, "#5d4a3a")
                elif value > 0:
                    canvas.rect(j + 0.08, -i - 0.3, j + 0.92, -i - 0.92, "#e8b923", outline="#7a5c00")
                    size = side * min(0.42, 1.4 / len(f"{value:g}"))
                    canvas.text(j + 0.5, -i - 0.62, f"{value:g}", anchor="mm", size=size)
        i, j = divmod(int(state_row.cell.item()), self.width)
        x, y = j + 0.5, -i - 0.3
        canvas.rect(x - 0.07, y + 0.27, x + 0.07, y, "#f6c915", outline="black")
        angle = np.linspace(0, 2 * math.pi, 40)
        canvas.polygon(np.stack((x + 0.42 * np.cos(angle), y + 0.17 * np.sin(angle)), -1), "#f6c915", outline="black")
        canvas.disc(x + 0.18, y, 0.07, "white", outline="black")
        return canvas.array()

    def render_episode(self, states: SeaState, actions: Tensor, rewards: Tensor) -> np.ndarray:
        """The way of the submarine, coloured by time, and the returns so far."""
        last = self.render(SeaState(states.cell[-1:]))
        way = (row_and_column(states.cell, self.width).flip(-1).to(torch.float64) + 0.5).cpu().numpy()
        return episode_picture(last, (self.width, self.height), way, rewards.cpu().numpy(), self.objective_names)


DeepSeaTreasure.presets = {
    "convex": DeepSeaTreasureParams(),
    "concave": DeepSeaTreasureParams(sea_map=_sea(CONCAVE, (), 1)),
    "mirrored": DeepSeaTreasureParams(
        sea_map=_sea(CONCAVE, (11, 10, 8, 8, 5, 5, 5, 4, 3, 2), 0),
        start=(0, 10),
    ),
}
