"""What an algorithm hands to its `Agent` once it has built its networks: a value, with no further hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from rlsuite.core.normalize import ReturnNorm, RunningNorm

if TYPE_CHECKING:
    from rlsuite.core.distributions import Distribution
    from rlsuite.core.evaluate import Predictor
    from rlsuite.core.networks import ActorCritic
    from rlsuite.core.stateful import Stateful

__all__ = ["Brain", "Insides", "PolicyOutput", "actor_critic_insides", "sample_or_mode"]


class Distributes(Protocol):
    """A network that gives the distribution of actions."""

    def distribution(self, obs: Tensor, mask: Tensor | None = None) -> Distribution:
        """Distribution of actions at rows [N, O]; mask [N, A'] marks allowed actions."""


@dataclass(frozen=True)
class PolicyOutput:
    """Output of a policy network for N observations, differentiable in them; A action entries or choices."""

    mean: Tensor
    """Mean of the Gaussian (before a squash), deterministic action, or logits (Q values) of A choices, [N, A]."""
    std: Tensor | None
    """Standard deviation [N, A] of the Gaussian; None for choices and deterministic policies."""
    action: Tensor
    """Most probable action [N, A] in the environment's units, not clipped; the logits for choices."""
    box: tuple[Tensor, Tensor] | None = None
    """Low and high [A] of the box into which tanh squashes the Gaussian; None where nothing is squashed."""

    def to(self, device: torch.device) -> PolicyOutput:
        """Copy to a device."""
        std = None if self.std is None else self.std.to(device)
        box = None if self.box is None else (self.box[0].to(device), self.box[1].to(device))
        return PolicyOutput(self.mean.to(device), std, self.action.to(device), box)


@dataclass(frozen=True)
class Insides:
    """A policy's networks as attacks and certificates read them: differentiable functions of normalised rows [N, O]."""

    output: Callable[[Tensor], PolicyOutput]
    """Policy output at rows [N, O]."""
    value: Callable[[Tensor], Tensor]
    """State values [N] at rows [N, O], in the units of the rewards that were learned from."""
    q_value: Callable[[Tensor, Tensor], Tensor] | None = None
    """Action values [N] at rows [N, O] of actions [N, A] in the environment's units; None without such a network."""


@dataclass(frozen=True)
class Brain:
    """An algorithm's policy, and all that its `Agent` needs to act, save, load and change environments.

    Functions that it holds should be methods and `functools.partial`s, which `copy.deepcopy` copies with what they
    belong to; a closure would go on with the networks of the agent that was copied.
    """

    policy: nn.Module
    """The network that acts."""
    act: Callable[[Tensor, Tensor | None, bool], Tensor]
    """Function (rows [B, O] normalised, mask [B, A'] or None, deterministic) -> actions [B, ...] as sampled."""
    state: Callable[[], dict[str, Stateful]]
    """Everything a checkpoint holds, by name. Parts with a method `resize(num_envs)` are given a new number of
    environments; they raise ValueError where they cannot go on."""
    obs_norm: RunningNorm | None = None
    """Normaliser of observations; `predict` applies it, frozen."""
    return_norm: ReturnNorm | None = None
    """Normaliser of the rewards that are learned from; None leaves them as they are."""
    insides: Insides | None = None
    """The networks as attacks and certificates read them; None for policies whose networks cannot be read."""
    check_envs: Callable[[int], None] | None = None
    """Raises ValueError where the algorithm cannot learn in that number of environments; asked before any `resize`."""
    members: Callable[[], Sequence[Predictor]] | None = None
    """Function that gives the policies found so far, of an algorithm that finds a set; None for others."""


def sample_or_mode(
    policy: Distributes, generator: torch.Generator, rows: Tensor, mask: Tensor | None, deterministic: bool
) -> Tensor:
    """Actions [B, ...] of a policy with `distribution`; with its first two arguments bound, what `Brain.act` wants."""
    chosen = policy.distribution(rows, mask)
    return chosen.mode() if deterministic else chosen.sample(generator)


def actor_critic_insides(policy: ActorCritic) -> Insides | None:
    """`Insides` of an actor-critic; None where its actions are neither a Gaussian's nor one choice."""
    if policy.spec.kind not in ("gaussian", "categorical"):
        return None
    return Insides(partial(_actor_critic_output, policy), policy.values)


def _actor_critic_output(policy: ActorCritic, rows: Tensor) -> PolicyOutput:
    mean = policy.actor(rows)
    std = None if policy.log_std is None else policy.log_std.detach().exp().expand_as(mean)
    return PolicyOutput(mean, std, mean)
