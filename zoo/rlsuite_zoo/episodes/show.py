"""`rlsuite show`: one episode of a random or trained policy as a picture or a film."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from PIL import Image

import rlsuite
from rlsuite.core.evaluate import mask_argument, own_draws
from rlsuite.sb3 import Predictor
from rlsuite_envs.drawing import figure, figure_array
from rlsuite_envs.kernel import Kernel, tree_map
from rlsuite_envs.make import find_spec, make_single_env
from rlsuite_envs.single import TensorEnv
from rlsuite_zoo.episodes.at_rest import one_player
from rlsuite_zoo.episodes.video import VideoError, check_video, drawable, even, follow
from rlsuite_zoo.errors import UsageError, unknown
from rlsuite_zoo.imports import check_named, import_typed
from rlsuite_zoo.multi_objective.sets import objective_names
from rlsuite_zoo.report.curves import COLOURS
from rlsuite_zoo.runs.folder import find_runs
from rlsuite_zoo.runs.models import check_env, load_policy, player_for, quiet_mujoco
from rlsuite_zoo.runs.random_policy import RandomPolicy
from rlsuite_zoo.runs.recipe import parse_overrides
from rlsuite_zoo.runs.spec import safe_name

FILM_FRAMES = 600
"""Most frames of a film; of longer episodes every n-th step is shown."""
STRIP = (3, 4)
"""Rows and columns of frames, for environments that do not draw whole episodes."""


@dataclass(frozen=True)
class Played:
    """One episode."""

    states: list[Any]
    """States of a kernel's episode, T + 1 of them; empty for other environments."""
    actions: list[Any]
    """The T actions."""
    rewards: np.ndarray
    """Rewards [T], or [T, K]."""
    frames: list[np.ndarray]
    """Pictures of every `stride`-th step; empty unless asked for."""
    stride: int
    """Steps between frames."""
    end: str
    """ "terminated", "truncated", or "stopped" at the last step asked for."""


def show(
    env: str,
    settings: Sequence[str],
    *,
    policy: str,
    out: str,
    seed: int,
    steps: int,
    stochastic: bool,
    checkpoint: str = "last",
    weights: Sequence[float] = (),
) -> None:
    """Play one episode and draw it.

    Raises:
        UsageError: an unknown environment, policy, constant or file type. VideoError: it cannot be drawn.
    """
    if steps < 0:
        raise UsageError(f"--steps is {steps}; it must be at least 1, or 0 for the whole episode")
    import_typed(env)  # before the run's folder is read: what the user types, the run may have
    known = _trained_in(policy, checkpoint)
    if not env and known is None:
        raise UsageError("give an environment, or --policy RUN for a run's own: rlsuite show rlsuite/HardMaze-v0")
    env = env or (known.env if known else "")
    path = Path(out or f"{safe_name(env)}.png")
    if path.suffix == ".mp4":
        check_video(path, "--out")
    elif path.suffix != ".png":
        raise UsageError(f"--out writes .png or .mp4 files, not {path.name!r}")
    check_env(env)
    config, env_kwargs = parse_overrides([word if "env." in word else f"env.{word}" for word in settings])
    assert not config
    if known is not None and known.env == env:
        env_kwargs = {**known.env_kwargs, **env_kwargs}
    quiet_mujoco(env)
    film = path.suffix == ".mp4"
    made, whole = _make(env, env_kwargs, film)
    with drawable(env), closing(made):
        game = made if known is None else one_player(made)  # chance plays both sides of a game
        if known is None and weights:
            raise UsageError("--weights chooses a policy of a trained set; give the set: --policy RUN")
        player: Predictor = RandomPolicy(game, seed)
        member = ""
        if known is not None:
            player, member = player_for(known.load(), weights, known.file)
            _check_spaces(player, game, env, known)
        mode = not (stochastic or (known is not None and known.stochastic))
        with own_draws(player, seed):
            played = _play(game, player, seed, steps, deterministic=mode, frames=film or not whole)
        path.parent.mkdir(parents=True, exist_ok=True)
        if film:
            _write_film(path, played, int(made.metadata.get("render_fps", 30)))
        else:
            picture = _episode(made.unwrapped, played) if whole else _strip(played, env, _names(made, played))
            Image.fromarray(picture).save(path)
    total = np.array2string(played.rewards.sum(0), precision=2, suppress_small=True)
    who = f" of {known.file}{f', {member}' if member else ''}" if known else ""
    print(f"{path}: {env}{who}, {len(played.rewards)} steps ({played.end}), return {total}")


@dataclass(frozen=True)
class Known:
    """A trained policy, and what it was trained in."""

    file: Path
    load: Callable[[], Predictor]
    env: str
    env_kwargs: dict[str, Any]
    stochastic: bool
    """Whether the policy's run is evaluated with sampled actions."""


def _trained_in(policy: str, checkpoint: str) -> Known | None:
    """Environment a run folder or a checkpoint was trained in; None for random play.

    Raises:
        UsageError: neither of these, no checkpoint yet, or several runs.
    """
    if policy == "random":
        return None
    if checkpoint not in ("last", "best"):
        raise unknown("checkpoint", checkpoint, ["last", "best"])
    path = Path(policy)
    if path.is_dir():
        folders = find_runs([policy])
        if len(folders) > 1:
            raise UsageError(
                f"--policy {policy} holds {len(folders)} runs; give one of them, such as {folders[0].path}"
            )
        folder, spec = folders[0], folders[0].spec()
        file = folder.last if checkpoint == "last" else folder.best
        return Known(file, lambda: load_policy(folder, file), spec.env, spec.env_kwargs, spec.eval_stochastic)
    if not path.exists():
        raise UsageError(f"--policy {policy!r} is neither 'random' nor a run folder nor a checkpoint")
    agent: Any = rlsuite.load(path, device="cpu")
    check_named(agent.env_id or "", path)
    return Known(path, lambda: agent, agent.env_id or "", dict(agent.env_kwargs or {}), False)


def describe(env: str) -> str:
    """An environment's text: what it is, its observations, actions and reward, and its constants.

    Raises:
        UsageError: an unknown environment.
    """
    check_env(env)
    spec = find_spec(env)
    point = spec.entry_point
    thing: Any = gym.envs.registration.load_env_creator(point) if isinstance(point, str) else point
    kernel = spec.kwargs.get("kernel")
    if kernel is not None:
        thing = gym.envs.registration.load_env_creator(kernel) if isinstance(kernel, str) else kernel
    text = inspect.getdoc(thing) or inspect.getdoc(inspect.getmodule(thing)) or "It has no text."
    return f"{env}\n\n{text}"


def episode_picture(env: str, policy: Predictor, seed: int) -> np.ndarray:
    """One episode of a policy that samples its actions as a picture [height, width, 3] uint8.

    Raises:
        UsageError, VideoError: the environment draws nothing, or cannot here.
    """
    made, whole = _make(env, {}, film=False)
    with drawable(env), closing(made):
        played = _play(made, policy, seed, 0, deterministic=False, frames=not whole)
        return _episode(made.unwrapped, played) if whole else _strip(played, env, _names(made, played))


def _make(env: str, env_kwargs: dict[str, Any], film: bool) -> tuple[gym.Env[Any, Any], bool]:
    """The environment, and whether it draws whole episodes itself."""
    try:
        made: gym.Env[Any, Any] = make_single_env(env, **env_kwargs)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{env} cannot be made: {error}") from error
    inner = made.unwrapped
    # Our other environments, MuJoCo's ants, draw the episode they are in.
    whole = _draws_episodes(inner.kernel) if isinstance(inner, TensorEnv) else hasattr(inner, "render_episode")
    if whole and not film:
        return made, True
    if isinstance(inner, TensorEnv) and not inner.kernel.can_render():
        raise UsageError(f"{env} has no picture; `rlsuite list envs` shows others")
    made.close()
    return make_single_env(env, render_mode="rgb_array", **env_kwargs), whole


def _draws_episodes(kernel: Kernel[Any, Any, Any]) -> bool:
    return type(kernel).render_episode is not Kernel.render_episode


def _check_spaces(policy: Predictor, env: gym.Env[Any, Any], name: str, known: Known) -> None:
    """Raise unless the policy acts in the environment.

    Raises:
        UsageError: names what differs.
    """
    for what in ("observation", "action"):
        mine, theirs = getattr(policy, f"{what}_space", None), getattr(env, f"{what}_space")
        if mine not in (None, theirs):
            raise UsageError(
                f"{known.file} was trained in {known.env or 'another environment'} and does not fit {name}: its "
                f"{what}s are {_in_short(mine)}, the environment's {_in_short(theirs)}; leave the environment out to "
                "play its own"
            )


def _in_short(space: Any) -> str:
    """A space without its bounds, which may be hundreds of numbers."""
    shape = getattr(space, "shape", None)
    return f"{type(space).__name__}{shape}" if shape else str(space)[:60]


def _play(
    env: gym.Env[Any, Any], policy: Predictor, seed: int, steps: int, *, deterministic: bool, frames: bool
) -> Played:
    """One episode, or its first `steps` steps."""
    obs, info = env.reset(seed=seed)
    follow(env)
    inner = env.unwrapped
    kernel = isinstance(inner, TensorEnv)
    states: list[Any] = [inner.state] if isinstance(inner, TensorEnv) else []
    pictures: list[np.ndarray] = [even(env.render())] if frames else []
    limit = steps or _limit(env) or FILM_FRAMES
    stride = max(1, limit // FILM_FRAMES)
    actions: list[Any] = []
    rewards: list[Any] = []
    end = "stopped"
    while len(rewards) < limit:
        action, _ = policy.predict(obs, deterministic=deterministic, **mask_argument(policy, info))
        obs, reward, terminated, truncated, info = env.step(action)
        actions.append(action)
        rewards.append(reward)
        if kernel:
            states.append(inner.state)  # type: ignore[attr-defined]
        over = terminated or truncated
        if frames and (over or len(rewards) % stride == 0):
            pictures.append(even(env.render()))
        if over:
            end = "terminated" if terminated else "truncated"
            break
    return Played(states, actions, np.asarray(rewards), pictures, stride, end)


def _limit(env: gym.Env[Any, Any]) -> int | None:
    inner = env.unwrapped
    if isinstance(inner, TensorEnv) and inner.kernel.max_episode_steps:
        return inner.kernel.max_episode_steps
    own = getattr(inner, "horizon", None)
    if isinstance(own, int):
        return own
    return env.spec.max_episode_steps if env.spec else None


def _episode(inner: Any, played: Played) -> np.ndarray:
    """The environment's own picture of the episode."""
    if not isinstance(inner, TensorEnv):
        drawn: np.ndarray = inner.render_episode()
        return drawn
    states = tree_map(lambda *rows: torch.cat(rows), *played.states)
    actions = torch.as_tensor(np.stack([np.asarray(action) for action in played.actions]))
    return inner.kernel.render_episode(states, actions, torch.as_tensor(played.rewards))


def _names(env: gym.Env[Any, Any], played: Played) -> tuple[str, ...]:
    """Of the K objectives; none of a single reward."""
    return objective_names(env, played.rewards.shape[1]) if played.rewards.ndim > 1 else ()


def _strip(played: Played, title: str, names: Sequence[str] = ()) -> np.ndarray:
    """Frames in their order, and the reward below them, or the rewards of the objectives called `names`."""
    rows, columns = STRIP
    chosen = np.unique(np.linspace(0, len(played.frames) - 1, rows * columns).round().astype(int))
    drawn, axes = figure(rows + 1, columns, width=10, height=9)
    for ax in axes.flat:
        ax.axis("off")
    for ax, index in zip(axes[:rows].flat, chosen, strict=False):
        ax.imshow(played.frames[index])
        ax.set_title(f"step {min(index * played.stride, len(played.rewards))}", fontsize=9)
    grid = axes[rows, 0].get_gridspec()
    curve = drawn.add_subplot(grid[rows, :])
    lines = curve.plot(np.arange(1, len(played.rewards) + 1), played.rewards)
    for line, name, colour in zip(lines, names, cycle(COLOURS), strict=False):
        line.set(label=name, color=colour)
    if names:
        curve.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    curve.set(xlabel="step", ylabel="reward", title=title)
    return figure_array(drawn)


def _write_film(path: Path, played: Played, fps: int) -> None:
    import imageio

    try:
        imageio.mimwrite(path, played.frames, fps=min(fps, 50), macro_block_size=1)  # type: ignore[arg-type]
    except OSError as error:
        raise VideoError(f"{path} could not be written: {error}") from error
