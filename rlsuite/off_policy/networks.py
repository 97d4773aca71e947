"""Networks of soft actor-critics: a squashed Gaussian actor and twin critics as one batch of matrices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import nn

from rlsuite.core.brain import Insides, PolicyOutput
from rlsuite.core.distributions import SquashedGaussian
from rlsuite.core.networks import ACTIVATIONS, mlp

LOG_STD_RANGE = (-20.0, 2.0)


class NetworkConfig(Protocol):
    """The fields that the networks read."""

    @property
    def net_arch(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def activation(self) -> str: ...  # noqa: D102


class Actor(nn.Module):
    """Squashed Gaussian policy whose mean and log-std come from one network."""

    def __init__(self, obs_size: int, action_size: int, config: NetworkConfig) -> None:
        super().__init__()
        self.net = mlp(obs_size, config.net_arch, 2 * action_size, config.activation, ortho_init=False)

    def forward(self, obs: torch.Tensor) -> SquashedGaussian:
        """The distribution over actions in (-1, 1)^A at obs [N, O]."""
        mean, log_std = self.net(obs).chunk(2, dim=-1)
        return SquashedGaussian(mean, log_std.clamp(*LOG_STD_RANGE))


class SplitActor(nn.Module):
    """Squashed Gaussian policy with a network for the mean and another for the log-std (MushroomRL's form)."""

    def __init__(self, obs_size: int, action_size: int, config: NetworkConfig) -> None:
        super().__init__()
        self.mean, self.log_std = (
            mlp(obs_size, config.net_arch, action_size, config.activation, ortho_init=False) for _ in range(2)
        )

    def forward(self, obs: torch.Tensor) -> SquashedGaussian:
        """The distribution over actions in (-1, 1)^A at obs [N, O]."""
        return SquashedGaussian(self.mean(obs), self.log_std(obs).clamp(*LOG_STD_RANGE))


class TwinCritic(nn.Module):
    """Two action-value networks, evaluated as one batch of matrices."""

    def __init__(self, obs_size: int, action_size: int, config: NetworkConfig) -> None:
        super().__init__()
        sizes = (obs_size + action_size, *config.net_arch, 1)
        # in place: half a megabyte per layer that no gradient needs a second time
        self.relu = config.activation == "relu"
        self.activation = nn.ReLU(inplace=True) if self.relu else ACTIVATIONS[config.activation]()
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for fan_in, fan_out in pairwise(sizes):
            bound = fan_in**-0.5  # nn.Linear's own initialisation, for both critics
            self.weights.append(nn.Parameter(torch.empty(2, fan_in, fan_out).uniform_(-bound, bound)))
            self.biases.append(nn.Parameter(torch.empty(2, 1, fan_out).uniform_(-bound, bound)))

    def forward(self, obs: torch.Tensor, action: torch.Tensor, *, frozen: bool = False) -> torch.Tensor:
        """Values [2, N] of actions [N, A] at obs [N, O]; `frozen` gives no gradient to the weights."""
        x = torch.cat([obs, action], dim=-1).expand(2, -1, -1)
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias.detach() if frozen else bias, x, weight.detach() if frozen else weight)
            if i < last:
                x = self.activation(x)
        return x.squeeze(-1)


def soft_insides(
    actor: Actor | SplitActor,
    critic: TwinCritic,
    box: tuple[torch.Tensor, torch.Tensor],
    extend: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> Insides:
    """`Insides` of a squashed Gaussian actor and its twin critics.

    Args:
        actor: maps rows to the distribution.
        critic: values of rows and actions in (-1, 1)^A.
        box: low and high [A] of the environment's actions.
        extend: what the networks are given for rows [N, O]; None is the rows.
    """
    said = _Soft(actor, critic, box, extend)
    return Insides(said.output, said.value, said.q_value)


@dataclass(frozen=True)
class _Soft:
    actor: Actor | SplitActor
    critic: TwinCritic
    box: tuple[torch.Tensor, torch.Tensor]
    extend: Callable[[torch.Tensor], torch.Tensor] | None

    def output(self, rows: torch.Tensor) -> PolicyOutput:
        low, high = self.box
        base = self.actor(rows if self.extend is None else self.extend(rows)).base
        return PolicyOutput(base.mean, base.log_std.exp(), low + 0.5 * (base.mean.tanh() + 1) * (high - low), self.box)

    def q_value(self, rows: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        low, high = self.box
        inside = 2 * (action.to(low) - low) / (high - low) - 1
        return self.critic(rows if self.extend is None else self.extend(rows), inside, frozen=True).min(dim=0).values

    def value(self, rows: torch.Tensor) -> torch.Tensor:
        return self.q_value(rows, self.output(rows).action)


def xavier_uniform_(network: nn.Module) -> None:
    """Xavier-uniform weights, gain sqrt 2 but 1 in output layers, in place; biases keep torch's own.

    Source: the release of QARL (`agents/deep_rl/setup_sac_agent.py`).
    """
    with torch.no_grad():
        if isinstance(network, TwinCritic):
            for i, weight in enumerate(network.weights):  # [2, in, out]
                gain = 1.0 if i == len(network.weights) - 1 else 2**0.5
                weight.uniform_(-1, 1).mul_(gain * (6.0 / (weight.shape[1] + weight.shape[2])) ** 0.5)
            return
        for part in network.children():
            layers = [layer for layer in part.modules() if isinstance(layer, nn.Linear)]
            for layer in layers:
                nn.init.xavier_uniform_(layer.weight, 1.0 if layer is layers[-1] else 2**0.5)
