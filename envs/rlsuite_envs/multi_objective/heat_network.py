"""Heat flow between places as a network of resistances and capacities, solved exactly over a time step.

N places hold heat, C [N] per degree; heat flows along conductances G [N, N] (symmetric, diagonal unused) between them
and L [N, S] to S surroundings whose temperatures are given. With heat sources q [N],

    C_i dT_i/dt = sum_j G_ij (T_j - T_i) + sum_s L_is (E_s - T_i) + q_i.

With q and E constant over a step of h hours (zero-order hold) the solution is linear in what it starts from,

    T(h) = keep T(0) + heat (q + L E),      keep = exp(-h C^-1 M),    heat = integral_0^h exp(-s C^-1 M) ds C^-1,

with M = diag(sum_j G_ij + sum_s L_is) - G. The matrix C^-1/2 M C^-1/2 is symmetric and has no negative eigenvalue, so
that its eigenvectors give both to rounding, also without any loss (M singular), for any length of step.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["step_matrices"]


def step_matrices(capacity: Tensor, exchange: Tensor, losses: Tensor, hours: float) -> tuple[Tensor, Tensor]:
    """The matrices keep [N, N] and heat [N, N] of a step; see the module.

    Args:
        capacity: C [N] float64, kWh/K, > 0.
        exchange: G [N, N] float64, kW/K, symmetric, >= 0.
        losses: L [N, S] float64, kW/K, >= 0.
        hours: length h of the step, > 0.

    Returns:
        keep, without unit, and heat, K/kW, float64: T(h) = keep T(0) + heat (q + L E) with q in kW.
    """
    between = exchange - torch.diag(exchange.diagonal())
    leaving = torch.diag(between.sum(1) + losses.sum(1)) - between
    root = capacity.sqrt()
    rates, modes = torch.linalg.eigh(leaving / (root[:, None] * root))
    rates = rates.clamp_min(0.0)  # rounding may put a zero a little below
    decay = torch.exp(-rates * hours)
    # (1 - exp(-rate h)) / rate, and h where nothing decays.
    gain = torch.where(rates > 0, -torch.expm1(-rates * hours) / rates.where(rates > 0, 1.0), hours)
    keep = (modes * decay) @ modes.T * (root / root[:, None])
    heat = (modes * gain) @ modes.T / (root[:, None] * root)
    return keep, heat
