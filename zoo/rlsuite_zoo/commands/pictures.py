"""The commands `plot` and `show`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rlsuite_zoo.episodes import show as showing
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.options import PlotOptions, ShowOptions
from rlsuite_zoo.report.curves import plot_runs
from rlsuite_zoo.runs.recipe import parse_weights

__all__ = ["plot", "show"]


def plot(options: PlotOptions) -> None:
    """Draw learning curves.

    Raises:
        UsageError: no runs, or runs that cannot be drawn together.
    """
    if not options.runs:
        raise UsageError("give at least one run folder: rlsuite plot runs/bpo/Hopper-v5/NAME")
    plot_runs(list(options.runs), Path(options.out), metric=options.metric, smooth=options.smooth, title=options.title)


def show(options: ShowOptions) -> None:
    """Draw an episode, or print an environment's text.

    Raises:
        UsageError: nothing to show, or what cannot be drawn.
    """
    if options.text:
        if not options.env:
            raise UsageError("--text prints an environment's text; give the environment")
        print(showing.describe(options.env))
        return
    if "=" in options.env:  # no environment given: the first setting is in its place
        options = replace(options, env="", settings=(options.env, *options.settings))
    showing.show(
        options.env,
        options.settings,
        policy=options.policy,
        out=options.out,
        seed=options.seed,
        steps=options.steps,
        stochastic=options.stochastic,
        checkpoint=options.checkpoint,
        weights=parse_weights(options.weights) if options.weights else (),
    )
