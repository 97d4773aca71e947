"""`rlsuite attack RUN`: how far a trained policy's return falls under every attack, as tables, pictures and a page.

Cells (run, attack) are independent, played side by side and kept in `RUN/attacks/`; another call plays what is missing.
All attacks meet the same episodes, so differences to the clean return are paired.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rlsuite.adversarial.attacks.budget import Budget
from rlsuite.adversarial.attacks.catalogue import ATTACKS
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.options import AttackOptions, VictimsOptions
from rlsuite_zoo.robustness.attack_cells import (
    CLEAN,
    AttackCell,
    best_of,
    cells_of,
    missing,
    play_cell,
    playable,
    played_returns,
)
from rlsuite_zoo.robustness.attack_outcome import Outcome
from rlsuite_zoo.robustness.attack_page import write
from rlsuite_zoo.runs import kept
from rlsuite_zoo.runs.folder import RunFolder, find_trained
from rlsuite_zoo.runs.groups import one_group
from rlsuite_zoo.runs.models import check_one_objective
from rlsuite_zoo.runs.recipe import parse_grid
from rlsuite_zoo.runs.spec import check_jobs

__all__ = ["check_options", "make_attack", "name_of", "urgency"]

QUICK_EPISODES, QUICK_EFFORT = 4, 0.02
SLOW_FIRST = ("pa-ad", "sa-rl", "robust-sarsa", "finite-difference", "search")


def make_attack(options: AttackOptions) -> None:
    """Play what is missing, then write `attacks.html`, `.json`, `.csv` and `.png`.

    Raises:
        UsageError: bad options, no run, or nothing to report. Interrupted: stopped by the user.
    """
    grid = parse_grid(options.eps, "--eps")
    check_options(options, grid)
    folders = find_trained([options.run])
    check_one_objective(folders, "attack")
    one_group(folders, "the page averages over runs")
    common: dict[str, Any] = {
        "norm": options.norm,
        "unit": options.unit,
        "seed": options.seed,
        "episodes": min(options.episodes, QUICK_EPISODES) if options.quick else options.episodes,
        "effort": QUICK_EFFORT if options.quick else options.effort,
    }
    above = tuple(value for value in grid if value > 0)
    wanted: list[AttackCell] = []
    for folder in folders:
        wanted += cells_of(str(folder.path), options.attacks, above, **common)
    names = dict.fromkeys(cell.attack for cell in wanted if cell.attack != CLEAN)
    for name in names:
        if few := set(above) - set(playable(name, above)):
            print(f"{name} has no budget above {ATTACKS[name].largest_eps:g}; left out: {sorted(few)}")
    if not options.report_only:
        play_cells(wanted, options.jobs)
    units = {record["unit"]: None for cell in wanted if (record := kept.read(cell)) is not None}
    settings = {
        "runs": ", ".join(str(folder.path) for folder in folders),
        "budget": f"{options.norm} per step, in units of: {', '.join(units)}",
        "episodes": f"{common['episodes']} per run and cell, the same for all attacks",
        "attacks tried": f"{len(names)}, one setting each; learned ones with effort {common['effort']:g}",
    }
    outcome = _gather(wanted, folders, list(names), list(above), settings)
    if not outcome.clean:
        raise UsageError(f"nothing was played for {options.run}; leave --report-only out")
    write(outcome, Path(options.out) if options.out else Path(options.run) / "attacks")


def check_options(options: AttackOptions | VictimsOptions, grid: list[float]) -> None:
    """Raise unless the numbers make sense.

    Raises:
        UsageError: names the option, its value and the remedy.
    """
    if options.episodes < 1:
        raise UsageError(f"--episodes is {options.episodes}; it must be at least 1")
    if not 0 < options.effort < float("inf"):
        raise UsageError(f"--effort is {options.effort}; it must be above 0")
    check_jobs(options.jobs)
    if options.unit not in ("auto", "raw"):
        raise UsageError(f"--unit is {options.unit!r}; choose auto (standard deviations) or raw")
    for eps in grid or [0.0]:
        try:
            Budget(eps, options.norm)
        except ValueError as error:
            raise UsageError(str(error)) from error


def play_cells(cells: list[AttackCell], jobs: int | None) -> None:
    """Play what is missing of attack cells.

    Raises:
        Interrupted: stopped by the user.
    """
    kept.play_missing(cells, play_cell, jobs=jobs, name=name_of, what="cells", unfinished=missing, urgency=urgency)


def urgency(cell: AttackCell) -> int:
    """Slow attacks start first."""
    return SLOW_FIRST.index(cell.attack) if cell.attack in SLOW_FIRST else len(SLOW_FIRST)


def name_of(cell: AttackCell) -> str:
    """For the progress bar."""
    return f"{cell.attack} on {Path(cell.run).name}"


def _gather(
    cells: list[AttackCell],
    runs: list[RunFolder],
    attacks: list[str],
    eps: list[float],
    settings: dict[str, Any],
) -> Outcome:
    played: dict[tuple[str, str, float], list[np.ndarray | None]] = {}
    for cell in cells:
        for value in [0.0] if cell.attack == CLEAN else eps:
            played.setdefault((cell.run, cell.attack, value), []).append(played_returns(cell, value))
    best = {key: found for key, members in played.items() if (found := best_of(members)) is not None}
    clean = {run: found for (run, attack, _), found in best.items() if attack == CLEAN}
    returns = {key: found for key, found in best.items() if key[1] != CLEAN}
    return Outcome(runs, attacks, eps, settings, clean, returns)
