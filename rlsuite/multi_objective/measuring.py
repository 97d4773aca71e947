"""Measuring the objectives of P policies at once: whole episodes, each policy in environments of its own.

Letters: P policies, E episodes of each, K objectives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from rlsuite.core.population_actor import PopulationActor
from rlsuite.core.stacked_norm import StackedNorm
from rlsuite.core.vector import Stepper

__all__ = ["Measured", "measure"]

LONGEST = 100_000
"""Steps after which an episode that does not end is an error."""


@dataclass(frozen=True)
class Measured:
    """Returns of E episodes of each of P policies."""

    discounted: np.ndarray
    """Discounted returns [P, E, K] float64."""
    undiscounted: np.ndarray
    """Sums of rewards [P, E, K] float64."""
    lengths: np.ndarray
    """Episode lengths [P, E], steps."""
    gamma: float
    """Discount of `discounted`."""

    @property
    def objectives(self) -> np.ndarray:
        """Mean discounted returns [P, K]."""
        return self.discounted.mean(1)

    @property
    def steps(self) -> int:
        """Environment steps of all episodes."""
        return int(self.lengths.sum())

    @property
    def horizon(self) -> np.ndarray:
        """Mean sum of the discounts of an episode's steps [P]: what a reward of 1 at every step would return."""
        if self.gamma == 1.0:
            return self.lengths.mean(1)
        return ((1 - self.gamma**self.lengths) / (1 - self.gamma)).mean(1)


def measure(
    actor: PopulationActor,
    norm: StackedNorm | None,
    stepper: Stepper,
    *,
    episodes: int,
    gamma: float,
    seed: int,
    generator: torch.Generator | None = None,
) -> Measured:
    """Play `episodes` whole episodes of each policy.

    Args:
        actor: the policies, for as many environments as `stepper` has.
        norm: their normalisers of observations, which learn nothing here.
        stepper: P * E' environments; with E' below `episodes` several rounds are played.
        episodes: E, at least 1.
        gamma: discount in [0, 1].
        seed: of the first round's environments; round i has seed + i * 1000003. The same seed gives every
            measurement of as many policies the same episodes; one policy's are not another's.
        generator: source of sampled actions; None plays the policies' modes.

    Raises:
        ValueError: an episode of more than 100,000 steps.
        FloatingPointError: NaN or infinity in observations or rewards.
    """
    policies = actor.population.size
    each = stepper.num_envs // policies
    rounds = [_round(actor, norm, stepper, gamma, seed + 1000003 * i, generator) for i in range(-(-episodes // each))]
    shape = (policies, each)
    columns = zip(*rounds, strict=True)
    parts = [np.concatenate([part.reshape(*shape, *part.shape[1:]) for part in column], 1) for column in columns]
    discounted, undiscounted, lengths = (part[:, :episodes] for part in parts)
    return Measured(discounted, undiscounted, lengths, gamma)


def _round(
    actor: PopulationActor,
    norm: StackedNorm | None,
    stepper: Stepper,
    gamma: float,
    seed: int,
    generator: torch.Generator | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Discounted and undiscounted returns [B, K] and lengths [B] of one episode of every environment."""
    obs, mask = stepper.reset(seed % (2**31 - 2**20))
    device = obs.device
    alive = torch.ones(stepper.num_envs, dtype=torch.bool, device=device)
    total = torch.zeros((stepper.num_envs, stepper.objectives or 1), dtype=torch.float64, device=device)
    discounted = torch.zeros_like(total)
    lengths = torch.zeros(stepper.num_envs, dtype=torch.int64, device=device)
    weight = 1.0
    while bool(alive.any()):
        rows = obs.float() if norm is None else norm.normalize(obs)
        step = stepper.step(actor.act(rows, mask, generator))
        reward = torch.where(alive[:, None], step.reward.double(), 0.0)
        total += reward
        discounted += weight * reward
        lengths += alive
        weight *= gamma
        alive &= ~(step.terminated | step.truncated)
        obs, mask = step.obs, step.mask
        if int(lengths.max()) > LONGEST:
            raise ValueError(
                f"an episode did not end within {LONGEST:,} steps; give the environment a time limit "
                "(env_kwargs={'max_episode_steps': ...})"
            )
    stepper.settle()
    return discounted.cpu().numpy(), total.cpu().numpy(), lengths.cpu().numpy()
