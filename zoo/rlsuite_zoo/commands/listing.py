"""`rlsuite list`: algorithms, environments and recipes as tables."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import textwrap
from itertools import pairwise
from typing import Any

from rich.table import Table

import rlsuite
from rlsuite_envs import list_envs
from rlsuite_zoo.errors import unknown
from rlsuite_zoo.options import ListOptions
from rlsuite_zoo.runs import recipe
from rlsuite_zoo.runs.display import out_console
from rlsuite_zoo.runs.models import check_algorithm

WHAT = ("all", "algorithms", "envs", "recipes")


def list_all(options: ListOptions) -> None:
    """Print the tables asked for.

    Raises:
        UsageError: nothing of that name to list.
    """
    what = options.what
    if what not in WHAT:
        raise unknown("thing to list", what, WHAT)
    console = out_console()
    for name, table in (("algorithms", _algorithms), ("envs", _environments), ("recipes", _recipes)):
        if what in ("all", name):
            console.print(table())


def hyper_parameters(algo: str, env: str, recipe_name: str = "") -> Table:
    """Every hyper-parameter of an algorithm: default, the recipe's value on an environment, and what it is.

    Args:
        algo: name of the algorithm, or of a baseline, whose recipe alone is told.
        env: id of an environment; "" for any.
        recipe_name: variant or file; "" for the default.

    Raises:
        UsageError: no such algorithm or recipe.
    """
    check_algorithm(algo)
    found = recipe.find_recipe(algo, env, recipe_name or None)
    title = f"{algo}: key=value (recipe {found.name}: {found.num_envs} environments, {found.steps:,} steps)"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in ("key", "default", "recipe"):
        table.add_column(column, no_wrap=True, max_width=24)
    table.add_column("what it is")
    if algo in rlsuite.ALGORITHMS:
        cls = rlsuite.algorithm(algo).config_class
        texts = field_texts(cls)
        for f in dataclasses.fields(cls):
            default = f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default
            text = texts.get(f.name, "").split("\n\n")[0]
            table.add_row(f.name, str(default), str(found.config.get(f.name, "")), " ".join(text.split()))
    else:
        for key, value in found.config.items():
            table.add_row(key, "", str(value), "see Stable-Baselines3")
    return table


def field_texts(cls: type[Any]) -> dict[str, str]:
    """The docstrings below the fields of a dataclass and of those that it inherits from."""
    texts: dict[str, str] = {}
    for owner in reversed(cls.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
        assert isinstance(body, ast.ClassDef)
        for at, below in pairwise(body.body):
            text = below.value if isinstance(below, ast.Expr) else None
            if isinstance(at, ast.AnnAssign) and isinstance(at.target, ast.Name) and isinstance(text, ast.Constant):
                texts[at.target.id] = inspect.cleandoc(str(text.value))
    return texts


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
