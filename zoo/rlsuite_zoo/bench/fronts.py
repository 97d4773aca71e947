"""`rlsuite bench fronts`: sets of policies beside morl-baselines, at equal environment steps.

Every algorithm trains in a process of its own on one thread, then all are judged alike: the policies it found play
fresh episodes by their modes, and hypervolume and expected utility are those of their mean discounted returns. Time is
that of training with the evaluations by which an algorithm chooses; the rate without them is told, too.

morl-baselines is not installed beside rlsuite, since it pins other versions. Give the Python of an environment that has
it: `python3.11 -m venv ENV`, then `ENV/bin/pip install "morl-baselines[all]" "gymnasium[mujoco]"` (a CPU build of torch
first, if wanted), and `rlsuite bench fronts --python ENV/bin/python`. Without it our own rows are measured.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import rlsuite
from rlsuite.multi_objective import front_indicators, nondominated
from rlsuite_zoo.bench.report import write_report
from rlsuite_zoo.errors import UsageError, unknown
from rlsuite_zoo.provenance import machine
from rlsuite_zoo.runs.recipe import parse_count

__all__ = ["TASKS", "Task", "main", "measure"]

TEAM: dict[str, Any] = {"num_envs": 24, "n_steps": 128, "batch_size": 64, "n_epochs": 10, "learning_rate": 3e-4}
"""Six policies of four environments: morl-baselines' PGMORL with its sizes of networks, epochs and step size."""
GENERATIONS: dict[str, Any] = {"warmup_updates": 4, "generation_updates": 4}
THEIR_PGMORL: dict[str, Any] = {
    "num_envs": 4,
    "pop_size": 6,
    "steps_per_iteration": 128,
    "num_minibatches": 8,
    "warmup_iterations": 4,
    "evolutionary_iterations": 4,
}
"""The same numbers in its words: minibatches of 64 of the 512 samples of a policy."""
THEIRS = {"mujoco": ("PGMORL", "CAPQL", "GPI-LS"), "table": ("GPI-LS",)}


@dataclasses.dataclass(frozen=True)
class Task:
    """An environment, how returns on it are measured, and who trains there."""

    id: str
    """mo-gymnasium's."""
    ours: str
    """Equal to it step for step."""
    gamma: float
    reference: tuple[float, ...]
    settings: dict[str, dict[str, Any]]
    """Of our algorithms, by name."""
    theirs: tuple[str, ...]


def _mujoco(id: str) -> Task:
    settings = {"C-MORL": TEAM | {"extension_updates": 5, "eval_interval": 5}, "PGMORL": TEAM | GENERATIONS}
    return Task(id, id, 0.99, (-100.0, -100.0), settings, THEIRS["mujoco"])


SMALL: dict[str, Any] = {"num_envs": 24, "n_steps": 32, "batch_size": 64, "learning_rate": "linear:1e-3"}
SMALL |= {"divisions": 1, "n_select": 6, "extension_updates": 5, "extension_learning_rate": 5e-3, "archive_size": 200}
SMALL |= {"ent_coef": 0.15, "beta": 0.2, "eval_episodes": 1, "eval_interval": 1, "init_fraction": 0.1}
CART: dict[str, Any] = {"num_envs": 24, "n_steps": 256, "batch_size": 128, "learning_rate": 1e-3, "ent_coef": 0.02}
CART |= {"divisions": 2, "extension_updates": 5, "eval_interval": 5, "init_fraction": 0.5}

TASKS = {
    task.id: task
    for task in (
        _mujoco("mo-hopper-2obj-v5"),
        _mujoco("mo-halfcheetah-v5"),
        Task("minecart-v0", "rlsuite/Minecart-v0", 0.98, (-1.0, -1.0, -200.0), {"C-MORL": CART}, THEIRS["table"]),
        Task("fruit-tree-v0", "rlsuite/FruitTree-v0", 0.99, (-1.0,) * 6, {"C-MORL": SMALL}, THEIRS["table"]),
    )
}


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Train one of our algorithms in this process, and play its set again.

    Args:
        request: task, algorithm, steps, seed, episodes.

    Returns:
        seconds of training, `evaluating` of them, steps, points [C, K], and the curve [*, 2] of seconds and
        hypervolume by the returns that select.
    """
    torch.set_num_threads(1)
    task = TASKS[request["task"]]
    kind: Any = {"C-MORL": rlsuite.CMORL, "PGMORL": rlsuite.PGMORL}[request["algorithm"]]
    common = {"gamma": task.gamma, "eval_gamma": task.gamma, "reference": task.reference, "seed": request["seed"]}
    agent = kind(task.ours, device="cpu", **(common | task.settings[request["algorithm"]]))
    evaluating, curve = [0.0], []
    played = agent.measured

    def timed(*args: Any, **options: Any) -> Any:
        begun = time.perf_counter()
        found = played(*args, **options)
        evaluating[0] += time.perf_counter() - begun
        return found

    def note(model: Any) -> None:
        stock = next(part for part in model.further_state().values() if hasattr(part, "reference"))
        if (volume := model.progress(stock).get("hypervolume")) is not None:
            curve.append((time.perf_counter() - begun, volume))

    agent.measured = timed
    begun = time.perf_counter()
    agent.learn(request["steps"], log_interval=None, on_update=note)
    seconds = time.perf_counter() - begun
    found = agent.measure_members(episodes=request["episodes"], gamma=task.gamma, seed=10_000)
    points = found.objectives.tolist()
    steps = agent.num_timesteps
    return {"seconds": seconds, "evaluating": evaluating[0], "steps": steps, "points": points, "curve": curve}


def main(
    *,
    tasks: str = "",
    steps: str = "36864",
    python: str = "",
    theirs: str = "",
    episodes: int = 10,
    seed: int = 0,
    out: Path | None = None,
) -> dict[str, Any]:
    """Train every algorithm on every task, one after the other; print a table of fronts and rates.

    Args:
        tasks: ids separated by commas; all by default.
        steps: environment steps of each training; multiples of 12,288 are whole generations of both PGMORLs.
        python: interpreter of an environment with morl-baselines; without one, only ours train.
        theirs: algorithms of morl-baselines, separated by commas (PGMORL, CAPQL, GPI-LS); all by default. GPI-LS makes
            20 gradient steps for every environment step, so that it takes the longest by far.
        episodes: fresh episodes of each policy.
        seed: of all.
        out: folder for fronts.json and fronts.md.

    Raises:
        UsageError: an unknown task or algorithm, bad numbers, or an interpreter that is none or has no morl-baselines.
    """
    names = [name.strip() for name in tasks.split(",") if name.strip()] or list(TASKS)
    for name in names:
        if name not in TASKS:
            raise unknown("task", name, TASKS)
    total = parse_count(steps, "--steps")
    if episodes < 1:
        raise UsageError(f"--episodes is {episodes}; it must be at least 1")
    known = list(dict.fromkeys(name for task in TASKS.values() for name in task.theirs))
    wanted = [name.strip() for name in theirs.split(",") if name.strip()] or known
    for name in wanted:
        if name not in known:
            raise unknown("algorithm of morl-baselines", name, known)
    if python:
        _check_python(python)
    console, rows = Console(), []
    for name in names:
        task = TASKS[name]
        request = {"task": name, "steps": total, "seed": seed, "episodes": episodes}
        for algorithm in task.settings:
            rows.append(_row(task, f"{algorithm} (rlsuite)", _ours(request | {"algorithm": algorithm})))
            console.print(_line(rows[-1]))
        for algorithm in [name for name in task.theirs if python and name in wanted]:
            settings = THEIR_PGMORL if algorithm == "PGMORL" else {}
            asked = request | {"algorithm": algorithm, "settings": settings}
            asked |= {"gamma": task.gamma, "reference": task.reference}
            script = str(Path(__file__).with_name("fronts_elsewhere.py"))
            rows.append(_row(task, f"{algorithm} (morl-baselines)", _in_process([python, script], asked)))
            console.print(_line(rows[-1]))
    return _report(rows, total, console, out)


def _check_python(python: str) -> None:
    try:
        done = subprocess.run([python, "-c", "import morl_baselines"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise UsageError(f"--python {python} cannot be started ({error.strerror}); give a Python interpreter") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UsageError(f"--python {python} has no morl-baselines ({last}); `pip install morl-baselines` there")


def _ours(request: dict[str, Any]) -> dict[str, Any]:
    return _in_process([sys.executable, "-m", "rlsuite_zoo.bench.fronts"], request)


def _in_process(command: list[str], request: dict[str, Any]) -> dict[str, Any]:
    """The JSON in the last line that a process prints.

    Raises:
        RuntimeError: it failed, or printed none.
    """
    done = subprocess.run(
        [*command, json.dumps(request)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"},
        check=False,
    )
    what = f"{request['algorithm']} on {request['task']}"
    if done.returncode != 0:
        raise RuntimeError(f"{what} failed with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    try:
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        missing = {"seconds", "evaluating", "steps", "points"} - found.keys()
    except (IndexError, ValueError, AttributeError):
        missing = {"JSON"}
    if missing:
        raise RuntimeError(f"{what} printed no result ({', '.join(sorted(missing))} missing):\n{done.stdout[-500:]}")
    return found


def _row(task: Task, name: str, found: dict[str, Any]) -> dict[str, Any]:
    """The numbers of one algorithm."""
    points = np.array(found["points"])
    numbers = front_indicators(
        points, task.reference, gamma=task.gamma, episode_limit=None, episodes=1, deterministic=True, allow_zero=True
    )
    training = found["seconds"] - found["evaluating"]
    return {
        "task": task.id,
        "name": name,
        "hypervolume": numbers.hypervolume,
        "expected_utility": numbers.expected_utility,
        "policies": len(nondominated(points)),
        "steps": found["steps"],
        "seconds": found["seconds"],
        "steps_per_s": found["steps"] / found["seconds"],
        "training_steps_per_s": found["steps"] / training,
        "curve": found.get("curve", []),
        "reference": task.reference,
        "gamma": task.gamma,
    }


def _line(row: dict[str, Any]) -> str:
    return f"{row['task']}, {row['name']}: hypervolume {row['hypervolume']:.6g}, {row['steps_per_s']:,.0f} steps/s"


def _report(rows: list[dict[str, Any]], steps: int, console: Console, out: Path | None) -> dict[str, Any]:
    table = Table(title=f"Fronts after {steps:,} environment steps")
    columns = ("task", "", "hypervolume", "EU", "policies", "seconds", "steps/s", "without evaluations")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < 2 else "right")
    for row in rows:
        numbers = [f"{row['hypervolume']:,.6g}", f"{row['expected_utility']:.5g}", f"{row['policies']}"]
        numbers += [f"{row[field]:,.0f}" for field in ("seconds", "steps_per_s", "training_steps_per_s")]
        table.add_row(row["task"], row["name"], *numbers)
    console.print(table)
    ratios = {}
    for row in rows:
        other = next((r for r in rows if r["task"] == row["task"] and r["name"] == "PGMORL (morl-baselines)"), None)
        if other is not None and row["name"] == "PGMORL (rlsuite)":
            for rate, words in (("steps_per_s", "steps/s"), ("training_steps_per_s", "steps/s without evaluations")):
                ratios[f"{row['task']}, {words} of PGMORL, rlsuite / morl-baselines"] = row[rate] / other[rate]
    for name, ratio in ratios.items():
        console.print(f"{name} = {ratio:.1f}")
    if all("morl-baselines" not in row["name"] for row in rows):
        console.print("morl-baselines was not measured: --python PATH gives an environment that has it (see --help)")
    result = {"benchmark": "fronts", "steps": steps, "rows": rows, "ratios": ratios, "machine": machine()}
    write_report(result, table, out, "fronts")
    return result


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
