"""PGMORL: the front of a bandit, what the choice learns from, and what a checkpoint goes on with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from rlsuite import PGMORL, load
from rlsuite_envs.kernel import Kernel
from rlsuite_envs.vector import TensorVectorEnv

SMALL: dict[str, Any] = {
    "n_steps": 32,
    "batch_size": 64,
    "n_epochs": 4,
    "eval_episodes": 1,
    "gamma": 0.9,
    "net_arch": (8,),
    "reference": (-1.5, -1.5),
    "learning_rate": 1e-2,
    "warmup_updates": 4,
    "generation_updates": 2,
    "bins": 20,
}


@dataclass(frozen=True)
class Constants:
    """Constants of the task."""

    horizon: int = 1


@dataclass(frozen=True)
class State:
    zero: torch.Tensor


class Arc(Kernel[State, Any, Any]):
    """One step; action a in [-1, 1] pays (1 - (a - 1)^2 / 2, 1 - (a + 1)^2 / 2): a convex front, a point for each a."""

    params_class = Constants
    observation_space = spaces.Box(-1.0, 1.0, (1,))
    action_space = spaces.Box(-1.0, 1.0, (1,))
    reward_dim = 2

    def initial_state(self, num: int, rng: torch.Generator) -> State:
        return State(torch.zeros(num, 1, device=self.device))

    def post_decision(self, state: State, action: Any) -> tuple[Any, Any]:
        a = action.clamp(-1, 1)
        return state, torch.cat([1 - (a - 1) ** 2 / 2, 1 - (a + 1) ** 2 / 2], 1)

    def transition(self, post_state: Any, noise: Any) -> tuple[State, Any, torch.Tensor]:
        return post_state, None, torch.ones(len(post_state.zero), dtype=torch.bool, device=self.device)

    def observe(self, state: State) -> torch.Tensor:
        return state.zero.clone()


def arc() -> TensorVectorEnv:
    return TensorVectorEnv(24, kernel=Arc())


def agent(**options: Any) -> PGMORL:
    return PGMORL(arc(), device="cpu", **(SMALL | options))


def test_it_finds_the_front_from_end_to_end() -> None:
    model = agent(seed=0, divisions=2, ent_coef=0.001).learn(24 * 32 * 40, log_interval=None)
    front = model.front[np.argsort(model.front[:, 0])]
    a = 1 - np.sqrt(2 * (1 - front[:, 0]))  # the action that pays the first objective
    assert np.allclose(front[:, 1], 1 - (a + 1) ** 2 / 2, atol=1e-5)  # every member plays one action, and is on the arc
    assert front[0, 1] > 0.9 and front[-1, 0] > 0.9 and np.diff(front[:, 0]).max() < 0.7
    assert model.guide.generation >= 10 and len(model.buffer) >= len(model.front) / 2
    best = model.members()[model.select((1.0, 0.0))]
    assert float(best.predict(np.zeros(1, np.float32), deterministic=True)[0][0]) > 0.5


def test_gains_are_recorded_for_what_was_trained() -> None:
    model = agent(seed=1, divisions=2).learn(24 * 32 * 8, log_interval=None)
    guide = model.guide
    assert len(guide.gains) == 3 * 4  # 8 updates, measured every 2nd, of 3 policies
    assert np.allclose(guide.trained[:3], [[0, 1], [0.5, 0.5], [1, 0]])
    assert np.allclose(guide.trained[3:6], guide.trained[:3])
    assert np.allclose(guide.before[3:6], guide.before[:3] + guide.gains[:3])  # the warm-up goes on from itself
    assert guide.generation == 2 and (guide.parent >= 0).all() and guide.born == 3 * 5


@pytest.mark.parametrize("stop", [3_000, 9_000])
def test_resumed_training_equals_uninterrupted(stop: int, tmp_path: Any) -> None:
    through, halves = (agent(seed=3, divisions=2, learning_rate="linear:1e-2") for _ in range(2))
    stops: list[int] = []

    def save_at(model: Any) -> None:
        if model.num_timesteps >= stop and not stops:
            stops.append(model.num_timesteps)
            model.save(tmp_path / "half.zip")

    through.learn(12_000, log_interval=None)
    halves.learn(12_000, log_interval=None, on_update=save_at)
    again = PGMORL.load(tmp_path / "half.zip", env=arc(), device="cpu")
    again.learn(12_000 - again.num_timesteps, reset_num_timesteps=False, log_interval=None)
    assert 0 < stops[0] < 12_000
    for part, state in through.get_parameters().items():
        for name, value in state.items():
            assert torch.equal(value, again.get_parameters()[part][name]), (part, name)


def test_a_saved_set_plays_as_before(tmp_path: Any) -> None:
    model = agent(seed=0).learn(6_000, log_interval=None)
    model.save(tmp_path / "set.zip")
    again = load(tmp_path / "set.zip", device="cpu")
    obs = np.zeros((4, 1), np.float32)
    for weights in ((0.0, 1.0), (0.5, 0.5), (1.0, 0.0)):
        assert np.array_equal(*(m.predict(obs, deterministic=True, weights=weights)[0] for m in (model, again)))


def test_more_than_three_objectives_and_bad_settings_are_refused() -> None:
    class Four(Arc):
        reward_dim = 4

        def post_decision(self, state: State, action: Any) -> tuple[Any, Any]:
            return state, action.expand(-1, 4)

    with pytest.raises(ValueError, match=r"2 or 3 objectives, not 4; use CMORL"):
        PGMORL(TensorVectorEnv(56, kernel=Four()), device="cpu")
    for options, name in (({"bins": 1}, "bins"), ({"alpha": -1.0}, "alpha"), ({"num_weights": 1}, "num_weights")):
        with pytest.raises(ValueError, match=name):
            agent(**options)
