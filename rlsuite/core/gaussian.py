"""Gaussian action distributions, plain and squashed by tanh; the interface is that of `distributions`."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

__all__ = ["DiagGaussian", "SquashedGaussian", "check_params"]

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_LOG_2 = math.log(2.0)


def check_params(name: str, x: Tensor) -> None:
    """Raise ValueError if a parameter tensor has NaN or infinity; the message says where. Host sync."""
    finite = torch.isfinite(x)
    if not bool(finite.all()):
        raise ValueError(
            f"{name} contains NaN or infinity (first at {finite.logical_not().nonzero()[0].tolist()}): the "
            "network has diverged; lower the learning rate or check rewards and observations."
        )


class DiagGaussian:
    """Independent normals; log-probability and entropy are summed over the last axis."""

    __slots__ = ("log_std", "mean")

    def __init__(self, mean: Tensor, log_std: Tensor, *, validate: bool = False) -> None:
        """Build from `mean` [..., A] and `log_std`, [A] or [..., A], in action units.

        Raises:
            ValueError: Only with `validate`: NaN or infinite parameters.
        """
        if validate:
            check_params("mean", mean)
            check_params("log_std", log_std)
        self.mean = mean
        self.log_std = log_std

    def sample(self, generator: Generator | None = None) -> Tensor:
        """Draw [..., A], reparameterised: gradients flow to mean and log_std."""
        noise = torch.empty_like(self.mean).normal_(generator=generator)
        return torch.addcmul(self.mean, noise, self.log_std.exp())

    def sample_with_log_prob(self, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """Draw an action [..., A] (reparameterised) and its log-density [...]."""
        noise = torch.empty_like(self.mean).normal_(generator=generator)
        action = torch.addcmul(self.mean, noise, self.log_std.exp())
        return action, self._density(noise)

    def mode(self) -> Tensor:
        """The mean, [..., A]."""
        return self.mean

    def log_prob(self, action: Tensor) -> Tensor:
        """Log-density [...] of `action` [..., A], not clipped to any bound."""
        return self._density((action - self.mean) * torch.exp(-self.log_std))

    def _density(self, z: Tensor) -> Tensor:
        """Log-density of standardised actions."""
        return -(0.5 * z * z + self.log_std).sum(-1) - z.shape[-1] * _HALF_LOG_2PI

    def entropy(self) -> Tensor:
        """Differential entropy [...], nats."""
        total = self.log_std.sum(-1) + self.mean.shape[-1] * (0.5 + _HALF_LOG_2PI)
        return total.expand(self.mean.shape[:-1])

    def kl_divergence(self, other: DiagGaussian) -> Tensor:
        """KL(self || other) [...], nats."""
        ratio = torch.exp(2.0 * (self.log_std - other.log_std))
        shift = ((self.mean - other.mean) * torch.exp(-other.log_std)) ** 2
        return 0.5 * (ratio + shift - 1.0 - 2.0 * (self.log_std - other.log_std)).sum(-1)


class SquashedGaussian:
    """tanh of a diagonal Gaussian: actions in (-1, 1), the policy of soft actor-critic.

    Source: Haarnoja et al. 2018, appendix C; log(1 - tanh(x)^2) = 2 (log 2 - x - softplus(-2x)) is exact.
    """

    __slots__ = ("base",)

    def __init__(self, mean: Tensor, log_std: Tensor, *, validate: bool = False) -> None:
        """Build from the pre-squash `mean` [..., A] and `log_std`, [A] or [..., A].

        Raises:
            ValueError: Only with `validate`: NaN or infinite parameters.
        """
        self.base = DiagGaussian(mean, log_std, validate=validate)

    @staticmethod
    def _log_slope(x: Tensor) -> Tensor:
        """Log |d tanh(x) / dx| summed over the last axis."""
        return 2.0 * (_LOG_2 - x - functional.softplus(-2.0 * x)).sum(-1)

    def sample(self, generator: Generator | None = None) -> Tensor:
        """Draw [..., A] in [-1, 1], reparameterised."""
        return torch.tanh(self.base.sample(generator))

    rsample = sample

    def sample_with_log_prob(self, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """Draw an action [..., A] and its log-density [...]; gradients flow through both."""
        x, log_prob = self.base.sample_with_log_prob(generator)
        return torch.tanh(x), log_prob - self._log_slope(x)

    def mode(self) -> Tensor:
        """Tanh of the pre-squash mean, [..., A]: the median, SAC's deterministic action."""
        return torch.tanh(self.base.mean)

    def log_prob(self, action: Tensor) -> Tensor:
        """Log-density [...] of `action` [..., A].

        Values at or beyond +-1 are moved inside by the dtype's resolution, since tanh cannot be inverted
        there; prefer `sample_with_log_prob`, which needs no inverse.
        """
        limit = 1.0 - torch.finfo(action.dtype).eps
        x = torch.atanh(action.clamp(-limit, limit))
        return self.base.log_prob(x) - self._log_slope(x)

    def entropy(self) -> Tensor:
        """Not available in closed form.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            "a squashed Gaussian has no closed-form entropy; use -log_prob of sample_with_log_prob()."
        )
