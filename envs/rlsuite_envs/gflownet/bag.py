"""Bags of letters that pay for many equal ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import torch
from torch import Tensor

from rlsuite_envs.checks import check_integer, check_positive
from rlsuite_envs.gflownet.composed import Composed

__all__ = ["Bag", "BagParams"]

MOST_BAGS = 2_000_000
"""Most bags that are listed, and fillers that are numbered."""


@dataclass(frozen=True)
class BagParams:
    """Constants; the defaults are the published ones."""

    letters: int = 7
    """Kinds of letters, 2 to 12."""
    size: int = 13
    """Letters of a finished bag, at most 30."""
    group: int = 7
    """Equal letters that make a bag a good one; more than half of `size`, so that only one letter can."""
    base: float = 0.01
    """Reward of any bag, above 0."""
    good: float = 10.0
    """Reward of a good one, above 0."""
    mode: float = 30.0
    """Reward of a mode, above 0."""
    mode_every: int = 4
    """Of the fillers beside exactly `group` equal letters, in the order of the alphabet, every so many makes a mode."""

    def __post_init__(self) -> None:
        check_integer(self, "letters", 2, 12)
        check_integer(self, "size", 1, 30)
        check_integer(self, "group", self.size // 2 + 1, self.size)
        check_integer(self, "mode_every", 1, 1_000_000)
        check_positive(self, "base", "good", "mode")
        fillers = (self.size - self.group + 1) ** (self.letters - 1)
        if fillers > MOST_BAGS:
            raise ValueError(
                f"group={self.group} leaves fillers of too many kinds to number; raise it, or lower letters."
            )


class Bag(Composed):
    """Bag: put letters into a bag, one at a time, until it is full; many equal ones pay.

    ## Description
    An object is a multiset of 13 of 7 letters. It pays 0.01; 10 if some letter is in it at least 7 times; and 30 if it
    is a mode: one letter exactly 7 times, and beside it a filler of the other six letters whose place in the order of
    the alphabet is a multiple of 4. (The published list of modes draws ordered fillers at random, of which nearly every
    multiset is one; the rule here keeps a quarter of them.)

    ## Action Space
    `Discrete(8)`: add that letter; the last one stops, which only a full bag can. `info["action_mask"]` tells.

    ## Observation Space
    `Box(0, 13, (7,))` int64: how often each letter is in the bag.

    ## Rewards
    The bag's where it is finished, else 0.

    ## Starting State
    The empty bag.

    ## Episode End
    Termination: the bag is finished, at step 14. An action that is not allowed changes nothing; truncation at step 15.

    ## Arguments
    The fields of `BagParams`. Presets: "small" (4 letters, 5 of them, 3 equal ones).

    Source: Shen et al. 2023 (arXiv 2305.07170), section 6.
    """

    params_class = BagParams
    params: BagParams
    presets = {"small": BagParams(letters=4, size=5, group=3)}  # noqa: RUF012  # the base says Mapping

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        letters, rest = self.params.letters, self.params.size - self.params.group
        # a filler is numbered by the digits of its letters' counts
        self._digits = (rest + 1) ** torch.arange(letters - 2, -1, -1, device=self.device)
        is_mode = torch.zeros((rest + 1) ** (letters - 1), dtype=torch.bool)
        for place, filler in enumerate(combinations_with_replacement(range(letters - 1), rest)):
            if place % self.params.mode_every == 0:
                is_mode[sum(int(self._digits[letter]) for letter in filler)] = True
        self._is_mode = is_mode.to(self.device)

    @property
    def num_moves(self) -> int:
        """One for each letter."""
        return self.params.letters

    @property
    def max_length(self) -> int:
        """Letters of a full bag."""
        return self.params.size

    @property
    def source(self) -> Tensor:
        """The empty bag."""
        return torch.zeros(self.params.letters, dtype=torch.int64)

    @property
    def part_bounds(self) -> tuple[int, int]:
        """Counts."""
        return 0, self.params.size

    def move_mask(self, parts: Tensor) -> Tensor:
        """Every letter, until the bag is full."""
        return ~self.stop_mask(parts)[:, None].expand(-1, self.params.letters)

    def stop_mask(self, parts: Tensor) -> Tensor:
        """Full bags."""
        return parts.sum(1) >= self.params.size

    def move(self, parts: Tensor, action: Tensor) -> Tensor:
        """One letter more."""
        return parts + torch.nn.functional.one_hot(action, self.params.letters)

    def backward_mask(self, parts: Tensor) -> Tensor:
        """Letters in the bag."""
        return parts > 0

    def unmove(self, parts: Tensor, action: Tensor) -> Tensor:
        """One letter less."""
        return parts - torch.nn.functional.one_hot(action, self.params.letters)

    def length(self, parts: Tensor) -> Tensor:
        """Letters in the bag."""
        return parts.sum(1)

    def modes(self, parts: Tensor) -> Tensor:
        """Whether bags are modes, [N] bool."""
        group, letters = self.params.group, self.params.letters
        most = parts.argmax(1)
        others = torch.arange(letters - 1, device=parts.device)
        others = others + (others >= most[:, None])  # all letters but the most frequent one
        filler = (parts.gather(1, others) * self._digits).sum(1)
        exact = (parts.max(1).values == group) & self.stop_mask(parts)
        return exact & self._is_mode[torch.where(exact, filler, 0)]

    def log_reward(self, parts: Tensor) -> Tensor:
        """The logarithm of the bag's reward, [N]."""
        constants = self.params
        rewards = (constants.base, constants.good, constants.mode)
        table = torch.tensor(rewards, dtype=self.dtype, device=parts.device).log()
        rank = (parts.max(1).values >= constants.group).to(torch.int64) + self.modes(parts)
        return table[rank]

    def enumerate_states(self) -> Tensor:
        """All bags [S, letters], by their size.

        Raises:
            ValueError: more than two million.
        """
        letters, size = self.params.letters, self.params.size
        count = math.comb(letters + size, size)
        if count > MOST_BAGS:
            raise ValueError(f"there are {count:,} bags, above {MOST_BAGS:,}; sample them instead.")
        found = torch.zeros(1, letters, dtype=torch.int64, device=self.device)
        layers = [found]
        for _ in range(size):
            found = torch.unique(
                (found[:, None] + torch.eye(letters, dtype=torch.int64, device=self.device)).flatten(0, 1), dim=0
            )
            layers.append(found)
        return torch.cat(layers)

    def state_index(self, parts: Tensor) -> Tensor:
        """Place [N] of bags among `enumerate_states`."""
        digits = (self.params.size + 1) ** torch.arange(self.params.letters - 1, -1, -1, device=parts.device)
        code, place = (self.enumerate_states() * digits).sum(1).sort()
        return place[torch.searchsorted(code, (parts * digits).sum(1))]
