"""Batched plane geometry of the robot mazes: points and rays against wall segments.

Letters: B robots, W walls, R rays per robot. The batch is the last axis here: walls and rays are few, and the
innermost loop of an elementwise operation should be the long one.

Source: the Uber release's maze (`maze.h` of deep-neuroevolution) defines which meeting points count: strictly
inside the segment and strictly between the ray's origin and its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Segments", "cast_rays", "wall_distance"]


@dataclass(frozen=True)
class Segments:
    """Wall segments as columns; all fields [W, 1] float."""

    x: Tensor
    """x of the first end."""
    y: Tensor
    """y of the first end."""
    dx: Tensor
    """x of the second end minus that of the first."""
    dy: Tensor
    """y of the second end minus that of the first."""
    inverse_square: Tensor
    """Inverse of the squared length, 1 / length^2."""

    @classmethod
    def of(
        cls,
        walls: Sequence[Sequence[float]],
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Segments:
        """From walls (x1, y1, x2, y2), none of which has length 0."""
        x1, y1, x2, y2 = torch.tensor(walls, dtype=torch.float64).T.unsqueeze(-1)
        dx, dy = x2 - x1, y2 - y1
        columns = (x1, y1, dx, dy, 1.0 / (dx.square() + dy.square()))
        return cls(*(column.to(device=device, dtype=dtype) for column in columns))


def wall_distance(x: Tensor, y: Tensor, walls: Segments) -> Tensor:
    """Distance of points to the nearest wall.

    Args:
        x: [B].
        y: [B].
        walls: W segments.

    Returns:
        [B], >= 0.
    """
    from_x, from_y = x - walls.x, y - walls.y
    along = (from_x * walls.dx + from_y * walls.dy) * walls.inverse_square
    along = along.clamp(0.0, 1.0)
    off_x, off_y = from_x - along * walls.dx, from_y - along * walls.dy
    return (off_x.square() + off_y.square()).amin(0).sqrt()


def cast_rays(x: Tensor, y: Tensor, ray_x: Tensor, ray_y: Tensor, walls: Segments, max_range: float) -> Tensor:
    """Distance of each ray to the first wall.

    With p the origin, d the unit direction, A and E a wall's first end and extent, the lines meet at
    p + t d = A + u E with t = (A - p) x E / (d x E) and u = (A - p) x d / (d x E), x being the plane's cross
    product. A wall is hit where 0 < u < 1 and 0 < t < max_range; one parallel to the ray never is.

    Args:
        x: origins [B].
        y: origins [B].
        ray_x: unit directions [R, B].
        ray_y: unit directions [R, B].
        walls: W segments.
        max_range: the length of the rays, > 0.

    Returns:
        [R, B] in (0, max_range]; max_range where nothing is hit.
    """
    to_x, to_y = walls.x - x, walls.y - y
    ray_x, ray_y = ray_x.unsqueeze(1), ray_y.unsqueeze(1)
    crossing = torch.addcmul(ray_x * walls.dy, ray_y, walls.dx, value=-1)
    reach = torch.addcmul(to_x * walls.dy, to_y, walls.dx, value=-1) / crossing
    share = torch.addcmul(to_x * ray_y, to_y, ray_x, value=-1) / crossing
    # A parallel wall divides by 0: infinities and NaN fail these comparisons.
    hit = (share > 0) & (share < 1) & (reach > 0) & (reach < max_range)
    return torch.where(hit, reach, max_range).amin(1)
