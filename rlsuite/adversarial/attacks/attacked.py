"""An attack between environment and victim: as a policy for our rollouts, and as a Gymnasium wrapper for anybody's.

The environment keeps its true state, reward and transitions; only what the victim sees (or, for action attacks, what it
does) is changed. With eps = 0 every observation, and so every episode, is the clean one bit for bit.
Perturbations are computed in float64; where the observation's own float32 rounds outside the budget, the entry moves
one representable number back.

Shapes: B rows, O observation entries.
"""

from __future__ import annotations

import inspect
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from rlsuite.adversarial.attacks.budget import Budget, project, spend
from rlsuite.adversarial.attacks.protocol import Attack
from rlsuite.adversarial.attacks.victim import Victim, check_space
from rlsuite.core.rng import ATTACK, own_seed
from rlsuite.core.vec_env import env_action, to_numpy

__all__ = ["AttackedEnv", "AttackedPolicy", "AttackedVectorEnv", "Perturber"]


def check_attack(attack: Attack, victim: Victim) -> None:
    """Raise unless the attack can work on this victim, before anything is simulated.

    Raises:
        ValueError: names what is missing and the remedy.
    """
    check = getattr(attack, "check", None)
    if check is not None:
        check(victim)


class Perturber:
    """Applies an attack to batches of raw observations and tracks the budget left, row by row.

    Args:
        attack: proposes perturbations.
        victim: whom it deceives.
        budget: what it may spend.
        seed: of everything random in it.

    Attributes:
        largest: the largest size of a perturbation given out so far, in budget units.
    """

    def __init__(self, attack: Attack, victim: Victim, budget: Budget, *, seed: int = 0) -> None:
        check_attack(attack, victim)
        self.attack = attack
        self.victim = victim
        self.budget = budget
        self.generator = torch.Generator().manual_seed(own_seed(seed, ATTACK))
        self.remaining = torch.empty(0, dtype=torch.float64)
        self.largest = 0.0

    def __call__(self, obs: np.ndarray, start: np.ndarray | None = None, among: np.ndarray | None = None) -> np.ndarray:
        """Attacked observations of the same dtype.

        Args:
            obs: raw ones [B, ...].
            start: [B] bool, first steps of episodes.
            among: [B] bool, the rows to attack and charge; the others stay as they are. None is all.
        """
        array = np.asarray(obs)
        count = len(array)
        if len(self.remaining) != count:
            self.remaining = torch.full((count,), self.budget.eps, dtype=torch.float64)
        if start is not None:
            self.remaining[torch.as_tensor(np.asarray(start, bool))] = self.budget.eps
        radius = self.budget.radius(self.remaining)
        if self.budget.ratio < 1:
            drawn = torch.rand(count, generator=self.generator, dtype=torch.float64)
            radius = torch.where(drawn < self.budget.ratio, radius, torch.zeros_like(radius))
        if among is not None:
            radius = torch.where(torch.as_tensor(np.asarray(among, bool)), radius, torch.zeros_like(radius))
        if not bool((radius > 0).any()) or not np.isfinite(array).all():
            return array  # numbers that are not finite are named, with environment and step, by whoever is given them
        rows = torch.from_numpy(np.asarray(array, np.float64).reshape(count, -1))
        delta = self.attack(rows, self.victim, radius, self.budget.norm, self.generator).double()
        if not bool(torch.isfinite(delta).all()):
            raise FloatingPointError(
                f"attack {self.attack.name!r} gave NaN or infinity; look at the victim's observations and weights"
            )
        delta = project(delta, radius, self.budget.norm)
        attacked, delta = _rounded(rows, delta, self.victim.unit, array.dtype)
        if self.budget.scope == "episode":
            self.remaining = spend(self.remaining, delta, self.budget.norm)
        size = delta.abs().amax() if self.budget.norm == "linf" else delta.norm(dim=1).amax()
        self.largest = max(self.largest, float(size))
        return attacked.reshape(array.shape)


def _rounded(rows: Tensor, delta: Tensor, unit: Tensor, dtype: np.dtype[Any]) -> tuple[np.ndarray, Tensor]:
    """Rows + unit * delta in `dtype`, never farther from rows than asked, and the perturbation that remains."""
    wanted = (unit * delta).numpy()
    clean = rows.numpy()
    attacked = (clean + wanted).astype(dtype)
    farther = np.abs(attacked.astype(np.float64) - clean) > np.abs(wanted)
    attacked = np.where(farther, np.nextafter(attacked, clean.astype(dtype)), attacked)
    return attacked, torch.from_numpy(attacked.astype(np.float64) - clean) / unit


class _Draws(torch.Generator):
    """An attack's draws in evaluations: seeded anew they repeat, yet differ from those of an attack of another seed.

    Args:
        seed: of the draws until then, and part of every later seed.
    """

    def __new__(cls, seed: int) -> _Draws:
        """Make the generator on the CPU."""
        return super().__new__(cls)

    def __init__(self, seed: int) -> None:
        self.own = seed
        super().manual_seed(seed)

    def manual_seed(self, seed: int) -> torch.Generator:
        """Seed from `seed` and the attack's own seed."""
        return super().manual_seed(own_seed(seed, self.own))

    def __reduce__(self) -> tuple[Any, ...]:
        # torch's own would make a plain generator of a copy
        return _Draws, (self.own,), super().__reduce__()[2]


class AttackedPolicy:
    """The victim behind an attack, with `predict`: `evaluate(AttackedPolicy(...), env, ...)` is the attacked return.

    An evaluation repeats: the victim's samples come from its seed, as they do without an attack (with eps = 0 they are
    the same), the attack's draws from that seed and the attack's own.

    Args:
        victim: acts.
        attack: on what it sees; None for none.
        budget: of the attack.
        seed: of the attack.
        action_attack: on what it does (`rlsuite.adversarial.attacks.actions`); None for none.
    """

    def __init__(
        self,
        victim: Victim,
        attack: Attack | None = None,
        budget: Budget | None = None,
        *,
        seed: int = 0,
        action_attack: Any = None,
    ) -> None:
        self.victim = victim
        self.observation_space = victim.observation_space
        self.action_space = victim.action_space
        self.perturber = None
        own = own_seed(seed, ATTACK)
        if attack is not None:
            self.perturber = Perturber(attack, victim, budget or Budget(0.0))
            self.perturber.generator = _Draws(own)
        self.action_attack = action_attack
        self.action_generator = _Draws(own_seed(own, ATTACK))
        self._masked = "action_masks" in inspect.signature(victim.model.predict).parameters

    @property
    def generators(self) -> list[torch.Generator]:
        """Generators for `evaluate` to seed, the victim's first: they get the same seeds as without an attack."""
        model = self.victim.model
        theirs = getattr(model, "generators", None) or [getattr(model, "generator", None)]
        mine = [self.action_generator] if self.perturber is None else [self.perturber.generator, self.action_generator]
        return [rng for rng in theirs if isinstance(rng, torch.Generator)] + mine

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
        action_masks: Any = None,
    ) -> tuple[np.ndarray, Any]:
        """The victim's actions at attacked observations [B, ...], attacked in their turn.

        `action_masks` [B, A'] go to victims that take them.
        """
        clean = to_numpy(observation)
        obs = clean if self.perturber is None else self.perturber(clean, episode_start)
        masks = {"action_masks": action_masks} if self._masked and action_masks is not None else {}
        action, state = self.victim.model.predict(obs, state, episode_start, deterministic, **masks)
        if self.action_attack is not None:
            action = self.action_attack(clean, np.asarray(action), self.victim, self.action_generator)
        return np.asarray(action), state


class AttackedEnv(gym.Wrapper[Any, Any, Any, Any]):
    """Any environment, its observations attacked: for loops of others.

    `info["true_obs"]` has what the environment said. The wrapped environment is seeded as ever; `reset(seed=s)` seeds
    the attack, too.

    Args:
        env: with Box observations.
        victim: whom the attack deceives; the loop's policy.
        attack: see `rlsuite.adversarial.attacks`.
        budget: what it may spend.
        seed: of the attack until the first `reset(seed=...)`.

    Raises:
        ValueError: an attack that this victim or environment cannot have.
    """

    def __init__(
        self, env: gym.Env[Any, Any], victim: Victim, attack: Attack, budget: Budget, *, seed: int = 0
    ) -> None:
        super().__init__(env)
        check_space(env.observation_space, env.action_space)
        if env.observation_space.shape != victim.observation_space.shape:
            raise ValueError(
                f"the environment's observations {env.observation_space} do not fit the victim's "
                f"{victim.observation_space}; give the environment that it was trained in"
            )
        self.perturber = Perturber(attack, victim, budget, seed=seed)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode with a full budget."""
        obs, info = self.env.reset(seed=seed, options=options)
        if seed is not None:
            self.perturber.generator.manual_seed(own_seed(seed, ATTACK))
        return self._attacked(obs, np.ones(1, bool)), {**info, "true_obs": obs}

    def step(self, action: Any) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        """Step the environment; only the observation is changed."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        return self._attacked(obs, None), reward, terminated, truncated, {**info, "true_obs": obs}

    def _attacked(self, obs: Any, start: np.ndarray | None) -> np.ndarray:
        found: np.ndarray = self.perturber(np.asarray(obs)[None], start)[0]
        return found


class AttackedVectorEnv(VectorEnv[Any, Any, Any]):
    """A vector environment whose observations are attacked; what an agent needs to train under attack.

    Last observations of episodes (`final_obs`) are attacked, too: the agent would have acted on them.

    Args:
        venv: with Box observations and SAME_STEP autoreset.
        perturber: the attack, its victim and its budget; None shows the truth. May be replaced at any time.

    Attributes:
        true_obs: [B, ...] what the environment said last.
    """

    def __init__(self, venv: VectorEnv[Any, Any, Any], perturber: Perturber | None = None) -> None:
        check_space(venv.single_observation_space, venv.single_action_space)
        self.venv = venv
        self.perturber = perturber
        self.num_envs = venv.num_envs
        self.metadata = venv.metadata
        self.spec = venv.spec
        self.render_mode = venv.render_mode
        self.single_observation_space = venv.single_observation_space
        self.observation_space = venv.observation_space
        self.single_action_space = venv.single_action_space
        self.action_space = venv.action_space
        self.true_obs: np.ndarray = np.empty(0)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start new episodes with full budgets."""
        obs, info = self.venv.reset(seed=seed, options=options)
        self.true_obs = to_numpy(obs)
        return self.show(np.ones(self.num_envs, bool)), info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step the environment; only the observations shown are changed."""
        obs, reward, terminated, truncated, info = self.venv.step(env_action(self.venv, actions))
        reward, terminated, truncated = to_numpy(reward), to_numpy(terminated), to_numpy(truncated)
        ended = terminated | truncated
        if ended.any() and self.perturber is not None and info.get("final_obs") is not None:
            final = to_numpy(obs).copy()
            for i in np.flatnonzero(ended):
                final[i] = to_numpy(info["final_obs"][i])
            # the others' observations are still to be shown, and charged, once
            info = {**info, "final_obs": self.perturber(final, among=ended)}
        self.true_obs = to_numpy(obs)
        return self.show(ended), reward, terminated, truncated, info

    def show(self, start: np.ndarray | None = None) -> np.ndarray:
        """The current observations as the agent sees them now."""
        return self.true_obs if self.perturber is None else self.perturber(self.true_obs, start)

    @property
    def state_dict(self) -> Any:
        """Function that returns the state that the next steps depend on; None where the environment cannot give it."""
        return self._state if hasattr(self.venv, "state_dict") else None

    @property
    def load_state_dict(self) -> Any:
        """Function that restores what `state_dict` gave; None where the environment cannot."""
        return self._load if hasattr(self.venv, "load_state_dict") else None

    def _state(self) -> dict[str, np.ndarray]:
        inner: Any = self.venv
        left = {} if self.perturber is None else {"remaining": self.perturber.remaining.numpy().copy()}
        return {
            **{f"venv/{k}": v for k, v in inner.state_dict().items()},
            "true_obs": self.true_obs.copy(),
            **left,
        }

    def _load(self, state: dict[str, np.ndarray]) -> None:
        inner: Any = self.venv
        own = {k.removeprefix("venv/"): v for k, v in state.items() if k.startswith("venv/")}
        inner.load_state_dict(own)
        self.true_obs = np.array(state["true_obs"])
        if self.perturber is not None and "remaining" in state:
            self.perturber.remaining = torch.from_numpy(np.array(state["remaining"]))

    def close_extras(self, **kwargs: Any) -> None:
        """Close the inner environment."""
        self.venv.close(**kwargs)
