"""Collecting items of several kinds, of each kind some: the covering version of Steiner trees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlsuite_envs.checks import check_integer
from rlsuite_envs.coverage.graphs import Graph, check_graph, padded
from rlsuite_envs.coverage.grid import GraphWalk, WalkParams, WalkState
from rlsuite_envs.coverage.grid_pictures import Layers

__all__ = ["ItemCollection", "ItemParams", "ItemSet"]

SEED = 4
"""First half of the seeds of the item maps (the second is the instance); the densities use 0 to 3."""


@dataclass(frozen=True)
class ItemParams(WalkParams):
    """Constants in addition to those of `WalkParams`; the defaults are the paper's."""

    rows: int = 7
    """Rows of the grid, >= 1."""
    cols: int = 15
    """Columns of the grid, >= 1."""
    horizon: int = 39
    """Moves of an episode, >= 1."""
    group_sizes: tuple[int, ...] = (18, 14, 13, 16, 18, 14)
    """Items of each group, each >= 1, on cells of their own; together at most the open cells."""
    needed: tuple[int, ...] = (3, 2, 3, 4, 6, 3)
    """Items of each group that count, d_g >= 1, at most the group's size."""
    instance: int = 0
    """Which random placing of the items, >= 0; ten (0..9) make the benchmark."""
    items: tuple[int, ...] | None = None
    """Own map: the group of each cell's item [N], -1 for none. None: drawn; group_sizes is unused with a map."""
    sensing: Graph | None = None
    """Sensing graph: of each node, the cells whose items it collects. None: its own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer(self, "instance", 0)
        if self.sensing is not None:
            check_graph("sensing", self.sensing, self.nodes, least=0, distinct=True)
        _check_counts("group_sizes", self.group_sizes)
        _check_counts("needed", self.needed)
        if self.items is None:
            self._check_sizes()
        else:
            self._check_items(self.items)
        for group, (needed, size) in enumerate(zip(self.needed, self.sizes, strict=True)):
            if needed > size:
                raise ValueError(f"needed[{group}]={needed} must be at most the {size} items of that group.")

    def _check_sizes(self) -> None:
        if len(self.group_sizes) != len(self.needed):
            raise ValueError(
                f"group_sizes has {len(self.group_sizes)} groups but needed has {len(self.needed)}: "
                "give one number of each per group."
            )
        room = self.nodes - len(set(self.walls))
        if sum(self.group_sizes) > room:
            raise ValueError(
                f"group_sizes={self.group_sizes} are {sum(self.group_sizes)} items but only {room} cells are open."
            )

    def _check_items(self, items: Any) -> None:
        groups = len(self.needed)
        if not isinstance(items, tuple) or len(items) != self.nodes:
            raise ValueError(f"items must be a tuple of {self.nodes} (rows * cols) group numbers; got {items!r}.")
        for cell, group in enumerate(items):
            if not isinstance(group, int) or isinstance(group, bool) or not -1 <= group < groups:
                raise ValueError(f"items[{cell}]={group!r} must be a group in 0..{groups - 1}, or -1 for none.")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Items of each group."""
        if self.items is None:
            return self.group_sizes
        return tuple(self.items.count(group) for group in range(len(self.needed)))

    @property
    def item_map(self) -> np.ndarray:
        """Group of each cell's item, -1 for none, [N] int64."""
        if self.items is not None:
            return np.array(self.items, dtype=np.int64)
        closed = tuple(sorted(row * self.cols + col for row, col in set(self.walls)))
        return _placed(self.nodes, closed, self.group_sizes, self.instance).copy()

    @property
    def footprints(self) -> Graph:
        """The sensing graph."""
        return tuple((node,) for node in range(self.nodes)) if self.sensing is None else self.sensing


def _check_counts(name: str, counts: Any) -> None:
    whole = isinstance(counts, tuple) and all(type(count) is int and count >= 1 for count in counts)
    if not whole or not counts:
        raise ValueError(f"{name}={counts!r} must be a tuple of integers of at least 1, one per group.")


@lru_cache(maxsize=64)
def _placed(nodes: int, closed: tuple[int, ...], sizes: tuple[int, ...], instance: int) -> np.ndarray:
    """Items on random distinct open cells, [N] int64."""
    open_cells = np.setdiff1d(np.arange(nodes), closed)
    chosen = np.random.default_rng([SEED, instance]).permutation(open_cells)[: sum(sizes)]
    groups = np.full(nodes, -1, dtype=np.int64)
    groups[chosen] = np.repeat(np.arange(len(sizes)), sizes)
    return groups


@dataclass(frozen=True)
class ItemSet:
    """The items collected."""

    taken: Tensor
    """Cells whose item was collected, [B, N] bool."""
    counts: Tensor
    """Items collected of each group, [B, G] int64."""


class ItemCollection(GraphWalk):
    """Collect enough items of every group: F(S) = sum over groups of min(items of the group visited, needed).

    ## Description
    Items of six groups lie on the cells of a grid, at most one per cell. Of group g only the first d_g items
    count, so that the agent must vary its diet: worth 3 + 2 + 3 + 4 + 6 + 3 = 21 at most.

    ## Action Space
    `Discrete(5)`: 0 stay, 1 right, 2 down, 3 left, 4 up; a move into a wall or over the border stays.
    With probability `slip` a uniformly drawn action is taken instead.

    ## Observation Space
    `Box(0, 1)` float32, by `observation`:

    - "covered" (the default; Markov): row / (rows - 1), col / (cols - 1), time left / horizon, of every cell 1
      where its item was collected, and of every group min(collected, needed) / needed: [3 + N + G].
    - "state_time": the first three only.
    - "history": time left, then row and column of the visited cells, the latest first, -1 where there is none yet.

    The map is a constant of the environment (`instance`, or `items`) and is not in the observation.

    ## Rewards
    What the items newly collected add to F. With `reward="modular"`, 1 for every visit to a cell with an item.

    ## Starting State
    Cell `start`, whose item counts in F(S) but is not rewarded.

    ## Episode End
    Truncation after `horizon` moves; no termination.

    `info`: "set_value" F(S), "modular_value", "place" (row, col).

    ## Arguments
    The fields of `ItemParams`.

    ## Source
    Prajapat et al., arXiv 2307.13372, "item collection" (code: steiner); sizes and needs of its configurations,
    positions from seeds of our own.

    ## Version History
    v0: first.
    """

    params_class = ItemParams
    value_label = "items that count"

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        p = self.params
        cells, real = padded(p.footprints)
        self.items = p.item_map
        group = np.where(real, self.items[cells], -1)
        belongs = group[:, :, None] == np.arange(len(p.needed))
        self.cells = torch.tensor(cells, device=self.device)
        # Of each node and cell of its footprint, whether an item of each group lies there: [N, K, G].
        self.belongs = torch.tensor(belongs, device=self.device)
        self.item_counts = torch.tensor((group >= 0).sum(1), dtype=self.dtype, device=self.device)
        self.needed = torch.tensor(p.needed, device=self.device)

    def layers(self, state_row: WalkState) -> Layers:
        """The items by group, and which were collected."""
        taken = state_row.seen.taken[0].cpu().numpy()
        return Layers(np.zeros(self.params.nodes), np.zeros_like(taken), self.items, taken)

    @property
    def set_size(self) -> int:
        """N + G: the cells' items, and how much of each group's need is met."""
        return self.params.nodes + len(self.params.needed)

    def empty_set(self, num: int, rng: torch.Generator) -> ItemSet:
        """The set without an item, num times."""
        taken = torch.zeros((num, self.params.nodes), dtype=torch.bool, device=self.device)
        return ItemSet(taken, torch.zeros((num, len(self.params.needed)), dtype=torch.int64, device=self.device))

    def _found(self, seen: ItemSet, node: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Cells of the footprint [B, K], which hold a new item [B, K], and the new counts [B, G]."""
        cells = self.cells[node]
        new = self.belongs[node] & ~seen.taken.gather(1, cells).unsqueeze(-1)
        return cells, new.any(-1), seen.counts + new.sum(1)

    def _worth(self, counts: Tensor) -> Tensor:
        return torch.minimum(counts, self.needed).sum(1)

    def gain(self, seen: ItemSet, node: Tensor, t: Tensor) -> Tensor:
        """Gain [B] of the footprint's items that were not collected before."""
        return (self._worth(self._found(seen, node)[2]) - self._worth(seen.counts)).to(self.dtype)

    def include(self, seen: ItemSet, node: Tensor, t: Tensor) -> tuple[ItemSet, Tensor]:
        """The footprint's items are collected."""
        cells, new, counts = self._found(seen, node)
        gain = (self._worth(counts) - self._worth(seen.counts)).to(self.dtype)
        # A padded cell repeats a real one without an item: adding (not setting) keeps what that one says.
        taken = seen.taken.view(torch.uint8).scatter_add(1, cells, new.view(torch.uint8))
        return ItemSet(taken.view(torch.bool), counts), gain

    def node_value(self, seen: ItemSet, node: Tensor) -> Tensor:
        """Items in the footprint (F of it alone, but for groups that need fewer than it has)."""
        return self.item_counts[node]

    def write_set(self, seen: ItemSet, out: Tensor) -> None:
        """1 where an item was collected, then the groups' fractions."""
        nodes = self.params.nodes
        out[:, :nodes] = seen.taken.view(torch.uint8)
        out[:, nodes:] = torch.minimum(seen.counts, self.needed) / self.needed
