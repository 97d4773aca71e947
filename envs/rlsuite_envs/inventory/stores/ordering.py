"""What the differentiable inventory kernels share: actions as orders, observations as stock, endless horizons.

All of them are infinite-horizon problems: an episode is cut after `horizon` periods and never terminates, so
that learners bootstrap there. No period is discounted here, and no time is observed.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import MOST, check_choice, check_integer, check_positive
from rlsuite_envs.inventory.stores.demand import NormalDemand, PoissonDemand
from rlsuite_envs.inventory.stores.stock_pictures import draw_history, draw_stock
from rlsuite_envs.kernel import Kernel

__all__ = ["ORDER_LIMIT", "OrderingKernel", "OrderingParams", "check_row"]

ORDER_LIMIT = 1000.0
"""Upper end of raw orders, in mean demands: far above any sensible one, but learners want a bounded space."""

StateT = TypeVar("StateT")


@dataclass(frozen=True)
class OrderingParams:
    """Constants that every ordering problem has."""

    horizon: int = 100
    """Periods of an episode, >= 1; 50 in HDPO's training, 5000 in its tests."""
    actions: str = "scaled"
    """"scaled": [-1, 1] per order, mapped to [0, max_order] mean demands; "orders": raw units >= 0."""
    max_order: float = 2.0
    """Largest order of the scaled actions, in mean demands, > 0; with 2, action 0 orders the mean demand."""
    observation: str = "scaled"
    """"scaled": stock in mean demands; "raw": in units."""

    def __post_init__(self) -> None:
        check_integer(self, "horizon", 1)
        check_choice(self, "actions", ("scaled", "orders"))
        check_positive(self, "max_order")
        check_choice(self, "observation", ("scaled", "raw"))


def check_row(
    params: Any,
    name: str,
    length: int | None = None,
    *,
    low: float = 0.0,
    strict: bool = False,
    whole: bool = False,
) -> None:
    """Check a field with one number per location, and keep it as a tuple (lists and arrays are taken).

    Args:
        params: a frozen dataclass.
        name: its field.
        length: entries it must have; None for at least one.
        low: lower end of the entries.
        strict: entries must lie above `low`, not at it.
        whole: entries must be integers.

    Raises:
        ValueError: naming the field, its value and what is allowed.
    """
    value = getattr(params, name)
    entries = value.tolist() if isinstance(value, np.ndarray) else value
    wanted = "at least one" if length is None else str(length)
    if not isinstance(entries, tuple | list) or not entries or (length is not None and len(entries) != length):
        raise ValueError(f"{name}={value!r} must be a sequence of {wanted} number{'s' * (length != 1)}.")
    kinds = int if whole else (int, float)
    for entry in entries:
        fits = (
            isinstance(entry, kinds)
            and not isinstance(entry, bool)
            and (isinstance(entry, int) or math.isfinite(entry))
            and (not whole or entry <= MOST)
        )
        if not fits or entry < low or (strict and entry == low):
            kind = "integers" if whole else "finite numbers"
            bound = f"above {low:g}" if strict else f"of at least {low:g}"
            raise ValueError(f"{name}={value!r}: {entry!r} is not allowed; its entries must be {kind} {bound}.")
    object.__setattr__(params, name, tuple(entries))


class OrderingKernel(Kernel[StateT, StateT, Tensor]):
    """Base of the ordering problems; a subclass describes its network.

    The post-decision state is of the state's own class: the orders lie in the slots of their lead times, and what
    suppliers gave is gone from their stock; demand is still to come. The noise is that demand, [B, K] units, so
    that the same demands can be replayed on other decisions, or taken from data.
    """

    params: Any
    render_fps = 4

    order_units: Tensor
    """[A] mean demand behind each order, units."""
    stock_units: Tensor
    """[N] mean demand behind each observed slot, units."""
    demand: NormalDemand | PoissonDemand
    """Where the demand comes from."""
    lowest_observation: float = -np.inf
    """Lower bound of the observation's entries."""

    def _numbers(self, values: Any) -> Tensor:
        """Constants as a tensor of the kernel's device and type."""
        return torch.tensor(values, device=self.device, dtype=self.dtype)

    @property
    def observation_space(self) -> spaces.Box:
        """Stock and pipeline of every location."""
        return spaces.Box(self.lowest_observation, np.inf, (len(self.stock_units),), dtype=np.float32)

    @property
    def action_space(self) -> spaces.Box:
        """One order per link of the network."""
        if self.params.actions == "scaled":
            return spaces.Box(-1.0, 1.0, (len(self.order_units),), dtype=np.float32)
        high = (ORDER_LIMIT * self.order_units).cpu().numpy().astype(np.float32)
        return spaces.Box(np.zeros_like(high), high, dtype=np.float32)

    def wanted(self, action: Tensor) -> Tensor:
        """Orders [B, A] in units, >= 0, that an action [B, A] asks for, before stock limits them."""
        action = action.to(self.dtype)
        if self.params.actions == "orders":
            return torch.minimum(action.clamp_min(0), ORDER_LIMIT * self.order_units)
        return (action.clamp(-1, 1) + 1) * (0.5 * self.params.max_order * self.order_units)

    @abstractmethod
    def slots(self, state: StateT) -> Tensor:
        """All stock and pipeline slots of a state, [B, N] units, in the order of the observation."""

    def observe(self, state: StateT) -> Tensor:
        """The slots, in mean demands unless raw; float32, and differentiable."""
        units = self.stock_units if self.params.observation == "scaled" else torch.ones_like(self.stock_units)
        return (self.slots(state) / units).to(torch.float32)

    def observe_post(self, post_state: StateT) -> Tensor:
        """Observation of the post-decision state: the new orders are in the slots of their lead times."""
        return self.observe(post_state)

    def sample_exogenous(self, state: StateT, rng: torch.Generator) -> Tensor:
        """Demand of the period, [B, K] units."""
        return self.demand.sample(len(self.slots(state)), rng)

    @abstractmethod
    def orders(self, state: StateT, action: Tensor) -> Tensor:
        """Orders [B, A] in units as they are carried out, after suppliers' stock limited them."""

    @abstractmethod
    def stock_by_place(self, state: StateT) -> Mapping[str, Tensor]:
        """Name of a location -> its slots [B, S], from the customers upwards; for pictures."""

    @abstractmethod
    def order_names(self) -> tuple[str, ...]:
        """The A orders' names, for pictures."""

    def render(self, state_row: StateT) -> np.ndarray:
        """Bars: what each location has on hand (negative: owes) and what is on its way to it."""
        places = {name: slots[0].numpy(force=True) for name, slots in self.stock_by_place(state_row).items()}
        return draw_stock(places, self.place_units(), cost=float(self.info(state_row)["cost"][0]))

    @abstractmethod
    def place_units(self) -> Mapping[str, float]:
        """Name of a location -> mean demand it serves, units; for pictures."""

    def render_episode(self, states: StateT, actions: Any, rewards: Tensor) -> np.ndarray:
        """Stock, pipeline, orders and demand, and cost over the periods; many stores are added up."""
        before: Any = _first_periods(states)
        with torch.no_grad():
            orders = self.orders(before, torch.as_tensor(actions, device=self.device))
        info = self.info(states)
        return draw_history(
            {name: slots.numpy(force=True) for name, slots in self.stock_by_place(states).items()},
            dict(zip(self.order_names(), orders.T.numpy(force=True), strict=True)),
            info["demand"][1:].reshape(len(orders), -1).numpy(force=True),
            -rewards.numpy(force=True),
        )


def _first_periods(states: Any) -> Any:
    """States [T + 1, ...] without the last."""
    return type(states)(**{name: value[:-1] for name, value in vars(states).items()})
