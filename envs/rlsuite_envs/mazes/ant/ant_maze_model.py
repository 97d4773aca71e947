"""The world of the ant maze: its model for MuJoCo and its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
from gymnasium.envs.mujoco.mujoco_env import expand_model_path
from numpy.typing import NDArray

from rlsuite_envs.drawing import Canvas, figure, figure_array
from rlsuite_envs.mazes.reward_areas import AREA, Area, draw_areas, draw_path

__all__ = ["CENTRE", "FRAME_SKIP", "PLANE", "SIZE", "TIME_STEP", "draw_episode", "draw_map", "model_xml"]

PLANE = (-30.0, 40.0)
"""Range of x and of y of the floor, m."""
CENTRE, SIZE = 5.0, 70.0
"""Positions are observed as (xy - CENTRE) / SIZE."""
START = (-25.0, -25.0)
"""Start of the torso, m."""
WALLS = ((-15.0, 3.0, -15.0, 37.0), (-16.0, -15.0, 10.0, -15.0), (10.0, -30.0, 10.0, 0.0))
"""Walls as lines (x1, y1, x2, y2), m."""
THICKNESS, HEIGHT = 1.0, 2.0
"""Thickness and height of the walls, m; chosen here."""
TIME_STEP = 0.005
"""Time step of the physics, s."""
FRAME_SKIP = 5
"""Physics steps per step."""


def boxes() -> list[tuple[float, float, float, float]]:
    """The walls as (x, y, width, height)."""
    half = THICKNESS / 2
    return [
        (x1 - half * (x1 == x2), y1 - half * (y1 == y2), max(x2 - x1, THICKNESS), max(y2 - y1, THICKNESS))
        for x1, y1, x2, y2 in WALLS
    ]


def model_xml() -> str:
    """Gymnasium's ant among the walls, as MJCF."""
    # As text, not as an MjSpec: writing that out would round the ant's own numbers to six digits.
    tree = ElementTree.parse(expand_model_path("ant.xml"))
    _find(tree, "option").set("timestep", str(TIME_STEP))
    torso, floor = _find(tree, ".//body[@name='torso']"), _find(tree, ".//geom[@name='floor']")
    torso.set("pos", f"{START[0]} {START[1]} {torso.get('pos', '0 0 0.75').split()[2]}")
    floor.set("pos", f"{CENTRE} {CENTRE} 0")
    floor.set("size", f"{SIZE / 2} {SIZE / 2} 40")
    for i, (x, y, width, height) in enumerate(boxes()):
        ElementTree.SubElement(
            _find(tree, "worldbody"),
            "geom",
            name=f"wall_{i}",
            type="box",
            pos=f"{x + width / 2} {y + height / 2} {HEIGHT / 2}",
            size=f"{width / 2} {height / 2} {HEIGHT / 2}",
            conaffinity="1",
            rgba="0.35 0.39 0.43 1",
        )
    return ElementTree.tostring(tree.getroot(), encoding="unicode")


def _find(tree: Any, path: str) -> ElementTree.Element:
    found: ElementTree.Element | None = tree.find(path)
    if found is None:
        raise RuntimeError(f"Gymnasium's ant.xml has no {path!r}; this version of it is not supported.")
    return found


def draw_map(xy: NDArray[Any], areas: tuple[Area, ...]) -> NDArray[np.uint8]:
    """The plane from above, the ant as a disc of about its size with its legs."""
    canvas = Canvas(480, 480, PLANE, PLANE)
    for x, y, radius in areas:
        canvas.disc(x, y, radius, AREA)
    for x, y, width, height in boxes():
        canvas.rect(x, y, x + width, y + height, "#59636e")
    canvas.disc(float(xy[0]), float(xy[1]), 0.9, "#1f77b4")
    return canvas.array()


def draw_episode(positions: NDArray[Any], rewards: NDArray[Any], areas: Sequence[Area]) -> Any:
    """One picture [height, width, 3] uint8 of an episode: the path among the walls, and the return over time.

    Args:
        positions: x and y of the torso, [T + 1, 2] m.
        rewards: [T].
        areas: the reward areas.
    """
    from matplotlib.patches import Rectangle

    drawn, axes = figure(1, 2, width=11.0, height=5.2, width_ratios=(1.35, 1.0))
    plane, earned = axes[0]
    for x, y, width, height in boxes():
        plane.add_patch(Rectangle((x, y), width, height, color="#59636e"))
    draw_areas(plane, tuple(areas))
    draw_path(drawn, plane, np.asarray(positions), "ant")
    plane.set(xlim=PLANE, ylim=PLANE, xlabel="x (m)", ylabel="y (m)", aspect="equal")
    plane.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3, frameon=False, fontsize=9)
    earned.plot(np.arange(1, len(rewards) + 1), np.cumsum(rewards), color="#ff7f0e")
    earned.set(xlabel="step", ylabel="return so far", xlim=(0, max(1, len(rewards))))
    return figure_array(drawn)
