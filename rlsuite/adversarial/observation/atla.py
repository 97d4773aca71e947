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

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from rlsuite.adversarial.attacks.attacked import AttackedVectorEnv, Perturber
from rlsuite.adversarial.attacks.blackbox import RandomAttack
from rlsuite.adversarial.attacks.budget import Budget
from rlsuite.adversarial.attacks.learned import KINDS, AdversaryVectorEnv, LearnedAttack, attacker_space
from rlsuite.adversarial.attacks.victim import as_victim
from rlsuite.adversarial.games.sides import Mirrored, Side, phase, sample
from rlsuite.adversarial.observation.smoothness import Smoothness
from rlsuite.core import on_policy
from rlsuite.core.agent import Agent, EnvLike
from rlsuite.core.collect import Runner
from rlsuite.core.config import check_choices, check_range, check_schedule
from rlsuite.core.distributions import action_spec
from rlsuite.core.persistence import GeneratorState, Stateful
from rlsuite.core.rng import OPPONENT, own_seed
from rlsuite.core.session import OnUpdate, SB3Callback, Session, session
from rlsuite.core.spaces import flatten_obs
from rlsuite.core.types import PolicyBatch
from rlsuite.core.vector import Stepper
from rlsuite.policy_gradient.ppo import PPOConfig, ppo_loss, ppo_loss_grad


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
    """The adversary's; at least 1."""
    sa_coef: float = 0.0
    """kappa, weight of the SA regulariser in the agent's loss; at least 0."""
    sa_steps: int = 10
    """K, steps of its inner maximisation; at least 1."""
    sa_warmup: float = 0.75
    """Share of the training over which its box grows from 0 to `eps`, in [0, 1]."""
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

    def for_adversary(self) -> ATLAConfig:
        """The adversary's step size, entropy bonus and clip range in the place of the agent's."""
        own = {
            name: getattr(self, f"adv_{name}")
            for name in ("learning_rate", "ent_coef", "clip_range")
            if getattr(self, f"adv_{name}") is not None
        }
        return dataclasses.replace(self, **own)


class _Live:
    """The adversary as it now is, sampling: what shows the agent its observations while it learns."""

    def __init__(self, agent: ATLA) -> None:
        self.agent = agent

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        agent = self.agent
        rows = flatten_obs(agent.observation_space, observation, agent.device)
        return sample(agent.adversary, rows, agent.adversary_generator).cpu().numpy(), state


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
        return AttackedVectorEnv(super()._make_env(env), getattr(self, "perturber", None))

    def _build(self) -> None:
        config = self.config
        loss, loss_grad = partial(ppo_loss, config=config), partial(ppo_loss_grad, config=config)
        self.parts = on_policy.build(self, config, loss, loss_grad)
        self.policy, self.obs_norm, self.return_norm = (
            self.parts.policy,
            self.parts.obs_norm,
            self.parts.return_norm,
        )
        self.victim = as_victim(self)
        self.adv_config = config.for_adversary()
        self.adversary_generator = torch.Generator(self.device).manual_seed(own_seed(self.seed, OPPONENT))
        space = attacker_space(self.victim, config.attack)
        side = Side(self.obs_size, action_spec(space), self.device, self.num_envs)
        adv_loss, adv_grad = (
            partial(ppo_loss, config=self.adv_config),
            partial(ppo_loss_grad, config=self.adv_config),
        )
        self.adversary = on_policy.build(side, self.adv_config, adv_loss, adv_grad)
        shown = RandomAttack() if config.adversary == "random" else LearnedAttack(config.attack, _Live(self))
        eps = 0.0 if config.adversary == "none" else config.eps
        budget = Budget(eps, config.norm, ratio=config.attack_ratio)
        self.perturber = Perturber(shown, self.victim, budget, seed=self.seed)
        if self.stepper is not None:
            self._world.perturber = self.perturber

    def _state(self) -> dict[str, Stateful]:
        theirs = self.adversary.state(self.adversary_generator)
        named = {f"adversary_{name}": part for name, part in theirs.items()}
        return self.parts.state(self.generator) | named | {"perturber": GeneratorState(self.perturber.generator)}

    def _resize(self, num_envs: int) -> None:
        super()._resize(num_envs)
        if self.adversary.return_norm is not None:
            self.adversary.return_norm.resize(num_envs)

    def _act(self, rows: torch.Tensor, mask: torch.Tensor | None, deterministic: bool) -> torch.Tensor:
        policy = self.parts.policy.distribution(rows, mask)
        return policy.mode() if deterministic else policy.sample(self.generator)

    def attack(self) -> LearnedAttack:
        """The adversary, sampling, as an attack on this agent or another; see `rlsuite.adversarial.attacks`."""
        return LearnedAttack(self.config.attack, _Live(self))

    @property
    def _world(self) -> AttackedVectorEnv:
        assert isinstance(self.venv, AttackedVectorEnv)  # made by _make_env
        return self.venv

    def learn(
        self,
        total_timesteps: int,
        callback: SB3Callback = None,
        log_interval: int | None = 1,
        tb_log_name: str = "ATLA",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
        on_update: OnUpdate | None = None,
    ) -> Self:
        """Train for at least `total_timesteps` environment steps of both phases; `PPO.learn` has the arguments.

        One update (log line, `on_update`) is one iteration of both phases.
        """
        config = self.config
        with session(
            self, total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar, on_update
        ) as run:
            mine = self.start_runner()
            world = AdversaryVectorEnv(
                self._world.venv,
                self.victim,
                config.attack,
                Budget(config.eps, config.norm),
                deterministic=False,
            )
            world.perturber.generator = self.perturber.generator
            norms = self.adversary.obs_norm, self.adversary.return_norm
            theirs = Runner(Stepper(world, self.device), mine.obs, None, *norms, Mirrored(mine.stats))
            while not run.done:
                self._measure()
                for _ in range(config.n_pro_updates):
                    learned = self._phase(run, config, self.parts, mine, self.generator)
                    if learned is None:
                        return self
                    metrics, batch = learned
                named = on_policy.log_names(metrics, self, batch)
                if config.adversary == "learned":
                    self._measure()
                    world.obs = self._world.true_obs
                    theirs.obs = theirs.see(self._rows(world.obs))
                    for _ in range(config.n_adv_updates):
                        learned = self._phase(run, self.adv_config, self.adversary, theirs, self.adversary_generator)
                        if learned is None:
                            break
                        named |= {f"adversary/{name}": value for name, value in learned[0].items()}
                    self._world.true_obs = world.obs  # stopped or not: the agent goes on from here
                    mine.obs = mine.see(self._rows(self._world.show()))
                    if learned is None:
                        return self
                run.update_end(named, mine.stats)
        return self

    def _measure(self) -> None:
        """Take the budget's unit from the agent's normaliser as it now is."""
        if self.obs_norm is not None:
            self.victim.unit = self.obs_norm.var.cpu().sqrt().clamp_min(1e-8)

    def _rows(self, obs: np.ndarray) -> torch.Tensor:
        return flatten_obs(self.observation_space, obs, self.device)

    def _phase(
        self,
        run: Session,
        config: ATLAConfig,
        parts: on_policy.Parts,
        runner: Runner,
        generator: torch.Generator,
    ) -> tuple[dict[str, float], PolicyBatch] | None:
        """One rollout and update of one player, the other one frozen; None when a callback stopped it."""
        extra, left = None, self._left(run)
        if parts is self.parts and config.sa_coef:
            eps = config.eps * self._grown(left)
            extra = Smoothness(parts, eps=eps, coef=config.sa_coef, steps=config.sa_steps, generator=generator)
        return phase(self, run, config, parts, runner, generator, extra, left)

    def _left(self, run: Session) -> float:
        """Where schedules stand, from 1 to 0."""
        return run.progress_remaining

    def _grown(self, left: float) -> float:
        """Share of its size that the regulariser's box has."""
        warmup = self.config.sa_warmup
        return min(1.0, (1.0 - left) / warmup) if warmup else 1.0
