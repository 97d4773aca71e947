"""The command `rlsuite results`."""

from __future__ import annotations

import importlib
from typing import Any

from rlsuite_zoo.errors import UsageError, unknown
from rlsuite_zoo.options import PageOptions
from rlsuite_zoo.pages.registry import PAGES

__all__ = ["results"]


def results(options: PageOptions) -> None:
    """Make a page.

    Raises:
        UsageError: an unknown page, or an option that it has not.
    """
    name = options.page
    if name not in PAGES:
        raise unknown("page", name, PAGES)
    page = PAGES[name]
    if options.keep and not page.keeps:
        raise UsageError(f"--keep: the page of {name} has more in it than its tables; it is made from runs alone")
    module: Any = importlib.import_module(page.module)
    module.make_results(options)
