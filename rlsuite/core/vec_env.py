"""A Gymnasium vector environment as a Stable-Baselines3 `VecEnv`; `rlsuite.sb3` offers it to users.

It lives in core because `Agent.get_env` hands it to SB3's callbacks. Shapes: B environments.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from rlsuite.core.actions import action_spec
from rlsuite.core.guard import FINITE, check_tree

SAME_STEP_ENV = (
    "gym.make_vec(id, num_envs, vectorization_mode='sync', "
    "vector_kwargs={'autoreset_mode': gym.vector.AutoresetMode.SAME_STEP})"
)
"""Call that makes a vector environment with SAME_STEP autoreset, for error messages."""


def as_vec_env(vector_env: VectorEnv[Any, Any, Any]) -> VectorEnvAdapter:
    """The vector environment with Stable-Baselines3's `VecEnv` interface.

    Args:
        vector_env: SAME_STEP automatic reset; numpy or torch in and out.

    Raises:
        TypeError: not a `gymnasium.vector.VectorEnv`.
        ValueError: another autoreset mode.
    """
    return VectorEnvAdapter(vector_env)


class VectorEnvAdapter(DummyVecEnv):
    """A Gymnasium vector environment where SB3 wants a `VecEnv`.

    When an episode ends its info holds `terminal_observation`, `TimeLimit.truncated` and, as SB3's `Monitor`
    writes it, `episode` = {r, l, t}. It therefore answers that it is wrapped with `Monitor`: rewards are raw.
    It is a `DummyVecEnv` by type because SB3's `EvalCallback` takes training and evaluation environments for
    mismatched when their types differ, and plain environments handed to that callback become `DummyVecEnv`s.
    """

    def __init__(self, vector_env: VectorEnv[Any, Any, Any]) -> None:
        if not isinstance(vector_env, VectorEnv):
            raise TypeError(
                f"as_vec_env needs a gymnasium.vector.VectorEnv, not {type(vector_env).__name__}; "
                f"make one with {SAME_STEP_ENV}"
            )
        mode = vector_env.metadata.get("autoreset_mode")
        if mode != AutoresetMode.SAME_STEP:
            raise ValueError(
                f"the vector environment resets in mode {mode}; SB3 needs AutoresetMode.SAME_STEP ({SAME_STEP_ENV})"
            )
        self.vector_env = vector_env
        self._return = np.zeros(vector_env.num_envs)
        self._length = np.zeros(vector_env.num_envs, dtype=np.int64)
        self._started = time.time()
        self._steps = 0  # of each environment so far, for messages
        # Not DummyVecEnv.__init__, which would build single environments.
        VecEnv.__init__(self, vector_env.num_envs, vector_env.single_observation_space, vector_env.single_action_space)

    def reset(self) -> VecEnvObs:
        """First observations [B, ...]; seeds and options set before are used once, as in SB3."""
        seeds = [seed for seed in self._seeds if seed is not None]
        seed: Any = None
        if len(seeds) == self.num_envs:
            consecutive = seeds == list(range(seeds[0], seeds[0] + self.num_envs))
            seed = seeds[0] if consecutive else seeds  # Gymnasium counts up from one seed itself
        obs, info = self.vector_env.reset(seed=seed, options=self._options[0] or None)
        self.reset_infos = self._split(info)
        self._return[:], self._length[:] = 0.0, 0
        self._reset_seeds()
        self._reset_options()
        check_tree("observation", obs, self._steps)
        return self.copy(obs)

    def step_async(self, actions: np.ndarray) -> None:
        """Remember the actions [B, ...] for `step_wait`."""
        self.actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Observations, rewards [B] float32, dones [B] bool, and one info dict per environment.

        Raises:
            FloatingPointError: an action, reward or observation is NaN or infinite; names environment and step.
        """
        self._steps += 1
        check_tree("action", self.actions, self._steps)
        action = env_action(self.vector_env, np.asarray(self.actions))
        obs, reward, terminated, truncated, info = self.vector_env.step(action)
        reward, terminated, truncated = (to_numpy(x) for x in (reward, terminated, truncated))
        check_tree("reward", reward, self._steps, largest=FINITE)
        check_tree("observation", obs, self._steps)
        infos = self.infos(reward, terminated, truncated, info)
        return self.copy(obs), reward.astype(np.float32), terminated | truncated, infos

    def episodes_began(self, returns: np.ndarray, lengths: np.ndarray) -> None:
        """Go on counting from the running episodes' returns and lengths [B] so far."""
        self._return[:], self._length[:] = returns, lengths

    def infos(
        self, reward: np.ndarray, terminated: np.ndarray, truncated: np.ndarray, info: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """One info dict per environment after a step with these rewards and flags [B]; ended episodes are counted."""
        self._return += reward
        self._length += 1
        infos = self._split(info)
        if (terminated | truncated).any():
            self._finish(infos, info, terminated, truncated)
        return infos

    def _finish(
        self, infos: list[dict[str, Any]], info: dict[str, Any], terminated: np.ndarray, truncated: np.ndarray
    ) -> None:
        """Give the ended episodes the infos that SB3 expects with them."""
        index = np.flatnonzero(terminated | truncated)
        final_info = self._split(info["final_info"], index) if "final_info" in info else [{} for _ in infos]
        elapsed = time.time() - self._started
        for i in index.tolist():
            last = _row(info["final_obs"], i)
            check_tree("last observation", last, self._steps, env=i)
            self.reset_infos[i] = infos[i]  # after SAME_STEP autoreset the info at hand is the new episode's
            infos[i] = {
                "episode": {"r": float(self._return[i]), "l": int(self._length[i]), "t": round(elapsed, 6)},
                **final_info[i],
                "terminal_observation": last,
                "TimeLimit.truncated": bool(truncated[i] and not terminated[i]),
            }
        self._return[index], self._length[index] = 0.0, 0

    def _split(self, info: dict[str, Any], index: np.ndarray | None = None) -> list[dict[str, Any]]:
        """Gymnasium's info of arrays with masks as one dict per environment."""
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for key, value in info.items():
            if key.startswith("_") or key in ("final_obs", "final_info"):
                continue
            mask = info.get(f"_{key}")
            rows = np.arange(self.num_envs) if mask is None else np.flatnonzero(to_numpy(mask))
            if index is not None:
                rows = np.intersect1d(rows, index)
            value = value if isinstance(value, dict) else to_numpy(value)
            if not isinstance(value, dict) and value.shape[:1] != (self.num_envs,):
                continue  # a fact about the whole batch belongs to no single environment
            for i in rows.tolist():
                infos[i][key] = _row(value, i)
        return infos

    def copy(self, obs: Any) -> Any:
        """An observation batch as arrays of its own."""
        # SB3's contract: the caller keeps what it is given, and vector environments reuse their buffers.
        if isinstance(obs, dict):
            return {key: self.copy(value) for key, value in obs.items()}
        if isinstance(obs, tuple):
            return tuple(self.copy(value) for value in obs)
        return np.array(to_numpy(obs))

    def close(self) -> None:
        """Close the vector environment."""
        self.vector_env.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """One RGB picture [H, W, 3] per environment."""
        frames: Any = self.vector_env.render()
        return list(frames) if frames is not None else [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The vector environment's attribute, once per index; each one's own where it keeps `envs`."""
        index = list(self._get_indices(indices))
        envs = getattr(self.vector_env, "envs", None)
        if envs is not None:
            return [envs[i].get_wrapper_attr(attr_name) for i in index]
        return [getattr(self.vector_env, attr_name) for _ in index]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set the attribute; an engine without single environments has one value for all of them.

        Raises:
            ValueError: one environment of such an engine was meant.
        """
        envs = getattr(self.vector_env, "envs", None)
        if envs is not None:
            for i in self._get_indices(indices):
                setattr(envs[i], attr_name, value)
            return
        if indices is not None:
            raise ValueError(f"{attr_name}: {type(self.vector_env).__name__} has one value for all; leave indices out")
        setattr(self.vector_env, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Call a method of each environment, or of the engine.

        Of an engine's answer each environment gets its row where there is one per environment (arrays, tensors, dicts
        and tuples of these [B, ...]), else the whole. `action_masks`, which sb3-contrib's MaskablePPO calls, answers
        all True where every action is allowed.
        """
        index = list(self._get_indices(indices))
        envs = getattr(self.vector_env, "envs", None)
        if envs is not None:
            answers = [envs[i].get_wrapper_attr(method_name)(*method_args, **method_kwargs) for i in index]
        else:
            answer = getattr(self.vector_env, method_name)(*method_args, **method_kwargs)
            batched = _batched(answer, self.num_envs)
            answers = [_row(answer, i) if batched else answer for i in index]
        if method_name == "action_masks":
            size = action_spec(self.action_space).mask_size
            answers = [np.ones(size, bool) if mask is None else np.asarray(mask, bool) for mask in answers]
        return answers

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """True for `Monitor` (this adapter does its work), else what the single environments say."""
        index = list(self._get_indices(indices))
        return [issubclass(Monitor, wrapper_class) for _ in index]


def env_action(venv: VectorEnv[Any, Any, Any], action: Any) -> Any:
    """Actions [B, ...] as `venv.step` takes them: a tensor on the environment's device, or an array."""
    if getattr(venv, "output", "numpy") == "torch":
        return torch.as_tensor(action, device=getattr(venv, "device", None))
    array = to_numpy(action)
    if array.ndim == 1 and array.dtype.kind == "f" and isinstance(venv, SyncVectorEnv | AsyncVectorEnv):
        # Gymnasium hands out the entries of a batch of Box(shape=()) as scalars, which its Box takes with a warning
        return [array[i, ...] for i in range(len(array))]
    return array


def to_numpy(value: Any) -> np.ndarray:
    """An array of a tensor on any device, or of anything numpy understands."""
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def _batched(value: Any, num_envs: int) -> bool:
    """Whether there is an entry per environment: arrays, tensors, dicts and tuples of these with B rows."""
    if isinstance(value, dict):
        return bool(value) and all(_batched(part, num_envs) for key, part in value.items())
    if isinstance(value, tuple):
        return bool(value) and all(_batched(part, num_envs) for part in value)
    return isinstance(value, torch.Tensor | np.ndarray) and tuple(value.shape[:1]) == (num_envs,)


def _row(value: Any, i: int) -> Any:
    """Entry i of a batch: arrays, tensors, object arrays of observations, dicts and tuples of these."""
    if isinstance(value, dict):
        return {key: _row(part, i) for key, part in value.items() if not key.startswith("_")}
    if isinstance(value, tuple):
        return tuple(_row(part, i) for part in value)
    return deepcopy(to_numpy(value)[i])
