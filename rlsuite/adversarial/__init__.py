"""Attacks on learners and on trained policies, and training that withstands them.

Attacks are in `attacks`, training against forces in `games` (RARL, QARL), training under attacked observations in
`observation` (ATLA, PROTECTED), messages that steer learners in `cheap_talk` (ACT). `as_victim` makes any trained
model, Stable-Baselines3's too, something that an attack can read.

>>> from rlsuite.adversarial import RARL
>>> model = RARL("InvertedPendulum-v5", num_envs=4, n_steps=64).learn(2_000)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlsuite.core.faces import face

if TYPE_CHECKING:
    from rlsuite.adversarial.attacks.attacked import AttackedEnv, AttackedPolicy, AttackedVectorEnv
    from rlsuite.adversarial.attacks.budget import Budget
    from rlsuite.adversarial.attacks.catalogue import attacks_for
    from rlsuite.adversarial.attacks.victim import Victim, as_victim
    from rlsuite.adversarial.cheap_talk.act import ACT, ACTConfig
    from rlsuite.adversarial.games.matrix_games import quantal_response
    from rlsuite.adversarial.games.panel import judge, panel, worst_case_adversary
    from rlsuite.adversarial.games.qarl import QARL, QARLConfig
    from rlsuite.adversarial.games.rarl import RARL, RARLConfig
    from rlsuite.adversarial.games.sweep import force_sweep, model_sweep
    from rlsuite.adversarial.observation.atla import ATLA, ATLAConfig
    from rlsuite.adversarial.observation.exp3 import Exp3, NonDominatedSet
    from rlsuite.adversarial.observation.protected import PROTECTED, PROTECTEDConfig

__all__ = [
    "ACT",
    "ATLA",
    "PROTECTED",
    "QARL",
    "RARL",
    "ACTConfig",
    "ATLAConfig",
    "AttackedEnv",
    "AttackedPolicy",
    "AttackedVectorEnv",
    "Budget",
    "Exp3",
    "NonDominatedSet",
    "PROTECTEDConfig",
    "QARLConfig",
    "RARLConfig",
    "Victim",
    "as_victim",
    "attacks_for",
    "force_sweep",
    "judge",
    "model_sweep",
    "panel",
    "quantal_response",
    "worst_case_adversary",
]

__getattr__, __dir__, _MODULES = face(
    __name__,
    {
        "attacks.attacked": "AttackedEnv AttackedPolicy AttackedVectorEnv",
        "attacks.budget": "Budget",
        "attacks.catalogue": "attacks_for",
        "attacks.victim": "Victim as_victim",
        "cheap_talk.act": "ACT ACTConfig",
        "games.matrix_games": "quantal_response",
        "games.panel": "judge panel worst_case_adversary",
        "games.qarl": "QARL QARLConfig",
        "games.rarl": "RARL RARLConfig",
        "games.sweep": "force_sweep model_sweep",
        "observation.atla": "ATLA ATLAConfig",
        "observation.exp3": "Exp3 NonDominatedSet",
        "observation.protected": "PROTECTED PROTECTEDConfig",
    },
)
