"""Gymnasium's MuJoCo v5 tasks as one vector environment, stepped by MuJoCo's own C thread pool.

`MujocoPool("Hopper-v5", num_envs=64)` holds 64 simulations of one model in a `mujoco.batch.Batch`. A step is one
call into C for all of them and a handful of NumPy expressions over the arrays bound to them; nothing happens once
per environment in Python, except the random draws of those whose episode has just ended. Environment i seeded with
`reset(seed=s)` gives the bits of `gymnasium.make(id).reset(seed=s + i)`, then step for step the same observations,
rewards, terminations and later episodes, at any number of threads.

Letters: B environments, O observation entries, A action entries.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from mujoco.batch import Batch
from numpy.typing import NDArray

from rlsuite_envs.mujoco.model import load_model
from rlsuite_envs.mujoco.task import ALL, Array, Bound
from rlsuite_envs.mujoco.tasks import build_task

__all__ = ["MujocoPool", "SimulationDiverged"]

# MuJoCo resets a simulation that raises one of these, which would corrupt an episode unnoticed
_FATAL_WARNINGS = [
    int(mujoco.mjtWarning.mjWARN_BADQPOS),
    int(mujoco.mjtWarning.mjWARN_BADQVEL),
    int(mujoco.mjtWarning.mjWARN_BADQACC),
    int(mujoco.mjtWarning.mjWARN_BADCTRL),
]


class SimulationDiverged(FloatingPointError):
    """The physics of an environment became unstable: NaN, infinity or a huge number in its state."""


class MujocoPool(VectorEnv[Array, NDArray[Any], NDArray[Any]]):
    """B copies of a Gymnasium MuJoCo v5 task on a C thread pool, autoreset SAME_STEP.

    Args:
        id: the task, for example "HalfCheetah-v5" (or "rlsuite/HalfCheetah-v5").
        num_envs: number of environments B, at least 1.
        num_threads: physics threads, including the caller's; 0 takes all CPUs this process may use.
        max_episode_steps: steps after which an episode is truncated; None takes Gymnasium's limit for the task.
        render_mode: None or "rgb_array" (a picture of environment 0).
        **kwargs: the task's arguments in Gymnasium (`xml_file`, `frame_skip`, `reset_noise_scale`, ...), and those of
            its renderer (`width`, `height`, `camera_id`, `camera_name`, `default_camera_config`, `max_geom`,
            `visual_options`).

    Raises:
        ValueError: unknown task, num_envs < 1, num_threads < 0, or a bad argument value.
        TypeError: an argument the task does not have.
        OSError: the XML file does not exist.
    """

    def __init__(
        self,
        id: str,
        num_envs: int = 1,
        *,
        num_threads: int = 0,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        **kwargs: Any,
    ) -> None:
        _check_count("num_envs", num_envs, 1)
        _check_count("num_threads", num_threads, 0)
        self.task = build_task(id, kwargs)
        limit = self.task.max_episode_steps if max_episode_steps is None else max_episode_steps
        _check_count("max_episode_steps", limit, 1)
        if render_mode not in (None, "rgb_array"):
            raise ValueError(
                f"render_mode={render_mode!r}: the pool offers 'rgb_array'; use gymnasium.make for others."
            )

        self.id = id
        self.num_envs = int(num_envs)
        self.num_threads = int(num_threads) or len(_usable_cpus())
        self.max_episode_steps = int(limit)
        self.render_mode = render_mode
        self.model = load_model(self.task.xml_file, contact_forces="cfrc_ext" in self.task.derived)
        self.task.check_model(self.model)
        self.dt = self.model.opt.timestep * self.task.frame_skip
        self.metadata = {
            "autoreset_mode": AutoresetMode.SAME_STEP,
            "render_modes": ["rgb_array"],
            "render_fps": int(np.round(1.0 / self.dt)),
        }

        shape = (self.task.obs_size(self.model),)
        self.single_observation_space = gym.spaces.Box(-np.inf, np.inf, shape, np.float64)
        low, high = self.model.actuator_ctrlrange.astype(np.float32).T
        self.single_action_space = gym.spaces.Box(low, high, dtype=np.float32)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

        self._batch = Batch(self.model, self.num_envs, min(self.num_threads, self.num_envs))
        self._bound = self._bind()
        self._batch.reset(stage=mujoco.mjtStage.mjSTAGE_NONE.value)
        self._initial_state = self._batch.state[0].copy()
        self._elapsed = np.zeros(self.num_envs, np.int64)
        self._steps = 0
        self._generators: list[np.random.Generator | None] = [None] * self.num_envs
        self._position = self.task.position(self._bound, ALL)
        self._all_valid = np.ones(self.num_envs, np.bool_)
        self._all_valid.flags.writeable = False
        self._ready = False

    def _bind(self) -> Bound:
        """Bind the state, and the derived fields that the task reads."""
        batch = self._batch
        fields = {name: batch.bind(name) for name in self.task.derived}
        if "cfrc_ext" in fields:
            # an own copy: it must read zero after a reset, where MuJoCo does not compute it
            self._cfrc_ext = fields["cfrc_ext"]
            fields["cfrc_ext"] = np.zeros(self._cfrc_ext.shape)
        mass = self.model.body_mass[None]
        return Bound(self.model, batch.bind("qpos"), batch.bind("qvel"), batch.bind("ctrl"), mass, **fields)

    # ------------------------------------------------------------------------------------------------ episodes

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start new episodes in all environments, or in those of `options["reset_mask"]` [B].

        Args:
            seed: an integer s seeds environment i with s + i; a sequence seeds each; None continues the generators.
            options: None, or {"reset_mask": bool array [B]}.

        Returns:
            Observations [B, O] and infos (arrays [B]).
        """
        self._seed(seed)
        mask = (options or {}).get("reset_mask")
        if mask is not None and not self._ready:
            raise ValueError("options['reset_mask'] needs a full reset() first.")
        ids = np.arange(self.num_envs, dtype=np.int32) if mask is None else _mask_ids(mask, self.num_envs)
        self._start_episodes(ids)
        self._ready = True
        obs = np.empty(self.observation_space.shape)
        self.task.observe(self._bound, ALL, obs)
        info = self._masked(self.task.reset_info(self._bound, ALL), self._all_valid)
        return obs, info

    def _seed(self, seed: int | Sequence[int | None] | None) -> None:
        """Replace the generators that got a seed; make those that never had one."""
        if seed is None or isinstance(seed, (int, np.integer)):
            seeds: list[int | None] = [None if seed is None else int(seed) + i for i in range(self.num_envs)]
        else:
            seeds = list(seed)
        if len(seeds) != self.num_envs:
            raise ValueError(f"reset got {len(seeds)} seeds for {self.num_envs} environments.")
        for i, value in enumerate(seeds):
            if value is not None or self._generators[i] is None:
                self._generators[i] = seeding.np_random(value)[0]

    def _start_episodes(self, ids: NDArray[np.int32]) -> None:
        """Put the environments ids into a new initial state, as Gymnasium's reset does."""
        bound, model = self._bound, self.model
        qpos, qvel = np.empty((len(ids), model.nq)), np.empty((len(ids), model.nv))
        still = np.zeros(model.nv)
        for row, i in enumerate(ids):
            generator = self._generators[i]
            assert generator is not None
            qpos[row], qvel[row] = self.task.draw(generator, model.qpos0, still)
        self._batch.state[ids] = self._initial_state
        bound.qpos[ids] = qpos
        bound.qvel[ids] = qvel
        self._batch.forward(ids)
        if bound.cfrc_ext.size:
            bound.cfrc_ext[ids] = 0.0
        self._position[ids] = self.task.position(bound, ids)
        self._elapsed[ids] = 0

    def step(
        self, action: NDArray[Any]
    ) -> tuple[Array, Array, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Advance every environment by `frame_skip` physics steps.

        Args:
            action: controls [B, A]. The control cost is computed in its dtype, as in Gymnasium; MuJoCo clamps to the
                action space.

        Returns:
            obs [B, O], reward [B], terminated [B], truncated [B], info. Where an episode ended, obs is the first of
            the next one, and info["final_obs"] [B, O] and info["final_info"] hold the last ones on the rows of the
            mask info["_final_obs"].

        Raises:
            SimulationDiverged: an unstable simulation, naming the environment and the step.
            ValueError: an action of another shape, or with NaN or infinity.
        """
        action = self._checked(action)
        bound, task = self._bound, self.task
        bound.ctrl[:] = action
        self._batch.step(nstep=task.frame_skip)
        if self._batch.warning.any():
            self._raise_if_diverged()
        self._elapsed += 1
        self._steps += 1
        if bound.cfrc_ext.size:
            np.copyto(bound.cfrc_ext, self._cfrc_ext)
        before, self._position = self._position, task.position(bound, ALL)
        obs = np.empty(self.observation_space.shape)
        task.observe(bound, ALL, obs)
        reward, terminated, raw_info = task.outcome(bound, before, self._position, action, self.dt)
        truncated = self._elapsed >= self.max_episode_steps
        done = terminated | truncated
        if done.any():
            info = self._autoreset(done, obs, raw_info)
        else:
            info = self._masked(raw_info, self._all_valid)
        return obs, reward, terminated, truncated, info

    def _autoreset(
        self, done: NDArray[np.bool_], obs: Array, last: dict[str, NDArray[Any]]
    ) -> dict[str, Any]:
        """Start the next episodes where done; obs and info then show their first step, the final ones aside."""
        final = {name: value.copy() for name, value in last.items()}
        info: dict[str, Any] = {"final_obs": obs.copy(), "_final_obs": done}
        info["final_info"], info["_final_info"] = self._masked(final, done), done
        ids = np.flatnonzero(done).astype(np.int32)
        self._start_episodes(ids)
        first = np.empty((len(ids), obs.shape[1]))
        self.task.observe(self._bound, ids, first)
        obs[ids] = first
        started = self.task.reset_info(self._bound, ids)
        for name, value in last.items():
            # entries which a reset does not report are zero there, and masked
            value[ids] = started.get(name, 0)
            info[name] = value
            info["_" + name] = self._all_valid if name in started else ~done
        return info

    @staticmethod
    def _masked(values: dict[str, NDArray[Any]], mask: NDArray[np.bool_]) -> dict[str, Any]:
        """Gymnasium's vector info: each entry beside the mask of the environments it is valid for."""
        info: dict[str, Any] = {}
        for name, value in values.items():
            info[name] = value
            info["_" + name] = mask
        return info

    def _checked(self, action: Any) -> NDArray[Any]:
        """The action as a finite floating array [B, A]."""
        if not self._ready:
            raise gym.error.ResetNeeded("Call reset() before step().")
        action = np.asarray(action)
        if action.dtype.kind != "f":
            action = action.astype(np.float64)
        if action.shape != self._bound.ctrl.shape:
            raise ValueError(
                f"{self.id}: actions must have shape {self._bound.ctrl.shape}, got {action.shape}."
            )
        if not np.isfinite(action).all():
            bad = int(np.flatnonzero(~np.isfinite(action).all(axis=1))[0])
            raise ValueError(f"{self.id}: the action of environment {bad} is not finite: {action[bad]}.")
        return action

    def _raise_if_diverged(self) -> None:
        """Name the first environment whose physics MuJoCo had to reset; other warnings are not fatal."""
        bad = np.flatnonzero(self._batch.warning[:, _FATAL_WARNINGS, 1].any(axis=1))
        self._batch.warning[:] = 0
        if bad.size:
            raise SimulationDiverged(
                f"{self.id}: the simulation of environment {bad[0]} became unstable at step {self._steps + 1} of the "
                f"pool, step {self._elapsed[bad[0]] + 1} of its episode ({bad.size} of {self.num_envs} environments). "
                "Reset the pool; if it happens again, bound the actions or forces, or lower the XML's timestep."
            )


def _usable_cpus() -> Sequence[int]:
    """The CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return range(os.cpu_count() or 1)


def _check_count(name: str, value: Any, least: int) -> None:
    """Raise ValueError unless value is an integer of at least `least`."""
    good = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= least
    if not good or not math.isfinite(value):
        raise ValueError(f"{name}={value!r} must be an integer of at least {least}.")


def _mask_ids(mask: Any, num_envs: int) -> NDArray[np.int32]:
    """The sorted ids of a boolean mask [B]."""
    mask = np.asarray(mask)
    if mask.dtype != np.bool_ or mask.shape != (num_envs,) or not mask.any():
        raise ValueError(
            f"options['reset_mask'] must be a bool array of shape ({num_envs},) with a True in it."
        )
    return np.flatnonzero(mask).astype(np.int32)
