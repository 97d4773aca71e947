"""The command `rlsuite benchmark`: its words alone; what it does is imported when it is called."""

from __future__ import annotations

from tyro.conf import Positional

from rlsuite_zoo.errors import unknown

__all__ = ["benchmark"]


def benchmark(
    suite: Positional[str],
    *,
    scenarios: str = "",
    policies: str = "all",
    agents: tuple[str, ...] = (),
    episodes: int = 0,
    seed: int = 0,
    jobs: int | None = None,
    quick: bool = False,
    report_only: bool = False,
    cells: str = "runs/benchmark/inventory",
    out: str = "results",
) -> None:
    """Compare policies on common random numbers: classical and learned ones, one ranking. Finished cells are kept.

    Args:
        suite: inventory.
        scenarios: names or groups (core, marl, networks, all, divergent, serial), separated by commas; default core.
        policies: names separated by commas, or all.
        agents: run folders or checkpoints of learned policies, which become rows.
        episodes: demand paths of each scenario; 0 for the default, 30 (4 with --quick).
        seed: of the demands.
        jobs: cells at a time (default: one per core).
        quick: three scenarios, few episodes, little tuning: to see that it works.
        report_only: write the page from the cells that exist, play nothing.
        cells: folder of the cells.
        out: folder of the page, its table and its picture.
    """
    if suite != "inventory":
        raise unknown("benchmark suite", suite, ["inventory"])
    from rlsuite_zoo.benchmark_inventory import make_benchmark

    make_benchmark(
        scenarios=scenarios, policies=policies, agents=list(agents), episodes=episodes, seed=seed, jobs=jobs,
        quick=quick, report_only=report_only, cells=cells, out=out,
    )  # fmt: skip
