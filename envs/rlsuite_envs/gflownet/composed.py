"""Kernels of objects that are built move by move, and can be taken apart again: GFlowNet environments.

An object is a row of D integers, its parts. From the source, moves 0..A-1 change it and the last action, A, stops: the
object is finished, and pays. Objects and moves are the nodes and edges of an acyclic graph, which a GFlowNet walks both
ways. A family writes these, each for N objects at once, and gets the Gymnasium environment, masks and checks:

    source                        parts [D] of the empty object
    move_mask(parts) -> [N, A]    moves that are allowed
    stop_mask(parts) -> [N]       whether it may be finished
    move(parts, action) -> [N, D] the object with the move made
    backward_mask(parts) -> [N, A]    moves that may have been the last one
    unmove(parts, action) -> [N, D]   the object without it
    length(parts) -> [N]          moves from the source; the same on every way
    log_reward(parts) -> [N]      log R of finished objects; or, where what they are worth is a vector,
    objectives(parts) -> [N, K]   that, with `reward_dim` K

and, where all objects can be listed, `enumerate_states` and `state_index`. Two moves that make the same object of one
parent are two actions and one edge: `merged` then names one of them, and only that one is in `backward_mask`; a
GFlowNet sums the probabilities of both. Functions return new tensors.

Letters: N objects, D parts, A moves (so A + 1 actions), S objects in all, K objectives.

Source: Bengio et al. 2021 (arXiv 2106.04399); Bengio et al. 2023, GFlowNet Foundations (arXiv 2111.09266).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite_envs.kernel import Kernel

__all__ = ["Composed", "ComposedState"]


@dataclass(frozen=True)
class ComposedState:
    """Objects in the making."""

    parts: Tensor
    """[B, D] int64."""
    finished: Tensor
    """Whether it was stopped, [B] bool."""


class Composed(Kernel[ComposedState, ComposedState, None]):
    """Base of the family; see the module.

    An action that the mask forbids changes nothing; episodes are truncated after `max_length` + 2 steps, which allowed
    actions never reach.
    """

    # What a family fills in -----------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def num_moves(self) -> int:
        """A; action A stops."""

    @property
    @abstractmethod
    def max_length(self) -> int:
        """Most moves from the source to a finished object."""

    @property
    @abstractmethod
    def source(self) -> Tensor:
        """Parts [D] int64 of the empty object."""

    @abstractmethod
    def move_mask(self, parts: Tensor) -> Tensor:
        """Moves that are allowed, [N, A] bool."""

    @abstractmethod
    def stop_mask(self, parts: Tensor) -> Tensor:
        """Whether objects may be finished, [N] bool."""

    @abstractmethod
    def move(self, parts: Tensor, action: Tensor) -> Tensor:
        """The objects [N, D] with allowed moves [N] made."""

    @abstractmethod
    def backward_mask(self, parts: Tensor) -> Tensor:
        """Moves that may have been the last, [N, A] bool, each parent once; all False at the source alone."""

    @abstractmethod
    def unmove(self, parts: Tensor, action: Tensor) -> Tensor:
        """The objects [N, D] without moves [N] that may have been the last."""

    @abstractmethod
    def length(self, parts: Tensor) -> Tensor:
        """Moves from the source, [N] int64."""

    def log_reward(self, parts: Tensor) -> Tensor:
        """The logarithm of R, [N], of objects that may be finished, in the kernel's dtype.

        Raises:
            NotImplementedError: objects are worth a vector of objectives.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no single reward here; make one of `objectives`, or learn from their order."
        )

    def objectives(self, parts: Tensor) -> Tensor:
        """What objects that may be finished are worth, [N, K], to be maximised; with one reward that, [N, 1]."""
        return self.log_reward(parts).exp()[:, None]

    def merged(self, parts: Tensor) -> Tensor | None:
        """For each move the one that stands for it, [N, A] int64; None (the default) where no two make the same object.

        The one that stands for several is the smallest of them, and is allowed where they are.
        """
        return None

    def enumerate_states(self) -> Tensor:
        """All objects [S, D] that can be reached, finished or not, in the order of their length.

        Raises:
            NotImplementedError: they cannot be listed.
        """
        raise NotImplementedError(f"{type(self).__name__} does not list its objects; sample it instead.")

    def state_index(self, parts: Tensor) -> Tensor:
        """Place [N] int64 of objects among `enumerate_states`.

        Raises:
            NotImplementedError: they cannot be listed.
        """
        raise NotImplementedError(f"{type(self).__name__} does not list its objects; sample it instead.")

    # What follows from it -------------------------------------------------------------------------------------------

    @property
    def observation_space(self) -> spaces.Space[Any]:
        """The parts as they are; a family with a better picture of an object overrides it and `observe`."""
        low, high = self.part_bounds
        return spaces.Box(low, high, (len(self.source),), dtype=np.int64)

    @property
    @abstractmethod
    def part_bounds(self) -> tuple[int, int]:
        """Least and greatest number that a part can be."""

    @property
    def action_space(self) -> spaces.Discrete:
        """The moves, and the stop."""
        return spaces.Discrete(self.num_moves + 1)

    @property
    def max_episode_steps(self) -> int:
        """One more than the longest way and its stop."""
        return self.max_length + 2

    def forward_mask(self, parts: Tensor) -> Tensor:
        """Allowed actions [N, A + 1] bool, the stop last."""
        return torch.cat((self.move_mask(parts), self.stop_mask(parts)[:, None]), 1)

    def true_log_partition(self) -> Tensor:
        """The logarithm of Z, the sum of R over all objects that may be finished, float64 scalar."""
        return self._terminal_log_rewards().logsumexp(0)

    def true_distribution(self) -> Tensor:
        """R / Z [S] float64 in the order of `enumerate_states`; 0 for objects that cannot be finished."""
        return self._terminal_log_rewards().softmax(0)

    def _terminal_log_rewards(self) -> Tensor:
        objects = self.enumerate_states()
        rewards = self.log_reward(objects).double()
        return rewards.masked_fill(~self.stop_mask(objects), -torch.inf)

    def initial_state(self, num: int, rng: torch.Generator) -> ComposedState:
        """All at the source."""
        parts = self.source.to(self.device).expand(num, -1).clone()
        return ComposedState(parts, torch.zeros(num, dtype=torch.bool, device=self.device))

    def post_decision(self, state: ComposedState, action: Tensor) -> tuple[ComposedState, Tensor]:
        """The object with the move made, and R where it was finished: nothing here is random."""
        allowed = self.forward_mask(state.parts).gather(1, action[:, None]).squeeze(1) & ~state.finished
        stops = allowed & (action == self.num_moves)
        moves = allowed & (action < self.num_moves)
        # forbidden moves are made on paper only, as the first one that is allowed
        first = self.move_mask(state.parts).to(torch.int64).argmax(1)
        moved = self.move(state.parts, torch.where(moves, action, first))
        parts = torch.where(moves[:, None], moved, state.parts)
        return ComposedState(parts, state.finished | stops), self._paid(state.parts, stops)

    def _paid(self, parts: Tensor, stops: Tensor) -> Tensor:
        worth = torch.where(stops[:, None], self.objectives(parts), 0.0).to(self.dtype)
        return worth if self.reward_dim else worth[:, 0]

    def info(self, state: ComposedState) -> dict[str, Tensor]:
        """With several objectives, what the object as it is would be worth: "objectives" [B, K]."""
        return {"objectives": self.objectives(state.parts)} if self.reward_dim else {}

    def transition(self, post_state: ComposedState, noise: None) -> tuple[ComposedState, None, Tensor]:
        """The state itself, and whether it is finished."""
        return post_state, None, post_state.finished.clone()  # a caller may change what it was given

    def observe(self, state: ComposedState) -> Tensor:
        """The parts."""
        return state.parts.clone()

    def observe_post(self, post_state: ComposedState) -> Tensor:
        """Observation of the post-decision state, which is the next state."""
        return self.observe(post_state)

    def action_mask(self, state: ComposedState) -> Tensor:
        """See `forward_mask`."""
        return self.forward_mask(state.parts)
