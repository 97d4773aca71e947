"""Fastsim's robot: two wheels, lasers and bumpers in a bitmap; shared by the mazes that are built on it.

The world is a square of `world` units, drawn on P x P pixels; a length is turned into pixels by rounding it to the
nearest pixel, as in libfastsim, so that pixel k covers [(k - 0.5) u, (k + 0.5) u) with u = world / P. Letters: B
robots, R lasers, P pixels per side, K pixels along a laser.

Motion, one step: the wheels roll vl and vr units, 2 radius apart, so that the robot turns by
alpha = (vr - vl) / (2 radius) on an arc of length s = (vl + vr) / 2, that is by the chord
s sin(alpha/2) / (alpha/2) in the direction heading + alpha/2. A wall pixel within round(radius / u) pixels of the
robot's own pixel is a collision: the position stays, and (unless walls are sticky) the heading turns. The
right bumper is pressed by colliding pixels between 0 and +90 degrees of the new heading, the left one by those
between -90 and 0, as they were met (not after the robot was put back). A laser follows libfastsim's line of pixels,
which includes both neighbours where it passes through a corner, and reports the distance from the robot to the
middle of the line's pixel at which it met a wall.

Source: libfastsim (Mouret and Doncieux 2012, "Sferes_v2"; its pixel arithmetic, not its code), with the settings of
the SERENE and TAXONS experiments (Paolo et al., arXiv 2102.03140 and 1909.05508).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rlsuite_envs.checks import check_finite, check_flag, check_integer, check_positive
from rlsuite_envs.mazes.robots.fastsim_map import Stroke, as_rows, as_strokes, blocked_pixels, draw_map, regions
from rlsuite_envs.mazes.robots.hard_maze_maps import as_point

__all__ = ["LASERS", "FastsimParams", "FastsimRobot", "FastsimWorld"]

LASERS = (45.0, 0.0, -45.0)
"""Directions of the lasers relative to the heading, degrees."""


@dataclass(frozen=True)
class FastsimParams:
    """Constants of world and robot. Lengths are units of the world unless said otherwise."""

    strokes: tuple[Stroke, ...] = ()
    """Walls (x1, y1, x2, y2, thickness) in pixels; any array of such rows is taken. Used where `bitmap` is empty."""
    bitmap: tuple[str, ...] = ()
    """The whole world instead: square, rows of "#" and "." (or an array, non-zero at walls)."""
    pixels: int = 200
    """P, pixels per side where there is no bitmap, 16 to 2000."""
    border: int = 3
    """Thickness of the outer wall, pixels, at least 1, where there is no bitmap."""
    world: float = 600.0
    """Side of the world, > 0."""
    start: tuple[float, float] = (60.0, 450.0)
    """Start (x, y), where the robot must fit."""
    start_heading: float = 45.0
    """Start heading, degrees, in [-180, 180]; 0 is the direction of growing x, 90 that of growing y."""
    robot_radius: float = 10.0
    """Radius of the robot and half the distance of its wheels, > 0."""
    laser_range: float = 100.0
    """Range of the lasers, at least 3 pixels."""
    max_wheel_speed: float = 4.0
    """Limit of the wheels' speeds, units per step, > 0."""
    sticky_walls: bool = False
    """Whether a collision also keeps the heading."""
    horizon: int = 2000
    """Steps per episode, at least 1."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "strokes", as_strokes(self.strokes))
        object.__setattr__(self, "bitmap", as_rows(self.bitmap))
        object.__setattr__(self, "start", as_point("start", self.start))
        check_positive(self, "world", "robot_radius", "laser_range", "max_wheel_speed")
        check_finite(self, "start_heading")
        if not -180 <= self.start_heading <= 180:
            raise ValueError(f"start_heading={self.start_heading!r} must lie in [-180, 180] degrees.")
        check_integer(self, "pixels", 16, 2000)
        check_integer(self, "border", 1, self.pixels // 2 - 1)
        check_flag(self, "sticky_walls")
        check_integer(self, "horizon", 1)
        for name, most in (("robot_radius", self.world / 4), ("laser_range", 10 * self.world)):
            if getattr(self, name) > most:  # it is drawn pixel by pixel
                raise ValueError(
                    f"{name}={getattr(self, name)!r} must be at most {most:g} in a world of {self.world:g}."
                )
        if self.laser_range < 3 * self.unit:
            raise ValueError(f"laser_range={self.laser_range!r} must be at least 3 pixels, {3 * self.unit:g} here.")
        if self.blocked()[self.pixel(self.start)]:
            raise ValueError(f"start={self.start} leaves no room for a robot of robot_radius={self.robot_radius!r}.")

    @property
    def unit(self) -> float:
        """Units per pixel."""
        return self.world / (len(self.bitmap) or self.pixels)

    def wall(self) -> np.ndarray:
        """The bitmap [P, P] bool (rows are y)."""
        return draw_map(self.strokes, self.bitmap, self.pixels, self.border)

    def blocked(self) -> np.ndarray:
        """Where the robot's pixel cannot be, [P, P] bool."""
        return blocked_pixels(self.wall(), max(1, math.floor(self.robot_radius / self.unit + 0.5)))

    def pixel(self, point: tuple[float, float]) -> tuple[int, int]:
        """Row and column of a point.

        Raises:
            ValueError: it lies outside the world.
        """
        column, row = (math.floor(part / self.unit + 0.5) for part in point)
        size = len(self.wall())
        if not (0 <= row < size and 0 <= column < size):
            raise ValueError(f"point {point} lies outside the world, [0, {self.world}]^2.")
        return row, column

    def check_reachable(self, name: str, point: tuple[float, float], radius: float) -> None:
        """Raise ValueError unless the robot can come nearer than radius to a point."""
        self.pixel(point)
        blocked = self.blocked()
        parts = regions(blocked)
        rows, columns = np.nonzero(parts == parts[self.pixel(self.start)])
        gap = np.hypot(columns * self.unit - point[0], rows * self.unit - point[1])
        # Anywhere in the pixel will do, hence half a diagonal more.
        if gap.min() >= radius + self.unit * math.sqrt(0.5):
            raise ValueError(
                f"{name}={point} cannot be reached from start={self.start} to within {radius:g} by a robot of "
                f"robot_radius={self.robot_radius!r}; move it or open the walls."
            )


@dataclass(frozen=True)
class FastsimRobot:
    """The robot; all fields [B]."""

    x: Tensor
    """x of the robot's centre, float."""
    y: Tensor
    """y of the robot's centre, float."""
    heading: Tensor
    """Heading, radians in [-pi, pi], float."""
    left: Tensor
    """Whether the left bumper was pressed in the last step, bool."""
    right: Tensor
    """Whether the right bumper was pressed in the last step, bool."""
    collisions: Tensor
    """Steps that a wall has stopped so far, int64."""
    t: Tensor
    """Steps taken, int64."""


class FastsimWorld:
    """Batched motion and sensors of robots in one bitmap; holds constants only.

    Args:
        params: the constants.
        device: of all tensors.
        dtype: of positions and distances.
    """

    def __init__(self, params: FastsimParams, device: torch.device, dtype: torch.dtype) -> None:
        self.params = params
        self.device = device
        self.dtype = dtype
        wall = params.wall()
        # Beyond the map there is wall: a margin of it saves the bounds checks of rays and bumpers.
        self.margin = max(math.ceil(params.laser_range / params.unit), math.ceil(params.robot_radius / params.unit)) + 3
        padded = np.pad(wall, self.margin, constant_values=True)
        self.stride = padded.shape[1]
        self._wall = torch.from_numpy(padded.reshape(-1).copy()).to(device)
        blocked = np.pad(params.blocked(), self.margin, constant_values=True)
        self._blocked = torch.from_numpy(blocked.reshape(-1).copy()).to(device)
        reach = max(1, math.floor(params.robot_radius / params.unit + 0.5))
        offset = np.arange(-reach, reach + 1)
        place = np.argwhere(offset[:, None] ** 2 + offset**2 <= reach**2) - reach
        row, column = torch.from_numpy(place).to(device).T.unsqueeze(-1)
        self._disc = row * self.stride + column
        self._disc_x = column.to(dtype)
        self._disc_y = row.to(dtype)
        self._angles = torch.tensor(LASERS, dtype=torch.float64).deg2rad().to(device, dtype).unsqueeze(-1)

    def start(self, num: int) -> FastsimRobot:
        """Robots at the start."""
        p = self.params

        def full(value: float) -> Tensor:
            return torch.full((num,), value, device=self.device, dtype=self.dtype)

        count = torch.zeros(num, dtype=torch.int64, device=self.device)
        pose = full(p.start[0]), full(p.start[1]), full(math.radians(p.start_heading))
        return FastsimRobot(*pose, count.bool(), count.bool(), count, count.clone())

    def pixel(self, x: Tensor) -> Tensor:
        """The pixel of a coordinate, as float (round half up)."""
        return torch.floor(x / self.params.unit + 0.5)

    def place(self, x: Tensor, y: Tensor) -> Tensor:
        """Flat index of a point's pixel in the padded bitmaps, int64; the map's edge at most."""
        most = self.stride - 1
        column = (self.pixel(x).long() + self.margin).clamp(0, most)
        row = (self.pixel(y).long() + self.margin).clamp(0, most)
        return row * self.stride + column

    def drive(self, robot: FastsimRobot, left: Tensor, right: Tensor) -> FastsimRobot:
        """One step with these wheel speeds [B], already limited."""
        p = self.params
        turn = (right - left) / (2 * p.robot_radius)
        chord = 0.5 * (left + right) * torch.sinc(turn / (2 * math.pi))
        direction = robot.heading + 0.5 * turn
        x, y = robot.x + chord * direction.cos(), robot.y + chord * direction.sin()
        heading = robot.heading + turn
        heading = torch.where(heading > math.pi, heading - 2 * math.pi, heading)
        heading = torch.where(heading < -math.pi, heading + 2 * math.pi, heading)
        place = self.place(x, y)
        stopped = self._blocked[place]
        met = self._wall[place + self._disc]
        cos, sin = heading.cos(), heading.sin()
        ahead = met & (self._disc_x * cos + self._disc_y * sin > 0)
        side = self._disc_y * cos - self._disc_x * sin
        return FastsimRobot(
            torch.where(stopped, robot.x, x),
            torch.where(stopped, robot.y, y),
            torch.where(stopped, robot.heading, heading) if p.sticky_walls else heading,
            (ahead & (side < 0)).any(0),
            (ahead & (side > 0)).any(0),
            robot.collisions + stopped,
            robot.t + 1,
        )

    def lasers(self, robot: FastsimRobot) -> Tensor:
        """Distances [R, B] that the lasers report, `laser_range` where they meet nothing."""
        angle = robot.heading + self._angles
        reach = self.params.laser_range
        steps = math.ceil(reach / self.params.unit) + 1
        distance = self.first_wall(robot, robot.x + reach * angle.cos(), robot.y + reach * angle.sin(), steps)
        return distance.clamp(max=reach)

    def first_wall(self, robot: FastsimRobot, to_x: Tensor, to_y: Tensor, steps: int) -> Tensor:
        """Distance from the robot to the first wall pixel on the way to a point, infinite where there is none.

        The line's pixels are found at once instead of one after the other. Let the line go N pixels along its
        major and M <= N along its minor axis. After k major steps it is at minor pixel
        m_k = ceil((N + 2 k M) / (2 N)) - 1; where m_k > m_(k-1) it also passes the pixel (k, m_(k-1)) if
        (2 k - 1) M <= N (m_k + m_(k-1)), and (k - 1, m_k) if >=. Without that step these are pixels of the line
        itself, so that the conditions need no third one.

        Args:
            robot: B robots.
            to_x: ends [R, B].
            to_y: ends [R, B].
            steps: K, a bound of N.
        """
        from_x, from_y = self.pixel(robot.x), self.pixel(robot.y)
        dx, dy = self.pixel(to_x) - from_x, self.pixel(to_y) - from_y
        flat = dx.abs() >= dy.abs()
        major = torch.where(flat, dx.abs(), dy.abs())
        minor = torch.where(flat, dy.abs(), dx.abs())
        step_x, step_y = torch.where(dx < 0, -1.0, 1.0), torch.where(dy < 0, -self.stride, self.stride)
        along, across = torch.where(flat, step_x, step_y), torch.where(flat, step_y, step_x)
        count = torch.arange(steps + 1, device=self.device, dtype=self.dtype).reshape(-1, 1, 1)
        # Lasers stay within the margin even beyond their end, longer lines stop there.
        k = count if steps < self.margin - 1 else torch.minimum(count, major)
        # Quotients of small integers: a float keeps them apart from the next integer.
        m = torch.ceil((2 * k * minor + major) / (2 * major).clamp(min=1)) - 1
        base = ((from_y + self.margin) * self.stride + from_x + self.margin).unsqueeze(0)
        main, old, new = k[1:] * along + base, m[:-1] * across, m[1:] * across
        middle = (2 * k[1:] - 1) * minor - major * (m[1:] + m[:-1])
        hit = self._at(main + new)
        hit = hit | (self._at(main + old) & (middle <= 0)) | (self._at(main - along + new) & (middle >= 0))
        first = torch.where(hit & (count[1:] <= major), k[1:], math.inf).amin(0)
        met = first.isfinite()
        k1 = torch.where(met, first, 0.0)
        m1 = torch.ceil((2 * k1 * minor + major) / (2 * major).clamp(min=1)) - 1
        go_x, go_y = torch.where(flat, k1, m1) * dx.sign(), torch.where(flat, m1, k1) * dy.sign()
        unit = self.params.unit
        distance = torch.hypot((from_x + go_x) * unit - robot.x, (from_y + go_y) * unit - robot.y)
        return torch.where(met, distance, math.inf)

    def _at(self, place: Tensor) -> Tensor:
        return self._wall[place.long()]
