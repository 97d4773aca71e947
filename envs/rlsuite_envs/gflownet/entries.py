"""The family's ids; imports neither torch nor MuJoCo."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from rlsuite_envs.entries import KernelEntry

__all__ = ["ENTRIES"]

GRID = "gflownet.hyper_grid:HyperGrid"
SURFACES = ("branin", "currin", "shubert", "beale")


def _surfaces() -> Iterator[KernelEntry]:
    """Grids that pay several objectives."""
    for count in (2, 3, 4):
        for names in combinations(SURFACES, count):
            preset = "-".join(names)
            line = f"Build a cell of a grid that pays {count} surfaces ({count} objectives)."
            yield KernelEntry(f"rlsuite/HyperGrid-{preset}-v0", GRID, 63, line, preset=preset, objectives=count)


ENTRIES: tuple[KernelEntry, ...] = (
    KernelEntry("rlsuite/HyperGrid-v0", GRID, 16, "Build a cell of a grid that pays near its corners; 8 x 8."),
    KernelEntry("rlsuite/HyperGrid-easy-v0", GRID, 30, "The same in four dimensions, little between.", preset="easy"),
    KernelEntry("rlsuite/HyperGrid-hard-v0", GRID, 30, "The same, less between.", preset="hard"),
    KernelEntry("rlsuite/HyperGrid-bengio-v0", GRID, 27, "The same, borders end; four dimensions.", preset="bengio"),
    KernelEntry("rlsuite/Bag-v0", "gflownet.bag:Bag", 15, "Fill a bag with letters; many equal ones pay."),
    KernelEntry("rlsuite/Bag-small-v0", "gflownet.bag:Bag", 7, "The same, a small one.", preset="small"),
    KernelEntry("rlsuite/HyperGrid-large-v0", GRID, 128, "The same, 64 x 64.", preset="large"),
    *_surfaces(),
)
"""The environments of this family."""
