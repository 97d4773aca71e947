"""Ray casting and distances against exact rational arithmetic, robot by robot."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite_envs.mazes.robots.ray_casting import Segments, cast_rays, wall_distance

DIRECTIONS = [
    (3, 4, 5),
    (-3, 4, 5),
    (5, -12, 13),
    (-8, -15, 17),
    (1, 0, 1),
    (0, 1, 1),
    (-1, 0, 1),
    (0, -1, 1),
]
"""Directions with rational cosine and sine: (cos, sin) = (a, b) / c."""

coordinate = st.integers(-30, 30)
walls = st.lists(
    st.tuples(coordinate, coordinate, coordinate, coordinate).filter(lambda w: w[:2] != w[2:]),
    min_size=1,
    max_size=5,
)


def exact_range(px: int, py: int, direction: tuple[int, int, int], wall: tuple[int, ...], longest: int) -> Fraction:
    """Distance to one wall, by Cramer's rule in fractions; the ray's length where it is not hit."""
    a, b, c = direction
    x1, y1, x2, y2 = wall
    # p + t (a, b) / c = (x1, y1) + u (x2 - x1, y2 - y1), two equations in t and u.
    m11, m12, m21, m22 = Fraction(a, c), -Fraction(x2 - x1), Fraction(b, c), -Fraction(y2 - y1)
    determinant = m11 * m22 - m12 * m21
    if determinant == 0:
        return Fraction(longest)
    t = ((x1 - px) * m22 - m12 * (y1 - py)) / determinant
    u = (m11 * (y1 - py) - m21 * (x1 - px)) / determinant
    return t if 0 < u < 1 and 0 < t < longest else Fraction(longest)


def exact_square_distance(px: int, py: int, wall: tuple[int, ...]) -> Fraction:
    """Squared distance to one wall: to the foot of the perpendicular if that is inside, else to an end."""
    x1, y1, x2, y2 = wall
    ends = min((px - x1) ** 2 + (py - y1) ** 2, (px - x2) ** 2 + (py - y2) ** 2)
    forwards = (px - x1) * (x2 - x1) + (py - y1) * (y2 - y1)
    backwards = (px - x2) * (x1 - x2) + (py - y2) * (y1 - y2)
    if forwards <= 0 or backwards <= 0:
        return Fraction(ends)
    doubled_area = (x2 - x1) * (y1 - py) - (x1 - px) * (y2 - y1)
    return Fraction(doubled_area**2, (x2 - x1) ** 2 + (y2 - y1) ** 2)


@settings(max_examples=150, deadline=None)
@given(walls=walls, points=st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=4))
def test_both_equal_exact_arithmetic(walls: list[tuple[int, int, int, int]], points: list[tuple[int, int]]) -> None:
    segments = Segments.of(walls, dtype=torch.float64)
    x, y = torch.tensor(points, dtype=torch.float64).T
    cos = torch.tensor([[a / c] * len(points) for a, _, c in DIRECTIONS], dtype=torch.float64)
    sin = torch.tensor([[b / c] * len(points) for _, b, c in DIRECTIONS], dtype=torch.float64)
    ranges = cast_rays(x, y, cos, sin, segments, 20.0)
    distances = wall_distance(x, y, segments)
    for i, (px, py) in enumerate(points):
        nearest = min(exact_square_distance(px, py, wall) for wall in walls)
        assert distances[i].item() == pytest.approx(float(nearest) ** 0.5, abs=1e-9)
        for j, direction in enumerate(DIRECTIONS):
            if _on_the_edge(px, py, direction, walls):
                continue  # rounding may decide these either way
            wanted = min(exact_range(px, py, direction, wall, 20) for wall in walls)
            assert ranges[j, i].item() == pytest.approx(float(wanted), abs=1e-9)


def _on_the_edge(px: int, py: int, direction: tuple[int, int, int], walls: list[tuple[int, int, int, int]]) -> bool:
    """Whether the ray runs exactly through an end of a wall, or starts or stops exactly on one."""
    a, b, c = direction
    for wall in walls:
        through_end = any(a * (y - py) == b * (x - px) for x, y in (wall[:2], wall[2:]))
        stop = (Fraction(20 * a, c) + px, Fraction(20 * b, c) + py)
        x1, y1, x2, y2 = wall
        on_line = any((x - x1) * (y2 - y1) == (y - y1) * (x2 - x1) for x, y in ((px, py), stop))
        if through_end or on_line:
            return True
    return False


def one_ray(wall: tuple[float, ...], x: float = 0.0, y: float = 0.0, longest: float = 10.0) -> float:
    """The range of a ray from (x, y) along x."""
    walls = Segments.of([wall], dtype=torch.float64)
    origin = torch.tensor([x], dtype=torch.float64), torch.tensor([y], dtype=torch.float64)
    one, zero = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    return cast_rays(*origin, one, zero, walls, longest).item()


def test_only_meetings_strictly_inside_both_count() -> None:
    assert one_ray((5, -1, 5, 1)) == 5
    assert one_ray((5, 0, 5, 1)) == 10  # through an end
    assert one_ray((10, -1, 10, 1)) == 10  # at the ray's own end: its range either way
    assert one_ray((0, -1, 0, 1)) == 10  # starts on the wall
    assert one_ray((-5, -1, -5, 1)) == 10  # behind
    assert one_ray((3, 0, 6, 0)) == 10  # along the ray
    assert one_ray((3, 1, 6, 1)) == 10  # beside it


def test_shapes_and_arguments_are_left_alone() -> None:
    segments = Segments.of([(0, 5, 10, 5), (3, -4, 3, 4)])
    x, y = torch.zeros(7), torch.linspace(-3, 3, 7)
    cos, sin = torch.ones(2, 7), torch.zeros(2, 7)
    before = [tensor.clone() for tensor in (x, y, cos, sin)]
    ranges = cast_rays(x, y, cos, sin, segments, 50.0)
    assert ranges.shape == (2, 7)
    assert torch.equal(ranges, torch.full((2, 7), 3.0))
    assert torch.equal(wall_distance(x, y, segments), torch.full((7,), 3.0).minimum(5 - y))
    assert all(torch.equal(a, b) for a, b in zip(before, (x, y, cos, sin), strict=True))
