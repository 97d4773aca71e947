"""Attacks that follow the gradient of the victim's own networks.

Every attack maximises an objective of the attacked observation s~ = s + unit * delta over the ball that its budget
grants, by K projected steps (sign steps under l-infinity, normalised ones under l2):

| attack | objective | source |
|---|---|---|
| fgsm, pgd | -log pi(a | s~), a the clean argmax (choices) or a sample of pi(.|s) (Gaussian) | Huang et al. 2017 |
| critic | -V(s~) | Pattanaik et al. 2018; weak where V errs off the states it was fitted to |
| q | -Q(s, pi(s~)) | the same for agents with an action-value critic |
| mad | KL(pi(s) || pi(s~)) | Zhang et al. 2020 (maximal action difference) |
| min-q | log pi(a- | s~), a- the choice of least Q (or least probability) | "MaxWorst" of Sun et al. 2022 |

Best iterates are kept: an attack never returns a point worse than its start. The releases step by eps / K, which from
a random start may end inside the ball; here the step is `step_size` of the radius (default 2.5 / K) and a linear
objective's optimum is reached exactly. FGSM is K = 1 with a step of the whole radius.
The gradient of `mad` is 0 at s, so it starts from random signs of size eps / K.

Shapes: N rows, O observation entries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite.adversarial.attacks.budget import project, steepest
from rlsuite.adversarial.attacks.victim import Victim
from rlsuite.core.brain import PolicyOutput
from rlsuite.core.config import check_types

__all__ = ["GradientAttack", "Objective", "ascend", "clip", "in_box", "policy_divergence"]

Objective = Callable[[Tensor], Tensor]
"""Function of attacked raw observations [N, O] to the objective [N] that is maximised."""


def ascend(
    objective: Objective,
    obs: Tensor,
    unit: Tensor,
    radius: Tensor,
    norm: str,
    *,
    steps: int,
    step_size: float,
    start: Tensor | None = None,
    bounds: tuple[Tensor, Tensor] | None = None,
    name: str = "ascent",
) -> Tensor:
    """Projected gradient ascent in the ball; the best of its iterates.

    Args:
        objective: what to maximise, row by row.
        obs: raw observations [N, O].
        unit: observation units per budget unit [O].
        radius: of the ball [N].
        norm: "linf" or "l2".
        steps: K >= 1.
        step_size: of a step, as a share of the radius.
        start: first delta [N, O]; None is 0.
        bounds: low and high [O] of obs + unit * delta, for obs within: no budget goes where it would be cut.
        name: of the attack, for errors.

    Returns:
        Delta [N, O].

    Raises:
        FloatingPointError: the objective or its gradient is NaN or infinite.
    """
    if bounds is None:
        bounds = torch.full_like(unit, -torch.inf), torch.full_like(unit, torch.inf)
    low, high = ((x.to(obs) - obs) / unit.clamp_min(1e-12) for x in bounds)  # of delta

    def allowed(delta: Tensor) -> Tensor:
        # bounds first: the projection shrinks towards obs, and so cannot leave them again
        return project(clip(delta, (low, high)), radius, norm)

    delta = torch.zeros_like(obs) if start is None else allowed(start)
    best, best_value = delta, torch.full((len(obs),), -torch.inf, dtype=torch.float64)
    for k in range(steps + 1):
        point = delta.detach().requires_grad_(k < steps)
        with torch.enable_grad():
            value = objective(obs + unit * point)
            gradient = torch.autograd.grad(value.sum(), point)[0] if k < steps else None
        _check_finite(name, "", value)
        value = value.detach().to(best_value)
        better = value > best_value
        best = torch.where(better[:, None], delta, best)
        best_value = torch.where(better, value, best_value)
        if gradient is None:
            break
        _check_finite(name, "'s gradient", gradient)
        outward = ((delta >= high) & (gradient > 0)) | ((delta <= low) & (gradient < 0))
        gradient = torch.where(outward, 0, gradient)
        delta = allowed(delta + step_size * radius[:, None] * steepest(gradient, norm))
    return best


def _check_finite(name: str, what: str, value: Tensor) -> None:
    # NaN beats no other number: the ascent would return its start, and the victim would look robust
    finite = torch.isfinite(value)
    if not bool(finite.all()):
        raise FloatingPointError(
            f"attack {name!r}: its objective{what} is {value[~finite][0].item()}; look at the victim's weights and "
            "observations"
        )


def clip(point: Tensor, bounds: tuple[Tensor, Tensor]) -> Tensor:
    """Points [N, O] within low and high, each [O] or [N, O]."""
    low, high = (x.to(point) for x in bounds)
    return torch.minimum(torch.maximum(point, low), high)


def in_box(action: Tensor, victim: Victim) -> Tensor:
    """Actions [N, A] within the victim's box, as its environment executes them; choices as they are."""
    space = victim.action_space
    if not isinstance(space, spaces.Box):
        return action
    return clip(action, (torch.as_tensor(space.low.reshape(-1)), torch.as_tensor(space.high.reshape(-1))))


def policy_divergence(clean: PolicyOutput, attacked: PolicyOutput) -> Tensor:
    """KL(clean || attacked) [N] of Gaussians; else half the squared distance of the modes' actions.

    Squashing by tanh is one-to-one, so the KL divergence of Gaussians squashed into the same box is that of the
    Gaussians. One that is squashed and one that is not (or into another box) speak of different numbers; then, as where
    either policy is deterministic, the actions are compared.
    """
    if clean.std is not None and attacked.std is not None and _same_box(clean, attacked):
        ratio = (clean.std / attacked.std).square()
        shift = ((clean.mean - attacked.mean) / attacked.std).square()
        return 0.5 * (ratio + shift - 1 - ratio.log()).sum(dim=1)
    return 0.5 * (clean.action - attacked.action).square().sum(dim=1)


def _same_box(one: PolicyOutput, other: PolicyOutput) -> bool:
    if one.box is None or other.box is None:
        return one.box is other.box
    return all(torch.equal(a, b) for a, b in zip(one.box, other.box, strict=True))


def choice_divergence(clean: Tensor, attacked: Tensor) -> Tensor:
    """KL [N] between softmax(clean) and softmax(attacked), logits [N, A]."""
    # in float64: where a policy is sure of itself, float32 rounds the loss and its gradient to 0
    log_p, log_q = clean.double().log_softmax(1), attacked.double().log_softmax(1)
    return (log_p.exp() * (log_p - log_q)).sum(dim=1)


def divergence(victim: Victim, clean: PolicyOutput, attacked: PolicyOutput) -> Tensor:
    """`choice_divergence` or `policy_divergence` [N], whichever the victim's actions need."""
    if victim.discrete:
        return choice_divergence(clean.mean, attacked.mean)
    return policy_divergence(clean, attacked)


@dataclass(frozen=True)
class GradientAttack:
    """One of the attacks of the module's table."""

    kind: str = "pgd"
    """"fgsm", "pgd", "critic", "q", "mad" or "min-q"."""
    steps: int = 10
    """K, gradient steps, >= 1 (`fgsm`: always one)."""
    step_size: float | None = None
    """Length of a step as a fraction of the radius, > 0; None is 2.5 / K (1 for K = 1)."""

    def __post_init__(self) -> None:
        check_types(self)
        if self.kind not in KINDS:
            raise ValueError(f"GradientAttack.kind is {self.kind!r}; choose one of {', '.join(KINDS)}")
        if self.steps < 1 or (self.step_size is not None and not self.step_size > 0):
            raise ValueError(
                f"GradientAttack needs steps >= 1 and step_size > 0, not steps={self.steps}, step_size={self.step_size}"
            )

    @property
    def name(self) -> str:
        """Name of the attack in reports."""
        return self.kind

    def check(self, victim: Victim) -> None:
        """Raise unless the victim has what the attack needs.

        Raises:
            ValueError: it has not; the message names the remedy.
        """
        victim.need({"critic": "value", "q": "q_value"}.get(self.kind, "heads"), self.kind)
        if self.kind == "min-q" and not victim.discrete:
            raise ValueError(
                f"attack 'min-q' aims at the worst of finitely many actions; {victim.name} has {victim.action_space} "
                "(take 'q' or 'mad')"
            )

    def __call__(self, obs: Tensor, victim: Victim, radius: Tensor, norm: str, generator: torch.Generator) -> Tensor:
        """See `rlsuite.adversarial.attacks.protocol.Attack`."""
        self.check(victim)
        steps = 1 if self.kind == "fgsm" else self.steps
        step_size = self.step_size or (1.0 if steps == 1 else 2.5 / steps)
        objective, needs_start = self._objective(obs, victim, generator)
        start = None
        if needs_start:
            signs = torch.randint(0, 2, obs.shape, generator=generator).to(obs) * 2 - 1
            start = project(signs * (radius / max(steps, 10))[:, None], radius, norm)
        return ascend(
            objective, obs, victim.unit, radius, norm, steps=steps, step_size=step_size, start=start, name=self.kind
        )

    def _objective(self, obs: Tensor, victim: Victim, generator: torch.Generator) -> tuple[Objective, bool]:
        """The objective to maximise, and whether its gradient vanishes at the clean observation."""
        if self.kind == "critic":
            value = victim.need("value", self.kind)
            return lambda s: -value(s), False
        heads = victim.need("heads", self.kind)
        if self.kind == "q":
            q_value = victim.need("q_value", self.kind)
            return lambda s: -q_value(obs, heads(s).action), False
        with torch.no_grad():
            clean: PolicyOutput = heads(obs)
        if self.kind == "mad" or (clean.std is None and not victim.discrete):
            return lambda s: divergence(victim, clean, heads(s)), True
        if self.kind == "min-q":
            worst = clean.mean.argmin(dim=1, keepdim=True)
            return lambda s: heads(s).mean.double().log_softmax(1).gather(1, worst).squeeze(1), False
        if victim.discrete:
            chosen = clean.mean.argmax(dim=1, keepdim=True)
            return lambda s: -heads(s).mean.double().log_softmax(1).gather(1, chosen).squeeze(1), False
        assert clean.std is not None
        noise = torch.randn(clean.mean.shape, generator=generator).to(clean.mean)
        action = clean.mean + clean.std * noise
        return lambda s: _surprise(action, heads(s)), False


def _surprise(action: Tensor, heads: PolicyOutput) -> Tensor:
    """-log density [N] of a Gaussian at actions [N, A], up to a constant."""
    assert heads.std is not None
    return (0.5 * ((action - heads.mean) / heads.std).square() + heads.std.log()).sum(dim=1)


KINDS = ("fgsm", "pgd", "critic", "q", "mad", "min-q")
