"""Run folders from elsewhere: what they name is never imported or unpickled, and what they hold is checked."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import yaml

import rlsuite as library
from rlsuite.core.checkpoint import load_checkpoint, save_checkpoint
from rlsuite_zoo.runs.evaluation import read_evaluation
from rlsuite_zoo.runs.folder import RunFolder
from rlsuite_zoo.runs.schema import RunFolderError

OLD = Path(__file__).parents[2] / "data" / "v0.1" / "run"
OWN = """
import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv

class Mine(CartPoleEnv):
    pass

gym.register("Mine-v0", f"{__name__}:Mine", max_episode_steps=20)
"""
QUICK = ("n_steps=16", "batch_size=16", "n_epochs=1", "net_arch=[8]", "--steps", "32", "--num-envs", "2")


@pytest.fixture(autouse=True)
def clean(monkeypatch: Any, tmp_path: Path) -> Any:
    """Modules and ids of the test's folder vanish after it."""
    monkeypatch.delenv("RLSUITE_IMPORT", raising=False)
    monkeypatch.setattr(sys, "path", [part for part in sys.path if part])
    ids, names = set(gym.registry), set(sys.modules)
    yield
    for id in set(gym.registry) - ids:
        del gym.registry[id]
    for name in set(sys.modules) - names:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def run_with(**changes: Any) -> RunFolder:
    """A copy of an old finished run in the current folder, with fields of its config.yaml changed."""
    shutil.rmtree("run", ignore_errors=True)
    shutil.copytree(OLD, "run")
    folder = RunFolder("run")
    folder.config.write_text(yaml.safe_dump({**yaml.safe_load(folder.config.read_text()), **changes}))
    return folder


# Own modules -----------------------------------------------------------------------------------------------------


def test_own_environments_in_every_command(tmp_path: Path, rlsuite: Any) -> None:
    Path("own_zoo_a.py").write_text(OWN)
    ran = rlsuite("train", "ppo", "own_zoo_a:Mine-v0", *QUICK, "--seeds", "0-1", "--eval-episodes", "2")  # two workers
    assert ran.code == 0, ran.err
    assert "RLSUITE_IMPORT" not in os.environ
    run = next(Path("runs").rglob("seed0"))
    assert rlsuite("plot", "runs", "--out", "p.png").code == 0
    for words in (("evaluate", str(run)), ("train", "--resume", str(run), "--steps", "64")):
        ran = rlsuite(*words, *(("--episodes", "2") if words[0] == "evaluate" else ()))
        assert ran.code == 2 and "rlsuite " + " ".join(words) in ran.err and "--import own_zoo_a" in ran.err
        ran = rlsuite(*words, "--import", "own_zoo_a")
        assert ran.code == 0, ran.err
    assert RunFolder(run).status()["steps"] == 64
    ran = rlsuite("show", "own_zoo_a:Mine-v0", "--policy", str(run), "--out", "s.png")
    assert ran.code == 0 or "could not be drawn" in ran.err, ran.err  # made; without pygame it has no picture


def test_a_module_named_on_the_command_line_registers_plain_ids(rlsuite: Any) -> None:
    Path("own_zoo_b.py").write_text(OWN)
    ran = rlsuite("train", "ppo", "Mine-v0", *QUICK, "--eval-episodes", "0", "--import=own_zoo_b")
    assert ran.code == 0, ran.err


def test_a_module_that_is_missing_or_fails_is_named(rlsuite: Any) -> None:
    Path("own_zoo_c.py").write_text("x = 1\ny = x / 0\n")
    Path("own_zoo_d.py").write_text("")
    for id, words in (
        ("absent_env:Mine-v0", "the module 'absent_env' of the environment"),
        ("own_zoo_c:Mine-v0", "own_zoo_c.py, line 2"),
        ("own_zoo_d:Mine-v0", "unknown environment 'own_zoo_d:Mine-v0'"),
    ):
        ran = rlsuite("train", "ppo", id)
        assert ran.code == 2 and words in ran.err
    assert "names no module" in rlsuite("list", "--import", "a b").err


@pytest.mark.parametrize(
    "changes",
    [
        {"env": "evil_zoo:Id-v0"},
        {"env": "evil_zoo.deep:rlsuite/CartPole-v1"},
        {"env_kwargs": {"kernel": "evil_zoo:K"}},
        {"env_kwargs": {"kernel": "os:system"}},
        {"env": "rlsuite/CheapTalk-CartPole-v0", "env_kwargs": {"env": "evil_zoo:K"}},
        {"algo": "evil_zoo:PPO"},
        {"algo": "sb3:evil_zoo"},
    ],
)
def test_a_run_folder_imports_nothing(rlsuite: Any, changes: dict[str, Any]) -> None:
    Path("evil_zoo.py").write_text("open('executed', 'w')\nclass K: pass\n")
    run_with(**changes)
    for words in (
        ("evaluate", "run", "--episodes", "1"),
        ("train", "--resume", "run", "--steps", "1e3"),
        ("attack", "run", "--quick", "--jobs", "1", "--attacks", "random"),
        ("certify", "run", "--quick", "--jobs", "1"),
    ):
        assert rlsuite(*words).code in (1, 2), words
    rlsuite("plot", "run", "--out", "p.png")
    assert not Path("executed").exists() and "evil_zoo" not in sys.modules


def test_a_checkpoint_imports_nothing(rlsuite: Any) -> None:
    Path("evil_zoo.py").write_text("open('executed', 'w')\n")
    saved = load_checkpoint(OLD / "checkpoints" / "last.zip")
    save_checkpoint("evil.zip", meta={**saved.meta, "env_id": "evil_zoo:Id-v0"}, tensors=saved.tensors)
    ran = rlsuite("show", "--policy", "evil.zip")
    assert ran.code == 2 and "evil.zip names the environment" in ran.err
    library.load("evil.zip", env="rlsuite/CartPole-v1", device="cpu").learn(128)
    assert not Path("executed").exists() and "evil_zoo" not in sys.modules


class Bomb:
    """Unpickling makes a file."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("executed"),))


def test_a_baselines_pickles_are_not_opened(rlsuite: Any) -> None:
    settings = ("n_steps=16", "batch_size=16", "--steps", "16", "--eval-episodes", "0", "--name", "a")
    assert rlsuite("train", "sb3:ppo", "CartPole-v1", "--num-envs", "1", *settings).code == 0
    run = next(Path("runs").rglob("seed0"))
    assert rlsuite("evaluate", str(run), "--episodes", "2").code == 0
    last = RunFolder(run).last
    with zipfile.ZipFile(last) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for name in ("policy.pth", "policy.optimizer.pth", "data", "pytorch_variables.pth"):
        evil = {**members, name: pickle.dumps(Bomb())}
        if name == "data":
            evil[name] = json.dumps({"policy_class": {":type:": "x", ":serialized:": "gASVAAAA"}}).encode()
        with zipfile.ZipFile(last, "w") as archive:
            for member, data in evil.items():
                archive.writestr(member, data)
        rlsuite("evaluate", str(run), "--episodes", "2")
        rlsuite("train", "--resume", str(run), "--steps", "32")
        assert not Path("executed").exists()


# What the files hold ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, values",
    [
        ("algo", ["sb3:x", "nope", 3, None, ["ppo"]]),
        ("env", [3, None, ["a"], {}]),
        ("seed", ["x", -1, 1.5, None, True]),
        ("steps", [0, "many", None, 10**16]),
        ("num_envs", [0, 10**12, "2", 1e12]),
        ("checkpoint_every", [0, None, "x"]),
        ("eval_every", [-1, "x"]),
        ("eval_episodes", [-1, 2.5]),
        ("eval_stochastic", ["no", 1]),
        ("config", ["x", [1], None, {3: 4}]),
        ("env_kwargs", ["x", [1], None]),
        ("recipe", [3]),
        ("label", [["x"]]),
        ("device", [3]),
    ],
)
def test_every_field_of_a_run_is_checked(rlsuite: Any, name: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(RunFolderError, match=rf"run.config\.yaml: {name} is .*; it must be"):
            run_with(**{name: value}).spec()
    assert f"{name} is" in rlsuite("evaluate", "run").err


def test_bombs_of_yaml_are_refused(rlsuite: Any) -> None:
    folder = run_with()
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    for text, words in (
        ("\n".join(lines), "aliases are not allowed here"),
        ("algo: &x [*x]", "aliases are not allowed here"),
        ("algo: " + "[" * 5000, "levels"),
        ("algo: " + "{a: " * 500 + "}" * 500, "levels"),
        ("x" * 5_000_000, "bytes; rlsuite writes at most"),
        ("seed: 2020-99-99", "is not plain YAML"),
        ("seed: " + "9" * 5000, "is not plain YAML"),
        ("? [a]\n: b", "is not plain YAML"),
    ):
        folder.config.write_text(text)
        ran = rlsuite("train", "--resume", "run")
        assert ran.code == 2 and words in ran.err and "config.yaml" in ran.err, (text[:40], ran.err)
    folder.config.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in rlsuite("evaluate", "run").err


@pytest.mark.parametrize(
    "file, text, words",
    [
        ("status.json", "[1]", "not an object"),
        ("status.json", "{", "is damaged"),
        ("status.json", "[" * 100_000, "is damaged"),
        ("status.json", '{"steps": ' + "9" * 5000 + "}", "is damaged"),
        ("status.json", '{"steps": "x"}', "steps is 'x'"),
        ("status.json", '{"state": 3}', "state is 3"),
        ("versions.json", "[]", "not an object"),
        ("progress.csv", "steps,rollout/ep_rew_mean\nx,1\n", "line 2: steps is 'x', not a number"),
        ("progress.csv", "steps,rollout/ep_rew_mean\n1,2,3\n", "line 2"),
        ("progress.csv", "a,b\n1,2\n", "has no column 'steps'"),
    ],
)
def test_the_other_files_are_checked(rlsuite: Any, file: str, text: str, words: str) -> None:
    run_with()
    Path("run", file).write_text(text)
    ran = (
        rlsuite("plot", "run", "--out", "p.png")
        if file == "progress.csv"
        else rlsuite("train", "--resume", "run", "--steps", "600")
    )
    assert ran.code in (1, 2) and words in ran.err and file in ran.err


@pytest.mark.parametrize(
    "text, words",
    [
        ("{}", "lacks 'episodes'"),
        ('{"episodes": 3, "mean": "x", "low": 1, "high": 2}', "mean is 'x'"),
        ('{"episodes": 3, "mean": 1, "low": 1, "high": 2, "returns": [1, "x"]}', r"returns is \[1, 'x'\]"),
    ],
)
def test_an_evaluation_is_checked(rlsuite: Any, text: str, words: str) -> None:
    folder = run_with()
    assert read_evaluation(folder)["mean"] == 40.25  # type: ignore[index]
    folder.evaluation.write_text(text)
    with pytest.raises(RunFolderError, match=rf"evaluation\.json.*{words}"):
        read_evaluation(folder)


def test_random_edits_of_a_run(rlsuite: Any) -> None:
    """Refused with the file's name, or a legal run: never another error."""
    rng = random.Random(0)
    good = run_with().config.read_text()
    for _ in range(150):
        words = good.split(" ")
        for _ in range(rng.randrange(1, 3)):
            words[rng.randrange(len(words))] = rng.choice(
                ["", "x", "[", "{}", "-1", "1e400", "!!python/name:os.system", "&a", "*a", ":"]
            )
        RunFolder("run").config.write_text(" ".join(words))
        try:
            RunFolder("run").spec()
        except RunFolderError as error:
            assert "config.yaml" in str(error)


def test_an_old_run_is_read_and_goes_on(rlsuite: Any) -> None:
    run_with()
    assert "return" in rlsuite("evaluate", "run", "--episodes", "2").out
    assert rlsuite("train", "--resume", "run", "--steps", "768").code == 0
    assert RunFolder("run").status()["steps"] == 768
