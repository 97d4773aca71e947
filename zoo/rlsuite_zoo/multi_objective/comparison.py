"""Sets of policies on one environment side by side: their indicators, each with what it depends on.

Runs that differ in their seed alone are one group, with a mean and Student's 95 % interval over them; runs that differ
in anything else never share a number. Letters: C policies of a set, K objectives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlsuite.core.statistics import Interval, bootstrap_interval
from rlsuite.multi_objective import Indicators, front_indicators, hypervolume, nadir_reference, nondominated
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.multi_objective.sets import PolicyReturns, TrainedSet
from rlsuite_zoo.report.differences import student

__all__ = ["MEASURED", "SELECTED", "Comparison", "Player", "Row", "compare", "number", "over_seeds", "told"]

MEASURED, SELECTED = "measured", "as selected"
COLUMNS = {
    "hypervolume": "hypervolume",
    "expected_utility": "expected utility",
    "sparsity": "sparsity",
    "igd_plus": "IGD+",
    "r2": "R2",
    "maximum_utility_loss": "max. utility loss",
}
"""Fields of `Indicators` that are compared, and their headings."""


@dataclass(frozen=True)
class Row:
    """The numbers of one group of runs, from fresh episodes or from those that selected the policies."""

    group: str
    kind: str
    """MEASURED or SELECTED."""
    sets: tuple[TrainedSet, ...]
    found: tuple[Indicators, ...]
    """Of each set."""

    def interval(self, field: str) -> Interval | None:
        """Mean of an indicator over the runs; None where there is no such indicator."""
        values = [getattr(indicators, field) for indicators in self.found]
        return None if None in values else over_seeds(values)

    @property
    def volumes(self) -> str:
        """How the hypervolumes were found: "exact", "approximate", or how many are that."""
        kinds = [indicators.hypervolume_kind for indicators in self.found]
        rough = kinds.count("approximate")
        if 0 < rough < len(kinds):
            return f"{rough} of {len(kinds)} approximate"
        return kinds[0]


@dataclass(frozen=True)
class Player:
    """The policy of a set that plays for some weights, and what it gets."""

    of: TrainedSet
    index: int
    """Among the C policies of the set."""
    kind: str
    """MEASURED or SELECTED."""
    objectives: tuple[Interval, ...]
    """Mean discounted returns, with 95 % bootstrap intervals over episodes where these were measured."""
    undiscounted: tuple[float, ...]
    """And undiscounted ones."""
    utility: Interval
    """Weights times discounted returns."""

    @property
    def policy(self) -> int:
        """Number of the policy in its run."""
        return int(self.of.origin[self.index, 0])


@dataclass(frozen=True)
class Comparison:
    """All sets on one environment, with the same objectives."""

    env: str
    names: tuple[str, ...]
    """Of the K objectives."""
    sets: tuple[TrainedSet, ...]
    returns: dict[str, PolicyReturns]
    """Fresh returns by the run's path; empty if the policies were not played again."""
    gamma: float
    """Discount of all points."""
    reference: np.ndarray
    """Reference point [K] of all hypervolumes."""
    reference_of: str
    """Where it comes from, in words."""
    true: np.ndarray | None
    """The exact Pareto front [n, K], or None."""
    rows: tuple[Row, ...]
    players: tuple[Player, ...] = ()
    weights: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()

    def points(self, one: TrainedSet) -> np.ndarray:
        """The set's points [C, K]: fresh, or as selected."""
        fresh = self.returns.get(str(one.folder.path))
        return one.selected if fresh is None else fresh.points

    def front(self, one: TrainedSet) -> np.ndarray:
        """Indices of the set's policies that no other one of it dominates."""
        return np.asarray(nondominated(self.points(one)))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of the rows, the more trustworthy first."""
        return tuple(dict.fromkeys(row.kind for row in self.rows))

    @property
    def columns(self) -> dict[str, str]:
        """Fields and headings of the indicators that there are."""
        return {field: title for field, title in COLUMNS.items() if any(row.interval(field) for row in self.rows)}

    def conditions(self, kind: str) -> list[str]:
        """What the numbers of a kind depend on, in words; one line for each way in which they were made."""
        lines: dict[str, list[str]] = {}
        for row in self.rows:
            if row.kind == kind:
                for indicators in row.found:
                    groups = lines.setdefault(indicators.conditions, [])
                    groups += [row.group] * (row.group not in groups)
        if len(lines) == 1:
            return list(lines)
        return [f"{', '.join(groups)}: {text}" for text, groups in lines.items()]

    @property
    def terms(self) -> list[str]:
        """What single indicators depend on, in words."""
        first = self.rows[0].found[0]
        point = ", ".join(f"{value:.6g}" for value in self.reference)
        lines = [f"hypervolume: reference point ({point}), {self.reference_of}"]
        if SELECTED not in self.kinds:
            found = ", ".join(dict.fromkeys(f"{one.group} by {one.gamma:g}" for one in self.sets))
            lines.insert(0, f"{SELECTED}: left out, as returns were then discounted otherwise ({found})")
        weighed = f"over {first.weights}"
        lines.append(f"expected utility: the mean {weighed}, of the best weighted return")
        lines.append("sparsity: lower is denser, but a single policy has 0; never a verdict by itself")
        if self.true is not None:
            known = hypervolume(self.true, self.reference, allow_zero=True)
            lines.append(
                f"true front: {len(self.true)} points; its hypervolume is {number(known.value)} ({known.kind})"
            )
            lines.append(f"IGD+ (distance), R2 and max. utility loss ({weighed}): against the true front; 0 is best")
        return lines


def over_seeds(values: Sequence[float]) -> Interval:
    """The mean of one number of each run, with Student's 95 % interval; of one run, the number alone."""
    array = np.asarray(values, float)
    mean = float(array.mean())
    half = student(array)
    return Interval(mean, mean - half, mean + half, len(array))


def compare(
    sets: Sequence[TrainedSet],
    returns: dict[str, PolicyReturns],
    *,
    gamma: float,
    reference: Sequence[float] | None,
    true: np.ndarray | None,
    weights: tuple[float, ...] = (),
) -> Comparison:
    """The comparison of sets on one environment.

    Args:
        sets: of runs with the same objectives.
        returns: fresh ones by the run's path, or none.
        gamma: discount of the fresh returns, or of those that selected.
        reference: z [K]; None for the runs' own.
        true: the exact front under `gamma`, or None.
        weights: [K], to tell who plays for them.

    Raises:
        UsageError: a reference point of another length, or above every point.
    """
    names = sets[0].task.names
    kinds = [MEASURED] if returns else []
    if all(one.gamma == gamma for one in sets):
        kinds.append(SELECTED)
    fresh = [returns[str(one.folder.path)].points for one in sets] if returns else [one.selected for one in sets]
    point, words = _reference(sets, fresh, reference, gamma)
    if not any((points > point).all(1).any() for points in fresh):
        raise UsageError(_nothing_above(fresh, point, names))
    rows = []
    for group in dict.fromkeys(one.group for one in sets):
        members = tuple(one for one in sets if one.group == group)
        for kind in kinds:
            found = tuple(_indicators(one, kind, returns, gamma, point, true) for one in members)
            rows.append(Row(group, kind, members, found))
    notes = [
        f"{row.sets[i].folder.path}, {row.kind}: {note}"
        for row in rows
        for i, indicators in enumerate(row.found)
        for note in indicators.notes
        if "copies or dominated" not in note  # the table counts them
    ]
    players = tuple(_player(one, returns, weights) for one in sets) if weights else ()
    return Comparison(
        sets[0].spec.env,
        names,
        tuple(sets),
        returns,
        gamma,
        point,
        words,
        true,
        tuple(rows),
        players,
        weights,
        tuple(notes),
    )


def _reference(
    sets: Sequence[TrainedSet], points: Sequence[np.ndarray], given: Sequence[float] | None, gamma: float
) -> tuple[np.ndarray, str]:
    """One reference point for all sets, and where it comes from."""
    if given is not None:
        return np.asarray(given, float), "as given"
    own = [one.reference for one in sets]
    known = [point for point in own if point is not None]
    if len(known) == len(own) and all(one.gamma == gamma for one in sets):
        same = all(np.array_equal(point, known[0]) for point in known)
        return np.min(known, axis=0), "the runs' own" if same else "the lowest of the runs' own in each objective"
    return nadir_reference(np.concatenate(points)), "the worst of all policies in each objective, less a tenth"


def _nothing_above(points: Sequence[np.ndarray], reference: np.ndarray, names: Sequence[str]) -> str:
    best = np.max([p.max(0) for p in points], axis=0)
    given = ", ".join(f"{value:.6g}" for value in reference)
    lower = ",".join(f"{value:.6g}" for value in nadir_reference(np.concatenate(points)))
    high = ", ".join(f"{name} at most {value:.6g}" for name, value in zip(names, best, strict=True))
    return (
        f"the reference point ({given}) has no policy above it in every objective ({high}), so there is no "
        f"hypervolume; give a lower one, such as --reference={lower}"
    )


def _indicators(
    one: TrainedSet,
    kind: str,
    returns: dict[str, PolicyReturns],
    gamma: float,
    reference: np.ndarray,
    true: np.ndarray | None,
) -> Indicators:
    fresh = returns.get(str(one.folder.path)) if kind == MEASURED else None
    common: dict[str, Any] = {"gamma": gamma, "episode_limit": one.task.limit, "front": true, "allow_zero": True}
    if fresh is None:
        return front_indicators(one.selected, reference, episodes=one.episodes, deterministic=True, **common)
    episodes = fresh.discounted.shape[1]
    return front_indicators(fresh.points, reference, episodes=episodes, deterministic=fresh.deterministic, **common)


def _player(one: TrainedSet, returns: dict[str, PolicyReturns], weights: tuple[float, ...]) -> Player:
    index = one.chosen(weights)
    fresh = returns.get(str(one.folder.path))
    if fresh is None:
        means = one.selected[index]
        objectives = tuple(Interval(float(x), float(x), float(x), 1) for x in means)
        utility = float(means @ np.asarray(weights))
        undiscounted = one.selected_undiscounted[index]
        return Player(
            one,
            index,
            SELECTED,
            objectives,
            tuple(undiscounted.tolist()),
            Interval(utility, utility, utility, 1),
        )
    episodes = fresh.discounted[index]
    return Player(
        one,
        index,
        MEASURED,
        tuple(bootstrap_interval(column) for column in episodes.T),
        tuple(fresh.undiscounted[index].mean(0).tolist()),
        bootstrap_interval(episodes @ np.asarray(weights)),
    )


def number(value: float) -> str:
    """A number with five digits."""
    size = abs(value)
    if size >= 1e7 or 0 < size < 1e-4:
        return f"{value:.4e}"
    digits = 4 if size == 0 else int(np.clip(4 - np.floor(np.log10(size)), 0, 6))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits and value == round(value) else text


def told(interval: Interval | None) -> str:
    """A mean, with its interval where it has one, to three digits of the interval's half width."""
    if interval is None:
        return "–"
    mean, low, high = interval.estimate, interval.low, interval.high
    half = (high - low) / 2
    if half <= 1e-9 * abs(mean):
        return number(mean)
    if max(abs(mean), half) >= 1e7 or half < 1e-5:
        return f"{mean:.4e} [{low:.4e}, {high:.4e}]"
    digits = int(np.clip(2 - np.floor(np.log10(half)), 0, 6))
    return f"{mean:,.{digits}f} [{low:,.{digits}f}, {high:,.{digits}f}]"
