"""Checkpoints and run folders of version 0.1.0 still load, act as they did, and go on.

`data/v0.1` was written by that version: two small models, what they answered, and a run folder. Its random streams were
others, so what is compared is what does not depend on them: actions, counters, and that training goes on.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rlsuite
from rlsuite_zoo.cli import main

OLD = Path(__file__).with_name("data") / "v0.1"
EXPECTED: dict[str, Any] = json.loads((OLD / "expected.json").read_text())
ENVS = {"ppo": "rlsuite/CartPole-v1", "sac": "rlsuite/Pendulum-v1"}


@pytest.mark.parametrize("name", ENVS)
def test_a_model_acts_as_it_did(name: str) -> None:
    model = rlsuite.load(OLD / f"{name}.zip", device="cpu")
    expected = EXPECTED[name]
    assert model.num_timesteps == expected["num_timesteps"]
    action, _ = model.predict(np.array(expected["obs"], np.float32), deterministic=True)
    np.testing.assert_allclose(action, expected["action"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ENVS)
def test_a_model_goes_on_and_twice_the_same(name: str) -> None:
    weights = []
    for _ in range(2):
        model = rlsuite.load(OLD / f"{name}.zip", env=ENVS[name], device="cpu")
        before = model.num_timesteps
        model.learn(64, reset_num_timesteps=False)
        assert model.num_timesteps >= before + 64
        weights.append(torch.cat([p.flatten() for p in model.policy.state_dict().values()]))
    assert torch.equal(*weights)


def test_a_run_is_evaluated_and_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "seed0"
    shutil.copytree(OLD / "run", run)
    assert main(["evaluate", str(run), "--episodes", "2"]) == 0
    assert "return" in capsys.readouterr().out
    assert main(["train", "--resume", str(run), "--steps", "1024"]) == 0, capsys.readouterr().err
    assert json.loads((run / "status.json").read_text())["steps"] == 1024
    rows = (run / "progress.csv").read_text().splitlines()
    assert len(rows) == 1 + 1024 // 128
