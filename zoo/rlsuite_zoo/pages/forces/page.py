"""The page of `rlsuite results forces`: tables of opponents, who is ahead where, maps and temperatures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rlsuite.adversarial.games.sweep import tail_mean, worst
from rlsuite.core.statistics import bootstrap_interval
from rlsuite_envs.drawing import figure
from rlsuite_zoo.files import read_csv, write_text
from rlsuite_zoo.pages.suite_page import Trained, write_page
from rlsuite_zoo.report.curves import COLOURS, read_curve
from rlsuite_zoo.report.differences import tally, welch
from rlsuite_zoo.report.numbers import cell_text
from rlsuite_zoo.report.paged import table_verdicts
from rlsuite_zoo.robustness.sweep import TAIL, Found, Sweep, draw_maps, nominal
from rlsuite_zoo.runs.folder import RunFolder

__all__ = ["write_forces"]

Returns = Mapping[str, Mapping[str, np.ndarray]]
"""Returns [E] by run and opponent."""
Swept = Mapping[str, tuple[Sweep, Found]]
NEW, RIVAL = "new adversary", "rival"
OPPONENTS = {
    "none": "nobody",
    "random": "random forces",
    "steps": "pulses",
    "random steps": "random pulses",
    "known": "its own adversary",
    NEW: "a new adversary",
    RIVAL: "another run's adversary",
}
TRAINED = (NEW, RIVAL)
"""Opponents that have learned to push and that everyone meets: SAC has no adversary of its own."""


def against(returns: Mapping[str, np.ndarray], *opponents: str) -> float | None:
    """Mean return of a run against an opponent (of several of its kinds, the strongest), or None."""
    found = [float(values.mean()) for name, values in returns.items() if name.rstrip(" 0123456789") in opponents]
    return min(found) if found else None


def write_forces(found: Trained, played: Returns, swept: Swept, adversary_steps: int, out: Path) -> None:
    """Write `forces.md`, `forces.csv`, `forces-trials.csv` and the pictures."""
    out.mkdir(parents=True, exist_ok=True)
    more = ["## Under forces", _about(played, adversary_steps), *_opponents(found, played)]
    _draw_points(found, played, out / "forces-worst.png")
    more += ["![return where nobody pushes and against the strongest adversary](forces-worst.png)"]
    claims = _claims(found, played, swept)
    more += ["## The claim", *claims]
    if swept:
        more += ["## Mass and friction", *_maps(found, swept, out)]
    if _draw_temperatures(found, out / "forces-temperature.png"):
        more += [
            "## The adversary's temperature",
            "Mean of the teacher's distribution over QARL's training, one line a seed. It stays where it is until the "
            "protagonist's discounted return has reached the recipe's `performance`.",
            "![temperature over training](forces-temperature.png)",
        ]
    findings = [f"Against the strongest adversary, {line}" for line in tally(table_verdicts("\n".join(claims), 2))]
    write_page(found, out, more, findings=findings)
    write_text(out / "forces-trials.csv", _csv(found, played))


def _groups(found: Trained, env: str) -> dict[str, list[RunFolder]]:
    return {entry.name: found.cells[env, entry.name] for entry in found.suite.entries if found.cells[env, entry.name]}


def _values(runs: list[RunFolder], value: Callable[[str], float | None]) -> list[float]:
    """One number a run; runs without are left out."""
    return [number for run in runs if (number := value(str(run.path))) is not None]


def _met(played: Returns, *opponents: str) -> Callable[[str], float | None]:
    """A run's mean return against the strongest of some kinds of opponents."""
    return lambda run: against(played[run], *opponents) if run in played else None


def _text(values: list[float]) -> str:
    return f"{cell_text(bootstrap_interval(values))} ({len(values)})" if values else "–"


def _about(played: Returns, adversary_steps: int) -> str:
    one = next(iter(played.values()))
    new = sum(name.startswith(NEW) for name in one)
    others = sorted({sum(name.startswith(RIVAL) for name in returns) for returns in played.values()})
    return (
        f"Mean return over {len(one['none'])} episodes that begin in the same states for all, the protagonist acting "
        f"by its mode; 95 % bootstrap intervals over seeds. A new adversary is trained by PPO from scratch against the "
        f"finished protagonist, {adversary_steps:,} steps; of {new} per protagonist the stronger one counts. Every "
        f"protagonist also meets the adversaries that the other runs of its task have trained "
        f"({' or '.join(map(str, others))}); the strongest counts. *Strongest* is the least mean return against a new "
        "adversary or another run's: what all entries meet, while only two have one of their own."
    )


def _opponents(found: Trained, played: Returns) -> list[str]:
    parts = []
    for env in found.environments:
        lines = [
            f"| | {' | '.join(OPPONENTS.values())} | *strongest* |",
            "|---|" + "---:|" * (len(OPPONENTS) + 1),
        ]
        for name, runs in _groups(found, env).items():
            kinds = [*((opponent,) for opponent in OPPONENTS), TRAINED]
            cells = [_text(_values(runs, _met(played, *kind))) for kind in kinds]
            lines.append(f"| **{name}** | {' | '.join(cells)} |")
        parts += [f"### {env}", "\n".join(lines)]
    return parts


def _claims(found: Trained, played: Returns, swept: Swept) -> list[str]:
    """Differences of the pairs to compare, where the papers expect them."""

    def mapped(function: Callable[[Sweep, np.ndarray], float]) -> Callable[[str], float | None]:
        return lambda run: function(swept[run][0], swept[run][1].returns) if run in swept else None

    measures: dict[str, Callable[[str], float | None]] = {
        "against the strongest adversary": _met(played, *TRAINED),
        "where nobody pushes": _met(played, "none"),
        "mean over masses and frictions": mapped(lambda _, returns: float(returns.mean())),
        f"worst {TAIL:.0%} of masses and frictions": mapped(lambda _, returns: tail_mean(returns, TAIL)),
    }
    lines = [f"| | environment | {' | '.join(measures)} |", "|---|---|" + "---|" * len(measures)]
    for first, second in found.suite.compare:
        for env in found.environments:
            groups = _groups(found, env)
            if first not in groups or second not in groups:
                continue
            cells = []
            for value in measures.values():
                pair = [_values(groups[name], value) for name in (first, second)]
                difference, verdict = welch(*pair)
                cells.append("–" if difference == "–" else f"{difference}: {verdict}")
            lines.append(f"| {first} minus {second} | {env} | {' | '.join(cells)} |")
    note = (
        "Differences of mean returns over seeds with Welch's 95 % interval; ahead or behind only where it leaves 0 "
        "out. The papers expect the first of each pair ahead."
    )
    return [note, "\n".join(lines)]


def _maps(found: Trained, swept: Swept, out: Path) -> list[str]:
    parts = [
        "Return over the mass of the torso and all frictions, relative to the model, 0.5 to 1.5 in eleven steps each, "
        "an episode a cell. Nobody pushes, and no protagonist has trained on anything but the model itself."
    ]
    for env in found.environments:
        groups = {
            name: [swept[str(run.path)] for run in runs if str(run.path) in swept]
            for name, runs in _groups(found, env).items()
        }
        groups = {name: members for name, members in groups.items() if members}
        if not groups:
            continue
        picture = f"forces-map-{env.removeprefix('rlsuite/')}.png"
        draw_maps(groups, out / picture)
        lines = [
            f"| | nominal | mean of the map | worst cell | CVaR {TAIL:.0%} |",
            "|---|---:|---:|---:|---:|",
        ]
        for name, members in groups.items():
            columns = [
                [nominal(sweep, outcome.returns) for sweep, outcome in members],
                [float(outcome.returns.mean()) for _, outcome in members],
                [worst(outcome.returns) for _, outcome in members],
                [tail_mean(outcome.returns, TAIL) for _, outcome in members],
            ]
            lines.append(f"| **{name}** | {' | '.join(_text(values) for values in columns)} |")
        parts += [f"### {env}, other bodies", "\n".join(lines), f"![mass by friction on {env}]({picture})"]
    return parts


def _draw_points(found: Trained, played: Returns, path: Path) -> None:
    """One panel an environment: where nobody pushes (open) and against the strongest adversary (full), by entry."""
    envs = [env for env in found.environments if _groups(found, env)]
    picture, axes = figure(1, len(envs), width=1.0 + 3.2 * len(envs), height=3.6)
    for ax, env in zip(axes[0], envs, strict=True):
        groups = _groups(found, env)
        for i, runs in enumerate(groups.values()):
            for offset, kind, face in ((-0.12, ("none",), "white"), (0.12, TRAINED, COLOURS[i])):
                values = _values(runs, _met(played, *kind))
                if not values:
                    continue
                middle = bootstrap_interval(values)
                ax.plot([i + offset] * 2, [middle.low, middle.high], color=COLOURS[i])
                ax.plot(i + offset, middle.estimate, "o", color=COLOURS[i], mfc=face)
                ax.plot([i + offset] * len(values), values, ".", color=COLOURS[i], alpha=0.4, ms=4)
        ax.set_xticks(range(len(groups)), list(groups))
        ax.set_title(env.removeprefix("rlsuite/"), loc="left")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("return (open: nobody pushes,\nfull: against the strongest adversary)")
    picture.savefig(path, dpi=120)


def _draw_temperatures(found: Trained, path: Path) -> bool:
    """The teacher's mean over training; False where no run had a teacher."""
    curves: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for (env, _), runs in found.cells.items():
        for run in runs:
            taught = run.spec().config.get("adversary") == "quantal"
            if taught and any(row.get("teacher/mean") for row in read_csv(run.progress)):
                curves.setdefault(env, []).append(read_curve(run, "teacher/mean"))
    if not curves:
        return False
    picture, axes = figure(1, len(curves), width=1.0 + 3.2 * len(curves), height=3.0)
    for ax, (env, lines) in zip(axes[0], curves.items(), strict=True):
        for i, (steps, values) in enumerate(lines):
            ax.plot(steps, values, color=COLOURS[i % len(COLOURS)], lw=1.2)
        ax.set_title(env.removeprefix("rlsuite/"), loc="left")
        ax.set_xlabel("environment steps")
        ax.set_ylim(bottom=0)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("mean temperature")
    picture.savefig(path, dpi=120)
    return True


def _csv(found: Trained, played: Returns) -> str:
    """One line a run and opponent."""
    lines = ["environment,entry,seed,opponent,mean_return,least,episodes"]
    for (env, name), runs in found.cells.items():
        for run in runs:
            for opponent, values in played.get(str(run.path), {}).items():
                numbers: list[Any] = [f"{values.mean():.2f}", f"{values.min():.2f}", len(values)]
                lines.append(f"{env},{name},{run.spec().seed},{opponent},{','.join(map(str, numbers))}")
    return "\n".join(lines) + "\n"
