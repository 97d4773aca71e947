"""The set of policies of a run: what its policies were selected by, and what they return when they are played again.

Letters: C policies of the set, E episodes of each, K objectives.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import rlsuite
from rlsuite.core.two_player import make_one_player
from rlsuite.multi_objective import smp
from rlsuite.multi_objective.front_agent import FrontAgent
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.runs import kept
from rlsuite_zoo.runs.folder import RunFolder, RunSpec
from rlsuite_zoo.runs.models import load_policy, quiet_mujoco

__all__ = [
    "FrontMeasure",
    "PolicyReturns",
    "Task",
    "TrainedSet",
    "check_finds_sets",
    "objective_names",
    "play_front",
    "read_measured",
    "read_set",
    "task_of",
    "true_front",
]

FORMAT = 1
"""Number of the files' format; a change of what a measurement is raises it."""
RETURNS = ("discounted", "undiscounted", "lengths")
MOST_ENVS = 512
"""Most environments at a time; with fewer than one for each episode, the episodes are played in rounds."""


@dataclass(frozen=True)
class Task:
    """What a run's environment pays."""

    names: tuple[str, ...]
    """Of the K objectives."""
    limit: int | None
    """Most steps of an episode."""


@dataclass(frozen=True)
class TrainedSet:
    """The policies of a run's last checkpoint, in the order of `members()`."""

    folder: RunFolder
    spec: RunSpec
    group: str
    """The same for runs that differ in their seed alone, and for no others on an environment."""
    task: Task
    selected: np.ndarray
    """Mean discounted returns [C, K] by which they were selected."""
    selected_undiscounted: np.ndarray
    """[C, K], of the same episodes."""
    selected_spread: np.ndarray
    """Standard deviations [C, K] of the discounted returns over these episodes."""
    origin: np.ndarray
    """[C, 4] int64: number, stage, number of the parent, goal; -1 without."""
    gamma: float
    """Discount of the returns that selected."""
    episodes: int
    """Episodes behind them."""
    reference: np.ndarray | None
    """The run's own reference point [K] under that discount."""
    steps: int
    """Environment steps of training."""
    measuring_steps: int
    """And those of the measurements while it trained."""

    def chosen(self, weights: tuple[float, ...]) -> int:
        """Index of the policy that plays for weights [K]: `predict(..., weights=...)` takes the same."""
        return int(smp(self.selected, weights))


@dataclass(frozen=True)
class PolicyReturns:
    """Returns of E episodes of each of the C policies of a set."""

    discounted: np.ndarray
    """[C, E, K]."""
    undiscounted: np.ndarray
    """[C, E, K]."""
    lengths: np.ndarray
    """Steps [C, E]."""
    deterministic: bool
    """Whether the policies acted by their modes."""

    @cached_property
    def points(self) -> np.ndarray:
        """Mean discounted returns [C, K]."""
        return self.discounted.mean(1)


@dataclass(frozen=True)
class FrontMeasure:
    """A measurement of a run's set; those with equal fields and checkpoints have equal results."""

    run: str
    episodes: int
    gamma: float
    seed: int
    deterministic: bool

    @property
    def path(self) -> Path:
        """File in which it is kept."""
        digest = hashlib.sha256(json.dumps(self.settings).encode()).hexdigest()[:12]
        return Path(self.run) / "front" / f"measured-{digest}.json"

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the set that decides the numbers."""
        return kept.plain({**dataclasses.asdict(self), "format": FORMAT}, "run")

    @property
    def checkpoints(self) -> list[Path]:
        """The set played."""
        return [RunFolder(self.run).last]


def read_measured(measure: FrontMeasure) -> PolicyReturns | None:
    """What a measurement found; None if it was not made, or of another set."""
    record = kept.read(measure)
    if record is None:
        return None
    discounted, undiscounted, lengths = (np.array(record[name]) for name in RETURNS)
    return PolicyReturns(discounted, undiscounted, lengths, measure.deterministic)


def play_front(measure: FrontMeasure) -> None:
    """Make a measurement and keep it."""
    folder = RunFolder(measure.run)
    key = kept.key_of(measure)
    spec, agent = folder.spec(), _agent(folder)
    quiet_mujoco(spec.env)
    size = len(agent.archive)
    each = max(1, min(measure.episodes, MOST_ENVS // size))
    with closing(make_one_player(spec.env, size * each, spec.env_kwargs)) as venv:
        found = agent.measure_members(
            episodes=measure.episodes,
            gamma=measure.gamma,
            seed=measure.seed,
            deterministic=measure.deterministic,
            venv=venv,
        )
    kept.write(measure, key, {name: getattr(found, name).tolist() for name in RETURNS})


def read_set(folder: RunFolder, group: str) -> TrainedSet:
    """The set of a run.

    Raises:
        UsageError: an algorithm that finds no set, no checkpoint yet, or an empty set.
    """
    spec, agent = folder.spec(), _agent(folder)
    archive = {name: agent.archive[name].cpu().numpy() for name in ("objectives", "undiscounted", "spread", "origin")}
    config: Any = agent.config
    state: Any = next((part for part in agent.further_state().values() if hasattr(part, "reference")), None)
    reference = getattr(state, "reference", None)
    return TrainedSet(
        folder,
        spec,
        group,
        task_of(spec, agent.objectives),
        archive["objectives"],
        archive["undiscounted"],
        archive["spread"],
        archive["origin"],
        float(config.eval_gamma),
        int(config.eval_episodes),
        None if reference is None or not np.isfinite(reference).all() else np.asarray(reference, float),
        agent.num_timesteps,
        int(getattr(state, "eval_steps", 0)),
    )


def check_finds_sets(folder: RunFolder) -> None:
    """Raise unless the run's algorithm finds a set of policies.

    Raises:
        UsageError: names those that do.
    """
    spec = folder.spec()
    if not _finds_sets(spec.algo):
        able = [name for name in rlsuite.ALGORITHMS if _finds_sets(name)]
        raise UsageError(
            f"{folder.path} is a run of {spec.algo}, which learns one objective and finds one policy; a front is that "
            f"of a set of policies: rlsuite train {able[0]} ENV, with an environment of several objectives"
        )


def _finds_sets(algo: str) -> bool:
    if algo.startswith("sb3:"):
        return False
    found = rlsuite.algorithm(algo)
    return isinstance(found, type) and issubclass(found, FrontAgent)


def _agent(folder: RunFolder) -> FrontAgent:
    check_finds_sets(folder)
    agent = load_policy(folder, folder.last)
    assert isinstance(agent, FrontAgent)
    if not len(agent.archive):
        raise UsageError(
            f"{folder.path} has measured no policy yet after {agent.num_timesteps:,} steps, so that its set is empty; "
            f"train on: rlsuite train --resume {folder.path} (with more --steps if it is finished)"
        )
    return agent


def objective_names(env: Any, count: int) -> tuple[str, ...]:
    """The environment's names of its K = `count` objectives; "objective 0", ... where it has none.

    Args:
        env: single or vector environment.
        count: K.
    """
    layer = env.unwrapped
    names = tuple(str(name) for name in getattr(layer, "objective_names", None) or ())
    return names if len(names) == count else tuple(f"objective {k}" for k in range(count))


def task_of(spec: RunSpec, count: int) -> Task:
    """What a run's environment pays, of K = `count` objectives."""
    quiet_mujoco(spec.env)
    with closing(make_one_player(spec.env, 1, spec.env_kwargs)) as venv:
        limit = getattr(venv, "max_episode_steps", None) or (venv.spec.max_episode_steps if venv.spec else None)
        return Task(objective_names(venv, count), limit)


def true_front(spec: RunSpec, gamma: float) -> np.ndarray:
    """The exact Pareto front [n, K] of a run's environment, discounted by gamma.

    Raises:
        UsageError: the environment does not know it.
    """
    with closing(make_one_player(spec.env, 1, spec.env_kwargs)) as venv:
        try:
            return np.asarray(venv.pareto_front(gamma), float)  # type: ignore[attr-defined]
        except (AttributeError, NotImplementedError):
            raise UsageError(
                f"{spec.env} does not know its true front, as small tables such as rlsuite/DeepSeaTreasure-v0 do; "
                "leave --true-front out"
            ) from None
