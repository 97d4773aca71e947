"""A set of policies with their frozen normalisers as one thing that is saved, loaded and asked for its members.

Letters: C policies in the set, W parameters of one, O observation numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from rlsuite.core.acting import act_on
from rlsuite.core.actions import ActionSpec
from rlsuite.core.brain import Brain, actor_critic_insides, sample_or_mode
from rlsuite.core.networks import ActorCritic
from rlsuite.core.normalize import RunningNorm

__all__ = ["Member", "PolicySet"]


class Member:
    """A policy that acts on raw observations behind a frozen normaliser, and is not trained any more.

    Args:
        policy: its network.
        obs_norm: its normaliser of observations, or None.
        observation_space: of the environment.
        action_space: of the environment.
        spec: of its actions.
        device: where it lives.
        generator: source of sampled actions.
        name: for tables and messages.
    """

    def __init__(
        self,
        policy: ActorCritic,
        obs_norm: RunningNorm | None,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        spec: ActionSpec,
        device: torch.device,
        generator: torch.Generator,
        name: str = "member",
    ) -> None:
        self.policy = policy
        self.observation_space = observation_space
        self.action_space = action_space
        self.spec = spec
        self.device = device
        self.generator = generator
        self.name = name
        act = partial(sample_or_mode, policy, generator)
        self.brain = Brain(policy, act, dict, obs_norm, insides=actor_critic_insides(policy))

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
        action_masks: Any = None,
    ) -> tuple[np.ndarray, Any]:
        """Actions for one observation or a batch, and `state`; see `rlsuite.core.acting.act_on`."""
        space = self.observation_space
        return act_on(self.brain, space, self.spec, self.device, observation, deterministic, action_masks), state


class PolicySet:
    """Records of policies, each a row of the same tensors (parameters, statistics, measured numbers), in order.

    Args:
        fields: name -> (shape of a row, dtype).
        device: where they lie.
    """

    def __init__(
        self, fields: Mapping[str, tuple[tuple[int, ...], torch.dtype]], device: torch.device | str = "cpu"
    ) -> None:
        self.fields = dict(fields)
        self.device = torch.device(device)
        self.rows = {n: torch.zeros((0, *s), dtype=t, device=self.device) for n, (s, t) in self.fields.items()}

    def __len__(self) -> int:
        return len(next(iter(self.rows.values())))

    def __getitem__(self, name: str) -> Tensor:
        return self.rows[name]

    def row(self, index: int) -> dict[str, Tensor]:
        """The record at `index`."""
        return {name: tensor[index] for name, tensor in self.rows.items()}

    def add(self, rows: Mapping[str, Tensor]) -> None:
        """Append records, [n, ...] of each field.

        Raises:
            ValueError: a field missing, unknown, or of another shape.
        """
        self._check(rows)
        self.rows = {n: torch.cat([old, rows[n].to(old)]) for n, old in self.rows.items()}

    def keep(self, index: Sequence[int] | np.ndarray) -> None:
        """Keep the records at `index`, in that order, and forget the others."""
        chosen = torch.as_tensor(np.asarray(index, np.int64), device=self.device)
        self.rows = {name: tensor[chosen] for name, tensor in self.rows.items()}

    def state_dict(self) -> dict[str, Tensor]:
        """All records, [C, ...] of each field."""
        return dict(self.rows)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` gave.

        Raises:
            ValueError: a field missing, unknown, or of another shape or dtype.
        """
        self._check(state)
        for name, (_, dtype) in self.fields.items():
            if state[name].dtype != dtype:
                raise ValueError(f"the set's {name!r} is {state[name].dtype}, not {dtype}")
        self.rows = {name: state[name].clone().to(self.device) for name in self.fields}

    def _check(self, rows: Mapping[str, Tensor]) -> None:
        if set(rows) != set(self.fields):
            raise ValueError(f"a set of policies has the fields {sorted(self.fields)}, not {sorted(rows)}")
        count = {len(tensor) if tensor.ndim else -1 for tensor in rows.values()}
        for name, (shape, _) in self.fields.items():
            if tuple(rows[name].shape[1:]) != tuple(shape) or len(count) != 1:
                raise ValueError(f"the set's {name!r} has shape {tuple(rows[name].shape)}, not [C, {shape}] of one C")
