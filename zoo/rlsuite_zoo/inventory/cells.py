"""One cell of the inventory benchmark: a policy plays the demands of a scenario; what came out, as plain data."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import rlsuite
from rlsuite.inventory.classical import policies
from rlsuite.inventory.classical.play import Played, Predicted, draw_noise, play
from rlsuite.inventory.classical.sites import kernel_of
from rlsuite.inventory.classical.tuning import tune
from rlsuite.inventory.programmes import planning
from rlsuite_envs.inventory.networks.scenarios import SCENARIOS
from rlsuite_envs.inventory.networks.supply_network import SupplyNetwork
from rlsuite_envs.kernel import make_kernel
from rlsuite_zoo.errors import UsageError, unknown
from rlsuite_zoo.imports import check_named
from rlsuite_zoo.runs.folder import RunFolder, find_runs
from rlsuite_zoo.runs.models import build_config, load_policy, player_for
from rlsuite_zoo.runs.recipe import find_recipe

__all__ = ["FIGURES", "ORACLE", "POLICIES", "SCENARIO_GROUPS", "Agent", "Cell", "find_agents", "play_cell"]

ORACLE = "oracle"
FIGURES = ("fill_rate", "service_level", "average_inventory", "bullwhip")
"""Key figures of an episode that a cell keeps."""
TRAINING = 25_000
"""Simulated periods of a learned policy's training for each set of numbers that tuning may try."""
TUNING_SEED = 1_000_003
"""Added to the benchmark's seed: no policy is tuned on the demands it is judged by."""

Builder = Callable[["Cell"], tuple[SupplyNetwork, Any]]
"""A scenario's kernel, with the observations and actions that the policy knows, and the policy."""


@dataclass(frozen=True)
class Cell:
    """One policy on one scenario; cells with equal fields have equal results (but for the clock)."""

    scenario: str
    policy: str
    """A name of `POLICIES`, or an agent's label."""
    episodes: int
    seed: int
    """Seed of the demands; policies are tuned on others."""
    tuning: int
    """Sets of numbers that tuning may try; learned policies get `TRAINING` periods for each."""
    paths: int
    """Sampled demand paths of the stochastic programme."""
    checkpoints: tuple[str, ...] = ()
    """Run folders or checkpoint files of an agent; the profit is the mean over them."""
    weights: tuple[float, ...] = ()
    """Of the objectives, where an agent is a set: which of its policies plays."""


@dataclass(frozen=True)
class Agent:
    """A learned policy: its checkpoint, and what it was trained in."""

    label: str
    path: str
    scenario: str
    """"" where the constants are none of a scenario."""
    topology: str
    weights: tuple[float, ...] = ()
    """That choose the policy, where it is one of a set."""


def _classical(make: Callable[[Cell, SupplyNetwork], Any]) -> Builder:
    """A policy that reads the scenario's own kernel."""

    def build(cell: Cell) -> tuple[SupplyNetwork, Any]:
        kernel = benchmark_kernel(cell.scenario)
        return kernel, make(cell, kernel)

    return build


def _fixed(kind: type[policies.ClassicalPolicy], **options: Any) -> Builder:
    return _classical(lambda cell, kernel: kind(kernel, **options))


def _tuned(kind: Any, **options: Any) -> Builder:
    def make(cell: Cell, kernel: SupplyNetwork) -> Any:
        seed = cell.seed + TUNING_SEED
        return tune(kind, kernel, episodes=50, seed=seed, evaluations=cell.tuning, **options).policy

    return _classical(make)


def _samples(forecast: str) -> Builder:
    return _classical(
        lambda cell, kernel: planning.StochasticProgramme(kernel, forecast, paths=cell.paths, seed=cell.seed)
    )


def _pathwise(cell: Cell) -> tuple[SupplyNetwork, Predicted]:
    env = f"rlsuite/SupplyNetwork-{cell.scenario}-v0"
    recipe = find_recipe("hdpo", env, "episodes")
    model = rlsuite.HDPO(
        env,
        build_config(rlsuite.HDPO.config_class, recipe.config),
        env_kwargs=recipe.env,
        num_envs=recipe.num_envs,
        seed=cell.seed + TUNING_SEED,
        device="cpu",
    ).learn(cell.tuning * TRAINING, log_interval=None)
    return _acting_kernel(cell.scenario, model.kernel.params, model)


POLICIES: Mapping[str, tuple[str, Builder | None]] = {
    ORACLE: ("plans with the demand that will come", None),
    "hdpo": ("learned: a network trained in the scenario by pathwise gradients", _pathwise),
    "samples": ("rolling stochastic programme on sampled demand, informed", _samples("informed")),
    "samples-blind": ("the same, demand estimated from the last five periods", _samples("moving")),
    "mean": ("rolling linear programme on mean demand, informed", _fixed(planning.DeterministicProgramme)),
    "mean-blind": ("the same, estimated", _fixed(planning.DeterministicProgramme, forecast="moving")),
    "newsvendor": ("newsvendor's level over the lead time, informed", _fixed(policies.Newsvendor)),
    "newsvendor-blind": ("the same, estimated", _fixed(policies.Newsvendor, forecast="moving")),
    "newsvendor-tuned": ("the same, informed, its safety factors tuned", _tuned(policies.Newsvendor)),
    "holt": ("newsvendor's level on exponential smoothing", _fixed(policies.Newsvendor, forecast="holt")),
    "echelon": ("newsvendor's level on echelon stock, informed", _fixed(policies.EchelonNewsvendor)),
    "echelon-blind": ("the same, estimated", _fixed(policies.EchelonNewsvendor, forecast="moving")),
    "echelon-tuned": ("the same, informed, its safety factors tuned", _tuned(policies.EchelonNewsvendor)),
    "ss": ("(s, S) with economic order quantities, informed", _fixed(policies.EconomicOrder)),
    "ss-blind": ("the same, estimated", _fixed(policies.EconomicOrder, forecast="moving")),
    "ss-tuned": ("constant (s, S), tuned", _tuned(policies.OrderPoint)),
    "base-stock-tuned": ("constant levels, tuned", _tuned(policies.BaseStock)),
    "capped-base-stock-tuned": ("constant levels and caps, tuned", _tuned(policies.CappedBaseStock)),
    "echelon-base-stock-tuned": ("constant echelon levels, tuned", _tuned(policies.EchelonBaseStock)),
}
"""Name of a policy -> (description, builder)."""


def _groups() -> dict[str, list[str]]:
    networks = [name for name in SCENARIOS if "-" not in name]
    marl = [name for name in SCENARIOS if name.endswith("-marl")]
    core = [name for name in SCENARIOS if name not in networks and name not in marl]
    return {"core": core, "marl": marl, "networks": networks, "all": list(SCENARIOS)}


SCENARIO_GROUPS: Mapping[str, list[str]] = _groups()
"""Scenarios by group.

core: gym-invmgmt's 22; marl: its four that repeat core ones; networks: steady demand on its other networks."""


def benchmark_kernel(scenario: str, **constants: Any) -> SupplyNetwork:
    """The scenario in float64, with orders in units and profit in money."""
    fixed = {"action": "orders", "observation": "raw", "reward": "money", "dtype": "float64"}
    return make_kernel(SupplyNetwork, scenario=scenario, **{**fixed, **constants})


def play_cell(cell: Cell) -> dict[str, Any]:
    """Play the episodes of a cell.

    Returns:
        Per episode "profit" and key figures (lists [S]), "seconds" per decision, "prepare" (seconds of tuning or
        loading), "policy" (its numbers, as text); the oracle's also has "bound" [S] and "exact".
    """
    torch.set_num_threads(1)
    started = time.perf_counter()
    if cell.policy == ORACLE:
        kernel = benchmark_kernel(cell.scenario)
        found = planning.oracle(kernel, draw_noise(kernel, cell.episodes, cell.seed), cell.episodes)
        seconds = (time.perf_counter() - started) / (cell.episodes * kernel.params.horizon)
        more = {"bound": found.bound.tolist(), "exact": found.exact}
        return {**_record([found.played]), "seconds": seconds, "prepare": 0.0, "policy": "", **more}
    if cell.checkpoints:
        pairs = [_learned(path, cell.scenario, cell.weights) for path in cell.checkpoints]
    else:
        build = POLICIES[cell.policy][1]
        assert build is not None
        pairs = [build(cell)]
    prepared = time.perf_counter() - started
    runs = [
        play(kernel, policy, draw_noise(kernel, cell.episodes, cell.seed), cell.episodes) for kernel, policy in pairs
    ]
    text = "" if cell.checkpoints else repr(pairs[0][1]) if hasattr(pairs[0][1], "numbers") else ""
    seconds = float(np.mean([run.seconds for run in runs]))
    return {**_record(runs), "seconds": seconds, "prepare": prepared, "policy": text}


def _record(runs: list[Played]) -> dict[str, Any]:
    """Profit and key figures per episode, averaged over runs on the same demands."""
    found = {name: np.mean([run.info[name].numpy(force=True) for run in runs], axis=0) for name in ("profit", *FIGURES)}
    return {name: [float(x) for x in values] for name, values in found.items()}


# --- Learned policies


def _learned(path: str, scenario: str, weights: tuple[float, ...]) -> tuple[SupplyNetwork, Predicted]:
    """A scenario with the observations and actions an agent knows, and the agent: of a set, the one for the weights."""
    return _acting_kernel(scenario, _trained_in(path)[0], player_for(_load(path), weights, path)[0])


def _acting_kernel(scenario: str, params: Any, model: Any) -> tuple[SupplyNetwork, Predicted]:
    """A scenario with the observations and actions of these training constants, and the agent."""
    constants = {name: getattr(params, name) for name in ("observation", "action", "order_reach")}
    kernel = benchmark_kernel(scenario, **constants)
    return kernel, Predicted(model, kernel)


def _load(path: str) -> Any:
    if Path(path).is_dir():
        folder = RunFolder(path)
        return load_policy(folder, folder.last)
    return rlsuite.load(path, device="cpu")


def _trained_in(path: str) -> tuple[Any, str]:
    """Constants of the environment a checkpoint was trained in, and the name of its algorithm."""
    from rlsuite_envs.make import make_vector_env

    if Path(path).is_dir():
        spec = RunFolder(path).spec()
        name, env, kwargs = spec.group, spec.env, dict(spec.env_kwargs)
    else:
        agent = rlsuite.load(path, device="cpu")
        if agent.env_id is None:
            raise UsageError(f"{path} does not say which environment it was trained in; give its run folder")
        name, env, kwargs = type(agent).__name__.lower(), agent.env_id, dict(agent.env_kwargs or {})
    check_named(env, path)
    made = make_vector_env(env, 1, env_kwargs=kwargs)
    try:
        kernel = kernel_of(made)
    except TypeError as error:
        raise UsageError(f"{path} was trained in {env}: {error}") from error
    finally:
        made.close()
    if not isinstance(kernel, SupplyNetwork):
        raise UsageError(
            f"{path} was trained in {env}; the benchmark plays supply networks (rlsuite/SupplyNetwork-...)"
        )
    return kernel.params, name


def find_agents(paths: list[str], weights: tuple[float, ...] = ()) -> list[Agent]:
    """The learned policies in run folders (or folders of several) and checkpoint files.

    Args:
        paths: theirs.
        weights: of the objectives, for those that are sets; none for equal ones.

    Raises:
        UsageError: no run there, one without a checkpoint, or one of another family of environments; or weights that
            do not fit.
    """
    found = []
    for path in paths:
        files = [path] if path.endswith(".zip") else [str(folder.path) for folder in find_runs([path])]
        for file in files:
            if not Path(file).exists() or (Path(file).is_dir() and not RunFolder(file).last.exists()):
                raise UsageError(f"{file} has no checkpoint to play; train it first")
            params, name = _trained_in(file)
            same = partial(_same_problem, params)
            scenario = next((s for s in SCENARIOS if same(SCENARIOS[s])), "")
            topology = params.topology if isinstance(params.topology, str) else ""
            if name in POLICIES:
                raise unknown("agent", name, [])
            words = ""
            chosen: tuple[float, ...] = ()
            if params.objectives is not None:
                player_for(_load(file), weights, file)
                words = f" for {','.join(f'{w:g}' for w in weights)}" if weights else " for equal weights"
                chosen = weights
            found.append(Agent(name + words, file, scenario, topology, chosen))
    return found


def _same_problem(one: Any, other: Any) -> bool:
    """Whether two sets of constants differ at most in observation, action, reward format and objectives."""
    surface = {"observation", "action", "reward", "order_reach", "objectives"}
    return all(getattr(one, f) == getattr(other, f) for f in vars(one) if f not in surface)
