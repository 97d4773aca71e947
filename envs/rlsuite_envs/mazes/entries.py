"""The family's ids; imports neither torch nor MuJoCo."""

from __future__ import annotations

from rlsuite_envs.entries import KernelEntry
from rlsuite_envs.mazes.points.point_layouts import LAYOUTS

__all__ = ["ENTRIES"]


def _point_maze(layout: str, reward: str) -> KernelEntry:
    preset = layout + ("Dense" if reward == "dense" else "")
    kind = layout.replace("_Diverse_GR", ", any start and goal").replace("_Diverse_G", ", any goal")
    description = f"Push a ball through a maze ({kind}; {reward} reward)."
    kernel = "mazes.points.point_maze:PointMaze"
    return KernelEntry(f"rlsuite/PointMaze-{preset}-v0", kernel, None, description, preset=preset)


ENTRIES: tuple[KernelEntry, ...] = (
    KernelEntry(
        "rlsuite/PointMaze-v0", "mazes.points.point_maze:PointMaze", None, "Push a ball through a U (sparse reward)."
    ),
    *(_point_maze(layout, reward) for layout in LAYOUTS for reward in ("sparse", "dense")),
    KernelEntry("rlsuite/GridMaze-v0", "mazes.grids.grid_maze:GridMaze", None, "Find the goal of a grid maze (7x7)."),
    *(
        KernelEntry(
            f"rlsuite/GridMaze-{size}-v0",
            "mazes.grids.grid_maze:GridMaze",
            None,
            f"Find the goal of a grid maze ({size}).",
            preset=size,
        )
        for size in ("5x5", "7x7", "9x9", "13x13", "21x21")
    ),
    KernelEntry("rlsuite/KeyDoor-v0", "mazes.grids.key_door:KeyDoor", None, "Key, locked door, goal (6x6)."),
    *(
        KernelEntry(
            f"rlsuite/KeyDoor-{size}-v0",
            "mazes.grids.key_door:KeyDoor",
            None,
            f"Key, locked door, goal ({size}).",
            preset=size,
        )
        for size in ("5x5", "6x6", "8x8", "16x16")
    ),
    KernelEntry("rlsuite/HardMaze-v0", "mazes.robots.hard_maze:HardMaze", None, "Deceptive maze, range finders."),
    KernelEntry(
        "rlsuite/HardMaze-Dense-v0",
        "mazes.robots.hard_maze:HardMaze",
        None,
        "Deceptive maze, range finders, reward for nearing the goal.",
        preset="dense",
    ),
    KernelEntry(
        "rlsuite/HardMaze-Medium-v0",
        "mazes.robots.hard_maze:HardMaze",
        None,
        "Robot maze of medium difficulty, range finders.",
        preset="medium",
    ),
    KernelEntry(
        "rlsuite/HardMaze-Textbook-v0",
        "mazes.robots.hard_maze:HardMaze",
        None,
        "Deceptive maze with a square border, accelerations.",
        preset="hard_textbook",
    ),
    KernelEntry(
        "rlsuite/ImageHardMaze-v0",
        "mazes.robots.image_hard_maze:ImageHardMaze",
        None,
        "Deceptive maze seen from above, 84x84 pixels.",
    ),
    KernelEntry(
        "rlsuite/FastsimMaze-v0",
        "mazes.robots.fastsim_maze:FastsimMaze",
        None,
        "Hard maze on two wheels (sparse reward).",
    ),
    KernelEntry(
        "rlsuite/FastsimMaze-Dense-v0",
        "mazes.robots.fastsim_maze:FastsimMaze",
        None,
        "Hard maze on two wheels, reward for the way gained.",
        preset="Dense",
    ),
    KernelEntry(
        "rlsuite/CollectBall-v0", "mazes.robots.collect_ball:CollectBall", None, "Bring balls home (sparse reward)."
    ),
    KernelEntry(
        "rlsuite/CollectBall-Dense-v0",
        "mazes.robots.collect_ball:CollectBall",
        None,
        "Bring balls home (potential-based reward).",
        preset="Dense",
    ),
    KernelEntry(
        "rlsuite/SlipperyLake-v0",
        "mazes.grids.frozen_lake:SlipperyLake",
        None,
        "Cross a lake whose tiles push (PDPPO).",
    ),
    *(
        KernelEntry(
            f"rlsuite/SlipperyLake-{size}-v0",
            "mazes.grids.frozen_lake:SlipperyLake",
            None,
            f"Cross a small lake whose tiles push (map {size}).",
            preset=size,
        )
        for size in ("4x4", "8x8")
    ),
    KernelEntry(
        "rlsuite/RedundantArm-v0", "mazes.arms.redundant_arm:RedundantArm", None, "Unroll a 20-link arm to a spot."
    ),
    KernelEntry(
        "rlsuite/RedundantArm-Dense-v0",
        "mazes.arms.redundant_arm:RedundantArm",
        None,
        "The same, paid for getting nearer.",
        kwargs={"reward": "dense"},
    ),
    KernelEntry("rlsuite/Point2D-v0", "mazes.points.point2d:Point2D", None, "Walk in a square, no reward."),
    KernelEntry(
        "rlsuite/Point2D-TwoAreas-v0",
        "mazes.points.point2d:Point2D",
        None,
        "Walk in a square to one of two spots.",
        preset="two-areas",
    ),
    KernelEntry(
        "rlsuite/Curling-v0",
        "mazes.arms.curling:Curling",
        None,
        "Push a ball with an arm so that it stops in a disc.",
    ),
    KernelEntry(
        "rlsuite/Curling-Dense-v0",
        "mazes.arms.curling:Curling",
        None,
        "The same, paid for bringing the ball nearer.",
        kwargs={"reward": "dense"},
    ),
    KernelEntry("rlsuite/Billiard-v0", "mazes.arms.billiard:Billiard", None, "Push a ball with an arm into a hole."),
)
