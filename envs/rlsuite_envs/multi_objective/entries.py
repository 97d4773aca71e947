"""The family's ids; imports neither torch nor MuJoCo."""

from __future__ import annotations

from collections.abc import Iterator

from rlsuite_envs.entries import KernelEntry

__all__ = ["ENTRIES"]

SEA = "multi_objective.deep_sea_treasure:DeepSeaTreasure"
GATHERING = "multi_objective.resource_gathering:ResourceGathering"
ROOMS = "multi_objective.four_room:FourRoom"
CART = "multi_objective.minecart:Minecart"
FRUIT = "multi_objective.fruit_tree:FruitTree"


def _buildings() -> Iterator[KernelEntry]:
    """Nine zones of offices."""
    for preset, objectives, words in (
        (None, 9, "comfort, energy, even load of each floor (9 objectives)"),
        ("winter", 9, "the same, in January"),
        ("summer", 9, "the same, in July"),
        ("3obj", 3, "comfort, energy, even load of the whole (3 objectives)"),
    ):
        id = f"rlsuite/NineZoneBuilding-{preset}-v0" if preset else "rlsuite/NineZoneBuilding-v0"
        line = f"Heat and cool nine zones: {words}."
        kernel = "multi_objective.building:NineZoneBuilding"
        yield KernelEntry(id, kernel, None, line, preset=preset, objectives=objectives)


ENTRIES: tuple[KernelEntry, ...] = (
    KernelEntry("rlsuite/DeepSeaTreasure-v0", SEA, 100, "Treasure against time; a convex front.", objectives=2),
    KernelEntry(
        "rlsuite/DeepSeaTreasure-concave-v0",
        SEA,
        100,
        "Treasure against time; a concave front, of which weighted sums find the ends.",
        preset="concave",
        objectives=2,
    ),
    KernelEntry(
        "rlsuite/DeepSeaTreasure-mirrored-v0",
        SEA,
        100,
        "Treasure against time; the concave front, and an empty slope beside it.",
        preset="mirrored",
        objectives=2,
    ),
    KernelEntry("rlsuite/ResourceGathering-v0", GATHERING, 100, "Gold, a diamond, and enemies.", objectives=3),
    KernelEntry("rlsuite/FourRoom-v0", ROOMS, 200, "Shapes of three kinds on the way to a goal.", objectives=3),
    KernelEntry("rlsuite/FruitTree-v0", FRUIT, None, "One of 64 fruits of six nutrients each.", objectives=6),
    *(
        KernelEntry(
            f"rlsuite/FruitTree-depth{depth}-v0",
            FRUIT,
            None,
            f"One of {2**depth} fruits of six nutrients each.",
            preset=f"depth{depth}",
            objectives=6,
        )
        for depth in (5, 7)
    ),
    KernelEntry("rlsuite/Minecart-v0", CART, 1000, "Mine two ores with little fuel.", objectives=3),
    KernelEntry(
        "rlsuite/Minecart-deterministic-v0",
        CART,
        1000,
        "Mine two ores with little fuel; yields are their means.",
        preset="deterministic",
        objectives=3,
    ),
    *_buildings(),
)
