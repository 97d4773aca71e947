"""Coverage of a grid by a sensor that moves over it: the area seen, or its weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from rlsuite_envs.checks import check_choice, check_integer, check_positive
from rlsuite_envs.coverage.densities import DENSITIES, density
from rlsuite_envs.coverage.graphs import (
    Graph,
    block_footprints,
    check_graph,
    disc_footprints,
    padded,
    twice,
)
from rlsuite_envs.coverage.grid import GraphWalk, WalkParams, WalkState
from rlsuite_envs.coverage.grid_pictures import Layers

__all__ = ["CoverageParams", "GridCoverage"]


@dataclass(frozen=True)
class CoverageParams(WalkParams):
    """Constants in addition to those of `WalkParams`; the defaults are the paper's constant coverage."""

    footprint: str = "small"
    """What is seen from a cell: "small" 2 x 2, "large" 3 x 3 (both with the cell at the upper left), or "disc"."""
    radius: float = 1.5
    """Radius of the "disc" around the cell, in cells, > 0; not the paper's, which has no metric radius."""
    sensing: Graph | None = None
    """Sensing graph: of each node, the cells seen from it. None: the footprint's."""
    density: str = "constant"
    """Weight of the cells: "constant", "bimodal", "gp" or "gorilla"; see `densities`."""
    instance: int = 0
    """Which draw of a random density ("gp", "gorilla"), >= 0; ten (0..9) make the benchmark."""
    weights: tuple[float, ...] | None = None
    """Own weight of each cell [N], >= 0, instead of the density's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "footprint", ("small", "large", "disc"))
        check_positive(self, "radius")
        check_choice(self, "density", DENSITIES)
        check_integer(self, "instance", 0)
        if self.sensing is not None:
            check_graph("sensing", self.sensing, self.nodes, least=0, distinct=True)
        if self.weights is not None:
            check_weights(self.weights, self.nodes)

    @property
    def most_nodes(self) -> int:
        """As of any walk; less where the weights are drawn with a covariance matrix over the cells."""
        return 5000 if self.density == "gp" and self.weights is None else super().most_nodes

    @property
    def footprints(self) -> Graph:
        """The sensing graph."""
        if self.sensing is not None:
            return self.sensing
        if self.footprint == "disc":
            return disc_footprints(self.rows, self.cols, self.walls, radius=self.radius)
        small = block_footprints(self.rows, self.cols, self.walls)
        return small if self.footprint == "small" else twice(small)

    @property
    def cell_weights(self) -> np.ndarray:
        """Weight of each cell, [N] float64."""
        if self.weights is not None:
            return np.array(self.weights, dtype=np.float64)
        return density(self.density, self.rows, self.cols, self.instance)


def check_weights(weights: Any, nodes: int) -> None:
    """Raise ValueError unless weights is a tuple of N finite numbers >= 0, not all 0."""
    if not isinstance(weights, tuple) or len(weights) != nodes:
        size = len(weights) if isinstance(weights, tuple | list) else type(weights).__name__
        raise ValueError(f"weights has size {size} but must be a tuple of {nodes} (rows * cols) numbers.")
    for cell, weight in enumerate(weights):
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 <= weight < float("inf"):
            raise ValueError(f"weights[{cell}]={weight!r} must be a finite number of at least 0.")
    if not any(weights):
        raise ValueError("weights are all 0: nothing can be covered; give some cell a weight above 0.")


class GridCoverage(GraphWalk):
    """Cover as much weight of a grid as possible with a sensor that sees a small block of cells.

    ## Description
    The agent moves on a grid (or any directed motion graph). From each cell it sees a footprint of cells (or
    any directed sensing graph). F(S) is the weight of all cells seen so far: a cell counts once.

    ## Action Space
    `Discrete(5)`: 0 stay, 1 right, 2 down, 3 left, 4 up; a move into a wall or over the border stays.
    With probability `slip` a uniformly drawn action is taken instead.

    ## Observation Space
    `Box(0, 1)` float32, by `observation`:

    - "covered" (the default; Markov): row / (rows - 1), col / (cols - 1), time left / horizon, and of every cell
      1 where it was seen, else 0: [3 + N].
    - "state_time": the first three only, SubPO-M's view (the release gives raw node number and time).
    - "history": time left, then row and column of the visited cells, the latest first, -1 where there is
      none yet: [1 + 2 (horizon + 1)] in [-1, 1], SubPO-NM's view.

    ## Rewards
    The weight newly seen: F(S + s) - F(S). With `reward="modular"`, the weight in the footprint, however often seen.

    ## Starting State
    Cell `start`, whose footprint counts in F(S) but is not rewarded.

    ## Episode End
    Truncation after `horizon` moves; no termination.

    `info`: "set_value" F(S), "modular_value" (each visit's footprint anew), "place" (row, col).
    Constant weights are worth at most 4 + 2 horizon with the small footprint, 9 + 3 horizon with the large one.

    ## Arguments
    The fields of `CoverageParams`. Presets: "bimodal", "gp", "gorilla" (40 states each), "large" (3 x 3).

    ## Source
    Prajapat et al., arXiv 2307.13372, section 5 and code. Its Gorilla densities are not public: "gorilla" is a
    synthetic density with two clusters.

    ## Version History
    v0: first.
    """

    params_class = CoverageParams
    presets: ClassVar[Mapping[str, Any]] = {
        "bimodal": CoverageParams(density="bimodal", horizon=39),
        "gp": CoverageParams(density="gp", horizon=39),
        "gorilla": CoverageParams(density="gorilla", horizon=39),
        "large": CoverageParams(footprint="large"),
    }

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        cells, real = padded(self.params.footprints)
        self.cells = torch.tensor(cells, device=self.device)
        # A node that senses nothing is padded with cell 0, which it must not mark; None where all sense something.
        senses = torch.tensor(real.any(1), device=self.device)
        self._senses = None if real.any(1).all() else senses.unsqueeze(1)
        weights = self._weights_of(cells) * real
        self.footprint_weights = torch.tensor(weights, dtype=self.dtype, device=self.device)
        self.footprint_sums = self.footprint_weights.sum(1)

    @property
    def value_label(self) -> str:
        """Name of the quantity that F measures."""
        constant = self.params.weights is None and self.params.density == "constant"
        return "cells seen" if constant else "weight seen"

    def layers(self, state_row: WalkState) -> Layers:
        """The weights and what was seen of them."""
        weights = self.params.cell_weights
        if self.value_label == "cells seen":
            weights = np.zeros_like(weights)
        return Layers(weights, state_row.seen[0].cpu().numpy())

    def _weights_of(self, cells: np.ndarray) -> np.ndarray:
        return self.params.cell_weights[cells]

    @property
    def set_size(self) -> int:
        """N: one number per cell."""
        return self.params.nodes

    def empty_set(self, num: int, rng: torch.Generator) -> Any:
        """No cell seen, [B, N] bool."""
        return torch.zeros((num, self.params.nodes), dtype=torch.bool, device=self.device)

    def gain(self, seen: Any, node: Tensor, t: Tensor) -> Tensor:
        """Weight of the footprint's cells that were not seen."""
        return self._new_weight(seen, self.cells[node], node)

    def _new_weight(self, seen: Tensor, cells: Tensor, node: Tensor) -> Tensor:
        return self.footprint_weights[node].masked_fill(seen.gather(1, cells), 0.0).sum(1)

    def include(self, seen: Any, node: Tensor, t: Tensor) -> tuple[Any, Tensor]:
        """The footprint's cells are seen."""
        cells = self.cells[node]
        return self._mark(seen, cells, node), self._new_weight(seen, cells, node)

    def _mark(self, seen: Tensor, cells: Tensor, node: Tensor) -> Tensor:
        """Cells seen [B, N] with the footprints' cells [B, K] of nodes [B] among them."""
        if self._senses is None:
            return seen.scatter(1, cells, True)
        return seen.scatter(1, cells, seen.gather(1, cells) | self._senses[node])

    def node_value(self, seen: Any, node: Tensor) -> Tensor:
        """Weight of the footprint."""
        return self.footprint_sums[node]

    def write_set(self, seen: Any, out: Tensor) -> None:
        """Write 1 for each seen cell, 0 for the others, into out [B, N]."""
        out.copy_(seen.view(torch.uint8))  # torch converts bytes several times faster than booleans
