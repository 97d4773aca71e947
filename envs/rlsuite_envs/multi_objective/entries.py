"""The family's ids; imports neither torch nor MuJoCo."""

from __future__ import annotations

from rlsuite_envs.entries import KernelEntry

__all__ = ["ENTRIES"]

ENTRIES: tuple[KernelEntry, ...] = ()
