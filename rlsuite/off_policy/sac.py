"""Soft actor-critic, twin critics, learned temperature (Haarnoja et al. 2018, arXiv:1801.01290 and 1812.05905).

    y      = r + gamma (1 - terminated) [min_i Q'_i(s', a') - alpha log pi(a'|s')],   a' ~ pi(.|s')
    L_Q    = 1/2 sum_i E[(Q_i(s, a) - y)^2]                                            (1812.05905, eq. 5)
    L_pi   = E[alpha log pi(a~|s) - min_i Q_i(s, a~)],   a~ reparametrised             (eq. 7)
    L_alpha = -log(alpha) E[log pi(a~|s) + target_entropy]             (eq. 17, in log alpha as SB3 does)
    Q'     <- (1 - tau) Q' + tau Q

The twin critics are one batched network, each network's parameters one vector, so that Adam and the target's averaging
are one call each; ReLU networks on a CPU learn in numpy (`rlsuite.off_policy.soft_kernel`). The losses and the gradient
step are `rlsuite.off_policy.soft_learner`'s. Details are Stable-Baselines3's: log-std clamped to [-20, 2], one gradient
step per environment step, temperature updated before the critics.

Expected: the results page of the zoo, beside Stable-Baselines3's SAC. Base of the later off-policy families.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium.spaces import Box

from rlsuite.core.agent import Agent
from rlsuite.core.brain import Brain
from rlsuite.core.buffers import ReplayBuffer, load_buffer, save_buffer
from rlsuite.core.collect import Runner
from rlsuite.core.config import check_range, check_schedule, check_types
from rlsuite.core.schedules import Rates
from rlsuite.core.session import Session
from rlsuite.core.stateful import GeneratorState, Stateful
from rlsuite.off_policy.networks import Actor, TwinCritic, soft_insides
from rlsuite.off_policy.soft_learner import SoftLearner, StepSizes, first_alpha


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


class SAC(Agent):
    """Soft actor-critic; see `rlsuite.core.agent.Agent` for the arguments and `SACConfig` for the fields.

    Box actions only. Inside, actions live in (-1, 1)^A and are scaled to the box for the environment. There is no
    normaliser: networks and replay buffer see observations as float32, so give large offsets (a clock, say) relative
    to something near.
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
        dtype = np.float64 if space.dtype == np.float64 else np.float32
        self.low, self.high = (
            torch.as_tensor(x.astype(dtype), device=self.device).reshape(-1) for x in (space.low, space.high)
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
        insides = soft_insides(self.actor, self.learner.critic, (self.low.float(), self.high.float()))
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
        """Actions of (-1, 1)^A [B, A] scaled to the box, flat [B, A]: `spec.to_env` gives them the box's shape."""
        return self.low + 0.5 * (action + 1) * (self.high - self.low)

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
            self.learner.check(metrics)
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
            runner.stepper.settle()
            obs = step.obs.float()
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
