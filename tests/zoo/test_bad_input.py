"""Every mistake is one line that names thing and remedy, with exit code 2, and leaves nothing behind."""

from pathlib import Path
from typing import Any

import pytest

from rlsuite_zoo.runs.folder import RunFolder, RunSpec

TRAIN = ("train", "ppo", "CartPole-v1")

MISTAKES = {
    "command": (("trian", "ppo"), "unknown command 'trian': did you mean 'train'?"),
    "algorithm": (("train", "bop", "CartPole-v1"), "did you mean 'bpo'"),
    "baseline": (("train", "sb3:pppo", "CartPole-v1"), "did you mean 'sb3:ppo'"),
    "environment": (("train", "ppo", "Hoper-v5"), "unknown environment 'Hoper-v5': did you mean 'Hopper-v5'"),
    "environment without version": (("train", "ppo", "HalfCheetah"), "'HalfCheetah-v5'"),
    "unlike any environment": (("train", "ppo", "Zzzz-v0"), "`rlsuite list envs` shows them"),
    "module of an environment": (("train", "ppo", "nomodule:Id-v0"), "nomodule"),
    "nothing to train": (("train",), "rlsuite train bpo Hopper-v5"),
    "recipe": ((*TRAIN, "--recipe", "defalt"), "did you mean 'default'"),
    "key": (
        (*TRAIN, "learning_rat=1e-3"),
        "PPOConfig has no key 'learning_rat': did you mean 'learning_rate'",
    ),
    "prefixed key": ((*TRAIN, "config.gama=1"), "did you mean 'gamma'"),
    "key of a baseline": (("train", "sb3:ppo", "CartPole-v1", "n_step=4"), "did you mean 'n_steps'"),
    "key that the run decides": (("train", "sb3:ppo", "CartPole-v1", "seed=4"), "seed cannot be set"),
    "activation of a baseline": (
        ("train", "sb3:ppo", "CartPole-v1", "policy_kwargs={activation_fn: rellu}"),
        "choose one of tanh, relu",
    ),
    "key twice": ((*TRAIN, "gamma=0.9", "config.gamma=0.8"), "gamma is set twice"),
    "no setting": ((*TRAIN, "gamma"), "write key=value"),
    "value out of range": ((*TRAIN, "gamma=2"), "PPOConfig.gamma is 2.0"),
    "value of another kind": ((*TRAIN, "n_steps=many"), "n_steps"),
    "value that is code": ((*TRAIN, "gamma=!!python/object/apply:os.getcwd []"), "not plain YAML"),
    "steps": ((*TRAIN, "--steps", "1x"), "--steps is '1x'"),
    "no steps": ((*TRAIN, "--steps", "0"), "at least 1"),
    "broken steps": ((*TRAIN, "--steps", "1.5"), "whole number"),
    "endless steps": ((*TRAIN, "--steps", "inf"), "whole number"),
    "seeds": ((*TRAIN, "--seeds", "4-2"), "0-4 or 0,3,7"),
    "seed twice": ((*TRAIN, "--seeds", "0-2,1"), "names a seed twice"),
    "environments": ((*TRAIN, "--num-envs", "0"), "--num-envs is '0'"),
    "jobs": ((*TRAIN, "--jobs", "0"), "--jobs is 0"),
    "device": ((*TRAIN, "--device", "tpu9"), "--device tpu9 cannot be used here"),
    "name": ((*TRAIN, "--name", "../up"), "--name is '../up'"),
    "option": ((*TRAIN, "--stepz", "10"), "did you mean --steps?"),
    "episodes": ((*TRAIN, "--eval-episodes", "-1"), "--eval-episodes is -1"),
    "resume and algorithm": (("train", "ppo", "--resume", "x"), "leave algorithm"),
    "resume nothing": (("train", "--resume", "nowhere"), "nowhere is no folder"),
    "evaluate nothing": (("evaluate", "nowhere"), "nowhere is no folder"),
    "evaluate no run": (("evaluate", "."), "no run in ."),
    "evaluate no episodes": (("evaluate", ".", "--episodes", "0"), "--episodes is 0"),
    "checkpoint": (("evaluate", ".", "--checkpoint", "lst"), "did you mean 'last'"),
    "video type": (("evaluate", ".", "--render", "x.gif"), "--render writes .mp4"),
    "plot nothing": (("plot",), "at least one run folder"),
    "plot type": (("plot", ".", "--out", "x.doc"), "give a .png"),
    "smoothing": (("plot", ".", "--smooth", "3"), "--smooth is 3"),
    "list": (("list", "env"), "did you mean 'envs'"),
    "suite": (("results", "bpp"), "did you mean 'bpo'"),
    "environment of a suite": (("results", "bpo", "--only", "Hoper-v5"), "did you mean 'Hopper-v5'"),
    "no results": (("results", "bpo", "--report-only"), "no finished run"),
    "benchmark": (("bench", "trian"), "did you mean 'train'"),
}


@pytest.mark.parametrize("words, message", MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes(rlsuite: Any, words: tuple[str, ...], message: str) -> None:
    ran = rlsuite(*words)
    assert ran.code == 2 and ran.out == ""
    assert message in ran.err, ran.err
    assert ran.err.startswith("rlsuite: ") and ran.err.count("\n") == 1, ran.err
    assert list(Path().iterdir()) == []


def test_options_of_another_type_exit_2(rlsuite: Any) -> None:
    ran = rlsuite(*TRAIN, "--jobs", "two")
    assert ran.code == 2 and "--jobs" in ran.err and "two" in ran.err


def test_debug_shows_the_traceback(rlsuite: Any) -> None:
    with pytest.raises(Exception, match="unknown algorithm"):
        rlsuite("train", "bop", "CartPole-v1", "--debug")


def test_help_and_version(rlsuite: Any) -> None:
    for words in ((), ("--help",), ("train", "--help"), ("bench", "--help")):
        ran = rlsuite(*words)
        assert ran.code == 0 and "usage: rlsuite" in ran.out
    assert rlsuite("--version").out.startswith("rlsuite 0.")


def test_list_names_everything(rlsuite: Any) -> None:
    out = rlsuite("list").out
    for word in (
        "bpo",
        "sb3:sac",
        "rlsuite/CartPole-v1",
        "rlsuite/HalfCheetah-v5",
        "paper",
        "Bounded policy",
    ):
        assert word in out
    assert "paper" not in rlsuite("list", "envs").out


def spec() -> RunSpec:
    return RunSpec(algo="ppo", env="CartPole-v1", seed=0, steps=10, num_envs=1)


def test_a_config_that_is_code_is_refused(tmp_path: Path, rlsuite: Any) -> None:
    folder = RunFolder.create(tmp_path / "run", spec())
    folder.config.write_text(f"algo: !!python/object/apply:os.mkdir ['{tmp_path / 'ran'}']\n")
    for words in (("evaluate", "run"), ("train", "--resume", "run"), ("plot", "run")):
        ran = rlsuite(*words)
        assert ran.code == 2 and "config.yaml is not plain YAML" in ran.err
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "text", ["", "[1, 2]", "algo: ppo", "{algo: ppo, env: a, seed: 0, steps: 1, num_envs: 1, x: 1}"]
)
def test_a_config_of_something_else_is_refused(tmp_path: Path, rlsuite: Any, text: str) -> None:
    RunFolder.create(tmp_path / "run", spec()).config.write_text(text)
    ran = rlsuite("evaluate", "run")
    assert ran.code == 2 and "does not describe a run" in ran.err


def test_a_foreign_checkpoint_is_refused(tmp_path: Path, rlsuite: Any) -> None:
    folder = RunFolder.create(tmp_path / "run", spec())
    assert "has no last.zip yet" in rlsuite("evaluate", "run").err
    folder.last.write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")  # a pickle
    for words in (("evaluate", "run"), ("train", "--resume", "run")):
        ran = rlsuite(*words)
        assert ran.code == 1 and "last.zip" in ran.err and "Traceback" not in ran.err


def test_a_run_is_not_overwritten(tmp_path: Path, rlsuite: Any) -> None:
    RunFolder.create(tmp_path / "runs/ppo/CartPole-v1/a/seed0", spec())
    ran = rlsuite(*TRAIN, "--name", "a", "--steps", "10")
    assert ran.code == 2 and "holds a run already" in ran.err and "--resume" in ran.err
