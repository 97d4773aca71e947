"""`rlsuite train hdpo`, end to end."""

from __future__ import annotations

import json
from pathlib import Path

import rlsuite
from rlsuite_zoo.cli import main


def test_train_from_the_command_line(tmp_path: Path) -> None:
    words = [
        "train",
        "hdpo",
        "rlsuite/LostSales-L4-p4-v0",
        "--steps",
        "40000",
        "--num-envs",
        "64",
        "--eval-episodes",
        "2",
    ]
    words += ["n_steps=20", "dev_scenarios=32", "dev_every=10", "--out", str(tmp_path), "--name", "one"]
    assert main(words) == 0
    (folder,) = tmp_path.rglob("seed0")
    status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    assert status["state"] == "finished" and status["steps"] == 40960
    columns = (folder / "progress.csv").read_text(encoding="utf-8").splitlines()[0]
    assert "train/dev_cost" in columns and "rollout/ep_rew_mean" in columns
    model = rlsuite.load(folder / "checkpoints" / "last.zip", device="cpu")
    assert model.n_updates == 32
    assert json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["episodes"] == 2
