"""SERENE's ball collecting: a Fastsim robot carries balls home, one at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import check_choice, check_flag, check_positive
from rlsuite_envs.kernel import Kernel
from rlsuite_envs.mazes.robots import robot_pictures
from rlsuite_envs.mazes.robots.fastsim import LASERS, FastsimParams, FastsimRobot, FastsimWorld
from rlsuite_envs.mazes.robots.hard_maze_maps import as_point

__all__ = ["CollectBall", "CollectBallParams", "CollectBallState"]

BALLS = ((75.0, 75.0), (75.0, 540.0), (225.0, 540.0), (450.0, 450.0), (450.0, 75.0), (225.0, 225.0))


@dataclass(frozen=True)
class CollectBallParams(FastsimParams):
    """Constants; the defaults are SERENE's CollectBall, in an arena without inner walls."""

    start: tuple[float, float] = (100.0, 500.0)
    """Start (x, y), which is also where balls are brought."""
    balls: tuple[tuple[float, float], ...] = BALLS
    """Places of the balls (x, y), at least one, all reachable and none at the start."""
    pickup_radius: float = 10.0
    """Distance below which a ball is grabbed, and below which the start counts as reached, > 0."""
    light_angles: tuple[float, float] = (-25.0, 25.0)
    """Directions of the left and the right light sensor relative to the heading, degrees."""
    light_width: float = 50.0
    """Width of a light sensor's field, degrees, in (0, 360]."""
    reward: str = "sparse"
    """ "sparse" or "dense"; see `CollectBall`."""
    lagged: bool = False
    """Whether grabbing and releasing happen at the position before the move, as in the release."""
    action: str = "scaled"
    """ "scaled": wheels at 4 units times the action in [-1, 1]; "raw": at twice the action in [-4, 4]."""
    observation: str = "scaled"
    """ "scaled": lasers as a share of their range; "raw": in units."""

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            balls = tuple(as_point(f"balls[{row}]", ball) for row, ball in enumerate(self.balls))
        except TypeError as error:
            raise ValueError(f"balls={self.balls!r} must be points (x, y).") from error
        object.__setattr__(self, "balls", balls)
        object.__setattr__(self, "light_angles", as_point("light_angles", self.light_angles))
        check_positive(self, "pickup_radius", "light_width")
        if self.light_width > 360:
            raise ValueError(f"light_width={self.light_width!r} must lie in (0, 360] degrees.")
        check_choice(self, "reward", ("sparse", "dense"))
        check_flag(self, "lagged")
        check_choice(self, "action", ("scaled", "raw"))
        check_choice(self, "observation", ("scaled", "raw"))
        if not balls:
            raise ValueError("balls=() must hold at least one ball (x, y).")
        for row, ball in enumerate(balls):
            self.check_reachable(f"balls[{row}]", ball, self.pickup_radius)
            if math.dist(ball, self.start) < self.pickup_radius:
                raise ValueError(f"balls[{row}]={ball} lies at the start already; move it away.")


@dataclass(frozen=True)
class CollectBallState:
    """Robot and N balls."""

    robot: FastsimRobot
    """State of the robot, fields [B]."""
    ball_x: Tensor
    """x of the balls [B, N], float; a carried ball is at the robot, a delivered one at the start."""
    ball_y: Tensor
    """y of the balls [B, N], float; as for `ball_x`."""
    held: Tensor
    """Number of the carried ball [B] int64, -1 for none."""
    delivered: Tensor
    """Whether each ball was delivered, [B, N] bool."""
    halfway: Tensor
    """Position at half the horizon [B, 2] (before that: now), the first half of the behaviour descriptor."""


class CollectBall(Kernel[CollectBallState, CollectBallState, None]):
    """Find balls, grab them one at a time, and bring them back to the start.

    ## Description
    A two-wheeled robot in a Fastsim world of 600 x 600 units (motion, lasers and bumpers: see
    `rlsuite_envs.mazes.robots.fastsim`) with six balls. In each step the robot moves; then, if the third action is
    above 0 and it carries nothing, it grabs the free ball closer than 10 (the first of several); if the third
    action is not above 0 it releases what it carries: closer than 10 to the start the ball is delivered, anywhere
    else it lies there again. Everything is deterministic. The published arena's bitmap and the directions of its
    light sensors are not public: this arena has an outer wall only (`strokes` adds others), and the two
    fields of 50 degrees meet in front.

    ## Action Space
    `Box(-1, 1, (3,))` float32: left and right wheel, times 4 units per step, and grab (above 0) or release.
    action="raw" takes `Box([-4, -4, -1], [4, 4, 1])`, whose wheels turn at twice the action, clipped to 4.

    ## Observation Space
    `Box(0, 1, (10,))` float32; observation="raw" leaves the lasers in units (0 to 100).

    | index | meaning |
    |---|---|
    | 0-2 | laser at +45, 0, -45 degrees from the heading: distance / 100; 1 where it meets nothing |
    | 3, 4 | left and right bumper |
    | 5, 6 | a free ball is in the field of the left (-25 degrees), the right (+25) light sensor |
    | 7, 8 | the start is in the field of the left, the right light sensor |
    | 9 | the robot carries a ball |

    Walls hide lights, on the same line of pixels that a laser takes.

    ## Rewards
    - reward="sparse": 1 for each ball delivered.
    - "dense": also the change of a potential, which changes no optimal policy (Ng et al. 1999): 1/2 while a ball is
      carried, minus the straight distance to the start (carrying) or to the nearest free ball, over 1200.

    ## Starting State
    At (100, 500), heading 45 degrees, carrying nothing. (The release hands 45 to a function that takes radians:
    start_heading=58.31 repeats it.)

    ## Episode End
    Truncation: 2000 steps.

    ## Info
    "behaviour" [B, 4]: position at half the horizon and now, / 600; "success" [B]: a ball is delivered;
    "delivered" [B]: how many; "balls" [B, 6, 2]: their places; "collisions" [B].

    ## Arguments
    The fields of `CollectBallParams`. Preset: "Dense" (reward="dense").

    Source: Paolo et al. 2021, SERENE (arXiv 2102.03140) and its code's CollectBall, after Doncieux's task.

    ## Version History
    v0: first.
    """

    params_class: ClassVar[type] = CollectBallParams
    params: CollectBallParams
    presets: ClassVar[Mapping[str, Any]] = {"Dense": CollectBallParams(reward="dense")}
    render_fps = 60

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        p = self.params
        self.world = FastsimWorld(p, self.device, self.dtype)
        self._balls = torch.tensor(p.balls, dtype=self.dtype, device=self.device)
        self._numbers = torch.arange(len(p.balls), device=self.device)
        # Between points of a convex room there is no wall to look for.
        self._sees_all = not p.strokes and not p.bitmap

    @property
    def observation_space(self) -> spaces.Box:
        """Lasers, bumpers, lights, and whether a ball is carried."""
        reach = self.params.laser_range if self.params.observation == "raw" else 1.0
        return spaces.Box(0.0, np.array([reach] * 3 + [1.0] * 7, np.float32), dtype=np.float32)

    @property
    def action_space(self) -> spaces.Box:
        """Left wheel, right wheel, grab."""
        wheel = self.params.max_wheel_speed if self.params.action == "raw" else 1.0
        high = np.array([wheel, wheel, 1.0], np.float32)
        return spaces.Box(-high, high, dtype=np.float32)

    @property
    def max_episode_steps(self) -> int:
        """The horizon."""
        return self.params.horizon

    def initial_state(self, num: int, rng: torch.Generator) -> CollectBallState:
        """At the start: nothing is random."""
        robot = self.world.start(num)
        x, y = self._balls.T.unsqueeze(1).repeat(1, num, 1)
        held = torch.full((num,), -1, dtype=torch.int64, device=self.device)
        delivered = torch.zeros((num, len(self.params.balls)), dtype=torch.bool, device=self.device)
        return CollectBallState(robot, x, y, held, delivered, torch.stack((robot.x, robot.y), 1))

    def post_decision(self, state: CollectBallState, action: Tensor) -> tuple[CollectBallState, Tensor]:
        """The next state and the reward: nothing here is random."""
        p, old = self.params, state.robot
        scale = p.max_wheel_speed if p.action == "scaled" else 2.0
        wheels = (action[:, :2].to(self.dtype) * scale).clamp(-p.max_wheel_speed, p.max_wheel_speed)
        robot = self.world.drive(old, wheels[:, 0], wheels[:, 1])
        x, y = (old.x, old.y) if p.lagged else (robot.x, robot.y)
        grab = action[:, 2] > 0
        near = torch.hypot(state.ball_x - x.unsqueeze(1), state.ball_y - y.unsqueeze(1)) < p.pickup_radius
        # A carried ball is near as well, but then nothing is grabbed.
        first = torch.where(near & ~state.delivered, self._numbers, len(p.balls)).amin(1)
        found = grab & (state.held < 0) & (first < len(p.balls))
        home = torch.hypot(x - p.start[0], y - p.start[1]) < p.pickup_radius
        dropped = ~grab & (state.held >= 0)
        carried = self._numbers == state.held.unsqueeze(1)
        delivered = state.delivered | (carried & (dropped & home).unsqueeze(1))
        held = torch.where(found, first, torch.where(dropped, -1, state.held))
        # A ball moves with the robot to the place where it is dropped, or to the start.
        moved = carried | (self._numbers == held.unsqueeze(1))
        keeps = (dropped & p.lagged).unsqueeze(1)
        here_x = torch.where(keeps, x.unsqueeze(1), robot.x.unsqueeze(1))
        here_y = torch.where(keeps, y.unsqueeze(1), robot.y.unsqueeze(1))
        ball_x = torch.where(delivered, p.start[0], torch.where(moved, here_x, state.ball_x))
        ball_y = torch.where(delivered, p.start[1], torch.where(moved, here_y, state.ball_y))
        now = torch.stack((robot.x, robot.y), 1)
        halfway = torch.where((robot.t <= p.horizon // 2).unsqueeze(1), now, state.halfway)
        after = CollectBallState(robot, ball_x, ball_y, held, delivered, halfway)
        reward = (dropped & home).to(self.dtype)
        if p.reward == "dense":
            reward = reward + self._potential(after) - self._potential(state)
        return after, reward

    def _potential(self, state: CollectBallState) -> Tensor:
        """1/2 if carrying, minus the way that comes next over twice the world's side [B]."""
        p, robot = self.params, state.robot
        home = torch.hypot(robot.x - p.start[0], robot.y - p.start[1])
        gaps = torch.hypot(state.ball_x - robot.x.unsqueeze(1), state.ball_y - robot.y.unsqueeze(1))
        nearest = torch.where(state.delivered, math.inf, gaps).amin(1)
        nearest = torch.where(state.delivered.all(1), 0.0, nearest)
        way = 2 * p.world
        return torch.where(state.held >= 0, 0.5 - home / way, -nearest / way)

    def transition(self, post_state: CollectBallState, noise: None) -> tuple[CollectBallState, None, Tensor]:
        """The state itself; the episode never terminates."""
        return post_state, None, torch.zeros_like(post_state.robot.left)

    def observe(self, state: CollectBallState) -> Tensor:
        """Lasers, bumpers, lights and the load, float32."""
        p, robot = self.params, state.robot
        lasers = self.world.lasers(robot)
        if p.observation == "scaled":
            lasers = lasers / p.laser_range
        lights = self._lights(state)
        others = torch.stack((robot.left, robot.right, *lights, state.held >= 0))
        return torch.cat((lasers.float(), others.float())).T.contiguous()

    def _lights(self, state: CollectBallState) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Whether the left and right sensors see a free ball, and the start; each [B]."""
        p, robot = self.params, state.robot
        x = torch.cat((state.ball_x.T, torch.full_like(robot.x, p.start[0]).unsqueeze(0)))
        y = torch.cat((state.ball_y.T, torch.full_like(robot.y, p.start[1]).unsqueeze(0)))
        lit = torch.ones_like(x, dtype=torch.bool)
        lit[:-1] = ~(state.delivered | (self._numbers == state.held.unsqueeze(1))).T
        if not self._sees_all:
            pixels = len(p.bitmap) or p.pixels
            lit = lit & self.world.first_wall(robot, x, y, pixels).isinf()
        bearing = torch.atan2(y - robot.y, x - robot.x) - robot.heading
        seen = []
        for centre in p.light_angles:
            off = torch.remainder(bearing - math.radians(centre) + math.pi, 2 * math.pi) - math.pi
            seen.append(lit & (off.abs() < math.radians(p.light_width) / 2))
        left, right = seen
        return left[:-1].any(0), right[:-1].any(0), left[-1], right[-1]

    def observe_post(self, post_state: CollectBallState) -> Tensor:
        """Observation of the post-decision state, which is the next state: that of `observe`."""
        return self.observe(post_state)

    def info(self, state: CollectBallState) -> dict[str, Tensor]:
        """Behaviour descriptor, deliveries, places of the balls and collisions."""
        now = torch.stack((state.robot.x, state.robot.y), 1)
        return {
            "behaviour": torch.cat((state.halfway, now), 1) / self.params.world,
            "success": state.delivered.any(1),
            "delivered": state.delivered.sum(1),
            "balls": torch.stack((state.ball_x, state.ball_y), 2),
            "collisions": state.robot.collisions.clone(),
        }

    def render(self, state_row: CollectBallState) -> np.ndarray:
        """The arena from above with robot, lasers, balls and the start; y downwards."""
        p, robot = self.params, state_row.robot
        canvas = robot_pictures.maze_canvas((0, p.world), (0, p.world))
        robot_pictures.draw_wall_pixels(canvas, p.wall(), p.unit)
        canvas.disc(*p.start, 2 * p.pickup_radius, "#c7e9c0", robot_pictures.GOAL)
        lengths = self.world.lasers(robot)[:, 0].tolist()
        rays = [(math.radians(angle), length) for angle, length in zip(LASERS, lengths, strict=True)]
        pose = robot.x.item(), robot.y.item(), robot.heading.item()
        robot_pictures.draw_robot(canvas, *pose, p.robot_radius, rays)
        for x, y in zip(state_row.ball_x[0].tolist(), state_row.ball_y[0].tolist(), strict=True):
            canvas.disc(x, y, 0.6 * p.robot_radius, "tomato", "black")
        return canvas.array()

    def render_episode(self, states: CollectBallState, actions: Tensor, rewards: Tensor) -> np.ndarray:
        """The path coloured by time with every pick-up and release, and deliveries over time."""
        p, robot = self.params, states.robot
        x, y, held = (part.numpy(force=True) for part in (robot.x, robot.y, states.held))
        delivered = states.delivered.sum(1).numpy(force=True)

        def draw(ax: Any) -> None:
            low, high = -0.5 * p.unit, (len(p.wall()) - 0.5) * p.unit
            ax.imshow(~p.wall(), cmap="gray", extent=(low, high, high, low), vmin=-0.25, vmax=1)

        taken = np.flatnonzero((held[1:] >= 0) & (held[:-1] < 0)) + 1
        freed = np.flatnonzero((held[1:] < 0) & (held[:-1] >= 0)) + 1
        balls = np.array(p.balls)
        marks = [
            (balls[:, 0], balls[:, 1], "o", "tomato", "ball"),
            (x[taken], y[taken], "^", "black", "grabbed"),
            (x[freed], y[freed], "v", "darkorange", "released"),
        ]
        extent = ((0.0, p.world), (0.0, p.world))
        title = f"Return {float(rewards.sum()):.2f}, collisions {int(robot.collisions[-1])}"
        return robot_pictures.path_figure(draw, extent, x, y, marks, delivered, "balls delivered", title)
