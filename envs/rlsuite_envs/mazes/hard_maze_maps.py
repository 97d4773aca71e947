"""Maps of the robot mazes, and the check that a disc can drive from the start to the goal.

The hard and the medium maze come from Lehman and Stanley (2011, "Abandoning Objectives", Evol. Comput. 19(2));
the segments are those of the Uber release (deep-neuroevolution, `hard_maze.txt`), the tidy variant those of
"Hands-on Neuroevolution with Python", chapter 6.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np

__all__ = [
    "HARD",
    "MEDIUM",
    "TEXTBOOK",
    "Wall",
    "as_point",
    "as_walls",
    "check_drivable",
    "distance_to_walls",
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
    # Half the radius keeps the blocked bands beside a wall wider than a diagonal step; at most 1000 x 1000.
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
