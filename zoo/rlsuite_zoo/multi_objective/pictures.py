"""Pictures of fronts: two objectives as a plane, three as a view with its three sides, more as parallel axes.

Drawn are the policies that no other one of their run dominates. Letters: n points, K objectives.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from rlsuite.multi_objective import nondominated
from rlsuite_envs.drawing import figure
from rlsuite_zoo.multi_objective.comparison import Comparison, Player
from rlsuite_zoo.multi_objective.sets import TrainedSet
from rlsuite_zoo.report.curves import COLOURS
from rlsuite_zoo.report.differences import student

__all__ = ["draw", "staircase"]

TRUE, SELECTED = "#222222", "#9A9A9A"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LONGEST_NAME = 26
"""Most characters of an objective's name in one line."""


def draw(comparison: Comparison, path: Path) -> None:
    """Write the picture that fits the number of objectives."""
    count = len(comparison.names)
    drawn = _plane(comparison) if count == 2 else _space(comparison) if count == 3 else _parallel(comparison)
    drawn.savefig(path, dpi=140)


def staircase(points: np.ndarray, low: Sequence[float]) -> np.ndarray:
    """Corners [m, 2] of the edge of what points [n, 2] attain, from the left edge `low[0]` to the lower one `low[1]`.

    A vector is attained if some point is at least as good in both objectives.
    """
    kept = points[nondominated(points)]
    kept = kept[np.argsort(kept[:, 0])]
    corners = [(low[0], kept[0, 1])]
    for i, (x, y) in enumerate(kept):
        corners.append((x, y))
        corners.append((x, kept[i + 1, 1] if i + 1 < len(kept) else low[1]))
    return np.array(corners)


def _groups(comparison: Comparison) -> dict[str, list[TrainedSet]]:
    found: dict[str, list[TrainedSet]] = {}
    for one in comparison.sets:
        found.setdefault(one.group, []).append(one)
    return found


def _style(i: int) -> tuple[str, str]:
    return COLOURS[i % len(COLOURS)], MARKERS[(i // len(COLOURS) + i) % len(MARKERS)]


def _label(group: str, sets: Sequence[TrainedSet]) -> str:
    return f"{group} ({len(sets)} seeds)" if len(sets) > 1 else group


def _plane(comparison: Comparison) -> Figure:
    drawn, axes = figure(width=7.2, height=5.6)
    ax = axes[0, 0]
    handles = _flat(ax, comparison, 0, 1, noise=True)
    _finish(drawn, comparison, handles)
    return drawn


def _flat(ax: Axes, comparison: Comparison, i: int, j: int, *, noise: bool) -> list[Line2D]:
    """The plane of two objectives; with more of them, the points are those of all and the steps those of the two."""
    cloud = [comparison.points(one)[comparison.front(one)] for one in comparison.sets]
    if comparison.true is not None:
        cloud.append(comparison.true)
    if alone := _alone(comparison):
        cloud.append(alone.selected)
    everything = np.concatenate(cloud)[:, [i, j]]
    low, high = everything.min(0), everything.max(0)
    span = np.where(high > low, high - low, np.maximum(np.abs(high), 1.0) * 0.1)
    left, right = low - 0.08 * span, high + 0.08 * span
    handles: list[Line2D] = []
    for g, (group, sets) in enumerate(_groups(comparison).items()):
        colour, marker = _style(g)
        size = 5 if len(comparison.sets) == 1 else 4
        for one in sets:
            front = comparison.front(one)
            points = comparison.points(one)[front][:, [i, j]]
            edge = staircase(points, left)
            ax.plot(*edge.T, color=colour, lw=1.3 if len(sets) == 1 else 0.8, alpha=0.8 if len(sets) == 1 else 0.5)
            if len(comparison.sets) == 1:
                ax.fill_between(edge[:, 0], edge[:, 1], left[1], color=colour, alpha=0.07, lw=0)
            fresh = comparison.returns.get(str(one.folder.path))
            if noise and fresh is not None and fresh.discounted.shape[1] > 1 and len(front) <= 60:
                halves = np.array([[student(x) for x in member.T] for member in fresh.discounted[front]])[:, [i, j]]
                across, up = halves.T
                bars: dict[str, Any] = {"fmt": "none", "ecolor": colour, "alpha": 0.45, "lw": 0.9}
                ax.errorbar(points[:, 0], points[:, 1], xerr=across, yerr=up, **bars)
            ax.plot(*points.T, marker, color=colour, ms=size, zorder=3)
        handles.append(Line2D([], [], marker=marker, color=colour, lw=1.3, label=_label(group, sets)))
    if comparison.true is not None:
        known = comparison.true[:, [i, j]]
        ax.plot(*staircase(known, left).T, "--", color=TRUE, lw=0.9, alpha=0.6, zorder=1)
        label = f"true front ({len(known)} points)"
        handles += ax.plot(*known.T, "o", mfc="none", mec=TRUE, ms=8, label=label, zorder=1)
    if alone:
        (dots,) = ax.plot(*alone.selected[:, [i, j]].T, ".", color=SELECTED, ms=6, zorder=2, label="as selected")
        handles.append(dots)
    stars = [_star(ax, comparison, player, (i, j)) for player in comparison.players]
    handles += stars[0] if stars else []
    ax.set_xlim(left[0], right[0])
    ax.set_ylim(left[1], right[1])
    for axis, k in ((ax.xaxis, i), (ax.yaxis, j)):
        axis.set_major_locator(MaxNLocator(6))
        axis.set_label_text(comparison.names[k])
    ax.grid(True, color="#EBEBEB", lw=0.8)
    ax.set_axisbelow(True)
    return handles


def _alone(comparison: Comparison) -> TrainedSet | None:
    """The only set, where what it was selected by can be shown beside what it returns now."""
    one = comparison.sets[0]
    return one if len(comparison.sets) == 1 and comparison.returns and one.gamma == comparison.gamma else None


def _star(ax: Any, comparison: Comparison, player: Player, of: Sequence[int]) -> list[Line2D]:
    """The policy that plays for the weights."""
    point = comparison.points(player.of)[player.index][list(of)]
    groups = list(_groups(comparison))
    colour = "#F0E442" if len(groups) == 1 else _style(groups.index(player.of.group))[0]
    style: dict[str, Any] = {"marker": "*", "ms": 15, "mec": "black", "ls": "none", "zorder": 5}
    ax.plot(*([x] for x in point), **style, mfc=colour)
    return [Line2D([], [], **style, mfc=colour if len(groups) == 1 else "white", label=_weights(comparison))]


def _weights(comparison: Comparison) -> str:
    return f"plays for weights ({', '.join(f'{w:g}' for w in comparison.weights)})"


def _space(comparison: Comparison) -> Figure:
    drawn, axes = figure(2, 2, width=10.5, height=8.8)
    where = axes[0, 0].get_subplotspec()
    axes[0, 0].remove()
    view: Any = drawn.add_subplot(where, projection="3d")
    if comparison.true is not None:
        view.plot(*comparison.true.T, "o", mfc="none", mec=TRUE, ms=6, alpha=0.7)
    drawn_points: list[tuple[np.ndarray, str]] = []
    for g, sets in enumerate(_groups(comparison).values()):
        colour, marker = _style(g)
        for one in sets:
            points = comparison.points(one)[comparison.front(one)]
            view.scatter(*points.T, color=colour, marker=marker, s=22, depthshade=False)
            drawn_points.append((points, colour))
    for player in comparison.players:
        _star(view, comparison, player, (0, 1, 2))
    floor = view.get_zlim()[0]
    for points, colour in drawn_points:  # a stem tells where above the floor a point is
        for x, y, z in points:
            view.plot([x, x], [y, y], [floor, z], color=colour, lw=0.6, alpha=0.45)
    view.set_zlim(bottom=floor)
    view.view_init(elev=24, azim=38)  # from above the best corner of all three
    view.set_box_aspect(None, zoom=0.95)
    for axis, name in zip((view.xaxis, view.yaxis, view.zaxis), comparison.names, strict=True):
        axis.set_label_text("\n".join(textwrap.wrap(name, LONGEST_NAME)))
        axis.set_major_locator(MaxNLocator(4))
        axis.labelpad = 8
    view.tick_params(labelsize=8)
    handles: list[Line2D] = []
    for ax, (i, j) in zip((axes[0, 1], axes[1, 0], axes[1, 1]), combinations(range(3), 2), strict=True):
        handles = _flat(ax, comparison, i, j, noise=False)
    _finish(drawn, comparison, handles, "steps: what is attained in two objectives alone; ")
    return drawn


def _parallel(comparison: Comparison) -> Figure:
    names, groups = comparison.names, _groups(comparison)
    count = len(names)
    drawn, axes = figure(width=max(7.5, 1.35 * count + 1.0), height=5.6)
    ax = axes[0, 0]
    fronts = {str(one.folder.path): comparison.points(one)[comparison.front(one)] for one in comparison.sets}
    everything = np.concatenate([*fronts.values(), *([] if comparison.true is None else [comparison.true])])
    low, high = everything.min(0), everything.max(0)
    flat = high <= low
    span = np.where(flat, 1.0, high - low)

    def scaled(points: np.ndarray) -> np.ndarray:
        return np.where(flat, 0.5, (points - low) / span)

    handles: list[Line2D] = []
    places = np.arange(count)
    if comparison.true is not None:
        ax.plot(places, scaled(comparison.true).T, ":", color=TRUE, lw=0.8, alpha=0.5)
        handles.append(Line2D([], [], ls=":", color=TRUE, label=f"true front ({len(comparison.true)} points)"))
    shown = sum(len(points) for points in fronts.values())
    alpha = float(np.clip(25 / shown, 0.15, 0.85))
    for g, (group, sets) in enumerate(groups.items()):
        colour, _ = _style(g)
        for one in sets:
            for row in scaled(fronts[str(one.folder.path)]):
                shade = colormaps["viridis"](row[0] * 0.92) if len(comparison.sets) == 1 else colour
                ax.plot(places, row, color=shade, lw=1.2, alpha=alpha)
        if len(comparison.sets) > 1:
            handles.append(Line2D([], [], color=colour, lw=1.6, label=_label(group, sets)))
    for player in comparison.players:
        row = scaled(comparison.points(player.of)[player.index])
        ax.plot(places, row, color="black", lw=3.4, zorder=4)
        if len(groups) > 1:
            ax.plot(places, row, color=_style(list(groups).index(player.of.group))[0], lw=1.8, zorder=4)
    if comparison.players:
        handles.append(Line2D([], [], color="black", lw=3.4, label=_weights(comparison)))
    for k in range(count):
        ax.axvline(k, color="#888888", lw=0.9, zorder=2)
        ticks = [low[k]] if flat[k] else MaxNLocator(4).tick_values(low[k], high[k])
        for value in ticks:
            if flat[k] or low[k] <= value <= high[k]:
                height = 0.5 if flat[k] else (value - low[k]) / span[k]
                ax.plot([k - 0.03, k], [height, height], color="#888888", lw=0.9, zorder=2)
                ax.text(
                    k - 0.05, height, f"{value:.5g}", ha="right", va="center", fontsize=7.5, zorder=5,
                    bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.75},
                )  # fmt: skip
    ax.set_xticks(places, ["\n".join(textwrap.wrap(name, 16)) for name in names], fontsize=8.5)
    ax.tick_params(axis="x", length=0)
    ax.set_yticks([])
    ax.set_ylim(-0.05, 1.05)
    ax.set_xlim(-0.55, count - 0.85)
    for spine in ax.spines.values():
        spine.set_visible(False)
    note = f"a line is a policy, coloured by {names[0]}; " if len(comparison.sets) == 1 else "a line is a policy; "
    _finish(drawn, comparison, handles, note + "higher is better on every axis; axes are scaled apart; ")
    return drawn


def _finish(drawn: Figure, comparison: Comparison, handles: Sequence[Line2D], note: str = "") -> None:
    """Title, legend above, and what the points are below."""
    if handles:
        drawn.legend(
            handles=list(handles),
            loc="outside upper center",
            ncols=2 if len(handles) != 3 or comparison.players else 3,
            frameon=False,
            title=comparison.env,
            title_fontsize=12,
        )
    else:
        drawn.suptitle(comparison.env, fontsize=12)
    lines = comparison.conditions(comparison.kinds[0])
    text = f"{note}mean discounted returns; " + "; ".join(lines) + "; policies dominated in their run are not shown"
    if len(comparison.names) == 2 and any(one.discounted.std(1).any() for one in comparison.returns.values()):
        text += "; bars: 95 % intervals over episodes"
    wide = int(drawn.get_figwidth() * 15)
    drawn.supxlabel("\n".join(textwrap.wrap(text, wide)), fontsize=8, color="#555555")
