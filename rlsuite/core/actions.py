"""Action spaces as a learner sees them: outputs of the policy head, and the way back to the environment.

Shapes: `...` any leading batch axes, K components, A action dims.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

__all__ = ["ActionSpec", "action_spec"]

_TORCH_DTYPES = {"float16": torch.float16, "float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True, eq=False)
class ActionSpec:
    """Description of one environment's action space for a learner.

    Inside a learner actions are flat tensors `[..., *action_shape]` of `action_dtype`; `to_env` makes them
    the environment's own.
    """

    kind: str
    """"categorical", "multi_categorical", "bernoulli" or "gaussian"."""
    num_params: int
    """Outputs of the policy head: logits, or means."""
    shape: tuple[int, ...]
    """Shape of one action in the space, () for Discrete."""
    nvec: tuple[int, ...] = ()
    """Choices per component (Discrete: one; MultiDiscrete: K), empty otherwise."""
    low: np.ndarray | None = None
    """Box only: lower bounds in the space's shape."""
    high: np.ndarray | None = None
    """Box only: upper bounds in the space's shape."""
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.int64))
    """The space's dtype."""
    start: np.ndarray | int = 0
    """Discrete, MultiDiscrete: the smallest action, added by `to_env`."""
    _cache: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def discrete(self) -> bool:
        """Whether the distribution is over choices (and can be masked)."""
        return self.kind != "gaussian"

    @property
    def choices(self) -> tuple[int, ...]:
        """Choices per component, 2 per bit of MultiBinary; empty for Box."""
        return (2,) * self.num_params if self.kind == "bernoulli" else self.nvec

    @property
    def mask_size(self) -> int:
        """Entries A' of an action mask, one per choice: n, the sum of nvec, or 2 n for MultiBinary; 0 for Box."""
        return sum(self.choices)

    @property
    def action_shape(self) -> tuple[int, ...]:
        """Shape of one action inside a learner: () for categorical, else (K,) or (A,)."""
        return () if self.kind == "categorical" else (int(np.prod(self.shape)),)

    @property
    def action_dtype(self) -> torch.dtype:
        """Dtype inside a learner: int64 or float32."""
        return torch.int64 if self.discrete else torch.float32

    def to_env(self, action: Tensor) -> Tensor:
        """Make policy actions ready for the environment.

        Args:
            action: [..., *action_shape], as sampled.

        Returns:
            [..., *shape] in the space's dtype: Box clipped to its bounds, Discrete and MultiDiscrete with `start`
            added.
        """
        dtype = self.torch_dtype
        if self.kind == "categorical":
            return (action + int(self.start) if self.start else action).to(dtype)
        if len(self.shape) != 1:
            action = action.reshape(*action.shape[:-1], *self.shape)
        if self.kind == "bernoulli":
            return action.to(dtype)
        constants = self._constants(action.device)
        if self.kind == "multi_categorical":
            return (action if constants is None else action + constants[0]).to(dtype)
        action = action.to(dtype)
        return action if constants is None else torch.clamp(action, constants[0], constants[1])

    @cached_property
    def torch_dtype(self) -> torch.dtype:
        """Torch's name of the space's dtype."""
        return torch.from_numpy(np.empty(0, self.dtype)).dtype

    def _constants(self, device: torch.device) -> tuple[Tensor, Tensor] | None:
        """Offsets or bounds on `device`, made once per device; None when they would change nothing."""
        if device not in self._cache:
            value: tuple[Tensor, Tensor] | None = None
            with torch.inference_mode(False):  # the cache outlives the caller's inference mode
                if self.kind == "multi_categorical" and np.any(self.start):
                    offset = torch.as_tensor(np.array(self.start), device=device)
                    value = (offset, offset)
                elif self.low is not None and self.high is not None:
                    low, high = (torch.as_tensor(x.copy(), device=device) for x in (self.low, self.high))
                    if bool(torch.isfinite(low).any() | torch.isfinite(high).any()):
                        value = (low, high)
            self._cache[device] = value
        return self._cache[device]


def action_spec(space: gym.Space[Any]) -> ActionSpec:
    """Describe the action space of one environment (a vector environment's `single_action_space`).

    Args:
        space: Discrete, MultiDiscrete, MultiBinary, or Box with a floating dtype and valid bounds.

    Returns:
        The spec; build distributions from it with `distribution`.

    Raises:
        ValueError: For any other space.
    """
    if isinstance(space, gym.spaces.Discrete):
        n = int(space.n)
        return ActionSpec("categorical", n, (), (n,), dtype=space.dtype, start=int(space.start))
    if isinstance(space, gym.spaces.MultiDiscrete):
        nvec = tuple(int(n) for n in space.nvec.reshape(-1))
        start = np.asarray(space.start, dtype=np.int64)
        return ActionSpec("multi_categorical", sum(nvec), space.shape, nvec, dtype=space.dtype, start=start)
    if isinstance(space, gym.spaces.MultiBinary):
        return ActionSpec("bernoulli", int(np.prod(space.shape)), space.shape, dtype=space.dtype)
    if isinstance(space, gym.spaces.Box) and space.dtype.name in _TORCH_DTYPES:
        if np.prod(space.shape) == 0:
            raise ValueError(f"action space {space} has shape {space.shape}; give a Box at least one action dim.")
        if np.any(np.isnan(space.low) | np.isnan(space.high) | (space.low > space.high)):
            raise ValueError(f"action space {space} has NaN or crossed bounds; fix its low and high.")
        size = int(np.prod(space.shape))
        return ActionSpec("gaussian", size, space.shape, low=space.low, high=space.high, dtype=space.dtype)
    raise ValueError(
        f"action space {space!r} is not supported; use Discrete, MultiDiscrete, MultiBinary, or Box with a "
        "floating dtype (flatten Dict and Tuple action spaces with a wrapper, write an integer Box as "
        "MultiDiscrete)."
    )
