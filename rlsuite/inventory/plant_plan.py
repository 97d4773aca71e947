"""The reference for PDPPO's plants: a rolling-horizon mixed-integer plan, solved by HiGHS through SciPy.

Every `replan` periods the next `horizon` periods are planned against mean demand and the first `replan` of them are
carried out. Per machine m, item i and period t: x = 1 where the machine makes the item, u >= x_t - x_{t-1} where it is
changed over to it. The plan minimises set-ups, lost sales and holding subject to

    stock_t = stock_{t-1} + sum_m (P x_t - L u_t) - demand + lost_t - waste_t,    0 <= stock_t <= capacity.

It knows the distribution's mean only and ends its thoughts at the horizon: a strong plan, neither an optimum nor a
bound. `slack` units of demand more per period buy safety.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from rlsuite.inventory.plant_rules import Floats, Ints, PlantRule

__all__ = ["PlannedPlant"]


class PlannedPlant(PlantRule):
    """Carry out the first periods of a plan, then plan anew.

    Args:
        env: a plant whose agents see the set-ups.
        horizon: periods planned, at least 1.
        replan: periods carried out of each plan, in 1..horizon.
        slack: units of demand added to the mean, per item and period.
        time_limit: seconds of one solution; the best plan found until then counts.
        gap: relative gap at which a plan is good enough.

    Raises:
        ValueError: a bad value; names it.
    """

    def __init__(
        self,
        env: Any,
        *,
        horizon: int = 12,
        replan: int = 4,
        slack: float = 0.0,
        time_limit: float = 5.0,
        gap: float = 0.01,
    ) -> None:
        super().__init__(env)
        if horizon < 1 or not 1 <= replan <= horizon:
            raise ValueError(
                f"horizon={horizon} must be at least 1 and replan={replan} in 1..horizon; plan further, or replan "
                "sooner"
            )
        if time_limit <= 0 or not 0 <= gap < 1:
            raise ValueError(f"time_limit={time_limit} must be above 0 and gap={gap} in [0, 1)")
        self.horizon, self.replan, self.time_limit, self.gap = horizon, replan, time_limit, gap
        self.demand = self.mean_demand + slack
        self.pairs = np.argwhere(self.production > 0)
        self._build()

    def _build(self) -> None:
        """Columns x, u [T, N], stock, lost, waste [T, I]; the constraints but for what the start changes."""
        t_max, num, items = self.horizon, len(self.pairs), self.items
        machine, item = self.pairs.T
        sizes = [t_max * num, t_max * num, *[t_max * items] * 3]
        x, u, stock, lost, waste = (
            np.arange(size).reshape(t_max, -1) + start
            for size, start in zip(sizes, np.cumsum([0, *sizes[:-1]]), strict=True)
        )
        self.x, self.u, columns = x, u, sum(sizes)
        made, spoiled = self.production[machine, item], self.losses[machine, item]
        entries: list[tuple[Any, Any, Any]] = []
        balance = np.arange(t_max * items).reshape(t_max, items)  # rows: 0 = stock_{t-1} + ... - stock_t
        rows = balance[:, item]
        for column, value in ((x, made), (u, -spoiled)):
            entries.append((rows, column, np.broadcast_to(value, rows.shape)))
        for column, sign in ((stock, -1.0), (lost, 1.0), (waste, -1.0)):
            entries.append((balance, column, np.full(balance.shape, sign)))
        entries.append((balance[1:], stock[:-1], np.ones_like(balance[1:], dtype=float)))
        changes = balance.size + np.arange(t_max * num).reshape(t_max, num)  # rows: x_t - x_{t-1} - u_t <= 0
        entries += [(changes, x, np.ones(changes.shape)), (changes, u, -np.ones(changes.shape))]
        entries.append((changes[1:], x[:-1], -np.ones(changes[1:].shape)))
        one = (
            changes.max() + 1 + np.arange(t_max * self.machines).reshape(t_max, -1)
        )  # rows: one item a machine
        entries.append((one[:, machine], x, np.ones(x.shape)))
        row, column, value = (np.concatenate([np.ravel(e[k]) for e in entries]) for k in range(3))
        self.matrix = coo_array((value, (row, column)), shape=(one.max() + 1, columns)).tocsc()
        holding = np.array(self.kernel.params.holding_costs, dtype=float)
        cost = np.zeros(columns)
        cost[u] = self.costs[machine, item]
        cost[stock], cost[lost] = holding, self.lost_sales_costs
        cost[waste] = holding * t_max + 1e-4  # never thrown away to save its holding
        self.cost = cost
        self.integrality = np.zeros(columns)
        self.integrality[x] = 1
        upper = np.full(columns, np.inf)
        upper[x], upper[u], upper[stock] = 1.0, 1.0, self.kernel.params.capacity
        self.bounds = Bounds(np.zeros(columns), upper)
        self.balance, self.changes, self.one = balance, changes, one

    def plan(self, stock: Floats, setups: Ints) -> Ints:
        """The items [T, M] of one plant's machines, given stock [I] and set-ups [M]."""
        low = np.full(self.matrix.shape[0], -np.inf)
        high = np.zeros(self.matrix.shape[0])
        needed = np.broadcast_to(self.demand, self.balance.shape).copy()
        needed[0] -= stock
        low[self.balance] = high[self.balance] = needed
        machine, item = self.pairs.T
        high[self.changes[0]] = setups[machine] == item + 1
        high[self.one] = 1.0
        solution = milp(
            self.cost,
            integrality=self.integrality,
            bounds=self.bounds,
            constraints=LinearConstraint(self.matrix, low, high),
            options={"time_limit": self.time_limit, "mip_rel_gap": self.gap},
        )
        if solution.x is None:  # not even a first plan in time: keep what runs
            return np.tile(setups, (self.horizon, 1))
        items = np.zeros((self.horizon, self.machines), dtype=np.int64)
        period, pair = np.nonzero(solution.x[self.x] > 0.5)
        items[period, machine[pair]] = item[pair] + 1
        return items

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
        left = (
            np.zeros((len(stock), self.replan + 1, self.machines), np.int64)
            if state is None
            else state[0].copy()
        )
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
