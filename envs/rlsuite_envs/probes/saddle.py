"""A game of one step with a known saddle point: what a two-player algorithm must find first."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.probes.base import OneStepProbe

__all__ = ["ProbeSaddle"]


class ProbeSaddle(OneStepProbe):
    """The observation is 0; the agent's a and the adversary's f, both in [-1, 1], pay -(a - 0.5)^2 + (f + 0.3)^2.

    The saddle point is (0.5, -0.3) with value 0. At temperature alpha the adversary's quantal response has the density
    exp(-(f + 0.3)^2 / alpha) on the box: nearly a Gaussian around -0.3 of variance alpha / 2.
    """

    optimal_return = 0.0
    random_return = 0.3**2 - 0.5**2  # E f^2 = E a^2 for uniform ones
    agent_target, adversary_target = 0.5, -0.3

    @property
    def action_space(self) -> spaces.Tuple:
        """One number per player, each in [-1, 1]."""
        box = spaces.Box(-1.0, 1.0, (1,), dtype=np.float32)
        return spaces.Tuple((box, box))

    def payoff(self, context: Tensor, action: Any) -> Tensor:
        """-(a - 0.5)^2 + (f + 0.3)^2."""
        agent, adversary = (part[:, 0].to(self.dtype).clamp(-1.0, 1.0) for part in action)
        return (adversary - self.adversary_target).square() - (agent - self.agent_target).square()

    def optimal_action(self, obs: Any, mask: Tensor | None = None) -> Tensor:
        """The agent's best action, 0.5."""
        return torch.full((len(obs), 1), self.agent_target, device=obs.device)
