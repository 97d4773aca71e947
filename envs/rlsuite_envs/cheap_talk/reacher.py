"""The reacher of the cheap-talk experiments: two joints without inertia coupling, a goal in the plane."""

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

__all__ = ["TwoLinkReacher", "TwoLinkReacherParams", "TwoLinkReacherState", "hand"]

ACTION_LIMIT = 4.0
"""The box of the actions. tanh(4) = 0.9993: it leaves nothing out that the torque could still gain."""
REACH = 2.0
"""Length of the stretched arm, and radius of the disc of goals."""


@dataclass(frozen=True)
class TwoLinkReacherParams:
    """Constants; the defaults are the experiments'."""

    rate: float = 0.1
    """Angles move by rate * velocity, velocities by rate * tanh(action), per step; > 0."""
    damping: float = 0.9
    """Part of the velocity that is left after a step, >= 0."""
    goal_radius: float = 0.3
    """The goal is reached within this distance, > 0."""
    angle_init: float = math.pi
    """Start angles are uniform in [-angle_init, angle_init], rad, >= 0."""
    speed_init: float = 0.0
    """Start velocities are uniform in [-speed_init, speed_init], >= 0."""
    horizon: int = 200
    """Steps of an episode at most, >= 1."""

    def __post_init__(self) -> None:
        check_positive(self, "rate", "goal_radius")
        check_non_negative(self, "damping", "angle_init", "speed_init")
        check_integer(self, "horizon", 1)


@dataclass(frozen=True)
class TwoLinkReacherState:
    """Arm and goal; all fields [B, 2] float."""

    angles: Tensor
    """Angle of each link from the x axis, [B, 2] rad, not wrapped."""
    velocities: Tensor
    """Angular velocity of each link, [B, 2] rad per unit of time (10 steps)."""
    goal: Tensor
    """Position where the hand should go, [B, 2] in lengths of a link."""


def hand(angles: Tensor) -> Tensor:
    """Where the hand of an arm with two links of length 1 is, [..., 2], given their angles from the x axis [..., 2]."""
    return torch.stack((angles.cos().sum(-1), angles.sin().sum(-1)), dim=-1)


class TwoLinkReacher(Kernel[TwoLinkReacherState, TwoLinkReacherState, None]):
    """Bring the hand of an arm with two links to a goal.

    ## Description
    Each link has its own damped velocity; the links do not pull at each other, and turning one leaves the other's
    direction alone. Explicit Euler steps:

    angles' = angles + 0.1 velocities, velocities' = 0.9 velocities + 0.1 tanh(action).

    It shares its name alone with Gymnasium's MuJoCo task: no mass, no contact, and episodes end at the goal.

    ## Action Space
    `Box(-4, 4, (2,))` float32, one torque per joint: values outside are clipped; tanh of it acts.

    ## Observation Space
    `Box(10,)` float32, raw units, all of order 1.

    | index | meaning | min | max |
    |---|---|---|---|
    | 0-1 | cosines of the angles | -1 | 1 |
    | 2-3 | sines of the angles | -1 | 1 |
    | 4-5 | velocities of the angles | -inf | inf |
    | 6-7 | goal | -2 | 2 |
    | 8-9 | goal - hand | -4 | 4 |

    ## Rewards
    -|hand - goal|^2 - |tanh(action)|^2, the hand where it is after the step: from -18 to 0.

    ## Starting State
    Goal uniform in the disc of radius 2; angles uniform in [-pi, pi], velocities 0. The arm may start at the
    goal; the episode then ends with its first step unless that leaves it.

    ## Episode End
    Termination: the hand is nearer than 0.3 to the goal after a step. Truncation: 200 steps (`horizon`). In the
    experiments a learner's first episodes start at random time indices (`VictimConfig.stagger`).

    ## Arguments
    The fields of `TwoLinkReacherParams`.

    Source: Adversarial Cheap Talk (arXiv 2211.11030), `reacher.py` of its release, which has no box of actions (tanh
    alone bounds the torques).
    """

    params_class = TwoLinkReacherParams
    params: TwoLinkReacherParams
    render_fps = 20

    @property
    def observation_space(self) -> spaces.Box:
        """[cos (2), sin (2), velocities (2), goal (2), goal - hand (2)]."""
        high = np.array([1, 1, 1, 1, np.inf, np.inf, REACH, REACH, 2 * REACH, 2 * REACH], dtype=np.float32)
        return spaces.Box(-high, high, dtype=np.float32)

    @property
    def action_space(self) -> spaces.Box:
        """Torques before squashing."""
        return spaces.Box(-ACTION_LIMIT, ACTION_LIMIT, (2,), dtype=np.float32)

    def initial_state(self, num: int, rng: torch.Generator) -> TwoLinkReacherState:
        """Start states: uniform joint angles, and goals uniform within reach."""
        draws = torch.rand((6, num), generator=rng, device=self.device, dtype=self.dtype)
        # The square root makes the density uniform over the disc instead of over the radius.
        radius, direction = REACH * draws[4].sqrt(), 2 * math.pi * draws[5]
        goal = torch.stack((radius * direction.cos(), radius * direction.sin()), dim=-1)
        spread = (2 * draws[:4] - 1).T
        return TwoLinkReacherState(spread[:, :2] * self.params.angle_init, spread[:, 2:] * self.params.speed_init, goal)

    def post_decision(self, state: TwoLinkReacherState, action: Tensor) -> tuple[TwoLinkReacherState, Tensor]:
        """The next state and the reward: nothing here is random."""
        p = self.params
        torque = action.clamp(-ACTION_LIMIT, ACTION_LIMIT).to(self.dtype).tanh()
        after = TwoLinkReacherState(
            state.angles + p.rate * state.velocities,
            p.damping * state.velocities + p.rate * torque,
            state.goal,
        )
        distance = (hand(after.angles) - after.goal).square().sum(-1)
        return after, -distance - torque.square().sum(-1)

    def transition(self, post_state: TwoLinkReacherState, noise: None) -> tuple[TwoLinkReacherState, None, Tensor]:
        """The state itself, and whether the goal is reached."""
        distance = (hand(post_state.angles) - post_state.goal).square().sum(-1)
        return post_state, None, distance < self.params.goal_radius**2

    def observe(self, state: TwoLinkReacherState) -> Tensor:
        """The table above, float32."""
        parts = (
            state.angles.cos(),
            state.angles.sin(),
            state.velocities,
            state.goal,
            state.goal - hand(state.angles),
        )
        return torch.cat(parts, dim=-1).to(torch.float32)

    def observe_post(self, post_state: TwoLinkReacherState) -> Tensor:
        """Observation of the post-decision state, which is the next state: that of `observe`."""
        return self.observe(post_state)

    def info(self, state: TwoLinkReacherState) -> dict[str, Tensor]:
        """Distance from the hand to the goal, and whether that is near enough."""
        distance = (hand(state.angles) - state.goal).norm(dim=-1)
        return {"distance": distance, "success": distance < self.params.goal_radius}

    def render(self, state_row: TwoLinkReacherState) -> np.ndarray:
        """Arm, goal, and the disc of possible goals."""
        first = state_row.angles[0, 0].item()
        elbow = (math.cos(first), math.sin(first))
        tip_x, tip_y = hand(state_row.angles)[0].tolist()
        goal_x, goal_y = state_row.goal[0].tolist()
        canvas = Canvas(360, 360, (-2.4, 2.4), (-2.4, 2.4))
        canvas.disc(0, 0, REACH, "#f4f4f4", outline="#d0d0d0")
        canvas.disc(goal_x, goal_y, self.params.goal_radius, "#b6dbb6", outline="#55a868")
        canvas.line([(0, 0), elbow, (tip_x, tip_y)], "#4c72b0", 8)
        canvas.disc(0, 0, 0.08, "black")
        canvas.disc(elbow[0], elbow[1], 0.07, "#2f4a75")
        canvas.disc(tip_x, tip_y, 0.07, "#c44e52")
        return canvas.array()

    def render_episode(self, states: TwoLinkReacherState, actions: Any, rewards: Tensor) -> np.ndarray:
        """The hand's path, next to its distance from the goal and the torques over time."""
        path, goal = hand(states.angles).cpu().numpy(), states.goal[0].tolist()
        distance = self.info(states)["distance"].cpu().numpy()
        drawn, axes = figure(1, 2, width=10.0, height=4.6)
        plane, curve = axes[0]
        plane.plot(*path.T, color="#4c72b0", lw=1.5, label="path of the hand")
        plane.plot(*path[0], "o", color="#4c72b0", label="start")
        plane.plot(*goal, "*", color="#55a868", ms=14, label="goal")
        plane.set(aspect="equal", xlim=(-2.3, 2.3), ylim=(-2.3, 2.9), xlabel="x", ylabel="y")
        plane.legend(loc="upper center", ncols=3, frameon=False, fontsize="small")
        curve.plot(distance, label="distance to the goal")
        curve.axhline(self.params.goal_radius, color="#55a868", ls="--", lw=1, label="near enough")
        curve.plot(torch.tanh(actions).cpu().numpy(), lw=0.8, alpha=0.7, label=["torque 1", "torque 2"])
        curve.set(xlabel="step", title=f"return {rewards.sum().item():.1f}")
        curve.set_ylim(-1.1, 1.5 * max(1.0, float(distance.max())))
        curve.legend(frameon=False, fontsize="small", loc="upper center", ncols=2)
        return figure_array(drawn)
