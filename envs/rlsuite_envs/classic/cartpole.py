"""CartPole, equal to Gymnasium's CartPole-v1."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import check_flag, check_ordered, check_positive
from rlsuite_envs.classic.picture import draw
from rlsuite_envs.kernel import Kernel

__all__ = ["CartPole", "CartPoleParams", "CartPoleState"]


@dataclass(frozen=True)
class CartPoleParams:
    """Constants; the defaults are Gymnasium's."""

    gravity: float = 9.8
    """Free-fall acceleration, m/s^2, > 0."""
    masscart: float = 1.0
    """Mass of the cart, kg, > 0."""
    masspole: float = 0.1
    """Mass of the pole, kg, > 0."""
    length: float = 0.5
    """Half the pole's length, m, > 0."""
    force_mag: float = 10.0
    """Force on the cart, N, > 0."""
    tau: float = 0.02
    """Time between steps, s, > 0."""
    theta_threshold: float = 12 * 2 * math.pi / 360
    """Angle at which the episode ends, rad, > 0."""
    x_threshold: float = 2.4
    """Position at which the episode ends, m, > 0."""
    sutton_barto_reward: bool = False
    """Reward 0 per step and -1 for falling, as in Sutton and Barto, instead of 1 per step."""
    init_low: float = -0.05
    """Start states are uniform in [init_low, init_high] in all four components."""
    init_high: float = 0.05

    def __post_init__(self) -> None:
        check_positive(
            self,
            "gravity",
            "masscart",
            "masspole",
            "length",
            "force_mag",
            "tau",
            "theta_threshold",
            "x_threshold",
        )
        check_ordered(self, "init_low", "init_high")
        check_flag(self, "sutton_barto_reward")


@dataclass(frozen=True)
class CartPoleState:
    """Cart and pole; all fields [B] float."""

    x: Tensor
    """Position of the cart, m."""
    x_dot: Tensor
    """Velocity of the cart, m/s."""
    theta: Tensor
    """Angle of the pole from upright, rad."""
    theta_dot: Tensor
    """Angular velocity of the pole, rad/s."""


class CartPole(Kernel[CartPoleState, CartPoleState, None]):
    """Balance a pole on a cart by pushing it left or right.

    ## Description
    A pole is hinged to a cart on a frictionless track. Each step pushes the cart with a force of fixed size.

    ## Action Space
    `Discrete(2)`: 0 pushes left, 1 pushes right, with `force_mag` N.

    ## Observation Space
    `Box(4,)` float32.

    | index | meaning | min | max | unit |
    |---|---|---|---|---|
    | 0 | position of the cart | -4.8 | 4.8 | m |
    | 1 | its velocity | -inf | inf | m/s |
    | 2 | angle of the pole | -0.418 | 0.418 | rad |
    | 3 | its velocity | -inf | inf | rad/s |

    ## Rewards
    1 for every step, the last one included; with `sutton_barto_reward` 0, and -1 when the pole falls.

    ## Starting State
    All four components uniform in [-0.05, 0.05].

    ## Episode End
    Termination: |angle| > 12 degrees, or |position| > 2.4 m. Truncation: 500 steps.

    ## Arguments
    The fields of `CartPoleParams`.

    Source: Barto, Sutton and Anderson 1983; equations of motion by Florian 2007 (23, 24), explicit Euler
    steps, in the order of Gymnasium's code, whose float64 numbers the float64 kernel repeats.

    ## Version History
    v1: Gymnasium's CartPole-v1.
    """

    params_class = CartPoleParams
    params: CartPoleParams
    render_fps = 50

    @property
    def observation_space(self) -> spaces.Box:
        """[position, velocity, angle, angular velocity]; twice the thresholds, so that last states fit."""
        high = np.array(
            [self.params.x_threshold * 2, np.inf, self.params.theta_threshold * 2, np.inf], dtype=np.float32
        )
        return spaces.Box(-high, high, dtype=np.float32)

    @property
    def action_space(self) -> spaces.Discrete:
        """0 left, 1 right."""
        return spaces.Discrete(2)

    @property
    def max_episode_steps(self) -> int:
        """Gymnasium's limit of CartPole-v1."""
        return 500

    def initial_state(self, num: int, rng: torch.Generator) -> CartPoleState:
        """Start states: uniform near upright and centre."""
        low, high = self.params.init_low, self.params.init_high
        draws = torch.rand((4, num), generator=rng, device=self.device, dtype=self.dtype)
        return CartPoleState(*draws.mul_(high - low).add_(low).unbind(0))

    def post_decision(self, state: CartPoleState, action: Tensor) -> tuple[CartPoleState, None]:
        """The next state: nothing here is random."""
        p = self.params
        total_mass = p.masspole + p.masscart
        polemass_length = p.masspole * p.length
        force = action.to(self.dtype).mul_(2 * p.force_mag).sub_(p.force_mag)  # 0 -> -force_mag, 1 -> +force_mag
        cos, sin = torch.cos(state.theta), torch.sin(state.theta)
        temp = (force + polemass_length * state.theta_dot.square() * sin) / total_mass
        theta_acc = (p.gravity * sin - cos * temp) / (p.length * (4.0 / 3.0 - p.masspole * cos.square() / total_mass))
        x_acc = temp - polemass_length * theta_acc * cos / total_mass
        next_state = CartPoleState(
            state.x + p.tau * state.x_dot,
            state.x_dot + p.tau * x_acc,
            state.theta + p.tau * state.theta_dot,
            state.theta_dot + p.tau * theta_acc,
        )
        return next_state, None

    def transition(self, post_state: CartPoleState, noise: None) -> tuple[CartPoleState, Tensor, Tensor]:
        """The state itself, the reward, and whether the pole fell or the cart left the track."""
        p = self.params
        terminated = (post_state.x.abs() > p.x_threshold) | (post_state.theta.abs() > p.theta_threshold)
        if p.sutton_barto_reward:
            return post_state, -terminated.to(self.dtype), terminated
        return post_state, torch.ones_like(post_state.x), terminated

    def observe(self, state: CartPoleState) -> Tensor:
        """The four components, float32."""
        return torch.stack((state.x, state.x_dot, state.theta, state.theta_dot), dim=-1).to(torch.float32)

    def observe_post(self, post_state: CartPoleState) -> Tensor:
        """Observation of the post-decision state, which is the next state: that of `observe`."""
        return self.observe(post_state)

    def render(self, state_row: CartPoleState) -> np.ndarray:
        """Gymnasium's picture."""
        state = torch.cat((state_row.x, state_row.x_dot, state_row.theta, state_row.theta_dot))
        p = self.params
        return draw("CartPole-v1", state=state.double().cpu().numpy(), length=p.length, x_threshold=p.x_threshold)
