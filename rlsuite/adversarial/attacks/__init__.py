"""Attacks on what a policy sees or does: functions `(observations, victim, budget) -> observations`.

From noise to learned attackers; `attacks_for` lists those that a victim can suffer (the catalogue of `rlsuite attack`).
`AttackedEnv`, `AttackedVectorEnv` and `AttackedPolicy` put one between an environment and a policy.

>>> from rlsuite import PPO
>>> from rlsuite.adversarial.attacks import AttackedPolicy, Budget, GradientAttack, as_victim
>>> victim = as_victim(PPO("CartPole-v1"))
>>> policy = AttackedPolicy(victim, GradientAttack(), Budget(0.1))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlsuite.core.faces import face

if TYPE_CHECKING:
    from rlsuite.adversarial.attacks.actions import ActionAttack, MixedAction
    from rlsuite.adversarial.attacks.attacked import AttackedEnv, AttackedPolicy, AttackedVectorEnv, Perturber
    from rlsuite.adversarial.attacks.blackbox import FiniteDifferenceAttack, SearchAttack, TransferAttack
    from rlsuite.adversarial.attacks.budget import Budget, project
    from rlsuite.adversarial.attacks.catalogue import AttackSpec, attacks_for
    from rlsuite.adversarial.attacks.gradient import GradientAttack
    from rlsuite.adversarial.attacks.learned import LearnedAttack, train_attack
    from rlsuite.adversarial.attacks.protocol import Attack
    from rlsuite.adversarial.attacks.sarsa import RobustSarsaAttack, SarsaConfig
    from rlsuite.adversarial.attacks.targeted import RATAttack, RATConfig, TargetedAttack
    from rlsuite.adversarial.attacks.uniform import RandomAttack
    from rlsuite.adversarial.attacks.victim import Victim, as_victim, measured_unit

__all__ = [
    "ActionAttack",
    "Attack",
    "AttackSpec",
    "AttackedEnv",
    "AttackedPolicy",
    "AttackedVectorEnv",
    "Budget",
    "FiniteDifferenceAttack",
    "GradientAttack",
    "LearnedAttack",
    "MixedAction",
    "Perturber",
    "RATAttack",
    "RATConfig",
    "RandomAttack",
    "RobustSarsaAttack",
    "SarsaConfig",
    "SearchAttack",
    "TargetedAttack",
    "TransferAttack",
    "Victim",
    "as_victim",
    "attacks_for",
    "measured_unit",
    "project",
    "train_attack",
]

__getattr__, __dir__, _MODULES = face(
    __name__,
    {
        "actions": "ActionAttack MixedAction",
        "attacked": "AttackedEnv AttackedPolicy AttackedVectorEnv Perturber",
        "blackbox": "FiniteDifferenceAttack SearchAttack TransferAttack",
        "budget": "Budget project",
        "catalogue": "AttackSpec attacks_for",
        "gradient": "GradientAttack",
        "learned": "LearnedAttack train_attack",
        "protocol": "Attack",
        "sarsa": "RobustSarsaAttack SarsaConfig",
        "targeted": "RATAttack RATConfig TargetedAttack",
        "uniform": "RandomAttack",
        "victim": "Victim as_victim measured_unit",
    },
)
