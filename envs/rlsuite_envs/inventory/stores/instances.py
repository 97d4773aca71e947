"""HDPO's published stores: means, deviations, costs and lead times, drawn as its release draws them.

NumPy's legacy generator with one seed per quantity fixes the numbers for ever; `RandomState` is kept for that.

Source: Alvo, Russo, Kanoria, Lee, arXiv 2306.11246 (HDPO), and the settings released with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["PublishedStores", "published_stores"]


@dataclass(frozen=True)
class PublishedStores:
    """Constants of K stores, each of length K."""

    means: tuple[float, ...]
    """Mean demand, units per period."""
    sds: tuple[float, ...]
    """Standard deviation of demand."""
    holdings: tuple[float, ...]
    """Holding cost per unit and period."""
    penalties: tuple[float, ...]
    """Cost per unit short."""
    lead_times: tuple[int, ...]
    """Periods from order to arrival."""


def published_stores(num_stores: int) -> PublishedStores:
    """The K stores of HDPO's instances with num_stores = K.

    Means are uniform in [2.5, 7.5] and deviations are means times a coefficient uniform in [0.25, 0.5], both to 3
    decimals; holding costs uniform in [0.7, 1.3], penalties in [6.3, 11.7], lead times 2 or 3. Seeds: mean 33,
    coefficient 92, holding 73, penalty 28, lead time 41.
    """

    def uniform(seed: int, low: float, high: float) -> np.ndarray:
        return np.random.RandomState(seed).uniform(low, high, num_stores)

    means = uniform(33, 2.5, 7.5).round(3)
    sds = (means * uniform(92, 0.25, 0.5)).round(3)
    return PublishedStores(
        tuple(means.tolist()),
        tuple(sds.tolist()),
        tuple(uniform(73, 0.7, 1.3).tolist()),
        tuple(uniform(28, 6.3, 11.7).tolist()),
        tuple(np.random.RandomState(41).randint(2, 4, num_stores).tolist()),
    )
