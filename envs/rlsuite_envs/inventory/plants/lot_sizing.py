"""Stochastic lot sizing with set-ups: PDPPO's plant, with several items on parallel machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import check_choice, check_integer, check_non_negative, check_positive
from rlsuite_envs.inventory.optimal.count_demand import CountDemand, count_table
from rlsuite_envs.inventory.plants.lot_sizing_instances import INSTANCES, LotSizingInstance
from rlsuite_envs.inventory.plants.lot_sizing_pictures import draw_plant, draw_run
from rlsuite_envs.inventory.stores.ordering import check_row
from rlsuite_envs.kernel import Kernel

__all__ = ["LotSizing", "LotSizingParams", "LotSizingState"]

_DEFAULT = INSTANCES["15x5"]


@dataclass(frozen=True)
class LotSizingParams:
    """Constants of a plant with M machines and I items; the defaults are the instance 15x5."""

    production: tuple[tuple[float, ...], ...] = _DEFAULT.production
    """[M, I] units that a machine makes of an item per period, >= 0; 0: it cannot."""
    setup_costs: tuple[tuple[float, ...], ...] = _DEFAULT.setup_costs
    """[M, I] cost of a change-over of the machine to the item, >= 0."""
    setup_losses: tuple[tuple[float, ...], ...] = _DEFAULT.setup_losses
    """[M, I] units of the item that a change-over to it loses, >= 0."""
    lost_sales_costs: tuple[float, ...] = _DEFAULT.lost_sales_costs
    """[I] cost of a unit of demand that is not met, >= 0."""
    holding_costs: float | tuple[float, ...] = 0.01
    """Cost of a unit in stock at the end of a period, >= 0; one for all items, or [I]."""
    capacity: int = 100
    """Units of each item that can be stored, >= 1; what is more after demand is thrown away."""
    demand: str = "binomial"
    """Distribution of demand: "binomial", "poisson", "normal", "uniform" or "pmf"; whole units, independent."""
    demand_parameters: tuple[Any, ...] = (20, 0.4)
    """Its parameters, see `count_demand.count_table`: (trials, probability), (mean,), (mean, deviation), (lowest,
    highest) or (demands, weights); each may be a tuple with one entry per item."""
    start: str = "random"
    """"random": any stock, machines set up; "stored": the next two fields."""
    initial_inventory: tuple[float, ...] = _DEFAULT.initial_inventory
    """[I] units in stock at a stored start, in [0, capacity]."""
    initial_setups: tuple[int, ...] = _DEFAULT.initial_setups
    """[M] item (1..I) each machine is set up for at a stored start, 0 for none."""
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

    def __post_init__(self) -> None:
        machines, items = self._check_tables()
        check_row(self, "lost_sales_costs", items)
        if isinstance(self.holding_costs, int | float):
            check_non_negative(self, "holding_costs")
        else:
            check_row(self, "holding_costs", items)
        check_integer(self, "capacity", 1)
        object.__setattr__(self, "demand_parameters", _tuples(self.demand_parameters))
        count_table(self.demand, self.demand_parameters, items)
        check_choice(self, "start", ("random", "stored"))
        check_choice(self, "observe", ("full", "inventory"))
        check_choice(self, "zero", ("idle", "keep"))
        check_choice(self, "mask", ("productive", "all"))
        check_positive(self, "reward_scale")
        check_integer(self, "horizon", 1)
        check_row(self, "initial_inventory", items)
        check_row(self, "initial_setups", machines, whole=True)
        for name, high in (("initial_inventory", self.capacity), ("initial_setups", items)):
            if max(getattr(self, name)) > high:
                raise ValueError(f"{name}={getattr(self, name)!r} must have entries in 0..{high}.")

    def _check_tables(self) -> tuple[int, int]:
        """Number of machines and of items, after checking the three tables."""
        shape: tuple[int, int] | None = None
        for name in ("production", "setup_costs", "setup_losses"):
            table = _tuples(getattr(self, name))
            try:
                array = np.array(table, dtype=float)
            except (TypeError, ValueError):
                array = np.empty(0)
            if array.ndim != 2 or not array.size or (shape is not None and array.shape != shape):
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


def _params(instance: LotSizingInstance) -> LotSizingParams:
    return LotSizingParams(**vars(instance))


@dataclass(frozen=True)
class LotSizingState:
    """A plant between two periods; also the post-decision state, in which `inventory` may leave [0, capacity]."""

    inventory: Tensor
    """[B, I] float, units in stock."""
    setups: Tensor
    """[B, M] int64, item (1..I) each machine is set up for, 0 for none."""
    demand: Tensor
    """[B, I] float, units asked for in the last period; 0 at the start."""
    lost: Tensor
    """[B, I] float, units of it that were not delivered."""
    setup_cost: Tensor
    """[B] float, cost of the last decision."""


class LotSizing(Kernel[LotSizingState, LotSizingState, Tensor]):
    """Decide each period which item every machine makes, before demand is known.

    ## Description
    M machines in parallel, I items. A period:

    1. every machine is told an item or to idle. One that makes another item than it is set up for is changed over:
       that costs C[m, i] and L[m, i] units. It adds P[m, i] units (less that loss) to the stock of item i. A machine
       that idles forgets its set-up, so that starting again is a change-over even to the same item. This is the
       post-decision state: stock and set-ups, the stock not yet cut to [0, capacity];
    2. demand takes from the stock. What is missing is lost, at a cost per unit, and the stock is 0; stock above the
       capacity is thrown away for free;
    3. the stock that remains costs holding.

    Several machines may make the same item. With the mask off, a machine may be told to make what it cannot (P = 0):
    a change-over then takes its loss out of the stock, which may fall below 0 and count as lost sales.

    ## Action Space
    `MultiDiscrete([I + 1] * M)`: 0 idles (with `zero="keep"`: goes on), i makes item i. `action_mask` allows 0 and
    items with P > 0.

    ## Observation Space
    `Box` of I + M (I + 1) numbers: stock / capacity, then for each machine its set-up one-hot (idle first). With
    `observe="inventory"` `Box` of I: stock in units and nothing else, which is what the release's agents see; the
    set-ups are then hidden. Stock lies in [0, capacity]; the bounds are those of post-decision states.

    ## Rewards
    -(set-up cost + cost of lost sales + holding cost) * `reward_scale`. The set-up cost is the part of the decision;
    the rest follows demand. Raw costs by default; in the presets about 20 to 350 per period.

    ## Starting State
    Stock uniform in 0 .. capacity - 1, each machine set up for one of the items it can make (with `start="stored"`
    the instance's own stock and set-ups, which the release uses for evaluation).

    ## Episode End
    Termination: never. Truncation: `horizon` periods, 100 by default.

    ## Arguments
    The fields of `LotSizingParams`. Presets: "15x5", "20x10", "25x10", "25x15" (items x machines).

    `info` has setup_cost and lost_sales_cost of the last period, holding_cost of the stock, fill_rate (delivered share
    of the last demand) and busy_machines [B]. Mean returns of simple rules from random starts:

    | preset | idle | keep set-ups | random | one item per machine | greedy rule |
    |---|---|---|---|---|---|
    | 15x5 | -5655 | -4495 | -12773 | -2126 | -1692 |
    | 20x10 | -7528 | -5455 | -22255 | -1922 | -2100 |
    | 25x10 | -12418 | -9573 | -27884 | -5322 | -3193 |
    | 25x15 | -10925 | -7476 | -33875 | -2525 | -2684 |

    "One item per machine" assigns by the largest lost-sales cost times min(8, P); "greedy" is spelled out in the tests.

    Source: Felizardo, Fadda, Brandimarte, Del-Moral-Hernandez, Nascimento, "A Reinforcement Learning Method for
    Environments with Stochastic Variables", IJCNN 2025, arXiv 2504.05150, section on lot sizing, and its release.

    ## Version History
    v0: first.
    """

    params_class = LotSizingParams
    params: LotSizingParams
    presets: ClassVar[Mapping[str, Any]] = {name: _params(instance) for name, instance in INSTANCES.items()}
    render_fps = 4

    def __init__(self, params: LotSizingParams | None = None, **kwargs: Any) -> None:
        super().__init__(params, **kwargs)
        p = self.params
        self.num_machines, self.num_items = len(p.production), len(p.production[0])
        # One row per pair (machine, item), idle being item 0: a decision is looked up, not branched on.
        idle = torch.zeros(self.num_machines, 1)
        tables = [self._numbers(t) for t in (p.production, p.setup_costs, p.setup_losses)]
        self._production, self._setup_costs, self._setup_losses = (
            torch.cat((idle.to(t), t), dim=1).flatten() for t in tables
        )
        self._first_row = torch.arange(self.num_machines, device=self.device) * (self.num_items + 1)
        productive = np.array(p.production) > 0
        machines, items = productive.nonzero()
        self._choices = torch.tensor(items + 1, device=self.device)
        self._num_choices = torch.tensor(productive.sum(1), device=self.device)
        self._first_choice = torch.tensor(np.searchsorted(machines, range(len(productive))), device=self.device)
        self._lost_sales_costs = self._numbers(p.lost_sales_costs)
        self._holding_costs = self._numbers(p.holding_costs).expand(self.num_items)
        allowed = torch.tensor(np.insert(productive, 0, True, axis=1).ravel(), device=self.device)
        self._allowed = None if p.mask == "all" else allowed
        self.demand_table = count_table(p.demand, p.demand_parameters, self.num_items)
        """Probabilities of the demands 0, 1, ... [I, V], or [1, V] where items are alike."""
        self._demand = CountDemand(self.demand_table, self.num_items, device=self.device, dtype=self.dtype)

    def _numbers(self, values: Any) -> Tensor:
        return torch.tensor(values, device=self.device, dtype=self.dtype)

    @property
    def observation_space(self) -> spaces.Box:
        """Stock, then set-ups."""
        p = self.params
        most = p.capacity + np.array(p.production, dtype=float).sum(0)
        least = -np.array(p.setup_losses, dtype=float).sum(0)
        if p.observe == "inventory":
            return spaces.Box(least.astype(np.float32), most.astype(np.float32), dtype=np.float32)
        flags = np.zeros(self.num_machines * (self.num_items + 1))
        low, high = np.append(least / p.capacity, flags), np.append(most / p.capacity, flags + 1)
        return spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)

    @property
    def action_space(self) -> spaces.MultiDiscrete:
        """An item or 0 for each machine."""
        return spaces.MultiDiscrete([self.num_items + 1] * self.num_machines)

    @property
    def max_episode_steps(self) -> int:
        """The horizon."""
        return self.params.horizon

    def initial_state(self, num: int, rng: torch.Generator) -> LotSizingState:
        """Any stock and any set-ups that make sense, or the stored ones."""
        p, device = self.params, self.device
        if p.start == "stored":
            inventory = self._numbers(p.initial_inventory).repeat(num, 1)
            setups = torch.tensor(p.initial_setups, device=device).repeat(num, 1)
        else:
            shape = (num, self.num_items)
            inventory = torch.randint(p.capacity, shape, generator=rng, device=device).to(self.dtype)
            draws = torch.rand((num, self.num_machines), generator=rng, device=device)
            setups = self._choices[(draws * self._num_choices).long() + self._first_choice]
        zeros = torch.zeros_like(inventory)
        return LotSizingState(inventory, setups, zeros, zeros, zeros[:, 0])

    def post_decision(self, state: LotSizingState, action: Tensor) -> tuple[LotSizingState, Tensor]:
        """Change-overs and production, for minus the set-up cost."""
        if self.params.zero == "keep":
            action = torch.where(action == 0, state.setups, action)
        rows = (action + self._first_row).flatten()  # index_select is twice as fast as indexing by a matrix
        production, costs, losses = (
            table.index_select(0, rows).view(action.shape)
            for table in (self._production, self._setup_costs, self._setup_losses)
        )
        changed = (action != state.setups).to(self.dtype)
        cost = (costs * changed).sum(1)
        made = torch.addcmul(production, losses, changed, value=-1.0)
        stock = torch.nn.functional.pad(state.inventory, (1, 0)).scatter_add_(1, action, made)
        post = LotSizingState(stock[:, 1:], action.clone(), state.demand, state.lost, cost)
        return post, cost * -self.params.reward_scale

    def sample_exogenous(self, state: LotSizingState, rng: torch.Generator) -> Tensor:
        """Demand [B, I], whole units."""
        return self._demand.sample(len(state.inventory), rng)

    def transition(self, post_state: LotSizingState, noise: Tensor | None) -> tuple[LotSizingState, Tensor, Tensor]:
        """Demand comes; what is missing is lost, what is too much is thrown away."""
        assert noise is not None, "The noise of a plant is its demand; see sample_exogenous."
        left = post_state.inventory - noise
        lost = (-left).clamp_min(0)
        inventory = left.clamp(0, self.params.capacity)
        cost = lost @ self._lost_sales_costs + inventory @ self._holding_costs
        state = LotSizingState(inventory, post_state.setups, noise, lost, post_state.setup_cost)
        return state, cost * -self.params.reward_scale, torch.zeros_like(cost, dtype=torch.bool)

    def observe(self, state: LotSizingState) -> Tensor:
        """Stock and set-ups, float32."""
        if self.params.observe == "inventory":
            return state.inventory.to(torch.float32, copy=True)
        num, width = len(state.inventory), self.num_items + 1
        seen = torch.zeros(num, self.num_items + self.num_machines * width, device=self.device)
        seen[:, : self.num_items] = state.inventory / self.params.capacity
        return seen.scatter_(1, state.setups + (self._first_row + self.num_items), 1.0)

    def observe_post(self, post_state: LotSizingState) -> Tensor:
        """As `observe`: stock after production, new set-ups."""
        return self.observe(post_state)

    def action_mask(self, state: LotSizingState) -> Tensor | None:
        """Idling and items the machine can make, [B, M (I + 1)]; None where all are allowed."""
        return None if self._allowed is None else self._allowed.expand(len(state.inventory), -1)

    def info(self, state: LotSizingState) -> dict[str, Tensor]:
        """Costs and service of the last period, and machines at work."""
        asked = state.demand.sum(1)
        missed = torch.minimum(state.lost, state.demand).sum(1)
        return {
            "setup_cost": state.setup_cost,
            "lost_sales_cost": state.lost @ self._lost_sales_costs,
            "holding_cost": state.inventory @ self._holding_costs,
            "fill_rate": 1.0 - missed / asked.clamp_min(1.0),
            "busy_machines": (state.setups > 0).sum(1),
        }

    def render(self, state_row: LotSizingState) -> np.ndarray:
        """Machines with their items, and the stock of every item."""
        costs = {name: float(value[0]) for name, value in self.info(state_row).items()}
        stock, setups, lost = (x[0].cpu().numpy() for x in (state_row.inventory, state_row.setups, state_row.lost))
        return draw_plant(stock, setups, lost, self.params.capacity, costs)

    def render_episode(self, states: LotSizingState, actions: Tensor, rewards: Tensor) -> np.ndarray:
        """Which machine made what, stock of every item, and costs over time."""
        info = {name: value[1:].cpu().numpy() for name, value in self.info(states).items()}
        columns = (states.inventory, states.setups[1:], states.lost[1:])
        stock, setups, lost = (x.cpu().numpy() for x in columns)
        return draw_run(stock, setups, lost, self.params.capacity, info)
