"""Which of Gymnasium's MuJoCo tasks the pool steps, as data: reading it does not import MuJoCo."""

from __future__ import annotations

import gymnasium as gym

__all__ = ["MO_MUJOCO_IDS", "MUJOCO_IDS", "register_mujoco"]

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

MO_MUJOCO_IDS = (
    "mo-ant-v4",
    "mo-ant-2d-v4",
    "mo-ant-v5",
    "mo-ant-2obj-v5",
    "mo-halfcheetah-v4",
    "mo-halfcheetah-v5",
    "mo-hopper-v4",
    "mo-hopper-2d-v4",
    "mo-hopper-v5",
    "mo-hopper-2obj-v5",
    "mo-humanoid-v4",
    "mo-humanoid-v5",
    "mo-reacher-v4",
    "mo-reacher-v5",
    "mo-swimmer-v4",
    "mo-swimmer-v5",
    "mo-walker2d-v4",
    "mo-walker2d-v5",
)
"""mo-gymnasium's MuJoCo tasks, which pay a vector of objectives."""


def register_mujoco() -> None:
    """Register `rlsuite/<Task>`: one simulation alone, the pool when asked for a vector.

    The ids of mo-gymnasium get that prefix, too: it registers the bare ones itself.
    """
    for name in MO_MUJOCO_IDS:
        if f"rlsuite/{name}" not in gym.registry:
            gym.register(
                id=f"rlsuite/{name}",
                entry_point="rlsuite_envs.mujoco.mo_single:ManyObjectivesEnv",
                vector_entry_point="rlsuite_envs.mujoco.entry_points:many_objectives",
                max_episode_steps=50 if "reacher" in name else 1000,
                disable_env_checker=True,  # it wants scalar rewards
                kwargs={"task": name},
            )
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
