"""What an ordering policy must know of its problem, and the base of the policies that gradients shape."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rlsuite_envs.inventory.stores.ordering import OrderingKernel
from rlsuite_envs.inventory.stores.serial import SerialSystem
from rlsuite_envs.inventory.stores.stores import SingleStore
from rlsuite_envs.inventory.stores.transshipment import Transshipment
from rlsuite_envs.inventory.stores.warehouse import NetworkKernel

__all__ = ["Layout", "OrderPolicy", "describe"]


@dataclass(frozen=True)
class Layout:
    """Constants of a problem that a policy needs; numbers, strings and nested tuples only."""

    kind: str
    """"store", "chain", "network", "transshipment", or "plain" for anything else with Box actions."""
    num_inputs: int
    """O, entries of an observation."""
    order_units: tuple[float, ...]
    """Mean demand [A] behind each order, units; plain: half the width of the action box."""
    action_scale: tuple[float, ...]
    """Order units [A] per unit of the action; plain: `order_units`."""
    action_shift: tuple[float, ...]
    """Action [A] that orders nothing; plain: the middle of the box."""
    stock_units: tuple[float, ...] = ()
    """Stock units [O] per unit of the observation."""
    lead_times: tuple[tuple[int, ...], ...] = ()
    """Lead times [K][W] from warehouses to stores, or [N][1] of a chain's stages, periods."""
    upper_lead_times: tuple[int, ...] = ()
    """Lead times [W] from outside to the warehouses, periods."""
    edge_costs: tuple[float, ...] = ()
    """Cost [W] per unit that a store gets from each warehouse."""
    links: tuple[tuple[bool, ...], ...] = ()
    """Whether each warehouse supplies each store, [K][W]; empty if all do."""
    features: tuple[tuple[float, ...], ...] = ()
    """Holding cost, penalty, mean and deviation of demand of each store or stage, then of each warehouse, [V][4]."""
    whole: bool = False
    """Whether demand comes in whole units: then a policy orders whole units outside gradient steps."""

    @property
    def places(self) -> int:
        """Stores, or stages of the chain."""
        return max(len(self.lead_times), 1)

    @property
    def warehouses(self) -> int:
        """W, 0 without any."""
        return len(self.upper_lead_times)

    @property
    def slots(self) -> tuple[int, int]:
        """Observed slots of a store (or stage), and of a warehouse."""
        upper = max(self.upper_lead_times, default=-1) + 1
        return (self.num_inputs - self.warehouses * upper) // self.places, upper

    def to_tensor(self) -> Tensor:
        """The layout as bytes of JSON, uint8, as checkpoints hold tensors only."""
        return torch.tensor(list(json.dumps(dataclasses.asdict(self)).encode()), dtype=torch.uint8)

    @classmethod
    def from_tensor(cls, data: Tensor) -> Layout:
        """The layout that `to_tensor` encoded.

        Raises:
            ValueError: it did not.
        """
        values = json.loads(bytes(data.tolist()).decode())
        if not isinstance(values, dict) or not set(values) <= {f.name for f in dataclasses.fields(cls)}:
            raise ValueError("the layout of the policy cannot be read")
        return cls(**{name: _tuples(value) for name, value in values.items()})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(part) for part in value) if isinstance(value, list) else value


def describe(kernel: Any) -> Layout:
    """The layout of a kernel's problem.

    Args:
        kernel: any with a Box of actions (one axis) and a Box of observations.
    """
    space, p = kernel.action_space, kernel.params
    num_inputs = int(math.prod(kernel.observation_space.shape))
    if not isinstance(kernel, OrderingKernel):
        half = tuple((0.5 * (space.high - space.low)).reshape(-1).tolist())
        return Layout("plain", num_inputs, half, half, tuple((0.5 * (space.high + space.low)).reshape(-1).tolist()))
    scaled = p.actions == "scaled"
    units = kernel.order_units.tolist()
    known = isinstance(kernel, SingleStore | SerialSystem | NetworkKernel)
    if scaled and not known:
        units = [1.0] * len(units)  # the kernel multiplies by a scale of its own, episode by episode
    stock = kernel.stock_units.tolist() if p.observation == "scaled" else [1.0] * num_inputs
    common: dict[str, Any] = {
        "num_inputs": num_inputs,
        "order_units": tuple(units),
        "action_scale": tuple(0.5 * p.max_order * unit if scaled else 1.0 for unit in units),
        "action_shift": (-1.0 if scaled else 0.0,) * len(units),
    }
    if known:
        common["stock_units"] = tuple(stock)
    if isinstance(kernel, SingleStore):
        constants = ((p.holding, p.penalty, p.mean, p.sd),)
        whole = p.distribution == "poisson"
        return Layout("store", lead_times=((p.lead_time,),), features=constants, whole=whole, **common)
    if isinstance(kernel, SerialSystem):
        penalties = (p.penalty, *[0.0] * (kernel.num_stages - 1))
        features = tuple((h, b, p.mean, p.sd) for h, b in zip(p.holdings, penalties, strict=True))
        return Layout("chain", lead_times=tuple((L,) for L in p.lead_times), features=features, **common)
    if isinstance(kernel, NetworkKernel):
        sourcing = p.sourcing()
        stores = tuple(zip(p.holdings, p.penalties, p.means, p.sds, strict=True))
        upper = tuple((h, 0.0, sum(p.means), 0.0) for h in sourcing.warehouse_holdings)
        return Layout(
            "transshipment" if isinstance(kernel, Transshipment) else "network",
            lead_times=sourcing.lead_times,
            upper_lead_times=sourcing.warehouse_lead_times,
            edge_costs=sourcing.edge_costs,
            links=sourcing.links or (),
            features=(*stores, *upper),
            **common,
        )
    return Layout("store", **common)


class OrderPolicy(nn.Module):
    """Base of the policies: rows of observations to actions, by way of orders in units.

    A subclass names the kinds of layout it is for, its step size and hidden layers, and gives `orders`.
    """

    kinds: tuple[str, ...] = ("store", "chain", "network", "transshipment")
    learning_rate: str = "cosine:1e-2:1e-5"
    hidden: tuple[int, ...] = (32, 32)
    order_units: Tensor
    stock_units: Tensor
    scale: Tensor
    shift: Tensor

    def __init__(self, layout: Layout, hidden: tuple[int, ...] = (), activation: str = "elu") -> None:
        super().__init__()
        self.layout = layout
        self.activation = activation
        self.hidden = hidden or self.hidden
        self._constant("order_units", layout.order_units)
        self._constant("stock_units", layout.stock_units)
        self._constant("scale", layout.action_scale)
        self._constant("shift", layout.action_shift)
        self.raw = set(layout.action_scale) == {1.0} and not any(layout.action_shift)

    @classmethod
    def default_hidden(cls, layout: Layout) -> tuple[int, ...]:
        """Default hidden layers for this layout."""
        return cls.hidden

    def _constant(self, name: str, values: Any) -> None:
        # Not in the state: the layout gives them.
        self.register_buffer(name, torch.tensor(values, dtype=torch.float32), persistent=False)

    def forward(self, rows: Tensor, whole: bool = False) -> Tensor:
        """Actions [B, A] for rows [B, O]; with `whole`, of orders in whole units (no gradient passes that)."""
        orders = self.orders(rows)
        if whole:
            orders = orders.round()
        return orders if self.raw else orders / self.scale + self.shift

    def orders(self, rows: Tensor) -> Tensor:
        """Orders [B, A] in units for rows [B, O]; suppliers' stock may still cut them."""
        raise NotImplementedError

    def places(self, rows: Tensor) -> Tensor:
        """Stock and pipeline of the stores or stages, [B, K, S] units."""
        layout = self.layout
        count = layout.places * layout.slots[0]
        return (rows[:, :count] * self.stock_units[:count]).unflatten(1, (layout.places, layout.slots[0]))

    def warehouses(self, rows: Tensor) -> Tensor:
        """Stock and pipeline of the warehouses, [B, W, S'] units."""
        layout = self.layout
        count = layout.places * layout.slots[0]
        upper = rows[:, count:] * self.stock_units[count:]
        return upper.unflatten(1, (layout.warehouses, layout.slots[1]))
