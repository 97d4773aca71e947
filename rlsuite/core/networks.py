"""Actor and critic networks, and all their parameters as one vector.

One vector (`FlatParameters`) makes the global gradient norm one reduction and Adam one call, and lets the
numpy back end share the memory of the torch modules.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from rlsuite.core.distributions import ActionSpec, Distribution, distribution
from rlsuite.core.types import Heads

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "elu": nn.ELU, "gelu": nn.GELU}


def mlp(
    in_size: int,
    hidden: Sequence[int],
    out_size: int | None,
    activation: str,
    *,
    hidden_gain: float = 2**0.5,
    out_gain: float = 1.0,
    ortho_init: bool = True,
) -> nn.Sequential:
    """A multi-layer perceptron; without `out_size` it ends at its last hidden activation (a trunk).

    Orthogonal weights with the given gains and zero biases, as Stable-Baselines3's; `ortho_init=False` keeps torch's.

    Raises:
        ValueError: unknown activation, or a layer without units.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation {activation!r} is unknown; choose one of {sorted(ACTIVATIONS)}")
    if any(size < 1 for size in hidden):
        raise ValueError(f"net_arch {tuple(hidden)} has a layer without units; every size must be at least 1")
    layers: list[nn.Module] = []
    size = in_size
    for width in hidden:
        layers += [_linear(size, width, hidden_gain, ortho_init), ACTIVATIONS[activation]()]
        size = width
    if out_size is not None:
        layers.append(_linear(size, out_size, out_gain, ortho_init))
    return nn.Sequential(*layers)


def _linear(in_size: int, out_size: int, gain: float, ortho_init: bool) -> nn.Linear:
    layer = nn.Linear(in_size, out_size)
    if ortho_init:
        nn.init.orthogonal_(layer.weight, gain)
        nn.init.zeros_(layer.bias)
    return layer


class ActorCritic(nn.Module):
    """Separate actor and critic; optionally a second critic head, the median critic of BPO.

    objectives: K, for a value per objective (values are then [N, K]); None for one.
    median: None, "stacked" (an MLP on the critic's trunk, whose gradient reaches the trunk) or "separate".
    Observations are rows [N, O] as the normaliser left them.
    """

    log_std: nn.Parameter | None

    def __init__(
        self,
        obs_size: int,
        spec: ActionSpec,
        *,
        net_arch: Sequence[int] = (64, 64),
        activation: str = "tanh",
        log_std_init: float = 0.0,
        ortho_init: bool = True,
        median: str | None = None,
        objectives: int | None = None,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.objectives = objectives
        self.activation = activation
        self.actor = mlp(obs_size, net_arch, spec.num_params, activation, out_gain=0.01, ortho_init=ortho_init)
        self.critic = mlp(obs_size, net_arch, None, activation, ortho_init=ortho_init)
        latent = net_arch[-1] if net_arch else obs_size
        self.value = _linear(latent, objectives or 1, 1.0, ortho_init)
        self.median: nn.Sequential | None = None
        if median is not None:
            source = {"stacked": latent, "separate": obs_size}[median]
            gain = 1.0 if median == "stacked" else 2**0.5
            self.median = mlp(source, net_arch, 1, activation, hidden_gain=gain, ortho_init=ortho_init)
        self.median_stacked = median == "stacked"
        gaussian = spec.kind == "gaussian"
        self.log_std = nn.Parameter(torch.full((spec.num_params,), float(log_std_init))) if gaussian else None

    def distribution(self, obs: torch.Tensor, mask: torch.Tensor | None = None) -> Distribution:
        """The action distribution at obs [N, O]; mask [N, A'] marks allowed actions."""
        return distribution(self.spec, self.actor(obs), self.log_std, mask)

    def values(self, obs: torch.Tensor) -> torch.Tensor:
        """State values [N], or [N, K]."""
        return self._value(self.critic(obs))

    def _value(self, latent: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = self.value(latent)
        return value.squeeze(-1) if self.objectives is None else value

    def heads(self, obs: torch.Tensor, action: torch.Tensor, mask: torch.Tensor | None = None) -> Heads:
        """Log-probability and entropy of the policy [N] and the outputs of the critics, [N] (values [N, K])."""
        policy = self.distribution(obs, mask)
        latent = self.critic(obs)
        median = None
        if self.median is not None:
            median = self.median(latent if self.median_stacked else obs).squeeze(-1)
        return Heads(policy.log_prob(action), policy.entropy(), self._value(latent), median)


class FlatParameters:
    """All parameters of a module as views into one vector, and their gradients into another.

    After construction `data` [M] and `grad` [M] are the truth; the module's parameters are views of them, so
    an in-place change of either is seen by both.
    """

    def __init__(self, module: nn.Module) -> None:
        parameters = list(module.parameters())
        self.data = torch.cat([p.detach().reshape(-1) for p in parameters])
        self.grad = torch.zeros_like(self.data)
        self.slices: dict[str, slice] = {}
        offset = 0
        for name, parameter in module.named_parameters():
            end = offset + parameter.numel()
            self.slices[name] = slice(offset, end)
            parameter.data = self.data[offset:end].view_as(parameter)
            parameter.grad = self.grad[offset:end].view_as(parameter)
            offset = end

    def zero_grad(self) -> None:
        """Set the gradient to zero in place (the views must survive, so never set it to None)."""
        self.grad.zero_()
