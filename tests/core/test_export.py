"""ONNX export: the file's actions are predict's, normaliser and post-processing included."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from rlsuite import PPO, SAC

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SPACES = {
    "box": (spaces.Box(-5, 5, (3,), np.float64), spaces.Box(np.float32([-2, 0]), np.float32([2, 1]))),
    "discrete": (spaces.Discrete(4), spaces.Discrete(3, start=5)),
    "dict": (
        spaces.Dict(a=spaces.Box(-1, 1, (2, 2)), b=spaces.MultiDiscrete([2, 3])),
        spaces.MultiDiscrete([2, 4]),
    ),
    "binary": (spaces.MultiBinary(3), spaces.MultiBinary(2)),
}


def run(path, inputs):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == list(inputs)
    return session.run(["action"], inputs)[0]


@pytest.mark.parametrize("name", SPACES)
def test_every_space(name, tmp_path):
    model = PPO(None, spaces=SPACES[name], device="cpu", normalize_obs=True, log_std_init=-1.0)
    path = model.export(tmp_path / name)  # checks itself against predict
    assert path == tmp_path / f"{name}.onnx"


def test_trained_normaliser_and_clipping_are_in_the_file(tmp_path):
    model = PPO("Pendulum-v1", num_envs=4, n_steps=64, normalize_obs=True, device="cpu", learning_rate=0.05).learn(1024)
    path = model.export(tmp_path / "pendulum")
    obs = np.random.default_rng(0).uniform(-8, 8, (64, 3)).astype(np.float32)
    expected, _ = model.predict(obs, deterministic=True)
    np.testing.assert_allclose(run(path, {"obs": obs}), expected, atol=1e-4)
    assert np.abs(expected).max() == pytest.approx(2.0)  # some actions were clipped


def test_sac(tmp_path):
    model = SAC("Pendulum-v1", net_arch=(16,), batch_size=32, device="cpu").learn(200)
    obs = np.random.default_rng(0).uniform(-1, 1, (5, 3)).astype(np.float32)
    actions = run(model.export(tmp_path / "sac.onnx"), {"obs": obs})
    np.testing.assert_allclose(actions, model.predict(obs, deterministic=True)[0], atol=1e-4)


def test_disagreement_leaves_nothing(tmp_path, monkeypatch):
    model = PPO(None, spaces=SPACES["box"], device="cpu")
    monkeypatch.setattr(PPO, "predict", lambda self, obs, **_: (np.full((len(obs), 2), 99.0), None))
    with pytest.raises(ValueError, match="differ from predict's"):
        model.export(tmp_path / "wrong")
    assert list(tmp_path.iterdir()) == []
