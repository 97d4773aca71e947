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
"""Of the ball, m."""
TIME_STEP = 0.01
"""s."""
GEAR = 100.0
"""Force at full throttle, N."""
DAMPING = 1.0
"""N s/m."""
MAX_SPEED = 5.0
"""Limit of each velocity component before a step, m/s."""
MASS = 1000.0 * 4.0 / 3.0 * math.pi * RADIUS**3
"""kg."""
MARGIN = 0.004
"""Distance at which a contact begins to act, m: the sum of the two bodies' margins."""
IMPEDANCE_LOW, IMPEDANCE_HIGH, IMPEDANCE_WIDTH = 0.9, 0.95, 0.001
TIME_CONSTANT = 0.02
CONTACT_DAMPING = 2.0 / (IMPEDANCE_HIGH * TIME_CONSTANT)
"""b, 1/s."""
CONTACT_STIFFNESS = 1.0 / (IMPEDANCE_HIGH * TIME_CONSTANT) ** 2
"""k, 1/s^2."""
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
        self.width, self.height = width, height
        # One ring of walls around the map keeps every look-up of a neighbour inside the table.
        padded = ["1" * (width + 2), *("1" + row + "1" for row in rows), "1" * (width + 2)]
        blocked = [[symbol == "1" for symbol in row] for row in padded]
        self.blocked = torch.tensor(blocked, device=device).flatten().to(dtype)

    def step(self, ball: Ball, throttle_x: Tensor, throttle_y: Tensor) -> Ball:
        """The ball 10 ms later.

        Args:
            ball: now.
            throttle_x: [B], in [-1, 1].
            throttle_y: [B], in [-1, 1].
        """
        vx, vy = ball.vx.clamp(-MAX_SPEED, MAX_SPEED), ball.vy.clamp(-MAX_SPEED, MAX_SPEED)
        ax = (throttle_x * GEAR - DAMPING * vx) / MASS
        ay = (throttle_y * GEAR - DAMPING * vy) / MASS
        ax, ay = self._with_contacts(ball.x, ball.y, vx, vy, ax, ay)
        gain = TIME_STEP * MASS / (MASS + TIME_STEP * DAMPING)
        vx, vy = vx + gain * ax, vy + gain * ay
        return Ball(ball.x + TIME_STEP * vx, ball.y + TIME_STEP * vy, vx, vy)

    def _with_contacts(
        self, x: Tensor, y: Tensor, vx: Tensor, vy: Tensor, ax: Tensor, ay: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The acceleration [B], [B] with the walls' forces."""
        # Folded: the axes turned such that the nearest vertical and horizontal sides of the ball's cell lie at
        # positive coordinates, away_x and away_y metres from its centre.
        column, side_x, away_x = self._place(x, self.width)
        row, side_y, away_y = self._place(-y, self.height)
        side_rows = side_y * (self.width + 2)
        here = row * (self.width + 2) + column
        fold_x, fold_y = side_x.to(ax.dtype), -side_y.to(ax.dtype)
        blocked = self.blocked[torch.stack((here + side_x, here + side_rows, here + side_x + side_rows))]
        # Unit vectors c towards the three blocks [3, B], and the distances of the ball's surface.
        corner = torch.hypot(away_x, away_y).clamp_min(1e-9)
        one, zero = torch.ones_like(x), torch.zeros_like(x)
        cx = torch.stack((one, zero, away_x / corner))
        cy = torch.stack((zero, one, away_y / corner))
        depth = (MARGIN + RADIUS) - torch.stack((away_x, away_y, corner))  # -p
        inside = ((depth > 0) * blocked) > 0
        share = (depth * (1.0 / IMPEDANCE_WIDTH)).clamp(0.0, 1.0)
        rise = torch.where(share < 0.5, 2 * share.square(), 1 - 2 * (1 - share).square())
        impedance = IMPEDANCE_LOW + (IMPEDANCE_HIGH - IMPEDANCE_LOW) * rise
        # In units of the mass: D / m.
        strength = impedance / (1 - impedance)
        pull = cx * (vx * fold_x) + cy * (vy * fold_y)
        pull = CONTACT_DAMPING * pull + CONTACT_STIFFNESS * impedance * depth
        free_x, free_y = ax * fold_x, ay * fold_y
        new_x, new_y = free_x, free_y
        for _ in range(NEWTON_STEPS):
            active = strength * ((cx * new_x + cy * new_y + pull > 0) & inside)
            xx, yy, xy = ((active * c).sum(0) for c in (cx * cx, cy * cy, cx * cy))
            to_x, to_y = free_x - (active * pull * cx).sum(0), free_y - (active * pull * cy).sum(0)
            determinant = (1 + xx) * (1 + yy) - xy * xy
            new_x, new_y = (
                ((1 + yy) * to_x - xy * to_y) / determinant,
                ((1 + xx) * to_y - xy * to_x) / determinant,
            )
        return new_x * fold_x, new_y * fold_y

    def _place(self, coordinate: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Along one axis of count cells: the padded cell's number, the nearest side (+-1), the distance to it."""
        position = coordinate * (1 / self.cell) + 0.5 * count
        number = position.floor()
        beyond = position - number - 0.5
        side = torch.where(beyond >= 0, 1, -1)
        return number.clamp(0, count - 1).long() + 1, side, (0.5 - beyond.abs()) * self.cell
