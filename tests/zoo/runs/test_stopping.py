"""How runs end: asked to stop in any phase, with the shell that started them, and with the parent of a worker."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rlsuite as library
from rlsuite_zoo.errors import Interrupted
from rlsuite_zoo.runs import stopping
from rlsuite_zoo.runs import train as training
from rlsuite_zoo.runs.folder import RunFolder, RunSpec
from rlsuite_zoo.runs.models import AgentModel

CONFIG = {"n_steps": 32, "batch_size": 64, "n_epochs": 1, "net_arch": [8]}
SPEC = RunSpec("ppo", "rlsuite/CartPole-v1", 0, steps=512, num_envs=4, config=CONFIG, eval_episodes=2)


def wait_for(true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Return once it is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_in_the_last_evaluation_keeps_the_trained_model(tmp_path: Path, monkeypatch: Any, number: int) -> None:
    evaluate = training.evaluate_policy

    def signalled(*args: Any, **options: Any) -> Any:
        os.kill(os.getpid(), number)
        return evaluate(*args, **options)

    folder = RunFolder.create(tmp_path / "run", SPEC)
    monkeypatch.setattr(training, "evaluate_policy", signalled)
    with pytest.raises((Interrupted, KeyboardInterrupt)):
        training.run(folder)
    assert folder.status()["state"] == "interrupted" and folder.status()["checkpoint"] == str(folder.last)
    assert library.load(folder.last, device="cpu").num_timesteps == 512
    monkeypatch.setattr(training, "evaluate_policy", evaluate)
    training.run(folder)
    assert folder.finished and folder.evaluation.exists()


def test_a_hang_up_in_training_writes_a_checkpoint_and_one_that_is_ignored_stops_nothing(tmp_path: Path) -> None:
    def hang_up(status: dict[str, Any]) -> None:
        if status["state"] == "running":
            os.kill(os.getpid(), signal.SIGHUP)

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        ignoring = RunFolder.create(tmp_path / "nohup", SPEC)
        training.run(ignoring, progress=hang_up)
        assert ignoring.finished
    finally:
        signal.signal(signal.SIGHUP, before)
    folder = RunFolder.create(tmp_path / "run", SPEC)
    with pytest.raises(Interrupted):
        training.run(folder, progress=hang_up)
    assert folder.status()["state"] == "interrupted"
    assert library.load(folder.last, device="cpu").num_timesteps == 128
    assert signal.getsignal(signal.SIGHUP) is before


def test_a_signal_before_the_first_update_is_an_interruption(tmp_path: Path, monkeypatch: Any) -> None:
    def signalled(*args: Any, **options: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)

    folder = RunFolder.create(tmp_path / "run", SPEC)
    monkeypatch.setattr(training, "make_model", signalled)
    with pytest.raises(KeyboardInterrupt):
        training.run(folder)
    assert folder.status()["state"] == "interrupted" and folder.status()["checkpoint"] is None


def test_a_run_does_not_look_at_its_parent(tmp_path: Path, monkeypatch: Any) -> None:
    """A shell that ends hands its commands to another parent; nobody stopped them."""
    folder = RunFolder.create(tmp_path / "run", SPEC)
    parents = iter(range(1000, 2000))
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    training.run(folder)
    assert folder.finished and library.load(folder.last, device="cpu").num_timesteps == 512


WORKER = """
import os, sys, time
from rlsuite_zoo.runs.stopping import {function}
{function}()
print(os.getpid(), flush=True)
time.sleep(60)
"""


def test_a_worker_ends_when_its_stdin_does() -> None:
    """The parent's end of the pipe closes however the parent ends; the worker reads nothing from it itself."""
    code = WORKER.format(function="end_with_stdin").replace("time.sleep(60)", "print(sys.stdin.read()); time.sleep(60)")
    worker = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert worker.stdout is not None and worker.stdin is not None
    assert int(worker.stdout.readline()) == worker.pid and worker.stdout.readline() == b"\n"
    worker.stdin.close()
    assert worker.wait(10) == -signal.SIGTERM
    worker.stdout.close()


def test_a_process_of_a_pool_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "pool.py"
    script.write_text(
        "import multiprocessing, os, time\n"
        "from rlsuite_zoo.runs.stopping import end_with_parent\n"
        "def work():\n    end_with_parent(); print(os.getpid(), flush=True); time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    multiprocessing.get_context('spawn').Process(target=work).start()\n    time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert alive(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: not alive(pid), 10)


def test_a_worker_that_hangs_without_a_parent_is_ended(monkeypatch: Any) -> None:
    code = (
        "import signal, time\nfrom rlsuite_zoo.runs import stopping\nstopping.GRACE_SECONDS = 0.1\n"
        "signal.signal(signal.SIGTERM, lambda *_: None)\nstopping.end_with_stdin()\ntime.sleep(60)"
    )
    assert subprocess.run([sys.executable, "-c", code], stdin=subprocess.DEVNULL, timeout=30).returncode == 130


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["start", "training", "evaluation"])
def test_workers_end_with_a_killed_launcher_in_every_phase(tmp_path: Path, phase: str) -> None:
    steps, episodes = {"training": ("4e6", "0"), "evaluation": ("512", "100000")}.get(phase, ("4e6", "0"))
    words = ["train", "ppo", "CartPole-v1", "n_steps=64", "--num-envs", "4", "--steps", steps, "--seeds", "0-1"]
    words += ["--eval-episodes", episodes, "--out", str(tmp_path), "--name", "a", "--jobs", "2"]
    launcher = subprocess.Popen([sys.executable, "-m", "rlsuite_zoo", *words], stderr=subprocess.DEVNULL)
    folders = [RunFolder(tmp_path / "ppo" / "CartPole-v1" / "a" / f"seed{seed}") for seed in (0, 1)]

    def workers() -> list[int]:
        found = subprocess.run(["ps", "-eww", "-o", "pid,args"], capture_output=True, text=True, check=True).stdout
        return [int(line.split()[0]) for line in found.splitlines() if "runs.worker" in line and str(tmp_path) in line]

    wait_for(lambda: len(workers()) == 2, 60)
    if phase == "training":
        wait_for(lambda: all(f.status().get("state") == "running" for f in folders), 240)
    if phase == "evaluation":
        wait_for(lambda: all(f.last.exists() for f in folders), 240)
        time.sleep(0.5)
    launcher.kill()
    launcher.wait()
    wait_for(lambda: not any(map(alive, workers())), 20)
    if phase != "start":
        assert [f.status()["state"] for f in folders] == ["interrupted"] * 2 and all(f.last.exists() for f in folders)


def test_the_first_signal_waits_only_between_updates() -> None:
    stop = stopping.Stop()
    with stopping.stop_on_signal(stop):
        stop.waits = True
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        stop.ending = True
        os.kill(os.getpid(), signal.SIGTERM)  # while it is written down how the run ended


def test_a_model_is_closed_however_its_run_ends(tmp_path: Path, monkeypatch: Any) -> None:
    closed = []
    monkeypatch.setattr(AgentModel, "close", lambda self: closed.append(1) or self.agent.venv.close())
    monkeypatch.setattr(AgentModel, "train", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted):
        training.run(RunFolder.create(tmp_path / "run", SPEC))
    assert closed == [1]
