"""Which runs are one group: those that differ in their seed alone, and no others, may be averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.runs.folder import RunFolder, RunSpec

__all__ = ["full_settings", "group_names", "one_group"]

LONGEST = 60
"""Most characters of a difference in a name; a longer one is numbered, not spelled out."""


def group_names(folders: Sequence[RunFolder]) -> list[str]:
    """A name for every run: the same for those that differ in their seed alone, and for no others on an environment.

    Raises:
        UsageError: two of them do not differ at all.
    """
    specs = [folder.spec(plays=False) for folder in folders]
    kinds: dict[tuple[str, str], list[RunSpec]] = {}
    for spec in specs:
        twins = [str(f.path) for f, s in zip(folders, specs, strict=True) if s == spec]
        if len(twins) > 1:
            raise UsageError(f"{' and '.join(twins)} are the same run (seed {spec.seed}); give one of them")
        known = kinds.setdefault((spec.env, spec.group), [])
        if (kind := replace(spec, seed=0)) not in known:
            known.append(kind)
    names = {key: _names(known) for key, known in kinds.items()}
    return [names[s.env, s.group][kinds[s.env, s.group].index(replace(s, seed=0))] for s in specs]


def one_group(folders: Sequence[RunFolder], what: str) -> None:
    """Raise unless the runs differ in their seed alone.

    Args:
        folders: the runs.
        what: would be done with them, for the message, such as "attack averages over runs".

    Raises:
        UsageError: names two runs that are no seeds of each other, and what differs.
    """
    group_names(folders)  # refuses twins
    first = folders[0].spec(plays=False)
    for folder in folders[1:]:
        spec = folder.spec(plays=False)
        if replace(spec, seed=first.seed) != first:
            one, other = _flat(first), _flat(spec)
            key = next(k for k in sorted(one | other, key=_urgency) if one.get(k) != other.get(k))
            raise UsageError(
                f"{what} that differ in their seed alone: {folders[0].path} has {key} {one.get(key)}, "
                f"{folder.path} has {other.get(key)}; give the folder of one of them"
            )


def full_settings(specs: Sequence[RunSpec]) -> dict[str, str]:
    """The settings that a short name abbreviates, by group; only of groups whose name leaves some out."""
    return {spec.group: spec.label for spec in specs if spec.label and spec.label not in spec.group}


def _names(kinds: Sequence[RunSpec]) -> list[str]:
    """The group's name, and after it what is different, where there are several."""
    group = kinds[0].group
    if len(kinds) == 1:
        return [group]
    flat = [_flat(kind) for kind in kinds]
    keys = [key for key in dict.fromkeys(k for f in flat for k in f) if len({repr(f.get(key)) for f in flat}) > 1]
    words = [", ".join(_word(key, f[key]) for key in keys if key in f) for f in flat]
    if len(set(words)) < len(words) or not all(0 < len(text) <= LONGEST for text in words):
        words = [f"setting {i + 1}" for i in range(len(kinds))]
    return [f"{group}, {text}" for text in words]


def _flat(spec: RunSpec) -> dict[str, Any]:
    """Every setting under its name on the command line."""
    values = asdict(spec)
    for part, prefix in (("config", ""), ("env_kwargs", "env.")):
        nested: Mapping[str, Any] = values.pop(part)
        values |= {f"{prefix}{key}": value for key, value in nested.items()}
    del values["seed"], values["label"]  # the label repeats what the others say
    return values


def _urgency(key: str) -> int:
    """Sort key of a difference: the most telling first."""
    order = ("env", "algo", "steps", "recipe")
    return order.index(key) if key in order else len(order)


def _word(key: str, value: Any) -> str:
    return f"{value:,} steps" if key == "steps" else f"{key}={value}"
