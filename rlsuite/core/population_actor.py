"""A population as the actor of `rlsuite.core.collect`: each policy acts in a block of environments of its own."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rlsuite.core.distributions import distribution
from rlsuite.core.population import Population, join_rows, split_rows
from rlsuite.core.stacked_kernel import StackedKernel

__all__ = ["PopulationActor"]


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
