"""PPO on P policies at once, each with a critic of K objectives: losses, and a team that learns by them.

    L_p = -E[min(rho A, clip(rho, 1-eps, 1+eps) A)] + vf_coef E[(V - R)^2] - ent_coef E[H]

with a scalar advantage A = w_p . (A_1, ..., A_K), normalised over the rollout, whose weights the algorithm gives at
every epoch, and the mean over objectives of the value error. The critic regresses returns of rewards that are divided
by the standard deviation of each objective's discounted return; advantages are weighed after this is undone.

Letters: P policies, E environments of each, B = P * E, n = T * E samples of each, K objectives, W parameters of one.

Source: Schulman et al. 2017, eq. 7 and 9; Xu et al. 2020 (PGMORL), section 4.1, for vector critics.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from rlsuite.core.agent import Agent
from rlsuite.core.config import check_choices, check_range, check_schedule, check_types
from rlsuite.core.networks import ActorCritic
from rlsuite.core.optim import check_update
from rlsuite.core.population import Population, StackedAdam, StackedBatch, split_rows
from rlsuite.core.population_actor import PopulationActor
from rlsuite.core.returns import gae
from rlsuite.core.stacked_kernel import StackedKernel
from rlsuite.core.stacked_norm import StackedNorm, StackedReturnNorm
from rlsuite.core.stateful import Stateful
from rlsuite.core.types import HeadGrads, Heads, Rollout

__all__ = ["Extra", "Team", "TeamConfig", "stacked_ppo_loss", "stacked_ppo_loss_grad"]


@dataclass(frozen=True)
class TeamConfig:
    """Hyper-parameters of policies that learn together, and of the set that they are measured for.

    Raises:
        ValueError: a value out of range; the message names the field, its value and the range.
    """

    archive_size: int = 100
    """Most members of the set; at least 2."""
    selection: str = "auto"
    """Who leaves a full set (and, in C-MORL, who is extended): "crowding" distance, hypervolume "contribution", or
    "auto": crowding below 5 objectives, above which most members are ends of some objective and it tells little."""
    reference: tuple[float, ...] | None = None
    """z, reference point of hypervolumes and thresholds, [K]; None is the worst return of each objective in the first
    measurement, less a tenth of the range."""
    eval_episodes: int = 5
    """Episodes that measure a policy; at least 1."""
    eval_gamma: float = 0.99
    """Discount of measured returns, in [0, 1]."""
    n_steps: int = 512
    """T, steps per environment and rollout; at least 1."""
    batch_size: int = 128
    """Samples per minibatch of each policy; at least 1."""
    n_epochs: int = 10
    """Passes over each rollout; at least 1."""
    learning_rate: float | str = "linear:3e-4"
    """Adam's step size, or a schedule (in C-MORL over stage 1)."""
    gamma: float = 0.995
    """Discount per step in training, in [0, 1]."""
    gae_lambda: float = 0.95
    """Lambda of generalised advantage estimation, in [0, 1]."""
    clip_range: float = 0.2
    """Epsilon: the ratio's clip range."""
    clip_range_vf: float | None = 0.2
    """Clip range of a value's change, in scaled return units; None switches it off."""
    ent_coef: float = 0.0
    """Weight of the entropy bonus; at least 0."""
    vf_coef: float = 0.25
    """Weight of the mean squared value error (the release's 0.5 of half of it)."""
    max_grad_norm: float | None = 0.5
    """Largest L2 norm of a policy's gradient; None switches clipping off."""
    normalize_obs: bool = True
    """Scale observations by each policy's running mean and standard deviation, clipped to +-10."""
    net_arch: tuple[int, ...] = (64, 64)
    """Hidden layers of the actor and of the critic (two separate networks)."""
    activation: str = "tanh"
    """tanh, relu, elu or gelu."""
    log_std_init: float = 0.0
    """First logarithm of the Gaussian's standard deviation (independent of the state)."""
    ortho_init: bool = True
    """Orthogonal initialisation; False keeps torch's."""
    backend: str = "auto"
    """numpy (hand-written, CPU), torch (autograd), or auto."""

    def __post_init__(self) -> None:
        check_types(self)
        inf = float("inf")
        check_range(self, **dict.fromkeys(("eval_episodes", "n_steps", "batch_size", "n_epochs"), (1, inf)))
        check_range(self, **dict.fromkeys(("eval_gamma", "gamma", "gae_lambda"), (0, 1)))
        check_range(self, archive_size=(2, inf), clip_range=(1e-9, inf), clip_range_vf=(1e-9, inf))
        check_range(self, ent_coef=(0, inf), vf_coef=(0, inf), max_grad_norm=(1e-9, inf), log_std_init=(-20, 5))
        check_choices(self, selection=("auto", "crowding", "contribution"), backend=("auto", "numpy", "torch"))
        check_schedule(self, "learning_rate")


class Extra(Protocol):
    """A further loss of the policies, added to PPO's."""

    def loss(self, ratio: Tensor, batch: StackedBatch) -> Tensor:
        """Losses [P], given ratios [P, n] of the probabilities to the old policies'."""

    def grad(self, ratio: np.ndarray, batch: StackedBatch) -> tuple[np.ndarray, np.ndarray]:
        """Losses [P], and their derivatives [P, n] by the log-probabilities, in NumPy."""


def stacked_ppo_loss(
    heads: Heads, batch: StackedBatch, config: TeamConfig, extra: Extra | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """The sum over policies of PPO's losses, so that each has the gradient of its own, and metrics [P].

    Args:
        heads: log_prob [P, n], entropy [P, n] and value [P, n, K] of the current networks.
        batch: minibatches of n samples.
        config: coefficients.
        extra: a further loss.
    """
    log_ratio = heads.log_prob - batch.log_prob
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - config.clip_range, 1 + config.clip_range)
    policy_loss = -torch.min(batch.advantage * ratio, batch.advantage * clipped).mean(1)
    error = (heads.value - batch.return_).square()
    if config.clip_range_vf is not None:
        change = (heads.value - batch.value).clamp(-config.clip_range_vf, config.clip_range_vf)
        error = torch.max(error, (batch.value + change - batch.return_).square())
    value_loss = error.mean((1, 2))
    entropy = heads.entropy.mean(1)
    loss = policy_loss + config.vf_coef * value_loss - config.ent_coef * entropy
    if extra is not None:
        loss = loss + extra.loss(ratio, batch)
    metrics = {
        "loss": loss,
        "policy_gradient_loss": policy_loss,
        "value_loss": value_loss,
        "entropy_loss": -entropy,
        "approx_kl": (ratio - 1 - log_ratio).mean(1),
        "clip_fraction": ((ratio - 1).abs() > config.clip_range).float().mean(1),
    }
    return loss.sum(), {name: value.detach() for name, value in metrics.items()}


def stacked_ppo_loss_grad(
    heads: Heads, batch: StackedBatch, config: TeamConfig, extra: Extra | None = None
) -> tuple[HeadGrads, dict[str, np.ndarray]]:
    """The derivatives of `stacked_ppo_loss` by the heads, and its metrics, in NumPy (equal to autograd's by test)."""
    n, eps = batch.advantage.shape[1], config.clip_range
    log_ratio = heads.log_prob - batch.log_prob
    ratio = np.exp(log_ratio)
    clipped = np.minimum(np.maximum(ratio, 1 - eps), 1 + eps)
    gain, bounded = batch.advantage * ratio, batch.advantage * clipped
    flat = gain > bounded  # where the clipped term is the smaller one, the loss does not depend on the ratio
    policy_loss = -np.minimum(gain, bounded).mean(1)
    d_log_prob = np.where(flat, 0.0, gain) * (-1.0 / n)
    error = heads.value - batch.return_
    square = error * error
    if config.clip_range_vf is not None:
        change = heads.value - batch.value
        inside = np.abs(change) <= config.clip_range_vf
        other = batch.value + np.clip(change, -config.clip_range_vf, config.clip_range_vf) - batch.return_
        worse = other * other > square
        error = np.where(worse, other * inside, error)
        square = np.where(worse, other * other, square)
    value_loss = square.mean((1, 2))
    d_value = error * np.float32(2.0 * config.vf_coef / (n * error.shape[2]))
    entropy = heads.entropy.mean(1)
    loss = policy_loss + config.vf_coef * value_loss - config.ent_coef * entropy
    if extra is not None:
        more, d_more = extra.grad(ratio, batch)
        loss, d_log_prob = loss + more, d_log_prob + d_more
    metrics = {
        "loss": loss,
        "policy_gradient_loss": policy_loss,
        "value_loss": value_loss,
        "entropy_loss": -entropy,
        "approx_kl": (ratio - 1 - log_ratio).mean(1),
        "clip_fraction": (np.abs(ratio - 1) > eps).mean(1),
    }
    return HeadGrads(d_log_prob.astype(np.float32, copy=False), -config.ent_coef / n, d_value), metrics


class Team:
    """P policies that learn by PPO together: networks, optimiser and normalisers.

    Args:
        agent: whose spaces, device and generator they have.
        config: hyper-parameters.
        policies: P, at first.
        num_envs: B, a multiple of P.
        objectives: K.
    """

    def __init__(self, agent: Agent, config: TeamConfig, policies: int, num_envs: int, objectives: int) -> None:
        self.config = config
        self.device = agent.device
        self.objectives = objectives
        self.generator = agent.generator
        networks = [self._network(agent) for _ in range(policies)]
        self.template = networks[0]
        self.population = Population(self.template, policies)
        for row, network in zip(self.population.data, networks, strict=True):
            row.copy_(parameters_to_vector(network.parameters()).detach())
        self.optimizer = StackedAdam(self.population)
        size, device = agent.obs_size, agent.device
        self.obs_norm = StackedNorm(policies, size, device=device) if config.normalize_obs else None
        self.reward_norm = StackedReturnNorm(policies, num_envs, objectives, gamma=config.gamma, device=device)

    def _network(self, agent: Agent) -> ActorCritic:
        config = self.config
        return ActorCritic(
            agent.obs_size,
            agent.spec,
            net_arch=config.net_arch,
            activation=config.activation,
            log_std_init=config.log_std_init,
            ortho_init=config.ortho_init,
            objectives=self.objectives,
        ).to(agent.device)

    @property
    def size(self) -> int:
        """P."""
        return self.population.size

    def state(self) -> dict[str, Stateful]:
        """What a checkpoint holds of them."""
        parts: dict[str, Any] = {"policy": self.population, "optimizer": self.optimizer}
        parts |= {"obs_norm": self.obs_norm, "return_norm": self.reward_norm}
        return {name: part for name, part in parts.items() if part is not None}

    def actor(self, num_envs: int) -> PopulationActor:
        """All policies as one actor in B = `num_envs` environments."""
        kernel = None if self.config.backend == "torch" else StackedKernel.covering(self.population)
        return PopulationActor(self.population, num_envs, kernel)

    # Records: what is kept of each policy, to act with it and to go on from it ------------------------------------

    def fields(self) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
        """Shape and dtype of each policy's records."""
        found: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
            "parameters": ((self.population.width,), torch.float32)
        }
        for name, norm in self._norms():
            found |= {f"{name}_{key}": (tuple(x.shape[1:]), x.dtype) for key, x in norm.moments.tensors().items()}
        return found

    def records(self) -> dict[str, Tensor]:
        """Parameters and statistics of all P policies, [P, ...] each (copies)."""
        found = {"parameters": self.population.data.clone()}
        for name, norm in self._norms():
            found |= {f"{name}_{key}": x for key, x in norm.moments.tensors().items()}
        return found

    def populate(self, records: dict[str, Tensor], num_envs: int) -> None:
        """Go on with the policies of some records, as many as they are, with fresh optimisers, in B environments."""
        self.population.set_size(len(records["parameters"]))
        self.population.data.copy_(records["parameters"])
        self.optimizer.restart()
        for name, norm in self._norms():
            norm.moments.set({key: records[f"{name}_{key}"] for key in ("mean", "m2", "count")}, name)
            norm.derive()
        self.reward_norm.resize(num_envs)

    def _norms(self) -> list[tuple[str, StackedNorm | StackedReturnNorm]]:
        named = {"obs": self.obs_norm, "reward": self.reward_norm}
        return [(name, norm) for name, norm in named.items() if norm is not None]

    # Learning -----------------------------------------------------------------------------------------------------

    def batch(self, rollout: Rollout) -> tuple[StackedBatch, Tensor]:
        """A rollout [T, B, ...] by policy, and the objectives' advantages [P, n, K] in raw reward units."""
        config = self.config
        split = partial(split_rows, policies=self.size, num_envs=rollout.reward.shape[1])
        done = rollout.terminated | rollout.truncated
        advantage, return_ = gae(
            rollout.reward,
            rollout.value,
            rollout.next_value,
            rollout.terminated,
            done,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
        )
        obs, action, log_prob, value, return_, advantage = (
            split(x.flatten(0, 1))
            for x in (rollout.obs, rollout.action, rollout.log_prob, rollout.value, return_, advantage)
        )
        mask = None if rollout.mask is None else split(rollout.mask.flatten(0, 1))
        raw = advantage * self.reward_norm.scale.float().unsqueeze(1)
        return StackedBatch(obs, action, log_prob, value, log_prob, return_, mask), raw

    def gained(self, batch: StackedBatch, advantage: Tensor, actor: PopulationActor) -> np.ndarray:
        """E[(rho - 1) A_k] [P, K]: what the policies' changes since the rollout gain per step, by its advantages."""
        with torch.no_grad():
            if actor.kernel is None:
                now = self.population.distribution(batch.obs, batch.mask).log_prob(batch.action)
            else:
                allowed = None if batch.mask is None else batch.mask.numpy()
                now = torch.from_numpy(actor.kernel.log_prob(batch.obs.numpy(), batch.action.numpy(), allowed)[0])
        change = (now - batch.log_prob).exp() - 1
        gain = torch.einsum("pn,pnk->pk", change, advantage) / advantage.shape[1]
        return gain.double().cpu().numpy()

    def update(
        self,
        rollout: Rollout,
        actor: PopulationActor,
        rates: np.ndarray,
        weights: Callable[[StackedBatch, Tensor], np.ndarray],
        extra: Extra | None = None,
    ) -> dict[str, float]:
        """`n_epochs` over a rollout of all policies.

        Args:
            rollout: [T, B, ...].
            actor: that collected it.
            rates: learning rates [P, 1].
            weights: gives the weights [P, K] of the objectives' advantages in an epoch, from the batch and advantages.
            extra: a further loss.

        Returns:
            The means of the loss's metrics over minibatches and policies.

        Raises:
            FloatingPointError: a loss or a weight became NaN or infinite.
        """
        config = self.config
        batch, advantage = self.batch(rollout)
        steps = torch.from_numpy(rates).float().to(self.device)
        history: list[dict[str, Any]] = []
        for _ in range(config.n_epochs):
            weighed = torch.from_numpy(weights(batch, advantage)).float().to(self.device)
            raised = torch.einsum("pnk,pk->pn", advantage, weighed)
            raised = (raised - raised.mean(1, keepdim=True)) / (raised.std(1, keepdim=True) + 1e-8)
            order = torch.randperm(raised.shape[1], generator=self.generator, device=self.device)
            shuffled = StackedBatch(**{**vars(batch), "advantage": raised}).take(order)
            shuffled = shuffled.numpy() if actor.kernel is not None else shuffled
            for start in range(0, len(order), config.batch_size):
                minibatch = shuffled.take(slice(start, start + config.batch_size))
                metrics = self._gradient(minibatch, actor.kernel, extra)
                metrics["grad_norm"] = self.optimizer.step(steps, config.max_grad_norm)
                history.append(metrics)
        means = {name: float(np.mean([float(m[name].mean()) for m in history])) for name in history[0]}
        check_update(means | {"weights": float(self.population.data.sum())})
        return means

    def _gradient(self, batch: StackedBatch, kernel: StackedKernel | None, extra: Extra | None) -> dict[str, Any]:
        """Leave the gradient of every policy's loss in the population; return the metrics [P]."""
        given = batch.obs, batch.action, batch.mask
        if kernel is None:
            loss, metrics = stacked_ppo_loss(self.population.heads(*given), batch, self.config, extra)
            self.population.backward(loss)
            return dict(metrics)
        grads, numbers = stacked_ppo_loss_grad(kernel.heads(*given), batch, self.config, extra)
        kernel.backward(grads)
        return dict(numbers)
