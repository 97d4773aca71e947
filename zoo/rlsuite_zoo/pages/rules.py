"""Simple rules beside learned policies: both play the same episodes, so that their difference has little noise.

The evaluation of a run is seeded by the run's seed alone, and what chance does in a plant does not depend on what its
agent does. A rule that plays the evaluation of seed k therefore meets the demands that every learner of seed k met.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlsuite.inventory.plants import plant_rules
from rlsuite.inventory.plants.plant_plan import PlannedPlant
from rlsuite_zoo.files import write_json
from rlsuite_zoo.report.differences import margin, paired
from rlsuite_zoo.runs.evaluation import own_evaluation
from rlsuite_zoo.runs.folder import RunFolder, RunSpec
from rlsuite_zoo.runs.models import evaluate_policy
from rlsuite_zoo.runs.spec import safe_name

__all__ = ["RULES", "Rule", "beside_rules", "play_rules", "rule_rows", "tables_beside_rules"]


@dataclass(frozen=True)
class Rule:
    """A policy that needs no training."""

    what: str
    make: Callable[[str], Any]
    """Makes the rule, given an environment's id."""
    episodes: int | None = None
    """Episodes of an evaluation that the rule plays; None for all, fewer for slow rules."""
    seeds: int | None = None
    """Evaluations that the rule plays; None for all."""


RULES: Mapping[str, Rule] = {
    "idle": Rule("idle", plant_rules.IdlePlant),
    "keep": Rule("keep the first set-ups", plant_rules.KeepPlant),
    "random": Rule("uniformly random", plant_rules.RandomPlant),
    "static": Rule("static assignment", plant_rules.StaticPlant),
    "greedy": Rule("greedy rule", plant_rules.GreedyPlant),
    "plan": Rule("rolling mixed-integer plan", PlannedPlant, episodes=10, seeds=3),
}
"""Rules by their names in suites."""

RuleReturns = dict[tuple[str, str, int], np.ndarray]
"""Returns [E] by environment, rule and seed."""


def play_rules(names: list[str], specs: list[RunSpec], root: Path) -> RuleReturns:
    """Returns of every rule on the evaluations of these runs, computed once and kept in `root`.

    Args:
        names: of `RULES`.
        specs: one per environment and seed.
        root: the folder of the files.
    """
    found: RuleReturns = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for name in names:
        for env in dict.fromkeys(spec.env for spec in specs):
            mine = [spec for spec in specs if spec.env == env]
            for spec in mine[: RULES[name].seeds]:
                # Whatever an entry's agents observe, a rule plays the environment as its id says.
                found[env, name, spec.seed] = _played(name, replace(spec, env_kwargs={}), root)
    torch.set_num_threads(threads)
    return found


def _played(name: str, spec: RunSpec, root: Path) -> np.ndarray:
    rule = RULES[name]
    episodes = min(spec.eval_episodes, rule.episodes or spec.eval_episodes)
    file = root / safe_name(spec.env) / name / f"seed{spec.seed}.json"
    if file.exists():
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["episodes"] == episodes:
            return np.array(record["returns"])
    print(f"{rule.what} plays {episodes} episodes of {spec.env}, seed {spec.seed}")
    result = evaluate_policy(rule.make(spec.env), spec, episodes)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {"episodes": episodes, "returns": [float(x) for x in result.returns]})
    return result.returns


def rule_rows(names: list[str], env: str, played: RuleReturns) -> list[str]:
    """Lines of a table: what, mean return with its 95 % interval over episodes."""
    rows = []
    for name in names:
        returns = np.concatenate([r for (e, n, _), r in played.items() if (e, n) == (env, name)])
        mean, half = returns.mean(), margin(returns)
        source = f"{len(returns)} of the learners' evaluation episodes"
        rows.append(f"| {RULES[name].what} | {mean:,.0f} [{mean - half:,.0f}, {mean + half:,.0f}] | | {source} |")
    return rows


def beside_rules(
    names: list[str],
    env: str,
    folders: Mapping[str, list[RunFolder]],
    played: RuleReturns,
    trained: Callable[[RunFolder], float],
) -> list[list[str]]:
    """Learner minus rule, as cells of a table: two rows an entry (evaluated, in training), one cell a rule.

    A rule that played fewer episodes is compared on the first ones of an evaluation, which are the same for all.

    Args:
        names: of the rules.
        env: the environment.
        folders: finished runs by entry.
        played: the rules' returns.
        trained: mean return at the end of a run's training.
    """
    rows = []
    for entry, group in folders.items():
        mine = {f.spec().seed: np.array(record["returns"]) for f in group if (record := own_evaluation(f))}
        evaluated, sampled = [entry], [f"{entry}, in training"]
        for name in names:
            theirs = {seed: played[env, name, seed] for seed in mine if (env, name, seed) in played}
            gaps = [float((mine[s][: len(r)] - r).mean()) for s, r in theirs.items()]
            evaluated.append(" ".join(paired(gaps)))
            mean = float(np.mean(np.concatenate(list(theirs.values())))) if theirs else np.nan
            ends = np.array([trained(folder) for folder in group])
            sampled.append(" ".join(paired(ends[np.isfinite(ends)] - mean)))
        rows += [evaluated, sampled]
    return rows


def tables_beside_rules(
    names: list[str],
    folders: Mapping[str, Mapping[str, list[RunFolder]]],
    played: RuleReturns,
    trained: Callable[[RunFolder], float],
) -> list[str]:
    """Each entry minus each rule on the same demands: what that is, and one table per environment.

    Args:
        names: of the rules.
        folders: finished runs by environment and entry.
        played: the rules' returns.
        trained: mean return at the end of a run's training.
    """
    parts = [
        "Learner minus rule, mean over seeds with Student's 95 % interval; ahead or behind only where the interval "
        "leaves 0 out. Trained policies play the same episodes as the rule; for the last tenth of training (actions "
        "sampled, in hundreds of other episodes) the rule's mean over all its episodes is taken."
    ]
    for env, entries in folders.items():
        lines = [
            f"| {env} | {' | '.join(RULES[name].what for name in names)} |",
            f"|---|{'---:|' * len(names)}",
        ]
        lines += [f"| {' | '.join(row)} |" for row in beside_rules(names, env, entries, played, trained)]
        parts.append("\n".join(lines))
    return parts
