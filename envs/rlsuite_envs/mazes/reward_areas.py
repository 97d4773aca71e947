"""Discs in the plane that reward an episode for ending inside them: the sparse rewards of SERENE and STAX."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["AREA", "Area", "RewardAreas", "as_areas", "draw_areas", "draw_path"]

Area = tuple[float, float, float]
"""A disc: x and y of its centre, and its radius."""
AREA = "#f2a541"
"""Colour of the discs in pictures."""


def as_areas(
    value: Any,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    *,
    name: str = "areas",
    required: bool = True,
) -> tuple[Area, ...]:
    """The discs as nested tuples of floats, checked.

    Args:
        value: rows (x, y, radius), as tuples, lists or an array.
        x_range: where centres may lie.
        y_range: where centres may lie.
        name: of the constant, for messages.
        required: whether there must be one.

    Raises:
        ValueError: not such rows, none where one is needed, or a disc outside; names it.
    """
    try:
        areas = tuple((float(x), float(y), float(radius)) for x, y, radius in value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}={value!r} must be rows of three numbers (x, y, radius).") from error
    if required and not areas:
        raise ValueError(f"{name}={value!r} is empty; name at least one disc (x, y, radius).")
    for i, (x, y, radius) in enumerate(areas):
        if not (math.isfinite(radius) and radius > 0):
            raise ValueError(f"{name}[{i}]={areas[i]} must have a finite radius above 0.")
        if not (x_range[0] <= x <= x_range[1] and y_range[0] <= y <= y_range[1]):
            raise ValueError(
                f"{name}[{i}]={areas[i]} cannot be reached: its centre must lie in x {list(x_range)}, "
                f"y {list(y_range)}."
            )
    return areas


class RewardAreas:
    """The discs as tensors; without any, nothing is ever rewarded.

    Args:
        areas: rows (x, y, radius).
        device: of the tensors.
        dtype: of the numbers.
    """

    def __init__(self, areas: tuple[Area, ...], device: torch.device, dtype: torch.dtype) -> None:
        table = torch.tensor(areas, device=device, dtype=dtype).reshape(-1, 3)
        self.x, self.y, self.radius = table.T.unsqueeze(2).unbind(0)  # [N, 1] each

    def _distances(self, x: Tensor, y: Tensor) -> Tensor:
        """Distances from points [B] to the centres, [N, B]."""
        return torch.hypot(x - self.x, y - self.y)

    def score(self, x: Tensor, y: Tensor) -> Tensor:
        """(R - d) / R inside a disc, 0 elsewhere, [B]; the first disc counts where they overlap."""
        if not len(self.x):
            return torch.zeros_like(x)
        distance = self._distances(x, y)
        inside = distance <= self.radius
        first = inside & (inside.cumsum(0) == 1)
        return (first * (1 - distance / self.radius)).sum(0)

    def index(self, x: Tensor, y: Tensor) -> Tensor:
        """Number of the disc that holds each point, [B] int64, the first where they overlap; -1 for none."""
        if not len(self.x):
            return torch.full_like(x, -1, dtype=torch.int64)
        inside = self._distances(x, y) <= self.radius
        return torch.where(inside.any(0), inside.to(torch.int8).argmax(0), -1)

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        """Distance to the nearest centre, [B]; 0 where there is no disc."""
        return self._distances(x, y).amin(0) if len(self.x) else torch.zeros_like(x)

    def reward(self, before: tuple[Tensor, ...], after: tuple[Tensor, ...], last: Tensor, kind: str) -> Tensor:
        """Reward [B] of a step.

        Args:
            before: x and y [B] before it.
            after: x and y [B] after it.
            last: [B] bool, whether the step ends the episode.
            kind: "sparse" (the score of the last position) or "dense" (how much nearer the nearest centre came,
                plus that score, so that a return is at most the first distance plus 1).
        """
        reward = last * self.score(after[0], after[1])
        return (
            reward
            if kind == "sparse"
            else reward + self.distance(before[0], before[1]) - self.distance(after[0], after[1])
        )


def draw_areas(ax: Any, areas: tuple[Area, ...]) -> None:
    """The discs on matplotlib axes, with one entry in the legend."""
    from matplotlib.patches import Circle

    for i, (x, y, radius) in enumerate(areas):
        label = "reward area" if i == 0 else None
        ax.add_patch(Circle((x, y), radius, color=AREA, alpha=0.6, label=label, zorder=1, linewidth=0))


def draw_path(drawn: Any, ax: Any, path: np.ndarray, label: str) -> None:
    """A path [T + 1, 2] coloured by time on matplotlib axes, with its start, its end and a colour bar."""
    from matplotlib.collections import LineCollection

    pieces = LineCollection(list(np.stack((path[:-1], path[1:]), 1)), cmap="viridis", linewidths=2.0, zorder=3)
    pieces.set_array(np.arange(len(path) - 1))
    ax.add_collection(pieces)
    drawn.colorbar(pieces, ax=ax, label="step", shrink=0.8)
    ax.plot(*path[0], "o", color="#2ca02c", markersize=8, zorder=4, label=f"{label}, start")
    ax.plot(*path[-1], "s", color="black", markersize=6, zorder=4, label=f"{label}, end")
