"""`rlsuite results hdpo`: learned ordering policies beside the optimum and the best classical rule.

Every instance is trained with each of its group's recipes (a network, or a classical rule whose numbers the same
gradients tune), then simulated for long on the same demand for all. Runs are kept and found again, and so are their
tests, so that a stopped command goes on.
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np

import rlsuite
from rlsuite.inventory.pathwise.layout import describe
from rlsuite.inventory.pathwise.networks import make_policy
from rlsuite.inventory.pathwise.parametric import set_levels
from rlsuite.inventory.pathwise.simulation import LongRun, long_run_cost
from rlsuite_envs.inventory.optimal.optimal import Optimum, optimum
from rlsuite_envs.kernel import Kernel, make_kernel
from rlsuite_envs.registration import KERNELS
from rlsuite_zoo.errors import UsageError, unknown
from rlsuite_zoo.files import write_json
from rlsuite_zoo.options import PageOptions
from rlsuite_zoo.pages.hdpo.page import Group, Trial, rows_of, write_page
from rlsuite_zoo.runs.cells import run_cells
from rlsuite_zoo.runs.folder import RunFolder
from rlsuite_zoo.runs.launch import RunFailed, cores, launch_missing
from rlsuite_zoo.runs.recipe import parse_count, parse_seeds
from rlsuite_zoo.runs.spec import make_spec, safe_name

TEST_SEED = 2_000_003
TEST = {"scenarios": 4096, "periods": 2000, "warm_up": 300}


GROUPS = (
    Group(
        "backlog",
        "One store, backlog: base-stock levels against the closed form",
        "SingleStore",
        ("base_stock",),
        (),
        0.1,
    ),
    Group(
        "lost",
        "One store, lost sales: neural policies against dynamic programming",
        "LostSales",
        ("vanilla",),
        ("base_stock", "capped_base_stock"),
        0.5,
    ),
    Group(
        "chain",
        "Four stages, backlog: neural policies against Clark and Scarf",
        "SerialSystem",
        ("vanilla",),
        ("echelon_stock",),
        1.0,
        tuple(f"L4-p{p}" for p in (4, 9, 19, 39)),
    ),
    Group(
        "transshipment",
        "A warehouse that keeps nothing: neural policies against the lower bound",
        "Transshipment",
        ("symmetric",),
        ("base_stock",),
        1.0,
    ),
    Group(
        "stores",
        "One warehouse and its stores, lost sales",
        "ManyStores",
        ("symmetric",),
        ("base_stock", "capped_base_stock"),
        None,
    ),
    Group(
        "warehouses",
        "Two warehouses and ten stores, lost sales",
        "ManyWarehouses",
        ("symmetric",),
        ("base_stock", "capped_base_stock"),
        None,
    ),
)


def make_results(options: PageOptions) -> None:
    """Train and test what is missing, then write `<out>/hdpo.md`, `.csv` and `.png`.

    Raises:
        UsageError: bad options, or nothing to report. RunFailed: some runs failed (the page has the others).
    """
    total = parse_count(options.steps, "--steps") if options.steps else None
    numbers = parse_seeds(options.seeds) if options.seeds else [0]
    chosen = choose(options.only)
    root = Path(options.runs) / "hdpo" / (f"{total}-steps" if total else "recipes")
    folders = {
        (id, recipe): [RunFolder(root / safe_name(id) / recipe / f"seed{seed}") for seed in numbers]
        for group, ids in chosen.items()
        for id in ids
        for recipe in (*group.classical, *group.learned)
    }
    failure: RunFailed | None = None
    if not options.report_only:
        todo = _prepare(folders, numbers, options.steps)
        failure = launch_missing(todo, options.jobs, root)
    finished = {key: [f for f in group if f.finished] for key, group in folders.items()}
    everything = [f for group in finished.values() for f in group]
    if everything:
        untested = [folder for folder in everything if not (folder.path / "test.json").exists()]
        print(f"{len(untested)} policies to test")
        run_cells(simulate_run, [str(f.path) for f in untested], options.jobs or cores(), lambda run: Path(run).name)
        tested = {key: read_tested(group) for key, group in finished.items() if group}
        optima = {id: known_optimum(id) for ids in chosen.values() for id in ids}
        rows = {group: rows_of(group, ids, tested, optima) for group, ids in chosen.items()}
        write_page({g: found for g, found in rows.items() if found}, everything, tested, Path(options.out))
    elif failure is None:
        raise UsageError(f"no finished run in {root} to report; leave --report-only out to train them")
    if failure is not None:
        raise failure


def choose(only: str) -> dict[Group, list[str]]:
    """The environments of each group, all or those named (groups or ids).

    Raises:
        UsageError: an unknown one; names the nearest.
    """
    words = [word.strip() for word in only.split(",") if word.strip()]
    known = {*(g.name for g in GROUPS), *(id for g in GROUPS for id in g.ids)}
    for word in words:
        if word not in known:
            raise unknown("group or environment", word, known)
    chosen = {g: [id for id in g.ids if not words or g.name in words or id in words] for g in GROUPS}
    return {g: ids for g, ids in chosen.items() if ids}


def _prepare(folders: dict[tuple[str, str], list[RunFolder]], seeds: list[int], steps: str) -> list[RunFolder]:
    todo = []
    for (id, recipe), group in folders.items():
        for folder, seed in zip(group, seeds, strict=True):
            if not folder.config.exists():
                # Raw orders: the scaled action's largest order would be a limit that the optimum does not know.
                spec = make_spec(
                    "hdpo", id, ["env.actions=orders"], seed=seed, steps=steps, recipe=recipe, eval_episodes=0
                )
                RunFolder.create(folder.path, spec)
            if not folder.finished:
                todo.append(folder)
    return todo


def simulate_run(path: str) -> None:
    """Simulate the policy of a run folder for long, and write test.json and test.npy into that folder."""
    folder = RunFolder(path)
    spec = folder.spec()
    kernel = kernel_of(spec.env)
    model = rlsuite.algorithm("hdpo").load(folder.last, device="cpu")
    result = long_run_cost(kernel, lambda rows: model.brain.act(rows, None, True), seed=TEST_SEED, **TEST)
    paths, error = result.paths, result.standard_error
    reference = optimal_run(spec.env)
    if reference is not None:
        # The optimal policy on the same demand, whose cost is known exactly, takes most of the noise out.
        best, run = reference
        paths = paths - run.paths + best.cost
        error = float(paths.std()) / len(paths) ** 0.5
    stores = getattr(kernel, "num_stores", 1)
    np.save(folder.path / "test.npy", (paths / stores).numpy().astype(np.float32))
    cost = {"cost": float(paths.mean()) / stores, "standard_error": error / stores}
    today = datetime.date.today().isoformat()
    write_json(folder.path / "test.json", {**cost, **TEST, "seed": TEST_SEED, "date": today})


def kernel_of(id: str) -> Kernel[Any, Any, Any]:
    """The kernel behind an id, with raw orders."""
    entry = next(entry for entry in KERNELS if entry.id == id)
    made: Kernel[Any, Any, Any] = make_kernel(f"rlsuite_envs.{entry.kernel}", preset=entry.preset, actions="orders")
    return made


def optimal_run(id: str) -> tuple[Optimum, LongRun] | None:
    """The optimal policy's exact cost and its simulation, where it is a rule with known levels."""
    kernel = kernel_of(id)
    layout = describe(kernel)
    best, _ = known_optimum(id)
    rule = {"store": "base_stock", "chain": "echelon_stock"}.get(layout.kind)
    if best is None or rule is None or not best.levels or not best.exact:
        return None
    policy = make_policy(rule, layout)
    set_levels(policy, best.levels)
    return best, long_run_cost(kernel, policy, seed=TEST_SEED, **TEST)


def known_optimum(id: str) -> tuple[Optimum | None, int]:
    """The optimum of an environment, or None, and the number of stores that share its cost."""
    kernel = kernel_of(id)
    try:
        found: Optimum | None = optimum(kernel)
    except ValueError:
        found = None
    return found, getattr(kernel, "num_stores", 1)


def read_tested(folders: list[RunFolder]) -> Trial:
    """The tests of some seeds."""
    records = [json.loads((f.path / "test.json").read_text(encoding="utf-8")) for f in folders]
    return Trial(
        folders,
        np.array([record["cost"] for record in records]),
        np.array([record["standard_error"] for record in records]),
        np.stack([np.load(f.path / "test.npy") for f in folders]),
        float(np.mean([f.status().get("wall_s", np.nan) for f in folders])) / 60,
    )
