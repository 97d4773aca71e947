"""Learning curves: numbers against oracles, and a picture that is one."""

from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from scipy import stats

from rlsuite_zoo.report.curves import Curve, gather, moving_average


def test_moving_average_keeps_lines_and_equals_the_window_mean() -> None:
    line = np.linspace(3.0, 7.0, 200)
    np.testing.assert_allclose(moving_average(line, 0.1), line, atol=1e-12)  # symmetric windows: no end is dragged
    noise = np.random.default_rng(0).normal(size=200)
    smooth = moving_average(noise, 0.1)
    assert smooth[100] == pytest.approx(noise[90:111].mean())
    assert smooth[0] == noise[0] and smooth[-1] == noise[-1]
    np.testing.assert_array_equal(moving_average(noise, 0.0), noise)


def test_interval_agrees_with_scipys_bootstrap() -> None:
    values = np.random.default_rng(1).normal(100, 20, size=(8, 3))
    low, high = Curve("", np.arange(3), values).interval()
    for j in range(3):
        theirs = stats.bootstrap((values[:, j],), np.mean, n_resamples=9999, method="percentile", rng=2)
        np.testing.assert_allclose([low[j], high[j]], theirs.confidence_interval, rtol=0.01)


def test_groups_differ_in_more_than_the_seed(make_run: Any) -> None:
    runs = [make_run(f"a{s}", [(100, 1.0 + s), (200, 3.0 + s)], seed=s) for s in range(3)]
    runs += [make_run("b", [(100, 5.0), (300, 9.0)], recipe="raw")]
    runs += [make_run("c", [(100, 0.0), (200, 0.0)], env="Pendulum-v1")]
    curves = gather(runs, "rollout/ep_rew_mean", 0.0)
    assert list(curves) == ["CartPole-v1", "Pendulum-v1"]
    first, second = curves["CartPole-v1"]
    assert (first.label, first.values.shape[0]) == ("ppo", 3) and (second.label, second.values.shape[0]) == (
        "ppo raw",
        1,
    )
    assert first.mean[0] == pytest.approx(2.0) and first.mean[-1] == pytest.approx(4.0)
    assert second.steps[-1] == 300


def test_plot_writes_a_picture_with_ink(rlsuite: Any, make_run: Any, tmp_path: Path) -> None:
    for seed in range(3):
        make_run(f"runs/s{seed}", [(k * 100, k * (1.0 + seed)) for k in range(1, 30)], seed=seed)
        make_run(f"runs/p{seed}", [(k * 100, k + seed) for k in range(1, 30)], seed=seed, env="Pendulum-v1")
    ran = rlsuite("plot", "runs", "--out", "deep/curve.png")
    assert ran.code == 0 and "3 seeds" in ran.out and "wrote deep/curve.png" in ran.out
    picture = matplotlib.image.imread(tmp_path / "deep/curve.png")
    assert picture.shape[0] > 400 and picture.shape[1] > 800
    assert (picture[..., :3] < 0.5).any(axis=-1).sum() > 1000  # axes, text and lines, not a white sheet


def test_plot_names_what_is_missing(rlsuite: Any, make_run: Any) -> None:
    make_run("run", [(100, 1.0), (200, 2.0)])
    ran = rlsuite("plot", "run", "--metric", "rollout/ep_rew")
    assert ran.code == 2 and "did you mean 'rollout/ep_rew_mean'" in ran.err
