"""Four test surfaces on [-1, 1]^2 with values of about 0 to 1, all to be maximised: objectives of grids.

Source: Chen and Mauch 2024 (arXiv 2310.00386), multi-objective hypergrid; after Branin, Currin, Shubert and Beale. As
there, the largest values of Beale's function count as the best, and Currin's slightly exceeds 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

__all__ = ["SURFACES"]


def _branin(a: Tensor, b: Tensor) -> Tensor:
    x, y = 7.5 * (a + 1) - 5, 7.5 * (b + 1)
    bowl = (y - 5.1 * x.square() / (4 * math.pi**2) + 5 * x / math.pi - 6).square()
    return 1 - (bowl + 10 * (1 - 1 / (8 * math.pi)) * x.cos() + 10) / 308.13


def _currin(a: Tensor, b: Tensor) -> Tensor:
    x, y = (a + 1) / 2, (b + 1) / 2
    top = 2300 * x**3 + 1900 * x**2 + 2092 * x + 60
    return (1 - (-1 / (2 * y + 1e-10)).exp()) * top / (100 * x**3 + 500 * x**2 + 4 * x + 20) / 13.77


def _shubert(a: Tensor, b: Tensor) -> Tensor:
    def waves(z: Tensor) -> Tensor:
        return torch.stack([i * ((i + 1) * z + i).cos() for i in range(1, 6)]).sum(0)

    return (waves(-1.5 * a) * waves(-1.5 * b) + 186.8) / 397


def _beale(a: Tensor, b: Tensor) -> Tensor:
    parts = [(c - a + a * b**k).square() for k, c in ((1, 1.5), (2, 2.25), (3, 2.625))]
    return torch.stack(parts).sum(0) / 38.8


SURFACES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "branin": _branin,
    "currin": _currin,
    "shubert": _shubert,
    "beale": _beale,
}
"""Functions of coordinates a, b [N] in [-1, 1], by name."""
