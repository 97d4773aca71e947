"""What curling and billiard share: the table with its arm, observations, motors and pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import (
    MOST,
    check_choice,
    check_flag,
    check_integer,
    check_non_negative,
    check_positive,
    check_probability,
)
from rlsuite_envs.drawing import Canvas, figure, figure_array
from rlsuite_envs.kernel import Kernel
from rlsuite_envs.mazes.arms.planar_arm import (
    BASE,
    HALF_SIZE,
    HALF_WIDTH,
    INNER,
    LIMITS,
    MAX_SPEED,
    SPANS,
    arm_links,
)
from rlsuite_envs.mazes.arms.planar_physics import Bodies, Table
from rlsuite_envs.mazes.reward_areas import AREA, RewardAreas, as_areas, draw_areas, draw_path

__all__ = ["TableGame", "TableParams", "TableState"]


@dataclass(frozen=True)
class TableParams:
    """Constants of table games; the defaults are the release's."""

    areas: tuple[tuple[float, float, float], ...] = ()
    """Discs (x, y, radius) with centres on the table, [-1.5, 1.5]^2, that reward the ball; at least one."""
    ball_start: tuple[float, float] = (-0.5, 0.2)
    """Where the ball starts, m; clear of the walls and of the upright arm."""
    ball_radius: float = 0.15
    """Radius of the ball, m, in [0.05, 0.5]."""
    restitution: float = 0.9
    """Share of the speed that the ball keeps in a collision, in [0, 1]."""
    damping: float = 1.1
    """Damping of the ball's velocity, 1/s, >= 0."""
    spin_damping: float = 2.0
    """Damping of the ball's angular velocity, 1/s, >= 0."""
    implicit_damping: bool = False
    """Whether damping divides by 1 + dt c, as newer versions of Box2D, instead of multiplying by 1 - dt c, as the
    one behind the release."""
    solver_iterations: int = 6
    """Rounds of sequential impulses, at least 1. The release has 100; with 6 the ball's speed differs by more than
    1 cm/s in one of a thousand steps, where arm and wall both touch it."""
    observation: str = "scaled"
    """ "scaled" (all in [-1, 1]) or "raw" (the release's units)."""
    reward: str = "sparse"
    """ "sparse" or "dense"; see the kernel."""
    horizon: int = 500
    """Steps of 1/60 s per episode, at least 1."""

    def __post_init__(self) -> None:
        table = (-HALF_SIZE, HALF_SIZE)
        object.__setattr__(self, "areas", as_areas(self.areas, table, table))
        check_positive(self, "ball_radius")
        if not 0.05 <= self.ball_radius <= 0.5:
            raise ValueError(f"ball_radius={self.ball_radius!r} must lie in [0.05, 0.5].")
        check_probability(self, "restitution")
        check_non_negative(self, "damping", "spin_damping")
        check_flag(self, "implicit_damping")
        check_integer(self, "solver_iterations", 1, MOST)
        check_choice(self, "observation", ("scaled", "raw"))
        check_choice(self, "reward", ("sparse", "dense"))
        check_integer(self, "horizon", 1)
        self._check_ball_start()

    def _check_ball_start(self) -> None:
        try:
            x, y = (float(value) for value in self.ball_start)
        except (TypeError, ValueError) as error:
            raise ValueError(f"ball_start={self.ball_start!r} must be two numbers (x, y).") from error
        object.__setattr__(self, "ball_start", (x, y))
        most = INNER - self.ball_radius
        # The upright arm is a bar around x = 0 up to the second link's end.
        top = BASE + SPANS[0][1] + SPANS[1][1]
        to_arm = math.hypot(max(0.0, abs(x) - HALF_WIDTH), max(0.0, y - top))
        if not (max(abs(x), abs(y)) <= most and to_arm >= self.ball_radius):
            raise ValueError(
                f"ball_start={self.ball_start!r} must lie in [{-most:g}, {most:g}]^2 and at least ball_radius="
                f"{self.ball_radius!r} from the upright arm, |x| <= {HALF_WIDTH}, y <= {top:g}."
            )


@dataclass(frozen=True)
class TableState:
    """Ball and arm; all fields [B, ...]."""

    ball: Tensor
    """Position of the ball's centre, [B, 2] m."""
    velocity: Tensor
    """Velocity of the ball, [B, 2] m/s."""
    spin: Tensor
    """Angular velocity of the ball, [B] rad/s, counterclockwise."""
    angles: Tensor
    """Angles of the first link from upwards and of the second relative to it, [B, 2] rad, counterclockwise."""
    speeds: Tensor
    """Angular velocities of the joints, [B, 2] rad/s."""
    t: Tensor
    """Steps taken, [B] int64."""


class TableGame(Kernel[TableState, TableState, None]):
    """The table: everything but reward and end, which the games define."""

    params_class = TableParams
    params: TableParams
    render_fps = 60

    def __init__(self, params: Any = None, **kwargs: Any) -> None:
        super().__init__(params, **kwargs)
        p = self.params
        self.areas = RewardAreas(p.areas, self.device, self.dtype)
        self.table = Table(
            radius=p.ball_radius,
            restitution=p.restitution,
            damping=p.damping,
            spin_damping=p.spin_damping,
            implicit_damping=p.implicit_damping,
            iterations=p.solver_iterations,
        )
        # Of the observation: ball on the table, angles, speeds.
        scale = (HALF_SIZE, HALF_SIZE, *LIMITS, MAX_SPEED, MAX_SPEED)
        self.scale = torch.tensor(scale, device=self.device, dtype=self.dtype)

    @property
    def observation_space(self) -> spaces.Box:
        """Ball, angles, joint speeds."""
        if self.params.observation == "scaled":
            return spaces.Box(-1.0, 1.0, (6,), dtype=np.float32)
        # Rounding may pass a limit by the last bit.
        high = np.nextafter(self.scale.cpu().numpy().astype(np.float32), np.float32(np.inf))
        return spaces.Box(-high, high, dtype=np.float32)

    @property
    def action_space(self) -> spaces.Box:
        """Speeds of the joints."""
        return spaces.Box(-1.0, 1.0, (2,), dtype=np.float32)

    def initial_state(self, num: int, rng: torch.Generator) -> TableState:
        """Arm upright, ball on its spot, all at rest."""
        ball = torch.tensor(self.params.ball_start, device=self.device, dtype=self.dtype).repeat(num, 1)
        still = torch.zeros_like(ball)
        t = torch.zeros(num, device=self.device, dtype=torch.int64)
        return TableState(ball, still, still[:, 0].clone(), still.clone(), still.clone(), t)

    def move(self, state: TableState, action: Tensor) -> TableState:
        """The table 1/60 s later."""
        command = action.to(self.dtype).clamp(-MAX_SPEED, MAX_SPEED)
        (x, y), (vx, vy), angles, speeds = (
            pair.unbind(1) for pair in (state.ball, state.velocity, state.angles, state.speeds)
        )
        now = Bodies(x, y, vx, vy, state.spin, angles[0], angles[1], speeds[0], speeds[1])
        new = self.table.step(now, command[:, 0], command[:, 1])
        return TableState(
            torch.stack((new.x, new.y), 1),
            torch.stack((new.vx, new.vy), 1),
            new.spin,
            torch.stack((new.shoulder, new.elbow), 1),
            torch.stack((new.shoulder_speed, new.elbow_speed), 1),
            state.t + 1,
        )

    def observe(self, state: TableState) -> Tensor:
        """Ball, angles, joint speeds, float32."""
        seen = torch.cat((state.ball, state.angles, state.speeds), 1)
        if self.params.observation == "scaled":
            seen = (seen / self.scale).clamp(-1.0, 1.0)
        return seen.to(torch.float32)

    def observe_post(self, post_state: TableState) -> Tensor:
        """Observation of the post-decision state, which is the next state: that of `observe`."""
        return self.observe(post_state)

    def info(self, state: TableState) -> dict[str, Tensor]:
        """Behaviour descriptor, reward area, success, distance to the nearest centre."""
        x, y = state.ball.unbind(1)
        area = self.areas.index(x, y)
        return {
            "behaviour": state.ball.clone(),
            "area": area,
            "success": area >= 0,
            "distance": self.areas.distance(x, y),
        }

    def _outlines(self, angles: Tensor) -> list[np.ndarray]:
        """Corners [T, 4, 2] of the two links at angles [T, 2]."""
        boxes = []
        for link, (near, far) in zip(arm_links(angles[:, 0], angles[:, 1]), SPANS, strict=True):
            pivot = torch.stack((link.pivot_x, link.pivot_y), -1)
            along = torch.stack((link.along_x, link.along_y), -1)
            across = torch.stack((link.along_y, -link.along_x), -1) * HALF_WIDTH
            ends = [pivot + near * along, pivot + far * along]
            box = (ends[0] - across, ends[0] + across, ends[1] + across, ends[1] - across)
            boxes.append(torch.stack(box, 1).cpu().numpy())
        return boxes

    def render(self, state_row: TableState) -> np.ndarray:
        """The table, its reward areas, the arm and the ball."""
        edge = HALF_SIZE + 0.06
        canvas = Canvas(480, 480, (-edge, edge), (-edge, edge), "#8a8f98")
        canvas.rect(-INNER, -INNER, INNER, INNER, "white")
        for x, y, radius in self.params.areas:
            canvas.disc(x, y, radius, AREA)
        for box in self._outlines(state_row.angles):
            canvas.polygon(box[0], "#59636e", "#333333")
        x, y = state_row.ball[0].tolist()
        canvas.disc(x, y, self.params.ball_radius, "#1f77b4")
        return canvas.array()

    def render_episode(self, states: TableState, actions: Tensor, rewards: Tensor) -> np.ndarray:
        """The ball's path with some of the arm's configurations; commands and return over time."""
        from matplotlib.patches import Circle, Polygon, Rectangle

        drawn, axes = figure(1, 2, width=11.5, height=5.4, width_ratios=(1.35, 1.0))
        table = axes[0, 0]
        table.add_patch(Rectangle((-INNER, -INNER), 2 * INNER, 2 * INNER, fill=False, linewidth=3, color="#59636e"))
        draw_areas(table, self.params.areas)
        shown = np.unique(np.linspace(0, len(states.t) - 1, 8).round().astype(int))
        for boxes in self._outlines(states.angles):
            for k, corners in enumerate(boxes[shown]):
                strength = 0.12 + 0.5 * k / len(shown)
                table.add_patch(Polygon(corners, color="#333333", alpha=strength, linewidth=0, zorder=2))
        path = states.ball.cpu().numpy()
        draw_path(drawn, table, path, "ball")
        table.add_patch(Circle(tuple(path[-1]), self.params.ball_radius, fill=False, color="black", zorder=4))
        edge = HALF_SIZE + 0.05
        table.set(xlim=(-edge, edge), ylim=(-edge, edge), xlabel="x (m)", ylabel="y (m)", aspect="equal")
        table.set_title("arm: light = early, dark = late", fontsize=10)
        table.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3, frameon=False, fontsize=9)
        box = axes[0, 1].get_subplotspec()
        axes[0, 1].remove()
        lines = box.subgridspec(2, 1)
        upper = drawn.add_subplot(lines[0])
        lower = drawn.add_subplot(lines[1], sharex=upper)
        steps = np.arange(1, len(rewards) + 1)
        for i, name in enumerate(("shoulder", "elbow")):
            upper.plot(states.angles[:, i].cpu().numpy() / math.pi, label=name)
        upper.set(ylabel="joint angle (pi rad)", xlim=(0, max(1, len(rewards))))
        upper.legend(frameon=False)
        lower.plot(steps, rewards.cumsum(0).cpu().numpy(), color="#ff7f0e")
        lower.set(xlabel="step", ylabel="return so far")
        return figure_array(drawn)
