"""Pictures of the building of nine zones: one hour, and a whole episode. NumPy in, pictures out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlsuite_envs.drawing import Canvas, figure, figure_array

__all__ = ["draw_building", "draw_run"]

HEATING, COOLING = "#d62728", "#1f77b4"
PLACES = ("west", "middle", "east")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _shade(kelvin: float) -> tuple[int, int, int]:
    """Colour of a deviation: white at the target, red 10 K above, blue 10 K below."""
    far = min(abs(kelvin) / 10, 1.0)
    full = (214, 39, 40) if kelvin > 0 else (31, 119, 180)
    red, green, blue = (round(255 + (0.85 * c - 215) * far) for c in full)
    return red, green, blue


def _date(hour: int) -> str:
    day, month = hour // 24 % 365, 0
    while day >= LENGTHS[month]:
        day, month = day - LENGTHS[month], month + 1
    return f"{DAYS[hour // 24 % 7]} {day + 1} {MONTHS[month]}  {hour % 24:02d}:00"


def draw_building(
    temperature: Sequence[float],
    action: Sequence[float],
    *,
    target: float,
    hour: int,
    clearness: float,
    outdoor: float,
    price: float,
    deviation: float,
    power: float,
) -> np.ndarray:
    """A section of the building, its weather, the clock and the price.

    Args:
        temperature: [9] degrees Celsius, ground floor first.
        action: [9] air conditioning of the last hour, in [-1, 1].
        target: wanted temperature, degrees Celsius.
        hour: since the first of January.
        clearness: of the sky, in [0, 1].
        outdoor: temperature, degrees Celsius.
        price: EUR/kWh.
        deviation: mean distance from the target, K.
        power: heat moved in the last hour, kW.
    """
    night = hour % 24 < 6 or hour % 24 >= 19
    sky, ink = ("#26324d", "#dddddd") if night else ("#d9ecfa", "black")
    canvas = Canvas(560, 440, (-1.0, 6.0), (-0.55, 4.95), sky)
    canvas.rect(-1.0, -0.55, 6.0, 0.0, "#a58c6f")
    if not night:
        x = 5.6 - (hour % 24 - 6) / 13 * 6.2  # west is left: the sun goes from right to left
        grey = round(230 - 30 * (1 - clearness))
        canvas.disc(x, 4.1, 0.24, (255, 214, 10) if clearness > 0.3 else (grey, grey, grey - 20))
    for zone, (degrees, share) in enumerate(zip(temperature, action, strict=True)):
        level, place = divmod(zone, 3)
        left, low = 0.5 + 1.5 * place, 1.15 * level
        canvas.rect(left, low, left + 1.5, low + 1.15, _shade(degrees - target), "#444444")
        canvas.text(left + 0.75, low + 0.72, f"{degrees:.1f} °C", "black", 17, anchor="mm")
        # The bar runs right for heating and left for cooling, its box is full power.
        canvas.rect(left + 0.25, low + 0.18, left + 1.25, low + 0.34, "#f4f4f4", "#999999")
        middle = left + 0.75
        canvas.rect(middle, low + 0.18, middle + 0.5 * share, low + 0.34, HEATING if share > 0 else COOLING)
        canvas.line([(middle, low + 0.14), (middle, low + 0.38)], "#444444", 1)
        if level == 0:
            canvas.text(middle, -0.14, PLACES[place], "white", 12, anchor="mm")
    canvas.polygon([(0.35, 3.45), (5.15, 3.45), (5.15, 3.6), (0.35, 3.6)], "#666666")
    canvas.text(-0.85, 4.68, _date(hour), ink, 16)
    canvas.text(2.5, 4.68, f"outside {outdoor:.1f} °C", ink, 16, anchor="mm")
    canvas.text(5.85, 4.68, f"{price:.3f} EUR/kWh", ink, 16, anchor="rm")
    canvas.text(
        -0.85, -0.4, f"from {target:g} °C: {deviation:.1f} K in the mean     heat moved: {power:.0f} kW", "white", 13
    )
    return canvas.array()


def draw_run(
    temperature: np.ndarray,
    action: np.ndarray,
    *,
    outdoor: np.ndarray,
    price: np.ndarray,
    rewards: np.ndarray,
    names: Sequence[str],
    target: float,
) -> np.ndarray:
    """Temperatures, air conditioning and price over T hours, and the mean of each objective.

    Args:
        temperature: [T + 1, 9] degrees Celsius.
        action: [T, 9] in [-1, 1].
        outdoor: [T + 1] degrees Celsius.
        price: [T] EUR/kWh.
        rewards: [T, K].
        names: K.
        target: wanted temperature, degrees Celsius.
    """
    drawn, axes = figure(3, 2, width=11, height=7, width_ratios=(3, 1), height_ratios=(2, 2, 1))
    days = np.arange(len(temperature)) / 24
    colors = ("#264653", "#2a9d8f", "#e76f51")
    warm, power, cost = axes[:, 0]
    warm.plot(days, outdoor, color="#999999", lw=0.8, label="outside")
    for level, color in enumerate(colors):
        zones = slice(3 * level, 3 * level + 3)
        warm.fill_between(days, temperature[:, zones].min(1), temperature[:, zones].max(1), color=color, alpha=0.25)
        warm.plot(days, temperature[:, zones].mean(1), color=color, lw=1, label=f"floor {level + 1}")
        power.plot(days[:-1], action[:, zones].mean(1), color=color, lw=0.9, label=f"floor {level + 1}")
    warm.axhline(target, color="black", lw=0.6, ls=":")
    warm.set_ylabel("°C")
    power.axhline(0, color="black", lw=0.6, ls=":")
    power.set_ylabel("share of full power\nheating +, cooling -")
    cost.plot(days[:-1], price, color="#999999", lw=0.8)
    cost.set_ylabel("EUR/kWh")
    cost.set_xlabel("day")
    for ax in (warm, power):
        ax.legend(frameon=False, fontsize=8, ncols=4, loc="upper right")
    for ax in axes[:, 1]:
        ax.remove()
    bars = drawn.add_subplot(axes[0, 1].get_gridspec()[:, 1])
    bars.spines[["top", "right"]].set_visible(False)
    bars.barh(range(len(names)), rewards.mean(0) / (27 / len(names)), color="#4c78a8")
    bars.set_yticks(range(len(names)), names, fontsize=8)
    bars.invert_yaxis()
    bars.set_xlim(0, 1)
    bars.set_xlabel("mean reward, of the most")
    return figure_array(drawn)
