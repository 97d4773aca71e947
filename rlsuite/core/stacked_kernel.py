"""The hand-written back end of a `Population`: forward and backward of P actor-critics in NumPy, on its own memory.

As `rlsuite.core.mlp_kernel` for one network, with a leading axis of policies. Letters: P policies, n samples of each, O
observation numbers, A action numbers or choices, K objectives.
"""

from __future__ import annotations

import numpy as np
from torch import nn

from rlsuite.core.mlp_kernel import LOG_2PI, MASKED_LOGIT
from rlsuite.core.population import Population
from rlsuite.core.types import HeadGrads, Heads

__all__ = ["StackedKernel"]

F32 = np.ndarray


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
