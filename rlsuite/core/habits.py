"""What users of Stable-Baselines3 write in a constructor, as ours takes it; the rest is refused with its equivalent."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import gymnasium as gym
import numpy as np
from torch import nn

from rlsuite.core.checkpoint import plain
from rlsuite.core.networks import ACTIVATIONS
from rlsuite.core.settings import LAST_SEED, show, whole_number

POLICIES = ("MlpPolicy", "MultiInputPolicy")
"""SB3's policy names that are accepted; any other first argument that ends in Policy is refused."""

ABSENT: dict[str, tuple[tuple[Any, ...], str]] = {
    "use_sde": ((False,), "state-dependent exploration is not supported"),
    "use_sde_at_warmup": ((False,), "state-dependent exploration is not supported"),
    "sde_sample_freq": ((-1,), "state-dependent exploration is not supported"),
    "action_noise": ((None,), "noise on actions is not supported: SAC's policy is random itself"),
    "replay_buffer_class": ((None,), "there is one replay buffer; buffer_size and n_step are its fields"),
    "replay_buffer_kwargs": ((None, {}), "there is one replay buffer; buffer_size and n_step are its fields"),
    "optimize_memory_usage": ((False,), "the replay buffer has one layout; lower buffer_size instead"),
    "rollout_buffer_class": ((None,), "there is one rollout buffer; n_steps is its field"),
    "rollout_buffer_kwargs": ((None, {}), "there is one rollout buffer; n_steps is its field"),
    "target_update_interval": ((1,), "the target moves at every gradient step; tau is its speed"),
    "stats_window_size": ((100,), "the window of recent episodes has 100"),
    "monitor_wrapper": ((True, False), "episodes are always counted"),
    "_init_setup_model": ((True,), "a model is always set up; use load(path) for a saved one"),
}
"""SB3's arguments without an equivalent: the values that change nothing, which are dropped, and what to say else."""

POLICY_FIELDS = {"net_arch": "net_arch", "activation_fn": "activation", "ortho_init": "ortho_init"}
POLICY_FIELDS["log_std_init"] = "log_std_init"


def take_habits(
    owner: str, config_class: type[Any], env: Any, config: Any, overrides: dict[str, Any]
) -> tuple[Any, Any, dict[str, Any]]:
    """Environment, configuration and overrides out of a constructor's arguments, SB3's order and words among them.

    Raises:
        ValueError: an argument of SB3 without an equivalent; names it and what to use instead.
        TypeError: two environments.
    """
    overrides = dict(overrides)
    fields = {field.name for field in dataclasses.fields(config_class)}
    named = overrides.pop("policy", None) if "policy" not in fields else None
    if named is None and isinstance(env, str) and env.endswith("Policy"):
        named, env, config = env, config, None
    if named is not None and named not in POLICIES:
        raise ValueError(
            f"{owner} has no policy {show(named)}: its networks are multi-layer perceptrons, {' or '.join(POLICIES)} "
            "(pictures are scaled and flattened; there are no convolutions); leave it out and set net_arch"
        )
    for name, given in (("env", env), ("config", config)):
        if name in overrides and given is not None:
            raise TypeError(f"{owner} was given two values for {name}: {show(given)} and {show(overrides[name])}")
    env, config = overrides.pop("env", env), overrides.pop("config", config)
    kwargs = overrides.pop("policy_kwargs", None) or {}
    overrides |= _policy_fields(owner, fields, kwargs, overrides)
    for name in [name for name in overrides if name in ABSENT and name not in fields]:
        value, (harmless, why) = overrides.pop(name), ABSENT[name]
        if not any(type(value) is type(known) and value == known for known in harmless):
            raise ValueError(f"{owner}: {name}={show(value)}: {why}; leave it out")
    frequency = overrides.get("train_freq")
    if isinstance(frequency, tuple | list) and len(frequency) == 2 and frequency[1] == "step":
        overrides["train_freq"] = frequency[0]
    return env, config, overrides


def _policy_fields(owner: str, fields: set[str], kwargs: Any, overrides: dict[str, Any]) -> dict[str, Any]:
    """SB3's `policy_kwargs` as fields of the configuration."""
    if not isinstance(kwargs, dict):
        raise ValueError(
            f"{owner}: policy_kwargs is {show(kwargs)}; set the fields themselves, such as net_arch=(64, 64)"
        )
    known = {theirs: ours for theirs, ours in POLICY_FIELDS.items() if ours in fields}
    taken = {}
    for name, value in kwargs.items():
        if name not in known:
            raise ValueError(
                f"{owner}: policy_kwargs has {name!r}, which has no equivalent; known are "
                f"{', '.join(f'{theirs} (the field {ours})' for theirs, ours in known.items())}"
            )
        if known[name] in overrides:
            raise ValueError(f"{owner}: {known[name]} is given twice, as a field and in policy_kwargs; give one")
        taken[known[name]] = _activation(owner, value) if name == "activation_fn" else value
    return taken


def _activation(owner: str, value: Any) -> str:
    """The name of a torch activation class."""
    for name, kind in ACTIVATIONS.items():
        if value is kind or value == name:
            return name
    shown = value.__name__ if isinstance(value, type) and issubclass(value, nn.Module) else show(value)
    raise ValueError(
        f"{owner}: activation_fn is {shown}; the field activation takes {', '.join(map(repr, ACTIVATIONS))}"
    )


def take_seed(seed: Any) -> int:
    """The seed, or one from the system's randomness for None.

    Raises:
        ValueError: no whole number in [0, 2^63).
    """
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(seed, float | np.floating):
        raise ValueError(f"seed is {show(seed)}; it must be a whole number of at least 0, or None for a random one")
    return whole_number("seed", seed, least=0, most=LAST_SEED)


def check_arguments(env: Any, env_kwargs: Any, verbose: Any, tensorboard_log: Any, spaces: Any) -> None:
    """Look at a constructor's further arguments before anything is built.

    Raises:
        ValueError: one of the wrong kind, or environment arguments that no checkpoint could hold.
    """
    if env_kwargs is not None:
        if not isinstance(env_kwargs, dict):
            raise ValueError(
                f"env_kwargs is {show(env_kwargs)}; it must be a dict of the environment's arguments, or None"
            )
        try:
            plain(env_kwargs, "env_kwargs")
        except ValueError as error:
            raise ValueError(
                f"{error}; give lists instead of arrays, or make the environment yourself and give it instead of its id"
            ) from None
    whole_number("verbose", int(verbose) if isinstance(verbose, bool) else verbose, least=0, most=2)
    if not isinstance(tensorboard_log, str | os.PathLike | None):
        raise ValueError(f"tensorboard_log is {show(tensorboard_log)}; it must be a folder's name, or None")
    if spaces is not None and not (
        isinstance(spaces, tuple | list) and len(spaces) >= 2 and all(isinstance(space, gym.Space) for space in spaces)
    ):
        raise ValueError(f"spaces is {show(spaces)}; it must be (observation_space, action_space), of gymnasium.spaces")
