"""Learning curves with 95 % intervals over seeds."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")  # files only: no display is needed
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from rlsuite_zoo.errors import UsageError, unknown
from rlsuite_zoo.files import read_csv
from rlsuite_zoo.runs.folder import RunFolder, find_runs

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
    """[P] environment steps."""
    values: np.ndarray
    """[S, P] one row per seed."""

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
    rows = read_csv(folder.progress)
    if not rows:
        raise UsageError(f"{folder.path} has no progress yet")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if metric not in columns:
        raise unknown(f"metric (column of {folder.progress})", metric, columns)
    pairs = [(float(row["steps"]), float(row[metric])) for row in rows if row.get(metric)]
    if not pairs:
        raise UsageError(f"{folder.path} has no value of {metric} yet")
    steps, values = np.array(pairs).T
    return steps, values


def gather(folders: list[RunFolder], metric: str, smooth: float) -> dict[str, list[Curve]]:
    """Curves by environment; the seeds of a group come onto one grid of steps that all of them reached.

    Raises:
        UsageError: a run without data.
    """
    groups: dict[tuple[str, str], list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)
    for folder in folders:
        spec = folder.spec()
        groups[spec.env, spec.group].append(read_curve(folder, metric))
    curves: dict[str, list[Curve]] = defaultdict(list)
    for (env, label), runs in groups.items():
        first, last = max(steps[0] for steps, _ in runs), min(steps[-1] for steps, _ in runs)
        grid = np.linspace(first, max(last, first), POINTS)
        values = np.stack([moving_average(np.interp(grid, *run), smooth) for run in runs])
        curves[env].append(Curve(label, grid, values))
    return curves


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
    labels: dict[str, str] | None = None,
) -> None:
    """Draw the runs below `paths`, one panel per environment, into the file `out`.

    Args:
        paths: run folders or folders of several.
        out: .png, .pdf or .svg.
        metric: column of progress.csv.
        smooth: width of the moving average as a share of the curve, in [0, 0.5].
        title: above the picture.
        quiet: print nothing.
        labels: names of groups for the legend; several groups may share one.

    Raises:
        UsageError: nothing to draw, an unknown metric or file type.
    """
    if not 0 <= smooth <= 0.5:
        raise UsageError(f"--smooth is {smooth}; it is a share of the curve between 0 and 0.5")
    if out.suffix not in (".png", ".pdf", ".svg"):
        raise UsageError(f"--out is {out.name!r}; give a .png, .pdf or .svg file")
    curves = gather(find_runs(paths), metric, smooth)
    named = labels or {}  # groups of one name are one line of the legend
    curves = {env: [replace(c, label=named.get(c.label, c.label)) for c in group] for env, group in curves.items()}
    figure = draw(curves, metric, smooth, title)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=150)
    plt.close(figure)
    if not quiet:
        for env, group in curves.items():
            for curve in group:
                low, high = curve.interval()
                print(
                    f"{env}  {curve.label}: {metric} {curve.mean[-1]:,.1f} "
                    f"[{low[-1]:,.1f}, {high[-1]:,.1f}] at {curve.steps[-1]:,.0f} steps, "
                    f"{len(curve.values)} seed{'s' * (len(curve.values) > 1)}"
                )
        print(f"wrote {out}")


def draw(curves: dict[str, list[Curve]], metric: str, smooth: float, title: str) -> Figure:
    """The figure: panels side by side, one legend, and a line that says what band and smoothing are."""
    names = list(dict.fromkeys(curve.label for group in curves.values() for curve in group))
    columns = min(len(curves), 2 if len(curves) in (2, 4) else 3)
    rows = -(-len(curves) // columns)
    with plt.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        # A single panel is wide: its legend and footnote need the room.
        size = (7.0, 4.6) if len(curves) == 1 else (4.6 * columns, 3.3 * rows + 0.8)
        figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
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
        footnote = textwrap.fill(_footnote(curves, metric, smooth), 100 if columns == 1 else 50 * columns + 40)
        figure.supxlabel(footnote, fontsize=8, color="#555555")
    return figure


def _panel(axis: Axes, env: str, group: list[Curve], names: list[str]) -> None:
    for curve in group:
        i = names.index(curve.label)
        colour = COLOURS[i % len(COLOURS)]
        style = STYLES[i // len(COLOURS) % len(STYLES)]
        axis.plot(curve.steps, curve.mean, style, color=colour, linewidth=1.8, label=curve.label)
        if len(curve.values) > 1:
            axis.fill_between(curve.steps, *curve.interval(), color=colour, alpha=0.18, linewidth=0)
    axis.set_title(env, fontsize=11, loc="left")
    axis.set_xlabel("environment steps")
    axis.xaxis.set_major_formatter(FuncFormatter(_short))
    axis.grid(True, color="#E5E5E5", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.margins(x=0.01)


def _short(value: float, _: int | None = None) -> str:
    """1500000 as 1.5M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _metric_name(metric: str) -> str:
    return "training return" if metric == "rollout/ep_rew_mean" else metric


def _footnote(curves: dict[str, list[Curve]], metric: str, smooth: float) -> str:
    counts = sorted({len(curve.values) for group in curves.values() for curve in group})
    seeds = "-".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))
    words = ["return: mean of the last 100 episodes"] if metric == "rollout/ep_rew_mean" else []
    words.append(f"mean over {seeds} seeds, band: 95 % bootstrap interval" if counts[-1] > 1 else "one seed")
    words.append(f"moving average over {smooth:.0%} of the curve" if round(smooth * POINTS / 2) else "not smoothed")
    return "; ".join(words)
