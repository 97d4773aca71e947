"""Demand of one period, drawn for all environments at once: normal (correlated, clipped or not) and Poisson."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["NormalDemand", "PoissonDemand", "equal_correlation_factor"]


def equal_correlation_factor(sds: Tensor, correlation: float) -> Tensor:
    """Cholesky factor [K, K] of the covariance with these standard deviations [K] and one correlation.

    Args:
        sds: [K] >= 0.
        correlation: of any two stores, in (-1/(K-1), 1).
    """
    matrix = torch.full((len(sds), len(sds)), correlation, dtype=torch.float64, device=sds.device)
    matrix.fill_diagonal_(1.0)
    # Factor the correlations, not the covariance: a store without noise would make that one singular.
    return (sds.to(torch.float64)[:, None] * torch.linalg.cholesky(matrix)).to(sds)


@dataclass(frozen=True)
class NormalDemand:
    """Normal demand of K stores, independent between periods."""

    mean: Tensor
    """[K] mean demand before clipping, units per period."""
    factor: Tensor
    """[K, K] Cholesky factor of the covariance, or [K] standard deviations where stores are independent."""
    clip: bool
    """Negative draws become 0; else they stay, as returns."""

    def sample(self, num: int, rng: torch.Generator) -> Tensor:
        """Demands [num, K]."""
        shape = (num, len(self.mean))
        draws = torch.randn(shape, generator=rng, device=self.mean.device, dtype=self.mean.dtype)
        if self.factor.ndim == 1:
            demand = torch.addcmul(self.mean, draws, self.factor)
        else:
            demand = torch.addmm(self.mean, draws, self.factor.mT)
        return demand.clamp_min(0) if self.clip else demand


@dataclass(frozen=True)
class PoissonDemand:
    """Poisson demand of K independent stores."""

    mean: Tensor
    """[K], units per period."""

    def sample(self, num: int, rng: torch.Generator) -> Tensor:
        """Demands [num, K], whole numbers."""
        return torch.poisson(self.mean.expand(num, -1), generator=rng)
