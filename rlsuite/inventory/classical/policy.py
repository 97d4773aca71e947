"""What every classical policy is: a pure rule on the kernel's state, behind Stable-Baselines3's `predict`.

A rule is a pure function (state, memory) -> (orders [B, E], memory), batched over environments. `predict` reads the
state back from the observation (`Sites.read`) and keeps the memory in Stable-Baselines3's `state`, so that policies
work wherever models do.

Shapes: B environments, N places, E links, R kinds of numbers, P = R N numbers.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor

from rlsuite.inventory.classical.forecasts import Memory
from rlsuite.inventory.classical.problem import sites_of

__all__ = ["ClassicalPolicy", "TunablePolicy", "fractile"]


class ClassicalPolicy(ABC):
    """A rule that orders, with `predict`.

    Args:
        env: an environment, its id or its kernel; the rule's constants come from it.

    Raises:
        TypeError: a problem for which the rule is not defined.
    """

    def __init__(self, env: Any) -> None:
        self.sites = sites_of(env)

    def begin(self, num: int) -> Memory:
        """Memory of num episodes at their start, each entry [num, ...]; empty for rules without memory."""
        return ()

    @abstractmethod
    def decide(self, state: Any, memory: Memory) -> tuple[Tensor, Memory]:
        """Orders [B, E] in units in this state of the kernel, and the updated memory."""

    def act(self, state: Any, memory: Memory) -> tuple[Tensor, Memory]:
        """Actions [B, E] of the kernel, and the updated memory."""
        orders, memory = self.decide(state, memory)
        return self.sites.action(orders), memory

    @torch.no_grad()
    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[np.ndarray, Any]:
        """Actions for observations [B, O] or [O].

        Args:
            observation: the kernel's own (its scale is undone here).
            state: what the last call returned; None at the start.
            episode_start: [B] bool, rows that forget; None for none.
            deterministic: of no effect.

        Returns:
            Actions [B, E] or [E] float32, and the memory (None for rules without one).
        """
        rows = torch.as_tensor(np.asarray(observation), device=self.sites.kernel.device)
        single = rows.ndim == 1
        rows = rows[None] if single else rows
        fresh = self.begin(len(rows))
        memory = fresh if state is None else tuple(torch.as_tensor(x, device=rows.device) for x in state)
        if state is not None and episode_start is not None:
            new = torch.as_tensor(np.asarray(episode_start, dtype=bool).reshape(-1), device=rows.device)
            memory = tuple(
                torch.where(new.view(-1, *[1] * (old.ndim - 1)), start, old)
                for start, old in zip(fresh, memory, strict=True)
            )
        action, memory = self.act(self.sites.read(rows), memory)
        array = action.to(torch.float32).numpy(force=True)
        kept = tuple(x.numpy(force=True) for x in memory) if memory else None
        return (array[0] if single else array), kept


class TunablePolicy(ClassicalPolicy):
    """A rule with numbers to tune: rows of [N], one below the other."""

    rows: ClassVar[tuple[str, ...]]
    """Names of the R kinds of numbers."""
    numbers: Tensor
    """Current numbers [R, N], or [B, R, N] with one set per environment."""
    step: Tensor
    """Step sizes [R, N] of the tuner's first changes to the numbers."""
    least: float = 0.0
    """Lower bound of the numbers."""

    def _set(self, values: Any, start: Tensor, step: Tensor) -> None:
        """Take the numbers given (lists [N] per row; None: start)."""
        self.step = step
        if all(value is None for value in values):
            self.numbers = start
            return
        size = start.shape[1]
        rows = []
        for name, value, default in zip(self.rows, values, start, strict=True):
            row = default if value is None else torch.as_tensor(np.asarray(value, float)).to(default)
            row = row.expand(size) if row.ndim == 0 else row
            if row.shape != (size,) or not torch.isfinite(row).all() or bool((row < self.least).any()):
                bound = "" if self.least == -np.inf else f" of at least {self.least:g}"
                places = ", ".join(self.sites.names)
                raise ValueError(
                    f"{name}={value!r} must be a finite number{bound}, or {size} of them: one for each of {places}."
                )
            rows.append(row)
        self.numbers = torch.stack(rows)

    def with_numbers(self, numbers: Any) -> Self:
        """This rule with other numbers: [P], or [B, P] for a set per environment; those below `least` become it."""
        other = copy.copy(self)
        values = torch.as_tensor(np.asarray(numbers)).to(self.numbers)
        other.numbers = values.unflatten(-1, tuple(self.step.shape)).clamp_min(self.least)
        return other

    def _row(self, index: int) -> Tensor:
        """Numbers of one kind, [N] or [B, N]."""
        return self.numbers[..., index, :]

    def _nominal(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation [N] of nominal demand over lead time + 1 periods, for places to start from."""
        sites = self.sites
        count = torch.tensor([lead + 1 for lead in sites.lead]).to(sites.prior)
        known = getattr(sites.kernel, "nominal_demand", sites.prior)
        mean = sites.serves @ known * count
        return mean, mean.sqrt().clamp_min(1.0)

    def __repr__(self) -> str:
        parts = []
        for index, name in enumerate(self.rows):
            values = ", ".join(f"{x:.4g}" for x in self._row(index).reshape(-1).tolist()[:12])
            parts.append(f"{name}=[{values}]")
        return f"{type(self).__name__}({', '.join(parts)})"


def fractile(shortage: Tensor, holding: Tensor) -> Tensor:
    """Standard normal quantile of the critical ratio b / (b + h); 0 where both are 0."""
    total = shortage + holding
    ratio = torch.where(total > 0, shortage / total, 0.5).clamp(1e-6, 1 - 1e-6)
    return torch.as_tensor(norm.ppf(ratio.numpy(force=True))).to(ratio)
