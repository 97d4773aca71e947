"""Gymnasium's MuJoCo v5 tasks, and mo-gymnasium's with many objectives, on MuJoCo's C thread pool."""

from rlsuite_envs.mujoco.pool import MujocoPool, SimulationDiverged
from rlsuite_envs.mujoco.tasks import MO_TASKS, TASKS

__all__ = ["MO_TASKS", "TASKS", "MujocoPool", "SimulationDiverged"]
