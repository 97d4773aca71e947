"""A trained policy as an attack sees it: batched, differentiable where it has networks, never changed.

`as_victim` takes our agents (PPO, BPO, SAC and others with an actor-critic), Stable-Baselines3's (PPO, A2C, SAC, TD3,
DDPG, DQN; with their `VecNormalize`), and anything else that has `predict` (black-box attacks only). Every function
of a victim takes raw observations, applies the policy's own normaliser, frozen, inside, and answers on their device.

**Units.** A perturbation is measured in `unit` [O], the standard deviation of each observation entry: the statistics of
the policy's normaliser, as the SA-MDP papers have it, or those of a clean rollout (`measured_unit`) where a policy has
none, or 1 (`unit="raw"`). Reports must say which (`unit_name`). Where a normaliser clips (at +-10), the perturbation
is added before the clip, so that the same attacked observation can be given to any `predict`; the papers' releases
add it after. The budget is the same, since clipping moves two points no further apart.

Shapes: N samples, O observation entries, A action entries or choices.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any, Protocol, cast

import gymnasium as gym
import numpy as np
import stable_baselines3 as sb3
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecNormalize
from torch import Tensor

from rlsuite.core.brain import Brain, PolicyOutput
from rlsuite.core.evaluate import Predictor, mask_argument
from rlsuite.core.rng import ATTACK, env_seed
from rlsuite.core.two_player import make_one_player
from rlsuite.core.vec_env import env_action, to_numpy
from rlsuite.sb3 import SB3Policy, as_policy

__all__ = ["Victim", "as_victim", "measured_unit", "victim_of", "watch"]


@dataclass
class Victim:
    """A policy under attack; made by `as_victim`."""

    name: str
    """Name of the victim's algorithm, for reports."""
    model: Predictor
    """Policy with `predict` on raw observations."""
    observation_space: spaces.Box
    action_space: gym.Space[Any]
    unit: Tensor
    """Observation units per unit of budget, [O] float64, > 0."""
    unit_name: str
    """Source of `unit`: "normalised" (the policy's normaliser), "measured" (a clean rollout) or "raw"."""
    heads: Callable[[Tensor], PolicyOutput] | None = None
    """Policy output at raw observations [N, O]; None for a black box."""
    value: Callable[[Tensor], Tensor] | None = None
    """State value [N] at raw observations [N, O]; None without a value network."""
    q_value: Callable[[Tensor, Tensor], Tensor] | None = None
    """Action value [N] at raw observations [N, O] and actions [N, A] in the environment's units."""

    @property
    def discrete(self) -> bool:
        """Whether the victim chooses among A discrete actions."""
        return isinstance(self.action_space, spaces.Discrete)

    @property
    def obs_size(self) -> int:
        """O, numbers in an observation."""
        return len(self.unit)

    def need(self, part: str, attack: str) -> Any:
        """The function called `part`, for an attack that cannot do without.

        Raises:
            ValueError: the victim has none.
        """
        found = getattr(self, part)
        if found is None:
            raise ValueError(
                f"attack {attack!r} needs the victim's {part}, which {self.name} has not; take another attack "
                "(random and finite-difference attacks need nothing but predict)"
            )
        return found


def as_victim(
    model: Predictor,
    *,
    unit: str | np.ndarray | Tensor = "auto",
    vec_normalize: VecNormalize | None = None,
) -> Victim:
    """A trained model as a victim; its weights and normaliser are read, never written.

    Args:
        model: an rlsuite agent, a Stable-Baselines3 model, or anything with `predict` and the two spaces.
        unit: "auto" (the normaliser's standard deviations, else raw), "raw", or the units [O] themselves, such as
            `measured_unit` gives.
        vec_normalize: of a Stable-Baselines3 model that does not carry its own.

    Raises:
        ValueError: observations or actions that cannot be attacked; TypeError: no `predict`, or no spaces.
    """
    name = type(model).__name__
    if not callable(getattr(model, "predict", None)):
        raise TypeError(f"a victim needs predict(); {name} has none")
    space, actions = getattr(model, "observation_space", None), getattr(model, "action_space", None)
    if space is None or actions is None:
        raise TypeError(f"{name} has no observation_space and action_space, which attacks need")
    check_space(space, actions)
    if getattr(model, "vector_reward", False):
        raise ValueError(f"{name} is a set of policies for several objectives; give one: model.preferring(weights)")
    brain = getattr(model, "brain", None)
    if isinstance(brain, Brain):
        victim = victim_of(cast(Behind, model), brain)
    elif isinstance(model, BaseAlgorithm) or isinstance(getattr(model, "model", None), BaseAlgorithm):
        policy = model if isinstance(model, SB3Policy) else as_policy(model, vec_normalize)
        victim = _of_sb3(policy, space)
        _answer_there(victim)
    else:
        ones = torch.ones(int(np.prod(space.shape)), dtype=torch.float64)
        victim = Victim(name, model, space, actions, ones, "raw")
    if isinstance(unit, str):
        if unit not in ("auto", "raw"):
            raise ValueError(f"unit is {unit!r}; give 'auto', 'raw' or numbers [{victim.obs_size}]")
        if unit == "raw":
            victim.unit, victim.unit_name = torch.ones_like(victim.unit), "raw"
        return victim
    given = torch.as_tensor(unit, dtype=torch.float64).reshape(-1)
    if given.shape != victim.unit.shape or not bool((given > 0).all() & torch.isfinite(given).all()):
        raise ValueError(f"unit must be {victim.obs_size} finite numbers above 0, not {given.tolist()[:8]}")
    victim.unit, victim.unit_name = given, "measured"
    return victim


def check_space(space: gym.Space[Any], actions: gym.Space[Any]) -> None:
    """Raise unless observations are a float Box and actions a Box or Discrete.

    Raises:
        ValueError: names the space and the remedy.
    """
    if not isinstance(space, spaces.Box) or space.dtype is None or space.dtype.kind != "f":
        raise ValueError(
            f"observations of {space} cannot be attacked: perturbations need a Box of floats (wrap images and others "
            "so that they are float)"
        )
    if not isinstance(actions, spaces.Box | spaces.Discrete):
        raise ValueError(f"actions of {actions} are not attacked here; Box and Discrete are")


def _answer_there(victim: Victim) -> None:
    """Let the victim's functions answer on the device of the observations they are given."""
    heads, value, q_value = victim.heads, victim.value, victim.q_value
    if heads is not None:
        victim.heads = lambda obs: heads(obs).to(obs.device)
    if value is not None:
        victim.value = lambda obs: value(obs).to(obs.device)
    if q_value is not None:
        victim.q_value = lambda obs, action: q_value(obs, action).to(obs.device)


def measured_unit(
    model: Predictor,
    env: str,
    *,
    steps: int = 1000,
    num_envs: int = 8,
    seed: int = 0,
    env_kwargs: dict[str, Any] | None = None,
) -> Tensor:
    """Standard deviation [O] of each observation entry over a clean rollout of the deterministic policy; 1 if constant.

    Args:
        model: the policy.
        env: Gymnasium id.
        steps: of every environment.
        num_envs: environments.
        seed: of their resets.
        env_kwargs: of the environment.
    """
    std = watch(model, env, num_envs, steps, seed, env_kwargs).numpy().std(axis=0)
    return torch.from_numpy(np.where(std > 1e-8, std, 1.0))


def watch(
    model: Predictor, env: str, num_envs: int, steps: int, seed: int, env_kwargs: dict[str, Any] | None
) -> Tensor:
    """Observations [T * B, O] float64 that the deterministic policy meets in T steps of B environments."""
    venv = make_one_player(env, num_envs, env_kwargs)
    rows = []
    try:
        obs, info = venv.reset(seed=env_seed(seed, ATTACK))
        for _ in range(steps):
            array = to_numpy(obs)
            rows.append(torch.from_numpy(np.asarray(array, np.float64).reshape(num_envs, -1).copy()))
            action, _ = model.predict(array, deterministic=True, **mask_argument(model, info))
            obs, *_, info = venv.step(env_action(venv, action))
    finally:
        venv.close()
    return torch.cat(rows)


# Our agents -----------------------------------------------------------------------------------------------------


class Behind(Protocol):
    """A model that acts behind a `Brain`'s normaliser: our agents, and the members of a set of policies."""

    observation_space: gym.Space[Any]
    action_space: gym.Space[Any]
    device: torch.device

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """Actions [B, ...] and the recurrent state."""


def victim_of(model: Behind, brain: Brain) -> Victim:
    """A model as an attack sees it, by what its brain lets it read; the unit is the normaliser's or 1.

    Raises:
        ValueError: observations or actions that cannot be attacked.
    """
    space, norm, insides = model.observation_space, brain.obs_norm, brain.insides
    check_space(space, model.action_space)
    assert isinstance(space, spaces.Box)  # checked
    size = int(np.prod(space.shape))
    unit = torch.ones(size, dtype=torch.float64) if norm is None else norm.var.cpu().sqrt().clamp_min(1e-8)

    def rows(obs: Tensor) -> Tensor:
        obs = obs.to(model.device)
        return obs.float() if norm is None else norm.normalize(obs)

    unit_name = "raw" if norm is None else "normalised"
    victim = Victim(type(model).__name__, model, space, model.action_space, unit, unit_name)
    if insides is not None:
        output, value, q_value = insides.output, insides.value, insides.q_value
        victim.heads = lambda obs: output(rows(obs))
        victim.value = lambda obs: value(rows(obs))
        if q_value is not None:
            victim.q_value = lambda obs, action: q_value(rows(obs), action)
    _answer_there(victim)
    return victim


def _squashed(mean: Tensor, std: Tensor | None, box: tuple[Tensor, Tensor]) -> PolicyOutput:
    """Policy output of a Gaussian that tanh squashes into the box (low, high)."""
    low, high = box
    return PolicyOutput(mean, std, low + 0.5 * (mean.tanh() + 1) * (high - low), box)


def _inside(action: Tensor, box: tuple[Tensor, Tensor]) -> Tensor:
    """Actions [N, A] scaled from the box to [-1, 1], on the critic's device and in its precision."""
    low, high = box
    return 2 * (action.to(low) - low) / (high - low) - 1


# Stable-Baselines3's ---------------------------------------------------------------------------------------------


def _of_sb3(policy: SB3Policy, space: spaces.Box) -> Victim:
    model: Any = policy.model
    actions = model.action_space
    given = policy.vec_normalize
    norm = given if given is not None and given.norm_obs else None
    unit = torch.ones(int(np.prod(space.shape)), dtype=torch.float64)
    if norm is not None:
        stats: Any = norm.obs_rms
        unit = torch.from_numpy(np.sqrt(np.asarray(stats.var, np.float64).reshape(-1) + norm.epsilon))
        mean = torch.from_numpy(np.asarray(stats.mean, np.float64).reshape(-1))

    def rows(obs: Tensor) -> Tensor:
        if norm is not None:
            obs = ((obs - mean.to(obs)) / unit.to(obs)).clamp(-norm.clip_obs, norm.clip_obs)
        return obs.to(model.device).float().reshape(-1, *(space.shape or ()))

    victim = Victim(
        f"SB3 {type(model).__name__}", policy, space, actions, unit, "raw" if norm is None else "normalised"
    )
    if isinstance(model, sb3.PPO | sb3.A2C):
        _on_policy_heads(victim, model, rows)
    elif isinstance(model, sb3.SAC | sb3.TD3 | sb3.DDPG):
        _off_policy_heads(victim, model, rows)
    elif isinstance(model, sb3.DQN):

        def q_heads(obs: Tensor) -> PolicyOutput:
            scores = model.q_net(rows(obs))
            return PolicyOutput(scores, None, scores)

        victim.heads = q_heads
        victim.value = lambda obs: model.q_net(rows(obs)).max(dim=1).values
    return victim


def _on_policy_heads(victim: Victim, model: Any, rows: Callable[[Tensor], Tensor]) -> None:
    def heads(obs: Tensor) -> PolicyOutput:
        found = model.policy.get_distribution(rows(obs)).distribution
        if hasattr(found, "logits"):
            return PolicyOutput(found.logits, None, found.logits)
        if model.policy.squash_output:  # an option under gSDE
            return _squashed(found.mean, found.stddev.detach(), _box(model))
        return PolicyOutput(found.mean, found.stddev.detach(), found.mean)

    victim.heads = heads
    victim.value = lambda obs: model.policy.predict_values(rows(obs)).squeeze(-1)


def _box(model: Any) -> tuple[Tensor, Tensor]:
    space = model.action_space
    low, high = (torch.as_tensor(x, device=model.device).float().reshape(-1) for x in (space.low, space.high))
    return low, high


def _off_policy_heads(victim: Victim, model: Any, rows: Callable[[Tensor], Tensor]) -> None:
    low, high = box = _box(model)

    def heads(obs: Tensor) -> PolicyOutput:
        if isinstance(model, sb3.SAC):
            mean, log_std, extra = model.actor.get_action_dist_params(rows(obs))
            # under gSDE log_std is the exploration matrix's; a copy of the distribution is asked for the actions' own
            found = copy(model.actor.action_dist).proba_distribution(mean, log_std, **extra).distribution
            return _squashed(mean, found.stddev, box)
        action = model.actor(rows(obs))
        return PolicyOutput(action, None, low + 0.5 * (action + 1) * (high - low))

    def q_value(obs: Tensor, action: Tensor) -> Tensor:
        return torch.cat(model.critic(rows(obs), _inside(action, box)), dim=1).min(dim=1).values

    victim.heads, victim.q_value = heads, q_value
    victim.value = lambda obs: q_value(obs, heads(obs).action)
