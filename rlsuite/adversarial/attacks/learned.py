"""Attackers that learn: SA-RL and PA-AD, trained by PPO against a fixed victim.

A fixed victim turns the search for the best attack into a Markov decision process (Zhang et al. 2020/2021, SA-MDP and
ATLA): the attacker sees the true state s, acts, and earns -r. So `AdversaryVectorEnv` is an ordinary vector environment
and any algorithm here can learn in it.

| attack | the attacker's action u | perturbation |
|---|---|---|
| sa-rl (arXiv 2101.08452) | [O], one number per observation entry | delta = eps u, |u| <= 1 |
| pa-ad (arXiv 2106.05087) | [A], a direction d in action (or probability) space | one signed step, below |

    delta = eps sign( grad_z [ cos(mu(s + z) - mu(s), d) + |mu(s + z) - mu(s)| ] ),   z ~ U[-eps/10, eps/10]   (PA-AD)

Their strength depends on hyper-parameters: the papers report the strongest of 216 runs. What is here is one run with
settings of ours unless more are asked for; a report must say how many were tried. The victim acts by its mode, as in
the papers. Under l2 both are scaled into the ball instead.

The papers' attackers discount by 0.99. Where an episode can end early that hides the harm of ending it: in a fast
hopper it pays more to slow the victim, which then falls less often (natural return 2,057; PA-AD with a discount of 0.99
left 3,110, with 0.999 658). Where nothing can end, as in HalfCheetah, 0.99 learns faster (596 left by SA-RL, 1,207
with 0.999). So the discount is chosen by whether random play ends early; `gamma=` sets it.

Shapes: B environments, O observation entries, A action entries or choices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from rlsuite.adversarial.attacks.attacked import Perturber
from rlsuite.adversarial.attacks.budget import Budget, project, steepest
from rlsuite.adversarial.attacks.victim import Victim
from rlsuite.core.brain import PolicyOutput
from rlsuite.core.evaluate import Predictor
from rlsuite.core.rng import ATTACK, env_seed, own_seed
from rlsuite.core.session import OnUpdate
from rlsuite.core.two_player import make_one_player
from rlsuite.core.vec_env import env_action, to_numpy
from rlsuite.policy_gradient.ppo import PPO

__all__ = [
    "AdversaryVectorEnv",
    "LearnedAttack",
    "attacker_space",
    "discount_for",
    "ends_early",
    "train_attack",
]

KINDS = ("sa-rl", "pa-ad")
SETTINGS: dict[str, Any] = {
    "n_steps": 128,
    "batch_size": 256,
    "n_epochs": 10,
    "learning_rate": "linear:3e-3",
    "ent_coef": 1e-4,
    "normalize_obs": True,
    "normalize_reward": True,
    "log_std_init": 0.0,
}
"""Hyper-parameters of the attacker's PPO, tuned on Hopper: the papers' rates, 16 environments instead of one."""
NUM_ENVS = 16
ENDLESS, ENDING = 0.99, 0.999
"""The attacker's discount where no episode can end early, and where one can."""
WATCHED = 200
"""Steps of random play, of every environment, in which one shows."""


class LearnedAttack:
    """A trained attacker as an attack.

    Args:
        kind: "sa-rl" or "pa-ad".
        attacker: `predict` gives u in [-1, 1] for true observations.
    """

    def __init__(self, kind: str, attacker: Predictor) -> None:
        if kind not in KINDS:
            raise ValueError(f"LearnedAttack.kind is {kind!r}; choose one of {', '.join(KINDS)}")
        self.kind = kind
        self.attacker = attacker

    @property
    def name(self) -> str:
        """Name of the attack in reports."""
        return self.kind

    def check(self, victim: Victim) -> None:
        """Raise unless the victim has what the attack needs.

        Raises:
            ValueError: PA-AD on a black box.
        """
        if self.kind == "pa-ad":
            victim.need("heads", self.kind)

    def __call__(self, obs: Tensor, victim: Victim, radius: Tensor, norm: str, generator: torch.Generator) -> Tensor:
        """See `rlsuite.adversarial.attacks.protocol.Attack`."""
        shape = victim.observation_space.shape or ()
        raw = obs.numpy().astype(victim.observation_space.dtype).reshape(-1, *shape)
        u = torch.as_tensor(self.attacker.predict(raw, deterministic=True)[0]).double()
        if self.kind == "sa-rl":
            return project(radius[:, None] * u.clamp(-1, 1), radius, norm)
        return _directed(obs, u, victim, radius, norm, generator)


def _directed(
    obs: Tensor, direction: Tensor, victim: Victim, radius: Tensor, norm: str, generator: torch.Generator
) -> Tensor:
    """PA-AD's actor: one step that turns the policy's output towards direction [N, A]."""
    heads: Callable[[Tensor], PolicyOutput] = victim.need("heads", "pa-ad")

    def output(s: Tensor) -> Tensor:
        mean = heads(s).mean
        return mean.softmax(1) if victim.discrete else mean

    with torch.no_grad():
        clean = output(obs)
    noise = torch.rand(obs.shape, generator=generator, dtype=torch.float64) * 2 - 1
    z = (noise * radius[:, None] / 10).requires_grad_(True)
    with torch.enable_grad():
        moved = output(obs + victim.unit * z) - clean
        towards = torch.nn.functional.cosine_similarity(moved, direction.to(moved), dim=1)
        gradient = torch.autograd.grad((towards + moved.norm(dim=1)).sum(), z)[0]
    return radius[:, None] * steepest(gradient, norm)


def attacker_space(victim: Victim, kind: str) -> spaces.Box:
    """The attacker's action space.

    Raises:
        ValueError: an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"a learned attack is one of {', '.join(KINDS)}, not {kind!r}")
    space = victim.action_space
    choices = int(space.n) if isinstance(space, spaces.Discrete) else int(np.prod(space.shape or (1,)))
    return spaces.Box(-1, 1, (victim.obs_size if kind == "sa-rl" else choices,), np.float32)


class _Told:
    """An attacker that does what it was told last: how the environment's own actions become perturbations."""

    u: np.ndarray

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        return self.u, state


class AdversaryVectorEnv(VectorEnv[Any, Any, Any]):
    """The attacker's decision process around a vector environment and a fixed victim; autoreset SAME_STEP.

    Observations are the true ones, actions u in [-1, 1], rewards the negative of the environment's.

    Args:
        venv: steps the world; SAME_STEP autoreset.
        victim: acts on what it is shown, by its mode.
        kind: "sa-rl" or "pa-ad".
        budget: of every step.
        seed: of PA-AD's starts.
        deterministic: whether the victim acts by its mode, as in the papers' attacks, or samples.
        paid: what the attacker gets for a reward of 1; -1 is an attack, 1 a help.

    Attributes:
        obs: [B, ...] what the environment said last.

    Raises:
        ValueError: an episode budget (the attacker could not see what is left), or an attack the victim cannot have.
    """

    def __init__(
        self,
        venv: VectorEnv[Any, Any, Any],
        victim: Victim,
        kind: str,
        budget: Budget,
        *,
        seed: int = 0,
        deterministic: bool = True,
        paid: float = -1.0,
    ) -> None:
        self.paid = paid
        if budget.scope != "step" or budget.ratio < 1:
            raise ValueError(
                f"a learned attack has a budget per step (scope='step', ratio=1), not {budget}: the attacker does not "
                "see what is left of an episode's"
            )
        self.venv = venv
        self.victim = victim
        self.budget = budget
        self.deterministic = deterministic
        self.num_envs = venv.num_envs
        self.metadata = {**venv.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = victim.observation_space
        self.single_action_space = attacker_space(victim, kind)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._told = _Told()
        self.perturber = Perturber(LearnedAttack(kind, self._told), victim, budget, seed=seed)
        self.obs: np.ndarray = np.empty(0)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """True first observations [B, O]."""
        obs, info = self.venv.reset(seed=seed, options=options)
        self.obs = to_numpy(obs)
        return self.obs, info

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Show the victim what the attacker's actions [B, U] make of the observation, and let it act."""
        if not self.obs.size:
            raise gym.error.ResetNeeded("Call reset() before step().")
        self._told.u = to_numpy(actions)
        seen = self.perturber(self.obs)
        action, _ = self.victim.model.predict(seen, deterministic=self.deterministic)
        obs, reward, terminated, truncated, info = self.venv.step(env_action(self.venv, action))
        self.obs = to_numpy(obs)
        return self.obs, self.paid * to_numpy(reward), to_numpy(terminated), to_numpy(truncated), info

    def close(self, **kwargs: Any) -> None:
        """Close the inner environment."""
        self.venv.close(**kwargs)


def ends_early(env: str, *, seed: int = 0, env_kwargs: dict[str, Any] | None = None) -> bool:
    """Whether any of 16 environments terminates within 200 steps of random play."""
    venv = make_one_player(env, NUM_ENVS, env_kwargs)
    try:
        venv.reset(seed=env_seed(seed, ATTACK))
        venv.action_space.seed(own_seed(seed, ATTACK, 2))
        for _ in range(WATCHED):
            action = venv.action_space.sample()
            if bool(to_numpy(venv.step(env_action(venv, action))[2]).any()):
                return True
        return False
    finally:
        venv.close()


def discount_for(env: str, *, seed: int = 0, env_kwargs: dict[str, Any] | None = None) -> float:
    """The discount of an adversary that is to see a fall from afar, where there are falls; see the module."""
    return ENDING if ends_early(env, seed=seed, env_kwargs=env_kwargs) else ENDLESS


def train_attack(
    victim: Victim,
    env: str,
    kind: str,
    budget: Budget,
    *,
    steps: int = 300_000,
    seed: int = 0,
    env_kwargs: dict[str, Any] | None = None,
    on_update: OnUpdate | None = None,
    **settings: Any,
) -> LearnedAttack:
    """Train an attacker by PPO.

    Args:
        victim: stays as it is.
        env: Gymnasium id.
        kind: "sa-rl" or "pa-ad".
        budget: per step.
        steps: environment steps.
        seed: of everything.
        env_kwargs: of the environment.
        on_update: called after every update.
        settings: fields of `PPOConfig` that replace those of `SETTINGS`, and the discount; see the module.
    """
    if "gamma" not in settings:
        settings["gamma"] = discount_for(env, seed=seed, env_kwargs=env_kwargs)
    venv = make_one_player(env, NUM_ENVS, env_kwargs)
    world = AdversaryVectorEnv(venv, victim, kind, budget, seed=seed)
    try:
        attacker = PPO(world, seed=own_seed(seed, ATTACK, 1), device="cpu", **{**SETTINGS, **settings})
        attacker.learn(steps, log_interval=None, on_update=on_update)
    finally:
        world.close()
    return LearnedAttack(kind, attacker)
