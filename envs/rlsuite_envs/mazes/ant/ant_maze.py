"""MuJoCo's ant among three walls on a large plane, with reward in two far corners.

The model is Gymnasium's `ant.xml` with walls, another start and another time step. Single environments follow
Gymnasium's MujocoEnv; vectors are stepped by the pool's threads, and both agree step for step.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import mujoco
import numpy as np
import torch
from gymnasium.envs.mujoco.mujoco_env import MujocoEnv
from gymnasium.utils import EzPickle
from numpy.typing import NDArray
from typing_extensions import override

from rlsuite_envs.checks import check_choice, check_integer
from rlsuite_envs.mazes.ant.ant_maze_model import CENTRE, FRAME_SKIP, PLANE, SIZE, TIME_STEP, draw_map, model_xml
from rlsuite_envs.mazes.reward_areas import Area, RewardAreas, as_areas
from rlsuite_envs.mujoco.legs import Ant
from rlsuite_envs.mujoco.pool import MujocoPool
from rlsuite_envs.mujoco.single import ResetFirst
from rlsuite_envs.mujoco.task import Array, Bound, Outcome, Rows

__all__ = ["AntObstacles", "AntObstaclesParams", "AntObstaclesPool"]


@dataclass(frozen=True)
class AntObstaclesParams:
    """Constants; the defaults are SERENE's."""

    areas: tuple[Area, ...] = ((35.0, -25.0, 3.0), (-25.0, 35.0, 3.0))
    """Discs (x, y, radius) in m with centres on the plane, [-30, 40]^2, that reward an episode's end."""
    reward: str = "sparse"
    """ "sparse" or "dense"; see `AntObstacles`."""
    horizon: int = 3000
    """Steps per episode, at least 1; STAX has 1000."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "areas", as_areas(self.areas, PLANE, PLANE))
        check_choice(self, "reward", ("sparse", "dense"))
        check_integer(self, "horizon", 1)


class _Score:
    """The rewards of positions, in float64."""

    def __init__(self, params: AntObstaclesParams) -> None:
        self.kind = params.reward
        self.areas = RewardAreas(params.areas, torch.device("cpu"), torch.float64)

    def reward(self, before: Array, after: Array, last: NDArray[np.bool_]) -> Array:
        """Reward [B] of steps from before [B, 2] to after [B, 2]; last [B]: whether they end the episode."""
        ends = [torch.from_numpy(np.ascontiguousarray(xy)).unbind(1) for xy in (before, after)]
        return self.areas.reward(ends[0], ends[1], torch.from_numpy(last), self.kind).numpy()

    def info(self, xy: Array) -> dict[str, NDArray[Any]]:
        """Info entries of positions [B, 2]."""
        x, y = torch.from_numpy(np.ascontiguousarray(xy)).unbind(1)
        area = self.areas.index(x, y).numpy()
        return {
            "x_position": xy[:, 0].copy(),
            "y_position": xy[:, 1].copy(),
            "behaviour": (xy - CENTRE) / SIZE,
            "area": area,
            "success": area >= 0,
            "distance": self.areas.distance(x, y).numpy(),
        }


class AntObstacles(ResetFirst, MujocoEnv, EzPickle):
    """Walk with four legs around walls to one of two far corners.

    ## Description
    Gymnasium's ant on a plane, [-30, 40]^2 m, with walls at x = -15 (y from 3 to 37), y = -15 (x from -16 to 10)
    and x = 10 (y from -30 to 0). The plane has no edge: the ant can walk off the floor that is drawn. A step is
    five physics steps of 0.005 s.

    ## Action Space
    `Box(-1, 1, (8,))` float32: torques of the joints, as in Gymnasium's Ant; MuJoCo clips them.

    ## Observation Space
    `Box(-inf, inf, (29,))` float64: positions (15; x and y as (xy - 5) / 70) and velocities (14), in the order of
    Gymnasium's Ant.

    ## Rewards
    "sparse": 0; in the last step (R - d) / R where the torso is at distance d <= R from the centre of a reward
    area of radius R: 3 m at (35, -25) and (-25, 35). "dense" adds the step's decrease of the distance to the
    nearest centre, m. There are no other rewards or costs.

    ## Starting State
    The torso at (-25, -25, 0.75), the joints as in the model; uniform noise in [-0.1, 0.1] on all positions,
    normal noise with standard deviation 0.1 on all velocities.

    ## Episode End
    Termination: never, not even upside down. Truncation: after `horizon` (3000; STAX: 1000) steps. The sparse
    reward belongs to the last of these; a shorter limit by a wrapper does not pay it.

    ## Information
    `behaviour` [2]: (xy - 5) / 70, whose last value is the behaviour descriptor. `area`: number of the reward area
    around the torso, -1 for none. `success`: whether there is one. `distance`: to the nearest centre, m.
    `x_position`, `y_position`: m.

    ## Arguments
    The fields of `AntObstaclesParams`; `render_mode`: "rgb_array" is a map drawn without OpenGL, "human" Gymnasium's
    window.

    Source: Paolo et al., SERENE (2021) and STAX (2024). Thickness (1 m) and height (2 m) of the walls are ours.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (Gymnasium's own declaration)
        "render_modes": ["human", "rgb_array"],
        "render_fps": round(1 / (TIME_STEP * FRAME_SKIP)),
    }

    def __init__(
        self,
        *,
        areas: Sequence[Any] = AntObstaclesParams.areas,
        reward: str = "sparse",
        horizon: int = 3000,
        render_mode: str | None = None,
    ) -> None:
        EzPickle.__init__(self, areas=areas, reward=reward, horizon=horizon, render_mode=render_mode)
        self.params = AntObstaclesParams(areas, reward, horizon)  # type: ignore[arg-type]
        self._score = _Score(self.params)
        self._elapsed = 0
        space = gym.spaces.Box(-np.inf, np.inf, (29,), np.float64)
        camera = {
            "trackbodyid": -1,
            "lookat": np.array([CENTRE, CENTRE, 0.0]),
            "distance": 90.0,
            "elevation": -60.0,
        }
        super().__init__(
            "ant.xml",
            FRAME_SKIP,
            space,
            render_mode=render_mode,
            default_camera_config=camera,  # type: ignore[arg-type]
        )

    def _initialize_simulation(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        model = mujoco.MjModel.from_xml_string(model_xml())
        return model, mujoco.MjData(model)

    def _observe(self) -> Array:
        observation = np.concatenate((self.data.qpos, self.data.qvel))
        observation[:2] = (observation[:2] - CENTRE) / SIZE
        return observation

    def _info(self) -> dict[str, Any]:
        return {name: value[0] for name, value in self._score.info(self.data.qpos[None, :2]).items()}

    def step(self, action: NDArray[Any]) -> tuple[Array, Any, bool, bool, dict[str, Any]]:
        """Advance by five physics steps; see the class."""
        action = self.checked(action)
        before = self.data.qpos[None, :2].copy()
        self.do_simulation(action, self.frame_skip)
        self._elapsed += 1
        last = self._elapsed >= self.params.horizon
        reward = self._score.reward(before, self.data.qpos[None, :2], np.array([last]))
        if self.render_mode == "human":
            self.render()
        return self._observe(), float(reward[0]), False, last, self._info()

    def reset_model(self) -> Array:
        """A new start; see the class."""
        self._elapsed = 0
        noise = self.np_random.uniform(low=-0.1, high=0.1, size=self.model.nq)
        swing = 0.1 * self.np_random.standard_normal(self.model.nv)
        self.set_state(self.init_qpos + noise, self.init_qvel + swing)
        return self._observe()

    def _get_reset_info(self) -> dict[str, Any]:
        return self._info()

    def render(self) -> Any:
        """A map [480, 480, 3] uint8 ("rgb_array"), or Gymnasium's window ("human")."""
        if self.render_mode == "rgb_array":
            return draw_map(self.data.qpos[:2], self.params.areas)
        return super().render()


@dataclass(frozen=True)
class _Task(Ant):
    """The task of the pool, without its rewards: these depend on the time as well, and the pool computes them."""

    derived: ClassVar[tuple[str, ...]] = ()

    score: Any = None

    @override
    def __post_init__(self) -> None:
        """All values are ours."""

    @override
    def observe(self, b: Bound, rows: Rows, out: Array) -> None:
        super().observe(b, rows, out)
        out[:, :2] = (out[:, :2] - CENTRE) / SIZE

    @override
    def position(self, b: Bound, rows: Rows) -> Array:
        return b.qpos[rows, :2].copy()

    @override
    def outcome(self, b: Bound, before: Array, after: Array, action: NDArray[Any], dt: float) -> Outcome:
        no = np.zeros(len(after), np.bool_)
        return Outcome(self.score.reward(before, after, no), no, self.score.info(after))

    @override
    def reset_info(self, b: Bound, rows: Rows) -> dict[str, NDArray[Any]]:
        return self.score.info(b.qpos[rows, :2])


class AntObstaclesPool(MujocoPool):
    """B copies of `AntObstacles` on the pool's threads, autoreset SAME_STEP.

    Args:
        num_envs: B, at least 1.
        num_threads: physics threads, including the caller's; 0 takes all CPUs this process may use.
        device: "cpu" (or "auto"): MuJoCo's pool runs there.
        render_mode: None or "rgb_array" (a map of environment 0).
        **params: the fields of `AntObstaclesParams`.

    Raises:
        ValueError: a bad value of any of these; TypeError: an unknown argument.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        num_threads: int = 0,
        device: str = "cpu",
        render_mode: str | None = None,
        **params: Any,
    ) -> None:
        if str(device) not in ("cpu", "auto"):
            raise ValueError(f"device={device!r}: AntObstacles is stepped by MuJoCo on the CPU; use 'cpu'.")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode={render_mode!r}: the pool draws 'rgb_array' only.")
        self.params = AntObstaclesParams(**params)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "ant_obstacles.xml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(model_xml())
            super().__init__(
                "Ant-v5",
                num_envs,
                num_threads=num_threads,
                max_episode_steps=self.params.horizon,
                xml_file=path,
                frame_skip=FRAME_SKIP,
                exclude_current_positions_from_observation=False,
                include_cfrc_ext_in_observation=False,
            )
        self.id = "AntObstacles-v0"
        self.render_mode = render_mode
        fields = {field.name: getattr(self.task, field.name) for field in dataclasses.fields(self.task)}
        self.task = _Task(**fields, score=_Score(self.params))

    def step(self, action: NDArray[Any]) -> tuple[Array, Array, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Step all environments as `MujocoPool.step`, with the reward of the last step."""
        obs, reward, terminated, truncated, info = super().step(action)
        if truncated.any():
            end = info["final_info"]
            xy = np.stack((end["x_position"], end["y_position"]), 1)
            # What the end itself pays: a step that does not move.
            paid = self.task.score.reward(xy, xy, truncated)  # type: ignore[attr-defined]
            reward = reward + np.where(truncated, paid, 0.0)
        return obs, reward, terminated, truncated, info

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """A tuple with one map [480, 480, 3] of environment 0; None without a render_mode."""
        return None if self.render_mode is None else (draw_map(self._bound.qpos[0, :2], self.params.areas),)
