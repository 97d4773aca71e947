"""The small base class of every algorithm: prediction, checkpoints, and what Stable-Baselines3's callbacks touch.

It owns no mathematics. A subclass builds its networks in `_build`, names what a checkpoint must hold in
`_state`, maps observation rows to actions in `_act`, and has its loop in `learn`.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv
from stable_baselines3.common.logger import Logger, configure
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from rlsuite.core.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from rlsuite.core.collect import Runner
from rlsuite.core.config import config_from_json, make_config
from rlsuite.core.distributions import ActionSpec, action_spec
from rlsuite.core.normalize import ReturnNorm, RunningNorm
from rlsuite.core.spaces import add_batch_axis, flatten_obs, obs_size, space_from_json, space_to_json
from rlsuite.core.vector import Stepper, make_env

EnvLike = str | gym.Env[Any, Any] | VectorEnv[Any, Any, Any]


class Stateful(Protocol):
    """Anything whose tensors a checkpoint holds."""

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Named tensors."""

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> Any:
        """Restore them."""


class GeneratorState:
    """A torch generator as a `Stateful`."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The generator's state, uint8."""
        return {"state": self.generator.get_state().clone()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Set the generator's state."""
        self.generator.set_state(state["state"].to(torch.uint8).cpu().contiguous())


def pick_device(device: str | torch.device) -> torch.device:
    """ "auto" is the GPU if there is one.

    Raises:
        ValueError: a device that torch does not know or this machine has not.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {device!r} cannot be used here ({error}); use 'auto' or 'cpu'") from error
    return chosen


class Agent:
    """Base of the algorithms; the surface is Stable-Baselines3's.

    Args:
        env: an environment id, a Gymnasium environment or vector environment (SAME_STEP autoreset), or None with
            `spaces` for a model that only predicts.
        config: the algorithm's configuration; `overrides` replace its fields by name.
        num_envs: B, copies of the environment when `env` is an id.
        device: "auto", "cpu", "cuda", ...
        seed: of the networks' initialisation, the actions, the minibatches and the environments (seed + i).
        env_kwargs: passed to the environment when `env` is an id.
        verbose: 1 prints the log as a table, 0 nothing.
        tensorboard_log: folder of TensorBoard events.
        spaces: observation and action space, when there is no environment.

    Raises:
        ValueError: unknown environment or field, unusable device, unsupported space; TypeError for a wrong kind.
    """

    config_class: ClassVar[type[Any]]
    policy: nn.Module
    obs_norm: RunningNorm | None = None
    return_norm: ReturnNorm | None = None

    def __init__(
        self,
        env: EnvLike | None,
        config: Any = None,
        *,
        num_envs: int = 1,
        device: str | torch.device = "auto",
        seed: int = 0,
        env_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        tensorboard_log: str | None = None,
        spaces: tuple[gym.Space[Any], gym.Space[Any]] | None = None,
        **overrides: Any,
    ) -> None:
        self.config = make_config(self.config_class, config, overrides)
        self.device, self.seed, self.verbose, self.tensorboard_log = pick_device(device), seed, verbose, tensorboard_log
        self.env_id, self.env_kwargs = env if isinstance(env, str) else None, env_kwargs
        self.stepper: Stepper | None = None
        self.runner: Runner | None = None
        self.num_timesteps, self.n_updates, self.num_envs = 0, 0, num_envs
        self._logger: Logger | None = None
        self.custom_logger = False
        if env is not None:
            self.stepper = Stepper(make_env(env, num_envs, self.device, env_kwargs), self.device)
            self.num_envs = self.stepper.num_envs
            spaces = (self.stepper.observation_space, self.stepper.venv.single_action_space)
        if spaces is None:
            raise ValueError("env is None: give an environment, or spaces=(observation_space, action_space)")
        self.observation_space, self.action_space = spaces
        self.obs_size, self.spec = obs_size(spaces[0]), action_spec(spaces[1])
        self.generator = torch.Generator(self.device).manual_seed(seed)
        with torch.random.fork_rng(devices=[]):  # nn.Linear draws from the global generator
            torch.manual_seed(seed)
            self._build()

    # What an algorithm fills in -----------------------------------------------------------------------------

    def _build(self) -> None:
        """Make the networks, the optimiser and the back end from `self.config`, `obs_size` and `spec`."""
        raise NotImplementedError

    def _state(self) -> dict[str, Stateful]:
        """Everything a checkpoint must hold, by name."""
        raise NotImplementedError

    def _act(self, rows: torch.Tensor, mask: torch.Tensor | None, deterministic: bool) -> torch.Tensor:
        """Actions [B, ...] as sampled for normalised rows [B, O]."""
        raise NotImplementedError

    # Stable-Baselines3's surface --------------------------------------------------------------------------------

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Actions for one observation or a batch; normalisation is frozen, Box actions are clipped to the box.

        Args:
            observation: raw, in the environment's space; with or without a leading batch axis.
            state: passed through (no recurrent policies here).
            episode_start: unused, for the interface.
            deterministic: the distribution's mode instead of a sample.
            action_masks: allowed actions [B, A'] bool.

        Raises:
            ValueError: the observation does not fit the space, or is not finite.
        """
        batch, single = add_batch_axis(self.observation_space, observation)
        rows = flatten_obs(self.observation_space, batch, self.device)
        if not bool(torch.isfinite(rows).all()):
            raise ValueError("the observation given to predict has NaN or infinite numbers; look at the environment")
        rows = rows.float() if self.obs_norm is None else self.obs_norm.normalize(rows)
        mask = None
        if action_masks is not None:
            mask = torch.as_tensor(action_masks, device=self.device).bool().reshape(len(rows), -1)
        with torch.no_grad():
            action = self.spec.to_env(self._act(rows, mask, deterministic)).cpu().numpy()
        return (action[0] if single else action), state

    @property
    def n_envs(self) -> int:
        """Stable-Baselines3's name of `num_envs`."""
        return self.num_envs

    @property
    def venv(self) -> VectorEnv[Any, Any, Any]:
        """The vector environment.

        Raises:
            ValueError: the model has none.
        """
        if self.stepper is None:
            raise ValueError("this model has no environment; give it one with set_env(...) or load(path, env=...)")
        return self.stepper.venv

    def get_env(self) -> VecEnv | None:
        """The environment as a Stable-Baselines3 `VecEnv`, or None."""
        if self.stepper is None:
            return None
        from rlsuite.sb3 import as_vec_env

        return as_vec_env(self.stepper.venv)

    def get_vec_normalize_env(self) -> None:
        """None: normalisers belong to the model, and `predict` applies them."""

    def set_env(self, env: EnvLike) -> None:
        """Train in another environment from now on.

        Raises:
            ValueError: its spaces differ from the model's.
        """
        stepper = Stepper(make_env(env, self.num_envs, self.device, self.env_kwargs), self.device)
        for name, mine, theirs in (
            ("observation", self.observation_space, stepper.observation_space),
            ("action", self.action_space, stepper.venv.single_action_space),
        ):
            if mine != theirs:
                raise ValueError(f"the {name} space of the environment is {theirs}, the model's is {mine}; they must be equal")
        if self.return_norm is not None and stepper.num_envs != self.num_envs:
            self.return_norm.resize(stepper.num_envs)
        self.stepper, self.runner, self.num_envs = stepper, None, stepper.num_envs
        self.env_id = env if isinstance(env, str) else None

    @property
    def logger(self) -> Logger:
        """Stable-Baselines3's logger."""
        if self._logger is None:
            self._logger = configure(None, [])
        return self._logger

    def set_logger(self, logger: Logger, *, custom: bool = True) -> None:
        """Log to `logger` instead of the one that `verbose` and `tensorboard_log` choose."""
        self._logger, self.custom_logger = logger, custom

    def get_parameters(self) -> dict[str, dict[str, torch.Tensor]]:
        """Copies of all tensors of the model, by part and name."""
        return {name: {k: v.clone() for k, v in part.state_dict().items()} for name, part in self._state().items()}

    def set_parameters(self, parameters: dict[str, dict[str, torch.Tensor]], exact_match: bool = True) -> None:
        """Set what `get_parameters` gave; parts may be left out when `exact_match` is False.

        Raises:
            ValueError: unknown or (with `exact_match`) missing parts.
        """
        parts = self._state()
        unknown, missing = set(parameters) - set(parts), set(parts) - set(parameters)
        if unknown or (exact_match and missing):
            raise ValueError(f"parameters have unknown parts {sorted(unknown)} and lack {sorted(missing)}; parts are {sorted(parts)}")
        for name, state in parameters.items():
            parts[name].load_state_dict(state)

    # Running -----------------------------------------------------------------------------------------------------

    def small_network(self) -> bool:
        """Whether every layer is at most 256 wide and on the CPU: then one thread is faster than two."""
        return self.device.type == "cpu" and max(p.shape[0] for p in self.policy.parameters()) <= 256

    def forget_episodes(self) -> None:
        """Start the next `learn` from fresh episodes."""
        self.runner = None

    def start_runner(self) -> Runner:
        """The environments in the middle of their episodes; reset them if there is none yet, or restore a checkpoint's."""
        if self.runner is None:
            if self.stepper is None:
                raise ValueError("this model has no environment; give it one with set_env(...) or load(path, env=...)")
            self.runner = Runner.start(self.stepper, self.seed + self.num_timesteps, self.obs_norm, self.return_norm)
        return self.runner

    # Checkpoints -------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], *, buffers: bool = True) -> None:
        """Write a checkpoint: networks, optimiser, normalisers, generators, counters, and the environment's state where it has one.

        The file is replaced atomically; ".zip" is added when the name lacks it. `buffers=False` leaves replay
        buffers out (smaller, but `learn` then goes on with an empty one).

        Raises:
            CheckpointError: the file could not be written (disk full, say); an earlier file of that name is intact.
        """
        tensors: dict[str, Any] = {}
        for part, stateful in self._state().items():
            if part == "buffer" and not buffers:
                continue
            tensors |= {f"{part}/{name}": value.detach().clone().contiguous() for name, value in stateful.state_dict().items()}
        env_state = False
        if self.runner is not None:
            tensors |= {f"runner/{name}": value for name, value in self.runner.state_dict().items()}
            env_state_dict = getattr(self.runner.stepper.venv, "state_dict", None)
            if env_state_dict is not None:
                env_state = True
                tensors |= {f"env/{name}": value for name, value in env_state_dict().items()}
        meta = {
            "algorithm": type(self).__name__,
            "config": dataclasses.asdict(self.config),
            "observation_space": space_to_json(self.observation_space),
            "action_space": space_to_json(self.action_space),
            "env_id": self.env_id,
            "env_kwargs": self.env_kwargs,
            "env_state": env_state,
            "num_envs": self.num_envs,
            "seed": self.seed,
            "num_timesteps": self.num_timesteps,
            "n_updates": self.n_updates,
        }
        save_checkpoint(path, meta=meta, tensors=tensors)

    def export(self, path: str | os.PathLike[str], *, check: bool = True) -> Path:
        """Write what `predict` does deterministically as ONNX; see `rlsuite.core.export.export_onnx`."""
        from rlsuite.core.export import export_onnx

        return export_onnx(self, path, check=check)

    @classmethod
    def load(cls, path: str | os.PathLike[str], env: EnvLike | None = None, device: str | torch.device = "auto", **kwargs: Any) -> Self:
        """A model from a checkpoint; no code of the file is ever run.

        Given an environment that has `load_state_dict` (the MuJoCo pool, rlsuite kernels), training goes on exactly
        where it stopped; others start fresh episodes.

        Raises:
            CheckpointError: not a readable rlsuite checkpoint of this algorithm.
            ValueError: the environment's spaces differ from the checkpoint's.
        """
        return cls._from_checkpoint(load_checkpoint(path), os.fspath(path), env, device, kwargs)

    @classmethod
    def _from_checkpoint(
        cls, saved: Checkpoint, path: str, env: EnvLike | None, device: str | torch.device, kwargs: dict[str, Any]
    ) -> Self:
        meta = saved.meta
        if meta.get("algorithm") != cls.__name__:
            raise CheckpointError(f"{path} holds a {meta.get('algorithm')} model, not {cls.__name__}; use rlsuite.load(path)")
        try:
            config = config_from_json(cls.config_class, meta["config"])
            spaces = (space_from_json(meta["observation_space"]), space_from_json(meta["action_space"]))
            agent = cls(
                None, config, num_envs=meta["num_envs"], device=device, seed=meta["seed"],
                env_kwargs=meta["env_kwargs"], spaces=spaces, **kwargs,
            )  # fmt: skip
            agent.env_id = meta["env_id"]
            for part, stateful in agent._state().items():
                state = _part(saved.tensors, part)
                if state or part != "buffer":
                    stateful.load_state_dict({name: value.to(agent.device) for name, value in state.items()})
            agent.num_timesteps, agent.n_updates = meta["num_timesteps"], meta["n_updates"]
        except (KeyError, TypeError, RuntimeError) as error:
            raise CheckpointError(f"{path} lacks or garbles a part of a {cls.__name__} model ({error}); use another checkpoint") from error
        if env is not None:
            agent.set_env(env)
            agent._restore_episodes(saved)
        return agent

    def _restore_episodes(self, saved: Checkpoint) -> None:
        """Put the environments back where the checkpoint left them, if both sides can."""
        assert self.stepper is not None  # set_env came first
        load_env: Callable[[dict[str, np.ndarray]], None] | None = getattr(self.stepper.venv, "load_state_dict", None)
        runner_state = _part(saved.tensors, "runner")
        if load_env is None or not saved.meta["env_state"] or not runner_state or self.num_envs != saved.meta["num_envs"]:
            return
        self.stepper.reset(self.seed)  # builds whatever the environment builds on its first reset
        load_env({name: value.numpy() for name, value in _part(saved.tensors, "env").items()})
        self.runner = Runner.resume(self.stepper, self.obs_norm, self.return_norm, runner_state)


def _part(tensors: dict[str, torch.Tensor], part: str) -> dict[str, torch.Tensor]:
    """The tensors named "part/...", without the prefix."""
    return {name.removeprefix(f"{part}/"): value for name, value in tensors.items() if name.startswith(f"{part}/")}
