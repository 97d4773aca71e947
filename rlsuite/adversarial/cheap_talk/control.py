"""Test-time cheap talk: steer a trained and frozen victim to goals of one's own by what it is told.

While it learns a victim hears f(s); afterwards it hears g(s, goal), a second network, and acts greedily on [s, g(s,
goal)] with its statistics at rest. Neither network touches s, rewards or dynamics. How well that works is

    mean over episodes of sum_t goal reward(s_t, goal), up to the first end of the episode.

The goal reward of a step is that of the state after it for CartPole, before it for pendulum and reacher, as in the
experiments. What differs: the release scores CartPole's last step by the state the environment restarts in, this by
the state it ends in; its pendulum takes the cosine for both coordinates of a goal (see `goal_reward`).

Shapes: P networks g, R seeds, V = P R victims, B episodes each, G numbers that describe a goal.

Source: Adversarial Cheap Talk (arXiv 2211.11030), test-time experiments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlsuite.adversarial.cheap_talk.speech import goal_features, say
from rlsuite.adversarial.cheap_talk.victims import Victims
from rlsuite_envs.cheap_talk.goals import goal_reward, sample_goal
from rlsuite_envs.cheap_talk.messages import MessageFunction
from rlsuite_envs.classic.cartpole import CartPole
from rlsuite_envs.kernel import Kernel, tree_map

__all__ = ["Controller", "control_returns"]


@torch.no_grad()
def control_returns(
    victims: Victims, speak: MessageFunction, seeds: Sequence[int], episodes: int, *, mislead: bool = False
) -> Tensor:
    """Goal returns [P, R] of P controllers, each with the R victims that were trained under its candidate.

    Args:
        victims: trained; network p of its environment belongs to network p of `speak`.
        speak: the P networks g, functions of observation and goal features.
        seeds: R, of start states and goals, which are shared by all networks.
        episodes: B, per victim.
        mislead: tell each episode's victim the next one's goal, while its own is scored: what is earned without
            steering, since a victim that only keeps its pole up near the middle earns something, too.

    Raises:
        ValueError: another number of networks or seeds than the victims', or an environment without a time limit.
        TypeError: an environment without goals.
    """
    kernel, limit = victims.talk.inner, victims.talk.max_episode_steps
    if speak.networks != victims.networks or len(seeds) != victims.num_seeds or limit is None:
        raise ValueError(
            f"{speak.networks} controllers and {len(seeds)} seeds for victims of {victims.networks} networks and "
            f"{victims.num_seeds} seeds with a time limit of {limit}; numbers must agree and the limit be set"
        )
    rngs = [torch.Generator(victims.device).manual_seed(int(seed)) for seed in seeds]
    starts = [kernel.initial_state(episodes, rng) for rng in rngs]
    goals = [sample_goal(start, rng) for start, rng in zip(starts, rngs, strict=True)]

    def share(*parts: Tensor) -> Tensor:
        return torch.cat(parts).repeat(victims.networks, *(1,) * (parts[0].ndim - 1))

    state, goal = tree_map(share, *starts), share(*goals)
    told_goal = share(*(one.roll(1, 0) for one in goals)) if mislead else goal
    features, channel = goal_features(kernel, told_goal), speak.channels(len(goal), victims.device)
    total, alive = torch.zeros(len(goal), device=victims.device), torch.ones_like(channel, dtype=torch.bool)
    after = isinstance(kernel, CartPole)
    for _ in range(limit):
        seen = kernel.observe(state)
        assert isinstance(seen, Tensor)  # CheapTalk takes Box observations alone
        told = torch.cat((seen, speak(torch.cat((seen, features), -1), channel)), -1)
        action = victims.act(told.view(victims.num, episodes, -1)).flatten(0, 1)
        following, _, terminated = kernel.advance(state, action)
        total += alive * goal_reward(following if after else state, goal)
        alive &= ~terminated
        state = following
        if victims.device.type == "cpu" and not bool(alive.any()):
            break
    return total.view(victims.networks, victims.num_seeds, episodes).mean(-1)


class Controller:
    """The network g alone: messages that steer a trained victim towards a goal.

    Args:
        kernel: the victim's environment.
        speak: one network, a function of observation and goal features.
    """

    def __init__(self, kernel: Kernel[Any, Any, Any], speak: MessageFunction) -> None:
        self.kernel = kernel
        self.speak = speak

    def predict(self, observation: Any, goal: Any) -> np.ndarray:
        """The message [M] for one observation [O] and goal, or [B, M] for batches of both.

        Args:
            observation: the environment's, without a message.
            goal: position of the cart, m; angle of the rod, rad; point of the hand [2].

        Raises:
            ValueError: an observation or a goal of the wrong size, or not finite.
        """
        return say(self.speak, observation, goal, self.kernel)
