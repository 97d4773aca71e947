"""Fronts that are known exactly, and brute force for small ones."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

STEPS = np.array([1, 3, 5, 7, 8, 9, 13, 14, 17, 19.0])


class Fronts:
    """Deep-sea treasure's fronts as (treasure, -steps), undiscounted, and what can be said of any small front."""

    convex = np.stack([[0.7, 8.2, 11.5, 14, 15.1, 16.1, 19.6, 20.3, 22.4, 23.7], -STEPS], axis=1)
    concave = np.stack([[1, 2, 3, 5, 8, 16, 24, 50, 74, 124], -STEPS], axis=1)

    @staticmethod
    def discounted(front, gamma):
        """Treasure v after n steps: (v gamma^(n - 1), -(1 - gamma^n) / (1 - gamma))."""
        steps = -front[:, 1]
        return np.stack([front[:, 0] * gamma ** (steps - 1), -(1 - gamma**steps) / (1 - gamma)], axis=1)

    @staticmethod
    def volume(points, reference):
        """The hypervolume by inclusion and exclusion over all subsets: 2^n terms."""
        total = 0.0
        for size in range(1, len(points) + 1):
            for subset in combinations(points, size):
                total -= (-1) ** size * np.prod(np.maximum(np.min(subset, axis=0) - reference, 0))
        return total

    @staticmethod
    def dominates(p, q):
        return np.all(p >= q) and np.any(p > q)

    @staticmethod
    def sphere(n, m, seed):
        """n vectors of the unit sphere's positive part: none dominates another."""
        points = np.abs(np.random.default_rng(seed).normal(size=(n, m)))
        return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.fixture(scope="session")
def fronts():
    return Fronts
