"""Which of Gymnasium's MuJoCo tasks the pool steps, as data: reading it does not import MuJoCo."""

from __future__ import annotations

import gymnasium as gym

__all__ = ["MUJOCO_IDS", "register_mujoco"]

MUJOCO_IDS = (
    "Ant-v5",
    "HalfCheetah-v5",
    "Hopper-v5",
    "Humanoid-v5",
    "HumanoidStandup-v5",
    "InvertedDoublePendulum-v5",
    "InvertedPendulum-v5",
    "Pusher-v5",
    "Reacher-v5",
    "Swimmer-v5",
    "Walker2d-v5",
)


def register_mujoco() -> None:
    """Register `rlsuite/<Task>-v5`: Gymnasium's own task alone, the pool when asked for a vector."""
    for name in MUJOCO_IDS:
        id, original = f"rlsuite/{name}", gym.spec(name)
        if id in gym.registry:
            continue
        gym.register(
            id=id,
            entry_point=f"rlsuite_envs.mujoco.single:{name.removesuffix('-v5')}",
            vector_entry_point=f"rlsuite_envs.mujoco.entry_points:{name.removesuffix('-v5')}",
            max_episode_steps=original.max_episode_steps,
            reward_threshold=original.reward_threshold,
        )
