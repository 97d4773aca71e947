"""The smoothed policy: a policy behind noise, and perhaps behind an adversary.

    a_t = pi(o_t + e_t + delta_t),   delta_t ~ N(0, sigma^2 I),   one draw per step and environment

There is no averaging over noise inside a step: the policy acts on one noisy observation, so that a certificate costs
plain episodes (`rlsuite.smoothing.certificates`). e_t is an adversary's, if there is one; it is chosen before delta_t
is drawn, and its total norm over an episode is at most its budget B: what is left of it is kept per environment, and
an attack that asks for more is refused.

With stacks of k frames noise and attack go on the newest frame only; the same noisy frame stays in the following k - 1
stacks, and a first frame is repeated k times.

Source: arXiv 2106.11420. Shapes: B environments, *F one frame, k frames in a stack.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlsuite.core.evaluate import Predictor
from rlsuite.core.spaces import is_picture
from rlsuite.core.vec_env import to_numpy
from rlsuite.smoothing.noise import GaussianNoise, as_frames, noise_seed

__all__ = ["Attack", "FrameContext", "SmoothedPolicy", "SmoothedState"]

TOLERANCE = 1e-6
"""Relative excess over the remaining budget that counts as rounding."""


@dataclass(frozen=True)
class FrameContext:
    """Context of the newest frame of B environments, from which the policy's observation is made."""

    older: Tensor
    """The k - 1 frames before, as executed (attacked and noisy), oldest first, [B, k-1, *F]."""
    first: Tensor
    """Whether the episode has just begun, [B] bool: then the newest frame fills the whole stack."""
    shape: tuple[int, ...] | None
    """Shape of the policy's observation; None for [k, *F], or [*F] where k is 1."""

    def observe(self, newest: Tensor, rows: Tensor) -> Tensor:
        """Observations [M, ...] of newest frames [M, *F] of environments `rows` [M]; differentiable."""
        if self.older.shape[1]:
            before = self.older[rows]
            first = self.first[rows].reshape(-1, *[1] * (before.ndim - 1))
            before = torch.where(first, newest[:, None], before)
            newest = torch.cat((before, newest[:, None]), 1)
        return newest if self.shape is None else newest.reshape(len(newest), *self.shape)


class Attack(Protocol):
    """An adversary: chooses what to add to the newest frames before their noise is drawn."""

    @property
    def budget(self) -> float:
        """B, total L2 norm over an episode, at least 0, in observation units."""

    def __call__(self, frame: Tensor, context: FrameContext, remaining: Tensor) -> Tensor:
        """Perturbations [B, *F] of norm at most remaining [B] (float64), given clean newest frames [B, *F]."""


@dataclass(frozen=True)
class SmoothedState:
    """State of a smoothed policy between steps, per environment."""

    stack: Tensor
    """The newest k frames as executed, oldest first, [B, k, *F]."""
    remaining: Tensor
    """Attack budget left in the episode, [B] float64, observation units."""
    inner: Any
    """The base policy's own state."""

    def stop(self, rows: np.ndarray) -> SmoothedState:
        """This state with the attack's budget used up in `rows` [B] bool."""
        return replace(self, remaining=self.remaining.masked_fill(torch.as_tensor(rows), 0.0))


class SmoothedPolicy:
    """A policy behind noise, with Stable-Baselines3's `predict`; base policies need nothing but `predict`.

    Args:
        policy: the base policy: rlsuite's agents, Stable-Baselines3's models, anything with their `predict`.
        sigma: standard deviation of the noise, at least 0, in observation units; 0 is the plain policy.
        frames: k, how many frames the base policy sees; the environment shows the newest one.
        stacked: the environment shows stacks itself, [B, k, *F] or [B, k F] with the newest last; only the newest
            frame of these is used.
        seed: of the noise; `generator` is its source.
        attack: adversary, or None.

    Raises:
        ValueError: a bad sigma or number of frames, or a policy of other than Box observations.
        TypeError: a policy without `predict`.
    """

    def __init__(
        self,
        policy: Predictor,
        sigma: float,
        *,
        frames: int = 1,
        stacked: bool = False,
        seed: int = 0,
        attack: Attack | None = None,
    ) -> None:
        if not callable(getattr(policy, "predict", None)):
            raise TypeError(f"a policy needs predict(); {type(policy).__name__} has none.")
        if isinstance(frames, bool) or not isinstance(frames, int) or frames < 1:
            raise ValueError(f"frames={frames!r} must be an integer of at least 1.")
        if attack is not None and not 0 <= attack.budget < math.inf:
            raise ValueError(f"the attack's budget is {attack.budget!r}; it must be finite and at least 0.")
        self.policy = policy
        self.frames = frames
        self.stacked = stacked
        self.attack = attack
        self.noise = GaussianNoise(sigma, noise_seed(seed))
        inner: torch.Generator | None = getattr(policy, "generator", None)
        self.generators = [
            self.noise.generator,
            *([] if inner is None else [inner]),
        ]  # where evaluate() finds them
        self.action_space = getattr(policy, "action_space", None)
        space = getattr(policy, "observation_space", None)
        if space is not None and not isinstance(space, spaces.Box):
            raise ValueError(f"the policy sees {space}; Gaussian noise needs Box observations.")
        if space is not None and space.dtype == np.uint8 and not is_picture(space):  # pictures are scaled by it, too
            raise ValueError(
                "the policy was trained on uint8 observations, but smoothing shows it numbers in [0, 1]; train it "
                "behind NoisyObservation or NoisyVectorObservation (sigma=0 for a plain one)."
            )
        self._shape: tuple[int, ...] | None = None if space is None else space.shape
        shape: tuple[int, ...] = self._shape or ()
        if space is not None and not stacked and math.prod(shape) % frames:
            raise ValueError(f"the policy sees {shape}, which is not {frames} equal frames.")
        split = frames > 1 and not stacked and len(shape) > 1 and shape[0] == frames
        self._shown_ndim = len(shape) - 1 if split else len(shape)  # axes of one environment's observation
        self._masked = "action_masks" in inspect.signature(policy.predict).parameters

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise, observation units."""
        return self.noise.sigma

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, SmoothedState]:
        """Actions for clean observations, seen through attack and noise, and the state to hand back at the next step.

        Args:
            observation: the newest frame, [B, *F], or [*F] for one environment (or stacks, if `stacked`).
            state: what the step before returned; None begins new episodes.
            episode_start: [B] bool, where an episode has just begun.
            deterministic: the base policy's mode instead of a sample.
            action_masks: allowed actions, for base policies that take them.

        Raises:
            ValueError: observations that do not fit, a lost state, or an attack that exceeds its budget.
        """
        frame, single = self._newest(observation)
        self._check_layout(tuple(frame.shape[1:]))
        first = self._first(frame, state, episode_start)
        if state is None:
            old = frame.new_zeros((len(frame), self.frames, *frame.shape[1:]))
            remaining = torch.zeros(len(frame), dtype=torch.float64)
        else:
            old, remaining = state.stack, state.remaining
        context = FrameContext(old[:, 1:], first, self._shape)
        if self.attack is not None:
            remaining = remaining.masked_fill(first, float(self.attack.budget))
            frame, remaining = self._attacked(frame, context, remaining)
        noisy = self.noise.add(frame)
        seen = context.observe(noisy, torch.arange(len(noisy))) if self.frames > 1 else noisy
        stack = seen.reshape(old.shape)
        if self._shape is not None:
            seen = seen.reshape(len(noisy), *self._shape)
        masks = {"action_masks": action_masks} if self._masked and action_masks is not None else {}
        action, inner = self.policy.predict(
            seen.numpy(),
            state=None if state is None else state.inner,
            episode_start=first.numpy(),
            deterministic=deterministic,
            **masks,
        )
        return (action[0] if single else action), SmoothedState(stack, remaining, inner)

    def _newest(self, observation: Any) -> tuple[Tensor, bool]:
        """Clean newest frames [B, *F] on the CPU, and whether one environment alone was shown."""
        obs = as_frames(to_numpy(observation))
        single = False
        if self._shape is not None:
            single = obs.numel() == self._size() and obs.ndim == self._shown_ndim
            if not single and (obs.ndim < 1 or obs[:1].numel() != self._size()):
                raise ValueError(
                    f"observation of shape {tuple(obs.shape)} does not fit a policy that sees {self._shape}, "
                    f"{self.frames} frames of it; show {'stacks' if self.stacked else 'the newest frame'}, one or a "
                    "batch."
                )
        batch = obs[None] if single else obs
        if not self.stacked:
            return batch, single
        if batch.ndim == 2 and batch.shape[1] % self.frames == 0:
            return batch.reshape(len(batch), self.frames, -1)[:, -1], single
        if batch.shape[1] != self.frames:
            raise ValueError(
                f"stacks have shape {tuple(batch.shape[1:])}; the first axis must be {self.frames}, or a flat stack "
                f"of {self.frames} equal parts."
            )
        return batch[:, -1], single

    def _check_layout(self, frame: tuple[int, ...]) -> None:
        """Raise unless the policy's stacks hold frame after frame: any other layout would be scrambled."""
        shape, k = self._shape, self.frames
        if k == 1 or shape is None or len(shape) == 1 or shape == (k, *frame):
            return
        if (frame and shape == (k * frame[0], *frame[1:])) or (len(frame) == 1 and shape[0] % k == 0):
            return
        raise ValueError(
            f"the policy sees {shape}: stacks are laid out frame after frame, {(k, *frame)}; move its stack axis to "
            "the front."
        )

    def _size(self) -> int:
        """Numbers in one environment's observation."""
        assert self._shape is not None
        return math.prod(self._shape) // (1 if self.stacked else self.frames)

    def _first(self, frame: Tensor, state: Any, episode_start: Any) -> Tensor:
        """Which episodes begin now, [B] bool."""
        count = len(frame)
        if state is None:
            if (self.frames > 1 or self.attack is not None) and not np.all(
                True if episode_start is None else episode_start
            ):
                raise ValueError(
                    "state is None in the middle of episodes: hand predict the state that it returned before, which "
                    "holds the noisy frames and what is left of the attack's budget."
                )
            return torch.ones(count, dtype=torch.bool)
        if len(state.stack) != count:
            raise ValueError(f"the state is of {len(state.stack)} environments, the observation of {count}.")
        if episode_start is None:
            return torch.zeros(count, dtype=torch.bool)
        return torch.as_tensor(np.asarray(episode_start, bool)).reshape(count)

    def _attacked(self, frame: Tensor, context: FrameContext, remaining: Tensor) -> tuple[Tensor, Tensor]:
        """Frames with the adversary's perturbation added, and its budget left."""
        assert self.attack is not None
        part = self.attack(frame, context, remaining).detach()
        if part.shape != frame.shape or not bool(torch.isfinite(part).all()):
            raise ValueError(
                f"the attack gave {tuple(part.shape)} for frames {tuple(frame.shape)}, or numbers that are not "
                "finite; it must give one finite perturbation per frame."
            )
        spent = part.double().flatten(1).square().sum(1)
        left = remaining.square() - spent
        if bool((spent > remaining.square() * (1 + TOLERANCE)).any()):
            row = int((spent - remaining.square()).argmax())
            raise ValueError(
                f"the attack spends {spent[row].sqrt():.6g} in environment {row}, which has {remaining[row]:.6g} "
                "left; scale its perturbations to norm `remaining`."
            )
        return frame + part.to(frame.dtype), left.clamp_min_(0.0).sqrt_()
