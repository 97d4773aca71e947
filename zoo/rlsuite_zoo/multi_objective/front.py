"""`rlsuite front RUN...`: the fronts of trained sets of policies, measured on episodes that selected none of them.

Measurements are kept in `RUN/front/`; another call plays what is missing. Runs on one environment share a reference
point, a discount and a picture; those that differ in their seed alone are averaged.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.multi_objective.comparison import Comparison, compare
from rlsuite_zoo.multi_objective.page import print_comparison, write
from rlsuite_zoo.multi_objective.sets import (
    FrontMeasure,
    PolicyReturns,
    TrainedSet,
    check_finds_sets,
    play_front,
    read_measured,
    read_set,
    true_front,
)
from rlsuite_zoo.options import FrontOptions
from rlsuite_zoo.runs import kept
from rlsuite_zoo.runs.folder import find_trained
from rlsuite_zoo.runs.groups import group_names
from rlsuite_zoo.runs.recipe import parse_weights
from rlsuite_zoo.runs.spec import check_jobs

__all__ = ["make_front"]


def make_front(options: FrontOptions) -> None:
    """Measure what is missing, print the tables, write `front.html`, `.csv`, `.json` and pictures.

    Raises:
        UsageError: bad options, or runs without a set of policies. Interrupted: stopped by the user.
    """
    _check(options)
    weights = parse_weights(options.weights) if options.weights else ()
    reference = _parse_point(options.reference) if options.reference else None
    sections = _sections(options, weights, reference or ())
    gammas = {key: _gamma(members, options.gamma) for key, members in sections.items()}
    known: dict[Key, np.ndarray] = {}
    if options.true_front:
        known = {key: true_front(members[0].spec, gammas[key]) for key, members in sections.items()}
    returns = _measured(options, sections, gammas) if options.measured else {}
    comparisons = [
        compare(
            members,
            returns,
            gamma=gammas[key],
            reference=reference,
            true=known.get(key),
            weights=weights,
        )
        for key, members in sections.items()
    ]
    for comparison in comparisons:
        print_comparison(comparison)
    page = write(comparisons, _place(options))
    print(f"wrote {page}{_hint(comparisons, options)}")


Key = tuple[str, tuple[str, ...]]
"""Environment and names of its objectives: what may share a picture."""


def _check(options: FrontOptions) -> None:
    """Raise unless the numbers make sense.

    Raises:
        UsageError: names the option, its value and the remedy.
    """
    check_jobs(options.jobs)
    if not options.runs:
        raise UsageError("no runs: give run folders, those of `rlsuite train cmorl ENV`")
    if options.episodes < 1:
        raise UsageError(f"--episodes is {options.episodes}; it must be at least 1")
    if options.seed < 0:
        raise UsageError(f"--seed is {options.seed}; it must be at least 0")
    if options.gamma is not None and not 0 <= options.gamma <= 1:
        raise UsageError(f"--gamma is {options.gamma}; a discount lies in [0, 1]")


def _sections(
    options: FrontOptions, weights: Sequence[float], reference: Sequence[float]
) -> dict[Key, list[TrainedSet]]:
    """The sets of all runs, by what may share a picture.

    Raises:
        UsageError: a run without a set, or numbers of another length than its objectives.
    """
    folders = find_trained(list(options.runs))
    for folder in folders:
        check_finds_sets(folder)
    found: dict[Key, list[TrainedSet]] = {}
    for folder, name in zip(folders, group_names(folders), strict=True):
        one = read_set(folder, name)
        _check_length("--weights", weights, one)
        _check_length("--reference", reference, one)
        if options.gamma not in (None, one.gamma) and not options.measured:
            raise UsageError(
                f"--gamma {options.gamma:g} needs returns measured afresh: those that selected the policies of "
                f"{folder.path} are discounted by {one.gamma:g}; leave --no-measured out"
            )
        found.setdefault((one.spec.env, one.task.names), []).append(one)
    return found


def _measured(
    options: FrontOptions, sections: dict[Key, list[TrainedSet]], gammas: dict[Key, float]
) -> dict[str, PolicyReturns]:
    """Fresh returns of all sets by the run's path; what is missing is played."""
    measures = [
        FrontMeasure(
            str(one.folder.path),
            options.episodes,
            gammas[key],
            options.seed,
            not (options.stochastic or one.spec.eval_stochastic),
        )
        for key, members in sections.items()
        for one in members
    ]
    kept.play_missing(
        measures, play_front, jobs=options.jobs, name=lambda measure: Path(measure.run).name, what="fronts"
    )
    found = {}
    for measure in measures:
        returns = read_measured(measure)
        if returns is None:
            raise UsageError(f"{measure.run} was trained on while its front was measured; measure it again")
        found[measure.run] = returns
    return found


def _place(options: FrontOptions) -> Path:
    """Folder of the page."""
    if options.out:
        return Path(options.out)
    if len(options.runs) == 1:
        return Path(options.runs[0]) / "front"
    return Path(os.path.commonpath([os.path.abspath(run) for run in options.runs])) / "front"


def _hint(comparisons: Sequence[Comparison], options: FrontOptions) -> str:
    if options.weights:
        return ""
    equal = ",".join([f"{1 / len(comparisons[0].names):.2g}"] * len(comparisons[0].names))
    return f"; --weights {equal} tells which policy plays" if len(comparisons[0].names) == 2 else ""


def _parse_point(text: str) -> tuple[float, ...]:
    """A reference point from "-100,-100".

    Raises:
        UsageError: no such numbers.
    """
    try:
        point = tuple(float(part) for part in text.split(","))
    except ValueError:
        point = ()
    if not point or not all(map(math.isfinite, point)):
        raise UsageError(f"--reference is {text!r}; give a number for each objective: --reference=-100,-100 say")
    return point


def _check_length(option: str, values: Sequence[float], one: TrainedSet) -> None:
    names = one.task.names
    if values and len(values) != len(names):
        raise UsageError(
            f"{option} has {len(values)} number{'s' * (len(values) > 1)}, but {one.folder.path} has {len(names)} "
            f"objectives ({', '.join(names)}); give one for each"
        )


def _gamma(sets: Sequence[TrainedSet], given: float | None) -> float:
    """The discount of all sets on one environment.

    Raises:
        UsageError: the runs have several, and none is given.
    """
    if given is not None:
        return given
    found = np.unique([one.gamma for one in sets])
    if len(found) > 1:
        runs = {one.gamma: one.folder.path for one in sets}
        told = ", ".join(f"{runs[gamma]} by {gamma:g}" for gamma in found)
        raise UsageError(f"returns of these runs are discounted differently ({told}); give --gamma")
    return float(found[0])
