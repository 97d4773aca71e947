"""Maps of the deceptive maze: bad ones are refused with the reason, and good ones never."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite_envs.kernel import make_kernel
from rlsuite_envs.mazes.hard_maze import HardMaze, HardMazeParams
from rlsuite_envs.mazes.hard_maze_maps import HARD

ROOM = ((0, 0, 100, 0), (100, 0, 100, 100), (100, 100, 0, 100), (0, 100, 0, 0))


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"walls": ()}, r"walls=\(\) is an empty map"),
        ({"walls": ((0, 0, 1),)}, r"walls has shape \(1, 3\)"),
        ({"walls": "maze"}, r"walls='maze' must be rows of four numbers"),
        ({"walls": ((0, 0, 1, math.inf),)}, r"walls\[0\].*must be finite"),
        ({"walls": ((0, 0, 1, 1), (2, 2, 2, 2))}, r"walls\[1\].*has length 0"),
        ({"start": (5, 184)}, r"start=\(5.0, 184.0\) is .* from the nearest wall"),
        ({"start": (30, 22)}, r"start=\(30.0, 22.0\) lies within success_radius=5"),
        ({"start": 3}, r"start=3 must be two numbers"),
        ({"goal": (math.nan, 3)}, r"goal=.*must be finite"),
        ({"goal": (400, 20)}, r"goal=\(400.0, 20.0\) cannot be reached from start=\(36.0, 184.0\)"),
        ({"goal": (3.5, 20), "success_radius": 2.0}, r"goal=\(3.5, 20.0\) cannot be reached"),
        ({"robot_radius": 19.0, "start": (35, 175)}, r"cannot be reached"),
        ({"robot_radius": 0.0}, r"robot_radius=0.0 must be above 0"),
        ({"start_heading": 361.0}, r"start_heading=361.0 must lie in \[0, 360\]"),
        ({"horizon": 0}, r"horizon=0 must be an integer of at least 1"),
        ({"motion": "fast"}, r"motion='fast' must be one of"),
        ({"reward": "shaped"}, r"reward='shaped' must be one of"),
        ({"action": "raw"}, r"action='raw' must be one of"),
        ({"observation": "image"}, r"observation='image' must be one of"),
        ({"fragile": 1}, r"fragile=1 must be True or False"),
        ({"sensor_range": math.nan}, r"sensor_range=nan must be a finite number"),
    ],
)
def test_bad_constants(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make("rlsuite/HardMaze-v0", **constants)


def test_walls_may_be_an_array() -> None:
    assert HardMazeParams(walls=np.array(HARD)) == HardMazeParams()
    kernel = make_kernel(HardMaze, walls=[list(wall) for wall in HARD])
    assert isinstance(hash(kernel.params), int)


@settings(max_examples=25, deadline=None)
@given(gap=st.floats(5.0, 30.0))
def test_a_gap_is_passed_exactly_where_the_disc_fits(gap: float) -> None:
    walls = (*ROOM, (50, 0, 50, 50 - gap / 2), (50, 50 + gap / 2, 50, 100))
    build = {"walls": walls, "start": (20, 50), "goal": (80, 50)}
    if gap >= 16:
        HardMazeParams(**build)
    elif gap < 14:  # in between the grid may be too kind, as documented
        with pytest.raises(ValueError, match="cannot be reached"):
            HardMazeParams(**build)
