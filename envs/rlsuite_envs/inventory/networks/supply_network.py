"""Multi-echelon supply networks of any acyclic shape, equal to gym-invmgmt's CoreEnv step for step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.inventory.networks.key_figures import Totals, key_figures
from rlsuite_envs.inventory.networks.network_matrices import NetworkMatrices, relative_orders
from rlsuite_envs.inventory.networks.scenarios import PROFIT_PARTS, SCENARIOS, SupplyNetworkParams
from rlsuite_envs.inventory.objectives import objective_weights, objectives_space
from rlsuite_envs.kernel import Kernel

__all__ = ["OrdersPlaced", "SupplyNetwork", "SupplyNetworkParams", "SupplyNetworkState", "Totals"]


@dataclass(frozen=True)
class SupplyNetworkState:
    """The start of a period: N stock nodes, E order links, M market links, P periods of lead time in all."""

    t: Tensor
    """Period, [B] int64, from 0."""
    stock: Tensor
    """Units on hand, [B, N]."""
    pipeline: Tensor
    """Units under way, [B, P]: link by link, of each first what arrives in this period."""
    demand: Tensor
    """Demand of the last period, [B, M]; 0 before the first."""
    unmet: Tensor
    """Demand the last period left unmet, [B, M]: with backlog, it still waits."""
    sentiment: Tensor
    """Factor on demand in the last period, [B]; 1 without goodwill."""
    totals: Totals
    """Sums over the episode so far."""


@dataclass(frozen=True)
class OrdersPlaced(SupplyNetworkState):
    """Orders are filled and this period's goods have arrived; demand is still to come."""


class SupplyNetwork(Kernel[SupplyNetworkState, OrdersPlaced, Tensor]):
    """Order on every link of a supply network so that stock, goods under way and lost custom cost least.

    ## Description
    Raw material (unlimited) flows through factories and distributors to retailers, who sell to markets. Each
    period, in this order (the convention matters: an order of lead time L serves demand from period t + L on):

    1. Orders are filled from the supplier's stock at the start of the period, and from a factory's capacity.
       Links of one supplier are served in their order, each from what is not yet promised to those before:
       stock is never oversold. What cannot be filled is dropped, not backlogged.
    2. Goods ordered lead_time periods ago arrive (lead time 0: at once) and can be sold in this period.
    3. Sentiment moves (if goodwill), demand appears, and is met from stock, waiting demand included (if backlog).

    "assembly" only shares its name with assembly: as in the release, both components fill one stock.

    ## Action Space
    `Box(-1, 1, (E,))` float32, one per order link. 0 orders the link's share of the markets' mean demand (suppliers of
    one node share evenly), -1 nothing, 1 `order_reach` times that share; linear between.
    With `action="orders"`: gym-invmgmt's `Box(0, high, (E,))` in units, high = largest start stock + largest
    capacity x horizon. Quantities are continuous; values outside the box are clipped.

    ## Observation Space
    `Box(0, inf)` float32, size 2 M + N + P + 2 (15 for serial, 71 for divergent).

    | part | size | "scaled" divides by |
    |---|---|---|
    | last demand | M | mean demand |
    | unmet demand | M | mean demand |
    | stock on hand, by node id | N | start stock, or nominal demand over the longest lead time where that is more |
    | under way, per link with lead time, next to arrive first | P | link's share of mean demand |
    | period t | 1 | horizon |
    | sentiment | 1 | 1 |

    With `observation="raw"`: the same in units, which is gym-invmgmt's vector.

    ## Rewards
    alpha^t x (sales revenue - raw material bought - operating cost o / v per unit shipped - fixed cost per
    order - holding of stock and of goods under way, both at the end of the period - shortage cost of unmet
    demand). Prices between stock nodes cancel. Stock left at the end is worth nothing. With `objectives` a vector of
    the parts named there, costs negative; over all six they add up to the one number.

    ## Starting State
    Each node's start stock; nothing under way.

    ## Episode End
    Truncation after `horizon` periods; no termination.

    `info` (of the episode so far): "profit", "fill_rate" sold / demand, "service_level" share of periods in which
    every market was met in full, "average_inventory" per node, "inventory_turns" sold / average inventory,
    "unfulfilled" sum over periods of unmet demand, "unmet" now, "bullwhip" Var(all orders) / Var(demand),
    "bullwhip_cv" largest coefficient of variation of a link's orders / demand's, "sentiment".

    ## Arguments
    The fields of `SupplyNetworkParams`; `scenario` names a set of them.

    ## Source
    R. Barati and Q. Hu, gym-invmgmt, arXiv 2605.11355, release 0.2.1 (MIT), whose float64 numbers the float64
    kernel repeats given the same demand. The divergent network is OR-Gym's (Hubbs et al., arXiv 2008.06319).

    ## Version History
    v0: gym-invmgmt 0.2.1.
    """

    params_class = SupplyNetworkParams
    presets: ClassVar[Mapping[str, Any]] = SCENARIOS
    preset_argument: ClassVar[str] = "scenario"
    params: SupplyNetworkParams
    render_fps = 4

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        self.net = NetworkMatrices(self.params.graph, self.params.nominal_demand, self.device, self.dtype)
        table = [self.params.base_demand(t) for t in range(self.params.horizon)]
        self.demand_table = torch.tensor(table, dtype=self.dtype, device=self.device)
        self.nominal_demand = torch.tensor(self.params.nominal_demand, dtype=self.dtype, device=self.device)
        self.reward_scale = self.params.reward_scale
        one = torch.ones(1, dtype=self.dtype, device=self.device)
        parts = (self.nominal_demand, self.nominal_demand, self.net.stock_scale, self.net.pipeline_scale)
        self.observation_scale = 1.0 / torch.cat([*parts, one * self.params.horizon, one])
        self._objectives = self.params.objectives or ()
        self._weigh()

    def _weigh(self) -> None:
        """What a unit of each flow and stock pays into each objective: matrices with K columns."""
        net = self.net
        w = {
            part: torch.as_tensor(objective_weights(self._objectives, part), dtype=self.dtype).to(self.device)
            for part in PROFIT_PARTS
        }
        self._shipped_pays = -(
            net.material_cost[:, None] * w["material"] + net.operating_cost[:, None] * w["operating"]
        )
        self._fixed_pays = net.fixed_cost[:, None] * -w["ordering"]
        self._pipeline_pays = net.pipeline_holding[:, None] * -w["holding"]
        self._upstream_pays = net.upstream_holding[:, None] * -w["holding"]
        self._sold_pays = net.price[:, None] * w["revenue"] - net.sale_cost[:, None] * w["operating"]
        self._unmet_pays = net.shortage[:, None] * -w["shortage"]
        self._retail_pays = net.retail_holding[:, None] * -w["holding"]

    @property
    def observation_space(self) -> spaces.Box:
        """[demand, unmet, stock, pipeline, t, sentiment]."""
        return spaces.Box(0.0, np.inf, (len(self.observation_scale),), dtype=np.float32)

    @property
    def action_space(self) -> spaces.Box:
        """One order per order link."""
        if self.params.action == "relative":
            return spaces.Box(-1.0, 1.0, (self.net.num_orders,), dtype=np.float32)
        return spaces.Box(0.0, self.max_order, (self.net.num_orders,), dtype=np.float32)

    @property
    def reward_dim(self) -> int | None:
        """Number of `objectives`; None without any."""
        return len(self._objectives) or None

    @property
    def reward_space(self) -> spaces.Box | None:
        """Costs are at most 0, revenue at least 0."""
        return objectives_space(self._objectives, ("revenue",), self._reward_dtype) if self._objectives else None

    @property
    def objective_names(self) -> tuple[str, ...]:
        """The entries of `objectives`."""
        return self._objectives

    @property
    def max_order(self) -> float:
        """Bound of `action="orders"`, units."""
        nodes = self.params.graph.stock_nodes
        start, capacity = max(n.stock or 0.0 for n in nodes), max(n.capacity or 0.0 for n in nodes)
        return max(start + capacity * self.params.horizon, 1.0)

    @property
    def max_episode_steps(self) -> int:
        """Periods of an episode: `horizon`."""
        return self.params.horizon

    def initial_state(self, num: int, rng: torch.Generator) -> SupplyNetworkState:
        """The start stock; nothing is random."""
        net = self.net

        def zeros(*shape: int) -> Tensor:
            return torch.zeros((num, *shape), dtype=self.dtype, device=self.device)

        totals = Totals.none(zeros(), zeros(net.num_orders))
        return SupplyNetworkState(
            torch.zeros(num, dtype=torch.int64, device=self.device),
            net.start_stock.repeat(num, 1),
            zeros(net.num_slots),
            zeros(net.num_markets),
            zeros(net.num_markets),
            torch.ones(num, dtype=self.dtype, device=self.device),
            totals,
        )

    def orders(self, action: Tensor) -> Tensor:
        """Units ordered on each link [B, E] by actions [B, E]."""
        if self.params.action == "orders":
            return action.to(self.dtype).clamp(0.0, self.max_order)
        return relative_orders(action.to(self.dtype), self.net.order_scale, self.params.order_reach)

    def post_decision(self, state: SupplyNetworkState, action: Tensor) -> tuple[OrdersPlaced, Tensor]:
        """Fill the orders, move the goods, and pay for both and for the stock of nodes without a market."""
        net, order = self.net, self.orders(action)
        filled = net.fill(order, state.stock)
        under_way = torch.cat((state.pipeline, filled), dim=1)
        pipeline = under_way.index_select(1, net.staying)
        # Orders leave the stock of the start of the period: nothing that arrives now is passed on.
        left = torch.addmm(state.stock, filled, net.used, alpha=-1.0).clamp_min(0.0)
        stock = torch.addmm(left, under_way.index_select(1, net.arriving), net.received)
        cost = filled @ net.order_cost + pipeline @ net.pipeline_holding + stock @ net.upstream_holding
        if net.has_fixed_cost:
            cost = cost + (filled > 0).to(self.dtype) @ net.fixed_cost
        profit = self._discounted(-cost, state.t)
        before = state.totals
        totals = replace(
            before,
            profit=before.profit + profit,
            orders=before.orders + order,
            order_squares=before.order_squares + order.square(),
            total_order_squares=before.total_order_squares + order.sum(1).square(),
        )
        sentiment = self._sentiment(state)
        if self._objectives:
            vector = filled @ self._shipped_pays + pipeline @ self._pipeline_pays + stock @ self._upstream_pays
            if net.has_fixed_cost:
                vector = vector + (filled > 0).to(self.dtype) @ self._fixed_pays
            profit = self._discounted(vector, state.t[:, None])
        post = OrdersPlaced(state.t, stock, pipeline, state.demand, state.unmet, sentiment, totals)
        return post, self._reward(profit)

    def mean_demand(self, state: SupplyNetworkState) -> Tensor:
        """Mean of the demand this period brings [B, M], known before the orders (fixed demand: itself)."""
        p = self.params
        mean = self.demand_table.index_select(0, state.t.clamp_max(p.horizon - 1))
        if p.goodwill:
            mean = mean * self._sentiment(state)[:, None]
        if p.fixed_demand is not None:
            return mean
        return mean.clamp_min(0.1 if p.external_series is None else 0.0)

    def sample_exogenous(self, state: SupplyNetworkState, rng: torch.Generator) -> Tensor:
        """Demand of the markets [B, M], units."""
        p, mean = self.params, self.mean_demand(state)
        if p.fixed_demand is not None or p.noise_scale == 0.0:
            return mean
        if p.distribution == "poisson":
            draw = torch.poisson(mean, generator=rng)
        elif p.distribution == "normal":
            normal = torch.randn(mean.shape, generator=rng, dtype=self.dtype, device=self.device)
            draw = mean + mean.clamp_min(0.1).sqrt() * normal
        else:
            draw = 2.0 * mean * torch.rand(mean.shape, generator=rng, dtype=self.dtype, device=self.device)
        if p.noise_scale != 1.0:
            draw = mean + p.noise_scale * (draw - mean)
        return draw.clamp_min(0.0) if p.distribution == "normal" or p.noise_scale > 1.0 else draw

    def transition(self, post_state: OrdersPlaced, noise: Tensor | None) -> tuple[SupplyNetworkState, Tensor, Tensor]:
        """Meet the demand, noise [B, M], from stock; earn the sales, pay for shortage and retailers' stock."""
        assert noise is not None, "transition needs the demand that sample_exogenous drew."
        net, demand = self.net, noise
        wanted = demand + post_state.unmet if self.params.backlog else demand
        sold = net.sell(wanted, post_state.stock)
        unmet = wanted - sold
        stock = torch.addmm(post_state.stock, sold, net.sold_from, alpha=-1.0).clamp_min(0.0)
        gain = sold @ net.margin - unmet @ net.shortage - stock @ net.retail_holding
        profit = self._discounted(gain, post_state.t)
        before, total_demand, total_unmet = post_state.totals, demand.sum(1), unmet.sum(1)
        totals = replace(
            before,
            profit=before.profit + profit,
            demand=before.demand + total_demand,
            demand_squares=before.demand_squares + total_demand.square(),
            sold=before.sold + sold.sum(1),
            unmet=before.unmet + total_unmet,
            served=before.served + (total_unmet <= 0.0),
            stock=before.stock + stock.sum(1),
        )
        state = SupplyNetworkState(
            post_state.t + 1, stock, post_state.pipeline, demand, unmet, post_state.sentiment, totals
        )
        if self._objectives:
            vector = sold @ self._sold_pays + unmet @ self._unmet_pays + stock @ self._retail_pays
            profit = self._discounted(vector, post_state.t[:, None])
        return state, self._reward(profit), torch.zeros_like(state.t, dtype=torch.bool)

    def observe(self, state: SupplyNetworkState) -> Tensor:
        """The vector of the table above, [B, 2 M + N + P + 2]."""
        last = torch.stack((state.t.to(self.dtype), state.sentiment), dim=1)
        vector = torch.cat((state.demand, state.unmet, state.stock, state.pipeline, last), dim=1)
        if self.params.observation == "scaled":
            vector = vector.mul_(self.observation_scale)
        return vector.to(torch.float32)

    def observe_post(self, post_state: OrdersPlaced) -> Tensor:
        """Observation after the orders: stock after arrivals, new pipeline, the sentiment that demand will follow."""
        return self.observe(post_state)

    def info(self, state: SupplyNetworkState) -> dict[str, Tensor]:
        """Key figures of the episode so far."""
        return {
            **key_figures(state.totals, state.t, self.net.num_nodes),
            "unmet": state.unmet.sum(1),
            "sentiment": state.sentiment,
        }

    def render(self, state_row: SupplyNetworkState) -> np.ndarray:
        """The network with the stock of its nodes as bars and the goods under way as the links' widths."""
        from rlsuite_envs.inventory.networks.network_pictures import draw_network

        p, s = self.params, state_row
        title = f"period {int(s.t)} of {p.horizon}     profit {float(s.totals.profit):.0f}"
        if p.goodwill:
            title += f"     sentiment {float(s.sentiment):.2f}"
        rows = {name: getattr(s, name)[0].tolist() for name in ("stock", "pipeline", "demand", "unmet")}
        return draw_network(p.graph, self.net, **rows, title=title)

    def render_episode(self, states: SupplyNetworkState, actions: Any, rewards: Tensor) -> np.ndarray:
        """Stock, orders, demand and sales, and profit, period by period."""
        from rlsuite_envs.inventory.networks.network_pictures import draw_episode

        figures = {name: float(value[-1]) for name, value in self.info(states).items()}
        return draw_episode(
            self.params.graph,
            stock=states.stock.numpy(force=True),
            orders=self.orders(actions).numpy(force=True),
            demand=states.demand[1:].sum(1).numpy(force=True),
            sold=states.totals.sold.diff().numpy(force=True),
            unmet=states.unmet[1:].sum(1).numpy(force=True),
            profit=states.totals.profit.diff().numpy(force=True),
            backlog=self.params.backlog,
            headline=(
                f"Profit {figures['profit']:.0f}, sold of demand {figures['fill_rate']:.1%}, periods without shortage "
                f"{figures['service_level']:.1%}, average stock {figures['average_inventory']:.0f}, "
                f"bullwhip {figures['bullwhip']:.3g}"
            ),
        )

    def _discounted(self, amount: Tensor, t: Tensor) -> Tensor:
        return amount if self.params.alpha == 1.0 else amount * self.params.alpha ** t.to(self.dtype)

    def _reward(self, profit: Tensor) -> Tensor:
        return profit if self.reward_scale == 1.0 else profit * self.reward_scale

    def _sentiment(self, state: SupplyNetworkState) -> Tensor:
        """Sentiment [B] in this period, after the last one's unmet demand."""
        p, old = self.params, state.sentiment
        if not p.goodwill:
            return old
        better, worse = old * p.goodwill_growth, old * p.goodwill_decay
        moved = torch.where(state.unmet.sum(1) > 0, worse.clamp_min(p.goodwill_floor), better.clamp_max(p.goodwill_cap))
        return torch.where(state.t > 0, moved, old)
