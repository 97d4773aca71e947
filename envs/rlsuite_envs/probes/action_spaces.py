"""Probes of the action distributions: one for each action space, and one for masks; see `ladder`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import check_finite, check_integer
from rlsuite_envs.probes.base import OneStepProbe, ProbeState, signs

__all__ = ["ProbeBox", "ProbeDiscrete", "ProbeMask", "ProbeMultiBinary", "ProbeMultiDiscrete"]


@dataclass(frozen=True)
class DiscreteParams:
    """Constants of ProbeDiscrete."""

    start: int = 0
    """The smallest action; not 0 to test learners that forget to add it."""

    def __post_init__(self) -> None:
        check_integer(self, "start", -(2**31), 2**31)


class ProbeDiscrete(OneStepProbe):
    """The observation is one of three unit vectors; naming its index pays 1, anything else 0.

    Argument: `start`.
    """

    params_class = DiscreteParams
    params: DiscreteParams
    optimal_return = 1.0
    random_return = 1 / 3

    @property
    def observation_space(self) -> spaces.Box:
        """A unit vector of length 3."""
        return spaces.Box(0.0, 1.0, (3,), np.float32)

    @property
    def action_space(self) -> spaces.Discrete:
        """Three actions, from `start`."""
        return spaces.Discrete(3, start=self.params.start)

    def draw_context(self, num: int, rng: torch.Generator) -> Tensor:
        """A unit vector."""
        index = torch.randint(0, 3, (num,), generator=rng, device=self.device)
        return (index.unsqueeze(1) == torch.arange(3, device=self.device)).to(self.dtype)

    def payoff(self, context: Tensor, action: Tensor) -> Tensor:
        """1 or 0."""
        return context.gather(1, (action - self.params.start).unsqueeze(1)).squeeze(1)

    def optimal_action(self, obs: Any, mask: Tensor | None = None) -> Tensor:
        """The index."""
        return obs.argmax(1) + self.params.start


class ProbeMultiDiscrete(OneStepProbe):
    """The observation is two signs; of 3 and of 2 values, the first is right for -1, the last for 1.

    Each right component pays 1/2.
    """

    optimal_return = 1.0
    random_return = 0.5 / 3 + 0.5 / 2

    @property
    def observation_space(self) -> spaces.Box:
        """Two signs."""
        return spaces.Box(-1.0, 1.0, (2,), np.float32)

    @property
    def action_space(self) -> spaces.MultiDiscrete:
        """3 and 2 values."""
        return spaces.MultiDiscrete([3, 2])

    def draw_context(self, num: int, rng: torch.Generator) -> Tensor:
        """Two signs."""
        return signs((num, 2), rng, self)

    def payoff(self, context: Tensor, action: Tensor) -> Tensor:
        """The fraction of right components."""
        return (action == self._right(context)).to(self.dtype).mean(1)

    def _right(self, signs: Tensor) -> Tensor:
        return (signs > 0).long() * torch.arange(2, 0, -1, device=signs.device)

    def optimal_action(self, obs: Any, mask: Tensor | None = None) -> Tensor:
        """0 or the last value."""
        return self._right(obs)


class ProbeMultiBinary(OneStepProbe):
    """The observation is three signs; bit k should be 1 where sign k is 1. Each right bit pays 1/3."""

    optimal_return = 1.0
    random_return = 0.5

    @property
    def observation_space(self) -> spaces.Box:
        """Three signs."""
        return spaces.Box(-1.0, 1.0, (3,), np.float32)

    @property
    def action_space(self) -> spaces.MultiBinary:
        """Three bits."""
        return spaces.MultiBinary(3)

    def draw_context(self, num: int, rng: torch.Generator) -> Tensor:
        """Three signs."""
        return signs((num, 3), rng, self)

    def payoff(self, context: Tensor, action: Tensor) -> Tensor:
        """The fraction of right bits."""
        return (action == (context > 0)).to(self.dtype).mean(1)

    def optimal_action(self, obs: Any, mask: Tensor | None = None) -> Tensor:
        """The signs as bits."""
        return (obs > 0).long()


@dataclass(frozen=True)
class BoxParams:
    """Constants of ProbeBox."""

    low: float = -1.0
    """Lower bound of the actions."""
    high: float = 1.0
    """Upper bound; off-centre bounds test learners that forget to rescale."""

    def __post_init__(self) -> None:
        check_finite(self, "low", "high")
        if not self.low < self.high:
            raise ValueError(f"low={self.low!r} must be below high={self.high!r}.")


class ProbeBox(OneStepProbe):
    """The observation is two numbers in [-0.8, 0.8]; the action should be the same place in its box.

    Pays 1 - mean((place - observation)^2), where the place maps the clipped action from [low, high] to [-1,
    1].
    Arguments: `low`, `high`.
    """

    params_class = BoxParams
    params: BoxParams
    optimal_return = 1.0
    random_return = 1 - 1 / 3 - 0.8**2 / 3

    @property
    def observation_space(self) -> spaces.Box:
        """Two numbers."""
        return spaces.Box(-1.0, 1.0, (2,), np.float32)

    @property
    def action_space(self) -> spaces.Box:
        """Two numbers in [low, high]."""
        return spaces.Box(self.params.low, self.params.high, (2,), np.float32)

    def draw_context(self, num: int, rng: torch.Generator) -> Tensor:
        """Two numbers in [-0.8, 0.8]."""
        draws = torch.rand((num, 2), generator=rng, device=self.device, dtype=self.dtype)
        return draws.mul_(1.6).sub_(0.8)

    def payoff(self, context: Tensor, action: Tensor) -> Tensor:
        """At most 1."""
        p = self.params
        place = (action.clamp(p.low, p.high) - p.low) * (2 / (p.high - p.low)) - 1
        return (1 - (place - context).square().mean(1)).to(self.dtype)

    def optimal_action(self, obs: Any, mask: Tensor | None = None) -> Tensor:
        """The observation's place in the box."""
        p = self.params
        return p.low + (obs + 1) * ((p.high - p.low) / 2)


class ProbeMask(OneStepProbe):
    """The observation is 0; two of four actions, drawn anew, are allowed, and the larger of these pays 1.

    The smaller allowed one pays 0, a forbidden one -10. The mask, not the observation, tells which are
    allowed.
    """

    optimal_return = 1.0
    random_return = 0.5 * 0.5 - 0.5 * 10

    @property
    def action_space(self) -> spaces.Discrete:
        """Four actions."""
        return spaces.Discrete(4)

    def draw_context(self, num: int, rng: torch.Generator) -> Tensor:
        """The two allowed actions as ones among zeros."""
        keys = torch.rand((num, 4), generator=rng, device=self.device, dtype=self.dtype)
        return torch.zeros_like(keys).scatter_(1, keys.topk(2, dim=1).indices, 1.0)

    def observe(self, state: ProbeState) -> Tensor:
        """0."""
        return torch.zeros((state.context.shape[0], 1), device=state.context.device)

    def action_mask(self, state: ProbeState) -> Tensor:
        """The two allowed actions."""
        return state.context > 0.5

    def payoff(self, context: Tensor, action: Tensor) -> Tensor:
        """1, 0 or -10."""
        allowed = context.gather(1, action.unsqueeze(1)).squeeze(1) > 0.5
        best = (context * torch.arange(4, device=context.device)).argmax(1)
        return torch.where(allowed, (action == best).to(self.dtype), -10.0)

    def optimal_action(self, obs: Any, mask: Tensor | None = None) -> Tensor:
        """The largest allowed action."""
        if mask is None:
            raise ValueError("mask=None: the best action depends on the mask; pass info['action_mask'].")
        return (mask.long() * torch.arange(1, 5, device=mask.device)).argmax(1)
