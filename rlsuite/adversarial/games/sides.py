"""What the two-player algorithms share: game, players, turns, and statistics from the protagonist's side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv

from rlsuite.core import on_policy
from rlsuite.core.actions import ActionSpec
from rlsuite.core.agent import Agent
from rlsuite.core.collect import EpisodeStats, Runner
from rlsuite.core.opponents import Opponent
from rlsuite.core.schedules import Rates
from rlsuite.core.session import Session
from rlsuite.core.two_player import AGENT, Versus
from rlsuite.core.types import PolicyBatch, Step
from rlsuite.policy_gradient.ppo import PPOConfig, ppo_loss, ppo_loss_grad

__all__ = [
    "ACTION_SPACE_FIELDS",
    "Mirrored",
    "Player",
    "Side",
    "alternate",
    "check_force_fields",
    "make_game",
    "mirrored",
    "phase",
    "ppo_parts",
    "sample",
    "spaces_of_game",
]


def check_force_fields(config: Any) -> None:
    """Raise unless the force fields of a configuration are sensible.

    Raises:
        ValueError: names the field, its value and the remedy.
    """
    bodies, owner = config.bodies, type(config).__name__
    if isinstance(bodies, str) or (bodies is not None and not (bodies and all(isinstance(b, str) for b in bodies))):
        raise ValueError(f"{owner}.bodies is {bodies!r}; give a tuple of body names, such as ('torso',), or None")


ACTION_SPACE_FIELDS: dict[str, str] = dict.fromkeys(("adv_fraction", "max_force", "bodies"), "adversary's action space")
"""Fields of a game's configuration that cannot be changed at load; see `Agent.stored`."""


def make_game(venv: VectorEnv[Any, Any, Any], config: Any, opponent: Opponent) -> Versus:
    """The game of `venv` with the configuration's force fields, as the protagonist plays it against `opponent`.

    Raises:
        ValueError, TypeError: as `rlsuite_envs.two_player.make.as_game`.
    """
    from rlsuite_envs.two_player.make import as_game

    game = as_game(venv, bodies=config.bodies, max_force=config.max_force)
    return Versus(game, AGENT, opponent, adv_fraction=config.adv_fraction)


def spaces_of_game(venv: VectorEnv[Any, Any, Any]) -> tuple[gym.Space[Any], ...]:
    """Observation, the protagonist's action and the adversary's action of what `make_game` made."""
    assert isinstance(venv, Versus)
    return venv.single_observation_space, venv.single_action_space, venv.opponent_space


@dataclass(frozen=True)
class Side:
    """The adversary, as far as its networks need to know it; see `on_policy.Seat`."""

    obs_size: int
    spec: ActionSpec
    device: torch.device
    num_envs: int


class Mirrored:
    """Enters the adversary's rewards into the protagonist's statistics, so that returns count the steps of both phases.

    Args:
        stats: episode statistics of the protagonist.
        sign: factor from the adversary's reward to the protagonist's (-1: zero-sum).

    Attributes:
        total: sum of the protagonist's rewards.
    """

    def __init__(self, stats: EpisodeStats, sign: float = -1.0) -> None:
        self.stats = stats
        self.sign = sign
        self.total = 0.0

    def __call__(self, reward: np.ndarray, done: np.ndarray) -> None:
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


@dataclass(frozen=True)
class Player:
    """One player who learns by PPO, on its side of the running episodes."""

    config: PPOConfig
    parts: on_policy.Parts
    runner: Runner
    generator: torch.Generator
    """Random generator of the player's actions and minibatches."""


def ppo_parts(seat: on_policy.Seat, config: PPOConfig) -> on_policy.Parts:
    """A player's networks with PPO's losses."""
    return on_policy.build(seat, config, partial(ppo_loss, config=config), partial(ppo_loss_grad, config=config))


def phase(
    agent: Agent,
    run: Session,
    player: Player,
    extra: Callable[[PolicyBatch], dict[str, Any]] | None = None,
    left: float | None = None,
) -> tuple[dict[str, float], PolicyBatch] | None:
    """One rollout and update of one player by PPO, the other one frozen; None when a callback stopped it.

    Args:
        agent: whose environment the protagonist's runner has; its counters are moved on.
        run: the session.
        player: who learns; callbacks see the protagonist's rewards on either side.
        extra: a further loss; see `on_policy.update`.
        left: remaining progress at which schedules are read, from 1 to 0; None takes the session's.

    Returns:
        Metrics and the batch that it learned from.
    """
    config, parts, runner, generator = player.config, player.parts, player.runner, player.generator
    now = Rates(config, "learning_rate", "clip_range").at(run.progress_remaining if left is None else left)
    on_step = run.on_step if runner.stepper is agent.stepper else mirrored(run.on_step)
    rollout = run.collect(parts.backend, runner, config.n_steps, generator, on_step=on_step)
    if rollout is None:
        return None
    batch = on_policy.targets(rollout, gamma=config.gamma, gae_lambda=config.gae_lambda)
    metrics, epochs = on_policy.update(parts, batch, config, generator, **now, target_kl=config.target_kl, extra=extra)
    agent.n_updates += epochs
    return metrics | now, batch


def alternate(
    agent: Agent,
    run: Session,
    mine: Player,
    theirs: Player | None,
    *,
    hand_over: Callable[[], torch.Tensor],
    hand_back: Callable[[], torch.Tensor],
    begin: Callable[[], None] | None = None,
    extra: Callable[[float], Callable[[PolicyBatch], dict[str, Any]] | None] | None = None,
) -> None:
    """Until the session is done: `n_pro_updates` phases of the protagonist, `n_adv_updates` of the adversary.

    Args:
        agent: the protagonist's, with both numbers in its configuration.
        run: the session; one update is one iteration of both.
        mine: the protagonist.
        theirs: the adversary; None where it does not learn.
        hand_over: gives the raw rows [B, O] on which the adversary acts first.
        hand_back: gives those on which the protagonist goes on, however the adversary's phases ended.
        begin: called before each iteration.
        extra: from the progress remaining, a further loss of the protagonist's; see `on_policy.update`.
    """
    while not run.done:
        if begin is not None:
            begin()
        for _ in range(agent.config.n_pro_updates):
            learned = phase(agent, run, mine, None if extra is None else extra(run.progress_remaining))
            if learned is None:
                return
            metrics, batch = learned
        named = on_policy.log_names(metrics, agent, batch)
        if theirs is not None:
            theirs.runner.obs = theirs.runner.see(hand_over())
            for _ in range(agent.config.n_adv_updates):
                learned = phase(agent, run, theirs)
                if learned is None:
                    break
                named |= {f"adversary/{name}": value for name, value in learned[0].items()}
            mine.runner.obs = mine.runner.see(hand_back())
            if learned is None:
                return
        run.update_end(named, mine.runner.stats)
