"""An arm of twenty links that must not touch the walls nor itself, with reward at three spots."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import MOST, check_choice, check_integer, check_positive
from rlsuite_envs.drawing import Canvas, figure, figure_array
from rlsuite_envs.kernel import Kernel
from rlsuite_envs.mazes.reward_areas import AREA, Area, RewardAreas, as_areas, draw_areas

__all__ = ["RedundantArm", "RedundantArmParams", "RedundantArmState"]

ROOT = 0.5
"""Both coordinates of the fixed end."""
LENGTH = 1.0
"""Length of the whole arm."""
START_ANGLES = (4.0 * math.pi, math.pi)
"""First and last start angle times the number of links: a spiral."""
BAR_LENGTH, BAR_WIDTH = 0.2, 0.02
"""Length and width of the four walls."""
CLEARANCE = 0.95
"""Joints must be this many link lengths apart, in the sum of their coordinates' differences."""


@dataclass(frozen=True)
class RedundantArmParams:
    """Constants; the defaults are SERENE's."""

    num_links: int = 20
    """Links of equal length, total 1; at least 20, because walls are only tested at the joints."""
    dt: float = 0.01
    """Time of a sub-step, s, > 0."""
    substeps: int = 2
    """Sub-steps per step, at least 1."""
    max_speed: float = 1.0
    """Limit of the end effector's speed as the release measures it, > 0; see `RedundantArm`."""
    areas: tuple[Area, ...] = ((0.25, 0.25, 0.05), (0.85, 0.85, 0.05), (0.25, 0.90, 0.05))
    """Discs (x, y, radius) with centres in [0, 1]^2 that reward an episode's end."""
    reward: str = "sparse"
    """ "sparse" or "dense"; see `RedundantArm`."""
    horizon: int = 100
    """Steps per episode, at least 1; the release's own limit is 250."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "areas", as_areas(self.areas, (0.0, 1.0), (0.0, 1.0)))
        check_positive(self, "dt", "max_speed")
        check_choice(self, "reward", ("sparse", "dense"))
        check_integer(self, "num_links", 20, MOST)
        check_integer(self, "substeps", 1, MOST)
        check_integer(self, "horizon", 1)


@dataclass(frozen=True)
class RedundantArmState:
    """The arm; all fields [B, ...]."""

    angles: Tensor
    """Angle of each link relative to the one before (the first: to upwards), [B, N] rad."""
    speeds: Tensor
    """Angular velocities of the links, [B, N] rad/s."""
    effector: Tensor
    """Position of the free end, [B, 2]."""
    stopped: Tensor
    """Whether a move was illegal, [B] bool."""
    t: Tensor
    """Steps taken, [B] int64."""


class RedundantArm(Kernel[RedundantArmState, RedundantArmState, None]):
    """Unroll an arm of twenty links towards one of three small spots.

    ## Description
    The arm is fixed in the middle of the unit square and starts rolled up as a spiral. Each joint is driven by
    a torque. Four bars, 0.02 wide, reach 0.2 into the square from the middle of each side. There is no
    gravity, no friction and no coupling between the joints. A step has two sub-steps of dt = 0.01 s,
    angle' = angle + v dt + a / 2 dt^2 and v' = (angle' - angle) / dt, with torque a.

    A sub-step is illegal, is not made, and ends the episode, if

    - a joint would leave [0, 1) in x or y,
    - a joint would be inside a bar,
    - two joints would be nearer than 0.95 link lengths in |dx| + |dy|, or
    - the end effector would be too fast: the distance it moves in the sub-step, divided by the number of
      sub-steps, plus the last joint's speed (with its sign) exceeds `max_speed`. The measure is the release's;
      it bounds the last joint's speed rather than the end effector's.

    ## Action Space
    `Box(-1, 1, (20,))` float32: torques; values outside are clipped (the release takes them as they are).

    ## Observation Space
    `Box(20,)` float32: the angles divided by pi, the first relative to upwards, the others relative to the
    link before. The speeds are not observed.

    ## Rewards
    "sparse": 0; in the step that ends the episode, be it by an illegal move or by time, (R - d) / R where the
    end effector is at distance d <= R from the centre of a reward area of radius R (0.05, at (0.25, 0.25),
    (0.85, 0.85) and (0.25, 0.90)). "dense" adds the step's decrease of the distance to the nearest centre.
    SERENE stops the release's episode after 100 of its 250 steps, so that there only arms that stop
    themselves are rewarded; here both ends count, as the paper says.

    ## Starting State
    Angles falling evenly from 4 pi / 20 to pi / 20, at rest.

    ## Episode End
    Termination: an illegal move. Truncation: after `horizon` (100) steps.

    ## Information
    `behaviour` [2]: end effector, whose last value is the behaviour descriptor. `area`: number of the reward area
    around it, -1 for none. `success`: whether there is one. `stopped`: whether a move was illegal.

    ## Arguments
    The fields of `RedundantArmParams`.

    Source: Loviken and Hemion (2017); as set up by Paolo et al., SERENE (2021) and STAX (2024).
    """

    params_class = RedundantArmParams
    params: RedundantArmParams
    render_fps = 25

    def __init__(self, params: Any = None, **kwargs: Any) -> None:
        super().__init__(params, **kwargs)
        n = self.params.num_links
        self.link = LENGTH / n
        self.start = torch.linspace(START_ANGLES[0] / n, START_ANGLES[1] / n, n, device=self.device, dtype=self.dtype)
        self.areas = RewardAreas(self.params.areas, self.device, self.dtype)

    @property
    def observation_space(self) -> spaces.Box:
        """Angles over pi."""
        return spaces.Box(-np.inf, np.inf, (self.params.num_links,), dtype=np.float32)

    @property
    def action_space(self) -> spaces.Box:
        """Torques."""
        return spaces.Box(-1.0, 1.0, (self.params.num_links,), dtype=np.float32)

    def joints(self, angles: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates x and y [N + 1, B] of the joints, from the root to the end effector, of angles [B, N]."""
        heading = angles.T.contiguous().cumsum(0)  # from upwards
        x = torch.empty((len(heading) + 1, len(angles)), device=angles.device, dtype=angles.dtype)
        y = torch.empty_like(x)
        x[0] = ROOT
        y[0] = ROOT
        x[1:] = (torch.sin(heading) * -self.link).cumsum(0).add_(ROOT)
        y[1:] = (torch.cos(heading) * self.link).cumsum(0).add_(ROOT)
        return x, y

    def legal(self, x: Tensor, y: Tensor) -> Tensor:
        """Whether arms with these joints, x and y [N + 1, B], touch neither border, bars nor themselves; [B] bool."""
        inside = (torch.minimum(x, y).amin(0) >= 0) & (torch.maximum(x, y).amax(0) < 1)
        off_x, off_y = (x - 0.5).abs_(), (y - 0.5).abs_()
        near, far = torch.minimum(off_x, off_y), torch.maximum(off_x, off_y)
        # Inside a bar: nearly on a middle line, and far out along it.
        in_bar = (near < BAR_WIDTH / 2) & (far > 0.5 - BAR_LENGTH) & (far < 0.5)
        return inside & ~in_bar.any(0) & (self._closest(x, y) >= self.link * CLEARANCE)

    def _closest(self, x: Tensor, y: Tensor) -> Tensor:
        """Smallest |dx| + |dy| [B] of two joints, neighbours left out, which are a link apart anyway."""
        # |dx| + |dy| = max(|du|, |dv|) with u = x + y, v = x - y. One lag after the other stays in the cache.
        turned = torch.stack((x + y, x - y))
        closest = torch.full_like(x, math.inf)
        for lag in range(2, len(x)):
            apart = (turned[:, lag:] - turned[:, :-lag]).abs_()
            rest = closest[: len(x) - lag]
            torch.minimum(rest, torch.maximum(apart[0], apart[1]), out=rest)
        return closest.amin(0)

    def initial_state(self, num: int, rng: torch.Generator) -> RedundantArmState:
        """Start states: the arm coiled up in a spiral, at rest."""
        angles = self.start.expand(num, -1).clone()
        return RedundantArmState(
            angles,
            torch.zeros_like(angles),
            self._effector(angles),
            torch.zeros(num, device=self.device, dtype=torch.bool),
            torch.zeros(num, device=self.device, dtype=torch.int64),
        )

    def _effector(self, angles: Tensor) -> Tensor:
        x, y = self.joints(angles)
        return torch.stack((x[-1], y[-1]), 1)

    def post_decision(self, state: RedundantArmState, action: Tensor) -> tuple[RedundantArmState, Tensor]:
        """The next state and its reward: nothing here is random."""
        p = self.params
        push = action.to(self.dtype).clamp(-1.0, 1.0) * (0.5 * p.dt**2)
        angles, speeds, effector, stopped = state.angles, state.speeds, state.effector, state.stopped
        for _ in range(p.substeps):
            moved = angles + speeds * p.dt + push
            x, y = self.joints(moved)
            way = torch.hypot(x[-1] - effector[:, 0], y[-1] - effector[:, 1])
            slow = way / p.substeps + speeds[:, -1] <= p.max_speed
            stopped = stopped | ~(slow & self.legal(x, y))
            halt = stopped[:, None]
            speeds = torch.where(halt, speeds, (moved - angles) / p.dt)
            angles = torch.where(halt, angles, moved)
            effector = torch.where(halt, effector, torch.stack((x[-1], y[-1]), 1))
        after = RedundantArmState(angles, speeds, effector, stopped, state.t + 1)
        last = stopped | (after.t >= p.horizon)
        return after, self.areas.reward(state.effector.unbind(1), effector.unbind(1), last, p.reward)

    def transition(self, post_state: RedundantArmState, noise: None) -> tuple[RedundantArmState, None, Tensor]:
        """The state itself; terminated where a move was illegal."""
        return post_state, None, post_state.stopped.clone()

    def observe(self, state: RedundantArmState) -> Tensor:
        """Angles over pi, float32."""
        return (state.angles / math.pi).to(torch.float32)

    def observe_post(self, post_state: RedundantArmState) -> Tensor:
        """Observation of the post-decision state, which is the next state: that of `observe`."""
        return self.observe(post_state)

    def info(self, state: RedundantArmState) -> dict[str, Tensor]:
        """Behaviour descriptor, reward area, success, and whether a move was illegal."""
        area = self.areas.index(state.effector[:, 0], state.effector[:, 1])
        return {
            "behaviour": state.effector.clone(),
            "area": area,
            "success": area >= 0,
            "stopped": state.stopped.clone(),
        }

    def render(self, state_row: RedundantArmState) -> np.ndarray:
        """The arm, the bars and the reward areas."""
        canvas = Canvas(480, 480, (-0.02, 1.02), (-0.02, 1.02))
        for x, y, radius in self.params.areas:
            canvas.disc(x, y, radius, AREA)
        canvas.rect(0.0, 0.0, 1.0, 1.0, None, "#333333")
        for x, y, width, height in _bars():
            canvas.rect(x, y, x + width, y + height, "#333333")
        points = torch.stack(self.joints(state_row.angles), -1)[:, 0].cpu().numpy()
        canvas.line(points, "#1f77b4", 4.0)
        for x, y in points[1:-1]:
            canvas.disc(x, y, 0.0035, "white")
        canvas.disc(ROOT, ROOT, 0.014, "#333333")
        x, y = state_row.effector[0].tolist()
        canvas.disc(x, y, 0.014, "#d62728" if state_row.stopped.item() else "#2ca02c")
        return canvas.array()

    def render_episode(self, states: RedundantArmState, actions: Tensor, rewards: Tensor) -> np.ndarray:
        """Configurations over time with the path of the end effector; torques and reward."""
        from matplotlib.collections import LineCollection
        from matplotlib.patches import Rectangle

        drawn, axes = figure(1, 2, width=11.0, height=5.2, width_ratios=(1.3, 1.0))
        square, pushed = axes[0]
        draw_areas(square, self.params.areas)
        for x, y, width, height in _bars():
            square.add_patch(Rectangle((x, y), width, height, color="#333333"))
        points = torch.stack(self.joints(states.angles), -1).transpose(0, 1).cpu().numpy()
        shown = np.unique(np.linspace(0, len(points) - 1, 9).round().astype(int))
        arms = LineCollection(list(points[shown]), cmap="viridis", linewidths=1.8)
        arms.set_array(shown)
        square.add_collection(arms)
        drawn.colorbar(arms, ax=square, label="step", shrink=0.8)
        end = "illegal move" if states.stopped[-1] else "end"
        square.plot(*points[:, -1].T, ":", color="#d62728", label="path of the end effector")
        square.plot(*points[-1, -1], "s", color="#d62728", markersize=6, label=end)
        square.set(xlim=(0, 1), ylim=(0, 1), xlabel="x", ylabel="y", aspect="equal")
        square.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3, frameon=False, fontsize=9)
        image = pushed.imshow(
            actions.cpu().numpy().clip(-1, 1).T,
            aspect="auto",
            cmap="coolwarm",
            vmin=-1,
            vmax=1,
            origin="lower",
            extent=(0, len(actions), 0.5, self.params.num_links + 0.5),
        )
        drawn.colorbar(image, ax=pushed, label="torque", shrink=0.8)
        pushed.set_yticks(range(5, self.params.num_links + 1, 5))
        pushed.set(xlabel="step", ylabel="joint", title=f"return {float(rewards.sum()):.3f}")
        return figure_array(drawn)


def _bars() -> list[tuple[float, float, float, float]]:
    """The walls as (x, y, width, height)."""
    low, far = 0.5 - BAR_WIDTH / 2, 1.0 - BAR_LENGTH
    upright = [(low, y, BAR_WIDTH, BAR_LENGTH) for y in (0.0, far)]
    return upright + [(x, low, BAR_LENGTH, BAR_WIDTH) for x in (0.0, far)]
