"""P actor-critics of one shape, trained together: one matrix of parameters, one batched pass, one optimiser step.

What is true of one network is true of each row here: same initialisation, gradient, clipping and Adam as
`rlsuite.core.networks` and `rlsuite.core.optim` give to one alone (tests compare them). Environments are shared out in
blocks: policy p acts in environments p * E .. p * E + E - 1.

Letters: P policies, E environments of each, B = P * E, W parameters of one policy, n samples of each, O observation
numbers, A action numbers or choices, K objectives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rlsuite.core.actions import ActionSpec
from rlsuite.core.distributions import Distribution, distribution
from rlsuite.core.networks import ActorCritic, FlatParameters
from rlsuite.core.optim import check_norm
from rlsuite.core.types import Heads

__all__ = [
    "Population",
    "StackedAdam",
    "StackedBatch",
    "join_rows",
    "split_rows",
    "unflatten",
]


@dataclass(frozen=True)
class StackedBatch:
    """One rollout of each policy with its targets; tensors, or NumPy arrays for the NumPy kernel.

    obs [P, n, O], action [P, n, ...], log_prob [P, n], value [P, n, K] (old policy and critic), advantage [P, n] (of
    the scalar that the policy is to raise), return_ [P, n, K], mask [P, n, A'] or None.
    """

    obs: Any
    action: Any
    log_prob: Any
    value: Any
    advantage: Any
    return_: Any
    mask: Any = None

    def take(self, index: Any) -> StackedBatch:
        """Samples at `index` (a slice, or an index array) of every policy."""
        return self._map(lambda x: x[:, index])

    def numpy(self) -> StackedBatch:
        """This batch as NumPy views of its CPU tensors."""
        return self._map(lambda x: x.numpy() if isinstance(x, Tensor) else x)

    def _map(self, function: Callable[[Any], Any]) -> StackedBatch:
        return StackedBatch(*[None if x is None else function(x) for x in vars(self).values()])


def split_rows(x: Tensor, policies: int, num_envs: int) -> Tensor:
    """Rows by policy: x [T * B, ...], time first, becomes [P, T * E, ...] with `policies` P and `num_envs` B."""
    blocks = x.unflatten(0, (-1, policies, num_envs // policies))
    return blocks.transpose(0, 1).flatten(1, 2)


def join_rows(x: Tensor, policies: int, num_envs: int) -> Tensor:
    """The way back of `split_rows`: x [P, T * E, ...] becomes [T * B, ...]."""
    return x.unflatten(1, (-1, num_envs // policies)).transpose(0, 1).flatten(0, 2)


class Population:
    """Parameters of P actor-critics as one matrix [P, W], and their gradients as another.

    Args:
        template: a network of the common shape; its own parameters do not matter.
        size: P, at least 1.
    """

    def __init__(self, template: ActorCritic, size: int) -> None:
        self.template = template
        self.spec: ActionSpec = template.spec
        self.objectives = template.objectives
        self.device = next(template.parameters()).device
        self.shapes = {name: tuple(p.shape) for name, p in template.named_parameters()}
        self.width = sum(math.prod(shape) for shape in self.shapes.values())
        self.set_size(size)

    def set_size(self, size: int) -> None:
        """Go on with P = `size` policies, whose parameters are zero until they are set."""
        self.data = torch.zeros((size, self.width), device=self.device)
        self.grad = torch.zeros_like(self.data)
        self.parameters: dict[str, nn.Parameter] = {}  # views of `data`
        self.grads: dict[str, Tensor] = {}  # and of `grad`
        at = 0
        for name, shape in self.shapes.items():
            end = at + math.prod(shape)
            self.parameters[name] = nn.Parameter(self.data[:, at:end].unflatten(1, shape))
            self.grads[name] = self.grad[:, at:end].unflatten(1, shape)
            at = end

    @property
    def size(self) -> int:
        """P."""
        return len(self.data)

    def member(self, row: int) -> ActorCritic:
        """A network of its own with the parameters of policy `row`."""
        return unflatten(self.template, self.data[row])

    def state_dict(self) -> dict[str, Tensor]:
        """The matrix [P, W]."""
        return {"parameters": self.data.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take the matrix of a checkpoint, with its P.

        Raises:
            ValueError: networks of another shape.
        """
        saved = state["parameters"]
        if saved.ndim != 2 or saved.shape[1] != self.width or not len(saved):
            raise ValueError(f"parameters have shape {tuple(saved.shape)}, not [P, {self.width}]")
        self.set_size(len(saved))
        self.data.copy_(saved)

    # In torch: any device, any action space ---------------------------------------------------------------------

    def tower(self, name: str, x: Tensor) -> Tensor:
        """Output [P, n, out] of the part called `name` at x [P, n, in]."""
        module = getattr(self.template, name)
        layers: Iterable[nn.Module] = [module] if isinstance(module, nn.Linear) else module
        for i, layer in enumerate(layers):
            if not isinstance(layer, nn.Linear):
                x = layer(x)
                continue
            prefix = name if isinstance(module, nn.Linear) else f"{name}.{i}"
            weight, bias = self.parameters[f"{prefix}.weight"], self.parameters[f"{prefix}.bias"]
            x = torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))
        return x

    def distribution(self, obs: Tensor, mask: Tensor | None = None) -> Distribution:
        """Distribution of actions at obs [P, n, O]; mask [P, n, A'] marks allowed actions."""
        log_std = self.parameters.get("log_std")
        return distribution(
            self.spec, self.tower("actor", obs), None if log_std is None else log_std.unsqueeze(1), mask
        )

    def values(self, obs: Tensor) -> Tensor:
        """Values [P, n, K] (or [P, n], with one objective) at obs [P, n, O]."""
        values = self.tower("value", self.tower("critic", obs))
        return values.squeeze(-1) if self.objectives is None else values

    def heads(self, obs: Tensor, action: Tensor, mask: Tensor | None = None) -> Heads:
        """Log-probability and entropy [P, n] of the policies and values [P, n, K] of the critics."""
        policy = self.distribution(obs, mask)
        return Heads(policy.log_prob(action), policy.entropy().expand(obs.shape[:2]), self.values(obs))

    def backward(self, loss: Tensor) -> None:
        """Leave the gradient of a loss, which depends on every parameter, in `grad`."""
        found = torch.autograd.grad(loss, list(self.parameters.values()))
        for view, value in zip(self.grads.values(), found, strict=True):
            view.copy_(value)


def unflatten(template: ActorCritic, row: Tensor) -> ActorCritic:
    """A network like `template` with the parameters row [W], copied."""
    network = deepcopy(template)
    FlatParameters(network).data.copy_(row)
    return network


class StackedAdam:
    """Adam on each row of a population, each with its own gradient norm and clipping.

    Args:
        population: parameters and gradients [P, W].
        eps: added to the root of the second moment; 1e-5 as in Stable-Baselines3's policies.

    Source: Kingma and Ba 2015, algorithm 1.
    """

    def __init__(self, population: Population, *, eps: float = 1e-5, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        self.population = population
        self.eps = eps
        self.betas = betas
        self.restart()

    def restart(self) -> None:
        """Forget all moments, and take on the population's size."""
        data = self.population.data
        self.mean, self.square = torch.zeros_like(data), torch.zeros_like(data)
        self.steps = torch.zeros((), dtype=torch.float32, device=data.device)
        self._first, self._second = torch.empty_like(data), torch.empty_like(data)  # scratch

    def step(self, learning_rate: Tensor, max_grad_norm: float | None) -> Tensor:
        """Clip each row's gradient to `max_grad_norm` (L2) and apply it.

        Args:
            learning_rate: [P, 1].
            max_grad_norm: None leaves gradients as they are.

        Returns:
            The norms [P] before clipping.

        Raises:
            FloatingPointError: on a CPU, where looking costs nothing: a norm is NaN or infinite; nothing was applied.
        """
        grad = self.population.grad
        norm = torch.linalg.vector_norm(grad, dim=1, keepdim=True)
        if norm.device.type == "cpu":
            check_norm(norm.sum().item())
        if max_grad_norm is not None:
            grad.mul_((max_grad_norm / (norm + 1e-6)).clamp_(max=1.0))
        b1, b2 = self.betas
        self.steps += 1
        t, first, second = self.steps, self._first, self._second
        self.mean.mul_(b1).add_(grad, alpha=1 - b1)
        self.square.mul_(b2).addcmul_(grad, grad, value=1 - b2)
        torch.sqrt(self.square, out=second).mul_((1 - b2**t).rsqrt()).add_(self.eps)
        torch.div(self.mean, second, out=first).mul_(learning_rate / (1 - b1**t))
        self.population.data.sub_(first)
        return norm.squeeze(1)

    def state_dict(self) -> dict[str, Tensor]:
        """Moments [P, W] and step count (copies)."""
        return {"mean": self.mean.clone(), "square": self.square.clone(), "steps": self.steps.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave; the population comes first.

        Raises:
            ValueError: moments of another shape than the population's.
        """
        self.restart()
        for name, own in (("mean", self.mean), ("square", self.square), ("steps", self.steps)):
            if state[name].shape != own.shape:
                raise ValueError(
                    f"the optimiser's {name!r} has shape {tuple(state[name].shape)}, not {tuple(own.shape)}"
                )
            own.copy_(state[name])
