"""`rlsuite bench rollout`: environment steps per second of the MuJoCo pool beside its limit and EnvPool.

Everything is measured in one process, and takes turns of 25 steps, so that a disturbance of the machine
hits all of it alike; the median of the repeats counts. Actions are uniform over the action space. A
trajectory of the pool is recorded first. A step is a transition that a learner can use.

raw: `mj_step(model, data, nstep=frame_skip)` of one thread, from each recorded state with its recorded
    action; the cost of calling it from Python (`nstep=0`) is subtracted, loading the state is not counted.
bare: `Batch.step` of all environments from the same states on all threads; no observation, reward or reset.
pool: `MujocoPool.step` along the same trajectory: observations, rewards, infos and resets included.
envpool: `step` of EnvPool at equal threads and environments, on its own states, as it comes; it spends a call
    on each reset, in which that environment makes no transition.
sync: Gymnasium's `SyncVectorEnv`, only where asked for.

The limit is threads x raw. It is a hard one only if the threads are whole cores: on a busy machine, or where
two of them share a core, nothing reaches it, and only ratios within one run mean something.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from mujoco.batch import Batch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from rlsuite_envs.mujoco import MujocoPool
from rlsuite_zoo.bench.report import write_report
from rlsuite_zoo.provenance import machine

__all__ = ["main"]

TASKS = ("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "Ant-v5", "Humanoid-v5")
CARTPOLE_COPIES = (64, 1_024, 16_384)
TURN = 25  # steps of one competitor before the next one's; with turns of one step all run from cold caches
WARM_UP = 100  # steps before the recording, after which episodes are no longer in step
FULL_STATE = int(mujoco.mjtState.mjSTATE_INTEGRATION)

# takes step t of the recorded actions; returns the seconds it took and the transitions it made
Stepper = Callable[[int], tuple[float, int]]


def main(
    *,
    num_envs: int = 64,
    num_threads: int = 2,
    steps: int = 150,
    repeats: int = 3,
    tasks: tuple[str, ...] = TASKS,
    sync: bool = False,
    cartpole: bool = True,
    out: Path | None = None,
) -> dict[str, Any]:
    """Measure the pool, its limit and EnvPool on each task, and the CartPole kernel; print a table.

    Args:
        num_envs: environments stepped together.
        num_threads: threads of the pool and of EnvPool.
        steps: steps per environment and repeat.
        repeats: measurements of each; the median counts.
        tasks: Gymnasium ids of MuJoCo v5 tasks.
        sync: measure Gymnasium's SyncVectorEnv as well (slow).
        cartpole: measure the CartPole kernel as well.
        out: folder for rollout.json and rollout.md.
    """
    console = Console()
    rates: dict[str, dict[str, float]] = {}
    for task in tasks:
        rates[task] = _measure(task, num_envs, num_threads, steps, repeats, sync)
        console.print(f"{task}: " + ", ".join(f"{k} {v:,.0f}" for k, v in rates[task].items()) + " steps/s")
    kernel = _cartpole(num_threads, repeats) if cartpole else {}
    for copies, rate in kernel.items():
        console.print(f"CartPole kernel, {copies:,} copies: {rate / 1e6:.2f} million steps/s")
    return _report(rates, kernel, num_envs, num_threads, console, out)


def _measure(task: str, num_envs: int, num_threads: int, steps: int, repeats: int, sync: bool) -> dict[str, float]:
    """Median steps per second of each competitor on one task."""
    recording = _Recording(task, num_envs, num_threads, steps)
    runs: dict[str, Stepper] = {"raw": recording.raw, "bare": recording.bare, "pool": recording.pool}
    if importlib.util.find_spec("envpool") is not None:
        import envpool

        rival = envpool.make(task, env_type="gymnasium", num_envs=num_envs, num_threads=num_threads, seed=0)
        runs["envpool"] = _free_running(rival, recording.actions)
    if sync:
        runs["sync"] = _free_running(gym.make_vec(task, num_envs, vectorization_mode="sync"), recording.actions)
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        spent, made = dict.fromkeys(runs, 0.0), dict.fromkeys(runs, 0)
        recording.rewind()
        for start in range(0, steps, TURN):
            for name, run in runs.items():
                for t in range(start, min(start + TURN, steps)):
                    seconds, transitions = run(t)
                    spent[name] += seconds
                    made[name] += transitions
        for name, seconds in spent.items():
            taken[name].append(made[name] / seconds)
    return {name: statistics.median(values) for name, values in taken.items()}


class _Recording:
    """A trajectory of the pool, and the three ways of stepping through it again."""

    def __init__(self, task: str, num_envs: int, num_threads: int, steps: int) -> None:
        self._pool = MujocoPool(task, num_envs, num_threads=num_threads)
        low, high = self._pool.model.actuator_ctrlrange.T
        shape = (WARM_UP + steps, num_envs, len(low))
        actions = np.random.default_rng(0).uniform(low, high, shape).astype(np.float32)
        self._pool.reset(seed=0)
        for action in actions[:WARM_UP]:
            self._pool.step(action)
        self.actions = actions[WARM_UP:]
        self._start = self._pool.state_dict()
        self._states = np.empty((steps, *self._start["physics"].shape))
        for i, action in enumerate(self.actions):
            self._states[i] = self._pool.state_dict()["physics"]
            self._pool.step(action)
        self._model = self._pool.model
        self._frame_skip = self._pool.task.frame_skip
        # without the hook that computes contact forces: the limit is MuJoCo's own step and nothing else
        self._plain = mujoco.MjModel.from_xml_path(gym.make(task).unwrapped.fullpath)  # type: ignore[attr-defined]
        self._data = mujoco.MjData(self._plain)
        self._batch = Batch(self._plain, num_envs, num_threads)
        self._ctrl = self._batch.bind("ctrl")

    def rewind(self) -> None:
        """Go back to the start of the recorded trajectory."""
        self._pool.load_state_dict(self._start)

    def raw(self, t: int) -> tuple[float, int]:
        """One thread, `mj_step` alone."""
        model, data, skip, clock = self._plain, self._data, self._frame_skip, time.perf_counter
        spent = 0.0
        for state, action in zip(self._states[t], self.actions[t], strict=True):
            mujoco.mj_setState(model, data, state, FULL_STATE)
            data.ctrl[:] = action
            before = clock()
            mujoco.mj_step(model, data, nstep=0)
            start = clock()
            mujoco.mj_step(model, data, nstep=skip)
            spent += clock() - start - (start - before)
        return spent, len(self.actions[t])

    def bare(self, t: int) -> tuple[float, int]:
        """All threads, the physics alone."""
        self._batch.state[:] = self._states[t]
        self._ctrl[:] = self.actions[t]
        start = time.perf_counter()
        self._batch.step(nstep=self._frame_skip)
        return time.perf_counter() - start, len(self.actions[t])

    def pool(self, t: int) -> tuple[float, int]:
        """All threads, the whole environment."""
        start = time.perf_counter()
        self._pool.step(self.actions[t])
        return time.perf_counter() - start, len(self.actions[t])


def _free_running(env: Any, actions: NDArray[np.float32]) -> Stepper:
    """A competitor that steps on from wherever it is, after a warm-up."""
    env.reset()
    for action in actions[:WARM_UP]:
        _, _, terminated, truncated, _ = env.step(action)
    same_step = env.metadata.get("autoreset_mode") == AutoresetMode.SAME_STEP
    resetting = np.logical_or(terminated, truncated)

    def run(t: int) -> tuple[float, int]:
        nonlocal resetting
        start = time.perf_counter()
        _, _, terminated, truncated, _ = env.step(actions[t])
        spent = time.perf_counter() - start
        lost = 0 if same_step else int(resetting.sum())
        resetting = np.logical_or(terminated, truncated)
        return spent, len(actions[t]) - lost

    return run


def _cartpole(num_threads: int, repeats: int) -> dict[int, float]:
    """Steps per second of the CartPole kernel with uniform actions, by number of copies."""
    rates: dict[int, float] = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    for copies in CARTPOLE_COPIES:
        env = gym.make_vec("rlsuite/CartPole-v1", num_envs=copies, device="cpu", output="torch")
        env.reset(seed=0)
        actions = torch.randint(0, 2, (32, copies))
        rounds = max(1, 1_000_000 // (copies * len(actions)))
        taken = []
        for _ in range(repeats + 1):
            start = time.perf_counter()
            for _ in range(min(rounds, 30)):
                for action in actions:
                    env.step(action)
            taken.append(min(rounds, 30) * actions.numel() / (time.perf_counter() - start))
        rates[copies] = statistics.median(taken[1:])
    torch.set_num_threads(threads)
    return rates


def _report(
    rates: dict[str, dict[str, float]],
    kernel: dict[int, float],
    num_envs: int,
    num_threads: int,
    console: Console,
    out: Path | None,
) -> dict[str, Any]:
    """Print and write the table of medians and ratios."""
    names = [name for name in ("raw", "bare", "pool", "envpool", "sync") if all(name in r for r in rates.values())]
    table = Table(title=f"Environment steps per second, {num_envs} environments, {num_threads} threads")
    for head in ("task", *names, "bare / limit", "pool / limit", *["pool / envpool"] * ("envpool" in names)):
        table.add_column(head, justify="left" if head == "task" else "right")
    of_limit, of_envpool = [], []
    for task, rate in rates.items():
        limit = num_threads * rate["raw"]
        of_limit.append(rate["pool"] / limit)
        cells = [f"{rate['bare'] / limit:.2f}", f"{of_limit[-1]:.2f}"]
        if "envpool" in names:
            of_envpool.append(rate["pool"] / rate["envpool"])
            cells.append(f"{of_envpool[-1]:.2f}")
        table.add_row(task, *(f"{rate[name]:,.0f}" for name in names), *cells)
    ratios: dict[str, float] = {}
    if of_limit:
        ratios["pool / (threads x raw mj_step), geometric mean"] = statistics.geometric_mean(of_limit)
        ratios["pool / (threads x raw mj_step), smallest"] = min(of_limit)
    if of_envpool:
        ratios["pool / EnvPool, geometric mean"] = statistics.geometric_mean(of_envpool)
        ratios["pool / EnvPool, smallest"] = min(of_envpool)
    for copies, rate_ in kernel.items():
        ratios[f"CartPole kernel, {copies:,} copies, million steps/s"] = rate_ / 1e6
    console.print(table)
    for name, value in ratios.items():
        console.print(f"{name}: {value:.2f}")
    result = {
        "machine": machine(),
        "num_envs": num_envs,
        "num_threads": num_threads,
        "steps_per_s": rates,
        "cartpole_steps_per_s": kernel,
        "ratios": ratios,
    }
    write_report(result, table, out, "rollout")
    return result


if __name__ == "__main__":
    main()
