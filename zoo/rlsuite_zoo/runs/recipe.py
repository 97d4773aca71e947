"""Recipes: hyper-parameters as data, one YAML file per algorithm and environment.

`recipes/<algorithm>/<environment>.yaml` maps variant names to recipes; without `--recipe` the variant
`default` is taken. `recipes/<algorithm>/default.yaml` serves environments that have no file, and variants
that a file lacks.

    default:
      description: one line
      source: where the numbers come from
      num_envs: 16
      steps: 1e6
      config: {n_steps: 128, learning_rate: 3e-4}
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml

from rlsuite.core.config import nearest
from rlsuite_zoo.errors import UsageError, unknown

NamedT = TypeVar("NamedT")

RECIPE_KEYS = ("description", "source", "num_envs", "steps", "config", "env", "eval_stochastic")


MAX_DEPTH = 30


class Loader(yaml.SafeLoader):
    """YAML's safe loader, reading 1e6 as a number (YAML 1.1 wants a dot) and refusing repeated keys."""

    aliases = True
    """Whether a value may be an alias of an earlier one: a few lines can then expand to billions of values."""
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """A value; refuses nesting that would end in a RecursionError, and aliases where they are not wanted."""
        event = self.peek_event()
        mark: Any = event.start_mark
        if self.depth > MAX_DEPTH:
            raise yaml.composer.ComposerError(None, None, f"more than {MAX_DEPTH} levels", mark)
        if isinstance(event, yaml.AliasEvent) and not self.aliases:
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed here", mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A dict; a key given twice is an error, because the first value would silently be lost."""
        keys = [key.value for key, _ in node.value]
        for i, key in enumerate(keys):
            if key in keys[:i]:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*\.?\d*([eE][-+]?\d+)|\.\d+([eE][-+]?\d+)?)$"),
    list("-+0123456789."),
)


class PlainLoader(Loader):
    """Without aliases: for what a stranger may have written."""

    aliases = False


@dataclass(frozen=True)
class Recipe:
    """Settings of one training: what the command line does not say comes from here."""

    name: str
    """Name of the variant, such as "default" or "paper"."""
    description: str = ""
    source: str = ""
    num_envs: int = 1
    """Copies of the environment."""
    steps: int = 1_000_000
    """Environment steps of a run."""
    config: dict[str, Any] = field(default_factory=dict)
    """Fields of the algorithm's configuration."""
    env: dict[str, Any] = field(default_factory=dict)
    """Arguments of the environment."""
    eval_stochastic: bool = False
    """Whether trained policies are evaluated with sampled actions, not with the distribution's mode."""


def parse_yaml(text: str, where: str, *, aliases: bool = False) -> Any:
    """YAML by the safe loader, with aliases only where asked for.

    Raises:
        UsageError: not YAML, or tags that would build Python objects; names `where`.
    """
    try:
        return yaml.load(text, Loader if aliases else PlainLoader)  # SafeLoaders
    # ValueError, TypeError: numbers and dates that look like some, keys that cannot be keys
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
        line = " ".join(str(error).split())
        raise UsageError(f"{where} is not plain YAML: {line}") from error


def algorithms() -> list[str]:
    """Algorithms that have recipes; baselines as "sb3:<name>"."""
    folders = [folder.name for folder in (files("rlsuite_zoo") / "recipes").iterdir() if folder.is_dir()]
    return sorted(name.replace("sb3-", "sb3:") for name in folders)


def recipe_files(algorithm: str) -> dict[str, dict[str, Recipe]]:
    """All recipes of an algorithm, by environment ("default" for the rest) and variant."""
    folder = files("rlsuite_zoo") / "recipes" / algorithm.replace(":", "-")
    if not folder.is_dir():
        return {}
    found = {}
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if file.name.endswith(".yaml"):
            data = parse_yaml(file.read_text(encoding="utf-8"), f"recipes/{folder.name}/{file.name}", aliases=True)
            found[file.name.removesuffix(".yaml")] = _variants(data, f"recipes/{folder.name}/{file.name}")
    return found


def _variants(data: Any, where: str) -> dict[str, Recipe]:
    if not isinstance(data, dict):
        raise UsageError(f"{where} must map variant names to recipes")
    recipes = {}
    for name, values in data.items():
        if not isinstance(values, dict):
            raise UsageError(f"{where}: variant {name!r} must be a mapping with the keys {', '.join(RECIPE_KEYS)}")
        for key in values:
            if key not in RECIPE_KEYS:
                raise UsageError(
                    f"{where}: variant {name!r} has no key {key!r}: {nearest(str(key), list(RECIPE_KEYS))}"
                )
        recipes[str(name)] = _recipe(str(name), values, where)
    return recipes


def _recipe(name: str, values: Mapping[str, Any], where: str) -> Recipe:
    """A recipe from its mapping.

    Raises:
        UsageError: a value of another type; names file and key.
    """
    for key, kind, what in (
        ("config", dict, "a mapping of hyper-parameters"),
        ("env", dict, "a mapping of the environment's arguments"),
        ("eval_stochastic", bool, "true or false"),
    ):
        if key in values and not isinstance(values[key], kind):
            raise UsageError(f"{where}: {key} is {values[key]!r}; it must be {what}")
    counts = ("num_envs", "steps")
    numbers = {key: parse_count(str(values[key]), f"{where}: {key}") for key in counts if key in values}
    return Recipe(name=name, **{**values, **numbers})


def is_file(name: str) -> bool:
    """Whether `--recipe NAME` means a file: it ends in .yaml or .yml, or is there."""
    return name.endswith((".yaml", ".yml")) or Path(name).is_file()


def read_recipe(path: Path) -> Recipe:
    """A recipe of the user's own: a mapping of the keys above, or one of variants, of which `default` is taken.

    Raises:
        UsageError: no such file, no recipe, or several without a `default`; names file and key.
    """
    try:
        data = parse_yaml(path.read_text(encoding="utf-8"), str(path), aliases=True)
    except FileNotFoundError:
        raise UsageError(f"--recipe {path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--recipe {path} cannot be read: {error}") from error
    if not isinstance(data, dict) or not data:
        raise UsageError(f"{path} must be a mapping with the keys {', '.join(RECIPE_KEYS)}")
    if all(isinstance(values, dict) for values in data.values()) and not set(data) <= set(RECIPE_KEYS):
        variants = _variants(data, str(path))
        if "default" not in variants and len(variants) > 1:
            raise UsageError(f"{path} holds {', '.join(variants)}; name one of them default")
        return replace(variants.get("default") or next(iter(variants.values())), name=path.stem)
    for key in data:
        if key not in RECIPE_KEYS:
            raise UsageError(f"{path} has no key {key!r}: {nearest(str(key), list(RECIPE_KEYS))}")
    return _recipe(path.stem, data, str(path))


def find_recipe(algorithm: str, env: str, name: str | None = None) -> Recipe:
    """The recipe for an algorithm on an environment.

    `rlsuite/<Id>` uses the file of `<Id>`: it is the same task on another engine.

    Raises:
        UsageError: no variant of that name; names the nearest.
    """
    if name and is_file(name):
        return read_recipe(Path(name))
    known = recipe_files(algorithm)
    variants = {**known.get("default", {})}
    bare = env.rpartition(":")[2].removeprefix("rlsuite/")
    variants |= known.get(bare, {})
    if not variants:
        variants = {"default": Recipe("default", "the algorithm's own defaults")}
    if (name or "default") not in variants:
        raise unknown(f"recipe for {algorithm} on {env}", str(name), variants)
    return variants[name or "default"]


def parse_count(text: str, what: str) -> int:
    """A whole number of at least 1, also written 1e6 or 2_048.

    Raises:
        UsageError: anything else.
    """
    try:
        value = float(text)
        number = int(value)
    except (ValueError, OverflowError):
        raise UsageError(f"{what} is {text!r}; it must be a whole number such as 1e6 or 2048") from None
    if number != value or number < 1:
        raise UsageError(f"{what} is {text!r}; it must be a whole number of at least 1, such as 1e6")
    return number


def parse_grid(text: str, what: str) -> list[float]:
    """Increasing numbers from "0:0.3:0.05" (first, last, step; the last belongs to it) or "0,0.1,0.3".

    Raises:
        UsageError: no such list.
    """
    try:
        if ":" in text:
            first, last, step = (float(part) for part in text.split(":"))
            count = (last - first) / step if step else float("nan")
            grid = [round(first + i * step, 10) for i in range(int(count + 1 + 1e-9))]
        else:
            grid = [float(part) for part in text.split(",") if part.strip()]
    except (ValueError, OverflowError):
        grid = []
    if not grid or not all(abs(x) < float("inf") for x in grid) or grid != sorted(set(grid)):
        raise UsageError(f"{what} is {text!r}; give increasing numbers as 0,0.1,0.3 or as first:last:step, 0:0.3:0.05")
    return grid


def parse_seeds(text: str) -> list[int]:
    """Seeds from "0-4", "3" or "0,3,7-9".

    Raises:
        UsageError: not such a list, or a seed named twice.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if not match or (match[2] and int(match[2]) < int(match[1])):
            raise UsageError(f"--seeds is {text!r}; give numbers and ranges such as 0-4 or 0,3,7")
        seeds += range(int(match[1]), int(match[2] or match[1]) + 1)
    if len(set(seeds)) != len(seeds):
        raise UsageError(f"--seeds {text!r} names a seed twice")
    return seeds


def parse_weights(text: str) -> tuple[float, ...]:
    """Weights of objectives from "0.3,0.7": not negative, with sum 1.

    Raises:
        UsageError: others.
    """
    try:
        weights = tuple(float(part) for part in text.split(","))
    except ValueError:
        weights = ()
    if not weights or not all(0 <= w <= 1 for w in weights) or abs(sum(weights) - 1) > 1e-6:
        raise UsageError(f"--weights is {text!r}; give one for each objective, not negative, with sum 1: 0.3,0.7 say")
    return weights


def parse_overrides(words: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings from `key=value` or `config.key=value`, and environment arguments from `env.key=value`.

    Values are YAML: 3e-4, true, null, [64, 64], {a: 1}, linear:3e-4.

    Raises:
        UsageError: no "=", or a key given twice.
    """
    config: dict[str, Any] = {}
    env: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UsageError(f"{word!r} is no setting; write key=value, such as learning_rate=1e-4 or env.key=value")
        target = env if key.startswith("env.") else config
        key = key.removeprefix("env.").removeprefix("config.")
        if key in target:
            raise UsageError(f"{key} is set twice on the command line")
        target[key] = parse_yaml(value, f"the value of {key}")
    return config, env


def build_config(config_class: type[Any], values: Mapping[str, Any]) -> Any:
    """A configuration from recipe and command line; floats such as 2e3 fit int fields, lists fit tuples.

    Raises:
        UsageError: an unknown key (names the nearest), or a value that the configuration refuses.
    """
    defaults = {f.name: f.default for f in dataclasses.fields(config_class)}
    fitted: dict[str, Any] = {}
    for key, value in values.items():
        if key not in defaults:
            raise UsageError(f"{config_class.__name__} has no key {key!r}: {nearest(key, list(defaults))}")
        default = defaults[key]
        if isinstance(value, list):
            value = tuple(value)
        if isinstance(value, float) and isinstance(default, int) and not isinstance(default, bool):
            value = int(value) if value == int(value) else value
        if isinstance(value, int) and not isinstance(value, bool) and isinstance(default, float):
            value = float(value)
        fitted[key] = value
    try:
        return config_class(**fitted)
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from error


def parse_names(text: str, known: Mapping[str, NamedT], kind: str) -> list[NamedT]:
    """Names of a comma-separated list; all of `known` where the list is empty.

    Raises:
        UsageError: an unknown name; names the nearest.
    """
    names = [word.strip() for word in text.split(",") if word.strip()] or list(known)
    for name in names:
        if name not in known:
            raise unknown(kind, name, known)
    return [known[name] for name in names]
