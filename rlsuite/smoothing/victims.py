"""Differentiable insides of trained models, for attacks: scores of discrete actions, means of continuous ones.

| model | `scores_of` | `actions_of` |
|---|---|---|
| rlsuite PPO, BPO, ... (actor-critic) | logits | mean |
| rlsuite SAC | | mean, squashed to the box |
| Stable-Baselines3 DQN | Q values | |
| Stable-Baselines3 PPO, A2C | logits | mean |
| Stable-Baselines3 SAC, TD3, DDPG | | deterministic action |
| `rlsuite.sb3.as_policy(model)` | as the model, behind its `VecNormalize` | |

Observations are raw: normalisers are part of the function, so that gradients are in observation units. Actions are
before clipping to the box. Shapes: M observations, A actions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3 import DDPG, DQN, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecNormalize
from torch import Tensor

from rlsuite.core.agent import Agent
from rlsuite.core.networks import ActorCritic
from rlsuite.sb3 import SB3Policy, as_policy

__all__ = ["actions_of", "scores_of"]

Function = Callable[[Tensor], Tensor]


def scores_of(model: Any) -> Function:
    """Raw observations [M, ...] to one score per discrete action, [M, A]; the policy takes the highest.

    Raises:
        TypeError: a model without scores of Discrete actions.
    """
    if isinstance(model, BaseAlgorithm):
        model = as_policy(model)
    if isinstance(model.action_space, spaces.Discrete):
        if isinstance(model, Agent) and isinstance(model.policy, ActorCritic):
            return _rows(model, model.policy.actor)
        if isinstance(model, SB3Policy):
            inner: Any = model.model
            if isinstance(inner, DQN):
                return _normalised(model, inner.q_net)
            if isinstance(getattr(inner, "policy", None), ActorCriticPolicy):
                return _normalised(model, lambda obs: inner.policy.get_distribution(obs).distribution.logits)
    raise TypeError(
        f"{_name(model)} with actions {model.action_space} has no scores; give the attack your own function."
    )


def actions_of(model: Any) -> Function:
    """Raw observations [M, ...] to the mean continuous action, [M, A].

    Raises:
        TypeError: a model without a differentiable mean of Box actions.
    """
    if isinstance(model, BaseAlgorithm):
        model = as_policy(model)
    if isinstance(model.action_space, spaces.Box):
        if isinstance(model, Agent) and isinstance(model.policy, ActorCritic):
            return _rows(model, model.policy.actor)
        if isinstance(model, Agent) and hasattr(model, "to_box"):
            agent: Any = model
            return _rows(model, lambda rows: agent.to_box(agent.actor(rows).mode()))
        if isinstance(model, SB3Policy):
            inner: Any = model.model
            if isinstance(inner, SAC):  # its actor samples unless told otherwise
                return _normalised(model, lambda obs: _unscaled(inner, inner.actor(obs, deterministic=True)))
            if isinstance(inner, TD3 | DDPG):
                return _normalised(model, lambda obs: _unscaled(inner, inner.actor(obs)))
            if isinstance(getattr(inner, "policy", None), ActorCriticPolicy):
                return _normalised(model, lambda obs: inner.policy.get_distribution(obs).distribution.mean)
    raise TypeError(
        f"{_name(model)} with actions {model.action_space} has no mean action; give the attack your own function."
    )


def _name(model: Any) -> str:
    return type(getattr(model, "model", model)).__name__


def _rows(agent: Agent, head: Function) -> Function:
    """Behind the agent's frozen normaliser; observations flattened as it flattens them."""
    norm, device = agent.obs_norm, agent.device

    def function(obs: Tensor) -> Tensor:
        rows = obs.flatten(1).to(device)
        return head(rows.float() if norm is None else norm.normalize(rows)).to(obs.device)

    return function


def _normalised(policy: SB3Policy, head: Function) -> Function:
    """Behind the frozen `VecNormalize` statistics, if there are any."""
    model: Any = policy.model
    norm, device = policy.vec_normalize, model.device
    model.policy.set_training_mode(False)  # as its predict does

    def function(obs: Tensor) -> Tensor:
        return head(_normalise(norm, obs.to(device))).to(obs.device)

    return function


def _normalise(norm: VecNormalize | None, obs: Tensor) -> Tensor:
    if norm is None or not norm.norm_obs:
        return obs.float()
    statistics: Any = norm.obs_rms
    mean, var = (torch.as_tensor(x, device=obs.device) for x in (statistics.mean, statistics.var))
    scaled = (obs - mean) / (var + norm.epsilon).sqrt()
    return scaled.clamp(-norm.clip_obs, norm.clip_obs).float()


def _unscaled(model: Any, action: Tensor) -> Tensor:
    """From [-1, 1], in which these actors act, to the box."""
    low, high = (
        torch.as_tensor(x, device=action.device) for x in (model.action_space.low, model.action_space.high)
    )
    return low + 0.5 * (action + 1.0) * (high - low)
