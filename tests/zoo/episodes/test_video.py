"""The film of an evaluation is its first episode, of the checkpoint that was evaluated."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rlsuite import algorithm
from rlsuite_zoo.cli import main
from rlsuite_zoo.episodes import video
from rlsuite_zoo.episodes.video import replay_first
from rlsuite_zoo.runs.folder import RunFolder, RunSpec
from rlsuite_zoo.runs.models import EVAL_SEED, evaluate_policy


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize(
    ("env", "kwargs"),
    [
        ("CartPole-v1", {}),
        ("rlsuite/CartPole-v1", {}),
        ("rlsuite/SingleStore-v0", {"horizon": 12}),
        ("InvertedPendulum-v5", {"reset_noise_scale": 0.2}),
    ],
)
def test_the_replay_is_the_evaluations_first_episode(env: str, kwargs: dict[str, Any], deterministic: bool) -> None:
    agent = algorithm("ppo")(env, num_envs=2, n_steps=16, batch_size=32, seed=0, net_arch=(8,), env_kwargs=kwargs)
    spec = RunSpec("ppo", env, 3, 1, 1, env_kwargs=kwargs)
    result = evaluate_policy(agent, spec, 7, deterministic=deterministic)
    first = replay_first(agent, spec, episodes=7, deterministic=deterministic, seed=3 + EVAL_SEED)
    assert (first.total, len(first.actions), first.env) == (result.returns[0], result.lengths[0], result.envs[0])


def test_the_replay_is_by_the_policy_for_the_weights() -> None:
    env = "rlsuite/DeepSeaTreasure-v0"
    agent: Any = algorithm("cmorl")(env, num_envs=12, n_steps=32, batch_size=96, n_epochs=3, net_arch=(8,), seed=0)
    agent.learn(2000)
    spec = RunSpec("cmorl", env, 3, 1, 1)
    for weights in ((0.9, 0.1), (0.1, 0.9)):
        result = evaluate_policy(agent, spec, 2, weights=weights)
        assert result.objectives is not None
        common: dict[str, Any] = {"episodes": 2, "deterministic": True, "seed": 3 + EVAL_SEED}
        first = replay_first(agent, spec, **common, weights=weights)
        assert (first.total, len(first.actions)) == (result.returns[0], result.lengths[0])
        assert first.paid.tolist() == result.objectives[0].tolist()


@pytest.fixture
def run(make_run: Any) -> RunFolder:
    """A run of an untrained policy whose best.zip is another one than its last.zip."""
    folder: RunFolder = make_run("run", [(100, 20.0)], seed=1)
    for file, seed in ((folder.last, 5), (folder.best, 6)):
        algorithm("ppo")("CartPole-v1", num_envs=2, n_steps=16, batch_size=32, seed=seed, net_arch=(8,)).save(file)
    return folder


def test_a_film_is_of_the_checkpoint_and_episode_evaluated(run: RunFolder, rlsuite: Any, monkeypatch: Any) -> None:
    pytest.importorskip("pygame")
    pytest.importorskip("imageio_ffmpeg")
    import imageio

    films: list[int] = []
    monkeypatch.setattr(imageio, "mimwrite", lambda path, frames, **_: films.append(len(frames)))
    returns = {}
    for words in (["best"], ["last"], ["best", "--stochastic"], ["last", "--seed", "4"]):
        ran = rlsuite("evaluate", "run", "--checkpoint", *words, "--render", "a.mp4", "--episodes", "6")
        record = json.loads(run.evaluation.read_text())
        assert f"return {record['returns'][0]:,.2f}: the first of these episodes of run ({words[0]}.zip)" in ran.out
        assert films[-1] == record["lengths"][0] and ran.err == ""
        returns[tuple(words)] = record["returns"]
    assert returns["best",] != returns["last",]


def test_show_plays_a_runs_own_environment(run: RunFolder, rlsuite: Any) -> None:
    pytest.importorskip("pygame")
    run.write_spec(RunSpec("ppo", "CartPole-v1", 1, 100, 1, env_kwargs={"sutton_barto_reward": True}))
    ran = rlsuite("show", "--policy", "run", "--out", "a.png", "--checkpoint", "best")
    assert "a.png: CartPole-v1 of run/checkpoints/best.zip" in ran.out and "return -1." in ran.out
    assert "return -1." in rlsuite("show", "CartPole-v1", "--policy", "run", "--out", "a.png").out
    assert "return -1." not in rlsuite("show", "--policy", "run", "sutton_barto_reward=false", "--out", "a.png").out
    ran = rlsuite("show", "Acrobot-v1", "--policy", "run")
    assert (
        ran.code == 2 and "does not fit Acrobot-v1: its observations are Box(4,), the environment's Box(6,)" in ran.err
    )
    ran = rlsuite("show")
    assert ran.code == 2 and "give an environment, or --policy RUN" in ran.err


@pytest.mark.parametrize("env", ["rlsuite/SingleStore-v0", "CartPole-v1", "rlsuite/HalfCheetah-v5"])
def test_an_environments_text(env: str, capsys: Any) -> None:
    assert main(["show", env, "--text"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(env) and "Observation Space" in text


def test_a_mode_far_from_the_samples_is_said(rlsuite: Any, make_run: Any) -> None:
    folder = make_run("run", [(100, 20.0)], seed=1)
    folder.write_status(**{**folder.status(), "ep_rew_mean": 22.0})
    agent = algorithm("ppo")("CartPole-v1", num_envs=2, n_steps=16, batch_size=32, seed=1, net_arch=(8,))
    agent.save(folder.last)
    ran = rlsuite("evaluate", "run", "--episodes", "20")
    mode, sampled = (
        evaluate_policy(agent, folder.spec(), n, deterministic=d).interval.estimate
        for n, d in ((20, True), (10, False))
    )
    assert mode < 12 < sampled  # of an untrained policy the mode pushes one way
    hint = f"note: run: the distribution's mode: return {mode:.1f}, sampled actions: {sampled:.1f} ["
    assert hint in ran.out and ran.out.rstrip().endswith("`rlsuite evaluate --stochastic` judges by these")
    assert "note:" not in rlsuite("evaluate", "run", "--episodes", "4").out  # too few to say
    folder.write_status(**{**folder.status(), "ep_rew_mean": mode})
    assert "note:" not in rlsuite("evaluate", "run", "--episodes", "20").out


def test_a_command_leaves_the_process_as_it_was(rlsuite: Any, monkeypatch: Any) -> None:
    import logging
    import os
    import signal
    import warnings

    import torch

    def state() -> list[Any]:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        return [
            *(list(warnings.filters), torch.get_num_threads(), dict(os.environ), os.getcwd(), handlers),
            (list(logging.getLogger().handlers), torch.random.get_rng_state().tolist()),
        ]

    monkeypatch.delenv("MUJOCO_GL", raising=False)
    torch.set_num_threads(2)
    before = state()
    words = ["n_steps=16", "batch_size=32", "--num-envs", "2", "--steps", "32", "--eval-episodes", "1", "--name", "a"]
    assert rlsuite("train", "ppo", "CartPole-v1", *words).code == 0
    with video.drawable("Hopper-v5"):
        pass
    assert rlsuite("show", "nothing").code == 2 and rlsuite("list", "recipes").code == 0
    after = state()
    torch.set_num_threads(1)
    after[2].pop("MUJOCO_GL", None)
    assert after == before
