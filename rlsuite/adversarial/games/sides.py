"""What the two-player algorithms share: their game, a player's turn, and statistics from the protagonist's side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from rlsuite.core import on_policy
from rlsuite.core.actions import ActionSpec
from rlsuite.core.agent import Agent
from rlsuite.core.collect import EpisodeStats, Runner, collect
from rlsuite.core.schedules import parse_schedule
from rlsuite.core.session import Session
from rlsuite.core.types import PolicyBatch, Step
from rlsuite.policy_gradient.ppo import PPOConfig

__all__ = ["Mirrored", "Side", "check_force_fields", "make_game", "mirrored", "phase", "sample"]


def check_force_fields(config: Any) -> None:
    """Raise unless the force fields of a configuration are sensible.

    Raises:
        ValueError: names the field, its value and the remedy.
    """
    bodies, owner = config.bodies, type(config).__name__
    if isinstance(bodies, str) or (bodies is not None and not (bodies and all(isinstance(b, str) for b in bodies))):
        raise ValueError(f"{owner}.bodies is {bodies!r}; give a tuple of body names, such as ('torso',), or None")


def make_game(venv: VectorEnv[Any, Any, Any], config: Any) -> VectorEnv[Any, Any, Any]:
    """The two-player game of `venv` as the configuration's force fields want it; see `as_game` for the errors."""
    from rlsuite_envs.two_player.make import as_game

    return as_game(venv, bodies=config.bodies, max_force=config.max_force)


@dataclass(frozen=True)
class Side:
    """The adversary, as far as its networks need to know it; see `on_policy.Seat`."""

    obs_size: int
    spec: ActionSpec
    device: torch.device
    num_envs: int


class Mirrored(EpisodeStats):
    """The adversary's rewards entered into the protagonist's statistics, so that episodes of both phases are whole.

    Args:
        stats: the protagonist's.
        sign: of the protagonist's reward in the adversary's.

    Attributes:
        total: sum of the protagonist's rewards.
    """

    def __init__(self, stats: EpisodeStats, sign: float = -1.0) -> None:
        self.stats, self.sign, self.total = stats, sign, 0.0

    def add(self, reward: np.ndarray, done: np.ndarray) -> None:
        """Account for one step: the adversary's reward [B], and done [B]."""
        self.total += float(reward.sum()) * self.sign
        self.stats.add(reward * self.sign, done)


def mirrored(on_step: Callable[[Step], bool] | None) -> Callable[[Step], bool] | None:
    """The callback for the adversary's steps: it is shown the protagonist's rewards."""
    if on_step is None:
        return None
    return lambda step: on_step(replace(step, reward=-step.reward))


def sample(parts: on_policy.Parts, obs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Actions [B, ...] of a frozen player at raw rows [B, O]; its normaliser learns nothing here."""
    obs = obs.to(generator.device)
    rows = obs.float() if parts.obs_norm is None else parts.obs_norm.normalize(obs)
    with torch.no_grad():
        return parts.policy.spec.to_env(parts.backend.sample(rows, None, generator))


def phase(
    agent: Agent,
    run: Session,
    config: PPOConfig,
    parts: on_policy.Parts,
    runner: Runner,
    generator: torch.Generator,
    extra: Callable[[PolicyBatch], dict[str, Any]] | None = None,
    left: float | None = None,
) -> tuple[dict[str, float], PolicyBatch] | None:
    """One rollout and update of one player by PPO, the other one frozen; None when a callback stopped it.

    Args:
        agent: whose environment the protagonist's runner has; its counters are moved on.
        run: the session.
        config: the player's.
        parts: the player.
        runner: its side of the running episodes; callbacks see the protagonist's rewards on either side.
        generator: of its actions and minibatches.
        extra: a further loss; see `on_policy.update`.
        left: where schedules stand, from 1 to 0; None is where the session stands.

    Returns:
        Metrics and the batch that it learned from.
    """
    run.rollout_start()
    left = run.progress_remaining if left is None else left
    on_step = run.on_step if runner.stepper is agent.stepper else mirrored(run.on_step)
    rollout = collect(parts.backend, runner, config.n_steps, generator, on_step)
    if rollout is None:
        return None
    run.rollout_end(config.n_steps * agent.num_envs)
    batch = on_policy.targets(rollout, gamma=config.gamma, gae_lambda=config.gae_lambda)
    rates = {name: parse_schedule(getattr(config, name))(left) for name in ("learning_rate", "clip_range")}
    metrics = on_policy.update(parts, batch, config, generator, **rates, target_kl=config.target_kl, extra=extra)
    agent.n_updates += config.n_epochs
    return metrics | rates, batch
