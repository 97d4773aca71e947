"""Adversarial cheap talk: words evolved against whole training runs of victims, all trained at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlsuite.core.faces import face

if TYPE_CHECKING:
    from rlsuite.adversarial.cheap_talk.act import ACT, ACTConfig
    from rlsuite.adversarial.cheap_talk.control import Controller, control_returns
    from rlsuite.adversarial.cheap_talk.evolution import OpenES, OpenESConfig
    from rlsuite.adversarial.cheap_talk.victim_ppo import VictimConfig
    from rlsuite.adversarial.cheap_talk.victims import Victims

__all__ = ["ACT", "ACTConfig", "Controller", "OpenES", "OpenESConfig", "VictimConfig", "Victims", "control_returns"]

__getattr__, __dir__, _MODULES = face(
    __name__,
    {
        "act": "ACT ACTConfig",
        "control": "Controller control_returns",
        "evolution": "OpenES OpenESConfig",
        "victim_ppo": "VictimConfig",
        "victims": "Victims",
    },
)
