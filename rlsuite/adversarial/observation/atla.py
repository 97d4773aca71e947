"""Alternating training with learned adversaries (ATLA; Zhang et al. 2021, arXiv:2101.08452), on observations.

The agent sees s~ = s + unit * delta, |delta| <= eps, where the adversary chose delta; states and rewards are the
environment's. Both learn by PPO, in turns:

    repeat   n_pro_updates times: roll out the agent behind the adversary; improve the agent with +r on what it saw
             n_adv_updates times: roll out the adversary before the agent; improve the adversary with -r on the true s

`attack="sa-rl"` moves the observation itself (ATLA-PPO), `attack="pa-ad"` directs the agent's output and leaves the
observation to one gradient step (PA-ATLA; Sun et al. 2022, arXiv:2106.05087). Ancestors by `adversary`: "none" (PPO, to
the same bits), "random" (PPO under uniform noise of the same size), "learned".

What differs from the releases, and why:
- `unit` is the running standard deviation in the agent's own normaliser, as there; but the perturbation is added before
  the clip at +-10 (see `rlsuite.adversarial.attacks.victim`), and the agent's normaliser learns from what the agent
  sees, the adversary's from the true observations.
- The phases take turns in the same running episodes, n_steps each, instead of whole new batches.
- Their LSTM policies are not built; the SA regulariser is (`sa_coef`, 0 by default;
  `rlsuite.adversarial.observation.smoothness`): with `adversary="none"` it makes SA-PPO of PPO. Its box
  grows from 0 over `sa_warmup` of the training.

Expected: less return than PPO's where nobody attacks, more under the attacks of the zoo. Measured at a million own
steps (results page `attacks`): to the strongest attack ATLA without the regulariser (but on HalfCheetah) and SA-PPO are
no more robust than PPO; PA-ATLA with it is (one seed a task: 53, 92 and 45 % of the return left, PPO has 32, 63, 9).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from rlsuite.adversarial.attacks.attacked import AttackedVectorEnv, Perturber
from rlsuite.adversarial.attacks.budget import Budget
from rlsuite.adversarial.attacks.learned import KINDS, AdversaryVectorEnv, LearnedAttack, attacker_space
from rlsuite.adversarial.attacks.uniform import RandomAttack
from rlsuite.adversarial.attacks.victim import Victim, victim_of
from rlsuite.adversarial.games.sides import Mirrored, Player, Side, alternate, ppo_parts, sample
from rlsuite.adversarial.observation.smoothness import Smoothness
from rlsuite.core.agent import Agent, EnvLike
from rlsuite.core.brain import Brain
from rlsuite.core.collect import Runner
from rlsuite.core.config import check_choices, check_range, check_schedule
from rlsuite.core.distributions import action_spec
from rlsuite.core.rng import OPPONENT, own_seed
from rlsuite.core.session import Session
from rlsuite.core.spaces import flatten_obs
from rlsuite.core.stateful import GeneratorState, Stateful
from rlsuite.core.vector import Stepper
from rlsuite.policy_gradient.ppo import PPOConfig


@dataclass(frozen=True)
class ATLAConfig(PPOConfig):
    """PPO's hyper-parameters, for both players, and those of the attack.

    Raises:
        ValueError: a value out of range; the message names the field, its value and the range.
    """

    eps: float = 0.075
    """Largest perturbation of a step, in standard deviations of each observation entry; at least 0."""
    norm: str = "linf"
    """linf or l2."""
    attack: str = "sa-rl"
    """sa-rl or pa-ad."""
    adversary: str = "learned"
    """learned, random or none."""
    attack_ratio: float = 1.0
    """Probability that a step of the agent's phase is attacked, in [0, 1]."""
    n_pro_updates: int = 1
    """The agent's rollouts (each with its update) per iteration; at least 1."""
    n_adv_updates: int = 1
    """The adversary's rollouts (each with its update) per iteration; at least 1."""
    sa_coef: float = 0.0
    """kappa, weight of the SA regulariser in the agent's loss; at least 0."""
    sa_steps: int = 10
    """K, gradient steps of the SA regulariser's inner maximisation; at least 1."""
    sa_warmup: float = 0.75
    """Fraction of the training over which the SA regulariser's box grows from 0 to `eps`, in [0, 1]."""
    adv_learning_rate: float | str | None = None
    """The adversary's step size or schedule; None is the agent's."""
    adv_ent_coef: float | None = None
    """Weight of the adversary's entropy bonus; None is the agent's."""
    adv_clip_range: float | str | None = None
    """The adversary's clip range; None is the agent's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        inf = float("inf")
        check_choices(self, norm=("linf", "l2"), attack=KINDS, adversary=("learned", "random", "none"))
        check_range(
            self,
            eps=(0, 1e6),
            attack_ratio=(0, 1),
            n_pro_updates=(1, inf),
            n_adv_updates=(1, inf),
            sa_coef=(0, inf),
            sa_steps=(1, inf),
            sa_warmup=(0, 1),
            adv_ent_coef=(0, inf),
        )
        if self.sa_coef and self.norm != "linf":
            raise ValueError(
                f"{type(self).__name__}.sa_coef is {self.sa_coef} with norm {self.norm!r}; the regulariser knows only "
                "linf: set norm='linf', or sa_coef=0"
            )
        for name in ("adv_learning_rate", "adv_clip_range"):
            if getattr(self, name) is not None:
                check_schedule(self, name)

    def grown(self, left: float) -> float:
        """Size of the regulariser's box as a fraction of `eps` when `left` of the training remains (from 1 to 0)."""
        return min(1.0, (1.0 - left) / self.sa_warmup) if self.sa_warmup else 1.0

    def for_adversary(self) -> ATLAConfig:
        """The adversary's step size, entropy bonus and clip range in the place of the agent's."""
        own = {
            name: getattr(self, f"adv_{name}")
            for name in ("learning_rate", "ent_coef", "clip_range")
            if getattr(self, f"adv_{name}") is not None
        }
        return replace(self, **own)


class Ground:
    """An agent that learns behind an attack on its observations, and the learner of that attack.

    What ATLA and PROTECTED share: who shows what to whom.

    Args:
        agent: whose environment is an `AttackedVectorEnv`.
        config: of both players and the attack.

    Attributes:
        parts: the agent's networks.
        victim: the agent as the attack sees it.
        adversary: the attack's networks.
        perturber: shows the agent its observations.
    """

    def __init__(self, agent: Agent, config: ATLAConfig) -> None:
        self.agent = agent
        self.config = config
        self.adv_config = config.for_adversary()
        self.parts = ppo_parts(agent, config)
        self.brain = replace(self.parts.brain(agent), state=self.state)
        self.victim = victim_of(agent, self.brain)
        self.generator = torch.Generator(agent.device).manual_seed(own_seed(agent.seed, OPPONENT))
        space = attacker_space(self.victim, config.attack)
        self.side = Side(agent.obs_size, action_spec(space), agent.device, agent.num_envs)
        self.adversary = ppo_parts(self.side, self.adv_config)
        shown = RandomAttack() if config.adversary == "random" else self.attack()
        eps = 0.0 if config.adversary == "none" else config.eps
        budget = Budget(eps, config.norm, ratio=config.attack_ratio)
        self.perturber = Perturber(shown, self.victim, budget, seed=agent.seed)
        if agent.stepper is not None:
            self.show()

    def state(self) -> dict[str, Stateful]:
        """Everything a checkpoint must hold, by name."""
        named = {f"adversary_{name}": part for name, part in self.adversary.state(self.generator).items()}
        perturber = {"perturber": GeneratorState(self.perturber.generator)}
        return self.parts.state(self.agent.generator) | named | perturber

    @property
    def world(self) -> AttackedVectorEnv:
        """The vector environment in which the agent learns, with attacked observations."""
        assert isinstance(self.agent.venv, AttackedVectorEnv)  # made by the agents' _make_env
        return self.agent.venv

    def show(self) -> None:
        """Let the perturber show the agent its environment's observations."""
        self.world.perturber = self.perturber

    def attack(self) -> LearnedAttack:
        """The current adversary as an attack with sampled actions; later updates change it."""
        return LearnedAttack(self.config.attack, self)

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """The adversary's sampled actions [B, U] at true observations [B, ...]."""
        return sample(self.adversary, self.rows(observation), self.generator).cpu().numpy(), state

    def rows(self, obs: np.ndarray) -> torch.Tensor:
        """Observations [B, ...] as rows [B, O]."""
        return flatten_obs(self.agent.observation_space, obs, self.agent.device)

    def measure(self) -> None:
        """Take the budget's unit from the agent's normaliser as it now is."""
        if self.parts.obs_norm is not None:
            self.victim.unit = self.parts.obs_norm.var.cpu().sqrt().clamp_min(1e-8)

    def facing(self, victim: Victim, paid: float = -1.0) -> AdversaryVectorEnv:
        """The adversary's side of the running episodes: before `victim`, paid `paid` for a reward of 1."""
        budget, kind = Budget(self.config.eps, self.config.norm), self.config.attack
        world = AdversaryVectorEnv(self.world.venv, victim, kind, budget, deterministic=False, paid=paid)
        world.perturber.generator = self.perturber.generator
        world.obs = self.world.true_obs
        return world

    def smoothness(self, share: float) -> Smoothness | None:
        """The SA regulariser at this share of its box; None where it has no weight."""
        config, generator = self.config, self.agent.generator
        if not config.sa_coef:
            return None
        eps = config.eps * share
        return Smoothness(self.parts, eps=eps, coef=config.sa_coef, steps=config.sa_steps, generator=generator)


class ATLA(Agent):
    """Alternating training with learned adversaries; see `rlsuite.core.agent.Agent` and `ATLAConfig`.

    `predict` and evaluation are the agent's, on true observations. `attack()` is the adversary it was trained against.

    Example:
        >>> from rlsuite import ATLA
        >>> model = ATLA("InvertedPendulum-v5", num_envs=4, n_steps=64, normalize_obs=True).learn(1_000)
        >>> action, _ = model.predict(model.observation_space.sample(), deterministic=True)
    """

    config_class = ATLAConfig
    stored: ClassVar = Agent.stored | {"attack": "adversary's networks"}
    config: ATLAConfig

    def _make_env(self, env: EnvLike) -> VectorEnv[Any, Any, Any]:
        return AttackedVectorEnv(super()._make_env(env))

    def set_env(self, env: EnvLike, *, num_envs: int | None = None, env_kwargs: dict[str, Any] | None = None) -> None:
        """Train in another environment from now on, before the same adversary; see `Agent.set_env`."""
        super().set_env(env, num_envs=num_envs, env_kwargs=env_kwargs)
        self.ground.show()

    def build(self) -> Brain:
        """Make the networks of the agent and its adversary, and the attack that joins them."""
        self.ground = ground = Ground(self, self.config)
        self.parts = ground.parts
        self.adversary = ground.adversary
        self.perturber = ground.perturber
        return ground.brain

    def attack(self) -> LearnedAttack:
        """The adversary, sampling, as an attack on this agent or another; see `rlsuite.adversarial.attacks`."""
        return self.ground.attack()

    def train(self, run: Session) -> None:
        """One update is one iteration of both phases."""
        config, ground, runner = self.config, self.ground, self.start_runner()
        world = ground.facing(ground.victim)
        norms = self.adversary.obs_norm, self.adversary.return_norm
        other = Runner(
            Stepper(world, self.device, shares=runner.stepper),
            runner.obs,
            None,
            *norms,
            runner.stats,
            Mirrored(runner.stats),
        )
        mine = Player(config, self.parts, runner, self.generator)
        theirs = Player(ground.adv_config, self.adversary, other, ground.generator)

        def hand_over() -> torch.Tensor:
            ground.measure()
            world.obs = ground.world.true_obs
            return ground.rows(world.obs)

        def hand_back() -> torch.Tensor:
            ground.world.true_obs = world.obs
            return ground.rows(ground.world.show())

        alternate(
            self,
            run,
            mine,
            theirs if config.adversary == "learned" else None,
            hand_over=hand_over,
            hand_back=hand_back,
            begin=ground.measure,
            extra=lambda left: ground.smoothness(config.grown(left)),
        )
