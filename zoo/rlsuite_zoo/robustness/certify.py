"""`rlsuite certify RUN`: what return a smoothed policy keeps whatever is done to its observations, and on what terms.

The clean smoothed episodes of a run and a noise are one batch, kept in `RUN/certify/`; certificates are computed from
them, so that another method or other budgets cost no simulation. Attacked episodes are shown next to them on request.
"""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from scipy.stats import binom

from rlsuite.core.statistics import Interval, bootstrap_interval
from rlsuite.smoothing.certificates import Certificate
from rlsuite.smoothing.certify import CERTIFYING_SEED, certify_returns, check_certificate
from rlsuite.smoothing.episodes import smoothed_returns
from rlsuite.smoothing.survival import clopper_pearson_lower
from rlsuite.smoothing.tightness import ActionAttack, ActionAttackConfig, ScoreAttack, ScoreAttackConfig
from rlsuite.smoothing.victims import actions_of, scores_of
from rlsuite_envs.drawing import figure
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.files import write_json, write_text
from rlsuite_zoo.options import CertifyOptions
from rlsuite_zoo.provenance import provenance_of
from rlsuite_zoo.report.curves import COLOURS
from rlsuite_zoo.report.html_page import HtmlPage
from rlsuite_zoo.report.numbers import cell_text, rounded_down
from rlsuite_zoo.runs import kept
from rlsuite_zoo.runs.folder import RunFolder, find_trained
from rlsuite_zoo.runs.models import check_one_objective, load_policy, quiet_mujoco
from rlsuite_zoo.runs.recipe import parse_grid
from rlsuite_zoo.runs.spec import check_jobs

__all__ = ["make_certificates"]

QUICK_EPISODES, QUICK_ATTACKED = 200, 10
ATTACKING_SEED = 7_000_003
"""Added to the seed: the attack plays other episodes than the certificate was computed from."""


@dataclass(frozen=True)
class Played:
    """Episodes of one run under one noise and (budget above 0) one attack; equal fields have equal results."""

    run: str
    sigma: float
    episodes: int
    seed: int
    budget: float = 0.0
    """Total L2 norm of the tightness attack on an episode; 0 for the clean episodes of a certificate."""

    @property
    def path(self) -> Path:
        """File in which the returns are kept."""
        attacked = f"-attacked{self.budget:g}" if self.budget else ""
        return Path(self.run) / "certify" / f"sigma{self.sigma:g}{attacked}.json"

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the model that decides the returns."""
        return kept.plain(asdict(self), "run")

    @property
    def checkpoints(self) -> list[Path]:
        """The model played."""
        return [RunFolder(self.run).last]


def read_cell(cell: Played) -> np.ndarray | None:
    """Returns [N], or None if they were not played, or with other settings."""
    record = kept.read(cell)
    return None if record is None else np.array(record["returns"])


def play_cell(cell: Played) -> None:
    """Play and keep the episodes."""
    key = kept.key_of(cell)  # of the checkpoint that is read now
    folder = RunFolder(cell.run)
    spec, policy = folder.spec(), load_policy(folder, folder.last)
    attack: Any = None
    if cell.budget:
        model: Any = policy
        if isinstance(model.action_space, spaces.Discrete):
            attack = ScoreAttack(
                scores_of(model), ScoreAttackConfig(budget=cell.budget, sigma=cell.sigma, seed=cell.seed)
            )
        else:
            attack = ActionAttack(
                actions_of(model), ActionAttackConfig(budget=cell.budget, sigma=cell.sigma, seed=cell.seed)
            )
    quiet_mujoco(spec.env)
    found = smoothed_returns(
        policy,
        spec.env,
        sigma=cell.sigma,
        episodes=cell.episodes,
        seed=cell.seed,
        attack=attack,
        env_kwargs=dict(spec.env_kwargs),
    )
    kept.write(cell, key, {"returns": found.returns.tolist()})


def make_certificates(options: CertifyOptions) -> None:
    """Play what is missing, then write `certify.html`, `.json`, `.csv` and `.png`.

    Raises:
        UsageError: bad options, too few episodes for the level, no run, or nothing to report.
        Interrupted: stopped by the user.
    """
    check_jobs(options.jobs)
    if options.attacked < 0:
        raise UsageError(f"--attacked is {options.attacked}; it must be at least 0")
    noises, grid = parse_grid(options.sigma, "--sigma"), parse_grid(options.budgets, "--budgets")
    episodes = min(options.episodes, QUICK_EPISODES) if options.quick else options.episodes
    attacked = min(options.attacked, QUICK_ATTACKED) if options.quick else options.attacked
    try:
        for noise in noises:
            check_certificate(options.method, grid, noise, episodes=episodes, alpha=options.alpha, **options.of_method)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error
    folders = find_trained([options.run])
    check_one_objective(folders, "certify")
    cells = _cells(folders, noises, grid, episodes, attacked, options.seed)
    if not options.report_only:
        kept.play_missing(cells, play_cell, jobs=options.jobs, name=lambda cell: cell.path.stem, what="batches")
    played = {cell: returns for cell in cells if (returns := read_cell(cell)) is not None}
    lines = []
    for cell, returns in played.items():
        if cell.budget:
            continue
        try:
            found = certify_returns(
                returns, options.method, grid, cell.sigma, alpha=options.alpha, above=options.above, **options.of_method
            )
        except ValueError as error:
            raise UsageError(f"{cell.path}: {error}") from error
        hurt = {c.budget: r for c, r in played.items() if (c.run, c.sigma) == (cell.run, cell.sigma) and c.budget}
        lines.append((cell, found, _scores(hurt, options.method, options.above, options.q or 0.5)))
    if not lines:
        raise UsageError(f"nothing was played for {options.run}; leave --report-only out")
    _write(lines, Path(options.out) if options.out else Path(options.run) / "certify")


def _cells(
    folders: list[RunFolder], noises: list[float], grid: list[float], episodes: int, attacked: int, seed: int
) -> list[Played]:
    """Every batch that is wanted, after a look at the runs."""
    cells = []
    for folder in folders:
        _check_attackable(folder, attacked)
        for noise in noises:
            cells.append(Played(str(folder.path), noise, episodes, seed + CERTIFYING_SEED))
            if attacked:
                own = seed + ATTACKING_SEED
                cells += [Played(str(folder.path), noise, attacked, own, b) for b in grid if b > 0]
    return cells


def _check_attackable(folder: RunFolder, attacked: int) -> None:
    """Raise unless the attack has what it needs, before anything is played."""
    if not attacked:
        return
    model: Any = load_policy(folder, folder.last)
    try:
        (scores_of if isinstance(model.action_space, spaces.Discrete) else actions_of)(model)
    except TypeError as error:
        raise UsageError(f"{folder.path}: {error} --attacked 0 certifies without attacking") from error


def _scores(hurt: dict[float, np.ndarray], method: str, above: float, q: float) -> dict[float, Interval]:
    """The certified quantity measured under attack, with 95 % intervals over episodes, by budget."""
    return {budget: _score(returns, method, above, q) for budget, returns in sorted(hurt.items())}


def _score(returns: np.ndarray, method: str, above: float, q: float) -> Interval:
    """Success probability (Clopper-Pearson), quantile (order statistics) or mean (bootstrap) of returns [N]."""
    n = len(returns)
    if method == "success":
        k = int((returns > above).sum())
        low, high = (float(clopper_pearson_lower(count, n, 0.025)) for count in (k, n - k))
        return Interval(k / n, low, 1 - high, n)
    if method != "percentile":
        return bootstrap_interval(returns)
    order = np.sort(returns)
    first, last = binom.ppf([0.025, 0.975], n, q).astype(int)
    middle = float(np.quantile(order, q, method="inverted_cdf"))
    return Interval(middle, float(order[max(first - 1, 0)]), float(order[min(last, n - 1)]), n)


def _below(found: Interval, certified: float) -> bool:
    """Whether an attacked score lies below a certificate; the interval of equal returns, a point, says nothing."""
    return found.low < found.high < certified


def _bound(value: float, found: Certificate) -> str:
    """A certified bound as text that promises no more than it."""
    return rounded_down(value, 1 if np.abs(found.value[np.isfinite(found.value)]).max(initial=0) >= 10 else 3)


Line = tuple[Played, Certificate, dict[float, Interval]]


def _write(lines: list[Line], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    first = lines[0][1]
    settings = {
        "runs": ", ".join(dict.fromkeys(cell.run for cell, _, _ in lines)),
        "certificate": f"{first.method}: {first.quantity}",
        "failure probability": f"alpha = {first.alpha:g} for each run and noise",
        "episodes": f"N = {first.episodes:,} clean smoothed episodes for each, played as one batch",
        **provenance_of(),
    }
    write_json(
        out / "certify.json",
        {"settings": settings, "certificates": [_record(line) for line in lines]},
    )
    write_text(out / "certify.csv", _csv(lines))
    _draw(lines, out / "certify.png")
    page = HtmlPage("What is certain under attack")
    page.paragraph(
        f"Certified lower bound of the {first.quantity} of policies that act on noisy observations, for every "
        "adversary whose changes over an episode have total L2 norm at most the budget (observation units). Attacked "
        "returns, where they were played, are those of the paper's adaptive attack (of one of ours, where actions are "
        "continuous) with 95 % intervals over episodes."
    )
    grid = [f"B {b:g}" for b in first.budget]
    rows = []
    for cell, found, hurt in lines:
        name = f"{Path(cell.run).name}, sigma {cell.sigma:g}"
        rows.append([f"{name}: certified", f"{found.clean:,.4g}", *(_bound(float(v), found) for v in found.value)])
        if hurt:
            rows.append([f"{name}: attacked", "", *(cell_text(hurt.get(float(b))) for b in found.budget)])
    page.table(["", "clean estimate", *grid], rows)
    page.picture(out / "certify.png", "certified lower bounds (lines) and attacked returns (points)")
    page.heading("Assumptions")
    for text in first.assumptions:
        page.paragraph(text)
    page.heading("Settings")
    page.settings(settings)
    page.write(out / "certify.html")
    broken = [
        f"{Path(cell.run).name}, sigma {cell.sigma:g}, B {b:g}"
        for cell, found, hurt in lines
        for b, v in zip(found.budget, found.value, strict=True)
        if float(b) in hurt and _below(hurt[float(b)], float(v))
    ]
    note = f"; attacked below its certificate: {'; '.join(broken)}" if broken else ""
    print(f"wrote {out / 'certify.html'}{note}")


def _record(line: Line) -> dict[str, Any]:
    cell, found, hurt = line
    attacked = {f"{b:g}": {"estimate": v.estimate, "low": v.low, "high": v.high, "n": v.n} for b, v in hurt.items()}
    return {"run": cell.run, **found.to_dict(), "attacked": attacked}


def _csv(lines: list[Line]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", "sigma", "budget", "certified", "attacked", "episodes", "alpha", "method"])
    for cell, found, hurt in lines:
        for budget, value in zip(found.budget, found.value, strict=True):
            under = f"{hurt[float(budget)].estimate:.4f}" if float(budget) in hurt else ""
            row = [cell.run, f"{cell.sigma:g}", f"{budget:g}", rounded_down(value, 4).replace(",", ""), under]
            writer.writerow([*row, found.episodes, found.alpha, found.method])
    return text.getvalue()


def _draw(lines: list[Line], path: Path) -> None:
    picture, axes = figure(1, 1, width=7.5, height=4.6)
    ax = axes[0, 0]
    for i, (cell, found, hurt) in enumerate(lines):
        colour = COLOURS[i % len(COLOURS)]
        finite = np.isfinite(found.value)
        label = f"{Path(cell.run).name}, sigma {cell.sigma:g}"
        ax.plot(found.budget[finite], found.value[finite], color=colour, label=label)
        ax.plot([0], [found.clean], "x", color=colour)
        for budget, v in hurt.items():
            spread = [[v.estimate - v.low], [v.high - v.estimate]]
            ax.errorbar([budget], [v.estimate], yerr=spread, fmt="o", ms=4, color=colour, capsize=2)
    ax.set_xlabel("budget B: total L2 norm of an episode's attack, observation units")
    ax.set_ylabel(lines[0][1].quantity)
    ax.legend(fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    picture.savefig(path, dpi=140)
