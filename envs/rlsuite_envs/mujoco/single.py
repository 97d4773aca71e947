"""Gymnasium's MuJoCo v5 tasks as single environments that check reset and action, as vectors and kernels do.

Gymnasium checks the order in a wrapper that `gym.make` adds; beneath it (`env.unwrapped`) its tasks step a simulation
that nobody has started, and give numbers.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from gymnasium.envs.mujoco.ant_v5 import AntEnv
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from gymnasium.envs.mujoco.hopper_v5 import HopperEnv
from gymnasium.envs.mujoco.humanoid_v5 import HumanoidEnv
from gymnasium.envs.mujoco.humanoidstandup_v5 import HumanoidStandupEnv
from gymnasium.envs.mujoco.inverted_double_pendulum_v5 import InvertedDoublePendulumEnv
from gymnasium.envs.mujoco.inverted_pendulum_v5 import InvertedPendulumEnv
from gymnasium.envs.mujoco.pusher_v5 import PusherEnv
from gymnasium.envs.mujoco.reacher_v5 import ReacherEnv
from gymnasium.envs.mujoco.swimmer_v5 import SwimmerEnv
from gymnasium.envs.mujoco.walker2d_v5 import Walker2dEnv

from rlsuite_envs.mujoco.validate import finite_action

__all__ = [
    "Ant",
    "HalfCheetah",
    "Hopper",
    "Humanoid",
    "HumanoidStandup",
    "InvertedDoublePendulum",
    "InvertedPendulum",
    "Pusher",
    "Reacher",
    "ResetFirst",
    "Swimmer",
    "Walker2d",
]


class ResetFirst(gym.Env[Any, Any]):
    """To be named before an environment's class: its `step` needs a `reset`, and another one after `close`."""

    _started = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode; see the environment's class."""
        found = super().reset(seed=seed, options=options)
        self._started = True
        return found

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take one step; see the environment's class.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset, or after `close`.
            ValueError: an action of another shape, or not finite; TypeError: no numbers.
        """
        return super().step(self.checked(action))

    def checked(self, action: Any) -> Any:
        """The action as an array, in an environment that was reset; raises as `step` does."""
        self.check_started()
        return finite_action(type(self).__name__, action, self.action_space.shape or ())

    def check_started(self) -> None:
        """Raise ResetNeeded before the first reset, and after `close`."""
        if not self._started:
            raise gym.error.ResetNeeded("Call reset() before step().")

    def close(self) -> None:
        """Close the environment."""
        self._started = False
        super().close()


def _task(name: str, original: type[gym.Env[Any, Any]]) -> type[gym.Env[Any, Any]]:
    """Gymnasium's class with the check; `name` is the variable that holds it, by which pickle finds it."""
    return type(name, (ResetFirst, original), {"__module__": __name__, "__doc__": original.__doc__})


Ant = _task("Ant", AntEnv)
HalfCheetah = _task("HalfCheetah", HalfCheetahEnv)
Hopper = _task("Hopper", HopperEnv)
Humanoid = _task("Humanoid", HumanoidEnv)
HumanoidStandup = _task("HumanoidStandup", HumanoidStandupEnv)
InvertedDoublePendulum = _task("InvertedDoublePendulum", InvertedDoublePendulumEnv)
InvertedPendulum = _task("InvertedPendulum", InvertedPendulumEnv)
Pusher = _task("Pusher", PusherEnv)
Reacher = _task("Reacher", ReacherEnv)
Swimmer = _task("Swimmer", SwimmerEnv)
Walker2d = _task("Walker2d", Walker2dEnv)
