"""Advantages and multi-step returns from stored transitions.

Shapes: T steps, B environments, n look-ahead steps, M samples, K objectives (an optional last axis of rewards and
values: each objective has its own return; flags have none).

`terminated` and `done = terminated | truncated` are separate arguments on purpose. A terminal state has no
future, so termination cuts the bootstrap; a time limit says nothing about the value of the state it
interrupts, so truncation cuts only the trace (the next row belongs to another episode) and still bootstraps
from the true final observation. Identity that holds for any truncation pattern and fails when the two are
merged: reward 1 and V = 1/(1-gamma) everywhere give advantages of exactly 0.

Source: Schulman et al., "High-dimensional continuous control using generalized advantage estimation", ICLR
2016, eq. 11-16; Pardo et al., "Time limits in reinforcement learning", ICML 2018 (bootstrapping at
truncation).
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["gae", "n_step_return", "reverse_scan"]


def gae(
    reward: Tensor,
    value: Tensor,
    next_value: Tensor,
    terminated: Tensor,
    done: Tensor,
    *,
    gamma: float,
    gae_lambda: float,
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimates and the lambda-returns they imply.

    delta_t = r_t + gamma (1 - terminated_t) V'_t - V_t;  A_t = delta_t + gamma lambda (1 - done_t) A_{t+1};
    R_t = A_t + V_t.

    Args:
        reward: [T, B] float, or [T, B, K], reward units.
        value: of the same shape, V(s_t), discounted-return units.
        next_value: of the same shape, the value of the TRUE next observation (the final one where an episode
            ended, never the first of the next episode). Ignored where `terminated`, unless it is NaN or
            infinite.
        terminated: [T, B] bool, the task itself ended at this step.
        done: [T, B] bool, terminated or truncated.
        gamma: Discount factor in [0, 1].
        gae_lambda: Trace parameter in [0, 1].

    Returns:
        `(advantage, return_)`, both of the shape of `reward`, float32, on the device of `reward`, without gradient.

    Raises:
        ValueError: If the shapes do not fit, or gamma or gae_lambda is outside [0, 1].

    Source: Schulman et al. 2016, eq. 16.
    """
    _check_unit("gamma", gamma)
    _check_unit("gae_lambda", gae_lambda)
    numbers = {"reward": reward.shape, "value": value.shape, "next_value": next_value.shape}
    flags = {"terminated": terminated.shape, "done": done.shape}
    wrong = set(numbers.values()) != {reward.shape} or set(flags.values()) != {reward.shape[:2]}
    if wrong or reward.ndim not in (2, 3):
        listing = ", ".join(f"{name} {tuple(shape)}" for name, shape in (numbers | flags).items())
        raise ValueError(
            f"gae needs five tensors of one shape [T, B] (the first three may be [T, B, K]); got {listing}."
        )
    if reward.ndim == 3:
        terminated, done = terminated[..., None], done[..., None]
    with torch.no_grad():
        # `logical_not` and not arithmetic: bool tensors do not subtract, and callers may store flags as
        # floats.
        keep = torch.logical_not(terminated).float()
        delta = torch.addcmul(reward.float() - value, next_value * gamma, keep).float()
        decay = torch.logical_not(done).float().mul_(gamma * gae_lambda)
        advantage = reverse_scan(delta, decay)
        return advantage, advantage + value


def reverse_scan(x: Tensor, decay: Tensor) -> Tensor:
    """Solve y_t = x_t + decay_t y_{t+1} backwards over the first axis, with y_T = 0.

    On a CPU this is one in-place row operation per step; on an accelerator, where each step would be a kernel
    launch, it is ceil(log2 T) launches over the whole array (Hillis-Steele doubling of the affine maps y -> x
    + decay y).

    Args:
        x: [T, ...] float.
        decay: [T, ...] float, of a shape that broadcasts to that of x.

    Returns:
        y, [T, ...], a new tensor.
    """
    if x.device.type == "cpu":
        return _reverse_scan_rows(x, decay)
    return _reverse_scan_doubling(x, decay)


def _reverse_scan_rows(x: Tensor, decay: Tensor) -> Tensor:
    y = x.clone()
    # NumPy views of the same memory: a row operation costs about a third of torch's at small B.
    rows, factors = y.numpy()[::-1], decay.numpy()[::-1]
    if len(rows) == 0:
        return y
    last = rows[0]
    for row, factor in zip(rows[1:], factors[1:], strict=True):
        row += factor * last
        last = row
    return y


def _reverse_scan_doubling(x: Tensor, decay: Tensor) -> Tensor:
    y, factor = x.clone(), decay.clone()
    step = 1
    while step < y.shape[0]:
        # The right-hand sides are complete before the assignment, so overlapping rows are read unmodified.
        y[:-step] = torch.addcmul(y[:-step], factor[:-step], y[step:])
        factor[:-step] = factor[:-step] * factor[step:]
        step *= 2
    return y


def n_step_return(
    reward: Tensor, terminated: Tensor, done: Tensor, *, gamma: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Truncated n-step returns over windows of consecutive transitions, cut at the first episode end.

    With k <= n the number of steps up to and including the first `done` (n if there is none):
    G = sum_{i<k} gamma^i r_i, and the target is G + gamma^k (1 - terminated_{k-1}) V(next observation of step
    k-1).

    Args:
        reward: [n, M] float, or [n, M, K].
        terminated: [n, M] bool.
        done: [n, M] bool, terminated or truncated, or any other reason to stop the window after that step.
        gamma: Discount factor in [0, 1].

    Returns:
        `(return_, discount, terminated, last)`: [M] (or [M, K]) float32 G, [M] float32 gamma^k, [M] bool whether the
        window ended in a terminal state, [M] int64 k-1, the row whose next observation to bootstrap from.

    Raises:
        ValueError: If shapes differ or are not [n, M] with n >= 1, or gamma is outside [0, 1].

    Source: Sutton and Barto 2018, eq. 12.1; one-step and n-step targets agree for n = 1.
    """
    _check_unit("gamma", gamma)
    window = reward.shape[:2]
    if reward.ndim not in (2, 3) or reward.shape[0] < 1 or not window == terminated.shape == done.shape:
        raise ValueError(
            "n_step_return needs three tensors of one shape [n, M], n >= 1 (reward may be [n, M, K]); got "
            f"reward {tuple(reward.shape)}, terminated {tuple(terminated.shape)}, done {tuple(done.shape)}."
        )
    # alive[i] is 1 while no earlier step of the window was the end of an episode.
    alive = torch.ones(window, dtype=torch.float32, device=reward.device)
    alive[1:] = torch.logical_not(done[:-1]).float().cumprod(0)
    last = alive.sum(0).long() - 1
    powers = gamma ** torch.arange(reward.shape[0] + 1, dtype=torch.float64, device=reward.device)
    powers = powers.float()
    weight = alive * powers[:-1, None]
    return_ = (reward.float() * (weight if reward.ndim == 2 else weight[..., None])).sum(0)
    ended = terminated.gather(0, last[None]).squeeze(0).bool()
    return return_, powers[last + 1], ended, last


def _check_unit(name: str, x: float) -> None:
    if not 0.0 <= x <= 1.0:
        raise ValueError(f"{name} must lie in [0, 1], got {x}.")
