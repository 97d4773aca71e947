"""Adversarial cheap talk (Lu, Willi, Letcher, Foerster, ICML 2023, arXiv 2211.11030): words that harm, help or steer.

A victim that learns by PPO observes [s, f(s)]: its state, and a message about it that is a deterministic function of
that state. f can hide and change nothing, and is fixed while the victim learns. Yet the choice of f decides how well a
network learns. f's parameters phi are evolved over whole trainings of fresh victims:

    harm:    max_phi E_seed[ -return of the victim trained under f_phi ]                           (algorithm 1, "ANTI")
    help:    max_phi E_seed[ +return of the victim trained under f_phi ]                           (algorithm 1, "PRO")
    control: max_{phi, psi} E_seed,goal[ goal return of that victim, frozen, told g_psi(s, goal) ]        (algorithm 2)

One generation: OpenES (`evolution`) proposes P parameter vectors, `victims` trains P R victims at once with common
random numbers, and the mean of OpenES steps towards the better vectors. The return is that of the last rollout
(`end_only`, as in the release's command), or the mean over the training.
What differs from the release, and why: messages are the static network of the formal setting (the release's train-time
command uses a recurrent one, which is no function of the state); populations are sized for a CPU (the experiments' are
1024 for CartPole, 768 for the pendulum, 128 for the reacher; 2049 generations); g lacks a PPO network's value head,
which it never used; `victims` and `control` name more. MinAtar's Breakout is no kernel and has no preset.

Expected: with two entries networks differ less than seeds do (standard deviations of 3 and 18 in a CartPole victim's
mean return over 8 updates). With eight, ten generations of 64 lower it from random networks' 83 [80, 87] to 72
[68, 76], a setting chosen on some of the same victims; random messages harm, too, so help is mostly a way back.
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from stable_baselines3.common.logger import Logger, configure
from stable_baselines3.common.utils import configure_logger
from threadpoolctl import threadpool_limits
from torch import Tensor
from tqdm import tqdm

from rlsuite.adversarial.cheap_talk.control import Controller, control_returns
from rlsuite.adversarial.cheap_talk.evolution import OpenES, OpenESConfig
from rlsuite.adversarial.cheap_talk.speech import Speech, say
from rlsuite.adversarial.cheap_talk.victim_ppo import VictimConfig
from rlsuite.adversarial.cheap_talk.victims import VICTIMS, Victims, derived_seeds
from rlsuite.core.agent import pick_device
from rlsuite.core.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from rlsuite.core.config import check_choices, check_range, config_from_json, make_config, whole_number
from rlsuite.core.restore import refuse_stored
from rlsuite.core.rng import MOVED, own_seed
from rlsuite_envs.checks import check_integer

__all__ = ["ACT", "ACTConfig"]


@dataclass(frozen=True)
class ACTConfig(OpenESConfig):
    """Hyper-parameters of the adversary: those of `OpenESConfig`, and what is evolved for what.

    Raises:
        ValueError: a value out of range; the message names the field, its value and the range.
    """

    objective: str = "harm"
    """harm, help or control."""
    population: int = 64
    """P, candidates per generation; even, at least 2."""
    num_seeds: int | None = None
    """R, victims per candidate, >= 1; None takes the experiments' 1, and 4 for control."""
    end_only: bool = True
    """Judge harm and help by the last rollout's return; False by the mean over all rollouts."""
    message_dim: int = 2
    """M, entries of a message, >= 1."""
    message_scale: float | None = None
    """Messages lie in [-scale, scale], > 0; None takes the experiments' 2 pi, and pi for control."""
    message_hidden: tuple[int, ...] = (64, 64)
    """Units of f's hidden layers (ReLU)."""
    steering_hidden: tuple[int, ...] | None = None
    """Units of g's hidden layers; None builds g like the victims' net, as the experiments do: needs many candidates."""
    episodes: int = 64
    """B, episodes by which a victim's control is judged, >= 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self, objective=("harm", "help", "control"))
        check_range(self, message_scale=(1e-9, 1e6))
        for name in ("population", "message_dim", "episodes"):
            check_integer(self, name, 1)
        if self.num_seeds is not None:
            check_integer(self, "num_seeds", 1)
        if self.population % 2:
            raise ValueError(f"ACTConfig.population is {self.population}; it must be even (antithetic pairs)")

    @property
    def controls(self) -> bool:
        """Whether a second network steers the trained victim."""
        return self.objective == "control"

    @property
    def seeds_each(self) -> int:
        """R, with the default filled in."""
        return self.num_seeds or (4 if self.controls else 1)

    @property
    def scale(self) -> float:
        """The message scale, with the default filled in."""
        return self.message_scale or (math.pi if self.controls else 2 * math.pi)


class ACT:
    """The adversary of cheap talk.

    Args:
        env: "CartPole", "Pendulum" or "Reacher" (with the experiments' victims), or the id of another kernel whose
            randomness is in its start states ("rlsuite/Acrobot-v1"; harm and help only).
        config: hyper-parameters; `overrides` replace its fields by name.
        victim: hyper-parameters of the victims; None takes the experiments', or CartPole's for other kernels.
        env_kwargs: constants of the environment.
        device: "auto", "cpu", "cuda", ...
        seed: of the candidates and the victims, >= 0.
        verbose: 1 prints the log as a table, 0 nothing.
        tensorboard_log: folder of TensorBoard events.

    Attributes:
        generation: generations done.
        metrics: of the last one.

    Raises:
        ValueError: unknown environment or field, a value out of range, or an environment that does not fit.

    Example:
        >>> act = ACT("CartPole", objective="harm", population=4, victim=VictimConfig(n_updates=2)).learn(1)
        >>> env = gym.make("rlsuite/CheapTalk-CartPole-v0", **act.talk_kwargs())
    """

    stored: ClassVar[dict[str, str]] = dict.fromkeys(
        ("objective", "message_dim", "message_scale", "message_hidden", "steering_hidden"), "networks"
    )
    """Fields of the configuration that cannot be changed at load: the networks were built with them."""

    def __init__(
        self,
        env: str = "CartPole",
        config: ACTConfig | None = None,
        *,
        victim: VictimConfig | None = None,
        env_kwargs: dict[str, Any] | None = None,
        device: str | torch.device = "auto",
        seed: int = 0,
        verbose: int = 0,
        tensorboard_log: str | None = None,
        **overrides: Any,
    ) -> None:
        self.config: ACTConfig = make_config(ACTConfig, config, overrides)
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ValueError(f"seed={seed!r} must be an integer of at least 0")
        self.env, self.env_kwargs, self.seed = env, dict(env_kwargs or {}), seed
        self.verbose, self.tensorboard_log, self.device = verbose, tensorboard_log, pick_device(device)
        self.victim = VICTIMS.get(env, VictimConfig()) if victim is None else victim
        self.speech = Speech(
            env,
            self.env_kwargs,
            message_dim=self.config.message_dim,
            scale=self.config.scale,
            hidden=self.config.message_hidden,
            steer=self.config.controls,
            victim=self.victim,
            device=self.device,
            steering_hidden=self.config.steering_hidden,
        )
        # A victim refuses what it cannot live in; better now than after the first candidates are drawn.
        Victims(self.speech.talk, dataclasses.replace(self.victim, n_steps=2), [0])
        size = self.speech.num_params
        self.es = OpenES(size, self.config.population, self.config, seed=seed, device=self.device)
        self.metrics: dict[str, float] = {}
        self._logger: Logger | None = None

    @property
    def generation(self) -> int:
        """Number of generations completed."""
        return self.es.generation

    @property
    def logger(self) -> Logger:
        """Stable-Baselines3's logger."""
        if self._logger is None:
            self._logger = configure(None, [])
        return self._logger

    def set_logger(self, logger: Logger) -> None:
        """Log to `logger` instead of the one that `verbose` and `tensorboard_log` choose."""
        self._logger = logger

    def learn(
        self,
        generations: int,
        log_interval: int | None = 1,
        tb_log_name: str = "ACT",
        progress_bar: bool = False,
        on_update: Callable[[ACT], Any] | None = None,
    ) -> Self:
        """Evolve for so many further generations.

        Args:
            generations: at least 1; each trains population * seeds victims from scratch.
            log_interval: generations between two log lines; None logs nothing.
            tb_log_name: name of the TensorBoard run.
            progress_bar: show one.
            on_update: called with this object after every generation; training stops when it returns False.

        Raises:
            ValueError: fewer than 1 generation. FloatingPointError: a victim diverged.
        """
        if isinstance(generations, bool) or not isinstance(generations, int) or generations < 1:
            raise ValueError(f"generations is {generations!r}; it must be an integer of at least 1")
        if self._logger is None:
            fresh = not self.generation
            self._logger = configure_logger(self.verbose, self.tensorboard_log, tb_log_name, fresh)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # many small products: a second thread waits more than it works
        try:
            with threadpool_limits(1):
                for _ in tqdm(range(generations), disable=not progress_bar, unit="generation"):
                    self.metrics = self._generation()
                    if log_interval is not None and self.generation % log_interval == 0:
                        for name, value in self.metrics.items():
                            self.logger.record(name, value)
                        self.logger.dump(step=self.generation)
                    if on_update is not None and on_update(self) is False:
                        break
        finally:
            torch.set_num_threads(threads)
        return self

    def _generation(self) -> dict[str, float]:
        """Propose, train, judge, step; the metrics under the logger's names."""
        start, each = time.perf_counter(), self.config.seeds_each
        seeds = derived_seeds(self.seed, self.generation, count=each)  # shared by all candidates
        fitness, returns = self.judge(self.es.ask(), seeds)
        step = self.es.tell(fitness.mean(1))
        seconds, count = time.perf_counter() - start, self.config.population * each
        return {
            "act/fitness_mean": float(fitness.mean()),
            "act/fitness_best": float(fitness.mean(1).max()),
            "act/fitness_std": float(fitness.mean(1).std()),
            "act/return_last": float(returns[-1].mean()),
            "act/return_mean": float(returns.mean()),
            **{f"act/{name}": value for name, value in step.items()},
            "time/generations": self.generation,
            "time/victims": self.generation * count,
            "time/victims_per_second": count / seconds,
        }

    def judge(self, candidates: Tensor, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Train fresh victims under candidate parameters and compute the candidates' fitness.

        Args:
            candidates: [P, D]: phi, and psi behind it for control. A vector of zeros says nothing; `es.mean` is what
                was learnt.
            seeds: R, of the victims.

        Returns:
            The fitness [P, R], and the victims' returns [U, P, R] while they learnt.
        """
        config = self.config
        victims = Victims(self.speech.talking(candidates), self.victim, seeds)
        returns = victims.train()
        if config.controls:
            episodes = [derived_seeds(seed, 1, count=1)[0] for seed in seeds]
            steering = self.speech.steering(candidates)
            return control_returns(victims, steering, episodes, config.episodes), returns
        judged = returns[-1] if config.end_only else returns.mean(0)
        return (-judged if config.objective == "harm" else judged), returns

    # What was learnt ---------------------------------------------------------------------------------------------

    @property
    def network(self) -> tuple[Tensor, ...]:
        """f: weights W1 [1, h, O], b1 [1, h], ..., for `network=` of the cheap-talk environments; copies."""
        return tuple(weight.clone() for weight in self.speech.talking(self.es.mean[None]).speak.weights)

    def talk_kwargs(self) -> dict[str, Any]:
        """Arguments that make a cheap-talk environment speak f: network, message_dim, scale."""
        return {"network": self.network, "message_dim": self.config.message_dim, "scale": self.config.scale}

    @property
    def controller(self) -> Controller:
        """g, which steers a victim that was trained under f.

        Raises:
            ValueError: this adversary was not evolved for control.
        """
        if not self.config.controls:
            raise ValueError(f"objective is {self.config.objective!r}: only 'control' has a controller")
        return Controller(self.speech.talk.inner, self.speech.steering(self.es.mean[None].clone()))

    def predict(self, observation: Any, goal: Any = None) -> np.ndarray:
        """The message [M] about an observation [O] (or [B, M] about [B, O]): f's, or g's where a goal is given.

        Raises:
            ValueError: an observation of the wrong size or not finite, or a goal without a controller.
        """
        if goal is not None:
            return self.controller.predict(observation, goal)
        return say(self.speech.talking(self.es.mean[None]).speak, observation)

    def evaluate(
        self, seeds: Sequence[int], messages: str = "evolved", *, networks: int = 1, message_seed: int = 0
    ) -> Tensor:
        """Returns [U, P, R] of fresh victims while they learn, on the CPU.

        Args:
            seeds: R, of the victims.
            messages: "evolved" (f), "random" (P random networks), "zero" (a constant), or "none" (no channel).
            networks: P, for random messages; 1 otherwise.
            message_seed: of random networks.

        Raises:
            ValueError: unknown messages.
        """
        if messages == "evolved":
            talk = self.speech.talking(self.es.mean[None])
        else:
            talk = self.speech.unlearnt(messages, networks, message_seed)
        return Victims(talk, self.victim, seeds).train().cpu()

    # Checkpoints -------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint: the strategy, generators and counters; replaced atomically, ".zip" is added.

        Raises:
            CheckpointError: the file could not be written; an earlier file of that name is intact.
        """
        meta = {name: getattr(self, name) for name in ("env", "env_kwargs", "seed", "metrics")}
        meta |= {name: dataclasses.asdict(getattr(self, name)) for name in ("config", "victim")}
        meta["algorithm"] = "ACT"
        tensors = {f"es/{name}": value for name, value in self.es.state_dict().items()}
        save_checkpoint(path, meta=meta, tensors=tensors)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        device: str | torch.device = "auto",
        *,
        seed: int | None = None,
        verify: bool = True,
        verbose: int = 0,
        tensorboard_log: str | None = None,
        **overrides: Any,
    ) -> Self:
        """An adversary from a checkpoint, which goes on exactly where it stopped; no code of the file is ever run.

        Args:
            path: the checkpoint.
            device: "auto", "cpu", "cuda", ...
            seed: of the candidates and victims from now on; None goes on with the checkpoint's streams.
            verify: compare the file with its checksums.
            verbose: 1 prints the log as a table.
            tensorboard_log: folder of TensorBoard events.
            overrides: fields of the configuration. Those that shaped the networks are refused (`stored`).

        Raises:
            CheckpointError: not a readable checkpoint of this algorithm.
            ValueError: an argument that cannot be used here; the message names it.
        """
        place = pick_device(device)
        saved = load_checkpoint(path, verify=verify)
        saved.require(meta=("algorithm", "env", "env_kwargs", "seed", "config", "victim", "metrics"))
        meta = saved.meta
        if meta["algorithm"] != "ACT":
            raise CheckpointError(f"{os.fspath(path)} holds a {meta['algorithm']} model, not ACT")
        for name in ("env", "victim", "env_kwargs"):
            if name in overrides:
                raise ValueError(f"{name} cannot be set at load: the checkpoint was evolved for its own; leave it out")
        try:
            config = config_from_json(ACTConfig, meta["config"])
            victim = config_from_json(VictimConfig, meta["victim"])
        except Exception as error:  # whatever the configurations make of values of another type
            raise _garbled(path, error) from error
        settings = make_config(ACTConfig, config, overrides)
        refuse_stored(cls.stored, config, settings)
        try:
            act = cls(
                meta["env"],
                settings,
                victim=victim,
                env_kwargs=meta["env_kwargs"],
                seed=meta["seed"],
                device=place,
                verbose=verbose,
                tensorboard_log=tensorboard_log,
            )
            act.es.load_state_dict(saved.section("es"))
            act.metrics = dict(meta["metrics"])
        except Exception as error:  # whatever networks and tensors make of damaged numbers
            raise _garbled(path, error) from error
        if seed is not None:
            act.seed = whole_number("seed", seed, least=0)
            act.es.generator.manual_seed(own_seed(act.seed, MOVED, 1 + act.generation))
        return act


def _garbled(path: str | os.PathLike[str], error: Exception) -> CheckpointError:
    return CheckpointError(f"{os.fspath(path)} lacks or garbles a part of an ACT model ({error})")
