"""Whole episodes of unlike lengths, padded to one: [E, T, ...].

Letters: E episodes, T steps of the longest one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Episodes", "join_episodes"]


@dataclass(frozen=True)
class Episodes:
    """E episodes. What is beyond an episode's length is padding: zeros, which no number may depend on.

    Raises:
        ValueError: a field of another number of episodes or steps, or a length outside 0..T.
    """

    fields: Mapping[str, Tensor]
    """What was noted at each step, by name, [E, T, ...]."""
    length: Tensor
    """Steps of each episode, [E] int64."""

    def __post_init__(self) -> None:
        shapes = {name: tuple(x.shape[:2]) for name, x in self.fields.items()}
        if len(set(shapes.values())) != 1:
            raise ValueError(f"fields must share their first two sizes, episodes and steps; they are {shapes}")
        episodes, steps = next(iter(shapes.values()))
        if self.length.shape != (episodes,):
            raise ValueError(f"length has shape {tuple(self.length.shape)}; {episodes} episodes need ({episodes},)")
        if episodes and not 0 <= int(self.length.min()) <= int(self.length.max()) <= steps:
            raise ValueError(f"lengths {self.length.tolist()} must lie in 0..{steps}, the steps that the fields have")

    def __len__(self) -> int:
        return len(self.length)

    def __getitem__(self, name: str) -> Tensor:
        return self.fields[name]

    @property
    def steps(self) -> int:
        """T."""
        return next(iter(self.fields.values())).shape[1]

    @property
    def valid(self) -> Tensor:
        """Whether a step is the episode's own and no padding, [E, T] bool."""
        return torch.arange(self.steps, device=self.length.device) < self.length[:, None]

    def last(self, name: str) -> Tensor:
        """A field [E, ...] at the last step of every episode, of which each has one."""
        return self.fields[name][torch.arange(len(self), device=self.length.device), self.length - 1]

    def take(self, index: Tensor) -> Episodes:
        """Some of them, [n] int64 or a mask [E], without steps that are padding for all."""
        length = self.length[index]
        longest = int(length.max()) if len(length) else 0
        return Episodes({name: x[index][:, :longest] for name, x in self.fields.items()}, length)


def join_episodes(parts: Sequence[Episodes]) -> Episodes:
    """All episodes of some batches, padded to the longest.

    Args:
        parts: at least one, with the same fields.

    Raises:
        ValueError: none, or other fields.
    """
    if not parts:
        raise ValueError("there are no episodes to join; give at least one batch")
    names = list(parts[0].fields)
    for part in parts:
        if set(part.fields) != set(names):
            raise ValueError(f"episodes with fields {sorted(part.fields)} cannot join those with {sorted(names)}")
    longest = max(part.steps for part in parts)
    fields = {name: torch.cat([_padded(part[name], longest) for part in parts]) for name in names}
    return Episodes(fields, torch.cat([part.length for part in parts]))


def _padded(x: Tensor, steps: int) -> Tensor:
    """The field [E, T, ...] with zeros up to `steps`."""
    return torch.cat((x, x.new_zeros(len(x), steps - x.shape[1], *x.shape[2:])), 1)
