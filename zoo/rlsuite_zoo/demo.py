"""`make demo`: train BPO for about two minutes, whatever the machine, evaluate it and draw its learning curve.

A short trial of the same two runs side by side tells the machine's speed, and so how many steps two minutes are.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from rlsuite_zoo.cli import main
from rlsuite_zoo.runs.folder import RunFolder

__all__ = ["demo", "steps_in"]

SECONDS = 110.0
TRIAL_STEPS = 40_960
LEAST, MOST = 100_000, 3_000_000


def steps_in(seconds: float, speeds: list[float]) -> int:
    """Environment steps that the slowest of runs at these speeds (steps/s) does in a time, in [100,000, 3,000,000]."""
    return int(min(max(seconds * min(speeds), LEAST), MOST) // 10_000 * 10_000)


def demo(env: str = "HalfCheetah-v5", out: str = "runs/demo") -> int:
    """Train, evaluate and draw; returns the exit code of the first command that failed, else 0."""
    folder = Path(out) / "bpo" / env.replace("/", "-")
    for former in ("trial", "demo"):
        shutil.rmtree(folder / former, ignore_errors=True)
    runs = ["train", "bpo", env, "--seeds", "0-1", "--out", out]
    print("a short trial, to see how fast this machine is")
    code = main([*runs, "--steps", str(TRIAL_STEPS), "--eval-episodes", "0", "--name", "trial"])
    if code:
        return code
    trial = [RunFolder(folder / "trial" / f"seed{seed}").status() for seed in (0, 1)]
    steps = steps_in(SECONDS, [float(status["steps_per_s"]) for status in trial])
    shutil.rmtree(folder / "trial")
    print(f"\ntraining BPO on {env}, two seeds at a time, {steps:,} steps each: about two minutes")
    mine = folder / "demo"
    commands = (
        [*runs, "--steps", str(steps), "--name", "demo"],
        ["evaluate", str(mine), "--episodes", "20"],
        ["plot", str(mine), "--out", str(mine / "learning_curve.png"), "--title", "BPO, make demo"],
    )
    for words in commands:
        if code := main(words):
            return code
    print(f"\neverything is in {mine}:")
    print("  learning_curve.png, seed0/progress.csv (numbers), seed0/checkpoints/last.zip (model), seed0/config.yaml")
    print(f"go on:  rlsuite train --resume {mine} --steps {2 * steps}    tensorboard --logdir {out}")
    return 0


if __name__ == "__main__":
    sys.exit(demo(*sys.argv[1:]))
