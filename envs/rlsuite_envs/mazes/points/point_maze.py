"""A ball pushed through a maze to a goal: Gymnasium-Robotics' point mazes as a kernel."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import check_choice, check_finite, check_flag, check_integer, check_positive
from rlsuite_envs.kernel import Kernel
from rlsuite_envs.mazes.map_format import Cell, check_border, check_reachable, read_map, start_and_goal_cells
from rlsuite_envs.mazes.points.point_dynamics import MAX_SPEED, RADIUS, Ball, Walls
from rlsuite_envs.mazes.points.point_layouts import HORIZONS, LAYOUTS

__all__ = ["GoalDraws", "PointMaze", "PointMazeParams", "PointMazeState"]

SUCCESS_DISTANCE = 0.45
"""Distance from the goal that counts as success, m; the package's documentation says 0.5, its code 0.45."""
REDRAWS = 16
"""Candidates for a new goal. All lie too near with probability below 1e-4, even where only two cells exist."""


@dataclass(frozen=True)
class PointMazeParams:
    """Constants; names and defaults are Gymnasium-Robotics'."""

    maze_map: Any = LAYOUTS["UMaze"]
    """Map of 1, 0, "r", "g", "c" (see `map_format`), closed by walls, every goal within reach of every start."""
    reward_type: str = "sparse"
    """"sparse" (1 within 0.45 m of the goal, else 0) or "dense" (exp(-distance))."""
    continuing_task: bool = True
    """Whether the episode goes on at the goal; False terminates it there."""
    reset_target: bool = False
    """Whether a continuing task draws a new goal when the old one is reached (if there are several cells)."""
    maze_size_scaling: float = 1.0
    """Side of a cell, m; large enough for the ball (radius 0.1 m) with its noise."""
    position_noise_range: float = 0.25
    """Goals and starts are uniform within this part of a cell's side around its centre, in each direction."""
    observation: str = "vector"
    """"vector" (six numbers of order 1) or "dict" (the package's goal dictionary, in m and m/s)."""
    horizon: int = 300
    """Steps after which an episode is truncated."""

    def __post_init__(self) -> None:
        check_choice(self, "reward_type", ("sparse", "dense"))
        check_choice(self, "observation", ("vector", "dict"))
        check_flag(self, "continuing_task", "reset_target")
        check_positive(self, "maze_size_scaling")
        check_finite(self, "position_noise_range")
        check_integer(self, "horizon", 1)
        largest = 0.5 - RADIUS / self.maze_size_scaling
        if largest < 0:
            raise ValueError(
                f"maze_size_scaling={self.maze_size_scaling!r} must be at least {2 * RADIUS}: the ball's diameter."
            )
        if not 0 <= self.position_noise_range <= largest:
            raise ValueError(
                f"position_noise_range={self.position_noise_range!r} must lie in [0, {largest:.4g}]: "
                "more would start the ball inside a wall."
            )
        rows = read_map(self.maze_map)
        check_border(rows)
        starts, goals = start_and_goal_cells(rows)
        check_reachable(rows, starts, goals)
        object.__setattr__(self, "maze_map", rows)


@dataclass(frozen=True)
class PointMazeState:
    """The ball and its goal; all fields [B], floats but for `success`."""

    x: Tensor
    """x of the ball, m, from the middle of the maze."""
    y: Tensor
    """y of the ball, m, upwards."""
    vx: Tensor
    """x velocity of the ball, m/s."""
    vy: Tensor
    """y velocity of the ball, m/s."""
    goal_x: Tensor
    """x of the goal, m, from the middle of the maze."""
    goal_y: Tensor
    """y of the goal, m, upwards."""
    success: Tensor
    """Bool: within 0.45 m of the goal that this step was rewarded for."""


@dataclass(frozen=True)
class GoalDraws:
    """Candidates for a new goal, [B, 16] each."""

    x: Tensor
    """x of the candidates, m."""
    y: Tensor
    """y of the candidates, m."""


class PointMaze(Kernel[PointMazeState, PointMazeState, GoalDraws | None]):
    """Push a ball through a maze to a goal.

    ## Description
    The maze lies around the origin; cell (i, j) of an H x W map with cells of side s has its centre at
    x = (j + 1/2) s - W s / 2, y = H s / 2 - (i + 1/2) s. The ball has radius 0.1 m, mass 4.19 kg and damping
    1 N s/m. Its motion is MuJoCo's, contacts with walls included (see `point_dynamics`): float64 rollouts of
    200 steps agree with the package to 1e-8 m. Gradients reach back through positions and dense rewards.

    ## Action Space
    `Box(-1, 1, (2,))` float32: force in x and y, in 100 N; values outside are clipped.

    ## Observation Space
    `observation="vector"`: `Box(6,)` float32.

    | index | meaning | unit |
    |---|---|---|
    | 0, 1 | position x, y | half the maze's width, height |
    | 2, 3 | velocity x, y | 5 m/s |
    | 4, 5 | goal x, y | half the maze's width, height |

    `observation="dict"`: the package's, float32: `observation` [x, y, vx, vy], `achieved_goal` [x, y],
    `desired_goal` [x, y], in m and m/s.

    ## Rewards
    Sparse: 1 where the distance to the goal is at most 0.45 m, else 0. Dense: exp(-distance). With
    `reset_target` the new goal is drawn after the reward (AntMaze-v3 of the package drew it before, which made
    the sparse reward 0 always). The package shows the new goal one step later than we do.

    ## Starting State
    Goal: the centre of a goal cell, plus noise. Ball: at rest in the centre of a start cell farther than half
    a cell's side from the goal, plus noise. Noise is uniform in +-0.25 cell sides in x and y.

    ## Episode End
    Termination: at the goal, if not `continuing_task`. Truncation: `horizon` steps: 300 (UMaze, Open), 600
    (Medium), 800 (Large).

    ## Info
    `success` [B] bool, `distance` [B] to the goal in m, and `behaviour` [B, 2], the position in m: at an
    episode's end the behaviour descriptor of novelty search.

    ## Arguments
    The fields of `PointMazeParams`. Presets: UMaze, Open, Medium, Large, the last three also with `_Diverse_G`
    (one start, several goals) and `_Diverse_GR` (several of both), all also with `Dense` behind.

    Source: Gymnasium-Robotics' PointMaze-v3, after D4RL (Fu et al. 2020, arXiv 2004.07219).
    """

    params_class = PointMazeParams
    params: PointMazeParams
    render_fps = 50

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        p = self.params
        self.walls = Walls(p.maze_map, p.maze_size_scaling, self.device, dtype)
        self.half_width = len(p.maze_map[0]) * p.maze_size_scaling / 2
        self.half_height = len(p.maze_map) * p.maze_size_scaling / 2
        place = [1 / self.half_width, 1 / self.half_height]
        scale = [*place, 1 / MAX_SPEED, 1 / MAX_SPEED, *place]
        self._scale = torch.tensor(scale, device=self.device, dtype=self.dtype)
        starts, goals = start_and_goal_cells(p.maze_map)
        self._starts = self._centres(starts)
        self._goals = self._centres(goals)
        self._draws_goals = p.continuing_task and p.reset_target and len(goals) > 1

    def _centres(self, cells: tuple[Cell, ...]) -> Tensor:
        """Coordinates [2, N] of the cells' centres, m."""
        side = self.params.maze_size_scaling
        return torch.tensor(
            [
                [(j + 0.5) * side - self.half_width for _, j in cells],
                [self.half_height - (i + 0.5) * side for i, _ in cells],
            ],
            device=self.device,
            dtype=self.dtype,
        )

    @property
    def observation_space(self) -> spaces.Box | spaces.Dict:
        """See the class."""
        if self.params.observation == "vector":
            return spaces.Box(-np.inf, np.inf, (6,), dtype=np.float32)
        sizes = {"observation": 4, "achieved_goal": 2, "desired_goal": 2}
        return spaces.Dict({key: spaces.Box(-np.inf, np.inf, (n,), np.float32) for key, n in sizes.items()})

    @property
    def action_space(self) -> spaces.Box:
        """Force."""
        return spaces.Box(-1.0, 1.0, (2,), dtype=np.float32)

    @property
    def max_episode_steps(self) -> int:
        """Steps after which an episode is truncated: `horizon`."""
        return self.params.horizon

    def _noise(self, shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
        """Uniform in +-noise range, [2, *shape], m."""
        reach = self.params.position_noise_range * self.params.maze_size_scaling
        draws = torch.rand((2, *shape), generator=rng, device=self.device, dtype=self.dtype)
        return draws.mul_(2 * reach).sub_(reach)

    def _draw_goals(self, shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
        """Goals [2, *shape]."""
        cells = torch.randint(self._goals.shape[1], shape, generator=rng, device=self.device)
        return self._goals[:, cells] + self._noise(shape, rng)

    def initial_state(self, num: int, rng: torch.Generator) -> PointMazeState:
        """A goal, and the ball at rest elsewhere."""
        goal = self._draw_goals((num,), rng)
        gap = torch.linalg.vector_norm(self._starts[:, None, :] - goal[:, :, None], dim=0)
        # The package draws until the start is far enough: the same as one draw among those that are.
        keys = torch.rand(gap.shape, generator=rng, device=self.device, dtype=self.dtype)
        far = gap > 0.5 * self.params.maze_size_scaling
        start = self._starts[:, torch.where(far, keys, -1.0).argmax(1)] + self._noise((num,), rng)
        still = torch.zeros(num, device=self.device, dtype=self.dtype)
        distance = torch.linalg.vector_norm(start - goal, dim=0)
        return PointMazeState(start[0], start[1], still, still.clone(), goal[0], goal[1], distance <= SUCCESS_DISTANCE)

    def post_decision(self, state: PointMazeState, action: Tensor) -> tuple[PointMazeState, Tensor]:
        """The ball's motion and its reward; chance only moves the goal afterwards."""
        throttle = action.to(self.dtype).clamp(-1.0, 1.0)
        ball = Ball(state.x, state.y, state.vx, state.vy)
        ball = self.walls.step(ball, throttle)
        distance = torch.hypot(ball.x - state.goal_x, ball.y - state.goal_y)
        success = distance <= SUCCESS_DISTANCE
        reward = success.to(self.dtype) if self.params.reward_type == "sparse" else torch.exp(-distance)
        return PointMazeState(*ball, state.goal_x, state.goal_y, success), reward

    def sample_exogenous(self, state: PointMazeState, rng: torch.Generator) -> GoalDraws | None:
        """Candidates for new goals, where goals are drawn anew."""
        if not self._draws_goals:
            return None
        goals = self._draw_goals((state.x.shape[0], REDRAWS), rng)
        return GoalDraws(goals[0], goals[1])

    def transition(self, post_state: PointMazeState, noise: GoalDraws | None) -> tuple[PointMazeState, None, Tensor]:
        """Reached goals move to the first candidate that is not reached already; an end at the goal."""
        if noise is None:
            ends = post_state.success & (not self.params.continuing_task)
            return post_state, None, ends
        gap = torch.hypot(noise.x - post_state.x[:, None], noise.y - post_state.y[:, None])
        first = (gap > SUCCESS_DISTANCE).int().argmax(1, keepdim=True)
        success = post_state.success
        goal_x = torch.where(success, noise.x.gather(1, first)[:, 0], post_state.goal_x)
        goal_y = torch.where(success, noise.y.gather(1, first)[:, 0], post_state.goal_y)
        p = post_state
        return (
            PointMazeState(p.x, p.y, p.vx, p.vy, goal_x, goal_y, success),
            None,
            torch.zeros_like(success),
        )

    def observe(self, state: PointMazeState) -> Tensor | dict[str, Tensor]:
        """See the class."""
        s = state
        if self.params.observation == "vector":
            parts = torch.stack((s.x, s.y, s.vx, s.vy, s.goal_x, s.goal_y), dim=-1)
            return (parts * self._scale).to(torch.float32)
        raw = torch.stack([getattr(s, f.name) for f in fields(s)[:6]], dim=-1).to(torch.float32)
        return {
            "observation": raw[:, :4].clone(),
            "achieved_goal": raw[:, :2].clone(),
            "desired_goal": raw[:, 4:].clone(),
        }

    def observe_post(self, post_state: PointMazeState) -> Tensor | dict[str, Tensor]:
        """Observation of the post-decision state: that of the next state, but for a goal still to be redrawn."""
        return self.observe(post_state)

    def info(self, state: PointMazeState) -> dict[str, Tensor]:
        """Success, distance to the goal and behaviour."""
        return {
            "success": state.success,
            "distance": torch.hypot(state.x - state.goal_x, state.y - state.goal_y),
            "behaviour": torch.stack((state.x, state.y), dim=-1),
        }

    def goal_reward(self, achieved_goal: Tensor, desired_goal: Tensor) -> Tensor:
        """Reward [...] of being at achieved_goal [..., 2] when desired_goal [..., 2] is wanted; for relabelling."""
        distance = torch.linalg.vector_norm(achieved_goal - desired_goal, dim=-1)
        if self.params.reward_type == "dense":
            return torch.exp(-distance)
        return (distance <= SUCCESS_DISTANCE).to(distance.dtype)

    def render(self, state_row: PointMazeState) -> np.ndarray:
        """The maze from above: goal disc (radius of success), ball."""
        from rlsuite_envs.mazes.pictures import maze_canvas

        canvas = maze_canvas(self.params.maze_map, self.params.maze_size_scaling)
        s = state_row
        canvas.disc(s.goal_x.item(), s.goal_y.item(), SUCCESS_DISTANCE, "#f6c7c3")
        canvas.disc(s.goal_x.item(), s.goal_y.item(), 0.08, "#d62728")
        canvas.disc(s.x.item(), s.y.item(), RADIUS, "#2ca02c")
        return canvas.array()

    def render_episode(self, states: PointMazeState, actions: Tensor, rewards: Tensor) -> np.ndarray:
        """The path in the maze, coloured by time, and distance and reward over time."""
        from rlsuite_envs.mazes.pictures import episode_figure, figure_array

        s = states
        path = torch.stack((s.x, s.y), -1).cpu().numpy()
        goals = torch.stack((s.goal_x, s.goal_y), -1).unique_consecutive(dim=0).cpu().numpy()
        drawn, maze, curves = episode_figure(
            self.params.maze_map, self.params.maze_size_scaling, path, goals, rewards.cpu().numpy(), unit="m"
        )
        from matplotlib.patches import Circle

        for x, y in goals:
            maze.add_patch(Circle((x, y), SUCCESS_DISTANCE, color="#d62728", alpha=0.2, linewidth=0))
        curves.plot(self.info(states)["distance"].cpu().numpy(), color="#1f77b4")
        curves.axhline(SUCCESS_DISTANCE, color="#d62728", linestyle=":", label="reached (0.45 m)")
        curves.set_ylabel("distance to the goal, m")
        curves.set_ylim(0, 1.25 * max(curves.get_ylim()[1], SUCCESS_DISTANCE))
        curves.legend(frameon=False, loc="upper right")
        return figure_array(drawn)


def _presets() -> dict[str, PointMazeParams]:
    """Every layout with both rewards."""
    return {
        f"{name}{'Dense' if reward == 'dense' else ''}": PointMazeParams(
            maze_map=rows, reward_type=reward, horizon=HORIZONS[name.split("_")[0]]
        )
        for name, rows in LAYOUTS.items()
        for reward in ("sparse", "dense")
    }


PointMaze.presets = _presets()
