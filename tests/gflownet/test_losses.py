"""Losses of GFlowNets: zero at the exact flows and nowhere else, tabular policies reach the target, order by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rlsuite.gflownet import (
    Graph,
    backward_kl,
    detailed_balance,
    flow_matching,
    graph_of,
    log_variance,
    modified_detailed_balance,
    order_loss,
    pareto_labels,
    sub_trajectory_balance,
    terminating_distribution,
    total_variation,
    trajectory_balance,
    uniform_backward_flows,
)
from rlsuite_envs.gflownet.hyper_grid import HyperGrid, HyperGridParams

torch.set_num_threads(1)


def grid(**constants: Any) -> HyperGrid:
    return HyperGrid(HyperGridParams(**constants), dtype=torch.float64)


class Walks:
    """Trajectories of a policy as numbers of states and actions, [E, T] each."""

    def __init__(self, graph: Graph, log_prob: Tensor, count: int, seed: int = 0, epsilon: float = 0.0) -> None:
        rng = torch.Generator().manual_seed(seed)
        moves = graph.child.shape[1]
        allowed = graph.forward.double()
        prob = (1 - epsilon) * torch.where(graph.forward, log_prob.exp(), 0.0) + epsilon * allowed / allowed.sum(
            1, True
        )
        state, over = torch.zeros(count, dtype=torch.int64), torch.zeros(count, dtype=torch.bool)
        states, actions, valid = [], [], []
        while not over.all():
            action = torch.multinomial(prob[state], 1, generator=rng)[:, 0]
            states.append(state)
            actions.append(torch.where(over, 0, action))
            valid.append(~over)
            stop = action == moves
            state = torch.where(over | stop, state, graph.child[state, action.clamp(max=moves - 1)])
            over = over | stop
        self.states, self.actions, self.valid = (torch.stack(x, 1) for x in (states, actions, valid))
        self.stops = self.actions == moves
        self.ends = state
        parents = graph.backward.sum(1).double()
        after = graph.child[self.states, self.actions.clamp(max=moves - 1)].clamp(min=0)
        self.log_pb = torch.where(self.stops | ~self.valid, 0.0, -parents[after].clamp(min=1).log())

    def log_pf(self, log_prob: Tensor) -> Tensor:
        return log_prob[self.states, self.actions]


def loss_of(name: str, walks: Walks, graph: Graph, log_prob: Tensor, log_flow: Tensor, log_reward: Tensor) -> Tensor:
    """Each loss of the same trajectories; log Z is the source's log flow."""
    log_pf, rewards, valid = walks.log_pf(log_prob), log_reward[walks.ends], walks.valid
    flows = log_flow[walks.states]
    if name == "tb":
        return trajectory_balance(log_flow[0], log_pf, walks.log_pb, rewards, valid).square().mean()
    if name == "vargrad":
        return log_variance(log_pf, walks.log_pb, rewards, valid)
    if name == "db":
        return detailed_balance(flows, log_pf, walks.log_pb, rewards, valid).square().sum() / valid.sum()
    if name == "mdb":
        stop = log_prob[walks.states, -1]
        residual = modified_detailed_balance(log_reward[walks.states], log_pf, walks.log_pb, stop, valid)
        return residual.square().sum() / valid.sum()
    weighting: Any = name.removeprefix("subtb-")
    return sub_trajectory_balance(flows, log_pf, walks.log_pb, rewards, valid, weighting=weighting)


LOSSES = ("tb", "vargrad", "db", "mdb", "subtb-within", "subtb-across")


@pytest.mark.parametrize("border", ["masked", "ends"])
def test_uniform_backward_flows_sample_the_target(border: str) -> None:
    for constants in ({"dims": 2, "height": 8}, {"dims": 3, "height": 4, "r0": 1e-3}):
        kernel = grid(border=border, **constants)
        graph = graph_of(kernel)
        log_flow, log_prob = uniform_backward_flows(graph, kernel.log_reward(graph.states))
        assert float(log_flow[0]) == pytest.approx(float(kernel.true_log_partition()), abs=1e-12)
        assert torch.where(graph.forward, log_prob.exp(), 0).sum(1).numpy() == pytest.approx(1.0, abs=1e-12)
        found = terminating_distribution(graph, log_prob)
        assert total_variation(found, kernel.true_distribution()) < 1e-12


@pytest.mark.parametrize(("dims", "r0", "l1"), [(2, 0.1, 1.39996), (2, 1e-3, 1.64152), (4, 0.1, 1.60030)])
def test_the_uniform_policy_is_as_far_off_as_published(dims: int, r0: float, l1: float) -> None:
    kernel = grid(dims=dims, r0=r0)
    graph = graph_of(kernel)
    uniform = -graph.forward.sum(1, keepdim=True).double().log().expand(-1, dims + 1)
    found = terminating_distribution(graph, uniform)
    assert float(found.sum()) == pytest.approx(1.0, abs=1e-12)
    assert 2 * total_variation(found, kernel.true_distribution()) == pytest.approx(l1, abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_zero_at_the_exact_flows_and_only_there(name: str) -> None:
    kernel = grid(dims=2, height=5)
    graph = graph_of(kernel)
    log_reward = kernel.log_reward(graph.states)
    log_flow, log_prob = uniform_backward_flows(graph, log_reward)
    walks = Walks(graph, log_prob, 40, epsilon=0.5)
    assert float(loss_of(name, walks, graph, log_prob, log_flow, log_reward)) == pytest.approx(0.0, abs=1e-20)
    noise = torch.rand(log_prob.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    other = torch.where(graph.forward, log_prob + noise, -torch.inf)
    assert float(loss_of(name, walks, graph, other.log_softmax(1), log_flow, log_reward)) > 1e-4


def test_flow_matching_is_zero_at_the_exact_flows() -> None:
    kernel = grid(dims=2, height=5)
    graph = graph_of(kernel)
    log_flow, log_prob = uniform_backward_flows(graph, kernel.log_reward(graph.states))
    edges = (log_flow[:, None] + log_prob)[:, :-1]
    into = torch.full_like(log_flow, -torch.inf)
    for state in range(len(log_flow)):
        arrives = graph.child == state
        if arrives.any():
            into[state] = edges[arrives].logsumexp(0)
    counts = torch.arange(len(log_flow)) > 0
    assert float(flow_matching(into, log_flow, counts)) == pytest.approx(0.0, abs=1e-20)
    assert float(flow_matching(into + 0.5, log_flow, counts)) == pytest.approx(0.25)


def test_a_shift_of_log_z_moves_trajectory_balance_by_it_and_not_its_variance() -> None:
    kernel = grid(dims=2, height=4)
    graph = graph_of(kernel)
    log_reward = kernel.log_reward(graph.states)
    log_flow, log_prob = uniform_backward_flows(graph, log_reward)
    walks = Walks(graph, log_prob, 20)
    given = walks.log_pf(log_prob), walks.log_pb, log_reward[walks.ends], walks.valid
    residual = trajectory_balance(log_flow[0] + 0.7, *given)
    assert residual.numpy() == pytest.approx(0.7, abs=1e-12)
    shifted = given[0], given[1], given[2] + 3.0, given[3]
    assert float(log_variance(*shifted)) == pytest.approx(0.0, abs=1e-20)


def test_padding_never_counts() -> None:
    kernel = grid(dims=2, height=4)
    graph = graph_of(kernel)
    log_reward = kernel.log_reward(graph.states)
    log_flow, log_prob = uniform_backward_flows(graph, log_reward)
    noisy = (log_prob + torch.randn(log_prob.shape, generator=torch.Generator().manual_seed(1))).log_softmax(1)
    walks = Walks(graph, log_prob, 30)
    for name in LOSSES:
        before = float(loss_of(name, walks, graph, noisy, log_flow, log_reward))
        short = Walks(graph, log_prob, 30)
        short.actions = torch.where(short.valid, short.actions, 1)
        short.log_pb = torch.where(short.valid, short.log_pb, 9.0)
        if name != "mdb":  # which reads the stop's probability in padded states, and multiplies it by nothing
            short.states = torch.where(short.valid, short.states, 3)
        assert float(loss_of(name, short, graph, noisy, log_flow, log_reward)) == pytest.approx(before, rel=1e-12), name


def test_sub_trajectories_go_from_detailed_to_trajectory_balance() -> None:
    kernel = grid(dims=2, height=4)
    graph = graph_of(kernel)
    log_reward = kernel.log_reward(graph.states)
    log_flow, log_prob = uniform_backward_flows(graph, log_reward)
    rng = torch.Generator().manual_seed(0)
    noisy = (log_prob + torch.randn(log_prob.shape, generator=rng)).log_softmax(1)
    flows = log_flow + torch.randn(log_flow.shape, generator=rng)
    walks = Walks(graph, log_prob, 30)
    given = flows[walks.states], walks.log_pf(noisy), walks.log_pb, log_reward[walks.ends], walks.valid
    steps = detailed_balance(*given).square()
    mean = (steps.sum(1) / walks.valid.sum(1)).mean()
    assert float(sub_trajectory_balance(*given, decay=1e-9)) == pytest.approx(float(mean), rel=1e-6)
    assert float(sub_trajectory_balance(*given, decay=1e-9, weighting="across")) == pytest.approx(
        float(steps.sum() / walks.valid.sum()), rel=1e-6
    )
    whole = trajectory_balance(flows[0], *given[1:]).square().mean()
    assert float(sub_trajectory_balance(*given, decay=1e9)) == pytest.approx(float(whole), rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_a_table_learns_the_target(name: str) -> None:
    """8 x 8, uniform way back: total variation of the exact P_T at most 1e-3, from a uniform policy at 0.7."""
    kernel = grid()
    graph = graph_of(kernel)
    log_reward, target = kernel.log_reward(graph.states), kernel.true_distribution()
    logits = torch.zeros(graph.forward.shape, dtype=torch.float64, requires_grad=True)
    log_flow = torch.zeros(len(graph.states), dtype=torch.float64, requires_grad=True)
    fair = uniform_backward_flows(graph, torch.zeros_like(log_reward))[1]  # every object alike: off the policy
    walks = Walks(graph, fair, 1_000)
    assert len({*zip(walks.states[walks.valid].tolist(), walks.actions[walks.valid].tolist(), strict=True)}) == int(
        graph.forward.sum()
    )
    optimizer = torch.optim.LBFGS([logits, log_flow], max_iter=600, tolerance_change=0, line_search_fn="strong_wolfe")

    def policy() -> Tensor:
        return logits.masked_fill(~graph.forward, -torch.inf).log_softmax(1)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(name, walks, graph, policy(), log_flow, log_reward)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    log_prob = policy()
    found = terminating_distribution(graph, log_prob.detach())
    assert total_variation(found, target) <= 1e-3
    if name in ("tb", "db", "subtb-within"):
        assert float(log_flow[0].detach()) == pytest.approx(float(kernel.true_log_partition()), abs=1e-3)


# Order ---------------------------------------------------------------------------------------------------------------


def softmax_minus_label(mode: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The gradient by hand."""

    def pareto(score: Tensor, u: Tensor) -> Tensor:
        best = [not any(bool((v >= w).all() and (v > w).any()) for v in u) for w in u]
        label = torch.tensor(best, dtype=torch.float64) / sum(best)
        return score.softmax(0) - label

    def pairs(score: Tensor, u: Tensor) -> Tensor:
        count, total = 0, torch.zeros_like(score)
        for i in range(len(u)):
            for j in range(i + 1, len(u)):
                label = 0.5 if u[i] == u[j] else float(u[i] > u[j])
                gap = float(score[i] - score[j])
                slope = 1 / (1 + math.exp(-gap)) - label
                total[i] += slope
                total[j] -= slope
                count += 1
        return total / count

    return pareto if mode == "pareto" else pairs


@pytest.mark.parametrize("mode", ["pareto", "all-pairs"])
def test_the_gradient_is_softmax_minus_label_and_a_constant_gets_none(mode: Any) -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        shape = (7, 2) if mode == "pareto" else (7,)
        u = torch.tensor(rng.integers(0, 3, shape).astype(float))
        score = torch.tensor(rng.normal(size=7), requires_grad=True)
        log_z = torch.zeros((), dtype=torch.float64, requires_grad=True)
        order_loss(log_z + score, u, mode).backward()  # type: ignore[no-untyped-call]
        assert score.grad is not None and log_z.grad is not None
        assert score.grad.numpy() == pytest.approx(softmax_minus_label(mode)(score.detach(), u).numpy(), abs=1e-12)
        assert float(log_z.grad) == pytest.approx(0.0, abs=1e-12)


def test_the_loss_is_a_divergence() -> None:
    """Zero where the model is the label; log 2 is taken off a tied pair, which else could not reach 0."""
    assert float(order_loss(torch.zeros(4), torch.ones(4), "all-pairs")) == pytest.approx(0.0, abs=1e-7)
    assert float(order_loss(torch.tensor([50.0, 0.0]), torch.tensor([1.0, 0.0]), "pairs")) < 1e-6
    tied = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    assert float(order_loss(torch.tensor([0.0, 0.0, -60.0]), tied, "pareto")) == pytest.approx(0.0, abs=1e-6)
    assert pareto_labels(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.5], [0.0, 0.0]])).tolist() == pytest.approx(
        [1 / 3, 1 / 3, 1 / 3, 0.0]
    )


@pytest.mark.parametrize(("n", "gamma"), [(3, 8.0), (5, 100.0)])
def test_a_chain_ends_at_the_closed_form(n: int, gamma: float) -> None:
    """Of neighbours in an ordered chain, R^ in [1/gamma, 1]: R^_i = gamma^(i/n - 1), loss n log(1 + gamma^(-1/n))."""
    score = torch.linspace(-math.log(gamma), 0, n + 1, dtype=torch.float64) * 0.5
    score = score.clone().requires_grad_()
    u = torch.arange(n + 1, dtype=torch.float64)

    def loss() -> Tensor:
        return torch.stack([order_loss(score[i : i + 2], u[i : i + 2], "all-pairs") for i in range(n)]).sum()

    optimizer = torch.optim.Adam([score], lr=0.05)
    for step in range(1500):
        optimizer.param_groups[0]["lr"] = 0.05 * 0.995**step
        optimizer.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            score.clamp_(-math.log(gamma), 0.0)
    expected = [(i / n - 1) * math.log(gamma) for i in range(n + 1)]
    assert score.detach().tolist() == pytest.approx(expected, abs=1e-3)
    assert float(loss().detach()) == pytest.approx(n * math.log(1 + gamma ** (-1 / n)), rel=1e-6)


@given(st.lists(st.integers(0, 4), min_size=2, max_size=12), st.randoms())
@settings(max_examples=40, deadline=None)
def test_any_order_gives_a_finite_loss_of_at_least_zero(values: list[int], random: Any) -> None:
    score = torch.tensor([random.uniform(-30, 30) for _ in values], dtype=torch.float64)
    u = torch.tensor(values, dtype=torch.float64)
    for mode in ("pairs", "all-pairs", "pareto"):
        found = float(order_loss(score, u, mode, generator=torch.Generator().manual_seed(0)))  # type: ignore[arg-type]
        assert math.isfinite(found) and found >= -1e-9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: order_loss(torch.zeros(3), torch.zeros(3), "best"), "unknown"),  # type: ignore[arg-type]
        (lambda: order_loss(torch.zeros(3), torch.zeros(3, 2), "pairs"), "one objective, not 2"),
        (lambda: order_loss(torch.zeros(3), torch.zeros(4), "pairs"), "one row for each"),
        (lambda: sub_trajectory_balance(*[torch.zeros(1, 1)] * 5, decay=0.0), "decay=0.0"),  # type: ignore[misc]
        (lambda: sub_trajectory_balance(*[torch.zeros(1, 1)] * 5, weighting="x"), "weighting='x'"),  # type: ignore
    ],
)
def test_bad_arguments_are_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_backward_divergence_from_uniform() -> None:
    mask = torch.tensor([[True, True, False], [True, False, False], [False, False, False]])
    log_pb = torch.tensor([[0.75, 0.25, 9.0], [1.0, 9.0, 9.0], [9.0, 9.0, 9.0]]).log()
    expected = -0.5 * (math.log(0.75) + math.log(0.25)) - math.log(2)
    assert backward_kl(log_pb, mask).tolist() == pytest.approx([expected, 0.0, 0.0], abs=1e-7)
