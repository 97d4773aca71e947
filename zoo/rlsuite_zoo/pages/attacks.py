"""`rlsuite results attacks`: naturally and robustly trained PPO under every attack, beside the published rows.

The suite `attacks` trains the victims; the cells are those of `rlsuite attack`, kept in each run's folder.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rlsuite.core.statistics import bootstrap_interval
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.files import read_csv, write_text
from rlsuite_zoo.options import PageOptions
from rlsuite_zoo.pages.suite_page import Trained, trained_suite, write_page
from rlsuite_zoo.report.differences import paired
from rlsuite_zoo.report.numbers import cell_text
from rlsuite_zoo.robustness.attack import play_cells
from rlsuite_zoo.robustness.attack_cells import CLEAN, OF_SETS, AttackCell, cells_of
from rlsuite_zoo.robustness.benchmark import (
    STANDARD_EPS,
    Victim,
    csv_of,
    draw_shares,
    played_attacks,
    victim_of,
)

__all__ = ["make_results"]

PLAYED = "all"
"""Attacks, as `rlsuite attack --attacks` names them."""
EPISODES, EFFORT = 20, 0.4
"""Episodes per victim and attack; factor on the default training of attacks that learn (200,000 steps)."""
ORDER = (("random", "pgd"), ("pgd", "sa-rl"), ("pgd", "pa-ad"), ("random", "sa-rl"), ("random", "pa-ad"))
"""Pairs of attacks of which the second should leave less."""


def make_results(options: PageOptions) -> None:
    """Train and attack what is missing, then write `<out>/attacks.md`, `.csv` and pictures.

    With `keep`, rows of the former tables whose run is not in `runs` stay.

    Raises:
        UsageError: bad options, or nothing to report. RunFailed: some runs failed. Interrupted: stopped by the user.
    """
    found = trained_suite("attacks", options)
    wanted = {
        (env, entry): [cell for folder in folders for cell in _cells(str(folder.path), env)]
        for (env, entry), folders in found.cells.items()
        if folders
    }
    if not options.report_only:
        every = [cell for cells in wanted.values() for cell in cells]
        play_cells(every, options.jobs)
    victims = [victim_of(name, env, STANDARD_EPS[env], cells) for (env, name), cells in wanted.items()]
    victims = [victim for victim in victims if victim.returns]
    if not victims:
        raise UsageError("nothing was attacked; leave --report-only out")
    _write(found, victims, Path(options.out), options.keep)
    if found.failure is not None:
        raise found.failure


def _cells(run: str, env: str) -> list[AttackCell]:
    """A run without and under every attack it can suffer."""
    common: dict[str, Any] = {
        "norm": "linf",
        "unit": "auto",
        "episodes": EPISODES,
        "seed": 0,
        "effort": EFFORT,
    }
    return cells_of(run, PLAYED, (STANDARD_EPS[env],), **common)


def _write(found: Trained, victims: list[Victim], out: Path, keep: bool) -> None:
    out.mkdir(parents=True, exist_ok=True)
    cells = csv_of(victims).replace(f"{found.root}/", "")  # no path of this machine
    if keep:
        lines = _kept_lines(out / "attacks-cells.csv", cells)
        victims = _joined(found, victims, lines)
        cells += "".join(f"{','.join(line)}\n" for line in lines)
    attacks = played_attacks(victims)
    more = [
        "## Under attack",
        f"Mean return over {EPISODES} episodes a victim, the same for all attacks, the victim acting by its mode; 95 % "
        "bootstrap intervals over victims (in brackets their number; over episodes where it is 1). One setting of each "
        f"attack; those that learn (sa-rl, pa-ad) have had {EFFORT * 500_000:,.0f} steps per victim where the papers "
        "take the strongest of a grid of up to 216 settings and a million steps each. Attacks on actions move them by "
        "eps half ranges (blend and swap: a share or a probability of eps). *Strongest* is the mean over victims of "
        f"the least any attack on observations leaves, chosen by these episodes. {OF_SETS} Plain columns are "
        "published: medians over 21 or more agents, by robustness.",
    ]
    for env in found.environments:
        mine = [victim for victim in victims if victim.env == env]
        if mine:
            rows = found.suite.published.get(env, [])
            more += [f"### {env}, eps {STANDARD_EPS[env]:g}", _table(mine, attacks, rows)]
    draw_shares(victims, attacks, out / "attacks-left.png")
    more += ["![return under each attack, coloured by the share of the natural return](attacks-left.png)"]
    more += ["## Stronger attacks leave less", *_order(victims)]
    write_page(found, out, more, keep=keep, findings=_findings(victims))
    write_text(out / "attacks-cells.csv", cells)


def _findings(victims: list[Victim]) -> list[str]:
    """Share of the natural return that the strongest attack leaves, by environment, most first."""
    lines = []
    for env in dict.fromkeys(victim.env for victim in victims):
        left = {}
        for victim in victims:
            natural, least = victim.interval(CLEAN), [value for value, _ in victim.strongest().values()]
            if victim.env == env and natural is not None and least:
                left[victim.name] = float(np.mean(least)), natural.estimate
        order = sorted(left, key=lambda name: -left[name][0])
        words = [f"{name} {left[name][0]:,.0f} of {left[name][1]:,.0f}" for name in order]
        lines.append(f"{env}: the strongest attack on observations leaves {', '.join(words)}.")
    return lines


def _kept_lines(path: Path, cells: str) -> list[list[str]]:
    """Lines of the table at `path` whose run is not in `cells`."""
    here = {line["run"] for line in csv.DictReader(cells.splitlines())}
    budgets = {f"{eps:g}" for eps in STANDARD_EPS.values()} | {"0"}
    gone = [line for line in read_csv(path) if line["run"] not in here]
    return [list(line.values()) for line in gone if line["eps"] in budgets]


def _joined(found: Trained, victims: list[Victim], lines: list[list[str]]) -> list[Victim]:
    """The victims, with the mean returns in `lines` as further runs, in the order of the suite."""
    by_name = {(victim.env, victim.name): victim for victim in victims}
    joined = []
    for env in found.environments:
        for entry in found.suite.entries:
            mine = by_name.get((env, entry.name), Victim(entry.name, env, STANDARD_EPS[env], [], {}))
            returns = {(run.removeprefix(f"{found.root}/"), attack): r for (run, attack), r in mine.returns.items()}
            for name, task, run, attack, _, mean, *_ in lines:
                if (task, name) == (env, entry.name):
                    returns[run, attack] = np.array([float(mean)])
            if returns:
                returns = dict(sorted(returns.items(), key=lambda item: item[0][0]))  # by run, attacks as they were
                runs = list(dict.fromkeys(run for run, _ in returns))
                joined.append(replace(mine, runs=runs, returns=returns))
    return joined


def _table(victims: list[Victim], attacks: list[str], published: list[dict[str, str]]) -> str:
    names = [f"**{victim.name}**" for victim in victims] + [row["what"] for row in published]
    lines = [f"| | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
    for attack in (CLEAN, *attacks):
        cells = []
        for victim in victims:
            interval = victim.interval(attack)
            n = sum((run, attack) in victim.returns for run in victim.runs)
            cells.append(f"{cell_text(interval)} ({n})" if interval else "–")
        cells += [row.get("value" if attack == CLEAN else attack, "") for row in published]
        lines.append(f"| {'natural' if attack == CLEAN else attack} | {' | '.join(cells)} |")
    least = [[value for value, _ in victim.strongest().values()] for victim in victims]
    cells = [cell_text(bootstrap_interval(values)) if values else "–" for values in least]
    cells += [row.get("strongest", "") for row in published]
    lines.append(f"| *strongest* | {' | '.join(cells)} |")
    who = [[attack for _, attack in victim.strongest().values()] for victim in victims]
    cells = [max(dict.fromkeys(names), key=names.count) if names else "–" for names in who]
    cells += ["" for _ in published]
    return "\n".join([*lines, f"| *mostly by* | {' | '.join(cells)} |"])


def _order(victims: list[Victim]) -> list[str]:
    lines = ["| | environment | " + " | ".join(f"{a} minus {b}" for a, b in ORDER) + " |"]
    lines.append("|---|---|" + "---|" * len(ORDER))
    for victim in victims:
        means: Mapping[tuple[str, str], float] = {key: float(r.mean()) for key, r in victim.returns.items()}
        cells = []
        for weak, strong in ORDER:
            gaps = [
                means[run, weak] - means[run, strong]
                for run in victim.runs
                if (run, weak) in means and (run, strong) in means
            ]
            difference, verdict = paired(np.array(gaps))
            words = {"ahead": "in order", "behind": "out of order"}
            cells.append("–" if difference == "–" else f"{difference}: {words.get(verdict, verdict)}")
        lines.append(f"| {victim.name} | {victim.env} | {' | '.join(cells)} |")
    return [
        "Return under the first attack minus return under the second, paired over victims, with Student's 95 % "
        "interval: above 0 where the second is the stronger one, as it should be.",
        "\n".join(lines),
    ]
