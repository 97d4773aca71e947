"""Costs of policies by simulation, where no formula gives them: many copies of a kernel at once, after a warm-up."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rlsuite_envs.kernel import Kernel

__all__ = ["SimulatedCost", "simulate_base_stock", "simulate_cost"]


@dataclass(frozen=True)
class SimulatedCost:
    """A mean cost per period and how sure it is."""

    cost: float
    """Mean over copies and periods."""
    error: float
    """Standard error of the mean cost, from the spread of the copies, which are independent."""


@torch.no_grad()
def simulate_cost(
    kernel: Kernel[Any, Any, Any],
    policy: Callable[[Any], Any],
    *,
    copies: int = 4096,
    periods: int = 200,
    warm_up: int = 60,
    seed: int = 0,
) -> SimulatedCost:
    """Mean cost (minus reward) per period of a policy.

    Args:
        kernel: with a scalar reward, and without termination.
        policy: state -> actions.
        copies: B >= 2 independent runs.
        periods: counted periods, >= 1.
        warm_up: periods before them, >= 0.
        seed: of the random stream.

    Raises:
        ValueError: a number out of range.
    """
    costs = _mean_costs(kernel, policy, copies, periods, warm_up, seed)
    return SimulatedCost(costs.mean().item(), costs.std().item() / math.sqrt(copies))


@torch.no_grad()
def simulate_base_stock(
    kernel: Any,
    levels: Sequence[float],
    cap: float = math.inf,
    *,
    copies: int = 512,
    periods: int = 400,
    warm_up: int = 60,
    seed: int = 0,
) -> dict[float, SimulatedCost]:
    """Costs of many base-stock levels of one store, in one run.

    Args:
        kernel: `SingleStore` or `LostSales` with `actions="orders"`.
        levels: of the position, units.
        cap: largest order.
        copies: per level, >= 2.
        periods: counted periods.
        warm_up: periods before them.
        seed: of the random stream.

    Returns:
        Level -> cost.

    Raises:
        ValueError: scaled actions, no level, or a number out of range.
    """
    if kernel.params.actions != "orders":
        raise ValueError(f"actions={kernel.params.actions!r}: make the kernel with actions='orders'.")
    if not len(levels):
        raise ValueError("levels=() must have at least one entry.")
    wanted = torch.tensor(levels, device=kernel.device, dtype=kernel.dtype).repeat_interleave(copies).unsqueeze(1)

    def policy(state: Any) -> Tensor:
        return (wanted - state.inventory.sum(1, keepdim=True)).clamp(0, cap)

    costs = _mean_costs(kernel, policy, copies * len(levels), periods, warm_up, seed, copies)
    rows = costs.reshape(len(levels), copies)
    errors = rows.std(1) / math.sqrt(copies)
    pairs = zip(levels, rows.mean(1).tolist(), errors.tolist(), strict=True)
    return {level: SimulatedCost(cost, error) for level, cost, error in pairs}


def _mean_costs(
    kernel: Kernel[Any, Any, Any],
    policy: Callable[[Any], Any],
    rows: int,
    periods: int,
    warm_up: int,
    seed: int,
    copies: int | None = None,
) -> Tensor:
    """Mean cost per period of each row, float64 [rows]."""
    for name, value, low in (
        ("copies", rows if copies is None else copies, 2),
        ("periods", periods, 1),
        ("warm_up", warm_up, 0),
    ):
        if not isinstance(value, int) or value < low:
            raise ValueError(f"{name}={value!r} must be an integer of at least {low}.")
    rng = torch.Generator(device=kernel.device).manual_seed(seed)
    state = kernel.initial_state(rows, rng)
    total = torch.zeros(rows, device=kernel.device, dtype=torch.float64)
    for t in range(warm_up + periods):
        noise = kernel.sample_exogenous(state, rng)
        state, reward, _ = kernel.advance(state, policy(state), noise)
        if t >= warm_up:
            total -= reward
    return total / periods
