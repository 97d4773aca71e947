"""Sets of cells as bits of integers: an eighth of the memory of booleans, and intervals without loops.

A word is an int64 of which 62 bits are used, so that shifts and differences never meet the sign.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["BITS", "interval", "popcount", "unpack"]

BITS = 62


def interval(start: Tensor, stop: Tensor, words: int) -> Tensor:
    """The bits start..stop - 1 of [...] int64 (none unless start < stop) in so many words, [..., words]."""
    if words == 1:
        return ((1 << stop) - (1 << start)).masked_fill_(stop <= start, 0).unsqueeze(-1)
    base = BITS * torch.arange(words, device=start.device)
    low = (start.unsqueeze(-1) - base).clamp_(0, BITS)
    high = torch.maximum((stop.unsqueeze(-1) - base).clamp_(0, BITS), low)
    return (1 << high) - (1 << low)


def popcount(words: Tensor) -> Tensor:
    """The number of bits set in each word, int64."""
    pairs = words - ((words >> 1) & 0x5555555555555555)
    fours = (pairs & 0x3333333333333333) + ((pairs >> 2) & 0x3333333333333333)
    bytes_ = (fours + (fours >> 4)) & 0x0F0F0F0F0F0F0F0F
    return (bytes_ * 0x0101010101010101) >> 56


def unpack(words: Tensor, size: int) -> Tensor:
    """The first `size` bits of words [..., W] as booleans [..., size]."""
    shifts = torch.arange(BITS, device=words.device)
    return ((words.unsqueeze(-1) >> shifts) & 1).flatten(-2)[..., :size].bool()
