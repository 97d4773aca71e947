"""The page of the inventory benchmark: ranking, scenarios one by one, table and picture, from the cells played.

Intervals are bootstrapped over episodes. An episode's demands are the same for all policies and, as quantiles, in all
scenarios; so a mean over scenarios is taken per episode first, and differences are paired.
"""

from __future__ import annotations

import csv
import datetime
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlsuite.core.statistics import Interval, bootstrap_interval
from rlsuite_envs.drawing import figure
from rlsuite_zoo.files import write_text
from rlsuite_zoo.inventory.cells import FIGURES, ORACLE, POLICIES, TRAINING
from rlsuite_zoo.provenance import command, git_state, portable, versions
from rlsuite_zoo.report.paged import write_paged
from rlsuite_zoo.runs.display import out_console

__all__ = ["BrokenBenchmark", "write"]

Cells = dict[tuple[str, str], dict[str, Any]]

GROUPS = ("divergent", "serial", "stationary", "seasonal", "shock", "m5", "goodwill", "backlog", "lost")
NAMES = (
    "mean, samples: re-planned every period by a linear programme for the mean of demand, for sampled demand paths. "
    "blind: without the true mean of demand.\n"
    "tuned: numbers found by simulation. hdpo: a network trained by gradients. oracle (grey): knows every demand."
)
"""Legend below the picture: the meaning of the policies' names."""
SLACK = 1e-6
"""Share of the bound within which a profit above it counts as rounding of the linear programme."""


class BrokenBenchmark(RuntimeError):
    """A policy earned more than is possible: the benchmark is wrong, not the policy good."""


@dataclass(frozen=True)
class Line:
    """A policy over all scenarios that it and the oracle played."""

    name: str
    profit: Interval
    share: float
    """Profit as a share of the oracle's."""
    to_best: Interval
    """Paired difference of profit to the best policy."""
    figures: dict[str, float]
    milliseconds: float
    """Time per decision, ms, median over scenarios."""
    wins: int
    """Scenarios in which no other policy earns more on average."""
    scenarios: int


def write(cells: Cells, scenarios: list[str], names: list[str], settings: dict[str, Any], out: Path) -> None:
    """Write inventory.md, .csv and .png.

    Raises:
        BrokenBenchmark: a policy beat a bound that holds for all.
    """
    check_bounds(cells)
    out.mkdir(parents=True, exist_ok=True)
    lines = ranking(cells, scenarios, names)
    write_text(out / "inventory.csv", _csv(cells, scenarios, names))
    _draw(lines, out / "inventory.png")
    write_paged(out / "inventory.md", _page(cells, scenarios, names, lines, settings), _findings(lines))
    best = next((line for line in lines if line.name != ORACLE), None)
    if best is not None:
        out_console().print(
            f"wrote {out / 'inventory.md'}: {best.name} earns most, {best.profit} a scenario"
            + (f", {best.share:.1%} of perfect information" if np.isfinite(best.share) else "")
        )


def check_bounds(cells: Cells) -> None:
    """Raise if any episode earned more than perfect information (with goodwill: than its bound) allows."""
    for (scenario, name), record in cells.items():
        reference = cells.get((scenario, ORACLE))
        if reference is None:
            continue
        most = np.array(reference["bound"])
        over = np.array(record["profit"]) - most - SLACK * (1 + np.abs(most))
        if (over > 0).any():
            episode = int(over.argmax())
            raise BrokenBenchmark(
                f"{name} earned {record['profit'][episode]:.4f} in episode {episode} of {scenario}, where no policy "
                f"can earn more than {most[episode]:.4f}: the simulator and the oracle disagree."
            )


def beaten(cells: Cells, scenario: str) -> tuple[int, int]:
    """Episodes in which some policy earned more than the oracle's best replay, and episodes in all."""
    reference = cells.get((scenario, ORACLE))
    if reference is None:
        return 0, 0
    oracle = np.array(reference["profit"])
    others = [np.array(r["profit"]) for (s, name), r in cells.items() if s == scenario and name != ORACLE]
    if not others:
        return 0, len(oracle)
    return int((np.max(others, axis=0) > oracle + SLACK * (1 + np.abs(oracle))).sum()), len(oracle)


def ranking(cells: Cells, scenarios: list[str], names: list[str]) -> list[Line]:
    """Policies by mean profit; those that played every scenario first, by the same scenarios for all."""
    winners = [_winner(cells, scenario, names) for scenario in scenarios]
    full = [name for name in names if all((s, name) in cells for s in scenarios)]
    means = {name: _profits(cells, scenarios, name).mean(0) for name in full}
    rivals = [name for name in full if name != ORACLE] or full
    best = max(rivals, key=lambda name: float(means[name].mean())) if rivals else None
    lines = []
    for name in names:
        mine = [s for s in scenarios if (s, name) in cells]
        if not mine:
            continue
        profit = _profits(cells, mine, name).mean(0)
        both = [s for s in mine if (s, ORACLE) in cells]
        ideal = float(_profits(cells, both, ORACLE).mean()) if both else np.nan
        share = float(_profits(cells, both, name).mean()) / ideal if both else np.nan
        rival = _profits(cells, mine, best).mean(0) if best is not None else profit
        figures = {figure: float(np.mean([np.mean(cells[s, name][figure]) for s in mine])) for figure in FIGURES}
        lines.append(
            Line(
                name,
                bootstrap_interval(profit),
                share,
                bootstrap_interval(profit - rival),
                figures,
                1e3 * float(np.median([cells[s, name]["seconds"] for s in mine])),
                winners.count(name),
                len(mine),
            )
        )
    return sorted(lines, key=lambda line: (-line.scenarios, -line.profit.estimate))


def _profits(cells: Cells, scenarios: list[str], name: str) -> np.ndarray:
    """[scenarios, S]."""
    return np.array([cells[s, name]["profit"] for s in scenarios])


def _winner(cells: Cells, scenario: str, names: list[str]) -> str | None:
    """The policy with the highest mean profit, the oracle left out."""
    there = [name for name in names if (scenario, name) in cells and name != ORACLE]
    return max(there, key=lambda name: float(np.mean(cells[scenario, name]["profit"])), default=None)


# --- Markdown


def _page(cells: Cells, scenarios: list[str], names: list[str], lines: list[Line], settings: dict[str, Any]) -> str:
    parts = ["# Inventory control: classical and learned policies on supply networks"]
    parts.append(
        f"{len(scenarios)} scenarios of gym-invmgmt, {settings['episodes']} episodes each, on the same demands for "
        f"every policy (seed {settings['seed']}). Profit is per episode of 30 periods: mean and 95 % bootstrap "
        "interval over episodes; `to the best` is the paired difference to the best policy, the oracle aside. "
        "Informed policies know the true mean of demand, future ones included; blind ones average the last five "
        f"periods. Tuned ones found their numbers by {settings['tuning']} simulations on other demands; `hdpo` was "
        f"trained for {settings['tuning'] * TRAINING:,} periods and sees no forecast but the clock. Sampling "
        f"programmes plan for {settings['paths']} demand paths. Decisions of rules and networks are made for all "
        "episodes at once, those of programmes one by one; `ms` is the time per period and episode, on one core."
    )
    parts += [
        f"{_provenance()} All cells together took {_minutes(cells):.0f} minutes of one core, with tuning and training.",
        _honesty(cells, scenarios),
        "![ranking](inventory.png)",
        "## Ranking",
        _table(lines),
    ]
    parts += ["## Means by kind of scenario", _by_group(cells, scenarios, [line.name for line in lines])]
    parts += [
        "## Scenarios",
        "Every policy in every scenario, with intervals and figures: [inventory.csv](inventory.csv).",
    ]
    parts.append("## Policies")
    told = [f"- `{name}`: {POLICIES[name][0]}." for name in names if name in POLICIES]
    told += [f"- `{name}`: learned; see its run folder." for name in names if name not in POLICIES]
    parts.append("\n".join(told))
    return "\n\n".join(parts) + "\n"


def _findings(lines: list[Line]) -> list[str]:
    """The three that earn most, the oracle aside."""
    found: list[str] = []
    for line in [line for line in lines if line.name != ORACLE][:3]:
        share = f", {line.share:.1%} of perfect information" if np.isfinite(line.share) else ""
        gap = f"; {line.to_best} to the best" if found else "; the most"
        found.append(f"`{line.name}` earns {line.profit} an episode{share}{gap}.")
    return found


def _minutes(cells: Cells) -> float:
    return float(sum(record.get("wall", 0.0) for record in cells.values())) / 60


def _provenance() -> str:
    made = versions()
    state = git_state()
    commit = f", commit {state['commit'][:10]}" if state else ""
    packages = ", ".join(f"{name} {made[name]}" for name in ("rlsuite", "torch", "numpy", "scipy"))
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return f"Made {today} by `{portable(command())}` with Python {made['python']}, {packages}{commit}."


def _honesty(cells: Cells, scenarios: list[str]) -> str:
    """How far the oracle's row can be trusted."""
    there = [s for s in scenarios if (s, ORACLE) in cells]
    exact = [s for s in there if cells[s, ORACLE]["exact"]]
    rest = [s for s in there if s not in exact]
    text = (
        f"In {len(exact)} scenarios the oracle is exact: no policy can earn more on any demand path, and none did "
        "(checked for every episode)."
    )
    if rest:
        count, total = (sum(x) for x in zip(*(beaten(cells, s) for s in rest), strict=True))
        text += (
            f" In the {len(rest)} with goodwill demand answers to service; its row is the best of several plans and "
            f"replays, true profit but no bound. Some policy earned more than it in {count} of {total} episodes. The "
            "bound that does hold there (sales to the demand of customers who never meet a shortage) is loose; no "
            "policy passed it."
        )
    return text


def _table(lines: list[Line]) -> str:
    rows = [
        "| policy | profit | of oracle | to the best | wins | fill rate | service | stock | bullwhip | ms |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    most = max(line.scenarios for line in lines)
    for line in lines:
        name = line.name if line.scenarios == most else f"{line.name} ({line.scenarios} scenarios)"
        share = f"{line.share:.1%}" if np.isfinite(line.share) else ""
        wins = "" if line.name == ORACLE else str(line.wins)
        rows.append(
            f"| {name} | {line.profit} | {share} | {line.to_best} | {wins} | {_figures(line.figures)} | "
            f"{line.milliseconds:.3g} |"
        )
    return "\n".join(rows)


def _figures(figures: dict[str, float]) -> str:
    return (
        f"{figures['fill_rate']:.3f} | {figures['service_level']:.3f} | {figures['average_inventory']:.0f} | "
        f"{figures['bullwhip']:.3g}"
    )


def _by_group(cells: Cells, scenarios: list[str], names: list[str]) -> str:
    groups = {group: [s for s in scenarios if group in s.split("-")] for group in GROUPS}
    groups = {group: found for group, found in groups.items() if found}
    rows = [f"| policy | {' | '.join(groups)} |", "|---|" + "---:|" * len(groups)]
    for name in names:
        values = []
        for found in groups.values():
            there = all((s, name) in cells for s in found)
            values.append(f"{_profits(cells, found, name).mean():.1f}" if there else "")
        rows.append(f"| {name} | {' | '.join(values)} |")
    return "\n".join(rows) if groups else ""


# --- Table and picture


def _csv(cells: Cells, scenarios: list[str], names: list[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ("profit", "profit_low", "profit_high", "to_best", "to_best_low", "to_best_high", "bound")
    writer.writerow(["scenario", "policy", "episodes", *columns, *FIGURES, "seconds_per_decision", "numbers"])
    for scenario in scenarios:
        best = _winner(cells, scenario, names)
        for name in names:
            record = cells.get((scenario, name))
            if record is None:
                continue
            profit = np.array(record["profit"])
            rival = np.array(cells[scenario, best]["profit"]) if best is not None else profit
            intervals = [bootstrap_interval(profit), bootstrap_interval(profit - rival)]
            values = [x for i in intervals for x in (i.estimate, i.low, i.high)]
            limit = float(np.mean(record["bound"])) if "bound" in record else ""
            figures = [float(np.mean(record[figure])) for figure in FIGURES]
            numbers = [f"{x:.6g}" if x != "" else "" for x in (*values, limit, *figures, record["seconds"])]
            writer.writerow([scenario, name, len(profit), *numbers, record["policy"]])
    return text.getvalue()


def _draw(lines: list[Line], path: Path) -> None:
    """Mean profit with its interval, best on top, and to its right the time of a decision."""
    drawn, axes = figure(1, 2, width=10.0, height=1.6 + 0.3 * len(lines))
    left, right = axes[0, 0], axes[0, 1]
    spots = np.arange(len(lines))
    for spot, line in zip(spots, lines, strict=True):
        color = "#555555" if line.name == ORACLE else "#1f77b4" if line.name in POLICIES else "#d62728"
        low, high = line.profit.estimate - line.profit.low, line.profit.high - line.profit.estimate
        left.errorbar(line.profit.estimate, spot, xerr=[[low], [high]], fmt="o", color=color, capsize=3, markersize=5)
        right.barh(spot, line.milliseconds, color=color, height=0.6)
    most = max(line.scenarios for line in lines)
    labels = [line.name if line.scenarios == most else f"{line.name} *" for line in lines]
    left.set_yticks(spots, labels)
    right.set_yticks(spots, [""] * len(lines))
    for panel in (left, right):
        panel.set_ylim(len(lines) - 0.4, -0.6)
        panel.grid(axis="x", alpha=0.3)
        panel.set_axisbelow(True)
    left.set_xlabel("mean profit per episode of 30 periods, with 95 % interval")
    drawn.supxlabel(NAMES, fontsize=8, color="#555555")
    right.set_xscale("log")
    right.set_xlabel("time per decision, ms")
    if any(line.scenarios != most for line in lines):
        left.set_title("* played some of the scenarios only", fontsize=9, loc="left")
    drawn.savefig(path, dpi=110)
