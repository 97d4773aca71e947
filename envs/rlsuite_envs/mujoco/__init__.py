"""Gymnasium's MuJoCo v5 tasks on MuJoCo's C thread pool."""

from rlsuite_envs.mujoco.pool import MujocoPool, SimulationDiverged
from rlsuite_envs.mujoco.tasks import TASKS

__all__ = ["TASKS", "MujocoPool", "SimulationDiverged"]
