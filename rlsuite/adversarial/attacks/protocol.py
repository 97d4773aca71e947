"""What an attack on observations is."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from rlsuite.adversarial.attacks.victim import Victim

__all__ = ["Attack"]


class Attack(Protocol):
    """A function of observations, victim and budget."""

    @property
    def name(self) -> str:
        """Name of the attack in reports."""

    def __call__(self, obs: Tensor, victim: Victim, radius: Tensor, norm: str, generator: torch.Generator) -> Tensor:
        """Perturbations [N, O] in budget units for raw observations [N, O] float64, of size at most radius [N]."""
