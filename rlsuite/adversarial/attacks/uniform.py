"""Uniform noise in the budget's ball: the attack that knows nothing.

Shapes: N rows, O observation entries.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rlsuite.adversarial.attacks.victim import Victim

__all__ = ["RandomAttack", "uniform_in_ball"]


def uniform_in_ball(
    shape: tuple[int, int], radius: Tensor, norm: str, generator: torch.Generator, *, surface: bool = False
) -> Tensor:
    """Points [N, O] uniform in the ball of radius [N], or on its surface (corners under l-infinity)."""
    if norm == "linf":
        if surface:
            signs = torch.randint(0, 2, shape, generator=generator).double() * 2 - 1
            return signs * radius[:, None]
        return (torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1) * radius[:, None]
    normal = torch.randn(shape, generator=generator, dtype=torch.float64)
    direction = normal / normal.norm(dim=1, keepdim=True).clamp_min(1e-30)
    if surface:
        return direction * radius[:, None]
    share = torch.rand(shape[0], generator=generator, dtype=torch.float64) ** (1 / shape[1])
    return direction * (radius * share)[:, None]


@dataclass(frozen=True)
class RandomAttack:
    """Uniform noise in the ball: the floor that every other attack must beat."""

    surface: bool = False
    """Whether to draw on the ball's surface instead of within."""
    name: str = "random"

    def __call__(self, obs: Tensor, victim: Victim, radius: Tensor, norm: str, generator: torch.Generator) -> Tensor:
        """See `rlsuite.adversarial.attacks.protocol.Attack`."""
        return uniform_in_ball((len(obs), obs.shape[1]), radius, norm, generator, surface=self.surface)
