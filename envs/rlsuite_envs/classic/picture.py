"""Pictures of classic control, drawn by Gymnasium's own environments put into our state."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import Any

import gymnasium as gym
import numpy as np

__all__ = ["draw"]


def draw(id: str, **attributes: Any) -> np.ndarray:
    """The picture [height, width, 3] uint8 that Gymnasium's environment draws of a state.

    Args:
        id: the environment's id in Gymnasium.
        attributes: what to set on it before drawing: `state`, and constants the picture depends on.

    Raises:
        gymnasium.error.DependencyNotInstalled: without pygame.
    """
    env = _artist(id)
    for name, value in attributes.items():
        setattr(env, name, value)
    picture = env.render()
    assert isinstance(picture, np.ndarray), f"{id} drew {type(picture)}"
    return picture


@cache
def _artist(id: str) -> gym.Env[Any, Any]:
    # pygame.display.init() fails on a machine without a screen, although nothing is to be shown there.
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    env = gym.make(id, render_mode="rgb_array").unwrapped
    env.reset(seed=0)
    return env
