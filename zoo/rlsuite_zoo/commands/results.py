"""The command `rlsuite results`; each page is imported only when it is asked for."""

from __future__ import annotations

import importlib
from typing import Any

from tyro.conf import Positional

from rlsuite_zoo.errors import UsageError

__all__ = ["results"]

OWN_RESULTS = {
    "act": "rlsuite_zoo.pages.act.make",
    "attacks": "rlsuite_zoo.pages.attacks",
    "envs": "rlsuite_zoo.pages.envs",
    "forces": "rlsuite_zoo.pages.forces.make",
    "hdpo": "rlsuite_zoo.pages.hdpo.make",
    "smoothing": "rlsuite_zoo.pages.smoothing.make",
    "subpo": "rlsuite_zoo.pages.subpo.make",
}
"""Pages with a module of their own; the others are suites."""


def results(
    suite: Positional[str],
    *,
    seeds: str = "",
    steps: str = "",
    jobs: int | None = None,
    only: str = "",
    report_only: bool = False,
    keep: bool = False,
    runs: str = "runs/results",
    out: str = "results",
) -> None:
    """Reproduce a results page: train what is missing, then write tables and curves. Finished runs are kept.

    Args:
        suite: bpo, sac, pdppo, hdpo, subpo, forces, attacks, smoothing, act, or envs (PPO beside random play
            everywhere).
        seeds: such as 0-4 (default: the suite's).
        steps: environment steps of each run (default: the suite's).
        jobs: runs at a time (default: one per core).
        only: environments (of envs: or families; of hdpo: or groups; of subpo: tasks), separated by commas.
        report_only: write the page from the runs that exist, train nothing.
        keep: let rows of the page's tables stay whose runs are not in --runs (bpo, sac, pdppo, attacks).
        runs: folder of the runs.
        out: folder of the page and its pictures.
    """
    from rlsuite_zoo.pages import suite_page

    options: dict[str, Any] = {
        "seeds": seeds,
        "steps": steps,
        "jobs": jobs,
        "only": only,
        "report_only": report_only,
        "runs": runs,
        "out": out,
    }
    if keep and suite in OWN_RESULTS and suite != "attacks":
        raise UsageError(f"--keep: the page of {suite} has more in it than its tables; it is made from runs alone")
    if keep or suite not in OWN_RESULTS:
        options["keep"] = keep
    if suite in OWN_RESULTS:
        importlib.import_module(OWN_RESULTS[suite]).make_results(**options)
    else:
        suite_page.make_results(suite, **options)
