"""How much an attack may change an observation: norms, per-step and per-episode budgets, and their bookkeeping.

Perturbations delta [N, O] are in budget units (see `rlsuite.adversarial.attacks.victim`): the attacked observation is
obs + unit * delta. An attack proposes; `project` disposes: nothing leaves the ball of the radius that `Budget` grants.

An l2 budget of an episode is the policy-smoothing one, sqrt(sum_t ||delta_t||_2^2) <= eps; an l-infinity budget of an
episode is sum_t ||delta_t||_inf <= eps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rlsuite.core.config import check_choices, check_range, check_types

__all__ = ["Budget", "project", "size", "spend", "steepest"]

NORMS = ("linf", "l2")
SCOPES = ("step", "episode")


@dataclass(frozen=True)
class Budget:
    """Limits of an attack: size, norm and scope of its perturbations.

    Raises:
        ValueError: a value out of range; the message names the field, its value and the range.
    """

    eps: float
    """Size of the perturbation, >= 0, in units of each observation entry's standard deviation."""
    norm: str = "linf"
    """"linf" or "l2"."""
    scope: str = "step"
    """"step": eps at every step; "episode": eps for a whole episode (see the module's docstring)."""
    step_eps: float | None = None
    """Largest size in one step of an episode budget, > 0; None lets a step take all that is left."""
    ratio: float = 1.0
    """Probability that a step is attacked, in [0, 1]."""

    def __post_init__(self) -> None:
        check_types(self)
        inf = float("inf")
        check_range(self, eps=(0, inf), step_eps=(1e-12, inf), ratio=(0, 1))
        check_choices(self, norm=NORMS, scope=SCOPES)
        if self.eps == inf:
            raise ValueError("Budget.eps is inf; a budget is a finite number of standard deviations")
        if self.step_eps is not None and self.scope == "step":
            raise ValueError(f"Budget.step_eps={self.step_eps} is for scope='episode'; per step, eps is the limit")

    def radius(self, remaining: Tensor) -> Tensor:
        """Largest size [N] of a perturbation now, given what is left [N] of an episode's budget."""
        if self.scope == "step":
            return torch.full_like(remaining, self.eps)
        return remaining if self.step_eps is None else remaining.clamp(max=self.step_eps)


def size(delta: Tensor, norm: str) -> Tensor:
    """Norm [N] of perturbations [N, O]."""
    return delta.abs().amax(dim=1) if norm == "linf" else delta.norm(dim=1)


def project(delta: Tensor, radius: Tensor, norm: str) -> Tensor:
    """The nearest point to delta [N, O] in the ball of radius [N]; nothing inside is moved."""
    if norm == "linf":
        return delta.clamp(min=-radius[:, None], max=radius[:, None])
    length = delta.norm(dim=1, keepdim=True)
    # a hair inside, so that rounding cannot leave the ball
    shrunk = delta * (radius[:, None] / length.clamp_min(1e-300)) * (1 - 1e-12)
    return torch.where(length > radius[:, None], shrunk, delta)


def steepest(gradient: Tensor, norm: str) -> Tensor:
    """The perturbation of size 1 [N, O] that raises a function of gradient [N, O] most; 0 where the gradient is 0."""
    if norm == "linf":
        return gradient.sign()
    return gradient / gradient.norm(dim=1, keepdim=True).clamp_min(1e-30)


def spend(remaining: Tensor, delta: Tensor, norm: str) -> Tensor:
    """Episode budgets left [N] after perturbations [N, O]."""
    used = size(delta, norm)
    left = remaining - used if norm == "linf" else (remaining**2 - used**2).clamp_min(0).sqrt()
    return left.clamp_min(0)
