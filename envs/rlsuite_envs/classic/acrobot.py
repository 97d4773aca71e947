"""Acrobot, equal to Gymnasium's Acrobot-v1."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import check_finite, check_ordered, check_positive
from rlsuite_envs.classic.picture import draw
from rlsuite_envs.kernel import Kernel

__all__ = ["Acrobot", "AcrobotParams", "AcrobotState"]


@dataclass(frozen=True)
class AcrobotParams:
    """Constants; the defaults are Gymnasium's."""

    dt: float = 0.2
    """Time between steps, s, > 0."""
    gravity: float = 9.8
    """Free-fall acceleration, m/s^2."""
    length_1: float = 1.0
    """Length of the first link, m, > 0."""
    mass_1: float = 1.0
    """Mass of the first link, kg, > 0."""
    mass_2: float = 1.0
    """Mass of the second link, kg, > 0."""
    com_1: float = 0.5
    """Distance of the first link's centre of mass from its joint, m, > 0."""
    com_2: float = 0.5
    """Distance of the second link's centre of mass from its joint, m, > 0."""
    inertia: float = 1.0
    """Moment of inertia of each link, kg m^2, > 0."""
    torque: float = 1.0
    """Size of the torque, N m, > 0."""
    max_vel_1: float = 4 * math.pi
    """Limit of the first joint's velocity, rad/s, > 0."""
    max_vel_2: float = 9 * math.pi
    """Limit of the second joint's velocity, rad/s, > 0."""
    init_low: float = -0.1
    """Start states are uniform in [init_low, init_high] in all four components."""
    init_high: float = 0.1

    def __post_init__(self) -> None:
        check_positive(self, "dt", "length_1", "mass_1", "mass_2", "com_1", "com_2", "inertia", "torque")
        check_positive(self, "max_vel_1", "max_vel_2")
        check_finite(self, "gravity")
        check_ordered(self, "init_low", "init_high")


@dataclass(frozen=True)
class AcrobotState:
    """Two links; all fields [B] float."""

    theta_1: Tensor
    """Angle of the first link from hanging down, rad, in [-pi, pi]."""
    theta_2: Tensor
    """Angle of the second link relative to the first, rad, in [-pi, pi]."""
    theta_1_dot: Tensor
    """Velocity of the first angle, rad/s."""
    theta_2_dot: Tensor
    """Velocity of the second angle, rad/s."""


Angles = tuple[Tensor, Tensor, Tensor, Tensor]


class Acrobot(Kernel[AcrobotState, AcrobotState, None]):
    """Swing the free end of a two-link chain above a line, driving the middle joint only.

    ## Description
    Two links hang from a fixed joint; a torque of fixed size acts on the joint between them.

    ## Action Space
    `Discrete(3)`: torque -1, 0 or 1 N m.

    ## Observation Space
    `Box(6,)` float32.

    | index | meaning | min | max | unit |
    |---|---|---|---|---|
    | 0, 1 | cosine, sine of the first angle | -1 | 1 | |
    | 2, 3 | cosine, sine of the second angle | -1 | 1 | |
    | 4 | velocity of the first angle | -12.57 | 12.57 | rad/s |
    | 5 | velocity of the second angle | -28.27 | 28.27 | rad/s |

    ## Rewards
    -1 per step, 0 for the step that reaches the line.

    ## Starting State
    Angles and velocities uniform in [-0.1, 0.1]: hanging down, nearly at rest.

    ## Episode End
    Termination: -cos(angle 1) - cos(angle 1 + angle 2) > 1. Truncation: 500 steps.

    ## Arguments
    The fields of `AcrobotParams`.

    Source: Sutton 1996 and Sutton and Barto 2018, equations of motion of the book; one Runge-Kutta step of
    fourth order, in the order of Gymnasium's code, whose float64 numbers the float64 kernel repeats.

    ## Version History
    v1: Gymnasium's Acrobot-v1.
    """

    params_class = AcrobotParams
    params: AcrobotParams
    render_fps = 15

    @property
    def observation_space(self) -> spaces.Box:
        """[cos 1, sin 1, cos 2, sin 2, velocity 1, velocity 2]."""
        high = np.array([1.0, 1.0, 1.0, 1.0, self.params.max_vel_1, self.params.max_vel_2], dtype=np.float32)
        return spaces.Box(-high, high, dtype=np.float32)

    @property
    def action_space(self) -> spaces.Discrete:
        """Torque -1, 0, 1."""
        return spaces.Discrete(3)

    @property
    def max_episode_steps(self) -> int:
        """Gymnasium's limit of Acrobot-v1."""
        return 500

    def initial_state(self, num: int, rng: torch.Generator) -> AcrobotState:
        """Start states: near hanging down."""
        low, high = self.params.init_low, self.params.init_high
        draws = torch.rand((4, num), generator=rng, device=self.device, dtype=self.dtype)
        return AcrobotState(*draws.mul_(high - low).add_(low).unbind(0))

    def post_decision(self, state: AcrobotState, action: Tensor) -> tuple[AcrobotState, None]:
        """The next state: nothing here is random."""
        p = self.params
        torque = (action - 1).to(self.dtype) * p.torque
        start = (state.theta_1, state.theta_2, state.theta_1_dot, state.theta_2_dot)

        def ahead(slope: Angles, time: float) -> Angles:
            first, second, third, fourth = (y + time * dy for y, dy in zip(start, slope, strict=True))
            return first, second, third, fourth

        k1 = self._slope(start, torque)
        k2 = self._slope(ahead(k1, p.dt / 2), torque)
        k3 = self._slope(ahead(k2, p.dt / 2), torque)
        k4 = self._slope(ahead(k3, p.dt), torque)
        theta_1, theta_2, theta_1_dot, theta_2_dot = (
            y + p.dt / 6.0 * (a + 2 * b + 2 * c + d) for y, a, b, c, d in zip(start, k1, k2, k3, k4, strict=True)
        )
        next_state = AcrobotState(
            _wrap(theta_1),
            _wrap(theta_2),
            theta_1_dot.clamp(-p.max_vel_1, p.max_vel_1),
            theta_2_dot.clamp(-p.max_vel_2, p.max_vel_2),
        )
        return next_state, None

    def _slope(self, angles: Angles, torque: Tensor) -> Angles:
        """Time derivatives of angles and velocities."""
        p = self.params
        theta_1, theta_2, speed_1, speed_2 = angles
        cos_2, sin_2 = torch.cos(theta_2), torch.sin(theta_2)
        cross = p.mass_2 * p.length_1 * p.com_2
        d1 = (
            p.mass_1 * p.com_1**2
            + p.mass_2 * (p.length_1**2 + p.com_2**2 + 2 * p.length_1 * p.com_2 * cos_2)
            + p.inertia
            + p.inertia
        )
        d2 = p.mass_2 * (p.com_2**2 + p.length_1 * p.com_2 * cos_2) + p.inertia
        phi2 = p.mass_2 * p.com_2 * p.gravity * torch.cos(theta_1 + theta_2 - math.pi / 2.0)
        phi1 = (
            -cross * speed_2.square() * sin_2
            - 2 * cross * speed_2 * speed_1 * sin_2
            + (p.mass_1 * p.com_1 + p.mass_2 * p.length_1) * p.gravity * torch.cos(theta_1 - math.pi / 2)
            + phi2
        )
        accel_2 = (torque + d2 / d1 * phi1 - cross * speed_1.square() * sin_2 - phi2) / (
            p.mass_2 * p.com_2**2 + p.inertia - d2.square() / d1
        )
        accel_1 = -(d2 * accel_2 + phi1) / d1
        return speed_1, speed_2, accel_1, accel_2

    def transition(self, post_state: AcrobotState, noise: None) -> tuple[AcrobotState, Tensor, Tensor]:
        """The state itself, the reward, and whether the end is above the line."""
        height = -torch.cos(post_state.theta_1) - torch.cos(post_state.theta_2 + post_state.theta_1)
        terminated = height > 1.0
        return post_state, terminated.to(self.dtype) - 1, terminated

    def observe(self, state: AcrobotState) -> Tensor:
        """Cosines, sines and velocities, float32."""
        first, second = state.theta_1, state.theta_2
        parts = (torch.cos(first), torch.sin(first), torch.cos(second), torch.sin(second))
        return torch.stack((*parts, state.theta_1_dot, state.theta_2_dot), dim=-1).to(torch.float32)

    def observe_post(self, post_state: AcrobotState) -> Tensor:
        """Observation of the post-decision state, which is the next state: that of `observe`."""
        return self.observe(post_state)

    def render(self, state_row: AcrobotState) -> np.ndarray:
        """Gymnasium's picture."""
        s = state_row
        state = torch.cat((s.theta_1, s.theta_2, s.theta_1_dot, s.theta_2_dot)).double().cpu().numpy()
        return draw("Acrobot-v1", state=state, LINK_LENGTH_1=self.params.length_1)


def _wrap(angle: Tensor) -> Tensor:
    """The angle in [-pi, pi], by whole turns."""
    turns = torch.ceil((angle.abs() - math.pi) / (2 * math.pi)).clamp(min=0)
    return angle - torch.sign(angle) * turns * (2 * math.pi)
