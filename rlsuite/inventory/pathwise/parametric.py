"""Classical ordering rules as modules of few parameters, which the gradient of the simulation can tune.

Levels and caps are kept as softplus(u) times mean demand, so that they stay positive and one step size fits all.
Demand in whole units makes levels effective in steps; training is on the smooth problem all the same, and orders are
rounded at work.

Source: Alvo, Russo, Kanoria, Lee, arXiv 2306.11246 (HDPO): base stock, capped base stock and echelon stock. The
rules for warehouses are the usual ones of the literature: a dual index for two sources, echelon levels above stores.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from rlsuite.inventory.pathwise.layout import Layout, OrderPolicy

__all__ = ["BaseStock", "CappedBaseStock", "EchelonStock", "set_levels"]


def positive(values: Tensor) -> nn.Parameter:
    """A parameter u with softplus(u) = values > 0."""
    return nn.Parameter(values + torch.log(-torch.expm1(-values)))


class EchelonStock(OrderPolicy):
    """Chain: each stage orders up to a level of its echelon, (level - position)^+.

    The echelon position of a stage is all stock and pipeline from it down to the store, minus what customers are owed.
    The level of a stage is the sum of positive parts, its own and those of the stages below.
    """

    kinds = ("chain",)
    learning_rate = "cosine:5e-2:5e-4"

    def __init__(self, layout: Layout, hidden: tuple[int, ...] = (), activation: str = "elu") -> None:
        super().__init__(layout)
        leads = torch.tensor([float(row[0]) for row in layout.lead_times])
        self.part = positive(leads + torch.tensor([2.0, *[0.2] * (len(leads) - 1)]))

    def orders(self, rows: Tensor) -> Tensor:
        """Orders [B, N] units."""
        level = (softplus(self.part) * self.order_units).cumsum(0)
        return (level - self.places(rows).sum(-1).cumsum(1)).clamp_min(0)


class BaseStock(OrderPolicy):
    """Order up to a level, (level - position)^+.

    One store: its position is stock and pipeline. Warehouses with stores: every link has a level. A store orders
    first from the quickest warehouse, up to that level of what arrives no later, then from the next one, counting
    what was just ordered (one warehouse: plain base stock; two: a dual index). A warehouse alone orders up to a level
    of everything in the system; one of several up to a level of its own stock and pipeline after shipping.
    Transshipment: what arrives is divided so that store k is brought towards a_k + b_k (what there is - sum of a),
    with shares b that sum to 1: equal fractiles, if a are the means and b the deviations.
    """

    kinds: tuple[str, ...] = ("store", "network", "transshipment")
    learning_rate = "cosine:5e-2:5e-4"
    capped = False

    def __init__(self, layout: Layout, hidden: tuple[int, ...] = (), activation: str = "elu") -> None:
        super().__init__(layout)
        leads = torch.tensor(layout.lead_times, dtype=torch.float32)
        self.level = positive(leads + 2)
        if layout.warehouses:
            upper = torch.tensor(layout.upper_lead_times, dtype=torch.float32)
            alone = layout.warehouses == 1
            self.upper_level = positive(upper + (leads.mean() + 1 if alone else 1))
        if layout.kind == "transshipment":
            sds = torch.tensor(layout.features, dtype=torch.float32)[: layout.places, 3]
            self.share = nn.Parameter(sds.clamp_min(1e-3).log())
        if self.capped:
            self.cap = positive(torch.full_like(leads, 1.5))
        self._rank(layout)

    def _rank(self, layout: Layout) -> None:
        """The warehouses in the order of their lead times, store by store: `turn` [rank][K, W] and what they count."""
        leads = torch.tensor(layout.lead_times)
        order = leads.argsort(dim=1, stable=True)
        for rank in range(leads.shape[1]):
            turn = nn.functional.one_hot(order[:, rank], leads.shape[1]).float()
            if layout.links:
                turn = turn * torch.tensor(layout.links)
            lead = leads.gather(1, order[:, rank : rank + 1])
            counted = (torch.arange(layout.slots[0]) <= lead).float()
            if rank == leads.shape[1] - 1:
                counted = torch.ones_like(counted)  # nothing arrives later but by orders that count as well
            self.register_buffer(f"turn{rank}", turn, persistent=False)
            self.register_buffer(f"counted{rank}", counted, persistent=False)
        self.ranks = leads.shape[1]

    def orders(self, rows: Tensor) -> Tensor:
        """Orders [B, A] units."""
        layout, places = self.layout, self.places(rows)
        count = max(layout.warehouses, 1)
        units = self.order_units[: layout.places * count].unflatten(0, (layout.places, count)) * count
        level = softplus(self.level) * units
        if layout.kind == "transshipment":
            return self._divide(rows, places, level[:, 0])
        wants = places.new_zeros(rows.shape[0], layout.places, count)
        for rank in range(self.ranks):
            turn = getattr(self, f"turn{rank}")
            position = (places * getattr(self, f"counted{rank}")).sum(-1) + wants.sum(-1)
            want = ((level * turn).sum(-1) - position).clamp_min(0)
            if self.capped:
                want = torch.minimum(want, (softplus(self.cap) * units * turn).sum(-1))
            wants = wants + want.unsqueeze(-1) * turn
        if not layout.warehouses:
            return wants.flatten(1)
        upper = self.warehouses(rows)
        top = softplus(self.upper_level) * self.order_units[-count:]
        if count == 1:
            position = upper.sum(-1) + places.sum((1, 2)).unsqueeze(1)
        else:
            position = upper.sum(-1) - torch.minimum(wants.sum(1), upper[..., 0])
        return torch.cat((wants.flatten(1), (top - position).clamp_min(0)), dim=1)

    def _divide(self, rows: Tensor, places: Tensor, level: Tensor) -> Tensor:
        upper = self.warehouses(rows)[:, 0]
        position = places.sum(-1)
        total = position.sum(1, keepdim=True)
        surplus = total + upper[:, :1] - level.sum()
        wants = (level + surplus * torch.softmax(self.share, 0) - position).clamp_min(0)
        top = softplus(self.upper_level) * self.order_units[-1:]
        own = (top - total - upper.sum(1, keepdim=True)).clamp_min(0)
        return torch.cat((wants, own), dim=1)


class CappedBaseStock(BaseStock):
    """Order up to a level with a largest order per link, min((level - position)^+, cap); see `BaseStock`."""

    kinds = ("store", "network")
    capped = True


def set_levels(policy: OrderPolicy, levels: Sequence[float]) -> None:
    """Give a base-stock policy of one store its level, or an echelon policy its levels, in units and > 0.

    Args:
        policy: of this module, for a store or a chain.
        levels: one; or one per stage from the store up, growing.

    Raises:
        ValueError: another kind of policy, or levels that cannot be.
    """
    parts = torch.diff(torch.tensor([0.0, *levels])) / policy.order_units[0]
    if isinstance(policy, BaseStock) and policy.layout.kind == "store":
        target = policy.level
    elif isinstance(policy, EchelonStock):
        target = policy.part
    else:
        raise ValueError(f"{type(policy).__name__} for a {policy.layout.kind} has no levels that can be set")
    if parts.numel() != target.numel() or not bool((parts > 0).all()):
        raise ValueError(f"levels={tuple(levels)} must be {target.numel()} growing numbers above 0")
    target.data = positive(parts).data.reshape(target.shape)
