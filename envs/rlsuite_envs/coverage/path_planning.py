"""Informative path planning: coverage of density maps that the agent is shown, a new one each episode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from rlsuite_envs.checks import MOST, check_choice, check_integer
from rlsuite_envs.coverage.densities import density
from rlsuite_envs.coverage.grid import WalkState
from rlsuite_envs.coverage.grid_coverage import CoverageParams, GridCoverage
from rlsuite_envs.coverage.grid_pictures import Layers

__all__ = ["MapSet", "PathParams", "PathPlanning"]


@dataclass(frozen=True)
class PathParams(CoverageParams):
    """Constants in addition to those of `CoverageParams`."""

    horizon: int = 39
    """Moves of an episode, >= 1."""
    density: str = "gp"
    """Kind of the maps: "gp" (biodiversity, a draw of a Gaussian process) or "gorilla" (two clusters)."""
    instances: int = 10
    """Number of maps, >= 1: each episode takes one of instances 0, 1, ... at random."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer(self, "instances", 1, MOST)
        check_choice(self, "density", ("gp", "gorilla"))
        if self.weights is not None:
            raise ValueError("weights must be None: the maps are drawn; use GridCoverage for a map of your own.")
        if self.instance:
            raise ValueError(f"instance={self.instance!r} must be 0: maps 0..instances - 1 are drawn per episode.")


@dataclass(frozen=True)
class MapSet:
    """A map and what was seen of it."""

    seen: Tensor
    """Cells seen, [B, N] bool."""
    instance: Tensor
    """Number of the map, [B] int64 in [0, instances)."""


class PathPlanning(GridCoverage):
    """Plan a path over a density map, drawn anew each episode and shown: cover as much of its weight as possible.

    ## Description
    `GridCoverage` with one of `instances` maps per episode. The observation is the weight left to cover, so that
    one policy plans for all maps, and can be tried on maps it was not trained on (`instances=20` after 10).

    ## Action Space
    `Discrete(5)`: 0 stay, 1 right, 2 down, 3 left, 4 up; a move into a wall or over the border stays.
    With probability `slip` a uniformly drawn action is taken instead.

    ## Observation Space
    As of `GridCoverage`, but "covered" gives of every cell its weight while it is unseen, divided by the largest
    weight of all maps, and 0 once it was seen. ("state_time" and "history" do not show the map.)

    ## Rewards
    The weight newly seen.

    ## Starting State
    Cell `start`; the map is drawn uniformly.

    ## Episode End
    Truncation after `horizon` moves; no termination.

    `info`: "set_value" F(S), "modular_value", "place" (row, col).

    ## Arguments
    The fields of `PathParams`. Preset: "gorilla".

    ## Source
    Prajapat et al., arXiv 2307.13372: informative path planning and biodiversity monitoring as weighted coverage,
    with ten stored draws; there each policy is trained on one of them (`GridCoverage`, preset "gp").

    ## Version History
    v0: first.
    """

    params_class = PathParams
    presets: ClassVar[Mapping[str, Any]] = {"gorilla": PathParams(density="gorilla")}

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        p = self.params
        maps = np.stack([density(p.density, p.rows, p.cols, i) for i in range(p.instances)])
        closed = [row * p.cols + col for row, col in p.walls]
        maps[:, closed] = 0.0
        self.maps = torch.tensor(maps, dtype=self.dtype, device=self.device)
        # Rows of observations with the untouched map, so that a step copies each row once.
        shown = (self.maps / self.maps.max()).to(torch.float32)
        self.shown = torch.nn.functional.pad(shown, (max(0, self._width - p.nodes), 0))
        # The weights of GridCoverage's footprints were those of one map; here they only say which cells are real.
        self.real = self.footprint_weights > 0
        self.map_sums = (self.maps[:, self.cells] * self.real).sum(-1)

    def layers(self, state_row: WalkState) -> Layers:
        """The map of the episode and what was seen of it."""
        weights = self.maps[state_row.seen.instance[0]].cpu().numpy()
        return Layers(weights, state_row.seen.seen[0].cpu().numpy())

    def _weights_of(self, cells: np.ndarray) -> np.ndarray:
        return np.ones(cells.shape)

    def empty_set(self, num: int, rng: torch.Generator) -> MapSet:
        """Nothing seen of a random map."""
        instance = torch.randint(0, self.params.instances, (num,), generator=rng, device=self.device)
        return MapSet(super().empty_set(num, rng), instance)

    def gain(self, seen: MapSet, node: Tensor, t: Tensor) -> Tensor:
        """Weight of the footprint's cells that were not seen."""
        return self._map_weight(seen, self.cells[node], node)

    def _map_weight(self, seen: MapSet, cells: Tensor, node: Tensor) -> Tensor:
        weights = self.maps[seen.instance.unsqueeze(1), cells]
        return (weights * (self.real[node] & ~seen.seen.gather(1, cells))).sum(1)

    def include(self, seen: MapSet, node: Tensor, t: Tensor) -> tuple[MapSet, Tensor]:
        """The footprint's cells are seen."""
        cells = self.cells[node]
        return MapSet(self._mark(seen.seen, cells, node), seen.instance), self._map_weight(seen, cells, node)

    def node_value(self, seen: MapSet, node: Tensor) -> Tensor:
        """Weight of the footprint."""
        return self.map_sums[seen.instance, node]

    def blank(self, seen: MapSet, num: int) -> Tensor:
        """With the whole map written already, where it is shown."""
        if self.params.observation != "covered":
            return super().blank(seen, num)
        return self.shown.index_select(0, seen.instance)

    def write_set(self, seen: MapSet, out: Tensor) -> None:
        """The weight left, as a fraction of the largest."""
        # w - w * 1 where seen: exactly 0, and twice as fast as filling under a mask.
        out.addcmul_(out, seen.seen.view(torch.uint8).to(torch.float32), value=-1)
