"""Robust adversarial reinforcement learning (Pinto et al. 2017, arXiv:1703.02702).

    R* = min_nu max_mu E[sum_t r(s_t, a1_t, a2_t)],   a1 ~ mu(s), a2 ~ nu(s)                          (eq. 5 there)

A protagonist mu and an adversary nu act in the same states at the same time; nu pushes the robot with forces that are
limited by a box, and is paid -r. Both learn in turns (algorithm 1 there):

    repeat   n_pro_updates times: roll out (mu, nu); improve mu with +r
             n_adv_updates times: roll out (mu, nu); improve nu with -r, against the newest mu

Both roll out stochastically in both phases, each phase uses its own batch, and the protagonist begins.

What differs from the paper, and why:
- PPO for TRPO (step 0.01, linear baseline there). PPO bounds the same change of the policy by a clipped ratio, without
  a conjugate gradient per update, and is what the suite measures beside its other methods; all of PPO's fields apply,
  to both players. With `adversary="none"` this is PPO, to the same bits.
- The phases take turns in the same running episodes, n_steps each, instead of whole new episodes of one batch: a batch
  may be shorter than an episode, and late states are then seen as often as early ones.
- Each player normalises by what its own phases have shown it (`normalize_obs`, `normalize_reward`); while it is only
  played against, nothing of it changes.

Ancestors by `adversary`: "none" (PPO), "random" (PPO under uniformly random forces), "learned" (RARL).
Expected: about PPO's return where nothing pushes, and a flatter curve of it over masses and frictions. Measured in
rlsuite/WindyPoint-v0 with the whole force, 150k steps of the protagonist, two seeds: 137 where nobody blows and 135
against an adversary trained anew against it; PPO's numbers are 135 and 19 (one seed of it is a test:
tests/adversarial/games/test_panel.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import gymnasium as gym
import torch
from gymnasium.vector import VectorEnv

from rlsuite.adversarial.games.sides import (
    ACTION_SPACE_FIELDS,
    Mirrored,
    Player,
    Side,
    alternate,
    check_force_fields,
    make_game,
    ppo_parts,
    sample,
    spaces_of_game,
)
from rlsuite.core.agent import Agent, EnvLike
from rlsuite.core.brain import Brain
from rlsuite.core.collect import Runner
from rlsuite.core.config import check_choices, check_range, check_schedule
from rlsuite.core.distributions import action_spec
from rlsuite.core.opponents import Opponent, Uniform, Zero
from rlsuite.core.rng import OPPONENT, own_seed
from rlsuite.core.session import Session
from rlsuite.core.spaces import flatten_obs
from rlsuite.core.stateful import Stateful
from rlsuite.core.two_player import Versus
from rlsuite.core.vector import Stepper
from rlsuite.policy_gradient.ppo import PPOConfig


@dataclass(frozen=True)
class RARLConfig(PPOConfig):
    """PPO's hyper-parameters, for both players, and those of the game.

    Raises:
        ValueError: a value out of range; the message names the field, its value and the range.
    """

    adversary: str = "learned"
    """learned, random or none."""
    n_pro_updates: int = 1
    """N_mu, the protagonist's rollouts (each with its update) per iteration; at least 1."""
    n_adv_updates: int = 1
    """N_nu, the adversary's rollouts (each with its update) per iteration; at least 1."""
    adv_learning_rate: float | str | None = None
    """The adversary's step size or schedule; None is the protagonist's."""
    adv_ent_coef: float | None = None
    """Weight of the adversary's entropy bonus; None is the protagonist's."""
    adv_log_std_init: float | None = None
    """First logarithm of the adversary's standard deviation, in the units of its box; None is the protagonist's."""
    adv_fraction: float = 0.25
    """Share of the largest force that the adversary has in training, in [0, 1]; the release's default."""
    max_force: float | None = None
    """MuJoCo tasks: largest force along an axis, N; None is the task's (5 N mostly)."""
    bodies: tuple[str, ...] | None = None
    """MuJoCo tasks: names of the pushed bodies; None are the task's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        inf = float("inf")
        check_choices(self, adversary=("learned", "random", "none"))
        check_range(
            self,
            n_pro_updates=(1, inf),
            n_adv_updates=(1, inf),
            adv_ent_coef=(0, inf),
            adv_fraction=(0, 1),
            max_force=(0, inf),
            adv_log_std_init=(-20, 5),
        )
        check_force_fields(self)
        if self.adv_learning_rate is not None:
            check_schedule(self, "adv_learning_rate")

    def for_adversary(self) -> RARLConfig:
        """The configuration with the adversary's own values in the place of the protagonist's."""
        rate, ent_coef, log_std = self.adv_learning_rate, self.adv_ent_coef, self.adv_log_std_init
        return replace(
            self,
            learning_rate=self.learning_rate if rate is None else rate,
            ent_coef=self.ent_coef if ent_coef is None else ent_coef,
            log_std_init=self.log_std_init if log_std is None else log_std,
        )


class RARL(Agent):
    """Robust adversarial RL; see `rlsuite.core.agent.Agent` for the arguments and `RARLConfig` for the fields.

    The environment is a MuJoCo task, whose adversary pushes, or a vector environment with actions
    `Tuple((agent, adversary))`. `predict`, `action_space` and evaluation are the protagonist's: it is used in the plain
    task. `opponent()` is the adversary it was trained against; `rlsuite.adversarial.games.panel` judges it against
    several.

    Example:
        >>> from rlsuite import RARL
        >>> model = RARL("InvertedPendulum-v5", num_envs=4, n_steps=64).learn(1_000)
        >>> action, _ = model.predict(model.observation_space.sample(), deterministic=True)
    """

    config_class = RARLConfig
    stored: ClassVar = Agent.stored | ACTION_SPACE_FIELDS | {"adv_log_std_init": "networks"}
    config: RARLConfig

    def _make_env(self, env: EnvLike) -> VectorEnv[Any, Any, Any]:
        return make_game(super()._make_env(env), self.config, self.act_adversary)

    def _spaces(self, venv: VectorEnv[Any, Any, Any]) -> tuple[gym.Space[Any], ...]:
        return spaces_of_game(venv)

    def build(self) -> Brain:
        """Make the networks of both players."""
        config = self.config
        self.parts = ppo_parts(self, config)
        self.adversary_space = self.spaces[2]
        self.adversary_generator = torch.Generator(self.device).manual_seed(own_seed(self.seed, OPPONENT))
        self.adv_config = config.for_adversary()
        side = Side(self.obs_size, action_spec(self.adversary_space), self.device, self.num_envs)
        self.adversary = ppo_parts(side, self.adv_config)
        if config.adversary == "random":
            self.uniform = Uniform(self.adversary_space, seed=0, device=self.device)
            self.uniform.generator = self.adversary_generator
        if config.adversary == "none":
            self.idle = Zero(self.adversary_space)
        return replace(self.parts.brain(self), state=self._state)

    def _state(self) -> dict[str, Stateful]:
        theirs = self.adversary.state(self.adversary_generator)
        return self.parts.state(self.generator) | {f"adversary_{name}": part for name, part in theirs.items()}

    def act_adversary(self, obs: torch.Tensor, started: torch.Tensor) -> torch.Tensor:
        """The adversary's sampled actions [B, D] in its units, at raw rows [B, O]: the opponent in training."""
        if self.config.adversary == "none":
            return self.idle(obs, started)
        if self.config.adversary == "random":
            return self.uniform(obs, started)
        return sample(self.adversary, obs, self.adversary_generator)

    def opponent(self, seed: int = 0) -> Opponent:
        """The current adversary with a generator of its own, so that evaluations do not change training's draws."""
        generator = torch.Generator(self.device).manual_seed(own_seed(seed, OPPONENT))
        if self.config.adversary == "none":
            return Zero(self.adversary_space)
        if self.config.adversary == "random":
            return Uniform(self.adversary_space, own_seed(seed, OPPONENT), self.device)
        return lambda obs, started: sample(self.adversary, obs, generator)

    def act_protagonist(self, obs: torch.Tensor, started: torch.Tensor) -> torch.Tensor:
        """The protagonist's sampled actions [B, ...] in its units, at raw rows [B, O]: the adversary's opponent."""
        return sample(self.parts, obs, self.generator)

    def train(self, run: Session) -> None:
        """One update is one iteration of both phases."""
        runner = self.start_runner()
        versus = runner.stepper.venv
        assert isinstance(versus, Versus)  # made by _make_env
        stepper = Stepper(versus.other_side(self.act_protagonist), self.device, shares=runner.stepper)
        norms = self.adversary.obs_norm, self.adversary.return_norm
        other = Runner(stepper, runner.obs, None, *norms, runner.stats, Mirrored(runner.stats))
        mine = Player(self.config, self.parts, runner, self.generator)
        theirs = Player(self.adv_config, self.adversary, other, self.adversary_generator)

        def shown() -> torch.Tensor:
            return flatten_obs(self.observation_space, versus.match.obs, self.device)

        learns = self.config.adversary == "learned"
        alternate(self, run, mine, theirs if learns else None, hand_over=shown, hand_back=shown)
