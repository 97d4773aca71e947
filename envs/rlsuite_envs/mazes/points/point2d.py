"""The point in a square on which novelty search is tried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import check_choice, check_integer, check_positive
from rlsuite_envs.drawing import Canvas, figure, figure_array
from rlsuite_envs.kernel import Kernel
from rlsuite_envs.mazes.reward_areas import AREA, Area, RewardAreas, as_areas, draw_areas, draw_path

__all__ = ["Point2D", "Point2DParams", "Point2DState"]


@dataclass(frozen=True)
class Point2DParams:
    """Constants; the defaults are the release's."""

    step_size: float = 0.05
    """Distance moved along an axis at full action, > 0."""
    areas: tuple[Area, ...] = ()
    """Discs (x, y, radius) with centres in [-1, 1]^2 that reward an episode's end; the release has none."""
    reward: str = "sparse"
    """ "sparse" or "dense"; see `Point2D`."""
    horizon: int = 50
    """Steps per episode, at least 1."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "areas", as_areas(self.areas, (-1.0, 1.0), (-1.0, 1.0), required=False))
        check_positive(self, "step_size")
        check_choice(self, "reward", ("sparse", "dense"))
        check_integer(self, "horizon", 1)


@dataclass(frozen=True)
class Point2DState:
    """The point; all fields [B, ...]."""

    x: Tensor
    """x of the point, [B] float, in [-1, 1]."""
    y: Tensor
    """y of the point, [B] float, in [-1, 1]."""
    t: Tensor
    """Steps taken, [B] int64."""


class Point2D(Kernel[Point2DState, Point2DState, None]):
    """Walk in a square: the smallest environment with a behaviour to be novel in.

    ## Description
    A point starts in the middle of [-1, 1]^2 and moves by 0.05 times the action; the border stops it. From the
    middle 20 of the 50 steps reach a side, so that every place can be the last one.

    ## Action Space
    `Box(-1, 1, (2,))` float32: the direction; values outside are clipped.

    ## Observation Space
    `Box(-1, 1, (2,))` float32: the position (x, y).

    ## Rewards
    "sparse": 0; in the last step (R - d) / R where the point is at distance d <= R from the centre of a reward
    area of radius R. Without areas, as in the release, always 0. "dense" adds the step's decrease of the
    distance to the nearest centre.

    ## Starting State
    The middle.

    ## Episode End
    Termination: never. Truncation: after `horizon` (50) steps.

    ## Information
    `behaviour` [2]: the position, whose last value is the behaviour descriptor. `area`: number of the reward
    area around the point, -1 for none. `success`: whether there is one.

    ## Presets
    `two-areas`: discs of radius 0.3 at (0.4, 0.4) and of radius 0.15 at (-0.5, -0.3).

    ## Arguments
    The fields of `Point2DParams`.

    Source: Paolo et al., SERENE (2021) and STAX (2024); their releases call it Walker2D. The areas are ours.
    """

    params_class = Point2DParams
    params: Point2DParams
    presets: ClassVar[Mapping[str, Any]] = {"two-areas": Point2DParams(areas=((0.4, 0.4, 0.3), (-0.5, -0.3, 0.15)))}
    render_fps = 25

    def __init__(self, params: Any = None, **kwargs: Any) -> None:
        super().__init__(params, **kwargs)
        self.areas = RewardAreas(self.params.areas, self.device, self.dtype)

    @property
    def observation_space(self) -> spaces.Box:
        """Position."""
        return spaces.Box(-1.0, 1.0, (2,), dtype=np.float32)

    @property
    def action_space(self) -> spaces.Box:
        """Direction."""
        return spaces.Box(-1.0, 1.0, (2,), dtype=np.float32)

    def initial_state(self, num: int, rng: torch.Generator) -> Point2DState:
        """Start states: in the middle of the square."""
        zeros = torch.zeros(num, device=self.device, dtype=self.dtype)
        return Point2DState(zeros, zeros.clone(), torch.zeros(num, device=self.device, dtype=torch.int64))

    def post_decision(self, state: Point2DState, action: Tensor) -> tuple[Point2DState, Tensor]:
        """The next state and its reward: nothing here is random."""
        x, y = (action.to(self.dtype).clamp(-1.0, 1.0) * self.params.step_size).unbind(1)
        after = Point2DState((state.x + x).clamp(-1.0, 1.0), (state.y + y).clamp(-1.0, 1.0), state.t + 1)
        last = after.t >= self.params.horizon
        here, there = (state.x, state.y), (after.x, after.y)
        return after, self.areas.reward(here, there, last, self.params.reward)

    def transition(self, post_state: Point2DState, noise: None) -> tuple[Point2DState, None, Tensor]:
        """The state itself; the episode never terminates."""
        return post_state, None, torch.zeros_like(post_state.x, dtype=torch.bool)

    def observe(self, state: Point2DState) -> Tensor:
        """Position, float32."""
        return torch.stack((state.x, state.y), 1).to(torch.float32)

    def observe_post(self, post_state: Point2DState) -> Tensor:
        """Observation of the post-decision state, which is the next state: that of `observe`."""
        return self.observe(post_state)

    def info(self, state: Point2DState) -> dict[str, Tensor]:
        """Behaviour descriptor, reward area, success."""
        area = self.areas.index(state.x, state.y)
        return {"behaviour": torch.stack((state.x, state.y), 1), "area": area, "success": area >= 0}

    def render(self, state_row: Point2DState) -> np.ndarray:
        """The square, its reward areas and the point."""
        canvas = Canvas(400, 400, (-1.05, 1.05), (-1.05, 1.05))
        for x, y, radius in self.params.areas:
            canvas.disc(x, y, radius, AREA)
        canvas.rect(-1.0, -1.0, 1.0, 1.0, None, "#333333")
        canvas.disc(state_row.x.item(), state_row.y.item(), 0.04, "#1f77b4")
        return canvas.array()

    def render_episode(self, states: Point2DState, actions: Tensor, rewards: Tensor) -> np.ndarray:
        """The path, and the return over time."""
        drawn, axes = figure(1, 2, width=10.5, height=4.8, width_ratios=(1.3, 1.0))
        square, earned = axes[0]
        draw_areas(square, self.params.areas)
        draw_path(drawn, square, torch.stack((states.x, states.y), 1).cpu().numpy(), "point")
        square.set(xlim=(-1.03, 1.03), ylim=(-1.03, 1.03), xlabel="x", ylabel="y", aspect="equal")
        square.set(xticks=(-1, -0.5, 0, 0.5, 1), yticks=(-1, -0.5, 0, 0.5, 1))
        square.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, frameon=False)
        earned.step(np.arange(1, len(rewards) + 1), rewards.cumsum(0).cpu().numpy(), where="post", color="#ff7f0e")
        earned.set(xlabel="step", ylabel="return so far", xlim=(0, len(rewards)))
        return figure_array(drawn)
