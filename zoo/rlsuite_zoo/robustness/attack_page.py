"""What `rlsuite attack` writes: one HTML page that needs no network, its numbers as CSV and JSON, and its picture."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from matplotlib.axes import Axes

from rlsuite.adversarial.attacks.catalogue import ATTACKS
from rlsuite_envs.drawing import figure
from rlsuite_zoo.files import write_json, write_text
from rlsuite_zoo.provenance import provenance_of
from rlsuite_zoo.report.curves import COLOURS, STYLES
from rlsuite_zoo.report.html_page import HtmlPage
from rlsuite_zoo.report.numbers import cell_text, numbers_of
from rlsuite_zoo.robustness.attack_outcome import Outcome
from rlsuite_zoo.runs.display import out_console

__all__ = ["write"]


def write(outcome: Outcome, out: Path) -> None:
    """Write attacks.html, attacks.json, attacks.csv and attacks.png."""
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "attacks.csv", _csv(outcome))
    _draw(outcome, out / "attacks.png")
    settings = {**outcome.settings, **provenance_of()}
    table = {
        attack: {f"{eps:g}": numbers_of(outcome.interval(attack, eps)) for eps in (0.0, *outcome.eps)}
        for attack in outcome.attacks
    }
    write_json(out / "attacks.json", {"settings": settings, "returns": table})
    _page(outcome, settings, out)
    worst = outcome.strongest(outcome.eps[-1]) if outcome.eps else None
    text = f"; at eps {outcome.eps[-1]:g} the strongest attack, {worst[1]}, leaves {worst[0]}" if worst else ""
    out_console().print(f"wrote {out / 'attacks.html'}{text}")


def _page(outcome: Outcome, settings: dict[str, str], out: Path) -> None:
    specs = [run.spec() for run in outcome.runs]
    names = " and ".join(dict.fromkeys(f"{spec.group} on {spec.env}" for spec in specs))
    page = HtmlPage(f"Under attack: {names}")
    over = "episodes" if len(outcome.runs) == 1 else f"{len(outcome.runs)} runs"
    page.paragraph(
        f"Mean undiscounted return and its 95 % bootstrap interval over {over}. An attack changes what the policy sees "
        "(or, below, does) by at most eps at each step; state and reward of the environment are its own. The strongest "
        "row takes for each run the attack that hurt it most, chosen on the same episodes: with few of them it is a "
        "little too low."
    )
    header = ["attack", *(f"eps {eps:g}" for eps in (0.0, *outcome.eps)), "what it is"]
    for on_actions, title in ((False, "Attacks on observations"), (True, "Attacks on actions")):
        mine = [name for name in outcome.attacks if ATTACKS[name].on_actions == on_actions]
        if not mine:
            continue
        page.heading(title)
        rows = [
            [
                name,
                *(cell_text(outcome.interval(name, eps)) for eps in (0.0, *outcome.eps)),
                ATTACKS[name].what,
            ]
            for name in mine
        ]
        if not on_actions and outcome.eps:
            found = [outcome.strongest(eps) for eps in outcome.eps]
            least = ["–" if pair is None else cell_text(pair[0]) for pair in found]
            who = ", ".join(dict.fromkeys(pair[1] for pair in found if pair is not None))
            rows.append(["strongest", rows[0][1], *least, who])
        page.table(header, rows, strong=() if on_actions else (len(rows) - 1,))
    page.picture(out / "attacks.png", "mean return against the attack's budget, with 95 % intervals")
    page.heading("Settings")
    page.settings(settings)
    page.write(out / "attacks.html")


def _csv(outcome: Outcome) -> str:
    """One line an episode-mean: run, attack, eps, mean, episodes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", "attack", "eps", "mean_return", "least", "greatest", "episodes"])
    for run in outcome.runs:
        for attack in outcome.attacks:
            for eps in (0.0, *outcome.eps):
                values = outcome.at(str(run.path), attack, eps)
                if values is not None:
                    numbers = (values.mean(), values.min(), values.max())
                    row = [f"{x:.4f}" for x in numbers]
                    writer.writerow([run.path, attack, f"{eps:g}", *row, len(values)])
    return text.getvalue()


def _draw(outcome: Outcome, path: Path) -> None:
    """Return against eps, one line an attack."""
    halves = [
        [name for name in outcome.attacks if ATTACKS[name].on_actions == on_actions] for on_actions in (False, True)
    ]
    halves = [half for half in halves if half]
    picture, axes = figure(1, len(halves), width=6.5 * len(halves), height=4.2)
    for ax, half in zip(axes[0], halves, strict=True):
        for i, name in enumerate(half):
            _line(ax, outcome, name, i)
        ax.set_xlabel("eps: half ranges, share or probability" if ATTACKS[half[0]].on_actions else "eps")
        ax.set_title("on actions" if ATTACKS[half[0]].on_actions else "on observations", loc="left")
        ax.legend(fontsize=7, ncols=2)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("return")
    picture.savefig(path, dpi=140)


def _line(ax: Axes, outcome: Outcome, name: str, i: int) -> None:
    points = [(eps, found) for eps in (0.0, *outcome.eps) if (found := outcome.interval(name, eps)) is not None]
    x = [eps for eps, _ in points]
    colour, style = COLOURS[i % len(COLOURS)], STYLES[i // len(COLOURS) % len(STYLES)]
    ax.plot(x, [p.estimate for _, p in points], style, color=colour, marker="o", ms=3, label=name)
    ax.fill_between(x, [p.low for _, p in points], [p.high for _, p in points], color=colour, alpha=0.12, lw=0)
