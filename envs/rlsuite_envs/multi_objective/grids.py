"""What the grids with many objectives share: moves, cells in pictures, and one-hot cells."""

from __future__ import annotations

from collections.abc import Container

import torch
from torch import Tensor

from rlsuite_envs.drawing import Canvas

__all__ = ["UP_DOWN_LEFT_RIGHT", "grid_canvas", "moved_cells", "one_hot", "row_and_column"]

UP_DOWN_LEFT_RIGHT = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""(rows, columns) of the actions 0..3."""


def moved_cells(
    height: int, width: int, blocked: Container[tuple[int, int]], moves: tuple[tuple[int, int], ...]
) -> Tensor:
    """Where each move leads from each cell, [height * width, number of moves] int64.

    A cell is its row * width + its column. What would leave the grid, or enter a blocked cell, stays.
    """
    table = torch.empty(height * width, len(moves), dtype=torch.int64)
    for i in range(height):
        for j in range(width):
            for action, (down, right) in enumerate(moves):
                row, column = i + down, j + right
                stays = not (0 <= row < height and 0 <= column < width) or (row, column) in blocked
                table[i * width + j, action] = i * width + j if stays else row * width + column
    return table


def row_and_column(cell: Tensor, width: int) -> Tensor:
    """Row and column [..., 2] int64 of cells [...]."""
    return torch.stack((torch.div(cell, width, rounding_mode="floor"), cell % width), -1)


def one_hot(index: Tensor, size: int) -> Tensor:
    """Ones at index [B] in rows of zeros, [B, size] float32."""
    return torch.nn.functional.one_hot(index, size).to(torch.float32)


def grid_canvas(height: int, width: int, background: str, pixels: int = 480) -> Canvas:
    """A canvas on which cell (row, column) is the unit square with its upper left corner at (column, -row).

    Args:
        height: rows.
        width: columns.
        background: its colour.
        pixels: of the longer side.
    """
    scale = pixels / max(height, width)
    return Canvas(round(width * scale), round(height * scale), (0.0, width), (-height, 0.0), background)
