"""What on-policy algorithms share: building an actor-critic, targets of a rollout, epochs of minibatches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch

from rlsuite.core.actions import ActionSpec
from rlsuite.core.agent import Agent
from rlsuite.core.backends import Backend, Loss, LossGrad, make_backend
from rlsuite.core.brain import Brain, actor_critic_insides, sample_or_mode
from rlsuite.core.config import check_rollout
from rlsuite.core.networks import ActorCritic, FlatParameters
from rlsuite.core.normalize import ReturnNorm, RunningNorm
from rlsuite.core.optim import FlatAdam, check_update
from rlsuite.core.returns import gae
from rlsuite.core.stateful import GeneratorState, Stateful
from rlsuite.core.types import PolicyBatch, Rollout


class OnPolicyConfig(Protocol):
    """The fields that `build` and `update` read; see `PPOConfig` for units and ranges."""

    @property
    def net_arch(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def activation(self) -> str: ...  # noqa: D102
    @property
    def log_std_init(self) -> float: ...  # noqa: D102
    @property
    def ortho_init(self) -> bool: ...  # noqa: D102
    @property
    def gamma(self) -> float: ...  # noqa: D102
    @property
    def normalize_obs(self) -> bool: ...  # noqa: D102
    @property
    def normalize_reward(self) -> bool: ...  # noqa: D102
    @property
    def batch_size(self) -> int: ...  # noqa: D102
    @property
    def n_epochs(self) -> int: ...  # noqa: D102
    @property
    def n_steps(self) -> int: ...  # noqa: D102
    @property
    def max_grad_norm(self) -> float | None: ...  # noqa: D102
    @property
    def backend(self) -> str: ...  # noqa: D102
    @property
    def compile(self) -> bool: ...  # noqa: D102


class Seat(Protocol):
    """Owner of the parts, with its spaces and device: an `Agent`, or the other player of a game."""

    @property
    def obs_size(self) -> int: ...  # noqa: D102
    @property
    def spec(self) -> ActionSpec: ...  # noqa: D102
    @property
    def device(self) -> torch.device: ...  # noqa: D102
    @property
    def num_envs(self) -> int: ...  # noqa: D102


@dataclass
class Parts:
    """The trainable parts of an on-policy agent."""

    policy: ActorCritic
    flat: FlatParameters
    optimizer: FlatAdam
    backend: Backend
    obs_norm: RunningNorm | None
    return_norm: ReturnNorm | None

    def state(self, generator: torch.Generator) -> dict[str, Stateful]:
        """Everything a checkpoint must hold, by name."""
        parts: dict[str, Any] = {
            "policy": self.policy,
            "optimizer": self.optimizer,
            "generator": GeneratorState(generator),
            "obs_norm": self.obs_norm,
            "return_norm": self.return_norm,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def brain(self, agent: Agent) -> Brain:
        """A `Brain` made of these parts."""
        generator = agent.generator
        return Brain(
            policy=self.policy,
            act=partial(sample_or_mode, self.policy, generator),
            state=partial(self.state, generator),
            obs_norm=self.obs_norm,
            return_norm=self.return_norm,
            insides=actor_critic_insides(self.policy),
            check_envs=partial(check_rollout, agent.config),
        )


def build(agent: Seat, config: OnPolicyConfig, loss: Loss, loss_grad: LossGrad, *, median: str | None = None) -> Parts:
    """Networks, optimiser, back end and normalisers for `agent` (its spaces, device and number of environments).

    Raises:
        ValueError: a minibatch larger than the rollout.
    """
    check_rollout(config, agent.num_envs)
    policy = ActorCritic(
        agent.obs_size,
        agent.spec,
        net_arch=config.net_arch,
        activation=config.activation,
        log_std_init=config.log_std_init,
        ortho_init=config.ortho_init,
        median=median,
    ).to(agent.device)
    flat = FlatParameters(policy)
    backend = make_backend(
        config.backend, policy, flat, loss, loss_grad, batch_size=config.batch_size, compile=config.compile
    )
    obs_norm = RunningNorm((agent.obs_size,), device=agent.device) if config.normalize_obs else None
    return_norm = (
        ReturnNorm(agent.num_envs, gamma=config.gamma, device=agent.device) if config.normalize_reward else None
    )
    return Parts(policy, flat, FlatAdam(flat, numpy=backend.name == "numpy"), backend, obs_norm, return_norm)


def targets(rollout: Rollout, *, gamma: float, gae_lambda: float) -> PolicyBatch:
    """Advantages and lambda-returns of a rollout [T, B], flattened to N = T*B samples."""
    done = rollout.terminated | rollout.truncated
    advantage, return_ = gae(
        rollout.reward,
        rollout.value,
        rollout.next_value,
        rollout.terminated,
        done,
        gamma=gamma,
        gae_lambda=gae_lambda,
    )
    mask = None if rollout.mask is None else rollout.mask.flatten(0, 1)
    return PolicyBatch(
        obs=rollout.obs.flatten(0, 1),
        action=rollout.action.flatten(0, 1),
        log_prob=rollout.log_prob.flatten(),
        value=rollout.value.flatten(),
        advantage=advantage.flatten(),
        return_=return_.flatten(),
        mask=mask,
    )


def minibatches(
    batch: PolicyBatch, batch_size: int, generator: torch.Generator, backend: Backend
) -> Iterator[PolicyBatch]:
    """One epoch: every sample once, in random order; the last minibatch may be smaller."""
    order = torch.randperm(len(batch), generator=generator, device=generator.device)
    shuffled = backend.prepare(batch.take(order))
    for start in range(0, len(batch), batch_size):
        yield shuffled.take(slice(start, start + batch_size))


def update(
    parts: Parts,
    batch: PolicyBatch,
    config: OnPolicyConfig,
    generator: torch.Generator,
    *,
    learning_rate: float,
    clip_range: float,
    target_kl: float | None = None,
    extra: Callable[[PolicyBatch], dict[str, Any]] | None = None,
) -> tuple[dict[str, float], int]:
    """`n_epochs` of minibatch steps on one rollout.

    With `target_kl` the epochs stop, before that step is taken, at the first minibatch whose approximate KL
    exceeds 1.5 times it (Stable-Baselines3's rule). `extra` adds the gradient of a further loss to the flat vector, and
    returns its metrics.

    Returns:
        The means of the loss's metrics over all minibatches, and the epochs that were begun: what Stable-Baselines3
        counts as updates.

    Raises:
        FloatingPointError: a loss or a weight became NaN or infinite; the message names it.
    """
    history: list[dict[str, Any]] = []
    for epoch in range(1, config.n_epochs + 1):
        for minibatch in minibatches(batch, config.batch_size, generator, parts.backend):
            metrics: dict[str, Any] = parts.backend.gradient(minibatch, clip_range)
            history.append(metrics)
            if target_kl is not None and float(metrics["approx_kl"]) > 1.5 * target_kl:
                return _means(history, parts), epoch
            if extra is not None:
                metrics |= extra(minibatch)
            metrics["grad_norm"] = parts.optimizer.step(learning_rate, config.max_grad_norm)
    return _means(history, parts), config.n_epochs


def _means(history: list[dict[str, Any]], parts: Parts) -> dict[str, float]:
    """Mean of each metric (one transfer from the device), and a check that training is still finite."""
    means = {}
    for name in history[0]:
        values = [metrics[name] for metrics in history if name in metrics]
        if isinstance(values[0], torch.Tensor):
            means[name] = float(torch.stack([value.float() for value in values]).mean())
        else:
            means[name] = float(np.mean(values))
    check_update(means, parts.flat)
    return means


def explained_variance(value: torch.Tensor, return_: torch.Tensor) -> float:
    """1 - Var(return - value) / Var(return) over N samples; NaN where the returns do not vary."""
    variance = return_.var()
    return float(1 - (return_ - value).var() / variance) if float(variance) > 0 else float("nan")


def log_names(metrics: dict[str, float], agent: Agent, batch: PolicyBatch) -> dict[str, float]:
    """The metrics under Stable-Baselines3's names, with the ones that every on-policy algorithm has."""
    named = {f"train/{name}": value for name, value in metrics.items()}
    named["train/explained_variance"] = explained_variance(batch.value, batch.return_)
    named["train/n_updates"] = agent.n_updates
    log_std = getattr(agent.policy, "log_std", None)
    if log_std is not None:
        named["train/std"] = float(log_std.detach().exp().mean())
    return named
