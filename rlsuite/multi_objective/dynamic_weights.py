"""Hypervolume-guided training: what enlarges the front counts for more (Lu et al. 2025, arXiv:2509.11452, section 3).

The paper multiplies the whole reward of a policy by a "meta reward" that is large when its last measured returns
enlarged the front, and leaves the weights of the objectives as they are:

    r' = (0.5 + 1.5 tanh(max(0, HV(F + p) - HV(F)))) r

Two things are done otherwise here. PPO divides advantages by their standard deviation, so that a common factor of the
rewards cancels: the factor multiplies the step size instead. And tanh saturates where objectives are not of size one:
each is scaled to [0, 1] between the reference point and the best of front and points first, so that hypervolumes lie
in [0, 1], too.

Source: the paper's abstract and the authors' release.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rlsuite.multi_objective.indicators import hypervolume
from rlsuite.multi_objective.points import check_points, check_reference

__all__ = ["meta_reward", "scaled_meta_reward"]

Array = npt.NDArray[np.float64]


def meta_reward(front: Any, points: Any, reference: Any) -> Array:
    """0.5 + 1.5 tanh(what each point adds to the front's hypervolume), in [0.5, 2).

    Args:
        front: [n, m] vectors, n >= 0.
        points: [P, m], each added to the front alone.
        reference: [m].

    Returns:
        [P]; 0.5 for a point that adds nothing.

    Raises:
        ValueError: vectors that are not finite, or of unlike lengths.
    """
    found = check_points(points)
    m = found.shape[1]
    known, low = check_points(front, m, name="front", empty=True), check_reference(reference, m)
    before = hypervolume(known, low, allow_zero=True).value if len(known) else 0.0
    joined = [hypervolume(np.concatenate([known, p[None]]), low, allow_zero=True).value for p in found]
    gain: Array = 0.5 + 1.5 * np.tanh(np.maximum(0.0, np.array(joined) - before))
    return gain


def scaled_meta_reward(front: Any, points: Any, reference: Any) -> Array:
    """`meta_reward` of objectives scaled to [0, 1]: the reference point is 0, the best of front and points 1.

    An objective in which nothing is better than the reference point is left as it is.

    Args:
        front: [n, m] vectors, n >= 0.
        points: [P, m].
        reference: [m].

    Returns:
        [P], in [0.5, 0.5 + 1.5 tanh(1)].

    Raises:
        ValueError: as `meta_reward`.
    """
    found = check_points(points)
    m = found.shape[1]
    known, low = check_points(front, m, name="front", empty=True), check_reference(reference, m)
    best = np.concatenate([known.reshape(-1, m), found]).max(0)
    size = np.where(best > low, best - low, 1.0)
    return meta_reward((known - low) / size, (found - low) / size, np.zeros(m))
