"""Errors of a user's own code, and machines where names, disks and terminals are not as one would like."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from rlsuite_zoo import cli
from rlsuite_zoo.commands import train as commands
from rlsuite_zoo.errors import place_of
from rlsuite_zoo.runs.folder import RunFolder

SMALL = ("n_steps=32", "batch_size=32", "net_arch=[8]", "--num-envs", "1", "--eval-episodes", "0", "--name", "a")


class Unpacks(gym.Env):
    """Raises in its step."""

    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        x, y, z = (1, 2)  # type: ignore[misc]
        return x, y, z


def test_an_error_of_the_environment_names_its_file_and_line(rlsuite: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(gym.registry, "Unpacks-v0", gym.envs.registration.EnvSpec("Unpacks-v0", Unpacks))
    ran = rlsuite("train", "ppo", "Unpacks-v0", "--steps", "100", *SMALL)
    line = Unpacks.step.__code__.co_firstlineno + 1
    place = f"({__file__}, line {line}, in step)"
    assert ran.code == 1 and "Traceback" not in ran.err
    last = ran.err.strip().splitlines()[-1]
    assert last.startswith("rlsuite: ValueError: not enough values") and place in last and "--debug" in last
    folder = RunFolder("runs/ppo/Unpacks-v0/a/seed0")
    assert f"the traceback is in {folder.log}" in ran.err
    assert place in folder.status()["error"]
    log = folder.log.read_text()
    assert log.count("Traceback (most recent call last)") == 1 and "x, y, z = (1, 2)" in log


def test_errors_of_our_own_name_no_place() -> None:
    try:
        cli.dispatch(["train", "ppo"])
    except Exception as error:
        assert place_of(error) == ""
    try:
        raise ValueError
    except ValueError as error:
        assert place_of(error) == ""  # no code of rlsuite called this


def test_output_that_cannot_spell_a_name_spoils_no_run(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    words = ["train", "ppo", "rlsuite/CartPole-v1", "--steps", "64", *SMALL, "--out", "rüns\udcf6"]
    assert cli.main(words) == 0 and out.errors == "strict"
    out.flush()
    assert b"in r\\xfcns\\udcf6/ppo/rlsuite-CartPole-v1/a" in out.buffer.getvalue()  # type: ignore[attr-defined]
    folder = RunFolder("rüns\udcf6/ppo/rlsuite-CartPole-v1/a/seed0")
    assert folder.finished and b"r\xc3\xbcns\xf6" in (folder.path / "command.txt").read_bytes()


def test_a_result_that_cannot_be_kept_is_printed(rlsuite: Any, trained: Any, monkeypatch: Any) -> None:
    trained("rlsuite/CartPole-v1", 1)

    def refuse(path: Path, data: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(commands, "write_json", refuse)
    ran = rlsuite("evaluate", "runs", "--episodes", "2")
    assert ran.code == 1 and "95 % interval [" in ran.out
    assert "could not be kept" in ran.err and "evaluation.json" in ran.err and "copy the folder" in ran.err


def test_a_path_that_cannot_be_made_is_one_sentence_with_a_remedy(rlsuite: Any) -> None:
    Path("file").touch()
    for words, remedy in ((("--out", "file"), "choose another --out"), (("--out", "n" * 300), "choose a shorter")):
        ran = rlsuite("train", "ppo", "rlsuite/CartPole-v1", "--steps", "64", *SMALL, *words)
        assert ran.code in (1, 2) and remedy in ran.err and len(ran.err.strip().splitlines()) == 1, ran.err
    ran = rlsuite("train", "ppo", "rlsuite/CartPole-v1", "--steps", "64", *SMALL[:-1], "n" * 300)
    assert ran.code in (1, 2) and "shorter" in ran.err


def test_a_current_folder_that_was_deleted_is_said(tmp_path: Path) -> None:
    code = "import os, sys; os.mkdir('d'); os.chdir('d'); os.rmdir('../d'); from rlsuite_zoo.__main__ import main; "
    ran = subprocess.run(
        [sys.executable, "-c", code + "sys.exit(main())"], cwd=tmp_path, capture_output=True, text=True, env=os.environ
    )
    assert ran.returncode == 2 and "current folder does not exist" in ran.stderr


def test_ctrl_c_while_importing_prints_no_traceback() -> None:
    code = (
        "import signal, sys, os; import rlsuite_zoo.__main__ as m\n"
        "class Finder:\n    def find_spec(self, name, *_):\n"
        "        if name == 'rlsuite_zoo.cli': os.kill(os.getpid(), 2)\n"
        "sys.meta_path.insert(0, Finder()); sys.exit(m.main())"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 130 and ran.stderr == "rlsuite: stopped\n"
