"""A ball on a table that a two-link arm may hit: batched planar physics after Box2D's.

What is as in Box2D 2.3, and tested against recordings of it: damping, by pybox2d's law v' = v (1 - dt c) (newer
versions: v' = v / (1 + dt c), an option); skins and slops of shapes; contacts found at the beginning of a step and
solved by sequential impulses, friction before normal, with restitution above 1 m/s only; ball against wall inside a
step (continuous collision), here in closed form; correction of overlaps without change of velocity. A ball among
the walls keeps within 2 mm of Box2D's for two seconds; after a hit by the arm its velocity is within 0.5 % and its
place within 15 mm. Later hits of the same ball grow the difference, as they do any: of 60 whole episodes (500 steps,
random commands held for 50) 55 % ended within 5 cm of Box2D's, 48 % of Box2D's with bullets (see below), and the
final places were distributed alike.

What is simplified:

- The arm is an ideal servo. Its motors may use 100 N m, 1.67 N m s in a step of 1/60 s; turning the stretched arm
  from one full speed to the other takes 0.9, and the hardest hit of a resting ball 0.7. They hardly ever saturate
  unless something jams, so that the joints have their commanded speeds, and only limits, walls and jams stop them.
- Joint limits are exact. Box2D 2.3 overshoots them by up to one step's way (1/60 rad) and stays there.
- Where a link meets a wall, the joint with the longer lever gives way, as its motor would saturate first. There is
  no friction between links and walls.
- Where the ball is jammed between the arm and something fixed, both joints stop.
- The ball meets a link at the beginning of the step after they first overlap. So it does in Box2D, but for bodies
  marked as bullets, as the release marks ball and links: if such a pair meets inside a step, Box2D solves the impact
  against the one link alone, as if no joint held it, and the ball leaves with about 55 % of the speed. This is an
  artefact of timing (the same stroke a few milliseconds earlier hits with the whole arm) and not repeated.

Letters: B tables. World: the table's centre is the origin, the arm is fixed at the middle of the lower side.

Source: E. Catto, Box2D 2.3 (b2World, b2ContactSolver, b2RevoluteJoint) and "Iterative Dynamics with Temporal
Coherence", GDC 2005.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from rlsuite_envs.mazes.arms.planar_arm import (
    BASE,
    DT,
    INNER,
    LIMITS,
    SKIN,
    SLOP,
    Link,
    arm_links,
    arm_speeds,
    offset,
)

__all__ = ["Bodies", "Table"]

LINK_FRICTION = 0.9
"""Friction coefficient between ball and links; Box2D takes the geometric mean, sqrt(0.9 x 0.9)."""
WALL_FRICTION = math.sqrt(0.9 * 0.2)
"""Friction coefficient between ball and walls, whose own is Box2D's default, 0.2."""
MAX_OVERLAP = 3 * SLOP
"""Overlap down to which position correction goes on; also the depth at which continuous collision stops, m."""
CORRECTION = 0.2
"""Share of an overlap that one correction removes."""
RETREAT = 0.0094
"""How far continuous collision moves a ball back from the wall it has met, m: 0.75 of the overlap beyond the
slop, twice."""
VELOCITY_THRESHOLD = 1.0
"""Approaching speed above which contacts are elastic, m/s."""


class Bodies(NamedTuple):
    """Ball and arm, [B] each."""

    x: Tensor
    """x of the ball's centre, m."""
    y: Tensor
    vx: Tensor
    """x velocity of the ball, m/s."""
    vy: Tensor
    spin: Tensor
    """Angular velocity of the ball, rad/s, counterclockwise."""
    shoulder: Tensor
    """Angle of the first link from upwards, rad, counterclockwise."""
    elbow: Tensor
    """Angle of the second link relative to the first, rad."""
    shoulder_speed: Tensor
    """Angular velocity of the shoulder, rad/s."""
    elbow_speed: Tensor
    """Angular velocity of the elbow, rad/s."""


class _Touch(NamedTuple):
    """A possible contact of the ball, [B] each."""

    normal_x: Tensor
    """Unit vector towards the ball."""
    normal_y: Tensor
    depth: Tensor
    """Overlap, m; negative if apart."""
    lever: Tensor
    """Distance of the contact point from the ball's centre, m."""
    surface_x: Tensor
    """x velocity of the other body at the contact point, m/s."""
    surface_y: Tensor
    friction: float


class Table:
    """The table, its ball and its arm: constants and the step.

    Args:
        radius: of the ball, m.
        restitution: of the ball, in [0, 1].
        damping: of the ball's velocity, 1/s.
        spin_damping: of its angular velocity, 1/s.
        implicit_damping: v' = v / (1 + dt c) instead of v (1 - dt c).
        iterations: of sequential impulses.
    """

    def __init__(
        self,
        *,
        radius: float,
        restitution: float,
        damping: float,
        spin_damping: float,
        implicit_damping: bool,
        iterations: int,
    ) -> None:
        self.radius = radius
        self.restitution = restitution
        self.slow, self.slow_spin = (
            1 / (1 + DT * c) if implicit_damping else max(0.0, 1 - DT * c) for c in (damping, spin_damping)
        )
        self.iterations = iterations
        self.reach = radius + SKIN
        self.farthest = INNER - self.reach + MAX_OVERLAP

    def step(self, b: Bodies, shoulder_speed: Tensor, elbow_speed: Tensor) -> Bodies:
        """The bodies dt later.

        Args:
            b: now.
            shoulder_speed: commanded, rad/s, [B].
            elbow_speed: commanded, rad/s, [B].
        """
        old = arm_links(b.shoulder, b.elbow)
        speeds = arm_speeds((b.shoulder, b.elbow), old[1], shoulder_speed, elbow_speed)
        ball = self._impulses(b, old, speeds)
        shoulder = (b.shoulder + DT * speeds[0]).clamp(-LIMITS[0], LIMITS[0])
        elbow = (b.elbow + DT * speeds[1]).clamp(-LIMITS[1], LIMITS[1])
        x, y, vx, vy, spin = self._fly(b.x, b.y, *ball)
        new = arm_links(shoulder, elbow)
        free_x, free_y = self._push_out(x, y, new)
        # What the walls leave inside a link is jammed: the arm stays, and so does the ball.
        left = torch.maximum(*(self._depth(free_x, free_y, link, i) for i, link in enumerate(new)))
        was = torch.maximum(*(self._depth(b.x, b.y, link, i) for i, link in enumerate(old)))
        jam = left > was.clamp_min(MAX_OVERLAP + SLOP)
        moved = ~jam
        return Bodies(
            torch.where(jam, b.x, free_x),
            torch.where(jam, b.y, free_y),
            vx,
            vy,
            spin,
            torch.where(jam, b.shoulder, shoulder),
            torch.where(jam, b.elbow, elbow),
            speeds[0] * moved,
            speeds[1] * moved,
        )

    def _depth(self, x: Tensor, y: Tensor, link: Link, i: int) -> Tensor:
        """Overlap of the ball with a link [B]."""
        return self.reach - offset(x, y, link, i)[2]

    def _touches(self, b: Bodies, links: tuple[Link, Link], speeds: tuple[Tensor, Tensor]) -> list[_Touch]:
        """The ball's contacts: two links, the nearer side wall, the nearer of lower and upper wall."""
        touches = []
        for i, link in enumerate(links):
            nx, ny, distance = offset(b.x, b.y, link, i)
            lever = (distance - SKIN + self.radius) / 2
            px, py = b.x - lever * nx, b.y - lever * ny
            vx, vy = -speeds[0] * (py - BASE), speeds[0] * px
            if i == 1:
                vx, vy = vx - speeds[1] * (py - link.pivot_y), vy + speeds[1] * (px - link.pivot_x)
            touches.append(_Touch(nx, ny, self.reach - distance, lever, vx, vy, LINK_FRICTION))
        zero = torch.zeros_like(b.x)
        for position, vertical in ((b.x, True), (b.y, False)):
            normal = -torch.ones_like(position).copysign(position)
            distance = INNER - position.abs()
            nx, ny = (normal, zero) if vertical else (zero, normal)
            lever = (distance - SKIN + self.radius) / 2
            touches.append(_Touch(nx, ny, self.reach - distance, lever, zero, zero, WALL_FRICTION))
        return touches

    def _impulses(
        self, b: Bodies, links: tuple[Link, Link], speeds: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The ball's velocity and spin after this step's contacts; impulses are per unit of its mass."""
        vx, vy, spin = b.vx * self.slow, b.vy * self.slow, b.spin * self.slow_spin
        touches = self._touches(b, links, speeds)
        wanted: list[Tensor] = []
        for c in touches:
            approach = (vx - c.surface_x) * c.normal_x + (vy - c.surface_y) * c.normal_y
            bounce = torch.where(approach < -VELOCITY_THRESHOLD, -self.restitution * approach, 0.0)
            # Where nothing touches, no speed is ever too small.
            wanted.append(torch.where(c.depth >= 0, bounce, -math.inf))
        normal, tangent = ([torch.zeros_like(vx)] * len(touches) for _ in range(2))
        # Per contact: the surface's speed along normal and tangent, and what the spin does to the latter.
        inertia = 0.5 * self.radius**2
        away = [c.surface_x * c.normal_x + c.surface_y * c.normal_y for c in touches]
        past = [c.surface_x * c.normal_y - c.surface_y * c.normal_x for c in touches]
        share = [1 / (1 + c.lever.square() / inertia) for c in touches]
        twist = [c.lever / inertia for c in touches]
        for _ in range(self.iterations):
            for i, c in enumerate(touches):
                # Tangent (n_y, -n_x); the ball's surface moves along it with lever * spin.
                along = vx * c.normal_y - vy * c.normal_x + c.lever * spin - past[i]
                most = c.friction * normal[i]
                total = torch.clamp(tangent[i] - along * share[i], -most, most)
                change, tangent[i] = total - tangent[i], total
                vx, vy = (
                    torch.addcmul(vx, change, c.normal_y),
                    torch.addcmul(vy, change, c.normal_x, value=-1),
                )
                spin = torch.addcmul(spin, change, twist[i])
            for i, c in enumerate(touches):
                total = (normal[i] + wanted[i] + away[i] - vx * c.normal_x - vy * c.normal_y).clamp_min(0)
                change, normal[i] = total - normal[i], total
                vx, vy = torch.addcmul(vx, change, c.normal_x), torch.addcmul(vy, change, c.normal_y)
        return vx, vy, spin

    def _fly(self, x: Tensor, y: Tensor, vx: Tensor, vy: Tensor, spin: Tensor) -> tuple[Tensor, ...]:
        """The ball's motion through the step, bouncing off up to two walls on the way."""
        left = torch.full_like(x, DT)
        for _ in range(2):
            time_x, time_y = self._meets(x, vx), self._meets(y, vy)
            vertical = time_x <= time_y
            time = torch.minimum(time_x, time_y)
            hit = time < left
            way = torch.minimum(time, left)
            x, y, left = x + way * vx, y + way * vy, left - way
            into, along = torch.where(vertical, vx, vy), torch.where(vertical, vy, vx)
            side = torch.ones_like(into).copysign(into)
            speed = into.abs()
            impulse = hit * torch.where(speed > VELOCITY_THRESHOLD, (1 + self.restitution) * speed, speed)
            # Friction as in `_impulses`, in closed form for a single contact. The tangent of a wall turns with
            # the wall: seen from a side wall, spinning moves the surface the other way than from a lower one.
            lever, inertia = self.radius + (RETREAT - MAX_OVERLAP) / 2, 0.5 * self.radius**2
            turn = torch.where(vertical, side, -side) * lever
            most = WALL_FRICTION * impulse
            rub = torch.clamp(-(along + turn * spin) / (1 + lever**2 / inertia), -most, most)
            into, along, spin = into - side * impulse, along + rub, spin + rub * turn / inertia
            vx, vy = torch.where(vertical, into, along), torch.where(vertical, along, into)
            back = hit * side * RETREAT
            x, y = x - torch.where(vertical, back, 0.0), y - torch.where(vertical, 0.0, back)
        x, y = x + left * vx, y + left * vy
        return self._inside(x), self._inside(y), vx, vy, spin

    def _meets(self, position: Tensor, speed: Tensor) -> Tensor:
        """Time until the ball is as deep in the wall ahead as continuous collision lets it, s; infinite if never."""
        ahead = self.farthest - position * torch.sign(speed)
        return torch.where(speed == 0, math.inf, ahead.clamp_min(0) / speed.abs())

    def _inside(self, position: Tensor) -> Tensor:
        """The coordinate without too deep an overlap with a wall, corrected as in one step of Box2D."""
        deep = position.abs() - (INNER - self.reach + SLOP)
        return position - (CORRECTION * deep.clamp_min(0)).copysign(position)

    def _push_out(self, x: Tensor, y: Tensor, links: tuple[Link, Link]) -> tuple[Tensor, Tensor]:
        """The ball's position with overlaps corrected, the walls last."""
        for i, link in enumerate(links):
            normal_x, normal_y, distance = offset(x, y, link, i)
            depth = self.reach - distance
            push = torch.maximum(CORRECTION * (depth - SLOP), depth - MAX_OVERLAP).clamp_min(0)
            x, y = x + push * normal_x, y + push * normal_y
        return x.clamp(-self.farthest, self.farthest), y.clamp(-self.farthest, self.farthest)
