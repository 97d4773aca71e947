"""What classical rules know of HDPO's problems: stores, and what supplies them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rlsuite.inventory.classical.sites import LEAST_ECHELON_HOLDING, VIRTUAL_ORDERS, Sites
from rlsuite_envs.inventory.stores.ordering import OrderingKernel
from rlsuite_envs.inventory.stores.serial import SerialState, SerialSystem
from rlsuite_envs.inventory.stores.stores import SingleStore, StoreState
from rlsuite_envs.inventory.stores.warehouse import NetworkKernel, NetworkState

__all__ = ["OrderingSites"]


class OrderingSites(Sites):
    """HDPO's problems. Places: the stores, then what supplies them; orders have the places' order."""

    kernel: OrderingKernel[Any]

    def __init__(self, kernel: OrderingKernel[Any]) -> None:
        super().__init__(kernel)
        p, means = kernel.params, kernel.demand.mean
        num_stores, num_above = len(means), 0
        if isinstance(kernel, SingleStore):
            self.lead = [p.lead_time]
            self.lead_below = [0]
            holding, penalty = [p.holding], p.penalty
            self.below = self.serves = self._floats([[1.0]])
        elif isinstance(kernel, SerialSystem):
            self.lead = list(p.lead_times)
            self.lead_below = [sum(p.lead_times[:k]) for k in range(len(self.lead))]
            holding, penalty = list(p.holdings), p.penalty
            ones = torch.ones(len(self.lead), len(self.lead), dtype=kernel.dtype, device=kernel.device)
            self.below = ones.tril()
            self.serves = ones[:, :1]
        else:
            sourcing, num_above = p.sourcing(), len(p.sourcing().warehouse_lead_times)
            self.lead = [max(row) for row in sourcing.lead_times] + list(sourcing.warehouse_lead_times)
            longest = max(self.lead[:num_stores])
            self.lead_below = [0] * num_stores + [longest] * num_above
            holding = [*p.holdings, *sourcing.warehouse_holdings]
            # Warehouses share the stores evenly.
            share = torch.full((num_above, num_stores), 1.0 / num_above, dtype=kernel.dtype, device=kernel.device)
            stores = torch.eye(num_stores, dtype=kernel.dtype, device=kernel.device)
            self.serves = torch.cat((stores, share))
            above = torch.eye(num_stores + num_above, dtype=kernel.dtype, device=kernel.device)[:, num_stores:]
            self.below = torch.cat((self.serves, above), dim=1)
            penalty = sum(p.penalties) / num_stores
        size = len(self.lead)
        self.names = tuple(kernel.place_units())
        self.holding = self._floats(holding)
        self.shortage = self._floats([penalty] * size)
        if num_above:
            self.shortage[:num_stores] = self._floats(p.penalties)
        upper = [*self.holding[1:].tolist(), 0.0] if isinstance(kernel, SerialSystem) else [0.0] * size
        if num_above:
            upper[:num_stores] = [min(self.holding[num_stores:].tolist())] * num_stores
        self.echelon_holding = (self.holding - self._floats(upper)).clamp_min(LEAST_ECHELON_HOLDING)
        self.fixed_cost = VIRTUAL_ORDERS * self.holding
        self.prior = means
        self.split = self._split(num_stores, num_above, size)
        factor = getattr(kernel.demand, "factor", None)
        if factor is None:
            covariance = means.diag()
        else:
            covariance = factor.square().diag() if factor.ndim == 1 else factor @ factor.mT
        self._mean = self.serves @ means
        self._variance = (self.serves @ covariance @ self.serves.mT).diagonal()

    def _split(self, num_stores: int, num_above: int, size: int) -> Tensor:
        """Shares [N, E] of links in orders: stores order evenly from the warehouses they are linked to."""
        if not num_above:
            return torch.eye(size, dtype=self.kernel.dtype, device=self.kernel.device)
        links = self.kernel.params.sourcing().links or ((True,) * num_above,) * num_stores
        split = self._floats([[0.0] * (num_stores * num_above + num_above)] * size)
        for k, row in enumerate(links):
            split[k, k * num_above : (k + 1) * num_above] = self._floats(row) / sum(row)
        split[num_stores:, num_stores * num_above :].fill_diagonal_(1.0)
        return split

    def read(self, obs: Tensor) -> Any:
        """The kernel's state with slots in units; the last period's demand is not observed (NaN)."""
        kernel, rows = self.kernel, obs.to(self.kernel.dtype)
        if kernel.params.observation == "scaled":
            rows = rows * kernel.stock_units
        none = rows.new_full((len(rows),), torch.nan)
        if isinstance(kernel, SingleStore):
            return StoreState(rows, none, none, none)
        if isinstance(kernel, SerialSystem):
            return SerialState(rows.unflatten(1, (kernel.num_stages, -1)), none, none, none)
        assert isinstance(kernel, NetworkKernel)
        above = (max(kernel.params.sourcing().warehouse_lead_times) + 1) * kernel.num_warehouses
        stores = rows[:, :-above].unflatten(1, (kernel.num_stores, -1))
        each = none[:, None].expand(-1, kernel.num_stores)
        return NetworkState(stores, rows[:, -above:].unflatten(1, (kernel.num_warehouses, -1)), each, each, none)

    def position(self, state: Any) -> Tensor:
        """Inventory position [B, N] in units: the sum of all slots; negative stock is backlog."""
        if isinstance(state, StoreState):
            return state.inventory.sum(1, keepdim=True)
        if isinstance(state, SerialState):
            return state.inventory.sum(2)
        return torch.cat((state.stores.sum(2), state.warehouses.sum(2)), dim=1)

    def demand(self, state: Any) -> Tensor:
        """Last demand [B, M] of the stores, units."""
        return state.demand.reshape(len(state.demand), -1)

    def outlook(self, state: Any, periods: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Mean and variance [B, N] of stationary demand; normal demand as before negative draws become 0."""
        rows, count = len(state.demand), self._floats(periods)
        return (self._mean * count).expand(rows, -1), (self._variance * count).expand(rows, -1)

    def path(self, state: Any, periods: int) -> Tensor:
        """Mean demand [B, periods, M]; it is the same in every period."""
        return self.prior.expand(len(state.demand), periods, -1)

    def action(self, orders: Tensor) -> Tensor:
        """Action whose orders these are: the inverse of the kernel's `wanted`."""
        kernel = self.kernel
        if kernel.params.actions == "orders":
            return orders.clamp_min(0.0)
        return (2.0 * orders / (kernel.params.max_order * kernel.order_units) - 1.0).clamp(-1.0, 1.0)
