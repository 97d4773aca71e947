"""Stable-Baselines3's callbacks around a `learn`: one callback out of its several forms, and what it is shown.

SB3's callbacks read the local variables of its `collect_rollouts`: `infos` with one dict per environment (an
`episode` = {r, l, t}, `terminal_observation` and `TimeLimit.truncated` where one ended), `new_obs`, `rewards`, `dones`,
`actions`, `clipped_actions`, `env`, `self`. They get the same here; of a vector of K objectives its mean.

Shapes: B environments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, ConvertCallback, ProgressBarCallback

from rlsuite.core.learner import Learner
from rlsuite.core.types import Step
from rlsuite.core.vec_env import VectorEnvAdapter, as_vec_env, to_numpy

SB3Callback = BaseCallback | list[BaseCallback] | Callable[[dict[str, Any], dict[str, Any]], bool] | None


class Hooks(CallbackList):
    """Several callbacks as one; only those whose start succeeded are told of the end."""

    def __init__(self, callbacks: list[BaseCallback]) -> None:
        super().__init__(callbacks)
        self.started: list[BaseCallback] = []

    def _on_training_start(self) -> None:
        self.started.clear()
        for callback in self.callbacks:
            callback.on_training_start(self.locals, self.globals)
            self.started.append(callback)

    def _on_training_end(self) -> None:
        while self.started:
            self.started.pop(0).on_training_end()


def make_hooks(callback: Any, progress_bar: bool = False) -> Hooks | None:
    """One callback out of a callback, a function `(locals, globals) -> bool`, a list of these, or None.

    Raises:
        TypeError: none of these; the message names what it is.
    """
    parts = _parts(callback)
    if progress_bar:
        parts.append(ProgressBarCallback())
    return Hooks(parts) if parts else None


def _parts(callback: Any) -> list[BaseCallback]:
    if callback is None:
        return []
    if isinstance(callback, list | tuple):
        return [part for item in callback for part in _parts(item)]
    if isinstance(callback, BaseCallback):
        return [callback]
    if isinstance(callback, type) and issubclass(callback, BaseCallback):
        raise TypeError(f"callback is the class {callback.__name__}; give an instance: {callback.__name__}(...)")
    if callable(callback):
        return [ConvertCallback(callback)]
    raise TypeError(
        f"callback is {callback!r}; give a Stable-Baselines3 callback, a function of (locals, globals) that returns "
        "whether to go on, or a list of these"
    )


class Shown:
    """SB3's view of each step for callbacks; returns and lengths continue those of the running episodes."""

    def __init__(self, agent: Learner) -> None:
        self.agent = agent
        self.adapter: VectorEnvAdapter = as_vec_env(agent.venv)
        if agent.runner is not None:  # goes on in the middle of episodes
            self.adapter.episodes_began(_one_number(agent.runner.stats.returns), agent.runner.stats.lengths)

    def locals(self, step: Step) -> dict[str, Any]:
        """SB3's local variables after a step; its ended episodes are counted as successes or not."""
        rewards, terminated, truncated = (to_numpy(x) for x in (step.reward, step.terminated, step.truncated))
        rewards = _one_number(rewards)
        if len(rewards) != self.adapter.num_envs:  # training goes on in another number of environments
            self.adapter = as_vec_env(self.agent.venv)
        infos = self.adapter.infos(rewards, terminated, truncated, step.info)
        dones = terminated | truncated
        successes = [infos[i]["is_success"] for i in np.flatnonzero(dones).tolist() if "is_success" in infos[i]]
        self.agent.ep_success_buffer.extend(successes)
        new_obs = self.adapter.copy(step.obs if step.env_obs is None else step.env_obs)
        seen = {"rewards": rewards, "dones": dones, "infos": infos, "new_obs": new_obs, "self": self.agent}
        if step.action is not None:
            seen |= {"actions": to_numpy(step.action), "clipped_actions": to_numpy(step.env_action)}
        return seen


def _one_number(rewards: np.ndarray) -> np.ndarray:
    """Rewards [B], or of [B, K] the means over the objectives."""
    return rewards if rewards.ndim == 1 else rewards.mean(1)
