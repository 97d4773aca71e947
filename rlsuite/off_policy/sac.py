"""Soft actor-critic, twin critics, learned temperature (Haarnoja et al. 2018, arXiv:1801.01290 and 1812.05905).

    y      = r + gamma (1 - terminated) [min_i Q'_i(s', a') - alpha log pi(a'|s')],   a' ~ pi(.|s')
    L_Q    = 1/2 sum_i E[(Q_i(s, a) - y)^2]                                            (1812.05905, eq. 5)
    L_pi   = E[alpha log pi(a~|s) - min_i Q_i(s, a~)],   a~ reparametrised             (eq. 7)
    L_alpha = -log(alpha) E[log pi(a~|s) + target_entropy]             (eq. 17, in log alpha as SB3 does)
    Q'     <- (1 - tau) Q' + tau Q

The twin critics are one batched network, each network's parameters one vector, so that Adam and the target's averaging
are one call each; ReLU networks on a CPU learn in numpy (`rlsuite.off_policy.kernel`). Details are Stable-Baselines3's:
log-std clamped to [-20, 2], one gradient step per environment step, temperature updated before the critics.

Expected: the results page of the zoo, beside Stable-Baselines3's SAC. Base of the later off-policy families.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from gymnasium.spaces import Box
from torch import nn

from rlsuite.core.agent import Agent
from rlsuite.core.brain import Brain
from rlsuite.core.buffers import ReplayBatch, ReplayBuffer, load_buffer, save_buffer
from rlsuite.core.collect import Runner, check_finite
from rlsuite.core.config import check_range, check_schedule, check_types
from rlsuite.core.networks import FlatParameters
from rlsuite.core.optim import check_update
from rlsuite.core.persistence import GeneratorState, Stateful
from rlsuite.core.schedules import Rates
from rlsuite.core.session import Session
from rlsuite.off_policy.kernel import SoftKernel, make_adam, supports
from rlsuite.off_policy.networks import Actor, TwinCritic, soft_insides


@dataclass(frozen=True)
class SACConfig:
    """Hyper-parameters of SAC; the defaults are Stable-Baselines3's.

    Raises:
        ValueError: a value out of range; the message names the field, its value and the range.
    """

    learning_rate: float | str = 3e-4
    """Adam's step size of actor, critics and temperature, or a schedule such as "linear:3e-4"."""
    buffer_size: int = 1_000_000
    """Transitions kept, over all environments; at least 1."""
    learning_starts: int = 100
    """Environment steps with uniformly random actions before the first update."""
    batch_size: int = 256
    """Transitions per gradient step."""
    tau: float = 0.005
    """Weight of the new critics in the target's moving average, in (0, 1]."""
    gamma: float = 0.99
    """Discount per step, in [0, 1]."""
    train_freq: int = 1
    """Steps of every environment between two training phases."""
    gradient_steps: int = 1
    """Gradient steps per training phase; -1 is one per environment step taken since the last."""
    ent_coef: float | str = "auto"
    """alpha: "auto", "auto_0.1" (learned from that first value), or a fixed number."""
    target_entropy: float | str = "auto"
    """Entropy the temperature aims at, in nats; "auto" is minus the number of action dimensions."""
    n_step: int = 1
    """Steps of reward before the bootstrap; at least 1."""
    net_arch: tuple[int, ...] = (256, 256)
    """Hidden layers of the actor and of each critic."""
    activation: str = "relu"
    """tanh, relu, elu or gelu."""
    max_grad_norm: float | None = None
    """Largest global L2 norm of actor and critic gradients; None switches clipping off."""

    def __post_init__(self) -> None:
        check_types(self)
        inf = float("inf")
        check_range(
            self,
            buffer_size=(1, inf),
            learning_starts=(0, inf),
            batch_size=(1, inf),
            tau=(1e-9, 1),
            gamma=(0, 1),
            train_freq=(1, inf),
            gradient_steps=(-1, inf),
            n_step=(1, inf),
            max_grad_norm=(1e-9, inf),
        )
        check_schedule(self, "learning_rate")
        first_alpha(self.ent_coef)
        if isinstance(self.target_entropy, str) and self.target_entropy != "auto":
            raise ValueError(f"SACConfig.target_entropy is {self.target_entropy!r}; give a number or 'auto'")


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


class StepSizes(NamedTuple):
    """Step sizes of one gradient step."""

    actor: float
    critic: float
    alpha: float


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
        self.actor, self.critic, self.target = actor, critic, target
        self.tau, self.max_grad_norm, self.target_entropy = tau, max_grad_norm, target_entropy
        target.load_state_dict(critic.state_dict())
        value, self.learn_alpha = first_alpha(ent_coef)
        device = next(actor.parameters()).device
        log_alpha = nn.Parameter(torch.tensor([math.log(value)]))
        self.temperature = nn.ParameterDict({"log_alpha": log_alpha}).to(device)
        parts = {"actor": actor, "critic": critic, "target": target, "alpha": self.temperature}
        self.flat = {name: FlatParameters(part) for name, part in parts.items()}
        by_hand = supports(actor, critic)
        self.adam = {name: make_adam(self.flat[name], by_hand) for name in ("actor", "critic", "alpha")}
        self.kernel = SoftKernel(self) if by_hand else None

    def state(self) -> dict[str, Stateful]:
        """Networks and optimisers by name, for a checkpoint."""
        parts: dict[str, Any] = {"actor": self.actor, "critic": self.critic, "target": self.target}
        parts["alpha"] = self.temperature
        return parts | {f"{name}_optimizer": adam for name, adam in self.adam.items()}

    def check_step(self, action: torch.Tensor, obs: torch.Tensor, reward: torch.Tensor) -> None:
        """Raise if a step gave obs [B, O] or reward [B] that is not finite.

        Raises:
            FloatingPointError: names what it is; diverged networks rather than the environment, if these acted.
        """
        try:
            check_finite("observation", obs[None])
            check_finite("reward", reward[None])
        except FloatingPointError:
            check_update({"action": action.sum()}, *self.flat.values())
            raise

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
            return self.kernel.gradient_step(batch, generator, rates, alpha=alpha, train_actor=train_actor)
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


class SAC(Agent):
    """Soft actor-critic; see `rlsuite.core.agent.Agent` for the arguments and `SACConfig` for the fields.

    Box actions only. Inside, actions live in (-1, 1)^A and are scaled to the box for the environment.
    """

    config_class = SACConfig
    stored: ClassVar = Agent.stored | {"buffer_size": "replay buffer"}
    restarts: ClassVar = {"ent_coef": ("alpha", "alpha_optimizer")}
    config: SACConfig

    def build(self) -> Brain:
        """Actor, twin critics, temperature and replay buffer."""
        config = self.config
        space = self.action_space
        if not isinstance(space, Box) or not space.is_bounded("both"):
            raise ValueError(
                f"SAC needs a bounded Box action space, not {self.action_space}; use PPO or rescale the actions"
            )
        size = self.spec.num_params
        self.low, self.high = (
            torch.as_tensor(x, device=self.device).float().reshape(-1) for x in (space.low, space.high)
        )
        self.actor = Actor(self.obs_size, size, config).to(self.device)
        critics = (TwinCritic(self.obs_size, size, config).to(self.device) for _ in range(2))
        auto = config.target_entropy == "auto"
        self.learner = SoftLearner(
            self.actor,
            *critics,
            ent_coef=config.ent_coef,
            tau=config.tau,
            max_grad_norm=config.max_grad_norm,
            target_entropy=-float(size) if auto else float(config.target_entropy),
        )
        self.buffer = ReplayBuffer(
            config.buffer_size,
            self.num_envs,
            (self.obs_size,),
            (size,),
            obs_dtype=torch.float32,
            action_dtype=torch.float32,
            device=self.device,
            n_step=config.n_step,
            gamma=config.gamma,
        )
        insides = soft_insides(self.actor, self.learner.critic, (self.low, self.high))
        return Brain(self.actor, self._act, self._state, insides=insides)

    def _state(self) -> dict[str, Stateful]:
        return self.learner.state() | {"generator": GeneratorState(self.generator), "buffer": self.buffer}

    def _act(self, rows: torch.Tensor, mask: torch.Tensor | None, deterministic: bool) -> torch.Tensor:
        policy = self.actor(rows)
        action = policy.mode() if deterministic else policy.sample(self.generator)
        return self.to_box(action)

    @property
    def replay_buffer(self) -> ReplayBuffer:
        """Stable-Baselines3's name of `buffer`."""
        return self.buffer

    def save_replay_buffer(self, path: str | os.PathLike[str]) -> None:
        """Write the replay buffer alone (`save` holds it, too), as tensors in a zip file whatever the name's ending."""
        save_buffer(path, self.buffer)

    def load_replay_buffer(self, path: str | os.PathLike[str]) -> None:
        """Go on with a replay buffer that `save_replay_buffer` wrote.

        Raises:
            CheckpointError: no such file; ValueError: of other spaces, size or number of environments.
        """
        load_buffer(path, self.buffer)

    def to_box(self, action: torch.Tensor) -> torch.Tensor:
        """Actions of (-1, 1)^A [B, A] scaled to the box [B, *shape]."""
        scaled = self.low + 0.5 * (action + 1) * (self.high - self.low)
        return scaled.reshape(-1, *self.spec.shape)

    def train(self, run: Session) -> None:
        """One update is about 1000 environment steps."""
        config, runner, rates = self.config, self.start_runner(), Rates(self.config, "learning_rate")
        phases = max(1, 1000 // (config.train_freq * self.num_envs))
        metrics: dict[str, Any] = {}
        while not run.done:
            run.rollout_start()
            for _ in range(phases):
                if run.done:
                    break
                now = rates.at(run.progress_remaining)
                self._collect(runner, run)
                if self.num_timesteps <= config.learning_starts:
                    continue
                taken = config.train_freq * self.num_envs
                count = taken if config.gradient_steps < 0 else config.gradient_steps
                for _ in range(count):
                    metrics = self._gradient_step(**now)
                self.n_updates += count
            run.rollout_end()
            check_update(metrics, *self.learner.flat.values())
            named = {f"train/{name}": float(value) for name, value in metrics.items()}
            run.update_end(named | {"train/n_updates": self.n_updates}, runner.stats)

    def _collect(self, runner: Runner, run: Session) -> None:
        """`train_freq` steps of every environment into the buffer."""
        for _ in range(self.config.train_freq):
            if self.num_timesteps < self.config.learning_starts:
                shape = (self.num_envs, self.spec.num_params)
                action = torch.rand(shape, generator=self.generator, device=self.device) * 2 - 1
            else:
                with torch.no_grad():
                    action = self.actor(runner.obs).sample(self.generator)
            seen = runner.obs.clone()  # the environment may reuse its memory
            step = runner.stepper.step(self.to_box(action))
            obs = step.obs.float()
            self.learner.check_step(action, obs, step.reward)
            final = obs if step.final_obs is None else step.final_obs.float()
            self.buffer.add(seen, final, action, step.reward, step.terminated, step.truncated)
            runner.stats.add(step.reward.cpu().numpy(), (step.terminated | step.truncated).cpu().numpy())
            runner.obs = obs
            run.count(self.num_envs)
            if run.on_step is not None and not run.on_step(step):
                break

    def _gradient_step(self, learning_rate: float) -> dict[str, Any]:
        """One gradient step on a sampled batch."""
        batch = self.buffer.sample(self.config.batch_size, self.generator)
        return self.learner.gradient_step(batch, self.generator, StepSizes(*3 * (learning_rate,)))
