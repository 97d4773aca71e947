"""Every attack by its name: what it is, whom it can attack, and how it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rlsuite.adversarial.attacks.actions import ActionAttack, MixedAction
from rlsuite.adversarial.attacks.attacked import AttackedPolicy, check_attack
from rlsuite.adversarial.attacks.blackbox import (
    FiniteDifferenceAttack,
    SearchAttack,
    TransferAttack,
)
from rlsuite.adversarial.attacks.budget import Budget
from rlsuite.adversarial.attacks.gradient import GradientAttack
from rlsuite.adversarial.attacks.learned import LearnedAttack, train_attack
from rlsuite.adversarial.attacks.sarsa import RobustSarsaAttack, SarsaConfig
from rlsuite.adversarial.attacks.uniform import RandomAttack
from rlsuite.adversarial.attacks.victim import Victim
from rlsuite.core.config import nearest

__all__ = ["ATTACKS", "AttackSpec", "Target", "attacked", "attacks_for"]


@dataclass(frozen=True)
class Target:
    """Environment, seed and training effort of an attack on a victim."""

    env: str
    """Gymnasium id of the environment."""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    """Seed of everything an attack learns or draws."""
    effort: float = 1.0
    """Training of attacks that learn, as a multiple of the default, > 0."""


@dataclass(frozen=True)
class AttackSpec:
    """An attack of the zoo."""

    what: str
    """One line for tables."""
    make: Callable[[Victim, Target, Budget], Any]
    check: Callable[[Victim], None]
    """Raises ValueError if the victim cannot be attacked so."""
    on_actions: bool = False
    """Whether actions are changed, not observations."""
    learns: str = ""
    """"" (nothing), "run" (once for a victim) or "budget" (anew for each budget)."""
    largest_eps: float = float("inf")
    """Largest eps the attack accepts: 1 where eps is a fraction or a probability."""


def _plain(what: str, attack: Any) -> AttackSpec:
    return AttackSpec(what, lambda victim, target, budget: attack, lambda victim: check_attack(attack, victim))


def _learned(kind: str, what: str) -> AttackSpec:
    def make(victim: Victim, target: Target, budget: Budget) -> LearnedAttack:
        steps = int(500_000 * target.effort)
        return train_attack(
            victim, target.env, kind, budget, steps=steps, seed=target.seed, env_kwargs=target.env_kwargs
        )

    return AttackSpec(what, make, lambda victim: LearnedAttack(kind, victim.model).check(victim), learns="budget")


def _sarsa(victim: Victim, target: Target, budget: Budget) -> RobustSarsaAttack:
    config = SarsaConfig(rounds=max(3, round(30 * target.effort)))
    return RobustSarsaAttack.fit(victim, target.env, config, seed=target.seed, env_kwargs=target.env_kwargs)


def _transfer(victim: Victim, target: Target, budget: Budget) -> TransferAttack:
    steps, epochs = max(50, round(500 * target.effort)), max(5, round(30 * target.effort))
    return TransferAttack.fit(
        victim, target.env, steps=steps, epochs=epochs, seed=target.seed, env_kwargs=target.env_kwargs
    )


def _on_actions(kind: str, what: str) -> AttackSpec:
    return AttackSpec(
        what,
        lambda victim, target, budget: ActionAttack(kind, budget.eps, budget.norm),
        lambda victim: ActionAttack(kind, 0.0).check(victim),
        on_actions=True,
    )


def _mixed(kind: str, what: str) -> AttackSpec:
    return AttackSpec(
        what,
        lambda victim, target, budget: MixedAction(budget.eps, kind=kind),
        lambda victim: MixedAction(0.0, kind=kind).check(victim),
        on_actions=True,
        largest_eps=1.0,
    )


ATTACKS: Mapping[str, AttackSpec] = {
    "random": _plain("uniform noise in the ball", RandomAttack()),
    "fgsm": _plain("one gradient step on the policy's loss", GradientAttack("fgsm")),
    "pgd": _plain("ten projected gradient steps on the policy's loss", GradientAttack("pgd")),
    "critic": _plain("gradient steps down the critic's value", GradientAttack("critic")),
    "q": _plain("gradient steps down Q(s, pi(s~))", GradientAttack("q")),
    "mad": _plain("maximal action difference, KL(pi(s) || pi(s~))", GradientAttack("mad")),
    "min-q": _plain("towards the choice of least Q or probability", GradientAttack("min-q")),
    "robust-sarsa": AttackSpec(
        "gradient steps down a robustly learned Q", _sarsa, RobustSarsaAttack.check, learns="run"
    ),
    "sa-rl": _learned("sa-rl", "a learned adversary that moves the observation"),
    "pa-ad": _learned("pa-ad", "a learned director in action space, one gradient step as its actor"),
    "search": _plain("black box: the best of 32 points on the sphere", SearchAttack()),
    "finite-difference": _plain("black box: estimated gradient of the action's change", FiniteDifferenceAttack()),
    "transfer": AttackSpec(
        "black box: maximal action difference on an imitation", _transfer, lambda victim: None, learns="run"
    ),
    "action-noise": _on_actions("action-noise", "uniform noise on the action (half ranges)"),
    "action-q": _on_actions("action-q", "the action moved down Q (half ranges)"),
    "action-mas": _on_actions("action-mas", "the action moved where the policy puts no density (half ranges)"),
    "blend": _mixed("blend", "a share eps of a random action (NR-MDP)"),
    "swap": _mixed("swap", "a random action with probability eps (PR-MDP)"),
}
"""The attacks by name, weakest families first."""


def attacks_for(victim: Victim, words: str = "all") -> list[str]:
    """Names of attacks: those in `words` (separated by commas), or "all" that this victim can suffer.

    "observations" and "actions" are the two halves of all.

    Raises:
        ValueError: an unknown name, or one that cannot attack this victim.
    """
    found: dict[str, None] = {}
    for word in (word.strip() for word in words.split(",") if word.strip()):
        if word in ("all", "observations", "actions"):
            for name, spec in ATTACKS.items():
                if (word == "all" or spec.on_actions == (word == "actions")) and _can(spec, victim):
                    found[name] = None
            continue
        if word not in ATTACKS:
            raise ValueError(f"attack {word!r} is unknown: {nearest(word, [*ATTACKS, 'all'])}")
        ATTACKS[word].check(victim)
        found[word] = None
    if not found:
        raise ValueError(f"no attack named; give all, observations, actions, or some of {', '.join(ATTACKS)}")
    return list(found)


def _can(spec: AttackSpec, victim: Victim) -> bool:
    try:
        spec.check(victim)
    except ValueError:
        return False
    return True


def attacked(victim: Victim, name: str, made: Any, budget: Budget, *, seed: int = 0) -> AttackedPolicy:
    """The victim under the attack `name`, as made by its spec."""
    if ATTACKS[name].on_actions:
        return AttackedPolicy(victim, action_attack=made, seed=seed)
    return AttackedPolicy(victim, made, budget, seed=seed)
