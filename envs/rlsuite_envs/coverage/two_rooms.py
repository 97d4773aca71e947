"""Two rooms and a corridor: coverage where walls cut what the sensor sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from rlsuite_envs.coverage.grid_coverage import CoverageParams, GridCoverage

__all__ = ["TwoRooms", "TwoRoomsParams"]


@dataclass(frozen=True)
class TwoRoomsParams(CoverageParams):
    """Constants of `CoverageParams`; the defaults are the release's building."""

    rows: int = 7
    """Rows of the grid, >= 1."""
    cols: int = 14
    """Columns of the grid, >= 1."""
    walls: tuple[tuple[int, int], ...] = tuple((row, col) for row in (0, 1, 4, 5, 6) for col in range(4, 10))
    """Closed cells (row, col): between the rooms but for a corridor of two rows."""
    horizon: int = 39
    """Moves of an episode, >= 1."""


class TwoRooms(GridCoverage):
    """Cover two rooms, starting in the corridor that joins them: a policy must remember which room is done.

    ## Description
    Rooms of 7 x 4 cells at the left (columns 0-3) and at the right (columns 10-13), joined by a corridor of rows
    2-3: 68 open cells, the deepest 11 moves from the start. F(S) is the number of cells seen, and the walls cut
    the footprints.

    ## Action Space
    `Discrete(5)` as of `GridCoverage`: stay, right, down, left, up; a move into a wall stays.

    ## Observation Space
    As of `GridCoverage`, with N = 98. With "state_time" the corridor looks the same on the way to the first room
    and to the second but for the time, which is what the environment is for.

    ## Rewards
    Cells newly seen.

    ## Starting State
    Node 34: row 2, column 6, in the corridor.

    ## Episode End
    Truncation after 39 moves; no termination.

    ## Arguments
    The fields of `TwoRoomsParams`.

    ## Source
    Prajapat et al., arXiv 2307.13372, "building" (code: two_rooms).

    ## Version History
    v0: first.
    """

    params_class = TwoRoomsParams
    presets: ClassVar[Mapping[str, Any]] = {}
