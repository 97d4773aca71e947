"""One batched step of a kernel with restarts: the arithmetic of the vector environment, without Gymnasium.

On the CPU the ended rows alone are drawn anew, and nothing is drawn where none ended. On other devices that
would need the number of ended rows, hence a wait: there B start states are drawn every step and `torch.where`
picks. Both are reproducible from the seed, but they use up the random stream differently (and the streams of
a CPU and a GPU differ anyway): trajectories are equal on the same kind of device only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rlsuite_envs.kernel import Kernel, tree_map

__all__ = ["Carry", "Outcome", "Stepper"]


@dataclass(frozen=True)
class Carry:
    """State that a vector environment carries from step to step."""

    state: Any
    """The kernel's state, fields [B, ...]."""
    elapsed: Tensor
    """Steps of the running episodes, [B] int64."""


@dataclass(frozen=True)
class Outcome:
    """Results of one step."""

    obs: Any
    """Observations [B, *obs_shape], or a dict of such; those of the new episode where one ended."""
    reward: Tensor
    """Rewards [B], or reward vectors [B, K]."""
    terminated: Tensor
    """Whether the task ended the episode, [B] bool."""
    truncated: Tensor
    """Whether the time limit is reached, [B] bool; terminated may be true as well, as with Gymnasium's TimeLimit."""
    done: Tensor
    """Whether the episode ended, terminated or truncated, [B] bool."""
    final_obs: Any
    """True last observations [B, *obs_shape] where done; None if it is known that no episode ended."""
    final_state: Any
    """The kernel's state before restarting; None if it is known that no episode ended."""


class Stepper:
    """Steps num_envs copies of a kernel; holds constants only.

    Args:
        kernel: the kernel.
        num_envs: B.
        max_episode_steps: time limit in steps, or None.
        compile: pass the deterministic part of the step through `torch.compile`.
    """

    def __init__(
        self,
        kernel: Kernel[Any, Any, Any],
        num_envs: int,
        max_episode_steps: int | None,
        *,
        compile: bool = False,
    ) -> None:
        self.kernel = kernel
        self.num_envs = num_envs
        self.max_episode_steps = max_episode_steps
        # The masked way never reads a value back from the device.
        self.masked = kernel.device.type != "cpu"
        self._inherits = type(kernel).carry_over is not Kernel.carry_over
        self._run = torch.compile(self._advance, dynamic=False) if compile else self._advance

    def initial_carry(self, rng: torch.Generator, num: int | None = None) -> Carry:
        """A carry of num (None: B) fresh episodes."""
        num = self.num_envs if num is None else num
        zeros = torch.zeros(num, dtype=torch.int64, device=self.kernel.device)
        return Carry(self.kernel.initial_state(num, rng), zeros)

    def step(self, carry: Carry, action: Any, rng: torch.Generator) -> tuple[Carry, Outcome]:
        """One step: a pure function but for the random stream.

        Args:
            carry: where to start.
            action: tensors as `Kernel.post_decision` takes them (not checked).
            rng: the random stream, on the kernel's device.

        Returns:
            The next carry, with ended episodes restarted, and the outcome.
        """
        noise = self.kernel.sample_exogenous(carry.state, rng)
        state, elapsed, obs, reward, terminated, truncated, done = self._run(carry.state, carry.elapsed, action, noise)
        after = Carry(state, elapsed)
        restarted, new_obs = self.restart(after, obs, done, rng)
        if restarted is after:
            return after, Outcome(obs, reward, terminated, truncated, done, None, None)
        return restarted, Outcome(new_obs, reward, terminated, truncated, done, obs, state)

    def _advance(self, state: Any, elapsed: Tensor, action: Any, noise: Any) -> tuple[Any, ...]:
        """The deterministic part of a step: everything before restarting."""
        state, reward, terminated = self.kernel.advance(state, action, noise)
        elapsed = elapsed + 1
        if self.max_episode_steps is None:
            truncated, done = torch.zeros_like(terminated), terminated
        else:
            truncated = elapsed >= self.max_episode_steps
            done = terminated | truncated
        return state, elapsed, self.kernel.observe(state), reward, terminated, truncated, done

    def _begin(self, ended: Any, fresh: Carry) -> Carry:
        """Fresh episodes with what their rows keep."""
        return Carry(self.kernel.carry_over(fresh.state, ended), fresh.elapsed) if self._inherits else fresh

    def restart(self, carry: Carry, obs: Any, done: Tensor, rng: torch.Generator) -> tuple[Carry, Any]:
        """The carry and the observations with the done rows [B] bool replaced by fresh episodes.

        The very same objects come back where it is known that no row is done.
        """
        if self.masked:
            fresh = self._begin(carry.state, self.initial_carry(rng))

            def merge(old: Tensor, new: Tensor) -> Tensor:
                return torch.where(done.reshape(-1, *[1] * (old.ndim - 1)), new, old)

        else:
            rows = done.nonzero().squeeze(-1)
            if not rows.numel():
                return carry, obs
            fresh = self.initial_carry(rng, rows.numel())
            if self._inherits:
                fresh = self._begin(tree_map(lambda x: x[rows], carry.state), fresh)

            def merge(old: Tensor, new: Tensor) -> Tensor:
                return old.index_copy(0, rows, new)

        return tree_map(merge, carry, fresh), tree_map(merge, obs, self.kernel.observe(fresh.state))
