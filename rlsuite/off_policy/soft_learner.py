"""The learner inside soft actor-critics: losses, step sizes, and one gradient step of actor, critics and temperature.

`rlsuite.off_policy.sac` has the equations. SAC has one learner, QARL one for each player.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from rlsuite.core.buffers import ReplayBatch
from rlsuite.core.networks import FlatParameters
from rlsuite.core.optim import check_update
from rlsuite.core.stateful import Stateful
from rlsuite.off_policy.networks import TwinCritic
from rlsuite.off_policy.soft_kernel import SoftKernel, StepSizes, make_adam, supports

__all__ = ["SoftLearner", "StepSizes", "actor_loss", "alpha_loss", "critic_loss", "first_alpha", "td_target"]


def first_alpha(ent_coef: float | str, owner: str = "SACConfig") -> tuple[float, bool]:
    """The temperature's first value and whether it is learned.

    Raises:
        ValueError: not "auto", "auto_VALUE" or a positive number.
    """
    learned = isinstance(ent_coef, str) and ent_coef.startswith("auto")
    try:
        value = float((str(ent_coef).removeprefix("auto").removeprefix("_") or "1") if learned else ent_coef)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ValueError(f"{owner}.ent_coef is {ent_coef!r}; give 'auto', 'auto_0.1' or a number above 0")
    return value, learned


def td_target(batch: ReplayBatch, next_value: torch.Tensor) -> torch.Tensor:
    """Y [N] = (n-step) reward + discount (1 - terminated) next_value; Haarnoja et al. 2018, eq. 3."""
    return batch.reward + batch.discount * (~batch.terminated) * next_value


def critic_loss(q: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Half the sum over the two critics q [2, N] of the mean squared error against target [N]; eq. 5."""
    return 0.5 * (q - target).square().mean(dim=1).sum()


def actor_loss(q: torch.Tensor, log_prob: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """E[alpha log pi - min_i Q_i] for q [2, N] and log_prob [N]; eq. 7."""
    return (alpha * log_prob - torch.minimum(q[0], q[1])).mean()


def alpha_loss(log_alpha: torch.Tensor, log_prob: torch.Tensor, target_entropy: float) -> torch.Tensor:
    """-log(alpha) E[log pi + target entropy]; eq. 17 with log alpha in alpha's place."""
    return -(log_alpha * (log_prob + target_entropy).detach()).mean()


class SoftLearner:
    """Actor, twin critics, target and temperature of one soft actor-critic, and its gradient step.

    Args:
        actor: maps rows [N, O] to a `SquashedGaussian` over A action dimensions.
        critic: the twin critics.
        target: critics of the same shape; their weights become the critic's.
        ent_coef: "auto", "auto_VALUE" or a number; see `SACConfig`.
        target_entropy: nats.
        tau: weight of the new critics in the target's average.
        max_grad_norm: of actor and critic, or None.
    """

    def __init__(
        self,
        actor: nn.Module,
        critic: TwinCritic,
        target: TwinCritic,
        *,
        ent_coef: float | str,
        target_entropy: float,
        tau: float,
        max_grad_norm: float | None,
    ) -> None:
        self.actor = actor
        self.critic = critic
        self.target = target
        self.tau = tau
        self.max_grad_norm = max_grad_norm
        self.target_entropy = target_entropy
        target.load_state_dict(critic.state_dict())
        value, self.learn_alpha = first_alpha(ent_coef)
        device = next(actor.parameters()).device
        log_alpha = nn.Parameter(torch.tensor([math.log(value)]))
        self.temperature = nn.ParameterDict({"log_alpha": log_alpha}).to(device)
        parts = {"actor": actor, "critic": critic, "target": target, "alpha": self.temperature}
        self.flat = {name: FlatParameters(part) for name, part in parts.items()}
        by_hand = supports(actor, critic)
        self.adam = {name: make_adam(self.flat[name], by_hand) for name in ("actor", "critic", "alpha")}
        self.kernel = None
        if by_hand:
            self.kernel = SoftKernel(actor, critic, target, self.flat, self.adam, tau=tau, max_grad_norm=max_grad_norm)

    def state(self) -> dict[str, Stateful]:
        """Networks and optimisers by name, for a checkpoint."""
        parts: dict[str, Any] = {"actor": self.actor, "critic": self.critic, "target": self.target}
        parts["alpha"] = self.temperature
        return parts | {f"{name}_optimizer": adam for name, adam in self.adam.items()}

    def check(self, metrics: Mapping[str, Any]) -> None:
        """Raise if the last step's losses, a weight, or a gradient of any step so far is not finite.

        Raises:
            FloatingPointError: names them.
        """
        sick = {f"gradient of the {name}": math.nan for name, adam in self.adam.items() if not adam.healthy}
        check_update({**metrics, **sick}, *self.flat.values())

    def gradient_step(
        self,
        batch: ReplayBatch,
        generator: torch.Generator,
        rates: StepSizes,
        *,
        alpha: torch.Tensor | None = None,
        train_actor: bool = True,
    ) -> dict[str, Any]:
        """One step of temperature, critics, actor and target; metrics stay on the device.

        Args:
            batch: M transitions.
            generator: of the sampled actions.
            rates: step sizes.
            alpha: temperatures [M] that replace the learner's own, which then is not trained.
            train_actor: False leaves actor and temperature as they are.
        """
        if self.kernel is not None:
            goal = self.target_entropy if self.learn_alpha and alpha is None else None
            return self.kernel.gradient_step(
                batch, generator, rates, alpha=alpha, target_entropy=goal, train_actor=train_actor
            )
        flat, adam, clip = self.flat, self.adam, self.max_grad_norm
        for part in ("actor", "critic", "alpha"):
            flat[part].zero_grad()
        log_alpha = self.temperature["log_alpha"]
        own, alpha = alpha is None, log_alpha.detach().exp() if alpha is None else alpha
        if train_actor:
            action, log_prob = self.actor(batch.obs).sample_with_log_prob(generator)
            if own and self.learn_alpha:
                alpha_loss(log_alpha, log_prob, self.target_entropy).backward()
                adam["alpha"].step(rates.alpha, None)
        with torch.no_grad():
            next_action, next_log_prob = self.actor(batch.next_obs).sample_with_log_prob(generator)
            next_q = self.target(batch.next_obs, next_action)
            target = td_target(batch, torch.minimum(next_q[0], next_q[1]) - alpha * next_log_prob)
        loss_q = critic_loss(self.critic(batch.obs, batch.action), target)
        loss_q.backward()
        adam["critic"].step(rates.critic, clip)
        metrics = {"critic_loss": loss_q.detach(), "ent_coef": alpha.mean()}
        if train_actor:
            loss_pi = actor_loss(self.critic(batch.obs, action, frozen=True), log_prob, alpha)
            loss_pi.backward()
            adam["actor"].step(rates.actor, clip)
            metrics["actor_loss"] = loss_pi.detach()
        flat["target"].data.lerp_(flat["critic"].data, self.tau)
        return metrics
