"""One call of `learn`: logger, callbacks, progress, time; Stable-Baselines3's own classes do the work."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from stable_baselines3.common.utils import configure_logger
from threadpoolctl import threadpool_limits

from rlsuite.core.collect import Actor, EpisodeStats, Runner, collect
from rlsuite.core.config import whole_number
from rlsuite.core.hooks import Hooks, SB3Callback, Shown, make_hooks
from rlsuite.core.learner import Learner
from rlsuite.core.types import Rollout, Step

OnUpdate = Callable[[Any], None]
OnStep = Callable[[Step], bool]


class Session:
    """Counts, logs and calls back during one `learn`.

    `on_step` is None when there is no callback, so that collection pays nothing for it.
    """

    def __init__(
        self,
        agent: Learner,
        total_timesteps: int,
        callback: Hooks | None,
        log_interval: int | None,
        on_update: OnUpdate | None,
    ) -> None:
        self.agent = agent
        self.callback = callback
        self.on_update = on_update
        self.total = total_timesteps
        self.log_interval = log_interval
        agent.start_time, agent._num_timesteps_at_start = time.time_ns(), agent.num_timesteps
        agent._total_timesteps = total_timesteps
        self.iteration = 0
        self.stopped = False
        self.shown: Shown | None = None if callback is None else Shown(agent)
        self.on_step: OnStep | None = None if callback is None else self._step

    @property
    def done(self) -> bool:
        """Whether the step budget is used up or a callback asked to stop."""
        return self.stopped or self.agent.num_timesteps >= self.total

    @property
    def progress_remaining(self) -> float:
        """1 at the first step, 0 at the last."""
        return max(0.0, 1.0 - self.agent.num_timesteps / self.total)

    def _step(self, step: Step) -> bool:
        assert self.callback is not None and self.shown is not None  # on_step is None otherwise
        self.agent.num_timesteps += self.agent.num_envs
        self.callback.update_locals(self.shown.locals(step))
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

    def collect(
        self,
        actor: Actor,
        runner: Runner,
        n_steps: int,
        generator: torch.Generator,
        *,
        on_step: OnStep | None = None,
        before_step: Callable[[torch.Tensor], None] | None = None,
    ) -> Rollout | None:
        """A rollout of `rlsuite.core.collect.collect`, announced to the callbacks and counted.

        Args:
            actor: policy back end.
            runner: environments in the middle of their episodes; moved on in place.
            n_steps: T, steps per environment.
            generator: source of the actions' randomness.
            on_step: called after each step in the place of the session's own, which it should call in its turn.
            before_step: called with the actions [B, ...] before the environments take them.

        Returns:
            The rollout [T, B, ...], or None when a callback asked to stop.
        """
        self.rollout_start()
        rollout = collect(actor, runner, n_steps, generator, self.on_step if on_step is None else on_step, before_step)
        if rollout is not None:
            self.rollout_end(n_steps * self.agent.num_envs)
        return rollout

    def update_end(self, metrics: dict[str, float], stats: EpisodeStats) -> None:
        """Log one update and let `on_update` look at the agent (checkpoints, evaluation, progress)."""
        self.iteration += 1
        agent, logger = self.agent, self.agent.logger
        for name, value in metrics.items():
            logger.record(name, value)
        if self.log_interval is not None and self.iteration % self.log_interval == 0:
            dump_logs(agent, stats, self.iteration)
        if self.on_update is not None:
            self.on_update(agent)


def dump_logs(agent: Learner, stats: EpisodeStats | None, iteration: int = 0) -> None:
    """Write the log line of now: recent episodes, speed, steps, and what was recorded since the last one."""
    logger = agent.logger
    if stats is not None and stats.recent_returns:
        if stats.returns.ndim == 1:
            logger.record("rollout/ep_rew_mean", statistics.fmean(stats.recent_returns))
        for k, values in enumerate(zip(*stats.recent_returns, strict=True) if stats.returns.ndim > 1 else ()):
            logger.record(f"rollout/ep_rew_mean_{k}", statistics.fmean(values))
        logger.record("rollout/ep_len_mean", statistics.fmean(stats.recent_lengths))
    if agent.ep_success_buffer:
        logger.record("rollout/success_rate", statistics.fmean(agent.ep_success_buffer))
    elapsed = max((time.time_ns() - agent.start_time) / 1e9, 1e-9)
    if iteration > 0:
        logger.record("time/iterations", iteration, exclude="tensorboard")
    logger.record("time/fps", int((agent.num_timesteps - agent._num_timesteps_at_start) / elapsed))
    logger.record("time/time_elapsed", elapsed, exclude="tensorboard")
    logger.record("time/total_timesteps", agent.num_timesteps, exclude="tensorboard")
    logger.dump(step=agent.num_timesteps)


@contextlib.contextmanager
def session(
    agent: Learner,
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
        ValueError: `total_timesteps` or `log_interval` below 1 or no whole number; TypeError: no callback.
    """
    total_timesteps = whole_number("total_timesteps", total_timesteps, least=1)
    if log_interval is not None:
        log_interval = whole_number("log_interval", log_interval, least=1)
    hooks = make_hooks(callback, progress_bar)
    if reset_num_timesteps:
        agent.num_timesteps = 0
        agent.ep_success_buffer.clear()
        agent.forget_episodes()
    total = total_timesteps + agent.num_timesteps
    if not agent.custom_logger:
        agent.set_logger(
            configure_logger(agent.verbose, agent.tensorboard_log, tb_log_name, reset_num_timesteps),
            custom=False,
        )
    run = Session(agent, total, hooks, log_interval, on_update)
    threads = torch.get_num_threads()
    small = agent.small_network()
    if small:
        torch.set_num_threads(1)  # two threads make small networks slower, up to 30 times on a busy machine
    try:
        with threadpool_limits(1 if small else None):
            if hooks is not None:
                hooks.init_callback(agent)  # type: ignore[arg-type]  # duck-typed: Agent has BaseAlgorithm's surface
                told = {"total_timesteps": total, "log_interval": log_interval, "tb_log_name": tb_log_name}
                told |= {"reset_num_timesteps": reset_num_timesteps, "progress_bar": progress_bar}
                hooks.on_training_start({**told, "self": agent, "env": hooks.training_env, "callback": hooks}, {})
            yield run
    finally:
        torch.set_num_threads(threads)
        if hooks is not None:
            hooks.on_training_end()
