"""Stable-Baselines3's names on our models: what its callbacks, examples and users read of `BaseAlgorithm`."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rlsuite.core.learner import Learner
from rlsuite.core.schedules import parse_schedule
from rlsuite.core.session import dump_logs

if TYPE_CHECKING:
    from rlsuite.core.collect import EpisodeStats

WINDOW = 100
"""Capacity of the buffers of recent episodes."""


class SB3Names:
    """Attributes of Stable-Baselines3's `BaseAlgorithm` that `rlsuite.core.agent.Agent` has under other names.

    Every field of the algorithm's configuration can be read on the model, too: `model.gamma`, `model.learning_rate`.
    """

    config_class: ClassVar[type[Any]]
    config: Any
    num_timesteps: int = 0
    start_time: int = 0
    _num_timesteps_at_start: int = 0
    _total_timesteps: int = 0
    action_noise: None = None
    use_sde: bool = False
    _built: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for field in dataclasses.fields(cls.config_class) if "config_class" in vars(cls) else ():
            if not hasattr(cls, field.name):
                setattr(cls, field.name, _config_property(field.name))

    @property
    def ep_info_buffer(self) -> deque[dict[str, float]]:
        """Return `r` and length `l` of the last 100 episodes of training."""
        buffer: deque[dict[str, float]] = deque(maxlen=WINDOW)
        stats = self._episode_stats()
        if stats is not None:
            pairs = zip(stats.recent_returns, stats.recent_lengths, strict=True)
            buffer.extend({"r": episode_return, "l": length} for episode_return, length in pairs)
        return buffer

    @property
    def ep_success_buffer(self) -> deque[bool]:
        """`is_success` of the last 100 episodes of training that had it; filled where `learn` has a callback."""
        if "_successes" not in vars(self):
            self._successes: deque[bool] = deque(maxlen=WINDOW)
        return self._successes

    def _episode_stats(self) -> EpisodeStats | None:
        runner = getattr(self, "runner", None)
        stats: EpisodeStats | None = getattr(self, "stats", None) if runner is None else runner.stats
        return stats

    @property
    def _episode_num(self) -> int:
        stats = self._episode_stats()
        return 0 if stats is None else stats.episodes

    @property
    def _current_progress_remaining(self) -> float:
        """1 at the first step of a `learn`, 0 at its last."""
        return max(0.0, 1.0 - self.num_timesteps / max(self._total_timesteps, 1))

    @property
    def lr_schedule(self) -> Callable[[float], float]:
        """The learning rate as a function of the remaining progress."""
        return parse_schedule(self.config.learning_rate)

    def dump_logs(self, iteration: int = 0) -> None:
        """Write the log line of now: recent episodes, speed, steps, and what was recorded since the last one."""
        dump_logs(cast(Learner, self), self._episode_stats(), iteration)  # an Agent, by its subclass


def _config_property(name: str) -> property:
    """A field of the configuration as an attribute that can be read, not set."""

    def get(self: SB3Names) -> Any:
        return vars(self).get(name, getattr(self.config, name))

    def refuse(self: SB3Names, value: Any) -> None:
        if name in vars(self) or not self._built:
            vars(self)[name] = value  # a part of the algorithm that is called like one of its fields
            return
        remedy = "a schedule such as 'linear:3e-4' changes while it learns; "
        raise AttributeError(
            f"{type(self).__name__}.{name} cannot be set to {value!r}: hyper-parameters of a model are fixed; "
            f"{remedy if 'rate' in name or 'clip_range' in name else ''}to go on with another value save the model and "
            f"use {type(self).__name__}.load(path, env=..., {name}=...)"
        )

    return property(get, refuse, doc=f"`{name}` of the configuration.")
