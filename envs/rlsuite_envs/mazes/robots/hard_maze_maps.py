"""Maps and constants of the hard maze, and the check that a disc can drive from the start to the goal.

The hard and the medium maze come from Lehman and Stanley (2011, "Abandoning Objectives", Evol. Comput. 19(2));
the segments are those of the Uber release (deep-neuroevolution, `hard_maze.txt`), the tidy variant those of
"Hands-on Neuroevolution with Python", chapter 6.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from rlsuite_envs.checks import check_choice, check_finite, check_flag, check_integer, check_positive

__all__ = [
    "HARD",
    "MEDIUM",
    "TEXTBOOK",
    "HardMazeParams",
    "Wall",
    "as_point",
    "as_walls",
    "check_drivable",
    "distance_to_walls",
    "extent",
]

Wall = tuple[float, float, float, float]

HARD: tuple[Wall, ...] = (
    (41, 5, 3, 8),
    (3, 8, 4, 49),
    (4, 49, 57, 53),
    (4, 49, 7, 202),
    (7, 202, 195, 198),
    (195, 198, 186, 8),
    (186, 8, 39, 5),
    (56, 54, 56, 157),
    (57, 106, 158, 162),
    (77, 201, 108, 164),
    (6, 80, 33, 121),
    (192, 146, 87, 91),
    (56, 55, 133, 30),
)
"""The deceptive maze as released; x to the right, y downwards in its pictures."""

TEXTBOOK: tuple[Wall, ...] = (
    (5, 5, 200, 5),
    (200, 5, 200, 200),
    (200, 200, 5, 200),
    (5, 200, 5, 5),
    (5, 49, 57, 53),
    (56, 54, 56, 157),
    (57, 106, 158, 162),
    (77, 200, 108, 164),
    (5, 80, 33, 121),
    (200, 146, 87, 91),
    (56, 55, 133, 30),
)
"""The deceptive maze with a square border and walls that meet it."""

MEDIUM: tuple[Wall, ...] = (
    (5, 5, 295, 5),
    (295, 5, 295, 135),
    (295, 135, 5, 135),
    (5, 135, 5, 5),
    (241, 135, 58, 65),
    (114, 5, 73, 42),
    (130, 91, 107, 46),
    (196, 5, 139, 51),
    (219, 125, 182, 63),
    (267, 5, 214, 63),
    (271, 135, 237, 88),
)
"""The medium maze."""


def as_walls(walls: Any) -> tuple[Wall, ...]:
    """Walls as nested tuples, from any array of W rows (x1, y1, x2, y2).

    Raises:
        ValueError: no wall, another shape, numbers that are not finite, or a wall of length 0.
    """
    try:
        array = np.asarray(walls, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"walls={walls!r} must be rows of four numbers (x1, y1, x2, y2).") from error
    if array.size == 0:
        raise ValueError(f"walls={walls!r} is an empty map; give at least one wall (x1, y1, x2, y2).")
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"walls has shape {array.shape} but must be rows of four numbers (x1, y1, x2, y2).")
    for row, (x1, y1, x2, y2) in enumerate(array.tolist()):
        if not all(map(math.isfinite, (x1, y1, x2, y2))):
            raise ValueError(f"walls[{row}]={(x1, y1, x2, y2)} must be finite.")
        if (x1, y1) == (x2, y2):
            raise ValueError(f"walls[{row}]={(x1, y1, x2, y2)} has length 0; its ends must differ.")
    return tuple((x1, y1, x2, y2) for x1, y1, x2, y2 in array.tolist())


def as_point(name: str, point: Any) -> tuple[float, float]:
    """A point as a tuple of two floats.

    Raises:
        ValueError: it is none.
    """
    try:
        x, y = (float(part) for part in point)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}={point!r} must be two numbers (x, y).") from error
    if not (math.isfinite(x) and math.isfinite(y)):
        raise ValueError(f"{name}={point!r} must be finite.")
    return x, y


def distance_to_walls(points: np.ndarray, walls: Iterable[Wall]) -> np.ndarray:
    """Distance of points [..., 2] to the nearest wall, [...]."""
    nearest = np.full(points.shape[:-1], np.inf)
    for x1, y1, x2, y2 in walls:
        start, extent = np.array([x1, y1]), np.array([x2 - x1, y2 - y1])
        along = np.clip((points - start) @ extent / (extent @ extent), 0.0, 1.0)
        gap = np.linalg.norm(points - start - along[..., None] * extent, axis=-1)
        np.minimum(nearest, gap, out=nearest)
    return nearest


def extent(walls: Iterable[Wall], margin: float = 3.0) -> tuple[tuple[float, float], tuple[float, float]]:
    """The map's ranges of x and of y, with a margin."""
    ends = np.array(list(walls)).reshape(-1, 2)
    low, high = ends.min(0) - margin, ends.max(0) + margin
    return (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))


@lru_cache(maxsize=256)
def check_drivable(
    walls: tuple[Wall, ...],
    start: tuple[float, float],
    goal: tuple[float, float],
    radius: float,
    success_radius: float,
) -> None:
    """Raise ValueError unless a disc can drive from the start to within success_radius of the goal.

    A grid of at most 1 unit is filled from the start. A grid point counts as free where the disc would fit
    after moving by less than a cell, so that no drivable maze is refused; a gap that is too narrow by less
    than 1.5 cells may pass.

    Args:
        walls: the map.
        start: centre of the disc.
        goal: centre of the goal.
        radius: of the disc, > 0.
        success_radius: how near the disc's centre must come, > 0.

    Raises:
        ValueError: the start is too near to a wall, the goal cannot be reached, or the robot starts in it.
    """
    clearance = float(distance_to_walls(np.array(start), walls))
    if clearance < radius:
        raise ValueError(
            f"start={start} is {clearance:.3g} from the nearest wall; with robot_radius={radius} it must be at "
            f"least {radius} away."
        )
    if math.dist(start, goal) < success_radius:
        raise ValueError(f"start={start} lies within success_radius={success_radius} of goal={goal}.")
    from scipy.ndimage import label

    corners = np.array([*np.array(walls).reshape(-1, 2), start, goal])
    low, high = corners.min(0) - 2 * radius, corners.max(0) + 2 * radius
    # Half the radius keeps the blocked bands along a wall wider than a diagonal step; at most 1000 x 1000.
    cell = max(min(1.0, radius / 2), float((high - low).max()) / 1000)
    axes = [np.arange(low[i], high[i] + cell, cell) for i in (0, 1)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    slack = cell / math.sqrt(2)
    free = distance_to_walls(points, walls) >= radius - slack
    regions, _ = label(free, structure=np.ones((3, 3)))
    from_start = np.linalg.norm(points - np.array(start), axis=-1) <= slack * 1.001
    at_goal = np.linalg.norm(points - np.array(goal), axis=-1) < success_radius + slack
    reached = set(regions[from_start & free].tolist()) & set(regions[at_goal & free].tolist())
    if not reached:
        raise ValueError(
            f"goal={goal} cannot be reached from start={start} by a disc of robot_radius={radius} (to within "
            f"success_radius={success_radius}); move the goal, open the walls or shrink the robot."
        )


@dataclass(frozen=True)
class HardMazeParams:
    """Constants; the defaults are the Uber release's hard maze. Lengths are the map's units."""

    observations: ClassVar[tuple[str, ...]] = ("release", "textbook")

    walls: tuple[Wall, ...] = HARD
    """Wall segments (x1, y1, x2, y2), at least one; any array of such rows is taken."""
    start: tuple[float, float] = (36.0, 184.0)
    """Start (x, y), at least `robot_radius` from every wall."""
    start_heading: float = 0.0
    """Start heading, degrees, in [0, 360]; 0 is the direction of growing x, 90 that of growing y."""
    goal: tuple[float, float] = (31.0, 20.0)
    """Goal (x, y), which the robot must be able to reach."""
    robot_radius: float = 8.0
    """Radius of the robot, > 0."""
    success_radius: float = 5.0
    """Distance of the robot's centre to the goal below which it is reached, > 0 (Lehman and Stanley: 5; the
    Uber release's header says 10)."""
    sensor_range: float = 100.0
    """Range of the range finders, > 0."""
    max_speed: float = 3.0
    """Limit of the speed (units per step) and of the angular velocity (degrees per step), > 0."""
    max_change: float = 0.2
    """Limit of the velocities' change per step where motion="velocity", > 0."""
    motion: str = "velocity"
    """What the outputs o in [0, 1] set: "velocity" (Uber: velocities drift towards 6 (o - 0.5)) or
    "acceleration" (Lehman and Stanley, textbook: velocities change by o - 0.5)."""
    action: str = "scaled"
    """The action space: "scaled" is [-1, 1] with o = (a + 1) / 2, "raw01" is [0, 1] with o = a, "network" is
    [-0.5, 0.5] with o = a + 0.5, as the release treats its networks' outputs."""
    observation: str = "release"
    """ "release" (11 numbers in [0, 1]) or "textbook" (10 numbers, ranges in units, radar turned the other
    way)."""
    reward: str = "terminal"
    """ "terminal", "dense" or "success"; see `HardMaze`."""
    fragile: bool = False
    """Whether the first collision stops the robot for good."""
    terminate_at_goal: bool = False
    """Whether reaching the goal ends the episode."""
    horizon: int = 400
    """Steps per episode, at least 1."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "walls", as_walls(self.walls))
        object.__setattr__(self, "start", as_point("start", self.start))
        object.__setattr__(self, "goal", as_point("goal", self.goal))
        check_finite(self, "start_heading")
        if not 0 <= self.start_heading <= 360:
            raise ValueError(f"start_heading={self.start_heading!r} must lie in [0, 360] degrees.")
        check_positive(self, "robot_radius", "success_radius", "sensor_range", "max_speed", "max_change")
        check_choice(self, "motion", ("velocity", "acceleration"))
        check_choice(self, "action", ("scaled", "raw01", "network"))
        check_choice(self, "observation", self.observations)
        check_choice(self, "reward", ("terminal", "dense", "success"))
        check_flag(self, "fragile", "terminate_at_goal")
        check_integer(self, "horizon", 1)
        check_drivable(self.walls, self.start, self.goal, float(self.robot_radius), float(self.success_radius))
