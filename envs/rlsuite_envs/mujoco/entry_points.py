"""One constructor per task: what the registry's `vector_entry_point` strings name."""

from functools import partial

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
