"""Walks on a directed graph that earn a set function of the visited nodes: what the kernels here share.

An agent moves on a motion graph (a grid, unless another graph is given) for `horizon` steps. A trajectory
S = (s_0, ..., s_t) is worth F(S), a monotone submodular set function; the reward of a step is its marginal
gain F(S + s_{t+1}) - F(S), so that the rewards of an episode sum to F(S) - F({s_0}): **the start counts in
F**, as in the release, but is not paid for. The state carries the set, in a form that makes a marginal gain
cheap, so that with the set in the observation the problem is an ordinary Markov decision process.

Source: Prajapat, Mutny, Zeilinger, Krause, "Submodular Reinforcement Learning", arXiv 2307.13372 (ICLR 2024),
and its code. The release counts states (H of them), we count moves: horizon = H - 1.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import MOST, check_choice, check_integer, check_probability
from rlsuite_envs.coverage.graphs import Graph, check_graph, check_walls, grid_moves
from rlsuite_envs.coverage.grid_pictures import Layers, episode, frame
from rlsuite_envs.kernel import Kernel

__all__ = ["GraphWalk", "Slip", "WalkParams", "WalkPost", "WalkState"]


@dataclass(frozen=True)
class WalkParams:
    """Constants of every walk. Nodes are cells of a grid, numbered row * cols + col."""

    rows: int = 30
    """Rows of the grid, >= 1."""
    cols: int = 30
    """Columns of the grid, >= 1."""
    walls: tuple[tuple[int, int], ...] = ()
    """Closed cells (row, col); `graphs.read_layout` makes them from text."""
    start: int = 34
    """Node where every episode starts; the release's, whatever the grid."""
    horizon: int = 79
    """Moves of an episode, >= 1 (the paper's H counts states: H - 1)."""
    slip: float = 0.0
    """Probability per step that the action is replaced by a uniformly drawn one (the release's q), in [0, 1]."""
    observation: str = "covered"
    """What the agent sees: "covered" (place, time and the set: Markov), "state_time", or "history"."""
    reward: str = "marginal"
    """"marginal" gains, or "modular": the sum over steps of each node's own value (ModPO's reward)."""
    motion: Graph | None = None
    """Motion graph: of each node, its successor under action 0, 1, ...; a missing one stays. None: the grid's."""

    def __post_init__(self) -> None:
        check_integer(self, "rows", 1, self.most_nodes)
        check_integer(self, "cols", 1, self.most_nodes)
        if self.nodes > self.most_nodes:
            raise ValueError(
                f"rows={self.rows} and cols={self.cols} make {self.nodes} cells: at most {self.most_nodes}."
            )
        check_integer(self, "start", 0, self.nodes - 1)
        check_choice(self, "observation", ("covered", "state_time", "history"))
        check_integer(self, "horizon", 1, MOST if self.observation == "history" else None)
        check_probability(self, "slip")
        check_choice(self, "reward", ("marginal", "modular"))
        check_walls(self)
        if self.motion is not None:
            check_graph("motion", self.motion, self.nodes, least=1)

    @property
    def most_nodes(self) -> int:
        """Largest number of cells: what is made cell by cell takes seconds, or matrices over cells gigabytes."""
        return 100_000

    @property
    def nodes(self) -> int:
        """Number of nodes N = rows * cols."""
        return self.rows * self.cols

    @property
    def moves(self) -> Graph:
        """The motion graph, with every node's row as long as there are actions."""
        if self.motion is None:
            return grid_moves(self.rows, self.cols, self.walls)
        width = max(len(row) for row in self.motion)
        return tuple((*row, *[node] * (width - len(row))) for node, row in enumerate(self.motion))


@dataclass(frozen=True)
class WalkState:
    """A walk so far."""

    node: Tensor
    """Where the agent is, [B] int64."""
    t: Tensor
    """Moves made, [B] int64."""
    history: Tensor
    """Visited nodes, the latest first, -1 where there is none yet: [B, horizon + 1] int64; [B, 0] unless observed."""
    seen: Any
    """The set of what was visited, in the form of the kernel."""
    value: Tensor
    """F(S) of the nodes visited, the start included, [B]."""
    modular: Tensor
    """Sum over the visits, the start included, of F of that node alone, [B]."""


@dataclass(frozen=True)
class WalkPost:
    """A walk after the decision. Without slipping it has moved already, else it is about to."""

    state: WalkState
    """State after the move (slip = 0), or before it (slip > 0)."""
    target: Tensor
    """Node that the action leads to, [B] int64."""


@dataclass(frozen=True)
class Slip:
    """The randomness of one step: whether the action is replaced, and by which."""

    slips: Tensor
    """Whether the action is replaced, [B] bool."""
    action: Tensor
    """Action that replaces the chosen one where `slips`, [B] int64."""


class GraphWalk(Kernel[WalkState, WalkPost, Slip | None]):
    """The walk; a subclass says what a set is and what a node adds to it.

    It implements `empty_set`, `gain`, `include`, `node_value`, `set_size`, `write_set` and `layers`.
    """

    params_class: ClassVar[type] = WalkParams
    params: Any
    render_fps = 10
    value_label: Any = "F(S)"

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        p = self.params
        self.moves = torch.tensor(p.moves, device=self.device)
        rows, cols = np.divmod(np.arange(p.nodes), p.cols)
        places = np.stack((rows / max(1, p.rows - 1), cols / max(1, p.cols - 1)), axis=1)
        self.places = torch.tensor(places, dtype=torch.float32, device=self.device)
        # One more row, for "no node yet" as index -1.
        self._padded_places = torch.cat((self.places, torch.full_like(self.places[:1], -1.0)))
        self._length = p.horizon + 1 if p.observation == "history" else 0
        self._width = 3 + (self.set_size if p.observation == "covered" else 0)

    # --- What a subclass defines

    @abstractmethod
    def empty_set(self, num: int, rng: torch.Generator) -> Any:
        """The empty set, num times."""

    @abstractmethod
    def gain(self, seen: Any, node: Tensor, t: Tensor) -> Tensor:
        """F(S + node) - F(S) [B] of a visit to node [B] at time t [B]."""

    @abstractmethod
    def include(self, seen: Any, node: Tensor, t: Tensor) -> tuple[Any, Tensor]:
        """The set S + node, and the gain [B]."""

    @abstractmethod
    def node_value(self, seen: Any, node: Tensor) -> Tensor:
        """F({node}) [B], what a visit counts in the modular sum."""

    @property
    @abstractmethod
    def set_size(self) -> int:
        """F, how many numbers tell an observer the set."""

    @abstractmethod
    def write_set(self, seen: Any, out: Tensor) -> None:
        """Write the set into out [B, F] float32, scaled to [0, 1]."""

    def blank(self, seen: Any, num: int) -> Tensor:
        """A new tensor [num, width of the observation] float32 for `write_set` and others to fill."""
        return torch.empty((num, self._width), device=self.device)

    # --- The kernel

    @property
    def action_space(self) -> spaces.Discrete:
        """One action per successor; on a grid: stay, right, down, left, up."""
        return spaces.Discrete(self.moves.shape[1])

    @property
    def observation_space(self) -> spaces.Box:
        """[row, col, time left], then the set or nothing; or [time left, row, col, row, col, ...]."""
        mode = self.params.observation
        if mode == "history":
            return spaces.Box(-1.0, 1.0, (1 + 2 * self._length,), np.float32)
        return spaces.Box(0.0, 1.0, (self._width,), np.float32)

    def initial_state(self, num: int, rng: torch.Generator) -> WalkState:
        """Start states: at the start node, which is in the set already."""
        node = torch.full((num,), self.params.start, device=self.device)
        t = torch.zeros_like(node)
        history = torch.full((num, self._length), -1, device=self.device)
        history[:, :1] = self.params.start
        seen, value = self.include(self.empty_set(num, rng), node, t)
        return WalkState(node, t, history, seen, value, self.node_value(seen, node))

    def _visit(self, state: WalkState, node: Tensor) -> tuple[WalkState, Tensor]:
        """The state after a move to node [B], and its reward [B]."""
        t = state.t + 1
        seen, gain = self.include(state.seen, node, t)
        own = self.node_value(seen, node)
        history = state.history
        if self._length:
            history = torch.cat((node.unsqueeze(1), history[:, :-1]), dim=1)
        after = WalkState(node, t, history, seen, state.value + gain, state.modular + own)
        return after, gain if self.params.reward == "marginal" else own

    def post_decision(self, state: WalkState, action: Tensor) -> tuple[WalkPost, Tensor | None]:
        """Without slipping the whole step, else where the action would lead."""
        target = self.moves[state.node, action]
        if self.params.slip:
            return WalkPost(state, target), None
        after, reward = self._visit(state, target)
        return WalkPost(after, target), reward

    def sample_exogenous(self, state: WalkState, rng: torch.Generator) -> Slip | None:
        """Which actions are replaced, and by what; None where none ever is."""
        if not self.params.slip:
            return None
        num = state.node.shape[0]
        slips = torch.rand(num, generator=rng, device=self.device) < self.params.slip
        return Slip(slips, torch.randint(0, self.moves.shape[1], (num,), generator=rng, device=self.device))

    def transition(self, post_state: WalkPost, noise: Slip | None) -> tuple[WalkState, Tensor | None, Tensor]:
        """The move where it was left to chance; no episode ends before its time."""
        state = post_state.state
        ends = torch.zeros_like(state.node, dtype=torch.bool)
        if noise is None:
            if self.params.slip:
                raise ValueError(
                    f"noise=None but slip={self.params.slip}: pass what sample_exogenous(state, rng) returns."
                )
            return state, None, ends
        node = torch.where(noise.slips, self.moves[state.node, noise.action], post_state.target)
        after, reward = self._visit(state, node)
        return after, reward, ends

    def _observe(self, node: Tensor, state: WalkState) -> Tensor:
        left = (1.0 - state.t.to(torch.float32) / self.params.horizon).clamp_(min=0.0)
        if self._length:
            trail = self._padded_places[state.history].flatten(1)
            return torch.cat((left.unsqueeze(1), trail), dim=1)
        out = self.blank(state.seen, node.shape[0])
        out[:, :2] = self.places[node]
        out[:, 2] = left
        if self.params.observation == "covered":
            self.write_set(state.seen, out[:, 3:])
        return out

    def observe(self, state: WalkState) -> Tensor:
        """The observation of the mode chosen, float32."""
        return self._observe(state.node, state)

    def observe_post(self, post_state: WalkPost) -> Tensor:
        """Observation of the post-decision state; with slip, the agent is shown at the target it has not reached yet.

        (A history has no room for a move not yet made: there it is the state's own.)
        """
        return self._observe(post_state.target, post_state.state)

    def info(self, state: WalkState) -> dict[str, Tensor]:
        """F(S), the modular sum, and the place (row, col) [B, 2] in cells."""
        row = torch.div(state.node, self.params.cols, rounding_mode="floor")
        place = torch.stack((row, state.node - row * self.params.cols), dim=1)
        # Own tensors: the state's must not be changed through the info.
        return {"set_value": state.value.clone(), "modular_value": state.modular.clone(), "place": place}

    def gains(self, state: WalkState) -> Tensor:
        """Marginal gain [B, A] of each action's move, had nothing slipped."""
        targets = self.moves[state.node].unbind(1)
        return torch.stack([self.gain(state.seen, target, state.t + 1) for target in targets], dim=1)

    def greedy_action(self, state: WalkState, rng: torch.Generator) -> Tensor:
        """Actions [B] of the largest marginal gain, ties broken at random: a baseline that looks one step ahead."""
        gains = self.gains(state)
        best = gains >= gains.amax(1, keepdim=True) - 1e-6
        return torch.rand(gains.shape, generator=rng, device=self.device).masked_fill_(~best, -1.0).argmax(1)

    # --- Pictures

    @abstractmethod
    def layers(self, state_row: WalkState) -> Layers:
        """What to draw of a set, given a state of one row."""

    def render(self, state_row: WalkState) -> np.ndarray:
        """The map, what was covered, and the agent."""
        return frame(self, state_row)

    def render_episode(self, states: WalkState, actions: Tensor, rewards: Tensor) -> np.ndarray:
        """The path coloured by time over what it covered, and F(S) with the modular sum over time."""
        return episode(self, states)
