"""Training under attacked observations: ATLA with the SA regulariser, PROTECTED's set of policies and its choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlsuite.core.faces import face

if TYPE_CHECKING:
    from rlsuite.adversarial.observation.atla import ATLA, ATLAConfig
    from rlsuite.adversarial.observation.exp3 import Exp3, NonDominatedSet
    from rlsuite.adversarial.observation.protected import PROTECTED, PROTECTEDConfig
    from rlsuite.adversarial.observation.smoothness import Smoothness

__all__ = ["ATLA", "PROTECTED", "ATLAConfig", "Exp3", "NonDominatedSet", "PROTECTEDConfig", "Smoothness"]

__getattr__, __dir__, _MODULES = face(
    __name__,
    {
        "atla": "ATLA ATLAConfig",
        "exp3": "Exp3 NonDominatedSet",
        "protected": "PROTECTED PROTECTEDConfig",
        "smoothness": "Smoothness",
    },
)
