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

from copy import deepcopy
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from rlsuite.adversarial.attacks.attacked import AttackedVectorEnv
from rlsuite.adversarial.attacks.budget import Budget
from rlsuite.adversarial.attacks.learned import LearnedAttack
from rlsuite.adversarial.attacks.victim import Victim, victim_of
from rlsuite.adversarial.games.sides import Mirrored, Player, mirrored, phase, ppo_parts
from rlsuite.adversarial.observation.atla import ATLAConfig, Ground
from rlsuite.core import on_policy
from rlsuite.core.agent import Agent, EnvLike
from rlsuite.core.brain import Brain
from rlsuite.core.collect import Runner
from rlsuite.core.config import check_range
from rlsuite.core.members import Member
from rlsuite.core.networks import ActorCritic
from rlsuite.core.normalize import ReturnNorm, RunningNorm
from rlsuite.core.schedules import Rates
from rlsuite.core.session import Session
from rlsuite.core.stateful import Stateful
from rlsuite.core.types import PolicyBatch
from rlsuite.core.vector import Stepper


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


class _Split:
    """The attacker as an actor for `collect`: actions from one network, values from another."""

    def __init__(self, actor: on_policy.Parts, critic: on_policy.Parts) -> None:
        self.sample = actor.backend.sample
        self.log_prob = actor.backend.log_prob
        self.values = critic.backend.values


class _Counters:
    """Counters of the search (policies found, update, index of the best one), as a `Stateful`."""

    def __init__(self) -> None:
        self.found = 0
        self.update = 0
        self.best = 0

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"counters": torch.tensor([self.found, self.update, self.best])}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self.found, self.update, self.best = (int(x) for x in state["counters"])


class PROTECTED(Agent):
    """Finds a set of non-dominated policies; see the module, `rlsuite.core.agent.Agent` and `PROTECTEDConfig`.

    Training ends when K policies are found. A policy takes n_updates * (3 rollouts + the estimates), the first one a
    single rollout per update.

    Example:
        >>> from rlsuite import PROTECTED
        >>> model = PROTECTED("InvertedPendulum-v5", num_envs=4, n_steps=64, n_policies=2, n_updates=2)
        >>> len(model.learn(4_000).members())
        2
    """

    config_class = PROTECTEDConfig
    stored: ClassVar = Agent.stored | {"attack": "adversary's networks", "n_policies": "set of policies"}
    config: PROTECTEDConfig

    def _make_env(self, env: EnvLike) -> VectorEnv[Any, Any, Any]:
        return AttackedVectorEnv(super()._make_env(env))

    def set_env(self, env: EnvLike, *, num_envs: int | None = None, env_kwargs: dict[str, Any] | None = None) -> None:
        """Search in another environment from now on; see `Agent.set_env`."""
        super().set_env(env, num_envs=num_envs, env_kwargs=env_kwargs)
        self.ground.show()

    def build(self) -> Brain:
        """Make the newcomer, the set, and the attacker with its two critics."""
        config, self.ground = self.config, Ground(self, self.config)
        ground = self.ground
        self.parts = ground.parts
        self.perturber = ground.perturber
        self.slots = [deepcopy(self.parts.policy) for _ in range(config.n_policies)]
        self.counters = _Counters()
        acting = replace(ground.adv_config, vf_coef=0.0)
        judging = replace(ground.adv_config, ent_coef=0.0, normalize_advantage=False, vf_coef=0.5)
        self.attacker_configs = (acting, judging, judging)
        # the actor, its critic against the newcomer, and its critic against the best of the set
        self.attacker = [ppo_parts(ground.side, c) for c in self.attacker_configs]
        self.adversary = ground.adversary = replace(self.attacker[0], obs_norm=ground.adversary.obs_norm)
        self.fresh = deepcopy([parts.flat.data for parts in self.attacker])
        return replace(ground.brain, state=self._state, members=self._found)

    def _state(self) -> dict[str, Stateful]:
        parts = self.ground.state() | {"counters": self.counters}
        for i, part in enumerate(self.attacker[1:]):
            parts |= {f"attacker_critic{i}": part.policy, f"attacker_critic_optimizer{i}": part.optimizer}
        if self.attacker[1].return_norm is not None:
            parts["attacker_return_norm"] = self.attacker[1].return_norm
        return parts | {f"member{i}": policy for i, policy in enumerate(self.slots)}

    def _found(self) -> list[Member]:
        """The policies found so far, the unattacked one first."""
        return [self._member(policy) for policy in self.slots[: self.counters.found]]

    def _member(self, policy: ActorCritic) -> Member:
        """A policy of the set behind the common normaliser."""
        spaces = self.observation_space, self.action_space
        return Member(policy, self.obs_norm, *spaces, self.spec, self.device, self.generator)

    def attack(self) -> LearnedAttack:
        """The newest attacker, sampling, as an attack; see `rlsuite.adversarial.attacks`."""
        return self.ground.attack()

    def train(self, run: Session) -> None:
        """One update is one of the newcomer, with those of its attacker."""
        config, count, ground = self.config, self.counters, self.ground
        self._set_budget()
        mine = Player(config, self.parts, self.start_runner(), self.generator)
        if self.obs_norm is not None:
            self.obs_norm.frozen = count.found > 0
        while not run.done and count.found < config.n_policies:
            ground.measure()
            self._set_budget()
            named: dict[str, float] = {}
            if count.found:
                if count.update % config.refresh_every == 0 and not self._refresh(run, mine.runner):
                    return
                attacked = self._attacker_update(run, mine.runner)
                if attacked is None:
                    return
                named = {f"adversary/{name}": value for name, value in attacked.items()}
            # the regulariser's box grows with the first policy; the others begin from a smooth one
            smooth = ground.smoothness(1.0 if count.found else config.grown(self._left()))
            learned = phase(self, run, mine, smooth, self._left())
            if learned is None:
                return
            count.update += 1
            if count.update == config.n_updates:
                self._admit()
            named |= on_policy.log_names(learned[0], self, learned[1]) | {"train/policies": count.found}
            run.update_end(named, mine.runner.stats)

    def _left(self) -> float:
        """Remaining progress at which schedules are read, from 1 to 0; it restarts with every policy."""
        return 1.0 - self.counters.update / self.config.n_updates

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

    def _victim_of(self, policy: ActorCritic) -> Victim:
        """A policy of the set as the attack sees it, at the common unit."""
        member = self._member(policy)
        return replace(victim_of(member, member.brain), unit=self.ground.victim.unit)

    def _face(
        self, run: Session, mine: Runner, victim: Victim, critic: int, paid: float
    ) -> tuple[PolicyBatch, float] | None:
        """One rollout of the attacker against a policy: its batch, and the policy's `worth` under attack."""
        world, norm = self.ground.facing(victim, paid), self.attacker[1].return_norm
        if norm is not None:
            norm.frozen = paid < 0  # the newcomer's rewards set the unit
        enter = Mirrored(mine.stats, paid)
        norms = self.adversary.obs_norm, norm
        runner = Runner(Stepper(world, self.device, shares=mine.stepper), mine.obs, None, *norms, mine.stats, enter)
        runner.obs = runner.see(self.ground.rows(world.obs))
        actor = _Split(self.attacker[0], self.attacker[critic])
        on_step = run.on_step if paid > 0 else mirrored(run.on_step)
        rollout = run.collect(actor, runner, self.config.n_steps, self.ground.generator, on_step=on_step)
        self.ground.world.true_obs = world.obs
        if rollout is None:  # stopped: the newcomer goes on from here
            mine.obs = mine.see(self.ground.rows(self.ground.world.show()))
            return None
        batch = on_policy.targets(rollout, gamma=self.config.gamma, gae_lambda=self.config.gae_lambda)
        fallen = float(rollout.terminated.float().mean())
        return batch, worth(enter.total / rollout.reward.numel(), fallen, self.config.gamma)

    def _refresh(self, run: Session, mine: Runner) -> bool:
        """Find the policy of the set that is most robust to the attacker; False when a callback stopped it."""
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
        newcomer = self._face(run, mine, self.ground.victim, 1, 1.0)
        best = newcomer and self._face(run, mine, self._victim_of(self.slots[self.counters.best]), 2, -1.0)
        if newcomer is None or best is None:
            return None
        mine.obs = mine.see(self.ground.rows(self.ground.world.show()))
        batches = newcomer[0], best[0]
        columns = {f.name: [getattr(b, f.name) for b in batches] for f in fields(PolicyBatch)}
        both = PolicyBatch(**{n: None if c[0] is None else torch.cat(c) for n, c in columns.items()})
        metrics: dict[str, float] = {}
        jobs = zip(self.attacker, self.attacker_configs, (both, *batches), strict=True)
        for i, (parts, config, batch) in enumerate(jobs):
            if i:  # critics: without advantages the policy's gradient is 0
                batch = replace(batch, advantage=torch.zeros_like(batch.advantage))
            now = Rates(config, "learning_rate", "clip_range").at(self._left())
            found, _ = on_policy.update(parts, batch, config, self.ground.generator, **now)
            metrics = metrics or found
        metrics |= {"newcomer": newcomer[1], "best": best[1], "advantage": newcomer[1] - best[1]}
        return metrics


def worth(reward: float, fallen: float, gamma: float) -> float:
    """Expected discounted return at mean reward `reward` and termination probability `fallen` per step.

    Reward per step alone would prefer a robot that falls quickly and well: a new episode begins for nothing.
    """
    return reward / max(1.0 - gamma * (1.0 - fallen), 1e-6)
