"""Key figures of a supply network's episode, from sums over its periods."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

__all__ = ["Totals", "key_figures"]


@dataclass(frozen=True)
class Totals:
    """Sums over the periods of an episode, for the key figures."""

    profit: Tensor
    """Profit so far (money, discounted as the reward is), [B]."""
    demand: Tensor
    """Units demanded, [B]."""
    demand_squares: Tensor
    """Squares of the units demanded per period, [B]."""
    sold: Tensor
    """Units sold, [B]."""
    unmet: Tensor
    """Unmet demand at the ends of the periods, [B]."""
    served: Tensor
    """Periods without unmet demand, [B]."""
    stock: Tensor
    """Stock of all nodes at the ends of the periods, [B]."""
    orders: Tensor
    """Units ordered (not: filled), [B, E]."""
    order_squares: Tensor
    """Squares of the units ordered per period, [B, E]."""
    total_order_squares: Tensor
    """Squares of all links' orders per period, [B]."""

    @classmethod
    def none(cls, scalar: Tensor, links: Tensor) -> Totals:
        """Sums of no period, from zeros [B] and zeros [B, E]."""
        per_link = ("orders", "order_squares")  # every field a tensor of its own, lest one write change two
        return cls(**{f.name: (links if f.name in per_link else scalar).clone() for f in fields(cls)})


def key_figures(totals: Totals, t: Tensor, num_nodes: int) -> dict[str, Tensor]:
    """Name -> [B]; see `SupplyNetwork` for their meaning.

    Args:
        totals: sums over the episode so far.
        t: periods so far, [B] int64.
        num_nodes: N, of stock nodes.
    """
    periods = t.clamp_min(1).to(totals.profit.dtype)
    average = totals.stock / (periods * num_nodes)
    all_orders = totals.orders.sum(1)
    order_spread = _squared_variation(all_orders, totals.total_order_squares, periods)
    demand_spread = _squared_variation(totals.demand, totals.demand_squares, periods)
    # Largest over the links: T sum x^2 / (sum x)^2 is 1 + the squared coefficient of variation.
    shares = (totals.order_squares / totals.orders.square()).nan_to_num(0.0).amax(1)
    link_spread = _above_rounding(shares * periods - 1.0)
    amplified = order_spread * all_orders.square() / (demand_spread * totals.demand.square())
    return {
        "profit": totals.profit,
        "fill_rate": torch.where(totals.demand > 0, totals.sold / totals.demand, 1.0),
        "service_level": torch.where(t == 0, 1.0, totals.served / periods),
        "average_inventory": average,
        "inventory_turns": torch.where(average > 0, totals.sold / average, 0.0),
        "unfulfilled": totals.unmet,
        "bullwhip": torch.where(demand_spread > 0, amplified, 0.0),
        "bullwhip_cv": torch.where(demand_spread > 0, (link_spread / demand_spread).sqrt(), 0.0),
    }


def _squared_variation(total: Tensor, squares: Tensor, periods: Tensor) -> Tensor:
    """Squared coefficient of variation from sums [B]: T sum x^2 / (sum x)^2 - 1, 0 where nothing happened."""
    return _above_rounding((squares / total.square()).nan_to_num(0.0) * periods - 1.0)


def _above_rounding(variation: Tensor) -> Tensor:
    """0 where a difference of nearly equal sums is lost in rounding."""
    return torch.where(variation > 1e-5, variation, 0.0)
