"""The command `rlsuite results`: one registry of pages; each page's module is imported only when it is asked for."""

from __future__ import annotations

import importlib
from typing import Any

from rlsuite_zoo.errors import UsageError, unknown
from rlsuite_zoo.options import PAGES, PageOptions

__all__ = ["results"]

MODULES = {
    **{name: f"rlsuite_zoo.pages.{name}.make" for name in ("act", "forces", "hdpo", "smoothing", "subpo")},
    **{name: f"rlsuite_zoo.pages.{name}" for name in ("attacks", "envs")},
}
"""Pages with a module of their own; the others are suites, made by `pages.suite_page`."""
KEEPING = ("attacks", "bpo", "pdppo", "sac")
"""Pages written from their tables, whose rows are kept when runs are deleted."""


def results(options: PageOptions) -> None:
    """Make a page.

    Raises:
        UsageError: an unknown page, or an option that it has not.
    """
    page = options.page
    if page not in PAGES:
        raise unknown("page", page, PAGES)
    if options.keep and page not in KEEPING:
        raise UsageError(f"--keep: the page of {page} has more in it than its tables; it is made from runs alone")
    module: Any = importlib.import_module(MODULES.get(page, "rlsuite_zoo.pages.suite_page"))
    module.make_results(options)
