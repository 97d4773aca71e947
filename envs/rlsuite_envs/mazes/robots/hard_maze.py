"""The deceptive maze of novelty search: a disc with range finders and a goal compass."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.kernel import Kernel
from rlsuite_envs.mazes.robots import robot_pictures
from rlsuite_envs.mazes.robots.hard_maze_maps import MEDIUM, TEXTBOOK, HardMazeParams, extent
from rlsuite_envs.mazes.robots.ray_casting import Segments, cast_rays, wall_distance

__all__ = ["HardMaze", "HardMazeParams", "HardMazeState"]

RANGE_FINDERS = (-90.0, -45.0, 0.0, 45.0, 90.0, -180.0)
"""Directions of the range finders relative to the heading, degrees."""


@dataclass(frozen=True)
class HardMazeState:
    """The robot; all fields [B]."""

    x: Tensor
    """x of the robot's centre, float."""
    y: Tensor
    """y of the robot's centre, float."""
    heading: Tensor
    """Heading, degrees in [0, 360], float."""
    speed: Tensor
    """Speed, units per step, float."""
    spin: Tensor
    """Angular velocity, degrees per step, float."""
    collisions: Tensor
    """Steps that a wall has stopped so far, int64."""
    reached: Tensor
    """Whether the robot has been at the goal, bool."""
    t: Tensor
    """Steps taken, int64."""


class HardMaze(Kernel[HardMazeState, HardMazeState, None]):
    """Drive a disc through a deceptive maze, whose goal is behind a wall near the start.

    ## Description
    The robot (a disc of radius 8) sees the walls with six range finders and the goal's direction with a
    compass of four quadrants. In the hard maze the straight way to the goal (164 units) is a dead end; the
    way round is about 456 units, at full speed 160 of the 400 steps. Everything is deterministic, and every
    episode starts alike. A step, in this order:

    1. o1 (turn) and o2 (speed) are clipped to [0, 1].
    2. motion="velocity": each of spin and speed moves towards 6 (o - 0.5) by at most 0.2;
       motion="acceleration": each changes by o - 0.5. Both are limited to [-3, 3].
    3. The candidate position is pos + speed (cos, sin)(heading). The heading then grows by the spin and is
       wrapped once into [0, 360], where exactly 360 stays.
    4. Is any wall closer than 8 (strictly) to the candidate, the position stays and a collision is counted; the
       speed is kept.

    ## Action Space
    `Box(-1, 1, (2,))` float32: turn and speed, o = (a + 1) / 2; the argument `action` offers "raw01", a
    `Box(0, 1)` of o itself, and "network", a `Box(-0.5, 0.5)`. Values outside are clipped.

    ## Observation Space
    observation="release": `Box(0, 1, (11,))` float32.

    | index | meaning |
    |---|---|
    | 0 | 1 (bias) |
    | 1-6 | distance to the wall / 100 at -90, -45, 0, 45, 90, -180 degrees from the heading; 1 beyond 100 |
    | 7-10 | 1 where the goal is in front [315, 45), at [45, 135), behind or at [225, 315) degrees, else 0 |

    observation="textbook": the last ten of these with the ranges in units (0 to 100), and with the quadrant
    of bearing + heading where the release takes bearing - heading: a slip of that code, kept as an option.

    ## Rewards
    - reward="terminal" (as released): 0, and minus the distance to the goal in the last step. A learner needs
      a long horizon to see it: PPO improves with gamma 0.999, hardly with 0.99.
    - "dense": the distance gained in this step, whose sum is the start's distance minus the last one.
    - "success": 1 in the step that first reaches the goal, else 0.

    ## Starting State
    At `start` with heading 0, at rest.

    ## Episode End
    After 400 steps: with reward="terminal" a termination, since the payoff is final and nothing after it counts
    (a truncation would let a learner add the value of going on, that is of one more payoff); with the other
    rewards a truncation. Also a termination: the goal, where `terminate_at_goal`.

    ## Info
    "behaviour" [B, 2]: position (at the end the behaviour descriptor of novelty search); "distance" [B] to
    the goal; "success" [B]: it has been closer than `success_radius`; "collisions" [B].

    ## Arguments
    The fields of `HardMazeParams`. Presets: "hard", "dense" (its reward), "hard_textbook" (square border,
    acceleration), "medium".

    Source: Lehman and Stanley 2011, "Abandoning Objectives"; the Uber release (deep-neuroevolution), whose
    step order and constants these are.

    ## Version History
    v0: first.
    """

    params_class: ClassVar[type] = HardMazeParams
    params: HardMazeParams
    presets: ClassVar[Mapping[str, Any]] = {
        "hard": HardMazeParams(),
        "hard_textbook": HardMazeParams(walls=TEXTBOOK, motion="acceleration"),
        "dense": HardMazeParams(reward="dense"),
        "medium": HardMazeParams(walls=MEDIUM, start=(30.0, 22.0), goal=(270.0, 100.0)),
    }
    render_fps = 30

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        self._walls = Segments.of(self.params.walls, self.device, self.dtype)
        angles = torch.tensor(RANGE_FINDERS, dtype=torch.float64).deg2rad().unsqueeze(-1)
        self._ray_cos = angles.cos().to(self.device, self.dtype)
        self._ray_sin = angles.sin().to(self.device, self.dtype)

    @property
    def observation_space(self) -> spaces.Box:
        """Bias, six ranges, four quadrants."""
        if self.params.observation == "textbook":
            high = np.array([self.params.sensor_range] * 6 + [1.0] * 4, dtype=np.float32)
            return spaces.Box(np.zeros(10, np.float32), high, dtype=np.float32)
        return spaces.Box(0.0, 1.0, (11,), dtype=np.float32)

    @property
    def action_space(self) -> spaces.Box:
        """Turn and speed."""
        low, high = {"scaled": (-1.0, 1.0), "raw01": (0.0, 1.0), "network": (-0.5, 0.5)}[self.params.action]
        return spaces.Box(low, high, (2,), dtype=np.float32)

    @property
    def max_episode_steps(self) -> int:
        """The horizon."""
        return self.params.horizon

    def initial_state(self, num: int, rng: torch.Generator) -> HardMazeState:
        """At the start, at rest: nothing is random."""
        p = self.params

        def full(value: float) -> Tensor:
            return torch.full((num,), value, device=self.device, dtype=self.dtype)

        count = torch.zeros(num, dtype=torch.int64, device=self.device)
        pose = full(p.start[0]), full(p.start[1]), full(p.start_heading)
        return HardMazeState(*pose, full(0.0), full(0.0), count, count.bool(), count.clone())

    def post_decision(self, state: HardMazeState, action: Tensor) -> tuple[HardMazeState, Tensor]:
        """The next state and the reward: nothing here is random."""
        p = self.params
        spin, speed = self._velocities(state, action)
        angle = torch.deg2rad(state.heading)
        x, y = state.x + speed * angle.cos(), state.y + speed * angle.sin()
        heading = state.heading + spin
        heading = torch.where(heading > 360, heading - 360, heading)
        heading = torch.where(heading < 0, heading + 360, heading)
        blocked = wall_distance(x, y, self._walls) < p.robot_radius
        x, y = torch.where(blocked, state.x, x), torch.where(blocked, state.y, y)
        if p.fragile:
            broken = state.collisions > 0
            x, y = torch.where(broken, state.x, x), torch.where(broken, state.y, y)
            heading = torch.where(broken, state.heading, heading)
            speed, spin = speed.masked_fill(broken, 0.0), spin.masked_fill(broken, 0.0)
            blocked = blocked & ~broken
        distance = self._goal_distance(x, y)
        reached = state.reached | (distance < p.success_radius)
        after = HardMazeState(x, y, heading, speed, spin, state.collisions + blocked, reached, state.t + 1)
        return after, self._reward(state, after, distance)

    def _velocities(self, state: HardMazeState, action: Tensor) -> tuple[Tensor, Tensor]:
        """Spin and speed [B] of this step."""
        p = self.params
        # The action's own scale: half of it is what the outputs' (o - 0.5) is.
        action = action.to(self.dtype)
        centred = {"scaled": action * 0.5, "raw01": action - 0.5, "network": action}[p.action].clamp(-0.5, 0.5)
        old = torch.stack((state.spin, state.speed), 1)
        if p.motion == "velocity":
            new = old + (centred * (2 * p.max_speed) - old).clamp(-p.max_change, p.max_change)
        else:
            new = old + centred
        new = new.clamp(-p.max_speed, p.max_speed)
        return new[:, 0].contiguous(), new[:, 1].contiguous()

    def _goal_distance(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.hypot(x - self.params.goal[0], y - self.params.goal[1])

    def _reward(self, before: HardMazeState, after: HardMazeState, distance: Tensor) -> Tensor:
        p = self.params
        if p.reward == "dense":
            return self._goal_distance(before.x, before.y) - distance
        if p.reward == "success":
            return (after.reached & ~before.reached).to(self.dtype)
        return torch.where(self._terminated(after), -distance, 0.0)

    def _terminated(self, state: HardMazeState) -> Tensor:
        """Whether the payoff or the goal has ended the episode [B]."""
        p = self.params
        paid = state.t >= p.horizon if p.reward == "terminal" else torch.zeros_like(state.reached)
        return paid | state.reached if p.terminate_at_goal else paid

    def transition(self, post_state: HardMazeState, noise: None) -> tuple[HardMazeState, None, Tensor]:
        """The state itself, and whether the episode has ended."""
        return post_state, None, self._terminated(post_state)

    def ranges(self, state: HardMazeState) -> Tensor:
        """Distances to the walls [6, B] along the range finders, in units, `sensor_range` at most."""
        angle = torch.deg2rad(state.heading)
        cos, sin = angle.cos(), angle.sin()
        ray_x = cos * self._ray_cos - sin * self._ray_sin
        ray_y = sin * self._ray_cos + cos * self._ray_sin
        return cast_rays(state.x, state.y, ray_x, ray_y, self._walls, self.params.sensor_range)

    def observe(self, state: HardMazeState) -> Tensor:
        """Bias, ranges and the goal's quadrant, float32."""
        p = self.params
        ranges = self.ranges(state)
        bearing = torch.rad2deg(torch.atan2(p.goal[1] - state.y, p.goal[0] - state.x))
        textbook = p.observation == "textbook"
        relative = bearing + state.heading if textbook else bearing - state.heading
        quadrant = torch.floor((relative + 45.0) / 90.0).long().remainder(4)
        numbers = torch.zeros((11, state.x.shape[0]), dtype=self.dtype, device=self.device)
        numbers[0] = 1.0
        numbers[1:7] = ranges if textbook else ranges / p.sensor_range
        numbers[7:].scatter_(0, quadrant.unsqueeze(0), 1.0)
        return numbers[1 if textbook else 0 :].T.to(torch.float32, memory_format=torch.contiguous_format)

    def observe_post(self, post_state: HardMazeState) -> Tensor:
        """Observation of the post-decision state, which is the next state: that of `observe`."""
        return self.observe(post_state)

    def info(self, state: HardMazeState) -> dict[str, Tensor]:
        """Behaviour descriptor, distance to the goal, success and collisions."""
        return {
            "behaviour": torch.stack((state.x, state.y), 1),
            "distance": self._goal_distance(state.x, state.y),
            "success": state.reached.clone(),
            "collisions": state.collisions.clone(),
        }

    def render(self, state_row: HardMazeState) -> np.ndarray:
        """The maze from above with the robot, its range finders and the goal; y downwards."""
        p = self.params
        canvas = robot_pictures.maze_canvas(*extent(self.params.walls))
        canvas.disc(*p.goal, p.success_radius, robot_pictures.GOAL)
        x, y, heading = (part.item() for part in (state_row.x, state_row.y, state_row.heading))
        lengths = self.ranges(state_row)[:, 0].tolist()
        rays = [(math.radians(a), r) for a, r in zip(RANGE_FINDERS, lengths, strict=True)]
        robot_pictures.draw_robot(canvas, x, y, math.radians(heading), p.robot_radius, rays)
        for x1, y1, x2, y2 in p.walls:
            canvas.line([(x1, y1), (x2, y2)], robot_pictures.WALL, 3.0)
        return canvas.array()

    def render_episode(self, states: HardMazeState, actions: Tensor, rewards: Tensor) -> np.ndarray:
        """The path coloured by time, and the distance to the goal over time."""
        p = self.params
        x, y = states.x.numpy(force=True), states.y.numpy(force=True)
        distance = self._goal_distance(states.x, states.y).numpy(force=True)
        goal = (*p.goal, "*", robot_pictures.GOAL, "goal")
        title = f"Return {float(rewards.sum()):.1f}, collisions {int(states.collisions[-1])}"
        return robot_pictures.path_figure(
            self._draw_walls,
            extent(self.params.walls),
            x,
            y,
            [goal],
            distance,
            "distance to the goal (map units)",
            title,
        )

    def _draw_walls(self, ax: Any) -> None:
        for x1, y1, x2, y2 in self.params.walls:
            ax.plot([x1, x2], [y1, y2], color=robot_pictures.WALL, linewidth=2.0)
