"""What an agent sees of a grid world, in MiniGrid's symbolic encoding.

A cell is a small code here, and MiniGrid's triple (object, colour, state) only in the observation. As there,
views are indexed [x, y]: column first.

Source: MiniGrid (Chevalier-Boisvert et al. 2023, arXiv 2306.13831), whose views these equal.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["AGENT", "CLOSED", "EMPTY", "GOAL", "KEY", "LOCKED", "OPEN", "WALL", "GridViews"]

UNSEEN, EMPTY, WALL, GOAL, KEY, OPEN, CLOSED, LOCKED, AGENT = range(9)
"""Codes of cells; a door is OPEN, CLOSED or LOCKED, an agent AGENT + its direction."""
TRIPLES = (
    (0, 0, 0),
    (1, 0, 0),
    (2, 5, 0),
    (8, 1, 0),
    (5, 4, 0),
    (4, 4, 0),
    (4, 4, 1),
    (4, 4, 2),
    *((10, 0, direction) for direction in range(4)),
)
"""MiniGrid's encoding of the codes."""
DIRECTIONS = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""(x, y) of right, down, left, up: MiniGrid's order."""


class GridViews:
    """Views of grids of one size.

    Args:
        height: rows of the grid.
        width: its columns.
        view_size: cells V that an agent sees ahead, and across; odd.
        see_through_walls: whether walls and closed doors hide nothing.
        device: of the tensors.
    """

    def __init__(self, height: int, width: int, view_size: int, see_through_walls: bool, device: torch.device) -> None:
        self.height = height
        self.width = width
        self.view_size = view_size
        self.triples = torch.tensor(TRIPLES, dtype=torch.uint8, device=device)
        opaque = (WALL, CLOSED, LOCKED)
        self.clear = torch.tensor([code not in opaque for code in range(len(TRIPLES))], device=device).long()
        # Where view cell (i, j), numbered i V + j, lies from the agent, for each direction it may look in.
        offsets = [
            [
                ((v - 1 - j) * dx - (i - v // 2) * dy, (v - 1 - j) * dy + (i - v // 2) * dx)
                for v in (view_size,)
                for i in range(v)
                for j in range(v)
            ]
            for dx, dy in DIRECTIONS
        ]
        self.offsets = torch.tensor(offsets, device=device)
        self.spread = None if see_through_walls else torch.from_numpy(_spread_table(view_size)).to(device)
        self.bits = torch.arange(view_size, device=device)

    def whole(self, grid: Tensor, cell: Tensor, direction: Tensor) -> Tensor:
        """The whole grid with the agent in it, [B, W, H, 3] uint8.

        Args:
            grid: codes [B, H * W].
            cell: the agent's, [B].
            direction: it looks in, [B].
        """
        grid = grid.scatter(1, cell[:, None], (AGENT + direction)[:, None].to(grid.dtype))
        return self.triples[grid.long()].reshape(-1, self.height, self.width, 3).transpose(1, 2).contiguous()

    def ahead(self, grid: Tensor, cell: Tensor, direction: Tensor, held: Tensor) -> Tensor:
        """What lies ahead of the agent, [B, V, V, 3] uint8, turned such that it looks up from [V // 2, V - 1].

        Args:
            grid: codes [B, H * W].
            cell: the agent's, [B].
            direction: it looks in, [B].
            held: code [B] shown in its own place: KEY if it carries one, else EMPTY.
        """
        v = self.view_size
        offset = self.offsets[direction]
        x = (cell % self.width)[:, None] + offset[..., 0]
        y = torch.div(cell, self.width, rounding_mode="floor")[:, None] + offset[..., 1]
        inside = (x >= 0) & (x < self.width) & (y >= 0) & (y < self.height)
        place = (y * self.width + x).masked_fill(~inside, 0)
        seen = grid.gather(1, place).long().masked_fill(~inside, WALL)
        if self.spread is not None:
            seen = seen * self._visible(self.clear[seen])
        own = (v // 2) * v + v - 1
        seen = torch.cat((seen[:, :own], held[:, None].long(), seen[:, own + 1 :]), dim=1)
        return self.triples[seen].reshape(-1, v, v, 3)

    def _visible(self, clear: Tensor) -> Tensor:
        """Which view cells are seen, [B, V * V] of 0 and 1, given which let light through.

        Light spreads row by row, from the agent's away from it. How it spreads within a row and into the next
        is looked up, in a table over the lit and the clear cells of a row as bits.
        """
        assert self.spread is not None
        v = self.view_size
        clear_bits = (clear.reshape(-1, v, v) << self.bits[:, None]).sum(1)  # [B, row j]
        lit = torch.full_like(clear_bits[:, 0], 1 << (v // 2))
        rows = []
        for j in reversed(range(v)):
            spread = self.spread[(lit << v) | clear_bits[:, j]]
            rows.append(spread & ((1 << v) - 1))
            lit = spread >> v
        lit_bits = torch.stack(rows[::-1], dim=1)
        return ((lit_bits[:, None, :] >> self.bits[:, None]) & 1).reshape(-1, v * v)


def _spread_table(v: int) -> np.ndarray:
    """How light spreads in a row of v cells, [4^v] int64, by lit * 2^v + clear, all as bits.

    The result has the lit cells of the row in its lower v bits and those of the next row in the upper ones.
    A lit, clear cell lights its neighbour to the right, and both their successors in the next row; after that
    the same to the left.
    """
    index = np.arange(4**v)
    lit = [((index >> v) >> i) & 1 for i in range(v)]
    clear = [(index >> i) & 1 for i in range(v)]
    ahead = [np.zeros_like(index) for _ in range(v)]
    for order, step in ((range(v - 1), 1), (range(v - 1, 0, -1), -1)):
        for i in order:
            passes = lit[i] & clear[i]
            lit[i + step] = lit[i + step] | passes
            ahead[i + step] |= passes
            ahead[i] |= passes
    row = sum(bit << i for i, bit in enumerate(lit))
    return np.asarray(row + (sum(bit << i for i, bit in enumerate(ahead)) << v))
