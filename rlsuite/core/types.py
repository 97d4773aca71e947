"""The values that travel between the stages of training, and the letters of their shapes.

Letters used in every docstring of the package:
T steps of a rollout, B environments, N = T*B samples, O observation numbers (flattened), A action
numbers or components, K objectives, P population.

Each value is a small frozen dataclass of tensors that stay on one device from the environment's step
to the optimiser's.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np
import torch

Array = torch.Tensor | np.ndarray
Metrics = dict[str, float]
BatchT = TypeVar("BatchT", bound="Batch")


@dataclass(frozen=True)
class Step:
    """Result of one step of all B environments.

    obs [B, O] is the observation to act on next (after an automatic reset, the new episode's first);
    final_obs [B, O] holds, in the rows of environments that just ended, the true last observation and
    equals obs elsewhere; it is None when no environment ended. mask [B, A'] marks allowed actions.
    action [B, ...] is what was to be done, env_action what the environment was given (clipped to the box), and
    env_obs [B, ...] its observation as it gave it: references for callbacks, valid until the next step.
    """

    obs: torch.Tensor
    reward: torch.Tensor
    terminated: torch.Tensor
    truncated: torch.Tensor
    final_obs: torch.Tensor | None
    mask: torch.Tensor | None
    info: dict[str, Any]
    action: Any = None
    env_action: Any = None
    env_obs: Any = None


@dataclass(frozen=True)
class Rollout:
    """T steps of B environments under one policy.

    obs [T, B, O] as the network saw it (normalised); action [T, B, ...] as sampled (before clipping to
    the box); reward [T, B] as the learner sees it (scaled, when returns are normalised); terminated and
    truncated [T, B] bool; log_prob and value [T, B] of the collecting policy; next_value [T, B] value of
    the true next observation (not of the reset one); mask [T, B, A'] or None. With K objectives reward, value and
    next_value are [T, B, K].
    """

    obs: torch.Tensor
    action: torch.Tensor
    reward: torch.Tensor
    terminated: torch.Tensor
    truncated: torch.Tensor
    log_prob: torch.Tensor
    value: torch.Tensor
    next_value: torch.Tensor
    mask: torch.Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """Arrays with one common leading axis N; torch tensors, or numpy arrays for the numpy back end."""

    def __len__(self) -> int:
        return len(next(iter(vars(self).values())))

    def _map(self: BatchT, function: Any) -> BatchT:
        # vars() has the fields in their order; dataclasses.fields and replace cost more than a small slice
        return type(self)(*[None if value is None else function(value) for value in vars(self).values()])

    def take(self: BatchT, index: Any) -> BatchT:
        """Rows at `index` (a slice, or an index array of the same kind as the fields)."""
        return self._map(itemgetter(index))

    def numpy(self: BatchT) -> BatchT:
        """This batch as numpy views of its CPU tensors (no copy)."""
        return self._map(lambda value: value.numpy() if isinstance(value, torch.Tensor) else value)


@dataclass(frozen=True)
class PolicyBatch(Batch):
    """One rollout, flattened to N = T*B samples, with its targets.

    obs [N, O], action [N, ...], log_prob [N], value [N] (old policy and critic), advantage [N] and
    return_ [N] in discounted reward units, mask [N, A'] or None.
    """

    obs: Any
    action: Any
    log_prob: Any
    value: Any
    advantage: Any
    return_: Any
    mask: Any = None


@dataclass(frozen=True)
class Heads:
    """Network outputs for N samples: log_prob [N], entropy [N], value [N], median [N] or None."""

    log_prob: Any
    entropy: Any
    value: Any
    median: Any = None


@dataclass(frozen=True)
class HeadGrads:
    """Derivatives of a loss by the fields of `Heads`: log_prob [N], entropy (one number for all), value, median."""

    log_prob: np.ndarray
    entropy: float
    value: np.ndarray
    median: np.ndarray | None = None
