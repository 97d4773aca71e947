"""The two-link arm of the curling and billiard tables: where it is, what stops it, how far the ball is from it.

The arm is an ideal servo: its joints have their commanded speeds, and only limits and walls stop them; see
`planar_physics`. Letters: B tables. World: the table's centre is the origin, the arm is fixed at the middle of the
lower side.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "BASE",
    "DT",
    "HALF_SIZE",
    "HALF_WIDTH",
    "INNER",
    "LIMITS",
    "MAX_SPEED",
    "SKIN",
    "SLOP",
    "SPANS",
    "WALL",
    "Link",
    "arm_links",
    "arm_speeds",
    "corner",
    "offset",
    "side_wall",
]

HALF_SIZE = 1.5
"""Half of the table's side, to the middle of its walls, m."""
WALL = 0.1
"""Thickness of the walls, m."""
INNER = HALF_SIZE - WALL / 2
"""Distance from the table's centre to the inner side of the walls, m."""
BASE = -HALF_SIZE
"""y of the arm's fixed joint, m; its x is 0."""
LINK = 1.0
"""Length of each link, m."""
SPANS = ((0.0, 1.0), (-0.1, 0.9))
"""Start and end of each link along its direction, measured from its joint, m."""
HALF_WIDTH = 0.05
"""Half the width of the links, m."""
LIMITS = (0.4 * math.pi, 0.9 * math.pi)
"""Largest angles of shoulder and elbow, to both sides, rad."""
MAX_SPEED = 1.0
"""Largest speed of the joints, rad/s."""
DT = 1 / 60
"""Time of a step, s."""
SLOP = 0.005
"""Overlap up to which no position correction takes place, m."""
SKIN = 0.01
"""Margin by which collision boxes are larger than drawn, m."""


class Link(NamedTuple):
    """Position and direction of a link, [B] each: a box around a line from a pivot."""

    pivot_x: Tensor
    pivot_y: Tensor
    along_x: Tensor
    """Unit vector from the pivot to the far end."""
    along_y: Tensor


def arm_links(shoulder: Tensor, elbow: Tensor) -> tuple[Link, Link]:
    """The two links at joint angles [B]."""
    angles = torch.stack((shoulder, shoulder + elbow))
    (x, along_x), (y, along_y) = -torch.sin(angles), torch.cos(angles)
    first = Link(torch.zeros_like(x), torch.full_like(y, BASE), x, y)
    return first, Link(LINK * x, BASE + LINK * y, along_x, along_y)


def arm_speeds(angles: tuple[Tensor, Tensor], link: Link, shoulder: Tensor, elbow: Tensor) -> tuple[Tensor, Tensor]:
    """Joint speeds [B] in rad/s: the commanded ones, reduced to what joint limits and walls allow."""
    shoulder, elbow = _within(angles[0], shoulder, 0), _within(angles[1], elbow, 1)
    # The second link's lowest corner, and the one nearest to the side wall that it leans to.
    for normal_x, normal_y in ((torch.zeros_like(shoulder), torch.ones_like(shoulder)), side_wall(link)):
        corner_x, corner_y = corner(link, normal_x, normal_y)
        gap = INNER - (2 * SKIN - SLOP) + normal_x * corner_x + normal_y * corner_y
        # Lever arms: speed of the corner away from the wall per joint speed.
        of_shoulder = normal_y * corner_x - normal_x * (corner_y - BASE)
        of_elbow = normal_y * (corner_x - link.pivot_x) - normal_x * (corner_y - link.pivot_y)
        missing = (-gap / DT - of_shoulder * shoulder - of_elbow * elbow).clamp_min(0)
        outer = of_shoulder.abs() >= of_elbow.abs()
        shoulder = shoulder + torch.where(outer, missing / _away_from_zero(of_shoulder), 0.0)
        elbow = elbow + torch.where(outer, 0.0, missing / _away_from_zero(of_elbow))
    # Giving way must not turn a joint faster than its motor, nor beyond its limit: what is left is blocked.
    shoulder, elbow = shoulder.clamp(-MAX_SPEED, MAX_SPEED), elbow.clamp(-MAX_SPEED, MAX_SPEED)
    return _within(angles[0], shoulder, 0), _within(angles[1], elbow, 1)


def _within(angle: Tensor, speed: Tensor, joint: int) -> Tensor:
    """The speed that does not pass the joint's limits in this step."""
    limit = LIMITS[joint]
    return torch.clamp(speed, (-limit - angle) / DT, (limit - angle) / DT)


def side_wall(link: Link) -> tuple[Tensor, Tensor]:
    """Normal of the side wall that the second link is nearer to."""
    middle = link.pivot_x + 0.5 * LINK * link.along_x
    return torch.where(middle >= 0, -1.0, 1.0).to(middle.dtype), torch.zeros_like(middle)


def corner(link: Link, normal_x: Tensor, normal_y: Tensor) -> tuple[Tensor, Tensor]:
    """The second link's corner farthest against the normal."""
    near, far = SPANS[1]
    along = far - (far - near) * (link.along_x * normal_x + link.along_y * normal_y >= 0)
    across = link.along_y * normal_x - link.along_x * normal_y
    across = torch.full_like(across, HALF_WIDTH).copysign(-across)
    return (
        link.pivot_x + along * link.along_x + across * link.along_y,
        link.pivot_y + along * link.along_y - across * link.along_x,
    )


def offset(x: Tensor, y: Tensor, link: Link, i: int) -> tuple[Tensor, Tensor, Tensor]:
    """Unit vector from the box of link i to the ball's centre, and their distance (negative inside), [B]."""
    near, far = SPANS[i]
    half, rx, ry = (far - near) / 2, x - link.pivot_x, y - link.pivot_y
    along = rx * link.along_x + ry * link.along_y - (near + half)
    across = rx * link.along_y - ry * link.along_x
    out_along, out_across = along.abs() - half, across.abs() - HALF_WIDTH
    deep = torch.maximum(out_along, out_across)
    a, c = out_along.clamp_min(0), out_across.clamp_min(0)
    distance = torch.hypot(a, c)
    inside = deep <= 0
    # Inside, the nearest side counts; it has no direction from the clamped offsets.
    by_end = out_along > out_across
    scale = 1 / distance.clamp_min(1e-9)
    a = torch.where(inside, by_end, a * scale).copysign(along)
    c = torch.where(inside, ~by_end, c * scale).copysign(across)
    normal_x, normal_y = a * link.along_x + c * link.along_y, a * link.along_y - c * link.along_x
    return normal_x, normal_y, torch.where(inside, deep, distance)


def _away_from_zero(value: Tensor) -> Tensor:
    """The value moved away from zero, keeping its sign, so that division is safe."""
    return value.abs().clamp_min(1e-6).copysign(value)
