"""OR-Gym's serial inventory problem: production stages in a row, unfilled orders wait or are lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.inventory.networks.network_matrices import NetworkMatrices, relative_orders
from rlsuite_envs.inventory.networks.orgym_params import SerialInventoryParams
from rlsuite_envs.kernel import Kernel

__all__ = ["SerialInventory", "SerialInventoryParams", "SerialInventoryState", "StagesSupplied"]


@dataclass(frozen=True)
class SerialInventoryState:
    """The start of a period: m stages, E = m - 1 of them with stock, P the sum of the lead times."""

    t: Tensor
    """Period, [B] int64, from 0."""
    stock: Tensor
    """Units on hand, [B, E]."""
    pipeline: Tensor
    """Units under way, [B, P]: stage by stage, of each first what arrives in this period."""
    waiting: Tensor
    """Demand [B, 0] and orders [B, 1:] the last period left unfilled and waiting, [B, m]; 0 if they are lost."""
    requests: Tensor
    """Orders of the last periods, as asked for, [B, longest lead time, E], oldest first."""
    demand: Tensor
    """Demand of the last period, [B]; 0 before the first."""
    unmet: Tensor
    """Demand the last period left unmet, waiting or lost, [B]."""
    profit: Tensor
    """Rewards so far, [B]."""
    demanded: Tensor
    """Units demanded so far, [B]."""
    sold: Tensor
    """Units sold so far, [B]."""


@dataclass(frozen=True)
class StagesSupplied(SerialInventoryState):
    """Orders are filled and this period's goods have arrived; demand is still to come."""


class SerialInventory(Kernel[SerialInventoryState, StagesSupplied, Tensor]):
    """Order at every stage of a production chain whose suppliers have stock and capacity limits.

    ## Description
    Stage 0 sells to customers, stage i buys from stage i + 1, the last has unlimited raw material. Each period:

    1. Each stage orders floor(action) units, on top of its orders still waiting. Filled is what the supplier's
       capacity and its stock at the start of the period allow; the rest waits (backlog) or is lost.
    2. Goods ordered lead_time periods ago arrive (lead time 0: at once).
    3. Demand appears and is met from stage 0's stock, waiting demand included; the rest waits or is lost.

    ## Action Space
    `Box(-1, 1, (E,))` float32: 0 orders the mean demand, -1 nothing, 1 `order_reach` times the mean; linear
    between, rounded down to whole units, at most `capacity`. With `action="orders"`: OR-Gym's
    `Box(0, capacity)` in units, here float32 (rounded down). Values outside the box are clipped.

    ## Observation Space
    `Box(0, inf)` float32. "scaled": stock [E] over start stock or the mean demand of a lead time, whichever is
    more; waiting demand and orders [m] and goods under way [P], over mean demand; t / horizon.
    "raw": OR-Gym's 33 numbers: stock, then the last max(lead_times) periods' orders, oldest first. These are
    the orders as asked for, not as shipped, and what waits is hidden: the raw vector is not Markov.

    ## Rewards
    alpha^t x (price of goods sold, to customers and between stages - order cost of goods bought, raw material
    of the last stage included - shortage cost of all unfilled demand and orders - holding of stock).

    ## Starting State
    `start_stock`; nothing under way or waiting.

    ## Episode End
    Truncation after `horizon` periods (OR-Gym: done); no termination.

    `info`: "profit", "fill_rate" sold / demand, "unmet" now, "waiting" orders of stages.

    ## Arguments
    The fields of `SerialInventoryParams`. Presets: "backlog" (InvManagement-v0), "lost" (v1).

    ## Source
    Hubbs et al., OR-Gym, arXiv 2008.06319; release 0.5.0 (MIT), whose numbers the float64 kernel repeats given
    the same demand.

    ## Version History
    v0: OR-Gym 0.5.0.
    """

    params_class = SerialInventoryParams
    presets: ClassVar[Mapping[str, Any]] = {
        "backlog": SerialInventoryParams(),
        "lost": SerialInventoryParams(backlog=False),
    }
    params: SerialInventoryParams
    render_fps = 4

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        p = self.params
        # The capacity of a link is its supplier's here, raw material included: not the network's own rule.
        self.net = NetworkMatrices(p.graph, (p.mean_demand,), self.device, self.dtype)
        self.num_stocks = len(p.start_stock)
        self.longest = max(p.lead_times)
        self.capacity = self._floats(p.capacity)
        self.shortage = self._floats(p.shortage)
        self.holding = self._floats(p.holding)
        # Of a unit shipped to stage i its buyer pays r_i, and its seller earns as much; the last stage pays r_m
        # for the raw material of what it ships.
        self.raw_cost = p.order_cost[-1]
        fixed = p.fixed_demand
        self.fixed_demand = None if fixed is None else self._floats(fixed)
        ones = [1.0] * (self.num_stocks + 1 + self.net.num_slots)
        units = self._floats(ones) * p.mean_demand
        self.observation_scale = 1.0 / torch.cat((self.net.stock_scale, units, self._floats([p.horizon])))

    def _floats(self, values: Any) -> Tensor:
        return torch.tensor(values, dtype=self.dtype, device=self.device)

    @property
    def observation_space(self) -> spaces.Box:
        """Space of the observation, see the class."""
        raw = self.num_stocks * (self.longest + 1)
        size = raw if self.params.observation == "raw" else len(self.observation_scale)
        return spaces.Box(0.0, np.inf, (size,), dtype=np.float32)

    @property
    def action_space(self) -> spaces.Box:
        """One order per stage with stock."""
        if self.params.action == "relative":
            return spaces.Box(-1.0, 1.0, (self.num_stocks,), dtype=np.float32)
        high = np.array(self.params.capacity, dtype=np.float32)
        return spaces.Box(np.zeros_like(high), high, dtype=np.float32)

    @property
    def max_episode_steps(self) -> int:
        """Periods of an episode: `horizon`."""
        return self.params.horizon

    def initial_state(self, num: int, rng: torch.Generator) -> SerialInventoryState:
        """The start stock; nothing is random."""

        def zeros(*shape: int) -> Tensor:
            return torch.zeros((num, *shape), dtype=self.dtype, device=self.device)

        return SerialInventoryState(
            t=torch.zeros(num, dtype=torch.int64, device=self.device),
            stock=self.net.start_stock.repeat(num, 1),
            pipeline=zeros(self.net.num_slots),
            waiting=zeros(self.num_stocks + 1),
            requests=zeros(self.longest, self.num_stocks),
            demand=zeros(),
            unmet=zeros(),
            profit=zeros(),
            demanded=zeros(),
            sold=zeros(),
        )

    def orders(self, action: Tensor) -> Tensor:
        """Whole units ordered by each stage [B, E]; their gradient is 0."""
        units = action.to(self.dtype)
        if self.params.action == "relative":
            units = relative_orders(units, self.net.order_scale, self.params.order_reach)
        return torch.minimum(units.clamp_min(0.0), self.capacity).floor()

    def post_decision(self, state: SerialInventoryState, action: Tensor) -> tuple[StagesSupplied, Tensor]:
        """Fill the orders, move the goods; all costs but those of customers and their stage."""
        p, net, request = self.params, self.net, self.orders(action)
        wanted = request + state.waiting[:, 1:]
        filled = torch.minimum(wanted, self.capacity)
        supply = state.stock[:, 1:]
        filled = torch.cat((torch.minimum(filled[:, :-1], supply), filled[:, -1:]), dim=1)
        under_way = torch.cat((state.pipeline, filled), dim=1)
        stock = torch.cat((state.stock[:, :1], supply - filled[:, :-1]), dim=1)
        stock = stock + under_way.index_select(1, net.arriving)
        short = wanted - filled
        cost = self.raw_cost * filled[:, -1] + short @ self.shortage[1:] + stock[:, 1:] @ self.holding[1:]
        reward = -cost * p.alpha ** state.t.to(self.dtype)
        waiting = torch.cat((state.waiting[:, :1], short if p.backlog else torch.zeros_like(short)), dim=1)
        post = StagesSupplied(
            t=state.t,
            stock=stock,
            pipeline=under_way.index_select(1, net.staying),
            waiting=waiting,
            requests=torch.cat((state.requests, request[:, None]), dim=1)[:, 1:],
            demand=state.demand,
            unmet=state.unmet,
            profit=state.profit + reward,
            demanded=state.demanded,
            sold=state.sold,
        )
        return post, reward

    def sample_exogenous(self, state: SerialInventoryState, rng: torch.Generator) -> Tensor:
        """Demand [B], whole units (fixed demand: as given)."""
        if self.fixed_demand is not None:
            return self.fixed_demand.index_select(0, state.t.clamp_max(self.params.horizon - 1))
        return torch.poisson(torch.full_like(state.demand, self.params.mean_demand), generator=rng)

    def transition(
        self, post_state: StagesSupplied, noise: Tensor | None
    ) -> tuple[SerialInventoryState, Tensor, Tensor]:
        """Meet the demand, noise [B], from the retailer's stock."""
        assert noise is not None, "transition needs the demand that sample_exogenous drew."
        p, s = self.params, post_state
        wanted = noise + s.waiting[:, 0]
        sold = torch.minimum(wanted, s.stock[:, 0])
        unmet, left = wanted - sold, s.stock[:, 0] - sold
        gain = p.price * sold - p.shortage[0] * unmet - p.holding[0] * left
        reward = gain * p.alpha ** s.t.to(self.dtype)
        waits = unmet if p.backlog else torch.zeros_like(unmet)
        state = SerialInventoryState(
            t=s.t + 1,
            stock=torch.cat((left[:, None], s.stock[:, 1:]), dim=1),
            pipeline=s.pipeline,
            waiting=torch.cat((waits[:, None], s.waiting[:, 1:]), dim=1),
            requests=s.requests,
            demand=noise,
            unmet=unmet,
            profit=s.profit + reward,
            demanded=s.demanded + noise,
            sold=s.sold + sold,
        )
        return state, reward, torch.zeros_like(state.t, dtype=torch.bool)

    def observe(self, state: SerialInventoryState) -> Tensor:
        """Observation [B, O] float32, see the class."""
        if self.params.observation == "raw":
            return torch.cat((state.stock, state.requests.flatten(1)), dim=1).to(torch.float32)
        now = state.t.to(self.dtype)[:, None]
        vector = torch.cat((state.stock, state.waiting, state.pipeline, now), dim=1)
        return vector.mul_(self.observation_scale).to(torch.float32)

    def observe_post(self, post_state: StagesSupplied) -> Tensor:
        """Observation after the orders: stock after arrivals, the new goods under way; demand is still to come."""
        return self.observe(post_state)

    def info(self, state: SerialInventoryState) -> dict[str, Tensor]:
        """Key figures of the episode so far."""
        return {
            "profit": state.profit,
            "fill_rate": torch.where(state.demanded > 0, state.sold / state.demanded, 1.0),
            "unmet": state.unmet,
            "waiting": state.waiting[:, 1:],
        }

    def render(self, state_row: SerialInventoryState) -> np.ndarray:
        """The chain with the stock of its stages as bars and the goods under way as the links' widths."""
        from rlsuite_envs.inventory.networks.network_pictures import draw_network

        s = state_row
        return draw_network(
            self.params.graph,
            self.net,
            stock=s.stock[0].tolist(),
            pipeline=s.pipeline[0].tolist(),
            demand=s.demand.tolist(),
            unmet=s.unmet.tolist(),
            title=f"period {int(s.t)} of {self.params.horizon}     profit {float(s.profit):.0f}",
        )

    def render_episode(self, states: SerialInventoryState, actions: Any, rewards: Tensor) -> np.ndarray:
        """Stock, orders, demand and sales, and profit, period by period."""
        from rlsuite_envs.inventory.networks.network_pictures import draw_episode

        fill = float(self.info(states)["fill_rate"][-1])
        return draw_episode(
            self.params.graph,
            stock=states.stock.numpy(force=True),
            orders=self.orders(actions).numpy(force=True),
            demand=states.demand[1:].numpy(force=True),
            sold=states.sold.diff().numpy(force=True),
            unmet=states.unmet[1:].numpy(force=True),
            profit=states.profit.diff().numpy(force=True),
            backlog=self.params.backlog,
            headline=f"Profit {float(states.profit[-1]):.0f}, sold of demand {fill:.1%}",
        )
