"""An agent's checkpoint: what it holds, and how an agent comes out of one. The file itself is `checkpoint`'s."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import gymnasium as gym
import numpy as np
import torch

from rlsuite.core.checkpoint import Checkpoint, CheckpointError, save_checkpoint
from rlsuite.core.collect import Runner
from rlsuite.core.config import config_from_json
from rlsuite.core.normalize import ReturnNorm, RunningNorm
from rlsuite.core.rng import MOVED, own_seed, pack_rng, unpack_rng
from rlsuite.core.spaces import space_from_json, space_to_json
from rlsuite.core.vector import Stepper


class Stateful(Protocol):
    """Anything whose tensors a checkpoint holds."""

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Named tensors."""

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> Any:
        """Restore them."""


@runtime_checkable
class Cuttable(Protocol):
    """A part that carries something from step to step, such as a running return or an n-step window."""

    def cut(self) -> None:
        """End it here: the next step belongs to new episodes, though no flag says that the old ones are over."""


class GeneratorState:
    """A torch generator as a `Stateful`."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The generator's state, uint8."""
        return {"state": pack_rng(self.generator)}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Set the generator's state."""
        unpack_rng(self.generator, state["state"])


class Saveable(Protocol):
    """What a checkpoint needs of an agent; `rlsuite.core.agent.Agent` has it all."""

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
    obs_norm: RunningNorm | None
    return_norm: ReturnNorm | None

    def _state(self) -> dict[str, Stateful]: ...

    def set_env(self, env: Any) -> None: ...  # noqa: D102


def write(agent: Saveable, path: str | os.PathLike[str], *, buffers: bool = True) -> None:
    """Write `agent` to `path`; see `Agent.save`."""
    tensors: dict[str, Any] = {}
    for part, stateful in agent._state().items():
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


def read(
    cls: type[Any],
    saved: Checkpoint,
    path: str,
    env: Any,
    device: str | torch.device,
    kwargs: dict[str, Any],
) -> Any:
    """A `cls` from what a checkpoint held, its environments in the middle of their episodes; see `Agent.load`."""
    meta = saved.meta
    if meta.get("algorithm") != cls.__name__:
        raise CheckpointError(
            f"{path} holds a {meta.get('algorithm')} model, not {cls.__name__}; use rlsuite.load(path)"
        )
    try:
        config = config_from_json(cls.config_class, meta["config"])
        further = meta.get("further_spaces", [])
        spaces = tuple(map(space_from_json, (meta["observation_space"], meta["action_space"], *further)))
        agent = cls(
            None,
            config,
            num_envs=meta["num_envs"],
            device=device,
            seed=meta["seed"],
            env_kwargs=meta["env_kwargs"],
            spaces=spaces,
            **kwargs,
        )
        agent.env_id = meta["env_id"]
        # Another kind of device has generators of its own: what was drawn before cannot be gone on with bit for bit.
        moved = meta.get("device", agent.device.type) != agent.device.type
        for number, (part, stateful) in enumerate(agent._state().items(), start=MOVED):
            state = saved.section(part)
            if moved and isinstance(stateful, GeneratorState):
                stateful.generator.manual_seed(own_seed(meta["seed"], number, 1 + meta["num_timesteps"]))
                continue
            if state or not part.endswith("buffer"):
                stateful.load_state_dict({name: value.to(agent.device) for name, value in state.items()})
        agent.num_timesteps, agent.n_updates = meta["num_timesteps"], meta["n_updates"]
        agent.starts = meta.get("starts", 1)  # version 0.1 did not count them; one is in the past
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} lacks or garbles a part of a {cls.__name__} model ({error}); use another checkpoint"
        ) from error
    if env is not None:
        agent.set_env(env)
        if not moved:
            _restore_episodes(agent, saved)
    return agent


def _restore_episodes(agent: Saveable, saved: Checkpoint) -> None:
    """Put the environments back where the checkpoint left them, if both sides can."""
    assert agent.stepper is not None  # set_env came first
    load_env: Callable[[dict[str, np.ndarray]], None] | None = getattr(agent.stepper.venv, "load_state_dict", None)
    runner_state = saved.section("runner")
    if load_env is None or not saved.meta["env_state"] or not runner_state or agent.num_envs != saved.meta["num_envs"]:
        return
    agent.stepper.reset(agent.seed)  # builds whatever the environment builds on its first reset
    for part, stateful in agent._state().items():
        if isinstance(stateful, GeneratorState):  # an environment with a player inside may just have drawn
            stateful.load_state_dict({k: v.to(agent.device) for k, v in saved.section(part).items()})
    load_env({name: value.numpy() for name, value in saved.section("env").items()})
    agent.runner = Runner.resume(agent.stepper, agent.obs_norm, agent.return_norm, runner_state)
