"""Public faces: a package names what it offers, and each name's module is imported when the name is first used."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["face"]


def face(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], dict[str, str]]:
    """`__getattr__`, `__dir__` and the table of a package whose names live in the modules below it.

    Args:
        package: its `__name__`.
        homes: by module, relative to the package, its names with spaces between.

    Returns:
        The two functions that the package binds (PEP 562), and the module of each name.

    Example:
        __getattr__, __dir__, _MODULES = face(__name__, {"ppo": "PPO PPOConfig"})
    """
    modules = {name: f"{package}.{module}" for module, names in homes.items() for name in names.split()}

    def get(name: str) -> Any:
        if name in modules:
            return getattr(importlib.import_module(modules[name]), name)
        close = difflib.get_close_matches(name, modules, n=1, cutoff=0.7)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise AttributeError(f"module {package!r} has no attribute {name!r}{hint}")

    return get, lambda: sorted(modules), modules
