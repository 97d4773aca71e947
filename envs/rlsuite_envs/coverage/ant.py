"""Coverage with MuJoCo's Ant: the environment alone, and many of them on the thread pool.

The two agree step for step: environment i of the vector, seeded with s, is the single one seeded with s + i. Both
take Gymnasium's Ant-v5 for the body, and count the ground themselves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import EzPickle
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from rlsuite_envs.coverage.ant_map import AntCoverageParams, CoverageMap, draw_coverage
from rlsuite_envs.mujoco.pool import MujocoPool
from rlsuite_envs.mujoco.single import Ant

__all__ = ["AntCoverageEnv", "AntCoverageVectorEnv"]

_OURS = frozenset(field.name for field in dataclasses.fields(AntCoverageParams))
_FIXED = ("exclude_current_positions_from_observation", "include_cfrc_ext_in_observation")


def _split(kwargs: dict[str, Any]) -> tuple[AntCoverageParams, dict[str, Any]]:
    """Constants of the coverage, and arguments of Ant-v5."""
    for name in _FIXED:
        if name in kwargs:
            raise ValueError(f"{name}={kwargs[name]!r}: AntCoverage fixes it; choose observation= instead.")
    params = AntCoverageParams(**{name: value for name, value in kwargs.items() if name in _OURS})
    body = {name: value for name, value in kwargs.items() if name not in _OURS}
    body["terminate_when_unhealthy"] = params.terminate_when_unhealthy
    body["exclude_current_positions_from_observation"] = False
    body["include_cfrc_ext_in_observation"] = False
    return params, body


def _space(params: AntCoverageParams) -> gym.spaces.Box:
    return gym.spaces.Box(-np.inf, np.inf, (params.observation_size,), np.float64)


class AntCoverageEnv(Ant):  # type: ignore[misc, valid-type]
    """Walk over as much ground as possible with MuJoCo's four-legged ant.

    ## Description
    The body is Gymnasium's Ant-v5. The square [-20 m, 20 m]^2 is divided into 100 x 100 cells of 0.4 m; each step
    covers the 5 x 5 block of cells whose lower left one is the torso's: cells i..i+4 and j..j+4 with
    i = floor((x + 20) / 0.4), j = floor((y + 20) / 0.4), clipped at the border. F(S) is the number of covered
    cells / 10, a monotone submodular function of the set of places.

    ## Action Space
    `Box(-1, 1, (8,))` float32: torques at the joints, as in Ant-v5.

    ## Observation Space
    `Box(129,)` float64, by `observation`:

    - "covered" (the default): positions (15; x and y in parts of 20 m) and velocities (14) of Ant-v5, then the
      covered part of each of 10 x 10 fields in [0, 1], x varying slowest. With it the reward is nearly Markov.
    - "state": the 29 numbers alone, as the paper's policies see them, but for the scale of x and y.
    - "raw": the 29 numbers as Ant-v5 gives them.

    ## Rewards
    Newly covered cells / 10, at most 2.5. With `reward="modular"`, all cells covered so far / 10 in each step: the
    release's baseline, which is not a sum of values of single places. Nothing else of Ant-v5's reward.

    ## Starting State
    Ant-v5's. The block around it counts in F(S), but is not rewarded.

    ## Episode End
    Termination: |x| > 20 or |y| > 20; with `terminate_when_unhealthy` also when the ant falls. Truncation: 400
    steps.

    `info`: "set_value" F(S), "modular_value" (the sum of F over the steps so far), "x_position", "y_position".

    ## Arguments
    The fields of `AntCoverageParams`, and the arguments of Gymnasium's Ant-v5 (`xml_file`, `frame_skip`,
    `reset_noise_scale`, its renderer's) where they still mean something.

    Source: Submodular Reinforcement Learning (arXiv 2307.13372) and its code, which has Ant-v4 and lets indices
    beyond the lower border count from the upper one; here bounds are checked first.
    """

    def __init__(self, **kwargs: Any) -> None:
        self.coverage_params, body = _split(kwargs)
        super().__init__(**body)
        EzPickle.__init__(self, **kwargs)
        self.observation_space = _space(self.coverage_params)
        self.map = CoverageMap(self.coverage_params, 1)
        self._row = np.zeros(1, np.intp)
        self._path: list[NDArray[np.float64]] = []
        self._values: list[float] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Start an episode; see Gymnasium."""
        raw, _ = super().reset(seed=seed, options=options)
        self.map.clear(self._row)
        self.map.visit(self._row, raw[None, :2])
        self._path = []
        self._values = []
        return self._outcome(raw)

    def step(self, action: Any) -> tuple[NDArray[np.float64], Any, bool, bool, dict[str, Any]]:
        """Take one step; see Gymnasium."""
        raw, _, terminated, truncated, _ = super().step(action)
        reward = self.map.reward(self.map.visit(self._row, raw[None, :2]))
        obs, info = self._outcome(raw)
        left = bool(self.map.outside(raw[None, :2])[0])
        return obs, float(reward[0]), bool(terminated) or left, truncated, info

    def _outcome(self, raw: NDArray[np.float64]) -> tuple[NDArray[np.float64], dict[str, Any]]:
        self._path.append(raw[:2].copy())
        self._values.append(float(self.map.value[0]))
        info = {name: float(value[0]) for name, value in _info(self.map, raw[None]).items()}
        return self.map.observe(raw[None])[0], info

    def render_episode(self) -> NDArray[np.uint8]:
        """The running episode: path, covered ground and F(S), as a picture [H, W, 3]."""
        path, values = np.array(self._path), np.array(self._values)
        return draw_coverage(self.coverage_params, self.map.covered[0], path, values)


class AntCoverageVectorEnv(VectorEnv[Any, Any, Any]):
    """B copies of `AntCoverageEnv` on MuJoCo's thread pool, autoreset SAME_STEP; NumPy in and out.

    Args:
        num_envs: B.
        num_threads: physics threads; 0 takes all CPUs.
        max_episode_steps: time limit in steps.
        render_mode: None or "rgb_array" (a picture of environment 0).
        device: taken so that every id has it; the physics runs on the CPU anyway.
        **kwargs: as for `AntCoverageEnv`.

    Raises:
        ValueError: a bad value of any of these, naming it.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        num_threads: int = 0,
        max_episode_steps: int | None = 400,
        render_mode: str | None = None,
        device: Any = None,
        **kwargs: Any,
    ) -> None:
        params, body = _split(kwargs)
        limit = 400 if max_episode_steps is None else max_episode_steps
        self.pool = MujocoPool(
            "Ant-v5",
            num_envs,
            num_threads=num_threads,
            max_episode_steps=limit,
            render_mode=render_mode,
            **body,
        )
        self.coverage_params = params
        self.num_envs = self.pool.num_envs
        self.max_episode_steps = self.pool.max_episode_steps
        self.render_mode = render_mode
        self.metadata = {**self.pool.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = _space(params)
        self.single_action_space = self.pool.single_action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = self.pool.action_space
        self.map = CoverageMap(params, self.num_envs)
        self._all = np.arange(self.num_envs)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Start new episodes in all environments, or in those of `options["reset_mask"]` [B]; see `MujocoPool`."""
        raw, _ = self.pool.reset(seed=seed, options=options)
        mask = (options or {}).get("reset_mask")
        self._restart(self._all if mask is None else np.flatnonzero(mask), raw)
        return self.map.observe(raw), _masked(_info(self.map, raw), np.ones(self.num_envs, np.bool_))

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step all environments [B, 8]; ended ones restart at once, as in `MujocoPool`."""
        raw, _, terminated, truncated, info = self.pool.step(actions)
        over = terminated | truncated
        last = np.where(over[:, None], info["final_obs"], raw) if over.any() else raw
        reward = self.map.reward(self.map.visit(self._all, last[:, :2]))
        left = self.map.outside(last[:, :2])
        terminated, done = terminated | left, over | left
        everywhere = np.ones(self.num_envs, np.bool_)
        values = _info(self.map, last)
        if not done.any():
            return self.map.observe(raw), reward, terminated, truncated, _masked(values, everywhere)
        ends: dict[str, Any] = {"final_obs": self.map.observe(last), "_final_obs": done}
        ends["final_info"] = _masked(values, done)
        ends["_final_info"] = done
        if (left & ~over).any():
            # The pool knows of no border: these it has not restarted yet.
            raw, _ = self.pool.reset(options={"reset_mask": left & ~over})
        self._restart(np.flatnonzero(done), raw)
        started = _masked(_info(self.map, raw), everywhere)
        return self.map.observe(raw), reward, terminated, truncated, {**started, **ends}

    def _restart(self, rows: NDArray[np.intp], raw: NDArray[np.float64]) -> None:
        self.map.clear(rows)
        self.map.visit(rows, raw[rows, :2])

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Everything that determines the future, as arrays; `load_state_dict` goes on to the same bits."""
        ground = {"covered": self.map.covered, "value": self.map.value, "modular": self.map.modular}
        return {**self.pool.state_dict(), **{f"map.{name}": value.copy() for name, value in ground.items()}}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where `state_dict` of a vector of the same size was taken.

        Raises:
            ValueError: an array that is missing or of another shape, naming it.
        """
        targets = {
            "map.covered": self.map.covered,
            "map.value": self.map.value,
            "map.modular": self.map.modular,
        }
        for name, target in targets.items():
            found = np.shape(state[name]) if name in state else "nothing"
            if found != target.shape:
                raise ValueError(f"AntCoverage: the saved state has {found} for {name!r}, not {target.shape}.")
        self.pool.load_state_dict({name: v for name, v in state.items() if name not in targets})
        for name, target in targets.items():
            target[...] = state[name]

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """A picture of environment 0, as in `MujocoPool`."""
        return self.pool.render()

    def close_extras(self, **kwargs: Any) -> None:
        """Free the OpenGL context."""
        self.pool.close()


def _info(ground: CoverageMap, raw: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    return {
        "set_value": ground.value.copy(),
        "modular_value": ground.modular.copy(),
        "x_position": raw[:, 0].copy(),
        "y_position": raw[:, 1].copy(),
    }


def _masked(values: dict[str, NDArray[np.float64]], mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Gymnasium's vector info: each entry, and under "_name" the mask of the environments it is valid for."""
    return {**values, **{f"_{name}": mask for name in values}}
