"""Replay buffer with n-step returns, on the learner's device.

Shapes: B environments, C = capacity // B rows, M samples, O observation shape, A action shape, K objectives.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rlsuite.core.checkpoint import load_checkpoint, save_checkpoint
from rlsuite.core.returns import n_step_return

__all__ = ["ReplayBatch", "ReplayBuffer", "load_buffer", "save_buffer"]


@dataclass(frozen=True)
class ReplayBatch:
    """M transitions for targets reward + discount * (1 - terminated) * V(next_obs).

    obs [M, *O], action [M, *A], reward [M] or [M, K] float32 (the discounted n-step sum), next_obs [M, *O] (the true
    observation after the last summed reward), terminated [M] bool, discount [M] float32 (gamma to the number
    of summed rewards).
    """

    obs: Tensor
    action: Tensor
    reward: Tensor
    next_obs: Tensor
    terminated: Tensor
    discount: Tensor


class ReplayBuffer:
    """A ring of C steps of B environments.

    Both the observation and the true next observation are stored: a truncated episode's last state is then at
    hand, at the price of the memory for it. n-step windows end at the end of the episode and at the newest
    stored step, whichever comes first, and bootstrap from there with the discount of their actual length.

    Args:
        capacity: Transitions kept over all environments, >= num_envs; rounded down to whole rows.
        num_envs: B.
        obs_shape: Of one observation.
        action_shape: Of one action.
        obs_dtype: Of stored observations.
        action_dtype: Of stored actions.
        objectives: K, for reward vectors; None for one number.
        device: Where everything lies.
        n_step: Steps of reward before the bootstrap, >= 1.
        gamma: Discount per step in [0, 1].

    Raises:
        ValueError: If an argument is out of range.
    """

    FIELDS = ("obs", "next_obs", "action", "reward", "terminated", "truncated")

    def __init__(
        self,
        capacity: int,
        num_envs: int,
        obs_shape: tuple[int, ...],
        action_shape: tuple[int, ...],
        *,
        obs_dtype: torch.dtype = torch.float32,
        action_dtype: torch.dtype = torch.float32,
        objectives: int | None = None,
        device: torch.device | str = "cpu",
        n_step: int = 1,
        gamma: float = 0.99,
    ) -> None:
        if n_step < 1 or not 0.0 <= gamma <= 1.0:
            raise ValueError(f"ReplayBuffer needs n_step >= 1, 0 <= gamma <= 1; got n_step={n_step}, gamma={gamma}.")
        self.capacity = capacity
        self.n_step = n_step
        self.gamma = gamma
        self.device = torch.device(device)
        self._kinds = {
            "obs": (obs_shape, obs_dtype),
            "next_obs": (obs_shape, obs_dtype),
            "action": (action_shape, action_dtype),
            "reward": (() if objectives is None else (objectives,), torch.float32),
            "terminated": ((), torch.bool),
            "truncated": ((), torch.bool),
        }
        self._offsets = torch.arange(n_step, device=device)[:, None]
        self._allocate(num_envs)

    def _allocate(self, num_envs: int) -> None:
        if num_envs < 1 or self.capacity < num_envs:
            raise ValueError(
                f"ReplayBuffer needs num_envs >= 1, capacity >= num_envs; got num_envs={num_envs}, "
                f"capacity={self.capacity}."
            )
        self.rows = self.capacity // num_envs
        self.num_envs = num_envs
        self._storage = {
            name: torch.zeros((self.rows, num_envs, *shape), dtype=dtype, device=self.device)
            for name, (shape, dtype) in self._kinds.items()
        }
        self.obs, self.next_obs, self.action, self.reward, self.terminated, self.truncated = self._storage.values()
        self._flat = {name: x.flatten(0, 1) for name, x in self._storage.items()}  # views [C*B, ...]
        self.head = 0
        self.filled = 0

    def __len__(self) -> int:
        return self.filled * self.num_envs

    def resize(self, num_envs: int) -> None:
        """Go on with another number of environments, if nothing is stored yet.

        Raises:
            ValueError: there are transitions; or more environments than the capacity.
        """
        if len(self):
            raise ValueError(
                f"the replay buffer holds transitions of {self.num_envs} environments, the new one has {num_envs}; "
                f"use num_envs={self.num_envs}, or a checkpoint saved with buffers=False"
            )
        self._allocate(num_envs)

    def add(
        self,
        obs: Tensor | np.ndarray,
        next_obs: Tensor | np.ndarray,
        action: Tensor | np.ndarray,
        reward: Tensor | np.ndarray,
        terminated: Tensor | np.ndarray,
        truncated: Tensor | np.ndarray,
    ) -> None:
        """Store one step of all environments, overwriting the oldest when full.

        Args:
            obs: [B, *O].
            next_obs: [B, *O], the TRUE next observation: the final one where an episode ended, never a reset
                one.
            action: [B, *A].
            reward: [B], or [B, K].
            terminated: [B] bool.
            truncated: [B] bool.

        Raises:
            ValueError: If a shape differs (assignment would broadcast it silently).
        """
        values = (obs, next_obs, action, reward, terminated, truncated)
        for (name, storage), value in zip(self._storage.items(), values, strict=True):
            row = storage[self.head]
            if row.shape != value.shape:
                raise ValueError(f"{name} must have shape {tuple(row.shape)}, got {tuple(value.shape)}.")
            row.copy_(torch.as_tensor(value))
        self.head = (self.head + 1) % self.rows
        self.filled = min(self.filled + 1, self.rows)

    def cut(self) -> None:
        """End all n-step windows at the newest step: the next one to be stored begins new episodes."""
        self.truncated[self.head - 1] |= self.filled > 0

    def sample(self, batch_size: int, generator: torch.Generator | None = None) -> ReplayBatch:
        """Draw transitions uniformly with replacement.

        Args:
            batch_size: M >= 1.
            generator: Source of randomness, on the buffer's device.

        Raises:
            ValueError: If the buffer is empty or batch_size < 1.
        """
        if self.filled == 0:
            raise ValueError("the replay buffer is empty; add transitions before sampling.")
        if batch_size < 1:
            raise ValueError(f"batch_size must be >= 1, got {batch_size}.")
        # Filled rows are always the first ones, so filled transitions are a prefix of the flat views.
        index = torch.randint(len(self), (batch_size,), generator=generator, device=self.device)
        flat = self._flat
        if self.n_step == 1:
            last, reward = index, flat["reward"].index_select(0, index)
            terminated = flat["terminated"].index_select(0, index)
            discount = torch.full(index.shape, self.gamma, dtype=torch.float32, device=self.device)
        else:
            reward, discount, terminated, last = self._windows(index)
        return ReplayBatch(
            flat["obs"].index_select(0, index),
            flat["action"].index_select(0, index),
            reward,
            flat["next_obs"].index_select(0, last),
            terminated,
            discount,
        )

    def _windows(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """n-step reward, discount, terminated, flat index of the last step, of windows from index [M]."""
        row = torch.div(index, self.num_envs, rounding_mode="floor")
        rows = (row + self._offsets) % self.rows  # [n, M]
        window = rows * self.num_envs + index % self.num_envs
        terminated = self._flat["terminated"][window]
        newest = (self.head - 1) % self.rows
        # The newest step has no successor: what lies behind the write head is old, or was never written.
        stop = terminated | self._flat["truncated"][window] | (rows == newest)
        reward, discount, ended, k = n_step_return(self._flat["reward"][window], terminated, stop, gamma=self.gamma)
        return reward, discount, ended, window.gather(0, k[None]).squeeze(0)

    def state_dict(self) -> dict[str, Tensor]:
        """The filled rows and the write position (views of the storage: copy them to keep them)."""
        parts = {name: x[: self.filled] for name, x in self._storage.items()}
        return parts | {"head": torch.tensor(self.head), "filled": torch.tensor(self.filled)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave, for a buffer of the same capacity.

        Raises:
            ValueError: If a key is missing or the saved buffer has another capacity or other shapes.
        """
        missing = [name for name in (*self.FIELDS, "head", "filled") if name not in state]
        if missing:
            raise ValueError(f"the saved replay buffer lacks {missing}; use another checkpoint.")
        head, filled = int(state["head"]), int(state["filled"])
        # While the ring is not full it is written from row 0; another order means another capacity.
        if not (0 <= filled <= self.rows and 0 <= head < self.rows and (filled == self.rows or head == filled)):
            raise ValueError(
                f"the saved replay buffer ({filled} rows, next write at {head}) does not fit one "
                f"of {self.rows} rows of {self.num_envs} environments; use the same buffer_size and num_envs."
            )
        for name, storage in self._storage.items():
            expected = (filled, *storage.shape[1:])
            if state[name].shape != expected:
                raise ValueError(
                    f"the saved replay buffer's {name!r} has shape {tuple(state[name].shape)}, "
                    f"this one needs {expected}; use the same spaces and num_envs."
                )
        for name, storage in self._storage.items():
            storage[:filled].copy_(state[name])
        self.head = head
        self.filled = filled


def save_buffer(path: str | os.PathLike[str], buffer: ReplayBuffer) -> None:
    """Write a replay buffer alone, in the format of checkpoints; ".zip" is added to names without it."""
    save_checkpoint(path, meta={"part": "replay buffer"}, tensors=buffer.state_dict())


def load_buffer(path: str | os.PathLike[str], buffer: ReplayBuffer) -> None:
    """Fill `buffer` with what `save_buffer` wrote.

    Raises:
        CheckpointError: no such file; ValueError: it does not fit, the message says how.
    """
    buffer.load_state_dict(load_checkpoint(path).tensors)
