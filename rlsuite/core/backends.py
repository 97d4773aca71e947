"""Two interchangeable back ends of an `ActorCritic`: autograd, and the hand-written numpy kernel.

Both act during collection and both turn a minibatch into the gradient of a loss, left in the flat gradient
vector. An algorithm gives its loss twice: as a torch function of the heads (the reference), and as the
derivatives by the heads in numpy (a few lines); everything below the heads is here, once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch

from rlsuite.core.distributions import Distribution
from rlsuite.core.mlp_kernel import MlpKernel, supports
from rlsuite.core.networks import ActorCritic, FlatParameters
from rlsuite.core.types import HeadGrads, Heads, PolicyBatch

Loss = Callable[[Heads, PolicyBatch, float], tuple[torch.Tensor, dict[str, torch.Tensor]]]
LossGrad = Callable[[Heads, PolicyBatch, float], tuple[HeadGrads, dict[str, Any]]]
# Above this many numbers of a hidden layer's minibatch, arithmetic dominates and torch is as fast.
NUMPY_WORK_LIMIT = 1 << 18


class Policy(Protocol):
    """A policy network with a value function."""

    def distribution(self, obs: torch.Tensor, mask: torch.Tensor | None = None) -> Distribution:
        """Distribution of actions at rows [N, O]; mask [N, A'] marks allowed actions."""

    def values(self, obs: torch.Tensor) -> torch.Tensor:
        """Values [N]."""


class TorchActor:
    """The functions of a policy that collection needs, in torch: any device, any policy, no gradient."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    @torch.no_grad()
    def sample(self, obs: torch.Tensor, mask: torch.Tensor | None, generator: torch.Generator) -> torch.Tensor:
        """Actions [B, ...] for rows [B, O]."""
        return self.policy.distribution(obs, mask).sample(generator)

    @torch.no_grad()
    def log_prob(self, obs: torch.Tensor, action: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Log-probabilities [N]."""
        return self.policy.distribution(obs, mask).log_prob(action)

    @torch.no_grad()
    def values(self, obs: torch.Tensor) -> torch.Tensor:
        """Values [N]."""
        return self.policy.values(obs)


class TorchBackend(TorchActor):
    """Autograd; `compile` fuses forward, loss and backward with torch.compile."""

    name = "torch"
    policy: ActorCritic

    def __init__(self, policy: ActorCritic, flat: FlatParameters, loss: Loss, *, compile: bool = False) -> None:
        super().__init__(policy)
        self.flat = flat
        self.loss = loss
        mode = "reduce-overhead" if flat.data.is_cuda else "default"  # CUDA graphs: a small network's time is launches
        self._evaluate = torch.compile(self._loss_of, mode=mode) if compile else self._loss_of

    def prepare(self, batch: PolicyBatch) -> PolicyBatch:
        """The batch in this back end's arrays."""
        return batch

    def _loss_of(self, batch: PolicyBatch, clip_range: float) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return self.loss(self.policy.heads(batch.obs, batch.action, batch.mask), batch, clip_range)

    def gradient(self, batch: PolicyBatch, clip_range: float) -> dict[str, torch.Tensor]:
        """Leave the loss's gradient in the flat vector; return the loss's metrics (on the device, not waited for)."""
        self.flat.zero_grad()
        loss, metrics = self._evaluate(batch, clip_range)
        loss.backward()
        # a CUDA graph's outputs are overwritten by its next replay, so the metrics must be copies
        return {name: value.detach().clone() for name, value in metrics.items()}


class NumpyBackend:
    """The hand-written kernel; CPU, tanh or ReLU networks, Box and Discrete actions."""

    name = "numpy"

    def __init__(self, policy: ActorCritic, flat: FlatParameters, loss_grad: LossGrad) -> None:
        self.kernel = MlpKernel(policy, flat)
        self.loss_grad = loss_grad
        self.log_std = None if policy.log_std is None else policy.log_std.detach().numpy()

    def sample(self, obs: torch.Tensor, mask: torch.Tensor | None, generator: torch.Generator) -> torch.Tensor:
        """Actions [B, ...] for rows [B, O]."""
        params = self.kernel.params(obs.numpy())
        if self.log_std is not None:
            noise = torch.randn(params.shape, generator=generator)
            action = noise.numpy()
            action *= np.exp(self.log_std)
            action += params
            return noise
        if mask is not None:
            params = np.where(mask.numpy(), params, np.float32(-1e8))
        # Gumbel-max: the same distribution as sampling from the softmax, in one pass
        uniform = torch.rand(params.shape, generator=generator).numpy()
        gumbel = -np.log(-np.log(uniform + 1e-20) + 1e-20)
        return torch.from_numpy((params + gumbel).argmax(axis=1))

    def log_prob(self, obs: torch.Tensor, action: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Log-probabilities [N]."""
        rows = self.kernel.log_prob(obs.numpy(), action.numpy(), None if mask is None else mask.numpy())[0]
        return torch.from_numpy(rows)

    def values(self, obs: torch.Tensor) -> torch.Tensor:
        """Values [N]."""
        return torch.from_numpy(self.kernel.values(obs.numpy()))

    def prepare(self, batch: PolicyBatch) -> PolicyBatch:
        """The batch as numpy views."""
        return batch.numpy()

    def gradient(self, batch: PolicyBatch, clip_range: float) -> dict[str, Any]:
        """Leave the loss's gradient in the flat vector; return the loss's metrics."""
        heads = self.kernel.heads(batch.obs, batch.action, batch.mask)
        grads, metrics = self.loss_grad(heads, batch, clip_range)
        self.kernel.backward(grads)
        return metrics


Backend = TorchBackend | NumpyBackend


def make_backend(
    name: str,
    policy: ActorCritic,
    flat: FlatParameters,
    loss: Loss,
    loss_grad: LossGrad,
    *,
    batch_size: int,
    compile: bool = False,
) -> Backend:
    """The back end called `name`: "torch", "numpy", or "auto" (numpy where it is covered and faster).

    Raises:
        ValueError: unknown name, or numpy asked for a policy that it does not cover.
    """
    if name not in ("auto", "torch", "numpy"):
        raise ValueError(f"backend {name!r} is unknown; choose 'auto', 'torch' or 'numpy'")
    if name == "auto":
        widest = max(parameter.shape[0] for parameter in policy.parameters())
        small = batch_size * widest <= NUMPY_WORK_LIMIT
        name = "numpy" if small and not compile and supports(policy) else "torch"
    if name == "numpy":
        return NumpyBackend(policy, flat, loss_grad)
    return TorchBackend(policy, flat, loss, compile=compile)
