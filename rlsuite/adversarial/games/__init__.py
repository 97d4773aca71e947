"""Two players: RARL, QARL, their soft players and curricula, exact equilibria, judging against many opponents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlsuite.core.faces import face

if TYPE_CHECKING:
    from rlsuite.adversarial.games.matrix_games import quantal_response, worst_case
    from rlsuite.adversarial.games.panel import judge, worst_case_adversary
    from rlsuite.adversarial.games.qarl import QARL, QARLConfig
    from rlsuite.adversarial.games.rarl import RARL, RARLConfig
    from rlsuite.adversarial.games.sweep import force_sweep, model_sweep
    from rlsuite.adversarial.games.teacher import GammaTeacher

__all__ = [
    "QARL",
    "RARL",
    "GammaTeacher",
    "QARLConfig",
    "RARLConfig",
    "force_sweep",
    "judge",
    "model_sweep",
    "quantal_response",
    "worst_case",
    "worst_case_adversary",
]

__getattr__, __dir__, _MODULES = face(
    __name__,
    {
        "matrix_games": "quantal_response worst_case",
        "panel": "judge worst_case_adversary",
        "qarl": "QARL QARLConfig",
        "rarl": "RARL RARLConfig",
        "sweep": "force_sweep model_sweep",
        "teacher": "GammaTeacher",
    },
)
