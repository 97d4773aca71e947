"""What the two-player algorithms share: their game, and statistics seen from the protagonist's side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from rlsuite.core.actions import ActionSpec
from rlsuite.core.collect import EpisodeStats
from rlsuite.core.types import Step

__all__ = ["Mirrored", "Side", "check_force_fields", "make_game", "mirrored"]


def check_force_fields(config: Any) -> None:
    """Raise unless the force fields of a configuration are sensible.

    Raises:
        ValueError: names the field, its value and the remedy.
    """
    bodies, owner = config.bodies, type(config).__name__
    if isinstance(bodies, str) or (
        bodies is not None and not (bodies and all(isinstance(b, str) for b in bodies))
    ):
        raise ValueError(
            f"{owner}.bodies is {bodies!r}; give a tuple of body names, such as ('torso',), or None"
        )


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
    """The adversary's rewards entered into the protagonist's statistics, so that episodes of both phases are whole."""

    def __init__(self, stats: EpisodeStats) -> None:
        self.stats = stats

    def add(self, reward: np.ndarray, done: np.ndarray) -> None:
        """Account for one step: the adversary's reward [B], and done [B]."""
        self.stats.add(-reward, done)


def mirrored(on_step: Callable[[Step], bool] | None) -> Callable[[Step], bool] | None:
    """The callback for the adversary's steps: it is shown the protagonist's rewards."""
    if on_step is None:
        return None
    return lambda step: on_step(replace(step, reward=-step.reward))
