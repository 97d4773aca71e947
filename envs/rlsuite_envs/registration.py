"""The table of environments and their registration with Gymnasium; reading it imports neither torch nor MuJoCo."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium as gym

from rlsuite_envs.mujoco_ids import MUJOCO_IDS, register_mujoco

__all__ = ["KERNELS", "KernelEntry", "list_envs", "register_envs"]


@dataclass(frozen=True)
class KernelEntry:
    """One environment written as a kernel."""

    id: str
    """Its id."""
    kernel: str
    """ "module:Class" of the kernel, below `rlsuite_envs`."""
    max_episode_steps: int | None
    """Time limit in steps."""
    description: str
    """One line for `rlsuite list`."""
    reward_threshold: float | None = None
    """Return at which Gymnasium calls the task solved."""


KERNELS: tuple[KernelEntry, ...] = (
    KernelEntry(
        "rlsuite/CartPole-v1", "classic.cartpole:CartPole", 500, "Balance a pole on a cart; 2 actions.", 475.0
    ),
    KernelEntry(
        "rlsuite/Pendulum-v1", "classic.pendulum:Pendulum", 200, "Swing up and hold a pendulum; torque."
    ),
)
"""The environments written as kernels. A new family adds its lines here."""


def register_envs() -> None:
    """Register all environments with Gymnasium, skipping ids that are already there."""
    for entry in KERNELS:
        if entry.id in gym.registry:
            continue
        gym.register(
            id=entry.id,
            entry_point="rlsuite_envs.single:TensorEnv",
            vector_entry_point="rlsuite_envs.vector:TensorVectorEnv",
            max_episode_steps=entry.max_episode_steps,
            reward_threshold=entry.reward_threshold,
            kwargs={"kernel": f"rlsuite_envs.{entry.kernel}"},
        )
    register_mujoco()


def list_envs() -> list[tuple[str, str]]:
    """All our ids with one line each, in the order of the tables."""
    pool = [
        (f"rlsuite/{name}", f"Gymnasium's {name}, stepped by MuJoCo's thread pool.") for name in MUJOCO_IDS
    ]
    return [(entry.id, entry.description) for entry in KERNELS] + pool
