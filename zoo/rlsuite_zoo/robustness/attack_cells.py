"""One cell of `rlsuite attack`: a trained run under one attack, at every budget; kept in the run's folder."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rlsuite.adversarial.attacks.budget import Budget
from rlsuite.adversarial.attacks.catalogue import ATTACKS, Target, attacked, attacks_for
from rlsuite.adversarial.attacks.victim import Victim, as_victim, measured_unit
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.runs import kept
from rlsuite_zoo.runs.folder import RunFolder
from rlsuite_zoo.runs.models import evaluate_policy, load_policy

__all__ = [
    "CLEAN",
    "OF_SETS",
    "AttackCell",
    "best_of",
    "cells_of",
    "play_cell",
    "playable",
    "played_returns",
    "victim_of",
]

CLEAN = "none"
"""Name of the cell without an attack."""
FORMAT = {"sa-rl": 2, "pa-ad": 2, "action-q": 2, "action-mas": 2}
"""Number of the cells' file format where it is not 1.

A change of what an attack does raises its own, so that old cells are played again."""


@dataclass(frozen=True)
class AttackCell:
    """One attack on one run; cells with equal fields have equal results (but for the clock)."""

    run: str
    """Run folder."""
    attack: str
    """A name of `ATTACKS`, or `CLEAN`."""
    eps: tuple[float, ...]
    """Budgets above 0; none for `CLEAN`."""
    norm: str
    unit: str
    """"auto" (the policy's normaliser, else measured on a clean rollout) or "raw"."""
    episodes: int
    seed: int
    """Seed of what attacks draw and learn; the episodes are those of the run's own evaluation."""
    effort: float
    """Times the default training of attacks that learn."""
    member: int | None = None
    """Index of the attacked policy in a run's set of policies; None for a run of a single policy."""

    @property
    def path(self) -> Path:
        """File in which the outcome is kept."""
        settings = f"{self.norm}-{self.unit}-{self.episodes}-episodes-seed{self.seed}-effort{self.effort:g}"
        folder = Path(self.run) / "attacks" / settings
        return (folder if self.member is None else folder / f"member{self.member}") / f"{self.attack}.json"

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the model that decides an outcome; budgets are added one by one."""
        return kept.plain({**asdict(self), "format": FORMAT.get(self.attack, 1)}, "run", "eps")

    @property
    def checkpoints(self) -> list[Path]:
        """The model attacked."""
        return [RunFolder(self.run).last]


def members_of(run: str) -> list[int | None]:
    """Members of the set of policies that a run found (PROTECTED), or None alone for a single policy."""
    folder = RunFolder(run)
    model: Any = load_policy(folder, folder.last)
    brain = getattr(model, "brain", None)
    return [None] if brain is None or brain.members is None else [*range(len(brain.members()))]


OF_SETS = (
    "A set of policies (PROTECTED) has the return of the member most robust to the attack, every member being "
    "attacked for itself: chosen by one half of the episodes, reported on the other. An attack that learns is then the "
    "weakest of as many trainings as there are members, as in the paper's table."
)
"""How pages explain the return of a set of policies under attack."""


def best_of(members: list[np.ndarray | None]) -> np.ndarray | None:
    """Returns of the member that a bandit converges to: chosen by every second episode, reported on the others.

    Args:
        members: returns [E] of each; a single policy's are all taken, those of a set that was played in part are none.

    Returns:
        [E], or [E // 2] of a set (all E where E is 1).
    """
    known = [returns for returns in members if returns is not None]
    if len(known) < len(members):
        return None
    if len(known) == 1 or len(known[0]) == 1:
        return max(known, key=lambda returns: float(returns.mean()))
    best = max(known, key=lambda returns: float(returns[::2].mean()))
    return best[1::2]


def played_returns(cell: AttackCell, eps: float) -> np.ndarray | None:
    """Returns [E] of a cell at a budget (0 for the clean cell), if it was played."""
    record = kept.read(cell)
    found = record["budgets"].get(f"{eps:g}") if record is not None else None
    return None if found is None else np.array(found["returns"])


def unmeasured_victim(cell: AttackCell) -> Victim:
    """The run's last model as a victim, without a rollout: enough to know whom an attack can hurt.

    Raises:
        UsageError: no checkpoint. ValueError: spaces that cannot be attacked.
    """
    folder = RunFolder(cell.run)
    model: Any = load_policy(folder, folder.last)
    return as_victim(model if cell.member is None else model.members()[cell.member], unit=cell.unit)


def cells_of(run: str, attacks: str, eps: tuple[float, ...], **common: Any) -> list[AttackCell]:
    """A run without and under every attack named that it can suffer; of a set of policies, every member.

    Args:
        run: its folder.
        attacks: names, as `attacks_for` takes them.
        eps: budgets above 0.
        common: the other fields of the cells.

    Raises:
        UsageError: an unknown attack, or one that this run cannot suffer.
    """
    clean = AttackCell(run, CLEAN, (), **common)
    try:
        names = attacks_for(unmeasured_victim(clean), attacks)
    except ValueError as error:
        raise UsageError(f"{run}: {error}") from error
    budgets = {name: playable(name, eps) for name in names}
    single = [clean, *(AttackCell(run, name, few, **common) for name, few in budgets.items() if few)]
    return [replace(cell, member=member) for member in members_of(run) for cell in single]


def playable(attack: str, eps: tuple[float, ...]) -> tuple[float, ...]:
    """Budgets the attack accepts; if eps is a fraction or a probability, at most 1."""
    return tuple(value for value in eps if value <= ATTACKS[attack].largest_eps)


def victim_of(cell: AttackCell) -> Victim:
    """`unmeasured_victim` with its unit as the cell says, measured on a clean rollout where it has none of its own."""
    victim = unmeasured_victim(cell)
    if cell.unit == "auto" and victim.unit_name == "raw":
        spec = RunFolder(cell.run).spec()
        unit = measured_unit(victim.model, spec.env, seed=cell.seed, env_kwargs=dict(spec.env_kwargs))
        victim = replace(victim, unit=unit, unit_name="measured")
    return victim


def missing(cell: AttackCell) -> list[float]:
    """Budgets still to be played (0 for the clean cell); "budgets" in a record maps eps (as text) to the outcome."""
    record = kept.read(cell)
    done = set(record["budgets"]) if record else set()
    return [eps for eps in (cell.eps or (0.0,)) if f"{eps:g}" not in done]


def play_cell(cell: AttackCell) -> None:
    """Play the budgets that are missing; every one is on the disk when it is done."""
    key = kept.key_of(cell)  # of the checkpoint that is read now
    spec = RunFolder(cell.run).spec()
    record = kept.read(cell)
    victim = victim_of(cell)
    record = record or {"unit": victim.unit_name, "budgets": {}}
    made: Any = None
    target = Target(spec.env, dict(spec.env_kwargs), cell.seed, cell.effort)
    for eps in missing(cell):
        started = time.perf_counter()
        budget = Budget(eps, cell.norm)
        policy: Any = victim.model
        if cell.attack != CLEAN:
            attack = ATTACKS[cell.attack]
            if made is None or attack.on_actions or attack.learns == "budget":
                made = attack.make(victim, target, budget)
            policy = attacked(victim, cell.attack, made, budget, seed=cell.seed)
        result = evaluate_policy(policy, spec, cell.episodes, deterministic=not spec.eval_stochastic)
        perturber = getattr(policy, "perturber", None)
        record["budgets"][f"{eps:g}"] = {
            "returns": [float(x) for x in result.returns],
            "lengths": [int(x) for x in result.lengths],
            "largest": perturber.largest if perturber is not None else None,
            "seconds": round(time.perf_counter() - started, 2),
        }
        kept.write(cell, key, record)
