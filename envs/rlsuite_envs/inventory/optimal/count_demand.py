"""Demand in whole units from a table of probabilities: every distribution of counts is drawn the same way.

A table is exact, is drawn by one search per unit-interval number on any device, and gives exact solvers the very
probabilities that the environment uses.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["DISTRIBUTIONS", "CountDemand", "count_table"]

MOST = 10_000
"""Largest demand of a table."""
NORMAL_TAIL = 9.0
"""Normal demand is tabulated up to this many standard deviations above the mean (probability beyond: 1e-19)."""


def count_table(distribution: str, parameters: Any, num_items: int) -> np.ndarray:
    """Probabilities of the demands 0, 1, ..., V - 1 of each item.

    Args:
        distribution: one of `DISTRIBUTIONS`.
        parameters: two entries, which depend on the distribution:
            "binomial": trials n >= 0, probability in [0, 1];
            "poisson": mean >= 0 (one entry);
            "normal": mean, standard deviation >= 0; rounded to whole units, negative draws become 0;
            "uniform": lowest and highest demand, both included;
            "pmf": demands (whole, >= 0, all different) and their weights (>= 0).
            Each number may be a tuple of one number per item; weights may be one tuple of weights per item.
        num_items: I.

    Returns:
        [1, V] where all items have the same distribution, else [I, V].

    Raises:
        ValueError: naming `demand` or `demand_parameters`, its value and what is allowed.
    """
    if not isinstance(distribution, str) or distribution not in DISTRIBUTIONS:
        known = ", ".join(repr(name) for name in DISTRIBUTIONS)
        raise ValueError(f"demand={distribution!r} must be one of {known}.")
    names, build = DISTRIBUTIONS[distribution]
    if not isinstance(parameters, tuple) or len(parameters) != len(names):
        raise ValueError(f"demand_parameters={parameters!r} must be ({', '.join(names)}) for {distribution!r}.")
    if distribution == "pmf":
        return _pmf(parameters[0], parameters[1], num_items)
    columns = [_numbers(name, value, num_items) for name, value in zip(names, parameters, strict=True)]
    items = max(len(column) for column in columns)
    rows = [build(*(column[i % len(column)] for column in columns)) for i in range(items)]
    table = np.zeros((items, max(map(len, rows))))
    for i, row in enumerate(rows):
        table[i, : len(row)] = row / row.sum()
    return table


def _numbers(name: str, value: Any, num_items: int) -> list[float]:
    """One number for all items, or one for each."""
    entries = list(value) if isinstance(value, tuple) else [value]
    if isinstance(value, tuple) and len(entries) != num_items:
        raise ValueError(
            f"demand_parameters: {name} has {len(entries)} entries but must have {num_items}, one per item."
        )
    for entry in entries:
        number = isinstance(entry, int | float) and not isinstance(entry, bool)
        if not number or not math.isfinite(entry) or not 0 <= entry <= MOST:
            raise ValueError(f"demand_parameters: {name}={entry!r} must be a number in [0, {MOST}].")
    return entries


def _whole(name: str, value: float) -> int:
    if value != int(value):
        raise ValueError(f"demand_parameters: {name}={value!r} must be a whole number.")
    return int(value)


def _binomial(trials: float, probability: float) -> np.ndarray:
    from scipy.stats import binom

    if probability > 1:
        raise ValueError(f"demand_parameters: probability={probability!r} must lie in [0, 1].")
    trials = _whole("trials", trials)
    return binom.pmf(np.arange(trials + 1), trials, probability)


def _poisson(mean: float) -> np.ndarray:
    from scipy.stats import poisson

    return poisson.pmf(np.arange(int(mean + 12 * math.sqrt(mean) + 30)), mean)


def _normal(mean: float, deviation: float) -> np.ndarray:
    from scipy.stats import norm

    edges = np.arange(math.ceil(mean + NORMAL_TAIL * deviation) + 1) + 0.5
    if deviation == 0:
        return np.diff((edges > mean).astype(float), prepend=0.0)
    return np.diff(norm.cdf(edges, mean, deviation), prepend=0.0)


def _uniform(low: float, high: float) -> np.ndarray:
    first, last = _whole("lowest", low), _whole("highest", high)
    if first > last:
        raise ValueError(f"demand_parameters: lowest={low!r} must not exceed highest={high!r}.")
    return (np.arange(last + 1) >= first).astype(float)


def _pmf(values: Any, weights: Any, num_items: int) -> np.ndarray:
    if not isinstance(values, tuple) or not values or len(set(values)) != len(values):
        raise ValueError(f"demand_parameters: demands={values!r} must be a tuple of different whole numbers.")
    demands = [_whole("demands", value) for value in _numbers("demands", values, len(values))]
    per_item = isinstance(weights, tuple) and bool(weights) and isinstance(weights[0], tuple)
    rows = weights if per_item else (weights,)
    if per_item and len(rows) != num_items:
        raise ValueError(f"demand_parameters: weights has {len(rows)} rows but must have {num_items}, one per item.")
    table = np.zeros((len(rows), max(demands) + 1))
    for i, row in enumerate(rows):
        if not isinstance(row, tuple) or len(row) != len(demands):
            raise ValueError(f"demand_parameters: weights={row!r} must be {len(demands)} numbers, one per demand.")
        table[i, demands] = _numbers("weights", row, len(demands))
        if not table[i].sum() > 0:
            raise ValueError(f"demand_parameters: weights={row!r} must not all be 0.")
    return table / table.sum(1, keepdims=True)


DISTRIBUTIONS: dict[str, tuple[tuple[str, ...], Callable[..., np.ndarray]]] = {
    "binomial": (("trials", "probability"), _binomial),
    "poisson": (("mean",), _poisson),
    "normal": (("mean", "deviation"), _normal),
    "uniform": (("lowest", "highest"), _uniform),
    "pmf": (("demands", "weights"), _pmf),
}
"""Name -> names of its parameters, and the function that tabulates it."""


class CountDemand:
    """Independent demands in whole units, drawn by Walker's alias method: one number and two look-ups each.

    Args:
        table: probabilities [I, V], or [1, V] for items that are alike; see `count_table`.
        num_items: I.
        device: where demands are drawn.
        dtype: of the demands.

    Source: M. D. Vose, "A linear algorithm for generating random numbers with a given distribution", 1991.
    """

    def __init__(self, table: np.ndarray, num_items: int, *, device: torch.device, dtype: torch.dtype) -> None:
        self.num_items = num_items
        self._values = table.shape[1]
        cells = [_alias_cells(row) for row in table]
        thresholds, others = (np.concatenate(part) for part in zip(*cells, strict=True))
        self._thresholds = torch.tensor(thresholds, device=device, dtype=torch.float32)
        self._others = torch.tensor(others, device=device, dtype=torch.int32)
        rows = torch.arange(len(table), device=device, dtype=torch.int32) * self._values
        self._first_cells = None if len(table) == 1 else rows
        self._dtype = dtype

    def sample(self, num: int, rng: torch.Generator) -> Tensor:
        """Demands [num, I]."""
        shape = (num, self.num_items)
        # u < 1 is a multiple of 2^-24, so that u V rounds to less than V: there is no cell V.
        place = torch.rand(shape, generator=rng, device=self._thresholds.device).mul_(self._values)
        own = place.to(torch.int32)
        cells = (own if self._first_cells is None else own + self._first_cells).flatten()
        threshold = self._thresholds.index_select(0, cells).view(shape)
        other = self._others.index_select(0, cells).view(shape)
        return torch.where(place < threshold, own, other).to(self._dtype)


def _alias_cells(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """V cells of equal probability, [k, k + 1): below the threshold in it value k is drawn, above the other one."""
    share = probabilities * len(probabilities)
    thresholds, others = np.arange(1.0, len(share) + 1.0), np.arange(len(share))
    poor, rich = list(np.flatnonzero(share < 1)), list(np.flatnonzero(share >= 1))
    while poor and rich:
        cell, giver = poor.pop(), rich[-1]
        thresholds[cell], others[cell] = cell + share[cell], giver
        share[giver] -= 1.0 - share[cell]
        if share[giver] < 1:
            poor.append(rich.pop())
    # What is left differs from a full cell by rounding only, for the shares left add up to their number.
    return thresholds, others
