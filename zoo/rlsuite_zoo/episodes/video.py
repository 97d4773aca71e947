"""One episode as an mp4 file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from rlsuite.core.evaluate import _numpy, mask_argument, own_draws
from rlsuite.core.rng import EPISODES, env_seed
from rlsuite.core.two_player import Versus, make_one_player
from rlsuite.core.vec_env import env_action
from rlsuite.sb3 import Predictor
from rlsuite_envs.kernel import tree_map
from rlsuite_envs.make import make_single_env
from rlsuite_envs.single import TensorEnv
from rlsuite_envs.vector import TensorVectorEnv
from rlsuite_zoo.episodes.at_rest import one_player
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.runs.folder import RunSpec
from rlsuite_zoo.runs.models import EVAL_SEED


class VideoError(Exception):
    """The pictures could not be drawn or written; the message holds the remedy."""


MOST_FPS = 50
"""Most pictures per second: more (Hopper: 125) cost time to draw and are not seen."""


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


def write_video(
    policy: Predictor,
    spec: RunSpec,
    path: Path,
    *,
    episodes: int,
    deterministic: bool,
    seed: int | None,
    weights: Sequence[float] = (),
) -> tuple[str, float]:
    """Play the first episode of an evaluation again and write it as a film.

    Args:
        policy: that was evaluated.
        spec: of its run.
        path: of the film, .mp4.
        episodes: of the evaluation, which decides how many environments it had.
        deterministic: the distribution's mode, or samples.
        seed: of the evaluation; None for the run's own.
        weights: of the evaluation, where the environment pays several objectives.

    Returns:
        A line about the film, and the episode's return.

    Raises:
        VideoError: nothing to draw with; the message says what to install or set.
    """
    import imageio

    own = spec.seed + EVAL_SEED if seed is None else seed
    with drawable(spec.env):
        first = replay_first(policy, spec, episodes=episodes, deterministic=deterministic, seed=own, weights=weights)
        frames, fps, stride = _frames(spec, first, own)
    path.parent.mkdir(parents=True, exist_ok=True)
    imageio.mimwrite(path, frames, fps=fps / stride, macro_block_size=1)  # type: ignore[arg-type]
    return f"{path}: {len(first.actions)} steps, {len(frames)} frames, return {first.total:,.2f}", first.total


@dataclass(frozen=True)
class First:
    """The episode of an evaluation that finished first."""

    env: int
    """Index of the episode's environment in the batch."""
    actions: list[Any]
    """The T actions, as a single environment takes them."""
    states: list[Any]
    """States of a kernel before each action; empty for other environments."""
    total: float
    """Return of the episode; of several objectives the weighted sum."""
    paid: np.ndarray
    """Sum [] or [K] of its rewards."""


def replay_first(
    policy: Predictor,
    spec: RunSpec,
    *,
    episodes: int,
    deterministic: bool,
    seed: int,
    weights: Sequence[float] = (),
) -> First:
    """The first episode that `evaluate_policy` with these arguments finishes, to the bit."""
    if len(weights):
        policy = getattr(policy, "preferring", lambda weights: policy)(weights)
    venv = make_one_player(spec.env, min(episodes, 10), spec.env_kwargs)
    game: Any = venv.match.game if isinstance(venv, Versus) else venv
    states: list[Any] = []
    rewards: list[np.ndarray] = []
    actions: list[np.ndarray] = []
    state, start = None, np.ones(venv.num_envs, bool)
    try:
        with own_draws(policy, seed):
            obs, info = venv.reset(seed=env_seed(seed, EPISODES))
            while not actions or not start.any():
                if isinstance(game, TensorVectorEnv):
                    states.append(game.state)
                action, state = policy.predict(
                    _numpy(obs),
                    state=state,
                    episode_start=start,
                    deterministic=deterministic,
                    **mask_argument(policy, info),
                )
                actions.append(np.array(_numpy(action)))
                obs, reward, terminated, truncated, info = venv.step(env_action(venv, action))
                rewards.append(np.array(_numpy(reward), dtype=float))
                start = np.asarray(_numpy(terminated)) | np.asarray(_numpy(truncated))
    finally:
        venv.close()
    i = int(np.flatnonzero(start)[0])
    total = np.zeros_like(rewards[0][i])
    for row in rewards:  # one by one, as an evaluation adds them: the same bits
        total = total + row[i]
    utility = float(total @ np.asarray(weights, float)) if len(weights) else float(total)
    rows = [tree_map(lambda x: x[i : i + 1], state) for state in states]
    return First(i, [action[i] for action in actions], rows, utility, total)


def _frames(spec: RunSpec, first: First, seed: int) -> tuple[list[np.ndarray], int, int]:
    """Every `stride`-th picture of the episode, the frame rate of all, and the stride."""
    env = one_player(make_single_env(spec.env, render_mode="rgb_array", **spec.env_kwargs))
    try:
        inner = env.unwrapped
        fps = int(env.metadata.get("render_fps", 30))
        stride = max(1, fps // MOST_FPS)
        if first.states:
            assert isinstance(inner, TensorEnv)
            return [even(inner.kernel.render(state)) for state in first.states[::stride]], fps, stride
        env.reset(seed=env_seed(seed, EPISODES) + first.env)  # what Gymnasium's vector environments give this one
        follow(env)
        frames, paid = [], np.zeros_like(first.paid)
        for step, action in enumerate(first.actions):
            if step % stride == 0:
                frames.append(even(env.render()))
            paid = paid + np.asarray(env.step(action)[1], float)
    finally:
        env.close()
    if (paid != first.paid).any():
        told = ", ".join(f"{value:,.2f}" for value in np.atleast_1d(paid))
        print(
            f"note: {spec.env} does not repeat an episode from its seed; the film's has return {told}", file=sys.stderr
        )
    return frames, fps, stride


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
