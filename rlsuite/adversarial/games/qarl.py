"""Quantal adversarial reinforcement learning (Reddi et al. 2023, ICLR 2024, arXiv:2311.01642).

    max_mu min_nu  E[sum_t gamma^t (r_t + beta H(mu(.|s_t)) - alpha H(nu(.|s_t)))]

Both players pay for their own entropy; the solution is a quantal response equilibrium (that of a matrix game is
computed exactly by `rlsuite.adversarial.games.matrix_games`). A hot adversary is close to a random one, a cold one
rational: the adversary's temperature alpha is cooled as fast as the protagonist's return allows
(`rlsuite.adversarial.games.teacher`).

    repeat   draw one temperature per episode from the teacher's p_w(alpha); both players see it
             an episode in every environment in which the adversary learns
             an episode at the same temperatures in which the protagonist learns
             the teacher gets (temperature, the protagonist's discounted return) of them; with 30 it moves p_w

Each player is a soft actor-critic with twin critics of its own over (observation, temperature; own action); there is no
joint critic. The adversary's entropy weight is, per sample, the temperature stored in that sample's observation, in
the loss of the actor and in the soft target, and it is paid -r. The protagonist's temperature is learned.

As in the release (AryamanReddi99/quantal-adversarial-rl): what happens while a player does not learn is dropped for it;
one update per 3 steps; critics start at 3000 transitions, actors at 5000, the policy acts from the first step; separate
networks for mean and log-std, Xavier-uniform. What differs: the episodes of a phase run side by side, one per
environment (5 there: use num_envs=5). Where one ends early its environment starts another at the same temperature: it
is learned from, but only first episodes count for the teacher, since a sample of those that happen to be finished
would favour the short ones. `predict` takes the mean temperature of p_w as its input.

Ancestors by `adversary`: "none" (SAC), "random", "automatic" (RARL: both temperatures learned), "fixed" (maximum
entropy: the first temperature stays), "linear" (temperature schedule), "force" (the teacher raises a limit of the
forces, which both players see in the temperature's place).
Expected (paper): QARL before RARL, force curriculum and SAC under forces and changed masses. Not shown at 1e5 to 2e5
own steps on four tasks (results page `forces`); on Hopper QARL is behind SAC where nobody pushes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv

from rlsuite.adversarial.games.sides import (
    ACTION_SPACE_FIELDS,
    check_force_fields,
    make_game,
    mirrored,
    spaces_of_game,
)
from rlsuite.adversarial.games.soft_player import Player
from rlsuite.adversarial.games.teacher import GammaTeacher
from rlsuite.core.agent import Agent, EnvLike
from rlsuite.core.brain import Brain
from rlsuite.core.collect import Runner
from rlsuite.core.config import check_choices, check_range, check_types
from rlsuite.core.opponents import Opponent, Uniform, Zero
from rlsuite.core.rng import OPPONENT, TEACHER, own_seed
from rlsuite.core.session import Session
from rlsuite.core.stateful import Stateful
from rlsuite.core.two_player import ADVERSARY, AGENT, Versus
from rlsuite.core.vector import Stepper
from rlsuite.off_policy.networks import soft_insides
from rlsuite.off_policy.soft_learner import first_alpha

TEMPERED = ("quantal", "linear", "fixed")
"""Adversaries whose entropy weight is the temperature in the observation."""


@dataclass(frozen=True)
class QARLConfig:
    """Hyper-parameters of QARL; the defaults are the release's.

    Raises:
        ValueError: a value out of range; the message names the field, its value and the range.
    """

    adversary: str = "quantal"
    """quantal, or an ancestor: none, random, automatic, fixed, linear, force."""
    performance: float = 10.0
    """xi, discounted return that the protagonist must keep for the temperature to fall; the task's scale decides."""
    max_kl: float = 0.5
    """epsilon, largest KL(new || old) of the temperature's distribution per update, nats."""
    concentration: float = 50.0
    """Concentration of the first Gamma distribution, > 0; its mean is concentration / rate, reward units per nat."""
    target_concentration: float = 1.0
    """Concentration of the final Gamma distribution, > 0."""
    rate: float = 1000.0
    """Rate of the first and the final Gamma distribution, nats per reward unit, > 0."""
    teacher_samples: int = 30
    """Episodes per update of the teacher; at least 1."""
    linear_fraction: float = 2 / 3
    """Fraction of the training over which the "linear" temperature falls, in (0, 1]."""
    actor_learning_rate: float = 1e-4
    """Adam's step size of both players' actors, > 0."""
    critic_learning_rate: float = 3e-4
    """Adam's step size of both players' critics, > 0."""
    alpha_learning_rate: float = 3e-4
    """Adam's step size of the learned temperatures, > 0."""
    buffer_size: int = 1_000_000
    """Transitions kept per player, over all environments; at least 1. Old rewards carry the other side's former play:
    the longer the memory, the hotter an adversary acts than its temperature says."""
    batch_size: int = 256
    """Transitions per gradient step."""
    critic_starts: int = 3000
    """Transitions of a player before its critics learn."""
    actor_starts: int = 5000
    """Transitions of a player before its actor and learned temperature learn."""
    steps_per_update: int = 3
    """Environment steps of the learning player per gradient step; at least 1."""
    tau: float = 0.005
    """Weight of the new critics in the target's moving average, in (0, 1]."""
    gamma: float = 0.99
    """Discount per step, in [0, 1]."""
    ent_coef: float | str = "auto_0.005"
    """First learned temperature ("auto_VALUE"), or a fixed number. The release's explores little: where returns stay
    flat, as in rlsuite/WindyPoint-v0 (10 of 164), raise it (117 with "auto_0.2")."""
    target_entropy: float | None = None
    """Entropy learned temperatures aim at, nats; None is minus the number of action dimensions."""
    net_arch: tuple[int, ...] = (256, 256, 256)
    """Hidden layers of every network."""
    activation: str = "relu"
    """tanh, relu, elu or gelu."""
    adv_fraction: float = 1.0
    """Share of the largest force that the adversary has, in [0, 1]."""
    max_force: float | None = None
    """MuJoCo tasks: largest force along an axis, N; None is the task's (5 N mostly)."""
    bodies: tuple[str, ...] | None = None
    """MuJoCo tasks: names of the pushed bodies; None are the task's."""

    def __post_init__(self) -> None:
        check_types(self)
        inf, tiny = float("inf"), 1e-12
        check_choices(self, adversary=(*TEMPERED, "none", "random", "automatic", "force"))
        check_range(
            self,
            performance=(-1e300, 1e300),
            max_kl=(tiny, 1e300),
            concentration=(tiny, 1e300),
            rate=(tiny, 1e300),
            target_concentration=(tiny, 1e300),
            teacher_samples=(1, inf),
            linear_fraction=(tiny, 1),
            actor_learning_rate=(tiny, inf),
            critic_learning_rate=(tiny, inf),
            alpha_learning_rate=(tiny, inf),
            buffer_size=(1, inf),
            batch_size=(1, inf),
            critic_starts=(1, inf),
            actor_starts=(1, inf),
            steps_per_update=(1, inf),
            tau=(1e-9, 1),
            gamma=(0, 1),
            target_entropy=(-inf, inf),
            adv_fraction=(0, 1),
            max_force=(0, inf),
        )
        check_force_fields(self)
        first_alpha(self.ent_coef, type(self).__name__)


class QARL(Agent):
    """Quantal adversarial RL; see `rlsuite.core.agent.Agent` for the arguments and `QARLConfig` for the fields.

    The environment is a MuJoCo task, whose adversary pushes, or a vector environment with actions
    `Tuple((agent, adversary))`, both bounded boxes. `predict`, `action_space` and evaluation are the protagonist's;
    `opponent()` is its adversary; `rlsuite.adversarial.games.panel` judges it against several.

    Example:
        >>> from rlsuite import QARL
        >>> model = QARL("InvertedPendulum-v5", num_envs=5, performance=5.0, net_arch=(32, 32)).learn(500)
        >>> action, _ = model.predict(model.observation_space.sample(), deterministic=True)
    """

    config_class = QARLConfig
    stored: ClassVar = (
        Agent.stored
        | ACTION_SPACE_FIELDS
        | {"adversary": "networks", "concentration": "teacher", "buffer_size": "replay buffer"}
    )
    restarts: ClassVar = {"ent_coef": ("alpha", "alpha_optimizer", "adversary_alpha", "adversary_alpha_optimizer")}
    config: QARLConfig
    _scalars: torch.Tensor | None = None

    def _make_env(self, env: EnvLike) -> VectorEnv[Any, Any, Any]:
        return make_game(super()._make_env(env), self.config, self.act_adversary)

    def _spaces(self, venv: VectorEnv[Any, Any, Any]) -> tuple[gym.Space[Any], ...]:
        return spaces_of_game(venv)

    def build(self) -> Brain:
        """Make the networks of both players and the teacher of the temperature."""
        config = self.config
        theirs = torch.Generator(self.device).manual_seed(own_seed(self.seed, OPPONENT))
        hot = config.adversary in TEMPERED
        self.players = [
            Player(space, self.obs_size + 1, self.num_envs, config, tempered=hot, generator=rng)
            for space, hot, rng in zip(self.spaces[1:], (False, hot), (self.generator, theirs), strict=True)
        ]
        self.teacher = GammaTeacher(
            concentration=config.concentration,
            target_concentration=config.target_concentration,
            rate=config.rate,
            performance=config.performance,
            max_kl=config.max_kl,
            samples=config.teacher_samples,
            seed=own_seed(self.seed, TEACHER),
        )
        self.idle = Zero(self.spaces[2])
        self.uniform = Uniform(self.spaces[2], 0, self.device)
        self.uniform.generator = theirs
        mine = self.players[AGENT]
        insides = soft_insides(mine.actor, mine.learner.critic, (mine.low, mine.high), self.extend)
        return Brain(mine.actor, self._act, self._state, insides=insides)

    def _state(self) -> dict[str, Stateful]:
        theirs = {f"adversary_{name}": part for name, part in self.players[ADVERSARY].state().items()}
        return self.players[AGENT].state() | theirs | {"teacher": self.teacher}

    @property
    def temperature(self) -> float:
        """Temperature input of both players outside training: the scalar for the mean of p_w."""
        return float(self._shown(np.array([self.teacher.mean]))[0])

    def _shown(self, alphas: np.ndarray) -> np.ndarray:
        """The scalars [B] that the players see for temperatures [B]: these, the force limit in N, or 0."""
        if self.config.adversary in TEMPERED:
            return alphas
        if self.config.adversary != "force":
            return np.zeros_like(alphas)
        first, last = self.config.concentration / self.config.rate, self.teacher.target / self.config.rate
        most = float(self.players[ADVERSARY].high.max())
        return np.clip((first + last - alphas) * (most / first), 0.0, most)

    def extend(self, rows: torch.Tensor, scalars: torch.Tensor | None = None) -> torch.Tensor:
        """Rows [B, O] with the temperature input appended as last column, [B, O + 1] float32."""
        rows = rows.to(self.device, torch.float32)
        shown = torch.full_like(rows[:, :1], self.temperature) if scalars is None else scalars
        return torch.cat((rows, shown), dim=1)

    def _act(self, rows: torch.Tensor, mask: torch.Tensor | None, deterministic: bool) -> torch.Tensor:
        player = self.players[AGENT]
        return player.to_box(player.act(self.extend(rows), deterministic=deterministic))

    def act_adversary(self, obs: torch.Tensor, started: torch.Tensor) -> torch.Tensor:
        """The adversary's sampled actions [B, D] in its units, at raw rows [B, O]: the opponent in training."""
        if self.config.adversary == "none":
            return self.idle(obs, started)
        if self.config.adversary == "random":
            return self.uniform(obs, started)
        return self._sample(ADVERSARY, obs)

    def opponent(self, seed: int = 0) -> Opponent:
        """The current adversary with a generator of its own, so that evaluations do not change training's draws."""
        if self.config.adversary == "none":
            return self.idle
        if self.config.adversary == "random":
            return Uniform(self.spaces[2], own_seed(seed, OPPONENT), self.device)
        player, generator = (
            self.players[ADVERSARY],
            torch.Generator(self.device).manual_seed(own_seed(seed, OPPONENT)),
        )
        return lambda obs, started: player.to_box(player.act(self.extend(obs), generator=generator))

    def act_protagonist(self, obs: torch.Tensor, started: torch.Tensor) -> torch.Tensor:
        """The protagonist's sampled actions [B, ...] in its units, at raw rows [B, O]: the adversary's opponent."""
        return self._sample(AGENT, obs)

    def _sample(self, number: int, obs: torch.Tensor) -> torch.Tensor:
        player = self.players[number]
        return player.to_box(player.act(self.extend(obs, self._scalars)))

    def train(self, run: Session) -> None:
        """One update is one iteration: an episode per environment and phase."""
        runner = self.start_runner()
        assert isinstance(self.venv, Versus)  # made by _make_env
        steppers = [
            runner.stepper,
            Stepper(self.venv.other_side(self.act_protagonist), self.device, shares=runner.stepper),
        ]
        learning = [AGENT] if self.config.adversary in ("none", "random") else [ADVERSARY, AGENT]
        try:
            while not run.done:
                alphas = self._draw(1.0 - run.progress_remaining)
                returns: list[np.ndarray] = []
                metrics: dict[str, float] = {}
                for number in learning:
                    learned = self._phase(run, number, steppers[number], runner)
                    if learned is None:
                        return
                    returns.append(learned[0])
                    prefix = "train" if number == AGENT else "adversary"
                    metrics |= {f"{prefix}/{name}": value for name, value in learned[1].items()}
                # once per iteration: all these episodes are of one distribution
                metrics |= self._teach(np.tile(alphas, len(returns)), np.concatenate(returns))
                run.update_end(metrics | {"train/n_updates": self.n_updates}, runner.stats)
        finally:
            self._scalars = self.venv.match.limit = None  # outside of training both see the mean

    def _draw(self, progress: float) -> np.ndarray:
        """Temperatures [B] of the next episodes; shows them (or the force limits) to both players."""
        config, teacher = self.config, self.teacher
        if config.adversary == "linear":
            share = min(1.0, progress / config.linear_fraction)
            teacher.concentration = config.concentration + share * (teacher.target - config.concentration)
        drawn = config.adversary in ("quantal", "force")
        alphas = teacher.sample(self.num_envs) if drawn else np.full(self.num_envs, teacher.mean)
        self._scalars = torch.as_tensor(self._shown(alphas), device=self.device).float()[:, None]
        if config.adversary == "force":
            assert isinstance(self.venv, Versus)  # made by _make_env
            self.venv.match.limit = self._scalars.to(self.venv.device)
        return alphas

    def _teach(self, alphas: np.ndarray, returns: np.ndarray) -> dict[str, float]:
        """Show the teacher episodes' temperatures and discounted returns [N]; metrics."""
        metrics = {"teacher/mean": self.teacher.mean, "rollout/discounted_return": float(returns.mean())}
        if self.config.adversary not in ("quantal", "force"):
            return metrics
        lesson = self.teacher.observe(alphas, returns)
        if lesson is not None:
            for name in ("performance", "kl_step", "kl_target"):
                metrics[f"teacher/{name}"] = getattr(lesson, name)
            metrics |= {f"teacher/{word}": float(lesson.outcome == word) for word in ("moved", "kept")}
            metrics["teacher/mean"] = self.teacher.mean
        return metrics

    def _phase(
        self, run: Session, number: int, stepper: Stepper, runner: Runner
    ) -> tuple[np.ndarray, dict[str, float]] | None:
        """One episode in every environment in which player `number` learns; None when a callback stopped it.

        Returns:
            The protagonist's discounted returns [B], and the last metrics.
        """
        player, sign, config = self.players[number], 1.0 if number == AGENT else -1.0, self.config
        on_step = run.on_step if number == AGENT else mirrored(run.on_step)
        run.rollout_start()
        returns, over = torch.zeros(self.num_envs, device=self.device), None
        discount, pending = 1.0, 0
        metrics: dict[str, torch.Tensor] = {}
        rows = self.extend(stepper.reset()[0], self._scalars)
        runner.stats.returns[:], runner.stats.lengths[:] = 0.0, 0
        while over is None or not bool(over.all()):
            action = player.act(rows)
            step = stepper.step(player.to_box(action))
            stepper.settle()
            last = step.obs if step.final_obs is None else step.final_obs
            player.buffer.add(
                rows, self.extend(last, self._scalars), action, step.reward, step.terminated, step.truncated
            )
            rows, done = self.extend(step.obs, self._scalars), step.terminated | step.truncated
            runner.stats.add(sign * step.reward.cpu().numpy(), done.cpu().numpy())
            gain = discount * sign * step.reward.float()
            returns += gain if over is None else torch.where(over, 0.0, gain)
            discount, over = discount * config.gamma, done if over is None else over | done
            run.count(self.num_envs)
            if on_step is not None and not on_step(step):
                return None
            pending += self.num_envs
            while pending >= config.steps_per_update:
                pending -= config.steps_per_update
                improved = player.improve()
                metrics, self.n_updates = improved or metrics, self.n_updates + bool(improved)
        run.rollout_end()
        player.learner.check(metrics)
        return returns.cpu().numpy(), {name: float(value) for name, value in metrics.items()}
