"""Collection: a policy, a vector environment and two normalisers make a `Rollout`.

Only the actor runs inside the loop. Values and log-probabilities are computed once for the whole rollout,
because they do not influence what is collected: T small forwards become one large one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from rlsuite.core import guard
from rlsuite.core.normalize import ReturnNorm, RunningNorm
from rlsuite.core.types import Rollout, Step
from rlsuite.core.vector import Stepper


class Actor(Protocol):
    """Interface of a policy back end for collection; rows are normalised observations.

    An actor that is several policies, each of which acts in rows of its own, has an attribute `together = True`: it is
    then always given all B rows of a step, or T * B of a rollout.
    """

    def sample(self, obs: torch.Tensor, mask: torch.Tensor | None, generator: torch.Generator) -> torch.Tensor:
        """Actions [B, ...] for rows [B, O]."""

    def log_prob(self, obs: torch.Tensor, action: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Log-probabilities [N] of actions [N, ...] at rows [N, O]."""

    def values(self, obs: torch.Tensor) -> torch.Tensor:
        """Values [N], or [N, K], of rows [N, O]."""


class EpisodeStats:
    """Returns (of raw rewards) and lengths of finished episodes; a return is a list of K numbers with K objectives."""

    def __init__(self, num_envs: int, window: int = 100, objectives: int | None = None) -> None:
        self.returns = np.zeros(num_envs if objectives is None else (num_envs, objectives))
        self.lengths = np.zeros(num_envs, np.int64)
        self.recent_returns: deque[Any] = deque(maxlen=window)
        self.recent_lengths: deque[int] = deque(maxlen=window)
        self.episodes = 0

    def add(self, reward: np.ndarray, done: np.ndarray) -> None:
        """Account for one step: reward [B] or [B, K], and done [B] (terminated or truncated)."""
        self.returns += reward
        self.lengths += 1
        if done.any():
            self.recent_returns.extend(self.returns[done].tolist())
            self.recent_lengths.extend(self.lengths[done].tolist())
            self.episodes += int(done.sum())
            self.returns[done] = 0.0
            self.lengths[done] = 0

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Running sums and the recent window."""
        return {
            "returns": torch.from_numpy(self.returns.copy()),
            "lengths": torch.from_numpy(self.lengths.copy()),
            "recent_returns": torch.tensor(list(self.recent_returns), dtype=torch.float64),
            "recent_lengths": torch.tensor(list(self.recent_lengths), dtype=torch.int64),
            "episodes": torch.tensor(self.episodes),
        }

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Restore what `state_dict` gave."""
        self.returns = state["returns"].cpu().numpy().copy()
        self.lengths = state["lengths"].cpu().numpy().copy()
        self.recent_returns.extend(state["recent_returns"].tolist())
        self.recent_lengths.extend(state["recent_lengths"].tolist())
        self.episodes = int(state["episodes"])


@dataclass
class Runner:
    """An environment in the middle of its episodes: what one rollout hands to the next."""

    stepper: Stepper
    obs: torch.Tensor
    mask: torch.Tensor | None
    obs_norm: RunningNorm | None
    return_norm: ReturnNorm | None
    stats: EpisodeStats
    enter: Callable[[np.ndarray, np.ndarray], None] | None = None
    """Enters rewards [B] and done [B] of a step into the statistics; None is `stats.add`."""

    def __post_init__(self) -> None:
        if self.return_norm is not None:
            self.stepper.largest_reward = guard.LARGEST_NORMALIZED

    @classmethod
    def start(
        cls, stepper: Stepper, seed: int | None, obs_norm: RunningNorm | None, return_norm: ReturnNorm | None
    ) -> Runner:
        """Reset the environments and normalise what they first show."""
        obs, mask = stepper.reset(seed)
        stats = EpisodeStats(stepper.num_envs, objectives=stepper.objectives)
        runner = cls(stepper, obs, mask, obs_norm, return_norm, stats)
        runner.obs = runner.see(obs)
        return runner

    @classmethod
    def resume(
        cls,
        stepper: Stepper,
        obs_norm: RunningNorm | None,
        return_norm: ReturnNorm | None,
        state: dict[str, torch.Tensor],
    ) -> Runner:
        """Go on from what `state_dict` gave; the environments' own state is restored apart."""
        obs = state["obs"].to(stepper.device)
        mask = state["mask"].to(stepper.device) if "mask" in state else None
        stats = EpisodeStats(stepper.num_envs, objectives=stepper.objectives)
        runner = cls(stepper, obs, mask, obs_norm, return_norm, stats)
        runner.stats.load_state_dict(state)
        return runner

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Current observations, masks and the running episodes' statistics."""
        mask = {} if self.mask is None else {"mask": self.mask.cpu()}
        return {"obs": self.obs.cpu().clone(), **mask, **self.stats.state_dict()}

    def see(self, obs: torch.Tensor) -> torch.Tensor:
        """Learn the statistics of the rows obs [B, O], then normalise them to float32."""
        if self.obs_norm is None:
            return obs.float()
        self.obs_norm.update(obs)
        return self.obs_norm.normalize(obs)

    def show(self, obs: torch.Tensor) -> torch.Tensor:
        """Normalise without learning (last observations are seen once, by value functions only)."""
        return obs.float() if self.obs_norm is None else self.obs_norm.normalize(obs)


def collect(
    actor: Actor,
    runner: Runner,
    n_steps: int,
    generator: torch.Generator,
    on_step: Callable[[Step], bool] | None = None,
    before_step: Callable[[torch.Tensor], None] | None = None,
) -> Rollout | None:
    """Act for `n_steps` steps in every environment of `runner`.

    Args:
        actor: policy back end.
        runner: environments with their current observations; moved on in place.
        n_steps: T, steps per environment.
        generator: source of the actions' randomness.
        on_step: called after each step; returning False stops collection.
        before_step: called with the actions [B, ...] before the environments take them, while these are still in
            the states that were observed.

    Returns:
        The rollout [T, B, ...], or None when `on_step` stopped it.

    Raises:
        FloatingPointError: NaN, infinite or too large numbers, ValueError: masks that allow nothing; both name the
            environment and the step. Before anybody acts on them; with environments on an accelerator, before the
            rollout is used.
    """
    stepper, on_cpu = runner.stepper, runner.obs.device.type == "cpu"
    enter = runner.enter or runner.stats.add
    shape = (n_steps, stepper.num_envs)
    device = runner.obs.device
    paid = shape if stepper.objectives is None else (*shape, stepper.objectives)
    obs = torch.empty((*shape, stepper.obs_size), device=device)
    reward = torch.empty(paid, device=device)
    raw_reward = torch.empty(paid, device=device, dtype=torch.float64 if on_cpu else torch.float32)
    terminated = torch.empty(shape, dtype=torch.bool, device=device)
    truncated = torch.empty(shape, dtype=torch.bool, device=device)
    actions, masks, finals = [], [], []
    for t in range(n_steps):
        obs[t] = runner.obs
        action = actor.sample(runner.obs, runner.mask, generator)
        actions.append(action)
        masks.append(runner.mask)
        if before_step is not None:
            before_step(action)
        step = stepper.step(action)
        terminated[t], truncated[t], raw_reward[t] = step.terminated, step.truncated, step.reward
        done = step.terminated | step.truncated
        reward[t] = (
            step.reward if runner.return_norm is None else torch.as_tensor(runner.return_norm(step.reward, done))
        )
        finals.append(step.final_obs)
        if on_cpu:
            enter(step.reward.numpy(), done.numpy())
        runner.obs, runner.mask = runner.see(step.obs), step.mask
        if on_step is not None and not on_step(step):
            return None
    if not on_cpu:  # one transfer for the whole rollout: the loop above never waits for the device
        for row, done_row in zip(raw_reward.cpu().numpy(), (terminated | truncated).cpu().numpy(), strict=True):
            enter(row, done_row)
    stepper.settle()
    action = torch.stack(actions)
    mask = None if masks[0] is None else torch.stack([m for m in masks if m is not None])
    log_prob, value = _judge(actor, obs, action, mask)
    next_value = _next_value(actor, runner, value, truncated, finals)
    return Rollout(obs, action, reward, terminated, truncated, log_prob, value, next_value, mask)


def _judge(
    actor: Actor, obs: torch.Tensor, action: torch.Tensor, mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities and values [T, B] of a whole rollout, in one forward pass each."""
    rows, shape = obs.flatten(0, 1), obs.shape[:2]
    log_prob = actor.log_prob(rows, action.flatten(0, 1), None if mask is None else mask.flatten(0, 1))
    return log_prob.view(shape), actor.values(rows).unflatten(0, shape)


def _next_value(
    actor: Actor,
    runner: Runner,
    value: torch.Tensor,
    truncated: torch.Tensor,
    finals: Sequence[torch.Tensor | None],
) -> torch.Tensor:
    """Value [T, B(, K)] of the true next observation: of the next step, of the last observation where time ran out."""
    next_value = torch.empty_like(value)
    next_value[:-1] = value[1:]
    next_value[-1] = actor.values(runner.obs)
    flag = truncated if value.ndim == truncated.ndim else truncated[..., None]
    if value.device.type == "cpu" and not getattr(actor, "together", False):
        where = truncated.nonzero()
        if len(where):
            rows = [row[b] for t, b in where.tolist() if (row := finals[t]) is not None]
            next_value[truncated] = actor.values(runner.show(torch.stack(rows)))
        return next_value
    # On a GPU every final_obs is evaluated: choosing the few that matter would wait for the device each rollout.
    for t, final in enumerate(finals):
        if final is not None and (value.device.type != "cpu" or bool(truncated[t].any())):
            next_value[t] = torch.where(flag[t], actor.values(runner.show(final)), next_value[t])
    return next_value
