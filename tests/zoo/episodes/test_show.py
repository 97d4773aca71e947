"""`rlsuite show`: pictures and films of episodes, and the mistakes one can make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rlsuite import algorithm
from rlsuite_envs.make import make_single_env
from rlsuite_zoo.cli import main
from rlsuite_zoo.episodes import show


def _picture(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_a_strip_of_frames_for_environments_that_draw_none_of_whole_episodes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pygame")  # which draws classic control, and is an extra
    path = tmp_path / "deep" / "cart.png"
    assert main(["show", "rlsuite/CartPole-v1", "--out", str(path), "--seed", "3"]) == 0
    assert _picture(path).shape[2] == 3
    assert _picture(path).std() > 5  # something is drawn
    first = capsys.readouterr().out
    assert "terminated" in first and "return" in first
    again = tmp_path / "again.png"
    assert main(["show", "rlsuite/CartPole-v1", "--out", str(again), "--seed", "3"]) == 0
    np.testing.assert_array_equal(_picture(path), _picture(again))


def test_a_curve_for_each_objective_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, ...]] = []

    def note(played: object, title: str, names: tuple[str, ...] = ()) -> np.ndarray:
        drawn.append(names)
        return strip(played, title, names)  # type: ignore[arg-type]

    strip = show._strip
    monkeypatch.setattr(show, "_strip", note)
    made = make_single_env("rlsuite/DeepSeaTreasure-v0", render_mode="rgb_array")
    made.reset(seed=0)
    rewards = np.array([[0.0, -1.0], [0.7, -1.0]])
    played = show.Played([], [0, 1], rewards, [made.render()], 1, "terminated")
    picture = show._strip(played, "sea", show._names(made, played))  # type: ignore[arg-type]
    made.close()
    assert drawn == [("treasure", "time")]
    plain = strip(played, "sea")
    assert (picture != plain).any() and picture.shape == plain.shape


def test_a_trained_policy_plays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    agent = algorithm("ppo")("rlsuite/KeyDoor-v0", num_envs=4, n_steps=16, seed=0)
    agent.save(tmp_path / "model.zip")
    words = ["show", "rlsuite/KeyDoor-v0", "--policy", str(tmp_path / "model.zip"), "--steps", "3"]
    assert main([*words, "--out", str(tmp_path / "a.png")]) == 0
    assert "3 steps (stopped), return 0." in capsys.readouterr().out


def test_constants_of_the_environment_are_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["show", "rlsuite/HardMaze-v0", "--out", str(tmp_path / "a.png")]
    assert main([*words, "horizon=20"]) == 0
    assert "20 steps" in capsys.readouterr().out
    assert main([*words, "horizn=20"]) == 2
    assert "did you mean 'horizon'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rlsuite/CartPol-v1"], "CartPole-v1"),
        (["rlsuite/CartPole-v1", "--out", "a.gif"], ".png or .mp4"),
        (["rlsuite/CartPole-v1", "--policy", "nobody"], "neither 'random'"),
        (["rlsuite/CartPole-v1", "--steps", "-1"], "at least 1"),
        (["rlsuite/ProbePolicy-v0"], "no picture"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["show", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_policy_of_other_spaces_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    agent = algorithm("ppo")("rlsuite/CartPole-v1", num_envs=4, n_steps=16, seed=0)
    agent.save(tmp_path / "model.zip")
    words = ["show", "rlsuite/Pendulum-v1", "--policy", str(tmp_path / "model.zip")]
    assert main([*words, "--out", str(tmp_path / "a.png")]) == 2
    assert "its observations are Box(4,), the environment's Box(3,)" in capsys.readouterr().err


def test_a_film(tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg")
    import imageio

    path = tmp_path / "a.mp4"
    assert main(["show", "rlsuite/CartPole-v1", "--out", str(path), "--steps", "5"]) == 0
    with imageio.get_reader(path) as film:
        assert film.count_frames() == 6  # the start and five steps
