"""Gymnasium's MuJoCo v5 tasks as one vector environment, stepped by MuJoCo's own C thread pool.

`MujocoPool("Hopper-v5", num_envs=64)` holds 64 simulations of one model in a `mujoco.batch.Batch`. A step is
one call into C for all of them and a handful of NumPy expressions over the arrays bound to them; nothing
happens once per environment in Python, except the random draws of those whose episode has just ended.
Environment i seeded with `reset(seed=s)` gives the bits of `gymnasium.make(id).reset(seed=s + i)`, then step
for step the same observations, rewards, terminations and later episodes, at any number of threads.

Letters: B environments, O observation entries, A action entries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from mujoco.batch import Batch
from numpy.typing import ArrayLike, NDArray

from rlsuite_envs.mujoco.perturbation import Perturbation
from rlsuite_envs.mujoco.rendering import RENDER_ARGUMENTS, PoolRenderer
from rlsuite_envs.mujoco.snapshot import pack_generators, remade, unpack_generators
from rlsuite_envs.mujoco.task import ALL, Array, Bound
from rlsuite_envs.mujoco.tasks import MO_TASKS, build_task
from rlsuite_envs.mujoco.validate import (
    SimulationDiverged,
    check_count,
    mask_ids,
    raise_if_diverged,
    usable_cpus,
)

__all__ = ["MujocoPool", "SimulationDiverged"]


class MujocoPool(VectorEnv[Array, NDArray[Any], NDArray[Any]]):
    """B copies of a Gymnasium MuJoCo v5 task on a C thread pool, autoreset SAME_STEP.

    Tasks with K objectives ("mo-hopper-2obj-v5", ...) pay a vector [B, K] at each step.

    Args:
        id: the task, for example "HalfCheetah-v5" (or "rlsuite/HalfCheetah-v5").
        num_envs: number of environments B, at least 1.
        num_threads: physics threads, including the caller's; 0 takes all CPUs this process may use.
        max_episode_steps: steps after which an episode is truncated; None takes Gymnasium's limit. A time limit
            that is part of the task holds in any case.
        render_mode: None or "rgb_array" (a picture of environment 0).
        **kwargs: the task's arguments in Gymnasium (`xml_file`, `frame_skip`, `reset_noise_scale`, ...), and
            those of its renderer (`width`, `height`, `camera_id`, `camera_name`, `default_camera_config`,
            `max_geom`, `visual_options`).

    Attributes:
        objective_names: names of the K objectives; None for a scalar reward.
        reward_space: Box [K] of one environment's reward vector; None for a scalar reward.
        reward_dim: K; None for a scalar reward.

    Raises:
        ValueError: unknown task, num_envs < 1, num_threads < 0, or a bad argument value.
        TypeError: an argument the task does not have.
        OSError: the XML file does not exist.
    """

    _made_by: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> MujocoPool:
        """Remember the arguments, with which a copy is made."""
        pool = super().__new__(cls)
        pool._made_by = args, kwargs
        return pool

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles are made anew, as MuJoCo's threads cannot be copied, and put into this one's state."""
        return remade, (type(self), *self._made_by, self.state_dict() if self._ready else None)

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
        check_count("num_envs", num_envs, 1)
        check_count("num_threads", num_threads, 0)
        drawing = {name: kwargs.pop(name) for name in RENDER_ARGUMENTS if name in kwargs}
        self.task = build_task(id, kwargs)
        limit = self.task.max_episode_steps if max_episode_steps is None else max_episode_steps
        check_count("max_episode_steps", limit, 1)
        limit = limit if self.task.horizon is None else min(limit, self.task.horizon)
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode={render_mode!r}: the pool draws 'rgb_array' only.")

        self.id = id.removeprefix("rlsuite/")
        self.spec = gym.spec(f"rlsuite/{self.id}" if self.id in MO_TASKS else self.id)
        self.num_envs = int(num_envs)
        self.num_threads = min(int(num_threads) or usable_cpus(), self.num_envs)
        self.max_episode_steps = int(limit)
        self.render_mode = render_mode
        self.model = self.task.load(contact_forces="cfrc_ext" in self.task.derived)
        self.task.check_model(self.model)
        self.dt = self.model.opt.timestep * self.task.frame_skip
        self.metadata = {
            "autoreset_mode": AutoresetMode.SAME_STEP,
            "render_modes": ["rgb_array"],
            "render_fps": int(np.round(1.0 / self.dt)),
        }
        self._make_spaces()
        self.objective_names = self.task.objective_names
        self.reward_space = self.task.reward_space
        self.reward_dim = None if self.objective_names is None else len(self.objective_names)

        self._batch = Batch(self.model, self.num_envs, self.num_threads)
        self._bound = self._bind()
        self.perturbation = Perturbation(self._batch, self.model)
        self._renderer = PoolRenderer(self.task.drawn_as or self.id, self._batch, drawing) if render_mode else None
        self._batch.reset(stage=mujoco.mjtStage.mjSTAGE_NONE.value)
        self._initial_state = self._batch.state[0].copy()
        self._elapsed = np.zeros(self.num_envs, np.int64)
        self._steps = 0
        self._generators: list[np.random.Generator] = []
        self._position = self.task.position(self._bound, ALL)
        self._obs = np.zeros(self.observation_space.shape or ())
        self._everywhere = np.ones(self.num_envs, np.bool_)
        self._everywhere.flags.writeable = False
        self._ready = False

    def _make_spaces(self) -> None:
        """The spaces of one environment, as Gymnasium's class has them, and their batched versions."""
        shape = (self.task.obs_size(self.model),)
        self.single_observation_space = gym.spaces.Box(-np.inf, np.inf, shape, np.float64)
        self.single_action_space = self.task.action_space(self.model)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def _bind(self) -> Bound:
        """Bind the state, and the derived fields that the task reads."""
        batch = self._batch
        fields = {name: batch.bind(name) for name in self.task.derived}
        if "cfrc_ext" in fields:
            # an own copy: it must read zero after a reset, where MuJoCo does not compute it
            self._contact_forces = fields["cfrc_ext"]
            fields["cfrc_ext"] = np.zeros(self._contact_forces.shape)
        mass = self.model.body_mass[None]
        return Bound(self.model, batch.bind("qpos"), batch.bind("qvel"), batch.bind("ctrl"), mass, **fields)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start new episodes in all environments, or in those of `options["reset_mask"]` [B].

        Args:
            seed: an integer s seeds environment i with s + i; a sequence seeds each; None continues the
                generators.
            options: None, or {"reset_mask": bool array [B]}.

        Returns:
            Observations [B, O] and infos (arrays [B]).
        """
        mask = (options or {}).get("reset_mask")
        if mask is not None and not self._ready:
            raise ValueError("options['reset_mask'] needs a full reset() first.")
        ids = np.arange(self.num_envs, dtype=np.int32) if mask is None else mask_ids(mask, self.num_envs)
        self._seed(seed)
        info = self._start_episodes(ids)
        self._ready = True
        if mask is None:
            return self._obs.copy(), self._masked(info, self._everywhere)
        full = {name: np.zeros((self.num_envs, *value.shape[1:])) for name, value in info.items()}
        for name, value in info.items():
            full[name][ids] = value
        return self._obs.copy(), self._masked(full, np.asarray(mask))

    def _seed(self, seed: int | Sequence[int | None] | None) -> None:
        """Replace the generators that got a seed; make them all if there are none yet."""
        if seed is None or isinstance(seed, (int, np.integer)):
            seeds = [None if seed is None else int(seed) + i for i in range(self.num_envs)]
        else:
            seeds = list(seed)
        if len(seeds) != self.num_envs:
            raise ValueError(f"reset got {len(seeds)} seeds for {self.num_envs} environments.")
        fresh = not self._generators
        self._generators = [
            seeding.np_random(value)[0] if fresh or value is not None else self._generators[i]
            for i, value in enumerate(seeds)
        ]

    def _start_episodes(self, ids: NDArray[np.int32]) -> dict[str, NDArray[Any]]:
        """Put the environments ids [n] into a new initial state; return Gymnasium's reset info [n]."""
        bound, model = self._bound, self.model
        qpos, qvel = np.empty((len(ids), model.nq)), np.empty((len(ids), model.nv))
        still = np.zeros(model.nv)
        for row, i in enumerate(ids):
            qpos[row], qvel[row] = self.task.draw(self._generators[i], model.qpos0, still)
        self._batch.state[ids] = self._initial_state
        bound.qpos[ids] = qpos
        bound.qvel[ids] = qvel
        if self.task.derived:
            # as Gymnasium does; it leaves the state as it is, so that only derived fields need it
            self._batch.forward(ids)
        self.perturbation.restore_force(ids)
        if bound.cfrc_ext.size:
            bound.cfrc_ext[ids] = 0.0
        self._position[ids] = self.task.position(bound, ids)
        self._elapsed[ids] = 0
        first = np.empty((len(ids), self._obs.shape[1]))
        self.task.observe(bound, ids, first)
        self._obs[ids] = first
        return self.task.reset_info(bound, ids)

    def step(
        self, action: NDArray[Any]
    ) -> tuple[Array, NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Advance every environment by `frame_skip` physics steps.

        Args:
            action: controls [B, A], or integers [B] where the action space is Discrete. The control cost is
                computed in the dtype of the controls, as in Gymnasium; MuJoCo clamps to the action space.

        Returns:
            obs [B, O], reward [B] (float32 [B, K] with K objectives), terminated [B], truncated [B], info. Where an
            episode ended, obs is the first of the next one, and info["final_obs"] [B, O] and info["final_info"] hold
            the last ones on the rows of the mask info["_final_obs"].

        Raises:
            SimulationDiverged: an unstable simulation, naming the environment and the step.
            ValueError: an action of another shape, or with NaN or infinity.
        """
        if not self._ready:
            raise gym.error.ResetNeeded("Call reset() before step().")
        bound, task = self._bound, self.task
        action = task.controls(self.id, action, bound.ctrl.shape)
        bound.ctrl[:] = action
        self._batch.step(nstep=task.frame_skip)
        if self._batch.warning.any():
            raise_if_diverged(self.id, self._batch.warning, self._elapsed, self._steps)
        self._elapsed += 1
        self._steps += 1
        if bound.cfrc_ext.size:
            np.copyto(bound.cfrc_ext, self._contact_forces)
        after = task.position(bound, ALL)
        task.observe(bound, ALL, self._obs)
        reward, terminated, values = task.outcome(bound, self._position, after, action, self.dt)
        np.copyto(self._position, after)  # a copy: the info may show a view of after
        truncated = self._elapsed >= self.max_episode_steps
        done = terminated | truncated
        info = self._autoreset(done, values) if done.any() else self._masked(values, self._everywhere)
        return self._obs.copy(), reward, terminated, truncated, info

    def _autoreset(self, done: NDArray[np.bool_], last: dict[str, NDArray[Any]]) -> dict[str, Any]:
        """Start the next episodes where done; the info then shows their reset, and the final values aside."""
        info: dict[str, Any] = {"final_obs": self._obs.copy(), "_final_obs": done}
        final = {name: value.copy() for name, value in last.items()}
        info["final_info"] = self._masked(final, done)
        info["_final_info"] = done
        ids = np.flatnonzero(done).astype(np.int32)
        started = self._start_episodes(ids)
        for name, value in last.items():
            # entries that a reset does not report are zero there, and masked
            value[ids] = started.get(name, 0)
            info[name] = value
            info["_" + name] = self._everywhere if name in started else ~done
        return info

    @staticmethod
    def _masked(values: dict[str, NDArray[Any]], mask: NDArray[np.bool_]) -> dict[str, Any]:
        """Gymnasium's vector info: each entry, and under "_name" the mask of the environments it is valid for."""
        info: dict[str, Any] = {}
        for name, value in values.items():
            info[name] = value
            info["_" + name] = mask
        return info

    def set_external_force(self, body_names: str | Sequence[str], force: ArrayLike | None) -> None:
        """Push named bodies during all following steps, across episodes, until the next call.

        Args:
            body_names: n bodies of the model, such as "torso".
            force: forces in N at the bodies' centres of mass, in world axes, [B, n, 3]; or with torques in N
                m after them, [B, n, 6]; None removes all. Bodies that are not named feel none.

        Raises:
            ValueError: an unknown body (naming the nearest), another shape, NaN or infinity.
        """
        self.perturbation.set_force(body_names, force)

    def set_scales(
        self, *, mass: ArrayLike | Mapping[str, ArrayLike] | None = None, friction: ArrayLike | None = None
    ) -> None:
        """Scale masses and frictions per environment, relative to the XML; None leaves them as they are.

        A mass scale multiplies mass and inertia (a change of density), and MuJoCo's derived constants follow
        as by `mj_setConst`. A friction scale multiplies all three friction coefficients of the geoms.

        Args:
            mass: positive scales [B], [B, nbody], or a mapping from body names to [B] for those alone.
            friction: positive scales [B] or [B, ngeom].

        Raises:
            ValueError: another shape, a scale that is not positive and finite, an unknown body.
        """
        masses = self.perturbation.set_scales(mass, friction)
        if masses is not None:
            self._bound.body_mass = masses

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Everything that determines the future, as arrays; `load_state_dict` continues to the same bits.

        Raises:
            RuntimeError: before the first reset, when there is nothing to save.
        """
        if not self._ready:
            raise RuntimeError("Call reset() before state_dict().")
        return {
            "physics": self._batch.state.copy(),
            "obs": self._obs.copy(),
            "position": self._position.copy(),
            "elapsed": self._elapsed.copy(),
            "steps": np.array(self._steps, np.int64),
            "generators": pack_generators(self._generators),
            **self.perturbation.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Continue from what `state_dict` of a pool with the same task and size returned.

        Raises:
            ValueError: an array that is missing or of another shape, naming it.
        """
        targets = {
            "physics": self._batch.state,
            "obs": self._obs,
            "position": self._position,
            "elapsed": self._elapsed,
        }
        shapes = {name: array.shape for name, array in targets.items()}
        shapes |= {"steps": (), "generators": (self.num_envs, 6)}
        for name, shape in shapes.items():
            found = np.shape(state[name]) if name in state else "nothing"
            if found != shape:
                raise ValueError(
                    f"{self.id}: the saved state has {found} for {name!r}, this pool needs {shape}; "
                    "it was saved by a pool of another task, size or version."
                )
        masses = self.perturbation.load_state_dict(state)
        if masses is not None:
            self._bound.body_mass = masses
        for name, target in targets.items():
            target[...] = state[name]
        self._steps = int(state["steps"])
        self._generators = unpack_generators(np.asarray(state["generators"]))
        self._ready = True

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """A tuple with one RGB picture, [height, width, 3], of environment 0; None without a render_mode.

        Raises:
            RuntimeError: if no OpenGL context can be made, naming the remedy.
        """
        return None if self._renderer is None else (self._renderer.frame(),)

    def close_extras(self, **kwargs: Any) -> None:
        """Free the OpenGL context; a step then needs a reset."""
        self._ready = False
        if self._renderer is not None:
            self._renderer.close()
