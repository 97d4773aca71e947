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

import numpy as np
import torch
from torch import Tensor, nn

from rlsuite.core.actions import ActionSpec
from rlsuite.core.distributions import Distribution, distribution
from rlsuite.core.mlp_kernel import LOG_2PI, MASKED_LOGIT
from rlsuite.core.networks import ActorCritic, FlatParameters
from rlsuite.core.optim import check_norm
from rlsuite.core.types import HeadGrads, Heads

__all__ = [
    "Population",
    "PopulationActor",
    "StackedAdam",
    "StackedBatch",
    "StackedKernel",
    "join_rows",
    "split_rows",
    "unflatten",
]

F32 = np.ndarray


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


class _Tower:
    """One multi-layer perceptron of each of P policies in NumPy, on views of the population's matrices."""

    def __init__(self, population: Population, name: str) -> None:
        module = getattr(population.template, name)
        single = isinstance(module, nn.Linear)
        prefixes = [name] if single else [f"{name}.{i}" for i, m in enumerate(module) if isinstance(m, nn.Linear)]
        found = population.parameters
        weights, biases = ([found[f"{p}.{kind}"] for p in prefixes] for kind in ("weight", "bias"))
        self.weight = [w.detach().numpy() for w in weights]  # [P, out, in]
        self.weight_t = [w.swapaxes(1, 2) for w in self.weight]
        self.bias = [b.detach().numpy()[:, None] for b in biases]  # [P, 1, out]
        self.grad_w = [population.grads[f"{p}.weight"].numpy() for p in prefixes]
        self.grad_b = [population.grads[f"{p}.bias"].numpy()[:, None] for p in prefixes]
        self.linear_out = single or len(module) == 0 or isinstance(module[-1], nn.Linear)
        self.relu = population.template.activation == "relu"
        self.buffers: dict[int, list[tuple[F32, F32, F32]]] = {}
        self.inputs: list[F32] = []

    def _buffers(self, n: int) -> list[tuple[F32, F32, F32]]:
        """Per layer output, gradient of the pre-activation and scratch, [P, n, out] each; kept per batch size."""
        if n not in self.buffers:
            shapes = [(len(w), n, w.shape[1]) for w in self.weight]
            self.buffers[n] = [tuple(np.empty(s, np.float32) for _ in range(3)) for s in shapes]  # type: ignore[misc]
        return self.buffers[n]

    def forward(self, x: F32) -> F32:
        """Outputs [P, n, out] at x [P, n, in]; a view of a buffer that the next forward of that n overwrites."""
        self.inputs = [x]
        buffers, last = self._buffers(x.shape[1]), len(self.weight) - 1
        for i, (weight, bias) in enumerate(zip(self.weight_t, self.bias, strict=True)):
            out = buffers[i][0]
            np.matmul(x, weight, out=out)
            out += bias
            if i < last or not self.linear_out:
                if self.relu:
                    np.maximum(out, 0.0, out=out)
                else:
                    np.tanh(out, out=out)
            x = out
            self.inputs.append(x)
        return x

    def backward(self, d_out: F32, *, input_grad: bool = False) -> F32 | None:
        """Write parameter gradients (overwriting), given d_out [P, n, out]; the gradient by the input if asked."""
        buffers, last = self._buffers(d_out.shape[1]), len(self.weight) - 1
        for i in range(last, -1, -1):
            out, d_pre, scratch = buffers[i]
            if i == last and self.linear_out:
                d_pre = d_out
            elif self.relu:
                np.multiply(d_out, np.greater(out, 0.0), out=d_pre)
            else:  # d tanh = 1 - tanh^2
                np.multiply(out, out, out=scratch)
                np.subtract(1.0, scratch, out=scratch)
                np.multiply(d_out, scratch, out=d_pre)
            np.matmul(d_pre.swapaxes(1, 2), self.inputs[i], out=self.grad_w[i])
            np.add.reduce(d_pre, axis=1, keepdims=True, out=self.grad_b[i])
            if i > 0:
                d_out = np.matmul(d_pre, self.weight[i], out=buffers[i - 1][1])
            elif input_grad:
                return np.matmul(d_pre, self.weight[0])
        return d_out if input_grad else None


class StackedKernel:
    """Heads of a `Population` and their gradients, in NumPy.

    Covered: CPU, tanh or ReLU, Box and Discrete actions (with masks).

    Args:
        population: the networks; its matrices are read and written in place.
    """

    def __init__(self, population: Population) -> None:
        self.actor, self.critic, self.value = (_Tower(population, name) for name in ("actor", "critic", "value"))
        self.gaussian = population.spec.kind == "gaussian"
        if self.gaussian:
            log_std = population.parameters["log_std"]
            self.log_std = log_std.detach().numpy()  # [P, A]
            self.grad_log_std = population.grads["log_std"].numpy()

    @staticmethod
    def supports(population: Population) -> bool:
        """Whether the kernel covers these networks."""
        kind, activation = population.spec.kind, population.template.activation
        return (
            population.device.type == "cpu" and activation in ("tanh", "relu") and kind in ("gaussian", "categorical")
        )

    def params(self, obs: F32) -> F32:
        """Distribution parameters (means or logits) [P, n, A] at obs [P, n, O]."""
        return self.actor.forward(obs)

    def values(self, obs: F32) -> F32:
        """Values [P, n, K] (a copy)."""
        return self.value.forward(self.critic.forward(obs)).copy()

    def heads(self, obs: F32, action: F32, mask: F32 | None = None) -> Heads:
        """`Population.heads` in NumPy; keeps the activations for `backward`. The next call overwrites the arrays."""
        log_prob, entropy = self.log_prob(obs, action, mask)
        return Heads(log_prob, entropy, self.value.forward(self.critic.forward(obs)))

    def log_prob(self, obs: F32, action: F32, mask: F32 | None = None) -> tuple[F32, F32]:
        """Log-probabilities [P, n] and entropies ([P, 1] for Gaussians, [P, n] else)."""
        out = self.actor.forward(obs)
        if self.gaussian:
            self.inv_std = np.exp(-self.log_std)[:, None]
            self.z = (action - out) * self.inv_std
            total = self.log_std.sum(1, keepdims=True)
            size = self.log_std.shape[1]
            log_prob = np.einsum("pna,pna->pn", self.z, self.z)
            log_prob *= -0.5
            log_prob -= total + 0.5 * LOG_2PI * size
            return log_prob, (total + 0.5 * (1 + LOG_2PI) * size).astype(np.float32)
        if mask is not None:
            out = np.where(mask, out, np.float32(MASKED_LOGIT))
        log_p = out - out.max(axis=2, keepdims=True)
        log_p -= np.log(np.exp(log_p).sum(axis=2, keepdims=True))
        self.log_p, self.p, self.chosen = log_p, np.exp(log_p), action[..., None]
        self.entropy = -np.einsum("pna,pna->pn", self.p, log_p)
        return np.take_along_axis(log_p, self.chosen, 2)[..., 0], self.entropy

    def backward(self, grads: HeadGrads) -> None:
        """Fill the population's gradient, given derivatives by the heads of the last `heads`.

        log_prob and value are [P, n] and [P, n, K]; entropy is one number for all.
        """
        d_log_prob = grads.log_prob[..., None]
        if self.gaussian:
            d_out = d_log_prob * self.z
            np.einsum("pna,pna->pa", d_out, self.z, out=self.grad_log_std)
            self.grad_log_std -= grads.log_prob.sum(1, keepdims=True)
            self.grad_log_std += grads.entropy * grads.log_prob.shape[1]
            d_out *= self.inv_std
        else:
            d_out = -d_log_prob * self.p
            np.put_along_axis(d_out, self.chosen, np.take_along_axis(d_out, self.chosen, 2) + d_log_prob, 2)
            if grads.entropy:
                d_out -= grads.entropy * self.p * (self.log_p + self.entropy[..., None])
        self.actor.backward(d_out)
        d_latent = self.value.backward(grads.value, input_grad=True)
        assert d_latent is not None  # input_grad asked for it
        self.critic.backward(d_latent)


class PopulationActor:
    """P policies as one actor for `rlsuite.core.collect`: each acts in its own block of E environments.

    Args:
        population: the policies.
        num_envs: B = P * E.
        kernel: the NumPy kernel of all of them, or None for torch.
    """

    together = True

    def __init__(self, population: Population, num_envs: int, kernel: StackedKernel | None) -> None:
        self.population = population
        self.num_envs = num_envs
        self.kernel = kernel

    def _split(self, x: Tensor) -> Tensor:
        return split_rows(x, self.population.size, self.num_envs)

    def _join(self, x: Tensor) -> Tensor:
        return join_rows(x, self.population.size, self.num_envs)

    @torch.no_grad()
    def act(self, obs: Tensor, mask: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """Actions [B, ...] at rows [B, O]: samples, or the policies' modes without a generator."""
        rows = self._split(obs)
        allowed = None if mask is None else self._split(mask)
        if self.kernel is None:
            chosen = self.population.distribution(rows, allowed)
        else:
            params = torch.from_numpy(self.kernel.params(np.ascontiguousarray(rows.numpy())))
            log_std = torch.from_numpy(self.kernel.log_std)[:, None] if self.kernel.gaussian else None
            chosen = distribution(self.population.spec, params, log_std, allowed)
        return self._join(chosen.mode().clone() if generator is None else chosen.sample(generator))

    def sample(self, obs: Tensor, mask: Tensor | None, generator: torch.Generator) -> Tensor:
        """Actions [B, ...] at rows [B, O]."""
        return self.act(obs, mask, generator)

    @torch.no_grad()
    def log_prob(self, obs: Tensor, action: Tensor, mask: Tensor | None) -> Tensor:
        """Log-probabilities [N] of actions [N, ...] at rows [N, O]."""
        rows, taken = self._split(obs), self._split(action)
        allowed = None if mask is None else self._split(mask)
        if self.kernel is None:
            return self._join(self.population.distribution(rows, allowed).log_prob(taken))
        given = None if allowed is None else allowed.numpy()
        return self._join(torch.from_numpy(self.kernel.log_prob(rows.numpy(), taken.numpy(), given)[0]))

    @torch.no_grad()
    def values(self, obs: Tensor) -> Tensor:
        """Values [N, K] at rows [N, O]."""
        rows = self._split(obs)
        found = (
            self.population.values(rows) if self.kernel is None else torch.from_numpy(self.kernel.values(rows.numpy()))
        )
        return self._join(found)


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
