"""`rlsuite benchmark inventory`: every policy in every scenario on the same demands, as a ranking.

Cells (scenario, policy) are independent: each is played in a worker process and kept in a file of its own, so that a
stopped benchmark goes on where it was and a further policy costs its own cells only. A cell whose settings changed is
played again.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlsuite_zoo.errors import UsageError, unknown
from rlsuite_zoo.inventory.cells import (
    ORACLE,
    POLICIES,
    SCENARIO_GROUPS,
    Agent,
    Cell,
    find_agents,
    play_cell,
)
from rlsuite_zoo.options import InventoryOptions
from rlsuite_zoo.runs import kept
from rlsuite_zoo.runs.folder import RunFolder
from rlsuite_zoo.runs.recipe import parse_weights
from rlsuite_zoo.runs.spec import check_jobs, safe_name

__all__ = ["make_benchmark"]

EPISODES, QUICK_EPISODES = 30, 4
TUNING, QUICK_TUNING = 200, 20
PATHS, QUICK_PATHS = 10, 4
QUICK_SCENARIOS = ("serial-stationary-backlog", "serial-shock-goodwill-lost", "divergent-m5-backlog")
FORMAT = 2
"""Number of the cells' file format; a change of what a policy does raises it, so that old cells are played again."""
SLOW_FIRST = ("samples", "mean", "tuned", "hdpo", ORACLE)
"""Cells whose policy's name has these words start first, so that no long one is left for the end."""


def make_benchmark(options: InventoryOptions) -> None:
    """Play what is missing, then write `<out>/inventory.md`, `.csv` and `.png`.

    Raises:
        UsageError: bad options, or nothing to report. Interrupted: stopped by the user.
    """
    from rlsuite_zoo.inventory import page

    if options.episodes < 0:
        raise UsageError(f"--episodes is {options.episodes}; it must be at least 1, or 0 for the default")
    check_jobs(options.jobs)
    chosen = _scenarios(options.scenarios or ("quick" if options.quick else "core"))
    names = _policies(options.policies)
    settings: dict[str, Any] = {
        "episodes": options.episodes or (QUICK_EPISODES if options.quick else EPISODES),
        "seed": options.seed,
        "tuning": QUICK_TUNING if options.quick else TUNING,
        "paths": QUICK_PATHS if options.quick else PATHS,
    }
    wanted = [Cell(scenario, name, **settings) for name in names for scenario in chosen]
    weights = parse_weights(options.weights) if options.weights else ()
    wanted += _agent_cells(find_agents(list(options.agents), weights), chosen, settings)
    every = [KeptCell(Path(options.cells), cell) for cell in wanted]
    if not options.report_only:
        kept.play_missing(
            every, _play_one, jobs=options.jobs, name=_name, what=f"cells in {options.cells}", urgency=_urgency
        )
    done = {(k.cell.scenario, k.cell.policy): record for k in every if (record := kept.read(k)) is not None}
    if not done:
        raise UsageError(f"no cell in {options.cells} to report; leave --report-only out to play them")
    labels = [*names, *dict.fromkeys(cell.policy for cell in wanted if cell.checkpoints)]
    page.write(done, chosen, labels, settings, Path(options.out))


def _scenarios(text: str) -> list[str]:
    """Names of groups and scenarios, separated by commas.

    Raises:
        UsageError: an unknown one; names the nearest.
    """
    found: dict[str, None] = {}
    for word in (word.strip() for word in text.split(",") if word.strip()):
        if word == "quick":
            names = list(QUICK_SCENARIOS)
        elif word in SCENARIO_GROUPS:
            names = SCENARIO_GROUPS[word]
        else:
            names = [s for s in SCENARIO_GROUPS["all"] if s == word]
            names = names or [s for s in SCENARIO_GROUPS["core"] if s.split("-")[0] == word]
        if not names:
            raise unknown("scenario", word, [*SCENARIO_GROUPS, *SCENARIO_GROUPS["all"], "divergent", "serial"])
        found |= dict.fromkeys(names)
    if not found:
        raise UsageError("--scenarios names none; give core, marl, networks, all, or names separated by commas")
    return list(found)


def _policies(text: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if word != "all" and word not in POLICIES:
            raise unknown("policy", word, [*POLICIES, "all"])
    if not words or "all" in words:
        return list(POLICIES)
    # The others are measured against it.
    return [ORACLE, *(name for name in POLICIES if name in words and name != ORACLE)]


def _agent_cells(agents: list[Agent], scenarios: list[str], settings: dict[str, Any]) -> Iterator[Cell]:
    """For each label and scenario: the runs trained in it; else those of its network."""
    for label in dict.fromkeys(agent.label for agent in agents):
        mine, played = [agent for agent in agents if agent.label == label], 0
        for scenario in scenarios:
            exact = [agent.path for agent in mine if agent.scenario == scenario]
            near = [agent.path for agent in mine if agent.topology == scenario.partition("-")[0]]
            if exact or near:
                played += 1
                yield Cell(scenario, label, **settings, checkpoints=tuple(exact or near), weights=mine[0].weights)
        if not played:
            networks = ", ".join(sorted({agent.topology or "a network of its own" for agent in mine}))
            raise UsageError(f"{label} was trained on {networks}, which no chosen scenario has")


def _urgency(job: KeptCell) -> tuple[int, int]:
    cell = job.cell
    rank = next((i for i, word in enumerate(SLOW_FIRST) if word in cell.policy), len(SLOW_FIRST))
    return rank, not cell.scenario.startswith("divergent")


# --- Files of cells


@dataclass(frozen=True)
class KeptCell:
    """A cell, and the folder of all that were played."""

    root: Path
    cell: Cell

    @property
    def path(self) -> Path:
        """File in which the outcome is kept."""
        return self.root / self.cell.scenario / f"{safe_name(self.cell.policy).replace(' ', '_')}.json"

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the agents' models that decides the outcome."""
        without = ["checkpoints"] + ["weights"] * (not self.cell.weights)
        return kept.plain({**dataclasses.asdict(self.cell), "format": FORMAT}, *without)

    @property
    def checkpoints(self) -> list[Path]:
        """The agents played; run folders count by their last model."""
        files = (Path(path) for path in self.cell.checkpoints)
        return [RunFolder(file).last if file.is_dir() else file for file in files]


def _name(job: KeptCell) -> str:
    return f"{job.cell.policy} in {job.cell.scenario}"


def _play_one(job: KeptCell) -> None:
    """In a worker: play a cell and keep it."""
    started = time.perf_counter()
    key = kept.key_of(job)
    try:
        record = play_cell(job.cell)
    except Exception as error:
        raise RuntimeError(f"{_name(job)} failed: {type(error).__name__}: {error}") from error
    kept.write(job, key, {"wall": time.perf_counter() - started, **record})
