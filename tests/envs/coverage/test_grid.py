"""Coverage of grids: mechanics and values computed by hand."""

from __future__ import annotations

import pytest
import torch

from rlsuite_envs.coverage.grid import WalkState
from rlsuite_envs.coverage.grid_coverage import CoverageParams, GridCoverage

STAY, RIGHT, DOWN, LEFT, UP = range(5)


def play(kernel: GridCoverage, actions: list[int]) -> tuple[WalkState, list[float]]:
    """The last state and the rewards of one environment that takes these actions."""
    state = kernel.initial_state(1, torch.Generator().manual_seed(0))
    rewards = []
    for action in actions:
        state, reward, terminated = kernel.advance(state, torch.tensor([action]))
        rewards.append(reward.item())
        assert not terminated.any()
    return state, rewards


def test_walk_in_the_upper_left_corner_by_hand() -> None:
    kernel = GridCoverage(CoverageParams(rows=3, cols=3, start=0, horizon=9))
    # 2 x 2 blocks: 4 cells at the start; a column of two more; the border clips the block of column 2 to cells seen.
    state, rewards = play(kernel, [UP, RIGHT, RIGHT, DOWN, DOWN, STAY, LEFT, UP])
    assert rewards == [0, 2, 0, 1, 0, 0, 1, 0]
    assert state.node.item() == 4
    assert state.value.item() == 8
    assert state.modular.item() == 4 + 4 + 4 + 2 + 2 + 1 + 1 + 2 + 4


@pytest.mark.parametrize(("preset", "most"), [(None, 4 + 2 * 79), ("large", 9 + 3 * 79)])
def test_constant_coverage_reaches_its_bound(preset: str | None, most: int) -> None:
    kernel = GridCoverage(GridCoverage.presets[preset] if preset else None)
    # A serpentine with three rows between its lanes never sees a cell twice but in the turns: one lane down,
    # along, and up again never meets its own footprints.
    state, rewards = play(kernel, [RIGHT] * 20 + [DOWN] * 25 + [LEFT] * 20 + [UP] * 14)
    assert state.value.item() == most
    assert set(rewards) == {2.0 if preset is None else 3.0}
