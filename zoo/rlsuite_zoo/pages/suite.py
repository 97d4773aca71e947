"""Suites: what `rlsuite results` trains and compares, read from `suites/<name>.yaml`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files

from rlsuite_zoo.errors import unknown
from rlsuite_zoo.runs.recipe import parse_count, parse_seeds, parse_yaml

__all__ = ["Entry", "Suite", "load_suite"]


@dataclass(frozen=True)
class Entry:
    """One line of the tables."""

    name: str
    algo: str
    recipe: str = "default"
    recipes: dict[str, str] = field(default_factory=dict)
    """Recipes by environment, where another one than `recipe` is taken."""
    steps: dict[str, str] = field(default_factory=dict)
    """Environment steps of a run by environment ("all" for every one), where fewer than the suite's."""
    seeds: str = ""
    """Seeds of this entry where they are fewer than the suite's, such as 0-2."""
    environments: list[str] = field(default_factory=list)
    """Environments of this entry where they are not all of the suite's; names are unique on an environment."""

    def seeds_of(self, seeds: Sequence[int]) -> list[int]:
        """Those of the suite's seeds that this entry is trained with."""
        own = parse_seeds(self.seeds) if self.seeds else seeds
        return [seed for seed in seeds if seed in own]

    def recipe_on(self, env: str) -> str:
        """Name of the recipe for an environment."""
        return self.recipes.get(env, self.recipe)

    def budget(self, env: str, total: int) -> int:
        """Environment steps of a run, given the suite's."""
        own = self.steps.get(env, self.steps.get("all"))
        return total if own is None else min(total, parse_count(str(own), f"steps of {self.name}"))


@dataclass(frozen=True)
class Suite:
    """Entries to train, and comparisons to report."""

    name: str
    title: str
    about: str
    steps: int
    seeds: list[int]
    environments: list[str]
    entries: list[Entry]
    published: dict[str, list[dict[str, str]]]
    compare: list[list[str]] = field(default_factory=list)
    """Pairs of entries whose difference the page states."""
    rules: list[str] = field(default_factory=list)
    """Names of `rlsuite_zoo.pages.rules.RULES` that play the evaluation episodes, too."""
    eval_episodes: int = 20
    paired: bool = False
    """Whether chance in an evaluation is the same for all entries of a seed, so that differences are paired."""

    def on(self, env: str) -> list[Entry]:
        """The entries on an environment."""
        return [entry for entry in self.entries if env in (entry.environments or self.environments)]

    def entry(self, env: str, name: str) -> Entry | None:
        """The entry of this name on an environment; None without."""
        return next((entry for entry in self.on(env) if entry.name == name), None)


def load_suite(name: str) -> Suite:
    """The suite of this name.

    Raises:
        UsageError: there is none; names the nearest.
    """
    folder = files("rlsuite_zoo") / "suites"
    known = sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))
    if name not in known:
        raise unknown("suite", name, known)
    data = parse_yaml((folder / f"{name}.yaml").read_text(encoding="utf-8"), f"suites/{name}.yaml")
    entries = [Entry(**entry) for entry in data.pop("entries")]
    steps, seeds = parse_count(str(data.pop("steps")), "steps"), parse_seeds(str(data.pop("seeds")))
    return Suite(name=name, entries=entries, steps=steps, seeds=seeds, **data)
