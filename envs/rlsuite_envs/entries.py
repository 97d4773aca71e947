"""What a family tells the registry about its environments; imports neither torch nor MuJoCo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["KernelEntry"]


@dataclass(frozen=True)
class KernelEntry:
    """One environment written as a kernel."""

    id: str
    """Gymnasium id of the environment: `rlsuite/<Kernel>[-<preset>]-v<n>`."""
    kernel: str
    """ "module:Class" of the kernel, below `rlsuite_envs`."""
    max_episode_steps: int | None
    """Time limit in steps; None where the horizon is one of the kernel's constants, or every episode ends by itself."""
    description: str
    """One line for `rlsuite list`."""
    reward_threshold: float | None = None
    """Return at which Gymnasium calls the task solved."""
    preset: str | None = None
    """Name of the kernel's set of constants; None for its defaults."""
    objectives: int | None = None
    """K where a step pays a vector of K objectives; None where it pays one number."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Constants of the kernel that differ from those of the preset."""
