"""The point in the wind: its physics by hand, its wind in the strip alone, and Gymnasium's contract."""

from __future__ import annotations

import math
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from rlsuite_envs.make import make_vector_env
from rlsuite_envs.registration import list_envs
from rlsuite_envs.two_player.make import as_game
from rlsuite_envs.two_player.windy_point import WindyPoint, WindyPointParams, WindyPointState


def state(x: float, y: float, vx: float = 0.0, vy: float = 0.0) -> WindyPointState:
    return WindyPointState(torch.tensor([[x, y]]), torch.tensor([[vx, vy]]))


def step(before: WindyPointState, push: tuple[float, float], wind: float) -> tuple[Any, ...]:
    return WindyPoint().advance(before, (torch.tensor([push]), torch.tensor([[wind]])))


def test_gymnasiums_checker() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*probably too (low|high).*")
        warnings.filterwarnings("ignore", message=".*[Ss]ymmetric and normalized.*")
        check_env(gym.make("rlsuite/WindyPoint-v0").unwrapped, skip_render_check=True)
    assert "rlsuite/WindyPoint-v0" in dict(list_envs())


def test_a_step_by_hand() -> None:
    after, reward, terminated = step(state(0.2, -0.1, 0.4, 0.6), (0.5, -2.0), 0.2)
    vx = 0.4 + 0.05 / 5 * (5.0 - 0.4)
    vy = 0.6 + 0.05 / 5 * (-10.0 - 0.6 + 4.0)  # the agent's share is clipped to -1
    x, y = 0.2 + 0.05 * vx, -0.1 + 0.05 * vy
    np.testing.assert_allclose(after.velocity[0], [vx, vy], rtol=1e-6)
    np.testing.assert_allclose(after.position[0], [x, y], rtol=1e-6)
    assert reward.item() == pytest.approx(math.exp(-math.hypot(x - 1.5, y)), rel=1e-6)
    assert not terminated.any()


@pytest.mark.parametrize(("x", "blown"), [(-0.51, 0.0), (-0.5, 0.2), (0.3, 0.2), (0.52, 0.0)])
def test_wind_blows_in_the_strip_only_and_within_its_box(x: float, blown: float) -> None:
    after, *_ = step(state(x, 0.0), (0.0, 0.0), 77.0)
    np.testing.assert_allclose(after.velocity[0], [0.0, blown], atol=1e-7)


@pytest.mark.parametrize(
    ("x", "y", "vx", "vy"), [(1.99, 0, 3, 0), (-1.99, 0, -3, 0), (0, 1.99, 0, 3), (0, -1.99, 0, -3)]
)
def test_outside_of_the_square_is_the_end(x: float, y: float, vx: float, vy: float) -> None:
    _, _, terminated = step(state(x, y, vx, vy), (0.0, 0.0), 0.0)
    _, _, stays = step(state(x, y), (0.0, 0.0), 0.0)
    assert terminated.all() and not stays.any()


def test_both_shells_agree_and_episodes_are_truncated() -> None:
    many = make_vector_env("rlsuite/WindyPoint-v0", 1, env_kwargs={"horizon": 40})
    one = gym.make("rlsuite/WindyPoint-v0", horizon=40)
    left, right = many.reset(seed=4)[0], one.reset(seed=4)[0]
    rng = np.random.default_rng(0)
    for t in range(40):
        np.testing.assert_array_equal(np.asarray(left)[0], right)
        pair = rng.uniform(-1, 1, 2).astype(np.float32), rng.uniform(-1, 1, 1).astype(np.float32)
        left, _, ended, truncated, info = many.step(tuple(part[None] for part in pair))
        right, _, over, cut, _ = one.step(pair)
        assert bool(truncated[0]) == cut == (t == 39) and not ended[0] and not over
    np.testing.assert_array_equal(np.asarray(info["final_obs"])[0], right)


def test_it_is_a_game_and_one_player_tasks_are_not() -> None:
    game = make_vector_env("rlsuite/WindyPoint-v0", 2)
    assert as_game(game) is game
    with pytest.raises(ValueError, match="CartPole-v1 has no second player"):
        as_game(make_vector_env("rlsuite/CartPole-v1", 2))


@pytest.mark.parametrize("change", [{"mass": 0.0}, {"max_wind": -1.0}, {"horizon": 0}, {"dt": math.nan}])
def test_bad_constants_are_named(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        WindyPointParams(**change)
