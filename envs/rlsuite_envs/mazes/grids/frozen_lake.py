"""PDPPO's second environment: a frozen lake on which a sure step may be followed by a slip."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import check_choice, check_integer, check_probability
from rlsuite_envs.kernel import Kernel
from rlsuite_envs.mazes.map_format import cells_of, check_reachable, read_map

__all__ = ["LakeNoise", "LakePost", "LakeState", "SlipperyLake", "SlipperyLakeParams"]

MOVES = ((0, -1), (1, 0), (0, 1), (-1, 0))
"""(rows, columns) of left, down, right, up: Gymnasium's order."""
COLORS = {"S": "#cfd8dc", "F": "#e3f2fd", "H": "#0d47a1", "G": "#a5d6a7"}


@dataclass(frozen=True)
class SlipperyLakeParams:
    """Constants; the defaults are those of the paper's experiments."""

    maze_map: Any = None
    """Map of S (start), F (frozen), H (hole) and one G (goal); None draws one from the next three."""
    size: int = 10
    """Rows and columns of a drawn map, 2..32."""
    frozen_probability: float = 0.8
    """Probability that a tile of a drawn map is frozen, in [0.6, 1]; maps without a way are drawn again."""
    map_seed: int = 0
    """Seed of the drawn map (Gymnasium's `generate_random_map`); the paper takes one map per run."""
    slip_probability: float = 0.5
    """Probability of a slip after a step; 0 makes the lake deterministic."""
    tile_seed: int = 42
    """Seed of the tiles' slip directions (NumPy's legacy generator)."""
    post_reward: str = "consistent"
    """"consistent" or "release": how the reward is split, see `SlipperyLake`."""
    horizon: int = 100
    """Steps after which an episode is truncated."""

    def __post_init__(self) -> None:
        check_integer(self, "size", 2, 32)
        check_probability(self, "frozen_probability", "slip_probability")
        if self.frozen_probability < 0.6:
            raise ValueError(
                f"frozen_probability={self.frozen_probability!r} must lie in [0.6, 1]: with less, maps with a way "
                "across are too rare to draw."
            )
        check_integer(self, "map_seed", 0)
        check_integer(self, "tile_seed", 0, 2**32 - 1)
        check_integer(self, "horizon", 1)
        check_choice(self, "post_reward", ("consistent", "release"))
        if self.maze_map is None:
            return
        rows = read_map(self.maze_map, symbols="SFHG")
        starts, goals = cells_of(rows, "S"), cells_of(rows, "G")
        if not starts or len(goals) != 1:
            raise ValueError(
                f"maze_map has {len(starts)} starts (S) and {len(goals)} goals (G); it needs at least one S and one G."
            )
        for start in starts:
            check_reachable(rows, [start], goals, walls="H")
        object.__setattr__(self, "maze_map", rows)

    @property
    def rows(self) -> tuple[str, ...]:
        """The map, drawn where none is given."""
        return self.maze_map or _drawn_map(self.size, self.frozen_probability, self.map_seed)


@cache
def _drawn_map(size: int, frozen: float, seed: int) -> tuple[str, ...]:
    from gymnasium.envs.toy_text.frozen_lake import generate_random_map

    return tuple(generate_random_map(size, frozen, seed))


@dataclass(frozen=True)
class LakeState:
    """Cell of the agent."""

    cell: Tensor
    """Index of the agent's cell, row * columns + column, [B] int64."""


@dataclass(frozen=True)
class LakePost:
    """After the step, before a slip; all fields [B]."""

    cell: Tensor
    """Cell of the post-decision state, int64."""
    origin: Tensor
    """Cell of the state before, int64."""
    reward: Tensor
    """Reward of the step before a slip, including the part that `post_decision` has paid."""
    given: Tensor
    """Part of the reward that `post_decision` has paid."""
    ended: Tensor
    """Bool: at the goal, or acted from a hole: no slip follows."""


@dataclass(frozen=True)
class LakeNoise:
    """A possible slip; both fields [B], uniform in [0, 1)."""

    slip: Tensor
    """Decides whether a slip happens: where it is below the slip probability."""
    direction: Tensor
    """Decides the slip's direction, through the tile's cumulative distribution."""


class SlipperyLake(Kernel[LakeState, LakePost, LakeNoise]):
    """Cross a frozen lake whose tiles may push again, each with its own distribution of directions.

    ## Description
    A step goes where it is meant to (or nowhere, at the border). Then, with probability 1/2, the tile reached
    pushes once more, in a direction drawn from that tile's own distribution over left, down, right, up. These
    distributions are Dirichlet(1, 1, 1, 1) draws, fixed by `tile_seed`. The post-decision state is the tile
    reached before the push.

    ## Action Space
    `Discrete(4)`: 0 left, 1 down, 2 right, 3 up.

    ## Observation Space
    `Box(0, 1, (rows * columns,))` float32: the cell, one-hot.

    ## Rewards
    Arriving on a tile at Manhattan distance d of the goal is worth 1/(1 + d), so 1 at the goal; on a hole,
    1/(rows + columns) less. The reward of a step is the worth of the tile reached, plus that of the tile pushed
    to if there is a push (also where the border turns it into staying). Acting from a hole is worth 0.

    `post_reward="consistent"`: the deterministic part of the reward is the worth of the tile reached.
    `post_reward="release"`: as in the authors' code it lacks the penalty of holes, and acting from a hole has
    the tile one would have moved to as post-decision state, with its 1/(1 + d); the stochastic part then takes
    back what is too much. Next states and whole rewards are the same.

    ## Starting State
    The tile S (uniform among several).

    ## Episode End
    Termination: arriving at the goal; acting from a hole, where one stays (falling in does not end the
    episode, and a push may lead out of a hole again). Truncation: `horizon` (100) steps.

    ## Info
    `success`, `in_hole` [B] bool; `distance` [B], Manhattan, to the goal; `behaviour` [B, 2], row and column.

    ## Arguments
    The fields of `SlipperyLakeParams`. Presets: 4x4 and 8x8, Gymnasium's maps.

    Source: Felizardo et al. 2025 (PDPPO, arXiv 2504.05150) and its code; after Gymnasium's FrozenLake.
    """

    params_class = SlipperyLakeParams
    params: SlipperyLakeParams
    render_fps = 8

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        rows = self.rows = self.params.rows
        height, width = len(rows), len(rows[0])
        (goal_row, goal_column) = cells_of(rows, "G")[0]
        cells = [(i, j) for i in range(height) for j in range(width)]
        steps = [[abs(goal_row - i) + abs(goal_column - j)] for i, j in cells]
        self.distance = self._floats(steps).squeeze(1)
        self.hole = torch.tensor([symbol == "H" for row in rows for symbol in row], device=self.device)
        self.goal = torch.tensor([symbol == "G" for row in rows for symbol in row], device=self.device)
        self.nearness = 1.0 / (1.0 + self.distance)
        self.worth = self.nearness - self.hole.to(dtype) / (height + width)
        # [cells, 4]: the border stops a move.
        moved = [
            [min(max(i + di, 0), height - 1) * width + min(max(j + dj, 0), width - 1) for di, dj in MOVES]
            for i, j in cells
        ]
        self.moved = torch.tensor(moved, device=self.device)
        self.starts = torch.tensor([i * width + j for i, j in cells_of(rows, "S")], device=self.device)
        # The release draws with NumPy's legacy generator, whose stream is frozen.
        tiles = np.random.RandomState(self.params.tile_seed).dirichlet(np.ones(4), size=(height, width))
        self.tile_probabilities = self._floats(tiles.reshape(-1, 4))
        """Probabilities [cells, 4] of each tile's slip directions."""
        self._cumulative = self.tile_probabilities.cumsum(1)[:, :3].contiguous()

    def _floats(self, values: Any) -> Tensor:
        return torch.tensor(np.asarray(values), device=self.device, dtype=self.dtype)

    @property
    def observation_space(self) -> spaces.Box:
        """One-hot cell."""
        return spaces.Box(0.0, 1.0, (len(self.rows) * len(self.rows[0]),), dtype=np.float32)

    @property
    def action_space(self) -> spaces.Discrete:
        """Left, down, right, up."""
        return spaces.Discrete(4)

    @property
    def max_episode_steps(self) -> int:
        """Steps after which an episode is truncated: `horizon`."""
        return self.params.horizon

    def initial_state(self, num: int, rng: torch.Generator) -> LakeState:
        """Start states: on a start tile."""
        return LakeState(self.starts[torch.randint(len(self.starts), (num,), generator=rng, device=self.device)])

    def post_decision(self, state: LakeState, action: Tensor) -> tuple[LakePost, Tensor]:
        """The step without a push, and its part of the reward."""
        origin = state.cell
        over = self.hole[origin] | self.goal[origin]
        moved = self.moved[origin, action]
        reward = self.worth[moved].masked_fill(over, 0.0)
        ended = over | self.goal[moved]
        if self.params.post_reward == "release":
            given = self.nearness[moved]
            return LakePost(moved, origin, reward, given, ended), given
        cell = torch.where(over, origin, moved)
        return LakePost(cell, origin, reward, reward, ended), reward

    def sample_exogenous(self, state: LakeState, rng: torch.Generator) -> LakeNoise:
        """Whether and where to a tile would push."""
        draws = torch.rand((2, state.cell.shape[0]), generator=rng, device=self.device, dtype=self.dtype)
        return LakeNoise(draws[0], draws[1])

    def transition(self, post_state: LakePost, noise: LakeNoise | None) -> tuple[LakeState, Tensor, Tensor]:
        """The push, its part of the reward, and whether the goal is reached or a hole keeps one."""
        if noise is None:
            raise ValueError("SlipperyLake.transition needs the noise of sample_exogenous.")
        post = post_state
        slips = (noise.slip < self.params.slip_probability) & ~post.ended
        direction = (noise.direction[:, None] >= self._cumulative[post.cell]).sum(1)
        pushed = self.moved[post.cell, direction]
        stays = self.hole[post.origin] | self.goal[post.origin]
        cell = torch.where(stays, post.origin, torch.where(slips, pushed, post.cell))
        reward = post.reward - post.given + self.worth[pushed] * slips
        return LakeState(cell), reward, post.ended | (slips & self.goal[pushed])

    def observe(self, state: LakeState) -> Tensor:
        """One-hot cell."""
        return torch.nn.functional.one_hot(state.cell, len(self.worth)).to(torch.float32)

    def observe_post(self, post_state: LakePost) -> Tensor:
        """One-hot cell of the tile reached before a push."""
        return torch.nn.functional.one_hot(post_state.cell, len(self.worth)).to(torch.float32)

    def info(self, state: LakeState) -> dict[str, Tensor]:
        """Success, in_hole, distance and behaviour."""
        cell, width = state.cell, len(self.rows[0])
        place = torch.stack((torch.div(cell, width, rounding_mode="floor"), cell % width), dim=-1)
        return {
            "success": self.goal[cell],
            "in_hole": self.hole[cell],
            "distance": self.distance[cell],
            "behaviour": place.to(self.dtype),
        }

    def _centres(self, cell: Tensor) -> np.ndarray:
        """World coordinates [B, 2] of cells, for pictures."""
        place = self.info(LakeState(cell))["behaviour"].cpu().numpy()
        height, width = len(self.rows), len(self.rows[0])
        return np.stack((place[:, 1] + 0.5 - width / 2, height / 2 - place[:, 0] - 0.5), axis=-1)

    def render(self, state_row: LakeState) -> np.ndarray:
        """The lake from above: holes dark, goal green, and in each tile how likely it pushes where to."""
        from rlsuite_envs.mazes.pictures import maze_canvas

        canvas = maze_canvas(self.rows, 1.0, COLORS)
        centres = self._centres(torch.arange(len(self.worth), device=self.device))
        for (x, y), chances, goal in zip(centres, self.tile_probabilities.tolist(), self.goal.tolist(), strict=True):
            canvas.rect(x - 0.5, y - 0.5, x + 0.5, y + 0.5, None, outline="white")
            for (down, right), chance in zip(MOVES, chances, strict=True):
                if not goal:
                    tip = (x + 0.48 * right * chance, y - 0.48 * down * chance)
                    canvas.line([(x, y), tip], "#90a4ae", 2)
        (x, y) = self._centres(state_row.cell)[0]
        canvas.disc(x, y, 0.3, "#d62728")
        return canvas.array()

    def render_episode(self, states: LakeState, actions: Tensor, rewards: Tensor) -> np.ndarray:
        """The path across the lake, coloured by time, and distance and reward over time."""
        from rlsuite_envs.mazes.pictures import drifting, episode_figure, figure_array

        path = drifting(self._centres(states.cell))
        goals = self._centres(self.goal.nonzero()[:, 0])
        drawn, _, curve = episode_figure(self.rows, 1.0, path, goals, rewards.cpu().numpy(), COLORS)
        curve.step(
            np.arange(len(states.cell)),
            self.distance[states.cell].cpu().numpy(),
            where="post",
            color="#1f77b4",
        )
        curve.set_ylabel("distance to the goal")
        return figure_array(drawn)


SlipperyLake.presets = {
    "4x4": SlipperyLakeParams(maze_map=("SFFF", "FHFH", "FFFH", "HFFG")),
    "8x8": SlipperyLakeParams(
        maze_map=(
            "SFFFFFFF",
            "FFFFFFFF",
            "FFFHFFFF",
            "FFFFFHFF",
            "FFFHFFFF",
            "FHHFFFHF",
            "FHFFHFHF",
            "FFFHFFFG",
        )
    ),
}
