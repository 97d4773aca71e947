"""What a policy's network says about observations, as attacks read it.

Shapes: N samples, O observation entries, A action entries or choices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rlsuite.core.networks import ActorCritic

__all__ = ["Heads", "of_actor_critic"]


@dataclass(frozen=True)
class Heads:
    """What a policy's network says about N observations, differentiable in them."""

    mean: Tensor
    """[N, A] mean of the Gaussian (before a squash), deterministic action, or logits (Q values) of A choices."""
    std: Tensor | None
    """[N, A] standard deviation of the Gaussian; None for choices and deterministic policies."""
    action: Tensor
    """[N, A] the action of the policy's mode in the environment's units, not clipped; the logits for choices."""
    box: tuple[Tensor, Tensor] | None = None
    """Low and high [A] of the box into which tanh squashes the Gaussian; None where nothing is squashed."""

    def to(self, device: torch.device) -> Heads:
        """The same on a device."""
        std = None if self.std is None else self.std.to(device)
        box = None if self.box is None else (self.box[0].to(device), self.box[1].to(device))
        return Heads(self.mean.to(device), std, self.action.to(device), box)


def of_actor_critic(
    policy: ActorCritic, inputs: Callable[[Tensor], Tensor]
) -> tuple[Callable[[Tensor], Heads], Callable[[Tensor], Tensor]]:
    """Heads and value of a policy whose network takes `inputs` of raw observations."""

    def heads(obs: Tensor) -> Heads:
        mean = policy.actor(inputs(obs))
        std = None if policy.log_std is None else policy.log_std.detach().exp().expand_as(mean)
        return Heads(mean, std, mean)

    return heads, lambda obs: policy.values(inputs(obs))
