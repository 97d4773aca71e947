"""Demand of a plant whose periods or items are not independent and alike: seasons, histories, correlation.

A season is a cycle of S periods with a table of probabilities each; a history is demand itself, T periods that repeat.
Items are correlated by a Gaussian copula: of normal draws z_i = sqrt(c) z + sqrt(1 - c) e_i, with z shared by all items
of a period, demand is the quantile at Phi(z_i). Every item keeps exactly the distribution of its table; c = 1 makes
items of equal tables equal.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlsuite_envs.inventory.optimal.count_demand import MOST, count_table

__all__ = ["PhasedDemand", "check_history", "mean_table", "season_tables"]


def season_tables(distribution: str, seasons: tuple[Any, ...], num_items: int) -> np.ndarray:
    """Probabilities of the demands 0, 1, ..., V - 1 in every period of a season, [S, I, V] (or [S, 1, V])."""
    tables = []
    for period, parameters in enumerate(seasons):
        try:
            tables.append(count_table(distribution, parameters, num_items))
        except ValueError as error:
            raise ValueError(f"seasons[{period}]={parameters!r}: {error}") from error
    items, values = (max(table.shape[axis] for table in tables) for axis in (0, 1))
    padded = [np.pad(table, ((0, 0), (0, values - table.shape[1]))) for table in tables]
    return np.stack([np.broadcast_to(table, (items, values)) for table in padded])


def mean_table(history: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """How often each item's demand was 0, 1, ..., V - 1 in a history [T][I]: shares [I, V]."""
    counts = np.array(history, dtype=np.int64)
    return np.stack([np.bincount(column, minlength=counts.max() + 1) for column in counts.T]) / len(counts)


def check_history(history: Any, num_items: int) -> None:
    """Raise ValueError unless history is rows of one whole number per item."""
    for period, row in enumerate(history):
        if not isinstance(row, tuple) or len(row) != num_items or not all(_is_count(units) for units in row):
            raise ValueError(f"history[{period}]={row!r} must be {num_items} whole numbers in 0..{MOST}, one per item.")


def _is_count(units: Any) -> bool:
    return isinstance(units, int) and not isinstance(units, bool) and 0 <= units <= MOST


class PhasedDemand:
    """Demand in whole units by inverse distribution functions.

    Args:
        tables: probabilities [S, I, V] (or [S, 1, V] for items that are alike).
        num_items: I.
        correlation: c in [0, 1].
        device: where demands are drawn.
        dtype: of the demands.
    """

    def __init__(
        self, tables: np.ndarray, num_items: int, correlation: float, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.num_items, self.correlation, self._dtype = num_items, correlation, dtype
        cumulated = tables.cumsum(-1)
        # Rounding leaves the sum just below 1: from the largest possible demand on, every draw has been reached.
        last = tables.shape[-1] - 1 - (tables[..., ::-1] > 0).argmax(-1)
        cumulated[np.arange(tables.shape[-1]) >= last[..., None]] = np.inf
        full = np.broadcast_to(cumulated, (len(tables), num_items, tables.shape[-1]))
        self._cumulated = torch.tensor(full, device=device, dtype=torch.float64)

    def sample(self, phase: Tensor, rng: torch.Generator) -> Tensor:
        """Demands [B, I] in the periods phase [B] of the season."""
        device, num = self._cumulated.device, len(phase)
        if self.correlation:
            own = torch.randn((num, self.num_items), generator=rng, device=device, dtype=torch.float64)
            shared = torch.randn((num, 1), generator=rng, device=device, dtype=torch.float64)
            place = torch.special.ndtr(math.sqrt(self.correlation) * shared + math.sqrt(1 - self.correlation) * own)
        else:
            place = torch.rand((num, self.num_items), generator=rng, device=device, dtype=torch.float64)
        found = torch.searchsorted(self._cumulated[phase], place.unsqueeze(-1), right=True)
        return found.squeeze(-1).to(self._dtype)
