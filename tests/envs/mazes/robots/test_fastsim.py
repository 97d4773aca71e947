"""Fastsim's robot: motion by numerical integration, lasers by exact lines of pixels, bumpers and collisions by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from rlsuite_envs.mazes.robots.fastsim import FastsimParams, FastsimRobot, FastsimWorld
from rlsuite_envs.mazes.robots.fastsim_map import HARD_STROKES, as_rows, blocked_pixels, draw_map, path_lengths

CPU = torch.device("cpu")


def world(**constants: Any) -> FastsimWorld:
    return FastsimWorld(FastsimParams(**{"start": (300.0, 300.0), **constants}), CPU, torch.float64)


def at(w: FastsimWorld, x: float, y: float, degrees: float) -> FastsimRobot:
    parts = [torch.tensor([value], dtype=torch.float64) for value in (x, y, math.radians(degrees))]
    return replace(w.start(1), x=parts[0], y=parts[1], heading=parts[2])


def roll(w: FastsimWorld, robot: FastsimRobot, left: float, right: float) -> FastsimRobot:
    return w.drive(robot, torch.tensor([left], dtype=torch.float64), torch.tensor([right], dtype=torch.float64))


# --- Motion
# ----------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(left=st.floats(-4, 4), right=st.floats(-4, 4), degrees=st.floats(-180, 180))
def test_a_step_rolls_both_wheels_at_constant_speed(left: float, right: float, degrees: float) -> None:
    w = world()
    moved = roll(w, at(w, 300, 300, degrees), left, right)

    def velocity(_: float, pose: np.ndarray) -> list[float]:
        speed = (left + right) / 2
        return [speed * math.cos(pose[2]), speed * math.sin(pose[2]), (right - left) / 20]

    end = solve_ivp(velocity, (0, 1), [300, 300, math.radians(degrees)], rtol=1e-10, atol=1e-10).y[:, -1]
    assert (moved.x.item(), moved.y.item()) == pytest.approx(end[:2], abs=1e-8)
    turned = math.remainder(moved.heading.item() - end[2], 2 * math.pi)
    assert turned == pytest.approx(0, abs=1e-9)
    assert -math.pi <= moved.heading.item() <= math.pi


def test_steps_by_hand() -> None:
    w = world()
    straight = roll(w, at(w, 300, 300, 90), 4, 4)
    assert (straight.x.item(), straight.y.item()) == pytest.approx((300, 304))
    spun = roll(w, at(w, 300, 300, 0), -2, 2)
    assert (spun.x.item(), spun.y.item(), spun.heading.item()) == pytest.approx((300, 300, 0.2))
    curve = roll(w, at(w, 300, 300, 0), 0, 4)  # about the left wheel, 10 to the side: 0.2 rad
    assert (curve.x.item(), curve.y.item()) == pytest.approx((300 + 10 * math.sin(0.2), 300 + 10 * (1 - math.cos(0.2))))


# --- Collisions: the outer wall covers pixels 0-2 and 197-199 of 3 units each; the robot's radius is 3 pixels
# ----------------------------------------------------------------------------------------------------


def test_a_collision_keeps_the_position_and_turns() -> None:
    w = world()
    # Pixel 193 = [577.5, 580.5) is free, 194 is 3 pixels from 197: blocked from x = 580.5.
    free = roll(w, at(w, 580.49 - 4, 300, 0), 4, 4)
    assert (free.x.item(), free.collisions.item()) == (pytest.approx(580.49), 0)
    hit = roll(w, at(w, 580.0, 300, 0), 3, 4)
    assert (hit.x.item(), hit.y.item(), hit.collisions.item()) == (580.0, 300.0, 1)
    assert hit.heading.item() == pytest.approx(0.05)
    sticky = world(sticky_walls=True)
    hit = roll(sticky, at(sticky, 580.0, 300, 0), 3, 4)
    assert (hit.heading.item(), hit.collisions.item()) == (0.0, 1)


@pytest.mark.parametrize(
    ("degrees", "left", "right"),
    [(30, True, False), (-30, False, True), (100, False, False), (-100, False, False), (180, False, False)],
)
def test_bumpers_tell_the_side(degrees: float, left: bool, right: bool) -> None:
    w = world()
    # The only wall pixel in reach lies straight in the direction of x: at -30 degrees of a heading of 30, left.
    robot = roll(w, at(w, 580.6, 300, degrees), 0, 0)
    assert (robot.left.item(), robot.right.item(), robot.collisions.item()) == (left, right, 1)


def test_bumpers_are_off_where_nothing_is_met() -> None:
    w = world()
    robot = replace(at(w, 300, 300, 0), left=torch.tensor([True]), right=torch.tensor([True]))
    robot = roll(w, robot, 1, 1)
    assert not robot.left.item() and not robot.right.item()


# --- Lasers
# ----------------------------------------------------------------------------------------------------


def slow_line(wall: np.ndarray, start: tuple[int, int], end: tuple[int, int]) -> tuple[int, int] | None:
    """The line's pixel at which a straight line between two pixels' middles has met a wall, in fractions."""
    (x0, y0), (x1, y1) = start, end
    flat = abs(x1 - x0) >= abs(y1 - y0)
    steps, rise = (abs(x1 - x0), abs(y1 - y0)) if flat else (abs(y1 - y0), abs(x1 - x0))
    sx, sy = (1 if x1 >= x0 else -1), (1 if y1 >= y0 else -1)

    def pixel(k: int, m: int) -> tuple[int, int]:
        return (x0 + sx * k, y0 + sy * m) if flat else (x0 + sx * m, y0 + sy * k)

    def occupied(place: tuple[int, int]) -> bool:
        x, y = place
        inside = 0 <= x < wall.shape[1] and 0 <= y < wall.shape[0]
        return not inside or bool(wall[y, x])

    row = 0
    for k in range(1, steps + 1):
        height = Fraction(k * rise, steps)
        passed = Fraction((2 * k - 1) * rise, 2 * steps)  # height on the border between two columns
        touched = []
        while height > row + Fraction(1, 2):  # the line crosses the border of two rows
            corner = row + Fraction(1, 2)
            touched += [pixel(k, row)] if passed <= corner else []
            touched += [pixel(k - 1, row + 1)] if passed >= corner else []
            row += 1
        if any(occupied(place) for place in [*touched, pixel(k, row)]):
            return pixel(k, row)
    return None


def random_map(seed: int, size: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).random((size, size)) < 0.06


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_lasers_follow_the_line_of_pixels(seed: int) -> None:
    wall = random_map(seed)
    wall[18:23, 18:23] = False
    rows = as_rows(wall)
    w = world(bitmap=rows, world=120.0, start=(60, 60), robot_radius=3.0, laser_range=50.0)
    rng = np.random.default_rng(seed)
    x, y, heading = rng.uniform(3, 117, 20), rng.uniform(3, 117, 20), rng.uniform(-math.pi, math.pi, 20)
    parts = (torch.from_numpy(part) for part in (x, y, heading))
    robots = FastsimRobot(*parts, *(getattr(w.start(20), name) for name in ("left", "right", "collisions", "t")))
    found = w.lasers(robots)
    for i in range(20):
        start = round(x[i] / 3), round(y[i] / 3)
        if wall[start[1], start[0]]:
            continue  # no robot is ever there
        for j, offset in enumerate((45, 0, -45)):
            angle = heading[i] + math.radians(offset)
            end = round((x[i] + 50 * math.cos(angle)) / 3), round((y[i] + 50 * math.sin(angle)) / 3)
            met = slow_line(wall, start, end)
            wanted = 50.0 if met is None else min(50.0, math.hypot(3 * met[0] - x[i], 3 * met[1] - y[i]))
            assert found[j, i].item() == pytest.approx(wanted, abs=1e-9)


def test_lasers_by_hand() -> None:
    w = world()
    assert w.lasers(at(w, 540, 300, 0))[:, 0].tolist() == pytest.approx([51 * math.sqrt(2), 51, 51 * math.sqrt(2)])
    assert w.lasers(at(w, 300, 300, 0))[:, 0].tolist() == [100, 100, 100]


def test_single_precision_sees_the_same() -> None:
    double = world(strokes=HARD_STROKES, start=(60, 450))
    single = FastsimWorld(double.params, CPU, torch.float32)
    rng = torch.Generator().manual_seed(0)
    x, y = 580 * torch.rand(2, 500, generator=rng) + 10
    heading = 6 * torch.rand(500, generator=rng) - 3
    a, b = single.start(500), double.start(500)
    a = replace(a, x=x, y=y, heading=heading)
    b = replace(b, x=x.double(), y=y.double(), heading=heading.double())
    close = (single.lasers(a).double() - double.lasers(b)).abs() < 1e-3
    assert close.float().mean() > 0.995  # an end that rounding puts into the next pixel may differ


# --- Maps
# ----------------------------------------------------------------------------------------------------


def test_maps_by_hand() -> None:
    wall = draw_map(((8.0, 4.0, 8.0, 11.0, 2.0),), (), 16, 1)
    assert wall[0].all() and wall[-1].all() and wall[:, 0].all() and wall[:, -1].all()
    assert wall[5, 7:10].all() and not wall[5, 6] and not wall[5, 10]
    assert wall[3, 8] and not wall[2, 8]  # round ends
    blocked = blocked_pixels(wall, 1)
    assert blocked[5, 6] and not blocked[5, 5]
    lengths = path_lengths(blocked, np.indices(wall.shape).sum(0) == 6)
    assert lengths[3, 3] == 0 and lengths[4, 4] == pytest.approx(math.sqrt(2)) and np.isinf(lengths[0, 0])


def test_bitmaps_are_read_from_text_and_arrays() -> None:
    text = "####\n#..#\n#..#\n####"
    array = np.array([[c == "#" for c in row] for row in text.split()])
    assert as_rows(text) == as_rows(array) == as_rows(text.split())
    np.testing.assert_array_equal(draw_map((), as_rows(text), 200, 3), array)


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"bitmap": ("##", "#x")}, r"bitmap\[1\]='#x' must be a text of '#'"),
        ({"bitmap": ("###", "#.#")}, r"bitmap\[0\] has 3 pixels but the map has 2 rows"),
        ({"bitmap": ("##", "##")}, r"no free pixel"),
        ({"strokes": ((1, 2, 3, 4),)}, r"strokes has shape \(1, 4\)"),
        ({"strokes": ((1, 2, 3, 4, 0),)}, r"strokes\[0\].*thickness above 0"),
        ({"strokes": "walls"}, r"strokes='walls' must be rows of five"),
        ({"start": (5, 5)}, r"start=\(5.0, 5.0\) leaves no room"),
        ({"start": (900, 5)}, r"outside the world"),
        ({"start_heading": 200.0}, r"start_heading=200.0 must lie in \[-180, 180\]"),
        ({"pixels": 8}, r"pixels=8 must be an integer in 16..2000"),
        ({"border": 0}, r"border=0 must be an integer in 1"),
        ({"laser_range": 5.0}, r"laser_range=5.0 must be at least 3 pixels, 9"),
        ({"world": 0.0}, r"world=0.0 must be above 0"),
        ({"horizon": 0}, r"horizon=0 must be an integer of at least 1"),
        ({"sticky_walls": "no"}, r"sticky_walls='no' must be True or False"),
    ],
)
def test_bad_constants(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FastsimParams(**{"start": (300.0, 300.0), **constants})
