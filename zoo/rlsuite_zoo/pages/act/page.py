"""The page of `rlsuite results act`: what victims make of each kind of words, and curves over generations."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from rlsuite.core.statistics import bootstrap_interval
from rlsuite_envs.drawing import figure
from rlsuite_zoo.files import write_text
from rlsuite_zoo.provenance import portable
from rlsuite_zoo.report.curves import STYLES
from rlsuite_zoo.report.differences import margin, paired
from rlsuite_zoo.report.paged import write_paged
from rlsuite_zoo.runs.display import out_console

if TYPE_CHECKING:
    from rlsuite_zoo.pages.act.runs import ActRun

COLOURS = {
    "harmful": "#D55E00",
    "helpful": "#009E73",
    "steering": "#CC79A7",
    "random": "#7F7F7F",
    "none": "#0072B2",
}
ABOUT = """Adversarial cheap talk (Lu et al., arXiv 2211.11030): a PPO learner sees its state and a message about it, a
fixed function of that state. The function was evolved to make the learner worse (harmful), better (helpful), or
steerable after its training (steering: the cart's position). Everything below is about victims that no generation
saw. A helpful adversary needs its generations: after ten, its victims may still learn less than without messages."""


def write_page(runs: list[ActRun], out: Path) -> None:
    """Write `act.md`, the numbers of every run in `act.csv`, and `act.png`."""
    out.mkdir(parents=True, exist_ok=True)
    records = {id(run): run.record() for run in runs}
    kinds = kinds_of(runs, records)
    parts = ["# Cheap talk: words that harm, help or steer a learner", ABOUT, _origin(runs, records)]
    parts += ["## What victims learn", victims_table(kinds)]
    steering = [run for run in runs if run.task.config.controls]
    if steering:
        parts += ["## Where victims go", steering_table([records[id(run)] for run in steering])]
    parts += ["## Curves", "![returns of victims while they learn, and fitness over generations](act.png)"]
    _draw(runs, kinds, steering, records, out / "act.png")
    findings = [
        f"Victims with {kind} messages return {returns.mean():.1f} while they learn, without any "
        f"{kinds['none'].mean():.1f}."
        for kind, returns in kinds.items()
        if kind not in ("none", "random")
    ]
    write_paged(out / "act.md", "\n\n".join(parts), findings)
    write_text(out / "act.csv", csv_text(runs, records))
    out_console().print(f"wrote {out / 'act.md'}, act.csv and act.png")


def kinds_of(runs: Sequence[ActRun], records: dict[int, dict[str, Any]]) -> dict[str, np.ndarray]:
    """Returns [victims, updates] under each kind of words; those of several adversaries of one kind together."""
    kinds: dict[str, list[np.ndarray]] = {}
    for run in runs:
        kinds.setdefault(run.task.title, []).append(np.asarray(records[id(run)]["evolved"]))
    first = records[id(runs[0])]
    return {
        **{kind: np.concatenate(found) for kind, found in kinds.items()},
        "random": np.asarray(first["random"]),
        "none": np.asarray(first["none"]),
    }


def victims_table(kinds: dict[str, np.ndarray]) -> str:
    """Mean return over a training and in its last rollout, with intervals, and who is ahead of random words.

    Victim i has the same seed under all words; several adversaries of a kind are averaged for each victim first.
    """
    victims = len(kinds["random"])
    lines = [
        "| messages | mean return while learning | last rollout's return | victims | minus random messages | |",
        "|---|---:|---:|---:|---:|---|",
    ]
    alone = _by_victim(kinds["random"].mean(1), victims)
    for kind, returns in kinds.items():
        means, lasts = _by_victim(returns.mean(1), victims), _by_victim(returns[:, -1], victims)
        gap, verdict = ("–", "") if kind == "random" else paired(means - alone)
        each = f"{len(returns) // victims} × {victims}" if len(returns) > victims else f"{victims}"
        lines.append(
            f"| {kind} | {bootstrap_interval(means)} | {bootstrap_interval(lasts)} | {each} | {gap} | {verdict} |"
        )
    lines.append(
        "\n95 % intervals over victims: bootstrap of the mean, Student's of the paired difference (the same victims "
        "under all words; where several adversaries were evolved, each victim's mean over them). They do not speak "
        "of other adversaries: `act.csv` has each one's."
    )
    return "\n".join(lines)


def _by_victim(values: np.ndarray, victims: int) -> np.ndarray:
    """Values [adversaries * victims] averaged over adversaries, [victims]."""
    found: np.ndarray = values.reshape(-1, victims).mean(0)
    return found


def steering_table(records: list[dict[str, Any]]) -> str:
    """Goal returns with and without words."""
    lines = [
        "| adversary | told its goal | told another episode's goal | left alone | told its goal minus another | |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for number, record in enumerate(records):
        steered, misled, alone = (np.array(record[name]) for name in ("steered", "misled", "left_alone"))
        gap, verdict = paired(steered - misled)
        cells = " | ".join(str(bootstrap_interval(values)) for values in (steered, misled, alone))
        lines.append(f"| {number + 1} | {cells} | {gap} | {verdict} |")
    lines.append(
        "\nSum over an episode of exp(-(x - goal)^2), at most 201; the mean over many episodes of each victim, 95 % "
        f"intervals over {len(records[0]['steered'])} victims. A cart that stays in the middle for a whole episode "
        "earns 74, so that balancing alone pays: steering is what a victim earns more for its own goal than for being "
        "told another's. Left alone: victims that heard nothing, neither in training nor after it."
    )
    return "\n".join(lines)


def csv_text(runs: Sequence[ActRun], records: dict[int, dict[str, Any]]) -> str:
    """One line per adversary."""
    lines = ["objective,seed,generations,victims_evolved,mean_return,margin,last_return,goal_return,misled,left_alone"]
    for run in runs:
        record = records[id(run)]
        returns = np.asarray(record["evolved"])
        count = run.task.generations * run.task.config.population * run.task.config.seeds_each
        goal = [
            f"{np.mean(record[name]):.3f}" if name in record else "" for name in ("steered", "misled", "left_alone")
        ]
        numbers = f"{returns.mean():.3f},{margin(returns.mean(1)):.3f},{returns[:, -1].mean():.3f}"
        lines.append(f"{run.task.key},{run.seed},{run.task.generations},{count},{numbers},{','.join(goal)}")
    return "\n".join(lines) + "\n"


def _origin(runs: Sequence[ActRun], records: dict[int, dict[str, Any]]) -> str:
    found = [records[id(run)] for run in runs]
    commands = sorted({portable(shlex.split(record["command"])) for record in found})
    dates = sorted(record["date"] for record in found)
    versions = {", ".join(f"{k} {v}" for k, v in r["versions"].items() if k != "platform") for r in found}
    commits = {r["git"]["commit"][:12] + " (changed)" * r["git"]["dirty"] for r in found if r["git"]}
    victim = runs[0].task.victim
    tasks = {run.task.key: run.task for run in runs}.values()
    adversaries = "; ".join(
        f"{task.key} {task.generations} generations of {task.config.population} candidates, "
        f"{task.config.message_dim} words by hidden layers {list(task.config.message_hidden)}"
        for task in tasks
    )
    seeds = ", ".join(map(str, sorted({run.seed for run in runs})))
    return "\n".join(
        [
            f"- Command: {' ; '.join(f'`{command}`' for command in commands)}",
            f"- Adversaries: {adversaries}; seeds {seeds}",
            f"- Victims: PPO of the release for {victim.timesteps:,} steps ({victim.n_updates} updates)",
            f"- Versions: {' ; '.join(sorted(versions))}",
            f"- Commit: {', '.join(sorted(commits)) or 'of an installed release'}",
            f"- Date: {' to '.join(sorted({dates[0], dates[-1]}))}",
        ]
    )


def _draw(
    runs: Sequence[ActRun],
    kinds: dict[str, np.ndarray],
    steering: Sequence[ActRun],
    records: dict[int, dict[str, Any]],
    path: Path,
) -> None:
    """Victims' learning curves; return, and goal return, of the population over generations."""
    drawn, axes = figure(1, 3 if steering else 2, width=13.5 if steering else 9.0, height=4.2)
    learning, evolution = axes[0, :2]
    steps = np.arange(1, 1 + next(iter(kinds.values())).shape[1]) * (
        runs[0].task.victim.n_steps * runs[0].task.victim.num_envs
    )
    for kind, returns in kinds.items():
        half = 1.96 * returns.std(0, ddof=1) / len(returns) ** 0.5
        learning.plot(steps, returns.mean(0), color=COLOURS[kind], label=f"{kind} ({len(returns)} victims)")
        learning.fill_between(
            steps, returns.mean(0) - half, returns.mean(0) + half, color=COLOURS[kind], alpha=0.18, lw=0
        )
    learning.set(xlabel="a victim's environment steps", ylabel="return", title="Victims that are new to the words")
    for run in runs:
        if not run.task.config.controls:
            _line(evolution, run, "act/return_mean", runs)
    for kind in ("random", "none"):
        evolution.axhline(kinds[kind].mean(), color=COLOURS[kind], ls="--", lw=1, label=kind)
    evolution.set(xlabel="generation", ylabel="mean return while learning", title="Harm and help: the population")
    for run in steering:
        _line(axes[0, 2], run, "act/fitness_mean", steering)
    if steering:
        alone = np.concatenate([records[id(run)]["left_alone"] for run in steering]).mean()
        axes[0, 2].axhline(alone, color=COLOURS["none"], ls="--", lw=1, label="left alone")
        axes[0, 2].set(xlabel="generation", ylabel="goal return", title="Control: the population")
    for axis in axes[0, 1:]:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis in axes[0]:
        axis.legend(frameon=False, fontsize="small")
        axis.grid(True, color="#E5E5E5", lw=0.8)
    drawn.savefig(path, dpi=110)


def _line(axis: Any, run: ActRun, name: str, runs: Sequence[ActRun]) -> None:
    """A metric of a population over generations, with a moving average: every generation has seeds of its own.

    A kind has its colour, a seed of it (among `runs`) its line style.
    """
    values, colour = run.curve(name), COLOURS[run.task.title]
    style = STYLES[sorted(r.seed for r in runs if r.task.title == run.task.title).index(run.seed) % len(STYLES)]
    axis.plot(np.arange(1, len(values) + 1), values, color=colour, alpha=0.2, lw=1)
    window = max(1, min(10, len(values) // 3))
    smooth = np.convolve(values, np.ones(window) / window, mode="valid")
    axis.plot(
        np.arange(window, len(values) + 1), smooth, style, color=colour, label=f"{run.task.title}, seed {run.seed}"
    )
