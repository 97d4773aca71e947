"""The pendulum of the cheap-talk experiments: a squashed torque, no speed limit, rewards in [0, 1]."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import check_integer, check_non_negative, check_positive
from rlsuite_envs.drawing import Canvas, figure, figure_array
from rlsuite_envs.kernel import Kernel

__all__ = ["TanhPendulum", "TanhPendulumParams", "TanhPendulumState"]

ACTION_LIMIT = 4.0
"""The box of the actions. tanh(4) = 0.9993: it leaves nothing out that the torque could still gain."""


@dataclass(frozen=True)
class TanhPendulumParams:
    """Constants; the defaults are the experiments'."""

    g: float = 9.8
    """Free-fall acceleration, m/s^2, >= 0."""
    dt: float = 0.05
    """Time between steps, s, > 0."""
    pull: float = 1.5
    """Acceleration by gravity is pull g sin(angle): 3 / (2 l) for a rod of 1 m; 1/m, > 0."""
    max_acceleration: float = 3.0
    """Angular acceleration by the largest torque, 1/s^2, > 0."""
    angle_init: float = math.pi
    """Start angles are uniform in [-angle_init, angle_init], rad, >= 0."""
    speed_init: float = 1.0
    """Start velocities are uniform in [-speed_init, speed_init], rad/s, >= 0."""
    horizon: int = 200
    """Steps of an episode, >= 1."""

    def __post_init__(self) -> None:
        check_positive(self, "dt", "pull", "max_acceleration")
        check_non_negative(self, "g", "angle_init", "speed_init")
        check_integer(self, "horizon", 1)


@dataclass(frozen=True)
class TanhPendulumState:
    """The pendulum; all fields [B] float."""

    theta: Tensor
    """Angle from upright, rad, not wrapped."""
    theta_dot: Tensor
    """Angular velocity, rad/s."""


class TanhPendulum(Kernel[TanhPendulumState, TanhPendulumState, None]):
    """Swing a pendulum up and hold it there, with a torque too weak to lift it directly.

    ## Description
    A rod hangs from a fixed joint; the action is the torque there, squashed by tanh. Explicit Euler steps:

    angle' = angle + dt velocity, velocity' = velocity + dt (1.5 g sin(angle) + 3 tanh(action)), g = 9.8.

    Other than Gymnasium's Pendulum-v1: g is 9.8, the torque is squashed instead of clipped, the angle moves with
    the *old* velocity, the velocity has no limit, and the reward is bounded and free of cost for the torque.

    ## Action Space
    `Box(-4, 4, (1,))` float32: values outside are clipped; tanh of it times the largest torque acts.

    ## Observation Space
    `Box(3,)` float32: raw units, which are of order 1 but for the velocity, of order 5.

    | index | meaning | min | max | unit |
    |---|---|---|---|---|
    | 0 | cosine of the angle | -1 | 1 | |
    | 1 | sine of the angle | -1 | 1 | |
    | 2 | angular velocity | -inf | inf | rad/s |

    ## Rewards
    (cos(angle) + 1) / 2 of the angle after the step: 1 upright, 0 hanging.

    ## Starting State
    Angle uniform in [-pi, pi], velocity uniform in [-1, 1].

    ## Episode End
    Termination: never. Truncation: 200 steps (`horizon`). In the experiments a learner's first episodes start at
    random time indices, so that parallel environments do not end together (`VictimConfig.stagger`); with a vector
    environment that is `env.set_state(env.state, elapsed=torch.randint(200, (num_envs,)))` after the first reset.

    ## Arguments
    The fields of `TanhPendulumParams`.

    Source: Adversarial Cheap Talk (arXiv 2211.11030), `pendulum.py` of its release. Two differences: the release has
    no box of actions (tanh alone bounds the torque), and pays an episode's last step by the state in which the next
    one starts; here it is the state in which it ends.
    """

    params_class = TanhPendulumParams
    params: TanhPendulumParams
    render_fps = 20

    @property
    def observation_space(self) -> spaces.Box:
        """[cos, sin, angular velocity]."""
        high = np.array([1.0, 1.0, np.inf], dtype=np.float32)
        return spaces.Box(-high, high, dtype=np.float32)

    @property
    def action_space(self) -> spaces.Box:
        """Torque before squashing."""
        return spaces.Box(-ACTION_LIMIT, ACTION_LIMIT, (1,), dtype=np.float32)

    def initial_state(self, num: int, rng: torch.Generator) -> TanhPendulumState:
        """Start states: uniform angle, small uniform velocity."""
        draws = torch.rand((2, num), generator=rng, device=self.device, dtype=self.dtype).mul_(2).sub_(1)
        return TanhPendulumState(draws[0] * self.params.angle_init, draws[1] * self.params.speed_init)

    def post_decision(self, state: TanhPendulumState, action: Tensor) -> tuple[TanhPendulumState, Tensor]:
        """The next state and the reward: nothing here is random."""
        p = self.params
        torque = action[:, 0].clamp(-ACTION_LIMIT, ACTION_LIMIT).to(self.dtype).tanh()
        acceleration = p.pull * p.g * torch.sin(state.theta) + p.max_acceleration * torque
        after = TanhPendulumState(state.theta + p.dt * state.theta_dot, state.theta_dot + p.dt * acceleration)
        return after, (torch.cos(after.theta) + 1) / 2

    def transition(self, post_state: TanhPendulumState, noise: None) -> tuple[TanhPendulumState, None, Tensor]:
        """The state itself; the episode never terminates."""
        return post_state, None, torch.zeros_like(post_state.theta, dtype=torch.bool)

    def observe(self, state: TanhPendulumState) -> Tensor:
        """Cosine, sine and velocity, float32."""
        parts = (torch.cos(state.theta), torch.sin(state.theta), state.theta_dot)
        return torch.stack(parts, dim=-1).to(torch.float32)

    def observe_post(self, post_state: TanhPendulumState) -> Tensor:
        """Observation of the post-decision state, which is the next state: that of `observe`."""
        return self.observe(post_state)

    def info(self, state: TanhPendulumState) -> dict[str, Tensor]:
        """How upright it is: (cos(angle) + 1) / 2."""
        return {"height": (torch.cos(state.theta) + 1) / 2}

    def render(self, state_row: TanhPendulumState) -> np.ndarray:
        """The rod, its joint, and the height it has to reach."""
        theta = state_row.theta.item()
        canvas = Canvas(360, 360, (-1.3, 1.3), (-1.3, 1.3))
        canvas.disc(0, 0, 1.0, None, outline="#d0d0d0")
        canvas.line([(0, 0), (np.sin(theta), np.cos(theta))], "#c44e52", 16)
        canvas.disc(np.sin(theta), np.cos(theta), 0.06, "#8c2f33")
        canvas.disc(0, 0, 0.06, "black")
        return canvas.array()

    def render_episode(self, states: TanhPendulumState, actions: Any, rewards: Tensor) -> np.ndarray:
        """Angle, velocity and torque over time."""
        time = np.arange(len(states.theta)) * self.params.dt
        theta = states.theta.cpu().numpy()
        wrapped = (theta + np.pi) % (2 * np.pi) - np.pi
        torque = np.tanh(actions[:, 0].clamp(-ACTION_LIMIT, ACTION_LIMIT).cpu().numpy())
        drawn, axes = figure(3, height=6.0)
        axes[0, 0].plot(time, wrapped, ".", ms=3)
        axes[0, 0].set(ylabel="angle [rad]", ylim=(-3.3, 3.3), title=f"return {rewards.sum().item():.1f}")
        axes[0, 0].axhline(0, color="0.7", lw=1)
        axes[1, 0].plot(time, states.theta_dot.cpu().numpy())
        axes[1, 0].set(ylabel="velocity [rad/s]")
        axes[2, 0].step(time[:-1], torque, where="post")
        axes[2, 0].set(ylabel="tanh(action)", ylim=(-1.1, 1.1), xlabel="time [s]")
        return figure_array(drawn)
