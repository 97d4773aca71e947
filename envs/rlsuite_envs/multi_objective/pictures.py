"""One picture of an episode with many objectives: the way taken, and every objective's return so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlsuite_envs.drawing import figure, figure_array

__all__ = ["episode_picture"]


def episode_picture(
    frame: np.ndarray,
    size: tuple[float, float],
    way: np.ndarray,
    rewards: np.ndarray,
    names: Sequence[str],
    drift: float = 0.12,
) -> np.ndarray:
    """The last frame with the way through it, beside the returns so far.

    Args:
        frame: [height, width, 3] uint8.
        size: of the frame, across and down, in the units of the way.
        way: positions [T + 1, 2], across and down from the upper left corner.
        rewards: [T, K].
        names: of the K objectives.
        drift: how far the way is moved in time to either side, so that ways back show.

    Returns:
        [height, width, 3] uint8.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.ticker import MaxNLocator

    drawn, axes = figure(1, 2, width=10.5, height=4.8, width_ratios=(1.3, 1.0))
    place, curves = axes[0]
    place.imshow(frame, extent=(0, size[0], size[1], 0), interpolation="bilinear")
    drifted = way + np.linspace(-drift, drift, len(way))[:, None]
    pieces = LineCollection(list(np.stack((drifted[:-1], drifted[1:]), 1)), cmap="autumn", linewidths=2.0, zorder=3)
    pieces.set_array(np.arange(len(way) - 1))
    place.add_collection(pieces)
    drawn.colorbar(pieces, ax=place, label="step", shrink=0.8, ticks=MaxNLocator(integer=True))
    place.plot(*drifted[0], "o", color="#2ca02c", markersize=8, zorder=4, label="start")
    place.plot(*drifted[-1], "s", color="black", markersize=6, zorder=4, label="end")
    place.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=2, frameon=False)
    place.set(xticks=[], yticks=[], aspect="equal")
    place.spines[["left", "bottom"]].set_visible(False)
    sums = np.concatenate((np.zeros((1, rewards.shape[1])), np.cumsum(rewards, 0)))
    for k, name in enumerate(names):
        curves.step(range(len(sums)), sums[:, k], where="post", label=f"{name} {sums[-1, k]:.4g}")
    curves.set(xlabel="step", ylabel="return so far", xlim=(0, 1.02 * max(1, len(rewards))))
    if not sums.any():
        curves.set_ylim(-1, 1)
    curves.xaxis.set_major_locator(MaxNLocator(integer=True))
    curves.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=min(3, len(names)), frameon=False)
    return figure_array(drawn)
