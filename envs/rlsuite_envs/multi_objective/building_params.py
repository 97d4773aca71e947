"""The constants of the building of nine zones, and their checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlsuite_envs.checks import (
    check_choice,
    check_finite,
    check_integer,
    check_non_negative,
    check_positive,
    check_probability,
)

__all__ = ["NineZoneBuildingParams"]

_PRICES = (0.12,) * 6 + (0.22,) * 4 + (0.16,) * 6 + (0.34,) * 4 + (0.18,) * 2 + (0.12,) * 2


@dataclass(frozen=True)
class NineZoneBuildingParams:
    """Constants of the building, its weather and its prices; all are ours, for zones of 100 m2 of offices."""

    objectives: str = "floors"
    """Reward vector: "floors": comfort, energy and ramping of each floor (9); "building": of the whole (3)."""
    horizon: int = 480
    """Steps of one hour per episode, >= 1; 480 (20 days) as in the C-MORL paper."""
    start_days: tuple[int, int] = (0, 364)
    """First and last day of the year, in 0..364, on which episodes start; the hour is uniform from first to last."""
    start_spread: float = 2.0
    """Zones start uniformly within this of the target, K, >= 0."""
    target: float = 20.0
    """Temperature that people want, in degrees Celsius."""
    comfort_range: float = 20.0
    """Deviation from the target at which a zone's comfort is 0, K, > 0; 20 as in the paper."""
    capacity: float = 4.5
    """Heat that a zone stores per degree, kWh/K, > 0."""
    facade_outer: float = 0.2
    """Conductance of the facade of a west or east zone, air change included, kW/K, >= 0."""
    facade_middle: float = 0.1
    """Conductance of the facade of a middle zone, kW/K, >= 0."""
    roof: float = 0.08
    """Conductance of the roof above a zone of the top floor, kW/K, >= 0."""
    floor: float = 0.06
    """Conductance of the floor of a ground-floor zone to the soil, kW/K, >= 0."""
    wall: float = 0.2
    """Conductance of the wall between neighbours on a floor, kW/K, >= 0."""
    ceiling: float = 0.15
    """Conductance of the ceiling between a zone and the one above, kW/K, >= 0."""
    max_power: float = 9.0
    """Heat that a zone's air conditioning supplies or takes away at most, kW, > 0."""
    base_gain: float = 0.3
    """Heat of machines in a zone at any time, kW, >= 0."""
    occupancy_gain: float = 2.0
    """Heat of people and machines in a zone, Monday to Friday from 8 to 18, kW more, >= 0."""
    solar_gain: float = 2.5
    """Sun through the windows of a zone at its best hour of midsummer under a clear sky, kW, >= 0."""
    soil: float = 10.0
    """Temperature of the soil, degrees Celsius."""
    outdoor_mean: float = 10.0
    """Mean of the outdoor temperature over the year, degrees Celsius."""
    outdoor_year: float = 10.0
    """Half the difference of the outdoor temperature between midsummer and midwinter, K, >= 0."""
    outdoor_day: float = 4.0
    """Half its difference between afternoon and night, K, >= 0."""
    outdoor_noise: float = 3.0
    """Standard deviation of the outdoor temperature around its mean of that hour, K, >= 0."""
    outdoor_memory: float = 0.98
    """Correlation of that deviation from hour to hour, in [0, 1]."""
    sky_memory: float = 0.95
    """Correlation from hour to hour of the number whose logistic function is the clearness of the sky, in [0, 1]."""
    prices: tuple[float, ...] = _PRICES
    """[24] mean price of each hour of the day, from midnight, EUR/kWh, >= 0, not all 0."""
    weekend_price: float = 0.8
    """Factor on the price on Saturday and Sunday, in [0, 1]."""
    price_noise: float = 0.3
    """Largest relative deviation of the price from its mean of that hour, in [0, 1]."""
    price_memory: float = 0.9
    """Correlation from hour to hour of the number whose hyperbolic tangent is that deviation's share, in [0, 1]."""

    def __post_init__(self) -> None:
        check_choice(self, "objectives", ("floors", "building"))
        check_integer(self, "horizon", 1)
        check_positive(self, "comfort_range", "capacity", "max_power")
        check_non_negative(self, "start_spread", "facade_outer", "facade_middle", "roof", "floor", "wall", "ceiling")
        check_non_negative(self, "base_gain", "occupancy_gain", "solar_gain")
        check_non_negative(self, "outdoor_year", "outdoor_day", "outdoor_noise")
        check_finite(self, "target", "soil", "outdoor_mean")
        check_probability(self, "outdoor_memory", "sky_memory", "price_memory", "weekend_price", "price_noise")
        days = self.start_days
        if not _are_numbers(days, 2, int) or not 0 <= days[0] <= days[1] <= 364:
            raise ValueError(f"start_days={days!r} must be two whole numbers, 0 <= first <= last <= 364.")
        prices = self.prices
        if not _are_numbers(prices, 24, int | float) or not all(0 <= p <= 1e9 for p in prices) or not any(prices):
            raise ValueError(f"prices={prices!r} must be 24 numbers of at least 0, at most 1e9, not all 0.")


def _are_numbers(values: Any, count: int, kind: Any) -> bool:
    """Whether values is a tuple of so many numbers of a kind."""
    return (
        isinstance(values, tuple)
        and len(values) == count
        and all(isinstance(value, kind) and not isinstance(value, bool) for value in values)
    )
