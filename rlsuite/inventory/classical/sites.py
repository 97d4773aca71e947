"""What a classical rule knows of an inventory problem: its places, costs and lead times, and how to read its state.

A rule orders for N places (stores, warehouses, factories) over E links, and M markets ask for goods. `Sites` tells it
the same things about every kernel, so that each rule is written once; `problem.sites_of` picks the reader of a kernel.

A rule needs the kernel's state; a policy behind `predict` is given observations. They hold the same numbers, scaled:
`Sites.read` divides the scale out again, so that a state read from an observation differs from the true one by float32
rounding, and by sums over the past that no rule looks at.

Shapes: B environments, N places, E links, M markets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor

__all__ = ["LEAST_ECHELON_HOLDING", "VIRTUAL_ORDERS", "Sites", "kernel_of"]

LEAST_ECHELON_HOLDING = 0.01
"""Echelon holding costs are at least this (gym-invmgmt's heuristics)."""
VIRTUAL_ORDERS = 10.0
"""Fixed cost of an order where none is charged, in holding (factories: operating) costs of one unit and period."""


class Sites(ABC):
    """Constants and readers of one kernel; a rule may assume nothing else about the problem.

    Args:
        kernel: the problem.
    """

    kernel: Any
    names: tuple[str, ...]
    """Names of the N places."""
    lead: list[int]
    """Longest lead time [N] of the links into a place, periods."""
    lead_below: list[int]
    """Longest lead time [N] from a place to the places that sell, periods; 0 for those that sell."""
    holding: Tensor
    """Holding cost [N] per unit and period."""
    echelon_holding: Tensor
    """Echelon holding cost [N] per unit and period, at least `LEAST_ECHELON_HOLDING`."""
    shortage: Tensor
    """Shortage cost [N] per unit for the critical ratio."""
    fixed_cost: Tensor
    """Fixed cost [N] of an order for reorder rules; see `VIRTUAL_ORDERS`."""
    below: Tensor
    """Weights [N, N] of places' stock in a place's echelon stock: its own, and that of what it supplies."""
    serves: Tensor
    """Share [N, M] of a market's demand that goes through a place, in [0, 1]."""
    split: Tensor
    """Share [N, E] of each link in a place's orders, in [0, 1]."""
    prior: Tensor
    """Prior guess [M] of mean demand before the first is observed, units per period."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel

    def _floats(self, values: Sequence[Any]) -> Tensor:
        return torch.tensor(values, dtype=self.kernel.dtype, device=self.kernel.device)

    @abstractmethod
    def read(self, obs: Tensor) -> Any:
        """The kernel's state (without sums over the past) behind observations [B, O]."""

    @abstractmethod
    def position(self, state: Any) -> Tensor:
        """Units on hand and on the way less units owed, [B, N]."""

    @abstractmethod
    def demand(self, state: Any) -> Tensor:
        """The last period's demand, [B, M]; 0 before the first."""

    @abstractmethod
    def outlook(self, state: Any, periods: Sequence[int]) -> tuple[Tensor, Tensor]:
        """True mean and variance [B, N] of a place's demand in this and the next periods, `periods` [N] in all."""

    @abstractmethod
    def path(self, state: Any, periods: int) -> Tensor:
        """True mean of the markets' demand in this and the next periods, [B, periods, M]."""

    @abstractmethod
    def action(self, orders: Tensor) -> Tensor:
        """The action [B, E] that orders these units [B, E], or as near as the action space lets it."""

    def order_by_link(self, units: Tensor) -> Tensor:
        """Orders of links [B, E] from those of places [B, N], units."""
        return units @ self.split


def kernel_of(env: Any) -> Any:
    """The kernel behind an id, an environment (vector or single, wrapped or not), or the kernel itself.

    Raises:
        TypeError: there is none.
    """
    if isinstance(env, str):
        with gym.make(env) as made:
            return kernel_of(made)
    kernel = env if hasattr(env, "post_decision") else getattr(getattr(env, "unwrapped", env), "kernel", None)
    if kernel is None:
        raise TypeError(
            f"{type(env).__name__} is no environment of rlsuite's inventory family; give an id such as "
            "'rlsuite/SupplyNetwork-serial-stationary-backlog-v0', such an environment, or its kernel."
        )
    return kernel
