"""A policy on a kernel, period by period: what training differentiates, and what long-run costs are measured with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from gymnasium.spaces import Box
from torch import Tensor

from rlsuite_envs.kernel import Kernel, tree_items

__all__ = ["LongRun", "check_kernel", "long_run_cost", "simulate"]

Act = Callable[[Tensor], Tensor]
"""Function of observation rows [B, O] that gives actions [B, A]."""
CHUNK = 16_384
"""Demand paths simulated at a time: enough for speed, few enough for the cache."""


@dataclass(frozen=True)
class LongRun:
    """Mean cost per period of a policy, over demand paths."""

    mean: float
    """Mean cost per period, summed over locations."""
    standard_error: float
    """Standard error of `mean`, from the spread between paths."""
    paths: Tensor
    """Mean cost [N] float64 per period of each path; paths of two policies on the same demand can be paired."""
    periods: int
    """Periods counted per path."""


def simulate(
    kernel: Kernel[Any, Any, Any], act: Act, state: Any, periods: int, rng: torch.Generator
) -> Iterator[tuple[Any, Tensor]]:
    """Yields the next state and the cost [B], minus the reward, of each period."""
    for _ in range(periods):
        rows: Any = kernel.observe(state)
        action = act(rows.flatten(1))
        state, reward, _ = kernel.advance(state, action, kernel.sample_exogenous(state, rng))
        yield state, -reward


@torch.no_grad()
def long_run_cost(
    kernel: Kernel[Any, Any, Any],
    act: Act,
    *,
    scenarios: int = 4096,
    periods: int = 2000,
    warm_up: int = 500,
    seed: int = 0,
) -> LongRun:
    """Simulate a policy for long, and ignore the start.

    The demand paths depend on `seed` and `scenarios` only, so that policies are compared on common random numbers
    (the published tests: 5000 periods, of which 3000 are ignored).

    Args:
        kernel: the problem.
        act: the policy.
        scenarios: N demand paths, at least 2.
        periods: counted per path, at least 1.
        warm_up: periods before them.
        seed: of demand and start states.

    Raises:
        ValueError: too few of something; FloatingPointError: costs that are not finite.
    """
    for name, value, least in (("scenarios", scenarios, 2), ("periods", periods, 1), ("warm_up", warm_up, 0)):
        if value < least:
            raise ValueError(f"{name}={value} must be at least {least}")
    rng = torch.Generator(kernel.device).manual_seed(seed)
    chunks = []
    for start in range(0, scenarios, CHUNK):
        state = kernel.initial_state(min(CHUNK, scenarios - start), rng)
        total: Any = 0.0
        for t, (_, cost) in enumerate(simulate(kernel, act, state, warm_up + periods, rng)):
            if t >= warm_up:
                total = total + cost.to(torch.float64)
        chunks.append(total / periods)
    paths = torch.cat(chunks)
    mean = float(paths.mean())
    if not torch.isfinite(paths).all():
        raise FloatingPointError(f"the mean cost is {mean}; look at the policy's weights")
    return LongRun(mean, float(paths.std()) / len(paths) ** 0.5, paths, periods)


def check_kernel(env: Any) -> Kernel[Any, Any, Any]:
    """The kernel of a vector environment, if gradients pass through it.

    Raises:
        ValueError: there is none, or no gradient; the message says what to do.
    """
    kernel = getattr(env.unwrapped, "kernel", None)
    if not isinstance(kernel, Kernel):
        raise ValueError(
            f"HDPO differentiates the environment's kernel, and {type(env.unwrapped).__name__} has none; give the id "
            "of an environment of rlsuite (rlsuite list envs), such as rlsuite/LostSales-v0"
        )
    name = type(kernel).__name__
    if not isinstance(kernel.action_space, Box) or len(kernel.action_space.shape or ()) != 1:
        raise ValueError(
            f"HDPO needs actions that vary smoothly, a Box with one axis; {name} has {kernel.action_space}"
        )
    if not isinstance(kernel.observation_space, Box):
        raise ValueError(f"HDPO needs a Box of observations; {name} has {kernel.observation_space}")
    rng = torch.Generator(kernel.device).manual_seed(0)
    state = kernel.initial_state(64, rng)
    low, high = (torch.as_tensor(x, device=kernel.device) for x in (kernel.action_space.low, kernel.action_space.high))
    shape = (64, *low.shape)
    spread = torch.rand(shape, generator=rng, device=kernel.device) * (high - low).clamp_max(20)
    action = (low.clamp_min(-10) + spread).requires_grad_()
    state, reward, _ = kernel.advance(state, action, kernel.sample_exogenous(state, rng))
    outcome = [reward, *tree_items(state, "state").values()]
    total = sum((x + 1).square().sum() for x in outcome if x.requires_grad)
    gradient = torch.autograd.grad(total, action)[0] if isinstance(total, Tensor) else None
    if gradient is None or not bool(gradient.any()):
        raise ValueError(
            f"no gradient passes from actions to rewards or states of {name} (rounding, as of integer_orders, stops "
            "it); HDPO needs a differentiable kernel, PPO does not"
        )
    return kernel
