"""A ball on two slides among square walls, as MuJoCo steps Gymnasium-Robotics' point-maze model.

Free motion is MuJoCo's semi-implicit Euler step with implicit damping. At walls it is MuJoCo's soft contact: a
constraint i pushes the ball along the unit vector -c_i away from its wall with force
f_i = max(0, D_i (c_i . a + b c_i . v - k d_i p_i)), where a is the acceleration, p_i < 0 the distance to the
wall less the contact margin, d_i the impedance at that distance and D_i = m d_i / (1 - d_i). The acceleration
solves m (a - a_0) = -sum_i c_i f_i with a_0 that of the motors and the damping. The ball touches at most three
blocks: the one beside it, the one above or below, and the one across the corner between them. Where that
corner lies on a flat wall, the two nearly parallel constraints act together, as in MuJoCo; three Newton steps
solve the three constraints exactly but in rare ties.

The constants are those of the model: sphere of radius 0.1 m and density 1000 kg/m^3, motors of gear 100,
damping 1 N s/m, 10 ms, contact solref (0.02, 1), solimp (0.9, 0.95, 0.001, 0.5, 2), margin 0.002 m on each of
the two bodies.

Source: MuJoCo's documentation, "Computation" (constraint model, impedance, Euler integration).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["RADIUS", "Ball", "Walls"]

RADIUS = 0.1
"""Radius of the ball, m."""
TIME_STEP = 0.01
"""Time of a step, s."""
GEAR = 100.0
"""Force at full throttle, N."""
DAMPING = 1.0
"""Damping of the ball's velocity, N s/m."""
MAX_SPEED = 5.0
"""Limit of each velocity component before a step, m/s."""
MASS = 1000.0 * 4.0 / 3.0 * math.pi * RADIUS**3
"""Mass of the ball, kg."""
MARGIN = 0.004
"""Distance at which a contact begins to act, m: the sum of the two bodies' margins."""
IMPEDANCE_LOW, IMPEDANCE_HIGH, IMPEDANCE_WIDTH = 0.9, 0.95, 0.001
TIME_CONSTANT = 0.02
CONTACT_DAMPING = 2.0 / (IMPEDANCE_HIGH * TIME_CONSTANT)
"""Damping b of a contact, 1/s."""
CONTACT_STIFFNESS = 1.0 / (IMPEDANCE_HIGH * TIME_CONSTANT) ** 2
"""Stiffness k of a contact, 1/s^2."""
NEWTON_STEPS = 3


class Ball(NamedTuple):
    """Position (m) and velocity (m/s), [B] each."""

    x: Tensor
    y: Tensor
    vx: Tensor
    vy: Tensor


class Walls:
    """The walls of a maze centred on the origin, and the ball's motion among them.

    Args:
        rows: the map; "1" is a wall.
        cell: side of a cell, m.
        device: of the tensors.
        dtype: of the numbers.
    """

    def __init__(self, rows: tuple[str, ...], cell: float, device: torch.device, dtype: torch.dtype) -> None:
        height, width = len(rows), len(rows[0])
        self.cell = cell
        self.cells = height * width
        # Row 4 cell + quadrant: is there a wall beside the ball, above or below it, across the corner? Cells are
        # counted downwards, quadrants by the sides (left, right) and (above, below) that are near.
        near = [
            [
                (
                    self._is_wall(rows, i, j + dx),
                    self._is_wall(rows, i + dy, j),
                    self._is_wall(rows, i + dy, j + dx),
                )
                for dx in (-1, 1)
                for dy in (-1, 1)
            ]
            for i in range(height)
            for j in range(width)
        ]
        self.near = torch.tensor(near, device=device, dtype=dtype).reshape(-1, 3).T.contiguous()

        def column(*numbers: float) -> Tensor:
            return torch.tensor(numbers, device=device, dtype=dtype)[:, None]

        self.scale = column(1 / cell, -1 / cell)
        self.middle = column(width / 2, height / 2)
        self.strides = column(4.0, 4.0 * width)
        self.quadrant = column(1.0, 0.5)
        self.fold = column(1.0, -1.0)

    @staticmethod
    def _is_wall(rows: tuple[str, ...], i: int, j: int) -> bool:
        inside = 0 <= i < len(rows) and 0 <= j < len(rows[0])
        return not inside or rows[i][j] == "1"

    def step(self, ball: Ball, throttle: Tensor) -> Ball:
        """The ball 10 ms later.

        Args:
            ball: now.
            throttle: x and y, [B, 2], in [-1, 1].
        """
        velocity = torch.stack((ball.vx, ball.vy)).clamp_(-MAX_SPEED, MAX_SPEED)
        pull = (throttle.T * (GEAR / MASS)).sub_(velocity, alpha=DAMPING / MASS)
        position = torch.stack((ball.x, ball.y))
        pull = self._with_contacts(position, velocity, pull)
        velocity = torch.add(velocity, pull, alpha=TIME_STEP * MASS / (MASS + TIME_STEP * DAMPING))
        position = torch.add(position, velocity, alpha=TIME_STEP)
        return Ball(*position.unbind(), *velocity.unbind())

    def _with_contacts(self, position: Tensor, velocity: Tensor, free: Tensor) -> Tensor:
        """The acceleration [2, B] with the walls' forces; position, velocity and free acceleration [2, B]."""
        # Folded: the axes turned such that the nearest vertical and horizontal sides of the ball's cell lie at
        # positive coordinates, `away` metres from its centre.
        scaled = torch.addcmul(self.middle, position, self.scale)
        number = scaled.floor()
        beyond = scaled.sub_(number).sub_(0.5)
        side = torch.copysign(torch.ones_like(beyond), beyond)
        away = beyond.abs_().mul_(-self.cell).add_(0.5 * self.cell)
        place = number.mul_(self.strides).addcmul_(side, self.quadrant).sum(0).add_(1.5)
        walls = self.near.index_select(1, place.clamp_(0, 4 * self.cells - 1).long())
        # Of the three blocks, rows of [3, B]: the distance, and how strongly it acts, D / m.
        corner = torch.hypot(away[0], away[1]).clamp_min(1e-9)
        unit = away / corner
        depth = torch.cat((away, corner[None])).neg_().add_(MARGIN + RADIUS)
        strength, impedance = self._strength(depth)
        strength = strength.mul_(walls)
        # The rest is in units of the mass.
        fold = side * self.fold
        toward = velocity * fold
        wanted = torch.cat((toward, (toward * unit).sum(0, keepdim=True))).mul_(CONTACT_DAMPING)
        wanted.addcmul_(impedance, depth, value=CONTACT_STIFFNESS)
        free = free * fold
        return self._solve(free, unit, strength, wanted).mul_(fold)

    @staticmethod
    def _strength(depth: Tensor) -> tuple[Tensor, Tensor]:
        """Strength d / (1 - d), 0 where there is no contact, and the impedance d, by the depth -p [3, B]."""
        # d rises from its low to its high value along two parabolas, which meet at half the width.
        half = (depth * (1.0 / IMPEDANCE_WIDTH)).clamp_(0.0, 1.0).sub_(0.5)
        rise = half - half * half.abs()
        spread = IMPEDANCE_HIGH - IMPEDANCE_LOW
        impedance = rise.mul_(2 * spread).add_(IMPEDANCE_LOW + 0.5 * spread)
        return (1.0 / (1.0 - impedance)).sub_(1.0).mul_(depth > 0), impedance

    @staticmethod
    def _solve(free: Tensor, unit: Tensor, strength: Tensor, wanted: Tensor) -> Tensor:
        """The acceleration a [2, B]: a = free - sum of c max(0, strength (c . a + wanted)).

        The vectors c are (1, 0), (0, 1) and unit [2, B]; strength and wanted are [3, B].
        """
        square, product = unit.square(), unit[0] * unit[1]
        new = free
        for _ in range(NEWTON_STEPS):
            along = torch.cat((new, (new * unit).sum(0, keepdim=True)))
            active = strength * (along.add_(wanted) > 0)
            forces = active * wanted
            matrix = torch.addcmul(active[:2], active[2], square).add_(1.0)
            mixed = active[2] * product
            right = (free - forces[:2]).addcmul_(forces[2], unit, value=-1.0)
            determinant = torch.addcmul(matrix[0] * matrix[1], mixed, mixed, value=-1.0)
            new = (matrix.flip(0) * right).addcmul_(right.flip(0), mixed, value=-1.0).div_(determinant)
        return new
