"""The page of `rlsuite results hdpo`: tables by group, the numbers of every run, one picture."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rlsuite_envs.drawing import figure
from rlsuite_envs.inventory.optimal.optimal import Optimum
from rlsuite_envs.registration import KERNELS
from rlsuite_zoo.files import write_text
from rlsuite_zoo.pages.suite_page import provenance
from rlsuite_zoo.report import differences
from rlsuite_zoo.report.curves import COLOURS
from rlsuite_zoo.report.paged import write_paged
from rlsuite_zoo.runs.display import out_console
from rlsuite_zoo.runs.folder import RunFolder


@dataclass(frozen=True)
class Group:
    """Instances that are trained and reported alike."""

    name: str
    title: str
    environment: str
    """Name of the kernel, whose presets are the instances."""
    learned: tuple[str, ...]
    """Recipes whose gap is reported."""
    classical: tuple[str, ...]
    """Recipes of rules, tuned by the same gradients."""
    goal: float | None
    """Largest gap to the optimum that is asked for, percent."""
    presets: tuple[str, ...] = ()
    """Names of the presets taken; empty for all."""

    @property
    def ids(self) -> list[str]:
        """Environments of the group."""
        start = f"rlsuite/{self.environment}-"
        found = [e.id for e in KERNELS if e.id.startswith(start) and e.preset is not None]
        wanted = {f"{start}{preset}-v0" for preset in self.presets}
        return [id for id in found if not wanted or id in wanted]


@dataclass(frozen=True)
class Trial:
    """One recipe on one instance, over its seeds; costs per period and store."""

    folders: list[RunFolder]
    costs: np.ndarray
    """Mean cost [R] of each seed's policy, per period and store."""
    errors: np.ndarray
    """Standard errors [R] of the simulated costs."""
    paths: np.ndarray
    """Costs [R, N] per demand path; all policies meet the same demand."""
    minutes: float
    """Mean time of training, minutes."""

    @property
    def cost(self) -> float:
        """Mean cost over seeds."""
        return float(self.costs.mean())

    @property
    def margin(self) -> float:
        """Half a 95 % interval: of the simulation for one seed, over seeds for more."""
        return margin(self.costs, self.errors)


def margin(values: np.ndarray, errors: np.ndarray) -> float:
    """Half a 95 % interval of the mean of values [R] with standard errors [R]: Student's over several, else normal."""
    if len(values) == 1:
        return float(1.96 * errors[0])
    return differences.margin(values)


@dataclass(frozen=True)
class Row:
    """One learned policy on one instance."""

    id: str
    name: str
    """Name of the instance."""
    learned: str
    tested: Trial
    optimum: float | None
    """Optimal cost, or a lower bound of it, per period and store; None where neither is known."""
    classical: str
    """Name of the best rule; empty if none was run."""
    rule: Trial | None

    @property
    def gap(self) -> tuple[float, float] | None:
        """Percent above the optimum, and its margin."""
        if self.optimum is None:
            return None
        return 100 * (self.tested.cost / self.optimum - 1), 100 * self.tested.margin / self.optimum

    @property
    def saving(self) -> tuple[float, float] | None:
        """Percent below the best rule on the same demand, and its margin."""
        if self.rule is None:
            return None
        count = min(len(self.rule.paths), len(self.tested.paths))
        difference = (self.rule.paths[:count] - self.tested.paths[:count]).astype(np.float64)
        errors = difference.std(1, ddof=1) / difference.shape[1] ** 0.5
        scale = 100 / self.rule.cost
        return float(difference.mean()) * scale, margin(difference.mean(1), errors) * scale


Rows = dict[Group, list[Row]]


def rows_of(
    group: Group,
    ids: list[str],
    tested: Mapping[tuple[str, str], Trial],
    optima: Mapping[str, tuple[Optimum | None, int]],
) -> list[Row]:
    """The group's rows, as far as there are runs.

    Args:
        group: what is learned, and the rules that it is compared with.
        ids: its environments.
        tested: by environment and recipe.
        optima: of each environment, with the number of stores that share its cost.
    """
    names = {entry.id: str(entry.preset) for entry in KERNELS}
    rows = []
    for id in ids:
        rules = {recipe: tested[id, recipe] for recipe in group.classical if (id, recipe) in tested}
        best = min(rules, key=lambda recipe: rules[recipe].cost, default="")
        found, stores = optima[id]
        optimum = None if found is None else found.cost / stores
        for recipe in group.learned:
            if (id, recipe) in tested:
                row = Row(id, names[id], recipe, tested[id, recipe], optimum, best, rules.get(best))
                rows.append(row)
    return rows


def write_page(rows: Rows, folders: list[RunFolder], tested: Mapping[tuple[str, str], Trial], out: Path) -> None:
    """`hdpo.md`, the numbers of every run in `hdpo.csv`, and `hdpo.png`."""
    out.mkdir(parents=True, exist_ok=True)
    parts = ["# HDPO: learned ordering policies, optima and classical rules", _origin(folders)]
    parts += ["![gap to the optimum, and saving over the best rule](hdpo.png)"]
    parts += [group_table(group, found) for group, found in rows.items()]
    text = "\n\n".join(parts)
    write_paged(out / "hdpo.md", text, summary(rows), detail=[group.title for group in rows])
    write_text(out / "hdpo.csv", csv_text(tested))
    draw(rows, out / "hdpo.png")
    out_console().print(f"wrote {out / 'hdpo.md'}, hdpo.csv and hdpo.png")


def _origin(folders: list[RunFolder]) -> str:
    """What produced the runs and how they were tested, as a list."""
    records = [json.loads((f.path / "test.json").read_text(encoding="utf-8")) for f in folders]
    dates = sorted(record["date"] for record in records)
    seeds = ", ".join(map(str, sorted({f.spec().seed for f in folders})))
    kept = ("- Command", "- Versions", "- Commit")
    test = records[0]
    lines = [
        *(line for line in provenance(folders, 0).splitlines() if line.startswith(kept)),
        f"- Date: {' to '.join(sorted({dates[0], dates[-1]}))}; seeds {seeds}; {len(folders)} runs",
        f"- Tests: {test['scenarios']:,} demand paths of {test['periods']:,} periods, after {test['warm_up']:,} that "
        "do not count; the same demand for every policy of an instance. Costs are per period and store, orders are "
        "not limited, and with Poisson demand they are whole units.",
        "- ± is half a 95 % interval: of the simulation where one seed was trained, over seeds where there are more. "
        "Where an optimal rule is known, its exact cost and its simulation on the same demand take noise out.",
    ]
    return "\n".join(lines)


def summary(rows: Rows) -> list[str]:
    """One line per group: how many instances reach the goal, how many beat the best rule."""
    lines = []
    for group, found in rows.items():
        gaps = [row.gap[0] for row in found if row.gap is not None]
        text = []
        if gaps and group.goal is not None:
            reached = sum(gap <= group.goal for gap in gaps)
            text.append(f"{reached} of {len(gaps)} within {group.goal:g} % (worst {max(gaps):.2f} %)")
        savings = [row.saving for row in found if row.saving is not None]
        if savings:
            better = sum(saving > width for saving, width in savings)
            text.append(f"better than the best rule in {better} of {len(savings)}")
        lines.append(f"{group.title}: {'; '.join(text)}")
    return lines


def group_table(group: Group, rows: list[Row]) -> str:
    """The group's instances, one line each."""
    exact = "lower bound" if group.environment == "Transshipment" else "optimum"
    lines = [
        f"## {group.title}",
        "",
        f"| instance | policy | cost | {exact} | gap % | best rule | its cost | saving % | minutes |",
        "|---|---|---:|---:|---:|---|---:|---:|---:|",
    ]
    for row in rows:
        lines.append(
            f"| {row.name} | {row.learned} | {row.tested.cost:.3f} ± {row.tested.margin:.3f} "
            f"| {'–' if row.optimum is None else f'{row.optimum:.3f}'} | {_pair(row.gap)} "
            f"| {row.classical or '–'} | {'–' if row.rule is None else f'{row.rule.cost:.3f}'} "
            f"| {_pair(row.saving)} | {row.tested.minutes:.1f} |"
        )
    return "\n".join(lines)


def _pair(value: tuple[float, float] | None) -> str:
    return "–" if value is None else f"{value[0]:.2f} ± {value[1]:.2f}"


def csv_text(tested: Mapping[tuple[str, str], Trial]) -> str:
    """One line a run."""
    lines = ["environment,policy,seed,steps,cost,standard_error,minutes"]
    for (id, recipe), result in tested.items():
        for folder, cost, error in zip(result.folders, result.costs, result.errors, strict=True):
            status = folder.status()
            seconds = float(status.get("wall_s", float("nan")))
            lines.append(
                f"{id},{recipe},{folder.spec().seed},{status.get('steps')},{cost:.6g},{error:.2g},{seconds / 60:.2f}"
            )
    return "\n".join(lines) + "\n"


def draw(rows: Rows, path: Path) -> None:
    """Per group, every instance's gap to the optimum (above, with its goal) and saving over the best rule (below)."""
    points = {
        group.title: {
            what: [value for row in found if (value := getattr(row, what)) is not None] for what in ("gap", "saving")
        }
        for group, found in rows.items()
    }
    draw_groups(points, {group.title: group.goal for group in rows}, path)


def draw_groups(
    points: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], goals: Mapping[str, float | None], path: Path
) -> None:
    """One panel a quantity, one row a group: its instances in ascending order, with their margins.

    Args:
        points: by group, "gap" and "saving": percent and margin of each instance.
        goals: largest gap asked for, percent; None without one.
        path: of the picture.
    """
    drawn, axes = figure(1, 2, width=11, height=1.2 + 0.75 * len(points))
    texts = ("gap to the optimum or bound, % (black line: goal)", "saving over the best classical rule, %")
    for ax, what, text in zip(axes[0], ("gap", "saving"), texts, strict=True):
        for i, (title, found) in enumerate(points.items()):
            values = sorted(found[what])
            places = i + np.linspace(-0.32, 0.32, len(values)) if len(values) > 1 else [float(i)] * len(values)
            for place, (value, half) in zip(places, values, strict=True):
                ax.errorbar(value, place, xerr=half, fmt="o", color=COLOURS[i], markersize=3.5, capsize=1.5, lw=0.8)
            goal = goals[title]
            if what == "gap" and goal is not None:
                ax.plot([goal] * 2, [i - 0.4, i + 0.4], color="black", linewidth=1.5)
            if not values:
                ax.text(
                    0.02,
                    i,
                    "not known" if what == "gap" else "no rule beside it",
                    transform=ax.get_yaxis_transform(),
                    va="center",
                    color="#777777",
                )
        ax.axvline(0, color="#999999", linewidth=0.8)
        ax.set_ylim(len(points) - 0.5, -0.5)
        ax.set_xlabel(text)
        ax.grid(axis="x", color="#E5E5E5")
        ax.set_axisbelow(True)
    labels = []
    for title, found in points.items():
        name = textwrap.fill(title.partition(":")[0], 28)
        labels.append(f"{name}\n({len(found['gap'] or found['saving'])} policies)")
    axes[0][0].set_yticks(range(len(points)), labels, fontsize=9)
    axes[0][1].set_yticks(range(len(points)), [""] * len(points))
    drawn.savefig(path, dpi=120)
