"""One call of `learn`: logger, callbacks, progress, time; Stable-Baselines3's own classes do the work."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    ConvertCallback,
    ProgressBarCallback,
)
from stable_baselines3.common.utils import configure_logger
from threadpoolctl import threadpool_limits

from rlsuite.core.collect import EpisodeStats
from rlsuite.core.types import Step

if TYPE_CHECKING:
    from rlsuite.core.agent import Agent

SB3Callback = BaseCallback | list[BaseCallback] | Callable[[dict[str, Any], dict[str, Any]], bool] | None
OnUpdate = Callable[["Agent"], None]


class Session:
    """Counts, logs and calls back during one `learn`.

    `on_step` is None when there is no callback, so that collection pays nothing for it.
    """

    def __init__(
        self,
        agent: Agent,
        total_timesteps: int,
        callback: BaseCallback | None,
        log_interval: int | None,
        on_update: OnUpdate | None,
    ) -> None:
        self.agent, self.callback, self.on_update = agent, callback, on_update
        self.total, self.log_interval = total_timesteps, log_interval
        self.start_time, self.start_steps = time.perf_counter(), agent.num_timesteps
        self.iteration = 0
        self.stopped = False
        self.on_step: Callable[[Step], bool] | None = None if callback is None else self._step

    @property
    def done(self) -> bool:
        """Whether the step budget is used up or a callback asked to stop."""
        return self.stopped or self.agent.num_timesteps >= self.total

    @property
    def progress_remaining(self) -> float:
        """1 at the first step, 0 at the last."""
        return max(0.0, 1.0 - self.agent.num_timesteps / self.total)

    def _step(self, step: Step) -> bool:
        assert self.callback is not None  # on_step is None otherwise
        self.agent.num_timesteps += self.agent.num_envs
        done = (step.terminated | step.truncated).cpu().numpy()
        self.callback.update_locals(
            {"rewards": step.reward.cpu().numpy(), "dones": done, "infos": [step.info], "self": self.agent}
        )
        self.stopped = not self.callback.on_step()
        return not self.stopped

    def rollout_start(self) -> None:
        """Tell the callbacks that collection begins."""
        if self.callback is not None:
            self.callback.on_rollout_start()

    def count(self, steps: int) -> None:
        """Count `steps` environment steps, unless the callback already did, one by one."""
        if self.callback is None:
            self.agent.num_timesteps += steps

    def rollout_end(self, steps: int = 0) -> None:
        """Count `steps` environment steps and tell the callbacks that collection is over."""
        self.count(steps)
        if self.callback is not None:
            self.callback.on_rollout_end()

    def update_end(self, metrics: dict[str, float], stats: EpisodeStats) -> None:
        """Log one update and let `on_update` look at the agent (checkpoints, evaluation, progress)."""
        self.iteration += 1
        agent, logger = self.agent, self.agent.logger
        for name, value in metrics.items():
            logger.record(name, value)
        if self.log_interval is not None and self.iteration % self.log_interval == 0:
            if stats.recent_returns:
                logger.record("rollout/ep_rew_mean", statistics.fmean(stats.recent_returns))
                logger.record("rollout/ep_len_mean", statistics.fmean(stats.recent_lengths))
            elapsed = max(time.perf_counter() - self.start_time, 1e-9)
            logger.record("time/iterations", self.iteration, exclude="tensorboard")
            logger.record("time/fps", int((agent.num_timesteps - self.start_steps) / elapsed))
            logger.record("time/time_elapsed", elapsed, exclude="tensorboard")
            logger.record("time/total_timesteps", agent.num_timesteps, exclude="tensorboard")
            logger.dump(step=agent.num_timesteps)
        if self.on_update is not None:
            self.on_update(agent)


@contextlib.contextmanager
def session(
    agent: Agent,
    total_timesteps: int,
    callback: SB3Callback = None,
    log_interval: int | None = 1,
    tb_log_name: str = "run",
    reset_num_timesteps: bool = True,
    progress_bar: bool = False,
    on_update: OnUpdate | None = None,
) -> Iterator[Session]:
    """Set up logger, callbacks and one-thread arithmetic for a `learn`; end the callbacks whatever happens.

    With `reset_num_timesteps=False` the budget is `total_timesteps` further steps, as in Stable-Baselines3.

    Raises:
        ValueError: `total_timesteps` below 1.
    """
    if total_timesteps < 1:
        raise ValueError(f"total_timesteps is {total_timesteps}; it must be at least 1")
    if reset_num_timesteps:
        agent.num_timesteps = 0
        agent.forget_episodes()
    total = int(total_timesteps) + agent.num_timesteps
    if not agent.custom_logger:
        agent.set_logger(
            configure_logger(agent.verbose, agent.tensorboard_log, tb_log_name, reset_num_timesteps),
            custom=False,
        )
    hooks = _callbacks(callback, progress_bar)
    run = Session(agent, total, hooks, log_interval, on_update)
    threads = torch.get_num_threads()
    small = agent.small_network()
    if small:
        torch.set_num_threads(1)  # two threads make small networks slower, up to 30 times on a busy machine
    try:
        with threadpool_limits(1 if small else None):
            if hooks is not None:
                hooks.init_callback(agent)  # type: ignore[arg-type]  # duck-typed: Agent has BaseAlgorithm's surface
                hooks.on_training_start({"total_timesteps": total}, {})
            yield run
    finally:
        torch.set_num_threads(threads)
        if hooks is not None:
            hooks.on_training_end()


def _callbacks(callback: SB3Callback, progress_bar: bool) -> BaseCallback | None:
    """One callback out of SB3's several forms, or None."""
    parts: list[BaseCallback] = []
    if isinstance(callback, list):
        parts += callback
    elif isinstance(callback, BaseCallback):
        parts.append(callback)
    elif callback is not None:
        parts.append(ConvertCallback(callback))
    if progress_bar:
        parts.append(ProgressBarCallback())
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else CallbackList(parts)
