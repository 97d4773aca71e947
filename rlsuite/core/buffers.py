"""Replay buffer with n-step returns, on the learner's device; truncated episodes bootstrap from their true end."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class ReplayBatch:
    """N transitions: obs [N, O], action [N, ...], (n-step) reward [N], next_obs [N, O], terminated [N], discount [N]."""

    obs: torch.Tensor
    action: torch.Tensor
    reward: torch.Tensor
    next_obs: torch.Tensor
    terminated: torch.Tensor
    discount: torch.Tensor


class ReplayBuffer:
    """A ring of transitions of B environments.

    Args:
        capacity: transitions kept over all environments; at least B.
        num_envs: B.
        obs_shape: of one observation.
        action_shape: of one action.
        obs_dtype: of observations.
        action_dtype: of actions.
        device: where everything lies.
        n_step: steps of reward before the bootstrap.
        gamma: discount per step.

    Raises:
        ValueError: capacity below B, or n_step below 1.
    """

    FIELDS = ("obs", "next_obs", "action", "reward", "terminated", "truncated")

    def __init__(
        self,
        capacity: int,
        num_envs: int,
        obs_shape: tuple[int, ...],
        action_shape: tuple[int, ...],
        *,
        obs_dtype: torch.dtype,
        action_dtype: torch.dtype,
        device: torch.device,
        n_step: int = 1,
        gamma: float = 0.99,
    ) -> None:
        if capacity < num_envs or n_step < 1:
            raise ValueError(f"capacity is {capacity} for {num_envs} environments, n_step {n_step}; raise capacity or n_step")
        self.rows, self.num_envs, self.n_step, self.gamma, self.device = capacity // num_envs, num_envs, n_step, gamma, device
        shape = (self.rows, num_envs)
        self.obs = torch.zeros((*shape, *obs_shape), dtype=obs_dtype, device=device)
        self.next_obs = torch.zeros_like(self.obs)
        self.action = torch.zeros((*shape, *action_shape), dtype=action_dtype, device=device)
        self.reward = torch.zeros(shape, device=device)
        self.terminated = torch.zeros(shape, dtype=torch.bool, device=device)
        self.truncated = torch.zeros(shape, dtype=torch.bool, device=device)
        self.head, self.filled = 0, 0

    def __len__(self) -> int:
        return self.filled * self.num_envs

    def add(
        self,
        obs: torch.Tensor,
        next_obs: torch.Tensor,
        action: torch.Tensor,
        reward: torch.Tensor,
        terminated: torch.Tensor,
        truncated: torch.Tensor,
    ) -> None:
        """Store one step of all environments; next_obs [B, O] is the true next observation, not a reset one."""
        values = (obs, next_obs, action, reward, terminated, truncated)
        for name, value in zip(self.FIELDS, values, strict=True):
            getattr(self, name)[self.head] = value
        self.head = (self.head + 1) % self.rows
        self.filled = min(self.filled + 1, self.rows)

    def sample(self, batch_size: int, generator: torch.Generator) -> ReplayBatch:
        """Transitions drawn uniformly with replacement.

        Raises:
            ValueError: the buffer is empty.
        """
        if self.filled == 0:
            raise ValueError("the replay buffer is empty; add transitions before sampling")
        row = torch.randint(self.filled, (batch_size,), generator=generator, device=self.device)
        env = torch.randint(self.num_envs, (batch_size,), generator=generator, device=self.device)
        reward = self.reward[row, env]
        last, discount = row, torch.full((batch_size,), self.gamma, device=self.device)
        if self.n_step > 1:
            reward, last, discount = self._n_step(row, env)
        return ReplayBatch(
            self.obs[row, env], self.action[row, env], reward, self.next_obs[last, env], self.terminated[last, env], discount
        )

    def _n_step(self, row: torch.Tensor, env: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Reward sums, last rows and discounts of windows that end at episodes' ends and at the newest step."""
        newest = (self.head - 1) % self.rows
        reward, discount = self.reward[row, env].clone(), torch.full(row.shape, self.gamma, device=self.device)
        last = row.clone()
        alive = ~(self.terminated[row, env] | self.truncated[row, env]) & (row != newest)
        for _ in range(self.n_step - 1):
            following = (last + 1) % self.rows
            last = torch.where(alive, following, last)
            reward = reward + torch.where(alive, discount * self.reward[last, env], torch.zeros_like(reward))
            discount = torch.where(alive, discount * self.gamma, discount)
            alive = alive & ~(self.terminated[last, env] | self.truncated[last, env]) & (last != newest)
        return reward, last, discount

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The filled part and the write position (views; a checkpoint copies them)."""
        parts = {name: getattr(self, name)[: self.filled] for name in self.FIELDS}
        return parts | {"head": torch.tensor(self.head), "filled": torch.tensor(self.filled)}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Restore what `state_dict` gave.

        Raises:
            ValueError: the saved buffer is larger than this one or has other shapes.
        """
        filled = int(state["filled"])
        if filled > self.rows or state["obs"].shape[1:] != self.obs.shape[1:]:
            raise ValueError(
                f"the saved buffer has {filled} rows of shape {tuple(state['obs'].shape[1:])}, this one {self.rows} of "
                f"{tuple(self.obs.shape[1:])}; use the same buffer_size and num_envs"
            )
        for name in self.FIELDS:
            getattr(self, name)[:filled] = state[name].to(self.device)
        self.head, self.filled = int(state["head"]) % self.rows, filled
