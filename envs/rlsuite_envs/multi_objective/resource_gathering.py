"""Gold and a diamond, and enemies beside the short ways to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import check_choice, check_probability
from rlsuite_envs.kernel import Kernel
from rlsuite_envs.multi_objective.fronts import Choice, check_gamma, exact_front
from rlsuite_envs.multi_objective.grids import UP_DOWN_LEFT_RIGHT, grid_canvas, moved_cells, one_hot, row_and_column
from rlsuite_envs.multi_objective.pictures import episode_picture

__all__ = ["GatheringState", "ResourceGathering", "ResourceGatheringParams"]

SIZE = 5
HOME = 4 * SIZE + 2
GOLD = 0 * SIZE + 2
DIAMOND = 1 * SIZE + 4
ENEMIES = (0 * SIZE + 3, 1 * SIZE + 2)
"""Cells, row * 5 + column."""


@dataclass(frozen=True)
class ResourceGatheringParams:
    """Constants; the defaults are mo-gymnasium's."""

    attack_probability: float = 0.1
    """Probability that an enemy strikes in a step that ends on its cell."""
    observation: str = "position"
    """"position" or "one-hot"; see the kernel."""

    def __post_init__(self) -> None:
        check_probability(self, "attack_probability")
        check_choice(self, "observation", ("position", "one-hot"))


@dataclass(frozen=True)
class GatheringState:
    """Place and load; all fields [B]."""

    cell: Tensor
    """Cell of the gatherer, row * 5 + column, int64."""
    gold: Tensor
    """Whether it has the gold, bool."""
    diamond: Tensor
    """Whether it has the diamond, bool."""


class ResourceGathering(Kernel[GatheringState, GatheringState, Tensor]):
    """Resource gathering: bring home gold, a diamond or both, past enemies that may strike.

    ## Description
    On a grid of 5x5 the gatherer leaves home, picks up what it walks over, and returns. Two enemies stand beside the
    resources: whoever ends a step on an enemy's cell is struck with probability 0.1. There is a way around each of
    them, which takes longer. The post-decision state is that after the move, before an enemy may strike.

    ## Action Space
    `Discrete(4)`: 0 up, 1 down, 2 left, 3 right. A step out of the grid stays, and counts as arriving (at home, it ends
    the episode).

    ## Observation Space
    `observation="position"`: `Box(0, 5, (4,))` int32: row, column, has gold, has diamond. "one-hot": `Box(0, 1, (27,))`
    float32: the cell one-hot, has gold, has diamond.

    ## Rewards
    [3]: -1 when struck, else 0; 1 when home with gold, else 0; 1 when home with the diamond, else 0.

    ## Starting State
    At home, with nothing.

    ## Episode End
    Termination: home again (also by a step that stays there), or struck. Truncation: 100 steps.

    ## Arguments
    The fields of `ResourceGatheringParams`.

    Source: Barrett and Narayanan 2008, Learning all optimal policies with multiple criteria (ICML). Equal to
    mo-gymnasium's `resource-gathering-v0`, step for step.
    """

    params_class = ResourceGatheringParams
    params: ResourceGatheringParams
    render_fps = 4

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        self._moved = moved_cells(SIZE, SIZE, (), UP_DOWN_LEFT_RIGHT).to(self.device)
        self._enemy = torch.zeros(SIZE * SIZE, dtype=torch.bool, device=self.device)
        self._enemy[list(ENEMIES)] = True

    @property
    def observation_space(self) -> spaces.Box:
        """See the class."""
        if self.params.observation == "position":
            return spaces.Box(0, SIZE, (4,), np.int32)
        return spaces.Box(0.0, 1.0, (SIZE * SIZE + 2,), np.float32)

    @property
    def action_space(self) -> spaces.Discrete:
        """Up, down, left, right."""
        return spaces.Discrete(4)

    @property
    def max_episode_steps(self) -> int:
        """100 steps."""
        return 100

    @property
    def reward_dim(self) -> int:
        """Three objectives."""
        return 3

    @property
    def reward_space(self) -> spaces.Box:
        """From (-1, 0, 0) to (0, 1, 1)."""
        kind = self._reward_dtype
        return spaces.Box(np.array([-1, 0, 0], kind), np.array([0, 1, 1], kind), dtype=kind)

    @property
    def objective_names(self) -> tuple[str, str, str]:
        """Safety, gold, diamond."""
        return "safety", "gold", "diamond"

    def initial_state(self, num: int, rng: torch.Generator) -> GatheringState:
        """All at home, with nothing."""
        nothing = torch.zeros(num, dtype=torch.bool, device=self.device)
        return GatheringState(torch.full((num,), HOME, device=self.device), nothing, nothing)

    def post_decision(self, state: GatheringState, action: Tensor) -> tuple[GatheringState, Tensor]:
        """Move, pick up, and be paid at home: the reward [B, 3] but for a strike."""
        cell = self._moved[state.cell, action]
        gold, diamond = state.gold | (cell == GOLD), state.diamond | (cell == DIAMOND)
        home = cell == HOME
        reward = torch.stack((torch.zeros_like(home), gold & home, diamond & home), -1).to(self.dtype)
        return GatheringState(cell, gold, diamond), reward

    def sample_exogenous(self, state: GatheringState, rng: torch.Generator) -> Tensor:
        """Numbers [B], uniform in [0, 1): an enemy on the cell strikes where they are below its probability."""
        return torch.rand(state.cell.shape, generator=rng, device=self.device, dtype=self.dtype)

    def transition(self, post_state: GatheringState, noise: Tensor | None) -> tuple[GatheringState, Tensor, Tensor]:
        """Enemies strike: the state stays, a strike's reward [B, 3] is -1, and it ends the episode, as home does."""
        if noise is None:
            raise ValueError("ResourceGathering.transition needs the noise of sample_exogenous.")
        struck = self._enemy[post_state.cell] & (noise < self.params.attack_probability)
        never = torch.zeros_like(struck)
        reward = -torch.stack((struck, never, never), -1).to(self.dtype)
        return post_state, reward, struck | (post_state.cell == HOME)

    def observe(self, state: GatheringState) -> Tensor:
        """See the class."""
        load = torch.stack((state.gold, state.diamond), -1)
        if self.params.observation == "one-hot":
            return torch.cat((one_hot(state.cell, SIZE * SIZE), load.float()), -1)
        return torch.cat((row_and_column(state.cell, SIZE), load), -1).to(torch.int32)

    def observe_post(self, post_state: GatheringState) -> Tensor:
        """Observation after the move, before a strike: the same numbers."""
        return self.observe(post_state)

    def pareto_front(self, gamma: float) -> np.ndarray:
        """The exact Pareto front of the expected discounted returns, over all deterministic policies that come home.

        A policy may depend on the whole past; here that is where one is, what one has, and what one set out for.
        Policies that draw lots fill the space between the points, and are left out.

        With gamma = 1 the safe way with both (18 steps) is best in everything: (0, 1, 1). With less, the gold alone (12
        steps, safe), the diamond alone (10) and both are compromises, and from 0.974 down, ways past an enemy are, too.
        mo-gymnasium 1.3's own front lacks the safe way with both, and discounts every point once too often.

        Args:
            gamma: discount factor in [0, 1].

        Returns:
            [n, 3] float64 (safety, gold, diamond), sorted lexicographically.

        Raises:
            ValueError: gamma out of range.
        """
        gamma, risk = check_gamma(gamma), self.params.attack_probability
        moved = self._moved.tolist()

        def choices(state: tuple[int, bool, bool]) -> list[Choice[tuple[int, bool, bool]]]:
            found: list[Choice[tuple[int, bool, bool]]] = []
            for cell in set(moved[state[0]]):
                gold, diamond = state[1] or cell == GOLD, state[2] or cell == DIAMOND
                after = (cell, gold, diamond)
                if cell == HOME:
                    found.append((np.array([0.0, gold, diamond]), ()))
                elif cell in ENEMIES:
                    found.append((np.array([-risk, 0.0, 0.0]), ((gamma * (1 - risk), after),)))
                else:
                    found.append((np.zeros(3), ((gamma, after),)))
            return found

        return exact_front((HOME, False, False), choices, 3)

    def render(self, state_row: GatheringState) -> np.ndarray:
        """The grid; the blue gatherer carries what it has, enemies are red."""
        canvas = grid_canvas(SIZE, SIZE, "#dfe8d2")
        for i in range(SIZE):
            for j in range(SIZE):
                canvas.rect(j, -i, j + 1, -i - 1, "#dfe8d2" if (i + j) % 2 else "#d3dfc3")
        i, j = divmod(HOME, SIZE)
        canvas.rect(j + 0.2, -i - 0.45, j + 0.8, -i - 0.92, "#b5835a", outline="#5d4a3a")
        roof = [(j + 0.1, -i - 0.45), (j + 0.5, -i - 0.1), (j + 0.9, -i - 0.45)]
        canvas.polygon(roof, "#8c3b2e", outline="#5d4a3a")
        for cell in ENEMIES:
            i, j = divmod(cell, SIZE)
            canvas.disc(j + 0.5, -i - 0.5, 0.34, "#c62828", outline="black")
            for eye in (0.38, 0.62):
                canvas.disc(j + eye, -i - 0.43, 0.07, "white", outline="black")
            canvas.line([(j + 0.36, -i - 0.65), (j + 0.64, -i - 0.65)], "black", 3)
            canvas.text(j + 0.5, -i - 0.93, f"{self.params.attack_probability:g}", size=13, anchor="mm")
        x, y = self._centre(int(state_row.cell.item()))
        if state_row.cell.item() in ENEMIES:  # both are to be seen
            x -= 0.3
        if not state_row.gold.item():
            self._gold(canvas, *self._centre(GOLD), 1.0)
        if not state_row.diamond.item():
            self._diamond(canvas, *self._centre(DIAMOND), 1.0)
        canvas.disc(x, y, 0.2, "#1f77b4", outline="black")
        if state_row.gold.item():
            self._gold(canvas, x - 0.16, y + 0.24, 0.5)
        if state_row.diamond.item():
            self._diamond(canvas, x + 0.16, y + 0.26, 0.5)
        return canvas.array()

    @staticmethod
    def _centre(cell: int) -> tuple[float, float]:
        return cell % SIZE + 0.5, -(cell // SIZE) - 0.5

    @staticmethod
    def _gold(canvas: Any, x: float, y: float, scale: float) -> None:
        corners = np.array([(-0.3, -0.16), (0.3, -0.16), (0.2, 0.16), (-0.2, 0.16)]) * scale
        canvas.polygon(corners + np.array([x, y]), "#f0b400", outline="#7a5c00")

    @staticmethod
    def _diamond(canvas: Any, x: float, y: float, scale: float) -> None:
        corners = np.array([(0.0, -0.28), (0.28, 0.06), (0.16, 0.22), (-0.16, 0.22), (-0.28, 0.06)]) * scale
        canvas.polygon(corners + np.array([x, y]), "#7fe0f0", outline="#1b6f80")

    def render_episode(self, states: GatheringState, actions: Tensor, rewards: Tensor) -> np.ndarray:
        """The way, coloured by time, and the returns so far."""
        last = self.render(GatheringState(states.cell[-1:], states.gold[-1:], states.diamond[-1:]))
        way = (row_and_column(states.cell, SIZE).flip(-1).to(torch.float64) + 0.5).cpu().numpy()
        return episode_picture(last, (SIZE, SIZE), way, rewards.cpu().numpy(), self.objective_names)
