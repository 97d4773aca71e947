"""The hand-written back end of a `Population`: forward and backward of P actor-critics in NumPy, on its own memory.

As `rlsuite.core.mlp_kernel` for one network, with a leading axis of policies. Letters: P policies, n samples of each, O
observation numbers, A action numbers or choices, K objectives.
"""

from __future__ import annotations

import numpy as np
from torch import nn

from rlsuite.core.mlp_kernel import LOG_2PI, MASKED_LOGIT, Tower
from rlsuite.core.population import Population
from rlsuite.core.types import HeadGrads, Heads

__all__ = ["StackedKernel"]

F32 = np.ndarray


def _tower(population: Population, name: str) -> Tower:
    """The part called `name` of every policy, on views of the population's matrices."""
    module = getattr(population.template, name)
    single = isinstance(module, nn.Linear)
    prefixes = [name] if single else [f"{name}.{i}" for i, m in enumerate(module) if isinstance(m, nn.Linear)]
    found, grads = population.parameters, population.grads
    layers = [
        (
            found[f"{prefix}.weight"].detach().numpy(),
            found[f"{prefix}.bias"].detach().numpy(),
            grads[f"{prefix}.weight"].numpy(),
            grads[f"{prefix}.bias"].numpy(),
        )
        for prefix in prefixes
    ]
    return Tower(module, population.template.activation, layers)


class StackedKernel:
    """Heads of a `Population` and their gradients, in NumPy.

    Covered: CPU, tanh or ReLU, Box and Discrete actions (with masks).

    Args:
        population: the networks; its matrices are read and written in place.
    """

    def __init__(self, population: Population) -> None:
        self.actor, self.critic, self.value = (_tower(population, name) for name in ("actor", "critic", "value"))
        self.gaussian = population.spec.kind == "gaussian"
        if self.gaussian:
            log_std = population.parameters["log_std"]
            self.log_std = log_std.detach().numpy()  # [P, A]
            self.grad_log_std = population.grads["log_std"].numpy()

    @classmethod
    def covering(cls, population: Population) -> StackedKernel | None:
        """The kernel of these networks; None where it does not cover them."""
        kind, activation = population.spec.kind, population.template.activation
        known = activation in ("tanh", "relu") and kind in ("gaussian", "categorical")
        return cls(population) if known and population.device.type == "cpu" else None

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
