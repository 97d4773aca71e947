"""The family's ids; imports neither torch nor MuJoCo."""

from __future__ import annotations

from rlsuite_envs.entries import KernelEntry

__all__ = ["ENTRIES"]

_TALK = "cheap_talk.wrapper:CheapTalk"

ENTRIES: tuple[KernelEntry, ...] = (
    KernelEntry("rlsuite/CheapTalk-v0", _TALK, None, "Any kernel (env=...) with a message about its observation."),
    KernelEntry("rlsuite/CheapTalk-CartPole-v0", _TALK, None, "CartPole, 201 steps, with messages.", preset="CartPole"),
    KernelEntry("rlsuite/CheapTalk-Pendulum-v0", _TALK, None, "TanhPendulum with messages.", preset="Pendulum"),
    KernelEntry("rlsuite/CheapTalk-Reacher-v0", _TALK, None, "TwoLinkReacher with messages.", preset="Reacher"),
    KernelEntry(
        "rlsuite/TanhPendulum-v0",
        "cheap_talk.pendulum:TanhPendulum",
        None,
        "Swing up a pendulum with a squashed torque (cheap talk's victim).",
    ),
    KernelEntry(
        "rlsuite/TwoLinkReacher-v0",
        "cheap_talk.reacher:TwoLinkReacher",
        None,
        "Bring a two-link arm to a goal (cheap talk's victim).",
    ),
)
