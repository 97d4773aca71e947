"""The table of environments and their registration with Gymnasium; imports neither torch nor MuJoCo."""

from __future__ import annotations

import gymnasium as gym

from rlsuite_envs.cheap_talk.entries import ENTRIES as CHEAP_TALK
from rlsuite_envs.coverage.entries import ENTRIES as COVERAGE
from rlsuite_envs.coverage.registration import ANT_COVERAGE, register_ant_coverage
from rlsuite_envs.entries import KernelEntry
from rlsuite_envs.gflownet.entries import ENTRIES as GFLOWNET
from rlsuite_envs.inventory.entries import ENTRIES as INVENTORY
from rlsuite_envs.mazes.entries import ENTRIES as MAZES
from rlsuite_envs.mazes.registration import ANT_MAZES, register_ant_maze
from rlsuite_envs.mujoco_ids import MO_MUJOCO_IDS, MUJOCO_IDS, register_mujoco
from rlsuite_envs.multi_objective.entries import ENTRIES as MULTI_OBJECTIVE
from rlsuite_envs.two_player.registration import TWO_PLAYER, register_two_player

__all__ = ["KERNELS", "KernelEntry", "list_envs", "register_envs"]


def _probe(name: str, module: str, max_episode_steps: int, description: str) -> KernelEntry:
    kernel = f"probes.{module}:Probe{name}"
    return KernelEntry(f"rlsuite/Probe{name}-v0", kernel, max_episode_steps, description)


KERNELS: tuple[KernelEntry, ...] = (
    KernelEntry("rlsuite/CartPole-v1", "classic.cartpole:CartPole", 500, "Balance a pole on a cart.", 475.0),
    KernelEntry("rlsuite/Acrobot-v1", "classic.acrobot:Acrobot", 500, "Swing a two-link chain above a line.", -100.0),
    KernelEntry(
        "rlsuite/MountainCar-v1",
        "classic.mountain_car:MountainCar",
        200,
        "Leave a valley by swinging.",
        -110.0,
    ),
    KernelEntry(
        "rlsuite/MountainCarContinuous-v1",
        "classic.mountain_car:MountainCarContinuous",
        999,
        "Leave a valley by swinging, with a throttle that costs.",
        90.0,
    ),
    KernelEntry("rlsuite/Pendulum-v1", "classic.pendulum:Pendulum", 200, "Swing a pendulum up and hold it."),
    _probe("Constant", "ladder", 1, "Probe: learn one value."),
    _probe("Observation", "ladder", 1, "Probe: learn a value that depends on the observation."),
    _probe("Discount", "ladder", 2, "Probe: back a value up through time."),
    _probe("Truncation", "ladder", 1, "Probe: bootstrap at a time limit, not at an end."),
    _probe("Policy", "ladder", 1, "Probe: prefer the better action."),
    _probe("PolicyObservation", "ladder", 1, "Probe: prefer the action that the observation names."),
    _probe("Discrete", "action_spaces", 1, "Probe: Discrete actions, more than two."),
    _probe("MultiDiscrete", "action_spaces", 1, "Probe: MultiDiscrete actions."),
    _probe("MultiBinary", "action_spaces", 1, "Probe: MultiBinary actions."),
    _probe("Box", "action_spaces", 1, "Probe: Box actions."),
    _probe("Mask", "action_spaces", 1, "Probe: actions allowed by a mask only."),
    _probe("Dict", "ladder", 1, "Probe: a Dict observation."),
    *INVENTORY,
    *CHEAP_TALK,
    *COVERAGE,
    *MAZES,
    *MULTI_OBJECTIVE,
    *GFLOWNET,
)
"""The environments written as kernels. A new family has a light `entries` module with its lines."""


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
            # Gymnasium's checker warns of every reward that is not one number.
            disable_env_checker=entry.objectives is not None,
            kwargs={
                "kernel": f"rlsuite_envs.{entry.kernel}",
                **({"preset": entry.preset} if entry.preset is not None else {}),
                **entry.kwargs,
            },
        )
    register_ant_coverage()
    register_ant_maze()
    register_two_player()
    register_mujoco()


def list_envs() -> list[tuple[str, str]]:
    """All ids of the suite with one line each, in the order of the tables."""
    pool = [(f"rlsuite/{name}", f"Gymnasium's {name}, stepped by MuJoCo's thread pool.") for name in MUJOCO_IDS]
    pool += [(f"rlsuite/{name}", f"mo-gymnasium's {name}, many objectives, on the pool.") for name in MO_MUJOCO_IDS]
    ants = [(id, line) for id, _, line in ANT_COVERAGE] + list(ANT_MAZES)
    games = [(id, line) for id, _, line in TWO_PLAYER]
    return [(entry.id, entry.description) for entry in KERNELS] + ants + games + pool
