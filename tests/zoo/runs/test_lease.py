"""One writer at a time for a run folder."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rlsuite_zoo.commands import train as commands
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.runs import launch as launching
from rlsuite_zoo.runs import lease as leases
from rlsuite_zoo.runs import train as training
from rlsuite_zoo.runs.folder import RunFolder, RunSpec
from rlsuite_zoo.runs.lease import InUse, check_free, lease

CONFIG = {"n_steps": 32, "batch_size": 64, "n_epochs": 1, "net_arch": [8]}
SPEC = RunSpec("ppo", "rlsuite/CartPole-v1", 0, steps=128, num_envs=4, config=CONFIG, eval_episodes=0)


def held_by(folder: Path, **changes: Any) -> Path:
    """A lease as another process of this machine, the test's parent, would write it."""
    with lease(folder):
        held = json.loads((folder / "lease.json").read_text())
    other = {"pid": os.getppid(), "started": leases._started(os.getppid()), "token": "other", **changes}
    (folder / "lease.json").write_text(json.dumps({**held, **other}))
    return folder / "lease.json"


def test_a_second_writer_is_told_who_the_first_is(tmp_path: Path) -> None:
    path = held_by(tmp_path, command="rlsuite train ppo CartPole-v1")
    with pytest.raises(InUse, match=rf"process {os.getppid()} on .*rlsuite train ppo CartPole-v1.*delete") as error:
        lease(tmp_path).__enter__()
    assert str(path) in str(error.value) and isinstance(error.value, UsageError)
    with pytest.raises(InUse):
        check_free(tmp_path)
    assert json.loads(path.read_text())["token"] == "other"  # left as it is
    path.unlink()
    with lease(tmp_path), lease(tmp_path):  # once more in the same process is nothing new
        check_free(tmp_path)
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert not path.exists()


def test_a_dead_writer_is_followed_at_once(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for changes in ({"pid": ended.pid}, {"started": "1"}, {"pid": ended.pid, "started": None}):
        held_by(tmp_path, **changes)
        with lease(tmp_path):
            assert json.loads((tmp_path / "lease.json").read_text())["pid"] == os.getpid()


def test_a_writer_on_another_machine_is_dead_ten_minutes_after_its_last_sign(tmp_path: Path) -> None:
    path = held_by(tmp_path, host="elsewhere", pid=1)
    with pytest.raises(InUse, match=r"on elsewhere .* 10 minutes"):
        check_free(tmp_path)
    os.utime(path, (0, time.time() - 599))
    with pytest.raises(InUse):
        check_free(tmp_path)
    os.utime(path, (0, time.time() - 601))
    with lease(tmp_path):
        pass


def test_the_writer_gives_signs_of_life(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.01)
    with lease(tmp_path):
        os.utime(tmp_path / "lease.json", (0, 0))
        end = time.monotonic() + 10
        while (tmp_path / "lease.json").stat().st_mtime < 1e9:
            assert time.monotonic() < end
            time.sleep(0.01)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', '{"pid": -1}'])
def test_a_damaged_lease_does_not_bar_the_folder_for_long(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lease.json"
    path.write_text(text)
    with pytest.raises(InUse):
        check_free(tmp_path)  # perhaps it is being written
    os.utime(path, (0, time.time() - 700))
    with lease(tmp_path):
        pass


def test_of_many_that_start_at_once_one_gets_the_folder(tmp_path: Path) -> None:
    held_by(tmp_path, started="1")  # a dead one's, which all see
    code = (
        "import pathlib, sys, time\nfrom rlsuite_zoo.runs.lease import InUse, lease\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "try:\n    with lease(pathlib.Path(sys.argv[1])):\n        print('mine', flush=True); sys.stdin.readline()\n"
        "except InUse:\n    print('refused', flush=True)\n"
    )
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    racers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], **pipes) for _ in range(4)]
    assert [racer.stdout.readline() for racer in racers if racer.stdout] == ["ready\n"] * 4
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    said = [racer.stdout.readline() for racer in racers if racer.stdout]
    assert sorted(said) == ["mine\n", *["refused\n"] * 3]
    for racer in racers:
        racer.communicate("\n")


def test_a_run_that_runs_is_not_resumed_and_not_touched(rlsuite: Any, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", SPEC)
    held_by(folder.path)
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    ran = rlsuite("train", "--resume", str(folder.path), "--steps", "256")
    assert ran.code == 2 and f"process {os.getppid()} on" in ran.err and "Traceback" not in ran.err
    for call in (lambda: training.run(folder), lambda: launching.launch([folder, folder])):
        with pytest.raises(InUse):
            call()
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == before


def test_a_worker_that_comes_second_leaves_the_folder_as_it_is(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", SPEC)
    held_by(folder.path)
    status = folder.status()
    worker = [sys.executable, "-m", "rlsuite_zoo.runs.worker", str(folder.path), "1"]
    assert subprocess.run(worker, stdin=subprocess.DEVNULL, capture_output=True).returncode == 3
    said = launching._outcome("a", folder, 3, launching.Display(), stopped=False)
    assert len(said) == 1 and "another process" in said[0] and folder.status() == status


def test_a_run_holds_its_folder_to_its_end(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", SPEC)
    seen = []
    training.run(folder, progress=lambda status: seen.append((folder.path / "lease.json").exists()))
    assert seen and all(seen) and not (folder.path / "lease.json").exists()


def test_runs_that_begin_in_the_same_second_have_folders_of_their_own(tmp_path: Path) -> None:
    made: list[Path] = []
    threads = [threading.Thread(target=lambda: made.append(commands._new_folder(tmp_path / "a"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8 and all(path.is_dir() for path in made)


def test_a_name_that_exists_is_refused_before_any_seed_is_made(rlsuite: Any) -> None:
    words = ("train", "ppo", "rlsuite/CartPole-v1", "--steps", "128", "--name", "a", "--eval-episodes", "0")
    assert rlsuite(*words, "--seeds", "1", "n_steps=32", "batch_size=32", "--num-envs", "4").code == 0
    ran = rlsuite(*words, "--seeds", "0-1")
    assert ran.code == 2 and "seed1 holds a run already" in ran.err
    assert not Path("runs/ppo/rlsuite-CartPole-v1/a/seed0").exists()
