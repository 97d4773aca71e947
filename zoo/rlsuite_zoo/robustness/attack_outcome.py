"""What was played of some runs under attack, ready for a report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rlsuite.adversarial.attacks.catalogue import ATTACKS
from rlsuite.core.statistics import Interval, bootstrap_interval
from rlsuite_zoo.runs.folder import RunFolder

__all__ = ["Outcome"]


@dataclass(frozen=True)
class Outcome:
    """Returns of some runs with and without attacks, ready for a report."""

    runs: list[RunFolder]
    attacks: list[str]
    eps: list[float]
    """Budgets above 0."""
    settings: dict[str, str]
    """Settings of the attacks, name -> value, as the page shows them."""
    clean: dict[str, np.ndarray]
    """Returns [E] by run."""
    returns: dict[tuple[str, str, float], np.ndarray]
    """Returns [E] by run, attack and eps; only what was played."""

    def interval(self, attack: str, eps: float) -> Interval | None:
        """Mean return: over the episodes of one run, or over the means of several runs."""
        found = [self.at(str(run.path), attack, eps) for run in self.runs]
        played = [values for values in found if values is not None]
        if not played:
            return None
        return bootstrap_interval(played[0] if len(played) == 1 else [float(v.mean()) for v in played])

    def at(self, run: str, attack: str, eps: float) -> np.ndarray | None:
        """Returns [E]; at eps = 0 the clean ones."""
        return self.clean.get(run) if eps == 0 else self.returns.get((run, attack, eps))

    def strongest(self, eps: float) -> tuple[Interval, str] | None:
        """Over runs, the least mean return that any attack reached, and the attack that reached it most often."""
        least, names = [], []
        for run in self.runs:
            tried = [
                (float(v.mean()), v, a)
                for a in self.attacks
                if (v := self.at(str(run.path), a, eps)) is not None and not ATTACKS[a].on_actions
            ]
            if tried:
                _, values, name = min(tried, key=lambda entry: entry[0])
                least.append(values)
                names.append(name)
        if not least:
            return None
        values = least[0] if len(least) == 1 else np.array([v.mean() for v in least])
        return bootstrap_interval(values), max(dict.fromkeys(names), key=names.count)
