"""What an agent's checkpoint holds. `restore` makes an agent of it; the file itself is `checkpoint`'s."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Protocol

import gymnasium as gym
import torch

from rlsuite.core.brain import Brain
from rlsuite.core.checkpoint import save_checkpoint
from rlsuite.core.collect import Runner
from rlsuite.core.spaces import space_to_json
from rlsuite.core.vector import Stepper


class Saveable(Protocol):
    """Interface that saving needs of an agent; `rlsuite.core.agent.Agent` has all of it."""

    config: Any
    spaces: tuple[gym.Space[Any], ...]
    env_id: str | None
    env_kwargs: dict[str, Any] | None
    num_envs: int
    seed: int
    num_timesteps: int
    n_updates: int
    starts: int
    device: torch.device
    runner: Runner | None
    stepper: Stepper | None
    brain: Brain

    def set_env(self, env: Any) -> None: ...  # noqa: D102


def write(agent: Saveable, path: str | os.PathLike[str], *, buffers: bool = True) -> None:
    """Write `agent` to `path`; see `Agent.save`."""
    tensors: dict[str, Any] = {}
    for part, stateful in agent.brain.state().items():
        if part.endswith("buffer") and not buffers:
            continue
        tensors |= {
            f"{part}/{name}": value.detach().clone().contiguous() for name, value in stateful.state_dict().items()
        }
    env_state = False
    if agent.runner is not None:
        tensors |= {f"runner/{name}": value for name, value in agent.runner.state_dict().items()}
        env_state_dict = getattr(agent.runner.stepper.venv, "state_dict", None)
        if env_state_dict is not None:
            env_state = True
            tensors |= {f"env/{name}": value for name, value in env_state_dict().items()}
    meta = {
        "algorithm": type(agent).__name__,
        "config": dataclasses.asdict(agent.config),
        "observation_space": space_to_json(agent.spaces[0]),
        "action_space": space_to_json(agent.spaces[1]),
        "further_spaces": [space_to_json(space) for space in agent.spaces[2:]],
        "scaled_pixels": True,  # version 0.1 gave pictures to the networks as they were
        "env_id": agent.env_id,
        "env_kwargs": agent.env_kwargs,
        "device": agent.device.type,
        "env_state": env_state,
        "num_envs": agent.num_envs,
        "seed": agent.seed,
        "num_timesteps": agent.num_timesteps,
        "n_updates": agent.n_updates,
        "starts": agent.starts,
    }
    save_checkpoint(path, meta=meta, tensors=tensors)
