"""Planners that know the environment, for `rlsuite results subpo`: greedy, one step ahead, and beam search."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from rlsuite_envs.coverage.grid import GraphWalk
from rlsuite_envs.kernel import tree_map


class GreedyPolicy:
    """Takes an action of the largest marginal gain, equals at random; Stable-Baselines3's `predict`.

    It looks at the state of the environment, which the observation need not show.

    Args:
        env: vector environment around a graph walk.
        seed: of the choice among equals.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], seed: int) -> None:
        self._env: Any = env
        self._rng = torch.Generator().manual_seed(seed)

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, None]:
        """Actions [B]."""
        return self._env.kernel.greedy_action(self._env.state, self._rng).numpy(), None


def beam_search(kernel: GraphWalk, width: int, seed: int = 0) -> Any:
    """A walk without slips by keeping the `width` best of all extensions at every move: its states, [T + 1, ...]."""
    rng = torch.Generator().manual_seed(seed)
    state = kernel.initial_state(1, rng)
    count = kernel.moves.shape[1]
    layers, parents = [state], []
    for _ in range(kernel.params.horizon):
        rows = state.node.shape[0]
        wide = tree_map(lambda x: x.repeat_interleave(count, 0), state)
        post, _ = kernel.post_decision(wide, torch.arange(count).repeat(rows))
        after, _, _ = kernel.transition(post, None)
        # Equal values in random order, lest all kept walks share their beginning.
        score = after.value.double() + 1e-3 * torch.rand(len(after.value), generator=rng)
        order = score.argsort(descending=True)[:width]
        parents.append(order // count)
        state = tree_map(lambda x, order=order: x[order], after)
        layers.append(state)
    index = int(state.value.argmax())
    path = [tree_map(lambda x: x[index : index + 1], state)]
    for layer, parent in zip(reversed(layers[:-1]), reversed(parents), strict=True):
        index = int(parent[index])
        path.append(tree_map(lambda x, i=index: x[i : i + 1], layer))
    return tree_map(lambda *rows: torch.cat(rows), *reversed(path))
