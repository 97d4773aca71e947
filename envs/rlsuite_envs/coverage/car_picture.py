"""Pictures of the race track, the car and its path."""

from __future__ import annotations

import numpy as np

from rlsuite_envs.coverage.car_track import Track
from rlsuite_envs.drawing import Canvas, figure, figure_array

__all__ = ["draw_car", "draw_lap", "to_world"]

_CAR = (0.18, 0.09)  # m, length and width as drawn: three times the real ones


def to_world(track: Track, s: np.ndarray, d: np.ndarray) -> np.ndarray:
    """The points [N, 2] at distances s along and d to the left of the centre line."""
    at = s % track.length * (len(track.x) - 1) / track.length
    grid = np.arange(len(track.x))
    x, y, heading = (np.interp(at, grid, values) for values in (track.x, track.y, track.heading))
    return np.stack((x - d * np.sin(heading), y + d * np.cos(heading)), axis=-1)


def _edges(track: Track) -> tuple[np.ndarray, np.ndarray]:
    along = np.linspace(0, track.length, len(track.x)) % track.length
    return to_world(track, along, track.half_width), to_world(track, along, -track.half_width)


def draw_car(track: Track, s: float, d: float, mu: float, speed: float) -> np.ndarray:
    """The track and the car on it, [H, W, 3] uint8."""
    left, right = _edges(track)
    both = np.concatenate([left, right])
    low, high = both.min(0) - 0.25, both.max(0) + 0.25
    width = 480
    canvas = Canvas(width, round(width * (high[1] - low[1]) / (high[0] - low[0])), (low[0], high[0]), (low[1], high[1]))
    canvas.polygon(np.concatenate([left, right[::-1]]), "#d9d9d9")
    canvas.line(left, "#404040", 2)
    canvas.line(right, "#404040", 2)
    canvas.line(to_world(track, np.zeros(2), track.half_width[0] * np.array([-1, 1])), "#e31a1c", 3)
    place = to_world(track, np.array([s]), np.array([d]))[0]
    heading = np.interp(s % track.length, np.linspace(0, track.length, len(track.x)), track.heading) + mu
    ahead, aside = np.array([np.cos(heading), np.sin(heading)]), np.array([-np.sin(heading), np.cos(heading)])
    corners = [place + i * ahead * _CAR[0] / 2 + j * aside * _CAR[1] / 2 for i, j in ((1, 0), (-1, 1), (-1, -1))]
    canvas.polygon(corners, "#1f78b4", "black")
    canvas.text(low[0] + 0.1, high[1] - 0.15, f"s = {s:.2f} m, {speed:.2f} m/s", size=14)
    return canvas.array()


def draw_lap(
    track: Track,
    states: dict[str, np.ndarray],
    controls: np.ndarray,
    earned: float,
    dt: float,
) -> np.ndarray:
    """Path, F(S) and controls of an episode; states' fields [T + 1], controls [T, 2]; a picture [H, W, 3] uint8."""
    s, d, speed, reached, modular = (states[name] for name in ("s", "d", "vx", "reached", "modular"))
    drawn, axes = figure(2, 2, width=11.0, height=5.2, width_ratios=(1.15, 1))
    for ax in axes[:, 0]:
        ax.remove()
    plane = drawn.add_subplot(axes[0, 0].get_gridspec()[:, 0])
    for edge in _edges(track):
        plane.plot(*edge.T, color="#404040", lw=1)
    x, y = to_world(track, s, d).T
    path = plane.scatter(x, y, c=speed, s=6, cmap="viridis", vmin=0)
    drawn.colorbar(path, ax=plane, label="speed [m/s]", shrink=0.8)
    plane.plot(*to_world(track, np.zeros(2), track.half_width[0] * np.array([-1, 1])).T, color="#e31a1c", lw=2)
    plane.set(aspect="equal", xlabel="x [m]", ylabel="y [m]", title=f"return {earned:.2f}; red: start and finish")
    time = np.arange(len(s)) * dt
    axes[0, 1].plot(time, reached, label="F(S)")
    axes[0, 1].axhline(track.length, color="0.6", ls="--", lw=1, label="full lap")
    axes[0, 1].set(ylabel="track covered [m]", ylim=(0, None))
    axes[0, 1].set_title(f"{reached[-1]:.2f} m covered; modular sum {modular[-1]:.0f} m", fontsize="medium")
    axes[0, 1].legend(frameon=False, loc="lower right")
    axes[1, 1].step(time[:-1], controls[:, 0], where="post", lw=1, label="throttle")
    axes[1, 1].step(time[:-1], controls[:, 1], where="post", lw=1, label="steering")
    axes[1, 1].set(xlabel="time [s]", ylabel="action", ylim=(-1.15, 1.5))
    axes[1, 1].legend(frameon=False, ncols=2, loc="upper right")
    return figure_array(drawn)
