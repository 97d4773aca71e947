"""Which cells of a square have been covered: the set and its value, for MuJoCo's environments (NumPy)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlsuite_envs.checks import MOST, check_choice, check_flag, check_integer, check_positive
from rlsuite_envs.drawing import figure, figure_array

__all__ = ["AntCoverageParams", "CoverageMap", "draw_coverage"]


@dataclass(frozen=True)
class AntCoverageParams:
    """Constants of the coverage; the defaults are the paper's, but for the observation."""

    half_side: float = 20.0
    """The square is [-half_side, half_side]^2, m, > 0."""
    cells: int = 100
    """Cells a side, >= 1."""
    block: int = 5
    """Each step covers block x block cells, >= 1: the ant's own and those right of and above it."""
    unit: float = 10.0
    """Cells that are worth 1, > 0."""
    reward: str = "marginal"
    """ "marginal" (newly covered cells / unit), or "modular" (all cells covered so far / unit, the release's)."""
    observation: str = "covered"
    """ "covered" (29 numbers and a coarse map), "state" (the 29 numbers), or "raw" (the same, place in m)."""
    map_cells: int = 10
    """Fields a side of the coarse map, >= 1; must divide cells."""
    terminate_when_unhealthy: bool = False
    """End the episode when the ant falls, as Ant-v5 does."""

    def __post_init__(self) -> None:
        check_positive(self, "half_side", "unit")
        check_integer(self, "cells", 1, 10_000)
        check_integer(self, "block", 1, self.cells)
        check_integer(self, "map_cells", 1, MOST)
        if self.cells % self.map_cells:
            raise ValueError(f"map_cells={self.map_cells!r} must divide cells={self.cells!r}.")
        check_choice(self, "reward", ("marginal", "modular"))
        check_choice(self, "observation", ("covered", "state", "raw"))
        check_flag(self, "terminate_when_unhealthy")

    @property
    def observation_size(self) -> int:
        """29, and the fields of the map."""
        return 29 + (self.map_cells**2 if self.observation == "covered" else 0)


class CoverageMap:
    """The covered cells of B squares. Unlike a kernel's state it is changed in place.

    Args:
        params: the constants.
        num: B.
    """

    def __init__(self, params: AntCoverageParams, num: int) -> None:
        self.params = params
        # Blocks hang over the upper edges by block - 1 cells: a margin takes those, and is never counted.
        side = params.cells + params.block - 1
        self._cells = np.zeros((num, side, side), np.bool_)
        self.value = np.zeros(num)
        self.modular = np.zeros(num)
        self._shift = np.arange(params.block)

    @property
    def covered(self) -> NDArray[np.bool_]:
        """The cells [B, C, C], x first; a view."""
        return self._cells[:, : self.params.cells, : self.params.cells]

    def clear(self, rows: NDArray[np.intp]) -> None:
        """Forget everything in these rows."""
        self._cells[rows] = False
        self.value[rows] = 0.0
        self.modular[rows] = 0.0

    def outside(self, xy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether places [n, 2] lie outside the square."""
        return np.abs(xy).max(axis=1) > self.params.half_side

    def visit(self, rows: NDArray[np.intp], xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Cover the blocks at places xy [n, 2] in the rows [n]; returns the gains [n] in value."""
        p = self.params
        corner = np.floor((xy + p.half_side) / (2 * p.half_side / p.cells))
        # Checked before they become indices, of which negative ones would count from the other side.
        inside = ((corner >= 0) & (corner < p.cells)).all(axis=1)
        rows, first = rows[inside], corner[inside].astype(np.intp)
        at = (
            rows[:, None, None],
            (first[:, :1] + self._shift)[:, :, None],
            (first[:, 1:] + self._shift)[:, None, :],
        )
        real = (at[1] < p.cells) & (at[2] < p.cells)
        new = (~self._cells[at] & real).sum(axis=(1, 2)) / p.unit
        self._cells[at] = True
        self.value[rows] += new
        gains = np.zeros(len(xy))
        gains[inside] = new
        return gains

    def reward(self, gains: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rewards [B] for these gains; also adds the current value to the modular sum."""
        self.modular += self.value
        return gains if self.params.reward == "marginal" else self.value.copy()

    def observe(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Observations [B, O], given the 29 numbers [B, 29]."""
        p = self.params
        if p.observation == "raw":
            return raw.copy()
        out = np.empty((len(raw), p.observation_size))
        out[:, :29] = raw
        out[:, :2] /= p.half_side
        if p.observation == "covered":
            g, f = p.map_cells, p.cells // p.map_cells
            out[:, 29:] = self.covered.reshape(-1, g, f, g, f).mean(axis=(2, 4)).reshape(len(raw), -1)
        return out


def draw_coverage(
    params: AntCoverageParams,
    covered: NDArray[np.bool_],
    path: NDArray[np.float64],
    value: NDArray[np.float64],
) -> NDArray[np.uint8]:
    """The covered cells [C, C] with the path [T + 1, 2], next to F(S) [T + 1] over time: [H, W, 3] uint8."""
    drawn, axes = figure(1, 2, width=10.0, height=4.6)
    square, curve = axes[0]
    h = params.half_side
    square.imshow(covered.T, origin="lower", extent=(-h, h, -h, h), cmap="Blues", vmin=0, vmax=1.6)
    square.plot(*path.T, color="#e31a1c", lw=1.2)
    square.plot(*path[0], "o", color="black", ms=5)
    square.set(aspect="equal", xlim=(-h, h), ylim=(-h, h), xlabel="x [m]", ylabel="y [m]")
    square.set_title("path of the torso from the dot")
    curve.plot(value)
    curve.set(xlabel="step", ylabel=f"F(S), cells covered / {params.unit:g}", ylim=(0, None))
    curve.set_title(f"F(S) = {value[-1]:.1f} after {len(value) - 1} steps")
    return figure_array(drawn)
