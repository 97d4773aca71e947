"""`rlsuite attack RUN`: how far a trained policy's return falls under every attack, as tables, pictures and a page.

Cells (run, attack) are independent, played side by side and kept in `RUN/attacks/`; another call plays what is missing.
All attacks meet the same episodes, so differences to the clean return are paired.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlsuite.adversarial.attacks.budget import Budget
from rlsuite.adversarial.attacks.zoo import ATTACKS, attacks_for
from rlsuite.core.statistics import Interval, bootstrap_interval
from rlsuite_zoo.attack_cells import CLEAN, AttackCell, missing, play_cell, read_cell, victim_of
from rlsuite_zoo.cells import run_cells
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.launch import cores
from rlsuite_zoo.recipe import parse_grid
from rlsuite_zoo.run_folder import RunFolder, find_runs

__all__ = ["Outcome", "check_options", "make_attack", "name_of", "urgency"]

QUICK_EPISODES, QUICK_EFFORT = 4, 0.02
SLOW_FIRST = ("pa-ad", "sa-rl", "robust-sarsa", "finite-difference", "search")


@dataclass(frozen=True)
class Outcome:
    """What was played of some runs, ready for a report."""

    runs: list[RunFolder]
    attacks: list[str]
    eps: list[float]
    """Budgets above 0."""
    settings: dict[str, str]
    """As the page shows them."""
    clean: dict[str, np.ndarray]
    """Returns [E] by run."""
    returns: dict[tuple[str, str, float], np.ndarray]
    """Returns [E] by run, attack and eps; only what was played."""

    def interval(self, attack: str, eps: float) -> Interval | None:
        """Mean return: over the episodes of one run, or over the means of several runs."""
        found = [self.at(str(run.path), attack, eps) for run in self.runs]
        played = [values for values in found if values is not None]
        if not played:
            return None
        return bootstrap_interval(played[0] if len(played) == 1 else [float(v.mean()) for v in played])

    def at(self, run: str, attack: str, eps: float) -> np.ndarray | None:
        """Returns [E]; at eps = 0 the clean ones."""
        return self.clean.get(run) if eps == 0 else self.returns.get((run, attack, eps))

    def strongest(self, eps: float) -> tuple[Interval, str] | None:
        """Over runs, the least mean return that any attack reached, and the attack that reached it most often."""
        least, names = [], []
        for run in self.runs:
            tried = [
                (float(v.mean()), v, a)
                for a in self.attacks
                if (v := self.at(str(run.path), a, eps)) is not None and not ATTACKS[a].on_actions
            ]
            if tried:
                _, values, name = min(tried, key=lambda entry: entry[0])
                least.append(values)
                names.append(name)
        if not least:
            return None
        values = least[0] if len(least) == 1 else np.array([v.mean() for v in least])
        return bootstrap_interval(values), max(set(names), key=names.count)


def make_attack(
    run: str,
    *,
    attacks: str,
    eps: str,
    norm: str,
    unit: str,
    episodes: int,
    seed: int,
    effort: float,
    jobs: int | None,
    quick: bool,
    report_only: bool,
    out: str,
) -> None:
    """Play what is missing, then write `attacks.html`, `.json`, `.csv` and `.png`.

    Raises:
        UsageError: bad options, no run, or nothing to report. Interrupted: stopped by the user.
    """
    from rlsuite_zoo import attack_page

    grid = parse_grid(eps, "--eps")
    check_options(episodes, effort, jobs, unit, grid, norm)
    folders = find_runs([run])
    for folder in folders:
        if not folder.last.exists():
            raise UsageError(f"{folder.path} has no checkpoint yet; train it with --resume {folder.path}")
    common = {
        "norm": norm, "unit": unit, "seed": seed,
        "episodes": min(episodes, QUICK_EPISODES) if quick else episodes, "effort": QUICK_EFFORT if quick else effort,
    }  # fmt: skip
    above = tuple(value for value in grid if value > 0)
    wanted: list[AttackCell] = []
    names: dict[str, None] = {}
    units: dict[str, None] = {}
    for folder in folders:
        clean = AttackCell(str(folder.path), CLEAN, (), **common)  # type: ignore[arg-type]
        victim = victim_of(clean)
        units[victim.unit_name] = None
        try:
            mine = attacks_for(victim, attacks)
        except ValueError as error:
            raise UsageError(f"{folder.path}: {error}") from error
        names |= dict.fromkeys(mine)
        wanted += [clean, *(AttackCell(str(folder.path), name, above, **common) for name in mine)]  # type: ignore[arg-type]
    if not report_only:
        todo = [cell for cell in wanted if missing(cell)]
        print(f"{len(wanted) - len(todo)} of {len(wanted)} cells are there; {len(todo)} to play")
        run_cells(play_cell, sorted(todo, key=urgency), jobs or cores(), name_of)
    settings = {
        "runs": ", ".join(str(folder.path) for folder in folders),
        "budget": f"{norm} per step, in units of: {', '.join(units)}",
        "episodes": f"{common['episodes']} per run and cell, the same for all attacks",
        "attacks tried": f"{len(names)}, one setting each; learned ones with effort {common['effort']:g}",
    }
    outcome = _gather(wanted, folders, list(names), list(above), settings)
    if not outcome.clean:
        raise UsageError(f"nothing was played for {run}; leave --report-only out")
    attack_page.write(outcome, Path(out) if out else Path(run) / "attacks")


def check_options(
    episodes: int, effort: float, jobs: int | None, unit: str, grid: list[float], norm: str
) -> None:
    """Raise unless the numbers make sense.

    Raises:
        UsageError: names the option, its value and the remedy.
    """
    if episodes < 1:
        raise UsageError(f"--episodes is {episodes}; it must be at least 1")
    if not 0 < effort < float("inf"):
        raise UsageError(f"--effort is {effort}; it must be above 0")
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs is {jobs}; it must be at least 1")
    if unit not in ("auto", "raw"):
        raise UsageError(f"--unit is {unit!r}; choose auto (standard deviations) or raw")
    for eps in grid or [0.0]:
        try:
            Budget(eps, norm)
        except ValueError as error:
            raise UsageError(str(error)) from error


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
    clean: dict[str, np.ndarray] = {}
    returns: dict[tuple[str, str, float], np.ndarray] = {}
    for cell in cells:
        record = read_cell(cell)
        if record is None:
            continue
        if cell.attack == CLEAN:
            clean[cell.run] = np.array(record["budgets"]["0"]["returns"])
            continue
        for value in eps:
            found = record["budgets"].get(f"{value:g}")
            if found is not None:
                returns[cell.run, cell.attack, value] = np.array(found["returns"])
    return Outcome(runs, attacks, eps, settings, clean, returns)
