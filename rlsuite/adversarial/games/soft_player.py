"""A soft actor-critic that sits on one side of a game: QARL has two."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from gymnasium import Space

from rlsuite.core.buffers import ReplayBuffer
from rlsuite.core.opponents import box_bounds
from rlsuite.core.stateful import GeneratorState, Stateful
from rlsuite.off_policy.networks import SplitActor, TwinCritic, xavier_uniform_
from rlsuite.off_policy.soft_learner import SoftLearner, StepSizes


class PlayerConfig(Protocol):
    """The fields that a player reads; see `QARLConfig` for units and ranges."""

    @property
    def net_arch(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def activation(self) -> str: ...  # noqa: D102
    @property
    def ent_coef(self) -> float | str: ...  # noqa: D102
    @property
    def target_entropy(self) -> float | None: ...  # noqa: D102
    @property
    def tau(self) -> float: ...  # noqa: D102
    @property
    def gamma(self) -> float: ...  # noqa: D102
    @property
    def buffer_size(self) -> int: ...  # noqa: D102
    @property
    def batch_size(self) -> int: ...  # noqa: D102
    @property
    def critic_starts(self) -> int: ...  # noqa: D102
    @property
    def actor_starts(self) -> int: ...  # noqa: D102
    @property
    def actor_learning_rate(self) -> float: ...  # noqa: D102
    @property
    def critic_learning_rate(self) -> float: ...  # noqa: D102
    @property
    def alpha_learning_rate(self) -> float: ...  # noqa: D102


class Player:
    """One side's soft actor-critic, replay buffer and randomness.

    Args:
        space: its bounded Box.
        rows: entries of an observation with its temperature.
        num_envs: B.
        config: hyper-parameters.
        tempered: whether the entropy weight comes from the observations.
        generator: of its actions and batches, on the device of everything else.
    """

    def __init__(
        self,
        space: Space[Any],
        rows: int,
        num_envs: int,
        config: PlayerConfig,
        *,
        tempered: bool,
        generator: torch.Generator,
    ) -> None:
        device = generator.device
        self.config = config
        self.tempered = tempered
        self.generator = generator
        self.low, self.high = box_bounds(space, device)
        size = len(self.low)
        self.actor = SplitActor(rows, size, config).to(device)
        critics = [TwinCritic(rows, size, config).to(device) for _ in range(2)]
        for network in (self.actor, *critics):
            xavier_uniform_(network)
        entropy = -float(size) if config.target_entropy is None else config.target_entropy
        self.learner = SoftLearner(
            self.actor,
            *critics,
            ent_coef=config.ent_coef,
            target_entropy=entropy,
            tau=config.tau,
            max_grad_norm=None,
        )
        self.buffer = ReplayBuffer(config.buffer_size, num_envs, (rows,), (size,), device=device, gamma=config.gamma)

    def act(
        self, rows: torch.Tensor, *, deterministic: bool = False, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """Actions of (-1, 1)^D [B, D] at rows [B, O + 1]; without a generator, by the player's own."""
        with torch.no_grad():
            policy = self.actor(rows)
            return policy.mode() if deterministic else policy.sample(generator or self.generator)

    def to_box(self, action: torch.Tensor) -> torch.Tensor:
        """Actions of (-1, 1)^D [B, D] in the units of the box, flat [B, D]."""
        return self.low + 0.5 * (action + 1) * (self.high - self.low)

    def improve(self) -> dict[str, torch.Tensor]:
        """One gradient step, as far as there is enough data; its metrics."""
        config, stored = self.config, len(self.buffer)
        if stored < config.critic_starts:
            return {}
        batch = self.buffer.sample(config.batch_size, self.generator)
        return self.learner.gradient_step(
            batch,
            self.generator,
            StepSizes(config.actor_learning_rate, config.critic_learning_rate, config.alpha_learning_rate),
            alpha=batch.obs[:, -1] if self.tempered else None,
            train_actor=stored >= config.actor_starts,
        )

    def state(self) -> dict[str, Stateful]:
        """Everything a checkpoint must hold, by name."""
        return self.learner.state() | {"buffer": self.buffer, "generator": GeneratorState(self.generator)}
