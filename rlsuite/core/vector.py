"""Any vector environment as tensors on one device: what `collect` steps."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv, VectorRewardWrapper

from rlsuite.core import guard
from rlsuite.core.distributions import ActionSpec, action_spec
from rlsuite.core.spaces import flatten_obs, obs_size
from rlsuite.core.types import Step
from rlsuite.core.vec_env import SAME_STEP_ENV, env_action
from rlsuite_envs import ManyObjectivesVectorEnv


def make_env(
    env: str | gym.Env[Any, Any] | VectorEnv[Any, Any, Any],
    num_envs: int,
    device: torch.device,
    env_kwargs: dict[str, Any] | None = None,
) -> VectorEnv[Any, Any, Any]:
    """A vector environment from an id, a single environment, or a vector environment (returned as it is).

    Ids go to the fastest engine that has them: MuJoCo tasks to the pool, rlsuite kernels to the tensor shell on
    `device`, everything else to Gymnasium's synchronous vector env.

    Raises:
        ValueError: unknown id (the message names near ones), `num_envs` below 1, or copies of a single env.
        TypeError: not an environment.
    """
    if isinstance(env, VectorEnv):
        return env
    if isinstance(env, gym.Env):
        if num_envs != 1:
            raise ValueError(
                f"num_envs={num_envs} with a single environment object; give its id, or a vector environment"
            )
        if count_objectives(env) is not None:
            return ManyObjectivesVectorEnv([lambda: env])
        return gym.vector.SyncVectorEnv([lambda: env], autoreset_mode=AutoresetMode.SAME_STEP)
    if not isinstance(env, str):
        raise TypeError(f"env must be an id, a gymnasium.Env or a VectorEnv, not {type(env).__name__}")
    from rlsuite_envs.make import make_vector_env

    return make_vector_env(env, num_envs, device=str(device), env_kwargs=env_kwargs)


_REMEDY = (
    "wrap it in rlsuite_envs.LinearReward(env, weights), or a vector environment in "
    "rlsuite_envs.LinearRewardVector(venv, weights), so that step returns weights . reward; or use CMORL "
    "(`rlsuite train cmorl`), which learns all of them"
)


def count_objectives(env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> int | None:
    """K, if a step of the environment pays a vector of K objectives; None for one number (or where nobody can tell)."""
    layer: Any = env
    while layer is not layer.unwrapped:
        foreign = not type(layer).__module__.startswith(("gymnasium.", "rlsuite_envs."))
        if foreign or isinstance(layer, gym.RewardWrapper | VectorRewardWrapper):
            return None  # may well make one number of them
        layer = layer.env
    count = getattr(getattr(layer, "kernel", None), "reward_dim", None)
    if count is None:  # mo-gymnasium's convention
        shape = getattr(getattr(layer, "reward_space", None), "shape", None)
        count = shape[0] if shape else None
    if count is None and getattr(layer, "envs", None):
        return count_objectives(layer.envs[0])
    return count


def check_one_reward(env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any], remedy: str = _REMEDY) -> None:
    """Raise if a step of the environment pays a vector of objectives, of which most algorithms make no number.

    Args:
        env: to look at.
        remedy: ends the message.

    Raises:
        ValueError: names the number of objectives and the remedy.
    """
    count = count_objectives(env)
    if count is not None:
        raise ValueError(
            f"the environment pays a vector of {count} objectives at each step, where one number is needed; {remedy}"
        )


class Stepper:
    """One face over every vector environment: flat observation rows and flags as tensors on `device`.

    Numpy and torch environments both go through without a copy on the CPU. Only SAME_STEP automatic reset is
    accepted: the others would put reset transitions into the rollout.

    Every number and mask that passes is looked at (`rlsuite.core.guard`) at once, before anybody acts on it. Only where
    environments and learner both live on an accelerator, so that looking would wait for it at every step, this is left
    to `settle`.

    Args:
        venv: the environments.
        device: of the tensors.
        shares: the other player's stepper where both step the same episodes: they count their steps together.
        vector_reward: whether the learner takes a vector of objectives (and nothing else) as the reward.

    Attributes:
        largest_reward: allowed absolute reward.
        objectives: K with `vector_reward`, else None.

    Raises:
        ValueError: another autoreset mode, several objectives, or unsupported spaces.
    """

    def __init__(
        self,
        venv: VectorEnv[Any, Any, Any],
        device: torch.device,
        *,
        shares: Stepper | None = None,
        vector_reward: bool = False,
    ) -> None:
        mode = venv.metadata.get("autoreset_mode")
        if mode != AutoresetMode.SAME_STEP:
            raise ValueError(
                f"the vector environment resets in mode {mode}; rlsuite needs AutoresetMode.SAME_STEP "
                f"({SAME_STEP_ENV}), because the other modes insert reset transitions into the data"
            )
        self.objectives = count_objectives(venv) if vector_reward else None
        if vector_reward and self.objectives is None:
            raise ValueError(
                "the environment pays one number at each step (it has no `reward_space` of several objectives); use an "
                "algorithm for one objective, PPO say, or an environment that pays a vector, such as "
                "'rlsuite/DeepSeaTreasure-concave-v0'"
            )
        if not vector_reward:
            check_one_reward(venv)
        self.venv = venv
        self.device = device
        self.num_envs = venv.num_envs
        self.observation_space = venv.single_observation_space
        self.obs_size = obs_size(self.observation_space)
        self.spec: ActionSpec = action_spec(venv.single_action_space)
        self.largest_reward = guard.LARGEST
        self._count: list[int] = [0] if shares is None else shares._count
        self._at_once = device.type == "cpu" or getattr(venv, "output", "numpy") != "torch"
        self._later: list[tuple[str, int, torch.Tensor, torch.Tensor | None, float]] = []
        self._masked: bool | None = None

    def reset(self, seed: int | None = None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """First observations [B, O] and action masks [B, A'] or None."""
        obs, info = self.venv.reset(seed=seed)
        rows = self._rows(obs)
        self._look("observation", rows, guard.LARGEST)
        self._masked = info.get("action_mask") is not None
        return rows, self._mask(info)

    def step(self, action: torch.Tensor) -> Step:
        """Step every environment with sampled actions [B, ...]; only the environment sees them clipped to the box.

        Raises:
            FloatingPointError: an action, reward or observation is not finite or too large (`rlsuite.core.guard`).
            ValueError: an action mask that allows nothing, has a wrong shape or dtype, appears or vanishes.
        """
        self._count[0] += 1
        if not self.spec.discrete:
            self._look("action", action, guard.FINITE)
        given = env_action(self.venv, self.spec.to_env(action))
        obs, reward, terminated, truncated, info = self.venv.step(given)
        rows, rewards = self._rows(obs), torch.as_tensor(reward, device=self.device)
        final = None if "final_obs" not in info else self._final(info["final_obs"], info["_final_obs"], rows)
        self._look("reward", rewards, self.largest_reward)
        if final is not None:
            self._look("last observation", final, guard.LARGEST)
        self._look("observation", rows, guard.LARGEST)
        return Step(
            rows,
            rewards,
            torch.as_tensor(terminated, device=self.device),
            torch.as_tensor(truncated, device=self.device),
            final,
            self._mask(info),
            info,
            action,
            given,
            obs,
        )

    @property
    def steps(self) -> int:
        """Steps of each environment so far, for messages."""
        return self._count[0]

    def settle(self) -> None:
        """Raise the errors of earlier steps whose checks were deferred to avoid a host sync."""
        pending, self._later = self._later, []
        if not pending or not bool(torch.stack([bad.any() for _, _, bad, _, _ in pending]).any()):
            return
        for what, step, bad, peaks, largest in pending:
            if peaks is not None:
                guard.check_peaks(what, peaks, step, largest)
            elif bool(bad.any()):
                raise self._forbidden(int(bad.nonzero()[0]), step)

    def _look(self, what: str, values: torch.Tensor, largest: float) -> None:
        if self._at_once:
            guard.check_numbers(what, values, self.steps, largest)
        else:
            peaks = guard.peak(values)
            self._later.append((what, self.steps, ~(peaks <= largest), peaks, largest))

    def _rows(self, obs: Any) -> torch.Tensor:
        return flatten_obs(self.observation_space, obs, self.device)

    def _mask(self, info: dict[str, Any]) -> torch.Tensor | None:
        given = info.get("action_mask")
        if self._masked is None:  # no reset came before: the episodes are another's, or a checkpoint's
            self._masked = given is not None
        if (given is not None) != self._masked:
            raise ValueError(
                f"the environments {'no longer give an' if self._masked else 'give an'} action mask at step "
                f"{self.steps}, unlike before; put info['action_mask'] into every info, or into none"
            )
        if given is None:
            return None
        present = info.get("_action_mask")
        if isinstance(present, np.ndarray) and not present.all():
            raise ValueError(
                f"environment {int(present.argmin())} gives no action mask at step {self.steps}, while others do; put "
                "info['action_mask'] into every info, or into none"
            )
        where = f"the environments' action mask at step {self.steps}"
        mask = guard.check_mask(given, self.spec, self.num_envs, self.device, where)
        bad = guard.forbidding(mask, self.spec)
        if not self._at_once:
            self._later.append(("action mask", self.steps, bad, None, 0.0))
        elif bool(bad.any()):
            raise self._forbidden(int(bad.nonzero()[0]), self.steps)
        return mask

    def _forbidden(self, b: int, step: int) -> ValueError:
        return ValueError(
            f"the action mask of environment {b} at step {step} allows no action, or none for a component of it; let "
            "the episode terminate there, or allow a no-op"
        )

    def _final(self, final: Any, ended: Any, rows: torch.Tensor) -> torch.Tensor:
        """True last observations in the rows of ended environments, current ones elsewhere; [B, O]."""
        mask = torch.as_tensor(ended, device=self.device)
        if isinstance(final, np.ndarray) and final.dtype == object:  # Gymnasium's own vector envs: one object a row
            index = np.flatnonzero(np.asarray(ended))
            stacked = _stack([final[i] for i in index])
            result = rows.clone()
            result[torch.as_tensor(index, device=self.device)] = self._rows(stacked).to(rows.dtype)
            return result
        return torch.where(mask[:, None], self._rows(final), rows)


def _stack(values: list[Any]) -> Any:
    """Observations of several environments as one batch, through Dict and Tuple."""
    if isinstance(values[0], dict):
        return {key: _stack([value[key] for value in values]) for key in values[0]}
    if isinstance(values[0], tuple):
        return tuple(_stack(list(parts)) for parts in zip(*values, strict=True))
    return np.stack([np.asarray(value) for value in values])
