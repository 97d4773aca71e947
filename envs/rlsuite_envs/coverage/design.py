"""Bayesian D-optimal design along a path: the information that measurements give about a Gaussian process."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import MOST, check_choice, check_integer, check_positive
from rlsuite_envs.coverage.gaussian_process import LN2, condition, grid_points, random_points
from rlsuite_envs.coverage.grid import GraphWalk, WalkParams, WalkState
from rlsuite_envs.coverage.grid_pictures import Layers
from rlsuite_envs.kernel import tree_map

__all__ = ["DesignParams", "DesignSet", "GPDesign"]

SEED = 5
"""First half of the seeds of the conditioning points; the second is the instance."""


@dataclass(frozen=True)
class DesignParams(WalkParams):
    """Constants in addition to those of `WalkParams`; the defaults are the paper's."""

    horizon: int = 39
    """Moves of an episode, >= 1."""
    length_scale: float = 1.0
    """Length scale of the Matern-5/2 covariance, in the points' units (a cell is 0.1 wide), > 0."""
    variance: float = LN2
    """Prior variance of the process, > 0; ln 2 is where the release's library starts."""
    noise_std: float = 1e-3
    """Standard deviation s of a measurement, >= 1e-6 (below, double precision does not resolve a revisit)."""
    observed: int = 5
    """Measurements at random points of [0, 10]^2 before the episode, >= 0: they only shape the covariance."""
    instance: int = 0
    """Which draw of these points, >= 0; ten (0..9) make the benchmark."""
    constant: str = "nats"
    """"nats" for mutual information; "released" for the release's erratum, more by log2(1/s) - ln(1/s) per visit."""
    points: tuple[tuple[float, float], ...] | None = None
    """Coordinates of the nodes [N], for other graphs. None: 1 + 0.1 (row, col)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "length_scale", "variance", "noise_std")
        check_integer(self, "observed", 0, MOST)
        check_integer(self, "horizon", 1, MOST)
        check_integer(self, "instance", 0)
        check_choice(self, "constant", ("nats", "released"))
        if self.noise_std < 1e-6:
            raise ValueError(f"noise_std={self.noise_std!r} must be at least 1e-6.")
        if self.points is not None:
            self._check_points(self.points)

    @property
    def most_nodes(self) -> int:
        """As of any walk; less, for the covariance is a matrix over the cells."""
        return 5000

    def _check_points(self, points: Any) -> None:
        if not isinstance(points, tuple) or len(points) != self.nodes:
            raise ValueError(f"points must be a tuple of {self.nodes} (rows * cols) points (x, y); got {points!r}.")
        for node, point in enumerate(points):
            pair = isinstance(point, tuple) and len(point) == 2
            if not pair or not all(isinstance(x, int | float) and math.isfinite(x) for x in point):
                raise ValueError(f"points[{node}]={point!r} must be two finite numbers (x, y).")

    @property
    def covariance(self) -> np.ndarray:
        """Covariance of the process at the nodes, given the measurements made before, [N, N] float64."""
        points = grid_points(self.rows, self.cols) if self.points is None else np.array(self.points, dtype=float)
        before = random_points(self.observed, np.random.default_rng([SEED, self.instance]))
        return condition(points, before, self.noise_std**2, self.length_scale, self.variance)


@dataclass(frozen=True)
class DesignSet:
    """The measurements made, as rows of a Cholesky factor."""

    visited: Tensor
    """Measured nodes in order, [B, horizon + 1] int64, N where there is none yet."""
    below: tuple[Tensor, ...]
    """Lower Cholesky factor of I + K / s^2 of the measurements, float64, in blocks of rows: what is left of the
    blocks on the diagonal, [B, rows, rows above] each. Rows not yet used are 0."""
    inverse: tuple[Tensor, ...]
    """Inverses of the factor's blocks on the diagonal, [B, rows, rows] each (a product is faster than a solution).
    Rows not yet used are 0, so that they contribute nothing to a product."""


class GPDesign(GraphWalk):
    """Walk and measure a Gaussian process where it is uncertain: F(S) is the information about it, in nats.

    ## Description
    At every node the agent measures the process there with noise of standard deviation s. F(S) is the mutual
    information I(y_S; f) = 1/2 logdet(I + K_S / s^2): one measurement per visit, so that a revisit counts (fresh
    noise), but little: 1/2 ln 2 at most after the first. K is a Matern-5/2 covariance given five earlier
    measurements. A visit adds 1/2 ln(1 + v / s^2), v the posterior variance at the node: one triangular system and
    one row more of the Cholesky factor, never a factorisation anew. This is done in double precision always.

    ## Action Space
    `Discrete(5)`: 0 stay, 1 right, 2 down, 3 left, 4 up; a move into a wall or over the border stays.
    With probability `slip` a uniformly drawn action is taken instead.

    ## Observation Space
    `Box` float32, by `observation`:

    - "covered" (the default; Markov): row / (rows - 1), col / (cols - 1), time left / horizon, and of every cell the
      number of its measurements (0, 1, rarely more; at most horizon + 1): [3 + N].
    - "state_time": the first three only.
    - "history": time left, then row and column of the visited cells, the latest first, -1 where there is none yet.

    ## Rewards
    The information of the new measurement, in nats. With `reward="modular"`, the information it would give alone.
    `constant="released"` repeats the release's F = 1/2 logdet(K_S + s^2 I) + |S| log2(1/s), which adds 3.06 per visit
    for s = 1e-3, revisits included; the natural logarithm is right.

    ## Starting State
    Cell `start`, measured already: it counts in F(S) but is not rewarded.

    ## Episode End
    Truncation after `horizon` moves; no termination. (Without a time limit, later visits are not counted.)

    `info`: "set_value" F(S), "modular_value", "place" (row, col).

    ## Arguments
    The fields of `DesignParams`.

    ## Source
    Prajapat et al., arXiv 2307.13372, "Bayesian D-optimal experimental design" (code: entropy).

    ## Version History
    v0: first.
    """

    params_class = DesignParams
    value_label = "information [nats]"

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        p = self.params
        scaled = p.covariance / p.noise_std**2
        # One column of zeros more: the covariance with "no measurement yet".
        self.scaled = torch.tensor(np.pad(scaled, ((0, 0), (0, 1))), dtype=torch.float64, device=self.device)
        self.signal = self.scaled.diagonal().clone()
        self.bonus = 0.0 if p.constant == "nats" else math.log(p.noise_std) - math.log2(p.noise_std)
        self.alone = (0.5 * torch.log1p(self.signal) + self.bonus).to(self.dtype)
        self.size = p.horizon + 1
        rows = max(8, -(-self.size // 4))
        # First row and last row + 1 of each block of the factor.
        self._blocks = list(itertools.pairwise([*range(0, self.size, rows), self.size]))
        self.order = torch.arange(self.size, device=self.device)

    def layers(self, state_row: WalkState) -> Layers:
        """The posterior variance, and where measurements were made."""
        every = torch.arange(self.params.nodes, device=self.device)
        seen = tree_map(lambda x: x.expand(len(every), *x.shape[1:]), state_row.seen)
        left = self._explained(seen, every)[1].cpu().numpy() * self.params.noise_std**2
        measured = np.zeros(self.params.nodes, dtype=bool)
        visited = state_row.seen.visited[0].cpu().numpy()
        measured[visited[visited < self.params.nodes]] = True
        return Layers(left, measured, label="posterior variance")

    @property
    def observation_space(self) -> spaces.Box:
        """Space of the observation; the set is given as counts of measurements."""
        box = super().observation_space
        if self.params.observation == "covered":
            box.high[3:] = self.size
            return spaces.Box(box.low, box.high, dtype=np.float32)
        return box

    @property
    def set_size(self) -> int:
        """N: one number per cell."""
        return self.params.nodes

    def empty_set(self, num: int, rng: torch.Generator) -> DesignSet:
        """The set without a measurement, num times."""
        visited = torch.full((num, self.size), self.params.nodes, device=self.device)
        double: dict[str, Any] = {"dtype": torch.float64, "device": self.device}
        below = tuple(torch.zeros((num, high - low, low), **double) for low, high in self._blocks)
        inverse = tuple(torch.zeros((num, high - low, high - low), **double) for low, high in self._blocks)
        return DesignSet(visited, below, inverse)

    def _explained(self, seen: DesignSet, node: Tensor) -> tuple[Tensor, Tensor]:
        """The new row [B, horizon + 1] of the factor but for its diagonal, and the posterior variance / s^2 [B]."""
        cross = self.scaled[node.unsqueeze(1), seen.visited]
        row = cross[:, :0]
        for (low, high), left, inverse in zip(self._blocks, seen.below, seen.inverse, strict=True):
            right = cross[:, low:high].unsqueeze(2)
            if low:
                right = torch.baddbmm(right, left, row.unsqueeze(2), alpha=-1)
            row = torch.cat((row, torch.bmm(inverse, right).squeeze(2)), dim=1)
        # Rounding may leave a tiny negative variance, and a negative gain with it.
        return row, (self.signal[node] - row.square().sum(1)).clamp_(min=0.0)

    def _information(self, variance: Tensor, t: Tensor) -> Tensor:
        gain = 0.5 * torch.log1p(variance) + self.bonus
        return torch.where(t < self.size, gain, 0.0).to(self.dtype)

    def gain(self, seen: DesignSet, node: Tensor, t: Tensor) -> Tensor:
        """1/2 ln(1 + posterior variance / s^2)."""
        return self._information(self._explained(seen, node)[1], t)

    def include(self, seen: DesignSet, node: Tensor, t: Tensor) -> tuple[DesignSet, Tensor]:
        """The set with one measurement more, a new row of the factor, and the gain [B]."""
        row, variance = self._explained(seen, node)
        now = self.order == t.unsqueeze(1)
        corner = (1.0 + variance).rsqrt_().unsqueeze(1)
        unit = now.to(torch.float64)
        below, inverse = [], []
        for (low, high), left, square in zip(self._blocks, seen.below, seen.inverse, strict=True):
            here = unit[:, low:high].unsqueeze(2)
            # The row was 0, so that adding writes it, in one pass.
            below.append(torch.addcmul(left, here, row[:, None, :low]))
            # [[L, 0], [r, c]] has the inverse [[L^-1, 0], [-r L^-1 / c, 1 / c]].
            last = unit[:, low:high] - torch.bmm(row[:, None, low:high], square).squeeze(1)
            inverse.append(torch.addcmul(square, here, (last * corner).unsqueeze(1)))
        visited = torch.where(now, node.unsqueeze(1), seen.visited)
        return DesignSet(visited, tuple(below), tuple(inverse)), self._information(variance, t)

    def node_value(self, seen: DesignSet, node: Tensor) -> Tensor:
        """Information of a measurement there, had there been none before."""
        return self.alone[node]

    def write_set(self, seen: DesignSet, out: Tensor) -> None:
        """Measurements of each cell."""
        made = seen.visited < self.params.nodes
        out.zero_().scatter_add_(1, seen.visited.clamp(max=self.params.nodes - 1), made.to(torch.float32))
