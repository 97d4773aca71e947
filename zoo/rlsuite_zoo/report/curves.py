"""Learning curves with 95 % intervals over seeds."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from rlsuite_envs.drawing import figure as new_figure
from rlsuite_zoo.errors import UsageError, unknown
from rlsuite_zoo.runs.folder import RunFolder, find_runs
from rlsuite_zoo.runs.groups import full_settings, group_names
from rlsuite_zoo.runs.schema import read_csv_rows

POINTS = 200
RESAMPLES = 2000
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#000000")
"""Okabe and Ito's palette, readable without colour vision."""
STYLES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Curve:
    """One group of runs on one environment; P points, S seeds."""

    label: str
    steps: np.ndarray
    """Environment steps [P] of the points."""
    values: np.ndarray
    """Values [S, P], one row per seed."""
    rests: tuple[tuple[np.ndarray, np.ndarray], ...] = ()
    """Steps and values of single seeds, outside the range of steps that all of them have."""
    note: str = ""
    """Note on the steps at which the seeds end; "" if all end at the same one."""

    @property
    def mean(self) -> np.ndarray:
        """[P] over seeds."""
        return self.values.mean(axis=0)

    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        """95 % percentile bootstrap of the mean over seeds, pointwise; [P] each."""
        rng = np.random.default_rng(0)
        draws = rng.integers(len(self.values), size=(RESAMPLES, len(self.values)))
        weights = np.stack([(draws == i).sum(axis=1) for i in range(len(self.values))], axis=1) / len(self.values)
        means = weights @ self.values
        low, high = np.percentile(means, [2.5, 97.5], axis=0)
        return low, high


def read_curve(folder: RunFolder, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps [K] and values [K] of one column of progress.csv.

    Raises:
        UsageError: nothing recorded yet, or no such column; names the nearest.
    """
    rows = read_csv_rows(folder.progress)
    if not rows:
        raise UsageError(f"{folder.path} has no progress yet")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    several = [column for column in columns if column.startswith("rollout/ep_rew_mean_")]
    if metric == "rollout/ep_rew_mean" and metric not in columns and several:
        raise UsageError(
            f"{folder.path} has {len(several)} objectives; draw one with --metric {several[0]} (to {several[-1]}; "
            f"means over all policies), or what each policy returns: rlsuite front {folder.path}"
        )
    if metric not in columns:
        raise unknown(f"metric (column of {folder.progress})", metric, columns)
    pairs = [(float(row["steps"]), float(row[metric])) for row in rows if row.get(metric)]
    if not pairs:
        raise UsageError(f"{folder.path} has no value of {metric} yet")
    steps, values = np.array(pairs).T
    return steps, values


def gather(
    folders: Sequence[RunFolder], metric: str, smooth: float, labels: Mapping[str, str] | None = None
) -> dict[str, list[Curve]]:
    """Curves by environment: a mean over runs that differ in their seed alone, other runs apart.

    Args:
        folders: the runs.
        metric: column of progress.csv.
        smooth: width of the moving average as a share of the curve.
        labels: names by the path of a run; without, `group_names`.

    Raises:
        UsageError: a run without data, the same run twice, seeds that share no steps, or one label for runs on an
            environment that are no seeds of each other.
    """
    names = group_names(folders)
    groups: dict[tuple[str, str], list[tuple[RunFolder, np.ndarray, np.ndarray]]] = defaultdict(list)
    kinds: dict[tuple[str, str], str] = {}
    for folder, name in zip(folders, names, strict=True):
        key = (folder.spec(plays=False).env, labels[str(folder.path)] if labels else name)
        if kinds.setdefault(key, name) != name:
            raise UsageError(f"{key[1]} on {key[0]} would average over {kinds[key]} and {name}, which are no seeds")
        groups[key].append((folder, *read_curve(folder, metric)))
    curves: dict[str, list[Curve]] = defaultdict(list)
    for (env, label), runs in groups.items():
        curves[env].append(curve_of(label, [(str(f.path), steps, values) for f, steps, values in runs], smooth))
    return curves


def curve_of(label: str, runs: Sequence[tuple[str, np.ndarray, np.ndarray]], smooth: float) -> Curve:
    """Seeds on one grid of the steps that all of them have; what single seeds have beyond it goes to `rests`.

    Args:
        label: of the curve.
        runs: name, steps [K] and values [K] of each seed.
        smooth: see `gather`.

    Raises:
        UsageError: steps that go back, or no step that all seeds have.
    """
    for name, steps, _ in runs:
        if (np.diff(steps) < 0).any():
            raise UsageError(f"the steps in {name} go back: two processes wrote it, or it was edited; train again")
    late = max(runs, key=lambda run: run[1][0])
    short = min(runs, key=lambda run: run[1][-1])
    first, last = late[1][0], short[1][-1]
    if first > last:
        raise UsageError(
            f"{short[0]} ends at step {last:,.0f}, {late[0]} begins at {first:,.0f}; leave one of them out"
        )
    grid = np.linspace(first, last, POINTS)
    values = np.stack([moving_average(np.interp(grid, steps, v), smooth) for _, steps, v in runs])
    rests = []
    for _, steps, found in runs:
        for part, end in ((steps < first, first), (steps > last, last)):
            if part.any():  # from the mean's end on, or up to its beginning
                at = np.sort(np.append(steps[part], end))
                rests.append((at, np.interp(at, steps, found)))
    ends = sorted({float(steps[-1]) for _, steps, _ in runs})
    note = f"mean to step {last:,.0f}, where {Path(short[0]).name} ends; others go on to {ends[-1]:,.0f}"
    return Curve(label, grid, values, tuple(rests), note if len(ends) > 1 else "")


def moving_average(values: np.ndarray, share: float) -> np.ndarray:
    """Centred moving average over `share` of the P points; the window shrinks at the ends. [P] to [P]."""
    half = round(share * len(values) / 2)
    if half < 1:
        return values
    total = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    reach = np.minimum(half, np.minimum(index, len(values) - 1 - index))  # symmetric, so that no end is dragged
    return (total[index + reach + 1] - total[index - reach]) / (2 * reach + 1)


def plot_runs(
    paths: list[str],
    out: Path,
    *,
    metric: str = "rollout/ep_rew_mean",
    smooth: float = 0.02,
    title: str = "",
    quiet: bool = False,
    labels: Mapping[str, str] | None = None,
) -> None:
    """Draw the runs below `paths`, one panel per environment, into the file `out`.

    Args:
        paths: run folders or folders of several.
        out: .png, .pdf or .svg.
        metric: column of progress.csv.
        smooth: width of the moving average as a share of the curve, in [0, 0.5].
        title: above the picture.
        quiet: print nothing.
        labels: names for the legend by the path of a run.

    Raises:
        UsageError: nothing to draw, an unknown metric or file type, or see `gather`.
    """
    if not 0 <= smooth <= 0.5:
        raise UsageError(f"--smooth is {smooth}; it is a share of the curve between 0 and 0.5")
    if out.suffix not in (".png", ".pdf", ".svg"):
        raise UsageError(f"--out is {out.name!r}; give a .png, .pdf or .svg file")
    folders = find_runs(paths)
    curves = gather(folders, metric, smooth, labels)
    settings = {} if labels else full_settings([folder.spec(plays=False) for folder in folders])
    figure = draw(curves, metric, smooth, title, settings)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=150)
    if quiet:
        return
    for env, group in curves.items():
        for curve in group:
            low, high = curve.interval()
            print(
                f"{env}  {curve.label}: {metric} {curve.mean[-1]:,.1f} "
                f"[{low[-1]:,.1f}, {high[-1]:,.1f}] at {curve.steps[-1]:,.0f} steps, "
                f"{len(curve.values)} seed{'s' * (len(curve.values) > 1)}" + f" ({curve.note})" * bool(curve.note)
            )
    for name, text in settings.items():
        print(f"{name}: {text}")
    print(f"wrote {out}")


def draw(
    curves: dict[str, list[Curve]], metric: str, smooth: float, title: str, settings: Mapping[str, str] | None = None
) -> Figure:
    """The figure: panels side by side, one legend, and a line that says what band and smoothing are.

    Args:
        curves: by environment.
        metric: what is drawn.
        smooth: see `gather`.
        title: above the legend.
        settings: the meaning of short names in the legend.
    """
    names = list(dict.fromkeys(curve.label for group in curves.values() for curve in group))
    columns = min(len(curves), 2 if len(curves) in (2, 4) else 3)
    rows = -(-len(curves) // columns)
    notes = [_footnote(curves, metric, smooth), *(f"{name}: {text}" for name, text in (settings or {}).items())]
    lines = [line for note in notes for line in textwrap.wrap(note, 100 if columns == 1 else 50 * columns + 40)]
    # A single panel is wide: its legend and footnote need the room.
    width, height = (7.0, 4.6) if len(curves) == 1 else (4.6 * columns, 3.3 * rows + 0.8)
    figure, axes = new_figure(rows, columns, width=width, height=height + 0.13 * max(0, len(lines) - 2))
    for axis, (env, group) in zip(axes.flat, curves.items(), strict=False):
        _panel(axis, env, group, names)
    for axis in axes.flat[len(curves) :]:
        axis.set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel(_metric_name(metric))
    handles = {h.get_label(): h for axis in axes.flat for h in axis.get_lines() if h.get_label() in names}
    figure.legend(
        [handles[name] for name in names],
        names,
        loc="outside upper center",
        ncols=min(len(names), 4 if columns > 1 else 2),
        frameon=False,
        title=title or None,  # a figure title would stand in the legend's place
        title_fontsize=12,
    )
    figure.supxlabel("\n".join(lines), fontsize=8, color="#555555")
    return figure


def _panel(axis: Axes, env: str, group: list[Curve], names: list[str]) -> None:
    for curve in group:
        i = names.index(curve.label)
        colour = COLOURS[i % len(COLOURS)]
        style = STYLES[i // len(COLOURS) % len(STYLES)]
        axis.plot(curve.steps, curve.mean, style, color=colour, linewidth=1.8, label=curve.label)
        if len(curve.values) > 1:
            axis.fill_between(curve.steps, *curve.interval(), color=colour, alpha=0.18, linewidth=0)
        for steps, values in curve.rests:
            axis.plot(steps, values, ":", color=colour, linewidth=0.8)
    _cut(axis, group)
    axis.set_title(env, fontsize=11, loc="left")
    axis.set_xlabel("environment steps")
    axis.xaxis.set_major_formatter(FuncFormatter(_short))
    axis.grid(True, color="#E5E5E5", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.margins(x=0.01)


def _cut(axis: Axes, group: list[Curve]) -> None:
    """Give the axis to what comes after the first tenth of the steps, where the beginning would take most of it."""
    late = [
        (mean[-len(mean) * 9 // 10 :], low, high)
        for curve in group
        for mean, (low, high) in [(curve.mean, curve.interval())]
        if curve.steps[-1] > 0.1 * max(c.steps[-1] for c in group)
    ]
    least = min(min(mean.min(), low[-1]) for mean, low, _ in late)
    most = max(max(mean.max(), high[-1]) for mean, _, high in late)
    everything = np.concatenate([curve.mean for curve in group])
    low, high = float(everything.min()), float(everything.max())
    if not most > least or most - least > 0.4 * (high - low):
        return
    room = 0.08 * (most - least)
    axis.set_ylim(least - room, most + room)
    beyond = [f"begins at {_short(round(value))}" for value, out in ((low, low < least), (high, high > most)) if out]
    hidden = [c for c in group if c.mean.max() < least - room or c.mean.min() > most + room]
    text = "; ".join([*beyond, *(f"{c.label} ends at {_short(round(c.mean[-1]))}" for c in hidden)])
    axis.text(0.99, 0.02, f"outside: {text}", transform=axis.transAxes, ha="right", fontsize=7, color="#555555")


def _short(value: float, _: int | None = None) -> str:
    """1500000 as 1.5M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _metric_name(metric: str) -> str:
    if metric.startswith("rollout/ep_rew_mean_"):
        return f"training return, objective {metric.rpartition('_')[2]}"
    return "training return" if metric == "rollout/ep_rew_mean" else metric


def _footnote(curves: dict[str, list[Curve]], metric: str, smooth: float) -> str:
    counts = sorted({len(curve.values) for group in curves.values() for curve in group})
    seeds = "-".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))
    words = ["return: mean of the last 100 episodes"] if metric.startswith("rollout/ep_rew_mean") else []
    words.append(f"mean over {seeds} seeds, band: 95 % bootstrap interval" if counts[-1] > 1 else "one seed")
    words.append(f"moving average over {smooth:.0%} of the curve" if round(smooth * POINTS / 2) else "not smoothed")
    if any(curve.note for group in curves.values() for curve in group):
        words.append("a mean ends where its shortest seed does; dotted: what single seeds have beyond it, not smoothed")
    return "; ".join(words)
