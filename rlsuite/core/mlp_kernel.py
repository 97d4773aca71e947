"""The hand-written back end: forward and backward of `ActorCritic` in numpy, on the torch module's own memory.

For small networks on a CPU the cost of an update is dispatch, not arithmetic: some sixty numpy calls of about a
microsecond each replace several hundred torch operations. The same interface as autograd (`rlsuite.core.backends`),
gradients equal to 1e-5 (tests/core/test_mlp_kernel.py). Covered: any number of tanh or ReLU layers, Box and
Discrete actions (with masks), a value head for one objective and an optional median head; everything else uses torch.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from rlsuite.core.networks import ActorCritic, FlatParameters
from rlsuite.core.types import HeadGrads, Heads

F32 = np.ndarray
LOG_2PI = float(np.log(2 * np.pi))
MASKED_LOGIT = -1e8


def supports(policy: nn.Module) -> bool:
    """Whether the numpy back end can run this policy; the reasons are in the module docstring."""
    return (
        isinstance(policy, ActorCritic)
        and policy.objectives is None
        and policy.activation in ("tanh", "relu")
        and policy.spec.kind in ("gaussian", "categorical")
        and next(policy.parameters()).device.type == "cpu"
        and next(policy.parameters()).dtype == torch.float32
    )


class Tower:
    """One multi-layer perceptron over views of the flat vectors: forward keeps what backward needs.

    With a leading axis of P in the arrays of `layers` it is one of each of P networks; all that follows then has it.

    Args:
        module: `nn.Sequential` of Linear and activation layers (`rlsuite.core.networks.mlp`), or one Linear layer.
        activation: "tanh" or "relu".
        layers: of each Linear layer weight [out, in], bias [out], and the gradients of both; None takes the module's.
    """

    def __init__(
        self, module: nn.Sequential | nn.Linear, activation: str, layers: list[tuple[F32, F32, F32, F32]] | None = None
    ) -> None:
        self.linear_out = isinstance(module, nn.Linear) or len(module) == 0 or isinstance(module[-1], nn.Linear)
        self.relu = activation == "relu"
        if layers is None:
            linears = [module] if isinstance(module, nn.Linear) else [m for m in module if isinstance(m, nn.Linear)]
            layers = [
                (m.weight.detach().numpy(), m.bias.detach().numpy(), grad_of(m.weight), grad_of(m.bias))
                for m in linears
            ]
        self.weight = [weight for weight, _, _, _ in layers]
        self.weight_t = [w.swapaxes(-1, -2) for w in self.weight]
        self.bias = [bias[..., None, :] for _, bias, _, _ in layers]
        self.grad_w = [grad for _, _, grad, _ in layers]
        self.grad_b = [grad for _, _, _, grad in layers]
        self.buffers: dict[int, list[tuple[F32, F32, F32]]] = {}
        self.inputs: list[F32] = []
        self.ones: dict[int, F32] = {}

    def _buffers(self, n: int) -> list[tuple[F32, F32, F32]]:
        """Per layer output, gradient of the pre-activation and scratch, [n, out] each; kept per batch size."""
        if n not in self.buffers:
            shapes = [(*w.shape[:-2], n, w.shape[-2]) for w in self.weight]
            self.buffers[n] = [tuple(np.empty(s, np.float32) for _ in range(3)) for s in shapes]  # type: ignore[misc]
            self.ones[n] = np.ones(n, np.float32)
        return self.buffers[n]

    def forward(self, x: F32) -> F32:
        """Outputs [n, out] for rows x [n, in]; a view of a buffer that the next forward of that n overwrites."""
        self.inputs = [x]
        buffers = self._buffers(x.shape[-2])
        last = len(self.weight) - 1
        for i, (w, b) in enumerate(zip(self.weight_t, self.bias, strict=True)):
            out = buffers[i][0]
            np.matmul(x, w, out=out)
            out += b
            if i < last or not self.linear_out:
                if self.relu:
                    np.maximum(out, 0.0, out=out)
                else:
                    np.tanh(out, out=out)
            x = out
            self.inputs.append(x)
        return x

    def backward(self, d_out: F32, *, input_grad: bool = False) -> F32 | None:
        """Write parameter gradients (overwriting); return the gradient by the input if asked.

        d_out [n, out] is the gradient by the output; it is not kept.
        """
        n = d_out.shape[-2]
        buffers, ones = self._buffers(n), self.ones[n]
        last = len(self.weight) - 1
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
            np.matmul(d_pre.swapaxes(-1, -2), self.inputs[i], out=self.grad_w[i])
            np.matmul(ones, d_pre, out=self.grad_b[i])  # a column sum; BLAS is faster than np.add.reduce here
            if i > 0:
                d_out = np.matmul(d_pre, self.weight[i], out=buffers[i - 1][1])
            elif input_grad:
                return np.matmul(d_pre, self.weight[0])
        return d_out if input_grad else None


def grad_of(parameter: torch.Tensor) -> F32:
    """The numpy view of a parameter's gradient in its flat vector."""
    if parameter.grad is None:
        raise ValueError("the numpy back end needs FlatParameters(policy) first: a parameter has no gradient view")
    return parameter.grad.numpy()


class MlpKernel:
    """Heads of an `ActorCritic` and their gradients, in numpy.

    Args:
        policy: the network; its parameters must already be views of `flat`.
        flat: the flat parameter and gradient vectors, which backward overwrites.

    Raises:
        ValueError: the policy is not covered (see `supports`).
    """

    def __init__(self, policy: ActorCritic, flat: FlatParameters) -> None:
        if not supports(policy):
            raise ValueError(
                f"the numpy back end does not cover {policy.spec.kind} actions with {policy.activation} on "
                f"{flat.data.device}; use backend='torch'"
            )
        self.policy = policy
        self.flat = flat
        activation = policy.activation
        self.actor = Tower(policy.actor, activation)
        self.critic = Tower(policy.critic, activation)
        self.value = Tower(policy.value, activation)
        self.median = None if policy.median is None else Tower(policy.median, activation)
        self.gaussian = policy.log_std is not None
        if policy.log_std is not None:
            self.log_std = policy.log_std.detach().numpy()
            self.grad_log_std = grad_of(policy.log_std)

    def params(self, obs: F32) -> F32:
        """Distribution parameters (means or logits) [n, A]."""
        return self.actor.forward(obs)

    def values(self, obs: F32) -> F32:
        """State values [n] (a copy)."""
        return self.value.forward(self.critic.forward(obs))[:, 0].copy()

    def heads(self, obs: F32, action: F32, mask: F32 | None = None) -> Heads:
        """`ActorCritic.heads` in numpy; keeps the activations for `backward`. The next call overwrites the arrays."""
        log_prob, entropy = self.log_prob(obs, action, mask)
        latent = self.critic.forward(obs)
        median = None
        if self.median is not None:
            median = self.median.forward(latent if self.policy.median_stacked else obs)[:, 0]
        return Heads(log_prob, entropy, self.value.forward(latent)[:, 0], median)

    def log_prob(self, obs: F32, action: F32, mask: F32 | None = None) -> tuple[F32, F32]:
        """Log-probability [n] and entropy [n] (a scalar array for Gaussians) of the actor at obs."""
        out = self.actor.forward(obs)
        return self._gaussian(out, action) if self.gaussian else self._categorical(out, action, mask)

    def _gaussian(self, mean: F32, action: F32) -> tuple[F32, F32]:
        self.inv_std = np.exp(-self.log_std)
        self.z = np.subtract(action, mean)
        self.z *= self.inv_std
        total = self.log_std.sum()
        log_prob = np.einsum("na,na->n", self.z, self.z)
        log_prob *= -0.5
        log_prob -= total + 0.5 * LOG_2PI * len(self.log_std)
        return log_prob, np.asarray(total + 0.5 * (1 + LOG_2PI) * len(self.log_std), np.float32)

    def _categorical(self, logits: F32, action: F32, mask: F32 | None) -> tuple[F32, F32]:
        if mask is not None:
            logits = np.where(mask, logits, np.float32(MASKED_LOGIT))
        log_p = logits - logits.max(axis=1, keepdims=True)
        log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
        self.log_p = log_p
        self.p = np.exp(log_p)
        self.chosen = (np.arange(len(action)), action)
        self.categorical_entropy = -np.einsum("na,na->n", self.p, log_p)
        return log_p[self.chosen], self.categorical_entropy

    def backward(self, grads: HeadGrads) -> None:
        """Fill the flat gradient with the loss's gradient, given its derivatives by the heads of the last `heads`."""
        d_log_prob = grads.log_prob[:, None]
        if self.gaussian:
            scaled = d_log_prob * self.z
            np.einsum("na,na->a", scaled, self.z, out=self.grad_log_std)
            self.grad_log_std -= grads.log_prob.sum()
            self.grad_log_std += grads.entropy * len(grads.log_prob)
            scaled *= self.inv_std
            d_out = scaled
        else:
            d_out = -d_log_prob * self.p
            d_out[self.chosen] += grads.log_prob
            if grads.entropy:
                d_out -= grads.entropy * self.p * (self.log_p + self.categorical_entropy[:, None])
        self.actor.backward(d_out)
        d_latent = self.value.backward(grads.value[:, None], input_grad=True)
        assert d_latent is not None  # input_grad asked for it
        if self.median is not None and grads.median is not None:
            stacked = self.policy.median_stacked
            d_median = self.median.backward(grads.median[:, None], input_grad=stacked)
            if d_median is not None:
                d_latent += d_median
        self.critic.backward(d_latent)
