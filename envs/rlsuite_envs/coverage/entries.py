"""The family's ids; imports neither torch nor MuJoCo."""

from __future__ import annotations

from rlsuite_envs.entries import KernelEntry

__all__ = ["ENTRIES"]

ENTRIES: tuple[KernelEntry, ...] = (
    KernelEntry(
        "rlsuite/GridCoverage-v0",
        "coverage.grid_coverage:GridCoverage",
        None,
        "Cover a grid with a 2 x 2 sensor.",
    ),
    KernelEntry(
        "rlsuite/GridCoverage-bimodal-v0",
        "coverage.grid_coverage:GridCoverage",
        None,
        "Cover the heavier two corners of a grid.",
        preset="bimodal",
    ),
    KernelEntry(
        "rlsuite/GridCoverage-gp-v0",
        "coverage.grid_coverage:GridCoverage",
        None,
        "Cover a grid weighted by a Gaussian-process draw.",
        preset="gp",
    ),
    KernelEntry(
        "rlsuite/GridCoverage-gorilla-v0",
        "coverage.grid_coverage:GridCoverage",
        None,
        "Cover a grid with two clusters of nests.",
        preset="gorilla",
    ),
    KernelEntry(
        "rlsuite/GridCoverage-large-v0",
        "coverage.grid_coverage:GridCoverage",
        None,
        "Cover a grid with a 3 x 3 sensor.",
        preset="large",
    ),
)
