"""The small base class of every algorithm: prediction, checkpoints, and what Stable-Baselines3's callbacks touch.

It owns no mathematics. An algorithm is a subclass with two functions: `build` makes the networks and hands them over as
a `Brain` (policy, how it acts, what a checkpoint holds, normalisers), and `train` is the loop, written out:

    class Mine(Agent):
        config_class = MyConfig

        def build(self) -> Brain:
            self.parts = on_policy.build(self, self.config, my_loss, my_loss_grad)
            return self.parts.brain(self)

        def train(self, run: Session) -> None:
            runner = self.start_runner()
            while not run.done:
                rollout = run.collect(self.parts.backend, runner, self.config.n_steps, self.generator)
                if rollout is None:  # a callback asked to stop
                    return
                ...
                run.update_end(metrics, runner.stats)

Where the environment must be wrapped (a game, an attack), `_make_env` and `_spaces` say how.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv
from stable_baselines3.common.logger import Logger, configure
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from rlsuite.core import persistence, restore
from rlsuite.core.acting import act_on
from rlsuite.core.brain import Brain, Insides
from rlsuite.core.checkpoint import load_checkpoint
from rlsuite.core.collect import Runner
from rlsuite.core.config import make_config, whole_number
from rlsuite.core.copying import parts_of, rebuild
from rlsuite.core.distributions import action_spec
from rlsuite.core.evaluate import Predictor
from rlsuite.core.habits import check_arguments, take_habits, take_seed
from rlsuite.core.memory import check_memory
from rlsuite.core.normalize import ReturnNorm, RunningNorm
from rlsuite.core.rng import ACTIONS, RESETS, env_seed, own_seed
from rlsuite.core.session import OnUpdate, SB3Callback, Session, session
from rlsuite.core.spaces import obs_size, picture_pixels
from rlsuite.core.stateful import Cuttable
from rlsuite.core.surface import SB3Names
from rlsuite.core.vec_env import VectorEnvAdapter, as_vec_env
from rlsuite.core.vector import Stepper, check_one_reward, make_env

EnvLike = str | gym.Env[Any, Any] | VectorEnv[Any, Any, Any]


def pick_device(device: str | torch.device) -> torch.device:
    """The device called `device`; "auto" is the GPU if there is one.

    Raises:
        ValueError: a device that torch does not know or this machine has not.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(f"device {device!r} cannot be used here ({error}); use 'auto' or 'cpu'") from error
    return chosen


class Agent(SB3Names):
    """Base of the algorithms; the surface is Stable-Baselines3's.

    Args:
        env: an environment id, a Gymnasium environment or vector environment (SAME_STEP autoreset), or None with
            `spaces` for a model that only predicts.
        config: the algorithm's configuration; `overrides` replace its fields by name. Stable-Baselines3's words are
            taken, too: a policy's name before the environment, env=..., policy_kwargs=dict(net_arch=...).
        num_envs: B, copies of the environment when `env` is an id.
        device: "auto", "cpu", "cuda", ...
        seed: of the networks' initialisation, the actions, the minibatches and the environments, each in a random
            stream of its own. Models of different seeds share no stream. None draws one, which `seed` then names.
        env_kwargs: passed to the environment when `env` is an id.
        verbose: 1 prints the log as a table, 0 nothing.
        tensorboard_log: folder of TensorBoard events.
        spaces: observation and action space (two players: and the adversary's; many objectives: and the rewards'), when
            there is no environment.

    Raises:
        ValueError: unknown environment or field, unusable device, unsupported space; TypeError for a wrong kind.
    """

    config_class: ClassVar[type[Any]]
    stored: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("net_arch", "activation", "log_std_init", "ortho_init"), "networks"),
        **dict.fromkeys(("normalize_obs", "normalize_reward"), "normalisers"),
    }
    """Fields of the configuration that cannot be changed at load, and what of the checkpoint they shaped."""
    restarts: ClassVar[dict[str, tuple[str, ...]]] = {}
    """Fields that may be changed at load, and the parts (names in `Brain.state`) that then begin anew."""
    unbounded: ClassVar[frozenset[str]] = frozenset()
    """Tensors of a checkpoint ("part/name") that may be infinite."""
    vector_reward: ClassVar[bool] = False
    """Whether it learns from vectors of objectives; others refuse them."""
    makes_envs: ClassVar[bool] = False
    """Whether training changes the number of environments, for which it wants their id; it wraps none."""
    further_space: ClassVar[str] = "adversary's action"
    """What the third of `spaces` is of, where there are three."""
    _vec_env: VectorEnvAdapter | None = None

    def __init__(
        self,
        env: EnvLike | None = None,
        config: Any = None,
        /,
        *,
        num_envs: int = 1,
        device: str | torch.device = "auto",
        seed: int | None = 0,
        env_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        tensorboard_log: str | None = None,
        spaces: tuple[gym.Space[Any], ...] | None = None,
        **overrides: Any,
    ) -> None:
        env, config, overrides = take_habits(type(self).__name__, self.config_class, env, config, overrides)
        check_arguments(env, env_kwargs, verbose, tensorboard_log, spaces)
        self.config = make_config(self.config_class, config, overrides)
        seed, num_envs = take_seed(seed), whole_number("num_envs", num_envs, least=1, most=restore.MOST_ENVS)
        self.device, self.seed = pick_device(device), seed
        self.verbose, self.tensorboard_log = verbose, tensorboard_log
        self.env_id, self.env_kwargs = env if isinstance(env, str) else None, env_kwargs
        self.stepper: Stepper | None = None
        self.runner: Runner | None = None
        self.num_timesteps, self.n_updates, self.num_envs = 0, 0, num_envs
        self.starts = 0  # how often the environments have begun anew: each time in a random stream of its own
        self._logger: Logger | None = None
        self.custom_logger = False
        if env is not None:
            self.stepper = Stepper(self._make_env(env), self.device, vector_reward=self.vector_reward)
            self.num_envs = self.stepper.num_envs
            spaces = self._spaces(self.stepper.venv)
        if spaces is None:
            raise ValueError("env is None: give an environment, or spaces=(observation_space, action_space)")
        self.spaces = spaces
        self.observation_space, self.action_space = spaces[:2]
        self.obs_size, self.spec = obs_size(spaces[0]), action_spec(spaces[1])
        check_memory(self.config, self.obs_size, self.num_envs, self.device)
        if pixels := picture_pixels(spaces[0]):
            warnings.warn(
                f"observations have {pixels:,} pixels: they are scaled to [0, 1] and go through a multi-layer "
                "perceptron, as there are no convolutional networks yet; small pictures learn well, large ones slowly",
                stacklevel=2,
            )
        # not the seed itself, which the environment's kernel begins with
        self.generator = torch.Generator(self.device).manual_seed(own_seed(seed, ACTIONS))
        with torch.random.fork_rng(devices=[]):  # nn.Linear draws from the global generator
            torch.manual_seed(seed)
            self.brain = self.build()
        self._built = True

    # What an algorithm fills in -----------------------------------------------------------------------------

    def build(self) -> Brain:
        """Make networks, optimisers and back end from `self.config`, `obs_size` and `spec`; called once."""
        raise NotImplementedError

    def train(self, run: Session) -> None:
        """Learn until `run.done`, or a callback asks to stop: the algorithm's loop."""
        raise NotImplementedError

    def _make_env(self, env: EnvLike) -> VectorEnv[Any, Any, Any]:
        """The vector environment to train in; what pays objectives is refused before a wrapper can hide them."""
        made = make_env(env, self.num_envs, self.device, self.env_kwargs)
        if not self.vector_reward:
            check_one_reward(made)
        return made

    def _spaces(self, venv: VectorEnv[Any, Any, Any]) -> tuple[gym.Space[Any], ...]:
        """The spaces that the model is built for: observation, action, then those of further players."""
        return venv.single_observation_space, venv.single_action_space

    def _resize(self, num_envs: int) -> None:
        if self.brain.check_envs is not None:
            self.brain.check_envs(num_envs)
        for part in self.brain.state().values():
            resize = getattr(part, "resize", None)
            if resize is not None:
                resize(num_envs)

    # What the brain says ----------------------------------------------------------------------------------------

    @property
    def policy(self) -> nn.Module:
        """The network that acts."""
        return self.brain.policy

    @property
    def obs_norm(self) -> RunningNorm | None:
        """Normaliser of observations, or None."""
        return self.brain.obs_norm

    @property
    def return_norm(self) -> ReturnNorm | None:
        """Normaliser of the rewards that are learned from, or None."""
        return self.brain.return_norm

    @property
    def insides(self) -> Insides | None:
        """The policy's networks as attacks and certificates read them, or None."""
        return self.brain.insides

    def members(self) -> Sequence[Predictor]:
        """The policies found so far, of an algorithm that finds a set of them; else this model alone."""
        return [self] if self.brain.members is None else self.brain.members()

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
            action_masks: allowed actions [B, A'] bool, or [A'] for one observation: n of Discrete, the sum of nvec of
                MultiDiscrete, 2 n of MultiBinary (may it be 0, may it be 1, per bit).

        Returns:
            Actions in the action space's shape and dtype, and `state`.

        Raises:
            ValueError: the observation does not fit the space, is not finite or too large for float32; or the mask
                has another shape or dtype, or allows nothing in a row.
        """
        return self._acting(self.brain, observation, deterministic, action_masks), state

    def _acting(self, brain: Brain, observation: Any, deterministic: bool, action_masks: Any = None) -> np.ndarray:
        return act_on(brain, self.observation_space, self.spec, self.device, observation, deterministic, action_masks)

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
        return self._required().venv

    def _required(self) -> Stepper:
        if self.stepper is None:
            raise ValueError("this model has no environment; give it one with set_env(...) or load(path, env=...)")
        return self.stepper

    def get_env(self) -> VecEnv | None:
        """The environment as a Stable-Baselines3 `VecEnv`, or None."""
        if self.stepper is None:
            return None
        if self._vec_env is None or self._vec_env.vector_env is not self.stepper.venv:
            self._vec_env = as_vec_env(self.stepper.venv)
        return self._vec_env

    def get_vec_normalize_env(self) -> None:
        """None: normalisers belong to the model, and `predict` applies them."""

    def set_env(self, env: EnvLike, *, num_envs: int | None = None, env_kwargs: dict[str, Any] | None = None) -> None:
        """Train in another environment from now on.

        Args:
            env: an id, or an environment or vector environment, whose number of copies then counts.
            num_envs: copies of an id; None is as many as before.
            env_kwargs: constants of an id; None keeps those that the model has for the same id.

        Raises:
            ValueError: its spaces differ from the model's, or it has not `num_envs` copies.
        """
        before = self.num_envs, self.env_kwargs
        try:
            # one environment object is one copy, as a vector environment of two is two
            self.num_envs = 1 if isinstance(env, gym.Env) else num_envs or self.num_envs
            if isinstance(env, str) and env_kwargs is None and _bare(env) != _bare(self.env_id or env):
                self.env_kwargs = None
            elif env_kwargs is not None:
                self.env_kwargs = env_kwargs
            stepper = Stepper(self._make_env(env), self.device, vector_reward=self.vector_reward)
            chosen = self.env_kwargs
        finally:
            self.num_envs, self.env_kwargs = before
        if num_envs is not None and stepper.num_envs != num_envs:
            raise ValueError(
                f"num_envs={num_envs}, but the environment given has {stepper.num_envs} copies; leave num_envs out, or "
                "give the environment's id"
            )
        names = ("observation", "action", self.further_space)
        for name, mine, theirs in zip(names, self.spaces, self._spaces(stepper.venv), strict=False):
            if mine != theirs:
                raise ValueError(
                    f"the {name} space of the environment is {theirs}, the model's is {mine}; they must be equal"
                )
        if stepper.num_envs != self.num_envs:
            self._resize(stepper.num_envs)
        self.stepper, self.runner, self.num_envs = stepper, None, stepper.num_envs
        self.env_id, self.env_kwargs = env if isinstance(env, str) else None, chosen

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
        return {name: {k: v.clone() for k, v in part.state_dict().items()} for name, part in self.brain.state().items()}

    def set_parameters(self, parameters: dict[str, dict[str, torch.Tensor]], exact_match: bool = True) -> None:
        """Set what `get_parameters` gave; parts may be left out when `exact_match` is False.

        Raises:
            ValueError: unknown or (with `exact_match`) missing parts.
        """
        parts = self.brain.state()
        unknown, missing = set(parameters) - set(parts), set(parts) - set(parameters)
        if unknown or (exact_match and missing):
            raise ValueError(
                f"parameters have unknown parts {sorted(unknown)} and lack {sorted(missing)}; parts are {sorted(parts)}"
            )
        for name, state in parameters.items():
            parts[name].load_state_dict(state)

    # Running -----------------------------------------------------------------------------------------------------

    def learn(
        self,
        total_timesteps: int,
        callback: SB3Callback = None,
        log_interval: int | None = 1,
        tb_log_name: str | None = None,
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
        on_update: OnUpdate | None = None,
        **unknown: Any,
    ) -> Self:
        """Train for at least `total_timesteps` environment steps, rounded up to whole updates.

        Args:
            total_timesteps: steps over all environments together, of both sides in a game; at least 1.
            callback: Stable-Baselines3 callback, list of them, or function.
            log_interval: updates between two log lines; None logs nothing.
            tb_log_name: name of the TensorBoard run; None is the algorithm's.
            reset_num_timesteps: False goes on where the model or its checkpoint stopped.
            progress_bar: show one.
            on_update: called with the model after every update. What an update is the algorithm says: a rollout and its
                epochs, an iteration of both players, or about 1000 steps of off-policy learning.
            unknown: refused by name.

        Raises:
            ValueError: the model has no environment, or one that the algorithm cannot learn in.
            FloatingPointError: NaN or infinity in observations, rewards, losses or weights.
            TypeError: an argument that is none of these.
        """
        for word in unknown:
            remedy = "; evaluate with callback=EvalCallback(eval_env, ...)" if "eval" in word else ""
            raise TypeError(f"{type(self).__name__}.learn has no argument {word!r}{remedy}")
        self._required()
        name = type(self).__name__ if tb_log_name is None else tb_log_name
        hooks = (callback, log_interval, name, reset_num_timesteps, progress_bar, on_update)
        with session(self, total_timesteps, *hooks) as run:
            self.train(run)
        return self

    def small_network(self) -> bool:
        """Whether every layer is at most 256 wide and on the CPU: then one thread is faster than two."""
        return self.device.type == "cpu" and max(p.shape[0] for p in self.policy.parameters()) <= 256

    def forget_episodes(self) -> None:
        """Start the next `learn` from fresh episodes."""
        self.runner = None

    def start_runner(self) -> Runner:
        """The environments in the middle of their episodes; fresh ones if there are none yet."""
        if self.runner is None:
            stepper = self._required()
            for part in self.brain.state().values():
                if isinstance(part, Cuttable):
                    part.cut()
            self.starts += 1
            seed = env_seed(self.seed, RESETS, self.starts)
            self.runner = Runner.start(stepper, seed, self.obs_norm, self.return_norm)
        return self.runner

    # Checkpoints -------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], *, buffers: bool = True) -> None:
        """Write a checkpoint: networks, optimiser, normalisers, generators, counters, the environment's state.

        The file is replaced atomically; ".zip" is added when the name lacks it. `buffers=False` leaves replay
        buffers out (smaller, but `learn` then goes on with an empty one).

        Raises:
            CheckpointError: the file could not be written (disk full, say); an earlier file of that name is intact.
        """
        persistence.write(self, path, buffers=buffers)

    def export(self, path: str | os.PathLike[str], *, check: bool = True) -> Path:
        """Write what `predict` does deterministically as ONNX; see `rlsuite.core.export.export_onnx`."""
        from rlsuite.core.export import export_onnx

        return export_onnx(self, path, check=check)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        env: EnvLike | None = None,
        device: str | torch.device = "auto",
        *,
        verify: bool = True,
        **kwargs: Any,
    ) -> Self:
        """A model from a checkpoint; no code of the file is ever run, no module that it names is imported.

        Given an environment that has `load_state_dict` (the MuJoCo pool, rlsuite kernels), training goes on exactly
        where it stopped; others start fresh episodes.

        Args:
            path: the checkpoint.
            env: to train on in: an id, an environment or a vector environment. None makes a model that predicts.
            device: "auto", "cpu", "cuda", ...
            verify: compare the file with its checksums; False reads one that was edited on purpose.
            kwargs: `seed` (begins other random streams and fresh episodes), `num_envs` and `env_kwargs` (of an id),
                `verbose`, `tensorboard_log`, and `config` or fields of it. A field takes effect, or is refused by
                name where it shaped what the checkpoint holds (`net_arch`, `normalize_obs`, ...).

        Raises:
            CheckpointError: not a readable rlsuite checkpoint of this algorithm.
            ValueError: an argument that cannot be used here; the environment's spaces differ from the checkpoint's.
        """
        agent: Self = restore.read(cls, load_checkpoint(path, verify=verify), env, pick_device(device), **kwargs)
        return agent

    def __reduce__(self) -> tuple[Any, ...]:
        """How `copy.deepcopy` and `pickle` rebuild the agent; see `rlsuite.core.copying`.

        Raises:
            TypeError: the environment is an object that this algorithm plays in through wrappers of its own.
        """
        env: Any = self.env_id
        if env is None and self.stepper is not None:
            if type(self)._make_env is not Agent._make_env and not self.makes_envs:
                raise TypeError(
                    f"a {type(self).__name__} in an environment object cannot be copied; make it with an environment's "
                    f"id, or use save(path) and {type(self).__name__}.load(path, env=...)"
                )
            env = self.stepper.venv
        return rebuild, parts_of(self, env)


def _bare(env_id: str) -> str:
    """An environment's id without the namespace of rlsuite: rlsuite/HalfCheetah-v5 gives HalfCheetah-v5."""
    return env_id.removeprefix("rlsuite/")
