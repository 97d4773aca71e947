"""MuJoCo tasks with many objectives as single environments: the pool's tasks on one simulation of Gymnasium's kind."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv
from gymnasium.spaces import Box
from gymnasium.utils import EzPickle
from numpy.typing import NDArray

from rlsuite_envs.mujoco.rendering import RENDER_ARGUMENTS, camera_of
from rlsuite_envs.mujoco.single import ResetFirst
from rlsuite_envs.mujoco.task import ALL, Bound
from rlsuite_envs.mujoco.tasks import build_task

__all__ = ["ManyObjectivesEnv"]


class ManyObjectivesEnv(ResetFirst, MujocoEnv, EzPickle):
    """A MuJoCo task that pays a vector of K objectives, as `mo_gymnasium.make(id)` would make it.

    Usually made by `gym.make("rlsuite/mo-hopper-2obj-v5")`, which adds the time limit. Observations, rewards, ends and
    resets are the bits of `MujocoPool` with the same arguments and seed.

    Ids are mo-gymnasium's. Speeds (m/s) come first, then the height (10 times its gain in m), then minus the squared
    controls; what a robot earns for being healthy is added to all of them. The ids with `2obj` (v5) or `2d` (v4) have
    the control cost in the others instead. v4 differs from v5 in models, observations (ant 27 entries instead of 105,
    humanoid 376 instead of 348) and in the bonus for health, which v4 pays in the step of a fall, too.

    Args:
        task: the task's id, such as "mo-hopper-2obj-v5".
        render_mode: None, "rgb_array", "depth_array", "rgbd_tuple" or "human".
        **kwargs: the arguments of Gymnasium's class (`reset_noise_scale`, ...) and its renderer; `rewards` is
            "mo-gymnasium", or "pgmorl" for the rewards, ends and time limit of PGMORL's release; see
            `rlsuite_envs.mujoco.objectives`.

    Attributes:
        objective_names: names of the K objectives.
        reward_space: Box [K] of the reward vector.
        reward_dim: K.

    Raises:
        ValueError: unknown task, one with a scalar reward, or a bad argument value.
        TypeError: an argument the task does not have.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (Gymnasium's own declaration)
        "render_modes": ["human", "rgb_array", "depth_array", "rgbd_tuple"]
    }

    def __init__(self, task: str, *, render_mode: str | None = None, **kwargs: Any) -> None:
        EzPickle.__init__(self, task, render_mode=render_mode, **kwargs)
        drawing = {name: kwargs.pop(name) for name in RENDER_ARGUMENTS if name in kwargs}
        self.id = task.removeprefix("rlsuite/")
        self.task = build_task(task, kwargs)
        self.objective_names = self.task.objective_names
        if self.objective_names is None:
            raise ValueError(f"{task!r} has one objective; make it with gym.make('rlsuite/{self.id}').")
        self.reward_space = self.task.reward_space
        self.reward_dim = len(self.objective_names)
        drawing.setdefault("default_camera_config", camera_of(self.task.drawn_as or self.id))
        MujocoEnv.__init__(
            self, self.task.xml_file, self.task.frame_skip, None, render_mode=render_mode, **drawing
        )  # with no space yet: it needs the model
        self.observation_space = Box(-np.inf, np.inf, (self.task.obs_size(self.model),), np.float64)
        self.action_space = self.task.action_space(self.model)
        self.metadata = {**self.metadata, "render_fps": int(np.round(1.0 / self.dt))}
        fields = {name: getattr(self.data, name)[None] for name in self.task.derived}
        state = (self.data.qpos[None], self.data.qvel[None], self.data.ctrl[None])
        self._bound = Bound(self.model, *state, self.model.body_mass[None], **fields)
        self._position = np.empty((1, 0))
        self._elapsed = 0

    def _initialize_simulation(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        model = self.task.load()
        self.task.check_model(model)
        screen = model.vis.global_
        screen.offwidth, screen.offheight = max(screen.offwidth, self.width), max(screen.offheight, self.height)
        return model, mujoco.MjData(model)

    def checked(self, action: Any) -> NDArray[Any]:
        """The controls [A] that an action stands for, in an environment that was reset; raises as `step` does."""
        self.check_started()
        return self.task.controls(self.id, action, (self.model.nu,))

    def step(self, action: Any) -> tuple[NDArray[np.float64], Any, bool, bool, dict[str, Any]]:
        """Take one step.

        Args:
            action: controls [A], or an integer where the action space is Discrete.

        Returns:
            obs [O], reward float32 [K], terminated, truncated (after the task's own time limit, where it has one; other
            limits are a wrapper's), info.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset, or after `close`.
            ValueError: an action of another shape, not finite or out of range; TypeError: no numbers.
        """
        controls = self.checked(action)
        self.do_simulation(controls, self.frame_skip)
        after = self.task.position(self._bound, ALL)
        found = self.task.outcome(self._bound, self._position, after, controls[None], self.dt)
        self._position = after.copy()
        self._elapsed += 1
        truncated = self.task.horizon is not None and self._elapsed >= self.task.horizon
        if self.render_mode == "human":
            self.render()
        return self._observe(), found.reward[0], bool(found.terminated[0]), truncated, _row(found.info)

    def reset_model(self) -> NDArray[np.float64]:
        """Put the simulation into a new initial state; returns its observation [O]."""
        self.set_state(*self.task.draw(self.np_random, self.init_qpos, self.init_qvel))
        self._position = self.task.position(self._bound, ALL)
        self._elapsed = 0
        return self._observe()

    def _get_reset_info(self) -> dict[str, Any]:
        return _row(self.task.reset_info(self._bound, ALL))

    def _observe(self) -> NDArray[np.float64]:
        out = np.empty((1, *self.observation_space.shape))  # type: ignore[misc]
        self.task.observe(self._bound, ALL, out)
        return out[0]


def _row(info: dict[str, NDArray[Any]]) -> dict[str, Any]:
    return {name: value[0].copy() for name, value in info.items()}
