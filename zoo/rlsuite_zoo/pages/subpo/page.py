"""The page of `rlsuite results subpo`: tables, learning curves, and a path of each method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rlsuite.core.statistics import bootstrap_interval
from rlsuite_envs.drawing import figure, figure_array
from rlsuite_envs.kernel import tree_map
from rlsuite_zoo.files import write_text
from rlsuite_zoo.pages.subpo.planners import GreedyPolicy, beam_search
from rlsuite_zoo.pages.subpo.tasks import (
    BEAM_WIDTH,
    ENTRIES,
    EPISODES,
    Results,
    Task,
    kernel_of,
    play,
)
from rlsuite_zoo.pages.suite_page import provenance
from rlsuite_zoo.report.curves import Curve, curve_of, draw, read_curve
from rlsuite_zoo.report.differences import paired, tally
from rlsuite_zoo.report.paged import table_verdicts, write_paged
from rlsuite_zoo.runs.models import load_policy
from rlsuite_zoo.runs.random_policy import RandomPolicy

COMPARED = (
    ("SubPO-M", "ModPO"),
    ("SubPO-NM (history)", "ModPO"),
    ("SubPO-NM (covered set)", "ModPO"),
    ("SubPO-M", "SubPO-M, release's weights"),
    ("SubPO-M", "greedy, one step"),
    ("SubPO-NM (history)", "greedy, one step"),
    ("SubPO-NM (covered set)", "greedy, one step"),
)
ABOUT = f"""Submodular policy optimisation (Prajapat et al., arXiv 2307.13372): a path is worth F(S), a submodular
function of the places visited. SubPO follows the marginal gains; ModPO is the same algorithm on the sum of what each
visit is worth alone. SubPO-M sees place and time, SubPO-NM all places visited, or the covered set. "Release's weights"
credits an action with the value of the path so far, as the authors' code does. ModPO and these have SubPO-M's recipe;
SubPO-NM's differ in what the policy sees and in the entropy bonus; each is the same on all tasks (`recipes/subpo`).
Greedy takes the best next gain, equals at random; beam search keeps the {BEAM_WIDTH} best of all paths at every move:
planners that know the environment, for reference."""


def write_page(results: Results, out: Path) -> None:
    """Write `subpo.md`, `subpo.csv`, the curves `subpo.png`, and `subpo-paths-<task>.png`."""
    out.mkdir(parents=True, exist_ok=True)
    folders = [folder for group in results.folders.values() for folder in group]
    steps = ", ".join(f"{task.key} {task.steps:,}" for task in results.tasks)
    seeds = ", ".join(map(str, sorted({folder.spec().seed for folder in folders})))
    facts = [
        f"- Environment steps per run: {steps}; seeds {seeds}; {len(folders)} runs"
        if "environment steps per run" in line
        else line
        for line in provenance(folders, 0).splitlines()
    ]
    parts = [
        "# SubPO beside ModPO, planners and random play",
        ABOUT,
        "\n".join(facts),
        "## Value of the paths",
        f"J = E[F] of each seed's last policy, actions sampled, {EPISODES} episodes (planners and random play: "
        f"{10 * EPISODES}), divided as each table says. Where there are instances, seed i has instance i. The mode is "
        "the one path of the policy's most probable actions: the environments leave nothing to chance. Where visits "
        "pay alike wherever they are (coverage, most of item collection), the modular reward tells ModPO nothing, and "
        "its J is that of the chance which the entropy bonus asks for.",
    ]
    parts += [_table(results, task) for task in results.tasks]
    ahead = _differences(results)
    parts += ["## Who is ahead", ahead]
    _curves(results, out / "subpo.png")
    parts += ["## Learning curves", "![normalised J while learning](subpo.png)", "## Paths"]
    for task in results.tasks:
        name = f"subpo-paths-{task.key}.png"
        picture = Image.fromarray(_paths(results, task))
        picture.quantize(256).save(out / name, optimize=True)
        parts.append(f"{task.title}:\n\n![a path of each method]({name})")
    findings = tally(table_verdicts(ahead, 3))[:3]
    write_paged(out / "subpo.md", "\n\n".join(parts), findings, detail=("Value of the paths",))
    write_text(out / "subpo.csv", _csv(results))
    print(f"wrote {out / 'subpo.md'}")


def _table(results: Results, task: Task) -> str:
    lines = [f"### {task.title}", "", f"J divided by {task.divisor}.", ""]
    lines += ["| | J, normalised | of the mode | F | seeds |", "|---|---:|---:|---:|---:|"]
    for name, sampled, mode in results.rows(task):
        if not sampled:
            continue
        raw = np.mean([value * results.divisor(task, seed) for seed, value in sampled.items()])
        modes = f"{np.mean(list(mode.values())):.3f}" if mode else ""
        label = f"**{name}**" if mode else name
        lines.append(f"| {label} | {_interval(list(sampled.values()))} | {modes} | {raw:.1f} | {len(sampled)} |")
    return "\n".join(lines)


def _interval(values: list[float]) -> str:
    interval = bootstrap_interval(values)
    return f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _differences(results: Results) -> str:
    """Differences of pairs of lines over the seeds that both have, with 95 % intervals."""
    note = (
        "Difference of normalised J, paired by seed, with Student's 95 % interval; ahead or behind only where the "
        "interval leaves 0 out."
    )
    lines = [note, "", "| | task | difference | verdict |", "|---|---|---:|---|"]
    for first, second in COMPARED:
        for task in results.tasks:
            rows = {name: sampled for name, sampled, _ in results.rows(task)}
            both = sorted(set(rows.get(first, {})) & set(rows.get(second, {})))
            if not both:
                continue
            gaps = np.array([rows[first][seed] - rows[second][seed] for seed in both])
            lines.append(f"| {first} minus {second} | {task.key} | {' | '.join(paired(gaps, 3))} |")
    return "\n".join(lines)


def _csv(results: Results) -> str:
    lines = ["task,method,seed,set_value,normalised,mode_normalised"]
    for task in results.tasks:
        for name, sampled, mode in results.rows(task):
            for seed, value in sampled.items():
                best = f"{mode[seed]:.6f}" if seed in mode else ""
                raw = value * results.divisor(task, seed)
                lines.append(f'{task.key},"{name}",{seed},{raw:.6g},{value:.6f},{best}')
    return "\n".join(lines) + "\n"


def _curves(results: Results, path: Path) -> None:
    """Normalised J of the training episodes; greedy and random play as lines across."""
    curves: dict[str, list[Curve]] = {}
    for task in results.tasks:
        for entry in ENTRIES:
            runs = [
                (str(folder.path), steps, values / results.divisor(task, folder.spec().seed))
                for folder in results.folders[task.key, entry.name]
                for steps, values in [read_curve(folder, "rollout/set_value")]
            ]
            if runs:
                curves.setdefault(task.title, []).append(curve_of(entry.name, runs, 0.0))
    drawn = draw(curves, "normalised J of the training episodes", 0.0, "")
    shown = [task for task in results.tasks if task.title in curves]
    for ax, task in zip(drawn.axes, shown, strict=False):
        for name in ("greedy, one step", "random"):
            level = float(np.mean(list(results.planned(task, name).values())))
            ax.axhline(level, color="0.35", linewidth=1, linestyle=":")
            ax.annotate(name, (1.0, level), xycoords=("axes fraction", "data"), fontsize=8, ha="right", va="bottom")
    drawn.savefig(path, dpi=110)


def _paths(results: Results, task: Task) -> np.ndarray:
    """A path of each method on the first seed's instance, as one picture."""
    seed = results.seeds[0]
    walks: list[tuple[str, Any]] = []
    for entry in ENTRIES:
        for folder in results.folders[task.key, entry.name]:
            spec = folder.spec()
            if spec.seed == seed:
                policy = load_policy(folder, folder.last)
                seen = spec.env_kwargs["observation"]
                walks.append((entry.name, play(lambda _, p=policy: p, task, seed, seen, 1)[1]))  # type: ignore[misc]
    walks.append(("greedy, one step", play(lambda e: GreedyPolicy(e, seed), task, seed, "state_time", 1)[1]))
    walks.append(("random", play(lambda e: RandomPolicy(e, seed), task, seed, "state_time", 1)[1]))
    kernel = kernel_of(task, seed)
    walks.append(("beam search", beam_search(kernel, BEAM_WIDTH)))
    p = kernel.params
    rows, columns = -(-len(walks) // 4), min(4, len(walks))
    drawn, axes = figure(rows, columns, width=3.2 * columns, height=rows * (0.5 + 3.2 * p.rows / p.cols))
    for ax in axes.flat:
        ax.axis("off")
    for ax, (name, states) in zip(axes.flat, walks, strict=False):
        _walk(ax, kernel, states)
        ax.set_title(f"{name}: F = {float(states.value[-1]):.4g}", fontsize=9)
    return figure_array(drawn)


def _walk(ax: Any, kernel: Any, states: Any) -> None:
    """One path, light to dark, over what it covered; black: start, white: end."""
    from matplotlib.collections import LineCollection

    p, layers = kernel.params, kernel.layers(tree_map(lambda x: x[-1:], states))
    shape = (p.rows, p.cols)
    shades = layers.weights - layers.weights.min()
    grey = 0.97 - 0.45 * shades / max(float(shades.max()), 1e-9)
    image = np.repeat(grey.reshape(*shape, 1), 3, axis=2)
    covered = layers.covered.reshape(shape)
    image[covered] = 0.55 * image[covered] + 0.45 * np.array([0.35, 0.65, 0.9])
    for row, col in p.walls:
        image[row, col] = 0.25
    ax.imshow(image, vmin=0, vmax=1)
    if layers.items is not None:
        nodes = np.flatnonzero(layers.items >= 0)
        y, x = np.divmod(nodes, p.cols)
        ax.scatter(x, y, c=layers.items[nodes], cmap="Set2", s=22, marker="s", vmin=0, vmax=7)
    nodes = states.node.cpu().numpy()
    points = np.stack((nodes % p.cols, nodes // p.cols), axis=1).astype(float)
    angle = np.arange(len(points))
    points += 0.15 * np.stack((np.sin(angle), np.cos(angle)), axis=1)  # cells passed twice show both passes
    lines = LineCollection(list(np.stack((points[:-1], points[1:]), axis=1)), cmap="autumn_r", linewidths=1.5)
    lines.set_array(angle[:-1])
    ax.add_collection(lines)
    ax.plot(*points[0], "o", color="black", markersize=5)
    ax.plot(*points[-1], "o", color="white", markeredgecolor="black", markersize=5)
