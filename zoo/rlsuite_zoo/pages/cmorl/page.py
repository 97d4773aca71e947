"""The page of `rlsuite results cmorl`: one table per task, differences, the authors' logs, fronts, volume over time.

Letters: K objectives.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rlsuite_envs.drawing import figure
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.multi_objective.comparison import number, over_seeds, told
from rlsuite_zoo.multi_objective.pictures import staircase
from rlsuite_zoo.multi_objective.sets import task_of, true_front
from rlsuite_zoo.pages.cmorl.tables import Run
from rlsuite_zoo.pages.suite_page import Trained
from rlsuite_zoo.report.curves import COLOURS
from rlsuite_zoo.report.differences import budgets_apart, tally, welch
from rlsuite_zoo.report.paged import write_paged
from rlsuite_zoo.runs.spec import make_spec

__all__ = ["write_cmorl"]


def write_cmorl(found: Trained, runs: Sequence[Run], out: Path) -> None:
    """Write `cmorl.md`, `cmorl.png` (hypervolume over steps and minutes) and `cmorl-fronts.png`."""
    suite = found.suite
    environments = [env for env in suite.environments if any(run.environment == env for run in runs)]
    parts = [f"# {suite.title}", suite.about, _provenance(runs)]
    parts += ["## Sets", _how()]
    parts += [_table(found, env, [run for run in runs if run.environment == env]) for env in environments]
    text, verdicts = _differences(found, environments, runs)
    if verdicts:
        parts += ["## Who is ahead", *text]
    logs, against = _authors(found, environments, runs)
    if logs:
        parts += ["## Beside the authors' logs", *logs]
    draw_curves(environments, runs, out / "cmorl.png")
    parts += ["## Hypervolume over steps and time", "![hypervolume over steps and minutes](cmorl.png)"]
    if draw_fronts(environments, runs, out / "cmorl-fronts.png"):
        parts += ["## Fronts", "![fronts of all seeds, fresh episodes](cmorl-fronts.png)"]
    findings = [*_treasures(runs), *against, *tally(verdicts)][:3]
    write_paged(out / "cmorl.md", "\n\n".join(parts), findings)
    print(f"wrote {out / 'cmorl.md'}, its tables and pictures")


def _provenance(runs: Sequence[Run]) -> str:
    commits = ", ".join(sorted({run.commit for run in runs} - {""})) or "of an installed release"
    versions = " ; ".join(sorted({run.versions for run in runs}))
    return "\n".join(
        [
            "- Command: `rlsuite results cmorl` (with `--only` a task at a time, `--keep` for the others' rows)",
            f"- {len(runs)} runs; versions: {versions}",
            f"- Commit: {commits}",
            "- Numbers are means over seeds with Student's 95 % intervals; their number is in the last column.",
        ]
    )


def _how() -> str:
    return (
        "*Selected* are the numbers by the returns that chose the policies, as the authors report them; *fresh* those "
        "of the same policies on other episodes, which choosing did not flatter. *After stage 1* is the selected "
        "hypervolume when stage 1 ended. EU is the mean over a grid of weights of the best weighted return. Steps are "
        "real transitions: of training, and of the measurements that choose. Rows in plain type are published."
    )


def _mean(runs: Sequence[Run], field: str) -> str:
    values = [float(getattr(run, field)) for run in runs]
    known = [value for value in values if np.isfinite(value)]
    return told(over_seeds(known)) if known else "–"


def _table(found: Trained, env: str, runs: Sequence[Run]) -> str:
    """The entries and the published numbers of one environment."""
    known = any(run.attained >= 0 for run in runs)
    columns = ["selected hypervolume", "fresh", "after stage 1", "selected EU", "fresh", "policies"]
    columns += ["points of the true front"] * known + ["steps", "minutes", "seeds"]
    lines = [f"### {env}", "", _conditions(env, runs), ""]
    lines += [f"| | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    for entry in found.suite.on(env):
        mine = [run for run in runs if run.entry == entry.name]
        if not mine:
            continue
        fields = ["hypervolume", "fresh_hypervolume", "first_hypervolume", "utility", "fresh_utility", "policies"]
        cells = [_mean(mine, field) for field in fields]
        if known:
            cells.append(_counts([run.attained for run in mine]))
        steps = f"{_millions(mine, 'steps')} + {_millions(mine, 'measuring_steps')}"
        cells += [steps, f"{np.mean([run.minutes for run in mine]):.1f}", str(len(mine))]
        lines.append(f"| **{entry.name}** | {' | '.join(cells)} |")
    for row in found.suite.published.get(env, []):
        values = _published(row)
        cells = [told(over_seeds(values)), "–", row.get("first", "–"), row.get("utility", "–"), "–", "–"]
        cells += ["–"] * known + [row.get("steps", "–"), "–", str(len(values))]
        lines.append(f"| {row['what']} ({row['source']}) | {' | '.join(cells)} |")
    return "\n".join(lines)


def _published(row: dict[str, str]) -> list[float]:
    """Hypervolume of each published seed."""
    return [float(value) for value in row["hypervolume"].split()]


def _conditions(env: str, runs: Sequence[Run]) -> str:
    words = dict.fromkeys(run.conditions for run in runs)
    rough = max(run.fresh_error for run in runs)
    kind = f"approximate (relative error up to {rough:.2%})" if rough else "exact"
    return f"{' ; '.join(words)}; hypervolumes {kind}."


def _counts(values: Sequence[int]) -> str:
    """How many of each count, most first."""
    found = {value: list(values).count(value) for value in sorted(set(values), reverse=True)}
    return ", ".join(f"{value} ({count}×)" if len(values) > 1 else str(value) for value, count in found.items())


def _millions(runs: Sequence[Run], field: str) -> str:
    value = float(np.mean([getattr(run, field) for run in runs]))
    return f"{value / 1e6:.2f}M" if value >= 1e5 else f"{value:,.0f}"


def _differences(
    found: Trained, environments: Sequence[str], runs: Sequence[Run]
) -> tuple[list[str], list[tuple[str, str]]]:
    """Differences of fresh hypervolumes and utilities of the pairs to compare, and the verdicts."""
    note = (
        "Difference of the means over seeds, fresh episodes, with Welch's 95 % interval; ahead or behind only where "
        "the interval leaves 0 out."
    )
    lines = ["| | environment | hypervolume | verdict |", "|---|---|---:|---|"]
    verdicts = []
    for first, second in found.suite.compare:
        for env in environments:
            groups = [[run for run in runs if (run.environment, run.entry) == (env, name)] for name in (first, second)]
            if not all(groups):
                continue
            text, verdict = welch(*([run.fresh_hypervolume for run in group] for group in groups))
            if apart := budgets_apart(*([run.budget for run in group] for group in groups)):
                verdict = apart
            verdicts.append((f"{first} minus {second}", verdict))
            lines.append(f"| {first} minus {second} | {env} | {text} | {verdict} |")
    return [note, "\n".join(lines)], verdicts


def _authors(found: Trained, environments: Sequence[str], runs: Sequence[Run]) -> tuple[list[str], list[str]]:
    """Ours minus the authors' hypervolumes, both as selected; and a sentence for each."""
    lines = ["| environment | entry | ours minus theirs | verdict |", "|---|---|---:|---|"]
    sentences = []
    for env in environments:
        for row in found.suite.published.get(env, []):
            for entry in found.suite.on(env):
                mine = [run.hypervolume for run in runs if (run.environment, run.entry) == (env, entry.name)]
                if not mine:
                    continue
                text, verdict = welch(mine, _published(row))
                lines.append(f"| {env} | {entry.name} | {text} | {verdict} |")
                ours, theirs = number(float(np.mean(mine))), number(float(np.mean(_published(row))))
                sentences.append(
                    f"{env}, {entry.name}: hypervolume {ours} ({len(mine)} seed{'s' * (len(mine) > 1)}) beside "
                    f"{theirs} in {row['what']}: {verdict}."
                )
    if not sentences:
        return [], []
    note = "Both by the returns that selected, since theirs have no others; Welch's 95 % interval."
    return [note, "\n".join(lines)], sentences


def _treasures(runs: Sequence[Run]) -> list[str]:
    """What is found of a concave front, by entry."""
    mine = [run for run in runs if run.environment == "rlsuite/DeepSeaTreasure-concave-v0"]
    words = [
        f"{entry} {_counts([run.attained for run in mine if run.entry == entry])}"
        for entry in dict.fromkeys(run.entry for run in mine)
    ]
    return [f"Of the 10 points of the concave deep-sea treasure: {'; '.join(words)}."] if words else []


def _entries(runs: Sequence[Run]) -> dict[str, str]:
    """Colours of the entries, the same in all panels."""
    return {entry: COLOURS[i % len(COLOURS)] for i, entry in enumerate(dict.fromkeys(run.entry for run in runs))}


def draw_curves(environments: Sequence[str], runs: Sequence[Run], path: Path) -> None:
    """Selected hypervolume over steps and over minutes, one line a run."""
    drawn, axes = figure(len(environments), 2, width=9.5, height=2.6 * len(environments) + 0.6)
    colours = _entries(runs)
    for row, env in zip(axes, environments, strict=True):
        for run in reversed([run for run in runs if run.environment == env and len(run.curve)]):
            for ax, column in zip(row, (0, 1), strict=True):
                ax.step(
                    run.curve[:, column], run.curve[:, 2], where="post", color=colours[run.entry], lw=1.0, alpha=0.8
                )
        row[0].set_title(env, fontsize=9, loc="left")
        row[0].set_ylabel("hypervolume, selected", fontsize=8)
        row[0].set_xlabel("environment steps of training", fontsize=8)
        row[1].set_xlabel("minutes", fontsize=8)
        for ax in row:
            ax.tick_params(labelsize=8)
            ax.grid(color="#EBEBEB")
            ax.set_axisbelow(True)
    _legend(drawn, colours)
    drawn.savefig(path, dpi=120)


def draw_fronts(environments: Sequence[str], runs: Sequence[Run], path: Path) -> bool:
    """The fronts of two objectives, one edge a run; False without any."""
    flat = [env for env in environments if any(r.environment == env and r.front.shape[1:] == (2,) for r in runs)]
    if not flat:
        return False
    drawn, axes = figure(1, len(flat), width=4.2 * len(flat) + 0.4, height=4.2)
    colours = _entries(runs)
    for ax, env in zip(axes[0], flat, strict=True):
        mine = [run for run in runs if run.environment == env and len(run.front)]
        names, true = _known(env)
        low = np.min([points.min(0) for points in [*(run.front for run in mine), *true]], axis=0)
        for points in true:
            ax.plot(*points.T, "o", mfc="none", mec="#222222", ms=8, zorder=1)
        for run in reversed(mine):  # the first entry on top
            ax.plot(*staircase(run.front, low).T, color=colours[run.entry], lw=0.8, alpha=0.6)
            ax.plot(*run.front.T, ".", color=colours[run.entry], ms=4)
        ax.set_title(env, fontsize=9, loc="left")
        ax.set_xlabel(names[0], fontsize=8)
        ax.set_ylabel(names[1], fontsize=8)
        ax.tick_params(labelsize=8)
        ax.grid(color="#EBEBEB")
        ax.set_axisbelow(True)
    _legend(drawn, colours, "circles: the true front")
    drawn.savefig(path, dpi=120)
    return True


def _known(env: str) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """Names of the two objectives, and the true front [n, 2], if there is one, under the recipe's discount."""
    spec = make_spec("cmorl", env)
    names = task_of(spec, 2).names
    try:
        return names, [true_front(spec, float(spec.config["eval_gamma"]))]
    except UsageError:
        return names, []


def _legend(drawn: Figure, colours: dict[str, str], note: str = "") -> None:
    handles = [Line2D([], [], color=colour, label=entry) for entry, colour in colours.items()]
    drawn.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False, fontsize=9, title=note or None)
