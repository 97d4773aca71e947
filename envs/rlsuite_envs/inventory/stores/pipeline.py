"""Stock and what is on its way, as pure functions that gradients pass through.

An inventory is a tensor [..., S]: slot 0 is on hand (negative: backlogged demand), slot k arrives in k periods.
A period is: orders go to the slots of their lead times (`place`), demand takes from slot 0 (`serve`), everything
moves one slot down (`advance`). So an order of period t with lead time L >= 1 can serve the demand of period
t + L, and the inventory position after ordering (the sum over the slots) has to cover the demands of the L + 1
periods t .. t + L. (Where demand is seen before ordering, or review is continuous, textbooks have L.)

Source: Alvo, Russo, Kanoria, Lee, "Deep RL for Inventory Networks" (HDPO), arXiv 2306.11246: its recurrences.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["advance", "place", "serve", "share_all", "share_out", "slot_masks"]

NOTHING = 1e-9
"""Orders of fewer units than this altogether have no meaningful proportions, and wild gradients: they count as none."""


def slot_masks(lead_times: Tensor, slots: int) -> Tensor:
    """Where orders go: [*lead_times.shape, slots] bool, True in slot L of a location with lead time L < slots."""
    return lead_times.unsqueeze(-1) == torch.arange(slots, device=lead_times.device)


def place(inventory: Tensor, order: Tensor, mask: Tensor) -> Tensor:
    """The inventory [..., S] with an order [...] (units) added in the slot of its lead time.

    Args:
        inventory: [..., S].
        order: [...].
        mask: `slot_masks` [..., S] as numbers 0 and 1, broadcast over the leading axes.
    """
    return torch.addcmul(inventory, order.unsqueeze(-1), mask)


def serve(stock: Tensor, demand: Tensor, *, lost: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Stock on hand after demand.

    Args:
        stock: [...] units on hand, negative where demand is backlogged.
        demand: [...] units.
        lost: unserved demand is lost; else it waits as negative stock.

    Returns:
        left: [...] stock after demand, >= 0 where demand is lost.
        over: [...] units left over, (stock - demand)^+.
        short: [...] units of demand not served or (backlog) still waiting, (demand - stock)^+.
    """
    left = stock - demand
    over, short = left.clamp_min(0), (-left).clamp_min(0)
    return (over if lost else left), over, short


def advance(inventory: Tensor, left: Tensor) -> Tensor:
    """The next period's inventory [..., S]: what is left on hand [...] and slot 1 meet, the rest moves down."""
    arrived = (left + inventory[..., 1]).unsqueeze(-1)
    return torch.cat((arrived, inventory[..., 2:], torch.zeros_like(arrived)), dim=-1)


def share_out(wanted: Tensor, available: Tensor) -> Tensor:
    """Orders cut in proportion to what there is: wanted * min(1, available / sum of wanted).

    Args:
        wanted: [..., K, W] >= 0, the orders of K takers at W suppliers.
        available: [..., W] units on hand at the suppliers; negative counts as nothing.

    Returns:
        [..., K, W]; its sum over K is at most `available` (but for rounding).
    """
    total = wanted.sum(-2)
    available = available.clamp_min(0)
    scarce = total > available
    # The inner `where` keeps 0 / 0 out of the branch not taken, whose gradient would be NaN all the same.
    scale = torch.where(scarce, available / torch.where(scarce, total, 1.0), 1.0)
    return wanted * scale.unsqueeze(-2)


def share_all(wanted: Tensor, available: Tensor, fallback: Tensor) -> Tensor:
    """Everything there is, in proportion to the orders: available * wanted / sum of wanted.

    Args:
        wanted: [..., K, W] >= 0.
        available: [..., W] units.
        fallback: [K, 1] shares that sum to 1, for suppliers where nobody wants anything.

    Returns:
        [..., K, W]; its sum over K is `available`.
    """
    total = wanted.sum(-2, keepdim=True)
    some = total > NOTHING
    shares = torch.where(some, wanted / torch.where(some, total, 1.0), fallback)
    return shares * available.clamp_min(0).unsqueeze(-2)
