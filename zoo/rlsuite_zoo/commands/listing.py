"""`rlsuite list`: algorithms, environments and recipes as tables."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

from rich.table import Table

import rlsuite
from rlsuite_envs import list_envs
from rlsuite_zoo.errors import unknown
from rlsuite_zoo.runs import recipe
from rlsuite_zoo.runs.display import out_console

WHAT = ("all", "algorithms", "envs", "recipes")


def show(what: str) -> None:
    """Print the tables asked for.

    Raises:
        UsageError: nothing of that name to list.
    """
    if what not in WHAT:
        raise unknown("thing to list", what, WHAT)
    console = out_console()
    for name, table in (("algorithms", _algorithms), ("envs", _environments), ("recipes", _recipes)):
        if what in ("all", name):
            console.print(table())


def first_sentence(thing: Any) -> str:
    """The first sentence of a docstring, without Markdown headings and equations."""
    lines = [line.strip() for line in (inspect.getdoc(thing) or "").splitlines()]
    text = " ".join(line for line in lines if line and not line.startswith("#"))
    return re.split(r"(?<=[.:])(?<!et al\.)\s", text, maxsplit=1)[0].rstrip(":")


def _algorithms() -> Table:
    from rlsuite_zoo.runs.baselines import BASELINES

    table = _table("Algorithms", "name", "what it is")
    for name, (module, _) in rlsuite.ALGORITHMS.items():
        table.add_row(name, first_sentence(importlib.import_module(module)))
    for name, baseline in BASELINES.items():
        table.add_row(name, f"Stable-Baselines3's {baseline.__name__}, as a baseline")
    return table


def _environments() -> Table:
    table = _table("Environments", "id", "what it is")
    for name, description in list_envs():
        table.add_row(name, description)
    table.add_row("Ant-v5, ...", "Gymnasium's MuJoCo ids run on the same pool as rlsuite/Ant-v5, ...")
    table.add_row(
        "any other", "Every Gymnasium id, stepped by Gymnasium itself; module:Id-v0 imports the module first."
    )
    return table


def _recipes() -> Table:
    table = _table("Recipes", "algorithm", "environment", "--recipe", "what it is")
    for algorithm in recipe.algorithms():
        for env, variants in recipe.recipe_files(algorithm).items():
            for name, found in variants.items():
                table.add_row(algorithm, "any other" if env == "default" else env, name, found.description)
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, no_wrap=i < len(columns) - 1)
    return table
