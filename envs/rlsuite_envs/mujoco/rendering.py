"""Pictures of one simulation of a pool, drawn by Gymnasium's own renderer."""

from __future__ import annotations

import importlib
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from mujoco.batch import Batch
from numpy.typing import NDArray

__all__ = ["RENDER_ARGUMENTS", "PoolRenderer", "camera_of"]

RENDER_ARGUMENTS = (
    "width",
    "height",
    "camera_id",
    "camera_name",
    "default_camera_config",
    "max_geom",
    "visual_options",
)
_SIZE = 480  # pixels, Gymnasium's default


def camera_of(id: str) -> dict[str, Any] | None:
    """The camera with which Gymnasium films one of its tasks; None for MuJoCo's default."""
    entry_point = gym.spec(id).entry_point
    assert isinstance(entry_point, str)
    return getattr(importlib.import_module(entry_point.split(":")[0]), "DEFAULT_CAMERA_CONFIG", None)


class PoolRenderer:
    """Draws simulation 0 of a batch with the camera that Gymnasium's class of the same id uses."""

    def __init__(self, id: str, batch: Batch, arguments: dict[str, Any]) -> None:
        self._id = id
        self._batch = batch
        self._arguments = arguments
        self._model = batch.get_model(0)
        self._data = mujoco.MjData(self._model)
        self._renderer: Any = None

    def frame(self) -> NDArray[np.uint8]:
        """Draw simulation 0 as an RGB picture [height, width, 3].

        Raises:
            RuntimeError: if no OpenGL context can be made, naming the remedy.
        """
        self._batch.get_model(0, self._model)
        self._grow_buffer()
        self._batch.get_data(0, self._data)
        mujoco.mj_forward(self._model, self._data)
        try:
            if self._renderer is None:
                self._renderer = self._make_renderer()
            picture = self._renderer.render("rgb_array")
        except Exception as error:
            raise RuntimeError(
                f"{self._id}: rendering failed ({type(error).__name__}: {error}). Without a display, set the "
                "environment variable MUJOCO_GL=egl (GPU) or MUJOCO_GL=osmesa (CPU; needs libosmesa6) before "
                "Python starts."
            ) from error
        return np.asarray(picture)

    def _grow_buffer(self) -> None:
        """Grow the offscreen buffer to the size of the picture, as Gymnasium does."""
        screen = self._model.vis.global_
        screen.offwidth = max(screen.offwidth, self._arguments.get("width", _SIZE))
        screen.offheight = max(screen.offheight, self._arguments.get("height", _SIZE))

    def _make_renderer(self) -> Any:
        from gymnasium.envs.mujoco.mujoco_rendering import MujocoRenderer

        options = dict(self._arguments)
        camera = options.pop("default_camera_config", None)
        if camera is None:
            camera = camera_of(self._id)
        options = {"width": _SIZE, "height": _SIZE, **options}
        return MujocoRenderer(self._model, self._data, camera, **options)

    def close(self) -> None:
        """Free the OpenGL context."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
