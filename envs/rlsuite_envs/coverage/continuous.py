"""Coverage of the unit square by a disc-shaped sensor that moves freely over it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import MOST, check_choice, check_integer, check_positive
from rlsuite_envs.coverage.bits import BITS, interval, popcount, unpack
from rlsuite_envs.coverage.square_picture import draw_path, draw_square
from rlsuite_envs.kernel import Kernel

__all__ = ["ContinuousCoverage", "ContinuousCoverageParams", "ContinuousCoverageState"]


@dataclass(frozen=True)
class ContinuousCoverageParams:
    """Constants. Lengths are in sides of the square."""

    horizon: int = 100
    """Steps of an episode, >= 1."""
    dynamics: str = "point"
    """ "point": the action is the velocity; "double_integrator": it is the acceleration."""
    radius: float = 0.1
    """Radius of the sensor's disc, in (0, 1]."""
    cells: int = 50
    """Area is measured in cells x cells squares, >= 1; one is covered when its centre is within the radius."""
    dt: float = 0.1
    """Time between steps, s, > 0."""
    max_speed: float = 0.5
    """Limit of the velocity along each axis, 1/s, > 0."""
    max_acceleration: float = 2.0
    """Acceleration along each axis by the largest action, 1/s^2, > 0; for the double integrator."""
    start: tuple[float, float] | None = (0.5, 0.5)
    """Where episodes start; None for anywhere, uniformly."""
    observation: str = "covered"
    """What the agent sees: "covered" (place, time and a coarse map of what is covered), "state_time", "history"."""
    map_cells: int = 10
    """The coarse map has map_cells x map_cells fields, >= 1; must divide cells."""
    reward: str = "marginal"
    """ "marginal" gains, or "modular": the area under the sensor, however often seen."""

    def __post_init__(self) -> None:
        check_integer(self, "horizon", 1)
        check_choice(self, "dynamics", ("point", "double_integrator"))
        check_positive(self, "radius", "dt", "max_speed", "max_acceleration")
        if self.radius > 1:
            raise ValueError(f"radius={self.radius!r} must lie in (0, 1]: the square has side 1.")
        check_integer(self, "cells", 1, 1000)
        check_integer(self, "map_cells", 1, MOST)
        if self.cells % self.map_cells:
            raise ValueError(f"map_cells={self.map_cells!r} must divide cells={self.cells!r}.")
        check_choice(self, "observation", ("covered", "state_time", "history"))
        check_choice(self, "reward", ("marginal", "modular"))
        if self.start is not None:
            inside = isinstance(self.start, tuple | list) and len(self.start) == 2
            if not inside or not all(isinstance(x, int | float) and 0 <= x <= 1 for x in self.start):
                raise ValueError(f"start={self.start!r} must be two numbers in [0, 1], or None for anywhere.")
            object.__setattr__(self, "start", (float(self.start[0]), float(self.start[1])))


@dataclass(frozen=True)
class ContinuousCoverageState:
    """The agent and what it has covered, with C cells and G map fields a side."""

    position: Tensor
    """Position in the unit square, [B, 2] float."""
    velocity: Tensor
    """Velocity in the last step, 1/s, [B, 2] float."""
    t: Tensor
    """Steps done, [B] int64."""
    covered: Tensor
    """Covered cells as bits (see `bits`), a column of equal x after the other, [B, C + 1, W] int64; the last one is
    a bin for what is not seen."""
    fields: Tensor
    """Covered cells per field of the coarse map, [B, G^2] float32."""
    area: Tensor
    """Number of covered cells, [B] int64."""
    modular: Tensor
    """Sum over the visited places of the cells under the sensor, [B] int64."""
    history: Tensor
    """Visited places, the latest first, [B, horizon + 1, 2], -1 where there is none; [B, 0, 2] unless observed."""


class ContinuousCoverage(Kernel[ContinuousCoverageState, ContinuousCoverageState, None]):
    """Cover as much of the unit square as possible with a disc-shaped sensor.

    ## Description
    An agent moves in the unit square; its sensor sees the disc of radius 0.1 around it at the end of each step.
    F(S) is the area of the union of the discs of all places visited, in percent of the square. It is a monotone
    submodular function of the set of places: area that was seen already earns nothing.

    Area is measured on a grid of 50 x 50 cells, by their centres. As a point, the agent moves by
    dt max_speed action; as a double integrator it has v' = v + dt max_acceleration action, limited to
    max_speed along each axis, and moves by dt (v + v') / 2. At a wall it stops, and loses that velocity.

    ## Action Space
    `Box(-1, 1, (2,))` float32: velocity or acceleration along x and y, in parts of the largest; values outside
    are clipped.

    ## Observation Space
    `Box(-1, 1)` float32, by `observation`:

    - "covered" (the default): x, y (scaled to [-1, 1]), the double integrator's velocities / max_speed, time left /
      horizon, then the covered part of each of 10 x 10 fields in [0, 1], x varying slowest.
    - "state_time": without the fields, a Markovian policy's view.
    - "history": x, y, ... as before, then x, y in [0, 1] of the visited places, the latest first, -1 where
      there is none yet.

    ## Rewards
    Newly covered area in percent of the square; the point covers at most about 1 in a step. With
    `reward="modular"`, the area under the sensor (at most 3.1), however often it was seen.

    ## Starting State
    The centre (`start`), at rest. What is seen from there counts in F(S), but is not rewarded.

    ## Episode End
    Truncation after 100 steps (`horizon`); no termination.

    `info`: "set_value" F(S), "modular_value" (sum over all visits of the area under the sensor), both in percent,
    "place" [2].

    ## Arguments
    The fields of `ContinuousCoverageParams`. Presets: "modular", "double_integrator".

    Source: an extension of ours to the coverage tasks of Submodular Reinforcement Learning (arXiv 2307.13372),
    which are on grids: rewards and conventions are the same (see `grid`), motion and sensor are continuous.
    """

    params_class = ContinuousCoverageParams
    params: ContinuousCoverageParams
    presets: ClassVar[Mapping[str, Any]] = {
        "modular": ContinuousCoverageParams(reward="modular"),
        "double_integrator": ContinuousCoverageParams(dynamics="double_integrator"),
    }
    render_fps = 10

    def __init__(
        self,
        params: ContinuousCoverageParams | None = None,
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        p = self.params
        # A place sees cells of its window only: the own cell's row and column, and `reach` more on either side.
        reach = math.ceil(p.radius * p.cells)
        self._shifts = torch.arange(-reach, reach + 1, dtype=self.dtype, device=self.device)
        self._words = -(-p.cells // BITS)
        # The map's fields that a window may touch, counted from that of its lower end; empty ones at the borders.
        self._reach = reach
        self._size = p.cells // p.map_cells
        self._before = -(-reach // self._size)
        touched = 2 * reach // self._size + 2
        lower = self._size * torch.arange(-self._before, p.map_cells + touched, device=self.device)
        fields = interval(lower.clamp(0, p.cells), (lower + self._size).clamp(0, p.cells), self._words)
        self._field_bits = fields.unsqueeze(1)
        self._touched = torch.arange(touched, device=self.device)
        self._history = p.horizon + 1 if p.observation == "history" else 0

    @property
    def observation_space(self) -> spaces.Box:
        """Place, velocity of the double integrator, time left, then the map, the history or nothing."""
        more = {"covered": self.params.map_cells**2, "state_time": 0, "history": 2 * self._history}
        own = 5 if self.params.dynamics == "double_integrator" else 3
        return spaces.Box(-1.0, 1.0, (own + more[self.params.observation],), dtype=np.float32)

    @property
    def action_space(self) -> spaces.Box:
        """Velocity or acceleration along x and y."""
        return spaces.Box(-1.0, 1.0, (2,), dtype=np.float32)

    def initial_state(self, num: int, rng: torch.Generator) -> ContinuousCoverageState:
        """Start states: at rest at the start, whose disc is covered."""
        if self.params.start is None:
            position = torch.rand((num, 2), generator=rng, device=self.device, dtype=self.dtype)
        else:
            x, y = self.params.start
            position = torch.full((num, 2), x, device=self.device, dtype=self.dtype)
            position[:, 1] = y
        nothing = ContinuousCoverageState(
            position,
            torch.zeros_like(position),
            torch.full((num,), -1, device=self.device),
            torch.zeros((num, self.params.cells + 1, self._words), dtype=torch.int64, device=self.device),
            torch.zeros((num, self.params.map_cells**2), device=self.device),
            torch.zeros(num, dtype=torch.int64, device=self.device),
            torch.zeros(num, dtype=torch.int64, device=self.device),
            torch.full((num, self._history, 2), -1.0, device=self.device),
        )
        return self._visit(nothing, position, nothing.velocity)[0]

    def _under(self, position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What a sensor at places [B, 2] sees, column by column of its window.

        Returns:
            Numbers of the K columns [B, K] int64 (the bin's, C, for those that are not seen), the seen cells in
            them as words [B, K, W], and their number [B].
        """
        p = self.params
        own = (position * p.cells).floor().clamp(0, p.cells - 1)
        column = own[:, :1] + self._shifts
        x, y = (position * p.cells - 0.5).split(1, dim=1)
        height = (p.radius * p.cells) ** 2 - (column - x).square()
        seen = (height >= 0) & (column >= 0) & (column < p.cells)
        half = height.clamp(min=0).sqrt()
        start = (y - half).ceil().clamp(0, p.cells).long()
        stop = ((y + half).floor() + 1).clamp(0, p.cells).long()
        stop = torch.where(seen, torch.maximum(start, stop), start)
        number = torch.where(seen, column, float(p.cells)).long()
        return number, interval(start, stop, self._words), (stop - start).sum(1)

    def _visit(
        self, state: ContinuousCoverageState, position: Tensor, velocity: Tensor
    ) -> tuple[ContinuousCoverageState, Tensor]:
        """The state after going to places [B, 2], and the step's reward [B]."""
        columns, cells, own = self._under(position)
        index = columns.unsqueeze(-1).expand(-1, -1, self._words)
        old = state.covered.gather(1, index)
        new = cells & ~old
        fields, history = state.fields, state.history
        if self.params.observation == "covered":
            fields, gain = self._count(fields, position, columns, new)
        else:
            gain = popcount(new).sum((1, 2))
        if self._history:
            latest = position.to(torch.float32).unsqueeze(1)
            history = torch.cat((latest, history[:, :-1]), dim=1)
        after = ContinuousCoverageState(
            position,
            velocity,
            state.t + 1,
            state.covered.scatter(1, index, old | cells),
            fields,
            state.area + gain,
            state.modular + own,
            history,
        )
        return after, self._percent(gain if self.params.reward == "marginal" else own)

    def _count(self, fields: Tensor, position: Tensor, columns: Tensor, new: Tensor) -> tuple[Tensor, Tensor]:
        """The map [B, G^2] with new cells [B, K, W] of columns [B, K] counted in, and their number [B]."""
        p = self.params
        own = (position[:, 1] * p.cells).floor().clamp(0, p.cells - 1).long()
        lowest = torch.div(own - self._reach, self._size, rounding_mode="floor") + self._before
        touched = lowest.unsqueeze(1) + self._touched
        parts = [popcount(new & self._field_bits[row]).sum(-1) for row in touched.unbind(1)]
        counts = torch.stack(parts, dim=-1)
        across = columns.clamp(max=p.cells - 1) // self._size * p.map_cells
        up = (touched - self._before).clamp(0, p.map_cells - 1)
        index = (across.unsqueeze(-1) + up.unsqueeze(1)).flatten(1)
        return fields.scatter_add(1, index, counts.flatten(1).to(torch.float32)), counts.sum((1, 2))

    def _percent(self, cells: Tensor) -> Tensor:
        return cells.to(self.dtype) * (100.0 / self.params.cells**2)

    def post_decision(self, state: ContinuousCoverageState, action: Tensor) -> tuple[ContinuousCoverageState, Tensor]:
        """The next state and the reward: nothing here is random."""
        p = self.params
        push = action.clamp(-1.0, 1.0).to(self.dtype)
        if p.dynamics == "point":
            velocity = p.max_speed * push
            move = p.dt * velocity
        else:
            velocity = (state.velocity + p.dt * p.max_acceleration * push).clamp(-p.max_speed, p.max_speed)
            move = p.dt * (state.velocity + velocity) / 2
        wanted = state.position + move
        position = wanted.clamp(0.0, 1.0)
        return self._visit(state, position, velocity.masked_fill(position != wanted, 0.0))

    def transition(
        self, post_state: ContinuousCoverageState, noise: None
    ) -> tuple[ContinuousCoverageState, None, Tensor]:
        """The state itself; the episode never terminates."""
        return post_state, None, torch.zeros_like(post_state.t, dtype=torch.bool)

    def observe(self, state: ContinuousCoverageState) -> Tensor:
        """The observation of the mode chosen, float32."""
        p = self.params
        parts = [(2 * state.position - 1).to(torch.float32)]
        if p.dynamics == "double_integrator":
            parts.append((state.velocity / p.max_speed).to(torch.float32))
        parts.append((1.0 - state.t.to(torch.float32) / p.horizon).clamp(min=0.0).unsqueeze(1))
        if p.observation == "covered":
            parts.append(state.fields / (p.cells // p.map_cells) ** 2)
        elif p.observation == "history":
            parts.append(state.history.flatten(1))
        return torch.cat(parts, dim=1)

    def observe_post(self, post_state: ContinuousCoverageState) -> Tensor:
        """Observation of the post-decision state, which is the next state: that of `observe`."""
        return self.observe(post_state)

    def info(self, state: ContinuousCoverageState) -> dict[str, Tensor]:
        """F(S) and the modular sum in percent of the square, and the place."""
        return {
            "set_value": self._percent(state.area),
            "modular_value": self._percent(state.modular),
            "place": state.position.clone(),
        }

    def greedy_action(self, state: ContinuousCoverageState, directions: int = 16) -> Tensor:
        """Full pushes [B, 2] with the largest gain among so many directions: a baseline that looks one step ahead."""
        angles = 2 * math.pi * torch.arange(directions, device=self.device) / directions
        pushes = torch.stack((angles.cos(), angles.sin()), dim=1)
        gains = [self.post_decision(state, push.expand(len(state.t), 2))[0].area for push in pushes]
        return pushes[torch.stack(gains).argmax(0)]

    def grid(self, state: ContinuousCoverageState) -> Tensor:
        """The covered cells as a map, [B, C, C] bool, x first."""
        return unpack(state.covered[:, :-1], self.params.cells)

    def render(self, state_row: ContinuousCoverageState) -> np.ndarray:
        """The covered cells and the sensor over them."""
        place, percent = state_row.position[0].tolist(), self._percent(state_row.area).item()
        return draw_square(self.grid(state_row)[0].cpu().numpy(), place, self.params.radius, percent)

    def render_episode(self, states: ContinuousCoverageState, actions: Any, rewards: Tensor) -> np.ndarray:
        """The path over the covered area, coloured by when it was seen, next to F(S) over time."""
        counts = (self._percent(states.area).cpu().numpy(), self._percent(states.modular).cpu().numpy())
        return draw_path(self.grid(states).cpu().numpy(), states.position.cpu().numpy(), *counts)
