"""`rlsuite bench envs`: steps per second of every environment kernel beside what else there is.

A kernel is stepped with uniform random actions, tensors in and out, at several numbers of copies; observations,
rewards, infos and restarts are part of a step. Beside it: the fastest public implementation that is installed
(`PEERS`), and a Python loop over our own single environment (`gym.make`), both one step at a time. The ratio
is the kernel's rate at 4096 copies to the faster of the two.

A state that would not fit into memory is not measured: the picture variants of the mazes at 65,536 copies.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from rlsuite_envs.registration import KERNELS
from rlsuite_zoo.bench.report import write_report
from rlsuite_zoo.errors import UsageError, unknown
from rlsuite_zoo.provenance import machine

__all__ = ["main"]

COPIES = (1, 64, 4096, 65_536)
JUDGED = 4096
LARGEST_OBS = 1 << 30  # bytes of one batch of observations
ACTION_BATCHES = 4
FAMILIES = ("inventory", "cheap_talk", "coverage", "mazes")
ON_DEMAND = ("classic", "multi_objective")
"""Families that are measured where they are named."""


def _gym_invmgmt() -> gym.Env[Any, Any]:
    from gym_invmgmt import CoreEnv

    return CoreEnv(scenario="network")


def _point_maze() -> gym.Env[Any, Any]:
    import gymnasium_robotics

    gym.register_envs(gymnasium_robotics)
    return gym.make("PointMaze_UMaze-v3")


def _mo_gymnasium(id: str) -> Callable[[], gym.Env[Any, Any]]:
    def make() -> gym.Env[Any, Any]:
        import mo_gymnasium

        made: gym.Env[Any, Any] = mo_gymnasium.make(id)
        return made

    return make


PEERS: dict[str, tuple[str, Callable[[], gym.Env[Any, Any]]]] = {
    "rlsuite/SupplyNetwork-v0": ("gym_invmgmt", _gym_invmgmt),
    "rlsuite/PointMaze-v0": ("gymnasium_robotics", _point_maze),
    "rlsuite/DeepSeaTreasure-v0": ("mo_gymnasium", _mo_gymnasium("deep-sea-treasure-v0")),
    "rlsuite/ResourceGathering-v0": ("mo_gymnasium", _mo_gymnasium("resource-gathering-v0")),
    "rlsuite/FourRoom-v0": ("mo_gymnasium", _mo_gymnasium("four-room-v0")),
    "rlsuite/FruitTree-v0": ("mo_gymnasium", _mo_gymnasium("fruit-tree-v0")),
    "rlsuite/Minecart-v0": ("mo_gymnasium", _mo_gymnasium("minecart-v0")),
    "rlsuite/CartPole-v1": ("gymnasium", lambda: gym.make("CartPole-v1")),
    "rlsuite/Acrobot-v1": ("gymnasium", lambda: gym.make("Acrobot-v1")),
    "rlsuite/Pendulum-v1": ("gymnasium", lambda: gym.make("Pendulum-v1")),
    "rlsuite/MountainCar-v1": ("gymnasium", lambda: gym.make("MountainCar-v0")),
    "rlsuite/MountainCarContinuous-v1": ("gymnasium", lambda: gym.make("MountainCarContinuous-v0")),
}
"""Public implementations, by our id: the package, and how to make one of its environments."""


def main(
    *,
    envs: tuple[str, ...] = (),
    copies: tuple[int, ...] = COPIES,
    num_threads: int = 2,
    seconds: float = 1.0,
    compile: bool = False,
    out: Path | None = None,
) -> dict[str, Any]:
    """Measure kernels, the single environment and public implementations; print a table of steps per second.

    Args:
        envs: ids or families (inventory, cheap_talk, coverage, mazes, classic, multi_objective); none for one id of
            every kernel of the first four.
        copies: numbers of copies.
        num_threads: torch threads.
        seconds: how long each is measured, three times; the median counts.
        compile: pass the kernels through torch.compile (its own time is not counted).
        out: folder for kernels.json and kernels.md.
    """
    if seconds <= 0 or num_threads < 1 or any(n < 1 for n in copies):
        raise UsageError("--seconds must be above 0, --num-threads and --copies at least 1")
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    rates: dict[str, dict[str, float]] = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        for id in _chosen(envs):
            rates[id] = _measure(id, copies, seconds, compile)
            console.print(f"{id}: " + ", ".join(f"{name} {rate:,.0f}" for name, rate in rates[id].items()))
    finally:
        torch.set_num_threads(threads)
    return _report(rates, copies, num_threads, console, out)


def _chosen(envs: tuple[str, ...]) -> list[str]:
    """The ids asked for; by default the first id of every kernel."""
    families: dict[str, list[str]] = {}
    first: dict[str, str] = {}
    for entry in KERNELS:
        family = entry.kernel.partition(".")[0]
        if family in (*FAMILIES, *ON_DEMAND) and entry.kernel not in first:
            first[entry.kernel] = entry.id
            families.setdefault(family, []).append(entry.id)
    known = {entry.id for entry in KERNELS}
    chosen: list[str] = []
    for name in envs or FAMILIES:
        if name not in known and name not in families:
            raise unknown("environment or family", name, [*families, *known])
        chosen += families.get(name, [name])
    return chosen


def _measure(id: str, copies: tuple[int, ...], seconds: float, compile: bool) -> dict[str, float]:
    rates = {}
    for num in copies:
        if num * _bytes(gym.make_vec(id, num_envs=1).single_observation_space) > LARGEST_OBS:
            continue
        rates[f"{num:,} copies"] = _kernel(id, num, seconds, compile)
    rates["single"] = _loop(gym.make(id), seconds)
    if id in PEERS:
        package, make = PEERS[id]
        if importlib.util.find_spec(package) is not None:
            rates[package] = _loop(make(), seconds)
    return rates


def _bytes(space: Any) -> int:
    """Memory of one observation of a space with a shape; 0 for others."""
    return int(np.prod(space.shape)) * space.dtype.itemsize if space.shape else 0


def _kernel(id: str, num: int, seconds: float, compile: bool) -> float:
    """Steps per second of num copies: the median of three measurements, after a warm-up."""
    env: Any = gym.make_vec(id, num_envs=num, device="cpu", output="torch", compile=compile)
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [_tensors(env.action_space.sample()) for _ in range(ACTION_BATCHES)]
    for action in actions:  # the first steps allocate, and compile
        env.step(action)
    taken = []
    for _ in range(3):
        done, start = 0, time.perf_counter()
        while (spent := time.perf_counter() - start) < seconds or done < ACTION_BATCHES:
            for action in actions:
                env.step(action)
            done += ACTION_BATCHES
        taken.append(done * num / spent)
    return statistics.median(taken)


def _tensors(action: Any) -> Any:
    if isinstance(action, tuple):
        return tuple(_tensors(part) for part in action)
    return torch.as_tensor(np.asarray(action))


def _loop(env: gym.Env[Any, Any], seconds: float) -> float:
    """Steps per second of a Python loop over one environment, resets included."""
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(64)]
    taken = []
    for _ in range(3):
        done, start = 0, time.perf_counter()
        while (spent := time.perf_counter() - start) < seconds:
            for action in actions:
                _, _, terminated, truncated, _ = env.step(action)
                if terminated or truncated:
                    env.reset()
            done += len(actions)
        taken.append(done / spent)
    env.close()
    return statistics.median(taken)


def _report(
    rates: dict[str, dict[str, float]],
    copies: tuple[int, ...],
    num_threads: int,
    console: Console,
    out: Path | None,
) -> dict[str, Any]:
    """Print and write the table."""
    table = Table(title=f"Environment kernels, steps per second, {num_threads} threads")
    columns = [f"{num:,} copies" for num in copies]
    for head in ("environment", *columns, "our single env", "public implementation", f"ratio at {JUDGED:,}"):
        table.add_column(head, justify="left" if head == "environment" else "right")
    ratios: dict[str, float] = {}
    for id, rate in rates.items():
        peer = {name: value for name, value in rate.items() if name not in (*columns, "single")}
        ratio = rate.get(f"{JUDGED:,} copies", float("nan")) / max(rate["single"], *peer.values(), 0.0)
        if np.isfinite(ratio):
            ratios[id] = ratio
        table.add_row(
            id.removeprefix("rlsuite/"),
            *(f"{rate[name]:,.0f}" if name in rate else "–" for name in columns),
            f"{rate['single']:,.0f}",
            ", ".join(f"{name} {value:,.0f}" for name, value in peer.items()) or "–",
            f"{ratio:,.0f}" if np.isfinite(ratio) else "–",
        )
    console.print(table)
    summary = {}
    if ratios:
        summary["geometric mean of the ratios"] = statistics.geometric_mean(ratios.values())
        summary["smallest ratio"] = min(ratios.values())
    result = {
        "machine": machine(),
        "num_threads": num_threads,
        "steps_per_s": rates,
        "ratio_by_environment": ratios,
        "ratios": summary,
    }
    write_report(result, table, out, "kernels")
    return result


if __name__ == "__main__":
    main()
