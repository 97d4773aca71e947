"""`bench.smoothing` measures two players of one policy, and says what it extrapolates."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rlsuite import PPO
from rlsuite_zoo.bench.smoothing import _copy, main
from rlsuite_zoo.errors import UsageError


def test_times_ratio_and_certificate(tmp_path, capsys):
    result = main(episodes=60, peer_episodes=2, train_steps=1024, repeats=1, out=tmp_path)
    seconds = result["seconds"]
    expected = seconds["loop, extrapolated"] / seconds["batch"]
    assert result["ratios"]["loop (extrapolated) to batch"] == pytest.approx(expected)
    assert result["episodes"] == {"batch": 60, "loop": 2}
    assert json.loads((tmp_path / "smoothing_speed.json").read_text())["certificate"]["episodes"] == 60
    assert "extrapolated from 2 episodes" in " ".join(capsys.readouterr().out.split())


def test_both_play_the_same_policy():
    agent = PPO("CartPole-v1", n_steps=64, device="cpu").learn(64)
    obs = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    ours, theirs = (model.predict(obs, deterministic=True)[0] for model in (agent, _copy(agent)))
    np.testing.assert_array_equal(ours, theirs)
    assert 0 < ours.mean() < 1


def test_mistakes():
    with pytest.raises(UsageError, match="too few"):
        main(episodes=5)
    with pytest.raises(UsageError, match="peer-episodes"):
        main(peer_episodes=0)
