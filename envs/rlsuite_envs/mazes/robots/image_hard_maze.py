"""The deceptive maze seen from above: stacked 84 x 84 pictures instead of range finders."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import MOST, check_integer, check_positive
from rlsuite_envs.kernel import Kernel, tree_map
from rlsuite_envs.mazes.robots.hard_maze import HardMaze, HardMazeState
from rlsuite_envs.mazes.robots.hard_maze_maps import HardMazeParams, distance_to_walls

__all__ = ["GOAL", "HEADING", "ROBOT", "WALL", "ImageHardMaze", "ImageHardMazeParams", "ImageHardMazeState"]

GOAL, ROBOT, HEADING, WALL = 64, 128, 192, 255
"""Grey levels, the later drawn over the earlier; free floor is 0."""


@dataclass(frozen=True)
class ImageHardMazeParams(HardMazeParams):
    """Constants: those of `HardMazeParams`, and of the picture."""

    observations: ClassVar[tuple[str, ...]] = ("image",)

    observation: str = "image"
    """Always "image"."""
    size: int = 84
    """Pixels per side of the square picture, at least 8."""
    frames: int = 4
    """Pictures stacked, the newest first, at least 1."""
    view: float = 205.0
    """Side of the square [0, view]^2 of the map that the picture shows, > 0; all walls must lie inside."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer(self, "size", 8, MOST)
        check_integer(self, "frames", 1, MOST)
        check_positive(self, "view")
        ends = np.array(self.walls)
        if ends.min() < 0 or ends.max() > self.view:
            raise ValueError(
                f"view={self.view!r} must show all walls: [0, view] must include coordinates from "
                f"{ends.min():g} to {ends.max():g}; enlarge it or move the walls."
            )


@dataclass(frozen=True)
class ImageHardMazeState:
    """The robot, and the piece that it covers of each stacked picture, the newest first.

    Only that piece differs from the empty maze: S x S pixels instead of `size` x `size`, drawn once.
    """

    robot: HardMazeState
    """The hard maze's state, fields [B]."""
    corner: Tensor
    """Index of the piece's first pixel in the flat picture, [B, frames] int64."""
    patch: Tensor
    """Pixels of the piece, row by row, [B, frames, S * S] uint8."""


class ImageHardMaze(Kernel[ImageHardMazeState, ImageHardMazeState, None]):
    """Drive a disc through a deceptive maze, seen from above in 84 x 84 pixels.

    ## Description
    Maze, robot and every step are those of `HardMaze`. The published maze does not come with its renderer;
    this one draws the square [0, 205]^2 on 84 x 84 pixels, row by y and column by x (so y grows downwards),
    without antialiasing. A pixel is

    | grey level | where its centre |
    |---|---|
    | 255 | is within 0.71 pixels of a wall: every pixel that a wall runs through, so that walls have no gaps |
    | 192 | is in the robot's disc and within 0.71 pixels of the radius in the direction of its heading |
    | 128 | is in the robot's disc (radius 8, 3.3 pixels) |
    | 64 | is in the goal's disc (`success_radius` 5, 2.0 pixels) |
    | 0 | is elsewhere |

    the first row that fits counts.

    ## Action Space
    `Box(-1, 1, (2,))` float32: turn and speed, as in `HardMaze`.

    ## Observation Space
    `Box(0, 255, (4, 84, 84))` uint8: this picture and the three before it, newest first; at the start all four
    are the first.

    ## Rewards
    As in `HardMaze`: minus the distance to the goal in the last step, by default.

    ## Starting State
    As in `HardMaze`.

    ## Episode End
    As in `HardMaze`.

    ## Info
    As in `HardMaze`; the behaviour is the final position (the paper compares by squared distance).

    ## Arguments
    The fields of `ImageHardMazeParams`. A map larger than 205, as the medium maze, needs its `view`.

    Source: Such et al. 2017 (arXiv 1712.06567), Image Hard Maze; network input and stacking as there.

    ## Version History
    v0: first.
    """

    params_class: ClassVar[type] = ImageHardMazeParams
    params: ImageHardMazeParams
    presets: ClassVar[Mapping[str, Any]] = {"hard": ImageHardMazeParams()}
    render_fps = 30

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        p = self.params
        shared = {f.name: getattr(p, f.name) for f in dataclasses.fields(HardMazeParams)}
        self.maze = HardMaze(
            HardMazeParams(**{**shared, "observation": "release"}), device=self.device, dtype=self.dtype
        )
        self._background = torch.from_numpy(_background(p)).to(self.device)
        # A piece that holds the disc wherever its centre lies in the middle pixel.
        reach = min(int(np.ceil(p.robot_radius * p.size / p.view)) + 1, (p.size - 1) // 2)
        self._side = 2 * reach + 1
        index = torch.arange(self._side**2, device=self.device)
        self._row = index // self._side
        self._column = index % self._side

    @property
    def observation_space(self) -> spaces.Box:
        """A stack of pictures, channels first."""
        p = self.params
        return spaces.Box(0, 255, (p.frames, p.size, p.size), dtype=np.uint8)

    @property
    def action_space(self) -> spaces.Box:
        """Turn and speed."""
        return self.maze.action_space

    @property
    def max_episode_steps(self) -> int:
        """The horizon."""
        return self.params.horizon

    def initial_state(self, num: int, rng: torch.Generator) -> ImageHardMazeState:
        """Start states: the robot at the start, in all stacked pictures."""
        robot = self.maze.initial_state(num, rng)
        corner, patch = self._stamp(robot)
        frames = self.params.frames
        return ImageHardMazeState(robot, corner.repeat(1, frames), patch.repeat(1, frames, 1))

    def post_decision(self, state: ImageHardMazeState, action: Tensor) -> tuple[ImageHardMazeState, Tensor]:
        """The next state and the reward: nothing here is random."""
        robot, reward = self.maze.post_decision(state.robot, action)
        corner, patch = self._stamp(robot)
        corner = torch.cat((corner, state.corner[:, :-1]), 1)
        return ImageHardMazeState(robot, corner, torch.cat((patch, state.patch[:, :-1]), 1)), reward

    def transition(self, post_state: ImageHardMazeState, noise: None) -> tuple[ImageHardMazeState, None, Tensor]:
        """The state itself, and whether the episode has ended."""
        return post_state, None, self.maze.transition(post_state.robot, None)[2]

    def _stamp(self, robot: HardMazeState) -> tuple[Tensor, Tensor]:
        """The piece of the picture around a robot: its corner [B, 1], its pixels [B, 1, S * S]."""
        p = self.params
        scale = p.size / p.view
        # In pixels: number k covers [k, k + 1). The piece stays inside the picture.
        x, y = (robot.x * scale).unsqueeze(1), (robot.y * scale).unsqueeze(1)
        left = (x.floor().long() - self._side // 2).clamp(0, p.size - self._side)
        top = (y.floor().long() - self._side // 2).clamp(0, p.size - self._side)
        off_x, off_y = left + self._column + 0.5 - x, top + self._row + 0.5 - y
        angle = torch.deg2rad(robot.heading).unsqueeze(1)
        cos, sin = angle.cos(), angle.sin()
        tick = (off_x * cos + off_y * sin >= 0) & ((off_y * cos - off_x * sin).abs() <= 0.71)
        inside = off_x.square() + off_y.square() <= (p.robot_radius * scale) ** 2
        corner = top * p.size + left
        below = self._background[corner + self._row * p.size + self._column]
        drawn = torch.where(tick, HEADING, ROBOT).to(torch.uint8)
        return corner, torch.where(inside & (below != WALL), drawn, below).unsqueeze(1)

    def observe(self, state: ImageHardMazeState) -> Tensor:
        """The stack of pictures, uint8: the empty maze, and the robot's piece of it."""
        p = self.params
        num = state.corner.shape[0]
        images = self._background.repeat(num * p.frames, 1)
        place = state.corner.reshape(-1, 1) + (self._row * p.size + self._column)
        images.scatter_(1, place, state.patch.reshape(num * p.frames, -1))
        return images.reshape(num, p.frames, p.size, p.size)

    def observe_post(self, post_state: ImageHardMazeState) -> Tensor:
        """Observation of the post-decision state, which is the next state: that of `observe`."""
        return self.observe(post_state)

    def info(self, state: ImageHardMazeState) -> dict[str, Tensor]:
        """Info of `HardMaze`."""
        return self.maze.info(state.robot)

    def render(self, state_row: ImageHardMazeState) -> np.ndarray:
        """The hard maze's picture, and to its right the newest frame, which the policy sees."""
        left = self.maze.render(state_row.robot)
        seen = self.observe(tree_map(lambda part: part[:1], state_row))[0, 0].numpy(force=True)
        factor = max(1, left.shape[0] // seen.shape[0])
        seen = np.kron(seen, np.ones((factor, factor), np.uint8))[: left.shape[0]]
        right = np.full((left.shape[0], seen.shape[1] + 10, 3), 255, np.uint8)
        right[: seen.shape[0], 10:] = seen[..., None]
        return np.concatenate((left, right), 1)

    def render_episode(self, states: ImageHardMazeState, actions: Tensor, rewards: Tensor) -> np.ndarray:
        """The hard maze's figure of the path."""
        return self.maze.render_episode(states.robot, actions, rewards)


def _background(p: ImageHardMazeParams) -> np.ndarray:
    """Floor, goal and walls as one row of size^2 uint8 pixels."""
    pixel = p.view / p.size
    centres = (np.arange(p.size) + 0.5) * pixel
    points = np.stack(np.meshgrid(centres, centres), -1)  # [row (y), column (x), (x, y)]
    image = np.zeros((p.size, p.size), np.uint8)
    image[np.linalg.norm(points - np.array(p.goal), axis=-1) <= p.success_radius] = GOAL
    image[distance_to_walls(points, p.walls) <= 0.71 * pixel] = WALL
    return image.reshape(-1)
