"""The point in a square, and the discs that reward."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsuite_envs.kernel import tree_map
from rlsuite_envs.mazes.points.point2d import Point2D, Point2DParams, Point2DState
from rlsuite_envs.mazes.reward_areas import RewardAreas, as_areas

coordinate = st.floats(-1, 1, width=32)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-2, 2, width=32), st.floats(-2, 2, width=32)), min_size=1, max_size=60))
def test_the_point_adds_up_its_clipped_actions(actions: list[tuple[float, float]]) -> None:
    kernel = Point2D(dtype=torch.float64)
    state, x, y = kernel.initial_state(1, torch.Generator()), 0.0, 0.0
    for ax, ay in actions:
        state, reward, terminated = kernel.advance(state, torch.tensor([[ax, ay]]))
        x = min(1.0, max(-1.0, x + 0.05 * min(1.0, max(-1.0, ax))))
        y = min(1.0, max(-1.0, y + 0.05 * min(1.0, max(-1.0, ay))))
        assert reward == 0
        assert not terminated
    np.testing.assert_allclose([state.x.item(), state.y.item()], [x, y], atol=1e-12)
    np.testing.assert_allclose(kernel.info(state)["behaviour"][0], [x, y], atol=1e-12)
    assert not kernel.info(state)["success"]


@settings(max_examples=50, deadline=None)
@given(x=coordinate, y=coordinate)
def test_the_first_disc_around_a_point_pays(x: float, y: float) -> None:
    rows = ((0.0, 0.0, 0.5), (0.2, 0.0, 0.6), (-0.9, -0.9, 0.1))
    areas = RewardAreas(as_areas(rows, (-1, 1), (-1, 1)), torch.device("cpu"), torch.float64)
    place = torch.tensor([x], dtype=torch.float64), torch.tensor([y], dtype=torch.float64)
    distances = [math.dist((x, y), row[:2]) for row in rows]
    inside = [i for i, (d, row) in enumerate(zip(distances, rows, strict=True)) if d <= row[2]]
    expected = (rows[inside[0]][2] - distances[inside[0]]) / rows[inside[0]][2] if inside else 0.0
    assert areas.score(*place).item() == pytest.approx(expected, abs=1e-12)
    assert areas.index(*place).item() == (inside[0] if inside else -1)
    assert areas.distance(*place).item() == pytest.approx(min(distances), abs=1e-12)


def test_two_areas_pay_at_the_end() -> None:
    kernel = Point2D(Point2D.presets["two-areas"], dtype=torch.float64)
    start = torch.tensor([0.4]).double(), torch.tensor([0.25]).double()
    state = Point2DState(*start, torch.tensor([48]))
    state, reward, _ = kernel.advance(state, torch.zeros(1, 2))
    assert reward == 0
    _, reward, terminated = kernel.advance(state, torch.zeros(1, 2))
    assert reward.item() == pytest.approx(0.5)
    assert not terminated


def test_an_episode_lasts_fifty_steps() -> None:
    env = gym.make("rlsuite/Point2D-v0")
    env.reset(seed=0)
    ends = [env.step(np.array([1.0, -1.0], np.float32))[2:4] for _ in range(50)]
    assert ends == [(False, False)] * 49 + [(False, True)]
    vector: Any = gym.make_vec("rlsuite/Point2D-TwoAreas-v0", num_envs=3)
    vector.reset(seed=0)
    for step in range(50):
        _, reward, _, truncated, _ = vector.step(np.full((3, 2), 0.16, np.float32))
        assert truncated.all() == (step == 49)
    np.testing.assert_allclose(reward, 1.0, atol=1e-5)  # 50 steps of 0.008 end in (0.4, 0.4)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"step_size": 0.0}, "step_size=0.0"),
        ({"areas": ((0.0, 0.0),)}, "areas.*three numbers"),
        ({"areas": ((0.0, math.nan, 0.1),)}, r"areas\[0\]"),
        ({"areas": ((0.0, 0.0, math.inf),)}, r"areas\[0\].*radius"),
        ({"areas": ((0.0, 1.2, 0.3),)}, r"areas\[0\].*-1.0, 1.0"),
        ({"areas": 3}, "areas=3"),
        ({"reward": 1}, "reward=1"),
        ({"horizon": 0}, "horizon=0"),
        ({"horizon": 1.5}, "horizon=1.5"),
    ],
)
def test_impossible_constants_are_refused(bad: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Point2DParams(**bad)


def test_pictures() -> None:
    kernel = Point2D(Point2D.presets["two-areas"])
    states = [kernel.initial_state(1, torch.Generator())]
    actions, rewards = torch.rand((50, 2), generator=torch.Generator().manual_seed(0)), []
    for action in actions:
        state, reward, _ = kernel.advance(states[-1], action[None])
        states.append(state)
        rewards.append(reward[0])
    assert kernel.render(states[-1]).shape == (400, 400, 3)
    stacked = tree_map(lambda *rows: torch.cat(rows), *states)
    assert kernel.render_episode(stacked, actions, torch.stack(rewards)).dtype == np.uint8
