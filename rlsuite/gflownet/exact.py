"""Exact distributions of policies over objects that can all be listed: no sampling, no noise floor.

Letters: S objects, A moves, action A stops.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rlsuite_envs.gflownet.composed import Composed

__all__ = ["Graph", "graph_of", "terminating_distribution", "total_variation", "uniform_backward_flows"]


@dataclass(frozen=True)
class Graph:
    """All objects of a kernel, and what leads where."""

    states: Tensor
    """[S, D] int64, in the order of their length; the source is the first."""
    length: Tensor
    """Moves from the source, [S]."""
    forward: Tensor
    """Allowed actions [S, A + 1] bool, the stop last."""
    child: Tensor
    """Place of the object that each move makes, [S, A] int64; -1 where it is not allowed."""
    backward: Tensor
    """Moves that may have been the last, [S, A] bool."""
    merged: Tensor
    """For each move the one that stands for it, [S, A] int64."""


def graph_of(kernel: Composed) -> Graph:
    """The graph of a kernel whose objects can be listed.

    Raises:
        NotImplementedError, ValueError: they cannot.
    """
    states = kernel.enumerate_states()
    forward = kernel.forward_mask(states)
    moves = kernel.num_moves
    child = torch.full((len(states), moves), -1, dtype=torch.int64, device=states.device)
    for action in range(moves):
        allowed = forward[:, action]
        made = kernel.move(states[allowed], torch.full((int(allowed.sum()),), action, device=states.device))
        child[allowed, action] = kernel.state_index(made)
    merged = kernel.merged(states)
    if merged is None:
        merged = torch.arange(moves, device=states.device).expand(len(states), moves)
    return Graph(states, kernel.length(states), forward, child, kernel.backward_mask(states), merged)


def terminating_distribution(graph: Graph, log_prob: Tensor) -> Tensor:
    """P_T [S] float64: how likely a policy finishes each object, by pushing probability along the graph.

    Args:
        graph: of the kernel.
        log_prob: of the actions in every object, [S, A + 1]; what is not allowed does not count.
    """
    prob = torch.where(graph.forward, log_prob.double().exp(), 0.0)
    mass = torch.zeros(len(graph.states), dtype=torch.float64, device=log_prob.device)
    mass[0] = 1.0
    for length in range(int(graph.length.max())):
        here = graph.length == length
        flow = mass[here, None] * prob[here, :-1]
        to, allowed = graph.child[here], graph.forward[here, :-1]
        mass = mass.index_add(0, to[allowed], flow[allowed])
    return mass * prob[:, -1]


def uniform_backward_flows(graph: Graph, log_reward: Tensor) -> tuple[Tensor, Tensor]:
    """The only flows for which the way back is uniform: log F [S], and the policy's log-probabilities [S, A + 1].

        F(s) = R(s) + sum over children c of F(c) / |parents(c)|,   P_F(c|s) = F(c) / (|parents(c)| F(s))

    so that log F of the source is log Z. Of moves that make the same object, the one that stands for them has it all.

    Args:
        graph: of the kernel.
        log_reward: log R [S]; what cannot be finished does not count.
    """
    size, moves = graph.child.shape
    parents = graph.backward.sum(1).clamp(min=1).double().log()
    log_flow = log_reward.double().masked_fill(~graph.forward[:, -1], -torch.inf)
    own = graph.merged == torch.arange(moves, device=log_reward.device)
    edges = torch.full((size, moves), -torch.inf, dtype=torch.float64, device=log_reward.device)
    stop = log_flow.clone()
    for length in range(int(graph.length.max()) - 1, -1, -1):
        here = graph.length == length
        to = graph.child[here].clamp(min=0)
        counts = graph.forward[here, :-1] & own[here]
        edges[here] = torch.where(counts, log_flow[to] - parents[to], -torch.inf)
        log_flow[here] = torch.cat((edges[here], stop[here, None]), 1).logsumexp(1)
    return log_flow, torch.cat((edges, stop[:, None]), 1) - log_flow[:, None]


def total_variation(one: Tensor, other: Tensor) -> float:
    """Half the sum of absolute differences of two distributions [S], in [0, 1]."""
    return float((one - other).abs().sum() / 2)
