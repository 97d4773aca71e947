"""One episode as an mp4 file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from rlsuite.core.evaluate import mask_argument
from rlsuite.sb3 import Predictor
from rlsuite_zoo.episodes.at_rest import one_player
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.runs.folder import RunSpec
from rlsuite_zoo.runs.models import EVAL_SEED


class VideoError(Exception):
    """The pictures could not be drawn or written; the message holds the remedy."""


MOST_FPS = 50
"""Hopper's 125 pictures a second cost time to draw and nobody sees them."""


def check_video(path: Path, option: str = "--render") -> None:
    """Raise before a long evaluation if no video can come of it.

    Args:
        path: of the video.
        option: of the command line, that named it.

    Raises:
        UsageError: another file type, or no encoder.
    """
    if path.suffix != ".mp4":
        raise UsageError(f"{option} writes .mp4 files, not {path.name!r}")
    try:
        import imageio_ffmpeg  # type: ignore[import-untyped]  # noqa: F401
    except ImportError:
        raise UsageError(f'{option} needs an encoder: pip install "rlsuite[video]" (imageio[ffmpeg])') from None


def write_video(policy: Predictor, spec: RunSpec, path: Path, deterministic: bool) -> str:
    """Play one episode and write it; returns a line about it.

    Raises:
        VideoError: nothing to draw with; the message says what to install or set.
    """
    import imageio

    with drawable(spec.env):
        env = one_player(gym.make(spec.env, render_mode="rgb_array", **spec.env_kwargs))
        fps = int(env.metadata.get("render_fps", 30))
        stride = max(1, fps // MOST_FPS)
        frames, total = _play(env, policy, spec.seed + EVAL_SEED, deterministic, stride)
    path.parent.mkdir(parents=True, exist_ok=True)
    imageio.mimwrite(path, frames, fps=fps / stride, macro_block_size=1)  # type: ignore[arg-type]
    return f"{path}: one episode, {len(frames)} frames, return {total:,.2f}"


@contextmanager
def drawable(env: str) -> Iterator[None]:
    """Draw without a display; an error of the graphics becomes a line with its remedy.

    Raises:
        VideoError: nothing to draw with; the message says what to install or set.
    """
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ.setdefault("MUJOCO_GL", "egl")  # MuJoCo's default wants a display
    try:
        yield
    except (UsageError, VideoError):
        raise
    except Exception as error:  # graphics drivers fail in as many ways as there are drivers
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise VideoError(
            f"{env} could not be drawn ({line}). MuJoCo without a display needs MUJOCO_GL=egl "
            f"(GPU or Mesa) or osmesa (software, libosmesa); it is {os.environ.get('MUJOCO_GL', 'unset')}. "
            'Classic control needs pygame: pip install "rlsuite[video]"'
        ) from error


def _play(
    env: gym.Env[Any, Any], policy: Predictor, seed: int, deterministic: bool, stride: int
) -> tuple[list[np.ndarray], float]:
    """Every `stride`-th picture of one episode, and its return."""
    frames, total, done, step = [], 0.0, False, 0
    try:
        obs, info = env.reset(seed=seed)
        follow(env)
        while not done:
            if step % stride == 0:
                frames.append(even(env.render()))
            step += 1
            action, _ = policy.predict(obs, deterministic=deterministic, **mask_argument(policy, info))
            obs, reward, terminated, truncated, info = env.step(action)
            total += float(reward)
            done = terminated or truncated
    finally:
        env.close()
    return frames, total


def follow(env: gym.Env[Any, Any]) -> None:
    """Look through the model's tracking camera, where it has one: Gymnasium's default view stays behind."""
    renderer = getattr(env.unwrapped, "mujoco_renderer", None)
    if renderer is not None:
        import mujoco

        camera = mujoco.mj_name2id(renderer.model, mujoco.mjtObj.mjOBJ_CAMERA, "track")
        if camera >= 0:
            renderer.camera_id = camera


def even(frame: Any) -> np.ndarray:
    """H.264 wants an even height and width."""
    if not isinstance(frame, np.ndarray):
        raise ValueError("the environment returned no picture")
    return frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2]
