"""The reference for PDPPO's plants: a rolling-horizon mixed-integer plan, solved by HiGHS through SciPy.

A binary per machine, item and period has a hopeless relaxation, which splits machines among items for ever and pays
each change-over once. So the unknowns are whole schedules of an item. The next periods are cut into blocks; a schedule
of item i is nothing, one run on a machine that is set up for i and goes on with it, or one run that starts later or
elsewhere, with a change-over. The plan takes one schedule s per item and uses no machine twice:

    min sum_s c_s y_s    sum_{s of i} y_s = 1 for every i,    sum_s a_{s,m,b} y_s <= 1 for every m, b,    y binary,

with c_s the expected discounted cost of change-overs, lost sales and holding: exact under the demand's distribution, as
an item's stock depends on its own schedule only. Beyond the blocks an item costs W_i(stock, machine), what it would
cost for ever if it could rent any machine m at p_m per period; W solves, n running over none, m and all others,

    W_i(s, m) = min_n  C_n [n new] + p_n + E[ls lost + holding + g W_i(s', n)],

and p are the duals of the machines in a linear programme over regular cycles (r of every n periods) at mean demand.

A machine that no schedule uses goes on with its item, which costs no more than holding. What the plan is not: its
schedules are fixed (it does not foresee that it will react to demand), hold one run per item within the blocks, and
compete for machines within the blocks only. A strong policy, then, neither an optimum nor a bound.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csc_array

from rlsuite.inventory.plants.plant_rules import Floats, Ints, PlantRule

__all__ = ["PlannedPlant", "Schedules"]


@dataclass(frozen=True)
class Schedules:
    """The N candidate schedules of a plan; those that start nothing new come first."""

    cost: Floats
    """Expected discounted cost [N], including the item's cost after the last block."""
    item: Ints
    """Item [N] of each schedule, 0..I-1."""
    used: NDArray[np.bool_]
    """Whether machine m makes the item in block b, [N, M, B] bool."""
    kept: int
    """Number of schedules, the first ones, that do nothing or go on with a set-up."""

    def keeping(self) -> Ints:
        """The cheapest choice [I] that starts nothing new; always feasible, as items share no set-up."""
        order = np.argsort(self.cost[: self.kept], kind="stable")
        return order[np.unique(self.item[order], return_index=True)[1]]


class PlannedPlant(PlantRule):
    """Carry out the first periods of a plan, then plan anew.

    Args:
        env: a plant whose agents see the set-ups; its machines' output and losses are taken as whole units.
        blocks: lengths, in periods, of the blocks at whose starts machines may change over; each at least 1.
        replan: periods carried out of each plan, in 1..sum(blocks).
        discount: weight of the next period's cost against this one's, in (0, 1): a change-over has about
            1 / (1 - discount) periods to pay.
        time_limit: seconds of one solution, above 0; the best plan found until then counts.
        gap: relative gap at which a plan is good enough, in [0, 1).

    Raises:
        ValueError: a bad value; names it.
    """

    def __init__(
        self,
        env: Any,
        *,
        blocks: tuple[int, ...] = (1, 1, 1, 1, 2, 2),
        replan: int = 1,
        discount: float = 0.98,
        time_limit: float = 1.0,
        gap: float = 1e-3,
    ) -> None:
        super().__init__(env)
        capacity = self.kernel.params.capacity
        if self.kernel.phases > 1 or not isinstance(capacity, int):
            raise ValueError(
                "plans are for demand that is alike in all periods and one capacity for all items; leave seasons and "
                f"history out and give capacity={capacity!r} as one number, or use the other rules"
            )
        self.capacity = capacity
        if not blocks or min(blocks) < 1:
            raise ValueError(f"blocks={blocks!r} must be one or more lengths of at least 1, such as (1, 1, 2)")
        if not 1 <= replan <= sum(blocks):
            raise ValueError(f"replan={replan} must be in 1..{sum(blocks)}, the sum of blocks; replan sooner")
        if not 0 < discount < 1:
            raise ValueError(f"discount={discount} must be in (0, 1); 0.98 looks about 50 periods ahead")
        if time_limit <= 0:
            raise ValueError(f"time_limit={time_limit} must be above 0 seconds; 1 is plenty")
        if not 0 <= gap < 1:
            raise ValueError(f"gap={gap} must be in [0, 1); 0 asks for the optimum")
        self.replan = replan
        self.discount = discount
        self.time_limit = time_limit
        self.gap = gap
        self.blocks = np.array(blocks)
        self.bounds = np.cumsum([0, *blocks])
        self.horizon = sum(blocks)
        self._tabulate()
        self.prices = self._prices()
        self.worth = self._worth()
        self._price_runs()

    def _tabulate(self) -> None:
        """Tabulate cost and next stock per item for stock after production (0..capacity + the largest output)."""
        p = self.kernel.params
        self.made, self.spoiled = (np.rint(table.T).astype(int) for table in (self.production, self.losses))
        self.can = self.made > 0  # [I, M], like all tables from here on
        self.change = self.costs.T
        table = np.asarray(self.kernel.demand_table, dtype=float)
        chance = np.broadcast_to(table, (self.items, table.shape[1]))
        self.mean = np.broadcast_to(self.mean_demand, self.items)
        self.holding = np.broadcast_to(np.asarray(p.holding_costs, dtype=float), self.items)
        post, demand = np.arange(self.capacity + self.made.max() + 1), np.arange(table.shape[1])
        left = post[:, None] - demand
        after = np.clip(left, 0, self.capacity)
        lost = np.maximum(-left, 0) @ chance.T
        self.cost = (lost * self.lost_sales_costs + after @ chance.T * self.holding).T
        self.becomes = np.zeros((self.items, len(post), self.capacity + 1))
        for value, probability in enumerate(chance.T):
            self.becomes[:, post, after[:, value]] += probability[:, None]
        # Stock after production, going on or after a change-over. (A loss above the output would take from stock;
        # such a run never pays, so it is not worth a negative axis.)
        stock = np.arange(self.capacity + 1)
        self.on_at = self.made[:, :, None] + stock
        self.new_at = np.maximum(self.made - self.spoiled, 0)[:, :, None] + stock

    def _before(self, values: Floats) -> Floats:
        """Expected cost [I, K, post] of stock after production, given that [I, K, S] of the next stock."""
        ahead: Floats = self.cost[:, None] + self.discount * (values @ self.becomes.transpose(0, 2, 1))
        return ahead

    def _prices(self) -> Floats:
        """Shadow price of a period of each machine [M]: duals of the best mixture of regular cycles at mean demand."""
        ever = round(1 / (1 - self.discount)) + 1  # a run that fills so long a cycle never ends
        run, cycle = np.array([*range(13), ever])[:, None], np.array([*range(1, 41), ever])
        made, spoiled, change = (t[:, :, None, None] for t in (self.made, self.spoiled, self.change))
        loss, mean, holding = (t[:, None, None, None] for t in (self.lost_sales_costs, self.mean, self.holding))
        peak = np.minimum(run * made, self.capacity)
        sold = np.minimum(np.minimum(run * made - spoiled, peak + run * mean), cycle * mean)
        rate = (change * (run > 0) + loss * (cycle * mean - np.maximum(sold, 0))) / cycle + holding * peak / 2
        # Runs of length 0 mean an item that is never made, which any machine can do.
        possible = (self.can[:, :, None, None] | (run == 0)) & (run <= cycle)
        item, machine, r, n = np.nonzero(possible)
        column = np.arange(len(item))
        share = csc_array(((run / cycle)[r, n], (machine, column)), shape=(self.machines, len(item)))
        one = csc_array((np.ones(len(item)), (item, column)), shape=(self.items, len(item)))
        found = linprog(rate[possible], share, np.ones(self.machines), one, np.ones(self.items))
        return np.maximum(-found.ineqlin.marginals, 0.0)

    def _worth(self) -> Floats:
        """W [I, 1 + M, S]: cost of an item beyond the plan, with no machine first, then with each of them."""
        worth = np.zeros((self.items, self.machines + 1, self.capacity + 1))
        can, rent = self.can[:, :, None], self.prices[:, None]
        for _ in range(min(int(3 / (1 - self.discount)), 1000)):  # the rest is alike for all stocks
            ahead = self._before(worth)
            on = np.where(can, rent + np.take_along_axis(ahead[:, 1:], self.on_at, 2), np.inf)
            new = rent + self.change[:, :, None] + np.take_along_axis(ahead[:, 1:], self.new_at, 2)
            free = np.minimum(ahead[:, 0, : worth.shape[2]], np.where(can, new, np.inf).min(1))
            worth = np.concatenate([free[:, None], np.minimum(free[:, None], on)], axis=1)
        return worth

    def _price_runs(self) -> None:
        """Costs by stock of a run between bounds of blocks with nothing after it until the end, then W.

        `idle` [I, S] runs nothing; `on[e]` [I, M, S] goes on until bound e; `new[b]` [I, E, M, S] changes over at bound
        b and runs until bound b + 1, b + 2, ...
        """
        none = self.worth[:, :1]
        after = {self.horizon: self.worth[:, 1:]}  # a run still holds its machine at the very end only
        for t in range(self.horizon - 1, -1, -1):
            none = after[t] = self._before(none)[:, :, : self.worth.shape[2]]
        on: list[Floats] = []
        new: dict[int, list[Floats]] = {int(b): [] for b in self.bounds[:-1]}
        for end in self.bounds:
            value: Floats = np.broadcast_to(after[int(end)], self.on_at.shape)
            for t in range(end - 1, -1, -1):
                ahead = self._before(value)
                value = np.take_along_axis(ahead, self.on_at, 2)
                if t in new:
                    new[t].append(self.change[:, :, None] + np.take_along_axis(ahead, self.new_at, 2))
            on.append(value)
        self.idle = none[:, 0]
        self.on = np.stack(on)
        self.new = [np.stack(runs, 1) for runs in new.values()]

    def schedules(self, stock: Floats, setups: Ints) -> Schedules:
        """Candidate schedules of one plant, given stock [I] and set-ups [M]."""
        num, every = len(self.blocks), np.arange(self.items)
        at = np.clip(np.rint(stock).astype(int), 0, self.idle.shape[1] - 1)
        busy = np.flatnonzero(setups > 0)
        busy = busy[self.can[setups[busy] - 1, busy]]
        # Columns: cost, item, machine, first block, bound of the end. Nothing (ends before it starts), going on, new.
        zero, nothing = np.zeros_like(every), self.idle[every, at]
        end, machine = (grid.ravel() for grid in np.meshgrid(np.arange(1, num + 1), busy))
        item = setups[machine] - 1
        going_on = (self.on[end, item, machine, at[item]], item, machine, np.zeros_like(end), end)
        rows = [(nothing, every, zero, zero, zero), going_on, *self._new_runs(at, nothing)]
        cost, item, machine, first, end = (np.concatenate(column) for column in zip(*rows, strict=True))
        used, block = np.zeros((len(item), self.machines, num), dtype=bool), np.arange(num)
        used[np.arange(len(item)), machine] = (block >= first[:, None]) & (block < end[:, None])
        return Schedules(cost, item, used, len(every) + num * len(busy))

    def _new_runs(self, at: Ints, nothing: Floats) -> list[tuple[Any, ...]]:
        """For each block the runs that start there and cost less than `nothing` [I], from stock `at` [I]."""
        size, found = self.idle.shape[1], []
        spent, held = (
            np.zeros(self.items),
            np.eye(size)[at],
        )  # cost until the run, distribution of stock [I, S]
        for b, (start, stop) in enumerate(itertools.pairwise(self.bounds)):
            ahead = np.einsum("is,iems->iem", held, self.new[b])
            cost = spent[:, None, None] + self.discount**start * ahead
            item, end, machine = np.nonzero(self.can[:, None] & (cost < nothing[:, None, None]))
            found.append((cost[item, end, machine], item, machine, np.full_like(item, b), end + b + 1))
            for t in range(start, stop):
                spent = spent + self.discount**t * (held * self.cost[:, :size]).sum(1)
                held = np.einsum("is,ist->it", held, self.becomes[:, :size])
        return found

    def choose(self, schedules: Schedules) -> Ints:
        """Indices [I] of the cheapest compatible schedules, one per item; never dearer than `keeping()`."""
        keeping = schedules.keeping()
        slots = schedules.used.reshape(len(schedules.cost), -1)
        one = np.arange(self.items) == schedules.item[:, None]
        high = np.ones(slots.shape[1] + self.items)
        low = np.where(np.arange(len(high)) < slots.shape[1], 0.0, 1.0)
        solution = milp(
            schedules.cost - schedules.cost[keeping][schedules.item],  # the gap is one of what the plan saves
            integrality=np.ones(len(slots)),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(csc_array(np.hstack([slots, one]).T.astype(float)), low, high),
            options={"time_limit": self.time_limit, "mip_rel_gap": self.gap},
        )
        # Nothing found in time, or nothing to gain:
        return keeping if solution.x is None or solution.fun >= 0 else np.flatnonzero(solution.x > 0.5)

    def plan(self, stock: Floats, setups: Ints) -> Ints:
        """The items [T, M] (1..I, 0 to idle) of one plant's machines, given stock [I] and set-ups [M]."""
        schedules = self.schedules(stock, setups)
        chosen = self.choose(schedules)
        # [I, M, B] of which at most one item is True: the item's number, or 0 where nothing is planned
        told = np.einsum("imb,i->bm", schedules.used[chosen], schedules.item[chosen] + 1)
        now, items = np.array(setups), []
        for row in told:  # a machine with nothing to do goes on: idling forgets its set-up
            now = np.where(row > 0, row, now)
            items.append(now)
        return np.repeat(np.stack(items), self.blocks, axis=0)

    def decide(self, stock: Floats, setups: Ints) -> Ints:
        """The first period of a new plan for each plant."""
        return np.stack([self.plan(s, z)[0] for s, z in zip(stock, setups, strict=True)])

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Ints, Any]:
        """Actions [B, M] or [M]; `state` holds what is left of the plans, [B, replan + 1, M] with its length first."""
        rows = np.asarray(observation)
        single = rows.ndim == 1
        stock, setups = self.read(rows[None] if single else rows)
        shape = (len(stock), self.replan + 1, self.machines)
        left = np.zeros(shape, np.int64) if state is None else state[0].copy()
        if episode_start is not None:
            left[np.asarray(episode_start, dtype=bool).reshape(-1), 0] = 0
        action = np.empty_like(setups)
        for b in range(len(stock)):
            if left[b, 0, 0] == 0:
                left[b, 1:] = self.plan(stock[b], setups[b])[: self.replan]
                left[b, 0] = self.replan
            action[b] = left[b, 1 + self.replan - left[b, 0, 0]]
            left[b, 0] -= 1
        return (action[0] if single else action), (left,)
