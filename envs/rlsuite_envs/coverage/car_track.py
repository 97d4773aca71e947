"""A closed track for small cars, given by curvature and half-width along its centre line.

The centre line is a wavy circle, r(angle) ~ 1 + sum of a cos(k angle + phase), scaled to its length and cut at the
start of its straightest metre. It is made up; the length, the largest curvature and the range of the widths are
those of the track in the experiments of Submodular Reinforcement Learning (arXiv 2307.13372).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

__all__ = ["Track", "synthetic_track"]

LENGTH = 16.4076
"""Length of the centre line, m."""
SAMPLES = 1000
"""Intervals N of the tables, which have N + 1 points."""
NARROW, WIDE = 0.07, 0.30
"""Half-widths in the sharpest bend and on a straight, m."""
_WAVES = ((2, 0.198, 5.146), (3, 0.162, 2.447), (5, 0.1111, 3.471))
_FINE = 200_000


@dataclass(frozen=True)
class Track:
    """Tables over the centre line, at s = i length / N for i = 0..N (the last repeats the first)."""

    length: float
    """Length of the centre line, m."""
    curvature: np.ndarray
    """Curvature of the centre line, 1/m, [N + 1], positive to the left."""
    half_width: np.ndarray
    """Half the width of the track, m, [N + 1]."""
    x: np.ndarray
    """x of the centre line, m, [N + 1]."""
    y: np.ndarray
    """y of the centre line, m, [N + 1]."""
    heading: np.ndarray
    """Direction of the centre line, rad, [N + 1]; not wrapped."""


@cache
def synthetic_track() -> Track:
    """The track: 16.4076 m, |curvature| up to 5.9 1/m, half-widths from 0.07 m (sharpest bend) to 0.30 m."""
    angle = 2 * np.pi * np.arange(_FINE) / _FINE
    r, dr, ddr = np.ones(_FINE), np.zeros(_FINE), np.zeros(_FINE)
    for k, a, phase in _WAVES:
        r += a * np.cos(k * angle + phase)
        dr -= a * k * np.sin(k * angle + phase)
        ddr -= a * k**2 * np.cos(k * angle + phase)
    speed = np.hypot(r, dr)
    scale = LENGTH / (speed.mean() * 2 * np.pi)
    curvature = (r**2 + 2 * dr**2 - r * ddr) / speed**3 / scale
    # The arc length at the fine angles: its density is periodic, so that the trapezoid rule is exact enough.
    pieces = (speed + np.roll(speed, -1)) / 2 * (2 * np.pi / _FINE) * scale
    s = np.concatenate([[0.0], np.cumsum(pieces)])
    start = _straightest(s[:-1], curvature)
    wanted = (start + LENGTH * np.arange(SAMPLES + 1) / SAMPLES) % LENGTH
    at = np.interp(wanted, s, np.append(angle, 2 * np.pi))
    bend = np.interp(at, angle, curvature, period=2 * np.pi)
    radius = scale * np.interp(at, angle, r, period=2 * np.pi)
    tangent = np.arctan2(np.interp(at, angle, r, period=2 * np.pi), np.interp(at, angle, dr, period=2 * np.pi))
    sharpness = _smoothed(np.abs(bend[:-1]))
    width = WIDE - (WIDE - NARROW) * np.append(sharpness, sharpness[0]) / sharpness.max()
    heading = np.unwrap(at + tangent)
    return Track(LENGTH, bend, width, radius * np.cos(at), radius * np.sin(at), heading)


def _smoothed(values: np.ndarray) -> np.ndarray:
    """The values along the closed centre line [N], averaged with a Gaussian window of 0.3 m.

    Without it the track would narrow so quickly before a bend that its edges crossed.
    """
    gap = np.arange(SAMPLES) * LENGTH / SAMPLES
    window = np.exp(-0.5 * (np.minimum(gap, LENGTH - gap) / 0.3) ** 2)
    return np.fft.irfft(np.fft.rfft(values) * np.fft.rfft(window / window.sum()), SAMPLES)


def _straightest(s: np.ndarray, curvature: np.ndarray) -> float:
    """Where the metre with the smallest mean squared curvature begins, m."""
    starts = np.linspace(0, LENGTH, 400, endpoint=False)
    metre = np.linspace(0, 1, 50)
    bends = np.interp((starts[:, None] + metre) % LENGTH, s, curvature, period=LENGTH)
    return float(starts[(bends**2).mean(1).argmin()])
