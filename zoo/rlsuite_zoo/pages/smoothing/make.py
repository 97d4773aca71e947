"""`rlsuite results smoothing`: certified returns of smoothed policies beside their returns under attack, as one page.

PPO learns each task under each noise, with several seeds; the best on episodes of their own is certified from 10,000
clean smoothed episodes, then attacked. Models and measurements are kept and found again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rlsuite.core.statistics import bootstrap_interval
from rlsuite.smoothing.sample_size import check_episodes
from rlsuite.smoothing.survival import clopper_pearson_lower
from rlsuite_envs.drawing import figure
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.files import write_text
from rlsuite_zoo.options import PageOptions
from rlsuite_zoo.pages.smoothing.tasks import TASKS, Cell, Sizes, Task, measure, train_missing
from rlsuite_zoo.provenance import command, machine, portable
from rlsuite_zoo.report.curves import COLOURS
from rlsuite_zoo.report.numbers import rounded_down
from rlsuite_zoo.report.paged import write_paged
from rlsuite_zoo.runs import kept
from rlsuite_zoo.runs.cells import run_cells
from rlsuite_zoo.runs.display import out_console
from rlsuite_zoo.runs.launch import cores
from rlsuite_zoo.runs.recipe import parse_count, parse_names, parse_seeds

SEEDS = "0-1"
SIZES = Sizes()
ABOUT = """Policy smoothing (Kumar, Levine and Feizi, arXiv 2106.11420): a policy that acts on noisy observations cannot
be made much worse by small changes of them. A certificate says, from clean episodes alone, what mean return (or success
probability) is left whatever an adversary does whose changes over a whole episode have total L2 norm B at most. It may
see everything but the noise to come. Next to it are returns under the paper's adaptive attack. No certificate may
exceed them, but for the attacked mean's own sampling error; the gap is slack of the bound, of the policy or of the
attack. Noise and budgets are in observation units. Each noise has a policy of its own, PPO trained under it. "No noise"
is the plain policy under the same attack: nothing can be certified for it."""


def make_results(options: PageOptions) -> None:
    """Train and measure what is missing, then write `<out>/smoothing.md`, `.csv` and `.png`.

    Raises:
        UsageError: bad options, or nothing to report.
    """
    numbers = parse_seeds(options.seeds or SEEDS)
    tasks = parse_names(options.only, {task.key: task for task in TASKS}, "task of the suite smoothing")
    if options.steps:
        tasks = [replace(task, steps=parse_count(options.steps, "--steps")) for task in tasks]
    check_sizes(tasks, SIZES)
    root = Path(options.runs) / "smoothing"
    cells = [
        Cell(task, sigma, root / task.key / f"{task.steps}-steps" / f"sigma{sigma:g}", tuple(numbers), SIZES)
        for task in tasks
        for sigma in task.sigmas
    ]
    if not options.report_only:
        todo = [(cell, seed) for seed in numbers for cell in cells if not cell.model(seed).exists()]
        print(f"{len(todo)} models to train")
        run_cells(train_missing, todo, options.jobs or cores(), lambda job: f"{job[0].folder.name}, seed {job[1]}")
        kept.play_missing(cells, measure, jobs=options.jobs, name=lambda cell: cell.folder.name, what="cells")
    done = [cell for cell in cells if kept.read(cell) is not None]
    if not done:
        raise UsageError(f"nothing measured in {root}; leave --report-only out to do it")
    write_page(done, SIZES, Path(options.out))


def check_sizes(tasks: Sequence[Task], sizes: Sizes) -> None:
    """Refuse too few episodes before anything is trained.

    Raises:
        UsageError: names how many are needed.
    """
    try:
        for task in tasks:
            method, rungs = ("success", 1) if task.success else ("ladder", task.limit)
            check_episodes(sizes.certifying, method, alpha=sizes.alpha, thresholds=rungs)  # type: ignore[arg-type]
    except ValueError as error:
        raise UsageError(str(error)) from error


@dataclass(frozen=True)
class Line:
    """Results of one task under one noise."""

    cell: Cell
    clean: np.ndarray
    """Scores [N] without attack."""
    grid: np.ndarray
    """Budgets [G] of the certificate."""
    certified: np.ndarray | None
    """Certified values [G] for these budgets; None without noise."""
    attacked: list[dict[str, float]]
    """For each budget, mean, standard_error and threshold of the attack with the worst threshold."""

    @property
    def label(self) -> str:
        """The noise."""
        return f"sigma {self.cell.sigma:g}" if self.cell.sigma else "no noise"

    def at(self, budget: float) -> float | None:
        """Certified value for a budget."""
        if self.certified is None:
            return None
        return float(self.certified[int(np.abs(self.grid - budget).argmin())])

    def violations(self) -> list[float]:
        """Budgets where the attacked mean is below the certificate for all its sampling error."""
        return [
            point["budget"]
            for point in self.attacked
            if (value := self.at(point["budget"])) is not None and self.high(point) < value
        ]

    def high(self, point: dict[str, float]) -> float:
        """Above it lies the true attacked mean with probability 0.00135 at most: three standard errors.

        For successes exact (Clopper-Pearson): the standard error of nothing but failures would be 0.
        """
        if not self.cell.task.success:
            return point["mean"] + 3 * point["standard_error"]
        n = self.cell.sizes.attacking
        return 1 - float(clopper_pearson_lower(round((1 - point["mean"]) * n), n, 0.00135))


def read_line(cell: Cell, alpha: float) -> Line:
    """The line of a measured cell."""
    found = cell.read()
    worst = [
        min((p for p in found["attacked"] if p["budget"] == budget), key=lambda p: p["mean"])
        for budget in cell.task.budgets
    ]
    certified = cell.certificate(alpha).value if cell.sigma else None
    return Line(cell, cell.task.score(np.array(found["clean"])), cell.task.grid, certified, worst)


def write_page(cells: list[Cell], sizes: Sizes, out: Path) -> None:
    """Write `smoothing.md`, `smoothing.csv` and `smoothing.png`."""
    out.mkdir(parents=True, exist_ok=True)
    tasks = list(dict.fromkeys(cell.task.key for cell in cells))
    by_key = {cell.task.key: cell.task for cell in cells}
    lines = {key: [read_line(c, sizes.alpha) for c in cells if c.task.key == key] for key in tasks}
    everything = [line for group in lines.values() for line in group]
    points = sum(len(line.attacked) for line in everything if line.certified is not None)
    wrong = sum(len(line.violations()) for line in everything)
    findings = [
        f"Of {points} points with a certificate and an attack, the attacked mean is below the certificate by more than "
        f"its sampling error (three standard errors; for successes Clopper-Pearson) in {wrong}."
    ]
    parts = [
        "# Policy smoothing: certified and attacked returns",
        ABOUT,
        _provenance(everything, sizes),
        "![certified and attacked returns](smoothing.png)",
    ]
    for key in tasks:
        parts += [f"## {by_key[key].title}", _table(lines[key])]
    _draw([(by_key[key], lines[key]) for key in tasks], out / "smoothing.png")
    write_paged(out / "smoothing.md", "\n\n".join(parts), findings)
    write_text(out / "smoothing.csv", _csv(everything))
    out_console().print(f"wrote {out / 'smoothing.md'}")


def _provenance(lines: list[Line], sizes: Sizes) -> str:
    about = machine()
    steps = ", ".join(dict.fromkeys(f"{line.cell.task.key} {line.cell.task.steps:,}" for line in lines))
    seeds = sorted({int(seed) for line in lines for seed in line.cell.read()["choosing"]})
    versions = ", ".join(f"{name} {about['versions'][name]}" for name in ("rlsuite", "torch", "numpy", "gymnasium"))
    return "\n".join(
        [
            f"- Command: `{portable(command())}`; {about['date']}; {versions}",
            f"- Environment steps per run: {steps}; training seeds {', '.join(map(str, seeds))}, of which the best on "
            f"{sizes.choosing:,} episodes is shown",
            f"- Certificates: {sizes.certifying:,} other episodes each, wrong with probability {sizes.alpha:g} at "
            "most; CartPole by a ladder of 1..200 with Bonferroni's correction, mountain car by Clopper-Pearson",
            f"- Attacks: {sizes.attacking} episodes per point, the lowest mean over the thresholds, "
            f"{sizes.noise_draws} draws per decision; CartPole: towards lower logits, steps of 0.05; mountain car: "
            "twenty steps of 0.05 against the direction of travel, at three prices of the perturbation",
        ]
    )


def _table(lines: list[Line]) -> str:
    """Certified / attacked per budget."""
    budgets = lines[0].cell.task.budgets
    head = "".join(f" B = {budget:g} |" for budget in budgets)
    rows = [f"| | without attack |{head}", "|---|---:|" + "---:|" * len(budgets)]
    for line in lines:
        interval = bootstrap_interval(line.clean, num_resamples=1000)
        cells = ""
        for point in line.attacked:
            value = line.at(point["budget"])
            certified = "" if value is None else f"≥ **{rounded_down(value, _digits(line))}** / "
            cells += f" {certified}{_number(line, point['mean'])} |"
        clean = " ".join(
            (
                _number(line, interval.estimate),
                f"[{_number(line, interval.low)}, {_number(line, interval.high)}]",
            )
        )
        rows.append(f"| {line.label} | {clean} |{cells}")
    what = "success probability" if lines[0].cell.task.success else "mean return"
    return f"Certified / attacked {what}.\n\n" + "\n".join(rows)


def _number(line: Line, value: float) -> str:
    return f"{value:.{_digits(line)}f}"


def _digits(line: Line) -> int:
    return 3 if line.cell.task.success else 1


def _csv(lines: list[Line]) -> str:
    rows = ["task,sigma,seed,budget,clean,certified,attacked,standard_error,threshold"]
    for line in lines:
        seed = line.cell.read()["seed"]
        for point in line.attacked:
            value = line.at(point["budget"])
            rows.append(
                f"{line.cell.task.key},{line.cell.sigma:g},{seed},{point['budget']:g},{line.clean.mean():.6g},"
                f"{'' if value is None else f'{value:.6g}'},{point['mean']:.6g},{point['standard_error']:.3g},"
                f"{point['threshold']:g}"
            )
    return "\n".join(rows) + "\n"


def _draw(groups: list[tuple[Task, list[Line]]], path: Path) -> None:
    """One panel per task: certificates as lines, attacked means as points of the same colour."""
    drawn, axes = figure(1, len(groups), width=5.2 * len(groups), height=4.2)
    for ax, (task, lines) in zip(axes.flat, groups, strict=True):
        for line, colour in zip(lines, COLOURS[-1:] + COLOURS, strict=False):
            budgets = [0.0, *(point["budget"] for point in line.attacked)]
            means = [float(line.clean.mean()), *(point["mean"] for point in line.attacked)]
            ax.plot(budgets, means, "o:", color=colour, markersize=4, linewidth=1)
            label = line.label if line.certified is not None else f"{line.label} (attacked only)"
            certified = np.full(len(line.grid), np.nan) if line.certified is None else line.certified
            ax.plot(line.grid, certified, color=colour, label=label)
        ax.set_title(task.title)
        ax.set_xlabel("budget B: total L2 norm of an episode's attack\nlines: certified, dots: attacked")
        ax.set_ylabel("success probability" if task.success else "mean return")
        ax.set_ylim(bottom=0)
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    drawn.savefig(path, dpi=110, bbox_inches="tight")
