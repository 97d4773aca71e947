"""Attacks on what a victim does: its action is changed on the way to the environment, its observation is not.

| attack | executed action |
|---|---|
| action-noise | a + eps u, u uniform in the ball |
| action-q | a + delta, delta minimising Q(s, a + delta) over the ball (victims with an action-value critic) |
| action-mas | a + delta, delta minimising the policy's own density (QARL's form of MAS, arXiv 1909.02583) |
| blend | (1 - eps) a + eps a', a' another policy's action (NR-MDP, arXiv 1901.09184) |
| swap | with probability eps a' instead of a (PR-MDP; also the attack budget of arXiv 2305.17342) |

eps is a size in half ranges of the box for the first three, a share or a probability in [0, 1] for the last two.
Executed actions stay in the box. Shapes: B rows, A action entries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite.adversarial.attacks.budget import NORMS
from rlsuite.adversarial.attacks.gradient import Objective, ascend, clip
from rlsuite.adversarial.attacks.uniform import uniform_in_ball
from rlsuite.adversarial.attacks.victim import Victim
from rlsuite.core.brain import PolicyOutput
from rlsuite.core.config import check_types
from rlsuite.core.evaluate import Predictor

__all__ = ["ActionAttack", "MixedAction"]

KINDS = ("action-noise", "action-q", "action-mas")


def _box(victim: Victim, attack: str) -> tuple[Tensor, Tensor]:
    """Low and high [A] of the victim's box.

    Raises:
        ValueError: it has none.
    """
    space = victim.action_space
    if not isinstance(space, spaces.Box) or not space.is_bounded("both"):
        raise ValueError(f"attack {attack!r} changes actions of a bounded Box; {victim.name} has {space}")
    low, high = (torch.as_tensor(x.reshape(-1)).double() for x in (space.low, space.high))
    return low, high


@dataclass(frozen=True)
class ActionAttack:
    """A perturbation of the executed action within a ball; see the module's table."""

    kind: str
    eps: float
    """Size of the perturbation, >= 0, in half ranges of the action box."""
    norm: str = "linf"
    """"linf" or "l2"."""
    steps: int = 10
    """Gradient steps, >= 1."""

    def __post_init__(self) -> None:
        check_types(self)
        if self.kind not in KINDS or self.norm not in NORMS:
            raise ValueError(
                f"ActionAttack has kinds {KINDS} and norms {NORMS}, not kind={self.kind!r}, norm={self.norm!r}"
            )
        if not 0 <= self.eps < float("inf") or self.steps < 1:
            raise ValueError(f"ActionAttack needs finite eps >= 0 and steps >= 1, not {self.eps}, {self.steps}")

    @property
    def name(self) -> str:
        """Name of the attack in reports."""
        return self.kind

    def check(self, victim: Victim) -> None:
        """Raise unless the victim has what the attack needs.

        Raises:
            ValueError: it has not.
        """
        _box(victim, self.kind)
        part = {"action-q": "q_value", "action-mas": "heads"}.get(self.kind)
        if part is not None:
            victim.need(part, self.kind)

    def __call__(self, obs: np.ndarray, action: np.ndarray, victim: Victim, generator: torch.Generator) -> np.ndarray:
        """Executed actions [B, ...] for true observations [B, ...] and the victim's actions [B, ...]."""
        if self.eps == 0:
            return action
        low, high = _box(victim, self.kind)
        half = (high - low) / 2
        rows = torch.as_tensor(np.asarray(obs, np.float64)).reshape(len(obs), -1)
        given = torch.as_tensor(np.asarray(action, np.float64)).reshape(len(action), -1)
        radius = torch.full((len(rows),), self.eps, dtype=torch.float64)
        start = uniform_in_ball((len(rows), len(half)), radius, self.norm, generator)
        if self.kind == "action-noise":
            delta = start
        elif self.kind == "action-q":
            q_value = victim.need("q_value", self.kind)
            delta = self._ascend(lambda a: -q_value(rows, a), given, (low, high), radius, None)
        else:
            with torch.no_grad():
                heads = victim.need("heads", self.kind)(rows)
            # the density's gradient is 0 at its mode, so the ascent starts beside it, on the side that the box leaves
            beside = 0.1 * start
            there = given + half * beside
            beside = torch.where((there < low) | (there > high), -beside, beside)
            delta = self._ascend(lambda a: _rarity(a, heads), given, (low, high), radius, beside)
        executed = clip(given + half * delta, (low, high))
        return executed.numpy().astype(action.dtype).reshape(action.shape)

    def _ascend(
        self,
        objective: Objective,
        given: Tensor,
        bounds: tuple[Tensor, Tensor],
        radius: Tensor,
        start: Tensor | None,
    ) -> Tensor:
        half = (bounds[1] - bounds[0]) / 2
        return ascend(
            objective,
            given,
            half,
            radius,
            self.norm,
            steps=self.steps,
            step_size=2.5 / self.steps,
            start=start,
            bounds=bounds,
            name=self.kind,
        )


def _rarity(action: Tensor, heads: PolicyOutput) -> Tensor:
    """Squared distance [N] of actions [N, A] from the Gaussian's mean, in its own standard deviations.

    Of a squashed Gaussian both are before the tanh; the edges of its box, which are infinitely far, count as 1e-6 of
    the half range before them.
    """
    mean = (heads.action if heads.box is None else heads.mean).double()
    if heads.box is not None:
        low, high = (x.double() for x in heads.box)
        action = (2 * (action - low) / (high - low) - 1).clamp(-1 + 1e-6, 1 - 1e-6).atanh()
    std = torch.ones_like(mean) if heads.std is None else heads.std.double()
    return ((action - mean) / std).square().sum(dim=1)


class MixedAction:
    """Mixes another policy's action into the victim's: blended in, or replacing it at random.

    Args:
        eps: share ("blend") or probability ("swap"), in [0, 1].
        other: whose actions; None for uniformly random ones.
        kind: "blend" or "swap".

    Raises:
        ValueError: eps outside [0, 1], or an unknown kind.
    """

    def __init__(self, eps: float, other: Predictor | None = None, *, kind: str = "blend") -> None:
        if not 0 <= eps <= 1 or kind not in ("blend", "swap"):
            raise ValueError(f"MixedAction needs eps in [0, 1] and kind 'blend' or 'swap', not {eps}, {kind!r}")
        self.eps = eps
        self.other = other
        self.kind = kind

    @property
    def name(self) -> str:
        """Name of the attack in reports."""
        return self.kind

    def check(self, victim: Victim) -> None:
        """Raise unless actions can be mixed.

        Raises:
            ValueError: choices cannot be blended, only swapped; nothing is uniform in a box without bounds.
        """
        if self.kind == "blend" or (self.other is None and not victim.discrete):
            _box(victim, self.kind)

    def __call__(self, obs: np.ndarray, action: np.ndarray, victim: Victim, generator: torch.Generator) -> np.ndarray:
        """Executed actions [B, ...]."""
        self.check(victim)
        if self.eps == 0:
            return action
        other = self._other(obs, action, victim, generator)
        if self.kind == "blend":
            return ((1 - self.eps) * action + self.eps * other).astype(action.dtype)
        taken = (torch.rand(len(action), generator=generator) < self.eps).numpy()
        return np.where(taken.reshape(-1, *[1] * (action.ndim - 1)), other, action).astype(action.dtype)

    def _other(self, obs: np.ndarray, action: np.ndarray, victim: Victim, generator: torch.Generator) -> np.ndarray:
        if self.other is not None:
            return np.asarray(self.other.predict(obs, deterministic=True)[0])
        space = victim.action_space
        if isinstance(space, spaces.Discrete):
            drawn = torch.randint(int(space.n), (len(action),), generator=generator).numpy()
            return drawn + int(space.start)
        low, high = _box(victim, self.kind)
        uniform = torch.rand((len(action), len(low)), generator=generator, dtype=torch.float64)
        return (low + (high - low) * uniform).numpy().reshape(action.shape)
