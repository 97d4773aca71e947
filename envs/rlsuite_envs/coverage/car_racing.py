"""A 1:43 race car that has to cover a track: progress along it is the area seen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import check_choice, check_finite, check_integer, check_non_negative, check_positive
from rlsuite_envs.coverage.car_picture import draw_car, draw_lap
from rlsuite_envs.coverage.car_track import synthetic_track
from rlsuite_envs.kernel import Kernel

__all__ = ["CarRacing", "CarRacingParams", "CarRacingState"]

PREVIEW = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5)
"""Distances ahead at which the observation "preview" tells the curvature, m."""
_SLOW, _BLEND = 0.3, 0.2  # m/s: the dynamic model takes over between 0.3 and 0.5


@dataclass(frozen=True)
class CarRacingParams:
    """Constants; the defaults are those of the experiments, the car's being a 1:43 scale model's."""

    horizon: int = 700
    """Steps of an episode at most, >= 1."""
    dt: float = 0.03
    """Time of a step, s, > 0."""
    substeps: int = 1
    """Runge-Kutta steps per step, >= 1. One is at its stability limit around 0.5 m/s, where the yaw is stiff."""
    mass: float = 0.041
    """Mass of the car, kg, > 0."""
    inertia: float = 27.8e-6
    """Moment of inertia about the vertical axis, kg m^2, > 0."""
    front: float = 0.029
    """Distance from the centre of mass to the front axle, m, > 0."""
    rear: float = 0.033
    """Distance from the centre of mass to the rear axle, m, > 0."""
    motor: tuple[float, float] = (0.287, 0.054527)
    """Cm1 (N) and Cm2 (N s/m): the motor pushes with (Cm1 - Cm2 vx) throttle."""
    drag: tuple[float, float] = (0.051891, 0.000348)
    """Cr0 (N) and Cr2 (N s^2/m^2): resistance is Cr0 + Cr2 vx^2."""
    rear_tyre: tuple[float, float, float] = (3.3852 / 1.2, 1.2691, 0.1737 * 1.2)
    """B, C, D (N) of the rear axle's lateral force D sin(C atan(B slip angle))."""
    front_tyre: tuple[float, float, float] = (2.579, 1.2, 1.05 * 0.192)
    """B, C, D (N) of the front axle's lateral force D sin(C atan(B slip angle))."""
    max_steering: float = 1.0
    """Steering angle at the action 1, rad, in (0, 1.5]; the release bounds the action, and names no other scale."""
    start_speed: float = 0.5
    """Speed at the start, m/s, >= 0."""
    start_offset: float = 0.1
    """Episodes start this far left or right of the centre line, m, in [0, 0.2]."""
    finish: float = 16.4
    """The lap is done at this distance along the track, m, > 0, at most its length of 16.4076."""
    reward: str = "marginal"
    """ "marginal" (newly reached track), "progress" (s_t - s_(t-1), the release's), or "modular" (s_t)."""
    leave_penalty: float = 1.0
    """Taken from the reward of the step that leaves the track, >= 0."""
    step_cost: float = 0.01
    """Taken from every reward, >= 0."""
    finish_bonus: float = 1.0
    """Added to the reward of the step that finishes the lap."""
    observation: str = "state"
    """ "state" (five numbers, scaled), "raw" (the same in m, rad and m/s), or "preview" (and what lies ahead)."""

    def __post_init__(self) -> None:
        check_integer(self, "horizon", 1)
        check_integer(self, "substeps", 1, 1000)
        check_positive(self, "dt", "mass", "inertia", "front", "rear", "max_steering", "finish")
        check_non_negative(self, "start_speed", "start_offset", "leave_penalty", "step_cost")
        check_finite(self, "finish_bonus")
        check_choice(self, "reward", ("marginal", "progress", "modular"))
        check_choice(self, "observation", ("state", "raw", "preview"))
        for name, size in (("motor", 2), ("drag", 2), ("rear_tyre", 3), ("front_tyre", 3)):
            values = getattr(self, name)
            right = isinstance(values, tuple | list) and len(values) == size
            if not right or not all(isinstance(x, int | float) and math.isfinite(x) and x >= 0 for x in values):
                raise ValueError(f"{name}={values!r} must be {size} finite numbers of at least 0.")
            object.__setattr__(self, name, tuple(float(x) for x in values))
        for name, high in (
            ("front", 100.0),
            ("rear", 100.0),
            ("max_steering", 1.5),
            ("start_offset", 0.2),
            ("finish", synthetic_track().length),
        ):
            if getattr(self, name) > high:
                raise ValueError(f"{name}={getattr(self, name)!r} must be at most {high}.")


@dataclass(frozen=True)
class CarRacingState:
    """The car in the track's coordinates, m, rad and s; fields [B] float unless said otherwise."""

    s: Tensor
    """Distance along the centre line since the start."""
    d: Tensor
    """Distance to the left of the centre line."""
    mu: Tensor
    """Heading relative to the centre line, not wrapped."""
    vx: Tensor
    """Velocity forwards, >= 0."""
    vy: Tensor
    """Velocity to the left."""
    yaw_rate: Tensor
    t: Tensor
    """Steps done, [B] int64."""
    reached: Tensor
    """F(S): the farthest s of the episode, m."""
    modular: Tensor
    """Sum of s over the steps, m."""


class CarRacing(Kernel[CarRacingState, CarRacingState, None]):
    """Drive a 1:43 race car around a closed track as far as possible.

    ## Description
    State (s, d, mu, vx, vy, r): distance along the track's centre line, to its left, heading against it,
    velocities forwards and to the left, yaw rate. With curvature kappa(s):

    s' = (vx cos mu - vy sin mu) / (1 - kappa d), d' = vx sin mu + vy cos mu, mu' = r - kappa s',

    and a bicycle model with motor force Fx = (Cm1 - Cm2 vx) throttle - Cr0 - Cr2 vx^2 and lateral tyre forces
    D sin(C atan(B slip)). Up to 0.3 m/s the car moves without slip (kinematic model), from 0.5 m/s on by its tyres,
    blended with weight clip((vx - 0.3) / 0.2, 0, 1) between. One step of 0.03 s is one Runge-Kutta step of 4th
    order (or `substeps` of them). The track is made up (`car_track`): 16.4076 m, |kappa| up to 5.9 1/m, half-widths
    from 0.07 to 0.30 m.

    ## Action Space
    `Box(-1, 1, (2,))` float32: throttle (negative brakes), and steering in parts of 1 rad, positive to the left;
    values outside are clipped.

    ## Observation Space
    `Box(5,)` float32: the release's five numbers, here scaled; the yaw rate is not among them. "raw" gives them as
    they are; "preview" appends yaw rate, half-width and the curvature at six points up to 1.5 m ahead.

    | index | meaning | scale | "raw" |
    |---|---|---|---|
    | 0 | s | s / 16.4 m, from 0 to 1 | m |
    | 1 | d | d / 0.3 m, mostly in [-1, 1] | m |
    | 2 | mu, in [-pi, pi) | | rad |
    | 3 | vx | vx / (2 m/s) | m/s |
    | 4 | vy | | m/s |
    | 5 | yaw rate | / (10 rad/s) | |
    | 6 | half-width here | / 0.3 m | |
    | 7-12 | curvature 0.1, 0.25, 0.5, 0.75, 1 and 1.5 m ahead | / (6 1/m) | |

    ## Rewards
    Newly reached metres of the track, F(S + s_t) - F(S) with F(S) = max of s over S: a coverage function, monotone
    and submodular. `reward="progress"` is the release's s_t - s_(t-1), the same as long as the car does not go
    back; `reward="modular"` is s_t itself. In each case -0.01 per step, -1 for leaving the track, and +1 for
    finishing the lap.

    ## Starting State
    s = 0, d = 0.1 m or -0.1 m with equal chance, mu = 0, 0.5 m/s straight ahead.

    ## Episode End
    Termination: |d| exceeds the half-width, or s reaches 16.4 m. Truncation: 700 steps (`horizon`).

    `info`: "set_value" F(S) in m, "modular_value" (the sum of s), "success" (the lap is finished), "place" (s, d).

    ## Arguments
    The fields of `CarRacingParams`. Presets: "modular", "progress", "preview".

    Source: Submodular Reinforcement Learning (arXiv 2307.13372) and its code. Ours, since the source does not say:
    the track, the start's speed, steering of 1 rad at the action 1, and the kinematic model's form: vy and r
    follow from the steering angle delta as rear / (front + rear) vx tan(delta) and vx tan(delta) / (front + rear),
    which they approach within about a step. The car does not reverse: vx is at least 0 after each step.
    """

    params_class = CarRacingParams
    params: CarRacingParams
    presets: ClassVar[Mapping[str, Any]] = {
        "modular": CarRacingParams(reward="modular"),
        "progress": CarRacingParams(reward="progress"),
        "preview": CarRacingParams(observation="preview"),
    }
    render_fps = 33

    def __init__(
        self,
        params: CarRacingParams | None = None,
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        self.track = synthetic_track()
        table = np.stack((self.track.curvature, self.track.half_width))
        self._table = torch.tensor(table, dtype=self.dtype, device=self.device)
        self._per_metre = (table.shape[1] - 1) / self.track.length

    @property
    def observation_space(self) -> spaces.Box:
        """Five numbers, or 13 with the preview."""
        size = 7 + len(PREVIEW) if self.params.observation == "preview" else 5
        return spaces.Box(-np.inf, np.inf, (size,), dtype=np.float32)

    @property
    def action_space(self) -> spaces.Box:
        """Throttle and steering."""
        return spaces.Box(-1.0, 1.0, (2,), dtype=np.float32)

    def _along(self, row: int, s: Tensor) -> Tensor:
        """Curvature (row 0) or half-width (row 1) at distances s along the track, linearly interpolated."""
        at = torch.remainder(s * self._per_metre, self._table.shape[1] - 1)
        # The remainder of a tiny negative number rounds to the divisor itself.
        left = at.long().clamp_(max=self._table.shape[1] - 2)
        low = self._table[row][left]
        return torch.addcmul(low, at - left, self._table[row][left + 1] - low)

    def curvature(self, s: Tensor) -> Tensor:
        """Curvature of the centre line at distances s (m) along it, 1/m."""
        return self._along(0, s)

    def half_width(self, s: Tensor) -> Tensor:
        """Half the width of the track at distances s (m) along it, m."""
        return self._along(1, s)

    def derivatives(self, x: Tensor, throttle: Tensor, delta: Tensor) -> Tensor:
        """Time derivatives [6, B] of x = (s, d, mu, vx, vy, r) [6, B], given throttle and steering angle [B]."""
        p = self.params
        s, d, mu, vx, vy, r = x.unbind(0)
        cos, sin = mu.cos(), mu.sin()
        bend = self.curvature(s)
        along = (vx * cos - vy * sin) / (1 - bend * d)
        push = (p.motor[0] - p.motor[1] * vx) * throttle - p.drag[0] - p.drag[1] * vx.square()
        # Below 0.3 m/s the tyres have no weight; the bound only keeps their slip angles defined.
        forwards = vx.clamp(min=_SLOW / 2)
        side_front = _tyre(p.front_tyre, delta - torch.atan2(vy + p.front * r, forwards))
        side_rear = _tyre(p.rear_tyre, torch.atan2(p.rear * r - vy, forwards))
        lift = side_front * delta.cos()
        dynamic = (
            (push - side_front * delta.sin()) / p.mass + vy * r,
            (side_rear + lift) / p.mass - vx * r,
            (p.front * lift - p.rear * side_rear) / p.inertia,
        )
        turn = delta.tan() / (p.front + p.rear)  # yaw rate per speed, without slip
        gain = push / p.mass
        kinematic = (
            gain,
            p.rear * turn * gain + (p.rear * turn * vx - vy) / p.dt,
            turn * gain + (turn * vx - r) / p.dt,
        )
        weight = ((vx - _SLOW) / _BLEND).clamp(0.0, 1.0)
        blended = [torch.lerp(k, q, weight) for k, q in zip(kinematic, dynamic, strict=True)]
        return torch.stack((along, vx * sin + vy * cos, r - bend * along, *blended))

    def initial_state(self, num: int, rng: torch.Generator) -> CarRacingState:
        """Start states: at the start line, left or right of its middle."""
        p = self.params
        side = torch.randint(0, 2, (num,), generator=rng, device=self.device)
        zeros = torch.zeros(num, device=self.device, dtype=self.dtype)
        offset = (2 * side - 1).to(self.dtype) * p.start_offset
        vx = torch.full_like(zeros, p.start_speed)
        return CarRacingState(
            zeros,
            offset,
            zeros.clone(),
            vx,
            zeros.clone(),
            zeros.clone(),
            side * 0,
            zeros.clone(),
            zeros.clone(),
        )

    def post_decision(self, state: CarRacingState, action: Tensor) -> tuple[CarRacingState, Tensor]:
        """The next state and the reward: nothing here is random."""
        p = self.params
        throttle, steering = action.clamp(-1.0, 1.0).to(self.dtype).unbind(1)
        delta = p.max_steering * steering
        x = torch.stack((state.s, state.d, state.mu, state.vx, state.vy, state.yaw_rate))
        h = p.dt / p.substeps
        for _ in range(p.substeps):
            k1 = self.derivatives(x, throttle, delta)
            k2 = self.derivatives(x + (h / 2) * k1, throttle, delta)
            k3 = self.derivatives(x + (h / 2) * k2, throttle, delta)
            k4 = self.derivatives(x + h * k3, throttle, delta)
            x = x + (h / 6) * (k1 + 2 * (k2 + k3) + k4)
        s, d, mu, vx, vy, r = x.unbind(0)
        reached = torch.maximum(state.reached, s.clamp(max=p.finish))
        earned = {"marginal": reached - state.reached, "progress": s - state.s, "modular": s}[p.reward]
        after = CarRacingState(s, d, mu, vx.clamp(min=0.0), vy, r, state.t + 1, reached, state.modular + s)
        left = self._left(after)
        finished = ~left & (s >= p.finish)
        return after, earned - p.step_cost - p.leave_penalty * left + p.finish_bonus * finished

    def _left(self, state: CarRacingState) -> Tensor:
        return state.d.abs() > self.half_width(state.s)

    def transition(self, post_state: CarRacingState, noise: None) -> tuple[CarRacingState, None, Tensor]:
        """The state itself, and whether the car left the track or finished."""
        return post_state, None, self._left(post_state) | (post_state.s >= self.params.finish)

    def observe(self, state: CarRacingState) -> Tensor:
        """The table above, float32."""
        mu = torch.remainder(state.mu + math.pi, 2 * math.pi) - math.pi
        if self.params.observation == "raw":
            parts = [state.s, state.d, mu, state.vx, state.vy]
        else:
            parts = [state.s / self.params.finish, state.d / 0.3, mu, state.vx / 2, state.vy]
        if self.params.observation == "preview":
            parts += [state.yaw_rate / 10, self.half_width(state.s) / 0.3]
            parts += [self.curvature(state.s + ahead) / 6 for ahead in PREVIEW]
        return torch.stack(parts, dim=1).to(torch.float32)

    def observe_post(self, post_state: CarRacingState) -> Tensor:
        """Observation of the post-decision state, which is the next state: that of `observe`."""
        return self.observe(post_state)

    def info(self, state: CarRacingState) -> dict[str, Tensor]:
        """F(S), the modular sum, whether the lap is finished, and the place on the track."""
        return {
            "set_value": state.reached.clone(),
            "modular_value": state.modular.clone(),
            "success": (state.s >= self.params.finish) & ~self._left(state),
            "place": torch.stack((state.s, state.d), dim=1),
        }

    def render(self, state_row: CarRacingState) -> np.ndarray:
        """The whole track and the car on it, three times as large as it is."""
        return draw_car(self.track, *(x.item() for x in (state_row.s, state_row.d, state_row.mu, state_row.vx)))

    def render_episode(self, states: CarRacingState, actions: Any, rewards: Tensor) -> np.ndarray:
        """The path coloured by speed, F(S) over time, and the controls."""
        return draw_lap(
            self.track,
            {name: getattr(states, name).cpu().numpy() for name in ("s", "d", "vx", "reached", "modular")},
            actions.clamp(-1, 1).cpu().numpy(),
            float(rewards.sum()),
            self.params.dt,
        )


def _tyre(shape: tuple[float, float, float], slip: Tensor) -> Tensor:
    """Lateral force of an axle, N, at slip angles in rad."""
    stiffness, form, peak = shape
    return peak * torch.sin(form * torch.atan(stiffness * slip))
