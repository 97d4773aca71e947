"""`rlsuite train rarl` and `qarl`, end to end: two players in training, one policy afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import rlsuite
from rlsuite_zoo.cli import main

SETTINGS = {
    "rarl": ["n_steps=16", "batch_size=32", "max_force=2.5"],
    "qarl": ["net_arch=[16]", "critic_starts=100", "actor_starts=200", "batch_size=32"],
}


@pytest.mark.parametrize(
    ("algorithm", "env", "further"),
    [("rarl", "Hopper-v5", "adversary/loss"), ("qarl", "rlsuite/WindyPoint-v0", "teacher/mean")],
)
def test_train_from_the_command_line(tmp_path: Path, algorithm: str, env: str, further: str) -> None:
    words = ["train", algorithm, env, "--steps", "1000", "--num-envs", "4", "--eval-episodes", "2"]
    assert main([*words, *SETTINGS[algorithm], "--out", str(tmp_path), "--name", "one"]) == 0
    (folder,) = tmp_path.rglob("seed0")
    status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    assert status["state"] == "finished" and status["steps"] >= 1000
    columns = (folder / "progress.csv").read_text(encoding="utf-8").splitlines()[0]
    assert further in columns and "rollout/ep_rew_mean" in columns
    assert json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["episodes"] == 2
    model = rlsuite.load(folder / "checkpoints" / "last.zip", env=env, device="cpu")
    steps = model.num_timesteps
    model.learn(300, reset_num_timesteps=False)
    assert model.num_timesteps > steps
    if env == "rlsuite/WindyPoint-v0":  # its picture is that of the protagonist, the adversary at rest
        picture = tmp_path / "point.png"
        assert main(["show", env, "--policy", str(folder), "--out", str(picture), "--steps", "5"]) == 0
        assert picture.stat().st_size > 5000


def test_tasks_without_a_second_player_end_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["train", "rarl", "CartPole-v1", "--steps", "100", "--out", str(tmp_path), "--name", "one"])
    assert code != 0
    told = "".join(capsys.readouterr())
    assert "CartPole-v1 has no second player" in told and "Traceback" not in told
