"""`rlsuite robustness RUN...`: return over mass and friction as heat maps, and over the strength of pushes.

Each run's map is one batch of simulations, kept in `RUN/robustness/`; runs that differ only in seed are averaged.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlsuite.adversarial.games.sweep import check_sweep, force_sweep, model_sweep, tail_mean, worst
from rlsuite.core.statistics import Interval, bootstrap_interval
from rlsuite_envs.drawing import figure
from rlsuite_envs.mujoco.two_player import PUSHES
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.files import write_json, write_text
from rlsuite_zoo.options import SweepOptions
from rlsuite_zoo.provenance import provenance_of
from rlsuite_zoo.report.curves import COLOURS
from rlsuite_zoo.report.html_page import HtmlPage
from rlsuite_zoo.report.numbers import cell_text
from rlsuite_zoo.runs import kept
from rlsuite_zoo.runs.folder import RunFolder, find_trained
from rlsuite_zoo.runs.groups import group_names
from rlsuite_zoo.runs.models import check_one_objective, load_policy, quiet_mujoco
from rlsuite_zoo.runs.recipe import parse_grid
from rlsuite_zoo.runs.spec import check_jobs

__all__ = ["TAIL", "Found", "Sweep", "draw_maps", "make_robustness", "nominal", "play_sweep", "read_sweep"]

QUICK_CELLS, QUICK_EPISODES = 3, 1
TAIL = 0.1
"""Share of the episodes that the CVaR is the mean of."""
FORMAT = 1
"""Number of the files' format; a change of what a map is raises it."""


@dataclass(frozen=True)
class Sweep:
    """One run's map; sweeps with equal fields have equal results."""

    run: str
    body: str
    mass: tuple[float, ...]
    friction: tuple[float, ...]
    episodes: int
    seed: int
    forces: tuple[float, ...] = ()
    """Strengths of pushes, N; none where the task has no adversary."""

    @property
    def path(self) -> Path:
        """File in which the map is kept; every grid has one of its own."""
        digest = hashlib.sha256(json.dumps(self.settings).encode()).hexdigest()[:12]
        return Path(self.run) / "robustness" / f"sweep-{digest}.json"

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the model that decides a map."""
        return kept.plain({**asdict(self), "format": FORMAT}, "run")

    @property
    def checkpoints(self) -> list[Path]:
        """The model played."""
        return [RunFolder(self.run).last]


@dataclass(frozen=True)
class Found:
    """Returns measured by a sweep."""

    returns: np.ndarray
    """Returns [M, F, E] over mass and friction scales and episodes."""
    pushed: dict[str, np.ndarray]
    """Returns [K, E] over the strengths of pushes and episodes, by opponent."""


def read_sweep(sweep: Sweep) -> Found | None:
    """Returns of a sweep; None if it was not played, or with other settings."""
    record = kept.read(sweep)
    if record is None:
        return None
    return Found(np.array(record["returns"]), {k: np.array(v) for k, v in record["pushed"].items()})


def play_sweep(sweep: Sweep) -> None:
    """Play and keep a map."""
    key = kept.key_of(sweep)  # of the checkpoint that is read now
    folder = RunFolder(sweep.run)
    spec, policy = folder.spec(), load_policy(folder, folder.last)
    quiet_mujoco(spec.env)
    common: dict[str, Any] = {
        "episodes": sweep.episodes,
        "seed": sweep.seed,
        "deterministic": not spec.eval_stochastic,
        "env_kwargs": spec.env_kwargs,
    }
    pushed = force_sweep(policy, spec.env, sweep.forces, **common) if sweep.forces else {}
    returns = model_sweep(policy, spec.env, mass=sweep.mass, friction=sweep.friction, body=sweep.body, **common)
    outcome = {"returns": returns.tolist(), "pushed": {k: v.tolist() for k, v in pushed.items()}}
    kept.write(sweep, key, outcome)


def make_robustness(options: SweepOptions) -> None:
    """Play what is missing, then write `robustness.html`, `.json`, `.csv` and `.png`.

    Raises:
        UsageError: bad options, no run, or nothing to report. Interrupted: stopped by the user.
    """
    check_jobs(options.jobs)
    if not options.runs:
        raise UsageError("no runs: give run folders, those of `rlsuite train`")
    episodes = min(options.episodes, QUICK_EPISODES) if options.quick else options.episodes
    axes = [
        parse_grid(options.mass, "--mass"),
        parse_grid(options.friction, "--friction"),
        parse_grid(options.force, "--force"),
    ]
    if axes[2][0] < 0:
        raise UsageError(f"--force begins with {axes[2][0]:g}; strengths are at least 0")
    if options.quick:
        picks = [np.linspace(0, len(a) - 1, min(QUICK_CELLS, len(a))).round().astype(int) for a in axes]
        axes = [[a[i] for i in pick] for a, pick in zip(axes, picks, strict=True)]
    folders = find_trained(list(options.runs))
    check_one_objective(folders, "robustness")
    names = {str(folder.path): name for folder, name in zip(folders, group_names(folders), strict=True)}
    sweeps = []
    for folder in folders:
        quiet_mujoco(folder.spec().env)
        try:
            found = check_sweep(folder.spec().env, options.body, axes[0], axes[1], episodes)
        except ValueError as error:
            raise UsageError(f"{folder.path}: {error}") from error
        pushes = tuple(axes[2]) if folder.spec().env.removeprefix("rlsuite/") in PUSHES else ()
        sweeps.append(Sweep(str(folder.path), found, tuple(axes[0]), tuple(axes[1]), episodes, options.seed, pushes))
    if not options.report_only:
        kept.play_missing(sweeps, play_sweep, jobs=options.jobs, name=lambda sweep: Path(sweep.run).name, what="maps")
    played = {sweep: outcome for sweep in sweeps if (outcome := read_sweep(sweep)) is not None}
    if not played:
        raise UsageError("no map was played; leave --report-only out")
    groups: Groups = {}
    for sweep, outcome in played.items():
        group = f"{names[sweep.run]} on {RunFolder(sweep.run).spec().env}"
        groups.setdefault(group, []).append((sweep, outcome))
    _write(played, groups, Path(options.out))


Groups = dict[str, list[tuple[Sweep, Found]]]
"""Sweeps and their returns, grouped by everything but the seed."""


def nominal(sweep: Sweep, returns: np.ndarray) -> float:
    """Mean return in the cell nearest to the unmodified model."""
    i = int(np.abs(np.array(sweep.mass) - 1).argmin())
    j = int(np.abs(np.array(sweep.friction) - 1).argmin())
    return float(returns[i, j].mean())


def _summary(members: list[tuple[Sweep, Found]]) -> dict[str, Interval]:
    """Nominal, mean, worst and CVaR return of a group, with 95 % intervals over its runs."""

    def over(function: Any) -> Interval:
        return bootstrap_interval([float(function(sweep, found.returns)) for sweep, found in members])

    return {
        "nominal": over(nominal),
        "mean of the map": over(lambda _, r: r.mean()),
        "worst cell": over(lambda _, r: worst(r)),
        f"CVaR {TAIL:.0%}": over(lambda _, r: tail_mean(r, TAIL)),
    }


def _write(played: dict[Sweep, Found], groups: Groups, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    tables = {name: _summary(members) for name, members in groups.items()}
    sweep = next(iter(played))
    settings = {
        "runs": ", ".join(s.run for s in played),
        "varied": f"mass of {', '.join(sorted({s.body for s in played}))} and all frictions, relative to the model",
        "episodes": f"{sweep.episodes} a cell, from the same initial states in all cells, seed {sweep.seed}",
        **provenance_of(),
    }
    write_text(out / "robustness.csv", _csv(played))
    numbers = {
        name: {what: {"mean": v.estimate, "low": v.low, "high": v.high, "runs": v.n} for what, v in table.items()}
        for name, table in tables.items()
    }
    pushes = {
        name: {
            kind: {f"{force:g}": _pushed(members, kind, i).estimate for i, force in enumerate(members[0][0].forces)}
            for kind in members[0][1].pushed
        }
        for name, members in groups.items()
    }
    write_json(out / "robustness.json", {"settings": settings, "groups": numbers, "pushed": pushes})
    draw_maps(groups, out / "robustness.png")
    page = HtmlPage("Robustness over mass, friction and pushes")
    page.paragraph(
        "Mean undiscounted return over scales of mass and friction that the policies may never have met, averaged over "
        "runs that differ in their seed alone; intervals are 95 % bootstrap over runs (with one run there is none). "
        f"CVaR is the mean of the worst {TAIL:.0%} of all episodes of a map."
    )
    header = ["", *next(iter(tables.values())), "runs"]
    page.table(
        header,
        [[n, *(cell_text(v) for v in t.values()), str(next(iter(t.values())).n)] for n, t in tables.items()],
    )
    page.picture(out / "robustness.png", "mean return over mass and friction")
    pushed = {name: members for name, members in groups.items() if members[0][1].pushed}
    if pushed:
        _draw_pushes(pushed, out / "robustness-forces.png")
        page.heading("Pushed")
        page.paragraph(
            "Mean return against opponents that push the task's bodies without having learned to: uniformly random "
            "forces, pulses of full size, pulses of random size; the force is the largest along an axis."
        )
        page.picture(out / "robustness-forces.png", "mean return over the strength of pushes")
    page.heading("Settings")
    page.settings(settings)
    page.write(out / "robustness.html")
    least = min(tables, key=lambda name: tables[name]["worst cell"].estimate)
    print(f"wrote {out / 'robustness.html'}; least worst cell: {least}, {tables[least]['worst cell']}")


def _csv(played: dict[Sweep, Found]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", "body", "mass_scale", "friction_scale", "mean_return", "least", "episodes"])
    for sweep, outcome in played.items():
        for i, mass in enumerate(sweep.mass):
            for j, friction in enumerate(sweep.friction):
                cell = outcome.returns[i, j]
                row = [f"{mass:g}", f"{friction:g}", f"{cell.mean():.4f}", f"{cell.min():.4f}", len(cell)]
                writer.writerow([sweep.run, sweep.body, *row])
    return text.getvalue()


def draw_maps(groups: Groups, path: Path) -> None:
    """One heat map a group, on a common scale of colours."""
    maps = {name: np.mean([f.returns.mean(axis=-1) for _, f in members], axis=0) for name, members in groups.items()}
    low, high = min(m.min() for m in maps.values()), max(m.max() for m in maps.values())
    cols = min(3, len(maps))
    rows = -(-len(maps) // cols)
    picture, axes = figure(rows, cols, width=1.2 + 4.0 * cols, height=0.4 + 3.6 * rows)
    image: Any = None
    for ax in axes.flat[len(maps) :]:
        ax.set_visible(False)
    for ax, (name, values) in zip(axes.flat, maps.items(), strict=False):
        sweep = groups[name][0][0]
        image = ax.imshow(values, origin="lower", aspect="auto", vmin=low, vmax=high, cmap="viridis")
        for axis, scales in ((ax.yaxis, sweep.mass), (ax.xaxis, sweep.friction)):
            places = np.unique(np.linspace(0, len(scales) - 1, min(6, len(scales))).round().astype(int))
            axis.set_ticks(places, [f"{scales[i]:g}" for i in places])
        ax.set_title(f"{name} ({len(groups[name])})", loc="left", fontsize=9)
        ax.set_xlabel("friction, relative")
        ax.set_ylabel(f"mass of {sweep.body}, relative")
    picture.colorbar(image, ax=axes, label="mean return")
    picture.savefig(path, dpi=140)


def _pushed(members: list[tuple[Sweep, Found]], kind: str, i: int) -> Interval:
    """Mean return at the i-th strength, over runs."""
    return bootstrap_interval([float(found.pushed[kind][i].mean()) for _, found in members])


def _draw_pushes(groups: Groups, path: Path) -> None:
    """One panel an opponent, one line a group."""
    kinds = list(next(iter(groups.values()))[0][1].pushed)
    picture, axes = figure(1, len(kinds), width=1.0 + 3.8 * len(kinds), height=3.8)
    for ax, kind in zip(axes[0], kinds, strict=True):
        for i, (name, members) in enumerate(groups.items()):
            x = members[0][0].forces
            points = [_pushed(members, kind, k) for k in range(len(x))]
            colour = COLOURS[i % len(COLOURS)]
            ax.plot(x, [v.estimate for v in points], color=colour, marker="o", ms=3, label=name)
            ax.fill_between(x, [v.low for v in points], [v.high for v in points], color=colour, alpha=0.15, lw=0)
        ax.set_title(kind, loc="left")
        ax.set_xlabel("largest force, N")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("mean return")
    axes[0, 0].legend(fontsize=7)
    picture.savefig(path, dpi=140)
