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
    runs: tuple[str, ...] = (),
    attacks: str = "all",
    eps: float | None = None,
    norm: str = "linf",
    unit: str = "auto",
    effort: float = 1.0,
) -> None:
    """Compare policies: inventory rules and agents on the same demands, or victims under every attack.

    Finished cells are kept. `inventory` reads scenarios, policies, agents and cells; `robustness` reads runs, attacks,
    eps, norm, unit and effort; the other options are for both.

    Args:
        suite: inventory or robustness.
        scenarios: names or groups (core, marl, networks, all, divergent, serial), separated by commas; default core.
        policies: names separated by commas, or all.
        agents: run folders or checkpoints of learned policies, which become rows.
        episodes: of each cell; 0 for the default, 30 demand paths or 20 episodes under attack (4 with --quick).
        seed: of the demands.
        jobs: cells at a time (default: one per core).
        quick: few episodes, little tuning or learning (inventory: three scenarios): to see that it works.
        report_only: write the page from the cells that exist, play nothing.
        cells: folder of the cells.
        out: folder of the page, its table and its picture.
        runs: victims: run folders, or folders of several.
        attacks: names separated by commas, all, observations, or actions.
        eps: budget per step; default the papers' (Hopper .075, Walker2d .05, HalfCheetah and Ant .15, others .1).
        norm: linf or l2.
        unit: auto (standard deviations of each observation entry) or raw.
        effort: times the default training of the attacks that learn.
    """
    if suite == "robustness":
        from rlsuite_zoo.robustness.benchmark import make_benchmark as make_robustness

        make_robustness(
            list(runs),
            attacks=attacks,
            eps=eps,
            norm=norm,
            unit=unit,
            episodes=episodes or 20,
            seed=seed,
            effort=effort,
            jobs=jobs,
            quick=quick,
            report_only=report_only,
            out=out,
        )
        return
    if suite != "inventory":
        raise unknown("benchmark suite", suite, ["inventory", "robustness"])
    from rlsuite_zoo.inventory.benchmark import make_benchmark

    make_benchmark(
        scenarios=scenarios,
        policies=policies,
        agents=list(agents),
        episodes=episodes,
        seed=seed,
        jobs=jobs,
        quick=quick,
        report_only=report_only,
        cells=cells,
        out=out,
    )
