"""`rlsuite bench train`: PPO training steps per second beside Stable-Baselines3 and SBX, identical hyper-parameters.

Each measurement is a process of its own (thread counts are per process, and JAX must not share one with torch). The
competitors take turns, so that a disturbance of the machine hits all of them; the median of the repeats counts.
Warm-up (imports, environment construction, compilation, the first updates) is not in the rate but in the table.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rlsuite_zoo.bench.report import write_report
from rlsuite_zoo.provenance import machine


@dataclasses.dataclass(frozen=True)
class Setting:
    """Hyper-parameters with which every competitor trains."""

    env: str = "HalfCheetah-v5"
    num_envs: int = 16
    n_steps: int = 128
    batch_size: int = 64
    n_epochs: int = 10
    net_arch: tuple[int, ...] = (64, 64)
    steps: int = 61_440
    """Environment steps of one measurement, after the warm-up."""


WARM_UP_ROLLOUTS = 3


def competitors(threads: int) -> dict[str, dict[str, Any]]:
    """Name and settings of each measurement; Stable-Baselines3 at each thread count and both of its vector envs."""
    rows: dict[str, dict[str, Any]] = {
        "rlsuite (numpy back end)": {"library": "rlsuite", "threads": 1, "backend": "numpy"}
    }
    rows["rlsuite (torch back end)"] = {"library": "rlsuite", "threads": 1, "backend": "torch"}
    for count in sorted({1, threads}):
        for vec_env in ("dummy", "subproc"):
            rows[f"SB3, {count} torch thread{'s' * (count > 1)}, {vec_env}"] = {
                "library": "sb3",
                "threads": count,
                "vec_env": vec_env,
            }
    if importlib.util.find_spec("sbx") is not None:
        for vec_env in ("dummy", "subproc"):
            rows[f"SBX, {vec_env}"] = {"library": "sbx", "threads": threads, "vec_env": vec_env}
    return rows


def measure(
    library: str, setting: Setting, *, threads: int, backend: str = "auto", vec_env: str = "dummy"
) -> dict[str, float]:
    """Steps per second of one competitor in this process, and the seconds of its warm-up."""
    start = time.perf_counter()
    rollout = setting.n_steps * setting.num_envs
    common: dict[str, Any] = {
        "n_steps": setting.n_steps,
        "batch_size": setting.batch_size,
        "n_epochs": setting.n_epochs,
    }
    if library == "rlsuite":
        from rlsuite import PPO

        model: Any = PPO(
            setting.env,
            num_envs=setting.num_envs,
            device="cpu",
            seed=0,
            backend=backend,
            net_arch=setting.net_arch,
            **common,
        )
    else:
        import torch
        from stable_baselines3.common.env_util import make_vec_env
        from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

        torch.set_num_threads(threads)
        kind: Any = {"dummy": DummyVecEnv, "subproc": SubprocVecEnv}[vec_env]
        env = make_vec_env(setting.env, setting.num_envs, seed=0, vec_env_cls=kind)
        module = importlib.import_module({"sb3": "stable_baselines3", "sbx": "sbx"}[library])
        kwargs: dict[str, Any] = {"policy_kwargs": {"net_arch": list(setting.net_arch)}}
        if library == "sb3":
            kwargs["device"] = "cpu"
        model = module.PPO("MlpPolicy", env, seed=0, **common, **kwargs)
    model.learn(WARM_UP_ROLLOUTS * rollout)
    warm_up = time.perf_counter() - start
    start = time.perf_counter()
    model.learn(setting.steps, reset_num_timesteps=False)
    rate = setting.steps / (time.perf_counter() - start)
    return {"steps_per_s": rate, "warm_up_s": warm_up}


def main(
    *,
    env: str = "HalfCheetah-v5",
    num_envs: int = 16,
    n_steps: int = 128,
    steps: int = 61_440,
    repeats: int = 3,
    threads: int | None = None,
    out: Path | None = None,
) -> dict[str, Any]:
    """Measure every installed competitor `repeats` times in turn; print a table of medians and ratios.

    Args:
        env: environment id.
        num_envs: environments stepped together.
        n_steps: steps per environment and rollout.
        steps: environment steps of one measurement.
        repeats: measurements of each competitor; the median counts.
        threads: CPU threads of the largest setting; all cores by default.
        out: folder for train.json and train.md.
    """
    setting = Setting(env=env, num_envs=num_envs, n_steps=n_steps, steps=steps)
    rows = competitors(threads or os.cpu_count() or 1)
    rates: dict[str, list[float]] = {name: [] for name in rows}
    warm: dict[str, float] = {}
    console = Console()
    for repeat in range(repeats):
        for name, options in rows.items():
            result = _in_process(setting, options)
            rates[name].append(result["steps_per_s"])
            warm[name] = result["warm_up_s"]
            console.print(f"[{repeat + 1}/{repeats}] {name}: {result['steps_per_s']:,.0f} steps/s")
    return _report(setting, rates, warm, console, out)


def _in_process(setting: Setting, options: dict[str, Any]) -> dict[str, float]:
    request = json.dumps({"setting": dataclasses.asdict(setting), "options": options})
    environment = os.environ | {"OMP_NUM_THREADS": str(options["threads"]), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-m", "rlsuite_zoo.bench.train", request],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"measuring {options} failed with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def _report(
    setting: Setting,
    rates: dict[str, list[float]],
    warm: dict[str, float],
    console: Console,
    out: Path | None,
) -> dict[str, Any]:
    medians = {name: statistics.median(values) for name, values in rates.items()}
    best = {
        library: max(value for name, value in medians.items() if name.startswith(prefix))
        for library, prefix in (("rlsuite", "rlsuite"), ("sb3", "SB3"), ("sbx", "SBX"))
        if any(name.startswith(prefix) for name in medians)
    }
    table = Table(title=f"PPO training, {setting.env}, {setting.num_envs} envs x {setting.n_steps} steps")
    for column in ("", "steps/s (median)", "least - most", "rlsuite's best is ... times", "warm-up, s"):
        table.add_column(column, justify="left" if not column else "right")
    for name, values in rates.items():
        spread = f"{min(values):,.0f} - {max(values):,.0f}"
        table.add_row(
            name,
            f"{medians[name]:,.0f}",
            spread,
            f"{best['rlsuite'] / medians[name]:.2f}",
            f"{warm[name]:.1f}",
        )
    console.print(table)
    result: dict[str, Any] = {
        "benchmark": "train",
        "setting": dataclasses.asdict(setting),
        "rates": rates,
        "medians": medians,
        "ratios": {
            f"rlsuite / {library}": best["rlsuite"] / rate for library, rate in best.items() if library != "rlsuite"
        },
        "machine": machine(),
    }
    console.print(", ".join(f"{name} = {ratio:.2f}" for name, ratio in result["ratios"].items()))
    write_report(result, table, out, "train")
    return result


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    values = asked["setting"] | {"net_arch": tuple(asked["setting"]["net_arch"])}
    choice = asked["options"]
    print(json.dumps(measure(choice.pop("library"), Setting(**values), **choice)))
