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
    KernelEntry("rlsuite/TwoRooms-v0", "coverage.two_rooms:TwoRooms", None, "Cover two rooms joined by a corridor."),
    KernelEntry(
        "rlsuite/ItemCollection-v0",
        "coverage.item_collection:ItemCollection",
        None,
        "Collect enough items of each of six groups.",
    ),
    KernelEntry(
        "rlsuite/GPDesign-v0",
        "coverage.design:GPDesign",
        None,
        "Measure a Gaussian process where it tells most (D-optimal design).",
    ),
    KernelEntry(
        "rlsuite/PathPlanning-v0",
        "coverage.path_planning:PathPlanning",
        None,
        "Informative path planning on maps drawn from a Gaussian process.",
    ),
    KernelEntry(
        "rlsuite/PathPlanning-gorilla-v0",
        "coverage.path_planning:PathPlanning",
        None,
        "Informative path planning on maps with two clusters.",
        preset="gorilla",
    ),
    KernelEntry(
        "rlsuite/ContinuousCoverage-v0",
        "coverage.continuous:ContinuousCoverage",
        None,
        "Cover a square with a disc-shaped sensor.",
    ),
    KernelEntry(
        "rlsuite/ContinuousCoverage-modular-v0",
        "coverage.continuous:ContinuousCoverage",
        None,
        "The same, paid for every visit anew.",
        preset="modular",
    ),
    KernelEntry(
        "rlsuite/ContinuousCoverage-double_integrator-v0",
        "coverage.continuous:ContinuousCoverage",
        None,
        "Cover a square with a sensor that has inertia.",
        preset="double_integrator",
    ),
    KernelEntry(
        "rlsuite/CarRacing-v0",
        "coverage.car_racing:CarRacing",
        None,
        "Drive a 1:43 car around a track, paid for newly reached track.",
    ),
    KernelEntry(
        "rlsuite/CarRacing-progress-v0",
        "coverage.car_racing:CarRacing",
        None,
        "The same, paid for the change of place.",
        preset="progress",
    ),
    KernelEntry(
        "rlsuite/CarRacing-modular-v0",
        "coverage.car_racing:CarRacing",
        None,
        "The same, paid for the place itself.",
        preset="modular",
    ),
    KernelEntry(
        "rlsuite/CarRacing-preview-v0",
        "coverage.car_racing:CarRacing",
        None,
        "CarRacing with the curvature ahead in the observation.",
        preset="preview",
    ),
)
