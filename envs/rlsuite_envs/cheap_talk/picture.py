"""Pictures of messages: bars below a frame, and lines over an episode."""

from __future__ import annotations

import numpy as np

from rlsuite_envs.drawing import Canvas, figure, figure_array

__all__ = ["beside", "episode"]

_BAR = 18  # pixels per message entry
_SHOWN = 8  # lines that can still be told apart
_STEPS = 100
"""Most steps that the panels of observations and messages show: in longer ones fast oscillations would blur."""


def beside(frame: np.ndarray, message: np.ndarray, scale: float) -> np.ndarray:
    """A frame [H, W, 3] with a message [M] in [-scale, scale] as bars below; [H + 18 m, W, 3] uint8."""
    shown = message[:_SHOWN]
    if not len(shown):
        return frame
    canvas = Canvas(frame.shape[1], _BAR * len(shown), (-1.35, 1.05), (0, len(shown)), "#f4f4f4")
    for i, value in enumerate(shown):
        row = len(shown) - 1 - i
        canvas.rect(0, row + 0.15, float(value) / scale, row + 0.85, "#dd8452" if value < 0 else "#4c72b0")
        canvas.text(-1.33, row + 0.5, f"message {i}", size=11)
    canvas.line([(0, 0), (0, len(shown))], "black", 1)
    return np.concatenate([frame, canvas.array()])


def episode(observations: np.ndarray, messages: np.ndarray, rewards: np.ndarray, scale: float) -> np.ndarray:
    """Observations [T + 1, O], messages [T + 1, M] and rewards [T] over time, as a picture [H, W, 3] uint8."""
    drawn, axes = figure(3, width=8.0, height=7.0)
    shown = min(len(rewards), _STEPS)
    panels = ((observations, "observation", 0), (messages, "message", 1))
    for values, name, row in panels:
        ax = axes[row, 0]
        for i in range(min(values.shape[1], _SHOWN)):
            ax.plot(values[: shown + 1, i], lw=1.2, label=f"{name} {i}")
        if values.shape[1]:
            ax.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
        more = values.shape[1] - _SHOWN
        ax.set(ylabel=name + (f" (first {_SHOWN} of {values.shape[1]})" if more > 0 else ""))
        ax.set_xlabel(f"step (first {shown} of {len(rewards)})" if shown < len(rewards) else "")
    low, high = (f(messages[: shown + 1], initial=0.0) for f in (np.min, np.max))
    room = 0.1 * max(high - low, 0.1)  # the box is ten times what most functions say
    axes[1, 0].set_ylim(low - room, high + room)
    axes[1, 0].set_title(f"messages lie in [-{scale:g}, {scale:g}]", loc="right", fontsize=8)
    axes[2, 0].plot(np.arange(1, len(rewards) + 1), np.cumsum(rewards, axis=0))
    axes[2, 0].set(xlabel="step", ylabel="return so far")
    axes[0, 0].set_title(f"{len(rewards)} steps, return {float(np.sum(rewards)):.1f}")
    return figure_array(drawn)
