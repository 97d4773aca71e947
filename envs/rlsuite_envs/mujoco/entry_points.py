"""One constructor per task: what the registry's `vector_entry_point` strings name."""

from functools import partial
from typing import Any

from rlsuite_envs.mujoco.pool import MujocoPool

Ant = partial(MujocoPool, "Ant-v5")
HalfCheetah = partial(MujocoPool, "HalfCheetah-v5")
Hopper = partial(MujocoPool, "Hopper-v5")
Humanoid = partial(MujocoPool, "Humanoid-v5")
HumanoidStandup = partial(MujocoPool, "HumanoidStandup-v5")
InvertedDoublePendulum = partial(MujocoPool, "InvertedDoublePendulum-v5")
InvertedPendulum = partial(MujocoPool, "InvertedPendulum-v5")
Pusher = partial(MujocoPool, "Pusher-v5")
Reacher = partial(MujocoPool, "Reacher-v5")
Swimmer = partial(MujocoPool, "Swimmer-v5")
Walker2d = partial(MujocoPool, "Walker2d-v5")


def many_objectives(num_envs: int = 1, *, task: str, **kwargs: Any) -> MujocoPool:
    """The pool of a task with many objectives, such as "mo-hopper-2obj-v5"."""
    return MujocoPool(task, num_envs, **kwargs)
