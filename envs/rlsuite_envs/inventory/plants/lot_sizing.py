"""Stochastic lot sizing with set-ups: PDPPO's plant, with several items on parallel machines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.inventory.objectives import objective_weights, objectives_space
from rlsuite_envs.inventory.optimal.count_demand import CountDemand
from rlsuite_envs.inventory.plants.lot_sizing_instances import INSTANCES
from rlsuite_envs.inventory.plants.lot_sizing_params import COST_PARTS, LotSizingParams
from rlsuite_envs.inventory.plants.lot_sizing_pictures import draw_plant, draw_run
from rlsuite_envs.inventory.plants.plant_demand import PhasedDemand, mean_table, season_tables
from rlsuite_envs.kernel import Kernel

__all__ = ["LotSizing", "LotSizingParams", "LotSizingState", "PhasedState"]


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
    """[B, I] float, units of the last period's demand that were not delivered."""
    setup_cost: Tensor
    """[B] float, cost of the last decision."""


@dataclass(frozen=True)
class PhasedState(LotSizingState):
    """A plant whose demand depends on the period."""

    phase: Tensor
    """[B] int64, place in the season or history of the demand to come."""


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
    `Box` of I + M (I + 1) numbers: stock / capacity, then for each machine its set-up one-hot (idle first). Where
    demand has a season or a history, two more: sine and cosine of the place in it, as an angle. With
    `observe="inventory"` `Box` of I: stock in units and nothing else, which is what the release's agents see; the
    set-ups are then hidden. Stock lies in [0, capacity]; the bounds are those of post-decision states.

    ## Rewards
    -(set-up cost + cost of lost sales + holding cost) * `reward_scale`. The set-up cost is the part of the decision;
    the rest follows demand. Raw costs by default; in the presets about 20 to 350 per period. With `objectives` a vector
    of minus the costs named there (* `reward_scale`); over all three they add up to the one number.

    ## Starting State
    A season or history at its first period (`random_phase`: anywhere); stock uniform in 0 .. capacity - 1, each
    machine set up for one of the items it can make (with `start="stored"` the instance's own stock and set-ups,
    which the release uses for evaluation).

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
    presets: ClassVar[Mapping[str, Any]] = {
        name: LotSizingParams(**vars(instance)) for name, instance in INSTANCES.items()
    }
    render_fps = 4

    def __init__(self, params: LotSizingParams | None = None, **kwargs: Any) -> None:
        super().__init__(params, **kwargs)
        p = self.params
        self.num_machines = len(p.production)
        self.num_items = len(p.production[0])
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
        self.phases = len(p.seasons or p.history) or 1
        """Periods after which demand repeats, S; 1 where it is the same always."""
        self._capacity = self._numbers(p.capacity).expand(self.num_items)
        self._history = self._numbers(p.history) if p.history else None
        self._demand = self._make_demand()
        self._objectives = p.objectives or ()
        weights = {part: self._numbers(objective_weights(self._objectives, part)) for part in COST_PARTS}
        self._setup_weights = weights["setup"]
        self._lost_weights = self._lost_sales_costs[:, None] * weights["lost_sales"]  # [I, K], as the next
        self._holding_weights = self._holding_costs[:, None] * weights["holding"]

    def _make_demand(self) -> CountDemand | PhasedDemand | None:
        """Who draws demand (None: a history tells it); sets `demand_table`."""
        p = self.params
        where: dict[str, Any] = {"device": self.device, "dtype": self.dtype}
        if p.history:
            self.demand_table = mean_table(p.history)
            return None
        tables = season_tables(p.demand, p.seasons or (p.demand_parameters,), self.num_items)
        self.demand_table = tables.mean(0)
        """Probabilities of the demands 0, 1, ... [I, V], or [1, V] where items are alike; over a season their mean."""
        if p.seasons or p.demand_correlation:
            return PhasedDemand(tables, self.num_items, p.demand_correlation, **where)
        return CountDemand(self.demand_table, self.num_items, **where)

    def _numbers(self, values: Any) -> Tensor:
        return torch.tensor(values, device=self.device, dtype=self.dtype)

    @property
    def observation_space(self) -> spaces.Box:
        """Stock, then set-ups."""
        p = self.params
        most = np.array(p.capacity) + np.array(p.production, dtype=float).sum(0)
        least = -np.array(p.setup_losses, dtype=float).sum(0)
        if p.observe == "inventory":
            return spaces.Box(least.astype(np.float32), most.astype(np.float32), dtype=np.float32)
        flags = np.zeros(self.num_machines * (self.num_items + 1))
        low, high = np.append(least / p.capacity, flags), np.append(most / p.capacity, flags + 1)
        if self.phases > 1:
            low, high = np.append(low, [-1.0, -1.0]), np.append(high, [1.0, 1.0])
        return spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)

    @property
    def action_space(self) -> spaces.MultiDiscrete:
        """An item or 0 for each machine."""
        return spaces.MultiDiscrete([self.num_items + 1] * self.num_machines)

    @property
    def reward_dim(self) -> int | None:
        """Number of `objectives`; None without any."""
        return len(self._objectives) or None

    @property
    def reward_space(self) -> spaces.Box | None:
        """Costs: at most 0."""
        return objectives_space(self._objectives, (), self._reward_dtype) if self._objectives else None

    @property
    def objective_names(self) -> tuple[str, ...]:
        """The entries of `objectives`."""
        return self._objectives

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
            if isinstance(p.capacity, int):
                inventory = torch.randint(p.capacity, shape, generator=rng, device=device).to(self.dtype)
            else:
                inventory = (
                    torch.rand(shape, generator=rng, device=device, dtype=self.dtype).mul(self._capacity).floor()
                )
            draws = torch.rand((num, self.num_machines), generator=rng, device=device)
            setups = self._choices[(draws * self._num_choices).long() + self._first_choice]
        zeros = torch.zeros_like(inventory)
        if self.phases == 1:
            return LotSizingState(inventory, setups, zeros, zeros, zeros[:, 0])
        phase = torch.zeros(num, dtype=torch.int64, device=device)
        if p.random_phase:
            phase = torch.randint(self.phases, (num,), generator=rng, device=device)
        return PhasedState(inventory, setups, zeros, zeros, zeros[:, 0], phase)

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
        post = replace(state, inventory=stock[:, 1:], setups=action.clone(), setup_cost=cost)
        if self._objectives:
            return post, (cost * -self.params.reward_scale)[:, None] * self._setup_weights
        return post, cost * -self.params.reward_scale

    def sample_exogenous(self, state: LotSizingState, rng: torch.Generator) -> Tensor:
        """Demand [B, I], whole units."""
        num = len(state.inventory)
        if isinstance(self._demand, CountDemand):
            return self._demand.sample(num, rng)
        phase = state.phase if isinstance(state, PhasedState) else state.setups.new_zeros(num)
        if self._demand is not None:
            return self._demand.sample(phase, rng)
        assert self._history is not None
        return self._history[phase]

    def transition(self, post_state: LotSizingState, noise: Tensor | None) -> tuple[LotSizingState, Tensor, Tensor]:
        """Demand comes; what is missing is lost, what is too much is thrown away."""
        assert noise is not None, "The noise of a plant is its demand; see sample_exogenous."
        left = post_state.inventory - noise
        lost = (-left).clamp_min(0)
        capacity = self.params.capacity
        if isinstance(capacity, int):  # one pass over the stock instead of two
            inventory = left.clamp(0, capacity)
        else:
            inventory = torch.minimum(left.clamp_min(0), self._capacity)
        if self._objectives:
            cost = lost @ self._lost_weights + inventory @ self._holding_weights
        else:
            cost = lost @ self._lost_sales_costs + inventory @ self._holding_costs
        state = replace(post_state, inventory=inventory, demand=noise, lost=lost)
        if isinstance(state, PhasedState):
            state = replace(state, phase=(state.phase + 1) % self.phases)
        never = torch.zeros(len(lost), dtype=torch.bool, device=lost.device)
        return state, cost * -self.params.reward_scale, never

    def observe(self, state: LotSizingState) -> Tensor:
        """Stock and set-ups, float32."""
        if self.params.observe == "inventory":
            return state.inventory.to(torch.float32, copy=True)
        num, width = len(state.inventory), self.num_items + 1
        told = self.num_items + self.num_machines * width
        seen = torch.zeros(num, told + (2 if self.phases > 1 else 0), device=self.device)
        seen[:, : self.num_items] = state.inventory / self._capacity
        if isinstance(state, PhasedState):
            angle = state.phase * (2 * math.pi / self.phases)
            seen[:, told], seen[:, told + 1] = angle.sin(), angle.cos()
        return seen.scatter_(1, state.setups + (self._first_row + self.num_items), 1.0)

    def observe_post(self, post_state: LotSizingState) -> Tensor:
        """Observation of the post-decision state: stock after production, new set-ups."""
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
        return draw_plant(stock, setups, lost, float(self._capacity.max()), costs)

    def render_episode(self, states: LotSizingState, actions: Tensor, rewards: Tensor) -> np.ndarray:
        """Which machine made what, stock of every item, and costs over time."""
        info = {name: value[1:].cpu().numpy() for name, value in self.info(states).items()}
        columns = (states.inventory, states.setups[1:], states.lost[1:])
        stock, setups, lost = (x.cpu().numpy() for x in columns)
        return draw_run(stock, setups, lost, float(self._capacity.max()), info)
