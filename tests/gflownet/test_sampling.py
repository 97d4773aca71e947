"""Trajectories: sampled and exact distributions agree, ways back, what exploration may not touch, broken kernels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from rlsuite.gflownet import graph_of, terminating_distribution, uniform_backward_flows
from rlsuite.gflownet.sampling import (
    backward_log_probs,
    forward_log_probs,
    masked_choice,
    sample_backward,
    sample_forward,
)
from rlsuite_envs.gflownet.bag import Bag, BagParams
from rlsuite_envs.gflownet.hyper_grid import HyperGrid, HyperGridParams

torch.set_num_threads(1)


def grid(**constants: Any) -> HyperGrid:
    return HyperGrid(HyperGridParams(**constants), dtype=torch.float64)


def table(kernel: Any, log_prob: Tensor) -> Any:
    """A policy that looks its logits up."""
    return lambda parts: log_prob[kernel.state_index(parts)]


@pytest.mark.parametrize(
    "kernel", [grid(), grid(border="ends"), Bag(BagParams(letters=4, size=5, group=3), dtype=torch.float64)]
)
def test_samples_agree_with_the_exact_distribution(kernel: Any) -> None:
    """By Pearson's test of 20,000 samples."""
    graph = graph_of(kernel)
    log_prob = uniform_backward_flows(graph, kernel.log_reward(graph.states))[1]
    episodes = sample_forward(kernel, table(kernel, log_prob), 20_000, torch.Generator().manual_seed(0))
    ends = kernel.state_index(episodes.last("parts"))
    found = torch.bincount(ends, minlength=len(graph.states)).double()
    exact = 20_000 * terminating_distribution(graph, log_prob)
    possible = exact > 0
    assert not found[~possible].any()
    assert stats.chisquare(found[possible].numpy(), exact[possible].numpy(), sum_check=False).pvalue > 1e-3
    assert (episodes.last("action") == kernel.num_moves).all()
    assert (episodes.length == kernel.length(episodes.last("parts")) + 1).all()


def test_exploration_changes_the_draws_and_not_the_probabilities() -> None:
    kernel = grid(height=4)
    graph = graph_of(kernel)
    log_prob = uniform_backward_flows(graph, kernel.log_reward(graph.states))[1]
    policy = table(kernel, log_prob)
    for epsilon in (0.0, 0.5, 1.0):
        episodes = sample_forward(kernel, policy, 4_000, torch.Generator().manual_seed(0), epsilon=epsilon)
        first = torch.bincount(episodes["action"][:, 0], minlength=3).double() / 4_000
        plain = log_prob[0].exp()
        assert torch.allclose(first, (1 - epsilon) * plain + epsilon / 3, atol=0.03)
        parts, action = episodes["parts"][episodes.valid], episodes["action"][episodes.valid]
        assert torch.allclose(
            forward_log_probs(kernel, policy(parts), parts, action), log_prob[kernel.state_index(parts), action]
        )


def test_ways_back_end_at_the_source_and_are_uniform_over_them() -> None:
    """To the cell (2, 1) three ways lead; uniform parents take them with 1/4, 1/4 and 1/2."""
    kernel = grid(height=4)
    objects = torch.tensor([[2, 1]]).expand(8_000, -1)
    episodes = sample_backward(kernel, None, objects, torch.Generator().manual_seed(0))
    ways = {}
    for row in episodes["action"].tolist():
        ways[tuple(row)] = ways.get(tuple(row), 0) + 1 / 8_000
    expected = {(0, 0, 1, 2): 0.5, (0, 1, 0, 2): 0.25, (1, 0, 0, 2): 0.25}
    assert ways == pytest.approx(expected, abs=0.02)
    child, move = episodes["parts"][:, 1:].flatten(0, 1), episodes["action"][:, :-1].flatten()
    log_pb = backward_log_probs(kernel, None, child, move).reshape(8_000, 3).sum(1)
    probable = torch.tensor([expected[tuple(row)] for row in episodes["action"].tolist()], dtype=torch.float64)
    assert torch.allclose(log_pb.exp(), probable)


def test_a_learned_way_back_has_the_probabilities_it_is_drawn_with() -> None:
    kernel = grid(height=4)
    weights = torch.tensor([1.0, 0.0], dtype=torch.float64)
    objects = torch.tensor([[1, 1]]).expand(6_000, -1)
    episodes = sample_backward(
        kernel, lambda parts: weights.expand(len(parts), -1), objects, torch.Generator().manual_seed(0)
    )
    share = float((episodes["action"][:, 1] == 0).double().mean())
    assert share == pytest.approx(float(weights.softmax(0)[0]), abs=0.02)
    logits = weights.expand(2, -1)
    found = backward_log_probs(kernel, logits, torch.tensor([[1, 1], [0, 2]]), torch.tensor([0, 1]))
    assert found.tolist() == pytest.approx([float(weights.log_softmax(0)[0]), 0.0])


class Twice(Bag):
    """A bag to which both of the first two letters add the first one."""

    def move(self, parts: Tensor, action: Tensor) -> Tensor:
        return super().move(parts, torch.where(action == 1, 0, action))

    def backward_mask(self, parts: Tensor) -> Tensor:
        return super().backward_mask(parts) & (torch.arange(self.num_moves) != 1)

    def merged(self, parts: Tensor) -> Tensor:
        return torch.tensor([0, 0, *range(2, self.num_moves)]).expand(len(parts), -1)


def test_two_moves_to_one_object_are_one_edge() -> None:
    kernel = Twice(BagParams(letters=4, size=5, group=3), dtype=torch.float64)
    parts = kernel.source[None].expand(5, -1)
    logits = torch.tensor([0.3, -0.2, 1.0, 0.1, 9.0], dtype=torch.float64).expand(5, -1).clone().requires_grad_()
    found = forward_log_probs(kernel, logits, parts, torch.tensor([0, 1, 2, 3, 0]))
    prob = logits[0, :4].detach().softmax(0)
    assert found.exp().tolist() == pytest.approx(
        [float(x) for x in (prob[:2].sum(), prob[:2].sum(), prob[2], prob[3], prob[:2].sum())]
    )
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None and bool(logits.grad.isfinite().all())
    made = kernel.move(parts[:2], torch.tensor([0, 1]))
    assert backward_log_probs(kernel, torch.zeros(2, 4, dtype=torch.float64), made, torch.tensor([0, 1])).tolist() == [
        0.0,
        0.0,
    ]


def test_what_is_broken_is_named() -> None:
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(ValueError, match="row 1"):
        masked_choice(torch.zeros(2, 2), torch.tensor([[True, False], [False, False]]), generator)
    with pytest.raises(ValueError, match="epsilon is 2"):
        masked_choice(torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool), generator, epsilon=2)
    bag = Bag(BagParams(letters=4, size=5, group=3))
    with pytest.raises(ValueError, match=r"\[1, 0, 0, 0\] cannot be finished"):
        sample_backward(bag, None, torch.tensor([[1, 0, 0, 0]]), generator)

    class Endless(HyperGrid):
        def move(self, parts: Tensor, action: Tensor) -> Tensor:
            return parts.clone()

    never = torch.tensor([0.0, 0.0, -1e9])
    with pytest.raises(ValueError, match="unfinished after 15 moves"):
        sample_forward(Endless(), lambda parts: never.expand(len(parts), -1), 2, generator)

    class Lost(HyperGrid):
        def unmove(self, parts: Tensor, action: Tensor) -> Tensor:
            return parts.clone()

    with pytest.raises(ValueError, match="does not end at the source"):
        sample_backward(Lost(), None, torch.tensor([[1, 2]]), generator)


def test_what_is_not_allowed_is_never_drawn() -> None:
    mask = torch.tensor([[True, False, True]]).expand(50_000, -1)
    logits = torch.tensor([[-40.0, 60.0, 0.0]]).expand(50_000, -1)
    drawn = masked_choice(logits, mask, torch.Generator().manual_seed(0), epsilon=0.3)
    assert set(drawn.tolist()) == {0, 2}
