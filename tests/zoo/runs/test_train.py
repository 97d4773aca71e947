"""Training through the command line: what a run folder holds, and that nothing is lost when a run dies."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
import torch
import yaml

import rlsuite as library
from rlsuite_zoo.files import read_csv
from rlsuite_zoo.runs import train as training
from rlsuite_zoo.runs.folder import RunFolder, RunSpec
from rlsuite_zoo.runs.logs import Table
from rlsuite_zoo.runs.models import AgentModel

ENV = "rlsuite/CartPole-v1"
SMALL = ("n_steps=32", "batch_size=64", "n_epochs=2", "net_arch=[8]")


def spec(**changes: Any) -> RunSpec:
    config = {"n_steps": 32, "batch_size": 64, "n_epochs": 2, "net_arch": [16], "normalize_obs": True}
    values = {"algo": "ppo", "env": ENV, "seed": 3, "steps": 2048, "num_envs": 4, "config": config}
    return RunSpec(**{**values, "checkpoint_every": 256, "eval_episodes": 4, **changes})


def weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    """Every tensor of the last checkpoint's model."""
    parameters = library.load(folder.last, device="cpu").get_parameters()
    return {f"{part}/{name}": value for part, state in parameters.items() for name, value in state.items()}


def assert_same_run(one: RunFolder, two: RunFolder) -> None:
    first, second = weights(one), weights(two)
    assert first.keys() == second.keys() and len(first) > 10
    assert all(torch.equal(first[name], second[name]) for name in first)
    timing = {"wall_s", "time/fps", "time/time_elapsed", "time/iterations"}
    rows, others = (
        [{k: v for k, v in row.items() if k not in timing} for row in read_csv(f.progress)] for f in (one, two)
    )
    assert rows == others and len(rows) == 16
    assert json.loads(one.evaluation.read_text())["returns"] == json.loads(two.evaluation.read_text())["returns"]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: Any) -> RunFolder:
    """A run that nothing disturbed."""
    folder = RunFolder.create(tmp_path_factory.mktemp("reference") / "run", spec())
    training.run(folder)
    return folder


def test_one_command_fills_a_run_folder(rlsuite: Any) -> None:
    words = ("train", "ppo", ENV, "--steps", "1e3", "--num-envs", "4", *SMALL, "--seeds", "3", "--name", "a")
    ran = rlsuite(*words, "--eval-every", "256", "--eval-episodes", "4", "--checkpoint-every", "256")
    assert ran.code == 0, ran.err
    folder = RunFolder("runs/ppo/rlsuite-CartPole-v1/a/seed3")
    assert "finished" in ran.out and "runs/ppo/rlsuite-CartPole-v1/a" in ran.out
    config = yaml.safe_load(folder.config.read_text())
    assert (config["seed"], config["steps"], config["num_envs"], config["recipe"]) == (3, 1000, 4, "default")
    assert config["config"]["n_steps"] == 32 and config["config"]["gamma"] == 0.98  # the recipe's, and all defaults
    assert len(config["config"]) > 15
    versions = json.loads((folder.path / "versions.json").read_text())
    assert versions["torch"] == torch.__version__ and {"gymnasium", "mujoco", "numpy", "python"} <= set(versions)
    assert (folder.path / "command.txt").read_text().startswith("rlsuite train ppo rlsuite/CartPole-v1 ")
    rows = read_csv(folder.progress)
    assert [int(row["steps"]) for row in rows] == list(range(128, 1025, 128))
    assert float(rows[-1]["rollout/ep_rew_mean"]) > 5 and float(rows[-1]["wall_s"]) > float(rows[0]["wall_s"])
    assert [int(row["steps"]) for row in read_csv(folder.evaluations)] == [256, 512, 768, 1024]
    assert library.load(folder.last, device="cpu").num_timesteps == 1024 and folder.best.exists()
    assert any(folder.path.glob("events.out.tfevents.*"))
    record = json.loads(folder.evaluation.read_text())
    assert record["episodes"] == 4 == len(record["returns"]) and record["low"] <= record["mean"] <= record["high"]
    assert record["mean"] == pytest.approx(np.mean(record["returns"]))


def test_a_git_checkout_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    from rlsuite_zoo import provenance

    package = tmp_path / "package"
    package.mkdir()
    (package / "provenance.py").touch()
    monkeypatch.setattr(provenance, "__file__", str(package / "provenance.py"))
    assert provenance.git_state() == {}

    def git(*words: str) -> str:
        identity = ["-c", "user.name=n", "-c", "user.email=e@e"]
        done = subprocess.run(["git", *identity, *words], cwd=package, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "-q"), git("add", "."), git("commit", "-qm", "one")
    assert provenance.git_state() == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (package / "provenance.py").write_text("changed")
    assert provenance.git_state()["dirty"] is True


def test_evaluations_that_sample_change_nothing(tmp_path: Path, reference: RunFolder, rlsuite: Any) -> None:
    """Sampled evaluations draw of their own: the model stays bit for bit, and so do the returns of another look."""
    folder = RunFolder.create(tmp_path / "run", spec(eval_stochastic=True, eval_every=512))
    training.run(folder)
    assert all(torch.equal(value, weights(folder)[name]) for name, value in weights(reference).items())
    record = json.loads(folder.evaluation.read_text())
    assert record["deterministic"] is False and len(read_csv(folder.evaluations)) == 4
    assert record["returns"] != json.loads(reference.evaluation.read_text())["returns"]
    # The run's own way is the default of `evaluate`; --stochastic asks for it in others.
    assert rlsuite("evaluate", str(folder.path), "--episodes", "4").code == 0
    assert json.loads(folder.evaluation.read_text())["returns"] == record["returns"]
    assert rlsuite("train", "ppo", ENV, "--steps", "256", *SMALL, "--eval-stochastic", "--name", "s").code == 0
    assert RunFolder("runs/ppo/rlsuite-CartPole-v1/s/seed0").spec().eval_stochastic


def test_evaluate_prints_an_interval_and_is_repeatable(rlsuite: Any, reference: RunFolder) -> None:
    words = ("evaluate", str(reference.path), "--episodes", "6", "--seed", "11")
    first = rlsuite(*words)
    assert first.code == 0 and "95 % interval [" in first.out and "over 6 episodes" in first.out
    record = json.loads(reference.evaluation.read_text())
    assert rlsuite(*words).out == first.out
    assert json.loads(reference.evaluation.read_text())["returns"] == record["returns"]
    rlsuite(*words, "--stochastic")
    sampled = json.loads(reference.evaluation.read_text())
    assert sampled["deterministic"] is False and sampled["returns"] != record["returns"]
    training._final_evaluation(reference, reference.spec(), library.load(reference.last, device="cpu"), None)


def test_resume_after_a_stop_is_exact(tmp_path: Path, reference: RunFolder, monkeypatch: Any) -> None:
    folder = RunFolder.create(tmp_path / "run", spec())
    asked = []

    def stop(status: dict[str, Any]) -> None:
        if status["steps"] >= 640 and not asked:
            asked.append(status["steps"])
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("rlsuite_zoo.runs.record.STATUS_SECONDS", 0.0)
    with pytest.raises(training.Interrupted):
        training.run(folder, progress=stop)
    assert folder.status()["state"] == "interrupted"
    stopped = library.load(folder.last, device="cpu").num_timesteps
    assert stopped == asked[0] + 128  # the update under way was finished, then saved
    assert len(read_csv(folder.progress)) == stopped // 128
    training.run(folder)
    assert folder.finished
    assert_same_run(folder, reference)


def test_resume_drops_rows_after_the_checkpoint(tmp_path: Path, reference: RunFolder, monkeypatch: Any) -> None:
    folder = RunFolder.create(tmp_path / "run", spec(checkpoint_every=1024))
    save = AgentModel.save

    def fail_late(self: AgentModel, path: Path) -> None:
        if self.num_timesteps >= 2048:
            raise OSError(28, "No space left on device")
        save(self, path)

    monkeypatch.setattr(AgentModel, "save", fail_late)
    with pytest.raises(OSError, match="No space"):
        training.run(folder)
    status = folder.status()
    assert status["state"] == "failed" and "No space" in status["error"] and status["checkpoint"] == str(folder.last)
    assert library.load(folder.last, device="cpu").num_timesteps == 1024  # the previous checkpoint is intact
    assert len(read_csv(folder.progress)) == 16
    monkeypatch.setattr(AgentModel, "save", save)
    training.run(folder)
    assert_same_run(folder, reference)


class Poisoned(gym.Env):
    """Pays NaN after 300 steps, as a simulator that diverged does."""

    metadata: ClassVar = {"render_modes": ["rgb_array"]}  # which SB3's make_vec_env asks for
    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)
    steps = 0

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        reward = float("nan") if self.steps > 300 else 1.0
        return np.zeros(2, np.float32), reward, False, self.steps % 10 == 0, {}


@pytest.mark.parametrize("algo", ["sb3:ppo", "sb3:dqn"])
def test_a_baselines_first_bad_number_is_named(algo: str, rlsuite: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(gym.registry, "Poisoned-v0", gym.envs.registration.EnvSpec("Poisoned-v0", Poisoned))
    ran = rlsuite("train", algo, "Poisoned-v0", "--steps", "1000", "--num-envs", "2", "--name", "a")
    assert ran.code == 1 and "reward is nan at step 301 in environment 0" in ran.err, ran.err


def test_nan_stops_the_run_and_names_the_last_good_checkpoint(rlsuite: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(gym.registry, "Poisoned-v0", gym.envs.registration.EnvSpec("Poisoned-v0", Poisoned))
    words = ("train", "ppo", "Poisoned-v0", "--steps", "1000", "--num-envs", "2", "--checkpoint-every", "64")
    ran = rlsuite(*words, "--name", "a", *SMALL)
    folder = RunFolder("runs/ppo/Poisoned-v0/a/seed0")
    assert ran.code == 1 and "reward" in ran.err.lower() and "nan" in ran.err.lower(), ran.err
    assert str(folder.last) in ran.err and "--resume" in ran.err and "Traceback" not in ran.err
    assert folder.status()["state"] == "failed"
    assert library.load(folder.last, device="cpu").num_timesteps == 576  # 300 good steps in each of two environments


def test_a_run_that_cannot_start_says_why(rlsuite: Any) -> None:
    for words, reason, code in (
        (("sac", "CartPole-v1"), "Discrete(2)", 1),
        (("sb3:sac", "CartPole-v1"), "Discrete(2)", 2),
        (("ppo", "HalfCheetah-v5", "env.bogus=3"), "bogus", 2),
        (("ppo", "Acrobot-v1", "env.bogus=3"), "bogus", 2),
    ):
        ran = rlsuite("train", *words, "--steps", "100")
        assert ran.code == code and reason in ran.err and "Traceback" not in ran.err and ran.out == ""


def kill_and_resume(folder: RunFolder, kills: list[float]) -> int:
    """Kill -9 workers when each share of the steps is done, let the last one finish; how many kills hit."""
    command = [sys.executable, "-m", "rlsuite_zoo.runs.worker", str(folder.path), "1"]
    hits = 0
    for share in kills:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(read_csv(folder.progress)) < 16 * share:
            time.sleep(0.002)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            hits += 1
        process.wait()
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return hits


def test_kill_9_then_resume_gives_the_same_bits(tmp_path: Path, reference: RunFolder) -> None:
    folder = RunFolder.create(tmp_path / "run", spec())
    assert kill_and_resume(folder, [0.1, 0.55]) >= 1
    assert_same_run(folder, reference)


@pytest.mark.slow
def test_kill_9_at_ten_random_moments(tmp_path: Path, reference: RunFolder) -> None:
    folder = RunFolder.create(tmp_path / "run", spec())
    kill_and_resume(folder, sorted(np.random.default_rng().uniform(0, 1, size=10)))
    assert_same_run(folder, reference)


def test_a_torn_row_is_dropped_and_the_header_grows(tmp_path: Path) -> None:
    path = tmp_path / "progress.csv"
    path.write_text("steps,wall_s\n100,1.0\n200,2.0\n300,3.0\n40")
    table = Table(path, up_to_steps=200)
    table.add({"steps": 300, "wall_s": 3.5, "train/loss": 0.5})
    table.add({"steps": 400})
    assert path.read_text() == "steps,wall_s,train/loss\n100,1.0,\n200,2.0,\n300,3.5,0.5\n400,,\n"
    Table(path, up_to_steps=0)
    assert not path.exists()


def test_several_seeds_run_in_processes_and_one_failure_spares_the_others(rlsuite: Any) -> None:
    words = ("train", "ppo", ENV, "--steps", "512", "--num-envs", "4", *SMALL, "--eval-episodes", "2")
    good = rlsuite(*words, "--seeds", "0,5", "--name", "a", "--jobs", "2")
    assert good.code == 0, good.err
    folders = [RunFolder(f"runs/ppo/rlsuite-CartPole-v1/a/seed{seed}") for seed in (0, 5)]
    assert all(folder.finished for folder in folders)
    first, second = (weights(folder) for folder in folders)
    assert any(x.is_floating_point() and not torch.equal(x, second[name]) for name, x in first.items())
    assert "all 2 runs in" in rlsuite("train", "--resume", "runs").out
    longer = rlsuite("train", "--resume", "runs", "--steps", "640")
    assert longer.code == 0, longer.err
    assert {library.load(folder.last, device="cpu").num_timesteps for folder in folders} == {640}
    folders[0].last.write_bytes(b"broken")
    broken = rlsuite("train", "--resume", "runs", "--steps", "768")
    assert broken.code == 1 and folders[1].finished
    assert "seed 0 failed: " in broken.err and "last.zip" in broken.err and "log.txt" in broken.err


def test_a_baseline_uses_the_same_command_folder_and_evaluation(rlsuite: Any) -> None:
    settings = (
        "n_steps=64",
        "n_epochs=1",
        "normalize=true",
        "policy_kwargs={net_arch: [8], activation_fn: relu}",
    )
    words = ("train", "sb3:ppo", "CartPole-v1", "--num-envs", "2", "--eval-episodes", "3", "--name", "a")
    ran = rlsuite(*words, "--steps", "512", "--checkpoint-every", "128", *settings)
    assert ran.code == 0, ran.err
    folder = RunFolder("runs/sb3-ppo/CartPole-v1/a/seed0")
    assert [int(row["steps"]) for row in read_csv(folder.progress)] == [128, 256, 384, 512]
    with zipfile.ZipFile(folder.last) as archive:
        assert {"policy.pth", "rlsuite.json"} <= set(archive.namelist())
        assert json.loads(archive.read("rlsuite.json"))["obs"]["count"] > 500
    record = json.loads(folder.evaluation.read_text())
    again = rlsuite("evaluate", str(folder.path), "--episodes", "3")
    assert again.code == 0
    # The policy rebuilt from the zip acts as the trained one did, normaliser included.
    assert json.loads(folder.evaluation.read_text())["returns"] == record["returns"]
    longer = rlsuite("train", "--resume", str(folder.path), "--steps", "768")
    assert longer.code == 0, longer.err
    assert [int(row["steps"]) for row in read_csv(folder.progress)][-1] == 768
