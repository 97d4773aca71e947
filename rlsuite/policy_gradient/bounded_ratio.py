"""Bounded-ratio reinforcement learning: the exact solution and the losses that BPO builds on.

Source: Ao et al. 2026, "Bounded Ratio Reinforcement Learning" (arXiv 2604.18578), Theorems 4.1, 4.2, § 4.6.
Notation: pi0 old policy, rho(a|s) = pi(a|s) / pi0(a|s) ratio, Q action value under pi0, lambda a temperature
**in units of return**, c_l < 1 < c_h bounds on rho (symmetric: 1 - epsilon, 1 + epsilon). In every state::

    maximise E_{a~pi0}[rho Q - lambda H(rho)]   subject to   c_l <= rho <= c_h,   E_{a~pi0}[rho] = 1
    rho*(a) = c_l + (c_h - c_l) sigmoid((Q(a) - mu) / lambda + logit q),   q = (1 - c_l) / (c_h - c_l)

The threshold mu is the soft upper q-quantile of Q under pi0, the root of E_{pi0}[sigmoid(...)] = q; that
equation is E[rho*] = 1. Symmetric bounds: q = 1/2, soft median, rho* = 1 + epsilon tanh((Q - mu) / 2lambda).
As lambda -> 0, rho* is c_h above the quantile, c_l below it, and at an atom on it what keeps the mean at 1.
With c_l = 0 and c_h = 1 / q that is the cross-entropy method: pi* is pi0 on its best fraction q.

Deliberate differences: the paper's pure sign form is normalised only if no atom sits on the median; here the
atom is solved for. The paper's quantile for asymmetric bounds was not readable; it is derived, and the tests
check it against a linear and a nonlinear solver.

First half: exact theory in float64. Second half: the losses for autograd, and their gradients in numpy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_MASS_TOLERANCE = 1e-13  # closer masses are equal: float64 sums of probabilities err by 1e-16 per term
_BISECTIONS = 72  # shrinks a bracket of up to 1500 to the last bit of float64
_MIN_TEMPERATURE = 1e-12


@dataclass(frozen=True)
class RatioBounds:
    """Bounds c_l <= rho <= c_h on the policy ratio.

    Attributes:
        low: c_l in [0, 1); 1 - epsilon in the symmetric case.
        high: c_h in (1, inf); 1 + epsilon in the symmetric case.
        even: set by `symmetric`; q is then 1/2 to the bit, and a constant for torch.compile.

    Raises:
        ValueError: `low` or `high` out of range.
    """

    low: float
    high: float
    even: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        if not (0.0 <= self.low < 1.0 < self.high < math.inf):
            found = f"low={self.low}, high={self.high}"
            raise ValueError(f"ratio bounds need 0 <= low < 1 < high < inf, got {found}; for example .7 and 1.3")

    @classmethod
    def symmetric(cls, epsilon: float) -> RatioBounds:
        """Bounds 1 - epsilon and 1 + epsilon, for epsilon in (0, 1]."""
        if not 0.0 < epsilon <= 1.0:
            raise ValueError(f"clip range epsilon must be in (0, 1], got {epsilon}; the paper uses .1 to .3")
        return cls(1.0 - epsilon, 1.0 + epsilon, even=True)

    @property
    def width(self) -> float:
        """The length c_h - c_l of the allowed interval."""
        return self.high - self.low

    @property
    def quantile(self) -> float:
        """The mass q = (1 - c_l) / (c_h - c_l) that must lie above the threshold; 1/2 if symmetric."""
        return 0.5 if self.even else (1.0 - self.low) / self.width

    @property
    def logit(self) -> float:
        """The log-odds of q, exactly 0 for symmetric bounds."""
        return 0.0 if self.even else math.log((1.0 - self.low) / (self.high - 1.0))


def _checked(prob: Tensor, q_value: Tensor, temperature: float, quantile: float) -> tuple[Tensor, Tensor]:
    if prob.shape != q_value.shape or prob.ndim == 0:
        shapes = f"{tuple(prob.shape)} and {tuple(q_value.shape)}"
        raise ValueError(f"prob and q_value need one common shape [..., K], got {shapes}")
    prob, q_value = prob.detach().double(), q_value.detach().double()
    total = prob.sum(-1, keepdim=True)
    if not bool((prob >= 0).all()) or not bool(((total - 1).abs() < 1e-5).all()):
        found = f"smallest entry {float(prob.min())}, sums {float(total.min())} to {float(total.max())}"
        raise ValueError(f"rows of prob must be non-negative and sum to 1, got {found}; normalise it first")
    if not bool(torch.isfinite(q_value).all()):
        raise ValueError("q_value holds NaN or infinity; every action needs a finite value (prob 0 forbids it)")
    if not (temperature == 0 or _MIN_TEMPERATURE <= temperature < math.inf):
        raise ValueError(f"temperature must be 0 (hard) or at least {_MIN_TEMPERATURE}, got {temperature}")
    if not 1e-9 <= quantile <= 1 - 1e-9:
        raise ValueError(f"quantile must be in [1e-9, 1 - 1e-9], got {quantile}; use milder ratio bounds")
    return prob / total, q_value


class _Anchor(NamedTuple):
    """The atom where the hard quantile lies, and the masses around it; all [..., 1]."""

    value: Tensor  # Q of the atom
    below: Tensor  # Q of the next atom below it (the same value if there is none)
    mass: Tensor  # mass of the atom itself
    mass_above: Tensor  # mass strictly above it, always < q
    tie: Tensor  # bool: the atom's mass ends exactly at q, so the quantile is the whole gap down to `below`


def _hard_anchor(prob: Tensor, q_value: Tensor, quantile: float) -> _Anchor:
    ordered, order = q_value.sort(dim=-1, descending=True)
    reached = prob.gather(-1, order).cumsum(-1) >= quantile - _MASS_TOLERANCE
    value = ordered.gather(-1, reached.to(torch.int8).argmax(-1, keepdim=True))
    mass_above = torch.where(q_value > value, prob, 0.0).sum(-1, keepdim=True)
    mass = torch.where(q_value == value, prob, 0.0).sum(-1, keepdim=True)
    lower = (q_value < value) & (prob > 0)
    below = torch.where(lower, q_value, -math.inf).amax(-1, keepdim=True)
    tie = (mass_above + mass - quantile).abs() <= _MASS_TOLERANCE
    return _Anchor(value, torch.where(below.isinf(), value, below), mass, mass_above, tie)


def _threshold_offset(prob: Tensor, q_value: Tensor, anchor: _Anchor, temperature: float, quantile: float) -> Tensor:
    """Root x of E[sigmoid((Q - Q_anchor) / lambda - x + logit q)] = q, [..., 1]; so mu = Q_anchor + x lambda.

    Solving for the offset from an atom, not for mu, keeps the normalisation at 1e-10 even when lambda is far
    below the spacing of floats around Q. Bisection, because all slopes vanish where the sigmoids saturate;
    its bracket comes from bounding the sum by its largest terms, and is narrow whatever Q / lambda is.
    """
    scaled = ((q_value - anchor.value) / temperature).clamp(-1e300, 1e300)
    logit_q = _logit(quantile)
    log_prob = prob.log()
    upper = scaled >= 0
    # sum - q = surplus - (missing mass of the upper set) + (mass of the lower set): only small terms.
    surplus = torch.where(anchor.tie, 0.0, anchor.mass_above + anchor.mass - quantile)

    def balance(x: Tensor) -> Tensor:
        y = scaled - x + logit_q
        missing = torch.where(upper, log_prob + F.logsigmoid(-y), -math.inf).logsumexp(-1, keepdim=True)
        extra = torch.where(upper, -math.inf, log_prob + F.logsigmoid(y)).logsumexp(-1, keepdim=True)
        # With a tie both can be far below the smallest float, and only their logarithms still compare.
        return torch.where(anchor.tie, extra - missing, surplus + extra.exp() - missing.exp())

    # No tie: all below the atom lies between nothing and as much as the atom itself gives.
    least = (quantile / (anchor.mass_above + anchor.mass)).clamp(1e-300, 1 - 1e-16)
    most = ((quantile - anchor.mass_above) / (1 - anchor.mass_above)).clamp(1e-300, 1 - 1e-16)
    # Tie: the root is mid-gap, shifted by no more than the log-ratio of the masses on its two sides.
    middle = (anchor.below - anchor.value).div(2 * temperature).clamp(min=-1e300) + logit_q
    reach = math.log(4.0) - torch.where(prob > 0, log_prob, 0.0).amin(-1, keepdim=True)
    low = torch.where(anchor.tie, middle - reach, logit_q - torch.logit(least) - 1.0)
    high = torch.where(anchor.tie, middle + reach, logit_q - torch.logit(most) + 1.0)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        positive = balance(middle) > 0
        low, high = torch.where(positive, middle, low), torch.where(positive, high, middle)
    return 0.5 * (low + high)


@torch.no_grad()
def soft_quantile(prob: Tensor, q_value: Tensor, *, temperature: float, quantile: float = 0.5) -> Tensor:
    """The threshold mu_lambda(s): the soft upper quantile of Q under pi0 (the soft median for quantile 1/2).

    Args:
        prob: pi0(a|s), [..., K], rows sum to 1.
        q_value: Q(s, a), [..., K], return units, finite.
        temperature: lambda >= 0, return units; 0 gives the hard quantile (of a gap, its middle).
        quantile: q in (0, 1), the mass above the threshold; `RatioBounds.quantile`.

    Returns:
        mu [...], float64, on the device of `prob`, between the smallest and the largest Q of the support.

    Raises:
        ValueError: if shapes differ, rows are no distributions, or a number is out of range.
    """
    prob, q_value = _checked(prob, q_value, temperature, quantile)
    anchor = _hard_anchor(prob, q_value, quantile)
    if temperature == 0:
        return torch.where(anchor.tie, 0.5 * (anchor.value + anchor.below), anchor.value).squeeze(-1)
    mu = anchor.value + temperature * _threshold_offset(prob, q_value, anchor, temperature, quantile)
    # Exact arithmetic stays inside the support; a large lambda times a rounding error need not.
    support = torch.where(prob > 0, q_value, anchor.value)
    return mu.clamp(support.amin(-1, keepdim=True), support.amax(-1, keepdim=True)).squeeze(-1)


@torch.no_grad()
def optimal_ratio(prob: Tensor, q_value: Tensor, *, bounds: RatioBounds, temperature: float) -> Tensor:
    """The exact solution rho* of the bounded-ratio problem in every state.

    Args:
        prob: pi0(a|s), [..., K], rows sum to 1.
        q_value: Q(s, a), or A(s, a) (constants per state do not matter), [..., K], return units, finite.
        bounds: c_l and c_h.
        temperature: lambda >= 0, return units; 0 solves the linear programme, atom included.

    Returns:
        rho* [..., K], float64, in [c_l, c_h], with E_{pi0}[rho*] = 1 to 1e-10.

    Raises as `soft_quantile`. Source: Theorem 4.1; Remark 4.3 for the atom; § 4.6 for asymmetric bounds.
    """
    prob, q_value = _checked(prob, q_value, temperature, bounds.quantile)
    anchor = _hard_anchor(prob, q_value, bounds.quantile)
    if temperature == 0:
        mass_below = 1 - anchor.mass_above - anchor.mass
        atom = (1 - bounds.high * anchor.mass_above - bounds.low * mass_below) / anchor.mass
        ratio = bounds.low + bounds.width * (q_value > anchor.value).double()
        return torch.where(q_value == anchor.value, atom.clamp(bounds.low, bounds.high), ratio)
    offset = _threshold_offset(prob, q_value, anchor, temperature, bounds.quantile)
    logit = (q_value - anchor.value) / temperature - offset + bounds.logit
    return bounds.low + bounds.width * torch.sigmoid(logit)


def barrier(ratio: Tensor, epsilon: float) -> Tensor:
    """The paper's regulariser H(rho) for symmetric bounds, elementwise; NaN outside them.

    Lowest, 2 eps ln(eps), at 1; highest, 2 eps ln(2 eps), at the bounds, with unbounded slope.
    """
    lower, upper = ratio - (1 - epsilon), (1 + epsilon) - ratio
    return torch.xlogy(lower, lower) + torch.xlogy(upper, upper)


def asymmetric_barrier(ratio: Tensor, bounds: RatioBounds) -> Tensor:
    """H'(rho) for bounds c_l, c_h, elementwise; 0 at its minimum, rho = 1. Symmetric: H less its minimum."""
    lower, upper = ratio - bounds.low, bounds.high - ratio
    return torch.xlogy(lower, lower / (1 - bounds.low)) + torch.xlogy(upper, upper / (bounds.high - 1))


def ratio_target(advantage: Tensor, *, bounds: RatioBounds, temperature: float) -> Tensor:
    """The ratio a sample is drawn to: c_l + (c_h - c_l) sigmoid(advantage / lambda + logit q).

    Args:
        advantage: R - mu(s) (median mode) or R - V(s) (mean mode), [N], return units.
        bounds: c_l and c_h.
        temperature: lambda >= 0, return units; 0 gives c_h or c_l by sign, and 1 at advantage 0.

    Returns:
        Targets [N] in [c_l, c_h], with the dtype of `advantage`, detached.
    """
    advantage = advantage.detach()
    if temperature == 0:
        above, below = (advantage > 0).to(advantage.dtype), (advantage < 0).to(advantage.dtype)
        return 1.0 + (bounds.high - 1.0) * above - (1.0 - bounds.low) * below
    return bounds.low + bounds.width * torch.sigmoid(advantage / temperature + bounds.logit)


class BoundedRatioLoss(NamedTuple):
    """The scalar to minimise, and the detached ratio and target [N]."""

    loss: Tensor
    ratio: Tensor
    target: Tensor


def bpo_policy_loss(
    log_prob: Tensor,
    old_log_prob: Tensor,
    advantage: Tensor,
    weight: Tensor,
    *,
    bounds: RatioBounds,
    temperature: float,
    tv_offset: float = 0.0,
) -> BoundedRatioLoss:
    """BPO's policy loss: the advantage-weighted L1 distance of the ratio to its optimum, on both sides.

    Args:
        log_prob: log pi(a|s) of the stored, unclipped actions, [N]; all that receives a gradient.
        old_log_prob: log pi0(a|s), [N].
        advantage: what sets the target, R - mu(s) or R - V(s), [N], return units.
        weight: R - V(s), [N], return units; its absolute value weighs the sample.
        bounds: c_l and c_h.
        temperature: lambda >= 0, return units.
        tv_offset: alpha_1 >= 0, return units; added to every weight (a total-variation term).

    Returns:
        The loss (return units), ratio and target. Minimising raises log pi where the ratio is below target.

    Source: mean((|R - V| + alpha_1) |rho - target|), equations 8 and 16.
    """
    target = ratio_target(advantage, bounds=bounds, temperature=temperature)
    # No clamp on the log-ratio: the pull back must see how far a sample has run away.
    ratio = (log_prob - old_log_prob.detach()).exp()
    loss = ((weight.detach().abs() + tv_offset) * (ratio - target).abs()).mean()
    return BoundedRatioLoss(loss, ratio.detach(), target)


def soft_median_loss(residual: Tensor, *, temperature: float = 1.0, quantile: float = 0.5) -> Tensor:
    """The loss tau g(residual / tau), per sample, that makes mu(s) a soft quantile of the returns.

    g(x) = softplus(x + logit q) - q x has d/dmu = q - sigmoid((R - mu) / tau + logit q): stationary where the
    threshold equation of the module docstring holds. At q = 1/2 it is the paper's softplus(x) - x / 2. The
    released code has tau = 1 whatever lambda is; where |R - mu| stays below tau, mu is close to the mean.

    Args:
        residual: R - mu(s), [...], return units.
        temperature: tau > 0, return units.
        quantile: q in (0, 1), the mass above mu; `RatioBounds.quantile`.

    Returns:
        The loss [...], not averaged; lowest at residual 0, slope between -q and 1 - q.

    Source: the loss of Theorem 4.1, equation 15; the form for other quantiles is derived from it.
    """
    scaled = residual / temperature
    # -logsigmoid(-u) is softplus(u) without torch's shortcut above 20, whose slope is off by exp(-20).
    return temperature * (-F.logsigmoid(-(scaled + _logit(quantile))) - quantile * scaled)


def _logit(quantile: float) -> float:
    # Exactly 0 at 1/2, so that the symmetric case is the paper's formula to the bit.
    return math.log(quantile / (1.0 - quantile))


def _sigmoid(x: np.ndarray, scale: float, shift: float, low: float, high: float) -> np.ndarray:
    """Evaluate low + (high - low) sigmoid(x scale + shift) in few operations and without overflow."""
    out = x * (0.5 * scale)
    if shift:
        out += 0.5 * shift
    np.tanh(out, out=out)
    out *= 0.5 * (high - low)
    out += 0.5 * (high + low)
    return out


def ratio_target_array(advantage: np.ndarray, *, bounds: RatioBounds, temperature: float) -> np.ndarray:
    """`ratio_target` for numpy arrays [N], with the dtype of `advantage`."""
    if temperature == 0:
        return ratio_target(torch.from_numpy(advantage), bounds=bounds, temperature=0.0).numpy()
    return _sigmoid(advantage, 1 / temperature, bounds.logit, bounds.low, bounds.high)


def bpo_policy_grad(ratio: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Derivative of `bpo_policy_loss` by log_prob, [N]: weight sign(rho - target) rho / N; 0 at the kink.

    All [N]: ratio rho, target from `ratio_target_array`, weight |R - V(s)| + alpha_1.
    """
    return weight * np.sign(ratio - target) * ratio * (1.0 / ratio.size)


def soft_median_grad(
    return_: np.ndarray, mu: np.ndarray, temperature: float = 1.0, quantile: float = 0.5
) -> np.ndarray:
    """Derivative of the mean `soft_median_loss`(R - mu) by mu, [N]: (q - sigmoid(. / tau + logit q)) / N."""
    each = 1.0 / mu.size
    return _sigmoid(return_ - mu, 1 / temperature, _logit(quantile), quantile * each, (quantile - 1) * each)
