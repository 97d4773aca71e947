"""An office building of nine zones with nine objectives: comfort, energy and ramping of each of three floors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.kernel import Kernel
from rlsuite_envs.multi_objective.building_params import NineZoneBuildingParams
from rlsuite_envs.multi_objective.heat_network import step_matrices

__all__ = ["FLOORS", "ZONES", "NineZoneBuilding", "NineZoneBuildingParams", "NineZoneBuildingState"]

FLOORS = 3
PER_FLOOR = 3
ZONES = FLOORS * PER_FLOOR
HOURS_PER_WEEK = 168
HOURS_PER_YEAR = 8760
SCALE = 10.0
"""Temperatures are observed as deviations from the target, in units of this, K."""


@dataclass(frozen=True)
class NineZoneBuildingState:
    """The building at the start of an hour; also the post-decision state, at its end under the old weather."""

    temperature: Tensor
    """[B, 9] float, degrees Celsius; floor after floor from the ground, on each west, middle, east."""
    action: Tensor
    """[B, 9] float, air conditioning of the last hour, in [-1, 1]; 0 at the start."""
    hour: Tensor
    """[B] int64, hours since the first of January, a Monday, at midnight; goes on beyond the year's 8760."""
    weather: Tensor
    """[B, 3] float, standard normal deviations behind outdoor temperature, sky and price of this hour."""


class NineZoneBuilding(Kernel[NineZoneBuildingState, NineZoneBuildingState, Tensor]):
    """Heat and cool nine zones: comfort, energy and even load, floor by floor, under weather and changing prices.

    ## Description
    Three floors of three zones (west, middle, east) store heat and exchange it with their neighbours through walls and
    ceilings, with the outside through facades and roof, and with the soil. People and machines, the sun (east zones in
    the morning, middle zones at noon, west zones in the afternoon) and the air conditioning heat them; the air
    conditioning can cool, too. Over an hour all sources are constant, and the linear equations of heat are solved
    exactly:

        C dT_i/dt = sum_j g_ij (T_j - T_i) + f_i (T_outside - T_i) + s_i (T_soil - T_i) + gains_i + P a_i.

    Weather and price are a course of day, week and year plus noise, which a seed repeats: three independent processes
    z' = m z + sqrt(1 - m^2) e with standard normal e, started in their stationary distribution. Outdoor temperature is
    mean - year cos(2 pi (hour - 480) / 8760) + day cos(2 pi (hour - 15) / 24) + noise z; the sky's clearness, a factor
    on the sun, 1 / (1 + exp(-1.5 z)); the price that of the hour of the day times 1 + price_noise tanh(z). The sun is
    max(0, cos(pi (clock - best) / 10)) with best = 10, 12, 14 in east, middle, west (clock: the middle of the hour),
    times 0.6 - 0.4 cos(2 pi (hour + 240) / 8760).

    ## Action Space
    `Box(-1, 1, (9,))` float32: air conditioning of each zone as a share of `max_power`, positive heats, negative cools;
    clipped.

    ## Observation Space
    `Box(21,)` float32, everything that the future depends on, of order one.

    | index | meaning | min | max |
    |---|---|---|---|
    | 0-8 | temperature of the zones, from the target, in 10 K | -inf | inf |
    | 9 | outdoor temperature, from the target, in 10 K | -inf | inf |
    | 10 | clearness of the sky | 0 | 1 |
    | 11 | price, as a share of the highest possible | 0 | 1 |
    | 12, 13 | sine and cosine of the time of day | -1 | 1 |
    | 14, 15 | of the time of week, from Monday | -1 | 1 |
    | 16, 17 | of the time of year | -1 | 1 |
    | 18-20 | last power of each floor, as a share of its most | 0 | 1 |

    ## Rewards
    [9] per step, each in [0, 3], for floor 1, 2, 3 (k = 3 zones each):

    - comfort (0-2): sum over zones of max(0, 1 - |T - target| / comfort_range), T at the end of the hour;
    - energy (3-5): k - price / highest possible price x sum of |a|;
    - ramping (6-8): k - | sum of |a| now - sum of |a| in the hour before |.

    With `objectives="building"` [3], each in [0, 9]: the same three with k = 9 for all zones. Comfort and energy are
    the sums of the floors'; ramping may be more than their sum, since floors can take turns. Means per step, of air
    conditioning that is off, or a share a = gain (target - T), at any time or at a price below 0.2 EUR/kWh only:

    | rule | comfort | energy | ramping |
    |---|---|---|---|
    | off | 5.89 | 9.00 | 9.00 |
    | gain 0.1 | 8.29 | 8.44 | 8.83 |
    | gain 0.5 | 8.81 | 8.26 | 8.74 |
    | gain 0.5, cheap hours | 8.68 | 8.45 | 8.07 |

    ## Starting State
    Any hour of `start_days`; zones within `start_spread` of the target; air conditioning off before.

    ## Episode End
    Termination: never. Truncation: `horizon` (480) hours.

    ## Information
    `deviation`: mean of |T - target|, K; `power`: heat moved in the last hour, kW; `outdoor`, degrees Celsius; `price`,
    EUR/kWh.

    ## Arguments
    The fields of `NineZoneBuildingParams`. Presets: "3obj" (the three objectives of the whole), "winter" (starts in
    January) and "summer" (starts in July), both with nine.

    ## Source
    Stands in for the office building of 23 zones on which C-MORL was measured (Liu et al., ICLR 2025, arXiv
    2410.02236), SustainGym's (Yeh et al., NeurIPS 2023) with objectives of its own, which needs weather and building
    files from the network. Results are not comparable. Length, actions and objectives follow it, but: nine zones of
    ours, constants and synthetic weather instead of files; nine objectives weight energy with the price, as three do
    (there with three only), and are of the same scale as those; comfort is cut at 0, for bounded rewards; the first
    hour's ramp is from air conditioning that was off (there: 0); everything random comes from the seed; observations
    tell all that the future depends on.

    ## Version History
    v0: first.
    """

    params_class = NineZoneBuildingParams
    params: NineZoneBuildingParams
    presets: ClassVar[Mapping[str, Any]] = {
        "3obj": NineZoneBuildingParams(objectives="building"),
        "winter": NineZoneBuildingParams(start_days=(0, 30)),
        "summer": NineZoneBuildingParams(start_days=(181, 211)),
    }
    render_fps = 6

    def __init__(
        self, params: Any = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, device=device, dtype=dtype)
        capacity, exchange, losses = self.network()
        keep, heat = step_matrices(capacity, exchange, losses, hours=1.0)
        self._keep = self._numbers(keep.T)
        self._heat = self._numbers(heat.T)
        self._outdoor_loss, self._soil_heat = (
            self._numbers(losses[:, 0]),
            self._numbers(losses[:, 1] * self.params.soil),
        )
        p, hours = self.params, np.arange(HOURS_PER_WEEK)
        clock, workday = hours % 24, hours < 120
        best = np.tile([14.0, 12.0, 10.0], FLOORS)
        sun = np.maximum(0.0, np.cos(np.pi * (clock[:, None] + 0.5 - best) / 10)) * p.solar_gain
        self._sun = self._numbers(sun)
        occupied = workday & (clock >= 8) & (clock < 18)
        self._gains = self._numbers(p.base_gain + p.occupancy_gain * occupied)[:, None]
        prices = np.array(p.prices)[clock] * np.where(workday, 1.0, p.weekend_price)
        self.highest_price = float(np.max(prices)) * (1 + p.price_noise)
        """Highest price that can occur, EUR/kWh."""
        self._prices = self._numbers(prices)
        memory = torch.tensor([p.outdoor_memory, p.sky_memory, p.price_memory], dtype=torch.float64)
        self._memory, self._news = self._numbers(memory), self._numbers((1 - memory.square()).sqrt())

    def _numbers(self, values: Any) -> Tensor:
        return torch.as_tensor(values, dtype=self.dtype).to(self.device).contiguous()

    def network(self) -> tuple[Tensor, Tensor, Tensor]:
        """Heat capacities [9] kWh/K, conductances between zones [9, 9] and to outside and soil [9, 2] kW/K, float64."""
        p = self.params
        exchange, losses = torch.zeros(ZONES, ZONES, dtype=torch.float64), torch.zeros(ZONES, 2, dtype=torch.float64)
        for zone in range(ZONES):
            level, place = divmod(zone, PER_FLOOR)
            if place + 1 < PER_FLOOR:
                exchange[zone, zone + 1] = exchange[zone + 1, zone] = p.wall
            if level + 1 < FLOORS:
                exchange[zone, zone + PER_FLOOR] = exchange[zone + PER_FLOOR, zone] = p.ceiling
            facade = p.facade_middle if place == 1 else p.facade_outer
            losses[zone, 0] = facade + (p.roof if level == FLOORS - 1 else 0.0)
            losses[zone, 1] = p.floor if level == 0 else 0.0
        return torch.full((ZONES,), p.capacity, dtype=torch.float64), exchange, losses

    @property
    def observation_space(self) -> spaces.Box:
        """Temperatures, weather, price, time, last power."""
        low = np.array([-np.inf] * 10 + [0.0] * 2 + [-1.0] * 6 + [0.0] * FLOORS, np.float32)
        return spaces.Box(low, np.array([np.inf] * 10 + [1.0] * 11, np.float32), dtype=np.float32)

    @property
    def action_space(self) -> spaces.Box:
        """Heating or cooling of each zone."""
        return spaces.Box(-1.0, 1.0, (ZONES,), dtype=np.float32)

    @property
    def reward_dim(self) -> int:
        """9, or 3 for the whole building."""
        return 9 if self.params.objectives == "floors" else 3

    @property
    def reward_space(self) -> spaces.Box:
        """From 0 to the number of zones that an objective counts."""
        return spaces.Box(0.0, 27.0 / self.reward_dim, (self.reward_dim,), dtype=self._reward_dtype)

    @property
    def objective_names(self) -> tuple[str, ...]:
        """Comfort, energy and ramping, of the floors or of the whole."""
        kinds = ("comfort", "energy", "ramping")
        if self.params.objectives == "building":
            return kinds
        return tuple(f"{kind} floor {level + 1}" for kind in kinds for level in range(FLOORS))

    def initial_state(self, num: int, rng: torch.Generator) -> NineZoneBuildingState:
        """A time of the year, its weather, and zones near the target."""
        p, where = self.params, {"generator": rng, "device": self.device}
        first, last = p.start_days
        hour = torch.randint(24 * first, 24 * (last + 1), (num,), **where)  # type: ignore[call-overload]
        weather = torch.randn((num, 3), dtype=self.dtype, **where)  # type: ignore[call-overload]
        spread = torch.rand((num, ZONES), dtype=self.dtype, **where)  # type: ignore[call-overload]
        temperature = p.target + p.start_spread * (2 * spread - 1)
        return NineZoneBuildingState(temperature, torch.zeros_like(temperature), hour, weather)

    def outdoor(self, state: NineZoneBuildingState) -> Tensor:
        """Outdoor temperature of this hour [B], degrees Celsius."""
        p, hour = self.params, state.hour.to(self.dtype)
        year = torch.cos((hour - 480) * (2 * math.pi / HOURS_PER_YEAR))
        day = torch.cos(((state.hour % 24).to(self.dtype) - 15) * (2 * math.pi / 24))
        return p.outdoor_mean - p.outdoor_year * year + p.outdoor_day * day + p.outdoor_noise * state.weather[:, 0]

    def clearness(self, state: NineZoneBuildingState) -> Tensor:
        """Clearness of the sky [B], in (0, 1)."""
        return torch.sigmoid(1.5 * state.weather[:, 1])

    def price(self, state: NineZoneBuildingState) -> Tensor:
        """Price of this hour [B], EUR/kWh."""
        mean = self._prices.index_select(0, state.hour % HOURS_PER_WEEK)
        return mean * (1 + self.params.price_noise * torch.tanh(state.weather[:, 2]))

    def gains(self, state: NineZoneBuildingState) -> Tensor:
        """Heat of people, machines and sun in this hour [B, 9], kW."""
        week = state.hour % HOURS_PER_WEEK
        season = 0.6 - 0.4 * torch.cos((state.hour.to(self.dtype) + 240) * (2 * math.pi / HOURS_PER_YEAR))
        sun = self._sun.index_select(0, week) * (season * self.clearness(state))[:, None]
        return self._gains.index_select(0, week) + sun

    def post_decision(self, state: NineZoneBuildingState, action: Tensor) -> tuple[NineZoneBuildingState, Tensor]:
        """The zones an hour later, and all of the reward: the weather of this hour is known."""
        p, action = self.params, action.to(self.dtype).clamp(-1.0, 1.0)
        sources = torch.addcmul(self._soil_heat, self._outdoor_loss, self.outdoor(state)[:, None])
        sources = sources + self.gains(state) + p.max_power * action
        temperature = state.temperature @ self._keep + sources @ self._heat
        comfort = (1 - (temperature - p.target).abs() / p.comfort_range).clamp_min(0.0)
        used, before = self._per_part(action.abs()), self._per_part(state.action.abs())
        most = ZONES * 3 // self.reward_dim
        share = (self.price(state) / self.highest_price)[:, None]
        parts = (self._per_part(comfort), most - share * used, most - (used - before).abs())
        return NineZoneBuildingState(temperature, action, state.hour + 1, state.weather), torch.cat(parts, 1)

    def _per_part(self, zones: Tensor) -> Tensor:
        """Sums over the zones [B, 9] of each floor [B, 3], or of the whole [B, 1]."""
        return zones.unflatten(1, (self.reward_dim // 3, -1)).sum(2)

    def sample_exogenous(self, state: NineZoneBuildingState, rng: torch.Generator) -> Tensor:
        """News of outdoor temperature, sky and price [B, 3], standard normal."""
        return torch.randn(state.weather.shape, generator=rng, dtype=self.dtype, device=self.device)

    def transition(
        self, post_state: NineZoneBuildingState, noise: Tensor | None
    ) -> tuple[NineZoneBuildingState, None, Tensor]:
        """The weather of the next hour; the episode never terminates."""
        assert noise is not None, "transition needs the news that sample_exogenous drew."
        weather = self._memory * post_state.weather + self._news * noise
        state = NineZoneBuildingState(post_state.temperature, post_state.action, post_state.hour, weather)
        return state, None, torch.zeros_like(state.hour, dtype=torch.bool)

    def observe(self, state: NineZoneBuildingState) -> Tensor:
        """The vector of the table, [B, 21] float32."""
        p = self.params
        angles = torch.stack([(state.hour % n) * (2 * math.pi / n) for n in (24, HOURS_PER_WEEK, HOURS_PER_YEAR)], 1)
        clock = torch.stack((angles.sin(), angles.cos()), 2).flatten(1)
        now = torch.stack(
            ((self.outdoor(state) - p.target) / SCALE, self.clearness(state), self.price(state) / self.highest_price), 1
        )
        power = state.action.abs().unflatten(1, (FLOORS, PER_FLOOR)).mean(2)
        return torch.cat(((state.temperature - p.target) / SCALE, now, clock, power), 1).to(torch.float32)

    def observe_post(self, post_state: NineZoneBuildingState) -> Tensor:
        """The zones and the clock an hour later, the deviations of the weather as they were."""
        return self.observe(post_state)

    def info(self, state: NineZoneBuildingState) -> dict[str, Tensor]:
        """Deviation, power, outdoor temperature and price."""
        return {
            "deviation": (state.temperature - self.params.target).abs().mean(1),
            "power": state.action.abs().sum(1) * self.params.max_power,
            "outdoor": self.outdoor(state),
            "price": self.price(state),
        }

    def render(self, state_row: NineZoneBuildingState) -> np.ndarray:
        """A section of the building: temperatures, heating (red) and cooling (blue), weather, clock and price."""
        from rlsuite_envs.multi_objective.building_pictures import draw_building

        row = {name: float(value[0]) for name, value in self.info(state_row).items()}
        return draw_building(
            state_row.temperature[0].tolist(),
            state_row.action[0].tolist(),
            target=self.params.target,
            hour=int(state_row.hour[0]),
            clearness=float(self.clearness(state_row)[0]),
            **row,
        )

    def render_episode(self, states: NineZoneBuildingState, actions: Any, rewards: Tensor) -> np.ndarray:
        """Temperatures, air conditioning and price over time, and the mean of each objective."""
        from rlsuite_envs.multi_objective.building_pictures import draw_run

        return draw_run(
            states.temperature.numpy(force=True),
            states.action[1:].numpy(force=True),
            outdoor=self.outdoor(states).numpy(force=True),
            price=self.price(states)[:-1].numpy(force=True),
            rewards=rewards.numpy(force=True),
            names=self.objective_names,
            target=self.params.target,
        )
