"""SA-PPO's regulariser (Zhang et al. 2020, arXiv:2003.08938): much the same action wherever s may be moved.

    L = L_PPO + coef * mean_s D(s),    D(s) = max over |s~ - s|_inf <= eps of 2 KL(pi(s) || pi(s~))

For a Gaussian with a deviation of its own D is max sum_i ((mu_i(s~) - mu_i(s)) / sigma_i)^2. The maximum is sought by
K steps of stochastic gradient Langevin dynamics, as in the release (`sgld`): from s +- eps/K in every entry, each step
adds eps/K times the sign of the gradient plus N(0, 2e-5 eps/K) / (i + 2), and is cut to the box. At s itself the
gradient is 0, hence the start.

sigma is not moved by this loss, in the numerator or the denominator: a wider policy would lower D without being any
smoother. Both mu(s) and mu(s~) are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rlsuite.core.backends import NumpyBackend
from rlsuite.core.mlp_kernel import Tower
from rlsuite.core.on_policy import Parts
from rlsuite.core.types import PolicyBatch

__all__ = ["Smoothness", "divergence"]

LANGEVIN = 1e-5
"""Inverse temperature's share of a step: the variance of its noise is twice this times the step."""


class Smoothness:
    """Adds the regulariser's gradient to that of a minibatch; what `on_policy.update` takes as `extra`.

    Args:
        parts: the policy to be smoothed, on either back end.
        eps: half width of the box, in units of the network's inputs; at least 0.
        coef: weight of the loss; at least 0.
        steps: K, at least 1.
        generator: of the noise.
    """

    def __init__(self, parts: Parts, *, eps: float, coef: float, steps: int, generator: torch.Generator) -> None:
        self.parts = parts
        self.eps = eps
        self.coef = coef
        self.steps = steps
        self.generator = generator

    def __call__(self, batch: PolicyBatch) -> dict[str, Any]:
        """Add to the gradient in the flat vector; the mean of D on these N samples."""
        if self.parts.backend.name == "numpy":
            return {"smoothness": self._numpy(np.asarray(batch.obs))}
        return {"smoothness": self._torch(batch.obs)}

    def _torch(self, obs: torch.Tensor) -> torch.Tensor:
        policy = self.parts.policy
        std = None if policy.log_std is None else policy.log_std.detach().exp()
        out = policy.actor(obs)
        step, near = self.eps / self.steps, obs + self.eps / self.steps * self._noise(obs).sign()
        for i in range(self.steps):
            near.requires_grad_()
            with torch.enable_grad():
                value = divergence(out.detach(), policy.actor(near), std).sum()
            (grad,) = torch.autograd.grad(value, near)
            grad += (2 * LANGEVIN * step) ** 0.5 / (i + 2) * self._noise(obs)
            near = torch.clamp(near.detach() + step * grad.sign(), obs - self.eps, obs + self.eps)
        loss = divergence(out, policy.actor(near), std).mean()
        (self.coef * loss).backward()
        return loss.detach()

    def _numpy(self, obs: np.ndarray) -> float:
        """`__call__` in numpy; a last forward over [s; s~] gives the parameter gradients of both policies."""
        backend, flat = self.parts.backend, self.parts.flat.grad.numpy()
        assert isinstance(backend, NumpyBackend)  # by its name
        actor, log_std, n = backend.kernel.actor, backend.log_std, len(obs)
        kept = flat.copy()
        step, out = self.eps / self.steps, actor.forward(obs).copy()
        near = obs + np.float32(step) * np.sign(self._draw(obs.shape))
        for i in range(self.steps):
            _, _, d_near = _by_hand(out, actor.forward(near), log_std)
            grad = _input_grad(actor, d_near)
            grad += np.float32((2 * LANGEVIN * step) ** 0.5 / (i + 2)) * self._draw(obs.shape)
            near += np.float32(step) * np.sign(grad)
            np.clip(near, obs - np.float32(self.eps), obs + np.float32(self.eps), out=near)
        both = actor.forward(np.concatenate([obs, near]))
        value, d_out, d_near = _by_hand(both[:n], both[n:], log_std)
        flat[:] = 0.0
        actor.backward(np.concatenate([d_out, d_near]) * np.float32(self.coef / n))
        flat += kept
        return float(value.mean())

    def _noise(self, like: torch.Tensor) -> torch.Tensor:
        return torch.randn(like.shape, generator=self.generator, device=like.device)

    def _draw(self, shape: tuple[int, ...]) -> np.ndarray:
        return torch.randn(shape, generator=self.generator).numpy()


def divergence(out: torch.Tensor, near: torch.Tensor, std: torch.Tensor | None) -> torch.Tensor:
    """2 KL(pi(s) || pi(s~)) [N] of two policies with the same standard deviation.

    Args:
        out: means or logits [N, A] at s.
        near: at s~.
        std: [A], or None for logits.
    """
    if std is not None:
        return ((near - out) / std).square().sum(dim=1)
    log_p, log_q = torch.log_softmax(out, dim=1), torch.log_softmax(near, dim=1)
    return 2 * (log_p.exp() * (log_p - log_q)).sum(dim=1)


def _by_hand(
    out: np.ndarray, near: np.ndarray, log_std: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`divergence` [N] with its derivatives [N, A] by `out` and by `near`."""
    if log_std is not None:
        scaled = (near - out) * np.exp(-2 * log_std)
        d_near = 2 * scaled
        return np.einsum("na,na->n", near - out, scaled), -d_near, d_near
    log_p, log_q = (x - np.logaddexp.reduce(x, axis=1, keepdims=True) for x in (out, near))
    p = np.exp(log_p)
    kl = np.einsum("na,na->n", p, log_p - log_q)
    return 2 * kl, 2 * p * (log_p - log_q - kl[:, None]), 2 * (np.exp(log_q) - p)


def _input_grad(actor: Tower, d_out: np.ndarray) -> np.ndarray:
    """Gradient with respect to the rows of the last forward; overwrites the parameters' gradients."""
    grad = actor.backward(d_out, input_grad=True)
    assert grad is not None  # input_grad asked for it
    return grad
