"""Dynamic programming, exactly: lost sales, and any small finite problem, also tabulated from a kernel.

`lost_sales` and `lost_sales_policy` iterate on the stock on hand and the orders on their way. The rest is general:
`tabulate` turns a kernel with few states, actions and noises into arrays, `solve_average` and `solve_finite` solve
them, so that no policy, learned or written down, may do better in the kernel.

Costs and rewards are per period; averages are long-run, without discount.

Sources: Zipkin, "Old and new methods for lost-sales inventory systems", Operations Research 56(5), 2008; Xin,
"Understanding the performance of capped base-stock policies in lost-sales inventory models", Operations Research 69(1),
2021; Puterman, Markov Decision Processes, 1994, section 8.5 (relative value iteration and its bounds).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from rlsuite_envs.inventory.optimal.demand_lattice import Lattice, check_above_zero, is_discrete
from rlsuite_envs.kernel import Kernel, tree_map

__all__ = [
    "FiniteProblem",
    "best_capped_base_stock",
    "lost_sales",
    "lost_sales_policy",
    "solve_average",
    "solve_finite",
    "tabulate",
]

MOST_ENTRIES = 30_000_000
"""Largest table of values of states and orders, entries."""
MOST_SWEEPS = 20_000


class _LostSales:
    """The recurrence V(x0, x1, ..) = G(x0) + E V((x0 - d)^+ + x1, x2, .., q) on a table.

    Args:
        demand: discrete scipy.stats distribution, >= 0.
        lead_time: L >= 1: the number of axes.
        holding: h.
        penalty: p.
        most_stock: largest x0.
        most_order: largest q.
    """

    def __init__(
        self, demand: Any, lead_time: int, holding: float, penalty: float, most_stock: int, most_order: int
    ) -> None:
        self.lead_time = lead_time
        self.most_stock = most_stock
        self.most_order = most_order
        stock = np.arange(most_stock + 1)
        left = stock[:, None] - stock[None, :]
        # [x0, left]: probability that `left` units of x0 remain; 0 remain with all larger demands.
        self.remain = np.where(left >= 0, demand.pmf(left), 0.0)
        self.remain[:, 0] = demand.sf(stock - 1)
        over = self.remain @ stock
        self.cost = holding * over + penalty * (float(demand.mean()) - stock + over)
        self.shape = (most_stock + 1,) + (most_order + 1,) * (lead_time - 1)

    def expected(self, values: np.ndarray) -> np.ndarray:
        """E V(next state) for every state and order q: the state's axes, then one for q."""
        if self.lead_time == 1:
            # The order arrives at once: value[left, q] = V(left + q).
            padded = np.append(values, np.full(self.most_order, values[-1]))
            windows = np.lib.stride_tricks.sliding_window_view(padded, self.most_order + 1)
            return self.remain @ windows
        rest = values.shape[1:]
        found = np.empty((self.most_stock + 1, self.most_order + 1, *rest))
        flat = values.reshape(len(values), -1)
        for arriving in range(self.most_order + 1):
            moved = np.minimum(np.arange(self.most_stock + 1) + arriving, self.most_stock)
            # Demand meets the on-hand axis alone: a small matrix product instead of a sum over scenarios.
            found[:, arriving] = (self.remain @ flat[moved]).reshape(self.most_stock + 1, *rest)
        return found

    def iterate(self, choose: Callable[[np.ndarray], np.ndarray], tolerance: float) -> float:
        """Mean cost per period when `choose` picks from the values of all orders; exact to the tolerance."""
        own = self.cost.reshape(-1, *[1] * (self.lead_time - 1))
        values = np.zeros(self.shape)
        with threadpool_limits(1):  # more threads are ten times slower on matrices this small
            for _ in range(MOST_SWEEPS):
                new = own + choose(self.expected(values))
                low, high = (new - values).min(), (new - values).max()
                if high - low < tolerance:
                    return float((low + high) / 2)
                values = new - new.flat[0]
        raise ValueError(f"tolerance={tolerance!r} was not reached in {MOST_SWEEPS} sweeps; use a larger one.")


def lost_sales(
    demand: Any,
    lead_time: int,
    holding: float,
    penalty: float,
    *,
    most_order: int | None = None,
    tolerance: float = 1e-4,
) -> float:
    """Least mean cost per period of one store with lost sales, by relative value iteration.

    A period as in the kernel `LostSales`: order, then demand, then arrivals; state (x0, .., x_{L-1}), x0 on hand.
    With lead time 4 and Poisson(5) demand it takes half a second; every further period, about 15 times as long.

    Args:
        demand: discrete frozen scipy.stats distribution, >= 0.
        lead_time: L >= 1, periods.
        holding: h > 0 per unit left over.
        penalty: p > 0 per unit lost.
        most_order: largest order looked at; None: the mean and 3 standard deviations. Optimal orders are smaller.
        tolerance: of the cost.

    Raises:
        ValueError: a bad argument, or a table that would be too large.
    """
    level = _position_level(demand, lead_time, holding, penalty)
    if most_order is None:
        most_order = min(level, math.ceil(float(demand.mean()) + 3.0 * float(demand.std())))
    if lead_time == 1:
        most_order = level
    _check_size(lead_time, level, most_order)
    table = _LostSales(demand, lead_time, holding, penalty, level, most_order)
    return table.iterate(lambda values: values.min(-1), tolerance)


def lost_sales_policy(
    demand: Any,
    lead_time: int,
    holding: float,
    penalty: float,
    level: int,
    cap: int | None = None,
    *,
    tolerance: float = 1e-4,
) -> float:
    """Mean cost per period of ordering min(level - position, cap) whenever that is above 0, with lost sales.

    Args:
        demand: discrete frozen scipy.stats distribution, >= 0.
        lead_time: L >= 1, periods.
        holding: h > 0.
        penalty: p > 0.
        level: base-stock level S >= 0 of the position (stock and pipeline).
        cap: largest order r >= 0; None for a base-stock policy.
        tolerance: of the cost.

    Raises:
        ValueError: a bad argument, or a table that would be too large.
    """
    _position_level(demand, lead_time, holding, penalty)
    for name, value in (("level", level), ("cap", level if cap is None else cap)):
        if not isinstance(value, int) or value < 0:
            raise ValueError(f"{name}={value!r} must be an integer of at least 0.")
    # Without a cap an order replaces the last sales: beyond this quantile demand hardly ever goes.
    most_order = min(level, int(demand.isf(1e-6)) if cap is None else cap)
    _check_size(lead_time, level, most_order)
    table = _LostSales(demand, lead_time, holding, penalty, level, most_order)
    position = sum(np.ogrid[tuple(slice(n) for n in table.shape)])
    order = np.clip(level - position, 0, most_order)[..., None]
    return table.iterate(lambda values: np.take_along_axis(values, order, -1)[..., 0], tolerance)


def best_capped_base_stock(
    demand: Any, lead_time: int, holding: float, penalty: float, *, tolerance: float = 1e-4
) -> tuple[float, int, int]:
    """Cost, level and cap of the best capped base-stock policy with lost sales, by search downhill.

    The search goes to the best neighbour in level and cap until there is none better, from the level that is best
    with backlog and the cap next above mean demand.

    Raises:
        ValueError: as `lost_sales_policy`.
    """
    start = (_position_level(demand, lead_time, holding, penalty), math.ceil(float(demand.mean())) + 1)
    known: dict[tuple[int, int], float] = {}

    def cost(point: tuple[int, int]) -> float:
        if point not in known:
            known[point] = lost_sales_policy(demand, lead_time, holding, penalty, *point, tolerance=tolerance)
        return known[point]

    while True:
        near = [(start[0] + i, start[1] + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        best = min((p for p in near if min(p) >= 0), key=cost)
        if cost(best) >= cost(start):
            return cost(start), *start
        start = best


def _position_level(demand: Any, lead_time: int, holding: float, penalty: float) -> int:
    """The best level with backlog, above which the position should never go with lost sales either."""
    if not is_discrete(demand) or demand.support()[0] < 0:
        raise ValueError("demand must be a discrete distribution of at least 0, e.g. scipy.stats.poisson(5).")
    if not isinstance(lead_time, int) or lead_time < 1:
        raise ValueError(f"lead_time={lead_time!r} must be an integer of at least 1.")
    check_above_zero(holding=holding, penalty=penalty)
    return int(Lattice.of(demand).over(lead_time + 1).quantile(penalty / (penalty + holding)))


def _check_size(lead_time: int, most_stock: int, most_order: int) -> None:
    entries = (most_stock + 1) * (most_order + 1) ** lead_time
    if entries > MOST_ENTRIES:
        raise ValueError(
            f"lead_time={lead_time!r} makes a table of {entries:.1e} entries, above {MOST_ENTRIES:.0e}: use a shorter "
            "lead time or smaller demand."
        )


@dataclass(frozen=True)
class FiniteProblem:
    """A Markov decision process with S states and A actions."""

    transitions: np.ndarray
    """[A, S, S] probabilities; a row's sum below 1 is the probability of an end."""
    rewards: np.ndarray
    """[A, S] expected rewards; -inf forbids an action."""

    def __post_init__(self) -> None:
        shape = self.transitions.shape
        if self.rewards.ndim != 2 or shape != (*self.rewards.shape, self.rewards.shape[1]):
            raise ValueError(
                f"transitions have shape {shape} and rewards {self.rewards.shape}; they must be [A, S, S] and [A, S]."
            )
        sums = self.transitions.sum(2)
        if self.transitions.min() < 0 or sums.max() > 1 + 1e-9:
            raise ValueError(f"transitions must be probabilities; a row adds up to {sums.max():.6g}.")
        if np.isnan(self.rewards).any() or not np.isfinite(self.rewards).any(0).all():
            raise ValueError("rewards must be numbers, and every state needs an action whose reward is finite.")


def solve_finite(problem: FiniteProblem, horizon: int, discount: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Backward induction.

    Args:
        problem: the process.
        horizon: T >= 1 steps; nothing is earned after them.
        discount: in [0, 1].

    Returns:
        Values [T + 1, S] from step t on, and best actions [T, S].

    Raises:
        ValueError: a bad horizon or discount.
    """
    if horizon < 1:
        raise ValueError(f"horizon={horizon!r} must be at least 1.")
    if not 0 <= discount <= 1:
        raise ValueError(f"discount={discount!r} must lie in [0, 1].")
    values = np.zeros((horizon + 1, problem.rewards.shape[1]))
    actions = np.zeros((horizon, problem.rewards.shape[1]), dtype=np.int64)
    for t in reversed(range(horizon)):
        ahead = problem.rewards + discount * (problem.transitions @ values[t + 1])
        values[t], actions[t] = ahead.max(0), ahead.argmax(0)
    return values, actions


def solve_average(problem: FiniteProblem, tolerance: float = 1e-6) -> tuple[float, np.ndarray]:
    """The best mean reward per step, the same from every state, by relative value iteration.

    Args:
        problem: without ends; from every state every other can be reached by some policy (or at least one that all
            policies can reach).
        tolerance: of the mean reward.

    Returns:
        Mean reward per step and best actions [S].

    Raises:
        ValueError: a process that ends, or no convergence.
    """
    if not np.allclose(problem.transitions.sum(2), 1):
        raise ValueError("transitions must add up to 1: a process that ends has no mean reward per step.")
    values = np.zeros(problem.rewards.shape[1])
    for _ in range(MOST_SWEEPS):
        ahead = problem.rewards + problem.transitions @ values
        # Staying with probability 1/2 changes no mean, but breaks cycles that would never settle.
        change = 0.5 * (ahead.max(0) - values)
        if np.ptp(change) < tolerance:
            return float(change.max() + change.min()), ahead.argmax(0)
        values = values + change
        values -= values[0]
    raise ValueError(f"tolerance={tolerance!r} was not reached in {MOST_SWEEPS} sweeps: is every state reachable?")


def tabulate(
    kernel: Kernel[Any, Any, Any],
    states: Any,
    actions: Tensor,
    noises: Any,
    probabilities: Tensor,
    key: Callable[[Any], Tensor],
    allowed: Tensor | None = None,
) -> FiniteProblem:
    """A kernel's step as arrays, through its own `post_decision` and `transition`.

    Args:
        kernel: a kernel with a scalar reward.
        states: its state with one row for each of the S states.
        actions: [A, ...].
        noises: its noise with one row for each of N values.
        probabilities: [N] of the noises, which must not depend on state and action.
        key: state -> [B, D], numbers that tell the states apart and, after a step, find the next one.
        allowed: [S, A] bool; other actions are forbidden in the state, and not simulated. None: all are allowed.

    Raises:
        ValueError: two states of the same key, or a step that leaves the states.
    """
    keys = key(states).to(torch.float64)
    num_states, num_noises = len(keys), len(probabilities)
    distinct, order = keys.unique(dim=0, return_inverse=True)
    if len(distinct) != num_states:
        raise ValueError(f"key tells only {len(distinct)} of {num_states} states apart.")
    place = torch.empty(num_states, dtype=torch.int64).index_copy_(0, order, torch.arange(num_states))
    transitions = torch.zeros(len(actions), num_states, num_states, dtype=torch.float64)
    rewards = torch.full((len(actions), num_states), -math.inf, dtype=torch.float64)
    for a, action in enumerate(actions):
        rows = torch.arange(num_states) if allowed is None else allowed[:, a].nonzero().squeeze(1)
        here = rows.repeat_interleave(num_noises)
        drawn = torch.arange(num_noises).repeat(len(rows))
        start = tree_map(lambda x, at=here: x[at], states)
        noise = tree_map(lambda x, at=drawn: x[at], noises)
        weights = probabilities.to(torch.float64)[drawn]
        after, reward, ended = kernel.advance(start, action.expand(len(here), *action.shape), noise)
        rewards[a, rows] = (weights * reward.to(torch.float64)).reshape(-1, num_noises).sum(1)
        _, index = torch.cat((distinct, key(after).to(torch.float64))).unique(dim=0, return_inverse=True)
        known = torch.full((int(index.max()) + 1,), -1).index_copy_(0, index[:num_states], place)
        there = known[index[num_states:]]
        if (there[~ended] < 0).any():
            raise ValueError(f"Action {action.tolist()} leads out of the given states.")
        transitions[a].index_put_((here[~ended], there[~ended]), weights[~ended], accumulate=True)
        if allowed is not None:
            forbidden = (~allowed[:, a]).nonzero().squeeze(1)
            transitions[a, forbidden, forbidden] = 1.0  # rows must be distributions; nobody goes there
    return FiniteProblem(transitions.numpy(), rewards.numpy())
