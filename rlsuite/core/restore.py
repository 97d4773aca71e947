"""An agent out of a checkpoint: what the file says is checked, and every argument given at load counts or is refused.

A config field given at load takes effect, unless the checkpoint holds parts that it shaped (`Agent.stored` names those
fields and parts). Fields in `Agent.restarts` begin their parts anew. What is wrong with the file is a
`CheckpointError`; what is wrong with an argument is a `ValueError` that names the argument.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from rlsuite.core.checkpoint import Checkpoint, CheckpointError
from rlsuite.core.collect import Runner
from rlsuite.core.config import config_from_json, make_config
from rlsuite.core.persistence import Saveable
from rlsuite.core.rng import MOVED, own_seed
from rlsuite.core.spaces import obs_size, picture_pixels, space_from_json
from rlsuite.core.stateful import GeneratorState

MOST_ENVS = 10**7
_COUNTS = (0, 2**63 - 1)


@dataclasses.dataclass(frozen=True)
class Header:
    """The JSON part of an agent's checkpoint, checked."""

    config: Any
    spaces: tuple[gym.Space[Any], ...]
    env_id: str | None
    env_kwargs: dict[str, Any] | None
    device: str
    env_state: bool
    num_envs: int
    seed: int
    num_timesteps: int
    n_updates: int
    starts: int


def read(
    cls: type[Any],
    saved: Checkpoint,
    env: Any = None,
    device: str | torch.device = "cpu",
    *,
    config: Any = None,
    seed: int | None = None,
    num_envs: int | None = None,
    env_kwargs: dict[str, Any] | None = None,
    verbose: int = 0,
    tensorboard_log: str | None = None,
    **overrides: Any,
) -> Any:
    """A `cls` from what a checkpoint held, its environments in the middle of their episodes; see `Agent.load`."""
    header = read_header(cls, saved)
    settings = make_config(cls.config_class, header.config if config is None else config, overrides)
    changed = changed_fields(settings, header.config)
    buffers = any(key.partition("/")[0].endswith("buffer") for key in saved.tensors)  # else saved with buffers=False
    refuse_stored(cls.stored, header.config, settings, lambda what: buffers or what != "replay buffer")
    _check_number("seed", seed, *_COUNTS)
    _check_number("num_envs", num_envs, 1, MOST_ENVS)
    if env_kwargs is not None and env is not None and not isinstance(env, str):
        raise ValueError("env_kwargs are for an environment given by its id; leave them out, or give env=ID")
    try:
        agent = cls(
            None,
            settings,
            num_envs=header.num_envs,
            device=device,
            seed=header.seed if seed is None else seed,
            env_kwargs=header.env_kwargs if env_kwargs is None else env_kwargs,
            verbose=verbose,
            tensorboard_log=tensorboard_log,
            spaces=header.spaces,
        )
    except Exception as error:  # whatever networks and buffers make of impossible sizes
        if changed:
            raise ValueError(f"{', '.join(changed)} cannot be set at load of {saved.path}: {error}") from error
        raise _garbled(cls, saved, error) from error
    agent.env_id = header.env_id
    anew = {part for name in changed for part in cls.restarts.get(name, ())}
    moved = header.device != agent.device.type
    _fill(agent, saved, header, anew, fresh_generators=moved or seed is not None)
    if env is not None:
        agent.set_env(env, num_envs=num_envs, env_kwargs=env_kwargs)
        if not moved and seed is None:
            _restore_episodes(agent, saved, header)
    elif num_envs is not None and num_envs != agent.num_envs:
        agent._resize(num_envs)
        agent.num_envs = num_envs
    return agent


def read_header(cls: type[Any], saved: Checkpoint) -> Header:
    """The metadata of a checkpoint of `cls`, every field of it checked.

    Raises:
        CheckpointError: another algorithm's, or a field that is missing or impossible; names it with its value.
    """
    meta, path = saved.meta, saved.path
    if meta.get("algorithm") != cls.__name__:
        raise CheckpointError(
            f"{path} holds a {meta.get('algorithm')} model, not {cls.__name__}; use rlsuite.load(path)"
        )

    def field(name: str, kinds: type | tuple[type, ...], span: tuple[int, int] | None = None) -> Any:
        value: Any = meta.get(name)
        right = isinstance(value, kinds) and (not isinstance(value, bool) or kinds is bool)
        if name not in meta or not right or (span is not None and not span[0] <= value <= span[1]):
            raise _garbled(cls, saved, f"meta {name!r} is {value!r}")
        return value

    spaces, none = ["observation_space", "action_space"], type(None)
    try:
        config = config_from_json(cls.config_class, field("config", dict))
    except CheckpointError:
        raise
    except Exception as error:  # whatever a configuration makes of a value of another type
        raise _garbled(cls, saved, f"meta 'config': {error}") from error
    further = meta.get("further_spaces", [])
    header = Header(
        config=config,
        spaces=tuple(_space(cls, saved, name, field(name, dict)) for name in spaces)
        + tuple(_space(cls, saved, "further_spaces", part) for part in (further if isinstance(further, list) else [0])),
        env_id=field("env_id", (str, none)),
        env_kwargs=field("env_kwargs", (dict, none)),
        device=field("device", str) if "device" in meta else "cpu",
        env_state=field("env_state", bool),
        num_envs=field("num_envs", int, (1, MOST_ENVS)),
        seed=field("seed", int, _COUNTS),
        num_timesteps=field("num_timesteps", int, _COUNTS),
        n_updates=field("n_updates", int, _COUNTS),
        # version 0.1 did not count them; one is in the past
        starts=field("starts", int, _COUNTS) if "starts" in meta else 1,
    )
    _check_size(cls, saved, header)
    if "scaled_pixels" not in meta and picture_pixels(header.spaces[0]):
        warnings.warn(
            f"{path} was trained on pixels from 0 to 255 by an earlier version; now they are scaled to [0, 1], on "
            "which its policy is another one: train it anew",
            stacklevel=2,
        )
    return header


def changed_fields(new: Any, old: Any) -> list[str]:
    """Names of the fields in which two configurations of one class differ."""
    return [f.name for f in dataclasses.fields(new) if bool(getattr(new, f.name) != getattr(old, f.name))]


def refuse_stored(
    stored: Mapping[str, str], old: Any, new: Any, held: Callable[[str], bool] = lambda what: True
) -> None:
    """Raise where a configuration given at load changes a field that has shaped something in the checkpoint.

    Args:
        stored: such fields, and what each of them shaped.
        old: the checkpoint's configuration.
        new: the one given.
        held: whether the checkpoint holds what a field shaped.

    Raises:
        ValueError: names the field, both values and the remedy.
    """
    for name in changed_fields(new, old):
        what = stored.get(name)
        if what is not None and held(what):
            raise ValueError(
                f"{name}={getattr(new, name)!r} cannot be set at load: the checkpoint was made with "
                f"{name}={getattr(old, name)!r}, which shaped its {what}; leave {name} out, or train a new model"
            )


def _check_number(name: str, value: Any, low: int, high: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise ValueError(f"{name}={value!r} must be an integer in [{low}, {high}]")


def _garbled(cls: type[Any], saved: Checkpoint, error: object) -> CheckpointError:
    return CheckpointError(
        f"{saved.path} lacks or garbles a part of a {cls.__name__} model ({error}); use another checkpoint"
    )


def _space(cls: type[Any], saved: Checkpoint, name: str, data: Any) -> gym.Space[Any]:
    try:
        return space_from_json(data)
    except Exception as error:  # whatever Gymnasium and NumPy make of damaged numbers
        raise _garbled(cls, saved, f"meta {name!r}: {type(error).__name__}: {error}") from error


def _check_size(cls: type[Any], saved: Checkpoint, header: Header) -> None:
    """Refuse networks larger than the tensors of the file before they are allocated."""
    layers = getattr(header.config, "net_arch", None)
    if not isinstance(layers, tuple) or not all(isinstance(units, int) for units in layers):
        return  # the constructor judges what is no list of widths
    try:
        widths = [obs_size(header.spaces[0]), *layers]
    except ValueError as error:
        raise _garbled(cls, saved, error) from error
    total = sum(x.numel() for x in saved.tensors.values())
    if any(a * b > total for a, b in zip(widths, [*widths[1:], 1], strict=True)):
        raise _garbled(cls, saved, f"layers of {widths} units need more than the {total} numbers that it holds")


def _fill(agent: Any, saved: Checkpoint, header: Header, anew: set[str], *, fresh_generators: bool) -> None:
    """Put the saved tensors into the agent's parts.

    Another kind of device has generators of its own, and another seed begins other streams: what was drawn before
    cannot be gone on with, and generators then start from seed and steps.
    """
    for number, (part, stateful) in enumerate(agent.brain.state().items(), start=MOVED):
        state = saved.section(part)
        if fresh_generators and isinstance(stateful, GeneratorState):
            stateful.generator.manual_seed(own_seed(agent.seed, number, 1 + header.num_timesteps))
            continue
        if part in anew or (not state and part.endswith("buffer")):
            continue
        _check_tensors(agent, saved, part, state, stateful.state_dict())
        try:
            stateful.load_state_dict({name: value.to(agent.device) for name, value in state.items()})
        except Exception as error:  # whatever a part makes of tensors that are not its own
            raise _garbled(type(agent), saved, f"{part}: {error}") from error
    agent.num_timesteps, agent.n_updates, agent.starts = header.num_timesteps, header.n_updates, header.starts


def _check_tensors(
    agent: Any, saved: Checkpoint, part: str, state: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]
) -> None:
    """Raise unless the tensors are finite and of the kinds that the part itself has."""
    for name, value in state.items():
        where = f"{part}/{name}"
        if name in own and value.dtype != own[name].dtype:
            raise _garbled(type(agent), saved, f"{where} is {value.dtype}, not {own[name].dtype}")
        if value.is_floating_point() and where not in agent.unbounded and not bool(torch.isfinite(value).all()):
            raise _garbled(type(agent), saved, f"{where} is not finite")


def _restore_episodes(agent: Saveable, saved: Checkpoint, header: Header) -> None:
    """Put the environments back where the checkpoint left them, if both sides can."""
    assert agent.stepper is not None  # set_env came first
    load_env: Callable[[dict[str, np.ndarray]], None] | None = getattr(agent.stepper.venv, "load_state_dict", None)
    runner_state = saved.section("runner")
    if load_env is None or not header.env_state or not runner_state or agent.num_envs != header.num_envs:
        return
    agent.stepper.reset(agent.seed)  # builds whatever the environment builds on its first reset
    for part, stateful in agent.brain.state().items():
        if isinstance(stateful, GeneratorState):  # an environment with a player inside may just have drawn
            stateful.load_state_dict({k: v.to(agent.device) for k, v in saved.section(part).items()})
    load_env({name: value.numpy() for name, value in saved.section("env").items()})
    agent.runner = Runner.resume(agent.stepper, agent.brain.obs_norm, agent.brain.return_norm, runner_state)
