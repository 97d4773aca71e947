"""The ladder of probes. If the first that fails is ..., look at ...

| probe | look at |
|---|---|
| Constant | value loss, optimiser |
| Observation | the observation's way into the value network |
| Discount | returns: discounting, bootstrapping |
| Truncation | terminated and truncated kept apart; the true final observation |
| Policy | policy loss: sign, advantage |
| PolicyObservation | observation and action kept together in the batch |
| Discrete, MultiDiscrete, MultiBinary, Box | that action distribution, and the action's way to the
environment | | Mask | masks in sampling, log-probability and update | | Dict | flattening of Dict
observations |

All have one line of headings: start states are drawn anew per episode, no noise afterwards; episodes end by
termination after one step unless said otherwise; there are no arguments unless said otherwise.

Source: the idea is the test ladder of rejax; Truncation, the action spaces, Mask and Dict are added here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.probes.base import OneStepProbe, Probe, ProbeState, signs

__all__ = [
    "ProbeConstant",
    "ProbeDict",
    "ProbeDiscount",
    "ProbeObservation",
    "ProbePolicy",
    "ProbePolicyObservation",
    "ProbeTruncation",
]


class ProbeConstant(OneStepProbe):
    """The observation is 0, any action pays 1: the value is 1."""

    optimal_return = random_return = 1.0

    def payoff(self, context: Tensor, action: Tensor) -> Tensor:
        """1."""
        return torch.ones_like(context[:, 0])


class ProbeObservation(OneStepProbe):
    """The observation is -1 or 1, any action pays it: the value is the observation."""

    optimal_return = random_return = 0.0

    def draw_context(self, num: int, rng: torch.Generator) -> Tensor:
        """-1 or 1."""
        return signs((num, 1), rng, self)

    def payoff(self, context: Tensor, action: Tensor) -> Tensor:
        """The observation."""
        return context[:, 0]

    def true_value(self, obs: Any, gamma: float) -> Tensor:
        """The observation."""
        return obs[:, 0]


class ProbeDiscount(Probe):
    """Observation 0, then 1, then the end, which pays 1: the values are gamma and 1."""

    optimal_return = random_return = 1.0

    @property
    def max_episode_steps(self) -> int:
        """Two steps."""
        return 2

    def observe(self, state: ProbeState) -> Tensor:
        """0 at the start, 1 afterwards."""
        return state.time.clamp(max=1).to(torch.float32).unsqueeze(-1)

    def post_decision(self, state: ProbeState, action: Tensor) -> tuple[ProbeState, None]:
        """One step more."""
        return ProbeState(state.context, state.time + 1), None

    def transition(self, post_state: ProbeState, noise: None) -> tuple[ProbeState, Tensor, Tensor]:
        """1 and the end after the second step."""
        terminated = post_state.time >= 2
        return post_state, terminated.to(self.dtype), terminated

    def true_value(self, obs: Any, gamma: float) -> Tensor:
        """Gamma at observation 0, 1 at observation 1."""
        return torch.where(obs[:, 0] > 0.5, 1.0, gamma)


class ProbeTruncation(Probe):
    """Every step pays 1. Observation 1: the task ends there. Observation -1: it would go on for ever.

    The time limit is one step, so that both are truncated, and the first is terminated as well: the values
    are 1 and 1 / (1 - gamma). Merging the flags gives 1 for both; bootstrapping from the observation after
    the restart, which is -1 or 1 by chance, instead of the true final one, gives something between.
    `optimal_return` counts the one step.
    """

    optimal_return = random_return = 1.0

    @property
    def max_episode_steps(self) -> int:
        """One step."""
        return 1

    def draw_context(self, num: int, rng: torch.Generator) -> Tensor:
        """-1 or 1."""
        return signs((num, 1), rng, self)

    def post_decision(self, state: ProbeState, action: Tensor) -> tuple[ProbeState, Tensor]:
        """1 and one step more."""
        return ProbeState(state.context, state.time + 1), torch.ones_like(state.context[:, 0])

    def transition(self, post_state: ProbeState, noise: None) -> tuple[ProbeState, None, Tensor]:
        """The end, where the observation is 1."""
        return post_state, None, post_state.context[:, 0] > 0

    def true_value(self, obs: Any, gamma: float) -> Tensor:
        """1 at observation 1, 1 / (1 - gamma) at observation -1."""
        return torch.where(obs[:, 0] > 0, 1.0, 1.0 / (1.0 - gamma))


class ProbePolicy(OneStepProbe):
    """The observation is 0; action 1 pays 1, action 0 pays -1."""

    optimal_return = 1.0
    random_return = 0.0

    def payoff(self, context: Tensor, action: Tensor) -> Tensor:
        """1 or -1."""
        return (2 * action - 1).to(self.dtype)

    def optimal_action(self, obs: Any, mask: Tensor | None = None) -> Tensor:
        """Always 1."""
        return torch.ones(obs.shape[0], dtype=torch.int64, device=obs.device)


class ProbePolicyObservation(OneStepProbe):
    """The observation is -1 or 1; action 0 is right at -1 and action 1 at 1; right pays 1, wrong -1."""

    optimal_return = 1.0
    random_return = 0.0

    def draw_context(self, num: int, rng: torch.Generator) -> Tensor:
        """-1 or 1."""
        return signs((num, 1), rng, self)

    def payoff(self, context: Tensor, action: Tensor) -> Tensor:
        """1 or -1."""
        return (2 * action - 1).to(self.dtype) * context[:, 0]

    def optimal_action(self, obs: Any, mask: Tensor | None = None) -> Tensor:
        """The observation's sign."""
        return (obs[:, 0] > 0).long()


class ProbeDict(ProbePolicyObservation):
    """ProbePolicyObservation with the sign as one part of a Dict; the other two parts are noise."""

    @property
    def observation_space(self) -> spaces.Dict:
        """{"clutter": [2], "more": [1, 2], "sign": [1]}, all in [-1, 1]."""
        shapes = {"clutter": (2,), "more": (1, 2), "sign": (1,)}
        return spaces.Dict({name: spaces.Box(-1.0, 1.0, shape, np.float32) for name, shape in shapes.items()})

    def draw_context(self, num: int, rng: torch.Generator) -> Tensor:
        """The sign and four numbers of noise."""
        noise = torch.rand((num, 4), generator=rng, device=self.device, dtype=self.dtype)
        return torch.cat((signs((num, 1), rng, self), noise.mul_(2).sub_(1)), dim=1)

    def observe(self, state: ProbeState) -> dict[str, Tensor]:
        """The parts, float32."""
        context = state.context.to(torch.float32, copy=True)
        return {"clutter": context[:, 1:3], "more": context[:, 3:5].reshape(-1, 1, 2), "sign": context[:, :1]}

    def optimal_action(self, obs: Any, mask: Tensor | None = None) -> Tensor:
        """The sign."""
        return super().optimal_action(obs["sign"])
