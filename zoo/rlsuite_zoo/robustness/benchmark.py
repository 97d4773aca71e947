"""`rlsuite benchmark robustness`: every victim under every attack, as one table, one picture and one page.

A victim is a group of runs that differ in their seed alone; its number is the mean over runs, the median run by its
strongest attack is named, as the papers report it. Cells are those of `rlsuite attack` and shared with it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import PercentFormatter

from rlsuite.adversarial.attacks.catalogue import ATTACKS
from rlsuite.core.statistics import Interval, bootstrap_interval
from rlsuite_envs.drawing import figure
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.files import write_json, write_text
from rlsuite_zoo.options import VictimsOptions
from rlsuite_zoo.provenance import provenance_of
from rlsuite_zoo.report.html_page import HtmlPage
from rlsuite_zoo.report.numbers import cell_text, numbers_of
from rlsuite_zoo.robustness.attack import QUICK_EFFORT, QUICK_EPISODES, check_options, play_cells
from rlsuite_zoo.robustness.attack_cells import (
    CLEAN,
    OF_SETS,
    AttackCell,
    best_of,
    cells_of,
    played_returns,
)
from rlsuite_zoo.runs.folder import find_trained
from rlsuite_zoo.runs.groups import group_names
from rlsuite_zoo.runs.models import check_one_objective

__all__ = [
    "STANDARD_EPS",
    "Victim",
    "csv_of",
    "draw_shares",
    "make_benchmark",
    "played_attacks",
    "victim_of",
]

STANDARD_EPS: Mapping[str, float] = {
    "Hopper-v5": 0.075,
    "Walker2d-v5": 0.05,
    "HalfCheetah-v5": 0.15,
    "Ant-v5": 0.15,
}
"""Budgets of the SA-MDP papers, l-infinity on normalised observations."""
OTHER_EPS = 0.1


@dataclass(frozen=True)
class Victim:
    """Runs that differ in their seed alone, and what was played of them."""

    name: str
    env: str
    eps: float
    runs: list[str]
    returns: dict[tuple[str, str], np.ndarray]
    """Returns [E] by run and attack (`CLEAN` for none)."""

    def interval(self, attack: str) -> Interval | None:
        """Mean return: over episodes of a single run, else over runs."""
        found = [self.returns[run, attack] for run in self.runs if (run, attack) in self.returns]
        if not found:
            return None
        return bootstrap_interval(found[0] if len(found) == 1 else [float(v.mean()) for v in found])

    def strongest(self) -> dict[str, tuple[float, str]]:
        """The least mean return under an attack on observations, and that attack, by run."""
        least: dict[str, tuple[float, str]] = {}
        for (run, attack), values in self.returns.items():
            if attack != CLEAN and not ATTACKS[attack].on_actions:
                least[run] = min(least.get(run, (np.inf, "")), (float(values.mean()), attack))
        return least

    def median_run(self) -> str:
        """The run whose strongest attack leaves the median return (the lower one of two)."""
        order = sorted(self.strongest().items(), key=lambda entry: entry[1][0])
        return order[(len(order) - 1) // 2][0] if order else ""


def make_benchmark(options: VictimsOptions) -> None:
    """Play what is missing, then write `<out>/robustness-benchmark.html`, `.json`, `.csv` and `.png`.

    Raises:
        UsageError: bad options, no run, or nothing to report. Interrupted: stopped by the user.
    """
    if not options.runs:
        raise UsageError("no victims: give run folders with --runs, those of `rlsuite train`")
    check_options(options, [] if options.eps is None else [options.eps])
    if options.eps == 0:
        raise UsageError("--eps is 0; a benchmark of attacks needs a budget above 0")
    common: dict[str, Any] = {
        "norm": options.norm,
        "unit": options.unit,
        "seed": options.seed,
        "episodes": min(options.episodes, QUICK_EPISODES) if options.quick else options.episodes,
        "effort": QUICK_EFFORT if options.quick else options.effort,
    }
    wanted: dict[tuple[str, str, float], list[AttackCell]] = {}
    folders = find_trained(list(options.runs))
    check_one_objective(folders, "benchmark robustness")
    for name, folder in zip(group_names(folders), folders, strict=True):
        spec = folder.spec()
        bare = spec.env.removeprefix("rlsuite/")
        budget = STANDARD_EPS.get(bare, OTHER_EPS) if options.eps is None else options.eps
        cells = cells_of(str(folder.path), options.attacks, (budget,), **common)
        wanted.setdefault((name, spec.env, budget), []).extend(cells)
    every = [cell for cells in wanted.values() for cell in cells]
    if not options.report_only:
        play_cells(every, options.jobs)
    victims = [victim_of(name, env, budget, cells) for (name, env, budget), cells in wanted.items()]
    victims = [victim for victim in victims if victim.returns]
    if not victims:
        raise UsageError("nothing was played; leave --report-only out")
    settings = {
        "budget": f"{options.norm} per step in standard deviations of each observation entry"
        if options.unit == "auto"
        else f"{options.norm} per step in raw units",
        "episodes": f"{common['episodes']} per run and attack, the same for all attacks; effort {common['effort']:g}",
        **provenance_of(),
    }
    _write(victims, settings, Path(options.out))


def victim_of(name: str, env: str, eps: float, cells: list[AttackCell]) -> Victim:
    """Returns of the runs in `cells`, at the budget `eps` and without an attack."""
    played: dict[tuple[str, str], list[np.ndarray | None]] = {}
    for cell in cells:
        played.setdefault((cell.run, cell.attack), []).append(played_returns(cell, 0 if cell.attack == CLEAN else eps))
    returns = {key: found for key, members in played.items() if (found := best_of(members)) is not None}
    return Victim(name, env, eps, list(dict.fromkeys(cell.run for cell in cells)), returns)


def played_attacks(victims: list[Victim]) -> list[str]:
    """Every attack that was played, in the zoo's order."""
    played = {attack for victim in victims for _, attack in victim.returns}
    return [name for name in ATTACKS if name in played]


def _write(victims: list[Victim], settings: dict[str, str], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    attacks = played_attacks(victims)
    page = HtmlPage("Victims under attack")
    page.paragraph(
        "Mean undiscounted return with its 95 % bootstrap interval, over runs that differ in their seed alone (over "
        "episodes where there is one run). The strongest column is the mean over runs of the least return that any "
        "attack on observations left, chosen by these episodes; the median run is the one in the middle of these. "
        + OF_SETS
    )
    for env in dict.fromkeys(victim.env for victim in victims):
        mine = [victim for victim in victims if victim.env == env]
        page.heading(env)
        header = ["victim", "runs", "eps", "natural", *attacks, "strongest", "by", "median run"]
        page.table(header, [_row(victim, attacks) for victim in mine])
    draw_shares(victims, attacks, out / "robustness-benchmark.png")
    page.picture(out / "robustness-benchmark.png", "share of the natural return that is left under each attack")
    page.heading("Settings")
    page.settings(settings)
    page.write(out / "robustness-benchmark.html")
    write_text(out / "robustness-benchmark.csv", csv_of(victims))
    data = [
        {
            "victim": victim.name,
            "env": victim.env,
            "eps": victim.eps,
            "runs": victim.runs,
            "median_run": victim.median_run(),
            "returns": {attack: numbers_of(victim.interval(attack)) for attack in (CLEAN, *attacks)},
        }
        for victim in victims
    ]
    write_json(out / "robustness-benchmark.json", {"settings": settings, "victims": data})
    print(f"wrote {out / 'robustness-benchmark.html'}: {len(victims)} victims, {len(attacks)} attacks")


def _row(victim: Victim, attacks: list[str]) -> list[str]:
    least = victim.strongest()
    worst = bootstrap_interval([value for value, _ in least.values()]) if least else None
    who = [attack for _, attack in least.values()]
    median = victim.median_run()
    return [
        victim.name,
        str(len(victim.runs)),
        f"{victim.eps:g}",
        *(cell_text(victim.interval(attack)) for attack in (CLEAN, *attacks)),
        cell_text(worst),
        max(dict.fromkeys(who), key=who.count) if who else "–",
        f"{Path(median).name}: {least[median][0]:,.0f}" if median else "–",
    ]


def csv_of(victims: list[Victim]) -> str:
    """One line a run and attack."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["victim", "env", "run", "attack", "eps", "mean_return", "least", "episodes"])
    for victim in victims:
        for (run, attack), values in victim.returns.items():
            eps = 0 if attack == CLEAN else victim.eps
            row = [
                victim.name,
                victim.env,
                run,
                attack,
                f"{eps:g}",
                f"{values.mean():.4f}",
                f"{values.min():.4f}",
            ]
            writer.writerow([*row, len(values)])
    return text.getvalue()


def draw_shares(victims: list[Victim], attacks: list[str], path: Path) -> None:
    """Victims by attacks; the number in a cell is the mean return, its colour the share of the natural one."""
    means = np.full((len(victims), len(attacks) + 1), np.nan)
    for i, victim in enumerate(victims):
        for j, attack in enumerate((CLEAN, *attacks)):
            found = victim.interval(attack)
            means[i, j] = np.nan if found is None else found.estimate
    natural = means[:, :1]
    share = np.where(natural > 0, means / np.where(natural > 0, natural, 1), np.nan)
    picture, axes = figure(1, 1, width=3.5 + 0.75 * means.shape[1], height=1.8 + 0.45 * len(victims))
    ax = axes[0, 0]
    image = ax.imshow(share, vmin=0, vmax=1, cmap="RdYlGn", aspect="auto")
    ax.set_xticks(range(means.shape[1]), ["natural", *attacks], rotation=40, ha="right")
    ax.set_yticks(range(len(victims)), [f"{v.name}\n{v.env}" for v in victims], fontsize=8)
    for (i, j), value in np.ndenumerate(means):
        if np.isfinite(value):
            ink = "white" if share[i, j] < 0.12 or share[i, j] > 0.88 else "black"  # on the scale's dark ends
            ax.text(j, i, f"{value:,.0f}", ha="center", va="center", fontsize=7, color=ink)
    ax.set_title(
        "Mean return (number), and the share of the natural return that each attack leaves (colour)",
        loc="left",
        fontsize=10,
    )
    bar = picture.colorbar(image, ax=ax, fraction=0.03, pad=0.01, label="share of the natural return that is left")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    picture.savefig(path, dpi=140)
