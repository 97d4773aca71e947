"""What the probes share: a context drawn at the start, one step, a known value."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.kernel import Kernel, Observation

__all__ = ["OneStepProbe", "Probe", "ProbeParams", "ProbeState", "signs"]


@dataclass(frozen=True)
class ProbeParams:
    """A probe without constants."""


@dataclass(frozen=True)
class ProbeState:
    """The state of a probe."""

    context: Tensor
    """Numbers drawn for the episode, from which rewards and observations follow, [B, C] float."""
    time: Tensor
    """Steps done, [B] int64."""


class Probe(Kernel[ProbeState, ProbeState, None]):
    """A tiny problem with known answers.

    `optimal_return` and `random_return` are the expected undiscounted returns of the best policy and of a
    uniformly random one; `optimal_action` and `true_value` give the best policy and its discounted value.
    """

    params_class: ClassVar[type] = ProbeParams
    optimal_return: ClassVar[float]
    random_return: ClassVar[float]

    @property
    def observation_space(self) -> spaces.Space[Any]:
        """The context, in [-1, 1]."""
        return spaces.Box(-1.0, 1.0, (1,), dtype=np.float32)

    @property
    def action_space(self) -> spaces.Space[Any]:
        """Two actions."""
        return spaces.Discrete(2)

    def initial_state(self, num: int, rng: torch.Generator) -> ProbeState:
        """A drawn context, no step done."""
        time = torch.zeros(num, dtype=torch.int64, device=self.device)
        return ProbeState(self.draw_context(num, rng), time)

    def draw_context(self, num: int, rng: torch.Generator) -> Tensor:
        """Contexts of new episodes, [num, C]; zeros unless a probe says otherwise."""
        return torch.zeros((num, 1), device=self.device, dtype=self.dtype)

    def observe(self, state: ProbeState) -> Observation:
        """The context, float32."""
        return state.context.to(torch.float32, copy=True)

    def observe_post(self, post_state: ProbeState) -> Observation:
        """Observation of the post-decision state, by `observe`."""
        return self.observe(post_state)

    @abstractmethod
    def true_value(self, obs: Any, gamma: float) -> Tensor:
        """The best policy's discounted value [B] of observations, as `observe` returns them."""

    def optimal_action(self, obs: Any, mask: Tensor | None = None) -> Tensor:
        """A best action [B, *action_shape] for each observation; here every action is as good as any."""
        leaf = next(iter(obs.values())) if isinstance(obs, dict) else obs
        return torch.zeros(leaf.shape[0], dtype=torch.int64, device=leaf.device)


class OneStepProbe(Probe):
    """A probe whose episodes end after one step, paying by context and action."""

    @property
    def max_episode_steps(self) -> int:
        """One step."""
        return 1

    @abstractmethod
    def payoff(self, context: Tensor, action: Tensor) -> Tensor:
        """Reward [B] of an action [B, *action_shape] in a context [B, C]."""

    def post_decision(self, state: ProbeState, action: Tensor) -> tuple[ProbeState, Tensor]:
        """The payoff, in an unchanged state."""
        return ProbeState(state.context, state.time + 1), self.payoff(state.context, action)

    def transition(self, post_state: ProbeState, noise: None) -> tuple[ProbeState, None, Tensor]:
        """The end."""
        return post_state, None, torch.ones_like(post_state.time, dtype=torch.bool)

    def true_value(self, obs: Any, gamma: float) -> Tensor:
        """The best payoff, the same in every context unless a probe says otherwise."""
        leaf = next(iter(obs.values())) if isinstance(obs, dict) else obs
        return torch.full((leaf.shape[0],), self.optimal_return, dtype=torch.float32, device=leaf.device)


def signs(shape: tuple[int, ...], rng: torch.Generator, like: Probe) -> Tensor:
    """Independent -1 or 1 with equal probability, on the probe's device."""
    draws = torch.randint(0, 2, shape, generator=rng, device=like.device)
    return draws.to(like.dtype).mul_(2).sub_(1)
