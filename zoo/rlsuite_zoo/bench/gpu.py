"""`rlsuite bench gpu`: kernels alone and whole PPO training on a GPU; needs no download and no MuJoCo.

Kernel rates are environment steps of `TensorVectorEnv` under random actions, eager and with the step compiled
(CUDA graphs through torch.compile's "reduce-overhead"). Training is collection, targets and updates together, eager
and with the loss compiled. Every rate is the median of the repeats after a warm-up; the device is waited for at both
ends of a measurement.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from rich.console import Console
from rich.table import Table

import rlsuite_envs  # noqa: F401  # registers the kernels
from rlsuite import PPO
from rlsuite_zoo.bench.report import write_report
from rlsuite_zoo.provenance import machine

ENVS = ("rlsuite/CartPole-v1", "rlsuite/Pendulum-v1")


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _rate(work: Callable[[], int], device: torch.device, repeats: int) -> float:
    """Median steps per second of `work`, which returns how many steps it did."""
    rates = []
    for _ in range(repeats):
        _wait(device)
        start = time.perf_counter()
        steps = work()
        _wait(device)
        rates.append(steps / (time.perf_counter() - start))
    return statistics.median(rates)


def kernel_rate(env_id: str, num_envs: int, device: torch.device, *, steps: int, repeats: int, compile: bool) -> float:
    """Steps per second of the tensor environment alone under random actions."""
    env: Any = gym.make_vec(env_id, num_envs=num_envs, device=str(device), output="torch", compile=compile)
    env.reset(seed=0)
    actions = [torch.as_tensor(env.action_space.sample(), device=device) for _ in range(8)]

    def work() -> int:
        for i in range(steps):
            env.step(actions[i % 8])
        return steps * num_envs

    work()
    rate = _rate(work, device, repeats)
    env.close()
    return rate


def training_rate(
    env_id: str,
    num_envs: int,
    device: torch.device,
    *,
    rollouts: int,
    repeats: int,
    compile: bool,
    n_steps: int,
) -> float:
    """Steps per second of whole PPO training, the warm-up and compilation excluded."""
    batch_size = max(num_envs * n_steps // 16, 64)
    model = PPO(
        env_id,
        num_envs=num_envs,
        device=str(device),
        n_steps=n_steps,
        batch_size=batch_size,
        n_epochs=4,
        backend="torch",
        compile=compile,
        learning_rate=1e-3,
    )
    budget = rollouts * num_envs * n_steps
    model.learn(2 * num_envs * n_steps, log_interval=None)

    def work() -> int:
        model.learn(budget, log_interval=None, reset_num_timesteps=False)
        return budget

    return _rate(work, device, repeats)


def main(
    *,
    num_envs: int = 65_536,
    n_steps: int = 32,
    kernel_steps: int = 500,
    rollouts: int = 5,
    repeats: int = 3,
    device: str = "cuda",
    compile: bool = True,
    out: Path | None = None,
) -> dict[str, Any]:
    """Measure the CartPole and Pendulum kernels and PPO on them; print and optionally write a table.

    Args:
        num_envs: environments stepped together.
        n_steps: steps per environment and rollout in training.
        kernel_steps: steps of every environment in one kernel measurement.
        rollouts: rollouts in one training measurement.
        repeats: measurements; the median counts.
        device: "cuda"; "cpu" only to try the command.
        compile: also measure with torch.compile.
        out: folder for gpu.json and gpu.md.

    Raises:
        ValueError: no GPU in this machine.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(
            "device 'cuda': torch sees no GPU here; run this where one is, or try the command with --device cpu"
        )
    place = torch.device(device)
    torch.set_float32_matmul_precision("high")
    table = Table(
        title=f"{num_envs:,} environments on {torch.cuda.get_device_name(place) if place.type == 'cuda' else 'the CPU'}"
    )
    for column in ("environment", "what", "eager, steps/s", "compiled, steps/s"):
        table.add_column(column)
    console, rates = Console(), {}
    for env_id in ENVS:
        for what in ("kernel", "training"):
            row = {}
            for compiled in (False, True) if compile else (False,):
                if what == "kernel":
                    rate = kernel_rate(env_id, num_envs, place, steps=kernel_steps, repeats=repeats, compile=compiled)
                else:
                    rate = training_rate(
                        env_id,
                        num_envs,
                        place,
                        rollouts=rollouts,
                        repeats=repeats,
                        compile=compiled,
                        n_steps=n_steps,
                    )
                row["compiled" if compiled else "eager"] = rate
                console.print(f"{env_id} {what} {'compiled' if compiled else 'eager'}: {rate:,.0f} steps/s")
            rates[f"{env_id} {what}"] = row
            table.add_row(env_id, what, *(f"{row[key]:,.0f}" if key in row else "-" for key in ("eager", "compiled")))
    console.print(table)
    result = {
        "benchmark": "gpu",
        "num_envs": num_envs,
        "n_steps": n_steps,
        "rates": rates,
        "machine": machine(),
    }
    write_report(result, table, out, "gpu")
    return result
