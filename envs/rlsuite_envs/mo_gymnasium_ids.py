"""The ids that mo-gymnasium 1.3 registers beside its MuJoCo tasks, as data: reading it does not import it."""

from __future__ import annotations

from rlsuite_envs.mujoco_ids import MO_MUJOCO_IDS

__all__ = ["MO_GYMNASIUM_IDS"]

MO_GYMNASIUM_IDS = (
    "breakable-bottles-v0",
    "deep-sea-treasure-v0",
    "deep-sea-treasure-concave-v0",
    "deep-sea-treasure-mirrored-v0",
    "fishwood-v0",
    "four-room-v0",
    "fruit-tree-v0",
    "minecart-v0",
    "minecart-deterministic-v0",
    "minecart-rgb-v0",
    "mo-highway-v0",
    "mo-highway-fast-v0",
    "mo-lunar-lander-v3",
    "mo-lunar-lander-continuous-v3",
    "mo-mountaincar-v0",
    "mo-mountaincar-3d-v0",
    "mo-mountaincar-timemove-v0",
    "mo-mountaincar-timespeed-v0",
    "mo-mountaincarcontinuous-v0",
    "mo-supermario-v0",
    "resource-gathering-v0",
    "water-reservoir-v0",
    *MO_MUJOCO_IDS,
)
