"""Parts of an agent as a checkpoint sees them: named tensors, and what is carried from step to step."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, runtime_checkable

import torch

from rlsuite.core.rng import pack_rng, unpack_rng

__all__ = ["Cuttable", "GeneratorState", "Ledger", "Stateful"]


class Stateful(Protocol):
    """Anything whose tensors a checkpoint holds."""

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Named tensors."""

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> Any:
        """Restore what `state_dict` gave."""


@runtime_checkable
class Cuttable(Protocol):
    """A part that carries something from step to step, such as a running return or an n-step window."""

    def cut(self) -> None:
        """Reset what is carried: the next step belongs to new episodes, though no done flag ended the old ones."""


class GeneratorState:
    """A torch generator as a `Stateful`."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The generator's state, uint8."""
        return {"state": pack_rng(self.generator)}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Set the generator's state."""
        unpack_rng(self.generator, state["state"])


class Ledger:
    """Whole numbers and NumPy arrays of an object as a `Stateful`; a subclass names its attributes."""

    counters: ClassVar[tuple[str, ...]]
    arrays: ClassVar[tuple[str, ...]]

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The numbers as one int64 tensor, and copies of the arrays."""
        numbers = torch.tensor([int(getattr(self, name)) for name in self.counters])
        return {"counters": numbers} | {name: torch.from_numpy(getattr(self, name).copy()) for name in self.arrays}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Restore what `state_dict` gave.

        Raises:
            ValueError: another number of counters.
        """
        for name, value in zip(self.counters, state["counters"].tolist(), strict=True):
            setattr(self, name, int(value))
        for name in self.arrays:
            setattr(self, name, state[name].cpu().numpy().copy())
