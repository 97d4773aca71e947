"""Maps over mass and friction: the nominal cell is the plain task, cells equal pools with those scales, summaries."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.vector import VectorWrapper

from rlsuite.adversarial.games.sweep import force_sweep, model_sweep, tail_mean, worst
from rlsuite.core.evaluate import evaluate
from rlsuite_envs.mujoco.pool import MujocoPool


class Swing:
    """Hopper's joints driven by what is seen; a fixed, stateless policy."""

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.clip(np.asarray(observation)[:, 2:5] * 2, -1, 1).astype(np.float32), state


class Seeded(VectorWrapper):
    def reset(self, *, seed=None, options=None):
        return self.env.reset(seed=[seed + i for i in range(self.num_envs)], options=options)


def test_every_cell_is_the_task_with_those_scales() -> None:
    mass, friction = [0.5, 1.0, 1.5], [1.0, 0.3]
    found = model_sweep(Swing(), "Hopper-v5", mass=mass, friction=friction, episodes=2, seed=7)
    assert found.shape == (3, 2, 2)
    for i, m in enumerate(mass):
        for j, f in enumerate(friction):
            pool = MujocoPool("Hopper-v5", 2)
            if (m, f) != (1.0, 1.0):  # the nominal cell is the untouched task, bit for bit
                pool.set_scales(mass={"torso": np.full(2, m)}, friction=np.full(2, f))
            alone = evaluate(Swing(), Seeded(pool), episodes=2, seed=7)
            assert np.array_equal(found[i, j], alone.returns[np.argsort(alone.envs)])
            pool.close()
    assert len(np.unique(found.mean(-1))) > 3


def test_pushes_begin_at_the_plain_task_and_then_change_it() -> None:
    found = force_sweep(Swing(), "Hopper-v5", [0.0, 20.0], episodes=3, seed=5)
    assert set(found) == {"random", "steps", "random steps"}
    plain = evaluate(Swing(), "Hopper-v5", episodes=3, seed=5)
    for returns in found.values():
        assert returns.shape == (2, 3)
        assert np.array_equal(returns[0], plain.returns[np.argsort(plain.envs)])
    # pulses may come after these short episodes; noise does not
    assert not np.array_equal(found["random"][0], found["random"][1])
    with pytest.raises(ValueError, match="forces"):
        force_sweep(Swing(), "Hopper-v5", [-1.0])
    with pytest.raises(ValueError, match="adversary"):
        force_sweep(Swing(), "Pusher-v5", [1.0])


def test_summaries() -> None:
    returns = np.array([[[1.0, 3.0], [10.0, 0.0]], [[5.0, 5.0], [2.0, 2.5]]])
    assert worst(returns) == 2.0
    assert tail_mean(returns, 0.25) == 0.5 and tail_mean(returns, 1.0) == returns.mean()
    assert tail_mean(returns, 0.01) == 0.0
    with pytest.raises(ValueError, match="share"):
        tail_mean(returns, 0.0)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"env": "CartPole-v1"}, "MuJoCo tasks"),
        ({"mass": [0.0]}, "mass scales"),
        ({"friction": []}, "friction"),
        ({"body": "tors"}, "did you mean 'torso'"),
        ({"episodes": 0}, "episodes"),
        ({"mass": [np.nan]}, "mass"),
    ],
)
def test_bad_input(changes, match) -> None:
    values = {"env": "Hopper-v5", "mass": [1.0], "friction": [1.0], "episodes": 1} | changes
    with pytest.raises(ValueError, match=match):
        model_sweep(Swing(), values.pop("env"), **values)
