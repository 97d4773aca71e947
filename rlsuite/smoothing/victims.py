"""Differentiable insides of trained models, for attacks: scores of discrete actions, means of continuous ones.

Whatever `rlsuite.adversarial.attacks.victim.as_victim` knows: rlsuite's actor-critics, SAC and QARL;
Stable-Baselines3's PPO, A2C, SAC, TD3, DDPG and DQN, behind their `VecNormalize` (`rlsuite.sb3.as_policy`).

Observations are raw: normalisers are part of the function, so that gradients are in observation units. Actions are
before clipping to the box. Shapes: M observations, A actions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gymnasium import spaces
from torch import Tensor

from rlsuite.adversarial.attacks.victim import as_victim

__all__ = ["actions_of", "scores_of"]

Function = Callable[[Tensor], Tensor]


def scores_of(model: Any) -> Function:
    """Raw observations [M, ...] to one score per discrete action, [M, A]; the policy takes the highest.

    Raises:
        TypeError: a model without scores of Discrete actions.
    """
    return _inside(model, spaces.Discrete, "scores")


def actions_of(model: Any) -> Function:
    """Raw observations [M, ...] to the mean continuous action, [M, A].

    Raises:
        TypeError: a model without a differentiable mean of Box actions.
    """
    return _inside(model, spaces.Box, "mean action")


def _inside(model: Any, kind: type[Any], what: str) -> Function:
    name = type(getattr(model, "model", model)).__name__
    try:
        victim = as_victim(model, unit="raw")
    except ValueError as error:
        raise TypeError(f"{name} has no {what}: {error}") from error
    heads = victim.heads
    if heads is None or not isinstance(victim.action_space, kind):
        raise TypeError(f"{name} with actions {victim.action_space} has no {what}; give the attack your own function.")
    return lambda obs: heads(obs.flatten(1)).action.to(obs.device)
