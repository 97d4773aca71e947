"""The constants of a lot-sizing plant, and their checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rlsuite_envs.checks import (
    MOST,
    check_choice,
    check_flag,
    check_integer,
    check_non_negative,
    check_positive,
    check_probability,
)
from rlsuite_envs.inventory.objectives import check_objectives
from rlsuite_envs.inventory.optimal.count_demand import DISTRIBUTIONS, count_table
from rlsuite_envs.inventory.plants.lot_sizing_instances import INSTANCES
from rlsuite_envs.inventory.plants.plant_demand import check_history, season_tables
from rlsuite_envs.inventory.stores.ordering import check_row

__all__ = ["COST_PARTS", "LotSizingParams"]

COST_PARTS = ("setup", "lost_sales", "holding")
"""The parts of a period's reward, all of them costs."""

_DEFAULT = INSTANCES["15x5"]


@dataclass(frozen=True)
class LotSizingParams:
    """Constants of a plant with M machines and I items; the defaults are the instance 15x5."""

    production: tuple[tuple[float, ...], ...] = _DEFAULT.production
    """[M, I] units that a machine makes of an item per period, >= 0; 0: it cannot."""
    setup_costs: float | tuple[tuple[float, ...], ...] = _DEFAULT.setup_costs
    """[M, I] cost of a change-over of the machine to the item, >= 0; or one number for all."""
    setup_losses: float | tuple[tuple[float, ...], ...] = _DEFAULT.setup_losses
    """[M, I] units of the item that a change-over to it loses, >= 0; or one number for all."""
    lost_sales_costs: float | tuple[float, ...] = _DEFAULT.lost_sales_costs
    """[I] cost of a unit of demand that is not met, >= 0; or one number for all."""
    holding_costs: float | tuple[float, ...] = 0.01
    """Cost of a unit in stock at the end of a period, >= 0; one for all items, or [I]."""
    capacity: int | tuple[int, ...] = 100
    """Units of each item that can be stored, >= 1 (one for all items, or [I]); what is more is thrown away."""
    demand: str = "binomial"
    """Distribution of demand: "binomial", "poisson", "normal", "uniform" or "pmf"; whole units, independent and alike
    in all periods unless `seasons`, `history` or `demand_correlation` say otherwise."""
    demand_parameters: tuple[Any, ...] = (20, 0.4)
    """Parameters of the demand, see `count_demand.count_table`: (trials, probability), (mean,), (mean, sd), (lowest,
    highest) or (demands, weights); each may be a tuple with one entry per item."""
    start: str = "random"
    """"random": any stock, machines set up; "stored": the next two fields."""
    initial_inventory: tuple[float, ...] | None = None
    """[I] units in stock at a stored start, in [0, capacity]; None: the instance's. Not used by random starts."""
    initial_setups: tuple[int, ...] | None = None
    """[M] item (1..I) each machine is set up for at a stored start, 0 for none; None: the instance's."""
    observe: str = "full"
    """"full": stock / capacity, set-ups one-hot; "inventory": stock in units only, as released."""
    zero: str = "idle"
    """What action 0 tells a machine: "idle", as published, or "keep": go on with what it is set up for, so that a
    policy can leave machines alone without naming their items. A machine set up for nothing idles on."""
    mask: str = "productive"
    """Actions that `action_mask` allows: "productive": idling and items the machine can make; "all", as released."""
    reward_scale: float = 1.0
    """Factor of the reward, > 0; 1 gives costs. 0.01 brings a period's reward to order 1."""
    horizon: int = 100
    """Periods of an episode, >= 1."""
    seasons: tuple[tuple[Any, ...], ...] = ()
    """[S] `demand_parameters` of the first, second, ... period of a season that repeats; empty: the same always."""
    history: tuple[tuple[int, ...], ...] = ()
    """[T][I] demand itself, in whole units, which repeats after its end; takes the place of a distribution."""
    random_phase: bool = False
    """Episodes start anywhere in the season or history, else at its first period."""
    demand_correlation: float = 0.0
    """c in [0, 1] of the Gaussian copula between the items' demands in a period; distributions stay as they are."""
    objectives: tuple[str, ...] | None = ()
    """Empty or None: the reward is one number. Else a vector, of an objective for each entry: "setup", "lost_sales",
    "holding", or several joined by "+", as in ("lost_sales", "setup+holding"). What is not named is not paid."""

    def __post_init__(self) -> None:
        machines, items = self._check_tables()
        self._check_row_or_number("lost_sales_costs", items)
        if isinstance(self.holding_costs, int | float):
            check_non_negative(self, "holding_costs")
        else:
            check_row(self, "holding_costs", items)
        if isinstance(self.capacity, tuple | list | np.ndarray):
            check_row(self, "capacity", items, low=1, whole=True)
        else:
            check_integer(self, "capacity", 1)
        self._check_demand(items)
        check_choice(self, "start", ("random", "stored"))
        check_choice(self, "observe", ("full", "inventory"))
        check_choice(self, "zero", ("idle", "keep"))
        check_choice(self, "mask", ("productive", "all"))
        check_positive(self, "reward_scale")
        check_integer(self, "horizon", 1)
        check_objectives(self, COST_PARTS)
        self._check_start(machines, items)

    def _check_row_or_number(self, name: str, items: int) -> None:
        """Keep one number per item."""
        value = getattr(self, name)
        if isinstance(value, int | float):
            check_non_negative(self, name)
            object.__setattr__(self, name, (value,) * items)
        elif value == getattr(_DEFAULT, name) and len(value) != items:
            raise ValueError(
                f"{name} must be given with a production of your own: a number, or one for each of {items}."
            )
        else:
            check_row(self, name, items)

    def _check_demand(self, items: int) -> None:
        for name in ("demand_parameters", "seasons", "history"):
            object.__setattr__(self, name, _tuples(getattr(self, name)))
        for name in ("seasons", "history"):
            if not isinstance(getattr(self, name), tuple) or len(getattr(self, name)) > MOST:
                raise ValueError(f"{name}={getattr(self, name)!r} must be a row per period, at most {MOST}, or empty.")
        check_choice(self, "demand", DISTRIBUTIONS)
        if self.seasons:
            season_tables(self.demand, self.seasons, items)
        elif not self.history:
            count_table(self.demand, self.demand_parameters, items)
        check_history(self.history, items)
        check_flag(self, "random_phase")
        check_probability(self, "demand_correlation")
        if self.history and (self.seasons or self.demand_correlation):
            other = "seasons" if self.seasons else "demand_correlation"
            raise ValueError(f"history is demand itself: leave {other} out, or history.")

    def _check_start(self, machines: int, items: int) -> None:
        """Check what a stored start needs; random starts need nothing."""
        lengths = {"initial_inventory": items, "initial_setups": machines}
        if self.start == "stored" and self.production == _DEFAULT.production:
            for name in lengths:
                if getattr(self, name) is None:
                    object.__setattr__(self, name, getattr(_DEFAULT, name))
        for name, length in lengths.items():
            if getattr(self, name) is None:
                if self.start == "stored":
                    raise ValueError(f"{name} must be given for start='stored' (or use start='random').")
                continue
            whole = name == "initial_setups"
            check_row(self, name, length if self.start == "stored" else None, whole=whole)
            highest = items if whole else self.capacity
            if self.start == "stored" and (np.array(getattr(self, name)) > highest).any():
                raise ValueError(f"{name}={getattr(self, name)!r} must have entries in 0..{highest}.")

    def _check_tables(self) -> tuple[int, int]:
        """Number of machines and of items, after checking the three tables."""
        shape: tuple[int, int] | None = None
        for name in ("production", "setup_costs", "setup_losses"):
            table = _tuples(getattr(self, name))
            if shape is not None and isinstance(table, int | float) and not isinstance(table, bool):
                table = ((table,) * shape[1],) * shape[0]
            try:
                array = np.array(table, dtype=float)
            except (TypeError, ValueError):
                array = np.empty(0)
            if array.ndim != 2 or not array.size or (shape is not None and array.shape != shape):
                if shape is not None and table == getattr(_DEFAULT, name):
                    raise ValueError(
                        f"{name} must be given with a production of your own: a number, or {shape} numbers."
                    )
                wanted = "one row per machine of one number per item" if shape is None else f"{shape} numbers"
                raise ValueError(f"{name}={table!r} must be a table of {wanted}.")
            if not np.isfinite(array).all() or array.min() < 0:
                raise ValueError(f"{name}={table!r} must have finite entries of at least 0.")
            shape = array.shape
            object.__setattr__(self, name, table)
        assert shape is not None
        for machine, row in enumerate(self.production):
            if not any(row):
                raise ValueError(f"production[{machine}]={row!r}: the machine must be able to make an item.")
        return shape


def _tuples(value: Any) -> Any:
    """Lists and arrays as tuples, all the way down."""
    value = value.tolist() if isinstance(value, np.ndarray) else value
    return tuple(_tuples(part) for part in value) if isinstance(value, tuple | list) else value
