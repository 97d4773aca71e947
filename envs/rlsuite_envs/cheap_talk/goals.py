"""The goal rewards of test-time cheap talk: what an adversary wants the victim's body to do.

Not a reward of any environment here: the adversary's objective, a pure function of the state.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from rlsuite_envs.cheap_talk.pendulum import TanhPendulumState
from rlsuite_envs.cheap_talk.reacher import REACH, TwoLinkReacherState, hand
from rlsuite_envs.cheap_talk.wrapper import CheapTalkState
from rlsuite_envs.classic.cartpole import CartPoleState

__all__ = ["goal_reward", "sample_goal"]

CARTPOLE_GOALS = 2.4
"""Goal positions of the cart are uniform in [-2.4, 2.4] m."""


def goal_reward(state: Any, goal: Tensor) -> Tensor:
    """How near states are to the adversary's goals: exp(-squared distance), [B] in (0, 1].

    - CartPole: the cart at x* [B] m: exp(-(x - x*)^2).
    - TanhPendulum: the rod at angle* [B] rad: exp(-|(cos, sin)(angle) - (cos, sin)(angle*)|^2).
    - TwoLinkReacher: the hand at a point [B, 2]: exp(-|hand - goal|^2). Not the goal of the victim.

    In the experiments the reward of a step is that of the state after it for CartPole, before it for the two
    others.

    Erratum: the released pendulum takes the cosine for both coordinates of the goal's point, so that goals of
    equal cosine cannot be told apart and most cannot be reached at all. Here it is cosine and sine, as the goal
    is also shown to the adversary there.

    Args:
        state: of one of these kernels, or of `CheapTalk` around one; fields [B, ...].
        goal: [B], or [B, 2] for the reacher.

    Raises:
        TypeError: the state of another kernel.

    Source: Adversarial Cheap Talk (arXiv 2211.11030), test-time experiments.
    """
    if isinstance(state, CheapTalkState):
        state = state.inner
    if isinstance(state, CartPoleState):
        return torch.exp(-(state.x - goal).square())
    if isinstance(state, TanhPendulumState):
        gap = (state.theta.cos() - goal.cos()).square() + (state.theta.sin() - goal.sin()).square()
        return torch.exp(-gap)
    if isinstance(state, TwoLinkReacherState):
        return torch.exp(-(hand(state.angles) - goal).square().sum(-1))
    raise TypeError(
        f"goal_reward knows states of CartPole, TanhPendulum and TwoLinkReacher, not {type(state).__name__}."
    )


def sample_goal(state: Any, rng: torch.Generator) -> Tensor:
    """Goals for states [B], as the experiments draw them; [B], or [B, 2] for the reacher.

    CartPole: uniform in [-2.4, 2.4]; TanhPendulum: uniform in [0, 2 pi); TwoLinkReacher: uniform in the disc of
    radius 2.

    Raises:
        TypeError: the state of another kernel.
    """
    if isinstance(state, CheapTalkState):
        state = state.inner
    if isinstance(state, CartPoleState):
        return CARTPOLE_GOALS * (2 * torch.rand(state.x.shape, generator=rng, device=state.x.device) - 1)
    if isinstance(state, TanhPendulumState):
        return 2 * math.pi * torch.rand(state.theta.shape, generator=rng, device=state.theta.device)
    if isinstance(state, TwoLinkReacherState):
        draws = torch.rand((2, len(state.goal)), generator=rng, device=state.goal.device)
        radius, direction = REACH * draws[0].sqrt(), 2 * math.pi * draws[1]
        return torch.stack((radius * direction.cos(), radius * direction.sin()), dim=-1)
    raise TypeError(
        f"sample_goal knows states of CartPole, TanhPendulum and TwoLinkReacher, not {type(state).__name__}."
    )
