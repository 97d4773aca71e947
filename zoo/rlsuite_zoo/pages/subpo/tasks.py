"""What `rlsuite results subpo` compares: the problems, the learners, and what policies and planners reach.

Everything is judged by F, the value of the set of places visited, whatever reward it learned from; what a finished
run's policy is worth is kept in the run's folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from rlsuite.sb3 import Predictor
from rlsuite_envs.coverage.grid_coverage import GridCoverage
from rlsuite_envs.coverage.set_functions import brute_force_trajectory, coverage_function
from rlsuite_envs.kernel import tree_map
from rlsuite_envs.make import make_vector_env
from rlsuite_zoo.files import write_json
from rlsuite_zoo.pages.subpo.planners import GreedyPolicy, beam_search
from rlsuite_zoo.runs.folder import RunFolder
from rlsuite_zoo.runs.models import load_policy
from rlsuite_zoo.runs.random_policy import RandomPolicy

EPISODES = 100
EPISODE_SEED = 77
BEAM_WIDTH = 2048


@dataclass(frozen=True)
class Task:
    """One problem of the page."""

    key: str
    title: str
    env: str
    steps: int
    """Environment steps of a run."""
    most: Callable[[dict[str, Any]], float]
    """Computes the number that F is divided by, from the references of one instance."""
    divisor: str
    """Name of the number that F is divided by."""
    constants: dict[str, Any] = field(default_factory=dict)
    instances: bool = False
    """Whether each seed has an instance of its own."""
    tiny: bool = False
    """Whether brute force can try all walks."""
    num_envs: str = ""
    """Number of environments of a run, as text; empty for the recipe's."""

    def kwargs(self, seed: int) -> dict[str, Any]:
        """The environment's constants for one seed."""
        return {**self.constants, **({"instance": seed} if self.instances else {})}


def _beam(references: dict[str, Any]) -> float:
    return float(references["beam"])


def _best(references: dict[str, Any]) -> float:
    return float(references["best"])


TASKS = (
    Task(
        "coverage",
        "Grid coverage (30x30, constant, 79 moves)",
        "rlsuite/GridCoverage-v0",
        1_000_000,
        lambda _: 162.0,
        "4 + 2 * 79 = 162, what any path can see at most",
    ),
    Task(
        "rooms",
        "Two rooms (39 moves)",
        "rlsuite/TwoRooms-v0",
        1_000_000,
        lambda _: 68.0,
        "68, the open cells",
    ),
    Task(
        "items",
        "Item collection (7x15, 39 moves)",
        "rlsuite/ItemCollection-v0",
        1_000_000,
        lambda _: 21.0,
        "21, the items that count",
        instances=True,
    ),
    Task(
        "design",
        "D-optimal design (30x30, 39 moves)",
        "rlsuite/GPDesign-v0",
        1_000_000,
        _beam,
        f"the best path known, by beam search of width {BEAM_WIDTH} (no bound: it may be exceeded)",
        instances=True,
    ),
    Task(
        "tiny",
        "Tiny weighted coverage (5x5, 7 moves)",
        "rlsuite/GridCoverage-v0",
        300_000,
        _best,
        "the optimum, by brute force over all walks",
        {"rows": 5, "cols": 5, "start": 12, "horizon": 7, "density": "gp"},
        instances=True,
        tiny=True,
        num_envs="512",  # so short episodes are few samples
    ),
)


@dataclass(frozen=True)
class Entry:
    """One learner of the tables."""

    name: str
    recipe: str


ENTRIES = (
    Entry("SubPO-M", "markov"),
    Entry("SubPO-NM (history)", "history"),
    Entry("SubPO-NM (covered set)", "covered"),
    Entry("SubPO-M, release's weights", "prefix"),
    Entry("ModPO", "modular"),
)
PLANNERS = ("greedy, one step", "beam search", "brute force", "random")


def play(
    policy: Callable[[VectorEnv[Any, Any, Any]], Predictor],
    task: Task,
    seed: int,
    observation: str,
    episodes: int,
    *,
    deterministic: bool = False,
) -> tuple[np.ndarray, Any]:
    """F of whole episodes [E], and the states of the first one [T + 1, ...]."""
    kwargs = {**task.kwargs(seed), "observation": observation}
    env: Any = make_vector_env(task.env, episodes, device="cpu", env_kwargs=kwargs)
    actor = policy(env)
    obs, _ = env.reset(seed=EPISODE_SEED)
    states = [tree_map(lambda x: x[:1], env.state)]
    for _ in range(env.kernel.params.horizon):
        before = env.state
        action = torch.as_tensor(actor.predict(obs.numpy(), deterministic=deterministic)[0])
        # The environments restart in the last step: the kernel itself shows where that one led.
        post, _ = env.kernel.post_decision(before, action)
        states.append(tree_map(lambda x: x[:1], env.kernel.transition(post, None)[0]))
        obs, _, _, _, info = env.step(action)
    values = info["final_info"]["set_value"].double().numpy()
    return values, tree_map(lambda *rows: torch.cat(rows), *states)


def kernel_of(task: Task, seed: int) -> Any:
    """The environment's kernel, of one instance."""
    env: Any = make_vector_env(task.env, 1, device="cpu", env_kwargs=task.kwargs(seed))
    return env.kernel


def references(task: Task, seed: int, root: Path) -> dict[str, Any]:
    """Values that planners and random play reach on one instance, computed once.

    "greedy" and "random" are mean values of F over episodes, "beam" and "best" (brute force, tiny tasks) one value.
    """
    file = root / task.key / "references" / f"seed{seed}.json"
    if not file.exists():
        found: dict[str, Any] = {"beam": float(beam_search(kernel_of(task, seed), BEAM_WIDTH).value[-1])}
        for name, make in (("greedy", GreedyPolicy), ("random", RandomPolicy)):
            values, _ = play(
                lambda env, make=make: make(env, seed),  # type: ignore[misc]
                task,
                seed,
                "state_time",
                10 * EPISODES,
            )
            found[name] = float(values.mean())
        if task.tiny:
            found["best"] = _brute_force(kernel_of(task, seed))
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, found)
    loaded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return loaded


def _brute_force(kernel: GridCoverage) -> float:
    p = kernel.params
    function = coverage_function(p.footprints, p.cell_weights.tolist())
    return brute_force_trajectory(p.moves, p.start, p.horizon, function)[1]


def set_values(folder: RunFolder, task: Task) -> dict[str, Any]:
    """F of a finished run's policy, computed once: "sampled", the mean over episodes, and "mode", of the mode."""
    file = folder.path / "set_values.json"
    if not file.exists():
        spec = folder.spec()
        observation = spec.env_kwargs["observation"]
        found = {}
        for name, episodes in (("sampled", EPISODES), ("mode", 1)):
            values, _ = play(
                lambda env: load_policy(folder, folder.last),
                task,
                spec.seed,
                observation,
                episodes,
                deterministic=name == "mode",
            )
            found[name] = float(values.mean())
        write_json(file, found)
    loaded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return loaded


@dataclass(frozen=True)
class Results:
    """Runs and references from which the page is written."""

    tasks: list[Task]
    seeds: list[int]
    root: Path
    folders: dict[tuple[str, str], list[RunFolder]]
    """Finished runs by task and entry."""

    def references(self, task: Task, seed: int) -> dict[str, Any]:
        """See `references`."""
        return references(task, seed, self.root)

    def divisor(self, task: Task, seed: int) -> float:
        """Number that F is divided by."""
        return task.most(self.references(task, seed))

    def learned(self, task: Task, entry: Entry, how: str = "sampled") -> dict[int, float]:
        """Normalised J by seed."""
        found = {}
        for folder in self.folders[task.key, entry.name]:
            seed = folder.spec().seed
            found[seed] = set_values(folder, task)[how] / self.divisor(task, seed)
        return found

    def planned(self, task: Task, name: str) -> dict[int, float]:
        """Normalised J of a planner by seed; empty where it is not defined."""
        key = {"greedy, one step": "greedy", "beam search": "beam", "brute force": "best"}.get(name, name)
        every = {seed: self.references(task, seed) for seed in self.seeds}
        return {seed: found[key] / task.most(found) for seed, found in every.items() if key in found}

    def rows(self, task: Task) -> Iterator[tuple[str, dict[int, float], dict[int, float]]]:
        """Name, normalised J and that of the mode, of every line of a task's table."""
        for entry in ENTRIES:
            yield entry.name, self.learned(task, entry), self.learned(task, entry, "mode")
        for name in PLANNERS:
            planned = self.planned(task, name)
            if planned:
                yield name, planned, {}
