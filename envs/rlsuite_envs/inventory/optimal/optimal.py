"""Optimal policies of inventory theory, exactly: what learners and simulators are compared with.

Costs are long-run averages per period, without discount. Periods run as in the kernels of this folder: the order is
chosen before the period's demand and can serve the demand of the period L later, so that an inventory position
covers L + 1 demands. (With continuous review, or if demand is seen before ordering, it covers L.)

Demand is a frozen distribution of `scipy.stats` for one period, independent between periods; it is put on a lattice
(whole units if it is discrete), on which sums over periods are convolutions.

| function | problem | answer |
|---|---|---|
| `newsvendor` | one period | Q |
| `base_stock` | backlog, lead time L | S |
| `reorder_point` | backlog, lead time L, fixed cost of an order | (s, S) |
| `serial_system` | stages in a row, backlog | echelon base-stock levels |
| `transshipment_bound` | one order divided among stores, backlog | system level, lower bound of the cost |
| `optimal_dp.lost_sales` | lost sales, lead time L | cost; no simple policy is optimal |
| `optimum`, `optimal_cost` | any kernel for which one of these is the answer | |

Sources: Zipkin, Foundations of Inventory Management, 2000; Zheng & Federgruen, Operations Research 39(4), 1991;
Clark & Scarf, Management Science 6(4), 1960, in the form of Federgruen & Zipkin, Operations Research 32(4), 1984.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm, poisson

from rlsuite_envs.inventory.optimal.demand_lattice import (
    TAIL,
    Lattice,
    check_above_zero,
    check_lead_times,
    is_discrete,
)
from rlsuite_envs.inventory.optimal.optimal_dp import lost_sales
from rlsuite_envs.inventory.stores.serial import SerialSystemParams
from rlsuite_envs.inventory.stores.stores import LostSalesParams, SingleStoreParams
from rlsuite_envs.inventory.stores.transshipment import TransshipmentParams
from rlsuite_envs.kernel import Kernel

__all__ = [
    "Optimum",
    "base_stock",
    "newsvendor",
    "optimal_cost",
    "optimum",
    "reorder_point",
    "serial_system",
    "transshipment_bound",
]


@dataclass(frozen=True)
class Optimum:
    """A best policy and what it costs."""

    cost: float
    """Long-run mean cost per period."""
    levels: tuple[float, ...]
    """The numbers that define the policy, see the function; empty where no few numbers do."""
    exact: bool = True
    """False: the cost is a lower bound."""


def newsvendor(demand: Any, holding: float, penalty: float) -> Optimum:
    """The one-period problem: the p / (p + h) quantile of demand.

    Args:
        demand: frozen scipy.stats distribution, continuous or discrete.
        holding: cost h > 0 of a unit left over.
        penalty: cost p > 0 of a unit short.

    Returns:
        levels (Q,), and E[h (Q - D)^+ + p (D - Q)^+].

    Raises:
        ValueError: a cost that is not above 0.
    """
    check_above_zero(holding=holding, penalty=penalty)
    discrete, level = is_discrete(demand), float(demand.ppf(penalty / (penalty + holding)))
    short = _expected_shortage(demand, level, discrete=discrete)
    return Optimum(holding * (level - float(demand.mean())) + (holding + penalty) * short, (level,))


def _expected_shortage(demand: Any, level: float, *, discrete: bool) -> float:
    """E[(D - level)^+], the integral of P(D > x) above the level."""
    if discrete:
        most = max(float(demand.isf(TAIL)), level) + 1
        return float(demand.sf(np.arange(level, most)).sum())
    if demand.dist.name == "norm":
        mean, sd = float(demand.mean()), float(demand.std())
        z = (level - mean) / sd
        return sd * float(norm.pdf(z) - z * norm.sf(z))
    from scipy.integrate import quad

    return float(quad(demand.sf, level, float(demand.isf(TAIL)), epsabs=1e-12, limit=200)[0])


def base_stock(demand: Any, lead_time: int, holding: float, penalty: float) -> Optimum:
    """One location with backlog: order up to the p / (p + h) quantile of the demand of L + 1 periods.

    Args:
        demand: of one period; normal demand has a closed form, other is summed on a lattice.
        lead_time: L >= 0, periods.
        holding: cost h > 0 per unit on hand at the end of a period.
        penalty: cost p > 0 per unit owed then.

    Returns:
        levels (S,), S the inventory position after ordering.

    Raises:
        ValueError: a bad cost or lead time.
    """
    check_lead_times(lead_time)
    periods = lead_time + 1
    if not is_discrete(demand) and demand.dist.name == "norm":
        return newsvendor(norm(periods * demand.mean(), math.sqrt(periods) * demand.std()), holding, penalty)
    check_above_zero(holding=holding, penalty=penalty)
    lattice = Lattice.of(demand).over(periods)
    level = lattice.quantile(penalty / (penalty + holding))
    return Optimum(lattice.mean_cost(level, holding, penalty), (level,))


def reorder_point(demand: Any, fixed_cost: float, holding: float, penalty: float, lead_time: int = 0) -> Optimum:
    """One location with backlog and a cost per order: the best (s, S) policy, by Zheng and Federgruen's algorithm.

    With G(y) the mean cost L periods after the position was y, and m the renewal density of demand (m_j: expected
    periods in which the position is S - j, per cycle), c(s, S) = (K + sum_{j < S - s} m_j G(S - j)) / sum m_j.

    Args:
        demand: discrete distribution of one period's demand, >= 0.
        fixed_cost: K >= 0, per order.
        holding: h > 0.
        penalty: p > 0.
        lead_time: L >= 0.

    Returns:
        levels (s, S): order up to S when the position is at or below s.

    Raises:
        ValueError: a bad cost or lead time, or demand that is continuous, negative or always 0.
    """
    check_above_zero(holding=holding, penalty=penalty)
    check_lead_times(lead_time)
    if not 0 <= fixed_cost < math.inf:
        raise ValueError(f"fixed_cost={fixed_cost!r} must be a finite number of at least 0.")
    if not is_discrete(demand) or demand.support()[0] < 0 or demand.pmf(0) >= 1:
        raise ValueError("demand must be discrete, at least 0, and not always 0.")
    one = Lattice.of(demand)
    whole = one.over(lead_time + 1)
    costs: dict[int, float] = {}

    def cost_at(position: int) -> float:
        if position not in costs:
            costs[position] = whole.mean_cost(position, holding, penalty)
        return costs[position]

    density = [1.0 / (1.0 - one.at(0))]

    def cost_of(s: int, upto: int) -> float:
        while len(density) < upto - s:
            j = len(density)
            density.append(sum(one.at(i) * density[j - i] for i in range(1, j + 1)) * density[0])
        cycle = density[: upto - s]
        running = sum(m * cost_at(upto - j) for j, m in enumerate(cycle))
        return (fixed_cost + running) / sum(cycle)

    best = int(base_stock(demand, lead_time, holding, penalty).levels[0])
    low = best - 1
    while cost_of(low, best) > cost_at(low):
        low -= 1
    value, upto = cost_of(low, best), best + 1
    while cost_at(upto) <= value:
        if cost_of(low, upto) < value:
            best = upto
            while cost_of(low, best) <= cost_at(low + 1):
                low += 1
            value = cost_of(low, best)
        upto += 1
    return Optimum(value, (float(low), float(best)))


def serial_system(
    demand: Any,
    lead_times: Sequence[int],
    holdings: Sequence[float],
    penalty: float,
    *,
    convention: str = "discrete",
    charge_transit: bool = False,
    clip: bool = False,
    step: float | None = None,
) -> Optimum:
    """Stages in a row with backlog: Clark and Scarf's echelon base-stock levels.

    With e_j the echelon holding costs (local minus that of the next stage up) and H their sum,
    G_1(y) = E[e_1 (y - D) + (p + H) (D - y)^+] over L_1 + 1 demands, S_j = argmin G_j, and
    G_j(y) = E[e_j (y - D_{L_j + 1}) + G_{j-1}(min(S_{j-1}, y - D_{L_j}))]; the cost is min G_N.

    Args:
        demand: of one period.
        lead_times: of the N stages, store first, each >= 0.
        holdings: local holding costs per unit and period, store first, falling upwards and above 0.
        penalty: p > 0 per unit owed to customers.
        convention: "discrete" as above; "continuous" puts L for L + 1 (continuous review).
        charge_transit: units on their way cost what the stage above charges; in the kernels (and HDPO) nothing.
        clip: negative demand becomes 0.
        step: of the lattice for continuous demand, units; None for a hundredth of a standard deviation.

    Returns:
        levels of the echelon positions (the stage and all below it), store first.

    Raises:
        ValueError: a bad argument, naming it.
    """
    if convention not in ("discrete", "continuous"):
        raise ValueError(f"convention={convention!r} must be 'discrete' or 'continuous'.")
    check_above_zero(penalty=penalty, step=1.0 if step is None else step)
    check_lead_times(*lead_times)
    if len(holdings) != len(lead_times) or not holdings:
        raise ValueError(f"holdings={holdings!r} must have one entry for each of lead_times={lead_times!r}.")
    echelon = np.append(-np.diff(holdings), holdings[-1])
    if not (echelon > 0).all():
        raise ValueError(f"holdings={holdings!r} must fall from the store upwards, and stay above 0.")
    lattice = Lattice.of(demand, step, clip)
    extra, mean = int(convention == "discrete"), lattice.mean
    # A stage looks below its own position by the demand of its lead time: start as far below as all of them do.
    most = sum(lattice.over(lead + extra).last for lead in lead_times)
    y = np.arange(-most, most + 1) * lattice.step
    covered = lattice.over(lead_times[0] + extra)
    shortage = covered.convolve(np.maximum(-y, 0.0))
    y = y[covered.last :]
    values = echelon[0] * (y - mean * (lead_times[0] + extra)) + (penalty + holdings[0]) * shortage
    levels = [float(y[values.argmin()])]
    for e, lead in zip(echelon[1:], lead_times[1:], strict=True):
        allowed = np.where(y > levels[-1], values.min(), values)
        covered = lattice.over(lead)
        y = y[covered.last :]
        values = e * (y - mean * (lead + extra)) + covered.convolve(allowed)
        levels.append(float(y[values.argmin()]))
    transit = 0.0 if charge_transit else mean * float(np.dot(holdings[1:], lead_times[:-1]))
    return Optimum(float(values.min()) - transit, tuple(levels))


def transshipment_bound(
    means: Sequence[float],
    covariance: Any,
    lead_time: int,
    warehouse_lead_time: int,
    holding: float,
    penalty: float,
) -> Optimum:
    """Stores that share what arrives at a point that keeps nothing: a lower bound, from shares of any sign.

    If shares could be negative, stores would be levelled perfectly, and the system would be one location with
    standard deviation sqrt(L_w s^2 + (L_s + 1) (sum of sds)^2). Demand is normal, not clipped, and owed.

    Args:
        means: [K] of the demand of a period.
        covariance: [K, K].
        lead_time: L_s >= 0, from the point to each store.
        warehouse_lead_time: L_w >= 0, to the point.
        holding: h > 0, the same in all stores.
        penalty: p > 0.

    Returns:
        levels (S,), the system's position after ordering; the cost is that of all stores together.

    Raises:
        ValueError: bad costs or lead times.
    """
    check_lead_times(lead_time, warehouse_lead_time)
    covariance = np.asarray(covariance, dtype=float)
    total = float(np.sqrt(np.diagonal(covariance)).sum())
    variance = warehouse_lead_time * float(covariance.sum()) + (lead_time + 1) * total**2
    whole = norm(sum(means) * (warehouse_lead_time + lead_time + 1), math.sqrt(variance))
    found = newsvendor(whole, holding, penalty)
    return Optimum(found.cost, found.levels, exact=False)


def optimal_cost(problem: Any) -> float:
    """The long-run mean cost per period of the best policy, see `optimum`."""
    return optimum(problem).cost


def optimum(problem: Any) -> Optimum:
    """The best policy of a kernel, where theory knows it.

    The optimum is that of the endless problem, without `max_order`: an episode also pays for how it starts and ends.

    Args:
        problem: a kernel or its params: `SingleStore`, `LostSales` with Poisson demand and a short lead time,
            `SerialSystem`, or `Transshipment` with stores that differ in demand only (a lower bound, which the
            best known policies miss by 0.1 %).

    Returns:
        The cost per period of the whole system (with `profit`, minus the profit), and the policy's levels.

    Raises:
        ValueError: no optimum is known; the message says what is in the way.
    """
    p = problem.params if isinstance(problem, Kernel) else problem
    if isinstance(p, LostSalesParams):
        if p.distribution != "poisson":
            raise ValueError(f"distribution={p.distribution!r}: the lost-sales optimum needs 'poisson' demand.")
        cost = lost_sales(poisson(p.mean), p.lead_time, p.holding, p.penalty)
        return Optimum(cost - p.penalty * p.mean * p.profit, ())
    if isinstance(p, SingleStoreParams):
        if p.distribution == "poisson":
            return base_stock(poisson(p.mean), p.lead_time, p.holding, p.penalty)
        return serial_system(norm(p.mean, _noise(p.sd)), (p.lead_time,), (p.holding,), p.penalty, clip=True)
    if isinstance(p, SerialSystemParams):
        return serial_system(norm(p.mean, _noise(p.sd)), p.lead_times, p.holdings, p.penalty, clip=True)
    if isinstance(p, TransshipmentParams):
        return _transshipment(p)
    raise ValueError(
        f"{type(problem).__name__}: no optimum is known; it is for SingleStore, LostSales, SerialSystem and "
        "Transshipment. Small finite problems can be solved with optimal_dp."
    )


def _noise(sd: float) -> float:
    """The deviation, above 0."""
    check_above_zero(sd=sd)
    return sd


def _transshipment(p: TransshipmentParams) -> Optimum:
    if p.lost or p.clip:
        raise ValueError(f"lost={p.lost!r}, clip={p.clip!r}: the bound needs demand that is owed and not clipped.")
    for name in ("holdings", "penalties", "lead_times"):
        if len(set(getattr(p, name))) > 1:
            raise ValueError(f"{name}={getattr(p, name)!r}: the bound needs stores that are alike in this.")
    sds = np.array(p.sds)
    covariance = np.outer(sds, sds) * (p.correlation + (1 - p.correlation) * np.eye(len(sds)))
    leads = p.lead_times[0], p.warehouse_lead_time
    return transshipment_bound(p.means, covariance, *leads, p.holdings[0], p.penalties[0])
