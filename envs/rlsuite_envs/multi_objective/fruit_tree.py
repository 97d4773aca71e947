"""A binary tree whose leaves are fruits of six nutrients each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import check_choice
from rlsuite_envs.drawing import Canvas, figure, figure_array
from rlsuite_envs.kernel import Kernel
from rlsuite_envs.multi_objective.fronts import Choice, check_gamma, exact_front
from rlsuite_envs.multi_objective.fruit_values import FRUITS, NUTRIENTS
from rlsuite_envs.multi_objective.grids import one_hot

__all__ = ["FruitTree", "FruitTreeParams", "TreeState"]

COLORS = ("#d62728", "#ff9f1c", "#e8c000", "#2ca02c", "#8c564b", "#1f77b4")
"""Of the nutrients in pictures."""


@dataclass(frozen=True)
class FruitTreeParams:
    """Constants; the default is the tree of 64 fruits."""

    depth: int = 6
    """Decisions from the root to a fruit: 5, 6 or 7, hence 32, 64 or 128 fruits."""
    observation: str = "position"
    """"position" or "one-hot"; see the kernel."""

    def __post_init__(self) -> None:
        check_choice(self, "depth", tuple(FRUITS))
        check_choice(self, "observation", ("position", "one-hot"))


@dataclass(frozen=True)
class TreeState:
    """Place in the tree."""

    node: Tensor
    """Number of the node, [B] int64: row by row from the root, 0, so that node i leads to 2 i + 1 and 2 i + 2."""


class FruitTree(Kernel[TreeState, TreeState, None]):
    """Fruit tree: go left or right down a binary tree, and eat the fruit at the end.

    ## Description
    Every leaf holds a fruit with values of six nutrients, none of which is better than another in all of them: each
    fruit is a compromise of its own, and best for some weights. Everything is deterministic.

    ## Action Space
    `Discrete(2)`: 0 left, 1 right.

    ## Observation Space
    `observation="position"`: `Box(0, 2^depth - 1, (2,))` int32: row, and place in the row from the left (some texts
    say one-hot; mo-gymnasium has these two numbers). "one-hot": `Box(0, 1, (2^(depth + 1) - 1,))` float32: the node,
    row by row.

    ## Rewards
    [6]: protein, carbs, fats, vitamins, minerals, water of the fruit where one is reached, else 0. Values lie in
    [0, 10].

    ## Starting State
    The root.

    ## Episode End
    Termination: a fruit is reached, after `depth` steps. There is no time limit. A step from a fruit stays there and
    pays nothing.

    ## Arguments
    The fields of `FruitTreeParams`. Presets: "depth5", "depth6", "depth7".

    Source: Yang et al. 2019, A generalized algorithm for multi-objective reinforcement learning and policy adaptation
    (arXiv 1908.08342), and its published values. Equal to mo-gymnasium's `fruit-tree-v0`, step for step.
    """

    params_class = FruitTreeParams
    params: FruitTreeParams
    render_fps = 2

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        depth = self.params.depth
        self.inner = 2**depth - 1
        """Nodes that are not leaves."""
        self.fruits = np.array(FRUITS[depth])
        """Nutrients of the fruits, [2^depth, 6] float64."""
        self._values = torch.zeros(2 * self.inner + 1, 6, dtype=dtype, device=self.device)
        self._values[self.inner :] = torch.as_tensor(self.fruits, dtype=dtype, device=self.device)
        places = [(row, place) for row in range(depth + 1) for place in range(2**row)]
        self._places = torch.tensor(places, dtype=torch.int32, device=self.device)

    @property
    def observation_space(self) -> spaces.Box:
        """See the class."""
        if self.params.observation == "position":
            return spaces.Box(0, self.inner, (2,), np.int32)
        return spaces.Box(0.0, 1.0, (len(self._places),), np.float32)

    @property
    def action_space(self) -> spaces.Discrete:
        """Left, right."""
        return spaces.Discrete(2)

    @property
    def reward_dim(self) -> int:
        """Six nutrients."""
        return 6

    @property
    def reward_space(self) -> spaces.Box:
        """From 0 to 10 each."""
        return spaces.Box(0.0, 10.0, (6,), dtype=self._reward_dtype)

    @property
    def objective_names(self) -> tuple[str, ...]:
        """The nutrients."""
        return NUTRIENTS

    def initial_state(self, num: int, rng: torch.Generator) -> TreeState:
        """All at the root."""
        return TreeState(torch.zeros(num, dtype=torch.int64, device=self.device))

    def post_decision(self, state: TreeState, action: Tensor) -> tuple[TreeState, Tensor]:
        """The next node and its values [B, 6]: nothing here is random."""
        ended = state.node >= self.inner
        node = torch.where(ended, state.node, 2 * state.node + 1 + action)
        return TreeState(node), self._values[node].masked_fill(ended[:, None], 0.0)

    def transition(self, post_state: TreeState, noise: None) -> tuple[TreeState, None, Tensor]:
        """The state itself, and whether it is at a fruit."""
        return post_state, None, post_state.node >= self.inner

    def observe(self, state: TreeState) -> Tensor:
        """See the class."""
        if self.params.observation == "position":
            return self._places[state.node]
        return one_hot(state.node, len(self._places))

    def observe_post(self, post_state: TreeState) -> Tensor:
        """Observation of the post-decision state, which is the next state."""
        return self.observe(post_state)

    def pareto_front(self, gamma: float) -> np.ndarray:
        """The exact Pareto front of the discounted returns, over all policies.

        For gamma above 0 it has every fruit, times gamma^(depth - 1).

        Args:
            gamma: discount factor in [0, 1].

        Returns:
            [n, 6] float64, sorted lexicographically.

        Raises:
            ValueError: gamma out of range.
        """
        gamma = check_gamma(gamma)

        def choices(node: int) -> list[Choice[int]]:
            return [
                (self.fruits[after - self.inner], ()) if after >= self.inner else (np.zeros(6), ((gamma, after),))
                for after in (2 * node + 1, 2 * node + 2)
            ]

        return exact_front(0, choices, 6)

    def _across(self, node: int) -> tuple[float, float]:
        """Place of a node across and down, in leaves and rows."""
        row = (node + 1).bit_length() - 1
        wide = 2 ** (self.params.depth - row)
        return (node + 1 - 2**row + 0.5) * wide, float(row)

    def render(self, state_row: TreeState) -> np.ndarray:
        """The tree with the way taken in red, and each fruit's nutrients as bars below it; out of reach is pale."""
        depth, here = self.params.depth, int(state_row.node.item())
        leaves = 2**depth
        way = {here}
        while min(way):
            way.add((min(way) - 1) // 2)
        below = {here}
        for node in range(here + 1, len(self._places)):
            if (node - 1) // 2 in below:
                below.add(node)
        canvas = Canvas(960, 480, (-0.5, leaves + 0.5), (-depth - 4.2, 0.5))
        for node in range(1, len(self._places)):
            upper = (node - 1) // 2
            (x0, y0), (x1, y1) = self._across(upper), self._across(node)
            taken = node in way
            color = "#d62728" if taken else "#5a4a3a" if node in below else "#d8d3cc"
            canvas.line([(x0, -y0), (x1, -y1)], color, 4 if taken else 1.5)
        across = (leaves + 1) / 960
        for node in range(self.inner):
            x, y = self._across(node)
            color = "#5a4a3a" if node in way | below else "#d8d3cc"
            canvas.rect(x - 3 * across, -y + 0.06, x + 3 * across, -y - 0.06, color)
        for leaf, fruit in enumerate(self.fruits):
            left, live = leaf + 0.08, leaf + self.inner in below
            for k, value in enumerate(fruit):
                color = COLORS[k] if live else "#e6e3df"
                x = left + 0.14 * k
                canvas.rect(x, -depth - 3.3, x + 0.14, -depth - 3.3 + 0.29 * value, color)
        x, y = self._across(here)
        # A disc in the picture is an ellipse in these units: drawn by hand.
        angle = np.linspace(0, 2 * np.pi, 30)
        up = (depth + 4.7) / 480
        circle = np.stack((x + 8 * across * np.cos(angle), -y + 8 * up * np.sin(angle)), -1)
        canvas.polygon(circle, "#d62728", outline="black")
        for k, name in enumerate(NUTRIENTS):
            x = (0.1 + 0.15 * k) * leaves
            canvas.rect(x, -depth - 3.65, x + 10 * across, -depth - 3.65 - 10 * up, COLORS[k])
            canvas.text(x + 15 * across, -depth - 3.65 - 5 * up, name, size=14)
        return canvas.array()

    def render_episode(self, states: TreeState, actions: Tensor, rewards: Tensor) -> np.ndarray:
        """The way down the tree, and the nutrients at its end beside the most that any fruit has."""
        drawn, axes = figure(2, 1, width=9.6, height=6.6, height_ratios=(2.6, 1.0))
        tree, bars = axes[:, 0]
        tree.imshow(self.render(TreeState(states.node[-1:])))
        tree.set_axis_off()
        bars.bar(NUTRIENTS, self.fruits.max(0), color="#e6e3df", label="most of any fruit")
        eaten = bars.bar(NUTRIENTS, rewards.sum(0).cpu().numpy(), color=COLORS, width=0.6)
        bars.bar_label(eaten, fmt="%.2f")
        bars.set(ylabel="return", ylim=(0, 11))
        bars.legend(frameon=False, loc="upper right", bbox_to_anchor=(1.0, 1.25))
        return figure_array(drawn)


FruitTree.presets = {f"depth{depth}": FruitTreeParams(depth=depth) for depth in FRUITS}
