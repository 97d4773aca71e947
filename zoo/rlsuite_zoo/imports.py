"""Modules of the user's own that a command may import: those named on its command line, never those that a file names.

An environment id typed by the user, such as my_env:Mine-v0, names its module; for run folders and checkpoints `--import
my_env` does. Workers inherit the names through the variable RLSUITE_IMPORT (separated by commas).
"""

from __future__ import annotations

import importlib
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rlsuite_envs.make import import_module_of
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.provenance import command

__all__ = ["allowed", "check_named", "import_allowed", "import_typed", "importing", "split_imports"]

VARIABLE = "RLSUITE_IMPORT"


def allowed() -> list[str]:
    """Modules that the user has named."""
    return [name for name in os.environ.get(VARIABLE, "").split(",") if name]


def split_imports(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """A command line without its `--import MODULE` options, and the modules.

    Raises:
        UsageError: an option without a module.
    """
    rest, modules = [], []
    pending = iter(words)
    for word in pending:
        if word == "--import" or word.startswith("--import="):
            module = word.partition("=")[2] if "=" in word else next(pending, "")
            if not all(part.isidentifier() for part in module.split(".")):
                raise UsageError(f"--import {module!r} names no module; write it as in Python, such as --import my_env")
            modules.append(module)
        else:
            rest.append(word)
    return rest, modules


@contextmanager
def importing(modules: Sequence[str]) -> Iterator[None]:
    """Import modules that the user has named, and allow them in this process and those it starts, until the end."""
    before = os.environ.get(VARIABLE)
    try:
        for module in modules:
            _allow(module)
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before


def import_typed(env: str) -> str:
    """Import the module of an id that the user typed; returns the id alone.

    Raises:
        UsageError: no such module, or it fails.
    """
    module, colon, bare = env.rpartition(":")
    if colon:
        _allow(module)
    return bare


def import_allowed() -> None:
    """Import all modules that the user has named: in a worker they are not there yet."""
    for module in allowed():
        _import(module)


def check_named(env: str, where: object) -> None:
    """Raise if an id that a file holds needs a module that the user has not named.

    Raises:
        UsageError: says what to type.
    """
    module = env.rpartition(":")[0]
    if module and not any(f"{module}.".startswith(f"{name}.") for name in allowed()):
        raise UsageError(
            f"{where} names the environment {env!r}; a module that a file names is imported only if you name it, too: "
            f"{shlex.join([*command(), '--import', module])}"
        )


def _allow(module: str) -> None:
    os.environ[VARIABLE] = ",".join(dict.fromkeys([*allowed(), module]))
    _import(module)


def _import(module: str) -> None:
    """Import a module; where it is not found otherwise, from the current folder, as `python` itself would."""
    try:
        try:
            import_module_of(f"{module}:")
        except ModuleNotFoundError:
            if os.getcwd() in sys.path:
                raise
            sys.path.append(os.getcwd())
            importlib.invalidate_caches()
            import_module_of(f"{module}:")
    except ImportError as error:
        raise UsageError(str(error)) from error
