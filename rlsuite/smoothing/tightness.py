"""Attacks that test how tight a certificate is: adaptive, on the newest frame, with one budget per episode.

Every step each environment may spend some of what is left of its budget B: remaining^2 <- remaining^2 - ||e_t||^2.

`ScoreAttack` (discrete actions, the paper's): with the clean scores (Q values, or logits) of all actions, targets are
those below the best by `q_gap` at least. For each, from e = 0,

    e <- project(e - step_size * unit(grad_e CrossEntropy(mean_j scores(o + e + delta_j), target)), remaining)

until the target becomes the best, for at most 2 remaining / step_size steps. Of the targets reached the one with the
lowest clean score is taken; if none was, nothing is spent. delta_j is one fixed set of draws per step (one zero without
smoothing). A threshold keeps the budget for moments that matter: attack with several, and report the least return.

`ActionAttack` (continuous actions): from a small random e, a fixed number of such steps on

    mean_j harm(o, action(o + e + delta_j)) + penalty ||e||^2,

kept only where it ends below its value at e = 0. `harm` is what the adversary wants small (a critic's value, say); by
default minus the squared distance from the clean mean action.

All environments and targets go through the network together, [M, O] with M up to N (A - 1).

Source: arXiv 2106.11420 as its attack scripts survive in later repositories (target loop, step size, stopping rule,
fixed draws, lowest clean Q). Of the continuous attack only step size, step number and penalty weights are known; the
objective is ours. The scripts attack one episode after the other.

Shapes: B environments, M pairs of environment and target, J draws, A actions, *F one frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from rlsuite.core.config import check_range, check_types
from rlsuite.core.rng import ATTACK, own_seed
from rlsuite.smoothing.smoothed import FrameContext

__all__ = ["ActionAttack", "ActionAttackConfig", "ScoreAttack", "ScoreAttackConfig", "project"]

Scores = Callable[[Tensor], Tensor]
"""Observations [M, ...] to scores [M, A] or actions [M, A], differentiable."""

ROWS_AT_ONCE = 1 << 16
"""Observations in one forward pass: bounds the memory, whatever B, A and J are."""
SHRINK = 1 - 2.0**-20
"""Projected perturbations end this much inside the ball, so that rounding never exceeds the budget."""
SPENT = 2e-3
"""Part of the budget below which nothing more is tried: 1.4e-3 of it stay when `SHRINK` of the ball is used."""


@dataclass(frozen=True)
class ScoreAttackConfig:
    """Constants of `ScoreAttack`.

    Raises:
        ValueError: a value out of range, naming it.
    """

    budget: float
    """B, total L2 norm over an episode, >= 0, observation units."""
    sigma: float = 0.0
    """Noise of the smoothed policy that is attacked, >= 0; 0 for a plain policy."""
    q_gap: float = 0.0
    """How far below the best a target's clean score must be, >= 0, in score units."""
    step_size: float = 0.01
    """Length of a gradient step, > 0, observation units."""
    noise_draws: int = 128
    """J, draws over which scores are averaged, >= 1; 1 is used where sigma is 0."""
    seed: int = 0
    """Seed of these noise draws."""

    def __post_init__(self) -> None:
        check_types(self)
        inf = math.inf
        check_range(
            self,
            budget=(0, 1e30),
            sigma=(0, 1e30),
            q_gap=(0, inf),
            step_size=(1e-9, inf),
            noise_draws=(1, inf),
        )


@dataclass(frozen=True)
class ActionAttackConfig:
    """Constants of `ActionAttack`.

    Raises:
        ValueError: a value out of range, naming it.
    """

    budget: float
    """B, total L2 norm over an episode, >= 0, observation units."""
    sigma: float = 0.0
    """Noise of the smoothed policy that is attacked, >= 0; 0 for a plain policy."""
    penalty: float = 1e-3
    """Weight of ||e||^2 in the objective, >= 0; the counterpart of `ScoreAttackConfig.q_gap`."""
    step_size: float = 0.01
    """Length of a gradient step, > 0, observation units."""
    steps: int = 100
    """Gradient steps per environment step, >= 1."""
    noise_draws: int = 128
    """J, noise draws over which actions are averaged, >= 1; 1 is used where sigma is 0."""
    seed: int = 0
    """Seed of the noise draws and of the first direction."""

    def __post_init__(self) -> None:
        check_types(self)
        inf = math.inf
        check_range(
            self,
            budget=(0, 1e30),
            sigma=(0, 1e30),
            penalty=(0, inf),
            step_size=(1e-9, inf),
            steps=(1, inf),
            noise_draws=(1, inf),
        )


def _column(values: Tensor, like: Tensor) -> Tensor:
    """Values [M] reshaped to broadcast against [M, *F]."""
    return values.to(like.dtype).reshape(-1, *[1] * (like.ndim - 1))


def _norm(part: Tensor) -> Tensor:
    """L2 norms [M] float64 of [M, *F]."""
    return part.double().flatten(1).norm(dim=1)


def project(part: Tensor, remaining: Tensor) -> Tensor:
    """Perturbations [M, *F] scaled into balls of radius remaining [M], a hair inside them."""
    norm = _norm(part)
    scale = torch.where(norm > remaining * SHRINK, remaining * SHRINK / norm.clamp_min(1e-300), 1.0)
    return (part.double() * _column(scale, part).double()).to(part.dtype)


def _descend(part: Tensor, grad: Tensor, step_size: float, remaining: Tensor) -> Tensor:
    """One normalised gradient step, projected; no step where the gradient vanishes."""
    unit = grad.double() / _column(_norm(grad).clamp_min(1e-300), grad.double())
    return project(part - (step_size * unit).to(part.dtype), remaining)


class _Draws:
    """The fixed noise draws of one step, and observations under them."""

    def __init__(self, sigma: float, draws: int, seed: int) -> None:
        self.sigma = sigma
        self.count = draws if sigma > 0 else 1
        self.generator = torch.Generator().manual_seed(own_seed(seed, ATTACK))
        self.noise: Tensor | None = None

    def renew(self, frame: Tensor) -> None:
        """Draw [J, *F] for the next step."""
        if self.sigma > 0:
            shape = (self.count, *frame.shape[1:])
            self.noise = torch.randn(shape, generator=self.generator, dtype=frame.dtype).mul_(self.sigma)

    def outputs(self, function: Scores, newest: Tensor, rows: Tensor, context: FrameContext) -> Tensor:
        """Outputs [M, J, A] of the function at the observations of newest frames [M, *F] under each draw."""
        if self.noise is None:
            return function(context.observe(newest, rows))[:, None]
        many = (newest[:, None] + self.noise).flatten(0, 1)
        found = function(context.observe(many, rows.repeat_interleave(self.count)))
        return found.unflatten(0, (len(newest), self.count))


class ScoreAttack:
    """The paper's adaptive attack on discrete actions; see the module.

    Args:
        scores: observations [M, ...] as the base policy sees them to scores [M, A], differentiable: Q values or
            logits (`rlsuite.smoothing.victims` has them for rlsuite's and Stable-Baselines3's models).
        config: constants.
    """

    def __init__(self, scores: Scores, config: ScoreAttackConfig) -> None:
        self.scores = scores
        self.config = config
        self._draws = _Draws(config.sigma, config.noise_draws, config.seed)

    @property
    def budget(self) -> float:
        """B, total L2 norm over an episode."""
        return self.config.budget

    def __call__(self, frame: Tensor, context: FrameContext, remaining: Tensor) -> Tensor:
        """Perturbations [B, *F] for clean newest frames [B, *F], of norm at most remaining [B]."""
        part = torch.zeros_like(frame)
        rows = (remaining > SPENT * self.budget).nonzero().squeeze(1)
        if not len(rows):
            return part
        self._draws.renew(frame)
        with torch.no_grad():
            clean = torch.cat([self._scores(frame[r], r, context) for r in self._split(rows)])
        gap = clean.amax(1, keepdim=True) - clean
        candidate = gap >= self.config.q_gap
        candidate.scatter_(1, clean.argmax(1, keepdim=True), False)
        pair, target = candidate.nonzero().unbind(1)
        if not len(pair):
            return part
        found, reached = self._search(frame, rows[pair], target, context, remaining)
        # The table [n, A] of clean scores of the targets reached; the lowest in each row wins.
        table = torch.full_like(clean, math.inf)
        table[pair[reached], target[reached]] = clean[pair[reached], target[reached]]
        lowest, choice = table.min(1)
        chosen = reached & (choice[pair] == target) & lowest[pair].isfinite()
        part[rows[pair[chosen]]] = found[chosen]
        return part

    def _search(
        self, frame: Tensor, rows: Tensor, target: Tensor, context: FrameContext, remaining: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Perturbations [M, *F] towards each target [M] in environment rows [M], and whether it was reached [M]."""
        step, left = self.config.step_size, remaining[rows]
        part = torch.zeros_like(frame[rows])
        reached = torch.zeros(len(rows), dtype=torch.bool)
        steps = torch.ceil(2 * left / step)
        live = torch.arange(len(rows))
        taken = 0
        while len(live):
            for some in self._split(live):
                with torch.enable_grad():
                    free = part[some].requires_grad_()
                    scores = self._scores(frame[rows[some]] + free, rows[some], context)
                    loss = functional.cross_entropy(scores, target[some], reduction="sum")
                    (grad,) = torch.autograd.grad(loss, free)
                hit = scores.argmax(1) == target[some]
                reached[some] = hit
                moved = _descend(part[some], grad, step, left[some])
                part[some] = torch.where(_column(hit, moved) > 0, part[some], moved)
            taken += 1
            live = live[~reached[live] & (taken <= steps[live])]
        return part, reached

    def _scores(self, newest: Tensor, rows: Tensor, context: FrameContext) -> Tensor:
        return self._draws.outputs(self.scores, newest, rows, context).mean(1)

    def _split(self, rows: Tensor) -> tuple[Tensor, ...]:
        return rows.split(max(1, ROWS_AT_ONCE // self._draws.count))


class ActionAttack:
    """An adaptive attack on continuous actions; see the module.

    Args:
        actions: observations [M, ...] as the base policy sees them to its mean actions [M, A], differentiable.
        config: constants.
        harm: clean frames [M, *F] and actions [M, A] to what the adversary wants small, [M]; None for minus the
            squared distance from the mean action without attack.
    """

    def __init__(
        self,
        actions: Scores,
        config: ActionAttackConfig,
        harm: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        self.actions = actions
        self.config = config
        self.harm = harm
        self._draws = _Draws(config.sigma, config.noise_draws, config.seed)

    @property
    def budget(self) -> float:
        """B, total L2 norm over an episode."""
        return self.config.budget

    def __call__(self, frame: Tensor, context: FrameContext, remaining: Tensor) -> Tensor:
        """Perturbations [B, *F] for clean newest frames [B, *F], of norm at most remaining [B]."""
        part = torch.zeros_like(frame)
        rows = (remaining > SPENT * self.budget).nonzero().squeeze(1)
        if not len(rows):
            return part
        self._draws.renew(frame)
        # At e = 0 the distance has no gradient: begin a little away from it.
        start = torch.randn(frame.shape, generator=self._draws.generator, dtype=frame.dtype)
        for some in rows.split(max(1, ROWS_AT_ONCE // self._draws.count)):
            part[some] = self._improve(frame[some], start[some], some, context, remaining[some])
        return part

    def _improve(self, clean: Tensor, start: Tensor, rows: Tensor, context: FrameContext, left: Tensor) -> Tensor:
        step = self.config.step_size
        with torch.no_grad():
            usual = self._draws.outputs(self.actions, clean, rows, context).mean(1)
            before = self._objective(clean, torch.zeros_like(clean), usual, rows, context)
        part = project(start * _column(step / _norm(start).clamp_min(1e-300), start), left)
        for _ in range(self.config.steps):
            with torch.enable_grad():
                free = part.requires_grad_()
                (grad,) = torch.autograd.grad(self._objective(clean, free, usual, rows, context).sum(), free)
            part = _descend(part.detach(), grad, step, left)
        with torch.no_grad():
            better = self._objective(clean, part, usual, rows, context) < before
        return torch.where(_column(better, part) > 0, part, torch.zeros_like(part))

    def _objective(self, clean: Tensor, part: Tensor, usual: Tensor, rows: Tensor, context: FrameContext) -> Tensor:
        """The objective [M] that is minimised."""
        actions = self._draws.outputs(self.actions, clean + part, rows, context)
        price = self.config.penalty * part.flatten(1).square().sum(1)
        if self.harm is None:
            return price - (actions.mean(1) - usual).flatten(1).square().sum(1)
        count = actions.shape[1]
        harm = self.harm(clean.repeat_interleave(count, 0), actions.flatten(0, 1))
        return price + harm.unflatten(0, (len(clean), count)).mean(1)
