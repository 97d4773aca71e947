"""Shortest paths in many grid mazes at once, by breadth-first search on tensors."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["distance_fields"]


def distance_fields(walls: Tensor, targets: Tensor) -> Tensor:
    """Steps from every cell to a target, moving up, down, left and right.

    Waits for the device once per step of the longest path: meant for when an environment is made.

    Args:
        walls: [N, H, W] bool.
        targets: [N] int64, the target's row * W + column in each maze.

    Returns:
        [N, H, W] int16, -1 where there is no way (and in walls).
    """
    num, height, width = walls.shape
    # One ring of walls: shifted views then need no care at the border.
    blocked = torch.nn.functional.pad(walls, (1, 1, 1, 1), value=True)
    frontier = torch.zeros(num, height * width, dtype=torch.bool, device=walls.device)
    frontier = frontier.scatter(1, targets[:, None], True).reshape(num, height, width) & ~walls
    frontier = torch.nn.functional.pad(frontier, (1, 1, 1, 1))
    distance = torch.full(blocked.shape, -1, dtype=torch.int16, device=walls.device)
    steps = 0
    while frontier.any():
        distance.masked_fill_(frontier, steps)
        blocked |= frontier
        steps += 1
        reached = torch.zeros_like(frontier)
        reached[:, 1:-1, 1:-1] = (
            frontier[:, :-2, 1:-1] | frontier[:, 2:, 1:-1] | frontier[:, 1:-1, :-2] | frontier[:, 1:-1, 2:]
        )
        frontier = reached & ~blocked
    return distance[:, 1:-1, 1:-1].contiguous()
