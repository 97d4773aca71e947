"""Loading of the MuJoCo models."""

from __future__ import annotations

import mujoco
from gymnasium.envs.mujoco.mujoco_env import expand_model_path

__all__ = ["load_model"]


def load_model(xml_file: str, *, external_forces: bool = False) -> mujoco.MjModel:
    """Compile a model as Gymnasium does."""
    path = expand_model_path(xml_file)
    return mujoco.MjModel.from_xml_path(path)
