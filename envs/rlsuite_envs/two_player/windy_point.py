"""A point mass on its way through an adversary's wind: the smallest game of forces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import check_integer, check_non_negative, check_positive
from rlsuite_envs.drawing import Canvas
from rlsuite_envs.kernel import Kernel

__all__ = ["WindyPoint", "WindyPointParams", "WindyPointState"]


@dataclass(frozen=True)
class WindyPointParams:
    """Constants; side and mass are the release's, the others ours."""

    side: float = 4.0
    """Side of the square, m, > 0."""
    mass: float = 5.0
    """Mass of the point, kg, > 0."""
    max_force: float = 10.0
    """Largest force of the agent along an axis, N, > 0."""
    max_wind: float = 20.0
    """Largest force of the adversary, N, >= 0."""
    wind_width: float = 1.0
    """Width of the strip where the wind blows, m, > 0."""
    damping: float = 1.0
    """Friction, N s/m, >= 0."""
    dt: float = 0.05
    """Time step, s, > 0."""
    noise: float = 0.05
    """Half the range of the start position, m, >= 0."""
    horizon: int = 200
    """Steps per episode, at least 1."""

    def __post_init__(self) -> None:
        check_positive(self, "side", "mass", "max_force", "wind_width", "dt")
        check_non_negative(self, "max_wind", "damping", "noise")
        check_integer(self, "horizon", 1)


@dataclass(frozen=True)
class WindyPointState:
    """The point; fields [B, 2]."""

    position: Tensor
    """Position, m, from the middle of the square."""
    velocity: Tensor
    """Velocity, m/s."""


class WindyPoint(Kernel[WindyPointState, WindyPointState, None]):
    """Cross a strip of wind to a goal, while an adversary blows.

    ## Description
    A mass of 5 kg on a square of 4 m x 4 m is pushed by the agent from the left to a goal on the right. In a vertical
    strip in the middle the adversary's wind pushes it up or down, over the edge if it can. Semi-implicit Euler steps
    with linear friction.

    ## Action Space
    `Tuple(Box(-1, 1, (2,)), Box(-1, 1, (1,)))` float32: the agent's force as a share of `max_force` (x, y), and the
    adversary's along y as a share of `max_wind`; both are clipped.

    ## Observation Space
    `Box(-inf, inf, (4,))` float32, seen by both: position (m) and velocity (m/s).

    ## Rewards
    exp(-d) per step, d the distance to the goal in m. It is the agent's; the adversary's is its negative.

    ## Starting State
    At rest around (-3/8 side, 0), uniform within +- `noise` along both axes.

    ## Episode End
    Termination: outside of the square. Truncation: after `horizon` (200) steps.

    ## Information
    `distance` to the goal, m; `success`: within 0.2 m of it; `wind`: whether the mass is in the strip.

    ## Arguments
    The fields of `WindyPointParams`.

    Source: Reddi et al. 2023 (QARL), whose release has a point mass of 5 kg on a 4 x 4 square against a wind along one
    axis; its start, goal, reward and end were not to be had, and are ours.
    """

    params_class = WindyPointParams
    params: WindyPointParams
    render_fps = 20

    @property
    def observation_space(self) -> spaces.Box:
        """Position and velocity."""
        return spaces.Box(-np.inf, np.inf, (4,), dtype=np.float32)

    @property
    def action_space(self) -> spaces.Tuple:
        """The agent's force and the adversary's wind."""
        return spaces.Tuple((spaces.Box(-1, 1, (2,), np.float32), spaces.Box(-1, 1, (1,), np.float32)))

    @property
    def goal(self) -> tuple[float, float]:
        """Position of the goal, m."""
        return 0.375 * self.params.side, 0.0

    def initial_state(self, num: int, rng: torch.Generator) -> WindyPointState:
        """Start states: at rest on the left."""
        noise = torch.rand(num, 2, generator=rng, device=self.device, dtype=self.dtype) * 2 - 1
        start = torch.tensor([-self.goal[0], 0.0], device=self.device, dtype=self.dtype)
        return WindyPointState(start + self.params.noise * noise, torch.zeros_like(noise))

    def post_decision(self, state: WindyPointState, action: tuple[Tensor, Tensor]) -> tuple[WindyPointState, Tensor]:
        """The next state and its reward: nothing here is random."""
        p = self.params
        push, wind = (part.to(self.dtype) for part in action)
        force = push.clamp(-1.0, 1.0) * p.max_force - p.damping * state.velocity
        blown = wind.clamp(-1.0, 1.0) * p.max_wind * self._in_wind(state)[:, None]
        force = force + torch.cat((torch.zeros_like(blown), blown), 1)
        velocity = state.velocity + force * (p.dt / p.mass)
        after = WindyPointState(state.position + velocity * p.dt, velocity)
        return after, torch.exp(-self._distance(after))

    def transition(self, post_state: WindyPointState, noise: None) -> tuple[WindyPointState, None, Tensor]:
        """The state itself, and whether it is outside."""
        return post_state, None, (post_state.position.abs() > 0.5 * self.params.side).any(1)

    def observe(self, state: WindyPointState) -> Tensor:
        """Position and velocity, float32."""
        return torch.cat((state.position, state.velocity), 1).to(torch.float32)

    def observe_post(self, post_state: WindyPointState) -> Tensor:
        """Observation of the post-decision state, which is the next state: that of `observe`."""
        return self.observe(post_state)

    def info(self, state: WindyPointState) -> dict[str, Tensor]:
        """Distance, success, wind."""
        distance = self._distance(state)
        return {"distance": distance, "success": distance < 0.2, "wind": self._in_wind(state)}

    def _distance(self, state: WindyPointState) -> Tensor:
        goal = torch.tensor(self.goal, device=self.device, dtype=self.dtype)
        return torch.linalg.vector_norm(state.position - goal, dim=1)

    def _in_wind(self, state: WindyPointState) -> Tensor:
        return state.position[:, 0].abs() <= 0.5 * self.params.wind_width

    def render(self, state_row: WindyPointState) -> np.ndarray:
        """The square, the strip of wind, the goal and the mass."""
        half, width = 0.5 * self.params.side, 0.5 * self.params.wind_width
        canvas = Canvas(400, 400, (-1.05 * half, 1.05 * half), (-1.05 * half, 1.05 * half))
        canvas.rect(-width, -half, width, half, "#d6e6f2", None)
        canvas.disc(*self.goal, 0.2, "#9bd39b")
        canvas.rect(-half, -half, half, half, None, "#333333")
        x, y = state_row.position[0].tolist()
        canvas.disc(x, y, 0.08, "#1f77b4")
        return canvas.array()
