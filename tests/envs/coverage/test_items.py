"""Item collection: the paper's numbers, and a map worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rlsuite_envs.coverage.item_collection import ItemCollection, ItemParams
from rlsuite_envs.kernel import make_kernel

STAY, RIGHT, DOWN, LEFT, UP = range(5)


def play(kernel: ItemCollection, actions: list[int]) -> tuple[Any, list[float]]:
    state = kernel.initial_state(1, torch.Generator().manual_seed(0))
    rewards = []
    for action in actions:
        state, reward, _ = kernel.advance(state, torch.tensor([action]))
        rewards.append(reward.item())
    return state, rewards


@pytest.mark.parametrize("instance", range(10))
def test_items_have_the_papers_groups_on_93_cells(instance: int) -> None:
    kernel = make_kernel(ItemCollection, instance=instance)
    items = kernel.params.item_map
    assert items.shape == (105,)
    assert [int((items == group).sum()) for group in range(6)] == [18, 14, 13, 16, 18, 14]
    assert int((items >= 0).sum()) == 93
    if instance:
        assert (items != ItemParams().item_map).any()


def test_visiting_every_cell_is_worth_21_and_no_more() -> None:
    # From (2, 4) to the corner, then row by row; 105 cells take well below 200 moves.
    sweep = [UP] * 2 + [LEFT] * 4
    for row in range(7):
        sweep += [RIGHT if row % 2 == 0 else LEFT] * 14 + [DOWN]
    kernel = make_kernel(ItemCollection, horizon=len(sweep))
    state, rewards = play(kernel, sweep)
    first = 1.0 if kernel.items[34] >= 0 else 0.0
    assert state.value.item() == 21 == sum(kernel.params.needed)
    assert sum(rewards) == 21 - first
    assert state.seen.counts.tolist() == [[18, 14, 13, 16, 18, 14]]
    # The last row's last DOWN stays: its visit counts again in the modular sum, as do the start's neighbours.
    assert state.modular.item() > 93


def test_a_map_by_hand() -> None:
    # Groups:  0 0 0
    #          1 . 0     of group 0 two count, of group 1 one
    params = ItemParams(rows=2, cols=3, start=4, horizon=9, items=(0, 0, 0, 1, -1, 0), needed=(2, 1))
    kernel = ItemCollection(params)
    state, rewards = play(kernel, [UP, LEFT, RIGHT, RIGHT, LEFT, LEFT, DOWN, STAY])
    assert rewards == [1, 1, 0, 0, 0, 0, 1, 0]
    assert state.value.item() == 3
    assert state.modular.item() == 8
    obs = kernel.observe(state)[0]
    torch.testing.assert_close(obs, torch.tensor([1.0, 0.0, 1 / 9, 1, 1, 1, 1, 0, 0, 1, 1]))
    modular = make_kernel(ItemCollection, rows=2, cols=3, start=4, items=params.items, needed=(2, 1), reward="modular")
    assert play(modular, [UP, STAY, DOWN, UP])[1] == [1, 1, 0, 1]


def test_items_seen_from_afar() -> None:
    params = ItemParams(
        rows=1,
        cols=4,
        start=0,
        horizon=3,
        items=(-1, 0, 0, 1),
        needed=(2, 1),
        sensing=((), (1, 2), (1, 2, 3), (3,)),
    )
    state, rewards = play(ItemCollection(params), [RIGHT, RIGHT, RIGHT])
    assert rewards == [2, 1, 0]
    assert state.seen.taken.tolist() == [[False, True, True, True]]
    assert state.seen.counts.tolist() == [[2, 1]]


def test_items_keep_off_walls() -> None:
    walls = ((0, 0), (3, 3))
    for instance in range(5):
        items = ItemParams(walls=walls, instance=instance).item_map.reshape(7, 15)
        assert items[0, 0] == items[3, 3] == -1
        assert int(np.sum(items >= 0)) == 93


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"needed": (3, 2)}, "group_sizes has 6 groups but needed has 2"),
        ({"needed": (30, 2, 3, 4, 6, 3)}, r"needed\[0\]=30 must be at most the 18"),
        ({"needed": (0, 2, 3, 4, 6, 3)}, "needed="),
        ({"needed": ()}, "needed=()"),
        ({"group_sizes": (60, 60), "needed": (1, 1)}, "120 items but only 105"),
        ({"group_sizes": (18, 14, 13, 16, 18, -1)}, "group_sizes="),
        ({"items": (0, 1)}, "items must be a tuple of 105"),
        ({"rows": 1, "cols": 2, "start": 0, "items": (0, 2), "needed": (1, 1)}, r"items\[1\]=2"),
        (
            {"rows": 1, "cols": 2, "start": 0, "items": (0, -1), "needed": (1, 1)},
            r"needed\[1\]=1 must be at most the 0",
        ),
        ({"instance": -2}, "instance=-2"),
        ({"horizon": 0}, "horizon=0"),
    ],
)
def test_impossible_constants_are_refused(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_kernel(ItemCollection, **constants)
