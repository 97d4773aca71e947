"""Rlsuite agents and Stable-Baselines3 baselines behind one face: make, continue, train, save, evaluate."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import gymnasium as gym
import torch
from stable_baselines3.common.logger import Logger

import rlsuite
from rlsuite.core.evaluate import Evaluation, evaluate
from rlsuite.core.two_player import make_one_player
from rlsuite.core.vector import count_objectives
from rlsuite.sb3 import Predictor
from rlsuite_envs.make import find_spec, make_vector_env
from rlsuite_envs.mo_gymnasium_ids import MO_GYMNASIUM_IDS
from rlsuite_envs.mujoco_ids import MO_MUJOCO_IDS, MUJOCO_IDS
from rlsuite_zoo.errors import UsageError, unknown
from rlsuite_zoo.imports import import_typed
from rlsuite_zoo.runs.folder import RunFolder, RunSpec
from rlsuite_zoo.runs.recipe import build_config

EVAL_SEED = 1_000_003
"""Added to the run's seed, so that evaluation episodes are none of the training's."""


class Model(Protocol):
    """A learner as a run uses it."""

    @property
    def num_timesteps(self) -> int:
        """Environment steps so far."""

    def train(self, steps: int, logger: Logger, on_update: Callable[[int], None]) -> None:
        """Learn until `steps` environment steps in all; `on_update(steps so far)` after every update."""

    def save(self, path: Path) -> None:
        """Write the model atomically."""

    def policy(self) -> Predictor:
        """The policy, which acts on raw observations."""

    def close(self) -> None:
        """Release the environments."""


class AgentModel:
    """An agent of rlsuite."""

    def __init__(self, spec: RunSpec, threads: int, checkpoint: Path | None) -> None:
        cls: Any = rlsuite.algorithm(spec.algo)
        config = build_config(cls.config_class, spec.config)
        device = "cuda" if spec.device == "auto" and torch.cuda.is_available() else spec.device
        device = "cpu" if device == "auto" else device
        env_kwargs = dict(spec.env_kwargs)
        if cls.makes_envs:
            given = {"env_kwargs": env_kwargs, "device": device}
            if checkpoint is None:
                self.agent = cls(spec.env, config, num_envs=spec.num_envs, seed=spec.seed, **given)
            else:
                self.agent = cls.load(checkpoint, env=spec.env, **given)
            return
        try:
            env = make_vector_env(spec.env, spec.num_envs, device=device, num_threads=threads, env_kwargs=env_kwargs)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{spec.env} cannot be made: {error}") from error
        if checkpoint is None:
            self.agent = cls(env, config, device=device, seed=spec.seed)
        else:
            self.agent = cls.load(checkpoint, env=env, device=device)
        # The id stays in the checkpoint, so that it can be trained on without the run folder.
        self.agent.env_id = spec.env
        self.agent.env_kwargs = dict(spec.env_kwargs) or None

    @property
    def num_timesteps(self) -> int:
        """Environment steps so far."""
        return self.agent.num_timesteps

    def train(self, steps: int, logger: Logger, on_update: Callable[[int], None]) -> None:
        """Learn until `steps` environment steps in all."""
        self.agent.set_logger(logger)
        remaining = steps - self.agent.num_timesteps
        if remaining > 0:
            self.agent.learn(
                remaining, reset_num_timesteps=False, on_update=lambda agent: on_update(agent.num_timesteps)
            )

    def save(self, path: Path) -> None:
        """Write a checkpoint, atomically."""
        self.agent.save(path)

    def policy(self) -> Predictor:
        """The agent itself."""
        return self.agent

    def close(self) -> None:
        """Close the environments."""
        self.agent.venv.close()


def check_algorithm(name: str) -> None:
    """Raise unless the algorithm exists.

    Raises:
        UsageError: names the nearest.
    """
    from rlsuite_zoo.runs.baselines import BASELINES

    known = [*rlsuite.ALGORITHMS, *BASELINES]
    if name not in known:
        raise unknown("algorithm", name, known)


def check_env(env: str) -> None:
    """Raise unless an environment that the user typed is registered (`module:Id-v0` imports the module first).

    Raises:
        UsageError: no such module, or an unknown id; names the nearest.
    """
    own = import_typed(env)
    try:
        find_spec(own)
    except ValueError as error:
        if own in MO_GYMNASIUM_IDS:
            raise UsageError(str(error)) from error
        known = list(gym.registry)
        bare = {name.removeprefix("rlsuite/") for name in known}
        raise unknown("environment", env, {*known, *bare}, "`rlsuite list envs` shows them") from error


def resumes_exactly(env: str) -> bool:
    """Whether training on an environment can go on in the middle of its episodes: the MuJoCo pool's, and kernels."""
    if env.removeprefix("rlsuite/") in (*MUJOCO_IDS, *MO_MUJOCO_IDS):
        return True
    found = gym.registry.get(env)
    return env.startswith("rlsuite/") and found is not None and found.vector_entry_point is not None


def check_device(device: str) -> None:
    """Raise unless torch can use the device here.

    Raises:
        UsageError: names the remedy.
    """
    if device == "auto":
        return
    try:
        torch.empty(0, device=torch.device(device))
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"--device {device} cannot be used here ({reason}); use auto or cpu") from error


def quiet_mujoco(env: str) -> None:
    """Keep MuJoCo's notes about Gymnasium's models off the progress bar, and out of a MUJOCO_LOG.TXT here.

    Other warnings of the simulator go through `logging`.
    """
    if "mujoco" not in str(find_spec(env).entry_point):
        return
    import mujoco

    def warn(message: str) -> None:
        if "deprecated" not in message:
            logging.getLogger("mujoco").warning(message)

    mujoco.set_mju_user_warning(warn)


def resolve_config(algo: str, values: dict[str, Any]) -> dict[str, Any]:
    """Every hyper-parameter of the algorithm, `values` over its defaults.

    Raises:
        UsageError: unknown keys or bad values.
    """
    if algo.startswith("sb3:"):
        from rlsuite_zoo.runs.baselines import check_settings

        return check_settings(algo, values)
    return dataclasses.asdict(build_config(rlsuite.algorithm(algo).config_class, values))


def make_model(spec: RunSpec, *, threads: int = 0, checkpoint: Path | None = None) -> Model:
    """The run's learner, fresh or from a checkpoint.

    Args:
        spec: the run.
        threads: of the environment's engine; 0 for all cores.
        checkpoint: to go on from.
    """
    quiet_mujoco(spec.env)
    if spec.algo.startswith("sb3:"):
        from rlsuite_zoo.runs.baselines import BaselineModel

        return BaselineModel(spec, checkpoint)
    return AgentModel(spec, threads, checkpoint)


def load_policy(folder: RunFolder, checkpoint: Path) -> Predictor:
    """The trained policy of a run, on the CPU.

    Raises:
        UsageError: there is no checkpoint yet.
    """
    if not checkpoint.exists():
        raise UsageError(f"{folder.path} has no {checkpoint.name} yet; train it with --resume {folder.path}")
    spec = folder.spec()
    if spec.algo.startswith("sb3:"):
        return make_model(RunSpec(**{**vars(spec), "num_envs": 1, "device": "cpu"}), checkpoint=checkpoint).policy()
    return rlsuite.algorithm(spec.algo).load(checkpoint, device="cpu")


def player_for(policy: Predictor, weights: Sequence[float], named: object) -> tuple[Predictor, str]:
    """The policy that plays for weights of the objectives, and a word on it: a set's member, or the policy itself.

    Args:
        policy: one, or a set of them.
        weights: of the objectives; none for equal ones.
        named: what to call the policy in errors.

    Raises:
        UsageError: weights of another number than the set's objectives, or for a policy that is no set.
    """
    members: Any = policy
    if not hasattr(members, "preferring"):
        if weights:
            raise UsageError(
                f"--weights {','.join(f'{w:g}' for w in weights)}: {named} is one policy, which no weights change; "
                "leave --weights out"
            )
        return policy, ""
    count = members.objectives
    if weights and len(weights) != count:
        raise UsageError(f"--weights has {len(weights)} numbers, but {named} has {count} objectives; give one for each")
    chosen = tuple(weights) or (1 / count,) * count
    member = members.preferring(chosen)
    words = f"weights {', '.join(f'{w:.3g}' for w in chosen)}" if weights else "equal weights"
    return member, f"{member.name} (of {len(members.members())}) for {words}"


def check_one_objective(folders: Iterable[RunFolder], command: str) -> None:
    """Raise if a run holds a set of policies for several objectives, where a command needs one policy and its return.

    Raises:
        UsageError: names the commands that take a set.
    """
    for folder in folders:
        algo = folder.spec().algo
        if not algo.startswith("sb3:") and getattr(rlsuite.algorithm(algo), "vector_reward", False):
            raise UsageError(
                f"{folder.path} is a run of {algo}, a set of policies for several objectives; `rlsuite {command}` "
                "takes one policy with one return. `rlsuite front` compares them, `rlsuite evaluate --weights` plays "
                "one, and in Python model.preferring(weights) is one"
            )


def evaluate_policy(policy: Predictor, spec: RunSpec, episodes: int, **options: Any) -> Evaluation:
    """Returns of whole episodes, undiscounted and unscaled, on environments of their own.

    Args:
        policy: acts on raw observations.
        spec: names the environment; its seed plus `EVAL_SEED` seeds the episodes unless `seed` is given.
        episodes: how many.
        options: of `rlsuite.core.evaluate.evaluate`; weights of several objectives are equal unless given.
    """
    options.setdefault("seed", spec.seed + EVAL_SEED)
    quiet_mujoco(spec.env)
    env = make_one_player(spec.env, min(episodes, 10), spec.env_kwargs)
    if (objectives := count_objectives(env)) is not None:
        options.setdefault("weights", (1 / objectives,) * objectives)
    try:
        return evaluate(policy, env, episodes=episodes, **options)
    finally:
        env.close()
