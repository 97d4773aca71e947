"""Ball collecting: grabbing and releasing by hand, lights, descriptors, and that all balls can be brought home."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlsuite_envs.kernel import make_kernel, tree_items, tree_map
from rlsuite_envs.mazes.robots.collect_ball import BALLS, CollectBall, CollectBallState

GRAB, RELEASE = torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[0.0, 0.0, -1.0]])


def arena(**constants: Any) -> CollectBall:
    return make_kernel(CollectBall, **{"dtype": torch.float64, **constants})


def move(state: CollectBallState, x: float, y: float, degrees: float = 0.0) -> CollectBallState:
    here = [torch.tensor([value], dtype=state.robot.x.dtype) for value in (x, y, math.radians(degrees))]
    return replace(state, robot=replace(state.robot, x=here[0], y=here[1], heading=here[2]))


def begin(kernel: CollectBall, num: int = 1) -> CollectBallState:
    return kernel.initial_state(num, torch.Generator())


def test_a_ball_is_grabbed_carried_and_delivered() -> None:
    kernel = arena()
    state = move(begin(kernel), 225, 234)  # 9 from ball 5
    state, reward, _ = kernel.advance(state, RELEASE)
    assert (state.held.item(), reward.item()) == (-1, 0.0)
    state, reward, _ = kernel.advance(state, GRAB)
    assert (state.held.item(), reward.item()) == (5, 0.0)
    state, _, _ = kernel.advance(state, torch.tensor([[1.0, 1.0, 0.5]]))  # drives 4 along x
    assert state.held.item() == 5
    assert kernel.info(state)["balls"][0, 5].tolist() == pytest.approx([229, 234])
    state, reward, _ = kernel.advance(move(state, 100, 508), RELEASE)
    assert (state.held.item(), reward.item()) == (-1, 1.0)
    info = kernel.info(state)
    assert (info["delivered"].item(), info["success"].item()) == (1, True)
    assert info["balls"][0, 5].tolist() == [100, 500]
    again, reward, _ = kernel.advance(state, GRAB)  # a delivered ball is gone
    assert (again.held.item(), reward.item()) == (-1, 0.0)


def test_a_ball_released_elsewhere_lies_there() -> None:
    kernel = arena()
    state, *_ = kernel.advance(move(begin(kernel), 225, 225), GRAB)
    state, reward, _ = kernel.advance(move(state, 300, 300), torch.tensor([[0.0, 0.0, 0.0]]))  # 0 releases too
    assert (state.held.item(), reward.item()) == (-1, 0.0)
    state, *_ = kernel.advance(move(state, 400, 300), RELEASE)
    assert kernel.info(state)["balls"][0, 5].tolist() == [300, 300]
    state, *_ = kernel.advance(move(state, 305, 300), GRAB)
    assert state.held.item() == 5


def test_ten_away_is_too_far_and_the_first_of_several_is_taken() -> None:
    kernel = arena()
    state, *_ = kernel.advance(move(begin(kernel), 225, 235), GRAB)
    assert state.held.item() == -1
    kernel = arena(balls=((300, 300), (306, 300), (303, 300)))
    state, *_ = kernel.advance(move(begin(kernel), 305, 300), GRAB)
    assert state.held.item() == 0


def test_the_release_acts_before_the_move() -> None:
    state = move(begin(arena()), 225, 237)  # 12 from ball 5; one step of 4 brings the robot to 8
    north = torch.tensor([[1.0, 1.0, 1.0]])
    state = move(state, 225, 237, -90)
    now, *_ = arena().advance(state, north)
    lagged, *_ = arena(lagged=True).advance(state, north)
    assert (now.held.item(), lagged.held.item()) == (5, -1)
    lagged, *_ = arena(lagged=True).advance(lagged, north)
    assert lagged.held.item() == 5
    put, *_ = arena(lagged=True).advance(lagged, torch.tensor([[1.0, 1.0, -1.0]]))
    assert put.ball_y[0, 5].item() == pytest.approx(229)  # where it stood before the third move


def test_lights_tell_left_from_right() -> None:
    kernel = arena(balls=((300, 300),))
    # Facing +x from (200, y): the ball is at +y where y < 300, which is the right in these pictures.
    for y, degrees, seen in (
        (310, 0, (1, 0)),
        (290, 0, (0, 1)),
        (310, 90, (0, 0)),
        (300, 51, (0, 0)),
        (300, 49, (1, 0)),
    ):
        obs = kernel.observe(move(begin(kernel), 200, y, degrees))[0]
        assert tuple(obs[5:7].tolist()) == seen, (y, degrees)
    home = kernel.observe(move(begin(kernel), 100, 400, 100))[0]
    assert home[7:9].tolist() == [1, 0]
    held, *_ = kernel.advance(move(begin(kernel), 300, 305, 0), GRAB)
    assert kernel.observe(move(held, 200, 310))[0, 5:].tolist() == [0, 0, 0, 0, 1]


def test_walls_hide_lights() -> None:
    wall = ((85.0, 60.0, 85.0, 140.0, 3.0),)  # across x = 255, from y = 180 to 420
    kernel = arena(balls=((400, 300),), strokes=wall)
    assert kernel.observe(move(begin(kernel), 200, 310))[0, 5:7].tolist() == [0, 0]
    assert kernel.observe(move(begin(kernel), 300, 310))[0, 5:7].tolist() == [1, 0]
    obs = kernel.observe(move(begin(kernel), 200, 480, -45))[0]  # past the wall's end
    assert obs[5:7].tolist() == [0, 1]


def test_the_descriptor_is_the_position_at_half_time_and_now() -> None:
    kernel = arena(horizon=10)
    state, places = begin(kernel), []
    for _ in range(10):
        state, *_ = kernel.advance(state, torch.tensor([[0.7, 0.6, 1.0]]))
        places.append([state.robot.x.item() / 600, state.robot.y.item() / 600])
    assert kernel.info(state)["behaviour"][0].tolist() == pytest.approx([*places[4], *places[9]])


def go_home_with_all(kernel: CollectBall) -> tuple[list[CollectBallState], list[float]]:
    """Turn towards what comes next and drive, until the time is up or all balls are home."""
    state, states, rewards = begin(kernel), [], []
    for _ in range(kernel.max_episode_steps):
        x, y, angle = (part.item() for part in (state.robot.x, state.robot.y, state.robot.heading))
        loaded = state.held.item() >= 0
        free = [b for b, d in zip(kernel.info(state)["balls"][0].tolist(), state.delivered[0], strict=True) if not d]
        if not free:
            break
        aim = kernel.params.start if loaded else min(free, key=lambda ball: math.dist(ball, (x, y)))
        off = math.remainder(math.atan2(aim[1] - y, aim[0] - x) - angle, 2 * math.pi)
        forward, turn = max(0.0, math.cos(off)), np.clip(2 * off, -1, 1)
        hold = -1.0 if loaded and math.dist(aim, (x, y)) < 5 else 1.0
        wheels = np.clip([forward - turn, forward + turn], -1, 1)
        state, reward, _ = kernel.advance(state, torch.tensor([[*wheels, hold]]))
        states.append(state)
        rewards.append(reward.item())
    return states, rewards


def test_all_six_balls_can_be_brought_home() -> None:
    kernel = arena()
    states, rewards = go_home_with_all(kernel)
    assert sum(rewards) == len(BALLS) == 6
    assert len(states) < 2000
    assert states[-1].delivered.all()
    assert states[-1].robot.collisions.item() == 0


def test_dense_rewards_add_the_potentials_difference_only() -> None:
    kernel = arena(reward="dense")
    states, rewards = go_home_with_all(kernel)
    # At the start: nothing carried, the nearest ball is (75, 540). At the end: nothing is left to do.
    assert sum(rewards) == pytest.approx(6 + math.hypot(25, 40) / 1200)
    # Picking up and dropping at the same place gains nothing.
    state = move(begin(kernel), 225, 225)
    state, up, _ = kernel.advance(state, GRAB)
    _, down, _ = kernel.advance(state, RELEASE)
    assert up.item() > 0.2 and (up + down).item() == pytest.approx(0)
    assert len(states) < 2000


def test_invariants_of_random_play() -> None:
    kernel = make_kernel(CollectBall, balls=((120, 500), (100, 530), (110, 480)))
    rng = torch.Generator().manual_seed(0)
    state, total = kernel.initial_state(64, rng), torch.zeros(64)
    for _ in range(200):
        kept = tree_map(torch.clone, state)
        before = state
        state, reward, ended = kernel.advance(state, torch.randn(64, 3, generator=rng))
        total += reward
        for name, tensor in tree_items(kept, "state").items():
            assert torch.equal(tensor, tree_items(before, "state")[name])
        assert not ended.any()
        assert torch.equal(total, state.delivered.sum(1).float())
        assert (state.held >= -1).all() and (state.held < 3).all()
        loaded = state.held >= 0
        assert not state.delivered[loaded].gather(1, state.held[loaded, None]).any()
        obs = kernel.observe(state)
        assert ((obs >= 0) & (obs <= 1)).all()
        assert torch.equal(obs[:, 9] > 0, loaded)
    assert total.sum() > 0


def test_ids_and_pictures() -> None:
    env: Any = gym.make("rlsuite/CollectBall-v0", render_mode="rgb_array", horizon=4)
    env.reset(seed=0)
    assert [env.step(env.action_space.sample())[2:4] for _ in range(4)] == [(False, False)] * 3 + [(False, True)]
    assert env.render().std() > 5
    kernel = make_kernel(CollectBall, horizon=200)
    states, rewards = go_home_with_all(kernel)
    episode = tree_map(lambda *parts: torch.cat(parts), begin(kernel), *states)
    actions = torch.zeros(len(rewards), 3)
    assert kernel.render_episode(episode, actions, torch.tensor(rewards)).std() > 5
    dense: Any = gym.make_vec("rlsuite/CollectBall-Dense-v0", num_envs=2)
    assert dense.kernel.params.reward == "dense"


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"balls": ()}, r"balls=\(\) must hold at least one ball"),
        ({"balls": 3}, r"balls=3 must be points"),
        ({"balls": ((1, 2, 3),)}, r"balls\[0\]=\(1, 2, 3\) must be two numbers"),
        ({"balls": ((75, 75), (2, 2))}, r"balls\[1\]=\(2.0, 2.0\) cannot be reached"),
        ({"balls": ((105, 500),)}, r"balls\[0\]=\(105.0, 500.0\) lies at the start"),
        ({"strokes": ((0, 100, 200, 100, 4),)}, r"balls\[0\]=\(75.0, 75.0\) cannot be reached from start"),
        ({"pickup_radius": 0.0}, r"pickup_radius=0.0 must be above 0"),
        ({"light_width": 400.0}, r"light_width=400.0 must lie in \(0, 360\]"),
        ({"reward": "terminal"}, r"reward='terminal' must be one of 'sparse', 'dense'"),
    ],
)
def test_bad_constants(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make("rlsuite/CollectBall-v0", **constants)
