"""The hard maze of SERENE and TAXONS: a two-wheeled Fastsim robot and two small rewarding areas."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import check_choice, check_flag
from rlsuite_envs.kernel import Kernel
from rlsuite_envs.mazes.robots import robot_pictures
from rlsuite_envs.mazes.robots.fastsim import LASERS, FastsimParams, FastsimRobot, FastsimWorld
from rlsuite_envs.mazes.robots.fastsim_map import HARD_STROKES, Stroke, path_lengths

__all__ = ["FastsimMaze", "FastsimMazeParams", "FastsimMazeState"]

Area = tuple[float, float, float]


@dataclass(frozen=True)
class FastsimMazeParams(FastsimParams):
    """Constants; the defaults are SERENE's HardMaze."""

    strokes: tuple[Stroke, ...] = HARD_STROKES
    """Walls (x1, y1, x2, y2, thickness) in pixels; any array of such rows is taken. Used where `bitmap` is empty."""
    goals: tuple[Area, ...] = ((60.0, 60.0, 50.0), (100.0, 200.0, 50.0))
    """Rewarding areas (x, y, radius), at least one, all reachable."""
    reward: str = "terminal"
    """ "terminal" or "dense"; see `FastsimMaze`."""
    lagged: bool = False
    """Whether the last reward is of the position before the last move, as the release computes it."""
    action: str = "scaled"
    """ "scaled": actions in [-1, 1], times `max_wheel_speed`; "raw": the wheels' speeds."""
    observation: str = "scaled"
    """ "scaled": lasers as a share of their range; "raw": in units."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "goals", _as_areas(self.goals))
        check_choice(self, "reward", ("terminal", "dense"))
        check_flag(self, "lagged")
        check_choice(self, "action", ("scaled", "raw"))
        check_choice(self, "observation", ("scaled", "raw"))
        for row, (x, y, radius) in enumerate(self.goals):
            self.check_reachable(f"goals[{row}]", (x, y), radius)


def _as_areas(goals: Any) -> tuple[Area, ...]:
    try:
        array = np.asarray(goals, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"goals={goals!r} must be rows of three numbers (x, y, radius).") from error
    if array.ndim != 2 or array.shape[1] != 3 or not len(array):
        raise ValueError(f"goals has shape {array.shape} but must be at least one row of (x, y, radius).")
    if not np.isfinite(array).all() or array[:, 2].min() <= 0:
        raise ValueError(f"goals={goals!r} must be finite, with radii above 0.")
    return tuple((x, y, r) for x, y, r in array.tolist())


@dataclass(frozen=True)
class FastsimMazeState:
    """The robot, and where it was; fields [B, ...]."""

    robot: FastsimRobot
    """State of the robot, fields [B]."""
    before: Tensor
    """Position before the last move [B, 2]; the start at first."""


class FastsimMaze(Kernel[FastsimMazeState, FastsimMazeState, None]):
    """Drive a two-wheeled robot with three lasers through the hard maze, to one of two areas.

    ## Description
    A Fastsim world of 600 x 600 units on 200 x 200 pixels: the hard maze with thick walls. The published
    bitmap is replaced by seven strokes fitted to it, which repeat 97 % of its wall pixels (intersection over
    union); the topology is the same, single pixels differ. Motion, collisions, bumpers and lasers follow
    libfastsim's rules, see `rlsuite_envs.mazes.robots.fastsim`. Everything is deterministic, and every episode
    starts alike.

    ## Action Space
    `Box(-1, 1, (2,))` float32: speeds of the left and the right wheel, times 4 units per step; clipped.
    action="raw" takes `Box(-4, 4, (2,))`.

    ## Observation Space
    `Box(0, 1, (5,))` float32; observation="raw" leaves the lasers in units (0 to 100).

    | index | meaning |
    |---|---|
    | 0-2 | laser at +45, 0, -45 degrees from the heading: distance / 100; 1 where it meets nothing |
    | 3, 4 | left and right bumper: 1 where a wall stopped the last move on that side |

    libfastsim refreshes its sensors when the robot moves; here they are right at the start too.

    ## Rewards
    - reward="terminal": 0, and in the last step (R - d) / R if the robot is at distance d < R of an area's
      centre; `lagged` takes the position before the last move.
    - "dense": the way gained in this step towards the nearest area's centre, along the shortest way through
      the maze (on the pixels, straight and diagonal), divided by that area's radius.

    ## Starting State
    At (60, 450), heading 45 degrees.

    ## Episode End
    After 2000 steps: with reward="terminal" a termination, since the payoff is final; with "dense" a
    truncation.

    ## Info
    "behaviour" [B, 2]: position / 600; "success" [B]: inside an area; "area" [B]: its number, else -1;
    "distance" [B] to the nearest centre; "collisions" [B].

    ## Arguments
    The fields of `FastsimMazeParams`. Preset: "Dense" (reward="dense").

    Source: Paolo et al. 2021, SERENE (arXiv 2102.03140) and its code's HardMaze: areas, radii, horizon,
    robot. Map: fitted, see above.

    ## Version History
    v0: first.
    """

    params_class: ClassVar[type] = FastsimMazeParams
    params: FastsimMazeParams
    presets: ClassVar[Mapping[str, Any]] = {"Dense": FastsimMazeParams(reward="dense")}
    render_fps = 60

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        self.world = FastsimWorld(self.params, self.device, self.dtype)
        goals = torch.tensor(self.params.goals, dtype=self.dtype, device=self.device)
        self._goal_x, self._goal_y, self._goal_r = goals.T.unsqueeze(-1)
        if self.params.reward == "dense":
            self._ways = self._way_table()

    def _way_table(self) -> Tensor:
        """Way to the nearest area's centre over its radius, of each pixel of the padded map, flat."""
        p, blocked = self.params, self.params.blocked()
        unit = p.unit
        rows, columns = np.indices(blocked.shape)
        best = np.full(blocked.shape, np.inf)
        for x, y, radius in p.goals:
            gap = np.where(blocked, np.inf, np.hypot(columns * unit - x, rows * unit - y))
            lengths = path_lengths(blocked, gap <= gap.min() + 1e-9)
            best = np.minimum(best, lengths * unit / radius)
        best[~np.isfinite(best)] = 0.0  # no robot is ever there
        padded = np.pad(best, self.world.margin)
        return torch.from_numpy(padded.reshape(-1)).to(self.device, self.dtype)

    @property
    def observation_space(self) -> spaces.Box:
        """Three lasers, two bumpers."""
        reach = self.params.laser_range if self.params.observation == "raw" else 1.0
        return spaces.Box(0.0, np.array([reach] * 3 + [1.0] * 2, np.float32), dtype=np.float32)

    @property
    def action_space(self) -> spaces.Box:
        """Left and right wheel."""
        high = self.params.max_wheel_speed if self.params.action == "raw" else 1.0
        return spaces.Box(-high, high, (2,), dtype=np.float32)

    @property
    def max_episode_steps(self) -> int:
        """The horizon."""
        return self.params.horizon

    def initial_state(self, num: int, rng: torch.Generator) -> FastsimMazeState:
        """At the start: nothing is random."""
        robot = self.world.start(num)
        return FastsimMazeState(robot, torch.stack((robot.x, robot.y), 1))

    def post_decision(self, state: FastsimMazeState, action: Tensor) -> tuple[FastsimMazeState, Tensor]:
        """The next state and the reward: nothing here is random."""
        p = self.params
        scale = p.max_wheel_speed if p.action == "scaled" else 1.0
        wheels = (action.to(self.dtype) * scale).clamp(-p.max_wheel_speed, p.max_wheel_speed)
        old = state.robot
        robot = self.world.drive(old, wheels[:, 0], wheels[:, 1])
        after = FastsimMazeState(robot, torch.stack((old.x, old.y), 1))
        if p.reward == "dense":
            ways = self._ways
            return after, ways[self.world.place(old.x, old.y)] - ways[self.world.place(robot.x, robot.y)]
        x, y = (old.x, old.y) if p.lagged else (robot.x, robot.y)
        payoff = (1 - self._gaps(x, y) / self._goal_r).amax(0).clamp(min=0)
        return after, torch.where(robot.t >= p.horizon, payoff, 0.0)

    def _gaps(self, x: Tensor, y: Tensor) -> Tensor:
        """Distance to each area's centre [goals, B]."""
        return torch.hypot(x - self._goal_x, y - self._goal_y)

    def transition(self, post_state: FastsimMazeState, noise: None) -> tuple[FastsimMazeState, None, Tensor]:
        """The state itself, and whether the payoff has ended the episode."""
        t = post_state.robot.t
        ended = t >= self.params.horizon if self.params.reward == "terminal" else torch.zeros_like(t).bool()
        return post_state, None, ended

    def observe(self, state: FastsimMazeState) -> Tensor:
        """Lasers and bumpers, float32."""
        lasers = self.world.lasers(state.robot)
        if self.params.observation == "scaled":
            lasers = lasers / self.params.laser_range
        bumpers = torch.stack((state.robot.left, state.robot.right))
        return torch.cat((lasers.float(), bumpers.float())).T.contiguous()

    def observe_post(self, post_state: FastsimMazeState) -> Tensor:
        """Observation of the post-decision state, which is the next state: that of `observe`."""
        return self.observe(post_state)

    def info(self, state: FastsimMazeState) -> dict[str, Tensor]:
        """Behaviour descriptor, area, success, distance and collisions."""
        x, y = state.robot.x, state.robot.y
        gaps = self._gaps(x, y)
        inside = gaps < self._goal_r
        success = inside.any(0)
        area = torch.where(success, inside.to(torch.uint8).argmax(0), -1)
        return {
            "behaviour": torch.stack((x, y), 1) / self.params.world,
            "success": success,
            "area": area,
            "distance": gaps.amin(0),
            "collisions": state.robot.collisions.clone(),
        }

    def render(self, state_row: FastsimMazeState) -> np.ndarray:
        """The world from above with the robot, its lasers and the areas; y downwards."""
        p, robot = self.params, state_row.robot
        canvas = robot_pictures.maze_canvas((0, p.world), (0, p.world))
        for x, y, radius in p.goals:
            canvas.disc(x, y, radius, "#c7e9c0", robot_pictures.GOAL)
        robot_pictures.draw_wall_pixels(canvas, p.wall(), p.unit)
        lengths = self.world.lasers(robot)[:, 0].tolist()
        rays = [(math.radians(angle), length) for angle, length in zip(LASERS, lengths, strict=True)]
        pose = robot.x.item(), robot.y.item(), robot.heading.item()
        robot_pictures.draw_robot(canvas, *pose, p.robot_radius, rays)
        return canvas.array()

    def render_episode(self, states: FastsimMazeState, actions: Tensor, rewards: Tensor) -> np.ndarray:
        """The path coloured by time, and the distance to the nearest area over time."""
        p, robot = self.params, states.robot

        def draw(ax: Any) -> None:
            low, high = -0.5 * p.unit, (len(p.wall()) - 0.5) * p.unit
            ax.imshow(~p.wall(), cmap="gray", extent=(low, high, high, low), vmin=-0.25, vmax=1)
            for x, y, radius in p.goals:
                angle = np.linspace(0, 2 * np.pi, 60)
                ax.fill(x + radius * np.cos(angle), y + radius * np.sin(angle), color="#c7e9c0", zorder=1)

        marks = [(x, y, "*", robot_pictures.GOAL, "area" if i == 0 else None) for i, (x, y, _) in enumerate(p.goals)]
        distance = self._gaps(robot.x, robot.y).amin(0).numpy(force=True)
        title = f"Return {float(rewards.sum()):.2f}, collisions {int(robot.collisions[-1])}"
        xy = robot.x.numpy(force=True), robot.y.numpy(force=True)
        extent = ((0.0, p.world), (0.0, p.world))
        label = "distance to the nearest area's centre (units)"
        return robot_pictures.path_figure(draw, extent, *xy, marks, distance, label, title)
