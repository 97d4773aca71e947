"""The mountain car with three actions and with a continuous one, equal to Gymnasium's version 0 of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import check_finite, check_ordered, check_positive
from rlsuite_envs.classic.picture import draw
from rlsuite_envs.kernel import Kernel

__all__ = ["MountainCar", "MountainCarContinuous", "MountainCarContinuousParams", "MountainCarParams"]


@dataclass(frozen=True)
class MountainCarParams:
    """Constants; the defaults are Gymnasium's MountainCar-v0. Units are the task's own."""

    force: float = 0.001
    """Change of velocity by full throttle, > 0."""
    gravity: float = 0.0025
    """Change of velocity on the steepest slope, > 0."""
    min_position: float = -1.2
    """Left wall, which stops the car."""
    max_position: float = 0.6
    """Right end."""
    max_speed: float = 0.07
    """Limit of the velocity, > 0."""
    goal_position: float = 0.5
    """Position of the flag."""
    goal_velocity: float = 0.0
    """Least velocity with which the car must reach the flag."""
    init_low: float = -0.6
    """Start positions are uniform in [init_low, init_high]; the car is at rest."""
    init_high: float = -0.4

    def __post_init__(self) -> None:
        check_positive(self, "force", "gravity", "max_speed")
        check_finite(self, "goal_position", "goal_velocity")
        check_ordered(self, "min_position", "max_position")
        check_ordered(self, "init_low", "init_high")


@dataclass(frozen=True)
class MountainCarContinuousParams(MountainCarParams):
    """Constants; the defaults are Gymnasium's MountainCarContinuous-v0."""

    force: float = 0.0015
    """Change of velocity by full throttle, > 0."""
    goal_position: float = 0.45
    """Position of the flag."""


@dataclass(frozen=True)
class MountainCarState:
    """The car; both fields [B] float."""

    position: Tensor
    """Position along the track, in [-1.2, 0.6]."""
    velocity: Tensor
    """Velocity, in positions per step, in [-0.07, 0.07]."""


class _Track(Kernel[MountainCarState, MountainCarState, None]):
    """What the two mountain cars share: the track, the goal and the picture."""

    params: MountainCarParams
    render_fps = 30
    picture = ""

    @property
    def observation_space(self) -> spaces.Box:
        """[position, velocity]."""
        p = self.params
        low = np.array([p.min_position, -p.max_speed], dtype=np.float32)
        high = np.array([p.max_position, p.max_speed], dtype=np.float32)
        return spaces.Box(low, high, dtype=np.float32)

    def initial_state(self, num: int, rng: torch.Generator) -> MountainCarState:
        """Start states: at rest in the valley."""
        low, high = self.params.init_low, self.params.init_high
        position = torch.rand(num, generator=rng, device=self.device, dtype=self.dtype)
        position = position.mul_(high - low).add_(low)
        return MountainCarState(position, torch.zeros_like(position))

    def _roll(self, position: Tensor, velocity: Tensor) -> MountainCarState:
        """The state after a step with this velocity, not yet limited."""
        p = self.params
        velocity = velocity.clamp(-p.max_speed, p.max_speed)
        position = (position + velocity).clamp(p.min_position, p.max_position)
        stopped = (position == p.min_position) & (velocity < 0)
        return MountainCarState(position, velocity.masked_fill(stopped, 0.0))

    def _arrived(self, state: MountainCarState) -> Tensor:
        return (state.position >= self.params.goal_position) & (state.velocity >= self.params.goal_velocity)

    def observe(self, state: MountainCarState) -> Tensor:
        """Position and velocity, float32."""
        return torch.stack((state.position, state.velocity), dim=-1).to(torch.float32)

    def observe_post(self, post_state: MountainCarState) -> Tensor:
        """Observation of the post-decision state, which is the next state: that of `observe`."""
        return self.observe(post_state)

    def render(self, state_row: MountainCarState) -> np.ndarray:
        """Gymnasium's picture."""
        state = (state_row.position.item(), state_row.velocity.item())
        constants: dict[str, Any] = {
            name: getattr(self.params, name) for name in ("min_position", "max_position", "goal_position")
        }
        return draw(self.picture, state=state, **constants)


class MountainCar(_Track):
    """Drive an underpowered car out of a valley, by swinging back and forth; three actions.

    ## Description
    The track's height is sin(3 position); the engine is too weak to climb it directly.

    ## Action Space
    `Discrete(3)`: throttle left, none, throttle right.

    ## Observation Space
    `Box(2,)` float32.

    | index | meaning | min | max |
    |---|---|---|---|
    | 0 | position | -1.2 | 0.6 |
    | 1 | velocity per step | -0.07 | 0.07 |

    ## Rewards
    -1 per step.

    ## Starting State
    Position uniform in [-0.6, -0.4], at rest.

    ## Episode End
    Termination: position >= 0.5 with velocity >= `goal_velocity`. Truncation: 200 steps.

    ## Arguments
    The fields of `MountainCarParams`.

    Source: Moore 1990; Gymnasium's MountainCar-v0, whose float64 numbers the float64 kernel repeats:
    v' = clip(v + (action - 1) force - gravity cos(3 x)), x' = clip(x + v'), v' = 0 at the left wall.

    ## Version History
    v1: Gymnasium's MountainCar-v0.
    """

    params_class = MountainCarParams
    picture = "MountainCar-v0"

    @property
    def action_space(self) -> spaces.Discrete:
        """Left, none, right."""
        return spaces.Discrete(3)

    @property
    def max_episode_steps(self) -> int:
        """Gymnasium's limit of MountainCar-v0."""
        return 200

    def post_decision(self, state: MountainCarState, action: Tensor) -> tuple[MountainCarState, None]:
        """The next state: nothing here is random."""
        p = self.params
        push = (action - 1).to(self.dtype) * p.force - p.gravity * torch.cos(3 * state.position)
        return self._roll(state.position, state.velocity + push), None

    def transition(self, post_state: MountainCarState, noise: None) -> tuple[MountainCarState, Tensor, Tensor]:
        """The state itself, -1, and whether the car is at the flag."""
        return post_state, torch.full_like(post_state.position, -1.0), self._arrived(post_state)


class MountainCarContinuous(_Track):
    """Drive an underpowered car out of a valley, by swinging back and forth; continuous throttle.

    ## Description
    As `MountainCar`, with a stronger engine whose use costs.

    ## Action Space
    `Box(-1, 1, (1,))` float32: throttle. The engine clips values outside, the cost does not, as in Gymnasium.

    ## Observation Space
    `Box(2,)` float32.

    | index | meaning | min | max |
    |---|---|---|---|
    | 0 | position | -1.2 | 0.6 |
    | 1 | velocity per step | -0.07 | 0.07 |

    ## Rewards
    -0.1 throttle^2 per step, and 100 on arrival.

    ## Starting State
    Position uniform in [-0.6, -0.4], at rest.

    ## Episode End
    Termination: position >= 0.45 with velocity >= `goal_velocity`. Truncation: 999 steps.

    ## Arguments
    The fields of `MountainCarContinuousParams`.

    Source: Gymnasium's MountainCarContinuous-v0. It rounds its state to float32 in each step, so that here
    the float32 kernel repeats its numbers, and the float64 kernel is finer than the original.

    ## Version History
    v1: Gymnasium's MountainCarContinuous-v0.
    """

    params_class = MountainCarContinuousParams
    picture = "MountainCarContinuous-v0"

    @property
    def action_space(self) -> spaces.Box:
        """Throttle."""
        return spaces.Box(-1.0, 1.0, (1,), dtype=np.float32)

    @property
    def max_episode_steps(self) -> int:
        """Gymnasium's limit of MountainCarContinuous-v0."""
        return 999

    def post_decision(self, state: MountainCarState, action: Tensor) -> tuple[MountainCarState, Tensor]:
        """The next state and the cost of the throttle: nothing here is random."""
        p = self.params
        throttle = action[:, 0]
        # Gymnasium takes this cosine in double precision whatever the state's. Apple's GPUs have no doubles.
        wide = torch.float32 if self.device.type == "mps" else torch.float64
        slope = (p.gravity * torch.cos((3 * state.position).to(wide))).to(self.dtype)
        push = throttle.clamp(-1.0, 1.0) * p.force - slope
        cost = -0.1 * throttle.to(self.dtype).square()
        return self._roll(state.position, state.velocity + push), cost

    def transition(self, post_state: MountainCarState, noise: None) -> tuple[MountainCarState, Tensor, Tensor]:
        """The state itself, 100 on arrival, and whether the car is at the flag."""
        arrived = self._arrived(post_state)
        return post_state, arrived.to(self.dtype) * 100.0, arrived
