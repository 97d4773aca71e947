"""Off-policy learners: soft actor-critic, and the parts that QARL and others take from it.

`SoftLearner` is one actor, two critics and a temperature with their gradient step; the losses are pure functions.

>>> from rlsuite.off_policy import SAC
>>> model = SAC("Pendulum-v1", num_envs=4).learn(2_000)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlsuite.core.faces import face

if TYPE_CHECKING:
    from rlsuite.off_policy.networks import Actor, TwinCritic
    from rlsuite.off_policy.sac import SAC, SACConfig
    from rlsuite.off_policy.soft_kernel import StepSizes
    from rlsuite.off_policy.soft_learner import SoftLearner, actor_loss, alpha_loss, critic_loss, td_target

__all__ = [
    "SAC",
    "Actor",
    "SACConfig",
    "SoftLearner",
    "StepSizes",
    "TwinCritic",
    "actor_loss",
    "alpha_loss",
    "critic_loss",
    "td_target",
]

__getattr__, __dir__, _MODULES = face(
    __name__,
    {
        "networks": "Actor TwinCritic",
        "sac": "SAC SACConfig",
        "soft_kernel": "StepSizes",
        "soft_learner": "SoftLearner actor_loss alpha_loss critic_loss td_target",
    },
)
