"""Pictures of the deceptive maze against a pixel-by-pixel renderer in plain Python."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlsuite_envs.kernel import make_kernel, tree_map
from rlsuite_envs.mazes.robots.hard_maze import HardMaze
from rlsuite_envs.mazes.robots.hard_maze_maps import HARD, MEDIUM
from rlsuite_envs.mazes.robots.image_hard_maze import ImageHardMaze


def wander(kernel: Any, num: int, steps: int, seed: int = 0) -> list[Any]:
    """States of robots that drive about."""
    rng = torch.Generator().manual_seed(seed)
    states, action = [kernel.initial_state(num, rng)], torch.zeros(num, 2)
    for _ in range(steps):
        action = 0.9 * action + 0.5 * torch.randn(num, 2, generator=rng) + torch.tensor([0.0, 0.05])
        states.append(kernel.advance(states[-1], action)[0])
    return states


def slow_pixel(px: float, py: float, robot: tuple[float, float, float]) -> int:
    """Grey level of the pixel whose centre is (px, py), in units of the map."""
    pixel = 205 / 84
    for x1, y1, x2, y2 in HARD:
        start, extent, point = complex(x1, y1), complex(x2 - x1, y2 - y1), complex(px, py)
        share = min(max(((point - start) / extent).real, 0.0), 1.0)
        if abs(point - start - share * extent) <= 0.71 * pixel:
            return 255
    x, y, heading = robot
    distance = math.hypot(px - x, py - y)
    if distance <= 8:
        # The angle between the pixel's direction and the heading; the tick is a half-line.
        angle = math.atan2(py - y, px - x) - math.radians(heading)
        ahead, aside = distance * math.cos(angle), distance * abs(math.sin(angle))
        return 192 if ahead >= 0 and aside <= 0.71 * pixel else 128
    return 64 if math.hypot(px - 31, py - 20) <= 5 else 0


def test_pictures_equal_a_slow_renderers() -> None:
    kernel = make_kernel(ImageHardMaze, dtype="float64")
    state = wander(kernel, 3, 60)[-1]
    images = kernel.observe(state)
    assert (images.dtype, images.shape) == (torch.uint8, (3, 4, 84, 84))
    robot = (state.robot.x[1].item(), state.robot.y[1].item(), state.robot.heading[1].item())
    wanted = [[slow_pixel((c + 0.5) * 205 / 84, (r + 0.5) * 205 / 84, robot) for c in range(84)] for r in range(84)]
    np.testing.assert_array_equal(images[1, 0].numpy(), wanted)
    assert {64, 128, 192, 255} <= set(images[1, 0].unique().tolist())


def test_frames_are_the_last_four_newest_first() -> None:
    kernel = make_kernel(ImageHardMaze)
    states = wander(kernel, 5, 12)
    stacks = [kernel.observe(state) for state in states]
    first = stacks[0]
    assert all(torch.equal(first[:, i], first[:, 0]) for i in range(4))
    for t in range(12, 3, -1):
        for age in range(4):
            assert torch.equal(stacks[t][:, age], stacks[t - age][:, 0])
    assert not torch.equal(stacks[12][:, 0], stacks[4][:, 0])


def test_dynamics_and_rewards_are_the_hard_mazes() -> None:
    pictures, plain = make_kernel(ImageHardMaze), make_kernel(HardMaze)
    a, b = wander(pictures, 6, 50), wander(plain, 6, 50)
    for left, right in zip(a, b, strict=True):
        tree_map(torch.testing.assert_close, left.robot, right)
    assert all(torch.equal(pictures.info(a[-1])[key], value) for key, value in plain.info(b[-1]).items())


def test_the_robot_hides_no_wall_and_the_goal_hides_no_robot() -> None:
    kernel = make_kernel(ImageHardMaze)
    states = wander(kernel, 64, 80)
    images = torch.stack([kernel.observe(state)[:, 0] for state in states[::10]])
    walls = images == 255
    assert (walls == walls[0, 0]).all()
    area = ((images == 128) | (images == 192)).sum((2, 3)).float()
    disc = math.pi * (8 * 84 / 205) ** 2
    # Where the robot touches a wall, the wall's pixels cover a piece of it.
    assert area.max() <= 1.2 * disc and area.min() >= 0.6 * disc


def test_other_sizes_and_maps() -> None:
    kernel = make_kernel(ImageHardMaze, size=32, frames=2, walls=MEDIUM, start=(30, 22), goal=(270, 100), view=300.0)
    env: Any = gym.make_vec("rlsuite/ImageHardMaze-v0", num_envs=3, size=20, frames=1)
    assert kernel.observe(wander(kernel, 2, 5)[-1]).shape == (2, 2, 32, 32)
    obs, _ = env.reset(seed=0)
    assert env.observation_space.contains(obs)


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"size": 7}, r"size=7 must be an integer of at least 8"),
        ({"frames": 0}, r"frames=0 must be an integer of at least 1"),
        ({"view": 150.0}, r"view=150.0 must show all walls"),
        ({"observation": "release"}, r"observation='release' must be one of 'image'"),
        ({"walls": ()}, r"empty map"),
    ],
)
def test_bad_constants(constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make("rlsuite/ImageHardMaze-v0", **constants)


def test_pictures_for_people() -> None:
    kernel = make_kernel(ImageHardMaze)
    states = wander(kernel, 1, 4)
    assert kernel.render(states[-1]).std() > 5
    episode = tree_map(lambda *parts: torch.cat(parts), *states)
    assert kernel.render_episode(episode, torch.zeros(4, 2), torch.zeros(4)).std() > 5
