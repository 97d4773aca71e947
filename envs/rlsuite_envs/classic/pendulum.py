"""Pendulum, equal to Gymnasium's Pendulum-v1."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import check_finite, check_positive
from rlsuite_envs.classic.picture import draw
from rlsuite_envs.kernel import Kernel

__all__ = ["Pendulum", "PendulumParams", "PendulumState"]


@dataclass(frozen=True)
class PendulumParams:
    """Constants; the defaults are Gymnasium's."""

    g: float = 10.0
    """Free-fall acceleration, m/s^2."""
    m: float = 1.0
    """Mass, kg, > 0."""
    l: float = 1.0  # noqa: E741 (Gymnasium's name)
    """Length, m, > 0."""
    dt: float = 0.05
    """Time between steps, s, > 0."""
    max_speed: float = 8.0
    """Limit of the angular velocity, rad/s, > 0."""
    max_torque: float = 2.0
    """Limit of the torque, N m, > 0."""
    x_init: float = math.pi
    """Start angles are uniform in [-x_init, x_init], rad."""
    y_init: float = 1.0
    """Start velocities are uniform in [-y_init, y_init], rad/s."""

    def __post_init__(self) -> None:
        check_positive(self, "m", "l", "dt", "max_speed", "max_torque")
        check_finite(self, "g", "x_init", "y_init")


@dataclass(frozen=True)
class PendulumState:
    """The pendulum; all fields [B] float."""

    theta: Tensor
    """Angle from upright, rad, not wrapped."""
    theta_dot: Tensor
    """Angular velocity, rad/s."""
    torque: Tensor
    """Clipped torque of the last step, N m; 0 at the start. Only the picture shows it."""


class Pendulum(Kernel[PendulumState, PendulumState, None]):
    """Swing a pendulum up and hold it there, with a torque too weak to lift it directly.

    ## Description
    A rod hangs from a fixed joint; the action is the torque there.

    ## Action Space
    `Box(-2, 2, (1,))` float32: torque in N m; values outside are clipped, as in Gymnasium.

    ## Observation Space
    `Box(3,)` float32.

    | index | meaning | min | max | unit |
    |---|---|---|---|---|
    | 0 | cosine of the angle | -1 | 1 | |
    | 1 | sine of the angle | -1 | 1 | |
    | 2 | angular velocity | -8 | 8 | rad/s |

    ## Rewards
    -(angle^2 + 0.1 velocity^2 + 0.001 torque^2), the angle wrapped to [-pi, pi): from -16.27 to 0 per step.

    ## Starting State
    Angle uniform in [-pi, pi], velocity uniform in [-1, 1].

    ## Episode End
    Termination: never. Truncation: 200 steps.

    ## Arguments
    The fields of `PendulumParams`.

    Source: Gymnasium's Pendulum-v1, whose float64 numbers the float64 kernel repeats:
    v' = clip(v + (3 g / 2 l sin(angle) + 3 / (m l^2) torque) dt), angle' = angle + v' dt.

    ## Version History
    v1: Gymnasium's Pendulum-v1.
    """

    params_class = PendulumParams
    params: PendulumParams
    render_fps = 30

    @property
    def observation_space(self) -> spaces.Box:
        """[cos, sin, angular velocity]."""
        high = np.array([1.0, 1.0, self.params.max_speed], dtype=np.float32)
        return spaces.Box(-high, high, dtype=np.float32)

    @property
    def action_space(self) -> spaces.Box:
        """Torque."""
        return spaces.Box(-self.params.max_torque, self.params.max_torque, (1,), dtype=np.float32)

    @property
    def max_episode_steps(self) -> int:
        """Gymnasium's limit of Pendulum-v1."""
        return 200

    def initial_state(self, num: int, rng: torch.Generator) -> PendulumState:
        """Start states: uniform angle and velocity."""
        draws = torch.rand((2, num), generator=rng, device=self.device, dtype=self.dtype).mul_(2).sub_(1)
        theta, theta_dot = draws[0] * self.params.x_init, draws[1] * self.params.y_init
        return PendulumState(theta, theta_dot, torch.zeros_like(theta))

    def post_decision(self, state: PendulumState, action: Tensor) -> tuple[PendulumState, Tensor]:
        """The next state and the reward: nothing here is random."""
        p = self.params
        torque = action[:, 0].clamp(-p.max_torque, p.max_torque)
        angle = torch.remainder(state.theta + math.pi, 2 * math.pi) - math.pi
        cost = angle.square() + 0.1 * state.theta_dot.square() + 0.001 * torque.square()
        pull = 3 * p.g / (2 * p.l) * torch.sin(state.theta) + 3.0 / (p.m * p.l**2) * torque
        theta_dot = (state.theta_dot + pull * p.dt).clamp(-p.max_speed, p.max_speed)
        return PendulumState(state.theta + theta_dot * p.dt, theta_dot, torque.to(self.dtype)), -cost

    def transition(self, post_state: PendulumState, noise: None) -> tuple[PendulumState, None, Tensor]:
        """The state itself; the episode never terminates."""
        return post_state, None, torch.zeros_like(post_state.theta, dtype=torch.bool)

    def observe(self, state: PendulumState) -> Tensor:
        """Cosine, sine and velocity, float32."""
        parts = (torch.cos(state.theta), torch.sin(state.theta), state.theta_dot)
        return torch.stack(parts, dim=-1).to(torch.float32)

    def observe_post(self, post_state: PendulumState) -> Tensor:
        """Observation of the post-decision state, which is the next state: that of `observe`."""
        return self.observe(post_state)

    def render(self, state_row: PendulumState) -> np.ndarray:
        """Gymnasium's picture, with the torque of the last step as an arrow."""
        state = np.array([state_row.theta.item(), state_row.theta_dot.item()])
        return draw("Pendulum-v1", state=state, last_u=state_row.torque.item())
