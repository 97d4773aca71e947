"""Loading of the MuJoCo models."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
from gymnasium.envs.mujoco.mujoco_env import expand_model_path

from rlsuite_envs.mujoco.contact_forces import add_contact_forces

__all__ = ["load_model"]


def load_model(
    xml_file: str, *, contact_forces: bool = False, edit: Callable[[mujoco.MjSpec], None] | None = None
) -> mujoco.MjModel:
    """Compile a model as Gymnasium does.

    Args:
        xml_file: a path, or the name of one of Gymnasium's assets.
        contact_forces: whether each step must compute `cfrc_ext`.
        edit: changes the model before it is compiled.

    Raises:
        OSError: the file does not exist.
        ValueError: MuJoCo cannot parse or compile it.
    """
    path = expand_model_path(xml_file)
    if not contact_forces and edit is None:
        return mujoco.MjModel.from_xml_path(path)
    spec = mujoco.MjSpec.from_file(path)
    if edit is not None:
        edit(spec)
    if contact_forces:
        add_contact_forces(spec)
    return spec.compile()
