"""Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347), with Stable-Baselines3's details.

    L(theta) = -E[min(rho A, clip(rho, 1-eps, 1+eps) A)] + vf_coef E[(V - R)^2] - ent_coef E[H]         (eq. 7, 9)
    rho = pi_theta(a|s) / pi_old(a|s),   A by generalised advantage estimation, R = A + V_old

Details that matter (Stable-Baselines3's, see also Huang et al. 2022, "The 37 implementation details of PPO"):
advantages normalised per minibatch; orthogonal initialisation with gains sqrt 2, 0.01 (policy) and 1 (value); Adam with
epsilon 1e-5; the gradient clipped to a global norm; actions clipped to the box for the environment only; the value of
the true last observation bootstraps where time ran out, and nothing does where the episode terminated.
What differs from Stable-Baselines3: truncation enters through the true next value, not through an altered reward (the
advantages are equal); values and log-probabilities are computed for a whole rollout at once.

Expected: CartPole-v1 at 475 or more after 100k steps; the results page of the zoo has the MuJoCo numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from rlsuite.core import on_policy
from rlsuite.core.agent import Agent
from rlsuite.core.brain import Brain
from rlsuite.core.config import check_range, check_schedule, check_types
from rlsuite.core.schedules import Rates
from rlsuite.core.session import Session
from rlsuite.core.types import HeadGrads, Heads, PolicyBatch


@dataclass(frozen=True)
class PPOConfig:
    """Hyper-parameters of PPO; the defaults are Stable-Baselines3's.

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
    """Lambda of generalised advantage estimation, in [0, 1]."""
    clip_range: float | str = 0.2
    """Epsilon: the ratio's clip range, above 0, or a schedule."""
    clip_range_vf: float | None = None
    """Clip range of the value's change, in return units; None switches it off."""
    normalize_advantage: bool = True
    """Subtract the mean and divide by the standard deviation of the advantages, per minibatch."""
    ent_coef: float = 0.0
    """c2, weight of the entropy bonus; at least 0."""
    vf_coef: float = 0.5
    """c1, weight of the value loss; at least 0."""
    max_grad_norm: float | None = 0.5
    """Largest global L2 norm of a gradient; None switches clipping off."""
    target_kl: float | None = None
    """Stop the epochs at 1.5 times this approximate KL; None never stops."""
    normalize_obs: bool = False
    """Scale observations by their running mean and standard deviation, clipped to +-10."""
    normalize_reward: bool = False
    """Divide rewards by the running standard deviation of the discounted return, clipped to +-10."""
    net_arch: tuple[int, ...] = (64, 64)
    """Hidden layers of the actor and of the critic (two separate networks)."""
    activation: str = "tanh"
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
            clip_range_vf=(1e-9, inf),
            ent_coef=(0, inf),
            vf_coef=(0, inf),
            max_grad_norm=(1e-9, inf),
            target_kl=(1e-9, inf),
            log_std_init=(-20, 5),
        )
        check_schedule(self, "learning_rate", "clip_range")


def ppo_loss(
    heads: Heads, batch: PolicyBatch, clip_range: float, *, config: PPOConfig
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """PPO's loss on a minibatch of N samples, as a scalar to minimise, and its metrics.

    Args:
        heads: log_prob, entropy and value [N] of the current networks.
        batch: the samples with the old policy's log_prob and value, advantage and return [N].
        clip_range: epsilon.
        config: coefficients.

    Source: Schulman et al. 2017, eq. 7 and 9.
    """
    advantage = batch.advantage
    if config.normalize_advantage and len(advantage) > 1:
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    log_ratio = heads.log_prob - batch.log_prob
    ratio = log_ratio.exp()
    policy_loss = -torch.min(advantage * ratio, advantage * ratio.clamp(1 - clip_range, 1 + clip_range)).mean()
    value = heads.value
    if config.clip_range_vf is not None:
        value = batch.value + (value - batch.value).clamp(-config.clip_range_vf, config.clip_range_vf)
    value_loss = (batch.return_ - value).square().mean()
    entropy = heads.entropy.mean()
    loss = policy_loss + config.vf_coef * value_loss - config.ent_coef * entropy
    metrics = {
        "loss": loss,
        "policy_gradient_loss": policy_loss,
        "value_loss": value_loss,
        "entropy_loss": -entropy,
        "approx_kl": (ratio - 1 - log_ratio).mean(),
        "clip_fraction": ((ratio - 1).abs() > clip_range).float().mean(),
    }
    return loss, metrics


def ppo_loss_grad(
    heads: Heads, batch: PolicyBatch, clip_range: float, *, config: PPOConfig
) -> tuple[HeadGrads, dict[str, Any]]:
    """The derivatives of `ppo_loss` by the heads, and its metrics, in numpy (equal to autograd's by test)."""
    n = len(batch.advantage)
    advantage = batch.advantage
    if config.normalize_advantage and n > 1:
        advantage = advantage - np.add.reduce(advantage) / n
        advantage /= np.sqrt(np.dot(advantage, advantage) / (n - 1)) + 1e-8
    log_ratio = heads.log_prob - batch.log_prob
    ratio = np.exp(log_ratio)
    gain = advantage * ratio
    clipped = advantage * np.minimum(np.maximum(ratio, 1 - clip_range), 1 + clip_range)
    flat = gain > clipped  # where the clipped term is the smaller one, the loss does not depend on the ratio
    policy_loss = -float(np.add.reduce(np.minimum(gain, clipped))) / n
    gain[flat] = 0.0
    gain *= -1.0 / n
    error = heads.value - batch.return_
    if config.clip_range_vf is not None:
        change = heads.value - batch.value
        error = batch.value + np.clip(change, -config.clip_range_vf, config.clip_range_vf) - batch.return_
    value_loss = float(np.dot(error, error)) / n
    d_value = error * (2.0 * config.vf_coef / n)
    if config.clip_range_vf is not None:
        d_value[np.abs(change) > config.clip_range_vf] = 0.0
    entropy = float(np.add.reduce(heads.entropy, axis=None)) / heads.entropy.size
    deviation = ratio - 1
    metrics = {
        "loss": policy_loss + config.vf_coef * value_loss - config.ent_coef * entropy,
        "policy_gradient_loss": policy_loss,
        "value_loss": value_loss,
        "entropy_loss": -entropy,
        "approx_kl": float(np.add.reduce(deviation) - np.add.reduce(log_ratio)) / n,
        "clip_fraction": np.count_nonzero(np.abs(deviation) > clip_range) / n,
    }
    return HeadGrads(gain, -config.ent_coef / n, d_value), metrics


class PPO(Agent):
    """Proximal policy optimisation; see `rlsuite.core.agent.Agent` for the arguments and `PPOConfig` for the fields.

    Example:
        >>> from rlsuite import PPO
        >>> model = PPO("CartPole-v1", num_envs=8, n_steps=64).learn(2_000)
        >>> action, _ = model.predict(model.observation_space.sample(), deterministic=True)
    """

    config_class = PPOConfig
    config: PPOConfig

    def build(self) -> Brain:
        """Actor and critic with PPO's losses."""
        loss, loss_grad = partial(ppo_loss, config=self.config), partial(ppo_loss_grad, config=self.config)
        self.parts = on_policy.build(self, self.config, loss, loss_grad)
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
            metrics, epochs = on_policy.update(
                self.parts, batch, config, self.generator, **now, target_kl=config.target_kl
            )
            self.n_updates += epochs
            run.update_end(on_policy.log_names(metrics | now, self, batch), runner.stats)
