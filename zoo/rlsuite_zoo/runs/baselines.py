"""Stable-Baselines3 baselines through the zoo's commands: `rlsuite train sb3:ppo ...`.

They run as their users run them: SB3's own environments (`make_vec_env`), loop and networks, one torch
thread. `normalize=true` wraps them in `VecNormalize`. Settings are the constructor's arguments;
`learning_rate` and `clip_range` may be schedules ("linear:3e-4"), `policy_kwargs.activation_fn` a word
("relu"), and `noise_std` is the exploration noise of TD3.

A checkpoint is SB3's zip with one more member, `rlsuite.json`: steps done and normaliser statistics. It is
read without unpickling. Resuming a baseline is not exact: SB3 saves neither random states nor environments,
and off-policy ones start again with an empty replay buffer.
"""

from __future__ import annotations

import inspect
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import stable_baselines3
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnvWrapper, VecNormalize
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from rlsuite.core.config import nearest
from rlsuite.core.guard import check_tree
from rlsuite.core.networks import ACTIVATIONS
from rlsuite.core.rng import RESETS, env_seed
from rlsuite.core.schedules import parse_schedule
from rlsuite.sb3 import SB3Policy, as_policy, load_parameters
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.runs.folder import RunSpec
from rlsuite_zoo.runs.schema import BASELINE_NAMES

BASELINES: dict[str, type[BaseAlgorithm]] = {
    name: getattr(stable_baselines3, name.removeprefix("sb3:").upper()) for name in BASELINE_NAMES
}
OURS = ("normalize", "noise_std")
FIXED = ("env", "seed", "device", "verbose", "tensorboard_log", "_init_setup_model", "self")


def check_settings(algo: str, values: dict[str, Any]) -> dict[str, Any]:
    """The settings as given, once every key is known to the constructor.

    Raises:
        UsageError: an unknown key (names the nearest), or one that the command line sets.
    """
    known = [name for name in inspect.signature(BASELINES[algo]).parameters if name not in FIXED]
    for key in values:
        if key in FIXED:
            raise UsageError(f"{key} cannot be set for {algo} here; the run's own options decide it")
        if key not in known and key not in OURS:
            raise UsageError(f"{algo} has no key {key!r}: {nearest(key, [*known, *OURS])}")
    activation = (values.get("policy_kwargs") or {}).get("activation_fn", "tanh")
    if activation not in ACTIVATIONS:
        raise UsageError(f"activation_fn is {activation!r}; choose one of {', '.join(ACTIVATIONS)}")
    return dict(values)


class _Checked(VecEnvWrapper):
    """SB3's environments; the first action, reward or observation that is not finite is named instead of passed on."""

    steps = 0

    def _look(self, **parts: Any) -> None:
        for what, value in parts.items():
            check_tree(what, value, self.steps)

    def reset(self) -> VecEnvObs:
        """First observations [B, ...]."""
        obs = self.venv.reset()
        self._look(observation=obs)
        return obs

    def step_async(self, actions: np.ndarray) -> None:
        """Begin a step with actions [B, ...]."""
        self.steps += 1
        self._look(action=actions)
        self.venv.step_async(actions)

    def step_wait(self) -> VecEnvStepReturn:
        """What the step gave."""
        obs, reward, done, infos = self.venv.step_wait()
        self._look(reward=reward)
        for i in np.flatnonzero(done).tolist():
            check_tree("last observation", infos[i].get("terminal_observation"), self.steps, env=i)
        self._look(observation=obs)
        return obs, reward, done, infos


class BaselineModel:
    """A Stable-Baselines3 algorithm with the environments it trains in."""

    def __init__(self, spec: RunSpec, checkpoint: Path | None) -> None:
        cls, settings = BASELINES[spec.algo], dict(spec.config)
        torch.set_num_threads(1)  # its small networks are several times slower with more
        env: Any = _Checked(make_vec_env(spec.env, spec.num_envs, seed=spec.seed, env_kwargs=dict(spec.env_kwargs)))
        if settings.pop("normalize", False):
            env = VecNormalize(env, gamma=settings.get("gamma", 0.99))
        self.env = env
        settings["policy"] = settings.get("policy", "MlpPolicy")
        try:
            arguments = _arguments(settings, env)
            self.model = cls(env=env, seed=spec.seed, device=spec.device, verbose=0, **arguments)
        except (TypeError, ValueError, AssertionError) as error:
            raise UsageError(f"{spec.algo} on {spec.env}: {error}") from error
        if checkpoint is not None:
            self._restore(checkpoint)
        # SB3 gave them the run's own seed, counted up: see env_seed. A run that goes on must not begin it again.
        env.seed(env_seed(spec.seed, RESETS, 1 + self.model.num_timesteps))

    @property
    def num_timesteps(self) -> int:
        """Environment steps so far."""
        return self.model.num_timesteps

    def train(self, steps: int, logger: Logger, on_update: Callable[[int], None]) -> None:
        """Learn until `steps` environment steps in all."""
        self.model.set_logger(logger)
        if steps > self.model.num_timesteps:
            remaining = steps - self.model.num_timesteps
            self.model.learn(remaining, callback=_Boundary(on_update), reset_num_timesteps=False)

    def save(self, path: Path) -> None:
        """Write SB3's zip with the member rlsuite.json, atomically."""
        temporary = path.with_name(f".{os.getpid()}.{path.name}")
        self.model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr("rlsuite.json", json.dumps(self._extra()))
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)

    def _extra(self) -> dict[str, Any]:
        extra: dict[str, Any] = {"num_timesteps": self.model.num_timesteps}
        if isinstance(self.env, VecNormalize):
            if not isinstance(self.env.obs_rms, RunningMeanStd):
                raise UsageError("normalize=true supports Box observations only; leave it out for Dict observations")
            for name, rms in (("obs", self.env.obs_rms), ("return", self.env.ret_rms)):
                statistics = {"mean": rms.mean.tolist(), "var": rms.var.tolist(), "count": float(rms.count)}
                extra[name] = statistics
        return extra

    def _restore(self, checkpoint: Path) -> None:
        load_parameters(checkpoint, self.model)
        with zipfile.ZipFile(checkpoint) as archive:
            if "rlsuite.json" not in archive.namelist():
                raise UsageError(f"{checkpoint} was not written by `rlsuite train`; it lacks rlsuite.json")
            extra = json.loads(archive.read("rlsuite.json"))
        self.model.num_timesteps = int(extra["num_timesteps"])
        if isinstance(self.env, VecNormalize):
            for name, rms in (("obs", self.env.obs_rms), ("return", self.env.ret_rms)):
                assert isinstance(rms, RunningMeanStd)  # _extra refused others
                rms.mean = np.asarray(extra[name]["mean"])
                rms.var = np.asarray(extra[name]["var"])
                rms.count = extra[name]["count"]

    def policy(self) -> SB3Policy:
        """The model on raw observations, its normaliser frozen."""
        return as_policy(self.model)

    def close(self) -> None:
        """Close the environments."""
        self.env.close()


def _arguments(settings: dict[str, Any], env: Any) -> dict[str, Any]:
    """Constructor arguments from plain data."""
    arguments = dict(settings)
    for key in ("learning_rate", "clip_range"):
        if isinstance(arguments.get(key), str):
            arguments[key] = parse_schedule(arguments[key])
    if isinstance(arguments.get("train_freq"), list):
        arguments["train_freq"] = tuple(arguments["train_freq"])
    if "policy_kwargs" in arguments:
        arguments["policy_kwargs"] = dict(arguments["policy_kwargs"])
        if "activation_fn" in arguments["policy_kwargs"]:
            arguments["policy_kwargs"]["activation_fn"] = ACTIVATIONS[arguments["policy_kwargs"]["activation_fn"]]
    if (std := arguments.pop("noise_std", None)) is not None:
        size = env.action_space.shape[-1]
        arguments["action_noise"] = NormalActionNoise(np.zeros(size), np.full(size, float(std)))
    return arguments


class _Boundary(BaseCallback):
    """Calls the recorder between an update and the next rollout."""

    def __init__(self, on_update: Callable[[int], None]) -> None:
        super().__init__()
        self.on_update = on_update

    def _on_rollout_start(self) -> None:
        if self.model.num_timesteps:
            self.on_update(self.model.num_timesteps)

    def _on_step(self) -> bool:
        return True
