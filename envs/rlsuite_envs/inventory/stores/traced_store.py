"""One store whose demand comes from recorded series: HDPO's setting for real data, without the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.checks import MOST, check_flag, check_integer, check_non_negative, check_ordered
from rlsuite_envs.inventory.stores.ordering import ORDER_LIMIT, OrderingKernel, OrderingParams
from rlsuite_envs.inventory.stores.pipeline import advance, place, serve, slot_masks

__all__ = ["TracedStore", "TracedStoreParams", "TracedStoreState", "stand_in_traces"]


@dataclass(frozen=True)
class TracedStoreParams(OrderingParams):
    """Constants; the defaults are HDPO's weekly setting, but for the data."""

    horizon: int = 50
    """Periods of an episode, >= 1."""
    max_order: float = 4.0
    """Largest order of the scaled actions, in mean past demands of the series, > 0."""
    traces: str | tuple[tuple[float, ...], ...] = ()
    """Demand [N series][P periods], units >= 0, with P >= history + horizon: a nested sequence, an array, or the path
    of a .npy file (for large data). Empty: the made-up series of `stand_in_traces`, to try things out."""
    history: int = 16
    """Past demands that are observed, >= 1."""
    random_start: bool = True
    """Episodes start anywhere in their series; else as early as the history allows."""
    lead_time_low: int = 4
    """Shortest lead time of an episode, periods, >= 1."""
    lead_time_high: int = 6
    """Longest lead time of an episode, periods; lead times are uniform between shortest and longest."""
    penalty_low: float = 6.3
    """Lowest price (or penalty) p of an episode, >= 0."""
    penalty_high: float = 11.7
    """Highest price (or penalty) p of an episode; uniform between lowest and highest."""
    holding: float = 1.0
    """Cost h of a unit left over at the end of a period, >= 0."""
    profit: bool = True
    """The reward is p * sales - h * left over, instead of -(p * lost + h * left over)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer(self, "history", 1, MOST)
        check_integer(self, "lead_time_low", 1, MOST)
        check_integer(self, "lead_time_high", 1, MOST)
        check_ordered(self, "lead_time_low", "lead_time_high")
        check_non_negative(self, "penalty_low", "penalty_high", "holding")
        check_ordered(self, "penalty_low", "penalty_high")
        check_flag(self, "random_start", "profit")
        if isinstance(self.traces, np.ndarray | list):
            rows = self.traces.tolist() if isinstance(self.traces, np.ndarray) else self.traces
            kept = tuple(tuple(row) if isinstance(row, tuple | list) else row for row in rows)
            object.__setattr__(self, "traces", kept)
        array = self.array()
        needed = self.history + self.horizon
        if array.shape[1] < needed:
            raise ValueError(
                f"traces have {array.shape[1]} periods but history={self.history} and horizon={self.horizon} need at "
                f"least {needed}; shorten these, or give longer series."
            )

    def array(self) -> np.ndarray:
        """The series, [N, P] float64."""
        source = f"traces={self.traces!r}" if isinstance(self.traces, str) else "traces"
        if isinstance(self.traces, str) and not Path(self.traces).is_file():
            raise ValueError(f"{source} is not a file; give the path of a .npy file, or the numbers themselves.")
        try:
            if isinstance(self.traces, str):
                array = np.asarray(np.load(self.traces, allow_pickle=False), dtype=np.float64)
            else:
                array = np.array(self.traces or stand_in_traces(), dtype=np.float64)
        except (ValueError, TypeError, EOFError) as error:
            raise ValueError(f"{source} must be numbers, with all series of the same length: {error}.") from error
        if array.ndim != 2 or array.size == 0:
            raise ValueError(f"{source} have shape {array.shape} but must be [series, periods], neither of them 0.")
        if not np.isfinite(array).all() or (array < 0).any():
            wrong = np.argwhere(~np.isfinite(array) | (array < 0))[0]
            raise ValueError(
                f"traces[{wrong[0]}][{wrong[1]}]={array[tuple(wrong)]} must be a finite number of at least 0."
            )
        if not array.any():
            raise ValueError(f"{source} hold no demand at all; give series with some.")
        return array


@cache
def stand_in_traces(num_series: int = 32, num_periods: int = 156) -> tuple[tuple[float, ...], ...]:
    """Made-up weekly sales [N][P], always the same: levels that differ, a yearly season, Poisson noise."""
    rng = np.random.RandomState(57)
    level = rng.lognormal(3.0, 0.7, (num_series, 1))
    season = 1 + 0.4 * np.sin(2 * np.pi * (np.arange(num_periods) / 52 + rng.rand(num_series, 1)))
    sales = rng.poisson(level * season * rng.gamma(10.0, 0.1, (num_series, num_periods))).astype(float)
    return tuple(map(tuple, sales.tolist()))


@dataclass(frozen=True)
class TracedStoreState:
    """A store with its series; S = lead_time_high + 1, H = history."""

    inventory: Tensor
    """[B, S] units: on hand, then arriving in 1, 2, ... periods."""
    past: Tensor
    """[B, H] units: the last demands, newest last."""
    series: Tensor
    """[B] int64, index of the series."""
    period: Tensor
    """[B] int64, index of the coming demand in it."""
    scale: Tensor
    """[B] units: mean demand in the H periods before the start, at least a tenth of all series' mean."""
    lead_time: Tensor
    """[B] int64, periods from order to arrival."""
    penalty: Tensor
    """[B] price or penalty per unit."""
    demand: Tensor
    """[B] units of the last period's demand; 0 at the start."""
    short: Tensor
    """[B] units of the last period's demand that were lost."""
    cost: Tensor
    """[B] cost (minus the reward) of the last period."""


class TracedStore(OrderingKernel[TracedStoreState]):
    """Order for one store whose demand is read from recorded series, lost when it runs out.

    ## Description
    As `LostSales`, with the same order of events, but the demand of each episode is a stretch of one of the given
    series, whatever is ordered, and lead time and price are drawn per episode. The agent sees past demand only. No data
    comes with it: pass your own (HDPO's are weekly sales of the Favorita competition).

    ## Action Space
    `Box(-1, 1, (1,))` float32: -1 orders nothing, 1 orders `max_order` times the series' mean demand before the start.
    With `actions="orders"`: units >= 0. Values outside are clipped.

    ## Observation Space
    `Box(S + H + 2,)` float32: stock on hand, the units arriving in 1 .. S - 1 periods, the last H demands (newest
    last), all in mean demands before the start (`observation="raw"`: in units); then lead time and price, each divided
    by its largest value.

    ## Rewards
    p min(x0, d) - h (x0 - d)^+ per period, all of it after the decision; with `profit=False`
    -(p (d - x0)^+ + h (x0 - d)^+), which differs by p d only.

    ## Starting State
    A series, a first period, lead time and price, all uniform. The store is empty, and nothing is on its way.

    ## Episode End
    Termination: never. Truncation: `horizon` periods, 50 by default. (Beyond the end of a series its last demand
    repeats.)

    ## Arguments
    The fields of `TracedStoreParams`.

    `info` has cost, demand, short, on_hand, position, lead_time, penalty and series [B].

    Source: Alvo, Russo, Kanoria, Lee, arXiv 2306.11246 (HDPO), one store with real demand. Its past orders, past
    arrivals and calendar are not observed here.

    ## Version History
    v0: first.
    """

    params_class = TracedStoreParams
    params: TracedStoreParams

    def __init__(self, params: TracedStoreParams | None = None, **kwargs: Any) -> None:
        super().__init__(params, **kwargs)
        p = self.params
        self._traces = self._numbers(p.array())
        self._num_slots = p.lead_time_high + 1
        # On the CPU once, so that no step asks the device for a number.
        self._mean = float(self._traces.mean())
        self.order_units = self._numbers([self._mean])
        self.stock_units = self.order_units.repeat(self._num_slots)
        self._constant_units = self._numbers([p.lead_time_high, p.penalty_high or 1.0])
        self.lowest_observation = 0.0

    @property
    def observation_space(self) -> spaces.Box:
        """Stock and pipeline, past demands, lead time and price."""
        return spaces.Box(0.0, np.inf, (self._num_slots + self.params.history + 2,), dtype=np.float32)

    def initial_state(self, num: int, rng: torch.Generator) -> TracedStoreState:
        """An empty store somewhere in a series."""
        p = self.params

        def integers(low: int, high: int) -> Tensor:
            return torch.randint(low, high, (num,), generator=rng, device=self.device)

        num_series, num_periods = self._traces.shape
        series = integers(0, num_series)
        last_start = num_periods - p.horizon if p.random_start else p.history
        period = integers(p.history, last_start + 1)
        lead_time = integers(p.lead_time_low, p.lead_time_high + 1)
        draws = torch.rand(num, generator=rng, device=self.device, dtype=self.dtype)
        before = period.unsqueeze(1) + torch.arange(-p.history, 0, device=self.device)
        past = self._traces[series.unsqueeze(1), before]
        zeros = torch.zeros_like(draws)
        return TracedStoreState(
            inventory=zeros.unsqueeze(1).repeat(1, self._num_slots),
            past=past,
            series=series,
            period=period,
            scale=past.mean(1).clamp_min(0.1 * self._mean),
            lead_time=lead_time,
            penalty=p.penalty_low + draws * (p.penalty_high - p.penalty_low),
            demand=zeros,
            short=zeros,
            cost=zeros,
        )

    def sample_exogenous(self, state: TracedStoreState, rng: torch.Generator) -> Tensor:
        """The series' demand of the period, [B, 1] units; nothing is drawn."""
        period = state.period.clamp_max(self._traces.shape[1] - 1)
        return self._traces[state.series, period].unsqueeze(1)

    def orders(self, state: TracedStoreState, action: Tensor) -> Tensor:
        """The order, [B, 1] units."""
        action = action.to(self.dtype)
        if self.params.actions == "orders":
            return action.clamp(0, ORDER_LIMIT * self._mean)
        return (action.clamp(-1, 1) + 1) * (0.5 * self.params.max_order * state.scale).unsqueeze(1)

    def post_decision(self, state: TracedStoreState, action: Tensor) -> tuple[TracedStoreState, None]:
        """The order is on its way."""
        mask = slot_masks(state.lead_time, self._num_slots).to(self.dtype)
        inventory = place(state.inventory, self.orders(state, action)[:, 0], mask)
        return TracedStoreState(**{**vars(state), "inventory": inventory}), None

    def transition(self, post_state: TracedStoreState, noise: Tensor | None) -> tuple[TracedStoreState, Tensor, Tensor]:
        """Demand [B, 1] comes, then the pipeline moves."""
        assert noise is not None, "The noise of a store is its demand; see sample_exogenous."
        demand = noise[:, 0]
        left, over, short = serve(post_state.inventory[:, 0], demand, lost=True)
        charged = short - demand if self.params.profit else short
        cost = self.params.holding * over + post_state.penalty * charged
        changed = {
            "inventory": advance(post_state.inventory, left),
            "past": torch.cat((post_state.past[:, 1:], noise), dim=1),
            "period": post_state.period + 1,
            "demand": demand,
            "short": short,
            "cost": cost,
        }
        state = TracedStoreState(**{**vars(post_state), **changed})
        return state, -cost, torch.zeros_like(cost, dtype=torch.bool)

    def slots(self, state: TracedStoreState) -> Tensor:
        """Stock and pipeline, [B, S]."""
        return state.inventory

    def observe(self, state: TracedStoreState) -> Tensor:
        """Stock, past demands and the episode's constants, float32."""
        amounts = torch.cat((state.inventory, state.past), dim=1)
        if self.params.observation == "scaled":
            amounts = amounts / state.scale.unsqueeze(1)
        constants = torch.stack((state.lead_time.to(self.dtype), state.penalty), dim=1) / self._constant_units
        return torch.cat((amounts, constants), dim=1).to(torch.float32)

    def info(self, state: TracedStoreState) -> dict[str, Tensor]:
        """Quantities of the last period, the stock now, and the episode's constants."""
        return {
            "cost": state.cost,
            "demand": state.demand,
            "short": state.short,
            "on_hand": state.inventory[:, 0],
            "position": state.inventory.sum(1),
            "lead_time": state.lead_time,
            "penalty": state.penalty,
            "series": state.series,
        }

    def stock_by_place(self, state: TracedStoreState) -> Mapping[str, Tensor]:
        """The store."""
        return {"store": state.inventory}

    def order_names(self) -> tuple[str, ...]:
        """One order."""
        return ("store",)

    def place_units(self) -> Mapping[str, float]:
        """The mean of all series."""
        return {"store": self._mean}
