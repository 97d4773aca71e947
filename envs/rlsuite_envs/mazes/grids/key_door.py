"""A room, a key, a locked door, and the goal behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from rlsuite_envs.checks import check_integer
from rlsuite_envs.mazes.grids.grid_views import CLOSED, EMPTY, GOAL, KEY, LOCKED, OPEN
from rlsuite_envs.mazes.grids.grid_world import (
    DROP,
    FORWARD,
    PICK_UP,
    TOGGLE,
    GridState,
    GridWorld,
    GridWorldParams,
)

__all__ = ["KeyDoor", "KeyDoorParams", "KeyDoorState"]


@dataclass(frozen=True)
class KeyDoorParams(GridWorldParams):
    """Constants."""

    size: int = 6
    """Rows and columns, 5..32, walls included."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer(self, "size", 5, 32)


@dataclass(frozen=True)
class KeyDoorState(GridState):
    """Fields of `GridState` (`layout` numbers the column of the inner wall, from 2 on), key and door."""

    key: Tensor
    """Cell of the key, -1 while the agent carries it, [B] int64."""
    door: Tensor
    """Cell of the door, [B] int64."""
    door_code: Tensor
    """OPEN, CLOSED or LOCKED of `grid_views`, [B] int64."""


class KeyDoor(GridWorld[KeyDoorState]):
    """Fetch the key, open the door, reach the goal.

    ## Description
    A wall splits a square room; in it is a locked door. The key lies on the agent's side, the goal in the
    lower right corner of the other.

    ## Action Space
    `actions="moves"`: `Discrete(4)`: 0 left, 1 down, 2 right, 3 up. Walking onto the key picks it up, walking
    into the locked door with the key opens it.
    `actions="minigrid"`: `Discrete(7)`: 0 turn left, 1 turn right, 2 forward, 3 pick up, 4 drop, 5 toggle (the
    door ahead), 6 nothing. The key is in the way until it is picked up.

    ## Observation Space
    As in `GridMaze`; planes: walls, agent (one, or four for MiniGrid's actions), goal, key (nothing while it is
    carried), door (0 open, 1/2 closed, 1 locked). Coordinates: `Box(-1, 1, (10,))`: row and column of agent,
    goal, key (the agent's own while it is carried) and door; 1 while the key is carried, else -1; door -1
    open, 0 closed, 1 locked; with MiniGrid's actions two more for where the agent looks.

    ## Rewards
    1 - 0.9 t / horizon at the goal, t counting the steps; else 0.

    ## Starting State
    Column of the wall uniform in 2..size - 3; row of the door uniform in 1..size - 3; agent and key uniform
    in different cells left of the wall; any direction.

    ## Episode End
    Termination: at the goal. Truncation: `horizon` steps, 10 size^2 by default (as in MiniGrid).

    ## Info
    `success` [B] bool; `distance` [B], moves to the goal by way of key and door (a dropped key in the way and
    turns do not count); `behaviour` [B, 2], row and column; `has_key`, `door_open` [B] bool.

    ## Arguments
    The fields of `KeyDoorParams`. Presets: 5x5, 6x6, 8x8, 16x16.

    Source: MiniGrid's DoorKey (Chevalier-Boisvert et al. 2023, arXiv 2306.13831).
    """

    params_class = KeyDoorParams
    params: KeyDoorParams
    object_planes: ClassVar[tuple[str, ...]] = ("goal", "key", "door")
    _extra_coordinates = 2

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        size = self.params.size
        walls = np.zeros((size - 4, size, size), dtype=bool)
        walls[:, [0, -1], :] = walls[:, :, [0, -1]] = True
        walls[np.arange(size - 4), :, np.arange(2, size - 2)] = True
        self._lay_out(walls, 10 * size**2)

    def initial_state(self, num: int, rng: torch.Generator) -> KeyDoorState:
        """Wall, door, agent and key."""
        size = self.params.size

        def whole(count: Tensor | int) -> Tensor:
            """Integers [B] uniform in 0..count - 1."""
            draws = torch.rand(num, generator=rng, device=self.device, dtype=torch.float64)
            return (draws * count).long()

        layout = whole(size - 4)
        door = (1 + whole(size - 3)) * size + layout + 2
        columns = layout + 1  # left of the wall
        agent = whole(columns * (size - 2))
        key = whole(columns * (size - 2) - 1)
        key = key + (key >= agent)
        agent, key = (
            (torch.div(spot, columns, rounding_mode="floor") + 1) * size + spot % columns + 1 for spot in (agent, key)
        )
        direction = whole(4)
        goal = torch.full_like(agent, (size - 2) * size + size - 2)
        locked = torch.full_like(agent, LOCKED)
        return KeyDoorState(agent, direction, goal, layout, torch.zeros_like(agent), key, door, locked)

    def _act(self, state: KeyDoorState, action: Tensor, direction: Tensor, target: Tensor) -> KeyDoorState:
        s = state
        blocked = self.walls[s.layout, target]
        at_key, at_door, carries = target == s.key, target == s.door, s.key < 0
        if self.params.actions == "moves":
            key = torch.where(at_key, -1, s.key)
            door_code = torch.where(at_door & carries, OPEN, s.door_code)
            enters = ~blocked | (at_door & (door_code == OPEN))
        else:
            picks = (action == PICK_UP) & at_key
            drops = (action == DROP) & carries & ~blocked & (target != s.goal)
            key = torch.where(picks, -1, torch.where(drops, target, s.key))
            toggles = (action == TOGGLE) & at_door
            opens = toggles & ((s.door_code == CLOSED) | ((s.door_code == LOCKED) & carries))
            closes = toggles & (s.door_code == OPEN)
            door_code = torch.where(opens, OPEN, torch.where(closes, CLOSED, s.door_code))
            enters = (~blocked & ~at_key) | (at_door & (s.door_code == OPEN))
            enters = enters & (action == FORWARD)
        cell = torch.where(enters, target, s.cell)
        return KeyDoorState(cell, direction, s.goal, s.layout, s.t + 1, key, s.door, door_code)

    def _objects(self, state: KeyDoorState) -> list[tuple[Tensor, Tensor | int, Tensor | None]]:
        return [
            (state.goal, GOAL, None),
            (state.key, KEY, state.key >= 0),
            (state.door, state.door_code, None),
        ]

    def _wall_at(self, state: KeyDoorState, cells: Tensor) -> Tensor:
        way = (cells == state.door[:, None]) & (state.door_code == OPEN)[:, None]
        return super()._wall_at(state, cells) & ~way

    def _held(self, state: KeyDoorState) -> Tensor:
        return torch.where(state.key < 0, KEY, EMPTY)

    def _coordinates(self, state: KeyDoorState) -> list[Tensor]:
        carried = (state.key < 0).to(torch.float32) * 2 - 1
        return [*super()._coordinates(state), carried, state.door_code - float(CLOSED)]

    def _distance(self, state: KeyDoorState) -> Tensor:
        # Both rooms are convex: within one, the shortest way is as long as the Manhattan distance.
        s = state
        door_to_goal = self._manhattan(s.door, s.goal)
        via_door = self._manhattan(s.cell, s.door) + door_to_goal
        key = torch.where(s.key < 0, s.cell, s.key)
        via_key = self._manhattan(s.cell, key) + self._manhattan(key, s.door) + door_to_goal
        left = s.cell % self.width < s.layout + 2
        needs_key = (s.door_code == LOCKED) & (s.key >= 0)
        far = torch.where(needs_key, via_key, via_door)
        return torch.where(left, far, self._manhattan(s.cell, s.goal))

    def _manhattan(self, a: Tensor, b: Tensor) -> Tensor:
        (row, column), (other_row, other_column) = self._row_and_column(a), self._row_and_column(b)
        return (row - other_row).abs() + (column - other_column).abs()

    def info(self, state: KeyDoorState) -> dict[str, Tensor]:
        """Info of `GridMaze`, and whether the agent carries the key and the door is open."""
        return {**super().info(state), "has_key": state.key < 0, "door_open": state.door_code == OPEN}


KeyDoor.presets = {f"{size}x{size}": KeyDoorParams(size=size) for size in (5, 6, 8, 16)}
