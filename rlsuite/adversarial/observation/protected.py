"""PROTECTED's discovery of non-dominated policies (Liu, Deng et al. 2024, arXiv:2402.12673), on ATLA's ground.

A single policy cannot be best against every attacker. PROTECTED finds a small set before deployment, of which EXP3
plays one at a time afterwards (`rlsuite.adversarial.observation.exp3`). A newcomer is worth adding only if some
attacker makes it better than all policies so far, so the attacker is trained to find that advantage (algorithm 2):

    policies <- {pi_1}, trained without attack
    for k = 1 .. K - 1:    pi_{k+1} <- pi_k,  a new attacker nu
        n_updates times:
            k* <- argmax_k' J(pi_k', nu) over the set, estimated anew every `refresh_every` updates
            nu       <- one PPO update up J(pi_{k+1}, nu) - J(pi_{k*}, nu)
            pi_{k+1} <- one PPO update up J(pi_{k+1}, nu)
        policies <- policies + {pi_{k+1}}

As in the release: newcomers are warm-started, attackers and all optimisers begin anew, the attacker's update takes both
batches together with opposite signs of the reward and has a value network for each, the normaliser of observations is
frozen after the first policy, their regulariser is ATLA's `sa_coef` (its box grows with the first policy alone). What
differs: k* is estimated from running episodes (`worth` of one rollout each), not from whole ones, and all phases take
turns in the same episodes, whose returns are those of the mixture; one normaliser scales the rewards of both batches,
so that the difference has one unit; schedules run from beginning to end for each policy; their LSTM policies are not
built; the default sizes fit a CPU (the release has 10 iterations of 2441 updates of 2048 steps).

Measured (results page `attacks`, one seed a task): the strongest of our attacks leaves 99 % of the return on Hopper,
84 % on Walker2d and 85 % on HalfCheetah, where it leaves PPO 32, 63 and 9 %.

`predict` is the newest policy's; `members()` are all of them, for `NonDominatedSet` of
`rlsuite.adversarial.observation.exp3`.
"""

from __future__ import annotations

import dataclasses
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch

from rlsuite.adversarial.attacks.budget import Budget
from rlsuite.adversarial.attacks.heads import of_actor_critic
from rlsuite.adversarial.attacks.learned import AdversaryVectorEnv, attacker_space
from rlsuite.adversarial.attacks.victim import Victim
from rlsuite.adversarial.games.sides import Mirrored, Side, mirrored
from rlsuite.adversarial.observation.atla import ATLA, ATLAConfig
from rlsuite.core import on_policy
from rlsuite.core.collect import Runner, collect
from rlsuite.core.config import check_range
from rlsuite.core.distributions import action_spec
from rlsuite.core.networks import ActorCritic
from rlsuite.core.normalize import ReturnNorm, RunningNorm
from rlsuite.core.persistence import Stateful
from rlsuite.core.schedules import parse_schedule
from rlsuite.core.session import OnUpdate, SB3Callback, Session, session
from rlsuite.core.spaces import flatten_obs
from rlsuite.core.types import PolicyBatch
from rlsuite.core.vector import Stepper
from rlsuite.policy_gradient.ppo import ppo_loss, ppo_loss_grad


@dataclass(frozen=True)
class PROTECTEDConfig(ATLAConfig):
    """ATLA's hyper-parameters, and those of the set.

    Raises:
        ValueError: a value out of range; the message names the field, its value and the range.
    """

    n_policies: int = 4
    """K, policies to find; at least 1."""
    n_updates: int = 100
    """Updates of each newcomer (of the first policy, too); at least 1."""
    refresh_every: int = 10
    """Updates between two estimates of the best policy so far; at least 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        inf = float("inf")
        check_range(self, n_policies=(1, inf), n_updates=(1, inf), refresh_every=(1, inf))
        if self.adversary != "learned":
            raise ValueError(f"PROTECTEDConfig.adversary is {self.adversary!r}; it must be 'learned' (ATLA has others)")


class Member:
    """A policy of the set: acts on raw observations behind the common, frozen normaliser."""

    def __init__(self, agent: PROTECTED, policy: ActorCritic) -> None:
        self.agent, self.policy = agent, policy
        self.observation_space, self.action_space = agent.observation_space, agent.action_space
        self.generator = agent.generator

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """Actions [B, ...] for raw observations [B, ...]."""
        agent = self.agent
        with torch.no_grad():
            policy = self.policy.distribution(agent.inputs(agent._rows(observation)))
            action = policy.mode() if deterministic else policy.sample(self.generator)
        return agent.spec.to_env(action).cpu().numpy(), state


class _Split:
    """The attacker as `collect` wants it: one network acts, another judges."""

    def __init__(self, actor: on_policy.Parts, critic: on_policy.Parts) -> None:
        self.sample, self.log_prob = actor.backend.sample, actor.backend.log_prob
        self.values = critic.backend.values


class _Counters:
    """Where the search stands, as a `Stateful`."""

    def __init__(self) -> None:
        self.found, self.update, self.best = 0, 0, 0

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"counters": torch.tensor([self.found, self.update, self.best])}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self.found, self.update, self.best = (int(x) for x in state["counters"])


class PROTECTED(ATLA):
    """Finds a set of non-dominated policies; see the module, `rlsuite.core.agent.Agent` and `PROTECTEDConfig`.

    A subclass of ATLA, whose ground (who shows what to whom) it needs unchanged; the search is its own.

    Example:
        >>> from rlsuite import PROTECTED
        >>> model = PROTECTED("InvertedPendulum-v5", num_envs=4, n_steps=64, n_policies=2, n_updates=2)
        >>> len(model.learn(4_000).members())
        2
    """

    config_class = PROTECTEDConfig
    stored: ClassVar = ATLA.stored | {"n_policies": "set of policies"}
    config: PROTECTEDConfig

    def _build(self) -> None:
        super()._build()
        config = self.config
        self.slots = [deepcopy(self.parts.policy) for _ in range(config.n_policies)]
        self.counters = _Counters()
        space = attacker_space(self.victim, config.attack)
        side = Side(self.obs_size, action_spec(space), self.device, self.num_envs)
        acting = dataclasses.replace(self.adv_config, vf_coef=0.0)
        judging = dataclasses.replace(self.adv_config, ent_coef=0.0, normalize_advantage=False, vf_coef=0.5)
        self.attacker_configs = (acting, judging, judging)
        # the actor, its critic against the newcomer, and its critic against the best of the set
        self.attacker = [
            on_policy.build(side, c, partial(ppo_loss, config=c), partial(ppo_loss_grad, config=c))
            for c in self.attacker_configs
        ]
        self.adversary = dataclasses.replace(self.attacker[0], obs_norm=self.adversary.obs_norm)
        self.fresh = deepcopy([parts.flat.data for parts in self.attacker])

    def _state(self) -> dict[str, Stateful]:
        parts = super()._state() | {"counters": self.counters}
        for i, part in enumerate(self.attacker[1:]):
            parts |= {f"attacker_critic{i}": part.policy, f"attacker_critic_optimizer{i}": part.optimizer}
        if self.attacker[1].return_norm is not None:
            parts["attacker_return_norm"] = self.attacker[1].return_norm
        return parts | {f"member{i}": policy for i, policy in enumerate(self.slots)}

    def _resize(self, num_envs: int) -> None:
        super()._resize(num_envs)
        if self.attacker[1].return_norm is not None:
            self.attacker[1].return_norm.resize(num_envs)

    def inputs(self, rows: torch.Tensor) -> torch.Tensor:
        """Network inputs [B, O] of raw rows."""
        return rows.float() if self.obs_norm is None else self.obs_norm.normalize(rows)

    def members(self) -> list[Member]:
        """The policies found so far, the unattacked one first."""
        return [Member(self, policy) for policy in self.slots[: self.counters.found]]

    def learn(
        self,
        total_timesteps: int,
        callback: SB3Callback = None,
        log_interval: int | None = 1,
        tb_log_name: str = "PROTECTED",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
        on_update: OnUpdate | None = None,
    ) -> Self:
        """Search until K policies are found, or for `total_timesteps` environment steps; see `PPO.learn`.

        A policy takes n_updates * (3 rollouts + the estimates); the first one a single rollout per update.
        """
        config, count = self.config, self.counters
        with session(
            self, total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar, on_update
        ) as run:
            self._set_budget()
            mine = self.start_runner()
            if self.obs_norm is not None:
                self.obs_norm.frozen = count.found > 0
            while not run.done and count.found < config.n_policies:
                self._measure()
                self._set_budget()
                named: dict[str, float] = {}
                if count.found:
                    if count.update % config.refresh_every == 0 and not self._refresh(run, mine):
                        return self
                    attacked = self._attacker_update(run, mine)
                    if attacked is None:
                        return self
                    named = {f"adversary/{name}": value for name, value in attacked.items()}
                learned = self._phase(run, config, self.parts, mine, self.generator)
                if learned is None:
                    return self
                count.update += 1
                if count.update == config.n_updates:
                    self._admit()
                named |= on_policy.log_names(learned[0], self, learned[1]) | {"train/policies": count.found}
                run.update_end(named, mine.stats)
        return self

    def _left(self, run: Session) -> float:
        """Every policy has whole schedules."""
        return 1.0 - self.counters.update / self.config.n_updates

    def _grown(self, left: float) -> float:
        """The regulariser's box grows with the first policy; the others begin from a smooth one."""
        return 1.0 if self.counters.found else super()._grown(left)

    def _set_budget(self) -> None:
        """The first policy learns from the truth; nobody attacks it yet."""
        config = self.config
        self.perturber.budget = Budget(config.eps if self.counters.found else 0.0, config.norm)

    def _admit(self) -> None:
        """Add the newcomer to the set, and begin the next one from it against a new attacker."""
        count = self.counters
        self.slots[count.found].load_state_dict(self.parts.policy.state_dict())
        count.found, count.update, count.best = count.found + 1, 0, 0
        if self.obs_norm is not None:
            self.obs_norm.frozen = True
        for parts, weights in zip(self.attacker, self.fresh, strict=True):
            parts.flat.data.copy_(weights)
        if self.config.normalize_reward:
            gamma = self.config.gamma
            self.attacker[1].return_norm = ReturnNorm(self.num_envs, gamma=gamma, device=self.device)
        if self.config.normalize_obs:
            self.adversary.obs_norm = RunningNorm((self.obs_size,), device=self.device)
        for parts in (self.parts, *self.attacker):
            for moment in (parts.optimizer.mean, parts.optimizer.square, parts.optimizer.steps):
                moment.zero_()

    def _world_of(self, victim: Victim, paid: float) -> AdversaryVectorEnv:
        """The attacker's side of the running episodes, before one policy."""
        budget = Budget(self.config.eps, self.config.norm)
        world = AdversaryVectorEnv(self._world.venv, victim, self.config.attack, budget, deterministic=False, paid=paid)
        world.perturber.generator = self.perturber.generator
        world.obs = self._world.true_obs
        return world

    def _victim_of(self, policy: ActorCritic) -> Victim:
        """A member as a victim."""
        heads, value = of_actor_critic(policy, self.inputs)
        return dataclasses.replace(self.victim, model=Member(self, policy), heads=heads, value=value)

    def victims(self) -> list[Victim]:
        """The policies found so far, each as a victim: an attacker that sees the set strikes the one that plays."""
        self._measure()
        return [self._victim_of(policy) for policy in self.slots[: self.counters.found]]

    def _face(
        self, run: Session, mine: Runner, victim: Victim, critic: int, paid: float
    ) -> tuple[PolicyBatch, float] | None:
        """One rollout of the attacker before a policy: its batch, and what the policy is worth under it."""
        world, norm = self._world_of(victim, paid), self.attacker[1].return_norm
        if norm is not None:
            norm.frozen = paid < 0  # the newcomer's rewards set the unit
        stats = Mirrored(mine.stats, paid)
        runner = Runner(Stepper(world, self.device), mine.obs, None, self.adversary.obs_norm, norm, stats)
        runner.obs = runner.see(flatten_obs(self.observation_space, world.obs, self.device))
        run.rollout_start()
        actor = _Split(self.attacker[0], self.attacker[critic])
        on_step = run.on_step if paid > 0 else mirrored(run.on_step)
        rollout = collect(actor, runner, self.config.n_steps, self.adversary_generator, on_step)
        self._world.true_obs = world.obs
        if rollout is None:  # stopped: the newcomer goes on from here
            mine.obs = mine.see(self._rows(self._world.show()))
            return None
        steps = self.config.n_steps * self.num_envs
        run.rollout_end(steps)
        batch = on_policy.targets(rollout, gamma=self.config.gamma, gae_lambda=self.config.gae_lambda)
        fallen = float(rollout.terminated.float().mean())
        return batch, worth(stats.total / steps, fallen, self.config.gamma)

    def _refresh(self, run: Session, mine: Runner) -> bool:
        """Find the policy of the set that stands the attacker best; False when a callback stopped it."""
        rewards = []
        for policy in self.slots[: self.counters.found]:
            found = self._face(run, mine, self._victim_of(policy), 2, -1.0)
            if found is None:
                return False
            rewards.append(found[1])
        self.counters.best = int(np.argmax(rewards))
        return True

    def _attacker_update(self, run: Session, mine: Runner) -> dict[str, float] | None:
        """One PPO update of the attacker on both batches; None when a callback stopped it."""
        newcomer = self._face(run, mine, self.victim, 1, 1.0)
        best = newcomer and self._face(run, mine, self._victim_of(self.slots[self.counters.best]), 2, -1.0)
        if newcomer is None or best is None:
            return None
        mine.obs = mine.see(self._rows(self._world.show()))
        batches = newcomer[0], best[0]
        columns = {f.name: [getattr(b, f.name) for b in batches] for f in dataclasses.fields(PolicyBatch)}
        both = PolicyBatch(**{n: None if c[0] is None else torch.cat(c) for n, c in columns.items()})
        left = self._left(run)
        metrics: dict[str, float] = {}
        jobs = zip(self.attacker, self.attacker_configs, (both, *batches), strict=True)
        for i, (parts, config, batch) in enumerate(jobs):
            if i:  # critics: without advantages the policy's gradient is 0
                batch = dataclasses.replace(batch, advantage=torch.zeros_like(batch.advantage))
            rates = {n: parse_schedule(getattr(config, n))(left) for n in ("learning_rate", "clip_range")}
            found = on_policy.update(parts, batch, config, self.adversary_generator, **rates, extra=None)
            metrics = metrics or found
        metrics |= {"newcomer": newcomer[1], "best": best[1], "advantage": newcomer[1] - best[1]}
        return metrics


def worth(reward: float, fallen: float, gamma: float) -> float:
    """Discounted return of whoever earns `reward` a step and has a chance `fallen` that each step is its last.

    Reward per step alone would prefer a robot that falls quickly and well: a new episode begins for nothing.
    """
    return reward / max(1.0 - gamma * (1.0 - fallen), 1e-6)
