"""The table of tasks the pool knows, and their construction from Gymnasium's keyword arguments."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any

from rlsuite_envs.mujoco.arms import Pusher, Reacher
from rlsuite_envs.mujoco.balance import InvertedDoublePendulum, InvertedPendulum
from rlsuite_envs.mujoco.legs import Ant, Humanoid, HumanoidStandup
from rlsuite_envs.mujoco.locomotion import HalfCheetah, Hopper, Swimmer, Walker2d
from rlsuite_envs.mujoco.mo_arms import MOReacher, MOReacherV4
from rlsuite_envs.mujoco.mo_legs import MOAnt, MOAntV4, MOHumanoid, MOHumanoidV4
from rlsuite_envs.mujoco.mo_locomotion import (
    MOHalfCheetah,
    MOHalfCheetahV4,
    MOHopper,
    MOHopperV4,
    MOSwimmer,
    MOSwimmerV4,
    MOWalker2d,
    MOWalker2dV4,
)
from rlsuite_envs.mujoco.task import Task

__all__ = ["MO_TASKS", "TASKS", "build_task", "task_class"]

TASKS: dict[str, type[Task]] = {
    "Ant-v5": Ant,
    "HalfCheetah-v5": HalfCheetah,
    "Hopper-v5": Hopper,
    "Humanoid-v5": Humanoid,
    "HumanoidStandup-v5": HumanoidStandup,
    "InvertedDoublePendulum-v5": InvertedDoublePendulum,
    "InvertedPendulum-v5": InvertedPendulum,
    "Pusher-v5": Pusher,
    "Reacher-v5": Reacher,
    "Swimmer-v5": Swimmer,
    "Walker2d-v5": Walker2d,
}

MO_TASKS: dict[str, type[Task]] = {
    "mo-ant-v4": MOAntV4,
    "mo-ant-2d-v4": MOAntV4,
    "mo-ant-v5": MOAnt,
    "mo-ant-2obj-v5": MOAnt,
    "mo-halfcheetah-v4": MOHalfCheetahV4,
    "mo-halfcheetah-v5": MOHalfCheetah,
    "mo-hopper-v4": MOHopperV4,
    "mo-hopper-2d-v4": MOHopperV4,
    "mo-hopper-v5": MOHopper,
    "mo-hopper-2obj-v5": MOHopper,
    "mo-humanoid-v4": MOHumanoidV4,
    "mo-humanoid-v5": MOHumanoid,
    "mo-reacher-v4": MOReacherV4,
    "mo-reacher-v5": MOReacher,
    "mo-swimmer-v4": MOSwimmerV4,
    "mo-swimmer-v5": MOSwimmer,
    "mo-walker2d-v4": MOWalker2dV4,
    "mo-walker2d-v5": MOWalker2d,
}
"""The tasks with many objectives, under the ids of mo-gymnasium."""

_TWO_OBJECTIVES = ("mo-ant-2d-v4", "mo-ant-2obj-v5", "mo-hopper-2d-v4", "mo-hopper-2obj-v5")


def task_class(id: str) -> type[Task]:
    """The task of an id such as "Hopper-v5" or "rlsuite/Hopper-v5".

    Raises:
        ValueError: if the pool has no such task, naming the nearest ones.
    """
    name = id.removeprefix("rlsuite/")
    known = {**TASKS, **MO_TASKS}
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else f"Known tasks: {', '.join(TASKS)}."
    raise ValueError(f"The MuJoCo pool has no task {id!r}. {hint}")


def build_task(id: str, arguments: dict[str, Any]) -> Task:
    """Build the task of an id with Gymnasium's keyword arguments.

    Raises:
        ValueError: for an unknown id or a bad value.
        TypeError: for an argument the task does not have, naming the nearest ones.
    """
    cls = task_class(id)
    names = [field.name for field in dataclasses.fields(cls)]
    for name in arguments:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=2, cutoff=0.4)
            hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else f"It has {', '.join(names)}."
            raise TypeError(f"{id} has no argument {name!r}. {hint}")
    defaults = {"cost_objective": False} if id.removeprefix("rlsuite/") in _TWO_OBJECTIVES else {}
    return cls(**{**defaults, **arguments})
