"""What `rlsuite front` prints and writes: tables, a page that needs no network, CSV, JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from rlsuite_zoo.files import write_json, write_text
from rlsuite_zoo.multi_objective.comparison import MEASURED, SELECTED, Comparison, Row, number, over_seeds, told
from rlsuite_zoo.multi_objective.pictures import draw
from rlsuite_zoo.multi_objective.sets import TrainedSet
from rlsuite_zoo.provenance import provenance_of
from rlsuite_zoo.report.html_page import HtmlPage
from rlsuite_zoo.report.numbers import numbers_of
from rlsuite_zoo.runs.display import out_console
from rlsuite_zoo.runs.spec import safe_name

__all__ = ["csv_text", "print_comparison", "write"]

MOST_ROWS = 200
"""Most policies that the page lists."""


Sheet = tuple[list[str], list[list[str]]]
"""Header and rows of a table."""


def indicator_tables(comparison: Comparison) -> list[Sheet]:
    """Indicators by row: of one group fresh and as selected side by side; of several groups, a table of each kind."""
    groups = list(dict.fromkeys(row.group for row in comparison.rows))
    if len(groups) == 1:
        return [_indicators(comparison, groups[0], {row.kind: row for row in comparison.rows})]
    found = []
    for kind in comparison.kinds:
        columns = {row.group: row for row in comparison.rows if row.kind == kind}
        found.append(_indicators(comparison, kind, columns))
    return found


def _indicators(comparison: Comparison, title: str, columns: dict[str, Row]) -> Sheet:
    rows = [["seeds", *(str(len(row.sets)) for row in columns.values())]]
    rows.append(["policies", *(_count([len(one.selected) for one in row.sets]) for row in columns.values())])
    not_dominated = [_count([x.cardinality for x in row.found]) for row in columns.values()]
    rows.append(["not dominated", *not_dominated])
    for field, name in comparison.columns.items():
        rows.append([name, *(told(row.interval(field)) for row in columns.values())])
        if field == "hypervolume":
            rows[-1][1:] = [f"{cell} {row.volumes}" for cell, row in zip(rows[-1][1:], columns.values(), strict=True)]
    return [title, *columns], rows


def _count(values: Sequence[int]) -> str:
    mean = over_seeds(values)
    return f"{mean.estimate:g}" if mean.low == mean.high else f"{mean.estimate:.1f} [{mean.low:.1f}, {mean.high:.1f}]"


def player_table(comparison: Comparison) -> Sheet:
    """Header and rows of the table of who plays for the weights, and what it gets."""
    several = len({one.group for one in comparison.sets}) > 1
    header = ["run", "policy", "utility", *comparison.names, *(f"{name}, undiscounted" for name in comparison.names)]
    rows = []
    for player in comparison.players:
        run = str(player.of.folder.path) if several else f"seed {player.of.spec.seed}"
        rows.append(
            [
                run,
                str(player.policy),
                told(player.utility),
                *(told(x) for x in player.objectives),
                *(number(x) for x in player.undiscounted),
            ]
        )
    groups: dict[str, list[int]] = {}
    for i, player in enumerate(comparison.players):
        groups.setdefault(player.of.group, []).append(i)
    for group, members in groups.items():
        if len(members) > 1:
            mine = [comparison.players[i] for i in members]
            utility = over_seeds([p.utility.estimate for p in mine])
            parts = [over_seeds([p.objectives[k].estimate for p in mine]) for k in range(len(comparison.names))]
            raw = [over_seeds([p.undiscounted[k] for p in mine]) for k in range(len(comparison.names))]
            rows.append([f"{group}, mean of {len(mine)} seeds", "", *map(told, (utility, *parts, *raw))])
    if len(comparison.names) > 3:
        header, *rows = [list(column) for column in zip(header, *rows, strict=True)]
    return header, rows


def print_comparison(comparison: Comparison) -> None:
    """The tables, and what their numbers depend on."""
    console = out_console()
    console.print(f"{comparison.env}: {', '.join(comparison.names)}", highlight=False, markup=False)
    for table in indicator_tables(comparison):
        _print_table(*table)
    for line in _explained(comparison):
        console.print(f"  {line}", highlight=False, markup=False, style="dim")
    if comparison.players:
        given = ", ".join(f"{w:g}" for w in comparison.weights)
        console.print(f"for weights {given} plays", highlight=False, markup=False)
        _print_table(*player_table(comparison))
        console.print(f"  {_player_note(comparison)}", highlight=False, markup=False, style="dim")
    if len(comparison.sets) == 1:
        for note in comparison.notes:
            console.print(f"note: {note}", highlight=False, markup=False)


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False)
    for i, column in enumerate(header):
        widest = max(len(row[i]) for row in rows)  # names above may be broken, numbers may not
        table.add_column(column.replace("[", r"\["), justify="right" if i else "left", min_width=widest)
    for row in rows:
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    out_console().print(table)


def _explained(comparison: Comparison) -> list[str]:
    """What the indicators depend on, line by line."""
    lines = []
    for kind in comparison.kinds:
        what = (
            "fresh episodes, which selected nobody" if kind == MEASURED else "the episodes that selected the policies"
        )
        lines += [f"{kind}: {what}; {text}" for text in comparison.conditions(kind)]
    if any(len(row.sets) > 1 for row in comparison.rows):
        lines.append("several seeds: their mean and Student's 95 % interval")
    return lines + comparison.terms


def _player_note(comparison: Comparison) -> str:
    gamma = f"mean returns discounted by {comparison.gamma:g}"
    if comparison.players[0].kind == MEASURED:
        return f"{gamma}, on fresh episodes, with 95 % bootstrap intervals over episodes (of several seeds: Student's)"
    return f"{gamma}, of the episodes that selected the policies, which flatter"


def csv_text(comparisons: Sequence[Comparison]) -> str:
    """One line a policy."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    count = max(len(comparison.names) for comparison in comparisons)
    same = len({comparison.names for comparison in comparisons}) == 1
    names = comparisons[0].names if same else tuple(f"objective {k}" for k in range(count))
    kinds = ("discounted", "undiscounted", "spread", "selected")
    header = ["run", "env", "seed", "policy", "stage", "parent", "goal", "not_dominated", "episodes"]
    writer.writerow(header + [f"{name} {kind}" for kind in kinds for name in names])
    for comparison in comparisons:
        for one in comparison.sets:
            writer.writerows(_lines(comparison, one, count))
    return text.getvalue()


def _lines(comparison: Comparison, one: TrainedSet, count: int) -> list[list[Any]]:
    fresh = comparison.returns.get(str(one.folder.path))
    points = comparison.points(one)
    undiscounted = one.selected_undiscounted if fresh is None else fresh.undiscounted.mean(1)
    spread = one.selected_spread if fresh is None else fresh.discounted.std(1)
    episodes = one.episodes if fresh is None else fresh.discounted.shape[1]
    front = set(comparison.front(one).tolist())
    lines = []
    for i, (policy, stage, parent, goal) in enumerate(one.origin.tolist()):
        about = [one.folder.path, one.spec.env, one.spec.seed, policy, stage]
        about += ["" if parent < 0 else parent, "" if goal < 0 else comparison.names[goal], int(i in front), episodes]
        numbers: list[Any] = []
        for values in (points, undiscounted, spread, one.selected):
            numbers += [float(x) for x in values[i]] + [""] * (count - len(comparison.names))
        lines.append(about + numbers)
    return lines


def write(comparisons: Sequence[Comparison], out: Path) -> Path:
    """Write front.html, front.csv, front.json, and a picture for each environment; returns the page's path."""
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "front.csv", csv_text(comparisons))
    settings = provenance_of()
    write_json(out / "front.json", {"settings": settings, "environments": [_json(c) for c in comparisons]})
    pictures = []
    for i, comparison in enumerate(comparisons):
        suffix = "" if len(comparisons) == 1 else f"-{i + 1}-{safe_name(comparison.env)}"
        pictures.append(out / f"front{suffix}.png")
        draw(comparison, pictures[-1])
    page = HtmlPage("Fronts: " + ", ".join(dict.fromkeys(comparison.env for comparison in comparisons)))
    page.paragraph(
        "A policy is a compromise between objectives, all of which are to be large; the front of a set is made of its "
        "policies that no other one beats in every objective. Policies that were selected for their returns in a few "
        "episodes were lucky there: what they return in other episodes is what counts."
    )
    for comparison, picture in zip(comparisons, pictures, strict=True):
        _section(page, comparison, picture)
    page.heading("Settings")
    page.settings(settings)
    page.write(out / "front.html")
    return out / "front.html"


def _section(page: HtmlPage, comparison: Comparison, picture: Path) -> None:
    page.heading(comparison.env)
    for line in _luck(comparison):
        page.paragraph(line)
    for table in indicator_tables(comparison):
        page.table(*table)
    page.items(_explained(comparison))
    page.picture(picture, f"the front in {', '.join(comparison.names)}")
    if comparison.players:
        page.heading(f"Who plays for weights {', '.join(f'{w:g}' for w in comparison.weights)}")
        page.table(*player_table(comparison))
        page.paragraph(_player_note(comparison))
    for one in comparison.sets if len(comparison.sets) <= 3 else ():
        page.heading(f"Policies of {one.folder.path}")
        page.paragraph(
            f"{one.steps:,} environment steps of training and {one.measuring_steps:,} of measuring while it trained."
        )
        page.table(*_policy_table(comparison, one))
    if comparison.notes:
        page.heading("Notes")
        page.items(comparison.notes)


def _luck(comparison: Comparison) -> list[str]:
    """One finding for each group: how much larger the hypervolume was as selected."""
    found = []
    rows = {(row.group, row.kind): row for row in comparison.rows}
    for group in dict.fromkeys(row.group for row in comparison.rows):
        fresh, old = rows.get((group, MEASURED)), rows.get((group, SELECTED))
        if fresh is None or old is None:
            continue
        values = [over_seeds([x.hypervolume for x in row.found]).estimate for row in (fresh, old)]
        if values[0] > 0:
            change = values[1] / values[0] - 1
            found.append(
                f"{group}: hypervolume {number(values[0])} on fresh episodes; by the episodes that selected the "
                f"policies it was {number(values[1])} ({change:+.1%})."
            )
    return found


def _policy_table(comparison: Comparison, one: TrainedSet) -> Sheet:
    fresh = comparison.returns.get(str(one.folder.path))
    points = comparison.points(one)
    undiscounted = one.selected_undiscounted if fresh is None else fresh.undiscounted.mean(1)
    names = comparison.names
    header = ["policy", *names, *(f"{name}, undiscounted" for name in names)]
    if fresh is not None:
        header += [f"{name}, as selected" for name in names]
    header += ["stage", "parent", "goal", "dominated"]
    front = set(comparison.front(one).tolist())
    rows = []
    for i in sorted(range(len(points)), key=lambda k: -points[k, 0])[:MOST_ROWS]:
        policy, stage, parent, goal = one.origin[i].tolist()
        cells = [str(policy), *(number(x) for x in (*points[i], *undiscounted[i]))]
        if fresh is not None:
            cells += [number(x) for x in one.selected[i]]
        goal_name = "" if goal < 0 else names[goal]
        cells += [str(stage), "" if parent < 0 else str(parent), goal_name, "" if i in front else "yes"]
        rows.append(cells)
    return header, rows


def _json(comparison: Comparison) -> dict[str, Any]:
    """All numbers of a comparison, for other programs."""
    groups: dict[str, Any] = {}
    for row in comparison.rows:
        fields = {name: numbers_of(row.interval(name)) for name in ("cardinality", *comparison.columns)}
        groups.setdefault(row.group, {})[row.kind] = fields
    runs: dict[str, Any] = {}
    for row in comparison.rows:
        for one, indicators in zip(row.sets, row.found, strict=True):
            about = runs.setdefault(
                str(one.folder.path),
                {
                    "group": row.group,
                    "seed": one.spec.seed,
                    "policies": len(one.selected),
                    "steps": one.steps,
                    "measuring_steps": one.measuring_steps,
                },
            )
            about[row.kind] = indicators.as_dict()
    for player in comparison.players:
        runs[str(player.of.folder.path)]["for_weights"] = {
            "weights": list(comparison.weights),
            "policy": player.policy,
            "returns": player.kind,
            "utility": numbers_of(player.utility),
            "objectives": [numbers_of(interval) for interval in player.objectives],
            "undiscounted": list(player.undiscounted),
        }
    return {
        "env": comparison.env,
        "objectives": list(comparison.names),
        "gamma": comparison.gamma,
        "reference": comparison.reference.tolist(),
        "reference_of": comparison.reference_of,
        "true_front": None if comparison.true is None else comparison.true.tolist(),
        "groups": groups,
        "runs": runs,
        "notes": list(comparison.notes),
    }
