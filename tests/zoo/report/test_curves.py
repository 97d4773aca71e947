"""Learning curves: numbers against oracles, and a picture that is one."""

from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from scipy import stats

from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.report.curves import Curve, draw, gather, moving_average
from rlsuite_zoo.runs.folder import RunSpec
from rlsuite_zoo.runs.groups import one_group


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


LINE = [(100, 1.0), (200, 3.0)]


def test_the_same_run_twice_is_no_second_seed(rlsuite: Any, make_run: Any) -> None:
    make_run("runs/a", LINE)
    make_run("runs/b", LINE)
    ran = rlsuite("plot", "runs")
    assert ran.code == 2 and "are the same run (seed 0)" in ran.err and not Path("learning_curves.png").exists()


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"steps": 400}, "400 steps"),
        ({"num_envs": 8}, "num_envs=8"),
        ({"config": {"learning_rate": 1e-3}}, "learning_rate=0.001"),
        ({"env_kwargs": {"gravity": 5.0}}, "env.gravity=5.0"),
        ({"eval_episodes": 7}, "eval_episodes=7"),
        ({"eval_stochastic": True}, "eval_stochastic=True"),
        ({"eval_every": 50}, "eval_every=50"),
        ({"device": "cpu"}, "device=cpu"),
        ({"checkpoint_every": 10}, "checkpoint_every=10"),
        ({"config": {"net_arch": list(range(40))}}, "setting 3"),
    ],
)
def test_what_is_not_a_seed_is_a_curve_of_its_own(make_run: Any, other: dict[str, Any], named: str) -> None:
    base: dict[str, Any] = {"steps": 200, "config": {"learning_rate": 3e-4, "net_arch": [64]}, "env_kwargs": {}}
    runs = [make_run(f"a{seed}", LINE, seed=seed, **base) for seed in (0, 1)]
    runs += [make_run("w", LINE, seed=1, **base | {"num_envs": 2}), make_run("b", LINE, seed=2, **base | other)]
    if "num_envs" not in named:
        with pytest.raises(UsageError, match=r"the page averages over runs that differ in their seed alone: .* has "):
            one_group([runs[0], runs[3]], "the page averages over runs")
    (curves,) = gather(runs, "rollout/ep_rew_mean", 0.0).values()
    assert [len(curve.values) for curve in curves] == [2, 1, 1]
    assert named in curves[2].label or curves[2].label == f"ppo, {named}"


def test_a_seed_that_goes_on_is_not_dropped_without_a_word(rlsuite: Any, make_run: Any) -> None:
    make_run("runs/s0", [(100, 1.0), (200, 3.0), (400, 7.0)], seed=0, steps=400)
    make_run("runs/s1", [(100, 3.0), (250, 6.0)], seed=1, steps=400)
    ran = rlsuite("plot", "runs", "--smooth", "0")
    assert "ppo: rollout/ep_rew_mean 5.0 [4.0, 6.0] at 250 steps, 2 seeds" in ran.out
    assert "(mean to step 250, where s1 ends; others go on to 400)" in ran.out
    (curve,) = gather(
        [make_run("s0", [(100, 1.0), (400, 7.0)]), make_run("s1", [(200, 5.0), (300, 5.0)], seed=1, steps=400)],
        "rollout/ep_rew_mean",
        0.0,
    )["CartPole-v1"]
    assert [(s.tolist(), v.tolist()) for s, v in curve.rests] == [([100, 200], [1, 3]), ([300, 400], [5, 7])]
    axis = draw({"CartPole-v1": [curve]}, "m", 0.0, "").axes[0]
    assert sorted(max(line.get_xdata()) for line in axis.get_lines()) == [200, 300, 400]


def test_seeds_without_a_common_step_and_steps_that_go_back_are_refused(make_run: Any) -> None:
    one, other = make_run("a", [(100, 1.0)], steps=900), make_run("b", [(300, 1.0), (900, 2.0)], seed=1, steps=900)
    with pytest.raises(UsageError, match=r"ends at step 100, .*begins at 300"):
        gather([one, other], "rollout/ep_rew_mean", 0.0)
    with pytest.raises(UsageError, match="go back: two processes wrote it"):
        gather([make_run("c", [(256, 1.0), (768, 2.0), (512, 1.5)])], "rollout/ep_rew_mean", 0.0)


def test_many_settings_have_a_short_name_and_are_told_below(rlsuite: Any, make_run: Any) -> None:
    label = " ".join(f"env.capacity_of_machine_{i}=[{i}, {i}]" for i in range(8))
    assert RunSpec("ppo", "E", 0, 1, 1, label=label).group == "ppo env.capacity_of_machine_0=[... +7 #44ad"
    assert RunSpec("ppo", "E", 0, 1, 1, label=label + "0").group != RunSpec("ppo", "E", 0, 1, 1, label=label).group
    make_run("runs/a", LINE, label=label)
    ran = rlsuite("plot", "runs")
    assert ran.out.count(label) == 1 and "+7 #" in ran.out.splitlines()[0] and len(ran.out.splitlines()[0]) < 160


def test_drawing_leaves_the_notebooks_backend_alone(rlsuite: Any, make_run: Any) -> None:
    import matplotlib

    before = matplotlib.rcParams["backend"]
    matplotlib.rcParams["backend"] = "svg"
    make_run("runs/a", LINE)
    try:
        assert rlsuite("plot", "runs").code == 0 and matplotlib.rcParams["backend"] == "svg"
    finally:
        matplotlib.rcParams["backend"] = before
