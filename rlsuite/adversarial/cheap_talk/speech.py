"""Who says what in adversarial cheap talk: an adversary's parameter vectors as the networks that talk.

The vector of a candidate is phi, the parameters of the message function f(s) that is heard while a victim learns, and
behind it, for control, psi: those of g(s, goal), which is heard afterwards. f has its own hidden layers of ReLU units,
g is built like the victims' network unless told otherwise.

Shapes: P candidates, D parameters each, O observation entries, M message entries, G goal features.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlsuite.adversarial.cheap_talk.victim_ppo import VictimConfig
from rlsuite_envs.cheap_talk.goals import sample_goal
from rlsuite_envs.cheap_talk.messages import (
    MessageFunction,
    MessageParams,
    random_weights,
    unflatten_weights,
    weight_shapes,
)
from rlsuite_envs.cheap_talk.pendulum import TanhPendulum
from rlsuite_envs.cheap_talk.wrapper import CheapTalk, CheapTalkParams
from rlsuite_envs.kernel import Kernel

__all__ = ["Speech", "goal_features", "say"]


def goal_features(kernel: Kernel[Any, Any, Any], goal: Tensor) -> Tensor:
    """Inputs [B, G] of g for goals [B] (or [B, 2] for the reacher); a pendulum's angle as its cosine and sine."""
    if isinstance(kernel, TanhPendulum):
        return torch.stack((goal.cos(), goal.sin()), dim=-1)
    return goal.reshape(len(goal), -1)


def say(speak: MessageFunction, observation: Any, goal: Any = None, kernel: Any = None) -> np.ndarray:
    """The first network's message [M] about one observation [O], or [B, M] about [B, O].

    Args:
        speak: f, or g.
        observation: the environment's, without a message.
        goal: for g: a goal per observation (position of the cart in m, angle of the rod in rad, point of the hand).
        kernel: for g: the environment.

    Raises:
        ValueError: an observation or a goal of the wrong size, or not finite.
    """
    device = torch.device("cpu") if kernel is None else kernel.device
    device = speak.weights[0].device if speak.weights else device
    rows = torch.as_tensor(np.asarray(observation), dtype=torch.float32, device=device)
    single = rows.ndim == 1
    rows = rows[None] if single else rows
    if goal is not None:
        goals = torch.as_tensor(np.asarray(goal), dtype=torch.float32, device=device)
        goals = goals[None] if single else goals
        if rows.ndim != 2 or goals.ndim < 1 or len(goals) != len(rows):
            raise ValueError(
                f"observations {tuple(rows.shape)} and goals {tuple(goals.shape)} must have one row for one"
            )
        rows = torch.cat((rows, goal_features(kernel, goals)), -1)
    if rows.ndim != 2 or rows.shape[1] != speak.observation_dim or not bool(torch.isfinite(rows).all()):
        beside = "" if goal is None else ", the goal's entries among them"
        raise ValueError(
            f"the rows to talk about have shape {tuple(rows.shape)} or are not finite; they must be "
            f"[B, {speak.observation_dim}]{beside}, without a message"
        )
    with torch.no_grad():
        message = speak(rows, torch.zeros(len(rows), dtype=torch.int64, device=device)).cpu().numpy()
    return np.asarray(message[0] if single else message)


class Speech:
    """The environment of a cheap-talk adversary, and its parameter vectors as networks.

    Args:
        env: a preset of `CheapTalk`, or the id of a kernel.
        env_kwargs: its constants.
        message_dim: M.
        scale: messages lie in [-scale, scale].
        hidden: units of f's hidden layers.
        steer: whether vectors hold a g.
        victim: whose network g is built like.
        device: of the environment and the networks.
        steering_hidden: units of g's hidden layers; None for the victim's.

    Attributes:
        params: of the environment.
        talk: the environment with a random message function.
        num_params: D.

    Raises:
        ValueError: an environment that is unknown, that does not fit, or that has no goals to steer to.
    """

    def __init__(
        self,
        env: str,
        env_kwargs: dict[str, Any],
        *,
        message_dim: int,
        scale: float,
        hidden: tuple[int, ...],
        steer: bool,
        victim: VictimConfig,
        device: torch.device,
        steering_hidden: tuple[int, ...] | None = None,
    ) -> None:
        said: dict[str, Any] = {"message_dim": message_dim, "scale": scale, "hidden": hidden}
        if env in CheapTalk.presets:
            self.params = dataclasses.replace(CheapTalk.presets[env], env_kwargs=env_kwargs, **said)
        else:
            self.params = CheapTalkParams(env=env, env_kwargs=env_kwargs, **said)
        try:
            self.talk = CheapTalk(self.params, device=device)
        except ValueError as error:
            raise ValueError(f"{error} Presets: {', '.join(CheapTalk.presets)}.") from error
        self.activation = victim.activation
        self.steering_hidden = (victim.hidden, victim.hidden) if steering_hidden is None else steering_hidden
        self.inputs = self.talk.observation_dim
        self.size = self.num_params = self._size(self.inputs, hidden)
        if steer:
            self.steering_inputs = self.inputs + self._goal_dim(env)
            self.num_params += self._size(self.steering_inputs, self.steering_hidden)

    def _size(self, inputs: int, hidden: tuple[int, ...]) -> int:
        return sum(math.prod(shape) for shape in weight_shapes(inputs, self.params.message_dim, hidden))

    def _goal_dim(self, env: str) -> int:
        rng = torch.Generator(self.talk.device)
        try:
            goal = sample_goal(self.talk.inner.initial_state(1, rng), rng)
        except TypeError as error:
            raise ValueError(f"env={env!r} has no goals to control to: {error}") from error
        return goal_features(self.talk.inner, goal).shape[1]

    def talking(self, candidates: Tensor) -> CheapTalk:
        """The environment with the message functions f of candidates [P, D]."""
        weights = unflatten_weights(
            candidates[:, : self.size].contiguous(), self.inputs, self.params.message_dim, self.params.hidden
        )
        return CheapTalk(self.params, inner=self.talk.inner, network=weights)

    def steering(self, candidates: Tensor) -> MessageFunction:
        """The functions g of candidates [P, D], of observation and goal features."""
        psi, dim = candidates[:, self.size :].contiguous(), self.params.message_dim
        weights = unflatten_weights(psi, self.steering_inputs, dim, self.steering_hidden)
        params = MessageParams(message_dim=dim, scale=self.params.scale, activation=self.activation, network=weights)
        return MessageFunction(params, self.steering_inputs, self.talk.device)

    def unlearnt(self, messages: str, networks: int = 1, message_seed: int = 0) -> CheapTalk:
        """The environment with messages that are not evolved: "random" networks, a constant "zero", or "none" at all.

        Raises:
            ValueError: other messages.
        """
        if messages == "random":
            drawn = random_weights(
                self.inputs, self.params.message_dim, networks=networks, hidden=self.params.hidden, seed=message_seed
            )
            network = tuple(weight.to(self.talk.device) for weight in drawn)
            return CheapTalk(self.params, inner=self.talk.inner, network=network)
        if messages not in ("zero", "none"):
            raise ValueError(f"messages={messages!r} must be 'evolved', 'random', 'zero' or 'none'")
        kind = "constant" if messages == "zero" else "none"
        return CheapTalk(dataclasses.replace(self.params, message=kind), inner=self.talk.inner)
