"""The PPO of cheap talk's victims for V learners at once: one batched network, its loss, its gradient, its step.

All that a learner owns has the learner as its first axis, and no operation mixes learners. The loss is the sum over
learners of each one's own mean, so that its derivative by a learner's parameters is that learner's own gradient:

    l = -min(rho A, clip(rho, 1 - eps, 1 + eps) A) + c1 / 2 max((V - R)^2, (V_clip - R)^2) - c2 H
    V_clip = V_old + clip(V - V_old, -eps, eps),      rho = pi(a|s) / pi_old(a|s)

One trunk of two layers carries the value and the policy (logits, or means with a standard deviation that does not
depend on the state). Gradients are clipped per learner; Adam works on single numbers anyway.

The derivatives are written out by hand: autograd takes two and a half times as long for many learners, five times for
one. `victim_loss` is the definition, `VictimNet.gradient` what trains; they agree by test.

Shapes: V learners, N samples, D inputs, h units, A actions (or action dimensions), K = 1 + A heads, W parameters.

Source: Schulman et al. 2017; details (full batch, value clipped, trunk shared, initial weights) from the release of
Adversarial Cheap Talk (arXiv 2211.11030).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlsuite.core.config import check_choices, check_range, check_types
from rlsuite_envs.checks import check_integer

__all__ = ["Samples", "VictimConfig", "VictimNet", "victim_loss"]

LOG_STD_RANGE = (-10.0, 2.0)
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
# flax's LeCun normal: a normal cut at two standard deviations, stretched so that its variance is 1 / fan-in again.
_CUT_STD = 0.87962566103423978


@dataclass(frozen=True)
class VictimConfig:
    """Hyper-parameters of the victims; the defaults are the experiments' CartPole.

    Raises:
        ValueError: a value out of range; the message names the field, its value and the range.
    """

    hidden: int = 32
    """h, units of each of the two layers, >= 1."""
    activation: str = "tanh"
    """tanh or relu."""
    num_envs: int = 4
    """E, environments of each victim, >= 1."""
    n_steps: int = 256
    """T, steps per environment and rollout, >= 2; the last one only bootstraps."""
    n_updates: int = 32
    """U, rollouts of a training, >= 1; a victim lives for U T E environment steps."""
    n_epochs: int = 16
    """Gradient steps per rollout, each on all of it, >= 1."""
    learning_rate: float = 0.005
    """Adam's step size, > 0."""
    gamma: float = 0.99
    """Discount per step, in [0, 1]."""
    gae_lambda: float = 0.95
    """Lambda of generalised advantage estimation, in [0, 1]."""
    clip_range: float = 0.2
    """eps, clip range of the probability ratio, and of the value's change in return units; > 0."""
    ent_coef: float = 0.01
    """c2, weight of the entropy bonus, >= 0."""
    vf_coef: float = 0.5
    """c1, weight of the value loss, >= 0."""
    max_grad_norm: float = 0.5
    """Largest L2 norm of a victim's gradient, > 0."""
    stagger: bool = False
    """Let first episodes start at random time indices, so that a victim's environments do not end together."""

    def __post_init__(self) -> None:
        check_types(self)
        inf, tiny = float("inf"), 1e-12
        check_choices(self, activation=("tanh", "relu"))
        for name in ("hidden", "num_envs", "n_updates", "n_epochs"):
            check_integer(self, name, 1)
        check_integer(self, "n_steps", 2)
        check_range(
            self,
            learning_rate=(tiny, inf),
            gamma=(0, 1),
            gae_lambda=(0, 1),
            clip_range=(tiny, inf),
            ent_coef=(0, inf),
            vf_coef=(0, inf),
            max_grad_norm=(tiny, inf),
        )

    @property
    def timesteps(self) -> int:
        """Environment steps of one victim's training."""
        return self.n_updates * self.n_steps * self.num_envs


@dataclass(frozen=True)
class Samples:
    """One rollout of V learners with its targets."""

    obs: Tensor
    """Scaled observations [V, N, D]."""
    action: Tensor
    """Actions [V, A, N] float: one-hot choices, or samples of the Gaussian."""
    log_prob: Tensor
    """Log-probabilities [V, N] of the actions under the policy that took them."""
    value: Tensor
    """State values [V, N] by the value function at the time of the rollout."""
    advantage: Tensor
    """Advantages [V, N], standardised to zero mean and unit standard deviation per learner."""
    return_: Tensor
    """Lambda-returns [V, N]: advantage before standardisation + value."""


class VictimNet:
    """V networks of one shape, their gradient and their Adam.

    Args:
        seeds: R generators that draw initial weights, one per seed.
        copies: P, learners per seed, which start alike; V = P R, learner p R + r has seed r.
        inputs: D.
        actions: A.
        gaussian: whether actions are Gaussian rather than categorical.
        config: the victims' hyper-parameters.

    Attributes:
        flat: all parameters, [V, W]; `weights` are views of it.
        weights: W1 [V, h, D], b1 [V, h], W2 [V, h, h], b2 [V, h], W3 [V, K, h], b3 [V, K]; head 0 is the value.
        log_std: [V, A], a view as well; None for categorical actions.
    """

    def __init__(
        self,
        seeds: Sequence[torch.Generator],
        copies: int,
        inputs: int,
        actions: int,
        *,
        gaussian: bool,
        config: VictimConfig,
    ) -> None:
        self.config = config
        self.gaussian = gaussian
        h = config.hidden
        shapes = [(h, inputs), (h,), (h, h), (h,), (1 + actions, h), (1 + actions,)]
        self.shapes = [*shapes, (actions,)] if gaussian else shapes
        one_each = torch.stack([_initial(self.shapes, rng) for rng in seeds])
        self.flat = one_each.repeat(copies, 1)
        self.grad = torch.zeros_like(self.flat)
        self.first_moment = torch.zeros_like(self.flat)
        self.second_moment = torch.zeros_like(self.flat)
        self.steps = 0
        parts = views(self.flat, self.shapes)
        self.weights = parts[:6]
        self.log_std = parts[6] if gaussian else None

    def heads(self, obs: Tensor) -> Tensor:
        """Value and policy [V, K, N] at scaled observations [V, N, D]."""
        return self._forward(obs)[2]

    def _forward(self, obs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs of both hidden layers [V, N, h], and the heads [V, K, N]."""
        w1, b1, w2, b2, w3, b3 = self.weights
        act = _tanh_ if self.config.activation == "tanh" else torch.relu_
        first = act(torch.baddbmm(b1[:, None], obs, w1.mT))
        second = act(torch.baddbmm(b2[:, None], first, w2.mT))
        return first, second, torch.baddbmm(b3[:, :, None], w3, second.mT)

    def act(self, heads: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Actions and their log-probabilities [V, N] for heads [V, K, N].

        Args:
            heads: of `heads`.
            noise: uniform in [0, 1), [V, N]; standard normal [V, A, N] for Gaussian actions.

        Returns:
            Actions [V, N] int64, by the inverse of the distribution function; [V, A, N] for Gaussian ones.
        """
        policy = heads[:, 1:]
        if self.log_std is not None:
            log_std = self.log_std.clamp(*LOG_STD_RANGE)[:, :, None]
            log_prob = (noise.square().mul_(-0.5) - log_std - _HALF_LOG_2PI).sum(1)
            return torch.addcmul(policy, log_std.exp(), noise), log_prob
        log_p = policy.log_softmax(1)
        action = (noise[:, None] > log_p[:, :-1].exp().cumsum_(1)).sum(1)
        return action, log_p.gather(1, action[:, None])[:, 0]

    def mode(self, heads: Tensor) -> Tensor:
        """The likeliest actions, [V, N] int64 or [V, A, N]."""
        return heads[:, 1:] if self.gaussian else heads[:, 1:].argmax(1)

    def gradient(self, batch: Samples) -> None:
        """Write the gradient of `victim_loss` into `grad`."""
        config, n = self.config, batch.obs.shape[1]
        w3, w2 = self.weights[4], self.weights[2]
        first, second, heads = self._forward(batch.obs)
        d_heads = torch.empty_like(heads)
        grads = views(self.grad, self.shapes)
        if self.log_std is None:
            log_p = heads[:, 1:].log_softmax(1)
            p = log_p.exp()
            log_prob = (log_p * batch.action).sum(1)
            slope = self._policy_slope(log_prob, batch)[:, None]
            # d log pi(a) / d logits = onehot - p;  d H / d logits = -p (log p + H)
            surprise = log_p.add_((p * log_p).sum(1, keepdim=True).neg_()).mul_(p)
            torch.mul(batch.action - p, slope, out=d_heads[:, 1:])
            d_heads[:, 1:].add_(surprise, alpha=config.ent_coef / n)
        else:
            log_std = self.log_std.clamp(*LOG_STD_RANGE)[:, :, None]
            z = (batch.action - heads[:, 1:]) / log_std.exp()
            log_prob = (z.square().mul_(-0.5) - log_std - _HALF_LOG_2PI).sum(1)
            slope = self._policy_slope(log_prob, batch)[:, None]
            torch.mul(z / log_std.exp(), slope, out=d_heads[:, 1:])
            d_log_std = ((z.square_() - 1) * slope).sum(2) - config.ent_coef
            inside = (self.log_std >= LOG_STD_RANGE[0]) & (self.log_std <= LOG_STD_RANGE[1])
            grads[6].copy_(d_log_std * inside)
        error = heads[:, 0] - batch.return_
        change = heads[:, 0] - batch.value
        clipped = change.clamp(-config.clip_range, config.clip_range).add_(batch.value).sub_(batch.return_)
        # Beyond the clip range the clipped error does not depend on V: no gradient where it is the larger one.
        flat = (change.abs_() > config.clip_range) & (clipped.abs_() > error.abs())
        torch.mul(error.masked_fill_(flat, 0), config.vf_coef / n, out=d_heads[:, 0])
        grads[4].copy_(torch.bmm(d_heads, second))
        grads[5].copy_(d_heads.sum(2))
        d_second = self._through(torch.bmm(d_heads.mT, w3), second)
        grads[2].copy_(torch.bmm(d_second.mT, first))
        grads[3].copy_(d_second.sum(1))
        d_first = self._through(torch.bmm(d_second, w2), first)
        grads[0].copy_(torch.bmm(d_first.mT, batch.obs))
        grads[1].copy_(d_first.sum(1))

    def _policy_slope(self, log_prob: Tensor, batch: Samples) -> Tensor:
        """Derivative [V, N] of the loss by log pi(a|s); 0 where the clipped term is the smaller one."""
        eps = self.config.clip_range
        ratio = (log_prob - batch.log_prob).exp_()
        gain = ratio * batch.advantage
        flat = gain > ratio.clamp_(1 - eps, 1 + eps).mul_(batch.advantage)
        return gain.masked_fill_(flat, 0).mul_(-1 / log_prob.shape[1])

    def _through(self, grad: Tensor, out: Tensor) -> Tensor:
        """Gradient by an activation's input, given the gradient by its output and that output."""
        if self.config.activation == "tanh":
            return torch.ops.aten.tanh_backward(grad, out)
        return torch.ops.aten.threshold_backward(grad, out, 0)

    def step(self) -> None:
        """Clip each learner's gradient and take Adam's step (betas 0.9 and 0.999, epsilon 1e-5)."""
        config = self.config
        self.steps += 1
        norm = self.grad.norm(dim=1, keepdim=True)
        self.grad.mul_((config.max_grad_norm / norm.clamp_min_(1e-30)).clamp_max_(1.0))
        self.first_moment.lerp_(self.grad, 0.1)
        self.second_moment.mul_(0.999).addcmul_(self.grad, self.grad, value=0.001)
        root = (self.second_moment / (1 - 0.999**self.steps)).sqrt_().add_(1e-5)
        self.flat.addcdiv_(self.first_moment, root, value=-config.learning_rate / (1 - 0.9**self.steps))

    def rows(self, some: slice) -> VictimNet:
        """The networks of some learners only, sharing memory with all; `steps` is a copy."""
        part: VictimNet = object.__new__(VictimNet)
        part.config, part.gaussian, part.shapes, part.steps = (
            self.config,
            self.gaussian,
            self.shapes,
            self.steps,
        )
        for name in ("flat", "grad", "first_moment", "second_moment"):
            setattr(part, name, getattr(self, name)[some])
        part.weights = tuple(weight[some] for weight in self.weights)
        part.log_std = None if self.log_std is None else self.log_std[some]
        return part


def victim_loss(net: VictimNet, flat: Tensor, batch: Samples) -> Tensor:
    """The loss of each learner on its own samples, [V], differentiable in its parameters flat [V, W].

    Source: Schulman et al. 2017, eq. 7 and 9, with the value clipped as in the release.
    """
    config = net.config
    w1, b1, w2, b2, w3, b3, *rest = views(flat, net.shapes)
    act = torch.tanh if config.activation == "tanh" else torch.relu
    hidden = act(torch.einsum("vnd,vhd->vnh", batch.obs, w1) + b1[:, None])
    hidden = act(torch.einsum("vnd,vhd->vnh", hidden, w2) + b2[:, None])
    heads = torch.einsum("vnh,vkh->vkn", hidden, w3) + b3[:, :, None]
    if net.gaussian:
        log_std = rest[0].clamp(*LOG_STD_RANGE)
        normal = torch.distributions.Normal(heads[:, 1:], log_std.exp()[:, :, None])
        log_prob, entropy = normal.log_prob(batch.action).sum(1), normal.entropy().sum(1)
    else:
        categorical = torch.distributions.Categorical(logits=heads[:, 1:].mT)
        log_prob, entropy = categorical.log_prob(batch.action.argmax(1)), categorical.entropy()
    ratio, eps = (log_prob - batch.log_prob).exp(), config.clip_range
    gain = torch.minimum(ratio * batch.advantage, ratio.clamp(1 - eps, 1 + eps) * batch.advantage)
    clipped = batch.value + (heads[:, 0] - batch.value).clamp(-eps, eps)
    error = torch.maximum((heads[:, 0] - batch.return_).square(), (clipped - batch.return_).square())
    return (-gain + 0.5 * config.vf_coef * error - config.ent_coef * entropy).mean(1)


def views(flat: Tensor, shapes: Sequence[tuple[int, ...]]) -> tuple[Tensor, ...]:
    """The weights [V, *shape] as views of the parameter vectors [V, W]."""
    parts = flat.split([math.prod(shape) for shape in shapes], dim=1)
    return tuple(part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=True))


def _initial(shapes: Sequence[tuple[int, ...]], rng: torch.Generator) -> Tensor:
    """One learner's first parameters [W]: weights of variance 1 / fan-in, biases and log-deviations 0."""
    parts = [torch.zeros(shape, device=rng.device) for shape in shapes]
    for part in parts:
        if part.ndim == 2:
            std = part.shape[1] ** -0.5 / _CUT_STD
            torch.nn.init.trunc_normal_(part, std=std, a=-2 * std, b=2 * std, generator=rng)
    return torch.cat([part.flatten() for part in parts])


def _tanh_(x: Tensor) -> Tensor:
    """In-place tanh. On a CPU torch's own takes five times as long as this, which is as exact to 2e-7."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1) if x.device.type == "cpu" else x.tanh_()
