"""Bounded policy optimisation (Ao et al. 2026, "Bounded Ratio Reinforcement Learning", arXiv 2604.18578).

PPO's loop with another policy loss. With R the lambda-return, V the critic and mu the median critic::

    target = c_l + (c_h - c_l) sigmoid((R - mu) / lambda + logit q)                                (eq. 8)
    L_pi   = E[(|R - V| + alpha_1) |rho - target|]                                                 (eq. 16)
    L_mu   = E[tau g((R - mu) / tau)],   g(x) = softplus(x) - x / 2 for symmetric bounds           (eq. 15)
    loss   = L_pi + w1 E[(R - V)^2] + w2 L_mu - ent_coef E[H]

c_l, c_h = 1 -+ epsilon, or any c_l < 1 < c_h with q = (1 - c_l) / (c_h - c_l); `bounded_ratio` is the theory.
Mean mode puts V in the place of mu. Where a ratio overshot and PPO's gradient is 0, BPO's pulls it back.

As in the authors' release for Stable-Baselines3: no advantage normalisation, no ratio or value clipping, no
stop on the KL divergence; weight and target use the live V and mu of the minibatch; the median critic is an
MLP on the critic's trunk and trains it too; one Adam (epsilon 1e-5) for all; global gradient norm clipped at
1. What differs: tau, and asymmetric bounds with the quantile that keeps targets normalised (the release keeps
the median), are options; truncation enters by the true next value, not by an altered reward (the returns are
equal). lambda and tau are in units of return: with `normalize_reward`, revisit both. While returns vary by
less than tau, mu is close to their mean; a tau well below their spread makes it the median.

Expected: CartPole-v1 at 475 or more after 100k steps. Published curves (v4 tasks, no normalisation): Hopper
2,700 after 1M steps, 3,260 after 5M; Ant 40 after 1M, 4,100 after 5M. The zoo's results have the v5 tasks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from rlsuite.core import on_policy
from rlsuite.core.agent import Agent
from rlsuite.core.brain import Brain
from rlsuite.core.config import check_range, check_schedule, check_types
from rlsuite.core.schedules import Rates, parse_schedule
from rlsuite.core.session import Session
from rlsuite.core.types import HeadGrads, Heads, PolicyBatch
from rlsuite.policy_gradient.bounded_ratio import (
    RatioBounds,
    bpo_policy_grad,
    bpo_policy_loss,
    ratio_target_array,
    soft_median_grad,
    soft_median_loss,
)

if TYPE_CHECKING:
    from rlsuite.policy_gradient.ppo import PPOConfig


@dataclass(frozen=True)
class BPOConfig:
    """Hyper-parameters of BPO; the defaults are the paper's for MuJoCo.

    Raises:
        ValueError: a value out of range; the message names the field, its value and the range.
    """

    n_steps: int = 2048
    """T, steps per environment and rollout; at least 1. A rollout has n_steps * num_envs samples."""
    batch_size: int = 64
    """Samples per minibatch; at least 1, at most the rollout."""
    n_epochs: int = 10
    """K, passes over each rollout; at least 1."""
    learning_rate: float | str = 3e-4
    """Adam's step size, or a schedule such as "linear:3e-4"."""
    gamma: float = 0.99
    """Discount per step, in [0, 1]."""
    gae_lambda: float = 0.95
    """Lambda of the returns R, in [0, 1]; not the temperature."""
    mode: str = "median"
    """"median" (threshold mu, the paper's) or "mean" (threshold V, no median critic)."""
    clip_range: float | str = 0.3
    """Epsilon, in (0, 1], or a schedule: the target ratios lie in [1 - epsilon, 1 + epsilon]."""
    ratio_bounds: tuple[float, float] | None = None
    """(c_l, c_h) with 0 <= c_l < 1 < c_h: asymmetric bounds instead of `clip_range`."""
    temperature: float = 1e-3
    """Lambda, in return units: softness of the target; 0 is a hard sign, far above R's spread it fails."""
    median_temperature: float = 1.0
    """Tau, in return units, above 0: how soft the median critic's loss is; the release has 1."""
    tv_offset: float = 0.0
    """Alpha_1, in return units, at least 0: added to every sample's weight."""
    online_advantage: bool = True
    """Weigh samples (in mean mode, also set targets) by the live V; False takes the rollout's advantage."""
    separate_median: bool = False
    """A median critic of its own, as large as the critic; False stacks it on the critic's trunk."""
    vf_coef: float = 0.5
    """w1, weight of the value loss; at least 0."""
    median_coef: float = 0.5
    """w2, weight of the median loss; at least 0."""
    ent_coef: float = 0.0
    """Weight of the entropy bonus; at least 0."""
    max_grad_norm: float | None = 1.0
    """Largest global L2 norm of a gradient; None switches clipping off."""
    normalize_obs: bool = False
    """Scale observations by their running mean and standard deviation, clipped to +-10."""
    normalize_reward: bool = False
    """Divide rewards by the running standard deviation of the discounted return, clipped to +-10."""
    net_arch: tuple[int, ...] = (256, 256)
    """Hidden layers of the actor, of the critic and of the median critic."""
    activation: str = "relu"
    """tanh, relu, elu or gelu."""
    log_std_init: float = 0.0
    """First logarithm of the Gaussian's standard deviation (independent of the state)."""
    ortho_init: bool = True
    """Orthogonal initialisation; False keeps torch's."""
    backend: str = "auto"
    """numpy (hand-written, small networks on a CPU), torch (autograd), or auto."""
    compile: bool = False
    """Fuse the torch back end's loss with torch.compile (tens of seconds once; pays on a GPU)."""

    def __post_init__(self) -> None:
        check_types(self)
        inf = float("inf")
        check_range(
            self,
            n_steps=(1, inf),
            batch_size=(1, inf),
            n_epochs=(1, inf),
            gamma=(0, 1),
            gae_lambda=(0, 1),
            temperature=(0, 1e12),
            median_temperature=(1e-9, 1e12),
            tv_offset=(0, 1e12),
            vf_coef=(0, inf),
            median_coef=(0, inf),
            ent_coef=(0, inf),
            max_grad_norm=(1e-9, inf),
            log_std_init=(-20, 5),
        )
        if self.mode not in ("median", "mean"):
            raise ValueError(f"BPOConfig.mode is {self.mode!r}; choose 'median' or 'mean'")
        if 0 < self.temperature < 1e-9:
            raise ValueError(f"BPOConfig.temperature is {self.temperature}; use 0 (a hard sign) or at least 1e-9")
        check_schedule(self, "learning_rate")
        check_schedule(self, "clip_range", most=1.0)
        if self.ratio_bounds is not None and len(self.ratio_bounds) != 2:
            raise ValueError(f"BPOConfig.ratio_bounds is {self.ratio_bounds!r}; it must be a pair (c_l, c_h)")
        self.bounds(0.3)  # raises on bad ratio_bounds

    def bounds(self, clip_range: float) -> RatioBounds:
        """The bounds on the ratio when the schedule of epsilon has the value `clip_range`."""
        return RatioBounds.symmetric(clip_range) if self.ratio_bounds is None else RatioBounds(*self.ratio_bounds)

    @classmethod
    def from_ppo(cls, config: PPOConfig, **overrides: Any) -> BPOConfig:
        """A configuration ported from a tuned PPO's by the authors' rule of thumb.

        Epsilon is the clip range + 0.1; twice the epochs; a tenth of the entropy bonus; lambda, w1, w2 and
        the gradient norm by default. All else stays. `overrides` replace fields by name.
        """
        same = (
            "n_steps",
            "batch_size",
            "learning_rate",
            "gamma",
            "gae_lambda",
            "normalize_obs",
            "normalize_reward",
            "net_arch",
            "activation",
            "log_std_init",
            "ortho_init",
            "backend",
            "compile",
        )
        ported = cls(
            n_epochs=2 * config.n_epochs,
            clip_range=_widened(config.clip_range),
            ent_coef=0.1 * config.ent_coef,
            **{name: getattr(config, name) for name in same},
        )
        return replace(ported, **overrides)


def _widened(clip_range: float | str, by: float = 0.1) -> float | str:
    """`clip_range`, or every number of its schedule, raised by 0.1 (and at most 1)."""
    if not isinstance(clip_range, str):
        return min(1.0, round(clip_range + by, 12))
    schedule = parse_schedule(clip_range)
    start, end = (min(1.0, round(schedule(left) + by, 12)) for left in (1.0, 0.0))
    return f"{clip_range.split(':')[0]}:{start}:{end}"


def bpo_loss(
    heads: Heads, batch: PolicyBatch, clip_range: float, *, config: BPOConfig
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """BPO's loss on a minibatch of N samples, as a scalar to minimise, and its metrics.

    Args:
        heads: log_prob, entropy, value and (median mode) median [N] of the current networks.
        batch: the samples with the old policy's log_prob, their advantage and return [N].
        clip_range: epsilon; without effect if the configuration has `ratio_bounds`.
        config: coefficients.

    Source: the module docstring; Ao et al. 2026, eq. 8, 15 and 16.
    """
    bounds = config.bounds(clip_range)
    error = batch.return_ - heads.value
    weight = error if config.online_advantage else batch.advantage
    advantage = weight if heads.median is None else batch.return_ - heads.median
    policy_loss, ratio, target = bpo_policy_loss(
        heads.log_prob,
        batch.log_prob,
        advantage,
        weight,
        bounds=bounds,
        temperature=config.temperature,
        tv_offset=config.tv_offset,
    )
    value_loss = error.square().mean()
    entropy = heads.entropy.mean()
    loss = policy_loss + config.vf_coef * value_loss - config.ent_coef * entropy
    metrics = {"policy_gradient_loss": policy_loss, "value_loss": value_loss, "entropy_loss": -entropy}
    if heads.median is not None:
        tau, quantile = config.median_temperature, bounds.quantile
        median_loss = soft_median_loss(advantage, temperature=tau, quantile=quantile).mean()
        loss = loss + config.median_coef * median_loss
        metrics |= {"median_loss": median_loss, "median_mean_gap": (heads.median - heads.value).mean()}
    metrics |= {
        "loss": loss,
        "approx_kl": (ratio - 1 - (heads.log_prob - batch.log_prob)).mean(),
        "clip_fraction": ((ratio < bounds.low) | (ratio > bounds.high)).float().mean(),
        "target_mean": target.mean(),
        "target_deviation": (target - 1).abs().mean(),
    }
    return loss, metrics


def bpo_loss_grad(
    heads: Heads, batch: PolicyBatch, clip_range: float, *, config: BPOConfig
) -> tuple[HeadGrads, dict[str, Any]]:
    """The derivatives of `bpo_loss` by the heads, and its metrics, in numpy (equal to autograd's by test)."""
    n = len(batch.return_)
    bounds = config.bounds(clip_range)
    error = batch.return_ - heads.value
    signed = error if config.online_advantage else batch.advantage
    advantage = signed if heads.median is None else batch.return_ - heads.median
    weight = np.abs(signed)
    if config.tv_offset:
        weight += np.float32(config.tv_offset)
    target = ratio_target_array(advantage, bounds=bounds, temperature=config.temperature)
    log_ratio = heads.log_prob - batch.log_prob
    ratio = np.exp(log_ratio)
    deviation = ratio - 1
    policy_loss = float(np.dot(weight, np.abs(ratio - target))) / n
    value_loss = float(np.dot(error, error)) / n
    entropy = float(np.add.reduce(heads.entropy, axis=None)) / heads.entropy.size
    loss = policy_loss + config.vf_coef * value_loss - config.ent_coef * entropy
    metrics = {"policy_gradient_loss": policy_loss, "value_loss": value_loss, "entropy_loss": -entropy}
    d_median = None
    if heads.median is not None:
        tau, quantile = config.median_temperature, bounds.quantile
        scaled = advantage * (1.0 / tau)
        excess = np.logaddexp(np.float32(0), scaled + bounds.logit) - quantile * scaled
        median_loss = tau * float(np.add.reduce(excess)) / n
        loss += config.median_coef * median_loss
        d_median = soft_median_grad(batch.return_, heads.median, tau, quantile) * np.float32(config.median_coef)
        gap = float(np.add.reduce(heads.median) - np.add.reduce(heads.value)) / n
        metrics |= {"median_loss": median_loss, "median_mean_gap": gap}
    outside = np.count_nonzero((ratio < bounds.low) | (ratio > bounds.high))
    metrics |= {
        "loss": loss,
        "approx_kl": float(np.add.reduce(deviation) - np.add.reduce(log_ratio)) / n,
        "clip_fraction": outside / n,
        "target_mean": float(np.add.reduce(target)) / n,
        "target_deviation": float(np.add.reduce(np.abs(target - 1))) / n,
    }
    d_log_prob = bpo_policy_grad(ratio, target, weight)
    return HeadGrads(d_log_prob, -config.ent_coef / n, error * (-2.0 * config.vf_coef / n), d_median), metrics


class BPO(Agent):
    """Bounded policy optimisation; see `core.agent.Agent` for the arguments, `BPOConfig` for the fields.

    Logged in addition to PPO's metrics: clip_fraction is the share of ratios outside the bounds; target_mean and
    target_deviation (from 1) describe the targets; median_mean_gap is mean(mu - V) in return units; grad_norm
    is the norm before clipping (with raw returns far above `max_grad_norm` most of the time).

    Example:
        >>> from rlsuite import BPO
        >>> model = BPO("CartPole-v1", num_envs=8, n_steps=64).learn(2_000)
        >>> action, _ = model.predict(model.observation_space.sample(), deterministic=True)
    """

    config_class = BPOConfig
    stored: ClassVar = Agent.stored | dict.fromkeys(("mode", "separate_median"), "networks")
    config: BPOConfig

    def build(self) -> Brain:
        """Actor, critic and (median mode) median critic."""
        median = None
        if self.config.mode == "median":
            median = "separate" if self.config.separate_median else "stacked"
        loss, loss_grad = partial(bpo_loss, config=self.config), partial(bpo_loss_grad, config=self.config)
        self.parts = on_policy.build(self, self.config, loss, loss_grad, median=median)
        return self.parts.brain(self)

    def train(self, run: Session) -> None:
        """One update is a rollout and `n_epochs` over it."""
        config, runner = self.config, self.start_runner()
        rates = Rates(config, "learning_rate", "clip_range")
        while not run.done:
            now = rates.at(run.progress_remaining)
            rollout = run.collect(self.parts.backend, runner, config.n_steps, self.generator)
            if rollout is None:
                return
            batch = on_policy.targets(rollout, gamma=config.gamma, gae_lambda=config.gae_lambda)
            metrics, epochs = on_policy.update(self.parts, batch, config, self.generator, **now)
            self.n_updates += epochs
            run.update_end(on_policy.log_names(metrics | now, self, batch), runner.stats)
