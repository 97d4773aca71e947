"""A grid of any dimension with rewarding corners: the standard test of GFlowNets."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlsuite_envs.checks import check_choice, check_integer, check_non_negative, check_positive
from rlsuite_envs.drawing import Canvas
from rlsuite_envs.gflownet.composed import Composed, ComposedState
from rlsuite_envs.gflownet.surfaces import SURFACES
from rlsuite_envs.multi_objective.fronts import check_gamma, nondominated

__all__ = ["HyperGrid", "HyperGridParams"]

MOST_CELLS = 2_000_000
"""Most cells that are listed."""


@dataclass(frozen=True)
class HyperGridParams:
    """Constants; the defaults are the papers' 8 x 8 grid."""

    dims: int = 2
    """Axes, 1 to 16."""
    height: int = 8
    """Cells along each axis, H, at least 2."""
    r0: float = 0.1
    """Reward of every cell, above 0 (the smaller, the harder to get from mode to mode)."""
    r1: float = 0.5
    """Further reward of the outer cells, at least 0."""
    r2: float = 2.0
    """And that of the modes, a band within these, at least 0."""
    border: str = "masked"
    """ "masked": every cell can be finished, and moves across the border are not allowed (torchgfn, gfnx, the papers on
    trajectory balance); "ends": an object whose coordinate reaches H - 1 must be finished (Bengio et al. 2021)."""

    objectives: tuple[str, ...] = ()
    """Names of surfaces (branin, currin, shubert, beale), two or more, that a grid of two axes pays in place of R."""

    def __post_init__(self) -> None:
        check_integer(self, "dims", 1, 16)
        check_integer(self, "height", 2, 1_000)
        check_positive(self, "r0")
        check_non_negative(self, "r1", "r2")
        check_choice(self, "border", ("masked", "ends"))
        for name in self.objectives:
            if name not in SURFACES:
                raise ValueError(f"objectives={self.objectives!r}: {name!r} is none of {', '.join(SURFACES)}.")
        if self.objectives and (
            self.dims != 2 or len(set(self.objectives)) != len(self.objectives) or len(self.objectives) < 2
        ):
            raise ValueError(
                f"objectives={self.objectives!r} with dims={self.dims}: give two or more different ones, on two axes."
            )


COMBINATIONS = tuple(names for count in (2, 3, 4) for names in combinations(SURFACES, count))
"""The eleven sets of two to four surfaces."""


class HyperGrid(Composed):
    """Hypergrid: walk away from a corner, one cell at a time, and stop at a cell that pays.

    ## Description
    An object is a cell of a grid of `dims` axes with H = `height` cells each. From the cell 0 a move raises one
    coordinate by 1; stopping pays

        R(x) = r0 + r1 prod_d [|x_d / (H - 1) - 1/2| > 1/4] + r2 prod_d [3/10 < |x_d / (H - 1) - 1/2| < 2/5]

    so that 2^dims modes lie near the corners with little between them. The comparisons are made with integers: in
    floating-point numbers a cell that lies exactly on 3/10 or 2/5 falls on either side.

    ## Action Space
    `Discrete(dims + 1)`: raise that coordinate; the last one stops. `info["action_mask"]` tells which are allowed.

    ## Observation Space
    `Box(0, H - 1, (dims,))` int64: the cell.

    ## Rewards
    R(x) where an object is finished, else 0. With `objectives` [K]: the values of these surfaces at the cell, the grid
    spread over [-1, 1]^2; `info["objectives"]` has them of the cell as it is.

    ## Starting State
    The cell 0.

    ## Episode End
    Termination: the object is finished. An action that is not allowed changes nothing; truncation one step after the
    longest way and its stop.

    ## Arguments
    The fields of `HyperGridParams`. Presets: "easy" (r0 0.001) and "hard" (r0 0.0001, r1 1, r2 3) on 8 x 8 x 8 x 8,
    "bengio" (8 x 8 x 8 x 8, r0 0.1, the border ends), "large" (64 x 64); and with several objectives on 32 x 32, the
    border ends, all eleven combinations: "branin-currin", ..., "branin-currin-shubert-beale".

    Source: Bengio et al. 2021 (arXiv 2106.04399), section 4.1; Malkin et al. 2022 (arXiv 2201.13259), section 5.1;
    Chen and Mauch 2024 (arXiv 2310.00386) for several objectives.
    """

    params_class = HyperGridParams
    params: HyperGridParams
    presets = {  # noqa: RUF012  # the base says Mapping
        "easy": HyperGridParams(dims=4, r0=1e-3),
        "hard": HyperGridParams(dims=4, r0=1e-4, r1=1.0, r2=3.0),
        "bengio": HyperGridParams(dims=4, border="ends"),
        "large": HyperGridParams(height=64),
        **{"-".join(names): HyperGridParams(height=32, border="ends", objectives=names) for names in COMBINATIONS},
    }
    render_fps = 4

    @property
    def num_moves(self) -> int:
        """One for each axis."""
        return self.params.dims

    @property
    def max_length(self) -> int:
        """To the far corner; where the border ends objects, to the last cell before it, and one more."""
        dims, far = self.params.dims, self.params.height - 1
        return dims * far if self.params.border == "masked" else dims * (far - 1) + 1

    @property
    def source(self) -> Tensor:
        """The cell 0."""
        return torch.zeros(self.params.dims, dtype=torch.int64)

    @property
    def part_bounds(self) -> tuple[int, int]:
        """Coordinates."""
        return 0, self.params.height - 1

    def move_mask(self, parts: Tensor) -> Tensor:
        """Axes that do not end here, [N, dims]; none at a border that ends."""
        inside = parts < self.params.height - 1
        return inside if self.params.border == "masked" else inside & inside.all(1, keepdim=True)

    def stop_mask(self, parts: Tensor) -> Tensor:
        """Every cell can be finished."""
        return torch.ones(len(parts), dtype=torch.bool, device=parts.device)

    def move(self, parts: Tensor, action: Tensor) -> Tensor:
        """One coordinate up."""
        return parts + torch.nn.functional.one_hot(action, self.params.dims)

    def backward_mask(self, parts: Tensor) -> Tensor:
        """Coordinates above 0; at a border that ends, the one that reached it."""
        above = parts > 0
        if self.params.border == "masked":
            return above
        at_border = parts == self.params.height - 1
        return torch.where(at_border.any(1, keepdim=True), at_border, above)

    def unmove(self, parts: Tensor, action: Tensor) -> Tensor:
        """One coordinate down."""
        return parts - torch.nn.functional.one_hot(action, self.params.dims)

    def length(self, parts: Tensor) -> Tensor:
        """The sum of the coordinates."""
        return parts.sum(1)

    @property
    def reward_dim(self) -> int | None:
        """Number of `objectives`; None without any."""
        return len(self.params.objectives) or None

    @property
    def objective_names(self) -> tuple[str, ...]:
        """The surfaces."""
        return self.params.objectives

    def objectives(self, parts: Tensor) -> Tensor:
        """The surfaces' values [N, K], or R [N, 1]."""
        if not self.params.objectives:
            return super().objectives(parts)
        a, b = (2 * parts.to(self.dtype) / (self.params.height - 1) - 1).T
        return torch.stack([SURFACES[name](a, b) for name in self.params.objectives], 1)

    def pareto_front(self, gamma: float) -> np.ndarray:
        """The exact front [n, K] of the objectives times gamma^moves, from all cells."""
        if not self.params.objectives:
            return super().pareto_front(gamma)
        cells = self.enumerate_states()
        worth = self.objectives(cells).double() * check_gamma(gamma) ** self.length(cells)[:, None].double()
        return nondominated(worth.numpy(force=True))

    def log_reward(self, parts: Tensor) -> Tensor:
        """The logarithm of R, [N].

        Raises:
            NotImplementedError: the grid pays objectives.
        """
        if self.params.objectives:
            return super().log_reward(parts)
        constants, far = self.params, self.params.height - 1
        distance = (2 * parts - far).abs()  # 2 (H - 1) times that from the middle
        outer = (2 * distance > far).all(1)
        band = ((10 * distance > 6 * far) & (10 * distance < 8 * far)).all(1)
        reward = constants.r0 + constants.r1 * outer.to(self.dtype) + constants.r2 * band.to(self.dtype)
        return reward.log()

    def enumerate_states(self) -> Tensor:
        """All cells [S, dims], by the sum of their coordinates; where the border ends, those that can be reached.

        Raises:
            ValueError: more than two million.
        """
        dims, height = self.params.dims, self.params.height
        if height**dims > MOST_CELLS:
            raise ValueError(f"the grid has {height**dims:,} cells, above {MOST_CELLS:,}; sample it instead.")
        axis = torch.arange(height, device=self.device)
        cells = torch.cartesian_prod(*[axis] * dims).reshape(-1, dims)
        if self.params.border == "ends":
            cells = cells[(cells == height - 1).sum(1) <= 1]
        return cells[cells.sum(1).argsort(stable=True)]

    def state_index(self, parts: Tensor) -> Tensor:
        """Place [N] of cells among `enumerate_states`."""
        dims, height = self.params.dims, self.params.height
        weights = height ** torch.arange(dims - 1, -1, -1, device=parts.device)
        cells = self.enumerate_states()
        place = torch.full((height**dims,), -1, dtype=torch.int64, device=parts.device)
        place[(cells * weights).sum(1)] = torch.arange(len(cells), device=parts.device)
        return place[(parts * weights).sum(1)]

    def render(self, state_row: ComposedState) -> Any:
        """The first two axes from above: cells by their reward where the other coordinates stay, and the object."""
        height = self.params.height
        rows = 1 if self.params.dims == 1 else height
        canvas = Canvas(480, max(12, 480 * rows // height), (0.0, height), (0.0, rows), "#ffffff")
        parts = state_row.parts[0].cpu()
        cells = parts.expand(height * rows, -1).clone()
        cells[:, 0] = torch.arange(height).repeat_interleave(rows)
        if rows > 1:
            cells[:, 1] = torch.arange(rows).repeat(height)
        rewards = self.objectives(cells.to(self.device)).mean(1).log().cpu()
        low, high = float(rewards.min()), float(rewards.max())
        for cell, reward in zip(cells.tolist(), rewards.tolist(), strict=True):
            shade = round(255 - 175 * (reward - low) / max(high - low, 1e-9))
            x, y = float(cell[0]), float(cell[1]) if rows > 1 else 0.0
            canvas.rect(x, y, x + 1, y + 1, f"#{shade:02x}{shade:02x}ff")
        x, y = float(parts[0]) + 0.5, (float(parts[1]) if rows > 1 else 0.0) + 0.5
        canvas.disc(x, y, 0.3, "#2ca02c" if bool(state_row.finished[0]) else "#d62728")
        return canvas.array()
