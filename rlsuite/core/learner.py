"""What `learn`, its callbacks and its log lines need of an agent."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from gymnasium.vector import VectorEnv
from stable_baselines3.common.logger import Logger

from rlsuite.core.collect import Runner

__all__ = ["Learner"]


class Learner(Protocol):
    """An agent that learns; `rlsuite.core.agent.Agent` has all of it."""

    num_timesteps: int
    """Environment steps taken, over all environments."""
    num_envs: int
    verbose: int
    tensorboard_log: str | None
    custom_logger: bool
    """Whether the user set the logger."""
    runner: Runner | None
    """Environments in the middle of their episodes; None before the first rollout."""
    start_time: int
    """Start of the current `learn`, ns since the epoch."""
    _num_timesteps_at_start: int
    _total_timesteps: int

    @property
    def venv(self) -> VectorEnv[Any, Any, Any]:
        """The vector environment."""

    @property
    def logger(self) -> Logger:
        """Stable-Baselines3's logger."""

    @property
    def ep_success_buffer(self) -> deque[bool]:
        """`is_success` of recent episodes."""

    def set_logger(self, logger: Logger, *, custom: bool = True) -> None:
        """Log to `logger`."""

    def forget_episodes(self) -> None:
        """Start the next `learn` from fresh episodes."""

    def small_network(self) -> bool:
        """Whether one thread of arithmetic is faster than two."""
